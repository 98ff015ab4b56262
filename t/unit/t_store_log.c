
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"

#include <poll.h>


#define T_LOG_SIZE  65536


static u_char  image[T_LOG_SIZE] __attribute__((aligned(64)));
static u_char  body[T_LOG_SIZE] __attribute__((aligned(64)));


static void
t_log_zone(ngx_sio_zone_t *z)
{
    t_store_zone(z, 1024 * 1024, T_LOG_SIZE);
}


static ngx_int_t
t_log_append(ngx_sio_zone_t *z, size_t size, uint64_t n, uint64_t *off)
{
    ngx_int_t         rc;
    ngx_sio_append_t  a;

    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    t_store_record(image, size, 1, n);

    a.data = image;
    a.len = size;

    rc = ngx_sio_log_append(z, &a);

    if (off) {
        *off = a.first;
    }

    return rc;
}


/* Reads the record at *off, checks it, and steps behind it. */

static void
t_log_read(ngx_sio_zone_t *z, uint64_t *off, size_t size, uint64_t n)
{
    sio_record_t     rec;
    t_store_text_t  *text;

    assert_int_equal(ngx_sio_log_next(z, off, &rec), NGX_OK);
    assert_int_equal(rec.offset, *off);
    assert_int_equal(rec.size, size);

    assert_int_equal(ngx_sio_log_copy(z, *off, 64, body, size - 64), NGX_OK);

    text = (t_store_text_t *) body;

    if (size > 64) {
        assert_int_equal(text->n, n);
        assert_true(t_store_whole(body, size));
    }

    *off += size;
}


/* A new log is empty, and no offset of another log is taken for its own. */

static void
t_log_empty(void **state)
{
    uint64_t        off;
    sio_record_t    rec;
    ngx_sio_zone_t  z;

    t_log_zone(&z);

    off = ngx_sio_log_head(&z);

    assert_int_equal(off, T_LOG_SIZE);
    assert_int_equal(ngx_sio_log_tail(&z), off);
    assert_int_equal(ngx_sio_log_next(&z, &off, &rec), NGX_AGAIN);

    off = 0;
    assert_int_equal(ngx_sio_log_next(&z, &off, &rec), NGX_DECLINED);

    off = T_LOG_SIZE + 64;
    assert_int_equal(ngx_sio_log_next(&z, &off, &rec), NGX_DECLINED);

    assert_int_equal(t_log_append(&z, 256, 1, &off), NGX_OK);
    assert_int_equal(off, T_LOG_SIZE);

    t_log_read(&z, &off, 256, 1);
    assert_int_equal(ngx_sio_log_next(&z, &off, &rec), NGX_AGAIN);
    assert_int_equal(off, ngx_sio_log_head(&z));

    off = T_LOG_SIZE + 1;
    assert_int_equal(ngx_sio_log_next(&z, &off, &rec), NGX_DECLINED);

    /* in the middle of a record there is no record */

    off = T_LOG_SIZE + 64;
    assert_int_equal(ngx_sio_log_next(&z, &off, &rec), NGX_DECLINED);

    t_store_unmap(&z);
}


/* What is no image, or too large, is refused and changes nothing. */

static void
t_log_refused(void **state)
{
    size_t            max;
    uint64_t          head;
    sio_record_t     *rec;
    ngx_sio_zone_t    z;
    ngx_sio_append_t  a;

    t_log_zone(&z);

    head = ngx_sio_log_head(&z);
    max = ngx_sio_log_max_record(&z);
    rec = (sio_record_t *) image;

    assert_int_equal(max, T_LOG_SIZE / 4);
    assert_int_equal(t_log_append(&z, max + 64, 1, NULL), NGX_ERROR);

    ngx_memzero(&a, sizeof(ngx_sio_append_t));
    t_store_record(image, 256, 1, 1);
    a.data = image;

    a.len = 0;
    assert_int_equal(ngx_sio_log_append(&z, &a), NGX_ERROR);

    a.len = 192;
    assert_int_equal(ngx_sio_log_append(&z, &a), NGX_ERROR);

    a.len = 256 + 32;
    assert_int_equal(ngx_sio_log_append(&z, &a), NGX_ERROR);

    a.len = 256;
    rec->size = 200;
    assert_int_equal(ngx_sio_log_append(&z, &a), NGX_ERROR);

    rec->size = 0;
    assert_int_equal(ngx_sio_log_append(&z, &a), NGX_ERROR);

    assert_int_equal(ngx_sio_log_head(&z), head);

    assert_int_equal(t_log_append(&z, max, 1, NULL), NGX_OK);
    assert_int_equal(ngx_sio_log_head(&z), head + max);

    t_store_unmap(&z);
}


