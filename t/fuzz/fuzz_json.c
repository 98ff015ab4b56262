
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_json_walk.h"

#include <math.h>


/*
 * The input is JSON, a string to quote, a number and a time.  jansson, which
 * is stricter, has to agree with the checker.
 */


static json_t *
load(const void *p, size_t len)
{
    return json_loadb(p, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}


/* What is written from a tree is JSON again, of the same value. */

static void
check_dump(json_t *json)
{
    char    *text;
    json_t  *same;

    text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    fuzz_check(text != NULL);
    fuzz_check(sio_json_check((unsigned char *) text, strlen(text)) == SIO_OK);

    fuzz_check(sio_json_load((unsigned char *) text, strlen(text), &same)
               == SIO_OK);
    fuzz_check(json_equal(json, same));

    json_decref(same);
    free(text);
}


static void
check_first(const uint8_t *p, size_t len, json_t *json)
{
    sio_rc_t   rc;
    sio_str_t  array, first;

    array.data = sio_json_space(p, p + len);
    array.len = p + len - array.data;

    if (!json_is_array(json)) {
        return;
    }

    rc = sio_json_first(&array, &first);

    fuzz_check(rc == (json_array_size(json) ? SIO_OK : SIO_AGAIN));

    if (rc == SIO_OK) {
        fuzz_check(fuzz_inside(&first, p, len));
        fuzz_check(sio_json_check(first.data, first.len) == SIO_OK);
        fuzz_check(sio_json_space(first.data, first.data + 1) == first.data);
    }
}


/* In the text are the members that are in the tree. */

static void
check_member(const uint8_t *p, size_t len, json_t *json)
{
    json_t       *value;
    unsigned      i;
    sio_rc_t      rc;
    sio_str_t     text, member;
    const char  *names[] = { "token", "pid", "offset", "a", "" };

    if (!json_is_object(json)) {
        return;
    }

    text.data = p;
    text.len = len;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        rc = sio_json_member(&text, names[i], &member);
        value = json_object_get(json, names[i]);

        fuzz_check(rc == (value ? SIO_OK : SIO_AGAIN));

        if (value) {
            fuzz_check(fuzz_inside(&member, p, len));
            fuzz_check(sio_json_load(member.data, member.len, &value)
                       == SIO_OK);
            fuzz_check(json_equal(value, json_object_get(json, names[i])));
            json_decref(value);
        }
    }
}


/* How deep a valid text is nested; in its strings is nothing that must not. */

static unsigned
depth(const uint8_t *p, size_t len)
{
    int       string;
    size_t    i;
    unsigned  now, most;

    string = 0;
    now = 0;
    most = 0;

    for (i = 0; i < len; i++) {

        if (p[i] == '"') {
            string = !string;

        } else if (string) {
            fuzz_check(p[i] >= 0x20);
            i += (p[i] == '\\');

        } else if (p[i] == '[' || p[i] == '{') {
            now++;
            most = (now > most) ? now : most;

        } else if (p[i] == ']' || p[i] == '}') {
            now--;
        }
    }

    return most;
}


/* In arrays around it a value is as good as it was, down to the limit. */

static void
check_depth(const uint8_t *p, size_t len)
{
    unsigned   n;
    sio_buf_t  b;

    n = depth(p, len);
    fuzz_check(n <= SIO_JSON_DEPTH);
    n = SIO_JSON_DEPTH - n;

    memset(&b, 0, sizeof(sio_buf_t));
    fuzz_check(sio_buf_reserve(&b, len + 2 * n + 2) == SIO_OK);

    memset(b.data, '[', n + 1);
    memcpy(b.data + n + 1, p, len);
    memset(b.data + n + 1 + len, ']', n + 1);

    fuzz_check(sio_json_check(b.data + 1, len + 2 * n) == SIO_OK);
    fuzz_check(sio_json_check(b.data, len + 2 * n + 2) == SIO_LIMIT);

    sio_buf_free(&b);
}


static void
check_text(const uint8_t *p, size_t len)
{
    json_t    *json, *strict;
    sio_rc_t   rc;

    rc = sio_json_check(p, len);
    strict = load(p, len);

    fuzz_check(rc == SIO_OK || rc == SIO_ERROR || rc == SIO_LIMIT);

    /* a NUL behind the value is the end of the text for jansson */

    fuzz_check(strict == NULL || rc != SIO_ERROR || memchr(p, 0, len));

    if (rc == SIO_OK) {
        check_depth(p, len);

        rc = sio_json_load(p, len, &json);

        fuzz_check(rc == (fuzz_utf8(p, len) ? SIO_OK : SIO_ERROR));
        fuzz_check((rc == SIO_OK) == (json != NULL));
        fuzz_check(strict == NULL || json_equal(json, strict));

        if (json) {
            check_dump(json);
            check_first(p, len, json);
        }

        json_decref(json);

        check_member(p, len, strict);
    }

    json_decref(strict);
}


static void
check_quote(const uint8_t *p, size_t len)
{
    json_t     *json;
    sio_buf_t   quoted, repaired;

    memset(&quoted, 0, sizeof(sio_buf_t));
    memset(&repaired, 0, sizeof(sio_buf_t));

    fuzz_check(sio_json_quote(&quoted, p, len) == SIO_OK);
    fuzz_check(sio_json_check(quoted.data, quoted.len) == SIO_OK);
    fuzz_check(sio_utf8_repair(&repaired, p, len) == SIO_OK);

    json = load(quoted.data, quoted.len);

    fuzz_check(json_is_string(json));
    fuzz_check(fuzz_equal(json_string_value(json), json_string_length(json),
                          repaired.data, repaired.len));

    json_decref(json);
    sio_buf_free(&quoted);
    sio_buf_free(&repaired);
}


static void
check_double(const uint8_t *p, size_t len)
{
    double     d;
    sio_buf_t  b;

    if (len < sizeof(double)) {
        return;
    }

    memset(&b, 0, sizeof(sio_buf_t));
    memcpy(&d, p, sizeof(double));

    fuzz_check(sio_json_double(&b, d) == SIO_OK);
    fuzz_check(sio_json_check(b.data, b.len) == SIO_OK);

    fuzz_append(&b, "", 1);

    if (isfinite(d)) {
        fuzz_check(strtod((char *) b.data, NULL) == d);

    } else {
        fuzz_check(strcmp((char *) b.data, "null") == 0);
    }

    sio_buf_free(&b);
}


static void
check_time(const uint8_t *p, size_t len)
{
    int64_t    sec;
    uint16_t   ms;
    sio_buf_t  b;

    if (len < sizeof(sec) + sizeof(ms)) {
        return;
    }

    memset(&b, 0, sizeof(sio_buf_t));
    memcpy(&sec, p, sizeof(sec));
    memcpy(&ms, p + sizeof(sec), sizeof(ms));

    fuzz_check(sio_json_time(&b, sec, ms % 1000) == SIO_OK);
    fuzz_check(sio_json_check(b.data, b.len) == SIO_OK);
    fuzz_check(b.len == 4 || b.len == 26 || b.len == 29);

    sio_buf_free(&b);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    check_text(p, len);
    check_quote(p, len);
    check_double(p, len);
    check_time(p, len);

    return 0;
}
