
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_REDIS_PEER_H_INCLUDED_
#define _NGX_SIO_REDIS_PEER_H_INCLUDED_


#include "ngx_sio_redis.h"

#include <sio_buf.h>


/*
 * What the parts of the Redis client share, and nobody else:
 *
 *   redis           the object, its commands, deadlines, losses, new attempts
 *   redis_connect   from the attempt to "ready"
 *   redis_io        bytes in and out, replies to their callbacks
 *
 * A callback may do anything to the connection, closing included.  So whoever
 * runs callbacks counts himself into rd->depth before and leaves after, and
 * between the two takes rd->reader for lost as soon as it is NULL.
 */


/* ms after which a connection was worth it: longer than heartbeats take. */
#define NGX_SIO_REDIS_STABLE      4000


typedef enum {
    NGX_SIO_REDIS_AWAY = 0,                    /* the retry timer runs */
    NGX_SIO_REDIS_CONNECTING,
    NGX_SIO_REDIS_GREETING,
    NGX_SIO_REDIS_READY
} ngx_sio_redis_state_e;


/* A command whose answer is to come. */

typedef struct {
    ngx_queue_t                     link;
    ngx_sio_redis_reply_pt          reply;
    void                           *data;
    ngx_msec_t                      deadline;
    ngx_uint_t                      timed;     /* the deadline counts */
} ngx_sio_redis_wait_t;


struct ngx_sio_redis_s {
    ngx_sio_redis_conf_t           *conf;
    const ngx_sio_redis_handler_t  *handler;
    void                           *data;
    const char                     *role;
    ngx_log_t                      *log;
    ngx_log_t                       quiet;     /* while connecting: alerts
                                                  only, the rest is ours */

    ngx_peer_connection_t           peer;      /* .connection: NULL if AWAY */
    redisReader                    *reader;    /* lives with the connection */
    ngx_uint_t                      grown;     /* its buffer is a large one */
    sio_buf_t                       out;
    size_t                          sent;      /* of out */
    size_t                          held;      /* at its end, until READY */
    ngx_queue_t                     waiting;   /* commands, oldest first */
    ngx_queue_t                     spare;     /* their memory, to use again */

    ngx_event_t                     retry;     /* the next attempt */
    ngx_event_t                     watch;     /* deadlines */
    ngx_event_t                     flush;     /* posted: out has something */
    ngx_connection_t                ident;     /* data of these events, whose
                                                  fd the debug log prints */

    uint64_t                        run_id;
    ngx_msec_t                      delay;     /* before the next attempt */
    ngx_msec_t                      since;     /* READY */
    ngx_msec_t                      complained;
    ngx_uint_t                      depth;     /* of calls that need rd */

    unsigned                        state:2;
    unsigned                        subscriber:1;
    unsigned                        paused:1;
    unsigned                        deferred:1;
    unsigned                        failed:1;  /* and the log knows */
    unsigned                        closed:1;  /* to be freed at depth 0 */
};


/* Begins an attempt; its failure is handled like any other loss. */
void ngx_sio_redis_connect(ngx_sio_redis_t *rd);

/*
 * The socket has become writable or readable: looks how the attempt went, and
 * lets the greeting go.  NGX_OK; NGX_ERROR: it failed, and is handled.
 */
ngx_int_t ngx_sio_redis_connected(ngx_sio_redis_t *rd);

/* A reader of replies; NULL without memory. */
redisReader *ngx_sio_redis_reader(void);

void ngx_sio_redis_read_handler(ngx_event_t *rev);
void ngx_sio_redis_write_handler(ngx_event_t *wev);
void ngx_sio_redis_flush_handler(ngx_event_t *ev);

/* ngx_sio_redis_command() for any state. */
ngx_int_t ngx_sio_redis_queue(ngx_sio_redis_t *rd, ngx_uint_t argc,
    const char **argv, const size_t *argvlen, ngx_msec_t timeout,
    ngx_sio_redis_reply_pt reply, void *data);

/*
 * Milliseconds until the next deadline, NGX_MAX_INT32_VALUE: there is none;
 * also looks if a recovery has lasted.
 */
ngx_msec_int_t ngx_sio_redis_time_left(ngx_sio_redis_t *rd);

/*
 * Everything that ends a connection or an attempt ends here: logs, runs the
 * waiting callbacks and on_lost, starts the retry timer.  The caller does no
 * more than leave.
 */
void ngx_sio_redis_lost(ngx_sio_redis_t *rd, ngx_err_t err,
    const char *reason);

/* Ends what began with rd->depth++; may destroy rd. */
void ngx_sio_redis_leave(ngx_sio_redis_t *rd);


#endif /* _NGX_SIO_REDIS_PEER_H_INCLUDED_ */
