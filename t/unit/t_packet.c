
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_json.h"
#include "sio_packet.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* Parses a copy of the exact size; what the views hold goes to text. */

static sio_rc_t
parse(const char *packet, size_t len, char *text, size_t size, json_t **json)
{
    sio_rc_t        rc;
    sio_packet_t    pk;
    unsigned char  *p;

    p = malloc(len + !len);
    assert_non_null(p);
    memcpy(p, packet, len);

    rc = sio_packet_parse(&pk, p, len, json);

    text[0] = '\0';

    if (rc == SIO_OK) {
        snprintf(text, size, "%u %u %.*s %.*s %.*s", pk.type, pk.attachments,
                 (int) pk.nsp.len, pk.nsp.data, (int) pk.id.len, pk.id.data,
                 (int) pk.data.len, pk.data.data);
    }

    free(p);

    return rc;
}


static void
check_ok(const char *packet, size_t len, const char *expected)
{
    char      text[512];
    json_t   *json;
    sio_rc_t  rc;

    rc = parse(packet, len, text, sizeof(text), NULL);

    if (rc != SIO_OK || strcmp(text, expected) != 0) {
        fail_msg("%s: %d \"%s\"", packet, rc, text);
    }

    json = NULL;
    rc = parse(packet, len, text, sizeof(text), &json);

    if (rc != SIO_OK || (json != NULL) != (text[strlen(text) - 1] != ' ')) {
        fail_msg("%s: %d with json", packet, rc);
    }

    json_decref(json);
}


static void
check_bad(const char *packet, size_t len, sio_rc_t expected)
{
    char      text[512];
    json_t   *json;
    sio_rc_t  rc;

    rc = parse(packet, len, text, sizeof(text), NULL);

    if (rc != expected) {
        fail_msg("%s: %d %s", packet, rc, text);
    }

    json = (json_t *) text;
    rc = parse(packet, len, text, sizeof(text), &json);

    assert_int_equal(rc, expected);
    assert_null(json);
}


#define ok(packet, expected)   check_ok(packet, sizeof(packet) - 1, expected)
#define bad(packet)            check_bad(packet, sizeof(packet) - 1, SIO_ERROR)


static void
test_connect(void **state)
{
    ok("0", "0 0 /  ");
    ok("0{}", "0 0 /  {}");
    ok("0{\"token\":\"x\"}", "0 0 /  {\"token\":\"x\"}");
    ok("0/admin,", "0 0 /admin  ");
    ok("0/admin", "0 0 /admin  ");
    ok("0/admin,{\"a\":1}", "0 0 /admin  {\"a\":1}");
    ok("0/admin?foo=bar,", "0 0 /admin?foo=bar  ");
    ok("0/,", "0 0 /  ");
    ok("0/", "0 0 /  ");
    ok("012{\"a\":1}", "0 0 / 12 {\"a\":1}");
    ok("0/caf\xc3\xa9,{}", "0 0 /caf\xc3\xa9  {}");

    bad("0[1]");
    bad("0\"x\"");
    bad("0null");
    bad("0true");
    bad("0{");
    bad("0{}x");
    bad("0{},");
    bad("0,");
    bad("0-{}");
}


static void
test_disconnect(void **state)
{
    ok("1", "1 0 /  ");
    ok("1/admin,", "1 0 /admin  ");
    ok("1/admin", "1 0 /admin  ");

    bad("1{}");
    bad("1null");
    bad("1[]");
    bad("1/admin,{}");
}


