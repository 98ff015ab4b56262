
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_branch.h"
#include "ngx_sio_arrive.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_outlet.h"
#include "ngx_sio_turn.h"


static ngx_int_t ngx_sio_branch_make_polling_locked(ngx_sio_client_t *sc);
static ngx_int_t ngx_sio_branch_claim_locked(ngx_sio_client_t *carrier);
static void ngx_sio_branch_unlink(ngx_sio_client_t *sc);


ngx_sio_client_t *
ngx_sio_branch_find(ngx_sio_client_t *carrier, uint16_t nsp)
{
    ngx_sio_client_t  *sc;

    if (nsp == 0) {
        return carrier;
    }

    for (sc = carrier->branches; sc && sc->nsp != nsp; sc = sc->branches) {
        /* void */
    }

    return sc;
}


ngx_sio_client_t *
ngx_sio_branch_create(ngx_sio_client_t *carrier, uint16_t nsp)
{
    ngx_sio_client_t  *sc;

    sc = ngx_calloc(carrier->transport->branch_size, carrier->gateway->log);
    if (sc == NULL) {
        return NULL;
    }

    sc->gateway = carrier->gateway;
    sc->conf = carrier->conf;
    sc->transport = carrier->transport->branch;
    sc->state = NGX_SIO_CLIENT_OPEN;
    sc->log = carrier->gateway->log;
    sc->nsp = nsp;
    ngx_memcpy(sc->eio_sid, carrier->eio_sid, NGX_SIO_SID_LEN);

    sc->carrier = carrier;
    sc->branches = carrier->branches;
    carrier->branches = sc;

    return sc;
}


