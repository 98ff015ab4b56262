
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_EIO_H_INCLUDED_
#define _SIO_EIO_H_INCLUDED_


#include "sio_buf.h"


/*
 * Engine.IO protocol, revision 4: packet types, the open packet, ids.
 */


#define SIO_EIO_OPEN      '0'
#define SIO_EIO_CLOSE     '1'
#define SIO_EIO_PING      '2'
#define SIO_EIO_PONG      '3'
#define SIO_EIO_MESSAGE   '4'
#define SIO_EIO_UPGRADE   '5'
#define SIO_EIO_NOOP      '6'

#define SIO_EIO_SID_LEN   20      /* bytes of a session or socket id */
#define SIO_EIO_OPEN_LEN  256     /* longest open packet */


typedef enum {
    SIO_EIO_POLLING = 1,
    SIO_EIO_WEBSOCKET = 2
} sio_eio_transport_e;


/* Errors of a handshake or poll, with their codes on the wire. */

typedef enum {
    SIO_EIO_UNKNOWN_TRANSPORT = 0,
    SIO_EIO_UNKNOWN_SID = 1,
    SIO_EIO_BAD_METHOD = 2,
    SIO_EIO_BAD_REQUEST = 3,
    SIO_EIO_FORBIDDEN = 4,
    SIO_EIO_UNSUPPORTED_VERSION = 5
} sio_eio_error_e;


/*
 * What the query string of a request says; views into the caller's string
 * or, where percent-decoding changed them, into decoded[].
 */

typedef struct {
    unsigned              version;     /* 4 if EIO is exactly "4", else 3 */
    unsigned              transport;   /* a sio_eio_transport_e, 0: unknown */
    sio_str_t             sid;         /* empty: a new handshake */
    sio_str_t             token;       /* not decoded; data is NULL if there is
                                          no such argument */
    unsigned char         decoded[64];
} sio_eio_query_t;


/*
 * Parses the query string (without '?').  The last of several equal names
 * wins, names and values are percent-decoded, unknown names are skipped; a
 * sid that does not fit into decoded[] is given as one that no session has
 * (its first byte kept, length 64).  Never fails.
 */
void sio_eio_query_parse(sio_eio_query_t *q, const unsigned char *p,
    size_t len);

/*
 * Undoes percent-encoding and "+", as WHATWG's URL rules have it: a "%" that
 * no two hex digits follow stands for itself.  Gives src itself if there is
 * nothing to undo, else text at dst; a result longer than size bytes is cut.
 */
sio_str_t sio_eio_query_decode(unsigned char *dst, size_t size,
    sio_str_t src);

/* Writes "*" over the token, wherever the query string has one. */
void sio_eio_query_hide(unsigned char *p, size_t len);

/* The text that the reference has for an error code, e.g. "Bad request". */
const sio_str_t *sio_eio_error_text(sio_eio_error_e code);

/*
 * Writes an open packet "0{"sid":...}" to p (SIO_EIO_OPEN_LEN bytes), returns
 * its length.  Times in milliseconds; upgrade: offer "websocket".
 */
size_t sio_eio_open(unsigned char *p, const unsigned char *sid, int upgrade,
    uint64_t ping_interval, uint64_t ping_timeout, uint64_t max_payload);

/*
 * Makes an id of SIO_EIO_SID_LEN characters as the reference does: base64url
 * of 12 random bytes (given) and the low 24 bits of a counter.
 */
void sio_eio_sid(unsigned char *p, const unsigned char random[12],
    uint32_t counter);


#endif /* _SIO_EIO_H_INCLUDED_ */
