
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_pack.h"

#include <sio_deflate.h>


typedef struct {
    uint32_t                  start;      /* in the bytes */
    uint32_t                  len;        /* 0: it would not be shorter */
    uint32_t                  text;       /* bytes of the text in plain; 0: not
                                             tried yet */
} ngx_sio_pack_form_t;


static ngx_sio_pack_form_t *ngx_sio_pack_form(ngx_sio_pack_t *pack,
    ngx_uint_t i);
static void ngx_sio_pack_make(ngx_sio_pack_t *pack, ngx_sio_gateway_t *gw,
    const u_char *frame, size_t len, ngx_sio_pack_form_t *form);


ngx_int_t
ngx_sio_pack_init(ngx_sio_pack_t *pack, ngx_pool_t *pool)
{
    return ngx_array_init(&pack->forms, pool, 64, sizeof(ngx_sio_pack_form_t));
}


void
ngx_sio_pack_reset(ngx_sio_pack_t *pack, size_t keep)
{
    pack->forms.nelts = 0;
    pack->bytes.len = 0;

    if (pack->bytes.size > keep) {
        sio_buf_free(&pack->bytes);
    }
}


/*
 * What is owed is framed again from the log, so a compressed message is not
 * owed by reference, and who is behind gets none.
 */

u_char *
ngx_sio_pack_choose(ngx_sio_pack_t *pack, ngx_sio_client_t *sc, u_char *stage,
    const ngx_sio_message_t *messages, ngx_uint_t i, ngx_sio_message_t *msg)
{
    uint64_t              text;
    ngx_sio_pack_form_t  *form;

    *msg = messages[i];

    if (!ngx_sio_pack_wanted(sc) || msg->len == 0) {
        return stage;
    }

    if (sc->carrier) {
        sc = sc->carrier;
    }

    text = sio_ws_payload_len(stage + msg->start);

    /* what is no longer than a window does not refer to what is outside */

    if (text < sc->conf->deflate
        || (sc->ws.window < SIO_DEFLATE_MAX_WINDOW
            && text > (uint64_t) 1 << sc->ws.window))
    {
        return stage;
    }

    form = ngx_sio_pack_form(pack, i);
    if (form == NULL) {
        return stage;
    }

    if (form->text == 0) {
        form->text = (uint32_t) text;
        ngx_sio_pack_make(pack, sc->gateway, stage + msg->start, msg->len,
                          form);
    }

    if (form->len == 0) {
        return stage;
    }

    msg->packed = 1;
    msg->start = form->start;
    msg->len = form->len;

    return pack->bytes.data;
}


/* NULL without memory. */

static ngx_sio_pack_form_t *
ngx_sio_pack_form(ngx_sio_pack_t *pack, ngx_uint_t i)
{
    ngx_sio_pack_form_t  *form;

    while (pack->forms.nelts <= i) {

        form = ngx_array_push(&pack->forms);
        if (form == NULL) {
            return NULL;
        }

        ngx_memzero(form, sizeof(ngx_sio_pack_form_t));
    }

    form = pack->forms.elts;

    return &form[i];
}


/*
 * The text of a packet is the first frame of its message; the frames of its
 * attachments stay as they are.
 */

static void
ngx_sio_pack_make(ngx_sio_pack_t *pack, ngx_sio_gateway_t *gw,
    const u_char *frame, size_t len, ngx_sio_pack_form_t *form)
{
    size_t         start, head, size;
    u_char        *p;
    sio_rc_t       rc;
    sio_buf_t     *b;
    const u_char  *rest;

    b = &pack->bytes;
    start = b->len;
    head = sio_ws_header_len(form->text);
    rest = frame + head + form->text;
    len -= head + form->text;

    /* the header is written when the length behind it is known */

    if (sio_buf_reserve(b, SIO_WS_HEADER) != SIO_OK) {
        return;
    }

    b->len += SIO_WS_HEADER;

    rc = sio_deflate(b, frame + head, form->text);

    size = b->len - start - SIO_WS_HEADER;

    if (rc != SIO_OK || sio_buf_append(b, rest, len) != SIO_OK) {
        b->len = start;
        return;
    }

    p = b->data + start + SIO_WS_HEADER - sio_ws_header_len(size);

    (void) sio_ws_header(p, SIO_WS_TEXT|SIO_WS_DEFLATED, size);

    form->start = (uint32_t) (p - b->data);
    form->len = (uint32_t) (b->data + b->len - p);

    ngx_sio_gateway_stat(gw, DEFLATE_RECORDS, 1);
    ngx_sio_gateway_stat(gw, DEFLATE_IN, form->text);
    ngx_sio_gateway_stat(gw, DEFLATE_OUT, size);
}