ngx_int_t
ngx_sio_branch_open(ngx_sio_client_t *sc)
{
    ngx_int_t           rc;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    rc = NGX_BUSY;

    if (ngx_sio_zone_lock(gw->zone) == NGX_OK) {
        rc = ngx_sio_branch_make_locked(sc);
        ngx_sio_zone_unlock(gw->zone);
    }

    if (rc == NGX_DECLINED && !ngx_sio_zone_lost(gw->zone)) {
        ngx_sio_gateway_full(gw);
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_sio_branch_make_locked(ngx_sio_client_t *sc)
{
    ngx_sio_zone_t        *z;
    ngx_sio_client_t      *carrier;
    ngx_sio_session_sh_t  *ts;

    z = sc->gateway->zone;
    carrier = sc->carrier;

    if (ngx_sio_zone_lost(z)) {
        return NGX_ERROR;
    }

    if (sc->transport->kind == SIO_EIO_POLLING) {
        return ngx_sio_branch_make_polling_locked(sc);
    }

    /* a POST that was overtaken by the upgrade may be at the same one */

    ts = ngx_sio_session_mine_locked(z, carrier->session, carrier->owner);

    if (ts == NULL || (ts->flags & NGX_SIO_DEAD)
        || ngx_sio_session_in_locked(z, carrier->session, sc->nsp))
    {
        return NGX_ERROR;
    }

    sc->session = ngx_sio_session_branch_locked(z, carrier->session, sc->nsp,
                                                sc->gateway->slot, 0,
                                                &sc->owner);

    return sc->session ? NGX_OK : NGX_DECLINED;
}


/*
 * The session of a transport that polls may be anybody's, who meets the branch
 * when it has become a socket.  One that is leaving has to be gone before that.
 */

static ngx_int_t
ngx_sio_branch_make_polling_locked(ngx_sio_client_t *sc)
{
    uint32_t         i, transport;
    uint64_t         owner;
    ngx_sio_zone_t  *z;

    z = sc->gateway->zone;

    transport = ngx_sio_session_by_eio_locked(z, sc->eio_sid);

    if (transport == 0) {
        return NGX_ERROR;
    }

    i = ngx_sio_session_in_locked(z, transport, sc->nsp);

    if (i) {
        return (z->sessions[i].flags & NGX_SIO_LEAVING) ? NGX_OK : NGX_ERROR;
    }

    i = ngx_sio_session_branch_locked(z, transport, sc->nsp, 0,
                                      sc->gateway->slot, &owner);

    return i ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_sio_branch_claim(ngx_sio_client_t *carrier)
{
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = carrier->gateway->zone;
    ss = ngx_sio_client_session(carrier);

    if (ss == NULL || (ss->flags & NGX_SIO_BRANCHED) == 0) {
        return NGX_OK;
    }

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_sio_branch_claim_locked(carrier);

    ngx_sio_zone_unlock(z);

    return rc;
}


/*
 * Who had the transport before has lost what is left to him of it.
 *
 * The transport was claimed in an earlier section of the lock, and anything may
 * have happened in between; but here it is ours, or nothing is done.  So a
 * branch follows its transport, and needs no owner until then:
 *
 *   this worker dies     its transport is parked or ends, and sheds: a branch
 *   before               that is nobody's is parked with it, one that somebody
 *                        has is for him to end
 *   or amid the walk     so do those that it has claimed, each from where it
 *                        stands; or, if the transport is another's by then,
 *                        they are let go, for him to claim
 *   another one takes    the ticket is no good here, and he takes all of them;
 *   the transport        a poll is answered with all of its sockets or none, so
 *                        those that are still ours hand nothing out
 *   somebody comes back  it has left the transport under the lock
 *   for a branch
 *   a POST makes a new   the record that tells of it makes the owner of the
 *   one                  transport come here again
 */

static ngx_int_t
ngx_sio_branch_claim_locked(ngx_sio_client_t *carrier)
{
    uint32_t            i;
    uint64_t            owner;
    ngx_int_t           rc;
    ngx_sio_zone_t     *z;
    ngx_sio_client_t   *sc;
    ngx_sio_gateway_t  *gw;

    gw = carrier->gateway;
    z = gw->zone;

    if (ngx_sio_zone_lost(z)
        || !ngx_sio_session_mine(z, carrier->session, carrier->owner))
    {
        return NGX_ERROR;
    }

    for (i = ngx_sio_session_first_locked(z, carrier->session);
         i;
         i = ngx_sio_session_next_locked(z, i))
    {
        if (ngx_sio_branch_find(carrier, z->sessions[i].nsp)) {
            continue;
        }

        rc = ngx_sio_session_claim_locked(z, i, gw->slot, &owner);

        if (rc == NGX_AGAIN) {
            rc = ngx_sio_session_take_locked(z, i, gw->slot, &owner);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        sc = ngx_sio_branch_create(carrier, z->sessions[i].nsp);
        if (sc == NULL) {
            return NGX_ERROR;
        }

        sc->session = i;
        sc->owner = owner;
    }

    return NGX_OK;
}


void
ngx_sio_branch_end(ngx_sio_client_t *sc)
{
    ngx_sio_gateway_t  *gw;

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    gw = sc->gateway;

    ngx_sio_branch_unlink(sc);
    ngx_sio_arrive_cancel(sc);

    ngx_sio_client_become(sc, NGX_SIO_CLIENT_CLOSED);
    sc->reason = NGX_SIO_CLOSE_SERVER;

    ngx_queue_insert_tail(&gw->closed, &sc->link);

    ngx_post_event(&gw->close, &ngx_posted_events);
}


static void
ngx_sio_branch_unlink(ngx_sio_client_t *sc)
{
    ngx_sio_client_t  **link;

    link = &sc->carrier->branches;

    while (*link != sc) {
        link = &(*link)->branches;
    }

    *link = sc->branches;
}


void
ngx_sio_branch_forget(ngx_sio_client_t *carrier)
{
    ngx_sio_client_t  *sc;

    while (carrier->branches) {
        sc = carrier->branches;
        carrier->branches = sc->branches;

        if (sc->connect) {
            ngx_sio_connect_abort(sc);
        }

        if (sc->in_everyone) {
            ngx_sio_client_exit(sc);
        }

        ngx_sio_arrive_cancel(sc);
        ngx_sio_turn_drop(sc);
        ngx_sio_outlet_take(sc);

        ngx_free(sc);
    }
}


ngx_uint_t
ngx_sio_branch_is_pending(ngx_sio_client_t *carrier)
{
    ngx_sio_client_t  *sc;

    for (sc = carrier->branches; sc; sc = sc->branches) {
        if (ngx_sio_connect_is_pending(sc)) {
            return 1;
        }
    }

    return 0;
}


void
ngx_sio_branch_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n)
{
    sc->carrier->transport->write(sc->carrier, buf, msg, n);
}


void
ngx_sio_branch_leave(ngx_sio_client_t *sc)
{
    sc->carrier->transport->leave(sc->carrier);
}


void
ngx_sio_branch_release(ngx_sio_client_t *sc)
{
    sc->carrier->transport->release(sc->carrier);
}


/*
 * The carrier may be gone already; one whose branches are parked ends with
 * them, and is the last.
 */

void
ngx_sio_branch_free(ngx_sio_client_t *sc)
{
    if (ngx_sio_client_part(sc)) {
        sc->carrier->parked = 1;
    }

    ngx_free(sc);
}
