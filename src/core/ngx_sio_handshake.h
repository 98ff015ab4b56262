
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_HANDSHAKE_H_INCLUDED_
#define _NGX_SIO_HANDSHAKE_H_INCLUDED_


#include "ngx_sio_gateway.h"

#include <sio_eio.h>


/*
 * New sessions.  Both return what the content handler is to return; the second
 * one's last argument is not used.
 */
ngx_int_t ngx_sio_handshake_poll(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf);
ngx_int_t ngx_sio_handshake_websocket(ngx_http_request_t *r,
    ngx_sio_gateway_t *gw, ngx_sio_loc_conf_t *slcf, const u_char *eio_sid);

/*
 * Keeps the token of the query for the function below, and writes "*" over it
 * wherever nginx has it for its logs: every line about r may show the request
 * line.  NGX_OK, also without a token, or NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_handshake_token(ngx_http_request_t *r,
    const sio_eio_query_t *query);

/*
 * The token that came with the request, on the heap: that of an Authorization
 * header, else that of the query, as far as the configuration allows for them;
 * *bearer is NULL if there is none.  NGX_OK, or NGX_ERROR without memory.
 */
ngx_int_t ngx_sio_handshake_bearer(ngx_http_request_t *r, ngx_str_t **bearer);


#endif /* _NGX_SIO_HANDSHAKE_H_INCLUDED_ */
