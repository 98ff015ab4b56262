
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * Farewells to sockets that have ended.  Whoever dies at whatever step, each of
 * them is told: it is in the list, or the socket is still one whose end is due.
 * Where all have ended, none counts for a user or an address any more.
 */


#include "t_store_kill.h"

#include "ngx_sio_farewell.h"
#include "ngx_sio_limit.h"
#include "ngx_sio_nsp.h"


#define T_BYE_SOCKETS  4
#define T_BYE_ADDRESS  11
#define T_BYE_LATER    (ngx_sio_zone_now() + 1000000)


/* The sockets whose end is due, 50 to 53; those behind are branches. */

static uint32_t  t_bye_of[T_BYE_SOCKETS];
static uint32_t  t_bye_to;


static void
t_bye_stream(ngx_sio_zone_t *z)
{
    ngx_str_t   key, maxlen;
    ngx_uint_t  stream;

    ngx_str_set(&key, "stream");
    ngx_str_set(&maxlen, "100");

    assert_int_equal(ngx_sio_farewell_stream(z, &key, &maxlen, &stream),
                     NGX_OK);
    assert_int_equal(stream, 1);
}


static void
t_bye_due(t_kill_t *t, ngx_uint_t n, uint32_t i, ngx_uint_t recoverable)
{
    ngx_sio_session_sh_t  *ss;

    assert_true(i);
    assert_int_equal(t_store_connect_as(&t->z, i, 50 + n, recoverable,
                                        &t->user, t->rooms + n, 3, 4864),
                     NGX_OK);

    ss = &t->z.sessions[i];
    ss->farewell = 1;

    if (ngx_sio_owner_slot(ss->owner)) {
        ss->applied = NGX_SIO_AT_CURSOR;
    }

    t_bye_of[n] = i;
}


static uint32_t
t_bye_open(t_kill_t *t, ngx_uint_t slot, ngx_uint_t n)
{
    uint32_t  i;

    i = t_store_open(&t->z, slot, n);
    assert_true(i);

    assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);
    ngx_sio_limit_address_locked(&t->z, i, T_BYE_ADDRESS);
    ngx_sio_zone_unlock(&t->z);

    return i;
}


/*
 * A transport with a branch of the worker's, one that is nobody's and can be
 * recovered, and one that cannot.
 */

static void
t_bye_family(t_kill_t *t, ngx_uint_t slot)
{
    uint16_t   nsp;
    ngx_str_t  name[3] = { ngx_string("/a"), ngx_string("/b"),
                           ngx_string("/c") };

    t_bye_stream(&t->z);

    for (nsp = 0; nsp < 3; nsp++) {
        assert_int_equal(ngx_sio_nsp_add(&t->z, &name[nsp], &(uint16_t) { 0 }),
                         NGX_OK);
    }

    t->session = t_bye_open(t, slot, 50);

    t_bye_due(t, 0, t->session, 1);
    t_bye_due(t, 1, t_store_branch(&t->z, t->session, 1, slot, 0), 1);
    t_bye_due(t, 2, t_store_branch(&t->z, t->session, 2, 0, 0), 1);
    t_bye_due(t, 3, t_store_branch(&t->z, t->session, 3, 0, 0), 0);
}


static void
t_bye_prepare(t_kill_t *t)
{
    t_bye_family(t, t->slot);
}


static void
t_bye_prepare_nobodys(t_kill_t *t)
{
    t_bye_family(t, 0);
}


/* One that is told already comes first, and one behind. */

static void
t_bye_prepare_parked(t_kill_t *t)
{
    t_bye_family(t, t->slot);

    assert_int_equal(ngx_sio_session_park(&t->z, t->session,
                                          t_store_ticket(&t->z, t->session),
                                          5000, T_BYE_LATER),
                     NGX_OK);
    t_bye_to = t_store_open(&t->z, t->slot, 60);
}


