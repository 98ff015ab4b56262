
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * What an owner stores to its session without the zone lock: it is interrupted,
 * or dies, between any two of its stores, and another one takes the session.
 */


#include "t_store.h"


#define T_HOLD_SINCE   65536
#define T_HOLD_FROM    (T_HOLD_SINCE + 256)
#define T_HOLD_LAST    (T_HOLD_SINCE + 512)
#define T_HOLD_STAY    (T_HOLD_SINCE + 256)
#define T_HOLD_TOLD    77
#define T_HOLD_PLACE   4711
#define T_HOLD_WINDOW  100000
#define T_HOLD_ROOMS   3


typedef struct {
    const char            *name;
    void                 (*run)(ngx_sio_zone_t *z, uint32_t i, uint64_t owner);
    ngx_uint_t           (*done)(ngx_sio_session_sh_t *ss);
    ngx_uint_t             least;              /* steps that it has */
} t_hold_store_t;


static ngx_sio_zone_t        t_hold_zone;
static uint32_t              t_hold_session;
static ngx_sio_room_t        t_hold_rooms[T_HOLD_ROOMS];
static u_char                t_hold_names[T_HOLD_ROOMS][SIO_ROOM_LEN];

static ngx_uint_t            t_hold_step;      /* where it is interrupted */
static ngx_int_t             t_hold_taken;     /* what the other one got */
static uint64_t              t_hold_word;
static ngx_sio_session_sh_t  t_hold_was;       /* what he left */


static void
t_hold_handed(ngx_sio_zone_t *z, uint32_t i, uint64_t owner)
{
    ngx_sio_session_handed(z, i, owner, T_HOLD_FROM, T_HOLD_LAST);
}


static ngx_uint_t
t_hold_is_handed(ngx_sio_session_sh_t *ss)
{
    return ss->last == T_HOLD_LAST && ss->base_last == T_HOLD_SINCE
           && ss->base_from == T_HOLD_FROM;
}


static void
t_hold_stay(ngx_sio_zone_t *z, uint32_t i, uint64_t owner)
{
    ngx_sio_session_stay(z, i, owner, T_HOLD_STAY);
}


static ngx_uint_t
t_hold_is_staying(ngx_sio_session_sh_t *ss)
{
    return ss->applied == T_HOLD_STAY;
}


static void
t_hold_told(ngx_sio_zone_t *z, uint32_t i, uint64_t owner)
{
    ngx_sio_session_told_done(z, i, owner, T_HOLD_TOLD * SIO_RECORD_ALIGN);
}


static ngx_uint_t
t_hold_is_told(ngx_sio_session_sh_t *ss)
{
    return ss->told == 0;
}


static void
t_hold_place(ngx_sio_zone_t *z, uint32_t i, uint64_t owner)
{
    ngx_sio_session_place(z, i, owner, t_hold_rooms[1].member, T_HOLD_PLACE);
}


static ngx_uint_t
t_hold_is_placed(ngx_sio_session_sh_t *ss)
{
    return ss->member[1].pos == T_HOLD_PLACE;
}


static const t_hold_store_t  t_hold_stores[] = {
    { "handed", t_hold_handed, t_hold_is_handed, 6 },
    { "stay", t_hold_stay, t_hold_is_staying, 3 },
    { "told", t_hold_told, t_hold_is_told, 3 },
    { "place", t_hold_place, t_hold_is_placed, 3 },
    { NULL, NULL, NULL, 0 }
};


static uint32_t
t_hold_socket(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t n)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    i = t_store_open(z, slot, n);

    if (i == 0
        || t_store_connect(z, i, n, NULL, t_hold_rooms, T_HOLD_ROOMS,
                           T_HOLD_SINCE)
           != NGX_OK)
    {
        return 0;
    }

    ss = &z->sessions[i];

    ss->applied = NGX_SIO_AT_CURSOR;
    ss->told = T_HOLD_TOLD;

    /* the base is due */
    ss->base_from = 0;

    return i;
}


