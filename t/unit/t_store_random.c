
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"


#define T_RANDOM_PROCS     4
#define T_RANDOM_KILLS     200
#define T_RANDOM_SESSIONS  30
#define T_RANDOM_ROOMS     60


typedef struct {
    ngx_sio_zone_t        z;
    uint32_t             *stop;                /* shared by all processes */
} t_random_t;


static void
t_random_setup(t_random_t *t)
{
    t_store_zone(&t->z, 128 * 1024 + 1024 * 1024, 128 * 1024);
    t->stop = t_store_map(4096);
}


static void
t_random_cleanup(t_random_t *t)
{
    (void) munmap(t->stop, 4096);
    t_store_unmap(&t->z);
}


/* A process that does everything at random until it is killed. */

typedef struct {
    uint32_t          index;
    uint64_t          owner;                   /* ticket */
    ngx_uint_t        n;                       /* rooms that it is in */
    ngx_sio_room_t    rooms[T_RANDOM_ROOMS];
} t_random_session_t;


typedef struct {
    t_random_t           *t;
    ngx_uint_t            slot;
    uint64_t              seed;
    uint64_t              id;
    uint64_t              ops;
    t_random_session_t    s[T_RANDOM_SESSIONS];
} t_random_proc_t;


static u_char          names[T_RANDOM_ROOMS][SIO_ROOM_LEN];
static ngx_sio_room_t  all_rooms[T_RANDOM_ROOMS];


/* Looks at its own session without a lock: nobody else changes it. */

static void
t_random_verify(t_random_proc_t *p, t_random_session_t *s)
{
    uint32_t               ref;
    ngx_uint_t             i, n;
    ngx_sio_zone_t        *z;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    z = &p->t->z;
    ss = &z->sessions[s->index];

    t_store_must(ngx_sio_load(&ss->state) == NGX_SIO_LIVE);
    t_store_must(ngx_sio_session_mine(z, s->index, s->owner));
    t_store_must(ngx_sio_owner_slot(s->owner) == p->slot);
    t_store_must(ss->members >= s->n);
    t_store_must(ss->members <= s->n + NGX_SIO_ENDED);

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


/* Any session that is parked, whoever did it. */

static uint32_t
t_random_parked(ngx_sio_zone_t *z)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    for (i = 1; i <= z->sh->top_session; i++) {

        ss = &z->sessions[i];

        if (ss->state == NGX_SIO_LIVE && (ss->flags & NGX_SIO_PARKED)) {
            t_store_must(ss->sid[0] && ss->eio_sid[0] == 0);
            return i;
        }
    }

    return 0;
}


/* The socket of somebody who was killed, or parked it, goes on here. */

static ngx_uint_t
t_random_adopt(t_random_proc_t *p, t_random_session_t *s)
{
    uint32_t               from, ref;
    uint64_t               owner;
    ngx_uint_t             i;
    ngx_sio_zone_t        *z;
    ngx_sio_room_t        *room;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    z = &p->t->z;
    ss = &z->sessions[s->index];

    t_store_must(ngx_sio_zone_lock(z) == NGX_OK);

    from = t_random_parked(z);

    if (from == 0
        || ngx_sio_session_claim_locked(z, from, p->slot, &owner) != NGX_OK)
    {
        ngx_sio_zone_unlock(z);
        return 0;
    }

    t_store_must(ngx_sio_session_adopt_locked(z, s->index, from,
                                              NGX_SIO_AT_CURSOR)
                 == NGX_OK);
    t_store_must(ss->sid[0] == 's');

    ref = NGX_SIO_NO_MEMBER;

    for ( ;; ) {
        m = ngx_sio_session_walk(z, ss, &ref);

        if (m == NULL) {
            break;
        }

        for (i = 0; i < T_RANDOM_ROOMS; i++) {
            room = &all_rooms[i];

            if (ngx_sio_name_equal(z, &z->rooms[m->room], 0, room->name.data,
                                   room->name.len))
            {
                break;
            }
        }

        t_store_must(i < T_RANDOM_ROOMS);

        s->rooms[s->n] = *room;
        s->rooms[s->n].member = ref;
        s->rooms[s->n++].room = m->room;
    }

    ngx_sio_zone_unlock(z);

    return 1;
}


/* Lets a session go, for others to recover or to end. */

static void
t_random_park(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = &p->t->z;

    rc = ngx_sio_session_park(z, s->index, s->owner, ngx_sio_log_head(z),
                              ngx_sio_zone_now() + 10);

    if (rc == NGX_OK) {
        s->index = 0;
        return;
    }

    t_store_must(rc == NGX_DECLINED);
    t_store_must(z->sessions[s->index].sid[0] == 0);
}


