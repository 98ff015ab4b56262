
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_session.h"
#include "ngx_sio_farewell.h"
#include "ngx_sio_online.h"


/* Whose a session is. */


#define NGX_SIO_SESSION_BATCH  128             /* looked at with one lock */
#define NGX_SIO_SESSION_SPIN   100             /* for stores of an owner */


static ngx_int_t ngx_sio_session_snatch(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, uint64_t *owner, ngx_uint_t slot);
static void ngx_sio_session_let_go(ngx_sio_session_sh_t *ss, uint64_t at);
static ngx_uint_t ngx_sio_session_is_due(ngx_sio_session_sh_t *ss,
    uint64_t now);
static ngx_uint_t ngx_sio_session_expire_batch(ngx_sio_zone_t *z,
    uint32_t *due, ngx_uint_t n, uint64_t now, ngx_sio_session_each_pt each,
    void *data);


ngx_int_t
ngx_sio_session_pass_locked(ngx_sio_session_sh_t *ss, uint64_t *owner,
    ngx_uint_t slot)
{
    uint64_t  word;

    word = ngx_sio_owner(slot, slot ? NGX_SIO_OWNER_LIVE : NGX_SIO_OWNER_NONE,
                         ngx_sio_owner_gen(*owner) + 1);

    if (!__atomic_compare_exchange_n(&ss->owner, owner, word, 0,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    {
        return NGX_DECLINED;
    }

    *owner = word;

    ngx_sio_step();

    return NGX_OK;
}


ngx_int_t
ngx_sio_session_claim_locked(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot,
    uint64_t *owner)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss == NULL || (ss->flags & NGX_SIO_DEAD)) {
        return NGX_DECLINED;
    }

    *owner = ngx_sio_load(&ss->owner);

    if (ngx_sio_owner_slot(*owner)) {
        *owner = ngx_sio_owner_ticket(*owner);
        return NGX_AGAIN;
    }

    ngx_sio_session_floor_locked(z, ss);

    return ngx_sio_session_pass_locked(ss, owner, slot) == NGX_OK ? NGX_OK
                                                           : NGX_AGAIN;
}


/*
 * The positions first: with another owner NGX_SIO_AT_CURSOR would mean another
 * cursor.  An owner that is alive may move on meanwhile, then some of the
 * commands are done once more.  The cursor is read before "applied": the owner
 * stores "applied" in front of what it has not handed out, and moves the cursor
 * behind that.  It may do so here, too: then the lower one is here or there,
 * and both are right.  But it does not go to its cursor again, for that takes
 * the lock.
 */

ngx_int_t
ngx_sio_session_take_locked(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot,
    uint64_t *owner)
{
    uint64_t               at;
    ngx_uint_t             old;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);
    old = ngx_sio_owner_slot(*owner);

    if (ss == NULL || (ss->flags & NGX_SIO_DEAD) || old > NGX_SIO_WORKERS
        || ngx_sio_owner_ticket(ngx_sio_load(&ss->owner))
           != ngx_sio_owner_ticket(*owner))
    {
        return NGX_DECLINED;
    }

    at = old ? ngx_sio_load(&z->sh->workers[old - 1].cursor) : 0;

    if (old && ngx_sio_load(&ss->applied) == NGX_SIO_AT_CURSOR) {

        ss->seen = at;

        ngx_sio_step();

        ngx_sio_store(&ss->applied, at);

        ngx_sio_step();
    }

    ngx_sio_session_floor_locked(z, ss);

    return ngx_sio_session_snatch(z, ss, owner, slot);
}


/* What a dead one holds is reaped, as is all that is his. */

