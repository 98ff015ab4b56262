
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* Who is online: counted, announced, reported. */


#include "t_store_presence.h"


/* A user comes with the first socket, and goes with the last. */

static void
t_online_count(void **state)
{
    uint32_t               a, b, u;
    t_online_t             t;
    ngx_sio_presence_sh_t  *pr;

    t_online_setup(&t);
    pr = &t.z.sh->presence;

    a = t_online_open(&t, 1, 1);
    u = t_online_find(&t, 1);
    assert_int_equal(t.z.online[u].sockets, 1);
    assert_int_equal(t.z.online[u].flags, NGX_SIO_ONLINE_LOCAL);
    assert_true(t.z.sessions[a].flags & NGX_SIO_PRESENT);
    assert_int_equal(pr->local, 1);

    b = t_online_open(&t, 1, 2);
    assert_int_equal(t.z.online[u].sockets, 2);
    assert_int_equal(t_online_settle(&t, T_ONLINE_FOREVER), 1);
    t_online_says(&t, 1, 1, 1);
    assert_int_equal(pr->announced, 1);
    t_store_check(&t.z, "two", 0);

    /* a tab more or less is nothing to speak of */

    t_online_close(&t, a);
    assert_int_equal(t.z.online[u].gone, 0);
    assert_int_equal(t_online_settle(&t, 0), 0);

    assert_int_equal(t_store_disconnect(&t.z, b), NGX_OK);
    assert_int_equal(t.z.online[u].sockets, 0);
    assert_true(t.z.online[u].gone);
    t_store_check(&t.z, "lingers", 0);
    assert_int_equal(t_online_settle(&t, T_ONLINE_FOREVER), 0);

    /* back in time */

    a = t_online_open(&t, 1, 3);
    assert_int_equal(t.z.online[u].gone, 0);
    assert_int_equal(pr->flaps, 1);
    assert_int_equal(t_online_settle(&t, 0), 0);

    t_online_close(&t, a);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 0, 2);
    assert_int_equal(t.z.online[u].flags, 0);
    assert_int_equal(pr->transitions, 2);

    t_online_close(&t, b);
    t_store_is_empty(&t.z);
    assert_int_equal(pr->held, 0);

    t_online_done(&t);
}


/* Who is gone before he was announced is not spoken of. */

static void
t_online_unheard(void **state)
{
    t_online_t  t;

    t_online_setup(&t);

    t_online_close(&t, t_online_open(&t, 1, 1));
    assert_int_equal(t_online_settle(&t, 0), 0);
    t_online_says(&t, 1, -1, 0);
    t_store_is_empty(&t.z);

    t_online_done(&t);
}


/* The parked are gone; whoever adopts their socket is back. */

static void
t_online_parked(void **state)
{
    uint32_t    a, b, u;
    t_online_t  t;

    t_online_setup(&t);

    a = t_online_open(&t, 1, 1);
    u = t_online_find(&t, 1);
    (void) t_online_settle(&t, T_ONLINE_FOREVER);

    assert_int_equal(ngx_sio_session_park(&t.z, a, t_store_ticket(&t.z, a),
                                          T_ONLINE_LOG,
                                          ngx_sio_zone_now() + 10000),
                     NGX_OK);
    assert_int_equal(t.z.sessions[a].flags & NGX_SIO_PRESENT, 0);
    assert_true(t.z.online[u].gone);
    t_store_check(&t.z, "parked", 0);
    assert_int_equal(t_online_settle(&t, 0), 1);

    b = t_store_open(&t.z, t.slot, 2);

    assert_int_equal(ngx_sio_zone_lock(&t.z), NGX_OK);
    assert_int_equal(ngx_sio_session_adopt_locked(&t.z, b, a,
                                                  t_store_ticket(&t.z, a),
                                                  T_ONLINE_LOG),
                     NGX_OK);
    ngx_sio_zone_unlock(&t.z);

    assert_int_equal(t.z.online[u].sockets, 1);
    assert_true(t.z.sessions[b].flags & NGX_SIO_PRESENT);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 1, 3);

    t_online_done(&t);
}


