
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_CLAIM_H_INCLUDED_
#define _NGX_SIO_CLAIM_H_INCLUDED_


#include "ngx_sio_gateway.h"


/*
 * To get a session that may be somebody's.  Its owner is asked to let it go;
 * one that is dead, fenced, or does not do so within a second loses it.
 */


typedef struct ngx_sio_claim_s  ngx_sio_claim_t;

struct ngx_sio_claim_s {
    ngx_queue_t               link;           /* gateway->claiming */
    uint32_t                  session;        /* that was asked for, */
    uint64_t                  word;           /*   of this owner, */
    uint64_t                  since;          /*   at this time, ms */
    void                    (*again)(ngx_sio_claim_t *cl);
};


/*
 * With the zone lock held: NGX_OK with the ticket; NGX_AGAIN: cl->again() will
 * be called, soon and once, unless the claim is given up; NGX_DECLINED: there
 * is no such session.  cl is zeroed before the first call, with again set.
 */
ngx_int_t ngx_sio_claim_locked(ngx_sio_gateway_t *gw, ngx_sio_claim_t *cl,
    uint32_t session, uint64_t *owner);

/* True if the owner of this word is dead or fenced; takes no lock. */
ngx_uint_t ngx_sio_claim_is_lost(ngx_sio_zone_t *z, uint64_t owner);

/*
 * Asks the present owner of a session, if there is one, to let it go; whoever
 * owns it later is not meant.  Zone lock.
 */
void ngx_sio_claim_ask_locked(ngx_sio_gateway_t *gw, uint32_t session);

/* Calls again() as well, for somebody who waits for something else. */
void ngx_sio_claim_wait(ngx_sio_gateway_t *gw, ngx_sio_claim_t *cl);

/* Gives up; no effect if nothing is claimed. */
void ngx_sio_claim_cancel(ngx_sio_claim_t *cl);

/* Handler of the timer gateway->claim. */
void ngx_sio_claim_handler(ngx_event_t *ev);


#endif /* _NGX_SIO_CLAIM_H_INCLUDED_ */
