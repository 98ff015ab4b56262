
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_OUT_H_INCLUDED_
#define _NGX_SIO_OUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sio_shared.h"


/*
 * What a connection is owed while the kernel does not take more.
 *
 * It exists only for a connection that is behind, and consists of messages,
 * the first of which may be sent in part.  A message is a reference into a
 * store that the owner can fetch from (the log), so that a thousand slow
 * connections do not hold a thousand copies of it, or a copy, or bytes that
 * are shared with others.  References may be in any order.
 */


typedef struct {
    uint64_t              ref;         /* 0: it never was in the store */
    u_char               *copy;        /* heap; NULL: fetch it by ref */
    ngx_sio_shared_t     *shared;      /* whose bytes copy points to; or NULL */
    uint32_t              len;         /* bytes on the wire */
    uint32_t              pos;         /* of them, sent or in "rest" */
    ngx_uint_t            begun;       /* no longer part of the backlog */
} ngx_sio_out_item_t;


typedef struct {
    ngx_queue_t           link;        /* in the owner's list of the slow */
    void                 *data;        /* for fetch: who is behind */

    u_char               *rest;        /* heap: bytes that go out next, and
                                          under TLS must not change */
    size_t                rest_pos;
    size_t                rest_len;

    ngx_sio_out_item_t   *items;       /* [first .. last) */
    ngx_uint_t            first;
    ngx_uint_t            last;
    ngx_uint_t            nalloc;
    ngx_uint_t            fresh;       /* no reference stands before this */

    size_t                backlog;     /* bytes of items not begun */
    size_t                rescued;     /* bytes of copies made by rescue */
} ngx_sio_out_t;


/*
 * Writes len bytes of a referenced message, from byte at on, to p.  NGX_OK, or
 * NGX_DECLINED if they are gone: then the connection has to be closed.
 */
typedef ngx_int_t (*ngx_sio_out_fetch_pt)(void *data, uint64_t ref, size_t at,
    u_char *p, size_t len);


/* Returns an empty one, or NULL without memory. */
ngx_sio_out_t *ngx_sio_out_create(void *data, ngx_log_t *log);

/* Frees it and all copies; the link is the owner's to remove. */
void ngx_sio_out_free(ngx_sio_out_t *out);

/*
 * Sets bytes that have to go out first, as they are; it must have none yet.
 * NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_out_rest(ngx_sio_out_t *out, u_char *p, size_t len,
    ngx_log_t *log);

/*
 * Adds a message by reference or, if ref is 0, a copy of the len bytes at p.
 * pos: how much of it is sent or in the rest; the first item only.  NGX_OK or
 * NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_out_add(ngx_sio_out_t *out, uint64_t ref, u_char *p,
    size_t len, size_t pos, ngx_log_t *log);

/* Adds bytes that are shared, with a reference of its own to them. */
ngx_int_t ngx_sio_out_share(ngx_sio_out_t *out, ngx_sio_shared_t *shared,
    ngx_log_t *log);

/*
 * Replaces references below the given one by copies, because the store is
 * about to lose them.  NGX_OK; NGX_DECLINED if a message was gone already, or
 * there is no memory.
 */
ngx_int_t ngx_sio_out_rescue(ngx_sio_out_t *out, uint64_t below,
    ngx_sio_out_fetch_pt fetch, ngx_log_t *log);

/* The oldest reference that it holds, or (uint64_t) -1. */
uint64_t ngx_sio_out_oldest(ngx_sio_out_t *out);

/*
 * Sends what the kernel takes.  NGX_OK: all is sent, free it.  NGX_AGAIN: the
 * write event is set.  NGX_DECLINED: a reference is gone.  NGX_ERROR: the
 * connection is broken.
 */
ngx_int_t ngx_sio_out_drain(ngx_sio_out_t *out, ngx_connection_t *c,
    ngx_sio_out_fetch_pt fetch);


#endif /* _NGX_SIO_OUT_H_INCLUDED_ */
