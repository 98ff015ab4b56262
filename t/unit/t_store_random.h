
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _T_STORE_RANDOM_H_INCLUDED_
#define _T_STORE_RANDOM_H_INCLUDED_


/*
 * What a process has while it does everything at random, and how a session of
 * it changes hands or ends.  A machine that is busy with other things is not
 * what is tested: who is told that a lock is not to be had tries again.
 */


#include "t_store.h"


#define T_RANDOM_SESSIONS  30
#define T_RANDOM_ROOMS     60
#define T_RANDOM_PATIENCE  30000               /* ms */

#define T_RANDOM_OWN       4                   /* namespaces of own branches, */
#define T_RANDOM_STRANGE   4                   /*   and of those that others
                                                    make at a transport */


typedef struct {
    ngx_sio_zone_t        z;
    uint32_t             *stop;                /* shared by all processes */
} t_random_t;


/* A session of a process, and a process. */

typedef struct t_random_session_s  t_random_session_t;

struct t_random_session_s {
    uint32_t              index;
    uint16_t              nsp;
    uint64_t              owner;               /* ticket */
    t_random_session_t   *transport;           /* of a branch */
    ngx_uint_t            n;                   /* rooms that it is in */
    ngx_sio_room_t        rooms[T_RANDOM_ROOMS];
};


typedef struct {
    t_random_t           *t;
    ngx_uint_t            slot;
    uint64_t              seed;
    uint64_t              id;
    t_random_session_t    s[T_RANDOM_SESSIONS];
} t_random_proc_t;


static ngx_sio_room_t  t_random_rooms[T_RANDOM_ROOMS];


#define t_random_retry(rc, call)                                              \
    do {                                                                      \
        uint64_t  end = ngx_sio_zone_now() + T_RANDOM_PATIENCE;               \
                                                                              \
        do {                                                                  \
            rc = call;                                                        \
        } while (rc == NGX_BUSY && ngx_sio_zone_now() < end);                 \
                                                                              \
        t_store_must(rc != NGX_BUSY);                                         \
    } while (0)


static inline void
t_random_lock(ngx_sio_zone_t *z)
{
    ngx_int_t  rc;

    t_random_retry(rc, ngx_sio_zone_lock(z));

    t_store_must(rc == NGX_OK);
}


/* Looks at its own session without a lock: nobody else changes it. */

static inline void
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
    t_store_must(ss->nsp == s->nsp);
    t_store_must(ss->members >= s->n);
    t_store_must(ss->members <= s->n + NGX_SIO_ENDED);

    if (s->transport) {
        t_store_must(ngx_sio_load(&ss->kin) == s->transport->index);
        t_store_must(ss->eio_sid[0] == 0);

    } else {
        t_store_must(ss->eio_sid[0] == 'e');
    }

    for (i = 0; i < s->n; i++) {
        m = ngx_sio_session_member(z, ss, s->rooms[i].member);

        t_store_must(m && m->room == s->rooms[i].room);
        t_store_must(ngx_sio_name_equal(z, &z->rooms[m->room], s->nsp,
                                        s->rooms[i].name.data,
                                        s->rooms[i].name.len));
    }

    ref = NGX_SIO_NO_MEMBER;

    for (n = 0; ngx_sio_session_walk(z, ss, &ref); n++) { /* void */ }

    t_store_must(n == s->n);
}


/* One that has no transport any more has to be ended by its owner. */

static inline void
t_random_end(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = &p->t->z;
    ss = &z->sessions[s->index];

    t_store_must(ngx_sio_session_mine(z, s->index, s->owner));
    t_store_must(ss->state == NGX_SIO_LIVE && ss->kin == 0);

    switch (t_store_random(&p->seed) % 3) {

    case 0:
        t_random_retry(rc, ngx_sio_session_park(z, s->index, s->owner,
                                                ngx_sio_log_head(z),
                                                ngx_sio_zone_now() + 10));

        if (rc == NGX_OK) {
            break;
        }

        t_store_must(rc == NGX_DECLINED && ss->sid[0] == 0);

        /* fall through */

    case 1:
        t_random_retry(rc, ngx_sio_session_close(z, s->index, s->owner));
        t_store_must(rc == NGX_OK);
        break;

    default:

        /* it is closed by that */

        t_random_retry(rc, ngx_sio_session_release(z, s->index, s->owner,
                                                   ngx_sio_log_head(z)));
        t_store_must(rc == NGX_DECLINED);
        break;
    }

    t_store_must(!ngx_sio_session_mine(z, s->index, s->owner));

    s->index = 0;
}


