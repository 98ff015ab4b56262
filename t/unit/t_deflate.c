
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_deflate.h"
#include "sio_ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>


#define LIMIT  100000


typedef struct {
    const char      *offer;
    const char      *answer;      /* of window bits; NULL: none, "!": refused */
} offer_t;


static sio_buf_t  wire;


/* The offers of RFC 7692, 7.1, then what else may stand there. */

static const offer_t  offers[] = {
    { "permessage-deflate", "" },
    { "permessage-deflate; client_max_window_bits", "" },
    { "permessage-deflate; client_max_window_bits=10", "" },
    { "permessage-deflate; server_max_window_bits=10", "10" },
    { "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
      "10" },
    { "permessage-deflate; server_max_window_bits=10, permessage-deflate",
      "10" },
    { "permessage-deflate; client_max_window_bits; server_max_window_bits=10,"
      " permessage-deflate; client_max_window_bits", "10" },
    { "permessage-deflate; server_no_context_takeover", "" },
    { "permessage-deflate; client_no_context_takeover", "" },
    { "permessage-deflate; server_no_context_takeover;"
      " client_no_context_takeover; server_max_window_bits=8;"
      " client_max_window_bits=8", "8" },

    { "permessage-deflate; server_max_window_bits=9", "9" },
    { "permessage-deflate; server_max_window_bits=15", "15" },
    { "permessage-deflate;server_max_window_bits=\"12\"", "12" },
    { "permessage-deflate;server_max_window_bits=\"1\\2\"", "12" },
    { "\tpermessage-deflate ;\tserver_max_window_bits = 11 ", "11" },

    { "permessage-deflate; server_max_window_bits", NULL },
    { "permessage-deflate; server_max_window_bits=7", NULL },
    { "permessage-deflate; server_max_window_bits=16", NULL },
    { "permessage-deflate; server_max_window_bits=010", NULL },
    { "permessage-deflate; server_max_window_bits=1", NULL },
    { "permessage-deflate; server_max_window_bits=100", NULL },
    { "permessage-deflate; server_max_window_bits=\"1000000000\"", NULL },
    { "permessage-deflate; server_max_window_bits=10;"
      " server_max_window_bits=10", NULL },
    { "permessage-deflate; client_max_window_bits=7", NULL },
    { "permessage-deflate; client_max_window_bits=16", NULL },
    { "permessage-deflate; client_max_window_bits=x", NULL },
    { "permessage-deflate; client_max_window_bits; client_max_window_bits",
      NULL },
    { "permessage-deflate; server_no_context_takeover=1", NULL },
    { "permessage-deflate; client_no_context_takeover=true", NULL },
    { "permessage-deflate; client_no_context_takeover;"
      " client_no_context_takeover", NULL },
    { "permessage-deflate; unknown", NULL },
    { "permessage-deflate; server_max_window_bits2=9", NULL },
    { "permessage-deflate2", NULL },
    { "permessage-deflat", NULL },
    { "x-webkit-deflate-frame", NULL },
    { "foo; bar=1, baz", NULL },
    { "", NULL },
    { " , ,", NULL },

    { "foo, permessage-deflate", "" },
    { ",permessage-deflate,", "" },
    { "permessage-deflate; unknown, permessage-deflate;"
      " server_max_window_bits=14", "14" },
    { "permessage-deflate; server_max_window_bits=7,"
      " permessage-deflate; server_max_window_bits=9, permessage-deflate",
      "9" },

    { ";", "!" },
    { ";;;", "!" },
    { "permessage-deflate;", "!" },
    { "permessage-deflate; ;", "!" },
    { "permessage-deflate; client_max_window_bits=", "!" },
    { "permessage-deflate; client_max_window_bits=\"", "!" },
    { "permessage-deflate; client_max_window_bits=\"\"", "!" },
    { "permessage-deflate; client_max_window_bits=\"10", "!" },
    { "permessage-deflate; client_max_window_bits=\"10\\", "!" },
    { "permessage-deflate; client_max_window_bits=\"1 0\"", "!" },
    { "permessage-deflate; client_max_window_bits=10 11", "!" },
    { "permessage-deflate; =10", "!" },
    { "permessage-deflate permessage-deflate", "!" },
    { "permessage-deflate, f[o]o", "!" },
    { "foo\x80", "!" },
    { NULL, NULL }
};