static ngx_int_t
ngx_sio_session_snatch(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint64_t *owner, ngx_uint_t slot)
{
    uint64_t    word;
    ngx_uint_t  n;

    for (n = 0; n < NGX_SIO_SESSION_SPIN; n++) {

        word = ngx_sio_load(&ss->owner);

        if (ngx_sio_owner_ticket(word) != ngx_sio_owner_ticket(*owner)) {
            *owner = ngx_sio_owner_ticket(word);
            return NGX_DECLINED;
        }

        if (ngx_sio_owner_state(word) != NGX_SIO_OWNER_HELD
            && ngx_sio_session_pass_locked(ss, &word, slot) == NGX_OK)
        {
            *owner = word;
            return NGX_OK;
        }

        ngx_cpu_pause();
    }

    return NGX_AGAIN;
}


ngx_int_t
ngx_sio_session_wrest_locked(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot)
{
    uint64_t    owner;
    ngx_uint_t  old;

    owner = ngx_sio_load(&z->sessions[i].owner);
    old = ngx_sio_owner_slot(owner);

    if (old == 0 || old == slot) {
        return NGX_OK;
    }

    return ngx_sio_session_take_locked(z, i, slot, &owner);
}


ngx_int_t
ngx_sio_session_release(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t at)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = ngx_sio_session_answer_locked(z, i, owner, at, NULL);

    ngx_sio_zone_unlock(z);

    return rc;
}


ngx_int_t
ngx_sio_session_answer_locked(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t at, const ngx_sio_session_answer_t *answer)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_mine_locked(z, i, owner);

    if (ss == NULL) {
        return NGX_DECLINED;
    }

    if (ss->flags & NGX_SIO_DEAD) {
        ngx_sio_session_over_locked(z, i, at, ss->deadline);
        return NGX_DECLINED;
    }

    if (ss->eio_sid[0] == 0 && ss->kin == 0
        && !(ss->flags & NGX_SIO_PARKED))
    {
        /* without an owner or a transport nobody would ever end it */
        ngx_sio_session_close_locked(z, i);
        return NGX_DECLINED;
    }

    /* who dies in between has not moved "applied" over an event */

    if (answer && answer->last && (ss->flags & NGX_SIO_RECOVERABLE)) {
        ngx_sio_session_note(z, ss, answer->from, answer->last);
    }

    if (answer && answer->applied) {
        ss->applied = answer->applied;

        ngx_sio_step();
    }

    if (answer && answer->listed) {
        ss->flags &= ~NGX_SIO_LISTING;

        ngx_sio_step();
    }

    ngx_sio_session_floor_locked(z, ss);
    ngx_sio_session_let_go(ss, at);

    return NGX_OK;
}


/*
 * Who dies before the owner word is written leaves a session of his own, which
 * is reaped.
 */

static void
ngx_sio_session_let_go(ngx_sio_session_sh_t *ss, uint64_t at)
{
    uint64_t  owner;

    ss->seen = at;

    ngx_sio_step();

    if (ss->applied == NGX_SIO_AT_CURSOR) {
        ss->applied = at;

        ngx_sio_step();
    }

    owner = ngx_sio_load(&ss->owner);

    while (ngx_sio_session_pass_locked(ss, &owner, 0) != NGX_OK) { /* void */ }
}