/* Padding fills exactly the rest of the ring, down to one header. */

static void
t_log_padding(void **state)
{
    uint64_t        off, first, at;
    ngx_uint_t      i, rest;
    sio_record_t    rec;
    ngx_sio_zone_t  z;

    for (rest = 0; rest <= 512; rest += 64) {

        t_log_zone(&z);

        for (i = 0; i < 15; i++) {
            assert_int_equal(t_log_append(&z, 4096, i, NULL), NGX_OK);
        }

        assert_int_equal(t_log_append(&z, 4096 - rest, i, &off), NGX_OK);
        off += 4096 - rest;

        assert_int_equal(t_log_append(&z, 576, 16, &first), NGX_OK);
        assert_int_equal(first, 2 * T_LOG_SIZE);

        if (rest) {
            assert_int_equal(ngx_sio_log_copy(&z, off, 0, (u_char *) &rec,
                                              sizeof(sio_record_t)),
                             NGX_OK);
            assert_int_equal(rec.type, SIO_RECORD_PAD);
            assert_int_equal(rec.size, rest);
        }

        at = off;
        t_log_read(&z, &at, 576, 16);
        assert_int_equal(at, 2 * T_LOG_SIZE + 576);

        /* a copy never goes on behind the end of the ring */

        assert_int_equal(ngx_sio_log_copy(&z, off, 0, body, rest + 1),
                         rest ? NGX_DECLINED : NGX_OK);

        t_store_unmap(&z);
    }
}


/* Batches of random sizes go around the ring many times, read at once. */

static void
t_log_wrap(void **state)
{
    size_t            size[32], len, max;
    uint64_t          seed, n, off;
    ngx_uint_t        i, k, round;
    sio_record_t      rec;
    ngx_sio_zone_t    z;
    ngx_sio_append_t  a;

    t_log_zone(&z);

    seed = 42;
    n = 0;
    max = ngx_sio_log_max_record(&z);
    off = ngx_sio_log_head(&z);

    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    for (round = 0; round < 20000; round++) {

        len = 0;
        k = 1 + t_store_random(&seed) % 32;

        for (i = 0; i < k; i++) {
            size[i] = 128 + t_store_random(&seed) % 16 * 64;

            if (t_store_random(&seed) % 64 == 0) {
                size[i] = 128 + t_store_random(&seed) % (max / 64 - 1) * 64;
            }

            if (len + size[i] > max) {
                break;
            }

            t_store_record(image + len, size[i], 1, n + i);
            len += size[i];
        }

        k = i;
        a.data = image;
        a.len = len;

        assert_int_equal(ngx_sio_log_append(&z, &a), NGX_OK);

        assert_true(ngx_sio_log_head(&z) - ngx_sio_log_tail(&z)
                    <= T_LOG_SIZE);

        for (i = 0; i < k; i++) {
            t_log_read(&z, &off, size[i], n++);

            if (i == 0) {
                assert_int_equal(off - size[0], a.first);
            }
        }

        assert_int_equal(ngx_sio_log_next(&z, &off, &rec), NGX_AGAIN);
        assert_int_equal(off, ngx_sio_log_head(&z));
    }

    assert_true(off > 1000 * T_LOG_SIZE);

    t_store_unmap(&z);
}


/* The tail is a record, and from there on everything can be read. */

