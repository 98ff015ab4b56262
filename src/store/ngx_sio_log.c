
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_log.h"
#include "ngx_sio_worker.h"


/*
 * The tail moves in steps of this part of the log, not with each record, so
 * that readers mostly find its cache line unchanged.
 */

#define NGX_SIO_LOG_STEP  128


static ngx_int_t ngx_sio_log_check(ngx_sio_zone_t *z, ngx_sio_append_t *a);
static ngx_int_t ngx_sio_log_append_locked(ngx_sio_zone_t *z,
    ngx_sio_append_t *a);
static size_t ngx_sio_log_split(ngx_sio_append_t *a, size_t room);
static ngx_int_t ngx_sio_log_room(ngx_sio_zone_t *z, uint64_t head);
static void ngx_sio_log_evict(ngx_sio_zone_t *z, uint64_t head);
static void ngx_sio_log_pad(ngx_sio_zone_t *z, uint64_t off, size_t size,
    uint64_t now);
static void ngx_sio_log_write(ngx_sio_zone_t *z, ngx_sio_append_t *a,
    uint64_t off, size_t at, size_t len, uint64_t now);
static void ngx_sio_log_feed(ngx_sio_zone_sh_t *sh, ngx_sio_feed_sh_t *feed,
    uint64_t head);
static u_char *ngx_sio_log_place(ngx_sio_zone_t *z, uint64_t off);
static ngx_uint_t ngx_sio_log_overrun(ngx_sio_zone_t *z, uint64_t off);
static ngx_uint_t ngx_sio_log_written(ngx_sio_zone_t *z, uint64_t off);


ngx_int_t
ngx_sio_log_append(ngx_sio_zone_t *z, ngx_sio_append_t *a)
{
    ngx_int_t  rc;

    if (ngx_sio_log_check(z, a) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_sio_refused(STORE)) {
        return NGX_AGAIN;
    }

    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = ngx_sio_log_append_locked(z, a);

    ngx_sio_zone_log_unlock(z);

    return rc;
}


/* The images may come in any alignment, therefore no casts. */

static ngx_inline size_t
ngx_sio_log_image_size(const u_char *image)
{
    uint32_t  size;

    ngx_memcpy(&size, image + offsetof(sio_record_t, size), sizeof(uint32_t));

    return size;
}


