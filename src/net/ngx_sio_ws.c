
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_ws.h"
#include "ngx_sio_bare.h"

#include <ngx_http.h>


#define NGX_SIO_WS_BUFFER      65536    /* the worker's input buffer */
#define NGX_SIO_WS_TURN        16384    /* bytes read from one connection
                                           before others have their turn */
#define NGX_SIO_WS_SMALL       4096     /* the same of one that compresses: a
                                           kB may become a MB */
#define NGX_SIO_WS_LARGE       1048576  /* bytes of messages that come of all
                                           who compress before that */
#define NGX_SIO_WS_LINGER      2000     /* ms for the peer to close */


static void ngx_sio_ws_read_handler(ngx_event_t *rev);
static size_t ngx_sio_ws_turn(ngx_sio_ws_t *ws);
static void ngx_sio_ws_wait(ngx_event_t *rev);
static void ngx_sio_ws_waiting_handler(ngx_event_t *ev);
static void ngx_sio_ws_read_on(ngx_sio_ws_t *ws);
static void ngx_sio_ws_write_handler(ngx_event_t *wev);
static ngx_int_t ngx_sio_ws_parse(ngx_sio_ws_t *ws, u_char *p, size_t len);
static ngx_int_t ngx_sio_ws_event(ngx_sio_ws_t *ws, sio_ws_event_t *ev);
static ngx_int_t ngx_sio_ws_pong(ngx_sio_ws_t *ws, sio_str_t *data);
static ngx_int_t ngx_sio_ws_flush(ngx_sio_ws_t *ws);
static ngx_int_t ngx_sio_ws_keep(ngx_sio_ws_t *ws, sio_ws_parser_t *parser);
static ngx_int_t ngx_sio_ws_send_close(ngx_sio_ws_t *ws, ngx_uint_t code,
    const sio_str_t *reason);
static void ngx_sio_ws_abort(ngx_sio_ws_t *ws, ngx_connection_t *c);
static void ngx_sio_ws_linger(ngx_connection_t *c);
static void ngx_sio_ws_linger_handler(ngx_event_t *rev);


static u_char           *ngx_sio_ws_input_buffer;

/* the answers to pings, gathered while one input is parsed */
static u_char            ngx_sio_ws_pongs[NGX_SIO_WS_TURN];
static size_t            ngx_sio_ws_pongs_len;

/* those who compress, while others have their turn */
static ngx_queue_t       ngx_sio_ws_waiting;
static ngx_event_t       ngx_sio_ws_waiting_event;
static size_t            ngx_sio_ws_inflated;   /* bytes of their messages */

static const sio_str_t   ngx_sio_ws_no_reason;


void
ngx_sio_ws_init(ngx_sio_ws_t *ws, ngx_connection_t *c,
    const ngx_sio_ws_handler_t *handler, size_t limit, ngx_uint_t window)
{
    ws->connection = c;
    ws->handler = handler;
    ws->parser = NULL;
    ws->limit = (uint32_t) ngx_min(limit, NGX_MAX_UINT32_VALUE);
    ws->stopped = 0;
    ws->paused = 0;
    ws->answered = 0;
    ws->behind = 0;
    ws->window = window;

    c->data = ws;
    c->read->handler = ngx_sio_ws_read_handler;
    c->write->handler = ngx_sio_ws_write_handler;
    c->log->action = "in a WebSocket";

    /* ask for c->close on a graceful shutdown */
    c->idle = 1;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        /*
         * What could not be sent is sent again from another buffer; and a
         * part that was sent must be reported.
         */
        SSL_set_mode(c->ssl->connection, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                         |SSL_MODE_ENABLE_PARTIAL_WRITE);
    }

#endif
}


void
ngx_sio_ws_input(ngx_sio_ws_t *ws, u_char *p, size_t len)
{
    if (len && ngx_sio_ws_parse(ws, p, len) != NGX_OK) {
        return;
    }

    ngx_post_event(ws->connection->read, &ngx_posted_events);
}


void
ngx_sio_ws_stop(ngx_sio_ws_t *ws)
{
    ws->stopped = 1;
}


void
ngx_sio_ws_pause(ngx_sio_ws_t *ws)
{
    ws->paused = 1;
}


void
ngx_sio_ws_resume(ngx_sio_ws_t *ws)
{
    ws->paused = 0;

    ngx_post_event(ws->connection->read, &ngx_posted_events);
}


