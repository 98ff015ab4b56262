
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_standby.h"


/* What the allocator and the objects of a reply take on top of its bytes. */
#define NGX_SIO_STANDBY_OVERHEAD  512


static ngx_sio_standby_entry_t *ngx_sio_standby_add(ngx_sio_standby_t *sb,
    size_t size);
static ngx_sio_standby_entry_t *ngx_sio_standby_last(ngx_sio_standby_t *sb);
static ngx_int_t ngx_sio_standby_find(ngx_sio_standby_t *sb, uint64_t h,
    ngx_sio_standby_entry_t **found);


void
ngx_sio_standby_init(ngx_sio_standby_t *sb, ngx_log_t *log)
{
    ngx_queue_init(&sb->entries);
    sb->size = 0;
    sb->log = log;
}


void
ngx_sio_standby_clear(ngx_sio_standby_t *sb)
{
    while (!ngx_queue_empty(&sb->entries)) {
        ngx_sio_standby_pop(sb);
    }
}


ngx_int_t
ngx_sio_standby_push(ngx_sio_standby_t *sb, ngx_sio_feed_push_t *push,
    redisReply *reply)
{
    ngx_sio_standby_entry_t  *e;

    e = ngx_sio_standby_add(sb, push->channel.len + push->payload.len);
    if (e == NULL) {
        return NGX_ERROR;
    }

    e->push = *push;
    e->reply = reply;

    return NGX_OK;
}


ngx_int_t
ngx_sio_standby_mark(ngx_sio_standby_t *sb, uint64_t number)
{
    ngx_sio_standby_entry_t  *e;

    e = ngx_sio_standby_last(sb);

    if (e && e->reply == NULL) {
        e->last = number;
        return NGX_OK;
    }

    e = ngx_sio_standby_add(sb, 0);
    if (e == NULL) {
        return NGX_ERROR;
    }

    e->first = number;
    e->last = number;

    return NGX_OK;
}


static ngx_sio_standby_entry_t *
ngx_sio_standby_add(ngx_sio_standby_t *sb, size_t size)
{
    ngx_sio_standby_entry_t  *e;

    e = ngx_calloc(sizeof(ngx_sio_standby_entry_t), sb->log);
    if (e == NULL) {
        return NULL;
    }

    e->size = size + NGX_SIO_STANDBY_OVERHEAD;
    sb->size += e->size;

    ngx_queue_insert_tail(&sb->entries, &e->link);

    return e;
}


static ngx_sio_standby_entry_t *
ngx_sio_standby_last(ngx_sio_standby_t *sb)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&sb->entries)) {
        return NULL;
    }

    q = ngx_queue_last(&sb->entries);

    return ngx_queue_data(q, ngx_sio_standby_entry_t, link);
}


void
ngx_sio_standby_trim(ngx_sio_standby_t *sb, uint64_t h)
{
    ngx_queue_t              *q;
    ngx_sio_standby_entry_t  *e, *keep;

    keep = NULL;

    for (q = ngx_queue_head(&sb->entries);
         q != ngx_queue_sentinel(&sb->entries);
         q = ngx_queue_next(q))
    {
        e = ngx_queue_data(q, ngx_sio_standby_entry_t, link);

        if (e->reply) {
            continue;
        }

        if (e->first > h) {
            break;
        }

        keep = e;
    }

    while (keep && ngx_sio_standby_first(sb) != keep) {
        ngx_sio_standby_pop(sb);
    }
}


ngx_int_t
ngx_sio_standby_seek(ngx_sio_standby_t *sb, uint64_t h, uint64_t *n)
{
    ngx_int_t                 rc;
    ngx_sio_standby_entry_t  *e;

    rc = ngx_sio_standby_find(sb, h, &e);

    if (rc != NGX_OK) {
        return rc;
    }

    while (ngx_sio_standby_first(sb) != e) {
        ngx_sio_standby_pop(sb);
    }

    if (e->last > h && *n) {

        /* nothing stands between this heartbeat and the next one here */

        return NGX_DECLINED;
    }

    ngx_sio_standby_pop(sb);

    while (*n) {
        e = ngx_sio_standby_first(sb);

        if (e == NULL) {
            return NGX_OK;
        }

        if (e->reply == NULL) {
            return NGX_DECLINED;
        }

        ngx_sio_standby_pop(sb);
        (*n)--;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_standby_pass(ngx_sio_standby_t *sb, uint64_t h, uint64_t n)
{
    ngx_queue_t              *q;
    ngx_sio_standby_entry_t  *e;

    for (q = ngx_queue_head(&sb->entries);
         q != ngx_queue_sentinel(&sb->entries);
         q = ngx_queue_next(q))
    {
        e = ngx_queue_data(q, ngx_sio_standby_entry_t, link);

        if (e->reply || e->last < h || (e->last == h && n)) {
            continue;
        }

        while (ngx_sio_standby_first(sb) != e) {
            ngx_sio_standby_pop(sb);
        }

        return NGX_OK;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_sio_standby_find(ngx_sio_standby_t *sb, uint64_t h,
    ngx_sio_standby_entry_t **found)
{
    ngx_queue_t              *q;
    ngx_sio_standby_entry_t  *e;

    for (q = ngx_queue_head(&sb->entries);
         q != ngx_queue_sentinel(&sb->entries);
         q = ngx_queue_next(q))
    {
        e = ngx_queue_data(q, ngx_sio_standby_entry_t, link);

        if (e->reply) {
            continue;
        }

        if (e->first > h) {
            return NGX_DECLINED;
        }

        if (e->last >= h) {
            *found = e;
            return NGX_OK;
        }
    }

    return NGX_AGAIN;
}


ngx_sio_standby_entry_t *
ngx_sio_standby_first(ngx_sio_standby_t *sb)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&sb->entries)) {
        return NULL;
    }

    q = ngx_queue_head(&sb->entries);

    return ngx_queue_data(q, ngx_sio_standby_entry_t, link);
}


void
ngx_sio_standby_pop(ngx_sio_standby_t *sb)
{
    ngx_sio_standby_entry_t  *e;

    e = ngx_sio_standby_first(sb);

    ngx_queue_remove(&e->link);
    sb->size -= e->size;

    if (e->reply) {
        freeReplyObject(e->reply);
    }

    ngx_free(e);
}
