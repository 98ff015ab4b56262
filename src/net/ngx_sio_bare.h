
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_BARE_H_INCLUDED_
#define _NGX_SIO_BARE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * A connection that is done with HTTP and has no pool any more, only what is
 * said of it in the log: some hundred bytes, where the least that nginx keeps
 * for one is twice that.
 */


/*
 * Lets a connection go from its pool, to which nothing may refer.  One stays as
 * it is without memory, and if somebody has a cleanup in the pool.
 */
void ngx_sio_bare_make(ngx_connection_t *c);

/* Closes a connection, bare or not; under TLS, when the peer agrees or is late.
 * Destroys c. */
void ngx_sio_bare_close(ngx_connection_t *c);


#endif /* _NGX_SIO_BARE_H_INCLUDED_ */
