
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_packet.h"

#include <limits.h>


/* The input is a packet of Socket.IO, as it stands behind the "4". */


static int
same_string(const sio_str_t *a, const sio_str_t *b)
{
    return fuzz_equal(a->data, a->len, b->data, b->len);
}


static int
same_packet(const sio_packet_t *a, const sio_packet_t *b)
{
    return a->type == b->type && a->attachments == b->attachments
           && same_string(&a->nsp, &b->nsp) && same_string(&a->id, &b->id)
           && same_string(&a->data, &b->data);
}


static void
check_views(const sio_packet_t *pk, const uint8_t *p, size_t len)
{
    int     binary;
    size_t  i;

    binary = (pk->type == SIO_BINARY_EVENT || pk->type == SIO_BINARY_ACK);

    fuzz_check(pk->type <= SIO_BINARY_ACK);
    fuzz_check(binary ? pk->attachments >= 1
                        && pk->attachments <= SIO_PACKET_ATTACHMENTS
                      : pk->attachments == 0);

    fuzz_check(pk->nsp.len > 0 && pk->nsp.data[0] == '/');
    fuzz_check(memchr(pk->nsp.data, ',', pk->nsp.len) == NULL);
    fuzz_check(fuzz_inside(&pk->nsp, p, len)
               || (pk->nsp.len == 1 && (len < 2 || p[1] != '/')));

    fuzz_check(pk->id.len == 0 || fuzz_inside(&pk->id, p, len));
    fuzz_check(pk->id.len < 2 || pk->id.data[0] != '0');

    for (i = 0; i < pk->id.len; i++) {
        fuzz_check(pk->id.data[i] >= '0' && pk->id.data[i] <= '9');
    }

    fuzz_check(pk->data.len == 0
               || (fuzz_inside(&pk->data, p, len)
                   && sio_json_check(pk->data.data, pk->data.len) == SIO_OK));
}


/* Nothing of the input is left out: id and payload are where they belong. */

static void
check_places(const sio_packet_t *pk, const uint8_t *p, size_t len)
{
    size_t          n;
    const uint8_t  *last;

    last = p + len;

    if (fuzz_inside(&pk->nsp, p, len)) {
        p = pk->nsp.data + pk->nsp.len;
        p += (p < last);

    } else {
        p = pk->attachments ? (uint8_t *) memchr(p, '-', len) + 1 : p + 1;
    }

    for (n = 0; p + n < last && p[n] >= '0' && p[n] <= '9'; n++) {
        /* void */
    }

    p += n;

    fuzz_check((n == 0) == (pk->id.len == 0));
    fuzz_check(n == 0 || pk->id.data + pk->id.len == p);

    fuzz_check((p == last) == (pk->data.len == 0));

    if (p < last) {
        fuzz_check(sio_json_space(p, last) == pk->data.data);
        p = pk->data.data + pk->data.len;
        fuzz_check(sio_json_space(p, last) == last);
        fuzz_check(sio_json_space(p - 1, p) == p - 1);
    }
}


/* Written again from its parts, and read again, a packet is the same. */

static void
check_again(const sio_packet_t *pk)
{
    int           n;
    char          text[16];
    sio_buf_t     b;
    sio_packet_t  same;

    memset(&b, 0, sizeof(sio_buf_t));

    n = snprintf(text, sizeof(text), "%u%.0u%s", pk->type, pk->attachments,
                 pk->attachments ? "-" : "");

    fuzz_append(&b, text, n);
    fuzz_append(&b, pk->nsp.data, pk->nsp.len);
    fuzz_append(&b, ",", 1);
    fuzz_append(&b, pk->id.data, pk->id.len);
    fuzz_append(&b, pk->data.data, pk->data.len);

    fuzz_check(sio_packet_parse(&same, b.data, b.len, NULL) == SIO_OK);
    fuzz_check(same_packet(pk, &same));

    b.len = 0;

    fuzz_check(sio_packet_begin(&b, SIO_EVENT, pk->nsp) == SIO_OK);
    fuzz_check(b.data[0] == '4');
    fuzz_check(sio_packet_parse(&same, b.data + 1, b.len - 1, NULL) == SIO_OK);
    fuzz_check(same.type == SIO_EVENT && same_string(&same.nsp, &pk->nsp)
               && same.id.len == 0 && same.data.len == 0);

    sio_buf_free(&b);
}


/* The first element, which is the name if this is an event. */

