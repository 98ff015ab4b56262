
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define FIN    0x80
#define LIMIT  100000


/* The bytes of a client, built frame by frame. */

static sio_buf_t  wire;

static const unsigned char  zero_mask[4] = { 0, 0, 0, 0 };
static const unsigned char  mask[4] = { 0x37, 0xfa, 0x21, 0x3d };


static void
begin(void)
{
    wire.len = 0;
}


static void
bytes(const void *data, size_t n)
{
    assert_int_equal(sio_buf_append(&wire, data, n), SIO_OK);
}


static void
byte(unsigned c)
{
    unsigned char  b;

    b = c;
    bytes(&b, 1);
}


/* A header whose length is written in size bytes: 0, 2 or 8. */

static void
head(unsigned first, uint64_t len, unsigned size)
{
    int  i;

    byte(first);

    if (size == 0) {
        byte(0x80 | len);

    } else {
        byte(0x80 | (size == 2 ? 126 : 127));

        for (i = size - 1; i >= 0; i--) {
            byte(len >> (i * 8) & 0xff);
        }
    }
}


static void
masked(const void *data, size_t n, const unsigned char key[4])
{
    size_t                i;
    const unsigned char  *p;

    p = data;
    bytes(key, 4);

    for (i = 0; i < n; i++) {
        byte(p[i] ^ key[i & 3]);
    }
}


static void
frame(unsigned first, const void *data, size_t n)
{
    head(first, n, n < 126 ? 0 : n < 65536 ? 2 : 8);
    masked(data, n, mask);
}


#define text_frame(first, text)  frame(first, text, sizeof(text) - 1)


/*
 * What a parser makes of the bytes, as a text: "<opcode>:<data> ", for close
 * "8:<code>:<reason> ", long data by its length and sum; "!<rc>:<code>" at
 * the end if it failed; "~" if it is not idle in the end.
 */

static void
note(sio_buf_t *out, const char *text)
{
    assert_int_equal(sio_buf_append(out, text, strlen(text)), SIO_OK);
}


static void
note_event(sio_buf_t *out, const sio_ws_event_t *ev)
{
    char      text[64];
    size_t    i;
    uint32_t  sum;

    snprintf(text, sizeof(text), "%x:", ev->opcode);
    note(out, text);

    if (ev->opcode == SIO_WS_CLOSE) {
        snprintf(text, sizeof(text), "%u:", ev->code);
        note(out, text);

    } else {
        assert_int_equal(ev->code, 0);
    }

    if (ev->data.len <= 40) {
        assert_int_equal(sio_buf_append(out, ev->data.data, ev->data.len),
                         SIO_OK);

    } else {
        for (i = 0, sum = 0; i < ev->data.len; i++) {
            sum = sum * 31 + ev->data.data[i];
        }

        snprintf(text, sizeof(text), "[%zu/%08x]", ev->data.len, sum);
        note(out, text);
    }

    note(out, " ");
}


/* Feeds one piece, copied to memory of its very size; SIO_AGAIN if it went. */

static sio_rc_t
feed(sio_ws_parser_t *p, const unsigned char *data, size_t n, sio_buf_t *out)
{
    char            text[32];
    sio_rc_t        rc;
    unsigned char  *copy, *pos;
    sio_ws_event_t  ev;

    copy = malloc(n ? n : 1);
    assert_non_null(copy);

    if (n) {
        memcpy(copy, data, n);
    }

    pos = copy;

    for ( ;; ) {
        rc = sio_ws_parse(p, &pos, copy + n, &ev);

        if (rc != SIO_OK) {
            break;
        }

        note_event(out, &ev);
    }

    if (rc == SIO_AGAIN) {
        assert_ptr_equal(pos, copy + n);

    } else {
        snprintf(text, sizeof(text), "!%d:%u", rc, ev.code);
        note(out, text);
    }

    free(copy);

    return rc;
}


/* Feeds the wire in pieces that end at the given places. */

static void
run(sio_buf_t *out, const size_t *ends, size_t n)
{
    size_t           i, at;
    sio_rc_t         rc;
    sio_ws_parser_t  p;

    out->len = 0;
    at = 0;
    rc = SIO_AGAIN;

    sio_ws_init(&p, LIMIT);
    assert_true(sio_ws_idle(&p));

    for (i = 0; i < n && rc == SIO_AGAIN; i++) {
        rc = feed(&p, wire.data + at, ends[i] - at, out);
        at = ends[i];
    }

    if (rc == SIO_AGAIN && !sio_ws_idle(&p)) {
        note(out, "~");
    }

    sio_ws_free(&p);

    assert_int_equal(sio_buf_append(out, "", 1), SIO_OK);
}


