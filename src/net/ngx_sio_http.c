
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_http.h"


/* A body that is being read; it lies in the pool of its request. */

typedef struct {
    sio_buf_t               buf;        /* heap */
    size_t                  limit;
    ngx_sio_http_body_pt    handler;    /* NULL: called already */
    void                  (*gone)(void *data);
    void                   *data;
} ngx_sio_http_body_t;


typedef struct {
    void                  (*gone)(void *data);
    void                   *data;
} ngx_sio_http_hold_t;


static ngx_int_t ngx_sio_http_link(ngx_http_request_t *r, ngx_chain_t **last,
    const u_char *p, size_t len);
static ngx_int_t ngx_sio_http_link_shared(ngx_http_request_t *r,
    ngx_chain_t **last, ngx_sio_shared_t *shared);
static ngx_int_t ngx_sio_http_send(ngx_http_request_t *r, ngx_uint_t status,
    const u_char *p, size_t len);
static ngx_int_t ngx_sio_http_send_chain(ngx_http_request_t *r,
    ngx_uint_t status, ngx_chain_t *out, size_t len);
static void ngx_sio_http_type(ngx_http_request_t *r, const ngx_str_t *type,
    const ngx_str_t *charset);
static ngx_int_t ngx_sio_http_no_store(ngx_http_request_t *r);

static void ngx_sio_http_body_post(ngx_http_request_t *r);
static void ngx_sio_http_body_read(ngx_http_request_t *r);
static ngx_int_t ngx_sio_http_body_next(ngx_http_request_t *r,
    ngx_sio_http_body_t *body);
static ngx_int_t ngx_sio_http_body_take(ngx_http_request_t *r,
    ngx_sio_http_body_t *body);
static ngx_int_t ngx_sio_http_body_append(ngx_sio_http_body_t *body,
    ngx_buf_t *b);
static void ngx_sio_http_body_free(ngx_http_request_t *r);
static void ngx_sio_http_body_done(ngx_http_request_t *r,
    ngx_sio_http_body_t *body, ngx_int_t rc);
static void ngx_sio_http_body_cleanup(void *data);

static ngx_http_cleanup_t *ngx_sio_http_cleanup(ngx_http_request_t *r,
    ngx_http_cleanup_pt handler);
static void ngx_sio_http_hold_cleanup(void *data);


static const ngx_str_t  ngx_sio_http_text =
    ngx_string("text/plain; charset=UTF-8");
static const ngx_str_t  ngx_sio_http_html = ngx_string("text/html");
static const ngx_str_t  ngx_sio_http_json = ngx_string("application/json");
static const ngx_str_t  ngx_sio_http_utf8 = ngx_string("UTF-8");
static const ngx_str_t  ngx_sio_http_no_type = ngx_null_string;
static const ngx_str_t  ngx_sio_http_uncached = ngx_string("no-store");


ngx_str_t *
ngx_sio_http_header(ngx_http_request_t *r, const char *name, size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (header[i].key.len == len
                && ngx_strncasecmp(header[i].key.data, (u_char *) name, len)
                   == 0)
            {
                return &header[i].value;
            }
        }
    }

    return NULL;
}


ngx_int_t
ngx_sio_http_push(ngx_http_request_t *r, const char *name, size_t len,
    const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    /* later versions of nginx link equal headers, hence all of it */
    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = len;
    h->value = *value;

    return NGX_OK;
}


