
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * What is counted for "socketio_limit": transports of an address and of a user,
 * and tokens for events; and that it is right whenever somebody dies.
 */


#include "t_store_kill.h"

#include "ngx_sio_limit.h"


#define T_LIMIT_ADDRESS  11
#define T_LIMIT_USER     "u"


static uint32_t
t_limit_open(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t n, uint64_t address,
    uint32_t most, ngx_uint_t *limited)
{
    u_char                 sid[NGX_SIO_SID_LEN];
    uint32_t               i;
    uint64_t               owner;
    ngx_sio_session_new_t  new;

    t_store_sid(sid, 'e', n);
    ngx_memzero(&new, sizeof(ngx_sio_session_new_t));

    new.eio_sid = sid;
    new.transport = slot ? SIO_EIO_WEBSOCKET : SIO_EIO_POLLING;
    new.ping_interval = 25000;
    new.ping_timeout = 20000;
    new.address = address;
    new.most = most;

    i = ngx_sio_session_open(z, slot, &new, &owner);

    if (limited) {
        *limited = new.limited;
    }

    return i;
}


static void
t_limit_connect(ngx_sio_zone_t *z, uint32_t i, uint64_t n)
{
    ngx_str_t  user;

    ngx_str_set(&user, T_LIMIT_USER);

    t_store_must(t_store_connect(z, i, n, &user, NULL, 0, 0) == NGX_OK);
}


static uint32_t
t_limit_count(ngx_sio_zone_t *z, uint64_t key)
{
    uint32_t  n;

    t_store_must(ngx_sio_zone_lock(z) == NGX_OK);
    n = ngx_sio_limit_count_locked(z, key);
    ngx_sio_zone_unlock(z);

    return n;
}


static uint32_t
t_limit_user(ngx_sio_zone_t *z)
{
    return t_limit_count(z, sio_hash(z->sh->seed, T_LIMIT_USER,
                                     sizeof(T_LIMIT_USER) - 1));
}


static uint32_t
t_limit_oldest(ngx_sio_zone_t *z, uint32_t i, uint32_t max)
{
    uint32_t  n;

    t_store_must(ngx_sio_zone_lock(z) == NGX_OK);
    n = ngx_sio_limit_oldest_locked(z, i, max);
    ngx_sio_zone_unlock(z);

    return n;
}


static void
t_limit_zone(ngx_sio_zone_t *z)
{
    t_store_zone(z, T_KILL_SIZE, T_KILL_LOG);

    assert_int_equal(ngx_sio_worker_enter(z, 0, 0), 1);
}


static void
t_limit_addresses(void **state)
{
    uint32_t        i[3];
    ngx_uint_t      limited, n;
    ngx_sio_zone_t  z;

    t_limit_zone(&z);

    for (n = 0; n < 3; n++) {
        i[n] = t_limit_open(&z, n & 1, n, T_LIMIT_ADDRESS, 3, &limited);
        assert_true(i[n]);
        assert_false(limited);
    }

    assert_int_equal(t_limit_count(&z, T_LIMIT_ADDRESS), 3);

    /* one more is none too many for the zone */

    assert_int_equal(t_limit_open(&z, 0, 10, T_LIMIT_ADDRESS, 3, &limited), 0);
    assert_true(limited);
    assert_int_equal(z.sh->refused, 0);
    t_store_check(&z, "limited", 0);

    assert_true(t_limit_open(&z, 0, 11, T_LIMIT_ADDRESS + 1, 3, &limited));
    assert_true(t_limit_open(&z, 0, 12, 0, 3, &limited));
    assert_true(t_limit_open(&z, 0, 13, T_LIMIT_ADDRESS, 0, &limited));
    assert_int_equal(t_limit_count(&z, T_LIMIT_ADDRESS), 4);

    assert_int_equal(t_store_close(&z, i[0]), NGX_OK);
    assert_int_equal(t_store_close(&z, i[1]), NGX_OK);
    assert_int_equal(t_limit_count(&z, T_LIMIT_ADDRESS), 2);
    assert_true(t_limit_open(&z, 0, 14, T_LIMIT_ADDRESS, 3, &limited));
    t_store_check(&z, "closed", 0);

    t_store_unmap(&z);
}


