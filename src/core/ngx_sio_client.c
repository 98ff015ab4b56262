
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_client.h"
#include "ngx_sio_arrive.h"
#include "ngx_sio_branch.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_greet.h"
#include "ngx_sio_outlet.h"
#include "ngx_sio_part.h"
#include "ngx_sio_partial.h"
#include "ngx_sio_refresh.h"
#include "ngx_sio_rooms.h"
#include "ngx_sio_share.h"
#include "ngx_sio_turn.h"

#include <sio_packet.h>


#define NGX_SIO_CLIENT_REFUSALS  32       /* of a WebSocket, or in one POST */


static void ngx_sio_client_end_socket(ngx_sio_client_t *sc);
static void ngx_sio_client_drop(ngx_sio_client_t *sc, ngx_uint_t reason);
static void ngx_sio_client_mark(ngx_sio_client_t *sc, ngx_sio_close_e reason);
static void ngx_sio_client_stay(ngx_sio_client_t *sc);
static void ngx_sio_client_free(ngx_sio_client_t *sc);


const char *const  ngx_sio_close_reasons[NGX_SIO_CLOSE_REASONS] = {
    "transport close",
    "transport error",
    "ping timeout",
    "parse error",
    "forced close",
    "server namespace disconnect",
    "server shutting down",
    "too slow",
    "temporarily unavailable",
    "rate limit exceeded"
};


ngx_sio_client_t *
ngx_sio_client_create(ngx_sio_gateway_t *gw, ngx_sio_loc_conf_t *slcf,
    const ngx_sio_transport_t *transport, size_t size)
{
    ngx_sio_client_t  *sc;

    sc = ngx_calloc(size, gw->log);
    if (sc == NULL) {
        return NULL;
    }

    sc->gateway = gw;
    sc->conf = slcf;
    sc->transport = transport;
    sc->state = NGX_SIO_CLIENT_OPEN;
    sc->log = gw->log;

    ngx_queue_insert_tail(&gw->clients, &sc->link);
    gw->nclients++;

    if (gw->closing && !gw->drain.timer_set) {
        /* a worker that leaves waits for this one, too */
        ngx_add_timer(&gw->drain, 1);
    }

    return sc;
}


void
ngx_sio_client_become(ngx_sio_client_t *sc, ngx_sio_client_state_e state)
{
    sc->state = state;

    ngx_sio_outlet_update(sc);
}


void
ngx_sio_client_forget(ngx_sio_client_t *sc)
{
    ngx_sio_branch_forget(sc);
    ngx_sio_turn_drop(sc);

    if (sc->in_everyone) {
        ngx_sio_client_exit(sc);
    }

    ngx_queue_remove(&sc->link);
    sc->gateway->nclients--;

    if (sc->bearer) {
        ngx_free(sc->bearer);
    }

    ngx_sio_partial_free(sc);
    ngx_sio_outlet_take(sc);
    ngx_free(sc);
}


ngx_sio_session_sh_t *
ngx_sio_client_session(ngx_sio_client_t *sc)
{
    return sc->session ? &sc->gateway->zone->sessions[sc->session] : NULL;
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
    msg->next = 0;
    msg->drop = 0;
    msg->packed = 0;

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
ngx_sio_client_packet(ngx_sio_client_t *sc, ngx_uint_t type,
    const sio_str_t *nsp, const u_char *p, size_t len)
{
    sio_buf_t  b;

    ngx_memzero(&b, sizeof(sio_buf_t));

    if (sio_packet_begin(&b, type, *nsp) != SIO_OK
        || sio_buf_append(&b, p, len) != SIO_OK)
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);

    } else {
        ngx_sio_client_send(sc, b.data, b.len);
    }

    sio_buf_free(&b);
}


