
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* The life of a session, of a worker, and the lease. */


#include "t_store_kill.h"


static void
t_kill_do_open(t_kill_t *t)
{
    t->session = t_store_open(&t->z, t->slot, 51);
    t_store_must(t->session);
}


static void
t_kill_prepare_open(t_kill_t *t)
{
    t->session = t_store_open(&t->z, t->slot, 50);
    assert_true(t->session);
}


/* Some records are taken from the free lists, not from the top. */

static void
t_kill_prepare_reuse(t_kill_t *t)
{
    uint32_t    i[4];
    ngx_uint_t  n;

    for (n = 0; n < 4; n++) {
        i[n] = t_store_open(&t->z, t->slot, 60 + n);

        assert_int_equal(t_store_connect(&t->z, i[n], 60 + n, &t->user,
                                         t->rooms + 3 * n, 7, 1),
                         NGX_OK);
    }

    assert_int_equal(t_store_close(&t->z, i[1]), NGX_OK);
    assert_int_equal(t_store_close(&t->z, i[0]), NGX_OK);
    assert_int_equal(t_store_close(&t->z, i[3]), NGX_OK);

    t_kill_prepare_open(t);
}


static void
t_kill_do_connect(t_kill_t *t)
{
    t_store_must(t_store_connect(&t->z, t->session, 50, &t->user, t->rooms,
                                 T_KILL_ROOMS, 4812)
                 == NGX_OK);
}


static void
t_kill_prepare_connect(t_kill_t *t)
{
    t_kill_prepare_open(t);
    t_kill_do_connect(t);
}


/* The last user of all rooms and of a name of its own. */

static void
t_kill_prepare_alone(t_kill_t *t)
{
    ngx_str_t   user;
    ngx_uint_t  i;

    t_kill_prepare_open(t);

    for (i = 0; i < T_KILL_ROOMS; i++) {
        t_store_room(&t->z, &t->rooms[i], t->names[i], 99 + i);
    }

    ngx_str_set(&user, "alone");
    assert_int_equal(t_store_connect(&t->z, t->session, 50, &user, t->rooms,
                                     T_KILL_ROOMS, 1),
                     NGX_OK);
    t_kill_rooms(t);
}


/* Too many rooms for the zone: what was done is undone. */

static void
t_kill_do_refused(t_kill_t *t)
{
    u_char          names[200][SIO_ROOM_LEN];
    ngx_uint_t      i;
    ngx_sio_room_t  rooms[200];

    for (i = 0; i < 200; i++) {
        t_store_room(&t->z, &rooms[i], names[i], 1000 + 3 * i);
    }

    t_store_must(t_store_connect(&t->z, t->session, 50, &t->user, rooms, 200,
                                 4812)
                 == NGX_DECLINED);
    t_store_must(t->z.sessions[t->session].members == 0);
}


/* The member that needs a chunk, with a name that needs chunks, too. */

static void
t_kill_do_join(t_kill_t *t)
{
    t_store_must(t_store_join(&t->z, t->session, &t->rooms[15], 5)
                 == NGX_OK);
}


static void
t_kill_prepare_join(t_kill_t *t)
{
    t_kill_prepare_open(t);

    t_store_must(t_store_connect(&t->z, t->session, 50, NULL, t->rooms,
                                 NGX_SIO_INLINE, 1)
                 == NGX_OK);
}


static void
t_kill_prepare_leave(t_kill_t *t)
{
    t_kill_prepare_join(t);
    t_kill_do_join(t);
}


static void
t_kill_do_leave(t_kill_t *t)
{
    t_store_must(t->rooms[15].member >= NGX_SIO_REF);
    t_store_must(t_store_leave(&t->z, t->session, t->rooms[15].member, 0)
                 == NGX_OK);
}


/* Leaves a chunk in the middle of the chain. */

static void
t_kill_prepare_middle(t_kill_t *t)
{
    ngx_uint_t  i;

    t_kill_prepare_join(t);

    for (i = NGX_SIO_INLINE; i < 2 * T_KILL_ROOMS; i++) {
        assert_int_equal(t_store_join(&t->z, t->session, &t->rooms[i], 5),
                         NGX_OK);
    }
}


static void
t_kill_do_middle(t_kill_t *t)
{
    ngx_uint_t  i;

    for (i = NGX_SIO_INLINE + NGX_SIO_CHUNK;
         i < NGX_SIO_INLINE + 2 * NGX_SIO_CHUNK;
         i++)
    {
        t_store_must(t_store_leave(&t->z, t->session, t->rooms[i].member, 0)
                     == NGX_OK);
    }
}


static void
t_kill_do_disconnect(t_kill_t *t)
{
    t_store_must(t_store_disconnect(&t->z, t->session) == NGX_OK);
}


static void
t_kill_do_close(t_kill_t *t)
{
    t_store_must(t_store_close(&t->z, t->session) == NGX_OK);
}


