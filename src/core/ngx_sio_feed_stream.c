
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_feed_stream.h"

#include <ngx_sio_lease.h>


#define NGX_SIO_FEED_KEEP         (64 * 1024 * 1024)
#define NGX_SIO_FEED_SLICE        1000         /* kept messages in a turn */
#define NGX_SIO_FEED_CONFIRM      3000         /* ms to confirm a channel */
#define NGX_SIO_FEED_SEARCH       2000         /* ms to find the position */
#define NGX_SIO_FEED_RETRY        5            /* ms until there may be room */
#define NGX_SIO_FEED_BUSY         500          /* ms, each try costs a second */


static void ngx_sio_feed_stream_ready(void *data);
static ngx_int_t ngx_sio_feed_stream_confirm(void *data, redisReply *reply);
static void ngx_sio_feed_stream_lost(void *data);
static ngx_int_t ngx_sio_feed_stream_push(void *data, redisReply *reply);
static void ngx_sio_feed_stream_idle(void *data);

static void ngx_sio_feed_stream_heartbeat(ngx_sio_feed_t *feed,
    uint64_t number);
static ngx_int_t ngx_sio_feed_stream_message(ngx_sio_feed_t *feed,
    ngx_sio_feed_push_t *push, redisReply *reply);
static void ngx_sio_feed_stream_keep_heartbeat(ngx_sio_feed_t *feed,
    uint64_t number);
static ngx_int_t ngx_sio_feed_stream_keep(ngx_sio_feed_t *feed,
    ngx_sio_feed_push_t *push, redisReply *reply);
static void ngx_sio_feed_stream_trim(ngx_sio_feed_t *feed);
static void ngx_sio_feed_stream_forget(ngx_sio_feed_t *feed);

static void ngx_sio_feed_stream_accept_heartbeat(ngx_sio_feed_t *feed,
    uint64_t number);
static ngx_int_t ngx_sio_feed_stream_accept(ngx_sio_feed_t *feed,
    ngx_sio_feed_push_t *push);
static void ngx_sio_feed_stream_restart(ngx_sio_feed_t *feed);
static void ngx_sio_feed_stream_up(ngx_sio_feed_t *feed, uint64_t number);
static void ngx_sio_feed_stream_down(ngx_sio_feed_t *feed);

static void ngx_sio_feed_stream_drain(ngx_sio_feed_t *feed);
static void ngx_sio_feed_stream_settle(ngx_sio_feed_t *feed, ngx_int_t rc);
static void ngx_sio_feed_stream_block(ngx_sio_feed_t *feed, ngx_msec_t delay);
static void ngx_sio_feed_stream_unblock(ngx_sio_feed_t *feed);


static const ngx_sio_redis_handler_t  ngx_sio_feed_stream_handler = {
    ngx_sio_feed_stream_ready,
    ngx_sio_feed_stream_lost,
    ngx_sio_feed_stream_push,
    ngx_sio_feed_stream_idle
};


void
ngx_sio_feed_stream_open(ngx_sio_feed_t *feed)
{
    ngx_sio_gateway_t  *gw;

    if (feed->rd) {
        return;
    }

    gw = feed->gw;

    feed->rd = ngx_sio_redis_create(gw->conf->redis,
                                    &ngx_sio_feed_stream_handler, feed, "feed",
                                    gw->log);
}


void
ngx_sio_feed_stream_close(ngx_sio_feed_t *feed)
{
    if (feed->rd) {
        ngx_sio_redis_close(feed->rd);
        feed->rd = NULL;
    }

    feed->subscribed = 0;

    ngx_sio_feed_stream_forget(feed);
}


static void
ngx_sio_feed_stream_ready(void *data)
{
    ngx_sio_feed_t *feed = data;

    size_t                   len[2];
    ngx_uint_t               i;
    const char              *argv[2];
    ngx_sio_feed_channel_t  *channel;

    feed->run_id = ngx_sio_feed_channels_hash(&feed->channels,
                                              ngx_sio_redis_run_id(feed->rd));
    feed->seen = 0;
    feed->pending = feed->channels.n;

    for (i = 0; i < feed->channels.n; i++) {
        channel = &feed->channels.channel[i];

        argv[0] = ngx_sio_feed_channels_verb(channel);
        len[0] = ngx_strlen(argv[0]);
        argv[1] = (const char *) channel->name.data;
        len[1] = channel->name.len;

        if (ngx_sio_redis_command(feed->rd, 2, argv, len, NGX_SIO_FEED_CONFIRM,
                                  ngx_sio_feed_stream_confirm, feed)
            != NGX_OK)
        {
            ngx_sio_redis_reset(feed->rd, "cannot subscribe");
            return;
        }
    }
}


