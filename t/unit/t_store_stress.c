
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"

#include <poll.h>


#define T_STRESS_RECORDS   10000000
#define T_STRESS_WRITERS   4
#define T_STRESS_READERS   3
#define T_STRESS_BATCH     16


/* What the processes of a test tell each other. */

typedef struct {
    uint64_t          appended;
    uint64_t          total[T_STRESS_WRITERS]; /* of each writer, when known */
    uint64_t          read[T_STRESS_READERS];
    uint32_t          ready;
    uint32_t          stop;
    uint32_t          done;                    /* writers that are */
    uint32_t          rejoined;
} t_stress_shared_t;


typedef struct {
    ngx_sio_zone_t      z;
    t_stress_shared_t  *shared;
    uint64_t            patience;              /* ms without progress */
    int                 bell[T_STRESS_READERS];
} t_stress_t;


static void
t_stress_setup(t_stress_t *t, size_t log_size, uint64_t patience)
{
    ngx_uint_t  i;

    t->patience = patience;

    t_store_zone(&t->z, log_size + 1024 * 1024, log_size);
    t->shared = t_store_map(sizeof(t_stress_shared_t));

    for (i = 0; i < T_STRESS_READERS; i++) {
        t->bell[i] = eventfd(0, EFD_NONBLOCK);
        assert_true(t->bell[i] != -1);
    }
}


static void
t_stress_cleanup(t_stress_t *t)
{
    ngx_uint_t  i;

    for (i = 0; i < T_STRESS_READERS; i++) {
        (void) close(t->bell[i]);
    }

    (void) munmap(t->shared, sizeof(t_stress_shared_t));
    t_store_unmap(&t->z);
}


static void
t_stress_add(uint32_t *n)
{
    (void) __atomic_fetch_add(n, 1, __ATOMIC_ACQ_REL);
}


static void
t_stress_ring(void *data, ngx_uint_t slot, ngx_int_t process_slot)
{
    uint64_t  one;

    one = 1;
    (void) !write(process_slot, &one, sizeof(uint64_t));
}


/* Fences a reader that has not moved for a while, as the feed will. */

typedef struct {
    ngx_uint_t        slot;
    uint64_t          cursor;
    uint64_t          since;
} t_stress_patience_t;


static void
t_stress_lose_patience(t_stress_t *t, t_stress_patience_t *p)
{
    uint64_t    cursor, now;
    ngx_uint_t  slot;

    slot = ngx_sio_log_laggard(&t->z, &cursor);

    if (slot == 0) {
        return;
    }

    now = ngx_sio_zone_now();

    if (slot != p->slot || cursor != p->cursor) {
        p->slot = slot;
        p->cursor = cursor;
        p->since = now;
        return;
    }

    if (now - p->since >= t->patience) {
        (void) ngx_sio_log_fence(&t->z, slot, cursor);
        p->slot = 0;
    }
}


/* Appends batches until it has written all, or is told to stop. */

static void
t_stress_writer(t_stress_t *t, ngx_uint_t writer, uint64_t total)
{
    u_char               *image;
    size_t                len, size;
    uint64_t              seed, n;
    ngx_int_t             rc;
    ngx_uint_t            i, batch;
    ngx_sio_append_t      a;
    t_stress_patience_t   patience;

    image = aligned_alloc(64, T_STRESS_BATCH * 512);
    t_store_must(image);

    ngx_memzero(&a, sizeof(ngx_sio_append_t));
    ngx_memzero(&patience, sizeof(t_stress_patience_t));
    seed = writer + 1;

    for (n = 0; n < total && !ngx_sio_load(&t->shared->stop); n += batch) {

        batch = 1 + t_store_random(&seed) % T_STRESS_BATCH;
        batch = ngx_min(batch, total - n);
        len = 0;

        for (i = 0; i < batch; i++) {
            size = 128 + t_store_random(&seed) % 3 * 64;
            t_store_record(image + len, size, writer, n + i);
            len += size;
        }

        a.data = image;
        a.len = len;

        for ( ;; ) {
            rc = ngx_sio_log_append(&t->z, &a);
            ngx_sio_log_ring(&t->z, t_stress_ring, NULL);

            if (rc == NGX_OK) {
                break;
            }

            t_store_must(rc == NGX_AGAIN);
            t_stress_lose_patience(t, &patience);
            (void) usleep(100);
        }

        (void) __atomic_fetch_add(&t->shared->appended, batch,
                                  __ATOMIC_RELAXED);
    }

    ngx_sio_store(&t->shared->total[writer], n);
    t_stress_add(&t->shared->done);
    ngx_sio_log_ring(&t->z, t_stress_ring, NULL);
}


