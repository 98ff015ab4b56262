
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* Each socket of a transport is replayed on its own. */


#include "t_store_replay.h"


/*
 * Three sockets of one client, in the namespaces 0, 1 and 2, all of them in a
 * room of the same name.
 */

#define T_REPLAY_CLIENT  3


static void
t_replay_client(t_replay_t *t)
{
    ngx_uint_t  s;

    t_replay_begin(t, 7000);
    (void) t_replay_put(t, SIO_RECORD_EMIT, 0, 0, 0);

    t_replay_open(t, 0);

    for (s = 0; s < T_REPLAY_CLIENT; s++) {

        if (s) {
            t->nsp[s] = s;
            t->branch[s] = 1;
            t->session[s] = t_store_branch(&t->z, t->session[0], s,
                                           T_REPLAY_SLOT, 0);
            t->owner[s] = t_store_ticket(&t->z, t->session[s]);
        }

        t->first[s] = 1;
        t_replay_connect(t, s, ngx_sio_log_head(&t->z), 1);
    }
}


static t_replay_record_t *
t_replay_put_in(t_replay_t *t, uint16_t nsp, uint8_t type, uint8_t flags,
    uint64_t rooms, uint64_t args)
{
    uint16_t            most;
    t_replay_record_t  *r;

    most = t->most;
    t->most = nsp;
    r = t_replay_put(t, type, flags, rooms, args);
    t->most = most;

    return r;
}


static t_replay_record_t *
t_replay_put_session(t_replay_t *t, uint8_t flags, ngx_uint_t parts)
{
    t_replay_record_t  *r;

    r = &t->records[t->n++];
    ngx_memzero(r, sizeof(t_replay_record_t));

    r->type = SIO_RECORD_SESSION;
    r->flags = flags;
    r->parts = parts;
    r->arg = 3;
    t_replay_append(t, r);

    return r;
}


/* A replay of all since the birth. */

static void
t_replay_all(t_replay_t *t, ngx_uint_t s, uint64_t cursor,
    ngx_sio_replay_t *rp)
{
    ngx_memzero(rp, sizeof(ngx_sio_replay_t));

    rp->applied = t->birth[s];
    rp->seen = t->birth[s];
    rp->events = t->birth[s];

    assert_int_equal(t_replay_run(t, s, rp, cursor), NGX_OK);
}


/* Events and commands count in their own namespace only. */

static void
t_replay_own(void **state)
{
    uint64_t      birth;
    ngx_uint_t    s, n;
    t_replay_t   *t;

    t = &t_replay;
    t_replay_client(t);
    birth = t->birth[0];

    for (s = 0; s < T_REPLAY_CLIENT; s++) {

        /* to a room of that name, to all, to one of them by its id */

        (void) t_replay_put_in(t, s, SIO_RECORD_EMIT, 0, 1, 0);
        (void) t_replay_put_in(t, s, SIO_RECORD_EMIT, 0, 0, 0);

        for (n = 0; n < T_REPLAY_CLIENT; n++) {
            (void) t_replay_put_in(t, s, SIO_RECORD_EMIT, 0, t_replay_sid(n),
                                   0);
        }

        /* into another room, by the room or the id, and out of the first */

        (void) t_replay_put_in(t, s, SIO_RECORD_JOIN, 0, 1,
                               (uint64_t) 2 << s);
        (void) t_replay_put_in(t, s, SIO_RECORD_LEAVE, 0, t_replay_sid(1), 1);
        (void) t_replay_put_in(t, s, SIO_RECORD_EMIT, 0, 1, 0);
        (void) t_replay_put_in(t, s, SIO_RECORD_EMIT, 0, 2 + 4 + 8, 0);
    }

    for (n = 0; n < 2; n++) {
        for (s = 0; s < T_REPLAY_CLIENT; s++) {

            t_replay_to(t, s, ngx_sio_log_head(&t->z), birth, birth, birth);

            assert_int_equal(t->model.nrefs, s == 1 ? 4 : 5);
            assert_int_equal(t->model.mask,
                             (s == 1 ? 0 : 1) + ((uint64_t) 2 << s));
        }
    }

    t_replay_end(t);
}


/* What is for the session is for that of the transport. */

static void
t_replay_sessions(void **state)
{
    t_replay_t         *t;
    ngx_sio_replay_t    rp;
    t_replay_record_t  *emit, *made;

    t = &t_replay;
    t_replay_client(t);

    (void) t_replay_put_session(t, 0, 1);
    emit = t_replay_put_in(t, 1, SIO_RECORD_EMIT, 0, 1, 0);
    made = t_replay_put_session(t, SIO_RECORD_CONNECTED, 1);
    (void) t_replay_put_session(t, SIO_RECORD_CLOSE, 0);

    t_replay_all(t, 1, ngx_sio_log_head(&t->z), &rp);
    assert_int_equal(rp.refs.len, sizeof(uint64_t));
    assert_int_equal(*(uint64_t *) rp.refs.data, emit->off);
    assert_int_equal(rp.close, 0);
    assert_int_equal(rp.release, 0);
    sio_buf_free(&rp.refs);

    t_replay_all(t, 0, ngx_sio_log_head(&t->z), &rp);
    assert_int_equal(rp.refs.len, 2 * sizeof(uint64_t));
    assert_int_equal(*(uint64_t *) rp.refs.data, made->off);
    assert_int_equal(rp.close, 1);
    assert_int_equal(rp.reason, 3);
    sio_buf_free(&rp.refs);

    t_replay_end(t);
}


