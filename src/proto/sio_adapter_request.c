
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_adapter_decode.h"
#include "sio_json.h"

#include <stdio.h>


/* Types of requests (redis-adapter's RequestType) that are obeyed. */

#define SIO_ADAPTER_JOIN        2
#define SIO_ADAPTER_LEAVE       3
#define SIO_ADAPTER_DISCONNECT  4
#define SIO_ADAPTER_ASK         7         /* broadcast with acknowledgements */


static sio_rc_t sio_adapter_ask(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, const unsigned char *p, size_t len,
    const char **error);
static void sio_adapter_string(sio_mp_reader_t *r, sio_str_t *s);
static sio_rc_t sio_adapter_json_type(sio_message_t *m, const json_t *json,
    const char **error);
static sio_rc_t sio_adapter_json_addressed(sio_adapter_t *a,
    sio_message_t *m, const json_t *json, const char **error);
static sio_rc_t sio_adapter_json_names(sio_adapter_t *a, uint16_t *count,
    const json_t *json, const char **error);
static sio_rc_t sio_adapter_json_name(sio_adapter_t *a, const json_t *json,
    const char **error);


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
