
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* Rooms that a session has left, while somebody may ask for what was there. */


#include "t_store.h"


#define T_ENDED_LOG    65536
#define T_ENDED_ROOMS  60


static u_char          names[T_ENDED_ROOMS][SIO_ROOM_LEN];
static ngx_sio_room_t  rooms[T_ENDED_ROOMS];


/* A socket in n rooms since the beginning of the log. */

static ngx_sio_session_sh_t *
t_ended_zone(ngx_sio_zone_t *z, ngx_uint_t n)
{
    ngx_uint_t  i;

    t_store_zone(z, 1024 * 1024, T_ENDED_LOG);

    for (i = 0; i < T_ENDED_ROOMS; i++) {
        t_store_room(z, &rooms[i], names[i], i);
    }

    assert_int_equal(t_store_open(z, 1, 1), 1);
    assert_int_equal(t_store_connect(z, 1, 1, NULL, rooms, n, T_ENDED_LOG),
                     NGX_OK);

    return &z->sessions[1];
}


/* An offset n records into the log. */

#define t_ended_at(n)  (T_ENDED_LOG + 64 * (uint64_t) (n))


static ngx_uint_t
t_ended_covered(ngx_sio_zone_t *z, ngx_uint_t room, uint64_t off)
{
    uint32_t              ref;
    ngx_uint_t            n;
    ngx_sio_member_sh_t  *m;

    ref = NGX_SIO_NO_MEMBER;
    n = 0;

    for ( ;; ) {
        m = ngx_sio_session_walk_all(z, &z->sessions[1], &ref);

        if (m == NULL) {
            return n;
        }

        if (ngx_sio_name_equal(z, &z->rooms[ngx_sio_member_room(m)], 0,
                               rooms[room].name.data, rooms[room].name.len))
        {
            n += ngx_sio_member_covers(m, off);
        }
    }
}


static ngx_uint_t
t_ended_walk(ngx_sio_zone_t *z)
{
    uint32_t    ref;
    ngx_uint_t  n;

    ref = NGX_SIO_NO_MEMBER;

    for (n = 0; ngx_sio_session_walk(z, &z->sessions[1], &ref); n++) {
        /* void */
    }

    return n;
}


/* It ends, stays where it is, and covers what it did. */

static void
t_ended_kept(void **state)
{
    uint32_t               first;
    ngx_sio_zone_t         z;
    ngx_sio_room_t         again;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    ss = t_ended_zone(&z, 3);

    m = ngx_sio_session_member(&z, ss, rooms[1].member);
    m->pos = 4711;

    assert_false(ngx_sio_member_covers(m, T_ENDED_LOG - 64));
    assert_true(ngx_sio_member_covers(m, T_ENDED_LOG));
    assert_true(ngx_sio_member_covers(m, (uint64_t) -1));

    assert_int_equal(t_store_leave(&z, 1, rooms[1].member, t_ended_at(4)),
                     NGX_OK);

    assert_int_equal(m->room, rooms[1].room | NGX_SIO_LEFT);
    assert_int_equal(ngx_sio_member_room(m), rooms[1].room);
    assert_int_equal(m->since, T_ENDED_LOG);
    assert_int_equal(ngx_sio_member_end(m), t_ended_at(4));

    assert_false(ngx_sio_member_covers(m, T_ENDED_LOG - 64));
    assert_true(ngx_sio_member_covers(m, T_ENDED_LOG));
    assert_true(ngx_sio_member_covers(m, t_ended_at(3)));
    assert_false(ngx_sio_member_covers(m, t_ended_at(4)));

    assert_int_equal(ss->members, 3);
    assert_int_equal(z.sh->live_members, 2);
    assert_int_equal(z.rooms[rooms[1].room].refs, 1);
    assert_int_equal(t_ended_walk(&z), 2);
    t_store_check(&z, "kept", 0);

    /* it has ended: nothing ends it again */

    assert_int_equal(t_store_leave(&z, 1, rooms[1].member, t_ended_at(9)),
                     NGX_OK);
    assert_int_equal(t_store_leave(&z, 1, rooms[1].member, 0), NGX_OK);
    assert_int_equal(ngx_sio_member_end(m), t_ended_at(4));

    /* the next one is another */

    again = rooms[1];
    first = rooms[1].member;
    assert_int_equal(t_store_join(&z, 1, &again, t_ended_at(6)), NGX_OK);
    assert_int_not_equal(again.member, first);
    assert_int_equal(again.room, rooms[1].room);
    assert_int_equal(t_store_join(&z, 1, &again, t_ended_at(7)), NGX_DONE);
    assert_int_equal(z.rooms[rooms[1].room].refs, 2);
    assert_int_equal(t_ended_covered(&z, 1, t_ended_at(3)), 1);
    assert_int_equal(t_ended_covered(&z, 1, t_ended_at(5)), 0);
    assert_int_equal(t_ended_covered(&z, 1, t_ended_at(6)), 1);

    /* a membership of no length is none, and one that shall not be kept */

    assert_int_equal(t_store_leave(&z, 1, again.member, t_ended_at(6)),
                     NGX_OK);
    assert_int_equal(t_store_leave(&z, 1, rooms[0].member, 0), NGX_OK);
    assert_int_equal(ss->members, 2);
    t_store_check(&z, "kept", 1);

    /* it goes with the socket */

    assert_int_equal(t_store_disconnect(&z, 1), NGX_OK);
    assert_int_equal(ss->members, 0);
    assert_int_equal(z.sh->live_members, 0);
    assert_int_equal(z.sh->live_rooms, 0);
    assert_int_equal(ss->flags, 0);
    t_store_check(&z, "kept", 2);

    t_store_unmap(&z);
}