u_char *
ngx_sio_ws_buffer(size_t *size)
{
    if (ngx_sio_ws_input_buffer == NULL) {
        ngx_sio_ws_input_buffer = ngx_alloc(NGX_SIO_WS_BUFFER,
                                            ngx_cycle->log);
    }

    *size = NGX_SIO_WS_BUFFER;

    return ngx_sio_ws_input_buffer;
}


static void
ngx_sio_ws_read_handler(ngx_event_t *rev)
{
    size_t             size;
    u_char            *buf;
    ssize_t            n;
    ngx_sio_ws_t      *ws;
    ngx_connection_t  *c;

    c = rev->data;
    ws = c->data;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "socketio ws read");

    if (c->close) {
        ws->handler->on_shutdown(ws);
        return;
    }

    buf = ngx_sio_ws_buffer(&size);
    if (buf == NULL) {
        ws->handler->on_gone(ws);
        return;
    }

    if (ws->stopped) {
        return;
    }

    if (ws->paused) {
        /* without edge triggering it would be called again and again */

        if (ngx_handle_read_event(rev, 0) != NGX_OK) {
            ws->handler->on_gone(ws);
        }

        return;
    }

    if (ws->window && ngx_sio_ws_inflated >= NGX_SIO_WS_LARGE) {
        ngx_sio_ws_wait(rev);
        return;
    }

    n = c->recv(c, buf, ngx_min(size, ngx_sio_ws_turn(ws)));

    if (n == NGX_AGAIN) {
        if (ngx_handle_read_event(rev, 0) != NGX_OK) {
            ws->handler->on_gone(ws);
        }

        return;
    }

    if (n == NGX_ERROR || n == 0) {
        ws->handler->on_gone(ws);
        return;
    }

    if (ngx_sio_ws_parse(ws, buf, n) == NGX_OK) {
        ngx_sio_ws_read_on(ws);
    }
}


/* Small messages come in small turns, the rest of a large frame does not. */

static size_t
ngx_sio_ws_turn(ngx_sio_ws_t *ws)
{
    uint64_t  need;

    if (ws->window == 0) {
        return NGX_SIO_WS_TURN;
    }

    need = ws->parser ? ws->parser->need : 0;

    return (size_t) ngx_min(ngx_max(need, NGX_SIO_WS_SMALL), NGX_SIO_WS_TURN);
}


/* It comes behind those who wait already. */

static void
ngx_sio_ws_wait(ngx_event_t *rev)
{
    ngx_event_t  *ev;

    ev = &ngx_sio_ws_waiting_event;

    if (ev->handler == NULL) {
        ngx_queue_init(&ngx_sio_ws_waiting);

        ev->handler = ngx_sio_ws_waiting_handler;
        ev->log = ngx_cycle->log;
    }

    ngx_post_event(rev, &ngx_sio_ws_waiting);
    ngx_post_event(ev, &ngx_posted_next_events);
}


static void
ngx_sio_ws_waiting_handler(ngx_event_t *ev)
{
    ngx_event_t  *rev;

    ngx_sio_ws_inflated = 0;

    while (!ngx_queue_empty(&ngx_sio_ws_waiting)) {

        if (ngx_sio_ws_inflated >= NGX_SIO_WS_LARGE) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        rev = ngx_queue_data(ngx_queue_head(&ngx_sio_ws_waiting), ngx_event_t,
                             queue);

        ngx_delete_posted_event(rev);

        rev->handler(rev);
    }
}


/*
 * Under edge triggering the read goes on until there is no more: at once if
 * that is known, else after others had their turn.
 */

static void
ngx_sio_ws_read_on(ngx_sio_ws_t *ws)
{
    ngx_event_t  *rev;

    rev = ws->connection->read;

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_next_events);
        return;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ws->handler->on_gone(ws);
    }
}


static void
ngx_sio_ws_write_handler(ngx_event_t *wev)
{
    ngx_sio_ws_t      *ws;
    ngx_connection_t  *c;

    c = wev->data;
    ws = c->data;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "socketio ws write");

    ws->handler->on_writable(ws);
}


/* NGX_OK to read on; NGX_DONE if ws is stopped or may be gone. */

