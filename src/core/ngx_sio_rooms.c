
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_rooms.h"
#include "ngx_sio_presence.h"

#include <ngx_sio_name.h>


#define NGX_SIO_ROOMS_BUCKETS  256        /* to begin with */
#define NGX_SIO_ROOMS_PAGE     1024       /* rooms in a page */

#define ngx_sio_rooms_at(rooms, i)                                            \
    (&(rooms)->pages[(i) / NGX_SIO_ROOMS_PAGE][(i) % NGX_SIO_ROOMS_PAGE])


static uint32_t ngx_sio_rooms_alloc(ngx_sio_rooms_t *rooms);
static ngx_int_t ngx_sio_rooms_page(ngx_sio_rooms_t *rooms);
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
    rooms->rooms = ngx_calloc(rooms->room_buckets * sizeof(uint32_t), gw->log);

    /* 0 is none */
    rooms->top = 1;

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
    uint32_t               i;
    ngx_sio_zone_t        *z;
    ngx_sio_rooms_room_t  *room;

    z = rooms->gateway->zone;

    for (i = rooms->rooms[hash & (rooms->room_buckets - 1)];
         i;
         i = room->next)
    {
        room = ngx_sio_rooms_at(rooms, i);

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
        if (sc->sid_hash == (uint32_t) hash && sc->nsp == nsp
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

    room = ngx_sio_rooms_by_index(rooms, ngx_sio_session_room(z, m));
    i = m->pos;

    if (room == NULL || i >= room->nmembers
        || ngx_sio_rooms_members(room)[i].outlet != sc->outlet)
    {

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
    ngx_sio_zone_t          *z;
    ngx_sio_client_t        *sc;
    ngx_sio_rooms_member_t  *members;

    z = rooms->gateway->zone;
    members = ngx_sio_rooms_members(room);

    ngx_sio_rooms_client(rooms->gateway, &members[i])->nrooms--;
    members[i] = members[--room->nmembers];

    if (i == room->nmembers) {
        return;
    }

    sc = ngx_sio_rooms_client(rooms->gateway, &members[i]);

    ngx_sio_session_place(z, sc->session, sc->owner, members[i].member, i);
}


void
ngx_sio_rooms_purge(ngx_sio_rooms_t *rooms, ngx_sio_client_t *sc)
{
    uint32_t               n, number, next;
    ngx_uint_t             i;
    ngx_sio_rooms_room_t  *room;

    for (i = 0; i < rooms->room_buckets && sc->nrooms; i++) {

        for (number = rooms->rooms[i]; number; number = next) {
            room = ngx_sio_rooms_at(rooms, number);
            next = room->next;

            for (n = room->nmembers; n; n--) {
                if (ngx_sio_rooms_members(room)[n - 1].outlet == sc->outlet) {
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
    sc->sid_hash = (uint32_t) sio_hash(rooms->gateway->zone->sh->seed, ss->sid,
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
    ngx_sio_rooms_member_t   *members, *last;

    if (!sc->in_everyone) {
        return;
    }

    everyone = &rooms->everyone[sc->nsp];

    members = ngx_sio_rooms_members(everyone);
    last = &members[--everyone->nmembers];
    members[sc->everyone] = *last;
    ngx_sio_rooms_client(rooms->gateway, last)->everyone = sc->everyone;

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
    uint32_t                 number;
    ngx_uint_t               i, n;
    ngx_sio_rooms_room_t    *room;
    ngx_sio_rooms_member_t  *members;

    for (i = 0; i < rooms->room_buckets; i++) {

        for (number = rooms->rooms[i]; number; number = room->next) {
            room = ngx_sio_rooms_at(rooms, number);
            ngx_sio_rooms_free(room);
        }

        rooms->rooms[i] = 0;
    }

    rooms->top = 1;
    rooms->free = 0;

    for (n = 0; n < NGX_SIO_NAMESPACES; n++) {
        room = &rooms->everyone[n];
        members = ngx_sio_rooms_members(room);

        for (i = 0; i < room->nmembers; i++) {
            ngx_sio_rooms_client(rooms->gateway, &members[i])->in_everyone = 0;
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
    uint32_t               i;
    uint64_t               hash;
    ngx_sio_rooms_room_t  *room;

    hash = rooms->gateway->zone->rooms[index].hash;

    for (i = rooms->rooms[hash & (rooms->room_buckets - 1)];
         i;
         i = room->next)
    {
        room = ngx_sio_rooms_at(rooms, i);

        if (room->room == index) {
            return room;
        }
    }

    return NULL;
}


static ngx_sio_rooms_room_t *
ngx_sio_rooms_make(ngx_sio_rooms_t *rooms, uint64_t hash, uint32_t index)
{
    uint32_t               i, *bucket;
    ngx_sio_gateway_t     *gw;
    ngx_sio_rooms_room_t  *room;

    gw = rooms->gateway;

    if (rooms->nrooms == rooms->room_buckets
        && ngx_sio_rooms_grow_rooms(rooms) != NGX_OK)
    {
        return NULL;
    }

    i = ngx_sio_rooms_alloc(rooms);
    if (i == 0) {
        return NULL;
    }

    room = ngx_sio_rooms_at(rooms, i);

    ngx_memzero(room, sizeof(ngx_sio_rooms_room_t));

    room->hash = (uint32_t) hash;
    room->room = index;

    bucket = &rooms->rooms[hash & (rooms->room_buckets - 1)];
    room->next = *bucket;
    *bucket = i;

    rooms->nrooms++;

    ngx_sio_name_worker(&gw->zone->rooms[index], gw->slot, 1);

    return room;
}


/* Returns the number of a room, or 0 without memory. */

static uint32_t
ngx_sio_rooms_alloc(ngx_sio_rooms_t *rooms)
{
    uint32_t  i;

    i = rooms->free;

    if (i) {
        rooms->free = ngx_sio_rooms_at(rooms, i)->next;
        return i;
    }

    if (rooms->top >= rooms->npages * NGX_SIO_ROOMS_PAGE
        && ngx_sio_rooms_page(rooms) != NGX_OK)
    {
        return 0;
    }

    return rooms->top++;
}


/* What is never used of the last page is never touched. */

static ngx_int_t
ngx_sio_rooms_page(ngx_sio_rooms_t *rooms)
{
    ngx_uint_t              n;
    ngx_log_t              *log;
    ngx_sio_rooms_room_t  **pages;

    log = rooms->gateway->log;

    if (rooms->npages == rooms->page_places) {

        n = rooms->page_places ? rooms->page_places * 2 : 16;

        pages = ngx_alloc(n * sizeof(void *), log);
        if (pages == NULL) {
            return NGX_ERROR;
        }

        if (rooms->pages) {
            ngx_memcpy(pages, rooms->pages, rooms->npages * sizeof(void *));
            ngx_free(rooms->pages);
        }

        rooms->pages = pages;
        rooms->page_places = n;
    }

    pages = &rooms->pages[rooms->npages];

    *pages = ngx_alloc(NGX_SIO_ROOMS_PAGE * sizeof(ngx_sio_rooms_room_t), log);
    if (*pages == NULL) {
        return NGX_ERROR;
    }

    rooms->npages++;

    return NGX_OK;
}


static void
ngx_sio_rooms_drop(ngx_sio_rooms_t *rooms, ngx_sio_rooms_room_t *room)
{
    uint32_t            i, *link;
    ngx_sio_gateway_t  *gw;

    gw = rooms->gateway;

    ngx_sio_name_worker(&gw->zone->rooms[room->room], gw->slot, 0);

    link = &rooms->rooms[room->hash & (rooms->room_buckets - 1)];

    while (ngx_sio_rooms_at(rooms, *link) != room) {
        link = &ngx_sio_rooms_at(rooms, *link)->next;
    }

    i = *link;
    *link = room->next;
    rooms->nrooms--;

    ngx_sio_rooms_free(room);

    room->next = rooms->free;
    rooms->free = i;
}


/* Frees what a room has besides its place. */

static void
ngx_sio_rooms_free(ngx_sio_rooms_room_t *room)
{
    if (room->many) {
        ngx_free(room->u.array.members);
        room->many = 0;
    }

    room->nmembers = 0;
}


/* Appends a member. */

static ngx_int_t
ngx_sio_rooms_push(ngx_sio_rooms_t *rooms, ngx_sio_rooms_room_t *room,
    ngx_sio_client_t *sc, uint32_t member)
{
    uint32_t                 places;
    ngx_sio_rooms_member_t  *members;

    places = room->many ? room->u.array.nalloc : 1;

    if (room->nmembers == places
        && ngx_sio_rooms_grow(rooms, room) != NGX_OK)
    {
        return NGX_ERROR;
    }

    members = ngx_sio_rooms_members(room);

    members[room->nmembers].outlet = sc->outlet;
    members[room->nmembers].member = member;
    room->nmembers++;

    return NGX_OK;
}


/* By half: most rooms are small. */

static ngx_int_t
ngx_sio_rooms_grow(ngx_sio_rooms_t *rooms, ngx_sio_rooms_room_t *room)
{
    uint32_t                 n;
    ngx_sio_rooms_member_t  *members;

    n = room->nmembers + room->nmembers / 2 + 2;

    members = ngx_alloc(n * sizeof(ngx_sio_rooms_member_t),
                        rooms->gateway->log);
    if (members == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(members, ngx_sio_rooms_members(room),
               room->nmembers * sizeof(ngx_sio_rooms_member_t));

    if (room->many) {
        ngx_free(room->u.array.members);
    }

    room->many = 1;
    room->u.array.members = members;
    room->u.array.nalloc = n;

    return NGX_OK;
}


static ngx_int_t
ngx_sio_rooms_grow_rooms(ngx_sio_rooms_t *rooms)
{
    uint32_t               number, next, *table, *bucket;
    ngx_uint_t             i, n;
    ngx_sio_rooms_room_t  *room;

    n = rooms->room_buckets * 2;

    table = ngx_calloc(n * sizeof(uint32_t), rooms->gateway->log);
    if (table == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rooms->room_buckets; i++) {

        for (number = rooms->rooms[i]; number; number = next) {
            room = ngx_sio_rooms_at(rooms, number);
            next = room->next;

            bucket = &table[room->hash & (n - 1)];
            room->next = *bucket;
            *bucket = number;
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
