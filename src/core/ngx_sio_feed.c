
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_feed_stream.h"

#include <ngx_sio_lease.h>


#define NGX_SIO_FEED_BEAT         200          /* ms between two heartbeats */
#define NGX_SIO_FEED_SILENCE      3000         /* ms until it must come back */
#define NGX_SIO_FEED_QUIET        5000         /* ms without any of a holder:
                                                  longer than it may take
                                                  until there is another one */
#define NGX_SIO_FEED_STANDSTILL   1000         /* ms between two ticks */
#define NGX_SIO_FEED_RENEW        100          /* ms: the lease is renewed */
#define NGX_SIO_FEED_WARM         300          /* ms: candidates for standby
                                                  spread over this time */
#define NGX_SIO_FEED_SETTLE       300          /* ms: on a reload, until those
                                                  who leave have said so */
#define NGX_SIO_FEED_LINGER       1500         /* ms: for a standby to come, */
#define NGX_SIO_FEED_LINGER_BEAT  500          /*   then for a heartbeat */


static void ngx_sio_feed_event_init(ngx_sio_feed_t *feed, ngx_event_t *ev,
    ngx_event_handler_pt handler);
static void ngx_sio_feed_tick(ngx_event_t *ev);
static void ngx_sio_feed_seek(ngx_sio_feed_t *feed);
static void ngx_sio_feed_seek_standby(ngx_sio_feed_t *feed);
static ngx_uint_t ngx_sio_feed_try(ngx_sio_feed_t *feed);
static ngx_uint_t ngx_sio_feed_alive(ngx_sio_feed_t *feed, ngx_uint_t slot);
static void ngx_sio_feed_hold(ngx_sio_feed_t *feed);
static void ngx_sio_feed_publish(ngx_sio_feed_t *feed);
static ngx_uint_t ngx_sio_feed_may_go(ngx_sio_feed_t *feed);


ngx_sio_feed_t *
ngx_sio_feed_create(ngx_sio_gateway_t *gw)
{
    ngx_sio_feed_t  *feed;

    feed = ngx_calloc(sizeof(ngx_sio_feed_t), gw->log);
    if (feed == NULL) {
        return NULL;
    }

    feed->gw = gw;

    if (ngx_sio_feed_channels_init(&feed->channels, gw) != NGX_OK) {
        ngx_free(feed);
        return NULL;
    }

    ngx_sio_feed_batch_init(&feed->batch, gw);
    ngx_sio_standby_init(&feed->kept, gw->log);

    feed->ident.fd = (ngx_socket_t) -1;
    feed->ident.data = feed;

    ngx_sio_feed_event_init(feed, &feed->tick, ngx_sio_feed_tick);
    ngx_sio_feed_event_init(feed, &feed->retry, ngx_sio_feed_intake_retry);

    ngx_add_timer(&feed->tick, 1);

    return feed;
}


static void
ngx_sio_feed_event_init(ngx_sio_feed_t *feed, ngx_event_t *ev,
    ngx_event_handler_pt handler)
{
    ev->handler = handler;
    ev->data = &feed->ident;
    ev->log = feed->gw->log;
    ev->cancelable = 1;
}


static void
ngx_sio_feed_tick(ngx_event_t *ev)
{
    ngx_sio_feed_t    *feed;
    ngx_connection_t  *c;

    c = ev->data;
    feed = c->data;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ev->log, 0,
                   "socketio feed tick, state:%d blocked:%d",
                   feed->state, feed->blocked);

    ngx_add_timer(ev, ngx_sio_feed_lease_interval(feed));

    if (ngx_current_msec - feed->ticked > NGX_SIO_FEED_STANDSTILL) {

        /* this process was stopped: the heartbeats may be there, unread */

        feed->waited = ngx_current_msec;
        feed->heard = ngx_current_msec;
    }

    ngx_sio_feed_lease_watch(feed);

    feed->ticked = ngx_current_msec;

    if (feed->state == NGX_SIO_FEED_STANDBY) {
        ngx_sio_redis_look(feed->rd);
    }

    if (feed->state == NGX_SIO_FEED_IDLE && feed->gw->slot
        && ngx_sio_load(&feed->gw->zone->sh->lease.standby) == feed->gw->slot)
    {
        /* the lock was not to be had when the role was given back */

        ngx_sio_lease_standby_release(feed->gw->zone, feed->gw->slot);
    }

    if (ngx_sio_feed_holder(feed)) {
        ngx_sio_feed_hold(feed);

    } else if (feed->leaving) {
        ngx_sio_feed_stream_close(feed);

    } else if (feed->gw->slot) {
        ngx_sio_feed_seek(feed);
    }
}


