
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_buf.h"
#include "sio_hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static void
test_buf_empty(void **state)
{
    sio_buf_t  b;

    memset(&b, 0, sizeof(sio_buf_t));

    assert_int_equal(sio_buf_append(&b, NULL, 0), SIO_OK);
    assert_null(b.data);

    assert_int_equal(sio_buf_reserve(&b, 0), SIO_OK);
    assert_int_equal(b.len, 0);

    sio_buf_free(&b);
    sio_buf_free(&b);
}


static void
test_buf_grow(void **state)
{
    size_t          i, grown, size;
    sio_buf_t       b;
    unsigned char   c;

    memset(&b, 0, sizeof(sio_buf_t));
    grown = 0;
    size = 0;

    for (i = 0; i < 100000; i++) {
        c = i * 7;
        assert_int_equal(sio_buf_append(&b, &c, 1), SIO_OK);

        if (b.size != size) {
            size = b.size;
            grown++;
        }
    }

    assert_int_equal(b.len, 100000);
    assert_true(grown < 20);

    for (i = 0; i < b.len; i++) {
        assert_int_equal(b.data[i], (unsigned char) (i * 7));
    }

    sio_buf_free(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.size, 0);
}


/* What cannot be had leaves the buffer as it was. */

static void
test_buf_too_large(void **state)
{
    sio_buf_t  b;

    memset(&b, 0, sizeof(sio_buf_t));

    assert_int_equal(sio_buf_append(&b, "abc", 3), SIO_OK);

    assert_int_equal(sio_buf_reserve(&b, SIZE_MAX), SIO_NOMEM);
    assert_int_equal(sio_buf_reserve(&b, SIZE_MAX - 2), SIO_NOMEM);
    assert_int_equal(sio_buf_reserve(&b, SIZE_MAX / 2), SIO_NOMEM);

    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "abc", 3);

    assert_int_equal(sio_buf_append(&b, "def", 3), SIO_OK);
    assert_memory_equal(b.data, "abcdef", 6);

    sio_buf_free(&b);
}


/* The hash reads len bytes and no more: the copies are of the exact size. */

static void
test_hash_lengths(void **state)
{
    size_t          i, len;
    uint64_t        h, hashes[200];
    unsigned char  *p, data[200];

    for (i = 0; i < sizeof(data); i++) {
        data[i] = i;
    }

    assert_int_equal(sio_hash(1, NULL, 0), sio_hash(1, "", 0));

    for (len = 1; len <= sizeof(data); len++) {
        p = malloc(len);
        assert_non_null(p);
        memcpy(p, data, len);

        h = sio_hash(42, p, len);
        hashes[len - 1] = h;

        assert_true(h == sio_hash(42, data, len));
        assert_true(h != sio_hash(43, data, len));

        for (i = 0; i < len; i++) {
            p[i] ^= 1;
            assert_true(h != sio_hash(42, p, len));
            p[i] ^= 1;
        }

        for (i = 0; i + 1 < len; i++) {
            assert_true(h != hashes[i]);
        }

        free(p);
    }
}


/* Zeros differ by their number only. */

static void
test_hash_zeros(void **state)
{
    size_t         i, k;
    uint64_t       hashes[130];
    unsigned char  zeros[130];

    memset(zeros, 0, sizeof(zeros));

    for (i = 0; i < 130; i++) {
        hashes[i] = sio_hash(0, zeros, i);

        for (k = 0; k < i; k++) {
            assert_true(hashes[k] != hashes[i]);
        }
    }
}


/* Every bit of the input changes every bit of the hash half of the time. */

static void
test_hash_avalanche(void **state)
{
    size_t         len, bit, round, out;
    unsigned       flips[64];
    uint64_t       h, x;
    unsigned char  data[40];

    static const size_t  lens[] = { 3, 4, 5, 7, 8, 11, 16, 17, 24, 33, 40 };

    srand(7);

    for (len = 0; len < sizeof(lens) / sizeof(lens[0]); len++) {

        for (bit = 0; bit < lens[len] * 8; bit++) {
            memset(flips, 0, sizeof(flips));

            for (round = 0; round < 400; round++) {

                for (out = 0; out < lens[len]; out++) {
                    data[out] = rand() >> 8;
                }

                h = sio_hash(9, data, lens[len]);
                data[bit / 8] ^= 1 << (bit % 8);
                x = h ^ sio_hash(9, data, lens[len]);

                for (out = 0; out < 64; out++) {
                    flips[out] += x >> out & 1;
                }
            }

            /* 200 expected, 10 is the standard deviation */

            for (out = 0; out < 64; out++) {
                assert_in_range(flips[out], 140, 260);
            }
        }
    }
}


/* Names of the usual kind fill the buckets of a table evenly. */

static void
test_hash_buckets(void **state)
{
    int       n;
    char      name[32];
    double    chi;
    unsigned  i, k, low[1024], high[1024];
    uint64_t  h;

    static const char  *formats[] = {
        "%u", "room%u", "user:%010u", "/chat#%u#messages-of-room"
    };

    for (k = 0; k < 4; k++) {
        memset(low, 0, sizeof(low));
        memset(high, 0, sizeof(high));

        for (i = 0; i < 102400; i++) {
            n = snprintf(name, sizeof(name), formats[k], i);
            h = sio_hash(0x1234567890abcdefULL, name, n);

            low[h & 1023]++;
            high[h >> 54]++;
        }

        for (chi = 0, i = 0; i < 1024; i++) {
            chi += (low[i] - 100.0) * (low[i] - 100.0) / 100.0;
        }

        /* 1023 degrees of freedom: five standard deviations */

        assert_true(chi > 797 && chi < 1249);

        for (chi = 0, i = 0; i < 1024; i++) {
            chi += (high[i] - 100.0) * (high[i] - 100.0) / 100.0;
        }

        assert_true(chi > 797 && chi < 1249);
    }
}


/*
 * Words equal to constants of the function must not blank out the others:
 * who does not know the seed cannot make a factor zero.
 */

static void
test_hash_no_blind_spot(void **state)
{
    size_t         i, k;
    uint64_t       w, h;
    unsigned char  a[48], b[48];

    static const uint64_t  words[] = {
        0, ~0ULL, 0xd1b54a32d192ed03ULL, 0x8cb92ba72f3d8dd7ULL,
        0xe7037ed1a0b428dbULL
    };

    for (i = 0; i < 5; i++) {

        for (k = 0; k < 6; k++) {
            memset(a, 'a', sizeof(a));
            memset(b, 'b', sizeof(b));

            w = words[i];
            memcpy(a + k * 8, &w, 8);
            memcpy(b + k * 8, &w, 8);

            h = sio_hash(77, a, sizeof(a));
            assert_true(h != sio_hash(77, b, sizeof(b)));
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_buf_empty),
        cmocka_unit_test(test_buf_grow),
        cmocka_unit_test(test_buf_too_large),
        cmocka_unit_test(test_hash_lengths),
        cmocka_unit_test(test_hash_zeros),
        cmocka_unit_test(test_hash_avalanche),
        cmocka_unit_test(test_hash_buckets),
        cmocka_unit_test(test_hash_no_blind_spot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
