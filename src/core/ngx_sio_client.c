
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_client.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_dispatch.h"
#include "ngx_sio_receive.h"
#include "ngx_sio_rooms.h"

#include <sio_eio.h>


#define NGX_SIO_CLIENT_TLS_RECORD  16384


static void ngx_sio_client_on_message(ngx_sio_ws_t *ws, ngx_uint_t opcode,
    u_char *data, size_t len);
static void ngx_sio_client_on_pong(ngx_sio_ws_t *ws, u_char *frames,
    size_t len);
static void ngx_sio_client_on_writable(ngx_sio_ws_t *ws);
static void ngx_sio_client_on_gone(ngx_sio_ws_t *ws);
static void ngx_sio_client_on_fault(ngx_sio_ws_t *ws, ngx_uint_t code);
static void ngx_sio_client_on_shutdown(ngx_sio_ws_t *ws);
static void ngx_sio_client_ping_handler(ngx_sio_deadline_t *d);
static void ngx_sio_client_pong_handler(ngx_sio_deadline_t *d);
static void ngx_sio_client_deadline(ngx_sio_client_t *sc, ngx_msec_t interval,
    ngx_sio_deadline_pt handler);
static void ngx_sio_client_behind(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n, size_t sent);
static ngx_int_t ngx_sio_client_owe(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, size_t pos);
static void ngx_sio_client_caught_up(ngx_sio_client_t *sc);
static void ngx_sio_client_discard(ngx_sio_client_t *sc);
static ngx_int_t ngx_sio_client_rescue_one(ngx_sio_client_t *sc,
    uint64_t below);
static void ngx_sio_client_sacrifice(ngx_sio_gateway_t *gw);
static void ngx_sio_client_free(ngx_sio_client_t *sc);


static const ngx_sio_ws_handler_t  ngx_sio_client_handler = {
    ngx_sio_client_on_message,
    ngx_sio_client_on_pong,
    ngx_sio_client_on_writable,
    ngx_sio_client_on_gone,
    ngx_sio_client_on_fault,
    ngx_sio_client_on_shutdown
};


static const char  *ngx_sio_client_reasons[] = {
    "transport close",
    "transport error",
    "ping timeout",
    "parse error",
    "forced close",
    "server namespace disconnect",
    "server shutting down",
    "too slow",
    "temporarily unavailable"
};


ngx_sio_client_t *
ngx_sio_client_create(ngx_sio_gateway_t *gw, ngx_sio_loc_conf_t *slcf,
    ngx_connection_t *c, uint32_t session, ngx_str_t *bearer)
{
    ngx_sio_client_t  *sc;

    sc = ngx_calloc(sizeof(ngx_sio_client_t), c->log);
    if (sc == NULL) {
        return NULL;
    }

    sc->gateway = gw;
    sc->conf = slcf;
    sc->session = session;
    sc->state = NGX_SIO_CLIENT_OPEN;

    if (ngx_sio_connect_create(sc) != NGX_OK) {
        ngx_free(sc);
        return NULL;
    }

    sc->bearer = bearer;

    ngx_queue_insert_tail(&gw->clients, &sc->link);
    gw->nclients++;

    ngx_sio_ws_init(&sc->ws, c, &ngx_sio_client_handler, slcf->max_payload);

    ngx_sio_client_deadline(sc, slcf->ping_interval,
                            ngx_sio_client_ping_handler);

    return sc;
}


ngx_sio_session_sh_t *
ngx_sio_client_session(ngx_sio_client_t *sc)
{
    return sc->session ? &sc->gateway->zone->sessions[sc->session] : NULL;
}


static void
ngx_sio_client_on_message(ngx_sio_ws_t *ws, ngx_uint_t opcode, u_char *data,
    size_t len)
{
    ngx_sio_client_t  *sc;

    sc = ngx_sio_client_of(ws);

    if (opcode == SIO_WS_TEXT) {
        ngx_sio_receive_text(sc, data, len);

    } else {
        ngx_sio_receive_binary(sc, data, len);
    }
}


/* A peer that does not read gets no pong, and must not cost memory. */

static void
ngx_sio_client_on_pong(ngx_sio_ws_t *ws, u_char *frames, size_t len)
{
    ngx_sio_message_t  msg;

    msg.ref = 0;
    msg.start = 0;
    msg.len = (uint32_t) len;
    msg.drop = 1;

    ngx_sio_client_write(ngx_sio_client_of(ws), frames, &msg, 1);
}


