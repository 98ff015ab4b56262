
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_name.h"
#include "ngx_sio_table.h"


#define NGX_SIO_NAME_HEAD  sizeof(((ngx_sio_name_sh_t *) 0)->name)
#define NGX_SIO_NAME_TEXT  sizeof(((ngx_sio_tail_sh_t *) 0)->text)


static uint32_t ngx_sio_name_alloc(ngx_sio_zone_t *z, ngx_sio_names_t *names);
static void ngx_sio_name_grow(ngx_sio_zone_t *z, ngx_sio_names_t *names);
static uint64_t ngx_sio_name_hash(uint64_t hash, uint16_t nsp);
static uint64_t ngx_sio_name_hashed(ngx_sio_zone_t *z, const void *record);
static void ngx_sio_name_free(ngx_sio_zone_t *z, ngx_sio_names_t *names,
    uint32_t i);
static void ngx_sio_name_unlink(ngx_sio_names_t *names, uint32_t i);
static ngx_int_t ngx_sio_name_rest(ngx_sio_zone_t *z, ngx_sio_name_sh_t *n,
    const u_char *data, size_t len);
static uint32_t ngx_sio_name_tail(ngx_sio_zone_t *z);
static void ngx_sio_name_free_tail(ngx_sio_zone_t *z, uint32_t i);


ngx_sio_names_t
ngx_sio_name_rooms(ngx_sio_zone_t *z)
{
    ngx_sio_names_t  names;

    names.records = z->rooms;
    names.table = z->room_table;
    names.total = z->sh->nrooms;
    names.top = &z->sh->top_room;
    names.free = &z->sh->free_room;
    names.live = &z->sh->live_rooms;

    return names;
}


ngx_sio_names_t
ngx_sio_name_users(ngx_sio_zone_t *z)
{
    ngx_sio_names_t  names;

    names.records = z->users;
    names.table = z->user_table;
    names.total = z->sh->nusers;
    names.top = &z->sh->top_user;
    names.free = &z->sh->free_user;
    names.live = &z->sh->live_users;

    return names;
}


uint32_t
ngx_sio_name_get_locked(ngx_sio_zone_t *z, ngx_sio_names_t *names,
    uint64_t hash, uint16_t nsp, const u_char *data, size_t len)
{
    uint32_t            i, *bucket;
    ngx_sio_name_sh_t  *n;

    i = ngx_sio_name_find_locked(z, names, hash, nsp, data, len);

    if (i) {
        return i;
    }

    if (len == 0 || len > SIO_ROOM_LEN) {
        return 0;
    }

    i = ngx_sio_name_alloc(z, names);

    if (i == 0) {
        return 0;
    }

    n = &names->records[i];

    n->state = NGX_SIO_NEW;

    ngx_sio_step();

    n->refs = 0;
    n->hash = hash;
    n->next = 0;
    n->tail = 0;
    n->nsp = nsp;
    n->len = len;
    ngx_memzero(n->workers, sizeof(n->workers));
    ngx_memcpy(n->name, data, ngx_min(len, NGX_SIO_NAME_HEAD));

    bucket = ngx_sio_name_bucket(names, hash, nsp);

    if (ngx_sio_name_rest(z, n, data, len) != NGX_OK) {
        ngx_sio_name_free(z, names, i);
        return 0;
    }

    ngx_sio_step();

    n->state = NGX_SIO_LIVE;

    ngx_sio_step();

    n->next = *bucket;

    ngx_sio_step();

    *bucket = i;

    ngx_sio_step();

    (*names->live)++;

    ngx_sio_step();

    return i;
}


static uint32_t
ngx_sio_name_alloc(ngx_sio_zone_t *z, ngx_sio_names_t *names)
{
    uint32_t  i;

    if (ngx_sio_refused(STORE)) {
        return 0;
    }

    i = *names->free;

    if (i) {
        *names->free = names->records[i].next;

    } else {
        if (*names->top == names->total) {
            return 0;
        }

        i = ++*names->top;

        ngx_sio_step();

        ngx_sio_name_grow(z, names);
    }

    ngx_sio_step();

    return i;
}