static void
test_event(void **state)
{
    ok("2", "2 0 /  ");
    ok("2[\"foo\",1]", "2 0 /  [\"foo\",1]");
    ok("2/admin,[\"foo\"]", "2 0 /admin  [\"foo\"]");
    ok("212[\"foo\"]", "2 0 / 12 [\"foo\"]");
    ok("2/admin,12[\"foo\"]", "2 0 /admin 12 [\"foo\"]");
    ok("2[5,1]", "2 0 /  [5,1]");
    ok("2[-5]", "2 0 /  [-5]");
    ok("2[1.5e3]", "2 0 /  [1.5e3]");
    ok("2[\"error\"]", "2 0 /  [\"error\"]");
    ok("2[\"\"]", "2 0 /  [\"\"]");
    ok("2 [\"e\"] \r\n\t", "2 0 /  [\"e\"]");
    ok("27 \t[ \"e\" , {} ]", "2 0 / 7 [ \"e\" , {} ]");

    bad("2[]");
    bad("2[ ]");
    bad("2{}");
    bad("2\"e\"");
    bad("25,[]");
    bad("2[null]");
    bad("2[true]");
    bad("2[[\"e\"]]");
    bad("2[{}]");
    bad("2[\"e\"");
    bad("2[\"e\"]]");
    bad("2[\"e\"]x");
    bad("2[\"e\",]");
    bad("2[\"e\"],");
    bad("2   ");
}


static void
test_ids(void **state)
{
    ok("20[\"e\"]", "2 0 / 0 [\"e\"]");
    ok("2000[\"e\"]", "2 0 / 0 [\"e\"]");
    ok("2007[\"e\"]", "2 0 / 7 [\"e\"]");
    ok("2100000000000000000000[\"e\"]",
       "2 0 / 100000000000000000000 [\"e\"]");
    ok("212", "2 0 / 12 ");
    ok("2/a,012", "2 0 /a 12 ");
}


static void
test_reserved(void **state)
{
    bad("2[\"connect\"]");
    bad("2[\"connect_error\"]");
    bad("2[\"disconnect\",1]");
    bad("2[\"disconnecting\"]");
    bad("2[\"newListener\"]");
    bad("2[\"removeListener\"]");
    bad("51-[\"connect\"]");
    bad("2[ \"connect\"]");

    /* an escape does not hide it */

    bad("2[\"\\u0063onnect\"]");
    bad("2[\"connec\\u0074\"]");
    bad("2[\"connect\\u005Ferror\"]");
    bad("2[\"connect\\u005ferror\"]");
    bad("2[\"\\u0064\\u0069\\u0073\\u0063\\u006f\\u006e\\u006e\\u0065\\u0063"
        "\\u0074\"]");

    ok("2[\"connect\\u0100\"]", "2 0 /  [\"connect\\u0100\"]");
    ok("2[\"connect\\n\"]", "2 0 /  [\"connect\\n\"]");
    ok("2[\"connec\\u0174\"]", "2 0 /  [\"connec\\u0174\"]");
    ok("2[\"connec\"]", "2 0 /  [\"connec\"]");
    ok("2[\"connect \"]", "2 0 /  [\"connect \"]");
    ok("2[\"Connect\"]", "2 0 /  [\"Connect\"]");
    ok("2[\"connection\"]", "2 0 /  [\"connection\"]");
    ok("2[\"removeListener_\"]", "2 0 /  [\"removeListener_\"]");
    ok("2[\"removeListeners of all\"]", "2 0 /  [\"removeListeners of all\"]");
    ok("2[\"message\",\"connect\"]", "2 0 /  [\"message\",\"connect\"]");

    assert_true(sio_packet_reserved((unsigned char *) "connect", 7));
    assert_false(sio_packet_reserved((unsigned char *) "connect", 6));
    assert_false(sio_packet_reserved((unsigned char *) "", 0));

    /* acks have no name */

    ok("31[\"connect\"]", "3 0 / 1 [\"connect\"]");
}


static void
test_ack(void **state)
{
    ok("30", "3 0 / 0 ");
    ok("3", "3 0 /  ");
    ok("312[]", "3 0 / 12 []");
    ok("3/admin,12[\"ok\",2]", "3 0 /admin 12 [\"ok\",2]");
    ok("399[null]", "3 0 / 99 [null]");

    bad("30{\"a\":1}");
    bad("30null");
    bad("30\"x\"");
}


