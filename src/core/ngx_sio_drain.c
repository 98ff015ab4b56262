
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_drain.h"
#include "ngx_sio_client.h"
#include "ngx_sio_greet.h"
#include "ngx_sio_turn.h"


#define NGX_SIO_DRAIN_STEP  50        /* ms between two steps, about */


static void ngx_sio_drain_polls(ngx_sio_gateway_t *gw);
static void ngx_sio_drain_close(ngx_sio_gateway_t *gw, ngx_uint_t n,
    ngx_uint_t all);


void
ngx_sio_drain_begin(ngx_sio_gateway_t *gw)
{
    if (gw->closing) {
        return;
    }

    gw->closing = 1;
    gw->worker->leaving = 1;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, gw->log, 0,
                   "socketio drain %ui clients of gateway \"%V\"",
                   gw->nclients, &gw->conf->name);

    gw->drain_from = ngx_current_msec;
    gw->drain_of = gw->nclients;

    /* before anything is posted: the timer is what keeps the process */
    ngx_add_timer(&gw->drain, 1);

    ngx_sio_drain_polls(gw);

    if (gw->feed) {
        ngx_sio_feed_leave(gw->feed);
    }
}


/* Who polls comes back to another worker, with nothing lost. */

static void
ngx_sio_drain_polls(ngx_sio_gateway_t *gw)
{
    ngx_queue_t       *q, *next;
    ngx_sio_client_t  *sc;

    for (q = ngx_queue_head(&gw->clients);
         q != ngx_queue_sentinel(&gw->clients);
         q = next)
    {
        next = ngx_queue_next(q);
        sc = ngx_queue_data(q, ngx_sio_client_t, link);

        if (sc->transport->kind == SIO_EIO_POLLING) {
            sc->transport->release(sc);
        }
    }
}


void
ngx_sio_drain_handler(ngx_event_t *ev)
{
    ngx_uint_t          due, gone;
    ngx_msec_t          passed, drain;
    ngx_sio_gateway_t  *gw;

    gw = ngx_queue_data(ev, ngx_sio_gateway_t, drain);

    drain = gw->conf->drain;
    passed = ngx_current_msec - gw->drain_from;

    /* polls may have come in the meantime */
    ngx_sio_drain_polls(gw);

    if (passed >= drain) {
        ngx_sio_drain_close(gw, gw->nclients, 1);

    } else {
        due = (ngx_uint_t) ((uint64_t) gw->drain_of * passed / drain);
        gone = gw->drain_of - ngx_min(gw->nclients, gw->drain_of);

        if (due > gone) {
            ngx_sio_drain_close(gw, due - gone, 0);
        }
    }

    if (gw->nclients == 0 && gw->forwarding == 0
        && !ngx_sio_greet_pending(gw))
    {
        return;
    }

    ngx_add_timer(ev, NGX_SIO_DRAIN_STEP / 2
                      + ngx_random() % NGX_SIO_DRAIN_STEP);
}


/* Those that are being connected have time until the end. */

static void
ngx_sio_drain_close(ngx_sio_gateway_t *gw, ngx_uint_t n, ngx_uint_t all)
{
    ngx_queue_t       *q, *next;
    ngx_sio_client_t  *sc;

    for (q = ngx_queue_head(&gw->clients);
         n && q != ngx_queue_sentinel(&gw->clients);
         q = next)
    {
        next = ngx_queue_next(q);
        sc = ngx_queue_data(q, ngx_sio_client_t, link);

        if (sc->transport->kind == SIO_EIO_POLLING) {
            /* they end by themselves, and soon */
            continue;
        }

        if (all || sc->state != NGX_SIO_CLIENT_CONNECTING) {
            ngx_sio_turn_flush_all(sc);
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_SHUTDOWN);
            n--;
        }
    }
}
