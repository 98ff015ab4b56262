
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_deflate.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>


#define SIO_DEFLATE_MIN_WINDOW  8
#define SIO_DEFLATE_MEMORY      8        /* zlib's default */
#define SIO_DEFLATE_TAIL        4        /* bytes that a frame leaves out */

#define SIO_INFLATE_FIRST       4        /* times the input: the first guess */
#define SIO_INFLATE_MIN         512
#define SIO_INFLATE_BOUNDARY    128      /* data_type: between two blocks */
#define SIO_INFLATE_BITS        63       /*   and bits of the next one */


/* The parameters, as bits of those that an offer has. */

typedef enum {
    SIO_DEFLATE_SERVER_TAKEOVER,
    SIO_DEFLATE_CLIENT_TAKEOVER,
    SIO_DEFLATE_SERVER_WINDOW,
    SIO_DEFLATE_CLIENT_WINDOW,
    SIO_DEFLATE_PARAMS
} sio_deflate_param_e;


/* An offer while it is read. */

typedef struct {
    sio_deflate_t    deflate;
    unsigned         seen;
    unsigned         refused;
} sio_deflate_offer_t;


static sio_rc_t sio_deflate_extension(sio_str_t *in, sio_deflate_t *d);
static sio_rc_t sio_deflate_value(sio_str_t *in, sio_str_t *value,
    unsigned char *buf, size_t size);
static sio_rc_t sio_deflate_quoted(sio_str_t *in, sio_str_t *value,
    unsigned char *buf, size_t size);
static void sio_deflate_param(sio_deflate_offer_t *offer, sio_str_t name,
    sio_str_t value);
static unsigned sio_deflate_window(sio_str_t value);
static sio_rc_t sio_deflate_token(sio_str_t *in, sio_str_t *token);
static int sio_deflate_is_token(unsigned char c);
static void sio_deflate_space(sio_str_t *in);
static int sio_deflate_next(sio_str_t *in, unsigned char c);
static int sio_deflate_equal(sio_str_t s, const sio_str_t *name);
static sio_rc_t sio_inflate_run(sio_buf_t *out, const unsigned char *p,
    size_t len, size_t limit, int *ended);
static sio_rc_t sio_inflate_room(sio_buf_t *out, size_t limit);


static const sio_str_t  sio_deflate_name = sio_string("permessage-deflate");

static const sio_str_t  sio_deflate_params[SIO_DEFLATE_PARAMS] = {
    sio_string("server_no_context_takeover"),
    sio_string("client_no_context_takeover"),
    sio_string("server_max_window_bits"),
    sio_string("client_max_window_bits")
};

static const char           sio_deflate_agreed[] =
    "permessage-deflate; server_no_context_takeover"
    "; client_no_context_takeover";

static const unsigned char  sio_deflate_tail[SIO_DEFLATE_TAIL] = {
    0x00, 0x00, 0xff, 0xff
};

static z_stream  sio_deflate_stream;
static int       sio_deflate_ready;

static z_stream  sio_inflate_stream;
static int       sio_inflate_ready;


sio_rc_t
sio_deflate_offer(sio_deflate_t *d, const unsigned char *p, size_t len)
{
    sio_str_t  in;

    in.data = p;
    in.len = len;

    for ( ;; ) {
        sio_deflate_space(&in);

        if (in.len == 0) {
            return SIO_OK;
        }

        /* a list may have empty elements */

        if (*in.data != ',' && sio_deflate_extension(&in, d) != SIO_OK) {
            return SIO_ERROR;
        }

        if (in.len && !sio_deflate_next(&in, ',')) {
            return SIO_ERROR;
        }
    }
}


/* One element of the list, and the blanks behind it. */

static sio_rc_t
sio_deflate_extension(sio_str_t *in, sio_deflate_t *d)
{
    sio_str_t            name, value;
    unsigned char        buf[8];
    sio_deflate_offer_t  offer;

    if (sio_deflate_token(in, &name) != SIO_OK) {
        return SIO_ERROR;
    }

    memset(&offer, 0, sizeof(sio_deflate_offer_t));

    offer.deflate.window = SIO_DEFLATE_MAX_WINDOW;
    offer.refused = !sio_deflate_equal(name, &sio_deflate_name);

    sio_deflate_space(in);

    while (sio_deflate_next(in, ';')) {

        sio_deflate_space(in);

        if (sio_deflate_token(in, &name) != SIO_OK
            || sio_deflate_value(in, &value, buf, sizeof(buf)) != SIO_OK)
        {
            return SIO_ERROR;
        }

        sio_deflate_param(&offer, name, value);
        sio_deflate_space(in);
    }

    if (!offer.refused && d->window == 0) {
        *d = offer.deflate;
    }

    return SIO_OK;
}


/* What follows the name of a parameter; data is NULL if nothing does. */

