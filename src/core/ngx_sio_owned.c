
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_owned.h"


#define NGX_SIO_OWNED_BUCKETS  4096


struct ngx_sio_owned_s {
    ngx_sio_client_t         *table[NGX_SIO_OWNED_BUCKETS];
};


static ngx_sio_client_t **ngx_sio_owned_bucket(ngx_sio_client_t *sc);


ngx_sio_owned_t *
ngx_sio_owned_create(ngx_sio_gateway_t *gw)
{
    return ngx_calloc(sizeof(ngx_sio_owned_t), gw->log);
}


static ngx_sio_client_t **
ngx_sio_owned_bucket(ngx_sio_client_t *sc)
{
    uint64_t            hash;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;
    hash = sio_hash(gw->zone->sh->seed, sc->eio_sid, NGX_SIO_SID_LEN);

    return &gw->owned->table[hash % NGX_SIO_OWNED_BUCKETS];
}


void
ngx_sio_owned_add(ngx_sio_client_t *sc)
{
    ngx_sio_client_t  **bucket;

    bucket = ngx_sio_owned_bucket(sc);

    sc->owned_next = *bucket;
    *bucket = sc;

    sc->in_owned = 1;
}


void
ngx_sio_owned_remove(ngx_sio_client_t *sc)
{
    ngx_sio_client_t  **link;

    if (!sc->in_owned) {
        return;
    }

    link = ngx_sio_owned_bucket(sc);

    while (*link != sc) {
        link = &(*link)->owned_next;
    }

    *link = sc->owned_next;

    sc->in_owned = 0;
}


ngx_sio_client_t *
ngx_sio_owned_find(ngx_sio_gateway_t *gw, uint64_t hash,
    const u_char *eio_sid, size_t len)
{
    ngx_sio_client_t  *sc;

    if (len != NGX_SIO_SID_LEN) {
        return NULL;
    }

    for (sc = gw->owned->table[hash % NGX_SIO_OWNED_BUCKETS];
         sc;
         sc = sc->owned_next)
    {
        if (ngx_memcmp(sc->eio_sid, eio_sid, NGX_SIO_SID_LEN) == 0) {
            return sc;
        }
    }

    return NULL;
}


void
ngx_sio_owned_check(ngx_sio_gateway_t *gw)
{
    ngx_uint_t             i;
    ngx_sio_client_t      *sc;
    ngx_sio_session_sh_t  *ss;

    for (i = 0; i < NGX_SIO_OWNED_BUCKETS; i++) {

        for (sc = gw->owned->table[i]; sc; sc = sc->owned_next) {

            ss = ngx_sio_client_session(sc);

            if (ss && (ss->flags & NGX_SIO_DEAD)) {
                ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            }
        }
    }
}
