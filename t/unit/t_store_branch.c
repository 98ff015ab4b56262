
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* Sockets of one transport in several namespaces come and go one by one. */


#include "t_store_branch.h"


/* What a branch begins with, a worker's and nobody's. */

static void
t_branch_open(void **state)
{
    uint32_t               t, a, b;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    t_branch_zone(&z);

    t = t_branch_transport(&z, 2, 10, T_BRANCH_NONE);
    assert_int_equal(z.sessions[t].flags, 0);
    assert_int_equal(z.sh->live_branches, 0);

    a = t_store_branch(&z, t, 1, 2, 0);
    assert_true(a);
    ss = &z.sessions[a];

    assert_int_equal(ngx_sio_owner_slot(ss->owner), 2);
    assert_int_equal(ngx_sio_owner_state(ss->owner), NGX_SIO_OWNER_LIVE);
    assert_int_equal(ss->applied, NGX_SIO_AT_CURSOR);
    assert_int_equal(ss->seen, z.sh->workers[1].cursor);
    assert_true(ss->seen < ngx_sio_log_head(&z));
    assert_int_equal(ss->flags, 0);
    assert_int_equal(ss->connecter, 0);
    assert_int_equal(ss->nsp, 1);
    assert_int_equal(ss->kin, t);
    assert_int_equal(ss->deadline, 0);
    assert_int_equal(ss->transport, 0);
    assert_int_equal(ss->eio_sid[0], 0);
    assert_int_equal(ss->sid[0], 0);

    b = t_store_branch(&z, t, 2, 0, 1);
    assert_true(b);
    ss = &z.sessions[b];

    assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
    assert_int_equal(ngx_sio_owner_state(ss->owner), NGX_SIO_OWNER_NONE);
    assert_int_equal(ss->applied, ngx_sio_log_head(&z));
    assert_int_equal(ss->seen, ngx_sio_log_head(&z));
    assert_int_equal(ss->flags, NGX_SIO_CONNECTING);
    assert_int_equal(ss->connecter, 1);
    assert_int_equal(ss->deadline, 0);

    assert_int_equal(z.sessions[t].flags, NGX_SIO_BRANCHED);
    assert_int_equal(z.sh->live_branches, 2);
    assert_int_equal(z.sh->live_sessions, 3);
    assert_int_equal(z.sh->live_polling, 0);
    assert_int_equal(z.sh->live_parked, 0);

    assert_int_equal(t_store_in(&z, t, 0), t);
    assert_int_equal(t_store_in(&z, t, 1), a);
    assert_int_equal(t_store_in(&z, t, 2), b);
    assert_int_equal(t_store_in(&z, t, 3), 0);
    assert_int_equal(t_store_by_eio(&z, 10), t);

    /* the flag says that there may be some, and stays */

    assert_int_equal(t_store_close(&z, a), NGX_OK);
    assert_int_equal(t_store_close(&z, b), NGX_OK);
    assert_int_equal(z.sessions[t].flags, NGX_SIO_BRANCHED);
    assert_int_equal(z.sh->live_branches, 0);
    assert_int_equal(z.sh->live_sessions, 1);

    t_branch_end(&z);
}


/* One for each namespace, of a transport that is there. */

static void
t_branch_refused(void **state)
{
    uint32_t        t, a, parked, dead, gone;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);

    t = t_branch_transport(&z, 1, 10, T_BRANCH_NONE);
    a = t_branch_add(&z, t, 1, 1, 10, T_BRANCH_NONE);

    parked = t_branch_transport(&z, 1, 20, T_BRANCH_KEPT);
    assert_int_equal(ngx_sio_session_park(&z, parked,
                                          t_store_ticket(&z, parked), 1,
                                          T_BRANCH_LATER),
                     NGX_OK);

    dead = t_branch_transport(&z, 1, 30, T_BRANCH_NONE);
    z.sessions[dead].flags |= NGX_SIO_DEAD;

    gone = t_branch_transport(&z, 1, 40, T_BRANCH_NONE);
    assert_int_equal(t_store_close(&z, gone), NGX_OK);

    assert_int_equal(t_store_branch(&z, t, 0, 1, 0), 0);
    assert_int_equal(t_store_branch(&z, t, 1, 1, 0), 0);
    assert_int_equal(t_store_branch(&z, t, 1, 0, 2), 0);
    assert_int_equal(t_store_branch(&z, a, 2, 1, 0), 0);
    assert_int_equal(t_store_branch(&z, 0, 2, 1, 0), 0);
    assert_int_equal(t_store_branch(&z, gone, 2, 1, 0), 0);
    assert_int_equal(t_store_branch(&z, parked, 2, 1, 0), 0);
    assert_int_equal(t_store_branch(&z, dead, 2, 1, 0), 0);
    assert_int_equal(t_store_branch(&z, z.sh->nsessions + 1, 2, 1, 0), 0);
    assert_int_equal(t_store_branch(&z, 0xffffffff, 2, 1, 0), 0);

    assert_int_equal(t_store_in(&z, a, 1), 0);
    assert_int_equal(t_store_in(&z, gone, 1), 0);
    assert_int_equal(t_store_in(&z, 0, 0), 0);
    assert_int_equal(t_store_in(&z, 0, 1), 0);

    /* in a view that has lost all of them nothing is made, found or changed */

    z.epoch++;
    assert_int_equal(t_store_branch(&z, t, 2, 1, 0), 0);
    assert_int_equal(t_store_in(&z, t, 1), 0);
    t_branch_prune(&z, a);
    t_branch_shed(&z, t, 0);
    z.epoch--;

    assert_int_equal(t_store_in(&z, t, 1), a);
    assert_int_equal(z.sh->live_branches, 1);
    assert_int_equal(z.sh->refused, 0);

    t_branch_end(&z);
}


