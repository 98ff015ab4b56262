
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_post.h"
#include "ngx_sio_beat.h"
#include "ngx_sio_branch.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_greet.h"
#include "ngx_sio_handshake.h"
#include "ngx_sio_partial.h"
#include "ngx_sio_receive.h"

#include <ngx_sio_http.h>
#include <sio_payload.h>
#include <sio_utf8.h>


typedef struct {
    ngx_sio_client_t      client;     /* first */
    ngx_http_request_t   *request;    /* NULL: answered, or gone */
    unsigned              ignored:1;  /* the session is being closed */
    unsigned              ended:1;    /* closed, the request has yet to end */
    unsigned              waiting:1;  /* all is done but what is held */
    uint32_t              partial;    /* of the session */
    ngx_uint_t            held;       /* events on their way to the backend */
} ngx_sio_post_t;


static ngx_int_t ngx_sio_post_enter(ngx_http_request_t *r, ngx_sio_post_t *p);
static ngx_int_t ngx_sio_post_enter_locked(ngx_http_request_t *r,
    ngx_sio_post_t *p);
static ngx_int_t ngx_sio_post_branches_locked(ngx_sio_client_t *sc,
    uint32_t transport);
static ngx_uint_t ngx_sio_post_state(ngx_sio_session_sh_t *ss);
static ngx_uint_t ngx_sio_post_is_binary(ngx_http_request_t *r);
static void ngx_sio_post_body(ngx_http_request_t *r, void *data, ngx_int_t rc,
    u_char *body, size_t len);
static ngx_uint_t ngx_sio_post_is_alive(ngx_sio_post_t *p);
static void ngx_sio_post_gone(void *data);
static void ngx_sio_post_packets(ngx_sio_post_t *p, u_char *body, size_t len);
static ngx_int_t ngx_sio_post_answer(ngx_sio_post_t *p, ngx_int_t rc);
static void ngx_sio_post_done(ngx_sio_post_t *p);
static void ngx_sio_post_leave(ngx_sio_post_t *p);
static ngx_uint_t ngx_sio_post_is_pending(ngx_sio_client_t *sc);
static void ngx_sio_post_forget(ngx_sio_client_t *sc);
static void ngx_sio_post_arrived(ngx_sio_client_t *sc, uint64_t left,
    uint64_t met);
static void ngx_sio_post_branch_arrived(ngx_sio_client_t *sc, uint64_t left,
    uint64_t met);
static void ngx_sio_post_hold(ngx_sio_client_t *sc);
static void ngx_sio_post_unhold(ngx_sio_client_t *sc);
static void ngx_sio_post_stop(ngx_sio_client_t *sc);
static void ngx_sio_post_end(ngx_sio_client_t *sc);
static void ngx_sio_post_end_session(ngx_sio_post_t *p);


static const ngx_sio_transport_t  ngx_sio_post_branch = {
    SIO_EIO_POLLING,
    ngx_sio_post_write,
    NULL,                             /* packets are for the carrier */
    NULL,
    ngx_sio_post_disconnect,
    ngx_sio_post_kick,
    NULL,                             /* never in an index: nothing leaves */
    NULL,                             /*   or is released by it */
    ngx_sio_post_connect,
    ngx_sio_post_branch_arrived,
    NULL,
    ngx_sio_branch_free,
    NULL,
    0,
    NULL,
    NULL,
    NULL
};


static const ngx_sio_transport_t  ngx_sio_post_transport = {
    SIO_EIO_POLLING,
    ngx_sio_post_write,
    ngx_sio_post_pong,
    ngx_sio_post_alive,
    ngx_sio_post_disconnect,
    ngx_sio_post_kick,
    ngx_sio_post_stop,                /* never in an index: nothing leaves */
    ngx_sio_post_stop,                /*   or is released by it */
    ngx_sio_post_connect,
    ngx_sio_post_arrived,
    ngx_sio_post_stop,
    ngx_sio_post_end,
    &ngx_sio_post_branch,
    sizeof(ngx_sio_branch_t),
    NULL,
    ngx_sio_post_hold,
    ngx_sio_post_unhold
};