static void
t_log_tail(void **state)
{
    uint64_t        seed, off, n, tail;
    ngx_int_t       rc;
    sio_record_t    rec;
    ngx_sio_zone_t  z;

    t_log_zone(&z);

    seed = 7;

    for (n = 0; n < 5000; n++) {

        assert_int_equal(t_log_append(&z, 128 + t_store_random(&seed) % 9 * 64,
                                      n, NULL),
                         NGX_OK);

        tail = ngx_sio_log_tail(&z);
        off = tail;

        for ( ;; ) {
            rc = ngx_sio_log_next(&z, &off, &rec);

            if (rc != NGX_OK) {
                break;
            }

            assert_int_equal(ngx_sio_log_copy(&z, off, 64, body,
                                              rec.size - 64),
                             NGX_OK);
            assert_true(t_store_whole(body, rec.size));

            off += rec.size;
        }

        assert_int_equal(rc, NGX_AGAIN);
        assert_int_equal(((t_store_text_t *) body)->n, n);

        if (tail > T_LOG_SIZE) {
            assert_true(off - tail > T_LOG_SIZE - T_LOG_SIZE / 8);
        }
    }

    t_store_unmap(&z);
}


/* What the writer has gone over is refused, before and after the copy. */

static void
t_log_overrun(void **state)
{
    uint64_t        off, at, n;
    sio_record_t    rec;
    ngx_sio_zone_t  z;

    t_log_zone(&z);

    assert_int_equal(t_log_append(&z, 1024, 0, &off), NGX_OK);

    at = off;
    assert_int_equal(ngx_sio_log_next(&z, &at, &rec), NGX_OK);

    for (n = 1; ngx_sio_log_tail(&z) <= off; n++) {
        assert_int_equal(ngx_sio_log_copy(&z, off, 64, body, 960), NGX_OK);
        assert_true(t_store_whole(body, 1024));

        assert_int_equal(t_log_append(&z, 1024, n, NULL), NGX_OK);
    }

    assert_true(n > 60);
    assert_int_equal(ngx_sio_log_copy(&z, off, 64, body, 960), NGX_DECLINED);
    assert_int_equal(ngx_sio_log_next(&z, &at, &rec), NGX_DECLINED);

    t_store_unmap(&z);
}


/* A writer races a slow reader: no copy that is said to be good is torn. */

static void
t_log_race(void **state)
{
    pid_t           pid;
    uint64_t        off, seed, end, n;
    ngx_uint_t      good, bad;
    sio_record_t    rec;
    ngx_sio_zone_t  z;

    t_log_zone(&z);

    pid = t_store_fork();

    if (pid == 0) {
        seed = 5;

        for (n = 0; /* void */ ; n++) {
            t_store_must(t_log_append(&z, 4096 + t_store_random(&seed) % 64
                                                 * 64, n, NULL)
                         == NGX_OK);
        }
    }

    good = 0;
    bad = 0;
    seed = 9;
    off = ngx_sio_log_head(&z);
    end = ngx_sio_zone_now() + 1000;

    while (ngx_sio_zone_now() < end) {

        if (ngx_sio_log_next(&z, &off, &rec) == NGX_OK) {

            /* in pieces, so that the writer has time to come around */

            n = t_store_random(&seed) % (rec.size / 64 - 2) * 64 + 64;

            if (ngx_sio_log_copy(&z, off, 64, body, n) == NGX_OK
                && (t_store_random(&seed) % 4 || sched_yield() == 0)
                && ngx_sio_log_copy(&z, off, 64 + n, body + n,
                                    rec.size - 64 - n)
                   == NGX_OK)
            {
                assert_true(t_store_whole(body, rec.size));
                off += rec.size;
                good++;
                continue;
            }
        }

        if (off < ngx_sio_log_tail(&z)) {
            bad++;
        }

        /* once more from the tail, where a copy is in the greatest danger */

        off = ngx_sio_log_tail(&z);
    }

    (void) kill(pid, SIGKILL);
    (void) t_store_wait(pid);

    assert_true(good > 100);
    assert_true(bad > 10);
    t_store_check(&z, "race", 0);

    t_store_unmap(&z);
}


/* Three quarters may be unread; then somebody must move, leave or be fenced. */