static void
test_connect_error(void **state)
{
    ok("4{\"message\":\"x\"}", "4 0 /  {\"message\":\"x\"}");
    ok("4/x,\"text\"", "4 0 /x  \"text\"");
    ok("4", "4 0 /  ");

    bad("4[]");
    bad("4null");
    bad("4/x,1,");
}


static void
test_binary(void **state)
{
    ok("51-[\"b\",{\"_placeholder\":true,\"num\":0}]",
       "5 1 /  [\"b\",{\"_placeholder\":true,\"num\":0}]");
    ok("52-/admin,7[\"b\"]", "5 2 /admin 7 [\"b\"]");
    ok("510-[\"b\"]", "5 10 /  [\"b\"]");
    ok("501-[\"b\"]", "5 1 /  [\"b\"]");
    ok("61-12[{\"_placeholder\":true,\"num\":0}]",
       "6 1 / 12 [{\"_placeholder\":true,\"num\":0}]");
    ok("51-", "5 1 /  ");

    bad("5");
    bad("5-");
    bad("5[\"b\"]");
    bad("50-[\"b\"]");
    bad("500-[\"b\"]");
    bad("511-[\"b\"]");
    bad("599999999999999999999999999-[\"b\"]");
    bad("5-1-[\"b\"]");
    bad("51.5-[\"b\"]");
    bad("5+1-[\"b\"]");
    bad("51");
    bad("51[\"b\"]");
    bad("51-{}");
    bad("61-{}");
    bad("60-[]");
    bad("51-[null]");
}


static void
test_bad_type(void **state)
{
    bad("");
    bad("7");
    bad("7[\"e\"]");
    bad("9");
    bad("x");
    bad("/");
    bad("\0");
    bad("[\"e\"]");
    bad("\xb2[\"e\"]");
}


static void
test_utf8(void **state)
{
    ok("2[\"\xf0\x9f\x98\x80\"]", "2 0 /  [\"\xf0\x9f\x98\x80\"]");

    bad("2[\"\xff\"]");
    bad("2[\"\xed\xa0\x80\"]");
    bad("0/\xc3");
    bad("0/\xc3,{}");
}


/* Texts that JSON.parse() takes, and texts that it does not. */

static void
test_json_valid(void **state)
{
    unsigned  i;
    json_t   *json;

    static const char  *texts[] = {
        "0", "-0", "1", "-1", "10", "1.5", "-0.0", "1e5", "1E+5", "1e-5",
        "0e0", "0.10e10", "123456789012345678901234567890",
        "-123456789012345678901234567890", "1e999", "-1e999", "1e-999",
        "9223372036854775807", "9223372036854775808", "-9223372036854775808",
        "-9223372036854775809", "18446744073709551616",
        "true", "false", "null", "\"\"", "\"a\"", "[]", "{}", "[ ]", "{ }",
        "[1]", "[1,2]", "[[],{}]", "{\"a\":1}", "{\"a\":1,\"b\":[2]}",
        "{\"a\":1,\"a\":2}", "{\"\":{}}", " \t\r\n[ 1 , 2 ] \t\r\n",
        "{ \"a\" : 1 , \"b\" : 2 }", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
        "\"\\u0000\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\ude00\"",
        "\"\\ud83d\\ud83d\\ude00\"", "\"\\ude00\\ud83d\"", "\"\\ud83dx\"",
        "\"\\uD83D\\n\"", "{\"\\u0000\":1}", "{\"a\\u0000b\":\"\\u0000\"}",
        "\"\x7f\"", "\"\xc3\xa9\xe2\x80\xa8\"", "\"0123456789abcdef\"",
        "[\"\\ud800\",1e400,99999999999999999999,{\"\\u0000\":-1e999}]",
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        if (sio_json_check((const unsigned char *) texts[i], strlen(texts[i]))
            != SIO_OK)
        {
            fail_msg("%s is not accepted", texts[i]);
        }

        json = NULL;

        if (sio_json_load((const unsigned char *) texts[i], strlen(texts[i]),
                          &json) != SIO_OK || json == NULL)
        {
            fail_msg("%s cannot be loaded", texts[i]);
        }

        json_decref(json);
    }
}


