
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_PAYLOAD_H_INCLUDED_
#define _SIO_PAYLOAD_H_INCLUDED_


#include "sio_buf.h"


/*
 * Payloads of Engine.IO long-polling: packets joined by a separator; a packet
 * of text begins with its type, a binary message is "b" and base64.
 */


#define SIO_PAYLOAD_SEPARATOR  0x1e


/* Where a payload is being read. */

typedef struct {
    const unsigned char  *pos;       /* NULL: there is nothing more */
    const unsigned char  *end;
} sio_payload_t;


/* Begins to read a payload of len bytes; an empty one is one empty packet. */
void sio_payload_init(sio_payload_t *pl, const unsigned char *p, size_t len);

/*
 * Gives the next packet, which may be empty, as a view.  SIO_OK, or SIO_AGAIN
 * if there is none.
 */
sio_rc_t sio_payload_next(sio_payload_t *pl, sio_str_t *packet);

/*
 * Appends what len characters of base64 say.  As lax as the reference, which
 * uses Node's decoder: both alphabets, other characters are skipped, padding
 * may be missing, and the first "=" ends it.  SIO_OK or SIO_NOMEM.
 */
sio_rc_t sio_payload_decode(sio_buf_t *b, const unsigned char *p, size_t len);

/*
 * Appends a packet to a payload, with a separator if it is not the first.
 * SIO_OK or SIO_NOMEM: then b is as it was.
 */
sio_rc_t sio_payload_text(sio_buf_t *b, const unsigned char *p, size_t len);
sio_rc_t sio_payload_binary(sio_buf_t *b, const unsigned char *p, size_t len);

/*
 * Appends the packets in len bytes of whole WebSocket frames as a server sends
 * them: unmasked, unfragmented, text or binary.  Control frames are left out.
 * SIO_OK; SIO_NOMEM; SIO_ERROR if these are not such frames.
 */
sio_rc_t sio_payload_frames(sio_buf_t *b, const unsigned char *p, size_t len);


#endif /* _SIO_PAYLOAD_H_INCLUDED_ */
