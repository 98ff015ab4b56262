
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_adapter.h"
#include "sio_packet.h"


/*
 * The input is a message from Redis, taken for a broadcast and for a request,
 * for the namespace "/" and for another one.  What is accepted is a packet that
 * clients can read, and a record.
 */


#define ACK    7
#define LARGE  (1024 * 1024)


static const sio_str_t  root = sio_string("/");
static const sio_str_t  chat = sio_string("/chat");


/* The text, without the type of Engine.IO, is one packet of Socket.IO. */

static void
check_packet(const sio_message_t *m, sio_str_t nsp)
{
    sio_rc_t          rc;
    sio_packet_t      pk;
    const sio_str_t  *text;

    text = &m->part[0];

    fuzz_check(m->parts >= 1 && m->parts <= SIO_RECORD_PARTS);
    fuzz_check(text->len > 1 && text->data[0] == '4');

    rc = sio_packet_parse(&pk, text->data + 1, text->len - 1, NULL);

    /* what the backend sends may be nested deeper than what clients send */

    if (rc == SIO_LIMIT) {
        return;
    }

    fuzz_check(rc == SIO_OK);
    fuzz_check(pk.type == (m->parts > 1 ? SIO_BINARY_EVENT : SIO_EVENT)
               || pk.type == (m->parts > 1 ? SIO_BINARY_ACK : SIO_ACK));
    fuzz_check(pk.attachments == m->parts - 1u);
    fuzz_check(fuzz_equal(pk.nsp.data, pk.nsp.len, nsp.data, nsp.len));
    fuzz_check((pk.id.len != 0) == ((m->flags & SIO_RECORD_BARE) != 0));
}


/* The record of a message has its names and parts, in their order. */

static void
check_record(const sio_message_t *m)
{
    unsigned             i;
    sio_rc_t             rc;
    sio_buf_t            b;
    sio_str_t            name;
    const sio_record_t  *rec;

    memset(&b, 0, sizeof(sio_buf_t));

    rc = sio_record_encode(&b, m, 1, LARGE);

    fuzz_check(rc == SIO_OK);

    rec = (const sio_record_t *) b.data;

    fuzz_check(sio_record_sane(rec, b.len) && rec->size == b.len);

    for (i = 0; i < sio_record_names(rec); i++) {
        name = sio_record_name(rec, i);
        fuzz_check(fuzz_equal(name.data, name.len, m->names[i].data,
                              m->names[i].len));
    }

    sio_buf_free(&b);
}


static void
check_result(sio_rc_t rc, const sio_message_t *m, sio_str_t nsp,
    const char *error)
{
    fuzz_check(rc != SIO_NOMEM);
    fuzz_check((error != NULL) == (rc == SIO_ERROR || rc == SIO_LIMIT));

    if (rc != SIO_OK) {
        return;
    }

    if (m->type == SIO_RECORD_EMIT) {
        fuzz_check(m->args == 0);
        check_packet(m, nsp);

    } else {
        fuzz_check(m->type == SIO_RECORD_JOIN || m->type == SIO_RECORD_LEAVE
                   || m->type == SIO_RECORD_DISCONNECT);
        fuzz_check(m->parts == 0);
    }

    check_record(m);
}


/* A decoder that has seen other messages gives the same. */

static void
check_same(const sio_message_t *a, const sio_message_t *b)
{
    unsigned  i;

    fuzz_check(a->type == b->type && a->flags == b->flags
               && a->rooms == b->rooms && a->except == b->except
               && a->args == b->args && a->parts == b->parts);

    for (i = 0; i < a->parts; i++) {
        fuzz_check(fuzz_equal(a->part[i].data, a->part[i].len,
                              b->part[i].data, b->part[i].len));
    }

    for (i = 0; i < (unsigned) a->rooms + a->except + a->args; i++) {
        fuzz_check(fuzz_equal(a->names[i].data, a->names[i].len,
                              b->names[i].data, b->names[i].len));
    }
}


/* Something else, with names of every kind, that a decoder has seen before. */

static void
use(sio_adapter_t *a)
{
    const char     *error;
    sio_message_t   m;

    static const sio_str_t  request = sio_string(
        "{\"type\":2,\"opts\":{\"rooms\":[\"a\",12345],\"except\":[1.5]},"
        "\"rooms\":[\"b\",678]}");

    fuzz_check(sio_adapter_request(a, &m, root, ACK, request.data,
                                   request.len, &error) == SIO_OK);
    fuzz_check(m.rooms == 2 && m.except == 1 && m.args == 2);
}


static void
check_broadcast(sio_adapter_t *used, sio_str_t nsp, const uint8_t *p,
    size_t len)
{
    sio_rc_t        rc;
    const char     *error;
    sio_adapter_t   fresh;
    sio_message_t   m, same;

    memset(&fresh, 0, sizeof(sio_adapter_t));

    rc = sio_adapter_broadcast(&fresh, &m, nsp, p, len, &error);
    check_result(rc, &m, nsp, error);

    use(used);

    fuzz_check(sio_adapter_broadcast(used, &same, nsp, p, len, &error) == rc);

    if (rc == SIO_OK) {
        fuzz_check(m.type == SIO_RECORD_EMIT);
        check_same(&m, &same);
    }

    sio_adapter_free(&fresh);
}


static void
check_request(sio_adapter_t *used, sio_str_t nsp, const uint8_t *p,
    size_t len)
{
    sio_rc_t        rc;
    const char     *error;
    sio_adapter_t   fresh;
    sio_message_t   m, same;

    memset(&fresh, 0, sizeof(sio_adapter_t));

    rc = sio_adapter_request(&fresh, &m, nsp, ACK, p, len, &error);
    check_result(rc, &m, nsp, error);

    use(used);

    fuzz_check(sio_adapter_request(used, &same, nsp, ACK, p, len, &error)
               == rc);

    if (rc == SIO_OK) {
        check_same(&m, &same);

        if (m.type == SIO_RECORD_EMIT) {
            fuzz_check(fuzz_inside(&fresh.request, p, len)
                       && fresh.request.len > 0);
            fuzz_check(fresh.uid.len == 0 || fuzz_inside(&fresh.uid, p, len));
            fuzz_check(m.flags == SIO_RECORD_BARE);
        }
    }

    sio_adapter_free(&fresh);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    sio_adapter_t  used;

    memset(&used, 0, sizeof(sio_adapter_t));

    check_broadcast(&used, root, p, len);
    check_request(&used, chat, p, len);
    check_request(&used, root, p, len);
    check_broadcast(&used, chat, p, len);

    sio_adapter_free(&used);

    return 0;
}
