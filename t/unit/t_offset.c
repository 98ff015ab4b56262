
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_offset.h"

#include <stdlib.h>
#include <string.h>


#define UNIT     64
#define HIGHEST  ((UINT64_C(1) << 48) - 1)


static void
check(uint32_t tag, uint64_t unit, const char *text)
{
    uint64_t       offset;
    unsigned char  p[SIO_OFFSET_LEN + 1];

    p[SIO_OFFSET_LEN] = '!';
    offset = 1;

    sio_offset_encode(p, tag, unit * UNIT);

    assert_int_equal(p[SIO_OFFSET_LEN], '!');

    if (text) {
        assert_memory_equal(p, text, SIO_OFFSET_LEN);
    }

    assert_int_equal(sio_offset_decode(p, SIO_OFFSET_LEN, tag, &offset),
                     SIO_OK);
    assert_true(offset == unit * UNIT);
}


static void
test_known(void **state)
{
    check(0, 0, "AAAAAAAAAAAA");
    check(0, 1, "AAAAAAAAAAAB");
    check(1, 0, "AAABAAAAAAAA");
    check(0xffffff, HIGHEST, "____________");
    check(0xfbefbe, UINT64_C(0xfbefbefbefbe), "------------");
    check(0x001083, UINT64_C(0x10518720928b), "ABCDEFGHIJKL");
    check(0x12345678, 0x123456, "NFZ4AAAAEjRW");
}


static void
test_random(void **state)
{
    unsigned  i, k;
    uint32_t  tag;
    uint64_t  unit;

    srand(11);

    for (i = 0; i < 100000; i++) {
        tag = (uint32_t) rand() << 1;
        unit = 0;

        for (k = 0; k < 6; k++) {
            unit = unit << 8 | (rand() & 0xff);
        }

        check(tag, unit >> rand() % 48, NULL);
    }
}


/* The whole text counts, and so does the tag. */

static void
test_refused(void **state)
{
    unsigned       i;
    uint64_t       offset;
    unsigned char  p[SIO_OFFSET_LEN + 1];

    memcpy(p, "q83v-_-_-_-_A", sizeof(p));

    assert_int_equal(sio_offset_decode(p, 12, 0xabcdef, &offset), SIO_OK);
    assert_true(offset == UINT64_C(0xfbffbffbffbf) * UNIT);
    assert_int_equal(sio_offset_decode(p, 12, 0x1abcdef, &offset), SIO_OK);

    offset = 77;

    assert_int_equal(sio_offset_decode(p, 12, 0xabcdee, &offset), SIO_ERROR);
    assert_int_equal(sio_offset_decode(p, 12, 0xbbcdef, &offset), SIO_ERROR);

    for (i = 0; i < 12; i++) {
        assert_int_equal(sio_offset_decode(p, i, 0xabcdef, &offset),
                         SIO_ERROR);
    }

    assert_int_equal(sio_offset_decode(p, 13, 0xabcdef, &offset), SIO_ERROR);
    assert_int_equal(sio_offset_decode(NULL, 0, 0xabcdef, &offset), SIO_ERROR);

    for (i = 0; i < 256; i++) {

        if ((i >= '0' && i <= '9') || (i >= 'A' && i <= 'Z')
            || (i >= 'a' && i <= 'z') || i == '-' || i == '_')
        {
            continue;
        }

        p[7] = i;
        assert_int_equal(sio_offset_decode(p, 12, 0xabcdef, &offset),
                         SIO_ERROR);
    }

    assert_true(offset == 77);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