/* All at once, byte by byte, and in two pieces that are cut anywhere. */

static void
expect(const char *expected)
{
    size_t     i, step, *ends, two[2];
    sio_buf_t  out;

    memset(&out, 0, sizeof(sio_buf_t));

    two[0] = wire.len;
    run(&out, two, 1);
    assert_string_equal(out.data, expected);

    ends = malloc((wire.len + 1) * sizeof(size_t));
    assert_non_null(ends);

    for (i = 0; i < wire.len; i++) {
        ends[i] = i + 1;
    }

    run(&out, ends, wire.len);
    assert_string_equal(out.data, expected);

    free(ends);

    two[1] = wire.len;
    step = wire.len > 4096 ? wire.len / 500 : 1;

    for (i = 0; i <= wire.len; i += step) {
        two[0] = i;
        run(&out, two, 2);
        assert_string_equal(out.data, expected);
    }

    sio_buf_free(&out);
}


static void
test_text(void **state)
{
    begin();
    text_frame(FIN | SIO_WS_TEXT, "");
    text_frame(FIN | SIO_WS_TEXT, "a");
    text_frame(FIN | SIO_WS_TEXT, "42[\"hello\",1]");
    text_frame(FIN | SIO_WS_TEXT, "caf\xc3\xa9 \xf0\x9f\x98\x80");
    expect("1: 1:a 1:42[\"hello\",1] 1:caf\xc3\xa9 \xf0\x9f\x98\x80 ");
}


/* The examples of RFC 6455, 5.7. */

static void
test_rfc(void **state)
{
    begin();
    bytes("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    bytes("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    expect("1:Hello a:Hello ");
}


static void
test_binary(void **state)
{
    begin();
    text_frame(FIN | SIO_WS_BINARY, "");
    text_frame(FIN | SIO_WS_BINARY, "\xff\xfe\x80");
    expect("2: 2:\xff\xfe\x80 ");
}


static void
test_masks(void **state)
{
    begin();
    head(FIN | SIO_WS_TEXT, 5, 0);
    masked("hello", 5, zero_mask);
    head(FIN | SIO_WS_TEXT, 5, 0);
    masked("world", 5, (const unsigned char *) "\xff\xff\xff\xff");
    expect("1:hello 1:world ");
}


/* Data of a pattern that every length of the unmasking loop shows. */

static void
test_lengths(void **state)
{
    char            expected[64];
    size_t          i, n;
    uint32_t        sum;
    unsigned char  *data;

    static const size_t  lens[] = {
        41, 124, 125, 126, 127, 128, 255, 256, 1000, 65534, 65535, 65536,
        65537, LIMIT
    };

    data = malloc(LIMIT);
    assert_non_null(data);

    for (n = 0; n < sizeof(lens) / sizeof(lens[0]); n++) {

        for (i = 0, sum = 0; i < lens[n]; i++) {
            data[i] = i * 7 + i / 256;
            sum = sum * 31 + data[i];
        }

        begin();
        frame(FIN | SIO_WS_BINARY, data, lens[n]);

        snprintf(expected, sizeof(expected), "2:[%zu/%08x] ", lens[n], sum);
        expect(expected);
    }

    free(data);
}


/* The specification wants the shortest form, the reference takes any. */

static void
test_long_form(void **state)
{
    begin();
    head(FIN | SIO_WS_TEXT, 2, 2);
    masked("hi", 2, mask);
    head(FIN | SIO_WS_TEXT, 2, 8);
    masked("ho", 2, mask);
    head(FIN | SIO_WS_TEXT, 0, 8);
    masked("", 0, mask);
    expect("1:hi 1:ho 1: ");
}


static void
test_unmasked(void **state)
{
    begin();
    text_frame(FIN | SIO_WS_TEXT, "x");
    bytes("\x81\x02hi", 4);
    expect("1:x !-1:1002");

    begin();
    bytes("\x89\x00", 2);
    expect("!-1:1002");
}


static void
test_reserved_bits(void **state)
{
    unsigned  bit;

    for (bit = 0x10; bit <= 0x40; bit <<= 1) {
        begin();
        text_frame(FIN | bit | SIO_WS_TEXT, "x");
        expect("!-1:1002");

        begin();
        text_frame(FIN | bit | SIO_WS_PING, "x");
        expect("!-1:1002");

        begin();
        text_frame(SIO_WS_TEXT, "x");
        text_frame(FIN | bit, "x");
        expect("!-1:1002");
    }
}


static void
test_reserved_opcodes(void **state)
{
    unsigned  op;

    for (op = 3; op < 16; op++) {

        if (op >= SIO_WS_CLOSE && op <= SIO_WS_PONG) {
            continue;
        }

        begin();
        text_frame(FIN | SIO_WS_TEXT, "x");
        text_frame(FIN | op, "x");
        expect("1:x !-1:1002");

        begin();
        text_frame(op, "");
        expect("!-1:1002");
    }
}


/* Two bytes are enough to know that it is wrong: no waiting for the mask. */

static void
test_fail_early(void **state)
{
    static const char  *heads[] = {
        "\xc1\x85", "\x83\x80", "\x80\x80", "\x09\x80", "\x89\xfe", "\x81\x05"
    };
    unsigned  i;

    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        begin();
        bytes(heads[i], 2);
        expect("!-1:1002");
    }
}


