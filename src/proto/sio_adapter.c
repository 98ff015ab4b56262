
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_adapter.h"
#include "sio_json.h"
#include "sio_msgpack.h"
#include "sio_packet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>


/* Types of requests (redis-adapter's RequestType) that are obeyed. */

#define SIO_ADAPTER_JOIN        2
#define SIO_ADAPTER_LEAVE       3
#define SIO_ADAPTER_DISCONNECT  4
#define SIO_ADAPTER_ASK         7         /* broadcast with acknowledgements */

/* Longest start of a text in front of the namespace, and behind it. */
#define SIO_ADAPTER_PREFIX      (sizeof("4510-") - 1)
#define SIO_ADAPTER_ID          (sizeof(",18446744073709551615") - 1)


/* A value of a map that is looked for by name; value.pos: NULL if missing. */

typedef struct {
    sio_str_t            name;
    sio_mp_reader_t      value;
} sio_adapter_field_t;

#define sio_adapter_field(name)  { sio_string(name), { NULL, NULL } }


/* What stands in front of the data of a packet. */

typedef struct {
    sio_str_t            nsp;
    unsigned             type;          /* SIO_EVENT or SIO_ACK */
    int                  has_id;
    uint64_t             id;
} sio_adapter_head_t;


static void sio_adapter_reset(sio_adapter_t *a, sio_message_t *m);
static sio_rc_t sio_adapter_fail(const char **error, sio_rc_t rc,
    const char *text);
static sio_rc_t sio_adapter_split(const unsigned char *p, size_t len,
    sio_mp_reader_t *packet, sio_mp_reader_t *opts, const char **error);
static sio_rc_t sio_adapter_skip(sio_mp_reader_t *r, const char **error);
static sio_rc_t sio_adapter_fields(sio_mp_reader_t *r,
    sio_adapter_field_t *fields, unsigned n, const char **error);
static sio_rc_t sio_adapter_packet(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, sio_mp_reader_t *r, const char **error);
static sio_rc_t sio_adapter_packet_type(sio_adapter_head_t *head,
    sio_mp_reader_t *type, sio_mp_reader_t *id, const char **error);
static sio_rc_t sio_adapter_data(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, sio_mp_reader_t *r, const char **error);
static sio_rc_t sio_adapter_data_form(sio_mp_reader_t r, unsigned type,
    const char **error);
static void sio_adapter_prefix(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, size_t gap, unsigned bins);
static sio_rc_t sio_adapter_opts(sio_adapter_t *a, sio_message_t *m,
    sio_mp_reader_t *r, const char **error);
static sio_rc_t sio_adapter_flags(sio_adapter_t *a, sio_message_t *m,
    sio_mp_reader_t *r, const char **error);
static sio_rc_t sio_adapter_ask(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, const unsigned char *p, size_t len,
    const char **error);
static void sio_adapter_string(sio_mp_reader_t *r, sio_str_t *s);
static sio_rc_t sio_adapter_names(sio_adapter_t *a, uint16_t *count,
    sio_mp_reader_t *r, const char **error);
static sio_rc_t sio_adapter_json_type(sio_message_t *m, const json_t *json,
    const char **error);
static sio_rc_t sio_adapter_json_addressed(sio_adapter_t *a,
    sio_message_t *m, const json_t *json, const char **error);
static sio_rc_t sio_adapter_json_names(sio_adapter_t *a, uint16_t *count,
    const json_t *json, const char **error);
static sio_rc_t sio_adapter_json_name(sio_adapter_t *a, const json_t *json,
    const char **error);
static sio_rc_t sio_adapter_add_name(sio_adapter_t *a,
    const unsigned char *data, size_t len, const char **error);
static void sio_adapter_names_done(sio_adapter_t *a, sio_message_t *m);


void
sio_adapter_free(sio_adapter_t *a)
{
    sio_buf_free(&a->text);
    sio_buf_free(&a->names_buf);
    sio_buf_free(&a->digits);

    json_decref(a->json);

    memset(a, 0, sizeof(sio_adapter_t));
}


static void
sio_adapter_reset(sio_adapter_t *a, sio_message_t *m)
{
    a->text.len = 0;
    a->names_buf.len = 0;
    a->digits.len = 0;
    a->uid.len = 0;
    a->request.len = 0;
    a->timeout = 0;

    json_decref(a->json);
    a->json = NULL;

    memset(m, 0, sizeof(sio_message_t));
}


