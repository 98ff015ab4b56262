
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


/* Messages of adapters that have to do with acknowledgements. */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sio_adapter.h"
#include "sio_json.h"


#define T_ACKS_ID  9007199254740991ULL        /* the largest of JavaScript */


/* What redis-adapter 8.3.0 has sent for timeout(500).emit("q", 1, callback). */

#define T_ACKS_ASK                                                            \
    "85a3756964a64f5764654931a9726571756573744964a65375484e6567a47479706507"  \
    "a67061636b657483a47479706502a46461746192a17101a36e7370a12fa46f707473"    \
    "83a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd01f4"


typedef struct {
    const char  *nsp;
    const char  *hex;
    sio_rc_t     rc;
    const char  *text;             /* or the error */
} t_acks_case_t;


/* ["emitter", {type: 3, id, data, nsp}, {rooms: ["s"]}] and the like */

static const t_acks_case_t  t_acks_broadcasts[] = {

    { "/", "93a165" "84a47479706503a2696405a46461746192a26f6b02a36e7370a12f"
           "81a5726f6f6d7391a173",
      SIO_OK, "435[\"ok\",2]" },

    { "/admin", "93a165" "83a47479706503a2696400a46461746190"
                "81a5726f6f6d7391a173",
      SIO_OK, "43/admin,0[]" },

    { "/", "93a165" "83a47479706503a26964cfffffffffffffffffa4646174619101"
           "81a5726f6f6d7391a173",
      SIO_OK, "4318446744073709551615[1]" },

    { "/n", "93a165" "83a47479706506a2696407a46461746191c40101"
            "81a5726f6f6d7391a173",
      SIO_OK, "461-/n,7[{\"_placeholder\":true,\"num\":0}]" },

    /* without an id nobody waits for it */

    { "/", "93a165" "82a47479706503a46461746190" "80", SIO_AGAIN, NULL },
    { "/", "93a165" "83a47479706503a26964a135a46461746190" "80",
      SIO_AGAIN, NULL },

    { "/", "93a165" "83a47479706503a2696401a46461746180" "80",
      SIO_ERROR, "data is not an array with an event name" },

    /* the id of an event is not relayed */

    { "/", "93a165" "83a47479706502a2696401a46461746191a165" "80",
      SIO_OK, "42[\"e\"]" }
};


static const t_acks_case_t  t_acks_requests[] = {

    { "/", T_ACKS_ASK, SIO_OK, "429007199254740991[\"q\",1]" },

    /* another namespace than that of the channel */
    { "/n", T_ACKS_ASK, SIO_AGAIN, NULL },

    { "/", T_ACKS_ASK "00", SIO_ERROR, "trailing bytes" },
    { "/", "80", SIO_ERROR, "request without a type" },
    { "/", "81a474797065a137", SIO_ERROR, "request without a type" },
    { "/", "81a47479706508", SIO_AGAIN, NULL },
    { "/", "c0", SIO_AGAIN, NULL },
    { "/", "81a47479706507", SIO_ERROR,
      "request without an id, a packet or options" },

    /* an ACK is nothing that could be answered */

    { "/", "84a47479706507a9726571756573744964a172a67061636b6574"
           "83a47479706503a2696405a46461746190a46f70747380",
      SIO_AGAIN, NULL }
};


static sio_adapter_t  adapter;


static unsigned char *
t_acks_unhex(const char *hex, size_t *len)
{
    size_t          i;
    unsigned        c;
    unsigned char  *p;

    *len = strlen(hex) / 2;
    p = malloc(*len);
    assert_non_null(p);

    for (i = 0; i < *len; i++) {
        assert_int_equal(sscanf(hex + i * 2, "%2x", &c), 1);
        p[i] = c;
    }

    return p;
}


static void
t_acks_check(const t_acks_case_t *cs, int request)
{
    size_t          len;
    sio_rc_t        rc;
    sio_str_t       nsp;
    const char     *error;
    sio_message_t   m;
    unsigned char  *p;

    p = t_acks_unhex(cs->hex, &len);

    nsp.data = (const unsigned char *) cs->nsp;
    nsp.len = strlen(cs->nsp);

    rc = request ? sio_adapter_request(&adapter, &m, nsp, T_ACKS_ID, p, len,
                                       &error)
                 : sio_adapter_broadcast(&adapter, &m, nsp, p, len, &error);

    if (rc != cs->rc) {
        fail_msg("%d %s: %s", rc, error ? error : "", cs->hex);
    }

    if (rc == SIO_OK) {
        assert_int_equal(m.type, SIO_RECORD_EMIT);
        assert_int_equal(m.part[0].len, strlen(cs->text));
        assert_memory_equal(m.part[0].data, cs->text, m.part[0].len);

    } else if (rc == SIO_ERROR) {
        assert_string_equal(error, cs->text);
    }

    free(p);
}