static void
test_fragments(void **state)
{
    begin();
    text_frame(SIO_WS_TEXT, "42[\"a");
    text_frame(0, "bc");
    text_frame(0, "");
    text_frame(FIN, "\"]");
    text_frame(FIN | SIO_WS_TEXT, "next");
    expect("1:42[\"abc\"] 1:next ");

    begin();
    text_frame(SIO_WS_BINARY, "");
    text_frame(0, "");
    text_frame(FIN, "");
    expect("2: ");

    begin();
    text_frame(SIO_WS_BINARY, "");
    text_frame(FIN, "abc");
    expect("2:abc ");

    begin();
    text_frame(SIO_WS_BINARY, "abc");
    text_frame(FIN, "");
    expect("2:abc ");
}


/* A message that is not complete leaves a parser that is needed. */

static void
test_not_idle(void **state)
{
    begin();
    text_frame(SIO_WS_TEXT, "abc");
    expect("~");

    begin();
    text_frame(FIN | SIO_WS_TEXT, "abc");
    wire.len--;
    expect("~");

    begin();
    byte(FIN | SIO_WS_PING);
    expect("~");

    begin();
    text_frame(FIN | SIO_WS_PING, "abc");
    wire.len = 7;
    expect("~");
}


static void
test_continuation_rules(void **state)
{
    begin();
    text_frame(FIN, "x");
    expect("!-1:1002");

    begin();
    text_frame(0, "x");
    expect("!-1:1002");

    begin();
    text_frame(FIN | SIO_WS_TEXT, "x");
    text_frame(FIN, "x");
    expect("1:x !-1:1002");

    begin();
    text_frame(SIO_WS_TEXT, "x");
    text_frame(FIN | SIO_WS_TEXT, "x");
    expect("!-1:1002");

    begin();
    text_frame(SIO_WS_TEXT, "x");
    text_frame(SIO_WS_BINARY, "x");
    expect("!-1:1002");

    begin();
    text_frame(SIO_WS_TEXT, "x");
    text_frame(FIN, "y");
    text_frame(FIN, "z");
    expect("1:xy !-1:1002");
}


static void
test_control_between_fragments(void **state)
{
    begin();
    text_frame(SIO_WS_TEXT, "ab\xe2\x82");
    text_frame(FIN | SIO_WS_PING, "ping\xff");
    text_frame(FIN | SIO_WS_PONG, "");
    text_frame(0, "\xac");
    text_frame(FIN | SIO_WS_PONG, "pong");
    text_frame(FIN, "cd");
    expect("9:ping\xff a: a:pong 1:ab\xe2\x82\xac" "cd ");

    begin();
    text_frame(SIO_WS_BINARY, "ab");
    text_frame(FIN | SIO_WS_CLOSE, "\x03\xe8");
    expect("8:1000: ~");
}


static void
test_control_size(void **state)
{
    char  data[126];

    memset(data, 'x', sizeof(data));

    begin();
    frame(FIN | SIO_WS_PING, data, 125);
    frame(FIN | SIO_WS_PONG, data, 40);
    expect("9:[125/ccc7de78] a:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ");

    begin();
    frame(FIN | SIO_WS_PING, data, 126);
    expect("!-1:1002");

    begin();
    head(FIN | SIO_WS_CLOSE, 3, 8);
    masked("\x03\xe8x", 3, mask);
    expect("!-1:1002");
}


