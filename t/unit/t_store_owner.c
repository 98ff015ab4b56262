
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* Whose a session is: tickets, parking, recovery, deadlines, marks. */


#include "t_store.h"


#define T_OWNER_ROOMS  16


static u_char          names[T_OWNER_ROOMS][SIO_ROOM_LEN];
static ngx_sio_room_t  rooms[T_OWNER_ROOMS];


/* Two workers; slot 1 is ahead of slot 2. */

static void
t_owner_zone(ngx_sio_zone_t *z)
{
    ngx_uint_t  i;

    t_store_zone(z, 1024 * 1024, 65536);

    assert_int_equal(ngx_sio_worker_enter(z, 0, 0), 1);
    assert_int_equal(ngx_sio_worker_enter(z, 1, 0), 2);

    for (i = 0; i < 4; i++) {
        (void) t_store_append(z, 1);
    }

    assert_true(z->sh->workers[0].cursor > z->sh->workers[1].cursor);

    for (i = 0; i < T_OWNER_ROOMS; i++) {
        t_store_room(z, &rooms[i], names[i], i);
    }
}


static uint32_t
t_owner_socket(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t n)
{
    uint32_t   i;
    ngx_str_t  user;

    ngx_str_set(&user, "somebody");

    i = t_store_open(z, slot, n);
    assert_true(i);
    assert_int_equal(t_store_connect(z, i, n, &user, rooms, T_OWNER_ROOMS,
                                     65536),
                     NGX_OK);

    if (slot) {
        z->sessions[i].applied = NGX_SIO_AT_CURSOR;
    }

    return i;
}


static ngx_int_t
t_owner_claim(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot,
    uint64_t *owner)
{
    ngx_int_t  rc;

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    rc = ngx_sio_session_claim_locked(z, i, slot, owner);
    ngx_sio_zone_unlock(z);

    return rc;
}


static ngx_int_t
t_owner_take(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot, uint64_t *owner)
{
    ngx_int_t  rc;

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    rc = ngx_sio_session_take_locked(z, i, slot, owner);
    ngx_sio_zone_unlock(z);

    return rc;
}


static ngx_int_t
t_owner_adopt(ngx_sio_zone_t *z, uint32_t to, uint32_t from, uint64_t at)
{
    ngx_int_t  rc;

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    rc = ngx_sio_session_adopt_locked(z, to, from, t_store_ticket(z, from), at);
    ngx_sio_zone_unlock(z);

    return rc;
}


static ngx_int_t
t_owner_post(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot)
{
    ngx_int_t  rc;

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    rc = ngx_sio_session_post_locked(z, i, slot);
    ngx_sio_zone_unlock(z);

    return rc;
}


/* What a session begins with, a worker's and nobody's. */

static void
t_owner_open(void **state)
{
    u_char                  sid[NGX_SIO_SID_LEN];
    uint32_t                i;
    uint64_t                owner, now;
    ngx_sio_zone_t          z;
    ngx_sio_session_sh_t   *ss;
    ngx_sio_session_new_t   new;

    t_owner_zone(&z);
    t_store_sid(sid, 'e', 1);
    ngx_memzero(&new, sizeof(ngx_sio_session_new_t));

    new.eio_sid = sid;
    new.transport = SIO_EIO_POLLING;
    new.ping_interval = 300;
    new.ping_timeout = 200;
    new.connect_timeout = 0;

    now = ngx_sio_zone_now();
    i = ngx_sio_session_open(&z, 0, &new, &owner);
    ss = &z.sessions[i];

    assert_true(i);
    assert_true(ngx_sio_session_mine(&z, i, owner));
    assert_int_equal(ngx_sio_owner_slot(owner), 0);
    assert_int_equal(ngx_sio_owner_state(owner), NGX_SIO_OWNER_NONE);
    assert_int_equal(ss->applied, ngx_sio_log_head(&z));
    assert_int_equal(ss->seen, ngx_sio_log_head(&z));
    assert_in_range(ss->deadline, now + 300, now + 1300);
    assert_int_equal(ss->connect_by, 0);
    assert_int_equal(ss->ping_interval, 300);
    assert_int_equal(ss->ping_timeout, 200);
    assert_int_equal(z.sh->live_polling, 1);

    /* a ticket of nobody's session is good for what nobody else does */

    assert_int_equal(ngx_sio_session_close(&z, i, owner + 1), NGX_DECLINED);
    assert_int_equal(ngx_sio_session_close(&z, i, owner), NGX_OK);
    assert_int_equal(z.sh->live_polling, 0);

    new.transport = SIO_EIO_WEBSOCKET;
    new.connect_timeout = 5000;

    now = ngx_sio_zone_now();
    assert_int_equal(ngx_sio_session_open(&z, 2, &new, &owner), i);

    assert_int_equal(ngx_sio_owner_slot(owner), 2);
    assert_int_equal(ngx_sio_owner_state(owner), NGX_SIO_OWNER_LIVE);
    assert_int_equal(ss->applied, NGX_SIO_AT_CURSOR);
    assert_int_equal(ss->seen, z.sh->workers[1].cursor);
    assert_int_equal(ss->deadline, 0);
    assert_true(ss->connect_by - (uint32_t) now - 5000 < 1000);
    assert_int_equal(z.sh->live_polling, 0);

    assert_true(z.sh->created && z.sh->created <= now);
    t_store_check(&z, "open", 0);
    t_store_unmap(&z);
}


