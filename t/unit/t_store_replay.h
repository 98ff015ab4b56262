
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _T_STORE_REPLAY_H_INCLUDED_
#define _T_STORE_REPLAY_H_INCLUDED_


/*
 * Replay is compared with a model: an owner that never went away and did each
 * record when it came.
 */


#include "t_store.h"

#include "ngx_sio_nsp.h"
#include "ngx_sio_replay.h"


#define T_REPLAY_SIZE      (2048 * 1024)
#define T_REPLAY_LOG       (512 * 1024)

#define T_REPLAY_ROOMS     14
#define T_REPLAY_SESSIONS  6
#define T_REPLAY_NAMES     (T_REPLAY_ROOMS + T_REPLAY_SESSIONS)
#define T_REPLAY_RECORDS   700
#define T_REPLAY_LIST      4           /* most names of one list */

#define T_REPLAY_SLOT      1


/*
 * A record as the model sees it; names are numbers, those of the rooms first,
 * then the ids of the sockets.
 */

typedef struct {
    uint64_t              off;
    uint64_t              end;
    uint64_t              rooms;       /* sets of names, by bits */
    uint64_t              except;
    uint64_t              args;
    uint8_t               type;
    uint8_t               flags;
    uint16_t              nsp;
    ngx_uint_t            parts;
    ngx_uint_t            session;     /* SESSION: whose */
    uint64_t              arg;
} t_replay_record_t;


/* What the model says about one session at one cursor. */

typedef struct {
    uint64_t              mask;        /* the rooms it is in */
    ngx_uint_t            disconnect;
    ngx_uint_t            close;
    ngx_uint_t            reason;
    ngx_uint_t            release;
    ngx_uint_t            replies;
    ngx_uint_t            nrefs;
    uint64_t              refs[T_REPLAY_RECORDS];
} t_replay_model_t;


typedef struct {
    ngx_sio_zone_t        z;
    uint64_t              rnd;
    u_char                names[T_REPLAY_NAMES][SIO_ROOM_LEN];
    ngx_sio_room_t        rooms[T_REPLAY_NAMES];

    ngx_uint_t            n;
    t_replay_record_t     records[T_REPLAY_RECORDS];

    uint32_t              session[T_REPLAY_SESSIONS];
    uint64_t              owner[T_REPLAY_SESSIONS];
    uint64_t              birth[T_REPLAY_SESSIONS];
    uint64_t              first[T_REPLAY_SESSIONS];      /* rooms at birth */
    uint16_t              nsp[T_REPLAY_SESSIONS];
    ngx_uint_t            branch[T_REPLAY_SESSIONS];     /* it is one */
    uint16_t              most;        /* the namespace of most records */

    t_replay_model_t      model;
} t_replay_t;


static t_replay_t  t_replay;


static inline uint64_t
t_replay_random(t_replay_t *t, uint64_t n)
{
    return t_store_random(&t->rnd) % n;
}


static inline void
t_replay_name(t_replay_t *t, ngx_uint_t n)
{
    ngx_sio_room_t  *room;

    room = &t->rooms[n];

    if (n < T_REPLAY_ROOMS) {
        t_store_room(&t->z, room, t->names[n], n);
        return;
    }

    t_store_sid(t->names[n], 's', n - T_REPLAY_ROOMS);

    room->name.data = t->names[n];
    room->name.len = NGX_SIO_SID_LEN;
    room->hash = sio_hash(t->z.sh->seed, t->names[n], NGX_SIO_SID_LEN);
    room->set = 0;
}


static inline void
t_replay_begin(t_replay_t *t, uint64_t seed)
{
    char        text[8];
    uint16_t    nsp;
    ngx_str_t   name;
    ngx_uint_t  n;

    ngx_memzero(t, sizeof(t_replay_t));

    t->rnd = seed * 0x9e3779b97f4a7c15 + 1;
    t_store_zone(&t->z, T_REPLAY_SIZE, T_REPLAY_LOG);

    /* one for each session at most, besides that which all zones have */

    for (n = 1; n < T_REPLAY_SESSIONS; n++) {
        name.data = (u_char *) text;
        name.len = sprintf(text, "/%u", (unsigned) n);

        t_store_must(ngx_sio_nsp_add(&t->z, &name, &nsp) == NGX_OK
                     && nsp == n);
    }

    for (n = 0; n < T_REPLAY_NAMES; n++) {
        t_replay_name(t, n);
    }
}


static inline void
t_replay_end(t_replay_t *t)
{
    t_store_check(&t->z, "replay", 0);
    t_store_unmap(&t->z);
}


/* Puts the names of a set into a list. */

