
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_replay.h"
#include "ngx_sio_log.h"
#include "ngx_sio_replay_rooms.h"


/* Records that a walk stops at. */

typedef enum {
    NGX_SIO_REPLAY_ALL = 0,
    NGX_SIO_REPLAY_OWN,                  /* those for the session itself */
    NGX_SIO_REPLAY_REST
} ngx_sio_replay_what_e;


typedef struct {
    ngx_sio_zone_t          *zone;
    ngx_sio_replay_t        *replay;
    ngx_sio_replay_rooms_t   rooms;

    uint64_t                 start;      /* the walk begins here */
    uint64_t                 cursor;     /*   and ends here */
    uint64_t                 stop;       /*   or at what is beyond the limit */
    ngx_sio_replay_what_e    what;
    uint64_t                 commands;   /* they count from here on */
    size_t                   room;       /* left of the limit */
    uint64_t                 eio_hash;
    uint64_t                 sid_hash;
    u_char                   eio_sid[NGX_SIO_SID_LEN];
    u_char                   sid[NGX_SIO_SID_LEN];
    ngx_uint_t               socket;     /* events and commands count */
    ngx_uint_t               listens;    /* it is told who is online, but of */
    uint64_t                 user_hash;  /*   its own user */
    ngx_uint_t               replies;    /* references to CONNECTED records */
    ngx_uint_t               refresh;    /* a REFRESH was met */

    sio_buf_t                image;      /* tables and names of a record */
    uint64_t                 loaded;     /*   which is this one, 0: none */
    uint64_t                 hashes[SIO_RECORD_NAMES];
} ngx_sio_replay_walk_t;


