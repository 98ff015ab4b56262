
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* The rules of a replay, one by one. */


#include "t_store_replay.h"


/* What has passed meanwhile may leave nothing to be recovered. */

static void
t_replay_recovery(void **state)
{
    uint64_t               birth;
    t_replay_t            *t;
    t_replay_record_t     *r;
    ngx_sio_session_sh_t  *ss;

    t = &t_replay;

    t_replay_socket(t);
    birth = t->birth[0];
    ss = &t->z.sessions[t->session[0]];

    (void) t_replay_put(t, SIO_RECORD_EMIT, 0, 1, 0);
    assert_int_equal(t_replay_recover(t, birth), NGX_OK);

    (void) t_replay_put(t, SIO_RECORD_DISCONNECT, 0, 2, 0);
    assert_int_equal(t_replay_recover(t, birth), NGX_OK);

    r = t_replay_put(t, SIO_RECORD_FEED, SIO_RECORD_UP|SIO_RECORD_GAP, 0, 0);
    assert_int_equal(t_replay_recover(t, birth), NGX_DECLINED);
    assert_int_equal(t_replay_recover(t, r->off), NGX_DECLINED);
    assert_int_equal(t_replay_recover(t, r->end), NGX_OK);

    ss->flags |= NGX_SIO_FLOOR;
    ss->base_last = 0;
    ss->base_from = r->end + 64;
    assert_int_equal(t_replay_recover(t, r->end), NGX_DECLINED);

    ss->base_from = r->end;
    assert_int_equal(t_replay_recover(t, r->end), NGX_OK);

    (void) t_replay_put(t, SIO_RECORD_DISCONNECT, SIO_RECORD_QUIET, 1, 0);
    assert_int_equal(t_replay_recover(t, r->end), NGX_DECLINED);

    t_replay_end(t);
}


/*
 * The transport got another socket: what was for the old one is not for it, and
 * the DISCONNECT of the old one is not its own.
 */

static void
t_replay_reborn(void **state)
{
    uint64_t            from;
    ngx_uint_t          n;
    t_replay_t         *t;
    ngx_sio_replay_t    rp;
    t_replay_record_t  *emit, *made;

    t = &t_replay;

    t_replay_socket(t);
    from = t->birth[0];

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, 0, 4);
    emit = t_replay_put(t, SIO_RECORD_EMIT, 0, 1, 0);
    (void) t_replay_put(t, SIO_RECORD_DISCONNECT, SIO_RECORD_CLOSE, 0, 0);
    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, 0, 8);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));

    for (n = 0; n < 3; n++) {
        rp.applied = from;
        rp.seen = from;
        rp.events = from;

        assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                         NGX_OK);

        assert_int_equal(rp.disconnect, 2);
        assert_int_equal(rp.refs.len, sizeof(uint64_t));
        assert_int_equal(*(uint64_t *) rp.refs.data, emit->off);
        assert_int_equal(t_replay_mask(t, 0), 5);
    }

    assert_int_equal(ngx_sio_session_disconnect(&t->z, t->session[0],
                                                t->owner[0]),
                     NGX_OK);

    /* no socket: nothing but what is for the session */

    made = &t->records[t->n++];
    ngx_memzero(made, sizeof(t_replay_record_t));
    made->type = SIO_RECORD_SESSION;
    made->flags = SIO_RECORD_CONNECTED;
    t_replay_append(t, made);

    rp.applied = 0;
    rp.events = 0;

    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_OK);
    assert_int_equal(rp.disconnect, 0);
    assert_int_equal(rp.refs.len, sizeof(uint64_t));
    assert_int_equal(*(uint64_t *) rp.refs.data, made->off);
    assert_int_equal(t_replay_mask(t, 0), 0);

    t->first[0] = 2;
    t_replay_connect(t, 0, made->off, 1);

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, 0, 16);
    (void) t_replay_put(t, SIO_RECORD_EMIT, 0, 16, 0);

    t_replay_to(t, 0, ngx_sio_log_head(&t->z), from, from, made->off);
    assert_int_equal(t->model.disconnect, 0);
    assert_int_equal(t->model.nrefs, 2);
    assert_int_equal(t->model.mask, 18);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


