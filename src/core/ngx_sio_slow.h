
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_SLOW_H_INCLUDED_
#define _NGX_SIO_SLOW_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * WebSockets whose kernel buffer is full: what they are owed, by reference into
 * the log as long as it lasts there.
 */


/*
 * The kernel took sent bytes of n messages that lie in buf, and not all: the
 * rest is owed.  On failure the client is closed.
 */
void ngx_sio_slow_begin(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n, size_t sent);

/*
 * Owes one more message, of which pos bytes are sent or kept.  NGX_OK, or
 * NGX_DECLINED: the client is closed.
 */
ngx_int_t ngx_sio_slow_owe(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, size_t pos);

/* The same for a message that is shared; begins to owe if nothing is owed. */
ngx_int_t ngx_sio_slow_share(ngx_sio_client_t *sc,
    const ngx_sio_share_t *share);

/* Frees what is owed; unless all was sent, the stream ends here. */
void ngx_sio_slow_end(ngx_sio_client_t *sc);

/*
 * Copies for the slow what the log may overwrite soon: references below the
 * given offset.  While the copies take more than the size of the log, the
 * client with most of them is closed.
 */
void ngx_sio_slow_rescue(ngx_sio_gateway_t *gw, uint64_t below);


#endif /* _NGX_SIO_SLOW_H_INCLUDED_ */
