
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_base64.h"


/* The input is text to decode, and bytes to encode. */


/* What Node.js makes of it, said in another way. */

static size_t
slow_decode(unsigned char *dst, const uint8_t *p, size_t len)
{
    size_t       i, n;
    unsigned     bit;
    const char  *digit;

    static const char  std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                               "qrstuvwxyz0123456789+/";

    n = 0;                        /* bits */

    for (i = 0; i < len && p[i] != '='; i++) {

        if (p[i] == '\0') {
            continue;
        }

        digit = strchr(std, p[i] == '-' ? '+' : p[i] == '_' ? '/' : p[i]);

        if (digit == NULL) {
            continue;
        }

        for (bit = 32; bit; bit >>= 1, n++) {

            if (n % 8 == 0) {
                dst[n / 8] = 0;
            }

            if ((digit - std) & bit) {
                dst[n / 8] |= 128 >> n % 8;
            }
        }
    }

    return n / 8;
}


static void
check_decode(const uint8_t *p, size_t len)
{
    size_t          n, most;
    unsigned char  *fast, *slow;

    most = len / 4 * 3 + 2;
    fast = malloc(most);
    slow = malloc(most + 1);

    fuzz_check(fast && slow);

    n = sio_base64_decode(fast, p, len);

    fuzz_check(n <= most);
    fuzz_check(slow_decode(slow, p, len) == n && memcmp(fast, slow, n) == 0);

    free(fast);
    free(slow);
}


static void
check_encode(const uint8_t *p, size_t len)
{
    size_t          n, text_len;
    unsigned char  *text, *back;

    text_len = sio_base64_len(len);
    text = malloc(text_len ? text_len : 1);
    back = malloc(text_len / 4 * 3 + 2);

    fuzz_check(text && back);

    sio_base64_encode(text, p, len);
    n = sio_base64_decode(back, text, text_len);

    fuzz_check(fuzz_equal(back, n, p, len));

    for (n = 0; n < text_len; n++) {
        fuzz_check(text[n] != '-' && text[n] != '_' && text[n] > ' ');
        fuzz_check(text[n] != '=' || n + 2 >= text_len);
    }

    /* the other alphabet, without padding */

    len -= len % 3;

    sio_base64_encode_url(text, p, len);
    n = sio_base64_decode(back, text, len / 3 * 4);

    fuzz_check(fuzz_equal(back, n, p, len));

    for (n = 0; n < len / 3 * 4; n++) {
        fuzz_check(text[n] != '+' && text[n] != '/' && text[n] != '=');
    }

    free(text);
    free(back);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    check_decode(p, len);
    check_encode(p, len);

    return 0;
}