static sio_rc_t
sio_adapter_fail(const char **error, sio_rc_t rc, const char *text)
{
    *error = text;

    return rc;
}


sio_rc_t
sio_adapter_broadcast(sio_adapter_t *a, sio_message_t *m, sio_str_t nsp,
    const unsigned char *p, size_t len, const char **error)
{
    sio_rc_t             rc;
    sio_mp_reader_t      packet, opts;
    sio_adapter_head_t   head;

    *error = NULL;

    memset(&head, 0, sizeof(sio_adapter_head_t));
    head.nsp = nsp;

    sio_adapter_reset(a, m);

    m->type = SIO_RECORD_EMIT;

    /* that all of it can be read is known before any of it is used */

    rc = sio_adapter_split(p, len, &packet, &opts, error);

    if (rc == SIO_OK) {
        rc = sio_adapter_opts(a, m, &opts, error);
    }

    if (rc == SIO_OK) {
        rc = sio_adapter_packet(a, m, &head, &packet, error);
    }

    if (rc == SIO_OK) {
        sio_adapter_names_done(a, m);
    }

    return rc;
}


/* Finds the two parts that matter in [uid, packet, opts]. */

static sio_rc_t
sio_adapter_split(const unsigned char *p, size_t len, sio_mp_reader_t *packet,
    sio_mp_reader_t *opts, const char **error)
{
    uint32_t         i;
    sio_rc_t         rc;
    sio_mp_token_t   t;
    sio_mp_reader_t  r;

    if (len == 0) {
        return sio_adapter_fail(error, SIO_ERROR, "empty message");
    }

    r.pos = p;
    r.last = p + len;

    if (sio_mp_next(&r, &t) != SIO_OK || t.type != SIO_MP_ARRAY || t.u.n < 3) {
        return sio_adapter_fail(error, SIO_ERROR,
                                "not an array of three values");
    }

    for (i = 0; i < t.u.n; i++) {

        if (i == 1) {
            *packet = r;

        } else if (i == 2) {
            *opts = r;
        }

        rc = sio_adapter_skip(&r, error);

        if (rc != SIO_OK) {
            return rc;
        }
    }

    if (r.pos != r.last) {
        return sio_adapter_fail(error, SIO_ERROR, "trailing bytes");
    }

    return SIO_OK;
}


static sio_rc_t
sio_adapter_skip(sio_mp_reader_t *r, const char **error)
{
    sio_rc_t  rc;

    rc = sio_mp_skip(r);

    if (rc == SIO_LIMIT) {
        return sio_adapter_fail(error, rc, "nested too deep");
    }

    if (rc != SIO_OK) {
        return sio_adapter_fail(error, rc, "malformed msgpack");
    }

    return SIO_OK;
}


/*
 * Notes where the values of some fields of a map are; of equal keys the last
 * one counts, as in JavaScript.  SIO_AGAIN if there is no map, but nil.
 */

static sio_rc_t
sio_adapter_fields(sio_mp_reader_t *r, sio_adapter_field_t *fields,
    unsigned n, const char **error)
{
    uint32_t         i;
    unsigned         k;
    sio_rc_t         rc;
    sio_mp_token_t   map, key;
    sio_mp_reader_t  at;

    if (sio_mp_next(r, &map) != SIO_OK) {
        return sio_adapter_fail(error, SIO_ERROR, "malformed msgpack");
    }

    if (map.type == SIO_MP_NIL) {
        return SIO_AGAIN;
    }

    if (map.type != SIO_MP_MAP) {
        return sio_adapter_fail(error, SIO_ERROR, "packet, options or flags "
                                "are not a map");
    }

    for (i = 0; i < map.u.n; i++) {

        at = *r;
        rc = sio_adapter_skip(r, error);

        if (rc != SIO_OK) {
            return rc;
        }

        (void) sio_mp_next(&at, &key);

        for (k = 0; k < n && key.type == SIO_MP_STR; k++) {

            if (key.u.s.len == fields[k].name.len
                && memcmp(key.u.s.data, fields[k].name.data, key.u.s.len) == 0)
            {
                fields[k].value = *r;
            }
        }

        rc = sio_adapter_skip(r, error);

        if (rc != SIO_OK) {
            return rc;
        }
    }

    return SIO_OK;
}


