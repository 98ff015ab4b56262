
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"

#include <ngx_sio_guard.h>


/* A byte that is written behind the end of an array is found, and told of. */

static void
t_guard_found(void **state)
{
    char             text[128];
    u_char          *end, *ends[10];
    ngx_uint_t       i;
    ngx_sio_zone_t   z;

    t_store_zone(&z, 1024 * 1024, 65536);

    ends[0] = (u_char *) (z.sh + 1);
    ends[1] = (u_char *) &z.eio_table[z.sh->nsessions];
    ends[2] = (u_char *) &z.sid_table[z.sh->nsessions];
    ends[3] = (u_char *) &z.room_table[z.sh->nrooms];
    ends[4] = (u_char *) &z.user_table[z.sh->nusers];
    ends[5] = (u_char *) &z.sessions[z.sh->nsessions + 1];
    ends[6] = (u_char *) &z.users[z.sh->nusers + 1];
    ends[7] = (u_char *) &z.online[z.sh->nusers + 1];
    ends[8] = (u_char *) &z.rooms[z.sh->nrooms + 1];
    ends[9] = z.log - NGX_SIO_GUARD_SIZE;

    assert_int_equal(ngx_sio_guard_check(&z, text, sizeof(text)), 0);

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {

        end = ngx_align_ptr(ends[i], NGX_SIO_LINE);
        text[0] = '\0';

        *end ^= 1;
        assert_int_equal(ngx_sio_guard_check(&z, text, sizeof(text)), 1);
        assert_non_null(strstr(text, "written behind"));
        *end ^= 1;
        assert_int_equal(ngx_sio_guard_check(&z, text, sizeof(text)), 0);

        end[NGX_SIO_GUARD_SIZE - 1] ^= 0x80;
        assert_int_equal(ngx_sio_guard_check(&z, text, sizeof(text)), 1);
        end[NGX_SIO_GUARD_SIZE - 1] ^= 0x80;
    }

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
        cmocka_unit_test(t_guard_full)
    };

    return cmocka_run_group_tests_name("store: guard", tests, NULL, NULL);
}
