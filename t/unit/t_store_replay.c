
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* Replays at random, in pieces, killed and overtaken; see the header. */


#include "t_store_replay.h"


/*
 * Sockets of all kinds, born at any record, are brought on step by step, each
 * time from positions that may be much older than what has been done to their
 * rooms.
 */

static void
t_replay_random_one(t_replay_t *t, uint64_t seed)
{
    uint64_t     at, cursor, applied, events, floor, last;
    ngx_uint_t   s, n, recoverable;

    t_replay_begin(t, seed);
    t->most = seed / 2 % 2;
    t_replay_fill(t, 40 + t_replay_random(t, 160), seed % 2);

    floor = t_replay_at(t, 0);

    for (s = 0; s < T_REPLAY_SESSIONS; s++) {

        t->first[s] = t_replay_set(t);
        t->nsp[s] = (t_replay_random(t, 4) == 0) ? 1 - t->most : t->most;
        t->branch[s] = t->nsp[s] && t_replay_random(t, 4);
        recoverable = t_replay_random(t, 3);

        at = t_replay_between(t, floor, t_replay_at(t, t->n / 2));

        t_replay_open(t, s);
        t_replay_connect(t, s, at, recoverable);

        for (n = 0; n < 8; n++) {

            cursor = t_replay_between(t, at, t_replay_at(t, t->n));

            /* those that cannot be recovered forget what has ended */

            applied = at;
            events = at;

            if (recoverable) {
                applied = t_replay_between(t, floor, at);
                events = t_replay_between(t, t->birth[s], cursor);
            }

            if (t->z.sessions[t->session[s]].flags & NGX_SIO_FLOOR) {
                events = ngx_max(events,
                                 t->z.sessions[t->session[s]].base_from);
            }

            t_replay_to(t, s, cursor, applied,
                        t_replay_between(t, floor, cursor), events);

            if (t->model.disconnect) {
                break;
            }

            at = cursor;

            if (t_replay_random(t, 4) == 0) {
                last = t_replay_between(t, t->birth[s], at);
                t->z.sessions[t->session[s]].last = last;
            }
        }
    }

    t_replay_end(t);
}


/* In pieces of a limited size it is the same. */

static int
t_replay_order(const void *one, const void *two)
{
    uint64_t  a, b;

    a = *(const uint64_t *) one;
    b = *(const uint64_t *) two;

    return (a > b) - (a < b);
}


static void
t_replay_pieces_one(t_replay_t *t, uint64_t seed)
{
    uint64_t          at, cursor;
    sio_buf_t         refs;
    ngx_uint_t        n;
    ngx_sio_replay_t  rp;

    t_replay_begin(t, seed);
    t->most = seed % 2;
    t_replay_fill(t, 200, 0);

    at = t_replay_at(t, t_replay_random(t, 20));
    t->nsp[0] = t->most;
    t->branch[0] = t->most;
    cursor = t_replay_at(t, t->n);

    t->first[0] = t_replay_set(t);
    t_replay_open(t, 0);
    t_replay_connect(t, 0, at, seed / 2 % 2);

    t_replay_expect(t, 0, cursor, at, at);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
    ngx_memzero(&refs, sizeof(sio_buf_t));

    for (n = 0; at < cursor; n++) {
        rp.applied = at;
        rp.seen = at;
        rp.events = at;
        rp.limit = 1 + t_replay_random(t, 3000);

        assert_int_equal(t_replay_run(t, 0, &rp, cursor), NGX_OK);
        assert_true(rp.left > at);
        assert_true(rp.refs.len || rp.left == cursor);
        assert_int_equal(sio_buf_append(&refs, rp.refs.data, rp.refs.len),
                         SIO_OK);

        if (rp.close && t->model.close) {
            /* the first one says why */
            assert_int_equal(rp.reason, t->model.reason);
            t->model.close = 0;
        }

        at = rp.left;
    }

    assert_true(n > 2 || rp.close);
    assert_int_equal(refs.len, t->model.nrefs * sizeof(uint64_t));

    /* in each piece replies come first, so the order is another one */

    qsort(refs.data, t->model.nrefs, sizeof(uint64_t), t_replay_order);
    qsort(t->model.refs, t->model.nrefs, sizeof(uint64_t), t_replay_order);
    assert_memory_equal(refs.data, t->model.refs, refs.len);

    assert_int_equal(t_replay_mask(t, 0), t->model.mask);

    sio_buf_free(&refs);
    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


static void
t_replay_pieces(void **state)
{
    uint64_t  seed;

    for (seed = 6000; seed < 6100; seed++) {
        t_replay_pieces_one(&t_replay, seed);
    }
}


static void
t_replay_randomly(void **state)
{
    uint64_t  seed;

    for (seed = 1; seed <= 400; seed++) {
        t_replay_random_one(&t_replay, seed);
    }
}


/* A log that goes on: what has ended is forgotten with its tail. */

static void
t_replay_long(void **state)
{
    uint64_t     at, tail, events, cursor;
    ngx_uint_t   n, round;
    t_replay_t  *t;

    t = &t_replay;

    t_replay_begin(t, 1000);
    t_replay_fill(t, 20, 0);

    t->first[0] = 0x15;
    t_replay_open(t, 0);
    at = ngx_sio_log_head(&t->z);
    t_replay_connect(t, 0, at, 1);

    for (round = 0; round < 300; round++) {

        /* what the model knows is what it starts from */

        if (t->n > T_REPLAY_RECORDS - 100) {
            t->first[0] = t_replay_mask(t, 0);
            t->birth[0] = at;
            t->n = 0;
        }

        t_replay_fill(t, t_replay_random(t, 80), 0);

        cursor = ngx_sio_log_head(&t->z);
        tail = ngx_max(ngx_sio_log_tail(&t->z), t->birth[0]);
        events = at;

        if (t->n && round % 2
            && !(t->z.sessions[t->session[0]].flags & NGX_SIO_FLOOR))
        {
            events = t_replay_between(t, tail, at);
        }

        t_replay_to(t, 0, cursor, at, at, events);
        at = cursor;

        if (round % 16 == 0) {
            for (n = 0; n < 3; n++) {
                t_replay_to(t, 0, at, tail, at, at);
            }
        }
    }

    assert_true(t->z.sessions[t->session[0]].members < 200);

    t_replay_end(t);
}


/*
 * The child dies at one of its steps in the midst of a replay; whoever comes
 * then replays once more.
 */

static ngx_uint_t
t_replay_killed_at(t_replay_t *t, uint64_t seed, ngx_uint_t step)
{
    pid_t             pid;
    uint64_t          birth, cursor;
    ngx_uint_t        killed;
    ngx_sio_replay_t  rp;

    t_replay_begin(t, seed);
    t->most = seed % 2;
    t_replay_fill(t, 200, 0);

    birth = t_replay_at(t, 0);
    cursor = t_replay_at(t, 160);

    t->nsp[0] = t->most;
    t->branch[0] = t->most;
    t->first[0] = 0x3;
    t_replay_open(t, 0);
    t_replay_connect(t, 0, birth, 1);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);

        ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
        rp.applied = birth;
        rp.seen = birth;
        rp.events = birth;

        t_store_must(t_replay_run(t, 0, &rp, cursor) == NGX_OK);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_replay_to(t, 0, cursor, birth, birth, birth);
    t_replay_to(t, 0, t_replay_at(t, t->n), birth, birth, birth);

    t_replay_end(t);

    return killed;
}


