
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_LOG_H_INCLUDED_
#define _NGX_SIO_LOG_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * The log: a ring of records that every worker reads with a cursor of its own.
 *
 * Offsets are 64-bit, only grow, and begin at log_size (so that 0 is never
 * one); the place of an offset is offset modulo log_size.  No record straddles
 * the end of the ring, a PAD record fills the rest.
 *
 * Writers hold the log lock: advance the tail, fence, write bytes, publish the
 * head.  Readers take no lock: copy, fence, re-check the tail; what is below
 * it by then may be torn and is thrown away.  A writer killed in between
 * leaves a tail that is further than it need be, and nothing else, which is
 * why there is nothing to repair.
 *
 * The feed position is in two places: in every feed record, and in the header
 * as a pair of slots of which the valid one with the higher "from" counts; a
 * slot is valid once the head has reached its "from".  So position and data
 * commit by the same store, that of the head.
 */


typedef struct {
    const u_char        *data;        /* images made by sio_record_encode() */
    size_t               len;         /* of one or several, back to back */
    uint64_t             lease;       /* epoch of the feed's lease, or 0 if
                                         this does not come from the feed */
    ngx_sio_feed_sh_t   *feed;        /* position behind the last record; NULL
                                         if lease is 0; "from" is ignored */
    uint64_t             first;       /* out: offset of the first record */
} ngx_sio_append_t;


/*
 * Appends whole records at once: readers see all or none of them.
 *
 *   NGX_OK        appended; a->first is set
 *   NGX_AGAIN     no room: some reader is too far behind; try again when it
 *                 has moved on, or fence it (ngx_sio_log_laggard())
 *   NGX_DECLINED  the lease epoch is no longer a->lease
 *   NGX_BUSY      the log lock is held by a stopped process
 *   NGX_ERROR     larger than a quarter of the log, or empty
 */
ngx_int_t ngx_sio_log_append(ngx_sio_zone_t *z, ngx_sio_append_t *a);

/*
 * Finds the record at *off, or behind the padding there: copies its header
 * and sets *off to its offset.  NGX_OK; NGX_AGAIN at the head; NGX_DECLINED
 * if *off is overrun or no offset of this log.
 */
ngx_int_t ngx_sio_log_next(ngx_sio_zone_t *z, uint64_t *off,
    sio_record_t *rec);

/*
 * Copies len bytes of the record at off, beginning at byte at, to dst.
 * NGX_OK, or NGX_DECLINED if they were overrun meanwhile: dst is garbage.
 */
ngx_int_t ngx_sio_log_copy(ngx_sio_zone_t *z, uint64_t off, size_t at,
    u_char *dst, size_t len);

/* The offset behind the last record, and the first that can still be read. */
uint64_t ngx_sio_log_head(ngx_sio_zone_t *z);
uint64_t ngx_sio_log_tail(ngx_sio_zone_t *z);

/* The largest image that append takes. */
size_t ngx_sio_log_max_record(ngx_sio_zone_t *z);

/*
 * The slot (from 1) of the unfenced worker that is furthest behind, its
 * cursor in *cursor; 0 if there is none.
 */
ngx_uint_t ngx_sio_log_laggard(ngx_sio_zone_t *z, uint64_t *cursor);

/*
 * Fences a worker whose cursor is still the given one.  NGX_OK, or
 * NGX_DECLINED if it has moved, left, or is fenced already.
 */
ngx_int_t ngx_sio_log_fence(ngx_sio_zone_t *z, ngx_uint_t slot,
    uint64_t cursor);

/*
 * Publishes how far the worker has come.  NGX_OK, or NGX_DECLINED if it is
 * fenced: what it has not read may be overwritten at any time, so it must
 * close its clients and call ngx_sio_log_rejoin().
 */
ngx_int_t ngx_sio_log_advance(ngx_sio_zone_t *z, ngx_uint_t slot,
    uint64_t cursor);

/* Sets the cursor of a fenced worker to the head, ends the fence; returns it.
 * On a timeout of the log lock returns 0: still fenced, try again. */
uint64_t ngx_sio_log_rejoin(ngx_sio_zone_t *z, ngx_uint_t slot);

/*
 * Doorbells.  A reader that is about to wait arms its bell, then looks at the
 * head again: ngx_sio_log_arm() returns true if there is something to read (and
 * the bell is not armed then).  A writer calls ngx_sio_log_ring() after it has
 * published: it takes the bell of every armed worker and calls ring() for it
 * with the process slot; the caller's own slot is included.
 */
ngx_uint_t ngx_sio_log_arm(ngx_sio_zone_t *z, ngx_uint_t slot,
    uint64_t cursor);
void ngx_sio_log_ring(ngx_sio_zone_t *z,
    void (*ring)(void *data, ngx_uint_t slot, ngx_int_t process_slot),
    void *data);


#endif /* _NGX_SIO_LOG_H_INCLUDED_ */
