
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * Replay is compared with a model: an owner that never went away and did each
 * record when it came.
 */


#include "t_store.h"

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

    t_replay_model_t      model;
} t_replay_t;


static t_replay_t  t_replay;


static uint64_t
t_replay_random(t_replay_t *t, uint64_t n)
{
    return t_store_random(&t->rnd) % n;
}


static void
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
}


static void
t_replay_begin(t_replay_t *t, uint64_t seed)
{
    ngx_uint_t  n;

    ngx_memzero(t, sizeof(t_replay_t));

    t->rnd = seed * 0x9e3779b97f4a7c15 + 1;
    t_store_zone(&t->z, T_REPLAY_SIZE, T_REPLAY_LOG);

    for (n = 0; n < T_REPLAY_NAMES; n++) {
        t_replay_name(t, n);
    }
}


static void
t_replay_end(t_replay_t *t)
{
    t_store_check(&t->z, "replay", 0);
    t_store_unmap(&t->z);
}


/* Puts the names of a set into a list. */

static ngx_uint_t
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


static void
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


static uint64_t
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

static void
t_replay_any(t_replay_t *t, t_replay_record_t *r, ngx_uint_t disconnect)
{
    static const uint8_t  flags[] = { 0, 0, 0, SIO_RECORD_CONNECTED,
                                      SIO_RECORD_RELEASE, SIO_RECORD_CLOSE };

    ngx_memzero(r, sizeof(t_replay_record_t));

    r->nsp = (t_replay_random(t, 8) == 0);
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


static void
t_replay_fill(t_replay_t *t, ngx_uint_t n, ngx_uint_t disconnect)
{
    while (n--) {
        t_replay_any(t, &t->records[t->n], disconnect);
        t_replay_append(t, &t->records[t->n++]);
    }
}


/* The offset of record n, or that behind the last. */

static uint64_t
t_replay_at(t_replay_t *t, ngx_uint_t n)
{
    return (n < t->n) ? t->records[n].off : ngx_sio_log_head(&t->z);
}


/* An offset between two others, of a record or behind one. */

static uint64_t
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


static void
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


static void
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

    assert_int_not_equal(t->session[s], 0);
}


static ngx_uint_t
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

