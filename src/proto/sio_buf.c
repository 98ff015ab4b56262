
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_buf.h"

#include <stdlib.h>
#include <string.h>


#define SIO_BUF_MIN  64


sio_rc_t
sio_buf_reserve(sio_buf_t *b, size_t n)
{
    size_t          size;
    unsigned char  *data;

    if (n <= b->size - b->len) {
        return SIO_OK;
    }

    if (n > SIZE_MAX / 2 - b->len) {
        return SIO_NOMEM;
    }

    size = b->size * 2;

    if (size < b->len + n) {
        size = b->len + n;
    }

    if (size < SIO_BUF_MIN) {
        size = SIO_BUF_MIN;
    }

    data = realloc(b->data, size);
    if (data == NULL) {
        return SIO_NOMEM;
    }

    b->data = data;
    b->size = size;

    return SIO_OK;
}


sio_rc_t
sio_buf_append(sio_buf_t *b, const void *data, size_t n)
{
    if (n == 0) {
        return SIO_OK;
    }

    if (n > b->size - b->len && sio_buf_reserve(b, n) != SIO_OK) {
        return SIO_NOMEM;
    }

    memcpy(b->data + b->len, data, n);
    b->len += n;

    return SIO_OK;
}


void
sio_buf_free(sio_buf_t *b)
{
    free(b->data);

    b->data = NULL;
    b->len = 0;
    b->size = 0;
}
