
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_WS_H_INCLUDED_
#define _NGX_SIO_WS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <sio_ws.h>


/*
 * A WebSocket on a connection that has been detached from its HTTP request
 * (ngx_sio_upgrade.h): reads frames and gives messages, writes bytes.
 *
 * The object is embedded in the owner's.  While it is idle it has no buffer:
 * input goes through one buffer of the worker, and a parser is kept only for
 * a message that has not arrived completely.
 */


typedef struct ngx_sio_ws_s  ngx_sio_ws_t;

/*
 * What the owner is told.  The last three ask for ngx_sio_ws_close(), which
 * only on_shutdown may call at once: the others post.
 */

typedef struct {
    void       (*on_message)(ngx_sio_ws_t *ws, ngx_uint_t opcode, u_char *data,
                     size_t len);
    void       (*on_pong)(ngx_sio_ws_t *ws, u_char *frames, size_t len);
                                                     /* pongs to be sent, or to
                                                        be left out */
    void       (*on_writable)(ngx_sio_ws_t *ws);
    void       (*on_gone)(ngx_sio_ws_t *ws);         /* peer closed, TCP lost */
    void       (*on_fault)(ngx_sio_ws_t *ws, ngx_uint_t code);
                                                     /* it broke the protocol */
    void       (*on_shutdown)(ngx_sio_ws_t *ws);     /* the worker is leaving */
} ngx_sio_ws_handler_t;


struct ngx_sio_ws_s {
    ngx_connection_t            *connection;
    const ngx_sio_ws_handler_t  *handler;
    sio_ws_parser_t             *parser;    /* heap; NULL between messages */
    uint32_t                     limit;     /* bytes of one message */
    unsigned                     stopped:1; /* read nothing more */
    unsigned                     paused:1;  /* nothing for now */
    unsigned                     answered:1; /* the peer's close frame is */
    unsigned                     behind:1;  /* set by the owner: the output may
                                               be inside of a message */
    unsigned                     window:4;  /* of the peer, in bits; 0: without
                                               permessage-deflate */
};


/*
 * Takes over a detached connection.  limit: most bytes of a message; window: as
 * agreed in the handshake.  Bytes that came behind the handshake are given to
 * ngx_sio_ws_input() by the owner once it is ready for messages.
 */
void ngx_sio_ws_init(ngx_sio_ws_t *ws, ngx_connection_t *c,
    const ngx_sio_ws_handler_t *handler, size_t limit, ngx_uint_t window);

/*
 * Gives bytes to the parser as if they had been read, then reads on.  May
 * destroy ws through its handlers.
 */
void ngx_sio_ws_input(ngx_sio_ws_t *ws, u_char *p, size_t len);

/* Calls nothing for this connection's input any more; the owner will close. */
void ngx_sio_ws_stop(ngx_sio_ws_t *ws);

/*
 * Reads nothing until ngx_sio_ws_resume(); messages that have been read are
 * still given.
 */
void ngx_sio_ws_pause(ngx_sio_ws_t *ws);
void ngx_sio_ws_resume(ngx_sio_ws_t *ws);

/*
 * Ends the connection: with a close frame of the given code (0: without one)
 * if the output is at a message boundary, else (code NGX_SIO_WS_ABORT) at
 * once.  If the peer's own close frame has been answered the code does not
 * matter.  The TCP connection lingers for the peer to close it, without the
 * object, which the caller may free: ws->connection is NULL afterwards.
 */
void ngx_sio_ws_close(ngx_sio_ws_t *ws, ngx_uint_t code);

#define NGX_SIO_WS_NO_CODE  0
#define NGX_SIO_WS_ABORT    ((ngx_uint_t) -1)

/* Ends the patience with all peers that have yet to close: for an exit. */
void ngx_sio_ws_abandon(void);

/*
 * The worker's input buffer of *size bytes, for code that runs outside of a
 * read event of a WebSocket; NULL without memory.
 */
u_char *ngx_sio_ws_buffer(size_t *size);


#endif /* _NGX_SIO_WS_H_INCLUDED_ */