static void
t_replay_killed(void **state)
{
    uint64_t    seed;
    ngx_uint_t  step;

    for (seed = 5000; seed < 5003; seed++) {
        for (step = 1; t_replay_killed_at(&t_replay, seed, step); step++) {
            /* void */
        }

        assert_true(step > 30);
    }
}


/* While the log goes on, a replay declines or is right. */

static void
t_replay_racing(void **state)
{
    pid_t              pid;
    uint64_t           off, hash, *ref, head;
    ngx_int_t          rc;
    ngx_uint_t         i, n, ok;
    t_replay_t        *t;
    sio_record_t       rec;
    ngx_sio_replay_t   rp;

    t = &t_replay;
    t_replay_socket(t);

    pid = t_store_fork();

    if (pid == 0) {
        for (n = 0; /* void */ ; n++) {
            t->n = 0;
            (void) t_replay_put(t, SIO_RECORD_EMIT, 0,
                                (uint64_t) 1 << n % 4, 0);
        }
    }

    while (ngx_sio_log_tail(&t->z) == T_REPLAY_LOG) { /* void */ }

    ok = 0;
    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));

    for (n = 0; n < 2000; n++) {

        off = ngx_sio_log_tail(&t->z);
        head = ngx_sio_log_head(&t->z);

        /* to be overtaken soon, or not so soon */

        for (i = n % 20 * 40; i > 0; i--) {
            if (ngx_sio_log_next(&t->z, &off, &rec) != NGX_OK) {
                break;
            }

            off += rec.size;
        }

        if (i) {
            continue;
        }

        rp.applied = off;
        rp.seen = off;
        rp.events = off;

        rc = t_replay_run(t, 0, &rp, head);

        if (rc != NGX_OK) {
            assert_int_equal(rc, NGX_DECLINED);
            assert_true(ngx_sio_log_tail(&t->z) > off);
            continue;
        }

        ref = (uint64_t *) rp.refs.data;

        for (i = 0; i < rp.refs.len / sizeof(uint64_t); i++) {
            assert_true(ref[i] >= off && ref[i] < head);
            assert_true(i == 0 || ref[i] > ref[i - 1]);

            if (ngx_sio_log_copy(&t->z, ref[i], sizeof(sio_record_t),
                                 (u_char *) &hash, sizeof(uint64_t))
                == NGX_OK)
            {
                assert_true(hash == t->rooms[0].hash);
            }

            if (i % 64 == 0) {
                assert_true(ngx_sio_replay_valid(&t->z, ref[i])
                            || ngx_sio_log_tail(&t->z) > ref[i]);
            }
        }

        ok++;
    }

    assert_true(ok > 0);

    (void) kill(pid, SIGKILL);
    (void) t_store_wait(pid);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_replay_randomly),
        cmocka_unit_test(t_replay_pieces),
        cmocka_unit_test(t_replay_long),
        cmocka_unit_test(t_replay_killed),
        cmocka_unit_test(t_replay_racing)
    };

    return cmocka_run_group_tests_name("store: replay", tests, NULL, NULL);
}
