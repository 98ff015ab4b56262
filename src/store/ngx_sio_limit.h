
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_LIMIT_H_INCLUDED_
#define _NGX_SIO_LIMIT_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * What "socketio_limit" needs to know of sessions, in records beside them.
 *
 * A transport counts for the address that it came from, from its handshake to
 * its end, and for the user of its first socket while it has one.  Whatever the
 * configuration says everything is counted, so that a limit that comes with a
 * reload finds what there is.  Sockets that are parked have no transport, and
 * do not count.
 *
 * The truth are the keys that a session names; the counts, the lists of a
 * user's transports and the table are caches that repair builds anew.
 *
 * All functions but ngx_sio_limit_event() want the zone lock.
 */


/* An event of a client. */

typedef enum {
    NGX_SIO_LIMIT_OK,
    NGX_SIO_LIMIT_OVER,              /* there is no token for it */
    NGX_SIO_LIMIT_FLOOD              /*   as for very many before it */
} ngx_sio_limit_e;

#define NGX_SIO_LIMIT_BURSTS  10     /* refused events that are too many */


/*
 * Keys, never 0: of an address, its bytes as they are on the wire; of a user,
 * whose name has its hash anyway.
 */
uint64_t ngx_sio_limit_address_key(ngx_sio_zone_t *z, const u_char *p,
    size_t len);
uint64_t ngx_sio_limit_user_key(ngx_sio_zone_t *z, uint64_t hash);

/* How many transports count for a key. */
uint32_t ngx_sio_limit_count_locked(ngx_sio_zone_t *z, uint64_t key);

/* Counts a transport, which is LIVE or about to be, for an address. */
void ngx_sio_limit_address_locked(ngx_sio_zone_t *z, uint32_t i, uint64_t key);

/*
 * A session has become a socket: its transport counts for the user, unless it
 * does for somebody already.
 */
void ngx_sio_limit_come_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss);

/*
 * A session is no longer a socket: if it was the last of its transport, that
 * does not count for a user any more.
 */
void ngx_sio_limit_leave_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss);

/* A transport is over, and counts for nobody. */
void ngx_sio_limit_end_locked(ngx_sio_zone_t *z, uint32_t i);

/* The tokens of a socket go with it to another session. */
void ngx_sio_limit_move_locked(ngx_sio_zone_t *z, uint32_t to, uint32_t from);

/*
 * If more than max transports count for the user of the session's transport:
 * the one that has done so for the longest, which does not from now on.  It is
 * never that of the session.  Else 0.
 */
uint32_t ngx_sio_limit_oldest_locked(ngx_sio_zone_t *z, uint32_t i,
    uint32_t max);

/*
 * Takes a token for an event of a socket; they come back at rate per second, up
 * to burst.  What is refused for want of one takes from a second bucket, of
 * NGX_SIO_LIMIT_BURSTS times burst, that fills at the same rate.
 *
 * Without lock, by whoever handles the client's packets.  Should the session
 * have become another's meanwhile, that one has a few tokens less for once.
 */
ngx_sio_limit_e ngx_sio_limit_event(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t rate, ngx_uint_t burst);


/*
 * What the above is made of, for repair: the chain of a key; the key's record,
 * or 0; a transport into the list of its user, as the latest, and counted; true
 * if a transport has a socket.
 */
uint32_t *ngx_sio_limit_bucket(ngx_sio_zone_t *z, uint64_t key);
uint32_t ngx_sio_limit_find(ngx_sio_zone_t *z, uint64_t key);
void ngx_sio_limit_link(ngx_sio_zone_t *z, uint32_t i);
ngx_uint_t ngx_sio_limit_has_socket(ngx_sio_zone_t *z, uint32_t i);


#endif /* _NGX_SIO_LIMIT_H_INCLUDED_ */
