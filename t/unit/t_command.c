
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


/* JSON commands: what each becomes, and what is said of those that are none. */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sio_command.h"


#define T_COMMAND_MOST  4096


/*
 * What a text becomes, a line for each command:
 *
 *     <type and flags> <nsp> to=a,b except=c args=d <packet>
 *
 * or the error; from a copy of the text that has its very size.
 */

typedef struct {
    const char  *text;
    const char  *result;
} t_command_case_t;


static sio_command_t  command;


static void
t_command_names(sio_buf_t *b, const char *label, const sio_str_t *names,
    unsigned n)
{
    unsigned  i;

    if (n == 0) {
        return;
    }

    sio_buf_append(b, label, strlen(label));

    for (i = 0; i < n; i++) {
        sio_buf_append(b, i ? "," : "", i != 0);
        sio_buf_append(b, names[i].data, names[i].len);
    }
}


static void
t_command_show(sio_buf_t *b, const sio_message_t *m)
{
    const char  *type;

    switch (m->type) {

    case SIO_RECORD_EMIT:
        type = (m->flags == SIO_RECORD_VOLATILE) ? "volatile "
               : (m->flags == SIO_RECORD_BARE) ? "bare "
               : (m->flags == 0) ? "emit " : "? ";
        break;

    case SIO_RECORD_JOIN:
        type = "join ";
        break;

    case SIO_RECORD_LEAVE:
        type = "leave ";
        break;

    case SIO_RECORD_DISCONNECT:
        type = (m->flags == SIO_RECORD_CLOSE) ? "close " : "disconnect ";
        break;

    case SIO_RECORD_REFRESH:
        type = "refresh ";
        break;

    default:
        type = "? ";
    }

    sio_buf_append(b, b->len ? "\n" : "", b->len != 0);
    sio_buf_append(b, type, strlen(type));
    sio_buf_append(b, command.nsp.data, command.nsp.len);

    t_command_names(b, " to=", m->names, m->rooms);
    t_command_names(b, " except=", m->names + m->rooms, m->except);
    t_command_names(b, " args=", m->names + m->rooms + m->except, m->args);

    if (m->parts) {
        assert_int_equal(m->parts, 1);
        sio_buf_append(b, " ", 1);
        sio_buf_append(b, m->part[0].data, m->part[0].len);
    }
}


/* Returns how it ended, SIO_AGAIN if all is well. */

static sio_rc_t
t_command_run(sio_buf_t *b, const void *text, size_t len)
{
    sio_rc_t        rc;
    const char     *error;
    sio_message_t   m;
    unsigned char  *p;

    p = malloc(len + !len);
    assert_non_null(p);
    memcpy(p, text, len);

    b->len = 0;

    rc = sio_command_open(&command, p, len, &error);

    while (rc == SIO_OK) {
        rc = sio_command_next(&command, &m, &error);

        if (rc == SIO_OK) {
            assert_null(error);
            t_command_show(b, &m);
        }
    }

    if (rc != SIO_AGAIN) {
        b->len = 0;
        sio_buf_append(b, error, strlen(error));
    }

    sio_buf_append(b, "", 1);
    free(p);

    return rc;
}


static void
t_command_check(const t_command_case_t *cases, size_t n, int good)
{
    size_t     i;
    sio_rc_t   rc;
    sio_buf_t  b;

    memset(&b, 0, sizeof(sio_buf_t));

    for (i = 0; i < n; i++) {
        rc = t_command_run(&b, cases[i].text, strlen(cases[i].text));

        if (strcmp((char *) b.data, cases[i].result) != 0
            || (rc == SIO_AGAIN) != good)
        {
            fail_msg("%s\n%d %s\n%s", cases[i].text, rc, b.data,
                     cases[i].result);
        }
    }

    sio_buf_free(&b);
}


#define t_command_cases(cases, good)                                          \
    t_command_check(cases, sizeof(cases) / sizeof(t_command_case_t), good)


