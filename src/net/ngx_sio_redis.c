
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_redis_peer.h"

#include <sio_resp.h>


#define NGX_SIO_REDIS_DELAY_MIN   100          /* ms between two attempts */
#define NGX_SIO_REDIS_DELAY_MAX   5000
#define NGX_SIO_REDIS_OUT         (1024 * 1024)
#define NGX_SIO_REDIS_DEFER       (32 * 1024)


static void ngx_sio_redis_event_init(ngx_sio_redis_t *rd, ngx_event_t *ev,
    ngx_event_handler_pt handler);
static void ngx_sio_redis_watch_handler(ngx_event_t *ev);
static void ngx_sio_redis_retry_handler(ngx_event_t *ev);
static void ngx_sio_redis_disconnect(ngx_sio_redis_t *rd);
static void ngx_sio_redis_abandon(ngx_sio_redis_t *rd);


ngx_sio_redis_t *
ngx_sio_redis_create(ngx_sio_redis_conf_t *conf,
    const ngx_sio_redis_handler_t *handler, void *data, const char *role,
    ngx_log_t *log)
{
    ngx_sio_redis_t  *rd;

    rd = ngx_calloc(sizeof(ngx_sio_redis_t), log);
    if (rd == NULL) {
        return NULL;
    }

    rd->conf = conf;
    rd->handler = handler;
    rd->data = data;
    rd->role = role;
    rd->log = log;
    rd->delay = NGX_SIO_REDIS_DELAY_MIN;

    rd->quiet = *log;

    if (!(log->log_level & NGX_LOG_DEBUG_ALL)) {
        rd->quiet.log_level = ngx_min(log->log_level, NGX_LOG_ALERT);
    }

    ngx_queue_init(&rd->waiting);
    ngx_queue_init(&rd->spare);

    rd->ident.fd = (ngx_socket_t) -1;
    rd->ident.data = rd;

    ngx_sio_redis_event_init(rd, &rd->retry, ngx_sio_redis_retry_handler);
    ngx_sio_redis_event_init(rd, &rd->watch, ngx_sio_redis_watch_handler);
    ngx_sio_redis_event_init(rd, &rd->flush, ngx_sio_redis_flush_handler);

    ngx_sio_redis_connect(rd);

    return rd;
}


static void
ngx_sio_redis_event_init(ngx_sio_redis_t *rd, ngx_event_t *ev,
    ngx_event_handler_pt handler)
{
    ev->handler = handler;
    ev->data = &rd->ident;
    ev->log = rd->log;
    ev->cancelable = 1;
}