static void
ngx_sio_name_grow(ngx_sio_zone_t *z, ngx_sio_names_t *names)
{
    ngx_sio_table_t  t;

    t.buckets = names->table;
    t.records = names->records;
    t.size = sizeof(ngx_sio_name_sh_t);
    t.next = offsetof(ngx_sio_name_sh_t, next);
    t.hash = ngx_sio_name_hashed;

    ngx_sio_table_split_locked(z, &t, *names->top);
}


static uint64_t
ngx_sio_name_hashed(ngx_sio_zone_t *z, const void *record)
{
    const ngx_sio_name_sh_t  *n;

    n = record;

    return ngx_sio_name_hash(n->hash, n->nsp);
}


/* The odd factor spreads equal names of several namespaces. */

static uint64_t
ngx_sio_name_hash(uint64_t hash, uint16_t nsp)
{
    return hash + nsp * 0x9e3779b97f4a7c15;
}


/* Puts what the record has no room for into tails. */

static ngx_int_t
ngx_sio_name_rest(ngx_sio_zone_t *z, ngx_sio_name_sh_t *n, const u_char *data,
    size_t len)
{
    size_t     at, size;
    uint32_t   t, *link;

    link = &n->tail;

    for (at = NGX_SIO_NAME_HEAD; at < len; at += size) {

        t = ngx_sio_name_tail(z);

        if (t == 0) {
            return NGX_DECLINED;
        }

        size = ngx_min(len - at, NGX_SIO_NAME_TEXT);
        ngx_memcpy(z->tails[t].text, data + at, size);

        ngx_sio_step();

        *link = t;

        ngx_sio_step();

        link = &z->tails[t].next;
    }

    return NGX_OK;
}


/*
 * Returns a tail that is LIVE and the last one of its name, or 0: nothing but
 * its reachability makes it used.
 */

static uint32_t
ngx_sio_name_tail(ngx_sio_zone_t *z)
{
    uint32_t            i;
    ngx_sio_zone_sh_t  *sh;
    ngx_sio_tail_sh_t  *t;

    if (ngx_sio_refused(STORE)) {
        return 0;
    }

    sh = z->sh;
    i = sh->free_tail;

    if (i) {
        sh->free_tail = z->tails[i].next;

    } else {
        if (sh->top_tail == sh->ntails) {
            return 0;
        }

        i = ++sh->top_tail;
    }

    ngx_sio_step();

    t = &z->tails[i];

    ngx_memzero(t->text, sizeof(t->text));
    t->next = 0;

    ngx_sio_step();

    t->state = NGX_SIO_LIVE;

    ngx_sio_step();

    sh->live_tails++;

    ngx_sio_step();

    return i;
}


static void
ngx_sio_name_free_tail(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_zone_sh_t  *sh;
    ngx_sio_tail_sh_t  *t;

    sh = z->sh;
    t = &z->tails[i];

    t->state = NGX_SIO_FREE;

    ngx_sio_step();

    t->next = sh->free_tail;

    ngx_sio_step();

    sh->free_tail = i;

    ngx_sio_step();

    sh->live_tails--;

    ngx_sio_step();
}


uint32_t
ngx_sio_name_find_locked(ngx_sio_zone_t *z, ngx_sio_names_t *names,
    uint64_t hash, uint16_t nsp, const u_char *data, size_t len)
{
    uint32_t            i;
    ngx_sio_name_sh_t  *n;

    for (i = *ngx_sio_name_bucket(names, hash, nsp); i; i = n->next) {

        n = &names->records[i];

        if (n->hash == hash && ngx_sio_name_equal(z, n, nsp, data, len)) {
            return i;
        }
    }

    return 0;
}


uint32_t *
ngx_sio_name_bucket(ngx_sio_names_t *names, uint64_t hash, uint16_t nsp)
{
    return &names->table[ngx_sio_table_bucket(ngx_sio_name_hash(hash, nsp),
                                              *names->top)];
}