ngx_int_t
ngx_sio_http_payload(ngx_http_request_t *r, const u_char *p, size_t len)
{
    ngx_sio_http_type(r, &ngx_sio_http_text, &ngx_sio_http_utf8);

    if (ngx_sio_http_no_store(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_sio_http_send(r, NGX_HTTP_OK, p, len);
}


ngx_int_t
ngx_sio_http_payload_with(ngx_http_request_t *r, const u_char *p, size_t len,
    size_t at, ngx_sio_shared_t *shared)
{
    ngx_int_t     rc;
    ngx_chain_t   out, *last;

    out.next = NULL;
    last = &out;

    if (ngx_sio_http_link(r, &last, p, at) != NGX_OK
        || ngx_sio_http_link_shared(r, &last, shared) != NGX_OK
        || ngx_sio_http_link(r, &last, p + at, len - at) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sio_http_type(r, &ngx_sio_http_text, &ngx_sio_http_utf8);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_sio_http_no_store(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_sio_http_send_chain(r, NGX_HTTP_OK, out.next,
                                   len + shared->len);
}


/* Links a copy of some bytes. */

static ngx_int_t
ngx_sio_http_link(ngx_http_request_t *r, ngx_chain_t **last, const u_char *p,
    size_t len)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = ngx_create_temp_buf(r->pool, len);
    if (cl->buf == NULL) {
        return NGX_ERROR;
    }

    cl->buf->last = ngx_cpymem(cl->buf->last, p, len);
    cl->next = NULL;

    (*last)->next = cl;
    *last = cl;

    return NGX_OK;
}


static ngx_int_t
ngx_sio_http_link_shared(ngx_http_request_t *r, ngx_chain_t **last,
    ngx_sio_shared_t *shared)
{
    ngx_buf_t           *b;
    ngx_chain_t         *cl;
    ngx_pool_cleanup_t  *cln;

    cl = ngx_alloc_chain_link(r->pool);
    b = ngx_calloc_buf(r->pool);
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cl == NULL || b == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_sio_shared_release;
    cln->data = ngx_sio_shared_ref(shared);

    b->start = shared->data;
    b->pos = shared->data;
    b->last = shared->data + shared->len;
    b->end = b->last;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    (*last)->next = cl;
    *last = cl;

    return NGX_OK;
}


ngx_int_t
ngx_sio_http_ok(ngx_http_request_t *r)
{
    ngx_sio_http_type(r, &ngx_sio_http_html, NULL);

    if (ngx_sio_http_no_store(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_sio_http_send(r, NGX_HTTP_OK, (u_char *) "ok", 2);
}


ngx_int_t
ngx_sio_http_error(ngx_http_request_t *r, sio_eio_error_e code)
{
    u_char            buf[128], *p;
    ngx_str_t         text;
    const sio_str_t  *message;

    message = sio_eio_error_text(code);

    text.data = (u_char *) message->data;
    text.len = message->len;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "socketio request refused: %V", &text);

    p = ngx_snprintf(buf, sizeof(buf), "{\"code\":%ui,\"message\":\"%V\"}",
                     (ngx_uint_t) code, &text);

    ngx_sio_http_type(r, &ngx_sio_http_json, NULL);

    return ngx_sio_http_send(r, code == SIO_EIO_FORBIDDEN
                                ? NGX_HTTP_FORBIDDEN : NGX_HTTP_BAD_REQUEST,
                             buf, p - buf);
}


ngx_int_t
ngx_sio_http_bad_upgrade(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "socketio upgrade refused: %V", text);

    r->keepalive = 0;

    ngx_sio_http_type(r, &ngx_sio_http_html, NULL);

    return ngx_sio_http_send(r, NGX_HTTP_BAD_REQUEST, text->data, text->len);
}


ngx_int_t
ngx_sio_http_empty(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_sio_http_type(r, &ngx_sio_http_no_type, NULL);

    return ngx_sio_http_send(r, status, NULL, 0);
}


static ngx_int_t
ngx_sio_http_send(ngx_http_request_t *r, ngx_uint_t status, const u_char *p,
    size_t len)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    b = len ? ngx_create_temp_buf(r->pool, len) : ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (len) {
        b->last = ngx_cpymem(b->last, p, len);
    }

    out.buf = b;
    out.next = NULL;

    return ngx_sio_http_send_chain(r, status, &out, len);
}


static ngx_int_t
ngx_sio_http_send_chain(ngx_http_request_t *r, ngx_uint_t status,
    ngx_chain_t *out, size_t len)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    for (cl = out; cl->next; cl = cl->next) { /* void */ }

    cl->buf->last_buf = 1;
    cl->buf->last_in_chain = 1;

    r->headers_out.status = status;
    ngx_str_null(&r->headers_out.status_line);
    r->headers_out.content_length_n = len;

    if (status == NGX_HTTP_NO_CONTENT) {
        /* nginx leaves the length out, unless the line is not its own */
        ngx_str_set(&r->headers_out.status_line, "204 No Content");
    }

    /* an error_page on the way here must not replace the status */
    r->err_status = 0;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out);
}