static inline ngx_uint_t
t_replay_list(t_replay_t *t, uint64_t set, sio_str_t *names)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < T_REPLAY_NAMES; i++) {
        if (set >> i & 1) {
            names[n].data = t->rooms[i].name.data;
            names[n++].len = t->rooms[i].name.len;
        }
    }

    return n;
}


static inline void
t_replay_append(t_replay_t *t, t_replay_record_t *r)
{
    u_char             sid[NGX_SIO_SID_LEN];
    sio_buf_t          b;
    sio_str_t          names[3 * T_REPLAY_NAMES], parts[2];
    sio_message_t      m;
    static u_char      payload[1024];
    ngx_sio_append_t   a;

    ngx_memzero(&b, sizeof(sio_buf_t));
    ngx_memzero(&m, sizeof(sio_message_t));
    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    m.type = r->type;
    m.flags = r->flags;
    m.nsp = r->nsp;
    m.arg = r->arg;
    m.names = names;
    m.part = parts;
    m.parts = r->parts;

    parts[0].data = payload;
    parts[0].len = t_replay_random(t, 300);
    parts[1].data = payload;
    parts[1].len = t_replay_random(t, sizeof(payload));

    if (r->type == SIO_RECORD_SESSION) {
        t_store_sid(sid, 'e', r->session);
        names[0].data = sid;
        names[0].len = NGX_SIO_SID_LEN;
        m.rooms = 1;

    } else {
        m.rooms = t_replay_list(t, r->rooms, names);
        m.except = t_replay_list(t, r->except, names + m.rooms);
        m.args = t_replay_list(t, r->args, names + m.rooms + m.except);
    }

    assert_int_equal(sio_record_encode(&b, &m, t->z.sh->seed,
                                       ngx_sio_log_max_record(&t->z)),
                     SIO_OK);

    a.data = b.data;
    a.len = b.len;

    assert_int_equal(ngx_sio_log_append(&t->z, &a), NGX_OK);

    r->off = a.first;
    r->end = a.first + b.len;

    sio_buf_free(&b);
}


static inline uint64_t
t_replay_set(t_replay_t *t)
{
    uint64_t    set;
    ngx_uint_t  n;

    set = 0;

    for (n = t_replay_random(t, T_REPLAY_LIST); n > 0; n--) {
        set |= (uint64_t) 1 << t_replay_random(t, T_REPLAY_NAMES);
    }

    return set;
}


/* Any record; a DISCONNECT only if asked for. */

static inline void
t_replay_any(t_replay_t *t, t_replay_record_t *r, ngx_uint_t disconnect)
{
    static const uint8_t  flags[] = { 0, 0, 0, SIO_RECORD_CONNECTED,
                                      SIO_RECORD_RELEASE, SIO_RECORD_CLOSE };

    ngx_memzero(r, sizeof(t_replay_record_t));

    r->nsp = (t_replay_random(t, 8) == 0) ? 1 - t->most : t->most;
    r->rooms = t_replay_set(t);
    r->except = t_replay_random(t, 3) ? 0 : t_replay_set(t);

    switch (t_replay_random(t, 10)) {

    case 0:
    case 1:
        r->type = SIO_RECORD_JOIN;
        r->args = t_replay_set(t);
        return;

    case 2:
        r->type = SIO_RECORD_LEAVE;
        r->args = t_replay_set(t);
        return;

    case 3:
        r->type = SIO_RECORD_SESSION;
        r->session = t_replay_random(t, T_REPLAY_SESSIONS + 2);
        r->flags = flags[t_replay_random(t, sizeof(flags))];
        r->parts = t_replay_random(t, 3);
        r->arg = t_replay_random(t, 100);

        if (r->session < T_REPLAY_SESSIONS && t_replay_random(t, 2)) {
            r->arg = ngx_sio_session_tag(t->session[r->session],
                                         t->owner[r->session]);
        }

        return;

    case 4:

        if (disconnect && t_replay_random(t, 10) == 0) {
            r->type = SIO_RECORD_DISCONNECT;
            r->flags = t_replay_random(t, 2)
                       ? SIO_RECORD_CLOSE * (uint8_t) t_replay_random(t, 2)
                       : SIO_RECORD_QUIET;
            return;
        }

        r->type = SIO_RECORD_FEED;
        r->rooms = 0;
        r->except = 0;
        r->flags = SIO_RECORD_UP;
        return;

    default:
        r->type = SIO_RECORD_EMIT;
        r->flags = t_replay_random(t, 5) ? 0 : SIO_RECORD_VOLATILE;
        r->parts = 1 + t_replay_random(t, 2);
        return;
    }
}


static inline void
t_replay_fill(t_replay_t *t, ngx_uint_t n, ngx_uint_t disconnect)
{
    while (n--) {
        t_replay_any(t, &t->records[t->n], disconnect);
        t_replay_append(t, &t->records[t->n++]);
    }
}