/* A full zone has no place for a branch; it is counted. */

static void
t_branch_full(void **state)
{
    uint32_t        t;
    uint64_t        n;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);
    t = t_branch_transport(&z, 1, 0, T_BRANCH_NONE);

    for (n = 1; z.sh->live_sessions < z.sh->nsessions; n++) {
        assert_true(n % 50 ? t_store_branch(&z, t, n % 50, 1, 0)
                           : (t = t_store_open(&z, 1, n)));
    }

    assert_int_equal(z.sh->refused, 0);
    assert_int_equal(t_store_branch(&z, t, 50, 1, 0), 0);
    assert_int_equal(z.sh->refused, 1);
    assert_int_equal(t_store_branch(&z, t, 50, 0, 2), 0);
    assert_int_equal(z.sh->refused, 2);
    assert_int_equal(t_store_open(&z, 1, n), 0);
    assert_int_equal(z.sh->refused, 3);
    t_store_check(&z, "full", 0);

    assert_int_equal(t_store_close(&z, 7), NGX_OK);
    assert_int_equal(t_store_branch(&z, t, 50, 1, 0), 7);
    assert_int_equal(t_store_in(&z, t, 50), 7);
    assert_int_equal(z.sh->refused, 3);

    t_branch_end(&z);
}


/* They are walked, the newest first; any of them can be taken out. */

static void
t_branch_list(void **state)
{
    uint32_t        t, other, b[6], i;
    ngx_uint_t      n, out;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);

    t = t_branch_transport(&z, 1, 10, T_BRANCH_NONE);
    other = t_branch_transport(&z, 1, 20, T_BRANCH_NONE);
    assert_true(t_store_branch(&z, other, 3, 1, 0));

    for (out = 1; out <= 5; out++) {

        for (n = 1; n <= 5; n++) {
            b[n] = t_store_branch(&z, t, n, 1, 0);
            assert_true(b[n]);
        }

        t_branch_prune(&z, b[out]);
        assert_int_equal(z.sessions[b[out]].kin, 0);
        assert_int_equal(z.sessions[b[out]].state, NGX_SIO_LIVE);
        assert_int_equal(z.sh->live_branches, 5);
        assert_int_equal(z.sh->live_sessions, 8);

        /* not twice, nor what is no branch */

        t_branch_prune(&z, b[out]);
        t_branch_prune(&z, t);
        t_branch_prune(&z, 0);
        assert_int_equal(z.sh->live_branches, 5);

        i = ngx_sio_session_first_locked(&z, t);

        for (n = 5; n > 0; n--) {

            assert_int_equal(t_store_in(&z, t, n), n == out ? 0 : b[n]);

            if (n != out) {
                assert_int_equal(i, b[n]);
                i = ngx_sio_session_next_locked(&z, i);
            }
        }

        assert_int_equal(i, 0);
        t_store_check(&z, "list", out);

        /* it belongs to its owner still, the others go one by one */

        for (n = 1; n <= 5; n++) {
            assert_int_equal(t_store_close(&z, b[n]), NGX_OK);
            assert_int_equal(t_store_in(&z, t, n), 0);
            t_store_check(&z, "list", out);
        }

        assert_int_equal(z.sh->live_branches, 1);
    }

    assert_true(t_store_in(&z, other, 3));

    t_branch_end(&z);
}


/* What a record that is free has been before means nothing. */

