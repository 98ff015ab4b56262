
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"

#include <ngx_sio_table.h>


#define T_TABLE_SESSIONS  100


/* One more bucket takes from one other, and from no more than that. */

static void
t_table_bucket(void **state)
{
    uint32_t  n, i, next, from;
    uint64_t  seed, hash;

    seed = 7;

    for (n = 1; n < 100; n++) {

        from = 0;

        for (i = 0; i < 4000; i++) {
            hash = t_store_random(&seed);
            next = ngx_sio_table_bucket(hash, n + 1);

            assert_true(ngx_sio_table_bucket(hash, n) < n);

            if (next != n) {
                assert_int_equal(next, ngx_sio_table_bucket(hash, n));
                continue;
            }

            if (from == 0) {
                from = ngx_sio_table_bucket(hash, n) + 1;
            }

            assert_int_equal(ngx_sio_table_bucket(hash, n) + 1, from);
        }

        assert_true(from);
    }

    assert_int_equal(ngx_sio_table_bucket(12345, 0), 0);
}


static size_t
t_table_pages(uint32_t *table, uint32_t n)
{
    u_char  vec[4096];
    size_t  i, page, size, pages;

    page = getpagesize();

    table = (uint32_t *) ngx_align_ptr(table, page);
    size = (n * sizeof(uint32_t) - page) & ~(page - 1);

    assert_true(size / page <= sizeof(vec));
    assert_int_equal(mincore(table, size, vec), 0);

    for (i = 0, pages = 0; i < size / page; i++) {
        pages += vec[i] & 1;
    }

    return pages;
}


/* The tables of a large zone cost no more than what is in use. */

static void
t_table_untouched(void **state)
{
    u_char             buf[SIO_ROOM_LEN], id[NGX_SIO_SID_LEN];
    uint64_t           n;
    ngx_str_t          name;
    ngx_sio_room_t     room;
    ngx_sio_zone_t     z;
    ngx_sio_names_t    rooms;

    t_store_zone(&z, 64 * 1024 * 1024, 1024 * 1024);

    rooms = ngx_sio_name_rooms(&z);

    for (n = 1; n <= T_TABLE_SESSIONS; n++) {
        t_store_room(&z, &room, buf, n);

        name.data = id;
        name.len = sprintf((char *) id, "user%d", (int) n);

        assert_int_not_equal(t_store_open(&z, 1, n), 0);
        assert_int_equal(t_store_connect(&z, n, n, &name, &room, 1, 1), NGX_OK);
    }

    for (n = 1; n <= T_TABLE_SESSIONS; n++) {
        t_store_room(&z, &room, buf, n);

        assert_int_not_equal(ngx_sio_name_find_locked(&z, &rooms, room.hash, 0,
                                                      buf, room.name.len),
                             0);
    }

    /* the first page may begin in front of the first whole one */

    assert_true(t_table_pages(z.room_table, z.sh->nrooms) <= 1);
    assert_true(t_table_pages(z.user_table, z.sh->nusers) <= 1);
    assert_true(t_table_pages(z.eio_table, z.sh->nsessions) <= 1);
    assert_true(t_table_pages(z.sid_table, z.sh->nsessions) <= 1);
    assert_true(t_table_pages(z.key_table, z.sh->nkeys) <= 1);

    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_table_bucket),
        cmocka_unit_test(t_table_untouched)
    };

    return cmocka_run_group_tests_name("store: table", tests, NULL, NULL);
}
