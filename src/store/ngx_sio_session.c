
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_session.h"
#include "ngx_sio_limit.h"
#include "ngx_sio_log.h"
#include "ngx_sio_table.h"

#include <sio_eio.h>


/* Life of a session. */


static void ngx_sio_session_grow(ngx_sio_zone_t *z);
static uint64_t ngx_sio_session_eio_hash(ngx_sio_zone_t *z,
    const void *record);
static uint64_t ngx_sio_session_sid_hash(ngx_sio_zone_t *z,
    const void *record);
static uint64_t ngx_sio_session_init(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t slot, const ngx_sio_session_new_t *new);
static void ngx_sio_session_start(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_uint_t slot, const ngx_sio_session_new_t *new);


uint32_t
ngx_sio_session_open(ngx_sio_zone_t *z, ngx_uint_t slot,
    ngx_sio_session_new_t *new, uint64_t *owner)
{
    uint32_t  i;

    i = 0;
    new->limited = 0;

    if (ngx_sio_zone_lock(z) == NGX_OK) {

        new->limited = new->most
                       && ngx_sio_limit_count_locked(z, new->address)
                          >= new->most;

        i = (new->limited || ngx_sio_zone_lost(z))
            ? 0 : ngx_sio_session_alloc_locked(z);

        if (i) {
            *owner = ngx_sio_session_init(z, i, slot, new);
        }

        ngx_sio_zone_unlock(z);
    }

    if (i == 0 && !new->limited) {
        (void) __atomic_fetch_add(&z->sh->refused, 1, __ATOMIC_RELAXED);
    }

    return i;
}


uint32_t
ngx_sio_session_alloc_locked(ngx_sio_zone_t *z)
{
    uint32_t               i;
    ngx_sio_zone_sh_t     *sh;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_refused(STORE)) {
        return 0;
    }

    sh = z->sh;
    i = sh->free_session;

    if (i) {
        sh->free_session = z->sessions[i].next_eio;

    } else {
        if (sh->top_session == sh->nsessions) {
            return 0;
        }

        i = sh->top_session + 1;
        ngx_sio_store(&sh->top_session, i);

        ngx_sio_step();

        ngx_sio_session_grow(z);
    }

    ngx_sio_step();

    ss = &z->sessions[i];

    ss->state = NGX_SIO_NEW;

    ngx_sio_step();

    /* everything but the owner word starts at zero */

    ss->told = 0;
    ngx_memzero(&ss->applied, sizeof(ngx_sio_session_sh_t)
                              - offsetof(ngx_sio_session_sh_t, applied));
    ngx_memzero(&z->limits[i], sizeof(ngx_sio_limit_sh_t));

    /* most gateways have no limit of rates, and no memory for it */

    if (z->rates[i].events) {
        ngx_memzero(&z->rates[i], sizeof(ngx_sio_rate_sh_t));
    }

    return i;
}


/* The tables have a bucket for each record that was ever in use. */

static void
ngx_sio_session_grow(ngx_sio_zone_t *z)
{
    ngx_sio_table_t  t;

    t.buckets = z->eio_table;
    t.records = z->sessions;
    t.size = sizeof(ngx_sio_session_sh_t);
    t.next = offsetof(ngx_sio_session_sh_t, next_eio);
    t.hash = ngx_sio_session_eio_hash;

    ngx_sio_table_split_locked(z, &t, z->sh->top_session);

    t.buckets = z->sid_table;
    t.next = offsetof(ngx_sio_session_sh_t, next_sid);
    t.hash = ngx_sio_session_sid_hash;

    ngx_sio_table_split_locked(z, &t, z->sh->top_session);
}


static uint64_t
ngx_sio_session_eio_hash(ngx_sio_zone_t *z, const void *record)
{
    const ngx_sio_session_sh_t  *ss;

    ss = record;

    return sio_hash(z->sh->seed, ss->eio_sid, NGX_SIO_SID_LEN);
}


static uint64_t
ngx_sio_session_sid_hash(ngx_sio_zone_t *z, const void *record)
{
    const ngx_sio_session_sh_t  *ss;

    ss = record;

    return sio_hash(z->sh->seed, ss->sid, NGX_SIO_SID_LEN);
}


static uint64_t
ngx_sio_session_init(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot,
    const ngx_sio_session_new_t *new)
{
    uint32_t              *bucket;
    uint64_t               owner;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    ngx_sio_session_start(z, ss, slot, new);

    owner = ngx_sio_load(&ss->owner);
    (void) ngx_sio_session_pass_locked(ss, &owner, slot);

    ngx_sio_step();

    bucket = ngx_sio_session_eio_bucket(z, ss->eio_sid);
    ss->next_eio = *bucket;

    ngx_sio_step();

    *bucket = i;

    ngx_sio_step();

    ngx_sio_store(&ss->state, NGX_SIO_LIVE);

    ngx_sio_step();

    z->sh->live_sessions++;
    z->sh->live_polling += (ss->transport == SIO_EIO_POLLING);

    ngx_sio_step();

    if (new->address) {
        ngx_sio_limit_address_locked(z, i, new->address);
    }

    return owner;
}


