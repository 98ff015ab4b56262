
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_bare.h"

#include <ngx_http.h>


/* One piece of memory for each connection; behind it, its address. */

typedef struct {
    ngx_log_t             log;            /* first: c->log finds it */
#if (NGX_HTTP_SSL)
    ngx_ssl_connection_t  ssl[];          /* one, or none */
#endif
} ngx_sio_bare_t;


#if (NGX_HTTP_SSL)
static void ngx_sio_bare_ssl(ngx_connection_t *c, ngx_ssl_connection_t *ssl);
#endif
static u_char *ngx_sio_bare_log(ngx_log_t *log, u_char *buf, size_t len);


void
ngx_sio_bare_make(ngx_connection_t *c)
{
    size_t           size;
    u_char          *sockaddr;
    ngx_sio_bare_t  *bare;

    if (c->pool->cleanup) {
        return;
    }

    size = sizeof(ngx_sio_bare_t);

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        size += sizeof(ngx_ssl_connection_t);
    }

#endif

    bare = ngx_alloc(size + c->socklen, ngx_cycle->log);
    if (bare == NULL) {
        return;
    }

    bare->log = *c->log;
    bare->log.handler = ngx_sio_bare_log;
    bare->log.data = c;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        ngx_sio_bare_ssl(c, bare->ssl);
    }

#endif

    sockaddr = (u_char *) bare + size;
    ngx_memcpy(sockaddr, c->sockaddr, c->socklen);

    ngx_destroy_pool(c->pool);

    c->pool = NULL;
    c->log = &bare->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->sockaddr = (struct sockaddr *) sockaddr;

    /* what only requests refer to */
    ngx_str_null(&c->addr_text);
    c->local_sockaddr = c->listening->sockaddr;
    c->local_socklen = c->listening->socklen;
    c->buffer = NULL;
    c->proxy_protocol = NULL;
}


#if (NGX_HTTP_SSL)

/*
 * OpenSSL knows the connection, and nothing that is in its pool.  That is what
 * makes this possible; and nginx finds its part of the state by c->ssl alone.
 */

static void
ngx_sio_bare_ssl(ngx_connection_t *c, ngx_ssl_connection_t *ssl)
{
    /* the status of the client's certificate was for its request */
    ngx_ssl_ocsp_cleanup(c);

    *ssl = *c->ssl;

    ssl->ocsp = NULL;

    /* c->send_chain() would make one in the pool */
    ssl->buf = NULL;
    ssl->buffer = 0;

    c->ssl = ssl;
}

#endif


/* As nginx tells of a connection without a request; the address is not kept
 * as a text. */

static u_char *
ngx_sio_bare_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char            *p, *last;
    ngx_str_t          text;
    ngx_connection_t  *c;
    u_char             address[NGX_SOCKADDR_STRLEN];

    c = log->data;
    p = buf;
    last = buf + len;

    if (log->action) {
        p = ngx_slprintf(p, last, " while %s", log->action);
    }

    text.data = address;
    text.len = ngx_sock_ntop(c->sockaddr, c->socklen, address,
                             NGX_SOCKADDR_STRLEN, 0);

    return ngx_slprintf(p, last, ", client: %V, server: %V", &text,
                        &c->listening->addr_text);
}


void
ngx_sio_bare_close(ngx_connection_t *c)
{
    ngx_log_t  *log;

    if (c->pool) {
        ngx_http_close_connection(c);
        return;
    }

    log = c->log;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0,
                   "socketio bare close: %d", c->fd);

#if (NGX_HTTP_SSL)

    if (c->ssl && ngx_ssl_shutdown(c) == NGX_AGAIN) {
        c->ssl->handler = ngx_sio_bare_close;
        return;
    }

#endif

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

    c->destroyed = 1;

    ngx_close_connection(c);

    ngx_free(log);
}
