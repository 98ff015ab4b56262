
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"


static void
t_worker_zone(ngx_sio_zone_t *z)
{
    t_store_zone(z, 1024 * 1024, 65536);
}


static uint32_t
t_worker_session(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t n)
{
    u_char          name[SIO_ROOM_LEN];
    uint32_t        i;
    ngx_sio_room_t  room;

    i = t_store_open(z, slot, n);
    t_store_room(z, &room, name, n % 10);

    if (i == 0 || t_store_connect(z, i, n, NULL, &room, 1, 1) != NGX_OK)
    {
        return 0;
    }

    ngx_sio_name_worker(&z->rooms[room.room], slot, 1);

    return i;
}


/* A child that does something and then waits to be killed. */

typedef void (*t_worker_pt)(ngx_sio_zone_t *z, uint64_t n);


static pid_t
t_worker_child(ngx_sio_zone_t *z, t_worker_pt run, uint64_t n)
{
    int    fd[2];
    char   c;
    pid_t  pid;

    assert_int_equal(pipe(fd), 0);

    pid = t_store_fork();

    if (pid == 0) {
        run(z, n);
        t_store_must(write(fd[1], "x", 1) == 1);

        for ( ;; ) {
            (void) pause();
        }
    }

    (void) close(fd[1]);
    assert_int_equal(read(fd[0], &c, 1), 1);
    (void) close(fd[0]);

    return pid;
}


static void
t_worker_kill(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_true(t_store_killed(pid));
}


/* Slots are given out in order, each once, and again when they are free. */

static void
t_worker_slots(void **state)
{
    uint32_t        generation;
    ngx_uint_t      i;
    ngx_sio_zone_t  z;

    t_worker_zone(&z);

    for (i = 1; i <= NGX_SIO_WORKERS; i++) {
        assert_int_equal(ngx_sio_worker_enter(&z, 100 + i, 0), i);
    }

    assert_int_equal(ngx_sio_worker_enter(&z, 1, 0), 0);

    generation = z.sh->workers[76].generation;
    ngx_sio_worker_leave(&z, 77, 0);

    assert_false(ngx_sio_worker_alive(&z, 77));
    assert_true(ngx_sio_worker_alive(&z, 76));

    assert_int_equal(ngx_sio_worker_enter(&z, 5, 0), 77);
    assert_int_equal(z.sh->workers[76].generation, generation + 1);
    assert_int_equal(z.sh->workers[76].process_slot, 5);
    assert_int_equal(z.sh->workers[76].pid, getpid());
    assert_int_equal(z.sh->workers[76].cursor, ngx_sio_log_head(&z));

    for (i = 1; i <= NGX_SIO_WORKERS; i++) {
        ngx_sio_worker_leave(&z, i, 0);
    }

    assert_int_equal(ngx_sio_worker_enter(&z, 1, 0), 1);

    t_store_unmap(&z);
}


static void
t_worker_run(ngx_sio_zone_t *z, uint64_t n)
{
    uint64_t    i;
    ngx_uint_t  slot;

    slot = ngx_sio_worker_enter(z, n, 0);
    t_store_must(slot);

    for (i = 0; i < 20; i++) {
        t_store_must(t_worker_session(z, slot, n * 1000 + i));
    }
}


/* The dead are reaped, whoever they are, and the living keep theirs. */

