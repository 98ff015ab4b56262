
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_payload.h"
#include "sio_ws.h"

#include <stdlib.h>
#include <string.h>


/* A copy of the exact size, so that a sanitizer sees what is read behind. */

static unsigned char *
copy(const void *data, size_t len)
{
    unsigned char  *p;

    p = malloc(len + !len);
    assert_non_null(p);
    memcpy(p, data, len);

    return p;
}


/* The packets are expected with "|" behind each. */

static void
check_packets(const char *payload, size_t len, const char *expected)
{
    size_t          n;
    sio_str_t       packet;
    sio_payload_t   pl;
    unsigned char  *p;

    p = copy(payload, len);
    sio_payload_init(&pl, p, len);

    while (*expected) {
        n = strcspn(expected, "|");

        assert_int_equal(sio_payload_next(&pl, &packet), SIO_OK);
        assert_int_equal(packet.len, n);

        if (n) {
            assert_memory_equal(packet.data, expected, n);
        }

        expected += n + 1;
    }

    assert_int_equal(sio_payload_next(&pl, &packet), SIO_AGAIN);
    assert_int_equal(sio_payload_next(&pl, &packet), SIO_AGAIN);

    free(p);
}


static void
test_packets(void **state)
{
    sio_str_t      packet;
    sio_payload_t  pl;

    check_packets("4hello", 6, "4hello|");
    check_packets("4a\x1e" "4b\x1e" "bAQID", 11, "4a|4b|bAQID|");
    check_packets("", 0, "|");
    check_packets("\x1e", 1, "||");
    check_packets("4a\x1e", 3, "4a||");
    check_packets("\x1e" "4a", 3, "|4a|");
    check_packets("4a\x1e\x1e" "3", 5, "4a||3|");

    sio_payload_init(&pl, NULL, 0);
    assert_int_equal(sio_payload_next(&pl, &packet), SIO_OK);
    assert_int_equal(packet.len, 0);
    assert_int_equal(sio_payload_next(&pl, &packet), SIO_AGAIN);
}


/* What Buffer.from(text, 'base64') of Node.js gives. */

typedef struct {
    const char  *text;
    size_t       text_len;
    const char  *bytes;
    size_t       bytes_len;
} decode_t;

#define row(text, bytes)  { text, sizeof(text) - 1, bytes, sizeof(bytes) - 1 }

static const decode_t  decodes[] = {
    row("", ""),
    row("A", ""),
    row("AA", "\0"),
    row("AAA", "\0\0"),
    row("AAAA", "\0\0\0"),
    row("YQ==", "a"),
    row("YQ=", "a"),
    row("YQ", "a"),
    row("YR==", "a"),
    row("YWI=", "ab"),
    row("YWI", "ab"),
    row("YWJ=", "ab"),
    row("YWJj", "abc"),
    row("YWJjA", "abc"),
    row("YWJjAB", "abc\0"),
    row("-_-_", "\xfb\xff\xbf"),
    row("+/+/", "\xfb\xff\xbf"),
    row("+_-/", "\xfb\xff\xbf"),

    /* the first "=" ends it */
    row("=", ""),
    row("====", ""),
    row("=YQ==", ""),
    row("Y=Q", ""),
    row("YQ==YQ==", "a"),
    row("YQ=YQ", "a"),
    row("YQ===YWJj", "a"),
    row("YWJj====", "abc"),
    row("YWJj=ZGVm", "abc"),
    row("YWJjZA=ZGVm", "abcd"),
    row("Y W = = J", "a"),

    /* what is no digit is skipped */
    row(" ", ""),
    row("YW Jj", "abc"),
    row("YWJj\r\n", "abc"),
    row("YW!Jj", "abc"),
    row("\tY.W,J*j~", "abc"),
    row("YW\0Jj", "abc"),
    row("Y\xc3\xa9WJj", "abc"),
    row("YW\xef\xbf\xbdJj", "abc"),
    row("Y[W]J`j{", "abc"),
    row("Y@W:J;j|", "abc"),
    row("Y\xff\x80WJj", "abc")
};


