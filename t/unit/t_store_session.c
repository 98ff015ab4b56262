
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"


static u_char  names[1024][SIO_ROOM_LEN];


static void
t_session_zone(ngx_sio_zone_t *z)
{
    t_store_zone(z, 1024 * 1024, 65536);
}


static uint32_t
t_session_open(ngx_sio_zone_t *z, uint64_t n)
{
    u_char  sid[NGX_SIO_SID_LEN];

    t_store_sid(sid, 'e', n);

    return ngx_sio_session_open(z, 1, sid, 1);
}


static ngx_int_t
t_session_connect(ngx_sio_zone_t *z, uint32_t i, uint64_t n, uint16_t nsp,
    char *user, ngx_sio_room_t *rooms, ngx_uint_t nrooms)
{
    u_char     sid[NGX_SIO_SID_LEN];
    ngx_str_t  name;

    name.data = (u_char *) user;
    name.len = ngx_strlen(user);

    t_store_sid(sid, 's', n);

    return ngx_sio_session_connect(z, i, sid, nsp, &name, rooms, nrooms,
                                   100 + n);
}


static uint32_t
t_session_by_eio(ngx_sio_zone_t *z, uint64_t n)
{
    u_char    sid[NGX_SIO_SID_LEN];
    uint32_t  i;

    t_store_sid(sid, 'e', n);

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    i = ngx_sio_session_by_eio_locked(z, sid);
    ngx_sio_zone_unlock(z);

    return i;
}


static uint32_t
t_session_by_sid(ngx_sio_zone_t *z, uint64_t n)
{
    u_char    sid[NGX_SIO_SID_LEN];
    uint32_t  i;

    t_store_sid(sid, 's', n);

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    i = ngx_sio_session_by_sid_locked(z, sid);
    ngx_sio_zone_unlock(z);

    return i;
}


static void
t_session_is_empty(ngx_sio_zone_t *z)
{
    assert_int_equal(z->sh->live_sessions, 0);
    assert_int_equal(z->sh->live_members, 0);
    assert_int_equal(z->sh->live_rooms, 0);
    assert_int_equal(z->sh->live_users, 0);
    assert_int_equal(z->sh->live_chunks, 0);

    t_store_check(z, "empty", 0);
}


/* Memory that cannot hold the log and some sessions is refused. */

static void
t_session_format(void **state)
{
    void            *mem;
    size_t           size;
    ngx_str_t        node;
    ngx_sio_zone_t   z, view;

    size = 1024 * 1024;
    mem = t_store_map(size);

    ngx_str_set(&node, "a name of a node that is longer than the header has "
                       "room for, so that it is cut");

    assert_int_equal(ngx_sio_zone_format(&z, mem, size, size, &node),
                     NGX_ERROR);
    assert_int_equal(ngx_sio_zone_format(&z, mem, size, 2 * size, &node),
                     NGX_ERROR);
    assert_int_equal(ngx_sio_zone_format(&z, mem, 40000, 16384, &node),
                     NGX_ERROR);
    assert_int_equal(ngx_sio_zone_format(&z, mem, size, 100, &node),
                     NGX_ERROR);

    assert_int_equal(ngx_sio_zone_attach(&view, mem, size, size / 4),
                     NGX_DECLINED);

    assert_int_equal(ngx_sio_zone_format(&z, mem, size, size / 4 + 63, &node),
                     NGX_OK);
    assert_int_equal(z.sh->node_len, NGX_SIO_NODE_LEN);
    assert_memory_equal(z.sh->node, node.data, NGX_SIO_NODE_LEN);
    assert_int_equal(z.log_size, size / 4);
    assert_ptr_equal(z.log + z.log_size, (u_char *) mem + size);
    assert_true(z.sh->nsessions > 800);
    assert_int_equal(z.sh->nrooms, 3 * z.sh->nsessions);
    assert_true((u_char *) &z.chunks[z.sh->nchunks + 1] <= z.log);

    /* another view of it is the same, but for other sizes */

    assert_int_equal(ngx_sio_zone_attach(&view, mem, size, size / 4), NGX_OK);
    assert_memory_equal(&view, &z, sizeof(ngx_sio_zone_t));

    assert_int_equal(ngx_sio_zone_attach(&view, mem, size - 64, size / 4),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_zone_attach(&view, mem, size, size / 8),
                     NGX_DECLINED);

    z.sh->layout++;
    assert_int_equal(ngx_sio_zone_attach(&view, mem, size, size / 4),
                     NGX_DECLINED);

    t_store_unmap(&z);
}


/* Seeds and epochs of two zones differ, and are never 0. */

static void
t_session_seed(void **state)
{
    ngx_sio_zone_t  a, b;

    t_session_zone(&a);
    t_session_zone(&b);

    assert_true(a.sh->seed && a.sh->epoch);
    assert_true(a.sh->seed != b.sh->seed);
    assert_true(a.sh->epoch != b.sh->epoch);
    assert_true(a.sh->seed != a.sh->epoch);

    t_store_unmap(&a);
    t_store_unmap(&b);
}


