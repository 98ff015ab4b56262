
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_BRANCH_H_INCLUDED_
#define _NGX_SIO_BRANCH_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * The sockets of a client in namespaces other than "/".
 *
 * A branch is a client object of its own: it has a session, is in rooms, and is
 * written to like any other.  What it has not is a transport: all that it sends
 * goes by way of its carrier, the client of the transport, which is also the
 * one that gets packets.  To close a branch is to close its carrier with all of
 * its sockets; a socket that only leaves its namespace ends by _end().
 */


typedef struct {
    ngx_sio_client_t          client;         /* first */
    ngx_uint_t                disconnect;     /* it was disconnected on its way
                                                 here, see replay.h */
} ngx_sio_branch_t;


#define ngx_sio_branch_of(sc)  ((ngx_sio_branch_t *) (sc))


/*
 * The client's socket in a namespace, which is the client itself for "/"; NULL
 * if there is none.
 */
ngx_sio_client_t *ngx_sio_branch_find(ngx_sio_client_t *carrier, uint16_t nsp);

/*
 * Makes a branch without a session, as the carrier's transport has it; returns
 * NULL without memory.
 */
ngx_sio_client_t *ngx_sio_branch_create(ngx_sio_client_t *carrier,
    uint16_t nsp);

/*
 * Makes the session of a branch for a CONNECT.  NGX_OK, or NGX_ERROR if the
 * zone is full or locked, or else as below.
 */
ngx_int_t ngx_sio_branch_open(ngx_sio_client_t *sc);

/*
 * Makes the session of a branch, with the zone lock held; for a transport that
 * polls, if it is not there any more.  NGX_OK; NGX_DECLINED: the zone is full;
 * NGX_ERROR: the transport is gone, or somebody else is at it.
 */
ngx_int_t ngx_sio_branch_make_locked(ngx_sio_client_t *sc);

/*
 * Makes branches for those sessions of the carrier's transport that it does not
 * have yet, and claims them; asks the zone only if there may be some.  NGX_OK;
 * NGX_ERROR: locked, no memory, or the carrier has lost its own session.
 */
ngx_int_t ngx_sio_branch_claim(ngx_sio_client_t *carrier);

/*
 * Takes a branch from its carrier; posts its end, in which it parts with its
 * session, if it still has one.
 */
void ngx_sio_branch_end(ngx_sio_client_t *sc);

/* Frees all branches of a carrier at once, their sessions stay as they are. */
void ngx_sio_branch_forget(ngx_sio_client_t *carrier);

/* True if a branch of the carrier waits for a CONNECT to be answered here. */
ngx_uint_t ngx_sio_branch_is_pending(ngx_sio_client_t *carrier);


/* What a branch does by way of its carrier: for tables of transports. */

void ngx_sio_branch_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n);
void ngx_sio_branch_leave(ngx_sio_client_t *sc);
void ngx_sio_branch_release(ngx_sio_client_t *sc);
void ngx_sio_branch_free(ngx_sio_client_t *sc);


#endif /* _NGX_SIO_BRANCH_H_INCLUDED_ */
