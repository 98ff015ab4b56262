
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_COMMAND_H_INCLUDED_
#define _SIO_COMMAND_H_INCLUDED_


#include "sio_buf.h"
#include "sio_json_walk.h"
#include "sio_record.h"


/*
 * JSON commands: what a backend sends that has no Socket.IO library, one object
 * or an array of them.  doc/backend.md tells what stands in one.
 *
 * A decoder object is scratch space that is used again for every text, so that
 * decoding does not allocate once it is warm.  Event names and arguments go to
 * clients as they are written, byte by byte.
 */


#define SIO_COMMAND_DEPTH  (SIO_JSON_DEPTH + 3)    /* arguments are inside of
                                                      an array, an object and
                                                      an array */
#define SIO_COMMAND_ERROR  160


typedef struct {
    sio_json_walk_t  walk;        /* through the array of commands, */
    sio_str_t        only;        /*   or the one that is not in an array */
    unsigned         n;           /* taken of them */

    sio_buf_t        text;        /* the packet */
    sio_buf_t        strings;     /* what strings with escapes stand for */
    sio_buf_t        names_buf;   /* holds the array that m->names is */
    sio_str_t        part;
    sio_str_t        nsp;         /* out: of the command */

    char             error[SIO_COMMAND_ERROR];
} sio_command_t;


/* All zero is a valid decoder; this returns its memory. */
void sio_command_free(sio_command_t *c);

/*
 * Begins with a text, which must stay where it is.
 *
 *   SIO_OK
 *   SIO_ERROR     it is no JSON, or no UTF-8; *error says what
 *   SIO_LIMIT     it is nested too deep; *error says so
 *   SIO_NOMEM
 */
sio_rc_t sio_command_open(sio_command_t *c, const unsigned char *p,
    size_t len, const char **error);

/*
 * Decodes the next command.
 *
 *   SIO_OK        *m is an EMIT, JOIN, LEAVE, DISCONNECT or REFRESH, whose
 *                 views live until the next call, and as long as the text;
 *                 m->nsp is left to the caller: the name is in c->nsp.  An
 *                 acknowledgement is an EMIT, BARE, with the socket's id as its
 *                 only room
 *   SIO_AGAIN     there are no more
 *   SIO_ERROR     not a command; *error, which lives as long, names the member,
 *                 and in an array the number of the command, from 1.  It may
 *                 hold what the sender has chosen, without control characters
 *   SIO_LIMIT     too many rooms; *error says where
 *   SIO_NOMEM
 */
sio_rc_t sio_command_next(sio_command_t *c, sio_message_t *m,
    const char **error);


#endif /* _SIO_COMMAND_H_INCLUDED_ */