/* A large zone costs memory only as it is used. */

static ngx_uint_t
t_session_pages(ngx_sio_zone_t *z)
{
    u_char     *vec;
    size_t      i, pages;
    ngx_uint_t  n;

    pages = z->sh->size / 4096;
    vec = malloc(pages);

    assert_non_null(vec);
    assert_int_equal(mincore(z->sh, z->sh->size, vec), 0);

    n = 0;

    for (i = 0; i < pages; i++) {
        n += vec[i] & 1;
    }

    free(vec);

    return n;
}


static void
t_session_untouched(void **state)
{
    ngx_uint_t      n, pages;
    ngx_sio_room_t  room;
    ngx_sio_zone_t  z;

    t_store_zone(&z, 64 * 1024 * 1024, 16 * 1024 * 1024);

    pages = t_session_pages(&z);
    assert_true(pages < 12);

    t_store_room(&z, &room, names[0], 1);

    for (n = 0; n < 100; n++) {
        assert_int_equal(t_session_open(&z, n), n + 1);
        assert_int_equal(t_session_connect(&z, n + 1, n, 0, "u", &room, 1),
                         NGX_OK);
    }

    /* the records side by side, the ids all over their tables */

    assert_true(t_session_pages(&z) < pages + 20 + 200);

    t_store_check(&z, "large", 0);
    t_store_unmap(&z);
}


/* A session from its open to its close. */

static void
t_session_life(void **state)
{
    uint32_t               i, ref, generation;
    uint64_t               owner;
    ngx_uint_t             n;
    ngx_sio_room_t         rooms[5], again;
    ngx_sio_zone_t         z;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    t_session_zone(&z);

    i = t_session_open(&z, 1);
    assert_int_equal(i, 1);

    ss = &z.sessions[i];
    owner = ss->owner;
    generation = ss->generation;

    assert_int_equal(ngx_sio_owner_slot(owner), 1);
    assert_int_equal(ngx_sio_owner_state(owner), NGX_SIO_OWNER_LIVE);
    assert_int_equal(ss->transport, 1);
    assert_int_equal(t_session_by_eio(&z, 1), i);
    assert_int_equal(t_session_by_eio(&z, 2), 0);
    assert_int_equal(t_session_by_sid(&z, 1), 0);

    for (n = 0; n < 5; n++) {
        t_store_room(&z, &rooms[n], names[n], n);
    }

    assert_int_equal(t_session_connect(&z, i, 1, 0, "user", rooms, 4),
                     NGX_OK);
    assert_int_equal(t_session_by_sid(&z, 1), i);
    assert_int_equal(ss->members, 4);
    assert_int_equal(z.sh->live_members, 4);
    assert_int_equal(z.sh->live_rooms, 4);
    assert_int_equal(z.sh->live_users, 1);

    /* it is a socket already */

    assert_int_equal(t_session_connect(&z, i, 2, 0, "user", rooms, 4),
                     NGX_DECLINED);
    assert_int_equal(ss->members, 4);

    ref = NGX_SIO_NO_MEMBER;

    for (n = 0; n < 4; n++) {
        m = ngx_sio_session_walk(&z, ss, &ref);
        assert_int_equal(ref, rooms[n].member);
        assert_ptr_equal(m, ngx_sio_session_member(&z, ss, ref));
        assert_int_equal(m->room, rooms[n].room);
        assert_int_equal(m->since, 101);
    }

    assert_null(ngx_sio_session_walk(&z, ss, &ref));

    again = rooms[2];
    again.member = 77;
    again.room = 77;
    assert_int_equal(ngx_sio_session_join(&z, i, &again, 500), NGX_DONE);
    assert_int_equal(again.member, rooms[2].member);
    assert_int_equal(again.room, rooms[2].room);
    assert_int_equal(ss->members, 4);

    assert_int_equal(ngx_sio_session_join(&z, i, &rooms[4], 500), NGX_OK);
    assert_int_equal(ngx_sio_session_member(&z, ss, rooms[4].member)->since,
                     500);

    assert_int_equal(ngx_sio_session_leave(&z, i, rooms[0].member), NGX_OK);
    assert_int_equal(ngx_sio_session_leave(&z, i, rooms[0].member), NGX_OK);
    assert_int_equal(ngx_sio_session_leave(&z, i, 7), NGX_OK);
    assert_int_equal(ngx_sio_session_leave(&z, i, 80), NGX_OK);
    assert_int_equal(ngx_sio_session_leave(&z, i, 0xfffffff0), NGX_OK);
    assert_int_equal(ss->members, 4);
    assert_int_equal(z.sh->live_rooms, 4);
    t_store_check(&z, "life", 0);

    assert_int_equal(ngx_sio_session_disconnect(&z, i), NGX_OK);
    assert_int_equal(t_session_by_sid(&z, 1), 0);
    assert_int_equal(t_session_by_eio(&z, 1), i);
    assert_int_equal(ss->members, 0);
    assert_int_equal(ss->user, 0);
    assert_int_equal(z.sh->live_rooms, 0);
    assert_int_equal(z.sh->live_users, 0);
    assert_int_equal(ss->owner, owner);
    t_store_check(&z, "life", 1);

    assert_int_equal(t_session_connect(&z, i, 9, 3, "", rooms, 2), NGX_OK);
    assert_int_equal(ss->user, 0);
    assert_int_equal(ss->nsp, 3);
    assert_int_equal(z.rooms[rooms[0].room].nsp, 3);

    assert_int_equal(ngx_sio_session_close(&z, i), NGX_OK);
    assert_int_equal(ngx_sio_session_close(&z, i), NGX_OK);
    assert_int_equal(ngx_sio_session_disconnect(&z, i), NGX_OK);
    assert_int_equal(ngx_sio_session_join(&z, i, &rooms[0], 1), NGX_DECLINED);
    assert_int_equal(t_session_connect(&z, i, 9, 3, "", rooms, 2),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_session_close(&z, 0), NGX_OK);
    assert_int_equal(ngx_sio_session_close(&z, 0xffffffff), NGX_OK);

    assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
    assert_true(ngx_sio_owner_gen(ss->owner) != ngx_sio_owner_gen(owner));
    t_session_is_empty(&z);

    assert_int_equal(t_session_open(&z, 2), i);
    assert_int_equal(ss->generation, generation + 1);
    assert_true(ngx_sio_owner_gen(ss->owner) != ngx_sio_owner_gen(owner));
    assert_int_equal(ss->nsp, 0);

    t_store_unmap(&z);
}


