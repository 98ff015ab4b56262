
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_quota.h"
#include "ngx_sio_forward.h"
#include "ngx_sio_post.h"

#include <ngx_sio_http.h>
#include <ngx_sio_limit.h>


#define NGX_SIO_QUOTA_RETRY    "10"    /* s, before another handshake */
#define NGX_SIO_QUOTA_AT_ONCE  2       /* connections closed for one that came:
                                          a limit that was lowered gets true */
#define NGX_SIO_QUOTA_POLICY   1008    /* RFC 6455, 7.4.1 */


struct ngx_sio_pause_s {
    ngx_sio_client_t         *client;
    ngx_sio_deadline_t        deadline;
};


/* The socket that stands for a connection which is to be closed. */

typedef struct {
    uint16_t                  nsp;
    u_char                    sid[NGX_SIO_SID_LEN];
} ngx_sio_quota_socket_t;


static ngx_int_t ngx_sio_quota_oldest(ngx_sio_client_t *sc,
    ngx_sio_quota_socket_t *socket);
static ngx_int_t ngx_sio_quota_oldest_locked(ngx_sio_client_t *sc,
    ngx_sio_quota_socket_t *socket);
static ngx_int_t ngx_sio_quota_evict(ngx_sio_gateway_t *gw,
    ngx_sio_quota_socket_t *socket);
static void ngx_sio_quota_restore(ngx_sio_gateway_t *gw,
    ngx_sio_quota_socket_t *socket);
static ngx_int_t ngx_sio_quota_tell(ngx_sio_gateway_t *gw,
    ngx_sio_quota_socket_t *socket);
static ngx_int_t ngx_sio_quota_append(ngx_sio_gateway_t *gw,
    ngx_sio_quota_socket_t *socket, sio_message_t *m);
static uint32_t ngx_sio_quota_session(ngx_sio_client_t *socket);
static void ngx_sio_quota_pause(ngx_sio_client_t *sc, ngx_uint_t rate);
static void ngx_sio_quota_resume(ngx_sio_deadline_t *d);


/* An IPv4 address is the same, whatever socket it comes by. */

uint64_t
ngx_sio_quota_address(ngx_http_request_t *r, ngx_sio_gateway_t *gw)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    struct sockaddr_in6  *sin6;
#endif

    switch (r->connection->sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) r->connection->sockaddr;

        return ngx_sio_limit_address_key(gw->zone,
                                         (u_char *) &sin->sin_addr, 4);

#if (NGX_HAVE_INET6)

    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) r->connection->sockaddr;
        p = sin6->sin6_addr.s6_addr;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            return ngx_sio_limit_address_key(gw->zone, p + 12, 4);
        }

        return ngx_sio_limit_address_key(gw->zone, p, 16);

#endif

    default:
        return 0;
    }
}


/* Who comes too often is in the access log, too: one line a second will do. */

ngx_int_t
ngx_sio_quota_refuse(ngx_http_request_t *r, ngx_sio_gateway_t *gw)
{
    static ngx_msec_t       complained;
    static const ngx_str_t  retry = ngx_string(NGX_SIO_QUOTA_RETRY);

    ngx_sio_gateway_stat(gw, LIMIT_REFUSED, 1);

    if (complained == 0 || ngx_current_msec - complained >= 1000) {
        complained = ngx_current_msec;

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "socketio handshake refused: too many connections of "
                      "its address");
    }

    if (ngx_sio_http_push(r, "Retry-After", 11, &retry) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_HTTP_SERVICE_UNAVAILABLE;
}


void
ngx_sio_quota_connected(ngx_sio_client_t *sc)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_sio_quota_socket_t  socket;

    if (sc->conf->limit == NULL || sc->conf->limit->per_user == 0) {
        return;
    }

    for (i = 0; i < NGX_SIO_QUOTA_AT_ONCE; i++) {

        rc = ngx_sio_quota_oldest(sc, &socket);

        if (rc == NGX_DECLINED) {
            return;
        }

        if (rc == NGX_OK) {
            rc = ngx_sio_quota_evict(sc->gateway, &socket);

            if (rc != NGX_OK) {
                ngx_sio_quota_restore(sc->gateway, &socket);
            }
        }

        if (rc != NGX_OK) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }
    }
}


