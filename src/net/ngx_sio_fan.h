
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_FAN_H_INCLUDED_
#define _NGX_SIO_FAN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * The same bytes to many sockets.
 *
 * Each send throws out of the near caches what the program needs for the next
 * one.  So all that they need is brought together before the first of them, and
 * how they went is looked at after the last.
 */


#define NGX_SIO_FAN_MAX  64


typedef struct {
    ngx_uint_t                n;
    ngx_socket_t              fd[NGX_SIO_FAN_MAX];
    ngx_err_t                 err[NGX_SIO_FAN_MAX];
    ssize_t                   sent[NGX_SIO_FAN_MAX];
                                          /* bytes, or -1: see err; only of
                                             those that did not take all */
} ngx_sio_fan_t;


/* True if bytes for a connection may go to its socket: it is not under TLS. */
#define ngx_sio_fan_takes(c)  ((c)->send == ngx_send)

/*
 * Sends size bytes to each of the n sockets.  Returns a mask of those that did
 * not take all of them, a bit for each, the first one lowest; for these
 * ngx_sio_fan_result() has to be called.
 */
uint64_t ngx_sio_fan_send(ngx_sio_fan_t *fan, const u_char *p, size_t size);

/*
 * What the connection of socket i makes of that: as c->send() does, it notes if
 * the socket is not ready, logs an error, and returns bytes sent, NGX_AGAIN or
 * NGX_ERROR.  c->sent, which nobody reads once it is detached, stays.
 */
ssize_t ngx_sio_fan_result(ngx_sio_fan_t *fan, ngx_uint_t i,
    ngx_connection_t *c);


#endif /* _NGX_SIO_FAN_H_INCLUDED_ */
