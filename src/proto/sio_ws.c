
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_ws.h"
#include "sio_deflate.h"
#include "sio_utf8.h"

#include <string.h>


#define SIO_WS_CONTINUATION  0x0

#define SIO_WS_FIN           0x80
#define SIO_WS_RSV           0x70
#define SIO_WS_OPCODE        0x0f
#define SIO_WS_CONTROL       0x08
#define SIO_WS_MASK          0x80

#define SIO_WS_LEN16         126
#define SIO_WS_LEN64         127
#define SIO_WS_KEY           4        /* bytes of the mask */

#define SIO_WS_PROTOCOL      1002
#define SIO_WS_BAD_DATA      1007
#define SIO_WS_POLICY        1008
#define SIO_WS_TOO_BIG       1009
#define SIO_WS_INTERNAL      1011


static sio_rc_t sio_ws_parse_head(sio_ws_parser_t *p, unsigned char **pos,
    unsigned char *last, sio_ws_event_t *ev);
static int sio_ws_head_valid(const sio_ws_parser_t *p);
static size_t sio_ws_head_size(const unsigned char *head);
static sio_rc_t sio_ws_check_len(const sio_ws_parser_t *p, uint64_t len,
    sio_ws_event_t *ev);
static sio_rc_t sio_ws_parse_payload(sio_ws_parser_t *p, unsigned char **pos,
    unsigned char *last, sio_ws_event_t *ev);
static sio_rc_t sio_ws_data(sio_ws_parser_t *p, const unsigned char *data,
    size_t n, sio_ws_event_t *ev);
static sio_rc_t sio_ws_inflate(sio_ws_parser_t *p, sio_ws_event_t *ev);
static sio_rc_t sio_ws_control(sio_ws_parser_t *p, const unsigned char *data,
    size_t n, sio_ws_event_t *ev);
static sio_rc_t sio_ws_split_close(sio_ws_event_t *ev);
static int sio_ws_close_code_valid(unsigned code);
static void sio_ws_unmask(unsigned char *p, size_t n,
    const unsigned char mask[4], unsigned at);
static sio_rc_t sio_ws_fail(sio_ws_event_t *ev, sio_rc_t rc, unsigned code);


void
sio_ws_init(sio_ws_parser_t *p, size_t limit)
{
    memset(p, 0, sizeof(sio_ws_parser_t));

    p->limit = limit;
    p->utf8 = SIO_UTF8_ACCEPT;
}


sio_rc_t
sio_ws_parse(sio_ws_parser_t *p, unsigned char **pos, unsigned char *last,
    sio_ws_event_t *ev)
{
    sio_rc_t  rc;

    memset(ev, 0, sizeof(sio_ws_event_t));

    if (p->opcode == 0 && p->message.data) {

        /* a message that the call before this one gave to the caller */

        sio_buf_free(&p->message);
    }

    while (*pos < last) {

        if (!p->in_payload) {
            rc = sio_ws_parse_head(p, pos, last, ev);

            if (rc != SIO_OK) {
                return rc;
            }
        }

        rc = sio_ws_parse_payload(p, pos, last, ev);

        if (rc != SIO_AGAIN) {
            return rc;
        }
    }

    return SIO_AGAIN;
}


static sio_rc_t
sio_ws_parse_head(sio_ws_parser_t *p, unsigned char **pos, unsigned char *last,
    sio_ws_event_t *ev)
{
    size_t    n, size;
    sio_rc_t  rc;
    uint64_t  len;

    while (p->head_len < 2) {

        if (*pos == last) {
            return SIO_AGAIN;
        }

        p->head[p->head_len++] = *(*pos)++;
    }

    if (!sio_ws_head_valid(p)) {
        return sio_ws_fail(ev, SIO_ERROR, SIO_WS_PROTOCOL);
    }

    size = sio_ws_head_size(p->head);
    n = size - p->head_len;

    if (n > (size_t) (last - *pos)) {
        n = last - *pos;
    }

    memcpy(p->head + p->head_len, *pos, n);
    p->head_len += n;
    *pos += n;

    if (p->head_len < size - SIO_WS_KEY) {
        return SIO_AGAIN;
    }

    len = sio_ws_payload_len(p->head);
    rc = sio_ws_check_len(p, len, ev);

    if (rc != SIO_OK) {
        return rc;
    }

    if (p->head_len < size) {
        return SIO_AGAIN;
    }

    memcpy(p->mask, p->head + size - SIO_WS_KEY, SIO_WS_KEY);

    p->head_len = 0;
    p->need = len;
    p->mask_at = 0;
    p->in_payload = 1;

    if (p->head[0] & SIO_WS_CONTROL) {
        p->control_len = 0;
        return SIO_OK;
    }

    p->fragments++;

    if (p->opcode == 0) {
        p->opcode = p->head[0] & SIO_WS_OPCODE;
        p->deflated = (p->head[0] & SIO_WS_DEFLATED) != 0;
    }

    return SIO_OK;
}


/* Judges the first two bytes, so that no peer is waited for in vain. */

