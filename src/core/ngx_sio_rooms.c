
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_rooms.h"
#include "ngx_sio_presence.h"

#include <ngx_sio_name.h>


#define NGX_SIO_ROOMS_BUCKETS  256        /* to begin with */

/* The array that the members of a room are in. */

typedef struct {
    uint32_t                  nalloc;
    ngx_sio_rooms_member_t    members[];
} ngx_sio_rooms_array_t;

#define ngx_sio_rooms_array(room)                                             \
    ((ngx_sio_rooms_array_t *) ((u_char *) (room)->members                    \
                      - offsetof(ngx_sio_rooms_array_t, members)))

/* True if the members are in an array, and not in the room. */
#define ngx_sio_rooms_has_array(room)                                         \
    ((room)->members && (room)->members != &(room)->one)


static ngx_int_t ngx_sio_rooms_grow_rooms(ngx_sio_rooms_t *rooms);
static ngx_int_t ngx_sio_rooms_grow_sids(ngx_sio_rooms_t *rooms);
static ngx_sio_rooms_room_t *ngx_sio_rooms_by_index(ngx_sio_rooms_t *rooms,
    uint32_t room);
static ngx_sio_rooms_room_t *ngx_sio_rooms_make(ngx_sio_rooms_t *rooms,
    uint64_t hash, uint32_t room);
static void ngx_sio_rooms_drop(ngx_sio_rooms_t *rooms,
    ngx_sio_rooms_room_t *room);
static void ngx_sio_rooms_remove(ngx_sio_rooms_t *rooms,
    ngx_sio_rooms_room_t *room, uint32_t i);
static void ngx_sio_rooms_free(ngx_sio_rooms_room_t *room);
static ngx_int_t ngx_sio_rooms_grow(ngx_sio_rooms_t *rooms,
    ngx_sio_rooms_room_t *room);
static ngx_int_t ngx_sio_rooms_push(ngx_sio_rooms_t *rooms,
    ngx_sio_rooms_room_t *room, ngx_sio_client_t *sc, uint32_t member);


ngx_sio_rooms_t *
ngx_sio_rooms_create(ngx_sio_gateway_t *gw)
{
    ngx_sio_rooms_t  *rooms;

    rooms = ngx_calloc(sizeof(ngx_sio_rooms_t), gw->log);
    if (rooms == NULL) {
        return NULL;
    }

    rooms->gateway = gw;

    rooms->room_buckets = NGX_SIO_ROOMS_BUCKETS;
    rooms->rooms = ngx_calloc(rooms->room_buckets * sizeof(void *), gw->log);

    rooms->sid_buckets = NGX_SIO_ROOMS_BUCKETS;
    rooms->sids = ngx_calloc(rooms->sid_buckets * sizeof(void *), gw->log);

    if (rooms->rooms == NULL || rooms->sids == NULL) {
        return NULL;
    }

    return rooms;
}


ngx_sio_rooms_room_t *
ngx_sio_rooms_find(ngx_sio_rooms_t *rooms, uint64_t hash, uint16_t nsp,
    const u_char *name, size_t len)
{
    ngx_sio_zone_t        *z;
    ngx_sio_rooms_room_t  *room;

    z = rooms->gateway->zone;

    for (room = rooms->rooms[hash & (rooms->room_buckets - 1)];
         room;
         room = room->next)
    {
        if (room->hash == (uint32_t) hash
            && ngx_sio_name_equal(z, &z->rooms[room->room], nsp, name, len))
        {
            return room;
        }
    }

    return NULL;
}


ngx_sio_client_t *
ngx_sio_rooms_sid(ngx_sio_rooms_t *rooms, uint64_t hash, uint16_t nsp,
    const u_char *name, size_t len)
{
    ngx_sio_client_t  *sc;

    if (len != NGX_SIO_SID_LEN) {
        return NULL;
    }

    for (sc = rooms->sids[hash & (rooms->sid_buckets - 1)];
         sc;
         sc = sc->sid_next)
    {
        if (sc->sid_hash == hash && sc->nsp == nsp
            && ngx_memcmp(ngx_sio_client_session(sc)->sid, name, len) == 0)
        {
            return sc;
        }
    }

    return NULL;
}