static void
t_log_flow(void **state)
{
    int             fd[2];
    char            c;
    pid_t           pid;
    uint64_t        cursor, n, start;
    ngx_uint_t      slot, other;
    ngx_sio_zone_t  z;

    t_log_zone(&z);

    slot = ngx_sio_worker_enter(&z, 3, 0);
    assert_int_equal(slot, 1);
    assert_int_equal(ngx_sio_log_laggard(&z, &cursor), slot);
    assert_int_equal(cursor, ngx_sio_log_head(&z));

    start = cursor;

    for (n = 0; t_log_append(&z, 1024, n, NULL) == NGX_OK; n++) { /* void */ }

    assert_int_equal(n, 48);
    assert_int_equal(t_log_append(&z, 1024, n, NULL), NGX_AGAIN);

    assert_int_equal(ngx_sio_log_advance(&z, slot, start + 2048), NGX_OK);

    assert_int_equal(t_log_append(&z, 1024, n, NULL), NGX_OK);
    assert_int_equal(t_log_append(&z, 1024, n, NULL), NGX_OK);
    assert_int_equal(t_log_append(&z, 1024, n, NULL), NGX_AGAIN);

    /* a smaller one fits no better, a dead reader is no reason to wait */

    assert_int_equal(t_log_append(&z, 64 + 64, n, NULL), NGX_AGAIN);

    assert_int_equal(ngx_sio_log_advance(&z, slot, ngx_sio_log_head(&z)),
                     NGX_OK);

    assert_int_equal(pipe(fd), 0);
    pid = t_store_fork();

    if (pid == 0) {
        other = ngx_sio_worker_enter(&z, 4, 0);
        t_store_must(other == 2);
        t_store_must(write(fd[1], "x", 1) == 1);

        for ( ;; ) {
            (void) pause();
        }
    }

    assert_int_equal(read(fd[0], &c, 1), 1);

    for (n = 0; t_log_append(&z, 1024, n, NULL) == NGX_OK; n++) {
        (void) ngx_sio_log_advance(&z, slot, ngx_sio_log_head(&z));
    }

    assert_int_equal(n, 48);
    assert_int_equal(ngx_sio_log_laggard(&z, &cursor), 2);

    (void) kill(pid, SIGKILL);
    (void) t_store_wait(pid);

    assert_int_equal(t_log_append(&z, 1024, n, NULL), NGX_OK);
    assert_int_equal(ngx_sio_log_laggard(&z, &cursor), 1);
    t_store_check(&z, "flow", 0);

    assert_int_equal(ngx_sio_worker_reap(&z, 0), 1);

    (void) close(fd[0]);
    (void) close(fd[1]);
    t_store_unmap(&z);
}


/* Who is fenced learns of it, blocks nobody, and comes back at the head. */

static void
t_log_fence(void **state)
{
    uint64_t        cursor, n;
    ngx_uint_t      slot;
    ngx_sio_zone_t  z;

    t_log_zone(&z);

    slot = ngx_sio_worker_enter(&z, 0, 0);

    for (n = 0; t_log_append(&z, 1024, n, NULL) == NGX_OK; n++) { /* void */ }

    assert_int_equal(ngx_sio_log_laggard(&z, &cursor), slot);

    /* one that moves in between is spared */

    assert_int_equal(ngx_sio_log_advance(&z, slot, cursor + 1024), NGX_OK);
    assert_int_equal(ngx_sio_log_fence(&z, slot, cursor), NGX_DECLINED);

    cursor += 1024;
    assert_int_equal(ngx_sio_log_fence(&z, slot, cursor), NGX_OK);
    assert_int_equal(ngx_sio_log_fence(&z, slot, cursor), NGX_DECLINED);
    assert_int_equal(z.sh->fences, 1);
    assert_int_equal(ngx_sio_log_laggard(&z, &cursor), 0);
    assert_true(ngx_sio_worker_alive(&z, slot));

    for (n = 0; n < 200; n++) {
        assert_int_equal(t_log_append(&z, 1024, n, NULL), NGX_OK);
    }

    assert_int_equal(ngx_sio_log_advance(&z, slot, cursor), NGX_DECLINED);
    assert_int_equal(ngx_sio_log_rejoin(&z, slot), ngx_sio_log_head(&z));
    assert_int_equal(ngx_sio_log_advance(&z, slot, ngx_sio_log_head(&z)),
                     NGX_OK);

    for (n = 0; t_log_append(&z, 1024, n, NULL) == NGX_OK; n++) { /* void */ }

    assert_in_range(n, 47, 48);

    ngx_sio_worker_leave(&z, slot, 0);
    assert_int_equal(t_log_append(&z, 1024, n, NULL), NGX_OK);

    t_store_unmap(&z);
}