static void
t_worker_reaped(void **state)
{
    pid_t           pid[4];
    uint32_t        i;
    ngx_uint_t      n, slot;
    ngx_sio_zone_t  z;

    t_worker_zone(&z);

    slot = ngx_sio_worker_enter(&z, 0, 0);
    assert_true(t_worker_session(&z, slot, 1));

    for (n = 0; n < 4; n++) {
        pid[n] = t_worker_child(&z, t_worker_run, n + 1);
        assert_true(ngx_sio_worker_alive(&z, n + 2));
    }

    assert_int_equal(z.sh->live_sessions, 81);
    assert_int_equal(ngx_sio_worker_reap(&z, 0), 0);

    t_worker_kill(pid[0]);
    t_worker_kill(pid[2]);

    assert_false(ngx_sio_worker_alive(&z, 2));
    assert_true(ngx_sio_worker_alive(&z, 3));

    assert_int_equal(ngx_sio_worker_reap(&z, 0), 2);
    assert_int_equal(ngx_sio_worker_reap(&z, 0), 0);
    assert_int_equal(z.sh->live_sessions, 41);
    t_store_check(&z, "reap", 0);

    for (i = 1; i <= z.sh->top_room; i++) {
        if (z.rooms[i].state == NGX_SIO_LIVE) {
            assert_int_equal(z.rooms[i].workers[0] & ~0x15, 0);
        }
    }

    /* a zombie is dead, too: nobody has waited for this one */

    assert_int_equal(kill(pid[1], SIGKILL), 0);

    for (n = 0; ngx_sio_worker_alive(&z, 3); n++) {
        assert_true(n < 5000);
        (void) usleep(1000);
    }

    /* who enters reaps first */

    assert_int_equal(ngx_sio_worker_enter(&z, 0, 0), 2);
    assert_int_equal(z.sh->live_sessions, 21);

    assert_true(t_store_killed(pid[1]));
    t_worker_kill(pid[3]);

    assert_int_equal(ngx_sio_worker_reap(&z, 0), 1);
    assert_int_equal(z.sh->live_sessions, 1);
    assert_int_equal(z.sh->live_rooms, 1);
    t_store_check(&z, "reap", 1);

    t_store_unmap(&z);
}


static void
t_worker_run_locked(ngx_sio_zone_t *z, uint64_t n)
{
    t_worker_run(z, n);
    t_store_must(ngx_sio_zone_lock(z) == NGX_OK);

    if (n == 2) {
        t_store_must(ngx_sio_zone_log_lock(z) == NGX_OK);
    }
}


/*
 * A process is stopped while it holds the lock: calls come back after a while
 * and have done nothing; who leaves meanwhile is as good as dead.
 */

static void
t_worker_lock_busy(void **state)
{
    pid_t           pid;
    uint32_t        i;
    uint64_t        now;
    ngx_uint_t      slot, other;
    ngx_sio_zone_t  z;

    t_worker_zone(&z);

    slot = ngx_sio_worker_enter(&z, 0, 0);
    other = ngx_sio_worker_enter(&z, 0, 0);
    i = t_worker_session(&z, slot, 1);
    assert_true(t_worker_session(&z, other, 2));

    pid = t_worker_child(&z, t_worker_run_locked, 1);
    now = ngx_sio_zone_now();

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_BUSY);
    assert_in_range(ngx_sio_zone_now() - now, NGX_SIO_LOCK_TIMEOUT - 1,
                    NGX_SIO_LOCK_TIMEOUT + 3000);

    assert_int_equal(t_store_open(&z, slot, 3), 0);
    assert_int_equal(z.sh->refused, 1);
    ngx_sio_worker_leave(&z, other, 0);
    assert_false(ngx_sio_worker_alive(&z, other));
    assert_int_equal(z.sh->workers[other - 1].state, NGX_SIO_WORKER_LIVE);

    t_worker_kill(pid);

    assert_int_equal(z.sh->live_sessions, 22);
    assert_int_equal(ngx_sio_worker_reap(&z, 0), 2);
    assert_int_equal(z.sh->live_sessions, 1);
    assert_int_equal(t_store_close(&z, i), NGX_OK);
    assert_int_equal(z.sh->live_sessions, 0);
    assert_int_equal(z.sh->repairs, 1);

    t_store_unmap(&z);
}


/* What the kernel says of a process: 'S' sleeps, 'Z' is no more. */

static char
t_worker_state(pid_t pid)
{
    int    n;
    char   path[32], c;
    FILE  *f;

    (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);

    f = fopen(path, "r");
    assert_non_null(f);

    n = fscanf(f, "%*d (%*[^)]) %c", &c);
    (void) fclose(f);

    assert_int_equal(n, 1);

    return c;
}


static void
t_worker_asleep(pid_t pid)
{
    char        c;
    ngx_uint_t  n;

    n = 0;

    do {
        assert_true(n++ < 5000);
        (void) usleep(1000);

        c = t_worker_state(pid);

    } while (c != 'S' && c != 'Z');
}


static void
t_worker_stopped(pid_t pid)
{
    int  status;

    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}


/*
 * All processes stand still for longer than the time limit of a lock, as they
 * do when the machine is paused: that is not the fault of who holds it.
 */

