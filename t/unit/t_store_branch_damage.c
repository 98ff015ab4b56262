
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * The links between a transport and its branches may hold anything when their
 * writer has died: repair comes to an end, and what it leaves fits together.
 */


#include "t_store_branch.h"


/* Records by their places. */

#define T_DAMAGE_T1      1                     /* transports */
#define T_DAMAGE_T2      2
#define T_DAMAGE_T3      3                     /*   nobody's */
#define T_DAMAGE_B1      4                     /* branches of the first */
#define T_DAMAGE_B2      5                     /*   nobody's */
#define T_DAMAGE_B3      6
#define T_DAMAGE_B4      7                     /* of the second */
#define T_DAMAGE_PARKED  8
#define T_DAMAGE_LEFT    9                     /* to its owner */
#define T_DAMAGE_FREE    10
#define T_DAMAGE_TOP     10


/* Two stores that a dying process has made. */

typedef struct {
    uint32_t    *word[2];
    uint32_t     value[2];
} t_damage_t;


static ngx_sio_session_sh_t  t_damage_was[T_DAMAGE_TOP + 1];


static void
t_damage_setup(ngx_sio_zone_t *z)
{
    uint32_t  t, i;

    t_branch_zone(z);

    for (t = 1; t <= 3; t++) {
        assert_int_equal(t_branch_transport(z, t % 3, 10 * t, T_BRANCH_KEPT),
                         t);
    }

    assert_int_equal(t_branch_add(z, 1, 1, 1, 10, T_BRANCH_KEPT), 4);
    assert_int_equal(t_branch_add(z, 1, 2, 0, 10, T_BRANCH_KEPT), 5);
    assert_int_equal(t_branch_add(z, 1, 3, 1, 10, T_BRANCH_NONE), 6);
    assert_int_equal(t_branch_add(z, 2, 4, 2, 20, T_BRANCH_PLAIN), 7);
    assert_int_equal(t_branch_add(z, 3, 5, 1, 30, T_BRANCH_KEPT), 8);
    assert_int_equal(t_branch_add(z, 3, 6, 1, 30, T_BRANCH_KEPT), 9);
    assert_int_equal(t_branch_add(z, 3, 7, 1, 30, T_BRANCH_KEPT), 10);

    assert_int_equal(ngx_sio_session_park(z, 8, t_store_ticket(z, 8), 66000,
                                          T_BRANCH_LATER),
                     NGX_OK);
    t_branch_prune(z, 9);
    assert_int_equal(t_store_close(z, 10), NGX_OK);

    /* as one that never had any */
    z->sessions[T_DAMAGE_T3].flags &= ~NGX_SIO_BRANCHED;

    for (i = 1; i <= T_DAMAGE_TOP; i++) {
        t_damage_was[i] = z->sessions[i];
    }
}


static void
t_damage_do(ngx_sio_zone_t *z, t_damage_t *d)
{
    pid_t       pid;
    ngx_uint_t  n;

    pid = t_store_fork();

    if (pid == 0) {
        t_store_must(ngx_sio_zone_lock(z) == NGX_OK);

        for (n = 0; n < 2; n++) {
            if (d->word[n]) {
                *d->word[n] = d->value[n];
            }
        }

        _exit(0);
    }

    t_store_finished(pid);
}


/* A session is as it was, but for what only links it. */

static void
t_damage_same(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_session_sh_t  was, is;

    was = t_damage_was[i];
    is = z->sessions[i];

    was.next_eio = is.next_eio;
    was.next_sid = is.next_sid;

    if (i <= T_DAMAGE_T3) {
        was.kin = is.kin;
        was.flags |= is.flags & NGX_SIO_BRANCHED;
    }

    if (i == T_DAMAGE_FREE) {
        was.kin = is.kin;
    }

    assert_memory_equal(&was, &is, sizeof(ngx_sio_session_sh_t));
}


/*
 * Everything but the branches in a set is as it was, and those have found a
 * transport, or are left to their owners, or gone.
 */

static void
t_damage_check(ngx_sio_zone_t *z, ngx_uint_t changed)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    t_store_check(z, "links", changed);
    assert_int_equal(z->sh->repairs, 1);
    assert_int_equal(z->sh->epoch, z->epoch);
    assert_int_equal(z->sh->live_parked, 1);

    for (i = 1; i <= T_DAMAGE_TOP; i++) {

        if (!(changed >> i & 1)) {
            t_damage_same(z, i);

            if (i >= T_DAMAGE_B1 && i <= T_DAMAGE_B4) {
                assert_int_equal(t_store_in(z, t_damage_was[i].kin, i - 3), i);
            }

            continue;
        }

        ss = &z->sessions[i];

        if (ss->state == NGX_SIO_FREE) {
            assert_int_equal(ngx_sio_owner_slot(t_damage_was[i].owner), 0);
            continue;
        }

        assert_true(t_store_ends(z, i));
        assert_int_equal(ss->sid[0], t_damage_was[i].sid[0]);
        assert_int_equal(ss->members, t_damage_was[i].members);

        if (ss->kin) {
            assert_true(t_store_in(z, ss->kin, ss->nsp));
            assert_true(z->sessions[ss->kin].flags & NGX_SIO_BRANCHED);
        }
    }

    t_branch_end(z);
}


