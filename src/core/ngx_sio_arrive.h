
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ARRIVE_H_INCLUDED_
#define _NGX_SIO_ARRIVE_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * A session comes to this worker: by a poll, an upgrade, or because another
 * worker made a socket of it.  What it missed is sent, its rooms are brought to
 * the cursor, and it enters the index.
 */


/*
 * For a client with a session that is its own and not in the index yet; its
 * branches come, too.  If one of them is ahead of this worker's cursor that has
 * to wait.  At the end transport->arrived() is called, unless the client was
 * closed.
 */
void ngx_sio_arrive(ngx_sio_client_t *sc);

/*
 * The record at an offset says that the session has become a socket: arrives
 * again, beginning with that record, when the turn is over.
 */
void ngx_sio_arrive_again(ngx_sio_client_t *sc, uint64_t off);

/*
 * The same for a branch, whose carrier goes on meanwhile: the reply, which is
 * in the record, is sent.  NGX_OK, or NGX_DECLINED: the log has gone on, or no
 * memory.
 */
ngx_int_t ngx_sio_arrive_late(ngx_sio_client_t *sc, uint16_t nsp,
    uint64_t off);

/* Goes on with those who waited for the cursor. */
void ngx_sio_arrive_resume(ngx_sio_gateway_t *gw);

/* Forgets a client that waits; no effect if it does not. */
void ngx_sio_arrive_cancel(ngx_sio_client_t *sc);


#endif /* _NGX_SIO_ARRIVE_H_INCLUDED_ */
