
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"


static u_char  names[30][SIO_ROOM_LEN];


/* Several sessions in rooms with long names and chunks, for damage. */

static void
t_damage_setup(ngx_sio_zone_t *z)
{
    char            user[80];
    uint32_t        i;
    ngx_str_t       name;
    ngx_uint_t      n;
    ngx_sio_room_t  rooms[30];

    t_store_zone(z, 1024 * 1024, 65536);

    for (n = 0; n < 30; n++) {
        t_store_room(z, &rooms[n], names[n], n);
    }

    for (i = 1; i <= 20; i++) {
        assert_int_equal(t_store_open(z, 1, i), i);

        (void) sprintf(user, "%060u", i % 5);

        name.data = (u_char *) user;
        name.len = 60;

        assert_int_equal(t_store_connect(z, i, i, &name, rooms, 10 + i, 1),
                         NGX_OK);
    }

    assert_int_equal(t_store_close(z, 20), NGX_OK);
    assert_int_equal(t_store_close(z, 10), NGX_OK);
}


/* A process damages the records and dies with the lock. */

typedef void (*t_damage_pt)(ngx_sio_zone_t *z);


static void
t_damage_do(ngx_sio_zone_t *z, t_damage_pt damage)
{
    pid_t  pid;

    pid = t_store_fork();

    if (pid == 0) {
        t_store_must(ngx_sio_zone_lock(z) == NGX_OK);
        damage(z);
        _exit(0);
    }

    t_store_finished(pid);
}


/* A session with a chain of two chunks at least. */

#define T_DAMAGE_S  15


static ngx_sio_name_sh_t *
t_damage_long_name(ngx_sio_zone_t *z)
{
    uint32_t  i;

    for (i = 1; i <= z->sh->top_room; i++) {
        if (z->rooms[i].state == NGX_SIO_LIVE && z->rooms[i].len > 200) {
            return &z->rooms[i];
        }
    }

    _exit(2);
}


static void
t_damage_two_owners(ngx_sio_zone_t *z)
{
    z->sessions[T_DAMAGE_S].chunk = z->sessions[T_DAMAGE_S + 1].chunk;
}


static void
t_damage_cycle(ngx_sio_zone_t *z)
{
    uint32_t  c;

    c = z->sessions[T_DAMAGE_S].chunk;
    z->chunks[z->chunks[c].next].next = c;
}


static void
t_damage_empty_cycle(ngx_sio_zone_t *z)
{
    uint32_t  c;

    t_damage_cycle(z);

    c = z->sessions[T_DAMAGE_S].chunk;
    ngx_memzero(&z->chunks[c].u, sizeof(z->chunks[c].u));
    c = z->chunks[c].next;
    ngx_memzero(&z->chunks[c].u, sizeof(z->chunks[c].u));
}


static void
t_damage_chunk_index(ngx_sio_zone_t *z)
{
    z->sessions[T_DAMAGE_S].chunk = 0x7fffffff;
}


static void
t_damage_chunk_untouched(ngx_sio_zone_t *z)
{
    z->sessions[T_DAMAGE_S].chunk = z->sh->top_chunk + 1;
}


static void
t_damage_chunk_free(ngx_sio_zone_t *z)
{
    z->chunks[z->sessions[T_DAMAGE_S].chunk].state = NGX_SIO_FREE;
}


static void
t_damage_chunk_state(ngx_sio_zone_t *z)
{
    z->chunks[z->sessions[T_DAMAGE_S].chunk].state = 77;
}


static void
t_damage_room_index(ngx_sio_zone_t *z)
{
    z->sessions[T_DAMAGE_S].member[3].room = z->sh->nrooms + 5;
}


static void
t_damage_user_index(ngx_sio_zone_t *z)
{
    z->sessions[T_DAMAGE_S].user = 0xffffffff;
}


static void
t_damage_session_state(ngx_sio_zone_t *z)
{
    z->sessions[T_DAMAGE_S].state = 3;
}


