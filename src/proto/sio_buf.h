
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_BUF_H_INCLUDED_
#define _SIO_BUF_H_INCLUDED_


/*
 * What all codecs share: result codes, a view of bytes, a growing buffer.
 *
 * The codecs of this folder take bytes and give events or bytes.  They know
 * neither nginx nor a socket, so that unit tests and fuzzers can run them.
 */


#include <stddef.h>
#include <stdint.h>


typedef enum {
    SIO_OK = 0,
    SIO_ERROR = -1,         /* the input breaks the protocol */
    SIO_AGAIN = -2,         /* all input is consumed, more is needed */
    SIO_NOMEM = -3,         /* malloc() failed; nothing has changed */
    SIO_LIMIT = -4          /* a limit given by the caller is exceeded */
} sio_rc_t;


/* A view of bytes that somebody else owns; data may be NULL if len is 0. */

typedef struct {
    size_t                len;
    const unsigned char  *data;
} sio_str_t;


/* A growing buffer on the heap; all zero is a valid empty buffer. */

typedef struct {
    unsigned char        *data;
    size_t                len;
    size_t                size;
} sio_buf_t;


#define sio_string(str)   { sizeof(str) - 1, (const unsigned char *) str }


/*
 * Makes room for n more bytes behind b->len.
 * SIO_OK or SIO_NOMEM; pointers into the buffer are invalid afterwards.
 */
sio_rc_t sio_buf_reserve(sio_buf_t *b, size_t n);

/* Appends n bytes; SIO_OK or SIO_NOMEM. */
sio_rc_t sio_buf_append(sio_buf_t *b, const void *data, size_t n);

/* Appends one byte; SIO_OK or SIO_NOMEM. */
static inline sio_rc_t
sio_buf_char(sio_buf_t *b, unsigned char c)
{
    if (b->len == b->size && sio_buf_reserve(b, 1) != SIO_OK) {
        return SIO_NOMEM;
    }

    b->data[b->len++] = c;

    return SIO_OK;
}

/* Returns the memory and leaves an empty buffer. */
void sio_buf_free(sio_buf_t *b);


#endif /* _SIO_BUF_H_INCLUDED_ */
