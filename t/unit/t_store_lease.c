
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"


/* Three workers; the first holds the lease, until long after the test. */

typedef struct {
    ngx_sio_zone_t  z;
    ngx_uint_t      a;
    ngx_uint_t      b;
    ngx_uint_t      c;
    uint64_t        epoch;
} t_lease_t;


static void
t_lease_begin(t_lease_t *t)
{
    t_store_zone(&t->z, 1024 * 1024, 65536);

    t->a = ngx_sio_worker_enter(&t->z, 0, 0);
    t->b = ngx_sio_worker_enter(&t->z, 1, 0);
    t->c = ngx_sio_worker_enter(&t->z, 2, 0);

    t->epoch = ngx_sio_lease_take(&t->z, t->a, 1000000);

    assert_int_equal(t->epoch, 1);
}


/* The lease has run out so many milliseconds ago: nobody waits for it. */

static void
t_lease_over(t_lease_t *t, uint64_t ago)
{
    t->z.sh->lease.deadline = ngx_sio_zone_now() - ago;
}


static ngx_int_t
t_lease_append(t_lease_t *t, uint64_t epoch, uint64_t n)
{
    u_char             image[128] __attribute__((aligned(64)));
    ngx_sio_feed_sh_t  feed;
    ngx_sio_append_t   a;

    ngx_memzero(&feed, sizeof(ngx_sio_feed_sh_t));
    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    t_store_record(image, 128, 1, n);
    feed.heartbeat = n;

    a.data = image;
    a.len = 128;
    a.lease = epoch;
    a.feed = &feed;

    return ngx_sio_log_append(&t->z, &a);
}


static void
t_lease_is_position(t_lease_t *t, uint64_t n)
{
    ngx_sio_feed_sh_t  feed;

    assert_int_equal(ngx_sio_lease_position(&t->z, &feed), NGX_OK);
    assert_int_equal(feed.heartbeat, n);
}


/* Only the holder of the lease appends for the feed. */

static void
t_lease_epochs(void **state)
{
    uint64_t         second;
    t_lease_t        t;
    ngx_sio_zone_t  *z;

    t_lease_begin(&t);
    z = &t.z;

    assert_int_equal(ngx_sio_lease_standby(z, t.b), NGX_OK);
    assert_int_equal(ngx_sio_lease_take(z, t.b, 10000), 0);
    assert_int_equal(ngx_sio_lease_renew(z, t.epoch, 10000), NGX_OK);
    assert_int_equal(ngx_sio_lease_take(z, t.b, 10000), 0);

    assert_int_equal(ngx_sio_lease_live(z, t.epoch, 1), NGX_OK);
    assert_true(ngx_sio_lease_is_live(z));
    assert_int_equal(t_lease_append(&t, t.epoch, 1), NGX_OK);

    /* its time is over, but nobody took it: it goes on */

    t_lease_over(&t, 100000);

    assert_int_equal(t_lease_append(&t, t.epoch, 2), NGX_OK);
    assert_int_equal(ngx_sio_lease_renew(z, t.epoch, 10000), NGX_OK);
    assert_int_equal(ngx_sio_lease_take(z, t.b, 10000), 0);

    t_lease_over(&t, 0);

    second = ngx_sio_lease_take(z, t.b, 10000);
    assert_int_equal(second, 2);
    assert_int_equal(t_lease_append(&t, t.epoch, 3), NGX_DECLINED);
    assert_int_equal(ngx_sio_lease_renew(z, t.epoch, 20), NGX_DECLINED);
    assert_int_equal(ngx_sio_lease_live(z, t.epoch, 0), NGX_DECLINED);
    assert_true(ngx_sio_lease_is_live(z));
    t_lease_is_position(&t, 2);

    ngx_sio_lease_release(z, t.epoch);
    assert_int_equal(t_lease_append(&t, second, 3), NGX_OK);
    t_lease_is_position(&t, 3);

    ngx_sio_lease_release(z, second);
    assert_int_equal(t_lease_append(&t, second, 4), NGX_DECLINED);
    assert_int_equal(ngx_sio_lease_renew(z, second, 20), NGX_DECLINED);
    assert_int_equal(ngx_sio_lease_take(z, t.a, 10000), 3);

    t_store_unmap(z);
}


