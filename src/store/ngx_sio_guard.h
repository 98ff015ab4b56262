
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_GUARD_H_INCLUDED_
#define _NGX_SIO_GUARD_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * A line of known bytes behind the header of the zone, each of its arrays, and
 * the log, in a build with NGX_SIO_CHECK only: sanitizers do not see that
 * somebody writes past the end of what lies in shared memory.  They begin with
 * the first byte that is not the array's, so that there may be more of them.
 */

#if (NGX_SIO_CHECK)


/* What they take of the zone, besides what alignment takes anyway. */
#define NGX_SIO_GUARD_SIZE  NGX_SIO_LINE


/* Writes them; the pointers of the view are set. */
void ngx_sio_guard_set(ngx_sio_zone_t *z);

/*
 * Returns how many bytes are no longer what they were; the first is described
 * in text (size bytes).
 */
ngx_uint_t ngx_sio_guard_check(ngx_sio_zone_t *z, char *text, size_t size);


#else

#define NGX_SIO_GUARD_SIZE  0

#endif


#endif /* _NGX_SIO_GUARD_H_INCLUDED_ */