static void
t_command_ops(void **state)
{
    static const t_command_case_t  cases[] = {
        { "{\"event\":\"e\"}", "emit / 42[\"e\"]" },
        { " { \"event\" : \"e\" } \n", "emit / 42[\"e\"]" },
        { "{\"op\":\"emit\",\"nsp\":\"/\",\"to\":[\"room\"],\"except\":[],"
          "\"event\":\"MESSAGE_CREATE\",\"args\":[{\"a\":1}, 2 ],"
          "\"volatile\":false}",
          "emit / to=room 42[\"MESSAGE_CREATE\",{\"a\":1}, 2 ]" },
        { "{\"event\":\"e\",\"args\":[ ],\"to\":\"a\",\"except\":\"b\"}",
          "emit / to=a except=b 42[\"e\"]" },
        { "{\"args\":[ 1],\"event\":\"e\",\"volatile\":true,\"nsp\":\"/n\"}",
          "volatile /n 42/n,[\"e\",1]" },
        { "{\"event\":\"e\",\"all\":true}", "emit / 42[\"e\"]" },
        { "{\"event\":\"e\",\"all\":false}", "emit / 42[\"e\"]" },
        { "{\"event\":\"e\",\"all\":false,\"to\":\"a\"}",
          "emit / to=a 42[\"e\"]" },
        { "{\"op\":\"join\",\"to\":[\"a\",\"b\"],\"except\":[\"c\"],"
          "\"rooms\":[\"d\",\"e\"]}",
          "join / to=a,b except=c args=d,e" },
        { "{\"op\":\"leave\",\"all\":true,\"rooms\":\"d\",\"nsp\":\"/n\"}",
          "leave /n args=d" },
        { "{\"op\":\"disconnect\",\"to\":[\"a\"]}", "disconnect / to=a" },
        { "{\"op\":\"disconnect\",\"to\":\"a\",\"close\":false}",
          "disconnect / to=a" },
        { "{\"op\":\"disconnect\",\"to\":\"a\",\"close\":true}",
          "close / to=a" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"ack\":3,\"args\":[1,[2]]}",
          "bare / to=s 433[1,[2]]" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"ack\":0}", "bare / to=s 430[]" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"nsp\":\"/n\","
          "\"ack\":9007199254740991,\"args\":[]}",
          "bare /n to=s 43/n,9007199254740991[]" },
        { "{\"op\":\"refresh\",\"to\":[\"a\",\"b\"],\"except\":\"c\"}",
          "refresh / to=a,b except=c" },
        { "{\"op\":\"refresh\",\"all\":true}", "refresh /" },
        { "[]", "" },
        { "[{\"event\":\"a\"}]", "emit / 42[\"a\"]" },
        { " [ {\"event\":\"a\",\"to\":\"1\"} , "
          "{\"op\":\"join\",\"to\":\"2\",\"rooms\":[\"3\"]},"
          "{\"event\":\"b\"}]\n",
          "emit / to=1 42[\"a\"]\njoin / to=2 args=3\nemit / 42[\"b\"]" }
    };

    t_command_cases(cases, 1);
}


/* As they are written, whatever JSON.parse() makes of them. */

static void
t_command_values(void **state)
{
    static const t_command_case_t  cases[] = {
        { "{\"event\":\"e\",\"args\":[1.0,1e3,-0,18446744073709551615,"
          "9223372036854775808,-9223372036854775808,1e999,0.1e-7]}",
          "emit / 42[\"e\",1.0,1e3,-0,18446744073709551615,"
          "9223372036854775808,-9223372036854775808,1e999,0.1e-7]" },
        { "{\"event\":\"\\u00e9\\u0000\","
          "\"args\":[\"\\u0000\\\"\\\\\\/]},\",{\"b\":1,\"a\":2,\"b\":3,"
          "\"\\u0000\":\"\\ud800\"}]}",
          "emit / 42[\"\\u00e9\\u0000\",\"\\u0000\\\"\\\\\\/]},\","
          "{\"b\":1,\"a\":2,\"b\":3,\"\\u0000\":\"\\ud800\"}]" },
        { "{\"event\":\"e\",\"args\":[{\"_placeholder\":true,\"num\":0}]}",
          "emit / 42[\"e\",{\"_placeholder\":true,\"num\":0}]" },
        { "{\"event\":\"ack\",\"args\":[null,true,false,\"\",[],{}]}",
          "emit / 42[\"ack\",null,true,false,\"\",[],{}]" },

        /* names are what they stand for */

        { "{\"ev\\u0065nt\":\"e\",\"to\":[\"\\u00e9\\n\\t\\b\\f\\r\\/\","
          "\"\\ud83d\\ude00\",\"\\ud83dx\",\"\\ude00\"],\"except\":\"a\\\"\"}",
          "emit / to=\xc3\xa9\n\t\b\f\r/,\xf0\x9f\x98\x80,"
          "\xef\xbf\xbdx,\xef\xbf\xbd except=a\" 42[\"e\"]" },
        { "{\"\\u006fp\":\"\\u0061ck\",\"sid\":\"\\u0041\",\"ack\":1,"
          "\"nsp\":\"\\/n\"}",
          "bare /n to=A 43/n,1[]" }
    };

    t_command_cases(cases, 1);
}


