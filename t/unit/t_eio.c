
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_eio.h"

#include <stdlib.h>
#include <string.h>


/* Parses a copy of the exact size. */

static void
check_query(const char *query, unsigned version, unsigned transport,
    const char *sid)
{
    size_t            len;
    unsigned char    *p;
    sio_eio_query_t   q;

    len = strlen(query);
    p = malloc(len + !len);
    assert_non_null(p);
    memcpy(p, query, len);

    memset(&q, 0xee, sizeof(sio_eio_query_t));
    sio_eio_query_parse(&q, p, len);

    if (q.version != version || q.transport != transport
        || q.sid.len != strlen(sid)
        || (q.sid.len && memcmp(q.sid.data, sid, q.sid.len) != 0))
    {
        fail_msg("\"%s\": %u %u \"%.*s\"", query, q.version, q.transport,
                 (int) q.sid.len, q.sid.data ? (char *) q.sid.data : "");
    }

    free(p);
}


static void
test_query(void **state)
{
    check_query("", 3, 0, "");
    check_query("EIO=4&transport=polling", 4, SIO_EIO_POLLING, "");
    check_query("EIO=4&transport=websocket&sid=abc", 4, SIO_EIO_WEBSOCKET,
                "abc");
    check_query("transport=polling&t=Pabc&EIO=4&sid=x-y_z&b64=1", 4,
                SIO_EIO_POLLING, "x-y_z");
    check_query("EIO=4&transport=polling&sid=", 4, SIO_EIO_POLLING, "");
    check_query("EIO=4&transport=polling&sid", 4, SIO_EIO_POLLING, "");
    check_query("&&EIO=4&&&transport=polling&", 4, SIO_EIO_POLLING, "");
    check_query("=&=x&x=&?EIO=4", 3, 0, "");
}


static void
test_query_version(void **state)
{
    check_query("EIO=3", 3, 0, "");
    check_query("EIO=04", 3, 0, "");
    check_query("EIO=5", 3, 0, "");
    check_query("EIO=44", 3, 0, "");
    check_query("EIO=", 3, 0, "");
    check_query("EIO", 3, 0, "");
    check_query("eio=4", 3, 0, "");
    check_query("EIO=4%20", 3, 0, "");
    check_query("EIO=4444444444444444444444444444444444444444", 3, 0, "");
}


static void
test_query_transport(void **state)
{
    check_query("EIO=4&transport=POLLING", 4, 0, "");
    check_query("EIO=4&transport=webtransport", 4, 0, "");
    check_query("EIO=4&transport=pollin", 4, 0, "");
    check_query("EIO=4&transport=pollingx", 4, 0, "");
    check_query("EIO=4&Transport=polling", 4, 0, "");
    check_query("EIO=4&transport=", 4, 0, "");
}


static void
test_query_last_wins(void **state)
{
    check_query("EIO=3&EIO=4", 4, 0, "");
    check_query("EIO=4&EIO=3", 3, 0, "");
    check_query("transport=polling&transport=x", 3, 0, "");
    check_query("transport=x&transport=polling", 3, SIO_EIO_POLLING, "");
    check_query("sid=a&sid=b", 3, 0, "b");
    check_query("sid=%61&sid=", 3, 0, "");
    check_query("sid=%61&sid=b", 3, 0, "b");
    check_query("sid=b&sid=%61", 3, 0, "a");
}


static void
test_query_decoding(void **state)
{
    check_query("%45IO=4", 4, 0, "");
    check_query("%45%49%4F=%34", 4, 0, "");
    check_query("%45%49%4f=4", 4, 0, "");
    check_query("trans%70ort=poll%69ng", 3, SIO_EIO_POLLING, "");
    check_query("s%69d=a%2Bb", 3, 0, "a+b");
    check_query("sid=a+b", 3, 0, "a b");
    check_query("sid=a%3Db%26c", 3, 0, "a=b&c");
    check_query("sid=a=b", 3, 0, "a=b");
    check_query("sid=%", 3, 0, "%");
    check_query("sid=%4", 3, 0, "%4");
    check_query("sid=%zz", 3, 0, "%zz");
    check_query("sid=%4g%", 3, 0, "%4g%");
    check_query("sid=%%34", 3, 0, "%4");
    check_query("sid=%C3%A9", 3, 0, "\xc3\xa9");
    check_query("%45%45%45%45%45%45%45%45%45%45%45%45%45%45%45%45%45=4", 3, 0,
                "");
}


