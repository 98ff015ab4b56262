
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_packet.h"
#include "sio_utf8.h"

#include <string.h>


#define SIO_PACKET_NAME_LEN  15       /* one more than the longest reserved */

#define sio_packet_digit(c)  ((c) >= '0' && (c) <= '9')


static const unsigned char *sio_packet_attachments(sio_packet_t *pk,
    const unsigned char *p, const unsigned char *last);
static const unsigned char *sio_packet_nsp(sio_packet_t *pk,
    const unsigned char *p, const unsigned char *last);
static const unsigned char *sio_packet_id(sio_packet_t *pk,
    const unsigned char *p, const unsigned char *last);
static void sio_packet_data(sio_packet_t *pk, const unsigned char *p,
    const unsigned char *last);
static int sio_packet_form_valid(const sio_packet_t *pk);
static int sio_packet_event_valid(const sio_str_t *data);
static int sio_packet_name_reserved(const unsigned char *p,
    const unsigned char *last);
static unsigned sio_packet_hex(unsigned char c);


static const sio_str_t  sio_packet_root = sio_string("/");


sio_rc_t
sio_packet_parse(sio_packet_t *pk, const unsigned char *p, size_t len,
    json_t **json)
{
    sio_rc_t              rc;
    uint32_t              state;
    const unsigned char  *last;

    memset(pk, 0, sizeof(sio_packet_t));

    if (json) {
        *json = NULL;
    }

    state = SIO_UTF8_ACCEPT;

    if (len == 0 || *p < '0' || *p > '0' + SIO_BINARY_ACK
        || sio_utf8_feed(&state, p, len) != SIO_OK
        || state != SIO_UTF8_ACCEPT)
    {
        return SIO_ERROR;
    }

    last = p + len;
    pk->type = *p++ - '0';

    if (pk->type == SIO_BINARY_EVENT || pk->type == SIO_BINARY_ACK) {
        p = sio_packet_attachments(pk, p, last);

        if (p == NULL) {
            return SIO_ERROR;
        }
    }

    p = sio_packet_nsp(pk, p, last);
    p = sio_packet_id(pk, p, last);

    if (p == last) {
        return SIO_OK;
    }

    /*
     * Packets are passed on as text: most are never decoded, and all that
     * others may rely on is checked here.
     */

    rc = sio_json_check(p, last - p);

    if (rc != SIO_OK) {
        return rc;
    }

    sio_packet_data(pk, p, last);

    if (!sio_packet_form_valid(pk)) {
        return SIO_ERROR;
    }

    return json ? sio_json_load(pk->data.data, pk->data.len, json) : SIO_OK;
}


static const unsigned char *
sio_packet_attachments(sio_packet_t *pk, const unsigned char *p,
    const unsigned char *last)
{
    unsigned  n;

    for (n = 0; p < last && sio_packet_digit(*p); p++) {
        n = n * 10 + (*p - '0');

        if (n > SIO_PACKET_ATTACHMENTS) {
            return NULL;
        }
    }

    if (n == 0 || p == last || *p != '-') {
        return NULL;
    }

    pk->attachments = n;

    return p + 1;
}


static const unsigned char *
sio_packet_nsp(sio_packet_t *pk, const unsigned char *p,
    const unsigned char *last)
{
    const unsigned char  *end;

    if (p == last || *p != '/') {
        pk->nsp = sio_packet_root;
        return p;
    }

    /* the comma may be missing at the end of a packet */

    end = memchr(p, ',', last - p);

    pk->nsp.data = p;
    pk->nsp.len = (end ? end : last) - p;

    return end ? end + 1 : last;
}


static const unsigned char *
sio_packet_id(sio_packet_t *pk, const unsigned char *p,
    const unsigned char *last)
{
    const unsigned char  *id;

    for (id = p; p < last && sio_packet_digit(*p); p++) {
        /* void */
    }

    if (p == id) {
        return p;
    }

    /* the reference prints it as a number again, so "007" is answered as 7 */

    while (id < p - 1 && *id == '0') {
        id++;
    }

    pk->id.data = id;
    pk->id.len = p - id;

    return p;
}


