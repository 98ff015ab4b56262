
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_payload.h"
#include "sio_ws.h"


/*
 * The input is what a client sends.  However it is cut, the same comes out;
 * and what comes out can be sent on as frames of a server.  That compression
 * is agreed to makes a difference for compressed messages only.
 */


#define LIMIT   64                /* of a message: small, so that it is met */
#define PLACES  24                /* most places at which an input is cut */


/* What has come out, written down so that it can be compared. */

typedef struct {
    sio_ws_parser_t  parser;
    sio_buf_t        events;
    sio_buf_t        frames;      /* the messages as a server sends them */
    sio_buf_t        payload;     /* and as polling has them */
    sio_rc_t         rc;
    int              over;
} run_t;


static void
note(run_t *r, const sio_ws_event_t *ev)
{
    unsigned char  head[SIO_WS_HEADER];

    fuzz_append(&r->events, &ev->opcode, sizeof(ev->opcode));
    fuzz_append(&r->events, &ev->code, sizeof(ev->code));
    fuzz_append(&r->events, &ev->data.len, sizeof(ev->data.len));

    if (ev->data.len) {
        fuzz_append(&r->events, ev->data.data, ev->data.len);
    }

    if (ev->opcode == SIO_WS_CLOSE
        || (ev->opcode == SIO_WS_TEXT && ev->data.len == 0))
    {
        return;
    }

    fuzz_append(&r->frames, head,
                sio_ws_header(head, ev->opcode, ev->data.len));
    fuzz_append(&r->frames, ev->data.data, ev->data.len);

    if (ev->opcode == SIO_WS_TEXT) {
        fuzz_check(sio_payload_text(&r->payload, ev->data.data, ev->data.len)
                   == SIO_OK);

    } else if (ev->opcode == SIO_WS_BINARY) {
        fuzz_check(sio_payload_binary(&r->payload, ev->data.data,
                                      ev->data.len) == SIO_OK);
    }
}


/* n bytes at copy are the piece that was given to the parser. */

static void
check_event(const run_t *r, const sio_ws_event_t *ev,
    const unsigned char *copy, size_t n)
{
    unsigned char     head[SIO_WS_HEADER];
    const sio_buf_t  *gathered;

    gathered = &r->parser.message;

    fuzz_check(ev->data.len == 0 || fuzz_inside(&ev->data, copy, n)
               || fuzz_inside(&ev->data, gathered->data, gathered->len)
               || fuzz_inside(&ev->data, r->parser.control,
                              SIO_WS_CONTROL_LEN));

    fuzz_check(sio_ws_header(head, ev->opcode, ev->data.len)
               == sio_ws_header_len(ev->data.len));

    switch (ev->opcode) {

    case SIO_WS_TEXT:
        fuzz_check(fuzz_utf8(ev->data.data, ev->data.len));

        /* fall through */

    case SIO_WS_BINARY:
        fuzz_check(ev->data.len <= LIMIT && ev->code == 0);
        break;

    case SIO_WS_CLOSE:
        fuzz_check(ev->code == 0 || (ev->code >= 1000 && ev->code <= 4999));
        fuzz_check(fuzz_utf8(ev->data.data, ev->data.len));

        /* fall through */

    case SIO_WS_PING:
    case SIO_WS_PONG:
        fuzz_check(ev->data.len <= SIO_WS_CONTROL_LEN);
        break;

    default:
        fuzz_check(0);
    }
}


static void
feed(run_t *r, const unsigned char *p, size_t n)
{
    sio_ws_event_t   ev;
    unsigned char   *copy, *pos;

    if (r->over) {
        return;
    }

    copy = fuzz_copy(p, n);
    pos = copy;

    do {
        r->rc = sio_ws_parse(&r->parser, &pos, copy + n, &ev);

        fuzz_check(pos >= copy && pos <= copy + n);
        fuzz_check(r->parser.message.len <= LIMIT + (r->rc == SIO_LIMIT));
        fuzz_check(r->parser.deflate || !r->parser.deflated);

        if (r->rc == SIO_OK) {
            check_event(r, &ev, copy, n);
            note(r, &ev);
            r->over = (ev.opcode == SIO_WS_CLOSE);
        }

    } while (r->rc == SIO_OK && !r->over);

    if (r->rc == SIO_AGAIN) {
        fuzz_check(pos == copy + n);

    } else if (r->rc != SIO_OK) {
        fuzz_check(ev.code == 1002 || ev.code == 1007 || ev.code == 1008
                   || ev.code == 1009);
        fuzz_append(&r->events, &ev.code, sizeof(ev.code));
        r->over = 1;
    }

    free(copy);
}


static void
start(run_t *r, int deflate)
{
    memset(r, 0, sizeof(run_t));
    sio_ws_init(&r->parser, LIMIT);
    r->parser.deflate = deflate;
}


static void
finish(run_t *r)
{
    sio_ws_free(&r->parser);
    sio_buf_free(&r->events);
    sio_buf_free(&r->frames);
    sio_buf_free(&r->payload);
}


/* The input in pieces of n bytes, the first one of at bytes. */

static void
again(const run_t *whole, const uint8_t *p, size_t len, size_t at, size_t n)
{
    run_t  r;

    start(&r, whole->parser.deflate);
    feed(&r, p, at);

    while (at < len) {

        if (n > len - at) {
            n = len - at;
        }

        feed(&r, p + at, n);
        at += n;
    }

    fuzz_check(fuzz_equal(r.events.data, r.events.len,
                          whole->events.data, whole->events.len));
    fuzz_check(r.rc == whole->rc);
    fuzz_check(sio_ws_idle(&r.parser) == sio_ws_idle(&whole->parser));

    finish(&r);
}


static void
check_cuts(const run_t *whole, const uint8_t *p, size_t len)
{
    size_t  at;

    for (at = 0; at < len; at += 1 + len / PLACES) {
        again(whole, p, len, at, len);
    }

    again(whole, p, len, 0, 1);
    again(whole, p, len, 0, 7);
}


static void
check_payload(const run_t *whole)
{
    sio_buf_t  payload;

    memset(&payload, 0, sizeof(sio_buf_t));

    fuzz_check(sio_payload_frames(&payload, whole->frames.data,
                                  whole->frames.len) == SIO_OK);
    fuzz_check(fuzz_equal(payload.data, payload.len, whole->payload.data,
                          whole->payload.len));

    sio_buf_free(&payload);
}


/* Only what was refused may be another thing now, and nothing before that. */

static void
check_deflate(const run_t *plain, const uint8_t *p, size_t len)
{
    size_t  same;
    run_t   whole;

    start(&whole, 1);
    feed(&whole, p, len);

    same = plain->events.len;

    if (plain->rc == SIO_ERROR) {
        same -= sizeof(((sio_ws_event_t *) NULL)->code);
        check_cuts(&whole, p, len);
        check_payload(&whole);

    } else {
        fuzz_check(whole.rc == plain->rc && whole.events.len == same);
    }

    fuzz_check(whole.events.len >= same
               && fuzz_equal(whole.events.data, same,
                             plain->events.data, same));

    finish(&whole);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    run_t  whole;

    start(&whole, 0);
    feed(&whole, p, len);

    check_cuts(&whole, p, len);
    check_payload(&whole);
    check_deflate(&whole, p, len);

    finish(&whole);

    return 0;
}
