
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_RECOVER_H_INCLUDED_
#define _NGX_SIO_RECOVER_H_INCLUDED_


#include "ngx_sio_auth.h"
#include "ngx_sio_claim.h"
#include "ngx_sio_client.h"


/*
 * Connection state recovery: a client comes back with the pid of its socket and
 * the offset of the last event that it has got.  The socket, which is parked or
 * on a transport that was lost without a word, is claimed, what it missed is
 * found in the log, and it goes to the client's new session.  If anything of
 * this is not to be had the client gets a new socket, never one with a hole.
 */


typedef struct {
    ngx_sio_claim_t           claim;          /* again is set by the owner */
    ngx_uint_t                active;
    ngx_uint_t                named;          /* the client named an offset */
    uint64_t                  offset;
    uint32_t                  session;        /* when it is ours */
    uint64_t                  owner;
    u_char                    pid[NGX_SIO_SID_LEN];
    u_char                    sid[NGX_SIO_SID_LEN];
} ngx_sio_recover_t;


/*
 * Looks into the payload of a CONNECT: active is set if it asks for recovery
 * and that is possible here at all.
 */
void ngx_sio_recover_begin(ngx_sio_recover_t *rv, ngx_sio_gateway_t *gw,
    const sio_str_t *auth);

/*
 * NGX_OK: the client is a socket again, and was told so; it may have been
 * freed.  NGX_AGAIN: claim.again() will be called.  NGX_DECLINED: it has to be
 * a new socket.  NGX_ERROR: temporary trouble.
 */
ngx_int_t ngx_sio_recover_try(ngx_sio_recover_t *rv, ngx_sio_client_t *sc,
    ngx_sio_identity_t *identity);

/* Gives up: a session that was claimed is parked again. */
void ngx_sio_recover_end(ngx_sio_recover_t *rv, ngx_sio_gateway_t *gw);


#endif /* _NGX_SIO_RECOVER_H_INCLUDED_ */
