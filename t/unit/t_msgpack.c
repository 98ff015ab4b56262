
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_json.h"
#include "sio_msgpack.h"

#include <msgpack.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define BINS  10


/*
 * Transcodes a copy of the exact size.  Skipping must find the same end, and
 * the text must be JSON (unless it is nested deeper than that is checked).
 */

static sio_rc_t
transcode(const void *data, size_t len, sio_buf_t *out, unsigned *nbins)
{
    sio_rc_t              rc, skip, json;
    sio_str_t             bins[BINS];
    unsigned char        *p;
    sio_mp_reader_t       r;
    const unsigned char  *end;

    p = malloc(len + !len);
    assert_non_null(p);

    if (len) {
        memcpy(p, data, len);
    }

    r.pos = p;
    r.last = p + len;
    skip = sio_mp_skip(&r);
    end = r.pos;

    r.pos = p;
    r.last = p + len;
    out->len = 0;

    if (nbins) {
        *nbins = 0;
    }

    rc = sio_mp_json(&r, out, nbins ? bins : NULL, nbins, nbins ? BINS : 0);

    if (rc == SIO_OK) {
        assert_int_equal(skip, SIO_OK);
        assert_ptr_equal(r.pos, end);

        json = sio_json_check(out->data, out->len);
        assert_true(json == SIO_OK || json == SIO_LIMIT);

        assert_int_equal(sio_buf_append(out, "", 1), SIO_OK);
        out->len--;
    }

    free(p);

    return rc;
}


static void
check(const void *data, size_t len, const char *expected)
{
    size_t     i;
    unsigned   n;
    sio_rc_t   rc;
    sio_buf_t  out;

    memset(&out, 0, sizeof(sio_buf_t));

    rc = transcode(data, len, &out, &n);

    if (rc != SIO_OK || strcmp((char *) out.data, expected) != 0) {
        fail_msg("%d %s, expected %s", rc,
                 out.data ? (char *) out.data : "", expected);
    }

    /* without its end it is nothing */

    for (i = 0; i < len; i++) {
        assert_int_equal(transcode(data, i, &out, &n), SIO_ERROR);
    }

    sio_buf_free(&out);
}


static void
check_bad(const void *data, size_t len, sio_rc_t expected)
{
    unsigned   n;
    sio_buf_t  out;

    memset(&out, 0, sizeof(sio_buf_t));

    assert_int_equal(transcode(data, len, &out, &n), expected);

    sio_buf_free(&out);
}


#define ok(data, expected)   check(data, sizeof(data) - 1, expected)
#define bad(data)            check_bad(data, sizeof(data) - 1, SIO_ERROR)


static void
test_ints(void **state)
{
    ok("\x00", "0");
    ok("\x7f", "127");
    ok("\xff", "-1");
    ok("\xe0", "-32");
    ok("\xcc\x80", "128");
    ok("\xcc\x00", "0");
    ok("\xcd\xff\xff", "65535");
    ok("\xce\xff\xff\xff\xff", "4294967295");
    ok("\xcf\x00\x00\x00\x01\x00\x00\x00\x00", "4294967296");
    ok("\xcf\x00\x20\x00\x00\x00\x00\x00\x01", "9007199254740993");
    ok("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615");
    ok("\xd0\x80", "-128");
    ok("\xd0\x7f", "127");
    ok("\xd1\x80\x00", "-32768");
    ok("\xd1\x7f\xff", "32767");
    ok("\xd2\x80\x00\x00\x00", "-2147483648");
    ok("\xd2\x7f\xff\xff\xff", "2147483647");
    ok("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808");
    ok("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", "9223372036854775807");
    ok("\xd3\xff\xff\xff\xff\xff\xff\xff\xff", "-1");
    ok("\xd3\x00\x00\x00\x00\x00\x00\x00\x00", "0");
}


