
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_handshake.h"
#include "ngx_sio_client.h"

#include <ngx_sio_upgrade.h>
#include <sio_eio.h>


#define NGX_SIO_HANDSHAKE_BEARER  16384     /* longest token that is kept */


/* Between the 101 and the moment when the request is gone. */

typedef struct {
    ngx_sio_gateway_t    *gateway;
    ngx_sio_loc_conf_t   *conf;
    uint32_t              session;
    uint64_t              epoch;      /* of the zone that has the session */
    ngx_str_t            *bearer;     /* heap, or NULL */
} ngx_sio_handshake_t;


static ngx_int_t ngx_sio_handshake_check(ngx_http_request_t *r,
    ngx_sio_gateway_t *gw, ngx_uint_t upgrade);
static ngx_uint_t ngx_sio_handshake_known(ngx_sio_gateway_t *gw,
    sio_str_t *sid);
static ngx_int_t ngx_sio_handshake_refuse(ngx_http_request_t *r,
    ngx_uint_t upgrade, ngx_uint_t code);
static ngx_int_t ngx_sio_handshake_error(ngx_http_request_t *r,
    ngx_str_t *text);
static ngx_int_t ngx_sio_handshake_accept(ngx_http_request_t *r,
    ngx_sio_gateway_t *gw);
static uint32_t ngx_sio_handshake_session(ngx_sio_gateway_t *gw, u_char *sid);
static ngx_str_t *ngx_sio_handshake_bearer(ngx_http_request_t *r);
static void ngx_sio_handshake_detached(void *data, ngx_connection_t *c,
    u_char *p, size_t len);
static void ngx_sio_handshake_failed(void *data);
static void ngx_sio_handshake_free(ngx_sio_handshake_t *hs);


