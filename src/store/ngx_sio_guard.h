
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_GUARD_H_INCLUDED_
#define _NGX_SIO_GUARD_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * A line of known words in front of each array of the zone and of the log, in
 * a build with NGX_SIO_CHECK only: sanitizers do not see that somebody writes
 * past the end of what lies in shared memory.
 */

#if (NGX_SIO_CHECK)


/* What the words take in front of an array. */
#define NGX_SIO_GUARD_SIZE  NGX_SIO_LINE


/* Writes the words; the pointers of the view are set. */
void ngx_sio_guard_set(ngx_sio_zone_t *z);

/*
 * Returns how many words are no longer what they were; the first is described
 * in text (size bytes).
 */
ngx_uint_t ngx_sio_guard_check(ngx_sio_zone_t *z, char *text, size_t size);


#else

#define NGX_SIO_GUARD_SIZE  0

#endif


#endif /* _NGX_SIO_GUARD_H_INCLUDED_ */
