
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_PRESENCE_CALL_H_INCLUDED_
#define _NGX_SIO_PRESENCE_CALL_H_INCLUDED_


#include "ngx_sio_presence.h"
#include "ngx_sio_presence_redis.h"
#include "ngx_sio_presence_script.h"


/* What the parts of ngx_sio_presence_redis.h share, and nobody else. */


#define NGX_SIO_PRESENCE_LEASE    10000        /* ms */
#define NGX_SIO_PRESENCE_RENEWAL  3000         /* ms between two renewals; also
                                                  how long an answer may take */
#define NGX_SIO_PRESENCE_CHANGES  500          /* users with one call */

#define NGX_SIO_PRESENCE_EPOCH    16           /* characters of an epoch */


/* A call that has not been answered yet. */

typedef struct {
    ngx_sio_presence_redis_t *owner;           /* NULL: nobody waits */
    ngx_uint_t                script;
} ngx_sio_presence_call_t;


/* An argument of the call that is being made: a piece of the text. */

typedef struct {
    size_t                    start;
    size_t                    len;
} ngx_sio_presence_arg_t;


/* An answer. */

typedef struct {
    ngx_uint_t                script;
    uint64_t                  epoch;
    uint64_t                  version;
    int64_t                   before;          /* users of this node in Redis */
    int64_t                   after;           /*   before and after the call */
    int64_t                   online;          /* users in the cluster */
    ngx_msec_t                hold;            /* so long nobody is offline */
    redisReply              **own;             /* what the script adds: three */
} ngx_sio_presence_answer_t;                   /*   or one; see script.h */


/* A message that came while there was no list to apply it to. */

typedef struct {
    ngx_queue_t               link;
    size_t                    len;
    u_char                    data[1];
} ngx_sio_presence_kept_t;


struct ngx_sio_presence_redis_s {
    ngx_sio_gateway_t        *gw;
    uint64_t                  fence;           /* 0: this is not the actor */
    uint64_t                  calls;           /* with this fence */

    uint64_t                  zone_epoch;      /* that the names are made of */
    u_char                   *names;           /* their memory */
    ngx_str_t                 key[4];          /* see script.h */
    ngx_str_t                 channel;
    ngx_str_t                 node;

    ngx_sio_presence_call_t  *call;            /* the one that is waited for */
    sio_buf_t                 text;            /* its arguments */
    ngx_sio_presence_arg_t    arg[NGX_SIO_PRESENCE_CHANGES];
    ngx_uint_t                nargs;
    ngx_msec_t                complained;      /* about what it refused */

    /* of this node's users: report */

    int64_t                   count;           /* in Redis; -1: unknown */
    ngx_sio_presence_ref_t    ref[NGX_SIO_PRESENCE_CHANGES];
    ngx_uint_t                nrefs;           /* that the call tells of */
    sio_buf_t                 strays;          /* users that Redis has and this
                                                  node has not: each behind its
                                                  length */
    size_t                    told;            /* bytes of them that the call
                                                  tells of */
    unsigned                  short_of:1;      /* memory, for some of them */
    unsigned                  synced:1;        /* REPORTED is what Redis has */
    unsigned                  told_all:1;      /* and all that differed then */

    /* of the cluster's users: replica */

    ngx_sio_redis_t          *rd;              /* the subscription */
    ngx_uint_t                subscriptions;   /* how many there were */
    ngx_uint_t                reading;         /* under which the list is asked
                                                  for; 0: it is this node's */
    ngx_queue_t               kept;            /* ngx_sio_presence_kept_t */
    size_t                    kept_bytes;
    uint64_t                  epoch;           /* of Redis, as last met; */
    uint64_t                  version;         /*   of the list here */
    uint64_t                  latest;          /*   that Redis has mentioned */
    ngx_msec_t                behind;          /* since when that is another */
    ngx_msec_t                malformed;       /* when the log was told last */
    unsigned                  subscribed:1;
    unsigned                  listed:1;        /* CLUSTER is the list of this
                                                  version */
    unsigned                  missed:1;        /* some of those to be kept */

    /* when */

    ngx_msec_t                renewed;         /* the lease was, last */
    ngx_msec_t                read;            /* the list was, last */
    ngx_msec_t                changed;         /* Redis was told something */
    ngx_msec_t                paused;          /* nothing is done until then, */
    ngx_msec_t                hold;            /* nobody goes offline */
    ngx_msec_t                well;            /* all was, last */
    unsigned                  more:1;          /* users of the dead */
    unsigned                  pausing:1;
    unsigned                  holding:1;
    unsigned                  away:1;
};


/* presence_redis */

/* Makes the next call, if there is something to do. */
void ngx_sio_presence_redis_next(ngx_sio_presence_redis_t *pd);

/* One was answered; NULL: it was lost or refused. */
void ngx_sio_presence_redis_answer(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer);

/* The part of the zone that shows what Redis said, with the zone lock held;
 * NULL, and no lock, if this is not the actor any more or the lock is not to
 * be had. */
ngx_sio_cluster_sh_t *ngx_sio_presence_redis_lock(
    ngx_sio_presence_redis_t *pd);


/* presence_call: arguments, then the call.  One at a time. */

void ngx_sio_presence_call_begin(ngx_sio_presence_redis_t *pd);

/* sign: '+' or '-' in front of it, or 0.  NGX_OK, NGX_ERROR (memory). */
ngx_int_t ngx_sio_presence_call_add(ngx_sio_presence_redis_t *pd, u_char sign,
    const u_char *data, size_t len);

/* NGX_OK; NGX_DECLINED: Redis is away; NGX_ERROR. */
ngx_int_t ngx_sio_presence_call_send(ngx_sio_presence_redis_t *pd,
    ngx_uint_t script);

/* Reads an epoch.  NGX_OK, NGX_ERROR. */
ngx_int_t ngx_sio_presence_call_epoch(const char *text, size_t len,
    uint64_t *epoch);

/* Nobody waits for the answer any more. */
void ngx_sio_presence_call_drop(ngx_sio_presence_redis_t *pd);


/* presence_report */

/* What REPORTED says may be wrong: Redis is asked. */
void ngx_sio_presence_report_doubt(ngx_sio_presence_redis_t *pd);

/* Asks it; takes the answer over. */
ngx_int_t ngx_sio_presence_report_read(ngx_sio_presence_redis_t *pd);
void ngx_sio_presence_report_take(ngx_sio_presence_redis_t *pd,
    redisReply *users);

/*
 * Tells Redis what differs.  NGX_OK; NGX_DONE: there is nothing to tell;
 * NGX_BUSY, NGX_DECLINED, NGX_ERROR: not now.
 */
ngx_int_t ngx_sio_presence_report_change(ngx_sio_presence_redis_t *pd);

/* It knows now. */
void ngx_sio_presence_report_changed(ngx_sio_presence_redis_t *pd);


/* presence_replica */

/* Subscribes, unless that is done; ends the subscription. */
void ngx_sio_presence_replica_open(ngx_sio_presence_redis_t *pd);
void ngx_sio_presence_replica_close(ngx_sio_presence_redis_t *pd);

/* The list is to be read again. */
void ngx_sio_presence_replica_doubt(ngx_sio_presence_redis_t *pd);

/* Asks for it; takes the answer over. */
ngx_int_t ngx_sio_presence_replica_read(ngx_sio_presence_redis_t *pd);
void ngx_sio_presence_replica_take(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer);

/* Looks if a message is missing that Redis has sent. */
void ngx_sio_presence_replica_watch(ngx_sio_presence_redis_t *pd);


#endif /* _NGX_SIO_PRESENCE_CALL_H_INCLUDED_ */
