
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_greet.h"
#include "ngx_sio_beat.h"
#include "ngx_sio_entry.h"

#include <ngx_sio_session.h>
#include <sio_json.h>


/* Sockets that come; those that go are in ngx_sio_leavings.c. */


/* A $connect that Redis has not confirmed. */

typedef struct {
    ngx_sio_gateway_t    *gateway;
    ngx_sio_client_t     *client;      /* a POST that waits for it; NULL */
    size_t                size;
    uint16_t              nsp;
    u_char                sid[NGX_SIO_SID_LEN];
    u_char                eio_sid[NGX_SIO_SID_LEN];
} ngx_sio_greet_connect_t;


static ngx_int_t ngx_sio_greet_confirmed(void *data, redisReply *reply);
static void ngx_sio_greet_end(ngx_sio_greet_connect_t *gc);
static ngx_int_t ngx_sio_greet_end_locked(ngx_sio_greet_connect_t *gc);


ngx_int_t
ngx_sio_greet_args(ngx_sio_loc_conf_t *slcf, const sio_str_t *auth,
    ngx_pool_t *pool, ngx_str_t *args)
{
    char    *text;
    size_t   len;
    json_t  *json;

    if (auth->len == 0) {
        ngx_str_set(args, "[{}]");
        return NGX_OK;
    }

    if (sio_json_load(auth->data, auth->len, &json) != SIO_OK) {
        return NGX_ERROR;
    }

    /* put there by the client's library, not by the application */

    (void) json_object_del(json, "pid");
    (void) json_object_del(json, "offset");

    if (slcf->auth) {
        (void) json_object_del(json, "token");
    }

    text = json_dumps(json, JSON_COMPACT);

    json_decref(json);

    if (text == NULL) {
        return NGX_ERROR;
    }

    len = ngx_strlen(text);

    args->data = ngx_pnalloc(pool, len + 2);

    if (args->data) {
        args->len = ngx_sprintf(args->data, "[%s]", text) - args->data;
    }

    ngx_free(text);

    return args->data ? NGX_OK : NGX_ERROR;
}


/* One that is larger than the queue goes when that is empty. */

ngx_uint_t
ngx_sio_greet_ready(ngx_sio_gateway_t *gw, size_t size)
{
    return ngx_sio_redis_ready(gw->redis)
           && (gw->forwarding == 0
               || gw->forwarding + size <= NGX_SIO_ENTRY_QUEUE);
}


ngx_int_t
ngx_sio_greet_connect(ngx_sio_client_t *socket, const ngx_sio_greet_who_t *who)
{
    ngx_int_t                 rc;
    ngx_time_t               *tp;
    ngx_sio_entry_t           en;
    ngx_sio_client_t         *client;
    ngx_sio_gateway_t        *gw;
    ngx_sio_entry_text_t      text;
    ngx_sio_forward_rule_t   *rule;
    ngx_sio_greet_connect_t  *gc;

    gw = socket->gateway;
    rule = socket->conf->greet;
    tp = ngx_timeofday();

    gc = ngx_alloc(sizeof(ngx_sio_greet_connect_t), gw->log);
    if (gc == NULL) {
        return NGX_ERROR;
    }

    gc->gateway = gw;
    gc->client = NULL;
    gc->nsp = socket->nsp;
    ngx_memcpy(gc->sid, who->sid, NGX_SIO_SID_LEN);
    ngx_memcpy(gc->eio_sid, socket->eio_sid, NGX_SIO_SID_LEN);

    ngx_memzero(&text, sizeof(ngx_sio_entry_text_t));
    ngx_str_set(&text.event, "$connect");
    text.user = *who->user;
    text.sid = who->sid;
    text.nsp = socket->nsp;
    text.args = *who->args;
    text.time = (uint64_t) tp->sec * 1000 + tp->msec;

    ngx_sio_entry_begin(&en, gw, &rule->stream, &rule->maxlen, &text);

    if (who->recovered) {
        ngx_sio_entry_field(&en, "recovered", "1", 1);
    }

    rc = ngx_sio_entry_send(&en, gw, ngx_sio_greet_confirmed, gc);

    if (rc != NGX_OK) {
        ngx_free(gc);
        return rc;
    }

    gc->size = en.size;
    gw->forwarding += gc->size;

    client = socket->carrier ? socket->carrier : socket;

    if (client->transport->hold) {
        client->transport->hold(client);
        gc->client = client;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_greet_confirmed(void *data, redisReply *reply)
{
    ngx_sio_greet_connect_t *gc = data;

    ngx_sio_client_t   *client;
    ngx_sio_gateway_t  *gw;

    gw = gc->gateway;
    client = gc->client;

    gw->forwarding -= gc->size;

    if (reply && reply->type == REDIS_REPLY_STRING) {
        ngx_sio_gateway_stat(gw, GREETED, 1);

    } else {

        if (reply) {
            ngx_sio_entry_complain(gw, reply);
        }

        ngx_sio_greet_end(gc);
    }

    ngx_free(gc);

    if (client) {
        client->transport->unhold(client);
    }

    return NGX_OK;
}


/*
 * By way of the log, because the socket may be anywhere by now: its owner, if
 * there is one, closes its transport.
 */

static void
ngx_sio_greet_end(ngx_sio_greet_connect_t *gc)
{
    ngx_int_t           rc;
    sio_str_t           name[2];
    sio_message_t       m;
    ngx_sio_gateway_t  *gw;

    gw = gc->gateway;
    rc = NGX_AGAIN;

    if (ngx_sio_zone_lock(gw->zone) == NGX_OK) {
        rc = ngx_sio_greet_end_locked(gc);
        ngx_sio_zone_unlock(gw->zone);
    }

    if (rc != NGX_AGAIN) {
        return;
    }

    ngx_memzero(&m, sizeof(sio_message_t));

    name[0].data = gc->eio_sid;
    name[0].len = NGX_SIO_SID_LEN;
    name[1].data = gc->sid;
    name[1].len = NGX_SIO_SID_LEN;

    m.type = SIO_RECORD_SESSION;
    m.flags = SIO_RECORD_CLOSE;
    m.nsp = gc->nsp;
    m.arg = NGX_SIO_CLOSE_UNAVAILABLE;
    m.rooms = 2;
    m.names = name;

    if (ngx_sio_gateway_append(gw, &m, NULL) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, gw->log, 0,
                      "socketio log of gateway \"%V\" has no room for the end "
                      "of a socket that the backend was not told of",
                      &gw->conf->name);
    }
}


/* NGX_OK: it has ended; NGX_AGAIN: somebody has the session. */

static ngx_int_t
ngx_sio_greet_end_locked(ngx_sio_greet_connect_t *gc)
{
    uint32_t               i;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = gc->gateway->zone;
    i = ngx_sio_session_by_sid_locked(z, gc->sid);

    if (i == 0 || (z->sessions[i].flags & NGX_SIO_PARKED)) {
        return NGX_OK;
    }

    ss = &z->sessions[i];

    if (ss->eio_sid[0] == 0 && ss->kin) {
        i = ss->kin;
        ss = &z->sessions[i];
    }

    if (ngx_sio_owner_slot(ngx_sio_load(&ss->owner)) == 0) {
        ngx_sio_beat_end_locked(gc->gateway, i, NGX_SIO_CLOSE_UNAVAILABLE, 0);
        return NGX_OK;
    }

    ngx_memcpy(gc->eio_sid, ss->eio_sid, NGX_SIO_SID_LEN);

    return NGX_AGAIN;
}