ngx_int_t
ngx_sio_session_park(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t at, uint64_t deadline)
{
    ngx_int_t              rc;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;
    ss = ngx_sio_session_mine_locked(z, i, owner);

    if (ss && (ss->flags & NGX_SIO_DEAD)) {
        ngx_sio_session_over_locked(z, i, at, deadline);

    } else if (ss && ss->sid[0]) {
        ngx_sio_session_park_locked(z, i, at, deadline);
        rc = NGX_OK;
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


/*
 * From the flag on repair does the rest: it takes the id of the transport, or
 * the transport, from a session that is PARKED.  Before it there is nothing to
 * be undone.
 */

void
ngx_sio_session_park_locked(ngx_sio_zone_t *z, uint32_t i, uint64_t at,
    uint64_t deadline)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss == NULL || ss->sid[0] == 0) {
        return;
    }

    ngx_sio_session_floor_locked(z, ss);

    ss->deadline = deadline;
    ss->attachments = 0;
    ss->partial = 0;

    ngx_sio_step();

    if (!(ss->flags & NGX_SIO_PARKED)) {

        ngx_sio_farewell_leave_locked(z, ss);
        ngx_sio_online_leave_locked(z, ss);

        ss->flags = (ss->flags & (NGX_SIO_RECOVERABLE|NGX_SIO_FLOOR
                                  |NGX_SIO_REFRESH))
                    | NGX_SIO_PARKED;

        ngx_sio_step();

        z->sh->live_parked++;

        if (ss->eio_sid[0]) {
            ngx_sio_session_transport_locked(z, i, 0);
            ngx_sio_session_shed_locked(z, i, deadline);
            ngx_sio_session_no_eio_locked(z, i);

        } else {
            ngx_sio_session_prune_locked(z, i);
        }
    }

    ngx_sio_session_let_go(ss, at);
}


void
ngx_sio_session_over_locked(ngx_sio_zone_t *z, uint32_t i, uint64_t at,
    uint64_t deadline)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss == NULL) {
        return;
    }

    if (ngx_sio_session_may_wait(ss, deadline)) {
        ngx_sio_session_park_locked(z, i, at, deadline);
        return;
    }

    /* there may be sockets in other namespaces */

    ngx_sio_session_shed_locked(z, i, deadline);
    ngx_sio_session_close_locked(z, i);
}


ngx_int_t
ngx_sio_session_post_locked(ngx_sio_zone_t *z, uint32_t i, ngx_uint_t slot)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss == NULL || (ss->flags & NGX_SIO_DEAD)) {
        return NGX_DECLINED;
    }

    if (ss->poster) {
        return NGX_BUSY;
    }

    ss->poster = (uint8_t) slot;

    ngx_sio_step();

    return NGX_OK;
}


void
ngx_sio_session_post_done_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t slot)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss && ss->poster == slot) {
        ss->poster = 0;

        ngx_sio_step();
    }
}


ngx_uint_t
ngx_sio_session_expire(ngx_sio_zone_t *z, uint64_t now,
    ngx_sio_session_each_pt each, void *data)
{
    uint32_t    i, top, due[NGX_SIO_SESSION_BATCH];
    ngx_uint_t  n, total;

    n = 0;
    total = 0;
    top = ngx_sio_load(&z->sh->top_session);

    for (i = 1; i <= top; i++) {

        if (!ngx_sio_session_is_due(&z->sessions[i], now)) {
            continue;
        }

        due[n++] = i;

        if (n == NGX_SIO_SESSION_BATCH) {
            total += ngx_sio_session_expire_batch(z, due, n, now, each, data);
            n = 0;
        }
    }

    if (n) {
        total += ngx_sio_session_expire_batch(z, due, n, now, each, data);
    }

    return total;
}


static ngx_uint_t
ngx_sio_session_is_due(ngx_sio_session_sh_t *ss, uint64_t now)
{
    uint64_t  deadline;

    if (ngx_sio_load(&ss->state) != NGX_SIO_LIVE
        || ngx_sio_owner_slot(ngx_sio_load(&ss->owner)))
    {
        return 0;
    }

    deadline = ngx_sio_load(&ss->deadline);

    return deadline && deadline <= now;
}


static ngx_uint_t
ngx_sio_session_expire_batch(ngx_sio_zone_t *z, uint32_t *due, ngx_uint_t n,
    uint64_t now, ngx_sio_session_each_pt each, void *data)
{
    ngx_uint_t  i, total;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return 0;
    }

    total = 0;

    for (i = 0; i < n; i++) {
        if (ngx_sio_session_live_locked(z, due[i])
            && ngx_sio_session_is_due(&z->sessions[due[i]], now))
        {
            each(z, due[i], data);
            total++;
        }
    }

    ngx_sio_zone_unlock(z);

    return total;
}
