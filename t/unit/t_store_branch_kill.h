
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _T_STORE_BRANCH_KILL_H_INCLUDED_
#define _T_STORE_BRANCH_KILL_H_INCLUDED_


/*
 * Who dies on the way with a transport and its branches leaves each of them
 * with its transport, on its own, or gone: never a branch of nothing, nor one
 * that nobody would ever end.
 */


#include "t_store_kill.h"


#define T_FAM_ROOMS   2
#define T_FAM_SIZE    4                        /* branches */
#define T_FAM_SINCE   4864
#define T_FAM_LATER   (ngx_sio_zone_now() + 1000000)

#define T_FAM_STRIDE  11                       /* of the steps of repair, from
                                                  another one at each death */


/* What has become of a branch. */

typedef enum {
    T_FAM_GONE = 1,
    T_FAM_ATTACHED = 2,
    T_FAM_PARKED = 4,
    T_FAM_LEFT = 8                             /* to its owner */
} t_fam_state_e;


/*
 * The branches are in the namespaces 1 to 4: a worker's, and of those that are
 * nobody's one that can be recovered, one that cannot, and one that is no
 * socket yet.  The ids of their sockets begin behind that of "/".
 */

static uint32_t              t_fam_branch[T_FAM_SIZE];
static uint32_t              t_fam_near[3];    /* a transport near by */
static ngx_sio_session_sh_t  t_fam_was[3];


static inline void
t_fam_connect(t_kill_t *t, uint32_t i, uint64_t n, ngx_uint_t recoverable)
{
    t_store_must(i);
    t_store_must(t_store_connect_as(&t->z, i, n, recoverable, &t->user,
                                    t->rooms + 1, T_FAM_ROOMS, T_FAM_SINCE)
                 == NGX_OK);

    if (ngx_sio_owner_slot(t->z.sessions[i].owner)) {
        t->z.sessions[i].applied = NGX_SIO_AT_CURSOR;
    }
}


static inline uint32_t
t_fam_add(t_kill_t *t, uint32_t transport, uint16_t nsp, ngx_uint_t slot,
    uint64_t n, ngx_uint_t recoverable)
{
    uint32_t  i;

    i = t_store_branch(&t->z, transport, nsp, slot, 0);
    t_fam_connect(t, i, n, recoverable);

    return i;
}


/* What nobody touches, and nothing may happen to. */

static inline ngx_sio_session_sh_t
t_fam_record(t_kill_t *t, ngx_uint_t n)
{
    ngx_sio_session_sh_t  ss;

    ss = t->z.sessions[t_fam_near[n]];

    ss.next_eio = 0;
    ss.next_sid = 0;
    ss.kin = n ? ss.kin : 0;

    return ss;
}


static inline void
t_fam_prepare_near(t_kill_t *t)
{
    ngx_uint_t  n;

    t_fam_near[0] = t_store_open(&t->z, t->slot, 30);
    t_fam_connect(t, t_fam_near[0], 30, 1);
    t_fam_near[1] = t_fam_add(t, t_fam_near[0], 1, t->slot, 31, 1);
    t_fam_near[2] = t_fam_add(t, t_fam_near[0], 2, 0, 32, 1);

    for (n = 0; n < 3; n++) {
        t_fam_was[n] = t_fam_record(t, n);
    }
}


static inline void
t_fam_check_near(t_kill_t *t)
{
    ngx_uint_t            n;
    ngx_sio_session_sh_t  ss;

    for (n = 0; n < 3; n++) {
        ss = t_fam_record(t, n);

        assert_memory_equal(&ss, &t_fam_was[n], sizeof(ss));
        assert_int_equal(t_store_in(&t->z, t_fam_near[0], n), t_fam_near[n]);
        assert_int_equal(t_store_by_sid(&t->z, 30 + n), t_fam_near[n]);
    }

    assert_int_equal(t_store_by_eio(&t->z, 30), t_fam_near[0]);
}


static inline void
t_fam_prepare_of(t_kill_t *t, ngx_uint_t slot)
{
    t_fam_prepare_near(t);

    t->session = t_store_open(&t->z, slot, 50);
    t_fam_connect(t, t->session, 50, 1);

    t_fam_branch[0] = t_fam_add(t, t->session, 1, t->slot, 51, 1);
    t_fam_branch[1] = t_fam_add(t, t->session, 2, 0, 52, 1);
    t_fam_branch[2] = t_fam_add(t, t->session, 3, 0, 53, 0);
    t_fam_branch[3] = t_store_branch(&t->z, t->session, 4, 0, t->slot);
    t_store_must(t_fam_branch[3]);
}


static inline void
t_fam_prepare(t_kill_t *t)
{
    t_fam_prepare_of(t, t->slot);
}