static void
ngx_sio_session_start(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_uint_t slot, const ngx_sio_session_new_t *new)
{
    uint64_t  now;

    now = ngx_sio_zone_now();

    ss->transport = new->transport;
    ss->ping_interval = new->ping_interval;
    ss->ping_timeout = new->ping_timeout;

    if (new->connect_timeout) {
        ss->connect_by = (uint32_t) (now + new->connect_timeout);

        if (ss->connect_by == 0) {
            ss->connect_by = 1;
        }
    }

    if (slot) {
        ss->applied = NGX_SIO_AT_CURSOR;
        ss->seen = ngx_sio_load(&z->sh->workers[slot - 1].cursor);

    } else {
        ss->applied = ngx_sio_log_head(z);
        ss->seen = ss->applied;
        ss->deadline = now + new->ping_interval;
    }

    ngx_memcpy(ss->eio_sid, new->eio_sid, NGX_SIO_SID_LEN);
}


ngx_sio_session_sh_t *
ngx_sio_session_live_locked(ngx_sio_zone_t *z, uint32_t i)
{
    if (i == 0
        || i > z->sh->top_session
        || z->sessions[i].state != NGX_SIO_LIVE
        || ngx_sio_zone_lost(z))
    {
        return NULL;
    }

    return &z->sessions[i];
}


ngx_sio_session_sh_t *
ngx_sio_session_mine_locked(ngx_sio_zone_t *z, uint32_t i, uint64_t owner)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss == NULL || ngx_sio_load(&ss->owner) != owner) {
        return NULL;
    }

    return ss;
}


uint32_t *
ngx_sio_session_eio_bucket(ngx_sio_zone_t *z, const u_char *eio_sid)
{
    uint64_t  hash;

    hash = sio_hash(z->sh->seed, eio_sid, NGX_SIO_SID_LEN);

    return &z->eio_table[ngx_sio_table_bucket(hash, z->sh->top_session)];
}


uint32_t
ngx_sio_session_by_eio_locked(ngx_sio_zone_t *z, const u_char *eio_sid)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lost(z)) {
        return 0;
    }

    for (i = *ngx_sio_session_eio_bucket(z, eio_sid); i; i = ss->next_eio) {

        ss = &z->sessions[i];

        if (ngx_memcmp(ss->eio_sid, eio_sid, NGX_SIO_SID_LEN) == 0
            && !(ss->flags & NGX_SIO_DEAD))
        {
            break;
        }
    }

    return i;
}


void
ngx_sio_session_transport_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t transport)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss == NULL) {
        return;
    }

    z->sh->live_polling -= (ss->transport == SIO_EIO_POLLING);

    ss->transport = transport;

    z->sh->live_polling += (ss->transport == SIO_EIO_POLLING);

    ngx_sio_step();
}


void
ngx_sio_session_no_eio_locked(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t              *link;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    if (ss->eio_sid[0] == 0) {
        return;
    }

    ngx_sio_limit_end_locked(z, i);

    link = ngx_sio_session_eio_bucket(z, ss->eio_sid);

    while (*link && *link != i) {
        link = &z->sessions[*link].next_eio;
    }

    if (*link == i) {
        *link = ss->next_eio;
    }

    ngx_sio_step();

    ss->eio_sid[0] = 0;

    ngx_sio_step();
}


ngx_int_t
ngx_sio_session_close(ngx_sio_zone_t *z, uint32_t i, uint64_t owner)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;

    if (ngx_sio_session_mine_locked(z, i, owner)) {
        ngx_sio_session_close_locked(z, i);
        rc = NGX_OK;
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


void
ngx_sio_session_close_locked(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss) {
        ngx_sio_session_empty_locked(z, i);
        ngx_sio_session_free_locked(z, i);
    }
}


void
ngx_sio_session_free_locked(ngx_sio_zone_t *z, uint32_t i)
{
    uint64_t               owner;
    ngx_sio_zone_sh_t     *sh;
    ngx_sio_session_sh_t  *ss;

    sh = z->sh;
    ss = &z->sessions[i];

    /* a session that is LIVE without an owner is one that waits for one */

    ngx_sio_store(&ss->state, NGX_SIO_NEW);

    ngx_sio_step();

    sh->live_polling -= (ss->transport == SIO_EIO_POLLING);
    sh->live_parked -= ((ss->flags & NGX_SIO_PARKED) != 0);

    owner = ngx_sio_load(&ss->owner);

    while (ngx_sio_session_pass_locked(ss, &owner, 0) != NGX_OK) { /* void */ }

    if (ss->eio_sid[0]) {
        ngx_sio_session_shed_locked(z, i, 0);
        ngx_sio_session_no_eio_locked(z, i);

    } else {
        ngx_sio_session_prune_locked(z, i);
    }

    ngx_sio_store(&ss->state, NGX_SIO_FREE);

    ngx_sio_step();

    ss->next_eio = sh->free_session;

    ngx_sio_step();

    sh->free_session = i;

    ngx_sio_step();

    sh->live_sessions--;

    ngx_sio_step();
}
