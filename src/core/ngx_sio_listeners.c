
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_listeners.h"


#define NGX_SIO_LISTENERS_LEAST  64


static ngx_int_t ngx_sio_listeners_grow(ngx_sio_listeners_t *ls);
static void ngx_sio_listeners_link(ngx_sio_listeners_t *ls, uint32_t i);
static void ngx_sio_listeners_unlink(ngx_sio_listeners_t *ls, uint32_t i);
static ngx_sio_client_t *ngx_sio_listeners_search(ngx_sio_listeners_t *ls,
    uint32_t i, uint64_t hash);


ngx_sio_listeners_t *
ngx_sio_listeners_create(ngx_sio_gateway_t *gw)
{
    ngx_sio_listeners_t  *ls;

    ls = ngx_calloc(sizeof(ngx_sio_listeners_t), gw->log);
    if (ls == NULL) {
        return NULL;
    }

    ls->gateway = gw;

    if (ngx_sio_listeners_grow(ls) != NGX_OK) {
        ngx_free(ls);
        return NULL;
    }

    return ls;
}


/* As many buckets as places. */

static ngx_int_t
ngx_sio_listeners_grow(ngx_sio_listeners_t *ls)
{
    uint32_t                   i, n, *table;
    ngx_log_t                 *log;
    ngx_sio_rooms_member_t    *members;
    ngx_sio_listeners_user_t  *users;

    log = ls->gateway->log;
    n = ls->buckets ? ls->buckets * 2 : NGX_SIO_LISTENERS_LEAST;

    members = ngx_alloc(n * sizeof(ngx_sio_rooms_member_t), log);
    users = ngx_alloc(n * sizeof(ngx_sio_listeners_user_t), log);
    table = ngx_calloc(n * sizeof(uint32_t), log);

    if (members == NULL || users == NULL || table == NULL) {
        ngx_free(members);
        ngx_free(users);
        ngx_free(table);
        return NGX_ERROR;
    }

    if (ls->buckets) {
        ngx_memcpy(members, ngx_sio_rooms_members(&ls->room),
                   ls->room.nmembers * sizeof(ngx_sio_rooms_member_t));
        ngx_memcpy(users, ls->users,
                   ls->room.nmembers * sizeof(ngx_sio_listeners_user_t));

        ngx_free(ls->room.u.array.members);
        ngx_free(ls->users);
        ngx_free(ls->table);
    }

    ls->room.many = 1;
    ls->room.u.array.members = members;
    ls->users = users;
    ls->table = table;
    ls->buckets = n;

    for (i = 0; i < ls->room.nmembers; i++) {
        ngx_sio_listeners_link(ls, i);
    }

    return NGX_OK;
}


/* Puts a place into the chain of its user's hash. */

static void
ngx_sio_listeners_link(ngx_sio_listeners_t *ls, uint32_t i)
{
    uint32_t  *bucket;

    bucket = &ls->table[ls->users[i].hash & (ls->buckets - 1)];

    ls->users[i].next = *bucket;
    *bucket = i + 1;
}


/* Takes it out. */

static void
ngx_sio_listeners_unlink(ngx_sio_listeners_t *ls, uint32_t i)
{
    uint32_t  *link;

    link = &ls->table[ls->users[i].hash & (ls->buckets - 1)];

    while (*link != i + 1) {
        link = &ls->users[*link - 1].next;
    }

    *link = ls->users[i].next;
}


ngx_int_t
ngx_sio_listeners_enter(ngx_sio_listeners_t *ls, ngx_sio_client_t *sc)
{
    uint32_t                 user;
    ngx_sio_rooms_member_t  *member;

    user = ngx_sio_client_session(sc)->user;

    if (sc->nsp || user == 0) {
        return NGX_OK;
    }

    if (ls->room.nmembers == ls->buckets
        && ngx_sio_listeners_grow(ls) != NGX_OK)
    {
        return NGX_ERROR;
    }

    sc->listener = ls->room.nmembers++;

    member = &ngx_sio_rooms_members(&ls->room)[sc->listener];
    member->outlet = sc->outlet;
    member->member = 0;

    ls->users[sc->listener].hash = sc->gateway->zone->users[user].hash;

    ngx_sio_listeners_link(ls, sc->listener);

    sc->listens = 1;

    return NGX_OK;
}


/* The last one takes the place. */

void
ngx_sio_listeners_exit(ngx_sio_listeners_t *ls, ngx_sio_client_t *sc)
{
    uint32_t                 last;
    ngx_sio_rooms_member_t  *members;

    if (!sc->listens) {
        return;
    }

    members = ngx_sio_rooms_members(&ls->room);
    last = ls->room.nmembers - 1;

    ngx_sio_listeners_unlink(ls, sc->listener);

    if (sc->listener != last) {
        ngx_sio_listeners_unlink(ls, last);

        members[sc->listener] = members[last];
        ngx_sio_rooms_client(ls->gateway, &members[sc->listener])->listener =
                                                                  sc->listener;
        ls->users[sc->listener] = ls->users[last];

        ngx_sio_listeners_link(ls, sc->listener);
    }

    ls->room.nmembers--;
    sc->listens = 0;
}


void
ngx_sio_listeners_reset(ngx_sio_listeners_t *ls)
{
    uint32_t                 i;
    ngx_sio_rooms_member_t  *members;

    members = ngx_sio_rooms_members(&ls->room);

    for (i = 0; i < ls->room.nmembers; i++) {
        ngx_sio_rooms_client(ls->gateway, &members[i])->listens = 0;
    }

    ngx_memzero(ls->table, ls->buckets * sizeof(uint32_t));
    ls->room.nmembers = 0;
}


ngx_sio_client_t *
ngx_sio_listeners_first(ngx_sio_listeners_t *ls, uint64_t hash)
{
    return ngx_sio_listeners_search(ls, ls->table[hash & (ls->buckets - 1)],
                                    hash);
}


ngx_sio_client_t *
ngx_sio_listeners_next(ngx_sio_listeners_t *ls, ngx_sio_client_t *sc)
{
    ngx_sio_listeners_user_t  *user;

    user = &ls->users[sc->listener];

    return ngx_sio_listeners_search(ls, user->next, user->hash);
}


/* The first of a chain, or of its rest, with this hash. */

static ngx_sio_client_t *
ngx_sio_listeners_search(ngx_sio_listeners_t *ls, uint32_t i, uint64_t hash)
{
    while (i && ls->users[i - 1].hash != hash) {
        i = ls->users[i - 1].next;
    }

    if (i == 0) {
        return NULL;
    }

    return ngx_sio_rooms_client(ls->gateway,
                                &ngx_sio_rooms_members(&ls->room)[i - 1]);
}
