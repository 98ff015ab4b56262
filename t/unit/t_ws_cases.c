
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ws_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/*
 * Every case of the table, its input cut in every way: in one piece, in two
 * pieces at every byte, in pieces of a few bytes, byte by byte.
 */


#define LONG   3000               /* inputs from here on are cut at and around
                                     headers, and at some places besides */
#define CUTS   200                /* at most so many times */


typedef struct {
    const ws_case_t  *c;
    sio_ws_parser_t   p;
    sio_buf_t         got;
    unsigned          end;
    unsigned          closed;     /* a close frame came: the rest is ignored */
    size_t            fed;        /* bytes, when it ended */
} run_t;


static size_t            runs;
static size_t            failures;
static const ws_case_t  *failed;   /* a case is reported once */


static void
start(run_t *r, const ws_case_t *c, size_t limit)
{
    memset(r, 0, sizeof(run_t));

    r->c = c;
    sio_ws_init(&r->p, limit);

    runs++;
}


/* Feeds one piece, which lies in memory of its very size. */

static void
feed(run_t *r, const unsigned char *data, size_t n)
{
    sio_rc_t         rc;
    sio_ws_event_t   ev;
    unsigned char   *copy, *pos;

    if (r->end || r->closed) {
        return;
    }

    copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, data, n);

    pos = copy;
    r->fed += n;

    do {
        rc = sio_ws_parse(&r->p, &pos, copy + n, &ev);

        if (rc == SIO_OK) {
            ws_table_note(&r->got, &ev);
            r->closed = (ev.opcode == SIO_WS_CLOSE);
        }

    } while (rc == SIO_OK && !r->closed);

    if (rc == SIO_AGAIN) {
        assert_ptr_equal(pos, copy + n);

    } else if (rc != SIO_OK) {
        r->end = ev.code;
    }

    free(copy);
}


static void
report(const run_t *r, const char *how, size_t at)
{
    if (failed == r->c) {
        return;
    }

    failed = r->c;
    failures++;

    print_error("\"%s\", %s %zu:\nended with %u at byte %zu of %zu, not %u\n"
                "came out: %s\nexpected: %s\n", r->c->name, how, at, r->end,
                r->fed, r->c->wire.len, r->c->end, (char *) r->got.data,
                (char *) r->c->want.data);
}


/* how: what to print of the way in which the input was cut. */

static void
finish(run_t *r, const char *how, size_t at)
{
    assert_int_equal(sio_buf_append(&r->got, "", 1), SIO_OK);

    if (r->end == 0 && !r->closed && !sio_ws_idle(&r->p)) {
        r->end = WS_TABLE_PART;
    }

    sio_ws_free(&r->p);

    if (r->end != r->c->end
        || strcmp((char *) r->got.data, (char *) r->c->want.data) != 0)
    {
        report(r, how, at);
    }

    sio_buf_free(&r->got);
}


static void
whole(const ws_case_t *c, size_t limit)
{
    run_t  r;

    start(&r, c, limit);
    feed(&r, c->wire.data, c->wire.len);
    finish(&r, "in one piece of", c->wire.len);
}


static void
two_pieces(const ws_case_t *c, size_t limit, size_t at)
{
    run_t  r;

    start(&r, c, limit);
    feed(&r, c->wire.data, at);
    feed(&r, c->wire.data + at, c->wire.len - at);
    finish(&r, "cut behind byte", at);
}


static void
pieces(const ws_case_t *c, size_t limit, size_t size)
{
    run_t   r;
    size_t  at, n;

    start(&r, c, limit);

    for (at = 0; at < c->wire.len; at += n) {
        n = c->wire.len - at < size ? c->wire.len - at : size;
        feed(&r, c->wire.data + at, n);
    }

    if (size == 1 && r.end && r.fed != c->wire.len) {
        /* the verdict came too early */
        r.end = 0;
    }

    finish(&r, "in pieces of", size);
}


/* What follows the end changes nothing any more. */

static void
with_more(const ws_case_t *c, size_t limit)
{
    run_t                       r;
    sio_buf_t                   wire;
    static const unsigned char  more[] = "\x81\x81\x01\x02\x03\x04" "xxx\xff";

    if (c->end == WS_TABLE_IDLE || c->end == WS_TABLE_PART) {
        return;
    }

    memset(&wire, 0, sizeof(sio_buf_t));

    assert_int_equal(sio_buf_append(&wire, c->wire.data, c->wire.len), SIO_OK);
    assert_int_equal(sio_buf_append(&wire, more, sizeof(more)), SIO_OK);

    start(&r, c, limit);
    feed(&r, wire.data, wire.len);
    finish(&r, "followed by more, in one piece of", wire.len);

    sio_buf_free(&wire);
}


static void
every_cut(const ws_case_t *c, size_t limit, void *data)
{
    size_t  at, n, every, step;

    failed = NULL;

    whole(c, limit);
    with_more(c, limit);

    if (c->wire.len < LONG) {

        for (at = 0; at <= c->wire.len; at++) {
            two_pieces(c, limit, at);
        }

        for (n = 1; n < 17; n++) {
            pieces(c, limit, n);
        }

        return;
    }

    for (at = 0, n = 0; at < c->wire.len; at++) {
        n += c->marks.data[at];
    }

    every = n / CUTS + 1;
    step = c->wire.len / 20;

    for (at = 0, n = 0; at < c->wire.len; at++) {
        if ((c->marks.data[at] && n++ % every == 0) || at % step == 0) {
            two_pieces(c, limit, at);
        }
    }

    pieces(c, limit, 1);
    pieces(c, limit, 7);
    pieces(c, limit, 4096);
}


/* The keys differ in every byte, and none lines up with a character. */

static void
test_cases(void **state)
{
    size_t                      n, limit;
    static const unsigned char  key[4] = { 0x37, 0xfa, 0x21, 0x3d };

    runs = 0;
    failures = 0;
    n = ws_table_each(key, &limit, every_cut, NULL);

    print_message("%zu cases, %zu runs\n", n, runs);
    assert_true(n > 100);
    assert_int_equal(failures, 0);
}


static void
some_cuts(const ws_case_t *c, size_t limit, void *data)
{
    failed = NULL;

    whole(c, limit);
    pieces(c, limit, 1);
    pieces(c, limit, 3);
    two_pieces(c, limit, c->wire.len / 2);
}


static void
test_keys(void **state)
{
    size_t    n, limit;
    unsigned  i;

    static const unsigned char  keys[][4] = {
        { 0, 0, 0, 0 }, { 0xff, 0xff, 0xff, 0xff }, { 0, 0, 0, 1 },
        { 0x80, 0x40, 0xc0, 0x20 }
    };

    runs = 0;
    failures = 0;

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        n = ws_table_each(keys[i], &limit, some_cuts, NULL);
    }

    print_message("%zu cases, %zu runs with other keys\n", n, runs);
    assert_int_equal(failures, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