static ngx_uint_t
t_bye_listed(t_kill_t *t, ngx_uint_t n)
{
    u_char      sid[NGX_SIO_SID_LEN];
    uint32_t    i;
    ngx_uint_t  listed;

    t_store_sid(sid, 's', 50 + n);
    listed = 0;

    for (i = ngx_sio_farewell_first(&t->z);
         i;
         i = ngx_sio_farewell_next_locked(&t->z, i))
    {
        listed += (ngx_memcmp(ngx_sio_farewell(&t->z, i)->sid, sid,
                              NGX_SIO_SID_LEN) == 0);
    }

    return listed;
}


static void
t_bye_expired(ngx_sio_zone_t *z, uint32_t i, void *data)
{
    ngx_sio_session_close_locked(z, i);
}


/* Each is told once, now or when its session ends; sets of bits: which. */

static void
t_bye_are(t_kill_t *t, ngx_uint_t confirmed)
{
    uint32_t    i;
    ngx_uint_t  n, due, listed;

    for (n = 0; n < T_BYE_SOCKETS; n++) {

        i = t_store_by_sid(&t->z, 50 + n);
        due = (i && t->z.sessions[i].farewell == 1);
        listed = t_bye_listed(t, n);

        if (due + listed + (confirmed >> n & 1) != 1) {
            fail_msg("socket %u: due %u, listed %u times", (unsigned) n,
                     (unsigned) due, (unsigned) listed);
        }

        if (i && listed) {
            assert_true(ngx_sio_farewell_is_left(&t->z.sessions[i]));
        }
    }
}


/* Of the user are the others, of the address the transport if it goes on. */

static void
t_bye_counts(t_kill_t *t)
{
    uint32_t  transport;
    uint64_t  user;

    user = sio_hash(t->z.sh->seed, t->user.data, t->user.len);
    transport = t_store_by_eio(&t->z, 50);

    assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);

    assert_int_equal(ngx_sio_limit_count_locked(&t->z, user),
                     T_KILL_OTHERS - 1);
    assert_int_equal(ngx_sio_limit_count_locked(&t->z, T_BYE_ADDRESS),
                     transport != 0);

    ngx_sio_zone_unlock(&t->z);
}


/* All sockets end, all is confirmed: nothing stays. */

static void
t_bye_end(t_kill_t *t, ngx_uint_t confirmed)
{
    uint32_t    i;
    ngx_uint_t  n;

    t_bye_are(t, confirmed);

    (void) ngx_sio_worker_reap(&t->z, 0);
    (void) ngx_sio_session_expire(&t->z, (uint64_t) -1, t_bye_expired, NULL);

    for (n = 0; n < T_BYE_SOCKETS; n++) {

        i = t_store_by_sid(&t->z, 50 + n);

        if (i) {
            assert_int_equal(t_store_close(&t->z, i), NGX_OK);
        }
    }

    t_store_check(&t->z, "ended", 0);
    t_bye_counts(t);
    t_bye_are(t, confirmed);

    for (n = 0; n < T_BYE_SOCKETS; n++) {
        assert_int_equal(t_bye_listed(t, n), !(confirmed >> n & 1));
    }

    assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);

    while ((i = ngx_sio_farewell_first(&t->z)) != 0) {
        ngx_sio_farewell_done_locked(&t->z, i);
    }

    ngx_sio_zone_unlock(&t->z);

    t_store_check(&t->z, "confirmed", 0);
    assert_int_equal(t->z.sh->farewells.waiting, 0);
    assert_int_equal(t->z.sh->farewells.lost, 0);
}


static void
t_bye_after(t_kill_t *t)
{
    t_bye_end(t, 0);
}


static void
t_bye_do_close(t_kill_t *t)
{
    t_store_must(t_store_close(&t->z, t->session) == NGX_OK);
}


