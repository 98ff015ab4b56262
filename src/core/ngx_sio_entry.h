
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ENTRY_H_INCLUDED_
#define _NGX_SIO_ENTRY_H_INCLUDED_


#include "ngx_sio_gateway.h"

#include <sio_packet.h>


/* An entry for a stream of the backend, while it is put together: an XADD. */


#define NGX_SIO_ENTRY_ARGS     (6 + 18 + 2 * SIO_PACKET_ATTACHMENTS)
#define NGX_SIO_ENTRY_QUEUE    1048576   /* bytes that are not confirmed */
#define NGX_SIO_ENTRY_TIMEOUT  5000      /* ms that Redis has to confirm */

typedef struct {
    ngx_uint_t            n;
    size_t                size;
    const char           *argv[NGX_SIO_ENTRY_ARGS];
    size_t                len[NGX_SIO_ENTRY_ARGS];
    u_char                time[NGX_INT64_LEN];
} ngx_sio_entry_t;


/* What all entries have; sid: NGX_SIO_SID_LEN bytes. */

typedef struct {
    ngx_str_t             event;
    ngx_str_t             user;
    const u_char         *sid;
    uint16_t              nsp;
    ngx_str_t             args;
    ngx_str_t             ack;
    uint64_t              time;          /* ms since 1970 */
} ngx_sio_entry_text_t;


/*
 * Begins a command; maxlen: decimals, empty: unbounded.  Nothing is copied, and
 * the entry does not move, until it is sent.
 */
void ngx_sio_entry_begin(ngx_sio_entry_t *en, ngx_sio_gateway_t *gw,
    const ngx_str_t *stream, const ngx_str_t *maxlen,
    const ngx_sio_entry_text_t *text);

/* Adds a field; name is terminated. */
void ngx_sio_entry_field(ngx_sio_entry_t *en, const char *name,
    const void *data, size_t len);

/* Sends it; returns as ngx_sio_redis_command_early() does. */
ngx_int_t ngx_sio_entry_send(ngx_sio_entry_t *en, ngx_sio_gateway_t *gw,
    ngx_sio_redis_reply_pt reply, void *data);

/* Logs that Redis has refused one, at most once a second. */
void ngx_sio_entry_complain(ngx_sio_gateway_t *gw, redisReply *reply);


#endif /* _NGX_SIO_ENTRY_H_INCLUDED_ */
