
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_out.h"


#define NGX_SIO_OUT_GATHER  65536     /* bytes joined into one send */
#define NGX_SIO_OUT_PIECES  8         /* that are sent as they lie */


static ngx_int_t ngx_sio_out_grow(ngx_sio_out_t *out, ngx_log_t *log);
static ngx_int_t ngx_sio_out_gather(ngx_sio_out_t *out,
    ngx_sio_out_fetch_pt fetch, ngx_log_t *log);
static ngx_uint_t ngx_sio_out_is_shared(ngx_sio_out_t *out,
    ngx_connection_t *c);
static ngx_int_t ngx_sio_out_pieces(ngx_sio_out_t *out, ngx_connection_t *c);
static void ngx_sio_out_take(ngx_sio_out_t *out, size_t n);
static void ngx_sio_out_pop(ngx_sio_out_t *out);


ngx_sio_out_t *
ngx_sio_out_create(void *data, ngx_log_t *log)
{
    ngx_sio_out_t  *out;

    out = ngx_calloc(sizeof(ngx_sio_out_t), log);
    if (out) {
        out->data = data;
    }

    return out;
}


void
ngx_sio_out_free(ngx_sio_out_t *out)
{
    while (out->first < out->last) {
        ngx_sio_out_pop(out);
    }

    if (out->rest) {
        ngx_free(out->rest);
    }

    if (out->items) {
        ngx_free(out->items);
    }

    ngx_free(out);
}


