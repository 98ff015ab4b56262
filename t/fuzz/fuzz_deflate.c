
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "fuzz_offer.h"
#include "sio_deflate.h"
#include "sio_ws.h"

#include <zlib.h>


/*
 * The input is a head and data.  The data are the value of a header, the
 * compressed form of a message, and a message; the head says how a client
 * compresses that, what is damaged of it, and of what frames it is made.
 */


#define HEAD    12
#define ROOM    16384             /* above every limit */
#define PLACES  8                 /* most places at which frames are cut */
#define PIECES  200               /*   and most pieces, of a byte if few do */

#define FIN     0x80
#define RSV1    SIO_WS_DEFLATED
#define RSV2    0x20
#define RSV3    0x10


/* What is wrong with the frames. */

enum {
    NOT_AGREED = 1, PING_HAS_RSV1, LAST_HAS_RSV1, FIRST_HAS_RSV2,
    FIRST_HAS_RSV3, FAULTS
};


typedef struct {
    int             level;        /* of the compressor of the client */
    int             window;
    int             memory;
    int             takeover;     /* it keeps what it was told not to */
    int             strategy;
    int             flush;        /* behind each piece */
    int             final;        /* the last block says that it is */
    int             padded;       /* an empty one begins behind it */
    size_t          piece;
    unsigned        place;        /* of the damaged byte, of 256 */
    unsigned char   damage;
    size_t          limit;
    unsigned        fragments;
    unsigned        fault;
    unsigned        opcode;
    unsigned char   mask;
} head_t;


static const unsigned char  tail[] = { 0x00, 0x00, 0xff, 0xff };


static void
read_head(head_t *h, const uint8_t *p)
{
    static const int  flushes[] = { Z_NO_FLUSH, Z_PARTIAL_FLUSH, Z_SYNC_FLUSH,
                                    Z_FULL_FLUSH, Z_BLOCK, Z_FINISH };

    h->level = p[0] % 10;
    h->window = 9 + p[1] % 7;
    h->strategy = p[1] / 7 % 5;
    h->memory = 1 + p[2] % 9;
    h->takeover = (p[2] & 0x80) != 0;
    h->flush = flushes[p[3] % 6];
    h->final = (p[3] & 0x40) != 0;
    h->padded = (p[3] & 0x80) != 0;
    h->piece = 1 + p[4] * 4;
    h->place = p[5];
    h->damage = p[6];
    h->limit = (p[7] << 8 | p[8]) % ROOM;
    h->fragments = 1 + p[9] % 6;
    h->fault = p[10] % FAULTS;
    h->opcode = (p[11] & 1) ? SIO_WS_TEXT : SIO_WS_BINARY;
    h->mask = p[11];
}


/* Streams as new: to have one made takes longer than all that it does. */

static z_stream *
inflater(int window)
{
    z_stream  *z;

    static z_stream  streams[16];

    z = &streams[window];

    fuzz_check(z->state ? inflateReset(z) == Z_OK
                        : inflateInit2(z, -window) == Z_OK);

    return z;
}


static z_stream *
deflater(const head_t *h)
{
    z_stream  *z;

    static z_stream  streams[16][10];

    z = &streams[h->window][h->memory];

    if (z->state == NULL) {
        fuzz_check(deflateInit2(z, h->level, Z_DEFLATED, -h->window,
                                h->memory, h->strategy)
                   == Z_OK);
    }

    fuzz_check(deflateReset(z) == Z_OK);
    fuzz_check(deflateParams(z, h->level, h->strategy) == Z_OK);

    return z;
}


/*
 * Decompresses block after block into a stream with room for so many
 * bytes.  1: it ends with a final one; 0: it could go on; -1: it is broken.
 */

static int
slow_blocks(sio_buf_t *out, size_t room, const unsigned char *p, size_t len)
{
    int        rc;
    z_stream  *z;

    z = inflater(15);
    fuzz_check(sio_buf_reserve(out, room) == SIO_OK);

    out->len = 0;
    z->next_in = (unsigned char *) p;
    z->avail_in = len;
    z->next_out = out->data;
    z->avail_out = room;

    while ((rc = inflate(z, Z_SYNC_FLUSH)) == Z_STREAM_END && z->avail_in) {
        (void) inflateReset(z);
        (void) inflateSetDictionary(z, out->data, z->next_out - out->data);
    }

    out->len = z->next_out - out->data;

    return rc == Z_STREAM_END ? 1 : rc == Z_OK || rc == Z_BUF_ERROR ? 0 : -1;
}


