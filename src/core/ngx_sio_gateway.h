
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_GATEWAY_H_INCLUDED_
#define _NGX_SIO_GATEWAY_H_INCLUDED_


#include "ngx_sio_conf.h"
#include "ngx_sio_feed.h"

#include <ngx_event.h>

#include <ngx_sio_log.h>
#include <ngx_sio_nsp.h>
#include <ngx_sio_stats.h>
#include <ngx_sio_worker.h>


/*
 * A worker's side of a gateway: its slot in the zone, its cursor on the log,
 * its clients and the rooms that they are in, its connections to Redis.
 *
 * Everything else in this folder gets one of these and works on its part:
 *
 *   bell       how workers wake each other
 *   request    what an HTTP request wants of the gateway
 *   client     one client; websocket, poll, post: its transports
 *   branch     its sockets in other namespaces than "/"
 *   probe      a WebSocket that takes a polling session over
 *   receive    packets from clients
 *   connect    from the CONNECT packet to the reply; joining: the rooms that it
 *              will be in, a room_list
 *   recover    the same for a socket that comes back
 *   welcome    what it is told then
 *   rooms      which of this worker's clients are in a room; outlet: what a
 *              fan-out has to know of each
 *   dispatch   from the log to the clients; turn: what is on its way
 *   arrive     a session comes to this worker
 *   beat       heartbeats of sessions that poll
 *   forward    events for the backend; entry: what they become
 *   greet      the backend is told of sockets that come; leavings: that go
 *   quota      how many connections and events clients may have
 *   acks       events that ask clients for an answer
 *   presence   who is online, and telling them of each other
 *   room_sets  rooms of a client, from Redis; refresh: they are read again
 *   drain      a worker that leaves
 *   feed       from Redis to the log
 */


typedef struct ngx_sio_client_s   ngx_sio_client_t;
typedef struct ngx_sio_rooms_s    ngx_sio_rooms_t;
typedef struct ngx_sio_outlets_s  ngx_sio_outlets_t;
typedef struct ngx_sio_dispatch_s ngx_sio_dispatch_t;
typedef struct ngx_sio_turn_s     ngx_sio_turn_t;
typedef struct ngx_sio_owned_s    ngx_sio_owned_t;
typedef struct ngx_sio_acks_s     ngx_sio_acks_t;
typedef struct ngx_sio_presence_s ngx_sio_presence_t;
typedef struct ngx_sio_refreshes_s  ngx_sio_refreshes_t;
typedef struct ngx_sio_greet_s    ngx_sio_greet_t;


struct ngx_sio_gateway_s {
    ngx_sio_gateway_conf_t   *conf;
    ngx_sio_zone_t           *zone;
    ngx_log_t                *log;
    ngx_uint_t                slot;            /* from 1; 0: no slot (yet) */
    ngx_sio_worker_sh_t      *worker;          /* of the slot, never NULL */
    uint64_t                  cursor;          /* next record to deliver */

    ngx_sio_outlets_t        *outlets;         /* of clients that are sockets */
    ngx_sio_rooms_t          *rooms;
    ngx_sio_dispatch_t       *dispatch;
    ngx_sio_turn_t           *turn;            /* read, and not sent yet */

    ngx_queue_t               clients;         /* all, by client->link */
    ngx_queue_t               closed;          /* those that wait to be freed */
    ngx_event_t               close;           /* frees them */
    ngx_uint_t                nclients;

    ngx_queue_t               connecting;      /* by connect->link, in order of
                                                  their "since" */
    ngx_queue_t               commands;        /* what they may have missed */

    ngx_queue_t               arriving;        /* clients whose sessions are
                                                  ahead of the cursor */
    ngx_queue_t               claiming;        /* who waits for a session that
                                                  another worker has yet to
                                                  let go */
    ngx_event_t               claim;           /*   tries again */
    ngx_queue_t               parting;         /* sessions to be let go when the
                                                  zone is not locked */
    ngx_queue_t               answers;         /* polls that have something */
    ngx_event_t               answer;          /*   answers them */
    ngx_sio_owned_t          *owned;           /* clients by Engine.IO id */
    ngx_sio_acks_t           *acks;            /* answers that are asked for */
    ngx_sio_presence_t       *presence;        /* NULL: off */
    ngx_sio_refreshes_t      *refreshes;       /* room sets that are being read
                                                  again */

    ngx_queue_t               slow;            /* by out->link: clients that
                                                  are behind */
    uint64_t                  oldest;          /* no reference of theirs is
                                                  older than this */
    size_t                    rescued;         /* bytes copied for them */