static void
t_hold_open(ngx_sio_zone_t *z)
{
    ngx_uint_t  i;

    t_store_zone(z, 1024 * 1024, 65536);

    assert_int_equal(ngx_sio_worker_enter(z, 0, 0), 1);
    assert_int_equal(ngx_sio_worker_enter(z, 1, 0), 2);

    for (i = 0; i < T_HOLD_ROOMS; i++) {
        t_store_room(z, &t_hold_rooms[i], t_hold_names[i], i);
    }
}


static ngx_int_t
t_hold_take(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot, uint64_t *owner)
{
    ngx_int_t  rc;

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    rc = ngx_sio_session_take_locked(z, i, slot, owner);
    ngx_sio_zone_unlock(z);

    return rc;
}


/* The other one: patience has come to its end. */

static void
t_hold_interrupt(const char *file, int line)
{
    if (t_hold_step == 0 || --t_hold_step) {
        return;
    }

    t_hold_word = ngx_sio_owner_ticket(t_store_ticket(&t_hold_zone,
                                                      t_hold_session));
    t_hold_taken = t_hold_take(&t_hold_zone, t_hold_session, 2, &t_hold_word);

    t_hold_was = t_hold_zone.sessions[t_hold_session];
}


/* Returns false if it was over before. */

static ngx_uint_t
t_hold_interrupted(const t_hold_store_t *st, ngx_uint_t step)
{
    uint64_t               owner;
    ngx_sio_session_sh_t  *ss;

    t_hold_open(&t_hold_zone);

    t_hold_session = t_hold_socket(&t_hold_zone, 1, 1);
    assert_true(t_hold_session);

    ss = &t_hold_zone.sessions[t_hold_session];
    owner = ss->owner;

    t_hold_taken = NGX_ERROR;
    t_hold_step = step;
    ngx_sio_fault_step = t_hold_interrupt;

    if (step == 0) {
        /* behind a look at the ticket, before the store begins */
        t_hold_step = 1;
        t_hold_interrupt(NULL, 0);
    }

    st->run(&t_hold_zone, t_hold_session, owner);

    ngx_sio_fault_step = NULL;

    switch (t_hold_taken) {

    case NGX_OK:
        /* all of it was stored before, or nothing is */

        assert_memory_equal(ss, &t_hold_was, sizeof(ngx_sio_session_sh_t));
        assert_int_equal(st->done(ss), step != 0);
        assert_int_equal(ngx_sio_owner_slot(ss->owner), 2);
        break;

    case NGX_AGAIN:
        assert_int_equal(ss->owner, owner);
        assert_int_equal(ngx_sio_owner_state(t_hold_was.owner),
                         NGX_SIO_OWNER_HELD);
        assert_true(ss->applied != NGX_SIO_AT_CURSOR);

        /* fall through */

    default:
        assert_int_equal(t_hold_take(&t_hold_zone, t_hold_session, 2, &owner),
                         NGX_OK);
    }

    t_store_check(&t_hold_zone, st->name, step);
    t_store_unmap(&t_hold_zone);

    return t_hold_taken != NGX_ERROR;
}


/* Who has taken a session finds nothing in it that the other stores later. */

static void
t_hold_taken_between(void **state)
{
    ngx_uint_t             step;
    const t_hold_store_t  *st;

    for (st = t_hold_stores; st->name; st++) {

        for (step = 0; t_hold_interrupted(st, step); step++) { /* void */ }

        if (step <= st->least) {
            fail_msg("%s has %u steps only", st->name, (unsigned) step - 1);
        }
    }
}