/*
 * RFC 7692, 7.2.2, to the letter: four bytes are appended, and that is
 * decompressed.  If a block ends there, a final one may follow: it holds
 * something, so that it is not taken for what an unfinished block lacks.
 */

static sio_rc_t
slow_inflate(sio_buf_t *out, const unsigned char *p, size_t len, size_t limit)
{
    int         rc, whole;
    sio_buf_t   bytes, more;

    static const unsigned char  final[] = { 0x01, 0x03, 0x00, 0xfc, 0xff,
                                            'e', 'n', 'd' };

    rc = slow_blocks(out, limit + 1, p, len);

    if (out->len > limit) {
        return SIO_LIMIT;
    }

    if (len == 0 || rc != 0) {
        return rc < 0 ? SIO_ERROR : SIO_OK;
    }

    memset(&bytes, 0, sizeof(sio_buf_t));
    memset(&more, 0, sizeof(sio_buf_t));

    fuzz_append(&bytes, p, len);
    fuzz_append(&bytes, tail, sizeof(tail));
    (void) slow_blocks(out, limit + 1, bytes.data, bytes.len);

    fuzz_append(&bytes, final, sizeof(final));
    rc = slow_blocks(&more, limit + 16, bytes.data, bytes.len);

    bytes.len = 0;
    fuzz_append(&bytes, out->data, out->len);
    fuzz_append(&bytes, final + 5, 3);

    whole = rc == 1 && fuzz_equal(more.data, more.len, bytes.data, bytes.len);

    sio_buf_free(&bytes);
    sio_buf_free(&more);

    return out->len > limit ? SIO_LIMIT : whole ? SIO_OK : SIO_ERROR;
}


/* Any bytes: zlib has to agree, whatever was decompressed before. */

static sio_rc_t
check_inflate(sio_buf_t *out, const unsigned char *p, size_t len, size_t limit)
{
    sio_rc_t        rc;
    sio_buf_t       slow;
    unsigned char  *copy;

    memset(out, 0, sizeof(sio_buf_t));
    memset(&slow, 0, sizeof(sio_buf_t));

    copy = fuzz_copy(p, len);
    rc = sio_inflate(out, copy, len, limit);
    free(copy);

    fuzz_check(out->size <= limit + 1 && out->len <= out->size);
    fuzz_check(rc == slow_inflate(&slow, p, len, limit));
    fuzz_check(rc != SIO_OK
               || fuzz_equal(out->data, out->len, slow.data, slow.len));

    sio_buf_free(&slow);

    return rc;
}


static void
pump(z_stream *z, int flush, sio_buf_t *out)
{
    do {
        fuzz_check(sio_buf_reserve(out, 1024) == SIO_OK);

        z->next_out = out->data + out->len;
        z->avail_out = 1024;

        (void) deflate(z, flush);

        out->len += 1024 - z->avail_out;

    } while (z->avail_out == 0);
}


/* What a client makes of a message. */

static void
client_deflate(sio_buf_t *out, const head_t *h, const uint8_t *p, size_t len)
{
    size_t     n, at;
    z_stream  *z;

    z = deflater(h);

    if (h->takeover && len) {
        z->next_in = (unsigned char *) p;
        z->avail_in = len / 2;

        pump(z, Z_SYNC_FLUSH, out);
        out->len = 0;
    }

    for (at = 0; len - at > h->piece; at += n) {
        n = h->piece;
        z->next_in = (unsigned char *) p + at;
        z->avail_in = n;

        pump(z, h->flush, out);

        if (h->flush == Z_FINISH) {
            (void) deflateReset(z);
            (void) deflateSetDictionary(z, p, at + n);
        }
    }

    z->next_in = (unsigned char *) p + at;
    z->avail_in = len - at;

    pump(z, h->final ? Z_FINISH : Z_SYNC_FLUSH, out);

    if (h->padded) {
        fuzz_append(out, "", 1);

    } else if (!h->final) {
        out->len -= sizeof(tail);
        fuzz_check(memcmp(out->data + out->len, tail, sizeof(tail)) == 0);
    }
}


/*
 * What any compressor makes of a message is understood, unless it refers to the
 * message before: there is no context.
 */

static void
check_client(sio_buf_t *bytes, const head_t *h, const uint8_t *p, size_t len)
{
    sio_rc_t   rc;
    sio_buf_t  out;

    client_deflate(bytes, h, p, len);

    rc = check_inflate(&out, bytes->data, bytes->len, h->limit);

    fuzz_check(rc == (len > h->limit ? SIO_LIMIT : SIO_OK)
               || (rc == SIO_ERROR && h->takeover));
    fuzz_check(rc != SIO_OK || fuzz_equal(out.data, out.len, p, len));

    sio_buf_free(&out);

    if (bytes->len) {
        bytes->data[h->place * bytes->len / 256] ^= h->damage;
    }
}


