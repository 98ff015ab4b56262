
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * Each operation is killed at each of its steps.  The next one to lock must
 * find a store in which everything fits, nothing of others is lost, nothing
 * leaks, and nothing is in the way of filling and emptying it.
 */


#include "t_store.h"


#define T_KILL_SIZE    (96 * 1024)
#define T_KILL_LOG     16384

#define T_KILL_ROOMS   12
#define T_KILL_OTHERS  3


typedef struct {
    ngx_sio_zone_t        z;
    ngx_uint_t            slot;                /* of the test itself */
    uint32_t              other[T_KILL_OTHERS];
    uint32_t              session;             /* the operation's */
    ngx_sio_room_t        rooms[2 * T_KILL_ROOMS];
    u_char                names[2 * T_KILL_ROOMS][SIO_ROOM_LEN];
    ngx_str_t             user;
} t_kill_t;


typedef void (*t_kill_pt)(t_kill_t *t);


typedef struct {
    const char           *name;
    t_kill_pt             prepare;
    t_kill_pt             run;                 /* in the child */
    t_kill_pt             after;               /* behind the repair */
    ngx_uint_t            least;               /* steps that it has */
    ngx_uint_t            stride;              /* of the steps tried */
} t_kill_operation_t;


/* Even rooms are shared with the others, odd ones the session's own. */

static void
t_kill_rooms(t_kill_t *t)
{
    ngx_uint_t  i;

    for (i = 0; i < 2 * T_KILL_ROOMS; i++) {
        t_store_room(&t->z, &t->rooms[i], t->names[i], i);
    }

    ngx_str_set(&t->user, "a user whose name is too long for the record of a "
                          "user alone, as it may happen with an e-mail");
}


static void
t_kill_connect_other(t_kill_t *t, ngx_uint_t n)
{
    u_char          sid[NGX_SIO_SID_LEN];
    ngx_uint_t      i;
    ngx_sio_room_t  rooms[T_KILL_ROOMS];

    t_store_sid(sid, 'e', n);
    t->other[n] = ngx_sio_session_open(&t->z, t->slot, sid, 1);
    assert_true(t->other[n]);

    for (i = 0; i < T_KILL_ROOMS; i++) {
        rooms[i] = t->rooms[2 * i];
    }

    t_store_sid(sid, 's', n);
    assert_int_equal(ngx_sio_session_connect(&t->z, t->other[n], sid, 0,
                                             n ? &t->user : NULL, rooms,
                                             T_KILL_ROOMS, 4711),
                     NGX_OK);
}


static void
t_kill_setup(t_kill_t *t)
{
    ngx_uint_t  n;

    t_store_zone(&t->z, T_KILL_SIZE, T_KILL_LOG);
    t_kill_rooms(t);

    t->session = 0;
    t->slot = ngx_sio_worker_enter(&t->z, 0);
    assert_int_equal(t->slot, 1);

    for (n = 0; n < T_KILL_OTHERS; n++) {
        t_kill_connect_other(t, n);
    }
}


/* The others are as they were. */

static void
t_kill_others(t_kill_t *t, const char *what, ngx_uint_t step)
{
    u_char                 sid[NGX_SIO_SID_LEN];
    uint32_t               ref;
    ngx_uint_t             n, i;
    ngx_sio_room_t        *room;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);

    for (n = 0; n < T_KILL_OTHERS; n++) {

        t_store_sid(sid, 's', n);

        if (ngx_sio_session_by_sid_locked(&t->z, sid) != t->other[n]) {
            fail_msg("%s, step %u: session lost", what, (unsigned) step);
        }

        t_store_sid(sid, 'e', n);

        if (ngx_sio_session_by_eio_locked(&t->z, sid) != t->other[n]) {
            fail_msg("%s, step %u: transport lost", what, (unsigned) step);
        }

        ss = &t->z.sessions[t->other[n]];
        assert_int_equal(ss->members, T_KILL_ROOMS);
        assert_int_equal(ss->user != 0, n != 0);

        ref = NGX_SIO_NO_MEMBER;

        for (i = 0; i < T_KILL_ROOMS; i++) {
            m = ngx_sio_session_walk(&t->z, ss, &ref);
            assert_non_null(m);
            assert_int_equal(m->since, 4711);

            room = &t->rooms[2 * i];

            if (!ngx_sio_name_equal(&t->z, &t->z.rooms[m->room], 0,
                                    room->name.data, room->name.len))
            {
                fail_msg("%s, step %u: wrong room", what, (unsigned) step);
            }
        }

        assert_null(ngx_sio_session_walk(&t->z, ss, &ref));
    }

    /* nothing is left that nobody would ever close */

    for (n = 1; n <= t->z.sh->top_session; n++) {

        ss = &t->z.sessions[n];

        if (ss->state == NGX_SIO_LIVE && ngx_sio_owner_slot(ss->owner) == 0) {
            fail_msg("%s, step %u: session without owner", what,
                     (unsigned) step);
        }
    }

    ngx_sio_zone_unlock(&t->z);
}