/* A transport is gone, or has shed its branches. */

static inline void
t_random_end_branches(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < T_RANDOM_SESSIONS; i++) {
        if (p->s[i].index && p->s[i].transport == s) {
            t_random_end(p, &p->s[i]);
        }
    }
}


static inline void
t_random_close(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t  rc;

    t_random_retry(rc, ngx_sio_session_close(&p->t->z, s->index, s->owner));

    t_store_must(rc == NGX_OK);

    s->index = 0;

    t_random_end_branches(p, s);
}


/* Another one waited for rooms on its behalf, and has died. */

static inline ngx_uint_t
t_random_is_dead(t_random_proc_t *p, t_random_session_t *s)
{
    return (ngx_sio_load(&p->t->z.sessions[s->index].flags) & NGX_SIO_DEAD)
           != 0;
}


/* Any session of a namespace that is parked, whoever did it. */

static inline uint32_t
t_random_parked(ngx_sio_zone_t *z, uint16_t nsp)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    for (i = 1; i <= z->sh->top_session; i++) {

        ss = &z->sessions[i];

        if (ss->state == NGX_SIO_LIVE && (ss->flags & NGX_SIO_PARKED)
            && ss->nsp == nsp)
        {
            t_store_must(ss->sid[0] && ss->eio_sid[0] == 0 && ss->kin == 0);
            return i;
        }
    }

    return 0;
}


/* The socket of somebody who was killed, or parked it, goes on here. */

