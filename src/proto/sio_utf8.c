
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_utf8.h"

#include <string.h>


/*
 * A state other than SIO_UTF8_ACCEPT says what may follow: the number of
 * bytes to come, and the least and the greatest value of the next one.  The
 * second byte has a narrower range after 0xe0, 0xed, 0xf0 and 0xf4; this is
 * what excludes overlong forms, surrogates and code points above U+10FFFF.
 */

#define sio_utf8_state(left, min, max)                                        \
    ((uint32_t) (left) | (uint32_t) (min) << 8 | (uint32_t) (max) << 16)

#define SIO_UTF8_REJECT  0xffffffff

#define SIO_UTF8_HIGH    0x8080808080808080ULL


static inline uint32_t sio_utf8_step(uint32_t state, unsigned char c);
static uint32_t sio_utf8_lead(unsigned char c);
static const unsigned char *sio_utf8_skip_ascii(const unsigned char *p,
    const unsigned char *last);


static const unsigned char  sio_utf8_replacement[] = { 0xef, 0xbf, 0xbd };


sio_rc_t
sio_utf8_feed(uint32_t *state, const unsigned char *p, size_t n)
{
    uint32_t              s;
    const unsigned char  *last;

    if (n == 0) {
        return SIO_OK;
    }

    s = *state;
    last = p + n;

    while (p < last) {

        if (s == SIO_UTF8_ACCEPT) {
            p = sio_utf8_skip_ascii(p, last);

            if (p == last) {
                break;
            }
        }

        s = sio_utf8_step(s, *p++);

        if (s == SIO_UTF8_REJECT) {
            return SIO_ERROR;
        }
    }

    *state = s;

    return SIO_OK;
}


sio_rc_t
sio_utf8_repair(sio_buf_t *b, const unsigned char *p, size_t n)
{
    uint32_t              s, next;
    const unsigned char  *last, *good;

    if (n == 0) {
        return SIO_OK;
    }

    s = SIO_UTF8_ACCEPT;
    last = p + n;

    /* [good, p) is what is read, but not yet copied */

    for (good = p; p < last; p++) {

        next = sio_utf8_step(s, *p);

        if (next != SIO_UTF8_REJECT) {

            if (s == SIO_UTF8_ACCEPT && next != SIO_UTF8_ACCEPT) {

                /* a character begins: all before it is known to be valid */

                if (sio_buf_append(b, good, p - good) != SIO_OK) {
                    return SIO_NOMEM;
                }

                good = p;
            }

            s = next;
            continue;
        }

        if (s == SIO_UTF8_ACCEPT
            && sio_buf_append(b, good, p - good) != SIO_OK)
        {
            return SIO_NOMEM;
        }

        if (sio_buf_append(b, sio_utf8_replacement, 3) != SIO_OK) {
            return SIO_NOMEM;
        }

        if (s == SIO_UTF8_ACCEPT) {
            good = p + 1;

        } else {

            /* the byte that broke a sequence may begin the next one */

            good = p--;
            s = SIO_UTF8_ACCEPT;
        }
    }

    if (s != SIO_UTF8_ACCEPT) {
        return sio_buf_append(b, sio_utf8_replacement, 3);
    }

    return sio_buf_append(b, good, last - good);
}


static inline uint32_t
sio_utf8_step(uint32_t state, unsigned char c)
{
    uint32_t  left;

    if (state == SIO_UTF8_ACCEPT) {
        return c < 0x80 ? SIO_UTF8_ACCEPT : sio_utf8_lead(c);
    }

    if (c < ((state >> 8) & 0xff) || c > (state >> 16)) {
        return SIO_UTF8_REJECT;
    }

    left = (state & 0xff) - 1;

    return left ? sio_utf8_state(left, 0x80, 0xbf) : SIO_UTF8_ACCEPT;
}


static uint32_t
sio_utf8_lead(unsigned char c)
{
    if (c < 0xc2 || c > 0xf4) {
        return SIO_UTF8_REJECT;
    }

    if (c < 0xe0) {
        return sio_utf8_state(1, 0x80, 0xbf);
    }

    switch (c) {

    case 0xe0:
        return sio_utf8_state(2, 0xa0, 0xbf);

    case 0xed:
        return sio_utf8_state(2, 0x80, 0x9f);

    case 0xf0:
        return sio_utf8_state(3, 0x90, 0xbf);

    case 0xf4:
        return sio_utf8_state(3, 0x80, 0x8f);
    }

    return sio_utf8_state(c < 0xf0 ? 2 : 3, 0x80, 0xbf);
}


static const unsigned char *
sio_utf8_skip_ascii(const unsigned char *p, const unsigned char *last)
{
    uint64_t  w;

    while (last - p >= 8) {
        memcpy(&w, p, 8);

        if (w & SIO_UTF8_HIGH) {
            break;
        }

        p += 8;
    }

    while (p < last && *p < 0x80) {
        p++;
    }

    return p;
}
