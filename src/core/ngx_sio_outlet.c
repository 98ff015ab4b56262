
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_outlet.h"
#include "ngx_sio_fan.h"
#include "ngx_sio_websocket.h"


#define NGX_SIO_OUTLET_LEAST  64
#define NGX_SIO_OUTLET_LINE   64          /* bytes */


static ngx_int_t ngx_sio_outlets_grow(ngx_sio_outlets_t *outlets,
    ngx_log_t *log);
static void ngx_sio_outlet_clear(ngx_sio_outlet_t *outlet);


ngx_sio_outlets_t *
ngx_sio_outlets_create(ngx_log_t *log)
{
    ngx_sio_outlets_t  *outlets;

    outlets = ngx_calloc(sizeof(ngx_sio_outlets_t), log);
    if (outlets == NULL) {
        return NULL;
    }

    if (ngx_sio_outlets_grow(outlets, log) != NGX_OK) {
        ngx_free(outlets);
        return NULL;
    }

    ngx_sio_outlet_clear(&outlets->elts[0]);
    outlets->top = 1;

    return outlets;
}


/* By half; what lies behind the top costs no memory before it is used. */

static ngx_int_t
ngx_sio_outlets_grow(ngx_sio_outlets_t *outlets, ngx_log_t *log)
{
    uint32_t           n;
    ngx_sio_outlet_t  *elts;

    n = outlets->nalloc + outlets->nalloc / 2 + NGX_SIO_OUTLET_LEAST;

    elts = ngx_memalign(NGX_SIO_OUTLET_LINE, n * sizeof(ngx_sio_outlet_t),
                        log);
    if (elts == NULL) {
        return NGX_ERROR;
    }

    if (outlets->elts) {
        ngx_memcpy(elts, outlets->elts,
                   outlets->top * sizeof(ngx_sio_outlet_t));
        ngx_free(outlets->elts);
    }

    outlets->elts = elts;
    outlets->nalloc = n;

    return NGX_OK;
}


/* What it is without a client. */

static void
ngx_sio_outlet_clear(ngx_sio_outlet_t *outlet)
{
    ngx_memzero(outlet, sizeof(ngx_sio_outlet_t));
    outlet->fd = (ngx_socket_t) -1;
}


ngx_int_t
ngx_sio_outlet_give(ngx_sio_client_t *sc)
{
    ngx_sio_outlet_t   *outlet;
    ngx_sio_outlets_t  *outlets;

    if (sc->outlet) {
        return NGX_OK;
    }

    outlets = sc->gateway->outlets;

    if (outlets->free) {
        sc->outlet = outlets->free;
        outlets->free = outlets->elts[sc->outlet].run_last;

    } else {

        if (outlets->top == outlets->nalloc
            && ngx_sio_outlets_grow(outlets, sc->gateway->log) != NGX_OK)
        {
            return NGX_ERROR;
        }

        sc->outlet = outlets->top++;
    }

    outlet = ngx_sio_outlet(sc);

    ngx_sio_outlet_clear(outlet);
    outlet->client = sc;

    ngx_sio_outlet_update(sc);

    return NGX_OK;
}


void
ngx_sio_outlet_take(ngx_sio_client_t *sc)
{
    ngx_sio_outlet_t   *outlet;
    ngx_sio_outlets_t  *outlets;

    if (sc->outlet == 0) {
        return;
    }

    outlets = sc->gateway->outlets;
    outlet = ngx_sio_outlet(sc);

    ngx_sio_outlet_clear(outlet);
    outlet->run_last = outlets->free;

    outlets->free = sc->outlet;
    sc->outlet = 0;
}


void
ngx_sio_outlet_update(ngx_sio_client_t *sc)
{
    ngx_connection_t  *c;
    ngx_sio_outlet_t  *outlet;

    if (sc->outlet == 0) {
        return;
    }

    c = sc->ws.connection;
    outlet = ngx_sio_outlet(sc);

    outlet->connected = (sc->state == NGX_SIO_CLIENT_CONNECTED);
    outlet->behind = (sc->out != NULL);
    outlet->fd = (ngx_socket_t) -1;

    if (ngx_sio_websocket_is_plain(sc) && ngx_sio_fan_takes(c)) {
        outlet->fd = c->fd;
    }
}