static pid_t
t_stress_start_writer(t_stress_t *t, ngx_uint_t writer, uint64_t total)
{
    pid_t  pid;

    pid = t_store_fork();

    if (pid == 0) {
        t_stress_writer(t, writer, total);
        _exit(0);
    }

    return pid;
}


static void
t_stress_wait(t_stress_t *t, ngx_uint_t reader)
{
    uint64_t       n;
    struct pollfd  pfd;

    pfd.fd = t->bell[reader];
    pfd.events = POLLIN;

    t_store_must(poll(&pfd, 1, 20000) == 1);
    t_store_must(read(pfd.fd, &n, sizeof(uint64_t)) == sizeof(uint64_t));
}


/* One record; NGX_DECLINED if it was overwritten in the meantime. */

static ngx_int_t
t_stress_take(t_stress_t *t, uint64_t *off, uint64_t *next, ngx_uint_t jumps)
{
    u_char           body[512] __attribute__((aligned(64)));
    ngx_int_t        rc;
    sio_record_t     rec;
    t_store_text_t  *text;

    rc = ngx_sio_log_next(&t->z, off, &rec);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_sio_log_copy(&t->z, *off, 64, body, rec.size - 64);

    if (rc != NGX_OK) {
        return rc;
    }

    text = (t_store_text_t *) body;

    t_store_must(rec.type == SIO_RECORD_EMIT);
    t_store_must(t_store_whole(body, rec.size));
    t_store_must(text->writer < T_STRESS_WRITERS);

    if (jumps) {
        t_store_must(text->n >= next[text->writer]);

    } else {
        t_store_must(text->n == next[text->writer]);
    }

    next[text->writer] = text->n + 1;
    *off += rec.size;

    return NGX_OK;
}


/*
 * Reads until all writers are done.  Only a reader that is stopped may ever
 * miss anything, and it must learn of it.
 */

static void
t_stress_reader(t_stress_t *t, ngx_uint_t reader, ngx_uint_t writers,
    ngx_uint_t stopped)
{
    uint64_t    off, next[T_STRESS_WRITERS], n;
    ngx_int_t   rc;
    ngx_uint_t  slot, jumped, i;

    slot = ngx_sio_worker_enter(&t->z, t->bell[reader], 0);
    t_store_must(slot);

    off = ngx_sio_log_head(&t->z);
    t_stress_add(&t->shared->ready);

    ngx_memzero(next, sizeof(next));
    jumped = 0;

    for (n = 0; /* void */ ; /* void */ ) {

        rc = t_stress_take(t, &off, next, jumped);

        if (rc == NGX_OK) {
            n++;
            ngx_sio_store(&t->shared->read[reader], n);

            if (n % 64) {
                continue;
            }
        }

        if (ngx_sio_log_advance(&t->z, slot, off) != NGX_OK) {
            t_store_must(stopped);
            off = ngx_sio_log_rejoin(&t->z, slot);
            t_store_must(off);
            jumped = 1;
            t_stress_add(&t->shared->rejoined);
            continue;
        }

        if (rc != NGX_AGAIN) {
            t_store_must(rc == NGX_OK);
            continue;
        }

        if (ngx_sio_log_arm(&t->z, slot, off)) {
            continue;
        }

        if (ngx_sio_load(&t->shared->done) == writers
            && ngx_sio_log_head(&t->z) == off)
        {
            break;
        }

        t_stress_wait(t, reader);
    }

    for (i = 0; i < writers; i++) {
        t_store_must(jumped || next[i] == t->shared->total[i]);
    }

    ngx_sio_worker_leave(&t->z, slot, 0);
}


