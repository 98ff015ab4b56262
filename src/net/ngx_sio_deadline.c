
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_deadline.h"


#define NGX_SIO_DEADLINE_BATCH  512     /* handlers called in one go */


struct ngx_sio_deadline_queue_s {
    ngx_queue_t                queue;      /* of deadlines, the next first */
    ngx_msec_t                 interval;
    ngx_sio_deadline_pt        handler;
    ngx_event_t                event;
    ngx_connection_t           ident;      /* event.data, for debug logs */
    ngx_sio_deadline_queue_t  *next;
};


static void ngx_sio_deadline_expire(ngx_event_t *ev);
static void ngx_sio_deadline_arm(ngx_sio_deadline_queue_t *q);


/* The queues of this worker: a few, one for each interval that is in use. */

static ngx_sio_deadline_queue_t  *ngx_sio_deadline_queues;


ngx_sio_deadline_queue_t *
ngx_sio_deadline_queue(ngx_msec_t interval, ngx_sio_deadline_pt handler)
{
    ngx_sio_deadline_queue_t  *q;

    for (q = ngx_sio_deadline_queues; q; q = q->next) {
        if (q->interval == interval && q->handler == handler) {
            return q;
        }
    }

    q = ngx_calloc(sizeof(ngx_sio_deadline_queue_t), ngx_cycle->log);
    if (q == NULL) {
        return NULL;
    }

    ngx_queue_init(&q->queue);
    q->interval = interval;
    q->handler = handler;

    q->ident.fd = (ngx_socket_t) -1;
    q->event.data = &q->ident;
    q->event.handler = ngx_sio_deadline_expire;
    q->event.log = ngx_cycle->log;
    q->event.cancelable = 1;

    q->next = ngx_sio_deadline_queues;
    ngx_sio_deadline_queues = q;

    return q;
}


void
ngx_sio_deadline_set(ngx_sio_deadline_queue_t *q, ngx_sio_deadline_t *d)
{
    ngx_sio_deadline_clear(d);

    d->at = ngx_current_msec + q->interval;
    ngx_queue_insert_tail(&q->queue, &d->link);

    if (!q->event.timer_set && !q->event.posted) {
        ngx_sio_deadline_arm(q);
    }
}


void
ngx_sio_deadline_clear(ngx_sio_deadline_t *d)
{
    if (d->link.next) {
        ngx_queue_remove(&d->link);
        d->link.next = NULL;
    }
}


static void
ngx_sio_deadline_expire(ngx_event_t *ev)
{
    ngx_uint_t                 n;
    ngx_connection_t          *ident;
    ngx_sio_deadline_t        *d;
    ngx_sio_deadline_queue_t  *q;

    ident = ev->data;
    q = (ngx_sio_deadline_queue_t *)
            ((u_char *) ident - offsetof(ngx_sio_deadline_queue_t, ident));

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, ev->log, 0,
                   "socketio deadlines of %M ms", q->interval);

    for (n = 0; !ngx_queue_empty(&q->queue); n++) {

        d = ngx_queue_data(ngx_queue_head(&q->queue), ngx_sio_deadline_t,
                           link);

        if ((ngx_msec_int_t) (d->at - ngx_current_msec) > 0) {
            break;
        }

        if (n == NGX_SIO_DEADLINE_BATCH) {
            /* thousands at once must not hold up the rest of the worker */
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        ngx_sio_deadline_clear(d);
        q->handler(d);
    }

    ngx_sio_deadline_arm(q);
}


static void
ngx_sio_deadline_arm(ngx_sio_deadline_queue_t *q)
{
    ngx_msec_int_t       left;
    ngx_sio_deadline_t  *d;

    if (ngx_queue_empty(&q->queue) || q->event.timer_set) {
        return;
    }

    d = ngx_queue_data(ngx_queue_head(&q->queue), ngx_sio_deadline_t, link);

    left = (ngx_msec_int_t) (d->at - ngx_current_msec);

    ngx_add_timer(&q->event, (ngx_msec_t) ngx_max(left, 1));
}
