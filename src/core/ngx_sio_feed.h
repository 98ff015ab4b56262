
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_FEED_H_INCLUDED_
#define _NGX_SIO_FEED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * The feed: what the backend publishes on Redis, read by one worker of the
 * node and appended to the log.
 *
 * The holder of the lease and its standby each have a subscription of their
 * own.  The holder publishes a numbered heartbeat and counts the messages
 * behind it; that position is committed with the data.  The standby keeps all
 * raw messages behind the committed position, so that it can go on exactly
 * where a dead or stopped holder ended.
 *
 * Messages are lost only if nobody was subscribed when they were published, or
 * Redis was gone: then the next FEED record with UP also has GAP.
 */


typedef struct ngx_sio_feed_s     ngx_sio_feed_t;
typedef struct ngx_sio_gateway_s  ngx_sio_gateway_t;


/*
 * Begins to take part: tries for a role, subscribes.  NULL without memory.
 * The gateway must have a Redis configuration.
 */
ngx_sio_feed_t *ngx_sio_feed_create(ngx_sio_gateway_t *gw);

/*
 * The worker is asked to leave.  A standby gives its role back at once; a
 * holder goes on for a moment, with a timer that keeps the worker, until a
 * worker that stays stands by and takes over without loss.  gw->redis carries
 * the heartbeats in the meantime: it has to stay, too.
 */
void ngx_sio_feed_leave(ngx_sio_feed_t *feed);

/*
 * Gives the role back (a standby goes on at once), ends the connection, and
 * frees the feed.
 */
void ngx_sio_feed_close(ngx_sio_feed_t *feed);


#endif /* _NGX_SIO_FEED_H_INCLUDED_ */
