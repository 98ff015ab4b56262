
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * What the log costs, in nanoseconds for each record.
 *
 * Usage: log_bench [payload bytes [records [log megabytes]]]
 */


#include "ngx_sio_log.h"
#include "ngx_sio_worker.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>


#define LOG_BENCH_ROOMS    1
#define LOG_BENCH_BATCH    16
#define LOG_BENCH_WRITERS  2


typedef struct {
    ngx_sio_zone_t    z;
    u_char           *mem;
    size_t            size;
    u_char           *batch;       /* LOG_BENCH_BATCH images */
    size_t            image;       /* size of each */
    ngx_uint_t        n;           /* records of a run */
} log_bench_t;


static uint64_t
log_bench_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static void
log_bench_fail(const char *what)
{
    (void) fprintf(stderr, "log_bench: %s failed\n", what);
    exit(1);
}


static void
log_bench_print(const char *what, uint64_t ns, ngx_uint_t n)
{
    (void) printf("%-44s %8.1f ns\n", what, (double) ns / n);
    (void) fflush(stdout);
}


static void
log_bench_images(log_bench_t *lb, size_t payload)
{
    ngx_uint_t    i;
    sio_record_t  *rec;

    lb->image = sizeof(sio_record_t) + LOG_BENCH_ROOMS * 10 + 4 + 16 + payload;
    lb->image = ngx_align(lb->image, SIO_RECORD_ALIGN);

    lb->batch = aligned_alloc(SIO_RECORD_ALIGN, LOG_BENCH_BATCH * lb->image);

    if (lb->batch == NULL) {
        log_bench_fail("malloc");
    }

    ngx_memset(lb->batch, 'x', LOG_BENCH_BATCH * lb->image);

    for (i = 0; i < LOG_BENCH_BATCH; i++) {
        rec = (sio_record_t *) (lb->batch + i * lb->image);

        ngx_memzero(rec, sizeof(sio_record_t));

        rec->size = lb->image;
        rec->type = SIO_RECORD_EMIT;
        rec->rooms = LOG_BENCH_ROOMS;
        rec->parts = 1;
        rec->parts_len = payload;
    }
}