/* An id that is given with the head makes any event one that asks. */

static sio_rc_t
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


static sio_rc_t
sio_adapter_opts(sio_adapter_t *a, sio_message_t *m, sio_mp_reader_t *r,
    const char **error)
{
    sio_rc_t             rc;
    sio_adapter_field_t  fields[] = {
        sio_adapter_field("rooms"),
        sio_adapter_field("except"),
        sio_adapter_field("flags")
    };

    rc = sio_adapter_fields(r, fields, 3, error);

    if (rc == SIO_OK) {
        rc = sio_adapter_names(a, &m->rooms, &fields[0].value, error);
    }

    if (rc == SIO_OK) {
        rc = sio_adapter_names(a, &m->except, &fields[1].value, error);
    }

    if (rc == SIO_OK) {
        rc = sio_adapter_flags(a, m, &fields[2].value, error);
    }

    return rc == SIO_AGAIN ? SIO_OK : rc;
}


static sio_rc_t
sio_adapter_flags(sio_adapter_t *a, sio_message_t *m, sio_mp_reader_t *r,
    const char **error)
{
    sio_rc_t             rc;
    sio_mp_token_t       t;
    sio_adapter_field_t  fields[] = {
        sio_adapter_field("volatile"),
        sio_adapter_field("timeout")
    };

    if (r->pos == NULL) {
        return SIO_OK;
    }

    rc = sio_adapter_fields(r, fields, 2, error);

    if (rc != SIO_OK) {
        return rc;
    }

    if (fields[0].value.pos
        && sio_mp_next(&fields[0].value, &t) == SIO_OK
        && (t.type == SIO_MP_BOOL || t.type == SIO_MP_UINT) && t.u.u != 0)
    {
        m->flags |= SIO_RECORD_VOLATILE;
    }

    if (fields[1].value.pos
        && sio_mp_next(&fields[1].value, &t) == SIO_OK
        && t.type == SIO_MP_UINT)
    {
        a->timeout = t.u.u;
    }

    return SIO_OK;
}


static sio_rc_t
sio_adapter_names(sio_adapter_t *a, uint16_t *count, sio_mp_reader_t *r,
    const char **error)
{
    size_t           at;
    uint32_t         i;
    sio_rc_t         rc;
    sio_mp_token_t   array, t;
    sio_mp_reader_t  number;

    if (r->pos == NULL) {
        return SIO_OK;
    }

    (void) sio_mp_next(r, &array);

    if (array.type == SIO_MP_NIL) {
        return SIO_OK;
    }

    if (array.type != SIO_MP_ARRAY) {
        return sio_adapter_fail(error, SIO_ERROR, "rooms are not an array");
    }

    for (i = 0; i < array.u.n; i++) {

        number = *r;
        (void) sio_mp_next(r, &t);

        switch (t.type) {

        case SIO_MP_STR:
            rc = sio_adapter_add_name(a, t.u.s.data, t.u.s.len, error);
            break;

        case SIO_MP_INT:
        case SIO_MP_UINT:
        case SIO_MP_FLOAT:
            at = a->digits.len;
            rc = sio_mp_json(&number, &a->digits, NULL, NULL, 0);

            if (rc == SIO_OK) {
                rc = sio_adapter_add_name(a, NULL, a->digits.len - at, error);
            }

            break;

        default:
            rc = sio_adapter_fail(error, SIO_ERROR, "room is neither a "
                                  "string nor a number");
        }

        if (rc != SIO_OK) {
            return rc;
        }
    }

    *count = array.u.n;

    return SIO_OK;
}