/* Only "/" counts, and only users. */

static void
t_online_spaces(void **state)
{
    uint32_t    a, b;
    uint16_t    nsp;
    ngx_str_t   name, admin = ngx_string("/admin");
    t_online_t  t;

    t_online_setup(&t);
    assert_int_equal(ngx_sio_nsp_add(&t.z, &admin, &nsp), NGX_OK);

    a = t_store_open(&t.z, t.slot, 1);
    b = t_store_branch(&t.z, a, nsp, t.slot, 0);
    name = t_online_name(1);

    assert_int_equal(t_store_connect(&t.z, b, 2, &name, NULL, 0, 1), NGX_OK);
    assert_int_equal(t_store_connect(&t.z, a, 1, NULL, NULL, 0, 1), NGX_OK);

    assert_int_equal(t_online_settle(&t, 0), 0);
    assert_int_equal(t.z.sh->presence.held, 0);

    t_online_done(&t);
}


/* The lease: one actor, whose calls count until there is another one. */

static void
t_online_lease(void **state)
{
    pid_t        pid;
    uint64_t     fence;
    ngx_uint_t   n;
    t_online_t   t;

    t_online_setup(&t);

    pid = t_store_fork();

    if (pid == 0) {
        n = ngx_sio_worker_enter(&t.z, 1, 0);
        t_store_must(n == 2);

        /* it is taken, until its holder is silent */
        t_store_must(ngx_sio_online_lease(&t.z, n, 0) == 0);
        t.z.sh->presence.deadline = ngx_sio_zone_now();
        t_store_must(ngx_sio_online_lease(&t.z, n, 0) == t.fence + 1);
        t_store_must(ngx_sio_online_lease(&t.z, n, t.fence + 1)
                     == t.fence + 1);
        _exit(0);
    }

    t_store_finished(pid);

    (void) t_online_open(&t, 1, 1);
    assert_int_equal(ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 0, 0,
                                           &t.records, &n),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_online_forget(&t.z, t.fence), NGX_DECLINED);
    t_online_says(&t, 1, -1, 0);

    /* its holder is dead */

    fence = ngx_sio_online_lease(&t.z, t.slot, t.fence);
    assert_int_equal(fence, t.fence + 2);

    t.fence = fence;
    assert_int_equal(t_online_settle(&t, 0), 1);

    /* a worker that leaves takes it along */

    ngx_sio_worker_leave(&t.z, t.slot, 0);
    assert_int_equal(t.z.sh->presence.slot, 0);

    t_online_done(&t);
}


/* So many at once, and all of them in the end. */

static void
t_online_batches(void **state)
{
    ngx_int_t   rc;
    ngx_uint_t  n, i;
    t_online_t  t;

    t_online_setup(&t);

    for (i = 0; i < T_ONLINE_NAMES; i++) {
        (void) t_online_open(&t, i, i);
    }

    rc = ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 0, 0, &t.records,
                               &n);
    assert_int_equal(rc, NGX_AGAIN);
    assert_true(n > 0 && n <= NGX_SIO_ONLINE_BATCH);

    n += t_online_settle(&t, 0);
    assert_int_equal(n, T_ONLINE_NAMES);
    assert_int_equal(t.z.sh->presence.announced, T_ONLINE_NAMES);
    assert_int_equal(t.z.sh->presence.last, ngx_sio_log_head(&t.z));

    /* without news nobody looks */

    assert_true(t.look.looked);
    t.z.online[1].flags = 0;
    assert_int_equal(t_online_settle(&t, 0), 0);
    t.z.online[1].flags = NGX_SIO_ONLINE_LOCAL|NGX_SIO_ONLINE_ANNOUNCED;

    t_online_done(&t);
}


/* A log without room, because a worker does not read: it is said later. */

