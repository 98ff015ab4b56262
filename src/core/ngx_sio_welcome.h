
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_WELCOME_H_INCLUDED_
#define _NGX_SIO_WELCOME_H_INCLUDED_


#include "ngx_sio_client.h"


/* What a client is told when it has become a socket. */


/*
 * Writes a CONNECT reply, as long as this at most; pid may be NULL.  Returns
 * what is behind.
 */
#define NGX_SIO_WELCOME_REPLY  (96 + NGX_SIO_NSP_LEN)

u_char *ngx_sio_welcome_reply(ngx_sio_client_t *sc, u_char *p,
    const u_char *sid, const u_char *pid);

/*
 * Sends the ready event, if there is one, to a client that is a socket from an
 * offset on.
 */
void ngx_sio_welcome_ready(ngx_sio_client_t *sc, uint64_t at);


#endif /* _NGX_SIO_WELCOME_H_INCLUDED_ */
