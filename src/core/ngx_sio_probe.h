
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_PROBE_H_INCLUDED_
#define _NGX_SIO_PROBE_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * The upgrade of a session that polls (doc/protocol.md): a WebSocket with its
 * id probes, on whatever worker, and takes the session over when the client
 * says so.  Until then the session goes on polling, whatever becomes of the
 * probe.
 */


/*
 * Handles an upgrade request with the id of a session (NGX_SIO_SID_LEN bytes).
 * Returns what the content handler is to return.
 */
ngx_int_t ngx_sio_probe_start(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid);

/* A message on a WebSocket that probes. */
void ngx_sio_probe_message(ngx_sio_client_t *sc, ngx_uint_t opcode,
    u_char *data, size_t len);

/*
 * The session has arrived: the WebSocket is its transport from now on, and what
 * the client has sent behind the "5" is handled.  May close it.
 */
void ngx_sio_probe_arrived(ngx_sio_client_t *sc);

/* Gives the probe of a client up. */
void ngx_sio_probe_end(ngx_sio_client_t *sc);


#endif /* _NGX_SIO_PROBE_H_INCLUDED_ */
