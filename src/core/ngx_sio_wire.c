
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_wire.h"
#include "ngx_sio_welcome.h"

#include <sio_offset.h>


#define NGX_SIO_WIRE_GATHER    65536      /* bytes of one write */
#define NGX_SIO_WIRE_MESSAGES  256        /* messages of one write */
#define NGX_SIO_WIRE_KEEP      2097152    /* largest buffer kept */


/* Bytes of a longer run that are being written. */

typedef struct {
    size_t                    at;         /* to skip */
    size_t                    len;        /* to write then */
    u_char                   *p;
} ngx_sio_wire_window_t;


/* Messages that lie in the buffer below. */

typedef struct {
    ngx_sio_client_t         *client;
    ngx_uint_t                n;
    ngx_sio_message_t         msg[NGX_SIO_WIRE_MESSAGES];
} ngx_sio_wire_batch_t;


static ngx_uint_t ngx_sio_wire_counts(ngx_sio_gateway_t *gw,
    const sio_record_t *rec);
static size_t ngx_sio_wire_tail(ngx_sio_gateway_t *gw,
    const sio_record_t *rec, unsigned part, size_t *len);
static void ngx_sio_wire_put(ngx_sio_wire_window_t *w, const u_char *p,
    size_t n);
static ngx_int_t ngx_sio_wire_add(ngx_sio_wire_batch_t *batch,
    const sio_record_t *rec);
static void ngx_sio_wire_flush(ngx_sio_wire_batch_t *batch);


/* Tables and names of the record at hand. */

static sio_buf_t  ngx_sio_wire_record;

/* What a client missed, on its way to it. */

static sio_buf_t  ngx_sio_wire_missed_buffer;


sio_record_t *
ngx_sio_wire_load(ngx_sio_gateway_t *gw, uint64_t off, sio_record_t *rec)
{
    size_t      len;
    sio_buf_t  *b;

    b = &ngx_sio_wire_record;
    b->len = 0;

    len = sio_record_parts_at(rec);

    if (!sio_record_sane(rec, ngx_sio_log_max_record(gw->zone))
        || sio_buf_reserve(b, len) != SIO_OK
        || ngx_sio_log_copy(gw->zone, off, 0, b->data, len) != NGX_OK)
    {
        return NULL;
    }

    return (sio_record_t *) b->data;
}


void
ngx_sio_wire_message(ngx_sio_gateway_t *gw, const sio_record_t *rec,
    ngx_sio_message_t *msg, size_t start, size_t len)
{
    msg->ref = rec->offset;
    msg->next = 0;
    msg->start = (uint32_t) start;
    msg->len = (uint32_t) len;
    msg->drop = (rec->flags & SIO_RECORD_VOLATILE) != 0;
    msg->packed = 0;

    if (ngx_sio_wire_counts(gw, rec)) {
        msg->next = rec->offset + rec->size;
    }
}


/* True for an event that a client can go on from. */

static ngx_uint_t
ngx_sio_wire_counts(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    return gw->conf->recovery && rec->type == SIO_RECORD_EMIT
           && (rec->flags & SIO_RECORD_BARE) == 0;
}


/*
 * With recovery an event carries the offset behind it as its last argument, so
 * that a client can tell what it has got.  Returns the bytes of that, and takes
 * the bracket that they stand for from the length of the part.
 */

static size_t
ngx_sio_wire_tail(ngx_sio_gateway_t *gw, const sio_record_t *rec,
    unsigned part, size_t *len)
{
    if (!ngx_sio_wire_counts(gw, rec) || part != 0 || *len == 0) {
        return 0;
    }

    (*len)--;

    return NGX_SIO_WIRE_TAIL;
}


u_char *
ngx_sio_wire_offset(ngx_sio_gateway_t *gw, u_char *p, uint64_t off)
{
    *p++ = ',';
    *p++ = '"';

    sio_offset_encode(p, (uint32_t) gw->zone->epoch, off);
    p += SIO_OFFSET_LEN;

    *p++ = '"';
    *p++ = ']';

    return p;
}


size_t
ngx_sio_wire_len(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    size_t           len, n;
    unsigned         i;
    const uint32_t  *lens;

    lens = sio_record_part_lens(rec);
    len = 0;

    for (i = 0; i < rec->parts; i++) {
        n = lens[i];
        n += ngx_sio_wire_tail(gw, rec, i, &n);

        len += sio_ws_header_len(n) + n;
    }

    return len;
}


static void
ngx_sio_wire_put(ngx_sio_wire_window_t *w, const u_char *p, size_t n)
{
    if (w->at >= n) {
        w->at -= n;
        return;
    }

    n = ngx_min(n - w->at, w->len);

    w->p = ngx_cpymem(w->p, p + w->at, n);
    w->len -= n;
    w->at = 0;
}


/*
 * Writes bytes [at, at + len) of a record's WebSocket messages to p.  The first
 * part of a packet is text, the others are its attachments.
 */