static void
test_control_fragmented(void **state)
{
    unsigned  op;

    for (op = SIO_WS_CLOSE; op <= SIO_WS_PONG; op++) {
        begin();
        text_frame(op, "");
        expect("!-1:1002");
    }
}


static void
test_close(void **state)
{
    begin();
    text_frame(FIN | SIO_WS_CLOSE, "");
    expect("8:0: ");

    begin();
    text_frame(FIN | SIO_WS_CLOSE, "\x03\xe8");
    expect("8:1000: ");

    begin();
    text_frame(FIN | SIO_WS_CLOSE, "\x03\xe9" "bye \xc3\xa9");
    expect("8:1001:bye \xc3\xa9 ");

    begin();
    text_frame(FIN | SIO_WS_CLOSE, "\x03");
    expect("!-1:1002");

    begin();
    text_frame(FIN | SIO_WS_CLOSE, "\x03\xe8\xff");
    expect("!-1:1007");

    begin();
    text_frame(FIN | SIO_WS_CLOSE, "\x03\xe8" "a\xc3");
    expect("!-1:1007");
}


static void
test_close_codes(void **state)
{
    int            valid;
    char           expected[32];
    unsigned       code;
    unsigned char  data[2];

    for (code = 0; code < 65536; code += (code < 5100 ? 1 : 61)) {

        valid = (code >= 1000 && code <= 1003)
                || (code >= 1007 && code <= 1014)
                || (code >= 3000 && code <= 4999);

        data[0] = code >> 8;
        data[1] = code & 0xff;

        snprintf(expected, sizeof(expected), valid ? "8:%u: " : "!-1:1002",
                 code);

        begin();
        frame(FIN | SIO_WS_CLOSE, data, 2);
        expect(expected);
    }
}


static void
test_utf8(void **state)
{
    unsigned  i;

    static const char  *bad[] = {
        "\xff", "a\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82",
        "0123456789\x80", "\xf0\x9f\x98"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        begin();
        frame(FIN | SIO_WS_TEXT, bad[i], strlen(bad[i]));
        expect("!-1:1007");

        begin();
        frame(SIO_WS_TEXT, bad[i], strlen(bad[i]));
        text_frame(0, "");
        text_frame(FIN, "");
        expect("!-1:1007");
    }

    /* a character may be split between frames */

    begin();
    text_frame(SIO_WS_TEXT, "\xf0");
    text_frame(0, "\x9f");
    text_frame(0, "\x98");
    text_frame(FIN, "\x80");
    expect("1:\xf0\x9f\x98\x80 ");

    /* the state of one message is not that of the next */

    begin();
    text_frame(FIN | SIO_WS_BINARY, "\xf0");
    text_frame(FIN | SIO_WS_TEXT, "a");
    expect("2:\xf0 1:a ");
}


/* The first bad byte is refused although the frame goes on. */

static void
test_utf8_fail_fast(void **state)
{
    begin();
    head(FIN | SIO_WS_TEXT, 1000, 2);
    masked("ab\xf4\x90", 4, mask);
    expect("!-1:1007");

    begin();
    head(SIO_WS_TEXT, 3, 0);
    masked("ab\xe2", 3, mask);
    head(FIN, 50, 0);
    masked("x", 1, mask);
    expect("!-1:1007");
}


/* The header is enough, and nothing is allocated for it. */

static void
test_limit(void **state)
{
    char  data[1000];

    begin();
    head(FIN | SIO_WS_BINARY, LIMIT + 1, 8);
    bytes(mask, 4);
    expect("!-4:1009");

    begin();
    head(SIO_WS_BINARY, 0x7fffffffffffffffULL, 8);
    bytes(mask, 4);
    expect("!-4:1009");

    begin();
    head(SIO_WS_BINARY, 0x8000000000000000ULL, 8);
    bytes(mask, 4);
    expect("!-1:1002");

    begin();
    head(SIO_WS_BINARY, 0xffffffffffffffffULL, 8);
    bytes(mask, 4);
    expect("!-1:1002");

    memset(data, 'x', sizeof(data));

    begin();
    frame(SIO_WS_TEXT, data, 1000);
    text_frame(FIN | SIO_WS_PING, "still fine");
    head(FIN, LIMIT - 999, 8);
    bytes(mask, 4);
    expect("9:still fine !-4:1009");

    begin();
    frame(SIO_WS_TEXT, data, 1000);
    head(FIN, LIMIT - 1000, 8);
    bytes(mask, 4);
    expect("~");
}


