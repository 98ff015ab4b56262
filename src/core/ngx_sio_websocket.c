
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_websocket.h"
#include "ngx_sio_arrive.h"
#include "ngx_sio_branch.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_dispatch.h"
#include "ngx_sio_drain.h"
#include "ngx_sio_owned.h"
#include "ngx_sio_presence.h"
#include "ngx_sio_probe.h"
#include "ngx_sio_quota.h"
#include "ngx_sio_receive.h"
#include "ngx_sio_share.h"
#include "ngx_sio_slow.h"
#include "ngx_sio_welcome.h"
#include "ngx_sio_wire.h"


#define NGX_SIO_WEBSOCKET_PARTS  16       /* of an interval, see _beat() */


static void ngx_sio_websocket_on_message(ngx_sio_ws_t *ws, ngx_uint_t opcode,
    u_char *data, size_t len);
static void ngx_sio_websocket_on_pong(ngx_sio_ws_t *ws, u_char *frames,
    size_t len);
static void ngx_sio_websocket_on_writable(ngx_sio_ws_t *ws);
static void ngx_sio_websocket_on_gone(ngx_sio_ws_t *ws);
static void ngx_sio_websocket_on_fault(ngx_sio_ws_t *ws, ngx_uint_t code);
static void ngx_sio_websocket_on_shutdown(ngx_sio_ws_t *ws);
static void ngx_sio_websocket_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n);
static void ngx_sio_websocket_ping_handler(ngx_sio_deadline_t *d);
static void ngx_sio_websocket_pong_handler(ngx_sio_deadline_t *d);
static void ngx_sio_websocket_deadline(ngx_sio_client_t *sc,
    ngx_msec_t interval, ngx_sio_deadline_pt handler);
static void ngx_sio_websocket_pong(ngx_sio_client_t *sc);
static void ngx_sio_websocket_alive(ngx_sio_client_t *sc);
static void ngx_sio_websocket_leave(ngx_sio_client_t *sc);
static void ngx_sio_websocket_release(ngx_sio_client_t *sc);
static ngx_int_t ngx_sio_websocket_connect(ngx_sio_client_t *sc,
    ngx_sio_session_socket_t *socket, ngx_str_t *reply);
static void ngx_sio_websocket_arrived(ngx_sio_client_t *sc, uint64_t left,
    uint64_t met);
static void ngx_sio_websocket_share(ngx_sio_client_t *sc,
    const ngx_sio_share_t *share);
static void ngx_sio_websocket_drain(ngx_sio_client_t *sc);
static void ngx_sio_websocket_stop(ngx_sio_client_t *sc);
static void ngx_sio_websocket_end(ngx_sio_client_t *sc);


static const ngx_sio_ws_handler_t  ngx_sio_websocket_handler = {
    ngx_sio_websocket_on_message,
    ngx_sio_websocket_on_pong,
    ngx_sio_websocket_on_writable,
    ngx_sio_websocket_on_gone,
    ngx_sio_websocket_on_fault,
    ngx_sio_websocket_on_shutdown
};


static const ngx_sio_transport_t  ngx_sio_websocket_branch = {
    SIO_EIO_WEBSOCKET,
    ngx_sio_branch_write,
    NULL,                             /* packets are for the carrier */
    NULL,
    ngx_sio_client_disconnect,
    ngx_sio_client_kick,
    ngx_sio_branch_leave,
    ngx_sio_branch_release,
    ngx_sio_websocket_connect,
    ngx_sio_websocket_arrived,
    NULL,
    ngx_sio_branch_free,
    NULL,
    0,
    NULL,
    NULL,
    NULL
};


static const ngx_sio_transport_t  ngx_sio_websocket_transport = {
    SIO_EIO_WEBSOCKET,
    ngx_sio_websocket_write,
    ngx_sio_websocket_pong,
    ngx_sio_websocket_alive,
    ngx_sio_client_disconnect,
    ngx_sio_client_kick,
    ngx_sio_websocket_leave,
    ngx_sio_websocket_release,
    ngx_sio_websocket_connect,
    ngx_sio_websocket_arrived,
    ngx_sio_websocket_stop,
    ngx_sio_websocket_end,
    &ngx_sio_websocket_branch,
    sizeof(ngx_sio_branch_t),
    ngx_sio_websocket_share,
    NULL,
    NULL
};