void
ngx_sio_name_ref_locked(ngx_sio_names_t *names, uint32_t i)
{
    names->records[i].refs++;

    ngx_sio_step();
}


void
ngx_sio_name_unref_locked(ngx_sio_zone_t *z, ngx_sio_names_t *names,
    uint32_t i)
{
    ngx_sio_name_sh_t  *n;

    n = &names->records[i];

    n->refs--;

    ngx_sio_step();

    if (n->refs) {
        return;
    }

    n->state = NGX_SIO_NEW;

    ngx_sio_step();

    ngx_sio_name_unlink(names, i);
    ngx_sio_name_free(z, names, i);

    (*names->live)--;

    ngx_sio_step();
}


static void
ngx_sio_name_unlink(ngx_sio_names_t *names, uint32_t i)
{
    uint32_t           *link;
    ngx_sio_name_sh_t  *n;

    n = &names->records[i];

    link = ngx_sio_name_bucket(names, n->hash, n->nsp);

    while (*link && *link != i) {
        link = &names->records[*link].next;
    }

    if (*link == i) {
        *link = n->next;
    }

    ngx_sio_step();
}


/* Frees a record that is NEW, with the tails that it has by now. */

static void
ngx_sio_name_free(ngx_sio_zone_t *z, ngx_sio_names_t *names, uint32_t i)
{
    uint32_t            t;
    ngx_sio_name_sh_t  *n;

    n = &names->records[i];

    while (n->tail) {
        t = n->tail;
        n->tail = z->tails[t].next;

        ngx_sio_step();

        ngx_sio_name_free_tail(z, t);
    }

    n->state = NGX_SIO_FREE;

    ngx_sio_step();

    n->next = *names->free;

    ngx_sio_step();

    *names->free = i;

    ngx_sio_step();
}


ngx_uint_t
ngx_sio_name_equal(ngx_sio_zone_t *z, const ngx_sio_name_sh_t *n,
    uint16_t nsp, const u_char *data, size_t len)
{
    size_t    at, size;
    uint32_t  t;

    if (n->nsp != nsp || n->len != len) {
        return 0;
    }

    size = ngx_min(len, NGX_SIO_NAME_HEAD);

    if (ngx_memcmp(n->name, data, size) != 0) {
        return 0;
    }

    t = n->tail;

    for (at = size; at < len; at += size) {

        if (t == 0 || t > z->sh->ntails) {
            return 0;
        }

        size = ngx_min(len - at, NGX_SIO_NAME_TEXT);

        if (ngx_memcmp(z->tails[t].text, data + at, size) != 0) {
            return 0;
        }

        t = z->tails[t].next;
    }

    return 1;
}


size_t
ngx_sio_name_text(ngx_sio_zone_t *z, const ngx_sio_name_sh_t *n, u_char *p)
{
    size_t    at, size, len;
    uint32_t  t;

    len = ngx_min(n->len, SIO_ROOM_LEN);
    size = ngx_min(len, NGX_SIO_NAME_HEAD);

    ngx_memcpy(p, n->name, size);

    t = n->tail;

    for (at = size; at < len; at += size) {

        if (t == 0 || t > z->sh->ntails) {
            return at;
        }

        size = ngx_min(len - at, NGX_SIO_NAME_TEXT);
        ngx_memcpy(p + at, z->tails[t].text, size);

        t = z->tails[t].next;
    }

    return len;
}


void
ngx_sio_name_worker(ngx_sio_name_sh_t *n, ngx_uint_t slot, ngx_uint_t on)
{
    uint64_t  *word, bit;

    word = &n->workers[(slot - 1) / 64];
    bit = (uint64_t) 1 << (slot - 1) % 64;

    if (on) {
        (void) __atomic_fetch_or(word, bit, __ATOMIC_ACQ_REL);

    } else {
        (void) __atomic_fetch_and(word, ~bit, __ATOMIC_ACQ_REL);
    }
}
