
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * Sockets go from branch to branch, and what the dead have is taken from them;
 * see the header.
 */


#include "t_store_branch_kill.h"


static uint32_t  t_fam_other;          /* the record that takes or gives */


static void
t_fam_adopt(t_kill_t *t, uint32_t to, uint32_t from)
{
    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    t_store_must(ngx_sio_session_adopt_locked(&t->z, to, from,
                                              t_store_ticket(&t->z, from),
                                              6000)
                 == NGX_OK);
    ngx_sio_zone_unlock(&t->z);
}


/* The socket of a lost transport, which this worker has claimed. */

static void
t_fam_prepare_adopt(t_kill_t *t)
{
    uint32_t  i;
    uint64_t  owner;

    t_fam_prepare_late(t);

    i = t_store_open(&t->z, t->slot, 60);
    t_fam_other = t_fam_add(t, i, 4, t->slot, 54, 1);

    t_store_must(ngx_sio_session_park(&t->z, t_fam_other,
                                      t_store_ticket(&t->z, t_fam_other), 5000,
                                      T_FAM_LATER)
                 == NGX_OK);
    t_store_must(t_store_close(&t->z, i) == NGX_OK);

    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    t_store_must(ngx_sio_session_claim_locked(&t->z, t_fam_other, t->slot,
                                              &owner)
                 == NGX_OK);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_fam_do_adopt(t_kill_t *t)
{
    t_fam_adopt(t, t_fam_branch[3], t_fam_other);
}


/* The socket is there or here, or nowhere. */

static void
t_fam_after_adopt(t_kill_t *t)
{
    uint32_t  i;

    i = t_store_by_sid(&t->z, 54);

    assert_int_equal(t->z.sh->live_parked, i == t_fam_other);

    if (i == t_fam_other) {
        t_fam_whole(t, i, 54);
        assert_int_equal(t->z.sessions[t_fam_branch[3]].sid[0], 0);
        t_fam_same(t, 3);
        return;
    }

    assert_true(i == 0 || i == t_fam_branch[3]);
    assert_int_equal(t->z.sessions[t_fam_other].state, NGX_SIO_FREE);

    t_fam_same(t, 3);
    assert_int_equal(t_fam_state(t, 3), T_FAM_ATTACHED);

    if (i) {
        assert_int_equal(t->z.sessions[i].applied, 6000);

    } else {
        assert_int_equal(t->z.sessions[t->session].connect_by, 1);
    }
}


/* The other way: a branch of the family goes on elsewhere. */

static void
t_fam_prepare_give(t_kill_t *t)
{
    uint32_t  i;

    t_fam_prepare(t);

    i = t_store_open(&t->z, t->slot, 60);
    t_fam_other = t_store_branch(&t->z, i, 1, t->slot, 0);
    t_store_must(t_fam_other);
}


static void
t_fam_do_give(t_kill_t *t)
{
    t_fam_adopt(t, t_fam_other, t_fam_branch[0]);
}


static void
t_fam_after_give(t_kill_t *t)
{
    uint32_t  i;

    i = t_store_by_sid(&t->z, 51);

    if (i == t_fam_branch[0]) {
        assert_int_equal(t->z.sessions[t_fam_other].sid[0], 0);
        t_fam_same(t, T_FAM_SIZE);

    } else {
        assert_true(i == 0 || i == t_fam_other);
        assert_int_equal(t->z.sessions[t_fam_branch[0]].state, NGX_SIO_FREE);
        t_fam_same(t, 0);
    }

    i = t_store_by_eio(&t->z, 60);
    assert_true(i);
    assert_int_equal(t_store_in(&t->z, i, 1), t_fam_other);
}


/* The socket in "/" leaves its transport, which is no more then. */

static void
t_fam_prepare_give_root(t_kill_t *t)
{
    t_fam_prepare(t);
    t_fam_other = t_store_open(&t->z, t->slot, 60);
}


static void
t_fam_do_give_root(t_kill_t *t)
{
    t_fam_adopt(t, t_fam_other, t->session);
}


static void
t_fam_after_give_root(t_kill_t *t)
{
    uint32_t  i;

    i = t_store_by_sid(&t->z, 50);

    if (i == t->session) {
        t_fam_whole(t, t->session, 50);
        t_fam_same(t, T_FAM_SIZE);
        return;
    }

    assert_true(i == 0 || i == t_fam_other);
    assert_int_equal(t->z.sessions[t->session].state, NGX_SIO_FREE);
    t_fam_whole(t, t_fam_other, 50);
    assert_int_equal(t_store_by_eio(&t->z, 60), t_fam_other);

    t_fam_are(t, T_FAM_LEFT, T_FAM_GONE, T_FAM_GONE, T_FAM_GONE);
}


/*
 * A worker that has a WebSocket with sockets in five namespaces, a branch of a
 * transport that is another one's by now, and waits for the rooms of two more.
 */

static void
t_fam_be_worker(t_kill_t *t)
{
    uint32_t  i;

    t_store_must(ngx_sio_worker_enter(&t->z, 5, 0) == 2);

    i = t_store_open(&t->z, 2, 50);
    t_fam_connect(t, i, 50, 1);
    (void) t_fam_add(t, i, 1, 2, 51, 1);
    (void) t_fam_add(t, i, 2, 0, 52, 1);
    (void) t_fam_add(t, i, 3, 2, 53, 0);
    (void) t_store_branch(&t->z, i, 4, 2, 0);

    i = t_store_open(&t->z, 0, 60);
    t_store_must(t_store_branch(&t->z, i, 1, 0, 2));
    (void) t_fam_add(t, i, 2, 0, 62, 1);

    i = t_store_open(&t->z, 1, 70);
    t_store_must(t_store_branch(&t->z, i, 1, 0, 2));

    i = t_store_open(&t->z, 1, 80);
    (void) t_fam_add(t, i, 1, 2, 81, 1);
}


static void
t_fam_prepare_dead(t_kill_t *t)
{
    pid_t  pid;

    t_fam_prepare_near(t);

    pid = t_store_fork();

    if (pid == 0) {
        t_fam_be_worker(t);
        _exit(0);
    }

    t_store_finished(pid);

    t->session = t_store_by_eio(&t->z, 70);
}


static void
t_fam_do_reap(t_kill_t *t)
{
    t_store_must(ngx_sio_worker_reap(&t->z, 100000) == 1);
}


static void
t_fam_is_parked(t_kill_t *t, uint64_t n)
{
    uint32_t  i;

    i = t_store_by_sid(&t->z, n);

    assert_true(i);
    assert_true(t->z.sessions[i].flags & NGX_SIO_PARKED);
    t_fam_whole(t, i, n);
}


/* Of what was nobody's, that may have gone which can be recovered, too. */

static void
t_fam_after_reap(t_kill_t *t)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    (void) ngx_sio_worker_reap(&t->z, 100000);

    t_store_check(&t->z, "reap", 0);
    assert_int_equal(t->z.sh->workers[1].state, NGX_SIO_FREE);

    assert_int_equal(t_store_by_eio(&t->z, 50), 0);
    t_fam_is_parked(t, 50);
    t_fam_is_parked(t, 51);

    if (t_store_by_sid(&t->z, 52)) {
        t_fam_is_parked(t, 52);
    }

    assert_int_equal(t_store_by_sid(&t->z, 53), 0);

    /* nobody's: it has gone; another one's: he closes it */

    assert_int_equal(t_store_by_eio(&t->z, 60), 0);

    if (t_store_by_sid(&t->z, 62)) {
        t_fam_is_parked(t, 62);
    }

    assert_int_equal(t_store_by_eio(&t->z, 70), 0);
    ss = &t->z.sessions[t->session];
    assert_int_equal(ss->state, NGX_SIO_LIVE);
    assert_true(ss->flags & NGX_SIO_DEAD);
    i = t_store_in(&t->z, t->session, 1);
    assert_true(i);
    assert_int_equal(t->z.sessions[i].connecter, 0);

    /* this one is there for whoever has the transport */

    i = t_store_by_eio(&t->z, 80);
    assert_true(i);
    i = t_store_in(&t->z, i, 1);
    assert_true(i);
    t_fam_whole(t, i, 81);
    assert_int_equal(t_store_by_sid(&t->z, 81), i);
    assert_int_equal(ngx_sio_owner_slot(t->z.sessions[i].owner), 0);

    t_fam_check_near(t);
}


static const t_kill_operation_t  t_fam_operations[] = {

    { "adopt into a branch", t_fam_prepare_adopt, t_fam_do_adopt,
      t_fam_after_adopt, 15, 1 },

    { "adopt from a branch", t_fam_prepare_give, t_fam_do_give,
      t_fam_after_give, 15, 1 },

    { "adopt from a transport", t_fam_prepare_give_root, t_fam_do_give_root,
      t_fam_after_give_root, 40, 1 },

    { "reap", t_fam_prepare_dead, t_fam_do_reap, t_fam_after_reap, 60, 1 }
};


int
main(void)
{
    struct CMUnitTest  tests[t_fam_count(t_fam_operations)];

    t_fam_tests(tests, t_fam_operations, t_fam_count(t_fam_operations));

    return cmocka_run_group_tests_name("store: branch move", tests, NULL,
                                       NULL);
}
