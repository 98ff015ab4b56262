
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_UPGRADE_H_INCLUDED_
#define _NGX_SIO_UPGRADE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * From an HTTP request to a connection that is nothing but a WebSocket: the
 * opening handshake of RFC 6455, and the release of the request, its pool and
 * the header buffers, which is what makes an idle WebSocket cheap.
 */


/*
 * True if the request asks for an upgrade of any kind: it has an Upgrade
 * header, and Connection names it.
 */
ngx_uint_t ngx_sio_upgrade_requested(ngx_http_request_t *r);

/*
 * Checks the handshake, with deflate also the offers of extensions.  NGX_OK;
 * NGX_DECLINED with *error set to what the reference answers in the body of its
 * 400; NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_upgrade_check(ngx_http_request_t *r, ngx_uint_t deflate,
    ngx_str_t *error);

/*
 * Sends 101, with body behind it in the same write, and lets the request go.
 * To be called from a content handler, which returns its result: NGX_DONE, or
 * an error that finalizes the request.  deflate: an offer of permessage-deflate
 * is taken up.
 *
 * Then exactly one of the two is called, in the case of detached not before
 * the content handler has returned:
 *
 *   detached   the connection is free of its request; the len bytes at p came
 *              behind the handshake and are valid during the call; window is
 *              that of the client, in bits, or 0: without permessage-deflate
 *   failed     the client went away, or an error occurred
 */
typedef void (*ngx_sio_upgrade_detached_pt)(void *data, ngx_connection_t *c,
    ngx_uint_t window, u_char *p, size_t len);

ngx_int_t ngx_sio_upgrade_start(ngx_http_request_t *r, ngx_uint_t deflate,
    u_char *body, size_t len, ngx_sio_upgrade_detached_pt detached,
    void (*failed)(void *data), void *data);


#endif /* _NGX_SIO_UPGRADE_H_INCLUDED_ */