void
ngx_sio_client_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n)
{
    uint64_t            from, last;
    ngx_sio_gateway_t  *gw;

    if (ngx_sio_outlet(sc)->run_first) {
        /* was published before */
        ngx_sio_turn_flush(sc);
    }

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    gw = sc->gateway;

    ngx_sio_gateway_stat(gw, EVENTS_OUT, n);
    ngx_sio_gateway_stat(gw, BYTES_OUT,
                         msg[n - 1].start + msg[n - 1].len - msg[0].start);

    sc->transport->write(sc, buf, msg, n);

    if (gw->conf->recovery && sc->transport->kind == SIO_EIO_WEBSOCKET
        && ngx_sio_client_events(msg, n, &from, &last))
    {
        ngx_sio_client_handed(sc, from, last);
    }
}


void
ngx_sio_client_share(ngx_sio_client_t *sc, const ngx_sio_share_t *share)
{
    ngx_sio_gateway_t  *gw;

    ngx_sio_turn_flush(sc);

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    gw = sc->gateway;

    ngx_sio_gateway_stat(gw, EVENTS_OUT, 1);
    ngx_sio_gateway_stat(gw, BYTES_OUT, ngx_sio_share_len(share));

    sc->transport->share(sc, share);

    if (gw->conf->recovery && sc->transport->kind == SIO_EIO_WEBSOCKET
        && share->next)
    {
        ngx_sio_client_handed(sc, 0, share->next);
    }
}


/*
 * Noted after the write: if this process dies in between, the client has seen
 * more than its session tells, and says so when it comes back.
 */

void
ngx_sio_client_handed(ngx_sio_client_t *sc, uint64_t from, uint64_t last)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_client_session(sc);

    if (ss && (ss->flags & NGX_SIO_RECOVERABLE)) {
        ngx_sio_session_handed(sc->gateway->zone, sc->session, sc->owner, from,
                               last);
    }
}


ngx_uint_t
ngx_sio_client_events(ngx_sio_message_t *msg, ngx_uint_t n, uint64_t *from,
    uint64_t *last)
{
    ngx_uint_t  i;

    for (i = 0; i < n && msg[i].next == 0; i++) { /* void */ }

    if (i == n) {
        return 0;
    }

    while (msg[n - 1].next == 0) {
        n--;
    }

    *from = msg[i].ref;
    *last = msg[n - 1].next;

    return 1;
}


ngx_int_t
ngx_sio_client_enter(ngx_sio_client_t *sc)
{
    uint32_t               ref, room, failed;
    ngx_sio_zone_t        *z;
    ngx_sio_rooms_t       *rooms;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    z = sc->gateway->zone;
    rooms = sc->gateway->rooms;
    ss = ngx_sio_client_session(sc);
    ref = NGX_SIO_NO_MEMBER;

    if (sc->in_everyone || !ngx_sio_session_mine(z, sc->session, sc->owner)) {
        return NGX_ERROR;
    }

    if (ngx_sio_outlet_give(sc) != NGX_OK) {
        return NGX_ERROR;
    }

    while ((m = ngx_sio_session_walk(z, ss, &ref)) != NULL) {

        room = ngx_sio_session_room(z, m);

        if (room == 0
            || ngx_sio_rooms_join(rooms, sc, z->rooms[room].hash, room, ref)
               != NGX_OK)
        {
            break;
        }
    }

    if (m == NULL && ngx_sio_rooms_enter(rooms, sc) == NGX_OK) {
        ngx_sio_client_become(sc, NGX_SIO_CLIENT_CONNECTED);
        ngx_sio_refresh_entered(sc);
        return NGX_OK;
    }

    failed = m ? ref : NGX_SIO_NO_MEMBER;
    ref = NGX_SIO_NO_MEMBER;

    while (ngx_sio_session_walk(z, ss, &ref) && ref != failed) {
        ngx_sio_rooms_leave(rooms, sc, ref);
    }

    return NGX_ERROR;
}


void
ngx_sio_client_at_cursor(ngx_sio_client_t *sc)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_client_session(sc);

    if (ss == NULL || !sc->in_everyone || sc->state == NGX_SIO_CLIENT_CLOSED
        || ngx_sio_load(&ss->applied) == NGX_SIO_AT_CURSOR)
    {
        return;
    }

    if (ngx_sio_session_at_cursor(sc->gateway->zone, sc->session, sc->owner)
        == NGX_BUSY)
    {
        /* better to come again than to be left behind by the log */
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }
}


