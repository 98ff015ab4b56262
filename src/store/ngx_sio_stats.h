
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_STATS_H_INCLUDED_
#define _NGX_SIO_STATS_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * Counters.  Each worker has a set of its own in its slot, which it writes
 * without lock; when it leaves or is reaped they are added to those of the
 * zone.  The sum of all is what the status page shows.
 */

typedef enum {
    NGX_SIO_STAT_EVENTS_IN,          /* packets appended to the log */
    NGX_SIO_STAT_EVENTS_OUT,         /* packets handed to clients */
    NGX_SIO_STAT_BYTES_IN,           /* of messages and bodies */
    NGX_SIO_STAT_BYTES_OUT,
    NGX_SIO_STAT_PACKETS_IN,         /* packets from clients */
    NGX_SIO_STAT_HANDSHAKES,         /* sessions opened */
    NGX_SIO_STAT_UPGRADES,           /* from polling to WebSocket */
    NGX_SIO_STAT_CONNECTED,          /* sockets, recovered ones included */
    NGX_SIO_STAT_RECOVERED,
    NGX_SIO_STAT_UNRECOVERED,        /* wanted to be, and came back fresh */
    NGX_SIO_STAT_AUTH_MISSING,       /* CONNECT refused, by code */
    NGX_SIO_STAT_AUTH_INVALID,
    NGX_SIO_STAT_AUTH_EXPIRED,
    NGX_SIO_STAT_MALFORMED,          /* messages of the feed */
    NGX_SIO_STAT_TOO_LARGE,
    NGX_SIO_STAT_REDIS_RECONNECTS,
    NGX_SIO_STAT_ACKS_ASKED,         /* events that ask clients for answers */
    NGX_SIO_STAT_ACKS_ANSWERED,      /* answers that came in time */
    NGX_SIO_STAT_ACKS_IGNORED,       /* to nothing, too late, or once more */
    NGX_SIO_STAT_CLOSE,              /* transports ended, by ngx_sio_close_e */
    NGX_SIO_STAT_CLOSE_LAST = NGX_SIO_STAT_CLOSE + 15,
    NGX_SIO_STAT_DEFLATE_RECORDS,    /* compressed, once by each worker */
    NGX_SIO_STAT_DEFLATE_IN,         /* their texts, in plain */
    NGX_SIO_STAT_DEFLATE_OUT,        /*   and compressed */
    NGX_SIO_STAT_ACKS_RELAYED,       /* answers to events of clients, */
    NGX_SIO_STAT_ACKS_UNKNOWN,       /*   and those for no socket here */
    NGX_SIO_STAT_FORWARDED,          /* events of clients, confirmed */
    NGX_SIO_STAT_REFUSED,            /*   and refused */
    NGX_SIO_STAT_GREETED,            /* sockets that the backend knows of: */
    NGX_SIO_STAT_LEFT,               /*   that they came, that they are gone */
    NGX_SIO_STAT_LIMITED,            /* events over the rate, */
    NGX_SIO_STAT_LIMIT_CLOSED,       /*   connections closed by a limit, */
    NGX_SIO_STAT_LIMIT_REFUSED,      /*   and handshakes refused */
    NGX_SIO_STAT_N
} ngx_sio_stat_e;

_Static_assert(NGX_SIO_STAT_N <= NGX_SIO_STATS, "room for all counters");


/* Adds up all workers and what those left that are gone.  Takes the zone lock,
 * and goes on without it if it is not to be had. */
void ngx_sio_stats_sum(ngx_sio_zone_t *z, uint64_t stats[NGX_SIO_STATS]);

/* Adds a slot's counters to those of the zone and clears them; zone lock. */
void ngx_sio_stats_fold_locked(ngx_sio_zone_t *z, ngx_uint_t slot);


#endif /* _NGX_SIO_STATS_H_INCLUDED_ */