/* NGX_OK; NGX_DECLINED: there are not too many; NGX_BUSY. */

static ngx_int_t
ngx_sio_quota_oldest(ngx_sio_client_t *sc, ngx_sio_quota_socket_t *socket)
{
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = sc->gateway->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = ngx_sio_quota_oldest_locked(sc, socket);

    ngx_sio_zone_unlock(z);

    return rc;
}


static ngx_int_t
ngx_sio_quota_oldest_locked(ngx_sio_client_t *sc,
    ngx_sio_quota_socket_t *socket)
{
    uint32_t         i;
    ngx_sio_zone_t  *z;

    z = sc->gateway->zone;
    i = sc->session;

    if (i == 0) {
        (void) ngx_sio_post_session_locked(sc, &i);
    }

    i = ngx_sio_limit_oldest_locked(z, i, sc->conf->limit->per_user);

    if (i == 0) {
        return NGX_DECLINED;
    }

    if (z->sessions[i].sid[0] == 0) {

        i = ngx_sio_session_first_locked(z, i);

        while (i && z->sessions[i].sid[0] == 0) {
            i = ngx_sio_session_next_locked(z, i);
        }
    }

    if (i == 0) {
        return NGX_DECLINED;
    }

    socket->nsp = z->sessions[i].nsp;
    ngx_memcpy(socket->sid, z->sessions[i].sid, NGX_SIO_SID_LEN);

    return NGX_OK;
}


/* By way of the log: it may be a client of any worker, or between two polls. */

static ngx_int_t
ngx_sio_quota_evict(ngx_sio_gateway_t *gw, ngx_sio_quota_socket_t *socket)
{
    sio_message_t  m;

    if (ngx_sio_quota_tell(gw, socket) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&m, sizeof(sio_message_t));

    m.type = SIO_RECORD_DISCONNECT;
    m.flags = SIO_RECORD_CLOSE;

    if (ngx_sio_quota_append(gw, socket, &m) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sio_gateway_stat(gw, LIMIT_CLOSED, 1);

    ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                  "socketio client closed: too many connections of its user");

    return NGX_OK;
}


/* It stays, and so it counts; as the latest, which it is not, but it may. */

static void
ngx_sio_quota_restore(ngx_sio_gateway_t *gw, ngx_sio_quota_socket_t *socket)
{
    uint32_t         i;
    ngx_sio_zone_t  *z;

    z = gw->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return;
    }

    i = ngx_sio_session_by_sid_locked(z, socket->sid);

    if (i) {
        ngx_sio_limit_come_locked(z, &z->sessions[i]);
    }

    ngx_sio_zone_unlock(z);
}


static ngx_int_t
ngx_sio_quota_tell(ngx_sio_gateway_t *gw, ngx_sio_quota_socket_t *socket)
{
    ngx_int_t      rc;
    ngx_str_t      name;
    sio_buf_t      b;
    sio_str_t      nsp, part;
    sio_message_t  m;

    static const char  event[] =
        "[\"error\",{\"message\":\"Too many connections\"}]";

    ngx_memzero(&b, sizeof(sio_buf_t));
    ngx_memzero(&m, sizeof(sio_message_t));

    ngx_sio_nsp_name(gw->zone, socket->nsp, &name);
    nsp.data = name.data;
    nsp.len = name.len;

    rc = NGX_ERROR;

    if (sio_packet_begin(&b, SIO_EVENT, nsp) == SIO_OK
        && sio_buf_append(&b, event, sizeof(event) - 1) == SIO_OK)
    {
        part.data = b.data;
        part.len = b.len;

        m.type = SIO_RECORD_EMIT;
        m.parts = 1;
        m.part = &part;

        rc = ngx_sio_quota_append(gw, socket, &m);
    }

    sio_buf_free(&b);

    return rc;
}