/* Nothing is kept for a socket that nobody can recover. */

static void
t_ended_not_kept(void **state)
{
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    ss = t_ended_zone(&z, 3);
    ss->flags = 0;

    assert_int_equal(t_store_leave(&z, 1, rooms[1].member, t_ended_at(4)),
                     NGX_OK);
    assert_int_equal(ss->members, 2);
    t_store_check(&z, "not kept", 0);

    t_store_unmap(&z);
}


/* What the log has passed goes when somebody looks for a place, or leaves. */

static void
t_ended_passed(void **state)
{
    ngx_uint_t             n, round;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    for (round = 0; round < 2; round++) {

        ss = t_ended_zone(&z, 40);

        for (n = 0; n < 10; n++) {
            assert_int_equal(t_store_leave(&z, 1, rooms[30 + n].member,
                                           t_ended_at(64 * n + 64)),
                             NGX_OK);
        }

        assert_int_equal(ss->members, 40);

        t_store_push(&z, 0, t_ended_at(64 * 5));
        assert_int_equal(ss->members, 40);

        if (round) {
            assert_int_equal(t_store_join(&z, 1, &rooms[50], t_ended_at(900)),
                             NGX_OK);
        } else {
            assert_int_equal(t_store_leave(&z, 1, rooms[0].member,
                                           t_ended_at(2000)),
                             NGX_OK);
        }

        for (n = 0; n < 10; n++) {
            assert_int_equal(t_ended_covered(&z, 30 + n, T_ENDED_LOG),
                             t_ended_at(64 * n + 64) > ngx_sio_log_tail(&z));
        }

        assert_true(ss->members < 37);
        assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE);
        t_store_check(&z, "passed", round);

        /* what ends behind the log is not kept at all */

        n = ss->members;
        assert_int_equal(t_store_leave(&z, 1, rooms[1].member,
                                       ngx_sio_log_tail(&z)),
                         NGX_OK);
        assert_int_equal(ss->members, n - 1);

        assert_int_equal(t_store_close(&z, 1), NGX_OK);
        t_store_is_empty(&z);
        t_store_unmap(&z);
    }
}


/* Too many: the oldest is forgotten, and the floor is where it ended. */

static void
t_ended_floor(void **state)
{
    uint64_t               from;
    ngx_uint_t             n;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    ss = t_ended_zone(&z, 40);
    ss->base_last = t_ended_at(500);
    ss->base_from = t_ended_at(600);

    for (n = 0; n < NGX_SIO_ENDED; n++) {
        assert_int_equal(t_store_leave(&z, 1, rooms[20 - n].member,
                                       t_ended_at(10 + n)),
                         NGX_OK);
    }

    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE);
    assert_int_equal(ss->members, 40);

    for (n = NGX_SIO_ENDED; n < NGX_SIO_ENDED + 4; n++) {
        assert_int_equal(t_store_leave(&z, 1, rooms[20 - n + 20].member,
                                       t_ended_at(10 + n)),
                         NGX_OK);
        assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE|NGX_SIO_FLOOR);
        assert_int_equal(ss->base_last, 0);
        assert_int_equal(ss->base_from, t_ended_at(10 + n - NGX_SIO_ENDED));
        assert_int_equal(z.sh->live_members, 40 - n - 1);
        t_store_check(&z, "floor", n);
    }

    assert_int_equal(ss->members, 36);

    for (n = 0; n < NGX_SIO_ENDED; n++) {
        assert_int_equal(t_ended_covered(&z, 20 - n, T_ENDED_LOG), n >= 4);
    }

    /* a floor in the log is no base */

    from = ss->base_from;
    ngx_sio_session_note(&z, ss, t_ended_at(700), t_ended_at(704));
    assert_int_equal(ss->base_from, from);
    assert_int_equal(ss->base_last, 0);
    assert_int_equal(ss->last, t_ended_at(704));

    ngx_sio_session_floor_locked(&z, ss);
    assert_true(ss->flags & NGX_SIO_FLOOR);

    /* when the log has passed it there may be a base again */

    t_store_push(&z, 0, from);
    ngx_sio_session_note(&z, ss, t_ended_at(2000), t_ended_at(2004));
    assert_int_equal(ss->base_from, t_ended_at(2000));
    assert_int_equal(ss->base_last, t_ended_at(704));

    /* so the flag means nothing any more */

    assert_int_equal(ngx_sio_session_park(&z, 1, ss->owner, t_ended_at(2000),
                                          1),
                     NGX_OK);
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE|NGX_SIO_PARKED);
    t_store_check(&z, "floor", 100);
    t_store_unmap(&z);

    /* nor does one that the log has passed without an event */

    ss = t_ended_zone(&z, 3);
    ss->flags |= NGX_SIO_FLOOR;
    ss->base_last = 0;
    ss->base_from = t_ended_at(5);
    t_store_push(&z, 0, t_ended_at(5));
    assert_int_equal(t_store_join(&z, 1, &rooms[50], t_ended_at(2000)),
                     NGX_OK);
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE);

    t_store_unmap(&z);
}