static ngx_int_t
ngx_sio_ws_parse(ngx_sio_ws_t *ws, u_char *p, size_t len)
{
    u_char           *last;
    sio_rc_t          rc;
    sio_ws_event_t    ev;
    sio_ws_parser_t  *parser, scratch;

    parser = ws->parser;

    if (parser == NULL) {
        parser = &scratch;
        sio_ws_init(parser, ws->limit);
        parser->deflate = (ws->window != 0);
    }

    last = p + len;
    ngx_sio_ws_pongs_len = 0;

    do {
        rc = sio_ws_parse(parser, &p, last, &ev);
    } while (rc == SIO_OK && ngx_sio_ws_event(ws, &ev) == NGX_OK);

    if (rc != SIO_OK && rc != SIO_AGAIN && ws->window) {
        /* it may have been decompressed as far as that goes */
        ngx_sio_ws_inflated += ws->limit;
    }

    if (rc != SIO_OK && ngx_sio_ws_flush(ws) != NGX_OK) {
        rc = SIO_OK;
    }

    if (rc == SIO_AGAIN && ngx_sio_ws_keep(ws, parser) == NGX_OK) {
        return NGX_OK;
    }

    /* the connection may stay until others had their turn */

    sio_ws_free(parser);

    if (rc != SIO_OK) {
        ws->handler->on_fault(ws, (rc == SIO_AGAIN) ? 1011 : ev.code);
    }

    return NGX_DONE;
}


/* NGX_OK to go on; NGX_DONE if the owner has stopped or closed ws. */

static ngx_int_t
ngx_sio_ws_event(ngx_sio_ws_t *ws, sio_ws_event_t *ev)
{
    switch (ev->opcode) {

    case SIO_WS_PING:
        return ngx_sio_ws_pong(ws, &ev->data);

    case SIO_WS_PONG:
        return NGX_OK;
    }

    /* the pongs come before what this event is answered with */

    if (ngx_sio_ws_flush(ws) != NGX_OK) {
        return NGX_DONE;
    }

    if (ev->opcode == SIO_WS_CLOSE) {

        /* RFC 6455, 5.5.1: the answer typically has the code received */

        ws->answered = (ngx_sio_ws_send_close(ws, ev->code, &ev->data)
                        == NGX_OK);

        ws->handler->on_gone(ws);
        return NGX_DONE;
    }

    if (ws->window) {
        ngx_sio_ws_inflated += ev->data.len;
    }

    ws->handler->on_message(ws, ev->opcode, (u_char *) ev->data.data,
                            ev->data.len);

    return ws->stopped ? NGX_DONE : NGX_OK;
}


/* The answers to pings that follow each other leave in one write. */

static ngx_int_t
ngx_sio_ws_pong(ngx_sio_ws_t *ws, sio_str_t *data)
{
    u_char  *p;

    if (SIO_WS_HEADER + data->len
        > sizeof(ngx_sio_ws_pongs) - ngx_sio_ws_pongs_len
        && ngx_sio_ws_flush(ws) != NGX_OK)
    {
        return NGX_DONE;
    }

    p = ngx_sio_ws_pongs + ngx_sio_ws_pongs_len;

    p += sio_ws_header(p, SIO_WS_PONG, data->len);
    p = ngx_cpymem(p, data->data, data->len);

    ngx_sio_ws_pongs_len = p - ngx_sio_ws_pongs;

    return NGX_OK;
}


/* NGX_OK, or NGX_DONE if the owner has stopped ws. */

static ngx_int_t
ngx_sio_ws_flush(ngx_sio_ws_t *ws)
{
    size_t  len;

    len = ngx_sio_ws_pongs_len;

    if (len == 0) {
        return NGX_OK;
    }

    ngx_sio_ws_pongs_len = 0;

    ws->handler->on_pong(ws, ngx_sio_ws_pongs, len);

    return ws->stopped ? NGX_DONE : NGX_OK;
}


/* Keeps a parser that is in the middle of something, and only then. */

static ngx_int_t
ngx_sio_ws_keep(ngx_sio_ws_t *ws, sio_ws_parser_t *parser)
{
    if (sio_ws_idle(parser)) {

        sio_ws_free(parser);

        if (ws->parser) {
            ngx_free(ws->parser);
            ws->parser = NULL;
        }

        return NGX_OK;
    }

    if (ws->parser == NULL) {
        ws->parser = ngx_alloc(sizeof(sio_ws_parser_t), ngx_cycle->log);
        if (ws->parser == NULL) {
            return NGX_ERROR;
        }

        *ws->parser = *parser;
    }

    return NGX_OK;
}


