
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_redis_peer.h"

#include <sio_hash.h>


#define NGX_SIO_REDIS_CONNECT     3000         /* ms, greeting included */
#define NGX_SIO_REDIS_LOADING     400          /* ms, to ask again */


static ngx_int_t ngx_sio_redis_greet(ngx_sio_redis_t *rd);
static ngx_int_t ngx_sio_redis_authenticated(void *data, redisReply *reply);
static ngx_int_t ngx_sio_redis_selected(void *data, redisReply *reply);
static ngx_int_t ngx_sio_redis_pinged(void *data, redisReply *reply);
static ngx_uint_t ngx_sio_redis_optional(redisReply *reply);
static ngx_int_t ngx_sio_redis_info(void *data, redisReply *reply);
static void ngx_sio_redis_refused(ngx_sio_redis_t *rd, const char *command,
    redisReply *reply);
static void ngx_sio_redis_become_ready(ngx_sio_redis_t *rd);


void
ngx_sio_redis_connect(ngx_sio_redis_t *rd)
{
    ngx_int_t          rc;
    ngx_err_t          err;
    ngx_connection_t  *c;

    ngx_memzero(&rd->peer, sizeof(ngx_peer_connection_t));

    rd->peer.sockaddr = rd->conf->addr.sockaddr;
    rd->peer.socklen = rd->conf->addr.socklen;
    rd->peer.name = &rd->conf->name;
    rd->peer.get = ngx_event_get_peer;
    rd->peer.log = &rd->quiet;
    rd->peer.log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(&rd->peer);

    /* closing the socket after a failed connect() has left errno alone */

    err = ngx_socket_errno;

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        rd->peer.connection = NULL;
        ngx_sio_redis_lost(rd, (rc == NGX_DECLINED) ? err : 0,
                           "connect() failed");
        return;
    }

    c = rd->peer.connection;

    c->data = rd;
    c->log = rd->log;
    c->read->log = rd->log;
    c->write->log = rd->log;
    c->read->handler = ngx_sio_redis_read_handler;
    c->write->handler = ngx_sio_redis_write_handler;

    /*
     * The connection belongs to the process as its channel does: an exiting
     * worker needs it to the end, and its shutdown timeout is not meant for it.
     */

    c->read->channel = 1;

    rd->state = NGX_SIO_REDIS_CONNECTING;
    ngx_add_timer(&rd->watch, NGX_SIO_REDIS_CONNECT);

    /* the first in the queue, in front of what comes early */

    rd->reader = ngx_sio_redis_reader();
    rd->grown = 0;

    if (rd->reader == NULL || ngx_sio_redis_greet(rd) != NGX_OK) {
        ngx_sio_redis_lost(rd, 0, "no memory");
        return;
    }

    if (rc == NGX_OK) {
        (void) ngx_sio_redis_connected(rd);
    }
}


ngx_int_t
ngx_sio_redis_connected(ngx_sio_redis_t *rd)
{
    int                err;
    socklen_t          len;
    ngx_connection_t  *c;

    c = rd->peer.connection;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_sio_redis_lost(rd, err, "connect() failed");
        return NGX_ERROR;
    }

    if (ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_sio_redis_lost(rd, 0, "setsockopt(TCP_NODELAY) failed");
        return NGX_ERROR;
    }

    rd->state = NGX_SIO_REDIS_GREETING;
    ngx_post_event(&rd->flush, &ngx_posted_events);

    return NGX_OK;
}