ngx_int_t
ngx_sio_post_start(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid)
{
    ngx_int_t          rc;
    ngx_sio_post_t    *p;
    ngx_sio_client_t  *sc;

    sc = ngx_sio_client_create(gw, slcf, &ngx_sio_post_transport,
                               sizeof(ngx_sio_post_t));
    if (sc == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = (ngx_sio_post_t *) sc;

    ngx_memcpy(sc->eio_sid, eio_sid, NGX_SIO_SID_LEN);

    if (ngx_sio_handshake_bearer(r, &sc->bearer) != NGX_OK) {
        ngx_sio_client_forget(sc);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_sio_post_enter(r, p);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    p->request = r;
    sc->log = r->connection->log;

    return ngx_sio_http_read_body(r, slcf->max_payload, ngx_sio_post_body,
                                  ngx_sio_post_gone, p);
}


/* NGX_DECLINED: read its body; else the result of the request. */

static ngx_int_t
ngx_sio_post_enter(ngx_http_request_t *r, ngx_sio_post_t *p)
{
    ngx_int_t          rc;
    ngx_sio_client_t  *sc;

    sc = &p->client;

    if (ngx_sio_zone_lock(sc->gateway->zone) != NGX_OK) {
        ngx_sio_client_forget(sc);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    rc = ngx_sio_post_enter_locked(r, p);

    ngx_sio_zone_unlock(sc->gateway->zone);

    switch (rc) {

    case NGX_OK:
        return NGX_DECLINED;

    case NGX_ABORT:

        /* the session ends, and with it whatever else is at it */

        ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_ERROR);
        return ngx_sio_http_empty(r, NGX_HTTP_BAD_REQUEST);

    case NGX_DONE:
        ngx_sio_client_forget(sc);
        return ngx_sio_http_error(r, SIO_EIO_BAD_REQUEST);

    case NGX_ERROR:
        ngx_sio_client_forget(sc);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;

    default: /* NGX_DECLINED */
        ngx_sio_client_forget(sc);
        return ngx_sio_http_error(r, SIO_EIO_UNKNOWN_SID);
    }
}


/*
 * NGX_OK; NGX_ABORT: this breaks the protocol; NGX_DONE: the session does not
 * poll; NGX_DECLINED: there is none; NGX_ERROR: no memory.
 */

static ngx_int_t
ngx_sio_post_enter_locked(ngx_http_request_t *r, ngx_sio_post_t *p)
{
    uint32_t               i;
    ngx_sio_client_t      *sc;
    ngx_sio_session_sh_t  *ss;

    sc = &p->client;
    ss = ngx_sio_post_session_locked(sc, &i);

    if (ss == NULL) {
        return NGX_DECLINED;
    }

    if (ss->transport != SIO_EIO_POLLING) {
        return NGX_DONE;
    }

    if (ngx_sio_post_is_binary(r)
        || ngx_sio_session_post_locked(sc->gateway->zone, i,
                                       sc->gateway->slot)
           != NGX_OK)
    {
        return NGX_ABORT;
    }

    p->ignored = (ss->flags & NGX_SIO_CLOSING) != 0;

    sc->attachments = ss->attachments;
    p->partial = ss->partial;
    sc->illegal = (ss->flags & NGX_SIO_ILLEGAL) != 0;

    sc->state = ngx_sio_post_state(ss);

    return ngx_sio_post_branches_locked(sc, i);
}


/* NGX_OK, or NGX_ERROR (memory). */

static ngx_int_t
ngx_sio_post_branches_locked(ngx_sio_client_t *sc, uint32_t transport)
{
    uint32_t           i;
    ngx_sio_zone_t    *z;
    ngx_sio_client_t  *branch;

    z = sc->gateway->zone;

    for (i = ngx_sio_session_first_locked(z, transport);
         i;
         i = ngx_sio_session_next_locked(z, i))
    {
        if (z->sessions[i].flags & NGX_SIO_LEAVING) {
            continue;
        }

        branch = ngx_sio_branch_create(sc, z->sessions[i].nsp);

        if (branch == NULL) {
            ngx_sio_session_post_done_locked(z, transport, sc->gateway->slot);
            return NGX_ERROR;
        }

        branch->state = ngx_sio_post_state(&z->sessions[i]);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_sio_post_state(ngx_sio_session_sh_t *ss)
{
    if (ss->flags & NGX_SIO_CONNECTING) {
        return NGX_SIO_CLIENT_CONNECTING;
    }

    if (ss->sid[0] && (ss->flags & NGX_SIO_LEAVING) == 0) {
        return NGX_SIO_CLIENT_CONNECTED;
    }

    return NGX_SIO_CLIENT_OPEN;
}


/* Binary bodies are those of an older revision of the protocol. */

static ngx_uint_t
ngx_sio_post_is_binary(ngx_http_request_t *r)
{
    ngx_str_t  *type;

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;

    return type->len == sizeof("application/octet-stream") - 1
           && ngx_strncmp(type->data, "application/octet-stream", type->len)
              == 0;
}


/*
 * Everything is in place before the answer leaves: the next request may reach
 * another worker at once.
 */

static void
ngx_sio_post_body(ngx_http_request_t *r, void *data, ngx_int_t rc,
    u_char *body, size_t len)
{
    ngx_sio_post_t *p = data;

    ngx_sio_gateway_t  *gw;

    gw = p->client.gateway;

    if (rc != NGX_OK) {

        if (rc != NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            /* the client broke off, or was too slow */
            ngx_sio_client_close(&p->client, NGX_SIO_CLOSE_TRANSPORT_ERROR);
        }

    } else if (p->client.state == NGX_SIO_CLIENT_CLOSED
               || !ngx_sio_post_is_alive(p))
    {
        /* it ended while this came in: no answer, as from the reference */
        rc = NGX_HTTP_CLOSE;

    } else {
        ngx_sio_gateway_stat(gw, BYTES_IN, len);

        if (!p->ignored) {
            ngx_sio_post_packets(p, body, len);
        }
    }

    if (p->held) {

        /* what the client posts next comes after what it has posted now */

        if (ngx_sio_http_hold(r, ngx_sio_post_gone, p) == NGX_OK) {
            p->waiting = 1;
            ngx_http_finalize_request(r, NGX_DONE);
            return;
        }

        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        ngx_sio_client_close(&p->client, NGX_SIO_CLOSE_UNAVAILABLE);
    }

    rc = ngx_sio_post_answer(p, rc);

    ngx_http_finalize_request(r, rc);
}


/* Ends the part of the client, and gives the request its answer. */

static ngx_int_t
ngx_sio_post_answer(ngx_sio_post_t *p, ngx_int_t rc)
{
    ngx_sio_gateway_t   *gw;
    ngx_http_request_t  *r;

    gw = p->client.gateway;
    r = p->request;

    p->request = NULL;
    p->client.log = gw->log;

    ngx_sio_post_done(p);
    ngx_sio_client_free_closed(gw);

    if (rc == NGX_OK) {
        return ngx_sio_http_ok(r);
    }

    return (rc == NGX_HTTP_CLOSE) ? rc : ngx_sio_http_empty(r, rc);
}


static void
ngx_sio_post_hold(ngx_sio_client_t *sc)
{
    ngx_sio_post_t  *p;

    p = (ngx_sio_post_t *) sc;

    p->held++;
}


static void
ngx_sio_post_unhold(ngx_sio_client_t *sc)
{
    ngx_int_t            rc;
    ngx_sio_post_t      *p;
    ngx_http_request_t  *r;

    p = (ngx_sio_post_t *) sc;

    if (--p->held) {
        return;
    }

    r = p->request;

    if (r == NULL) {
        /* the client did not wait for it */
        ngx_sio_post_leave(p);
        return;
    }

    if (p->waiting) {
        ngx_sio_http_unhold(r);

        rc = ngx_sio_post_answer(p, NGX_OK);

        ngx_sio_http_finish(r, rc);
    }
}


static ngx_uint_t
ngx_sio_post_is_alive(ngx_sio_post_t *p)
{
    uint32_t         i;
    ngx_sio_zone_t  *z;

    z = p->client.gateway->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return 0;
    }

    (void) ngx_sio_post_session_locked(&p->client, &i);

    ngx_sio_zone_unlock(z);

    return i != 0;
}


/* The client broke off, which ends its session. */

static void
ngx_sio_post_gone(void *data)
{
    ngx_sio_post_t *p = data;

    p->request = NULL;
    p->client.log = p->client.gateway->log;

    ngx_sio_client_close(&p->client, NGX_SIO_CLOSE_TRANSPORT_ERROR);

    ngx_sio_post_done(p);
}


static void
ngx_sio_post_packets(ngx_sio_post_t *p, u_char *body, size_t len)
{
    uint32_t           state;
    sio_buf_t          repaired;
    sio_str_t          packet;
    sio_payload_t      payload;
    ngx_sio_client_t  *sc;

    sc = &p->client;
    state = SIO_UTF8_ACCEPT;

    ngx_memzero(&repaired, sizeof(sio_buf_t));

    /* bad UTF-8 is no error here, as it is none for the reference */

    if (sio_utf8_feed(&state, body, len) != SIO_OK
        || state != SIO_UTF8_ACCEPT)
    {
        if (sio_utf8_repair(&repaired, body, len) != SIO_OK) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }

        body = repaired.data;
        len = repaired.len;
    }

    if (ngx_sio_partial_load(sc, p->partial) != NGX_OK) {
        /* the client took its time, and the log has gone on */
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }

    sio_payload_init(&payload, body, len);

    while (sc->state != NGX_SIO_CLIENT_CLOSED
           && sio_payload_next(&payload, &packet) == SIO_OK)
    {
        ngx_sio_gateway_stat(sc->gateway, PACKETS_IN, 1);

        if (packet.len == 1 && packet.data[0] == SIO_EIO_CLOSE) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_CLOSE);
            break;
        }

        ngx_sio_receive_text(sc, (u_char *) packet.data, packet.len);
    }

    sio_buf_free(&repaired);
}


