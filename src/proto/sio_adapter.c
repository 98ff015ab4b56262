
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_adapter_decode.h"

#include <jansson.h>
#include <string.h>


static sio_rc_t sio_adapter_split(const unsigned char *p, size_t len,
    sio_mp_reader_t *packet, sio_mp_reader_t *opts, const char **error);
static sio_rc_t sio_adapter_flags(sio_adapter_t *a, sio_message_t *m,
    sio_mp_reader_t *r, const char **error);
static sio_rc_t sio_adapter_names(sio_adapter_t *a, uint16_t *count,
    sio_mp_reader_t *r, const char **error);


void
sio_adapter_free(sio_adapter_t *a)
{
    sio_buf_free(&a->text);
    sio_buf_free(&a->names_buf);
    sio_buf_free(&a->digits);

    json_decref(a->json);

    memset(a, 0, sizeof(sio_adapter_t));
}


void
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


sio_rc_t
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


sio_rc_t
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

sio_rc_t
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


sio_rc_t
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


/*
 * data is NULL for a name that is the last one in digits: this buffer still
 * grows, so such names get their address at the end.
 */

sio_rc_t
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


void
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
