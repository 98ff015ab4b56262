
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ACKS_H_INCLUDED_
#define _NGX_SIO_ACKS_H_INCLUDED_


#include "ngx_sio_gateway.h"

#include <sio_adapter.h>
#include <sio_packet.h>


/*
 * Events that ask clients for an answer, and the answers.
 *
 * The worker that reads the feed gives each of them an ack id and remembers who
 * asks; all workers know from the zone which ids are asked for.  An answer goes
 * through the log, whichever worker it came to, and the worker that remembers
 * takes the first one of each socket.  When that worker ends, what it remembers
 * is gone, and who has asked does without.
 */


/* What a worker remembers; NULL without memory. */
ngx_sio_acks_t *ngx_sio_acks_create(ngx_sio_gateway_t *gw);

/* Draws an ack id.  NGX_OK, or NGX_ERROR without random bytes. */
ngx_int_t ngx_sio_acks_draw(ngx_sio_gateway_t *gw, uint64_t *id);

/*
 * From now on answers to an id count, for as long as the request wants, which
 * the adapter has decoded.
 */
void ngx_sio_acks_ask(ngx_sio_gateway_t *gw, uint64_t id, uint16_t nsp,
    sio_adapter_t *request);

/*
 * A socket's ACK packet.  One that answers nothing, or too late, is ignored, as
 * the reference does.  sc: the socket, a branch or not.
 */
void ngx_sio_acks_answer(ngx_sio_client_t *sc, const sio_packet_t *pk);

/*
 * An answer of the backend to an event of a client, in *m: an EMIT, BARE.
 * NGX_OK; NGX_DECLINED: no socket here has the id that is the only room.  Both
 * are counted.
 */
ngx_int_t ngx_sio_acks_relay(ngx_sio_gateway_t *gw, const sio_message_t *m);

/* A record of an answer, up to its parts. */
void ngx_sio_acks_record(ngx_sio_gateway_t *gw, const sio_record_t *rec);

/* Forgets what nobody waits for any more. */
void ngx_sio_acks_expire(ngx_sio_gateway_t *gw);


#endif /* _NGX_SIO_ACKS_H_INCLUDED_ */
