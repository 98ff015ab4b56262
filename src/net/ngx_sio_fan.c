
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_fan.h"


uint64_t
ngx_sio_fan_send(ngx_sio_fan_t *fan, const u_char *p, size_t size)
{
    ssize_t     rc;
    uint64_t    less;
    ngx_uint_t  i;

    less = 0;

    for (i = 0; i < fan->n; i++) {

        rc = send(fan->fd[i], p, size, 0);

        if (rc != (ssize_t) size) {
            fan->sent[i] = rc;
            less |= (uint64_t) 1 << i;
        }
    }

    return less;
}