/* An armed bell rings once; one that would ring already is not armed. */

static void
t_log_count_ring(void *data, ngx_uint_t slot, ngx_int_t process_slot)
{
    ngx_uint_t  *rung = data;

    rung[slot]++;
    assert_int_equal(process_slot, 70);
}


static void
t_log_bell(void **state)
{
    uint64_t        head;
    ngx_uint_t      slot, rung[2];
    ngx_sio_zone_t  z;

    t_log_zone(&z);

    ngx_memzero(rung, sizeof(rung));

    slot = ngx_sio_worker_enter(&z, 70, 0);
    head = ngx_sio_log_head(&z);

    ngx_sio_log_ring(&z, t_log_count_ring, rung);
    assert_int_equal(rung[slot], 0);

    assert_false(ngx_sio_log_arm(&z, slot, head));
    assert_int_equal(t_log_append(&z, 128, 1, NULL), NGX_OK);

    ngx_sio_log_ring(&z, t_log_count_ring, rung);
    ngx_sio_log_ring(&z, t_log_count_ring, rung);
    assert_int_equal(rung[slot], 1);

    assert_true(ngx_sio_log_arm(&z, slot, head));
    ngx_sio_log_ring(&z, t_log_count_ring, rung);
    assert_int_equal(rung[slot], 1);

    t_store_unmap(&z);
}


/*
 * No wake-up is lost.  The writer sends the next record when the last one was
 * read, so that nothing else would wake a reader that waits in vain, and pauses
 * on both sides make it meet the arming of the bell now and then.
 */

#define T_LOG_MESSAGES  200000


static void
t_log_write_bell(void *data, ngx_uint_t slot, ngx_int_t process_slot)
{
    uint64_t  one;

    one = 1;
    (void) !write(process_slot, &one, sizeof(uint64_t));
}


static void
t_log_bell_writer(ngx_sio_zone_t *z, uint64_t *count)
{
    uint64_t    n, seed;
    ngx_uint_t  i;

    seed = 77;

    for (n = 0; n < T_LOG_MESSAGES; n++) {

        t_store_must(t_log_append(z, 128, n, NULL) == NGX_OK);
        ngx_sio_log_ring(z, t_log_write_bell, NULL);

        for (i = 0; ngx_sio_load(count) <= n; i++) {
            ngx_cpu_pause();

            if (i > 500) {
                (void) sched_yield();
            }
        }

        for (i = t_store_random(&seed) % 16; i; i--) {
            ngx_cpu_pause();
        }
    }
}


