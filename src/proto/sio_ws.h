
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_WS_H_INCLUDED_
#define _SIO_WS_H_INCLUDED_


#include "sio_buf.h"


/*
 * WebSocket framing (RFC 6455, section 5), server side.
 *
 * The parser is incremental at byte granularity and gives whole messages.
 * A message that lies complete in one frame of the caller's input is given
 * as a view into that input (unmasked in place); anything else is gathered
 * in a heap buffer which the parser owns and drops as soon as it is idle.
 * So an idle connection needs no parser at all: see sio_ws_idle().
 *
 * A compressed message (RFC 7692) is decompressed when it is complete.
 */


#define SIO_WS_TEXT      0x1
#define SIO_WS_BINARY    0x2
#define SIO_WS_CLOSE     0x8
#define SIO_WS_PING      0x9
#define SIO_WS_PONG      0xa

#define SIO_WS_DEFLATED  0x40     /* of a header: the message is compressed */

#define SIO_WS_HEADER    10       /* longest header of a server's frame */

#define SIO_WS_CONTROL_LEN  125   /* most bytes of a control frame */
#define SIO_WS_FRAGMENTS 16384    /* most frames of one message */


typedef struct {
    size_t           limit;       /* most bytes of one message */
    uint64_t         need;        /* payload bytes of this frame to come */
    sio_buf_t        message;     /* fragments of a data message so far */
    uint32_t         utf8;        /* validation state of a text message */
    uint32_t         fragments;
    unsigned char    mask[4];
    unsigned char    head[14];    /* header of the current frame so far */
    unsigned char    head_len;
    unsigned char    mask_at;     /* payload bytes so far, modulo 4 */
    unsigned char    opcode;      /* of the message being gathered, or 0 */
    unsigned char    in_payload;
    unsigned char    deflate;     /* set by the caller: agreed to */
    unsigned char    deflated;    /* the message being gathered is */
    unsigned char    control_len;
    unsigned char    control[SIO_WS_CONTROL_LEN];
} sio_ws_parser_t;


typedef struct {
    unsigned char    opcode;      /* SIO_WS_TEXT .. SIO_WS_PONG */
    uint16_t         code;        /* CLOSE: its status code, 0 if none */
    sio_str_t        data;        /* payload; of CLOSE: the reason */
} sio_ws_event_t;


/* Prepares a parser for messages of at most limit bytes. */
void sio_ws_init(sio_ws_parser_t *p, size_t limit);

/*
 * Consumes bytes from *pos (changing them: unmasking is done in place) up to
 * last, and stops behind the first complete message or control frame.
 *
 *   SIO_OK     *ev holds one message; its data is valid until the next call
 *              for this parser, or until the caller's input goes away
 *   SIO_AGAIN  everything is consumed, no message is complete
 *   SIO_ERROR  the peer broke the protocol: ev->code is the close code,
 *              1002 for framing, 1007 for UTF-8 (validated as it arrives, if
 *              it is not compressed) and for what cannot be decompressed
 *   SIO_LIMIT  a message over the limit: ev->code is 1009, or of too many
 *              frames: 1008 (found from the length, before its payload or
 *              even its mask arrives; of a compressed message, both lengths
 *              count)
 *   SIO_NOMEM  ev->code is 1011
 *
 * After anything but SIO_OK and SIO_AGAIN only sio_ws_free() is legal.
 */
sio_rc_t sio_ws_parse(sio_ws_parser_t *p, unsigned char **pos,
    unsigned char *last, sio_ws_event_t *ev);

/* True if nothing is pending: the parser may be freed and made anew. */
int sio_ws_idle(const sio_ws_parser_t *p);

/* Drops what the parser has gathered. */
void sio_ws_free(sio_ws_parser_t *p);

/*
 * Writes the header of an unmasked, final frame with len payload bytes to p
 * (SIO_WS_HEADER bytes of room); returns its length: 2, 4 or 10.  opcode may
 * have SIO_WS_DEFLATED.
 */
size_t sio_ws_header(unsigned char *p, unsigned opcode, size_t len);

/* The length that sio_ws_header() will have for a payload of len bytes. */
size_t sio_ws_header_len(size_t len);

/* The payload bytes of a frame whose header sio_ws_header() wrote. */
uint64_t sio_ws_payload_len(const unsigned char *head);


#endif /* _SIO_WS_H_INCLUDED_ */
