
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_arrive.h"
#include "ngx_sio_branch.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_dispatch.h"
#include "ngx_sio_owned.h"
#include "ngx_sio_presence.h"
#include "ngx_sio_refresh.h"
#include "ngx_sio_wire.h"

#include <ngx_sio_replay.h>


static ngx_uint_t ngx_sio_arrive_is_ahead(ngx_sio_client_t *sc);
static uint64_t ngx_sio_arrive_at(ngx_sio_client_t *sc);
static void ngx_sio_arrive_wait(ngx_sio_client_t *sc);
static void ngx_sio_arrive_now(ngx_sio_client_t *sc);
static void ngx_sio_arrive_branches(ngx_sio_client_t *sc,
    ngx_sio_replay_t *carrier);
static size_t ngx_sio_arrive_branch(ngx_sio_client_t *sc, size_t limit);
static ngx_int_t ngx_sio_arrive_socket(ngx_sio_client_t *sc,
    ngx_sio_replay_t *rp, size_t limit);
static ngx_int_t ngx_sio_arrive_here(ngx_sio_client_t *sc,
    ngx_sio_replay_t *rp);
static ngx_int_t ngx_sio_arrive_replay(ngx_sio_client_t *sc,
    ngx_sio_replay_t *rp);
static void ngx_sio_arrive_kicked(ngx_sio_client_t *sc,
    ngx_sio_replay_t *rp);
static void ngx_sio_arrive_kick(ngx_sio_client_t *sc, ngx_uint_t disconnect);
static ngx_int_t ngx_sio_arrive_enter(ngx_sio_client_t *sc,
    ngx_uint_t socket);