/* A sid that is too long when decoded is one that nobody has. */

static void
test_query_long_sid(void **state)
{
    char             text[300];
    sio_eio_query_t  q;

    memset(text, 'a', sizeof(text));
    memcpy(text, "sid=Q", 5);

    sio_eio_query_parse(&q, (unsigned char *) text, sizeof(text));
    assert_int_equal(q.sid.len, sizeof(text) - 4);
    assert_ptr_equal(q.sid.data, text + 4);

    text[sizeof(text) - 1] = '+';

    sio_eio_query_parse(&q, (unsigned char *) text, sizeof(text));
    assert_int_equal(q.sid.len, 64);
    assert_int_equal(q.sid.data[0], 'Q');

    memcpy(text, "sid=%51", 7);

    sio_eio_query_parse(&q, (unsigned char *) text, sizeof(text));
    assert_int_equal(q.sid.len, 64);
    assert_int_equal(q.sid.data[0], 'Q');
}


/* The token of a query, decoded, and what is left when it is hidden. */

static void
check_token(const char *query, const char *token, const char *hidden)
{
    size_t            len;
    sio_str_t         found;
    unsigned char    *p, buf[64];
    sio_eio_query_t   q;

    len = strlen(query);
    p = malloc(len + !len);
    assert_non_null(p);
    memcpy(p, query, len);

    sio_eio_query_parse(&q, p, len);

    found = sio_eio_query_decode(buf, sizeof(buf), q.token);

    assert_int_equal(found.len, strlen(token));
    if (found.len) {
        assert_memory_equal(found.data, token, found.len);
    }

    sio_eio_query_hide(p, len);

    assert_int_equal(len, strlen(hidden));
    if (len) {
        assert_memory_equal(p, hidden, len);
    }

    free(p);
}


static void
test_query_token(void **state)
{
    check_token("", "", "");
    check_token("EIO=4&transport=polling", "", "EIO=4&transport=polling");
    check_token("token", "", "token");
    check_token("token=", "", "token=");
    check_token("token=a.b-c_d&EIO=4", "a.b-c_d", "token=*******&EIO=4");
    check_token("EIO=4&token=abc", "abc", "EIO=4&token=***");
    check_token("t=1&token=%61b%2Bc&x", "ab+c", "t=1&token=********&x");
    check_token("token=a+b", "a b", "token=***");
    check_token("token=a=b", "a=b", "token=***");
    check_token("%74o%6Ben=abc", "abc", "%74o%6Ben=***");
    check_token("token=abc&token=de", "de", "token=***&token=**");
    check_token("token=abc&token=", "", "token=***&token=");
    check_token("token=abc&token", "", "token=***&token");
    check_token("Token=a&tokens=b&atoken=c", "", "Token=a&tokens=b&atoken=c");
}


static void
test_query_random(void **state)
{
    size_t           i, k, n;
    unsigned         version, transport;
    unsigned char   *p;
    sio_eio_query_t  q;

    static const char  parts[][12] = {
        "EIO", "=", "&", "4", "transport", "polling", "sid", "%", "%4", "%45",
        "+", "%zz", "aaaaaaaaaaa", "token"
    };

    srand(5);

    for (i = 0; i < 100000; i++) {
        char  text[200];

        text[0] = '\0';

        for (k = rand() % 16; k; k--) {
            strcat(text, parts[rand() % 14]);
        }

        n = strlen(text);
        p = malloc(n + !n);
        assert_non_null(p);
        memcpy(p, text, n);

        sio_eio_query_parse(&q, p, n);

        assert_true(q.version == 3 || q.version == 4);
        assert_true(q.transport <= SIO_EIO_WEBSOCKET);
        assert_true(q.sid.len == 0 || q.sid.data == q.decoded
                    || (q.sid.data > p && q.sid.data + q.sid.len <= p + n));
        assert_true(q.sid.data != q.decoded || q.sid.len <= 64);

        version = q.version;
        transport = q.transport;

        sio_eio_query_hide(p, n);
        sio_eio_query_parse(&q, p, n);

        assert_int_equal(q.version, version);
        assert_int_equal(q.transport, transport);

        for (k = 0; k < q.token.len; k++) {
            assert_int_equal(q.token.data[k], '*');
        }

        free(p);
    }
}


