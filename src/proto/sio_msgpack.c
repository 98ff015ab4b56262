
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_msgpack.h"
#include "sio_json.h"

#include <stdio.h>
#include <string.h>


#define SIO_MP_TIME       -1      /* the ext type of a timestamp */


/* What one run of the transcoder works with. */

typedef struct {
    sio_mp_reader_t      *reader;
    sio_buf_t            *out;
    sio_str_t            *bins;
    unsigned             *nbins;
    unsigned              max_bins;
    unsigned              depth;
} sio_mp_json_t;


static sio_rc_t sio_mp_head(sio_mp_reader_t *r, sio_mp_token_t *t,
    unsigned char c);
static sio_rc_t sio_mp_number(sio_mp_reader_t *r, sio_mp_token_t *t,
    unsigned char c);
static void sio_mp_set_int(sio_mp_token_t *t, int64_t i);
static sio_rc_t sio_mp_read(sio_mp_reader_t *r, size_t n, uint64_t *v);
static sio_rc_t sio_mp_view(sio_mp_reader_t *r, sio_mp_token_t *t,
    unsigned type, uint64_t len);
static sio_rc_t sio_mp_ext(sio_mp_reader_t *r, sio_mp_token_t *t,
    uint64_t len);
static sio_rc_t sio_mp_container(sio_mp_reader_t *r, sio_mp_token_t *t,
    unsigned type, uint64_t n);

static sio_rc_t sio_mp_json_value(sio_mp_json_t *w);
static sio_rc_t sio_mp_json_array(sio_mp_json_t *w, uint32_t n);
static sio_rc_t sio_mp_json_map(sio_mp_json_t *w, uint32_t n);
static sio_rc_t sio_mp_json_key(sio_mp_json_t *w);
static sio_rc_t sio_mp_json_scalar(sio_buf_t *b, const sio_mp_token_t *t);
static sio_rc_t sio_mp_json_int(sio_buf_t *b, uint64_t v, int negative);
static sio_rc_t sio_mp_json_bin(sio_mp_json_t *w, const sio_str_t *s);
static sio_rc_t sio_mp_json_bytes(sio_buf_t *b, const sio_str_t *s);
static sio_rc_t sio_mp_json_time(sio_buf_t *b, const sio_str_t *s);
static sio_rc_t sio_mp_json_text(sio_buf_t *b, const char *text);


sio_rc_t
sio_mp_next(sio_mp_reader_t *r, sio_mp_token_t *t)
{
    unsigned char  c;

    if (r->pos == r->last) {
        return SIO_ERROR;
    }

    c = *r->pos++;

    if (c <= 0x7f) {
        t->type = SIO_MP_UINT;
        t->u.u = c;
        return SIO_OK;
    }

    if (c <= 0x8f) {
        return sio_mp_container(r, t, SIO_MP_MAP, c & 0x0f);
    }

    if (c <= 0x9f) {
        return sio_mp_container(r, t, SIO_MP_ARRAY, c & 0x0f);
    }

    if (c <= 0xbf) {
        return sio_mp_view(r, t, SIO_MP_STR, c & 0x1f);
    }

    if (c >= 0xe0) {
        sio_mp_set_int(t, (int8_t) c);
        return SIO_OK;
    }

    if (c >= 0xca && c <= 0xd3) {
        return sio_mp_number(r, t, c);
    }

    return sio_mp_head(r, t, c);
}


/* All that has a length field in front of it, and what has no content. */

static sio_rc_t
sio_mp_head(sio_mp_reader_t *r, sio_mp_token_t *t, unsigned char c)
{
    unsigned  width;
    uint64_t  n;

    switch (c) {

    case 0xc0:
        t->type = SIO_MP_NIL;
        return SIO_OK;

    case 0xc2:
    case 0xc3:
        t->type = SIO_MP_BOOL;
        t->u.u = c & 1;
        return SIO_OK;

    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return sio_mp_ext(r, t, 1 << (c - 0xd4));

    case 0xc4:
    case 0xc7:
    case 0xd9:
        width = 1;
        break;

    case 0xc5:
    case 0xc8:
    case 0xda:
    case 0xdc:
    case 0xde:
        width = 2;
        break;

    case 0xc6:
    case 0xc9:
    case 0xdb:
    case 0xdd:
    case 0xdf:
        width = 4;
        break;

    default:

        /* 0xc1 */

        return SIO_ERROR;
    }

    if (sio_mp_read(r, width, &n) != SIO_OK) {
        return SIO_ERROR;
    }

    if (c <= 0xc6) {
        return sio_mp_view(r, t, SIO_MP_BIN, n);
    }

    if (c <= 0xc9) {
        return sio_mp_ext(r, t, n);
    }

    if (c <= 0xdb) {
        return sio_mp_view(r, t, SIO_MP_STR, n);
    }

    return sio_mp_container(r, t, c <= 0xdd ? SIO_MP_ARRAY : SIO_MP_MAP, n);
}


