
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store_random.h"


#define T_RANDOM_PROCS     4
#define T_RANDOM_KILLS     200


static u_char  names[T_RANDOM_ROOMS][SIO_ROOM_LEN];


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


static void
t_random_expired(ngx_sio_zone_t *z, uint32_t i, void *data)
{
    ngx_sio_session_close_locked(z, i);
}


/* Opens a transport, or a branch of one. */

static void
t_random_open_one(t_random_proc_t *p, t_random_session_t *s)
{
    uint64_t             owner;
    ngx_sio_zone_t      *z;
    t_random_session_t  *t;

    z = &p->t->z;
    t = &p->s[t_store_random(&p->seed) % T_RANDOM_SESSIONS];

    if (t == s || t->index == 0 || t->transport) {
        s->transport = NULL;
        s->nsp = 0;
        s->index = t_store_open(z, p->slot, p->id);
        s->owner = t_store_ticket(z, s->index);
        return;
    }

    s->transport = t;
    s->nsp = 1 + t_store_random(&p->seed) % T_RANDOM_OWN;

    t_random_lock(z);

    s->index = ngx_sio_session_branch_locked(z, t->index, s->nsp, p->slot, 0,
                                             &owner);
    s->owner = owner;

    ngx_sio_zone_unlock(z);
}


static void
t_random_open(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t   rc;
    ngx_str_t   user;
    ngx_uint_t  i, n, from, recoverable;

    p->id++;

    s->n = 0;

    t_random_open_one(p, s);

    if (s->index == 0) {
        return;
    }

    if (t_store_random(&p->seed) % 2 && t_random_adopt(p, s)) {
        return;
    }

    n = t_store_random(&p->seed) % 13;
    from = t_store_random(&p->seed) % T_RANDOM_ROOMS;
    recoverable = t_store_random(&p->seed) % 4;

    for (i = 0; i < n; i++) {
        s->rooms[i] = t_random_rooms[(from + 7 * i) % T_RANDOM_ROOMS];
    }

    user = t_random_rooms[t_store_random(&p->seed) % 20].name;

    t_random_retry(rc, t_store_connect_as(&p->t->z, s->index, p->id,
                                          recoverable, &user, s->rooms, n, 1));

    t_store_must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_OK) {
        s->n = n;

        for (i = 0; i < n; i++) {
            ngx_sio_name_worker(&p->t->z.rooms[s->rooms[i].room], p->slot, 1);
        }
    }
}


static void
t_random_disconnect(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t  rc;

    t_random_retry(rc, ngx_sio_session_disconnect(&p->t->z, s->index,
                                                  s->owner));
    t_store_must(rc == NGX_OK);

    s->n = 0;

    if (s->transport) {
        s->index = 0;
    }
}