static void
t_limit_users(void **state)
{
    uint32_t        i[4], branch;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    t_limit_zone(&z);

    for (n = 0; n < 4; n++) {
        i[n] = t_limit_open(&z, 1, n, 0, 0, NULL);
        t_limit_connect(&z, i[n], n);
    }

    assert_int_equal(t_limit_user(&z), 4);

    /* a socket more is no transport more */

    branch = t_store_branch(&z, i[0], 7, 1, 0);
    t_limit_connect(&z, branch, 100);
    assert_int_equal(t_limit_user(&z), 4);

    assert_int_equal(t_limit_oldest(&z, i[3], 4), 0);
    assert_int_equal(t_limit_oldest(&z, i[3], 3), i[0]);
    assert_int_equal(t_limit_user(&z), 3);
    assert_int_equal(t_limit_oldest(&z, i[3], 3), 0);
    t_store_check(&z, "oldest", 0);

    /* never the one that asks */

    assert_int_equal(t_limit_oldest(&z, i[1], 2), i[2]);
    assert_int_equal(t_limit_oldest(&z, i[3], 1), i[1]);
    assert_int_equal(t_limit_oldest(&z, i[3], 0), 0);
    assert_int_equal(t_limit_user(&z), 1);

    /* it counts until the last socket is gone, be it a branch */

    branch = t_store_branch(&z, i[3], 7, 1, 0);
    t_limit_connect(&z, branch, 101);
    assert_int_equal(t_store_disconnect(&z, i[3]), NGX_OK);
    assert_int_equal(t_limit_user(&z), 1);
    assert_int_equal(t_store_disconnect(&z, branch), NGX_OK);
    assert_int_equal(t_limit_user(&z), 0);

    t_limit_connect(&z, i[3], 102);
    assert_int_equal(t_limit_user(&z), 1);
    t_store_check(&z, "again", 0);

    t_store_unmap(&z);
}


static void
t_limit_parked(void **state)
{
    uint32_t        i, to;
    ngx_sio_zone_t  z;

    t_limit_zone(&z);

    i = t_limit_open(&z, 1, 1, T_LIMIT_ADDRESS, 0, NULL);
    t_limit_connect(&z, i, 1);

    assert_int_equal(ngx_sio_limit_event(&z, i, 1, 1), NGX_SIO_LIMIT_OK);
    assert_int_equal(ngx_sio_session_park(&z, i, t_store_ticket(&z, i),
                                          z.sh->head, (uint64_t) -1),
                     NGX_OK);
    assert_int_equal(t_limit_user(&z), 0);
    assert_int_equal(t_limit_count(&z, T_LIMIT_ADDRESS), 0);
    t_store_check(&z, "parked", 0);

    /* it comes back from elsewhere, with the tokens it had */

    to = t_limit_open(&z, 1, 2, T_LIMIT_ADDRESS + 1, 0, NULL);

    t_store_must(ngx_sio_zone_lock(&z) == NGX_OK);
    assert_int_equal(ngx_sio_session_adopt_locked(&z, to, i,
                                                  t_store_ticket(&z, i),
                                                  z.sh->head),
                     NGX_OK);
    ngx_sio_zone_unlock(&z);

    assert_int_equal(t_limit_user(&z), 1);
    assert_int_equal(t_limit_count(&z, T_LIMIT_ADDRESS), 0);
    assert_int_equal(t_limit_count(&z, T_LIMIT_ADDRESS + 1), 1);
    assert_int_equal(ngx_sio_limit_event(&z, to, 1, 1), NGX_SIO_LIMIT_OVER);
    t_store_check(&z, "adopted", 0);

    t_store_unmap(&z);
}


static void
t_limit_events(void **state)
{
    uint32_t        i;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    t_limit_zone(&z);

    i = t_limit_open(&z, 1, 1, 0, 0, NULL);

    for (n = 0; n < 5; n++) {
        assert_int_equal(ngx_sio_limit_event(&z, i, 1, 5), NGX_SIO_LIMIT_OK);
    }

    for (n = 0; n < 5 * NGX_SIO_LIMIT_BURSTS; n++) {
        assert_int_equal(ngx_sio_limit_event(&z, i, 1, 5),
                         NGX_SIO_LIMIT_OVER);
    }

    assert_int_equal(ngx_sio_limit_event(&z, i, 1, 5), NGX_SIO_LIMIT_FLOOD);

    /* a token comes back in its time, and no more than burst are kept */

    z.rates[i].events = ngx_sio_zone_now() * 1000 + 4000000 - 1;
    assert_int_equal(ngx_sio_limit_event(&z, i, 1, 5), NGX_SIO_LIMIT_OK);
    assert_int_equal(ngx_sio_limit_event(&z, i, 1, 5), NGX_SIO_LIMIT_FLOOD);

    z.rates[i].events = 0;
    z.rates[i].refused = 0;

    for (n = 0; ngx_sio_limit_event(&z, i, 1, 5) == NGX_SIO_LIMIT_OK; n++) {
        /* void */
    }

    assert_int_equal(n, 5);

    /* what is impossibly far away is not */

    z.rates[i].events = (uint64_t) -1;
    assert_int_equal(ngx_sio_limit_event(&z, i, 1000000, 1000000),
                     NGX_SIO_LIMIT_OVER);

    t_store_unmap(&z);
}


/* The operations that are killed; the session of the test is number 50. */

