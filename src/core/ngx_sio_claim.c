
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_claim.h"

#include <ngx_sio_session.h>


#define NGX_SIO_CLAIM_RETRY    10        /* ms */
#define NGX_SIO_CLAIM_PATIENCE 1000      /* ms that an owner has to let go */



ngx_int_t
ngx_sio_claim_locked(ngx_sio_gateway_t *gw, ngx_sio_claim_t *cl,
    uint32_t session, uint64_t *owner)
{
    uint64_t         now;
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = gw->zone;

    rc = ngx_sio_session_claim_locked(z, session, gw->slot, owner);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    now = ngx_sio_zone_now();
    rc = NGX_AGAIN;

    if (ngx_sio_claim_is_lost(z, *owner)
        || (cl->session == session && cl->word == *owner
            && ngx_sio_owner_slot(*owner) != gw->slot
            && now - cl->since >= NGX_SIO_CLAIM_PATIENCE))
    {
        rc = ngx_sio_session_take_locked(z, session, gw->slot, owner);
    }

    if (rc != NGX_AGAIN) {
        return rc;
    }

    if (cl->session != session || cl->word != *owner) {
        cl->session = session;
        cl->word = *owner;
        cl->since = now;
        ngx_sio_claim_ask_locked(gw, session);
    }

    ngx_sio_claim_wait(gw, cl);

    return NGX_AGAIN;
}


void
ngx_sio_claim_wait(ngx_sio_gateway_t *gw, ngx_sio_claim_t *cl)
{
    if (cl->link.next == NULL) {
        ngx_queue_insert_tail(&gw->claiming, &cl->link);
    }

    if (!gw->claim.timer_set) {
        ngx_add_timer(&gw->claim, NGX_SIO_CLAIM_RETRY);
    }
}


/* A fenced worker serves nobody any more. */

ngx_uint_t
ngx_sio_claim_is_lost(ngx_sio_zone_t *z, uint64_t owner)
{
    ngx_uint_t            slot;
    ngx_sio_worker_sh_t  *w;

    slot = ngx_sio_owner_slot(owner);
    w = &z->sh->workers[slot - 1];

    return ngx_sio_load(&w->state) != NGX_SIO_WORKER_LIVE
           || !ngx_sio_worker_alive(z, slot);
}


void
ngx_sio_claim_ask_locked(ngx_sio_gateway_t *gw, uint32_t session)
{
    uint64_t               owner;
    sio_str_t              name[2];
    sio_message_t          m;
    ngx_sio_session_sh_t  *ss;

    ss = &gw->zone->sessions[session];
    owner = ngx_sio_load(&ss->owner);

    if (ngx_sio_owner_slot(owner) == 0) {
        return;
    }

    ngx_memzero(&m, sizeof(sio_message_t));

    name[0].data = ss->eio_sid;
    name[0].len = NGX_SIO_SID_LEN;
    name[1].data = ss->sid;
    name[1].len = NGX_SIO_SID_LEN;

    m.type = SIO_RECORD_SESSION;
    m.flags = SIO_RECORD_RELEASE;
    m.nsp = ss->nsp;
    m.arg = ngx_sio_session_tag(session, owner);
    m.rooms = ss->sid[0] ? 2 : 1;
    m.names = name;

    /* if there is no room in the log it is taken when patience ends */

    (void) ngx_sio_gateway_append(gw, &m, NULL);
}


void
ngx_sio_claim_cancel(ngx_sio_claim_t *cl)
{
    if (cl->link.next) {
        ngx_queue_remove(&cl->link);
        cl->link.next = NULL;
    }
}


void
ngx_sio_claim_handler(ngx_event_t *ev)
{
    ngx_queue_t         list, *q;
    ngx_sio_claim_t    *cl;
    ngx_sio_gateway_t  *gw;

    gw = ngx_queue_data(ev, ngx_sio_gateway_t, claim);

    if (ngx_queue_empty(&gw->claiming)) {
        return;
    }

    /* those who have to wait again enter the other list */

    ngx_queue_init(&list);
    ngx_queue_add(&list, &gw->claiming);
    ngx_queue_init(&gw->claiming);

    while (!ngx_queue_empty(&list)) {
        q = ngx_queue_head(&list);
        cl = ngx_queue_data(q, ngx_sio_claim_t, link);

        ngx_sio_claim_cancel(cl);
        cl->again(cl);
    }
}
