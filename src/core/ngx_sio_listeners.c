
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_listeners.h"


#define NGX_SIO_LISTENERS_LEAST  64


static ngx_int_t ngx_sio_listeners_grow(ngx_sio_listeners_t *ls);


ngx_sio_listeners_t *
ngx_sio_listeners_create(ngx_log_t *log)
{
    ngx_sio_listeners_t  *ls;

    ls = ngx_calloc(sizeof(ngx_sio_listeners_t), log);
    if (ls == NULL) {
        return NULL;
    }

    ls->log = log;

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
    uint32_t                   i, n;
    ngx_sio_client_t         **users, **bucket, *sc;
    ngx_sio_rooms_member_t    *members;

    n = ls->buckets ? ls->buckets * 2 : NGX_SIO_LISTENERS_LEAST;

    members = ngx_alloc(n * sizeof(ngx_sio_rooms_member_t), ls->log);
    if (members == NULL) {
        return NGX_ERROR;
    }

    users = ngx_calloc(n * sizeof(void *), ls->log);
    if (users == NULL) {
        ngx_free(members);
        return NGX_ERROR;
    }

    if (ls->users) {
        ngx_memcpy(members, ls->room.members,
                   ls->room.nmembers * sizeof(ngx_sio_rooms_member_t));

        ngx_free(ls->room.members);
        ngx_free(ls->users);
    }

    ls->room.members = members;
    ls->users = users;
    ls->buckets = n;

    for (i = 0; i < ls->room.nmembers; i++) {
        sc = members[i].client;
        bucket = &users[sc->user_hash & (n - 1)];
        sc->user_next = *bucket;
        *bucket = sc;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_listeners_enter(ngx_sio_listeners_t *ls, ngx_sio_client_t *sc)
{
    uint32_t                 user;
    ngx_sio_client_t       **bucket;
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

    member = &ls->room.members[sc->listener];
    member->client = sc;
    member->member = 0;

    sc->user_hash = sc->gateway->zone->users[user].hash;

    bucket = &ls->users[sc->user_hash & (ls->buckets - 1)];
    sc->user_next = *bucket;
    *bucket = sc;

    sc->listens = 1;

    return NGX_OK;
}


void
ngx_sio_listeners_exit(ngx_sio_listeners_t *ls, ngx_sio_client_t *sc)
{
    ngx_sio_client_t        **link;
    ngx_sio_rooms_member_t   *last;

    if (!sc->listens) {
        return;
    }

    last = &ls->room.members[--ls->room.nmembers];
    ls->room.members[sc->listener] = *last;
    last->client->listener = sc->listener;

    link = &ls->users[sc->user_hash & (ls->buckets - 1)];

    while (*link != sc) {
        link = &(*link)->user_next;
    }

    *link = sc->user_next;

    sc->listens = 0;
}


void
ngx_sio_listeners_reset(ngx_sio_listeners_t *ls)
{
    uint32_t  i;

    for (i = 0; i < ls->room.nmembers; i++) {
        ls->room.members[i].client->listens = 0;
    }

    ngx_memzero(ls->users, ls->buckets * sizeof(void *));
    ls->room.nmembers = 0;
}


ngx_sio_client_t *
ngx_sio_listeners_first(ngx_sio_listeners_t *ls, uint64_t hash)
{
    ngx_sio_client_t  *sc;

    sc = ls->users[hash & (ls->buckets - 1)];

    while (sc && sc->user_hash != hash) {
        sc = sc->user_next;
    }

    return sc;
}


ngx_sio_client_t *
ngx_sio_listeners_next(ngx_sio_client_t *sc)
{
    uint64_t  hash;

    hash = sc->user_hash;

    do {
        sc = sc->user_next;
    } while (sc && sc->user_hash != hash);

    return sc;
}
