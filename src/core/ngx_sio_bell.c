
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_bell.h"

#include <sys/eventfd.h>


#define NGX_SIO_BELLS  128       /* process slots with a doorbell */


static void ngx_sio_bell_handler(ngx_event_t *rev);


static int                ngx_sio_bells[NGX_SIO_BELLS];
static ngx_uint_t         ngx_sio_bell_made;

/* This worker's. */

static ngx_connection_t  *ngx_sio_bell_connection;
static ngx_sio_bell_pt    ngx_sio_bell_rung;
static ngx_sio_bell_pt    ngx_sio_bell_leave;


ngx_int_t
ngx_sio_bell_init(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    if (ngx_sio_bell_made) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_SIO_BELLS; i++) {

        ngx_sio_bells[i] = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (ngx_sio_bells[i] == -1) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                          "eventfd() failed");

            while (i--) {
                (void) close(ngx_sio_bells[i]);
            }

            return NGX_ERROR;
        }
    }

    ngx_sio_bell_made = 1;

    return NGX_OK;
}


ngx_int_t
ngx_sio_bell_listen(ngx_cycle_t *cycle, ngx_sio_bell_pt rung,
    ngx_sio_bell_pt leave)
{
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    if (ngx_process_slot >= NGX_SIO_BELLS) {
        /* the sweep looks at the log often enough to live without */
        return NGX_OK;
    }

    c = ngx_get_connection(ngx_sio_bells[ngx_process_slot], cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    rev = c->read;
    rev->log = cycle->log;
    rev->handler = ngx_sio_bell_handler;
    c->write->log = cycle->log;

    /* no alert about an open socket; a call when the worker has to leave */
    rev->channel = 1;
    c->idle = 1;

    ngx_sio_bell_connection = c;
    ngx_sio_bell_rung = rung;
    ngx_sio_bell_leave = leave;

    return ngx_add_event(rev, NGX_READ_EVENT, NGX_CLEAR_EVENT);
}


/*
 * The counter is never read: under EPOLLET every write to it is an event of
 * its own.
 */

static void
ngx_sio_bell_handler(ngx_event_t *rev)
{
    ngx_connection_t  *c;

    c = rev->data;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, rev->log, 0, "socketio bell");

    if (c->close) {
        c->close = 0;
        c->idle = 0;
        ngx_sio_bell_leave();
        return;
    }

    ngx_sio_bell_rung();
}


void
ngx_sio_bell_ring(ngx_int_t process_slot)
{
    uint64_t  one;

    if (process_slot < NGX_SIO_BELLS) {
        one = 1;
        (void) ngx_write_fd(ngx_sio_bells[process_slot], &one,
                            sizeof(uint64_t));
    }
}


void
ngx_sio_bell_release(void)
{
    ngx_connection_t  *c;

    c = ngx_sio_bell_connection;

    if (c) {
        /* the descriptor belongs to the next in this process slot as well */
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        ngx_sio_bell_connection = NULL;
    }
}