static void
t_bye_do_close_nobodys(t_kill_t *t)
{
    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    ngx_sio_session_close_locked(&t->z, t->session);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_bye_do_disconnect(t_kill_t *t)
{
    t_store_must(t_store_disconnect(&t->z, t_bye_of[1]) == NGX_OK);
    t_store_must(t_store_disconnect(&t->z, t->session) == NGX_OK);
}


static void
t_bye_do_park(t_kill_t *t)
{
    t_store_must(ngx_sio_session_park(&t->z, t->session,
                                      t_store_ticket(&t->z, t->session), 5000,
                                      T_BYE_LATER)
                 == NGX_OK);
}


static void
t_bye_do_over(t_kill_t *t)
{
    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    ngx_sio_session_over_locked(&t->z, t->session, 5000, T_BYE_LATER);
    ngx_sio_zone_unlock(&t->z);
}


/* Its end was confirmed, and another one is due as it is a socket again. */

static void
t_bye_prepare_adopt(t_kill_t *t)
{
    uint32_t  i;

    t_bye_prepare_parked(t);

    assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);

    for (i = ngx_sio_farewell_first(&t->z);
         i && ngx_sio_farewell_is_left(&t->z.sessions[t->session]);
         i = ngx_sio_farewell_first(&t->z))
    {
        ngx_sio_farewell_done_locked(&t->z, i);
    }

    ngx_sio_zone_unlock(&t->z);

    assert_int_equal(t_bye_listed(t, 0), 0);
    assert_int_equal(t->z.sessions[t->session].farewell, 0);
}


static void
t_bye_do_adopt(t_kill_t *t)
{
    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);

    t->z.sessions[t_bye_to].farewell = 1;
    ngx_sio_step();

    t_store_must(ngx_sio_session_adopt_locked(&t->z, t_bye_to, t->session,
                                              t_store_ticket(&t->z,
                                                             t->session),
                                              5000)
                 == NGX_OK);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_bye_after_adopt(t_kill_t *t)
{
    uint32_t    i;
    ngx_uint_t  due;

    i = t_store_by_sid(&t->z, 50);
    due = (i && t->z.sessions[i].farewell);

    /* it came back, or is where it was, or was lost on the way, unheard */

    assert_int_equal(due, i == t_bye_to);
    assert_int_equal(t_bye_listed(t, 0), 0);

    t_bye_end(t, due ? 0 : 1);
}


static void
t_bye_do_done(t_kill_t *t)
{
    uint32_t  i;

    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);

    i = ngx_sio_farewell_first(&t->z);
    t_store_must(i && t->z.sh->farewells.waiting > 1);

    /* from within, the front, the rear */

    ngx_sio_farewell_done_locked(&t->z, ngx_sio_farewell_next_locked(&t->z,
                                                                     i));
    ngx_sio_farewell_done_locked(&t->z, i);
    ngx_sio_farewell_done_locked(&t->z, t->z.sh->farewells.last);

    ngx_sio_zone_unlock(&t->z);
}


/* Those that were confirmed are gone, or told once more: in this order. */

static void
t_bye_prepare_done(t_kill_t *t)
{
    t_bye_prepare(t);
    t_bye_do_close(t);

    /* all four are listed, the branch that was the worker's own */

    assert_int_equal(t_store_close(&t->z, t_bye_of[1]), NGX_OK);
    assert_int_equal(t->z.sh->farewells.waiting, 4);
}


static void
t_bye_after_done(t_kill_t *t)
{
    ngx_uint_t  n, confirmed;

    confirmed = 0;

    for (n = 0; n < T_BYE_SOCKETS; n++) {
        if (t_bye_listed(t, n) == 0) {
            confirmed |= 1 << n;
        }
    }

    assert_int_equal(t->z.sh->farewells.waiting,
                     4 - __builtin_popcount(confirmed));
    assert_true(t->z.sh->farewells.waiting >= 1);

    t_bye_end(t, confirmed);
}


/* A worker with all of them dies. */

static void
t_bye_prepare_dead(t_kill_t *t)
{
    pid_t       pid;
    uint32_t    i;
    ngx_uint_t  n;

    pid = t_store_fork();

    if (pid == 0) {
        t_store_must(ngx_sio_worker_enter(&t->z, 5, 0) == 2);
        _exit(0);
    }

    t_bye_stream(&t->z);
    t_store_finished(pid);

    for (n = 0; n < T_BYE_SOCKETS; n++) {

        i = t_bye_open(t, 2, 50 + n);
        t_bye_due(t, n, i, n % 2);
    }
}