static void
t_online_full(void **state)
{
    uint32_t    a;
    ngx_int_t   rc;
    ngx_uint_t  n, i, total;
    t_online_t  t;

    t_online_setup(&t);

    total = 0;
    rc = NGX_OK;

    for (i = 0; i < 5000 && rc == NGX_OK; i++) {

        a = t_online_open(&t, 299, 1);
        rc = ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 0, 0,
                                   &t.records, &n);
        total += n;

        if (rc == NGX_OK) {
            t_online_close(&t, a);
            rc = ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 0, 0,
                                       &t.records, &n);
            total += n;
        }
    }

    assert_int_equal(rc, NGX_AGAIN);
    assert_int_equal(n, 0);
    assert_true(total > 100);
    assert_int_equal(t.z.sh->presence.announced, total % 2);

    (void) ngx_sio_log_advance(&t.z, t.slot, ngx_sio_log_head(&t.z));
    assert_int_equal(t_online_settle(&t, 0), 1);
    assert_int_equal(t.z.sh->presence.announced, 1 - total % 2);

    t_online_done(&t);
}


/* What Redis is told, and told again when it has forgotten. */

static void
t_online_report(void **state)
{
    uint32_t                a, b;
    ngx_str_t               user;
    ngx_uint_t              unlisted;
    t_online_t              t;
    t_online_refs_t         refs;
    ngx_sio_online_look_t   look;

    t_online_setup(&t);
    t.cluster = 1;
    ngx_memzero(&look, sizeof(ngx_sio_online_look_t));
    refs.n = 0;

    a = t_online_open(&t, 1, 1);
    (void) t_online_open(&t, 2, 2);

    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 1),
                     NGX_AGAIN);
    refs.n = 0;
    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 9),
                     NGX_OK);
    assert_int_equal(refs.n, 2);
    assert_int_equal(refs.ref[0].online, 1);
    assert_int_equal(ngx_sio_online_reported(&t.z, t.fence, refs.ref, 2),
                     NGX_OK);
    assert_int_equal(t_online_flags(&t, 1),
                     NGX_SIO_ONLINE_LOCAL|NGX_SIO_ONLINE_REPORTED
                     |NGX_SIO_ONLINE_CLUSTER);

    refs.n = 0;
    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 9),
                     NGX_OK);
    assert_int_equal(refs.n, 0);
    assert_true(look.looked);

    /* who is reported is in the list; others come when the cluster says so */

    b = t_online_open(&t, 3, 3);
    assert_int_equal(t_online_settle(&t, 0), 2);
    t_online_says(&t, 1, 1, 1);
    assert_int_equal(t_online_flags(&t, 3), NGX_SIO_ONLINE_LOCAL);
    t_online_close(&t, b);
    assert_int_equal(t_online_settle(&t, 0), 0);
    assert_int_equal(t_online_find(&t, 3), 0);

    /* gone, when the linger is over */

    t_online_close(&t, a);
    assert_int_equal(t_online_settle(&t, 0), 0);
    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 9),
                     NGX_OK);
    assert_int_equal(refs.n, 1);
    assert_int_equal(refs.ref[0].online, 0);

    /* a record that is somebody else's by now stays as it is */

    refs.ref[0].hash++;
    assert_int_equal(ngx_sio_online_reported(&t.z, t.fence, refs.ref, 1),
                     NGX_OK);
    assert_int_equal(t_online_flags(&t, 1),
                     NGX_SIO_ONLINE_REPORTED|NGX_SIO_ONLINE_CLUSTER
                     |NGX_SIO_ONLINE_ANNOUNCED);
    refs.ref[0].hash--;
    assert_int_equal(ngx_sio_online_reported(&t.z, t.fence, refs.ref, 1),
                     NGX_OK);
    assert_int_equal(t_online_flags(&t, 1),
                     NGX_SIO_ONLINE_CLUSTER|NGX_SIO_ONLINE_ANNOUNCED);

    user = t_online_name(1);
    unlisted = 0;
    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, &user,
                                            (u_char *) "", 1, &unlisted, NULL),
                     NGX_OK);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 0, 2);
    assert_int_equal(t_online_find(&t, 1), 0);

    assert_int_equal(ngx_sio_online_forget(&t.z, t.fence), NGX_OK);
    assert_int_equal(t_online_flags(&t, 2),
                     NGX_SIO_ONLINE_LOCAL|NGX_SIO_ONLINE_CLUSTER
                     |NGX_SIO_ONLINE_ANNOUNCED);

    t_online_done(&t);
}


