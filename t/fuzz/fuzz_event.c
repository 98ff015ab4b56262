
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_event.h"
#include "sio_packet.h"


/*
 * The input is an EVENT of Socket.IO as it stands behind the "42".  What its
 * name and its arguments are, jansson says by the array as a whole.
 */


#define FLAGS  (JSON_DECODE_ANY | JSON_ALLOW_NUL)


/* NUL is U+FFFD in an array that jansson alone would refuse. */

static int
same_text(const unsigned char *p, size_t len, const json_t *json, int strict)
{
    int        same;
    size_t     i;
    sio_buf_t  b;

    memset(&b, 0, sizeof(sio_buf_t));

    for (i = 0; i < len; i++) {

        if (p[i] || strict) {
            fuzz_append(&b, p + i, 1);

        } else {
            fuzz_append(&b, "\xef\xbf\xbd", 3);
        }
    }

    same = fuzz_equal(b.data, b.len, json_string_value(json),
                      json_string_length(json));
    sio_buf_free(&b);

    return same;
}


static void
check_name(const unsigned char *p, size_t len, const json_t *json, int strict)
{
    char     text[32];
    json_t  *number;

    switch (json_typeof(json)) {

    case JSON_STRING:
        fuzz_check(same_text(p, len, json, strict));
        break;

    case JSON_INTEGER:
        snprintf(text, sizeof(text), "%lld", json_integer_value(json));
        fuzz_check(fuzz_equal(p, len, text, strlen(text)));
        break;

    default:
        fuzz_check(json_is_real(json));

        number = json_loadb((const char *) p, len,
                            FLAGS | JSON_DECODE_INT_AS_REAL, NULL);

        fuzz_check(number && json_real_value(number) == json_real_value(json));
        json_decref(number);
    }
}


/*
 * Between brackets the arguments are what stands behind the name in the
 * array.  Where that is changed so that jansson takes it, they are, too, by a
 * name that it refuses.
 */

static void
check_args(const sio_str_t *args, json_t *json, int strict)
{
    size_t      i, behind;
    json_t     *list;
    sio_buf_t   b;

    memset(&b, 0, sizeof(sio_buf_t));

    fuzz_append(&b, "[", 1);

    if (!strict) {
        fuzz_append(&b, "\"\\ud800\"", 8);

        if (args->len) {
            fuzz_append(&b, ",", 1);
        }
    }

    behind = strict ? 0 : 1;

    fuzz_append(&b, args->data, args->len);
    fuzz_append(&b, "]", 1);

    fuzz_check(sio_json_check(b.data, b.len) == SIO_OK);
    fuzz_check(sio_json_load(b.data, b.len, &list) == SIO_OK);
    fuzz_check(json_array_size(list) + 1 == json_array_size(json) + behind);

    for (i = 1; i < json_array_size(json); i++) {
        fuzz_check(json_equal(json_array_get(json, i),
                              json_array_get(list, i - 1 + behind)));
    }

    json_decref(list);
    sio_buf_free(&b);
}


static void
check_event(const sio_str_t *payload)
{
    int         strict;
    json_t     *json, *first;
    sio_rc_t    rc;
    sio_buf_t   name;
    sio_str_t   args;

    memset(&name, 0, sizeof(sio_buf_t));
    fuzz_append(&name, "before", 6);

    rc = sio_event_read(payload, &name, &args);

    fuzz_check(name.len >= 6 && memcmp(name.data, "before", 6) == 0);

    if (payload->len == 0) {
        fuzz_check(rc == SIO_ERROR && name.len == 6);
        sio_buf_free(&name);
        return;
    }

    json = json_loadb((const char *) payload->data, payload->len, FLAGS, NULL);
    strict = (json != NULL);

    if (!strict) {
        fuzz_check(sio_json_load(payload->data, payload->len, &json)
                   == SIO_OK);
    }

    first = json_array_get(json, 0);

    /* of an event that has passed, a number beyond a double is no name */

    if (json_is_null(first)) {
        fuzz_check(rc == SIO_ERROR && name.len == 6);

    } else {
        fuzz_check(rc == SIO_OK);
        fuzz_check(fuzz_inside(&args, payload->data, payload->len));

        check_name(name.data + 6, name.len - 6, first, strict);
        check_args(&args, json, strict);
    }

    json_decref(json);
    sio_buf_free(&name);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    unsigned char  *text;
    sio_packet_t    pk;

    text = malloc(len + 1);
    fuzz_check(text != NULL);

    text[0] = '2';

    if (len) {
        memcpy(text + 1, p, len);
    }

    if (sio_packet_parse(&pk, text, len + 1, NULL) == SIO_OK) {
        check_event(&pk.data);
    }

    free(text);

    return 0;
}
