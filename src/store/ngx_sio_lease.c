
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_lease.h"
#include "ngx_sio_worker.h"


static ngx_uint_t ngx_sio_lease_other(ngx_sio_zone_t *z, ngx_uint_t owner,
    ngx_uint_t slot);
static ngx_uint_t ngx_sio_lease_owned(ngx_sio_lease_sh_t *lease,
    uint64_t epoch);
static void ngx_sio_lease_give(ngx_sio_lease_sh_t *lease, ngx_uint_t slot,
    uint64_t deadline);


ngx_msec_t
ngx_sio_lease_wait(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    uint64_t             now, until;
    ngx_uint_t           holder, standby;
    ngx_sio_lease_sh_t  *lease;

    lease = &z->sh->lease;

    until = ngx_sio_load(&lease->deadline);
    standby = ngx_sio_load(&lease->standby);

    holder = ngx_sio_lease_other(z, ngx_sio_load(&lease->slot), slot);

    if (holder && standby != slot) {
        until += NGX_SIO_LEASE_PATIENCE;
    }

    if (ngx_sio_lease_other(z, standby, slot)) {
        until += NGX_SIO_LEASE_GRACE;

    } else if (!holder) {
        return 0;
    }

    now = ngx_sio_zone_now();

    return (now < until) ? (ngx_msec_t) (until - now) : 0;
}


/* True if somebody else has the role and lives. */

static ngx_uint_t
ngx_sio_lease_other(ngx_sio_zone_t *z, ngx_uint_t owner, ngx_uint_t slot)
{
    return owner && owner != slot && ngx_sio_worker_alive(z, owner);
}


uint64_t
ngx_sio_lease_take(ngx_sio_zone_t *z, ngx_uint_t slot, ngx_msec_t ttl)
{
    uint64_t             epoch;
    ngx_sio_lease_sh_t  *lease;

    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return 0;
    }

    lease = &z->sh->lease;
    epoch = 0;

    if (ngx_sio_lease_wait(z, slot) == 0) {
        ngx_sio_lease_give(lease, slot, ngx_sio_zone_now() + ttl);
        epoch = lease->epoch;
    }

    ngx_sio_zone_log_unlock(z);

    return epoch;
}


/*
 * The epoch first: from then on the former holder cannot append.  The slot
 * before the deadline: if this process dies in between, the owner of the slot
 * is dead and nobody waits for the time to pass.
 */

static void
ngx_sio_lease_give(ngx_sio_lease_sh_t *lease, ngx_uint_t slot,
    uint64_t deadline)
{
    lease->epoch++;

    ngx_sio_step();

    if (lease->standby == slot) {
        lease->standby = 0;

        ngx_sio_step();
    }

    lease->slot = slot;

    ngx_sio_step();

    lease->deadline = deadline;

    ngx_sio_step();
}


static ngx_uint_t
ngx_sio_lease_owned(ngx_sio_lease_sh_t *lease, uint64_t epoch)
{
    return lease->slot != 0 && lease->epoch == epoch;
}


ngx_int_t
ngx_sio_lease_renew(ngx_sio_zone_t *z, uint64_t epoch, ngx_msec_t ttl)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;

    if (ngx_sio_lease_owned(&z->sh->lease, epoch)) {
        z->sh->lease.deadline = ngx_sio_zone_now() + ttl;
        rc = NGX_OK;

        ngx_sio_step();
    }

    ngx_sio_zone_log_unlock(z);

    return rc;
}


void
ngx_sio_lease_release(ngx_sio_zone_t *z, uint64_t epoch)
{
    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return;
    }

    if (ngx_sio_lease_owned(&z->sh->lease, epoch)) {
        z->sh->lease.slot = 0;

        ngx_sio_step();

        z->sh->lease.deadline = ngx_sio_zone_now();

        ngx_sio_step();
    }

    ngx_sio_zone_log_unlock(z);
}


ngx_int_t
ngx_sio_lease_standby(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    ngx_int_t            rc;
    ngx_sio_lease_sh_t  *lease;

    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    lease = &z->sh->lease;
    rc = NGX_DECLINED;

    if (lease->slot != slot
        && (lease->standby == 0
            || lease->standby == slot
            || !ngx_sio_worker_alive(z, lease->standby)))
    {
        lease->standby = slot;
        rc = NGX_OK;

        ngx_sio_step();
    }

    ngx_sio_zone_log_unlock(z);

    return rc;
}


void
ngx_sio_lease_standby_release(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return;
    }

    if (z->sh->lease.standby == slot) {
        z->sh->lease.standby = 0;

        ngx_sio_step();
    }

    ngx_sio_zone_log_unlock(z);
}


ngx_int_t
ngx_sio_lease_live(ngx_sio_zone_t *z, uint64_t epoch, ngx_uint_t live)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;

    if (ngx_sio_lease_owned(&z->sh->lease, epoch)) {
        ngx_sio_store(&z->sh->lease.live, live ? 1 : 0);
        rc = NGX_OK;

        ngx_sio_step();
    }

    ngx_sio_zone_log_unlock(z);

    return rc;
}


ngx_uint_t
ngx_sio_lease_is_live(ngx_sio_zone_t *z)
{
    return ngx_sio_load(&z->sh->lease.live);
}


ngx_int_t
ngx_sio_lease_position(ngx_sio_zone_t *z, ngx_sio_feed_sh_t *feed)
{
    ngx_sio_feed_sh_t  *slot;

    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    /* under the lock each slot that is not void is valid */

    slot = &z->sh->feed[z->sh->feed[1].from > z->sh->feed[0].from];
    *feed = *slot;

    ngx_sio_zone_log_unlock(z);

    return feed->from ? NGX_OK : NGX_DECLINED;
}
