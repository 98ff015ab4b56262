
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_DEADLINE_H_INCLUDED_
#define _NGX_SIO_DEADLINE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * Deadlines of many connections with the same interval.
 *
 * All that wait for the same number of milliseconds stand in one FIFO, which
 * is sorted by itself, under one timer: to set or move a deadline costs two
 * list operations, and an idle connection has no timer of its own.
 */


/* Embedded in what has a deadline; zeroed means not set. */

typedef struct {
    ngx_queue_t               link;
    ngx_msec_t                at;
} ngx_sio_deadline_t;


typedef void (*ngx_sio_deadline_pt)(ngx_sio_deadline_t *d);

typedef struct ngx_sio_deadline_queue_s  ngx_sio_deadline_queue_t;


/*
 * Finds this worker's queue for an interval and a handler, or makes it.
 * Returns NULL without memory.  The handler is called with a deadline that is
 * no longer set; it may free what it is embedded in.
 */
ngx_sio_deadline_queue_t *ngx_sio_deadline_queue(ngx_msec_t interval,
    ngx_sio_deadline_pt handler);

/* Sets a deadline, or moves it, to one interval from now. */
void ngx_sio_deadline_set(ngx_sio_deadline_queue_t *q, ngx_sio_deadline_t *d);

/* Clears a deadline; no effect if it is not set. */
void ngx_sio_deadline_clear(ngx_sio_deadline_t *d);


#endif /* _NGX_SIO_DEADLINE_H_INCLUDED_ */
