
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_adapter.h"
#include "sio_packet.h"

#include <jansson.h>
#include <msgpack.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* One decoder for all tests, as in production. */

#define T_ACK  12345

static sio_adapter_t    adapter;
static const sio_str_t  root = sio_string("/");

static msgpack_sbuffer  packed;
static msgpack_packer   packer;


static void
append(char *text, size_t size, const sio_message_t *m, unsigned first,
    unsigned n)
{
    size_t            len;
    unsigned          i;
    const sio_str_t  *name;

    for (i = 0; i < n; i++) {
        len = strlen(text);
        name = &m->names[first + i];

        snprintf(text + len, size - len, "%s%.*s", i ? "," : "",
                 (int) name->len, name->data);
    }

    strcat(text, "|");
}


/* "<type> <flags> rooms|except|args|text|<hex of bin>,<hex of bin>" */

static void
describe(char *text, size_t size, const sio_message_t *m)
{
    size_t    i, len;
    unsigned  k;

    snprintf(text, size, "%u %u ", m->type, m->flags);

    append(text, size, m, 0, m->rooms);
    append(text, size, m, m->rooms, m->except);
    append(text, size, m, m->rooms + m->except, m->args);

    for (k = 0; k < m->parts; k++) {

        if (k == 0) {
            len = strlen(text);
            snprintf(text + len, size - len, "%.*s|", (int) m->part[0].len,
                     m->part[0].data);
            continue;
        }

        if (k > 1) {
            strcat(text, ",");
        }

        for (i = 0; i < m->part[k].len; i++) {
            len = strlen(text);
            snprintf(text + len, size - len, "%02x", m->part[k].data[i]);
        }
    }
}


static size_t
unhex(unsigned char *p, const char *hex)
{
    size_t    n;
    unsigned  c;

    for (n = 0; sscanf(hex + n * 2, "%2x", &c) == 1; n++) {
        p[n] = c;
    }

    return n;
}


static sio_rc_t
broadcast(const char *nsp, const void *data, size_t len, sio_message_t *m,
    const char **error, unsigned char **copy)
{
    sio_rc_t   rc;
    sio_str_t  s;

    s.data = (const unsigned char *) nsp;
    s.len = strlen(nsp);

    *copy = malloc(len + !len);
    assert_non_null(*copy);

    if (len) {
        memcpy(*copy, data, len);
    }

    *error = "unset";
    rc = sio_adapter_broadcast(&adapter, m, s, *copy, len, error);

    if (rc == SIO_OK || rc == SIO_AGAIN) {
        assert_null(*error);

    } else {
        assert_non_null(*error);
    }

    return rc;
}


static void
check_hex(const char *nsp, const char *hex, sio_rc_t expected_rc,
    const char *expected)
{
    char            text[2000];
    size_t          len;
    sio_rc_t        rc;
    const char     *error;
    sio_message_t   m;
    unsigned char  *copy, data[1000];

    len = unhex(data, hex);
    rc = broadcast(nsp, data, len, &m, &error, &copy);

    if (rc != expected_rc) {
        fail_msg("%d %s: %s", rc, error ? error : "", hex);
    }

    if (rc == SIO_OK) {
        describe(text, sizeof(text), &m);
        assert_string_equal(text, expected);
    }

    free(copy);
}


/* Messages that redis-emitter 5.1.0 has sent. */