static sio_rc_t
sio_mp_number(sio_mp_reader_t *r, sio_mp_token_t *t, unsigned char c)
{
    float     f;
    uint32_t  bits;
    uint64_t  v;

    if (c <= 0xcb) {

        if (sio_mp_read(r, c == 0xca ? 4 : 8, &v) != SIO_OK) {
            return SIO_ERROR;
        }

        t->type = SIO_MP_FLOAT;

        if (c == 0xca) {
            bits = v;
            memcpy(&f, &bits, sizeof(float));
            t->u.f = f;

        } else {
            memcpy(&t->u.f, &v, sizeof(double));
        }

        return SIO_OK;
    }

    /* 0xcc - 0xcf and 0xd0 - 0xd3 are 1, 2, 4 and 8 bytes */

    if (sio_mp_read(r, 1 << (c & 3), &v) != SIO_OK) {
        return SIO_ERROR;
    }

    switch (c) {

    case 0xd0:
        sio_mp_set_int(t, (int8_t) v);
        break;

    case 0xd1:
        sio_mp_set_int(t, (int16_t) v);
        break;

    case 0xd2:
        sio_mp_set_int(t, (int32_t) v);
        break;

    case 0xd3:
        sio_mp_set_int(t, (int64_t) v);
        break;

    default:
        t->type = SIO_MP_UINT;
        t->u.u = v;
    }

    return SIO_OK;
}


static void
sio_mp_set_int(sio_mp_token_t *t, int64_t i)
{
    if (i < 0) {
        t->type = SIO_MP_INT;
        t->u.i = i;

    } else {
        t->type = SIO_MP_UINT;
        t->u.u = i;
    }
}


/* Reads n bytes, most significant first. */

static sio_rc_t
sio_mp_read(sio_mp_reader_t *r, size_t n, uint64_t *v)
{
    if ((size_t) (r->last - r->pos) < n) {
        return SIO_ERROR;
    }

    for (*v = 0; n; n--) {
        *v = *v << 8 | *r->pos++;
    }

    return SIO_OK;
}


static sio_rc_t
sio_mp_view(sio_mp_reader_t *r, sio_mp_token_t *t, unsigned type, uint64_t len)
{
    if ((size_t) (r->last - r->pos) < len) {
        return SIO_ERROR;
    }

    t->type = type;
    t->u.s.len = len;
    t->u.s.data = r->pos;

    r->pos += len;

    return SIO_OK;
}


static sio_rc_t
sio_mp_ext(sio_mp_reader_t *r, sio_mp_token_t *t, uint64_t len)
{
    if (r->pos == r->last) {
        return SIO_ERROR;
    }

    t->ext = (int8_t) *r->pos++;

    return sio_mp_view(r, t, SIO_MP_EXT, len);
}


/*
 * Every item takes a byte at least, so a count that the input cannot hold is
 * refused here, before anybody counts to four billion.
 */

static sio_rc_t
sio_mp_container(sio_mp_reader_t *r, sio_mp_token_t *t, unsigned type,
    uint64_t n)
{
    uint64_t  items;

    items = (type == SIO_MP_MAP) ? n * 2 : n;

    if ((size_t) (r->last - r->pos) < items) {
        return SIO_ERROR;
    }

    t->type = type;
    t->u.n = n;

    return SIO_OK;
}


