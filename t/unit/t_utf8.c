
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_utf8.h"

#include <stdlib.h>
#include <string.h>


/* A decoder by arithmetic, as unlike the tested one as can be. */

static int
reference(const unsigned char *p, size_t n)
{
    size_t    i, need;
    uint32_t  c, min;

    for (i = 0; i < n; /* void */) {
        c = p[i++];

        if (c < 0x80) {
            continue;
        }

        if ((c & 0xe0) == 0xc0) {
            need = 1;
            c &= 0x1f;
            min = 0x80;

        } else if ((c & 0xf0) == 0xe0) {
            need = 2;
            c &= 0x0f;
            min = 0x800;

        } else if ((c & 0xf8) == 0xf0) {
            need = 3;
            c &= 0x07;
            min = 0x10000;

        } else {
            return 0;
        }

        while (need--) {

            if (i == n || (p[i] & 0xc0) != 0x80) {
                return 0;
            }

            c = c << 6 | (p[i++] & 0x3f);
        }

        if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
            return 0;
        }
    }

    return 1;
}


static int
valid(const unsigned char *p, size_t n)
{
    uint32_t  s;

    s = SIO_UTF8_ACCEPT;

    return sio_utf8_feed(&s, p, n) == SIO_OK && s == SIO_UTF8_ACCEPT;
}


static void
test_empty(void **state)
{
    uint32_t  s;

    s = SIO_UTF8_ACCEPT;

    assert_int_equal(sio_utf8_feed(&s, NULL, 0), SIO_OK);
    assert_int_equal(s, SIO_UTF8_ACCEPT);
}


/* All sequences of one to three bytes, and all of four that may be valid. */

static void
test_exhaustive(void **state)
{
    unsigned       a, b, c, d;
    unsigned char  p[4];

    static const unsigned char  last[] = {
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0xbf, 0xc0, 0xff
    };

    for (a = 0; a < 256; a++) {
        p[0] = a;

        if (valid(p, 1) != reference(p, 1)) {
            fail_msg("%02x", a);
        }

        for (b = 0; b < 256; b++) {
            p[1] = b;

            if (valid(p, 2) != reference(p, 2)) {
                fail_msg("%02x %02x", a, b);
            }

            for (c = 0; c < 256; c++) {
                p[2] = c;

                if (valid(p, 3) != reference(p, 3)) {
                    fail_msg("%02x %02x %02x", a, b, c);
                }

                for (d = 0; a >= 0xe0 && d < 8; d++) {
                    p[3] = last[d];

                    if (valid(p, 4) != reference(p, 4)) {
                        fail_msg("%02x %02x %02x %02x", a, b, c, p[3]);
                    }
                }
            }
        }
    }
}


/* A byte is refused when it is seen: what is not refused can be completed. */

static void
test_fail_fast(void **state)
{
    int            ok;
    unsigned       a, b, c;
    uint32_t       s, s2;
    unsigned char  p[4];

    for (a = 0x80; a < 256; a++) {
        s = SIO_UTF8_ACCEPT;
        p[0] = a;

        if (sio_utf8_feed(&s, p, 1) != SIO_OK) {
            continue;
        }

        assert_int_not_equal(s, SIO_UTF8_ACCEPT);

        for (b = 0; b < 256; b++) {
            s2 = s;
            p[1] = b;

            if (sio_utf8_feed(&s2, p + 1, 1) != SIO_OK) {
                continue;
            }

            ok = valid(p, 2);

            for (c = 0x80; c < 0xc0 && !ok; c++) {
                p[2] = c;
                p[3] = 0x80;
                ok = valid(p, 3) || valid(p, 4);
            }

            assert_true(ok);
        }
    }
}


/* A text around the word-wise path: every length, alignment and split. */

