
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_resp.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>


#define ARGS  40


/* Behind what is in the buffer there has to be what hiredis makes of it. */

static void
check(sio_buf_t *b, size_t argc, const char **argv, const size_t *argvlen)
{
    int     len;
    char   *expected;
    size_t  before;

    before = b->len;

    assert_int_equal(sio_resp_command(b, argc, argv, argvlen), SIO_OK);

    len = redisFormatCommandArgv(&expected, (int) argc, argv, argvlen);

    assert_true(len > 0);
    assert_int_equal(b->len - before, len);
    assert_memory_equal(b->data + before, expected, len);

    redisFreeCommand(expected);
}


static void
test_text(void **state)
{
    sio_buf_t     b;
    const char   *argv[] = { "SET", "k", "v\r\n\0w" };
    const size_t  len[] = { 3, 1, 5 };

    static const char  expected[] =
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nv\r\n\0w\r\n";

    memset(&b, 0, sizeof(b));

    assert_int_equal(sio_resp_command(&b, 3, argv, len), SIO_OK);
    assert_int_equal(b.len, sizeof(expected) - 1);
    assert_memory_equal(b.data, expected, b.len);

    sio_buf_free(&b);
}


/* Empty arguments, NULL among them, and no argument at all. */

static void
test_empty(void **state)
{
    sio_buf_t     b;
    const char   *argv[] = { "", "a", NULL };
    const size_t  len[] = { 0, 1, 0 };

    static const char  none[] = "*0\r\n";
    static const char  expected[] = "*3\r\n$0\r\n\r\n$1\r\na\r\n$0\r\n\r\n";

    memset(&b, 0, sizeof(b));

    assert_int_equal(sio_resp_command(&b, 0, NULL, NULL), SIO_OK);
    assert_int_equal(b.len, sizeof(none) - 1);
    assert_memory_equal(b.data, none, b.len);

    b.len = 0;

    assert_int_equal(sio_resp_command(&b, 3, argv, len), SIO_OK);
    assert_int_equal(b.len, sizeof(expected) - 1);
    assert_memory_equal(b.data, expected, b.len);

    sio_buf_free(&b);
}


/* Around each further digit of a length, and of the number of arguments. */

static void
test_digits(void **state)
{
    char         *text;
    size_t        n, i, size, len[ARGS * 3];
    sio_buf_t     b;
    const char   *argv[ARGS * 3];

    memset(&b, 0, sizeof(b));

    text = calloc(1, 1000001);
    assert_non_null(text);
    argv[0] = text;

    for (size = 1; size <= 1000000; size *= 10) {
        for (i = size - 1; i <= size + 1; i++) {
            len[0] = i;

            if (i <= 1000000) {
                check(&b, 1, argv, len);
            }
        }
    }

    for (n = 0; n < ARGS * 3; n++) {
        argv[n] = text;
        len[n] = n;
        check(&b, n + 1, argv, len);
    }

    free(text);
    sio_buf_free(&b);
}


/* Any bytes, many of them of the protocol itself; gathered, as they leave. */

static void
test_random(void **state)
{
    char          text[ARGS][300];
    size_t        i, n, round, argc, len[ARGS];
    unsigned      seed;
    sio_buf_t     b;
    const char   *argv[ARGS];

    static const char  special[] = "*$\r\n0123456789";

    memset(&b, 0, sizeof(b));
    seed = 7;

    for (round = 0; round < 3000; round++) {
        argc = 1 + rand_r(&seed) % ARGS;

        for (i = 0; i < argc; i++) {
            len[i] = rand_r(&seed) % 4 ? rand_r(&seed) % sizeof(text[0]) : 0;
            argv[i] = text[i];

            for (n = 0; n < len[i]; n++) {
                text[i][n] = rand_r(&seed) % 2
                             ? special[rand_r(&seed) % (sizeof(special) - 1)]
                             : (char) rand_r(&seed);
            }
        }

        check(&b, argc, argv, len);

        if (b.len > 100000) {
            sio_buf_free(&b);
        }
    }

    sio_buf_free(&b);
}


/* More than there can be: nothing is appended. */

static void
test_memory(void **state)
{
    sio_buf_t     b;
    const char   *argv[] = { "SET", "k" };
    const size_t  len[] = { 3, SIZE_MAX / 2 };

    memset(&b, 0, sizeof(b));

    assert_int_equal(sio_buf_append(&b, "before", 6), SIO_OK);
    assert_int_equal(sio_resp_command(&b, 2, argv, len), SIO_NOMEM);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "before", 6);

    sio_buf_free(&b);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
