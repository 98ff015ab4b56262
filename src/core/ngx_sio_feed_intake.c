
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_feed_stream.h"

#include <ngx_sio_lease.h>


#define NGX_SIO_FEED_SLICE        1000         /* kept messages in a turn */
#define NGX_SIO_FEED_SEARCH       2000         /* ms: if nothing comes, the
                                                  position does not either */
#define NGX_SIO_FEED_RETRY        5            /* ms until there may be room */
#define NGX_SIO_FEED_BUSY         500          /* ms, each try costs a second */


static void ngx_sio_feed_intake_restart(ngx_sio_feed_t *feed);
static void ngx_sio_feed_intake_begin(ngx_sio_feed_t *feed);
static ngx_int_t ngx_sio_feed_intake_append(ngx_sio_feed_t *feed);
static void ngx_sio_feed_intake_block(ngx_sio_feed_t *feed, ngx_msec_t delay);
static void ngx_sio_feed_intake_unblock(ngx_sio_feed_t *feed);


void
ngx_sio_feed_intake_take(ngx_sio_feed_t *feed)
{
    uint64_t            n;
    ngx_int_t           rc;
    ngx_uint_t          other;
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
        ngx_sio_feed_intake_down(feed);
        return;
    }

    if (rc != NGX_OK) {
        /* nothing has ever been delivered here, so nothing is lost */
        ngx_sio_feed_intake_restart(feed);
        return;
    }

    n = pos.since;
    other = (pos.run_id != feed->run_id);

    rc = other ? ngx_sio_standby_pass(&feed->kept, pos.heartbeat, n)
               : ngx_sio_standby_seek(&feed->kept, pos.heartbeat, &n);

    if (rc == NGX_AGAIN) {

        if (ngx_current_msec - feed->taken < NGX_SIO_FEED_SEARCH
            || ngx_current_msec - feed->heard < NGX_SIO_FEED_SEARCH)
        {
            /* at the latest a heartbeat of our own decides it */
            return;
        }

        /* what is kept is older than what was appended */

        feed->gap = "no heartbeat has come";
        ngx_sio_feed_intake_down(feed);
        return;
    }

    if (other || rc != NGX_OK) {
        feed->gap = other ? "another redis process, or other namespaces"
                          : "the standby has not kept them";
        ngx_sio_feed_intake_restart(feed);
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

    ngx_sio_feed_intake_begin(feed);
}


/* Begins with the first heartbeat that is kept. */

static void
ngx_sio_feed_intake_restart(ngx_sio_feed_t *feed)
{
    ngx_sio_standby_entry_t  *e;

    e = ngx_sio_standby_first(&feed->kept);

    if (e == NULL || e->reply) {
        ngx_sio_feed_intake_down(feed);
        return;
    }

    ngx_sio_feed_intake_up(feed, e->first);
    ngx_sio_feed_intake_begin(feed);
}


/* What the log is told about the feed goes first, and alone. */

static void
ngx_sio_feed_intake_begin(ngx_sio_feed_t *feed)
{
    ngx_sio_feed_intake_flush(feed);

    if (feed->state == NGX_SIO_FEED_RUNNING && !feed->blocked) {
        ngx_sio_feed_intake_drain(feed);
    }
}


void
ngx_sio_feed_intake_up(ngx_sio_feed_t *feed, uint64_t number)
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
        ngx_sio_gateway_stat(gw, REDIS_RECONNECTS, 1);

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


void
ngx_sio_feed_intake_down(ngx_sio_feed_t *feed)
{
    if (feed->live) {
        ngx_sio_feed_batch_note(&feed->batch, SIO_RECORD_DOWN);
    }

    feed->live = 0;
    feed->ending = 0;
    feed->state = NGX_SIO_FEED_WAITING;

    ngx_sio_feed_stream_forget(feed);

    ngx_sio_feed_intake_flush(feed);
}