/* The standby goes first, and it is no standby any more when it holds. */

static void
t_lease_standby(void **state)
{
    t_lease_t        t;
    ngx_sio_zone_t  *z;

    t_lease_begin(&t);
    z = &t.z;

    assert_int_equal(ngx_sio_lease_standby(z, t.a), NGX_DECLINED);
    assert_int_equal(ngx_sio_lease_standby(z, t.b), NGX_OK);
    assert_int_equal(ngx_sio_lease_standby(z, t.b), NGX_OK);
    assert_int_equal(ngx_sio_lease_standby(z, t.c), NGX_DECLINED);

    ngx_sio_lease_release(z, t.epoch);

    assert_int_equal(ngx_sio_lease_take(z, t.c, 10000), 0);
    assert_int_equal(ngx_sio_lease_take(z, t.a, 10000), 0);
    assert_int_equal(ngx_sio_lease_take(z, t.b, 10000), t.epoch + 1);

    assert_int_equal(ngx_sio_lease_standby(z, t.c), NGX_OK);
    ngx_sio_lease_standby_release(z, t.a);
    assert_int_equal(ngx_sio_lease_standby(z, t.a), NGX_DECLINED);
    ngx_sio_lease_standby_release(z, t.c);
    assert_int_equal(ngx_sio_lease_standby(z, t.a), NGX_OK);

    /* leaving gives both roles back */

    ngx_sio_worker_leave(z, t.b, 0);
    ngx_sio_worker_leave(z, t.a, 0);

    assert_int_equal(ngx_sio_lease_take(z, t.c, 10000), t.epoch + 2);

    t_store_unmap(z);
}


/*
 * A holder that lives may be slow only: the standby, which loses nothing, does
 * not wait for it, but all others do.
 */

static void
t_lease_patience(void **state)
{
    t_lease_t        t;
    ngx_sio_zone_t  *z;

    t_lease_begin(&t);
    z = &t.z;

    /* nobody stands by */

    assert_in_range(ngx_sio_lease_wait(z, t.b), 900000,
                    1000000 + NGX_SIO_LEASE_PATIENCE);

    t_lease_over(&t, 0);
    assert_in_range(ngx_sio_lease_wait(z, t.b), NGX_SIO_LEASE_PATIENCE / 2,
                    NGX_SIO_LEASE_PATIENCE);
    assert_int_equal(ngx_sio_lease_take(z, t.b, 10000), 0);
    assert_int_equal(t_lease_append(&t, t.epoch, 1), NGX_OK);

    t_lease_over(&t, NGX_SIO_LEASE_PATIENCE);
    assert_int_equal(ngx_sio_lease_wait(z, t.b), 0);

    /* somebody does */

    t_lease_over(&t, 0);
    assert_int_equal(ngx_sio_lease_standby(z, t.b), NGX_OK);
    assert_int_equal(ngx_sio_lease_wait(z, t.b), 0);
    assert_in_range(ngx_sio_lease_wait(z, t.c),
                    NGX_SIO_LEASE_PATIENCE / 2 + NGX_SIO_LEASE_GRACE,
                    NGX_SIO_LEASE_PATIENCE + NGX_SIO_LEASE_GRACE);

    t_lease_over(&t, NGX_SIO_LEASE_PATIENCE);
    assert_int_equal(ngx_sio_lease_take(z, t.c, 10000), 0);

    /* it does not use its right */

    t_lease_over(&t, NGX_SIO_LEASE_PATIENCE + NGX_SIO_LEASE_GRACE);
    assert_int_equal(ngx_sio_lease_wait(z, t.c), 0);
    assert_int_equal(ngx_sio_lease_take(z, t.c, 1000000), t.epoch + 1);
    assert_int_equal(t_lease_append(&t, t.epoch, 2), NGX_DECLINED);

    /* it is one no more */

    ngx_sio_lease_standby_release(z, t.b);
    t_lease_over(&t, 0);
    assert_true(ngx_sio_lease_wait(z, t.b));
    assert_int_equal(ngx_sio_lease_take(z, t.b, 10000), 0);

    t_lease_over(&t, NGX_SIO_LEASE_PATIENCE);
    assert_int_equal(ngx_sio_lease_take(z, t.b, 10000), t.epoch + 2);

    t_store_unmap(z);
}