/* The smallest window that a client may have asked for will do. */

static void
check_window(const unsigned char *p, size_t len, const uint8_t *message,
    size_t message_len)
{
    int        bits;
    z_stream  *z;
    sio_buf_t  in, out;

    memset(&in, 0, sizeof(sio_buf_t));
    memset(&out, 0, sizeof(sio_buf_t));

    fuzz_append(&in, p, len);
    fuzz_append(&in, tail, sizeof(tail));
    fuzz_check(sio_buf_reserve(&out, message_len + 1) == SIO_OK);

    for (bits = 8; message_len > 1u << bits; bits++) {
        /* void */
    }

    z = inflater(bits);

    z->next_in = in.data;
    z->avail_in = in.len;
    z->next_out = out.data;
    z->avail_out = message_len + 1;

    fuzz_check(inflate(z, Z_SYNC_FLUSH) == Z_OK && z->avail_in == 0);
    fuzz_check(fuzz_equal(out.data, z->total_out, message, message_len));

    sio_buf_free(&in);
    sio_buf_free(&out);
}


/* What is compressed is shorter, always the same, and understood by zlib. */

static void
check_server(const uint8_t *p, size_t len)
{
    size_t     n;
    sio_rc_t   rc;
    sio_buf_t  b, out;

    memset(&b, 0, sizeof(sio_buf_t));
    fuzz_append(&b, "before", 6);

    rc = sio_deflate(&b, p, len);

    fuzz_check(rc == SIO_OK || (rc == SIO_LIMIT && b.len == 6));
    fuzz_check(memcmp(b.data, "before", 6) == 0);

    if (rc != SIO_OK) {
        sio_buf_free(&b);
        return;
    }

    n = b.len - 6;
    fuzz_check(n > 0 && n < len);

    check_window(b.data + 6, n, p, len);

    fuzz_check(check_inflate(&out, b.data + 6, n, len) == SIO_OK);
    fuzz_check(fuzz_equal(out.data, out.len, p, len));
    sio_buf_free(&out);

    fuzz_check(check_inflate(&out, b.data + 6, n, len - 1) == SIO_LIMIT);
    sio_buf_free(&out);

    (void) sio_deflate(&b, p, len / 2);
    b.len = 6 + n;

    fuzz_check(sio_deflate(&b, p, len) == SIO_OK);
    fuzz_check(fuzz_equal(b.data + 6, n, b.data + 6 + n, b.len - 6 - n));

    sio_buf_free(&b);
}


/* Frames of a client, and what comes of them. */

typedef struct {
    sio_buf_t        wire;
    sio_buf_t        events;
    unsigned         code;        /* the connection ends with it, 0: no */
} script_t;


static void
note(sio_buf_t *events, unsigned opcode, const void *data, size_t len)
{
    unsigned char  c;

    c = opcode;
    fuzz_append(events, &c, 1);
    fuzz_append(events, &len, sizeof(len));
    fuzz_append(events, data, len);
}


static void
expect(script_t *s, unsigned opcode, const void *data, size_t len)
{
    if (s->code == 0) {
        note(&s->events, opcode, data, len);
    }
}


static void
expect_end(script_t *s, int fault, unsigned code)
{
    if (s->code == 0 && fault) {
        s->code = code;
    }
}


static void
frame(script_t *s, unsigned first, const unsigned char *p, size_t len,
    unsigned char mask)
{
    size_t          i, n;
    unsigned char  *head, *payload;

    fuzz_check(sio_buf_reserve(&s->wire, SIO_WS_HEADER + 4 + len) == SIO_OK);

    head = s->wire.data + s->wire.len;
    n = sio_ws_header(head, first & ~FIN, len);
    payload = head + n + 4;

    head[0] = first;
    head[1] |= 0x80;

    for (i = 0; i < 4; i++) {
        head[n + i] = mask * (i + 1);
    }

    for (i = 0; i < len; i++) {
        payload[i] = p[i] ^ head[n + (i & 3)];
    }

    s->wire.len += n + 4 + len;
}


/* One compressed message in fragments, and a ping behind each. */