static void
t_worker_lock_paused(void **state)
{
    pid_t           holder, waiter;
    uint64_t        end;
    ngx_sio_zone_t  z;

    t_worker_zone(&z);

    holder = t_store_fork();

    if (holder == 0) {
        t_store_must(ngx_sio_zone_lock(&z) == NGX_OK);
        (void) raise(SIGSTOP);
        ngx_sio_zone_unlock(&z);
        _exit(0);
    }

    t_worker_stopped(holder);

    waiter = t_store_fork();

    if (waiter == 0) {
        t_store_must(ngx_sio_zone_lock(&z) == NGX_OK);
        ngx_sio_zone_unlock(&z);
        _exit(0);
    }

    t_worker_asleep(waiter);

    assert_int_equal(kill(waiter, SIGSTOP), 0);
    t_worker_stopped(waiter);

    end = ngx_sio_zone_now() + NGX_SIO_LOCK_TIMEOUT + 100;

    while (ngx_sio_zone_now() < end) {
        (void) usleep(10000);
    }

    assert_int_equal(kill(waiter, SIGCONT), 0);
    t_worker_asleep(waiter);
    assert_int_equal(kill(holder, SIGCONT), 0);

    t_store_finished(waiter);
    t_store_finished(holder);
    t_store_unmap(&z);
}


/* The same with the other lock; who holds both dies, and both recover. */

static void
t_worker_log_busy(void **state)
{
    pid_t             pid;
    u_char            image[128] __attribute__((aligned(64)));
    ngx_uint_t        slot;
    ngx_sio_zone_t    z;
    ngx_sio_append_t  a;

    t_worker_zone(&z);

    slot = ngx_sio_worker_enter(&z, 0, 0);
    assert_true(t_worker_session(&z, slot, 1));

    t_store_record(image, 128, 1, 1);
    ngx_memzero(&a, sizeof(ngx_sio_append_t));
    a.data = image;
    a.len = 128;

    pid = t_worker_child(&z, t_worker_run_locked, 2);

    assert_int_equal(ngx_sio_log_append(&z, &a), NGX_BUSY);
    assert_int_equal(ngx_sio_log_rejoin(&z, slot), 0);

    t_worker_kill(pid);

    assert_int_equal(ngx_sio_log_append(&z, &a), NGX_OK);
    assert_int_equal(ngx_sio_worker_reap(&z, 0), 1);
    assert_int_equal(z.sh->live_sessions, 1);
    t_store_check(&z, "both locks", 0);

    t_store_unmap(&z);
}


/*
 * Looking at workers never harms them: several processes look and reap while
 * one enters and leaves all the time.
 */

static void
t_worker_run_reap(ngx_sio_zone_t *z, uint64_t n)
{
    ngx_uint_t  slot;

    t_store_must(write(n, "x", 1) == 1);

    for ( ;; ) {
        for (slot = 1; slot < 5; slot++) {
            (void) ngx_sio_worker_alive(z, slot);
        }

        (void) ngx_sio_worker_reap(z, 0);
    }
}


static void
t_worker_looked_at(void **state)
{
    int             fd[2];
    char            c;
    pid_t           pid[2];
    uint64_t        end;
    ngx_uint_t      slot, mine, n;
    ngx_sio_zone_t  z;

    t_worker_zone(&z);

    mine = ngx_sio_worker_enter(&z, 0, 0);
    assert_true(t_worker_session(&z, mine, 1));

    assert_int_equal(pipe(fd), 0);

    for (n = 0; n < 2; n++) {
        pid[n] = t_store_fork();

        if (pid[n] == 0) {
            t_worker_run_reap(&z, fd[1]);
        }

        assert_int_equal(read(fd[0], &c, 1), 1);
    }

    end = ngx_sio_zone_now() + 500;

    for (n = 2; ngx_sio_zone_now() < end; n++) {
        slot = ngx_sio_worker_enter(&z, 0, 0);

        assert_true(slot);
        assert_true(ngx_sio_worker_alive(&z, slot));
        assert_true(t_worker_session(&z, slot, n));
        assert_int_equal(z.sh->live_sessions, 2);

        ngx_sio_worker_leave(&z, slot, 0);
        assert_int_equal(z.sh->live_sessions, 1);
    }

    assert_true(n > 100);
    assert_true(ngx_sio_worker_alive(&z, mine));

    t_worker_kill(pid[0]);
    t_worker_kill(pid[1]);

    (void) close(fd[0]);
    (void) close(fd[1]);
    t_store_unmap(&z);
}