static void
test_splits(void **state)
{
    size_t          i, k, n, at;
    uint32_t        s;
    unsigned char  *p;

    static const char  text[] = "0123456789abcdef\xc3\xa9 01234567\xe2\x82\xac"
                                "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbfzzzzzzzz";

    n = sizeof(text) - 1;

    for (k = 0; k <= n; k++) {
        p = malloc(n - k + 1);
        assert_non_null(p);
        memcpy(p, text + k, n - k);

        for (at = 0; at <= n - k; at++) {
            s = SIO_UTF8_ACCEPT;

            if (sio_utf8_feed(&s, p, at) == SIO_OK
                && sio_utf8_feed(&s, p + at, n - k - at) == SIO_OK
                && s == SIO_UTF8_ACCEPT)
            {
                assert_true(reference(p, n - k));

            } else {
                assert_false(reference(p, n - k));
            }
        }

        free(p);
    }

    for (i = 0; i < n; i++) {
        p = malloc(n);
        assert_non_null(p);
        memcpy(p, text, n);
        p[i] = 0xff;

        assert_false(valid(p, n));

        free(p);
    }
}


static void
check_repair(const char *in, size_t len, const char *expected)
{
    sio_buf_t  b;

    memset(&b, 0, sizeof(sio_buf_t));

    assert_int_equal(sio_utf8_repair(&b, (const unsigned char *) in, len),
                     SIO_OK);
    assert_int_equal(b.len, strlen(expected));

    if (b.len) {
        assert_memory_equal(b.data, expected, b.len);
    }

    sio_buf_free(&b);
}


#define FFFD  "\xef\xbf\xbd"

#define repair(in, expected)  check_repair(in, sizeof(in) - 1, expected)


/* The expected texts are those of TextDecoder in Node.js. */

static void
test_repair(void **state)
{
    repair("", "");
    repair("abc", "abc");
    repair("caf\xc3\xa9 \xf0\x9f\x98\x80!", "caf\xc3\xa9 \xf0\x9f\x98\x80!");
    repair("\xff", FFFD);
    repair("a\xff" "b", "a" FFFD "b");
    repair("\xc3", FFFD);
    repair("\xc3(", FFFD "(");
    repair("\xc3\xc3\xa9", FFFD "\xc3\xa9");
    repair("\xe2\x82", FFFD);
    repair("\xe2\x82(", FFFD "(");
    repair("\xe2\x28\xa1", FFFD "(" FFFD);
    repair("\xf0\x9f\x98", FFFD);
    repair("\xf0\x9f\x98\xf0\x9f\x98\x80", FFFD "\xf0\x9f\x98\x80");
    repair("\xc0\x80", FFFD FFFD);
    repair("\xe0\x80\x80", FFFD FFFD FFFD);
    repair("\xed\xa0\x80", FFFD FFFD FFFD);
    repair("\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD);
    repair("\xf5\x80", FFFD FFFD);
    repair("\x80\x80", FFFD FFFD);
    repair("x\xe2\x82\xacy\xe2\x82z", "x\xe2\x82\xacy" FFFD "z");
}


/* Whatever comes in, what comes out is valid and good input is kept. */

static void
test_repair_random(void **state)
{
    size_t         i, k, n;
    sio_buf_t      b;
    unsigned char  p[24];

    static const unsigned char  bytes[] = {
        'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0,
        0xed, 0xef, 0xf0, 0xf4, 0xf5
    };

    srand(3);
    memset(&b, 0, sizeof(sio_buf_t));

    for (i = 0; i < 100000; i++) {
        n = rand() % sizeof(p);

        for (k = 0; k < n; k++) {
            p[k] = bytes[rand() >> 8 & 15];
        }

        b.len = 0;
        assert_int_equal(sio_utf8_repair(&b, p, n), SIO_OK);
        assert_true(n == 0 || reference(b.data, b.len));
        assert_true(b.len <= n * 3);

        if (n && reference(p, n)) {
            assert_int_equal(b.len, n);
            assert_memory_equal(b.data, p, n);
        }
    }

    sio_buf_free(&b);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_exhaustive),
        cmocka_unit_test(test_fail_fast),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_repair_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