static ngx_int_t
ngx_sio_feed_stream_confirm(void *data, redisReply *reply)
{
    ngx_sio_feed_t *feed = data;

    if (reply == NULL) {
        return NGX_OK;
    }

    if (reply->type != REDIS_REPLY_ARRAY) {
        ngx_sio_redis_reset(feed->rd, "refused a subscription");
        return NGX_OK;
    }

    if (--feed->pending) {
        return NGX_OK;
    }

    feed->subscribed = 1;
    feed->heard = ngx_current_msec;

    if (ngx_sio_feed_holder(feed)) {
        ngx_sio_feed_beat(feed);
    }

    return NGX_OK;
}


static void
ngx_sio_feed_stream_lost(void *data)
{
    ngx_sio_feed_t *feed = data;

    ngx_sio_gateway_t  *gw;

    gw = feed->gw;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, gw->log, 0,
                   "socketio feed lost its connection, state:%d", feed->state);

    feed->subscribed = 0;
    feed->waiting = 0;

    switch (feed->state) {

    case NGX_SIO_FEED_STANDBY:
        ngx_sio_lease_standby_release(gw->zone, gw->slot);
        feed->state = NGX_SIO_FEED_IDLE;

        /* fall through */

    case NGX_SIO_FEED_IDLE:
        ngx_sio_feed_stream_forget(feed);
        return;

    case NGX_SIO_FEED_TAKING:
        feed->gap = "connection lost while taking over";
        ngx_sio_feed_stream_down(feed);
        return;

    case NGX_SIO_FEED_RUNNING:
        break;

    default:
        return;
    }

    if (feed->ending) {
        return;
    }

    if (ngx_sio_feed_have_standby(feed)) {
        ngx_sio_feed_hand_over(feed);
        return;
    }

    feed->gap = "connection lost";
    feed->ending = 1;

    if (!feed->blocked) {
        ngx_sio_feed_stream_drain(feed);
    }
}


static ngx_int_t
ngx_sio_feed_stream_push(void *data, redisReply *reply)
{
    ngx_sio_feed_t *feed = data;

    ngx_sio_feed_push_t  push;

    ngx_sio_feed_channels_read(&feed->channels, feed->gw->zone->sh->epoch,
                               reply, &push);

    switch (push.kind) {

    case NGX_SIO_FEED_OTHER:
        return NGX_OK;

    case NGX_SIO_FEED_HEARTBEAT:

        /*
         * One of a former holder that was stopped for a while may come late.
         * All who read the feed have met the newer one before, and ignore it.
         */

        if (push.number > feed->seen) {
            feed->seen = push.number;
            feed->heard = ngx_current_msec;
            ngx_sio_feed_stream_heartbeat(feed, push.number);
        }

        return NGX_OK;

    default:
        return ngx_sio_feed_stream_message(feed, &push, reply);
    }
}


static void
ngx_sio_feed_stream_idle(void *data)
{
    ngx_sio_feed_t *feed = data;

    ngx_int_t  rc;

    if (feed->state == NGX_SIO_FEED_RUNNING && !feed->blocked) {
        rc = ngx_sio_feed_batch_flush(&feed->batch);
        ngx_sio_feed_stream_settle(feed, rc);
    }
}


