
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * Changes of hands and of rooms: who dies in one leaves a session that is still
 * the one or already the other, or has ended, but never half of it.
 */


#include "t_store_kill.h"


#define T_KILL_SINCE   4864
#define T_KILL_WINDOW  100000

#define T_KILL_LEFT(n)  (20480 + 512 * (n))


static uint32_t  t_kill_from;


static void
t_kill_connect(t_kill_t *t, uint32_t i, uint64_t n)
{
    assert_true(i);
    assert_int_equal(t_store_connect(&t->z, i, n, &t->user, t->rooms,
                                     T_KILL_ROOMS, T_KILL_SINCE),
                     NGX_OK);
}


static void
t_kill_prepare_socket(t_kill_t *t)
{
    t->session = t_store_open(&t->z, t->slot, 50);
    t_kill_connect(t, t->session, 50);

    t->z.sessions[t->session].applied = NGX_SIO_AT_CURSOR;
    t->z.sessions[t->session].deadline = ngx_sio_zone_now() + 1000000;
}


static void
t_kill_prepare_nobodys(t_kill_t *t)
{
    t->session = t_store_open(&t->z, 0, 50);
    t_kill_connect(t, t->session, 50);
}


/* Two sessions: one that is parked, and a new one. */

static void
t_kill_prepare_parked(t_kill_t *t)
{
    t_kill_prepare_socket(t);

    t_kill_from = t->session;

    assert_int_equal(ngx_sio_session_park(&t->z, t_kill_from,
                                          t_store_ticket(&t->z, t_kill_from),
                                          5000, T_KILL_WINDOW),
                     NGX_OK);

    t->session = t_store_open(&t->z, t->slot, 51);
    assert_true(t->session);
}


/* A session is a whole socket, or none. */

static void
t_kill_whole(t_kill_t *t, uint32_t i)
{
    uint32_t               ref;
    ngx_uint_t             n;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    ss = &t->z.sessions[i];

    assert_int_equal(ss->state, NGX_SIO_LIVE);

    if (ss->sid[0] == 0) {
        assert_int_equal(ss->user, 0);
        assert_int_equal(ss->members, 0);
        return;
    }

    assert_true(ss->user);
    assert_int_equal(ss->members, T_KILL_ROOMS);
    assert_true(ss->flags & NGX_SIO_RECOVERABLE);
    assert_int_equal(ss->born, T_KILL_SINCE);
    assert_int_equal(ss->last, T_KILL_SINCE);

    ref = NGX_SIO_NO_MEMBER;

    for (n = 0; ngx_sio_session_walk(&t->z, ss, &ref); n++) {
        m = ngx_sio_session_member(&t->z, ss, ref);

        assert_int_equal(m->since, T_KILL_SINCE);
        assert_int_equal(m->room, t->rooms[n].room);
    }

    assert_int_equal(n, T_KILL_ROOMS);
}


static void
t_kill_do_open_nobodys(t_kill_t *t)
{
    t_store_must(t_store_open(&t->z, 0, 51));
}


static void
t_kill_do_connect_nobodys(t_kill_t *t)
{
    t_kill_connect(t, t->session, 51);
}


static void
t_kill_prepare_open_nobodys(t_kill_t *t)
{
    t->session = t_store_open(&t->z, 0, 51);
}


static void
t_kill_after_connect(t_kill_t *t)
{
    uint32_t  i;

    i = t_store_by_sid(&t->z, 51);

    assert_true(i == 0 || i == t->session);
    assert_int_equal(t->z.sessions[t->session].sid[0] != 0, i != 0);

    if (i == 0) {
        t_kill_whole(t, t->session);
    }
}