/*
 * Commands whose rooms are forgotten have been done: the room that was left
 * through another one is not joined again.
 */

static void
t_replay_floor(void **state)
{
    uint64_t      birth;
    ngx_uint_t    n, room;
    t_replay_t   *t;

    t = &t_replay;

    t_replay_socket(t);
    birth = t->birth[0];

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, t_replay_sid(0), 2);
    (void) t_replay_put(t, SIO_RECORD_LEAVE, 0, 1, 2);
    (void) t_replay_put(t, SIO_RECORD_LEAVE, 0, t_replay_sid(0), 1);

    for (n = 0; n < NGX_SIO_ENDED; n++) {
        room = (uint64_t) 1 << (2 + n % 8);
        (void) t_replay_put(t, SIO_RECORD_JOIN, 0, t_replay_sid(0), room);
        (void) t_replay_put(t, SIO_RECORD_LEAVE, 0, t_replay_sid(0), room);
    }

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, t_replay_sid(0), 4);

    for (n = 0; n < 3; n++) {
        t_replay_to(t, 0, ngx_sio_log_head(&t->z), birth, birth, birth);
        assert_int_equal(t_replay_mask(t, 0), 4);
    }

    assert_true(t->z.sessions[t->session[0]].flags & NGX_SIO_FLOOR);
    assert_int_equal(t_replay_recover(t, birth), NGX_DECLINED);

    t_replay_end(t);
}


/* One that is parked is no session of a transport. */

static void
t_replay_parked(void **state)
{
    t_replay_t         *t;
    ngx_sio_replay_t    rp;
    t_replay_record_t  *r;

    t = &t_replay;

    t_replay_socket(t);

    r = &t->records[t->n++];
    ngx_memzero(r, sizeof(t_replay_record_t));
    r->type = SIO_RECORD_SESSION;
    r->parts = 1;
    t_replay_append(t, r);

    r = t_replay_put(t, SIO_RECORD_EMIT, 0, t_replay_sid(0), 0);

    assert_int_equal(ngx_sio_session_park(&t->z, t->session[0], t->owner[0],
                                          t->birth[0], 1),
                     NGX_OK);

    assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);
    assert_int_equal(ngx_sio_session_claim_locked(&t->z, t->session[0],
                                                  T_REPLAY_SLOT,
                                                  &t->owner[0]),
                     NGX_OK);
    ngx_sio_zone_unlock(&t->z);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
    rp.applied = t->birth[0];
    rp.events = t->birth[0];

    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_OK);
    assert_int_equal(rp.refs.len, sizeof(uint64_t));
    assert_int_equal(*(uint64_t *) rp.refs.data, r->off);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


/* A name with the hash of another one is another name. */

static void
t_replay_hashes(void **state)
{
    uint64_t           *hash;
    sio_buf_t           b;
    sio_str_t           name;
    ngx_uint_t          n;
    t_replay_t         *t;
    sio_message_t       m;
    ngx_sio_append_t    a;

    t = &t_replay;
    t_replay_socket(t);

    for (n = 0; n < 3; n++) {
        ngx_memzero(&b, sizeof(sio_buf_t));
        ngx_memzero(&m, sizeof(sio_message_t));
        ngx_memzero(&a, sizeof(ngx_sio_append_t));

        name.data = (u_char *) "12345678901234567890";
        name.len = NGX_SIO_SID_LEN;

        m.type = (n == 2) ? SIO_RECORD_SESSION : SIO_RECORD_EMIT;
        m.flags = (n == 2) ? SIO_RECORD_CONNECTED : 0;
        m.rooms = 1;
        m.names = &name;

        assert_int_equal(sio_record_encode(&b, &m, t->z.sh->seed, 4096),
                         SIO_OK);

        hash = (uint64_t *) (b.data + sizeof(sio_record_t));
        *hash = (n == 0) ? t->rooms[0].hash
                         : sio_hash(t->z.sh->seed,
                                    (n == 1)
                                    ? t->z.sessions[t->session[0]].sid
                                    : t->z.sessions[t->session[0]].eio_sid,
                                    NGX_SIO_SID_LEN);

        a.data = b.data;
        a.len = b.len;

        assert_int_equal(ngx_sio_log_append(&t->z, &a), NGX_OK);
        sio_buf_free(&b);
    }

    t->n = 0;
    t_replay_to(t, 0, ngx_sio_log_head(&t->z), t->birth[0], t->birth[0],
                t->birth[0]);
    assert_int_equal(t->model.nrefs, 0);

    t_replay_end(t);
}


