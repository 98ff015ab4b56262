
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


#endif /* _NGX_SIO_COMMAND_H_INCLUDED_ */
