
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_post.h"
#include "ngx_sio_beat.h"
#include "ngx_sio_branch.h"
#include "ngx_sio_greet.h"
#include "ngx_sio_presence.h"

#include <ngx_sio_farewell.h>


/*
 * The sockets of a client that posts: what its packets do to sessions that may
 * be anybody's.
 */


static ngx_uint_t ngx_sio_post_parts(u_char *p, size_t len, sio_str_t *part);
static void ngx_sio_post_beat(ngx_sio_client_t *sc,
    void (*beat)(ngx_sio_session_sh_t *ss));
static ngx_int_t ngx_sio_post_say(ngx_sio_client_t *sc, const u_char *sid,
    ngx_uint_t flags);
static ngx_int_t ngx_sio_post_connect_locked(ngx_sio_client_t *sc,
    ngx_sio_session_socket_t *socket, ngx_str_t *reply);
static void ngx_sio_post_list(ngx_sio_client_t *sc, ngx_sio_session_sh_t *ss);
static ngx_int_t ngx_sio_post_tell(ngx_sio_client_t *sc,
    ngx_sio_session_sh_t *ss, ngx_str_t *reply, uint64_t *last);
static void ngx_sio_post_untold_locked(ngx_sio_client_t *sc, uint32_t i);


ngx_sio_session_sh_t *
ngx_sio_post_session_locked(ngx_sio_client_t *sc, uint32_t *session)
{
    uint32_t         transport;
    ngx_sio_zone_t  *z;

    z = sc->gateway->zone;

    transport = ngx_sio_zone_lost(z)
                ? 0 : ngx_sio_session_by_eio_locked(z, sc->eio_sid);

    *session = ngx_sio_session_in_locked(z, transport, sc->nsp);

    return *session ? &z->sessions[*session] : NULL;
}


/* A client that posts has no session of its own to look at. */

ngx_int_t
ngx_sio_post_sid(ngx_sio_client_t *sc, u_char *sid)
{
    uint32_t               i;
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = sc->gateway->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;
    i = sc->session;

    if (i == 0) {
        (void) ngx_sio_post_session_locked(sc, &i);
    }

    ss = ngx_sio_session_live_locked(z, i);

    if (ss && ss->sid[0]) {
        ngx_memcpy(sid, ss->sid, NGX_SIO_SID_LEN);
        rc = NGX_OK;
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


/* By way of the log, to whoever has the session. */

void
ngx_sio_post_write(ngx_sio_client_t *sc, u_char *buf, ngx_sio_message_t *msg,
    ngx_uint_t n)
{
    size_t      len;
    sio_str_t   part[SIO_RECORD_PARTS];
    ngx_uint_t  parts;

    len = msg[n - 1].start + msg[n - 1].len - msg[0].start;
    parts = ngx_sio_post_parts(buf + msg[0].start, len, part);

    if (ngx_sio_gateway_tell(sc->gateway, sc->eio_sid, 0, 0, part, parts)
        != NGX_OK)
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }
}


/* The texts in frames that ngx_sio_client_frame() has made. */

static ngx_uint_t
ngx_sio_post_parts(u_char *p, size_t len, sio_str_t *part)
{
    u_char      *last;
    ngx_uint_t   n;

    last = p + len;
    n = 0;

    while (p < last && n < SIO_RECORD_PARTS) {

        if (p[1] < 126) {
            part[n].len = p[1];
            p += 2;

        } else if (p[1] == 126) {
            part[n].len = (size_t) p[2] << 8 | p[3];
            p += 4;

        } else {
            part[n].len = (size_t) p[6] << 24 | p[7] << 16 | p[8] << 8 | p[9];
            p += 10;
        }

        part[n].data = p;
        p += part[n++].len;
    }

    return n;
}


void
ngx_sio_post_pong(ngx_sio_client_t *sc)
{
    ngx_sio_post_beat(sc, ngx_sio_beat_pong_locked);
}


void
ngx_sio_post_alive(ngx_sio_client_t *sc)
{
    ngx_sio_post_beat(sc, ngx_sio_beat_alive_locked);
}


static void
ngx_sio_post_beat(ngx_sio_client_t *sc,
    void (*beat)(ngx_sio_session_sh_t *ss))
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(sc->gateway->zone) != NGX_OK) {
        return;
    }

    ss = ngx_sio_post_session_locked(sc, &i);

    if (ss) {
        beat(ss);
    }

    ngx_sio_zone_unlock(sc->gateway->zone);
}


