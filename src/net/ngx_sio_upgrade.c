
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_upgrade.h"
#include "ngx_sio_bare.h"
#include "ngx_sio_http.h"
#include "ngx_sio_ws.h"

#include <ngx_sha1.h>
#include <sio_deflate.h>


#define NGX_SIO_UPGRADE_GUID  "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


typedef struct {
    ngx_sio_upgrade_detached_pt   detached;
    void                        (*failed)(void *data);
    void                         *data;
    sio_deflate_t                 deflate;
} ngx_sio_upgrade_t;


/* Where in the headers of a request a search goes on. */

typedef struct {
    ngx_list_part_t     *part;
    ngx_uint_t           i;
} ngx_sio_upgrade_search_t;


static ngx_uint_t ngx_sio_upgrade_key_valid(ngx_http_request_t *r);
static ngx_uint_t ngx_sio_upgrade_version_valid(ngx_http_request_t *r);
static ngx_uint_t ngx_sio_upgrade_protocols_valid(ngx_http_request_t *r);
static ngx_int_t ngx_sio_upgrade_offers(ngx_http_request_t *r,
    sio_deflate_t *deflate);
static ngx_str_t *ngx_sio_upgrade_header(ngx_http_request_t *r,
    const char *name, size_t len);
static ngx_str_t *ngx_sio_upgrade_next(ngx_http_request_t *r,
    ngx_sio_upgrade_search_t *search, const char *name, size_t len);
static ngx_uint_t ngx_sio_upgrade_element(ngx_str_t *list, ngx_str_t *element);
static ngx_uint_t ngx_sio_upgrade_is_token(ngx_str_t *value);
static ngx_int_t ngx_sio_upgrade_send(ngx_http_request_t *r,
    const sio_deflate_t *deflate, u_char *body, size_t len);
static ngx_int_t ngx_sio_upgrade_headers(ngx_http_request_t *r,
    const sio_deflate_t *deflate);
static ngx_int_t ngx_sio_upgrade_extension(ngx_http_request_t *r,
    const sio_deflate_t *deflate);
