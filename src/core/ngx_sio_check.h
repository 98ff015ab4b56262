
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_CHECK_H_INCLUDED_
#define _NGX_SIO_CHECK_H_INCLUDED_


#include <ngx_sio_zone.h>


/*
 * Checks the whole zone, with its lock held for as long as it takes, and logs
 * an alert if anything in it is wrong.  That is for tests, in a build with
 * NGX_SIO_CHECK only: there each status request and each worker that leaves
 * does so.
 */

#if (NGX_SIO_CHECK)
void ngx_sio_check(ngx_sio_zone_t *z, ngx_log_t *log);
#else
#define ngx_sio_check(z, log)
#endif


#endif /* _NGX_SIO_CHECK_H_INCLUDED_ */
