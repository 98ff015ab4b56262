
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_resp.h"

#include <hiredis/hiredis.h>


/*
 * The input is the arguments of a command, each behind a byte that tells its
 * length.  hiredis has to make the same bytes of them.
 */


#define ARGS    4096
#define LONG    200          /* from here on the byte means a long argument */
#define LONGS   8            /* of which there are so many at most */
#define LARGEST 100001


/* Around each further digit of a length: 8, 9, 10, 11, 98, ..., 100001. */

static size_t
long_length(unsigned n)
{
    size_t  power;

    power = 10;

    for (n %= 20; n >= 4; n -= 4) {
        power *= 10;
    }

    return power - 2 + n;
}


static size_t
arguments(const uint8_t *p, size_t len, const char **argv, size_t *argvlen)
{
    size_t          argc, n;
    unsigned        longs;
    const uint8_t  *last;

    static const char  filler[LARGEST];

    longs = 0;
    last = p + len;

    for (argc = 0; p < last && argc < ARGS; argc++) {

        n = *p++;

        if (n >= LONG && longs < LONGS) {
            longs++;
            argv[argc] = filler;
            argvlen[argc] = long_length(n - LONG);
            continue;
        }

        n = (n < (size_t) (last - p)) ? n : (size_t) (last - p);

        /* what is empty may be nowhere */

        argv[argc] = n ? (const char *) p : NULL;
        argvlen[argc] = n;

        p += n;
    }

    return argc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    int         n;
    char       *same;
    size_t      argc, front;
    sio_buf_t   b;

    static size_t       argvlen[ARGS];
    static const char  *argv[ARGS];

    argc = arguments(p, len, argv, argvlen);

    n = redisFormatCommandArgv(&same, (int) argc, argv, argvlen);
    fuzz_check(n > 0);

    /* appended, to nothing and to the one before */

    memset(&b, 0, sizeof(sio_buf_t));

    fuzz_check(sio_resp_command(&b, argc, argv, argvlen) == SIO_OK);
    fuzz_check(fuzz_equal(b.data, b.len, same, n));

    front = b.len;

    fuzz_check(sio_resp_command(&b, argc, argv, argvlen) == SIO_OK);
    fuzz_check(fuzz_equal(b.data, front, same, n));
    fuzz_check(fuzz_equal(b.data + front, b.len - front, same, n));

    redisFreeCommand(same);
    sio_buf_free(&b);

    return 0;
}
