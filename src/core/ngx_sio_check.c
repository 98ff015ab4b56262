
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_check.h"

#include <ngx_sio_guard.h>
#include <ngx_sio_repair.h>


#if (NGX_SIO_CHECK)


void
ngx_sio_check(ngx_sio_zone_t *z, ngx_log_t *log)
{
    char        text[2][128];
    ngx_uint_t  guards, records;

    /* stopped holders of the lock are part of some tests */

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return;
    }

    guards = ngx_sio_guard_check(z, text[0], sizeof(text[0]));
    records = ngx_sio_repair_check(z, text[1], sizeof(text[1]));

    ngx_sio_zone_unlock(z);

    if (guards) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "socketio zone has %ui damaged guards, first: %s",
                      guards, text[0]);
    }

    if (records) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "socketio zone contradicts itself %ui times, first: %s",
                      records, text[1]);
    }
}


#endif
