
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_check.h"

#include <ngx_sio_guard.h>
#include <ngx_sio_repair.h>


#if (NGX_SIO_CHECK)


/*
 * Stopped holders of a lock are part of some tests; in all others each line
 * about a check that was left out is an error.
 */

void
ngx_sio_check(ngx_sio_zone_t *z, ngx_log_t *log)
{
    char        text[3][128];
    ngx_uint_t  guards, records, entries;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "socketio zone is not checked: it is locked");
        return;
    }

    guards = ngx_sio_guard_check(z, text[0], sizeof(text[0]));
    records = ngx_sio_repair_check(z, text[1], sizeof(text[1]));
    entries = 0;

    if (ngx_sio_zone_log_lock(z) == NGX_OK) {
        entries = ngx_sio_repair_check_log(z, text[2], sizeof(text[2]));
        ngx_sio_zone_log_unlock(z);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "socketio log is not checked: it is locked");
    }

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

    if (entries) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "socketio log contradicts itself %ui times, first: %s",
                      entries, text[2]);
    }
}


#endif