static void
test_decode(void **state)
{
    size_t           i;
    sio_buf_t        b;
    unsigned char   *p;
    const decode_t  *d;

    for (i = 0; i < sizeof(decodes) / sizeof(decode_t); i++) {
        d = &decodes[i];
        memset(&b, 0, sizeof(sio_buf_t));

        assert_int_equal(sio_buf_append(&b, "head", 4), SIO_OK);

        p = copy(d->text, d->text_len);
        assert_int_equal(sio_payload_decode(&b, p, d->text_len), SIO_OK);
        free(p);

        if (b.len != 4 + d->bytes_len || memcmp(b.data, "head", 4) != 0
            || memcmp(b.data + 4, d->bytes, d->bytes_len) != 0)
        {
            fail_msg("\"%s\"", d->text);
        }

        sio_buf_free(&b);
    }
}


static void
check_binary(const char *bytes, size_t len, const char *text)
{
    sio_buf_t       b;
    unsigned char  *p;

    memset(&b, 0, sizeof(sio_buf_t));

    p = copy(bytes, len);
    assert_int_equal(sio_payload_binary(&b, p, len), SIO_OK);
    free(p);

    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(b.data, text, b.len);

    sio_buf_free(&b);
}


static void
test_binary(void **state)
{
    check_binary("", 0, "b");
    check_binary("a", 1, "bYQ==");
    check_binary("ab", 2, "bYWI=");
    check_binary("abc", 3, "bYWJj");
    check_binary("abcd", 4, "bYWJjZA==");
    check_binary("\1\2\3\4", 4, "bAQIDBA==");
    check_binary("\xff\xff\xff", 3, "b////");
    check_binary("\xfb\xef\xbe\xff", 4, "b++++/w==");
    check_binary("\0\0\0\0\0\0", 6, "bAAAAAAAA");
}


static void
test_binary_random(void **state)
{
    size_t         i, k, n;
    sio_buf_t      text, bytes;
    unsigned char  data[300];

    srand(3);
    memset(&text, 0, sizeof(sio_buf_t));
    memset(&bytes, 0, sizeof(sio_buf_t));

    for (i = 0; i < 20000; i++) {
        n = rand() % sizeof(data);

        for (k = 0; k < n; k++) {
            data[k] = rand();
        }

        text.len = 0;
        bytes.len = 0;

        assert_int_equal(sio_payload_binary(&text, data, n), SIO_OK);
        assert_int_equal(text.len, 1 + (n + 2) / 3 * 4);
        assert_int_equal(sio_payload_decode(&bytes, text.data + 1,
                                            text.len - 1),
                         SIO_OK);
        assert_int_equal(bytes.len, n);

        if (n) {
            assert_memory_equal(bytes.data, data, n);
        }
    }

    sio_buf_free(&text);
    sio_buf_free(&bytes);
}


static void
test_join(void **state)
{
    sio_buf_t  b;

    static const char  all[] = "42[\"a\"]\x1e" "bYQ==\x1e" "2\x1e" "b";

    memset(&b, 0, sizeof(sio_buf_t));

    assert_int_equal(sio_payload_text(&b, (unsigned char *) "42[\"a\"]", 7),
                     SIO_OK);
    assert_int_equal(sio_payload_binary(&b, (unsigned char *) "a", 1), SIO_OK);
    assert_int_equal(sio_payload_text(&b, (unsigned char *) "2", 1), SIO_OK);
    assert_int_equal(sio_payload_binary(&b, NULL, 0), SIO_OK);

    assert_int_equal(b.len, sizeof(all) - 1);
    assert_memory_equal(b.data, all, b.len);

    /* lengths that no memory has */

    assert_int_equal(sio_payload_text(&b, NULL, SIZE_MAX), SIO_NOMEM);
    assert_int_equal(sio_payload_text(&b, NULL, SIZE_MAX - 1), SIO_NOMEM);
    assert_int_equal(sio_payload_binary(&b, NULL, SIZE_MAX), SIO_NOMEM);
    assert_int_equal(sio_payload_binary(&b, NULL, SIZE_MAX / 2), SIO_NOMEM);
    assert_int_equal(sio_payload_decode(&b, NULL, SIZE_MAX), SIO_NOMEM);
    assert_int_equal(b.len, sizeof(all) - 1);

    sio_buf_free(&b);
}


static void
frame(sio_buf_t *b, unsigned opcode, const void *data, size_t len)
{
    size_t         n;
    unsigned char  head[SIO_WS_HEADER];

    n = sio_ws_header(head, opcode, len);

    assert_int_equal(sio_buf_append(b, head, n), SIO_OK);
    assert_int_equal(sio_buf_append(b, data, len), SIO_OK);
}


