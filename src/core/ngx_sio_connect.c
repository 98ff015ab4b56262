
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_connect.h"
#include "ngx_sio_auth.h"
#include "ngx_sio_branch.h"
#include "ngx_sio_dispatch.h"
#include "ngx_sio_greet.h"
#include "ngx_sio_joining.h"
#include "ngx_sio_presence.h"
#include "ngx_sio_quota.h"
#include "ngx_sio_recover.h"
#include "ngx_sio_refresh.h"
#include "ngx_sio_room_sets.h"
#include "ngx_sio_rooms.h"
#include "ngx_sio_welcome.h"
#include "ngx_sio_wire.h"

#include <ngx_sio_lease.h>
#include <sio_json_walk.h>
#include <sio_packet.h>


#define NGX_SIO_CONNECT_LIMIT  5000       /* ms from acceptance to the reply */


struct ngx_sio_connect_s {
    ngx_sio_client_t         *client;
    ngx_sio_deadline_t        timeout;    /* socketio_connect_timeout */

    /* from here on: only while CONNECTING */

    ngx_sio_deadline_t        limit;
    ngx_queue_t               link;       /* gateway->connecting */
    uint64_t                  since;      /* the cursor when it was accepted */
    ngx_pool_t               *pool;
    ngx_sio_identity_t        identity;
    ngx_array_t               names;      /* ngx_str_t: rooms, as found */
    ngx_uint_t                known;      /* of names, those not from Redis */
    ngx_array_t               keys;       /* ngx_str_t: of room sets */
    ngx_sio_room_sets_t      *sets;       /* read, or being read; NULL: not
                                             asked for */
    ngx_str_t                 greeting;   /* arguments of $connect */
    ngx_sio_client_t         *held;       /* a POST that waits for $connect */
    ngx_sio_joining_t         joining;
    ngx_sio_recover_t         recover;
    u_char                    pid[NGX_SIO_SID_LEN];
};


static void ngx_sio_connect_timeout(ngx_sio_deadline_t *d);
static void ngx_sio_connect_limit(ngx_sio_deadline_t *d);
static ngx_sio_auth_result_e ngx_sio_connect_verify(ngx_sio_client_t *sc,
    const sio_str_t *auth, ngx_sio_identity_t *identity, ngx_pool_t *pool);
static void ngx_sio_connect_accept(ngx_sio_client_t *sc,
    const sio_str_t *auth, ngx_sio_identity_t *identity, ngx_pool_t *pool);
static ngx_int_t ngx_sio_connect_hold(ngx_sio_connect_t *cn,
    const sio_str_t *auth);
static ngx_sio_connect_t *ngx_sio_connect_get(ngx_sio_client_t *sc);
static void ngx_sio_connect_refuse(ngx_sio_client_t *sc, uint16_t nsp,
    ngx_sio_auth_result_e result);
static ngx_int_t ngx_sio_connect_begin(ngx_sio_connect_t *cn);
static ngx_int_t ngx_sio_connect_names(ngx_sio_connect_t *cn);
static ngx_int_t ngx_sio_connect_expand(ngx_sio_connect_t *cn,
    ngx_sio_template_t *t, ngx_array_t *list);
static void ngx_sio_connect_proceed(ngx_sio_connect_t *cn);
static ngx_uint_t ngx_sio_connect_is_reading(ngx_sio_connect_t *cn);
static void ngx_sio_connect_sets(void *data, ngx_int_t rc);
static void ngx_sio_connect_unread(ngx_sio_connect_t *cn);
static void ngx_sio_connect_again(ngx_sio_claim_t *cl);
static ngx_int_t ngx_sio_connect_complete(ngx_sio_connect_t *cn);
static ngx_int_t ngx_sio_connect_enter(ngx_sio_connect_t *cn);
static void ngx_sio_connect_done(ngx_sio_connect_t *cn);
static ngx_int_t ngx_sio_connect_greet(ngx_sio_connect_t *cn);
static void ngx_sio_connect_release(ngx_sio_connect_t *cn);
static void ngx_sio_connect_trim(ngx_sio_gateway_t *gw);