ngx_int_t
ngx_sio_redis_command(ngx_sio_redis_t *rd, ngx_uint_t argc, const char **argv,
    const size_t *argvlen, ngx_msec_t timeout, ngx_sio_redis_reply_pt reply,
    void *data)
{
    ngx_int_t  rc;

    if (rd->state != NGX_SIO_REDIS_READY
        || rd->out.len - rd->sent > NGX_SIO_REDIS_OUT)
    {
        return NGX_DECLINED;
    }

    rc = ngx_sio_redis_queue(rd, argc, argv, argvlen, timeout, reply, data);

    if (rc != NGX_OK) {
        return rc;
    }

    if ((argvlen[0] == 9
         && ngx_strncasecmp((u_char *) argv[0], (u_char *) "subscribe", 9)
            == 0)
        || (argvlen[0] == 10
            && ngx_strncasecmp((u_char *) argv[0], (u_char *) "psubscribe", 10)
               == 0))
    {
        rd->subscriber = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_redis_command_early(ngx_sio_redis_t *rd, ngx_uint_t argc,
    const char **argv, const size_t *argvlen, ngx_msec_t timeout,
    ngx_sio_redis_reply_pt reply, void *data)
{
    size_t     len;
    ngx_int_t  rc;

    if (rd->state == NGX_SIO_REDIS_READY || rd->state == NGX_SIO_REDIS_AWAY
        || rd->failed || rd->held > NGX_SIO_REDIS_OUT)
    {
        return ngx_sio_redis_command(rd, argc, argv, argvlen, timeout, reply,
                                     data);
    }

    len = rd->out.len;

    rc = ngx_sio_redis_queue(rd, argc, argv, argvlen, timeout, reply, data);

    rd->held += rd->out.len - len;

    return rc;
}


ngx_int_t
ngx_sio_redis_queue(ngx_sio_redis_t *rd, ngx_uint_t argc, const char **argv,
    const size_t *argvlen, ngx_msec_t timeout, ngx_sio_redis_reply_pt reply,
    void *data)
{
    ngx_queue_t           *q;
    ngx_sio_redis_wait_t  *w;

    if (ngx_queue_empty(&rd->spare)) {
        w = ngx_alloc(sizeof(ngx_sio_redis_wait_t), rd->log);
        if (w == NULL) {
            return NGX_ERROR;
        }

        ngx_queue_insert_head(&rd->spare, &w->link);
    }

    if (sio_resp_command(&rd->out, argc, argv, argvlen) != SIO_OK) {
        return NGX_ERROR;
    }

    q = ngx_queue_head(&rd->spare);
    ngx_queue_remove(q);
    ngx_queue_insert_tail(&rd->waiting, q);

    w = ngx_queue_data(q, ngx_sio_redis_wait_t, link);

    w->reply = reply;
    w->data = data;
    w->timed = (timeout != 0);
    w->deadline = ngx_current_msec + timeout;

    if (timeout
        && (!rd->watch.timer_set
            || (ngx_msec_int_t) (w->deadline - rd->watch.timer.key) < 0))
    {
        ngx_add_timer(&rd->watch, timeout);
    }

    ngx_post_event(&rd->flush, &ngx_posted_events);

    return NGX_OK;
}


static void
ngx_sio_redis_watch_handler(ngx_event_t *ev)
{
    ngx_sio_redis_t   *rd;
    ngx_msec_int_t     left;
    ngx_connection_t  *c;

    c = ev->data;
    rd = c->data;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, ev->log, 0,
                   "socketio redis watch handler, %s", rd->role);

    rd->depth++;

    if (rd->state == NGX_SIO_REDIS_CONNECTING) {
        ngx_sio_redis_lost(rd, NGX_ETIMEDOUT, "connect() failed");
        ngx_sio_redis_leave(rd);
        return;
    }

    if (rd->state == NGX_SIO_REDIS_GREETING) {
        ngx_sio_redis_lost(rd, 0, "does not answer");
        ngx_sio_redis_leave(rd);
        return;
    }

    left = ngx_sio_redis_time_left(rd);

    if (rd->paused) {

        /* it is us who do not read the answers */

        ngx_add_timer(&rd->watch, 1000);

    } else if (left <= 0) {
        ngx_sio_redis_lost(rd, 0, "does not answer");

    } else if (left != NGX_MAX_INT32_VALUE) {
        ngx_add_timer(&rd->watch, (ngx_msec_t) left);
    }

    ngx_sio_redis_leave(rd);
}


ngx_msec_int_t
ngx_sio_redis_time_left(ngx_sio_redis_t *rd)
{
    ngx_queue_t           *q;
    ngx_msec_int_t         left, least;
    ngx_sio_redis_wait_t  *w;

    least = NGX_MAX_INT32_VALUE;

    if (rd->failed) {
        left = (ngx_msec_int_t) (rd->since + NGX_SIO_REDIS_STABLE
                                 - ngx_current_msec);

        if (left <= 0) {
            ngx_log_error(NGX_LOG_NOTICE, rd->log, 0,
                          "socketio redis \"%V\" is back for %s",
                          &rd->conf->name, rd->role);
            rd->failed = 0;

        } else {
            least = left;
        }
    }

    for (q = ngx_queue_head(&rd->waiting);
         q != ngx_queue_sentinel(&rd->waiting);
         q = ngx_queue_next(q))
    {
        w = ngx_queue_data(q, ngx_sio_redis_wait_t, link);

        if (w->timed) {
            left = (ngx_msec_int_t) (w->deadline - ngx_current_msec);
            least = ngx_min(least, left);
        }
    }

    return least;
}


static void
ngx_sio_redis_retry_handler(ngx_event_t *ev)
{
    ngx_sio_redis_t   *rd;
    ngx_connection_t  *c;

    c = ev->data;
    rd = c->data;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, ev->log, 0,
                   "socketio redis retry handler, %s", rd->role);

    rd->depth++;

    ngx_sio_redis_connect(rd);

    ngx_sio_redis_leave(rd);
}


void
ngx_sio_redis_pause(ngx_sio_redis_t *rd)
{
    rd->paused = 1;
}


void
ngx_sio_redis_resume(ngx_sio_redis_t *rd)
{
    if (!rd->paused) {
        return;
    }

    rd->paused = 0;

    if (rd->state < NGX_SIO_REDIS_GREETING) {
        return;
    }

    /* no edge will come for what has arrived in the meantime */

    ngx_post_event(rd->peer.connection->read, &ngx_posted_events);

    if (rd->watch.timer_set) {
        ngx_add_timer(&rd->watch, 1000);
    }
}


void
ngx_sio_redis_defer(ngx_sio_redis_t *rd, ngx_uint_t on)
{
    int  size;

    if (rd->deferred == on || rd->state != NGX_SIO_REDIS_READY) {
        return;
    }

    rd->deferred = on;

    size = on ? NGX_SIO_REDIS_DEFER : 1;

    if (setsockopt(rd->peer.connection->fd, SOL_SOCKET, SO_RCVLOWAT,
                   (const void *) &size, sizeof(int))
        == -1)
    {
        ngx_log_error(NGX_LOG_INFO, rd->log, ngx_socket_errno,
                      "setsockopt(SO_RCVLOWAT) failed");
    }

    if (!on) {
        ngx_sio_redis_look(rd);
    }
}


