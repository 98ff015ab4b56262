
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_FORWARD_H_INCLUDED_
#define _NGX_SIO_FORWARD_H_INCLUDED_


#include "ngx_sio_client.h"

#include <sio_packet.h>


/*
 * Events of clients for the backend: each becomes an entry of a Redis stream,
 * if "socketio_forward" of its location names it: see doc/directives.md.
 *
 * An event is accepted when Redis has confirmed its entry.  Entries leave on
 * the worker's command connection in the order of their events, and are never
 * sent again: when the connection is lost, or Redis does not answer in time,
 * nobody knows what became of them, and all that were not confirmed are
 * refused.  A client that posts is answered when all events of its body are
 * confirmed or refused; so what it posts next, to whatever worker, comes after.
 */


/* Why an event is refused. */

typedef enum {
    NGX_SIO_REFUSE_UNAVAILABLE,    /* Redis is away, slow, or full */
    NGX_SIO_REFUSE_LARGE,          /* more than the queue may hold */
    NGX_SIO_REFUSE_LIMITED         /* too many events */
} ngx_sio_refuse_e;


/*
 * True if an event of that name is for the backend, whose rule is *rule.  An
 * event's name that begins with "$" is not.
 */
ngx_uint_t ngx_sio_forward_wanted(ngx_sio_loc_conf_t *slcf,
    const sio_buf_t *name, ngx_sio_forward_rule_t **rule);

/* The rule of that name, or of "*"; NULL: there is none. */
ngx_sio_forward_rule_t *ngx_sio_forward_rule(ngx_array_t *rules,
    const u_char *name, size_t len);

/*
 * Forwards an event of a connected socket, which may be a branch, if it is
 * wanted: what is not, is for nobody.  A refusal is told to the socket.
 * attachment: as many as the packet has; all that is given is copied.
 */
void ngx_sio_forward_event(ngx_sio_client_t *socket, const sio_packet_t *pk,
    const sio_str_t *attachment);

/*
 * Refuses an event of a connected socket because there are too many of them; it
 * need not be one for the backend.  A WebSocket is answered at once, and not by
 * way of the log, which others would have to read.
 */
void ngx_sio_forward_limited(ngx_sio_client_t *socket, const sio_packet_t *pk);


#endif /* _NGX_SIO_FORWARD_H_INCLUDED_ */
