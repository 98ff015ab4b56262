
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_room_sets.h"

#include <sio_utf8.h>


#define NGX_SIO_ROOM_SETS_NAMES    50000    /* most in all sets of a client */
#define NGX_SIO_ROOM_SETS_TIMEOUT  5000     /* ms until Redis has answered */


static ngx_int_t ngx_sio_room_sets_reply(void *data, redisReply *reply);
static ngx_int_t ngx_sio_room_sets_check(ngx_sio_room_sets_t *rs);
static ngx_uint_t ngx_sio_room_sets_is_name(redisReply *item);
static void ngx_sio_room_sets_destroy(ngx_sio_room_sets_t *rs);


ngx_sio_room_sets_t *
ngx_sio_room_sets_read(ngx_sio_gateway_t *gw, const ngx_array_t *keys,
    ngx_sio_room_sets_pt handler, void *data)
{
    size_t                len[2];
    ngx_str_t            *key;
    ngx_uint_t            i;
    const char           *argv[2];
    ngx_sio_room_sets_t  *rs;

    rs = ngx_calloc(sizeof(ngx_sio_room_sets_t)
                    + keys->nelts * sizeof(redisReply *), gw->log);
    if (rs == NULL) {
        return NULL;
    }

    rs->gateway = gw;
    rs->handler = handler;
    rs->data = data;

    key = keys->elts;

    argv[0] = "SMEMBERS";
    len[0] = 8;

    for (i = 0; i < keys->nelts; i++) {

        argv[1] = (char *) key[i].data;
        len[1] = key[i].len;

        if (ngx_sio_redis_command(gw->redis, 2, argv, len,
                                  NGX_SIO_ROOM_SETS_TIMEOUT,
                                  ngx_sio_room_sets_reply, rs)
            != NGX_OK)
        {
            ngx_sio_room_sets_free(rs);
            return NULL;
        }

        rs->asked++;
        rs->waiting++;
    }

    return rs;
}


static ngx_int_t
ngx_sio_room_sets_reply(void *data, redisReply *reply)
{
    ngx_sio_room_sets_t *rs = data;

    ngx_int_t  rc;

    rs->waiting--;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, rs->gateway->log, 0,
                   "socketio room set, %ui to come", rs->waiting);

    if (rs->handler == NULL) {

        if (rs->waiting == 0) {
            ngx_sio_room_sets_destroy(rs);
        }

        return NGX_OK;
    }

    rc = reply ? NGX_DONE : NGX_OK;

    if (reply) {
        rs->reply[rs->nreplies++] = reply;
    }

    if (rs->waiting == 0) {
        rs->handler(rs->data, ngx_sio_room_sets_check(rs));
    }

    return rc;
}


/* What the handler is told. */

static ngx_int_t
ngx_sio_room_sets_check(ngx_sio_room_sets_t *rs)
{
    size_t       total;
    ngx_uint_t   i;
    redisReply  *reply;

    if (rs->nreplies < rs->asked) {
        return NGX_ERROR;
    }

    total = 0;

    for (i = 0; i < rs->nreplies; i++) {
        reply = rs->reply[i];

        if (reply->type != REDIS_REPLY_ARRAY) {
            ngx_log_error(NGX_LOG_ERR, rs->gateway->log, 0,
                          "socketio room set cannot be read: %s",
                          reply->type == REDIS_REPLY_ERROR ? reply->str
                                                           : "not a set");
            return NGX_DECLINED;
        }

        total += reply->elements;
    }

    if (total > NGX_SIO_ROOM_SETS_NAMES) {
        ngx_log_error(NGX_LOG_ERR, rs->gateway->log, 0,
                      "socketio room sets have %uz names, a client can be in "
                      "%ui rooms", total,
                      (ngx_uint_t) NGX_SIO_ROOM_SETS_NAMES);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_room_sets_names(ngx_sio_room_sets_t *rs, ngx_array_t *names)
{
    size_t       n;
    ngx_str_t   *name;
    redisReply  *item;
    ngx_uint_t   i, skipped;

    skipped = 0;

    for (i = 0; i < rs->nreplies; i++) {
        for (n = 0; n < rs->reply[i]->elements; n++) {

            item = rs->reply[i]->element[n];

            if (!ngx_sio_room_sets_is_name(item)) {
                skipped++;
                continue;
            }

            name = ngx_array_push(names);
            if (name == NULL) {
                return NGX_ERROR;
            }

            name->data = (u_char *) item->str;
            name->len = item->len;
        }
    }

    if (skipped) {
        ngx_log_error(NGX_LOG_ERR, rs->gateway->log, 0,
                      "socketio room sets have %ui names that no room can have",
                      skipped);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_sio_room_sets_is_name(redisReply *item)
{
    uint32_t  state;

    state = SIO_UTF8_ACCEPT;

    return item->type == REDIS_REPLY_STRING
           && item->len > 0 && (size_t) item->len <= SIO_ROOM_LEN
           && sio_utf8_feed(&state, (u_char *) item->str, item->len) == SIO_OK
           && state == SIO_UTF8_ACCEPT;
}


void
ngx_sio_room_sets_free(ngx_sio_room_sets_t *rs)
{
    if (rs == NULL) {
        return;
    }

    rs->handler = NULL;

    if (rs->waiting == 0) {
        ngx_sio_room_sets_destroy(rs);
    }
}


static void
ngx_sio_room_sets_destroy(ngx_sio_room_sets_t *rs)
{
    ngx_uint_t  i;

    for (i = 0; i < rs->nreplies; i++) {
        freeReplyObject(rs->reply[i]);
    }

    ngx_free(rs);
}