ngx_int_t
ngx_sio_rooms_join(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc, uint64_t hash,
    uint32_t index, uint32_t member)
{
    ngx_sio_rooms_room_t  *room;

    room = ngx_sio_rooms_by_index(rooms, index);

    if (room == NULL) {
        room = ngx_sio_rooms_make(rooms, hash, index);
        if (room == NULL) {
            return NGX_ERROR;
        }
    }

    if (ngx_sio_rooms_push(rooms, room, sc, member) != NGX_OK) {

        if (room->nmembers == 0) {
            ngx_sio_rooms_drop(rooms, room);
        }

        return NGX_ERROR;
    }

    ngx_sio_session_place(rooms->gateway->zone, sc->session, sc->owner,
                          member, room->nmembers - 1);
    sc->nrooms++;

    return NGX_OK;
}


void
ngx_sio_rooms_leave(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc,
    uint32_t member)
{
    uint32_t               i;
    ngx_sio_zone_t        *z;
    ngx_sio_member_sh_t   *m;
    ngx_sio_rooms_room_t  *room;

    z = rooms->gateway->zone;
    m = ngx_sio_session_member(z, ngx_sio_client_session(sc), member);

    room = ngx_sio_rooms_by_index(rooms, m->room);
    i = m->pos;

    if (room == NULL || i >= room->nmembers || room->members[i].client != sc) {

        /* a session that was taken away from this worker no longer says */

        if (ngx_sio_session_mine(z, sc->session, sc->owner)) {
            ngx_log_error(NGX_LOG_ALERT, rooms->gateway->log, 0,
                          "socketio membership is not in the index");
        }

        return;
    }

    ngx_sio_rooms_remove(rooms, room, i);

    if (room->nmembers == 0) {
        ngx_sio_rooms_drop(rooms, room);
    }
}


/* The last member takes the place. */

static void
ngx_sio_rooms_remove(ngx_sio_rooms_t *rooms, ngx_sio_rooms_room_t *room,
    uint32_t i)
{
    ngx_sio_zone_t    *z;
    ngx_sio_client_t  *sc;

    z = rooms->gateway->zone;

    room->members[i].client->nrooms--;
    room->members[i] = room->members[--room->nmembers];

    if (i == room->nmembers) {
        return;
    }

    sc = room->members[i].client;

    ngx_sio_session_place(z, sc->session, sc->owner, room->members[i].member,
                          i);
}


void
ngx_sio_rooms_purge(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc)
{
    uint32_t               n;
    ngx_uint_t             i;
    ngx_sio_rooms_room_t  *room, *next;

    for (i = 0; i < rooms->room_buckets && sc->nrooms; i++) {

        for (room = rooms->rooms[i]; room; room = next) {
            next = room->next;

            for (n = room->nmembers; n; n--) {
                if (room->members[n - 1].client == sc) {
                    ngx_sio_rooms_remove(rooms, room, n - 1);
                }
            }

            if (room->nmembers == 0) {
                ngx_sio_rooms_drop(rooms, room);
            }
        }
    }
}