/*
 * The request is over.  The object goes, unless it is to be closed, or waits
 * for the rooms of a socket, or for the backend.
 */

static void
ngx_sio_post_done(ngx_sio_post_t *p)
{
    uint32_t               i, partial;
    ngx_sio_zone_t        *z;
    ngx_sio_client_t      *sc;
    ngx_sio_session_sh_t  *ss;

    sc = &p->client;
    z = sc->gateway->zone;

    if (ngx_sio_partial_save(sc, &partial) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }

    if (ngx_sio_zone_lock(z) == NGX_OK) {

        ss = ngx_sio_post_session_locked(sc, &i);

        if (ss) {
            ss->attachments = sc->attachments;
            ss->partial = partial;

            ss->flags &= ~NGX_SIO_ILLEGAL;
            ss->flags |= sc->illegal ? NGX_SIO_ILLEGAL : 0;

            if (sc->connect && sc->state == NGX_SIO_CLIENT_CONNECTING) {
                ss->flags |= NGX_SIO_CONNECTING;
                ss->connecter = sc->gateway->slot;
            }

            ngx_sio_session_post_done_locked(z, i, sc->gateway->slot);
        }

        ngx_sio_zone_unlock(z);
    }

    ngx_sio_post_leave(p);
}


static void
ngx_sio_post_leave(ngx_sio_post_t *p)
{
    ngx_sio_client_t  *sc;

    sc = &p->client;

    if (p->request || p->held) {
        return;
    }

    if (p->ended) {
        ngx_sio_post_end(sc);

    } else if (sc->state != NGX_SIO_CLIENT_CLOSED
               && !ngx_sio_post_is_pending(sc))
    {
        ngx_sio_post_forget(sc);
    }
}