sio_rc_t
sio_adapter_request(sio_adapter_t *a, sio_message_t *m, sio_str_t nsp,
    uint64_t ack, const unsigned char *p, size_t len, const char **error)
{
    json_t              *json = NULL;
    sio_rc_t             rc;
    sio_adapter_head_t   head;

    *error = NULL;

    sio_adapter_reset(a, m);

    if (len == 0) {
        return sio_adapter_fail(error, SIO_ERROR, "empty request");
    }

    if (*p != '{') {
        head.nsp = nsp;
        head.has_id = 1;
        head.id = ack;

        return sio_adapter_ask(a, m, &head, p, len, error);
    }

    rc = sio_json_check(p, len);

    if (rc == SIO_LIMIT) {
        return sio_adapter_fail(error, rc, "nested too deep");
    }

    if (rc == SIO_OK) {
        rc = sio_json_load(p, len, &json);
    }

    if (rc != SIO_OK) {
        return sio_adapter_fail(error, rc, "malformed JSON");
    }

    a->json = json;

    rc = sio_adapter_json_type(m, json, error);

    if (rc == SIO_OK) {
        rc = sio_adapter_json_addressed(a, m, json, error);
    }

    if (rc != SIO_OK) {
        return rc;
    }

    if (m->type != SIO_RECORD_DISCONNECT && m->args == 0) {
        return SIO_AGAIN;
    }

    sio_adapter_names_done(a, m);

    return SIO_OK;
}


/* {uid, requestId, type: 7, packet, opts}; of the flags only timeout counts. */

static sio_rc_t
sio_adapter_ask(sio_adapter_t *a, sio_message_t *m, sio_adapter_head_t *head,
    const unsigned char *p, size_t len, const char **error)
{
    sio_rc_t              rc;
    sio_mp_token_t        t;
    sio_mp_reader_t       r;
    sio_adapter_field_t  *type;

    sio_adapter_field_t  fields[] = {
        sio_adapter_field("type"),
        sio_adapter_field("requestId"),
        sio_adapter_field("uid"),
        sio_adapter_field("packet"),
        sio_adapter_field("opts")
    };

    type = &fields[0];
    r.pos = p;
    r.last = p + len;

    rc = sio_adapter_fields(&r, fields, 5, error);

    if (rc != SIO_OK) {
        return rc;
    }

    if (r.pos != r.last) {
        return sio_adapter_fail(error, SIO_ERROR, "trailing bytes");
    }

    if (type->value.pos == NULL || sio_mp_next(&type->value, &t) != SIO_OK
        || t.type != SIO_MP_UINT)
    {
        return sio_adapter_fail(error, SIO_ERROR, "request without a type");
    }

    if (t.u.u != SIO_ADAPTER_ASK) {
        return SIO_AGAIN;
    }

    sio_adapter_string(&fields[1].value, &a->request);
    sio_adapter_string(&fields[2].value, &a->uid);

    if (a->request.len == 0 || fields[3].value.pos == NULL
        || fields[4].value.pos == NULL)
    {
        return sio_adapter_fail(error, SIO_ERROR, "request without an id, a "
                                "packet or options");
    }

    m->type = SIO_RECORD_EMIT;

    rc = sio_adapter_opts(a, m, &fields[4].value, error);

    m->flags = 0;

    if (rc == SIO_OK) {
        rc = sio_adapter_packet(a, m, head, &fields[3].value, error);
    }

    if (rc == SIO_OK) {
        sio_adapter_names_done(a, m);
    }

    return rc;
}


/* A field that is a string; any other is as good as none. */

static void
sio_adapter_string(sio_mp_reader_t *r, sio_str_t *s)
{
    sio_mp_token_t  t;

    if (r->pos && sio_mp_next(r, &t) == SIO_OK && t.type == SIO_MP_STR) {
        *s = t.u.s;
    }
}


/* Finds the kind of a request; SIO_AGAIN for one that is not obeyed. */

static sio_rc_t
sio_adapter_json_type(sio_message_t *m, const json_t *json,
    const char **error)
{
    json_t  *type;

    type = json_object_get(json, "type");

    if (!json_is_integer(type)) {
        return sio_adapter_fail(error, SIO_ERROR, "request without a type");
    }

    switch (json_integer_value(type)) {

    case SIO_ADAPTER_JOIN:
        m->type = SIO_RECORD_JOIN;
        return SIO_OK;

    case SIO_ADAPTER_LEAVE:
        m->type = SIO_RECORD_LEAVE;
        return SIO_OK;

    case SIO_ADAPTER_DISCONNECT:
        m->type = SIO_RECORD_DISCONNECT;

        if (json_is_true(json_object_get(json, "close"))) {
            m->flags = SIO_RECORD_CLOSE;
        }

        return SIO_OK;
    }

    return SIO_AGAIN;
}