static void
test_offers(void **state)
{
    char            expected[SIO_DEFLATE_ANSWER];
    size_t          len;
    sio_rc_t        rc;
    unsigned char  *copy, answer[SIO_DEFLATE_ANSWER];
    sio_deflate_t   d;
    const offer_t  *o;

    for (o = offers; o->offer; o++) {

        /* a copy on the heap, so that nothing behind it is read unseen */

        len = strlen(o->offer);
        copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, o->offer, len);

        memset(&d, 0, sizeof(sio_deflate_t));
        rc = sio_deflate_offer(&d, copy, len);

        free(copy);

        if (o->answer && strcmp(o->answer, "!") == 0) {

            if (rc != SIO_ERROR) {
                fail_msg("%s: not refused", o->offer);
            }

            continue;
        }

        if (rc != SIO_OK || (d.window != 0) != (o->answer != NULL)) {
            fail_msg("%s: rc %d, window %d", o->offer, rc, d.window);
        }

        if (o->answer == NULL) {
            continue;
        }

        snprintf(expected, sizeof(expected), "permessage-deflate; "
                 "server_no_context_takeover; client_no_context_takeover%s%s",
                 *o->answer ? "; server_max_window_bits=" : "", o->answer);

        len = sio_deflate_answer(answer, &d);

        assert_int_equal(len, strlen(expected));
        assert_memory_equal(answer, expected, len);
        assert_int_equal(d.window, *o->answer ? atoi(o->answer) : 15);
    }
}


/* Several headers are one list. */

static void
test_offers_of_two_headers(void **state)
{
    sio_deflate_t         d;
    static const char     first[] = "permessage-deflate; unknown";
    static const char     second[] =
        "permessage-deflate; server_max_window_bits=9";
    static const char     third[] = "permessage-deflate";

    memset(&d, 0, sizeof(sio_deflate_t));

    assert_int_equal(sio_deflate_offer(&d, (unsigned char *) first,
                                       sizeof(first) - 1), SIO_OK);
    assert_int_equal(d.window, 0);

    assert_int_equal(sio_deflate_offer(&d, (unsigned char *) second,
                                       sizeof(second) - 1), SIO_OK);
    assert_int_equal(sio_deflate_offer(&d, (unsigned char *) third,
                                       sizeof(third) - 1), SIO_OK);
    assert_int_equal(d.window, 9);
}


/* The examples of RFC 7692, 7.2.3, and the like: bytes in hex. */

typedef struct {
    const char      *bytes;
    const char      *text;        /* NULL: broken */
} sample_t;

static const sample_t  samples[] = {
    { "f248cdc9c90700", "Hello" },
    { "000500faff48656c6c6f00", "Hello" },
    { "f348cdc9c9070000", "Hello" },
    { "f248050000" "00ffffcac9c90700", "Hello" },
    { "00", "" },
    { "", "" },

    { "f348cdc9c90700", "Hello" },             /* final, without padding */
    { "0200", "" },                            /* an empty fixed block */
    { "03000300030000", "" },                  /* final ones */
    { "010500faff48656c6c6f", "Hello" },       /* final, stored */
    { "01", "" },                              /* its tail is left out */
    { "f348cdc9c907" "00" "f248cdc9c90700", "HelloHello" },

    { "f200110000", NULL },                    /* of a window not kept */
    { "f248cdc9c9", NULL },                    /* cut off */
    { "f248", NULL },
    { "000500faff4865", NULL },
    { "010b00f4ff4865", NULL },                /* its tail does not fill it */
    { "000500fbff48656c6c6f00", NULL },        /* stored, wrong complement */
    { "06", NULL },                            /* blocks of no type */
    { "07", NULL },
    { "ffffffff", NULL },
    { "ecc0", NULL },
    { NULL, NULL }
};


static size_t
unhex(unsigned char *p, const char *hex)
{
    size_t    n;
    unsigned  c;

    for (n = 0; hex[n * 2]; n++) {
        assert_int_equal(sscanf(hex + n * 2, "%2x", &c), 1);
        p[n] = c;
    }

    return n;
}


