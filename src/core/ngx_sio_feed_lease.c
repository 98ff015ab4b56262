
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_feed_stream.h"

#include <ngx_sio_lease.h>


#define NGX_SIO_FEED_WATCH        300          /* ms of our own in which it was
                                                  not renewed, */
#define NGX_SIO_FEED_WATCH_LOSS   1000         /*   for who would begin anew */
#define NGX_SIO_FEED_DEAF         600          /* ms before it was renewed last
                                                  without any heartbeat */


static ngx_uint_t ngx_sio_feed_lease_deaf(ngx_sio_feed_t *feed);
static ngx_uint_t ngx_sio_feed_lease_abandoned(ngx_sio_feed_t *feed);


ngx_msec_t
ngx_sio_feed_lease_interval(ngx_sio_feed_t *feed)
{
    ngx_msec_t  wait;

    if (feed->state == NGX_SIO_FEED_STANDBY) {
        wait = ngx_sio_lease_wait(feed->gw->zone, feed->gw->slot);

        if (wait && wait < NGX_SIO_FEED_TICK) {
            return wait;
        }
    }

    return NGX_SIO_FEED_TICK;
}


void
ngx_sio_feed_lease_watch(ngx_sio_feed_t *feed)
{
    uint64_t  deadline;

    deadline = ngx_sio_load(&feed->gw->zone->sh->lease.deadline);

    if (deadline != feed->deadline) {
        feed->deadline = deadline;
        feed->watched = 0;
        return;
    }

    feed->watched += ngx_min(ngx_current_msec - feed->ticked,
                             NGX_SIO_FEED_TICK);
}


ngx_uint_t
ngx_sio_feed_lease_free(ngx_sio_feed_t *feed, ngx_uint_t holder)
{
    if (ngx_sio_lease_wait(feed->gw->zone, feed->gw->slot)) {
        return 0;
    }

    if (holder == 0
        && (feed->state == NGX_SIO_FEED_STANDBY
            || !ngx_sio_feed_have_standby(feed)))
    {
        return 1;
    }

    if (feed->watched < NGX_SIO_FEED_WATCH) {
        return 0;
    }

    if (feed->state == NGX_SIO_FEED_STANDBY) {

        if (!ngx_sio_feed_lease_deaf(feed)) {
            return 1;
        }

        if (ngx_sio_zone_now() < feed->deadline + NGX_SIO_LEASE_PATIENCE) {
            return 0;
        }
    }

    return ngx_sio_feed_lease_abandoned(feed);
}


/*
 * A standby whose subscription delivers got heartbeats as long as the lease
 * was renewed.
 */

static ngx_uint_t
ngx_sio_feed_lease_deaf(ngx_sio_feed_t *feed)
{
    ngx_msec_t  since;

    since = ngx_sio_zone_now() - feed->deadline + NGX_SIO_FEED_TTL;

    return ngx_current_msec - feed->heard > since + NGX_SIO_FEED_DEAF;
}


/*
 * True if nobody will go on without loss.  As long as the lock was not to be
 * had nobody could: then they get their time anew.
 */

static ngx_uint_t
ngx_sio_feed_lease_abandoned(ngx_sio_feed_t *feed)
{
    uint64_t           before;
    ngx_sio_zone_t    *z;
    ngx_sio_feed_sh_t  pos;

    z = feed->gw->zone;
    before = ngx_sio_zone_now();

    if (feed->watched < NGX_SIO_FEED_WATCH_LOSS) {
        return 0;
    }

    if (ngx_sio_lease_position(z, &pos) == NGX_BUSY
        || ngx_sio_zone_now() - before > NGX_SIO_FEED_TICK)
    {
        feed->watched = 0;
        return 0;
    }

    return 1;
}


ngx_uint_t
ngx_sio_feed_lease_gone(ngx_sio_feed_t *feed)
{
    return ngx_sio_feed_holder(feed)
           && ngx_sio_load(&feed->gw->zone->sh->lease.epoch)
              != feed->batch.lease;
}
