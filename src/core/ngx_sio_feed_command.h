
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_FEED_COMMAND_H_INCLUDED_
#define _NGX_SIO_FEED_COMMAND_H_INCLUDED_


#include "ngx_sio_gateway.h"

#include <sio_command.h>


/*
 * From a text of JSON commands to records: all of them, or none if one is bad,
 * or if they are more than one append takes.  What is for a namespace that the
 * gateway has not, is for nobody here, as it is with messages of the adapter.
 *
 * SIO_OK: records are behind what b holds, *events: how many of them are events
 * for clients; SIO_AGAIN: there is nothing to do; else as the functions of
 * sio_command.h, or SIO_LIMIT without *error: too large.
 */
sio_rc_t ngx_sio_feed_command_encode(ngx_sio_gateway_t *gw, sio_command_t *c,
    sio_buf_t *b, ngx_str_t *text, ngx_uint_t *events, const char **error);


#endif /* _NGX_SIO_FEED_COMMAND_H_INCLUDED_ */
