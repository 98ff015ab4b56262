
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_recover.h"
#include "ngx_sio_dispatch.h"
#include "ngx_sio_greet.h"
#include "ngx_sio_part.h"
#include "ngx_sio_post.h"
#include "ngx_sio_presence.h"
#include "ngx_sio_refresh.h"
#include "ngx_sio_welcome.h"
#include "ngx_sio_wire.h"

#include <ngx_sio_farewell.h>
#include <ngx_sio_name.h>
#include <ngx_sio_replay.h>
#include <sio_json_walk.h>
#include <sio_offset.h>


/* a pid or an offset, if each of its characters is an escape */
#define NGX_SIO_RECOVER_TEXT  (2 + 6 * NGX_SIO_SID_LEN)


static size_t ngx_sio_recover_text(const sio_str_t *value, u_char *buf);
static ngx_int_t ngx_sio_recover_claim(ngx_sio_recover_t *rv,
    ngx_sio_client_t *sc, ngx_sio_identity_t *identity);
static ngx_int_t ngx_sio_recover_claim_locked(ngx_sio_recover_t *rv,
    ngx_sio_gateway_t *gw, uint16_t nsp, ngx_sio_identity_t *identity);
static ngx_uint_t ngx_sio_recover_is_user(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_str_t *user);
static uint64_t ngx_sio_recover_from(ngx_sio_recover_t *rv,
    ngx_sio_gateway_t *gw);
static ngx_int_t ngx_sio_recover_replay(ngx_sio_recover_t *rv,
    ngx_sio_client_t *sc);
static ngx_int_t ngx_sio_recover_finish(ngx_sio_recover_t *rv,
    ngx_sio_client_t *sc, ngx_sio_replay_t *rp);
static ngx_int_t ngx_sio_recover_adopt(ngx_sio_recover_t *rv,
    ngx_sio_client_t *sc, uint64_t events);
static void ngx_sio_recover_drop(ngx_sio_recover_t *rv,
    ngx_sio_gateway_t *gw);


void
ngx_sio_recover_begin(ngx_sio_recover_t *rv, ngx_sio_gateway_t *gw,
    const sio_str_t *auth)
{
    size_t     len;
    u_char     buf[NGX_SIO_RECOVER_TEXT], pid[NGX_SIO_RECOVER_TEXT];
    sio_str_t  value;

    rv->active = 0;
    rv->named = 0;

    if (gw->conf->recovery == 0
        || sio_json_member(auth, "pid", &value) != SIO_OK
        || ngx_sio_recover_text(&value, pid) != NGX_SIO_SID_LEN)
    {
        return;
    }

    if (sio_json_member(auth, "offset", &value) == SIO_OK
        && value.data[0] != 'n')
    {
        len = ngx_sio_recover_text(&value, buf);

        if (sio_offset_decode(buf, len, (uint32_t) gw->zone->epoch,
                              &rv->offset)
            != SIO_OK)
        {
            ngx_sio_gateway_stat(gw, UNRECOVERED, 1);
            return;
        }

        rv->named = 1;
    }

    ngx_memcpy(rv->pid, pid, NGX_SIO_SID_LEN);
    ngx_sio_gateway_sid_of(rv->pid, rv->sid);

    rv->active = 1;
}


/* The length of what is written to buf; 0 if that is no string, or too long. */

static size_t
ngx_sio_recover_text(const sio_str_t *value, u_char *buf)
{
    if (value->data[0] != '"' || value->len > NGX_SIO_RECOVER_TEXT) {
        return 0;
    }

    return sio_json_unquote(buf, value) - buf;
}


ngx_int_t
ngx_sio_recover_try(ngx_sio_recover_t *rv, ngx_sio_client_t *sc,
    ngx_sio_identity_t *identity)
{
    ngx_int_t           rc;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    rc = ngx_sio_recover_claim(rv, sc, identity);

    if (rc == NGX_OK) {
        rc = ngx_sio_recover_replay(rv, sc);
    }

    if (rc == NGX_OK) {
        ngx_sio_gateway_stat(gw, RECOVERED, 1);

    } else if (rc == NGX_DECLINED) {
        ngx_sio_gateway_stat(gw, UNRECOVERED, 1);
        ngx_sio_recover_drop(rv, gw);

    } else if (rc == NGX_ERROR) {
        /* that may be no fault of the socket: there will be another attempt */
        ngx_sio_recover_end(rv, gw);
    }

    return rc;
}


