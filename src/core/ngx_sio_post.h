
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_POST_H_INCLUDED_
#define _NGX_SIO_POST_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * The transport of packets that come by POST.
 *
 * The worker that gets the request does not own the session, which may have a
 * poll pending elsewhere.  It handles the packets on behalf of it: what changes
 * is written to the session record, and what there is to send goes through the
 * log to whoever owns the session, or polls next.
 */


/*
 * Handles a POST for the session of an Engine.IO id (NGX_SIO_SID_LEN bytes).
 * Returns what the content handler is to return.
 */
ngx_int_t ngx_sio_post_start(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid);

/*
 * Gives the socket of a session that came back, for which the caller has a
 * ticket, to the session of a client that posts; events from an offset on are
 * still to be sent.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_sio_post_recover(ngx_sio_client_t *sc, uint32_t from,
    uint64_t owner, uint64_t events, ngx_str_t *reply);


/*
 * post_socket.c: what the packets of a POST do to a socket, for the tables of
 * transports; sc is the client that posts, or a branch of it.
 */

/*
 * The socket's session, zone lock held; *session is its index.  NULL and 0 if
 * there is none.
 */
ngx_sio_session_sh_t *ngx_sio_post_session_locked(ngx_sio_client_t *sc,
    uint32_t *session);

/*
 * The id of a socket, of whatever transport, in NGX_SIO_SID_LEN bytes.  NGX_OK;
 * NGX_DECLINED: it is no socket; NGX_BUSY: the zone is locked.
 */
ngx_int_t ngx_sio_post_sid(ngx_sio_client_t *sc, u_char *sid);

void ngx_sio_post_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n);
void ngx_sio_post_pong(ngx_sio_client_t *sc);
void ngx_sio_post_alive(ngx_sio_client_t *sc);
void ngx_sio_post_disconnect(ngx_sio_client_t *sc);
void ngx_sio_post_kick(ngx_sio_client_t *sc, ngx_uint_t close);
ngx_int_t ngx_sio_post_connect(ngx_sio_client_t *sc,
    ngx_sio_session_socket_t *socket, ngx_str_t *reply);


#endif /* _NGX_SIO_POST_H_INCLUDED_ */