static void
test_samples(void **state)
{
    size_t           len;
    sio_rc_t         rc;
    sio_buf_t        out;
    unsigned char    bytes[64], *copy;
    const sample_t  *s;

    for (s = samples; s->bytes; s++) {
        len = unhex(bytes, s->bytes);

        copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, bytes, len);

        memset(&out, 0, sizeof(sio_buf_t));
        rc = sio_inflate(&out, copy, len, LIMIT);

        free(copy);

        if (rc != (s->text ? SIO_OK : SIO_ERROR)) {
            fail_msg("%s: %d", s->bytes, rc);
        }

        if (s->text) {
            assert_int_equal(out.len, strlen(s->text));
            assert_memory_equal(out.data, s->text, out.len);
        }

        sio_buf_free(&out);
    }
}


/* A block behind a final one may refer to what is before that. */

static void
test_final_keeps_window(void **state)
{
    z_stream       z;
    sio_buf_t      out;
    unsigned char  in[400], bytes[2000];
    size_t         i, len;

    for (i = 0; i < sizeof(in); i++) {
        in[i] = rand();
    }

    memset(&z, 0, sizeof(z_stream));
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, 0), Z_OK);

    z.next_in = in;
    z.avail_in = sizeof(in);
    z.next_out = bytes;
    z.avail_out = sizeof(bytes);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    len = z.total_out;

    deflateReset(&z);
    deflateSetDictionary(&z, in, sizeof(in));

    z.next_in = in;
    z.avail_in = sizeof(in);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    assert_in_range(z.total_out, 1, 20);
    len += z.total_out;

    deflateEnd(&z);

    bytes[len++] = 0;

    memset(&out, 0, sizeof(sio_buf_t));
    assert_int_equal(sio_inflate(&out, bytes, len, LIMIT), SIO_OK);
    assert_int_equal(out.len, 2 * sizeof(in));
    assert_memory_equal(out.data, in, sizeof(in));
    assert_memory_equal(out.data + sizeof(in), in, sizeof(in));

    sio_buf_free(&out);
}


/* Text that compresses somewhat. */

static void
words(unsigned char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        p[i] = "abcdefgh"[rand() & (i / 64 & 7)];
    }
}


static void
test_round_trips(void **state)
{
    size_t          len, before;
    sio_rc_t        rc;
    sio_buf_t       packed, out;
    unsigned char  *p;

    memset(&packed, 0, sizeof(sio_buf_t));

    for (len = 0; len < 300000; len += 1 + len / 3) {
        p = malloc(len + 1);
        assert_non_null(p);
        words(p, len);

        /* behind what is there */

        before = packed.len;
        rc = sio_deflate(&packed, p, len);

        if (rc == SIO_LIMIT) {
            assert_true(len < 100);
            assert_int_equal(packed.len, before);
            free(p);
            continue;
        }

        assert_int_equal(rc, SIO_OK);
        assert_true(packed.len - before < len);

        memset(&out, 0, sizeof(sio_buf_t));
        assert_int_equal(sio_inflate(&out, packed.data + before,
                                     packed.len - before, len),
                         SIO_OK);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.data, p, len);
        assert_true(out.size <= len + 1);
        sio_buf_free(&out);

        assert_int_equal(sio_inflate(&out, packed.data + before,
                                     packed.len - before, len - 1),
                         SIO_LIMIT);
        sio_buf_free(&out);
        free(p);
    }

    assert_true(packed.len > 10000);
    sio_buf_free(&packed);
}


static void
test_random_is_left(void **state)
{
    size_t         i;
    sio_buf_t      packed;
    unsigned char  in[5000];

    for (i = 0; i < sizeof(in); i++) {
        in[i] = rand();
    }

    memset(&packed, 0, sizeof(sio_buf_t));
    assert_int_equal(sio_deflate(&packed, in, sizeof(in)), SIO_LIMIT);
    assert_int_equal(packed.len, 0);

    sio_buf_free(&packed);
}


/* What a window of few bits is given has to be a message that is as short. */