static void
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

            if (r->session != s || r->off < seen) {
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

static uint64_t
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


static ngx_int_t
t_replay_run(t_replay_t *t, ngx_uint_t s, ngx_sio_replay_t *rp,
    uint64_t cursor)
{
    rp->session = t->session[s];
    rp->owner = t->owner[s];

    return ngx_sio_replay_run(&t->z, cursor, rp);
}


/* The replay is what the model says. */

static void
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

static void
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


/*
 * Sockets of all kinds, born at any record, are brought on step by step, each
 * time from positions that may be much older than what has been done to their
 * rooms.
 */

static void
t_replay_random_one(t_replay_t *t, uint64_t seed)
{
    uint64_t     at, cursor, applied, events, floor, last;
    ngx_uint_t   s, n, recoverable;

    t_replay_begin(t, seed);
    t_replay_fill(t, 40 + t_replay_random(t, 160), seed % 2);

    floor = t_replay_at(t, 0);

    for (s = 0; s < T_REPLAY_SESSIONS; s++) {

        t->first[s] = t_replay_set(t);
        t->nsp[s] = (t_replay_random(t, 4) == 0);
        recoverable = t_replay_random(t, 3);

        at = t_replay_between(t, floor, t_replay_at(t, t->n / 2));

        t_replay_open(t, s);
        t_replay_connect(t, s, at, recoverable);

        for (n = 0; n < 8; n++) {

            cursor = t_replay_between(t, at, t_replay_at(t, t->n));

            /* those that cannot be recovered forget what has ended */

            applied = at;
            events = at;

            if (recoverable) {
                applied = t_replay_between(t, floor, at);
                events = t_replay_between(t, t->birth[s], cursor);
            }

            if (t->z.sessions[t->session[s]].flags & NGX_SIO_FLOOR) {
                events = ngx_max(events,
                                 t->z.sessions[t->session[s]].base_from);
            }

            t_replay_to(t, s, cursor, applied,
                        t_replay_between(t, floor, cursor), events);

            if (t->model.disconnect) {
                break;
            }

            at = cursor;

            if (t_replay_random(t, 4) == 0) {
                last = t_replay_between(t, t->birth[s], at);
                t->z.sessions[t->session[s]].last = last;
            }
        }
    }

    t_replay_end(t);
}


/* In pieces of a limited size it is the same. */

static int
t_replay_order(const void *one, const void *two)
{
    uint64_t  a, b;

    a = *(const uint64_t *) one;
    b = *(const uint64_t *) two;

    return (a > b) - (a < b);
}


static void
t_replay_pieces_one(t_replay_t *t, uint64_t seed)
{
    uint64_t          at, cursor;
    sio_buf_t         refs;
    ngx_uint_t        n;
    ngx_sio_replay_t  rp;

    t_replay_begin(t, seed);
    t_replay_fill(t, 200, 0);

    at = t_replay_at(t, t_replay_random(t, 20));
    cursor = t_replay_at(t, t->n);

    t->first[0] = t_replay_set(t);
    t_replay_open(t, 0);
    t_replay_connect(t, 0, at, seed % 2);

    t_replay_expect(t, 0, cursor, at, at);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
    ngx_memzero(&refs, sizeof(sio_buf_t));

    for (n = 0; at < cursor; n++) {
        rp.applied = at;
        rp.seen = at;
        rp.events = at;
        rp.limit = 1 + t_replay_random(t, 3000);

        assert_int_equal(t_replay_run(t, 0, &rp, cursor), NGX_OK);
        assert_true(rp.left > at);
        assert_true(rp.refs.len || rp.left == cursor);
        assert_int_equal(sio_buf_append(&refs, rp.refs.data, rp.refs.len),
                         SIO_OK);

        if (rp.close && t->model.close) {
            /* the first one says why */
            assert_int_equal(rp.reason, t->model.reason);
            t->model.close = 0;
        }

        at = rp.left;
    }

    assert_true(n > 2 || rp.close);
    assert_int_equal(refs.len, t->model.nrefs * sizeof(uint64_t));

    /* in each piece replies come first, so the order is another one */

    qsort(refs.data, t->model.nrefs, sizeof(uint64_t), t_replay_order);
    qsort(t->model.refs, t->model.nrefs, sizeof(uint64_t), t_replay_order);
    assert_memory_equal(refs.data, t->model.refs, refs.len);

    assert_int_equal(t_replay_mask(t, 0), t->model.mask);

    sio_buf_free(&refs);
    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


static void
t_replay_pieces(void **state)
{
    uint64_t  seed;

    for (seed = 6000; seed < 6100; seed++) {
        t_replay_pieces_one(&t_replay, seed);
    }
}


static void
t_replay_randomly(void **state)
{
    uint64_t  seed;

    for (seed = 1; seed <= 400; seed++) {
        t_replay_random_one(&t_replay, seed);
    }
}


/* A log that goes on: what has ended is forgotten with its tail. */

static void
t_replay_long(void **state)
{
    uint64_t     at, tail, events, cursor;
    ngx_uint_t   n, round;
    t_replay_t  *t;

    t = &t_replay;

    t_replay_begin(t, 1000);
    t_replay_fill(t, 20, 0);

    t->first[0] = 0x15;
    t_replay_open(t, 0);
    at = ngx_sio_log_head(&t->z);
    t_replay_connect(t, 0, at, 1);

    for (round = 0; round < 300; round++) {

        /* what the model knows is what it starts from */

        if (t->n > T_REPLAY_RECORDS - 100) {
            t->first[0] = t_replay_mask(t, 0);
            t->birth[0] = at;
            t->n = 0;
        }

        t_replay_fill(t, t_replay_random(t, 80), 0);

        cursor = ngx_sio_log_head(&t->z);
        tail = ngx_max(ngx_sio_log_tail(&t->z), t->birth[0]);
        events = at;

        if (t->n && round % 2
            && !(t->z.sessions[t->session[0]].flags & NGX_SIO_FLOOR))
        {
            events = t_replay_between(t, tail, at);
        }

        t_replay_to(t, 0, cursor, at, at, events);
        at = cursor;

        if (round % 16 == 0) {
            for (n = 0; n < 3; n++) {
                t_replay_to(t, 0, at, tail, at, at);
            }
        }
    }

    assert_true(t->z.sessions[t->session[0]].members < 200);

    t_replay_end(t);
}


static t_replay_record_t *
t_replay_put(t_replay_t *t, uint8_t type, uint8_t flags, uint64_t rooms,
    uint64_t args)
{
    t_replay_record_t  *r;

    r = &t->records[t->n++];
    ngx_memzero(r, sizeof(t_replay_record_t));

    r->type = type;
    r->flags = flags;
    r->rooms = rooms;
    r->args = args;
    r->parts = (type == SIO_RECORD_EMIT);

    t_replay_append(t, r);

    return r;
}


static uint64_t
t_replay_sid(ngx_uint_t s)
{
    return (uint64_t) 1 << (T_REPLAY_ROOMS + s);
}


/* One socket, in room 0, born at the head. */

static void
t_replay_socket(t_replay_t *t)
{
    t_replay_begin(t, 2000);
    (void) t_replay_put(t, SIO_RECORD_EMIT, 0, 0, 0);

    t->first[0] = 1;
    t_replay_open(t, 0);
    t_replay_connect(t, 0, ngx_sio_log_head(&t->z), 1);
}


static ngx_int_t
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


/* What has passed meanwhile may leave nothing to be recovered. */

static void
t_replay_recovery(void **state)
{
    uint64_t               birth;
    t_replay_t            *t;
    t_replay_record_t     *r;
    ngx_sio_session_sh_t  *ss;

    t = &t_replay;

    t_replay_socket(t);
    birth = t->birth[0];
    ss = &t->z.sessions[t->session[0]];

    (void) t_replay_put(t, SIO_RECORD_EMIT, 0, 1, 0);
    assert_int_equal(t_replay_recover(t, birth), NGX_OK);

    (void) t_replay_put(t, SIO_RECORD_DISCONNECT, 0, 2, 0);
    assert_int_equal(t_replay_recover(t, birth), NGX_OK);

    r = t_replay_put(t, SIO_RECORD_FEED, SIO_RECORD_UP|SIO_RECORD_GAP, 0, 0);
    assert_int_equal(t_replay_recover(t, birth), NGX_DECLINED);
    assert_int_equal(t_replay_recover(t, r->off), NGX_DECLINED);
    assert_int_equal(t_replay_recover(t, r->end), NGX_OK);

    ss->flags |= NGX_SIO_FLOOR;
    ss->base_last = 0;
    ss->base_from = r->end + 64;
    assert_int_equal(t_replay_recover(t, r->end), NGX_DECLINED);

    ss->base_from = r->end;
    assert_int_equal(t_replay_recover(t, r->end), NGX_OK);

    (void) t_replay_put(t, SIO_RECORD_DISCONNECT, SIO_RECORD_QUIET, 1, 0);
    assert_int_equal(t_replay_recover(t, r->end), NGX_DECLINED);

    t_replay_end(t);
}


/*
 * The transport got another socket: what was for the old one is not for it, and
 * the DISCONNECT of the old one is not its own.
 */

static void
t_replay_reborn(void **state)
{
    uint64_t            from;
    ngx_uint_t          n;
    t_replay_t         *t;
    ngx_sio_replay_t    rp;
    t_replay_record_t  *emit, *made;

    t = &t_replay;

    t_replay_socket(t);
    from = t->birth[0];

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, 0, 4);
    emit = t_replay_put(t, SIO_RECORD_EMIT, 0, 1, 0);
    (void) t_replay_put(t, SIO_RECORD_DISCONNECT, SIO_RECORD_CLOSE, 0, 0);
    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, 0, 8);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));

    for (n = 0; n < 3; n++) {
        rp.applied = from;
        rp.seen = from;
        rp.events = from;

        assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                         NGX_OK);

        assert_int_equal(rp.disconnect, 2);
        assert_int_equal(rp.refs.len, sizeof(uint64_t));
        assert_int_equal(*(uint64_t *) rp.refs.data, emit->off);
        assert_int_equal(t_replay_mask(t, 0), 5);
    }

    assert_int_equal(ngx_sio_session_disconnect(&t->z, t->session[0],
                                                t->owner[0]),
                     NGX_OK);

    /* no socket: nothing but what is for the session */

    made = &t->records[t->n++];
    ngx_memzero(made, sizeof(t_replay_record_t));
    made->type = SIO_RECORD_SESSION;
    made->flags = SIO_RECORD_CONNECTED;
    t_replay_append(t, made);

    rp.applied = 0;
    rp.events = 0;

    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_OK);
    assert_int_equal(rp.disconnect, 0);
    assert_int_equal(rp.refs.len, sizeof(uint64_t));
    assert_int_equal(*(uint64_t *) rp.refs.data, made->off);
    assert_int_equal(t_replay_mask(t, 0), 0);

    t->first[0] = 2;
    t_replay_connect(t, 0, made->off, 1);

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, 0, 16);
    (void) t_replay_put(t, SIO_RECORD_EMIT, 0, 16, 0);

    t_replay_to(t, 0, ngx_sio_log_head(&t->z), from, from, made->off);
    assert_int_equal(t->model.disconnect, 0);
    assert_int_equal(t->model.nrefs, 2);
    assert_int_equal(t->model.mask, 18);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


