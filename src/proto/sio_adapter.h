
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_ADAPTER_H_INCLUDED_
#define _SIO_ADAPTER_H_INCLUDED_


#include "sio_buf.h"
#include "sio_record.h"


/*
 * Messages of @socket.io/redis-adapter and @socket.io/redis-emitter, decoded
 * into sio_message_t: broadcasts (msgpack on "<prefix>#<nsp>#...") and requests
 * (JSON or msgpack on "<prefix>-request#<nsp>#").
 *
 * A decoder object is scratch space that is used again for every message, so
 * that decoding does not allocate once it is warm.
 */


typedef struct {
    sio_buf_t        text;        /* "42[...]" */
    sio_buf_t        names_buf;   /* holds the sio_str_t array below */
    sio_buf_t        digits;      /* names that came as numbers */
    sio_str_t       *names;
    sio_str_t        part[SIO_RECORD_PARTS];
    void            *json;        /* json_t that the names point into */

    /* of a request whose event asks for answers, out: */
    sio_str_t        uid;         /* who asks; empty: it does not say */
    sio_str_t        request;     /* its id */
    uint64_t         timeout;     /* ms, 0: it does not say */
} sio_adapter_t;


/* All zero is a valid decoder; this returns its memory. */
void sio_adapter_free(sio_adapter_t *a);

/*
 * Decodes a broadcast [uid, packet, opts]; the order of map keys is free.
 * nsp is the namespace of the channel that it came on: the packet must name
 * the same one or none.  m->nsp is left to the caller.  The text is
 * "42[nsp,]<data>", with bins "45<n>-[nsp,]<data>"; packet.data must be a
 * non-empty array.  A packet of type ACK with an id is "43[nsp,]<id><data>", or
 * "46<n>-...", and BARE.  Rooms or except of nil count as empty; a number in
 * them becomes its decimal string.
 *
 *   SIO_OK        *m is an EMIT; its views live until the next call and as
 *                 long as the input does
 *   SIO_AGAIN     well-formed, but nothing to deliver (another namespace, or
 *                 another type of packet)
 *   SIO_ERROR     not such a message; *error says what, in static text
 *   SIO_LIMIT     nested too deep, too many rooms or attachments; *error set
 *   SIO_NOMEM
 */
sio_rc_t sio_adapter_broadcast(sio_adapter_t *a, sio_message_t *m,
    sio_str_t nsp, const unsigned char *p, size_t len, const char **error);

/*
 * Decodes a request: types 2, 3 and 4 (join, leave, disconnect) become a
 * command; type 7, in msgpack, an EMIT, BARE, whose event has the ack id ack:
 * then a->uid, a->request and a->timeout are set, as long-lived as *m.  Others
 * give SIO_AGAIN: they ask for answers that nobody expects from a node which is
 * not counted.  Results as above.
 */
sio_rc_t sio_adapter_request(sio_adapter_t *a, sio_message_t *m,
    sio_str_t nsp, uint64_t ack, const unsigned char *p, size_t len,
    const char **error);


#endif /* _SIO_ADAPTER_H_INCLUDED_ */