static void
test_floats(void **state)
{
    ok("\xca\x3f\xc0\x00\x00", "1.5");
    ok("\xca\x7f\xc0\x00\x00", "null");
    ok("\xca\x7f\x80\x00\x00", "null");
    ok("\xca\x3d\xcc\xcc\xcd", "0.10000000149011612");
    ok("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", "1.5");
    ok("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1");
    ok("\xcb\x40\x59\x00\x00\x00\x00\x00\x00", "100");
    ok("\xcb\x80\x00\x00\x00\x00\x00\x00\x00", "0");
    ok("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", "null");
    ok("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "null");
}


static void
test_simple(void **state)
{
    ok("\xc0", "null");
    ok("\xc2", "false");
    ok("\xc3", "true");
    bad("\xc1");
    bad("\x91\xc1");
    bad("\x81\xa1x\xc1");
}


static void
test_strings(void **state)
{
    ok("\xa0", "\"\"");
    ok("\xa1x", "\"x\"");
    ok("\xbf" "0123456789012345678901234567890",
       "\"0123456789012345678901234567890\"");
    ok("\xd9\x00", "\"\"");
    ok("\xd9\x02hi", "\"hi\"");
    ok("\xda\x00\x02hi", "\"hi\"");
    ok("\xdb\x00\x00\x00\x02hi", "\"hi\"");
    ok("\xa4\"\\\n\x01", "\"\\\"\\\\\\n\\u0001\"");
    ok("\xa3" "a\xff" "b", "\"a\xef\xbf\xbd" "b\"");
    ok("\xa4\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"");
    bad("\xa2x");
    bad("\xdb\xff\xff\xff\xff" "abc");
    bad("\xda\x00\x04" "abc");
}


static void
test_arrays(void **state)
{
    ok("\x90", "[]");
    ok("\x92\x01\xa1x", "[1,\"x\"]");
    ok("\x91\x91\x91\x90", "[[[[]]]]");
    ok("\xdc\x00\x00", "[]");
    ok("\xdc\x00\x02\x01\x02", "[1,2]");
    ok("\xdd\x00\x00\x00\x02\x01\x02", "[1,2]");
}


static void
test_maps(void **state)
{
    ok("\x80", "{}");
    ok("\x82\xa1" "a\x01\xa1" "b\x90", "{\"a\":1,\"b\":[]}");
    ok("\xde\x00\x01\xa1" "a\x01", "{\"a\":1}");
    ok("\xdf\x00\x00\x00\x01\xa1" "a\x01", "{\"a\":1}");
    ok("\x81\xa0\xc0", "{\"\":null}");
}


static void
test_map_keys(void **state)
{
    ok("\x81\x05\x01", "{\"5\":1}");
    ok("\x81\xff\x01", "{\"-1\":1}");
    ok("\x81\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\x01", "{\"1.5\":1}");
    ok("\x81\xc0\x01", "{\"null\":1}");
    ok("\x81\xc3\x01", "{\"true\":1}");
    ok("\x81\xc4\x02" "ab\x01", "{\"ab\":1}");
    ok("\x81\xa2\"\n\x01", "{\"\\\"\\n\":1}");
    ok("\x81\xd6\xff\x65\x53\xf1\x00\x01",
       "{\"2023-11-14T22:13:20.000Z\":1}");
    ok("\x82\xd6\xff\x65\x53\xf1\x00\x01\xd4\x00\x00\x02",
       "{\"2023-11-14T22:13:20.000Z\":1,\"null\":2}");
    bad("\x81\x90\x01");
    bad("\x81\x80\x01");
}


/* A count that the input cannot hold is refused at once. */

static void
test_hostile_counts(void **state)
{
    bad("\xdd\xff\xff\xff\xff");
    bad("\xdf\xff\xff\xff\xff");
    bad("\xdf\x80\x00\x00\x00");
    bad("\xdc\xff\xff\x01\x02\x03");
    bad("\xde\x00\x02\x01\x02\x03");
    bad("\x9f\x01\x02");
    bad("\xc6\xff\xff\xff\xff");
    bad("\xc9\xff\xff\xff\xff\x01");
    bad("\xdd\x00\x00\x00\x04\xdd\x00\x00\x00");
    bad("\x91\xdd\x7f\xff\xff\xff\x00");
}


static void
test_ext(void **state)
{
    ok("\xd4\x00\x00", "null");
    ok("\xd5\x05" "ab", "null");
    ok("\xd6\x05" "abcd", "null");
    ok("\xd7\x05" "abcdefgh", "null");
    ok("\xd8\x05" "abcdefghijklmnop", "null");
    ok("\xc7\x03\x05" "abc", "null");
    ok("\xc7\x00\x05", "null");
    ok("\xc8\x00\x03\x05" "abc", "null");
    ok("\xc9\x00\x00\x00\x03\x05" "abc", "null");
    ok("\x92\xd4\x01x\x07", "[null,7]");
}


static void
test_times(void **state)
{
    ok("\xd6\xff\x65\x53\xf1\x00", "\"2023-11-14T22:13:20.000Z\"");
    ok("\xd6\xff\x00\x00\x00\x00", "\"1970-01-01T00:00:00.000Z\"");
    ok("\xd6\xff\xff\xff\xff\xff", "\"2106-02-07T06:28:15.000Z\"");
    ok("\xd7\xff\x1d\x53\x53\x00\x65\x53\xf1\x00",
       "\"2023-11-14T22:13:20.123Z\"");
    ok("\xd7\xff\x00\x00\x00\x03\xff\xff\xff\xff",
       "\"2514-05-30T01:53:03.000Z\"");
    ok("\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",
       "\"1969-12-31T23:59:59.000Z\"");
    ok("\xc7\x0c\xff\x3b\x9a\xc9\xff\x00\x00\x00\x00\x00\x00\x00\x00",
       "\"1970-01-01T00:00:00.999Z\"");

    /* beyond a second, beyond Date, of another length */

    ok("\xc7\x0c\xff\x3b\x9a\xca\x00\x00\x00\x00\x00\x00\x00\x00\x00", "null");
    ok("\xd7\xff\xff\xff\xff\xff\x00\x00\x00\x00", "null");
    ok("\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "null");
    ok("\xc7\x0c\xff\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00", "null");
    ok("\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x07\xdb\xa8\x21\x80\x00",
       "\"+275760-09-13T00:00:00.000Z\"");
    ok("\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x07\xdb\xa8\x21\x80\x01", "null");
    ok("\xd4\xff\x00", "null");
    ok("\xc7\x00\xff", "null");

    ok("\xc7\x04\xff\x65\x53\xf1\x00", "\"2023-11-14T22:13:20.000Z\"");
}


static void
test_bins(void **state)
{
    unsigned         n;
    sio_buf_t        out;
    sio_str_t        bins[4];
    sio_mp_reader_t  r;

    static const unsigned char  data[] =
        "\x94\xa1" "b\xc4\x02\x01\x02\x81\xa1k\xc5\x00\x01\xff"
        "\xc6\x00\x00\x00\x00";

    memset(&out, 0, sizeof(sio_buf_t));

    r.pos = data;
    r.last = data + sizeof(data) - 1;
    n = 0;

    assert_int_equal(sio_mp_json(&r, &out, bins, &n, 3), SIO_OK);
    assert_int_equal(sio_buf_append(&out, "", 1), SIO_OK);
    assert_string_equal(out.data, "[\"b\",{\"_placeholder\":true,\"num\":0},"
                        "{\"k\":{\"_placeholder\":true,\"num\":1}},"
                        "{\"_placeholder\":true,\"num\":2}]");
    assert_int_equal(n, 3);
    assert_int_equal(bins[0].len, 2);
    assert_ptr_equal(bins[0].data, data + 5);
    assert_int_equal(bins[1].len, 1);
    assert_memory_equal(bins[1].data, "\xff", 1);
    assert_int_equal(bins[2].len, 0);

    /* one too many */

    r.pos = data;
    n = 0;
    out.len = 0;
    assert_int_equal(sio_mp_json(&r, &out, bins, &n, 2), SIO_LIMIT);
    assert_int_equal(n, 2);

    /* the numbers go on from what is there */

    r.pos = data + 3;
    n = 1;
    out.len = 0;
    assert_int_equal(sio_mp_json(&r, &out, bins, &n, 4), SIO_OK);
    assert_int_equal(sio_buf_append(&out, "", 1), SIO_OK);
    assert_string_equal(out.data, "{\"_placeholder\":true,\"num\":1}");
    assert_int_equal(n, 2);

    /* and in place, as Buffer.toJSON() has it */

    assert_int_equal(transcode(data, sizeof(data) - 1, &out, NULL), SIO_OK);
    assert_string_equal(out.data, "[\"b\",{\"type\":\"Buffer\",\"data\":[1,2]},"
                        "{\"k\":{\"type\":\"Buffer\",\"data\":[255]}},"
                        "{\"type\":\"Buffer\",\"data\":[]}]");

    sio_buf_free(&out);
}


static void
test_tokens(void **state)
{
    sio_mp_token_t   t;
    sio_mp_reader_t  r;

    static const unsigned char  data[] = "\x93\xd0\xff\x81\xa1x\xc7\x02\x85"
                                         "ab\xcc\xff";

    r.pos = data;
    r.last = data + sizeof(data) - 1;

    assert_int_equal(sio_mp_next(&r, &t), SIO_OK);
    assert_int_equal(t.type, SIO_MP_ARRAY);
    assert_int_equal(t.u.n, 3);

    assert_int_equal(sio_mp_next(&r, &t), SIO_OK);
    assert_int_equal(t.type, SIO_MP_INT);
    assert_int_equal(t.u.i, -1);

    assert_int_equal(sio_mp_next(&r, &t), SIO_OK);
    assert_int_equal(t.type, SIO_MP_MAP);
    assert_int_equal(t.u.n, 1);

    assert_int_equal(sio_mp_next(&r, &t), SIO_OK);
    assert_int_equal(t.type, SIO_MP_STR);
    assert_int_equal(t.u.s.len, 1);
    assert_int_equal(t.u.s.data[0], 'x');

    assert_int_equal(sio_mp_next(&r, &t), SIO_OK);
    assert_int_equal(t.type, SIO_MP_EXT);
    assert_int_equal(t.ext, -123);
    assert_int_equal(t.u.s.len, 2);

    assert_int_equal(sio_mp_next(&r, &t), SIO_OK);
    assert_int_equal(t.type, SIO_MP_UINT);
    assert_int_equal(t.u.u, 255);

    assert_int_equal(sio_mp_next(&r, &t), SIO_ERROR);
}


static void
check_depth(unsigned depth, const char *open, const char *inner, sio_rc_t rc)
{
    unsigned   i, n;
    sio_buf_t  b, out;

    memset(&b, 0, sizeof(sio_buf_t));
    memset(&out, 0, sizeof(sio_buf_t));

    for (i = 0; i < depth; i++) {
        assert_int_equal(sio_buf_append(&b, open, strlen(open)), SIO_OK);
    }

    assert_int_equal(sio_buf_append(&b, inner, strlen(inner)), SIO_OK);
    assert_int_equal(transcode(b.data, b.len, &out, &n), rc);

    sio_buf_free(&b);
    sio_buf_free(&out);
}


static void
test_depth(void **state)
{
    sio_mp_reader_t  r;
    unsigned char    deep[100000];

    check_depth(64, "\x91", "\xc0", SIO_OK);
    check_depth(64, "\x81\xa1k", "\xc0", SIO_OK);
    check_depth(32, "\x81\xa1k\x91", "\xc0", SIO_OK);
    check_depth(SIO_MSGPACK_DEPTH, "\x91", "\xc0", SIO_OK);
    check_depth(SIO_MSGPACK_DEPTH - 1, "\x91", "\x90", SIO_OK);
    check_depth(SIO_MSGPACK_DEPTH, "\x91", "\x90", SIO_LIMIT);
    check_depth(SIO_MSGPACK_DEPTH, "\x81\xa1k", "\x80", SIO_LIMIT);
    check_depth(SIO_MSGPACK_DEPTH + 1, "\x91", "\xc0", SIO_LIMIT);
    check_depth(100000, "\x91", "\xc0", SIO_LIMIT);

    memset(deep, 0x91, sizeof(deep));
    r.pos = deep;
    r.last = deep + sizeof(deep);
    assert_int_equal(sio_mp_skip(&r), SIO_LIMIT);

    /* keys may be of any kind where they are skipped */

    r.pos = (const unsigned char *) "\x82\x91\x01\x02\x80\x90\x05";
    r.last = r.pos + 7;
    assert_int_equal(sio_mp_skip(&r), SIO_OK);
    assert_int_equal(*r.pos, 5);
}


/*
 * The differential test: a random value is packed by msgpack-c and built as
 * a tree of jansson; the transcoded text must load as the same tree.
 */

static msgpack_sbuffer  packed;
static msgpack_packer   packer;
static char             blob[70000];


static json_t *
random_scalar(void)
{
    char     text[40];
    double   d;
    size_t   n;
    int64_t  i;

    switch (rand() % 7) {

    case 0:
        msgpack_pack_nil(&packer);
        return json_null();

    case 1:
        msgpack_pack_true(&packer);
        return json_true();

    case 2:
        msgpack_pack_false(&packer);
        return json_false();

    case 3:
        i = ((uint64_t) rand() << 33 ^ (uint64_t) rand() << 11 ^ rand())
            >> rand() % 64;
        i = rand() % 2 ? i : -i;
        msgpack_pack_int64(&packer, i);
        return json_integer(i);

    case 4:
        d = (rand() - RAND_MAX / 2) / 1024.0 + 0.0001;
        msgpack_pack_double(&packer, d);
        return json_real(d);

    case 5:
        d = (float) (0.5 + rand() % 1000);
        msgpack_pack_float(&packer, d);
        return json_real(d);
    }

    n = rand() % (rand() % 3 ? 40 : 300);

    if (rand() % 500 == 0) {
        n += 65300;
    }

    snprintf(text, sizeof(text), "\"\\\n\x01%u\xc3\xa9\xf0\x9f\x98\x80",
             rand());
    memset(blob, 'x', n);

    if (n > strlen(text)) {
        memcpy(blob + rand() % (n - strlen(text)), text, strlen(text));
    }

    msgpack_pack_str(&packer, n);
    msgpack_pack_str_body(&packer, blob, n);

    return json_stringn(blob, n);
}


static json_t *
random_value(unsigned depth)
{
    char      key[24];
    size_t    i, n;
    json_t   *json;

    if (depth == 0 || rand() % 3 == 0) {
        return random_scalar();
    }

    n = rand() % 50 ? rand() % 5 : rand() % 40;

    if (rand() % 2) {
        json = json_array();
        msgpack_pack_array(&packer, n);

        for (i = 0; i < n; i++) {
            json_array_append_new(json, random_value(depth - 1));
        }

        return json;
    }

    json = json_object();
    msgpack_pack_map(&packer, n);

    for (i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "%zu\n%u", i, rand() % 1000);
        msgpack_pack_str(&packer, strlen(key));
        msgpack_pack_str_body(&packer, key, strlen(key));

        json_object_set_new(json, key, random_value(depth - 1));
    }

    return json;
}


/* Reals that are integral come back as integers: the text is the same. */

static int
same(json_t *a, json_t *b)
{
    size_t       i;
    const char  *key;
    json_t      *value;

    if (json_is_number(a) && json_is_number(b)) {

        if (json_is_integer(a) && json_is_integer(b)) {
            return json_equal(a, b);
        }

        return json_number_value(a) == json_number_value(b);
    }

    if (json_is_array(a) && json_is_array(b)) {

        if (json_array_size(a) != json_array_size(b)) {
            return 0;
        }

        json_array_foreach(a, i, value) {
            if (!same(value, json_array_get(b, i))) {
                return 0;
            }
        }

        return 1;
    }

    if (json_is_object(a) && json_is_object(b)) {

        if (json_object_size(a) != json_object_size(b)) {
            return 0;
        }

        json_object_foreach(a, key, value) {
            if (!same(value, json_object_get(b, key))) {
                return 0;
            }
        }

        return 1;
    }

    return json_equal(a, b);
}


static void
test_differential(void **state)
{
    json_t    *expected, *got;
    unsigned   i, n;
    sio_buf_t  out;

    srand(23);
    memset(&out, 0, sizeof(sio_buf_t));
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);

    for (i = 0; i < 20000; i++) {
        msgpack_sbuffer_clear(&packed);
        expected = random_value(rand() % 7);

        assert_int_equal(transcode(packed.data, packed.size, &out, &n),
                         SIO_OK);
        assert_int_equal(sio_json_check(out.data, out.len), SIO_OK);

        got = json_loadb((char *) out.data, out.len, JSON_DECODE_ANY, NULL);
        assert_non_null(got);
        assert_true(same(expected, got));

        json_decref(expected);
        json_decref(got);
    }

    msgpack_sbuffer_destroy(&packed);
    sio_buf_free(&out);
}


/* Every form of a length, at its edges. */

static void
test_differential_lengths(void **state)
{
    size_t     i, n;
    json_t    *json;
    unsigned   k, bins;
    sio_buf_t  out;

    static const size_t  lens[] = {
        0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 69999
    };

    memset(&out, 0, sizeof(sio_buf_t));
    memset(blob, 'y', sizeof(blob));
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);

    for (k = 0; k < sizeof(lens) / sizeof(lens[0]); k++) {
        n = lens[k];

        msgpack_sbuffer_clear(&packed);
        msgpack_pack_array(&packer, 4);
        msgpack_pack_str(&packer, n);
        msgpack_pack_str_body(&packer, blob, n);
        msgpack_pack_bin(&packer, n);
        msgpack_pack_bin_body(&packer, blob, n);
        msgpack_pack_ext(&packer, n, 1);
        msgpack_pack_ext_body(&packer, blob, n);
        msgpack_pack_array(&packer, n);

        for (i = 0; i < n; i++) {
            msgpack_pack_int(&packer, i);
        }

        assert_int_equal(transcode(packed.data, packed.size, &out, &bins),
                         SIO_OK);
        assert_int_equal(bins, 1);

        json = json_loadb((char *) out.data, out.len, 0, NULL);
        assert_non_null(json);
        assert_int_equal(json_string_length(json_array_get(json, 0)), n);
        assert_true(json_is_null(json_array_get(json, 2)));
        assert_int_equal(json_array_size(json_array_get(json, 3)), n);
        json_decref(json);

        msgpack_sbuffer_clear(&packed);
        msgpack_pack_map(&packer, n);

        for (i = 0; i < n; i++) {
            msgpack_pack_int(&packer, i);
            msgpack_pack_nil(&packer);
        }

        assert_int_equal(transcode(packed.data, packed.size, &out, &bins),
                         SIO_OK);

        json = json_loadb((char *) out.data, out.len, 0, NULL);
        assert_non_null(json);
        assert_int_equal(json_object_size(json), n);
        json_decref(json);
    }

    msgpack_sbuffer_destroy(&packed);
    sio_buf_free(&out);
}