static void
t_damage_room_state(ngx_sio_zone_t *z)
{
    z->rooms[2].state = 0x82;
}


static void
t_damage_user_state(ngx_sio_zone_t *z)
{
    z->users[1].state = 5;
}


static void
t_damage_name(ngx_sio_zone_t *z)
{
    z->rooms[2].name[1] ^= 1;
}


static void
t_damage_name_hash(ngx_sio_zone_t *z)
{
    z->users[2].hash++;
}


static void
t_damage_name_len(ngx_sio_zone_t *z)
{
    z->rooms[2].len = SIO_ROOM_LEN + 1;
}


static void
t_damage_name_no_len(ngx_sio_zone_t *z)
{
    z->rooms[2].len = 0;
}


static void
t_damage_name_text(ngx_sio_zone_t *z)
{
    z->tails[t_damage_long_name(z)->tail].text[20] ^= 1;
}


static void
t_damage_name_short_chain(ngx_sio_zone_t *z)
{
    z->tails[t_damage_long_name(z)->tail].next = 0;
}


static void
t_damage_name_long_chain(ngx_sio_zone_t *z)
{
    z->rooms[2].tail = t_damage_long_name(z)->tail;
}


static void
t_damage_name_cycle(ngx_sio_zone_t *z)
{
    uint32_t  t;

    t = t_damage_long_name(z)->tail;
    z->tails[t].next = t;
}


static void
t_damage_tail_index(ngx_sio_zone_t *z)
{
    t_damage_long_name(z)->tail = 0x7fffffff;
}


static void
t_damage_tail_untouched(ngx_sio_zone_t *z)
{
    t_damage_long_name(z)->tail = z->sh->top_tail + 1;
}


static void
t_damage_tail_free(ngx_sio_zone_t *z)
{
    z->tails[t_damage_long_name(z)->tail].state = NGX_SIO_FREE;
}


static void
t_damage_tail_state(ngx_sio_zone_t *z)
{
    z->tails[t_damage_long_name(z)->tail].state = 77;
}


static void
t_damage_tail_two_owners(ngx_sio_zone_t *z)
{
    z->users[1].tail = z->users[2].tail;
}


static void
t_damage_top_session(ngx_sio_zone_t *z)
{
    z->sh->top_session = z->sh->nsessions + 1;
}


static void
t_damage_top_room(ngx_sio_zone_t *z)
{
    z->sh->top_room = 0xffffffff;
}


static void
t_damage_top_user(ngx_sio_zone_t *z)
{
    z->sh->top_user = 0xffffffff;
}


static void
t_damage_top_chunk(ngx_sio_zone_t *z)
{
    z->sh->top_chunk = 0xffffffff;
}


static void
t_damage_top_tail(ngx_sio_zone_t *z)
{
    z->sh->top_tail = z->sh->ntails + 1;
}


/* What no interrupted operation leaves behind: everybody starts anew. */