static void
test_error_texts(void **state)
{
    unsigned          i;
    const sio_str_t  *text;

    static const char  *texts[] = {
        "Transport unknown", "Session ID unknown", "Bad handshake method",
        "Bad request", "Forbidden", "Unsupported protocol version"
    };

    for (i = 0; i < 6; i++) {
        text = sio_eio_error_text(i);
        assert_int_equal(text->len, strlen(texts[i]));
        assert_memory_equal(text->data, texts[i], text->len);
    }

    assert_ptr_equal(sio_eio_error_text(6), sio_eio_error_text(3));
    assert_ptr_equal(sio_eio_error_text(-1), sio_eio_error_text(3));
}


static void
test_open(void **state)
{
    size_t         n;
    unsigned char  p[SIO_EIO_OPEN_LEN];

    static const char  polling[] = "0{\"sid\":\"bxSlDIguDLlZxhpzAAAA\","
        "\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
        "\"pingTimeout\":20000,\"maxPayload\":1000000}";
    static const char  websocket[] = "0{\"sid\":\"bxSlDIguDLlZxhpzAAAA\","
        "\"upgrades\":[],\"pingInterval\":18446744073709551615,"
        "\"pingTimeout\":18446744073709551615,"
        "\"maxPayload\":18446744073709551615}";

    n = sio_eio_open(p, (unsigned char *) "bxSlDIguDLlZxhpzAAAAmore", 1, 25000,
                     20000, 1000000);
    assert_int_equal(n, sizeof(polling) - 1);
    assert_int_equal(n, 118);
    assert_memory_equal(p, polling, n);

    n = sio_eio_open(p, (unsigned char *) "bxSlDIguDLlZxhpzAAAA", 0, UINT64_MAX,
                     UINT64_MAX, UINT64_MAX);
    assert_int_equal(n, sizeof(websocket) - 1);
    assert_memory_equal(p, websocket, n);
}


static void
check_sid(const char *random, uint32_t counter, const char *expected)
{
    unsigned char  p[SIO_EIO_SID_LEN + 1];

    p[SIO_EIO_SID_LEN] = '!';

    sio_eio_sid(p, (const unsigned char *) random, counter);

    assert_memory_equal(p, expected, SIO_EIO_SID_LEN);
    assert_int_equal(p[SIO_EIO_SID_LEN], '!');
}


/* The expected ids are base64 of Node.js with both replacements made. */

static void
test_sid(void **state)
{
    check_sid("\0\0\0\0\0\0\0\0\0\0\0\0", 0, "AAAAAAAAAAAAAAAAAAAA");
    check_sid("\0\0\0\0\0\0\0\0\0\0\0\0", 1, "AAAAAAAAAAAAAAAAAAAB");
    check_sid("\0\0\0\0\0\0\0\0\0\0\0\0", 0x1000001, "AAAAAAAAAAAAAAAAAAAB");
    check_sid("\0\0\0\0\0\0\0\0\0\0\0\0", 0x123456, "AAAAAAAAAAAAAAAAEjRW");
    check_sid("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ~0u,
              "____________________");
    check_sid("\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe", 0xfbefbe,
              "--------------------");
    check_sid("\x00\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f", 0x411493,
              "ABCDEFGHIJKLMNOPQRST");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_version),
        cmocka_unit_test(test_query_transport),
        cmocka_unit_test(test_query_last_wins),
        cmocka_unit_test(test_query_decoding),
        cmocka_unit_test(test_query_long_sid),
        cmocka_unit_test(test_query_token),
        cmocka_unit_test(test_query_random),
        cmocka_unit_test(test_error_texts),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_sid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
