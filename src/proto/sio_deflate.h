
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_DEFLATE_H_INCLUDED_
#define _SIO_DEFLATE_H_INCLUDED_


#include "sio_buf.h"


/*
 * permessage-deflate (RFC 7692), server side and without context takeover in
 * either direction: no connection has a state of its own, and a message that
 * is compressed once is the same for all who get it.
 *
 * There is one compressor and one decompressor in a process, made when they
 * are first needed.
 */


#define SIO_DEFLATE_ANSWER      112     /* longest answer to an offer */
#define SIO_DEFLATE_MAX_WINDOW  15      /* bits of that of our messages */


/* What a connection has agreed to; all zero: nothing. */

typedef struct {
    unsigned char    window;      /* bits of the window that the client has */
    unsigned char    named;       /*   because it said so */
} sio_deflate_t;


/*
 * Reads the value of a Sec-WebSocket-Extensions header: the first offer that
 * can be accepted is, unless d holds one already.  SIO_OK, also if there is
 * none; SIO_ERROR: it does not follow the grammar.
 */
sio_rc_t sio_deflate_offer(sio_deflate_t *d, const unsigned char *p,
    size_t len);

/*
 * Writes the answer to an accepted offer to p (SIO_DEFLATE_ANSWER bytes of
 * room); returns its length.
 */
size_t sio_deflate_answer(unsigned char *p, const sio_deflate_t *d);

/*
 * Appends the compressed form of a message to out, as it stands in a frame.
 * SIO_OK; SIO_LIMIT: it is not shorter than the message; SIO_NOMEM.
 */
sio_rc_t sio_deflate(sio_buf_t *out, const unsigned char *p, size_t len);

/*
 * Appends to out, which is empty, the message that p is the compressed form of.
 * SIO_OK; SIO_LIMIT: it has more than limit bytes, and no more memory than for
 * these was asked for; SIO_ERROR: broken; SIO_NOMEM.
 */
sio_rc_t sio_inflate(sio_buf_t *out, const unsigned char *p, size_t len,
    size_t limit);


#endif /* _SIO_DEFLATE_H_INCLUDED_ */