ngx_sio_client_t *
ngx_sio_websocket_create(ngx_sio_gateway_t *gw, ngx_sio_loc_conf_t *slcf,
    ngx_connection_t *c, ngx_uint_t window)
{
    ngx_sio_client_t  *sc;

    sc = ngx_sio_client_create(gw, slcf, &ngx_sio_websocket_transport,
                               sizeof(ngx_sio_client_t));
    if (sc == NULL) {
        return NULL;
    }

    sc->log = c->log;
    gw->worker->connections[0]++;

    ngx_sio_ws_init(&sc->ws, c, &ngx_sio_websocket_handler,
                    slcf->max_payload, window);

    return sc;
}


ngx_int_t
ngx_sio_websocket_open(ngx_sio_client_t *sc, uint32_t session, uint64_t owner)
{
    if (ngx_sio_connect_create(sc, sc->conf->connect_timeout) != NGX_OK) {
        return NGX_ERROR;
    }

    sc->session = session;
    sc->owner = owner;

    ngx_sio_websocket_deadline(sc, sc->conf->ping_interval,
                               ngx_sio_websocket_ping_handler);
    return NGX_OK;
}


/*
 * The intervals are rounded down to a few, because there is a queue for each,
 * and the client's patience must not be overrun.
 */

void
ngx_sio_websocket_beat(ngx_sio_client_t *sc, ngx_uint_t pinged,
    ngx_msec_t left)
{
    ngx_msec_t  part;

    if (pinged) {
        sc->pinged = 1;
        ngx_sio_websocket_deadline(sc, sc->conf->ping_timeout,
                                   ngx_sio_websocket_pong_handler);
        return;
    }

    part = ngx_max(sc->conf->ping_interval / NGX_SIO_WEBSOCKET_PARTS, 1);
    left = ngx_max(ngx_min(left, sc->conf->ping_interval) / part * part, 1);

    ngx_sio_websocket_deadline(sc, left, ngx_sio_websocket_ping_handler);
}


static void
ngx_sio_websocket_on_message(ngx_sio_ws_t *ws, ngx_uint_t opcode, u_char *data,
    size_t len)
{
    ngx_sio_client_t  *sc;

    sc = ngx_sio_client_of(ws);

    if (sc->probe) {
        ngx_sio_probe_message(sc, opcode, data, len);
        return;
    }

    ngx_sio_websocket_message(sc, opcode, data, len);
}


void
ngx_sio_websocket_message(ngx_sio_client_t *sc, ngx_uint_t opcode,
    u_char *data, size_t len)
{
    ngx_sio_gateway_stat(sc->gateway, PACKETS_IN, 1);
    ngx_sio_gateway_stat(sc->gateway, BYTES_IN, len);

    if (opcode == SIO_WS_TEXT) {
        ngx_sio_receive_text(sc, data, len);

    } else {
        ngx_sio_receive_binary(sc, data, len);
    }
}


/* A peer that does not read gets no pong, and must not cost memory. */

static void
ngx_sio_websocket_on_pong(ngx_sio_ws_t *ws, u_char *frames, size_t len)
{
    ngx_sio_message_t  msg;

    msg.ref = 0;
    msg.next = 0;
    msg.start = 0;
    msg.len = (uint32_t) len;
    msg.drop = 1;
    msg.packed = 0;

    ngx_sio_websocket_write(ngx_sio_client_of(ws), frames, &msg, 1);
}


static void
ngx_sio_websocket_on_writable(ngx_sio_ws_t *ws)
{
    ngx_sio_client_t  *sc;

    sc = ngx_sio_client_of(ws);

    if (sc->out && sc->state != NGX_SIO_CLIENT_CLOSED) {
        ngx_sio_websocket_drain(sc);
    }
}