/* Lets it go and takes it again, as a poll does. */

static void
t_random_poll(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_sio_zone_t  *z;

    z = &p->t->z;

    t_store_must(ngx_sio_zone_lock(z) == NGX_OK);
    z->sessions[s->index].deadline = ngx_sio_zone_now() + 10;
    ngx_sio_zone_unlock(z);

    t_store_must(ngx_sio_session_release(z, s->index, s->owner,
                                         ngx_sio_log_head(z))
                 == NGX_OK);

    s->owner = ngx_sio_owner(0, NGX_SIO_OWNER_NONE,
                             ngx_sio_owner_gen(s->owner) + 1);

    t_store_must(ngx_sio_zone_lock(z) == NGX_OK);

    if (ngx_sio_session_take_locked(z, s->index, p->slot, &s->owner)
        == NGX_OK)
    {
        z->sessions[s->index].applied = NGX_SIO_AT_CURSOR;
        z->sessions[s->index].deadline = 0;

    } else {
        /* it was too late */
        s->index = 0;
    }

    ngx_sio_zone_unlock(z);
}


static void
t_random_expired(ngx_sio_zone_t *z, uint32_t i, void *data)
{
    ngx_sio_session_close_locked(z, i);
}


static void
t_random_open(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t   rc;
    ngx_str_t   user;
    ngx_uint_t  i, n, from;

    p->id++;

    s->n = 0;
    s->index = t_store_open(&p->t->z, p->slot, p->id);

    if (s->index == 0) {
        return;
    }

    s->owner = t_store_ticket(&p->t->z, s->index);

    if (t_store_random(&p->seed) % 2 && t_random_adopt(p, s)) {
        return;
    }

    n = t_store_random(&p->seed) % 13;
    from = t_store_random(&p->seed) % T_RANDOM_ROOMS;

    for (i = 0; i < n; i++) {
        s->rooms[i] = all_rooms[(from + 7 * i) % T_RANDOM_ROOMS];
    }

    user = all_rooms[t_store_random(&p->seed) % 20].name;

    rc = t_store_connect(&p->t->z, s->index, p->id, &user, s->rooms, n, 1);

    t_store_must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_OK) {
        s->n = n;

        for (i = 0; i < n; i++) {
            ngx_sio_name_worker(&p->t->z.rooms[s->rooms[i].room], p->slot, 1);
        }
    }
}


static void
t_random_join(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t       rc;
    ngx_uint_t      i;
    ngx_sio_room_t  room;

    room = all_rooms[t_store_random(&p->seed) % T_RANDOM_ROOMS];

    rc = ngx_sio_session_join(&p->t->z, s->index, s->owner, &room,
                              ngx_sio_log_head(&p->t->z) - 64);

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
t_random_leave(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_uint_t  i;

    if (s->n == 0) {
        return;
    }

    i = t_store_random(&p->seed) % s->n;

    t_store_must(ngx_sio_session_leave(&p->t->z, s->index, s->owner,
                                       s->rooms[i].member,
                                       t_store_random(&p->seed) % 4 == 0
                                       ? 0 : ngx_sio_log_head(&p->t->z))
                 == NGX_OK);

    s->rooms[i] = s->rooms[--s->n];
}


static void
t_random_log(t_random_proc_t *p)
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

    (void) ngx_sio_worker_reap(z, 10);
    (void) ngx_sio_session_expire(z, ngx_sio_zone_now(), t_random_expired,
                                  NULL);
}


static void
t_random_op(t_random_proc_t *p)
{
    ngx_uint_t           what;
    ngx_sio_zone_t      *z;
    t_random_session_t  *s;

    z = &p->t->z;
    s = &p->s[t_store_random(&p->seed) % T_RANDOM_SESSIONS];
    what = t_store_random(&p->seed) % 24;

    if (s->index) {
        t_random_verify(p, s);
    }

    if (what == 0) {
        t_random_log(p);

    } else if (s->index == 0) {
        t_random_open(p, s);

    } else if (what < 3) {
        t_store_must(t_store_close(z, s->index) == NGX_OK);
        s->index = 0;

    } else if (what < 4) {
        t_store_must(t_store_disconnect(z, s->index) == NGX_OK);
        s->n = 0;

    } else if (what < 5) {
        t_random_park(p, s);

    } else if (what < 6) {
        t_random_poll(p, s);

    } else if (what < 15) {
        t_random_join(p, s);

    } else {
        t_random_leave(p, s);
    }

    t_store_must(ngx_sio_log_advance(z, p->slot, ngx_sio_log_head(z))
                 == NGX_OK);
    t_store_must(!ngx_sio_zone_lost(z));
}


