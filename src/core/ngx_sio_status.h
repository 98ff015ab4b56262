
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_STATUS_H_INCLUDED_
#define _NGX_SIO_STATUS_H_INCLUDED_


#include "ngx_sio_conf.h"


/*
 * The content handler of a socketio_status location: the state of a gateway as
 * JSON.  All of it is in the zone, so any worker gives the same answer, even
 * one that has no slot.  What the keys mean is in doc/operations.md.
 */
ngx_int_t ngx_sio_status_handler(ngx_http_request_t *r);


#endif /* _NGX_SIO_STATUS_H_INCLUDED_ */
