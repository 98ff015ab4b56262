
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_base64.h"

#include <stdint.h>


static void sio_base64_write(unsigned char *dst, const unsigned char *src,
    size_t len, const char *digits);


static const char  sio_base64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "abcdefghijklmnopqrstuvwxyz"
                                      "0123456789+/";

static const char  sio_base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "abcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_";

/* The values of digits of both alphabets; 64: anything else. */

static const unsigned char  sio_base64_values[256] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 62, 64, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64,
    64,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 63,
    64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,

    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64
};


void
sio_base64_encode(unsigned char *dst, const unsigned char *src, size_t len)
{
    size_t         n, rest;
    unsigned char  tail[3];

    rest = len % 3;
    n = len - rest;

    sio_base64_write(dst, src, n, sio_base64_std);

    if (rest == 0) {
        return;
    }

    tail[0] = src[n];
    tail[1] = (rest == 2) ? src[n + 1] : 0;
    tail[2] = 0;

    dst += n / 3 * 4;

    sio_base64_write(dst, tail, 3, sio_base64_std);

    dst[3] = '=';

    if (rest == 1) {
        dst[2] = '=';
    }
}


void
sio_base64_encode_url(unsigned char *dst, const unsigned char *src, size_t len)
{
    sio_base64_write(dst, src, len, sio_base64_url);
}


static void
sio_base64_write(unsigned char *dst, const unsigned char *src, size_t len,
    const char *digits)
{
    size_t    i;
    uint32_t  v;

    for (i = 0; i < len; i += 3) {
        v = (uint32_t) src[i] << 16 | src[i + 1] << 8 | src[i + 2];

        *dst++ = digits[v >> 18];
        *dst++ = digits[v >> 12 & 0x3f];
        *dst++ = digits[v >> 6 & 0x3f];
        *dst++ = digits[v & 0x3f];
    }
}


size_t
sio_base64_decode(unsigned char *dst, const unsigned char *src, size_t len)
{
    size_t          i;
    unsigned        bits, value;
    uint32_t        v;
    unsigned char  *p;

    p = dst;
    v = 0;
    bits = 0;

    for (i = 0; i < len && src[i] != '='; i++) {
        value = sio_base64_values[src[i]];

        if (value == 64) {
            continue;
        }

        v = v << 6 | value;
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            *p++ = v >> bits & 0xff;
        }
    }

    return p - dst;
}