static void
test_emitter(void **state)
{
    check_hex("/", "93a7656d697474657283a47479706502a46461746193a568656c6c6fa5"
              "776f726c6401a36e7370a12f83a5726f6f6d7390a5666c61677380a6657863"
              "65707490",
              SIO_OK, "1 0 |||42[\"hello\",\"world\",1]|");

    check_hex("/", "93a7656d697474657283a47479706502a46461746192a568656c6c6f81"
              "a16101a36e7370a12f83a5726f6f6d7391a5726f6f6d31a5666c61677380a6"
              "65786365707490",
              SIO_OK, "1 0 room1|||42[\"hello\",{\"a\":1}]|");

    check_hex("/", "93a7656d697474657283a47479706502a46461746191a178a36e7370a1"
              "2f83a5726f6f6d7392a27231a27232a5666c61677380a665786365707490",
              SIO_OK, "1 0 r1,r2|||42[\"x\"]|");

    check_hex("/", "93a7656d697474657283a47479706502a46461746191a178a36e7370a1"
              "2f83a5726f6f6d7391a27231a5666c61677380a665786365707492a161a162",
              SIO_OK, "1 0 r1|a,b||42[\"x\"]|");

    check_hex("/", "93a7656d697474657283a47479706502a46461746196a176cb3ff80000"
              "00000000ffcf0000000100000000c0c3a36e7370a12f83a5726f6f6d7391a1"
              "72a5666c61677382a8766f6c6174696c65c3a8636f6d7072657373c2a66578"
              "6365707490",
              SIO_OK, "1 1 r|||42[\"v\",1.5,-1,4294967296,null,true]|");

    check_hex("/", "93a7656d697474657283a47479706502a46461746193a162c404010203"
              "0481a16e91c4020506a36e7370a12f83a5726f6f6d7390a5666c61677380a6"
              "65786365707490",
              SIO_OK, "1 0 |||452-[\"b\",{\"_placeholder\":true,\"num\":0},"
              "{\"n\":[{\"_placeholder\":true,\"num\":1}]}]|01020304,0506");

    check_hex("/", "93a7656d697474657283a47479706502a46461746195a164d6ff6553f1"
              "00d7ff1d5353006553f100c081a16b01a36e7370a12f83a5726f6f6d7390a5"
              "666c61677380a665786365707490",
              SIO_OK, "1 0 |||42[\"d\",\"2023-11-14T22:13:20.000Z\","
              "\"2023-11-14T22:13:20.123Z\",null,{\"k\":1}]|");

    check_hex("/admin", "93a7656d697474657283a47479706502a46461746191a4c3a9000"
              "aa36e7370a62f61646d696e83a5726f6f6d7391a172a5666c61677380a6657"
              "86365707490",
              SIO_OK, "1 0 r|||42/admin,[\"\xc3\xa9\\u0000\\n\"]|");

    check_hex("/admin", "93a7656d697474657283a47479706502a46461746192a362696ec"
              "401ffa36e7370a62f61646d696e83a5726f6f6d7390a5666c61677380a6657"
              "86365707490",
              SIO_OK, "1 0 |||451-/admin,[\"bin\",{\"_placeholder\":true,"
              "\"num\":0}]|ff");
}


/* A request with ack (type 7) is no broadcast. */

static void
test_not_a_broadcast(void **state)
{
    check_hex("/", "85a3756964a64f5764654931a9726571756573744964a65375484e6567"
              "a47479706507a67061636b657483a47479706502a46461746192a17101a36e"
              "7370a12fa46f70747383a5726f6f6d7390a665786365707490a5666c616773"
              "81a774696d656f7574cd01f4", SIO_ERROR, NULL);
}


static void
str(const char *text)
{
    msgpack_pack_str(&packer, strlen(text));
    msgpack_pack_str_body(&packer, text, strlen(text));
}


/* Packs JSON, with "<" + text for bin, so that cases can be read. */

static void
pack(const json_t *json)
{
    size_t       i;
    json_t      *value;
    const char  *key;

    switch (json_typeof(json)) {

    case JSON_OBJECT:
        msgpack_pack_map(&packer, json_object_size(json));

        json_object_foreach((json_t *) json, key, value) {
            str(key);
            pack(value);
        }

        break;

    case JSON_ARRAY:
        msgpack_pack_array(&packer, json_array_size(json));

        json_array_foreach(json, i, value) {
            pack(value);
        }

        break;

    case JSON_STRING:
        key = json_string_value(json);

        if (key[0] == '<') {
            msgpack_pack_bin(&packer, strlen(key) - 1);
            msgpack_pack_bin_body(&packer, key + 1, strlen(key) - 1);

        } else {
            str(key);
        }

        break;

    case JSON_INTEGER:
        msgpack_pack_int64(&packer, json_integer_value(json));
        break;

    case JSON_REAL:
        msgpack_pack_double(&packer, json_real_value(json));
        break;

    case JSON_NULL:
        msgpack_pack_nil(&packer);
        break;

    default:
        if (json_is_true(json)) {
            msgpack_pack_true(&packer);

        } else {
            msgpack_pack_false(&packer);
        }
    }
}


static void
pack_text(const char *text)
{
    json_t        *json;
    json_error_t   error;

    json = json_loads(text, JSON_DECODE_ANY, &error);

    if (json == NULL) {
        fail_msg("%s: %s", text, error.text);
    }

    msgpack_sbuffer_clear(&packed);
    pack(json);
    json_decref(json);
}