/* Rooms and users are those of a namespace and counted once for each who is
 * in them; the marks of workers belong to the room. */

static void
t_session_shared(void **state)
{
    uint32_t            user, a, b, c;
    ngx_sio_room_t      room;
    ngx_sio_zone_t      z;
    ngx_sio_name_sh_t  *n;

    t_session_zone(&z);

    t_store_room(&z, &room, names[0], 3);

    a = t_session_open(&z, 1);
    b = t_session_open(&z, 2);
    c = t_session_open(&z, 3);

    assert_int_equal(t_session_connect(&z, a, 1, 0, "u", &room, 1), NGX_OK);
    n = &z.rooms[room.room];
    user = z.sessions[a].user;

    assert_int_equal(t_session_connect(&z, b, 2, 0, "u", &room, 1), NGX_OK);
    assert_ptr_equal(n, &z.rooms[room.room]);
    assert_int_equal(z.sessions[b].user, user);

    assert_int_equal(t_session_connect(&z, c, 3, 1, "u", &room, 1), NGX_OK);
    assert_ptr_not_equal(n, &z.rooms[room.room]);
    assert_int_not_equal(z.sessions[c].user, user);

    assert_int_equal(n->refs, 2);
    assert_int_equal(z.users[user].refs, 2);
    assert_true(ngx_sio_name_equal(&z, n, 0, room.name.data, room.name.len));
    assert_false(ngx_sio_name_equal(&z, n, 1, room.name.data, room.name.len));

    ngx_sio_name_worker(n, 1, 1);
    ngx_sio_name_worker(n, 64, 1);
    ngx_sio_name_worker(n, 65, 1);
    ngx_sio_name_worker(n, 128, 1);
    assert_int_equal(n->workers[0], 0x8000000000000001);
    assert_int_equal(n->workers[1], 0x8000000000000001);

    ngx_sio_name_worker(n, 64, 0);
    ngx_sio_name_worker(n, 65, 0);
    assert_int_equal(n->workers[0], 1);
    assert_int_equal(n->workers[1], 0x8000000000000000);

    assert_int_equal(ngx_sio_session_close(&z, a), NGX_OK);
    assert_int_equal(n->refs, 1);
    assert_int_equal(n->workers[0], 1);
    assert_int_equal(z.users[user].refs, 1);

    assert_int_equal(ngx_sio_session_close(&z, b), NGX_OK);
    assert_int_equal(n->state, NGX_SIO_FREE);

    assert_int_equal(ngx_sio_session_close(&z, c), NGX_OK);
    t_session_is_empty(&z);

    /* a new room knows nothing of the one before it */

    a = t_session_open(&z, 1);
    assert_int_equal(t_session_connect(&z, a, 1, 0, "u", &room, 1), NGX_OK);
    assert_int_equal(z.rooms[room.room].workers[0], 0);
    assert_int_equal(z.rooms[room.room].workers[1], 0);

    t_store_unmap(&z);
}


/* When all records are taken newcomers are refused, until somebody leaves. */