static void
test_json_invalid(void **state)
{
    unsigned  i;

    static const char  *texts[] = {
        "", " ", "-", "+1", "01", "-01", "00", "1.", ".5", "-.5", "1e", "1e+",
        "1.e5", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "nan",
        "tru", "truE", "true1", "nul", "undefined", "TRUE", "'a'", "a",
        "\"", "\"a", "\"\\\"", "\"\\", "\"\\x41\"", "\"\\u\"", "\"\\u12\"",
        "\"\\u123\"", "\"\\u123g\"", "\"\\u 123\"", "\"\\a\"", "\"\\v\"",
        "\"\\'\"", "\"\\0\"", "\"a\nb\"", "\"\t\"", "\"\x01\"", "\"\x1f\"",
        "[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1,,2]", "[}",
        "{", "}", "{]", "{1:2}", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\":1",
        "{\"a\":1,", "{\"a\":1,}", "{,}", "{\"a\" 1}", "{\"a\":1 \"b\":2}",
        "{\"a\":1]", "[\"a\":1]", "{\"a\",\"b\"}", "{null:1}", "[]]", "{}}",
        "[] []", "1 2", "1,2", "\"a\" \"b\"", "[1]x", "/**/1", "[1]//x",
        "\v1", "\f1", "1\xc2\xa0", "\xef\xbb\xbf[]", "[\xe2\x80\xa8]",
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        if (sio_json_check((const unsigned char *) texts[i], strlen(texts[i]))
            != SIO_ERROR)
        {
            fail_msg("%s is accepted", texts[i]);
        }
    }

    assert_int_equal(sio_json_check((unsigned char *) "1\0", 2), SIO_ERROR);
    assert_int_equal(sio_json_check((unsigned char *) "\"\0\"", 3), SIO_ERROR);
    assert_int_equal(sio_json_check((unsigned char *) "\"\\\0\"", 4),
                     SIO_ERROR);
    assert_int_equal(sio_json_check((unsigned char *) "[\0]", 3), SIO_ERROR);
}


/* Every byte at every place of the word-wise path of strings. */

static void
test_json_string_bytes(void **state)
{
    unsigned        c, at, len;
    sio_rc_t        rc;
    unsigned char  *p;

    for (len = 1; len < 20; len++) {

        for (at = 0; at < len; at++) {

            for (c = 0; c < 256; c++) {
                p = malloc(len + 2);
                assert_non_null(p);

                memset(p, 'x', len + 2);
                p[0] = '"';
                p[len + 1] = '"';
                p[at + 1] = c;

                rc = (c < 0x20 || c == '"' || c == '\\') ? SIO_ERROR : SIO_OK;

                assert_int_equal(sio_json_check(p, len + 2), rc);

                free(p);
            }
        }
    }
}


static void
nest(sio_buf_t *b, unsigned depth, const char *open, const char *close)
{
    unsigned  i;

    for (i = 0; i < depth; i++) {
        assert_int_equal(sio_buf_append(b, open, strlen(open)), SIO_OK);
    }

    for (i = 0; i < depth; i++) {
        assert_int_equal(sio_buf_append(b, close, strlen(close)), SIO_OK);
    }
}