static void
sio_packet_data(sio_packet_t *pk, const unsigned char *p,
    const unsigned char *last)
{
    p = sio_json_space(p, last);

    while (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\n'
           || last[-1] == '\r')
    {
        last--;
    }

    pk->data.data = p;
    pk->data.len = last - p;
}


/* Is the payload, which is valid JSON, of the form that the type wants? */

static int
sio_packet_form_valid(const sio_packet_t *pk)
{
    unsigned char  c;

    c = pk->data.data[0];

    switch (pk->type) {

    case SIO_CONNECT:
        return c == '{';

    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        return sio_packet_event_valid(&pk->data);

    case SIO_ACK:
    case SIO_BINARY_ACK:
        return c == '[';

    case SIO_CONNECT_ERROR:
        return c == '{' || c == '"';
    }

    /* DISCONNECT */

    return 0;
}


static int
sio_packet_event_valid(const sio_str_t *data)
{
    const unsigned char  *p, *last;

    p = data->data;
    last = p + data->len;

    if (*p != '[') {
        return 0;
    }

    p = sio_json_space(p + 1, last);

    if (*p == '"') {
        return !sio_packet_name_reserved(p + 1, last);
    }

    return *p == '-' || sio_packet_digit(*p);
}


/*
 * Reads an event name up to its closing quote.  Reserved names are ASCII
 * letters and "_", so the only escapes that can be part of one are \u00xx.
 */

static int
sio_packet_name_reserved(const unsigned char *p, const unsigned char *last)
{
    size_t         n;
    unsigned char  c, name[SIO_PACKET_NAME_LEN];

    for (n = 0; *p != '"'; n++) {

        if (n == SIO_PACKET_NAME_LEN) {
            return 0;
        }

        c = *p++;

        if (c == '\\') {

            if (last - p < 5 || memcmp(p, "u00", 3) != 0) {
                return 0;
            }

            c = sio_packet_hex(p[3]) << 4 | sio_packet_hex(p[4]);
            p += 5;
        }

        name[n] = c;
    }

    return sio_packet_reserved(name, n);
}


/* The value of a character that is known to be a hex digit. */

static unsigned
sio_packet_hex(unsigned char c)
{
    return sio_packet_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
}


int
sio_packet_reserved(const unsigned char *name, size_t len)
{
    unsigned  i;

    static const sio_str_t  names[] = {
        sio_string("connect"),
        sio_string("connect_error"),
        sio_string("disconnect"),
        sio_string("disconnecting"),
        sio_string("newListener"),
        sio_string("removeListener")
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        if (names[i].len == len && memcmp(names[i].data, name, len) == 0) {
            return 1;
        }
    }

    return 0;
}


sio_rc_t
sio_packet_begin(sio_buf_t *b, unsigned type, sio_str_t nsp)
{
    if (sio_buf_reserve(b, 2 + nsp.len + 1) != SIO_OK) {
        return SIO_NOMEM;
    }

    b->data[b->len++] = '4';
    b->data[b->len++] = '0' + type;

    if (nsp.len == 0 || (nsp.len == 1 && nsp.data[0] == '/')) {
        return SIO_OK;
    }

    memcpy(b->data + b->len, nsp.data, nsp.len);
    b->len += nsp.len;
    b->data[b->len++] = ',';

    return SIO_OK;
}


/* The payload is nested SIO_PACKET_DEPTH deep at most: so is this. */

sio_rc_t
sio_packet_placeholders(json_t *json, unsigned attachments)
{
    size_t       i;
    json_t      *value, *num;
    const char  *key;

    if (json_is_array(json)) {

        json_array_foreach(json, i, value) {
            if (sio_packet_placeholders(value, attachments) != SIO_OK) {
                return SIO_ERROR;
            }
        }

        return SIO_OK;
    }

    if (!json_is_object(json)) {
        return SIO_OK;
    }

    if (json_is_true(json_object_get(json, "_placeholder"))) {

        num = json_object_get(json, "num");

        return json_is_integer(num)
               && json_integer_value(num) >= 0
               && json_integer_value(num) < (json_int_t) attachments
               ? SIO_OK : SIO_ERROR;
    }

    json_object_foreach(json, key, value) {
        if (sio_packet_placeholders(value, attachments) != SIO_OK) {
            return SIO_ERROR;
        }
    }

    return SIO_OK;
}