static sio_rc_t
sio_deflate_value(sio_str_t *in, sio_str_t *value, unsigned char *buf,
    size_t size)
{
    value->data = NULL;
    value->len = 0;

    sio_deflate_space(in);

    if (!sio_deflate_next(in, '=')) {
        return SIO_OK;
    }

    sio_deflate_space(in);

    if (sio_deflate_next(in, '"')) {
        return sio_deflate_quoted(in, value, buf, size);
    }

    return sio_deflate_token(in, value);
}


/* What is quoted has to be a token too; of a long one a part will do. */

static sio_rc_t
sio_deflate_quoted(sio_str_t *in, sio_str_t *value, unsigned char *buf,
    size_t size)
{
    unsigned char  c;

    value->data = buf;

    while (in->len) {

        if (sio_deflate_next(in, '"')) {
            return value->len ? SIO_OK : SIO_ERROR;
        }

        (void) sio_deflate_next(in, '\\');

        if (in->len == 0) {
            break;
        }

        c = *in->data++;
        in->len--;

        if (!sio_deflate_is_token(c)) {
            break;
        }

        if (value->len < size) {
            buf[value->len++] = c;
        }
    }

    return SIO_ERROR;
}


/* RFC 7692, 7.1: what is unknown, wrong or there twice makes it refused. */

static void
sio_deflate_param(sio_deflate_offer_t *offer, sio_str_t name, sio_str_t value)
{
    unsigned  i, window;

    for (i = 0; i < SIO_DEFLATE_PARAMS; i++) {
        if (sio_deflate_equal(name, &sio_deflate_params[i])) {
            break;
        }
    }

    if (i == SIO_DEFLATE_PARAMS || offer->seen & 1 << i) {
        offer->refused = 1;
        return;
    }

    offer->seen |= 1 << i;
    window = value.data ? sio_deflate_window(value) : 0;

    switch (i) {

    case SIO_DEFLATE_SERVER_WINDOW:
        offer->deflate.window = window;
        offer->deflate.named = 1;
        offer->refused |= (window == 0);
        break;

    case SIO_DEFLATE_CLIENT_WINDOW:

        /* a hint: any window of a client is small enough */

        offer->refused |= (value.data && window == 0);
        break;

    default:
        offer->refused |= (value.data != NULL);
    }
}


/* 8 to 15 in decimals, else 0. */

static unsigned
sio_deflate_window(sio_str_t value)
{
    const unsigned char  *p;

    p = value.data;

    if (value.len == 1 && (p[0] == '8' || p[0] == '9')) {
        return p[0] - '0';
    }

    if (value.len == 2 && p[0] == '1' && p[1] >= '0' && p[1] <= '5') {
        return 10 + p[1] - '0';
    }

    return 0;
}


static sio_rc_t
sio_deflate_token(sio_str_t *in, sio_str_t *token)
{
    token->data = in->data;
    token->len = 0;

    while (in->len && sio_deflate_is_token(*in->data)) {
        in->data++;
        in->len--;
        token->len++;
    }

    return token->len ? SIO_OK : SIO_ERROR;
}


static int
sio_deflate_is_token(unsigned char c)
{
    return c > ' ' && c < 0x7f
           && memchr("()<>@,;:\\\"/[]?={}", c, 17) == NULL;
}


static void
sio_deflate_space(sio_str_t *in)
{
    while (in->len && (*in->data == ' ' || *in->data == '\t')) {
        in->data++;
        in->len--;
    }
}


/* Takes the next character if it is this one. */

static int
sio_deflate_next(sio_str_t *in, unsigned char c)
{
    if (in->len == 0 || *in->data != c) {
        return 0;
    }

    in->data++;
    in->len--;

    return 1;
}


static int
sio_deflate_equal(sio_str_t s, const sio_str_t *name)
{
    return s.len == name->len && memcmp(s.data, name->data, s.len) == 0;
}


/* RFC 7692, 7.1.2.1: a window that was asked for has to be confirmed. */

size_t
sio_deflate_answer(unsigned char *p, const sio_deflate_t *d)
{
    size_t            len;
    const sio_str_t  *name;

    len = sizeof(sio_deflate_agreed) - 1;
    memcpy(p, sio_deflate_agreed, len);

    if (!d->named) {
        return len;
    }

    p[len++] = ';';
    p[len++] = ' ';

    name = &sio_deflate_params[SIO_DEFLATE_SERVER_WINDOW];
    memcpy(p + len, name->data, name->len);
    len += name->len;

    p[len++] = '=';

    if (d->window >= 10) {
        p[len++] = '1';
    }

    p[len++] = '0' + d->window % 10;

    return len;
}


/*
 * The output ends with an empty block, of which the last four bytes are always
 * the same, and left out.  The level is nginx's for gzip: 6 takes three times
 * as long, while all clients of the process wait, and saves a sixth.
 */

