
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_LEASE_H_INCLUDED_
#define _NGX_SIO_LEASE_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * Two roles of a gateway's workers, given by the log lock: the holder of the
 * lease reads the feed and appends it; the standby reads it too and keeps what
 * the holder has not appended yet.  A role is free if nobody has it or its
 * owner is dead; the holder's also when its time is over: it was stopped, or
 * is slow.
 *
 * The standby goes on without loss, so it may take the lease at that moment.
 * Whoever else takes it begins anew: from a holder that lives only when it has
 * been free for NGX_SIO_LEASE_PATIENCE, because it may come back and know
 * better; and NGX_SIO_LEASE_GRACE after that, or after the holder's death, if
 * there is a standby that does not use its right (it was stopped, too).
 */

#define NGX_SIO_LEASE_PATIENCE  2500           /* ms */
#define NGX_SIO_LEASE_GRACE     1000           /* ms */


/*
 * For how many milliseconds from now the worker in this slot may not take the
 * lease, as things are; 0 if it may.  Needs no lock, and with none it is no
 * more than a look.
 */
ngx_msec_t ngx_sio_lease_wait(ngx_sio_zone_t *z, ngx_uint_t slot);

/*
 * Takes the lease for ttl milliseconds.  Returns its new epoch, which every
 * append has to carry, or 0 if it is not to be had.  A standby that becomes
 * the holder is no longer the standby.  Clears nothing else: the position and
 * "live" are as the last holder left them.
 */
uint64_t ngx_sio_lease_take(ngx_sio_zone_t *z, ngx_uint_t slot,
    ngx_msec_t ttl);

/* Extends it.  NGX_OK; NGX_DECLINED if it was lost; NGX_BUSY. */
ngx_int_t ngx_sio_lease_renew(ngx_sio_zone_t *z, uint64_t epoch,
    ngx_msec_t ttl);

/* Gives it back at once; no effect if epoch is stale. */
void ngx_sio_lease_release(ngx_sio_zone_t *z, uint64_t epoch);

/* Becomes the standby: NGX_OK (also if it is already), NGX_DECLINED, _BUSY. */
ngx_int_t ngx_sio_lease_standby(ngx_sio_zone_t *z, ngx_uint_t slot);
void ngx_sio_lease_standby_release(ngx_sio_zone_t *z, ngx_uint_t slot);

/*
 * Notes whether the feed delivers: set by the holder when its subscription is
 * proven, cleared when it is lost and no standby goes on.  NGX_DECLINED if
 * epoch is stale.
 */
ngx_int_t ngx_sio_lease_live(ngx_sio_zone_t *z, uint64_t epoch,
    ngx_uint_t live);
ngx_uint_t ngx_sio_lease_is_live(ngx_sio_zone_t *z);

/*
 * Copies the committed feed position.  NGX_OK; NGX_DECLINED if there is none
 * yet; NGX_BUSY.
 */
ngx_int_t ngx_sio_lease_position(ngx_sio_zone_t *z, ngx_sio_feed_sh_t *feed);


#endif /* _NGX_SIO_LEASE_H_INCLUDED_ */