static void
t_session_full(void **state)
{
    uint32_t        i, n, refused;
    ngx_sio_room_t  room;
    ngx_sio_zone_t  z;

    t_session_zone(&z);

    for (n = 0; t_session_open(&z, n); n++) { /* void */ }

    assert_int_equal(n, z.sh->nsessions);
    assert_int_equal(z.sh->refused, 1);
    assert_int_equal(t_session_open(&z, n), 0);
    assert_int_equal(z.sh->refused, 2);
    t_store_check(&z, "full", 0);

    assert_int_equal(ngx_sio_session_close(&z, 17), NGX_OK);
    assert_int_equal(t_session_open(&z, n), 17);
    assert_int_equal(t_session_open(&z, n), 0);

    /* the same with rooms, one for each, long ones first */

    refused = 0;

    for (i = 1; i <= n; i++) {
        t_store_room(&z, &room, names[0], 3 * i);

        if (t_session_connect(&z, i, i, 0, "", &room, 1) != NGX_OK) {
            assert_int_equal(z.sessions[i].members, 0);
            refused++;
        }
    }

    assert_true(refused > n / 4);
    assert_true(z.sh->live_chunks > z.sh->nchunks - 5);
    t_store_check(&z, "full", 1);

    for (i = 1; i <= n; i++) {
        assert_int_equal(ngx_sio_session_disconnect(&z, i), NGX_OK);
    }

    assert_int_equal(z.sh->live_rooms, 0);
    assert_int_equal(z.sh->live_chunks, 0);

    for (i = 1; i <= n; i++) {
        t_store_room(&z, &room, names[0], 3 * i + 1);
        assert_int_equal(t_session_connect(&z, i, i, 0, "", &room, 1),
                         NGX_OK);
    }

    for (i = 1; i <= n; i++) {
        assert_int_equal(ngx_sio_session_close(&z, i), NGX_OK);
    }

    t_session_is_empty(&z);
    t_store_unmap(&z);
}


/* A connect that is refused half-way leaves no trace. */

static void
t_session_refused(void **state)
{
    uint32_t         i, k;
    ngx_uint_t       n, fit;
    ngx_sio_room_t  *rooms;
    ngx_sio_zone_t   z;

    t_store_zone(&z, 128 * 1024, 16384);

    rooms = malloc(1024 * sizeof(ngx_sio_room_t));
    assert_non_null(rooms);

    for (n = 0; n < 1024; n++) {
        t_store_room(&z, &rooms[n], names[n], 3 * n + 1);
    }

    i = t_session_open(&z, 1);
    k = t_session_open(&z, 2);

    assert_int_equal(t_session_connect(&z, i, 1, 0, "a", rooms, 1024),
                     NGX_DECLINED);
    assert_int_equal(z.sh->live_rooms, 0);
    assert_int_equal(z.sh->live_users, 0);
    assert_int_equal(z.sh->live_chunks, 0);
    assert_int_equal(t_session_by_sid(&z, 1), 0);
    t_store_check(&z, "refused", 0);

    /* nor does a name that cannot be */

    rooms[5].name.len = 0;
    assert_int_equal(t_session_connect(&z, i, 1, 0, "a", rooms, 10),
                     NGX_DECLINED);
    assert_int_equal(z.sh->live_rooms, 0);
    rooms[5].name.len = SIO_ROOM_LEN + 1;
    assert_int_equal(ngx_sio_session_join(&z, i, &rooms[5], 1), NGX_DECLINED);
    t_store_check(&z, "refused", 1);

    t_store_room(&z, &rooms[5], names[5], 16);

    for (fit = 1024; fit; fit--) {
        if (t_session_connect(&z, i, 1, 0, "a", rooms, fit) == NGX_OK) {
            break;
        }
    }

    assert_true(fit > z.sh->nsessions);
    assert_int_equal(ngx_sio_session_join(&z, k, &rooms[fit], 1),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_session_leave(&z, i, rooms[0].member), NGX_OK);
    assert_int_equal(ngx_sio_session_join(&z, k, &rooms[fit], 1), NGX_OK);
    t_store_check(&z, "refused", 2);

    free(rooms);
    t_store_unmap(&z);
}


/* A place that was left is taken again; the others stay where they are. */

static void
t_session_holes(void **state)
{
    uint32_t        i, ref[36];
    ngx_uint_t      n;
    ngx_sio_room_t  rooms[37];
    ngx_sio_zone_t  z;

    t_session_zone(&z);

    i = t_session_open(&z, 1);

    /* as many as the session and four chunks hold */

    for (n = 0; n < 37; n++) {
        t_store_room(&z, &rooms[n], names[n], n);
    }

    assert_int_equal(t_session_connect(&z, i, 1, 0, "u", rooms, 36), NGX_OK);

    for (n = 0; n < 36; n++) {
        ref[n] = rooms[n].member;
    }

    for (n = 0; n < 36; n++) {
        assert_int_equal(ngx_sio_session_leave(&z, i, ref[n]), NGX_OK);
        assert_int_equal(z.sessions[i].members, 35);
        assert_int_equal(ngx_sio_session_join(&z, i, &rooms[36], 1), NGX_OK);
        assert_int_equal(rooms[36].member, ref[n]);

        /* the reference is that of the new one now */

        assert_int_equal(ngx_sio_session_leave(&z, i, ref[n]), NGX_OK);
        assert_int_equal(ngx_sio_session_join(&z, i, &rooms[n], 1), NGX_OK);
        assert_int_equal(rooms[n].member, ref[n]);
    }

    t_store_check(&z, "holes", 0);

    /* a reference into a chunk of somebody else is none */

    i = t_session_open(&z, 2);
    assert_int_equal(ngx_sio_session_leave(&z, i, ref[20]), NGX_OK);
    assert_int_equal(z.sh->live_members, 36);

    t_store_unmap(&z);
}