/* A session of a slot, a socket or not, that can be recovered or not. */

static uint32_t
t_worker_some(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t n,
    ngx_uint_t connected, ngx_uint_t flags)
{
    u_char          name[SIO_ROOM_LEN];
    uint32_t        i;
    ngx_sio_room_t  room;

    i = t_store_open(z, slot, n);
    t_store_room(z, &room, name, n % 10);

    if (connected) {
        t_store_must(t_store_connect(z, i, n, NULL, &room, 1, 65536)
                     == NGX_OK);
    }

    z->sessions[i].flags = flags;
    z->sessions[i].applied = slot ? NGX_SIO_AT_CURSOR : 65536;

    return i;
}


#define T_WORKER_MARKED  (NGX_SIO_CONNECTING|NGX_SIO_PINGED)


static void
t_worker_run_kinds(ngx_sio_zone_t *z, uint64_t n)
{
    uint32_t    i;
    ngx_uint_t  slot;

    slot = ngx_sio_worker_enter(z, n, 0);
    t_store_must(slot == 2);

    (void) t_worker_some(z, slot, 10, 1, NGX_SIO_RECOVERABLE);
    (void) t_worker_some(z, slot, 11, 1, 0);
    (void) t_worker_some(z, slot, 12, 0, NGX_SIO_RECOVERABLE);
    (void) t_worker_some(z, slot, 13, 1, NGX_SIO_RECOVERABLE|NGX_SIO_DEAD);
    (void) t_worker_some(z, slot, 16, 1, NGX_SIO_DEAD);

    /* not caught up yet */

    i = t_worker_some(z, slot, 14, 1, NGX_SIO_RECOVERABLE);
    z->sessions[i].applied = 65600;

    /* just about to be recovered */

    i = t_worker_some(z, slot, 15, 1, NGX_SIO_RECOVERABLE);
    t_store_must(ngx_sio_session_park(z, i, z->sessions[i].owner, 65664, 4711)
                 == NGX_OK);
    z->sessions[i].owner = ngx_sio_owner(slot, NGX_SIO_OWNER_LIVE, 99);

    /* those of others that this one does something for */

    i = t_worker_some(z, 1, 20, 0, T_WORKER_MARKED);
    z->sessions[i].connecter = slot;
    i = t_worker_some(z, 0, 21, 0, T_WORKER_MARKED);
    z->sessions[i].connecter = slot;
    i = t_worker_some(z, 1, 22, 0, T_WORKER_MARKED);
    z->sessions[i].connecter = 1;
    z->sessions[i].poster = slot;
    i = t_worker_some(z, 0, 23, 1, 0);
    z->sessions[i].connecter = slot;
    z->sessions[i].poster = slot;
    i = t_worker_some(z, 0, 24, 1, 0);
    z->sessions[i].poster = 1;

    z->sh->workers[slot - 1].stats[NGX_SIO_STAT_HANDSHAKES] = 11;
    z->sh->workers[slot - 1].connections[1] = 9;
}


static void
t_worker_check_kinds(ngx_sio_zone_t *z, uint64_t at, uint64_t now)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    i = t_store_by_sid(z, 10);
    assert_true(i);
    ss = &z->sessions[i];
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE|NGX_SIO_PARKED);
    assert_int_equal(ss->owner >> 32, 0);
    assert_int_equal(ss->applied, at);
    assert_int_equal(ss->members, 1);
    assert_in_range(ss->deadline, now + 5000, now + 7000);
    assert_int_equal(t_store_by_eio(z, 10), 0);

    assert_int_equal(t_store_by_sid(z, 11), 0);
    assert_int_equal(t_store_by_eio(z, 11), 0);
    assert_int_equal(t_store_by_eio(z, 12), 0);
    assert_int_equal(t_store_by_sid(z, 16), 0);

    /* another one has ended its transport, not its socket */

    ss = &z->sessions[t_store_by_sid(z, 13)];
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE|NGX_SIO_PARKED);
    assert_int_equal(ss->applied, at);

    ss = &z->sessions[t_store_by_sid(z, 14)];
    assert_true(ss->flags & NGX_SIO_PARKED);
    assert_int_equal(ss->applied, 65600);

    ss = &z->sessions[t_store_by_sid(z, 15)];
    assert_true(ss->flags & NGX_SIO_PARKED);
    assert_int_equal(ss->applied, 65664);
    assert_int_equal(ss->deadline, 4711);

    assert_int_equal(z->sh->live_parked, 4);

    assert_int_equal(t_store_by_eio(z, 20), 0);
    assert_int_equal(t_store_by_eio(z, 21), 0);

    ss = &z->sessions[t_store_by_eio(z, 22)];
    assert_int_equal(ss->flags, T_WORKER_MARKED);
    assert_int_equal(ss->connecter, 1);
    assert_int_equal(ss->poster, 0);

    ss = &z->sessions[t_store_by_eio(z, 23)];
    assert_int_equal(ss->flags, 0);
    assert_int_equal(ss->connecter, 0);
    assert_int_equal(ss->poster, 0);

    assert_int_equal(z->sessions[t_store_by_eio(z, 24)].poster, 1);
}