static void
check(const char *nsp, const char *json, sio_rc_t expected_rc,
    const char *expected)
{
    char            text[2000];
    sio_rc_t        rc;
    const char     *error;
    sio_message_t   m;
    unsigned char  *copy;

    pack_text(json);
    rc = broadcast(nsp, packed.data, packed.size, &m, &error, &copy);

    if (rc != expected_rc) {
        fail_msg("%d %s: %s", rc, error ? error : "", json);
    }

    if (rc == SIO_OK) {
        describe(text, sizeof(text), &m);
        assert_string_equal(text, expected);

    } else if (expected) {
        assert_string_equal(error, expected);
    }

    free(copy);
}


#define ok(json, expected)     check("/", json, SIO_OK, expected)
#define again(json)            check("/", json, SIO_AGAIN, NULL)
#define bad(json, expected)    check("/", json, SIO_ERROR, expected)


static void
test_tolerant(void **state)
{
    /* any order, unknown keys, more elements, uid of any kind */

    ok("[null,{\"nsp\":\"/\",\"x\":{\"type\":9},\"data\":[\"e\"],\"type\":2},"
       "{\"except\":[\"a\"],\"y\":[[]],\"rooms\":[\"b\"]},7,[8]]",
       "1 0 b|a||42[\"e\"]|");

    ok("[{},{\"type\":2,\"data\":[\"e\"]},{}]", "1 0 |||42[\"e\"]|");
    ok("[1,{\"type\":2,\"data\":[\"e\"]},null]", "1 0 |||42[\"e\"]|");
    ok("[1,{\"type\":5,\"data\":[\"e\"]},null]", "1 0 |||42[\"e\"]|");
    ok("[1,{\"type\":5,\"data\":[\"e\",\"<AB\"]},null]",
       "1 0 |||451-[\"e\",{\"_placeholder\":true,\"num\":0}]|4142");
    ok("[1,{\"type\":2,\"data\":[\"e\"],\"nsp\":null},{\"rooms\":null,"
       "\"except\":null,\"flags\":null}]", "1 0 |||42[\"e\"]|");
    ok("[1,{\"type\":2,\"data\":[5]},{}]", "1 0 |||42[5]|");
    ok("[1,{\"type\":2,\"data\":[-5]},{}]", "1 0 |||42[-5]|");
    ok("[1,{\"type\":2,\"data\":[0.5]},{}]", "1 0 |||42[0.5]|");
    ok("[1,{\"type\":2,\"data\":[\"\"]},{}]", "1 0 |||42[\"\"]|");

    check("/chat", "[1,{\"type\":2,\"data\":[\"e\"]},{}]", SIO_OK,
          "1 0 |||42/chat,[\"e\"]|");
}


static void
test_flags(void **state)
{
    ok("[1,{\"type\":2,\"data\":[\"e\"]},{\"flags\":{\"volatile\":true}}]",
       "1 1 |||42[\"e\"]|");
    ok("[1,{\"type\":2,\"data\":[\"e\"]},{\"flags\":{\"volatile\":1}}]",
       "1 1 |||42[\"e\"]|");
    ok("[1,{\"type\":2,\"data\":[\"e\"]},{\"flags\":{\"volatile\":false}}]",
       "1 0 |||42[\"e\"]|");
    ok("[1,{\"type\":2,\"data\":[\"e\"]},{\"flags\":{\"volatile\":null}}]",
       "1 0 |||42[\"e\"]|");
    ok("[1,{\"type\":2,\"data\":[\"e\"]},{\"flags\":{\"broadcast\":true,"
       "\"timeout\":5,\"compress\":true}}]", "1 0 |||42[\"e\"]|");
    bad("[1,{\"type\":2,\"data\":[\"e\"]},{\"flags\":[]}]",
        "packet, options or flags are not a map");
}


static void
test_rooms(void **state)
{
    /* numbers go to a buffer of their own, in the midst of strings */

    ok("[1,{\"type\":2,\"data\":[\"e\"]},{\"except\":[-7,\"z\",1.5],"
       "\"rooms\":[\"a\",1,\"b\",9007199254740993,\"a\"]}]",
       "1 0 a,1,b,9007199254740993,a|-7,z,1.5||42[\"e\"]|");

    bad("[1,{\"type\":2,\"data\":[\"e\"]},{\"rooms\":\"r\"}]",
        "rooms are not an array");
    bad("[1,{\"type\":2,\"data\":[\"e\"]},{\"rooms\":{\"0\":\"r\"}}]",
        "rooms are not an array");
    bad("[1,{\"type\":2,\"data\":[\"e\"]},{\"except\":5}]",
        "rooms are not an array");
    bad("[1,{\"type\":2,\"data\":[\"e\"]},{\"rooms\":[null]}]",
        "room is neither a string nor a number");
    bad("[1,{\"type\":2,\"data\":[\"e\"]},{\"rooms\":[\"a\",[\"b\"]]}]",
        "room is neither a string nor a number");
    bad("[1,{\"type\":2,\"data\":[\"e\"]},{\"rooms\":[\"a\",\"\"]}]",
        "room name is empty or too long");
    bad("[1,{\"type\":2,\"data\":[\"e\"]},{\"except\":[\"\"]}]",
        "room name is empty or too long");
}