static void
test_limit_small(void **state)
{
    sio_buf_t        out;
    sio_ws_parser_t  p;

    memset(&out, 0, sizeof(sio_buf_t));
    sio_ws_init(&p, 4);

    begin();
    text_frame(FIN | SIO_WS_TEXT, "abcd");
    text_frame(SIO_WS_TEXT, "ab");
    text_frame(FIN, "cd");
    text_frame(FIN | SIO_WS_PING, "control frames do not count");
    text_frame(FIN | SIO_WS_TEXT, "abcde");

    assert_int_equal(feed(&p, wire.data, wire.len, &out), SIO_LIMIT);
    note(&out, "");
    assert_int_equal(sio_buf_append(&out, "", 1), SIO_OK);
    assert_string_equal(out.data, "1:abcd 1:abcd "
                        "9:control frames do not count !-4:1009");

    sio_ws_free(&p);
    sio_buf_free(&out);
}


/* What is announced costs nothing before it comes. */

static void
test_no_early_allocation(void **state)
{
    sio_buf_t        out;
    sio_ws_parser_t  p;

    memset(&out, 0, sizeof(sio_buf_t));
    sio_ws_init(&p, (size_t) 1 << 40);

    begin();
    head(FIN | SIO_WS_BINARY, (uint64_t) 1 << 39, 8);
    masked("0123456789", 10, mask);

    assert_int_equal(feed(&p, wire.data, wire.len, &out), SIO_AGAIN);
    assert_int_equal(p.message.len, 10);
    assert_true(p.message.size < 1000);
    assert_false(sio_ws_idle(&p));

    sio_ws_free(&p);
    sio_buf_free(&out);
}


static void
test_fragment_count(void **state)
{
    unsigned         i;
    sio_buf_t        out;
    sio_ws_parser_t  p;

    memset(&out, 0, sizeof(sio_buf_t));
    sio_ws_init(&p, LIMIT);

    begin();
    text_frame(SIO_WS_TEXT, "a");

    for (i = 2; i < SIO_WS_FRAGMENTS; i++) {
        text_frame(0, "");
    }

    text_frame(FIN, "b");
    text_frame(SIO_WS_TEXT, "");

    for (i = 1; i < SIO_WS_FRAGMENTS; i++) {
        text_frame(0, "");
    }

    assert_int_equal(feed(&p, wire.data, wire.len, &out), SIO_AGAIN);

    begin();
    text_frame(FIN, "");
    assert_int_equal(feed(&p, wire.data, wire.len, &out), SIO_LIMIT);

    assert_int_equal(sio_buf_append(&out, "", 1), SIO_OK);
    assert_string_equal(out.data, "1:ab !-4:1008");

    sio_ws_free(&p);
    sio_buf_free(&out);
}


/* A whole frame is given without a copy, and the buffer goes when unused. */

static void
test_views(void **state)
{
    unsigned char   *pos;
    sio_ws_event_t   ev;
    sio_ws_parser_t  p;

    sio_ws_init(&p, LIMIT);

    begin();
    text_frame(FIN | SIO_WS_TEXT, "abc");
    text_frame(FIN | SIO_WS_PING, "def");
    text_frame(SIO_WS_TEXT, "gh");
    text_frame(FIN, "i");
    text_frame(FIN | SIO_WS_TEXT, "jkl");

    pos = wire.data;

    assert_int_equal(sio_ws_parse(&p, &pos, wire.data + wire.len, &ev),
                     SIO_OK);
    assert_ptr_equal(ev.data.data, wire.data + 6);
    assert_ptr_equal(pos, wire.data + 9);
    assert_null(p.message.data);
    assert_true(sio_ws_idle(&p));

    assert_int_equal(sio_ws_parse(&p, &pos, wire.data + wire.len, &ev),
                     SIO_OK);
    assert_ptr_equal(ev.data.data, wire.data + 15);

    assert_int_equal(sio_ws_parse(&p, &pos, wire.data + wire.len, &ev),
                     SIO_OK);
    assert_ptr_equal(ev.data.data, p.message.data);
    assert_int_equal(ev.data.len, 3);
    assert_memory_equal(ev.data.data, "ghi", 3);
    assert_true(sio_ws_idle(&p));

    assert_int_equal(sio_ws_parse(&p, &pos, wire.data + wire.len, &ev),
                     SIO_OK);
    assert_memory_equal(ev.data.data, "jkl", 3);
    assert_null(p.message.data);

    assert_int_equal(sio_ws_parse(&p, &pos, wire.data + wire.len, &ev),
                     SIO_AGAIN);

    sio_ws_free(&p);
}