sio_rc_t
sio_deflate(sio_buf_t *out, const unsigned char *p, size_t len)
{
    size_t     size;
    z_stream  *z;

    z = &sio_deflate_stream;

    if (sio_deflate_ready) {
        (void) deflateReset(z);

    } else if (deflateInit2(z, Z_BEST_SPEED, Z_DEFLATED,
                            -SIO_DEFLATE_MAX_WINDOW, SIO_DEFLATE_MEMORY,
                            Z_DEFAULT_STRATEGY)
               != Z_OK)
    {
        return SIO_NOMEM;
    }

    sio_deflate_ready = 1;

    if (len > UINT32_MAX - SIO_DEFLATE_TAIL) {
        return SIO_LIMIT;
    }

    if (sio_buf_reserve(out, len + SIO_DEFLATE_TAIL) != SIO_OK) {
        return SIO_NOMEM;
    }

    z->next_in = (unsigned char *) p;
    z->avail_in = len;
    z->next_out = out->data + out->len;
    z->avail_out = len + SIO_DEFLATE_TAIL;

    (void) deflate(z, Z_SYNC_FLUSH);

    size = len + SIO_DEFLATE_TAIL - z->avail_out;

    /* without room left, there may be more of it */

    if (z->avail_in || z->avail_out == 0 || size <= SIO_DEFLATE_TAIL) {
        return SIO_LIMIT;
    }

    out->len += size - SIO_DEFLATE_TAIL;

    return SIO_OK;
}


sio_rc_t
sio_inflate(sio_buf_t *out, const unsigned char *p, size_t len, size_t limit)
{
    int        ended;
    sio_rc_t   rc;
    z_stream  *z;

    z = &sio_inflate_stream;

    if (sio_inflate_ready) {
        (void) inflateReset(z);

    } else if (inflateInit2(z, -SIO_DEFLATE_MAX_WINDOW) != Z_OK) {
        return SIO_NOMEM;
    }

    sio_inflate_ready = 1;

    if (len == 0) {

        /* what a compressor without output makes of nothing */

        return SIO_OK;
    }

    if (len > UINT32_MAX || limit > UINT32_MAX - 1) {
        return SIO_LIMIT;
    }

    rc = sio_inflate_run(out, p, len, limit, &ended);

    if (rc != SIO_OK || ended) {
        return rc;
    }

    rc = sio_inflate_run(out, sio_deflate_tail, SIO_DEFLATE_TAIL, limit,
                         &ended);
    if (rc != SIO_OK) {
        return rc;
    }

    /* the tail has to end a block: else it was taken for something else */

    if (!ended
        && (z->data_type & (SIO_INFLATE_BOUNDARY|SIO_INFLATE_BITS))
           != SIO_INFLATE_BOUNDARY)
    {
        return SIO_ERROR;
    }

    return SIO_OK;
}


/*
 * Decompresses all of the input.  A final block may be followed by others,
 * which may still refer to what was before it: so the window stays.
 */

static sio_rc_t
sio_inflate_run(sio_buf_t *out, const unsigned char *p, size_t len,
    size_t limit, int *ended)
{
    int        rc;
    z_stream  *z;

    z = &sio_inflate_stream;

    z->next_in = (unsigned char *) p;
    z->avail_in = len;

    do {
        if (sio_inflate_room(out, limit) != SIO_OK) {
            return SIO_NOMEM;
        }

        z->next_out = out->data + out->len;
        z->avail_out = out->size - out->len;

        rc = inflate(z, Z_SYNC_FLUSH);

        out->len = z->next_out - out->data;

        if (out->len > limit) {
            return SIO_LIMIT;
        }

        *ended = (rc == Z_STREAM_END);

        if (*ended) {
            (void) inflateResetKeep(z);

            if (z->avail_in == 0) {
                break;
            }

        } else if (rc == Z_MEM_ERROR) {
            return SIO_NOMEM;

        } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return SIO_ERROR;
        }

    } while (z->avail_in || z->avail_out == 0);

    return SIO_OK;
}


/* Room for one byte beyond the limit, but never for more. */

static sio_rc_t
sio_inflate_room(sio_buf_t *out, size_t limit)
{
    size_t          size;
    unsigned char  *data;

    if (out->len < out->size) {
        return SIO_OK;
    }

    size = out->size * 2;

    if (size == 0) {
        size = sio_inflate_stream.avail_in * (size_t) SIO_INFLATE_FIRST
               + SIO_INFLATE_MIN;
    }

    if (size > limit + 1) {
        size = limit + 1;
    }

    data = realloc(out->data, size);
    if (data == NULL) {
        return SIO_NOMEM;
    }

    out->data = data;
    out->size = size;

    return SIO_OK;
}