static void
t_limit_prepare(t_kill_t *t)
{
    uint32_t  other;

    other = t_limit_open(&t->z, t->slot, 40, T_LIMIT_ADDRESS, 0, NULL);
    t_limit_connect(&t->z, other, 40);

    t->session = t_limit_open(&t->z, t->slot, 50, T_LIMIT_ADDRESS, 0, NULL);
    t_limit_connect(&t->z, t->session, 50);

    other = t_limit_open(&t->z, t->slot, 60, T_LIMIT_ADDRESS, 0, NULL);
    t_limit_connect(&t->z, other, 60);
}


/* Each of those that are there counts, and nobody else. */

static void
t_limit_after(t_kill_t *t)
{
    uint32_t    i, addresses, users;
    ngx_uint_t  k;

    static const uint64_t  n[] = { 40, 50, 60, 70 };

    addresses = 0;
    users = 0;

    for (k = 0; k < 4; k++) {
        i = t_store_by_eio(&t->z, n[k]);

        addresses += (i && t->z.limits[i].address);
        users += (i && t->z.limits[i].user);

        if (i && n[k] != 70) {
            assert_true(t->z.limits[i].address);
        }

        if (i && n[k] != 50 && n[k] != 70 && t->z.sessions[i].sid[0]) {
            assert_true(t->z.limits[i].user || n[k] == 40);
        }

        if (i && t->z.sessions[i].sid[0] == 0) {
            assert_false(t->z.limits[i].user);
        }
    }

    assert_int_equal(t_limit_count(&t->z, T_LIMIT_ADDRESS), addresses);
    assert_int_equal(t_limit_user(&t->z), users);
}


static void
t_limit_do_open(t_kill_t *t)
{
    t_store_must(t_limit_open(&t->z, t->slot, 70, T_LIMIT_ADDRESS, 0, NULL));
}


static void
t_limit_do_open_new(t_kill_t *t)
{
    t_store_must(t_limit_open(&t->z, t->slot, 70, T_LIMIT_ADDRESS + 1, 0,
                              NULL));
}


static void
t_limit_prepare_connect(t_kill_t *t)
{
    t_limit_prepare(t);
    t_limit_do_open(t);
}


static void
t_limit_do_connect(t_kill_t *t)
{
    t_limit_connect(&t->z, t_store_by_eio(&t->z, 70), 70);
}


static void
t_limit_do_close(t_kill_t *t)
{
    t_store_must(t_store_close(&t->z, t->session) == NGX_OK);
}


static void
t_limit_do_disconnect(t_kill_t *t)
{
    t_store_must(t_store_disconnect(&t->z, t->session) == NGX_OK);
}


static void
t_limit_do_park(t_kill_t *t)
{
    t_store_must(ngx_sio_session_park(&t->z, t->session,
                                      t_store_ticket(&t->z, t->session),
                                      t->z.sh->head, (uint64_t) -1)
                 == NGX_OK);
}


static void
t_limit_do_oldest(t_kill_t *t)
{
    t_store_must(t_limit_oldest(&t->z, t->session, 2)
                 == t_store_by_eio(&t->z, 40));
}


static const t_kill_operation_t  t_limit_kill_open = {
    "open", t_limit_prepare, t_limit_do_open, t_limit_after, 8, 1
};

static const t_kill_operation_t  t_limit_kill_open_new = {
    "open of a new address", t_limit_prepare, t_limit_do_open_new, NULL, 11, 1
};

static const t_kill_operation_t  t_limit_kill_connect = {
    "connect", t_limit_prepare_connect, t_limit_do_connect, t_limit_after, 8, 1
};

static const t_kill_operation_t  t_limit_kill_close = {
    "close", t_limit_prepare, t_limit_do_close, t_limit_after, 12, 1
};

static const t_kill_operation_t  t_limit_kill_disconnect = {
    "disconnect", t_limit_prepare, t_limit_do_disconnect, t_limit_after, 6, 1
};

static const t_kill_operation_t  t_limit_kill_park = {
    "park", t_limit_prepare, t_limit_do_park, t_limit_after, 8, 1
};

static const t_kill_operation_t  t_limit_kill_oldest = {
    "oldest", t_limit_prepare, t_limit_do_oldest, t_limit_after, 3, 1
};


/* Repair is killed behind each death of a close. */

static void
t_limit_kill_repair(void **state)
{
    ngx_uint_t  first, step, steps;

    steps = t_kill_operation(&t_limit_kill_close);

    for (first = 1; first <= steps; first += 3) {
        for (step = 1;
             t_kill_repair_at(&t_limit_kill_close, first, step);
             step += 2)
        {
            /* void */
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_limit_addresses),
        cmocka_unit_test(t_limit_users),
        cmocka_unit_test(t_limit_parked),
        cmocka_unit_test(t_limit_events),
        t_kill_test(t_limit_kill_open),
        t_kill_test(t_limit_kill_open_new),
        t_kill_test(t_limit_kill_connect),
        t_kill_test(t_limit_kill_close),
        t_kill_test(t_limit_kill_disconnect),
        t_kill_test(t_limit_kill_park),
        t_kill_test(t_limit_kill_oldest),
        cmocka_unit_test(t_limit_kill_repair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
