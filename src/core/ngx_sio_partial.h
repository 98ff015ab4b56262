
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_PARTIAL_H_INCLUDED_
#define _NGX_SIO_PARTIAL_H_INCLUDED_


#include "ngx_sio_client.h"

#include <sio_packet.h>


/*
 * A packet with attachments, while these are still to come.
 *
 * It is kept on the heap, by the carrier; and if the body of a POST ends in
 * the middle of it, in the log, because the next one may reach any worker.
 */


struct ngx_sio_partial_s {
    sio_buf_t            text;            /* the packet, without the "4" */
    sio_buf_t            bytes;           /* attachments, back to back */
    ngx_uint_t           n;               /* of them */
    size_t               end[SIO_PACKET_ATTACHMENTS];
};


/* Begins with the text of a packet.  NGX_OK, or NGX_ERROR (memory). */
ngx_int_t ngx_sio_partial_begin(ngx_sio_client_t *sc, const u_char *p,
    size_t len);

/*
 * Adds an attachment; base64: it is in text.  Does nothing if no packet was
 * begun.  NGX_OK, or NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_partial_add(ngx_sio_client_t *sc, const u_char *p,
    size_t len, ngx_uint_t base64);

/* Views of what has come; attachment: SIO_PACKET_ATTACHMENTS of them. */
void ngx_sio_partial_views(ngx_sio_partial_t *pt, sio_str_t *attachment);

/* Ends the packet of a client, if there is one. */
void ngx_sio_partial_free(ngx_sio_client_t *sc);

/*
 * Puts the packet of a client that posts into the log; *at becomes what the
 * session keeps of it, 0 if there is none.  NGX_OK; NGX_ERROR: it is too large,
 * or the log has no room.
 */
ngx_int_t ngx_sio_partial_save(ngx_sio_client_t *sc, uint32_t *at);

/*
 * Gets it back from there.  NGX_OK, also for 0; NGX_ERROR: the log has gone on
 * without it, or no memory.
 */
ngx_int_t ngx_sio_partial_load(ngx_sio_client_t *sc, uint32_t at);


#endif /* _NGX_SIO_PARTIAL_H_INCLUDED_ */
