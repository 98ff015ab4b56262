
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* Branches come and go, alone and with their transport; see the header. */


#include "t_store_branch_kill.h"


static void
t_fam_do_open(t_kill_t *t)
{
    t_store_must(t_store_branch(&t->z, t->session, 7, t->slot, 0));
}


static void
t_fam_do_open_nobodys(t_kill_t *t)
{
    t_store_must(t_store_branch(&t->z, t->session, 7, 0, t->slot));
}


static void
t_fam_after_open(t_kill_t *t)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    i = t_store_in(&t->z, t->session, 7);
    t_fam_same(t, T_FAM_SIZE);
    t_fam_whole(t, t->session, 50);
    assert_int_equal(t->z.sh->live_branches, 6 + (i != 0));

    if (i) {
        ss = &t->z.sessions[i];

        assert_int_equal(ss->kin, t->session);
        assert_int_equal(ss->flags & NGX_SIO_CONNECTING,
                         ss->connecter ? NGX_SIO_CONNECTING : 0);
        assert_int_equal(ngx_sio_owner_slot(ss->owner),
                         ss->connecter ? 0 : t->slot);
    }
}


static void
t_fam_do_connect(t_kill_t *t)
{
    t_fam_connect(t, t_fam_branch[3], 54, 1);
}


/* As long as there is no socket, the client is waited for. */

static void
t_fam_after_connect(t_kill_t *t)
{
    ngx_sio_session_sh_t  *ss;

    t_fam_same(t, 3);
    assert_int_equal(t_fam_state(t, 3), T_FAM_ATTACHED);

    ss = &t->z.sessions[t_fam_branch[3]];

    if (ss->sid[0] == 0) {
        assert_true(ss->flags & NGX_SIO_CONNECTING);
        assert_int_equal(ss->connecter, t->slot);
        assert_int_equal(t->z.sessions[t->session].connect_by, 1);
    }
}


static void
t_fam_do_disconnect(t_kill_t *t)
{
    t_store_must(t_store_disconnect(&t->z, t_fam_branch[0]) == NGX_OK);
}


