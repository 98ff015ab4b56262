
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_payload.h"
#include "sio_base64.h"
#include "sio_ws.h"

#include <string.h>


#define SIO_PAYLOAD_FIN  0x80


static size_t sio_payload_header(const unsigned char *p, size_t len,
    uint64_t *size);
static sio_rc_t sio_payload_frame(sio_buf_t *b, unsigned opcode,
    const unsigned char *p, size_t len);
static void sio_payload_separate(sio_buf_t *b);


void
sio_payload_init(sio_payload_t *pl, const unsigned char *p, size_t len)
{
    pl->pos = len ? p : (const unsigned char *) "";
    pl->end = pl->pos + len;
}


sio_rc_t
sio_payload_next(sio_payload_t *pl, sio_str_t *packet)
{
    const unsigned char  *p;

    if (pl->pos == NULL) {
        return SIO_AGAIN;
    }

    p = memchr(pl->pos, SIO_PAYLOAD_SEPARATOR, pl->end - pl->pos);

    packet->data = pl->pos;
    packet->len = (p ? p : pl->end) - pl->pos;

    pl->pos = p ? p + 1 : NULL;

    return SIO_OK;
}


sio_rc_t
sio_payload_decode(sio_buf_t *b, const unsigned char *p, size_t len)
{
    if (sio_buf_reserve(b, len / 4 * 3 + 2) != SIO_OK) {
        return SIO_NOMEM;
    }

    b->len += sio_base64_decode(b->data + b->len, p, len);

    return SIO_OK;
}


sio_rc_t
sio_payload_text(sio_buf_t *b, const unsigned char *p, size_t len)
{
    if (len > SIZE_MAX - 1 || sio_buf_reserve(b, len + 1) != SIO_OK) {
        return SIO_NOMEM;
    }

    sio_payload_separate(b);

    if (len) {
        memcpy(b->data + b->len, p, len);
        b->len += len;
    }

    return SIO_OK;
}


sio_rc_t
sio_payload_binary(sio_buf_t *b, const unsigned char *p, size_t len)
{
    size_t  n;

    if (len > SIZE_MAX / 2) {
        return SIO_NOMEM;
    }

    n = sio_base64_len(len);

    if (sio_buf_reserve(b, n + 2) != SIO_OK) {
        return SIO_NOMEM;
    }

    sio_payload_separate(b);

    b->data[b->len++] = 'b';

    sio_base64_encode(b->data + b->len, p, len);
    b->len += n;

    return SIO_OK;
}


/* There is room for it. */

static void
sio_payload_separate(sio_buf_t *b)
{
    if (b->len) {
        b->data[b->len++] = SIO_PAYLOAD_SEPARATOR;
    }
}


sio_rc_t
sio_payload_frames(sio_buf_t *b, const unsigned char *p, size_t len)
{
    size_t    head, start;
    uint64_t  size;
    sio_rc_t  rc;

    start = b->len;

    while (len) {

        head = sio_payload_header(p, len, &size);

        if (head == 0 || size > len - head) {
            b->len = start;
            return SIO_ERROR;
        }

        rc = sio_payload_frame(b, p[0], p + head, size);

        if (rc != SIO_OK) {
            b->len = start;
            return rc;
        }

        p += head + size;
        len -= head + size;
    }

    return SIO_OK;
}


/* The length of a frame's header, 0 if it is not whole; size: its payload. */

static size_t
sio_payload_header(const unsigned char *p, size_t len, uint64_t *size)
{
    size_t  i, head;

    if (len < 2) {
        return 0;
    }

    head = 2;
    *size = p[1];

    /* a masked frame has 128 and more here */

    if (p[1] > 127) {
        return 0;
    }

    if (p[1] > 125) {
        head += (p[1] == 126) ? 2 : 8;
        *size = 0;
    }

    if (len < head) {
        return 0;
    }

    for (i = 2; i < head; i++) {
        *size = *size << 8 | p[i];
    }

    return head;
}


static sio_rc_t
sio_payload_frame(sio_buf_t *b, unsigned opcode, const unsigned char *p,
    size_t len)
{
    switch (opcode) {

    case SIO_PAYLOAD_FIN|SIO_WS_TEXT:

        /* it would have no type */

        return len ? sio_payload_text(b, p, len) : SIO_ERROR;

    case SIO_PAYLOAD_FIN|SIO_WS_BINARY:
        return sio_payload_binary(b, p, len);

    case SIO_PAYLOAD_FIN|SIO_WS_CLOSE:
    case SIO_PAYLOAD_FIN|SIO_WS_PING:
    case SIO_PAYLOAD_FIN|SIO_WS_PONG:
        return SIO_OK;

    default:
        return SIO_ERROR;
    }
}
