
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_CLIENT_H_INCLUDED_
#define _NGX_SIO_CLIENT_H_INCLUDED_


#include "ngx_sio_gateway.h"

#include <ngx_sio_deadline.h>
#include <ngx_sio_out.h>
#include <ngx_sio_session.h>
#include <ngx_sio_stats.h>
#include <ngx_sio_ws.h>
#include <sio_eio.h>


/*
 * One client as this worker sees it: the object to know first.
 *
 * It stands for a WebSocket, from its detachment to its end; for a pending
 * poll, while the request is held; or for a POST, while its packets are handled
 * and, after a CONNECT, until the rooms are there.  What survives it, or must
 * be seen by other workers, is in the session record in the zone.
 *
 * Its socket is that in "/"; those in other namespaces are branches of it, see
 * branch.h.
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
    NGX_SIO_CLOSE_UNAVAILABLE,     /* temporary trouble: it will come back */
    NGX_SIO_CLOSE_LIMITED,         /* went on with refused events */
    NGX_SIO_CLOSE_REASONS
} ngx_sio_close_e;

#define NGX_SIO_CLOSE_CLIENT  NGX_SIO_CLOSE_REASONS
                                   /* not of a client: its socket has left the
                                      namespace */

extern const char *const  ngx_sio_close_reasons[NGX_SIO_CLOSE_REASONS];


typedef struct ngx_sio_connect_s    ngx_sio_connect_t;
typedef struct ngx_sio_partial_s    ngx_sio_partial_t;
typedef struct ngx_sio_pause_s      ngx_sio_pause_t;
typedef struct ngx_sio_probe_s      ngx_sio_probe_t;
typedef struct ngx_sio_refresh_s    ngx_sio_refresh_t;
typedef struct ngx_sio_transport_s  ngx_sio_transport_t;
typedef struct ngx_sio_share_s      ngx_sio_share_t;


/* A message in a buffer, framed. */

typedef struct {
    uint64_t                  ref;             /* log offset; 0: not there */
    uint64_t                  next;            /* behind it in the log, if it
                                                  is an event that a client can
                                                  go on from; else 0 */
    uint32_t                  start;           /* in the buffer */
    uint32_t                  len;
    unsigned                  drop:1;          /* volatile: owed to nobody */
    unsigned                  packed:1;        /* not as it is in the log */
} ngx_sio_message_t;


struct ngx_sio_client_s {
    ngx_sio_ws_t              ws;              /* first: see client_of() */

    ngx_sio_out_t            *out;             /* NULL: it is not behind */
    uint32_t                  outlet;          /* number; 0: it has none */
    uint32_t                  session;         /* index in the zone; 0: lost */
    uint8_t                   state;           /* ngx_sio_client_state_e */
    uint8_t                   attachments;     /* binary messages to come */
    uint8_t                   reason;          /* ngx_sio_close_e */
    uint8_t                   refused;         /* CONNECTs in vain */
    uint32_t                  everyone;        /* place among all connected */

    const ngx_sio_transport_t  *transport;
    ngx_sio_gateway_t        *gateway;
    ngx_sio_loc_conf_t       *conf;

    uint32_t                  nrooms;          /* in whose index it is */
    uint32_t                  sid_hash;        /* low bits: the local index of
                                                  ids */
    uint32_t                  listener;        /* place among those who are told
                                                  who is online */
    uint16_t                  code;            /* of the close frame, 0: none */
    uint16_t                  nsp;             /* of its socket */
    ngx_sio_client_t         *sid_next;
    ngx_sio_client_t         *owned_next;      /* by Engine.IO id */

    uint64_t                  owner;           /* ticket of the session */
    u_char                    eio_sid[NGX_SIO_SID_LEN];
                                               /* if others may look for it */
    uint64_t                  closed_at;       /* the cursor at its close */
    unsigned                  pinged:1;        /* a pong is due */
    unsigned                  extended:1;      /*   and got its extra time */
    unsigned                  in_everyone:1;
    unsigned                  in_owned:1;
    unsigned                  in_arriving:1;
    unsigned                  listens:1;       /* is among those above */
    unsigned                  leaving:1;       /* closed when all is sent */
    unsigned                  broken:1;        /* its rooms may be wrong: it is
                                                  not to be recovered */
    unsigned                  illegal:1;       /* the packet with attachments
                                                  has a wrong placeholder */
    unsigned                  parked:1;        /* a branch was, as it closed */
    unsigned                  partly:1;        /* a socket, not in the index:
                                                  some of what it missed is for
                                                  another poll */

