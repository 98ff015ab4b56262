
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_json.h"
#include "sio_msgpack.h"

#include <math.h>
#include <msgpack.h>


/*
 * The input is one value of msgpack, and perhaps more behind it.  msgpack-c
 * has to agree on where a value ends, and what it is.
 */


#define BINS  10


static void
check_tokens(const uint8_t *p, size_t len)
{
    sio_mp_token_t        t;
    sio_mp_reader_t       r;
    const unsigned char  *before;

    r.pos = p;
    r.last = p + len;

    for (before = r.pos; sio_mp_next(&r, &t) == SIO_OK; before = r.pos) {

        fuzz_check(r.pos > before && r.pos <= r.last);

        switch (t.type) {

        case SIO_MP_INT:
            fuzz_check(t.u.i < 0);
            break;

        case SIO_MP_STR:
        case SIO_MP_BIN:
        case SIO_MP_EXT:
            fuzz_check(fuzz_inside(&t.u.s, p, len));
            break;

        case SIO_MP_ARRAY:
        case SIO_MP_MAP:
            fuzz_check(t.u.n <= (size_t) (r.last - r.pos));
            break;

        default:
            fuzz_check(t.type <= SIO_MP_MAP);
        }
    }

    fuzz_check(r.pos <= r.last);
}


/* Where jansson has no NUL, the loader has U+FFFD. */

static void
same_string(const msgpack_object_str *str, const json_t *json)
{
    size_t     i;
    sio_buf_t  text, tame;

    memset(&text, 0, sizeof(sio_buf_t));
    memset(&tame, 0, sizeof(sio_buf_t));

    fuzz_check(sio_utf8_repair(&text, (const uint8_t *) str->ptr, str->size)
               == SIO_OK);

    for (i = 0; i < text.len; i++) {

        if (text.data[i]) {
            fuzz_append(&tame, &text.data[i], 1);

        } else {
            fuzz_append(&tame, "\xef\xbf\xbd", 3);
        }
    }

    fuzz_check(json_is_string(json));
    fuzz_check(fuzz_equal(text.data, text.len, json_string_value(json),
                          json_string_length(json))
               || fuzz_equal(tame.data, tame.len, json_string_value(json),
                             json_string_length(json)));

    sio_buf_free(&text);
    sio_buf_free(&tame);
}


static void
same_bytes(const msgpack_object_bin *bin, const json_t *json)
{
    size_t         i;
    const json_t  *data;

    data = json_object_get(json, "data");

    fuzz_check(json_object_size(json) == 2 && json_array_size(data) == bin->size
               && strcmp(json_string_value(json_object_get(json, "type")),
                         "Buffer") == 0);

    for (i = 0; i < bin->size; i++) {
        fuzz_check(json_integer_value(json_array_get(data, i))
                   == (unsigned char) bin->ptr[i]);
    }
}


static void same_map(const msgpack_object_map *map, const json_t *json);


/* What msgpack-c and jansson say of a value and its text is the same. */

static void
same_value(const msgpack_object *o, const json_t *json)
{
    size_t  i;

    switch (o->type) {

    case MSGPACK_OBJECT_NIL:
        fuzz_check(json_is_null(json));
        break;

    case MSGPACK_OBJECT_BOOLEAN:
        fuzz_check(json_is_boolean(json)
                   && json_is_true(json) == o->via.boolean);
        break;

    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        fuzz_check(o->via.u64 <= INT64_MAX
                   ? json_is_integer(json)
                     && json_integer_value(json) == (json_int_t) o->via.u64
                   : json_is_real(json)
                     && json_real_value(json) == (double) o->via.u64);
        break;

    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        fuzz_check(json_is_integer(json)
                   && json_integer_value(json) == o->via.i64);
        break;

    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        fuzz_check(isfinite(o->via.f64)
                   ? json_is_number(json)
                     && json_number_value(json) == o->via.f64
                   : json_is_null(json));
        break;

    case MSGPACK_OBJECT_STR:
        same_string(&o->via.str, json);
        break;

    case MSGPACK_OBJECT_BIN:
        same_bytes(&o->via.bin, json);
        break;

    case MSGPACK_OBJECT_EXT:
        fuzz_check(json_is_null(json)
                   || (o->via.ext.type == -1 && json_is_string(json)));
        break;

    case MSGPACK_OBJECT_ARRAY:
        fuzz_check(json_is_array(json)
                   && json_array_size(json) == o->via.array.size);

        for (i = 0; i < o->via.array.size; i++) {
            same_value(&o->via.array.ptr[i], json_array_get(json, i));
        }

        break;

    case MSGPACK_OBJECT_MAP:
        same_map(&o->via.map, json);
    }
}


/* jansson has no NUL in keys. */

static void
same_key(const msgpack_object_str *str, const char *key)
{
    const uint8_t  *p;

    p = (const uint8_t *) str->ptr;

    if (str->size && (memchr(p, 0, str->size) || !fuzz_utf8(p, str->size))) {
        return;
    }

    fuzz_check(fuzz_equal(p, str->size, key, strlen(key)));
}


