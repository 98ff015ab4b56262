
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_session.h"


/*
 * What an owner stores to its session while it serves a client: see the owner
 * word in zone.h.  A hold is two atomic operations on a cache line that is
 * written in any case.
 */


static ngx_uint_t ngx_sio_session_hold(ngx_sio_session_sh_t *ss,
    uint64_t owner);
static void ngx_sio_session_unhold(ngx_sio_session_sh_t *ss, uint64_t owner);


#define ngx_sio_session_held(owner)                                           \
    ngx_sio_owner(ngx_sio_owner_slot(owner), NGX_SIO_OWNER_HELD, owner)


static ngx_uint_t
ngx_sio_session_hold(ngx_sio_session_sh_t *ss, uint64_t owner)
{
    if (ngx_sio_owner_slot(owner) == 0
        || !__atomic_compare_exchange_n(&ss->owner, &owner,
                                        ngx_sio_session_held(owner), 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    {
        return 0;
    }

    ngx_sio_step();

    return 1;
}


/* The word is another one only if repair has emptied the zone meanwhile. */

static void
ngx_sio_session_unhold(ngx_sio_session_sh_t *ss, uint64_t owner)
{
    uint64_t  word;

    word = ngx_sio_session_held(owner);

    (void) __atomic_compare_exchange_n(&ss->owner, &word, owner, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    ngx_sio_step();
}


void
ngx_sio_session_handed(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t from, uint64_t last)
{
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    if (ngx_sio_session_hold(ss, owner)) {
        ngx_sio_session_note(z, ss, from, last);
        ngx_sio_session_unhold(ss, owner);
    }
}


void
ngx_sio_session_stay(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t at)
{
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    if (ngx_sio_load(&ss->applied) != NGX_SIO_AT_CURSOR
        || !ngx_sio_session_hold(ss, owner))
    {
        return;
    }

    /* who is just taking it has a position that is not behind this one */

    if (ngx_sio_load(&ss->applied) == NGX_SIO_AT_CURSOR) {
        ngx_sio_store(&ss->applied, at);

        ngx_sio_step();
    }

    ngx_sio_session_unhold(ss, owner);
}


void
ngx_sio_session_told_done(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t at)
{
    uint32_t               told;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];
    told = __atomic_load_n(&ss->told, __ATOMIC_ACQUIRE);

    if (told == 0
        || (int32_t) (told - (uint32_t) (at / SIO_RECORD_ALIGN)) > 0
        || !ngx_sio_session_hold(ss, owner))
    {
        return;
    }

    /* unless it is a new one by now */

    (void) __atomic_compare_exchange_n(&ss->told, &told, 0, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    ngx_sio_step();

    ngx_sio_session_unhold(ss, owner);
}


void
ngx_sio_session_place(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint32_t member, uint32_t pos)
{
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    if (ngx_sio_session_hold(ss, owner)) {

        m = ngx_sio_session_member(z, ss, member);

        if (m) {
            m->pos = pos;

            ngx_sio_step();
        }

        ngx_sio_session_unhold(ss, owner);
    }
}


ngx_int_t
ngx_sio_session_at_cursor(ngx_sio_zone_t *z, uint32_t i, uint64_t owner)
{
    ngx_int_t              rc;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;
    ss = ngx_sio_session_mine_locked(z, i, owner);

    if (ss) {
        ngx_sio_store(&ss->applied, NGX_SIO_AT_CURSOR);

        ngx_sio_step();

        rc = NGX_OK;
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


/*
 * "seen" first: until "applied" is another one it means nothing, if the session
 * is at the cursor, and is lower than need be, if it is not.
 */

ngx_int_t
ngx_sio_session_go_back(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t off, ngx_uint_t commands)
{
    ngx_int_t              rc;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;
    ss = ngx_sio_session_mine_locked(z, i, owner);

    if (ss) {
        ss->seen = off;

        ngx_sio_step();

        if (commands) {
            ngx_sio_store(&ss->applied, off);

            ngx_sio_step();
        }

        rc = NGX_OK;
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


void
ngx_sio_session_reason(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    ngx_uint_t reason)
{
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    if (ngx_sio_session_hold(ss, owner)) {

        if (ss->reason == 0) {
            ss->reason = (uint8_t) reason;
        }

        ngx_sio_session_unhold(ss, owner);
    }
}
