
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_probe.h"
#include "ngx_sio_arrive.h"
#include "ngx_sio_claim.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_handshake.h"
#include "ngx_sio_partial.h"
#include "ngx_sio_websocket.h"

#include <ngx_sio_bare.h>
#include <ngx_sio_upgrade.h>


#define NGX_SIO_PROBE_TICK   100      /* ms until a pending poll is asked again
                                         to end */
#define NGX_SIO_PROBE_PARTS  16       /* of socketio_connect_timeout */


struct ngx_sio_probe_s {
    ngx_sio_client_t     *client;
    ngx_sio_deadline_t    tick;
    ngx_sio_deadline_t    limit;      /* socketio_upgrade_timeout */
    ngx_sio_claim_t       claim;
    sio_buf_t             early;      /* messages behind the "5", each with an
                                         ngx_sio_probe_early_t in front */
    ngx_uint_t            switching;  /* the client has sent the "5" */
};


typedef struct {
    uint32_t              opcode;
    uint32_t              len;
} ngx_sio_probe_early_t;


/* Between the 101 and the moment when the request is gone. */

typedef struct {
    ngx_sio_gateway_t    *gateway;
    ngx_sio_loc_conf_t   *conf;
    u_char                eio_sid[NGX_SIO_SID_LEN];
    ngx_str_t            *bearer;     /* heap, or NULL */
    ngx_uint_t            second;     /* the session needs no WebSocket */
} ngx_sio_probe_request_t;


static ngx_int_t ngx_sio_probe_begin(ngx_sio_gateway_t *gw,
    const u_char *eio_sid);
static void ngx_sio_probe_abort(ngx_sio_gateway_t *gw, const u_char *eio_sid);
static void ngx_sio_probe_detached(void *data, ngx_connection_t *c,
    ngx_uint_t window, u_char *p, size_t len);
static ngx_int_t ngx_sio_probe_create(ngx_sio_client_t *sc);
static void ngx_sio_probe_failed(void *data);
static void ngx_sio_probe_answer(ngx_sio_client_t *sc);
static void ngx_sio_probe_tick(ngx_sio_deadline_t *d);
static void ngx_sio_probe_limit(ngx_sio_deadline_t *d);
static void ngx_sio_probe_keep(ngx_sio_client_t *sc, ngx_uint_t opcode,
    u_char *data, size_t len);
static void ngx_sio_probe_again(ngx_sio_claim_t *cl);
static void ngx_sio_probe_switch(ngx_sio_client_t *sc);
static ngx_int_t ngx_sio_probe_claim(ngx_sio_client_t *sc, ngx_uint_t *pinged,
    ngx_msec_t *left);
static ngx_int_t ngx_sio_probe_connect(ngx_sio_client_t *sc, int32_t left);
static void ngx_sio_probe_replay(ngx_sio_client_t *sc, sio_buf_t *early);


