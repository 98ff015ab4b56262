
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_worker.h"
#include "ngx_sio_online.h"
#include "ngx_sio_session.h"
#include "ngx_sio_stats.h"


/* A set of slots, bit 0 is slot 1, as in the rooms' sets of workers. */

typedef struct {
    uint64_t             bits[NGX_SIO_WORKERS / 64];
} ngx_sio_worker_set_t;


#define ngx_sio_worker_set_add(set, slot)                                     \
    (set)->bits[((slot) - 1) / 64] |= (uint64_t) 1 << ((slot) - 1) % 64

#define ngx_sio_worker_set_has(set, slot)                                     \
    ((set)->bits[((slot) - 1) / 64] >> ((slot) - 1) % 64 & 1)


static ngx_uint_t ngx_sio_worker_free_slot(ngx_sio_zone_t *z);
static ngx_int_t ngx_sio_worker_occupy(ngx_sio_zone_t *z, ngx_uint_t slot,
    ngx_int_t process_slot);
static ngx_uint_t ngx_sio_worker_try(pthread_mutex_t *alive);
static ngx_uint_t ngx_sio_worker_reap_locked(ngx_sio_zone_t *z,
    ngx_msec_t window);
static ngx_uint_t ngx_sio_worker_end_locked(ngx_sio_zone_t *z,
    ngx_sio_worker_set_t *set, ngx_msec_t window);
static void ngx_sio_worker_end_sessions(ngx_sio_zone_t *z,
    ngx_sio_worker_set_t *set, ngx_msec_t window);
static void ngx_sio_worker_end_marks(ngx_sio_zone_t *z, uint32_t i,
    ngx_sio_worker_set_t *set, uint64_t deadline);
static ngx_uint_t ngx_sio_worker_is_one_of(ngx_sio_zone_t *z, uint32_t i,
    ngx_sio_worker_set_t *set);
static void ngx_sio_worker_end_session(ngx_sio_zone_t *z, uint32_t i,
    ngx_sio_worker_set_t *set, uint64_t deadline);
static void ngx_sio_worker_end_rooms(ngx_sio_zone_t *z,
    ngx_sio_worker_set_t *set);
static void ngx_sio_worker_end_roles(ngx_sio_zone_t *z,
    ngx_sio_worker_set_t *set);


ngx_uint_t
ngx_sio_worker_enter(ngx_sio_zone_t *z, ngx_int_t process_slot,
    ngx_msec_t window)
{
    ngx_uint_t  slot;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return 0;
    }

    (void) ngx_sio_worker_reap_locked(z, window);

    slot = ngx_sio_worker_free_slot(z);

    if (slot && ngx_sio_worker_occupy(z, slot, process_slot) != NGX_OK) {
        (void) pthread_mutex_unlock(&z->sh->workers[slot - 1].alive);
        slot = 0;
    }

    ngx_sio_zone_unlock(z);

    return slot;
}


/*
 * Finds a free slot and locks its mutex.  One that is free and locked has an
 * owner about to leave it, or is being looked at: there are others.
 */

static ngx_uint_t
ngx_sio_worker_free_slot(ngx_sio_zone_t *z)
{
    ngx_uint_t            slot;
    ngx_sio_worker_sh_t  *w;

    for (slot = 1; slot <= NGX_SIO_WORKERS; slot++) {

        w = &z->sh->workers[slot - 1];

        if (w->state == NGX_SIO_FREE && ngx_sio_worker_try(&w->alive)) {
            return slot;
        }
    }

    return 0;
}


/* Under the log lock, too: see ngx_sio_log_rejoin(). */

static ngx_int_t
ngx_sio_worker_occupy(ngx_sio_zone_t *z, ngx_uint_t slot,
    ngx_int_t process_slot)
{
    ngx_sio_zone_sh_t    *sh;
    ngx_sio_worker_sh_t  *w;

    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    sh = z->sh;
    w = &sh->workers[slot - 1];

    if (slot > sh->top_worker) {
        ngx_sio_store(&sh->top_worker, slot);

        ngx_sio_step();
    }

    w->generation++;
    w->pid = getpid();
    w->process_slot = process_slot;
    w->leaving = 0;
    ngx_memzero(w->connections, sizeof(w->connections));
    ngx_memzero(w->stats, sizeof(w->stats));

    ngx_sio_step();

    __atomic_store_n(&w->armed, 0, __ATOMIC_RELAXED);
    ngx_sio_store(&w->cursor, sh->head);

    ngx_sio_step();

    ngx_sio_store(&w->state, NGX_SIO_WORKER_LIVE);

    ngx_sio_step();

    ngx_sio_zone_log_unlock(z);

    return NGX_OK;
}


/*
 * True if the mutex is the caller's now.  An owner's death is no secret that
 * the mutex would have to keep: a slot that is not free while its mutex can be
 * had says the same.
 */

static ngx_uint_t
ngx_sio_worker_try(pthread_mutex_t *alive)
{
    int  rc;

    rc = pthread_mutex_trylock(alive);

    if (rc == EOWNERDEAD) {
        (void) pthread_mutex_consistent(alive);
        rc = 0;
    }

    return rc == 0;
}