void
ngx_sio_client_exit(ngx_sio_client_t *sc)
{
    uint32_t               ref;
    ngx_sio_gateway_t     *gw;
    ngx_sio_session_sh_t  *ss;

    gw = sc->gateway;
    ss = ngx_sio_client_session(sc);
    ref = NGX_SIO_NO_MEMBER;

    ngx_sio_refresh_cancel(sc);

    while (sc->nrooms
           && ngx_sio_session_mine(gw->zone, sc->session, sc->owner)
           && ngx_sio_session_walk(gw->zone, ss, &ref))
    {
        ngx_sio_rooms_leave(gw->rooms, sc, ref);
    }

    if (sc->nrooms) {
        ngx_sio_rooms_purge(gw->rooms, sc);
    }

    ngx_sio_rooms_exit(gw->rooms, sc);
}


/*
 * With close the transport ends when all that is owed has been sent, the
 * DISCONNECT above all: a client that does not get it comes back.  A socket
 * that is here in part has had its reply, and gets no more.
 */

void
ngx_sio_client_kick(ngx_sio_client_t *sc, ngx_uint_t close)
{
    ngx_sio_client_t  *branch, *next;

    if (sc->state != NGX_SIO_CLIENT_CONNECTED) {
        return;
    }

    if (!close) {
        ngx_sio_client_end_socket(sc);
        return;
    }

    if (sc->carrier) {
        sc = sc->carrier;
    }

    if (sc->state == NGX_SIO_CLIENT_CONNECTED || sc->partly) {
        ngx_sio_client_end_socket(sc);
    }

    for (branch = sc->branches; branch; branch = next) {
        next = branch->branches;

        if (branch->state == NGX_SIO_CLIENT_CONNECTED || branch->partly) {
            ngx_sio_client_end_socket(branch);
        }
    }

    if (sc->state != NGX_SIO_CLIENT_CLOSED) {
        sc->transport->leave(sc);
    }
}


/* After all that was published before. */

static void
ngx_sio_client_end_socket(ngx_sio_client_t *sc)
{
    ngx_str_t  name;
    sio_str_t  nsp;

    ngx_sio_nsp_name(sc->gateway->zone, sc->nsp, &name);

    nsp.data = name.data;
    nsp.len = name.len;

    ngx_sio_turn_flush(sc);
    ngx_sio_client_packet(sc, SIO_DISCONNECT, &nsp, NULL, 0);

    ngx_sio_client_drop(sc, NGX_SIO_CLOSE_SERVER);
}


void
ngx_sio_client_disconnect(ngx_sio_client_t *sc)
{
    ngx_sio_client_drop(sc, NGX_SIO_CLOSE_CLIENT);
}


static void
ngx_sio_client_drop(ngx_sio_client_t *sc, ngx_uint_t reason)
{
    ngx_sio_zone_t     *z;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;
    z = gw->zone;

    if (ngx_sio_zone_lost(z)) {
        ngx_sio_gateway_emptied(gw);
        sc->session = 0;
    }

    if (sc->state == NGX_SIO_CLIENT_CONNECTED) {
        ngx_sio_client_become(sc, NGX_SIO_CLIENT_OPEN);
    }

    /* the next socket must not get what was for this one */
    ngx_sio_turn_drop(sc);

    if (sc->session == 0 || !(sc->in_everyone || sc->partly)) {
        return;
    }

    if (sc->in_everyone) {
        ngx_sio_client_exit(sc);
    }

    sc->partly = 0;

    ngx_sio_session_reason(z, sc->session, sc->owner, reason);

    if (ngx_sio_session_disconnect(z, sc->session, sc->owner) != NGX_OK) {

        /* locked, or somebody else's by now */

        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ngx_sio_greet_news(gw);

    if (sc->carrier) {
        sc->session = 0;
        ngx_sio_branch_end(sc);
    }
}


ngx_uint_t
ngx_sio_client_refuse(ngx_sio_client_t *sc)
{
    if (sc->refused == NGX_SIO_CLIENT_REFUSALS) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return 0;
    }

    sc->refused++;

    return 1;
}


