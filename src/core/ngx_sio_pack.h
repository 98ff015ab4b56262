
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_PACK_H_INCLUDED_
#define _NGX_SIO_PACK_H_INCLUDED_


#include "ngx_sio_client.h"


/*
 * Messages of a turn with their texts compressed: each is made when the first
 * client wants it, and is the same for all of this worker.
 */

typedef struct {
    sio_buf_t                 bytes;      /* framed messages */
    ngx_array_t               forms;      /* of the turn's first messages */
} ngx_sio_pack_t;


/* NGX_OK or NGX_ERROR (memory). */
ngx_int_t ngx_sio_pack_init(ngx_sio_pack_t *pack, ngx_pool_t *pool);

/* Forgets what is there, for a new turn; keeps a buffer of up to keep bytes. */
void ngx_sio_pack_reset(ngx_sio_pack_t *pack, size_t keep);

/* True if a client takes compressed messages now. */
static ngx_inline ngx_uint_t
ngx_sio_pack_wanted(const ngx_sio_client_t *sc)
{
    /* a branch sends by way of its carrier */

    if (sc->ws.connection == NULL && sc->carrier) {
        sc = sc->carrier;
    }

    return sc->ws.window && sc->out == NULL;
}

/*
 * Describes message i of those in stage in its form for a client, and returns
 * the buffer that it lies in; valid until the next call.
 */
u_char *ngx_sio_pack_choose(ngx_sio_pack_t *pack, ngx_sio_client_t *sc,
    u_char *stage, const ngx_sio_message_t *messages, ngx_uint_t i,
    ngx_sio_message_t *msg);


#endif /* _NGX_SIO_PACK_H_INCLUDED_ */
