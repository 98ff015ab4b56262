
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_presence.h"

#include <ngx_sio_name.h>


/*
 * The actor: one worker of the node that compares states, and the roster that
 * each worker keeps.
 */


#define NGX_SIO_PRESENCE_BATCH  500            /* users with one lock */
#define NGX_SIO_PRESENCE_ROUNDS  16            /* batches announced at once when
                                                  the node is new */
#define NGX_SIO_PRESENCE_WARN   60000          /* ms between lines */


/* Users as they are copied from the zone, each behind one of these. */

typedef struct {
    uint64_t                  hash;
    size_t                    len;
} ngx_sio_presence_name_t;


typedef struct {
    ngx_sio_zone_t           *zone;
    sio_buf_t                 names;
    ngx_uint_t                failed;
} ngx_sio_presence_load_t;


static void ngx_sio_presence_tick(ngx_event_t *ev);
static void ngx_sio_presence_settle(ngx_sio_gateway_t *gw);
static ngx_int_t ngx_sio_presence_load(ngx_sio_gateway_t *gw);
static ngx_int_t ngx_sio_presence_load_locked(ngx_sio_gateway_t *gw,
    ngx_sio_presence_load_t *load);
static void ngx_sio_presence_load_user(void *data, uint32_t user);
static ngx_int_t ngx_sio_presence_load_names(ngx_sio_presence_t *pr,
    sio_buf_t *names);
static void ngx_sio_presence_unlisted(ngx_sio_gateway_t *gw, ngx_uint_t n);


ngx_sio_presence_t *
ngx_sio_presence_create(ngx_sio_gateway_t *gw)
{
    ngx_sio_presence_t  *pr;

    pr = ngx_calloc(sizeof(ngx_sio_presence_t), gw->log);
    if (pr == NULL) {
        return NULL;
    }

    pr->gateway = gw;

    pr->tick.data = &gw->ident;
    pr->tick.handler = ngx_sio_presence_tick;
    pr->tick.log = gw->log;
    pr->tick.cancelable = 1;

    pr->roster = ngx_sio_roster_create(gw->log);
    pr->listeners = ngx_sio_listeners_create(gw);

    if (pr->roster == NULL || pr->listeners == NULL) {
        return NULL;
    }

    if (gw->conf->redis) {
        pr->cluster = 1;
        pr->redis = ngx_sio_presence_redis_create(gw);

        if (pr->redis == NULL) {
            return NULL;
        }
    }

    return pr;
}


void
ngx_sio_presence_free(ngx_sio_presence_t *pr)
{
    if (pr->tick.timer_set) {
        ngx_del_timer(&pr->tick);
    }

    if (pr->tick.posted) {
        ngx_delete_posted_event(&pr->tick);
    }

    pr->fence = 0;

    if (pr->redis) {
        ngx_sio_presence_redis_close(pr->redis);
        pr->redis = NULL;
    }

    ngx_sio_roster_clear(pr->roster);
    sio_buf_free(&pr->records);
    sio_buf_free(&pr->message);
}


void
ngx_sio_presence_sweep(ngx_sio_gateway_t *gw)
{
    uint64_t             fence;
    ngx_sio_presence_t  *pr;

    pr = gw->presence;

    if (pr == NULL) {
        ngx_sio_online_drop(gw->zone);
        return;
    }

    if (!pr->exact) {
        (void) ngx_sio_presence_load(gw);
    }

    fence = ngx_sio_online_lease(gw->zone, gw->slot, pr->fence);

    if (fence == pr->fence) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, gw->log, 0,
                   "socketio presence fence %uL", fence);

    pr->fence = fence;

    if (fence == 0) {
        if (pr->tick.timer_set) {
            ngx_del_timer(&pr->tick);
        }

        if (pr->redis) {
            ngx_sio_presence_redis_stop(pr->redis);
        }

        return;
    }

    ngx_memzero(&pr->look, sizeof(ngx_sio_online_look_t));
    ngx_memzero(&pr->report, sizeof(ngx_sio_online_look_t));

    if (pr->redis) {
        ngx_sio_presence_redis_start(pr->redis, fence);
    }

    if (!pr->tick.timer_set) {
        ngx_add_timer(&pr->tick, NGX_SIO_PRESENCE_TICK);
    }
}


/* What is not done now is done next time. */

static void
ngx_sio_presence_tick(ngx_event_t *ev)
{
    ngx_msec_t           wait, elapsed;
    ngx_sio_gateway_t   *gw;
    ngx_sio_presence_t  *pr;

    pr = ngx_queue_data(ev, ngx_sio_presence_t, tick);
    gw = pr->gateway;

    if (gw->slot == 0 || pr->fence == 0) {
        return;
    }

    wait = NGX_SIO_PRESENCE_TICK;
    elapsed = ngx_current_msec - pr->announced;

    if (elapsed >= NGX_SIO_PRESENCE_TICK) {
        ngx_sio_presence_settle(gw);

    } else {
        wait -= elapsed;
    }

    if (pr->redis) {
        ngx_sio_presence_redis_tick(pr->redis);
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, wait);
}