static void
t_fam_do_disconnect_nobodys(t_kill_t *t)
{
    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    ngx_sio_session_disconnect_locked(&t->z, t_fam_branch[1]);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_fam_after_disconnect(t_kill_t *t)
{
    t_fam_same(t, 0);
    assert_true(t_fam_state(t, 0) & (T_FAM_GONE|T_FAM_ATTACHED));
    t_fam_whole(t, t->session, 50);
}


static void
t_fam_after_disconnect_nobodys(t_kill_t *t)
{
    t_fam_same(t, 1);
    assert_true(t_fam_state(t, 1) & (T_FAM_GONE|T_FAM_ATTACHED));
}


static void
t_fam_do_prune(t_kill_t *t)
{
    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    ngx_sio_session_prune_locked(&t->z, t_fam_branch[0]);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_fam_after_prune(t_kill_t *t)
{
    t_fam_same(t, 0);
    assert_true(t_fam_state(t, 0) & (T_FAM_LEFT|T_FAM_ATTACHED));
    assert_true(t->z.sessions[t_fam_branch[0]].sid[0]);
}


static void
t_fam_shed(t_kill_t *t, uint64_t deadline)
{
    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    ngx_sio_session_shed_locked(&t->z, t->session, deadline);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_fam_do_shed(t_kill_t *t)
{
    t_fam_shed(t, 0);
}


static void
t_fam_do_shed_later(t_kill_t *t)
{
    t_fam_shed(t, T_FAM_LATER);
}


static void
t_fam_after_shed(t_kill_t *t)
{
    t_fam_are(t, T_FAM_ATTACHED|T_FAM_LEFT, T_FAM_ATTACHED|T_FAM_GONE,
              T_FAM_ATTACHED|T_FAM_GONE, T_FAM_ATTACHED|T_FAM_GONE);

    t_fam_whole(t, t->session, 50);
    assert_true(t->z.sessions[t->session].sid[0]);
    assert_int_equal(t_store_by_eio(&t->z, 50), t->session);
}


/* What can be recovered is still there. */

static void
t_fam_after_shed_later(t_kill_t *t)
{
    t_fam_are(t, T_FAM_ATTACHED|T_FAM_LEFT, T_FAM_ATTACHED|T_FAM_PARKED,
              T_FAM_ATTACHED|T_FAM_GONE, T_FAM_ATTACHED|T_FAM_GONE);

    assert_true(t->z.sessions[t_fam_branch[1]].sid[0]);
    assert_true(t->z.sessions[t->session].sid[0]);
    assert_int_equal(t_store_by_eio(&t->z, 50), t->session);
}


static void
t_fam_do_park(t_kill_t *t)
{
    t_store_must(ngx_sio_session_park(&t->z, t->session,
                                      t_store_ticket(&t->z, t->session), 5000,
                                      T_FAM_LATER)
                 == NGX_OK);
}


static void
t_fam_after_park(t_kill_t *t)
{
    ngx_sio_session_sh_t  *ss;

    ss = &t->z.sessions[t->session];

    t_fam_whole(t, t->session, 50);
    assert_true(ss->sid[0]);

    if (!(ss->flags & NGX_SIO_PARKED)) {
        t_fam_same(t, T_FAM_SIZE);
        return;
    }

    assert_int_equal(t_store_by_eio(&t->z, 50), 0);

    t_fam_are(t, T_FAM_LEFT, T_FAM_PARKED|T_FAM_GONE, T_FAM_GONE, T_FAM_GONE);

    assert_true(t->z.sessions[t_fam_branch[0]].sid[0]);
}


static void
t_fam_do_park_branch(t_kill_t *t)
{
    t_store_must(ngx_sio_session_park(&t->z, t_fam_branch[0],
                                      t_store_ticket(&t->z, t_fam_branch[0]),
                                      5000, T_FAM_LATER)
                 == NGX_OK);
}


static void
t_fam_after_park_branch(t_kill_t *t)
{
    t_fam_same(t, 0);
    assert_true(t_fam_state(t, 0) & (T_FAM_PARKED|T_FAM_ATTACHED));
    assert_true(t->z.sessions[t_fam_branch[0]].sid[0]);
}


static void
t_fam_do_close(t_kill_t *t)
{
    t_store_must(t_store_close(&t->z, t->session) == NGX_OK);
}


static void
t_fam_each(ngx_sio_zone_t *z, uint32_t i, void *data)
{
    ngx_sio_session_close_locked(z, i);
}


static void
t_fam_do_expire(t_kill_t *t)
{
    t_store_must(ngx_sio_session_expire(&t->z, (uint64_t) -1, t_fam_each, NULL)
                 == 1);
}


static void
t_fam_after_close(t_kill_t *t)
{
    if (t->z.sessions[t->session].state == NGX_SIO_LIVE) {
        t_fam_whole(t, t->session, 50);
        t_fam_same(t, T_FAM_SIZE);
        return;
    }

    assert_int_equal(t_store_by_eio(&t->z, 50), 0);
    assert_int_equal(t_store_by_sid(&t->z, 50), 0);

    t_fam_are(t, T_FAM_LEFT, T_FAM_GONE, T_FAM_GONE, T_FAM_GONE);

    assert_true(t->z.sessions[t_fam_branch[0]].sid[0]);
}


/* The owner of one whose transport is gone lets it go. */

static void
t_fam_prepare_left(t_kill_t *t)
{
    t_fam_prepare(t);
    t_fam_do_prune(t);
}


static void
t_fam_do_release_left(t_kill_t *t)
{
    t_store_must(ngx_sio_session_release(&t->z, t_fam_branch[0],
                                         t_store_ticket(&t->z,
                                                        t_fam_branch[0]),
                                         5000)
                 == NGX_DECLINED);
}


static void
t_fam_after_release_left(t_kill_t *t)
{
    t_fam_same(t, 0);
    assert_true(t_fam_state(t, 0) & (T_FAM_LEFT|T_FAM_GONE));
}


static void
t_fam_do_release(t_kill_t *t)
{
    t_store_must(ngx_sio_session_release(&t->z, t_fam_branch[0],
                                         t_store_ticket(&t->z,
                                                        t_fam_branch[0]),
                                         5000)
                 == NGX_OK);
}


static void
t_fam_after_release(t_kill_t *t)
{
    ngx_sio_session_sh_t  *ss;

    t_fam_same(t, T_FAM_SIZE);

    ss = &t->z.sessions[t_fam_branch[0]];

    if (ngx_sio_owner_slot(ss->owner) == 0) {
        assert_int_equal(ss->applied, 5000);
    }
}


static const t_kill_operation_t  t_fam_operations[] = {

    { "open", t_fam_prepare, t_fam_do_open, t_fam_after_open, 7, 1 },

    { "open from the free list", t_fam_prepare_reuse, t_fam_do_open,
      t_fam_after_open, 7, 1 },

    { "open for nobody", t_fam_prepare, t_fam_do_open_nobodys,
      t_fam_after_open, 7, 1 },

    { "connect", t_fam_prepare_late, t_fam_do_connect, t_fam_after_connect,
      20, 1 },

    { "disconnect", t_fam_prepare, t_fam_do_disconnect,
      t_fam_after_disconnect, 15, 1 },

    { "disconnect nobody's", t_fam_prepare, t_fam_do_disconnect_nobodys,
      t_fam_after_disconnect_nobodys, 15, 1 },

    { "prune", t_fam_prepare, t_fam_do_prune, t_fam_after_prune, 2, 1 },

    { "shed", t_fam_prepare, t_fam_do_shed, t_fam_after_shed, 50, 1 },

    { "shed and park", t_fam_prepare, t_fam_do_shed_later,
      t_fam_after_shed_later, 30, 1 },

    { "park", t_fam_prepare, t_fam_do_park, t_fam_after_park, 30, 1 },

    { "park for nobody", t_fam_prepare_nobodys, t_fam_do_park,
      t_fam_after_park, 30, 1 },

    { "park a branch", t_fam_prepare, t_fam_do_park_branch,
      t_fam_after_park_branch, 6, 1 },

    { "close", t_fam_prepare, t_fam_do_close, t_fam_after_close, 50, 1 },

    { "expire", t_fam_prepare_nobodys, t_fam_do_expire, t_fam_after_close,
      50, 1 },

    { "release what is left", t_fam_prepare_left, t_fam_do_release_left,
      t_fam_after_release_left, 10, 1 },

    { "release", t_fam_prepare, t_fam_do_release, t_fam_after_release, 2, 1 }
};


int
main(void)
{
    struct CMUnitTest  tests[t_fam_count(t_fam_operations)];

    t_fam_tests(tests, t_fam_operations, t_fam_count(t_fam_operations));

    return cmocka_run_group_tests_name("store: branch kill", tests, NULL,
                                       NULL);
}
