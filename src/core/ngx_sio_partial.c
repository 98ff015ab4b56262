
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_partial.h"

#include <sio_base64.h>


static ngx_int_t ngx_sio_partial_record(ngx_sio_gateway_t *gw, uint32_t at,
    sio_record_t *rec);
static ngx_int_t ngx_sio_partial_copy(ngx_sio_client_t *sc,
    const sio_record_t *rec, sio_buf_t *b);
static ngx_int_t ngx_sio_partial_parts(ngx_sio_client_t *sc,
    const sio_record_t *rec);


ngx_int_t
ngx_sio_partial_begin(ngx_sio_client_t *sc, const u_char *p, size_t len)
{
    ngx_sio_partial_free(sc);

    sc->partial = ngx_calloc(sizeof(ngx_sio_partial_t), sc->gateway->log);
    if (sc->partial == NULL) {
        return NGX_ERROR;
    }

    if (sio_buf_append(&sc->partial->text, p, len) != SIO_OK) {
        ngx_sio_partial_free(sc);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_partial_add(ngx_sio_client_t *sc, const u_char *p, size_t len,
    ngx_uint_t base64)
{
    sio_buf_t          *b;
    ngx_sio_partial_t  *pt;

    pt = sc->partial;

    if (pt == NULL || pt->n == SIO_PACKET_ATTACHMENTS) {
        return NGX_OK;
    }

    b = &pt->bytes;

    if (!base64) {

        if (sio_buf_append(b, p, len) != SIO_OK) {
            return NGX_ERROR;
        }

    } else {

        if (sio_buf_reserve(b, len / 4 * 3 + 2) != SIO_OK) {
            return NGX_ERROR;
        }

        b->len += sio_base64_decode(b->data + b->len, p, len);
    }

    pt->end[pt->n++] = b->len;

    return NGX_OK;
}


void
ngx_sio_partial_views(ngx_sio_partial_t *pt, sio_str_t *attachment)
{
    size_t      from;
    ngx_uint_t  i;

    from = 0;

    for (i = 0; i < pt->n; i++) {
        attachment[i].data = pt->bytes.data + from;
        attachment[i].len = pt->end[i] - from;

        from = pt->end[i];
    }
}


void
ngx_sio_partial_free(ngx_sio_client_t *sc)
{
    if (sc->partial == NULL) {
        return;
    }

    sio_buf_free(&sc->partial->text);
    sio_buf_free(&sc->partial->bytes);

    ngx_free(sc->partial);

    sc->partial = NULL;
}


/* A record that is for nobody, but found by its place. */

ngx_int_t
ngx_sio_partial_save(ngx_sio_client_t *sc, uint32_t *at)
{
    uint64_t            first;
    sio_str_t           name, part[SIO_RECORD_PARTS];
    sio_message_t       m;
    ngx_sio_partial_t  *pt;

    pt = sc->partial;

    *at = 0;

    if (pt == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&m, sizeof(sio_message_t));

    name.data = sc->eio_sid;
    name.len = NGX_SIO_SID_LEN;

    part[0].data = pt->text.data;
    part[0].len = pt->text.len;
    ngx_sio_partial_views(pt, &part[1]);

    m.type = SIO_RECORD_PARTIAL;
    m.rooms = 1;
    m.names = &name;
    m.part = part;
    m.parts = (uint16_t) (1 + pt->n);

    if (ngx_sio_gateway_append_at(sc->gateway, &m, &first, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    *at = ngx_max((uint32_t) (first / SIO_RECORD_ALIGN), 1);

    return NGX_OK;
}


ngx_int_t
ngx_sio_partial_load(ngx_sio_client_t *sc, uint32_t at)
{
    uint64_t             hash;
    sio_record_t         rec;
    ngx_sio_gateway_t   *gw;

    gw = sc->gateway;

    if (at == 0) {
        return NGX_OK;
    }

    if (ngx_sio_partial_record(gw, at, &rec) != NGX_OK
        || ngx_sio_log_copy(gw->zone, rec.offset, sizeof(sio_record_t),
                            (u_char *) &hash, sizeof(uint64_t))
           != NGX_OK
        || hash != sio_hash(gw->zone->sh->seed, sc->eio_sid, NGX_SIO_SID_LEN))
    {
        return NGX_ERROR;
    }

    if (ngx_sio_partial_parts(sc, &rec) != NGX_OK) {
        ngx_sio_partial_free(sc);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The place is known by its low bits only, and is not far behind the head. */

static ngx_int_t
ngx_sio_partial_record(ngx_sio_gateway_t *gw, uint32_t at, sio_record_t *rec)
{
    uint64_t  head, off;

    head = ngx_sio_log_head(gw->zone);
    off = head - (uint64_t) ((uint32_t) (head / SIO_RECORD_ALIGN) - at)
                 * SIO_RECORD_ALIGN;

    if (off > head || ngx_sio_log_next(gw->zone, &off, rec) != NGX_OK) {
        return NGX_ERROR;
    }

    return (rec->type == SIO_RECORD_PARTIAL
            && sio_record_sane(rec, ngx_sio_log_max_record(gw->zone)))
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_sio_partial_parts(ngx_sio_client_t *sc, const sio_record_t *rec)
{
    u_char          *p;
    uint32_t         len;
    unsigned         i;
    ngx_int_t        rc;
    sio_buf_t        b;
    const uint32_t  *lens;

    ngx_memzero(&b, sizeof(sio_buf_t));

    rc = ngx_sio_partial_copy(sc, rec, &b);

    if (rc != NGX_OK) {
        sio_buf_free(&b);
        return rc;
    }

    lens = sio_record_part_lens((sio_record_t *) b.data);
    p = b.data + sio_record_parts_at(rec);

    for (i = 0; rc == NGX_OK && i < rec->parts; i++) {
        len = lens[i];

        rc = (i == 0) ? ngx_sio_partial_begin(sc, p, len)
                      : ngx_sio_partial_add(sc, p, len, 0);
        p += len;
    }

    sio_buf_free(&b);

    return rc;
}


static ngx_int_t
ngx_sio_partial_copy(ngx_sio_client_t *sc, const sio_record_t *rec,
    sio_buf_t *b)
{
    size_t  len;

    len = sio_record_parts_at(rec) + rec->parts_len;

    if (sio_buf_reserve(b, len) != SIO_OK
        || ngx_sio_log_copy(sc->gateway->zone, rec->offset, 0, b->data, len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    b->len = len;

    return NGX_OK;
}