ngx_uint_t
ngx_sio_worker_alive(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    ngx_sio_worker_sh_t  *w;

    w = &z->sh->workers[slot - 1];

    if (ngx_sio_load(&w->state) == NGX_SIO_FREE) {
        return 0;
    }

    if (!ngx_sio_worker_try(&w->alive)) {
        return 1;
    }

    (void) pthread_mutex_unlock(&w->alive);

    return 0;
}


void
ngx_sio_worker_leave(ngx_sio_zone_t *z, ngx_uint_t slot, ngx_msec_t window)
{
    ngx_sio_worker_set_t  set;

    ngx_memzero(&set, sizeof(ngx_sio_worker_set_t));
    ngx_sio_worker_set_add(&set, slot);

    /*
     * If a lock is not to be had the slot stays as it is: with its mutex
     * unlocked it is as good as dead and will be reaped.
     */

    if (ngx_sio_zone_lock(z) == NGX_OK) {
        (void) ngx_sio_worker_end_locked(z, &set, window);
        ngx_sio_zone_unlock(z);
    }

    (void) pthread_mutex_unlock(&z->sh->workers[slot - 1].alive);
}


ngx_uint_t
ngx_sio_worker_reap(ngx_sio_zone_t *z, ngx_msec_t window)
{
    ngx_uint_t  n, slot, top;

    top = ngx_sio_load(&z->sh->top_worker);

    for (slot = 1; slot <= top; slot++) {
        if (ngx_sio_load(&z->sh->workers[slot - 1].state) != NGX_SIO_FREE
            && !ngx_sio_worker_alive(z, slot))
        {
            break;
        }
    }

    if (slot > top || ngx_sio_zone_lock(z) != NGX_OK) {
        return 0;
    }

    n = ngx_sio_worker_reap_locked(z, window);

    ngx_sio_zone_unlock(z);

    return n;
}


/*
 * Slots come and go under the zone lock only, so who is dead here stays dead.
 * The mutexes are let go at once: what tells the dead is the state.
 */

static ngx_uint_t
ngx_sio_worker_reap_locked(ngx_sio_zone_t *z, ngx_msec_t window)
{
    ngx_uint_t            slot, n;
    ngx_sio_worker_set_t  dead;

    ngx_memzero(&dead, sizeof(ngx_sio_worker_set_t));

    n = 0;

    for (slot = 1; slot <= z->sh->top_worker; slot++) {

        if (ngx_sio_load(&z->sh->workers[slot - 1].state) != NGX_SIO_FREE
            && !ngx_sio_worker_alive(z, slot))
        {
            ngx_sio_worker_set_add(&dead, slot);
            n++;
        }
    }

    if (n == 0) {
        return 0;
    }

    return ngx_sio_worker_end_locked(z, &dead, window);
}


/*
 * Takes everything from a set of workers.  The slots are freed last, so that
 * all of it is done again if this process dies.  Returns how many were freed:
 * none if the log lock is not to be had.
 */

static ngx_uint_t
ngx_sio_worker_end_locked(ngx_sio_zone_t *z, ngx_sio_worker_set_t *set,
    ngx_msec_t window)
{
    ngx_uint_t            slot, n;
    ngx_sio_worker_sh_t  *w;

    ngx_sio_worker_end_sessions(z, set, window);
    ngx_sio_worker_end_rooms(z, set);

    if (ngx_sio_zone_log_lock(z) != NGX_OK) {
        return 0;
    }

    ngx_sio_worker_end_roles(z, set);

    n = 0;

    for (slot = 1; slot <= z->sh->top_worker; slot++) {

        if (!ngx_sio_worker_set_has(set, slot)) {
            continue;
        }

        w = &z->sh->workers[slot - 1];

        ngx_sio_stats_fold_locked(z, slot);
        ngx_sio_online_end_locked(z, slot);

        __atomic_store_n(&w->armed, 0, __ATOMIC_RELAXED);

        ngx_sio_step();

        ngx_sio_store(&w->state, NGX_SIO_FREE);

        ngx_sio_step();

        n++;
    }

    ngx_sio_zone_log_unlock(z);

    return n;
}


/*
 * The sessions of the dead are those of the zone as it is now, whatever the
 * caller's view thinks of its own.  Transports that are over are marked before
 * the first of them ends, so that if this process dies the next one finds them.
 */

