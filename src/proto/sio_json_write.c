
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_json.h"
#include "sio_utf8.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define SIO_JSON_EXACT     9007199254740992.0     /* 2^53 */

#define SIO_JSON_TIME_MAX  8640000000000LL        /* 10^8 days, in seconds */


static sio_rc_t sio_json_escape(sio_buf_t *b, const unsigned char *p,
    size_t len);
static size_t sio_json_escape_char(unsigned char *p, unsigned char c);


sio_rc_t
sio_json_quote(sio_buf_t *b, const unsigned char *p, size_t len)
{
    uint32_t   state;
    sio_rc_t   rc;
    sio_buf_t  repaired;

    state = SIO_UTF8_ACCEPT;

    if (sio_utf8_feed(&state, p, len) == SIO_OK && state == SIO_UTF8_ACCEPT) {
        return sio_json_escape(b, p, len);
    }

    memset(&repaired, 0, sizeof(sio_buf_t));

    rc = sio_utf8_repair(&repaired, p, len);

    if (rc == SIO_OK) {
        rc = sio_json_escape(b, repaired.data, repaired.len);
    }

    sio_buf_free(&repaired);

    return rc;
}


static sio_rc_t
sio_json_escape(sio_buf_t *b, const unsigned char *p, size_t len)
{
    size_t                n;
    unsigned char         escape[6];
    const unsigned char  *last, *run;

    /* enough for a string without escapes, which most are */

    if (sio_buf_reserve(b, len + 2) != SIO_OK) {
        return SIO_NOMEM;
    }

    b->data[b->len++] = '"';

    last = len ? p + len : p;

    while (p < last) {

        run = p;
        p = sio_json_plain(p, last);

        if (sio_buf_append(b, run, p - run) != SIO_OK) {
            return SIO_NOMEM;
        }

        if (p < last) {
            n = sio_json_escape_char(escape, *p++);

            if (sio_buf_append(b, escape, n) != SIO_OK) {
                return SIO_NOMEM;
            }
        }
    }

    return sio_buf_char(b, '"');
}


static size_t
sio_json_escape_char(unsigned char *p, unsigned char c)
{
    static const char  hex[] = "0123456789abcdef";
    static const char  letters[] = "btn\0fr";

    p[0] = '\\';

    if (c == '"' || c == '\\') {
        p[1] = c;
        return 2;
    }

    /* \b \t \n - \f \r are neighbours in ASCII, \v has no letter */

    if (c >= '\b' && c <= '\r' && c != '\v') {
        p[1] = letters[c - '\b'];
        return 2;
    }

    p[1] = 'u';
    p[2] = '0';
    p[3] = '0';
    p[4] = hex[c >> 4];
    p[5] = hex[c & 0xf];

    return 6;
}


sio_rc_t
sio_json_double(sio_buf_t *b, double d)
{
    int             i, n, digits;
    char            text[40];
    unsigned char  *p;

    if (!isfinite(d)) {
        return sio_buf_append(b, "null", 4);
    }

    if (fabs(d) < SIO_JSON_EXACT && d == (double) (int64_t) d) {
        n = snprintf(text, sizeof(text), "%lld", (long long) d);

        return sio_buf_append(b, text, n);
    }

    /* 15 digits are never too many, but for what is next to zero */

    digits = (fabs(d) < DBL_MIN) ? 1 : 15;

    for ( /* void */ ; /* void */ ; digits++) {
        n = snprintf(text, sizeof(text), "%.*g", digits, d);

        if (digits == 17 || strtod(text, NULL) == d) {
            break;
        }
    }

    if (sio_buf_reserve(b, n) != SIO_OK) {
        return SIO_NOMEM;
    }

    /* whatever the locale has for a point, even of several bytes */

    p = b->data + b->len;

    for (i = 0; i < n; i++) {

        if (strchr("0123456789+-e", text[i])) {
            *p++ = text[i];

        } else if (p[-1] != '.') {
            *p++ = '.';
        }
    }

    b->len = p - b->data;

    return SIO_OK;
}


sio_rc_t
sio_json_time(sio_buf_t *b, int64_t sec, unsigned ms)
{
    int         n;
    char        text[40];
    int64_t     days, era, year;
    unsigned    day, month, rest;

    if (sec < -SIO_JSON_TIME_MAX || sec > SIO_JSON_TIME_MAX
        || (sec == SIO_JSON_TIME_MAX && ms > 0))
    {
        return sio_buf_append(b, "null", 4);
    }

    /*
     * Days are counted from the first of March of the year 0 of the Gregorian
     * calendar, in eras of 400 years, so that leap days come last.
     */

    days = sec / 86400 - (sec % 86400 < 0);
    rest = sec - days * 86400;

    days += 719468;
    era = days / 146097 - (days % 146097 < 0);
    day = days - era * 146097;

    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5;

    year += era * 400 + (month >= 10);
    month += (month >= 10) ? -9 : 3;

    n = snprintf(text, sizeof(text),
                 (year >= 0 && year <= 9999) ? "\"%04d" : "\"%+07d",
                 (int) year);

    n += snprintf(text + n, sizeof(text) - n,
                  "-%02u-%02uT%02u:%02u:%02u.%03uZ\"", month, day + 1,
                  rest / 3600, rest / 60 % 60, rest % 60, ms);

    return sio_buf_append(b, text, n);
}