static void
t_hold_killed_child(ngx_sio_zone_t *z, const t_hold_store_t *st,
    ngx_uint_t step)
{
    uint32_t   i;
    ngx_int_t  rc;

    t_store_must(ngx_sio_worker_enter(z, 2, 0) == 3);

    i = t_hold_socket(z, 3, 1);
    t_store_must(i);

    t_store_die_at(step);
    st->run(z, i, z->sessions[i].owner);

    rc = ngx_sio_session_go_back(z, i, z->sessions[i].owner, T_HOLD_SINCE, 1);
    t_store_must(rc == NGX_OK);

    rc = ngx_sio_session_at_cursor(z, i, z->sessions[i].owner);
    t_store_must(rc == NGX_OK);

    t_store_die_at(0);
}


static ngx_uint_t
t_hold_killed(const t_hold_store_t *st, ngx_uint_t step, ngx_uint_t *held)
{
    pid_t                  pid;
    uint32_t               i;
    uint64_t               owner, cursor;
    ngx_uint_t             killed;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    t_hold_open(&z);

    pid = t_store_fork();

    if (pid == 0) {
        t_hold_killed_child(&z, st, step);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_store_check(&z, st->name, step);

    i = t_store_by_sid(&z, 1);
    assert_true(i);

    ss = &z.sessions[i];
    owner = ngx_sio_owner_ticket(ss->owner);
    cursor = z.sh->workers[2].cursor;

    if (ngx_sio_owner_state(ss->owner) == NGX_SIO_OWNER_HELD) {
        (*held)++;

        assert_int_equal(t_hold_take(&z, i, 1, &owner), NGX_AGAIN);
        t_store_check(&z, st->name, step);
    }

    assert_int_equal(ngx_sio_worker_reap(&z, T_HOLD_WINDOW), 1);

    t_store_check(&z, st->name, step);

    /* it is parked, at a position that is right, and anybody's */

    assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
    assert_true(ss->flags & NGX_SIO_PARKED);
    assert_true(ss->applied == cursor || ss->applied == T_HOLD_STAY
                || ss->applied == T_HOLD_SINCE);
    assert_true(ss->last == T_HOLD_SINCE || ss->last == T_HOLD_LAST);
    assert_true(ss->base_last == 0
                || (ss->base_last == T_HOLD_SINCE
                    && (ss->base_from == 0 || ss->base_from == T_HOLD_FROM)));

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);
    assert_int_equal(ngx_sio_session_claim_locked(&z, i, 1, &owner), NGX_OK);
    ngx_sio_zone_unlock(&z);

    t_store_unmap(&z);

    return killed;
}


static void
t_hold_dead(void **state)
{
    ngx_uint_t             step, held;
    const t_hold_store_t  *st;

    for (st = t_hold_stores; st->name; st++) {

        held = 0;

        for (step = 1; t_hold_killed(st, step, &held); step++) { /* void */ }

        assert_in_range(held, st->least - 1, st->least + 4);
        assert_true(step > st->least + 3);
    }
}


/* "stay" is for a session at the cursor; "told" for the record that was met. */

static void
t_hold_conditions(void **state)
{
    uint32_t               i;
    uint64_t               owner;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    t_hold_open(&z);

    i = t_hold_socket(&z, 1, 1);
    ss = &z.sessions[i];
    owner = ss->owner;

    ss->applied = T_HOLD_SINCE;

    ngx_sio_session_stay(&z, i, owner, T_HOLD_STAY);
    assert_int_equal(ss->applied, T_HOLD_SINCE);

    ngx_sio_session_told_done(&z, i, owner,
                              (T_HOLD_TOLD - 1) * SIO_RECORD_ALIGN);
    assert_int_equal(ss->told, T_HOLD_TOLD);

    assert_int_equal(ngx_sio_session_go_back(&z, i, owner, 192, 0), NGX_OK);
    assert_int_equal(ss->seen, 192);
    assert_int_equal(ss->applied, T_HOLD_SINCE);

    assert_int_equal(ngx_sio_session_go_back(&z, i, owner, 128, 1), NGX_OK);
    assert_int_equal(ss->seen, 128);
    assert_int_equal(ss->applied, 128);

    assert_int_equal(ngx_sio_session_at_cursor(&z, i, owner), NGX_OK);
    assert_true(ss->applied == NGX_SIO_AT_CURSOR);

    /* with a ticket of old nothing is done */

    assert_int_equal(ngx_sio_session_release(&z, i, owner, 256), NGX_OK);
    assert_int_equal(ss->applied, 256);

    assert_int_equal(ngx_sio_session_at_cursor(&z, i, owner), NGX_DECLINED);
    assert_int_equal(ngx_sio_session_go_back(&z, i, owner, 64, 1),
                     NGX_DECLINED);
    assert_int_equal(ss->applied, 256);
    assert_int_equal(ss->seen, 256);

    /* nobody's word is no ticket */

    ngx_sio_session_handed(&z, i, ss->owner, T_HOLD_FROM, T_HOLD_LAST);
    assert_int_equal(ss->last, T_HOLD_SINCE);

    t_store_check(&z, "conditions", 0);
    t_store_unmap(&z);
}