static void
test_depth(void **state)
{
    char       text[1000];
    sio_buf_t  b;

    memset(&b, 0, sizeof(sio_buf_t));

    nest(&b, 64, "[", "]");
    assert_int_equal(sio_json_check(b.data, b.len), SIO_OK);

    b.len = 0;
    nest(&b, 65, "[", "]");
    assert_int_equal(sio_json_check(b.data, b.len), SIO_LIMIT);

    b.len = 0;
    nest(&b, 32, "[{\"a\":", "}]");
    assert_int_equal(sio_json_check(b.data, b.len), SIO_ERROR);

    b.len = 0;
    nest(&b, 32, "[0,{\"a\":[],\"b\":", "");
    assert_int_equal(sio_buf_append(&b, "\"[[[[[\"", 7), SIO_OK);
    nest(&b, 32, "", "}]");
    assert_int_equal(sio_json_check(b.data, b.len), SIO_LIMIT);

    b.len = 0;
    nest(&b, 31, "[0,{\"a\":[],\"b\":", "");
    assert_int_equal(sio_buf_append(&b, "\"[[[[[\"", 7), SIO_OK);
    nest(&b, 31, "", "}]");
    assert_int_equal(sio_json_check(b.data, b.len), SIO_OK);

    b.len = 0;
    nest(&b, 1000000, "[", "");
    assert_int_equal(sio_json_check(b.data, b.len), SIO_LIMIT);

    /* wide is not deep */

    b.len = 0;
    nest(&b, 1, "[0", "");
    nest(&b, 1000, ",[{}]", "");
    nest(&b, 1, "]", "");
    assert_int_equal(sio_json_check(b.data, b.len), SIO_OK);

    b.len = 0;
    nest(&b, 1, "2[\"e\",", "");
    nest(&b, 63, "[", "]");
    nest(&b, 1, "]", "");
    assert_int_equal(parse((char *) b.data, b.len, text, sizeof(text), NULL),
                     SIO_OK);

    b.len = 0;
    nest(&b, 1, "2[\"e\",", "");
    nest(&b, 64, "[", "]");
    nest(&b, 1, "]", "");
    check_bad((char *) b.data, b.len, SIO_LIMIT);

    sio_buf_free(&b);
}


/* Payloads that jansson refuses, and what becomes of them. */

static void
check_load(const char *in, const char *expected)
{
    char    *text;
    json_t  *json;

    assert_int_equal(sio_json_check((const unsigned char *) in, strlen(in)),
                     SIO_OK);
    assert_int_equal(sio_json_load((const unsigned char *) in, strlen(in),
                                   &json), SIO_OK);

    text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_non_null(text);
    assert_string_equal(text, expected);

    free(text);
    json_decref(json);
}


