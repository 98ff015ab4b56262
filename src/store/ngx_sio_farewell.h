
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_FAREWELL_H_INCLUDED_
#define _NGX_SIO_FAREWELL_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * Farewells: what the backend has yet to hear of sockets that have ended.  One
 * is left in the zone before anything is taken from the socket, and stays until
 * Redis has confirmed it, whoever dies; who dies as he leaves one may have it
 * left again.  They are in a list in the order of their time.
 *
 * Each has a worker that says it, so that it comes after what that one has said
 * of the socket: the one that ends the socket; or that at a POST of it, whose
 * events may not be confirmed yet.  Those of a worker that is dead, or has
 * left, are anybody's.
 *
 * A session says NGX_SIO_FAREWELL_LEFT while the list has one for its socket,
 * which is recovered only after that.
 */

#define ngx_sio_farewell_is_left(ss)                                          \
    ((ss)->farewell == NGX_SIO_FAREWELL_LEFT)

/* True if there is a stream that the end of the socket is told to. */
#define ngx_sio_farewell_is_due(ss)                                           \
    ((ss)->farewell != 0 && !ngx_sio_farewell_is_left(ss))


/*
 * The number of a stream, from 1, which is made if it is not there yet; it is
 * kept for the life of the zone.  maxlen: decimals, or empty.  NGX_OK;
 * NGX_DECLINED: there are NGX_SIO_STREAMS - 1 others, or one of these is too
 * long; NGX_BUSY: the zone is locked.
 */
ngx_int_t ngx_sio_farewell_stream(ngx_sio_zone_t *z, ngx_str_t *key,
    ngx_str_t *maxlen, ngx_uint_t *stream);

/*
 * The socket of a session ends, or is parked: leaves a farewell if the session
 * has a stream for it, which it then has no more.  If there is no chunk, or
 * half of them are farewells, it is counted as lost.
 */
void ngx_sio_farewell_leave_locked(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);

/* The first of the list, the one behind another; 0: there is none. */
#define ngx_sio_farewell_first(z)                                             \
    ngx_sio_load(&(z)->sh->farewells.first)
#define ngx_sio_farewell_next_locked(z, i)  ((z)->chunks[i].next)

#define ngx_sio_farewell(z, i)  (&(z)->chunks[i].u.farewell)

/* It was confirmed: takes it out of the list. */
void ngx_sio_farewell_done_locked(ngx_sio_zone_t *z, uint32_t i);


#endif /* _NGX_SIO_FAREWELL_H_INCLUDED_ */