ngx_int_t
ngx_sio_probe_start(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid)
{
    ngx_int_t                 rc;
    ngx_sio_probe_request_t  *pr;

    pr = ngx_calloc(sizeof(ngx_sio_probe_request_t), r->connection->log);
    if (pr == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_sio_handshake_bearer(r, &pr->bearer) != NGX_OK) {
        ngx_free(pr);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_sio_probe_begin(gw, eio_sid);

    if (rc == NGX_BUSY) {

        if (pr->bearer) {
            ngx_free(pr->bearer);
        }

        ngx_free(pr);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    /* a second WebSocket for a session is closed behind the 101 */

    pr->second = (rc != NGX_OK);
    pr->gateway = gw;
    pr->conf = slcf;
    ngx_memcpy(pr->eio_sid, eio_sid, NGX_SIO_SID_LEN);

    return ngx_sio_upgrade_start(r, slcf->deflate != 0, NULL, 0,
                                 ngx_sio_probe_detached, ngx_sio_probe_failed,
                                 pr);
}


/* NGX_OK; NGX_DECLINED: the session does not wait for one; NGX_BUSY. */

static ngx_int_t
ngx_sio_probe_begin(ngx_sio_gateway_t *gw, const u_char *eio_sid)
{
    uint32_t               i;
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = gw->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;
    i = ngx_sio_zone_lost(z) ? 0 : ngx_sio_session_by_eio_locked(z, eio_sid);

    if (i) {
        ss = &z->sessions[i];

        if (ss->transport == SIO_EIO_POLLING
            && (ss->flags & (NGX_SIO_UPGRADING|NGX_SIO_CLOSING)) == 0)
        {
            ss->flags |= NGX_SIO_UPGRADING;
            rc = NGX_OK;
        }
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


/* The session may be probed by another WebSocket. */

static void
ngx_sio_probe_abort(ngx_sio_gateway_t *gw, const u_char *eio_sid)
{
    uint32_t         i;
    ngx_sio_zone_t  *z;

    z = gw->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return;
    }

    i = ngx_sio_zone_lost(z) ? 0 : ngx_sio_session_by_eio_locked(z, eio_sid);

    if (i) {
        z->sessions[i].flags &= ~NGX_SIO_UPGRADING;
    }

    ngx_sio_zone_unlock(z);
}


static void
ngx_sio_probe_detached(void *data, ngx_connection_t *c, ngx_uint_t window,
    u_char *p, size_t len)
{
    ngx_sio_probe_request_t *pr = data;

    ngx_sio_client_t  *sc;

    sc = ngx_sio_websocket_create(pr->gateway, pr->conf, c, window);

    if (sc == NULL) {
        ngx_sio_probe_failed(pr);
        ngx_sio_bare_close(c);
        return;
    }

    ngx_memcpy(sc->eio_sid, pr->eio_sid, NGX_SIO_SID_LEN);
    sc->bearer = pr->bearer;
    pr->bearer = NULL;

    if (pr->second || ngx_sio_probe_create(sc) != NGX_OK) {
        ngx_sio_probe_failed(pr);
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return;
    }

    ngx_free(pr);

    ngx_sio_ws_input(&sc->ws, p, len);
}


static ngx_int_t
ngx_sio_probe_create(ngx_sio_client_t *sc)
{
    ngx_sio_probe_t           *pb;
    ngx_sio_deadline_queue_t  *q;

    q = ngx_sio_deadline_queue(sc->conf->upgrade_timeout,
                               ngx_sio_probe_limit);
    if (q == NULL) {
        return NGX_ERROR;
    }

    pb = ngx_calloc(sizeof(ngx_sio_probe_t), sc->gateway->log);
    if (pb == NULL) {
        return NGX_ERROR;
    }

    pb->client = sc;
    pb->claim.again = ngx_sio_probe_again;

    sc->probe = pb;

    ngx_sio_deadline_set(q, &pb->limit);

    return NGX_OK;
}


static void
ngx_sio_probe_failed(void *data)
{
    ngx_sio_probe_request_t *pr = data;

    if (!pr->second) {
        ngx_sio_probe_abort(pr->gateway, pr->eio_sid);
    }

    if (pr->bearer) {
        ngx_free(pr->bearer);
    }

    ngx_free(pr);
}


void
ngx_sio_probe_message(ngx_sio_client_t *sc, ngx_uint_t opcode, u_char *data,
    size_t len)
{
    if (sc->probe->switching) {
        ngx_sio_probe_keep(sc, opcode, data, len);
        return;
    }

    if (opcode == SIO_WS_TEXT && len == 6
        && ngx_strncmp(data, "2probe", 6) == 0)
    {
        ngx_sio_probe_answer(sc);
        return;
    }

    if (opcode == SIO_WS_TEXT && len == 1 && data[0] == SIO_EIO_UPGRADE) {
        sc->probe->switching = 1;
        ngx_sio_probe_switch(sc);
        return;
    }

    ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
}


static void
ngx_sio_probe_answer(ngx_sio_client_t *sc)
{
    ngx_sio_client_send(sc, (u_char *) "3probe", 6);

    if (sc->state != NGX_SIO_CLIENT_CLOSED
        && sc->probe->tick.link.next == NULL)
    {
        ngx_sio_probe_tick(&sc->probe->tick);
    }
}


/*
 * The client polls no more once its pending poll has ended, so that is made to
 * happen; again and again, because it may have begun another one before it got
 * our answer.
 */

static void
ngx_sio_probe_tick(ngx_sio_deadline_t *d)
{
    uint32_t                   i;
    ngx_sio_zone_t            *z;
    ngx_sio_probe_t           *pb;
    ngx_sio_client_t          *sc;
    ngx_sio_deadline_queue_t  *q;

    pb = ngx_queue_data(d, ngx_sio_probe_t, tick);
    sc = pb->client;
    z = sc->gateway->zone;

    if (ngx_sio_zone_lock(z) == NGX_OK) {

        i = ngx_sio_session_by_eio_locked(z, sc->eio_sid);

        if (i) {
            ngx_sio_claim_ask_locked(sc->gateway, i);
        }

        ngx_sio_zone_unlock(z);
    }

    q = ngx_sio_deadline_queue(NGX_SIO_PROBE_TICK, ngx_sio_probe_tick);

    if (q) {
        ngx_sio_deadline_set(q, d);
    }
}


static void
ngx_sio_probe_limit(ngx_sio_deadline_t *d)
{
    ngx_sio_probe_t  *pb;

    pb = ngx_queue_data(d, ngx_sio_probe_t, limit);

    ngx_sio_client_close(pb->client, NGX_SIO_CLOSE_FORCED);
}


/* What comes behind the "5" waits until the session is here. */

static void
ngx_sio_probe_keep(ngx_sio_client_t *sc, ngx_uint_t opcode, u_char *data,
    size_t len)
{
    sio_buf_t              *b;
    ngx_sio_probe_early_t   head;

    b = &sc->probe->early;

    head.opcode = opcode;
    head.len = (uint32_t) len;

    if (b->len + len > sc->conf->max_payload + sc->conf->send_queue
        || sio_buf_append(b, &head, sizeof(ngx_sio_probe_early_t)) != SIO_OK
        || sio_buf_append(b, data, len) != SIO_OK)
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
    }
}


static void
ngx_sio_probe_again(ngx_sio_claim_t *cl)
{
    ngx_sio_probe_t  *pb;

    pb = ngx_queue_data(cl, ngx_sio_probe_t, claim);

    if (pb->client->state != NGX_SIO_CLIENT_CLOSED) {
        ngx_sio_probe_switch(pb->client);
    }
}


static void
ngx_sio_probe_switch(ngx_sio_client_t *sc)
{
    ngx_int_t         rc;
    ngx_uint_t        pinged;
    ngx_msec_t        left;
    ngx_sio_probe_t  *pb;

    pb = sc->probe;

    rc = ngx_sio_probe_claim(sc, &pinged, &left);

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return;
    }

    ngx_sio_deadline_clear(&pb->tick);
    ngx_sio_deadline_clear(&pb->limit);

    ngx_sio_gateway_stat(sc->gateway, UPGRADES, 1);

    ngx_sio_websocket_beat(sc, pinged, left);
    ngx_sio_arrive(sc);
}


void
ngx_sio_probe_arrived(ngx_sio_client_t *sc)
{
    sio_buf_t  early;

    early = sc->probe->early;
    ngx_memzero(&sc->probe->early, sizeof(sio_buf_t));

    ngx_sio_probe_end(sc);
    ngx_sio_probe_replay(sc, &early);
}


static ngx_int_t
ngx_sio_probe_claim(ngx_sio_client_t *sc, ngx_uint_t *pinged, ngx_msec_t *left)
{
    uint32_t               i, partial;
    uint64_t               now;
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_gateway_t     *gw;
    ngx_sio_session_sh_t  *ss;

    gw = sc->gateway;
    z = gw->zone;
    partial = 0;

    *pinged = 0;
    *left = 1;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        ngx_sio_claim_wait(gw, &sc->probe->claim);
        return NGX_AGAIN;
    }

    i = ngx_sio_zone_lost(z) ? 0
                             : ngx_sio_session_by_eio_locked(z, sc->eio_sid);

    rc = i ? ngx_sio_claim_locked(gw, &sc->probe->claim, i, &sc->owner)
           : NGX_DECLINED;

    if (rc == NGX_OK) {
        ss = &z->sessions[i];
        now = ngx_sio_zone_now();

        ngx_sio_session_transport_locked(z, i, SIO_EIO_WEBSOCKET);

        sc->session = i;
        sc->attachments = ss->attachments;
        partial = ss->partial;
        sc->illegal = (ss->flags & NGX_SIO_ILLEGAL) != 0;

        /* a ping that no poll has taken is sent anew */

        *pinged = (ss->flags & (NGX_SIO_PINGED|NGX_SIO_PING_DUE))
                  == NGX_SIO_PINGED;
        *left = (ss->flags & NGX_SIO_PING_DUE || ss->deadline < now)
                ? 1 : (ngx_msec_t) (ss->deadline - now);

        ss->flags &= ~(NGX_SIO_UPGRADING|NGX_SIO_PINGED|NGX_SIO_PING_DUE
                       |NGX_SIO_EXTENDED);
        ss->deadline = 0;

        if (ss->sid[0] == 0 && ss->connect_by
            && (ss->flags & NGX_SIO_CONNECTING) == 0)
        {
            rc = ngx_sio_probe_connect(sc, (int32_t) (ss->connect_by
                                                      - (uint32_t) now));
        }
    }

    ngx_sio_zone_unlock(z);

    if (ngx_sio_partial_load(sc, partial) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }

    return rc;
}