static int
sio_ws_head_valid(const sio_ws_parser_t *p)
{
    unsigned  len, opcode, rsv;

    opcode = p->head[0] & SIO_WS_OPCODE;
    rsv = p->head[0] & SIO_WS_RSV;

    if (p->deflate && (opcode == SIO_WS_TEXT || opcode == SIO_WS_BINARY)) {

        /* of a message with fragments, the first one has it */

        rsv &= ~SIO_WS_DEFLATED;
    }

    if (rsv || !(p->head[1] & SIO_WS_MASK)) {
        return 0;
    }

    switch (opcode) {

    case SIO_WS_CONTINUATION:
        return p->opcode != 0;

    case SIO_WS_TEXT:
    case SIO_WS_BINARY:
        return p->opcode == 0;

    case SIO_WS_CLOSE:
    case SIO_WS_PING:
    case SIO_WS_PONG:
        len = p->head[1] & ~SIO_WS_MASK;

        if (len == 1 && opcode == SIO_WS_CLOSE) {
            return 0;
        }

        return (p->head[0] & SIO_WS_FIN) && len <= sizeof(p->control);
    }

    return 0;
}


/* What the length tells is known before the mask is there. */

static sio_rc_t
sio_ws_check_len(const sio_ws_parser_t *p, uint64_t len, sio_ws_event_t *ev)
{
    if (len >> 63) {
        return sio_ws_fail(ev, SIO_ERROR, SIO_WS_PROTOCOL);
    }

    if (p->head[0] & SIO_WS_CONTROL) {
        return SIO_OK;
    }

    if (len > p->limit - p->message.len) {
        return sio_ws_fail(ev, SIO_LIMIT, SIO_WS_TOO_BIG);
    }

    if (p->fragments == SIO_WS_FRAGMENTS) {
        return sio_ws_fail(ev, SIO_LIMIT, SIO_WS_POLICY);
    }

    return SIO_OK;
}


/* The length of a masked header that begins with these two bytes. */

static size_t
sio_ws_head_size(const unsigned char *head)
{
    switch (head[1] & ~SIO_WS_MASK) {

    case SIO_WS_LEN16:
        return 2 + 2 + SIO_WS_KEY;

    case SIO_WS_LEN64:
        return 2 + 8 + SIO_WS_KEY;
    }

    return 2 + SIO_WS_KEY;
}


uint64_t
sio_ws_payload_len(const unsigned char *head)
{
    unsigned  i, n;
    uint64_t  len;

    len = head[1] & ~SIO_WS_MASK;

    if (len < SIO_WS_LEN16) {
        return len;
    }

    n = (len == SIO_WS_LEN16) ? 2 : 8;
    len = 0;

    for (i = 0; i < n; i++) {
        len = len << 8 | head[2 + i];
    }

    return len;
}


/* Takes what there is of the payload; SIO_AGAIN if no message is complete. */

static sio_rc_t
sio_ws_parse_payload(sio_ws_parser_t *p, unsigned char **pos,
    unsigned char *last, sio_ws_event_t *ev)
{
    size_t          n;
    unsigned char  *data;

    data = *pos;
    n = last - data;

    if (n > p->need) {
        n = p->need;
    }

    sio_ws_unmask(data, n, p->mask, p->mask_at);

    *pos += n;
    p->need -= n;
    p->mask_at = (p->mask_at + n) & 3;
    p->in_payload = (p->need != 0);

    if (p->head[0] & SIO_WS_CONTROL) {
        return sio_ws_control(p, data, n, ev);
    }

    return sio_ws_data(p, data, n, ev);
}


static sio_rc_t
sio_ws_data(sio_ws_parser_t *p, const unsigned char *data, size_t n,
    sio_ws_event_t *ev)
{
    int       done;
    sio_rc_t  rc;

    if (p->opcode == SIO_WS_TEXT && !p->deflated
        && sio_utf8_feed(&p->utf8, data, n) != SIO_OK)
    {
        return sio_ws_fail(ev, SIO_ERROR, SIO_WS_BAD_DATA);
    }

    done = (p->head[0] & SIO_WS_FIN) && !p->in_payload;

    if (done && p->message.len == 0) {

        /* all of it is here: no copy */

        ev->data.len = n;
        ev->data.data = data;

    } else {

        if (sio_buf_append(&p->message, data, n) != SIO_OK) {
            return sio_ws_fail(ev, SIO_NOMEM, SIO_WS_INTERNAL);
        }

        ev->data.len = p->message.len;
        ev->data.data = p->message.data;
    }

    if (!done) {
        return SIO_AGAIN;
    }

    if (p->deflated) {
        rc = sio_ws_inflate(p, ev);

        if (rc != SIO_OK) {
            return rc;
        }
    }

    if (p->utf8 != SIO_UTF8_ACCEPT) {
        return sio_ws_fail(ev, SIO_ERROR, SIO_WS_BAD_DATA);
    }

    ev->opcode = p->opcode;

    p->opcode = 0;
    p->fragments = 0;

    return SIO_OK;
}


/* Puts the message that is meant in the place of the one that came. */