static ngx_int_t
ngx_sio_redis_greet(ngx_sio_redis_t *rd)
{
    u_char                *p;
    size_t                 len[3];
    u_char                 db[NGX_INT_T_LEN];
    ngx_int_t              rc;
    ngx_uint_t             n;
    const char            *argv[3];
    ngx_sio_redis_conf_t  *conf;

    conf = rd->conf;
    rc = NGX_OK;

    if (conf->password.len) {
        n = 0;
        argv[n] = "AUTH";
        len[n++] = 4;

        if (conf->user.len) {
            argv[n] = (const char *) conf->user.data;
            len[n++] = conf->user.len;
        }

        argv[n] = (const char *) conf->password.data;
        len[n++] = conf->password.len;

        rc = ngx_sio_redis_queue(rd, n, argv, len, 0,
                                 ngx_sio_redis_authenticated, rd);
    }

    if (rc == NGX_OK && conf->db) {
        p = ngx_sprintf(db, "%ui", conf->db);

        argv[0] = "SELECT";
        len[0] = 6;
        argv[1] = (const char *) db;
        len[1] = p - db;

        rc = ngx_sio_redis_queue(rd, 2, argv, len, 0, ngx_sio_redis_selected,
                                 rd);
    }

    if (rc == NGX_OK) {
        argv[0] = "PING";
        len[0] = 4;

        rc = ngx_sio_redis_queue(rd, 1, argv, len, 0, ngx_sio_redis_pinged,
                                 rd);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    argv[0] = "INFO";
    len[0] = 4;
    argv[1] = "server";
    len[1] = 6;

    return ngx_sio_redis_queue(rd, 2, argv, len, 0, ngx_sio_redis_info, rd);
}


static ngx_int_t
ngx_sio_redis_authenticated(void *data, redisReply *reply)
{
    ngx_sio_redis_t *rd = data;

    if (reply && reply->type == REDIS_REPLY_ERROR) {
        ngx_sio_redis_refused(rd, "AUTH", reply);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_redis_selected(void *data, redisReply *reply)
{
    ngx_sio_redis_t *rd = data;

    if (reply && reply->type == REDIS_REPLY_ERROR) {
        ngx_sio_redis_refused(rd, "SELECT", reply);
    }

    return NGX_OK;
}


/* INFO is answered by a server that loads its data, too; PING is not. */

static ngx_int_t
ngx_sio_redis_pinged(void *data, redisReply *reply)
{
    ngx_sio_redis_t *rd = data;

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR
        || ngx_sio_redis_optional(reply))
    {
        return NGX_OK;
    }

    if (ngx_strncmp(reply->str, "LOADING", 7) == 0) {
        /* it is there, and may be ready in any moment */
        rd->delay = ngx_min(rd->delay, NGX_SIO_REDIS_LOADING);
    }

    ngx_sio_redis_refused(rd, "PING", reply);

    return NGX_OK;
}


/* A user may be allowed all that we need except for what was asked. */

static ngx_uint_t
ngx_sio_redis_optional(redisReply *reply)
{
    return ngx_strncmp(reply->str, "NOPERM", 6) == 0
           || ngx_strncmp(reply->str, "ERR unknown", 11) == 0;
}


static ngx_int_t
ngx_sio_redis_info(void *data, redisReply *reply)
{
    ngx_sio_redis_t *rd = data;

    size_t   n;
    u_char  *p, *last;

    if (reply == NULL) {
        return NGX_OK;
    }

    rd->run_id = 0;

    if (reply->type == REDIS_REPLY_ERROR) {

        if (!ngx_sio_redis_optional(reply)) {
            ngx_sio_redis_refused(rd, "INFO", reply);
            return NGX_OK;
        }

    } else if (reply->type == REDIS_REPLY_STRING) {
        p = (u_char *) reply->str;
        last = p + reply->len;

        p = ngx_strlcasestrn(p, last, (u_char *) "run_id:",
                             sizeof("run_id:") - 2);

        if (p) {
            p += sizeof("run_id:") - 1;

            for (n = 0; p + n < last && p[n] > ' '; n++) { /* void */ }

            rd->run_id = sio_hash(0, p, n);
        }
    }

    ngx_sio_redis_become_ready(rd);

    return NGX_OK;
}


static void
ngx_sio_redis_refused(ngx_sio_redis_t *rd, const char *command,
    redisReply *reply)
{
    size_t  n;
    u_char  reason[128];

    /*
     * Only the code of the error: the text of some servers quotes the command,
     * and with it the password.
     */

    for (n = 0; n < reply->len && reply->str[n] > ' '; n++) { /* void */ }

    (void) ngx_snprintf(reason, sizeof(reason), "refused %s: %*s%Z",
                        command, ngx_min(n, 64), reply->str);

    ngx_sio_redis_lost(rd, 0, (const char *) reason);
}


static void
ngx_sio_redis_become_ready(ngx_sio_redis_t *rd)
{
    ngx_msec_int_t  left;

    rd->state = NGX_SIO_REDIS_READY;
    rd->since = ngx_current_msec;

    ngx_del_timer(&rd->watch);

    /* for what came early; and good news are told only if they last */

    left = ngx_sio_redis_time_left(rd);

    if (left != NGX_MAX_INT32_VALUE) {
        ngx_add_timer(&rd->watch, (ngx_msec_t) ngx_max(left, 1));
    }

    if (rd->held) {
        rd->held = 0;
        ngx_post_event(&rd->flush, &ngx_posted_events);
    }

    if (rd->handler->on_ready) {
        rd->handler->on_ready(rd->data);
    }
}