    ngx_sio_deadline_t        heartbeat;       /* next ping, or pong due */
    ngx_queue_t               link;            /* gateway->clients, or closed */
    ngx_queue_t               arrive;          /* gateway->arriving */
    ngx_sio_connect_t        *connect;         /* until it is CONNECTED */
    ngx_sio_probe_t          *probe;           /* a WebSocket that is to take a
                                                  polling session over */
    ngx_sio_client_t         *carrier;         /* of a branch; else NULL */
    ngx_sio_client_t         *branches;        /* the first one; of a branch:
                                                  the next one */
    ngx_sio_partial_t        *partial;         /* a packet whose attachments
                                                  have yet to come; or NULL */
    ngx_sio_refresh_t        *refresh;         /* its room sets are to be read
                                                  again */
    ngx_sio_pause_t          *pause;           /* it is not read for a while;
                                                  or NULL */
    ngx_str_t                *bearer;          /* heap; token of its request */
    ngx_log_t                *log;             /* of its connection, while there
                                                  is one */
};


#define ngx_sio_client_of(p)  ((ngx_sio_client_t *) (p))


/* What makes the transports differ; an object that it is in begins with sc. */

struct ngx_sio_transport_s {
    sio_eio_transport_e       kind;
    void                    (*write)(ngx_sio_client_t *sc, u_char *buf,
                                  ngx_sio_message_t *msg, ngx_uint_t n);
    void                    (*pong)(ngx_sio_client_t *sc);
    void                    (*alive)(ngx_sio_client_t *sc);
    void                    (*disconnect)(ngx_sio_client_t *sc);
                                               /* the client says it leaves */
    void                    (*kick)(ngx_sio_client_t *sc, ngx_uint_t close);
                                               /* it was disconnected while it
                                                  was being connected */
    void                    (*leave)(ngx_sio_client_t *sc);
                                               /* close it when all that was
                                                  written is sent */
    void                    (*release)(ngx_sio_client_t *sc);
                                               /* another worker wants the
                                                  session */
    ngx_int_t               (*connect)(ngx_sio_client_t *sc,
                                  ngx_sio_session_socket_t *socket,
                                  ngx_str_t *reply);
                                               /* make it a socket and tell it;
                                                  NGX_OK, NGX_AGAIN: later,
                                                  NGX_ERROR */
    void                    (*arrived)(ngx_sio_client_t *sc, uint64_t left,
                                  uint64_t met);
                                               /* see arrive.h; left: what is
                                                  behind this is for later, met:
                                                  the same of records for the
                                                  session itself; 0: all of it
                                                  is here */
    void                    (*stop)(ngx_sio_client_t *sc);
                                               /* it is being closed: no input
                                                  any more */
    void                    (*end)(ngx_sio_client_t *sc);
                                               /* the same at last: parts with
                                                  the session, frees sc */
    const ngx_sio_transport_t  *branch;        /* of the branches, whose objects
                                                  begin with a branch; NULL, and
                                                  0: this is that of a branch */
    size_t                    branch_size;
    void                    (*share)(ngx_sio_client_t *sc,
                                  const ngx_sio_share_t *share);
                                               /* as write; not for a branch */
    void                    (*hold)(ngx_sio_client_t *sc);
                                               /* one more event is on its way
                                                  to the backend; NULL: nobody
                                                  waits for it */
    void                    (*unhold)(ngx_sio_client_t *sc);
                                               /*   and has got there, or been
                                                  refused; may free sc */
};


/*
 * Puts a client into the gateway's list; what is zero stays zero.  size: of the
 * object that begins with it.  Returns NULL without memory.
 */
ngx_sio_client_t *ngx_sio_client_create(ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const ngx_sio_transport_t *transport,
    size_t size);

/* Changes its state, and what others know of that; does nothing else. */
void ngx_sio_client_become(ngx_sio_client_t *sc, ngx_sio_client_state_e state);

