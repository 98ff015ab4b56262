
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"

#include <poll.h>


#define T_STRESS_RECORDS   10000000
#define T_STRESS_WRITERS   4
#define T_STRESS_READERS   3
#define T_STRESS_BATCH     16

#define T_STRESS_PROCS     4
#define T_STRESS_KILLS     200
#define T_STRESS_SESSIONS  30
#define T_STRESS_ROOMS     60


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

    slot = ngx_sio_worker_enter(&t->z, t->bell[reader]);
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

    ngx_sio_worker_leave(&t->z, slot);
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


/* A process that does everything at random until it is killed. */

typedef struct {
    uint32_t          index;
    ngx_uint_t        n;                       /* rooms that it is in */
    ngx_sio_room_t    rooms[T_STRESS_ROOMS];
} t_stress_session_t;


typedef struct {
    t_stress_t           *t;
    ngx_uint_t            slot;
    uint64_t              seed;
    uint64_t              id;
    uint64_t              ops;
    t_stress_session_t    s[T_STRESS_SESSIONS];
} t_stress_proc_t;


static u_char          stress_names[T_STRESS_ROOMS][SIO_ROOM_LEN];
static ngx_sio_room_t  stress_rooms[T_STRESS_ROOMS];


/* Looks at its own session without a lock: nobody else changes it. */

static void
t_stress_verify(t_stress_proc_t *p, t_stress_session_t *s)
{
    uint32_t               ref;
    ngx_uint_t             i, n;
    ngx_sio_zone_t        *z;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    z = &p->t->z;
    ss = &z->sessions[s->index];

    t_store_must(ngx_sio_load(&ss->state) == NGX_SIO_LIVE);
    t_store_must(ngx_sio_owner_slot(ngx_sio_load(&ss->owner)) == p->slot);
    t_store_must(ss->members == s->n);

    for (i = 0; i < s->n; i++) {
        m = ngx_sio_session_member(z, ss, s->rooms[i].member);

        t_store_must(m && m->room == s->rooms[i].room);
        t_store_must(ngx_sio_name_equal(z, &z->rooms[m->room], 0,
                                        s->rooms[i].name.data,
                                        s->rooms[i].name.len));
    }

    ref = NGX_SIO_NO_MEMBER;

    for (n = 0; ngx_sio_session_walk(z, ss, &ref); n++) { /* void */ }

    t_store_must(n == s->n);
}


static void
t_stress_open(t_stress_proc_t *p, t_stress_session_t *s)
{
    u_char      sid[NGX_SIO_SID_LEN];
    ngx_int_t   rc;
    ngx_str_t   user;
    ngx_uint_t  i, n, from;

    p->id++;
    t_store_sid(sid, 'e', p->id);

    s->n = 0;
    s->index = ngx_sio_session_open(&p->t->z, p->slot, sid, 1);

    if (s->index == 0) {
        return;
    }

    n = t_store_random(&p->seed) % 13;
    from = t_store_random(&p->seed) % T_STRESS_ROOMS;

    for (i = 0; i < n; i++) {
        s->rooms[i] = stress_rooms[(from + 7 * i) % T_STRESS_ROOMS];
    }

    user = stress_rooms[t_store_random(&p->seed) % 20].name;

    t_store_sid(sid, 's', p->id);
    rc = ngx_sio_session_connect(&p->t->z, s->index, sid, 0, &user, s->rooms,
                                 n, 1);

    t_store_must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_OK) {
        s->n = n;

        for (i = 0; i < n; i++) {
            ngx_sio_name_worker(&p->t->z.rooms[s->rooms[i].room], p->slot, 1);
        }
    }
}


static void
t_stress_join(t_stress_proc_t *p, t_stress_session_t *s)
{
    ngx_int_t       rc;
    ngx_uint_t      i;
    ngx_sio_room_t  room;

    room = stress_rooms[t_store_random(&p->seed) % T_STRESS_ROOMS];

    rc = ngx_sio_session_join(&p->t->z, s->index, &room, 1);

    for (i = 0; i < s->n; i++) {
        if (s->rooms[i].name.data == room.name.data) {
            t_store_must(rc == NGX_DONE);
            t_store_must(room.member == s->rooms[i].member);
            return;
        }
    }

    t_store_must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_OK) {
        s->rooms[s->n++] = room;
    }
}


static void
t_stress_leave(t_stress_proc_t *p, t_stress_session_t *s)
{
    ngx_uint_t  i;

    if (s->n == 0) {
        return;
    }

    i = t_store_random(&p->seed) % s->n;

    t_store_must(ngx_sio_session_leave(&p->t->z, s->index,
                                       s->rooms[i].member)
                 == NGX_OK);

    s->rooms[i] = s->rooms[--s->n];
}


static void
t_stress_log(t_stress_proc_t *p)
{
    u_char            image[256] __attribute__((aligned(64)));
    uint64_t          lease;
    ngx_int_t         rc;
    ngx_sio_zone_t   *z;
    ngx_sio_append_t  a;

    z = &p->t->z;

    t_store_record(image, 256, 0, p->id);

    ngx_memzero(&a, sizeof(ngx_sio_append_t));
    a.data = image;
    a.len = 256;

    rc = ngx_sio_log_append(z, &a);
    t_store_must(rc == NGX_OK || rc == NGX_AGAIN);

    lease = ngx_sio_lease_take(z, p->slot, 5);

    if (lease == 0) {
        t_store_must(ngx_sio_lease_standby(z, p->slot) != NGX_BUSY);
    }

    (void) ngx_sio_worker_reap(z);
}


