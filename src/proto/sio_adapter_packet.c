
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_adapter_decode.h"
#include "sio_packet.h"

#include <math.h>
#include <string.h>


/* The packet in a message: it becomes the text for clients. */


/* Longest start of a text in front of the namespace, and behind it. */
#define SIO_ADAPTER_PREFIX      (sizeof("4510-") - 1)
#define SIO_ADAPTER_ID          (sizeof(",18446744073709551615") - 1)


static sio_rc_t sio_adapter_packet_type(sio_adapter_head_t *head,
    sio_mp_reader_t *type, sio_mp_reader_t *id, const char **error);
static sio_rc_t sio_adapter_data(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, sio_mp_reader_t *r, const char **error);
static sio_rc_t sio_adapter_data_form(sio_mp_reader_t r, unsigned type,
    const char **error);
static void sio_adapter_prefix(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, size_t gap, unsigned bins);


/* An id that is given with the head makes any event one that asks. */

sio_rc_t
sio_adapter_packet(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, sio_mp_reader_t *r, const char **error)
{
    sio_rc_t              rc;
    sio_mp_token_t        t;
    sio_adapter_field_t  *type, *data, *name, *id;

    sio_adapter_field_t  fields[] = {
        sio_adapter_field("type"),
        sio_adapter_field("data"),
        sio_adapter_field("nsp"),
        sio_adapter_field("id")
    };

    type = &fields[0];
    data = &fields[1];
    name = &fields[2];
    id = &fields[3];

    rc = sio_adapter_fields(r, fields, 4, error);

    if (rc == SIO_AGAIN) {
        return sio_adapter_fail(error, SIO_ERROR, "no packet");
    }

    if (rc == SIO_OK) {
        rc = sio_adapter_packet_type(head, &type->value, &id->value, error);
    }

    if (rc != SIO_OK) {
        return rc;
    }

    if (name->value.pos) {
        (void) sio_mp_next(&name->value, &t);

        if (t.type != SIO_MP_NIL
            && (t.type != SIO_MP_STR || t.u.s.len != head->nsp.len
                || memcmp(t.u.s.data, head->nsp.data, t.u.s.len) != 0))
        {
            return SIO_AGAIN;
        }
    }

    if (data->value.pos == NULL) {
        return sio_adapter_fail(error, SIO_ERROR, "packet without data");
    }

    if (head->has_id) {
        m->flags |= SIO_RECORD_BARE;
    }

    return sio_adapter_data(a, m, head, &data->value, error);
}


/* The id of a client is relayed for an ACK only; SIO_AGAIN: it has none. */

static sio_rc_t
sio_adapter_packet_type(sio_adapter_head_t *head, sio_mp_reader_t *type,
    sio_mp_reader_t *id, const char **error)
{
    sio_mp_token_t  t;

    if (type->pos == NULL || sio_mp_next(type, &t) != SIO_OK
        || t.type != SIO_MP_UINT)
    {
        return sio_adapter_fail(error, SIO_ERROR, "packet without a type");
    }

    switch (t.u.u) {

    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        head->type = SIO_EVENT;
        return SIO_OK;

    case SIO_ACK:
    case SIO_BINARY_ACK:

        if (head->has_id || id->pos == NULL
            || sio_mp_next(id, &t) != SIO_OK || t.type != SIO_MP_UINT)
        {
            return SIO_AGAIN;
        }

        head->type = SIO_ACK;
        head->has_id = 1;
        head->id = t.u.u;
        return SIO_OK;

    default:
        return SIO_AGAIN;
    }
}


/* Writes the text of a packet; its bins become parts as they are found. */

static sio_rc_t
sio_adapter_data(sio_adapter_t *a, sio_message_t *m, sio_adapter_head_t *head,
    sio_mp_reader_t *r, const char **error)
{
    size_t    gap;
    unsigned  bins;
    sio_rc_t  rc;

    rc = sio_adapter_data_form(*r, head->type, error);

    if (rc != SIO_OK) {
        return rc;
    }

    /*
     * What comes first in the text depends on the number of bins, which is
     * known last: there is room left for it.
     */

    gap = SIO_ADAPTER_PREFIX + head->nsp.len + SIO_ADAPTER_ID;

    if (sio_buf_reserve(&a->text, gap) != SIO_OK) {
        return SIO_NOMEM;
    }

    a->text.len = gap;
    bins = 0;

    rc = sio_mp_json(r, &a->text, &a->part[1], &bins, SIO_PACKET_ATTACHMENTS);

    switch (rc) {

    case SIO_OK:
        sio_adapter_prefix(a, m, head, gap, bins);
        return SIO_OK;

    case SIO_LIMIT:
        return sio_adapter_fail(error, rc, "too many attachments or nested "
                                "too deep");

    case SIO_NOMEM:
        return rc;

    default:
        return sio_adapter_fail(error, rc, "data with a key that is no key");
    }
}


/* An array, which for an event begins with its name. */

static sio_rc_t
sio_adapter_data_form(sio_mp_reader_t r, unsigned type, const char **error)
{
    sio_mp_token_t  t;

    if (sio_mp_next(&r, &t) != SIO_OK || t.type != SIO_MP_ARRAY) {
        return sio_adapter_fail(error, SIO_ERROR, "data is not an array with "
                                "an event name");
    }

    if (type == SIO_ACK) {
        return SIO_OK;
    }

    if (t.u.n == 0 || sio_mp_next(&r, &t) != SIO_OK) {
        return sio_adapter_fail(error, SIO_ERROR, "data is not an array with "
                                "an event name");
    }

    switch (t.type) {

    case SIO_MP_INT:
    case SIO_MP_UINT:
        return SIO_OK;

    case SIO_MP_STR:
        break;

    case SIO_MP_FLOAT:

        /* JSON has null for other ones, and null is no name */

        if (isfinite(t.u.f)) {
            return SIO_OK;
        }

        /* fall through */

    default:
        return sio_adapter_fail(error, SIO_ERROR, "event name is neither a "
                                "string nor a number");
    }

    /* clients close their connection when they see such an event */

    if (sio_packet_reserved(t.u.s.data, t.u.s.len)) {
        return sio_adapter_fail(error, SIO_ERROR, "reserved event name");
    }

    return SIO_OK;
}


/* Writes "4<type>[<bins>-][<nsp>,][<id>]" into the end of the gap. */

static void
sio_adapter_prefix(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, size_t gap, unsigned bins)
{
    uint64_t        id;
    unsigned char  *p;

    p = a->text.data + gap;
    id = head->id;

    if (head->has_id) {

        do {
            *--p = '0' + id % 10;
            id /= 10;
        } while (id);
    }

    if (head->nsp.len > 1) {
        *--p = ',';
        p -= head->nsp.len;
        memcpy(p, head->nsp.data, head->nsp.len);
    }

    if (bins) {
        *--p = '-';
        *--p = '0' + bins % 10;

        if (bins >= 10) {
            *--p = '0' + bins / 10;
        }
    }

    /* BINARY_EVENT and BINARY_ACK stand three behind the plain ones */

    *--p = '0' + head->type
           + (bins ? SIO_BINARY_EVENT - SIO_EVENT : 0);
    *--p = '4';

    a->part[0].data = p;
    a->part[0].len = a->text.data + a->text.len - p;

    m->parts = 1 + bins;
    m->part = a->part;
}
