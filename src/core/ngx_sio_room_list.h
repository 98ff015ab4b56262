
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ROOM_LIST_H_INCLUDED_
#define _NGX_SIO_ROOM_LIST_H_INCLUDED_


#include "ngx_sio_gateway.h"

#include <ngx_sio_session.h>


/* Rooms that a client is to be in: each of them once, found by its name. */

typedef struct {
    ngx_array_t        rooms;        /* ngx_sio_room_t */
    uint32_t          *table;        /* by hash: index in rooms plus one */
    ngx_uint_t         size;         /* of the table, a power of two */
    ngx_pool_t        *pool;
} ngx_sio_room_list_t;


/*
 * Makes the list from names (ngx_str_t), which must outlive it; those behind
 * the first so many are marked as from room sets.  seed is that of the zone's
 * hashes.  NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_room_list_init(ngx_sio_room_list_t *list,
    const ngx_array_t *names, ngx_uint_t known, uint64_t seed,
    ngx_pool_t *pool);

/*
 * Adds a room, whose name must outlive the list, unless it is there.  NGX_OK or
 * NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_room_list_add(ngx_sio_room_list_t *list, uint64_t hash,
    const u_char *name, size_t len, ngx_uint_t set);

/* Takes a room away if it is there.  It keeps its place, without a name. */
void ngx_sio_room_list_remove(ngx_sio_room_list_t *list, uint64_t hash,
    const u_char *name, size_t len);

/* The room with this name, or NULL. */
ngx_sio_room_t *ngx_sio_room_list_find(ngx_sio_room_list_t *list,
    uint64_t hash, const u_char *name, size_t len);

/* Closes the places of those that were taken away; nothing is found after. */
void ngx_sio_room_list_pack(ngx_sio_room_list_t *list);


#endif /* _NGX_SIO_ROOM_LIST_H_INCLUDED_ */