/* Between two polls, from worker to worker. */

static void
t_owner_polls(void **state)
{
    uint32_t               i;
    uint64_t               old, owner, word;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    t_owner_zone(&z);

    i = t_owner_socket(&z, 0, 1);
    ss = &z.sessions[i];

    assert_int_equal(ss->applied, 65536);
    assert_int_equal(ss->born, 65536);
    assert_int_equal(ss->last, 65536);
    assert_int_equal(ss->base_last, 65536);
    assert_int_equal(ss->base_from, 65536);
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE|NGX_SIO_PRESENT);

    assert_int_equal(t_owner_claim(&z, i, 1, &owner), NGX_OK);
    assert_int_equal(owner, ss->owner);
    assert_int_equal(ngx_sio_owner_slot(owner), 1);
    assert_int_equal(ss->applied, 65536);

    assert_int_equal(t_owner_claim(&z, i, 2, &word), NGX_AGAIN);
    assert_int_equal(word, owner);
    assert_int_equal(t_owner_claim(&z, 0, 2, &word), NGX_DECLINED);
    assert_int_equal(t_owner_claim(&z, i + 1, 2, &word), NGX_DECLINED);
    assert_int_equal(t_owner_claim(&z, 0xffffffff, 2, &word), NGX_DECLINED);

    /* it did not move with the cursor: somebody has set "applied" for it */

    old = owner;
    assert_int_equal(ngx_sio_session_release(&z, i, owner, 66000), NGX_OK);
    assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
    assert_int_equal(ss->applied, 65536);
    assert_int_equal(ss->seen, 66000);
    assert_int_equal(ngx_sio_session_release(&z, i, owner, 67000),
                     NGX_DECLINED);

    assert_int_equal(t_owner_claim(&z, i, 2, &owner), NGX_OK);
    assert_int_equal(ngx_sio_session_release(&z, i, old, 67000),
                     NGX_DECLINED);
    ss->applied = NGX_SIO_AT_CURSOR;
    assert_int_equal(ngx_sio_session_release(&z, i, owner, 66560), NGX_OK);
    assert_int_equal(ss->applied, 66560);
    assert_int_equal(ss->seen, 66560);

    assert_int_equal(z.sh->live_polling, 1);
    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);
    ngx_sio_session_transport_locked(&z, i, SIO_EIO_WEBSOCKET);
    ngx_sio_zone_unlock(&z);
    assert_int_equal(z.sh->live_polling, 0);

    t_store_check(&z, "polls", 0);
    t_store_unmap(&z);
}


/* A session is taken from a worker, with what that one had done. */

