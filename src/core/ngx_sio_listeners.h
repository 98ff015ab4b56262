
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_LISTENERS_H_INCLUDED_
#define _NGX_SIO_LISTENERS_H_INCLUDED_


#include "ngx_sio_rooms.h"


/*
 * This worker's clients in "/" that have a user: those who are told of others
 * coming and going.  Nobody is told of himself, so they are found by user, too.
 */


/* Beside each member: its user. */

typedef struct {
    uint64_t                  hash;
    uint32_t                  next;            /* place in the chain, from 1 */
} __attribute__((packed, aligned(4))) ngx_sio_listeners_user_t;


typedef struct {
    ngx_sio_gateway_t        *gateway;
    ngx_sio_rooms_room_t      room;            /* an audience of the dispatch */
    ngx_sio_listeners_user_t *users;           /* of the member in this place */
    uint32_t                 *table;           /* by the hash of the user:
                                                  places from 1 */
    ngx_uint_t                buckets;         /* and places for members */
} ngx_sio_listeners_t;


/* NULL without memory. */
ngx_sio_listeners_t *ngx_sio_listeners_create(ngx_sio_gateway_t *gw);

/*
 * Enters a client, unless it is none of these; NGX_OK or NGX_ERROR (memory).
 * Takes it out again, if it is there.
 */
ngx_int_t ngx_sio_listeners_enter(ngx_sio_listeners_t *ls,
    ngx_sio_client_t *sc);
void ngx_sio_listeners_exit(ngx_sio_listeners_t *ls, ngx_sio_client_t *sc);

/* Forgets all of them. */
void ngx_sio_listeners_reset(ngx_sio_listeners_t *ls);

/*
 * The first client of a user, and the one behind a client of the same user;
 * NULL if there is none.
 */
ngx_sio_client_t *ngx_sio_listeners_first(ngx_sio_listeners_t *ls,
    uint64_t hash);
ngx_sio_client_t *ngx_sio_listeners_next(ngx_sio_listeners_t *ls,
    ngx_sio_client_t *sc);


#endif /* _NGX_SIO_LISTENERS_H_INCLUDED_ */