static void
t_branch_stale(void **state)
{
    pid_t           pid;
    uint32_t        t, i;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);

    t = t_branch_transport(&z, 1, 10, T_BRANCH_NONE);
    i = t_branch_add(&z, t, 1, 0, 10, T_BRANCH_NONE);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_must(ngx_sio_zone_lock(&z) == NGX_OK);
        z.sessions[i].state = NGX_SIO_NEW;
        _exit(0);
    }

    t_store_finished(pid);

    assert_true(t_branch_add(&z, t, 2, 0, 10, T_BRANCH_NONE) == i);
    assert_int_equal(t_store_close(&z, i), NGX_OK);
    assert_int_equal(z.sh->repairs, 1);

    pid = t_store_fork();

    if (pid == 0) {
        i = t_store_branch(&z, t, 3, 0, 1);
        t_store_must(ngx_sio_zone_lock(&z) == NGX_OK);
        z.sessions[i].state = NGX_SIO_NEW;
        z.sessions[t].state = NGX_SIO_NEW;
        _exit(0);
    }

    t_store_finished(pid);

    t_branch_prune(&z, i);
    t_branch_shed(&z, t, T_BRANCH_LATER);
    assert_int_equal(z.sh->repairs, 2);
    t_store_is_empty(&z);

    t_branch_end(&z);
}


/* A branch is a socket of its own namespace, with rooms and user of that. */

static void
t_branch_sockets(void **state)
{
    u_char                    sid[NGX_SIO_SID_LEN];
    uint32_t                  t, a, b, i;
    ngx_uint_t                n;
    ngx_sio_zone_t            z;
    ngx_sio_session_sh_t     *ss;
    ngx_sio_session_socket_t  socket;

    t_branch_zone(&z);

    t = t_branch_transport(&z, 1, 10, T_BRANCH_NONE);
    a = t_branch_add(&z, t, 1, 1, 10, T_BRANCH_NONE);
    b = t_store_branch(&z, t, 2, 0, 2);
    assert_true(z.sessions[t].connect_by);

    /* the transport has come in time, be it by one of its branches */

    t_branch_connect(&z, b, 12, T_BRANCH_KEPT);
    assert_int_equal(z.sessions[t].connect_by, 0);

    ss = &z.sessions[b];
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE);
    assert_int_equal(ss->connecter, 0);
    assert_int_equal(ss->applied, T_BRANCH_SINCE);
    assert_int_equal(ss->born, T_BRANCH_SINCE);
    assert_int_equal(ss->last, T_BRANCH_SINCE);
    assert_int_equal(ss->nsp, 2);
    assert_int_equal(ss->kin, t);
    assert_int_equal(t_store_by_sid(&z, 12), b);

    t_branch_connect(&z, a, 11, T_BRANCH_PLAIN);
    t_branch_connect(&z, t, 10, T_BRANCH_KEPT);

    assert_int_equal(z.sh->live_rooms, 3 * T_BRANCH_ROOMS);
    assert_int_equal(z.sh->live_users, 3);
    assert_int_equal(z.sh->live_members, 3 * T_BRANCH_ROOMS);

    for (n = 0; n < 3; n++) {
        i = t_store_in(&z, t, n);
        ss = &z.sessions[i];

        assert_int_equal(z.users[ss->user].nsp, n);
        assert_int_equal(z.rooms[ss->member[5].room].nsp, n);
    }

    /* once is enough, and no branch is in two namespaces */

    assert_int_equal(t_store_connect(&z, a, 99, NULL, NULL, 0, 1),
                     NGX_DECLINED);

    i = t_store_branch(&z, t, 3, 1, 0);
    t_store_sid(sid, 's', 99);
    ngx_memzero(&socket, sizeof(ngx_sio_session_socket_t));
    socket.sid = sid;
    socket.nsp = 4;
    assert_int_equal(ngx_sio_session_connect(&z, i, t_store_ticket(&z, i),
                                             &socket),
                     NGX_DECLINED);
    assert_int_equal(z.sessions[i].nsp, 3);
    assert_int_equal(z.sessions[i].sid[0], 0);
    assert_int_equal(z.sh->refused, 0);

    t_branch_end(&z);
}


/*
 * The first socket ends the time that a transport has for that, be it in "/" or
 * not, and for good: a client may leave all of its namespaces and stay.
 */

static void
t_branch_in_time(void **state)
{
    uint32_t        t, i;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);

    for (n = 0; n < 4; n++) {
        t = t_branch_transport(&z, n % 2, 10, T_BRANCH_NONE);
        i = (n < 2) ? t : t_store_branch(&z, t, 1, n % 2, 0);
        assert_true(z.sessions[t].connect_by);

        t_branch_connect(&z, i, 11, T_BRANCH_PLAIN);
        assert_int_equal(z.sessions[t].connect_by, 0);

        assert_int_equal(t_store_disconnect(&z, i), NGX_OK);
        assert_int_equal(z.sessions[t].connect_by, 0);
        assert_int_equal(t_store_close(&z, t), NGX_OK);
    }

    t_branch_end(&z);
}


