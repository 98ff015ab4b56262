
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_limit.h"
#include "ngx_sio_session.h"
#include "ngx_sio_table.h"


static uint32_t ngx_sio_limit_get_locked(ngx_sio_zone_t *z, uint64_t key);
static void ngx_sio_limit_grow(ngx_sio_zone_t *z);
static uint64_t ngx_sio_limit_hash(ngx_sio_zone_t *z, const void *record);
static void ngx_sio_limit_release_locked(ngx_sio_zone_t *z, uint32_t k);
static uint32_t ngx_sio_limit_transport(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
static void ngx_sio_limit_drop_user_locked(ngx_sio_zone_t *z, uint32_t i);
static ngx_uint_t ngx_sio_limit_take(uint64_t *bucket, uint64_t now,
    uint64_t interval, uint64_t capacity);


uint64_t
ngx_sio_limit_address_key(ngx_sio_zone_t *z, const u_char *p, size_t len)
{
    uint64_t  key;

    key = sio_hash(~z->sh->seed, p, len);

    return key ? key : 1;
}


uint64_t
ngx_sio_limit_user_key(ngx_sio_zone_t *z, uint64_t hash)
{
    return hash ? hash : 1;
}


uint32_t *
ngx_sio_limit_bucket(ngx_sio_zone_t *z, uint64_t key)
{
    return &z->key_table[ngx_sio_table_bucket(key, z->sh->top_key)];
}


uint32_t
ngx_sio_limit_find(ngx_sio_zone_t *z, uint64_t key)
{
    uint32_t  k;

    k = *ngx_sio_limit_bucket(z, key);

    while (k && z->keys[k].key != key) {
        k = z->keys[k].next;
    }

    return k;
}


uint32_t
ngx_sio_limit_count_locked(ngx_sio_zone_t *z, uint64_t key)
{
    uint32_t  k;

    k = ngx_sio_limit_find(z, key);

    return k ? z->keys[k].count : 0;
}


/*
 * A new one counts for nothing until a session names it.  There are two for
 * each session, so that 0, for none, is never the answer.
 */

static uint32_t
ngx_sio_limit_get_locked(ngx_sio_zone_t *z, uint64_t key)
{
    uint32_t            k, *bucket;
    ngx_sio_zone_sh_t  *sh;

    k = ngx_sio_limit_find(z, key);

    if (k) {
        return k;
    }

    sh = z->sh;
    k = sh->free_key;

    if (k) {
        sh->free_key = z->keys[k].next;

    } else {
        if (sh->top_key == sh->nkeys) {
            return 0;
        }

        k = ++sh->top_key;

        ngx_sio_step();

        ngx_sio_limit_grow(z);
    }

    ngx_sio_step();

    z->keys[k].count = 0;
    z->keys[k].first = 0;
    z->keys[k].key = key;

    ngx_sio_step();

    bucket = ngx_sio_limit_bucket(z, key);
    z->keys[k].next = *bucket;

    ngx_sio_step();

    *bucket = k;

    ngx_sio_step();

    return k;
}


static void
ngx_sio_limit_grow(ngx_sio_zone_t *z)
{
    ngx_sio_table_t  t;

    t.buckets = z->key_table;
    t.records = z->keys;
    t.size = sizeof(ngx_sio_key_sh_t);
    t.next = offsetof(ngx_sio_key_sh_t, next);
    t.hash = ngx_sio_limit_hash;

    ngx_sio_table_split_locked(z, &t, z->sh->top_key);
}


static uint64_t
ngx_sio_limit_hash(ngx_sio_zone_t *z, const void *record)
{
    const ngx_sio_key_sh_t  *key;

    key = record;

    return key->key;
}


static void
ngx_sio_limit_release_locked(ngx_sio_zone_t *z, uint32_t k)
{
    uint32_t  *link;

    if (--z->keys[k].count) {
        return;
    }

    ngx_sio_step();

    link = ngx_sio_limit_bucket(z, z->keys[k].key);

    while (*link && *link != k) {
        link = &z->keys[*link].next;
    }

    if (*link == k) {
        *link = z->keys[k].next;
    }

    ngx_sio_step();

    z->keys[k].key = 0;
    z->keys[k].next = z->sh->free_key;

    ngx_sio_step();

    z->sh->free_key = k;

    ngx_sio_step();
}


/* The transport of a socket; 0: it has none. */

static uint32_t
ngx_sio_limit_transport(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    return ss->eio_sid[0] ? (uint32_t) (ss - z->sessions) : ss->kin;
}


void
ngx_sio_limit_address_locked(ngx_sio_zone_t *z, uint32_t i, uint64_t key)
{
    uint32_t  k;

    k = ngx_sio_limit_get_locked(z, key);

    if (k == 0) {
        return;
    }

    z->limits[i].address = k;

    ngx_sio_step();

    z->keys[k].count++;

    ngx_sio_step();
}


void
ngx_sio_limit_come_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    uint32_t             i, k;
    ngx_sio_limit_sh_t  *lm;

    i = ngx_sio_limit_transport(z, ss);
    lm = &z->limits[i];

    if (i == 0 || ss->user == 0 || lm->user) {
        return;
    }

    k = ngx_sio_limit_get_locked(z,
            ngx_sio_limit_user_key(z, z->users[ss->user].hash));

    if (k == 0) {
        return;
    }

    lm->since = ++z->sh->limit_serial;

    ngx_sio_step();

    lm->user = k;

    ngx_sio_step();

    ngx_sio_limit_link(z, i);

    ngx_sio_step();
}


