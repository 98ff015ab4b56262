
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_handshake.h"
#include "ngx_sio_part.h"
#include "ngx_sio_quota.h"
#include "ngx_sio_websocket.h"

#include <ngx_sio_bare.h>
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


static ngx_int_t ngx_sio_handshake_session(ngx_http_request_t *r,
    ngx_sio_gateway_t *gw, ngx_sio_loc_conf_t *slcf, ngx_uint_t transport,
    u_char *sid, uint32_t *session, uint64_t *owner);
static ngx_int_t ngx_sio_handshake_keep(ngx_http_request_t *r,
    sio_str_t token);
static void ngx_sio_handshake_hide(ngx_str_t *line);
static ngx_int_t ngx_sio_handshake_hide_args(ngx_http_request_t *r);
static void ngx_sio_handshake_authorization(ngx_http_request_t *r,
    ngx_str_t *token);
static void ngx_sio_handshake_detached(void *data, ngx_connection_t *c,
    ngx_uint_t window, u_char *p, size_t len);
static void ngx_sio_handshake_failed(void *data);
static void ngx_sio_handshake_free(ngx_sio_handshake_t *hs);


ngx_int_t
ngx_sio_handshake_poll(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf)
{
    size_t     len;
    u_char     sid[NGX_SIO_SID_LEN], open[SIO_EIO_OPEN_LEN];
    uint32_t   session;
    uint64_t   owner;
    ngx_int_t  rc;

    rc = ngx_sio_handshake_session(r, gw, slcf, SIO_EIO_POLLING, sid,
                                   &session, &owner);
    if (rc != NGX_OK) {
        return rc;
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
    ngx_int_t             rc;
    ngx_sio_handshake_t  *hs;

    hs = ngx_calloc(sizeof(ngx_sio_handshake_t), r->connection->log);
    if (hs == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    hs->gateway = gw;
    hs->conf = slcf;

    rc = ngx_sio_handshake_session(r, gw, slcf, SIO_EIO_WEBSOCKET, sid,
                                   &hs->session, &hs->owner);
    if (rc != NGX_OK) {
        ngx_free(hs);
        return rc;
    }

    if (ngx_sio_handshake_bearer(r, &hs->bearer) != NGX_OK) {
        ngx_sio_handshake_free(hs);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = sio_eio_open(open, sid, 0, slcf->ping_interval, slcf->ping_timeout,
                       slcf->max_payload);

    head = sio_ws_header(frame, SIO_WS_TEXT, len);
    ngx_memcpy(frame + head, open, len);

    return ngx_sio_upgrade_start(r, slcf->deflate != 0, frame, head + len,
                                 ngx_sio_handshake_detached,
                                 ngx_sio_handshake_failed, hs);
}


/*
 * slot 0: a session that polls is nobody's until the first poll.  NGX_OK, or
 * what the request is to be finalized with.
 */

static ngx_int_t
ngx_sio_handshake_session(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, ngx_uint_t transport, u_char *sid,
    uint32_t *session, uint64_t *owner)
{
    ngx_sio_session_new_t  new;

    if (ngx_sio_gateway_sid(gw, sid) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    new.eio_sid = sid;
    new.transport = transport;
    new.ping_interval = (uint32_t) slcf->ping_interval;
    new.ping_timeout = (uint32_t) slcf->ping_timeout;
    new.connect_timeout = (uint32_t) slcf->connect_timeout;
    new.address = ngx_sio_quota_address(r, gw);
    new.most = (slcf->limit && new.address) ? slcf->limit->per_ip : 0;

    *session = ngx_sio_session_open(gw->zone,
                                    transport == SIO_EIO_POLLING ? 0
                                                                 : gw->slot,
                                    &new, owner);

    if (*session == 0) {

        if (new.limited) {
            return ngx_sio_quota_refuse(r, gw);
        }

        if (!ngx_sio_zone_lost(gw->zone)) {
            ngx_sio_gateway_full(gw);
        }

        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ngx_sio_gateway_stat(gw, HANDSHAKES, 1);

    return NGX_OK;
}


ngx_int_t
ngx_sio_handshake_token(ngx_http_request_t *r, const sio_eio_query_t *query)
{
    ngx_int_t            rc;
    ngx_sio_loc_conf_t  *slcf;

    if (query->token.data == NULL) {
        return NGX_OK;
    }

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_socketio_module);

    rc = (slcf->token_sources & NGX_SIO_TOKEN_QUERY)
         ? ngx_sio_handshake_keep(r, query->token) : NGX_OK;

    /* that nobody asked for it does not make it less of a secret */

    ngx_sio_handshake_hide(&r->request_line);
    ngx_sio_handshake_hide(&r->unparsed_uri);

    return ngx_sio_handshake_hide_args(r) == NGX_OK ? rc : NGX_ERROR;
}


static ngx_int_t
ngx_sio_handshake_keep(ngx_http_request_t *r, sio_str_t token)
{
    u_char     *p;
    ngx_str_t  *kept;

    kept = ngx_palloc(r->pool, sizeof(ngx_str_t) + token.len);
    if (kept == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) (kept + 1);
    token = sio_eio_query_decode(p, token.len, token);

    if (token.data != p) {
        ngx_memcpy(p, token.data, token.len);
    }

    kept->len = token.len;
    kept->data = p;

    ngx_http_set_ctx(r, kept, ngx_http_socketio_module);

    return NGX_OK;
}


/* In a request line the query ends with a space. */

static void
ngx_sio_handshake_hide(ngx_str_t *line)
{
    u_char  *p, *end, *last;

    last = line->data + line->len;

    p = ngx_strlchr(line->data, last, '?');
    if (p == NULL) {
        return;
    }

    p++;

    end = ngx_strlchr(p, last, ' ');
    if (end == NULL) {
        end = last;
    }

    sio_eio_query_hide(p, end - p);
}


/*
 * The arguments are a part of the URI, unless the request was redirected: they
 * may stand in the configuration then.
 */

static ngx_int_t
ngx_sio_handshake_hide_args(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_str_t  *uri;

    uri = &r->unparsed_uri;

    if (r->args.data >= uri->data && r->args.data < uri->data + uri->len) {
        return NGX_OK;
    }

    p = ngx_pstrdup(r->pool, &r->args);
    if (p == NULL) {
        return NGX_ERROR;
    }

    sio_eio_query_hide(p, r->args.len);
    r->args.data = p;

    return NGX_OK;
}


ngx_int_t
ngx_sio_handshake_bearer(ngx_http_request_t *r, ngx_str_t **bearer)
{
    ngx_str_t           *p, *kept, token;
    ngx_sio_loc_conf_t  *slcf;

    *bearer = NULL;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_socketio_module);

    ngx_str_null(&token);

    if (slcf->token_sources & NGX_SIO_TOKEN_HEADER) {
        ngx_sio_handshake_authorization(r, &token);
    }

    kept = ngx_http_get_module_ctx(r, ngx_http_socketio_module);

    if (token.len == 0 && kept) {
        token = *kept;
    }

    if (token.len == 0 || token.len > NGX_SIO_HANDSHAKE_BEARER) {
        return NGX_OK;
    }

    p = ngx_alloc(sizeof(ngx_str_t) + token.len, r->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p->len = token.len;
    p->data = (u_char *) (p + 1);
    ngx_memcpy(p->data, token.data, token.len);

    *bearer = p;

    return NGX_OK;
}


/* "Authorization: Bearer <token>"; RFC 6750, 2.1 */

static void
ngx_sio_handshake_authorization(ngx_http_request_t *r, ngx_str_t *token)
{
    ngx_str_t  value;

    if (r->headers_in.authorization == NULL) {
        return;
    }

    value = r->headers_in.authorization->value;

    if (value.len <= 7
        || ngx_strncasecmp(value.data, (u_char *) "bearer ", 7) != 0)
    {
        return;
    }

    value.data += 7;
    value.len -= 7;

    while (value.len && value.data[0] == ' ') {
        value.data++;
        value.len--;
    }

    *token = value;
}


static void
ngx_sio_handshake_detached(void *data, ngx_connection_t *c,
    ngx_uint_t window, u_char *p, size_t len)
{
    ngx_sio_handshake_t  *hs = data;

    ngx_sio_client_t  *sc;

    sc = ngx_sio_session_mine(hs->gateway->zone, hs->session, hs->owner)
         ? ngx_sio_websocket_create(hs->gateway, hs->conf, c, window)
         : NULL;

    if (sc == NULL) {
        ngx_sio_handshake_free(hs);
        ngx_sio_bare_close(c);
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
