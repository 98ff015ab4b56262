
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_REQUEST_H_INCLUDED_
#define _NGX_SIO_REQUEST_H_INCLUDED_


#include "ngx_sio_conf.h"


/*
 * The content handler of "socketio": what a request wants, a handshake, a poll,
 * a POST or an upgrade, or what is wrong with it (doc/protocol.md).
 */
ngx_int_t ngx_sio_request_handler(ngx_http_request_t *r);


#endif /* _NGX_SIO_REQUEST_H_INCLUDED_ */