static void
log_bench_zone(log_bench_t *lb, size_t log_size)
{
    ngx_str_t  node;

    ngx_str_set(&node, "bench");

    lb->size = log_size + 4 * 1024 * 1024;
    lb->mem = mmap(NULL, lb->size, PROT_READ|PROT_WRITE,
                   MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (lb->mem == MAP_FAILED) {
        log_bench_fail("mmap");
    }

    if (ngx_sio_zone_format(&lb->z, lb->mem, lb->size, log_size, &node)
        != NGX_OK)
    {
        log_bench_fail("format");
    }
}


/* Appends n records in batches, waiting for readers that are behind. */

static void
log_bench_write(log_bench_t *lb, ngx_uint_t n, ngx_uint_t batch)
{
    ngx_int_t         rc;
    ngx_sio_append_t  a;

    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    a.data = lb->batch;
    a.len = batch * lb->image;

    while (n) {
        rc = ngx_sio_log_append(&lb->z, &a);

        if (rc == NGX_OK) {
            n -= ngx_min(n, batch);
            continue;
        }

        if (rc != NGX_AGAIN) {
            log_bench_fail("append");
        }

        (void) usleep(50);
    }
}


/* Reads n records from off on; each is copied as a worker would do. */

static uint64_t
log_bench_read(log_bench_t *lb, uint64_t off, ngx_uint_t n, ngx_uint_t slot)
{
    u_char           *buf;
    ngx_int_t         rc;
    ngx_uint_t        i;
    sio_record_t      rec;

    /* records go to several places, as what is staged for sending does */

    buf = aligned_alloc(SIO_RECORD_ALIGN, 64 * lb->image);

    if (buf == NULL) {
        log_bench_fail("malloc");
    }

    for (i = 0; i < n; /* void */ ) {

        rc = ngx_sio_log_next(&lb->z, &off, &rec);

        if (rc == NGX_AGAIN) {
            ngx_cpu_pause();
            continue;
        }

        if (rc != NGX_OK
            || ngx_sio_log_copy(&lb->z, off, sizeof(sio_record_t),
                                buf + i % 64 * lb->image,
                                rec.size - sizeof(sio_record_t))
               != NGX_OK)
        {
            log_bench_fail("read");
        }

        off += rec.size;
        i++;

        if (slot && i % 64 == 0
            && ngx_sio_log_advance(&lb->z, slot, off) != NGX_OK)
        {
            log_bench_fail("advance");
        }
    }

    free(buf);

    return off;
}


static void
log_bench_alone(log_bench_t *lb)
{
    uint64_t    t, off;
    ngx_uint_t  fit;

    fit = lb->z.log_size / lb->image;

    t = log_bench_now();
    log_bench_write(lb, fit, 1);
    log_bench_print("append, memory touched for the first time",
                    log_bench_now() - t, fit);

    t = log_bench_now();
    log_bench_write(lb, lb->n, 1);
    log_bench_print("append", log_bench_now() - t, lb->n);

    t = log_bench_now();
    log_bench_write(lb, lb->n, LOG_BENCH_BATCH);
    log_bench_print("append, 16 records at once", log_bench_now() - t, lb->n);

    off = ngx_sio_log_head(&lb->z);
    fit = fit / 2;

    log_bench_write(lb, fit, 1);

    t = log_bench_now();
    (void) log_bench_read(lb, off, fit, 0);
    log_bench_print("next and copy", log_bench_now() - t, fit);

    /* a few records again and again: what is left without cache misses */

    off = ngx_sio_log_head(&lb->z);
    log_bench_write(lb, 256, 1);

    t = log_bench_now();
    for (fit = 0; fit < 4096; fit++) {
        (void) log_bench_read(lb, off, 256, 0);
    }
    log_bench_print("next and copy, cached", log_bench_now() - t, 4096 * 256);
}


static pid_t
log_bench_fork(void)
{
    pid_t  pid;

    pid = fork();

    if (pid == -1) {
        log_bench_fail("fork");
    }

    return pid;
}


/* Writers and a reader, each a process of its own, with flow control. */

static void
log_bench_together(log_bench_t *lb, ngx_uint_t writers, ngx_uint_t batch)
{
    int         status;
    char        what[64];
    pid_t       pid[LOG_BENCH_WRITERS + 1];
    uint64_t    t, off;
    ngx_uint_t  i, n, slot;

    n = lb->n / (writers * batch) * batch;
    slot = ngx_sio_worker_enter(&lb->z, 0, 0);
    off = ngx_sio_log_head(&lb->z);

    t = log_bench_now();

    for (i = 0; i < writers; i++) {
        pid[i] = log_bench_fork();

        if (pid[i] == 0) {
            log_bench_write(lb, n, batch);
            _exit(0);
        }
    }

    (void) log_bench_read(lb, off, n * writers, slot);

    t = log_bench_now() - t;

    for (i = 0; i < writers; i++) {
        if (waitpid(pid[i], &status, 0) == -1 || status != 0) {
            log_bench_fail("writer");
        }
    }

    ngx_sio_worker_leave(&lb->z, slot, 0);

    (void) snprintf(what, sizeof(what),
                    "%u writer(s), batches of %u, to a reader",
                    (unsigned) writers, (unsigned) batch);

    log_bench_print(what, t, n * writers);
}


int
main(int argc, char *argv[])
{
    size_t       payload, log_size;
    log_bench_t  lb;

    payload = (argc > 1) ? atoi(argv[1]) : 350;
    lb.n = (argc > 2) ? atoi(argv[2]) : 2000000;
    log_size = (argc > 3) ? atoi(argv[3]) : 16;

    log_bench_images(&lb, payload);
    log_bench_zone(&lb, log_size * 1024 * 1024);

    (void) printf("payload %u, record %u, log %um\n", (unsigned) payload,
                  (unsigned) lb.image, (unsigned) log_size);

    log_bench_alone(&lb);

    log_bench_together(&lb, 1, 1);
    log_bench_together(&lb, 1, LOG_BENCH_BATCH);
    log_bench_together(&lb, LOG_BENCH_WRITERS, 1);
    log_bench_together(&lb, LOG_BENCH_WRITERS, LOG_BENCH_BATCH);

    return 0;
}
