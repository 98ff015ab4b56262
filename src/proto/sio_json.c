
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_json.h"
#include "sio_utf8.h"

#include <errno.h>
#include <string.h>


#define SIO_JSON_ONES    0x0101010101010101ULL
#define SIO_JSON_HIGH    0x8080808080808080ULL


/* The checker's place in a text; which of the levels it is in are objects. */

typedef struct {
    const unsigned char  *pos;
    const unsigned char  *last;
    unsigned              depth;
    unsigned              deepest;
    unsigned char         object[SIO_JSON_DEEPEST];
} sio_json_scan_t;


/* What is given to jansson. */

typedef struct {
    const unsigned char  *p;
    const unsigned char  *last;
    int                   nomem;
} sio_json_source_t;


static sio_rc_t sio_json_value(sio_json_scan_t *sc);
static sio_rc_t sio_json_open(sio_json_scan_t *sc);
static sio_rc_t sio_json_next(sio_json_scan_t *sc);
static sio_rc_t sio_json_key(sio_json_scan_t *sc);
static sio_rc_t sio_json_literal(sio_json_scan_t *sc, const char *text,
    size_t len);
static sio_rc_t sio_json_number(sio_json_scan_t *sc);
static sio_rc_t sio_json_digits(sio_json_scan_t *sc);
static sio_rc_t sio_json_string(sio_json_scan_t *sc);
static const unsigned char *sio_json_behind(const unsigned char *p,
    const unsigned char *last);
static int sio_json_hex4(const unsigned char *p, const unsigned char *last);

static size_t sio_json_read(void *buf, size_t len, void *data);
static sio_rc_t sio_json_tame(sio_buf_t *b, const unsigned char *p,
    size_t len);
static sio_rc_t sio_json_tame_string(sio_buf_t *b, const unsigned char **pos,
    const unsigned char *last);
static sio_rc_t sio_json_tame_escape(sio_buf_t *b, const unsigned char **pos,
    const unsigned char *last);
static sio_rc_t sio_json_tame_number(sio_buf_t *b, const unsigned char **pos,
    const unsigned char *last);
static int sio_json_number_fits(const unsigned char *p, size_t len,
    size_t flags);


sio_rc_t
sio_json_check(const unsigned char *p, size_t len)
{
    return sio_json_check_depth(p, len, SIO_JSON_DEPTH);
}


sio_rc_t
sio_json_check_depth(const unsigned char *p, size_t len, unsigned deepest)
{
    sio_rc_t         rc;
    sio_json_scan_t  sc;

    if (len == 0) {
        return SIO_ERROR;
    }

    sc.pos = p;
    sc.last = p + len;
    sc.depth = 0;
    sc.deepest = deepest;

    do {
        rc = sio_json_value(&sc);

        if (rc == SIO_OK) {
            rc = sio_json_next(&sc);
        }

    } while (rc == SIO_AGAIN);

    return rc;
}


/*
 * Reads on to the end of the next value that has no inner ones, whatever
 * arrays and objects open on the way.
 */

static sio_rc_t
sio_json_value(sio_json_scan_t *sc)
{
    sio_rc_t  rc;

    do {
        sc->pos = sio_json_space(sc->pos, sc->last);

        if (sc->pos == sc->last) {
            return SIO_ERROR;
        }

        switch (*sc->pos) {

        case '[':
        case '{':
            rc = sio_json_open(sc);
            break;

        case '"':
            rc = sio_json_string(sc);
            break;

        case 't':
            rc = sio_json_literal(sc, "true", 4);
            break;

        case 'f':
            rc = sio_json_literal(sc, "false", 5);
            break;

        case 'n':
            rc = sio_json_literal(sc, "null", 4);
            break;

        default:
            rc = sio_json_number(sc);
        }

    } while (rc == SIO_AGAIN);

    return rc;
}


/* SIO_AGAIN: a value must follow; SIO_OK: it was empty and is closed again. */

