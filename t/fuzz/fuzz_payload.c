
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_base64.h"
#include "sio_payload.h"
#include "sio_ws.h"


/* The input is the body of a POST, and then frames that a server sends. */


/* What was taken from a payload gives the same when it is written again. */

static void
check_binary(const sio_str_t *packet)
{
    size_t          len;
    sio_buf_t       bytes, text, same;
    unsigned char  *plain;

    memset(&bytes, 0, sizeof(sio_buf_t));
    memset(&text, 0, sizeof(sio_buf_t));
    memset(&same, 0, sizeof(sio_buf_t));

    fuzz_check(sio_payload_decode(&bytes, packet->data, packet->len)
               == SIO_OK);

    plain = malloc(packet->len / 4 * 3 + 2);
    fuzz_check(plain != NULL);
    len = sio_base64_decode(plain, packet->data, packet->len);
    fuzz_check(fuzz_equal(bytes.data, bytes.len, plain, len));
    free(plain);

    fuzz_check(sio_payload_binary(&text, bytes.data, bytes.len) == SIO_OK);
    fuzz_check(text.data[0] == 'b' && text.len % 4 == 1);
    fuzz_check(sio_payload_decode(&same, text.data + 1, text.len - 1)
               == SIO_OK);
    fuzz_check(fuzz_equal(bytes.data, bytes.len, same.data, same.len));

    sio_buf_free(&bytes);
    sio_buf_free(&text);
    sio_buf_free(&same);
}


/* The packets, separators in between, are the payload again. */

static void
check_packets(const uint8_t *p, size_t len)
{
    size_t         n;
    sio_buf_t      again;
    sio_str_t      packet;
    sio_payload_t  pl;

    memset(&again, 0, sizeof(sio_buf_t));

    sio_payload_init(&pl, p, len);

    for (n = 0; sio_payload_next(&pl, &packet) == SIO_OK; n++) {
        fuzz_check(len == 0 || fuzz_inside(&packet, p, len));
        fuzz_check(packet.len == 0
                   || memchr(packet.data, SIO_PAYLOAD_SEPARATOR, packet.len)
                      == NULL);

        if (n) {
            fuzz_append(&again, "\x1e", 1);
        }

        if (packet.len) {
            fuzz_append(&again, packet.data, packet.len);
        }

        check_binary(&packet);
    }

    fuzz_check(n > 0 && sio_payload_next(&pl, &packet) == SIO_AGAIN);
    fuzz_check(fuzz_equal(again.data, again.len, p, len));

    sio_buf_free(&again);
}


/* The same bytes as frames; what is refused leaves nothing behind. */

static void
check_frames(const uint8_t *p, size_t len)
{
    sio_rc_t   rc;
    sio_buf_t  b, more;

    memset(&b, 0, sizeof(sio_buf_t));
    memset(&more, 0, sizeof(sio_buf_t));

    rc = sio_payload_frames(&b, p, len);

    fuzz_check(rc == SIO_OK || (rc == SIO_ERROR && b.len == 0));

    fuzz_append(&more, "2", 1);
    fuzz_check(sio_payload_frames(&more, p, len) == rc);
    fuzz_check(more.len == (b.len ? b.len + 2 : 1) && more.data[0] == '2');

    if (b.len) {
        fuzz_check(more.data[1] == SIO_PAYLOAD_SEPARATOR
                   && memcmp(more.data + 2, b.data, b.len) == 0);
    }

    sio_buf_free(&b);
    sio_buf_free(&more);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    check_packets(p, len);
    check_frames(p, len);

    return 0;
}
