
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_COMMAND_H_INCLUDED_
#define _NGX_SIO_COMMAND_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * Does what a JOIN, LEAVE or DISCONNECT record says to the connected clients
 * of this worker that it addresses.  A client for which that fails is closed:
 * better to come again than to be in the wrong rooms.
 */
void ngx_sio_command_run(ngx_sio_gateway_t *gw, const sio_record_t *rec);

/*
 * Has a client enter a room, from an offset on, or leave the one of a
 * membership.  NGX_OK, or NGX_ERROR: it is closed.
 */
ngx_int_t ngx_sio_command_enter(ngx_sio_client_t *sc, ngx_sio_room_t *room,
    uint64_t since);
ngx_int_t ngx_sio_command_exit(ngx_sio_client_t *sc, uint32_t member,
    uint64_t until);


#endif /* _NGX_SIO_COMMAND_H_INCLUDED_ */
