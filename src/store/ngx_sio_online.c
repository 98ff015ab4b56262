
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_online.h"
#include "ngx_sio_log.h"
#include "ngx_sio_name.h"
#include "ngx_sio_worker.h"

#include <sio_json.h>


#define NGX_SIO_ONLINE_DROP  1024              /* users dropped at once */


/* Users that have to be looked at, and what becomes of them. */

typedef struct {
    uint64_t               now;
    ngx_msec_t             linger;
    ngx_uint_t             cluster;
    ngx_uint_t             away;
    ngx_uint_t             n;
    uint32_t               user[NGX_SIO_ONLINE_BATCH];
    sio_buf_t             *records;
} ngx_sio_online_batch_t;


static ngx_uint_t ngx_sio_online_lease_free(ngx_sio_zone_t *z,
    ngx_uint_t slot);
static ngx_int_t ngx_sio_online_find(ngx_sio_zone_t *z,
    ngx_sio_online_batch_t *batch, uint64_t *next);
static ngx_uint_t ngx_sio_online_differs(ngx_sio_zone_t *z,
    ngx_sio_online_batch_t *batch, uint32_t user, uint64_t *next);
static ngx_int_t ngx_sio_online_settle_locked(ngx_sio_zone_t *z,
    ngx_sio_online_batch_t *batch, ngx_uint_t *announced);
static void ngx_sio_online_settle_user(ngx_sio_zone_t *z,
    ngx_sio_online_batch_t *batch, uint32_t user);
static ngx_uint_t ngx_sio_online_wanted(ngx_sio_online_batch_t *batch,
    uint32_t flags);
static ngx_int_t ngx_sio_online_record(ngx_sio_zone_t *z,
    ngx_sio_online_batch_t *batch, uint32_t user, ngx_uint_t online);
static sio_rc_t ngx_sio_online_packet(sio_buf_t *b, const sio_str_t *user,
    ngx_uint_t online);
static ngx_int_t ngx_sio_online_append(ngx_sio_zone_t *z, sio_buf_t *records);


void
ngx_sio_online_come_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    ngx_sio_online_sh_t    *o;
    ngx_sio_presence_sh_t  *pr;

    if (!ngx_sio_online_counts(ss) || (ss->flags & NGX_SIO_PRESENT)) {
        return;
    }

    pr = &z->sh->presence;
    o = &z->online[ss->user];

    ss->flags |= NGX_SIO_PRESENT;

    ngx_sio_step();

    o->sockets++;

    ngx_sio_step();

    if (o->gone) {
        o->gone = 0;

        ngx_sio_step();

        pr->flaps++;
    }

    if (pr->on && !(o->flags & NGX_SIO_ONLINE_LOCAL)) {
        ngx_sio_online_set_locked(z, ss->user,
                                  o->flags | NGX_SIO_ONLINE_LOCAL);

        ngx_sio_store(&pr->changes, pr->changes + 1);
    }
}


void
ngx_sio_online_leave_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    ngx_sio_online_sh_t    *o;
    ngx_sio_presence_sh_t  *pr;

    if (!(ss->flags & NGX_SIO_PRESENT)) {
        return;
    }

    pr = &z->sh->presence;
    o = &z->online[ss->user];

    ss->flags &= ~NGX_SIO_PRESENT;

    ngx_sio_step();

    o->sockets--;

    ngx_sio_step();

    if (o->sockets == 0 && (o->flags & NGX_SIO_ONLINE_LOCAL)) {
        o->gone = ngx_sio_zone_now();

        ngx_sio_step();

        ngx_sio_store(&pr->changes, pr->changes + 1);
    }
}


/* The counts are caches, and so is the reference. */

void
ngx_sio_online_set_locked(ngx_sio_zone_t *z, uint32_t user, uint32_t flags)
{
    uint32_t                old;
    ngx_sio_names_t         users;
    ngx_sio_presence_sh_t  *pr;

    pr = &z->sh->presence;
    old = z->online[user].flags;

    if (old == flags) {
        return;
    }

    users = ngx_sio_name_users(z);

    if (old == 0) {
        ngx_sio_name_ref_locked(&users, user);
    }

    pr->held += (flags != 0) - (old != 0);
    pr->local += ((flags & NGX_SIO_ONLINE_LOCAL) != 0)
                 - ((old & NGX_SIO_ONLINE_LOCAL) != 0);
    pr->announced += ((flags & NGX_SIO_ONLINE_ANNOUNCED) != 0)
                     - ((old & NGX_SIO_ONLINE_ANNOUNCED) != 0);

    ngx_sio_step();

    __atomic_store_n(&z->online[user].flags, flags, __ATOMIC_RELAXED);

    ngx_sio_step();

    if (flags == 0) {
        ngx_sio_name_unref_locked(z, &users, user);
    }
}


