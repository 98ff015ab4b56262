
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _T_STORE_BRANCH_H_INCLUDED_
#define _T_STORE_BRANCH_H_INCLUDED_


/* Transports and their branches: to be made, and to be looked at. */


#include "t_store.h"


#define T_BRANCH_ROOMS  8
#define T_BRANCH_SINCE  65536
#define T_BRANCH_LATER  777


/* What a record is. */

typedef enum {
    T_BRANCH_NONE = 0,                         /* no socket */
    T_BRANCH_PLAIN,                            /* one that is not recoverable */
    T_BRANCH_KEPT                              /* one that is */
} t_branch_kind_e;


static u_char          t_branch_names[T_BRANCH_ROOMS][SIO_ROOM_LEN];
static ngx_sio_room_t  t_branch_rooms[T_BRANCH_ROOMS];


/* Two workers; slot 1 is ahead of slot 2. */

static inline void
t_branch_zone(ngx_sio_zone_t *z)
{
    ngx_uint_t  i;

    t_store_zone(z, 1024 * 1024, 65536);

    assert_int_equal(ngx_sio_worker_enter(z, 0, 0), 1);
    assert_int_equal(ngx_sio_worker_enter(z, 1, 0), 2);

    for (i = 0; i < 4; i++) {
        (void) t_store_append(z, 1);
    }

    for (i = 0; i < T_BRANCH_ROOMS; i++) {
        t_store_room(z, &t_branch_rooms[i], t_branch_names[i], i);
    }
}


static inline void
t_branch_connect(ngx_sio_zone_t *z, uint32_t i, uint64_t n,
    t_branch_kind_e kind)
{
    ngx_str_t  user;

    if (kind == T_BRANCH_NONE) {
        return;
    }

    ngx_str_set(&user, "somebody");

    assert_int_equal(t_store_connect_as(z, i, n, kind == T_BRANCH_KEPT, &user,
                                        t_branch_rooms, T_BRANCH_ROOMS,
                                        T_BRANCH_SINCE),
                     NGX_OK);

    if (ngx_sio_owner_slot(z->sessions[i].owner)) {
        z->sessions[i].applied = NGX_SIO_AT_CURSOR;
    }
}


/* A transport, its socket is in "/". */

static inline uint32_t
t_branch_transport(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t n,
    t_branch_kind_e kind)
{
    uint32_t  i;

    i = t_store_open(z, slot, n);
    assert_true(i);
    t_branch_connect(z, i, n, kind);

    return i;
}


/* One of its branches; the socket's id is that of the transport and nsp. */

static inline uint32_t
t_branch_add(ngx_sio_zone_t *z, uint32_t transport, uint16_t nsp,
    ngx_uint_t slot, uint64_t n, t_branch_kind_e kind)
{
    uint32_t  i;

    i = t_store_branch(z, transport, nsp, slot, 0);
    assert_true(i);
    t_branch_connect(z, i, n + nsp, kind);

    return i;
}


static inline void
t_branch_shed(ngx_sio_zone_t *z, uint32_t transport, uint64_t deadline)
{
    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    ngx_sio_session_shed_locked(z, transport, deadline);
    ngx_sio_zone_unlock(z);
}


static inline void
t_branch_prune(ngx_sio_zone_t *z, uint32_t branch)
{
    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    ngx_sio_session_prune_locked(z, branch);
    ngx_sio_zone_unlock(z);
}


static inline ngx_int_t
t_branch_adopt(ngx_sio_zone_t *z, uint32_t to, uint32_t from, uint64_t at)
{
    ngx_int_t  rc;

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    rc = ngx_sio_session_adopt_locked(z, to, from, t_store_ticket(z, from), at);
    ngx_sio_zone_unlock(z);

    return rc;
}


static inline ngx_int_t
t_branch_claim(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot)
{
    uint64_t   owner;
    ngx_int_t  rc;

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    rc = ngx_sio_session_claim_locked(z, i, slot, &owner);
    ngx_sio_zone_unlock(z);

    return rc;
}


/* As good as dead: nobody holds the mutex of the slot any more. */

static inline void
t_branch_die(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    assert_int_equal(pthread_mutex_unlock(&z->sh->workers[slot - 1].alive), 0);
}


/* A socket with all its rooms waits, without a transport. */

static inline void
t_branch_is_parked(ngx_sio_zone_t *z, uint32_t i, uint64_t n,
    uint64_t deadline)
{
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    assert_int_equal(ss->state, NGX_SIO_LIVE);
    assert_int_equal(t_store_by_sid(z, n), i);
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE|NGX_SIO_PARKED);
    assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
    assert_int_equal(ss->kin, 0);
    assert_int_equal(ss->eio_sid[0], 0);
    assert_int_equal(ss->members, T_BRANCH_ROOMS);
    assert_true(ss->user);

    if (deadline) {
        assert_int_equal(ss->deadline, deadline);
    }
}


/* Closes all that there is, and nothing stays. */

static inline void
t_branch_end(ngx_sio_zone_t *z)
{
    uint32_t  i;

    t_store_check(z, "end", 0);

    for (i = 1; i <= z->sh->top_session; i++) {
        if (z->sessions[i].state == NGX_SIO_LIVE) {
            assert_true(t_store_ends(z, i));
            assert_int_equal(t_store_close(z, i), NGX_OK);
        }
    }

    t_store_is_empty(z);
    t_store_unmap(z);
}


/*
 * A transport with branches of all kinds: [0] is a worker's, the others are
 * nobody's.
 */

static inline uint32_t
t_branch_family(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t n, uint32_t *b)
{
    uint32_t  t;

    t = t_branch_transport(z, slot, n, T_BRANCH_KEPT);

    b[0] = t_branch_add(z, t, 1, 2, n, T_BRANCH_KEPT);
    b[1] = t_branch_add(z, t, 2, 0, n, T_BRANCH_KEPT);
    b[2] = t_branch_add(z, t, 3, 0, n, T_BRANCH_PLAIN);
    b[3] = t_branch_add(z, t, 4, 0, n, T_BRANCH_NONE);

    return t;
}


/* The one that has an owner is his still, without a transport. */

static inline void
t_branch_is_left(ngx_sio_zone_t *z, uint32_t i, uint64_t n)
{
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    assert_int_equal(ss->state, NGX_SIO_LIVE);
    assert_int_equal(ngx_sio_owner_slot(ss->owner), 2);
    assert_int_equal(ss->kin, 0);
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE);
    assert_int_equal(ss->members, T_BRANCH_ROOMS);
    assert_int_equal(t_store_by_sid(z, n), i);
}


#endif /* _T_STORE_BRANCH_H_INCLUDED_ */
