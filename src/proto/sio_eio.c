
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_eio.h"
#include "sio_base64.h"

#include <string.h>


#define SIO_EIO_NAME_LEN  16      /* more than the longest name we know */


static int sio_eio_query_next(const unsigned char **p,
    const unsigned char *last, sio_str_t *name, sio_str_t *value);
static void sio_eio_query_arg(sio_eio_query_t *q, sio_str_t name,
    sio_str_t value);
static void sio_eio_query_sid(sio_eio_query_t *q, sio_str_t value);
static int sio_eio_hex(unsigned char c);
static unsigned char *sio_eio_text(unsigned char *p, const char *text);
static unsigned char *sio_eio_number(unsigned char *p, uint64_t n);
static int sio_eio_equal(sio_str_t s, const char *text);


static const sio_str_t  sio_eio_error_texts[] = {
    sio_string("Transport unknown"),
    sio_string("Session ID unknown"),
    sio_string("Bad handshake method"),
    sio_string("Bad request"),
    sio_string("Forbidden"),
    sio_string("Unsupported protocol version")
};


void
sio_eio_query_parse(sio_eio_query_t *q, const unsigned char *p, size_t len)
{
    sio_str_t             name, value;
    const unsigned char  *last;

    q->version = 3;
    q->transport = 0;
    q->sid.len = 0;
    q->sid.data = NULL;
    q->token.len = 0;
    q->token.data = NULL;

    if (len == 0) {
        return;
    }

    last = p + len;

    while (sio_eio_query_next(&p, last, &name, &value)) {
        sio_eio_query_arg(q, name, value);
    }
}


/* Takes an argument off; 0 if there is none left. */

static int
sio_eio_query_next(const unsigned char **p, const unsigned char *last,
    sio_str_t *name, sio_str_t *value)
{
    const unsigned char  *start, *end, *eq;

    start = *p;

    if (start == last) {
        return 0;
    }

    end = memchr(start, '&', last - start);
    if (end == NULL) {
        end = last;
    }

    eq = memchr(start, '=', end - start);

    name->data = start;
    name->len = (eq ? eq : end) - start;

    value->data = eq ? eq + 1 : end;
    value->len = end - value->data;

    *p = (end == last) ? last : end + 1;

    return 1;
}


static void
sio_eio_query_arg(sio_eio_query_t *q, sio_str_t name, sio_str_t value)
{
    unsigned char  name_buf[SIO_EIO_NAME_LEN], value_buf[SIO_EIO_NAME_LEN];

    name = sio_eio_query_decode(name_buf, SIO_EIO_NAME_LEN, name);

    if (sio_eio_equal(name, "sid")) {
        sio_eio_query_sid(q, value);
        return;
    }

    if (sio_eio_equal(name, "token")) {
        q->token = value;
        return;
    }

    value = sio_eio_query_decode(value_buf, SIO_EIO_NAME_LEN, value);

    if (sio_eio_equal(name, "EIO")) {
        q->version = sio_eio_equal(value, "4") ? 4 : 3;
        return;
    }

    if (sio_eio_equal(name, "transport")) {

        if (sio_eio_equal(value, "polling")) {
            q->transport = SIO_EIO_POLLING;

        } else if (sio_eio_equal(value, "websocket")) {
            q->transport = SIO_EIO_WEBSOCKET;

        } else {
            q->transport = 0;
        }
    }
}


static void
sio_eio_query_sid(sio_eio_query_t *q, sio_str_t value)
{
    q->sid = sio_eio_query_decode(q->decoded, sizeof(q->decoded), value);
}


sio_str_t
sio_eio_query_decode(unsigned char *dst, size_t size, sio_str_t src)
{
    int        hi, lo;
    size_t     i, n;
    sio_str_t  s;

    for (i = 0; i < src.len; i++) {
        if (src.data[i] == '%' || src.data[i] == '+') {
            break;
        }
    }

    if (i == src.len) {
        return src;
    }

    for (i = 0, n = 0; i < src.len && n < size; n++) {

        dst[n] = (src.data[i] == '+') ? ' ' : src.data[i];

        if (src.data[i++] != '%' || src.len - i < 2) {
            continue;
        }

        hi = sio_eio_hex(src.data[i]);
        lo = sio_eio_hex(src.data[i + 1]);

        if (hi >= 0 && lo >= 0) {
            dst[n] = hi << 4 | lo;
            i += 2;
        }
    }

    s.len = n;
    s.data = dst;

    return s;
}


void
sio_eio_query_hide(unsigned char *p, size_t len)
{
    sio_str_t             name, value;
    unsigned char         buf[SIO_EIO_NAME_LEN];
    const unsigned char  *next, *last;

    if (len == 0) {
        return;
    }

    next = p;
    last = p + len;

    while (sio_eio_query_next(&next, last, &name, &value)) {

        name = sio_eio_query_decode(buf, SIO_EIO_NAME_LEN, name);

        if (sio_eio_equal(name, "token")) {
            memset(p + (value.data - (const unsigned char *) p), '*',
                   value.len);
        }
    }
}


static int
sio_eio_hex(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


static int
sio_eio_equal(sio_str_t s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}


const sio_str_t *
sio_eio_error_text(sio_eio_error_e code)
{
    if ((unsigned) code > SIO_EIO_UNSUPPORTED_VERSION) {
        code = SIO_EIO_BAD_REQUEST;
    }

    return &sio_eio_error_texts[code];
}


size_t
sio_eio_open(unsigned char *p, const unsigned char *sid, int upgrade,
    uint64_t ping_interval, uint64_t ping_timeout, uint64_t max_payload)
{
    unsigned char  *start;

    start = p;

    p = sio_eio_text(p, "0{\"sid\":\"");
    memcpy(p, sid, SIO_EIO_SID_LEN);
    p += SIO_EIO_SID_LEN;
    p = sio_eio_text(p, "\",\"upgrades\":[");

    if (upgrade) {
        p = sio_eio_text(p, "\"websocket\"");
    }

    p = sio_eio_text(p, "],\"pingInterval\":");
    p = sio_eio_number(p, ping_interval);
    p = sio_eio_text(p, ",\"pingTimeout\":");
    p = sio_eio_number(p, ping_timeout);
    p = sio_eio_text(p, ",\"maxPayload\":");
    p = sio_eio_number(p, max_payload);
    *p++ = '}';

    return p - start;
}


static unsigned char *
sio_eio_text(unsigned char *p, const char *text)
{
    size_t  len;

    len = strlen(text);
    memcpy(p, text, len);

    return p + len;
}


static unsigned char *
sio_eio_number(unsigned char *p, uint64_t n)
{
    size_t         i;
    unsigned char  digits[20];

    i = sizeof(digits);

    do {
        digits[--i] = '0' + n % 10;
        n /= 10;
    } while (n);

    memcpy(p, digits + i, sizeof(digits) - i);

    return p + sizeof(digits) - i;
}


void
sio_eio_sid(unsigned char *p, const unsigned char random[12],
    uint32_t counter)
{
    unsigned char  id[15];

    memcpy(id, random, 12);

    id[12] = counter >> 16 & 0xff;
    id[13] = counter >> 8 & 0xff;
    id[14] = counter & 0xff;

    sio_base64_encode_url(p, id, sizeof(id));
}