/*
 * Takes a client out of the lists again without closing it, for one whose
 * session goes to somebody else, or stays where it is.  Frees it.
 */
void ngx_sio_client_forget(ngx_sio_client_t *sc);

/*
 * Sends one text message after all that is queued for the client.  Does not
 * free it; on failure the client is closed.
 */
void ngx_sio_client_send(ngx_sio_client_t *sc, const u_char *p, size_t len);

/*
 * Sends a packet of Socket.IO for a socket of the client, which need not exist:
 * "4<type>[<nsp>,]" and a payload, which may be empty.  Else as the above.
 */
void ngx_sio_client_packet(ngx_sio_client_t *sc, ngx_uint_t type,
    const sio_str_t *nsp, const u_char *p, size_t len);

/* Frames a text message at p behind msg->start; returns its end. */
u_char *ngx_sio_client_frame(u_char *buf, ngx_sio_message_t *msg,
    const u_char *p, size_t len);

/* Bytes that ngx_sio_client_frame() takes for a text of len bytes. */
#define ngx_sio_client_frame_len(len)  (SIO_WS_HEADER + (len))

/*
 * Sends n messages that lie back to back in buf, in one write.  A client that
 * is owed too much is closed.
 */
void ngx_sio_client_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n);

/* The same for one message, see share.h; not for a branch, or a POST. */
void ngx_sio_client_share(ngx_sio_client_t *sc, const ngx_sio_share_t *share);

/*
 * Notes, where that counts, that a client was written messages.  What is to be
 * told of them is found by _events(), which is false if there is no event among
 * them; see ngx_sio_session_handed().
 */
void ngx_sio_client_handed(ngx_sio_client_t *sc, uint64_t from, uint64_t last);
ngx_uint_t ngx_sio_client_events(ngx_sio_message_t *msg, ngx_uint_t n,
    uint64_t *from, uint64_t *last);

/*
 * Enters a client that is a socket into this worker's index, with the rooms of
 * its session, as of the cursor; it is CONNECTED then.  NGX_OK or NGX_ERROR:
 * then it is not in the index.
 */
ngx_int_t ngx_sio_client_enter(ngx_sio_client_t *sc);

/*
 * Says in the session that it moves with this worker's cursor: when all that is
 * before the cursor has been handed out.  May close the client.
 */
void ngx_sio_client_at_cursor(ngx_sio_client_t *sc);

/* Takes it out again; its session and its rooms there stay as they are. */
void ngx_sio_client_exit(ngx_sio_client_t *sc);

/*
 * Sends DISCONNECT and ends the socket; with close all sockets of the client,
 * and then the transport.
 */
void ngx_sio_client_kick(ngx_sio_client_t *sc, ngx_uint_t close);

/*
 * Ends the socket in the namespace, which the client has left: its rooms, its
 * id; the transport stays, a branch goes.  Sends nothing.
 */
void ngx_sio_client_disconnect(ngx_sio_client_t *sc);

/*
 * Parts with the session of a client that is being freed: its socket is parked
 * if it can be recovered, then this returns true; else the session ends.
 */
ngx_uint_t ngx_sio_client_part(ngx_sio_client_t *sc);

/*
 * Marks a client closed, with its branches, or a branch with its carrier, and
 * posts its end; may be called at any time, any number of times: the first
 * reason counts.
 */
void ngx_sio_client_close(ngx_sio_client_t *sc, ngx_sio_close_e reason);

/*
 * Frees all that are marked closed, at once.  Destroys clients: for the end of
 * a handler.
 */
void ngx_sio_client_free_closed(ngx_sio_gateway_t *gw);

/*
 * Counts a CONNECT that is refused.  True if the client may be told; one that
 * goes on for too long is closed, because each answer costs room in the log.
 */
ngx_uint_t ngx_sio_client_refuse(ngx_sio_client_t *sc);

/* True if a socket that ends for this reason may be recovered. */
ngx_uint_t ngx_sio_client_parks(ngx_sio_close_e reason);

/* The client's record in the zone; NULL if the zone was emptied since. */
ngx_sio_session_sh_t *ngx_sio_client_session(ngx_sio_client_t *sc);


#endif /* _NGX_SIO_CLIENT_H_INCLUDED_ */