static sio_rc_t
sio_json_open(sio_json_scan_t *sc)
{
    unsigned  object;

    if (sc->depth == sc->deepest) {
        return SIO_LIMIT;
    }

    object = (*sc->pos == '{');

    sc->pos = sio_json_space(sc->pos + 1, sc->last);

    if (sc->pos < sc->last && *sc->pos == (object ? '}' : ']')) {
        sc->pos++;
        return SIO_OK;
    }

    sc->object[sc->depth++] = object;

    return object ? sio_json_key(sc) : SIO_AGAIN;
}


/*
 * Reads what follows a value: SIO_AGAIN if it is another one, SIO_OK at the
 * end of the text.
 */

static sio_rc_t
sio_json_next(sio_json_scan_t *sc)
{
    unsigned  object;

    for ( ;; ) {
        sc->pos = sio_json_space(sc->pos, sc->last);

        if (sc->depth == 0) {
            return sc->pos == sc->last ? SIO_OK : SIO_ERROR;
        }

        if (sc->pos == sc->last) {
            return SIO_ERROR;
        }

        object = sc->object[sc->depth - 1];

        if (*sc->pos == ',') {
            sc->pos++;
            return object ? sio_json_key(sc) : SIO_AGAIN;
        }

        if (*sc->pos != (object ? '}' : ']')) {
            return SIO_ERROR;
        }

        sc->pos++;
        sc->depth--;
    }
}


/* Reads a key and its colon; SIO_AGAIN says that a value must follow. */

static sio_rc_t
sio_json_key(sio_json_scan_t *sc)
{
    sc->pos = sio_json_space(sc->pos, sc->last);

    if (sc->pos == sc->last || *sc->pos != '"'
        || sio_json_string(sc) != SIO_OK)
    {
        return SIO_ERROR;
    }

    sc->pos = sio_json_space(sc->pos, sc->last);

    if (sc->pos == sc->last || *sc->pos != ':') {
        return SIO_ERROR;
    }

    sc->pos++;

    return SIO_AGAIN;
}


static sio_rc_t
sio_json_literal(sio_json_scan_t *sc, const char *text, size_t len)
{
    if ((size_t) (sc->last - sc->pos) < len
        || memcmp(sc->pos, text, len) != 0)
    {
        return SIO_ERROR;
    }

    sc->pos += len;

    return SIO_OK;
}


static sio_rc_t
sio_json_number(sio_json_scan_t *sc)
{
    if (*sc->pos == '-') {
        sc->pos++;
    }

    if (sc->pos < sc->last && *sc->pos == '0') {
        sc->pos++;

    } else if (sio_json_digits(sc) != SIO_OK) {
        return SIO_ERROR;
    }

    if (sc->pos < sc->last && *sc->pos == '.') {
        sc->pos++;

        if (sio_json_digits(sc) != SIO_OK) {
            return SIO_ERROR;
        }
    }

    if (sc->pos < sc->last && (*sc->pos | 0x20) == 'e') {
        sc->pos++;

        if (sc->pos < sc->last && (*sc->pos == '+' || *sc->pos == '-')) {
            sc->pos++;
        }

        return sio_json_digits(sc);
    }

    return SIO_OK;
}


/* Skips digits, at least one. */

static sio_rc_t
sio_json_digits(sio_json_scan_t *sc)
{
    const unsigned char  *p;

    for (p = sc->pos; p < sc->last && *p >= '0' && *p <= '9'; p++) {
        /* void */
    }

    if (p == sc->pos) {
        return SIO_ERROR;
    }

    sc->pos = p;

    return SIO_OK;
}


static sio_rc_t
sio_json_string(sio_json_scan_t *sc)
{
    const unsigned char  *p;

    p = sc->pos + 1;

    for ( ;; ) {
        p = sio_json_plain(p, sc->last);

        if (p == sc->last || *p < 0x20) {
            return SIO_ERROR;
        }

        if (*p++ == '"') {
            sc->pos = p;
            return SIO_OK;
        }

        /* an escape */

        if (p == sc->last || *p == '\0' || !strchr("\"\\/bfnrtu", *p)) {
            return SIO_ERROR;
        }

        if (*p++ == 'u') {

            if (sio_json_hex4(p, sc->last) < 0) {
                return SIO_ERROR;
            }

            p += 4;
        }
    }
}