ngx_int_t
ngx_sio_connect_create(ngx_sio_client_t *sc, ngx_msec_t timeout)
{
    ngx_sio_connect_t         *cn;
    ngx_sio_deadline_queue_t  *q;

    q = ngx_sio_deadline_queue(timeout, ngx_sio_connect_timeout);
    if (q == NULL) {
        return NGX_ERROR;
    }

    cn = ngx_sio_connect_get(sc);
    if (cn == NULL) {
        return NGX_ERROR;
    }

    ngx_sio_deadline_set(q, &cn->timeout);

    return NGX_OK;
}


static void
ngx_sio_connect_timeout(ngx_sio_deadline_t *d)
{
    ngx_sio_connect_t  *cn;

    cn = ngx_queue_data(d, ngx_sio_connect_t, timeout);

    ngx_sio_client_close(cn->client, NGX_SIO_CLOSE_FORCED);
}


static void
ngx_sio_connect_limit(ngx_sio_deadline_t *d)
{
    ngx_sio_client_t   *sc;
    ngx_sio_connect_t  *cn;

    cn = ngx_queue_data(d, ngx_sio_connect_t, limit);
    sc = cn->client;

    ngx_log_error(NGX_LOG_INFO, sc->log, 0,
                  "socketio client waited too long for %s",
                  ngx_sio_connect_is_reading(cn) ? "its room set"
                                                 : "the feed or Redis");

    ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
}


void
ngx_sio_connect_start(ngx_sio_client_t *sc, uint16_t nsp,
    const sio_str_t *auth)
{
    ngx_err_t               err;
    ngx_pool_t             *pool;
    ngx_sio_client_t       *socket;
    ngx_sio_identity_t      identity;
    ngx_sio_auth_result_e   result;

    pool = ngx_create_pool(1024, sc->gateway->log);
    if (pool == NULL) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    /*
     * A refused client does not come back, so it has to be told from one for
     * whom there was no memory.  The libraries do not tell, malloc() does.
     */

    ngx_set_errno(0);

    result = ngx_sio_connect_verify(sc, auth, &identity, pool);

    err = ngx_errno;

    if (result != NGX_SIO_AUTH_OK) {
        ngx_destroy_pool(pool);

        if (err == NGX_ENOMEM) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }

        ngx_sio_connect_refuse(sc, nsp, result);
        return;
    }

    socket = nsp ? ngx_sio_branch_create(sc, nsp) : sc;

    if (socket == NULL) {
        ngx_sio_auth_release(&identity);
        ngx_destroy_pool(pool);
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ngx_sio_connect_accept(socket, auth, &identity, pool);
}


/* By the payload's token, else by the one that came beside it. */

static ngx_sio_auth_result_e
ngx_sio_connect_verify(ngx_sio_client_t *sc, const sio_str_t *auth,
    ngx_sio_identity_t *identity, ngx_pool_t *pool)
{
    u_char                 *buf;
    size_t                  len;
    ngx_str_t               token;
    sio_str_t               value;
    ngx_sio_auth_result_e   result;

    ngx_str_null(&value);

    if (sc->conf->token_sources & NGX_SIO_TOKEN_PAYLOAD) {
        (void) sio_json_member(auth, "token", &value);
    }

    if (value.len && value.data[0] != 'n' && value.data[0] != '"') {
        return ngx_sio_auth_verify(sc->conf, NULL, identity, pool);
    }

    len = sc->bearer ? sc->bearer->len : 0;

    buf = ngx_alloc(ngx_max(value.len, len) + 1, sc->gateway->log);
    if (buf == NULL) {
        return NGX_SIO_AUTH_INVALID;
    }

    token.data = buf;
    token.len = 0;

    if (value.len > 2 && value.data[0] == '"') {
        token.len = sio_json_unquote(buf, &value) - buf;
    }

    if (token.len == 0 && sc->bearer) {
        token.len = len;
        ngx_memcpy(buf, sc->bearer->data, len);
    }

    buf[token.len] = '\0';

    result = ngx_sio_auth_verify(sc->conf, &token, identity, pool);

    ngx_free(buf);

    return result;
}


/* Takes over what identity holds, and the pool. */