ngx_int_t
ngx_sio_handshake_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_str_t            error;
    ngx_uint_t           upgrade;
    ngx_sio_gateway_t   *gw;
    ngx_sio_loc_conf_t  *slcf;

    if (r != r->main) {
        /* a subrequest has no connection of its own to take over */
        return NGX_HTTP_NOT_FOUND;
    }

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_socketio_module);
    gw = ngx_sio_gateway_find(slcf->gateway);

    if (gw == NULL || gw->slot == 0 || gw->closing) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    upgrade = ngx_sio_upgrade_requested(r);

    rc = ngx_sio_handshake_check(r, gw, upgrade);

    if (rc != NGX_OK) {
        return ngx_sio_handshake_refuse(r, upgrade, rc - 1);
    }

    switch (ngx_sio_upgrade_check(r, &error)) {

    case NGX_OK:
        return ngx_sio_handshake_accept(r, gw);

    case NGX_DECLINED:
        return ngx_sio_handshake_error(r, &error);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* NGX_OK, or the error's code (a sio_eio_error_e) plus one. */

static ngx_int_t
ngx_sio_handshake_check(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_uint_t upgrade)
{
    sio_eio_query_t  query;

    sio_eio_query_parse(&query, r->args.data, r->args.len);

    if (query.transport != SIO_EIO_WEBSOCKET) {
        return SIO_EIO_UNKNOWN_TRANSPORT + 1;
    }

    if (query.sid.len) {

        /* a WebSocket has its session for itself */

        return ngx_sio_handshake_known(gw, &query.sid)
               ? SIO_EIO_BAD_REQUEST + 1 : SIO_EIO_UNKNOWN_SID + 1;
    }

    if (r->method != NGX_HTTP_GET) {
        return SIO_EIO_BAD_METHOD + 1;
    }

    if (!upgrade) {
        return SIO_EIO_BAD_REQUEST + 1;
    }

    if (query.version != 4) {
        return SIO_EIO_UNSUPPORTED_VERSION + 1;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_sio_handshake_known(ngx_sio_gateway_t *gw, sio_str_t *sid)
{
    uint32_t  session;

    if (sid->len != NGX_SIO_SID_LEN || ngx_sio_zone_lock(gw->zone) != NGX_OK) {
        return 0;
    }

    session = ngx_sio_session_by_eio_locked(gw->zone, sid->data);

    ngx_sio_zone_unlock(gw->zone);

    return session != 0;
}


/* The reference answers JSON to a request and text to an upgrade. */

static ngx_int_t
ngx_sio_handshake_refuse(ngx_http_request_t *r, ngx_uint_t upgrade,
    ngx_uint_t code)
{
    u_char                     buf[128], *p;
    ngx_str_t                  text, type;
    const sio_str_t           *message;
    ngx_http_complex_value_t   cv;

    message = sio_eio_error_text(code);

    text.data = (u_char *) message->data;
    text.len = message->len;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "socketio handshake refused: %V", &text);

    if (upgrade) {
        return ngx_sio_handshake_error(r, &text);
    }

    p = ngx_snprintf(buf, sizeof(buf), "{\"code\":%ui,\"message\":\"%V\"}",
                     code, &text);

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value.len = p - buf;
    cv.value.data = ngx_pnalloc(r->pool, cv.value.len);
    if (cv.value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(cv.value.data, buf, cv.value.len);

    ngx_str_set(&type, "application/json");

    return ngx_http_send_response(r, code == SIO_EIO_FORBIDDEN
                                     ? NGX_HTTP_FORBIDDEN
                                     : NGX_HTTP_BAD_REQUEST, &type, &cv);
}


static ngx_int_t
ngx_sio_handshake_error(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_str_t                 type;
    ngx_http_complex_value_t  cv;

    r->keepalive = 0;

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = *text;

    ngx_str_set(&type, "text/html");

    return ngx_http_send_response(r, NGX_HTTP_BAD_REQUEST, &type, &cv);
}


static ngx_int_t
ngx_sio_handshake_accept(ngx_http_request_t *r, ngx_sio_gateway_t *gw)
{
    size_t                len, head;
    u_char                sid[NGX_SIO_SID_LEN];
    u_char                open[SIO_EIO_OPEN_LEN];
    u_char                frame[SIO_WS_HEADER + SIO_EIO_OPEN_LEN];
    ngx_sio_loc_conf_t   *slcf;
    ngx_sio_handshake_t  *hs;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_socketio_module);

    hs = ngx_calloc(sizeof(ngx_sio_handshake_t), r->connection->log);
    if (hs == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    hs->gateway = gw;
    hs->conf = slcf;
    hs->epoch = gw->zone->epoch;
    hs->session = ngx_sio_handshake_session(gw, sid);

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


static uint32_t
ngx_sio_handshake_session(ngx_sio_gateway_t *gw, u_char *sid)
{
    uint32_t  session;

    if (ngx_sio_gateway_sid(gw, sid) != NGX_OK) {
        return 0;
    }

    session = ngx_sio_session_open(gw->zone, gw->slot, sid, SIO_EIO_WEBSOCKET);

    if (session == 0 && !ngx_sio_zone_lost(gw->zone)) {
        ngx_sio_gateway_full(gw);
    }

    return session;
}


/* "Authorization: Bearer <token>"; RFC 6750, 2.1 */

static ngx_str_t *
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

    sc = NULL;

    if (hs->epoch == hs->gateway->zone->epoch && !hs->gateway->closing) {
        sc = ngx_sio_client_create(hs->gateway, hs->conf, c, hs->session,
                                   hs->bearer);
    }

    if (sc == NULL) {
        ngx_sio_handshake_free(hs);
        ngx_http_close_connection(c);
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
    /* a worker that has left its slot has ended all of its sessions */

    if (hs->gateway->slot && hs->epoch == hs->gateway->zone->epoch) {
        (void) ngx_sio_session_close(hs->gateway->zone, hs->session);
    }

    if (hs->bearer) {
        ngx_free(hs->bearer);
    }

    ngx_free(hs);
}