const unsigned char *
sio_json_plain(const unsigned char *p, const unsigned char *last)
{
    uint64_t  w, quote, slash;

    while (last - p >= 8) {
        memcpy(&w, p, 8);

        /* (v - ONES) & ~v has a high bit set if some byte of v is zero */

        quote = w ^ (SIO_JSON_ONES * '"');
        slash = w ^ (SIO_JSON_ONES * '\\');

        if ((((w - SIO_JSON_ONES * 0x20) & ~w)
             | ((quote - SIO_JSON_ONES) & ~quote)
             | ((slash - SIO_JSON_ONES) & ~slash)) & SIO_JSON_HIGH)
        {
            break;
        }

        p += 8;
    }

    while (p < last && *p >= 0x20 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


/* The value of four hex digits, or -1. */

static int
sio_json_hex4(const unsigned char *p, const unsigned char *last)
{
    int            v, i;
    unsigned char  c;

    if (last - p < 4) {
        return -1;
    }

    for (v = 0, i = 0; i < 4; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            v = v << 4 | (c - '0');
            continue;
        }

        c |= 0x20;

        if (c < 'a' || c > 'f') {
            return -1;
        }

        v = v << 4 | (c - 'a' + 10);
    }

    return v;
}


const unsigned char *
sio_json_space(const unsigned char *p, const unsigned char *last)
{
    while (p < last
           && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
    {
        p++;
    }

    return p;
}


sio_rc_t
sio_json_first(const sio_str_t *array, sio_str_t *value)
{
    unsigned              depth;
    const unsigned char  *p, *last;

    if (array->len == 0) {
        return SIO_AGAIN;
    }

    last = array->data + array->len;
    depth = 0;

    value->data = sio_json_space(array->data + 1, last);

    for (p = value->data; p < last; p++) {

        if (*p == '"') {
            p = sio_json_behind(p, last) - 1;

        } else if (*p == '[' || *p == '{') {
            depth++;

        } else if (depth && (*p == ']' || *p == '}')) {
            depth--;

        } else if (depth == 0 && (*p == ',' || *p == ']')) {
            break;
        }
    }

    while (p > value->data && sio_json_space(p - 1, p) == p) {
        p--;
    }

    value->len = p - value->data;

    return value->len ? SIO_OK : SIO_AGAIN;
}


/* What is behind a string. */

static const unsigned char *
sio_json_behind(const unsigned char *p, const unsigned char *last)
{
    p = sio_json_plain(p + 1, last);

    while (p < last && *p != '"') {
        p = sio_json_plain(p + 2 < last ? p + 2 : last, last);
    }

    return p < last ? p + 1 : last;
}


json_t *
sio_json_parse(const unsigned char *p, size_t len, size_t flags, sio_rc_t *rc)
{
    json_t             *json;
    sio_json_source_t   src;

    src.p = p;
    src.last = p + len;
    src.nomem = 0;

    errno = 0;

    json = json_load_callback(sio_json_read, &src, flags, NULL);

    if (errno == ENOMEM) {
        src.nomem = 1;
    }

    if (src.nomem) {
        json_decref(json);
        json = NULL;
    }

    if (rc) {
        *rc = json ? SIO_OK : src.nomem ? SIO_NOMEM : SIO_ERROR;
    }

    return json;
}


/*
 * Gives one character at a time, so that a look at errno comes between a
 * character that was lost and a number, which resets errno.
 */

static size_t
sio_json_read(void *buf, size_t len, void *data)
{
    sio_json_source_t *src = data;

    if (errno == ENOMEM) {
        src->nomem = 1;
    }

    if (src->p == src->last || len == 0) {
        return 0;
    }

    *(unsigned char *) buf = *src->p++;

    return 1;
}


sio_rc_t
sio_json_load(const unsigned char *p, size_t len, json_t **json)
{
    size_t     flags;
    uint32_t   state;
    sio_rc_t   rc;
    sio_buf_t  b;

    flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;

    *json = sio_json_parse(p, len, flags, NULL);

    if (*json) {
        return SIO_OK;
    }

    state = SIO_UTF8_ACCEPT;

    if (sio_utf8_feed(&state, p, len) != SIO_OK || state != SIO_UTF8_ACCEPT) {
        return SIO_ERROR;
    }

    memset(&b, 0, sizeof(sio_buf_t));

    rc = sio_json_tame(&b, p, len);

    if (rc == SIO_OK) {
        *json = sio_json_parse(b.data, b.len, flags, NULL);
    }

    sio_buf_free(&b);

    /* now that nothing is left to refuse, it can only be memory */

    return *json ? SIO_OK : SIO_NOMEM;
}


/*
 * Copies a text, changing what jansson refuses.  NUL is changed everywhere,
 * although only keys must not hold it: this is the rare path of a rare path.
 */

static sio_rc_t
sio_json_tame(sio_buf_t *b, const unsigned char *p, size_t len)
{
    sio_rc_t              rc;
    const unsigned char  *last;

    rc = SIO_OK;
    last = p + len;

    while (p < last && rc == SIO_OK) {

        if (*p == '"') {
            rc = sio_json_tame_string(b, &p, last);

        } else if (*p == '-' || (*p >= '0' && *p <= '9')) {
            rc = sio_json_tame_number(b, &p, last);

        } else {
            rc = sio_buf_append(b, p++, 1);
        }
    }

    return rc;
}


static sio_rc_t
sio_json_tame_string(sio_buf_t *b, const unsigned char **pos,
    const unsigned char *last)
{
    sio_rc_t              rc;
    const unsigned char  *p;

    /* the opening quote */

    rc = sio_buf_append(b, (*pos)++, 1);

    while (rc == SIO_OK) {

        p = *pos;
        *pos = sio_json_plain(p, last);

        rc = sio_buf_append(b, p, *pos - p);
        if (rc != SIO_OK) {
            break;
        }

        if (**pos == '"') {
            return sio_buf_append(b, (*pos)++, 1);
        }

        rc = sio_json_tame_escape(b, pos, last);
    }

    return rc;
}


/* Keeps pairs of surrogates; lone ones and NUL become U+FFFD. */

static sio_rc_t
sio_json_tame_escape(sio_buf_t *b, const unsigned char **pos,
    const unsigned char *last)
{
    int                   hi, lo;
    const unsigned char  *p;

    p = *pos;

    if (p[1] != 'u') {
        *pos += 2;
        return sio_buf_append(b, p, 2);
    }

    hi = sio_json_hex4(p + 2, last);
    lo = -1;

    if (last - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        lo = sio_json_hex4(p + 8, last);
    }

    if (hi >= 0xd800 && hi <= 0xdbff && lo >= 0xdc00 && lo <= 0xdfff) {
        *pos += 12;
        return sio_buf_append(b, p, 12);
    }

    *pos += 6;

    if (hi == 0 || (hi >= 0xd800 && hi <= 0xdfff)) {
        return sio_buf_append(b, "\\ufffd", 6);
    }

    return sio_buf_append(b, p, 6);
}


/*
 * jansson itself is asked what it thinks of a number: one that it can hold
 * as a double only gets an exponent, one that it cannot hold becomes null, as
 * JSON.stringify() has it for infinity.
 */

static sio_rc_t
sio_json_tame_number(sio_buf_t *b, const unsigned char **pos,
    const unsigned char *last)
{
    const char           *tail;
    const unsigned char  *p;

    for (p = *pos; *pos < last; (*pos)++) {
        if (**pos == '\0' || !strchr("0123456789+-.eE", **pos)) {
            break;
        }
    }

    if (sio_json_number_fits(p, *pos - p, 0)) {
        tail = "";

    } else if (sio_json_number_fits(p, *pos - p, JSON_DECODE_INT_AS_REAL)) {
        tail = "e0";

    } else {
        return sio_buf_append(b, "null", 4);
    }

    if (sio_buf_append(b, p, *pos - p) != SIO_OK) {
        return SIO_NOMEM;
    }

    return sio_buf_append(b, tail, strlen(tail));
}


static int
sio_json_number_fits(const unsigned char *p, size_t len, size_t flags)
{
    json_t  *json;

    json = sio_json_parse(p, len, flags | JSON_DECODE_ANY, NULL);

    json_decref(json);

    return json != NULL;
}
