
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_GREET_H_INCLUDED_
#define _NGX_SIO_GREET_H_INCLUDED_


#include "ngx_sio_client.h"

#include <jansson.h>


/*
 * "$connect" and "$disconnect": the backend is told of sockets that come and go
 * (contract in doc/directives.md).
 *
 * $connect is sent when the socket is in its rooms and its reply is queued.  If
 * Redis does not confirm it the transport is closed, and the client comes back.
 * $disconnect is a farewell in the zone, see ngx_sio_farewell.h, which this
 * worker sends if it is its own, or nobody's, until it is confirmed.
 */


/* NULL without memory. */
ngx_sio_greet_t *ngx_sio_greet_create(ngx_sio_gateway_t *gw);

/*
 * The argument of $connect, as the text of an array: the payload of a CONNECT,
 * which may be empty, without what is the gateway's in it: a token is the
 * application's where auth is off.  In the pool.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_sio_greet_args(ngx_sio_loc_conf_t *slcf,
    const sio_str_t *auth, ngx_pool_t *pool, ngx_str_t *args);

/* The stream that the end of its sockets is told to; 0: none. */
#define ngx_sio_greet_farewell(sc)                                            \
    ((sc)->conf->farewell ? (sc)->conf->farewell->number : 0)

/* True if Redis takes a $connect of that size now. */
ngx_uint_t ngx_sio_greet_ready(ngx_sio_gateway_t *gw, size_t size);

/* Who has come. */

typedef struct {
    const u_char             *sid;
    ngx_str_t                *user;
    ngx_str_t                *args;
    ngx_uint_t                recovered;
} ngx_sio_greet_who_t;

/*
 * Sends $connect for a socket whose location wants it.  One that posts is
 * answered when it is confirmed.  NGX_OK; else nothing was sent.
 */
ngx_int_t ngx_sio_greet_connect(ngx_sio_client_t *socket,
    const ngx_sio_greet_who_t *who);

/*
 * Sockets may have ended: looks for farewells, soon, or if Redis is back.  The
 * sweep also looks for those of the dead.
 */
void ngx_sio_greet_news(ngx_sio_gateway_t *gw);
void ngx_sio_greet_sweep(ngx_sio_gateway_t *gw);
void ngx_sio_greet_handler(ngx_event_t *ev);

/* True while there are farewells of this worker that Redis may confirm. */
ngx_uint_t ngx_sio_greet_pending(ngx_sio_gateway_t *gw);


#endif /* _NGX_SIO_GREET_H_INCLUDED_ */