/*
 * Commands whose rooms are forgotten have been done: the room that was left
 * through another one is not joined again.
 */

static void
t_replay_floor(void **state)
{
    uint64_t      birth;
    ngx_uint_t    n, room;
    t_replay_t   *t;

    t = &t_replay;

    t_replay_socket(t);
    birth = t->birth[0];

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, t_replay_sid(0), 2);
    (void) t_replay_put(t, SIO_RECORD_LEAVE, 0, 1, 2);
    (void) t_replay_put(t, SIO_RECORD_LEAVE, 0, t_replay_sid(0), 1);

    for (n = 0; n < NGX_SIO_ENDED; n++) {
        room = (uint64_t) 1 << (2 + n % 8);
        (void) t_replay_put(t, SIO_RECORD_JOIN, 0, t_replay_sid(0), room);
        (void) t_replay_put(t, SIO_RECORD_LEAVE, 0, t_replay_sid(0), room);
    }

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, t_replay_sid(0), 4);

    for (n = 0; n < 3; n++) {
        t_replay_to(t, 0, ngx_sio_log_head(&t->z), birth, birth, birth);
        assert_int_equal(t_replay_mask(t, 0), 4);
    }

    assert_true(t->z.sessions[t->session[0]].flags & NGX_SIO_FLOOR);
    assert_int_equal(t_replay_recover(t, birth), NGX_DECLINED);

    t_replay_end(t);
}


