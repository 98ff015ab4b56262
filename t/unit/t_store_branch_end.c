
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * The end of a transport, and what becomes of its branches, of whoever owns
 * them, and of who waits for them.
 */


#include "t_store_branch.h"


/* A transport that is closed takes with it what is nobody's. */

static void
t_branch_closed(void **state)
{
    uint32_t        t, b[4], other;
    uint64_t        owner;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);

    other = t_branch_transport(&z, 1, 90, T_BRANCH_KEPT);
    (void) t_branch_add(&z, other, 2, 0, 90, T_BRANCH_KEPT);

    for (n = 0; n < 3; n++) {

        t = t_branch_family(&z, 1, 10, b);
        owner = t_store_ticket(&z, b[0]);

        assert_int_equal(t_store_close(&z, t), NGX_OK);

        assert_int_equal(t_store_by_eio(&z, 10), 0);
        assert_int_equal(t_store_by_sid(&z, 10), 0);
        t_branch_is_left(&z, b[0], 11);
        assert_int_equal(z.sessions[b[1]].state, NGX_SIO_FREE);
        assert_int_equal(z.sessions[b[2]].state, NGX_SIO_FREE);
        assert_int_equal(z.sessions[b[3]].state, NGX_SIO_FREE);
        assert_int_equal(z.sh->live_sessions, 3);
        assert_int_equal(z.sh->live_branches, 1);
        assert_int_equal(z.sh->live_members, 3 * T_BRANCH_ROOMS);
        assert_int_equal(z.sh->live_parked, 0);
        t_store_check(&z, "closed", n);

        switch (n) {

        case 0:
            assert_int_equal(ngx_sio_session_close(&z, b[0], owner), NGX_OK);
            break;

        case 1:
            assert_int_equal(ngx_sio_session_park(&z, b[0], owner, 66000,
                                                  T_BRANCH_LATER),
                             NGX_OK);
            t_branch_is_parked(&z, b[0], 11, T_BRANCH_LATER);
            assert_int_equal(z.sessions[b[0]].applied, 66000);
            assert_int_equal(t_store_close(&z, b[0]), NGX_OK);
            break;

        default:

            /* it cannot be let go: there is nobody who would ever claim it */

            assert_int_equal(ngx_sio_session_release(&z, b[0], owner, 66000),
                             NGX_DECLINED);
            assert_int_equal(z.sessions[b[0]].state, NGX_SIO_FREE);
            break;
        }

        assert_int_equal(z.sh->live_sessions, 2);
    }

    assert_true(t_store_in(&z, other, 2));

    t_branch_end(&z);
}


/* A branch of which somebody says so takes its transport along. */

static void
t_branch_dead(void **state)
{
    uint32_t        t, b[4];
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);

    for (n = 0; n < 2; n++) {

        t = t_branch_family(&z, 1, 10, b);

        assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);
        ngx_sio_session_dead_locked(&z, n ? b[0] : t, T_BRANCH_LATER);
        ngx_sio_zone_unlock(&z);

        assert_int_equal(t_store_by_eio(&z, 10), 0);
        assert_true(z.sessions[t].flags & NGX_SIO_DEAD);
        assert_false(z.sessions[b[0]].flags & NGX_SIO_DEAD);
        assert_int_equal(z.sessions[b[0]].kin, t);

        /* their owner notices, and the branch has a place to go on from */

        assert_int_equal(ngx_sio_session_release(&z, b[0],
                                                 t_store_ticket(&z, b[0]),
                                                 66000),
                         NGX_OK);
        assert_int_equal(ngx_sio_session_release(&z, t, t_store_ticket(&z, t),
                                                 66064),
                         NGX_DECLINED);

        t_branch_is_parked(&z, t, 10, T_BRANCH_LATER);
        t_branch_is_parked(&z, b[0], 11, T_BRANCH_LATER);
        t_branch_is_parked(&z, b[1], 12, T_BRANCH_LATER);
        assert_int_equal(z.sessions[t].applied, 66064);
        assert_int_equal(z.sessions[b[0]].applied, 66000);
        t_store_check(&z, "dead", n);

        assert_int_equal(t_store_close(&z, t), NGX_OK);
        assert_int_equal(t_store_close(&z, b[0]), NGX_OK);
        assert_int_equal(t_store_close(&z, b[1]), NGX_OK);
    }

    t_branch_end(&z);
}


