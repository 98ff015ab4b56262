
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_gateway.h"
#include "ngx_sio_acks.h"
#include "ngx_sio_client.h"
#include "ngx_sio_beat.h"
#include "ngx_sio_bell.h"
#include "ngx_sio_check.h"
#include "ngx_sio_claim.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_dispatch.h"
#include "ngx_sio_drain.h"
#include "ngx_sio_greet.h"
#include "ngx_sio_owned.h"
#include "ngx_sio_part.h"
#include "ngx_sio_poll.h"
#include "ngx_sio_presence.h"
#include "ngx_sio_refresh.h"
#include "ngx_sio_rooms.h"
#include "ngx_sio_turn.h"


#define NGX_SIO_GATEWAY_SWEEP    100       /* ms */
#define NGX_SIO_GATEWAY_CHECK    10        /* sweeps between looks for sessions
                                              that others have ended */
#define NGX_SIO_GATEWAY_WARN     60000     /* ms between lines on a full zone */


static ngx_int_t ngx_sio_gateway_create(ngx_sio_gateway_conf_t *conf,
    ngx_cycle_t *cycle);
static void ngx_sio_gateway_event(ngx_sio_gateway_t *gw, ngx_event_t *ev,
    ngx_event_handler_pt handler);
static void ngx_sio_gateway_enter(ngx_sio_gateway_t *gw);
static void ngx_sio_gateway_rung(void);
static void ngx_sio_gateway_ring_slot(void *data, ngx_uint_t slot,
    ngx_int_t process_slot);
static void ngx_sio_gateway_sweep(ngx_event_t *ev);
static void ngx_sio_gateway_close(ngx_event_t *ev);
static void ngx_sio_gateway_shutdown(void);
static void ngx_sio_gateway_abandon(ngx_sio_gateway_t *gw);

static void ngx_sio_gateway_command_ready(void *data);
static void ngx_sio_gateway_command_lost(void *data);


/* This worker's gateways. */

static ngx_sio_gateway_t  *ngx_sio_gateways;
static ngx_uint_t          ngx_sio_gateway_n;

/* What a worker without a slot counts for. */

static ngx_sio_worker_sh_t  ngx_sio_gateway_no_worker;

/* The record that is being appended: kept, because most are small. */

static sio_buf_t            ngx_sio_gateway_record;


static const ngx_sio_redis_handler_t  ngx_sio_gateway_command_handler = {
    ngx_sio_gateway_command_ready,
    ngx_sio_gateway_command_lost,
    NULL,
    NULL
};