/* Rounded up to one of a few intervals, because there is a queue for each. */

static ngx_int_t
ngx_sio_probe_connect(ngx_sio_client_t *sc, int32_t left)
{
    ngx_msec_t  part, timeout;

    part = ngx_max(sc->conf->connect_timeout / NGX_SIO_PROBE_PARTS, 1);
    timeout = ((ngx_msec_t) ngx_max(left, 1) + part - 1) / part * part;

    return ngx_sio_connect_create(sc, timeout);
}


static void
ngx_sio_probe_replay(ngx_sio_client_t *sc, sio_buf_t *early)
{
    size_t                  at;
    ngx_sio_probe_early_t   head;

    at = 0;

    while (at < early->len && sc->state != NGX_SIO_CLIENT_CLOSED) {

        ngx_memcpy(&head, early->data + at, sizeof(ngx_sio_probe_early_t));
        at += sizeof(ngx_sio_probe_early_t);

        ngx_sio_websocket_message(sc, head.opcode, early->data + at, head.len);
        at += head.len;
    }

    sio_buf_free(early);
}


void
ngx_sio_probe_end(ngx_sio_client_t *sc)
{
    ngx_sio_probe_t  *pb;

    pb = sc->probe;
    sc->probe = NULL;

    ngx_sio_deadline_clear(&pb->tick);
    ngx_sio_deadline_clear(&pb->limit);
    ngx_sio_claim_cancel(&pb->claim);

    if (sc->session == 0) {
        ngx_sio_probe_abort(sc->gateway, sc->eio_sid);
    }

    sio_buf_free(&pb->early);
    ngx_free(pb);
}