/*
 * A close frame is sent only if nothing waits before it: a peer that does not
 * read gets none.
 */

static ngx_int_t
ngx_sio_ws_send_close(ngx_sio_ws_t *ws, ngx_uint_t code,
    const sio_str_t *reason)
{
    u_char             frame[SIO_WS_HEADER + SIO_WS_CONTROL_LEN];
    size_t             size;
    ngx_connection_t  *c;

    c = ws->connection;

    if (ws->behind || !c->write->ready) {
        return NGX_DECLINED;
    }

    size = sio_ws_header(frame, SIO_WS_CLOSE, code ? 2 + reason->len : 0);

    if (code) {
        frame[size++] = (u_char) (code >> 8);
        frame[size++] = (u_char) code;

        /* what is empty may be nowhere */

        if (reason->len) {
            ngx_memcpy(frame + size, reason->data, reason->len);
            size += reason->len;
        }
    }

    if (c->send(c, frame, size) == (ssize_t) size) {
        return NGX_OK;
    }

    /* a part of it may be out, or inside of OpenSSL: nothing may follow */

    ws->behind = 1;

    return NGX_DECLINED;
}


void
ngx_sio_ws_close(ngx_sio_ws_t *ws, ngx_uint_t code)
{
    ngx_connection_t  *c;

    c = ws->connection;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "socketio ws close: %i", (ngx_int_t) code);

    if (ws->parser) {
        sio_ws_free(ws->parser);
        ngx_free(ws->parser);
        ws->parser = NULL;
    }

    if (ws->answered) {
        /* the frame is on its way */
        code = NGX_SIO_WS_NO_CODE;

    } else if (code != NGX_SIO_WS_ABORT
               && ngx_sio_ws_send_close(ws, code, &ngx_sio_ws_no_reason)
                  != NGX_OK)
    {
        code = NGX_SIO_WS_ABORT;
    }

    ws->connection = NULL;
    c->idle = 0;

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    if (code == NGX_SIO_WS_ABORT || c->error || c->read->eof) {
        ngx_sio_ws_abort(ws, c);
        return;
    }

    ngx_sio_ws_linger(c);
}


static void
ngx_sio_ws_abort(ngx_sio_ws_t *ws, ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)

    if (c->ssl && ws->behind) {
        /* OpenSSL refuses an alert in the middle of a record */
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
    }

#endif

    ngx_sio_bare_close(c);
}


/*
 * Closing a socket with unread input resets it, which may destroy the close
 * frame on its way: so the peer is given a moment to close first.
 */

static void
ngx_sio_ws_linger(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;

        if (ngx_ssl_shutdown(c) == NGX_AGAIN) {
            c->ssl->handler = ngx_sio_bare_close;
            return;
        }
    }

#endif

    if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        ngx_sio_bare_close(c);
        return;
    }

    c->log->action = "closing a WebSocket";
    c->data = c;
    c->read->handler = ngx_sio_ws_linger_handler;
    c->write->handler = ngx_http_empty_handler;

    /* not cancelable: a leaving worker waits for it */
    ngx_add_timer(c->read, NGX_SIO_WS_LINGER);

    ngx_post_event(c->read, &ngx_posted_events);
}


static void
ngx_sio_ws_linger_handler(ngx_event_t *rev)
{
    u_char             buf[4096];
    ssize_t            n;
    ngx_uint_t         turn;
    ngx_connection_t  *c;

    c = rev->data;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "socketio ws linger");

    if (rev->timedout || c->close) {
        ngx_sio_bare_close(c);
        return;
    }

    for (turn = 0; turn < NGX_SIO_WS_TURN / sizeof(buf); turn++) {

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_sio_bare_close(c);
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_sio_bare_close(c);
            return;
        }
    }

    ngx_post_event(rev, &ngx_posted_next_events);
}


void
ngx_sio_ws_abandon(void)
{
    ngx_uint_t         i;
    ngx_connection_t  *c;

    c = ngx_cycle->connections;

    for (i = 0; i < ngx_cycle->connection_n; i++) {
        if (c[i].fd != (ngx_socket_t) -1 && c[i].read
            && c[i].read->handler == ngx_sio_ws_linger_handler)
        {
            ngx_sio_bare_close(&c[i]);
        }
    }
}