static void
ngx_sio_worker_end_sessions(ngx_sio_zone_t *z, ngx_sio_worker_set_t *set,
    ngx_msec_t window)
{
    uint32_t               i;
    uint64_t               deadline;
    ngx_sio_zone_t         view;
    ngx_sio_session_sh_t  *ss;

    view = *z;
    view.epoch = ngx_sio_load(&z->sh->epoch);

    deadline = window ? ngx_sio_zone_now() + window : 0;

    for (i = 1; i <= z->sh->top_session; i++) {

        ss = &z->sessions[i];

        if (ss->state == NGX_SIO_LIVE && (ss->connecter || ss->poster)) {
            ngx_sio_worker_end_marks(&view, i, set, deadline);
        }
    }

    for (i = 1; i <= z->sh->top_session; i++) {

        ss = &z->sessions[i];

        if (ss->state != NGX_SIO_LIVE) {
            continue;
        }

        if (ngx_sio_worker_is_one_of(z, i, set)) {
            ngx_sio_worker_end_session(&view, i, set, deadline);

        } else if ((ss->flags & NGX_SIO_DEAD)
                   && ngx_sio_owner_slot(ngx_sio_load(&ss->owner)) == 0)
        {
            ngx_sio_session_over_locked(&view, i, ss->seen, ss->deadline);
        }
    }
}


/* True if one of the set owns a session. */

static ngx_uint_t
ngx_sio_worker_is_one_of(ngx_sio_zone_t *z, uint32_t i,
    ngx_sio_worker_set_t *set)
{
    ngx_uint_t  slot;

    slot = ngx_sio_owner_slot(ngx_sio_load(&z->sessions[i].owner));

    return slot && slot <= NGX_SIO_WORKERS && ngx_sio_worker_set_has(set, slot);
}


/*
 * What somebody did on behalf of a session that may be another's.  Rooms that
 * nobody waits for any more will never come: the transport is over, so that the
 * client begins anew; its other sockets are not lost by that.  One whose owner
 * is dead, too, ends in any case.
 */

static void
ngx_sio_worker_end_marks(ngx_sio_zone_t *z, uint32_t i,
    ngx_sio_worker_set_t *set, uint64_t deadline)
{
    uint32_t               t;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    if (ss->poster && ss->poster <= NGX_SIO_WORKERS
        && ngx_sio_worker_set_has(set, ss->poster))
    {
        ss->poster = 0;

        ngx_sio_step();
    }

    if (ss->connecter == 0 || ss->connecter > NGX_SIO_WORKERS
        || !ngx_sio_worker_set_has(set, ss->connecter))
    {
        return;
    }

    /* a branch takes its transport with it */
    t = (ss->eio_sid[0] == 0 && ss->kin) ? ss->kin : i;

    if ((ss->flags & NGX_SIO_CONNECTING)
        && !ngx_sio_worker_is_one_of(z, t, set))
    {
        ngx_sio_session_dead_locked(z, i, deadline);
    }

    ss->connecter = 0;

    ngx_sio_step();
}


/*
 * A branch whose transport goes on with another owner, or nobody, is his to
 * claim.  Who was parked already, and is just being recovered, gains no time.
 * One that was not at the cursor of the dead one stays where it is: it was on
 * its way there, or what it was to be told is in the body of a poll.
 */

static void
ngx_sio_worker_end_session(ngx_sio_zone_t *z, uint32_t i,
    ngx_sio_worker_set_t *set, uint64_t deadline)
{
    uint64_t               owner, at;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];
    owner = ngx_sio_load(&ss->owner);
    at = ss->seen;

    if (ss->applied == NGX_SIO_AT_CURSOR) {
        at = ngx_sio_load(&z->sh->workers[ngx_sio_owner_slot(owner) - 1]
                           .cursor);
    }

    if (ss->eio_sid[0] == 0 && ss->kin
        && !ngx_sio_worker_is_one_of(z, ss->kin, set))
    {
        (void) ngx_sio_session_answer_locked(z, i, owner, at, NULL);
        return;
    }

    if (deadline && (ss->flags & NGX_SIO_PARKED) && ss->deadline) {
        deadline = ss->deadline;
    }

    ngx_sio_session_over_locked(z, i, at, deadline);
}


static void
ngx_sio_worker_end_rooms(ngx_sio_zone_t *z, ngx_sio_worker_set_t *set)
{
    uint32_t    i;
    uint64_t   *word;
    ngx_uint_t  n;

    for (i = 1; i <= z->sh->top_room; i++) {

        if (z->rooms[i].state != NGX_SIO_LIVE) {
            continue;
        }

        for (n = 0; n < NGX_SIO_WORKERS / 64; n++) {
            word = &z->rooms[i].workers[n];

            if (__atomic_load_n(word, __ATOMIC_RELAXED) & set->bits[n]) {
                (void) __atomic_fetch_and(word, ~set->bits[n],
                                          __ATOMIC_ACQ_REL);
                ngx_sio_step();
            }
        }
    }
}


/* With the log lock held. */

static void
ngx_sio_worker_end_roles(ngx_sio_zone_t *z, ngx_sio_worker_set_t *set)
{
    ngx_sio_lease_sh_t  *lease;

    lease = &z->sh->lease;

    if (lease->slot && ngx_sio_worker_set_has(set, lease->slot)) {
        lease->slot = 0;

        ngx_sio_step();

        lease->deadline = ngx_sio_zone_now();

        ngx_sio_step();
    }

    if (lease->standby && ngx_sio_worker_set_has(set, lease->standby)) {
        lease->standby = 0;

        ngx_sio_step();
    }
}
