
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_FEED_CHANNELS_H_INCLUDED_
#define _NGX_SIO_FEED_CHANNELS_H_INCLUDED_


#include "ngx_sio_gateway.h"


/*
 * What the feed subscribes to, and what the messages from there are.
 *
 * All workers subscribe to the same things in the same order, the heartbeat
 * last.  So from one heartbeat on, all of them get the same sequence, and
 * "n messages behind heartbeat h" names the same message for each.
 */


typedef enum {
    NGX_SIO_FEED_OTHER = 0,     /* nothing of ours, and counted by nobody */
    NGX_SIO_FEED_HEARTBEAT,
    NGX_SIO_FEED_BROADCAST,
    NGX_SIO_FEED_REQUEST,
    NGX_SIO_FEED_COMMAND        /* in JSON, for any namespace */
} ngx_sio_feed_kind_e;


/* A push, taken to pieces; the views are those of the reply. */

typedef struct {
    ngx_uint_t                kind;
    uint16_t                  nsp;
    uint64_t                  number;          /* of a heartbeat */
    ngx_str_t                 channel;
    ngx_str_t                 payload;
} ngx_sio_feed_push_t;


typedef struct {
    ngx_str_t                 name;            /* channel, or pattern */
    ngx_uint_t                kind;
    uint16_t                  nsp;             /* its number in the zone */
} ngx_sio_feed_channel_t;


typedef struct {
    ngx_uint_t                n;
    ngx_sio_feed_channel_t   *channel;         /* the last is the heartbeat's */
} ngx_sio_feed_channels_t;


/* Builds them in one piece of memory.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_sio_feed_channels_init(ngx_sio_feed_channels_t *ch,
    ngx_sio_gateway_t *gw);
void ngx_sio_feed_channels_free(ngx_sio_feed_channels_t *ch);

/* The command for a channel: SUBSCRIBE or PSUBSCRIBE. */
const char *ngx_sio_feed_channels_verb(ngx_sio_feed_channel_t *channel);

/*
 * What a position is good for: the hash of a server's run and of all that is
 * subscribed there.  A run id that the server does not tell (0) does no harm:
 * the heartbeats are proof enough.
 */
uint64_t ngx_sio_feed_channels_hash(ngx_sio_feed_channels_t *ch,
    uint64_t run_id);

/*
 * Takes a reply to pieces.  Heartbeats of another zone epoch (a namesake, or
 * our own past) are OTHER.
 */
void ngx_sio_feed_channels_read(ngx_sio_feed_channels_t *ch, uint64_t epoch,
    redisReply *reply, ngx_sio_feed_push_t *push);


#endif /* _NGX_SIO_FEED_CHANNELS_H_INCLUDED_ */