static void
t_kill_do_enter(t_kill_t *t)
{
    t_store_must(ngx_sio_worker_enter(&t->z, 5, 0) == 2);
}


/* A worker with everything that it can have. */

static void
t_kill_be_worker(t_kill_t *t)
{
    ngx_uint_t  i, slot;

    slot = ngx_sio_worker_enter(&t->z, 5, 0);
    t_store_must(slot == 2);

    t->slot = slot;
    t_kill_prepare_connect(t);

    for (i = 0; i < T_KILL_ROOMS; i++) {
        ngx_sio_name_worker(&t->z.rooms[t->rooms[i].room], slot, 1);
        ngx_sio_name_worker(&t->z.rooms[t->rooms[i].room], 1, 1);
    }

    t_store_must(ngx_sio_lease_take(&t->z, slot, 1000000));
    t_store_must(ngx_sio_lease_standby(&t->z, slot) == NGX_DECLINED);
}


static void
t_kill_do_leave_worker(t_kill_t *t)
{
    ngx_uint_t  fault;

    fault = t_store_fault;
    t_store_die_at(0);

    t_kill_be_worker(t);

    t_store_die_at(fault);

    ngx_sio_worker_leave(&t->z, t->slot, 0);
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
}


static void
t_kill_do_reap(t_kill_t *t)
{
    t_store_must(ngx_sio_worker_reap(&t->z, 0) == 1);
}


static void
t_kill_do_enter_reaping(t_kill_t *t)
{
    t_store_must(ngx_sio_worker_enter(&t->z, 5, 0) == 2);
}


/* Nothing is left of any worker but the test. */

static void
t_kill_after_worker(t_kill_t *t)
{
    u_char              sid[NGX_SIO_SID_LEN];
    uint32_t            i;
    ngx_uint_t          slot;
    ngx_sio_zone_sh_t  *sh;

    sh = t->z.sh;

    (void) ngx_sio_worker_reap(&t->z, 0);

    t_store_check(&t->z, "reap", 0);
    t_kill_others(t, "reap", 0);

    for (slot = 1; slot <= NGX_SIO_WORKERS; slot++) {
        assert_int_equal(ngx_sio_worker_alive(&t->z, slot), slot == t->slot);
        assert_int_equal(sh->workers[slot - 1].state,
                         (slot == t->slot) ? NGX_SIO_WORKER_LIVE
                                           : NGX_SIO_FREE);
    }

    for (i = 1; i <= sh->top_room; i++) {
        if (t->z.rooms[i].state == NGX_SIO_LIVE) {
            assert_int_equal(t->z.rooms[i].workers[0] & 2, 0);
            assert_int_equal(t->z.rooms[i].workers[1], 0);
        }
    }

    t_store_sid(sid, 's', 50);
    assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);
    assert_int_equal(ngx_sio_session_by_sid_locked(&t->z, sid), 0);
    ngx_sio_zone_unlock(&t->z);

    assert_int_equal(sh->lease.slot, 0);
    assert_int_equal(sh->lease.standby, 0);
    assert_true(ngx_sio_lease_take(&t->z, t->slot, 1000));

    slot = ngx_sio_worker_enter(&t->z, 5, 0);
    assert_int_equal(slot, 2);
    ngx_sio_worker_leave(&t->z, slot, 0);
}


static void
t_kill_do_lease(t_kill_t *t)
{
    uint64_t  epoch;

    t_store_must(ngx_sio_lease_standby(&t->z, t->slot) == NGX_OK);

    epoch = ngx_sio_lease_take(&t->z, t->slot, 1);
    t_store_must(epoch);
    t_store_must(ngx_sio_lease_renew(&t->z, epoch, 1) == NGX_OK);
    t_store_must(ngx_sio_lease_live(&t->z, epoch, 1) == NGX_OK);
    ngx_sio_lease_release(&t->z, epoch);
    t_store_must(ngx_sio_lease_standby(&t->z, t->slot) == NGX_OK);
    ngx_sio_lease_standby_release(&t->z, t->slot);
}


static void
t_kill_after_lease(t_kill_t *t)
{
    uint64_t  epoch;

    epoch = ngx_sio_lease_take(&t->z, t->slot, 1000);
    assert_true(epoch);
    assert_int_equal(ngx_sio_lease_renew(&t->z, epoch, 1000), NGX_OK);
}


static const t_kill_operation_t  t_kill_open = {
    "open", NULL, t_kill_do_open, NULL, 6, 1
};

static const t_kill_operation_t  t_kill_open_reuse = {
    "open with holes", t_kill_prepare_reuse, t_kill_do_open, NULL, 6, 1
};

static const t_kill_operation_t  t_kill_connect = {
    "connect", t_kill_prepare_open, t_kill_do_connect, NULL, 100, 1
};