/* Up to 500 rooms and back, in random order. */

static void
t_session_growth(void **state)
{
    uint32_t               i, ref, chunks;
    uint64_t               seed;
    ngx_uint_t             n, k;
    ngx_sio_room_t        *rooms, room;
    ngx_sio_zone_t         z;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    t_session_zone(&z);

    rooms = malloc(500 * sizeof(ngx_sio_room_t));
    assert_non_null(rooms);

    i = t_session_open(&z, 1);
    ss = &z.sessions[i];
    seed = 3;

    assert_int_equal(t_session_connect(&z, i, 1, 0, "u", NULL, 0), NGX_OK);

    for (n = 0; n < 500; n++) {
        t_store_room(&z, &rooms[n], names[n], 3 * n + 1);
        assert_int_equal(ngx_sio_session_join(&z, i, &rooms[n], n), NGX_OK);
        assert_int_equal(ss->members, n + 1);
    }

    chunks = (500 - NGX_SIO_INLINE + NGX_SIO_CHUNK - 1) / NGX_SIO_CHUNK;
    assert_int_equal(z.sh->live_chunks, chunks);
    t_store_check(&z, "growth", 0);

    ref = NGX_SIO_NO_MEMBER;

    for (n = 0; ngx_sio_session_walk(&z, ss, &ref); n++) { /* void */ }

    assert_int_equal(n, 500);

    for (n = 500; n; n--) {
        k = t_store_random(&seed) % n;
        room = rooms[k];
        rooms[k] = rooms[n - 1];

        m = ngx_sio_session_member(&z, ss, room.member);
        assert_int_equal(m->room, room.room);

        assert_int_equal(ngx_sio_session_leave(&z, i, room.member), NGX_OK);
        assert_int_equal(ss->members, n - 1);
        assert_true(z.sh->live_chunks <= n);

        if (n % 50 == 0) {
            t_store_check(&z, "growth", n);
        }
    }

    assert_int_equal(z.sh->live_chunks, 0);
    assert_int_equal(z.sh->live_rooms, 0);

    /* all at once, and closed with all of them */

    for (n = 0; n < 500; n++) {
        t_store_room(&z, &rooms[n], names[n], 3 * n + 1);
    }

    assert_int_equal(ngx_sio_session_disconnect(&z, i), NGX_OK);
    assert_int_equal(t_session_connect(&z, i, 1, 0, "u", rooms, 500), NGX_OK);
    assert_int_equal(z.sh->live_chunks, chunks);
    t_store_check(&z, "growth", 1000);

    assert_int_equal(ngx_sio_session_close(&z, i), NGX_OK);
    t_session_is_empty(&z);

    free(rooms);
    t_store_unmap(&z);
}


/* Names are told apart to the last byte, wherever that is kept. */

static void
t_session_names(void **state)
{
    u_char           name[SIO_ROOM_LEN + 1], other[SIO_ROOM_LEN + 1];
    size_t           len;
    uint32_t         i, k;
    uint64_t         hash;
    ngx_uint_t       n;
    ngx_sio_zone_t   z;
    ngx_sio_names_t  rooms;

    static size_t    lens[] = { 1, 2, 51, 52, 53, 163, 164, 165, 276, 277,
                                511, 512 };

    t_session_zone(&z);

    rooms = ngx_sio_name_rooms(&z);
    ngx_memset(name, 'n', sizeof(name));

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);

    for (n = 0; n < sizeof(lens) / sizeof(lens[0]); n++) {

        len = lens[n];
        hash = sio_hash(z.sh->seed, name, len);

        assert_int_equal(ngx_sio_name_find_locked(&z, &rooms, hash, 0, name,
                                                  len),
                         0);
        i = ngx_sio_name_get_locked(&z, &rooms, hash, 0, name, len);
        assert_true(i);
        assert_int_equal(ngx_sio_name_get_locked(&z, &rooms, hash, 0, name,
                                                 len),
                         i);
        assert_true(ngx_sio_name_equal(&z, &z.rooms[i], 0, name, len));
        assert_false(ngx_sio_name_equal(&z, &z.rooms[i], 0, name, len - 1));
        assert_false(ngx_sio_name_equal(&z, &z.rooms[i], 0, name, len + 1));

        /* equal hashes are not equal names */

        ngx_memcpy(other, name, sizeof(name));
        other[len - 1] = 'o';
        assert_int_equal(ngx_sio_name_find_locked(&z, &rooms, hash, 0, other,
                                                  len),
                         0);
        k = ngx_sio_name_get_locked(&z, &rooms, hash, 0, other, len);
        assert_true(k && k != i);
        assert_int_equal(ngx_sio_name_find_locked(&z, &rooms, hash, 0, name,
                                                  len),
                         i);

        ngx_sio_name_ref_locked(&rooms, i);
        ngx_sio_name_ref_locked(&rooms, k);
        ngx_sio_name_unref_locked(&z, &rooms, k);
        assert_int_equal(ngx_sio_name_find_locked(&z, &rooms, hash, 0, name,
                                                  len),
                         i);
    }

    assert_int_equal(ngx_sio_name_get_locked(&z, &rooms, 1, 0, name, 0), 0);
    assert_int_equal(ngx_sio_name_get_locked(&z, &rooms, 1, 0, name,
                                             SIO_ROOM_LEN + 1),
                     0);

    assert_int_equal(z.sh->live_rooms, n);

    for (i = 1; i <= z.sh->top_room; i++) {
        if (z.rooms[i].state == NGX_SIO_LIVE) {
            ngx_sio_name_unref_locked(&z, &rooms, i);
        }
    }

    ngx_sio_zone_unlock(&z);

    t_session_is_empty(&z);
    t_store_unmap(&z);
}


