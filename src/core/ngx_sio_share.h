
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_SHARE_H_INCLUDED_
#define _NGX_SIO_SHARE_H_INCLUDED_


#include "ngx_sio_client.h"

#include <ngx_sio_shared.h>


/*
 * A text message most of which is the same for many clients, who refer to it
 * and do not copy it.
 */

struct ngx_sio_share_s {
    sio_str_t                 head;            /* for good; packet of Engine.IO
                                                  and what is in front */
    ngx_sio_shared_t         *shared;
    sio_str_t                 tail;            /* until the call returns */
    uint64_t                  next;            /* as that of a message */
};


#define NGX_SIO_SHARE_HEAD  64                 /* the longest head */

#define ngx_sio_share_len(share)                                              \
    ((share)->head.len + (share)->shared->len + (share)->tail.len)


#endif /* _NGX_SIO_SHARE_H_INCLUDED_ */