static void
t_random_proc(t_random_t *t, uint64_t n, ngx_uint_t fault)
{
    t_random_proc_t  *p;

    p = calloc(1, sizeof(t_random_proc_t));
    t_store_must(p);

    p->t = t;
    p->seed = n * 0x9e3779b97f4a7c15 + 1;
    p->id = n * 100000000;

    t_store_die_at(fault);

    p->slot = ngx_sio_worker_enter(&t->z, 0, 0);
    t_store_must(p->slot);

    while (!ngx_sio_load(t->stop)) {
        t_random_op(p);
    }

    ngx_sio_worker_leave(&t->z, p->slot, 0);
    free(p);
}


/* Half of them die by the hand of the test, half at a step of their own. */

static pid_t
t_random_start_proc(t_random_t *t, uint64_t *seed, uint64_t n)
{
    pid_t       pid;
    ngx_uint_t  fault;

    fault = (n % 2) ? 1 + t_store_random(seed) % 40000 : 0;

    pid = t_store_fork();

    if (pid == 0) {
        t_random_proc(t, n, fault);
        _exit(0);
    }

    return pid;
}


/*
 * Processes come, work and are killed; one works on and must never notice.
 * In the end everything fits, and everything comes back.
 */

static void
t_random_kills(void **state)
{
    pid_t       survivor, pid[T_RANDOM_PROCS];
    uint64_t    epoch, seed, n;
    t_random_t  t;
    ngx_uint_t  i, kills;

    t_random_setup(&t);

    for (i = 0; i < T_RANDOM_ROOMS; i++) {
        t_store_room(&t.z, &all_rooms[i], names[i], i);
    }

    seed = 1000;
    n = 0;
    epoch = t.z.sh->epoch;

    survivor = t_store_fork();

    if (survivor == 0) {
        t_random_proc(&t, 1000, 0);
        _exit(0);
    }

    for (i = 0; i < T_RANDOM_PROCS; i++) {
        pid[i] = t_random_start_proc(&t, &seed, n++);
    }

    for (kills = 0; kills < T_RANDOM_KILLS; kills++) {

        (void) usleep(t_store_random(&seed) % 10000);

        i = t_store_random(&seed) % T_RANDOM_PROCS;
        (void) kill(pid[i], SIGKILL);

        assert_true(t_store_killed(pid[i]));
        assert_int_equal(waitpid(survivor, NULL, WNOHANG), 0);

        if (kills % 20 == 0) {
            t_store_check(&t.z, "kills", kills);
        }

        pid[i] = t_random_start_proc(&t, &seed, n++);
    }

    for (i = 0; i < T_RANDOM_PROCS; i++) {
        (void) kill(pid[i], SIGKILL);
        assert_true(t_store_killed(pid[i]));
    }

    /* who is looked at by the survivor just now is reaped another time */

    for (i = 0; i < 1000; i++) {
        (void) ngx_sio_worker_reap(&t.z, 10);
        (void) ngx_sio_session_expire(&t.z, (uint64_t) -1, t_random_expired,
                                      NULL);

        if (ngx_sio_load(&t.z.sh->live_sessions) <= T_RANDOM_SESSIONS) {
            break;
        }
    }

    assert_true(i < 1000);
    t_store_check(&t.z, "kills", kills);

    ngx_sio_store(t.stop, 1);
    t_store_finished(survivor);

    (void) ngx_sio_worker_reap(&t.z, 0);
    (void) ngx_sio_session_expire(&t.z, (uint64_t) -1, t_random_expired,
                                  NULL);

    assert_int_equal(t.z.sh->epoch, epoch);
    assert_true(t.z.sh->repairs > T_RANDOM_KILLS / 4);
    assert_int_equal(t.z.sh->live_sessions, 0);
    assert_int_equal(t.z.sh->live_rooms, 0);
    assert_int_equal(t.z.sh->live_users, 0);
    assert_int_equal(t.z.sh->live_chunks, 0);
    assert_int_equal(t.z.sh->live_members, 0);
    t_store_check(&t.z, "kills", kills);

    for (i = 1; i <= NGX_SIO_WORKERS; i++) {
        assert_int_equal(t.z.sh->workers[i - 1].state, NGX_SIO_FREE);
    }

    t_random_cleanup(&t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_random_kills)
    };

    return cmocka_run_group_tests_name("store: random", tests, NULL, NULL);
}
