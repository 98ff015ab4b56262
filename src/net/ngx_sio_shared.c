
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_shared.h"


ngx_sio_shared_t *
ngx_sio_shared_create(size_t len, ngx_log_t *log)
{
    ngx_sio_shared_t  *shared;

    shared = ngx_alloc(sizeof(ngx_sio_shared_t) + len, log);
    if (shared == NULL) {
        return NULL;
    }

    shared->refs = 1;
    shared->len = len;
    shared->data = (u_char *) (shared + 1);

    return shared;
}


ngx_sio_shared_t *
ngx_sio_shared_ref(ngx_sio_shared_t *shared)
{
    shared->refs++;

    return shared;
}


void
ngx_sio_shared_release(void *data)
{
    ngx_sio_shared_t *shared = data;

    if (--shared->refs == 0) {
        ngx_free(shared);
    }
}
