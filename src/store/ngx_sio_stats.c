
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_stats.h"


void
ngx_sio_stats_sum(ngx_sio_zone_t *z, uint64_t stats[NGX_SIO_STATS])
{
    ngx_int_t             rc;
    ngx_uint_t            i, n;
    ngx_sio_zone_sh_t    *sh;
    ngx_sio_worker_sh_t  *w;

    sh = z->sh;

    /* with the lock nobody's are on their way from his slot to the zone */

    rc = ngx_sio_zone_lock(z);

    for (i = 0; i < NGX_SIO_STATS; i++) {

        stats[i] = __atomic_load_n(&sh->stats[i], __ATOMIC_RELAXED);

        for (n = 0; n < sh->top_worker; n++) {
            w = &sh->workers[n];

            if (ngx_sio_load(&w->state) != NGX_SIO_FREE) {
                stats[i] += __atomic_load_n(&w->stats[i], __ATOMIC_RELAXED);
            }
        }
    }

    if (rc == NGX_OK) {
        ngx_sio_zone_unlock(z);
    }
}


/* Who dies here loses one of the counters: none is ever counted twice. */

void
ngx_sio_stats_fold_locked(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    uint64_t              n;
    ngx_uint_t            i;
    ngx_sio_zone_sh_t    *sh;
    ngx_sio_worker_sh_t  *w;

    sh = z->sh;
    w = &sh->workers[slot - 1];

    for (i = 0; i < NGX_SIO_STATS; i++) {

        n = w->stats[i];

        if (n == 0) {
            continue;
        }

        __atomic_store_n(&w->stats[i], 0, __ATOMIC_RELAXED);

        ngx_sio_step();

        __atomic_store_n(&sh->stats[i], sh->stats[i] + n, __ATOMIC_RELAXED);

        ngx_sio_step();
    }
}
