
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_JOINING_H_INCLUDED_
#define _NGX_SIO_JOINING_H_INCLUDED_


#include "ngx_sio_room_list.h"


/*
 * The rooms of a client that is connecting: what its lists say, changed by
 * the commands that this worker has met in the log since it was accepted.
 *
 * The commands are kept once for the worker, as long as anybody may need them.
 * A backend changes a room set first and publishes after: so whatever the read
 * of the set missed is among them, and what it had seen changes nothing.
 */


typedef struct {
    ngx_sio_room_list_t   list;
    uint64_t              seed;      /* of the zone's hashes */
    ngx_uint_t            kicked;    /* disconnected meanwhile: 1, with its
                                        transport: 2 */
    ngx_uint_t            refresh;   /* its room sets are to be read again */
    sio_buf_t             touched;   /* uint64_t: hashes of the rooms that were
                                        named after that; the caller's to free
                                        */
    uint16_t              nsp;
    u_char                sid[NGX_SIO_SID_LEN];
} ngx_sio_joining_t;


/*
 * Makes the list from names (ngx_str_t), which must outlive it; those behind
 * the first so many are marked as from room sets.  seed, nsp and sid are set by
 * the caller.  NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_joining_rooms(ngx_sio_joining_t *j,
    const ngx_array_t *names, ngx_uint_t known, ngx_pool_t *pool);

/*
 * Does to the list what the commands from offset since on say, in order; each
 * is judged by the rooms as they are at that point.  The list then points into
 * the commands, until the next ngx_sio_joining_trim().  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_sio_joining_apply(ngx_sio_joining_t *j, ngx_sio_gateway_t *gw,
    uint64_t since);

/* Keeps a command record (up to its names).  NGX_OK or NGX_ERROR (memory). */
ngx_int_t ngx_sio_joining_keep(ngx_sio_gateway_t *gw,
    const sio_record_t *rec);

/* Forgets the commands below an offset. */
void ngx_sio_joining_trim(ngx_sio_gateway_t *gw, uint64_t below);


#endif /* _NGX_SIO_JOINING_H_INCLUDED_ */