/* True if it waits for a socket; others may do so in another POST. */

static ngx_uint_t
ngx_sio_post_is_pending(ngx_sio_client_t *sc)
{
    return ngx_sio_connect_is_pending(sc) || ngx_sio_branch_is_pending(sc);
}


static void
ngx_sio_post_forget(ngx_sio_client_t *sc)
{
    if (sc->connect) {
        ngx_sio_connect_abort(sc);
    }

    ngx_sio_client_forget(sc);
}


/*
 * It is a socket: there is nothing more to do if the request is over, too.
 * Frees the client then.
 */

static void
ngx_sio_post_arrived(ngx_sio_client_t *sc, uint64_t left, uint64_t met)
{
    if (sc->state != NGX_SIO_CLIENT_CLOSED) {
        ngx_sio_post_leave((ngx_sio_post_t *) sc);
    }
}


static void
ngx_sio_post_branch_arrived(ngx_sio_client_t *sc, uint64_t left, uint64_t met)
{
    ngx_sio_post_arrived(sc->carrier, left, met);
}


static void
ngx_sio_post_stop(ngx_sio_client_t *sc)
{
    /* void */
}


static void
ngx_sio_post_end(ngx_sio_client_t *sc)
{
    ngx_sio_post_t  *p;

    p = (ngx_sio_post_t *) sc;

    if (p->request || p->held) {
        /* called again when these are over */
        p->ended = 1;
        return;
    }

    ngx_sio_post_end_session(p);

    ngx_free(p);
}


/*
 * A fault of Socket.IO is told by the next poll, and so it waits for that; one
 * of Engine.IO ends the session at once (protocol 1.5, table 7).
 */

static void
ngx_sio_post_end_session(ngx_sio_post_t *p)
{
    uint32_t               i;
    ngx_int_t              rc;
    ngx_uint_t             deferred;
    ngx_sio_zone_t        *z;
    ngx_sio_client_t      *sc;
    ngx_sio_session_sh_t  *ss;

    sc = &p->client;
    z = sc->gateway->zone;
    rc = NGX_OK;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return;
    }

    ss = ngx_sio_post_session_locked(sc, &i);

    if (ss) {

        deferred = (sc->reason == NGX_SIO_CLOSE_FORCED);

        ngx_sio_session_post_done_locked(z, i, sc->gateway->slot);

        if (ngx_sio_owner_slot(ngx_sio_load(&ss->owner)) == 0) {
            ngx_sio_beat_end_locked(sc->gateway, i, sc->reason, deferred);

        } else {
            rc = NGX_AGAIN;
        }
    }

    ngx_sio_zone_unlock(z);

    ngx_sio_greet_news(sc->gateway);

    if (rc == NGX_AGAIN) {
        (void) ngx_sio_gateway_tell(sc->gateway, sc->eio_sid,
                                    SIO_RECORD_CLOSE, sc->reason, NULL, 0);
    }
}