/* A charset that is known is left alone by nginx, unless told otherwise. */

static void
ngx_sio_http_type(ngx_http_request_t *r, const ngx_str_t *type,
    const ngx_str_t *charset)
{
    u_char  *p;

    p = ngx_strlchr(type->data, type->data + type->len, ';');

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = p ? (size_t) (p - type->data) : type->len;
    r->headers_out.content_type_lowcase = NULL;

    if (charset) {
        r->headers_out.charset = *charset;
    }
}


static ngx_int_t
ngx_sio_http_no_store(ngx_http_request_t *r)
{
    return ngx_sio_http_push(r, "Cache-Control", 13, &ngx_sio_http_uncached);
}


ngx_int_t
ngx_sio_http_read_body(ngx_http_request_t *r, size_t limit,
    ngx_sio_http_body_pt handler, void (*gone)(void *data), void *data)
{
    ngx_int_t             rc;
    ngx_http_cleanup_t   *cln;
    ngx_sio_http_body_t  *body;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_sio_http_body_t));
    if (cln == NULL) {
        r->main->count++;
        handler(r, data, NGX_HTTP_INTERNAL_SERVER_ERROR, NULL, 0);
        return NGX_DONE;
    }

    body = cln->data;
    ngx_memzero(body, sizeof(ngx_sio_http_body_t));

    body->limit = limit;
    body->handler = handler;
    body->gone = gone;
    body->data = data;

    cln->handler = ngx_sio_http_body_cleanup;

    if (r->headers_in.content_length_n > (off_t) limit) {

        /* as nginx refuses a body that is too large for a location */

        r->expect_tested = 1;
        r->keepalive = 0;
        (void) ngx_http_discard_request_body(r);

        r->main->count++;
        ngx_sio_http_body_done(r, body, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE);
        return NGX_DONE;
    }

    r->request_body_no_buffering = 1;
    r->request_body_in_file_only = 0;

    rc = ngx_http_read_client_request_body(r, ngx_sio_http_body_post);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        r->main->count++;
        ngx_sio_http_body_done(r, body, rc);
    }

    return NGX_DONE;
}


/* The body is being read, or was short and is there. */

static void
ngx_sio_http_body_post(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_sio_http_body_read;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_sio_http_body_read(r);
}


static void
ngx_sio_http_body_read(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_cleanup_t   *cln;
    ngx_sio_http_body_t  *body;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "socketio http body read");

    cln = ngx_sio_http_cleanup(r, ngx_sio_http_body_cleanup);
    body = cln->data;

    rc = ngx_sio_http_body_next(r, body);

    if (rc == NGX_AGAIN) {
        return;
    }

    /* part of it is still to come: what nginx reads then is not a request */

    if (r->reading_body) {
        r->keepalive = 0;
    }

    ngx_sio_http_body_done(r, body, rc);
}


/* NGX_OK: all of it is there; NGX_AGAIN; or a status. */

static ngx_int_t
ngx_sio_http_body_next(ngx_http_request_t *r, ngx_sio_http_body_t *body)
{
    ngx_int_t  rc;

    for ( ;; ) {

        rc = ngx_sio_http_body_take(r, body);

        if (rc != NGX_OK) {
            return rc;
        }

        if (!r->reading_body) {
            return NGX_OK;
        }

        ngx_sio_http_body_free(r);

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return NGX_AGAIN;
        }
    }
}