static ngx_int_t
ngx_sio_quota_append(ngx_sio_gateway_t *gw, ngx_sio_quota_socket_t *socket,
    sio_message_t *m)
{
    sio_str_t  name;

    name.data = socket->sid;
    name.len = NGX_SIO_SID_LEN;

    m->nsp = socket->nsp;
    m->rooms = 1;
    m->names = &name;

    return ngx_sio_gateway_append(gw, m, NULL);
}


ngx_uint_t
ngx_sio_quota_event(ngx_sio_client_t *socket, const sio_packet_t *pk)
{
    uint32_t               session;
    ngx_sio_limit_e        rc;
    ngx_sio_client_t      *sc;
    ngx_sio_limit_conf_t  *limit;

    limit = socket->conf->limit;

    if (limit == NULL || limit->events == 0) {
        return 1;
    }

    session = ngx_sio_quota_session(socket);

    if (session == 0) {
        ngx_sio_client_close(socket, NGX_SIO_CLOSE_UNAVAILABLE);
        return 0;
    }

    rc = ngx_sio_limit_event(socket->gateway->zone, session, limit->events,
                             limit->burst);

    if (rc == NGX_SIO_LIMIT_OK) {
        return 1;
    }

    sc = socket->carrier ? socket->carrier : socket;

    ngx_sio_gateway_stat(sc->gateway, LIMITED, 1);

    if (rc == NGX_SIO_LIMIT_FLOOD) {
        ngx_sio_gateway_stat(sc->gateway, LIMIT_CLOSED, 1);

        sc->code = NGX_SIO_QUOTA_POLICY;
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_LIMITED);

        return 0;
    }

    ngx_sio_forward_limited(socket, pk);

    if (sc->state != NGX_SIO_CLIENT_CLOSED) {
        ngx_sio_quota_pause(sc, limit->events);
    }

    return 0;
}


/* 0: it is lost, or the zone is locked. */

static uint32_t
ngx_sio_quota_session(ngx_sio_client_t *socket)
{
    uint32_t         i;
    ngx_sio_zone_t  *z;

    z = socket->gateway->zone;

    if (socket->session) {

        i = socket->session;

        return (!ngx_sio_zone_lost(z)
                && ngx_sio_session_mine(z, i, socket->owner))
               ? i : 0;
    }

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return 0;
    }

    (void) ngx_sio_post_session_locked(socket, &i);

    ngx_sio_zone_unlock(z);

    return i;
}


/* For as long as a token takes; what has been read already is refused, too. */

static void
ngx_sio_quota_pause(ngx_sio_client_t *sc, ngx_uint_t rate)
{
    ngx_sio_pause_t           *ps;
    ngx_sio_deadline_queue_t  *q;

    if (sc->pause) {
        return;
    }

    q = ngx_sio_deadline_queue((1000 + rate - 1) / rate, ngx_sio_quota_resume);
    ps = ngx_calloc(sizeof(ngx_sio_pause_t), sc->gateway->log);

    if (q == NULL || ps == NULL) {

        if (ps) {
            ngx_free(ps);
        }

        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ps->client = sc;
    sc->pause = ps;

    if (sc->transport->hold) {
        sc->transport->hold(sc);

    } else {
        ngx_sio_ws_pause(&sc->ws);
    }

    ngx_sio_deadline_set(q, &ps->deadline);
}


static void
ngx_sio_quota_resume(ngx_sio_deadline_t *d)
{
    ngx_sio_pause_t   *ps;
    ngx_sio_client_t  *sc;

    ps = ngx_queue_data(d, ngx_sio_pause_t, deadline);
    sc = ps->client;

    sc->pause = NULL;
    ngx_free(ps);

    if (sc->transport->unhold) {
        sc->transport->unhold(sc);

    } else {
        ngx_sio_ws_resume(&sc->ws);
    }
}


void
ngx_sio_quota_end(ngx_sio_client_t *sc)
{
    if (sc->pause) {
        ngx_sio_deadline_clear(&sc->pause->deadline);
        ngx_free(sc->pause);
        sc->pause = NULL;
    }
}