uint64_t
ngx_sio_online_lease(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t fence)
{
    ngx_sio_presence_sh_t  *pr;

    pr = &z->sh->presence;

    if (fence == 0 && !ngx_sio_online_lease_free(z, slot)) {
        return 0;
    }

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return fence;
    }

    if (fence && pr->slot == slot && pr->fence == fence) {
        ngx_sio_store(&pr->deadline,
                      ngx_sio_zone_now() + NGX_SIO_ONLINE_LEASE);

    } else if (ngx_sio_online_lease_free(z, slot)) {

        /* from here on the former actor changes nothing any more */
        ngx_sio_store(&pr->fence, pr->fence + 1);

        ngx_sio_step();

        ngx_sio_store(&pr->slot, slot);

        ngx_sio_step();

        ngx_sio_store(&pr->deadline,
                      ngx_sio_zone_now() + NGX_SIO_ONLINE_LEASE);

        ngx_sio_step();

        fence = pr->fence;

    } else {
        fence = 0;
    }

    ngx_sio_zone_unlock(z);

    return fence;
}


/* A holder in the caller's own slot has left that. */

static ngx_uint_t
ngx_sio_online_lease_free(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    ngx_uint_t            holder;
    ngx_sio_worker_sh_t  *w;

    holder = ngx_sio_load(&z->sh->presence.slot);

    if (holder == 0 || holder == slot || holder > NGX_SIO_WORKERS) {
        return 1;
    }

    w = &z->sh->workers[holder - 1];

    if (ngx_sio_load(&w->state) != NGX_SIO_WORKER_LIVE
        || (ngx_sio_load(&w->leaving)
            && !ngx_sio_load(&z->sh->workers[slot - 1].leaving)))
    {
        return 1;
    }

    return ngx_sio_zone_now() >= ngx_sio_load(&z->sh->presence.deadline)
           || !ngx_sio_worker_alive(z, holder);
}


void
ngx_sio_online_end_locked(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    if (z->sh->presence.slot == slot) {
        ngx_sio_store(&z->sh->presence.slot, 0);

        ngx_sio_step();
    }
}


void
ngx_sio_online_configure(ngx_sio_zone_t *z, ngx_uint_t on)
{
    ngx_sio_store(&z->sh->presence.on, on ? 1 : 0);
}