static sio_rc_t
sio_ws_inflate(sio_ws_parser_t *p, sio_ws_event_t *ev)
{
    sio_rc_t   rc;
    sio_buf_t  message;

    memset(&message, 0, sizeof(sio_buf_t));

    rc = sio_inflate(&message, ev->data.data, ev->data.len, p->limit);

    sio_buf_free(&p->message);
    p->message = message;

    switch (rc) {

    case SIO_OK:
        break;

    case SIO_LIMIT:
        return sio_ws_fail(ev, rc, SIO_WS_TOO_BIG);

    case SIO_NOMEM:
        return sio_ws_fail(ev, rc, SIO_WS_INTERNAL);

    default:
        return sio_ws_fail(ev, rc, SIO_WS_BAD_DATA);
    }

    ev->data.len = message.len;
    ev->data.data = message.data;

    if (p->opcode == SIO_WS_TEXT
        && sio_utf8_feed(&p->utf8, message.data, message.len) != SIO_OK)
    {
        return sio_ws_fail(ev, SIO_ERROR, SIO_WS_BAD_DATA);
    }

    return SIO_OK;
}


static sio_rc_t
sio_ws_control(sio_ws_parser_t *p, const unsigned char *data, size_t n,
    sio_ws_event_t *ev)
{
    ev->data.len = n;
    ev->data.data = data;

    if (p->in_payload || p->control_len) {
        memcpy(p->control + p->control_len, data, n);
        p->control_len += n;

        if (p->in_payload) {
            return SIO_AGAIN;
        }

        ev->data.len = p->control_len;
        ev->data.data = p->control;
    }

    ev->opcode = p->head[0] & SIO_WS_OPCODE;

    return ev->opcode == SIO_WS_CLOSE ? sio_ws_split_close(ev) : SIO_OK;
}


/*
 * Splits the payload of a close frame, which is empty or has two bytes at
 * least, into its code and the reason.
 */

static sio_rc_t
sio_ws_split_close(sio_ws_event_t *ev)
{
    unsigned  code;
    uint32_t  state;

    if (ev->data.len == 0) {
        return SIO_OK;
    }

    code = ev->data.data[0] << 8 | ev->data.data[1];

    if (!sio_ws_close_code_valid(code)) {
        return sio_ws_fail(ev, SIO_ERROR, SIO_WS_PROTOCOL);
    }

    ev->code = code;
    ev->data.len -= 2;
    ev->data.data += 2;

    state = SIO_UTF8_ACCEPT;

    if (sio_utf8_feed(&state, ev->data.data, ev->data.len) != SIO_OK
        || state != SIO_UTF8_ACCEPT)
    {
        return sio_ws_fail(ev, SIO_ERROR, SIO_WS_BAD_DATA);
    }

    return SIO_OK;
}


/* 1004 is reserved, 1005 and 1006 must not be sent. */

static int
sio_ws_close_code_valid(unsigned code)
{
    if (code < 3000) {
        return (code >= 1000 && code <= 1003)
               || (code >= 1007 && code <= 1014);
    }

    return code <= 4999;
}


/* at: how many bytes of the same payload are unmasked already, modulo 4. */

static void
sio_ws_unmask(unsigned char *p, size_t n, const unsigned char mask[4],
    unsigned at)
{
    size_t         i;
    uint64_t       w, m;
    unsigned char  key[8];

    for (i = 0; i < 8; i++) {
        key[i] = mask[(at + i) & 3];
    }

    memcpy(&m, key, 8);

    while (n >= 8) {
        memcpy(&w, p, 8);
        w ^= m;
        memcpy(p, &w, 8);

        p += 8;
        n -= 8;
    }

    for (i = 0; i < n; i++) {
        p[i] ^= key[i];
    }
}


static sio_rc_t
sio_ws_fail(sio_ws_event_t *ev, sio_rc_t rc, unsigned code)
{
    memset(ev, 0, sizeof(sio_ws_event_t));

    ev->code = code;

    return rc;
}


int
sio_ws_idle(const sio_ws_parser_t *p)
{
    return p->head_len == 0 && !p->in_payload && p->opcode == 0;
}


void
sio_ws_free(sio_ws_parser_t *p)
{
    sio_buf_free(&p->message);
}


size_t
sio_ws_header(unsigned char *p, unsigned opcode, size_t len)
{
    unsigned  i;

    p[0] = SIO_WS_FIN | opcode;

    if (len < SIO_WS_LEN16) {
        p[1] = len;
        return 2;
    }

    if (len <= 0xffff) {
        p[1] = SIO_WS_LEN16;
        p[2] = len >> 8;
        p[3] = len & 0xff;
        return 4;
    }

    p[1] = SIO_WS_LEN64;

    for (i = 0; i < 8; i++) {
        p[2 + i] = (uint64_t) len >> (56 - 8 * i) & 0xff;
    }

    return 10;
}


size_t
sio_ws_header_len(size_t len)
{
    if (len < SIO_WS_LEN16) {
        return 2;
    }

    return len <= 0xffff ? 4 : 10;
}
