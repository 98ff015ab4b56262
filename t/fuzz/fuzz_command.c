
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_command.h"
#include "sio_packet.h"


/*
 * The input is a text of commands, and any JSON to walk through.  What is
 * accepted is packets that clients can read, and records; jansson, which is
 * stricter, has to find the same values.
 */


#define LARGE  (1024 * 1024)


static void
check_packet(const sio_message_t *m, sio_str_t nsp)
{
    sio_rc_t      rc;
    sio_str_t     text;
    sio_packet_t  pk;

    fuzz_check(m->parts == 1);

    text = m->part[0];

    fuzz_check(text.len > 2 && text.data[0] == '4');
    fuzz_check(text.data[text.len - 1] == ']');

    rc = sio_packet_parse(&pk, text.data + 1, text.len - 1, NULL);

    /* what the backend sends may be nested deeper than what clients send */

    if (rc == SIO_LIMIT) {
        return;
    }

    /* a comma ends a namespace for who reads it: there is no such one */

    if (memchr(nsp.data, ',', nsp.len)) {
        return;
    }

    fuzz_check(rc == SIO_OK);
    fuzz_check(fuzz_equal(pk.nsp.data, pk.nsp.len, nsp.data, nsp.len));

    if (m->flags == SIO_RECORD_BARE) {
        fuzz_check(pk.type == SIO_ACK && pk.id.len && m->rooms == 1);

    } else {
        fuzz_check(pk.type == SIO_EVENT && pk.id.len == 0);
        fuzz_check(m->flags == 0 || m->flags == SIO_RECORD_VOLATILE);
    }
}


static void
check_message(const sio_message_t *m, sio_str_t nsp)
{
    unsigned   i;
    sio_buf_t  b;

    fuzz_check(nsp.len && nsp.data[0] == '/' && fuzz_utf8(nsp.data, nsp.len));

    for (i = 0; i < (unsigned) m->rooms + m->except + m->args; i++) {
        fuzz_check(fuzz_utf8(m->names[i].data, m->names[i].len));
    }

    if (m->type == SIO_RECORD_EMIT) {
        fuzz_check(m->args == 0);
        check_packet(m, nsp);

    } else {
        fuzz_check(m->parts == 0);
        fuzz_check((m->type == SIO_RECORD_DISCONNECT
                    || m->type == SIO_RECORD_REFRESH) == (m->args == 0));
    }

    memset(&b, 0, sizeof(sio_buf_t));

    fuzz_check(sio_record_encode(&b, m, 1, LARGE) == SIO_OK);
    fuzz_check(sio_record_sane((sio_record_t *) b.data, b.len));

    sio_buf_free(&b);
}


/* An error is a line for a log. */

static void
check_error(sio_rc_t rc, const char *error)
{
    size_t  i;

    fuzz_check((error != NULL) == (rc == SIO_ERROR || rc == SIO_LIMIT));

    if (error == NULL) {
        return;
    }

    fuzz_check(strlen(error) > 0 && strlen(error) < SIO_COMMAND_ERROR - 1);

    for (i = 0; error[i]; i++) {
        fuzz_check(error[i] >= ' ' && error[i] <= '~');
    }
}


/* Returns how many there are, or -1. */

static int
check_commands(sio_command_t *c, const uint8_t *p, size_t len)
{
    int             n;
    sio_rc_t        rc;
    const char     *error;
    sio_message_t   m;

    rc = sio_command_open(c, p, len, &error);

    if (rc != SIO_OK) {
        check_error(rc, error);
        return -1;
    }

    for (n = 0; /* void */ ; n++) {
        rc = sio_command_next(c, &m, &error);
        check_error(rc, error);

        if (rc == SIO_AGAIN) {
            fuzz_check(sio_command_next(c, &m, &error) == SIO_AGAIN);
            return n;
        }

        if (rc != SIO_OK) {
            fuzz_check(rc == SIO_ERROR || rc == SIO_LIMIT);
            return -1;
        }

        check_message(&m, c->nsp);
    }
}


static void
check_string(const sio_str_t *text, json_t *json)
{
    unsigned char  *p, *last;

    p = fuzz_copy(text->data, text->len);
    last = sio_json_unquote(p, text);

    fuzz_check(fuzz_utf8(p, last - p));

    if (json) {
        fuzz_check(fuzz_equal(p, last - p, json_string_value(json),
                              json_string_length(json)));
    }

    free(p);
}


/* json is what jansson makes of the text, or NULL. */

static void
check_walk(const uint8_t *p, size_t len, json_t *json)
{
    size_t           n;
    json_t          *child;
    sio_str_t        text, key, value;
    sio_json_walk_t  w;

    text.data = sio_json_space(p, p + len);
    text.len = p + len - text.data;

    if (*text.data != '[' && *text.data != '{') {
        return;
    }

    sio_json_walk(&w, &text);

    for (n = 0; sio_json_step(&w, &key, &value) == SIO_OK; n++) {

        fuzz_check(fuzz_inside(&value, text.data, text.len));
        fuzz_check(sio_json_check_depth(value.data, value.len,
                                        SIO_COMMAND_DEPTH)
                   == SIO_OK);
        fuzz_check((key.len != 0) == (*text.data == '{'));

        if (key.len) {
            check_string(&key, NULL);
        }

        child = json_is_array(json) ? json_array_get(json, n) : NULL;

        if (*value.data == '"') {
            check_string(&value, child);
        }

        if (json_is_array(json)) {
            fuzz_check(child && json_is_string(child) == (*value.data == '"'));
        }
    }

    if (json) {
        fuzz_check(json_is_array(json) ? n == json_array_size(json)
                                       : n >= json_object_size(json));
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    int              n;
    json_t          *json;
    unsigned char   *copy;
    sio_command_t    fresh, used;

    static const sio_str_t  other = sio_string(
        "[{\"to\":[\"\\u0061\",\"b\"],\"event\":\"e\",\"args\":[1]},"
        "{\"op\":\"ack\",\"sid\":\"\\u0062\",\"ack\":7,\"args\":[[]]}]");

    memset(&fresh, 0, sizeof(sio_command_t));
    memset(&used, 0, sizeof(sio_command_t));

    copy = fuzz_copy(p, len);

    n = check_commands(&fresh, copy, len);

    fuzz_check(check_commands(&used, other.data, other.len) == 2);
    fuzz_check(check_commands(&used, copy, len) == n);

    sio_command_free(&fresh);
    sio_command_free(&used);

    if (fuzz_utf8(copy, len)
        && sio_json_check_depth(copy, len, SIO_COMMAND_DEPTH) == SIO_OK)
    {
        json = json_loadb((char *) copy, len,
                          JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        check_walk(copy, len, json);
        json_decref(json);
    }

    free(copy);

    return 0;
}