static void
t_damage_found(void **state)
{
    uint32_t                   i;
    uint64_t                   epoch;
    ngx_uint_t                 n, k;
    ngx_sio_zone_t             z;

    static const t_damage_pt   damage[] = {
        t_damage_two_owners,
        t_damage_cycle,
        t_damage_empty_cycle,
        t_damage_chunk_index,
        t_damage_chunk_untouched,
        t_damage_chunk_free,
        t_damage_chunk_state,
        t_damage_room_index,
        t_damage_user_index,
        t_damage_session_state,
        t_damage_room_state,
        t_damage_user_state,
        t_damage_name,
        t_damage_name_hash,
        t_damage_name_len,
        t_damage_name_no_len,
        t_damage_name_text,
        t_damage_name_short_chain,
        t_damage_name_long_chain,
        t_damage_name_cycle,
        t_damage_tail_index,
        t_damage_tail_untouched,
        t_damage_tail_free,
        t_damage_tail_state,
        t_damage_tail_two_owners,
        t_damage_top_session,
        t_damage_top_room,
        t_damage_top_user,
        t_damage_top_chunk,
        t_damage_top_tail
    };

    for (n = 0; n < sizeof(damage) / sizeof(damage[0]); n++) {

        t_damage_setup(&z);
        epoch = z.sh->epoch;

        t_damage_do(&z, damage[n]);

        t_store_check(&z, "damage", n);

        if (z.sh->epoch == epoch) {
            fail_msg("damage %u was not found", (unsigned) n);
        }

        assert_int_equal(z.sh->repairs, 1);
        t_store_is_empty(&z);

        /* until the worker has noticed nothing can be done by mistake */

        assert_true(ngx_sio_zone_lost(&z));
        assert_int_equal(t_store_open(&z, 1, 1), 0);

        z.epoch = z.sh->epoch;

        for (k = 0; t_store_open(&z, 1, k); k++) { /* void */ }

        assert_int_equal(k, z.sh->nsessions);
        t_store_check(&z, "damage", n);

        z.epoch = epoch;
        assert_int_equal(t_store_by_eio(&z, 1), 0);
        assert_int_equal(t_store_by_sid(&z, 1), 0);
        assert_int_equal(t_store_close(&z, 1), NGX_DECLINED);
        assert_int_equal(t_store_disconnect(&z, 1), NGX_DECLINED);
        assert_int_equal(t_store_leave(&z, 1, 0, 0), NGX_DECLINED);
        assert_int_equal(t_store_connect(&z, 1, 1, NULL, NULL, 0, 1),
                         NGX_DECLINED);
        assert_int_equal(z.sh->live_sessions, k);

        z.epoch = z.sh->epoch;

        for (i = 1; i <= k; i++) {
            assert_int_equal(t_store_close(&z, i), NGX_OK);
        }

        t_store_is_empty(&z);
        t_store_unmap(&z);
    }
}


static void
t_damage_caches(ngx_sio_zone_t *z)
{
    uint32_t            i;
    uint64_t            seed;
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;
    seed = 6;

    for (i = 0; i < sh->nsessions; i++) {
        z->eio_table[i] = t_store_random(&seed);
        z->sid_table[i] = t_store_random(&seed);
    }

    for (i = 0; i < sh->nrooms; i++) {
        z->room_table[i] = t_store_random(&seed);
    }

    for (i = 0; i < sh->nusers; i++) {
        z->user_table[i] = t_store_random(&seed);
    }

    for (i = 1; i <= sh->top_session; i++) {
        z->sessions[i].next_eio = t_store_random(&seed);
        z->sessions[i].next_sid = i;
        z->sessions[i].members = t_store_random(&seed);
    }

    for (i = 1; i <= sh->top_room; i++) {
        z->rooms[i].next = i;
        z->rooms[i].refs = t_store_random(&seed);
    }

    for (i = 1; i <= sh->top_user; i++) {
        z->users[i].next = t_store_random(&seed);
        z->users[i].refs = t_store_random(&seed);
    }

    for (i = 1; i <= sh->top_chunk; i++) {
        z->chunks[i].mark = t_store_random(&seed);

        if (z->chunks[i].state == NGX_SIO_FREE) {
            z->chunks[i].next = t_store_random(&seed);
        }
    }

    for (i = 1; i <= sh->top_tail; i++) {
        z->tails[i].mark = t_store_random(&seed);

        if (z->tails[i].state == NGX_SIO_FREE) {
            z->tails[i].next = t_store_random(&seed);
        }
    }

    sh->free_session = 3;
    sh->free_room = 0xffffffff;
    sh->free_user = 3;
    sh->free_chunk = 3;
    sh->free_tail = 3;
    sh->live_sessions = 0xffffffff;
    sh->live_rooms = 0;
    sh->live_users = 1;
    sh->live_chunks = 2;
    sh->live_tails = 2;
    sh->live_members = 3;
    sh->live_polling = 4;
    sh->live_parked = 5;
}


/* Caches may hold anything: they are built anew, and nobody notices. */

