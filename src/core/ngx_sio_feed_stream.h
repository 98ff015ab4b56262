
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_FEED_STREAM_H_INCLUDED_
#define _NGX_SIO_FEED_STREAM_H_INCLUDED_


#include "ngx_sio_feed_batch.h"
#include "ngx_sio_standby.h"


/*
 * What the parts of the feed share, and nobody else:
 *
 *   feed            roles: who reads, who stands by, heartbeats
 *   feed_lease      when a holder has lost its role
 *   feed_stream     the subscription: where each message goes
 *   feed_intake     the holder's work: where to begin, what is next, flow
 *   feed_batch      from messages to records in the log
 *   feed_channels   what is subscribed
 *   standby         messages that wait
 */


#define NGX_SIO_FEED_TICK         100          /* ms */
#define NGX_SIO_FEED_TTL          500          /* ms: the lease */


typedef enum {
    NGX_SIO_FEED_IDLE = 0,      /* no role; may prove a subscription to get one,
                                   and keeps messages as a standby does */
    NGX_SIO_FEED_STANDBY,

    /* the states of a holder */
    NGX_SIO_FEED_TAKING,        /* looks for the place to go on from */
    NGX_SIO_FEED_WAITING,       /* for a heartbeat of its own, to begin with */
    NGX_SIO_FEED_RUNNING
} ngx_sio_feed_state_e;


struct ngx_sio_feed_s {
    ngx_sio_gateway_t        *gw;
    ngx_sio_redis_t          *rd;              /* the subscription, or NULL */
    ngx_sio_feed_channels_t   channels;
    ngx_sio_feed_batch_t      batch;
    ngx_sio_standby_t         kept;            /* IDLE, STANDBY, TAKING: begins
                                                  with a marker; RUNNING: what
                                                  waits for room in the log */

    ngx_event_t               tick;            /* roles */
    ngx_event_t               retry;           /* while blocked */
    ngx_connection_t          ident;           /* data of the two, whose fd the
                                                  debug log prints */

    uint64_t                  run_id;          /* what positions are good for */
    uint64_t                  seen;            /* last heartbeat received */
    uint64_t                  skip;            /* messages still to come that
                                                  the last holder appended */
    ngx_uint_t                pending;         /* channels not confirmed */
    ngx_uint_t                counter;         /* of heartbeats of this lease */
    const char               *gap;             /* why messages were lost; the
                                                  next UP has to tell */

    uint64_t                  deadline;        /* of the lease, as seen last, */
    ngx_msec_t                watched;         /*   and for how long */
    ngx_msec_t                ticked;          /* to notice a standstill */
    ngx_msec_t                taken;           /* when the lease was, */
    ngx_msec_t                renewed;         /*   and was renewed */
    ngx_msec_t                beat;            /* heartbeat published last */
    ngx_msec_t                waited;          /* since when nothing came, and
                                                  no heartbeat of our own */
    ngx_msec_t                heard;           /* since when nothing came */
    ngx_msec_t                warm;            /* when to try to stand by */
    ngx_msec_t                left;            /* when asked to leave */

    unsigned                  state:3;
    unsigned                  subscribed:1;    /* to all channels */
    unsigned                  proven:1;        /* a heartbeat has come: kept is
                                                  whole from there on */
    unsigned                  blocked:1;       /* the log has no room */
    unsigned                  ending:1;        /* RUNNING: the connection is
                                                  gone, kept is the rest */
    unsigned                  live:1;          /* as the last UP or DOWN says */
    unsigned                  announced:1;     /*   and as the lease says */
    unsigned                  waiting:1;       /* waited counts */
    unsigned                  warming:1;       /* warm counts */
    unsigned                  leaving:1;
};


#define ngx_sio_feed_holder(feed)  ((feed)->state >= NGX_SIO_FEED_TAKING)


/* Roles (feed.c). */

/* True if another worker stands by and is alive. */
ngx_uint_t ngx_sio_feed_have_standby(ngx_sio_feed_t *feed);