/* What becomes of the sessions of a worker that is gone. */

static void
t_worker_kinds(void **state)
{
    pid_t           pid;
    uint64_t        now, at, stats[NGX_SIO_STATS];
    ngx_uint_t      i, left;
    ngx_sio_zone_t  z;

    for (left = 0; left < 2; left++) {

        t_worker_zone(&z);

        assert_int_equal(ngx_sio_worker_enter(&z, 0, 0), 1);
        z.sh->workers[0].stats[NGX_SIO_STAT_HANDSHAKES] = 100;

        at = ngx_sio_log_head(&z);

        if (left) {
            t_worker_run_kinds(&z, 5);

        } else {
            pid = t_worker_child(&z, t_worker_run_kinds, 5);
            t_worker_kill(pid);
        }

        now = ngx_sio_zone_now();

        for (i = 0; i < 3; i++) {
            (void) t_store_append(&z, 1);
        }

        ngx_sio_stats_sum(&z, stats);
        assert_int_equal(stats[NGX_SIO_STAT_HANDSHAKES], 111);

        if (left) {
            ngx_sio_worker_leave(&z, 2, 5000);

        } else {
            assert_int_equal(ngx_sio_worker_reap(&z, 5000), 1);
        }

        t_worker_check_kinds(&z, at, now);
        t_store_check(&z, "kinds", left);

        ngx_sio_stats_sum(&z, stats);
        assert_int_equal(stats[NGX_SIO_STAT_HANDSHAKES], 111);
        assert_int_equal(z.sh->stats[NGX_SIO_STAT_HANDSHAKES], 11);

        assert_int_equal(ngx_sio_worker_enter(&z, 0, 5000), 2);
        assert_int_equal(z.sh->workers[1].stats[NGX_SIO_STAT_HANDSHAKES], 0);
        assert_int_equal(z.sh->workers[1].connections[1], 0);

        ngx_sio_worker_leave(&z, 1, 5000);
        ngx_sio_stats_sum(&z, stats);
        assert_int_equal(stats[NGX_SIO_STAT_HANDSHAKES], 111);

        t_store_unmap(&z);
    }
}


/* Without a window all of them end, also those of a zone that was lost. */

static void
t_worker_no_window(void **state)
{
    pid_t           pid;
    uint64_t        epoch;
    ngx_sio_zone_t  z;

    t_worker_zone(&z);

    assert_int_equal(ngx_sio_worker_enter(&z, 0, 0), 1);
    pid = t_worker_child(&z, t_worker_run_kinds, 5);
    t_worker_kill(pid);

    /* the caller has not noticed yet that its own are gone */

    epoch = z.epoch++;

    assert_int_equal(ngx_sio_worker_reap(&z, 0), 1);
    z.epoch = epoch;

    assert_int_equal(z.sh->live_parked, 0);
    assert_int_equal(t_store_by_sid(&z, 10), 0);
    assert_int_equal(t_store_by_sid(&z, 15), 0);
    assert_int_equal(z.sh->live_sessions, 4);
    t_store_check(&z, "no window", 0);

    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_worker_slots),
        cmocka_unit_test(t_worker_reaped),
        cmocka_unit_test(t_worker_lock_busy),
        cmocka_unit_test(t_worker_lock_paused),
        cmocka_unit_test(t_worker_log_busy),
        cmocka_unit_test(t_worker_looked_at),
        cmocka_unit_test(t_worker_kinds),
        cmocka_unit_test(t_worker_no_window)
    };

    return cmocka_run_group_tests_name("store: worker", tests, NULL, NULL);
}
