
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_WIRE_H_INCLUDED_
#define _NGX_SIO_WIRE_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * Records of the log as bytes for clients: framed for a WebSocket, which other
 * transports take apart again.  With recovery an event gets the offset behind
 * it as its last argument.
 */


/*
 * Copies the record at an offset up to its parts; rec is its header.  NULL if
 * it was overrun.  Valid until the next call.
 */
sio_record_t *ngx_sio_wire_load(ngx_sio_gateway_t *gw, uint64_t off,
    sio_record_t *rec);

/* The length of a record's parts as WebSocket messages. */
size_t ngx_sio_wire_len(ngx_sio_gateway_t *gw, const sio_record_t *rec);

/*
 * Writes bytes [at, at + len) of a record's WebSocket messages to p.  NGX_OK,
 * or NGX_DECLINED if it was overrun.
 */
ngx_int_t ngx_sio_wire_write(ngx_sio_gateway_t *gw, const sio_record_t *rec,
    size_t at, u_char *p, size_t len);

/* Describes a record whose messages have been written to a buffer. */
void ngx_sio_wire_message(ngx_sio_gateway_t *gw, const sio_record_t *rec,
    ngx_sio_message_t *msg, size_t start, size_t len);

/* ngx_sio_out_fetch_pt: frames a record of the log again; data: a client. */
ngx_int_t ngx_sio_wire_fetch(void *data, uint64_t ref, size_t at,
    u_char *p, size_t len);

/*
 * Sends n records of the log to a client that has missed them, and the ready
 * event behind all that is older than an offset, unless that is 0: it carries
 * an offset, by which a client tells what it has.  NGX_OK, or NGX_DECLINED: the
 * log has gone on, or no memory.
 */
ngx_int_t ngx_sio_wire_missed(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    uint64_t *refs, ngx_uint_t n, uint64_t ready);

/*
 * Writes the end of an event that carries an offset: NGX_SIO_WIRE_TAIL bytes in
 * place of its last bracket.  Returns what is behind.
 */
#define NGX_SIO_WIRE_TAIL  16

u_char *ngx_sio_wire_offset(ngx_sio_gateway_t *gw, u_char *p, uint64_t off);


#endif /* _NGX_SIO_WIRE_H_INCLUDED_ */