/* Thousands of rooms, joined and left one by one. */

static void
t_replay_many(t_replay_t *t, ngx_uint_t recoverable)
{
    char               text[32];
    uint64_t           off;
    sio_buf_t          b;
    sio_str_t          names[2];
    ngx_uint_t         n;
    sio_message_t      m;
    ngx_sio_append_t   a;
    ngx_sio_replay_t   rp;

    t_replay_begin(t, 3000);
    t_replay_open(t, 0);

    off = ngx_sio_log_head(&t->z);
    t_replay_connect(t, 0, off, recoverable);

    ngx_memzero(&b, sizeof(sio_buf_t));

    for (n = 0; n < 3300; n++) {
        ngx_memzero(&m, sizeof(sio_message_t));

        m.type = (n < 1500) ? SIO_RECORD_JOIN
                            : (n < 3000) ? SIO_RECORD_LEAVE : SIO_RECORD_EMIT;
        m.rooms = 1;
        m.args = (n < 3000);
        m.names = (n < 3000) ? names : &names[1];

        names[0].data = t->rooms[T_REPLAY_ROOMS].name.data;
        names[0].len = NGX_SIO_SID_LEN;
        names[1].data = (u_char *) text;

        /* each third one stays */

        names[1].len = sprintf(text, "room %u",
                               (unsigned) (n % 1500 - (n >= 1500 && n < 3000
                                                       && n % 3 == 0)));

        b.len = 0;
        assert_int_equal(sio_record_encode(&b, &m, t->z.sh->seed, 4096),
                         SIO_OK);

        ngx_memzero(&a, sizeof(ngx_sio_append_t));
        a.data = b.data;
        a.len = b.len;
        assert_int_equal(ngx_sio_log_append(&t->z, &a), NGX_OK);
    }

    sio_buf_free(&b);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
    rp.applied = off;
    rp.seen = off;
    rp.events = off;

    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_OK);
    assert_int_equal(rp.refs.len, 100 * sizeof(uint64_t));
    assert_int_equal(t->z.sh->live_members, 500);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


static void
t_replay_rooms(void **state)
{
    t_replay_many(&t_replay, 0);
    t_replay_many(&t_replay, 1);
}


/* Every record begins at a valid offset, and nothing else does. */

static void
t_replay_offsets(void **state)
{
    uint64_t       off, at, head;
    ngx_uint_t     lap;
    t_replay_t    *t;
    sio_record_t   rec;

    t = &t_replay;
    t_replay_begin(t, 4000);

    at = ngx_sio_log_head(&t->z);
    assert_true(ngx_sio_replay_valid(&t->z, at));
    assert_false(ngx_sio_replay_valid(&t->z, 0));

    for (lap = 0; lap < 3; lap++) {

        while (ngx_sio_log_head(&t->z) < at + T_REPLAY_LOG / 5 * 4) {
            t->n = 0;
            t_replay_fill(t, 1, 0);
        }

        at = ngx_sio_log_tail(&t->z);
        head = ngx_sio_log_head(&t->z);

        assert_false(ngx_sio_replay_valid(&t->z, at - 64));
        assert_false(ngx_sio_replay_valid(&t->z, head + 64));
        assert_false(ngx_sio_replay_valid(&t->z, (uint64_t) -64));
        assert_false(ngx_sio_replay_valid(&t->z, at + 1));
        assert_true(ngx_sio_replay_valid(&t->z, head));

        for (off = at; off < head; off += SIO_RECORD_ALIGN) {

            if (off < at) {
                assert_false(ngx_sio_replay_valid(&t->z, off));
                continue;
            }

            assert_true(ngx_sio_replay_valid(&t->z, off));

            assert_int_equal(ngx_sio_log_copy(&t->z, off, 0, (u_char *) &rec,
                                              sizeof(sio_record_t)),
                             NGX_OK);
            at = off + rec.size;
        }

        at = head;
    }

    t_replay_end(t);
}