static void
t_online_stray(void *data, const ngx_str_t *user)
{
    ngx_uint_t *strays = data;

    (*strays)++;
}


/* What Redis has of this node is what was reported, whatever was thought. */

static void
t_online_own(void **state)
{
    ngx_str_t              users[3];
    ngx_uint_t             strays;
    t_online_t             t;
    t_online_refs_t        refs;
    ngx_sio_online_look_t  look;

    t_online_setup(&t);
    t.cluster = 1;
    ngx_memzero(&look, sizeof(ngx_sio_online_look_t));

    (void) t_online_open(&t, 1, 1);
    (void) t_online_open(&t, 2, 2);
    t_online_close(&t, t_online_open(&t, 3, 3));
    assert_int_equal(t_online_settle(&t, T_ONLINE_FOREVER), 0);

    users[0] = t_online_name(2);
    users[1] = t_online_name(3);
    users[2] = t_online_name(4);
    strays = 0;

    assert_int_equal(ngx_sio_online_own(&t.z, t.fence + 1, users, 3,
                                        t_online_stray, &strays),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_online_own(&t.z, t.fence, users, 3,
                                        t_online_stray, &strays),
                     NGX_OK);
    assert_int_equal(strays, 1);
    assert_int_equal(t_online_flags(&t, 2),
                     NGX_SIO_ONLINE_LOCAL|NGX_SIO_ONLINE_REPORTED);

    /* 1 is to be told of, and 3, when the linger is over, is not there */

    assert_int_equal(t_online_settle(&t, 0), 0);
    assert_int_equal(t_online_flags(&t, 3), NGX_SIO_ONLINE_REPORTED);

    refs.n = 0;
    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 9),
                     NGX_OK);
    assert_int_equal(refs.n, 2);
    assert_int_equal(refs.ref[0].online + refs.ref[1].online, 1);

    assert_int_equal(ngx_sio_online_reported(&t.z, t.fence, refs.ref, 2),
                     NGX_OK);
    assert_int_equal(t_online_find(&t, 3), 0);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 1, 1);

    t_online_done(&t);
}


/* Users of other nodes, as long as there is room. */

static void
t_online_cluster(void **state)
{
    u_char      met[T_ONLINE_SIZE / 8], off[2] = { 0, 0 };
    u_char     *names;
    ngx_str_t   users[2], *many;
    ngx_uint_t  unlisted, i, n;
    t_online_t  t;

    t_online_setup(&t);
    t.cluster = 1;
    unlisted = 0;

    (void) t_online_open(&t, 2, 2);
    users[0] = t_online_name(1);
    users[1] = t_online_name(2);

    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, users, NULL, 2,
                                            &unlisted, NULL),
                     NGX_OK);
    assert_int_equal(t_online_settle(&t, 0), 2);
    t_online_says(&t, 1, 1, 1);
    t_online_says(&t, 2, 1, 1);

    /* the whole list: the other one is not in it */

    ngx_memzero(met, sizeof(met));
    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, users + 1, NULL, 1,
                                            &unlisted, met),
                     NGX_OK);
    assert_int_equal(ngx_sio_online_others(&t.z, t.fence, met), NGX_OK);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 0, 2);
    assert_int_equal(t_online_find(&t, 1), 0);

    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, users, off, 2,
                                            &unlisted, NULL),
                     NGX_OK);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 2, 0, 2);
    assert_int_equal(t_online_flags(&t, 2), NGX_SIO_ONLINE_LOCAL);
    assert_int_equal(unlisted, 0);

    /* a quarter is for this node */

    n = t.z.sh->nusers;
    many = calloc(n, sizeof(ngx_str_t));
    names = calloc(n, 16);
    assert_non_null(many);
    assert_non_null(names);

    for (i = 0; i < n; i++) {
        many[i].data = names + 16 * i;
        many[i].len = sprintf((char *) many[i].data, "far %u", (unsigned) i);
    }

    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, many, NULL, n,
                                            &unlisted, NULL),
                     NGX_OK);
    assert_true(unlisted >= n / 4 - 2 && unlisted < n / 4 + 2);
    assert_int_equal(t_online_settle(&t, 0), n - unlisted);

    free(many);
    free(names);

    t_online_done(&t);
}