static void
ngx_sio_presence_settle(ngx_sio_gateway_t *gw)
{
    ngx_int_t            rc;
    ngx_uint_t           i, n, rounds;
    ngx_sio_presence_t  *pr;

    pr = gw->presence;

    /* as long as nobody listens there is nobody to be gentle with */

    rounds = ngx_sio_presence_pending(gw) ? NGX_SIO_PRESENCE_ROUNDS : 1;
    rc = NGX_AGAIN;

    for (i = 0; i < rounds && rc == NGX_AGAIN; i++) {

        rc = ngx_sio_online_settle(gw->zone, pr->fence, &pr->look,
                                   gw->conf->presence_linger, pr->cluster,
                                   pr->away, &pr->records, &n);

        if (n == 0) {
            break;
        }

        ngx_log_debug1(NGX_LOG_DEBUG_EVENT, gw->log, 0,
                       "socketio presence of %ui users announced", n);

        pr->announced = ngx_current_msec;

        ngx_sio_gateway_ring(gw);
    }

    if (pr->redis) {
        ngx_sio_presence_redis_settled(pr->redis, rc == NGX_OK);
    }
}


/* The first news are told at once, those behind them together. */

void
ngx_sio_presence_news(ngx_sio_gateway_t *gw)
{
    uint64_t                changes;
    ngx_uint_t              slot;
    ngx_sio_presence_t     *pr;
    ngx_sio_presence_sh_t  *sh;

    pr = gw->presence;

    if (pr == NULL || gw->slot == 0) {
        return;
    }

    sh = &gw->zone->sh->presence;
    changes = ngx_sio_load(&sh->changes);

    if (pr->fence) {
        if (changes != pr->look.changes) {
            ngx_post_event(&pr->tick, &ngx_posted_events);
        }

        return;
    }

    slot = ngx_sio_load(&sh->slot);

    if (changes != pr->known && slot && slot <= NGX_SIO_WORKERS) {
        pr->known = changes;
        ngx_sio_gateway_ring_one(gw, slot);
    }
}


void
ngx_sio_presence_reset(ngx_sio_gateway_t *gw)
{
    if (gw->presence) {
        gw->presence->exact = 0;
        (void) ngx_sio_presence_load(gw);
    }
}


/*
 * The flags are those at the cursor if no record that changed one is at or
 * behind it.  NGX_OK; NGX_AGAIN: not now; NGX_ERROR: no memory.
 */