/* A header that somebody has sent as the payload of an event is no record. */

static void
t_replay_forged(void **state)
{
    u_char            *p;
    uint64_t           off;
    sio_buf_t          b;
    sio_str_t          part;
    t_replay_t        *t;
    sio_record_t       rec;
    sio_message_t      m;
    static u_char      payload[1024];
    ngx_sio_append_t   a;

    t = &t_replay;
    t_replay_socket(t);

    ngx_memzero(&b, sizeof(sio_buf_t));
    ngx_memzero(&m, sizeof(sio_message_t));
    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    m.type = SIO_RECORD_EMIT;
    m.parts = 1;
    m.part = &part;
    part.data = payload;
    part.len = sizeof(payload);

    off = ngx_sio_log_head(&t->z) + 256;

    ngx_memzero(&rec, sizeof(sio_record_t));
    rec.offset = off;
    rec.size = 128;
    rec.type = SIO_RECORD_EMIT;
    rec.parts = 1;
    rec.parts_len = 32;

    assert_int_equal(sio_record_encode(&b, &m, t->z.sh->seed, 4096), SIO_OK);

    p = b.data + 256;
    ngx_memcpy(p, &rec, sizeof(sio_record_t));

    a.data = b.data;
    a.len = b.len;
    assert_int_equal(ngx_sio_log_append(&t->z, &a), NGX_OK);
    assert_int_equal(a.first + 256, off);

    assert_int_equal(ngx_sio_log_next(&t->z, &off, &rec), NGX_OK);
    assert_true(sio_record_sane(&rec, ngx_sio_log_max_record(&t->z)));

    assert_false(ngx_sio_replay_valid(&t->z, off));
    assert_true(ngx_sio_replay_valid(&t->z, a.first));

    sio_buf_free(&b);
    t_replay_end(t);
}


/* What does not belong to the caller, or is gone, is declined. */

static void
t_replay_declined(void **state)
{
    uint64_t          birth, owner;
    t_replay_t       *t;
    ngx_sio_replay_t  rp;

    t = &t_replay;
    t_replay_socket(t);
    birth = t->birth[0];
    owner = t->owner[0];

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, 0, 2);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
    rp.applied = birth;
    rp.seen = birth;
    rp.events = birth;

    t->owner[0] = owner + 1;
    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_DECLINED);
    assert_int_equal(t_replay_mask(t, 0), 1);

    t->owner[0] = owner;
    t->z.epoch++;
    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_DECLINED);
    t->z.epoch--;

    while (ngx_sio_log_tail(&t->z) <= birth) {
        t->n = 0;
        t_replay_fill(t, 1, 0);
    }

    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_DECLINED);

    rp.session = 0;
    assert_int_equal(ngx_sio_replay_run(&t->z, birth, &rp), NGX_DECLINED);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


/* A room that the zone has no place for is an error. */

static void
t_replay_full(void **state)
{
    uint32_t     s;
    t_replay_t  *t;

    t = &t_replay;
    t_replay_socket(t);

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, t_replay_sid(0), 2);

    s = t->z.sh->nrooms;
    t->z.sh->nrooms = t->z.sh->top_room;

    assert_int_equal(t_replay_recover(t, t->birth[0]), NGX_ERROR);

    t->z.sh->nrooms = s;

    assert_int_equal(t_replay_recover(t, t->birth[0]), NGX_OK);
    assert_int_equal(t_replay_mask(t, 0), 3);

    t_replay_end(t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_replay_recovery),
        cmocka_unit_test(t_replay_reborn),
        cmocka_unit_test(t_replay_floor),
        cmocka_unit_test(t_replay_parked),
        cmocka_unit_test(t_replay_hashes),
        cmocka_unit_test(t_replay_rooms),
        cmocka_unit_test(t_replay_offsets),
        cmocka_unit_test(t_replay_forged),
        cmocka_unit_test(t_replay_declined),
        cmocka_unit_test(t_replay_full)
    };

    return cmocka_run_group_tests_name("store: replay rules", tests, NULL,
                                       NULL);
}