void
ngx_sio_arrive(ngx_sio_client_t *sc)
{
    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    if (ngx_sio_branch_claim(sc) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    if (!ngx_sio_arrive_is_ahead(sc)) {
        ngx_sio_arrive_now(sc);
        return;
    }

    ngx_sio_arrive_wait(sc);
    ngx_sio_dispatch_post(sc->gateway);
}


static void
ngx_sio_arrive_wait(ngx_sio_client_t *sc)
{
    sc->in_arriving = 1;
    ngx_queue_insert_tail(&sc->gateway->arriving, &sc->arrive);
}


/* True if it, or one of its branches, is ahead of this worker. */

static ngx_uint_t
ngx_sio_arrive_is_ahead(ngx_sio_client_t *sc)
{
    uint64_t           at;
    ngx_sio_client_t  *branch;

    at = ngx_sio_arrive_at(sc);
    branch = sc->carrier ? NULL : sc->branches;

    for ( /* void */ ; branch; branch = branch->branches) {
        at = ngx_max(at, ngx_sio_arrive_at(branch));
    }

    return at > sc->gateway->cursor;
}


/* Where a session stands. */

static uint64_t
ngx_sio_arrive_at(ngx_sio_client_t *sc)
{
    uint64_t               at;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_client_session(sc);
    at = ss->seen;

    if (ss->sid[0] && ss->applied != NGX_SIO_AT_CURSOR) {
        at = ngx_max(at, ss->applied);
    }

    /*
     * A socket that another worker has made is told so by a record, before
     * which it gets nothing.
     */

    return ngx_max(at, ngx_sio_session_told(ss, sc->gateway->cursor));
}


void
ngx_sio_arrive_again(ngx_sio_client_t *sc, uint64_t off)
{
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = sc->gateway->zone;

    if (sc->in_arriving) {
        /* it will meet the record on its way */
        return;
    }

    rc = ngx_sio_session_go_back(z, sc->session, sc->owner, off,
                                 sc->in_everyone);

    if (rc == NGX_DECLINED) {
        /* somebody else will meet it */
        return;
    }

    if (rc != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    if (sc->in_everyone) {
        ngx_sio_client_exit(sc);
    }

    ngx_sio_owned_remove(sc);
    ngx_sio_arrive_wait(sc);
}


ngx_int_t
ngx_sio_arrive_late(ngx_sio_client_t *sc, uint16_t nsp, uint64_t off)
{
    ngx_sio_client_t  *branch;

    if (sc->in_arriving) {
        return NGX_OK;
    }

    if (ngx_sio_branch_claim(sc) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_OK;
    }

    if (ngx_sio_wire_missed(sc->gateway, sc, &off, 1, 0) != NGX_OK) {
        return NGX_DECLINED;
    }

    branch = ngx_sio_branch_find(sc, nsp);

    if (branch && !branch->in_everyone && !branch->in_arriving) {
        ngx_sio_arrive_wait(branch);
    }

    return NGX_OK;
}


void
ngx_sio_arrive_resume(ngx_sio_gateway_t *gw)
{
    ngx_queue_t       *q;
    ngx_sio_client_t  *sc;

    q = ngx_queue_head(&gw->arriving);

    while (q != ngx_queue_sentinel(&gw->arriving)) {
        sc = ngx_queue_data(q, ngx_sio_client_t, arrive);

        /* there may be new branches */

        if (sc->carrier == NULL && ngx_sio_branch_claim(sc) != NGX_OK) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            q = ngx_queue_head(&gw->arriving);
            continue;
        }

        if (ngx_sio_arrive_is_ahead(sc)) {
            q = ngx_queue_next(q);
            continue;
        }

        ngx_sio_arrive_cancel(sc);

        if (sc->carrier) {
            ngx_sio_arrive_branch(sc, sc->conf->send_queue);
            ngx_sio_arrive_kick(sc, ngx_sio_branch_of(sc)->disconnect);

        } else {
            ngx_sio_arrive_now(sc);
        }

        /* others may have been taken out by that */
        q = ngx_queue_head(&gw->arriving);
    }
}


void
ngx_sio_arrive_cancel(ngx_sio_client_t *sc)
{
    if (sc->in_arriving) {
        ngx_queue_remove(&sc->arrive);
        sc->in_arriving = 0;
    }
}


/* The replies to CONNECTs in any namespace are among what the client gets. */

static void
ngx_sio_arrive_now(ngx_sio_client_t *sc)
{
    ngx_sio_replay_t  rp;

    if (ngx_sio_arrive_socket(sc, &rp, sc->conf->send_queue) != NGX_OK) {
        return;
    }

    ngx_sio_arrive_branches(sc, &rp);
    ngx_sio_arrive_kicked(sc, &rp);

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    if (rp.left < sc->gateway->cursor) {

        /* the next poll goes on there */
        sc->transport->arrived(sc, rp.left, rp.met);
        return;
    }

    if (rp.close) {
        ngx_sio_client_close(sc, ngx_min(rp.reason,
                                         NGX_SIO_CLOSE_REASONS - 1));
    }

    ngx_sio_presence_arrived(sc);

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    sc->transport->arrived(sc, 0, 0);

    if (rp.release) {
        sc->transport->release(sc);
    }
}


/*
 * Those come that have had their replies, which are among what the carrier
 * gets.  All share what a poll takes, in which each gets one message at least.
 */

static void
ngx_sio_arrive_branches(ngx_sio_client_t *sc, ngx_sio_replay_t *carrier)
{
    size_t             limit;
    uint64_t           told;
    ngx_sio_client_t  *branch, *next;

    limit = carrier->limit;

    for (branch = sc->branches; branch; branch = next) {
        next = branch->branches;

        ngx_sio_arrive_cancel(branch);

        told = ngx_sio_session_told(ngx_sio_client_session(branch),
                                    sc->gateway->cursor);

        if (told <= carrier->met) {
            limit = ngx_sio_arrive_branch(branch, ngx_max(limit, 1));
        }
    }
}


/*
 * There is nothing to do if it was closed by another one, or is here as far as
 * it can be: its carrier may arrive again before a poll is answered.  Returns
 * what is left of the limit.
 */

static size_t
ngx_sio_arrive_branch(ngx_sio_client_t *sc, size_t limit)
{
    ngx_sio_replay_t  rp;

    if (sc->state == NGX_SIO_CLIENT_CLOSED
        || sc->in_everyone
        || sc->partly
        || ngx_sio_arrive_socket(sc, &rp, limit) != NGX_OK)
    {
        return limit;
    }

    if (rp.left < sc->gateway->cursor) {
        sc->transport->arrived(sc, rp.left, rp.met);
        return rp.limit;
    }

    ngx_sio_branch_of(sc)->disconnect = rp.disconnect;

    sc->transport->arrived(sc, 0, 0);

    return rp.limit;
}


/* Brings one socket here.  NGX_OK, or the client is closed. */

static ngx_int_t
ngx_sio_arrive_socket(ngx_sio_client_t *sc, ngx_sio_replay_t *rp, size_t limit)
{
    ngx_int_t              rc;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_client_session(sc);

    ngx_memzero(rp, sizeof(ngx_sio_replay_t));

    rp->session = sc->session;
    rp->owner = sc->owner;
    rp->seen = ss->seen;
    rp->applied = (ss->sid[0] == 0 || ss->applied == NGX_SIO_AT_CURSOR)
                  ? ss->seen : ss->applied;
    rp->events = ngx_max(rp->applied, ss->last);
    rp->events = ngx_max(rp->events, ss->born);

    if (sc->transport->kind == SIO_EIO_POLLING) {
        rp->limit = limit;
    }

    rc = ngx_sio_arrive_replay(sc, rp);

    if (rc != NGX_OK || sc->state == NGX_SIO_CLIENT_CLOSED) {
        rc = NGX_ERROR;

    } else if (rp->left < sc->gateway->cursor) {
        sc->partly = rp->socket;

    } else {
        rc = ngx_sio_arrive_here(sc, rp);
    }

    sio_buf_free(&rp->refs);
    sio_buf_free(&rp->touched);

    return rc;
}


/* All that it missed up to the cursor is handed out. */

static ngx_int_t
ngx_sio_arrive_here(ngx_sio_client_t *sc, ngx_sio_replay_t *rp)
{
    if (ngx_sio_arrive_enter(sc, rp->socket) != NGX_OK) {
        sc->broken = 1;
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_ERROR;
    }

    ngx_sio_refresh_missed(sc, &rp->touched);

    if (sc->transport->kind == SIO_EIO_WEBSOCKET) {
        /* a poll has to be answered first */
        ngx_sio_session_told_done(sc->gateway->zone, sc->session, sc->owner,
                                  sc->gateway->cursor);
    }

    return NGX_OK;
}


/*
 * When all are here: to disconnect one with its transport is to disconnect all
 * of them.
 */

static void
ngx_sio_arrive_kicked(ngx_sio_client_t *sc, ngx_sio_replay_t *rp)
{
    ngx_sio_client_t  *branch, *next;

    if (rp->left == sc->gateway->cursor) {
        ngx_sio_arrive_kick(sc, rp->disconnect);
    }

    for (branch = sc->branches; branch; branch = next) {
        next = branch->branches;
        ngx_sio_arrive_kick(branch, ngx_sio_branch_of(branch)->disconnect);
    }
}


static void
ngx_sio_arrive_kick(ngx_sio_client_t *sc, ngx_uint_t disconnect)
{
    if (disconnect == 3) {
        ngx_sio_client_disconnect(sc);

    } else if (disconnect) {
        ngx_sio_client_kick(sc, disconnect == 2);
    }
}


/* NGX_OK, or the client is closed.  A poll takes only so much at once. */

static ngx_int_t
ngx_sio_arrive_replay(ngx_sio_client_t *sc, ngx_sio_replay_t *rp)
{
    ngx_int_t           rc;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    rc = ngx_sio_replay_run(gw->zone, gw->cursor, rp);

    if (rc == NGX_OK) {
        rc = ngx_sio_wire_missed(gw, sc, (uint64_t *) rp->refs.data,
                                 rp->refs.len / sizeof(uint64_t),
                                 rp->ready <= rp->left ? rp->ready : 0);
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    /* it cannot be told what it has missed: it has to begin anew */

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, sc->log, 0,
                      "socketio session was left behind by the log");
    }

    sc->broken = 1;
    ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);

    return NGX_ERROR;
}


/*
 * socket: whether it was one when it was replayed; if it has become one in the
 * meantime it arrives again with the record that says so.
 */

static ngx_int_t
ngx_sio_arrive_enter(ngx_sio_client_t *sc, ngx_uint_t socket)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_client_session(sc);

    if (sc->carrier == NULL) {
        ngx_sio_owned_add(sc);
    }

    if (socket) {

        if (sc->connect) {
            /* another worker has made it a socket */
            ngx_sio_connect_abort(sc);
        }

        if (sc->carrier) {
            ngx_sio_connect_in_time(sc->carrier);
        }

        return ngx_sio_client_enter(sc);
    }

    ngx_sio_client_become(sc, ((ss->flags & NGX_SIO_CONNECTING)
                               || ngx_sio_connect_is_pending(sc))
                              ? NGX_SIO_CLIENT_CONNECTING
                              : NGX_SIO_CLIENT_OPEN);

    return NGX_OK;
}