/* A model of the store: what each session should be. */

#define T_MODEL_SESSIONS  48
#define T_MODEL_ROOMS     60


typedef struct {
    uint32_t         index;                    /* 0: closed */
    ngx_uint_t       connected;
    ngx_uint_t       user;                     /* 0: none */
    uint64_t         id;
    uint64_t         since[T_MODEL_ROOMS];     /* 0: not a member */
    uint32_t         member[T_MODEL_ROOMS];
} t_model_t;


typedef struct {
    ngx_sio_zone_t   z;
    t_model_t        s[T_MODEL_SESSIONS];
    ngx_sio_room_t   rooms[T_MODEL_ROOMS];
    uint64_t         seed;
    uint64_t         id;
    ngx_uint_t       refused;
} t_model_all_t;


static void
t_model_open(t_model_all_t *all, t_model_t *s)
{
    ngx_memzero(s, sizeof(t_model_t));

    s->id = ++all->id;
    s->index = t_session_open(&all->z, s->id);
    assert_true(s->index);
}


static void
t_model_connect(t_model_all_t *all, t_model_t *s)
{
    char            user[80];
    ngx_int_t       rc;
    ngx_uint_t      i, n, from, step;
    ngx_sio_room_t  rooms[T_MODEL_ROOMS];

    n = t_store_random(&all->seed) % 30;
    from = t_store_random(&all->seed) % T_MODEL_ROOMS;
    step = (t_store_random(&all->seed) & 1) ? 1 : 7;

    for (i = 0; i < n; i++) {
        rooms[i] = all->rooms[(from + i * step) % T_MODEL_ROOMS];
    }

    s->user = t_store_random(&all->seed) % 20;
    user[0] = '\0';

    if (s->user) {
        (void) sprintf(user, "%0*u", (int) s->user * 4, (unsigned) s->user);
    }

    rc = t_session_connect(&all->z, s->index, s->id, 0, user, rooms, n);

    if (rc != NGX_OK) {
        assert_int_equal(rc, NGX_DECLINED);
        all->refused++;
        s->user = 0;
        return;
    }

    s->connected = 1;

    for (i = 0; i < n; i++) {
        s->since[(from + i * step) % T_MODEL_ROOMS] = 100 + s->id;
        s->member[(from + i * step) % T_MODEL_ROOMS] = rooms[i].member;
    }
}


static void
t_model_join(t_model_all_t *all, t_model_t *s)
{
    ngx_int_t       rc;
    ngx_uint_t      k;
    ngx_sio_room_t  room;

    k = t_store_random(&all->seed) % T_MODEL_ROOMS;
    room = all->rooms[k];

    rc = ngx_sio_session_join(&all->z, s->index, &room, ++all->id);

    if (s->since[k]) {
        assert_int_equal(rc, NGX_DONE);
        assert_int_equal(room.member, s->member[k]);
        return;
    }

    if (rc != NGX_OK) {
        assert_int_equal(rc, NGX_DECLINED);
        all->refused++;
        return;
    }

    s->since[k] = all->id;
    s->member[k] = room.member;
}


static void
t_model_leave(t_model_all_t *all, t_model_t *s)
{
    ngx_uint_t  k;

    k = t_store_random(&all->seed) % T_MODEL_ROOMS;

    if (s->since[k] == 0) {
        return;
    }

    assert_int_equal(ngx_sio_session_leave(&all->z, s->index, s->member[k]),
                     NGX_OK);
    s->since[k] = 0;
}


static void
t_model_disconnect(t_model_all_t *all, t_model_t *s)
{
    assert_int_equal(ngx_sio_session_disconnect(&all->z, s->index), NGX_OK);

    ngx_memzero(s->since, sizeof(s->since));
    s->connected = 0;
    s->user = 0;
}