static void
ngx_sio_feed_stream_heartbeat(ngx_sio_feed_t *feed, uint64_t number)
{
    ngx_int_t   rc;
    ngx_uint_t  own;

    own = ngx_sio_feed_holder(feed)
          && (uint32_t) (number >> 32) == (uint32_t) feed->batch.lease;

    if (own) {
        feed->waiting = 0;
    }

    switch (feed->state) {

    case NGX_SIO_FEED_WAITING:

        if (own) {
            ngx_sio_feed_stream_up(feed, number);

            rc = ngx_sio_feed_batch_flush(&feed->batch);
            ngx_sio_feed_stream_settle(feed, rc);
        }

        return;

    case NGX_SIO_FEED_RUNNING:

        if (feed->ending) {
            return;
        }

        if (!feed->blocked && ngx_sio_standby_first(&feed->kept) == NULL) {
            ngx_sio_feed_stream_accept_heartbeat(feed, number);
            return;
        }

        if (ngx_sio_standby_mark(&feed->kept, number) != NGX_OK) {
            ngx_sio_redis_reset(feed->rd, "no memory");
        }

        return;

    default:
        ngx_sio_feed_stream_keep_heartbeat(feed, number);
    }
}


static ngx_int_t
ngx_sio_feed_stream_message(ngx_sio_feed_t *feed, ngx_sio_feed_push_t *push,
    redisReply *reply)
{
    ngx_int_t  rc;

    if (feed->state == NGX_SIO_FEED_WAITING || feed->ending) {
        return NGX_OK;
    }

    if (feed->state != NGX_SIO_FEED_RUNNING) {
        return ngx_sio_feed_stream_keep(feed, push, reply);
    }

    rc = NGX_OK;

    if (!feed->blocked && ngx_sio_standby_first(&feed->kept) == NULL) {

        rc = ngx_sio_feed_stream_accept(feed, push);

        if (rc == NGX_OK) {
            return NGX_OK;
        }

        if (rc == NGX_DECLINED) {
            ngx_sio_feed_lost_lease(feed);
            return NGX_OK;
        }
    }

    if (ngx_sio_standby_push(&feed->kept, push, reply) != NGX_OK) {
        ngx_sio_redis_reset(feed->rd, "no memory");
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        ngx_sio_feed_stream_settle(feed, rc);
    }

    return NGX_DONE;
}


static void
ngx_sio_feed_stream_keep_heartbeat(ngx_sio_feed_t *feed, uint64_t number)
{
    if (ngx_sio_standby_mark(&feed->kept, number) != NGX_OK) {
        ngx_sio_feed_stream_forget(feed);
        return;
    }

    feed->proven = 1;

    if (feed->state == NGX_SIO_FEED_TAKING) {
        ngx_sio_feed_stream_take(feed);
        return;
    }

    ngx_sio_feed_stream_trim(feed);
}


/* Drops what the holder has appended. */

static void
ngx_sio_feed_stream_trim(ngx_sio_feed_t *feed)
{
    ngx_sio_feed_sh_t  pos;

    if (ngx_sio_lease_position(feed->gw->zone, &pos) == NGX_OK
        && pos.run_id == feed->run_id)
    {
        ngx_sio_standby_trim(&feed->kept, pos.heartbeat);
    }
}


static ngx_int_t
ngx_sio_feed_stream_keep(ngx_sio_feed_t *feed, ngx_sio_feed_push_t *push,
    redisReply *reply)
{
    if (!feed->proven) {
        return NGX_OK;
    }

    if (feed->kept.size > NGX_SIO_FEED_KEEP
        && feed->state != NGX_SIO_FEED_TAKING)
    {
        ngx_sio_feed_stream_trim(feed);
    }

    if (feed->kept.size > NGX_SIO_FEED_KEEP
        || ngx_sio_standby_push(&feed->kept, push, reply) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, feed->gw->log, 0,
                      "socketio standby of gateway \"%V\" has no room for what "
                      "the feed is behind, and begins anew",
                      &feed->gw->conf->name);

        ngx_sio_feed_stream_forget(feed);
        return NGX_OK;
    }

    return NGX_DONE;
}


/* Until the next heartbeat nothing is kept. */

static void
ngx_sio_feed_stream_forget(ngx_sio_feed_t *feed)
{
    ngx_sio_standby_clear(&feed->kept);
    feed->proven = 0;
}