static void
ngx_sio_client_on_writable(ngx_sio_ws_t *ws)
{
    size_t              rescued;
    ngx_int_t           rc;
    ngx_sio_client_t   *sc;
    ngx_sio_gateway_t  *gw;

    sc = ngx_sio_client_of(ws);
    gw = sc->gateway;

    if (sc->out == NULL || sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    rescued = sc->out->rescued;

    rc = ngx_sio_out_drain(sc->out, ws->connection, ngx_sio_dispatch_fetch);

    gw->rescued -= rescued - sc->out->rescued;

    switch (rc) {

    case NGX_OK:
        ngx_sio_client_caught_up(sc);

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
ngx_sio_client_on_gone(ngx_sio_ws_t *ws)
{
    ngx_sio_client_close(ngx_sio_client_of(ws), NGX_SIO_CLOSE_TRANSPORT_CLOSE);
}


static void
ngx_sio_client_on_fault(ngx_sio_ws_t *ws, ngx_uint_t code)
{
    ngx_sio_client_t  *sc;

    sc = ngx_sio_client_of(ws);

    sc->code = (uint16_t) code;

    ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_ERROR);
}


static void
ngx_sio_client_on_shutdown(ngx_sio_ws_t *ws)
{
    ngx_sio_client_t   *sc;
    ngx_sio_gateway_t  *gw;

    sc = ngx_sio_client_of(ws);
    gw = sc->gateway;

    ngx_sio_client_close(sc, NGX_SIO_CLOSE_SHUTDOWN);

    /* a leaving worker may have no further turn to do it in */
    ngx_sio_client_free_closed(gw);
}


/* The next ping is due one interval after the last pong. */

static void
ngx_sio_client_ping_handler(ngx_sio_deadline_t *d)
{
    ngx_sio_client_t  *sc;

    sc = ngx_queue_data(d, ngx_sio_client_t, heartbeat);

    sc->pinged = 1;
    sc->extended = 0;

    ngx_sio_client_deadline(sc, sc->conf->ping_timeout,
                            ngx_sio_client_pong_handler);

    ngx_sio_client_send(sc, (u_char *) "2", 1);
}


static void
ngx_sio_client_pong_handler(ngx_sio_deadline_t *d)
{
    ngx_sio_client_t  *sc;

    sc = ngx_queue_data(d, ngx_sio_client_t, heartbeat);

    ngx_sio_client_close(sc, NGX_SIO_CLOSE_PING_TIMEOUT);
}


void
ngx_sio_client_pong(ngx_sio_client_t *sc)
{
    sc->pinged = 0;

    ngx_sio_client_deadline(sc, sc->conf->ping_interval,
                            ngx_sio_client_ping_handler);
}


void
ngx_sio_client_alive(ngx_sio_client_t *sc)
{
    /* the first packet while a pong is due extends the wait, once */

    if (sc->pinged && !sc->extended) {
        sc->extended = 1;
        ngx_sio_client_deadline(sc, sc->conf->ping_timeout,
                                ngx_sio_client_pong_handler);
    }
}


static void
ngx_sio_client_deadline(ngx_sio_client_t *sc, ngx_msec_t interval,
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


u_char *
ngx_sio_client_frame(u_char *buf, ngx_sio_message_t *msg, const u_char *p,
    size_t len)
{
    u_char  *last;

    last = buf + msg->start;
    last += sio_ws_header(last, SIO_WS_TEXT, len);
    last = ngx_cpymem(last, p, len);

    msg->len = (uint32_t) (last - buf) - msg->start;
    msg->ref = 0;
    msg->drop = 0;

    return last;
}


void
ngx_sio_client_send(ngx_sio_client_t *sc, const u_char *p, size_t len)
{
    u_char             *buf, fixed[ngx_sio_client_frame_len(512)];
    ngx_sio_message_t   msg;

    buf = fixed;

    if (len > 512) {
        buf = ngx_alloc(ngx_sio_client_frame_len(len), sc->gateway->log);
        if (buf == NULL) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }
    }

    msg.start = 0;
    (void) ngx_sio_client_frame(buf, &msg, p, len);

    ngx_sio_client_write(sc, buf, &msg, 1);

    if (buf != fixed) {
        ngx_free(buf);
    }
}


void
ngx_sio_client_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n)
{
    size_t             sent, size;
    ssize_t            rc;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    if (sc->out) {
        for (i = 0; i < n; i++) {
            if (ngx_sio_client_owe(sc, buf, &msg[i], 0) != NGX_OK) {
                return;
            }
        }

        return;
    }

    c = sc->ws.connection;
    size = msg[n - 1].start + msg[n - 1].len - msg[0].start;
    sent = 0;

    /* TLS takes one record at a time */

    while (sent < size && c->write->ready) {

        rc = c->send(c, buf + msg[0].start + sent, size - sent);

        if (rc == NGX_ERROR) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_CLOSE);
            return;
        }

        if (rc == NGX_AGAIN) {
            break;
        }

        sent += rc;
    }

    if (sent < size) {
        ngx_sio_client_behind(sc, buf, msg, n, sent);
    }
}


