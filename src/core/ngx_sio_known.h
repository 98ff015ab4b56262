
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_KNOWN_H_INCLUDED_
#define _NGX_SIO_KNOWN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Tokens that this worker has verified, for those who come back with the same
 * one: often all at once, and a signature is what costs most.
 *
 * All that is kept is that the signature was right, so nothing that depends on
 * the time or on other directives is remembered, and only a digest of the
 * token, with a secret of the worker in it.  There is one table for each list
 * of keys, which ends with the configuration.
 */


#define NGX_SIO_KNOWN_DIGEST  16


typedef struct ngx_sio_known_s  ngx_sio_known_t;


/* NULL without memory.  The memory of the table comes with the first token. */
ngx_sio_known_t *ngx_sio_known_create(ngx_pool_t *pool);

/*
 * True if the signature of a token was found to be right before; else digest,
 * of NGX_SIO_KNOWN_DIGEST bytes, is what ngx_sio_known_add() takes.
 */
ngx_uint_t ngx_sio_known_find(ngx_sio_known_t *kn, ngx_str_t *token,
    u_char *digest);

/*
 * Keeps a token, whose signature is right, in the place of some other one if
 * there is no free place.  Without memory, it does not.
 */
void ngx_sio_known_add(ngx_sio_known_t *kn, ngx_str_t *token, u_char *digest);


#endif /* _NGX_SIO_KNOWN_H_INCLUDED_ */