/* One that is parked is no session of a transport. */

static void
t_replay_parked(void **state)
{
    t_replay_t         *t;
    ngx_sio_replay_t    rp;
    t_replay_record_t  *r;

    t = &t_replay;

    t_replay_socket(t);

    r = &t->records[t->n++];
    ngx_memzero(r, sizeof(t_replay_record_t));
    r->type = SIO_RECORD_SESSION;
    r->parts = 1;
    t_replay_append(t, r);

    r = t_replay_put(t, SIO_RECORD_EMIT, 0, t_replay_sid(0), 0);

    assert_int_equal(ngx_sio_session_park(&t->z, t->session[0], t->owner[0],
                                          t->birth[0], 1),
                     NGX_OK);

    assert_int_equal(ngx_sio_zone_lock(&t->z), NGX_OK);
    assert_int_equal(ngx_sio_session_claim_locked(&t->z, t->session[0],
                                                  T_REPLAY_SLOT,
                                                  &t->owner[0]),
                     NGX_OK);
    ngx_sio_zone_unlock(&t->z);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
    rp.applied = t->birth[0];
    rp.events = t->birth[0];

    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_OK);
    assert_int_equal(rp.refs.len, sizeof(uint64_t));
    assert_int_equal(*(uint64_t *) rp.refs.data, r->off);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


/* A name with the hash of another one is another name. */

static void
t_replay_hashes(void **state)
{
    uint64_t           *hash;
    sio_buf_t           b;
    sio_str_t           name;
    ngx_uint_t          n;
    t_replay_t         *t;
    sio_message_t       m;
    ngx_sio_append_t    a;

    t = &t_replay;
    t_replay_socket(t);

    for (n = 0; n < 3; n++) {
        ngx_memzero(&b, sizeof(sio_buf_t));
        ngx_memzero(&m, sizeof(sio_message_t));
        ngx_memzero(&a, sizeof(ngx_sio_append_t));

        name.data = (u_char *) "12345678901234567890";
        name.len = NGX_SIO_SID_LEN;

        m.type = (n == 2) ? SIO_RECORD_SESSION : SIO_RECORD_EMIT;
        m.flags = (n == 2) ? SIO_RECORD_CONNECTED : 0;
        m.rooms = 1;
        m.names = &name;

        assert_int_equal(sio_record_encode(&b, &m, t->z.sh->seed, 4096),
                         SIO_OK);

        hash = (uint64_t *) (b.data + sizeof(sio_record_t));
        *hash = (n == 0) ? t->rooms[0].hash
                         : sio_hash(t->z.sh->seed,
                                    (n == 1)
                                    ? t->z.sessions[t->session[0]].sid
                                    : t->z.sessions[t->session[0]].eio_sid,
                                    NGX_SIO_SID_LEN);

        a.data = b.data;
        a.len = b.len;

        assert_int_equal(ngx_sio_log_append(&t->z, &a), NGX_OK);
        sio_buf_free(&b);
    }

    t->n = 0;
    t_replay_to(t, 0, ngx_sio_log_head(&t->z), t->birth[0], t->birth[0],
                t->birth[0]);
    assert_int_equal(t->model.nrefs, 0);

    t_replay_end(t);
}


