
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_redis_peer.h"


#define NGX_SIO_REDIS_OUT_KEEP    (64 * 1024)
#define NGX_SIO_REDIS_RECV        (64 * 1024)
#define NGX_SIO_REDIS_SLICE       (8 * 1024)
#define NGX_SIO_REDIS_TURN        (1024 * 1024)
#define NGX_SIO_REDIS_REPLY       (64 * 1024 * 1024)
#define NGX_SIO_REDIS_READER_KEEP (64 * 1024)


static void ngx_sio_redis_receive(ngx_sio_redis_t *rd);
static void ngx_sio_redis_shrink(ngx_sio_redis_t *rd);
static ngx_int_t ngx_sio_redis_feed(ngx_sio_redis_t *rd, u_char *p,
    size_t len);
static ngx_int_t ngx_sio_redis_deliver(ngx_sio_redis_t *rd);
static void ngx_sio_redis_answer(ngx_sio_redis_t *rd, redisReply *reply);
static ngx_uint_t ngx_sio_redis_is_push(redisReply *reply);
static void ngx_sio_redis_unheard(ngx_sio_redis_t *rd, redisReply *reply);
static void ngx_sio_redis_send(ngx_sio_redis_t *rd);


/* Handlers of different connections never nest, so one buffer serves all. */

static u_char  ngx_sio_redis_buffer[NGX_SIO_REDIS_RECV];


redisReader *
ngx_sio_redis_reader(void)
{
    redisReader  *reader;

    reader = redisReaderCreate();

    if (reader) {

        /*
         * It would exchange a large buffer that is empty for a small one, and
         * abort() if there is no memory for that.
         */

        reader->maxbuf = 0;
    }

    return reader;
}


void
ngx_sio_redis_read_handler(ngx_event_t *rev)
{
    ngx_sio_redis_t   *rd;
    ngx_connection_t  *c;

    c = rev->data;
    rd = c->data;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, rev->log, 0,
                   "socketio redis read handler, %s", rd->role);

    rd->depth++;

    if (rd->state == NGX_SIO_REDIS_CONNECTING
        && ngx_sio_redis_connected(rd) != NGX_OK)
    {
        ngx_sio_redis_leave(rd);
        return;
    }

    if (!rd->paused) {
        ngx_sio_redis_receive(rd);
    }

    ngx_sio_redis_leave(rd);
}


static void
ngx_sio_redis_receive(ngx_sio_redis_t *rd)
{
    size_t             total;
    ssize_t            n;
    ngx_connection_t  *c;

    c = rd->peer.connection;

    /* what a pause has held comes first */

    if (ngx_sio_redis_deliver(rd) != NGX_OK) {
        return;
    }

    total = 0;

    while (!rd->paused) {

        n = c->recv(c, ngx_sio_redis_buffer, NGX_SIO_REDIS_RECV);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0) {
            ngx_sio_redis_lost(rd, 0, "closed the connection");
            return;
        }

        if (n == NGX_ERROR) {
            ngx_sio_redis_lost(rd, ngx_socket_errno, "recv() failed");
            return;
        }

        if (ngx_sio_redis_feed(rd, ngx_sio_redis_buffer, n) != NGX_OK) {
            return;
        }

        total += n;

        if (total >= NGX_SIO_REDIS_TURN) {
            ngx_post_event(c->read, &ngx_posted_next_events);
            break;
        }
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_sio_redis_lost(rd, 0, "cannot wait for events");
        return;
    }

    if (!rd->paused && rd->state == NGX_SIO_REDIS_READY
        && rd->handler->on_idle)
    {
        rd->handler->on_idle(rd->data);
    }
}


/* NGX_OK, or NGX_DONE if the connection did not survive it. */

static ngx_int_t
ngx_sio_redis_feed(ngx_sio_redis_t *rd, u_char *p, size_t len)
{
    size_t  n;

    /*
     * The reader moves what is left of its buffer to the front whenever a
     * kilobyte of it is read: slices keep that cheap.
     */

    while (len) {
        n = ngx_min(len, NGX_SIO_REDIS_SLICE);

        if (rd->grown) {
            ngx_sio_redis_shrink(rd);
        }

        if (redisReaderFeed(rd->reader, (const char *) p, n) != REDIS_OK) {
            ngx_sio_redis_lost(rd, 0, "no memory");
            return NGX_DONE;
        }

        if (rd->reader->len > NGX_SIO_REDIS_READER_KEEP) {
            rd->grown = 1;
        }

        if (rd->reader->len > NGX_SIO_REDIS_REPLY) {
            ngx_sio_redis_lost(rd, 0, "sent a reply over 64 MB");
            return NGX_DONE;
        }

        if (ngx_sio_redis_deliver(rd) != NGX_OK) {
            return NGX_DONE;
        }

        p += n;
        len -= n;
    }

    return NGX_OK;
}


/* Another reader, when nothing is in this one; without memory it stays. */

static void
ngx_sio_redis_shrink(ngx_sio_redis_t *rd)
{
    redisReader  *reader;

    if (rd->reader->ridx != -1 || rd->reader->pos != rd->reader->len) {
        return;
    }

    reader = ngx_sio_redis_reader();

    if (reader) {
        redisReaderFree(rd->reader);
        rd->reader = reader;
        rd->grown = 0;
    }
}


/* NGX_OK, or NGX_DONE if the connection did not survive it. */