static void
ngx_sio_websocket_drain(ngx_sio_client_t *sc)
{
    size_t              rescued;
    ngx_int_t           rc;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;
    rescued = sc->out->rescued;

    rc = ngx_sio_out_drain(sc->out, sc->ws.connection, ngx_sio_wire_fetch);

    gw->rescued -= rescued - sc->out->rescued;

    switch (rc) {

    case NGX_OK:
        ngx_sio_slow_end(sc);
        sc->ws.behind = 0;

        if (sc->leaving) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_SERVER);
        }

        return;

    case NGX_AGAIN:
        return;

    case NGX_DECLINED:
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_SLOW);
        return;

    default:
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_CLOSE);
        return;
    }
}


static void
ngx_sio_websocket_on_gone(ngx_sio_ws_t *ws)
{
    ngx_sio_client_close(ngx_sio_client_of(ws), NGX_SIO_CLOSE_TRANSPORT_CLOSE);
}


static void
ngx_sio_websocket_on_fault(ngx_sio_ws_t *ws, ngx_uint_t code)
{
    ngx_sio_client_t  *sc;

    sc = ngx_sio_client_of(ws);

    sc->code = (uint16_t) code;

    ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_ERROR);
}


/*
 * The worker is leaving, and closes its clients one after the other; unless
 * nginx is out of patience.
 */

static void
ngx_sio_websocket_on_shutdown(ngx_sio_ws_t *ws)
{
    ngx_sio_client_t   *sc;
    ngx_sio_gateway_t  *gw;

    sc = ngx_sio_client_of(ws);
    gw = sc->gateway;

    if (!ws->connection->error) {
        ws->connection->close = 0;
        ngx_sio_drain_begin(gw);
        return;
    }

    ngx_sio_client_close(sc, NGX_SIO_CLOSE_SHUTDOWN);

    /* there may be no further turn to do it in */
    ngx_sio_client_free_closed(gw);
}


static void
ngx_sio_websocket_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n)
{
    ngx_uint_t  i;

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    if (sc->out) {
        for (i = 0; i < n; i++) {
            if (ngx_sio_slow_owe(sc, buf, &msg[i], 0) != NGX_OK) {
                return;
            }
        }

        return;
    }

    ngx_sio_websocket_write_on(sc, buf, msg, n, 0);
}


void
ngx_sio_websocket_write_on(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n, ssize_t rc)
{
    size_t             sent, size;
    ngx_connection_t  *c;

    c = sc->ws.connection;
    size = msg[n - 1].start + msg[n - 1].len - msg[0].start;
    sent = 0;

    /* TLS takes one record at a time */

    for ( ;; ) {

        if (rc == NGX_ERROR) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_CLOSE);
            return;
        }

        if (rc == NGX_AGAIN) {
            break;
        }

        sent += rc;

        if (sent == size || !c->write->ready) {
            break;
        }

        rc = c->send(c, buf + msg[0].start + sent, size - sent);
    }

    if (sent < size) {
        ngx_sio_slow_begin(sc, buf, msg, n, sent);
    }
}


/* It is owed, and paid at once as far as the kernel takes it. */

static void
ngx_sio_websocket_share(ngx_sio_client_t *sc, const ngx_sio_share_t *share)
{
    ngx_uint_t  behind;

    behind = (sc->out != NULL);

    if (ngx_sio_slow_share(sc, share) == NGX_OK && !behind) {
        ngx_sio_websocket_drain(sc);
    }
}


/* The next ping is due one interval after the last pong. */

static void
ngx_sio_websocket_ping_handler(ngx_sio_deadline_t *d)
{
    ngx_sio_client_t  *sc;

    sc = ngx_queue_data(d, ngx_sio_client_t, heartbeat);

    sc->pinged = 1;
    sc->extended = 0;

    ngx_sio_websocket_deadline(sc, sc->conf->ping_timeout,
                            ngx_sio_websocket_pong_handler);

    ngx_sio_client_send(sc, (u_char *) "2", 1);
}


static void
ngx_sio_websocket_pong_handler(ngx_sio_deadline_t *d)
{
    ngx_sio_client_t  *sc;

    sc = ngx_queue_data(d, ngx_sio_client_t, heartbeat);

    ngx_sio_client_close(sc, NGX_SIO_CLOSE_PING_TIMEOUT);
}