static void
test_frames(void **state)
{
    sio_buf_t       frames, b;
    unsigned char  *p;

    static const char  all[] = "0\x1e" "42[\"a\"]\x1e" "bAQIDBA==\x1e" "b";

    memset(&frames, 0, sizeof(sio_buf_t));
    memset(&b, 0, sizeof(sio_buf_t));

    assert_int_equal(sio_payload_frames(&b, NULL, 0), SIO_OK);
    assert_int_equal(b.len, 0);

    frame(&frames, SIO_WS_PING, "", 0);
    frame(&frames, SIO_WS_TEXT, "42[\"a\"]", 7);
    frame(&frames, SIO_WS_PONG, "x", 1);
    frame(&frames, SIO_WS_BINARY, "\1\2\3\4", 4);
    frame(&frames, SIO_WS_BINARY, "", 0);
    frame(&frames, SIO_WS_CLOSE, "\3\xe8", 2);

    assert_int_equal(sio_payload_text(&b, (unsigned char *) "0", 1), SIO_OK);

    p = copy(frames.data, frames.len);
    assert_int_equal(sio_payload_frames(&b, p, frames.len), SIO_OK);
    free(p);

    assert_int_equal(b.len, sizeof(all) - 1);
    assert_memory_equal(b.data, all, b.len);

    sio_buf_free(&frames);
    sio_buf_free(&b);
}


/* All three forms of a header, around their limits. */

static void
test_frames_lengths(void **state)
{
    size_t         i, n;
    sio_buf_t      frames, b;
    unsigned char  *data, *p;

    static const size_t  lens[] = {
        1, 125, 126, 127, 128, 65535, 65536, 70000
    };

    data = malloc(70000);
    assert_non_null(data);
    memset(data, '4', 70000);
    memset(&frames, 0, sizeof(sio_buf_t));
    memset(&b, 0, sizeof(sio_buf_t));

    for (i = 0; i < sizeof(lens) / sizeof(size_t); i++) {
        frames.len = 0;
        b.len = 0;

        frame(&frames, SIO_WS_TEXT, data, lens[i]);
        frame(&frames, SIO_WS_TEXT, data, 1);

        p = copy(frames.data, frames.len);
        assert_int_equal(sio_payload_frames(&b, p, frames.len), SIO_OK);
        free(p);

        assert_int_equal(b.len, lens[i] + 2);
        assert_memory_equal(b.data, data, lens[i]);
        assert_int_equal(b.data[lens[i]], SIO_PAYLOAD_SEPARATOR);

        /* cut anywhere but behind the first they are no whole frames */

        for (n = 1; n < frames.len; n += 1 + n / 50) {

            if (n == frames.len - 3) {
                continue;
            }

            b.len = 3;
            p = copy(frames.data, n);
            assert_int_equal(sio_payload_frames(&b, p, n), SIO_ERROR);
            assert_int_equal(b.len, 3);
            free(p);
        }
    }

    free(data);
    sio_buf_free(&frames);
    sio_buf_free(&b);
}


static void
check_refused(const char *frames, size_t len)
{
    sio_buf_t       b;
    unsigned char  *p;

    memset(&b, 0, sizeof(sio_buf_t));
    assert_int_equal(sio_buf_append(&b, "2", 1), SIO_OK);

    p = copy(frames, len);
    assert_int_equal(sio_payload_frames(&b, p, len), SIO_ERROR);
    free(p);

    assert_int_equal(b.len, 1);
    assert_int_equal(b.data[0], '2');

    sio_buf_free(&b);
}


#define refused(frames)  check_refused(frames, sizeof(frames) - 1)

static void
test_frames_refused(void **state)
{
    refused("\x81");
    refused("\x81\x02" "4");
    refused("\x81\x00");                          /* no type */
    refused("\x81\x01" "4\x81\x00");              /* the first one is taken
                                                     back */
    refused("\x81\x81" "abcd4");                  /* masked */
    refused("\x82\xff" "abcdefghijklmn");
    refused("\x01\x01" "4");                      /* a fragment */
    refused("\x80\x01" "4");
    refused("\xc1\x01" "4");                      /* reserved bit */
    refused("\x83\x01" "4");                      /* unknown opcode */
    refused("\x8b\x00");
    refused("\x81\x7e\x00");
    refused("\x81\x7f\x00\x00\x00\x00\x00\x00\x00");
    refused("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff" "4");
    refused("\x89\x01");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_packets),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_binary_random),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_frames_lengths),
        cmocka_unit_test(test_frames_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