/* Without the lease: tries for it, or for the place behind. */

static void
ngx_sio_feed_seek(ngx_sio_feed_t *feed)
{
    if (ngx_sio_feed_try(feed)) {
        return;
    }

    if (feed->state == NGX_SIO_FEED_IDLE) {
        ngx_sio_feed_seek_standby(feed);
    }

    if (feed->subscribed
        && ngx_current_msec - feed->heard > NGX_SIO_FEED_QUIET)
    {
        feed->heard = ngx_current_msec;
        ngx_sio_redis_reset(feed->rd, "no heartbeat");
    }
}


/*
 * A standby counts as one only with a subscription that is proven: the holder
 * gives up its lease for it.  So who wants to be one subscribes first, and
 * waits until the holder has committed a position that it has met.  Not
 * while the feed is down: then there is nothing to keep, and the holder has to
 * come first.
 */

static void
ngx_sio_feed_seek_standby(ngx_sio_feed_t *feed)
{
    ngx_sio_gateway_t  *gw;

    gw = feed->gw;

    if (!ngx_sio_lease_is_live(gw->zone) || ngx_sio_feed_have_standby(feed)) {
        feed->warming = 0;
        ngx_sio_feed_stream_close(feed);
        return;
    }

    if (feed->rd == NULL) {

        if (!feed->warming) {
            feed->warming = 1;
            feed->warm = ngx_current_msec + ngx_random() % NGX_SIO_FEED_WARM;
        }

        if ((ngx_msec_int_t) (ngx_current_msec - feed->warm) >= 0) {
            ngx_sio_feed_stream_open(feed);
        }

        return;
    }

    if (feed->proven
        && ngx_sio_feed_stream_trim(feed)
        && ngx_sio_lease_standby(gw->zone, gw->slot) == NGX_OK)
    {
        feed->warming = 0;
        feed->state = NGX_SIO_FEED_STANDBY;

        /* what it keeps is not wanted before it takes over */

        ngx_sio_redis_defer(feed->rd, 1);

        ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                      "socketio feed of gateway \"%V\": this worker stands by",
                      &gw->conf->name);
    }
}


/* Takes the lease if it is to be had; asks the lock only if it looks so. */

static ngx_uint_t
ngx_sio_feed_try(ngx_sio_feed_t *feed)
{
    uint64_t         epoch;
    ngx_uint_t       holder;
    ngx_sio_zone_t  *z;

    z = feed->gw->zone;

    holder = ngx_sio_load(&z->sh->lease.slot);

    if (!ngx_sio_feed_alive(feed, holder)) {
        holder = 0;
    }

    if (!ngx_sio_feed_lease_free(feed, holder)) {
        return 0;
    }

    epoch = ngx_sio_lease_take(z, feed->gw->slot, NGX_SIO_FEED_TTL);

    if (epoch == 0) {
        return 0;
    }

    ngx_log_error(NGX_LOG_NOTICE, feed->gw->log, 0,
                  "socketio feed of gateway \"%V\" is read by this worker",
                  &feed->gw->conf->name);

    feed->batch.lease = epoch;
    ngx_sio_feed_batch_suspect(&feed->batch, holder);

    feed->counter = 0;
    feed->taken = ngx_current_msec;
    feed->renewed = ngx_current_msec;
    feed->live = ngx_sio_lease_is_live(z);
    feed->announced = feed->live;
    feed->warming = 0;
    feed->state = NGX_SIO_FEED_TAKING;

    ngx_sio_feed_stream_open(feed);

    if (feed->rd) {
        ngx_sio_redis_defer(feed->rd, 0);
    }

    ngx_sio_feed_intake_take(feed);

    if (ngx_sio_feed_holder(feed)) {
        /* with it another one can prove that it stands by */
        ngx_sio_feed_beat(feed);
    }

    return 1;
}


