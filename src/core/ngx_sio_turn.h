
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_TURN_H_INCLUDED_
#define _NGX_SIO_TURN_H_INCLUDED_


#include "ngx_sio_client.h"
#include "ngx_sio_pack.h"
#include "ngx_sio_rooms.h"


/*
 * What the dispatch has read and not yet sent.
 *
 * Messages lie in a staging buffer, framed, and for each addressed client it is
 * noted which of them are its: runs of messages that follow each other.  A
 * client with runs waits in one of two lists, and gets all of them in one send.
 * Who belongs to a small audience is prompt, and served at once; all others are
 * served in slices, between which the event loop goes on, more is read from the
 * log, and the prompt come first.  So a broadcast to many does not delay what
 * is for a few, and each client still gets everything in the order of the log.
 *
 * A turn ends when nobody waits any more: what was staged is forgotten then,
 * and not before may the position of this worker in the log go beyond it.
 */


#define NGX_SIO_TURN_SMALL  64            /* members of a small audience */


/* Messages [first .. first + n) of the turn go to one client. */

typedef struct {
    uint32_t                  first;
    uint32_t                  n;
    uint32_t                  next;       /* index of its next run, or 0 */
    uint32_t                  place;      /* of its first run: where it waits,
                                             an index of the prompt, with
                                             _PROMPT, or of the others */
} ngx_sio_turn_run_t;


struct ngx_sio_turn_s {
    ngx_sio_outlets_t        *outlets;
    sio_buf_t                 stage;      /* framed messages */
    ngx_array_t               messages;   /* ngx_sio_message_t */
    ngx_sio_pack_t            pack;       /* of them, compressed */
    ngx_array_t               runs;       /* ngx_sio_turn_run_t; [0] none */

    ngx_array_t               prompt;     /* uint32_t, outlets; 0: was served */
    ngx_array_t               others;     /*   already, or is gone */
    ngx_uint_t                next;       /* of the others: first who waits */
};


/* NULL without memory. */
ngx_sio_turn_t *ngx_sio_turn_create(ngx_sio_gateway_t *gw);

/* True if no more should be staged before the turn has ended. */
ngx_uint_t ngx_sio_turn_full(ngx_sio_turn_t *t);

/*
 * Notes messages [first .. first + n) for a client, behind all that is noted
 * for it.  prompt: they are for a few.  A client for whom there is no memory is
 * closed.
 */
void ngx_sio_turn_add(ngx_sio_turn_t *t, ngx_sio_client_t *sc, uint32_t first,
    uint32_t n, ngx_uint_t prompt);

/*
 * The same for all members of a room that are connected; none of them may have
 * been met in this segment.  drop: not for those who are behind.
 */
void ngx_sio_turn_room(ngx_sio_turn_t *t, ngx_sio_rooms_room_t *room,
    uint32_t first, uint32_t n, ngx_uint_t prompt, ngx_uint_t drop);

/* Sends what is noted for a client; or for it and its branches. */
void ngx_sio_turn_flush(ngx_sio_client_t *sc);
void ngx_sio_turn_flush_all(ngx_sio_client_t *sc);

/*
 * One send for all that a client, which waits no more, got in this turn, if its
 * runs are small: they are brought together, else each is sent as it lies.
 */
void ngx_sio_turn_send(ngx_sio_turn_t *t, ngx_sio_client_t *sc);

/* Forgets what is noted for a client, which is going or has left the socket. */
void ngx_sio_turn_drop(ngx_sio_client_t *sc);

/*
 * Serves all that are prompt, and a slice of the others.  NGX_OK: nobody waits
 * any more; NGX_AGAIN.
 */
ngx_int_t ngx_sio_turn_serve(ngx_sio_gateway_t *gw);

/* Ends a turn: forgets who waits, and what was staged. */
void ngx_sio_turn_end(ngx_sio_turn_t *t);


#endif /* _NGX_SIO_TURN_H_INCLUDED_ */