static void
t_damage_one(uint32_t i, ngx_uint_t kin, uint32_t value)
{
    t_damage_t      d;
    ngx_uint_t      changed;
    ngx_sio_zone_t  z;

    t_damage_setup(&z);
    ngx_memzero(&d, sizeof(t_damage_t));

    d.word[0] = kin ? &z.sessions[i].kin : &z.sessions[i].next_eio;
    d.value[0] = value;

    t_damage_do(&z, &d);

    /* what a branch says is the truth, anything else a copy */

    changed = (kin && i >= T_DAMAGE_B1 && i <= T_DAMAGE_B4)
              || (kin && i == T_DAMAGE_LEFT);

    t_damage_check(&z, changed << i);
}


/* Each link of each record names each record, and what is none. */

static void
t_damage_links(void **state)
{
    uint32_t               i, value;
    ngx_uint_t             n;
    static const uint32_t  none[] = { 200, 0x7fffffff, 0x80000001,
                                      0xffffffff };

    for (i = 1; i <= T_DAMAGE_TOP; i++) {

        for (value = 0; value <= T_DAMAGE_TOP + 1; value++) {
            t_damage_one(i, 0, value);
            t_damage_one(i, 1, value);
        }

        for (n = 0; n < sizeof(none) / sizeof(none[0]); n++) {
            t_damage_one(i, 0, none[n]);
            t_damage_one(i, 1, none[n]);
        }
    }
}


/* Rings of two: in the list, and of branches that are each other's. */

static void
t_damage_rings(void **state)
{
    uint32_t        a, b;
    ngx_uint_t      kin;
    t_damage_t      d;
    ngx_sio_zone_t  z;

    for (a = 1; a <= T_DAMAGE_TOP; a++) {
        for (b = a; b <= T_DAMAGE_TOP; b++) {

            t_damage_setup(&z);
            d.word[0] = &z.sessions[a].next_eio;
            d.word[1] = &z.sessions[b].next_eio;
            d.value[0] = b;
            d.value[1] = a;
            t_damage_do(&z, &d);
            t_damage_check(&z, 0);

            if (a < T_DAMAGE_B1 || b > T_DAMAGE_B4) {
                continue;
            }

            for (kin = 0; kin < 2; kin++) {
                t_damage_setup(&z);
                d.word[0] = &z.sessions[a].kin;
                d.word[1] = kin ? &z.sessions[b].kin
                                : &z.sessions[b].next_eio;
                d.value[0] = b;
                d.value[1] = a;
                t_damage_do(&z, &d);
                t_damage_check(&z, 1 << a | (kin << b));
            }
        }
    }
}


/* Whose transport is none is no branch of it: what is nobody's then goes. */

static void
t_damage_ends(void **state)
{
    t_damage_t      d;
    ngx_sio_zone_t  z;

    ngx_memzero(&d, sizeof(t_damage_t));

    t_damage_setup(&z);
    d.word[0] = &z.sessions[T_DAMAGE_T1].state;
    d.value[0] = NGX_SIO_NEW;
    t_damage_do(&z, &d);
    t_store_check(&z, "ends", 0);

    assert_int_equal(z.sessions[T_DAMAGE_T1].state, NGX_SIO_FREE);
    assert_int_equal(z.sessions[T_DAMAGE_B1].state, NGX_SIO_LIVE);
    assert_int_equal(z.sessions[T_DAMAGE_B1].kin, 0);
    assert_int_equal(z.sessions[T_DAMAGE_B1].members, T_BRANCH_ROOMS);
    assert_int_equal(z.sessions[T_DAMAGE_B2].state, NGX_SIO_FREE);
    assert_int_equal(z.sessions[T_DAMAGE_B3].state, NGX_SIO_LIVE);
    assert_int_equal(z.sessions[T_DAMAGE_B3].kin, 0);
    assert_int_equal(z.sh->live_branches, 1);
    t_branch_end(&z);

    /* a branch in "/" could never be found */

    t_damage_setup(&z);
    ngx_memzero(&d, sizeof(t_damage_t));
    z.sessions[T_DAMAGE_B2].nsp = 0;
    t_damage_do(&z, &d);
    t_store_check(&z, "ends", 1);

    assert_int_equal(z.sessions[T_DAMAGE_B2].state, NGX_SIO_FREE);
    assert_int_equal(z.sh->live_branches, 3);
    t_branch_end(&z);
}