static ngx_uint_t
ngx_sio_feed_alive(ngx_sio_feed_t *feed, ngx_uint_t slot)
{
    return slot && slot != feed->gw->slot
           && ngx_sio_worker_alive(feed->gw->zone, slot);
}


ngx_uint_t
ngx_sio_feed_have_standby(ngx_sio_feed_t *feed)
{
    return ngx_sio_feed_alive(feed,
                              ngx_sio_load(&feed->gw->zone->sh->lease.standby));
}


/* With the lease. */

static void
ngx_sio_feed_hold(ngx_sio_feed_t *feed)
{
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = feed->gw->zone;

    if (ngx_current_msec - feed->renewed >= NGX_SIO_FEED_RENEW) {

        rc = ngx_sio_lease_renew(z, feed->batch.lease, NGX_SIO_FEED_TTL);

        if (rc == NGX_DECLINED) {
            ngx_sio_feed_lost_lease(feed);
            return;
        }

        if (rc == NGX_OK) {
            feed->renewed = ngx_current_msec;
        }
    }

    if (feed->leaving && ngx_sio_feed_may_go(feed)) {
        ngx_sio_feed_hand_over(feed);
        ngx_sio_feed_stream_close(feed);
        feed->tick.cancelable = 1;
        return;
    }

    ngx_sio_feed_stream_open(feed);

    if (feed->state == NGX_SIO_FEED_TAKING) {
        ngx_sio_feed_intake_take(feed);
    }

    if (ngx_sio_feed_holder(feed)
        && ngx_sio_feed_announce(feed) == NGX_DECLINED)
    {
        ngx_sio_feed_lost_lease(feed);
    }

    if (ngx_sio_feed_holder(feed)) {
        ngx_sio_feed_beat(feed);
    }
}


ngx_int_t
ngx_sio_feed_announce(ngx_sio_feed_t *feed)
{
    ngx_int_t  rc;

    if (feed->live == feed->announced) {
        return NGX_OK;
    }

    rc = ngx_sio_lease_live(feed->gw->zone, feed->batch.lease, feed->live);

    if (rc == NGX_OK) {
        feed->announced = feed->live;
    }

    return rc;
}


void
ngx_sio_feed_beat(ngx_sio_feed_t *feed)
{
    ngx_sio_gateway_t  *gw;

    gw = feed->gw;

    if (!feed->subscribed || gw->redis == NULL
        || !ngx_sio_redis_ready(gw->redis))
    {
        /* nobody can tell what became of those published before */

        feed->waiting = 0;
        feed->beat = 0;
        return;
    }

    if (feed->waiting && !feed->blocked
        && ngx_current_msec - feed->waited > NGX_SIO_FEED_SILENCE)
    {
        feed->waiting = 0;
        ngx_sio_redis_reset(feed->rd, "no heartbeat");
        return;
    }

    if (feed->beat && ngx_current_msec - feed->beat < NGX_SIO_FEED_BEAT) {
        return;
    }

    /* who was stopped may have lost the lease */

    if (!ngx_sio_feed_lease_gone(feed)) {
        ngx_sio_feed_publish(feed);
    }
}


static void
ngx_sio_feed_publish(ngx_sio_feed_t *feed)
{
    u_char                   payload[NGX_INT64_LEN * 2 + 2];
    size_t                   len[3];
    uint64_t                 number;
    const char              *argv[3];
    ngx_sio_gateway_t       *gw;
    ngx_sio_feed_channel_t  *channel;

    gw = feed->gw;
    channel = &feed->channels.channel[feed->channels.n - 1];

    number = feed->batch.lease << 32 | (uint32_t) ++feed->counter;

    argv[0] = "PUBLISH";
    len[0] = 7;
    argv[1] = (const char *) channel->name.data;
    len[1] = channel->name.len;
    argv[2] = (const char *) payload;
    len[2] = ngx_sprintf(payload, "%xL %uL", gw->zone->sh->epoch, number)
             - payload;

    if (ngx_sio_redis_command(gw->redis, 3, argv, len, NGX_SIO_FEED_SILENCE,
                              NULL, NULL)
        != NGX_OK)
    {
        return;
    }

    feed->beat = ngx_current_msec;

    if (!feed->waiting) {
        feed->waiting = 1;
        feed->waited = ngx_current_msec;
    }
}