ngx_int_t
ngx_sio_online_settle(ngx_sio_zone_t *z, uint64_t fence,
    ngx_sio_online_look_t *look, ngx_msec_t linger, ngx_uint_t cluster,
    ngx_uint_t away, sio_buf_t *records, ngx_uint_t *announced)
{
    uint64_t                changes, next;
    ngx_int_t               rc, found;
    ngx_sio_online_batch_t  batch;

    *announced = 0;

    batch.now = ngx_sio_zone_now();
    batch.linger = linger;
    batch.cluster = cluster;
    batch.away = away;
    batch.n = 0;
    batch.records = records;

    changes = ngx_sio_load(&z->sh->presence.changes);

    if (look->looked && look->changes == changes && batch.now < look->next) {
        return NGX_OK;
    }

    look->looked = 0;

    found = ngx_sio_online_find(z, &batch, &next);

    if (batch.n) {

        if (ngx_sio_zone_lock(z) != NGX_OK) {
            return NGX_BUSY;
        }

        rc = ngx_sio_online_acts(z, fence)
             ? ngx_sio_online_settle_locked(z, &batch, announced)
             : NGX_DECLINED;

        ngx_sio_zone_unlock(z);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (found == NGX_OK) {
        look->looked = 1;
        look->changes = changes;
        look->next = next;
    }

    return found;
}


/*
 * Looks without the lock, so that the lock is held for those only that there is
 * something to do for.  NGX_AGAIN if there were more than fit.
 */

static ngx_int_t
ngx_sio_online_find(ngx_sio_zone_t *z, ngx_sio_online_batch_t *batch,
    uint64_t *next)
{
    uint32_t  i, top;

    *next = (uint64_t) -1;

    top = ngx_min(__atomic_load_n(&z->sh->top_user, __ATOMIC_RELAXED),
                  z->sh->nusers);

    for (i = 1; i <= top; i++) {

        if (!ngx_sio_online_differs(z, batch, i, next)) {
            continue;
        }

        if (batch->n == NGX_SIO_ONLINE_BATCH) {
            return NGX_AGAIN;
        }

        batch->user[batch->n++] = i;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_sio_online_differs(ngx_sio_zone_t *z, ngx_sio_online_batch_t *batch,
    uint32_t user, uint64_t *next)
{
    uint32_t              flags, sockets;
    uint64_t              gone;
    ngx_sio_online_sh_t  *o;

    o = &z->online[user];

    flags = __atomic_load_n(&o->flags, __ATOMIC_RELAXED);
    sockets = __atomic_load_n(&o->sockets, __ATOMIC_RELAXED);

    if (flags == 0 && sockets == 0) {
        return 0;
    }

    gone = __atomic_load_n(&o->gone, __ATOMIC_RELAXED);

    if (gone) {

        if (gone + batch->linger <= batch->now) {
            return 1;
        }

        *next = ngx_min(*next, gone + batch->linger);
    }

    if (sockets && !(flags & NGX_SIO_ONLINE_LOCAL)) {
        return 1;
    }

    if (!batch->cluster
        && (flags & (NGX_SIO_ONLINE_REPORTED|NGX_SIO_ONLINE_CLUSTER)))
    {
        return 1;
    }

    if (batch->away
        && (flags & (NGX_SIO_ONLINE_LOCAL|NGX_SIO_ONLINE_REPORTED))
        && !(flags & NGX_SIO_ONLINE_LOCAL) != !(flags & NGX_SIO_ONLINE_CLUSTER))
    {
        return 1;
    }

    return ngx_sio_online_wanted(batch, flags)
           != ((flags & NGX_SIO_ONLINE_ANNOUNCED) != 0);
}


static ngx_uint_t
ngx_sio_online_wanted(ngx_sio_online_batch_t *batch, uint32_t flags)
{
    return (flags & (batch->cluster ? NGX_SIO_ONLINE_CLUSTER
                                    : NGX_SIO_ONLINE_LOCAL))
           != 0;
}


/*
 * The log first: who dies before the flags are set leaves an announcement that
 * is made once more, not one that never is.  In front of the log nobody is
 * freed, so the records' users are still those of the batch behind it.
 */

static ngx_int_t
ngx_sio_online_settle_locked(ngx_sio_zone_t *z, ngx_sio_online_batch_t *batch,
    ngx_uint_t *announced)
{
    size_t      most;
    uint32_t    u, flags;
    ngx_int_t   rc;
    ngx_uint_t  i, n;

    most = ngx_sio_log_max_record(z) / 2;
    batch->records->len = 0;
    n = 0;

    for (i = 0; i < batch->n && batch->records->len < most; i++) {

        u = batch->user[i];

        if (u > z->sh->top_user || z->users[u].state != NGX_SIO_LIVE) {
            continue;
        }

        ngx_sio_online_settle_user(z, batch, u);

        flags = z->online[u].flags;

        if (ngx_sio_online_wanted(batch, flags)
            == ((flags & NGX_SIO_ONLINE_ANNOUNCED) != 0))
        {
            continue;
        }

        if (ngx_sio_online_record(z, batch, u,
                                  ngx_sio_online_wanted(batch, flags))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        batch->user[n++] = u;
    }

    rc = (i < batch->n) ? NGX_AGAIN : NGX_OK;

    if (n == 0) {
        return rc;
    }

    if (ngx_sio_online_append(z, batch->records) != NGX_OK) {
        return NGX_AGAIN;
    }

    for (i = 0; i < n; i++) {
        ngx_sio_online_set_locked(z, batch->user[i],
                                  z->online[batch->user[i]].flags
                                  ^ NGX_SIO_ONLINE_ANNOUNCED);
    }

    z->sh->presence.transitions += n;
    *announced = n;

    return rc;
}


static void
ngx_sio_online_settle_user(ngx_sio_zone_t *z, ngx_sio_online_batch_t *batch,
    uint32_t user)
{
    uint32_t              flags;
    ngx_uint_t            over;
    ngx_sio_online_sh_t  *o;

    o = &z->online[user];
    flags = o->flags;

    over = (o->gone && o->gone + batch->linger <= batch->now);

    if (over) {
        flags &= ~NGX_SIO_ONLINE_LOCAL;
    }

    if (o->sockets) {
        /* it was there before presence was configured */
        flags |= NGX_SIO_ONLINE_LOCAL;
    }

    if (!batch->cluster) {
        flags &= ~(NGX_SIO_ONLINE_REPORTED|NGX_SIO_ONLINE_CLUSTER);

    } else if (batch->away) {

        if (flags & NGX_SIO_ONLINE_LOCAL) {
            flags |= NGX_SIO_ONLINE_CLUSTER;

        } else if (over || (flags & NGX_SIO_ONLINE_REPORTED)) {
            flags &= ~NGX_SIO_ONLINE_CLUSTER;
        }
    }

    if (flags != o->flags) {
        ngx_sio_online_set_locked(z, user, flags);
        ngx_sio_store(&z->sh->presence.changes, z->sh->presence.changes + 1);
    }

    if (over) {
        o->gone = 0;

        ngx_sio_step();
    }
}


static ngx_int_t
ngx_sio_online_record(ngx_sio_zone_t *z, ngx_sio_online_batch_t *batch,
    uint32_t user, ngx_uint_t online)
{
    u_char         name[SIO_ROOM_LEN];
    sio_rc_t       rc;
    sio_str_t      arg, part;
    sio_buf_t      packet;
    sio_message_t  m;

    ngx_memzero(&m, sizeof(sio_message_t));
    ngx_memzero(&packet, sizeof(sio_buf_t));

    arg.data = name;
    arg.len = ngx_sio_name_text(z, &z->users[user], name);

    rc = ngx_sio_online_packet(&packet, &arg, online);

    if (rc == SIO_OK) {
        part.data = packet.data;
        part.len = packet.len;

        m.type = SIO_RECORD_EMIT;
        m.flags = SIO_RECORD_PRESENCE;
        m.arg = online;
        m.args = 1;
        m.names = &arg;
        m.parts = 1;
        m.part = &part;

        rc = sio_record_encode(batch->records, &m, z->sh->seed,
                               ngx_sio_log_max_record(z));
    }

    sio_buf_free(&packet);

    return (rc == SIO_OK) ? NGX_OK : NGX_ERROR;
}


static sio_rc_t
ngx_sio_online_packet(sio_buf_t *b, const sio_str_t *user, ngx_uint_t online)
{
    sio_rc_t  rc;

    static const sio_str_t  head = sio_string("42[\"PRESENCE_UPDATE\","
                                              "{\"userId\":");
    static const sio_str_t  here = sio_string(",\"status\":\"online\"}]");
    static const sio_str_t  gone = sio_string(",\"status\":\"offline\"}]");

    const sio_str_t  *tail;

    tail = online ? &here : &gone;

    rc = sio_buf_append(b, head.data, head.len);

    if (rc == SIO_OK) {
        rc = sio_json_quote(b, user->data, user->len);
    }

    if (rc == SIO_OK) {
        rc = sio_buf_append(b, tail->data, tail->len);
    }

    return rc;
}


/*
 * A worker's copy of the list is exact if its cursor has passed the last of the
 * records; who dies before that is noted has changed no flag either.
 */

static ngx_int_t
ngx_sio_online_append(ngx_sio_zone_t *z, sio_buf_t *records)
{
    ngx_int_t         rc;
    ngx_sio_append_t  a;

    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    a.data = records->data;
    a.len = records->len;

    rc = ngx_sio_log_append(z, &a);

    ngx_sio_step();

    if (rc == NGX_OK) {
        ngx_sio_store(&z->sh->presence.last, ngx_sio_log_head(z));

        ngx_sio_step();
    }

    return rc;
}


void
ngx_sio_online_drop(ngx_sio_zone_t *z)
{
    uint32_t    i;
    ngx_uint_t  n;

    if (ngx_sio_load(&z->sh->presence.held) == 0
        || ngx_sio_zone_now() < ngx_sio_load(&z->sh->presence.deadline)
        || ngx_sio_zone_lock(z) != NGX_OK)
    {
        return;
    }

    n = 0;

    for (i = 1; i <= z->sh->top_user && n < NGX_SIO_ONLINE_DROP; i++) {

        if (z->online[i].flags) {
            ngx_sio_online_set_locked(z, i, 0);
            z->online[i].gone = 0;
            n++;
        }
    }

    ngx_sio_step();

    ngx_sio_zone_unlock(z);
}


void
ngx_sio_online_announced_locked(ngx_sio_zone_t *z,
    ngx_sio_online_each_pt each, void *data)
{
    uint32_t  i;

    for (i = 1; i <= z->sh->top_user; i++) {

        if (z->users[i].state == NGX_SIO_LIVE
            && (z->online[i].flags & NGX_SIO_ONLINE_ANNOUNCED))
        {
            each(data, i);
        }
    }
}
