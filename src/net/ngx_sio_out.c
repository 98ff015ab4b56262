
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_out.h"


#define NGX_SIO_OUT_GATHER  65536     /* messages joined into one send */


static ngx_int_t ngx_sio_out_add(ngx_sio_out_t *out, uint64_t ref,
    u_char *copy, size_t len, ngx_log_t *log);
static ngx_int_t ngx_sio_out_gather(ngx_sio_out_t *out,
    ngx_sio_out_fetch_pt fetch, ngx_log_t *log);
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
ngx_sio_out_ref(ngx_sio_out_t *out, uint64_t ref, size_t len, ngx_log_t *log)
{
    return ngx_sio_out_add(out, ref, NULL, len, log);
}


ngx_int_t
ngx_sio_out_copy(ngx_sio_out_t *out, u_char *p, size_t len, ngx_log_t *log)
{
    u_char  *copy;

    copy = ngx_alloc(len, log);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy, p, len);

    if (ngx_sio_out_add(out, 0, copy, len, log) != NGX_OK) {
        ngx_free(copy);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_out_add(ngx_sio_out_t *out, uint64_t ref, u_char *copy, size_t len,
    ngx_log_t *log)
{
    ngx_uint_t           n;
    ngx_sio_out_item_t  *item;

    if (out->last == out->nalloc) {

        n = out->last - out->first;

        /* at least half of the array is free after either way */

        if (out->first > out->nalloc / 2) {
            ngx_memmove(out->items, out->items + out->first,
                        n * sizeof(ngx_sio_out_item_t));

        } else {
            item = ngx_alloc((n + 8) * 2 * sizeof(ngx_sio_out_item_t), log);
            if (item == NULL) {
                return NGX_ERROR;
            }

            if (out->items) {
                ngx_memcpy(item, out->items + out->first,
                           n * sizeof(ngx_sio_out_item_t));
                ngx_free(out->items);
            }

            out->items = item;
            out->nalloc = (n + 8) * 2;
        }

        out->first = 0;
        out->last = n;
    }

    item = &out->items[out->last++];
    item->ref = ref;
    item->copy = copy;
    item->len = len;

    out->backlog += len;

    return NGX_OK;
}


ssize_t
ngx_sio_out_rescue(ngx_sio_out_t *out, uint64_t below,
    ngx_sio_out_fetch_pt fetch, ngx_log_t *log)
{
    size_t               copied;
    u_char              *p;
    ngx_uint_t           i;
    ngx_sio_out_item_t  *item;

    copied = 0;

    for (i = out->first; i < out->last; i++) {
        item = &out->items[i];

        if (item->copy) {
            continue;
        }

        if (item->ref >= below) {
            break;
        }

        p = ngx_alloc(item->len, log);
        if (p == NULL) {
            return -1;
        }

        if (fetch(out->data, item->ref, p, item->len) != NGX_OK) {
            ngx_free(p);
            return -1;
        }

        item->copy = p;
        copied += item->len;
    }

    out->rescued += copied;

    return copied;
}


uint64_t
ngx_sio_out_oldest(ngx_sio_out_t *out)
{
    ngx_uint_t  i;

    for (i = out->first; i < out->last; i++) {
        if (out->items[i].copy == NULL) {
            return out->items[i].ref;
        }
    }

    return (uint64_t) -1;
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

        if (!c->write->ready) {
            return ngx_handle_write_event(c->write, 0) == NGX_OK
                   ? NGX_AGAIN : NGX_ERROR;
        }
    }
}


/*
 * Joins the next messages into one buffer, which becomes the rest.  What is
 * in it no longer counts as backlog: it is being written.
 */

static ngx_int_t
ngx_sio_out_gather(ngx_sio_out_t *out, ngx_sio_out_fetch_pt fetch,
    ngx_log_t *log)
{
    size_t               len;
    u_char              *p;
    ngx_uint_t           i;
    ngx_sio_out_item_t  *item;

    len = 0;

    for (i = out->first; i < out->last; i++) {
        if (len && len + out->items[i].len > NGX_SIO_OUT_GATHER) {
            break;
        }

        len += out->items[i].len;
    }

    out->rest = ngx_alloc(len, log);
    if (out->rest == NULL) {
        return NGX_ERROR;
    }

    out->rest_pos = 0;
    out->rest_len = len;

    p = out->rest;

    while (p < out->rest + len) {
        item = &out->items[out->first];

        if (item->copy) {
            ngx_memcpy(p, item->copy, item->len);

        } else if (fetch(out->data, item->ref, p, item->len) != NGX_OK) {
            return NGX_DECLINED;
        }

        p += item->len;
        ngx_sio_out_pop(out);
    }

    return NGX_OK;
}


static void
ngx_sio_out_pop(ngx_sio_out_t *out)
{
    ngx_sio_out_item_t  *item;

    item = &out->items[out->first++];

    out->backlog -= item->len;

    if (item->copy) {
        if (item->ref) {
            out->rescued -= item->len;
        }

        ngx_free(item->copy);
    }
}