static void
test_other_namespace(void **state)
{
    again("[1,{\"type\":2,\"data\":[\"e\"],\"nsp\":\"/admin\"},{}]");
    again("[1,{\"type\":2,\"data\":[\"e\"],\"nsp\":\"\"},{}]");
    again("[1,{\"type\":2,\"data\":[\"e\"],\"nsp\":5},{}]");
    check("/admin", "[1,{\"type\":2,\"data\":[\"e\"],\"nsp\":\"/\"},{}]",
          SIO_AGAIN, NULL);
    check("/admin", "[1,{\"type\":2,\"data\":[\"e\"],\"nsp\":\"/admiN\"},{}]",
          SIO_AGAIN, NULL);
}


static void
test_other_types(void **state)
{
    again("[1,{\"type\":0,\"data\":[\"e\"]},{}]");
    again("[1,{\"type\":1},{}]");
    again("[1,{\"type\":3,\"data\":[\"e\"]},{}]");
    again("[1,{\"type\":6,\"data\":[\"e\"]},{}]");
    again("[1,{\"type\":4294967298,\"data\":[\"e\"]},{}]");

    bad("[1,{\"type\":\"2\",\"data\":[\"e\"]},{}]", "packet without a type");
    bad("[1,{\"data\":[\"e\"]},{}]", "packet without a type");
    bad("[1,{\"type\":-2,\"data\":[\"e\"]},{}]", "packet without a type");
}


static void
test_bad(void **state)
{
    bad("{}", "not an array of three values");
    bad("[]", "not an array of three values");
    bad("[1,{\"type\":2,\"data\":[\"e\"]}]", "not an array of three values");
    bad("\"x\"", "not an array of three values");
    bad("[1,null,{}]", "no packet");
    bad("[1,[],{}]", "packet, options or flags are not a map");
    bad("[1,{\"type\":2,\"data\":[\"e\"]},5]",
        "packet, options or flags are not a map");
    bad("[1,{\"type\":2},{}]", "packet without data");
    bad("[1,{\"type\":2,\"data\":{}},{}]",
        "data is not an array with an event name");
    bad("[1,{\"type\":2,\"data\":\"e\"},{}]",
        "data is not an array with an event name");
    bad("[1,{\"type\":2,\"data\":[]},{}]",
        "data is not an array with an event name");
    bad("[1,{\"type\":2,\"data\":[null]},{}]",
        "event name is neither a string nor a number");
    bad("[1,{\"type\":2,\"data\":[[\"e\"]]},{}]",
        "event name is neither a string nor a number");
    bad("[1,{\"type\":2,\"data\":[\"<bin\"]},{}]",
        "event name is neither a string nor a number");
    bad("[1,{\"type\":2,\"data\":[\"disconnect\"]},{}]",
        "reserved event name");
}


static void
test_broken(void **state)
{
    size_t          i;
    const char     *error;
    sio_message_t   m;
    unsigned char  *copy;

    pack_text("[\"emitter\",{\"type\":2,\"data\":[\"e\",{\"k\":[1.5,\"<b\"]}],"
              "\"nsp\":\"/\"},{\"rooms\":[\"r\"],\"flags\":{}}]");

    for (i = 0; i < packed.size; i++) {
        assert_int_equal(broadcast("/", packed.data, i, &m, &error, &copy),
                         SIO_ERROR);
        free(copy);
    }

    assert_int_equal(msgpack_pack_nil(&packer), 0);
    assert_int_equal(broadcast("/", packed.data, packed.size, &m, &error,
                               &copy), SIO_ERROR);
    assert_string_equal(error, "trailing bytes");
    free(copy);

    check_hex("/", "c1", SIO_ERROR, NULL);
    check_hex("/", "93c1c1c1", SIO_ERROR, NULL);
    check_hex("/", "ddffffffff", SIO_ERROR, NULL);
}


/*
 * An event that is named NaN or infinity is refused: its name would become
 * null, and clients close their connection when they see that.
 */