/* Fills the zone to the last record, then empties it. */

static void
t_kill_fill(t_kill_t *t, const char *what, ngx_uint_t step)
{
    u_char              sid[NGX_SIO_SID_LEN];
    uint32_t            i, last;
    ngx_uint_t          n;
    ngx_sio_zone_sh_t  *sh;

    sh = t->z.sh;
    last = 0;

    for (n = 100; /* void */ ; n++) {
        t_store_sid(sid, 'e', n);
        i = ngx_sio_session_open(&t->z, t->slot, sid, 1);

        if (i == 0) {
            break;
        }

        t_store_sid(sid, 's', n);
        (void) ngx_sio_session_connect(&t->z, i, sid, 0, &t->user, t->rooms,
                                       T_KILL_ROOMS, n);
        last = i;
    }

    if (last == 0 || sh->live_sessions != sh->nsessions) {
        fail_msg("%s, step %u: %u of %u sessions can be used", what,
                 (unsigned) step, sh->live_sessions, sh->nsessions);
    }

    t_store_check(&t->z, what, step);

    for (i = 1; i <= sh->nsessions; i++) {
        assert_int_equal(ngx_sio_session_close(&t->z, i), NGX_OK);
    }

    if (sh->live_sessions || sh->live_rooms || sh->live_users
        || sh->live_chunks || sh->live_members)
    {
        fail_msg("%s, step %u: not all came back", what, (unsigned) step);
    }

    t_store_check(&t->z, what, step);
}


/* Returns false if the operation came to its end. */

static ngx_uint_t
t_kill_at(const t_kill_operation_t *op, ngx_uint_t step)
{
    pid_t       pid;
    t_kill_t    t;
    uint64_t    epoch;
    ngx_uint_t  killed;

    t_kill_setup(&t);

    epoch = t.z.sh->epoch;

    if (op->prepare) {
        op->prepare(&t);
    }

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);
        op->run(&t);
        t_store_die_at(0);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_store_check(&t.z, op->name, step);
    assert_int_equal(t.z.sh->epoch, epoch);

    t_kill_others(&t, op->name, step);

    if (op->after) {
        op->after(&t);
    }

    t_kill_fill(&t, op->name, step);

    t_store_unmap(&t.z);

    return killed;
}


static void
t_kill_operation(const t_kill_operation_t *op)
{
    ngx_uint_t  step;

    for (step = 1; t_kill_at(op, step); step += op->stride) { /* void */ }

    if (step <= op->least) {
        fail_msg("%s has %u steps only", op->name, (unsigned) step - 1);
    }
}


static void
t_kill_do_open(t_kill_t *t)
{
    u_char  sid[NGX_SIO_SID_LEN];

    t_store_sid(sid, 'e', 51);
    t->session = ngx_sio_session_open(&t->z, t->slot, sid, 1);
    t_store_must(t->session);
}


static void
t_kill_prepare_open(t_kill_t *t)
{
    u_char  sid[NGX_SIO_SID_LEN];

    t_store_sid(sid, 'e', 50);
    t->session = ngx_sio_session_open(&t->z, t->slot, sid, 1);
    assert_true(t->session);
}


/* Some records are taken from the free lists, not from the top. */

