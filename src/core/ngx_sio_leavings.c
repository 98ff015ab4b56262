
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_greet.h"
#include "ngx_sio_entry.h"

#include <ngx_sio_farewell.h>
#include <ngx_sio_name.h>


/* Farewells: from the zone to the backend. */


#define NGX_SIO_GREET_BATCH    256         /* that are sent, not confirmed */
#define NGX_SIO_GREET_PAUSE    1000        /* ms after a refusal */
#define NGX_SIO_GREET_WARN     60000       /* ms between lines on lost ones */


/* One that Redis has not confirmed. */

typedef struct {
    ngx_queue_t               link;        /* greet->confirmed */
    ngx_sio_gateway_t        *gateway;
    uint32_t                  index;
    uint64_t                  epoch;       /* of the zone then */
    uint64_t                  time;
    size_t                    user_len;
    ngx_sio_farewell_sh_t     farewell;
    u_char                    user[SIO_ROOM_LEN];
} ngx_sio_greet_leave_t;


struct ngx_sio_greet_s {
    u_char                   *flying;      /* a bit for each chunk: it was sent,
                                              and is not confirmed yet */
    ngx_uint_t                sent;        /* how many these are */
    ngx_queue_t               confirmed;   /* to be taken from the zone when
                                              that is not locked */
    ngx_msec_t                until;       /* nothing is sent, after a
                                              refusal; 0: there was none */
    uint64_t                  lost;        /* what was said of these */
    u_char                    alive[NGX_SIO_WORKERS + 1];
};


static void ngx_sio_greet_look(ngx_sio_gateway_t *gw);
static ngx_uint_t ngx_sio_greet_collect_locked(ngx_sio_gateway_t *gw,
    ngx_queue_t *list);
static ngx_uint_t ngx_sio_greet_is_mine_locked(ngx_sio_gateway_t *gw,
    ngx_sio_farewell_sh_t *fw);
static ngx_sio_greet_leave_t *ngx_sio_greet_copy_locked(ngx_sio_gateway_t *gw,
    uint32_t i);
static ngx_int_t ngx_sio_greet_leave(ngx_sio_greet_leave_t *gl);
static ngx_int_t ngx_sio_greet_left(void *data, redisReply *reply);
static void ngx_sio_greet_done(ngx_sio_gateway_t *gw);
static void ngx_sio_greet_landed(ngx_sio_greet_leave_t *gl);
static void ngx_sio_greet_lost(ngx_sio_gateway_t *gw);


#define ngx_sio_greet_bit(i)  (1 << (i) % 8)


ngx_sio_greet_t *
ngx_sio_greet_create(ngx_sio_gateway_t *gw)
{
    ngx_sio_greet_t  *gr;

    gr = ngx_calloc(sizeof(ngx_sio_greet_t), gw->log);
    if (gr == NULL) {
        return NULL;
    }

    gr->flying = ngx_calloc(gw->zone->sh->nchunks / 8 + 1, gw->log);
    if (gr->flying == NULL) {
        ngx_free(gr);
        return NULL;
    }

    ngx_queue_init(&gr->confirmed);

    return gr;
}


void
ngx_sio_greet_news(ngx_sio_gateway_t *gw)
{
    if (gw->greet && gw->redis && ngx_sio_farewell_first(gw->zone)
        && ngx_sio_redis_ready(gw->redis))
    {
        ngx_post_event(&gw->leavings, &ngx_posted_events);
    }
}


void
ngx_sio_greet_sweep(ngx_sio_gateway_t *gw)
{
    if (gw->greet) {
        ngx_sio_greet_lost(gw);
        ngx_sio_greet_done(gw);
        ngx_sio_greet_news(gw);
    }
}


/* Posted, so that what has ended in one turn goes together. */

void
ngx_sio_greet_handler(ngx_event_t *ev)
{
    ngx_sio_gateway_t  *gw;

    gw = ngx_queue_data(ev, ngx_sio_gateway_t, leavings);

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ev->log, 0, "socketio farewells");

    if (gw->redis && gw->slot && ngx_sio_redis_ready(gw->redis)) {
        ngx_sio_greet_look(gw);
    }
}


ngx_uint_t
ngx_sio_greet_pending(ngx_sio_gateway_t *gw)
{
    return gw->greet && ngx_sio_redis_ready(gw->redis)
           && (gw->greet->sent || gw->leavings.posted);
}