/* A standby that does not use its right stands in the way for a while only. */

static void
t_lease_standby_stopped(void **state)
{
    t_lease_t        t;
    ngx_sio_zone_t  *z;

    t_lease_begin(&t);
    z = &t.z;

    assert_int_equal(ngx_sio_lease_standby(z, t.b), NGX_OK);
    ngx_sio_lease_release(z, t.epoch);

    assert_int_equal(ngx_sio_lease_wait(z, t.b), 0);
    assert_in_range(ngx_sio_lease_wait(z, t.c), 1, NGX_SIO_LEASE_GRACE);
    assert_int_equal(ngx_sio_lease_take(z, t.c, 10000), 0);

    t_lease_over(&t, NGX_SIO_LEASE_GRACE);

    assert_int_equal(ngx_sio_lease_wait(z, t.c), 0);
    assert_int_equal(ngx_sio_lease_take(z, t.c, 10000), t.epoch + 1);

    t_store_unmap(z);
}


/* Death frees a role at once, before anybody has reaped. */

static void
t_lease_dead(void **state)
{
    pid_t           pid;
    ngx_uint_t      slot, mine;
    ngx_sio_zone_t  z;

    t_store_zone(&z, 1024 * 1024, 65536);

    mine = ngx_sio_worker_enter(&z, 0, 0);

    pid = t_store_fork();

    if (pid == 0) {
        slot = ngx_sio_worker_enter(&z, 1, 0);
        t_store_must(ngx_sio_lease_take(&z, slot, 1000000) == 1);
        slot = ngx_sio_worker_enter(&z, 2, 0);
        t_store_must(ngx_sio_lease_standby(&z, slot) == NGX_OK);
        _exit(0);
    }

    t_store_finished(pid);

    assert_false(ngx_sio_worker_alive(&z, 2));
    assert_int_equal(ngx_sio_lease_wait(&z, mine), 0);
    assert_int_equal(ngx_sio_lease_standby(&z, mine), NGX_OK);
    assert_int_equal(ngx_sio_lease_take(&z, mine, 1000), 2);
    assert_int_equal(ngx_sio_worker_reap(&z, 0), 2);
    assert_int_equal(ngx_sio_worker_reap(&z, 0), 0);
    assert_int_equal(ngx_sio_lease_renew(&z, 2, 1000), NGX_OK);

    t_store_unmap(&z);
}


/*
 * Holders that lose the lease at any moment, because they are stopped or
 * because they never renew it, and do not notice: what they append is one
 * sequence nevertheless, in which nothing is missing and nothing comes twice.
 */

#define T_LEASE_WORKERS  3
#define T_LEASE_TTL      2                     /* ms */
#define T_LEASE_STOP     20                    /* ms: under the lock, nobody
                                                  can go on meanwhile */
#define T_LEASE_EPOCHS   400