/*
 * Reads {opts, rooms} or {sid, room} of older adapters.  A request with
 * neither must not be taken for one to all sockets.
 */

static sio_rc_t
sio_adapter_json_addressed(sio_adapter_t *a, sio_message_t *m,
    const json_t *json, const char **error)
{
    int       args;
    json_t   *opts, *sid;
    sio_rc_t  rc;

    args = (m->type != SIO_RECORD_DISCONNECT);
    opts = json_object_get(json, "opts");

    if (json_is_object(opts)) {

        rc = sio_adapter_json_names(a, &m->rooms,
                                    json_object_get(opts, "rooms"), error);

        if (rc == SIO_OK) {
            rc = sio_adapter_json_names(a, &m->except,
                                        json_object_get(opts, "except"),
                                        error);
        }

        if (rc == SIO_OK && args) {
            rc = sio_adapter_json_names(a, &m->args,
                                        json_object_get(json, "rooms"),
                                        error);
        }

        return rc;
    }

    sid = json_object_get(json, "sid");

    if (sid == NULL) {
        return sio_adapter_fail(error, SIO_ERROR,
                                "request with neither opts nor sid");
    }

    m->rooms = 1;
    rc = sio_adapter_json_name(a, sid, error);

    if (rc == SIO_OK && args) {
        m->args = 1;
        rc = sio_adapter_json_name(a, json_object_get(json, "room"), error);
    }

    return rc;
}


static sio_rc_t
sio_adapter_json_names(sio_adapter_t *a, uint16_t *count, const json_t *json,
    const char **error)
{
    size_t    i;
    sio_rc_t  rc;

    if (json == NULL || json_is_null(json)) {
        return SIO_OK;
    }

    if (!json_is_array(json)) {
        return sio_adapter_fail(error, SIO_ERROR, "rooms are not an array");
    }

    for (i = 0; i < json_array_size(json); i++) {
        rc = sio_adapter_json_name(a, json_array_get(json, i), error);

        if (rc != SIO_OK) {
            return rc;
        }
    }

    *count = i;

    return SIO_OK;
}


static sio_rc_t
sio_adapter_json_name(sio_adapter_t *a, const json_t *json,
    const char **error)
{
    int       n;
    char      text[24];
    size_t    at;
    sio_rc_t  rc;

    if (json_is_string(json)) {
        return sio_adapter_add_name(a,
                              (const unsigned char *) json_string_value(json),
                              json_string_length(json), error);
    }

    at = a->digits.len;

    if (json_is_integer(json)) {
        n = snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
                     json_integer_value(json));
        rc = sio_buf_append(&a->digits, text, n);

    } else if (json_is_real(json)) {
        rc = sio_json_double(&a->digits, json_real_value(json));

    } else {
        return sio_adapter_fail(error, SIO_ERROR, "room is neither a string "
                                "nor a number");
    }

    if (rc != SIO_OK) {
        return rc;
    }

    return sio_adapter_add_name(a, NULL, a->digits.len - at, error);
}


/*
 * data is NULL for a name that is the last one in digits: this buffer still
 * grows, so such names get their address at the end.
 */

static sio_rc_t
sio_adapter_add_name(sio_adapter_t *a, const unsigned char *data, size_t len,
    const char **error)
{
    sio_str_t  name;

    if (len == 0 || len > SIO_ROOM_LEN) {
        return sio_adapter_fail(error, SIO_ERROR,
                                "room name is empty or too long");
    }

    if (a->names_buf.len == SIO_RECORD_NAMES * sizeof(sio_str_t)) {
        return sio_adapter_fail(error, SIO_LIMIT, "too many rooms");
    }

    name.len = len;
    name.data = data;

    return sio_buf_append(&a->names_buf, &name, sizeof(sio_str_t));
}


static void
sio_adapter_names_done(sio_adapter_t *a, sio_message_t *m)
{
    size_t          i, n;
    unsigned char  *p;

    n = a->names_buf.len / sizeof(sio_str_t);

    a->names = (sio_str_t *) a->names_buf.data;
    p = a->digits.data;

    for (i = 0; i < n; i++) {

        if (a->names[i].data == NULL) {
            a->names[i].data = p;
            p += a->names[i].len;
        }
    }

    m->names = a->names;
}