static void
t_bye_do_reap(t_kill_t *t)
{
    t_store_must(ngx_sio_worker_reap(&t->z, 1000000) == 1);
}


static void
t_bye_after_reap(t_kill_t *t)
{
    ngx_uint_t  n;

    (void) ngx_sio_worker_reap(&t->z, 1000000);

    for (n = 0; n < T_BYE_SOCKETS; n++) {
        assert_int_equal(t_bye_listed(t, n), 1);
    }

    t_bye_end(t, 0);
}


static const t_kill_operation_t  t_bye_close = {
    "close", t_bye_prepare, t_bye_do_close, t_bye_after, 40, 1
};

static const t_kill_operation_t  t_bye_close_nobodys = {
    "close of nobody's", t_bye_prepare_nobodys, t_bye_do_close_nobodys,
    t_bye_after, 60, 1
};

static const t_kill_operation_t  t_bye_disconnect = {
    "disconnect", t_bye_prepare, t_bye_do_disconnect, t_bye_after, 40, 1
};

static const t_kill_operation_t  t_bye_park = {
    "park", t_bye_prepare, t_bye_do_park, t_bye_after, 40, 1
};

static const t_kill_operation_t  t_bye_over = {
    "over", t_bye_prepare_nobodys, t_bye_do_over, t_bye_after, 40, 1
};

static const t_kill_operation_t  t_bye_adopt = {
    "adopt", t_bye_prepare_adopt, t_bye_do_adopt, t_bye_after_adopt, 15, 1
};

static const t_kill_operation_t  t_bye_done = {
    "done", t_bye_prepare_done, t_bye_do_done, t_bye_after_done, 15, 1
};

static const t_kill_operation_t  t_bye_reap = {
    "reap", t_bye_prepare_dead, t_bye_do_reap, t_bye_after_reap, 60, 1
};


static void
t_bye_repair(void **state)
{
    ngx_uint_t  i, first, step;

    static const t_kill_operation_t  *const  op[] = {
        &t_bye_close_nobodys, &t_bye_park, &t_bye_adopt, &t_bye_done
    };

    for (i = 0; i < sizeof(op) / sizeof(op[0]); i++) {
        for (first = 2; first < op[i]->least; first += 5) {

            for (step = 1; t_kill_repair_at(op[i], first, step); step++) {
                /* void */
            }

            assert_true(step > 15);
        }
    }
}


/* Who is told, and by whom. */

static void
t_bye_record(void **state)
{
    t_kill_t                t;
    uint32_t                i;
    ngx_sio_farewell_sh_t  *fw;

    t_kill_setup(&t);
    t_bye_prepare(&t);

    t.z.slot = t.slot;
    t.z.sessions[t.session].poster = 7;
    t.z.sessions[t.session].reason = 3;

    t_bye_do_close(&t);

    /* the ends of branches are that of their transport */

    for (i = ngx_sio_farewell_first(&t.z);
         i;
         i = ngx_sio_farewell_next_locked(&t.z, i))
    {
        fw = ngx_sio_farewell(&t.z, i);

        assert_int_equal(fw->slot, 7);
        assert_int_equal(fw->reason, 3);
        assert_int_equal(fw->stream, 1);
        assert_true(fw->time > 1500000000000);
        assert_true(ngx_sio_name_equal(&t.z, &t.z.users[fw->user], fw->nsp,
                                       t.user.data, t.user.len));
    }

    /* a branch that is left to its owner says so itself */

    assert_int_equal(t_bye_listed(&t, 1), 0);
    assert_int_equal(t_store_close(&t.z, t_bye_of[1]), NGX_OK);

    fw = ngx_sio_farewell(&t.z, t.z.sh->farewells.last);
    assert_int_equal(fw->slot, t.slot);
    assert_int_equal(fw->nsp, 1);

    t_bye_end(&t, 0);
    t_kill_fill(&t, "record", 0);
    t_store_unmap(&t.z);
}


