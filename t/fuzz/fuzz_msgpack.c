
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_json.h"
#include "sio_msgpack.h"

#include <msgpack.h>


/*
 * The input is one value of msgpack, and perhaps more behind it.  msgpack-c
 * has to agree on where a value ends.
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