/* Thousands of rooms, joined and left one by one. */

static void
t_replay_many(t_replay_t *t, ngx_uint_t recoverable)
{
    char               text[32];
    uint64_t           off;
    sio_buf_t          b;
    sio_str_t          names[2];
    ngx_uint_t         n;
    sio_message_t      m;
    ngx_sio_append_t   a;
    ngx_sio_replay_t   rp;

    t_replay_begin(t, 3000);
    t_replay_open(t, 0);

    off = ngx_sio_log_head(&t->z);
    t_replay_connect(t, 0, off, recoverable);

    ngx_memzero(&b, sizeof(sio_buf_t));

    for (n = 0; n < 3300; n++) {
        ngx_memzero(&m, sizeof(sio_message_t));

        m.type = (n < 1500) ? SIO_RECORD_JOIN
                            : (n < 3000) ? SIO_RECORD_LEAVE : SIO_RECORD_EMIT;
        m.rooms = 1;
        m.args = (n < 3000);
        m.names = (n < 3000) ? names : &names[1];

        names[0].data = t->rooms[T_REPLAY_ROOMS].name.data;
        names[0].len = NGX_SIO_SID_LEN;
        names[1].data = (u_char *) text;

        /* each third one stays */

        names[1].len = sprintf(text, "room %u",
                               (unsigned) (n % 1500 - (n >= 1500 && n < 3000
                                                       && n % 3 == 0)));

        b.len = 0;
        assert_int_equal(sio_record_encode(&b, &m, t->z.sh->seed, 4096),
                         SIO_OK);

        ngx_memzero(&a, sizeof(ngx_sio_append_t));
        a.data = b.data;
        a.len = b.len;
        assert_int_equal(ngx_sio_log_append(&t->z, &a), NGX_OK);
    }

    sio_buf_free(&b);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
    rp.applied = off;
    rp.seen = off;
    rp.events = off;

    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_OK);
    assert_int_equal(rp.refs.len, 100 * sizeof(uint64_t));
    assert_int_equal(t->z.sh->live_members, 500);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


static void
t_replay_rooms(void **state)
{
    t_replay_many(&t_replay, 0);
    t_replay_many(&t_replay, 1);
}


/* Every record begins at a valid offset, and nothing else does. */

static void
t_replay_offsets(void **state)
{
    uint64_t       off, at, head;
    ngx_uint_t     lap;
    t_replay_t    *t;
    sio_record_t   rec;

    t = &t_replay;
    t_replay_begin(t, 4000);

    at = ngx_sio_log_head(&t->z);
    assert_true(ngx_sio_replay_valid(&t->z, at));
    assert_false(ngx_sio_replay_valid(&t->z, 0));

    for (lap = 0; lap < 3; lap++) {

        while (ngx_sio_log_head(&t->z) < at + T_REPLAY_LOG / 5 * 4) {
            t->n = 0;
            t_replay_fill(t, 1, 0);
        }

        at = ngx_sio_log_tail(&t->z);
        head = ngx_sio_log_head(&t->z);

        assert_false(ngx_sio_replay_valid(&t->z, at - 64));
        assert_false(ngx_sio_replay_valid(&t->z, head + 64));
        assert_false(ngx_sio_replay_valid(&t->z, (uint64_t) -64));
        assert_false(ngx_sio_replay_valid(&t->z, at + 1));
        assert_true(ngx_sio_replay_valid(&t->z, head));

        for (off = at; off < head; off += SIO_RECORD_ALIGN) {

            if (off < at) {
                assert_false(ngx_sio_replay_valid(&t->z, off));
                continue;
            }

            assert_true(ngx_sio_replay_valid(&t->z, off));

            assert_int_equal(ngx_sio_log_copy(&t->z, off, 0, (u_char *) &rec,
                                              sizeof(sio_record_t)),
                             NGX_OK);
            at = off + rec.size;
        }

        at = head;
    }

    t_replay_end(t);
}