static void
test_header(void **state)
{
    size_t         i, k, n, len;
    unsigned char  p[SIO_WS_HEADER];

    static const size_t  lens[] = {
        0, 1, 125, 126, 127, 255, 256, 65535, 65536, 1000000, 0x123456789
    };

    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        memset(p, 0xee, sizeof(p));

        n = sio_ws_header(p, SIO_WS_BINARY, lens[i]);

        assert_int_equal(n, sio_ws_header_len(lens[i]));
        assert_int_equal(p[0], 0x82);
        assert_int_equal(p[1] & 0x80, 0);

        for (k = n; k < sizeof(p); k++) {
            assert_int_equal(p[k], 0xee);
        }

        for (len = 0, k = 2; k < n; k++) {
            len = len << 8 | p[k];
        }

        if (n == 2) {
            len = p[1];

        } else {
            assert_int_equal(p[1], n == 4 ? 126 : 127);
        }

        assert_int_equal(len, lens[i]);
    }

    assert_int_equal(sio_ws_header(p, SIO_WS_TEXT, 5), 2);
    assert_memory_equal(p, "\x81\x05", 2);
    assert_int_equal(sio_ws_header(p, SIO_WS_CLOSE, 0), 2);
    assert_memory_equal(p, "\x88\x00", 2);
}


static void
random_stream(void)
{
    char      data[300];
    size_t    i, n;
    unsigned  frames, op;

    static const unsigned  ops[] = {
        FIN | SIO_WS_TEXT, FIN | SIO_WS_BINARY, SIO_WS_TEXT, SIO_WS_BINARY, 0,
        0, FIN, FIN, FIN | SIO_WS_PING, FIN | SIO_WS_PONG, FIN | SIO_WS_CLOSE
    };

    begin();

    for (frames = 1 + rand() % 5; frames; frames--) {
        op = ops[rand() % 11];
        n = rand() % (rand() % 8 ? 20 : sizeof(data));

        for (i = 0; i < n; i++) {
            data[i] = ' ' + rand() % 90;
        }

        frame(op, data, n);
    }

    for (i = rand() % 3; i; i--) {
        wire.data[rand() % wire.len] ^= 1 << rand() % 8;
    }

    if (rand() % 4 == 0) {
        wire.len -= rand() % wire.len;
    }
}


/* How input is cut never matters, whatever the input is. */

static void
test_random(void **state)
{
    unsigned   i;
    size_t     at, n, ends[2000];
    sio_buf_t  whole, cut;

    memset(&whole, 0, sizeof(sio_buf_t));
    memset(&cut, 0, sizeof(sio_buf_t));

    srand(11);

    for (i = 0; i < 100000; i++) {
        random_stream();

        ends[0] = wire.len;
        run(&whole, ends, 1);

        for (at = 0, n = 0; at < wire.len; n++) {
            at += 1 + rand() % (rand() % 2 ? 4 : 60);
            ends[n] = at < wire.len ? at : wire.len;
        }

        run(&cut, ends, n);

        assert_int_equal(whole.len, cut.len);
        assert_memory_equal(whole.data, cut.data, cut.len);
    }

    sio_buf_free(&whole);
    sio_buf_free(&cut);
}


static int
teardown(void **state)
{
    sio_buf_free(&wire);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_rfc),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_long_form),
        cmocka_unit_test(test_unmasked),
        cmocka_unit_test(test_reserved_bits),
        cmocka_unit_test(test_reserved_opcodes),
        cmocka_unit_test(test_fail_early),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_not_idle),
        cmocka_unit_test(test_continuation_rules),
        cmocka_unit_test(test_control_between_fragments),
        cmocka_unit_test(test_control_size),
        cmocka_unit_test(test_control_fragmented),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_fail_fast),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_limit_small),
        cmocka_unit_test(test_no_early_allocation),
        cmocka_unit_test(test_fragment_count),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
