
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ROOM_SETS_H_INCLUDED_
#define _NGX_SIO_ROOM_SETS_H_INCLUDED_


#include "ngx_sio_gateway.h"

#include <ngx_sio_redis.h>


/*
 * The room sets of a client, as Redis has them: all of them are read, or none
 * counts.
 */


/*
 * Nothing is to come any more: NGX_OK; NGX_DECLINED: these are no sets, or too
 * large, which was logged; NGX_ERROR: some were lost with the connection.  The
 * sets may be freed from here.
 */
typedef void (*ngx_sio_room_sets_pt)(void *data, ngx_int_t rc);

typedef struct {
    ngx_sio_gateway_t      *gateway;
    ngx_sio_room_sets_pt    handler;     /* NULL: nobody wants them any more */
    void                   *data;
    ngx_uint_t              asked;       /* how many there are, */
    ngx_uint_t              waiting;     /*   are to come, */
    ngx_uint_t              nreplies;    /*   and have come */
    redisReply             *reply[];
} ngx_sio_room_sets_t;


/*
 * Asks Redis for the sets with these keys (ngx_str_t, one at least).  The
 * handler is called once, later, when no reply is to come any more.  NULL: not
 * now, because there is no memory, or Redis is away.
 */
ngx_sio_room_sets_t *ngx_sio_room_sets_read(ngx_sio_gateway_t *gw,
    const ngx_array_t *keys, ngx_sio_room_sets_pt handler, void *data);

/*
 * Adds what is in sets that were read (NGX_OK) to names (ngx_str_t), but for
 * what no room can be called, which is logged.  The texts last as long as the
 * sets.  NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_room_sets_names(ngx_sio_room_sets_t *rs, ngx_array_t *names);

/* Also while replies are to come: then there is no call.  rs may be NULL. */
void ngx_sio_room_sets_free(ngx_sio_room_sets_t *rs);


#endif /* _NGX_SIO_ROOM_SETS_H_INCLUDED_ */
