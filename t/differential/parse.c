
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_adapter.h"
#include "sio_packet.h"
#include "sio_payload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/*
 * Says what src/proto makes of an input.  Each input on stdin is one byte, "s"
 * for a packet of Socket.IO, "p" for a payload of Engine.IO, "b" for a
 * broadcast from Redis, then 4 bytes of length, the first one the highest, and
 * the bytes; of a broadcast, these begin with its namespace and a NUL.  The
 * answer is a line of JSON: of a packet {"rc":0,"type":..} or {"rc":-1}, of a
 * payload {"packets":[..],"again":".."}, with binary ones as {"hex":".."}, and
 * of a broadcast {"rc":0,"parts":[..]}, the text and then {"hex":".."}.
 */


#define LARGEST  (1024 * 1024)


static void
die(const char *text)
{
    fprintf(stderr, "parse: %s\n", text);
    exit(1);
}


static void
put(sio_buf_t *b, const char *text)
{
    if (sio_buf_append(b, text, strlen(text)) != SIO_OK) {
        die("no memory");
    }
}


static void
put_string(sio_buf_t *b, sio_str_t s)
{
    if (sio_json_quote(b, s.data, s.len) != SIO_OK) {
        die("no memory");
    }
}


static void
put_number(sio_buf_t *b, int n)
{
    char  text[16];

    snprintf(text, sizeof(text), "%d", n);
    put(b, text);
}


static void
put_value(sio_buf_t *b, json_t *json, unsigned attachments)
{
    char  *text;

    text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);

    if (text == NULL) {
        die("no memory");
    }

    put(b, ",\"value\":");
    put(b, text);
    put(b, ",\"placeholders\":");
    put_number(b, sio_packet_placeholders(json, attachments));

    free(text);
}


static void
packet(sio_buf_t *b, const unsigned char *p, size_t len)
{
    json_t        *json;
    sio_rc_t       rc;
    sio_packet_t   pk;

    rc = sio_packet_parse(&pk, p, len, &json);

    put(b, "{\"rc\":");
    put_number(b, rc);

    if (rc != SIO_OK) {
        put(b, "}");
        return;
    }

    put(b, ",\"type\":");
    put_number(b, pk.type);
    put(b, ",\"attachments\":");
    put_number(b, pk.attachments);
    put(b, ",\"nsp\":");
    put_string(b, pk.nsp);

    if (pk.id.len) {
        put(b, ",\"id\":");
        put_string(b, pk.id);
    }

    if (pk.data.len) {
        put(b, ",\"data\":");
        put_string(b, pk.data);
        put_value(b, json, pk.attachments);
    }

    put(b, "}");

    json_decref(json);
}


static void
put_bytes(sio_buf_t *b, const unsigned char *p, size_t len)
{
    char    digits[3];
    size_t  i;

    put(b, "{\"hex\":\"");

    for (i = 0; i < len; i++) {
        snprintf(digits, sizeof(digits), "%02x", p[i]);
        put(b, digits);
    }

    put(b, "\"}");
}


/* A binary packet, also into the payload that is written anew. */

static void
binary(sio_buf_t *b, sio_buf_t *again, sio_str_t text)
{
    sio_buf_t  bytes;

    memset(&bytes, 0, sizeof(sio_buf_t));

    if (sio_payload_decode(&bytes, text.data, text.len) != SIO_OK
        || sio_payload_binary(again, bytes.data, bytes.len) != SIO_OK)
    {
        die("no memory");
    }

    put_bytes(b, bytes.data, bytes.len);

    sio_buf_free(&bytes);
}


static void
payload(sio_buf_t *b, const unsigned char *p, size_t len)
{
    sio_str_t      text, one;
    sio_buf_t      again;
    const char    *comma;
    sio_payload_t  pl;

    memset(&again, 0, sizeof(sio_buf_t));

    comma = "";
    put(b, "{\"packets\":[");

    sio_payload_init(&pl, p, len);

    while (sio_payload_next(&pl, &one) == SIO_OK) {
        put(b, comma);
        comma = ",";

        if (one.len && one.data[0] == 'b') {
            one.data++;
            one.len--;
            binary(b, &again, one);
            continue;
        }

        put_string(b, one);

        if (sio_payload_text(&again, one.data, one.len) != SIO_OK) {
            die("no memory");
        }
    }

    text.data = again.data;
    text.len = again.len;

    put(b, "],\"again\":");
    put_string(b, text);
    put(b, "}");

    sio_buf_free(&again);
}


static void
broadcast(sio_buf_t *b, const unsigned char *p, size_t len)
{
    size_t          i;
    sio_rc_t        rc;
    sio_str_t       nsp;
    const char     *error;
    sio_message_t   m;

    static sio_adapter_t  adapter;

    nsp.data = p;
    nsp.len = strnlen((const char *) p, len);

    if (nsp.len == len) {
        die("no namespace");
    }

    rc = sio_adapter_broadcast(&adapter, &m, nsp, p + nsp.len + 1,
                               len - nsp.len - 1, &error);

    put(b, "{\"rc\":");
    put_number(b, rc);

    if (rc == SIO_OK) {
        put(b, ",\"parts\":[");
        put_string(b, m.part[0]);

        for (i = 1; i < m.parts; i++) {
            put(b, ",");
            put_bytes(b, m.part[i].data, m.part[i].len);
        }

        put(b, "]");
    }

    put(b, "}");
}


int
main(void)
{
    size_t          len;
    sio_buf_t       b;
    unsigned char   head[5], *p;

    memset(&b, 0, sizeof(sio_buf_t));

    while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
        len = (size_t) head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4];

        if (len > LARGEST) {
            die("too long");
        }

        /* of the exact size, so that a sanitizer sees what is read behind */

        p = malloc(len ? len : 1);

        if (p == NULL || fread(p, 1, len, stdin) != len) {
            die("cut off");
        }

        b.len = 0;

        switch (head[0]) {

        case 's':
            packet(&b, p, len);
            break;

        case 'p':
            payload(&b, p, len);
            break;

        default:
            broadcast(&b, p, len);
        }

        put(&b, "\n");

        if (fwrite(b.data, 1, b.len, stdout) != b.len) {
            die("cannot write");
        }

        free(p);
    }

    sio_buf_free(&b);

    return 0;
}
