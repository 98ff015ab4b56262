
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_replay_rooms.h"
#include "ngx_sio_name.h"


#define NGX_SIO_REPLAY_SLOTS  32         /* least size of the table */
#define NGX_SIO_REPLAY_GONE   0xffffffff /* for a room: left, and forgotten */


static ngx_int_t ngx_sio_replay_rooms_read(ngx_sio_replay_rooms_t *r);
static void ngx_sio_replay_rooms_insert(ngx_sio_replay_rooms_t *r,
    uint64_t hash, uint32_t room, uint32_t member);
static ngx_sio_replay_slot_t *ngx_sio_replay_rooms_slot(
    ngx_sio_replay_rooms_t *r, uint64_t hash, uint32_t *n);
static ngx_sio_member_sh_t *ngx_sio_replay_rooms_member(
    ngx_sio_replay_rooms_t *r, ngx_sio_replay_slot_t *slot,
    const sio_str_t *name);
static ngx_int_t ngx_sio_replay_rooms_failed(ngx_sio_replay_rooms_t *r);


#define ngx_sio_replay_rooms_session(r)  (&(r)->zone->sessions[(r)->session])


ngx_int_t
ngx_sio_replay_rooms_mine(ngx_sio_replay_rooms_t *r)
{
    if (ngx_sio_zone_lost(r->zone)
        || !ngx_sio_session_mine(r->zone, r->session, r->owner))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_replay_rooms_read_locked(ngx_sio_replay_rooms_t *r)
{
    size_t                 size;
    uint32_t               n, ref, room;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_replay_rooms_session(r);

    n = NGX_SIO_REPLAY_SLOTS;

    while (n / 4 <= ss->members) {
        n *= 2;
    }

    size = n * sizeof(ngx_sio_replay_slot_t);

    if (sio_buf_reserve(&r->table, size) != SIO_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(r->table.data, size);

    r->mask = n - 1;
    r->used = 0;

    ref = NGX_SIO_NO_MEMBER;

    for ( ;; ) {
        m = ngx_sio_session_walk_all(r->zone, ss, &ref);

        /* there is always an empty slot: searches end there */

        if (m == NULL || r->used == r->mask) {
            return NGX_OK;
        }

        room = ngx_sio_member_room(m);

        ngx_sio_replay_rooms_insert(r, r->zone->rooms[room].hash, room, ref);
    }
}


/* The table is full, or not what the session has. */

static ngx_int_t
ngx_sio_replay_rooms_read(ngx_sio_replay_rooms_t *r)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_lock(r->zone) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_sio_replay_rooms_mine(r);

    if (rc == NGX_OK) {
        rc = ngx_sio_replay_rooms_read_locked(r);
    }

    ngx_sio_zone_unlock(r->zone);

    return rc;
}


static void
ngx_sio_replay_rooms_insert(ngx_sio_replay_rooms_t *r, uint64_t hash,
    uint32_t room, uint32_t member)
{
    uint32_t                n;
    ngx_sio_replay_slot_t  *slots;

    slots = (ngx_sio_replay_slot_t *) r->table.data;
    n = hash & r->mask;

    while (slots[n].room) {
        n = (n + 1) & r->mask;
    }

    slots[n].hash = hash;
    slots[n].room = room;
    slots[n].member = member;

    r->used++;
}


/*
 * The next slot of a hash, NULL behind the last; *n is the hash before the
 * first call.
 */

static ngx_sio_replay_slot_t *
ngx_sio_replay_rooms_slot(ngx_sio_replay_rooms_t *r, uint64_t hash,
    uint32_t *n)
{
    ngx_sio_replay_slot_t  *slot;

    for ( ;; ) {
        slot = (ngx_sio_replay_slot_t *) r->table.data + (*n & r->mask);

        if (slot->room == 0) {
            return NULL;
        }

        (*n)++;

        if (slot->hash == hash) {
            return slot;
        }
    }
}


/* The membership of a slot, if it still is that and its room has this name. */

static ngx_sio_member_sh_t *
ngx_sio_replay_rooms_member(ngx_sio_replay_rooms_t *r,
    ngx_sio_replay_slot_t *slot, const sio_str_t *name)
{
    ngx_sio_member_sh_t  *m;

    if (slot->room == NGX_SIO_REPLAY_GONE) {
        return NULL;
    }

    m = ngx_sio_session_member(r->zone, ngx_sio_replay_rooms_session(r),
                               slot->member);

    if (m == NULL
        || ngx_sio_member_room(m) != slot->room
        || !ngx_sio_name_equal(r->zone, &r->zone->rooms[slot->room], r->nsp,
                               name->data, name->len))
    {
        return NULL;
    }

    return m;
}


ngx_uint_t
ngx_sio_replay_rooms_know(ngx_sio_replay_rooms_t *r, uint64_t hash)
{
    uint32_t  n;

    n = hash;

    return ngx_sio_replay_rooms_slot(r, hash, &n) != NULL;
}


ngx_uint_t
ngx_sio_replay_rooms_cover(ngx_sio_replay_rooms_t *r, uint64_t hash,
    const sio_str_t *name, uint64_t off)
{
    uint32_t                n;
    ngx_sio_member_sh_t    *m;
    ngx_sio_replay_slot_t  *slot;

    n = hash;

    for ( ;; ) {
        slot = ngx_sio_replay_rooms_slot(r, hash, &n);

        if (slot == NULL) {
            return 0;
        }

        m = ngx_sio_replay_rooms_member(r, slot, name);

        if (m && ngx_sio_member_covers(m, off)) {
            return 1;
        }
    }
}


ngx_int_t
ngx_sio_replay_rooms_join(ngx_sio_replay_rooms_t *r, uint64_t hash,
    const sio_str_t *name, uint64_t since)
{
    uint32_t                n, members;
    ngx_int_t               rc;
    ngx_sio_room_t          room;
    ngx_sio_member_sh_t    *m;
    ngx_sio_replay_slot_t  *slot;

    n = hash;

    for ( ;; ) {
        slot = ngx_sio_replay_rooms_slot(r, hash, &n);

        if (slot == NULL) {
            break;
        }

        m = ngx_sio_replay_rooms_member(r, slot, name);

        if (m
            && ((m->room & NGX_SIO_LEFT) == 0
                || ngx_sio_member_covers(m, since)))
        {
            return NGX_OK;
        }
    }

    room.hash = hash;
    room.name.data = (u_char *) name->data;
    room.name.len = name->len;
    room.set = 0;

    members = ngx_sio_replay_rooms_session(r)->members;

    rc = ngx_sio_session_join(r->zone, r->session, r->owner, &room, since);

    if (rc != NGX_OK && rc != NGX_DONE) {
        return ngx_sio_replay_rooms_failed(r);
    }

    if (ngx_sio_replay_rooms_session(r)->members != members + 1
        || r->used >= r->mask / 2)
    {
        return ngx_sio_replay_rooms_read(r);
    }

    ngx_sio_replay_rooms_insert(r, hash, room.room, room.member);

    return NGX_OK;
}


ngx_int_t
ngx_sio_replay_rooms_leave(ngx_sio_replay_rooms_t *r, uint64_t hash,
    const sio_str_t *name, uint64_t off, uint64_t until)
{
    uint32_t                n, members;
    ngx_sio_member_sh_t    *m;
    ngx_sio_replay_slot_t  *slot;

    n = hash;

    do {
        slot = ngx_sio_replay_rooms_slot(r, hash, &n);

        if (slot == NULL) {
            return NGX_OK;
        }

        m = ngx_sio_replay_rooms_member(r, slot, name);

    } while (m == NULL
             || (m->room & NGX_SIO_LEFT)
             || !ngx_sio_member_covers(m, off));

    members = ngx_sio_replay_rooms_session(r)->members;

    if (ngx_sio_session_leave(r->zone, r->session, r->owner, slot->member,
                              until)
        != NGX_OK)
    {
        return ngx_sio_replay_rooms_failed(r);
    }

    members -= ngx_sio_replay_rooms_session(r)->members;

    if (members == 0) {
        return NGX_OK;
    }

    if (members == 1 && m->room != (slot->room | NGX_SIO_LEFT)) {
        /* this one is forgotten, and no other */
        slot->room = NGX_SIO_REPLAY_GONE;
        return NGX_OK;
    }

    return ngx_sio_replay_rooms_read(r);
}


/* Why the session could not be changed. */

static ngx_int_t
ngx_sio_replay_rooms_failed(ngx_sio_replay_rooms_t *r)
{
    return (ngx_sio_replay_rooms_mine(r) == NGX_OK) ? NGX_ERROR
                                                    : NGX_DECLINED;
}
