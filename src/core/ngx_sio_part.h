
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_PART_H_INCLUDED_
#define _NGX_SIO_PART_H_INCLUDED_


#include "ngx_sio_gateway.h"


/*
 * To part with a session for good: it is closed, or with park, its socket waits
 * for its client, having got what is before an offset.  If the zone is locked
 * by a process that was stopped this is done later.  No effect if the ticket no
 * longer holds.
 */
void ngx_sio_part(ngx_sio_gateway_t *gw, uint32_t session, uint64_t owner,
    ngx_uint_t park, uint64_t at);

/* Tries again what could not be done. */
void ngx_sio_part_resume(ngx_sio_gateway_t *gw);


#endif /* _NGX_SIO_PART_H_INCLUDED_ */