static void
ngx_sio_greet_look(ngx_sio_gateway_t *gw)
{
    ngx_uint_t              n;
    ngx_queue_t             list, *q;
    ngx_sio_greet_t        *gr;
    ngx_sio_greet_leave_t  *gl;

    gr = gw->greet;

    if (gr->until && (ngx_msec_int_t) (gr->until - ngx_current_msec) > 0) {
        return;
    }

    gr->until = 0;

    if (gr->sent >= NGX_SIO_GREET_BATCH
        || ngx_sio_zone_lock(gw->zone) != NGX_OK)
    {
        return;
    }

    ngx_queue_init(&list);

    n = ngx_sio_greet_collect_locked(gw, &list);

    ngx_sio_zone_unlock(gw->zone);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, gw->log, 0,
                   "socketio %ui farewells", n);

    while (!ngx_queue_empty(&list)) {
        q = ngx_queue_head(&list);
        ngx_queue_remove(q);

        gl = ngx_queue_data(q, ngx_sio_greet_leave_t, link);

        if (ngx_sio_greet_leave(gl) != NGX_OK) {
            /* there will be another sweep */
            ngx_free(gl);
        }
    }
}


static ngx_uint_t
ngx_sio_greet_collect_locked(ngx_sio_gateway_t *gw, ngx_queue_t *list)
{
    uint32_t                i;
    ngx_uint_t              n;
    ngx_sio_zone_t         *z;
    ngx_sio_greet_t        *gr;
    ngx_sio_greet_leave_t  *gl;

    z = gw->zone;
    gr = gw->greet;
    n = 0;

    if (ngx_sio_zone_lost(z)) {
        return 0;
    }

    ngx_memzero(gr->alive, sizeof(gr->alive));

    for (i = ngx_sio_farewell_first(z);
         i && gr->sent + n < NGX_SIO_GREET_BATCH;
         i = ngx_sio_farewell_next_locked(z, i))
    {
        if ((gr->flying[i / 8] & ngx_sio_greet_bit(i))
            || !ngx_sio_greet_is_mine_locked(gw, ngx_sio_farewell(z, i)))
        {
            continue;
        }

        gl = ngx_sio_greet_copy_locked(gw, i);
        if (gl == NULL) {
            break;
        }

        ngx_queue_insert_tail(list, &gl->link);
        n++;
    }

    return n;
}


/* Or becomes so, because there is nobody else; "alive" is 1, or 2: dead. */

static ngx_uint_t
ngx_sio_greet_is_mine_locked(ngx_sio_gateway_t *gw, ngx_sio_farewell_sh_t *fw)
{
    u_char  *alive;

    if (fw->slot == gw->slot) {
        return 1;
    }

    if (fw->slot) {

        alive = &gw->greet->alive[fw->slot];

        if (*alive == 0) {
            *alive = ngx_sio_worker_alive(gw->zone, fw->slot) ? 1 : 2;
        }

        if (*alive == 1) {
            return 0;
        }
    }

    fw->slot = (uint8_t) gw->slot;

    ngx_sio_step();

    return 1;
}


static ngx_sio_greet_leave_t *
ngx_sio_greet_copy_locked(ngx_sio_gateway_t *gw, uint32_t i)
{
    ngx_sio_zone_t         *z;
    ngx_sio_greet_leave_t  *gl;

    z = gw->zone;

    gl = ngx_alloc(sizeof(ngx_sio_greet_leave_t), gw->log);
    if (gl == NULL) {
        return NULL;
    }

    gl->gateway = gw;
    gl->index = i;
    gl->epoch = z->epoch;
    gl->farewell = *ngx_sio_farewell(z, i);
    gl->user_len = gl->farewell.user
                   ? ngx_sio_name_text(z, &z->users[gl->farewell.user],
                                       gl->user)
                   : 0;

    return gl;
}


