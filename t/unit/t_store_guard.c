
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"

#include <ngx_sio_guard.h>


/* Where something ends, and what begins behind its guard. */

typedef struct {
    const char  *name;
    void        *end;
    void        *next;
} t_guard_end_t;


static void
t_guard_finds(ngx_sio_zone_t *z, t_guard_end_t *e, u_char *p)
{
    char  text[128], what[128];

    (void) sprintf(what, "written behind %s: byte %u", e->name,
                   (unsigned) (p - (u_char *) e->end));

    *p ^= 1;
    assert_int_equal(ngx_sio_guard_check(z, text, sizeof(text)), 1);
    assert_string_equal(text, what);
    *p ^= 1;

    assert_int_equal(ngx_sio_guard_check(z, text, sizeof(text)), 0);
}


/*
 * A byte that is written behind the end of an array, anywhere in front of the
 * next one, is found, and told of.
 */

static void
t_guard_found(void **state)
{
    char                text[128];
    u_char             *p;
    ngx_uint_t          i;
    ngx_sio_zone_t      z;
    ngx_sio_zone_sh_t  *sh;

    t_store_zone(&z, 1024 * 1024, 65536);

    sh = z.sh;

    t_guard_end_t  ends[] = {
        { "the head of the zone", sh + 1, z.eio_table },
        { "the table of eio_sid", &z.eio_table[sh->nsessions], z.sid_table },
        { "the table of sid", &z.sid_table[sh->nsessions], z.room_table },
        { "the table of rooms", &z.room_table[sh->nrooms], z.user_table },
        { "the table of users", &z.user_table[sh->nusers], z.sessions },
        { "the sessions", &z.sessions[sh->nsessions + 1], z.users },
        { "the users", &z.users[sh->nusers + 1], z.online },
        { "the presence of users", &z.online[sh->nusers + 1], z.rooms },
        { "the rooms", &z.rooms[sh->nrooms + 1], z.tails },
        { "the tails", &z.tails[sh->ntails + 1], z.chunks },
        { "the chunks", &z.chunks[sh->nchunks + 1], z.limits },
        { "the limits", &z.limits[sh->nsessions + 1], z.keys },
        { "the keys", &z.keys[sh->nkeys + 1], z.rates },
        { "the rates", &z.rates[sh->nsessions + 1], z.key_table },
        { "the table of keys", &z.key_table[sh->nkeys],
          (u_char *) &z.key_table[sh->nkeys] + NGX_SIO_GUARD_SIZE },
        { "the log", z.log + z.log_size, (u_char *) sh + sh->size }
    };

    assert_int_equal(ngx_sio_guard_check(&z, text, sizeof(text)), 0);

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {

        assert_true((u_char *) ends[i].next - (u_char *) ends[i].end
                    >= NGX_SIO_GUARD_SIZE);

        for (p = ends[i].end; p < (u_char *) ends[i].next; p++) {
            t_guard_finds(&z, &ends[i], p);
        }
    }

    assert_true((u_char *) ends[i - 2].next <= z.log);

    t_store_unmap(&z);
}


/* Records that end with the log, and some that would not, leave it alone. */

static void
t_guard_log(void **state)
{
    char              text[128];
    u_char            image[1024] __attribute__((aligned(64)));
    uint64_t          seed;
    ngx_uint_t        n, ends;
    ngx_sio_zone_t    z;
    ngx_sio_append_t  a;

    t_store_zone(&z, 1024 * 1024, 4096);

    ngx_memzero(&a, sizeof(ngx_sio_append_t));
    a.data = image;
    seed = 5;
    ends = 0;

    for (n = 0; n < 2000; n++) {
        a.len = 128 + t_store_random(&seed) % 15 * 64;

        t_store_record(image, a.len, 1, n);
        assert_int_equal(ngx_sio_log_append(&z, &a), NGX_OK);
        assert_int_equal(ngx_sio_guard_check(&z, text, sizeof(text)), 0);

        ends += (ngx_sio_log_head(&z) % 4096 == 0);
    }

    assert_true(ends > 10);
    assert_true(ngx_sio_log_head(&z) > 100 * 4096);

    t_store_unmap(&z);
}


/* What uses all of the zone leaves the guards alone. */

static void
t_guard_full(void **state)
{
    char             text[128], user[80];
    u_char           buf[SIO_ROOM_LEN];
    uint64_t         n;
    ngx_int_t        rc;
    ngx_str_t        name;
    ngx_sio_room_t   room;
    ngx_sio_zone_t   z;

    t_store_zone(&z, 1024 * 1024, 65536);

    for (n = 1; t_store_open(&z, 1, n); n++) {

        t_store_room(&z, &room, buf, n);

        name.data = (u_char *) user;
        name.len = sprintf(user, "%060u", (unsigned) n);

        /* from some time on there are no tails for the long names */

        rc = t_store_connect(&z, n, n, &name, &room, 1, 1);
        assert_true(rc == NGX_OK || rc == NGX_DECLINED);
    }

    assert_int_equal(z.sh->top_session, z.sh->nsessions);
    assert_int_equal(z.sh->top_tail, z.sh->ntails);
    ngx_memset(z.log, 0xff, z.log_size);

    assert_int_equal(ngx_sio_guard_check(&z, text, sizeof(text)), 0);

    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_guard_found),
        cmocka_unit_test(t_guard_log),
        cmocka_unit_test(t_guard_full)
    };

    return cmocka_run_group_tests_name("store: guard", tests, NULL, NULL);
}
