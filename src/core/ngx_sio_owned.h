
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_OWNED_H_INCLUDED_
#define _NGX_SIO_OWNED_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * Clients of this worker by the Engine.IO id of their session: those that other
 * workers may have something to tell, which are pending polls and WebSockets
 * that polled before.
 */


/* Returns an empty index or NULL without memory. */
ngx_sio_owned_t *ngx_sio_owned_create(ngx_sio_gateway_t *gw);

/* Enters a client that has a session; takes it out, if it is in. */
void ngx_sio_owned_add(ngx_sio_client_t *sc);
void ngx_sio_owned_remove(ngx_sio_client_t *sc);

/* hash is sio_hash(seed, id).  NULL if there is none. */
ngx_sio_client_t *ngx_sio_owned_find(ngx_sio_gateway_t *gw, uint64_t hash,
    const u_char *eio_sid, size_t len);

/* Closes those whose session was ended by another worker. */
void ngx_sio_owned_check(ngx_sio_gateway_t *gw);


#endif /* _NGX_SIO_OWNED_H_INCLUDED_ */
