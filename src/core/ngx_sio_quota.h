
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_QUOTA_H_INCLUDED_
#define _NGX_SIO_QUOTA_H_INCLUDED_


#include "ngx_sio_client.h"

#include <sio_packet.h>


/*
 * What "socketio_limit" does; what it counts is in store/ngx_sio_limit.h.
 */


/*
 * The key of the address that a request comes from, as nginx has it by now; 0
 * if that is none of IP.
 */
uint64_t ngx_sio_quota_address(ngx_http_request_t *r, ngx_sio_gateway_t *gw);

/*
 * A handshake that would be one connection too many of its address.  Returns
 * what the request is to be finalized with.
 */
ngx_int_t ngx_sio_quota_refuse(ngx_http_request_t *r, ngx_sio_gateway_t *gw);

/*
 * The client has become a socket: while its user has too many connections, the
 * oldest of them is told so, sent DISCONNECT, and closed.  May close sc if the
 * log or the zone is not to be had: it comes back.
 */
void ngx_sio_quota_connected(ngx_sio_client_t *sc);

/*
 * True if an event of a connected socket may be taken.  Else it is refused,
 * and nothing more is read from the client until there is a token again: a
 * WebSocket is not read, a POST not answered.  May close the client.
 */
ngx_uint_t ngx_sio_quota_event(ngx_sio_client_t *socket,
    const sio_packet_t *pk);

/* The client is being freed: it is not waited with any more. */
void ngx_sio_quota_end(ngx_sio_client_t *sc);


#endif /* _NGX_SIO_QUOTA_H_INCLUDED_ */