static void
test_name_without_text(void **state)
{
    check_hex("/", "93a17583a47479706502a46461746191cb7ff800000000"
              "0000a36e7370a12f80",
              SIO_ERROR, NULL);
    check_hex("/", "93a17583a47479706502a46461746191caff800000a36e"
              "7370a12f80",
              SIO_ERROR, NULL);
    check_hex("/", "93a17583a47479706502a46461746191cb3ff800000000"
              "0000a36e7370a12f80",
              SIO_OK, "1 0 |||42[1.5]|");
}


static void
test_limits(void **state)
{
    size_t          i, n;
    sio_rc_t        rc;
    const char     *error;
    sio_message_t   m;
    unsigned char  *copy;
    char            name[SIO_ROOM_LEN + 2];

    /* attachments */

    ok("[1,{\"type\":2,\"data\":[\"e\",\"<0\",\"<1\",\"<2\",\"<3\",\"<4\","
       "\"<5\",\"<6\",[\"<7\",\"<8\"],\"<9\"]},null]",
       "1 0 |||4510-[\"e\",{\"_placeholder\":true,\"num\":0},"
       "{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":2},"
       "{\"_placeholder\":true,\"num\":3},{\"_placeholder\":true,\"num\":4},"
       "{\"_placeholder\":true,\"num\":5},{\"_placeholder\":true,\"num\":6},"
       "[{\"_placeholder\":true,\"num\":7},{\"_placeholder\":true,\"num\":8}],"
       "{\"_placeholder\":true,\"num\":9}]|30,31,32,33,34,35,36,37,38,39");

    check("/", "[1,{\"type\":2,\"data\":[\"e\",\"<\",\"<\",\"<\",\"<\",\"<\","
          "\"<\",\"<\",\"<\",\"<\",\"<\",\"<\"]},null]", SIO_LIMIT, NULL);

    /* rooms and except together */

    for (n = SIO_RECORD_NAMES; n <= SIO_RECORD_NAMES + 1; n++) {
        pack_text("[1,{\"type\":2,\"data\":[\"e\"]}]");
        packed.data[0] = (char) 0x93;

        msgpack_pack_map(&packer, 2);
        str("except");
        msgpack_pack_array(&packer, 24);

        for (i = 0; i < 24; i++) {
            msgpack_pack_int(&packer, i);
        }

        str("rooms");
        msgpack_pack_array(&packer, n - 24);

        for (i = 24; i < n; i++) {
            msgpack_pack_int(&packer, i);
        }

        rc = broadcast("/", packed.data, packed.size, &m, &error, &copy);
        assert_int_equal(rc, n > SIO_RECORD_NAMES ? SIO_LIMIT : SIO_OK);

        if (rc == SIO_OK) {
            assert_int_equal(m.rooms, SIO_RECORD_NAMES - 24);
            assert_int_equal(m.except, 24);
            assert_memory_equal(m.names[0].data, "24", 2);
            assert_memory_equal(m.names[999].data, "1023", 4);
            assert_memory_equal(m.names[1000].data, "0", 1);
            assert_memory_equal(m.names[1023].data, "23", 2);
        }

        free(copy);
    }

    /* the length of a name */

    for (n = SIO_ROOM_LEN; n <= SIO_ROOM_LEN + 1; n++) {
        pack_text("[1,{\"type\":2,\"data\":[\"e\"]}]");
        packed.data[0] = (char) 0x93;

        memset(name, 'r', n);
        name[n] = '\0';

        msgpack_pack_map(&packer, 1);
        str("rooms");
        msgpack_pack_array(&packer, 1);
        str(name);

        assert_int_equal(broadcast("/", packed.data, packed.size, &m, &error,
                                   &copy),
                         n > SIO_ROOM_LEN ? SIO_ERROR : SIO_OK);
        free(copy);
    }
}


static void
test_depth(void **state)
{
    size_t          i, n;
    sio_rc_t        rc;
    const char     *error;
    sio_message_t   m;
    unsigned char  *copy;

    static const struct {
        size_t    depth;
        sio_rc_t  rc;
    } cases[] = {
        { 64, SIO_OK }, { 75, SIO_OK }, { 81, SIO_LIMIT }, { 9999, SIO_LIMIT }
    };

    for (n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        msgpack_sbuffer_clear(&packed);
        msgpack_pack_array(&packer, 3);
        msgpack_pack_nil(&packer);
        msgpack_pack_map(&packer, 2);
        str("type");
        msgpack_pack_int(&packer, 2);
        str("data");
        msgpack_pack_array(&packer, 2);
        str("e");

        for (i = 1; i < cases[n].depth; i++) {
            msgpack_pack_array(&packer, 1);
        }

        msgpack_pack_nil(&packer);
        msgpack_pack_map(&packer, 0);

        rc = broadcast("/", packed.data, packed.size, &m, &error, &copy);
        assert_int_equal(rc, cases[n].rc);

        free(copy);
    }
}