/* Anything in all the links at once, and records that are gone. */

static void
t_damage_random(void **state)
{
    pid_t                  pid;
    uint32_t               i;
    uint64_t               seed;
    ngx_uint_t             n;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    seed = 11;

    for (n = 0; n < 500; n++) {

        t_damage_setup(&z);

        pid = t_store_fork();

        if (pid == 0) {
            t_store_must(ngx_sio_zone_lock(&z) == NGX_OK);

            seed += n;

            for (i = 1; i <= T_DAMAGE_TOP; i++) {
                ss = &z.sessions[i];

                if (t_store_random(&seed) % 2) {
                    ss->kin = t_store_random(&seed) % (T_DAMAGE_TOP + 3);
                    ss->next_eio = t_store_random(&seed) % (T_DAMAGE_TOP + 3);
                }

                if (t_store_random(&seed) % 8 == 0) {
                    ss->eio_sid[0] = 0;
                }

                if (t_store_random(&seed) % 8 == 0) {
                    ss->flags ^= NGX_SIO_PARKED;
                }

                if (t_store_random(&seed) % 8 == 0) {
                    ss->state = t_store_random(&seed) % 2;
                }
            }

            z.sh->free_session = t_store_random(&seed);
            z.sh->live_branches = t_store_random(&seed);
            _exit(0);
        }

        t_store_finished(pid);

        t_store_check(&z, "random links", n);
        assert_int_equal(z.sh->epoch, z.epoch);

        while (t_store_open(&z, 1, 1000 + z.sh->live_sessions)) { /* void */ }

        assert_int_equal(z.sh->live_sessions, z.sh->nsessions);

        for (i = 1; i <= z.sh->nsessions; i++) {
            if (z.sessions[i].state == NGX_SIO_LIVE) {
                assert_int_equal(t_store_close(&z, i), NGX_OK);
            }
        }

        t_store_is_empty(&z);
        t_store_unmap(&z);
    }
}


static void
t_damage_wrong(ngx_sio_zone_t *z, ngx_uint_t n)
{
    char  text[64];

    if (ngx_sio_repair_check(z, text, sizeof(text)) == 0) {
        fail_msg("a check is missing: %u", (unsigned) n);
    }

    assert_true(text[0]);
}


/* The check itself notices each link that is wrong. */

static void
t_damage_checked(void **state)
{
    char                   text[64];
    uint32_t              *word[8], was;
    ngx_uint_t             n, i;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss, saved;

    t_damage_setup(&z);

    n = 0;
    word[n++] = &z.sh->live_branches;
    word[n++] = &z.sessions[T_DAMAGE_T1].kin;
    word[n++] = &z.sessions[T_DAMAGE_T3].kin;
    word[n++] = &z.sessions[T_DAMAGE_B1].kin;
    word[n++] = &z.sessions[T_DAMAGE_B2].next_eio;
    word[n++] = &z.sessions[T_DAMAGE_B3].next_eio;
    word[n++] = &z.sessions[T_DAMAGE_PARKED].kin;
    word[n++] = &z.sessions[T_DAMAGE_LEFT].kin;

    for (i = 0; i < n; i++) {
        assert_int_equal(ngx_sio_repair_check(&z, text, sizeof(text)), 0);

        was = *word[i];
        *word[i] ^= 1;
        t_damage_wrong(&z, i);
        *word[i] = was;
    }

    ss = &z.sessions[T_DAMAGE_T1];
    saved = *ss;
    ss->flags &= ~NGX_SIO_BRANCHED;
    t_damage_wrong(&z, n++);
    *ss = saved;

    ss = &z.sessions[T_DAMAGE_B1];
    saved = *ss;
    ss->nsp = 0;
    t_damage_wrong(&z, n++);
    *ss = saved;

    ss = &z.sessions[T_DAMAGE_LEFT];
    saved = *ss;
    ss->owner = 0;
    ss->applied = 0;
    t_damage_wrong(&z, n++);
    *ss = saved;

    assert_int_equal(ngx_sio_repair_check(&z, text, sizeof(text)), 0);

    t_branch_end(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_damage_links),
        cmocka_unit_test(t_damage_rings),
        cmocka_unit_test(t_damage_ends),
        cmocka_unit_test(t_damage_random),
        cmocka_unit_test(t_damage_checked)
    };

    return cmocka_run_group_tests_name("store: branch damage", tests, NULL,
                                       NULL);
}