static void
fragments(script_t *s, const head_t *h, const sio_buf_t *bytes)
{
    int       last;
    size_t    at, n;
    unsigned  i, first, ping;

    ping = FIN | SIO_WS_PING | (h->fault == PING_HAS_RSV1 ? RSV1 : 0);

    for (i = 0, at = 0; i < h->fragments; i++, at += n) {
        last = (i == h->fragments - 1);
        n = bytes->len * (i + 1) / h->fragments - at;

        first = (i == 0) ? h->opcode | RSV1 : 0;
        first |= last ? FIN : 0;
        first |= (i == 0 && h->fault == FIRST_HAS_RSV2) ? RSV2 : 0;
        first |= (i == 0 && h->fault == FIRST_HAS_RSV3) ? RSV3 : 0;
        first |= (last && h->fault == LAST_HAS_RSV1) ? RSV1 : 0;

        frame(s, first, bytes->data + at, n, h->mask);

        expect_end(s, first & (RSV2|RSV3) || (i && first & RSV1)
                      || h->fault == NOT_AGREED, 1002);
        expect_end(s, at + n > h->limit, 1009);

        if (!last) {
            frame(s, ping, (const unsigned char *) "ping", 4, h->mask + 1);
            expect_end(s, ping & RSV1, 1002);
            expect(s, SIO_WS_PING, "ping", 4);
        }
    }
}


/* The message, then a plain one, then the same again. */

static void
write_script(script_t *s, const head_t *h, const sio_buf_t *bytes)
{
    int        i;
    sio_rc_t   rc;
    sio_buf_t  out;

    static const unsigned char  plain[] = "plain";

    memset(s, 0, sizeof(script_t));

    rc = check_inflate(&out, bytes->data, bytes->len, h->limit);

    for (i = 0; i < 2; i++) {
        fragments(s, h, bytes);

        expect_end(s, rc == SIO_LIMIT, 1009);
        expect_end(s, rc == SIO_ERROR
                      || (h->opcode == SIO_WS_TEXT
                          && !fuzz_utf8(out.data, out.len)), 1007);
        expect(s, h->opcode, out.data, out.len);

        frame(s, FIN | SIO_WS_TEXT, plain, 5, 0);
        expect_end(s, h->limit < 5, 1009);
        expect(s, SIO_WS_TEXT, plain, 5);
    }

    sio_buf_free(&out);
}


/* The wire in pieces of n bytes, the first one of at bytes. */

static void
play(const script_t *s, const head_t *h, size_t at, size_t n)
{
    size_t            done;
    sio_rc_t          rc;
    sio_buf_t         events;
    unsigned char    *copy, *pos;
    sio_ws_event_t    ev;
    sio_ws_parser_t   parser;

    memset(&events, 0, sizeof(sio_buf_t));

    sio_ws_init(&parser, h->limit);
    parser.deflate = (h->fault != NOT_AGREED);
    rc = SIO_AGAIN;
    ev.code = 0;

    for (done = 0; done < s->wire.len && rc == SIO_AGAIN; at = n) {
        at = (at < s->wire.len - done) ? at : s->wire.len - done;
        copy = fuzz_copy(s->wire.data + done, at);
        pos = copy;

        while ((rc = sio_ws_parse(&parser, &pos, copy + at, &ev)) == SIO_OK) {
            note(&events, ev.opcode, ev.data.data, ev.data.len);
        }

        fuzz_check(parser.message.size <= 2 * h->limit + 256);
        free(copy);
        done += at;
    }

    fuzz_check(ev.code == s->code);
    fuzz_check(s->code ? rc == SIO_ERROR || rc == SIO_LIMIT
                       : rc == SIO_AGAIN && sio_ws_idle(&parser));
    fuzz_check(fuzz_equal(events.data, events.len, s->events.data,
                          s->events.len));

    sio_ws_free(&parser);
    sio_buf_free(&events);
}


static void
check_frames(const head_t *h, const sio_buf_t *bytes)
{
    size_t    at;
    script_t  s;

    write_script(&s, h, bytes);

    play(&s, h, s.wire.len, s.wire.len);
    play(&s, h, 1, 1 + s.wire.len / PIECES);

    for (at = 1; at < s.wire.len; at += 1 + s.wire.len / PLACES) {
        play(&s, h, at, s.wire.len);
    }

    sio_buf_free(&s.wire);
    sio_buf_free(&s.events);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    head_t     h;
    sio_buf_t  bytes;

    if (len < HEAD) {
        return 0;
    }

    read_head(&h, p);

    p += HEAD;
    len -= HEAD;

    offer_check(p, len);

    memset(&bytes, 0, sizeof(sio_buf_t));
    fuzz_check(sio_buf_reserve(&bytes, len + 1) == SIO_OK);
    fuzz_append(&bytes, p, len);
    check_frames(&h, &bytes);

    bytes.len = 0;
    check_client(&bytes, &h, p, len);
    check_frames(&h, &bytes);

    check_server(p, len);

    sio_buf_free(&bytes);

    return 0;
}