static void
check_request(const char *json, sio_rc_t expected_rc, const char *expected)
{
    char            text[2000];
    size_t          len;
    sio_rc_t        rc;
    const char     *error;
    sio_message_t   m;
    unsigned char  *p;

    len = strlen(json);
    p = malloc(len + !len);
    assert_non_null(p);
    memcpy(p, json, len);

    error = "unset";
    rc = sio_adapter_request(&adapter, &m, root, T_ACK, p, len, &error);

    /* the names must not point into the input */

    free(p);

    if (rc != expected_rc) {
        fail_msg("%d %s: %s", rc, error ? error : "", json);
    }

    if (rc == SIO_OK) {
        assert_null(error);
        describe(text, sizeof(text), &m);
        assert_string_equal(text, expected);

    } else if (expected) {
        assert_string_equal(error, expected);
    }
}


/* Requests that redis-emitter 5.1.0 and redis-adapter 8.3.0 have sent. */

static void
test_request(void **state)
{
    check_request("{\"type\":2,\"opts\":{\"rooms\":[\"r1\"],\"except\":[]},"
                  "\"rooms\":[\"a\",\"b\"]}", SIO_OK, "2 0 r1||a,b|");
    check_request("{\"uid\":\"x\",\"type\":3,\"opts\":{\"rooms\":[\"r1\"],"
                  "\"except\":[\"z\"]},\"rooms\":[\"a\"]}",
                  SIO_OK, "3 0 r1|z|a|");
    check_request("{\"type\":4,\"opts\":{\"rooms\":[\"r1\"],\"except\":[]},"
                  "\"close\":true}", SIO_OK, "4 2 r1|||");
    check_request("{\"type\":4,\"opts\":{\"rooms\":[],\"except\":[]},"
                  "\"close\":false}", SIO_OK, "4 0 |||");

    /* older adapters */

    check_request("{\"uid\":\"x\",\"requestId\":\"y\",\"type\":2,"
                  "\"sid\":\"s1\",\"room\":\"r1\"}", SIO_OK, "2 0 s1||r1|");
    check_request("{\"type\":3,\"sid\":\"s1\",\"room\":5}",
                  SIO_OK, "3 0 s1||5|");
    check_request("{\"type\":4,\"sid\":\"s1\",\"close\":true}",
                  SIO_OK, "4 2 s1|||");
}


static void
test_request_tolerant(void **state)
{
    check_request("{ \"rooms\" : [ \"a\\n\", 7, \"\\u00e9\", -1.5 ],"
                  "\"opts\":{\"x\":1,\"except\":[3,\"q\"],\"rooms\":null},"
                  "\"type\":2 } ", SIO_OK, "2 0 |3,q|a\n,7,\xc3\xa9,-1.5|");
    check_request("{\"type\":4,\"opts\":{}}", SIO_OK, "4 0 |||");
    check_request("{\"type\":4,\"opts\":{},\"close\":1}", SIO_OK, "4 0 |||");
    check_request("{\"type\":4,\"opts\":{\"rooms\":[\"a\"]},\"rooms\":[5,{}]}",
                  SIO_OK, "4 0 a|||");
}


static void
test_request_ignored(void **state)
{
    check_request("{\"type\":0,\"requestId\":\"x\",\"rooms\":[]}", SIO_AGAIN,
                  NULL);
    check_request("{\"uid\":\"OWdeI1\",\"requestId\":\"iWh7HA\",\"type\":1}",
                  SIO_AGAIN, NULL);
    check_request("{\"type\":5,\"opts\":{\"rooms\":[],\"except\":[]}}",
                  SIO_AGAIN, NULL);
    check_request("{\"uid\":\"emitter\",\"type\":6,\"data\":[\"ping\",1]}",
                  SIO_AGAIN, NULL);
    check_request("{\"type\":99}", SIO_AGAIN, NULL);
    check_request("{\"type\":-4,\"opts\":{}}", SIO_AGAIN, NULL);
    check_request("{\"type\":4294967300,\"opts\":{}}", SIO_AGAIN, NULL);
    check_request("{\"type\":2,\"opts\":{}}", SIO_AGAIN, NULL);
    check_request("{\"type\":2,\"opts\":{},\"rooms\":[]}", SIO_AGAIN, NULL);
    check_request("\x81\xa4type\x09", SIO_AGAIN, NULL);
}