static ngx_int_t ngx_sio_replay_begin(ngx_sio_replay_walk_t *w);
static ngx_int_t ngx_sio_replay_read_locked(ngx_sio_replay_walk_t *w);
static ngx_int_t ngx_sio_replay_own_first(ngx_sio_replay_walk_t *w);
static ngx_int_t ngx_sio_replay_walk(ngx_sio_replay_walk_t *w);
static ngx_int_t ngx_sio_replay_log(ngx_sio_replay_walk_t *w);
static ngx_int_t ngx_sio_replay_record(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_replay_emit(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_replay_presence(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_replay_command(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_replay_refresh(ngx_sio_replay_walk_t *w);
static ngx_int_t ngx_sio_replay_change(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_replay_session(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_replay_push(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec);
static void ngx_sio_replay_first(ngx_sio_replay_walk_t *w, uint64_t off);
static ngx_int_t ngx_sio_replay_addressed(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_replay_in(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec, unsigned from, unsigned to);
static ngx_int_t ngx_sio_replay_hashes(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec, unsigned n);
static sio_record_t *ngx_sio_replay_load(ngx_sio_replay_walk_t *w,
    const sio_record_t *rec);
static ngx_uint_t ngx_sio_replay_is(const sio_str_t *name, const u_char *sid);
static ngx_uint_t ngx_sio_replay_reach(ngx_sio_zone_t *z, uint64_t at,
    uint64_t off);


ngx_int_t
ngx_sio_replay_run(ngx_sio_zone_t *z, uint64_t cursor, ngx_sio_replay_t *rp)
{
    ngx_int_t              rc;
    ngx_sio_replay_walk_t  w;

    rp->refs.len = 0;
    rp->touched.len = 0;
    rp->left = cursor;
    rp->met = cursor;
    rp->ready = 0;
    rp->disconnect = 0;
    rp->close = 0;
    rp->reason = 0;
    rp->release = 0;

    if (rp->session == 0 || rp->session > z->sh->nsessions) {
        return NGX_DECLINED;
    }

    ngx_memzero(&w, offsetof(ngx_sio_replay_walk_t, hashes));

    w.zone = z;
    w.replay = rp;
    w.cursor = cursor;
    w.room = rp->limit ? rp->limit : (size_t) -1;
    w.rooms.zone = z;
    w.rooms.session = rp->session;
    w.rooms.owner = rp->owner;

    rc = ngx_sio_replay_begin(&w);

    if (rc == NGX_OK) {
        rc = (rp->limit && rp->ready > rp->seen && w.eio_sid[0])
             ? ngx_sio_replay_own_first(&w)
             : ngx_sio_replay_walk(&w);
    }

    if (rc == NGX_OK) {
        rc = ngx_sio_replay_rooms_mine(&w.rooms);
    }

    if (rp->limit) {
        rp->limit = w.room;
    }

    sio_buf_free(&w.rooms.table);
    sio_buf_free(&w.image);

    return rc;
}


/*
 * The session is read with the zone lock held, because another worker may make
 * it a socket meanwhile.
 */

static ngx_int_t
ngx_sio_replay_begin(ngx_sio_replay_walk_t *w)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_lock(w->zone) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_sio_replay_rooms_mine(&w->rooms);

    if (rc == NGX_OK) {
        rc = ngx_sio_replay_read_locked(w);
    }

    ngx_sio_zone_unlock(w->zone);

    return rc;
}


static ngx_int_t
ngx_sio_replay_read_locked(ngx_sio_replay_walk_t *w)
{
    uint64_t               seed, told;
    ngx_sio_replay_t      *rp;
    ngx_sio_session_sh_t  *ss;

    rp = w->replay;
    ss = &w->zone->sessions[rp->session];
    seed = w->zone->sh->seed;

    ngx_memcpy(w->eio_sid, ss->eio_sid, NGX_SIO_SID_LEN);
    ngx_memcpy(w->sid, ss->sid, NGX_SIO_SID_LEN);

    w->eio_hash = sio_hash(seed, w->eio_sid, NGX_SIO_SID_LEN);
    w->sid_hash = sio_hash(seed, w->sid, NGX_SIO_SID_LEN);
    w->rooms.nsp = ss->nsp;

    /* a socket gets nothing before the record that tells it */

    told = ngx_sio_session_told(ss, w->cursor);

    w->socket = (ss->sid[0] != 0 && told <= w->cursor);
    rp->socket = w->socket;
    rp->ready = w->socket ? told : 0;

    w->start = ss->eio_sid[0] ? rp->seen : (uint64_t) -1;

    if (!w->socket) {
        return NGX_OK;
    }

    if (ss->user && !rp->recover && !(ss->flags & NGX_SIO_LISTING)) {
        w->listens = 1;
        w->user_hash = w->zone->users[ss->user].hash;
    }

    ngx_sio_session_floor_locked(w->zone, ss);

    if (rp->recover
        && (ss->flags & NGX_SIO_FLOOR)
        && rp->events < ss->base_from)
    {
        return NGX_DECLINED;
    }

    /* a membership that was forgotten had ended at the base, or before */

    w->commands = ngx_max(rp->applied, ss->last);
    w->commands = ngx_max(w->commands, ss->base_from);

    w->start = ngx_min(w->start, rp->applied);
    w->start = ngx_min(w->start, rp->events);

    return ngx_sio_replay_rooms_read_locked(&w->rooms);
}


/*
 * What a socket has missed may be more than the limit, and older than the reply
 * to its CONNECT.
 */

static ngx_int_t
ngx_sio_replay_own_first(ngx_sio_replay_walk_t *w)
{
    ngx_int_t          rc;
    ngx_sio_replay_t  *rp;

    rp = w->replay;

    w->what = NGX_SIO_REPLAY_OWN;
    w->start = rp->seen;

    rc = ngx_sio_replay_log(w);

    if (rc == NGX_AGAIN) {
        /* there is no room for anything else */
        rp->met = w->stop;
        rp->left = rp->applied;
        return NGX_OK;
    }

    w->what = NGX_SIO_REPLAY_REST;
    w->start = ngx_min(rp->applied, rp->events);

    if (rc == NGX_DONE) {
        /* it is to be closed, when all that is older has been sent */
        w->cursor = w->stop;
        rc = NGX_OK;
    }

    if (rc == NGX_OK) {
        rc = ngx_sio_replay_walk(w);
    }

    if (rc == NGX_OK && rp->left < w->cursor && rp->close) {
        rp->met = w->cursor;
        rp->close = 0;
    }

    return rc;
}


static ngx_int_t
ngx_sio_replay_walk(ngx_sio_replay_walk_t *w)
{
    ngx_int_t  rc;

    rc = ngx_sio_replay_log(w);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    w->replay->left = w->stop;

    if (w->what == NGX_SIO_REPLAY_ALL && w->eio_sid[0]) {
        /* it may have been ahead of the events */
        w->replay->met = ngx_max(w->stop, w->replay->seen);
    }

    return NGX_OK;
}


/*
 * NGX_OK; NGX_AGAIN at what is beyond the limit; NGX_DONE at a record of the
 * session's own that ends it, if only those are looked for.
 */

static ngx_int_t
ngx_sio_replay_log(ngx_sio_replay_walk_t *w)
{
    uint64_t      off;
    ngx_int_t     rc;
    sio_record_t  rec;

    off = w->start;

    while (off < w->cursor) {

        rc = ngx_sio_log_next(w->zone, &off, &rec);

        if (off >= w->cursor) {
            break;
        }

        if (rc != NGX_OK) {
            return NGX_DECLINED;
        }

        w->stop = off;

        rc = ngx_sio_replay_record(w, &rec);

        if (rc != NGX_OK) {
            return rc;
        }

        if (w->what == NGX_SIO_REPLAY_OWN && w->replay->close) {
            return NGX_DONE;
        }

        off += rec.size;
    }

    return NGX_OK;
}


/* NGX_AGAIN if the record is beyond the limit: nothing is done for it. */

static ngx_int_t
ngx_sio_replay_record(ngx_sio_replay_walk_t *w, const sio_record_t *rec)
{
    if (w->what != NGX_SIO_REPLAY_ALL
        && (rec->type == SIO_RECORD_SESSION)
           != (w->what == NGX_SIO_REPLAY_OWN))
    {
        return NGX_OK;
    }

    switch (rec->type) {

    case SIO_RECORD_EMIT:

        if (!w->socket
            || rec->nsp != w->rooms.nsp
            || rec->offset < w->replay->events
            || (rec->flags & SIO_RECORD_VOLATILE)
            || (w->replay->recover && (rec->flags & SIO_RECORD_BARE)))
        {
            return NGX_OK;
        }

        if (rec->flags & SIO_RECORD_PRESENCE) {
            return ngx_sio_replay_presence(w, rec);
        }

        return ngx_sio_replay_emit(w, rec);

    case SIO_RECORD_JOIN:
    case SIO_RECORD_LEAVE:
    case SIO_RECORD_DISCONNECT:
    case SIO_RECORD_REFRESH:

        if (!w->socket
            || rec->nsp != w->rooms.nsp
            || rec->offset < w->commands)
        {
            return NGX_OK;
        }

        return ngx_sio_replay_command(w, rec);

    case SIO_RECORD_FEED:

        if (w->replay->recover
            && (rec->flags & SIO_RECORD_GAP)
            && rec->offset >= w->replay->events)
        {
            return NGX_DECLINED;
        }

        return NGX_OK;

    case SIO_RECORD_SESSION:

        if (w->eio_sid[0] == 0
            || rec->rooms == 0
            || rec->offset < w->replay->seen)
        {
            return NGX_OK;
        }

        return ngx_sio_replay_session(w, rec);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_sio_replay_emit(ngx_sio_replay_walk_t *w, const sio_record_t *rec)
{
    ngx_int_t  rc;

    rc = ngx_sio_replay_addressed(w, rec);

    if (rc == NGX_OK) {
        return ngx_sio_replay_push(w, rec);
    }

    return (rc == NGX_DONE) ? NGX_OK : rc;
}


/* The list that a client is yet to get says all this. */

static ngx_int_t
ngx_sio_replay_presence(ngx_sio_replay_walk_t *w, const sio_record_t *rec)
{
    if (!w->listens || rec->args != 1) {
        return NGX_OK;
    }

    if (ngx_sio_replay_hashes(w, rec, 1) != NGX_OK) {
        return NGX_DECLINED;
    }

    return (w->hashes[0] == w->user_hash) ? NGX_OK
                                          : ngx_sio_replay_push(w, rec);
}


static ngx_int_t
ngx_sio_replay_command(ngx_sio_replay_walk_t *w, const sio_record_t *rec)
{
    ngx_int_t  rc;

    rc = ngx_sio_replay_addressed(w, rec);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_OK : rc;
    }

    if (rec->type == SIO_RECORD_REFRESH) {
        return ngx_sio_replay_refresh(w);
    }

    if (rec->type != SIO_RECORD_DISCONNECT) {
        return ngx_sio_replay_change(w, rec);
    }

    if (w->replay->recover) {
        return NGX_DECLINED;
    }

    if (rec->flags & SIO_RECORD_CLOSE) {
        w->replay->disconnect = 2;

    } else if (rec->flags & SIO_RECORD_QUIET) {
        w->replay->disconnect = 3;

    } else {
        w->replay->disconnect = 1;
    }

    w->socket = 0;

    return NGX_OK;
}


/* Whoever has the session then reads its room sets. */

static ngx_int_t
ngx_sio_replay_refresh(ngx_sio_replay_walk_t *w)
{
    ngx_int_t  rc;

    w->refresh = 1;
    w->replay->touched.len = 0;

    rc = ngx_sio_session_refresh(w->zone, w->replay->session,
                                 w->replay->owner, 1);

    return (rc == NGX_BUSY) ? NGX_ERROR : rc;
}


/* Does a JOIN or LEAVE. */

static ngx_int_t
ngx_sio_replay_change(ngx_sio_replay_walk_t *w, const sio_record_t *rec)
{
    uint64_t       hash, end;
    unsigned       i;
    ngx_int_t      rc;
    sio_str_t      name;
    sio_record_t  *image;

    image = ngx_sio_replay_load(w, rec);
    if (image == NULL) {
        return NGX_DECLINED;
    }

    end = rec->offset + rec->size;

    for (i = rec->rooms + rec->except; i < sio_record_names(rec); i++) {

        hash = sio_record_hashes(image)[i];
        name = sio_record_name(image, i);

        if (w->refresh
            && sio_buf_append(&w->replay->touched, &hash, sizeof(uint64_t))
               != SIO_OK)
        {
            return NGX_ERROR;
        }

        if (rec->type == SIO_RECORD_JOIN) {
            rc = ngx_sio_replay_rooms_join(&w->rooms, hash, &name, end);

        } else {
            rc = ngx_sio_replay_rooms_leave(&w->rooms, hash, &name,
                                            rec->offset, end);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_replay_session(ngx_sio_replay_walk_t *w, const sio_record_t *rec)
{
    ngx_int_t          rc;
    sio_str_t          name;
    sio_record_t      *image;
    ngx_sio_replay_t  *rp;

    rp = w->replay;

    if (ngx_sio_replay_hashes(w, rec, 1) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (w->hashes[0] != w->eio_hash) {
        return NGX_OK;
    }

    image = ngx_sio_replay_load(w, rec);
    if (image == NULL) {
        return NGX_DECLINED;
    }

    name = sio_record_name(image, 0);

    if (!ngx_sio_replay_is(&name, w->eio_sid)) {
        return NGX_OK;
    }

    if ((rec->parts || (rec->flags & SIO_RECORD_CONNECTED))
        && (rc = ngx_sio_replay_push(w, rec)) != NGX_OK)
    {
        return rc;
    }

    if ((rec->flags & SIO_RECORD_RELEASE)
        && rec->arg == ngx_sio_session_tag(rp->session, rp->owner))
    {
        rp->release = 1;
    }

    /* the first one says why */

    if ((rec->flags & SIO_RECORD_CLOSE) && !rp->close) {
        rp->close = 1;
        rp->reason = rec->arg;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_replay_push(ngx_sio_replay_walk_t *w, const sio_record_t *rec)
{
    sio_buf_t  *refs;

    refs = &w->replay->refs;

    /* what ends the session must not be left behind */

    if (refs->len && rec->parts_len > w->room
        && !w->replay->disconnect && !w->replay->close)
    {
        return NGX_AGAIN;
    }

    w->room -= ngx_min(rec->parts_len, w->room);

    if (sio_buf_append(refs, &rec->offset, sizeof(uint64_t)) != SIO_OK) {
        return NGX_ERROR;
    }

    if (rec->type == SIO_RECORD_SESSION
        && (rec->flags & SIO_RECORD_CONNECTED))
    {
        ngx_sio_replay_first(w, rec->offset);
    }

    return NGX_OK;
}


/*
 * A client that is cut off behind events and before the reply to its CONNECT
 * would keep them, and get them again: so the reply comes first.
 */

static void
ngx_sio_replay_first(ngx_sio_replay_walk_t *w, uint64_t off)
{
    uint64_t    *refs;
    ngx_uint_t   n;

    refs = (uint64_t *) w->replay->refs.data;
    n = w->replay->refs.len / sizeof(uint64_t) - 1;

    ngx_memmove(&refs[w->replies + 1], &refs[w->replies],
                (n - w->replies) * sizeof(uint64_t));

    refs[w->replies++] = off;
}


/* NGX_OK if a record addresses the socket, NGX_DONE if not. */

static ngx_int_t
ngx_sio_replay_addressed(ngx_sio_replay_walk_t *w, const sio_record_t *rec)
{
    unsigned   n;
    ngx_int_t  rc;

    n = rec->rooms + rec->except;

    if (n == 0) {
        return NGX_OK;
    }

    if (ngx_sio_replay_hashes(w, rec, n) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (rec->rooms) {
        rc = ngx_sio_replay_in(w, rec, 0, rec->rooms);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_sio_replay_in(w, rec, rec->rooms, n);

    if (rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    return (rc == NGX_OK) ? NGX_DONE : NGX_OK;
}


/*
 * NGX_OK if the socket is, at a record's offset, in one of its rooms [from, to)
 * whose hashes are known; NGX_DONE if not.
 */

static ngx_int_t
ngx_sio_replay_in(ngx_sio_replay_walk_t *w, const sio_record_t *rec,
    unsigned from, unsigned to)
{
    uint64_t       hash;
    unsigned       i;
    sio_str_t      name;
    sio_record_t  *image;

    for (i = from; i < to; i++) {

        hash = w->hashes[i];

        if (hash != w->sid_hash
            && !ngx_sio_replay_rooms_know(&w->rooms, hash))
        {
            continue;
        }

        image = ngx_sio_replay_load(w, rec);
        if (image == NULL) {
            return NGX_DECLINED;
        }

        name = sio_record_name(image, i);

        if (ngx_sio_replay_is(&name, w->sid)
            || ngx_sio_replay_rooms_cover(&w->rooms, hash, &name,
                                          rec->offset))
        {
            return NGX_OK;
        }
    }

    return NGX_DONE;
}


/* The first n hashes of a record. */

static ngx_int_t
ngx_sio_replay_hashes(ngx_sio_replay_walk_t *w, const sio_record_t *rec,
    unsigned n)
{
    if (!sio_record_sane(rec, ngx_sio_log_max_record(w->zone))) {
        return NGX_DECLINED;
    }

    return ngx_sio_log_copy(w->zone, rec->offset, sizeof(sio_record_t),
                            (u_char *) w->hashes, n * sizeof(uint64_t));
}


/* Copies a record up to its parts; NULL if it was overrun. */

static sio_record_t *
ngx_sio_replay_load(ngx_sio_replay_walk_t *w, const sio_record_t *rec)
{
    size_t  len;

    if (w->loaded == rec->offset) {
        return (sio_record_t *) w->image.data;
    }

    w->loaded = 0;

    if (!sio_record_sane(rec, ngx_sio_log_max_record(w->zone))) {
        return NULL;
    }

    len = sio_record_parts_at(rec);

    if (sio_buf_reserve(&w->image, len) != SIO_OK
        || ngx_sio_log_copy(w->zone, rec->offset, 0, w->image.data, len)
           != NGX_OK)
    {
        return NULL;
    }

    w->loaded = rec->offset;

    return (sio_record_t *) w->image.data;
}


static ngx_uint_t
ngx_sio_replay_is(const sio_str_t *name, const u_char *sid)
{
    return name->len == NGX_SIO_SID_LEN
           && ngx_memcmp(name->data, sid, NGX_SIO_SID_LEN) == 0;
}


ngx_uint_t
ngx_sio_replay_valid(ngx_sio_zone_t *z, uint64_t off)
{
    uint64_t      tail, head;
    sio_record_t  rec;

    head = ngx_sio_log_head(z);

    if (off == head) {
        return 1;
    }

    if (off % SIO_RECORD_ALIGN != 0
        || off < ngx_sio_log_tail(z)
        || off > head)
    {
        return 0;
    }

    /* most that are wrong are found out here */

    if (ngx_sio_log_copy(z, off, 0, (u_char *) &rec, sizeof(sio_record_t))
        != NGX_OK
        || rec.offset != off
        || !sio_record_sane(&rec, z->log_size))
    {
        return 0;
    }

    for ( ;; ) {
        tail = ngx_sio_log_tail(z);

        if (ngx_sio_replay_reach(z, tail, off)) {
            return 1;
        }

        /* the walk may have been overtaken */

        if (ngx_sio_log_tail(z) == tail) {
            return 0;
        }
    }
}


/* True if a walk that begins at one offset comes to another. */

static ngx_uint_t
ngx_sio_replay_reach(ngx_sio_zone_t *z, uint64_t at, uint64_t off)
{
    ngx_int_t     rc;
    sio_record_t  rec;

    while (at < off) {

        rc = ngx_sio_log_next(z, &at, &rec);

        if (at >= off) {
            break;
        }

        if (rc != NGX_OK) {
            return 0;
        }

        at += rec.size;
    }

    return at == off;
}