/*
 * The kernel took sent bytes of the messages and not all.  Under TLS the bytes
 * of a record that OpenSSL has begun must come again as they were, so they are
 * kept; all else is owed from the byte on that was not sent.
 */

static void
ngx_sio_client_behind(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n, size_t sent)
{
    size_t             from, end;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    c = sc->ws.connection;

    sc->out = ngx_sio_out_create(sc, c->log);
    if (sc->out == NULL) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    sc->ws.behind = 1;
    ngx_queue_insert_tail(&sc->gateway->slow, &sc->out->link);

    from = msg[0].start + sent;
    end = msg[n - 1].start + msg[n - 1].len;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        end = ngx_min(end, from + NGX_SIO_CLIENT_TLS_RECORD);

        if (ngx_sio_out_rest(sc->out, buf + from, end - from, c->log)
            != NGX_OK)
        {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }

        from = end;
    }

#endif

    for (i = 0; i < n; i++) {

        if (msg[i].start + msg[i].len <= from) {
            continue;
        }

        if (ngx_sio_client_owe(sc, buf, &msg[i],
                               from - ngx_min(from, msg[i].start))
            != NGX_OK)
        {
            return;
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_CLOSE);
    }
}


/*
 * Owes a message, of which pos bytes are sent or kept.  NGX_OK; NGX_DECLINED if
 * the client is closed.
 */

static ngx_int_t
ngx_sio_client_owe(ngx_sio_client_t *sc, u_char *buf, ngx_sio_message_t *msg,
    size_t pos)
{
    ngx_sio_out_t      *out;
    ngx_sio_gateway_t  *gw;

    out = sc->out;
    gw = sc->gateway;

    if (msg->drop && pos == 0) {
        return NGX_OK;
    }

    /* a single message may be larger than the queue */

    if (out->backlog && out->backlog + msg->len > sc->conf->send_queue) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_SLOW);
        return NGX_DECLINED;
    }

    if (ngx_sio_out_add(out, msg->ref, buf + msg->start, msg->len, pos,
                        gw->log)
        != NGX_OK)
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_DECLINED;
    }

    if (msg->ref) {
        gw->oldest = ngx_min(gw->oldest, msg->ref);
    }

    return NGX_OK;
}


static void
ngx_sio_client_caught_up(ngx_sio_client_t *sc)
{
    ngx_sio_client_discard(sc);

    sc->ws.behind = 0;
}


/* Frees what is owed; unless all was sent, the stream ends here. */

static void
ngx_sio_client_discard(ngx_sio_client_t *sc)
{
    sc->gateway->rescued -= sc->out->rescued;

    ngx_queue_remove(&sc->out->link);
    ngx_sio_out_free(sc->out);

    sc->out = NULL;
}


void
ngx_sio_client_rescue(ngx_sio_gateway_t *gw, uint64_t below)
{
    uint64_t           oldest;
    ngx_queue_t       *q, *next;
    ngx_sio_out_t     *out;
    ngx_sio_client_t  *sc;

    if (gw->oldest >= below) {
        return;
    }

    /* somewhat more, so that this is not done for every record */

    below += gw->zone->sh->log_size / 32;

    gw->oldest = (uint64_t) -1;

    for (q = ngx_queue_head(&gw->slow);
         q != ngx_queue_sentinel(&gw->slow);
         q = next)
    {
        next = ngx_queue_next(q);

        out = ngx_queue_data(q, ngx_sio_out_t, link);
        sc = out->data;

        if (ngx_sio_client_rescue_one(sc, below) != NGX_OK) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_SLOW);
            ngx_sio_client_discard(sc);
            continue;
        }

        oldest = ngx_sio_out_oldest(out);
        gw->oldest = ngx_min(gw->oldest, oldest);

        if (gw->rescued > gw->zone->sh->log_size) {

            /* the one that takes most of the budget, maybe the next */

            ngx_sio_client_sacrifice(gw);
            next = ngx_queue_head(&gw->slow);
        }
    }
}


static ngx_int_t
ngx_sio_client_rescue_one(ngx_sio_client_t *sc, uint64_t below)
{
    size_t              rescued;
    ngx_int_t           rc;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;
    rescued = sc->out->rescued;

    rc = ngx_sio_out_rescue(sc->out, below, ngx_sio_dispatch_fetch, gw->log);

    gw->rescued += sc->out->rescued - rescued;

    return rc;
}