static inline void
t_fam_prepare_nobodys(t_kill_t *t)
{
    t_fam_prepare_of(t, 0);
}


/* There is no socket in "/" yet. */

static inline void
t_fam_prepare_late(t_kill_t *t)
{
    t_fam_prepare(t);
    t_store_must(t_store_disconnect(&t->z, t->session) == NGX_OK);
    t->z.sessions[t->session].connect_by = 1;
}


/* The record of the next branch comes from the free list. */

static inline void
t_fam_prepare_reuse(t_kill_t *t)
{
    uint32_t  i;

    i = t_store_open(&t->z, t->slot, 40);
    t_fam_prepare(t);
    t_store_must(t_store_close(&t->z, i) == NGX_OK);
}


/* A session is a whole socket, or none. */

static inline void
t_fam_whole(t_kill_t *t, uint32_t i, uint64_t n)
{
    ngx_sio_session_sh_t  *ss;

    ss = &t->z.sessions[i];

    assert_int_equal(ss->state, NGX_SIO_LIVE);
    assert_int_equal(t_store_by_sid(&t->z, n), ss->sid[0] ? i : 0);
    assert_int_equal(ss->members, ss->sid[0] ? T_FAM_ROOMS : 0);
    assert_int_equal(ss->user != 0, ss->sid[0] != 0);
}


static inline t_fam_state_e
t_fam_state(t_kill_t *t, ngx_uint_t n)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    i = t_fam_branch[n];
    ss = &t->z.sessions[i];

    if (ss->state == NGX_SIO_FREE) {
        assert_int_equal(t_store_by_sid(&t->z, 51 + n), 0);
        return T_FAM_GONE;
    }

    t_fam_whole(t, i, 51 + n);
    assert_int_equal(ss->nsp, 1 + n);

    if (ss->kin) {
        assert_int_equal(ss->kin, t->session);
        assert_int_equal(t_store_in(&t->z, t->session, 1 + n), i);
        return T_FAM_ATTACHED;
    }

    if (ss->flags & NGX_SIO_PARKED) {
        assert_true(ss->flags & NGX_SIO_RECOVERABLE);
        return T_FAM_PARKED;
    }

    assert_int_equal(ngx_sio_owner_slot(ss->owner), t->slot);

    return T_FAM_LEFT;
}


/* Each of them is in one of the states named. */

static inline void
t_fam_are(t_kill_t *t, ngx_uint_t s0, ngx_uint_t s1, ngx_uint_t s2,
    ngx_uint_t s3)
{
    assert_true(t_fam_state(t, 0) & s0);
    assert_true(t_fam_state(t, 1) & s1);
    assert_true(t_fam_state(t, 2) & s2);
    assert_true(t_fam_state(t, 3) & s3);

    t_fam_check_near(t);
}


/* But for one of them, nothing has happened to the family. */

static inline void
t_fam_same(t_kill_t *t, ngx_uint_t but)
{
    ngx_uint_t  n;

    assert_int_equal(t_store_by_eio(&t->z, 50), t->session);

    for (n = 0; n < T_FAM_SIZE; n++) {
        if (n == but) {
            continue;
        }

        assert_int_equal(t_fam_state(t, n), T_FAM_ATTACHED);
        assert_int_equal(t->z.sessions[t_fam_branch[n]].sid[0] != 0, n != 3);
    }

    t_fam_check_near(t);
}


/* Repair is killed behind each of the deaths, at all of its steps in turn. */

static inline void
t_fam_repairs(const t_kill_operation_t *op, ngx_uint_t steps)
{
    ngx_uint_t  first, step, stride;

    stride = ngx_min(steps, T_FAM_STRIDE);

    for (first = 1; first <= steps; first++) {

        step = 1 + first % stride;

        while (t_kill_repair_at(op, first, step)) {
            step += stride;
        }

        assert_true(step > 20);
    }
}


static inline void
t_fam_one(void **state)
{
    const t_kill_operation_t  *op = *state;

    t_fam_repairs(op, t_kill_operation(op));
}


/* Makes one test of each operation. */

static inline void
t_fam_tests(struct CMUnitTest *tests, const t_kill_operation_t *op,
    ngx_uint_t n)
{
    for ( /* void */ ; n > 0; n--, tests++, op++) {
        ngx_memzero(tests, sizeof(struct CMUnitTest));

        tests->name = op->name;
        tests->test_func = t_fam_one;
        tests->initial_state = (void *) op;
    }
}


#define t_fam_count(ops)  (sizeof(ops) / sizeof((ops)[0]))


#endif /* _T_STORE_BRANCH_KILL_H_INCLUDED_ */