static void
t_log_wakeups(void **state)
{
    int              fd;
    pid_t            pid;
    uint64_t         off, n, rings, seed, *count;
    ngx_int_t        rc;
    ngx_uint_t       slot, slept, i;
    sio_record_t     rec;
    struct pollfd    pfd;
    ngx_sio_zone_t   z;
    t_store_text_t   text;

    t_log_zone(&z);
    count = t_store_map(4096);

    fd = eventfd(0, EFD_NONBLOCK);
    assert_true(fd != -1);

    slot = ngx_sio_worker_enter(&z, fd, 0);
    off = ngx_sio_log_head(&z);
    slept = 0;
    seed = 78;

    pid = t_store_fork();

    if (pid == 0) {
        t_log_bell_writer(&z, count);
        _exit(0);
    }

    for (n = 0; n < T_LOG_MESSAGES; /* void */ ) {

        rc = ngx_sio_log_next(&z, &off, &rec);

        if (rc == NGX_OK) {
            assert_int_equal(ngx_sio_log_copy(&z, off, 64, (u_char *) &text,
                                              sizeof(t_store_text_t)),
                             NGX_OK);
            assert_int_equal(text.n, n);

            n++;
            off += rec.size;

            (void) ngx_sio_log_advance(&z, slot, off);
            ngx_sio_store(count, n);

            for (i = t_store_random(&seed) % 16; i; i--) {
                ngx_cpu_pause();
            }

            continue;
        }

        assert_int_equal(rc, NGX_AGAIN);

        if (ngx_sio_log_arm(&z, slot, off)) {
            continue;
        }

        pfd.fd = fd;
        pfd.events = POLLIN;

        if (poll(&pfd, 1, 5000) != 1) {
            fail_msg("a wake-up was lost after %u records", (unsigned) n);
        }

        assert_int_equal(read(fd, &rings, sizeof(uint64_t)),
                         sizeof(uint64_t));
        slept++;
    }

    t_store_finished(pid);

    assert_true(slept > 1000);

    (void) close(fd);
    (void) munmap(count, 4096);
    t_store_unmap(&z);
}


static void
t_log_position(ngx_sio_feed_sh_t *feed, uint64_t n)
{
    ngx_memzero(feed, sizeof(ngx_sio_feed_sh_t));

    feed->run_id = n * 3;
    feed->heartbeat = n * 5;
    feed->since = n * 7;
    (void) sprintf((char *) feed->stream_id, "%llu-0", (unsigned long long) n);
}


/* The position is that of n, all of it. */

static void
t_log_is_position(ngx_sio_zone_t *z, uint64_t n)
{
    ngx_sio_feed_sh_t  feed, wanted;

    assert_int_equal(ngx_sio_lease_position(z, &feed), NGX_OK);

    t_log_position(&wanted, n);
    wanted.from = feed.from;

    assert_memory_equal(&feed, &wanted, sizeof(ngx_sio_feed_sh_t));
}


static ngx_int_t
t_log_feed(ngx_sio_zone_t *z, uint64_t lease, uint64_t n)
{
    ngx_sio_feed_sh_t  feed;
    ngx_sio_append_t   a;

    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    t_store_record(image, 8192, 1, n);
    t_log_position(&feed, n);

    a.data = image;
    a.len = 8192;
    a.lease = lease;
    a.feed = &feed;

    return ngx_sio_log_append(z, &a);
}


/* Records carry the position of the feed, the lease and the time. */

static void
t_log_stamps(void **state)
{
    uint64_t            lease, off, now;
    sio_record_t        rec;
    ngx_sio_zone_t      z;
    ngx_sio_feed_sh_t   feed;

    t_log_zone(&z);

    assert_int_equal(ngx_sio_lease_position(&z, &feed), NGX_DECLINED);

    lease = ngx_sio_lease_take(&z, ngx_sio_worker_enter(&z, 0, 0), 1000);
    off = ngx_sio_log_head(&z);
    now = ngx_sio_zone_now();

    assert_int_equal(t_log_feed(&z, lease, 4), NGX_OK);
    assert_int_equal(ngx_sio_log_next(&z, &off, &rec), NGX_OK);
    assert_int_equal(rec.heartbeat, 20);
    assert_int_equal(rec.since, 28);
    assert_int_equal(rec.lease, lease);
    assert_in_range(rec.time, now, now + 1000);

    assert_int_equal(t_log_append(&z, 128, 1, &off), NGX_OK);
    assert_int_equal(ngx_sio_log_next(&z, &off, &rec), NGX_OK);
    assert_int_equal(rec.heartbeat, 0);
    assert_int_equal(rec.since, 0);
    assert_int_equal(rec.lease, 0);

    t_log_is_position(&z, 4);

    t_store_unmap(&z);
}


/*
 * The feed's writer is killed at every step: the position belongs to the head
 * that the others see, also when their records carry the head on.
 */