static void
t_damage_repaired(void **state)
{
    uint32_t        i;
    uint64_t        epoch, workers[2];
    ngx_sio_zone_t  z;

    t_damage_setup(&z);

    epoch = z.sh->epoch;
    workers[0] = 0x123456789abcdef0;
    workers[1] = 0xfedcba9876543210;
    ngx_memcpy(z.rooms[1].workers, workers, sizeof(workers));

    t_damage_do(&z, t_damage_caches);

    t_store_check(&z, "caches", 0);

    assert_int_equal(z.sh->epoch, epoch);
    assert_int_equal(z.sh->live_sessions, 18);
    assert_memory_equal(z.rooms[1].workers, workers, sizeof(workers));

    for (i = 1; i <= 19; i++) {
        if (i == 10) {
            continue;
        }

        assert_int_equal(t_store_by_eio(&z, i), i);
        assert_int_equal(t_store_by_sid(&z, i), i);
        assert_int_equal(z.sessions[i].members, 10 + i);
        assert_int_equal(t_store_close(&z, i), NGX_OK);
    }

    t_store_is_empty(&z);
    t_store_unmap(&z);
}


/*
 * What a death in the middle leaves: whatever repair makes of it, nothing of
 * it may be used, and nothing of it stays.
 */

static void
t_damage_no_id(ngx_sio_zone_t *z)
{
    z->sessions[T_DAMAGE_S].sid[0] = 0;
}


static void
t_damage_parked_no_id(ngx_sio_zone_t *z)
{
    z->sessions[T_DAMAGE_S].sid[0] = 0;
    z->sessions[T_DAMAGE_S].flags |= NGX_SIO_PARKED;
}


static void
t_damage_parked(ngx_sio_zone_t *z)
{
    z->sessions[T_DAMAGE_S].flags |= NGX_SIO_PARKED;
}


static void
t_damage_two_halves(ngx_sio_zone_t *z)
{
    ngx_sio_session_sh_t  *from, *to;

    from = &z->sessions[T_DAMAGE_S];
    to = &z->sessions[T_DAMAGE_S + 1];

    from->state = NGX_SIO_NEW;
    to->sid[0] = 0;
    to->user = from->user;
    to->chunk = from->chunk;
    ngx_memcpy(to->member, from->member, sizeof(to->member));
}


static void
t_damage_halves(void **state)
{
    uint64_t               epoch;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    t_damage_setup(&z);
    epoch = z.sh->epoch;
    ss = &z.sessions[T_DAMAGE_S];

    t_damage_do(&z, t_damage_no_id);
    t_store_check(&z, "halves", 0);
    assert_int_equal(z.sh->epoch, epoch);
    assert_int_equal(z.sh->live_sessions, 18);
    assert_int_equal(ss->members, 0);
    assert_int_equal(ss->user, 0);
    assert_int_equal(ss->chunk, 0);
    assert_int_equal(t_store_by_eio(&z, T_DAMAGE_S), T_DAMAGE_S);

    t_damage_do(&z, t_damage_parked_no_id);
    t_store_check(&z, "halves", 1);
    assert_int_equal(ss->state, NGX_SIO_FREE);
    assert_int_equal(z.sh->live_sessions, 17);
    t_store_unmap(&z);

    t_damage_setup(&z);
    t_damage_do(&z, t_damage_parked);
    t_store_check(&z, "halves", 2);
    ss = &z.sessions[T_DAMAGE_S];
    assert_int_equal(ss->members, 10 + T_DAMAGE_S);
    assert_int_equal(t_store_by_eio(&z, T_DAMAGE_S), 0);
    assert_int_equal(t_store_by_sid(&z, T_DAMAGE_S), T_DAMAGE_S);
    assert_int_equal(z.sh->live_parked, 1);
    t_store_unmap(&z);

    t_damage_setup(&z);
    epoch = z.sh->epoch;
    t_damage_do(&z, t_damage_two_halves);
    t_store_check(&z, "halves", 3);
    ss = &z.sessions[T_DAMAGE_S + 1];
    assert_int_equal(z.sh->epoch, epoch);
    assert_int_equal(z.sessions[T_DAMAGE_S].state, NGX_SIO_FREE);
    assert_int_equal(ss->members, 0);
    assert_int_equal(t_store_by_eio(&z, T_DAMAGE_S + 1), T_DAMAGE_S + 1);
    assert_int_equal(t_store_by_sid(&z, T_DAMAGE_S), 0);
    t_store_unmap(&z);
}