static void
ngx_sio_client_sacrifice(ngx_sio_gateway_t *gw)
{
    ngx_queue_t    *q;
    ngx_sio_out_t  *out, *most;

    most = NULL;

    for (q = ngx_queue_head(&gw->slow);
         q != ngx_queue_sentinel(&gw->slow);
         q = ngx_queue_next(q))
    {
        out = ngx_queue_data(q, ngx_sio_out_t, link);

        if (most == NULL || out->rescued > most->rescued) {
            most = out;
        }
    }

    if (most) {
        ngx_sio_client_close(most->data, NGX_SIO_CLOSE_SLOW);
        ngx_sio_client_discard(most->data);
    }
}


/*
 * With close the transport ends when all that is owed has been sent, the
 * DISCONNECT above all: a client that does not get it comes back.
 */

void
ngx_sio_client_kick(ngx_sio_client_t *sc, ngx_uint_t close)
{
    if (sc->state != NGX_SIO_CLIENT_CONNECTED) {
        return;
    }

    ngx_sio_client_send(sc, (u_char *) "41", 2);

    if (close && sc->out == NULL) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_SERVER);
        return;
    }

    ngx_sio_client_disconnect(sc);

    if (close) {
        sc->leaving = 1;
        ngx_sio_ws_stop(&sc->ws);
        ngx_sio_client_deadline(sc, sc->conf->ping_timeout,
                                ngx_sio_client_pong_handler);
    }
}


void
ngx_sio_client_disconnect(ngx_sio_client_t *sc)
{
    uint32_t               ref;
    ngx_sio_zone_t        *z;
    ngx_sio_gateway_t     *gw;
    ngx_sio_session_sh_t  *ss;

    gw = sc->gateway;
    z = gw->zone;

    if (ngx_sio_zone_lost(z)) {
        ngx_sio_gateway_emptied(gw);
        sc->session = 0;
    }

    if (sc->state == NGX_SIO_CLIENT_CONNECTED) {
        sc->state = NGX_SIO_CLIENT_OPEN;
    }

    ss = ngx_sio_client_session(sc);

    if (ss == NULL || !sc->in_everyone) {
        return;
    }

    ref = NGX_MAX_UINT32_VALUE;

    while (ngx_sio_session_walk(z, ss, &ref)) {
        ngx_sio_rooms_leave(gw->rooms, sc, ref);
    }

    ngx_sio_rooms_exit(gw->rooms, sc);

    if (ngx_sio_session_disconnect(z, sc->session) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, gw->log, 0,
                      "socketio zone of gateway \"%V\" is locked",
                      &gw->conf->name);

        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }
}


void
ngx_sio_client_close(ngx_sio_client_t *sc, ngx_sio_close_e reason)
{
    ngx_sio_gateway_t  *gw;

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    gw = sc->gateway;

    sc->state = NGX_SIO_CLIENT_CLOSED;
    sc->reason = reason;

    ngx_sio_ws_stop(&sc->ws);

    ngx_queue_remove(&sc->link);
    ngx_queue_insert_tail(&gw->closed, &sc->link);

    ngx_post_event(&gw->close, &ngx_posted_events);
}


void
ngx_sio_client_free_closed(ngx_sio_gateway_t *gw)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&gw->closed)) {
        q = ngx_queue_head(&gw->closed);
        ngx_sio_client_free(ngx_queue_data(q, ngx_sio_client_t, link));
    }
}


static void
ngx_sio_client_free(ngx_sio_client_t *sc)
{
    ngx_uint_t          code, level;
    ngx_connection_t   *c;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;
    c = sc->ws.connection;

    /* our limit, or the client's own doing */
    level = (sc->reason == NGX_SIO_CLOSE_SLOW) ? NGX_LOG_WARN : NGX_LOG_INFO;

    ngx_log_error(level, c->log, 0, "socketio client closed: %s",
                  ngx_sio_client_reasons[sc->reason]);

    ngx_queue_remove(&sc->link);
    gw->nclients--;

    ngx_sio_deadline_clear(&sc->heartbeat);

    if (sc->connect) {
        ngx_sio_connect_abort(sc);
    }

    ngx_sio_client_disconnect(sc);

    if (sc->session) {
        (void) ngx_sio_session_close(gw->zone, sc->session);
    }

    code = sc->code;

    if (sc->reason == NGX_SIO_CLOSE_TRANSPORT_CLOSE
        || sc->reason == NGX_SIO_CLOSE_SLOW)
    {
        code = NGX_SIO_WS_ABORT;
    }

    if (sc->out) {
        ngx_sio_client_discard(sc);
    }

    if (sc->ws.behind) {
        code = NGX_SIO_WS_ABORT;
    }

    if (sc->bearer) {
        ngx_free(sc->bearer);
    }

    ngx_sio_ws_close(&sc->ws, code);

    ngx_free(sc);
}
