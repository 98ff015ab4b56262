
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ONLINE_H_INCLUDED_
#define _NGX_SIO_ONLINE_H_INCLUDED_


#include "ngx_sio_zone.h"

#include <sio_buf.h>


/*
 * Who is online: for each user states, not events.
 *
 *   LOCAL      has sockets in "/" on this node, or the last one has been gone
 *              for less than the linger
 *   REPORTED   Redis has been told that this node has the user
 *   CLUSTER    the cluster's list has the user
 *   ANNOUNCED  the log has said so: what clients know
 *
 * Whoever connects or ends a session keeps the first one.  All else is done by
 * one worker of the node, the actor, who compares each state with the next; who
 * dies in between is succeeded by one who compares again.  What an actor does
 * carries the fence that it got with the lease: calls with another one change
 * nothing and return NGX_DECLINED, and so do those in a view whose sessions
 * were lost.  NGX_BUSY: a lock is not to be had, nothing has changed.
 *
 * Presence is about namespace 0 and users that have a name there.
 */


/*
 * The session has become a socket by which its user is online; or is about to
 * be none any more.  Both may be called for any session, with the zone lock
 * held: the first one when it has its id and user, the second while it still
 * has the user.
 */
void ngx_sio_online_come_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss);
void ngx_sio_online_leave_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss);

/* True for a session that has to be PRESENT. */
#define ngx_sio_online_counts(ss)                                             \
    ((ss)->sid[0] && (ss)->user && (ss)->nsp == 0                             \
     && !((ss)->flags & NGX_SIO_PARKED))


/*
 * The lease of the actor, for the worker in a slot that holds it with a fence,
 * or with 0 does not.  Renews it, or takes it from nobody, from a holder that
 * is dead, fenced or silent, and from one that is leaving if this one is not.
 * Returns the fence, 0: it is somebody else's.  Often no more than a look.
 */
#define NGX_SIO_ONLINE_LEASE  1000             /* ms */

uint64_t ngx_sio_online_lease(ngx_sio_zone_t *z, ngx_uint_t slot,
    uint64_t fence);

/* Takes the lease from a slot that is being freed; zone lock. */
void ngx_sio_online_end_locked(ngx_sio_zone_t *z, ngx_uint_t slot);

/* Says whether presence is configured; for the master. */
void ngx_sio_online_configure(ngx_sio_zone_t *z, ngx_uint_t on);


/* What the actor remembers, so that looks for no news are cheap; zero. */

typedef struct {
    ngx_uint_t     looked;
    uint64_t       changes;         /* as of the last complete look */
    uint64_t       next;            /* ms: the first linger to end */
} ngx_sio_online_look_t;

#define NGX_SIO_ONLINE_BATCH  250              /* announced at once */

/*
 * Ends lingers that are over and announces up to NGX_SIO_ONLINE_BATCH users
 * whose state differs from ANNOUNCED: appends a record for each to the log.
 * cluster: that state is CLUSTER, else LOCAL, and there is no Redis.  away: the
 * cluster's list follows who comes and goes here.  records: a buffer to use.
 * *announced becomes how many.  NGX_OK; NGX_AGAIN: there is more, or the log
 * had no room; NGX_DECLINED; NGX_BUSY; NGX_ERROR: no memory, as NGX_AGAIN.
 */
ngx_int_t ngx_sio_online_settle(ngx_sio_zone_t *z, uint64_t fence,
    ngx_sio_online_look_t *look, ngx_msec_t linger, ngx_uint_t cluster,
    ngx_uint_t away, sio_buf_t *records, ngx_uint_t *announced);

/*
 * Presence is not configured (any more): some users lose their flags, and
 * nobody is told.  For anybody, now and then; while there is an actor, of
 * workers that are about to be replaced, nothing happens.
 */
void ngx_sio_online_drop(ngx_sio_zone_t *z);

/* Calls each() for all who are ANNOUNCED; zone lock. */
typedef void (*ngx_sio_online_each_pt)(void *data, uint32_t user);

void ngx_sio_online_announced_locked(ngx_sio_zone_t *z,
    ngx_sio_online_each_pt each, void *data);


/*
 * For Redis.  The same as in core/ngx_sio_presence.h, where there is more about
 * them; users are found again by index and hash of their names.
 */

typedef struct {
    uint32_t       index;
    uint32_t       online;
    uint64_t       hash;
} ngx_sio_online_ref_t;

/*
 * Calls each() with the lock held for up to max users whose LOCAL and REPORTED
 * differ.  NGX_OK: these were all; NGX_AGAIN: there may be more.
 */
typedef void (*ngx_sio_online_report_pt)(void *data,
    const ngx_sio_online_ref_t *ref, ngx_str_t *user);

ngx_int_t ngx_sio_online_unreported(ngx_sio_zone_t *z, uint64_t fence,
    ngx_sio_online_look_t *look, ngx_sio_online_report_pt each, void *data,
    ngx_uint_t max);

/* Sets REPORTED to what the refs say; who is reported is in the list, too. */
ngx_int_t ngx_sio_online_reported(ngx_sio_zone_t *z, uint64_t fence,
    const ngx_sio_online_ref_t *refs, ngx_uint_t n);

/* Clears REPORTED of all. */
ngx_int_t ngx_sio_online_forget(ngx_sio_zone_t *z, uint64_t fence);

/* Sets REPORTED of n users; calls stray() for those that are not known here. */
typedef void (*ngx_sio_online_stray_pt)(void *data, const ngx_str_t *user);

ngx_int_t ngx_sio_online_own(ngx_sio_zone_t *z, uint64_t fence,
    const ngx_str_t *users, ngx_uint_t n, ngx_sio_online_stray_pt stray,
    void *data);

/*
 * Sets CLUSTER of n users to 1 or 0; online NULL: to 1.  *unlisted grows by
 * those that there is no room for: users of other nodes leave a quarter of the
 * records to those of this one.  met, if not NULL, has a bit for each index,
 * which is set for users that are in the list now.
 */
ngx_int_t ngx_sio_online_cluster(ngx_sio_zone_t *z, uint64_t fence,
    const ngx_str_t *users, const u_char *online, ngx_uint_t n,
    ngx_uint_t *unlisted, u_char *met);

/* True if there is room for one more user of another node; without the lock: as
 * far as is known. */
ngx_uint_t ngx_sio_online_room(ngx_sio_zone_t *z);

/* Clears CLUSTER of all users whose bit is not set. */
ngx_int_t ngx_sio_online_others(ngx_sio_zone_t *z, uint64_t fence,
    const u_char *met);


/* For them, and for repair: sets the flags, with the reference that they are.
 * The last flag may free the user's record. */
void ngx_sio_online_set_locked(ngx_sio_zone_t *z, uint32_t user,
    uint32_t flags);

/* True if the fence is the actor's. */
#define ngx_sio_online_acts(z, f)                                             \
    (!ngx_sio_zone_lost(z) && (f) && (z)->sh->presence.fence == (f)           \
     && (z)->sh->presence.slot)


#endif /* _NGX_SIO_ONLINE_H_INCLUDED_ */
