
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_PACKET_H_INCLUDED_
#define _SIO_PACKET_H_INCLUDED_


#include "sio_buf.h"
#include "sio_json.h"

#include <jansson.h>


/*
 * Socket.IO protocol, revision 5: the packets inside Engine.IO messages.
 *
 *   packet = type [attachments "-"] [nsp ","] [id] [json]
 *
 * All functions work on the packet without the Engine.IO type "4".
 */


typedef enum {
    SIO_CONNECT = 0,
    SIO_DISCONNECT = 1,
    SIO_EVENT = 2,
    SIO_ACK = 3,
    SIO_CONNECT_ERROR = 4,
    SIO_BINARY_EVENT = 5,
    SIO_BINARY_ACK = 6
} sio_packet_type_e;

#define SIO_PACKET_ATTACHMENTS  10      /* most attachments of a packet */
#define SIO_PACKET_DEPTH        SIO_JSON_DEPTH  /* nesting of its JSON */


typedef struct {
    unsigned              type;         /* a sio_packet_type_e */
    unsigned              attachments;  /* binary types: 1..10, else 0 */
    sio_str_t             nsp;          /* "/" if none is named */
    sio_str_t             id;           /* digits, no leading zeros; empty
                                           if none; of any length */
    sio_str_t             data;         /* JSON text without white space
                                           around it; empty if none */
} sio_packet_t;


/*
 * Parses one packet; the views point into p.  Reads ids, attachments and
 * namespaces as socket.io-parser 4.2.7 does, and checks that all of it is
 * UTF-8 (a transport that does not validate, repairs) and that data has the
 * form that the type asks for (CONNECT: object or nothing; DISCONNECT:
 * nothing; EVENT: array that begins with a number or a string that is no
 * reserved name; ACK: array; CONNECT_ERROR: string or object; a missing
 * payload is accepted for every type).
 *
 * *json, if json is not NULL, gets the decoded payload as a new reference or
 * NULL if there is none.  SIO_OK, SIO_ERROR (bad packet), SIO_LIMIT (nested
 * deeper than SIO_PACKET_DEPTH), SIO_NOMEM.
 */
sio_rc_t sio_packet_parse(sio_packet_t *pk, const unsigned char *p,
    size_t len, json_t **json);

/*
 * Appends "<type>[nsp,]" to b, with the leading Engine.IO "4"; nsp "/" is
 * never written.  SIO_OK or SIO_NOMEM.
 */
sio_rc_t sio_packet_begin(sio_buf_t *b, unsigned type, sio_str_t nsp);

/*
 * Checks the placeholders in the payload of a packet with attachments, as the
 * reference does when the last one has arrived: {"_placeholder":true,"num":n}
 * with n the number of an attachment.  SIO_OK or SIO_ERROR.
 */
sio_rc_t sio_packet_placeholders(json_t *json, unsigned attachments);

/* True for event names that applications may not use (doc/protocol.md). */
int sio_packet_reserved(const unsigned char *name, size_t len);

/* Appends a JSON string, quotes included, escaped as JSON.stringify() does. */
#define sio_packet_quote(b, p, len)  sio_json_quote(b, p, len)


#endif /* _SIO_PACKET_H_INCLUDED_ */