/* Who tells the client of its socket takes the mark away when he has. */

static void
t_branch_marked(void **state)
{
    u_char                    sid[NGX_SIO_SID_LEN];
    uint32_t                  t, i;
    ngx_sio_zone_t            z;
    ngx_sio_session_socket_t  socket;

    t_branch_zone(&z);

    t = t_branch_transport(&z, 0, 10, T_BRANCH_NONE);
    i = t_store_branch(&z, t, 1, 0, 2);

    t_store_sid(sid, 's', 11);
    ngx_memzero(&socket, sizeof(ngx_sio_session_socket_t));
    socket.sid = sid;
    socket.nsp = 1;

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);
    assert_int_equal(ngx_sio_session_connect_locked(&z, i, &socket), NGX_OK);
    ngx_sio_zone_unlock(&z);

    assert_int_equal(t_store_by_sid(&z, 11), i);
    assert_int_equal(z.sessions[i].flags, NGX_SIO_CONNECTING);
    assert_int_equal(z.sessions[i].connecter, 2);

    /* he has died before he did */

    t_branch_die(&z, 2);
    assert_int_equal(ngx_sio_worker_reap(&z, 5000), 1);
    assert_int_equal(z.sh->live_sessions, 0);

    t_branch_end(&z);
}


/* Who leaves a namespace leaves no record, and may come again. */

static void
t_branch_disconnect(void **state)
{
    uint32_t        t, a, b, c;
    uint64_t        owner;
    ngx_sio_zone_t  z;

    t_branch_zone(&z);

    t = t_branch_transport(&z, 1, 10, T_BRANCH_KEPT);
    a = t_branch_add(&z, t, 1, 1, 10, T_BRANCH_KEPT);
    b = t_branch_add(&z, t, 2, 0, 10, T_BRANCH_KEPT);
    c = t_branch_add(&z, t, 3, 1, 10, T_BRANCH_NONE);
    owner = t_store_ticket(&z, a);

    assert_int_equal(t_store_disconnect(&z, a), NGX_OK);
    assert_int_equal(z.sessions[a].state, NGX_SIO_FREE);
    assert_int_equal(ngx_sio_session_disconnect(&z, a, owner), NGX_DECLINED);

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);
    ngx_sio_session_disconnect_locked(&z, b);
    ngx_sio_zone_unlock(&z);
    assert_int_equal(z.sessions[b].state, NGX_SIO_FREE);

    assert_int_equal(t_store_by_sid(&z, 10), t);
    assert_int_equal(t_store_by_sid(&z, 11), 0);
    assert_int_equal(t_store_by_sid(&z, 12), 0);
    assert_int_equal(t_store_in(&z, t, 1), 0);
    assert_int_equal(t_store_in(&z, t, 2), 0);
    assert_int_equal(t_store_in(&z, t, 3), c);
    assert_int_equal(z.sh->live_branches, 1);
    assert_int_equal(z.sh->live_sessions, 2);
    assert_int_equal(z.sh->live_members, T_BRANCH_ROOMS);
    t_store_check(&z, "disconnect", 0);

    assert_int_equal(t_store_disconnect(&z, c), NGX_OK);
    assert_int_equal(z.sh->live_branches, 0);

    assert_true(t_branch_add(&z, t, 1, 1, 10, T_BRANCH_KEPT));

    /* that of "/" goes, and the transport stays, with its branches */

    assert_int_equal(t_store_disconnect(&z, t), NGX_OK);
    assert_int_equal(z.sessions[t].state, NGX_SIO_LIVE);
    assert_int_equal(z.sessions[t].flags, NGX_SIO_BRANCHED);
    assert_int_equal(t_store_by_eio(&z, 10), t);
    assert_int_equal(t_store_by_sid(&z, 10), 0);
    assert_true(t_store_in(&z, t, 1));

    t_branch_end(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_branch_open),
        cmocka_unit_test(t_branch_refused),
        cmocka_unit_test(t_branch_full),
        cmocka_unit_test(t_branch_list),
        cmocka_unit_test(t_branch_stale),
        cmocka_unit_test(t_branch_sockets),
        cmocka_unit_test(t_branch_in_time),
        cmocka_unit_test(t_branch_marked),
        cmocka_unit_test(t_branch_disconnect)
    };

    return cmocka_run_group_tests_name("store: branch", tests, NULL, NULL);
}
