
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * Whoever dies on the way is succeeded by one who makes the log say what is
 * true.
 */


#include "t_store_presence.h"


typedef void (*t_online_pt)(t_online_t *t);

typedef struct {
    const char             *name;
    t_online_pt             prepare;
    t_online_pt             run;
    ngx_uint_t              least;
} t_online_operation_t;


static void
t_online_prepare_first(t_online_t *t)
{
    t->other = t_online_open(t, 6, 6);
    (void) t_online_settle(t, T_ONLINE_FOREVER);
}


static void
t_online_prepare_socket(t_online_t *t)
{
    t_online_prepare_first(t);
    t->session = t_online_open(t, 3, 3);
    (void) t_online_settle(t, T_ONLINE_FOREVER);
}


static void
t_online_prepare_gone(t_online_t *t)
{
    t_online_prepare_socket(t);
    t_online_close(t, t->session);
}


static void
t_online_prepare_parked(t_online_t *t)
{
    t_online_prepare_socket(t);

    t_store_must(ngx_sio_session_park(&t->z, t->session,
                                      t_store_ticket(&t->z, t->session),
                                      T_ONLINE_LOG,
                                      ngx_sio_zone_now() + T_ONLINE_FOREVER)
                 == NGX_OK);
}


static void
t_online_do_connect(t_online_t *t)
{
    (void) t_online_open(t, 3, 30);
}


static void
t_online_do_close(t_online_t *t)
{
    t_online_close(t, t->session);
}


static void
t_online_do_disconnect(t_online_t *t)
{
    t_store_must(t_store_disconnect(&t->z, t->session) == NGX_OK);
}


static void
t_online_do_park(t_online_t *t)
{
    t_store_must(ngx_sio_session_park(&t->z, t->session,
                                      t_store_ticket(&t->z, t->session),
                                      T_ONLINE_LOG,
                                      ngx_sio_zone_now() + T_ONLINE_FOREVER)
                 == NGX_OK);
}