/* A length that is too large for its field: the end is right. */

static void
t_ended_long(void **state)
{
    uint64_t               until;
    ngx_sio_zone_t         z;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    ss = t_ended_zone(&z, 3);
    m = ngx_sio_session_member(&z, ss, rooms[1].member);

    until = t_ended_at(0x100000000 + 77);
    assert_int_equal(t_store_leave(&z, 1, rooms[1].member, until), NGX_OK);

    assert_int_equal(ngx_sio_member_end(m), until);
    assert_true(ngx_sio_member_covers(m, until - 64));
    assert_true(m->since > T_ENDED_LOG && m->since < T_ENDED_LOG + 64 * 100);

    t_store_unmap(&z);
}


/* Random joins and leaves, compared with a list of what was. */

#define T_ENDED_SPANS  4000


typedef struct {
    ngx_uint_t            room;
    uint64_t              since;
    uint64_t              until;               /* 0: not yet */
} t_ended_span_t;


static t_ended_span_t  spans[T_ENDED_SPANS];


static t_ended_span_t *
t_ended_live(ngx_uint_t n, ngx_uint_t room)
{
    while (n--) {
        if (spans[n].room == room && spans[n].until == 0) {
            return &spans[n];
        }
    }

    return NULL;
}


static void
t_ended_compare(ngx_sio_zone_t *z, ngx_uint_t n, uint64_t off)
{
    ngx_uint_t             i, room, should;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[1];

    ngx_sio_session_floor_locked(z, ss);

    if (off < ngx_sio_log_tail(z)
        || ((ss->flags & NGX_SIO_FLOOR) && off < ss->base_from))
    {
        return;
    }

    for (room = 0; room < T_ENDED_ROOMS; room++) {

        should = 0;

        for (i = 0; i < n; i++) {
            if (spans[i].room == room && spans[i].since <= off
                && (spans[i].until == 0 || off < spans[i].until))
            {
                should = 1;
            }
        }

        assert_int_equal(t_ended_covered(z, room, off), should);
    }
}


static void
t_ended_random(void **state)
{
    uint64_t               seed, off, floors;
    ngx_uint_t             n, k, room;
    ngx_sio_zone_t         z;
    ngx_sio_room_t         copy;
    t_ended_span_t        *span;
    ngx_sio_session_sh_t  *ss;

    ss = t_ended_zone(&z, 0);
    seed = 7;
    floors = 0;

    for (n = 0; n < T_ENDED_SPANS; /* void */ ) {

        /* quick and slow by turns */

        for (k = t_store_random(&seed) % (n / 200 % 2 ? 40 : 8); k; k--) {
            (void) t_store_append(&z, 0);
        }

        off = t_store_append(&z, 0);
        room = t_store_random(&seed) % T_ENDED_ROOMS;
        span = t_ended_live(n, room);
        copy = rooms[room];

        if (span) {
            assert_int_equal(t_store_join(&z, 1, &copy, off + 256), NGX_DONE);
            assert_int_equal(t_store_leave(&z, 1, copy.member, off + 256),
                             NGX_OK);
            span->until = off + 256;

        } else {
            assert_int_equal(t_store_join(&z, 1, &copy, off + 256), NGX_OK);
            spans[n].room = room;
            spans[n++].since = off + 256;
        }

        ngx_sio_session_note(&z, ss, off, off + 256);

        if (n % 8 == 0) {
            t_store_check(&z, "random", n);

            t_ended_compare(&z, n, off);
            t_ended_compare(&z, n, off + 256);
            t_ended_compare(&z, n, off - t_store_random(&seed) % 65536 / 64
                                         * 64);
        }

        floors += ((ss->flags & NGX_SIO_FLOOR) != 0);
    }

    assert_in_range(floors, 200, 7000);

    assert_int_equal(t_store_close(&z, 1), NGX_OK);
    t_store_is_empty(&z);
    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_ended_kept),
        cmocka_unit_test(t_ended_not_kept),
        cmocka_unit_test(t_ended_passed),
        cmocka_unit_test(t_ended_floor),
        cmocka_unit_test(t_ended_long),
        cmocka_unit_test(t_ended_random)
    };

    return cmocka_run_group_tests_name("store: ended", tests, NULL, NULL);
}