static ngx_int_t
ngx_sio_greet_leave(ngx_sio_greet_leave_t *gl)
{
    u_char                 args[64];
    ngx_int_t              rc;
    ngx_str_t              stream, maxlen;
    ngx_sio_entry_t        en;
    ngx_sio_gateway_t     *gw;
    ngx_sio_stream_sh_t   *st;
    ngx_sio_entry_text_t   text;

    gw = gl->gateway;
    st = &gw->zone->sh->farewells.streams[gl->farewell.stream];

    stream.data = st->key;
    stream.len = st->len;
    maxlen.data = st->maxlen;
    maxlen.len = st->maxlen_len;

    ngx_memzero(&text, sizeof(ngx_sio_entry_text_t));
    ngx_str_set(&text.event, "$disconnect");
    text.user.data = gl->user;
    text.user.len = gl->user_len;
    text.sid = gl->farewell.sid;
    text.nsp = gl->farewell.nsp;
    text.args.data = args;
    text.args.len = ngx_sprintf(args, "[\"%s\"]",
                                (gl->farewell.reason < NGX_SIO_CLOSE_REASONS)
                                ? ngx_sio_close_reasons[gl->farewell.reason]
                                : "client namespace disconnect")
                    - args;
    text.time = gl->farewell.time;

    ngx_sio_entry_begin(&en, gw, &stream, &maxlen, &text);

    rc = ngx_sio_entry_send(&en, gw, ngx_sio_greet_left, gl);

    if (rc == NGX_OK) {
        gw->greet->flying[gl->index / 8] |= ngx_sio_greet_bit(gl->index);
        gw->greet->sent++;
    }

    return rc;
}


static ngx_int_t
ngx_sio_greet_left(void *data, redisReply *reply)
{
    ngx_sio_greet_leave_t *gl = data;

    ngx_sio_greet_t    *gr;
    ngx_sio_gateway_t  *gw;

    gw = gl->gateway;
    gr = gw->greet;

    if (reply && reply->type == REDIS_REPLY_STRING) {
        ngx_sio_gateway_stat(gw, LEFT, 1);

        ngx_queue_insert_tail(&gr->confirmed, &gl->link);
        ngx_sio_greet_done(gw);

        return NGX_OK;
    }

    if (reply) {
        ngx_sio_entry_complain(gw, reply);

        gr->until = ngx_current_msec + NGX_SIO_GREET_PAUSE;

        if (gr->until == 0) {
            gr->until = 1;
        }
    }

    ngx_sio_greet_landed(gl);

    return NGX_OK;
}


/* Takes those that were confirmed from the zone, which may be locked. */

static void
ngx_sio_greet_done(ngx_sio_gateway_t *gw)
{
    ngx_queue_t            *q;
    ngx_sio_zone_t         *z;
    ngx_sio_greet_t        *gr;
    ngx_sio_greet_leave_t  *gl;

    z = gw->zone;
    gr = gw->greet;

    if (ngx_queue_empty(&gr->confirmed) || ngx_sio_zone_lock(z) != NGX_OK) {
        return;
    }

    while (!ngx_queue_empty(&gr->confirmed)) {
        q = ngx_queue_head(&gr->confirmed);
        ngx_queue_remove(q);

        gl = ngx_queue_data(q, ngx_sio_greet_leave_t, link);

        if (gl->epoch == ngx_sio_load(&z->sh->epoch)) {
            ngx_sio_farewell_done_locked(z, gl->index);
        }

        ngx_sio_greet_landed(gl);
    }

    ngx_sio_zone_unlock(z);

    if (gr->sent == 0) {
        ngx_sio_greet_news(gw);
    }
}


static void
ngx_sio_greet_landed(ngx_sio_greet_leave_t *gl)
{
    ngx_sio_greet_t  *gr;

    gr = gl->gateway->greet;

    gr->flying[gl->index / 8] &= ~ngx_sio_greet_bit(gl->index);
    gr->sent--;

    ngx_free(gl);
}


/* One worker of the node says it. */

static void
ngx_sio_greet_lost(ngx_sio_gateway_t *gw)
{
    uint64_t                 now, lost, warned;
    ngx_sio_farewells_sh_t  *fs;

    fs = &gw->zone->sh->farewells;
    lost = ngx_sio_load(&fs->lost);

    if (lost == gw->greet->lost) {
        return;
    }

    now = ngx_sio_zone_now();
    warned = ngx_sio_load(&fs->warned);

    if (warned && now - warned < NGX_SIO_GREET_WARN) {
        return;
    }

    gw->greet->lost = lost;

    if (!__atomic_compare_exchange_n(&fs->warned, &warned, now, 0,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, gw->log, 0,
                  "socketio zone of gateway \"%V\" has no room to tell the "
                  "backend of sockets that have ended: %uL so far",
                  &gw->conf->name, lost);
}