/* The offset of record n, or that behind the last. */

static inline uint64_t
t_replay_at(t_replay_t *t, ngx_uint_t n)
{
    return (n < t->n) ? t->records[n].off : ngx_sio_log_head(&t->z);
}


/* An offset between two others, of a record or behind one. */

static inline uint64_t
t_replay_between(t_replay_t *t, uint64_t from, uint64_t to)
{
    uint64_t    off;
    ngx_uint_t  n;

    for (n = 0; n < 100; n++) {
        off = t_replay_at(t, t_replay_random(t, t->n + 1));

        if (n % 2 && off != t_replay_at(t, t->n)) {
            off = t->records[t_replay_random(t, t->n)].end;
        }

        if (off >= from && off <= to) {
            return off;
        }
    }

    return t_replay_random(t, 2) ? from : to;
}


static inline void
t_replay_connect(t_replay_t *t, ngx_uint_t s, uint64_t birth,
    ngx_uint_t recoverable)
{
    u_char                    sid[NGX_SIO_SID_LEN];
    ngx_uint_t                i;
    ngx_sio_room_t            rooms[T_REPLAY_NAMES];
    ngx_sio_session_socket_t  socket;

    ngx_memzero(&socket, sizeof(ngx_sio_session_socket_t));
    t_store_sid(sid, 's', s);

    socket.sid = sid;
    socket.nsp = t->nsp[s];
    socket.recoverable = recoverable;
    socket.farewell = 0;
    socket.rooms = rooms;
    socket.since = birth;

    for (i = 0; i < T_REPLAY_NAMES; i++) {
        if (t->first[s] >> i & 1) {
            rooms[socket.nrooms++] = t->rooms[i];
        }
    }

    assert_int_equal(ngx_sio_session_connect(&t->z, t->session[s],
                                             t->owner[s], &socket),
                     NGX_OK);

    t->birth[s] = birth;
}


static inline void
t_replay_open(t_replay_t *t, ngx_uint_t s)
{
    u_char                 sid[NGX_SIO_SID_LEN];
    ngx_sio_session_new_t  new;

    ngx_memzero(&new, sizeof(ngx_sio_session_new_t));
    t_store_sid(sid, 'e', s);

    new.eio_sid = sid;
    new.transport = 1;
    new.ping_interval = 25000;
    new.ping_timeout = 20000;

    t->session[s] = ngx_sio_session_open(&t->z, T_REPLAY_SLOT, &new,
                                         &t->owner[s]);

    if (t->branch[s]) {
        t->session[s] = t_store_branch(&t->z, t->session[s], t->nsp[s],
                                       T_REPLAY_SLOT, 0);
        t->owner[s] = t_store_ticket(&t->z, t->session[s]);
    }

    assert_int_not_equal(t->session[s], 0);
}


static inline ngx_uint_t
t_replay_is_addressed(t_replay_t *t, ngx_uint_t s, t_replay_record_t *r,
    uint64_t mask)
{
    mask |= (uint64_t) 1 << (T_REPLAY_ROOMS + s);

    return r->nsp == t->nsp[s]
           && (r->rooms == 0 || (r->rooms & mask))
           && !(r->except & mask);
}


/*
 * What is right for a session behind all records before the cursor, events from
 * one offset on, and records for itself from another.
 */

static inline void
t_replay_expect(t_replay_t *t, ngx_uint_t s, uint64_t cursor, uint64_t seen,
    uint64_t events)
{
    ngx_uint_t          n;
    t_replay_model_t   *m;
    t_replay_record_t  *r;

    m = &t->model;
    ngx_memzero(m, sizeof(t_replay_model_t));
    m->mask = t->first[s];

    for (n = 0; n < t->n && t->records[n].off < cursor; n++) {

        r = &t->records[n];

        if (r->type == SIO_RECORD_SESSION) {

            /* a branch has no Engine.IO id: they are its transport's */

            if (r->session != s || r->off < seen || t->branch[s]) {
                continue;
            }

            if ((r->flags & SIO_RECORD_CLOSE) && !m->close) {
                m->close = 1;
                m->reason = r->arg;
            }

            m->release |= ((r->flags & SIO_RECORD_RELEASE)
                           && r->arg == ngx_sio_session_tag(t->session[s],
                                                            t->owner[s]));

            if (r->flags & SIO_RECORD_CONNECTED) {
                ngx_memmove(&m->refs[m->replies + 1], &m->refs[m->replies],
                            (m->nrefs++ - m->replies) * sizeof(uint64_t));
                m->refs[m->replies++] = r->off;

            } else if (r->parts) {
                m->refs[m->nrefs++] = r->off;
            }

            continue;
        }

        if (m->disconnect
            || r->off < t->birth[s]
            || !t_replay_is_addressed(t, s, r, m->mask))
        {
            continue;
        }

        switch (r->type) {

        case SIO_RECORD_EMIT:
            if (r->off >= events && !(r->flags & SIO_RECORD_VOLATILE)) {
                m->refs[m->nrefs++] = r->off;
            }
            break;

        case SIO_RECORD_JOIN:
            m->mask |= r->args;
            break;

        case SIO_RECORD_LEAVE:
            m->mask &= ~r->args;
            break;

        case SIO_RECORD_DISCONNECT:
            m->disconnect = (r->flags & SIO_RECORD_CLOSE) ? 2
                            : (r->flags & SIO_RECORD_QUIET) ? 3 : 1;
            break;
        }
    }
}