static void
test_load(void **state)
{
    json_t  *json;

    check_load("{\"a\":[1,2.5,true,null]}", "{\"a\":[1,2.5,true,null]}");
    check_load("{\"a\":1,\"a\":2}", "{\"a\":2}");
    check_load("[9223372036854775807,1]", "[9223372036854775807,1]");
    check_load("[9223372036854775808,1]", "[9.2233720368547758e18,1]");
    check_load("[-9223372036854775809,-1]", "[-9.2233720368547758e18,-1]");
    check_load("[1e999,-1e999,1.5e3,7,1e-999]", "[null,null,1500.0,7,0.0]");
    check_load("[1.7976931348623157e308]", "[1.7976931348623157e308]");
    check_load("[1.7976931348623157e308,1e309]",
               "[1.7976931348623157e308,null]");
    check_load("[\"\\u0000\"]", "[\"\\u0000\"]");
    check_load("{\"a\\u0000\":\"b\"}", "{\"a\xef\xbf\xbd\":\"b\"}");
    check_load("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"");
    check_load("\"\\ud83d\"", "\"\xef\xbf\xbd\"");
    check_load("\"\\ud83d\\ud83d\\ude00\\n\"",
               "\"\xef\xbf\xbd\xf0\x9f\x98\x80\\n\"");
    check_load("\"\\ude00\\ud83d!\"", "\"\xef\xbf\xbd\xef\xbf\xbd!\"");
    check_load("\"\\\"1e999\\\\\\ud800\"", "\"\\\"1e999\\\\\xef\xbf\xbd\"");

    assert_int_equal(sio_json_load((unsigned char *) "\"\xff\"", 3, &json),
                     SIO_ERROR);
    assert_null(json);
}


static void
test_packet_json(void **state)
{
    char     text[100];
    json_t  *json;

    assert_int_equal(parse("0{\"token\":\"x\"}", 14, text, sizeof(text), &json),
                     SIO_OK);
    assert_string_equal(json_string_value(json_object_get(json, "token")), "x");
    json_decref(json);

    assert_int_equal(parse("0", 1, text, sizeof(text), &json), SIO_OK);
    assert_null(json);

    ok("2[\"e\",123456789012345678901234567890]",
       "2 0 /  [\"e\",123456789012345678901234567890]");
    ok("2[\"e\",1e999,\"\\ud800\"]", "2 0 /  [\"e\",1e999,\"\\ud800\"]");
    ok("2[123456789012345678901234567890]",
       "2 0 /  [123456789012345678901234567890]");
    ok("0{\"a\":1e999,\"\\u0000\":\"\\udfff\"}",
       "0 0 /  {\"a\":1e999,\"\\u0000\":\"\\udfff\"}");
}


static void
check_begin(unsigned type, const char *nsp, const char *expected)
{
    sio_buf_t  b;
    sio_str_t  s;

    memset(&b, 0, sizeof(sio_buf_t));
    s.len = strlen(nsp);
    s.data = (const unsigned char *) nsp;

    assert_int_equal(sio_packet_begin(&b, type, s), SIO_OK);
    assert_int_equal(b.len, strlen(expected));
    assert_memory_equal(b.data, expected, b.len);

    sio_buf_free(&b);
}


static void
test_begin(void **state)
{
    check_begin(SIO_CONNECT, "/", "40");
    check_begin(SIO_CONNECT, "", "40");
    check_begin(SIO_EVENT, "/admin", "42/admin,");
    check_begin(SIO_DISCONNECT, "/a", "41/a,");
    check_begin(SIO_BINARY_ACK, "/x?y", "46/x?y,");
}


static void
check_quote(const char *in, size_t len, const char *expected)
{
    sio_buf_t       b;
    unsigned char  *p;

    p = malloc(len + !len);
    assert_non_null(p);

    if (len) {
        memcpy(p, in, len);
    }

    memset(&b, 0, sizeof(sio_buf_t));

    assert_int_equal(sio_packet_quote(&b, p, len), SIO_OK);
    assert_int_equal(sio_buf_append(&b, "", 1), SIO_OK);
    assert_string_equal(b.data, expected);
    assert_int_equal(sio_json_check(b.data, b.len - 1), SIO_OK);

    free(p);
    sio_buf_free(&b);
}


#define quote(in, expected)  check_quote(in, sizeof(in) - 1, expected)


/* The expected texts are those of JSON.stringify() in Node.js. */

static void
test_quote(void **state)
{
    char      expected[16];
    unsigned  c;

    quote("", "\"\"");
    quote("abc", "\"abc\"");
    quote("\"\\/'", "\"\\\"\\\\/'\"");
    quote("\b\t\n\v\f\r", "\"\\b\\t\\n\\u000b\\f\\r\"");
    quote("a\0b", "\"a\\u0000b\"");
    quote("\x7f\xc2\x80\xe2\x80\xa8\xf0\x9f\x98\x80",
          "\"\x7f\xc2\x80\xe2\x80\xa8\xf0\x9f\x98\x80\"");
    quote("0123456789abcdef\n0123456789abcdef\"",
          "\"0123456789abcdef\\n0123456789abcdef\\\"\"");
    quote("a\xff" "b\xe2\x82", "\"a\xef\xbf\xbd" "b\xef\xbf\xbd\"");
    quote("\xff\"\n", "\"\xef\xbf\xbd\\\"\\n\"");

    for (c = 0; c < 0x20; c++) {

        if ((c < '\b' || c > '\r') || c == '\v') {
            snprintf(expected, sizeof(expected), "\"\\u%04x\"", c);
            check_quote((char []) { (char) c }, 1, expected);
        }
    }

    check_quote(NULL, 0, "\"\"");
}


static void
check_double(double d, const char *expected)
{
    sio_buf_t  b;

    memset(&b, 0, sizeof(sio_buf_t));

    assert_int_equal(sio_json_double(&b, d), SIO_OK);
    assert_int_equal(sio_buf_append(&b, "", 1), SIO_OK);
    assert_string_equal(b.data, expected);

    sio_buf_free(&b);
}


static void
test_double(void **state)
{
    check_double(0, "0");
    check_double(-0.0, "0");
    check_double(1, "1");
    check_double(-1, "-1");
    check_double(0.1, "0.1");
    check_double(-0.5, "-0.5");
    check_double(0.1 + 0.2, "0.30000000000000004");
    check_double(1.0 / 3, "0.3333333333333333");
    check_double(100, "100");
    check_double(1e15, "1000000000000000");
    check_double(9007199254740991.0, "9007199254740991");
    check_double(-9007199254740991.0, "-9007199254740991");
    check_double(9007199254740992.0, "9007199254740992");
    check_double(1e21, "1e+21");
    check_double(1e300, "1e+300");
    check_double(DBL_MAX, "1.7976931348623157e+308");
    check_double(DBL_MIN, "2.2250738585072014e-308");

    /* fewer digits than others have are enough */

    check_double(4.9406564584124654e-324, "5e-324");
    check_double(-4.9406564584124654e-324, "-5e-324");
    check_double(1.976e-320, "1.976e-320");
    check_double(2.2250738585072011e-308, "2.225073858507201e-308");

    check_double(1.1f, "1.100000023841858");
    check_double(NAN, "null");
    check_double(INFINITY, "null");
    check_double(-INFINITY, "null");
}


/* Random bit patterns come back as they were, and always as JSON. */

static void
test_double_random(void **state)
{
    double     d;
    unsigned   i, k;
    uint64_t   bits;
    sio_buf_t  b;

    srand(17);
    memset(&b, 0, sizeof(sio_buf_t));

    for (i = 0; i < 50000; i++) {

        for (bits = 0, k = 0; k < 4; k++) {
            bits = bits << 16 | (rand() >> 4 & 0xffff);
        }

        memcpy(&d, &bits, sizeof(double));

        if (!isfinite(d)) {
            continue;
        }

        b.len = 0;
        assert_int_equal(sio_json_double(&b, d), SIO_OK);
        assert_int_equal(sio_json_check(b.data, b.len), SIO_OK);
        assert_int_equal(sio_buf_append(&b, "", 1), SIO_OK);
        assert_true(strtod((char *) b.data, NULL) == d);
    }

    sio_buf_free(&b);
}


/* In a locale with a decimal comma (if there is one) a point is written. */

static void
test_double_locale(void **state)
{
    unsigned  i;

    static const char  *locales[] = {
        "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ps_AF.UTF-8", "de_DE"
    };

    for (i = 0; i < sizeof(locales) / sizeof(locales[0]); i++) {

        if (setlocale(LC_NUMERIC, locales[i])) {
            check_double(0.1, "0.1");
            check_double(-1234.5e-20, "-1.2345e-17");
        }
    }

    setlocale(LC_NUMERIC, "C");
}


static void
check_time(int64_t sec, unsigned ms, const char *expected)
{
    sio_buf_t  b;

    memset(&b, 0, sizeof(sio_buf_t));

    assert_int_equal(sio_json_time(&b, sec, ms), SIO_OK);
    assert_int_equal(sio_buf_append(&b, "", 1), SIO_OK);
    assert_string_equal(b.data, expected);

    sio_buf_free(&b);
}


/* The expected texts are those of Date.toJSON() in Node.js. */

static void
test_time(void **state)
{
    check_time(0, 0, "\"1970-01-01T00:00:00.000Z\"");
    check_time(-1, 999, "\"1969-12-31T23:59:59.999Z\"");
    check_time(1700000000, 123, "\"2023-11-14T22:13:20.123Z\"");
    check_time(951782400, 0, "\"2000-02-29T00:00:00.000Z\"");
    check_time(4107542399, 0, "\"2100-02-28T23:59:59.000Z\"");
    check_time(4107542400, 0, "\"2100-03-01T00:00:00.000Z\"");
    check_time(17179869183, 999, "\"2514-05-30T01:53:03.999Z\"");
    check_time(253402300799, 999, "\"9999-12-31T23:59:59.999Z\"");
    check_time(253402300800, 0, "\"+010000-01-01T00:00:00.000Z\"");
    check_time(-62167219200, 0, "\"0000-01-01T00:00:00.000Z\"");
    check_time(-62167219201, 999, "\"-000001-12-31T23:59:59.999Z\"");
    check_time(8640000000000, 0, "\"+275760-09-13T00:00:00.000Z\"");
    check_time(-8640000000000, 0, "\"-271821-04-20T00:00:00.000Z\"");
    check_time(8640000000000, 1, "null");
    check_time(8640000000001, 0, "null");
    check_time(-8640000000001, 999, "null");
    check_time(INT64_MAX, 0, "null");
    check_time(INT64_MIN, 0, "null");
}


/*
 * Mutations of real packets: the checker and jansson must agree (where
 * jansson does not refuse too much), and parsing must be safe.
 */

static void
test_random(void **state)
{
    char         text[512];
    size_t       len, at;
    json_t      *json;
    unsigned     i, k, n;
    sio_rc_t     rc;
    const char  *p;

    static const char  *packets[] = {
        "0{\"token\":\"x\",\"n\":[1,-2.5e3,true,false,null]}",
        "2/admin,12[\"foo\",{\"a\":{\"b\":[]}},\"\\u00e9\\n\\\"\"]",
        "52-/a,7[\"b\",{\"_placeholder\":true,\"num\":0}]",
        "43[\"x\",{\"k\":\"v\",\"k2\":\"v2\"},[[[1]]]]",
        "312[0.5,1e10,\"\xc3\xa9\",\"long string without escapes\"]"
    };
    static const char  alphabet[] = "[]{}\",:\\0123456789-+.eEtrufalsn/ \t\xc3"
                                    "\xa9";

    srand(19);

    for (i = 0; i < 200000; i++) {
        p = packets[rand() % 5];
        len = strlen(p);
        memcpy(text, p, len);

        for (n = rand() % 4; n; n--) {
            at = rand() % len;

            switch (rand() % 3) {

            case 0:
                text[at] = alphabet[rand() % (sizeof(alphabet) - 1)];
                break;

            case 1:
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
                break;

            default:
                memmove(text + at + 1, text + at, len - at);
                text[at] = alphabet[rand() % (sizeof(alphabet) - 1)];
                len++;
            }
        }

        k = rand() % len;
        rc = sio_json_check((unsigned char *) text + k, len - k);
        json = json_loadb(text + k, len - k, JSON_DECODE_ANY | JSON_ALLOW_NUL,
                          NULL);

        if (json) {
            assert_int_equal(rc, SIO_OK);
            json_decref(json);

        } else if (rc == SIO_OK) {
            rc = sio_json_load((unsigned char *) text + k, len - k, &json);
            assert_true(rc == SIO_OK || memchr(text, 0xc3, len)
                        || memchr(text, 0xa9, len));
            json_decref(json);
        }

        {
            char  out[512];

            rc = parse(text, len, out, sizeof(out), &json);
            assert_true(rc == SIO_OK || json == NULL);
            json_decref(json);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_reserved),
        cmocka_unit_test(test_ack),
        cmocka_unit_test(test_connect_error),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_bad_type),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_json_valid),
        cmocka_unit_test(test_json_invalid),
        cmocka_unit_test(test_json_string_bytes),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_packet_json),
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_double),
        cmocka_unit_test(test_double_random),
        cmocka_unit_test(test_double_locale),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