static void
t_kill_prepare_reuse(t_kill_t *t)
{
    u_char      sid[NGX_SIO_SID_LEN];
    uint32_t    i[4];
    ngx_uint_t  n;

    for (n = 0; n < 4; n++) {
        t_store_sid(sid, 'e', 60 + n);
        i[n] = ngx_sio_session_open(&t->z, t->slot, sid, 1);

        t_store_sid(sid, 's', 60 + n);
        assert_int_equal(ngx_sio_session_connect(&t->z, i[n], sid, 0,
                                                 &t->user,
                                                 t->rooms + 3 * n, 7, 1),
                         NGX_OK);
    }

    assert_int_equal(ngx_sio_session_close(&t->z, i[1]), NGX_OK);
    assert_int_equal(ngx_sio_session_close(&t->z, i[0]), NGX_OK);
    assert_int_equal(ngx_sio_session_close(&t->z, i[3]), NGX_OK);

    t_kill_prepare_open(t);
}


static void
t_kill_do_connect(t_kill_t *t)
{
    u_char  sid[NGX_SIO_SID_LEN];

    t_store_sid(sid, 's', 50);
    t_store_must(ngx_sio_session_connect(&t->z, t->session, sid, 0, &t->user,
                                         t->rooms, T_KILL_ROOMS, 4812)
                 == NGX_OK);
}


static void
t_kill_prepare_connect(t_kill_t *t)
{
    t_kill_prepare_open(t);
    t_kill_do_connect(t);
}


/* The last user of all rooms and of a name of its own. */

static void
t_kill_prepare_alone(t_kill_t *t)
{
    u_char      sid[NGX_SIO_SID_LEN];
    ngx_str_t   user;
    ngx_uint_t  i;

    t_kill_prepare_open(t);

    for (i = 0; i < T_KILL_ROOMS; i++) {
        t_store_room(&t->z, &t->rooms[i], t->names[i], 99 + i);
    }

    ngx_str_set(&user, "alone");
    t_store_sid(sid, 's', 50);
    assert_int_equal(ngx_sio_session_connect(&t->z, t->session, sid, 0, &user,
                                             t->rooms, T_KILL_ROOMS, 1),
                     NGX_OK);
    t_kill_rooms(t);
}


/* Too many rooms for the zone: what was done is undone. */

static void
t_kill_do_refused(t_kill_t *t)
{
    u_char          sid[NGX_SIO_SID_LEN];
    u_char          names[200][SIO_ROOM_LEN];
    ngx_uint_t      i;
    ngx_sio_room_t  rooms[200];

    for (i = 0; i < 200; i++) {
        t_store_room(&t->z, &rooms[i], names[i], 1000 + 3 * i);
    }

    t_store_sid(sid, 's', 50);
    t_store_must(ngx_sio_session_connect(&t->z, t->session, sid, 0, &t->user,
                                         rooms, 200, 4812)
                 == NGX_DECLINED);
    t_store_must(t->z.sessions[t->session].members == 0);
}


/* The member that needs a chunk, with a name that needs chunks, too. */

static void
t_kill_do_join(t_kill_t *t)
{
    t_store_must(ngx_sio_session_join(&t->z, t->session, &t->rooms[15], 5)
                 == NGX_OK);
}


static void
t_kill_prepare_join(t_kill_t *t)
{
    u_char  sid[NGX_SIO_SID_LEN];

    t_kill_prepare_open(t);

    t_store_sid(sid, 's', 50);
    t_store_must(ngx_sio_session_connect(&t->z, t->session, sid, 0, NULL,
                                         t->rooms, NGX_SIO_INLINE, 1)
                 == NGX_OK);
}


static void
t_kill_prepare_leave(t_kill_t *t)
{
    t_kill_prepare_join(t);
    t_kill_do_join(t);
}


static void
t_kill_do_leave(t_kill_t *t)
{
    t_store_must(t->rooms[15].member >= NGX_SIO_INLINE);
    t_store_must(ngx_sio_session_leave(&t->z, t->session,
                                       t->rooms[15].member)
                 == NGX_OK);
}