static pid_t
t_stress_start_reader(t_stress_t *t, ngx_uint_t reader, ngx_uint_t writers,
    ngx_uint_t stopped)
{
    pid_t  pid;

    pid = t_store_fork();

    if (pid == 0) {
        t_stress_reader(t, reader, writers, stopped);
        _exit(0);
    }

    return pid;
}


/* Nothing lost, doubled, torn, or reordered within a writer. */

static void
t_stress_records(void **state)
{
    pid_t       reader[T_STRESS_READERS], writer[T_STRESS_WRITERS];
    t_stress_t  t;
    ngx_uint_t  i;

    t_stress_setup(&t, 4 * 1024 * 1024, 15000);

    for (i = 0; i < T_STRESS_READERS; i++) {
        reader[i] = t_stress_start_reader(&t, i, T_STRESS_WRITERS, 0);
    }

    while (ngx_sio_load(&t.shared->ready) < T_STRESS_READERS) {
        (void) usleep(1000);
    }

    for (i = 0; i < T_STRESS_WRITERS; i++) {
        writer[i] = t_stress_start_writer(&t, i, T_STRESS_RECORDS
                                                 / T_STRESS_WRITERS);
    }

    for (i = 0; i < T_STRESS_WRITERS; i++) {
        t_store_finished(writer[i]);
    }

    for (i = 0; i < T_STRESS_READERS; i++) {
        t_store_finished(reader[i]);
        assert_int_equal(t.shared->read[i], T_STRESS_RECORDS);
    }

    assert_int_equal(t.z.sh->fences, 0);

    t_stress_cleanup(&t);
}


/*
 * One of three readers is stopped for two seconds: the others wait for it no
 * longer than the writers' patience, and miss nothing.
 */

static void
t_stress_stopped(void **state)
{
    pid_t       reader[T_STRESS_READERS], writer[2];
    uint64_t    before, fenced, after;
    t_stress_t  t;
    ngx_uint_t  i;

    t_stress_setup(&t, 1024 * 1024, 500);

    for (i = 0; i < T_STRESS_READERS; i++) {
        reader[i] = t_stress_start_reader(&t, i, 2, i == 0);
    }

    while (ngx_sio_load(&t.shared->ready) < T_STRESS_READERS) {
        (void) usleep(1000);
    }

    writer[0] = t_stress_start_writer(&t, 0, (uint64_t) -1);
    writer[1] = t_stress_start_writer(&t, 1, (uint64_t) -1);

    (void) usleep(200000);
    assert_int_equal(ngx_sio_load(&t.z.sh->fences), 0);

    (void) kill(reader[0], SIGSTOP);
    (void) usleep(100000);
    before = ngx_sio_load(&t.shared->appended);

    (void) usleep(1200000);
    fenced = ngx_sio_load(&t.shared->appended);

    (void) usleep(700000);
    assert_int_equal(ngx_sio_load(&t.z.sh->fences), 1);
    assert_int_equal(ngx_sio_load(&t.shared->rejoined), 0);
    after = ngx_sio_load(&t.shared->appended);

    /* more than the log holds */

    assert_true(fenced > before + 10000);
    assert_true(after > fenced + 10000);

    (void) kill(reader[0], SIGCONT);

    for (i = 0; ngx_sio_load(&t.shared->rejoined) == 0; i++) {
        assert_true(i < 5000);
        (void) usleep(1000);
    }

    before = ngx_sio_load(&t.shared->read[0]);
    (void) usleep(200000);
    assert_true(ngx_sio_load(&t.shared->read[0]) > before);

    ngx_sio_store(&t.shared->stop, 1);

    t_store_finished(writer[0]);
    t_store_finished(writer[1]);

    for (i = 0; i < T_STRESS_READERS; i++) {
        t_store_finished(reader[i]);
    }

    assert_int_equal(t.shared->read[1],
                     t.shared->total[0] + t.shared->total[1]);
    assert_int_equal(t.shared->read[2], t.shared->read[1]);
    assert_int_equal(t.shared->rejoined, 1);
    assert_int_equal(t.z.sh->fences, 1);

    t_stress_cleanup(&t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_stress_records),
        cmocka_unit_test(t_stress_stopped)
    };

    return cmocka_run_group_tests_name("store: stress", tests, NULL, NULL);
}