ngx_int_t
ngx_sio_wire_write(ngx_sio_gateway_t *gw, const sio_record_t *rec,
    size_t at, u_char *p, size_t len)
{
    u_char                      head[SIO_WS_HEADER];
    u_char                      end[NGX_SIO_WIRE_TAIL];
    size_t                      n, tail, from, copied;
    unsigned                    i, opcode;
    const uint32_t             *lens;
    ngx_sio_wire_window_t   w;

    w.at = at;
    w.len = len;
    w.p = p;

    lens = sio_record_part_lens(rec);
    from = sio_record_parts_at(rec);

    for (i = 0; i < rec->parts && w.len; i++) {

        n = lens[i];
        tail = ngx_sio_wire_tail(gw, rec, i, &n);

        opcode = (i == 0 || rec->type == SIO_RECORD_SESSION) ? SIO_WS_TEXT
                                                             : SIO_WS_BINARY;

        ngx_sio_wire_put(&w, head, sio_ws_header(head, opcode, n + tail));

        if (w.at < n) {
            copied = ngx_min(n - w.at, w.len);

            if (ngx_sio_log_copy(gw->zone, rec->offset, from + w.at, w.p,
                                 copied)
                != NGX_OK)
            {
                return NGX_DECLINED;
            }

            w.p += copied;
            w.len -= copied;
            w.at = 0;

        } else {
            w.at -= n;
        }

        if (tail) {
            (void) ngx_sio_wire_offset(gw, end, rec->offset + rec->size);
            ngx_sio_wire_put(&w, end, tail);
        }

        from += lens[i];
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_wire_fetch(void *data, uint64_t ref, size_t at, u_char *p,
    size_t len)
{
    ngx_sio_client_t *sc = data;

    sio_record_t        rec, *image;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    if (ngx_sio_log_next(gw->zone, &ref, &rec) != NGX_OK) {
        return NGX_DECLINED;
    }

    image = ngx_sio_wire_load(gw, ref, &rec);

    if (image == NULL || at + len > ngx_sio_wire_len(gw, image)) {
        return NGX_DECLINED;
    }

    return ngx_sio_wire_write(gw, image, at, p, len);
}


ngx_int_t
ngx_sio_wire_missed(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    uint64_t *refs, ngx_uint_t n, uint64_t ready)
{
    uint64_t              off;
    ngx_int_t             rc;
    ngx_uint_t            i;
    sio_record_t          rec, *image;
    ngx_sio_wire_batch_t  batch;

    batch.client = sc;
    batch.n = 0;
    ngx_sio_wire_missed_buffer.len = 0;

    rc = NGX_OK;

    for (i = 0; i < n && rc == NGX_OK; i++) {

        off = refs[i];

        if (ngx_sio_log_next(gw->zone, &off, &rec) != NGX_OK
            || (image = ngx_sio_wire_load(gw, off, &rec)) == NULL)
        {
            rc = NGX_DECLINED;
            break;
        }

        if (ready && off >= ready && image->type != SIO_RECORD_SESSION) {
            ngx_sio_wire_flush(&batch);
            ngx_sio_welcome_ready(sc, ready);
            ready = 0;
        }

        rc = ngx_sio_wire_add(&batch, image);
    }

    if (rc == NGX_OK) {
        ngx_sio_wire_flush(&batch);

        if (ready) {
            ngx_sio_welcome_ready(sc, ready);
        }
    }

    if (ngx_sio_wire_missed_buffer.size > NGX_SIO_WIRE_KEEP) {
        sio_buf_free(&ngx_sio_wire_missed_buffer);
    }

    return rc;
}


static ngx_int_t
ngx_sio_wire_add(ngx_sio_wire_batch_t *batch, const sio_record_t *rec)
{
    size_t              len;
    sio_buf_t          *b;
    ngx_sio_gateway_t  *gw;

    gw = batch->client->gateway;
    b = &ngx_sio_wire_missed_buffer;
    len = ngx_sio_wire_len(gw, rec);

    if (len == 0) {
        return NGX_OK;
    }

    if (batch->n == NGX_SIO_WIRE_MESSAGES
        || b->len + len > NGX_SIO_WIRE_GATHER)
    {
        ngx_sio_wire_flush(batch);
    }

    if (sio_buf_reserve(b, len) != SIO_OK
        || ngx_sio_wire_write(gw, rec, 0, b->data + b->len, len) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_sio_wire_message(gw, rec, &batch->msg[batch->n++], b->len, len);

    b->len += len;

    return NGX_OK;
}


static void
ngx_sio_wire_flush(ngx_sio_wire_batch_t *batch)
{
    if (batch->n) {
        ngx_sio_client_write(batch->client, ngx_sio_wire_missed_buffer.data,
                             batch->msg, batch->n);
    }

    batch->n = 0;
    ngx_sio_wire_missed_buffer.len = 0;
}
