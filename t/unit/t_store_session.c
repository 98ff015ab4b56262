
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"
#include "ngx_sio_guard.h"


static u_char  names[1024][SIO_ROOM_LEN];


static void
t_session_zone(ngx_sio_zone_t *z)
{
    t_store_zone(z, 1024 * 1024, 65536);
}


static uint32_t
t_session_open(ngx_sio_zone_t *z, uint64_t n)
{
    return t_store_open(z, 1, n);
}


static ngx_int_t
t_session_connect(ngx_sio_zone_t *z, uint32_t i, uint64_t n, uint16_t nsp,
    char *user, ngx_sio_room_t *rooms, ngx_uint_t nrooms)
{
    u_char                    sid[NGX_SIO_SID_LEN];
    ngx_str_t                 name;
    ngx_sio_session_socket_t  socket;

    name.data = (u_char *) user;
    name.len = ngx_strlen(user);

    t_store_sid(sid, 's', n);

    socket.sid = sid;
    socket.nsp = nsp;
    socket.recoverable = 0;
    socket.farewell = 0;
    socket.user = &name;
    socket.rooms = rooms;
    socket.nrooms = nrooms;
    socket.since = 100 + n;
    socket.refresh = 0;

    return ngx_sio_session_connect(z, i, t_store_ticket(z, i), &socket);
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
    assert_int_equal(ngx_sio_zone_format(&z, mem, sizeof(ngx_sio_zone_sh_t)
                                                  + 20000, 16384, &node),
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
    assert_ptr_equal(z.log + z.log_size + NGX_SIO_GUARD_SIZE,
                     (u_char *) mem + size);
    assert_true(z.sh->nsessions > 600);
    assert_int_equal(z.sh->nrooms, 3 * z.sh->nsessions);
    assert_true((u_char *) &z.key_table[z.sh->nkeys] <= z.log);

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


/* A large zone costs memory only as it is used; guards are a page each. */

#define T_SESSION_GUARDS  (NGX_SIO_GUARD_SIZE ? 16 : 0)

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
    assert_true(pages < sizeof(ngx_sio_zone_sh_t) / 4096 + 4
                        + T_SESSION_GUARDS);

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
    uint32_t               i, ref;
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

    assert_int_equal(ngx_sio_owner_slot(owner), 1);
    assert_int_equal(ngx_sio_owner_state(owner), NGX_SIO_OWNER_LIVE);
    assert_int_equal(ss->transport, SIO_EIO_WEBSOCKET);
    assert_int_equal(ss->applied, NGX_SIO_AT_CURSOR);
    assert_int_equal(z.sh->live_polling, 0);
    assert_int_equal(t_store_by_eio(&z, 1), i);
    assert_int_equal(t_store_by_eio(&z, 2), 0);
    assert_int_equal(t_store_by_sid(&z, 1), 0);

    for (n = 0; n < 5; n++) {
        t_store_room(&z, &rooms[n], names[n], n);
    }

    assert_int_equal(t_session_connect(&z, i, 1, 0, "user", rooms, 4),
                     NGX_OK);
    assert_int_equal(t_store_by_sid(&z, 1), i);
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
    assert_int_equal(t_store_join(&z, i, &again, 500), NGX_DONE);
    assert_int_equal(again.member, rooms[2].member);
    assert_int_equal(again.room, rooms[2].room);
    assert_int_equal(ss->members, 4);

    assert_int_equal(t_store_join(&z, i, &rooms[4], 500), NGX_OK);
    assert_int_equal(ngx_sio_session_member(&z, ss, rooms[4].member)->since,
                     500);

    assert_int_equal(t_store_leave(&z, i, rooms[0].member, 0), NGX_OK);
    assert_int_equal(t_store_leave(&z, i, rooms[0].member, 0), NGX_OK);
    assert_int_equal(t_store_leave(&z, i, 5, 0), NGX_OK);
    assert_int_equal(t_store_leave(&z, i, 6, 0), NGX_OK);
    assert_int_equal(t_store_leave(&z, i, 7, 0), NGX_OK);
    assert_int_equal(t_store_leave(&z, i, 15, 0), NGX_OK);
    assert_int_equal(t_store_leave(&z, i, 80, 0), NGX_OK);
    assert_int_equal(t_store_leave(&z, i, 0xfffffff0, 0), NGX_OK);
    assert_int_equal(ss->members, 4);
    assert_int_equal(z.sh->live_rooms, 4);
    t_store_check(&z, "life", 0);

    assert_int_equal(t_store_disconnect(&z, i), NGX_OK);
    assert_int_equal(t_store_by_sid(&z, 1), 0);
    assert_int_equal(t_store_by_eio(&z, 1), i);
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

    assert_int_equal(t_store_close(&z, i), NGX_OK);
    assert_int_equal(t_store_close(&z, i), NGX_DECLINED);
    assert_int_equal(t_store_disconnect(&z, i), NGX_DECLINED);
    assert_int_equal(t_store_leave(&z, i, 0, 0), NGX_DECLINED);
    assert_int_equal(t_store_join(&z, i, &rooms[0], 1), NGX_DECLINED);
    assert_int_equal(t_session_connect(&z, i, 9, 3, "", rooms, 2),
                     NGX_DECLINED);
    assert_int_equal(t_store_close(&z, 0), NGX_DECLINED);
    assert_int_equal(t_store_close(&z, 0xffffffff), NGX_DECLINED);

    assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
    assert_true(ngx_sio_owner_gen(ss->owner) != ngx_sio_owner_gen(owner));
    t_store_is_empty(&z);

    assert_int_equal(t_session_open(&z, 2), i);
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

    assert_int_equal(t_store_close(&z, a), NGX_OK);
    assert_int_equal(n->refs, 1);
    assert_int_equal(n->workers[0], 1);
    assert_int_equal(z.users[user].refs, 1);

    assert_int_equal(t_store_close(&z, b), NGX_OK);
    assert_int_equal(n->state, NGX_SIO_FREE);

    assert_int_equal(t_store_close(&z, c), NGX_OK);
    t_store_is_empty(&z);

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

    assert_int_equal(t_store_close(&z, 17), NGX_OK);
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
    assert_true(z.sh->live_tails > z.sh->ntails - 20);
    t_store_check(&z, "full", 1);

    for (i = 1; i <= n; i++) {
        assert_int_equal(t_store_disconnect(&z, i), NGX_OK);
    }

    assert_int_equal(z.sh->live_rooms, 0);
    assert_int_equal(z.sh->live_chunks, 0);
    assert_int_equal(z.sh->live_tails, 0);

    for (i = 1; i <= n; i++) {
        t_store_room(&z, &room, names[0], 3 * i + 1);
        assert_int_equal(t_session_connect(&z, i, i, 0, "", &room, 1),
                         NGX_OK);
    }

    for (i = 1; i <= n; i++) {
        assert_int_equal(t_store_close(&z, i), NGX_OK);
    }

    t_store_is_empty(&z);
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

    t_store_zone(&z, sizeof(ngx_sio_zone_sh_t) + 96 * 1024, 16384);

    rooms = malloc(1024 * sizeof(ngx_sio_room_t));
    assert_non_null(rooms);

    for (n = 0; n < 1024; n++) {
        t_store_room(&z, &rooms[n], names[n], 3 * n + 1);
    }

    i = t_session_open(&z, 1);
    k = t_session_open(&z, 2);

    assert_int_equal(t_session_connect(&z, k, 2, 0, "", NULL, 0), NGX_OK);

    assert_int_equal(t_session_connect(&z, i, 1, 0, "a", rooms, 1024),
                     NGX_DECLINED);
    assert_int_equal(z.sh->live_rooms, 0);
    assert_int_equal(z.sh->live_users, 0);
    assert_int_equal(z.sh->live_chunks, 0);
    assert_int_equal(z.sh->live_tails, 0);
    assert_int_equal(t_store_by_sid(&z, 1), 0);
    t_store_check(&z, "refused", 0);

    /* nor does a name that cannot be */

    rooms[5].name.len = 0;
    assert_int_equal(t_session_connect(&z, i, 1, 0, "a", rooms, 10),
                     NGX_DECLINED);
    assert_int_equal(z.sh->live_rooms, 0);
    rooms[5].name.len = SIO_ROOM_LEN + 1;
    assert_int_equal(t_store_join(&z, k, &rooms[5], 1), NGX_DECLINED);
    t_store_check(&z, "refused", 1);

    /* who is no socket has no rooms */

    assert_int_equal(t_store_join(&z, i, &rooms[6], 1), NGX_DECLINED);

    t_store_room(&z, &rooms[5], names[5], 16);

    for (fit = 1024; fit; fit--) {
        if (t_session_connect(&z, i, 1, 0, "a", rooms, fit) == NGX_OK) {
            break;
        }
    }

    assert_true(fit > z.sh->nsessions);
    assert_int_equal(t_store_join(&z, k, &rooms[fit], 1),
                     NGX_DECLINED);
    assert_int_equal(t_store_leave(&z, i, rooms[0].member, 0), NGX_OK);
    assert_int_equal(t_store_join(&z, k, &rooms[fit], 1), NGX_OK);
    t_store_check(&z, "refused", 2);

    free(rooms);
    t_store_unmap(&z);
}


#define T_SESSION_MANY  (NGX_SIO_INLINE + 4 * NGX_SIO_CHUNK)


/* A place that was left is taken again; the others stay where they are. */

static void
t_session_holes(void **state)
{
    uint32_t        i, ref[T_SESSION_MANY];
    ngx_uint_t      n;
    ngx_sio_room_t  rooms[T_SESSION_MANY + 1];
    ngx_sio_zone_t  z;

    t_session_zone(&z);

    i = t_session_open(&z, 1);

    for (n = 0; n <= T_SESSION_MANY; n++) {
        t_store_room(&z, &rooms[n], names[n], n);
    }

    assert_int_equal(t_session_connect(&z, i, 1, 0, "u", rooms,
                                       T_SESSION_MANY),
                     NGX_OK);

    for (n = 0; n < T_SESSION_MANY; n++) {
        ref[n] = rooms[n].member;
    }

    for (n = 0; n < T_SESSION_MANY; n++) {
        assert_int_equal(t_store_leave(&z, i, ref[n], 0), NGX_OK);
        assert_int_equal(z.sessions[i].members, T_SESSION_MANY - 1);
        assert_int_equal(t_store_join(&z, i, &rooms[T_SESSION_MANY], 1),
                         NGX_OK);
        assert_int_equal(rooms[T_SESSION_MANY].member, ref[n]);

        /* the reference is that of the new one now */

        assert_int_equal(t_store_leave(&z, i, ref[n], 0), NGX_OK);
        assert_int_equal(t_store_join(&z, i, &rooms[n], 1), NGX_OK);
        assert_int_equal(rooms[n].member, ref[n]);
    }

    t_store_check(&z, "holes", 0);

    /* a reference into a chunk of somebody else is none */

    i = t_session_open(&z, 2);
    assert_int_equal(t_store_leave(&z, i, ref[20], 0), NGX_OK);
    assert_int_equal(z.sh->live_members, T_SESSION_MANY);

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
        assert_int_equal(t_store_join(&z, i, &rooms[n], n), NGX_OK);
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

        assert_int_equal(t_store_leave(&z, i, room.member, 0), NGX_OK);
        assert_int_equal(ss->members, n - 1);
        assert_true(z.sh->live_chunks <= n);

        if (n % 50 == 0) {
            t_store_check(&z, "growth", n);
        }
    }

    assert_int_equal(z.sh->live_chunks, 0);
    assert_int_equal(z.sh->live_tails, 0);
    assert_int_equal(z.sh->live_rooms, 0);

    /* all at once, and closed with all of them */

    for (n = 0; n < 500; n++) {
        t_store_room(&z, &rooms[n], names[n], 3 * n + 1);
    }

    assert_int_equal(t_store_disconnect(&z, i), NGX_OK);
    assert_int_equal(t_session_connect(&z, i, 1, 0, "u", rooms, 500), NGX_OK);
    assert_int_equal(z.sh->live_chunks, chunks);
    t_store_check(&z, "growth", 1000);

    assert_int_equal(t_store_close(&z, i), NGX_OK);
    t_store_is_empty(&z);

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

    static size_t    lens[] = { 1, 2, 47, 48, 49, 159, 160, 161, 272, 273,
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

    t_store_is_empty(&z);
    t_store_unmap(&z);
}


/* That the rooms are to be read again goes where the socket goes. */

static void
t_session_refresh(void **state)
{
    uint32_t               i, k;
    ngx_str_t              user = ngx_string("user");
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    t_session_zone(&z);

    i = t_session_open(&z, 1);
    ss = &z.sessions[i];

    /* there is nothing to be read for what is no socket */

    assert_int_equal(ngx_sio_session_refresh(&z, i, ss->owner, 1),
                     NGX_DECLINED);

    assert_int_equal(t_store_connect(&z, i, 1, &user, NULL, 0, 100), NGX_OK);
    assert_int_equal(ngx_sio_session_refresh(&z, i, ss->owner, 1), NGX_OK);

    assert_int_equal(ngx_sio_session_park(&z, i, ss->owner, 200, 1), NGX_OK);
    assert_true(ss->flags & NGX_SIO_PARKED);
    assert_true(ss->flags & NGX_SIO_REFRESH);

    k = t_session_open(&z, 2);
    ss = &z.sessions[k];

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);
    assert_int_equal(ngx_sio_session_adopt_locked(&z, k, i,
                                                  t_store_ticket(&z, i), 200),
                     NGX_OK);
    ngx_sio_zone_unlock(&z);

    assert_true(ss->flags & NGX_SIO_REFRESH);

    assert_int_equal(ngx_sio_session_refresh(&z, k, ss->owner, 0), NGX_OK);
    assert_false(ss->flags & NGX_SIO_REFRESH);

    /* the next socket of the transport owes nothing */

    assert_int_equal(ngx_sio_session_refresh(&z, k, ss->owner, 1), NGX_OK);
    assert_int_equal(t_store_disconnect(&z, k), NGX_OK);
    assert_int_equal(t_store_connect(&z, k, 3, &user, NULL, 0, 300), NGX_OK);
    assert_false(ss->flags & NGX_SIO_REFRESH);

    assert_int_equal(t_store_close(&z, k), NGX_OK);
    t_store_is_empty(&z);
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
        cmocka_unit_test(t_session_refresh)
    };

    return cmocka_run_group_tests_name("store: session", tests, NULL, NULL);
}