void
ngx_sio_limit_link(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_key_sh_t    *key;
    ngx_sio_limit_sh_t  *lm;

    lm = &z->limits[i];
    key = &z->keys[lm->user];

    lm->newer = 0;
    lm->older = key->first;

    if (key->first) {
        z->limits[key->first].newer = i;
    }

    key->first = i;
    key->count++;
}


void
ngx_sio_limit_leave_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    uint32_t  i;

    i = ngx_sio_limit_transport(z, ss);

    if (i && z->limits[i].user && !ngx_sio_limit_has_socket(z, i)) {
        ngx_sio_limit_drop_user_locked(z, i);
    }
}


ngx_uint_t
ngx_sio_limit_has_socket(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t  branch;

    if (z->sessions[i].sid[0]) {
        return 1;
    }

    branch = z->sessions[i].kin;

    while (branch && z->sessions[branch].sid[0] == 0) {
        branch = z->sessions[branch].next_eio;
    }

    return branch != 0;
}


static void
ngx_sio_limit_drop_user_locked(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t             k;
    ngx_sio_limit_sh_t  *lm;

    lm = &z->limits[i];
    k = lm->user;

    if (k == 0) {
        return;
    }

    lm->user = 0;

    ngx_sio_step();

    if (lm->newer) {
        z->limits[lm->newer].older = lm->older;

    } else {
        z->keys[k].first = lm->older;
    }

    ngx_sio_step();

    if (lm->older) {
        z->limits[lm->older].newer = lm->newer;
    }

    ngx_sio_step();

    ngx_sio_limit_release_locked(z, k);
}


void
ngx_sio_limit_end_locked(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t  k;

    ngx_sio_limit_drop_user_locked(z, i);

    k = z->limits[i].address;

    if (k) {
        z->limits[i].address = 0;

        ngx_sio_step();

        ngx_sio_limit_release_locked(z, k);
    }
}


void
ngx_sio_limit_move_locked(ngx_sio_zone_t *z, uint32_t to, uint32_t from)
{
    if (z->rates[from].events || z->rates[to].events) {
        z->rates[to] = z->rates[from];
    }
}


/* The list is in order, unless repair has made it. */

uint32_t
ngx_sio_limit_oldest_locked(ngx_sio_zone_t *z, uint32_t i, uint32_t max)
{
    uint32_t               n, oldest;
    ngx_sio_key_sh_t      *key;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);
    i = ss ? ngx_sio_limit_transport(z, ss) : 0;

    if (i == 0 || z->limits[i].user == 0) {
        return 0;
    }

    key = &z->keys[z->limits[i].user];

    if (key->count <= max) {
        return 0;
    }

    oldest = 0;

    for (n = key->first; n; n = z->limits[n].older) {

        if (n != i
            && (oldest == 0 || z->limits[n].since < z->limits[oldest].since))
        {
            oldest = n;
        }
    }

    if (oldest) {
        ngx_sio_limit_drop_user_locked(z, oldest);
    }

    return oldest;
}


/*
 * A bucket is the time, in microseconds, at which it is full again: a token
 * moves it on by one interval, and it cannot be farther away than all of its
 * tokens are.
 */

ngx_sio_limit_e
ngx_sio_limit_event(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t rate,
    ngx_uint_t burst)
{
    uint64_t            now, interval;
    ngx_sio_rate_sh_t  *rs;

    rs = &z->rates[i];
    now = ngx_sio_zone_now() * 1000;
    interval = 1000000 / rate;

    if (ngx_sio_limit_take(&rs->events, now, interval, burst)) {
        return NGX_SIO_LIMIT_OK;
    }

    if (ngx_sio_limit_take(&rs->refused, now, interval,
                           (uint64_t) burst * NGX_SIO_LIMIT_BURSTS))
    {
        return NGX_SIO_LIMIT_OVER;
    }

    return NGX_SIO_LIMIT_FLOOD;
}


static ngx_uint_t
ngx_sio_limit_take(uint64_t *bucket, uint64_t now, uint64_t interval,
    uint64_t capacity)
{
    uint64_t  full, last;

    full = __atomic_load_n(bucket, __ATOMIC_RELAXED);
    last = now + interval * capacity;

    full = ngx_min(ngx_max(full, now), last);

    if (full + interval > last) {
        return 0;
    }

    __atomic_store_n(bucket, full + interval, __ATOMIC_RELAXED);

    return 1;
}