static void
t_owner_taken(void **state)
{
    uint32_t               i;
    uint64_t               old, owner;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    t_owner_zone(&z);

    i = t_owner_socket(&z, 2, 1);
    ss = &z.sessions[i];
    old = ss->owner;

    owner = old + 1;
    assert_int_equal(t_owner_take(&z, i, 1, &owner), NGX_DECLINED);
    owner = old;
    assert_int_equal(t_owner_take(&z, i, 1, &owner), NGX_OK);

    assert_int_equal(owner, ss->owner);
    assert_int_equal(ngx_sio_owner_slot(owner), 1);
    assert_int_equal(ss->applied, z.sh->workers[1].cursor);
    assert_int_equal(ss->seen, z.sh->workers[1].cursor);

    /* who had not caught up leaves what he had begun with */

    ss->applied = 65600;
    ss->seen = 65664;
    old = owner;
    assert_int_equal(t_owner_take(&z, i, 2, &owner), NGX_OK);
    assert_int_equal(ss->applied, 65600);
    assert_int_equal(ss->seen, 65664);

    assert_int_equal(t_owner_take(&z, i, 1, &old), NGX_DECLINED);
    assert_int_equal(ngx_sio_session_mine(&z, i, owner), 1);

    t_store_unmap(&z);
}


/* A ticket that no longer holds changes nothing, whatever it is used for. */

static void
t_owner_stale(void **state)
{
    u_char                    sid[NGX_SIO_SID_LEN];
    uint32_t                  i, k;
    uint64_t                  old, owner;
    ngx_sio_zone_t            z;
    ngx_sio_room_t            room;
    ngx_sio_session_sh_t     *ss, was;
    ngx_sio_session_socket_t  socket;

    t_owner_zone(&z);

    i = t_owner_socket(&z, 1, 1);
    ss = &z.sessions[i];
    old = ss->owner;

    owner = old;
    assert_int_equal(t_owner_take(&z, i, 2, &owner), NGX_OK);

    was = *ss;
    room = rooms[3];
    t_store_sid(sid, 's', 9);
    ngx_memzero(&socket, sizeof(ngx_sio_session_socket_t));
    socket.sid = sid;

    assert_int_equal(ngx_sio_session_release(&z, i, old, 1), NGX_DECLINED);
    assert_int_equal(ngx_sio_session_park(&z, i, old, 1, 1), NGX_DECLINED);
    assert_int_equal(ngx_sio_session_connect(&z, i, old, &socket),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_session_join(&z, i, old, &room, 1),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_session_leave(&z, i, old, rooms[0].member, 0),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_session_disconnect(&z, i, old), NGX_DECLINED);
    assert_int_equal(ngx_sio_session_close(&z, i, old), NGX_DECLINED);
    assert_memory_equal(ss, &was, sizeof(ngx_sio_session_sh_t));

    k = t_store_open(&z, 1, 3);
    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);
    assert_int_equal(ngx_sio_session_adopt_locked(&z, k, i, old, 1),
                     NGX_DECLINED);
    ngx_sio_zone_unlock(&z);
    assert_memory_equal(ss, &was, sizeof(ngx_sio_session_sh_t));
    assert_int_equal(z.sessions[k].sid[0], 0);

    /* nor does one of the session before it in the same record */

    assert_int_equal(ngx_sio_session_close(&z, i, owner), NGX_OK);
    assert_int_equal(t_store_open(&z, 2, 2), i);
    was = *ss;

    assert_int_equal(ngx_sio_session_connect(&z, i, owner, &socket),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_session_close(&z, i, owner), NGX_DECLINED);
    assert_memory_equal(ss, &was, sizeof(ngx_sio_session_sh_t));

    assert_int_equal(t_store_connect(&z, i, 2, NULL, NULL, 0, 65536), NGX_OK);
    was = *ss;

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);
    assert_int_equal(ngx_sio_session_adopt_locked(&z, k, i, owner, 1),
                     NGX_DECLINED);
    ngx_sio_zone_unlock(&z);
    assert_memory_equal(ss, &was, sizeof(ngx_sio_session_sh_t));
    assert_int_equal(z.sessions[k].sid[0], 0);

    /* and in a view that has lost all of them no ticket is good */

    owner = ss->owner;
    z.epoch++;
    assert_int_equal(ngx_sio_session_connect(&z, i, owner, &socket),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_session_close(&z, i, owner), NGX_DECLINED);
    assert_int_equal(t_owner_take(&z, i, 1, &owner), NGX_DECLINED);
    assert_int_equal(t_owner_post(&z, i, 1), NGX_DECLINED);
    assert_int_equal(t_store_by_eio(&z, 2), 0);
    assert_memory_equal(ss, &was, sizeof(ngx_sio_session_sh_t));

    t_store_unmap(&z);
}


/* The transport is lost, and another one gets the socket. */