static ngx_int_t
ngx_sio_redis_deliver(ngx_sio_redis_t *rd)
{
    void        *reply;
    const char  *reason;

    while (!rd->paused) {

        if (redisReaderGetReply(rd->reader, &reply) != REDIS_OK) {
            reason = (rd->reader->err == REDIS_ERR_OOM)
                     ? "no memory" : "sent what is not its protocol";
            ngx_sio_redis_lost(rd, 0, reason);
            return NGX_DONE;
        }

        if (reply == NULL) {
            return NGX_OK;
        }

        ngx_sio_redis_answer(rd, reply);

        /* a callback may have reset or closed us */

        if (rd->reader == NULL) {
            return NGX_DONE;
        }
    }

    return NGX_OK;
}


static void
ngx_sio_redis_answer(ngx_sio_redis_t *rd, redisReply *reply)
{
    void                    *data;
    ngx_int_t                rc;
    ngx_queue_t             *q;
    ngx_sio_redis_wait_t    *w;
    ngx_sio_redis_reply_pt   handler;

    if (rd->subscriber
        && (ngx_queue_empty(&rd->waiting) || ngx_sio_redis_is_push(reply)))
    {
        handler = rd->handler->on_push;
        data = rd->data;

    } else if (ngx_queue_empty(&rd->waiting)) {
        freeReplyObject(reply);
        ngx_sio_redis_lost(rd, 0, "sent a reply without a command");
        return;

    } else {
        q = ngx_queue_head(&rd->waiting);
        ngx_queue_remove(q);
        ngx_queue_insert_head(&rd->spare, q);

        w = ngx_queue_data(q, ngx_sio_redis_wait_t, link);

        handler = w->reply;
        data = w->data;

        if (handler == NULL && reply->type == REDIS_REPLY_ERROR) {
            ngx_sio_redis_unheard(rd, reply);
        }
    }

    rc = handler ? handler(data, reply) : NGX_OK;

    if (rc != NGX_DONE) {
        freeReplyObject(reply);
    }
}


/*
 * In RESP2 pushes look like replies, but no command that is allowed in
 * subscriber mode is answered like this.
 */

static ngx_uint_t
ngx_sio_redis_is_push(redisReply *reply)
{
    redisReply  *kind;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3) {
        return 0;
    }

    kind = reply->element[0];

    if (kind->type != REDIS_REPLY_STRING) {
        return 0;
    }

    return (reply->elements == 4 && kind->len == 8
            && ngx_memcmp(kind->str, "pmessage", 8) == 0)
           || (reply->elements == 3 && kind->len == 7
               && ngx_memcmp(kind->str, "message", 7) == 0);
}


static void
ngx_sio_redis_unheard(ngx_sio_redis_t *rd, redisReply *reply)
{
    size_t  n;

    if (rd->complained
        && (ngx_msec_int_t) (ngx_current_msec - rd->complained) < 1000)
    {
        return;
    }

    rd->complained = ngx_current_msec;

    for (n = 0; n < reply->len && reply->str[n] > ' '; n++) { /* void */ }

    ngx_log_error(NGX_LOG_ERR, rd->log, 0,
                  "socketio redis \"%V\" refused a command (%s): %*s",
                  &rd->conf->name, rd->role, ngx_min(n, 64), reply->str);
}


void
ngx_sio_redis_write_handler(ngx_event_t *wev)
{
    ngx_sio_redis_t   *rd;
    ngx_connection_t  *c;

    c = wev->data;
    rd = c->data;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, wev->log, 0,
                   "socketio redis write handler, %s", rd->role);

    rd->depth++;

    if (rd->state != NGX_SIO_REDIS_CONNECTING
        || ngx_sio_redis_connected(rd) == NGX_OK)
    {
        ngx_sio_redis_send(rd);
    }

    ngx_sio_redis_leave(rd);
}


void
ngx_sio_redis_flush_handler(ngx_event_t *ev)
{
    ngx_sio_redis_t   *rd;
    ngx_connection_t  *c;

    c = ev->data;
    rd = c->data;

    ngx_log_debug2(NGX_LOG_DEBUG_EVENT, ev->log, 0,
                   "socketio redis flush handler, %s: %uz",
                   rd->role, rd->out.len - rd->sent);

    rd->depth++;

    ngx_sio_redis_send(rd);

    ngx_sio_redis_leave(rd);
}


static void
ngx_sio_redis_send(ngx_sio_redis_t *rd)
{
    size_t             last;
    ssize_t            n;
    sio_buf_t         *b;
    ngx_connection_t  *c;

    c = rd->peer.connection;
    b = &rd->out;

    if (c == NULL || rd->state < NGX_SIO_REDIS_GREETING || !c->write->ready) {
        return;
    }

    last = b->len - rd->held;

    while (rd->sent < last) {

        n = c->send(c, b->data + rd->sent, last - rd->sent);

        if (n == NGX_ERROR) {
            ngx_sio_redis_lost(rd, ngx_socket_errno, "send() failed");
            return;
        }

        if (n <= 0) {
            break;
        }

        rd->sent += n;
    }

    if (rd->sent == b->len && b->size > NGX_SIO_REDIS_OUT_KEEP) {
        sio_buf_free(b);
        rd->sent = 0;

    } else if (rd->sent > b->len / 2) {
        b->len -= rd->sent;
        ngx_memmove(b->data, b->data + rd->sent, b->len);
        rd->sent = 0;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_sio_redis_lost(rd, 0, "cannot wait for events");
    }
}
