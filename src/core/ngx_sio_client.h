
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_CLIENT_H_INCLUDED_
#define _NGX_SIO_CLIENT_H_INCLUDED_


#include "ngx_sio_gateway.h"

#include <ngx_sio_deadline.h>
#include <ngx_sio_out.h>
#include <ngx_sio_session.h>
#include <ngx_sio_ws.h>


/*
 * One connected client: the object to know first.
 *
 * It is made when a WebSocket is detached from its request, and lives as long
 * as the transport.  What survives it, or must be seen by other workers, is in
 * its session record in the zone.
 *
 * Life:  OPEN -> CONNECTING -> CONNECTED -> CLOSED, and from CONNECTED back to
 * OPEN if the client leaves the namespace.  ngx_sio_client_close() only marks
 * it and posts; the object goes when nothing of it is on the stack.
 */


typedef enum {
    NGX_SIO_CLIENT_OPEN,           /* a transport, no socket */
    NGX_SIO_CLIENT_CONNECTING,     /* CONNECT accepted, rooms not joined yet */
    NGX_SIO_CLIENT_CONNECTED,
    NGX_SIO_CLIENT_CLOSED          /* marked; waits to be freed */
} ngx_sio_client_state_e;


/* Why a client ends; the texts are those of the reference. */

typedef enum {
    NGX_SIO_CLOSE_TRANSPORT_CLOSE,
    NGX_SIO_CLOSE_TRANSPORT_ERROR,
    NGX_SIO_CLOSE_PING_TIMEOUT,
    NGX_SIO_CLOSE_PARSE_ERROR,
    NGX_SIO_CLOSE_FORCED,          /* broke the protocol of Socket.IO */
    NGX_SIO_CLOSE_SERVER,          /* disconnected by the backend */
    NGX_SIO_CLOSE_SHUTDOWN,
    NGX_SIO_CLOSE_SLOW,            /* over socketio_send_queue */
    NGX_SIO_CLOSE_UNAVAILABLE      /* temporary trouble: it will come back */
} ngx_sio_close_e;


typedef struct ngx_sio_connect_s  ngx_sio_connect_t;


struct ngx_sio_client_s {
    ngx_sio_ws_t              ws;              /* first: see client_of() */

    /* what a fan-out touches */

    uint64_t                  mark;            /* serial of the last segment
                                                  that has met this client */
    uint32_t                  run_first;       /* its runs in this turn, */
    uint32_t                  run_last;        /*   indexes, 0: none */
    uint32_t                  everyone;        /* place among all connected */
    ngx_sio_out_t            *out;             /* NULL: it is not behind */

    ngx_sio_gateway_t        *gateway;
    ngx_sio_loc_conf_t       *conf;

    uint64_t                  sid_hash;        /* the local index of ids */
    ngx_sio_client_t         *sid_next;

    uint32_t                  session;         /* index in the zone; 0: lost */
    uint8_t                   state;           /* ngx_sio_client_state_e */
    uint8_t                   attachments;     /* binary messages to come */
    uint8_t                   reason;          /* ngx_sio_close_e */
    uint16_t                  code;            /* of the close frame, 0: none */
    unsigned                  pinged:1;        /* a pong is due */
    unsigned                  extended:1;      /*   and got its extra time */
    unsigned                  in_everyone:1;
    unsigned                  leaving:1;       /* closed when all is sent */
    unsigned                  illegal:1;       /* the packet with attachments
                                                  has a wrong placeholder */

    ngx_sio_deadline_t        heartbeat;       /* next ping, or pong due */
    ngx_queue_t               link;            /* gateway->clients, or closed */
    ngx_sio_connect_t        *connect;         /* until it is CONNECTED */
    ngx_str_t                *bearer;          /* heap; token of the header */
};


#define ngx_sio_client_of(p)  ((ngx_sio_client_t *) (p))


/*
 * Makes the client of a detached connection for an open session and starts its
 * deadlines.  Takes bearer over (heap, or NULL).  Returns NULL without memory:
 * then the caller still owns connection, session and bearer.
 */
ngx_sio_client_t *ngx_sio_client_create(ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, ngx_connection_t *c, uint32_t session,
    ngx_str_t *bearer);

/*
 * Sends one text message after all that is queued for the client.  Does not
 * free it; on failure the client is closed.
 */
void ngx_sio_client_send(ngx_sio_client_t *sc, const u_char *p, size_t len);

/* A message in a buffer, framed. */

typedef struct {
    uint64_t                  ref;             /* log offset; 0: not there */
    uint32_t                  start;           /* in the buffer */
    uint32_t                  len;
    ngx_uint_t                drop;            /* volatile: owed to nobody */
} ngx_sio_message_t;

/* Frames a text message at p behind msg->start; returns its end. */
u_char *ngx_sio_client_frame(u_char *buf, ngx_sio_message_t *msg,
    const u_char *p, size_t len);

/* Bytes that ngx_sio_client_frame() takes for a text of len bytes. */
#define ngx_sio_client_frame_len(len)  (SIO_WS_HEADER + (len))

/*
 * Sends n messages that lie back to back in buf, in one write.  What the
 * kernel does not take is owed, by reference, or by copy if a message has
 * none.  A client that is owed too much is closed.
 */
void ngx_sio_client_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n);

/*
 * Copies for the slow what the log may overwrite soon: references below the
 * given offset.  While the copies take more than the size of the log, the
 * client with most of them is closed.
 */
void ngx_sio_client_rescue(ngx_sio_gateway_t *gw, uint64_t below);

/* Sends DISCONNECT and ends the socket, or with close the transport too. */
void ngx_sio_client_kick(ngx_sio_client_t *sc, ngx_uint_t close);

/*
 * Ends the socket in the namespace: its rooms, its id; the transport stays.
 * Sends nothing.
 */
void ngx_sio_client_disconnect(ngx_sio_client_t *sc);

/*
 * Marks a client closed and posts its end; may be called at any time, any
 * number of times: the first reason counts.
 */
void ngx_sio_client_close(ngx_sio_client_t *sc, ngx_sio_close_e reason);

/*
 * Frees all that are marked closed, at once.  Destroys clients: for the end of
 * a handler.
 */
void ngx_sio_client_free_closed(ngx_sio_gateway_t *gw);

/* A pong came; another packet came, which shows life while one is due. */
void ngx_sio_client_pong(ngx_sio_client_t *sc);
void ngx_sio_client_alive(ngx_sio_client_t *sc);

/* The client's record in the zone; NULL if the zone was emptied since. */
ngx_sio_session_sh_t *ngx_sio_client_session(ngx_sio_client_t *sc);


#endif /* _NGX_SIO_CLIENT_H_INCLUDED_ */
