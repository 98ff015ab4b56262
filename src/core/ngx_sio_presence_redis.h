
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_PRESENCE_REDIS_H_INCLUDED_
#define _NGX_SIO_PRESENCE_REDIS_H_INCLUDED_


#include "ngx_sio_gateway.h"


/*
 * Presence across nodes.  The actor of a node that has Redis tells it whom the
 * node has, in calls that also renew the node's lease, and keeps the cluster's
 * list (CLUSTER, see store/ngx_sio_online.h) as Redis has it:
 *
 *   presence_redis    what is to be done next; Redis being away
 *   presence_call     one call of a script, of which there are one at a time
 *   presence_script   the scripts
 *   presence_report   this node's users to Redis
 *   presence_replica  the cluster's users from Redis
 */


typedef struct ngx_sio_presence_redis_s  ngx_sio_presence_redis_t;


/*
 * At worker start; connects nothing yet.  NULL without memory.  The gateway
 * must have a Redis configuration.
 */
ngx_sio_presence_redis_t *ngx_sio_presence_redis_create(ngx_sio_gateway_t *gw);

/* This worker has become the actor, with this fence; it is no longer. */
void ngx_sio_presence_redis_start(ngx_sio_presence_redis_t *pd,
    uint64_t fence);
void ngx_sio_presence_redis_stop(ngx_sio_presence_redis_t *pd);

/*
 * Every NGX_SIO_PRESENCE_TICK of the actor; before that, whether all that there
 * was to be announced has been.
 */
void ngx_sio_presence_redis_settled(ngx_sio_presence_redis_t *pd,
    ngx_uint_t all);
void ngx_sio_presence_redis_tick(ngx_sio_presence_redis_t *pd);

/* Stops, and frees it. */
void ngx_sio_presence_redis_close(ngx_sio_presence_redis_t *pd);


#endif /* _NGX_SIO_PRESENCE_REDIS_H_INCLUDED_ */