static void
t_kill_do_claim(t_kill_t *t)
{
    uint64_t  owner;

    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    t_store_must(ngx_sio_session_claim_locked(&t->z, t->session, t->slot,
                                              &owner)
                 == NGX_OK);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_kill_after_owner(t_kill_t *t)
{
    ngx_sio_session_sh_t  *ss;

    ss = &t->z.sessions[t->session];

    assert_int_equal(t_store_by_sid(&t->z, 50), t->session);
    t_kill_whole(t, t->session);

    if (ngx_sio_owner_slot(ss->owner) == 0) {
        assert_true(ss->applied != NGX_SIO_AT_CURSOR);
    }
}


static void
t_kill_do_release(t_kill_t *t)
{
    t_store_must(ngx_sio_session_release(&t->z, t->session,
                                         t_store_ticket(&t->z, t->session),
                                         5000)
                 == NGX_OK);
}


static void
t_kill_do_park(t_kill_t *t)
{
    t_store_must(ngx_sio_session_park(&t->z, t->session,
                                      t_store_ticket(&t->z, t->session), 5000,
                                      T_KILL_WINDOW)
                 == NGX_OK);
}


static void
t_kill_do_park_nobodys(t_kill_t *t)
{
    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    ngx_sio_session_park_locked(&t->z, t->session, 5000, T_KILL_WINDOW);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_kill_after_park(t_kill_t *t)
{
    ngx_sio_session_sh_t  *ss;

    t_kill_after_owner(t);

    ss = &t->z.sessions[t->session];

    assert_int_equal(t_store_by_eio(&t->z, 50),
                     (ss->flags & NGX_SIO_PARKED) ? 0 : t->session);

    if (ss->flags & NGX_SIO_PARKED) {
        assert_int_equal(ss->deadline, T_KILL_WINDOW);
    }
}


static void
t_kill_do_adopt(t_kill_t *t)
{
    uint64_t  owner;

    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    t_store_must(ngx_sio_session_claim_locked(&t->z, t_kill_from, t->slot,
                                              &owner)
                 == NGX_OK);
    t_store_must(ngx_sio_session_adopt_locked(&t->z, t->session, t_kill_from,
                                              owner, 6000)
                 == NGX_OK);
    ngx_sio_zone_unlock(&t->z);
}


/* The socket is here or there, or nowhere. */

static void
t_kill_after_adopt(t_kill_t *t)
{
    uint32_t  i;

    i = t_store_by_sid(&t->z, 50);

    if (i == t_kill_from) {
        t_kill_whole(t, t_kill_from);
        assert_int_equal(t->z.sessions[t->session].sid[0], 0);

    } else {
        assert_true(i == 0 || i == t->session);
        assert_int_equal(t->z.sessions[t_kill_from].state, NGX_SIO_FREE);
        assert_int_equal(t->z.sh->live_parked, 0);
    }

    t_kill_whole(t, t->session);
    assert_int_equal(t_store_by_eio(&t->z, 51), t->session);

    if (i == t->session) {
        assert_int_equal(t->z.sessions[i].applied, 6000);
    }
}


static void
t_kill_do_close_parked(t_kill_t *t)
{
    t_store_must(t_store_disconnect(&t->z, t_kill_from) == NGX_OK);
    t_store_must(t->z.sessions[t_kill_from].state == NGX_SIO_FREE);
}


static void
t_kill_after_close_parked(t_kill_t *t)
{
    uint32_t  i;

    i = t_store_by_sid(&t->z, 50);

    assert_true(i == 0 || i == t_kill_from);
    assert_int_equal(t->z.sh->live_parked, i != 0);

    if (i) {
        assert_int_equal(t->z.sessions[i].sid[0], 's');
    }
}


/* One room after the other is left. */

static void
t_kill_leave(t_kill_t *t, ngx_uint_t n)
{
    t_store_must(t_store_leave(&t->z, t->session,
                               t->rooms[n % T_KILL_ROOMS].member,
                               T_KILL_LEFT(n))
                 == NGX_OK);
}


static void
t_kill_do_leave_kept(t_kill_t *t)
{
    t_kill_leave(t, 0);
    t_kill_leave(t, 9);
}


/* What was covered is covered, unless there is a floor above it. */

static void
t_kill_covered(t_kill_t *t, ngx_uint_t n, uint64_t until)
{
    uint32_t               ref;
    ngx_uint_t             room;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    ss = &t->z.sessions[t->session];
    room = t->rooms[n % T_KILL_ROOMS].room;

    if ((ss->flags & NGX_SIO_FLOOR) && until <= ss->base_from) {
        assert_int_equal(ss->base_last, 0);
        return;
    }

    ref = NGX_SIO_NO_MEMBER;

    for ( ;; ) {
        m = ngx_sio_session_walk_all(&t->z, ss, &ref);
        assert_non_null(m);

        if (ngx_sio_member_room(m) != room
            || !ngx_sio_member_covers(m, until - 64))
        {
            continue;
        }

        if (m->room & NGX_SIO_LEFT) {
            assert_int_equal(ngx_sio_member_end(m), until);
            assert_false(ngx_sio_member_covers(m, until));
        }

        return;
    }
}


static void
t_kill_after_leave_kept(t_kill_t *t)
{
    assert_int_equal(t->z.sessions[t->session].members, T_KILL_ROOMS);
    assert_int_equal(t->z.sessions[t->session].flags & NGX_SIO_FLOOR, 0);

    t_kill_covered(t, 0, T_KILL_LEFT(0));
    t_kill_covered(t, 9, T_KILL_LEFT(9));
}


/* As many as are kept, the first of them alone in its chunk. */

static void
t_kill_prepare_many(t_kill_t *t)
{
    ngx_uint_t  n;

    t_kill_prepare_socket(t);

    for (n = 0; n < NGX_SIO_ENDED; n++) {

        t_kill_leave(t, n);

        if (n < NGX_SIO_ENDED - 1) {
            assert_int_equal(t_store_join(&t->z, t->session,
                                          &t->rooms[(n + 4) % T_KILL_ROOMS],
                                          T_KILL_LEFT(n)),
                             (n < T_KILL_ROOMS - 4) ? NGX_DONE : NGX_OK);
        }
    }

    assert_int_equal(t_store_join(&t->z, t->session, &t->rooms[20],
                                  T_KILL_LEFT(15)),
                     NGX_OK);
    assert_int_equal(t_store_join(&t->z, t->session, &t->rooms[21],
                                  T_KILL_LEFT(15)),
                     NGX_OK);
}


static void
t_kill_do_leave_many(t_kill_t *t)
{
    t_store_must(t_store_leave(&t->z, t->session, t->rooms[20].member,
                               T_KILL_LEFT(16))
                 == NGX_OK);
    t_store_must(t->z.sessions[t->session].flags & NGX_SIO_FLOOR);
    t_store_must(t_store_leave(&t->z, t->session, t->rooms[21].member,
                               T_KILL_LEFT(17))
                 == NGX_OK);
}


static void
t_kill_after_leave_many(t_kill_t *t)
{
    ngx_uint_t  n;

    for (n = 0; n < NGX_SIO_ENDED; n++) {
        t_kill_covered(t, n, T_KILL_LEFT(n));
    }
}


/* The log has passed some of what is kept. */

static void
t_kill_prepare_passed(t_kill_t *t)
{
    t_kill_prepare_many(t);
    t_store_push(&t->z, t->slot, T_KILL_LEFT(8));
}


static void
t_kill_do_join_passed(t_kill_t *t)
{
    t_store_must(t_store_join(&t->z, t->session, &t->rooms[22], T_KILL_LEFT(40))
                 == NGX_OK);
}


static void
t_kill_after_passed(t_kill_t *t)
{
    ngx_uint_t  n, known;

    known = 0;

    for (n = 0; n < NGX_SIO_ENDED; n++) {
        if (T_KILL_LEFT(n) > ngx_sio_log_tail(&t->z)) {
            t_kill_covered(t, n, T_KILL_LEFT(n));
            known++;
        }
    }

    assert_in_range(known, 1, NGX_SIO_ENDED - 8);
}


static void
t_kill_expired(ngx_sio_zone_t *z, uint32_t i, void *data)
{
    ngx_sio_session_close_locked(z, i);
}


static void
t_kill_do_expire(t_kill_t *t)
{
    t_store_must(ngx_sio_session_expire(&t->z, (uint64_t) -1, t_kill_expired,
                                        NULL)
                 == 1);
}


/*
 * A worker with sessions of all kinds, which also waits for the rooms of two
 * that are not its own.
 */

static void
t_kill_be_worker(t_kill_t *t)
{
    uint32_t  i;

    t_store_must(ngx_sio_worker_enter(&t->z, 5, 0) == 2);

    t->slot = 2;
    t_kill_prepare_socket(t);

    t_store_must(t_store_open(&t->z, 2, 60));

    i = t_store_open(&t->z, 1, 61);
    t->z.sessions[i].flags |= NGX_SIO_CONNECTING;
    t->z.sessions[i].connecter = 2;

    i = t_store_open(&t->z, 0, 62);
    t->z.sessions[i].flags |= NGX_SIO_CONNECTING;
    t->z.sessions[i].connecter = 2;

    i = t_store_open(&t->z, 0, 63);
    t->z.sessions[i].poster = 2;

    t->z.sh->workers[1].stats[3] = 11;
    t->z.sh->workers[1].stats[4] = 22;
}


static void
t_kill_prepare_dead(t_kill_t *t)
{
    pid_t  pid;

    pid = t_store_fork();

    if (pid == 0) {
        t_kill_be_worker(t);
        _exit(0);
    }

    t_store_finished(pid);

    t->session = t_store_by_sid(&t->z, 50);
    assert_true(t->session);

    /* the references are those that the child got */

    for (pid = 0; pid < T_KILL_ROOMS; pid++) {
        assert_int_equal(t_store_join(&t->z, t->session, &t->rooms[pid], 1),
                         NGX_DONE);
    }
}


static void
t_kill_do_take(t_kill_t *t)
{
    uint64_t  owner;

    owner = t_store_ticket(&t->z, t->session);

    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    t_store_must(ngx_sio_session_take_locked(&t->z, t->session, 1, &owner)
                 == NGX_OK);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_kill_after_take(t_kill_t *t)
{
    ngx_sio_session_sh_t  *ss;

    ss = &t->z.sessions[t->session];
    t_kill_after_owner(t);

    if (ngx_sio_owner_slot(ss->owner) == 1) {
        assert_int_equal(ss->applied, t->z.sh->workers[1].cursor);

    } else {
        assert_int_equal(ngx_sio_owner_slot(ss->owner), 2);
    }
}


static void
t_kill_do_reap(t_kill_t *t)
{
    t_store_must(ngx_sio_worker_reap(&t->z, T_KILL_WINDOW) == 1);
}


static void
t_kill_do_leave_worker(t_kill_t *t)
{
    ngx_uint_t  fault;

    fault = t_store_fault;
    t_store_die_at(0);

    t_kill_be_worker(t);

    t_store_die_at(fault);

    ngx_sio_worker_leave(&t->z, t->slot, T_KILL_WINDOW);
}


static void
t_kill_after_reap(t_kill_t *t)
{
    uint32_t               i;
    uint64_t               stats[NGX_SIO_STATS];
    ngx_sio_session_sh_t  *ss;

    (void) ngx_sio_worker_reap(&t->z, T_KILL_WINDOW);

    t_store_check(&t->z, "reap", 0);

    assert_int_equal(t->z.sh->workers[1].state, NGX_SIO_FREE);

    i = t_store_by_sid(&t->z, 50);
    assert_true(i);

    ss = &t->z.sessions[i];
    assert_true(ss->flags & NGX_SIO_PARKED);
    assert_true(ss->deadline);
    assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
    assert_int_equal(ss->members, T_KILL_ROOMS);

    assert_int_equal(t_store_by_eio(&t->z, 60), 0);
    assert_int_equal(t_store_by_eio(&t->z, 61), 0);
    assert_int_equal(t_store_by_eio(&t->z, 62), 0);

    i = t_store_by_eio(&t->z, 63);
    assert_true(i);
    assert_int_equal(t->z.sessions[i].poster, 0);

    /* the one of this worker is marked, it may have others by now */

    assert_int_equal(t->z.sh->live_sessions, T_KILL_OTHERS + 3);

    ngx_sio_stats_sum(&t->z, stats);
    assert_true(stats[3] == 11 || stats[3] == 0);
    assert_true(stats[4] == 22 || stats[4] == 0);
    assert_true(stats[3] || stats[4]);
}


static const t_kill_operation_t  t_kill_open_nobodys = {
    "open for nobody", NULL, t_kill_do_open_nobodys, NULL, 8, 1
};

static const t_kill_operation_t  t_kill_connect_nobodys = {
    "connect for nobody", t_kill_prepare_open_nobodys,
    t_kill_do_connect_nobodys, t_kill_after_connect, 100, 1
};

static const t_kill_operation_t  t_kill_claim = {
    "claim", t_kill_prepare_nobodys, t_kill_do_claim, t_kill_after_owner, 1, 1
};

static const t_kill_operation_t  t_kill_take = {
    "take", t_kill_prepare_dead, t_kill_do_take, t_kill_after_take, 3, 1
};

static const t_kill_operation_t  t_kill_release = {
    "release", t_kill_prepare_socket, t_kill_do_release, t_kill_after_owner,
    2, 1
};

static const t_kill_operation_t  t_kill_park = {
    "park", t_kill_prepare_socket, t_kill_do_park, t_kill_after_park, 6, 1
};

static const t_kill_operation_t  t_kill_park_nobodys = {
    "park for nobody", t_kill_prepare_nobodys, t_kill_do_park_nobodys,
    t_kill_after_park, 6, 1
};

static const t_kill_operation_t  t_kill_adopt = {
    "adopt", t_kill_prepare_parked, t_kill_do_adopt, t_kill_after_adopt, 15, 1
};

static const t_kill_operation_t  t_kill_close_parked = {
    "close parked", t_kill_prepare_parked, t_kill_do_close_parked,
    t_kill_after_close_parked, 50, 1
};

static const t_kill_operation_t  t_kill_leave_kept = {
    "leave and keep", t_kill_prepare_socket, t_kill_do_leave_kept,
    t_kill_after_leave_kept, 6, 1
};

static const t_kill_operation_t  t_kill_leave_many = {
    "leave too many", t_kill_prepare_many, t_kill_do_leave_many,
    t_kill_after_leave_many, 15, 1
};

static const t_kill_operation_t  t_kill_join_passed = {
    "join behind the log", t_kill_prepare_passed, t_kill_do_join_passed,
    t_kill_after_passed, 30, 1
};

static const t_kill_operation_t  t_kill_expire = {
    "expire", t_kill_prepare_nobodys, t_kill_do_expire, NULL, 30, 1
};

static const t_kill_operation_t  t_kill_reap = {
    "reap and park", t_kill_prepare_dead, t_kill_do_reap, t_kill_after_reap,
    30, 1
};

static const t_kill_operation_t  t_kill_leave_worker = {
    "worker leaves and parks", NULL, t_kill_do_leave_worker,
    t_kill_after_reap, 30, 1
};


/* Repair is killed, too, behind deaths that it has to tell apart. */

static void
t_kill_repair(void **state)
{
    ngx_uint_t  first, step;

    for (first = 2; first <= 14; first += 3) {
        for (step = 1;
             t_kill_repair_at(&t_kill_adopt, first, step);
             step += 2)
        { /* void */ }

        assert_true(step > 20);
    }

    for (first = 2; first <= 6; first += 2) {
        for (step = 1;
             t_kill_repair_at(&t_kill_park, first, step);
             step += 2)
        { /* void */ }

        assert_true(step > 20);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        t_kill_test(t_kill_open_nobodys),
        t_kill_test(t_kill_connect_nobodys),
        t_kill_test(t_kill_claim),
        t_kill_test(t_kill_take),
        t_kill_test(t_kill_release),
        t_kill_test(t_kill_park),
        t_kill_test(t_kill_park_nobodys),
        t_kill_test(t_kill_adopt),
        t_kill_test(t_kill_close_parked),
        t_kill_test(t_kill_leave_kept),
        t_kill_test(t_kill_leave_many),
        t_kill_test(t_kill_join_passed),
        t_kill_test(t_kill_expire),
        t_kill_test(t_kill_reap),
        t_kill_test(t_kill_leave_worker),
        cmocka_unit_test(t_kill_repair)
    };

    return cmocka_run_group_tests_name("store: kill owner", tests, NULL, NULL);
}