static void
t_owner_recovered(void **state)
{
    uint32_t               i, k, ref;
    uint64_t               owner;
    ngx_uint_t             n;
    ngx_sio_zone_t         z;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss, was;

    t_owner_zone(&z);

    i = t_owner_socket(&z, 1, 1);
    ss = &z.sessions[i];
    owner = ss->owner;

    assert_int_equal(t_store_leave(&z, i, rooms[2].member, 65600), NGX_OK);
    ss->last = 65700;
    ss->base_last = 65664;
    ss->base_from = 65680;
    ss->flags |= NGX_SIO_PINGED|NGX_SIO_UPGRADING|NGX_SIO_CLOSING;
    ss->attachments = 3;
    ss->partial = 4;

    assert_int_equal(ngx_sio_session_park(&z, i, owner, 66000, 777), NGX_OK);
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE|NGX_SIO_PARKED);
    assert_int_equal(ss->applied, 66000);
    assert_int_equal(ss->deadline, 777);
    assert_int_equal(ss->transport, 0);
    assert_int_equal(ss->attachments, 0);
    assert_int_equal(ss->partial, 0);
    assert_int_equal(ngx_sio_owner_slot(ss->owner), 0);
    assert_int_equal(t_store_by_eio(&z, 1), 0);
    assert_int_equal(t_store_by_sid(&z, 1), i);
    assert_int_equal(z.sh->live_parked, 1);
    t_store_check(&z, "parked", 0);

    /* a session without a socket cannot be parked */

    k = t_store_open(&z, 2, 2);
    assert_int_equal(ngx_sio_session_park(&z, k, t_store_ticket(&z, k), 1, 1),
                     NGX_DECLINED);
    assert_int_equal(t_store_by_eio(&z, 2), k);

    /* nor has one without a socket anything to give, or one with it room */

    assert_int_equal(t_owner_adopt(&z, i, k, 1), NGX_DECLINED);
    assert_int_equal(t_owner_adopt(&z, i, i, 1), NGX_DECLINED);
    assert_int_equal(t_owner_adopt(&z, k, k, 1), NGX_DECLINED);
    assert_int_equal(t_owner_adopt(&z, k, 0, 1), NGX_DECLINED);

    assert_int_equal(t_owner_claim(&z, i, 2, &owner), NGX_OK);
    z.sessions[k].flags |= NGX_SIO_CONNECTING|NGX_SIO_PINGED;
    z.sessions[k].connecter = 1;
    z.sessions[k].seen = 66048;
    owner = z.sessions[k].owner;
    was = *ss;

    assert_int_equal(t_owner_adopt(&z, k, i, 66100), NGX_OK);

    assert_int_equal(ss->state, NGX_SIO_FREE);
    assert_int_equal(t_store_by_sid(&z, 1), k);
    assert_int_equal(t_store_by_eio(&z, 2), k);
    assert_int_equal(z.sh->live_parked, 0);
    assert_int_equal(z.sh->live_sessions, 1);
    assert_int_equal(z.sh->live_members, T_OWNER_ROOMS - 1);

    ss = &z.sessions[k];

    assert_int_equal(ss->owner, owner);
    assert_int_equal(ss->applied, 66100);
    assert_int_equal(ss->seen, 66048);
    assert_int_equal(ss->born, 65536);
    assert_int_equal(ss->last, 65700);
    assert_int_equal(ss->base_last, 65664);
    assert_int_equal(ss->base_from, 65680);
    assert_int_equal(ss->flags, NGX_SIO_RECOVERABLE|NGX_SIO_PINGED
                                |NGX_SIO_PRESENT
                                |NGX_SIO_CONNECTING);
    assert_int_equal(ss->connecter, 1);
    assert_int_equal(ss->user, was.user);
    assert_int_equal(ss->transport, SIO_EIO_WEBSOCKET);

    ref = NGX_SIO_NO_MEMBER;

    for (n = 0; n < T_OWNER_ROOMS; n++) {
        m = ngx_sio_session_walk_all(&z, ss, &ref);
        assert_non_null(m);
        assert_int_equal(m->room & NGX_SIO_LEFT,
                         (ref == rooms[2].member) ? NGX_SIO_LEFT : 0);
    }

    assert_null(ngx_sio_session_walk_all(&z, ss, &ref));
    t_store_check(&z, "recovered", 0);

    assert_int_equal(t_store_close(&z, k), NGX_OK);
    t_store_is_empty(&z);
    t_store_unmap(&z);
}


