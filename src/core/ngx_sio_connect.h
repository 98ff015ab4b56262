
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_CONNECT_H_INCLUDED_
#define _NGX_SIO_CONNECT_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * From the CONNECT packet to the reply.
 *
 * A client whose token was accepted waits for its room sets from Redis, and
 * for the feed.  Meanwhile it is in no index; commands that the worker meets
 * in the log are kept as long as anybody waits.  When all is there, its rooms
 * are the lists, and then those commands in order: a backend changes the set
 * first and publishes after, so whatever the read of the set missed is among
 * them, and what it had seen already changes nothing.
 */


/*
 * Makes the state that a client has until it is connected, for which it has
 * timeout ms.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_sio_connect_create(ngx_sio_client_t *sc, ngx_msec_t timeout);

/*
 * A CONNECT packet from the client of a transport, which has no socket in that
 * namespace; auth is the text of its payload, an object or empty.  May close
 * sc.
 */
void ngx_sio_connect_start(ngx_sio_client_t *sc, uint16_t nsp,
    const sio_str_t *auth);

/*
 * The client of a transport has a socket in some namespace, which is enough for
 * socketio_connect_timeout.
 */
void ngx_sio_connect_in_time(ngx_sio_client_t *sc);

/* True if a CONNECT of the client is to be answered by this worker. */
ngx_uint_t ngx_sio_connect_is_pending(ngx_sio_client_t *sc);

/* Gives up what a client that is being freed waits for. */
void ngx_sio_connect_abort(ngx_sio_client_t *sc);

/* Keeps a command record (up to its names) if anybody may need it. */
void ngx_sio_connect_command(ngx_sio_gateway_t *gw, const sio_record_t *rec);

/* Commands were lost: what was read of room sets before no longer counts. */
void ngx_sio_connect_forget(ngx_sio_gateway_t *gw);

/* Goes on with those who wait, when the feed or Redis has come back. */
void ngx_sio_connect_resume(ngx_sio_gateway_t *gw);


#endif /* _NGX_SIO_CONNECT_H_INCLUDED_ */
