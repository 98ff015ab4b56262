
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_RECEIVE_H_INCLUDED_
#define _NGX_SIO_RECEIVE_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * What a client's packets mean.  Whatever breaks a protocol closes that client
 * with the reason that the reference gives; nothing here frees it.
 */


/* One Engine.IO packet as a text message; data may be changed. */
void ngx_sio_receive_text(ngx_sio_client_t *sc, u_char *data, size_t len);

/* One binary message: an attachment. */
void ngx_sio_receive_binary(ngx_sio_client_t *sc, u_char *data, size_t len);


#endif /* _NGX_SIO_RECEIVE_H_INCLUDED_ */