/* A node that is not to speak of presence any more forgets all of it. */

static void
t_online_drop(void **state)
{
    uint32_t    a;
    t_online_t  t;

    t_online_setup(&t);

    a = t_online_open(&t, 1, 1);
    (void) t_online_settle(&t, 0);
    t_online_close(&t, t_online_open(&t, 3, 3));

    ngx_sio_online_configure(&t.z, 0);

    /* not as long as there is an actor */

    ngx_sio_online_drop(&t.z);
    assert_int_equal(t.z.sh->presence.held, 2);

    t.z.sh->presence.deadline = 0;
    ngx_sio_online_drop(&t.z);

    assert_int_equal(t.z.sh->presence.held, 0);
    assert_int_equal(t_online_find(&t, 3), 0);
    t_store_check(&t.z, "dropped", 0);

    /* a socket is counted in any case */

    t_online_close(&t, t_online_open(&t, 1, 4));
    assert_int_equal(t.z.online[t_online_find(&t, 1)].sockets, 1);
    assert_int_equal(t_online_flags(&t, 1), 0);

    /* and so it is there when presence is configured again */

    ngx_sio_online_configure(&t.z, 1);
    ngx_memzero(&t.look, sizeof(ngx_sio_online_look_t));
    assert_int_equal(t_online_settle(&t, 0), 1);

    t_online_close(&t, a);
    t_online_done(&t);
}


/* Redis is away: who comes and goes here is announced all the same. */

static void
t_online_away(void **state)
{
    uint32_t                a;
    ngx_str_t               far;
    ngx_uint_t              n, unlisted;
    t_online_t              t;
    t_online_refs_t         refs;
    ngx_sio_online_look_t   look;

    t_online_setup(&t);
    ngx_memzero(&look, sizeof(ngx_sio_online_look_t));
    refs.n = 0;
    unlisted = 0;
    t.cluster = 1;

    far = t_online_name(7);
    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, &far, NULL, 1,
                                            &unlisted, NULL),
                     NGX_OK);

    a = t_online_open(&t, 1, 1);
    (void) ngx_sio_online_unreported(&t.z, t.fence, &look, t_online_each,
                                     &refs, 9);
    (void) ngx_sio_online_reported(&t.z, t.fence, refs.ref, refs.n);

    assert_int_equal(ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 1, 1,
                                           &t.records, &n),
                     NGX_OK);
    assert_int_equal(n, 2);
    t_online_says(&t, 1, 1, 1);
    t_online_says(&t, 7, 1, 1);

    t_online_close(&t, a);
    assert_int_equal(ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 1, 1,
                                           &t.records, &n),
                     NGX_OK);
    assert_int_equal(n, 1);
    t_online_says(&t, 1, 0, 2);
    t_online_says(&t, 7, 1, 1);

    t_online_done(&t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_online_count),
        cmocka_unit_test(t_online_unheard),
        cmocka_unit_test(t_online_parked),
        cmocka_unit_test(t_online_spaces),
        cmocka_unit_test(t_online_lease),
        cmocka_unit_test(t_online_batches),
        cmocka_unit_test(t_online_full),
        cmocka_unit_test(t_online_report),
        cmocka_unit_test(t_online_own),
        cmocka_unit_test(t_online_cluster),
        cmocka_unit_test(t_online_drop),
        cmocka_unit_test(t_online_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