sio_rc_t
sio_mp_skip(sio_mp_reader_t *r)
{
    size_t          n;
    unsigned        depth;
    uint64_t        left[SIO_MSGPACK_DEPTH + 1];
    sio_mp_token_t  t;

    /* left: values to come on every open level; the lowest is the one asked */

    depth = 0;
    left[0] = 1;

    for ( ;; ) {

        while (left[depth] == 0) {

            if (depth-- == 0) {
                return SIO_OK;
            }
        }

        left[depth]--;

        /* a short string, which most values are, needs no token */

        if (r->pos < r->last && (*r->pos & 0xe0) == 0xa0) {

            n = 1 + (*r->pos & 0x1f);

            if ((size_t) (r->last - r->pos) < n) {
                return SIO_ERROR;
            }

            r->pos += n;
            continue;
        }

        if (sio_mp_next(r, &t) != SIO_OK) {
            return SIO_ERROR;
        }

        if (t.type != SIO_MP_ARRAY && t.type != SIO_MP_MAP) {
            continue;
        }

        if (depth == SIO_MSGPACK_DEPTH) {
            return SIO_LIMIT;
        }

        left[++depth] = (t.type == SIO_MP_MAP) ? (uint64_t) t.u.n * 2 : t.u.n;
    }
}


sio_rc_t
sio_mp_json(sio_mp_reader_t *r, sio_buf_t *b, sio_str_t *bins,
    unsigned *nbins, unsigned max_bins)
{
    sio_mp_json_t  w;

    w.reader = r;
    w.out = b;
    w.bins = bins;
    w.nbins = nbins;
    w.max_bins = max_bins;
    w.depth = 0;

    return sio_mp_json_value(&w);
}


static sio_rc_t
sio_mp_json_value(sio_mp_json_t *w)
{
    sio_rc_t        rc;
    sio_mp_token_t  t;

    if (sio_mp_next(w->reader, &t) != SIO_OK) {
        return SIO_ERROR;
    }

    switch (t.type) {

    case SIO_MP_BIN:
        return sio_mp_json_bin(w, &t.u.s);

    case SIO_MP_ARRAY:
    case SIO_MP_MAP:
        break;

    default:
        return sio_mp_json_scalar(w->out, &t);
    }

    if (w->depth == SIO_MSGPACK_DEPTH) {
        return SIO_LIMIT;
    }

    w->depth++;

    rc = (t.type == SIO_MP_ARRAY) ? sio_mp_json_array(w, t.u.n)
                                  : sio_mp_json_map(w, t.u.n);
    w->depth--;

    return rc;
}


static sio_rc_t
sio_mp_json_array(sio_mp_json_t *w, uint32_t n)
{
    uint32_t  i;
    sio_rc_t  rc;

    rc = sio_buf_char(w->out, '[');

    for (i = 0; i < n && rc == SIO_OK; i++) {

        if (i && sio_buf_char(w->out, ',') != SIO_OK) {
            return SIO_NOMEM;
        }

        rc = sio_mp_json_value(w);
    }

    return rc == SIO_OK ? sio_buf_char(w->out, ']') : rc;
}


static sio_rc_t
sio_mp_json_map(sio_mp_json_t *w, uint32_t n)
{
    uint32_t  i;
    sio_rc_t  rc;

    rc = sio_buf_char(w->out, '{');

    for (i = 0; i < n && rc == SIO_OK; i++) {

        if (i && sio_buf_char(w->out, ',') != SIO_OK) {
            return SIO_NOMEM;
        }

        rc = sio_mp_json_key(w);

        if (rc == SIO_OK) {
            rc = sio_buf_char(w->out, ':');
        }

        if (rc == SIO_OK) {
            rc = sio_mp_json_value(w);
        }
    }

    return rc == SIO_OK ? sio_buf_char(w->out, '}') : rc;
}


/* Keys are what JavaScript makes of them as names of properties. */

static sio_rc_t
sio_mp_json_key(sio_mp_json_t *w)
{
    size_t          at;
    sio_rc_t        rc;
    sio_mp_token_t  t;

    if (sio_mp_next(w->reader, &t) != SIO_OK
        || t.type == SIO_MP_ARRAY || t.type == SIO_MP_MAP)
    {
        return SIO_ERROR;
    }

    if (t.type == SIO_MP_STR || t.type == SIO_MP_BIN) {
        return sio_json_quote(w->out, t.u.s.data, t.u.s.len);
    }

    if (sio_buf_char(w->out, '"') != SIO_OK) {
        return SIO_NOMEM;
    }

    at = w->out->len;
    rc = sio_mp_json_scalar(w->out, &t);

    if (rc != SIO_OK) {
        return rc;
    }

    if (w->out->data[at] == '"') {

        /* a timestamp, which has come with quotes of its own */

        memmove(w->out->data + at - 1, w->out->data + at, w->out->len - at);
        w->out->len--;

        return SIO_OK;
    }

    return sio_buf_char(w->out, '"');
}