ngx_int_t
ngx_sio_rooms_enter(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc)
{
    ngx_sio_client_t      **bucket;
    ngx_sio_rooms_room_t   *everyone;
    ngx_sio_session_sh_t   *ss;

    if (rooms->nsids == rooms->sid_buckets
        && ngx_sio_rooms_grow_sids(rooms) != NGX_OK)
    {
        return NGX_ERROR;
    }

    everyone = &rooms->everyone[sc->nsp];

    if (ngx_sio_rooms_push(rooms, everyone, sc, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    sc->everyone = everyone->nmembers - 1;

    ss = ngx_sio_client_session(sc);
    sc->sid_hash = sio_hash(rooms->gateway->zone->sh->seed, ss->sid,
                            NGX_SIO_SID_LEN);

    bucket = &rooms->sids[sc->sid_hash & (rooms->sid_buckets - 1)];
    sc->sid_next = *bucket;
    *bucket = sc;

    rooms->nsids++;
    sc->in_everyone = 1;

    if (rooms->gateway->presence
        && ngx_sio_listeners_enter(rooms->gateway->presence->listeners, sc)
           != NGX_OK)
    {
        ngx_sio_rooms_exit(rooms, sc);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_sio_rooms_exit(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc)
{
    ngx_sio_client_t        **p;
    ngx_sio_rooms_room_t     *everyone;
    ngx_sio_rooms_member_t   *last;

    if (!sc->in_everyone) {
        return;
    }

    everyone = &rooms->everyone[sc->nsp];

    last = &everyone->members[--everyone->nmembers];
    everyone->members[sc->everyone] = *last;
    last->client->everyone = sc->everyone;

    for (p = &rooms->sids[sc->sid_hash & (rooms->sid_buckets - 1)];
         *p;
         p = &(*p)->sid_next)
    {
        if (*p == sc) {
            *p = sc->sid_next;
            rooms->nsids--;
            break;
        }
    }

    sc->in_everyone = 0;

    if (rooms->gateway->presence) {
        ngx_sio_listeners_exit(rooms->gateway->presence->listeners, sc);
    }
}


void
ngx_sio_rooms_reset(ngx_sio_rooms_t *rooms)
{
    ngx_uint_t             i, n;
    ngx_sio_rooms_room_t  *room, *next;

    for (i = 0; i < rooms->room_buckets; i++) {

        for (room = rooms->rooms[i]; room; room = next) {
            next = room->next;
            ngx_sio_rooms_free(room);
        }

        rooms->rooms[i] = NULL;
    }

    for (n = 0; n < NGX_SIO_NAMESPACES; n++) {
        room = &rooms->everyone[n];

        for (i = 0; i < room->nmembers; i++) {
            room->members[i].client->in_everyone = 0;
        }

        room->nmembers = 0;
    }

    ngx_memzero(rooms->sids, rooms->sid_buckets * sizeof(void *));

    if (rooms->gateway->presence) {
        ngx_sio_listeners_reset(rooms->gateway->presence->listeners);
    }

    rooms->nrooms = 0;
    rooms->nsids = 0;
}


static ngx_sio_rooms_room_t *
ngx_sio_rooms_by_index(ngx_sio_rooms_t *rooms, uint32_t index)
{
    uint64_t               hash;
    ngx_sio_rooms_room_t  *room;

    hash = rooms->gateway->zone->rooms[index].hash;

    for (room = rooms->rooms[hash & (rooms->room_buckets - 1)];
         room;
         room = room->next)
    {
        if (room->room == index) {
            return room;
        }
    }

    return NULL;
}


static ngx_sio_rooms_room_t *
ngx_sio_rooms_make(ngx_sio_rooms_t *rooms, uint64_t hash, uint32_t index)
{
    ngx_sio_gateway_t     *gw;
    ngx_sio_rooms_room_t  *room, **bucket;

    gw = rooms->gateway;

    if (rooms->nrooms == rooms->room_buckets
        && ngx_sio_rooms_grow_rooms(rooms) != NGX_OK)
    {
        return NULL;
    }

    room = ngx_calloc(sizeof(ngx_sio_rooms_room_t), gw->log);
    if (room == NULL) {
        return NULL;
    }

    room->hash = (uint32_t) hash;
    room->room = index;

    bucket = &rooms->rooms[hash & (rooms->room_buckets - 1)];
    room->next = *bucket;
    *bucket = room;

    rooms->nrooms++;

    ngx_sio_name_worker(&gw->zone->rooms[index], gw->slot, 1);

    return room;
}


static void
ngx_sio_rooms_drop(ngx_sio_rooms_t *rooms, ngx_sio_rooms_room_t *room)
{
    ngx_sio_gateway_t      *gw;
    ngx_sio_rooms_room_t  **p;

    gw = rooms->gateway;

    ngx_sio_name_worker(&gw->zone->rooms[room->room], gw->slot, 0);

    p = &rooms->rooms[room->hash & (rooms->room_buckets - 1)];

    while (*p != room) {
        p = &(*p)->next;
    }

    *p = room->next;
    rooms->nrooms--;

    ngx_sio_rooms_free(room);
}


static void
ngx_sio_rooms_free(ngx_sio_rooms_room_t *room)
{
    if (ngx_sio_rooms_has_array(room)) {
        ngx_free(ngx_sio_rooms_array(room));
    }

    ngx_free(room);
}


/* Appends a member. */

static ngx_int_t
ngx_sio_rooms_push(ngx_sio_rooms_t *rooms, ngx_sio_rooms_room_t *room,
    ngx_sio_client_t *sc, uint32_t member)
{
    ngx_uint_t  full;

    if (ngx_sio_rooms_has_array(room)) {
        full = (room->nmembers == ngx_sio_rooms_array(room)->nalloc);

    } else {
        room->members = &room->one;
        full = (room->nmembers == 1);
    }

    if (full && ngx_sio_rooms_grow(rooms, room) != NGX_OK) {
        return NGX_ERROR;
    }

    room->members[room->nmembers].client = sc;
    room->members[room->nmembers].member = member;
    room->nmembers++;

    return NGX_OK;
}


/* By half: most rooms are small. */

static ngx_int_t
ngx_sio_rooms_grow(ngx_sio_rooms_t *rooms, ngx_sio_rooms_room_t *room)
{
    uint32_t                n;
    ngx_sio_rooms_array_t  *array;

    n = room->nmembers + room->nmembers / 2 + 2;

    array = ngx_alloc(sizeof(ngx_sio_rooms_array_t)
                      + n * sizeof(ngx_sio_rooms_member_t),
                      rooms->gateway->log);
    if (array == NULL) {
        return NGX_ERROR;
    }

    array->nalloc = n;
    ngx_memcpy(array->members, room->members,
               room->nmembers * sizeof(ngx_sio_rooms_member_t));

    if (ngx_sio_rooms_has_array(room)) {
        ngx_free(ngx_sio_rooms_array(room));
    }

    room->members = array->members;

    return NGX_OK;
}


static ngx_int_t
ngx_sio_rooms_grow_rooms(ngx_sio_rooms_t *rooms)
{
    ngx_uint_t              i, n;
    ngx_sio_rooms_room_t   *room, *next, **table;

    n = rooms->room_buckets * 2;

    table = ngx_calloc(n * sizeof(void *), rooms->gateway->log);
    if (table == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rooms->room_buckets; i++) {

        for (room = rooms->rooms[i]; room; room = next) {
            next = room->next;
            room->next = table[room->hash & (n - 1)];
            table[room->hash & (n - 1)] = room;
        }
    }

    ngx_free(rooms->rooms);

    rooms->rooms = table;
    rooms->room_buckets = n;

    return NGX_OK;
}


static ngx_int_t
ngx_sio_rooms_grow_sids(ngx_sio_rooms_t *rooms)
{
    ngx_uint_t          i, n;
    ngx_sio_client_t   *sc, *next, **table;

    n = rooms->sid_buckets * 2;

    table = ngx_calloc(n * sizeof(void *), rooms->gateway->log);
    if (table == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rooms->sid_buckets; i++) {

        for (sc = rooms->sids[i]; sc; sc = next) {
            next = sc->sid_next;
            sc->sid_next = table[sc->sid_hash & (n - 1)];
            table[sc->sid_hash & (n - 1)] = sc;
        }
    }

    ngx_free(rooms->sids);

    rooms->sids = table;
    rooms->sid_buckets = n;

    return NGX_OK;
}