static void
t_online_do_adopt(t_online_t *t)
{
    uint32_t  i;

    i = t_store_open(&t->z, t->slot, 31);

    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    t_store_must(ngx_sio_session_adopt_locked(&t->z, i, t->session,
                                              t_store_ticket(&t->z,
                                                             t->session),
                                              T_ONLINE_LOG)
                 == NGX_OK);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_online_do_settle(t_online_t *t)
{
    (void) t_online_open(t, 4, 4);
    (void) t_online_open(t, 9, 9);
    (void) t_online_settle(t, 0);
}


static void
t_online_do_lease(t_online_t *t)
{
    t->z.sh->presence.deadline = 0;
    t->fence = ngx_sio_online_lease(&t->z, t->slot, 0);
    t_store_must(t->fence);
    t_store_must(ngx_sio_online_lease(&t->z, t->slot, t->fence) == t->fence);
}


static void
t_online_do_cluster(t_online_t *t)
{
    ngx_str_t               user;
    ngx_uint_t              unlisted;
    t_online_refs_t         refs;
    ngx_sio_online_look_t   look;

    refs.n = 0;
    unlisted = 0;
    ngx_memzero(&look, sizeof(ngx_sio_online_look_t));
    user = t_online_name(12);

    t_store_must(ngx_sio_online_cluster(&t->z, t->fence, &user, NULL, 1,
                                        &unlisted, NULL)
                 == NGX_OK);
    t_store_must(ngx_sio_online_unreported(&t->z, t->fence, &look,
                                           t_online_each, &refs, 9)
                 == NGX_OK);
    t_store_must(ngx_sio_online_reported(&t->z, t->fence, refs.ref, refs.n)
                 == NGX_OK);
    t_store_must(ngx_sio_online_forget(&t->z, t->fence) == NGX_OK);
}


static void
t_online_do_drop(t_online_t *t)
{
    t->z.sh->presence.deadline = 0;
    ngx_sio_online_drop(&t->z);
}


static const t_online_operation_t  t_online_operations[] = {
    { "connect", t_online_prepare_first, t_online_do_connect, 20 },
    { "come back", t_online_prepare_gone, t_online_do_connect, 15 },
    { "another tab", t_online_prepare_socket, t_online_do_connect, 15 },
    { "close", t_online_prepare_socket, t_online_do_close, 15 },
    { "disconnect", t_online_prepare_socket, t_online_do_disconnect, 8 },
    { "park", t_online_prepare_socket, t_online_do_park, 8 },
    { "adopt", t_online_prepare_parked, t_online_do_adopt, 25 },
    { "adopt a live one", t_online_prepare_socket, t_online_do_adopt, 25 },
    { "settle", t_online_prepare_gone, t_online_do_settle, 40 },
    { "lease", t_online_prepare_first, t_online_do_lease, 3 },
    { "cluster", t_online_prepare_socket, t_online_do_cluster, 20 },
    { "drop", t_online_prepare_gone, t_online_do_drop, 8 }
};


/* True if a user has a socket by the sessions themselves. */

static int
t_online_truth(t_online_t *t, ngx_uint_t user)
{
    uint32_t               i, u;
    ngx_sio_session_sh_t  *ss;

    u = t_online_find(t, user);

    for (i = 1; u && i <= t->z.sh->top_session; i++) {

        ss = &t->z.sessions[i];

        if (ss->state == NGX_SIO_LIVE && ss->user == u && ss->sid[0]
            && !(ss->flags & NGX_SIO_PARKED))
        {
            return 1;
        }
    }

    return 0;
}


/* The next actor: in the end the log says what is true, for every user. */

static void
t_online_succeed(t_online_t *t, const char *name, ngx_uint_t step)
{
    int         said;
    ngx_uint_t  user, times;

    t_store_check(&t->z, name, step);

    t->z.sh->presence.deadline = 0;
    t->fence = ngx_sio_online_lease(&t->z, t->slot, 0);
    assert_true(t->fence);

    ngx_memzero(&t->look, sizeof(ngx_sio_online_look_t));
    t->cluster = 0;
    (void) t_online_settle(t, 0);

    t_store_check(&t->z, name, step);

    for (user = 1; user <= 12; user++) {
        said = t_online_said(t, user, &times);

        if ((said == 1) != t_online_truth(t, user)) {
            fail_msg("%s, step %u: user %u is said to be %d", name,
                     (unsigned) step, (unsigned) user, said);
        }
    }
}


static ngx_uint_t
t_online_kill_at(const t_online_operation_t *op, ngx_uint_t step)
{
    pid_t       pid;
    t_online_t  t;
    ngx_uint_t  killed;

    t_online_setup(&t);
    op->prepare(&t);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);
        op->run(&t);
        t_store_die_at(0);
        _exit(0);
    }

    killed = t_store_killed(pid);

    /* he may have dropped what is announced: there is nobody to tell */

    if (op->run == t_online_do_drop) {
        t_store_check(&t.z, op->name, step);
        ngx_sio_online_drop(&t.z);
        assert_int_equal(t.z.sh->presence.held, 0);

    } else {
        t_online_succeed(&t, op->name, step);
    }

    t_online_done(&t);

    return killed;
}


static void
t_online_kill(void **state)
{
    ngx_uint_t                   i, step;
    const t_online_operation_t  *op;

    for (i = 0;
         i < sizeof(t_online_operations) / sizeof(t_online_operation_t);
         i++)
    {
        op = &t_online_operations[i];

        for (step = 1; t_online_kill_at(op, step); step++) { /* void */ }

        if (step <= op->least) {
            fail_msg("%s has %u steps only", op->name, (unsigned) step - 1);
        }
    }
}


static ngx_uint_t
t_online_kill_repair_at(const t_online_operation_t *op, ngx_uint_t first,
    ngx_uint_t step)
{
    pid_t       pid;
    t_online_t  t;
    ngx_uint_t  killed;

    t_online_setup(&t);
    op->prepare(&t);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(first);
        op->run(&t);
        _exit(0);
    }

    (void) t_store_killed(pid);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);
        t_store_must(ngx_sio_zone_lock(&t.z) == NGX_OK);
        ngx_sio_zone_unlock(&t.z);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_online_succeed(&t, "repair", step);
    t_online_done(&t);

    return killed;
}


/* Repair is killed, too. */

static void
t_online_kill_repair(void **state)
{
    ngx_uint_t  i, first, step;

    for (i = 0; i < 9; i++) {
        for (first = 3; first <= 27; first += 4) {
            for (step = 1;
                 t_online_kill_repair_at(&t_online_operations[i], first,
                                         step);
                 step++)
            { /* void */ }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_online_kill),
        cmocka_unit_test(t_online_kill_repair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
