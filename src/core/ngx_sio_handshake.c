
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_handshake.h"
#include "ngx_sio_part.h"
#include "ngx_sio_websocket.h"

#include <ngx_sio_http.h>
#include <ngx_sio_upgrade.h>


#define NGX_SIO_HANDSHAKE_BEARER  16384     /* longest token that is kept */


/* Between the 101 and the moment when the request is gone. */

typedef struct {
    ngx_sio_gateway_t    *gateway;
    ngx_sio_loc_conf_t   *conf;
    uint32_t              session;
    uint64_t              owner;      /* ticket of the session */
    ngx_str_t            *bearer;     /* heap, or NULL */
} ngx_sio_handshake_t;


static uint32_t ngx_sio_handshake_session(ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, ngx_uint_t transport, u_char *sid,
    uint64_t *owner);
static void ngx_sio_handshake_detached(void *data, ngx_connection_t *c,
    u_char *p, size_t len);
static void ngx_sio_handshake_failed(void *data);
static void ngx_sio_handshake_free(ngx_sio_handshake_t *hs);


ngx_int_t
ngx_sio_handshake_poll(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf)
{
    size_t    len;
    u_char    sid[NGX_SIO_SID_LEN], open[SIO_EIO_OPEN_LEN];
    uint64_t  owner;

    if (ngx_sio_handshake_session(gw, slcf, SIO_EIO_POLLING, sid, &owner)
        == 0)
    {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    len = sio_eio_open(open, sid, slcf->transports >> SIO_EIO_WEBSOCKET & 1,
                       slcf->ping_interval, slcf->ping_timeout,
                       slcf->max_payload);

    return ngx_sio_http_payload(r, open, len);
}


ngx_int_t
ngx_sio_handshake_websocket(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid)
{
    size_t                len, head;
    u_char                sid[NGX_SIO_SID_LEN];
    u_char                open[SIO_EIO_OPEN_LEN];
    u_char                frame[SIO_WS_HEADER + SIO_EIO_OPEN_LEN];
    ngx_sio_handshake_t  *hs;

    hs = ngx_calloc(sizeof(ngx_sio_handshake_t), r->connection->log);
    if (hs == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    hs->gateway = gw;
    hs->conf = slcf;
    hs->session = ngx_sio_handshake_session(gw, slcf, SIO_EIO_WEBSOCKET, sid,
                                            &hs->owner);

    if (hs->session == 0) {
        ngx_free(hs);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    hs->bearer = ngx_sio_handshake_bearer(r);

    len = sio_eio_open(open, sid, 0, slcf->ping_interval, slcf->ping_timeout,
                       slcf->max_payload);

    head = sio_ws_header(frame, SIO_WS_TEXT, len);
    ngx_memcpy(frame + head, open, len);

    return ngx_sio_upgrade_start(r, frame, head + len,
                                 ngx_sio_handshake_detached,
                                 ngx_sio_handshake_failed, hs);
}


/* slot 0: a session that polls is nobody's until the first poll. */

static uint32_t
ngx_sio_handshake_session(ngx_sio_gateway_t *gw, ngx_sio_loc_conf_t *slcf,
    ngx_uint_t transport, u_char *sid, uint64_t *owner)
{
    uint32_t               session;
    ngx_sio_session_new_t  new;

    if (ngx_sio_gateway_sid(gw, sid) != NGX_OK) {
        return 0;
    }

    new.eio_sid = sid;
    new.transport = transport;
    new.ping_interval = (uint32_t) slcf->ping_interval;
    new.ping_timeout = (uint32_t) slcf->ping_timeout;
    new.connect_timeout = (uint32_t) slcf->connect_timeout;

    session = ngx_sio_session_open(gw->zone,
                                   transport == SIO_EIO_POLLING ? 0 : gw->slot,
                                   &new, owner);

    if (session == 0) {

        if (!ngx_sio_zone_lost(gw->zone)) {
            ngx_sio_gateway_full(gw);
        }

        return 0;
    }

    ngx_sio_gateway_stat(gw, HANDSHAKES, 1);

    return session;
}


/* "Authorization: Bearer <token>"; RFC 6750, 2.1 */

ngx_str_t *
ngx_sio_handshake_bearer(ngx_http_request_t *r)
{
    ngx_str_t  *bearer, value;

    if (r->headers_in.authorization == NULL) {
        return NULL;
    }

    value = r->headers_in.authorization->value;

    if (value.len <= 7 || value.len > NGX_SIO_HANDSHAKE_BEARER
        || ngx_strncasecmp(value.data, (u_char *) "bearer ", 7) != 0)
    {
        return NULL;
    }

    value.data += 7;
    value.len -= 7;

    while (value.len && value.data[0] == ' ') {
        value.data++;
        value.len--;
    }

    bearer = ngx_alloc(sizeof(ngx_str_t) + value.len, r->connection->log);
    if (bearer == NULL) {
        return NULL;
    }

    bearer->len = value.len;
    bearer->data = (u_char *) (bearer + 1);
    ngx_memcpy(bearer->data, value.data, value.len);

    return bearer;
}


static void
ngx_sio_handshake_detached(void *data, ngx_connection_t *c, u_char *p,
    size_t len)
{
    ngx_sio_handshake_t  *hs = data;

    ngx_sio_client_t  *sc;

    sc = ngx_sio_session_mine(hs->gateway->zone, hs->session, hs->owner)
         ? ngx_sio_websocket_create(hs->gateway, hs->conf, c) : NULL;

    if (sc == NULL) {
        ngx_sio_handshake_free(hs);
        ngx_http_close_connection(c);
        return;
    }

    sc->bearer = hs->bearer;
    hs->bearer = NULL;

    if (ngx_sio_websocket_open(sc, hs->session, hs->owner) != NGX_OK) {
        ngx_sio_handshake_free(hs);
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ngx_free(hs);

    ngx_sio_ws_input(&sc->ws, p, len);
}


static void
ngx_sio_handshake_failed(void *data)
{
    ngx_sio_handshake_free(data);
}


static void
ngx_sio_handshake_free(ngx_sio_handshake_t *hs)
{
    /* no effect if a worker that has left its slot has ended it */

    ngx_sio_part(hs->gateway, hs->session, hs->owner, 0, 0);

    if (hs->bearer) {
        ngx_free(hs->bearer);
    }

    ngx_free(hs);
}
