
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_REDIS_H_INCLUDED_
#define _NGX_SIO_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include <hiredis/hiredis.h>


/*
 * A connection to Redis on nginx's event loop: an nginx peer connection that
 * carries what sio_resp writes and hiredis parses.  It connects by itself, says
 * AUTH and SELECT, reads the run id, comes back after a loss with back-off and
 * jitter, and never blocks.  A server that still loads its data counts as lost.
 *
 * Replies come in the order of the commands, each to the callback it was sent
 * with; in subscriber mode (after a SUBSCRIBE or PSUBSCRIBE) all that arrives
 * which is not the answer to a waiting command goes to on_push.  Each of these
 * two names one channel, because Redis confirms channels, not commands.
 */


typedef struct {
    ngx_addr_t            addr;          /* the first address of the host */
    ngx_str_t             user;          /* empty: AUTH with a password only */
    ngx_str_t             password;      /* empty: no AUTH */
    ngx_uint_t            db;
    ngx_str_t             name;          /* host:port or path, for the log */
} ngx_sio_redis_conf_t;


typedef struct ngx_sio_redis_s  ngx_sio_redis_t;

/*
 * Gets a reply, or NULL if the connection was lost before it came.  The reply
 * belongs to the connection and is freed after the call, unless the callback
 * returns NGX_DONE: then it is the callback's to freeReplyObject().
 */
typedef ngx_int_t (*ngx_sio_redis_reply_pt)(void *data, redisReply *reply);

typedef struct {
    void                (*on_ready)(void *data);   /* (re)connected, greeted */
    void                (*on_lost)(void *data);    /* was ready, is no more */
    ngx_sio_redis_reply_pt   on_push;              /* pub/sub messages */
    void                (*on_idle)(void *data);    /* all that had arrived has
                                                      been given away; may be
                                                      NULL */
} ngx_sio_redis_handler_t;


/*
 * Makes a connection object and begins to connect.  conf and handler must
 * outlive it.  Returns NULL without memory.  role is a word for the log.
 */
ngx_sio_redis_t *ngx_sio_redis_create(ngx_sio_redis_conf_t *conf,
    const ngx_sio_redis_handler_t *handler, void *data, const char *role,
    ngx_log_t *log);

/*
 * Queues a command; it leaves with all others of this turn in one write.
 * reply may be NULL if nobody wants the answer.  timeout: milliseconds after
 * which the connection counts as dead if the answer has not come, 0: none.
 * NGX_OK; NGX_DECLINED if not ready, or more than limit bytes wait to be
 * written; NGX_ERROR (memory).  The callback never runs inside this call.
 */
ngx_int_t ngx_sio_redis_command(ngx_sio_redis_t *rd, ngx_uint_t argc,
    const char **argv, const size_t *argvlen, ngx_msec_t timeout,
    ngx_sio_redis_reply_pt reply, void *data);

/*
 * The same, but also accepts while the first attempt to connect is under way:
 * what is queued then leaves when the connection is ready.
 */
ngx_int_t ngx_sio_redis_command_early(ngx_sio_redis_t *rd, ngx_uint_t argc,
    const char **argv, const size_t *argvlen, ngx_msec_t timeout,
    ngx_sio_redis_reply_pt reply, void *data);

/*
 * Stops giving away replies and reading more (flow control); and goes on.  A
 * loss of the connection ends a pause, and what it has held is lost too.
 */
void ngx_sio_redis_pause(ngx_sio_redis_t *rd);
void ngx_sio_redis_resume(ngx_sio_redis_t *rd);

/*
 * Lets what arrives wait in the socket until there is much of it, or somebody
 * looks, so that not each message wakes the process; or no longer, and looks.
 * Where sockets cannot do that each wakes it all the same.  Ends with the
 * connection, whose loss is noticed at once.
 */
void ngx_sio_redis_defer(ngx_sio_redis_t *rd, ngx_uint_t on);

/* Reads what has arrived; not inside this call. */
void ngx_sio_redis_look(ngx_sio_redis_t *rd);

/*
 * Drops the connection with a reason for the log, then reconnects.  Waiting
 * callbacks (with NULL) and on_lost run inside this call.
 */
void ngx_sio_redis_reset(ngx_sio_redis_t *rd, const char *reason);

/* True between on_ready and on_lost. */
ngx_uint_t ngx_sio_redis_ready(ngx_sio_redis_t *rd);

/* Hash of the server's run id; 0 if it is not known. */
uint64_t ngx_sio_redis_run_id(ngx_sio_redis_t *rd);

/*
 * Ends the connection: waiting callbacks get NULL, on_lost is not called, rd
 * is freed once the call stack has left it.  May be called by any callback.
 */
void ngx_sio_redis_close(ngx_sio_redis_t *rd);


#endif /* _NGX_SIO_REDIS_H_INCLUDED_ */