void
ngx_sio_feed_stream_take(ngx_sio_feed_t *feed)
{
    uint64_t            n;
    ngx_int_t           rc;
    ngx_sio_feed_sh_t   pos;
    ngx_sio_gateway_t  *gw;

    gw = feed->gw;

    rc = ngx_sio_lease_position(gw->zone, &pos);

    if (rc == NGX_BUSY) {
        /* the next tick tries again */
        return;
    }

    if (rc == NGX_OK) {
        feed->batch.pos = pos;
        feed->gap = "nobody was subscribed";
    }

    if (!feed->proven) {
        ngx_sio_feed_stream_down(feed);
        return;
    }

    if (rc != NGX_OK) {
        /* nothing has ever been delivered here, so nothing is lost */
        ngx_sio_feed_stream_restart(feed);
        return;
    }

    if (pos.run_id != feed->run_id || pos.run_id == 0) {
        feed->gap = "another redis process, or other namespaces";
        ngx_sio_feed_stream_restart(feed);
        return;
    }

    n = pos.since;
    rc = ngx_sio_standby_seek(&feed->kept, pos.heartbeat, &n);

    if (rc == NGX_AGAIN
        && ngx_current_msec - feed->taken < NGX_SIO_FEED_SEARCH)
    {
        return;
    }

    if (rc != NGX_OK) {
        feed->gap = "the standby has not kept them";
        ngx_sio_feed_stream_restart(feed);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, gw->log, 0,
                  "socketio feed of gateway \"%V\" goes on without loss",
                  &gw->conf->name);

    feed->gap = NULL;
    feed->skip = n;
    feed->state = NGX_SIO_FEED_RUNNING;

    if (!feed->live) {
        ngx_sio_feed_batch_note(&feed->batch, SIO_RECORD_UP);
        feed->live = 1;
    }

    ngx_sio_feed_stream_drain(feed);
}


/* Begins with the first heartbeat that is kept. */

static void
ngx_sio_feed_stream_restart(ngx_sio_feed_t *feed)
{
    ngx_sio_standby_entry_t  *e;

    e = ngx_sio_standby_first(&feed->kept);

    if (e == NULL || e->reply) {
        ngx_sio_feed_stream_down(feed);
        return;
    }

    ngx_sio_feed_stream_up(feed, e->first);
    ngx_sio_feed_stream_drain(feed);
}


/* The feed delivers from this heartbeat on. */

static void
ngx_sio_feed_stream_up(ngx_sio_feed_t *feed, uint64_t number)
{
    ngx_uint_t          flags;
    ngx_sio_feed_sh_t  *pos;
    ngx_sio_gateway_t  *gw;

    gw = feed->gw;
    pos = &feed->batch.pos;

    ngx_memzero(pos, sizeof(ngx_sio_feed_sh_t));

    pos->run_id = feed->run_id;
    pos->heartbeat = number;

    flags = SIO_RECORD_UP;

    if (feed->gap) {
        flags |= SIO_RECORD_GAP;

        (void) __atomic_fetch_add(&gw->zone->sh->gaps, 1, __ATOMIC_RELAXED);

        ngx_log_error(NGX_LOG_ERR, gw->log, 0,
                      "socketio feed of gateway \"%V\" may have lost messages: "
                      "%s", &gw->conf->name, feed->gap);
    }

    ngx_sio_feed_batch_note(&feed->batch, flags);

    feed->gap = NULL;
    feed->skip = 0;
    feed->live = 1;
    feed->state = NGX_SIO_FEED_RUNNING;
}


/* The feed does not deliver, until up. */

static void
ngx_sio_feed_stream_down(ngx_sio_feed_t *feed)
{
    if (feed->live) {
        ngx_sio_feed_batch_note(&feed->batch, SIO_RECORD_DOWN);
    }

    feed->live = 0;
    feed->ending = 0;
    feed->state = NGX_SIO_FEED_WAITING;

    ngx_sio_feed_stream_forget(feed);

    ngx_sio_feed_stream_settle(feed, ngx_sio_feed_batch_flush(&feed->batch));
}


static void
ngx_sio_feed_stream_accept_heartbeat(ngx_sio_feed_t *feed, uint64_t number)
{
    if (feed->skip) {

        /* fewer messages came behind the last one than were appended */

        feed->gap = "the position of the last reader is not plausible";
        ngx_sio_feed_stream_up(feed, number);
        return;
    }

    ngx_sio_feed_batch_heartbeat(&feed->batch, number);
}