static void
t_model_compare(t_model_all_t *all, t_model_t *s)
{
    uint32_t               ref;
    ngx_uint_t             k, n;
    ngx_sio_zone_t        *z;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    z = &all->z;

    if (s->index == 0) {
        return;
    }

    ss = &z->sessions[s->index];

    assert_int_equal(t_session_by_eio(z, s->id), s->index);
    assert_int_equal(t_session_by_sid(z, s->id), s->connected ? s->index : 0);
    assert_int_equal(ss->user != 0, s->user != 0);

    n = 0;

    for (k = 0; k < T_MODEL_ROOMS; k++) {

        if (s->since[k] == 0) {
            continue;
        }

        n++;
        m = ngx_sio_session_member(z, ss, s->member[k]);
        assert_int_equal(m->since, s->since[k]);
        assert_true(ngx_sio_name_equal(z, &z->rooms[m->room], 0,
                                       all->rooms[k].name.data,
                                       all->rooms[k].name.len));
    }

    assert_int_equal(ss->members, n);

    ref = NGX_SIO_NO_MEMBER;

    while (ngx_sio_session_walk(z, ss, &ref)) {
        n--;
    }

    assert_int_equal(n, 0);
}


static void
t_model_step(t_model_all_t *all, t_model_t *s)
{
    ngx_uint_t  what;

    what = t_store_random(&all->seed) % 100;

    if (s->index == 0) {
        t_model_open(all, s);

    } else if (what < 2) {
        assert_int_equal(ngx_sio_session_close(&all->z, s->index), NGX_OK);
        s->index = 0;

    } else if (what < 4) {
        t_model_disconnect(all, s);

    } else if (!s->connected) {
        t_model_disconnect(all, s);
        t_model_connect(all, s);

    } else if (what < 55) {
        t_model_join(all, s);

    } else {
        t_model_leave(all, s);
    }
}


/* 100,000 random operations, compared with a model all the way. */

static void
t_session_random(void **state)
{
    t_model_t      *s;
    ngx_uint_t      n, k;
    t_model_all_t  *all;

    all = calloc(1, sizeof(t_model_all_t));
    assert_non_null(all);

    t_store_zone(&all->z, 33472 + 16384 + 96 * 800, 16384);
    assert_true(all->z.sh->nsessions > T_MODEL_SESSIONS);
    assert_true(all->z.sh->nsessions < 100);

    all->seed = 20;

    for (k = 0; k < T_MODEL_ROOMS; k++) {
        t_store_room(&all->z, &all->rooms[k], names[k], k);
    }

    for (n = 0; n < 100000; n++) {

        s = &all->s[t_store_random(&all->seed) % T_MODEL_SESSIONS];

        t_model_step(all, s);
        t_model_compare(all, s);

        if (n % 100 == 0) {
            t_store_check(&all->z, "random", n);
        }

        if (n % 1000 == 0) {
            for (k = 0; k < T_MODEL_SESSIONS; k++) {
                t_model_compare(all, &all->s[k]);
            }
        }
    }

    /* both happened, or the zone has the wrong size for this test */

    assert_true(all->refused > 100);
    assert_true(all->refused < 30000);

    for (k = 0; k < T_MODEL_SESSIONS; k++) {
        assert_int_equal(ngx_sio_session_close(&all->z, all->s[k].index),
                         NGX_OK);
    }

    t_session_is_empty(&all->z);
    t_store_unmap(&all->z);
    free(all);
}


/* Several sessions in rooms with long names and chunks, for damage. */

static void
t_damage_setup(ngx_sio_zone_t *z)
{
    char            user[80];
    uint32_t        i;
    ngx_uint_t      n;
    ngx_sio_room_t  rooms[30];

    t_session_zone(z);

    for (n = 0; n < 30; n++) {
        t_store_room(z, &rooms[n], names[n], n);
    }

    for (i = 1; i <= 20; i++) {
        assert_int_equal(t_session_open(z, i), i);

        (void) sprintf(user, "%060u", i % 5);

        assert_int_equal(t_session_connect(z, i, i, 0, user, rooms, 10 + i),
                         NGX_OK);
    }

    assert_int_equal(ngx_sio_session_close(z, 20), NGX_OK);
    assert_int_equal(ngx_sio_session_close(z, 10), NGX_OK);
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
    z->rooms[2].state = 0x80000002;
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
    z->chunks[t_damage_long_name(z)->ext].u.text[100] ^= 1;
}


static void
t_damage_name_short_chain(ngx_sio_zone_t *z)
{
    z->chunks[t_damage_long_name(z)->ext].next = 0;
}


static void
t_damage_name_long_chain(ngx_sio_zone_t *z)
{
    z->rooms[2].ext = t_damage_long_name(z)->ext;
}