/* Leaves a chunk in the middle of the chain. */

static void
t_kill_prepare_middle(t_kill_t *t)
{
    ngx_uint_t  i;

    t_kill_prepare_join(t);

    for (i = NGX_SIO_INLINE; i < 2 * T_KILL_ROOMS; i++) {
        assert_int_equal(ngx_sio_session_join(&t->z, t->session,
                                              &t->rooms[i], 5),
                         NGX_OK);
    }
}


static void
t_kill_do_middle(t_kill_t *t)
{
    ngx_uint_t  i;

    for (i = NGX_SIO_INLINE + NGX_SIO_CHUNK;
         i < NGX_SIO_INLINE + 2 * NGX_SIO_CHUNK;
         i++)
    {
        t_store_must(ngx_sio_session_leave(&t->z, t->session,
                                           t->rooms[i].member)
                     == NGX_OK);
    }
}


static void
t_kill_do_disconnect(t_kill_t *t)
{
    t_store_must(ngx_sio_session_disconnect(&t->z, t->session) == NGX_OK);
}


static void
t_kill_do_close(t_kill_t *t)
{
    t_store_must(ngx_sio_session_close(&t->z, t->session) == NGX_OK);
}


static void
t_kill_do_enter(t_kill_t *t)
{
    t_store_must(ngx_sio_worker_enter(&t->z, 5) == 2);
}


/* A worker with everything that it can have. */

static void
t_kill_be_worker(t_kill_t *t)
{
    ngx_uint_t  i, slot;

    slot = ngx_sio_worker_enter(&t->z, 5);
    t_store_must(slot == 2);

    t->slot = slot;
    t_kill_prepare_connect(t);

    for (i = 0; i < T_KILL_ROOMS; i++) {
        ngx_sio_name_worker(&t->z.rooms[t->rooms[i].room], slot, 1);
        ngx_sio_name_worker(&t->z.rooms[t->rooms[i].room], 1, 1);
    }

    t_store_must(ngx_sio_lease_take(&t->z, slot, 1000000));
    t_store_must(ngx_sio_lease_standby(&t->z, slot) == NGX_DECLINED);
}


static void
t_kill_do_leave_worker(t_kill_t *t)
{
    ngx_uint_t  fault;

    fault = t_store_fault;
    t_store_die_at(0);

    t_kill_be_worker(t);

    t_store_die_at(fault);

    ngx_sio_worker_leave(&t->z, t->slot);
}


static void
t_kill_prepare_dead(t_kill_t *t)
{
    pid_t  pid;

    pid = t_store_fork();

    if (pid == 0) {
        t_kill_be_worker(t);
        _exit(0);
    }

    t_store_finished(pid);
}


static void
t_kill_do_reap(t_kill_t *t)
{
    t_store_must(ngx_sio_worker_reap(&t->z) == 1);
}


static void
t_kill_do_enter_reaping(t_kill_t *t)
{
    t_store_must(ngx_sio_worker_enter(&t->z, 5) == 2);
}


/* Nothing is left of any worker but the test. */

static void
t_kill_after_worker(t_kill_t *t)
{
    u_char              sid[NGX_SIO_SID_LEN];
    uint32_t            i;
    ngx_uint_t          slot;
    ngx_sio_zone_sh_t  *sh;

    sh = t->z.sh;

    (void) ngx_sio_worker_reap(&t->z);

    t_store_check(&t->z, "reap", 0);
    t_kill_others(t, "reap", 0);

    for (slot = 1; slot <= NGX_SIO_WORKERS; slot++) {
        assert_int_equal(ngx_sio_worker_alive(&t->z, slot), slot == t->slot);
        assert_int_equal(sh->workers[slot - 1].state,
                         (slot == t->slot) ? NGX_SIO_WORKER_LIVE
                                           : NGX_SIO_FREE);
    }

    for (i = 1; i <= sh->top_room; i++) {
        if (t->z.rooms[i].state == NGX_SIO_LIVE) {
            assert_int_equal(t->z.rooms[i].workers[0] & 2, 0);
            assert_int_equal(t->z.rooms[i].workers[1], 0);
        }
    }

    t_store_sid(sid, 's', 50);
    assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);
    assert_int_equal(ngx_sio_session_by_sid_locked(&t->z, sid), 0);
    ngx_sio_zone_unlock(&t->z);

    assert_int_equal(sh->lease.slot, 0);
    assert_int_equal(sh->lease.standby, 0);
    assert_true(ngx_sio_lease_take(&t->z, t->slot, 1000));

    slot = ngx_sio_worker_enter(&t->z, 5);
    assert_int_equal(slot, 2);
    ngx_sio_worker_leave(&t->z, slot);
}