static void
test_request_bad(void **state)
{
    check_request("", SIO_ERROR, "empty request");
    check_request("\x83\xa4type\x09", SIO_ERROR, "malformed msgpack");
    check_request("garbage", SIO_ERROR,
                  "packet, options or flags are not a map");
    check_request("{", SIO_ERROR, "malformed JSON");
    check_request("{}x", SIO_ERROR, "malformed JSON");
    check_request("{\"type\":4,\"opts\":{},}", SIO_ERROR, "malformed JSON");
    check_request("{\"type\":4,\"x\":\"\xff\",\"opts\":{}}", SIO_ERROR,
                  "malformed JSON");
    check_request("{}", SIO_ERROR, "request without a type");
    check_request("{\"type\":\"4\"}", SIO_ERROR, "request without a type");
    check_request("{\"type\":4.0}", SIO_ERROR, "request without a type");

    /* nobody is addressed: this must not become everybody */

    check_request("{\"type\":4}", SIO_ERROR,
                  "request with neither opts nor sid");
    check_request("{\"type\":4,\"opts\":null}", SIO_ERROR,
                  "request with neither opts nor sid");
    check_request("{\"type\":4,\"opts\":[]}", SIO_ERROR,
                  "request with neither opts nor sid");
    check_request("{\"type\":4,\"sid\":\"\"}", SIO_ERROR,
                  "room name is empty or too long");
    check_request("{\"type\":4,\"sid\":null}", SIO_ERROR,
                  "room is neither a string nor a number");
    check_request("{\"type\":2,\"sid\":\"s\"}", SIO_ERROR,
                  "room is neither a string nor a number");
    check_request("{\"type\":4,\"opts\":{\"rooms\":\"a\"}}", SIO_ERROR,
                  "rooms are not an array");
    check_request("{\"type\":4,\"opts\":{\"rooms\":[null]}}", SIO_ERROR,
                  "room is neither a string nor a number");
    check_request("{\"type\":4,\"opts\":{\"except\":[\"\"]}}", SIO_ERROR,
                  "room name is empty or too long");
    check_request("{\"type\":2,\"opts\":{},\"rooms\":\"a\"}", SIO_ERROR,
                  "rooms are not an array");
}


static void
test_request_limits(void **state)
{
    size_t          i, n;
    sio_rc_t        rc;
    const char     *error;
    sio_buf_t       b;
    sio_message_t   m;

    static const char  head[] = "{\"type\":4,\"opts\":{\"rooms\":[0";

    memset(&b, 0, sizeof(sio_buf_t));

    for (n = SIO_RECORD_NAMES; n <= SIO_RECORD_NAMES + 1; n++) {
        b.len = 0;
        assert_int_equal(sio_buf_append(&b, head, sizeof(head) - 1), SIO_OK);

        for (i = 1; i < n; i++) {
            assert_int_equal(sio_buf_append(&b, ",12345", 6), SIO_OK);
        }

        assert_int_equal(sio_buf_append(&b, "]}}", 3), SIO_OK);

        rc = sio_adapter_request(&adapter, &m, root, T_ACK, b.data, b.len,
                                 &error);
        assert_int_equal(rc, n > SIO_RECORD_NAMES ? SIO_LIMIT : SIO_OK);
    }

    b.len = 0;

    for (i = 0; i < 100000; i++) {
        assert_int_equal(sio_buf_append(&b, "{\"a\":", 5), SIO_OK);
    }

    rc = sio_adapter_request(&adapter, &m, root, T_ACK, b.data, b.len, &error);
    assert_int_equal(rc, SIO_LIMIT);
    assert_string_equal(error, "nested too deep");

    sio_buf_free(&b);
}


/* What the clients get can be parsed by the rules for what they send. */