/* One that is parked leaves all of its sockets on their own. */

static void
t_branch_parked(void **state)
{
    uint32_t        t, b[4];
    uint64_t        seen;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);

    for (n = 0; n < 2; n++) {

        t = t_branch_family(&z, n ? 0 : 1, 10, b);
        seen = z.sessions[b[1]].seen;
        z.sessions[b[1]].applied = 65600;

        assert_int_equal(ngx_sio_session_park(&z, t, t_store_ticket(&z, t),
                                              66000, T_BRANCH_LATER),
                         NGX_OK);

        t_branch_is_parked(&z, t, 10, T_BRANCH_LATER);
        t_branch_is_left(&z, b[0], 11);
        t_branch_is_parked(&z, b[1], 12, T_BRANCH_LATER);
        assert_int_equal(z.sessions[b[1]].applied, 65600);
        assert_int_equal(z.sessions[b[1]].seen, seen);
        assert_int_equal(z.sessions[b[2]].state, NGX_SIO_FREE);
        assert_int_equal(z.sessions[b[3]].state, NGX_SIO_FREE);

        assert_int_equal(z.sh->live_branches, 0);
        assert_int_equal(z.sh->live_parked, 2);
        assert_int_equal(z.sh->live_polling, 0);
        assert_int_equal(z.sh->live_sessions, 3);
        t_store_check(&z, "parked", n);

        assert_int_equal(t_store_close(&z, t), NGX_OK);
        assert_int_equal(t_store_close(&z, b[0]), NGX_OK);
        assert_int_equal(t_store_close(&z, b[1]), NGX_OK);
    }

    /* a branch alone: its transport goes on */

    t = t_branch_family(&z, 1, 10, b);
    z.sessions[b[0]].flags |= NGX_SIO_LEAVING;

    assert_int_equal(ngx_sio_session_park(&z, b[0], t_store_ticket(&z, b[0]),
                                          66000, T_BRANCH_LATER),
                     NGX_OK);
    t_branch_is_parked(&z, b[0], 11, T_BRANCH_LATER);
    assert_int_equal(z.sessions[b[0]].applied, 66000);
    assert_int_equal(t_store_in(&z, t, 1), 0);
    assert_int_equal(t_store_in(&z, t, 2), b[1]);
    assert_int_equal(t_store_by_eio(&z, 10), t);
    assert_int_equal(z.sh->live_branches, 3);
    assert_int_equal(z.sh->live_parked, 1);

    /* which may get another one there */

    assert_true(t_store_branch(&z, t, 1, 1, 0));

    /* and one without a socket cannot wait for another transport */

    assert_int_equal(ngx_sio_session_park(&z, b[3], t_store_ticket(&z, b[3]),
                                          66000, T_BRANCH_LATER),
                     NGX_DECLINED);
    assert_int_equal(t_store_in(&z, t, 4), b[3]);

    t_branch_end(&z);
}


/* All branches leave a transport that stays as it is. */

static void
t_branch_shed_all(void **state)
{
    uint32_t              t, b[4];
    uint64_t              deadline;
    ngx_uint_t            n;
    ngx_sio_zone_t        z;
    ngx_sio_session_sh_t  was;

    t_branch_zone(&z);

    for (n = 0; n < 2; n++) {

        t = t_branch_family(&z, 1, 10, b);
        deadline = n ? T_BRANCH_LATER : 0;
        was = z.sessions[t];

        t_branch_shed(&z, t, deadline);

        was.kin = 0;
        /* a branch may have been behind it in its chain */
        was.next_sid = z.sessions[t].next_sid;
        assert_memory_equal(&was, &z.sessions[t], sizeof(was));

        t_branch_is_left(&z, b[0], 11);
        assert_int_equal(z.sessions[b[2]].state, NGX_SIO_FREE);
        assert_int_equal(z.sessions[b[3]].state, NGX_SIO_FREE);

        if (deadline) {
            t_branch_is_parked(&z, b[1], 12, deadline);
            assert_int_equal(t_store_close(&z, b[1]), NGX_OK);

        } else {
            assert_int_equal(z.sessions[b[1]].state, NGX_SIO_FREE);
        }

        assert_int_equal(z.sh->live_branches, 0);
        assert_int_equal(z.sh->live_sessions, 2);
        t_store_check(&z, "shed", n);

        /* there is nothing to be taken from anything else */

        t_branch_shed(&z, t, deadline);
        t_branch_shed(&z, b[0], deadline);
        t_branch_shed(&z, b[3], deadline);
        t_branch_shed(&z, 0, deadline);
        assert_int_equal(z.sh->live_sessions, 2);

        assert_int_equal(t_store_close(&z, t), NGX_OK);
        assert_int_equal(t_store_close(&z, b[0]), NGX_OK);
    }

    t_branch_end(&z);
}