/* The holder's place is taken by another worker already, or to be had. */
void ngx_sio_feed_lost_lease(ngx_sio_feed_t *feed);
void ngx_sio_feed_hand_over(ngx_sio_feed_t *feed);

/*
 * RUNNING, at a heartbeat: hands over if it is time to leave and nobody stands
 * by.  Who hears other channels can go on here, but not from a count.
 */
void ngx_sio_feed_leave_here(ngx_sio_feed_t *feed);

/*
 * Notes in the lease if the feed delivers, before the log says so: who reads
 * of it there looks into the lease.  NGX_OK, NGX_BUSY; NGX_DECLINED: it is
 * lost.
 */
ngx_int_t ngx_sio_feed_announce(ngx_sio_feed_t *feed);

/* Publishes a heartbeat if one is due; may reset the subscription. */
void ngx_sio_feed_beat(ngx_sio_feed_t *feed);


/* When the lease may be taken from a holder that lives (feed_lease.c). */

/* Until the next tick: a standby looks at the moment at which it runs out. */
ngx_msec_t ngx_sio_feed_lease_interval(ngx_sio_feed_t *feed);

/*
 * Looks if it was renewed, at each tick.  Of the time since the last one no
 * more counts than is usual: if neither process ran, the holder gets the chance
 * to go on.
 */
void ngx_sio_feed_lease_watch(ngx_sio_feed_t *feed);

/*
 * True if this worker should take it.  A holder (its slot, 0: none that lives)
 * may only be slow: then nothing is lost if it goes on, or if a standby does.
 */
ngx_uint_t ngx_sio_feed_lease_free(ngx_sio_feed_t *feed, ngx_uint_t holder);

/*
 * True if we hold it no more because we were slow: whatever we still have, the
 * new holder has, too.
 */
ngx_uint_t ngx_sio_feed_lease_gone(ngx_sio_feed_t *feed);


/* The subscription (feed_stream.c). */

void ngx_sio_feed_stream_open(ngx_sio_feed_t *feed);
void ngx_sio_feed_stream_close(ngx_sio_feed_t *feed);

/*
 * Drops what the holder has appended.  True if the committed position is among
 * what is kept, so that this worker could go on from there.
 */
ngx_uint_t ngx_sio_feed_stream_trim(ngx_sio_feed_t *feed);

/* Drops what is kept; until the next heartbeat nothing is.  The role stays. */
void ngx_sio_feed_stream_forget(ngx_sio_feed_t *feed);


/* The holder's work (feed_intake.c). */

/* TAKING: tries to find the place to go on from; leaves this state or not. */
void ngx_sio_feed_intake_take(ngx_sio_feed_t *feed);

/* The feed delivers from this heartbeat on: RUNNING; to be settled. */
void ngx_sio_feed_intake_up(ngx_sio_feed_t *feed, uint64_t number);

/* The feed does not deliver: WAITING. */
void ngx_sio_feed_intake_down(ngx_sio_feed_t *feed);

/* RUNNING: the next in the sequence; results as ngx_sio_feed_batch_message() */
void ngx_sio_feed_intake_heartbeat(ngx_sio_feed_t *feed, uint64_t number);
ngx_int_t ngx_sio_feed_intake_message(ngx_sio_feed_t *feed,
    ngx_sio_feed_push_t *push);

/* RUNNING: works off what is kept, as far as there is room in the log. */
void ngx_sio_feed_intake_drain(ngx_sio_feed_t *feed);

/* Announces, appends; draws the consequences of the result. */
void ngx_sio_feed_intake_flush(ngx_sio_feed_t *feed);
void ngx_sio_feed_intake_settle(ngx_sio_feed_t *feed, ngx_int_t rc);

/* Ends the work of a holder, keeps the subscription: becomes IDLE. */
void ngx_sio_feed_intake_stop(ngx_sio_feed_t *feed);

/* The handler of feed->retry. */
void ngx_sio_feed_intake_retry(ngx_event_t *ev);


#endif /* _NGX_SIO_FEED_STREAM_H_INCLUDED_ */