static void
t_stress_op(t_stress_proc_t *p)
{
    ngx_uint_t           what;
    ngx_sio_zone_t      *z;
    t_stress_session_t  *s;

    z = &p->t->z;
    s = &p->s[t_store_random(&p->seed) % T_STRESS_SESSIONS];
    what = t_store_random(&p->seed) % 20;

    if (s->index) {
        t_stress_verify(p, s);
    }

    if (what == 0) {
        t_stress_log(p);

    } else if (s->index == 0) {
        t_stress_open(p, s);

    } else if (what < 3) {
        t_store_must(ngx_sio_session_close(z, s->index) == NGX_OK);
        s->index = 0;

    } else if (what < 4) {
        t_store_must(ngx_sio_session_disconnect(z, s->index) == NGX_OK);
        s->n = 0;

    } else if (what < 13) {
        t_stress_join(p, s);

    } else {
        t_stress_leave(p, s);
    }

    t_store_must(ngx_sio_log_advance(z, p->slot, ngx_sio_log_head(z))
                 == NGX_OK);
    t_store_must(!ngx_sio_zone_lost(z));
}


static void
t_stress_proc(t_stress_t *t, uint64_t n, ngx_uint_t fault)
{
    t_stress_proc_t  *p;

    p = calloc(1, sizeof(t_stress_proc_t));
    t_store_must(p);

    p->t = t;
    p->seed = n * 0x9e3779b97f4a7c15 + 1;
    p->id = n * 100000000;

    t_store_die_at(fault);

    p->slot = ngx_sio_worker_enter(&t->z, 0);
    t_store_must(p->slot);

    while (!ngx_sio_load(&t->shared->stop)) {
        t_stress_op(p);
    }

    ngx_sio_worker_leave(&t->z, p->slot);
    free(p);
}


/* Half of them die by the hand of the test, half at a step of their own. */

static pid_t
t_stress_start_proc(t_stress_t *t, uint64_t *seed, uint64_t n)
{
    pid_t       pid;
    ngx_uint_t  fault;

    fault = (n % 2) ? 1 + t_store_random(seed) % 40000 : 0;

    pid = t_store_fork();

    if (pid == 0) {
        t_stress_proc(t, n, fault);
        _exit(0);
    }

    return pid;
}


/*
 * Processes come, work and are killed; one works on and must never notice.
 * In the end everything fits, and everything comes back.
 */

static void
t_stress_kills(void **state)
{
    pid_t       survivor, pid[T_STRESS_PROCS];
    uint64_t    epoch, seed, n;
    t_stress_t  t;
    ngx_uint_t  i, kills;

    t_stress_setup(&t, 128 * 1024, 0);

    for (i = 0; i < T_STRESS_ROOMS; i++) {
        t_store_room(&t.z, &stress_rooms[i], stress_names[i], i);
    }

    seed = 1000;
    n = 0;
    epoch = t.z.sh->epoch;

    survivor = t_store_fork();

    if (survivor == 0) {
        t_stress_proc(&t, 1000, 0);
        _exit(0);
    }

    for (i = 0; i < T_STRESS_PROCS; i++) {
        pid[i] = t_stress_start_proc(&t, &seed, n++);
    }

    for (kills = 0; kills < T_STRESS_KILLS; kills++) {

        (void) usleep(t_store_random(&seed) % 10000);

        i = t_store_random(&seed) % T_STRESS_PROCS;
        (void) kill(pid[i], SIGKILL);

        assert_true(t_store_killed(pid[i]));
        assert_int_equal(waitpid(survivor, NULL, WNOHANG), 0);

        if (kills % 20 == 0) {
            t_store_check(&t.z, "kills", kills);
        }

        pid[i] = t_stress_start_proc(&t, &seed, n++);
    }

    for (i = 0; i < T_STRESS_PROCS; i++) {
        (void) kill(pid[i], SIGKILL);
        assert_true(t_store_killed(pid[i]));
    }

    /* who is looked at by the survivor just now is reaped another time */

    for (i = 0; i < 1000; i++) {
        (void) ngx_sio_worker_reap(&t.z);

        if (ngx_sio_load(&t.z.sh->live_sessions) <= T_STRESS_SESSIONS) {
            break;
        }
    }

    assert_true(i < 1000);
    t_store_check(&t.z, "kills", kills);

    ngx_sio_store(&t.shared->stop, 1);
    t_store_finished(survivor);

    (void) ngx_sio_worker_reap(&t.z);

    assert_int_equal(t.z.sh->epoch, epoch);
    assert_true(t.z.sh->repairs > T_STRESS_KILLS / 4);
    assert_int_equal(t.z.sh->live_sessions, 0);
    assert_int_equal(t.z.sh->live_rooms, 0);
    assert_int_equal(t.z.sh->live_users, 0);
    assert_int_equal(t.z.sh->live_chunks, 0);
    assert_int_equal(t.z.sh->live_members, 0);
    t_store_check(&t.z, "kills", kills);

    for (i = 1; i <= NGX_SIO_WORKERS; i++) {
        assert_int_equal(t.z.sh->workers[i - 1].state, NGX_SIO_FREE);
    }

    t_stress_cleanup(&t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_stress_records),
        cmocka_unit_test(t_stress_stopped),
        cmocka_unit_test(t_stress_kills)
    };

    return cmocka_run_group_tests_name("store: stress", tests, NULL, NULL);
}