static void
t_lease_run(ngx_sio_zone_t *z)
{
    uint64_t           epoch, n;
    ngx_int_t          rc;
    ngx_uint_t         slot;
    t_lease_t          t;
    ngx_sio_feed_sh_t  feed;

    t.z = *z;
    slot = ngx_sio_worker_enter(&t.z, 0, 0);
    t_store_must(slot);

    for ( ;; ) {
        (void) ngx_sio_log_advance(&t.z, slot, ngx_sio_log_head(&t.z));

        epoch = ngx_sio_lease_take(&t.z, slot, T_LEASE_TTL);

        if (epoch == 0) {
            (void) ngx_sio_lease_standby(&t.z, slot);
            (void) usleep(50);
            continue;
        }

        do {
            rc = ngx_sio_lease_position(&t.z, &feed);
        } while (rc == NGX_BUSY);

        n = (rc == NGX_OK) ? feed.heartbeat + 1 : 1;

        do {
            rc = t_lease_append(&t, epoch, n);

            if (rc == NGX_OK) {
                n++;
            }

            (void) ngx_sio_log_advance(&t.z, slot, ngx_sio_log_head(&t.z));

            if (n % 8 == 0) {
                /* not all of the time under the lock */
                (void) usleep(50);
            }

        } while (rc == NGX_OK || rc == NGX_AGAIN || rc == NGX_BUSY);

        t_store_must(rc == NGX_DECLINED);
    }
}


/* Reads all there is; returns the number of the last record. */

static uint64_t
t_lease_read(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t *off, uint64_t n)
{
    u_char           body[128] __attribute__((aligned(64)));
    sio_record_t     rec;
    t_store_text_t  *text;

    text = (t_store_text_t *) body;

    while (ngx_sio_log_next(z, off, &rec) == NGX_OK) {
        assert_int_equal(ngx_sio_log_copy(z, *off, sizeof(sio_record_t), body,
                                          128 - sizeof(sio_record_t)),
                         NGX_OK);
        assert_int_equal(text->n, ++n);

        *off += rec.size;
    }

    assert_int_equal(ngx_sio_log_advance(z, slot, *off), NGX_OK);

    return n;
}


static void
t_lease_taken_over(void **state)
{
    pid_t           pid[T_LEASE_WORKERS], holder;
    uint64_t        n, off, epoch, end;
    ngx_uint_t      i, slot, stops;
    ngx_sio_zone_t  z;

    t_store_zone(&z, 1024 * 1024, 65536);

    slot = ngx_sio_worker_enter(&z, 0, 0);
    off = ngx_sio_log_head(&z);

    for (i = 0; i < T_LEASE_WORKERS; i++) {
        pid[i] = t_store_fork();

        if (pid[i] == 0) {
            t_lease_run(&z);
        }
    }

    n = 0;
    stops = 0;

    while (ngx_sio_load(&z.sh->lease.epoch) < T_LEASE_EPOCHS) {

        n = t_lease_read(&z, slot, &off, n);

        epoch = ngx_sio_load(&z.sh->lease.epoch);
        i = ngx_sio_load(&z.sh->lease.slot);

        if (i == 0 || epoch % 2) {
            continue;
        }

        holder = z.sh->workers[i - 1].pid;
        end = ngx_sio_zone_now() + T_LEASE_STOP;

        assert_int_equal(kill(holder, SIGSTOP), 0);

        while (ngx_sio_load(&z.sh->lease.epoch) == epoch
               && ngx_sio_zone_now() < end)
        {
            n = t_lease_read(&z, slot, &off, n);
        }

        assert_int_equal(kill(holder, SIGCONT), 0);
        stops++;
    }

    for (i = 0; i < T_LEASE_WORKERS; i++) {
        assert_int_equal(kill(pid[i], SIGKILL), 0);
        assert_true(t_store_killed(pid[i]));
    }

    n = t_lease_read(&z, slot, &off, n);

    t_lease_is_position(&(t_lease_t) { .z = z }, n);
    assert_true(n > T_LEASE_EPOCHS);
    assert_true(stops > T_LEASE_EPOCHS / 10);

    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_lease_epochs),
        cmocka_unit_test(t_lease_standby),
        cmocka_unit_test(t_lease_patience),
        cmocka_unit_test(t_lease_standby_stopped),
        cmocka_unit_test(t_lease_dead),
        cmocka_unit_test(t_lease_taken_over)
    };

    return cmocka_run_group_tests_name("store: lease", tests, NULL, NULL);
}
