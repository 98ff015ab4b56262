
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_feed_stream.h"

#include <ngx_sio_lease.h>


#define NGX_SIO_FEED_KEEP         (64 * 1024 * 1024)
#define NGX_SIO_FEED_CONFIRM      3000         /* ms to confirm a channel */


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
static void ngx_sio_feed_stream_begin_anew(ngx_sio_feed_t *feed);


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

    if (ngx_sio_feed_lease_gone(feed)) {
        ngx_sio_feed_lost_lease(feed);
    }

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
        ngx_sio_feed_intake_down(feed);
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
        ngx_sio_feed_intake_drain(feed);
    }
}


static ngx_int_t
ngx_sio_feed_stream_push(void *data, redisReply *reply)
{
    ngx_sio_feed_t *feed = data;

    ngx_sio_feed_push_t  push;

    ngx_sio_feed_channels_read(&feed->channels, feed->gw->zone->sh->epoch,
                               reply, &push);

    /* a heartbeat may be far back in what is still to be read */

    feed->heard = ngx_current_msec;
    feed->waited = ngx_current_msec;

    if (ngx_sio_feed_lease_gone(feed)) {
        ngx_sio_feed_lost_lease(feed);
    }

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

    if (feed->state == NGX_SIO_FEED_RUNNING && !feed->blocked) {
        ngx_sio_feed_intake_flush(feed);
    }
}


static void
ngx_sio_feed_stream_heartbeat(ngx_sio_feed_t *feed, uint64_t number)
{
    ngx_uint_t  own;

    own = ngx_sio_feed_holder(feed)
          && (uint32_t) (number >> 32) == (uint32_t) feed->batch.lease;

    if (own) {
        feed->waiting = 0;
    }

    switch (feed->state) {

    case NGX_SIO_FEED_WAITING:

        if (own) {
            ngx_sio_feed_intake_up(feed, number);
            ngx_sio_feed_intake_flush(feed);
        }

        return;

    case NGX_SIO_FEED_RUNNING:

        if (feed->ending) {
            return;
        }

        if (!feed->blocked && ngx_sio_standby_first(&feed->kept) == NULL) {
            ngx_sio_feed_intake_heartbeat(feed, number);
            ngx_sio_feed_leave_here(feed);
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

        rc = ngx_sio_feed_intake_message(feed, push);

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
        ngx_sio_feed_intake_settle(feed, rc);
    }

    return NGX_DONE;
}


static void
ngx_sio_feed_stream_keep_heartbeat(ngx_sio_feed_t *feed, uint64_t number)
{
    uint64_t  epoch;

    epoch = ngx_sio_load(&feed->gw->zone->sh->lease.epoch);

    if (!feed->proven && (uint32_t) (number >> 32) != (uint32_t) epoch) {

        /* a late one: others have met newer ones before, see above */

        return;
    }

    if (ngx_sio_standby_mark(&feed->kept, number) != NGX_OK) {
        ngx_sio_feed_stream_begin_anew(feed);
        return;
    }

    feed->proven = 1;

    if (feed->state == NGX_SIO_FEED_TAKING) {
        ngx_sio_feed_intake_take(feed);
        return;
    }

    (void) ngx_sio_feed_stream_trim(feed);
}


ngx_uint_t
ngx_sio_feed_stream_trim(ngx_sio_feed_t *feed)
{
    ngx_sio_feed_sh_t         pos;
    ngx_sio_standby_entry_t  *e;

    if (ngx_sio_lease_position(feed->gw->zone, &pos) != NGX_OK
        || pos.run_id != feed->run_id)
    {
        return 0;
    }

    ngx_sio_standby_trim(&feed->kept, pos.heartbeat);

    e = ngx_sio_standby_first(&feed->kept);

    return e && e->reply == NULL && e->first <= pos.heartbeat;
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

        ngx_sio_feed_stream_begin_anew(feed);
        return NGX_OK;
    }

    return NGX_DONE;
}


/* A standby that has not kept all is none until it is proven again. */

static void
ngx_sio_feed_stream_begin_anew(ngx_sio_feed_t *feed)
{
    ngx_sio_feed_stream_forget(feed);

    if (feed->state == NGX_SIO_FEED_STANDBY) {
        ngx_sio_lease_standby_release(feed->gw->zone, feed->gw->slot);
        feed->state = NGX_SIO_FEED_IDLE;

        ngx_sio_redis_defer(feed->rd, 0);
    }
}


void
ngx_sio_feed_stream_forget(ngx_sio_feed_t *feed)
{
    ngx_sio_standby_clear(&feed->kept);
    feed->proven = 0;
}
