
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_session.h"
#include "ngx_sio_log.h"
#include "ngx_sio_name.h"


/* The rooms of a session. */


#define NGX_SIO_MAX_MEMBERS  0xffff
#define NGX_SIO_MAX_UNITS    0xffffffff


static ngx_uint_t ngx_sio_session_is_member(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_sio_room_t *room);
static uint32_t ngx_sio_session_hole(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
static ngx_sio_member_sh_t *ngx_sio_session_own(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, uint32_t member);
static void ngx_sio_session_keep(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_member_sh_t *m, uint64_t until);
static void ngx_sio_session_raise(ngx_sio_session_sh_t *ss, uint64_t floor);
static ngx_uint_t ngx_sio_session_forget(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, uint64_t upto, uint64_t *oldest);
static ngx_uint_t ngx_sio_session_forget_places(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_sio_member_sh_t *m, ngx_uint_t places,
    uint64_t upto, uint64_t *oldest);
static void ngx_sio_session_drop(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_member_sh_t *m);
static uint32_t *ngx_sio_session_link(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, uint32_t chunk);
static ngx_uint_t ngx_sio_session_trim(ngx_sio_zone_t *z, uint32_t *link);


ngx_int_t
ngx_sio_session_join(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    ngx_sio_room_t *room, uint64_t since)
{
    uint64_t               oldest;
    ngx_int_t              rc;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    ss = ngx_sio_session_mine_locked(z, i, owner);

    if (ss == NULL || ss->sid[0] == 0) {
        rc = NGX_DECLINED;

    } else if (ngx_sio_session_is_member(z, ss, room)) {
        rc = NGX_DONE;

    } else {
        (void) ngx_sio_session_forget(z, ss, ngx_sio_log_tail(z), &oldest);

        rc = ngx_sio_session_add_locked(z, ss, room, since);

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


ngx_int_t
ngx_sio_session_add_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
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
    m->since = room->set ? since | NGX_SIO_SET : since;

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
                return c * NGX_SIO_REF + i;
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

    return c * NGX_SIO_REF;
}


ngx_int_t
ngx_sio_session_leave(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint32_t member, uint64_t until)
{
    uint32_t              *link;
    ngx_int_t              rc;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    ss = ngx_sio_session_mine_locked(z, i, owner);
    rc = ss ? NGX_OK : NGX_DECLINED;
    m = ss ? ngx_sio_session_own(z, ss, member) : NULL;

    if (m == NULL) {
        goto done;
    }

    if ((ss->flags & NGX_SIO_RECOVERABLE)
        && until > ngx_sio_member_since(m)
        && until > ngx_sio_log_tail(z))
    {
        ngx_sio_session_keep(z, ss, m, until);
        goto done;
    }

    ngx_sio_session_drop(z, ss, m);

    if (member >= NGX_SIO_REF) {
        link = ngx_sio_session_link(z, ss, member / NGX_SIO_REF);
        (void) ngx_sio_session_trim(z, link);
    }

done:

    ngx_sio_zone_unlock(z);

    return rc;
}


ngx_int_t
ngx_sio_session_refresh(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    ngx_uint_t due)
{
    ngx_int_t              rc;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;
    ss = ngx_sio_session_mine_locked(z, i, owner);

    if (ss && ss->sid[0]) {
        rc = NGX_OK;

        if (due) {
            ss->flags |= NGX_SIO_REFRESH;

        } else {
            ss->flags &= ~NGX_SIO_REFRESH;
        }
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


/* The membership behind a reference, if it is one of this session's. */

static ngx_sio_member_sh_t *
ngx_sio_session_own(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint32_t member)
{
    ngx_sio_member_sh_t  *m;

    m = ngx_sio_session_member(z, ss, member);

    if (m == NULL || m->room == 0 || (m->room & NGX_SIO_LEFT)) {
        return NULL;
    }

    if (member >= NGX_SIO_REF
        && ngx_sio_session_link(z, ss, member / NGX_SIO_REF) == NULL)
    {
        return NULL;
    }

    return m;
}


/*
 * Where a membership began stays as it is, and its place in the array of a
 * worker means nothing to the next one: so it has ended with the last store,
 * and who dies before it has changed nothing.
 */

static void
ngx_sio_session_keep(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_member_sh_t *m, uint64_t until)
{
    uint64_t  oldest, units;

    if (ngx_sio_session_forget(z, ss, ngx_sio_log_tail(z), &oldest)
        >= NGX_SIO_ENDED)
    {
        ngx_sio_session_raise(ss, oldest);
        (void) ngx_sio_session_forget(z, ss, oldest, &oldest);
    }

    units = (until - ngx_sio_member_since(m) + SIO_RECORD_ALIGN - 1)
            / SIO_RECORD_ALIGN;

    if (units > NGX_SIO_MAX_UNITS) {
        units = NGX_SIO_MAX_UNITS;
        m->since = until - units * SIO_RECORD_ALIGN;

        ngx_sio_step();
    }

    m->pos = (uint32_t) units;

    ngx_sio_step();

    m->room |= NGX_SIO_LEFT;

    ngx_sio_step();

    z->sh->live_members--;

    ngx_sio_step();
}


/*
 * The flag first: base_from is a higher floor than need be then.  With
 * base_last 0, which is nobody's offset, it is no base any more.
 */

static void
ngx_sio_session_raise(ngx_sio_session_sh_t *ss, uint64_t floor)
{
    if (ss->flags & NGX_SIO_FLOOR) {
        floor = ngx_max(ss->base_from, floor);
    }

    ss->flags |= NGX_SIO_FLOOR;

    ngx_sio_step();

    ss->base_last = 0;

    ngx_sio_step();

    ss->base_from = floor;

    ngx_sio_step();
}


/*
 * Drops the memberships that ended at or before an offset.  Returns how many
 * are left that have ended, and when the first of them did.
 */

static ngx_uint_t
ngx_sio_session_forget(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint64_t upto, uint64_t *oldest)
{
    uint32_t            *link;
    ngx_uint_t           n;
    ngx_sio_chunk_sh_t  *c;

    *oldest = (uint64_t) -1;

    if (!(ss->flags & NGX_SIO_RECOVERABLE)) {
        return 0;
    }

    ngx_sio_session_floor_locked(z, ss);

    n = ngx_sio_session_forget_places(z, ss, ss->member, NGX_SIO_INLINE, upto,
                                      oldest);
    link = &ss->chunk;

    while (*link) {
        c = &z->chunks[*link];

        n += ngx_sio_session_forget_places(z, ss, c->u.member, NGX_SIO_CHUNK,
                                           upto, oldest);

        if (!ngx_sio_session_trim(z, link)) {
            link = &c->next;
        }
    }

    return n;
}


static ngx_uint_t
ngx_sio_session_forget_places(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_member_sh_t *m, ngx_uint_t places, uint64_t upto,
    uint64_t *oldest)
{
    uint64_t    end;
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < places; i++) {

        if (!(m[i].room & NGX_SIO_LEFT)) {
            continue;
        }

        end = ngx_sio_member_end(&m[i]);

        if (end <= upto) {
            ngx_sio_session_drop(z, ss, &m[i]);
            continue;
        }

        *oldest = ngx_min(*oldest, end);
        n++;
    }

    return n;
}


/* The membership is the truth, so it goes before the count that it holds. */

static void
ngx_sio_session_drop(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_member_sh_t *m)
{
    uint32_t         room;
    ngx_sio_names_t  names;

    names = ngx_sio_name_rooms(z);

    room = m->room;
    m->room = 0;

    ngx_sio_step();

    ss->members--;
    z->sh->live_members -= !(room & NGX_SIO_LEFT);

    ngx_sio_step();

    ngx_sio_name_unref_locked(z, &names, room & ~NGX_SIO_LEFT);
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


/* Frees a chunk without memberships: true if it was one. */

static ngx_uint_t
ngx_sio_session_trim(ngx_sio_zone_t *z, uint32_t *link)
{
    uint32_t             i;
    ngx_uint_t           n;
    ngx_sio_chunk_sh_t  *c;

    i = *link;
    c = &z->chunks[i];

    for (n = 0; n < NGX_SIO_CHUNK; n++) {
        if (c->u.member[n].room) {
            return 0;
        }
    }

    *link = c->next;

    ngx_sio_step();

    ngx_sio_zone_chunk_free_locked(z, i);

    return 1;
}


void
ngx_sio_session_drop_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    uint32_t             n;
    ngx_sio_chunk_sh_t  *c;

    for (n = 0; n < NGX_SIO_INLINE; n++) {
        if (ss->member[n].room) {
            ngx_sio_session_drop(z, ss, &ss->member[n]);
        }
    }

    while (ss->chunk) {
        c = &z->chunks[ss->chunk];

        for (n = 0; n < NGX_SIO_CHUNK; n++) {
            if (c->u.member[n].room) {
                ngx_sio_session_drop(z, ss, &c->u.member[n]);
            }
        }

        (void) ngx_sio_session_trim(z, &ss->chunk);
    }
}