static sio_rc_t
sio_mp_json_scalar(sio_buf_t *b, const sio_mp_token_t *t)
{
    switch (t->type) {

    case SIO_MP_STR:
        return sio_json_quote(b, t->u.s.data, t->u.s.len);

    case SIO_MP_UINT:
        return sio_mp_json_int(b, t->u.u, 0);

    case SIO_MP_INT:
        return sio_mp_json_int(b, -(uint64_t) t->u.i, 1);

    case SIO_MP_FLOAT:
        return sio_json_double(b, t->u.f);

    case SIO_MP_BOOL:
        return sio_mp_json_text(b, t->u.u ? "true" : "false");

    case SIO_MP_EXT:
        if (t->ext == SIO_MP_TIME) {
            return sio_mp_json_time(b, &t->u.s);
        }
    }

    /* nil, and whatever JSON has no word for */

    return sio_mp_json_text(b, "null");
}


static sio_rc_t
sio_mp_json_int(sio_buf_t *b, uint64_t v, int negative)
{
    unsigned char  *p, text[24];

    p = text + sizeof(text);

    do {
        *--p = '0' + v % 10;
        v /= 10;
    } while (v);

    if (negative) {
        *--p = '-';
    }

    return sio_buf_append(b, p, text + sizeof(text) - p);
}


static sio_rc_t
sio_mp_json_bin(sio_mp_json_t *w, const sio_str_t *s)
{
    int   n;
    char  text[48];

    if (w->bins == NULL) {
        return sio_mp_json_bytes(w->out, s);
    }

    if (*w->nbins >= w->max_bins) {
        return SIO_LIMIT;
    }

    n = snprintf(text, sizeof(text), "{\"_placeholder\":true,\"num\":%u}",
                 *w->nbins);

    w->bins[(*w->nbins)++] = *s;

    return sio_buf_append(w->out, text, n);
}


/* Writes binary data as Buffer.toJSON() does. */

static sio_rc_t
sio_mp_json_bytes(sio_buf_t *b, const sio_str_t *s)
{
    int     n;
    char    text[8];
    size_t  i;

    if (sio_mp_json_text(b, "{\"type\":\"Buffer\",\"data\":[") != SIO_OK) {
        return SIO_NOMEM;
    }

    for (i = 0; i < s->len; i++) {
        n = snprintf(text, sizeof(text), i ? ",%u" : "%u", s->data[i]);

        if (sio_buf_append(b, text, n) != SIO_OK) {
            return SIO_NOMEM;
        }
    }

    return sio_mp_json_text(b, "]}");
}


/* Forms: 32 bits of seconds; 30 of nanoseconds, 34 of seconds; 32 and 64. */

static sio_rc_t
sio_mp_json_time(sio_buf_t *b, const sio_str_t *s)
{
    int64_t          sec;
    uint64_t         v, nsec;
    sio_mp_reader_t  r;

    r.pos = s->data;
    r.last = s->data + s->len;
    nsec = 0;

    switch (s->len) {

    case 4:
        (void) sio_mp_read(&r, 4, &v);
        sec = v;
        break;

    case 8:
        (void) sio_mp_read(&r, 8, &v);
        nsec = v >> 34;
        sec = v & 0x3ffffffffULL;
        break;

    case 12:
        (void) sio_mp_read(&r, 4, &nsec);
        (void) sio_mp_read(&r, 8, &v);
        sec = v;
        break;

    default:
        return sio_mp_json_text(b, "null");
    }

    if (nsec > 999999999) {
        return sio_mp_json_text(b, "null");
    }

    return sio_json_time(b, sec, nsec / 1000000);
}


static sio_rc_t
sio_mp_json_text(sio_buf_t *b, const char *text)
{
    return sio_buf_append(b, text, strlen(text));
}
