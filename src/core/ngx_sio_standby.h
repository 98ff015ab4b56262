
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_STANDBY_H_INCLUDED_
#define _NGX_SIO_STANDBY_H_INCLUDED_


#include "ngx_sio_feed_channels.h"


/*
 * Raw messages that nobody has appended yet, in the order of arrival, with the
 * heartbeats between them as markers.  Heartbeats without a message in between
 * share one marker, so that an idle feed costs nothing.
 */


typedef struct {
    ngx_queue_t               link;
    redisReply               *reply;           /* owned; NULL: a marker */
    ngx_sio_feed_push_t       push;
    uint64_t                  first;           /* marker: the heartbeats */
    uint64_t                  last;
    size_t                    size;
} ngx_sio_standby_entry_t;


typedef struct {
    ngx_queue_t               entries;
    size_t                    size;            /* bytes, with overhead */
    ngx_log_t                *log;
} ngx_sio_standby_t;


void ngx_sio_standby_init(ngx_sio_standby_t *sb, ngx_log_t *log);
void ngx_sio_standby_clear(ngx_sio_standby_t *sb);

/* Appends a message; with NGX_OK the reply is the list's, NGX_ERROR: not. */
ngx_int_t ngx_sio_standby_push(ngx_sio_standby_t *sb,
    ngx_sio_feed_push_t *push, redisReply *reply);

/* Appends a heartbeat; numbers only grow.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_sio_standby_mark(ngx_sio_standby_t *sb, uint64_t number);

/* Drops what stands before the marker that a position of h begins at. */
void ngx_sio_standby_trim(ngx_sio_standby_t *sb, uint64_t h);

/*
 * Drops all up to the n-th message behind heartbeat h.
 *
 *   NGX_OK        done; of *n remain those that have not arrived yet
 *   NGX_AGAIN     the heartbeat has not arrived yet; nothing is dropped
 *   NGX_DECLINED  it is not here and will not come; what is left begins with
 *                 a marker, or is empty
 */
ngx_int_t ngx_sio_standby_seek(ngx_sio_standby_t *sb, uint64_t h, uint64_t *n);

/*
 * The same for who has not heard what was counted: drops all before the first
 * heartbeat that n messages behind heartbeat h cannot have gone beyond.
 *
 *   NGX_OK        what is left begins with a marker
 *   NGX_AGAIN     it has not arrived yet; nothing is dropped
 */
ngx_int_t ngx_sio_standby_pass(ngx_sio_standby_t *sb, uint64_t h, uint64_t n);

/* The first entry, or NULL; and its end. */
ngx_sio_standby_entry_t *ngx_sio_standby_first(ngx_sio_standby_t *sb);
void ngx_sio_standby_pop(ngx_sio_standby_t *sb);


#endif /* _NGX_SIO_STANDBY_H_INCLUDED_ */