/* The rooms that the session is in, as the zone has them. */

static inline uint64_t
t_replay_mask(t_replay_t *t, ngx_uint_t s)
{
    uint32_t               ref;
    uint64_t               mask;
    ngx_uint_t             i;
    ngx_sio_room_t        *room;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    ss = &t->z.sessions[t->session[s]];
    mask = 0;
    ref = NGX_SIO_NO_MEMBER;

    while ((m = ngx_sio_session_walk(&t->z, ss, &ref)) != NULL) {

        for (i = 0; i < T_REPLAY_NAMES; i++) {
            room = &t->rooms[i];

            if (ngx_sio_name_equal(&t->z, &t->z.rooms[m->room], t->nsp[s],
                                   room->name.data, room->name.len))
            {
                break;
            }
        }

        assert_true(i < T_REPLAY_NAMES);
        assert_false(mask >> i & 1);

        mask |= (uint64_t) 1 << i;
    }

    return mask;
}


static inline ngx_int_t
t_replay_run(t_replay_t *t, ngx_uint_t s, ngx_sio_replay_t *rp,
    uint64_t cursor)
{
    rp->session = t->session[s];
    rp->owner = t->owner[s];

    return ngx_sio_replay_run(&t->z, cursor, rp);
}


/* The replay is what the model says. */

static inline void
t_replay_same(t_replay_t *t, ngx_uint_t s, ngx_sio_replay_t *rp)
{
    t_replay_model_t  *m;

    m = &t->model;

    assert_int_equal(rp->disconnect, m->disconnect);
    assert_int_equal(rp->close, m->close);
    assert_int_equal(rp->reason, m->reason);
    assert_int_equal(rp->release, m->release);
    assert_int_equal(rp->refs.len, m->nrefs * sizeof(uint64_t));
    assert_memory_equal(rp->refs.data, m->refs, rp->refs.len);
    assert_int_equal(t_replay_mask(t, s), m->mask);
}


/* Replays to a cursor and compares. */

static inline void
t_replay_to(t_replay_t *t, ngx_uint_t s, uint64_t cursor, uint64_t applied,
    uint64_t seen, uint64_t events)
{
    ngx_sio_replay_t  rp;

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));

    rp.applied = applied;
    rp.seen = seen;
    rp.events = events;

    assert_int_equal(t_replay_run(t, s, &rp, cursor), NGX_OK);

    t_replay_expect(t, s, cursor, seen, events);
    t_replay_same(t, s, &rp);

    sio_buf_free(&rp.refs);
}


/* A record of the namespace that most are of. */

static inline t_replay_record_t *
t_replay_put(t_replay_t *t, uint8_t type, uint8_t flags, uint64_t rooms,
    uint64_t args)
{
    t_replay_record_t  *r;

    r = &t->records[t->n++];
    ngx_memzero(r, sizeof(t_replay_record_t));

    r->nsp = t->most;
    r->type = type;
    r->flags = flags;
    r->rooms = rooms;
    r->args = args;
    r->parts = (type == SIO_RECORD_EMIT);

    t_replay_append(t, r);

    return r;
}


static inline uint64_t
t_replay_sid(ngx_uint_t s)
{
    return (uint64_t) 1 << (T_REPLAY_ROOMS + s);
}


/* One socket, in room 0, born at the head. */

static inline void
t_replay_socket(t_replay_t *t)
{
    t_replay_begin(t, 2000);
    (void) t_replay_put(t, SIO_RECORD_EMIT, 0, 0, 0);

    t->first[0] = 1;
    t_replay_open(t, 0);
    t_replay_connect(t, 0, ngx_sio_log_head(&t->z), 1);
}


static inline ngx_int_t
t_replay_recover(t_replay_t *t, uint64_t from)
{
    ngx_int_t         rc;
    ngx_sio_replay_t  rp;

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));

    rp.applied = from;
    rp.seen = from;
    rp.events = from;
    rp.recover = 1;

    rc = t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z));

    sio_buf_free(&rp.refs);

    return rc;
}


#endif /* _T_STORE_REPLAY_H_INCLUDED_ */