static ngx_int_t
ngx_sio_feed_stream_accept(ngx_sio_feed_t *feed, ngx_sio_feed_push_t *push)
{
    if (feed->skip) {
        feed->skip--;
        return NGX_OK;
    }

    return ngx_sio_feed_batch_message(&feed->batch, push);
}


/* RUNNING: works off what is kept, as far as there is room in the log. */

static void
ngx_sio_feed_stream_drain(ngx_sio_feed_t *feed)
{
    ngx_int_t                 rc;
    ngx_uint_t                n;
    ngx_sio_standby_entry_t  *e;

    for (n = 0; n < NGX_SIO_FEED_SLICE; n++) {

        e = ngx_sio_standby_first(&feed->kept);

        if (e == NULL) {
            break;
        }

        if (e->reply) {
            rc = ngx_sio_feed_stream_accept(feed, &e->push);

            if (rc != NGX_OK) {
                ngx_sio_feed_stream_settle(feed, rc);
                return;
            }

        } else {
            ngx_sio_feed_stream_accept_heartbeat(feed, e->last);
        }

        ngx_sio_standby_pop(&feed->kept);
    }

    if (n < NGX_SIO_FEED_SLICE && feed->ending) {
        ngx_sio_feed_stream_down(feed);
        return;
    }

    rc = ngx_sio_feed_batch_flush(&feed->batch);

    if (rc == NGX_OK && n == NGX_SIO_FEED_SLICE) {
        ngx_sio_feed_stream_block(feed, 1);
        return;
    }

    ngx_sio_feed_stream_settle(feed, rc);
}


/* What follows from the result of an append. */

static void
ngx_sio_feed_stream_settle(ngx_sio_feed_t *feed, ngx_int_t rc)
{
    switch (rc) {

    case NGX_AGAIN:
        ngx_sio_feed_stream_block(feed, NGX_SIO_FEED_RETRY);
        return;

    case NGX_BUSY:
        ngx_sio_feed_stream_block(feed, NGX_SIO_FEED_BUSY);
        return;

    case NGX_DECLINED:
        ngx_sio_feed_lost_lease(feed);
        return;

    default:
        ngx_sio_feed_stream_unblock(feed);
        ngx_sio_feed_announce(feed);
    }
}


static void
ngx_sio_feed_stream_block(ngx_sio_feed_t *feed, ngx_msec_t delay)
{
    feed->blocked = 1;

    if (feed->rd && feed->state == NGX_SIO_FEED_RUNNING && !feed->ending) {
        ngx_sio_redis_pause(feed->rd);
    }

    if (!feed->retry.timer_set) {
        ngx_add_timer(&feed->retry, delay);
    }
}


static void
ngx_sio_feed_stream_unblock(ngx_sio_feed_t *feed)
{
    if (!feed->blocked) {
        return;
    }

    feed->blocked = 0;

    if (feed->retry.timer_set) {
        ngx_del_timer(&feed->retry);
    }

    /* heartbeats have waited in a connection that was not read */

    feed->waited = ngx_current_msec;

    if (feed->rd) {
        ngx_sio_redis_resume(feed->rd);
    }
}


void
ngx_sio_feed_stream_retry(ngx_event_t *ev)
{
    ngx_int_t          rc;
    ngx_sio_feed_t    *feed;
    ngx_connection_t  *c;

    c = ev->data;
    feed = c->data;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ev->log, 0, "socketio feed retry");

    rc = ngx_sio_feed_batch_flush(&feed->batch);

    if (rc == NGX_AGAIN) {
        ngx_sio_feed_batch_lag(&feed->batch);
    }

    if (rc != NGX_OK) {
        ngx_sio_feed_stream_settle(feed, rc);
        return;
    }

    ngx_sio_feed_stream_drain(feed);
}


void
ngx_sio_feed_stream_stop(ngx_sio_feed_t *feed)
{
    feed->state = NGX_SIO_FEED_IDLE;
    feed->skip = 0;
    feed->gap = NULL;
    feed->ending = 0;
    feed->waiting = 0;

    ngx_sio_feed_batch_drop(&feed->batch);
    ngx_sio_feed_stream_forget(feed);
    ngx_sio_feed_stream_unblock(feed);
}
