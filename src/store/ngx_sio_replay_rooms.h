
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_REPLAY_ROOMS_H_INCLUDED_
#define _NGX_SIO_REPLAY_ROOMS_H_INCLUDED_


#include "ngx_sio_session.h"

#include <sio_buf.h>


/*
 * The rooms of one session by the hashes of their names, for as long as it is
 * replayed.
 *
 * Most records of the log are for others, and a hash that is not here says so.
 * One that is leads to the membership in the zone, which is asked what it
 * covers.  A slot whose membership is no longer what it was says nothing.
 */


typedef struct {
    uint64_t               hash;
    uint32_t               room;         /* 0: an empty slot */
    uint32_t               member;
} ngx_sio_replay_slot_t;


typedef struct {
    ngx_sio_zone_t        *zone;
    uint32_t               session;
    uint64_t               owner;        /* the ticket for it */
    uint16_t               nsp;

    sio_buf_t              table;        /* ngx_sio_replay_slot_t; heap, the
                                            caller frees it */
    uint32_t               mask;         /* slots - 1; a power of two */
    uint32_t               used;
} ngx_sio_replay_rooms_t;


/* NGX_OK, or NGX_DECLINED if the ticket no longer holds. */
ngx_int_t ngx_sio_replay_rooms_mine(ngx_sio_replay_rooms_t *r);

/* Makes the table; wants the zone lock.  NGX_OK or NGX_ERROR: no memory. */
ngx_int_t ngx_sio_replay_rooms_read_locked(ngx_sio_replay_rooms_t *r);

/* True if the session may be, or have been, in a room of this hash. */
ngx_uint_t ngx_sio_replay_rooms_know(ngx_sio_replay_rooms_t *r,
    uint64_t hash);

/* True if the session is or was in a room at an offset. */
ngx_uint_t ngx_sio_replay_rooms_cover(ngx_sio_replay_rooms_t *r,
    uint64_t hash, const sio_str_t *name, uint64_t off);

/*
 * Joins a room from an offset on.  If the session is in it, or was in it then,
 * this has been done before.  NGX_OK; NGX_DECLINED: the ticket no longer holds;
 * NGX_ERROR: no memory, or the zone is full or locked.
 */
ngx_int_t ngx_sio_replay_rooms_join(ngx_sio_replay_rooms_t *r,
    uint64_t hash, const sio_str_t *name, uint64_t since);

/*
 * Leaves a room in which the session is since an offset, by the record there
 * that ends at another.  Results as above.
 */
ngx_int_t ngx_sio_replay_rooms_leave(ngx_sio_replay_rooms_t *r,
    uint64_t hash, const sio_str_t *name, uint64_t off, uint64_t until);


#endif /* _NGX_SIO_REPLAY_ROOMS_H_INCLUDED_ */
