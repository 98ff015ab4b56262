
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_WEBSOCKET_H_INCLUDED_
#define _NGX_SIO_WEBSOCKET_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * The transport of clients that have a WebSocket.
 */


/*
 * Makes the client of a detached connection; it has no session yet.  window: as
 * agreed in the handshake.  Returns NULL without memory: then the caller still
 * owns the connection.
 */
ngx_sio_client_t *ngx_sio_websocket_create(ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, ngx_connection_t *c, ngx_uint_t window);

/*
 * Gives it a new session and starts its deadlines.  NGX_OK or NGX_ERROR
 * (memory).
 */
ngx_int_t ngx_sio_websocket_open(ngx_sio_client_t *sc, uint32_t session,
    uint64_t owner);

/*
 * Goes on with the heartbeat of a session that polled: a pong is due, or the
 * next ping in so many ms.
 */
void ngx_sio_websocket_beat(ngx_sio_client_t *sc, ngx_uint_t pinged,
    ngx_msec_t left);

/*
 * True if bytes for a client may be given to its connection as they lie: it is
 * a WebSocket that is not behind and wants nothing compressed.
 */
#define ngx_sio_websocket_is_plain(sc)                                        \
    ((sc)->ws.connection && (sc)->out == NULL && (sc)->ws.window == 0         \
     && (sc)->state != NGX_SIO_CLIENT_CLOSED)

/*
 * Goes on with the write of n messages, which ngx_sio_client_write() describes,
 * of which the connection has taken so many bytes, or returned an error.
 */
void ngx_sio_websocket_write_on(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n, ssize_t rc);

/* A message of the client.  May close it. */
void ngx_sio_websocket_message(ngx_sio_client_t *sc, ngx_uint_t opcode,
    u_char *data, size_t len);


#endif /* _NGX_SIO_WEBSOCKET_H_INCLUDED_ */