/* A header that somebody has sent as the payload of an event is no record. */

static void
t_replay_forged(void **state)
{
    u_char            *p;
    uint64_t           off;
    sio_buf_t          b;
    sio_str_t          part;
    t_replay_t        *t;
    sio_record_t       rec;
    sio_message_t      m;
    static u_char      payload[1024];
    ngx_sio_append_t   a;

    t = &t_replay;
    t_replay_socket(t);

    ngx_memzero(&b, sizeof(sio_buf_t));
    ngx_memzero(&m, sizeof(sio_message_t));
    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    m.type = SIO_RECORD_EMIT;
    m.parts = 1;
    m.part = &part;
    part.data = payload;
    part.len = sizeof(payload);

    off = ngx_sio_log_head(&t->z) + 256;

    ngx_memzero(&rec, sizeof(sio_record_t));
    rec.offset = off;
    rec.size = 128;
    rec.type = SIO_RECORD_EMIT;
    rec.parts = 1;
    rec.parts_len = 32;

    assert_int_equal(sio_record_encode(&b, &m, t->z.sh->seed, 4096), SIO_OK);

    p = b.data + 256;
    ngx_memcpy(p, &rec, sizeof(sio_record_t));

    a.data = b.data;
    a.len = b.len;
    assert_int_equal(ngx_sio_log_append(&t->z, &a), NGX_OK);
    assert_int_equal(a.first + 256, off);

    assert_int_equal(ngx_sio_log_next(&t->z, &off, &rec), NGX_OK);
    assert_true(sio_record_sane(&rec, ngx_sio_log_max_record(&t->z)));

    assert_false(ngx_sio_replay_valid(&t->z, off));
    assert_true(ngx_sio_replay_valid(&t->z, a.first));

    sio_buf_free(&b);
    t_replay_end(t);
}


/* What does not belong to the caller, or is gone, is declined. */

static void
t_replay_declined(void **state)
{
    uint64_t          birth, owner;
    t_replay_t       *t;
    ngx_sio_replay_t  rp;

    t = &t_replay;
    t_replay_socket(t);
    birth = t->birth[0];
    owner = t->owner[0];

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, 0, 2);

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
    rp.applied = birth;
    rp.seen = birth;
    rp.events = birth;

    t->owner[0] = owner + 1;
    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_DECLINED);
    assert_int_equal(t_replay_mask(t, 0), 1);

    t->owner[0] = owner;
    t->z.epoch++;
    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_DECLINED);
    t->z.epoch--;

    while (ngx_sio_log_tail(&t->z) <= birth) {
        t->n = 0;
        t_replay_fill(t, 1, 0);
    }

    assert_int_equal(t_replay_run(t, 0, &rp, ngx_sio_log_head(&t->z)),
                     NGX_DECLINED);

    rp.session = 0;
    assert_int_equal(ngx_sio_replay_run(&t->z, birth, &rp), NGX_DECLINED);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


/* A room that the zone has no place for is an error. */

static void
t_replay_full(void **state)
{
    uint32_t     s;
    t_replay_t  *t;

    t = &t_replay;
    t_replay_socket(t);

    (void) t_replay_put(t, SIO_RECORD_JOIN, 0, t_replay_sid(0), 2);

    s = t->z.sh->nrooms;
    t->z.sh->nrooms = t->z.sh->top_room;

    assert_int_equal(t_replay_recover(t, t->birth[0]), NGX_ERROR);

    t->z.sh->nrooms = s;

    assert_int_equal(t_replay_recover(t, t->birth[0]), NGX_OK);
    assert_int_equal(t_replay_mask(t, 0), 3);

    t_replay_end(t);
}


/*
 * The child dies at one of its steps in the midst of a replay; whoever comes
 * then replays once more.
 */