void
ngx_sio_feed_lost_lease(ngx_sio_feed_t *feed)
{
    ngx_log_error(NGX_LOG_NOTICE, feed->gw->log, 0,
                  "socketio feed of gateway \"%V\" has gone to another worker",
                  &feed->gw->conf->name);

    ngx_sio_feed_intake_stop(feed);

    feed->tick.cancelable = 1;
}


/* What could be appended is; all else the next holder has, too. */

void
ngx_sio_feed_hand_over(ngx_sio_feed_t *feed)
{
    ngx_log_error(NGX_LOG_NOTICE, feed->gw->log, 0,
                  "socketio feed of gateway \"%V\" is handed over",
                  &feed->gw->conf->name);

    (void) ngx_sio_feed_batch_flush(&feed->batch);

    ngx_sio_lease_release(feed->gw->zone, feed->batch.lease);

    ngx_sio_feed_intake_stop(feed);
}


void
ngx_sio_feed_leave_here(ngx_sio_feed_t *feed)
{
    if (!feed->leaving || ngx_current_msec - feed->left < NGX_SIO_FEED_LINGER) {
        return;
    }

    ngx_sio_feed_hand_over(feed);

    feed->tick.cancelable = 1;
}


void
ngx_sio_feed_leave(ngx_sio_feed_t *feed)
{
    ngx_sio_gateway_t  *gw;

    gw = feed->gw;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, gw->log, 0,
                   "socketio feed leave, state:%d", feed->state);

    feed->leaving = 1;
    feed->left = ngx_current_msec;

    if (feed->state == NGX_SIO_FEED_STANDBY) {

        /* the holder may have gone a moment ago, counting on us */

        if (!ngx_sio_feed_try(feed)) {
            ngx_sio_lease_standby_release(gw->zone, gw->slot);
            feed->state = NGX_SIO_FEED_IDLE;
        }
    }

    if (!ngx_sio_feed_holder(feed)) {
        ngx_sio_feed_stream_close(feed);
        return;
    }

    if (ngx_sio_feed_may_go(feed)) {
        ngx_sio_feed_hand_over(feed);
        ngx_sio_feed_stream_close(feed);
        return;
    }

    /* keeps an exiting worker for this time */

    feed->tick.cancelable = 0;
}


/*
 * A leaving holder waits for a standby to hand over to without loss.  One that
 * is there at first may be about to leave itself.
 */

static ngx_uint_t
ngx_sio_feed_may_go(ngx_sio_feed_t *feed)
{
    ngx_msec_t   elapsed;
    ngx_uint_t   slot;

    elapsed = ngx_current_msec - feed->left;

    if (elapsed >= NGX_SIO_FEED_LINGER + NGX_SIO_FEED_LINGER_BEAT
        || !feed->live)
    {
        return 1;
    }

    if (ngx_sio_feed_have_standby(feed)) {
        return elapsed >= NGX_SIO_FEED_SETTLE;
    }

    for (slot = 1; slot <= NGX_SIO_WORKERS; slot++) {
        if (ngx_sio_feed_alive(feed, slot)) {
            return 0;
        }
    }

    return 1;
}


void
ngx_sio_feed_close(ngx_sio_feed_t *feed)
{
    ngx_sio_gateway_t  *gw;

    gw = feed->gw;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, gw->log, 0,
                   "socketio feed close, state:%d", feed->state);

    if (ngx_sio_feed_holder(feed)) {
        ngx_sio_feed_hand_over(feed);

    } else if (feed->state == NGX_SIO_FEED_STANDBY) {
        ngx_sio_lease_standby_release(gw->zone, gw->slot);
    }

    ngx_sio_feed_stream_close(feed);

    if (feed->tick.timer_set) {
        ngx_del_timer(&feed->tick);
    }

    if (feed->retry.timer_set) {
        ngx_del_timer(&feed->retry);
    }

    ngx_sio_feed_batch_free(&feed->batch);
    ngx_sio_feed_channels_free(&feed->channels);
    ngx_free(feed);
}
