
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_PRESENCE_SCRIPT_H_INCLUDED_
#define _NGX_SIO_PRESENCE_SCRIPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What the nodes do in Redis, as Lua scripts: each call is one transaction.
 *
 * Keys, all of which begin with <prefix>:sio:presence:
 *
 *   KEYS[1]  online       set: users online in the cluster
 *   KEYS[2]  nodes        zset: node -> ms at which its lease ends
 *   KEYS[3]  state        hash, see below
 *   KEYS[4]  node:<node>  set: users of the calling node
 *
 * Arguments of all scripts:
 *
 *   ARGV[1]  the node
 *   ARGV[2]  stamp: digits, that of a later call is greater as a text
 *   ARGV[3]  ms that a lease lasts
 *   ARGV[4]  the channel
 *   ARGV[5]  the name of a new epoch, if there has to be one
 *   ARGV[6]  the epoch that the node knows, empty if it knows none
 *   ARGV[7]  the version in it that it has met
 *   ARGV[8]  how many users of its own it knows there to be, -1: not known
 *   ...      see NGX_SIO_PRESENCE_CHANGE and the others
 *
 * All answer: epoch, version, users of the node before and after the call,
 * users online, ms for which nobody may be taken for offline; then their own.
 * An error that begins with "STALE" means that the node has made a later call
 * already, and that this one has changed nothing.
 *
 * The hash has epoch, version, born (ms), settle (if the epoch follows one
 * that was lost), and of each node fence:<node>, the stamp of its last call,
 * and up:<node>, the ms since when its calls came without a gap.
 */

typedef enum {
    NGX_SIO_PRESENCE_CHANGE,   /* ARGV[9...]: "+user" or "-user" */
    NGX_SIO_PRESENCE_RENEW,    /* ARGV[9]: linger, [10]: so many users at most;
                                  answers: 1 if there are more, those removed,
                                  and the nodes that are gone: an array */
    NGX_SIO_PRESENCE_READ,     /* ARGV[9]: "own" or "online";
                                  answers: the users of this node, or all */
    NGX_SIO_PRESENCE_SCRIPTS
} ngx_sio_presence_script_e;


/* A script's text, and its name for EVALSHA: 40 characters and a NUL. */
const ngx_str_t *ngx_sio_presence_script(ngx_uint_t script);
const char *ngx_sio_presence_script_sha(ngx_uint_t script);

/* Makes them.  NGX_OK; NGX_ERROR (memory). */
ngx_int_t ngx_sio_presence_script_init(ngx_log_t *log);


#endif /* _NGX_SIO_PRESENCE_SCRIPT_H_INCLUDED_ */
