
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_PRESENCE_H_INCLUDED_
#define _NGX_SIO_PRESENCE_H_INCLUDED_


#include "ngx_sio_client.h"
#include "ngx_sio_listeners.h"
#include "ngx_sio_presence_redis.h"
#include "ngx_sio_roster.h"

#include <ngx_sio_online.h>


/*
 * Presence: which users are online, and telling clients so.
 *
 * Each user record of the zone has up to four states (store/ngx_sio_online.h):
 *
 *   local      has sockets on this node, or had some a linger ago
 *   reported   Redis has been told that this node has the user
 *   cluster    the cluster's list has the user
 *   announced  the log has said that the user is online
 *
 * One worker of the node, the actor, holds a lease in the zone and compares
 * them: local with reported is for Redis to know, cluster (or, standalone,
 * local) with announced for the clients.  Whoever succeeds a dead actor
 * compares again.  The number of the lease, "fence", grows with every actor of
 * the zone; calls with an old one change nothing.
 *
 * Each worker keeps a copy of the announced list that is exact at its cursor.
 */


/*
 * For ngx_sio_presence_redis.c.  All of these take the zone lock and return
 * NGX_DECLINED if the fence is not that of the actor any more (it is told by
 * ngx_sio_presence_redis_stop() soon), and NGX_BUSY if the zone is locked: then
 * nothing has changed, and the next tick tries again.
 */

/*
 * A user of whom Redis is told, "online": 1: this node has it, 0: no longer; it
 * is known again by index and hash.
 */
typedef ngx_sio_online_ref_t      ngx_sio_presence_ref_t;
typedef ngx_sio_online_report_pt  ngx_sio_presence_each_pt;

/*
 * Calls each() for up to max users whose local and reported state differ,
 * with the zone lock held: it copies the name and does nothing else.  NGX_OK
 * if these were all, NGX_AGAIN if there may be more.  Without news this costs
 * nothing but a look.
 */
ngx_int_t ngx_sio_presence_unreported(ngx_sio_gateway_t *gw, uint64_t fence,
    ngx_sio_presence_each_pt each, void *data, ngx_uint_t max);

/* Redis has confirmed the n states of refs.  NGX_OK. */
ngx_int_t ngx_sio_presence_reported(ngx_sio_gateway_t *gw, uint64_t fence,
    const ngx_sio_presence_ref_t *refs, ngx_uint_t n);

/* Redis does not know this node: nothing is reported any more.  NGX_OK. */
ngx_int_t ngx_sio_presence_forget(ngx_sio_gateway_t *gw, uint64_t fence);

/*
 * Redis has these n users of this node, who are reported therefore.  Calls
 * stray() for those whom the node does not know, with the zone lock held.
 */
ngx_int_t ngx_sio_presence_own(ngx_sio_gateway_t *gw, uint64_t fence,
    const ngx_str_t *users, ngx_uint_t n, ngx_sio_online_stray_pt stray,
    void *data);

/*
 * The cluster says that n users are online, or not: flags[i] 1 or 0.  What
 * differs from announced is announced, paced by the tick.  Users for whom
 * there is no room are left out (a warning is logged).  NGX_OK.
 */
ngx_int_t ngx_sio_presence_cluster(ngx_sio_gateway_t *gw, uint64_t fence,
    const ngx_str_t *users, const u_char *online, ngx_uint_t n);

/*
 * The whole list of the cluster: everybody else is offline, unless hold is set:
 * then nobody goes offline by this.  May be called with any n; takes the lock
 * several times for a long list.  After NGX_DECLINED or NGX_BUSY part of it may
 * be done.  NGX_OK.
 */
ngx_int_t ngx_sio_presence_list(ngx_sio_gateway_t *gw, uint64_t fence,
    const ngx_str_t *users, ngx_uint_t n, ngx_uint_t hold);

/*
 * Redis has been away for too long (1), or is back and its list has been taken
 * over (0).  While it is set the tick takes over into the cluster's list who
 * comes and goes on this node.
 */
void ngx_sio_presence_away(ngx_sio_gateway_t *gw, ngx_uint_t away);



/* The rest is for the gateway and its clients. */

#define NGX_SIO_PRESENCE_TICK   250            /* ms */


struct ngx_sio_presence_s {
    ngx_sio_gateway_t        *gateway;

    uint64_t                  fence;           /* 0: not the actor */
    ngx_event_t               tick;            /* of the actor */
    ngx_sio_online_look_t     look;
    ngx_sio_online_look_t     report;
    ngx_sio_presence_redis_t *redis;           /* NULL: standalone */
    ngx_uint_t                cluster;         /* the list is the cluster's */
    ngx_uint_t                away;            /*   and Redis is not there */
    ngx_uint_t                unlisted;        /*   and lacks somebody, for whom
                                                  there was no room */
    ngx_msec_t                announced;       /* when somebody was, last */
    uint64_t                  known;           /* changes that the actor was
                                                  told of */
    sio_buf_t                 records;

    ngx_sio_roster_t         *roster;          /* the list at the cursor */
    ngx_uint_t                exact;           /*   and it is that */
    ngx_sio_listeners_t      *listeners;
    sio_buf_t                 message;         /* the end, or all, of a list */
};


/* NULL without memory.  For a gateway with presence only. */
ngx_sio_presence_t *ngx_sio_presence_create(ngx_sio_gateway_t *gw);
void ngx_sio_presence_free(ngx_sio_presence_t *pr);

/* Every sweep of a worker that has a slot, with or without presence. */
void ngx_sio_presence_sweep(ngx_sio_gateway_t *gw);

/* Something may have changed: the actor, whoever that is, is told. */
void ngx_sio_presence_news(ngx_sio_gateway_t *gw);

/* The cursor has jumped, or the zone was emptied: the list is made anew. */
void ngx_sio_presence_reset(ngx_sio_gateway_t *gw);

/*
 * True until the node has met the cluster's list, or there is no Redis to have
 * it from: until then nobody becomes a socket, and those who want to wait.
 */
#define ngx_sio_presence_pending(gw)                                          \
    ((gw)->presence && (gw)->presence->redis                                  \
     && ngx_sio_load(&(gw)->zone->sh->cluster.ready)                          \
        != ngx_sio_load(&(gw)->zone->sh->epoch))

/*
 * The cursor passes a record with SIO_RECORD_PRESENCE.  NGX_OK; NGX_DONE: it is
 * no news to the clients of this worker.
 */
ngx_int_t ngx_sio_presence_record(ngx_sio_gateway_t *gw,
    const sio_record_t *rec);

/* True for a session whose client is told who is online. */
#define ngx_sio_presence_wanted(gw, ss)                                       \
    ((gw)->presence && (ss)->nsp == 0 && (ss)->user)

/*
 * Sends the list as of the cursor to a client that has just been entered into
 * the index, unless it is for none of these.  May close the client.
 */
void ngx_sio_presence_welcome(ngx_sio_client_t *sc);

/* The same for a client that has arrived, if the list is due. */
void ngx_sio_presence_arrived(ngx_sio_client_t *sc);


#endif /* _NGX_SIO_PRESENCE_H_INCLUDED_ */