/* The transport that was ended by another worker can only end. */

static void
t_owner_dead(void **state)
{
    uint32_t        i, k;
    uint64_t        owner;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    t_owner_zone(&z);

    i = t_owner_socket(&z, 1, 1);
    z.sessions[i].flags |= NGX_SIO_DEAD;

    assert_int_equal(t_store_by_eio(&z, 1), 0);
    assert_int_equal(t_store_by_sid(&z, 1), i);
    assert_int_equal(t_owner_claim(&z, i, 2, &owner), NGX_DECLINED);
    owner = z.sessions[i].owner;
    assert_int_equal(t_owner_take(&z, i, 2, &owner), NGX_DECLINED);
    assert_int_equal(t_owner_post(&z, i, 2), NGX_DECLINED);

    k = t_store_open(&z, 2, 2);
    assert_int_equal(t_owner_adopt(&z, k, i, 1), NGX_DECLINED);

    assert_int_equal(ngx_sio_session_release(&z, i, owner, 1), NGX_DECLINED);
    assert_int_equal(z.sessions[i].state, NGX_SIO_FREE);

    i = t_owner_socket(&z, 1, 1);
    z.sessions[i].flags |= NGX_SIO_DEAD;
    z.sessions[i].flags &= ~NGX_SIO_RECOVERABLE;
    assert_int_equal(ngx_sio_session_park(&z, i, z.sessions[i].owner, 1, 1),
                     NGX_DECLINED);
    assert_int_equal(z.sessions[i].state, NGX_SIO_FREE);

    /* that is its transport; a socket that can be recovered waits */

    for (n = 0; n < 3; n++) {
        i = t_owner_socket(&z, 1, 1);
        z.sessions[i].flags |= NGX_SIO_DEAD;
        z.sessions[i].deadline = n ? 777 : 0;

        if (n == 2) {
            z.sessions[i].flags |= NGX_SIO_CONNECTING;
        }

        assert_int_equal(ngx_sio_session_release(&z, i, z.sessions[i].owner,
                                                 65600),
                         NGX_DECLINED);

        if (n != 1) {
            assert_int_equal(z.sessions[i].state, NGX_SIO_FREE);
            continue;
        }

        assert_int_equal(z.sessions[i].flags,
                         NGX_SIO_RECOVERABLE|NGX_SIO_PARKED);
        assert_int_equal(z.sessions[i].deadline, 777);
        assert_int_equal(z.sessions[i].applied, 65600);
        assert_int_equal(t_store_close(&z, i), NGX_OK);
    }

    /* one that waits without a transport ends with its socket */

    i = t_owner_socket(&z, 1, 1);
    assert_int_equal(ngx_sio_session_park(&z, i, z.sessions[i].owner, 1, 1),
                     NGX_OK);
    assert_int_equal(t_store_disconnect(&z, i), NGX_OK);
    assert_int_equal(z.sessions[i].state, NGX_SIO_FREE);

    assert_int_equal(t_store_close(&z, k), NGX_OK);
    t_store_is_empty(&z);
    t_store_unmap(&z);
}


/* One POST at a time. */

static void
t_owner_posts(void **state)
{
    uint32_t        i;
    ngx_sio_zone_t  z;

    t_owner_zone(&z);

    i = t_store_open(&z, 0, 1);

    assert_int_equal(t_owner_post(&z, i, 1), NGX_OK);
    assert_int_equal(t_owner_post(&z, i, 2), NGX_BUSY);
    assert_int_equal(t_owner_post(&z, i, 1), NGX_BUSY);

    assert_int_equal(ngx_sio_zone_lock(&z), NGX_OK);
    ngx_sio_session_post_done_locked(&z, i, 2);
    assert_int_equal(z.sessions[i].poster, 1);
    ngx_sio_session_post_done_locked(&z, i, 1);
    ngx_sio_session_post_done_locked(&z, i, 1);
    ngx_sio_session_post_done_locked(&z, i + 1, 1);
    ngx_sio_session_post_done_locked(&z, 0, 1);
    ngx_sio_zone_unlock(&z);

    assert_int_equal(t_owner_post(&z, i, 2), NGX_OK);
    assert_int_equal(t_store_close(&z, i), NGX_OK);
    assert_int_equal(t_owner_post(&z, i, 2), NGX_DECLINED);

    t_store_unmap(&z);
}