static void
t_random_join(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t       rc;
    ngx_uint_t      i;
    ngx_sio_room_t  room;

    room = t_random_rooms[t_store_random(&p->seed) % T_RANDOM_ROOMS];

    t_random_retry(rc, ngx_sio_session_join(&p->t->z, s->index, s->owner,
                                            &room,
                                            ngx_sio_log_head(&p->t->z) - 64));

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
    uint64_t    until;
    ngx_int_t   rc;
    ngx_uint_t  i;

    if (s->n == 0) {
        return;
    }

    i = t_store_random(&p->seed) % s->n;
    until = t_store_random(&p->seed) % 4 ? ngx_sio_log_head(&p->t->z) : 0;

    t_random_retry(rc, ngx_sio_session_leave(&p->t->z, s->index, s->owner,
                                             s->rooms[i].member, until));
    t_store_must(rc == NGX_OK);

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

    t_random_retry(rc, ngx_sio_log_append(z, &a));
    t_store_must(rc == NGX_OK || rc == NGX_AGAIN);

    lease = ngx_sio_lease_take(z, p->slot, 5);

    if (lease == 0) {
        t_random_retry(rc, ngx_sio_lease_standby(z, p->slot));
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
    t_random_session_t  *s, *t;

    z = &p->t->z;
    s = &p->s[t_store_random(&p->seed) % T_RANDOM_SESSIONS];
    what = t_store_random(&p->seed) % 26;

    if (s->index) {
        t_random_verify(p, s);

        t = s->transport ? s->transport : s;

        if (t_random_is_dead(p, t)) {
            t_random_close(p, t);
        }
    }

    if (what == 0) {
        t_random_log(p);

    } else if (what == 1) {
        t_random_strange(p);

    } else if (s->index == 0) {
        t_random_open(p, s);

    } else if (what < 4) {
        t_random_close(p, s);

    } else if (what < 5) {
        t_random_disconnect(p, s);

    } else if (what < 6) {
        t_random_park(p, s);

    } else if (what < 7) {
        t_random_poll(p, s->transport ? s->transport : s);

    } else if (what < 8) {
        t_random_prune(p, s);

    } else if (what < 17) {
        t_random_join(p, s);

    } else {
        t_random_leave(p, s);
    }

    t_store_must(ngx_sio_log_advance(z, p->slot, ngx_sio_log_head(z))
                 == NGX_OK);
    t_store_must(!ngx_sio_zone_lost(z));
}


static ngx_int_t
t_random_enter(t_random_proc_t *p)
{
    p->slot = ngx_sio_worker_enter(&p->t->z, 0, 0);

    return p->slot ? NGX_OK : NGX_BUSY;
}


static void
t_random_proc(t_random_t *t, uint64_t n, ngx_uint_t fault)
{
    ngx_int_t         rc;
    t_random_proc_t  *p;

    p = calloc(1, sizeof(t_random_proc_t));
    t_store_must(p);

    p->t = t;
    p->seed = n * 0x9e3779b97f4a7c15 + 1;
    p->id = n * 100000000;

    t_store_die_at(fault);

    t_random_retry(rc, t_random_enter(p));

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


/* Everything fits, and everything ends one day. */

static void
t_random_check(t_random_t *t, ngx_uint_t n)
{
    char      text[128];
    uint32_t  i;

    t_random_lock(&t->z);

    if (ngx_sio_repair_check(&t->z, text, sizeof(text))) {
        fail_msg("after %u kills: %s", (unsigned) n, text);
    }

    for (i = 1; i <= t->z.sh->top_session; i++) {
        if (t->z.sessions[i].state == NGX_SIO_LIVE
            && !t_store_ends(&t->z, i))
        {
            fail_msg("session %u would never end", (unsigned) i);
        }
    }

    ngx_sio_zone_unlock(&t->z);
}


/* How many sessions there are that are not of a living worker. */

static ngx_uint_t
t_random_left(ngx_sio_zone_t *z)
{
    uint32_t               i;
    ngx_uint_t             n;
    ngx_sio_session_sh_t  *ss;

    n = 0;

    t_random_lock(z);

    for (i = 1; i <= z->sh->top_session; i++) {
        ss = &z->sessions[i];

        if (ss->state != NGX_SIO_LIVE) {
            continue;
        }

        if (ngx_sio_owner_slot(ss->owner) == 0
            && ss->eio_sid[0] == 0 && ss->kin)
        {
            ss = &z->sessions[ss->kin];
        }

        n += (ngx_sio_owner_slot(ss->owner) == 0
              || !ngx_sio_worker_alive(z, ngx_sio_owner_slot(ss->owner)));
    }

    ngx_sio_zone_unlock(z);

    return n;
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
        t_store_room(&t.z, &t_random_rooms[i], names[i], i);
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
            t_random_check(&t, kills);
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

        if (t_random_left(&t.z) == 0) {
            break;
        }
    }

    assert_true(i < 1000);
    t_random_check(&t, kills);

    ngx_sio_store(t.stop, 1);
    t_store_finished(survivor);

    (void) ngx_sio_worker_reap(&t.z, 0);
    (void) ngx_sio_session_expire(&t.z, (uint64_t) -1, t_random_expired,
                                  NULL);

    assert_int_equal(t.z.sh->epoch, epoch);
    assert_true(t.z.sh->repairs > T_RANDOM_KILLS / 4);
    t_store_is_empty(&t.z);

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
