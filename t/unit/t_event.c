
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_event.h"
#include "sio_packet.h"

#include <string.h>


/* The payload is given to the packet parser first, as in the gateway. */

static sio_rc_t
read_event(const char *text, size_t len, sio_buf_t *name, sio_str_t *args)
{
    sio_packet_t  pk;

    assert_int_equal(sio_packet_parse(&pk, (const unsigned char *) text, len,
                                      NULL), SIO_OK);

    return sio_event_read(&pk.data, name, args);
}


static void
check(const char *text, size_t len, const char *expected, size_t expected_len,
    const char *arguments)
{
    sio_buf_t  name;
    sio_str_t  args;

    memset(&name, 0, sizeof(name));

    assert_int_equal(read_event(text, len, &name, &args), SIO_OK);

    assert_int_equal(name.len, expected_len);
    assert_memory_equal(name.data, expected, expected_len);

    assert_int_equal(args.len, strlen(arguments));
    assert_memory_equal(args.data, arguments, args.len);

    sio_buf_free(&name);
}


#define event(text, name, args)                                               \
    check(text, sizeof(text) - 1, name, sizeof(name) - 1, args)


static void
test_names(void **state)
{
    event("2[\"a\"]", "a", "");
    event("2[\"a\" ]", "a", "");
    event("2[\"\"]", "", "");
    event("2[\"message/create\",1]", "message/create", "1");
    event("2[\"\\u0061\\n\\\"\",1]", "a\n\"", "1");
    event("2[\"a\\u0000b\"]", "a\0b", "");
    event("2[\"\\ud83d\\ude00\"]", "\xf0\x9f\x98\x80", "");
    event("2[\"\\ud83d\"]", "\xef\xbf\xbd", "");
    event("2[\"$connect\"]", "$connect", "");
    event("2[\"\xc3\xa4\"]", "\xc3\xa4", "");
}


/* As String() prints them. */

static void
test_numbers(void **state)
{
    event("2[1]", "1", "");
    event("2[-5,\"x\"]", "-5", "\"x\"");
    event("2[0]", "0", "");
    event("2[1.5]", "1.5", "");
    event("2[1.0]", "1", "");
    event("2[1e3]", "1000", "");
    event("2[9007199254740993]", "9007199254740993", "");
}


static void
test_arguments(void **state)
{
    event("2[\"a\",1,\"b\",null]", "a", "1,\"b\",null");
    event("2[\"a\" , {\"b\":[1, 2]} , 3 ]", "a", " {\"b\":[1, 2]} , 3 ");
    event("2/admin,7[\"a\",\"],\\\"\"]", "a", "\"],\\\"\"");
    event("51-[\"a\",{\"_placeholder\":true,\"num\":0}]", "a",
          "{\"_placeholder\":true,\"num\":0}");
}


/* An event without payload is a packet, but none that has a name. */

static void
test_nameless(void **state)
{
    sio_buf_t  name;
    sio_str_t  args;

    memset(&name, 0, sizeof(name));

    assert_int_equal(read_event("2", 1, &name, &args), SIO_ERROR);
    assert_int_equal(name.len, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_nameless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