static void
check_first(const sio_packet_t *pk)
{
    sio_rc_t      rc;
    unsigned char c;
    sio_str_t     first;

    if (pk->data.len == 0 || pk->data.data[0] != '[') {
        return;
    }

    rc = sio_json_first(&pk->data, &first);

    if (pk->type != SIO_EVENT && pk->type != SIO_BINARY_EVENT) {

        if (rc == SIO_OK) {
            fuzz_check(sio_json_check(first.data, first.len) == SIO_OK);
        }

        return;
    }

    fuzz_check(rc == SIO_OK
               && fuzz_inside(&first, pk->data.data, pk->data.len)
               && sio_json_check(first.data, first.len) == SIO_OK);

    c = first.data[0];

    fuzz_check(c == '"' || c == '-' || (c >= '0' && c <= '9'));
}


/* How many attachments the placeholders need; INT_MAX: there is a bad one. */

static int
slow_placeholders(const json_t *json)
{
    int          need, most;
    void        *iter;
    size_t       i;
    json_int_t   n;

    most = 0;

    for (i = 0; i < json_array_size(json); i++) {
        need = slow_placeholders(json_array_get(json, i));
        most = (need > most) ? need : most;
    }

    if (json_is_true(json_object_get(json, "_placeholder"))) {
        n = json_integer_value(json_object_get(json, "num"));

        return json_is_integer(json_object_get(json, "num")) && n >= 0
               && n < SIO_PACKET_ATTACHMENTS ? n + 1 : INT_MAX;
    }

    for (iter = json_object_iter((json_t *) json); iter;
         iter = json_object_iter_next((json_t *) json, iter))
    {
        need = slow_placeholders(json_object_iter_value(iter));
        most = (need > most) ? need : most;
    }

    return most;
}


static void
check_json(const sio_packet_t *pk, json_t *json)
{
    int        n, need;
    char      *text;
    json_t    *name;

    if (json == NULL) {
        fuzz_check(pk->data.len == 0);
        return;
    }

    text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);

    fuzz_check(text != NULL);
    fuzz_check(sio_json_check((unsigned char *) text, strlen(text)) == SIO_OK);

    free(text);

    need = slow_placeholders(json);

    for (n = 0; n <= SIO_PACKET_ATTACHMENTS; n++) {
        fuzz_check((sio_packet_placeholders(json, n) == SIO_OK) == (need <= n));
    }

    name = json_array_get(json, 0);

    if (pk->type == SIO_EVENT || pk->type == SIO_BINARY_EVENT) {
        fuzz_check(json_is_number(name) || json_is_null(name)
                   || (json_is_string(name)
                       && !sio_packet_reserved(
                               (unsigned char *) json_string_value(name),
                               json_string_length(name))));
    }
}


/* Digits and any array are an ACK. */

static void
check_ack(const uint8_t *p, size_t len)
{
    int             valid;
    size_t          n;
    sio_buf_t       b;
    sio_packet_t    pk;
    const uint8_t  *start;

    for (n = 0; n < len && p[n] >= '0' && p[n] <= '9'; n++) {
        /* void */
    }

    start = sio_json_space(p + n, p + len);

    valid = n == len
            || (fuzz_utf8(p, len) && start < p + len && *start == '['
                && sio_json_check(p + n, len - n) == SIO_OK);

    memset(&b, 0, sizeof(sio_buf_t));
    fuzz_append(&b, "61-/a,", 6);
    fuzz_append(&b, p, len);

    fuzz_check((sio_packet_parse(&pk, b.data, b.len, NULL) == SIO_OK) == valid);

    sio_buf_free(&b);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    json_t        *json;
    sio_rc_t       rc;
    sio_packet_t   pk, same;

    if (len) {
        check_ack(p, len);
    }

    rc = sio_packet_parse(&pk, p, len, NULL);

    fuzz_check(rc == SIO_OK || rc == SIO_ERROR || rc == SIO_LIMIT);
    fuzz_check(sio_packet_parse(&same, p, len, &json) == rc);

    if (rc != SIO_OK) {
        fuzz_check(json == NULL);
        return 0;
    }

    fuzz_check(same_packet(&pk, &same));
    fuzz_check(fuzz_utf8(p, len));

    check_views(&pk, p, len);
    check_places(&pk, p, len);
    check_again(&pk);
    check_first(&pk);
    check_json(&pk, json);

    json_decref(json);

    return 0;
}