typedef struct {
    ngx_uint_t  n;
    ngx_uint_t  close;
    uint32_t    met[400];
} t_owner_expired_t;


static void
t_owner_each(ngx_sio_zone_t *z, uint32_t i, void *data)
{
    t_owner_expired_t  *e = data;

    e->met[e->n++] = i;

    if (e->close) {
        ngx_sio_session_close_locked(z, i);

    } else {
        z->sessions[i].deadline += 1000;
    }
}


/* Only who is nobody's and late is met, each once, however many they are. */

static void
t_owner_expires(void **state)
{
    uint32_t           i, owned, none, later;
    ngx_uint_t         n;
    ngx_sio_zone_t     z;
    t_owner_expired_t  e;

    t_owner_zone(&z);
    ngx_memzero(&e, sizeof(t_owner_expired_t));

    for (n = 0; n < 300; n++) {
        i = t_store_open(&z, 0, n);
        z.sessions[i].deadline = 5000;
    }

    owned = t_store_open(&z, 1, 1000);
    z.sessions[owned].deadline = 5000;
    none = t_store_open(&z, 0, 1001);
    z.sessions[none].deadline = 0;
    later = t_store_open(&z, 0, 1002);
    z.sessions[later].deadline = 5001;

    assert_int_equal(ngx_sio_session_expire(&z, 4999, t_owner_each, &e), 0);
    assert_int_equal(ngx_sio_session_expire(&z, 5000, t_owner_each, &e), 300);
    assert_int_equal(e.n, 300);

    for (n = 0; n < 300; n++) {
        assert_int_equal(e.met[n], n + 1);
    }

    assert_int_equal(ngx_sio_session_expire(&z, 5000, t_owner_each, &e), 0);

    e.n = 0;
    e.close = 1;
    assert_int_equal(ngx_sio_session_expire(&z, 6000, t_owner_each, &e), 301);
    assert_int_equal(z.sh->live_sessions, 2);
    assert_int_equal(z.sessions[owned].state, NGX_SIO_LIVE);
    assert_int_equal(z.sessions[none].state, NGX_SIO_LIVE);
    t_store_check(&z, "expires", 0);

    i = t_store_open(&z, 0, 1);
    z.epoch++;
    assert_int_equal(ngx_sio_session_expire(&z, (uint64_t) -1, t_owner_each,
                                            &e),
                     0);

    t_store_unmap(&z);
}


/* The base lasts for most of the log, and is what was true once. */

static void
t_owner_handed(void **state)
{
    uint32_t               i;
    uint64_t               from, last, base_last, base_from;
    ngx_uint_t             n, renewed;
    ngx_sio_zone_t         z;
    ngx_sio_session_sh_t  *ss;

    t_owner_zone(&z);

    i = t_owner_socket(&z, 1, 1);
    ss = &z.sessions[i];
    last = ss->last;
    renewed = 0;

    for (n = 0; n < 2000; n++) {

        from = t_store_append(&z, 1);
        (void) ngx_sio_log_advance(&z, 2, ngx_sio_log_head(&z));

        base_last = ss->base_last;
        base_from = ss->base_from;

        ngx_sio_session_note(&z, ss, from, from + 256);

        assert_int_equal(ss->last, from + 256);

        if (ss->base_from != base_from) {
            assert_int_equal(ss->base_from, from);
            assert_int_equal(ss->base_last, last);
            assert_true(base_from < ngx_sio_log_tail(&z) + 8192);
            renewed += (n > 300);

        } else {
            assert_int_equal(ss->base_last, base_last);
        }

        assert_true(ss->base_from >= ngx_sio_log_tail(&z));
        last = from + 256;
    }

    /* 1700 records of 256 bytes, in a log of 256: some 8 laps */

    assert_in_range(renewed, 6, 12);

    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_owner_open),
        cmocka_unit_test(t_owner_polls),
        cmocka_unit_test(t_owner_taken),
        cmocka_unit_test(t_owner_stale),
        cmocka_unit_test(t_owner_recovered),
        cmocka_unit_test(t_owner_dead),
        cmocka_unit_test(t_owner_posts),
        cmocka_unit_test(t_owner_expires),
        cmocka_unit_test(t_owner_handed)
    };

    return cmocka_run_group_tests_name("store: owner", tests, NULL, NULL);
}