/* Another value; an id in the chain that it belongs to cannot be told. */

static void
t_damage_change(ngx_sio_zone_t *z, uint32_t *field)
{
    uint32_t              *eio, *sid;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[3];
    eio = ngx_sio_session_eio_bucket(z, ss->eio_sid);
    sid = ngx_sio_session_sid_bucket(z, ss->sid);

    do {
        (*field)++;

    } while ((field == (uint32_t *) ss->eio_sid
              && ngx_sio_session_eio_bucket(z, ss->eio_sid) == eio)
             || (field == (uint32_t *) ss->sid
                 && ngx_sio_session_sid_bucket(z, ss->sid) == sid));
}


/* The check itself notices each cache that is wrong. */

static void
t_damage_checked(void **state)
{
    char             text[64];
    uint32_t        *cache[32], was;
    ngx_uint_t       n, i;
    ngx_sio_zone_t   z;

    t_damage_setup(&z);

    n = 0;
    cache[n++] = &z.sh->free_session;
    cache[n++] = &z.sh->free_room;
    cache[n++] = &z.sh->free_user;
    cache[n++] = &z.sh->free_chunk;
    cache[n++] = &z.sh->free_tail;
    cache[n++] = &z.sh->live_sessions;
    cache[n++] = &z.sh->live_rooms;
    cache[n++] = &z.sh->live_users;
    cache[n++] = &z.sh->live_chunks;
    cache[n++] = &z.sh->live_tails;
    cache[n++] = (uint32_t *) &z.sh->live_members;
    cache[n++] = &z.sh->live_polling;
    cache[n++] = &z.sh->live_parked;
    cache[n++] = &z.sessions[3].state;
    cache[n++] = &z.sessions[3].user;
    cache[n++] = &z.sessions[3].chunk;
    cache[n++] = (uint32_t *) z.sessions[3].eio_sid;
    cache[n++] = (uint32_t *) z.sessions[3].sid;
    cache[n++] = &z.sessions[3].member[0].room;
    cache[n++] = &z.sessions[10].state;
    cache[n++] = (uint32_t *) &z.rooms[3].state;
    cache[n++] = &z.rooms[3].refs;
    cache[n++] = (uint32_t *) &z.rooms[3].hash;
    cache[n++] = (uint32_t *) z.rooms[3].name;
    cache[n++] = &z.users[1].refs;
    cache[n++] = &z.users[1].tail;
    cache[n++] = &z.tails[z.users[1].tail].next;
    cache[n++] = (uint32_t *) &z.tails[z.users[1].tail].state;
    cache[n++] = (uint32_t *) &z.tails[z.users[1].tail].text[2];
    cache[n++] = &z.chunks[z.sessions[3].chunk].state;
    cache[n++] = &z.chunks[z.sessions[3].chunk].next;

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);

    for (i = 0; i < n; i++) {
        assert_int_equal(ngx_sio_repair_check(&z, text, sizeof(text)), 0);

        was = *cache[i];
        t_damage_change(&z, cache[i]);

        if (ngx_sio_repair_check(&z, text, sizeof(text)) == 0) {
            fail_msg("a check of field %u is missing", (unsigned) i);
        }

        assert_true(text[0]);
        *cache[i] = was;
    }

    ngx_sio_zone_unlock(&z);
    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_damage_found),
        cmocka_unit_test(t_damage_repaired),
        cmocka_unit_test(t_damage_halves),
        cmocka_unit_test(t_damage_checked)
    };

    return cmocka_run_group_tests_name("store: damage", tests, NULL, NULL);
}