/*
 * One without a socket has nothing to catch up with, be the log ever so far
 * ahead of it.
 */

static void
t_replay_no_socket(void **state)
{
    uint64_t           birth;
    t_replay_t        *t;
    ngx_sio_replay_t   rp;

    t = &t_replay;
    t_replay_client(t);
    birth = t->birth[0];

    t->nsp[3] = 3;
    t->branch[3] = 1;
    t->session[3] = t_store_branch(&t->z, t->session[0], 3, T_REPLAY_SLOT, 0);
    t->owner[3] = t_store_ticket(&t->z, t->session[3]);

    (void) t_replay_put_in(t, 3, SIO_RECORD_EMIT, 0, 0, 0);
    (void) t_replay_put_session(t, 0, 1);

    t_replay_all(t, 3, ngx_sio_log_head(&t->z), &rp);
    assert_int_equal(rp.socket, 0);
    assert_int_equal(rp.refs.len, 0);
    assert_int_equal(rp.left, ngx_sio_log_head(&t->z));

    t_store_push(&t->z, 0, birth + 1);

    t_replay_all(t, 3, ngx_sio_log_head(&t->z), &rp);
    assert_int_equal(rp.refs.len, 0);

    rp.session = t->session[1];
    rp.owner = t->owner[1];
    assert_int_equal(ngx_sio_replay_run(&t->z, ngx_sio_log_head(&t->z), &rp),
                     NGX_DECLINED);

    t_replay_end(t);
}


/* How each of them may be thrown out. */

static void
t_replay_thrown_out(void **state)
{
    ngx_uint_t               n, s;
    t_replay_t              *t;
    ngx_sio_replay_t         rp;
    static const uint8_t     flags[] = { 0, SIO_RECORD_CLOSE,
                                         SIO_RECORD_QUIET };

    t = &t_replay;

    for (n = 0; n < 3; n++) {
        t_replay_client(t);

        /* another one by its id, and this one by that in other namespaces */

        (void) t_replay_put_in(t, 1, SIO_RECORD_DISCONNECT, flags[n],
                               t_replay_sid(2), 0);
        (void) t_replay_put_in(t, 0, SIO_RECORD_DISCONNECT, flags[n],
                               t_replay_sid(1), 0);
        (void) t_replay_put_in(t, 2, SIO_RECORD_DISCONNECT, flags[n],
                               t_replay_sid(1), 0);

        for (s = 0; s < T_REPLAY_CLIENT; s++) {
            t_replay_all(t, s, ngx_sio_log_head(&t->z), &rp);
            assert_int_equal(rp.disconnect, 0);
            sio_buf_free(&rp.refs);
        }

        (void) t_replay_put_in(t, 1, SIO_RECORD_EMIT, 0, 0, 0);
        (void) t_replay_put_in(t, 1, SIO_RECORD_DISCONNECT, flags[n],
                               n == 0 ? t_replay_sid(1) : n - 1, 0);
        (void) t_replay_put_in(t, 1, SIO_RECORD_EMIT, 0, 0, 0);

        for (s = 0; s < T_REPLAY_CLIENT; s++) {
            t_replay_all(t, s, ngx_sio_log_head(&t->z), &rp);
            assert_int_equal(rp.disconnect, s == 1 ? 1 + n : 0);
            assert_int_equal(rp.refs.len, s == 1 ? sizeof(uint64_t) : 0);
            sio_buf_free(&rp.refs);
        }

        t_replay_end(t);
    }
}


/* A socket gets nothing before the record that tells its client. */