static void
t_damage_name_cycle(ngx_sio_zone_t *z)
{
    uint32_t  c;

    c = t_damage_long_name(z)->ext;
    z->chunks[c].next = c;
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


/* What no interrupted operation leaves behind: everybody starts anew. */

static void
t_session_damage(void **state)
{
    u_char                     sid[NGX_SIO_SID_LEN];
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
        t_damage_top_session,
        t_damage_top_room,
        t_damage_top_user,
        t_damage_top_chunk
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
        t_session_is_empty(&z);

        /* until the worker has noticed nothing can be done by mistake */

        assert_true(ngx_sio_zone_lost(&z));
        assert_int_equal(t_session_open(&z, 1), 0);

        z.epoch = z.sh->epoch;

        for (k = 0; t_session_open(&z, k); k++) { /* void */ }

        assert_int_equal(k, z.sh->nsessions);
        t_store_check(&z, "damage", n);

        z.epoch = epoch;
        assert_int_equal(ngx_sio_session_close(&z, 1), NGX_OK);
        assert_int_equal(ngx_sio_session_disconnect(&z, 1), NGX_OK);
        assert_int_equal(ngx_sio_session_leave(&z, 1, 0), NGX_OK);
        t_store_sid(sid, 's', 1);
        assert_int_equal(ngx_sio_session_connect(&z, 1, sid, 0, NULL, NULL,
                                                 0, 1),
                         NGX_DECLINED);
        assert_int_equal(z.sh->live_sessions, k);

        z.epoch = z.sh->epoch;

        for (i = 1; i <= k; i++) {
            assert_int_equal(ngx_sio_session_close(&z, i), NGX_OK);
        }

        t_session_is_empty(&z);
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

    for (i = 0; i < sh->session_buckets; i++) {
        z->eio_table[i] = t_store_random(&seed);
        z->sid_table[i] = t_store_random(&seed);
    }

    for (i = 0; i < sh->room_buckets; i++) {
        z->room_table[i] = t_store_random(&seed);
    }

    for (i = 0; i < sh->user_buckets; i++) {
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

    sh->free_session = 3;
    sh->free_room = 0xffffffff;
    sh->free_user = 3;
    sh->free_chunk = 3;
    sh->live_sessions = 0xffffffff;
    sh->live_rooms = 0;
    sh->live_users = 1;
    sh->live_chunks = 2;
    sh->live_members = 3;
}


/* Caches may hold anything: they are built anew, and nobody notices. */

static void
t_session_caches(void **state)
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

        assert_int_equal(t_session_by_eio(&z, i), i);
        assert_int_equal(t_session_by_sid(&z, i), i);
        assert_int_equal(z.sessions[i].members, 10 + i);
        assert_int_equal(ngx_sio_session_close(&z, i), NGX_OK);
    }

    t_session_is_empty(&z);
    t_store_unmap(&z);
}


/* The check itself notices each cache that is wrong. */

static void
t_session_checked(void **state)
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
    cache[n++] = &z.sh->live_sessions;
    cache[n++] = &z.sh->live_rooms;
    cache[n++] = &z.sh->live_users;
    cache[n++] = &z.sh->live_chunks;
    cache[n++] = (uint32_t *) &z.sh->live_members;
    cache[n++] = &z.sessions[3].state;
    cache[n++] = &z.sessions[3].user;
    cache[n++] = &z.sessions[3].chunk;
    cache[n++] = (uint32_t *) z.sessions[3].eio_sid;
    cache[n++] = (uint32_t *) z.sessions[3].sid;
    cache[n++] = &z.sessions[3].member[0].room;
    cache[n++] = &z.sessions[10].state;
    cache[n++] = &z.rooms[3].state;
    cache[n++] = &z.rooms[3].refs;
    cache[n++] = (uint32_t *) &z.rooms[3].hash;
    cache[n++] = (uint32_t *) z.rooms[3].name;
    cache[n++] = &z.users[1].refs;
    cache[n++] = &z.users[1].ext;
    cache[n++] = &z.chunks[z.sessions[3].chunk].state;
    cache[n++] = &z.chunks[z.sessions[3].chunk].next;

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);

    for (i = 0; i < n; i++) {
        assert_int_equal(ngx_sio_repair_check(&z, text, sizeof(text)), 0);

        was = *cache[i];
        *cache[i] ^= 1;

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
        cmocka_unit_test(t_session_format),
        cmocka_unit_test(t_session_seed),
        cmocka_unit_test(t_session_untouched),
        cmocka_unit_test(t_session_life),
        cmocka_unit_test(t_session_shared),
        cmocka_unit_test(t_session_full),
        cmocka_unit_test(t_session_refused),
        cmocka_unit_test(t_session_holes),
        cmocka_unit_test(t_session_growth),
        cmocka_unit_test(t_session_names),
        cmocka_unit_test(t_session_random),
        cmocka_unit_test(t_session_damage),
        cmocka_unit_test(t_session_caches),
        cmocka_unit_test(t_session_checked)
    };

    return cmocka_run_group_tests_name("store: session", tests, NULL, NULL);
}