static void
t_command_errors(void **state)
{
    static const t_command_case_t  cases[] = {
        { "", "not JSON" },
        { "x", "not JSON" },
        { "{\"event\":\"e\"", "not JSON" },
        { "{\"event\":\"e\"}{}", "not JSON" },
        { "{\"event\":\"\xff\"}", "not UTF-8" },
        { "{\"event\":\"\xc3", "not JSON" },
        { "\"event\"", "not an object" },
        { "1", "not an object" },
        { "null", "not an object" },
        { "[[]]", "command 1: not an object" },
        { "[{\"event\":\"e\"},7]", "command 2: not an object" },

        { "{}", "\"event\" is missing" },
        { "{\"x\":1}", "\"x\" is unknown" },
        { "{\"\":1}", "\"\" is unknown" },
        { "{\"a\\nb\\u00e9\":1}", "\"a?b??\" is unknown" },
        { "{\"0123456789012345678901234567890123456789\":1}",
          "\"01234567890123456789012345678901\" is unknown" },
        { "{\"event\":\"a\",\"event\":\"b\"}", "\"event\" stands twice" },
        { "{\"event\":\"a\",\"\\u0065vent\":\"b\"}",
          "\"event\" stands twice" },

        { "{\"op\":7}", "\"op\" must be a string" },
        { "{\"op\":\"\"}", "\"op\" is \"\", which is unknown" },
        { "{\"op\":\"Emit\",\"event\":\"e\"}",
          "\"op\" is \"Emit\", which is unknown" },
        { "{\"op\":\"x\\u001b\"}", "\"op\" is \"x?\", which is unknown" },

        { "{\"nsp\":1,\"event\":\"e\"}",
          "\"nsp\" must be a string that begins with \"/\"" },
        { "{\"nsp\":\"\",\"event\":\"e\"}",
          "\"nsp\" must be a string that begins with \"/\"" },
        { "{\"nsp\":\"admin\",\"event\":\"e\"}",
          "\"nsp\" must be a string that begins with \"/\"" },

        { "{\"event\":\"\"}",
          "\"event\" must be a string that is not empty" },
        { "{\"event\":1}", "\"event\" must be a string that is not empty" },
        { "{\"event\":null}",
          "\"event\" must be a string that is not empty" },
        { "{\"event\":\"connect\"}",
          "\"event\" is \"connect\", which is reserved" },
        { "{\"event\":\"\\u0063onnect\"}",
          "\"event\" is \"connect\", which is reserved" },
        { "{\"event\":\"connect_error\"}",
          "\"event\" is \"connect_error\", which is reserved" },
        { "{\"event\":\"disconnect\"}",
          "\"event\" is \"disconnect\", which is reserved" },
        { "{\"event\":\"disconnecting\"}",
          "\"event\" is \"disconnecting\", which is reserved" },
        { "{\"event\":\"newListener\"}",
          "\"event\" is \"newListener\", which is reserved" },
        { "{\"event\":\"removeListener\"}",
          "\"event\" is \"removeListener\", which is reserved" },
        { "{\"event\":\"e\",\"args\":{}}", "\"args\" must be an array" },
        { "{\"event\":\"e\",\"args\":null}", "\"args\" must be an array" },
        { "{\"event\":\"e\",\"volatile\":1}",
          "\"volatile\" must be true or false" },

        { "{\"event\":\"e\",\"to\":1}",
          "\"to\" must be a string or an array of strings" },
        { "{\"event\":\"e\",\"to\":null}",
          "\"to\" must be a string or an array of strings" },
        { "{\"event\":\"e\",\"to\":[\"a\",1]}",
          "\"to\" must be a string or an array of strings" },
        { "{\"event\":\"e\",\"to\":[]}", "\"to\" is empty" },
        { "{\"event\":\"e\",\"to\":\"\"}",
          "\"to\" has a name that is empty or longer than 512 bytes" },
        { "{\"event\":\"e\",\"except\":[{}]}",
          "\"except\" must be a string or an array of strings" },
        { "{\"event\":\"e\",\"to\":\"a\",\"all\":true}",
          "\"all\" stands beside \"to\"" },
        { "{\"event\":\"e\",\"all\":\"yes\"}",
          "\"all\" must be true or false" },
        { "{\"event\":\"e\",\"rooms\":[\"a\"]}",
          "\"rooms\" is unknown to \"emit\"" },
        { "{\"event\":\"e\",\"sid\":\"a\"}",
          "\"sid\" is unknown to \"emit\"" },
        { "{\"event\":\"e\",\"close\":true}",
          "\"close\" is unknown to \"emit\"" },

        { "{\"op\":\"join\",\"rooms\":[\"a\"]}",
          "\"to\" is missing, or \"all\":true" },
        { "{\"op\":\"join\",\"all\":false,\"rooms\":[\"a\"]}",
          "\"to\" is missing, or \"all\":true" },
        { "{\"op\":\"join\",\"to\":[],\"rooms\":[\"a\"]}",
          "\"to\" is empty" },
        { "{\"op\":\"join\",\"to\":\"a\"}", "\"rooms\" is missing" },
        { "{\"op\":\"leave\",\"to\":\"a\",\"rooms\":[]}",
          "\"rooms\" is empty" },
        { "{\"op\":\"leave\",\"to\":\"a\",\"rooms\":7}",
          "\"rooms\" must be a string or an array of strings" },
        { "{\"op\":\"leave\",\"to\":\"a\",\"rooms\":[\"\"]}",
          "\"rooms\" has a name that is empty or longer than 512 bytes" },
        { "{\"op\":\"join\",\"to\":\"a\",\"rooms\":\"b\",\"event\":\"e\"}",
          "\"event\" is unknown to \"join\"" },

        { "{\"op\":\"disconnect\"}", "\"to\" is missing, or \"all\":true" },
        { "{\"op\":\"disconnect\",\"to\":\"a\",\"close\":0}",
          "\"close\" must be true or false" },
        { "{\"op\":\"disconnect\",\"to\":\"a\",\"args\":[]}",
          "\"args\" is unknown to \"disconnect\"" },

        { "{\"op\":\"refresh\"}", "\"to\" is missing, or \"all\":true" },
        { "{\"op\":\"refresh\",\"to\":\"a\",\"rooms\":\"b\"}",
          "\"rooms\" is unknown to \"refresh\"" },

        { "{\"op\":\"ack\",\"ack\":1}", "\"sid\" must be a string" },
        { "{\"op\":\"ack\",\"sid\":[\"s\"],\"ack\":1}",
          "\"sid\" must be a string" },
        { "{\"op\":\"ack\",\"sid\":\"\",\"ack\":1}",
          "\"sid\" has a name that is empty or longer than 512 bytes" },
        { "{\"op\":\"ack\",\"sid\":\"s\"}",
          "\"ack\" must be an integer from 0 to 9007199254740991" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"ack\":-1}",
          "\"ack\" must be an integer from 0 to 9007199254740991" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"ack\":1.5}",
          "\"ack\" must be an integer from 0 to 9007199254740991" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"ack\":\"1\"}",
          "\"ack\" must be an integer from 0 to 9007199254740991" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"ack\":9007199254740992}",
          "\"ack\" must be an integer from 0 to 9007199254740991" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"ack\":99999999999999999999999}",
          "\"ack\" must be an integer from 0 to 9007199254740991" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"ack\":1,\"args\":1}",
          "\"args\" must be an array" },
        { "{\"op\":\"ack\",\"sid\":\"s\",\"ack\":1,\"to\":\"a\"}",
          "\"to\" is unknown to \"ack\"" },

        { "[{\"event\":\"e\"},{\"event\":\"e\",\"to\":7}]",
          "command 2: \"to\" must be a string or an array of strings" }
    };

    t_command_cases(cases, 0);
}