/* The socket of a lost transport goes on in a branch of another one. */

static void
t_branch_adopted(void **state)
{
    uint32_t               t, u, b[4], to, other;
    uint64_t               owner;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss, was;

    t_branch_zone(&z);

    t = t_branch_family(&z, 0, 10, b);
    assert_int_equal(ngx_sio_session_park(&z, t, t_store_ticket(&z, t), 66000,
                                          T_BRANCH_LATER),
                     NGX_OK);

    u = t_branch_transport(&z, 0, 20, T_BRANCH_NONE);
    to = t_store_branch(&z, u, 2, 0, 1);
    other = t_branch_add(&z, u, 3, 1, 20, T_BRANCH_NONE);

    assert_int_equal(t_branch_claim(&z, b[1], 1), NGX_OK);

    /* not that of another namespace */

    assert_int_equal(t_branch_adopt(&z, other, b[1], 66100), NGX_DECLINED);
    assert_int_equal(t_branch_adopt(&z, to, t, 66100), NGX_DECLINED);
    assert_true(z.sessions[u].connect_by);

    /* it comes back for less than it was given */

    z.sessions[b[1]].last = 66200;
    was = z.sessions[b[1]];
    owner = t_store_ticket(&z, to);

    assert_int_equal(t_branch_adopt(&z, to, b[1], 66100), NGX_OK);

    ss = &z.sessions[to];
    assert_int_equal(t_store_by_sid(&z, 12), to);
    assert_int_equal(t_store_in(&z, u, 2), to);
    assert_int_equal(ss->owner, owner);
    assert_int_equal(ss->kin, u);
    assert_int_equal(ss->nsp, 2);
    assert_int_equal(ss->applied, 66100);
    assert_int_equal(ss->last, 66100);
    assert_int_equal(ss->born, T_BRANCH_SINCE);
    assert_int_equal(ss->user, was.user);
    assert_int_equal(ss->members, T_BRANCH_ROOMS);
    assert_int_equal(ss->deadline, 0);
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE|NGX_SIO_CONNECTING);

    assert_int_equal(z.sessions[b[1]].state, NGX_SIO_FREE);
    assert_int_equal(z.sessions[u].connect_by, 0);
    assert_int_equal(z.sh->live_parked, 1);
    assert_int_equal(z.sh->live_branches, 2);
    t_store_check(&z, "adopted", 0);

    /* from a branch of a transport that is still there, into another one */

    t = t_branch_transport(&z, 1, 30, T_BRANCH_KEPT);
    b[0] = t_branch_add(&z, t, 2, 1, 30, T_BRANCH_NONE);

    assert_int_equal(t_branch_claim(&z, to, 1), NGX_OK);
    assert_int_equal(t_branch_adopt(&z, b[0], to, NGX_SIO_AT_CURSOR), NGX_OK);

    assert_int_equal(t_store_by_sid(&z, 12), b[0]);
    assert_int_equal(z.sessions[b[0]].last, 66100);
    assert_int_equal(t_store_in(&z, t, 2), b[0]);
    assert_int_equal(t_store_in(&z, u, 2), 0);
    assert_int_equal(t_store_in(&z, u, 3), other);
    assert_int_equal(z.sessions[to].state, NGX_SIO_FREE);
    assert_int_equal(z.sh->live_branches, 2);

    t_branch_end(&z);
}


