
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_part.h"

#include <ngx_sio_session.h>


typedef struct {
    ngx_queue_t               link;           /* gateway->parting */
    uint32_t                  session;
    uint64_t                  owner;
    uint64_t                  at;
    ngx_uint_t                park;
} ngx_sio_part_t;


static ngx_int_t ngx_sio_part_now(ngx_sio_gateway_t *gw, uint32_t session,
    uint64_t owner, ngx_uint_t park, uint64_t at);


void
ngx_sio_part(ngx_sio_gateway_t *gw, uint32_t session, uint64_t owner,
    ngx_uint_t park, uint64_t at)
{
    ngx_sio_part_t  *pt;

    if (ngx_sio_part_now(gw, session, owner, park, at) != NGX_BUSY) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, gw->log, 0,
                  "socketio zone of gateway \"%V\" is locked",
                  &gw->conf->name);

    pt = ngx_alloc(sizeof(ngx_sio_part_t), gw->log);
    if (pt == NULL) {
        /* it goes when the worker does */
        return;
    }

    pt->session = session;
    pt->owner = owner;
    pt->park = park;
    pt->at = at;

    ngx_queue_insert_tail(&gw->parting, &pt->link);
}


static ngx_int_t
ngx_sio_part_now(ngx_sio_gateway_t *gw, uint32_t session, uint64_t owner,
    ngx_uint_t park, uint64_t at)
{
    if (park) {
        return ngx_sio_session_park(gw->zone, session, owner, at,
                                    ngx_sio_zone_now() + gw->conf->recovery);
    }

    return ngx_sio_session_close(gw->zone, session, owner);
}


void
ngx_sio_part_resume(ngx_sio_gateway_t *gw)
{
    ngx_queue_t     *q;
    ngx_sio_part_t  *pt;

    while (!ngx_queue_empty(&gw->parting)) {
        q = ngx_queue_head(&gw->parting);
        pt = ngx_queue_data(q, ngx_sio_part_t, link);

        if (ngx_sio_part_now(gw, pt->session, pt->owner, pt->park, pt->at)
            == NGX_BUSY)
        {
            return;
        }

        ngx_queue_remove(q);
        ngx_free(pt);
    }
}