static void
t_replay_told(void **state)
{
    uint64_t               at;
    t_replay_t            *t;
    ngx_sio_replay_t       rp;
    t_replay_record_t     *made, *emit;
    ngx_sio_session_sh_t  *ss;

    t = &t_replay;
    t_replay_client(t);
    ss = &t->z.sessions[t->session[1]];

    (void) t_replay_put_in(t, 1, SIO_RECORD_JOIN, 0, 1, 2);
    emit = t_replay_put_in(t, 1, SIO_RECORD_EMIT, 0, 1, 0);
    made = t_replay_put_session(t, SIO_RECORD_CONNECTED, 1);
    (void) t_replay_put_in(t, 1, SIO_RECORD_EMIT, 0, 2, 0);

    ss->told = (uint32_t) (made->end / SIO_RECORD_ALIGN);

    for (at = emit->off; at <= made->off; at += SIO_RECORD_ALIGN) {
        t_replay_all(t, 1, at, &rp);
        assert_int_equal(rp.socket, 0);
        assert_int_equal(rp.refs.len, 0);
        assert_int_equal(rp.left, at);
        assert_int_equal(t_replay_mask(t, 1), 1);
    }

    /* which does not concern the other sockets of the client */

    t_replay_all(t, 2, made->off, &rp);
    assert_int_equal(rp.socket, 1);
    t_replay_all(t, 0, made->end, &rp);
    assert_int_equal(rp.refs.len, sizeof(uint64_t));
    sio_buf_free(&rp.refs);

    t_replay_all(t, 1, made->end, &rp);
    assert_int_equal(rp.socket, 1);
    assert_int_equal(rp.refs.len, sizeof(uint64_t));
    assert_int_equal(t_replay_mask(t, 1), 3);
    sio_buf_free(&rp.refs);

    /* these are the low bits of an offset, which go round */

    at = ngx_sio_log_head(&t->z);

    ss->told = (uint32_t) (at / SIO_RECORD_ALIGN) + 0x7fffffff;
    t_replay_all(t, 1, at, &rp);
    assert_int_equal(rp.socket, 0);

    ss->told = (uint32_t) (at / SIO_RECORD_ALIGN) - 0x7fffffff;
    t_replay_all(t, 1, at, &rp);
    assert_int_equal(rp.socket, 1);
    assert_int_equal(rp.refs.len, 2 * sizeof(uint64_t));
    sio_buf_free(&rp.refs);

    t_replay_end(t);
}


static ngx_int_t
t_replay_recover_in(t_replay_t *t, ngx_uint_t s)
{
    ngx_int_t         rc;
    ngx_sio_replay_t  rp;

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));

    rp.applied = t->birth[s];
    rp.seen = ngx_sio_log_head(&t->z);
    rp.events = t->birth[s];
    rp.recover = 1;

    rc = t_replay_run(t, s, &rp, ngx_sio_log_head(&t->z));

    sio_buf_free(&rp.refs);

    return rc;
}


/* A gap is one for all of them, a DISCONNECT for its own namespace. */

static void
t_replay_recovered(void **state)
{
    t_replay_t  *t;

    t = &t_replay;
    t_replay_client(t);

    (void) t_replay_put_in(t, 1, SIO_RECORD_DISCONNECT, 0, 1, 0);

    assert_int_equal(t_replay_recover_in(t, 0), NGX_OK);
    assert_int_equal(t_replay_recover_in(t, 1), NGX_DECLINED);
    assert_int_equal(t_replay_recover_in(t, 2), NGX_OK);

    (void) t_replay_put(t, SIO_RECORD_FEED, SIO_RECORD_UP|SIO_RECORD_GAP, 0,
                        0);

    assert_int_equal(t_replay_recover_in(t, 0), NGX_DECLINED);
    assert_int_equal(t_replay_recover_in(t, 2), NGX_DECLINED);

    t_replay_end(t);
}


/* Taken from its worker, or parked, a branch is replayed by its next owner. */

static void
t_replay_taken(void **state)
{
    uint64_t           at;
    ngx_uint_t         n;
    t_replay_t        *t;
    ngx_sio_replay_t   rp;

    t = &t_replay;

    for (n = 0; n < 3; n++) {
        t_replay_client(t);
        at = ngx_sio_log_head(&t->z);

        t->z.sessions[t->session[1]].applied = NGX_SIO_AT_CURSOR;

        if (n == 0) {
            assert_int_equal(ngx_sio_session_release(&t->z, t->session[1],
                                                     t->owner[1], at),
                             NGX_OK);

        } else if (n == 1) {
            assert_int_equal(ngx_sio_session_park(&t->z, t->session[1],
                                                  t->owner[1], at, 1),
                             NGX_OK);

        } else {
            assert_int_equal(ngx_sio_session_park(&t->z, t->session[0],
                                                  t->owner[0], at, 1),
                             NGX_OK);
            assert_int_equal(ngx_sio_session_park(&t->z, t->session[1],
                                                  t->owner[1], at, 1),
                             NGX_OK);
        }

        (void) t_replay_put_in(t, 1, SIO_RECORD_JOIN, 0, 1, 2);
        (void) t_replay_put_in(t, 1, SIO_RECORD_EMIT, 0, 2, 0);
        (void) t_replay_put_in(t, 0, SIO_RECORD_EMIT, 0, 1, 0);

        assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);
        assert_int_equal(ngx_sio_session_claim_locked(&t->z, t->session[1], 2,
                                                      &t->owner[1]),
                         NGX_OK);
        ngx_sio_zone_unlock(&t->z);

        t_replay_all(t, 1, ngx_sio_log_head(&t->z), &rp);
        assert_int_equal(rp.refs.len, sizeof(uint64_t));
        assert_int_equal(t_replay_mask(t, 1), 3);
        sio_buf_free(&rp.refs);

        t_replay_end(t);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_replay_own),
        cmocka_unit_test(t_replay_sessions),
        cmocka_unit_test(t_replay_no_socket),
        cmocka_unit_test(t_replay_thrown_out),
        cmocka_unit_test(t_replay_told),
        cmocka_unit_test(t_replay_recovered),
        cmocka_unit_test(t_replay_taken)
    };

    return cmocka_run_group_tests_name("store: replay branch", tests, NULL,
                                       NULL);
}