static ngx_int_t ngx_sio_upgrade_accept(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_sio_upgrade_t *ngx_sio_upgrade_get(ngx_http_request_t *r);
static void ngx_sio_upgrade_detach(ngx_http_request_t *r);
static void ngx_sio_upgrade_flush(ngx_http_request_t *r);
static void ngx_sio_upgrade_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static void ngx_sio_upgrade_cleanup(void *data);


static const ngx_str_t  ngx_sio_upgrade_token = ngx_string("websocket");

/* that of the reference: 8 has the same handshake and frames */
static const ngx_str_t  ngx_sio_upgrade_versions = ngx_string("13, 8");


ngx_uint_t
ngx_sio_upgrade_requested(ngx_http_request_t *r)
{
    ngx_str_t                 *connection, list, token;
    ngx_sio_upgrade_search_t   search;

    if (r->headers_in.upgrade == NULL) {
        return 0;
    }

    ngx_memzero(&search, sizeof(ngx_sio_upgrade_search_t));

    for ( ;; ) {
        connection = ngx_sio_upgrade_next(r, &search, "Connection", 10);

        if (connection == NULL) {
            return 0;
        }

        list = *connection;

        while (ngx_sio_upgrade_element(&list, &token)) {

            if (token.len == 7
                && ngx_strncasecmp(token.data, (u_char *) "upgrade", 7) == 0)
            {
                return 1;
            }
        }
    }
}


ngx_int_t
ngx_sio_upgrade_check(ngx_http_request_t *r, ngx_uint_t deflate,
    ngx_str_t *error)
{
    ngx_str_t      *value;
    sio_deflate_t   agreed;

    if (r->method != NGX_HTTP_GET) {
        ngx_str_set(error, "Bad handshake method");
        return NGX_DECLINED;
    }

    value = ngx_sio_upgrade_header(r, "Upgrade", 7);

    if (r->http_version != NGX_HTTP_VERSION_11 || r != r->main
        || value == NULL || value->len != 9
        || ngx_strncasecmp(value->data, (u_char *) "websocket", 9) != 0)
    {
        ngx_str_set(error, "Invalid Upgrade header");
        return NGX_DECLINED;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        /* its bytes would be taken for frames */
        ngx_str_set(error, "Bad request");
        return NGX_DECLINED;
    }

    if (!ngx_sio_upgrade_key_valid(r)) {
        ngx_str_set(error, "Missing or invalid Sec-WebSocket-Key header");
        return NGX_DECLINED;
    }

    if (!ngx_sio_upgrade_version_valid(r)) {
        ngx_str_set(error, "Missing or invalid Sec-WebSocket-Version header");

        /* RFC 6455, 4.4: the versions that there are */

        return ngx_sio_http_push(r, "Sec-WebSocket-Version", 21,
                                 &ngx_sio_upgrade_versions)
               == NGX_OK ? NGX_DECLINED : NGX_ERROR;
    }

    if (!ngx_sio_upgrade_protocols_valid(r)) {
        ngx_str_set(error, "Invalid Sec-WebSocket-Protocol header");
        return NGX_DECLINED;
    }

    if (deflate && ngx_sio_upgrade_offers(r, &agreed) != NGX_OK) {
        ngx_str_set(error,
                    "Invalid or unacceptable Sec-WebSocket-Extensions header");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* 16 bytes in base64 */

static ngx_uint_t
ngx_sio_upgrade_key_valid(ngx_http_request_t *r)
{
    u_char      buf[32];
    ngx_str_t  *value, key;

    value = ngx_sio_upgrade_header(r, "Sec-WebSocket-Key", 17);

    if (value == NULL || value->len != 24
        || value->data[22] != '=' || value->data[23] != '=')
    {
        return 0;
    }

    key.data = buf;

    return ngx_decode_base64(&key, value) == NGX_OK && key.len == 16;
}


static ngx_uint_t
ngx_sio_upgrade_version_valid(ngx_http_request_t *r)
{
    ngx_str_t  *value;

    value = ngx_sio_upgrade_header(r, "Sec-WebSocket-Version", 21);

    if (value == NULL) {
        return 0;
    }

    return (value->len == 2 && ngx_strncmp(value->data, "13", 2) == 0)
           || (value->len == 1 && value->data[0] == '8');
}


/* RFC 6455, 4.1, 10: each of those offered is a token */

static ngx_uint_t
ngx_sio_upgrade_protocols_valid(ngx_http_request_t *r)
{
    ngx_str_t                 *value, list, token;
    ngx_sio_upgrade_search_t   search;

    ngx_memzero(&search, sizeof(ngx_sio_upgrade_search_t));

    for ( ;; ) {
        value = ngx_sio_upgrade_next(r, &search, "Sec-WebSocket-Protocol", 22);

        if (value == NULL) {
            return 1;
        }

        list = *value;

        while (ngx_sio_upgrade_element(&list, &token)) {

            if (!ngx_sio_upgrade_is_token(&token)) {
                return 0;
            }
        }
    }
}


/*
 * The first offer that can be accepted, of all headers.  RFC 6455, 9.1: the
 * connection fails, and gets NGX_DECLINED, if one does not follow the grammar.
 */

static ngx_int_t
ngx_sio_upgrade_offers(ngx_http_request_t *r, sio_deflate_t *deflate)
{
    ngx_str_t                 *value;
    ngx_sio_upgrade_search_t   search;

    ngx_memzero(deflate, sizeof(sio_deflate_t));
    ngx_memzero(&search, sizeof(ngx_sio_upgrade_search_t));

    for ( ;; ) {
        value = ngx_sio_upgrade_next(r, &search, "Sec-WebSocket-Extensions",
                                     24);
        if (value == NULL) {
            return NGX_OK;
        }

        if (sio_deflate_offer(deflate, value->data, value->len) != SIO_OK) {
            return NGX_DECLINED;
        }
    }
}


/* A header that may stand there once: NULL if there is none, or several. */

static ngx_str_t *
ngx_sio_upgrade_header(ngx_http_request_t *r, const char *name, size_t len)
{
    ngx_str_t                 *value;
    ngx_sio_upgrade_search_t   search;

    ngx_memzero(&search, sizeof(ngx_sio_upgrade_search_t));

    value = ngx_sio_upgrade_next(r, &search, name, len);

    return ngx_sio_upgrade_next(r, &search, name, len) ? NULL : value;
}


/* The next header of this name; search is zero at first.  NULL: no more. */

static ngx_str_t *
ngx_sio_upgrade_next(ngx_http_request_t *r, ngx_sio_upgrade_search_t *search,
    const char *name, size_t len)
{
    ngx_table_elt_t  *header;

    if (search->part == NULL) {
        search->part = &r->headers_in.headers.part;
    }

    for ( ;; ) {

        if (search->i >= search->part->nelts) {

            if (search->part->next == NULL) {
                return NULL;
            }

            search->part = search->part->next;
            search->i = 0;
            continue;
        }

        header = search->part->elts;
        header += search->i++;

        if (header->key.len == len
            && ngx_strncasecmp(header->key.data, (u_char *) name, len) == 0)
        {
            return &header->value;
        }
    }
}


/* Takes the first element off a list with commas; 0 if there is no more. */

static ngx_uint_t
ngx_sio_upgrade_element(ngx_str_t *list, ngx_str_t *element)
{
    u_char  *p, *last;

    if (list->data == NULL) {
        return 0;
    }

    last = list->data + list->len;
    p = ngx_strlchr(list->data, last, ',');

    *element = *list;

    if (p) {
        element->len = p - list->data;
        list->data = p + 1;
        list->len = last - list->data;

    } else {
        list->data = NULL;
    }

    while (element->len
           && (element->data[0] == ' ' || element->data[0] == '\t'))
    {
        element->data++;
        element->len--;
    }

    while (element->len
           && (element->data[element->len - 1] == ' '
               || element->data[element->len - 1] == '\t'))
    {
        element->len--;
    }

    return 1;
}


static ngx_uint_t
ngx_sio_upgrade_is_token(ngx_str_t *value)
{
    size_t             i;
    static const char  separators[] = "()<>@,;:\\\"/[]?={}";

    for (i = 0; i < value->len; i++) {

        if (value->data[i] <= ' ' || value->data[i] >= 0x7f
            || ngx_strchr(separators, value->data[i]) != NULL)
        {
            return 0;
        }
    }

    return value->len != 0;
}


ngx_int_t
ngx_sio_upgrade_start(ngx_http_request_t *r, ngx_uint_t deflate, u_char *body,
    size_t len, ngx_sio_upgrade_detached_pt detached,
    void (*failed)(void *data), void *data)
{
    ngx_int_t            rc;
    ngx_sio_upgrade_t   *up;
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_sio_upgrade_t));
    if (cln == NULL) {
        failed(data);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    up = cln->data;
    up->detached = detached;
    up->failed = failed;
    up->data = data;
    ngx_memzero(&up->deflate, sizeof(sio_deflate_t));

    cln->handler = ngx_sio_upgrade_cleanup;

    if (deflate) {
        (void) ngx_sio_upgrade_offers(r, &up->deflate);
    }

    rc = ngx_sio_upgrade_send(r, &up->deflate, body, len);
    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return rc;
    }

    r->main->count++;

    r->read_event_handler = ngx_sio_upgrade_detach;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_post_event(r->connection->read, &ngx_posted_events);

    return NGX_DONE;
}


static ngx_int_t
ngx_sio_upgrade_send(ngx_http_request_t *r, const sio_deflate_t *deflate,
    u_char *body, size_t len)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (ngx_sio_upgrade_headers(r, deflate) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = NULL;

    if (len) {
        b = ngx_create_temp_buf(r->pool, len);
        if (b == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        b->last = ngx_cpymem(b->last, body, len);
        b->flush = 1;
    }

    out.buf = b;
    out.next = NULL;

    /* a limit_rate of the location must not delay the handshake */
    r->limit_rate = 0;
    r->limit_rate_set = 1;
    r->keepalive = 0;

    /* an error_page on the way here must not replace the status */
    r->err_status = 0;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    if (b == NULL) {
        return ngx_http_send_special(r, NGX_HTTP_FLUSH);
    }

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_sio_upgrade_headers(ngx_http_request_t *r, const sio_deflate_t *deflate)
{
    ngx_str_t                  accept, list, first, *protocol;
    ngx_sio_upgrade_search_t   search;

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    ngx_http_clear_content_length(r);

    if (ngx_sio_upgrade_accept(r, &accept) != NGX_OK
        || ngx_sio_http_push(r, "Upgrade", 7, &ngx_sio_upgrade_token)
           != NGX_OK
        || ngx_sio_http_push(r, "Sec-WebSocket-Accept", 20, &accept)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (deflate->window && ngx_sio_upgrade_extension(r, deflate) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&search, sizeof(ngx_sio_upgrade_search_t));

    protocol = ngx_sio_upgrade_next(r, &search, "Sec-WebSocket-Protocol", 22);

    if (protocol == NULL) {
        return NGX_OK;
    }

    /* the first one offered, as the reference does */

    list = *protocol;
    (void) ngx_sio_upgrade_element(&list, &first);

    return ngx_sio_http_push(r, "Sec-WebSocket-Protocol", 22, &first);
}


static ngx_int_t
ngx_sio_upgrade_extension(ngx_http_request_t *r, const sio_deflate_t *deflate)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, SIO_DEFLATE_ANSWER);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = sio_deflate_answer(value.data, deflate);

    return ngx_sio_http_push(r, "Sec-WebSocket-Extensions", 24, &value);
}


/* RFC 6455, 4.2.2: base64(SHA-1(key, GUID)) */

static ngx_int_t
ngx_sio_upgrade_accept(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char      digest[20];
    ngx_str_t   src, *key;
    ngx_sha1_t  sha1;

    value->data = ngx_pnalloc(r->pool, ngx_base64_encoded_length(20));
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    key = ngx_sio_upgrade_header(r, "Sec-WebSocket-Key", 17);

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, NGX_SIO_UPGRADE_GUID,
                    sizeof(NGX_SIO_UPGRADE_GUID) - 1);
    ngx_sha1_final(digest, &sha1);

    src.data = digest;
    src.len = sizeof(digest);

    ngx_encode_base64(value, &src);

    return NGX_OK;
}


static ngx_sio_upgrade_t *
ngx_sio_upgrade_get(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_sio_upgrade_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


/*
 * Runs as the read handler of the request, when nothing of the content phase
 * is on the stack any more.  ngx_http_free_request() sets c->destroyed, which
 * stays set: it is what makes the caller leave the connection alone.
 */

static void
ngx_sio_upgrade_detach(ngx_http_request_t *r)
{
    size_t                     size, len;
    u_char                    *buf;
    ngx_connection_t          *c;
    ngx_sio_upgrade_t          up;
    ngx_http_connection_t     *hc;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "socketio upgrade detach");

    if (r->out || r->buffered || c->buffered) {
        r->read_event_handler = ngx_http_block_reading;
        r->write_event_handler = ngx_sio_upgrade_flush;

        ngx_sio_upgrade_flush(r);
        return;
    }

    len = r->header_in->last - r->header_in->pos;
    buf = ngx_sio_ws_buffer(&size);

    if (buf == NULL || len > size) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "socketio cannot keep %uz bytes behind the handshake",
                      len);

        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_memcpy(buf, r->header_in->pos, len);

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    up = *ngx_sio_upgrade_get(r);
    ngx_sio_upgrade_get(r)->data = NULL;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    hc = r->http_connection;

    r->keepalive = 0;
    ngx_http_free_request(r, 0);

    ngx_sio_upgrade_free_buffers(c, hc);
    ngx_sio_bare_make(c);

    up.detached(up.data, c, up.deflate.window, buf, len);
}