static void
check_deliverable(const sio_message_t *m)
{
    size_t        size;
    unsigned      i;
    sio_rc_t      rc;
    sio_packet_t  pk;

    assert_int_equal(m->type, SIO_RECORD_EMIT);
    assert_in_range(m->parts, 1, SIO_RECORD_PARTS);
    assert_int_equal(m->part[0].data[0], '4');

    rc = sio_packet_parse(&pk, m->part[0].data + 1, m->part[0].len - 1, NULL);

    assert_true(rc == SIO_OK || rc == SIO_LIMIT);
    assert_int_equal(pk.type, m->parts > 1 ? SIO_BINARY_EVENT : SIO_EVENT);
    assert_int_equal(pk.attachments, m->parts - 1);

    for (size = 0, i = 0; i < (unsigned) m->rooms + m->except; i++) {
        assert_in_range(m->names[i].len, 1, SIO_ROOM_LEN);
        size += m->names[i].data[0];
    }

    assert_true(size <= 255u * SIO_RECORD_NAMES);
}


static void
test_random(void **state)
{
    size_t          len;
    unsigned        i, k, accepted;
    sio_rc_t        rc;
    const char     *error;
    sio_message_t   m;
    unsigned char  *copy, data[600];

    static const char  *messages[] = {
        ("[\"emitter\",{\"type\":2,\"data\":[\"e\",{\"k\":[1.5,\"<b\"]},null],"
         "\"nsp\":\"/\"},{\"rooms\":[\"r\",\"q\"],"
         "\"flags\":{\"volatile\":true},\"except\":[]}]"),
        ("[1,{\"nsp\":null,\"data\":[5,[[[]]],{\"a\":{\"b\":\"<\"}}],"
         "\"type\":5},{\"except\":[1,2,300000,\"x\"],\"rooms\":null}]"),
        ("[1,{\"type\":2,\"data\":[\"caf\\u00e9\"]},null]")
    };

    srand(31);
    accepted = 0;
    len = 0;

    for (i = 0; i < 200000; i++) {

        if (i % 1000 == 0) {
            pack_text(messages[i / 1000 % 3]);
            len = packed.size;
        }

        memcpy(data, packed.data, len);

        for (k = rand() % 5; k; k--) {
            data[rand() % len] = rand() >> 8;
        }

        rc = broadcast("/", data, len - (rand() % 8 == 0), &m, &error, &copy);

        if (rc == SIO_OK) {
            check_deliverable(&m);
            accepted++;
        }

        free(copy);
    }

    assert_true(accepted > 20000);
}


static void
test_request_random(void **state)
{
    size_t          len;
    unsigned        i, k;
    sio_rc_t        rc;
    const char     *error;
    sio_message_t   m;
    unsigned char  *p;

    static const char  *requests[] = {
        ("{\"type\":2,\"opts\":{\"rooms\":[\"r1\",5],\"except\":[]},"
         "\"rooms\":[\"a\",\"b\"]}"),
        ("{\"uid\":\"x\",\"type\":4,\"opts\":{\"rooms\":[\"r1\"],"
         "\"except\":null},\"close\":true}"),
        "{\"type\":3,\"sid\":\"s1\",\"room\":\"r1\"}"
    };
    static const char  alphabet[] = "[]{}\",:\\0123456789-.eu \xc3\xa9";

    srand(37);

    for (i = 0; i < 100000; i++) {
        len = strlen(requests[i % 3]);
        p = malloc(len);
        assert_non_null(p);
        memcpy(p, requests[i % 3], len);

        for (k = rand() % 4; k; k--) {
            p[rand() % len] = alphabet[rand() % (sizeof(alphabet) - 1)];
        }

        error = NULL;
        rc = sio_adapter_request(&adapter, &m, root, T_ACK, p,
                                 len - (rand() % 8 == 0),
                                 &error);
        free(p);

        if (rc == SIO_OK) {
            assert_in_range(m.type, SIO_RECORD_JOIN, SIO_RECORD_DISCONNECT);

            for (k = 0; k < (unsigned) m.rooms + m.except + m.args; k++) {
                assert_in_range(m.names[k].len, 1, SIO_ROOM_LEN);
                assert_int_not_equal(m.names[k].data[m.names[k].len - 1], 256);
            }

        } else if (rc != SIO_AGAIN) {
            assert_non_null(error);
        }
    }
}


static int
setup(void **state)
{
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);

    return 0;
}


static int
teardown(void **state)
{
    msgpack_sbuffer_destroy(&packed);

    sio_adapter_free(&adapter);
    sio_adapter_free(&adapter);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_emitter),
        cmocka_unit_test(test_not_a_broadcast),
        cmocka_unit_test(test_tolerant),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_rooms),
        cmocka_unit_test(test_other_namespace),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_name_without_text),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_request_tolerant),
        cmocka_unit_test(test_request_ignored),
        cmocka_unit_test(test_request_bad),
        cmocka_unit_test(test_request_limits),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_request_random),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