static ngx_int_t
ngx_sio_http_body_take(ngx_http_request_t *r, ngx_sio_http_body_t *body)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        rc = ngx_sio_http_body_append(body, cl->buf);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* It is in a file if another module has had nginx read it before. */

static ngx_int_t
ngx_sio_http_body_append(ngx_sio_http_body_t *body, ngx_buf_t *b)
{
    off_t    size;
    ssize_t  n;

    size = ngx_buf_size(b);

    if (size > (off_t) (body->limit - body->buf.len)) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    if (size == 0) {
        return NGX_OK;
    }

    if (ngx_buf_in_memory(b)) {
        return sio_buf_append(&body->buf, b->pos, size) == SIO_OK
               ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (sio_buf_reserve(&body->buf, size) != SIO_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = ngx_read_file(b->file, body->buf.data + body->buf.len, size,
                      b->file_pos);

    if (n != (ssize_t) size) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->buf.len += size;

    return NGX_OK;
}


/* Lets nginx read into the same memory again. */

static void
ngx_sio_http_body_free(ngx_http_request_t *r)
{
    ngx_chain_t  *cl, *next;

    for (cl = r->request_body->bufs; cl; cl = next) {
        next = cl->next;

        cl->buf->pos = cl->buf->last;
        ngx_free_chain(r->pool, cl);
    }

    r->request_body->bufs = NULL;
}


/* Finalizes r. */

static void
ngx_sio_http_body_done(ngx_http_request_t *r, ngx_sio_http_body_t *body,
    ngx_int_t rc)
{
    void                  *data;
    sio_buf_t              buf;
    ngx_connection_t      *c;
    ngx_sio_http_body_pt   handler;

    c = r->connection;

    r->read_event_handler = ngx_http_block_reading;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    /* the handler destroys the request, and body with it */

    handler = body->handler;
    data = body->data;
    buf = body->buf;

    ngx_memzero(body, sizeof(ngx_sio_http_body_t));

    if (rc == NGX_OK) {
        handler(r, data, NGX_OK, buf.len ? buf.data : (u_char *) "", buf.len);

    } else {
        handler(r, data, rc, NULL, 0);
    }

    sio_buf_free(&buf);
}


static void
ngx_sio_http_body_cleanup(void *data)
{
    ngx_sio_http_body_t  *body = data;

    sio_buf_free(&body->buf);

    if (body->handler) {
        body->handler = NULL;

        if (body->gone) {
            body->gone(body->data);
        }
    }
}


ngx_int_t
ngx_sio_http_hold(ngx_http_request_t *r, void (*gone)(void *data), void *data)
{
    ngx_event_t          *rev;
    ngx_http_cleanup_t   *cln;
    ngx_sio_http_hold_t  *hold;

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_ERROR;
    }

    rev = r->connection->read;

    /* the client may have left before anybody was there to notice */

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);

    } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(r, sizeof(ngx_sio_http_hold_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    hold = cln->data;
    hold->gone = gone;
    hold->data = data;

    cln->handler = ngx_sio_http_hold_cleanup;

    r->main->count++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}


void
ngx_sio_http_unhold(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_sio_http_cleanup(r, ngx_sio_http_hold_cleanup);
    cln->handler = NULL;

    /* until it is finished by us, nginx does not destroy it */

    r->read_event_handler = ngx_http_block_reading;
    r->main->blocked++;
}


void
ngx_sio_http_finish(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    if (r->main->blocked) {
        r->main->blocked--;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_http_cleanup_t *
ngx_sio_http_cleanup(ngx_http_request_t *r, ngx_http_cleanup_pt handler)
{
    ngx_http_cleanup_t  *cln;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == handler) {
            return cln;
        }
    }

    return NULL;
}


static void
ngx_sio_http_hold_cleanup(void *data)
{
    ngx_sio_http_hold_t  *hold = data;

    hold->gone(hold->data);
}