/* A transport whose socket in "/" goes elsewhere takes its branches along. */

static void
t_branch_adopted_root(void **state)
{
    uint32_t        t, u, b[4];
    ngx_sio_zone_t  z;

    t_branch_zone(&z);

    t = t_branch_family(&z, 1, 10, b);
    u = t_branch_transport(&z, 1, 20, T_BRANCH_NONE);
    (void) t_branch_add(&z, u, 1, 1, 20, T_BRANCH_KEPT);

    /* a branch gets nothing that is not of its namespace, nor gives it */

    assert_int_equal(t_branch_adopt(&z, b[3], t, 66000), NGX_DECLINED);
    assert_int_equal(t_branch_adopt(&z, u, b[0], 66000), NGX_DECLINED);

    assert_int_equal(t_branch_adopt(&z, u, t, 66000), NGX_OK);

    assert_int_equal(t_store_by_sid(&z, 10), u);
    assert_int_equal(t_store_by_eio(&z, 10), 0);
    assert_int_equal(t_store_by_eio(&z, 20), u);
    assert_int_equal(z.sessions[u].flags,
                     NGX_SIO_RECOVERABLE|NGX_SIO_BRANCHED|NGX_SIO_PRESENT);
    t_branch_is_left(&z, b[0], 11);
    assert_int_equal(z.sessions[b[1]].state, NGX_SIO_FREE);
    assert_int_equal(t_store_by_sid(&z, 21), t_store_in(&z, u, 1));
    assert_int_equal(z.sh->live_branches, 1);

    t_branch_end(&z);
}


static void
t_branch_each(ngx_sio_zone_t *z, uint32_t i, void *data)
{
    uint32_t  *met = data;

    met[++met[0]] = i;
    ngx_sio_session_close_locked(z, i);
}


/* A branch has no deadline of its own, until it is parked. */

static void
t_branch_expires(void **state)
{
    uint32_t        t, b[4], met[8];
    ngx_sio_zone_t  z;

    t_branch_zone(&z);
    ngx_memzero(met, sizeof(met));

    t = t_branch_family(&z, 0, 10, b);
    z.sessions[t].deadline = 0;

    assert_int_equal(ngx_sio_session_expire(&z, (uint64_t) -1, t_branch_each,
                                            met),
                     0);

    z.sessions[t].deadline = 5000;
    assert_int_equal(ngx_sio_session_park(&z, b[1], t_store_ticket(&z, b[1]),
                                          66000, 4000),
                     NGX_OK);

    assert_int_equal(ngx_sio_session_expire(&z, 4000, t_branch_each, met), 1);
    assert_int_equal(met[1], b[1]);
    assert_int_equal(z.sessions[b[1]].state, NGX_SIO_FREE);

    /* with the transport all goes */

    assert_int_equal(ngx_sio_session_expire(&z, 5000, t_branch_each, met), 1);
    assert_int_equal(met[2], t);
    t_branch_is_left(&z, b[0], 11);
    assert_int_equal(z.sh->live_sessions, 1);
    assert_int_equal(z.sh->live_branches, 0);

    t_branch_end(&z);
}


/* The worker of a WebSocket is dead: its sockets are parked one by one. */