static ngx_uint_t
t_replay_killed_at(t_replay_t *t, uint64_t seed, ngx_uint_t step)
{
    pid_t             pid;
    uint64_t          birth, cursor;
    ngx_uint_t        killed;
    ngx_sio_replay_t  rp;

    t_replay_begin(t, seed);
    t_replay_fill(t, 200, 0);

    birth = t_replay_at(t, 0);
    cursor = t_replay_at(t, 160);

    t->first[0] = 0x3;
    t_replay_open(t, 0);
    t_replay_connect(t, 0, birth, 1);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);

        ngx_memzero(&rp, sizeof(ngx_sio_replay_t));
        rp.applied = birth;
        rp.seen = birth;
        rp.events = birth;

        t_store_must(t_replay_run(t, 0, &rp, cursor) == NGX_OK);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_replay_to(t, 0, cursor, birth, birth, birth);
    t_replay_to(t, 0, t_replay_at(t, t->n), birth, birth, birth);

    t_replay_end(t);

    return killed;
}


static void
t_replay_killed(void **state)
{
    uint64_t    seed;
    ngx_uint_t  step;

    for (seed = 5000; seed < 5003; seed++) {
        for (step = 1; t_replay_killed_at(&t_replay, seed, step); step++) {
            /* void */
        }

        assert_true(step > 30);
    }
}


/* While the log goes on, a replay declines or is right. */

static void
t_replay_racing(void **state)
{
    pid_t              pid;
    uint64_t           off, hash, *ref, head;
    ngx_int_t          rc;
    ngx_uint_t         i, n, ok;
    t_replay_t        *t;
    sio_record_t       rec;
    ngx_sio_replay_t   rp;

    t = &t_replay;
    t_replay_socket(t);

    pid = t_store_fork();

    if (pid == 0) {
        for (n = 0; /* void */ ; n++) {
            t->n = 0;
            (void) t_replay_put(t, SIO_RECORD_EMIT, 0,
                                (uint64_t) 1 << n % 4, 0);
        }
    }

    while (ngx_sio_log_tail(&t->z) == T_REPLAY_LOG) { /* void */ }

    ok = 0;
    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));

    for (n = 0; n < 2000; n++) {

        off = ngx_sio_log_tail(&t->z);
        head = ngx_sio_log_head(&t->z);

        /* to be overtaken soon, or not so soon */

        for (i = n % 20 * 40; i > 0; i--) {
            if (ngx_sio_log_next(&t->z, &off, &rec) != NGX_OK) {
                break;
            }

            off += rec.size;
        }

        if (i) {
            continue;
        }

        rp.applied = off;
        rp.seen = off;
        rp.events = off;

        rc = t_replay_run(t, 0, &rp, head);

        if (rc != NGX_OK) {
            assert_int_equal(rc, NGX_DECLINED);
            assert_true(ngx_sio_log_tail(&t->z) > off);
            continue;
        }

        ref = (uint64_t *) rp.refs.data;

        for (i = 0; i < rp.refs.len / sizeof(uint64_t); i++) {
            assert_true(ref[i] >= off && ref[i] < head);
            assert_true(i == 0 || ref[i] > ref[i - 1]);

            if (ngx_sio_log_copy(&t->z, ref[i], sizeof(sio_record_t),
                                 (u_char *) &hash, sizeof(uint64_t))
                == NGX_OK)
            {
                assert_true(hash == t->rooms[0].hash);
            }

            if (i % 64 == 0) {
                assert_true(ngx_sio_replay_valid(&t->z, ref[i])
                            || ngx_sio_log_tail(&t->z) > ref[i]);
            }
        }

        ok++;
    }

    assert_true(ok > 0);

    (void) kill(pid, SIGKILL);
    (void) t_store_wait(pid);

    sio_buf_free(&rp.refs);
    t_replay_end(t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_replay_randomly),
        cmocka_unit_test(t_replay_pieces),
        cmocka_unit_test(t_replay_long),
        cmocka_unit_test(t_replay_recovery),
        cmocka_unit_test(t_replay_reborn),
        cmocka_unit_test(t_replay_floor),
        cmocka_unit_test(t_replay_parked),
        cmocka_unit_test(t_replay_hashes),
        cmocka_unit_test(t_replay_rooms),
        cmocka_unit_test(t_replay_offsets),
        cmocka_unit_test(t_replay_forged),
        cmocka_unit_test(t_replay_declined),
        cmocka_unit_test(t_replay_full),
        cmocka_unit_test(t_replay_killed),
        cmocka_unit_test(t_replay_racing)
    };

    return cmocka_run_group_tests_name("store: replay", tests, NULL, NULL);
}
