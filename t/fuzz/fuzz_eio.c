
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_eio.h"
#include "sio_json.h"


/* The input is the query of a request. */


static int
hex(unsigned c)
{
    static const char  digits[] = "0123456789abcdef0123456789ABCDEF";

    return c && strchr(digits, c) ? (strchr(digits, c) - digits) % 16 : -1;
}


static size_t
slow_decode(unsigned char *dst, const uint8_t *p, size_t len)
{
    size_t  i, n;

    for (i = 0, n = 0; i < len; n++) {

        if (p[i] == '%' && len - i > 2 && hex(p[i + 1]) >= 0
            && hex(p[i + 2]) >= 0)
        {
            dst[n] = hex(p[i + 1]) * 16 + hex(p[i + 2]);
            i += 3;

        } else {
            dst[n] = (p[i] == '+') ? ' ' : p[i];
            i++;
        }
    }

    return n;
}


/* The whole of it decoded, and a part of that for want of room. */

static void
check_decode(const uint8_t *p, size_t len)
{
    size_t          n, size;
    sio_str_t       src, s;
    unsigned char  *slow, *fast;

    src.data = p;
    src.len = len;

    slow = fuzz_copy(p, len);
    n = slow_decode(slow, p, len);

    for (size = n; /* void */ ; size /= 2) {
        fast = fuzz_copy(p, size);
        s = sio_eio_query_decode(fast, size, src);

        fuzz_check(s.data == p ? s.len == len : s.data == fast);
        fuzz_check(s.data == p || s.len == size);
        fuzz_check(fuzz_equal(s.data, s.len, slow, s.len));

        free(fast);

        if (size == 0) {
            break;
        }
    }

    free(slow);
}


static void
check_query(const sio_eio_query_t *q, const uint8_t *p, size_t len)
{
    fuzz_check(q->version == 3 || q->version == 4);
    fuzz_check(q->transport <= SIO_EIO_WEBSOCKET);

    if (q->sid.len && q->sid.data != q->decoded) {
        fuzz_check(fuzz_inside(&q->sid, p, len));

    } else {
        fuzz_check(q->sid.len <= sizeof(q->decoded));
    }

    fuzz_check(q->token.data == NULL ? q->token.len == 0
                                     : fuzz_inside(&q->token, p, len));
}


/* Looks for an argument from the end on; NULL: there is none. */

static const uint8_t *
slow_find(const char *name, const uint8_t *p, size_t len, size_t *value_len)
{
    int             found;
    size_t          n, start, end, eq;
    unsigned char  *text;

    text = fuzz_copy(p, len);

    for (end = len; /* void */ ; end = start - 1) {

        for (start = end; start && p[start - 1] != '&'; start--) {
            /* void */
        }

        for (eq = start; eq < end && p[eq] != '='; eq++) {
            /* void */
        }

        n = slow_decode(text, p + start, eq - start);
        found = fuzz_equal(text, n, name, strlen(name));

        if (found || start == 0) {
            break;
        }
    }

    free(text);

    eq += (eq < end);
    *value_len = end - eq;

    return found ? p + eq : NULL;
}


/* The same decoded; text has room for all of it. */

static size_t
slow_value(unsigned char *text, const char *name, const uint8_t *p, size_t len)
{
    size_t          n;
    const uint8_t  *value;

    value = slow_find(name, p, len, &n);

    return value ? slow_decode(text, value, n) : 0;
}


/* The last argument of a name counts. */

static void
check_args(const sio_eio_query_t *q, const uint8_t *p, size_t len)
{
    size_t          n;
    unsigned        transport;
    const uint8_t  *token;
    unsigned char  *text;

    text = fuzz_copy(p, len);

    n = slow_value(text, "EIO", p, len);
    fuzz_check(q->version == (fuzz_equal(text, n, "4", 1) ? 4 : 3));

    n = slow_value(text, "transport", p, len);
    transport = fuzz_equal(text, n, "polling", 7) ? SIO_EIO_POLLING
                : fuzz_equal(text, n, "websocket", 9) ? SIO_EIO_WEBSOCKET : 0;
    fuzz_check(q->transport == transport);

    n = slow_value(text, "sid", p, len);

    if (q->sid.data == q->decoded && n > sizeof(q->decoded)) {
        n = sizeof(q->decoded);
    }

    fuzz_check(fuzz_equal(q->sid.data, q->sid.len, text, n));

    token = slow_find("token", p, len, &n);
    fuzz_check(q->token.data == token && (token == NULL || q->token.len == n));

    free(text);
}


/* With the token hidden the rest is what it was. */

static void
check_hidden(const sio_eio_query_t *q, const uint8_t *p, size_t len)
{
    size_t            i;
    unsigned char    *copy;
    sio_eio_query_t   hidden;

    copy = fuzz_copy(p, len);

    sio_eio_query_hide(copy, len);

    for (i = 0; i < len; i++) {
        fuzz_check(copy[i] == p[i] || (copy[i] == '*' && q->token.data));
    }

    sio_eio_query_parse(&hidden, copy, len);

    fuzz_check(hidden.version == q->version
               && hidden.transport == q->transport
               && fuzz_equal(hidden.sid.data, hidden.sid.len,
                             q->sid.data, q->sid.len)
               && hidden.token.len == q->token.len);

    for (i = 0; i < hidden.token.len; i++) {
        fuzz_check(hidden.token.data[i] == '*');
    }

    free(copy);
}


/* An id and the open packet with it, from the bytes of the query. */

static void
check_open(const uint8_t *p, size_t len)
{
    size_t         n;
    json_t        *json;
    uint64_t       numbers[3];
    unsigned char  random[12], sid[SIO_EIO_SID_LEN], text[SIO_EIO_OPEN_LEN];

    if (len < sizeof(random) + sizeof(numbers)) {
        return;
    }

    memcpy(random, p, sizeof(random));
    memcpy(numbers, p + sizeof(random), sizeof(numbers));

    sio_eio_sid(sid, random, numbers[0]);

    n = sio_eio_open(text, sid, p[0] & 1, numbers[0], numbers[1], numbers[2]);

    fuzz_check(n < sizeof(text) && text[0] == SIO_EIO_OPEN);
    fuzz_check(sio_json_check(text + 1, n - 1) == SIO_OK);
    fuzz_check(sio_json_load(text + 1, n - 1, &json) == SIO_OK);
    fuzz_check(json_string_length(json_object_get(json, "sid"))
               == SIO_EIO_SID_LEN);

    json_decref(json);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    sio_eio_query_t  q;

    sio_eio_query_parse(&q, p, len);

    check_query(&q, p, len);

    if (len) {
        check_args(&q, p, len);
    }

    check_hidden(&q, p, len);
    check_decode(p, len);
    check_open(p, len);

    return 0;
}