static const t_kill_operation_t  t_kill_connect_reuse = {
    "connect with holes", t_kill_prepare_reuse, t_kill_do_connect, NULL, 70, 1
};

static const t_kill_operation_t  t_kill_refused = {
    "connect refused", t_kill_prepare_open, t_kill_do_refused, NULL, 300, 7
};

static const t_kill_operation_t  t_kill_join = {
    "join", t_kill_prepare_join, t_kill_do_join, NULL, 20, 1
};

static const t_kill_operation_t  t_kill_leave = {
    "leave", t_kill_prepare_leave, t_kill_do_leave, NULL, 15, 1
};

static const t_kill_operation_t  t_kill_leave_middle = {
    "leave a chunk", t_kill_prepare_middle, t_kill_do_middle, NULL, 40, 1
};

static const t_kill_operation_t  t_kill_disconnect = {
    "disconnect", t_kill_prepare_alone, t_kill_do_disconnect, NULL, 100, 1
};

static const t_kill_operation_t  t_kill_close = {
    "close", t_kill_prepare_alone, t_kill_do_close, NULL, 100, 1
};

static const t_kill_operation_t  t_kill_close_shared = {
    "close with others", t_kill_prepare_connect, t_kill_do_close, NULL, 50, 1
};

static const t_kill_operation_t  t_kill_enter = {
    "enter", NULL, t_kill_do_enter, t_kill_after_worker, 4, 1
};

static const t_kill_operation_t  t_kill_leave_worker = {
    "worker leaves", NULL, t_kill_do_leave_worker, t_kill_after_worker, 50, 1
};

static const t_kill_operation_t  t_kill_reap = {
    "reap", t_kill_prepare_dead, t_kill_do_reap, t_kill_after_worker, 50, 1
};

static const t_kill_operation_t  t_kill_enter_reaping = {
    "enter and reap", t_kill_prepare_dead, t_kill_do_enter_reaping,
    t_kill_after_worker, 50, 1
};

static const t_kill_operation_t  t_kill_lease = {
    "lease", NULL, t_kill_do_lease, t_kill_after_lease, 10, 1
};


static void
t_kill_repair(void **state)
{
    ngx_uint_t  first, step;

    for (first = 3; first <= 120; first += 9) {
        for (step = 1;
             t_kill_repair_at(&t_kill_connect, first, step);
             step++)
        { /* void */ }

        assert_true(step > 20);
    }

    for (first = 2; first <= 100; first += 8) {
        for (step = 1;
             t_kill_repair_at(&t_kill_close, first, step);
             step++)
        { /* void */ }

        assert_true(step > 20);
    }
}


/*
 * The records contradict themselves and repair gives them up, killed at every
 * step: the epoch has changed when it is done, whoever did it.
 */

static ngx_uint_t
t_kill_decline_at(ngx_uint_t step)
{
    pid_t       pid;
    t_kill_t    t;
    uint64_t    epoch;
    ngx_uint_t  killed;

    t_kill_setup(&t);

    epoch = t.z.sh->epoch;

    pid = t_store_fork();

    if (pid == 0) {
        t_store_must(ngx_sio_zone_lock(&t.z) == NGX_OK);
        t.z.sessions[t.other[1]].chunk = t.z.sessions[t.other[0]].chunk;
        _exit(0);
    }

    t_store_finished(pid);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);
        t_store_must(ngx_sio_zone_lock(&t.z) == NGX_OK);
        ngx_sio_zone_unlock(&t.z);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_store_check(&t.z, "decline", step);
    assert_true(t.z.sh->epoch != epoch);
    assert_true(ngx_sio_zone_lost(&t.z));
    assert_int_equal(t.z.sh->live_sessions, 0);

    t.z.epoch = t.z.sh->epoch;
    t_kill_fill(&t, "decline", step);

    t_store_unmap(&t.z);

    return killed;
}


static void
t_kill_decline(void **state)
{
    ngx_uint_t  step;

    for (step = 1; t_kill_decline_at(step); step++) { /* void */ }

    assert_true(step > 10);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        t_kill_test(t_kill_open),
        t_kill_test(t_kill_open_reuse),
        t_kill_test(t_kill_connect),
        t_kill_test(t_kill_connect_reuse),
        t_kill_test(t_kill_refused),
        t_kill_test(t_kill_join),
        t_kill_test(t_kill_leave),
        t_kill_test(t_kill_leave_middle),
        t_kill_test(t_kill_disconnect),
        t_kill_test(t_kill_close),
        t_kill_test(t_kill_close_shared),
        t_kill_test(t_kill_enter),
        t_kill_test(t_kill_leave_worker),
        t_kill_test(t_kill_reap),
        t_kill_test(t_kill_enter_reaping),
        t_kill_test(t_kill_lease),
        cmocka_unit_test(t_kill_repair),
        cmocka_unit_test(t_kill_decline)
    };

    return cmocka_run_group_tests_name("store: kill", tests, NULL, NULL);
}