ngx_int_t
ngx_sio_gateway_init_worker(ngx_cycle_t *cycle, ngx_sio_main_conf_t *smcf)
{
    ngx_uint_t                i;
    ngx_sio_gateway_conf_t  **conf;

    if (smcf->gateways.nelts == 0) {
        return NGX_OK;
    }

    if ((ngx_event_flags & NGX_USE_CLEAR_EVENT) == 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "socketio needs edge-triggered events (\"use epoll\")");
        return NGX_ERROR;
    }

    ngx_sio_gateways = ngx_calloc(smcf->gateways.nelts
                                  * sizeof(ngx_sio_gateway_t), cycle->log);
    if (ngx_sio_gateways == NULL) {
        return NGX_ERROR;
    }

    conf = smcf->gateways.elts;

    for (i = 0; i < smcf->gateways.nelts; i++) {

        if (ngx_sio_gateway_create(conf[i], cycle) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_sio_bell_listen(cycle, ngx_sio_gateway_rung,
                               ngx_sio_gateway_shutdown);
}


static ngx_int_t
ngx_sio_gateway_create(ngx_sio_gateway_conf_t *conf, ngx_cycle_t *cycle)
{
    ngx_sio_gateway_t  *gw;

    gw = &ngx_sio_gateways[ngx_sio_gateway_n++];

    gw->conf = conf;
    gw->zone = &conf->zone;
    gw->log = cycle->log;
    gw->oldest = (uint64_t) -1;

    ngx_queue_init(&gw->clients);
    ngx_queue_init(&gw->closed);
    ngx_queue_init(&gw->connecting);
    ngx_queue_init(&gw->commands);
    ngx_queue_init(&gw->slow);
    ngx_queue_init(&gw->arriving);
    ngx_queue_init(&gw->claiming);
    ngx_queue_init(&gw->parting);
    ngx_queue_init(&gw->answers);

    gw->ident.fd = (ngx_socket_t) -1;

    ngx_sio_gateway_event(gw, &gw->sweep, ngx_sio_gateway_sweep);
    ngx_sio_gateway_event(gw, &gw->close, ngx_sio_gateway_close);
    ngx_sio_gateway_event(gw, &gw->answer, ngx_sio_poll_handler);
    ngx_sio_gateway_event(gw, &gw->claim, ngx_sio_claim_handler);
    ngx_sio_gateway_event(gw, &gw->drain, ngx_sio_drain_handler);
    ngx_sio_gateway_event(gw, &gw->leavings, ngx_sio_greet_handler);
    gw->sweep.cancelable = 1;
    gw->claim.cancelable = 1;

    gw->worker = &ngx_sio_gateway_no_worker;

    gw->outlets = ngx_sio_outlets_create(gw->log);
    gw->rooms = ngx_sio_rooms_create(gw);
    gw->owned = ngx_sio_owned_create(gw);
    gw->acks = ngx_sio_acks_create(gw);
    gw->refreshes = ngx_sio_refresh_create(gw);
    gw->dispatch = ngx_sio_dispatch_create(gw);
    gw->turn = ngx_sio_turn_create(gw);

    if (gw->outlets == NULL || gw->rooms == NULL || gw->owned == NULL
        || gw->acks == NULL || gw->refreshes == NULL || gw->dispatch == NULL
        || gw->turn == NULL)
    {
        return NGX_ERROR;
    }

    if (conf->presence) {
        gw->presence = ngx_sio_presence_create(gw);
        if (gw->presence == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_sio_gateway_enter(gw);

    if (conf->redis) {
        gw->greet = ngx_sio_greet_create(gw);
        if (gw->greet == NULL) {
            return NGX_ERROR;
        }

        gw->redis = ngx_sio_redis_create(conf->redis,
                                         &ngx_sio_gateway_command_handler, gw,
                                         "commands", cycle->log);
        if (gw->redis == NULL) {
            return NGX_ERROR;
        }

        gw->feed = ngx_sio_feed_create(gw);
        if (gw->feed == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_add_timer(&gw->sweep, NGX_SIO_GATEWAY_SWEEP);

    return NGX_OK;
}


static void
ngx_sio_gateway_event(ngx_sio_gateway_t *gw, ngx_event_t *ev,
    ngx_event_handler_pt handler)
{
    ev->data = &gw->ident;
    ev->handler = handler;
    ev->log = gw->log;
}


/* Takes a slot; without one, which is tried again, nobody is served. */

static void
ngx_sio_gateway_enter(ngx_sio_gateway_t *gw)
{
    ngx_sio_zone_t  *z;

    z = gw->zone;

    /* the view was made by the master, maybe long ago */
    z->epoch = ngx_sio_load(&z->sh->epoch);

    gw->slot = ngx_sio_worker_enter(z, ngx_process_slot, gw->conf->recovery);

    if (gw->slot == 0) {
        return;
    }

    z->slot = gw->slot;

    gw->worker = &z->sh->workers[gw->slot - 1];
    gw->cursor = gw->worker->cursor;

    ngx_sio_presence_reset(gw);

    /* arms the doorbell */
    ngx_sio_dispatch_post(gw);
}


static void
ngx_sio_gateway_rung(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_sio_gateway_n; i++) {
        ngx_sio_dispatch_post(&ngx_sio_gateways[i]);
        ngx_sio_presence_news(&ngx_sio_gateways[i]);
    }
}


void
ngx_sio_gateway_ring(ngx_sio_gateway_t *gw)
{
    ngx_sio_log_ring(gw->zone, ngx_sio_gateway_ring_slot, gw);
}


static void
ngx_sio_gateway_ring_slot(void *data, ngx_uint_t slot, ngx_int_t process_slot)
{
    ngx_sio_gateway_t *gw = data;

    if (slot == gw->slot) {
        ngx_sio_dispatch_post(gw);

    } else {
        ngx_sio_bell_ring(process_slot);
    }
}


void
ngx_sio_gateway_ring_one(ngx_sio_gateway_t *gw, ngx_uint_t slot)
{
    ngx_sio_worker_sh_t  *w;

    w = &gw->zone->sh->workers[slot - 1];

    if (ngx_sio_load(&w->state) != NGX_SIO_FREE) {
        ngx_sio_gateway_ring_slot(gw, slot, w->process_slot);
    }
}


ngx_sio_gateway_t *
ngx_sio_gateway_find(ngx_sio_gateway_conf_t *conf)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_sio_gateway_n; i++) {
        if (ngx_sio_gateways[i].conf == conf) {
            return &ngx_sio_gateways[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_sio_gateway_nsp(ngx_sio_gateway_t *gw, const sio_str_t *name,
    uint16_t *nsp)
{
    ngx_uint_t            i;
    ngx_sio_namespace_t  *ns;

    ns = gw->conf->namespaces.elts;

    for (i = 0; i < gw->conf->namespaces.nelts; i++) {

        if (ns[i].name.len == name->len
            && ngx_memcmp(ns[i].name.data, name->data, name->len) == 0)
        {
            *nsp = ns[i].nsp;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_sio_gateway_tell(ngx_sio_gateway_t *gw, const u_char *eio_sid,
    ngx_uint_t flags, uint64_t arg, sio_str_t *part, ngx_uint_t parts)
{
    sio_str_t      name;
    sio_message_t  m;

    ngx_memzero(&m, sizeof(sio_message_t));

    name.data = eio_sid;
    name.len = NGX_SIO_SID_LEN;

    m.type = SIO_RECORD_SESSION;
    m.flags = (uint8_t) flags;
    m.arg = arg;
    m.rooms = 1;
    m.names = &name;
    m.part = part;
    m.parts = (uint16_t) parts;

    return ngx_sio_gateway_append(gw, &m, NULL);
}


ngx_int_t
ngx_sio_gateway_append(ngx_sio_gateway_t *gw, sio_message_t *m,
    uint64_t *behind)
{
    return ngx_sio_gateway_append_at(gw, m, NULL, behind);
}


ngx_int_t
ngx_sio_gateway_append_at(ngx_sio_gateway_t *gw, sio_message_t *m,
    uint64_t *at, uint64_t *behind)
{
    sio_rc_t          rc;
    ngx_int_t         appended;
    sio_buf_t        *b;
    ngx_sio_append_t  a;

    b = &ngx_sio_gateway_record;
    b->len = 0;

    rc = sio_record_encode(b, m, gw->zone->sh->seed,
                           ngx_sio_log_max_record(gw->zone));
    if (rc != SIO_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&a, sizeof(ngx_sio_append_t));
    a.data = b->data;
    a.len = b->len;

    appended = ngx_sio_log_append(gw->zone, &a);

    if (appended != NGX_OK) {
        return (appended == NGX_ERROR) ? NGX_ERROR : NGX_AGAIN;
    }

    if (at) {
        *at = a.first;
    }

    if (behind) {
        *behind = a.first + b->len;
    }

    ngx_sio_gateway_ring(gw);

    return NGX_OK;
}


static void
ngx_sio_gateway_sweep(ngx_event_t *ev)
{
    ngx_uint_t          n;
    ngx_sio_gateway_t  *gw;

    gw = ngx_queue_data(ev, ngx_sio_gateway_t, sweep);

    if (gw->slot == 0) {
        ngx_sio_gateway_enter(gw);

    } else {
        n = ngx_sio_worker_reap(gw->zone, gw->conf->recovery);

        if (n) {
            ngx_log_error(NGX_LOG_NOTICE, gw->log, 0,
                          "socketio gateway \"%V\": %ui dead workers reaped",
                          &gw->conf->name, n);
        }

        if (ngx_sio_zone_lost(gw->zone)) {
            ngx_sio_gateway_emptied(gw);
        }

        if (gw->cursor != ngx_sio_log_head(gw->zone)) {
            ngx_sio_dispatch_post(gw);
        }

        /* those for whom Redis or the log had no room a moment ago */
        ngx_sio_connect_resume(gw);

        ngx_sio_part_resume(gw);
        ngx_sio_acks_expire(gw);
        ngx_sio_beat_sweep(gw);
        ngx_sio_presence_sweep(gw);
        ngx_sio_greet_sweep(gw);

        if (gw->sweeps++ % NGX_SIO_GATEWAY_CHECK == 0) {
            ngx_sio_owned_check(gw);
            ngx_sio_refresh_again(gw);
        }
    }

    ngx_add_timer(ev, NGX_SIO_GATEWAY_SWEEP);
}


void
ngx_sio_gateway_emptied(ngx_sio_gateway_t *gw)
{
    ngx_queue_t       *q;
    ngx_sio_client_t  *sc, *branch;

    ngx_log_error(NGX_LOG_ALERT, gw->log, 0,
                  "socketio zone of gateway \"%V\" was damaged and emptied, "
                  "closing %ui clients", &gw->conf->name, gw->nclients);

    ngx_sio_rooms_reset(gw->rooms);

    for (q = ngx_queue_head(&gw->closed);
         q != ngx_queue_sentinel(&gw->closed);
         q = ngx_queue_next(q))
    {
        sc = ngx_queue_data(q, ngx_sio_client_t, link);
        sc->session = 0;
    }

    while (!ngx_queue_empty(&gw->clients)) {
        q = ngx_queue_head(&gw->clients);
        sc = ngx_queue_data(q, ngx_sio_client_t, link);
        sc->session = 0;

        for (branch = sc->branches; branch; branch = branch->branches) {
            branch->session = 0;
        }

        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }

    gw->zone->epoch = ngx_sio_load(&gw->zone->sh->epoch);

    ngx_sio_presence_reset(gw);
}


static void
ngx_sio_gateway_close(ngx_event_t *ev)
{
    ngx_sio_gateway_t  *gw;

    gw = ngx_queue_data(ev, ngx_sio_gateway_t, close);

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ev->log, 0, "socketio close clients");

    ngx_sio_client_free_closed(gw);
    ngx_sio_greet_news(gw);
}


void
ngx_sio_gateway_full(ngx_sio_gateway_t *gw)
{
    uint64_t  now, warned;

    now = ngx_sio_zone_now();
    warned = ngx_sio_load(&gw->zone->sh->warned);

    if (warned && now - warned < NGX_SIO_GATEWAY_WARN) {
        return;
    }

    /* one worker of the node says it */

    if (!__atomic_compare_exchange_n(&gw->zone->sh->warned, &warned, now, 0,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, gw->log, 0,
                  "socketio zone of gateway \"%V\" is full, clients are "
                  "refused; a larger \"zone\" holds more", &gw->conf->name);
}


static void
ngx_sio_gateway_command_ready(void *data)
{
    ngx_sio_gateway_t *gw = data;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, gw->log, 0,
                   "socketio commands of gateway \"%V\" can be sent",
                   &gw->conf->name);

    ngx_sio_greet_news(gw);
    ngx_sio_connect_resume(gw);
}


static void
ngx_sio_gateway_command_lost(void *data)
{
    ngx_sio_gateway_t *gw = data;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, gw->log, 0,
                   "socketio commands of gateway \"%V\" cannot be sent",
                   &gw->conf->name);
}


/*
 * The worker has to leave.  The feed stays for the moment in which another
 * worker gets ready to go on with it, and so does the slot, which it needs.
 */

static void
ngx_sio_gateway_shutdown(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_sio_gateway_n; i++) {
        ngx_sio_drain_begin(&ngx_sio_gateways[i]);
    }
}


static void
ngx_sio_gateway_abandon(ngx_sio_gateway_t *gw)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&gw->clients)) {
        q = ngx_queue_head(&gw->clients);
        ngx_sio_client_close(ngx_queue_data(q, ngx_sio_client_t, link),
                             NGX_SIO_CLOSE_SHUTDOWN);
    }

    ngx_sio_client_free_closed(gw);
    ngx_sio_ws_abandon();
}


void
ngx_sio_gateway_exit_worker(ngx_cycle_t *cycle)
{
    ngx_uint_t          i;
    ngx_sio_gateway_t  *gw;

    for (i = 0; i < ngx_sio_gateway_n; i++) {
        gw = &ngx_sio_gateways[i];

        if (ngx_exiting) {
            /* told to stop while it was leaving: nginx wants nothing open */
            ngx_sio_gateway_abandon(gw);
        }

        if (gw->presence) {
            ngx_sio_presence_free(gw->presence);
        }

        if (gw->feed) {
            ngx_sio_feed_close(gw->feed);
            gw->feed = NULL;
        }

        if (gw->redis) {
            ngx_sio_redis_close(gw->redis);
            gw->redis = NULL;
        }

        if (gw->slot) {
            gw->worker = &ngx_sio_gateway_no_worker;
            ngx_sio_worker_leave(gw->zone, gw->slot, gw->conf->recovery);
            gw->slot = 0;
        }

        ngx_sio_check(gw->zone, cycle->log);
    }

    ngx_sio_bell_release();
}
