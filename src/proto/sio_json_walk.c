
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_json_walk.h"

#include <string.h>


static const unsigned char *sio_json_walk_value(const unsigned char *p,
    const unsigned char *last);
static const unsigned char *sio_json_walk_string(const unsigned char *p,
    const unsigned char *last);
static const unsigned char *sio_json_walk_escape(const unsigned char *p,
    const unsigned char *last, uint32_t *c);
static int sio_json_walk_is(const sio_str_t *string, const char *name,
    size_t len);
static uint32_t sio_json_walk_hex4(const unsigned char *p,
    const unsigned char *last);
static unsigned char *sio_json_walk_utf8(unsigned char *p, uint32_t c);


void
sio_json_walk(sio_json_walk_t *w, const sio_str_t *text)
{
    w->last = text->data + text->len;
    w->pos = sio_json_space(text->data, w->last);

    if (w->pos < w->last) {
        w->pos++;
    }
}


sio_rc_t
sio_json_step(sio_json_walk_t *w, sio_str_t *key, sio_str_t *value)
{
    const unsigned char  *p;

    key->data = NULL;
    key->len = 0;

    p = sio_json_space(w->pos, w->last);

    if (p < w->last && *p == ',') {
        p = sio_json_space(p + 1, w->last);
    }

    if (p == w->last || *p == ']' || *p == '}') {
        w->pos = w->last;
        return SIO_AGAIN;
    }

    value->data = p;
    p = sio_json_walk_value(p, w->last);
    value->len = p - value->data;

    p = sio_json_space(p, w->last);

    if (p < w->last && *p == ':') {
        *key = *value;

        value->data = sio_json_space(p + 1, w->last);
        p = sio_json_walk_value(value->data, w->last);
        value->len = p - value->data;
    }

    w->pos = p;

    return SIO_OK;
}


sio_rc_t
sio_json_member(const sio_str_t *object, const char *name, sio_str_t *value)
{
    size_t           len;
    sio_str_t        key, member;
    sio_json_walk_t  w;

    value->data = NULL;
    value->len = 0;

    if (object->len == 0) {
        return SIO_AGAIN;
    }

    len = strlen(name);

    sio_json_walk(&w, object);

    while (sio_json_step(&w, &key, &member) == SIO_OK) {
        if (sio_json_walk_is(&key, name, len)) {
            *value = member;
        }
    }

    return value->len ? SIO_OK : SIO_AGAIN;
}


/* No character takes more than the six of an escape. */

static int
sio_json_walk_is(const sio_str_t *string, const char *name, size_t len)
{
    unsigned char  text[2 + 6 * SIO_JSON_NAME_LEN];

    if (string->len == len + 2) {
        return memcmp(string->data + 1, name, len) == 0;
    }

    if (string->len < len + 2 || string->len > sizeof(text)
        || memchr(string->data, '\\', string->len) == NULL)
    {
        return 0;
    }

    return sio_json_unquote(text, string) == text + len
           && memcmp(text, name, len) == 0;
}


/* What is behind a value. */

static const unsigned char *
sio_json_walk_value(const unsigned char *p, const unsigned char *last)
{
    unsigned  depth;

    depth = 0;

    while (p < last) {

        switch (*p) {

        case '"':
            p = sio_json_walk_string(p, last);

            if (depth == 0) {
                return p;
            }

            continue;

        case '[':
        case '{':
            depth++;
            break;

        case ']':
        case '}':

            if (depth == 0) {
                return p;
            }

            if (--depth == 0) {
                return p + 1;
            }

            break;

        case ',':
        case ':':
        case ' ':
        case '\t':
        case '\n':
        case '\r':

            if (depth == 0) {
                return p;
            }

            break;
        }

        p++;
    }

    return p;
}


/* What is behind a string. */

static const unsigned char *
sio_json_walk_string(const unsigned char *p, const unsigned char *last)
{
    p = sio_json_plain(p + 1, last);

    while (p < last && *p != '"') {
        p = (last - p > 2) ? sio_json_plain(p + 2, last) : last;
    }

    return p < last ? p + 1 : last;
}


unsigned char *
sio_json_unquote(unsigned char *p, const sio_str_t *string)
{
    uint32_t              c;
    const unsigned char  *s, *plain, *last;

    if (string->len < 2) {
        return p;
    }

    s = string->data + 1;
    last = string->data + string->len - 1;

    for ( ;; ) {
        plain = s;
        s = sio_json_plain(s, last);

        memcpy(p, plain, s - plain);
        p += s - plain;

        if (s == last) {
            return p;
        }

        s = sio_json_walk_escape(s, last, &c);
        p = sio_json_walk_utf8(p, c);
    }
}


/* Reads an escape, or a pair of them that is one character. */

static const unsigned char *
sio_json_walk_escape(const unsigned char *p, const unsigned char *last,
    uint32_t *c)
{
    uint32_t     low;
    const char  *s;

    static const char  from[] = "bfnrt";
    static const char  to[] = "\b\f\n\r\t";

    if (last - p < 2) {
        *c = *p;
        return last;
    }

    if (p[1] != 'u') {
        s = p[1] ? strchr(from, p[1]) : NULL;
        *c = s ? (unsigned char) to[s - from] : p[1];
        return p + 2;
    }

    *c = sio_json_walk_hex4(p + 2, last);
    p = (last - p > 6) ? p + 6 : last;

    if (*c < 0xd800 || *c > 0xdfff) {
        return p;
    }

    if (*c <= 0xdbff && last - p >= 6 && p[0] == '\\' && p[1] == 'u') {

        low = sio_json_walk_hex4(p + 2, last);

        if (low >= 0xdc00 && low <= 0xdfff) {
            *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
            return p + 6;
        }
    }

    *c = 0xfffd;

    return p;
}


static uint32_t
sio_json_walk_hex4(const unsigned char *p, const unsigned char *last)
{
    unsigned  i;
    uint32_t  v;

    v = 0;

    for (i = 0; i < 4 && p + i < last; i++) {
        v = v << 4 | ((p[i] <= '9') ? p[i] & 0xf : (p[i] & 0x7) + 9);
    }

    return v;
}


static unsigned char *
sio_json_walk_utf8(unsigned char *p, uint32_t c)
{
    if (c < 0x80) {
        *p++ = c;
        return p;
    }

    if (c < 0x800) {
        *p++ = 0xc0 | c >> 6;

    } else {

        if (c < 0x10000) {
            *p++ = 0xe0 | c >> 12;

        } else {
            *p++ = 0xf0 | c >> 18;
            *p++ = 0x80 | (c >> 12 & 0x3f);
        }

        *p++ = 0x80 | (c >> 6 & 0x3f);
    }

    *p++ = 0x80 | (c & 0x3f);

    return p;
}
