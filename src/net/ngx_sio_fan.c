
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
            fan->err[i] = ngx_socket_errno;
            fan->sent[i] = rc;
            less |= (uint64_t) 1 << i;
        }
    }

    return less;
}


ssize_t
ngx_sio_fan_result(ngx_sio_fan_t *fan, ngx_uint_t i, ngx_connection_t *c)
{
    ngx_err_t  err;

    c->write->ready = 0;

    if (fan->sent[i] != -1) {
        return fan->sent[i];
    }

    err = fan->err[i];

    if (err == NGX_EINTR) {
        /* nothing is sent, and there may be room */
        c->write->ready = 1;
        return 0;
    }

    if (err == NGX_EAGAIN) {
        return NGX_AGAIN;
    }

    c->write->error = 1;
    (void) ngx_connection_error(c, err, "send() failed");

    return NGX_ERROR;
}