static void
t_branch_reaped(void **state)
{
    uint32_t        t, low, b[4];
    uint64_t        at, now;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    for (n = 0; n < 3; n++) {

        t_branch_zone(&z);
        at = z.sh->workers[1].cursor;

        /* the record of a branch may be in front of that of its transport */

        low = t_store_open(&z, 2, 1);
        t = t_branch_transport(&z, 2, 10, n == 1 ? T_BRANCH_NONE
                                                 : T_BRANCH_KEPT);
        assert_int_equal(t_store_close(&z, low), NGX_OK);
        assert_int_equal(t_branch_add(&z, t, 1, 2, 10, T_BRANCH_KEPT), low);
        b[1] = t_branch_add(&z, t, 2, 2, 10, T_BRANCH_KEPT);
        b[2] = t_branch_add(&z, t, 3, 2, 10, T_BRANCH_PLAIN);
        b[3] = t_branch_add(&z, t, 4, 2, 10, T_BRANCH_NONE);

        /* nor has that worker met them all */

        b[0] = t_branch_add(&z, t, 5, 0, 10, T_BRANCH_KEPT);

        now = ngx_sio_zone_now();
        t_branch_die(&z, 2);
        assert_int_equal(ngx_sio_worker_reap(&z, n == 2 ? 0 : 5000), 1);

        assert_int_equal(t_store_by_eio(&z, 10), 0);
        assert_int_equal(z.sh->live_branches, 0);

        if (n == 2) {
            assert_int_equal(z.sh->live_sessions, 0);
            t_branch_end(&z);
            continue;
        }

        if (n == 0) {
            t_branch_is_parked(&z, t, 10, 0);

        } else {
            assert_int_equal(z.sessions[t].state, NGX_SIO_FREE);
        }

        t_branch_is_parked(&z, low, 11, 0);
        t_branch_is_parked(&z, b[1], 12, 0);
        t_branch_is_parked(&z, b[0], 15, 0);
        assert_int_equal(z.sh->live_sessions, 3 + (n == 0));
        assert_int_equal(z.sh->live_parked, 3 + (n == 0));
        assert_int_equal(z.sessions[low].applied, at);
        assert_int_equal(z.sessions[b[1]].applied, at);
        assert_int_equal(z.sessions[b[0]].applied, T_BRANCH_SINCE);
        assert_in_range(z.sessions[low].deadline, now + 5000, now + 7000);
        assert_in_range(z.sessions[b[0]].deadline, now + 5000, now + 7000);

        t_branch_end(&z);
    }
}


/*
 * Its transport has another owner, who has not claimed the branch yet, or is
 * nobody's: the branch waits for who comes, and no socket of a client that is
 * there is lost in silence.
 */

static void
t_branch_reaped_left(void **state)
{
    uint32_t               t, b[2];
    uint64_t               at;
    ngx_uint_t             n;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    for (n = 0; n < 2; n++) {

        t_branch_zone(&z);
        at = z.sh->workers[1].cursor;

        t = t_branch_transport(&z, n, 10, T_BRANCH_KEPT);
        b[0] = t_branch_add(&z, t, 1, 2, 10, T_BRANCH_PLAIN);
        b[1] = t_branch_add(&z, t, 2, 2, 10, T_BRANCH_NONE);

        t_branch_die(&z, 2);
        assert_int_equal(ngx_sio_worker_reap(&z, n ? 5000 : 0), 1);

        ss = &z.sessions[b[0]];
        assert_int_equal(t_store_in(&z, t, 1), b[0]);
        assert_int_equal(t_store_in(&z, t, 2), b[1]);
        assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
        assert_int_equal(ss->applied, at);
        assert_int_equal(ss->flags, 0);
        assert_int_equal(ss->members, T_BRANCH_ROOMS);
        assert_int_equal(z.sessions[b[1]].applied, at);
        assert_int_equal(z.sh->live_branches, 2);
        assert_int_equal(z.sessions[t].flags & NGX_SIO_DEAD, 0);
        assert_int_equal(ngx_sio_owner_slot(z.sessions[t].owner), n);

        assert_int_equal(t_branch_claim(&z, b[0], 1), NGX_OK);

        t_branch_end(&z);
    }
}


/*
 * Rooms that nobody waits for any more never come: a client that waits for the
 * reply has to begin anew, but finds the sockets that it had.
 */

