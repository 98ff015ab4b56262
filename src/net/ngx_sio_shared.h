
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_SHARED_H_INCLUDED_
#define _NGX_SIO_SHARED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Bytes that are sent to many, and kept once for all of them: they never
 * change, and go with the last who refers to them.
 */


typedef struct {
    ngx_uint_t            refs;
    size_t                len;
    u_char               *data;
} ngx_sio_shared_t;


/* Bytes to be filled in, with one reference.  NULL without memory. */
ngx_sio_shared_t *ngx_sio_shared_create(size_t len, ngx_log_t *log);

/* Another reference to the same. */
ngx_sio_shared_t *ngx_sio_shared_ref(ngx_sio_shared_t *shared);

/* Drops a reference; a cleanup handler as well. */
void ngx_sio_shared_release(void *shared);


#endif /* _NGX_SIO_SHARED_H_INCLUDED_ */
