
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_POLL_H_INCLUDED_
#define _NGX_SIO_POLL_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * The transport of clients that poll: a GET that waits for something to send.
 *
 * Any worker may get it.  It claims the session, which is nobody's between two
 * polls, and lets it go before it answers: release, then write.
 */


/*
 * Handles a GET for the session of an Engine.IO id (NGX_SIO_SID_LEN bytes).
 * Returns what the content handler is to return.
 */
ngx_int_t ngx_sio_poll_start(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid);

/* The list of who is online was written to a poll: see session answer. */
void ngx_sio_poll_listed(ngx_sio_client_t *sc);

/* Handler of the event gateway->answer: answers those that have something. */
void ngx_sio_poll_handler(ngx_event_t *ev);


#endif /* _NGX_SIO_POLL_H_INCLUDED_ */