static inline ngx_uint_t
t_random_adopt(t_random_proc_t *p, t_random_session_t *s)
{
    uint32_t               from, ref;
    uint64_t               owner;
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_sio_zone_t        *z;
    ngx_sio_room_t        *room;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    z = &p->t->z;
    ss = &z->sessions[s->index];

    t_random_lock(z);

    from = t_random_parked(z, s->nsp);

    if (from == 0
        || (ss->flags & NGX_SIO_DEAD)
        || ngx_sio_session_claim_locked(z, from, p->slot, &owner) != NGX_OK)
    {
        ngx_sio_zone_unlock(z);
        return 0;
    }

    rc = ngx_sio_session_adopt_locked(z, s->index, from, owner,
                                      NGX_SIO_AT_CURSOR);

    t_store_must(rc == NGX_OK);
    t_store_must(ss->sid[0] == 's');

    ref = NGX_SIO_NO_MEMBER;

    for ( ;; ) {
        m = ngx_sio_session_walk(z, ss, &ref);

        if (m == NULL) {
            break;
        }

        for (i = 0; i < T_RANDOM_ROOMS; i++) {
            room = &t_random_rooms[i];

            if (ngx_sio_name_equal(z, &z->rooms[m->room], s->nsp,
                                   room->name.data, room->name.len))
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

static inline void
t_random_park(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = &p->t->z;

    t_random_retry(rc, ngx_sio_session_park(z, s->index, s->owner,
                                            ngx_sio_log_head(z),
                                            ngx_sio_zone_now() + 10));

    t_store_must(rc == NGX_OK || rc == NGX_DECLINED);

    if (ngx_sio_session_mine(z, s->index, s->owner)) {
        t_store_must(rc == NGX_DECLINED);
        t_store_must(z->sessions[s->index].sid[0] == 0);
        return;
    }

    /* parked, or dead and closed */

    s->index = 0;

    t_random_end_branches(p, s);
}


/*
 * Lets a transport go, with all of its sockets, and takes it again, as polls
 * do.
 */

static inline void
t_random_release_locked(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_sio_zone_t  *z;

    z = &p->t->z;

    t_store_must(ngx_sio_session_answer_locked(z, s->index, s->owner,
                                               ngx_sio_log_head(z), NULL)
                 == NGX_OK);

    s->owner = ngx_sio_owner(0, NGX_SIO_OWNER_NONE,
                             ngx_sio_owner_gen(s->owner) + 1);
}


static inline ngx_int_t
t_random_take_locked(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = &p->t->z;
    rc = ngx_sio_session_take_locked(z, s->index, p->slot, &s->owner);

    if (rc == NGX_OK) {
        z->sessions[s->index].applied = NGX_SIO_AT_CURSOR;

    } else {
        s->index = 0;
    }

    return rc;
}


static inline void
t_random_poll(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_sio_zone_t      *z;
    t_random_session_t  *b;

    z = &p->t->z;

    t_random_lock(z);

    if (t_random_is_dead(p, s)) {
        ngx_sio_zone_unlock(z);
        return;
    }

    z->sessions[s->index].deadline = ngx_sio_zone_now()
                                     + t_store_random(&p->seed) % 2 * 10;

    for (i = 0; i < T_RANDOM_SESSIONS; i++) {
        if (p->s[i].index && p->s[i].transport == s) {
            t_random_release_locked(p, &p->s[i]);
        }
    }

    t_random_release_locked(p, s);

    ngx_sio_zone_unlock(z);

    t_random_lock(z);

    /* it may be too late, then for all of them */

    rc = t_random_take_locked(p, s);

    if (rc == NGX_OK) {
        z->sessions[s->index].deadline = 0;
    }

    for (i = 0; i < T_RANDOM_SESSIONS; i++) {
        b = &p->s[i];

        if (b->index && b->transport == s) {
            t_store_must(t_random_take_locked(p, b) == rc);
        }
    }

    ngx_sio_zone_unlock(z);
}


/* A branch leaves its transport, or all of them do. */

static inline void
t_random_prune(t_random_proc_t *p, t_random_session_t *s)
{
    ngx_sio_zone_t  *z;

    z = &p->t->z;

    t_random_lock(z);

    if (s->transport) {
        ngx_sio_session_prune_locked(z, s->index);

    } else {
        ngx_sio_session_shed_locked(z, s->index,
                                    (t_store_random(&p->seed) % 2)
                                    ? ngx_sio_zone_now() + 10 : 0);
    }

    ngx_sio_zone_unlock(z);

    if (s->transport) {
        t_random_end(p, s);

    } else {
        t_random_end_branches(p, s);
    }
}


/* What is done at another one's transport, as in a POST, with the lock held. */

static inline void
t_random_strange_locked(t_random_proc_t *p, uint32_t transport, uint16_t nsp)
{
    u_char                     sid[NGX_SIO_SID_LEN];
    uint32_t                   i;
    uint64_t                   owner;
    ngx_sio_zone_t            *z;
    ngx_sio_session_sh_t      *ss;
    ngx_sio_session_socket_t   socket;

    z = &p->t->z;
    i = ngx_sio_session_in_locked(z, transport, nsp);

    if (i == 0) {
        i = ngx_sio_session_branch_locked(z, transport, nsp, 0, p->slot,
                                          &owner);

        t_store_must(i == 0 || z->sessions[i].connecter == p->slot);
        return;
    }

    ss = &z->sessions[i];

    if (!(ss->flags & NGX_SIO_CONNECTING)) {
        ngx_sio_session_disconnect_locked(z, i);
        return;
    }

    if (ss->connecter != p->slot) {
        return;
    }

    t_store_sid(sid, 's', ++p->id);
    ngx_memzero(&socket, sizeof(ngx_sio_session_socket_t));

    socket.sid = sid;
    socket.nsp = nsp;
    socket.recoverable = t_store_random(&p->seed) % 2;
    socket.farewell = 0;
    socket.rooms = &t_random_rooms[t_store_random(&p->seed) % T_RANDOM_ROOMS];
    socket.nrooms = 1;
    socket.since = 1;

    if (ngx_sio_session_connect_locked(z, i, &socket) == NGX_OK) {
        ss->flags &= ~NGX_SIO_CONNECTING;
        ss->connecter = 0;
    }
}


static inline void
t_random_strange(t_random_proc_t *p)
{
    uint32_t               i;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = &p->t->z;

    t_random_lock(z);

    i = 1 + t_store_random(&p->seed) % z->sh->nsessions;

    if (i > z->sh->top_session) {
        i = 1 + i % (1 + z->sh->top_session);
    }

    ss = &z->sessions[i];

    if (ss->state == NGX_SIO_LIVE && ss->eio_sid[0]
        && !(ss->flags & NGX_SIO_DEAD))
    {
        t_random_strange_locked(p, i, 1 + T_RANDOM_OWN
                                      + t_store_random(&p->seed)
                                        % T_RANDOM_STRANGE);
    }

    ngx_sio_zone_unlock(z);
}


#endif /* _T_STORE_RANDOM_H_INCLUDED_ */