static ngx_int_t
ngx_sio_presence_load(ngx_sio_gateway_t *gw)
{
    ngx_int_t                 rc;
    ngx_sio_zone_t           *z;
    ngx_sio_presence_load_t   load;

    z = gw->zone;

    if (gw->slot == 0
        || ngx_sio_load(&z->sh->presence.last) > gw->cursor
        || ngx_sio_zone_lock(z) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    ngx_memzero(&load, sizeof(ngx_sio_presence_load_t));

    rc = ngx_sio_presence_load_locked(gw, &load);

    ngx_sio_zone_unlock(z);

    if (rc == NGX_OK) {
        rc = ngx_sio_presence_load_names(gw->presence, &load.names);
    }

    sio_buf_free(&load.names);

    gw->presence->exact = (rc == NGX_OK);

    return rc;
}


static ngx_int_t
ngx_sio_presence_load_locked(ngx_sio_gateway_t *gw,
    ngx_sio_presence_load_t *load)
{
    load->zone = gw->zone;

    if (ngx_sio_zone_lost(gw->zone)
        || ngx_sio_load(&gw->zone->sh->presence.last) > gw->cursor)
    {
        return NGX_AGAIN;
    }

    ngx_sio_online_announced_locked(gw->zone, ngx_sio_presence_load_user,
                                    load);

    return load->failed ? NGX_ERROR : NGX_OK;
}


/* As it is: it is quoted when the zone is not locked any more. */

static void
ngx_sio_presence_load_user(void *data, uint32_t user)
{
    ngx_sio_presence_load_t *load = data;

    size_t                    size;
    sio_buf_t                *b;
    ngx_sio_name_sh_t        *name;
    ngx_sio_presence_name_t   head;

    b = &load->names;
    name = &load->zone->users[user];
    size = sizeof(ngx_sio_presence_name_t);

    if (load->failed || sio_buf_reserve(b, size + SIO_ROOM_LEN) != SIO_OK) {
        load->failed = 1;
        return;
    }

    head.hash = name->hash;
    head.len = ngx_sio_name_text(load->zone, name, b->data + b->len + size);

    ngx_memcpy(b->data + b->len, &head, size);
    b->len += size + head.len;
}


static ngx_int_t
ngx_sio_presence_load_names(ngx_sio_presence_t *pr, sio_buf_t *names)
{
    size_t                   at;
    sio_str_t                user;
    ngx_sio_presence_name_t  head;

    ngx_sio_roster_clear(pr->roster);

    for (at = 0; at < names->len; at += head.len) {

        ngx_memcpy(&head, names->data + at, sizeof(ngx_sio_presence_name_t));
        at += sizeof(ngx_sio_presence_name_t);

        user.data = names->data + at;
        user.len = head.len;

        if (ngx_sio_roster_set(pr->roster, head.hash, &user, 1) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_presence_record(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    ngx_int_t            rc;
    sio_str_t            user;
    ngx_sio_presence_t  *pr;

    pr = gw->presence;

    if (!pr->exact || sio_record_names(rec) != 1) {
        return NGX_OK;
    }

    user = sio_record_name(rec, 0);

    rc = ngx_sio_roster_set(pr->roster, sio_record_hashes(rec)[0], &user,
                            rec->arg != 0);

    if (rc == NGX_ERROR) {
        pr->exact = 0;
        return NGX_OK;
    }

    return rc;
}


ngx_int_t
ngx_sio_presence_unreported(ngx_sio_gateway_t *gw, uint64_t fence,
    ngx_sio_presence_each_pt each, void *data, ngx_uint_t max)
{
    return ngx_sio_online_unreported(gw->zone, fence, &gw->presence->report,
                                     each, data, max);
}


ngx_int_t
ngx_sio_presence_reported(ngx_sio_gateway_t *gw, uint64_t fence,
    const ngx_sio_presence_ref_t *refs, ngx_uint_t n)
{
    return ngx_sio_online_reported(gw->zone, fence, refs, n);
}


ngx_int_t
ngx_sio_presence_forget(ngx_sio_gateway_t *gw, uint64_t fence)
{
    return ngx_sio_online_forget(gw->zone, fence);
}


ngx_int_t
ngx_sio_presence_own(ngx_sio_gateway_t *gw, uint64_t fence,
    const ngx_str_t *users, ngx_uint_t n, ngx_sio_online_stray_pt stray,
    void *data)
{
    return ngx_sio_online_own(gw->zone, fence, users, n, stray, data);
}


ngx_int_t
ngx_sio_presence_cluster(ngx_sio_gateway_t *gw, uint64_t fence,
    const ngx_str_t *users, const u_char *online, ngx_uint_t n)
{
    ngx_int_t   rc;
    ngx_uint_t  unlisted;

    unlisted = 0;

    rc = ngx_sio_online_cluster(gw->zone, fence, users, online, n, &unlisted,
                                NULL);

    if (unlisted) {
        ngx_sio_presence_unlisted(gw, unlisted);
    }

    return rc;
}


/*
 * A user that is in the list keeps its index for as long as it is, so a bit for
 * each of them tells the others.
 */

ngx_int_t
ngx_sio_presence_list(ngx_sio_gateway_t *gw, uint64_t fence,
    const ngx_str_t *users, ngx_uint_t n, ngx_uint_t hold)
{
    u_char      *met;
    ngx_int_t    rc;
    ngx_uint_t   i, batch, unlisted;

    met = ngx_calloc(gw->zone->sh->nusers / 8 + 1, gw->log);
    if (met == NULL) {
        return NGX_BUSY;
    }

    unlisted = 0;
    rc = NGX_OK;

    for (i = 0; i < n && rc == NGX_OK; i += batch) {
        batch = ngx_min(n - i, NGX_SIO_PRESENCE_BATCH);

        rc = ngx_sio_online_cluster(gw->zone, fence, users + i, NULL, batch,
                                    &unlisted, met);
    }

    if (rc == NGX_OK && !hold) {
        rc = ngx_sio_online_others(gw->zone, fence, met);
    }

    ngx_free(met);

    if (unlisted) {
        ngx_sio_presence_unlisted(gw, unlisted);
    }

    return rc;
}


static void
ngx_sio_presence_unlisted(ngx_sio_gateway_t *gw, ngx_uint_t n)
{
    uint64_t  now, warned;

    gw->presence->unlisted = 1;

    now = ngx_sio_zone_now();
    warned = ngx_sio_load(&gw->zone->sh->presence.warned);

    if (warned && now - warned < NGX_SIO_PRESENCE_WARN) {
        return;
    }

    ngx_sio_store(&gw->zone->sh->presence.warned, now);

    ngx_log_error(NGX_LOG_WARN, gw->log, 0,
                  "socketio zone of gateway \"%V\" has no room for %ui users "
                  "that are online on other nodes; a larger \"zone\" lists "
                  "more", &gw->conf->name, n);
}


void
ngx_sio_presence_away(ngx_sio_gateway_t *gw, ngx_uint_t away)
{
    ngx_sio_presence_t  *pr;

    pr = gw->presence;

    if (pr->away != away) {
        pr->away = away;
        pr->look.looked = 0;
    }
}
