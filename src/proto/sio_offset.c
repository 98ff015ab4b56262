
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_offset.h"
#include "sio_base64.h"
#include "sio_record.h"

#include <string.h>


#define SIO_OFFSET_BYTES  9


void
sio_offset_encode(unsigned char *p, uint32_t tag, uint64_t offset)
{
    unsigned       i;
    unsigned char  bytes[SIO_OFFSET_BYTES];

    offset /= SIO_RECORD_ALIGN;

    for (i = 0; i < 3; i++) {
        bytes[i] = tag >> (2 - i) * 8 & 0xff;
    }

    for (i = 0; i < 6; i++) {
        bytes[3 + i] = offset >> (5 - i) * 8 & 0xff;
    }

    sio_base64_encode_url(p, bytes, SIO_OFFSET_BYTES);
}


sio_rc_t
sio_offset_decode(const unsigned char *p, size_t len, uint32_t tag,
    uint64_t *offset)
{
    unsigned       i;
    uint64_t       v;
    unsigned char  bytes[SIO_OFFSET_LEN], text[SIO_OFFSET_LEN];

    if (len != SIO_OFFSET_LEN
        || sio_base64_decode(bytes, p, len) != SIO_OFFSET_BYTES)
    {
        return SIO_ERROR;
    }

    v = 0;

    for (i = 0; i < 6; i++) {
        v = v << 8 | bytes[3 + i];
    }

    v *= SIO_RECORD_ALIGN;

    /* what is written in the other alphabet, or for another log, differs */

    sio_offset_encode(text, tag, v);

    if (memcmp(text, p, SIO_OFFSET_LEN) != 0) {
        return SIO_ERROR;
    }

    *offset = v;

    return SIO_OK;
}