/* The client does not read its 101: wait under send_timeout. */

static void
ngx_sio_upgrade_flush(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;
    wev = c->write;

    if (wev->timedout) {
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = ngx_http_output_filter(r, NULL);

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (!r->out && !r->buffered && !c->buffered) {
        ngx_sio_upgrade_detach(r);
        return;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/* As nginx does for a connection that waits for its next request. */

static void
ngx_sio_upgrade_free_buffers(ngx_connection_t *c, ngx_http_connection_t *hc)
{
    ngx_uint_t    i;
    ngx_chain_t  *cl, *next, **list[2];

    if (c->buffer && c->buffer->start) {
        (void) ngx_pfree(c->pool, c->buffer->start);
        c->buffer = NULL;
    }

    list[0] = &hc->free;
    list[1] = &hc->busy;

    for (i = 0; i < 2; i++) {

        for (cl = *list[i]; cl; cl = next) {
            next = cl->next;
            (void) ngx_pfree(c->pool, cl->buf->start);
            ngx_free_chain(c->pool, cl);
        }

        *list[i] = NULL;
    }

    hc->nbusy = 0;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }

#endif
}


static void
ngx_sio_upgrade_cleanup(void *data)
{
    ngx_sio_upgrade_t  *up = data;

    if (up->data) {
        up->failed(up->data);
        up->data = NULL;
    }
}
