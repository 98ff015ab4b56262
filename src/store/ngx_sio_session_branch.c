
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_session.h"
#include "ngx_sio_log.h"


/*
 * Sockets of a transport in namespaces other than "/".  A branch names its
 * transport; the transport's list of them is a cache, chained by the field
 * that a transport uses for its Engine.IO id.
 */


static void ngx_sio_session_let_fall(ngx_sio_zone_t *z, uint32_t i,
    uint64_t deadline);


uint32_t
ngx_sio_session_branch_locked(ngx_sio_zone_t *z, uint32_t transport,
    uint16_t nsp, ngx_uint_t slot, ngx_uint_t connecter, uint64_t *owner)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss, *ts;

    ts = ngx_sio_session_live_locked(z, transport);

    if (ts == NULL || ts->eio_sid[0] == 0 || (ts->flags & NGX_SIO_DEAD)
        || ngx_sio_session_in_locked(z, transport, nsp))
    {
        return 0;
    }

    i = ngx_sio_session_alloc_locked(z);

    if (i == 0) {
        (void) __atomic_fetch_add(&z->sh->refused, 1, __ATOMIC_RELAXED);
        return 0;
    }

    ss = &z->sessions[i];

    ss->nsp = nsp;
    ss->connecter = (uint8_t) connecter;
    ss->flags = connecter ? NGX_SIO_CONNECTING : 0;
    ss->applied = slot ? NGX_SIO_AT_CURSOR : ngx_sio_log_head(z);
    ss->seen = slot ? ngx_sio_load(&z->sh->workers[slot - 1].cursor)
                    : ss->applied;

    *owner = ngx_sio_load(&ss->owner);
    (void) ngx_sio_session_pass_locked(ss, owner, slot);

    ts->flags |= NGX_SIO_BRANCHED;

    ngx_sio_step();

    ss->kin = transport;
    ss->next_eio = ts->kin;

    ngx_sio_step();

    ts->kin = i;

    ngx_sio_step();

    ngx_sio_store(&ss->state, NGX_SIO_LIVE);

    ngx_sio_step();

    z->sh->live_sessions++;
    z->sh->live_branches++;

    ngx_sio_step();

    return i;
}


uint32_t
ngx_sio_session_in_locked(ngx_sio_zone_t *z, uint32_t transport, uint16_t nsp)
{
    uint32_t  i;

    if (nsp == 0) {
        return transport;
    }

    i = ngx_sio_session_first_locked(z, transport);

    while (i && z->sessions[i].nsp != nsp) {
        i = ngx_sio_session_next_locked(z, i);
    }

    return i;
}


uint32_t
ngx_sio_session_first_locked(ngx_sio_zone_t *z, uint32_t transport)
{
    ngx_sio_session_sh_t  *ts;

    ts = ngx_sio_session_live_locked(z, transport);

    return (ts && ts->eio_sid[0]) ? ts->kin : 0;
}


uint32_t
ngx_sio_session_next_locked(ngx_sio_zone_t *z, uint32_t branch)
{
    return z->sessions[branch].next_eio;
}


/* May be called for a session that is none, or no longer one. */

void
ngx_sio_session_prune_locked(ngx_sio_zone_t *z, uint32_t branch)
{
    uint32_t              *link;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[branch];

    if (ss->state == NGX_SIO_FREE || ss->eio_sid[0] || ss->kin == 0
        || ngx_sio_zone_lost(z))
    {
        return;
    }

    link = &z->sessions[ss->kin].kin;

    while (*link && *link != branch) {
        link = &z->sessions[*link].next_eio;
    }

    if (*link == branch) {
        *link = ss->next_eio;
    }

    ngx_sio_step();

    ss->kin = 0;

    ngx_sio_step();

    z->sh->live_branches--;

    ngx_sio_step();
}


void
ngx_sio_session_shed_locked(ngx_sio_zone_t *z, uint32_t transport,
    uint64_t deadline)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ts;

    ts = &z->sessions[transport];

    if (ts->state == NGX_SIO_FREE || ts->eio_sid[0] == 0
        || ngx_sio_zone_lost(z))
    {
        return;
    }

    while (ts->kin) {
        i = ts->kin;

        if (ngx_sio_owner_slot(ngx_sio_load(&z->sessions[i].owner))) {
            ngx_sio_session_prune_locked(z, i);

        } else {
            ngx_sio_session_let_fall(z, i, deadline);
        }

        if (ts->kin == i) {
            /* damaged; repair will find out, this must come to an end */
            ts->kin = 0;
        }
    }
}


/* Ends a branch that nobody else would end; it leaves its transport, too. */

static void
ngx_sio_session_let_fall(ngx_sio_zone_t *z, uint32_t i, uint64_t deadline)
{
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    /* it is the end of the transport that ends it */

    if (ss->reason == 0) {
        ss->reason = z->sessions[ss->kin].reason;
    }

    if (ngx_sio_session_may_wait(ss, deadline)) {
        ngx_sio_session_park_locked(z, i, ss->seen, deadline);

    } else {
        ngx_sio_session_empty_locked(z, i);
        ngx_sio_session_free_locked(z, i);
    }
}


/* While it is CONNECTING the client may not have been told of it. */

ngx_uint_t
ngx_sio_session_may_wait(ngx_sio_session_sh_t *ss, uint64_t deadline)
{
    return deadline && ss->sid[0]
           && (ss->flags & (NGX_SIO_RECOVERABLE|NGX_SIO_CONNECTING))
              == NGX_SIO_RECOVERABLE;
}


void
ngx_sio_session_dead_locked(ngx_sio_zone_t *z, uint32_t i, uint64_t deadline)
{
    ngx_sio_session_sh_t  *ts;

    ts = &z->sessions[i];

    if (ts->eio_sid[0] == 0 && ts->kin) {
        ts = &z->sessions[ts->kin];
    }

    ts->deadline = deadline;

    ngx_sio_step();

    ts->flags |= NGX_SIO_DEAD;

    ngx_sio_step();
}