static void
t_kill_do_lease(t_kill_t *t)
{
    uint64_t  epoch;

    t_store_must(ngx_sio_lease_standby(&t->z, t->slot) == NGX_OK);

    epoch = ngx_sio_lease_take(&t->z, t->slot, 1);
    t_store_must(epoch);
    t_store_must(ngx_sio_lease_renew(&t->z, epoch, 1) == NGX_OK);
    t_store_must(ngx_sio_lease_live(&t->z, epoch, 1) == NGX_OK);
    ngx_sio_lease_release(&t->z, epoch);
    t_store_must(ngx_sio_lease_standby(&t->z, t->slot) == NGX_OK);
    ngx_sio_lease_standby_release(&t->z, t->slot);
}


static void
t_kill_after_lease(t_kill_t *t)
{
    uint64_t  epoch;

    epoch = ngx_sio_lease_take(&t->z, t->slot, 1000);
    assert_true(epoch);
    assert_int_equal(ngx_sio_lease_renew(&t->z, epoch, 1000), NGX_OK);
}


static const t_kill_operation_t  t_kill_open = {
    "open", NULL, t_kill_do_open, NULL, 6, 1
};

static const t_kill_operation_t  t_kill_open_reuse = {
    "open with holes", t_kill_prepare_reuse, t_kill_do_open, NULL, 6, 1
};

static const t_kill_operation_t  t_kill_connect = {
    "connect", t_kill_prepare_open, t_kill_do_connect, NULL, 100, 1
};

static const t_kill_operation_t  t_kill_connect_reuse = {
    "connect with holes", t_kill_prepare_reuse, t_kill_do_connect, NULL, 70, 1
};

static const t_kill_operation_t  t_kill_refused = {
    "connect refused", t_kill_prepare_open, t_kill_do_refused, NULL, 300, 7
};

static const t_kill_operation_t  t_kill_join = {
    "join", t_kill_prepare_join, t_kill_do_join, NULL, 20, 1
};

static const t_kill_operation_t  t_kill_leave = {
    "leave", t_kill_prepare_leave, t_kill_do_leave, NULL, 15, 1
};

static const t_kill_operation_t  t_kill_leave_middle = {
    "leave a chunk", t_kill_prepare_middle, t_kill_do_middle, NULL, 40, 1
};

static const t_kill_operation_t  t_kill_disconnect = {
    "disconnect", t_kill_prepare_alone, t_kill_do_disconnect, NULL, 100, 1
};

static const t_kill_operation_t  t_kill_close = {
    "close", t_kill_prepare_alone, t_kill_do_close, NULL, 100, 1
};

static const t_kill_operation_t  t_kill_close_shared = {
    "close with others", t_kill_prepare_connect, t_kill_do_close, NULL, 50, 1
};

static const t_kill_operation_t  t_kill_enter = {
    "enter", NULL, t_kill_do_enter, t_kill_after_worker, 4, 1
};

static const t_kill_operation_t  t_kill_leave_worker = {
    "worker leaves", NULL, t_kill_do_leave_worker, t_kill_after_worker, 50, 1
};

static const t_kill_operation_t  t_kill_reap = {
    "reap", t_kill_prepare_dead, t_kill_do_reap, t_kill_after_worker, 50, 1
};

static const t_kill_operation_t  t_kill_enter_reaping = {
    "enter and reap", t_kill_prepare_dead, t_kill_do_enter_reaping,
    t_kill_after_worker, 50, 1
};

static const t_kill_operation_t  t_kill_lease = {
    "lease", NULL, t_kill_do_lease, t_kill_after_lease, 10, 1
};


