
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"


/* The input is text that may be UTF-8. */


#define PLACES  32


/*
 * The length of the longest part of a valid sequence at p, said by means of
 * code points; *valid: it is a whole one.
 */

static size_t
sequence(const uint8_t *p, const uint8_t *last, int *valid)
{
    size_t    n, size;
    uint32_t  low, high, least, most;

    *valid = 0;

    size = (*p < 0x80) ? 1 : (*p < 0xc0) ? 0 : (*p < 0xe0) ? 2
           : (*p < 0xf0) ? 3 : (*p < 0xf8) ? 4 : 0;

    if (size == 0) {
        return 1;
    }

    least = (size == 1) ? 0 : (size == 2) ? 0x80 : (size == 3) ? 0x800
            : 0x10000;
    most = (size == 4) ? 0x10ffff : 0xffff;

    /* the code points that begin like this are those from low to high */

    low = (size == 1) ? *p : *p & (0x7f >> size);
    low <<= 6 * (size - 1);
    high = low | ((1u << 6 * (size - 1)) - 1);

    for (n = 1; /* void */ ; n++) {

        if (high < least || low > most || (low >= 0xd800 && high <= 0xdfff)) {
            return n > 1 ? n - 1 : 1;
        }

        if (n == size) {
            *valid = 1;
            return n;
        }

        if (p + n == last || (p[n] & 0xc0) != 0x80) {
            return n;
        }

        low |= (uint32_t) (p[n] & 0x3f) << 6 * (size - 1 - n);
        high = low | ((1u << 6 * (size - 1 - n)) - 1);
    }
}


static int
slow_repair(sio_buf_t *b, const uint8_t *p, size_t len)
{
    int             valid, good;
    size_t          n;
    const uint8_t  *last;

    good = 1;

    for (last = p + len; p < last; p += n) {
        n = sequence(p, last, &valid);

        if (valid) {
            fuzz_append(b, p, n);

        } else {
            fuzz_append(b, "\xef\xbf\xbd", 3);
            good = 0;
        }
    }

    return good;
}


/* Fed in two pieces, and byte by byte, the verdict is the same. */

static void
check_pieces(const uint8_t *p, size_t len, int valid)
{
    size_t    at;
    sio_rc_t  rc;
    uint32_t  state;

    for (at = 0; at < len; at += 1 + len / PLACES) {
        state = SIO_UTF8_ACCEPT;
        rc = sio_utf8_feed(&state, p, at);

        if (rc == SIO_OK) {
            rc = sio_utf8_feed(&state, p + at, len - at);
        }

        fuzz_check((rc == SIO_OK && state == SIO_UTF8_ACCEPT) == valid);
    }

    state = SIO_UTF8_ACCEPT;
    rc = SIO_OK;

    for (at = 0; at < len && rc == SIO_OK; at++) {
        rc = sio_utf8_feed(&state, p + at, 1);
    }

    fuzz_check((rc == SIO_OK && state == SIO_UTF8_ACCEPT) == valid);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    int        valid;
    sio_buf_t  fast, slow;

    memset(&fast, 0, sizeof(sio_buf_t));
    memset(&slow, 0, sizeof(sio_buf_t));

    valid = slow_repair(&slow, p, len);

    fuzz_check(fuzz_utf8(p, len) == valid);
    check_pieces(p, len, valid);

    fuzz_check(sio_utf8_repair(&fast, p, len) == SIO_OK);
    fuzz_check(fuzz_equal(fast.data, fast.len, slow.data, slow.len));
    fuzz_check(fuzz_utf8(fast.data, fast.len));

    sio_buf_free(&fast);
    sio_buf_free(&slow);

    return 0;
}
