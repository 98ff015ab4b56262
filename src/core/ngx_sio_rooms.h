
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ROOMS_H_INCLUDED_
#define _NGX_SIO_ROOMS_H_INCLUDED_


#include "ngx_sio_client.h"
#include "ngx_sio_outlet.h"


/*
 * Which of this worker's clients are in a room, as of its cursor.
 *
 * A room that has no member here is not in the index, so one look-up tells
 * that a record is nothing for this worker.  The name of a room is not kept
 * twice: it is read from the room's record in the zone, which cannot go while
 * a member refers to it.
 */


/* There is one for each room of each client. */

typedef struct {
    uint32_t                  outlet;          /* of the client */
    uint32_t                  member;          /* reference of the membership
                                                  in the client's session */
} ngx_sio_rooms_member_t;


/*
 * 28 bytes.  Most rooms have one member here, which needs no array.  Rooms
 * stand in pages that do not move, and refer to each other by number.
 */

typedef struct {
    uint32_t                  hash;            /* low bits */
    unsigned                  room:31;         /* index in the zone */
    unsigned                  many:1;          /* the members are in an array */
    uint32_t                  next;            /* number: chain, free list */
    uint32_t                  nmembers;
    union {
        ngx_sio_rooms_member_t  one;
        struct {
            ngx_sio_rooms_member_t  *members;
            uint32_t                 nalloc;
        } __attribute__((packed, aligned(4))) array;
    } u;
} ngx_sio_rooms_room_t;

_Static_assert(sizeof(ngx_sio_rooms_room_t) == 28, "size of a room");


/* The members of a room, in no order, until one comes or goes. */
#define ngx_sio_rooms_members(r)                                              \
    ((r)->many ? (r)->u.array.members : &(r)->u.one)

/* The client of a member. */
#define ngx_sio_rooms_client(gw, m)                                           \
    ((gw)->outlets->elts[(m)->outlet].client)


struct ngx_sio_rooms_s {
    ngx_sio_gateway_t        *gateway;

    uint32_t                 *rooms;           /* by hash: numbers */
    ngx_uint_t                nrooms;
    ngx_uint_t                room_buckets;

    ngx_sio_rooms_room_t    **pages;           /* of the rooms; 0 is none */
    ngx_uint_t                npages;
    ngx_uint_t                page_places;     /* for pages */
    uint32_t                  top;             /* rooms below were in use */
    uint32_t                  free;

    ngx_sio_client_t        **sids;            /* own-id rooms, by hash */
    ngx_uint_t                nsids;
    ngx_uint_t                sid_buckets;

    ngx_sio_rooms_room_t      everyone[NGX_SIO_NAMESPACES];
                                               /* all that are connected to a
                                                  namespace */
};


/* Returns an empty index or NULL without memory. */
ngx_sio_rooms_t *ngx_sio_rooms_create(ngx_sio_gateway_t *gw);

/*
 * Finds a room by name: its members here, or NULL.  The own-id room of a
 * client has no record: it is found by _sid.
 */
ngx_sio_rooms_room_t *ngx_sio_rooms_find(ngx_sio_rooms_t *rooms, uint64_t hash,
    uint16_t nsp, const u_char *name, size_t len);
ngx_sio_client_t *ngx_sio_rooms_sid(ngx_sio_rooms_t *rooms, uint64_t hash,
    uint16_t nsp, const u_char *name, size_t len);

/*
 * Enters a client, whose session has the membership: NGX_OK or NGX_ERROR
 * (memory; nothing has changed).
 */
ngx_int_t ngx_sio_rooms_join(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc,
    uint64_t hash, uint32_t room, uint32_t member);

/*
 * Takes a client out of the room of a membership that its session still has.
 */
void ngx_sio_rooms_leave(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc,
    uint32_t member);

/*
 * Takes a client out of all rooms without asking its session, which another
 * worker has taken; looks through the whole index.
 */
void ngx_sio_rooms_purge(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc);

/* Enters a client as connected, under its own id; and takes it out again. */
ngx_int_t ngx_sio_rooms_enter(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc);
void ngx_sio_rooms_exit(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc);

/* Forgets everything, after the zone was emptied. */
void ngx_sio_rooms_reset(ngx_sio_rooms_t *rooms);


#endif /* _NGX_SIO_ROOMS_H_INCLUDED_ */