static void
t_acks_are_relayed(void **state)
{
    size_t  i, n;

    n = sizeof(t_acks_broadcasts) / sizeof(t_acks_broadcasts[0]);

    for (i = 0; i < n; i++) {
        t_acks_check(&t_acks_broadcasts[i], 0);
    }
}


static void
t_acks_are_asked_for(void **state)
{
    size_t          i, n, len;
    sio_str_t       root = sio_string("/");
    const char     *error;
    sio_message_t   m;
    unsigned char  *p;

    n = sizeof(t_acks_requests) / sizeof(t_acks_requests[0]);

    for (i = 0; i < n; i++) {
        t_acks_check(&t_acks_requests[i], 1);
    }

    p = t_acks_unhex(T_ACKS_ASK, &len);

    assert_int_equal(sio_adapter_request(&adapter, &m, root, 1, p, len, &error),
                     SIO_OK);
    assert_int_equal(m.flags, SIO_RECORD_BARE);
    assert_int_equal(m.rooms, 0);
    assert_int_equal(adapter.timeout, 500);
    assert_int_equal(adapter.uid.len, 6);
    assert_memory_equal(adapter.uid.data, "OWdeI1", 6);
    assert_int_equal(adapter.request.len, 6);
    assert_memory_equal(adapter.request.data, "SuHNeg", 6);

    free(p);
}


/* Whatever is cut off or changed: no view outside of the input. */

static void
t_acks_damaged(void **state)
{
    size_t          i, k, len;
    sio_rc_t        rc;
    sio_str_t       root = sio_string("/");
    const char     *error;
    sio_message_t   m;
    unsigned char  *p, *copy;

    p = t_acks_unhex(T_ACKS_ASK, &len);

    for (i = 0; i < len; i++) {
        copy = malloc(i + !i);
        assert_non_null(copy);
        memcpy(copy, p, i);

        rc = sio_adapter_request(&adapter, &m, root, 1, copy, i, &error);
        assert_int_equal(rc, SIO_ERROR);
        free(copy);
    }

    srand(41);

    for (i = 0; i < 100000; i++) {
        copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, p, len);

        for (k = rand() % 4; k; k--) {
            copy[rand() % len] = (unsigned char) rand();
        }

        rc = sio_adapter_request(&adapter, &m, root, 1, copy, len, &error);

        if (rc == SIO_OK && m.type == SIO_RECORD_EMIT) {
            assert_true(adapter.request.len > 0);
            assert_true(adapter.request.data > copy
                        && adapter.request.data + adapter.request.len
                           <= copy + len);
        }

        free(copy);
    }

    free(p);
}


static void
t_acks_first_argument(void **state)
{
    size_t     i;
    sio_rc_t   rc;
    sio_str_t  array, value;

    static const char *const  cases[][2] = {
        { "", NULL },
        { "[]", NULL },
        { "[ ]", NULL },
        { "[1]", "1" },
        { "[ 1 , 2 ]", "1" },
        { "[\"a,]\\\"\\\\\",3]", "\"a,]\\\"\\\\\"" },
        { "[[1,[2]],3]", "[1,[2]]" },
        { "[{\"a\":[1,\"}\"],\"b\":{}} ]", "{\"a\":[1,\"}\"],\"b\":{}}" },
        { "[null]", "null" },
        { "[\"\"]", "\"\"" },
        { "[\"\\u005d\"]", "\"\\u005d\"" },
        { "[{}]", "{}" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        array.len = strlen(cases[i][0]);
        array.data = (const unsigned char *) cases[i][0];

        rc = sio_json_first(&array, &value);

        assert_int_equal(rc, cases[i][1] ? SIO_OK : SIO_AGAIN);

        if (rc == SIO_OK) {
            assert_int_equal(value.len, strlen(cases[i][1]));
            assert_memory_equal(value.data, cases[i][1], value.len);
        }
    }
}


static int
t_acks_teardown(void **state)
{
    sio_adapter_free(&adapter);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_acks_are_relayed),
        cmocka_unit_test(t_acks_are_asked_for),
        cmocka_unit_test(t_acks_damaged),
        cmocka_unit_test(t_acks_first_argument)
    };

    return cmocka_run_group_tests(tests, NULL, t_acks_teardown);
}