/* Damaged messages are read safely, and what comes out is always JSON. */

static void
test_random(void **state)
{
    size_t     len;
    unsigned   i, k, n;
    sio_rc_t   rc;
    sio_buf_t  out;
    char       data[600];

    srand(29);
    memset(&out, 0, sizeof(sio_buf_t));
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);

    len = 0;

    for (i = 0; i < 200000; i++) {

        if (i % 20 == 0) {
            msgpack_sbuffer_clear(&packed);
            json_decref(random_value(4));
            len = packed.size < sizeof(data) ? packed.size : sizeof(data);
        }

        memcpy(data, packed.data, len);

        for (k = rand() % 6; k; k--) {
            data[rand() % len] = rand() >> 8;
        }

        if (i % 10 == 0) {
            for (k = 0; k < len; k++) {
                data[k] = 0x80 + (rand() >> 8) % 0x80;
            }
        }

        rc = transcode(data, len - rand() % 2, &out, &n);

        assert_true(rc == SIO_OK || rc == SIO_ERROR || rc == SIO_LIMIT);
        assert_true(n <= BINS);
    }

    msgpack_sbuffer_destroy(&packed);
    sio_buf_free(&out);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_ints),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_simple),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_map_keys),
        cmocka_unit_test(test_hostile_counts),
        cmocka_unit_test(test_ext),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_bins),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_differential),
        cmocka_unit_test(test_differential_lengths),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
