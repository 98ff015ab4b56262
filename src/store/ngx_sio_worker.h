
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_WORKER_H_INCLUDED_
#define _NGX_SIO_WORKER_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * Worker slots.  A worker holds the "alive" mutex of its slot from enter to
 * leave; it is robust, so the kernel tells of a death at once, which a look at
 * the pid does not (an unreaped zombie still answers kill(pid, 0)).
 */


/*
 * In all of these, window is how long sockets that can be recovered wait for
 * their clients, in ms: the sessions of a worker that is gone are parked if
 * they can be recovered, and ended if not.  0: none is parked.
 */

/*
 * Takes a free slot, reaping dead workers first; the cursor starts at the
 * head.  Must run in the process and thread that will hold it.  Returns the
 * slot (from 1), or 0 if all are taken or the zone lock is not to be had.
 */
ngx_uint_t ngx_sio_worker_enter(ngx_sio_zone_t *z, ngx_int_t process_slot,
    ngx_msec_t window);

/* Gives the slot back, with what sessions the worker still owns. */
void ngx_sio_worker_leave(ngx_sio_zone_t *z, ngx_uint_t slot,
    ngx_msec_t window);

/*
 * True unless the slot is free or its owner is dead; waits for no lock.  While
 * another process is just looking at the same slot a dead owner passes for
 * alive, so "alive" is the answer for now and "dead" is the truth.
 */
ngx_uint_t ngx_sio_worker_alive(ngx_sio_zone_t *z, ngx_uint_t slot);

/*
 * Looks at all slots; for each dead worker: parks or ends its sessions (rooms
 * and users are counted down), lets go of branches whose transport is not its
 * own any more, ends those for which it waited for rooms (a branch with its
 * transport), clears its room bits, adds its counters to those of the zone,
 * frees its roles and the slot.  Returns how many were reaped.  A reaper that
 * dies is reaped like others and its work is done again.  To be called now and
 * then, because a dead worker may be missed (see above).  Takes about 1.5 us
 * for each session, all of it with the zone lock.
 */
ngx_uint_t ngx_sio_worker_reap(ngx_sio_zone_t *z, ngx_msec_t window);


#endif /* _NGX_SIO_WORKER_H_INCLUDED_ */