ngx_uint_t
ngx_sio_client_parks(ngx_sio_close_e reason)
{
    return reason != NGX_SIO_CLOSE_PARSE_ERROR
           && reason != NGX_SIO_CLOSE_SERVER;
}


ngx_uint_t
ngx_sio_client_part(ngx_sio_client_t *sc)
{
    ngx_uint_t             park;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_client_session(sc);

    if (sc->carrier == NULL) {
        sc->gateway->worker->stats[NGX_SIO_STAT_CLOSE + sc->reason]++;
    }

    if (ss == NULL) {
        return 0;
    }

    park = sc->gateway->conf->recovery && !sc->broken
           && ngx_sio_client_parks(sc->reason)
           && ss->sid[0] && (ss->flags & NGX_SIO_RECOVERABLE);

    ngx_sio_session_reason(sc->gateway->zone, sc->session, sc->owner,
                           sc->reason);

    ngx_sio_part(sc->gateway, sc->session, sc->owner, park, sc->closed_at);

    sc->session = 0;

    return park;
}


void
ngx_sio_client_close(ngx_sio_client_t *sc, ngx_sio_close_e reason)
{
    ngx_sio_client_t   *branch;
    ngx_sio_gateway_t  *gw;

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    if (sc->carrier) {
        ngx_sio_client_close(sc->carrier, reason);
        return;
    }

    gw = sc->gateway;

    /* the branches are the first to part with their sessions */

    while (sc->branches) {
        branch = sc->branches;
        sc->branches = branch->branches;

        ngx_sio_client_mark(branch, reason);
        ngx_queue_insert_tail(&gw->closed, &branch->link);
    }

    ngx_sio_client_mark(sc, reason);

    sc->transport->stop(sc);

    ngx_queue_remove(&sc->link);
    ngx_queue_insert_tail(&gw->closed, &sc->link);

    ngx_post_event(&gw->close, &ngx_posted_events);
}


static void
ngx_sio_client_mark(ngx_sio_client_t *sc, ngx_sio_close_e reason)
{
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    ngx_sio_client_become(sc, NGX_SIO_CLIENT_CLOSED);
    sc->reason = reason;

    ngx_sio_arrive_cancel(sc);

    /* what this turn of the dispatch brought may not have been sent */
    sc->closed_at = gw->slot ? ngx_min(gw->cursor, gw->worker->cursor)
                             : gw->cursor;

    ngx_sio_client_stay(sc);
}


/* From its close on a client gets nothing, so its session stays behind. */

static void
ngx_sio_client_stay(ngx_sio_client_t *sc)
{
    if (sc->session && sc->in_everyone) {
        ngx_sio_session_stay(sc->gateway->zone, sc->session, sc->owner,
                             sc->closed_at);
    }
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
    ngx_uint_t          level;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    ngx_queue_remove(&sc->link);

    ngx_sio_turn_drop(sc);

    if (sc->carrier == NULL) {

        /* our limit, or the client's own doing */
        level = (sc->reason == NGX_SIO_CLOSE_SLOW) ? NGX_LOG_WARN
                                                   : NGX_LOG_INFO;

        ngx_log_error(level, sc->log, 0, "socketio client closed: %s",
                      ngx_sio_close_reasons[sc->reason]);

        gw->nclients--;
    }

    if (sc->connect) {
        ngx_sio_connect_abort(sc);
    }

    /* also where the zone was emptied, and the index with it */
    ngx_sio_refresh_cancel(sc);

    if (ngx_sio_zone_lost(gw->zone)) {
        ngx_sio_gateway_emptied(gw);
        sc->session = 0;
    }

    if (sc->session && sc->in_everyone) {
        ngx_sio_client_exit(sc);
    }

    if (sc->bearer) {
        ngx_free(sc->bearer);
    }

    ngx_sio_partial_free(sc);
    ngx_sio_outlet_take(sc);

    sc->transport->end(sc);
}
