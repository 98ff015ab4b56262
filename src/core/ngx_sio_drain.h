
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_DRAIN_H_INCLUDED_
#define _NGX_SIO_DRAIN_H_INCLUDED_


#include "ngx_sio_gateway.h"


/*
 * A worker that leaves, because nginx was reloaded or told to quit: pending
 * polls are answered at once, WebSockets are closed one after the other within
 * the time that "drain" says, so that not all of them come back in the same
 * moment.  Until then they are served as ever.
 */


/* Begins; no effect if it has begun. */
void ngx_sio_drain_begin(ngx_sio_gateway_t *gw);

/* Handler of the timer gateway->drain, which keeps the process alive. */
void ngx_sio_drain_handler(ngx_event_t *ev);


#endif /* _NGX_SIO_DRAIN_H_INCLUDED_ */