static ngx_int_t
ngx_sio_log_check(ngx_sio_zone_t *z, ngx_sio_append_t *a)
{
    size_t  at, size;

    if (a->len == 0 || a->len > ngx_sio_log_max_record(z)) {
        return NGX_ERROR;
    }

    for (at = 0; at < a->len; at += size) {

        if (a->len - at < sizeof(sio_record_t)) {
            return NGX_ERROR;
        }

        size = ngx_sio_log_image_size(a->data + at);

        if (size == 0
            || size % SIO_RECORD_ALIGN != 0
            || size > a->len - at)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_log_append_locked(ngx_sio_zone_t *z, ngx_sio_append_t *a)
{
    size_t              room, first, pad;
    uint64_t            off, head, now;
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;

    if (a->lease && (sh->lease.epoch != a->lease || sh->lease.slot == 0)) {
        return NGX_DECLINED;
    }

    off = sh->head;
    room = z->log_size - (ngx_sio_log_place(z, off) - z->log);

    first = ngx_sio_log_split(a, room);
    pad = (first < a->len) ? room - first : 0;
    head = off + a->len + pad;

    if (ngx_sio_log_room(z, head) != NGX_OK) {
        return NGX_AGAIN;
    }

    ngx_sio_log_evict(z, head);

    now = ngx_sio_zone_now();
    a->first = off;

    if (first) {
        ngx_sio_log_write(z, a, off, 0, first, now);
    }

    if (first < a->len) {

        if (pad) {
            ngx_sio_log_pad(z, off + first, pad, now);
        }

        off += first + pad;

        if (first == 0) {
            a->first = off;
        }

        ngx_sio_log_write(z, a, off, first, a->len - first, now);
    }

    if (a->lease && a->feed) {
        ngx_sio_log_feed(sh, a->feed, head);
    }

    ngx_sio_step();

    ngx_sio_store(&sh->head, head);

    ngx_sio_step();

    return NGX_OK;
}


/* How many bytes of the batch, in whole records, fit in front of the end. */

static size_t
ngx_sio_log_split(ngx_sio_append_t *a, size_t room)
{
    size_t  at, size;

    if (a->len <= room) {
        return a->len;
    }

    for (at = 0; at < a->len; at += size) {

        size = ngx_sio_log_image_size(a->data + at);

        if (size > room - at) {
            break;
        }
    }

    return at;
}


/*
 * Flow control: three quarters of the log at most may be unread by anybody who
 * counts.  Cursors do not go back and newcomers begin at the head, so the
 * least cursor of the last look is a lower bound, good until it stands in the
 * way.
 */

static ngx_int_t
ngx_sio_log_room(ngx_sio_zone_t *z, uint64_t head)
{
    uint64_t              limit, cursor, least;
    ngx_uint_t            slot, top;
    ngx_sio_zone_sh_t    *sh;
    ngx_sio_worker_sh_t  *w;

    sh = z->sh;
    limit = z->log_size / 4 * 3;

    if (head - sh->floor <= limit) {
        return NGX_OK;
    }

    least = sh->head;
    top = ngx_sio_load(&sh->top_worker);

    for (slot = 1; slot <= top; slot++) {

        w = &sh->workers[slot - 1];

        if (ngx_sio_load(&w->state) != NGX_SIO_WORKER_LIVE) {
            continue;
        }

        cursor = ngx_sio_load(&w->cursor);

        if (cursor >= least) {
            continue;
        }

        if (head - cursor > limit && !ngx_sio_worker_alive(z, slot)) {
            continue;
        }

        least = cursor;
    }

    sh->floor = least;

    return (head - least <= limit) ? NGX_OK : NGX_AGAIN;
}


/*
 * Moves the tail to a record that stays whole when the head goes to the given
 * offset.  The release fence keeps the bytes that follow behind the tail: a
 * reader who met one of them and then fences, meets this tail, too.
 */

static void
ngx_sio_log_evict(ngx_sio_zone_t *z, uint64_t head)
{
    uint64_t            tail, target;
    sio_record_t       *rec;
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;
    tail = sh->tail;

    if (head - tail <= z->log_size) {
        return;
    }

    target = head - z->log_size + z->log_size / NGX_SIO_LOG_STEP;

    while (tail < target) {

        rec = (sio_record_t *) ngx_sio_log_place(z, tail);

        if (rec->offset != tail
            || rec->size == 0
            || rec->size > sh->head - tail)
        {
            /* not a log any more: all of it is gone */
            tail = sh->head;
            break;
        }

        tail += rec->size;
    }

    ngx_sio_store(&sh->tail, tail);

    __atomic_thread_fence(__ATOMIC_RELEASE);

    ngx_sio_step();
}


static void
ngx_sio_log_pad(ngx_sio_zone_t *z, uint64_t off, size_t size, uint64_t now)
{
    sio_record_t  *rec;

    rec = (sio_record_t *) ngx_sio_log_place(z, off);

    ngx_memzero(rec, sizeof(sio_record_t));

    rec->offset = off;
    rec->size = size;
    rec->type = SIO_RECORD_PAD;
    rec->time = now;

    ngx_sio_step();
}


/* Writes len bytes of the batch, beginning at byte at, and stamps them. */

static void
ngx_sio_log_write(ngx_sio_zone_t *z, ngx_sio_append_t *a, uint64_t off,
    size_t at, size_t len, uint64_t now)
{
    u_char        *p, *last;
    sio_record_t  *rec;

    p = ngx_sio_log_place(z, off);
    last = p + len;

    ngx_memcpy(p, a->data + at, len);

    ngx_sio_step();

    while (p < last) {
        rec = (sio_record_t *) p;

        rec->offset = off;
        rec->time = now;
        rec->lease = a->lease;
        rec->heartbeat = 0;
        rec->since = 0;

        if (a->lease && a->feed) {
            rec->heartbeat = a->feed->heartbeat;
            rec->since = a->feed->since;
        }

        off += rec->size;
        p += rec->size;
    }

    ngx_sio_step();
}


/*
 * Writes the slot that does not count.  It goes on not to count until its
 * "from" is stored, and to be void until the head is, so a death in between
 * leaves the position to the other one.
 */

static void
ngx_sio_log_feed(ngx_sio_zone_sh_t *sh, ngx_sio_feed_sh_t *feed,
    uint64_t head)
{
    ngx_sio_feed_sh_t  *slot;

    slot = &sh->feed[sh->feed[0].from > sh->feed[1].from];

    slot->run_id = feed->run_id;

    ngx_sio_step();

    slot->heartbeat = feed->heartbeat;

    ngx_sio_step();

    slot->since = feed->since;

    ngx_sio_step();

    ngx_memcpy(slot->stream_id, feed->stream_id, sizeof(slot->stream_id));

    ngx_sio_step();

    slot->from = head;

    ngx_sio_step();
}


ngx_int_t
ngx_sio_log_next(ngx_sio_zone_t *z, uint64_t *off, sio_record_t *rec)
{
    for ( ;; ) {

        if (!ngx_sio_log_written(z, *off)) {
            return (*off == z->seen) ? NGX_AGAIN : NGX_DECLINED;
        }

        if (*off % SIO_RECORD_ALIGN != 0) {
            return NGX_DECLINED;
        }

        /* a race by design: what the writer was faster with is thrown away */

        ngx_memcpy(rec, ngx_sio_log_place(z, *off), sizeof(sio_record_t));

        if (ngx_sio_log_overrun(z, *off)
            || rec->offset != *off
            || rec->size == 0
            || rec->size % SIO_RECORD_ALIGN != 0)
        {
            return NGX_DECLINED;
        }

        if (rec->type != SIO_RECORD_PAD) {
            return NGX_OK;
        }

        *off += rec->size;
    }
}


ngx_int_t
ngx_sio_log_copy(ngx_sio_zone_t *z, uint64_t off, size_t at, u_char *dst,
    size_t len)
{
    size_t   room;
    u_char  *p;

    p = ngx_sio_log_place(z, off);
    room = z->log_size - (p - z->log);

    if (at > room || len > room - at) {
        return NGX_DECLINED;
    }

    /* see ngx_sio_log_next() */

    ngx_memcpy(dst, p + at, len);

    return ngx_sio_log_overrun(z, off) ? NGX_DECLINED : NGX_OK;
}


/*
 * The place of an offset is a remainder, but most offsets are in the same lap
 * around the ring as the one before, and a division costs as much as a copy.
 */

static u_char *
ngx_sio_log_place(ngx_sio_zone_t *z, uint64_t off)
{
    uint64_t  n;

    n = off - z->lap;

    if (n >= z->log_size) {
        n = off % z->log_size;
        z->lap = off - n;
    }

    return z->log + n;
}


/* True if bytes of the record that were read before this call may be torn. */

static ngx_uint_t
ngx_sio_log_overrun(ngx_sio_zone_t *z, uint64_t off)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    return off < __atomic_load_n(&z->sh->tail, __ATOMIC_RELAXED);
}


/* The head only grows, so one that was met before may answer for it. */

static ngx_uint_t
ngx_sio_log_written(ngx_sio_zone_t *z, uint64_t off)
{
    if (off < z->seen) {
        return 1;
    }

    z->seen = ngx_sio_load(&z->sh->head);

    return off < z->seen;
}


uint64_t
ngx_sio_log_head(ngx_sio_zone_t *z)
{
    return ngx_sio_load(&z->sh->head);
}


uint64_t
ngx_sio_log_tail(ngx_sio_zone_t *z)
{
    return ngx_sio_load(&z->sh->tail);
}


size_t
ngx_sio_log_max_record(ngx_sio_zone_t *z)
{
    return z->log_size / 4 & ~((size_t) SIO_RECORD_ALIGN - 1);
}


ngx_uint_t
ngx_sio_log_laggard(ngx_sio_zone_t *z, uint64_t *cursor)
{
    uint64_t              n;
    ngx_uint_t            slot, top, laggard;
    ngx_sio_worker_sh_t  *w;

    laggard = 0;
    top = ngx_sio_load(&z->sh->top_worker);

    for (slot = 1; slot <= top; slot++) {

        w = &z->sh->workers[slot - 1];

        if (ngx_sio_load(&w->state) != NGX_SIO_WORKER_LIVE) {
            continue;
        }

        n = ngx_sio_load(&w->cursor);

        if (laggard && n >= *cursor) {
            continue;
        }

        if (ngx_sio_worker_alive(z, slot)) {
            laggard = slot;
            *cursor = n;
        }
    }

    return laggard;
}


ngx_int_t
ngx_sio_log_fence(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t cursor)
{
    uint32_t              state;
    ngx_sio_worker_sh_t  *w;

    w = &z->sh->workers[slot - 1];

    if (ngx_sio_load(&w->cursor) != cursor) {
        return NGX_DECLINED;
    }

    state = NGX_SIO_WORKER_LIVE;

    if (!__atomic_compare_exchange_n(&w->state, &state,
                                     NGX_SIO_WORKER_FENCED, 0,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    {
        return NGX_DECLINED;
    }

    (void) __atomic_fetch_add(&z->sh->fences, 1, __ATOMIC_RELAXED);

    return NGX_OK;
}


ngx_int_t
ngx_sio_log_advance(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t cursor)
{
    ngx_sio_worker_sh_t  *w;

    w = &z->sh->workers[slot - 1];

    if (ngx_sio_load(&w->state) != NGX_SIO_WORKER_LIVE) {
        return NGX_DECLINED;
    }

    ngx_sio_store(&w->cursor, cursor);

    return NGX_OK;
}


/*
 * Under the log lock, because an append in between would take the new cursor
 * for one that it has counted.
 */

uint64_t
ngx_sio_log_rejoin(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    uint64_t              head;
    ngx_sio_worker_sh_t  *w;

    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return 0;
    }

    w = &z->sh->workers[slot - 1];
    head = z->sh->head;

    ngx_sio_store(&w->cursor, head);

    ngx_sio_step();

    ngx_sio_store(&w->state, NGX_SIO_WORKER_LIVE);

    ngx_sio_step();

    ngx_sio_zone_log_unlock(z);

    return head;
}


ngx_uint_t
ngx_sio_log_arm(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t cursor)
{
    ngx_sio_worker_sh_t  *w;

    w = &z->sh->workers[slot - 1];

    __atomic_store_n(&w->armed, 1, __ATOMIC_RELAXED);

    ngx_sio_fence();

    if (ngx_sio_load(&z->sh->head) == cursor) {
        return 0;
    }

    __atomic_store_n(&w->armed, 0, __ATOMIC_RELAXED);

    return 1;
}


void
ngx_sio_log_ring(ngx_sio_zone_t *z,
    void (*ring)(void *data, ngx_uint_t slot, ngx_int_t process_slot),
    void *data)
{
    ngx_uint_t            slot, top;
    ngx_sio_worker_sh_t  *w;

    ngx_sio_fence();

    top = ngx_sio_load(&z->sh->top_worker);

    for (slot = 1; slot <= top; slot++) {

        w = &z->sh->workers[slot - 1];

        if (__atomic_load_n(&w->armed, __ATOMIC_RELAXED)
            && __atomic_exchange_n(&w->armed, 0, __ATOMIC_ACQ_REL))
        {
            ring(data, slot, w->process_slot);
        }
    }
}