static void
t_branch_reaped_connecter(void **state)
{
    uint32_t        t, b[4], c;
    uint64_t        now;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    for (n = 0; n < 3; n++) {

        t_branch_zone(&z);
        assert_int_equal(ngx_sio_worker_enter(&z, 2, 0), 3);

        t = t_branch_family(&z, n ? 1 : 0, 10, b);
        c = t_store_branch(&z, t, 5, n == 2 ? 1 : 0, 3);
        assert_int_equal(z.sessions[c].flags, NGX_SIO_CONNECTING);

        /* which does not harm one whose connecter is another one */

        assert_true(t_store_branch(&z, t, 6, 0, 1));

        now = ngx_sio_zone_now();
        t_branch_die(&z, 3);
        assert_int_equal(ngx_sio_worker_reap(&z, 5000), 1);
        t_store_check(&z, "connecter", n);

        assert_int_equal(t_store_by_eio(&z, 10), 0);

        if (n) {
            /* it has an owner, who notices */

            assert_true(z.sessions[t].flags & NGX_SIO_DEAD);
            assert_int_equal(z.sessions[c].connecter, 0);
            assert_int_equal(z.sh->live_sessions, 7);
            assert_int_equal(z.sh->live_branches, 6);

            assert_in_range(z.sessions[t].deadline, now + 5000, now + 7000);

            (void) ngx_sio_session_release(&z, t, t_store_ticket(&z, t), 66000);
        }

        t_branch_is_parked(&z, t, 10, 0);
        t_branch_is_left(&z, b[0], 11);
        t_branch_is_parked(&z, b[1], 12, z.sessions[t].deadline);
        assert_in_range(z.sessions[t].deadline, now + 5000, now + 7000);
        assert_int_equal(z.sessions[b[2]].state, NGX_SIO_FREE);
        assert_int_equal(z.sh->live_sessions, n == 2 ? 4 : 3);
        assert_int_equal(z.sh->live_branches, 0);
        assert_int_equal(z.sh->live_parked, 2);

        t_branch_end(&z);
    }
}


/*
 * The branch has an owner, its transport none: it stays his, and who waited for
 * it is forgotten with the slot, which may be somebody else's next.
 */

static void
t_branch_reaped_mark(void **state)
{
    uint32_t        t, c;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);
    assert_int_equal(ngx_sio_worker_enter(&z, 2, 0), 3);

    t = t_branch_transport(&z, 0, 10, T_BRANCH_NONE);
    c = t_store_branch(&z, t, 1, 1, 3);

    t_branch_die(&z, 3);
    assert_int_equal(ngx_sio_worker_reap(&z, 5000), 1);

    assert_int_equal(z.sessions[t].state, NGX_SIO_FREE);
    assert_int_equal(z.sessions[c].state, NGX_SIO_LIVE);
    assert_int_equal(z.sessions[c].kin, 0);
    assert_int_equal(z.sessions[c].connecter, 0);
    assert_int_equal(z.sessions[c].flags & NGX_SIO_DEAD, 0);

    t_branch_end(&z);
}


/* The owner and the one who waits are both dead: sockets are not lost by it. */

static void
t_branch_reaped_both(void **state)
{
    uint32_t        t, low, a, c;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    for (n = 0; n < 2; n++) {

        t_branch_zone(&z);
        assert_int_equal(ngx_sio_worker_enter(&z, 2, 0), 3);

        low = t_store_open(&z, 2, 1);
        t = t_branch_transport(&z, 2, 10, T_BRANCH_KEPT);
        a = t_branch_add(&z, t, 1, 2, 10, T_BRANCH_KEPT);

        if (n) {
            assert_int_equal(t_store_close(&z, low), NGX_OK);
        }

        c = t_store_branch(&z, t, 2, 0, 3);
        assert_true(n ? c == low : c > t);

        t_branch_die(&z, 2);
        t_branch_die(&z, 3);
        assert_int_equal(ngx_sio_worker_reap(&z, 5000), 2);

        t_branch_is_parked(&z, t, 10, 0);
        t_branch_is_parked(&z, a, 11, 0);
        assert_int_equal(z.sessions[c].state, NGX_SIO_FREE);
        assert_int_equal(z.sh->live_sessions, 2);

        t_branch_end(&z);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_branch_closed),
        cmocka_unit_test(t_branch_dead),
        cmocka_unit_test(t_branch_parked),
        cmocka_unit_test(t_branch_shed_all),
        cmocka_unit_test(t_branch_adopted),
        cmocka_unit_test(t_branch_adopted_root),
        cmocka_unit_test(t_branch_expires),
        cmocka_unit_test(t_branch_reaped),
        cmocka_unit_test(t_branch_reaped_left),
        cmocka_unit_test(t_branch_reaped_connecter),
        cmocka_unit_test(t_branch_reaped_mark),
        cmocka_unit_test(t_branch_reaped_both)
    };

    return cmocka_run_group_tests_name("store: branch end", tests, NULL, NULL);
}