void
ngx_sio_redis_look(ngx_sio_redis_t *rd)
{
    ngx_event_t  *rev;

    if (rd->state != NGX_SIO_REDIS_READY) {
        return;
    }

    rev = rd->peer.connection->read;

    /* no event has told that there is anything, so recv() has to ask */

    rev->ready = 1;
    rev->available = -1;

    ngx_post_event(rev, &ngx_posted_events);
}


void
ngx_sio_redis_reset(ngx_sio_redis_t *rd, const char *reason)
{
    if (rd->closed || rd->state == NGX_SIO_REDIS_AWAY) {
        return;
    }

    rd->depth++;

    ngx_sio_redis_lost(rd, 0, reason);

    ngx_sio_redis_leave(rd);
}


ngx_uint_t
ngx_sio_redis_ready(ngx_sio_redis_t *rd)
{
    return rd->state == NGX_SIO_REDIS_READY;
}


uint64_t
ngx_sio_redis_run_id(ngx_sio_redis_t *rd)
{
    return rd->run_id;
}


void
ngx_sio_redis_close(ngx_sio_redis_t *rd)
{
    if (rd->closed) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, rd->log, 0,
                   "socketio redis close, %s", rd->role);

    rd->closed = 1;
    rd->depth++;

    ngx_sio_redis_disconnect(rd);

    if (rd->retry.timer_set) {
        ngx_del_timer(&rd->retry);
    }

    ngx_sio_redis_abandon(rd);

    ngx_sio_redis_leave(rd);
}


/*
 * Everything that ends a connection or an attempt ends here.  May run
 * callbacks; the caller holds the depth, and does no more than leave.
 */

void
ngx_sio_redis_lost(ngx_sio_redis_t *rd, ngx_err_t err, const char *reason)
{
    ngx_msec_t  delay;
    ngx_uint_t  ready, level;

    ready = (rd->state == NGX_SIO_REDIS_READY);
    level = rd->failed ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_log_error(level, rd->log, err,
                  "socketio redis \"%V\" is away for %s: %s",
                  &rd->conf->name, rd->role, reason);

    rd->failed = 1;

    /* a server that throws us out at once is no better than none */

    if (ready && ngx_current_msec - rd->since >= NGX_SIO_REDIS_STABLE) {
        rd->delay = NGX_SIO_REDIS_DELAY_MIN;
    }

    ngx_sio_redis_disconnect(rd);

    delay = rd->delay * (75 + (ngx_msec_t) ngx_random() % 51) / 100;
    rd->delay = ngx_min(rd->delay * 2, NGX_SIO_REDIS_DELAY_MAX);

    ngx_add_timer(&rd->retry, delay);

    ngx_sio_redis_abandon(rd);

    if (ready && !rd->closed && rd->handler->on_lost) {
        rd->handler->on_lost(rd->data);
    }
}


static void
ngx_sio_redis_disconnect(ngx_sio_redis_t *rd)
{
    rd->state = NGX_SIO_REDIS_AWAY;
    rd->run_id = 0;
    rd->subscriber = 0;
    rd->paused = 0;
    rd->deferred = 0;

    if (rd->watch.timer_set) {
        ngx_del_timer(&rd->watch);
    }

    if (rd->flush.posted) {
        ngx_delete_posted_event(&rd->flush);
    }

    if (rd->peer.connection) {
        ngx_close_connection(rd->peer.connection);
        rd->peer.connection = NULL;
    }

    redisReaderFree(rd->reader);
    rd->reader = NULL;

    sio_buf_free(&rd->out);
    rd->sent = 0;
    rd->held = 0;
}


/* Tells those who wait; in this state none of them can queue a new command. */

static void
ngx_sio_redis_abandon(ngx_sio_redis_t *rd)
{
    ngx_queue_t           *q;
    ngx_sio_redis_wait_t  *w;

    while (!ngx_queue_empty(&rd->waiting)) {
        q = ngx_queue_head(&rd->waiting);
        ngx_queue_remove(q);
        ngx_queue_insert_head(&rd->spare, q);

        w = ngx_queue_data(q, ngx_sio_redis_wait_t, link);

        if (w->reply) {
            (void) w->reply(w->data, NULL);
        }
    }
}


/* Ends a section that needed rd: the last one out frees what is closed. */

void
ngx_sio_redis_leave(ngx_sio_redis_t *rd)
{
    ngx_queue_t           *q;
    ngx_sio_redis_wait_t  *w;

    if (--rd->depth || !rd->closed) {
        return;
    }

    while (!ngx_queue_empty(&rd->spare)) {
        q = ngx_queue_head(&rd->spare);
        ngx_queue_remove(q);

        w = ngx_queue_data(q, ngx_sio_redis_wait_t, link);
        ngx_free(w);
    }

    ngx_free(rd);
}
