
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
 * A send costs what the program touches behind it more than what it does: the
 * kernel has thrown that out of the near caches.  So all that one needs is
 * brought together before the first of many, and looked at behind the last.
 */


#define NGX_SIO_FAN_MAX  64


typedef struct {
    ngx_uint_t                n;
    ngx_socket_t              fd[NGX_SIO_FAN_MAX];
    ssize_t                   sent[NGX_SIO_FAN_MAX];
                                          /* of those that took less: bytes,
                                             or -1 and they are to be tried
                                             again by the connection's send */
} ngx_sio_fan_t;


/* True if bytes may go to its socket as they are: it is not under TLS. */
#define ngx_sio_fan_takes(c)  ((c)->send == ngx_send)

/*
 * Sends size bytes to each of the n sockets.  Returns a mask of those that have
 * not taken all of them, a bit for each, the first one lowest.
 */
uint64_t ngx_sio_fan_send(ngx_sio_fan_t *fan, const u_char *p, size_t size);


#endif /* _NGX_SIO_FAN_H_INCLUDED_ */