/* Makes the session ours, and waits until this worker's cursor is up to it. */

static ngx_int_t
ngx_sio_recover_claim(ngx_sio_recover_t *rv, ngx_sio_client_t *sc,
    ngx_sio_identity_t *identity)
{
    uint64_t               at;
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_gateway_t     *gw;
    ngx_sio_session_sh_t  *ss;

    gw = sc->gateway;
    z = gw->zone;

    if (rv->session == 0) {

        if (ngx_sio_zone_lock(z) != NGX_OK) {
            ngx_sio_claim_wait(gw, &rv->claim);
            return NGX_AGAIN;
        }

        rc = ngx_sio_zone_lost(z)
             ? NGX_DECLINED
             : ngx_sio_recover_claim_locked(rv, gw, sc->nsp, identity);

        ngx_sio_zone_unlock(z);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!ngx_sio_session_mine(z, rv->session, rv->owner)) {
        rv->session = 0;
        return NGX_DECLINED;
    }

    ss = &z->sessions[rv->session];

    if (ngx_sio_farewell_is_left(ss)) {
        /* the backend hears first that the socket was lost */
        ngx_sio_greet_news(gw);
        ngx_sio_claim_wait(gw, &rv->claim);
        return NGX_AGAIN;
    }

    /* the client may have got what this worker has yet to read */

    at = ngx_max(ss->applied, ss->last);

    if (rv->named && rv->offset <= ngx_sio_log_head(z)) {
        at = ngx_max(at, rv->offset);
    }

    if (at > gw->cursor) {
        ngx_sio_dispatch_post(gw);
        ngx_sio_claim_wait(gw, &rv->claim);
        return NGX_AGAIN;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_recover_claim_locked(ngx_sio_recover_t *rv, ngx_sio_gateway_t *gw,
    uint16_t nsp, ngx_sio_identity_t *identity)
{
    uint32_t               i;
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = gw->zone;
    i = ngx_sio_session_by_sid_locked(z, rv->sid);

    if (i == 0) {
        return NGX_DECLINED;
    }

    ss = &z->sessions[i];

    if ((ss->flags & NGX_SIO_RECOVERABLE) == 0
        || (ss->flags & NGX_SIO_CONNECTING)
        || ss->nsp != nsp
        || ((ss->flags & NGX_SIO_PARKED)
            && ss->deadline <= ngx_sio_zone_now())
        || !ngx_sio_recover_is_user(z, ss, &identity->user))
    {
        return NGX_DECLINED;
    }

    if (ss->flags & NGX_SIO_DEAD) {
        /* its owner, who parks it, has yet to notice */
        ngx_sio_claim_wait(gw, &rv->claim);
        return NGX_AGAIN;
    }

    rc = ngx_sio_claim_locked(gw, &rv->claim, i, &rv->owner);

    if (rc == NGX_OK) {
        rv->session = i;

        ngx_sio_farewell_leave_locked(z, ss);

        /* it goes alone */
        ngx_sio_session_shed_locked(z, i,
                                    ngx_sio_zone_now() + gw->conf->recovery);
        ngx_sio_session_prune_locked(z, i);
    }

    return rc;
}


/* A pid is secret, and yet the token decides. */

static ngx_uint_t
ngx_sio_recover_is_user(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_str_t *user)
{
    if (ss->user == 0 || user->len == 0) {
        return ss->user == 0 && user->len == 0;
    }

    return ngx_sio_name_equal(z, &z->users[ss->user], ss->nsp, user->data,
                              user->len);
}


/*
 * Where its events go on; 0 if that cannot be told.  A client that has all that
 * was handed out needs nothing before "applied".  One that names no offset, or
 * still that of an older socket, has got no event of this one.
 */

static uint64_t
ngx_sio_recover_from(ngx_sio_recover_t *rv, ngx_sio_gateway_t *gw)
{
    uint64_t               from, tail;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = gw->zone;
    ss = &z->sessions[rv->session];
    tail = ngx_sio_log_tail(z);

    from = rv->offset;

    if (!rv->named || from < ss->born) {
        from = ngx_min(ss->last, ss->born);
    }

    if (from == ss->last) {
        return ngx_max(ngx_max(from, ss->born), ss->applied);
    }

    if (from == ss->base_last && ss->base_from >= tail) {
        from = ss->base_from;
    }

    if (from < tail || from > gw->cursor
        || ((ss->flags & NGX_SIO_FLOOR) && from < ss->base_from)
        || !ngx_sio_replay_valid(z, from))
    {
        return 0;
    }

    return from;
}


static ngx_int_t
ngx_sio_recover_replay(ngx_sio_recover_t *rv, ngx_sio_client_t *sc)
{
    ngx_int_t              rc;
    ngx_sio_replay_t       rp;
    ngx_sio_gateway_t     *gw;

    gw = sc->gateway;

    ngx_memzero(&rp, sizeof(ngx_sio_replay_t));

    rp.session = rv->session;
    rp.owner = rv->owner;
    rp.applied = gw->zone->sessions[rv->session].applied;
    rp.seen = gw->cursor;
    rp.events = ngx_sio_recover_from(rv, gw);
    rp.recover = 1;

    if (rp.events == 0 || rp.events > gw->cursor) {
        return NGX_DECLINED;
    }

    rc = ngx_sio_replay_run(gw->zone, gw->cursor, &rp);

    if (rc == NGX_OK) {
        rc = ngx_sio_recover_finish(rv, sc, &rp);
    }

    sio_buf_free(&rp.refs);
    sio_buf_free(&rp.touched);

    return rc;
}


/*
 * The reply comes before what was missed, other than from the reference: a
 * client that is cut off in between would keep events that it got without a
 * reply, and show them twice.
 */

static ngx_int_t
ngx_sio_recover_finish(ngx_sio_recover_t *rv, ngx_sio_client_t *sc,
    ngx_sio_replay_t *rp)
{
    u_char              buf[NGX_SIO_WELCOME_REPLY];
    ngx_int_t           rc;
    ngx_str_t           reply;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    reply.data = buf;
    reply.len = ngx_sio_welcome_reply(sc, buf, rv->sid, rv->pid) - buf;

    if (sc->transport->kind == SIO_EIO_POLLING) {

        rc = ngx_sio_post_recover(sc, rv->session, rv->owner, rp->events,
                                  &reply);

        if (rc == NGX_OK) {
            rv->session = 0;
        }

        return rc;
    }

    if (ngx_sio_recover_adopt(rv, sc, rp->events) != NGX_OK
        || ngx_sio_client_enter(sc) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_sio_refresh_missed(sc, &rp->touched);
    ngx_sio_client_send(sc, reply.data, reply.len);

    if (ngx_sio_wire_missed(gw, sc, (uint64_t *) rp->refs.data,
                            rp->refs.len / sizeof(uint64_t), 0)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_sio_welcome_ready(sc, gw->cursor);
    ngx_sio_presence_welcome(sc);
    ngx_sio_client_at_cursor(sc);

    return NGX_OK;
}


/* Until what was missed is sent the session stands where that begins. */

static ngx_int_t
ngx_sio_recover_adopt(ngx_sio_recover_t *rv, ngx_sio_client_t *sc,
    uint64_t events)
{
    ngx_int_t           rc;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    if (ngx_sio_zone_lock(gw->zone) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;

    if (ngx_sio_session_mine_locked(gw->zone, sc->session, sc->owner)) {

        if (gw->zone->sessions[sc->session].sid[0] == 0) {
            gw->zone->sessions[sc->session].farewell
                = (uint8_t) ngx_sio_greet_farewell(sc);
        }

        rc = ngx_sio_session_adopt_locked(gw->zone, sc->session, rv->session,
                                          rv->owner, events);
    }

    ngx_sio_zone_unlock(gw->zone);

    if (rc == NGX_OK) {
        rv->session = 0;
    }

    return rc;
}


/* A session that was claimed in vain is of no use to anybody. */

static void
ngx_sio_recover_drop(ngx_sio_recover_t *rv, ngx_sio_gateway_t *gw)
{
    rv->active = 0;

    ngx_sio_claim_cancel(&rv->claim);

    if (rv->session) {
        ngx_sio_part(gw, rv->session, rv->owner, 0, 0);
        rv->session = 0;
    }
}


void
ngx_sio_recover_end(ngx_sio_recover_t *rv, ngx_sio_gateway_t *gw)
{
    rv->active = 0;

    ngx_sio_claim_cancel(&rv->claim);

    if (rv->session) {
        ngx_sio_part(gw, rv->session, rv->owner, 1,
                     gw->zone->sessions[rv->session].seen);
        rv->session = 0;
    }
}