/* Writes n times a text. */

static void
t_command_repeat(sio_buf_t *b, const char *text, unsigned n)
{
    while (n--) {
        assert_int_equal(sio_buf_append(b, text, strlen(text)), SIO_OK);
    }
}


static sio_rc_t
t_command_nested(unsigned depth, int array)
{
    sio_rc_t   rc;
    sio_buf_t  in, out;

    memset(&in, 0, sizeof(sio_buf_t));
    memset(&out, 0, sizeof(sio_buf_t));

    t_command_repeat(&in, "[", array);
    t_command_repeat(&in, "{\"event\":\"e\",\"args\":[", 1);
    t_command_repeat(&in, "{\"a\":", depth);
    t_command_repeat(&in, "1", 1);
    t_command_repeat(&in, "}", depth);
    t_command_repeat(&in, "]}", 1);
    t_command_repeat(&in, "]", array);

    rc = t_command_run(&out, in.data, in.len);

    sio_buf_free(&in);
    sio_buf_free(&out);

    return rc;
}


/* Arguments may be 64 deep, in an array of commands too. */

static void
t_command_depth(void **state)
{
    assert_int_equal(t_command_nested(64, 0), SIO_AGAIN);
    assert_int_equal(t_command_nested(64, 1), SIO_AGAIN);
    assert_int_equal(t_command_nested(65, 1), SIO_LIMIT);
    assert_int_equal(t_command_nested(100000, 0), SIO_LIMIT);
}