void
ngx_sio_feed_intake_heartbeat(ngx_sio_feed_t *feed, uint64_t number)
{
    if (feed->skip) {

        /* fewer messages came behind the last one than were appended */

        feed->gap = "the position of the last reader is not plausible";
        ngx_sio_feed_intake_up(feed, number);
        return;
    }

    /* a standby can begin only behind a position that it has met */

    ngx_sio_feed_batch_heartbeat(&feed->batch, number,
                                 !ngx_sio_feed_have_standby(feed));
}


ngx_int_t
ngx_sio_feed_intake_message(ngx_sio_feed_t *feed, ngx_sio_feed_push_t *push)
{
    if (feed->skip) {
        feed->skip--;
        return NGX_OK;
    }

    return ngx_sio_feed_batch_message(&feed->batch, push);
}


void
ngx_sio_feed_intake_drain(ngx_sio_feed_t *feed)
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
            rc = ngx_sio_feed_intake_message(feed, &e->push);

            if (rc != NGX_OK) {
                ngx_sio_feed_intake_settle(feed, rc);
                return;
            }

        } else {
            ngx_sio_feed_intake_heartbeat(feed, e->last);
        }

        ngx_sio_standby_pop(&feed->kept);
    }

    if (n < NGX_SIO_FEED_SLICE && feed->ending) {
        ngx_sio_feed_intake_down(feed);
        return;
    }

    rc = ngx_sio_feed_intake_append(feed);

    if (rc == NGX_OK && n == NGX_SIO_FEED_SLICE) {
        ngx_sio_feed_intake_block(feed, 1);
        return;
    }

    ngx_sio_feed_intake_settle(feed, rc);
}


void
ngx_sio_feed_intake_flush(ngx_sio_feed_t *feed)
{
    ngx_int_t  rc;

    rc = ngx_sio_feed_intake_append(feed);

    ngx_sio_feed_intake_settle(feed, rc);
}


static ngx_int_t
ngx_sio_feed_intake_append(ngx_sio_feed_t *feed)
{
    ngx_int_t  rc;

    rc = ngx_sio_feed_announce(feed);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_sio_feed_batch_flush(&feed->batch);
}


void
ngx_sio_feed_intake_settle(ngx_sio_feed_t *feed, ngx_int_t rc)
{
    switch (rc) {

    case NGX_AGAIN:
        ngx_sio_feed_intake_block(feed, NGX_SIO_FEED_RETRY);
        return;

    case NGX_BUSY:
        ngx_sio_feed_intake_block(feed, NGX_SIO_FEED_BUSY);
        return;

    case NGX_DECLINED:
        ngx_sio_feed_lost_lease(feed);
        return;

    default:
        ngx_sio_feed_intake_unblock(feed);
    }
}


static void
ngx_sio_feed_intake_block(ngx_sio_feed_t *feed, ngx_msec_t delay)
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
ngx_sio_feed_intake_unblock(ngx_sio_feed_t *feed)
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
ngx_sio_feed_intake_retry(ngx_event_t *ev)
{
    ngx_int_t          rc;
    ngx_sio_feed_t    *feed;
    ngx_connection_t  *c;

    c = ev->data;
    feed = c->data;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ev->log, 0, "socketio feed retry");

    rc = ngx_sio_feed_intake_append(feed);

    if (rc == NGX_AGAIN) {
        ngx_sio_feed_batch_lag(&feed->batch);
    }

    if (rc != NGX_OK) {
        ngx_sio_feed_intake_settle(feed, rc);
        return;
    }

    ngx_sio_feed_intake_drain(feed);
}


void
ngx_sio_feed_intake_stop(ngx_sio_feed_t *feed)
{
    feed->state = NGX_SIO_FEED_IDLE;
    feed->skip = 0;
    feed->gap = NULL;
    feed->ending = 0;
    feed->waiting = 0;

    ngx_sio_feed_batch_drop(&feed->batch);
    ngx_sio_feed_stream_forget(feed);
    ngx_sio_feed_intake_unblock(feed);
}
