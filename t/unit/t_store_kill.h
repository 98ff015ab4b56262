
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _T_STORE_KILL_H_INCLUDED_
#define _T_STORE_KILL_H_INCLUDED_


/*
 * Each operation is killed at each of its steps.  The next one to lock must
 * find a store in which everything fits, nothing of others is lost, nothing
 * leaks, and nothing is in the way of filling and emptying it.
 */


#include "t_store.h"


#define T_KILL_SIZE    (sizeof(ngx_sio_zone_sh_t) + 64 * 1024)
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

static inline void
t_kill_rooms(t_kill_t *t)
{
    ngx_uint_t  i;

    for (i = 0; i < 2 * T_KILL_ROOMS; i++) {
        t_store_room(&t->z, &t->rooms[i], t->names[i], i);
    }

    ngx_str_set(&t->user, "a user whose name is too long for the record of a "
                          "user alone, as it may happen with an e-mail");
}


static inline void
t_kill_connect_other(t_kill_t *t, ngx_uint_t n)
{
    ngx_uint_t      i;
    ngx_sio_room_t  rooms[T_KILL_ROOMS];

    t->other[n] = t_store_open(&t->z, t->slot, n);
    assert_true(t->other[n]);

    for (i = 0; i < T_KILL_ROOMS; i++) {
        rooms[i] = t->rooms[2 * i];
    }

    assert_int_equal(t_store_connect(&t->z, t->other[n], n,
                                     n ? &t->user : NULL, rooms,
                                     T_KILL_ROOMS, 4711),
                     NGX_OK);
}


static inline void
t_kill_setup(t_kill_t *t)
{
    ngx_uint_t  n;

    t_store_zone(&t->z, T_KILL_SIZE, T_KILL_LOG);
    t_kill_rooms(t);

    t->session = 0;
    t->slot = ngx_sio_worker_enter(&t->z, 0, 0);
    assert_int_equal(t->slot, 1);

    for (n = 0; n < T_KILL_OTHERS; n++) {
        t_kill_connect_other(t, n);
    }
}


/* The others are as they were. */

static inline void
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

        if (t->z.sessions[n].state == NGX_SIO_LIVE
            && !t_store_ends(&t->z, n))
        {
            fail_msg("%s, step %u: session without an end", what,
                     (unsigned) step);
        }
    }

    ngx_sio_zone_unlock(&t->z);
}


/* Fills the zone to the last record, then empties it. */

static inline void
t_kill_fill(t_kill_t *t, const char *what, ngx_uint_t step)
{
    uint32_t            i, last;
    ngx_uint_t          n;
    ngx_sio_zone_sh_t  *sh;

    sh = t->z.sh;
    last = 0;

    for (n = 100; /* void */ ; n++) {
        i = t_store_open(&t->z, t->slot, n);

        if (i == 0) {
            break;
        }

        (void) t_store_connect(&t->z, i, n, &t->user, t->rooms, T_KILL_ROOMS,
                               n);
        last = i;
    }

    if (last == 0 || sh->live_sessions != sh->nsessions) {
        fail_msg("%s, step %u: %u of %u sessions can be used", what,
                 (unsigned) step, sh->live_sessions, sh->nsessions);
    }

    t_store_check(&t->z, what, step);

    for (i = 1; i <= sh->nsessions; i++) {

        /* branches may have gone with their transport */

        if (t->z.sessions[i].state == NGX_SIO_LIVE) {
            assert_int_equal(t_store_close(&t->z, i), NGX_OK);
        }
    }

    if (sh->live_sessions || sh->live_rooms || sh->live_users
        || sh->live_chunks || sh->live_tails || sh->live_members
        || sh->live_polling || sh->live_parked || sh->live_branches)
    {
        fail_msg("%s, step %u: not all came back", what, (unsigned) step);
    }

    t_store_check(&t->z, what, step);
}


/* Returns false if the operation came to its end. */

static inline ngx_uint_t
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


/* Returns how many steps it has. */

static inline ngx_uint_t
t_kill_operation(const t_kill_operation_t *op)
{
    ngx_uint_t  step;

    for (step = 1; t_kill_at(op, step); step += op->stride) { /* void */ }

    if (step <= op->least) {
        fail_msg("%s has %u steps only", op->name, (unsigned) step - 1);
    }

    return step - 1;
}


static inline void
t_kill_one(void **state)
{
    (void) t_kill_operation(*state);
}


/* Repair is killed, too, at all of its steps behind some deaths. */

static inline ngx_uint_t
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

    if (op->after) {
        op->after(&t);
    }

    t_kill_fill(&t, "repair", step);

    t_store_unmap(&t.z);

    return killed;
}


#define t_kill_test(op)                                                       \
    { #op, t_kill_one, NULL, NULL, (void *) &op }


#endif /* _T_STORE_KILL_H_INCLUDED_ */