    ngx_sio_redis_t          *redis;           /* commands; NULL: standalone */
    ngx_sio_feed_t           *feed;            /* NULL: standalone */
    size_t                    forwarding;      /* bytes of clients' events that
                                                  Redis has not confirmed */
    ngx_sio_greet_t          *greet;           /* NULL: standalone */
    ngx_event_t               leavings;        /* looks for farewells */

    ngx_event_t               sweep;           /* 100 ms: reaps the dead, looks
                                                  at the log without a bell */
    ngx_uint_t                sweeps;          /* how many there were */
    ngx_connection_t          ident;           /* data of the events, for debug
                                                  logs */

    ngx_uint_t                closing;         /* the worker is leaving */
    ngx_event_t               drain;           /*   and closes its clients, */
    ngx_msec_t                drain_from;      /*   since then, */
    ngx_uint_t                drain_of;        /*   of so many */
};


/*
 * Starts the worker's side of all gateways of a cycle; ends it.  NGX_ERROR
 * only without memory: Redis being away is no reason.
 */
ngx_int_t ngx_sio_gateway_init_worker(ngx_cycle_t *cycle,
    ngx_sio_main_conf_t *smcf);
void ngx_sio_gateway_exit_worker(ngx_cycle_t *cycle);

/* Initialises the shared memory; the init callback of the zone. */
ngx_int_t ngx_sio_gateway_init_zone(ngx_shm_zone_t *shm_zone, void *data);

/* The worker's side of a gateway; NULL if this process has none. */
ngx_sio_gateway_t *ngx_sio_gateway_find(ngx_sio_gateway_conf_t *conf);

/*
 * The number of a namespace that clients may connect to.  NGX_OK, or
 * NGX_DECLINED: there is no such one.
 */
ngx_int_t ngx_sio_gateway_nsp(ngx_sio_gateway_t *gw, const sio_str_t *name,
    uint16_t *nsp);

/*
 * Tells all workers that the log has grown: others by their doorbells, this
 * one by posting its dispatch, so that what is appended in one turn leaves in
 * one write per client.
 */
void ngx_sio_gateway_ring(ngx_sio_gateway_t *gw);

/* Wakes one worker, be it this one. */
void ngx_sio_gateway_ring_one(ngx_sio_gateway_t *gw, ngx_uint_t slot);

/*
 * Makes an id for a session or a socket, NGX_SIO_SID_LEN characters that no
 * other of this node has.  NGX_OK, or NGX_ERROR without random bytes.
 */
ngx_int_t ngx_sio_gateway_sid(ngx_sio_gateway_t *gw, u_char *sid);

/*
 * Appends a message for the session of that Engine.IO id to the log, and wakes
 * its owner.  part: packets of Engine.IO.  NGX_OK; NGX_AGAIN if the log has no
 * room for now; NGX_ERROR (memory, too large).
 */
ngx_int_t ngx_sio_gateway_tell(ngx_sio_gateway_t *gw, const u_char *eio_sid,
    ngx_uint_t flags, uint64_t arg, sio_str_t *part, ngx_uint_t parts);

/*
 * Appends one record to the log and wakes the others.  *behind, if not NULL,
 * becomes the offset behind it, *at its own.  Returns as above.
 */
ngx_int_t ngx_sio_gateway_append_at(ngx_sio_gateway_t *gw, sio_message_t *m,
    uint64_t *at, uint64_t *behind);
ngx_int_t ngx_sio_gateway_append(ngx_sio_gateway_t *gw, sio_message_t *m,
    uint64_t *behind);

/*
 * Makes the ids of a socket that can be recovered: pid is secret, and sid
 * follows from it (..._sid_of()), so that a socket is found by either.
 */
ngx_int_t ngx_sio_gateway_pid(ngx_sio_gateway_t *gw, u_char *pid, u_char *sid);
void ngx_sio_gateway_sid_of(const u_char *pid, u_char *sid);

/* Counts; see stats.h. */
#define ngx_sio_gateway_stat(gw, name, n)                                     \
    ((gw)->worker->stats[NGX_SIO_STAT_##name] += (n))

/*
 * Closes all clients because the records of the zone were emptied: what they
 * had there is gone and nothing of it may be touched (ngx_sio_zone_lost()).
 */
void ngx_sio_gateway_emptied(ngx_sio_gateway_t *gw);

/*
 * Notes in the log that the zone is full, at most once a minute for the node.
 */
void ngx_sio_gateway_full(ngx_sio_gateway_t *gw);


#endif /* _NGX_SIO_GATEWAY_H_INCLUDED_ */
