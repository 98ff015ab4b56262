
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_DISPATCH_H_INCLUDED_
#define _NGX_SIO_DISPATCH_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * From the log to the clients.
 *
 * Records become messages of a turn, see turn.h.  Those with the same audience
 * that follow each other make one segment, and meet each member once.  Commands
 * change rooms between two segments, in the order of the log.
 */


/* NULL without memory. */
ngx_sio_dispatch_t *ngx_sio_dispatch_create(ngx_sio_gateway_t *gw);

/*
 * Delivers up to the head of the log, or for a bounded time and posts itself
 * for the rest; then the doorbell is armed.
 */
void ngx_sio_dispatch_run(ngx_sio_gateway_t *gw);

/* Posts a run for the end of this turn. */
void ngx_sio_dispatch_post(ngx_sio_gateway_t *gw);

/*
 * Calls each() once for every connected client that a record addresses; it
 * must not change rooms.
 */
typedef void (*ngx_sio_dispatch_each_pt)(ngx_sio_gateway_t *gw,
    ngx_sio_client_t *sc, void *data);

void ngx_sio_dispatch_addressed(ngx_sio_gateway_t *gw,
    const sio_record_t *rec, ngx_sio_dispatch_each_pt each, void *data);


#endif /* _NGX_SIO_DISPATCH_H_INCLUDED_ */