/* The order is that of the input; some of what has equal keys is gone. */

static void
same_map(const msgpack_object_map *map, const json_t *json)
{
    void                  *iter;
    size_t                 i;
    const msgpack_object  *key;

    fuzz_check(json_is_object(json) && json_object_size(json) <= map->size);

    if (json_object_size(json) < map->size) {
        return;
    }

    iter = json_object_iter((json_t *) json);

    for (i = 0; i < map->size; i++) {
        key = &map->ptr[i].key;

        if (key->type == MSGPACK_OBJECT_STR) {
            same_key(&key->via.str, json_object_iter_key(iter));
        }

        same_value(&map->ptr[i].val, json_object_iter_value(iter));
        iter = json_object_iter_next((json_t *) json, iter);
    }
}


static void
check_value(const msgpack_object *o, const uint8_t *p, size_t len)
{
    json_t           *json;
    unsigned          n;
    sio_buf_t         b;
    sio_mp_reader_t   r;

    memset(&b, 0, sizeof(sio_buf_t));

    n = 0;
    r.pos = p;
    r.last = p + len;

    fuzz_check(sio_mp_json(&r, &b, NULL, &n, 0) == SIO_OK);

    if (sio_json_check(b.data, b.len) == SIO_OK) {
        fuzz_check(sio_json_load(b.data, b.len, &json) == SIO_OK);
        same_value(o, json);
        json_decref(json);
    }

    sio_buf_free(&b);
}


/* n is how many bytes the value has. */

static void
check_reference(const uint8_t *p, size_t len, size_t n)
{
    size_t                 at;
    msgpack_unpacked       value;
    msgpack_unpack_return  rc;

    at = 0;

    msgpack_unpacked_init(&value);
    rc = msgpack_unpack_next(&value, (const char *) p, len, &at);

    /* it refuses what is nested deeper than 32 */

    fuzz_check(rc == MSGPACK_UNPACK_NOMEM_ERROR
               || (rc >= MSGPACK_UNPACK_EXTRA_BYTES && at == n));

    if (rc >= MSGPACK_UNPACK_EXTRA_BYTES) {
        check_value(&value.data, p, n);
    }

    msgpack_unpacked_destroy(&value);
}


static size_t
count(const sio_buf_t *b, const char *text)
{
    size_t                n, len;
    const unsigned char  *p, *last;

    n = 0;
    p = b->data;
    last = p + b->len;
    len = strlen(text);

    while ((p = memmem(p, last - p, text, len))) {
        p += len;
        n++;
    }

    return n;
}


static void
check_text(const sio_buf_t *b)
{
    json_t    *json;
    sio_rc_t   rc;

    rc = sio_json_check(b->data, b->len);

    /* the transcoder goes deeper than the checker */

    fuzz_check(rc == SIO_OK || rc == SIO_LIMIT);
    fuzz_check(fuzz_utf8(b->data, b->len));

    if (rc == SIO_OK) {
        fuzz_check(sio_json_load(b->data, b->len, &json) == SIO_OK);
        json_decref(json);
    }
}


static sio_rc_t
check_json(const uint8_t *p, size_t len, size_t skipped, int attach)
{
    sio_rc_t         rc;
    unsigned         i, n;
    sio_buf_t        b;
    sio_str_t        bins[BINS];
    sio_mp_reader_t  r;

    memset(&b, 0, sizeof(sio_buf_t));

    n = 0;
    r.pos = p;
    r.last = p + len;

    rc = sio_mp_json(&r, &b, attach ? bins : NULL, &n, BINS);

    fuzz_check(n <= BINS && (attach || n == 0));

    for (i = 0; i < n; i++) {
        fuzz_check(fuzz_inside(&bins[i], p, len));
    }

    if (rc == SIO_OK) {
        fuzz_check((size_t) (r.pos - p) == skipped);
        check_text(&b);
        fuzz_check(count(&b, "{\"_placeholder\":true,\"num\":") >= n);
    }

    sio_buf_free(&b);

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    size_t           skipped;
    sio_rc_t         rc, text;
    sio_mp_reader_t  r;

    check_tokens(p, len);

    r.pos = p;
    r.last = p + len;

    rc = sio_mp_skip(&r);
    skipped = r.pos - p;

    text = check_json(p, len, skipped, 0);

    /* what can be skipped can be written, unless a key is no key */

    fuzz_check(rc == SIO_OK || text != SIO_OK);
    fuzz_check(rc != SIO_OK || text == SIO_OK || text == SIO_ERROR);

    rc = (rc == SIO_OK) ? text : rc;

    text = check_json(p, len, skipped, 1);

    fuzz_check(rc == SIO_OK ? text == SIO_OK || text == SIO_LIMIT
                            : text != SIO_OK);

    if (rc == SIO_OK) {
        check_reference(p, len, skipped);
    }

    return 0;
}
