
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_json_walk.h"

#include <string.h>


/* expected: the text of the member "token", or NULL if there is none. */

static void
check(const char *text, const char *expected)
{
    sio_rc_t   rc;
    sio_str_t  object, value;

    object.data = (const unsigned char *) text;
    object.len = strlen(text);

    rc = sio_json_member(&object, "token", &value);

    if (expected == NULL) {
        assert_int_equal(rc, SIO_AGAIN);
        assert_int_equal(value.len, 0);
        return;
    }

    assert_int_equal(rc, SIO_OK);
    assert_int_equal(value.len, strlen(expected));
    assert_memory_equal(value.data, expected, value.len);
}


static void
test_member(void **state)
{
    check("{\"token\":\"x.y.z\"}", "\"x.y.z\"");
    check(" { \"a\" : [1,{\"token\":2}] , \"token\" : null } ", "null");
    check("{\"b\":{\"c\":\"}\"},\"token\":[1, 2],\"d\":0}", "[1, 2]");
}


static void
test_no_member(void **state)
{
    check("", NULL);
    check("{}", NULL);
    check("{\"a\":\"token\"}", NULL);
    check("{\"a\":{\"token\":1}}", NULL);
    check("{\"tokens\":1,\"Token\":2,\"toke\":3,\"\":4}", NULL);
}


/* The last one of a name counts, as in JavaScript. */

static void
test_member_twice(void **state)
{
    check("{\"token\":1,\"token\":2}", "2");
    check("{\"token\":1,\"\\u0074oken\":2}", "2");
    check("{\"tok\\u0065n\":1,\"token\":2}", "2");
}


static void
test_member_escaped(void **state)
{
    check("{\"\\u0074\\u006f\\u006B\\u0065\\u006e\":1}", "1");
    check("{\"toke\\n\":1}", NULL);
    check("{\"tok\\u0065nn\":1}", NULL);
    check("{\"\\\"token\":1}", NULL);

    check("{\"\\u0074\\u0074\\u0074\\u0074\\u0074\\u0074\\u0074\\u0074"
          "\\u0074\\u0074\\u0074\\u0074\\u0074\\u0074\\u0074\\u0074"
          "\\u0074\":1}", NULL);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_member),
        cmocka_unit_test(test_no_member),
        cmocka_unit_test(test_member_twice),
        cmocka_unit_test(test_member_escaped)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