ngx_int_t
ngx_sio_out_rest(ngx_sio_out_t *out, u_char *p, size_t len, ngx_log_t *log)
{
    out->rest = ngx_alloc(len, log);
    if (out->rest == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(out->rest, p, len);
    out->rest_pos = 0;
    out->rest_len = len;

    return NGX_OK;
}


ngx_int_t
ngx_sio_out_add(ngx_sio_out_t *out, uint64_t ref, u_char *p, size_t len,
    size_t pos, ngx_log_t *log)
{
    ngx_sio_out_item_t  *item;

    if (out->last == out->nalloc && ngx_sio_out_grow(out, log) != NGX_OK) {
        return NGX_ERROR;
    }

    item = &out->items[out->last];

    item->ref = ref;
    item->copy = NULL;
    item->shared = NULL;
    item->len = (uint32_t) len;
    item->pos = (uint32_t) pos;
    item->begun = (pos > 0);

    if (ref == 0) {
        item->copy = ngx_alloc(len, log);
        if (item->copy == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(item->copy, p, len);
    }

    out->last++;

    if (!item->begun) {
        out->backlog += len;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_out_share(ngx_sio_out_t *out, ngx_sio_shared_t *shared,
    ngx_log_t *log)
{
    ngx_sio_out_item_t  *item;

    if (out->last == out->nalloc && ngx_sio_out_grow(out, log) != NGX_OK) {
        return NGX_ERROR;
    }

    item = &out->items[out->last++];

    item->ref = 0;
    item->copy = shared->data;
    item->shared = ngx_sio_shared_ref(shared);
    item->len = (uint32_t) shared->len;
    item->pos = 0;
    item->begun = 0;

    out->backlog += shared->len;

    return NGX_OK;
}


/* Makes room for at least as many items as there are. */

static ngx_int_t
ngx_sio_out_grow(ngx_sio_out_t *out, ngx_log_t *log)
{
    ngx_uint_t           n;
    ngx_sio_out_item_t  *items;

    n = out->last - out->first;
    items = out->items;

    if (out->first <= out->nalloc / 2) {

        items = ngx_alloc((n + 8) * 2 * sizeof(ngx_sio_out_item_t), log);
        if (items == NULL) {
            return NGX_ERROR;
        }

        out->nalloc = (n + 8) * 2;
    }

    if (n) {
        ngx_memmove(items, out->items + out->first,
                    n * sizeof(ngx_sio_out_item_t));
    }

    if (items != out->items) {

        if (out->items) {
            ngx_free(out->items);
        }

        out->items = items;
    }

    out->fresh -= ngx_min(out->fresh, out->first);
    out->first = 0;
    out->last = n;

    return NGX_OK;
}


ngx_int_t
ngx_sio_out_rescue(ngx_sio_out_t *out, uint64_t below,
    ngx_sio_out_fetch_pt fetch, ngx_log_t *log)
{
    size_t               len;
    u_char              *p;
    ngx_uint_t           i;
    ngx_sio_out_item_t  *item;

    for (i = ngx_max(out->fresh, out->first); i < out->last; i++) {

        item = &out->items[i];

        if (item->copy || item->ref >= below) {
            continue;
        }

        len = item->len - item->pos;

        p = ngx_alloc(len, log);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        if (fetch(out->data, item->ref, item->pos, p, len) != NGX_OK) {
            ngx_free(p);
            return NGX_DECLINED;
        }

        item->copy = p;
        item->len = (uint32_t) len;
        item->pos = 0;

        out->rescued += len;
    }

    out->fresh = ngx_max(out->fresh, out->first);

    while (out->fresh < out->last && out->items[out->fresh].copy) {
        out->fresh++;
    }

    return NGX_OK;
}


uint64_t
ngx_sio_out_oldest(ngx_sio_out_t *out)
{
    uint64_t    oldest;
    ngx_uint_t  i;

    oldest = (uint64_t) -1;

    for (i = ngx_max(out->fresh, out->first); i < out->last; i++) {
        if (out->items[i].copy == NULL) {
            oldest = ngx_min(oldest, out->items[i].ref);
        }
    }

    return oldest;
}


ngx_int_t
ngx_sio_out_drain(ngx_sio_out_t *out, ngx_connection_t *c,
    ngx_sio_out_fetch_pt fetch)
{
    ssize_t    n;
    ngx_int_t  rc;

    for ( ;; ) {

        if (out->rest == NULL) {

            if (out->first == out->last) {
                return NGX_OK;
            }

            if (ngx_sio_out_is_shared(out, c)) {

                rc = ngx_sio_out_pieces(out, c);
                if (rc != NGX_OK) {
                    return rc;
                }

                continue;
            }

            rc = ngx_sio_out_gather(out, fetch, c->log);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        n = c->send(c, out->rest + out->rest_pos,
                    out->rest_len - out->rest_pos);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n > 0) {
            out->rest_pos += n;

            if (out->rest_pos == out->rest_len) {
                ngx_free(out->rest);
                out->rest = NULL;
                continue;
            }
        }

        if (n == NGX_AGAIN || !c->write->ready) {
            return ngx_handle_write_event(c->write, 0) == NGX_OK
                   ? NGX_AGAIN : NGX_ERROR;
        }
    }
}


/*
 * True if something shared is next, or behind a copy: it is not copied, but
 * under TLS, where it would be in any case.
 */

static ngx_uint_t
ngx_sio_out_is_shared(ngx_sio_out_t *out, ngx_connection_t *c)
{
    ngx_sio_out_item_t  *item;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        return 0;
    }

#endif

    item = &out->items[out->first];

    if (item->copy == NULL) {
        return 0;
    }

    return item->shared
           || (out->first + 1 < out->last && item[1].shared);
}


/* Sends what lies in memory.  NGX_OK: there may be more to do. */

static ngx_int_t
ngx_sio_out_pieces(ngx_sio_out_t *out, ngx_connection_t *c)
{
    size_t               size;
    ssize_t              n;
    ngx_iovec_t          vec;
    struct iovec         iovs[NGX_SIO_OUT_PIECES];
    ngx_sio_out_item_t  *item;

    size = 0;
    vec.iovs = iovs;
    vec.count = 0;
    vec.nalloc = NGX_SIO_OUT_PIECES;

    for (item = &out->items[out->first];
         item < &out->items[out->last] && item->copy
         && vec.count < NGX_SIO_OUT_PIECES;
         item++)
    {
        iovs[vec.count].iov_base = (void *) (item->copy + item->pos);
        iovs[vec.count++].iov_len = item->len - item->pos;
        size += item->len - item->pos;
    }

    vec.size = size;

    n = c->write->ready ? ngx_writev(c, &vec) : NGX_AGAIN;

    if (n == NGX_ERROR) {
        c->error = 1;
        return NGX_ERROR;
    }

    if (n > 0) {
        c->sent += n;
        ngx_sio_out_take(out, n);
    }

    if (n != NGX_AGAIN && (size_t) n == size) {
        return NGX_OK;
    }

    c->write->ready = 0;

    return ngx_handle_write_event(c->write, 0) == NGX_OK ? NGX_AGAIN
                                                         : NGX_ERROR;
}


static void
ngx_sio_out_take(ngx_sio_out_t *out, size_t n)
{
    size_t               len;
    ngx_sio_out_item_t  *item;

    while (n) {

        item = &out->items[out->first];
        len = ngx_min(n, item->len - item->pos);

        if (!item->begun) {
            item->begun = 1;
            out->backlog -= item->len;
        }

        item->pos += (uint32_t) len;
        n -= len;

        if (item->pos == item->len) {
            ngx_sio_out_pop(out);
        }
    }
}


/*
 * Joins the next bytes into one buffer, which becomes the rest.  A large
 * message is taken in slices, so that whoever is slow with it holds no more.
 */

static ngx_int_t
ngx_sio_out_gather(ngx_sio_out_t *out, ngx_sio_out_fetch_pt fetch,
    ngx_log_t *log)
{
    size_t               len, n;
    u_char              *p;
    ngx_uint_t           i;
    ngx_sio_out_item_t  *item;

    len = 0;

    for (i = out->first; i < out->last && len < NGX_SIO_OUT_GATHER; i++) {
        len += out->items[i].len - out->items[i].pos;
    }

    len = ngx_min(len, NGX_SIO_OUT_GATHER);

    out->rest = ngx_alloc(len, log);
    if (out->rest == NULL) {
        return NGX_ERROR;
    }

    out->rest_pos = 0;
    out->rest_len = len;

    for (p = out->rest; len; p += n, len -= n) {

        item = &out->items[out->first];
        n = ngx_min(len, item->len - item->pos);

        if (item->copy) {
            ngx_memcpy(p, item->copy + item->pos, n);

        } else if (fetch(out->data, item->ref, item->pos, p, n) != NGX_OK) {
            return NGX_DECLINED;
        }

        ngx_sio_out_take(out, n);
    }

    return NGX_OK;
}


static void
ngx_sio_out_pop(ngx_sio_out_t *out)
{
    ngx_sio_out_item_t  *item;

    item = &out->items[out->first++];

    if (!item->begun) {
        out->backlog -= item->len;
    }

    if (item->shared) {
        ngx_sio_shared_release(item->shared);

    } else if (item->copy) {

        if (item->ref) {
            out->rescued -= item->len;
        }

        ngx_free(item->copy);
    }
}
