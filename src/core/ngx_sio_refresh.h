
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_REFRESH_H_INCLUDED_
#define _NGX_SIO_REFRESH_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * The room sets of sockets are read again.
 *
 * That it is due is noted in the session (NGX_SIO_REFRESH) by whoever meets the
 * REFRESH record on its behalf, and stays there until it is done: so it goes
 * with the session from worker to worker.  The worker that has the session
 * reads the sets, each once for all of a user's sockets that ask at the same
 * time, and applies the difference at its cursor: to memberships from room
 * sets (NGX_SIO_SET) alone, and not to rooms that a JOIN or LEAVE behind the
 * REFRESH record has named: what they say holds.
 */


/* What a worker reads; NULL without memory. */
ngx_sio_refreshes_t *ngx_sio_refresh_create(ngx_sio_gateway_t *gw);

/*
 * True if the keys of the room sets can be made again for a session: there is
 * no claim in them, which nobody remembers.
 */
ngx_uint_t ngx_sio_refresh_possible(ngx_sio_loc_conf_t *slcf);

/* A REFRESH record, for the connected clients of this worker. */
void ngx_sio_refresh_run(ngx_sio_gateway_t *gw, const sio_record_t *rec);

/* A client has come into the index: begins if it is due. */
void ngx_sio_refresh_entered(ngx_sio_client_t *sc);

/*
 * Then: what it has missed, which is hashes of the rooms that commands behind
 * the REFRESH have named.
 */
void ngx_sio_refresh_missed(ngx_sio_client_t *sc, const sio_buf_t *touched);

/* A JOIN or LEAVE record addresses a client for which sc->refresh is set. */
void ngx_sio_refresh_touch(ngx_sio_client_t *sc, const sio_record_t *rec);

/* True while Redis is being asked for the client's sets. */
ngx_uint_t ngx_sio_refresh_is_reading(ngx_sio_client_t *sc);

/* The client leaves the index, or is freed; nothing to do for most. */
void ngx_sio_refresh_cancel(ngx_sio_client_t *sc);

/* Begins again with those for whom Redis had no answer. */
void ngx_sio_refresh_again(ngx_sio_gateway_t *gw);


#endif /* _NGX_SIO_REFRESH_H_INCLUDED_ */
