
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_session.h"
#include "ngx_sio_name.h"


#define NGX_SIO_MAX_MEMBERS  0xffff


static uint32_t ngx_sio_session_alloc(ngx_sio_zone_t *z);
static void ngx_sio_session_give(ngx_sio_session_sh_t *ss, ngx_uint_t slot,
    ngx_uint_t state);
static ngx_sio_session_sh_t *ngx_sio_session_live(ngx_sio_zone_t *z,
    uint32_t i);
static ngx_int_t ngx_sio_session_fill(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_str_t *user, ngx_sio_room_t *rooms,
    ngx_uint_t nrooms, uint64_t since);
static ngx_int_t ngx_sio_session_user(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_str_t *user);
static ngx_uint_t ngx_sio_session_is_member(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_sio_room_t *room);
static ngx_int_t ngx_sio_session_add(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_sio_room_t *room, uint64_t since);
static uint32_t ngx_sio_session_hole(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
static void ngx_sio_session_drop(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_member_sh_t *m);
static uint32_t *ngx_sio_session_link(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, uint32_t chunk);
static ngx_uint_t ngx_sio_session_is_empty(ngx_sio_chunk_sh_t *c);
static void ngx_sio_session_unlink_eio(ngx_sio_zone_t *z, uint32_t i);
static void ngx_sio_session_unlink_sid(ngx_sio_zone_t *z, uint32_t i);


uint32_t
ngx_sio_session_open(ngx_sio_zone_t *z, ngx_uint_t slot,
    const u_char *eio_sid, ngx_uint_t transport)
{
    uint32_t               i, *bucket;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        (void) __atomic_fetch_add(&z->sh->refused, 1, __ATOMIC_RELAXED);
        return 0;
    }

    i = ngx_sio_zone_lost(z) ? 0 : ngx_sio_session_alloc(z);

    if (i == 0) {
        ngx_sio_zone_unlock(z);
        (void) __atomic_fetch_add(&z->sh->refused, 1, __ATOMIC_RELAXED);
        return 0;
    }

    ss = &z->sessions[i];

    ss->state = NGX_SIO_NEW;

    ngx_sio_step();

    /* everything behind the generation and the owner word starts at zero */

    ngx_memzero(&ss->applied, sizeof(ngx_sio_session_sh_t)
                              - offsetof(ngx_sio_session_sh_t, applied));

    ss->generation++;
    ss->transport = transport;
    ngx_memcpy(ss->eio_sid, eio_sid, NGX_SIO_SID_LEN);

    ngx_sio_session_give(ss, slot, NGX_SIO_OWNER_LIVE);

    ngx_sio_step();

    bucket = ngx_sio_session_eio_bucket(z, eio_sid);
    ss->next_eio = *bucket;

    ngx_sio_step();

    *bucket = i;

    ngx_sio_step();

    ngx_sio_store(&ss->state, NGX_SIO_LIVE);

    ngx_sio_step();

    z->sh->live_sessions++;

    ngx_sio_step();

    ngx_sio_zone_unlock(z);

    return i;
}


static uint32_t
ngx_sio_session_alloc(ngx_sio_zone_t *z)
{
    uint32_t            i;
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;
    i = sh->free_session;

    if (i) {
        sh->free_session = z->sessions[i].next_eio;

    } else {
        if (sh->top_session == sh->nsessions) {
            return 0;
        }

        i = ++sh->top_session;
    }

    ngx_sio_step();

    return i;
}


/* Others may try to take the session at any time, whatever its state. */