static void
t_log_feed_killed(void **state)
{
    pid_t           pid;
    uint64_t        lease, head, n;
    ngx_uint_t      step, killed, slot;
    ngx_sio_zone_t  z;

    for (n = 1; n <= 10; n++) {

        for (step = 1; /* void */ ; step++) {

            t_log_zone(&z);

            slot = ngx_sio_worker_enter(&z, 0, 0);
            lease = ngx_sio_lease_take(&z, slot, 10000);
            head = ngx_sio_log_head(&z);

            for (killed = 1; killed <= n; killed++) {
                assert_int_equal(t_log_feed(&z, lease, killed), NGX_OK);
                head = ngx_sio_log_head(&z);
                (void) ngx_sio_log_advance(&z, slot, head);
            }

            pid = t_store_fork();

            if (pid == 0) {
                t_store_die_at(step);
                t_store_must(t_log_feed(&z, lease, n + 1) == NGX_OK);
                _exit(0);
            }

            killed = t_store_killed(pid);

            if (ngx_sio_log_head(&z) == head) {
                assert_true(killed);
                t_log_is_position(&z, n);

            } else {
                t_log_is_position(&z, n + 1);
            }

            /* further than the head that never came */

            lease = (ngx_sio_log_head(&z) == head) ? n : n + 1;

            while (ngx_sio_log_head(&z) < head + 32768) {
                assert_int_equal(t_log_append(&z, 1024, 0, NULL), NGX_OK);
            }

            t_log_is_position(&z, lease);
            t_store_check(&z, "feed", step);

            t_store_unmap(&z);

            if (!killed) {
                break;
            }
        }

        assert_true(step > 8);
    }
}


/*
 * A writer is killed at every step of an append that pads, wraps and moves the
 * tail: what was there can be read, what was not published is not there.
 */

static void
t_log_append_killed(void **state)
{
    pid_t           pid;
    uint64_t        off, head, n;
    ngx_int_t       rc;
    ngx_uint_t      step, killed;
    sio_record_t    rec;
    ngx_sio_zone_t  z;

    for (step = 1; /* void */ ; step++) {

        t_log_zone(&z);

        for (n = 0; n < 32; n++) {
            assert_int_equal(t_log_append(&z, 3648, n, NULL), NGX_OK);
        }

        head = ngx_sio_log_head(&z);
        assert_true(head % T_LOG_SIZE > T_LOG_SIZE - 16384 + 64);

        pid = t_store_fork();

        if (pid == 0) {
            t_store_die_at(step);
            t_store_must(t_log_append(&z, 16384, n, NULL) == NGX_OK);
            _exit(0);
        }

        killed = t_store_killed(pid);

        off = ngx_sio_log_head(&z);
        assert_true(off == head || off > head + 16384);
        t_store_check(&z, "append", step);

        assert_int_equal(t_log_append(&z, 1024, n + 1, NULL), NGX_OK);

        off = ngx_sio_log_tail(&z);

        for ( ;; ) {
            rc = ngx_sio_log_next(&z, &off, &rec);

            if (rc != NGX_OK) {
                break;
            }

            assert_int_equal(ngx_sio_log_copy(&z, off, 64, body,
                                              rec.size - 64),
                             NGX_OK);
            assert_true(t_store_whole(body, rec.size));

            off += rec.size;
        }

        assert_int_equal(rc, NGX_AGAIN);
        assert_int_equal(((t_store_text_t *) body)->n, n + 1);

        t_store_unmap(&z);

        if (!killed) {
            break;
        }
    }

    assert_true(step > 6);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_log_empty),
        cmocka_unit_test(t_log_refused),
        cmocka_unit_test(t_log_padding),
        cmocka_unit_test(t_log_wrap),
        cmocka_unit_test(t_log_tail),
        cmocka_unit_test(t_log_overrun),
        cmocka_unit_test(t_log_race),
        cmocka_unit_test(t_log_flow),
        cmocka_unit_test(t_log_fence),
        cmocka_unit_test(t_log_bell),
        cmocka_unit_test(t_log_wakeups),
        cmocka_unit_test(t_log_stamps),
        cmocka_unit_test(t_log_feed_killed),
        cmocka_unit_test(t_log_append_killed)
    };

    return cmocka_run_group_tests_name("store: log", tests, NULL, NULL);
}