static void
test_short_fits_small_window(void **state)
{
    z_stream       z;
    sio_buf_t      packed;
    unsigned char  in[512], out[513];

    memset(in, 'x', sizeof(in));
    words(in, 200);
    memcpy(in + 312, in, 200);

    memset(&packed, 0, sizeof(sio_buf_t));
    assert_int_equal(sio_deflate(&packed, in, sizeof(in)), SIO_OK);

    memset(&z, 0, sizeof(z_stream));
    assert_int_equal(inflateInit2(&z, -9), Z_OK);

    z.next_in = packed.data;
    z.avail_in = packed.len;
    z.next_out = out;
    z.avail_out = sizeof(out);

    assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
    assert_int_equal(z.total_out, sizeof(in));
    assert_memory_equal(out, in, sizeof(in));

    inflateEnd(&z);
    sio_buf_free(&packed);
}


static void
test_bomb(void **state)
{
    sio_buf_t       packed, out;
    unsigned char  *in;

    in = calloc(1, 100 * LIMIT);
    assert_non_null(in);

    memset(&packed, 0, sizeof(sio_buf_t));
    assert_int_equal(sio_deflate(&packed, in, 100 * LIMIT), SIO_OK);
    assert_true(packed.len <= LIMIT);

    memset(&out, 0, sizeof(sio_buf_t));
    assert_int_equal(sio_inflate(&out, packed.data, packed.len, LIMIT),
                     SIO_LIMIT);
    assert_true(out.size <= LIMIT + 1);

    sio_buf_free(&out);
    sio_buf_free(&packed);
    free(in);
}


/* Whatever is there, it ends, within the limit. */

static void
test_noise(void **state)
{
    size_t         i, n, len;
    sio_rc_t       rc;
    sio_buf_t      packed, out;
    unsigned char  in[600], *copy;

    memset(&packed, 0, sizeof(sio_buf_t));

    for (n = 0; n < 20000; n++) {
        words(in, sizeof(in));
        packed.len = 0;
        assert_int_equal(sio_deflate(&packed, in, sizeof(in)), SIO_OK);

        len = rand() % packed.len + 1;
        copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, packed.data, len);

        for (i = rand() % 4; i > 0; i--) {
            copy[rand() % len] ^= 1 << (rand() & 7);
        }

        memset(&out, 0, sizeof(sio_buf_t));
        rc = sio_inflate(&out, copy, len, 500);

        assert_true(rc == SIO_OK || rc == SIO_ERROR || rc == SIO_LIMIT);
        assert_true(out.size <= 501);

        sio_buf_free(&out);
        free(copy);
    }

    sio_buf_free(&packed);
}


/* Frames with such messages in them. */

static void
frame(unsigned first, const void *data, size_t len)
{
    unsigned char  head[8];

    assert_true(len <= 0xffff);

    head[0] = first;
    head[1] = 0x80 | 126;
    head[2] = len >> 8;
    head[3] = len & 0xff;
    memset(head + 4, 0, 4);

    assert_int_equal(sio_buf_append(&wire, head, 8), SIO_OK);
    assert_int_equal(sio_buf_append(&wire, data, len), SIO_OK);
}


static void
control(unsigned first)
{
    unsigned char  head[6];

    memset(head, 0, sizeof(head));
    head[0] = first;
    head[1] = 0x80;

    assert_int_equal(sio_buf_append(&wire, head, 6), SIO_OK);
}


/*
 * Parses the wire in steps, and drops it.  Returns the result of the last
 * call; messages are put together in got, with a | behind each.
 */

static sio_rc_t
parse(int deflate, size_t step, size_t limit, sio_buf_t *got,
    sio_ws_event_t *ev)
{
    size_t            at, n;
    sio_rc_t          rc;
    unsigned char    *copy, *p;
    sio_ws_parser_t   parser;

    sio_ws_init(&parser, limit);
    parser.deflate = deflate;
    got->len = 0;
    rc = SIO_AGAIN;

    for (at = 0; at < wire.len && rc == SIO_AGAIN; at += n) {
        n = (step < wire.len - at) ? step : wire.len - at;

        copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, wire.data + at, n);
        p = copy;

        while ((rc = sio_ws_parse(&parser, &p, copy + n, ev)) == SIO_OK) {
            sio_buf_append(got, ev->data.data, ev->data.len);
            sio_buf_append(got, "|", 1);
        }

        free(copy);
    }

    if (rc == SIO_AGAIN) {
        assert_true(sio_ws_idle(&parser));
    }

    sio_ws_free(&parser);

    return rc;
}