/* What another one has can be ended by who has wrested it from him. */

static void
t_hold_wrest(void **state)
{
    uint32_t        i, n;
    uint64_t        owner;
    ngx_sio_zone_t  z;

    t_hold_open(&z);

    i = t_hold_socket(&z, 1, 1);
    n = t_store_open(&z, 0, 2);
    owner = z.sessions[i].owner;

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);

    assert_int_equal(ngx_sio_session_wrest_locked(&z, n, 2), NGX_OK);
    assert_int_equal(ngx_sio_owner_slot(z.sessions[n].owner), 0);

    assert_int_equal(ngx_sio_session_wrest_locked(&z, i, 1), NGX_OK);
    assert_int_equal(z.sessions[i].owner, owner);

    z.sessions[i].owner = ngx_sio_owner(1, NGX_SIO_OWNER_HELD, owner);

    assert_int_equal(ngx_sio_session_wrest_locked(&z, i, 2), NGX_AGAIN);

    z.sessions[i].owner = owner;

    assert_int_equal(ngx_sio_session_wrest_locked(&z, i, 2), NGX_OK);
    assert_int_equal(ngx_sio_owner_slot(z.sessions[i].owner), 2);

    ngx_sio_zone_unlock(&z);

    t_store_check(&z, "wrest", 0);
    t_store_unmap(&z);
}


/*
 * A branch that was claimed by one who died on the way to his cursor: what it
 * is to be told by records before that cursor is not skipped.
 */

static void
t_hold_unarrived(void **state)
{
    pid_t                  pid;
    uint32_t               t, b;
    uint64_t               owner, seen;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    t_hold_open(&z);

    t = t_store_open(&z, 1, 1);
    b = t_store_branch(&z, t, 1, 0, 0);
    assert_true(b);

    ss = &z.sessions[b];
    seen = ss->seen;

    pid = t_store_fork();

    if (pid == 0) {
        (void) t_store_append(&z, 1);

        t_store_must(ngx_sio_worker_enter(&z, 2, 0) == 3);
        t_store_must(z.sh->workers[2].cursor > seen);
        t_store_must(ngx_sio_zone_lock(&z) == NGX_OK);
        t_store_must(ngx_sio_session_claim_locked(&z, b, 3, &owner) == NGX_OK);
        ngx_sio_zone_unlock(&z);
        _exit(0);
    }

    t_store_finished(pid);

    assert_int_equal(ngx_sio_owner_slot(ss->owner), 3);
    assert_int_equal(ngx_sio_worker_reap(&z, T_HOLD_WINDOW), 1);

    assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
    assert_int_equal(ss->seen, seen);

    t_store_check(&z, "unarrived", 0);
    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_hold_taken_between),
        cmocka_unit_test(t_hold_dead),
        cmocka_unit_test(t_hold_conditions),
        cmocka_unit_test(t_hold_wrest),
        cmocka_unit_test(t_hold_unarrived)
    };

    return cmocka_run_group_tests_name("store: hold", tests, NULL, NULL);
}