static void
t_kill_one(void **state)
{
    t_kill_operation(*state);
}


/* Repair is killed, too, at all of its steps behind some deaths. */

static ngx_uint_t
t_kill_repair_at(const t_kill_operation_t *op, ngx_uint_t first,
    ngx_uint_t step)
{
    pid_t       pid;
    t_kill_t    t;
    uint64_t    epoch;
    ngx_uint_t  killed;

    t_kill_setup(&t);

    epoch = t.z.sh->epoch;

    op->prepare(&t);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(first);
        op->run(&t);
        _exit(1);
    }

    assert_true(t_store_killed(pid));

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);
        t_store_must(ngx_sio_zone_lock(&t.z) == NGX_OK);
        ngx_sio_zone_unlock(&t.z);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_store_check(&t.z, "repair", step);
    assert_int_equal(t.z.sh->epoch, epoch);
    assert_int_equal(t.z.sh->repairs, 1);
    t_kill_others(&t, "repair", step);
    t_kill_fill(&t, "repair", step);

    t_store_unmap(&t.z);

    return killed;
}


static void
t_kill_repair(void **state)
{
    ngx_uint_t  first, step;

    for (first = 3; first <= 120; first += 9) {
        for (step = 1;
             t_kill_repair_at(&t_kill_connect, first, step);
             step++)
        { /* void */ }

        assert_true(step > 20);
    }

    for (first = 2; first <= 100; first += 8) {
        for (step = 1;
             t_kill_repair_at(&t_kill_close, first, step);
             step++)
        { /* void */ }

        assert_true(step > 20);
    }
}


/*
 * The records contradict themselves and repair gives them up, killed at every
 * step: the epoch has changed when it is done, whoever did it.
 */

static ngx_uint_t
t_kill_decline_at(ngx_uint_t step)
{
    pid_t       pid;
    t_kill_t    t;
    uint64_t    epoch;
    ngx_uint_t  killed;

    t_kill_setup(&t);

    epoch = t.z.sh->epoch;

    pid = t_store_fork();

    if (pid == 0) {
        t_store_must(ngx_sio_zone_lock(&t.z) == NGX_OK);
        t.z.sessions[t.other[1]].chunk = t.z.sessions[t.other[0]].chunk;
        _exit(0);
    }

    t_store_finished(pid);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);
        t_store_must(ngx_sio_zone_lock(&t.z) == NGX_OK);
        ngx_sio_zone_unlock(&t.z);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_store_check(&t.z, "decline", step);
    assert_true(t.z.sh->epoch != epoch);
    assert_true(ngx_sio_zone_lost(&t.z));
    assert_int_equal(t.z.sh->live_sessions, 0);

    t.z.epoch = t.z.sh->epoch;
    t_kill_fill(&t, "decline", step);

    t_store_unmap(&t.z);

    return killed;
}


static void
t_kill_decline(void **state)
{
    ngx_uint_t  step;

    for (step = 1; t_kill_decline_at(step); step++) { /* void */ }

    assert_true(step > 10);
}


#define t_kill_test(op)                                                       \
    { #op, t_kill_one, NULL, NULL, (void *) &op }


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        t_kill_test(t_kill_open),
        t_kill_test(t_kill_open_reuse),
        t_kill_test(t_kill_connect),
        t_kill_test(t_kill_connect_reuse),
        t_kill_test(t_kill_refused),
        t_kill_test(t_kill_join),
        t_kill_test(t_kill_leave),
        t_kill_test(t_kill_leave_middle),
        t_kill_test(t_kill_disconnect),
        t_kill_test(t_kill_close),
        t_kill_test(t_kill_close_shared),
        t_kill_test(t_kill_enter),
        t_kill_test(t_kill_leave_worker),
        t_kill_test(t_kill_reap),
        t_kill_test(t_kill_enter_reaping),
        t_kill_test(t_kill_lease),
        cmocka_unit_test(t_kill_repair),
        cmocka_unit_test(t_kill_decline)
    };

    return cmocka_run_group_tests_name("store: kill", tests, NULL, NULL);
}