static void
ngx_sio_session_give(ngx_sio_session_sh_t *ss, ngx_uint_t slot,
    ngx_uint_t state)
{
    uint64_t  old, word;

    old = ngx_sio_load(&ss->owner);

    do {
        word = ngx_sio_owner(slot, state, ngx_sio_owner_gen(old) + 1);

    } while (!__atomic_compare_exchange_n(&ss->owner, &old, word, 0,
                                          __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
}


/* With the zone lock held: the record, if it is still the caller's. */

static ngx_sio_session_sh_t *
ngx_sio_session_live(ngx_sio_zone_t *z, uint32_t i)
{
    if (i == 0
        || i > z->sh->top_session
        || z->sessions[i].state != NGX_SIO_LIVE)
    {
        return NULL;
    }

    return &z->sessions[i];
}


ngx_int_t
ngx_sio_session_connect(ngx_sio_zone_t *z, uint32_t i, const u_char *sid,
    uint16_t nsp, ngx_str_t *user, ngx_sio_room_t *rooms, ngx_uint_t nrooms,
    uint64_t since)
{
    uint32_t              *bucket;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    ss = ngx_sio_zone_lost(z) ? NULL : ngx_sio_session_live(z, i);

    if (ss == NULL || ss->sid[0]) {
        ngx_sio_zone_unlock(z);
        return NGX_DECLINED;
    }

    ss->nsp = nsp;

    if (ngx_sio_session_fill(z, ss, user, rooms, nrooms, since) != NGX_OK) {
        ngx_sio_session_disconnect_locked(z, i);
        ngx_sio_zone_unlock(z);
        (void) __atomic_fetch_add(&z->sh->refused, 1, __ATOMIC_RELAXED);
        return NGX_DECLINED;
    }

    ngx_memcpy(ss->sid, sid, NGX_SIO_SID_LEN);

    ngx_sio_step();

    bucket = ngx_sio_session_sid_bucket(z, sid);
    ss->next_sid = *bucket;

    ngx_sio_step();

    *bucket = i;

    ngx_sio_step();

    ngx_sio_zone_unlock(z);

    return NGX_OK;
}


static ngx_int_t
ngx_sio_session_fill(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_str_t *user, ngx_sio_room_t *rooms, ngx_uint_t nrooms,
    uint64_t since)
{
    ngx_uint_t  n;

    if (user && user->len && ngx_sio_session_user(z, ss, user) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (n = 0; n < nrooms; n++) {
        if (ngx_sio_session_add(z, ss, &rooms[n], since) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_session_user(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_str_t *user)
{
    uint32_t         u;
    uint64_t         hash;
    ngx_sio_names_t  users;

    users = ngx_sio_name_users(z);
    hash = sio_hash(z->sh->seed, user->data, user->len);

    u = ngx_sio_name_get_locked(z, &users, hash, ss->nsp, user->data,
                                user->len);
    if (u == 0) {
        return NGX_DECLINED;
    }

    ngx_sio_name_ref_locked(&users, u);

    ss->user = u;

    ngx_sio_step();

    return NGX_OK;
}


ngx_int_t
ngx_sio_session_join(ngx_sio_zone_t *z, uint32_t i, ngx_sio_room_t *room,
    uint64_t since)
{
    ngx_int_t              rc;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    ss = ngx_sio_zone_lost(z) ? NULL : ngx_sio_session_live(z, i);

    if (ss == NULL) {
        rc = NGX_DECLINED;

    } else if (ngx_sio_session_is_member(z, ss, room)) {
        rc = NGX_DONE;

    } else {
        rc = ngx_sio_session_add(z, ss, room, since);

        if (rc != NGX_OK) {
            (void) __atomic_fetch_add(&z->sh->refused, 1, __ATOMIC_RELAXED);
        }
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


static ngx_uint_t
ngx_sio_session_is_member(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_room_t *room)
{
    uint32_t              i, ref;
    ngx_sio_names_t       names;
    ngx_sio_member_sh_t  *m;

    names = ngx_sio_name_rooms(z);

    i = ngx_sio_name_find_locked(z, &names, room->hash, ss->nsp,
                                 room->name.data, room->name.len);
    if (i == 0) {
        return 0;
    }

    ref = NGX_SIO_NO_MEMBER;

    for ( ;; ) {
        m = ngx_sio_session_walk(z, ss, &ref);

        if (m == NULL) {
            return 0;
        }

        if (m->room == i) {
            room->member = ref;
            room->room = i;
            return 1;
        }
    }
}


/* Joins a room that the session is not in.  NGX_OK or NGX_DECLINED. */

static ngx_int_t
ngx_sio_session_add(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_room_t *room, uint64_t since)
{
    uint32_t              i;
    ngx_sio_names_t       names;
    ngx_sio_member_sh_t  *m;

    names = ngx_sio_name_rooms(z);

    i = ngx_sio_name_get_locked(z, &names, room->hash, ss->nsp,
                                room->name.data, room->name.len);
    if (i == 0) {
        return NGX_DECLINED;
    }

    ngx_sio_name_ref_locked(&names, i);

    room->room = i;
    room->member = ngx_sio_session_hole(z, ss);

    if (room->member == NGX_SIO_NO_MEMBER) {
        ngx_sio_name_unref_locked(z, &names, i);
        return NGX_DECLINED;
    }

    m = ngx_sio_session_member(z, ss, room->member);

    m->pos = 0;
    m->since = since;

    ngx_sio_step();

    m->room = i;

    ngx_sio_step();

    ss->members++;
    z->sh->live_members++;

    ngx_sio_step();

    return NGX_OK;
}


/* Finds a free place, in a new chunk if need be. */

static uint32_t
ngx_sio_session_hole(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    uint32_t  i, c;

    if (ss->members == NGX_SIO_MAX_MEMBERS) {
        return NGX_SIO_NO_MEMBER;
    }

    for (i = 0; i < NGX_SIO_INLINE; i++) {
        if (ss->member[i].room == 0) {
            return i;
        }
    }

    for (c = ss->chunk; c; c = z->chunks[c].next) {
        for (i = 0; i < NGX_SIO_CHUNK; i++) {
            if (z->chunks[c].u.member[i].room == 0) {
                return c * NGX_SIO_INLINE + i;
            }
        }
    }

    c = ngx_sio_zone_chunk_locked(z);

    if (c == 0) {
        return NGX_SIO_NO_MEMBER;
    }

    z->chunks[c].next = ss->chunk;

    ngx_sio_step();

    ss->chunk = c;

    ngx_sio_step();

    return c * NGX_SIO_INLINE;
}


ngx_int_t
ngx_sio_session_leave(ngx_sio_zone_t *z, uint32_t i, uint32_t member)
{
    uint32_t               c, *link;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    ss = ngx_sio_zone_lost(z) ? NULL : ngx_sio_session_live(z, i);

    if (ss == NULL) {
        goto done;
    }

    m = ngx_sio_session_member(z, ss, member);

    if (m == NULL || m->room == 0) {
        goto done;
    }

    if (member < NGX_SIO_INLINE) {
        ngx_sio_session_drop(z, ss, m);
        goto done;
    }

    c = member / NGX_SIO_INLINE;
    link = ngx_sio_session_link(z, ss, c);

    if (link == NULL) {
        goto done;
    }

    ngx_sio_session_drop(z, ss, m);

    if (ngx_sio_session_is_empty(&z->chunks[c])) {
        *link = z->chunks[c].next;

        ngx_sio_step();

        ngx_sio_zone_chunk_free_locked(z, c);
    }

done:

    ngx_sio_zone_unlock(z);

    return NGX_OK;
}


/* The membership is the truth, so it goes before the count that it holds. */

static void
ngx_sio_session_drop(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_member_sh_t *m)
{
    uint32_t         i;
    ngx_sio_names_t  names;

    names = ngx_sio_name_rooms(z);

    i = m->room;
    m->room = 0;

    ngx_sio_step();

    ss->members--;
    z->sh->live_members--;

    ngx_sio_step();

    ngx_sio_name_unref_locked(z, &names, i);
}


/* The word that names a chunk of the session, NULL if it has no such chunk. */

static uint32_t *
ngx_sio_session_link(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint32_t chunk)
{
    uint32_t  *link;

    for (link = &ss->chunk; *link; link = &z->chunks[*link].next) {
        if (*link == chunk) {
            return link;
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_sio_session_is_empty(ngx_sio_chunk_sh_t *c)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_SIO_CHUNK; i++) {
        if (c->u.member[i].room) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_sio_session_disconnect(ngx_sio_zone_t *z, uint32_t i)
{
    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    if (!ngx_sio_zone_lost(z)) {
        ngx_sio_session_disconnect_locked(z, i);
    }

    ngx_sio_zone_unlock(z);

    return NGX_OK;
}


void
ngx_sio_session_disconnect_locked(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t               c, n, u;
    ngx_sio_names_t        users;
    ngx_sio_chunk_sh_t    *chunk;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live(z, i);

    if (ss == NULL) {
        return;
    }

    if (ss->sid[0]) {
        ngx_sio_session_unlink_sid(z, i);
        ngx_memzero(ss->sid, NGX_SIO_SID_LEN);

        ngx_sio_step();
    }

    if (ss->user) {
        users = ngx_sio_name_users(z);

        u = ss->user;
        ss->user = 0;

        ngx_sio_step();

        ngx_sio_name_unref_locked(z, &users, u);
    }

    for (n = 0; n < NGX_SIO_INLINE; n++) {
        if (ss->member[n].room) {
            ngx_sio_session_drop(z, ss, &ss->member[n]);
        }
    }

    while (ss->chunk) {
        c = ss->chunk;
        chunk = &z->chunks[c];

        for (n = 0; n < NGX_SIO_CHUNK; n++) {
            if (chunk->u.member[n].room) {
                ngx_sio_session_drop(z, ss, &chunk->u.member[n]);
            }
        }

        ss->chunk = chunk->next;

        ngx_sio_step();

        ngx_sio_zone_chunk_free_locked(z, c);
    }
}


ngx_int_t
ngx_sio_session_close(ngx_sio_zone_t *z, uint32_t i)
{
    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    if (!ngx_sio_zone_lost(z)) {
        ngx_sio_session_close_locked(z, i);
    }

    ngx_sio_zone_unlock(z);

    return NGX_OK;
}


void
ngx_sio_session_close_locked(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_zone_sh_t     *sh;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live(z, i);

    if (ss == NULL) {
        return;
    }

    sh = z->sh;

    ngx_sio_session_disconnect_locked(z, i);

    /* a session that is LIVE without an owner is one that waits for one */

    ngx_sio_store(&ss->state, NGX_SIO_NEW);

    ngx_sio_step();

    ngx_sio_session_give(ss, 0, NGX_SIO_OWNER_NONE);

    ngx_sio_step();

    ngx_sio_session_unlink_eio(z, i);

    ngx_sio_store(&ss->state, NGX_SIO_FREE);

    ngx_sio_step();

    ss->next_eio = sh->free_session;

    ngx_sio_step();

    sh->free_session = i;

    ngx_sio_step();

    sh->live_sessions--;

    ngx_sio_step();
}


static void
ngx_sio_session_unlink_eio(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t              *link;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];
    link = ngx_sio_session_eio_bucket(z, ss->eio_sid);

    while (*link && *link != i) {
        link = &z->sessions[*link].next_eio;
    }

    if (*link == i) {
        *link = ss->next_eio;
    }

    ngx_sio_step();
}


static void
ngx_sio_session_unlink_sid(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t              *link;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];
    link = ngx_sio_session_sid_bucket(z, ss->sid);

    while (*link && *link != i) {
        link = &z->sessions[*link].next_sid;
    }

    if (*link == i) {
        *link = ss->next_sid;
    }

    ngx_sio_step();
}


uint32_t *
ngx_sio_session_eio_bucket(ngx_sio_zone_t *z, const u_char *eio_sid)
{
    uint64_t  hash;

    hash = sio_hash(z->sh->seed, eio_sid, NGX_SIO_SID_LEN);

    return &z->eio_table[hash & (z->sh->session_buckets - 1)];
}


uint32_t *
ngx_sio_session_sid_bucket(ngx_sio_zone_t *z, const u_char *sid)
{
    uint64_t  hash;

    hash = sio_hash(z->sh->seed, sid, NGX_SIO_SID_LEN);

    return &z->sid_table[hash & (z->sh->session_buckets - 1)];
}


uint32_t
ngx_sio_session_by_eio_locked(ngx_sio_zone_t *z, const u_char *eio_sid)
{
    uint32_t  i;

    i = *ngx_sio_session_eio_bucket(z, eio_sid);

    while (i) {
        if (ngx_memcmp(z->sessions[i].eio_sid, eio_sid, NGX_SIO_SID_LEN)
            == 0)
        {
            break;
        }

        i = z->sessions[i].next_eio;
    }

    return i;
}


uint32_t
ngx_sio_session_by_sid_locked(ngx_sio_zone_t *z, const u_char *sid)
{
    uint32_t  i;

    i = *ngx_sio_session_sid_bucket(z, sid);

    while (i) {
        if (ngx_memcmp(z->sessions[i].sid, sid, NGX_SIO_SID_LEN) == 0) {
            break;
        }

        i = z->sessions[i].next_sid;
    }

    return i;
}


ngx_sio_member_sh_t *
ngx_sio_session_member(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint32_t member)
{
    uint32_t  c, n;

    if (member < NGX_SIO_INLINE) {
        return &ss->member[member];
    }

    c = member / NGX_SIO_INLINE;
    n = member % NGX_SIO_INLINE;

    if (c > z->sh->nchunks || n >= NGX_SIO_CHUNK) {
        return NULL;
    }

    return &z->chunks[c].u.member[n];
}


ngx_sio_member_sh_t *
ngx_sio_session_walk(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint32_t *ref)
{
    uint32_t              c, n;
    ngx_sio_member_sh_t  *m;

    c = *ref / NGX_SIO_INLINE;
    n = *ref % NGX_SIO_INLINE + 1;

    if (*ref == NGX_SIO_NO_MEMBER) {
        c = 0;
        n = 0;
    }

    if (c == 0) {
        for ( /* void */ ; n < NGX_SIO_INLINE; n++) {
            if (ss->member[n].room) {
                *ref = n;
                return &ss->member[n];
            }
        }

        c = ss->chunk;
        n = 0;
    }

    while (c && c <= z->sh->nchunks) {

        for ( /* void */ ; n < NGX_SIO_CHUNK; n++) {
            m = &z->chunks[c].u.member[n];

            if (m->room) {
                *ref = c * NGX_SIO_INLINE + n;
                return m;
            }
        }

        c = z->chunks[c].next;
        n = 0;
    }

    return NULL;
}