static void
ngx_sio_websocket_pong(ngx_sio_client_t *sc)
{
    sc->pinged = 0;

    ngx_sio_websocket_deadline(sc, sc->conf->ping_interval,
                            ngx_sio_websocket_ping_handler);
}


static void
ngx_sio_websocket_alive(ngx_sio_client_t *sc)
{
    /* the first packet while a pong is due extends the wait, once */

    if (sc->pinged && !sc->extended) {
        sc->extended = 1;
        ngx_sio_websocket_deadline(sc, sc->conf->ping_timeout,
                                ngx_sio_websocket_pong_handler);
    }
}


static void
ngx_sio_websocket_deadline(ngx_sio_client_t *sc, ngx_msec_t interval,
    ngx_sio_deadline_pt handler)
{
    ngx_sio_deadline_queue_t  *q;

    q = ngx_sio_deadline_queue(interval, handler);

    if (q == NULL) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ngx_sio_deadline_set(q, &sc->heartbeat);
}


static void
ngx_sio_websocket_leave(ngx_sio_client_t *sc)
{
    if (sc->out == NULL) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_SERVER);
        return;
    }

    sc->leaving = 1;

    ngx_sio_ws_stop(&sc->ws);
    ngx_sio_websocket_deadline(sc, sc->conf->ping_timeout,
                               ngx_sio_websocket_pong_handler);
}


/* The client is back on another transport, so this one is lost. */

static void
ngx_sio_websocket_release(ngx_sio_client_t *sc)
{
    ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_CLOSE);
}


static ngx_int_t
ngx_sio_websocket_connect(ngx_sio_client_t *sc,
    ngx_sio_session_socket_t *socket, ngx_str_t *reply)
{
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = sc->gateway->zone;

    rc = ngx_sio_session_connect(z, sc->session, sc->owner, socket);

    if (rc != NGX_OK) {
        return (rc == NGX_BUSY) ? NGX_AGAIN : NGX_ERROR;
    }

    if (ngx_sio_client_enter(sc) != NGX_OK) {
        (void) ngx_sio_session_disconnect(z, sc->session, sc->owner);
        return NGX_ERROR;
    }

    ngx_sio_client_send(sc, reply->data, reply->len);
    ngx_sio_welcome_ready(sc, socket->since);
    ngx_sio_presence_welcome(sc);
    ngx_sio_client_at_cursor(sc);

    return NGX_OK;
}


static void
ngx_sio_websocket_arrived(ngx_sio_client_t *sc, uint64_t left, uint64_t met)
{
    ngx_sio_client_at_cursor(sc);

    if (sc->probe && sc->state != NGX_SIO_CLIENT_CLOSED) {
        ngx_sio_probe_arrived(sc);
    }
}


static void
ngx_sio_websocket_stop(ngx_sio_client_t *sc)
{
    ngx_sio_arrive_cancel(sc);
    ngx_sio_ws_stop(&sc->ws);
}


/* The session first: when the client learns of the end, it can come back. */

static void
ngx_sio_websocket_end(ngx_sio_client_t *sc)
{
    ngx_uint_t  code;

    ngx_sio_deadline_clear(&sc->heartbeat);

    if (sc->probe) {
        ngx_sio_probe_end(sc);
    }

    ngx_sio_quota_end(sc);
    ngx_sio_owned_remove(sc);
    (void) ngx_sio_client_part(sc);

    code = sc->code;

    if (sc->reason == NGX_SIO_CLOSE_TRANSPORT_CLOSE
        || sc->reason == NGX_SIO_CLOSE_SLOW)
    {
        code = NGX_SIO_WS_ABORT;
    }

    if (sc->out) {
        ngx_sio_slow_end(sc);
    }

    if (sc->ws.behind) {
        code = NGX_SIO_WS_ABORT;
    }

    sc->gateway->worker->connections[0]--;

    ngx_sio_ws_close(&sc->ws, code);

    ngx_free(sc);
}
