
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_HANDSHAKE_H_INCLUDED_
#define _NGX_SIO_HANDSHAKE_H_INCLUDED_


#include "ngx_sio_gateway.h"


/*
 * The content handler of a socketio location: answers the Engine.IO handshake
 * or refuses it, checking in the order of the reference, and makes a client.
 */
ngx_int_t ngx_sio_handshake_handler(ngx_http_request_t *r);


#endif /* _NGX_SIO_HANDSHAKE_H_INCLUDED_ */
