
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_BEAT_H_INCLUDED_
#define _NGX_SIO_BEAT_H_INCLUDED_


#include "ngx_sio_gateway.h"


/*
 * The heartbeat of sessions without a WebSocket.  It stands in the session
 * record, because polls, pongs and the time itself may be noticed by different
 * workers.  All of it wants the zone lock.
 */


typedef enum {
    NGX_SIO_BEAT_NONE,             /* nothing is due before the deadline */
    NGX_SIO_BEAT_PING,             /* a ping is to be sent, and a pong is due */
    NGX_SIO_BEAT_TIMEOUT,          /* no pong came */
    NGX_SIO_BEAT_UNCONNECTED       /* no socket in socketio_connect_timeout */
} ngx_sio_beat_e;


/* What is due by now; moves the deadline on. */
ngx_sio_beat_e ngx_sio_beat_locked(ngx_sio_session_sh_t *ss, uint64_t now);

/*
 * The same for a session that is nobody's, which is looked at now and then: the
 * time for a pong begins as the ping was due, not as that is noticed.
 */
ngx_sio_beat_e ngx_sio_beat_away_locked(ngx_sio_session_sh_t *ss,
    uint64_t now);

/* A pong came; another packet came, which shows life while one is due. */
void ngx_sio_beat_pong_locked(ngx_sio_session_sh_t *ss);
void ngx_sio_beat_alive_locked(ngx_sio_session_sh_t *ss);

/*
 * Looks after the sessions that are nobody's, at most every 100 ms on the whole
 * node: those that were lost end, or are parked.
 */
void ngx_sio_beat_sweep(ngx_sio_gateway_t *gw);

/*
 * Ends the session of a transport that is nobody's for a reason (a
 * ngx_sio_close_e): its sockets are parked if that can be.  With deferred the
 * next poll is told first; it is counted now.
 */
void ngx_sio_beat_end_locked(ngx_sio_gateway_t *gw, uint32_t session,
    ngx_uint_t reason, ngx_uint_t deferred);


#endif /* _NGX_SIO_BEAT_H_INCLUDED_ */
