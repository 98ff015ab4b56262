
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_resp.h"

#include <string.h>


#define SIO_RESP_DIGITS  20                    /* of SIZE_MAX */
#define SIO_RESP_HEAD    (1 + SIO_RESP_DIGITS + 2)


static unsigned char *sio_resp_head(unsigned char *p, unsigned char type,
    size_t n);


sio_rc_t
sio_resp_command(sio_buf_t *b, size_t argc, const char *const *argv,
    const size_t *argvlen)
{
    size_t          i, size;
    unsigned char  *p;

    size = SIO_RESP_HEAD;

    for (i = 0; i < argc; i++) {
        size += SIO_RESP_HEAD + argvlen[i] + 2;
    }

    if (sio_buf_reserve(b, size) != SIO_OK) {
        return SIO_NOMEM;
    }

    p = sio_resp_head(b->data + b->len, '*', argc);

    for (i = 0; i < argc; i++) {
        p = sio_resp_head(p, '$', argvlen[i]);

        /* what is empty may be nowhere */

        if (argvlen[i]) {
            memcpy(p, argv[i], argvlen[i]);
            p += argvlen[i];
        }

        *p++ = '\r';
        *p++ = '\n';
    }

    b->len = p - b->data;

    return SIO_OK;
}


static unsigned char *
sio_resp_head(unsigned char *p, unsigned char type, size_t n)
{
    size_t          len;
    unsigned char  *d, digits[SIO_RESP_DIGITS];

    *p++ = type;

    d = digits + SIO_RESP_DIGITS;

    do {
        *--d = (unsigned char) ('0' + n % 10);
        n /= 10;
    } while (n);

    len = digits + SIO_RESP_DIGITS - d;

    do {
        *p++ = *d++;
    } while (--len);

    *p++ = '\r';
    *p++ = '\n';

    return p;
}