static void
test_frames(void **state)
{
    size_t          step;
    sio_buf_t       got;
    sio_ws_event_t  ev;

    memset(&got, 0, sizeof(sio_buf_t));

    wire.len = 0;
    frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    frame(0x81, "plain", 5);
    frame(0x41, "\xf2\x48\xcd", 3);               /* RFC 7692, 7.2.3.1 */
    control(0x89);
    frame(0x00, "", 0);
    frame(0x80, "\xc9\xc9\x07\x00", 4);
    frame(0x01, "pl", 2);
    frame(0x80, "ain", 3);
    frame(0xc2, "\x00", 1);
    frame(0x41, "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", 11);
    frame(0x80, "\x00", 1);                       /* 7.2.3.6 */

    for (step = 1; step <= wire.len; step++) {
        assert_int_equal(parse(1, step, LIMIT, &got, &ev), SIO_AGAIN);
        assert_int_equal(got.len, 32);
        assert_memory_equal(got.data, "Hello|plain||Hello|plain||Hello|",
                            got.len);
    }

    sio_buf_free(&got);
}


/* What ends a connection: the frames so far, and the last one. */

static void
ends(int deflate, sio_rc_t expected, unsigned code)
{
    sio_buf_t       got;
    sio_ws_event_t  ev;

    memset(&got, 0, sizeof(sio_buf_t));

    assert_int_equal(parse(deflate, 1, 1000, &got, &ev), expected);
    assert_int_equal(ev.code, code);
    assert_int_equal(got.len, 0);

    assert_int_equal(parse(deflate, wire.len, 1000, &got, &ev), expected);
    assert_int_equal(ev.code, code);

    sio_buf_free(&got);
    wire.len = 0;
}


static void
test_faults(void **state)
{
    unsigned              i;
    sio_buf_t             packed;
    unsigned char         in[1001];
    static const char     hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    static const unsigned firsts[] = { 0xc8, 0xc9, 0xca, 0xa1, 0x91, 0xe1,
                                       0xd1, 0xf2 };

    wire.len = 0;

    /* not agreed to */

    frame(0xc1, hello, 7);
    ends(0, SIO_ERROR, 1002);

    /* control frames, other bits, fragments behind the first one */

    for (i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        control(firsts[i]);
        ends(1, SIO_ERROR, 1002);
    }

    frame(0x41, hello, 3);
    frame(0xc0, hello + 3, 4);
    ends(1, SIO_ERROR, 1002);

    frame(0x01, "a", 1);
    frame(0xc0, hello, 7);
    ends(1, SIO_ERROR, 1002);

    /* broken; UTF-8 counts behind the compression, and not before it */

    frame(0xc1, "\xff\xff", 2);
    ends(1, SIO_ERROR, 1007);

    frame(0xc1, "\x00\x01\x00\xfe\xff\xc3\x00", 7);
    ends(1, SIO_ERROR, 1007);

    frame(0xc1, "\x00\x01\x00\xfe\xff\xff\x00", 7);
    ends(1, SIO_ERROR, 1007);

    /* too long before, or behind */

    memset(in, 'x', sizeof(in));
    frame(0xc1, in, 1001);
    ends(1, SIO_LIMIT, 1009);

    memset(&packed, 0, sizeof(sio_buf_t));
    assert_int_equal(sio_deflate(&packed, in, 1001), SIO_OK);
    frame(0xc1, packed.data, packed.len);
    ends(1, SIO_LIMIT, 1009);

    frame(0x41, packed.data, 3);
    frame(0x80, packed.data + 3, packed.len - 3);
    ends(1, SIO_LIMIT, 1009);

    sio_buf_free(&packed);
}


int
main(void)
{
    int                      rc;
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_offers_of_two_headers),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_final_keeps_window),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_random_is_left),
        cmocka_unit_test(test_short_fits_small_window),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_faults)
    };

    srand(7692);

    rc = cmocka_run_group_tests_name("deflate", tests, NULL, NULL);

    sio_buf_free(&wire);

    return rc;
}