/* Farewells leave chunks to those who come, and what is lost is counted. */

static void
t_bye_full(void **state)
{
    uint32_t            i, chunks;
    t_kill_t            t;
    ngx_uint_t          n, ends;
    ngx_sio_zone_sh_t  *sh;

    t_kill_setup(&t);
    t_bye_stream(&t.z);

    sh = t.z.sh;
    chunks = sh->nchunks;
    ends = chunks + 10;

    for (n = 0; n < ends; n++) {
        i = t_store_open(&t.z, t.slot, 100 + n);

        assert_int_equal(t_store_connect(&t.z, i, 100 + n, NULL, NULL, 0, 1),
                         NGX_OK);
        t.z.sessions[i].farewell = 1;
        assert_int_equal(t_store_close(&t.z, i), NGX_OK);
    }

    assert_int_equal(sh->farewells.waiting, chunks / 2);
    assert_int_equal(sh->farewells.lost, ends - chunks / 2);
    t_store_check(&t.z, "full", 0);

    assert_int_equal(ngx_sio_zone_lock(&t.z), NGX_OK);

    for (n = 0; (i = ngx_sio_farewell_first(&t.z)) != 0; n++) {
        ngx_sio_farewell_done_locked(&t.z, i);
    }

    ngx_sio_zone_unlock(&t.z);

    assert_int_equal(n, chunks / 2);
    t_kill_fill(&t, "full", 0);
    t_store_unmap(&t.z);
}


/* A number is its stream's for good. */

static void
t_bye_streams(void **state)
{
    u_char          text[300];
    ngx_str_t       key, maxlen, none;
    ngx_uint_t      n, stream;
    ngx_sio_zone_t  z;

    t_store_zone(&z, T_KILL_SIZE, T_KILL_LOG);

    ngx_str_set(&maxlen, "100000");
    ngx_str_set(&none, "");
    key.data = text;

    for (n = 1; n < NGX_SIO_STREAMS; n += 2) {
        key.len = snprintf((char *) text, sizeof(text), "s%u", (unsigned) n);

        assert_int_equal(ngx_sio_farewell_stream(&z, &key, &maxlen, &stream),
                         NGX_OK);
        assert_int_equal(stream, n);
        assert_int_equal(ngx_sio_farewell_stream(&z, &key, &maxlen, &stream),
                         NGX_OK);
        assert_int_equal(stream, n);

        if (n + 1 < NGX_SIO_STREAMS) {
            assert_int_equal(ngx_sio_farewell_stream(&z, &key, &none, &stream),
                             NGX_OK);
            assert_int_equal(stream, n + 1);
        }
    }

    ngx_str_set(&key, "one too many");
    assert_int_equal(ngx_sio_farewell_stream(&z, &key, &none, &stream),
                     NGX_DECLINED);

    t_store_unmap(&z);
    t_store_zone(&z, T_KILL_SIZE, T_KILL_LOG);

    ngx_memset(text, 'k', sizeof(text));
    key.data = text;
    key.len = NGX_SIO_STREAM_LEN + 1;
    assert_int_equal(ngx_sio_farewell_stream(&z, &key, &none, &stream),
                     NGX_DECLINED);
    key.len--;
    assert_int_equal(ngx_sio_farewell_stream(&z, &key, &none, &stream),
                     NGX_OK);

    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_bye_streams),
        cmocka_unit_test(t_bye_record),
        cmocka_unit_test(t_bye_full),
        t_kill_test(t_bye_close),
        t_kill_test(t_bye_close_nobodys),
        t_kill_test(t_bye_disconnect),
        t_kill_test(t_bye_park),
        t_kill_test(t_bye_over),
        t_kill_test(t_bye_adopt),
        t_kill_test(t_bye_done),
        t_kill_test(t_bye_reap),
        cmocka_unit_test(t_bye_repair)
    };

    return cmocka_run_group_tests_name("store: farewells", tests, NULL, NULL);
}