/*
 * The client leaves the namespace.  If a poll is pending its worker has the
 * socket in its index, and is told by a command.
 */

void
ngx_sio_post_disconnect(ngx_sio_client_t *sc)
{
    u_char                 sid[NGX_SIO_SID_LEN];
    uint32_t               i;
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = sc->gateway->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ss = ngx_sio_post_session_locked(sc, &i);
    rc = NGX_OK;

    if (ss && ss->sid[0]) {

        /* behind its events, which may be on their way to the backend */

        ss->reason = NGX_SIO_CLOSE_CLIENT;
        ngx_sio_farewell_leave_locked(z, ss);

        if (ngx_sio_owner_slot(ngx_sio_load(&ss->owner)) == 0) {
            ngx_sio_session_disconnect_locked(z, i);

        } else {
            ngx_memcpy(sid, ss->sid, NGX_SIO_SID_LEN);
            ss->flags |= NGX_SIO_LEAVING;
            rc = NGX_AGAIN;
        }
    }

    ngx_sio_zone_unlock(z);

    ngx_sio_greet_news(sc->gateway);

    if (rc == NGX_AGAIN) {
        rc = ngx_sio_post_say(sc, sid, SIO_RECORD_QUIET);
    }

    if (rc != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    if (sc->carrier) {
        ngx_sio_branch_end(sc);
        return;
    }

    ngx_sio_client_become(sc, NGX_SIO_CLIENT_OPEN);
}


/* A DISCONNECT for the socket of that id. */

static ngx_int_t
ngx_sio_post_say(ngx_sio_client_t *sc, const u_char *sid, ngx_uint_t flags)
{
    sio_str_t      name;
    sio_message_t  m;

    ngx_memzero(&m, sizeof(sio_message_t));

    name.data = sid;
    name.len = NGX_SIO_SID_LEN;

    m.type = SIO_RECORD_DISCONNECT;
    m.flags = (uint8_t) flags;
    m.nsp = sc->nsp;
    m.rooms = 1;
    m.names = &name;

    return ngx_sio_gateway_append(sc->gateway, &m, NULL);
}


void
ngx_sio_post_kick(ngx_sio_client_t *sc, ngx_uint_t close)
{
    u_char  sid[NGX_SIO_SID_LEN];

    if (ngx_sio_post_sid(sc, sid) == NGX_OK) {
        (void) ngx_sio_post_say(sc, sid, close ? SIO_RECORD_CLOSE : 0);
    }
}


ngx_int_t
ngx_sio_post_connect(ngx_sio_client_t *sc, ngx_sio_session_socket_t *socket,
    ngx_str_t *reply)
{
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = sc->gateway->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    rc = ngx_sio_post_connect_locked(sc, socket, reply);

    ngx_sio_zone_unlock(z);

    return rc;
}


/*
 * The rooms hold from this worker's cursor on.  What the log has behind it may
 * already be the past of the session's owner, so the record that tells him
 * makes him go through it again; events in it are none of the socket's.
 */

static ngx_int_t
ngx_sio_post_connect_locked(ngx_sio_client_t *sc,
    ngx_sio_session_socket_t *socket, ngx_str_t *reply)
{
    uint32_t               i;
    uint64_t               last;
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = sc->gateway->zone;
    ss = ngx_sio_post_session_locked(sc, &i);

    if (ss == NULL && sc->carrier && ngx_sio_branch_make_locked(sc) == NGX_OK) {
        ss = ngx_sio_post_session_locked(sc, &i);
    }

    if (ss == NULL) {
        return NGX_ERROR;
    }

    if (ss->sid[0]) {
        /* its owner has yet to take the last socket away */
        return NGX_AGAIN;
    }

    if (ngx_sio_session_connect_locked(z, i, socket) != NGX_OK) {
        return NGX_ERROR;
    }

    /* until the client can learn of it, it goes if this process dies */

    ss->flags |= NGX_SIO_CONNECTING;
    ss->connecter = sc->gateway->slot;

    ngx_sio_post_list(sc, ss);

    rc = ngx_sio_post_tell(sc, ss, reply, &last);

    if (rc != NGX_OK) {

        /* nobody was told that it came */
        ss->farewell = 0;

        if (sc->carrier) {
            ngx_sio_session_empty_locked(z, i);

        } else {
            ngx_sio_session_disconnect_locked(z, i);
        }

        return rc;
    }

    ngx_sio_store(&ss->born, last);

    ss->flags &= ~NGX_SIO_CONNECTING;
    ss->connecter = 0;

    return NGX_OK;
}


/* Whoever hands the reply out sends the list behind it. */

static void
ngx_sio_post_list(ngx_sio_client_t *sc, ngx_sio_session_sh_t *ss)
{
    if (ngx_sio_presence_wanted(sc->gateway, ss)) {
        ss->flags |= NGX_SIO_LISTING;

        ngx_sio_step();
    }
}


static ngx_int_t
ngx_sio_post_tell(ngx_sio_client_t *sc, ngx_sio_session_sh_t *ss,
    ngx_str_t *reply, uint64_t *last)
{
    uint32_t       told;
    ngx_int_t      rc;
    sio_str_t      name, part;
    sio_message_t  m;

    ngx_memzero(&m, sizeof(sio_message_t));

    name.data = sc->eio_sid;
    name.len = NGX_SIO_SID_LEN;
    part.data = reply->data;
    part.len = reply->len;

    m.type = SIO_RECORD_SESSION;
    m.flags = SIO_RECORD_CONNECTED;
    m.nsp = sc->nsp;
    m.rooms = 1;
    m.names = &name;
    m.parts = 1;
    m.part = &part;

    rc = ngx_sio_gateway_append(sc->gateway, &m, last);

    if (rc == NGX_OK) {
        told = (uint32_t) (*last / SIO_RECORD_ALIGN);
        ngx_sio_store(&ss->told, ngx_max(told, 1));
    }

    return rc;
}


ngx_int_t
ngx_sio_post_recover(ngx_sio_client_t *sc, uint32_t from, uint64_t owner,
    uint64_t events, ngx_str_t *reply)
{
    uint32_t               i;
    uint64_t               last;
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = sc->gateway->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_ERROR;
    }

    ss = ngx_sio_post_session_locked(sc, &i);
    rc = NGX_ERROR;

    if (ss == NULL && sc->carrier && ngx_sio_branch_make_locked(sc) == NGX_OK) {
        ss = ngx_sio_post_session_locked(sc, &i);
    }

    if (ss && ss->sid[0] == 0) {

        /* until the client can learn of it, it goes if this process dies */

        ss->flags |= NGX_SIO_CONNECTING;
        ss->connecter = sc->gateway->slot;
        ss->farewell = (uint8_t) ngx_sio_greet_farewell(sc);
    }

    if (ss && ss->sid[0] == 0
        && ngx_sio_session_adopt_locked(z, i, from, owner, events) == NGX_OK)
    {
        ngx_sio_post_list(sc, ss);

        if (ngx_sio_post_tell(sc, ss, reply, &last) == NGX_OK) {
            ss->flags &= ~NGX_SIO_CONNECTING;
            ss->connecter = 0;
            rc = NGX_OK;

        } else {
            ngx_sio_post_untold_locked(sc, i);
        }
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


/* Without its transport the client comes back for the socket. */

static void
ngx_sio_post_untold_locked(ngx_sio_client_t *sc, uint32_t i)
{
    uint64_t               deadline;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = sc->gateway->zone;
    ss = &z->sessions[i];
    deadline = ngx_sio_zone_now() + sc->gateway->conf->recovery;

    if (ngx_sio_session_wrest_locked(z, i, sc->gateway->slot) == NGX_OK) {
        ngx_sio_session_park_locked(z, i, ss->seen, deadline);
        return;
    }

    /* whoever has it is busy with it now, and parks it later */

    ngx_sio_session_dead_locked(z, i, deadline);

    ss->flags &= ~NGX_SIO_CONNECTING;
    ss->connecter = 0;
}
