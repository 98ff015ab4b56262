
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_beat.h"
#include "ngx_sio_client.h"


#define NGX_SIO_BEAT_SWEEP     100       /* ms */
#define NGX_SIO_BEAT_LATE      200       /* ms; by more, if all were stopped */
#define NGX_SIO_BEAT_DEFERRED  30000     /* ms; that long a poll may take to
                                            fetch the news that it is over */


static void ngx_sio_beat_end_socket_locked(ngx_sio_gateway_t *gw, uint32_t i,
    ngx_uint_t reason, uint64_t now);
static void ngx_sio_beat_disconnect_locked(ngx_sio_zone_t *z, uint32_t i);
static void ngx_sio_beat_expired(ngx_sio_zone_t *z, uint32_t i, void *data);


ngx_sio_beat_e
ngx_sio_beat_locked(ngx_sio_session_sh_t *ss, uint64_t now)
{
    /* who owes a pong is not there to be told anything else */

    if (now >= ss->deadline && (ss->flags & NGX_SIO_PINGED)) {
        return NGX_SIO_BEAT_TIMEOUT;
    }

    /* the low bits of the time, which may have gone round */

    if (ss->sid[0] == 0 && ss->connect_by
        && (ss->flags & NGX_SIO_CONNECTING) == 0
        && (int32_t) (ss->connect_by - (uint32_t) now) <= 0)
    {
        return NGX_SIO_BEAT_UNCONNECTED;
    }

    if (now < ss->deadline) {
        return NGX_SIO_BEAT_NONE;
    }

    ss->flags |= NGX_SIO_PINGED|NGX_SIO_PING_DUE;
    ss->deadline = now + ss->ping_timeout;

    return NGX_SIO_BEAT_PING;
}


ngx_sio_beat_e
ngx_sio_beat_away_locked(ngx_sio_session_sh_t *ss, uint64_t now)
{
    uint64_t        late;
    ngx_sio_beat_e  beat;

    late = (now > ss->deadline) ? now - ss->deadline : 0;

    beat = ngx_sio_beat_locked(ss, now);

    if (beat == NGX_SIO_BEAT_PING) {
        late = ngx_min(late, NGX_SIO_BEAT_LATE);
        ss->deadline -= ngx_min(late, ss->ping_timeout);
    }

    return beat;
}


void
ngx_sio_beat_pong_locked(ngx_sio_session_sh_t *ss)
{
    ss->flags &= ~(NGX_SIO_PINGED|NGX_SIO_PING_DUE|NGX_SIO_EXTENDED);
    ss->deadline = ngx_sio_zone_now() + ss->ping_interval;
}


void
ngx_sio_beat_alive_locked(ngx_sio_session_sh_t *ss)
{
    /* the first packet while a pong is due extends the wait, once */

    if ((ss->flags & (NGX_SIO_PINGED|NGX_SIO_EXTENDED)) == NGX_SIO_PINGED) {
        ss->flags |= NGX_SIO_EXTENDED;
        ss->deadline = ngx_sio_zone_now() + ss->ping_timeout;
    }
}


void
ngx_sio_beat_sweep(ngx_sio_gateway_t *gw)
{
    uint64_t         now, swept;
    ngx_sio_zone_t  *z;

    z = gw->zone;
    now = ngx_sio_zone_now();
    swept = ngx_sio_load(&z->sh->swept);

    if (now - swept < NGX_SIO_BEAT_SWEEP
        || !__atomic_compare_exchange_n(&z->sh->swept, &swept, now, 0,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    {
        return;
    }

    (void) ngx_sio_session_expire(z, now, ngx_sio_beat_expired, gw);
}


static void
ngx_sio_beat_expired(ngx_sio_zone_t *z, uint32_t i, void *data)
{
    ngx_sio_gateway_t *gw = data;

    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    if (ss->flags & NGX_SIO_PARKED) {
        ngx_sio_session_close_locked(z, i);
        return;
    }

    if (ss->flags & NGX_SIO_CLOSING) {
        ngx_sio_beat_end_locked(gw, i, NGX_SIO_CLOSE_FORCED, 0);
        return;
    }

    switch (ngx_sio_beat_away_locked(ss, ngx_sio_zone_now())) {

    case NGX_SIO_BEAT_TIMEOUT:
        ngx_sio_beat_end_locked(gw, i, NGX_SIO_CLOSE_PING_TIMEOUT, 0);
        return;

    case NGX_SIO_BEAT_UNCONNECTED:
        ngx_sio_beat_end_locked(gw, i, NGX_SIO_CLOSE_FORCED, 1);
        return;

    default:
        return;
    }
}


void
ngx_sio_beat_end_locked(ngx_sio_gateway_t *gw, uint32_t i, ngx_uint_t reason,
    ngx_uint_t deferred)
{
    uint32_t               branch, next;
    uint64_t               now;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = gw->zone;
    ss = &z->sessions[i];
    now = ngx_sio_zone_now();

    if ((ss->flags & NGX_SIO_CLOSING) == 0) {
        gw->worker->stats[NGX_SIO_STAT_CLOSE + reason]++;
    }

    if (deferred && !ngx_sio_client_parks(reason)) {
        ss->reason = (uint8_t) reason;
        ngx_sio_beat_disconnect_locked(z, i);
    }

    if (deferred) {
        ss->flags |= NGX_SIO_CLOSING;
        ss->deadline = now + NGX_SIO_BEAT_DEFERRED;
        return;
    }

    for (branch = ngx_sio_session_first_locked(z, i); branch; branch = next) {
        next = ngx_sio_session_next_locked(z, branch);
        ngx_sio_beat_end_socket_locked(gw, branch, reason, now);
    }

    ngx_sio_beat_end_socket_locked(gw, i, reason, now);
}


/*
 * The news has to wait for a poll; the sockets, some of which nobody may have
 * met yet, do not.
 */

static void
ngx_sio_beat_disconnect_locked(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t  branch, next;

    for (branch = ngx_sio_session_first_locked(z, i); branch; branch = next) {
        next = ngx_sio_session_next_locked(z, branch);
        z->sessions[branch].reason = z->sessions[i].reason;
        ngx_sio_session_close_locked(z, branch);
    }

    if (z->sessions[i].sid[0]) {
        ngx_sio_session_disconnect_locked(z, i);
    }
}


static void
ngx_sio_beat_end_socket_locked(ngx_sio_gateway_t *gw, uint32_t i,
    ngx_uint_t reason, uint64_t now)
{
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = gw->zone;
    ss = &z->sessions[i];

    if (ngx_sio_session_wrest_locked(z, i, gw->slot) != NGX_OK) {
        /* a branch that is another worker's: it is for him to end */
        ngx_sio_session_prune_locked(z, i);
        return;
    }

    if (ss->reason == 0) {
        ss->reason = (uint8_t) reason;
    }

    if (gw->conf->recovery && ngx_sio_client_parks(reason)
        && ss->sid[0] && (ss->flags & NGX_SIO_RECOVERABLE))
    {
        ngx_sio_session_park_locked(z, i, ss->seen, now + gw->conf->recovery);
        return;
    }

    ngx_sio_session_close_locked(z, i);
}