static void
t_command_limits(void **state)
{
    unsigned   n;
    sio_rc_t   rc;
    sio_buf_t  in, out;

    memset(&in, 0, sizeof(sio_buf_t));
    memset(&out, 0, sizeof(sio_buf_t));

    /* rooms of all lists together */

    for (n = SIO_RECORD_NAMES - 3; n <= SIO_RECORD_NAMES - 2; n++) {
        in.len = 0;

        t_command_repeat(&in, "{\"op\":\"join\",\"except\":\"a\",\"to\":[\"b\"",
                         1);
        t_command_repeat(&in, ",\"c\"", n);
        t_command_repeat(&in, "],\"rooms\":\"d\"}", 1);

        rc = t_command_run(&out, in.data, in.len);
        assert_int_equal(rc, n == SIO_RECORD_NAMES - 3 ? SIO_AGAIN : SIO_LIMIT);
    }

    assert_string_equal((char *) out.data, "\"rooms\" goes beyond 1024 rooms");

    /* a name is as long as its UTF-8, not as it is written */

    for (n = SIO_ROOM_LEN / 2; n <= SIO_ROOM_LEN / 2 + 1; n++) {
        in.len = 0;

        t_command_repeat(&in, "{\"event\":\"e\",\"to\":\"", 1);
        t_command_repeat(&in, "\\u00e9", n);
        t_command_repeat(&in, "\"}", 1);

        rc = t_command_run(&out, in.data, in.len);
        assert_int_equal(rc, n == SIO_ROOM_LEN / 2 ? SIO_AGAIN : SIO_ERROR);
    }

    /* ten thousand commands, and one that is bad at the end */

    in.len = 0;
    t_command_repeat(&in, "[", 1);
    t_command_repeat(&in, "{\"event\":\"e\",\"to\":\"a\"},", 9999);
    t_command_repeat(&in, "{\"event\":\"last\"}]", 1);

    rc = t_command_run(&out, in.data, in.len);
    assert_int_equal(rc, SIO_AGAIN);
    assert_string_equal((char *) out.data + out.len - 18,
                        "emit / 42[\"last\"]");

    in.len--;
    t_command_repeat(&in, ",{\"op\":\"\"}]", 1);

    rc = t_command_run(&out, in.data, in.len);
    assert_int_equal(rc, SIO_ERROR);
    assert_string_equal((char *) out.data,
                        "command 10001: \"op\" is \"\", which is unknown");

    sio_buf_free(&in);
    sio_buf_free(&out);
}


/* Whatever is cut off or changed: no read outside of the text. */

static void
t_command_damaged(void **state)
{
    char       text[T_COMMAND_MOST];
    size_t     i, k, len;
    sio_rc_t   rc;
    sio_buf_t  out;

    static const char  from[] =
        "[{\"op\":\"join\",\"to\":[\"\\u00e9\",\"a\\\\\"],\"rooms\":\"\\ud83d"
        "\\ude00\"},{\"event\":\"e\",\"args\":[1.5,{\"k\":[null]}],\"except\":"
        "[]},{\"op\":\"ack\",\"sid\":\"s\",\"ack\":12,\"nsp\":\"/\\u006e\"}]";

    memset(&out, 0, sizeof(sio_buf_t));
    len = sizeof(from) - 1;

    for (i = 0; i < len; i++) {
        assert_int_equal(t_command_run(&out, from, i), SIO_ERROR);
    }

    assert_int_equal(t_command_run(&out, from, len), SIO_AGAIN);

    srand(43);

    for (i = 0; i < 100000; i++) {
        memcpy(text, from, len);

        for (k = 1 + rand() % 3; k; k--) {
            text[rand() % len] = (rand() % 4) ? from[rand() % len] : rand();
        }

        rc = t_command_run(&out, text, len);
        assert_true(rc == SIO_AGAIN || rc == SIO_ERROR);
    }

    sio_buf_free(&out);
}


static int
t_command_teardown(void **state)
{
    sio_command_free(&command);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_command_ops),
        cmocka_unit_test(t_command_values),
        cmocka_unit_test(t_command_errors),
        cmocka_unit_test(t_command_depth),
        cmocka_unit_test(t_command_limits),
        cmocka_unit_test(t_command_damaged)
    };

    return cmocka_run_group_tests(tests, NULL, t_command_teardown);
}