static void
ngx_sio_connect_accept(ngx_sio_client_t *sc, const sio_str_t *auth,
    ngx_sio_identity_t *identity, ngx_pool_t *pool)
{
    ngx_sio_connect_t  *cn;

    cn = ngx_sio_connect_get(sc);

    if (cn == NULL) {
        ngx_sio_auth_release(identity);
        ngx_destroy_pool(pool);
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    cn->identity = *identity;
    cn->pool = pool;

    ngx_sio_recover_begin(&cn->recover, sc->gateway, auth);

    if (sc->conf->greet && ngx_sio_connect_hold(cn, auth) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    switch (ngx_sio_connect_begin(cn)) {

    case NGX_OK:
        return;

    case NGX_DECLINED:

        /* its claims do not give the names that the configuration asks for */

        ngx_sio_connect_release(cn);

        if (sc->carrier) {
            ngx_sio_connect_refuse(sc->carrier, sc->nsp, NGX_SIO_AUTH_INVALID);
            ngx_sio_branch_end(sc);

        } else {
            ngx_sio_connect_refuse(sc, 0, NGX_SIO_AUTH_INVALID);
        }

        return;

    default:
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }
}


/*
 * A client that posts is answered when the backend has been told of its socket:
 * what it posts next may take another connection to Redis.
 */

static ngx_int_t
ngx_sio_connect_hold(ngx_sio_connect_t *cn, const sio_str_t *auth)
{
    ngx_sio_client_t  *sc;

    sc = cn->client;

    if (ngx_sio_greet_args(sc->conf, auth, cn->pool, &cn->greeting)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (sc->carrier) {
        sc = sc->carrier;
    }

    if (sc->transport->hold) {
        sc->transport->hold(sc);
        cn->held = sc;
    }

    return NGX_OK;
}


/* Without one, its time to connect is not limited, or not again. */

static ngx_sio_connect_t *
ngx_sio_connect_get(ngx_sio_client_t *sc)
{
    ngx_sio_connect_t  *cn;

    if (sc->connect) {
        return sc->connect;
    }

    cn = ngx_calloc(sizeof(ngx_sio_connect_t), sc->gateway->log);
    if (cn == NULL) {
        return NULL;
    }

    cn->client = sc;
    sc->connect = cn;

    return cn;
}


static void
ngx_sio_connect_refuse(ngx_sio_client_t *sc, uint16_t nsp,
    ngx_sio_auth_result_e result)
{
    ngx_str_t         name;
    sio_str_t         to;
    const ngx_str_t  *error;

    error = ngx_sio_auth_error(result);

    ngx_log_error(NGX_LOG_INFO, sc->log, 0,
                  "socketio client refused: %V", error);

    switch (result) {

    case NGX_SIO_AUTH_MISSING:
        ngx_sio_gateway_stat(sc->gateway, AUTH_MISSING, 1);
        break;

    case NGX_SIO_AUTH_EXPIRED:
        ngx_sio_gateway_stat(sc->gateway, AUTH_EXPIRED, 1);
        break;

    default:
        ngx_sio_gateway_stat(sc->gateway, AUTH_INVALID, 1);
        break;
    }

    if (!ngx_sio_client_refuse(sc)) {
        return;
    }

    ngx_sio_nsp_name(sc->gateway->zone, nsp, &name);

    to.data = name.data;
    to.len = name.len;

    ngx_sio_client_packet(sc, SIO_CONNECT_ERROR, &to, error->data,
                          error->len);
}


/*
 * The client is accepted.  What the log brings from here on counts for it,
 * even though its rooms are not known yet.
 */

static ngx_int_t
ngx_sio_connect_begin(ngx_sio_connect_t *cn)
{
    ngx_int_t                  rc;
    ngx_sio_client_t          *sc;
    ngx_sio_gateway_t         *gw;
    ngx_sio_deadline_queue_t  *q;

    sc = cn->client;
    gw = sc->gateway;

    rc = ngx_sio_connect_names(cn);
    if (rc != NGX_OK) {
        return rc;
    }

    if (sc->carrier && ngx_sio_branch_open(sc) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = gw->conf->recovery
         ? ngx_sio_gateway_pid(gw, cn->pid, cn->joining.sid)
         : ngx_sio_gateway_sid(gw, cn->joining.sid);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    cn->joining.seed = gw->zone->sh->seed;
    cn->joining.nsp = sc->nsp;

    q = ngx_sio_deadline_queue(NGX_SIO_CONNECT_LIMIT, ngx_sio_connect_limit);
    if (q == NULL) {
        return NGX_ERROR;
    }

    ngx_sio_client_become(sc, NGX_SIO_CLIENT_CONNECTING);

    cn->since = gw->cursor;
    cn->recover.claim.again = ngx_sio_connect_again;
    ngx_queue_insert_tail(&gw->connecting, &cn->link);
    ngx_sio_deadline_set(q, &cn->limit);

    ngx_sio_connect_proceed(cn);

    return NGX_OK;
}


/*
 * What is known at once: rooms by name, and the keys of room sets.
 * NGX_DECLINED if a claim is missing, or of a type that gives no name.
 */

static ngx_int_t
ngx_sio_connect_names(ngx_sio_connect_t *cn)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_sio_loc_conf_t      *slcf;
    ngx_sio_rooms_source_t  *source;

    slcf = cn->client->conf;

    if (ngx_array_init(&cn->names, cn->pool, 8, sizeof(ngx_str_t)) != NGX_OK
        || ngx_array_init(&cn->keys, cn->pool, 2, sizeof(ngx_str_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (slcf->user_room) {
        rc = ngx_sio_connect_expand(cn, slcf->user_room, &cn->names);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    source = slcf->rooms ? slcf->rooms->elts : NULL;

    for (i = 0; source && i < slcf->rooms->nelts; i++) {

        if (source[i].redis) {
            rc = ngx_sio_connect_expand(cn, source[i].redis, &cn->keys);

        } else {
            rc = ngx_sio_auth_rooms(&cn->identity, &source[i].claim,
                                    &cn->names);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    cn->known = cn->names.nelts;

    return NGX_OK;
}


static ngx_int_t
ngx_sio_connect_expand(ngx_sio_connect_t *cn, ngx_sio_template_t *t,
    ngx_array_t *list)
{
    ngx_int_t   rc;
    ngx_str_t  *name;

    name = ngx_array_push(list);
    if (name == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_sio_auth_expand(t, &cn->identity, name, cn->pool);

    if (rc == NGX_OK && (name->len == 0 || name->len > SIO_ROOM_LEN)) {
        return NGX_DECLINED;
    }

    return rc;
}


/* Completes the connection if nothing is missing any more. */

static void
ngx_sio_connect_proceed(ngx_sio_connect_t *cn)
{
    ngx_int_t           rc;
    ngx_sio_client_t   *sc;
    ngx_sio_gateway_t  *gw;

    sc = cn->client;
    gw = sc->gateway;

    if (ngx_sio_connect_is_reading(cn)
        || (gw->feed && !ngx_sio_lease_is_live(gw->zone))
        || ngx_sio_presence_pending(gw)
        || (sc->conf->greet
            && !ngx_sio_greet_ready(gw, cn->greeting.len)))
    {
        return;
    }

    if (cn->recover.active) {

        rc = ngx_sio_recover_try(&cn->recover, sc, &cn->identity);

        if (rc == NGX_OK) {
            ngx_sio_connect_done(cn);
            return;
        }

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }
    }

    /* the sets are read after the feed is live: see the order of a backend */

    if (cn->keys.nelts && cn->sets == NULL) {
        cn->sets = ngx_sio_room_sets_read(gw, &cn->keys, ngx_sio_connect_sets,
                                          cn);
        return;
    }

    if (ngx_sio_connect_complete(cn) == NGX_ERROR) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }
}


static ngx_uint_t
ngx_sio_connect_is_reading(ngx_sio_connect_t *cn)
{
    return cn->sets && cn->sets->waiting;
}


static void
ngx_sio_connect_sets(void *data, ngx_int_t rc)
{
    ngx_sio_connect_t *cn = data;

    if (cn->client->state != NGX_SIO_CLIENT_CONNECTING) {
        return;
    }

    if (rc == NGX_ERROR) {
        /* asked again when Redis is back, within the limit */
        ngx_sio_connect_unread(cn);
        return;
    }

    if (rc != NGX_OK
        || ngx_sio_room_sets_names(cn->sets, &cn->names) != NGX_OK)
    {
        ngx_sio_client_close(cn->client, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ngx_sio_connect_proceed(cn);
}


/* The names that were found in the sets go with them. */

static void
ngx_sio_connect_unread(ngx_sio_connect_t *cn)
{
    ngx_sio_room_sets_free(cn->sets);
    cn->sets = NULL;

    cn->names.nelts = cn->known;
}


void
ngx_sio_connect_forget(ngx_sio_gateway_t *gw)
{
    ngx_queue_t        *q;
    ngx_sio_connect_t  *cn;

    for (q = ngx_queue_head(&gw->connecting);
         q != ngx_queue_sentinel(&gw->connecting);
         q = ngx_queue_next(q))
    {
        cn = ngx_queue_data(q, ngx_sio_connect_t, link);
        ngx_sio_connect_unread(cn);
    }
}


static void
ngx_sio_connect_again(ngx_sio_claim_t *cl)
{
    ngx_sio_connect_t  *cn;

    cn = ngx_queue_data(cl, ngx_sio_connect_t, recover.claim);

    if (cn->client->state == NGX_SIO_CLIENT_CONNECTING) {
        ngx_sio_connect_proceed(cn);
    }
}


void
ngx_sio_connect_resume(ngx_sio_gateway_t *gw)
{
    ngx_queue_t        *q, *next;
    ngx_sio_connect_t  *cn;

    for (q = ngx_queue_head(&gw->connecting);
         q != ngx_queue_sentinel(&gw->connecting);
         q = next)
    {
        next = ngx_queue_next(q);
        cn = ngx_queue_data(q, ngx_sio_connect_t, link);

        if (cn->client->state == NGX_SIO_CLIENT_CONNECTING) {
            ngx_sio_connect_proceed(cn);
        }
    }
}


/* NGX_OK; NGX_AGAIN: it is tried again later; NGX_ERROR. */

static ngx_int_t
ngx_sio_connect_complete(ngx_sio_connect_t *cn)
{
    ngx_int_t           rc;
    ngx_uint_t          known;
    ngx_pool_t         *pool;
    ngx_sio_gateway_t  *gw;

    gw = cn->client->gateway;
    known = ngx_sio_refresh_possible(cn->client->conf) ? cn->known
                                                       : cn->names.nelts;

    /* it may take several tries */

    pool = ngx_create_pool(1024, gw->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_sio_joining_rooms(&cn->joining, &cn->names, known, pool);

    if (rc == NGX_OK) {
        rc = ngx_sio_joining_apply(&cn->joining, gw, cn->since);
    }

    if (rc == NGX_OK) {
        rc = ngx_sio_connect_enter(cn);
    }

    if (rc == NGX_OK) {
        ngx_sio_refresh_missed(cn->client, &cn->joining.touched);
    }

    sio_buf_free(&cn->joining.touched);
    ngx_destroy_pool(pool);

    if (rc == NGX_OK) {
        ngx_sio_connect_done(cn);
    }

    return rc;
}


/* As of this worker's cursor, and as its transport does it. */

static ngx_int_t
ngx_sio_connect_enter(ngx_sio_connect_t *cn)
{
    u_char                     buf[NGX_SIO_WELCOME_REPLY];
    uint64_t                   refused;
    ngx_int_t                  rc;
    ngx_str_t                  reply;
    ngx_sio_client_t          *sc;
    ngx_sio_gateway_t         *gw;
    ngx_sio_session_socket_t   socket;

    sc = cn->client;
    gw = sc->gateway;

    socket.sid = cn->joining.sid;
    socket.nsp = sc->nsp;
    socket.recoverable = (gw->conf->recovery != 0);
    socket.farewell = ngx_sio_greet_farewell(sc);
    socket.user = &cn->identity.user;
    socket.rooms = cn->joining.list.rooms.elts;
    socket.nrooms = cn->joining.list.rooms.nelts;
    socket.since = gw->cursor;
    socket.refresh = cn->joining.refresh;

    reply.data = buf;
    reply.len = ngx_sio_welcome_reply(sc, buf, cn->joining.sid,
                                      socket.recoverable ? cn->pid : NULL)
                - buf;

    refused = ngx_sio_load(&gw->zone->sh->refused);

    rc = sc->transport->connect(sc, &socket, &reply);

    if (rc == NGX_ERROR && refused != ngx_sio_load(&gw->zone->sh->refused)) {
        ngx_sio_gateway_full(gw);
    }

    return rc;
}


/* The client is a socket, and was told so; it may be freed here. */

static void
ngx_sio_connect_done(ngx_sio_connect_t *cn)
{
    ngx_uint_t          kicked;
    ngx_sio_client_t   *sc;
    ngx_sio_gateway_t  *gw;

    sc = cn->client;
    gw = sc->gateway;
    kicked = cn->joining.kicked;

    ngx_sio_gateway_stat(gw, CONNECTED, 1);

    if (sc->state != NGX_SIO_CLIENT_CLOSED) {
        ngx_sio_client_become(sc, NGX_SIO_CLIENT_CONNECTED);
    }

    if (sc->conf->greet && ngx_sio_connect_greet(cn) != NGX_OK) {
        /* closed; the rest is dropped with it, and no earlier */
        return;
    }

    sc->connect = NULL;

    ngx_sio_deadline_clear(&cn->timeout);
    ngx_sio_connect_release(cn);
    ngx_free(cn);

    if (sc->carrier) {
        ngx_sio_connect_in_time(sc->carrier);
    }

    ngx_sio_connect_trim(gw);
    ngx_sio_quota_connected(sc);

    if (kicked) {
        sc->transport->kick(sc, kicked == 2);
    }

    sc->transport->arrived(sc, 0, 0);
}


/* Also for one that was closed by its reply: its end is told as well. */

static ngx_int_t
ngx_sio_connect_greet(ngx_sio_connect_t *cn)
{
    ngx_sio_greet_who_t  who;

    who.recovered = cn->recover.active;
    who.sid = who.recovered ? cn->recover.sid : cn->joining.sid;
    who.user = &cn->identity.user;
    who.args = &cn->greeting;

    if (ngx_sio_greet_connect(cn->client, &who) != NGX_OK) {
        ngx_sio_client_close(cn->client, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_sio_connect_in_time(ngx_sio_client_t *sc)
{
    if (ngx_sio_connect_is_pending(sc)) {
        ngx_sio_deadline_clear(&sc->connect->timeout);

    } else if (sc->connect) {
        ngx_sio_connect_abort(sc);
    }
}


ngx_uint_t
ngx_sio_connect_is_pending(ngx_sio_client_t *sc)
{
    return sc->connect && sc->connect->pool;
}


void
ngx_sio_connect_abort(ngx_sio_client_t *sc)
{
    ngx_sio_connect_t  *cn;

    cn = sc->connect;
    sc->connect = NULL;

    ngx_sio_deadline_clear(&cn->timeout);
    ngx_sio_connect_release(cn);

    ngx_free(cn);

    ngx_sio_connect_trim(sc->gateway);
}


/* Drops what is held only while CONNECTING. */

static void
ngx_sio_connect_release(ngx_sio_connect_t *cn)
{
    ngx_sio_client_t  *held;

    if (cn->pool == NULL) {
        return;
    }

    if (cn->recover.active) {
        ngx_sio_recover_end(&cn->recover, cn->client->gateway);
    }

    ngx_sio_deadline_clear(&cn->limit);

    if (cn->link.next) {
        ngx_queue_remove(&cn->link);
        cn->link.next = NULL;
    }

    ngx_sio_connect_unread(cn);
    ngx_sio_auth_release(&cn->identity);
    ngx_destroy_pool(cn->pool);
    cn->pool = NULL;

    held = cn->held;
    cn->held = NULL;

    if (held) {
        held->transport->unhold(held);
    }
}


void
ngx_sio_connect_command(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    ngx_queue_t        *q;
    ngx_sio_connect_t  *cn;

    if (ngx_queue_empty(&gw->connecting)
        || ngx_sio_joining_keep(gw, rec) == NGX_OK)
    {
        return;
    }

    /* whoever waits has missed it: they have to come again */

    for (q = ngx_queue_head(&gw->connecting);
         q != ngx_queue_sentinel(&gw->connecting);
         q = ngx_queue_next(q))
    {
        cn = ngx_queue_data(q, ngx_sio_connect_t, link);
        ngx_sio_client_close(cn->client, NGX_SIO_CLOSE_UNAVAILABLE);
    }
}


/* Forgets the commands that nobody waits for any more. */

static void
ngx_sio_connect_trim(ngx_sio_gateway_t *gw)
{
    ngx_queue_t        *q;
    ngx_sio_connect_t  *cn;

    if (ngx_queue_empty(&gw->connecting)) {
        ngx_sio_joining_trim(gw, (uint64_t) -1);
        return;
    }

    q = ngx_queue_head(&gw->connecting);
    cn = ngx_queue_data(q, ngx_sio_connect_t, link);

    ngx_sio_joining_trim(gw, cn->since);
}
