
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_request.h"
#include "ngx_sio_gateway.h"
#include "ngx_sio_handshake.h"
#include "ngx_sio_origin.h"
#include "ngx_sio_poll.h"
#include "ngx_sio_post.h"
#include "ngx_sio_probe.h"

#include <ngx_sio_http.h>
#include <ngx_sio_upgrade.h>
#include <sio_eio.h>


typedef struct {
    ngx_http_request_t   *request;
    ngx_sio_gateway_t    *gateway;
    ngx_sio_loc_conf_t   *conf;
    sio_eio_query_t       query;
    ngx_uint_t            upgrade;
} ngx_sio_request_t;


static ngx_int_t ngx_sio_request_route(ngx_sio_request_t *rq);
static ngx_int_t ngx_sio_request_new(ngx_sio_request_t *rq);
static ngx_int_t ngx_sio_request_session(ngx_sio_request_t *rq);
static ngx_int_t ngx_sio_request_poll(ngx_sio_request_t *rq);
static ngx_int_t ngx_sio_request_websocket(ngx_sio_request_t *rq,
    ngx_int_t (*start)(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid));
static ngx_uint_t ngx_sio_request_is_known(ngx_sio_request_t *rq);
static ngx_int_t ngx_sio_request_refuse(ngx_sio_request_t *rq,
    sio_eio_error_e code);


ngx_int_t
ngx_sio_request_handler(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    ngx_sio_request_t  rq;

    if (r != r->main) {
        /* a subrequest has no connection of its own to take over */
        return NGX_HTTP_NOT_FOUND;
    }

    rq.request = r;
    rq.conf = ngx_http_get_module_loc_conf(r, ngx_http_socketio_module);
    rq.gateway = ngx_sio_gateway_find(rq.conf->gateway);
    rq.upgrade = ngx_sio_upgrade_requested(r);

    sio_eio_query_parse(&rq.query, r->args.data, r->args.len);

    /* before anything is logged */

    if (ngx_sio_handshake_token(r, &rq.query) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_sio_origin_handler(r, rq.conf->origins);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (rq.gateway == NULL || rq.gateway->slot == 0) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    return ngx_sio_request_route(&rq);
}


static ngx_int_t
ngx_sio_request_route(ngx_sio_request_t *rq)
{
    if (rq->query.transport == 0
        || (rq->conf->transports & 1 << rq->query.transport) == 0)
    {
        return ngx_sio_request_refuse(rq, SIO_EIO_UNKNOWN_TRANSPORT);
    }

    /* a WebSocket cannot carry polls */

    if (rq->upgrade && rq->query.transport == SIO_EIO_POLLING) {
        return ngx_sio_request_refuse(rq, SIO_EIO_BAD_REQUEST);
    }

    return rq->query.sid.len ? ngx_sio_request_session(rq)
                             : ngx_sio_request_new(rq);
}


static ngx_int_t
ngx_sio_request_new(ngx_sio_request_t *rq)
{
    if (rq->request->method != NGX_HTTP_GET) {
        return ngx_sio_request_refuse(rq, SIO_EIO_BAD_METHOD);
    }

    if (rq->query.transport == SIO_EIO_WEBSOCKET && !rq->upgrade) {
        return ngx_sio_request_refuse(rq, SIO_EIO_BAD_REQUEST);
    }

    if (rq->query.version != 4) {
        return ngx_sio_request_refuse(rq, SIO_EIO_UNSUPPORTED_VERSION);
    }

    if (rq->query.transport == SIO_EIO_POLLING) {
        return ngx_sio_handshake_poll(rq->request, rq->gateway, rq->conf);
    }

    return ngx_sio_request_websocket(rq, ngx_sio_handshake_websocket);
}


static ngx_int_t
ngx_sio_request_session(ngx_sio_request_t *rq)
{
    if (!ngx_sio_request_is_known(rq)) {
        return ngx_sio_request_refuse(rq, SIO_EIO_UNKNOWN_SID);
    }

    if (rq->query.transport == SIO_EIO_WEBSOCKET && !rq->upgrade) {
        return ngx_sio_request_refuse(rq, SIO_EIO_BAD_REQUEST);
    }

    if (rq->query.version != 4) {
        return ngx_sio_request_refuse(rq, SIO_EIO_BAD_REQUEST);
    }

    if (rq->query.transport == SIO_EIO_POLLING) {
        return ngx_sio_request_poll(rq);
    }

    return ngx_sio_request_websocket(rq, ngx_sio_probe_start);
}


static ngx_int_t
ngx_sio_request_poll(ngx_sio_request_t *rq)
{
    switch (rq->request->method) {

    case NGX_HTTP_GET:
        return ngx_sio_poll_start(rq->request, rq->gateway, rq->conf,
                                  rq->query.sid.data);

    case NGX_HTTP_POST:
        return ngx_sio_post_start(rq->request, rq->gateway, rq->conf,
                                  rq->query.sid.data);

    default:
        return ngx_sio_http_empty(rq->request,
                                  NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static ngx_int_t
ngx_sio_request_websocket(ngx_sio_request_t *rq,
    ngx_int_t (*start)(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid))
{
    ngx_str_t  error;

    if (rq->gateway->closing) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    switch (ngx_sio_upgrade_check(rq->request, rq->conf->deflate != 0,
                                  &error)) {

    case NGX_OK:
        return start(rq->request, rq->gateway, rq->conf, rq->query.sid.data);

    case NGX_DECLINED:
        return ngx_sio_http_bad_upgrade(rq->request, &error);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static ngx_uint_t
ngx_sio_request_is_known(ngx_sio_request_t *rq)
{
    uint32_t         session;
    ngx_sio_zone_t  *z;

    z = rq->gateway->zone;

    if (rq->query.sid.len != NGX_SIO_SID_LEN
        || ngx_sio_zone_lock(z) != NGX_OK)
    {
        return 0;
    }

    session = ngx_sio_session_by_eio_locked(z, rq->query.sid.data);

    ngx_sio_zone_unlock(z);

    return session != 0;
}


/* The reference answers JSON to a request and text to an upgrade. */

static ngx_int_t
ngx_sio_request_refuse(ngx_sio_request_t *rq, sio_eio_error_e code)
{
    ngx_str_t         text;
    const sio_str_t  *message;

    if (!rq->upgrade) {
        return ngx_sio_http_error(rq->request, code);
    }

    message = sio_eio_error_text(code);

    text.data = (u_char *) message->data;
    text.len = message->len;

    return ngx_sio_http_bad_upgrade(rq->request, &text);
}
