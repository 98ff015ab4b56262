
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_base64.h"
#include "sio_offset.h"
#include "sio_record.h"


/* The input is what a client says its offset is. */


#define WIDTH  48                 /* bits of an offset, in units */


static void
check_decode(const uint8_t *p, size_t len)
{
    sio_rc_t        rc;
    uint32_t        tag;
    uint64_t        offset, none;
    unsigned char  *bytes, text[SIO_OFFSET_LEN];

    /* the tag that it has, if it is one */

    bytes = malloc(len / 4 * 3 + 2);
    fuzz_check(bytes != NULL);

    memset(bytes, 0, len / 4 * 3 + 2);
    tag = 0;

    if (sio_base64_decode(bytes, p, len) >= 3) {
        tag = (uint32_t) bytes[0] << 16 | bytes[1] << 8 | bytes[2];
    }

    free(bytes);

    rc = sio_offset_decode(p, len, tag, &offset);

    fuzz_check(rc == SIO_OK || rc == SIO_ERROR);
    fuzz_check(sio_offset_decode(p, len, tag ^ 1, &none) == SIO_ERROR);
    fuzz_check(sio_offset_decode(p, len, tag ^ 0x800000, &none) == SIO_ERROR);

    if (rc != SIO_OK) {
        return;
    }

    fuzz_check(len == SIO_OFFSET_LEN && offset % SIO_RECORD_ALIGN == 0);

    /* there is one way to write an offset */

    sio_offset_encode(text, tag, offset);
    fuzz_check(memcmp(text, p, len) == 0);
}


static void
check_encode(const uint8_t *p, size_t len)
{
    uint32_t       tag;
    uint64_t       offset, back;
    unsigned char  text[SIO_OFFSET_LEN];

    if (len < sizeof(tag) + sizeof(offset)) {
        return;
    }

    memcpy(&tag, p, sizeof(tag));
    memcpy(&offset, p + sizeof(tag), sizeof(offset));

    offset %= (1ULL << WIDTH) * SIO_RECORD_ALIGN;

    sio_offset_encode(text, tag, offset);

    fuzz_check(sio_offset_decode(text, sizeof(text), tag, &back) == SIO_OK);
    fuzz_check(back == offset - offset % SIO_RECORD_ALIGN);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    check_decode(p, len);
    check_encode(p, len);

    return 0;
}
