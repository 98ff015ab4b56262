
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_presence_call.h"

#include <jansson.h>


/*
 * The cluster's users.  The list has a version, and each message makes the next
 * one; whenever that does not fit the list is read again, and what differs is
 * what was missed.
 */


#define NGX_SIO_PRESENCE_KEEP    (1024 * 1024) /* bytes of messages until the
                                                  list has come */
#define NGX_SIO_PRESENCE_BEHIND  2000          /* ms that a message may take */
#define NGX_SIO_PRESENCE_MALFORMED  1000       /* ms between lines */
#define NGX_SIO_PRESENCE_UNLISTED   10000      /* ms between lists, as long as
                                                  users are missing here */


static void ngx_sio_presence_replica_ready(void *data);
static ngx_int_t ngx_sio_presence_replica_confirm(void *data,
    redisReply *reply);
static void ngx_sio_presence_replica_lost(void *data);
static ngx_int_t ngx_sio_presence_replica_push(void *data, redisReply *reply);
static void ngx_sio_presence_replica_keep(ngx_sio_presence_redis_t *pd,
    redisReply *message);
static void ngx_sio_presence_replica_apply_kept(ngx_sio_presence_redis_t *pd);
static void ngx_sio_presence_replica_forget(ngx_sio_presence_redis_t *pd);
static void ngx_sio_presence_replica_apply(ngx_sio_presence_redis_t *pd,
    const char *data, size_t len);
static ngx_uint_t ngx_sio_presence_replica_is_next(
    ngx_sio_presence_redis_t *pd, json_t *message);
static ngx_int_t ngx_sio_presence_replica_check(json_t *message);
static ngx_int_t ngx_sio_presence_replica_users(ngx_sio_presence_redis_t *pd,
    json_t *message);
static void ngx_sio_presence_replica_malformed(ngx_sio_presence_redis_t *pd);
static void ngx_sio_presence_replica_refetch(ngx_sio_presence_redis_t *pd);
static void ngx_sio_presence_replica_unlisted(ngx_sio_presence_redis_t *pd);


static const ngx_sio_redis_handler_t  ngx_sio_presence_replica_handler = {
    ngx_sio_presence_replica_ready,
    ngx_sio_presence_replica_lost,
    ngx_sio_presence_replica_push,
    NULL
};


void
ngx_sio_presence_replica_open(ngx_sio_presence_redis_t *pd)
{
    if (pd->rd) {
        return;
    }

    pd->rd = ngx_sio_redis_create(pd->gw->conf->redis,
                                  &ngx_sio_presence_replica_handler, pd,
                                  "presence", pd->gw->log);
}


void
ngx_sio_presence_replica_close(ngx_sio_presence_redis_t *pd)
{
    if (pd->rd) {
        ngx_sio_redis_close(pd->rd);
        pd->rd = NULL;
    }

    pd->subscribed = 0;

    ngx_sio_presence_replica_doubt(pd);
    ngx_sio_presence_replica_forget(pd);
}


static void
ngx_sio_presence_replica_ready(void *data)
{
    ngx_sio_presence_redis_t *pd = data;

    size_t       len[2];
    const char  *argv[2];

    argv[0] = "SUBSCRIBE";
    len[0] = 9;
    argv[1] = (const char *) pd->channel.data;
    len[1] = pd->channel.len;

    if (ngx_sio_redis_command(pd->rd, 2, argv, len, NGX_SIO_PRESENCE_RENEWAL,
                              ngx_sio_presence_replica_confirm, pd)
        != NGX_OK)
    {
        ngx_sio_redis_reset(pd->rd, "cannot subscribe");
    }
}


static ngx_int_t
ngx_sio_presence_replica_confirm(void *data, redisReply *reply)
{
    ngx_sio_presence_redis_t *pd = data;

    if (reply == NULL) {
        return NGX_OK;
    }

    if (reply->type != REDIS_REPLY_ARRAY) {
        ngx_sio_redis_reset(pd->rd, "refused a subscription");
        return NGX_OK;
    }

    pd->subscribed = 1;
    pd->subscriptions++;

    ngx_sio_presence_redis_next(pd);

    return NGX_OK;
}


static void
ngx_sio_presence_replica_lost(void *data)
{
    ngx_sio_presence_redis_t *pd = data;

    pd->subscribed = 0;

    ngx_sio_presence_replica_doubt(pd);
}


void
ngx_sio_presence_replica_doubt(ngx_sio_presence_redis_t *pd)
{
    pd->listed = 0;
    pd->told_all = 0;
    pd->behind = 0;
}


ngx_int_t
ngx_sio_presence_replica_read(ngx_sio_presence_redis_t *pd)
{
    ngx_sio_presence_call_begin(pd);

    if (ngx_sio_presence_call_add(pd, 0, (u_char *) "online", 6) != NGX_OK) {
        return NGX_ERROR;
    }

    /* what has come before is in the list */

    ngx_sio_presence_replica_forget(pd);

    pd->reading = pd->subscriptions;

    return ngx_sio_presence_call_send(pd, NGX_SIO_PRESENCE_READ);
}


void
ngx_sio_presence_replica_take(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer)
{
    size_t        i;
    ngx_int_t     rc;
    ngx_str_t    *user;
    ngx_uint_t    n;
    redisReply   *list;

    list = answer->own[0];

    if (!pd->subscribed || pd->reading != pd->subscriptions || pd->missed) {
        /* messages behind this list were not heard */
        return;
    }

    user = ngx_alloc(list->elements * sizeof(ngx_str_t) + 1, pd->gw->log);
    if (user == NULL) {
        return;
    }

    n = 0;

    for (i = 0; i < list->elements; i++) {

        if (list->element[i]->type == REDIS_REPLY_STRING) {
            user[n].data = (u_char *) list->element[i]->str;
            user[n].len = list->element[i]->len;
            n++;
        }
    }

    rc = ngx_sio_presence_list(pd->gw, pd->fence, user, n, pd->holding);

    ngx_free(user);

    ngx_log_debug3(NGX_LOG_DEBUG_EVENT, pd->gw->log, 0,
                   "socketio presence list of version %uL, %ui users: %i",
                   answer->version, n, rc);

    if (rc != NGX_OK) {
        return;
    }

    pd->version = answer->version;
    pd->listed = 1;

    ngx_sio_presence_replica_apply_kept(pd);
    ngx_sio_presence_news(pd->gw);
}


void
ngx_sio_presence_replica_watch(ngx_sio_presence_redis_t *pd)
{
    ngx_sio_presence_replica_unlisted(pd);

    if (!pd->listed || pd->latest <= pd->version) {
        pd->behind = 0;
        return;
    }

    if (pd->behind == 0) {
        pd->behind = ngx_current_msec | 1;
        return;
    }

    if ((ngx_msec_int_t) (ngx_current_msec - pd->behind)
        >= NGX_SIO_PRESENCE_BEHIND)
    {
        ngx_sio_presence_replica_refetch(pd);
        ngx_sio_redis_reset(pd->rd, "does not deliver");
    }
}


static ngx_int_t
ngx_sio_presence_replica_push(void *data, redisReply *reply)
{
    ngx_sio_presence_redis_t *pd = data;

    redisReply  *message;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3
        || reply->element[2]->type != REDIS_REPLY_STRING)
    {
        return NGX_OK;
    }

    message = reply->element[2];

    if (pd->listed) {
        ngx_sio_presence_replica_apply(pd, message->str, message->len);
        ngx_sio_presence_news(pd->gw);

    } else if (pd->call && pd->call->script == NGX_SIO_PRESENCE_READ
               && pd->reading)
    {
        ngx_sio_presence_replica_keep(pd, message);
    }

    if (!pd->listed) {
        ngx_sio_presence_redis_next(pd);
    }

    return NGX_OK;
}


static void
ngx_sio_presence_replica_keep(ngx_sio_presence_redis_t *pd,
    redisReply *message)
{
    size_t                    size;
    ngx_sio_presence_kept_t  *kept;

    size = offsetof(ngx_sio_presence_kept_t, data) + message->len;

    if (pd->missed || pd->kept_bytes + size > NGX_SIO_PRESENCE_KEEP) {
        pd->missed = 1;
        return;
    }

    kept = ngx_alloc(size, pd->gw->log);
    if (kept == NULL) {
        pd->missed = 1;
        return;
    }

    kept->len = message->len;
    ngx_memcpy(kept->data, message->str, message->len);

    ngx_queue_insert_tail(&pd->kept, &kept->link);
    pd->kept_bytes += size;
}


static void
ngx_sio_presence_replica_apply_kept(ngx_sio_presence_redis_t *pd)
{
    ngx_queue_t              *q;
    ngx_sio_presence_kept_t  *kept;

    for (q = ngx_queue_head(&pd->kept);
         q != ngx_queue_sentinel(&pd->kept) && pd->listed;
         q = ngx_queue_next(q))
    {
        kept = ngx_queue_data(q, ngx_sio_presence_kept_t, link);

        ngx_sio_presence_replica_apply(pd, (char *) kept->data, kept->len);
    }

    ngx_sio_presence_replica_forget(pd);
}


static void
ngx_sio_presence_replica_forget(ngx_sio_presence_redis_t *pd)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&pd->kept)) {
        q = ngx_queue_head(&pd->kept);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, ngx_sio_presence_kept_t, link));
    }

    pd->kept_bytes = 0;
    pd->missed = 0;
}


static void
ngx_sio_presence_replica_apply(ngx_sio_presence_redis_t *pd, const char *data,
    size_t len)
{
    json_t  *message;

    message = json_loadb(data, len, JSON_ALLOW_NUL, NULL);

    if (message == NULL
        || ngx_sio_presence_replica_check(message) != NGX_OK)
    {
        ngx_sio_presence_replica_malformed(pd);

    } else if (ngx_sio_presence_replica_is_next(pd, message)) {

        if (ngx_sio_presence_replica_users(pd, message) == NGX_OK) {
            pd->version++;
            pd->latest = ngx_max(pd->latest, pd->version);

        } else {
            ngx_sio_presence_replica_doubt(pd);
        }
    }

    json_decref(message);
}


static ngx_int_t
ngx_sio_presence_replica_check(json_t *message)
{
    size_t    i;
    json_t   *epoch;
    uint64_t  n;

    if (!json_is_array(message) || json_array_size(message) < 3) {
        return NGX_ERROR;
    }

    epoch = json_array_get(message, 0);

    if (!json_is_string(epoch)
        || ngx_sio_presence_call_epoch(json_string_value(epoch),
                                       json_string_length(epoch), &n)
           != NGX_OK
        || !json_is_integer(json_array_get(message, 1)))
    {
        return NGX_ERROR;
    }

    for (i = 2; i < json_array_size(message); i++) {

        if (!json_is_string(json_array_get(message, i))
            || json_string_length(json_array_get(message, i)) == 0)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* False also if it makes the list to be read again. */

static ngx_uint_t
ngx_sio_presence_replica_is_next(ngx_sio_presence_redis_t *pd,
    json_t *message)
{
    json_t    *name;
    uint64_t   epoch, version;

    name = json_array_get(message, 0);

    (void) ngx_sio_presence_call_epoch(json_string_value(name),
                                       json_string_length(name), &epoch);

    if (epoch != pd->epoch) {
        ngx_sio_presence_replica_refetch(pd);
        return 0;
    }

    version = json_integer_value(json_array_get(message, 1));

    if (version <= pd->version) {
        return 0;
    }

    if (version != pd->version + 1) {
        ngx_sio_presence_replica_refetch(pd);
        return 0;
    }

    return 1;
}


/* As long as nodes may not have said yet whom they have nobody is offline. */

static ngx_int_t
ngx_sio_presence_replica_users(ngx_sio_presence_redis_t *pd, json_t *message)
{
    size_t                  i, n;
    u_char                 *online;
    json_t                 *text;
    ngx_int_t               rc;
    ngx_str_t              *user;
    ngx_sio_cluster_sh_t   *cl;

    n = json_array_size(message);

    user = ngx_alloc(n * (sizeof(ngx_str_t) + 1), pd->gw->log);
    if (user == NULL) {
        return NGX_ERROR;
    }

    online = (u_char *) &user[n];
    n = 0;

    for (i = 2; i < json_array_size(message); i++) {

        text = json_array_get(message, i);

        user[n].data = (u_char *) json_string_value(text) + 1;
        user[n].len = json_string_length(text) - 1;
        online[n] = (json_string_value(text)[0] == '+');

        n += (online[n] || !pd->holding);
    }

    rc = ngx_sio_presence_cluster(pd->gw, pd->fence, user, online, n);

    ngx_free(user);

    if (rc != NGX_OK) {
        return rc;
    }

    cl = ngx_sio_presence_redis_lock(pd);

    if (cl) {
        cl->transitions += json_array_size(message) - 2;

        if (cl->epoch == pd->epoch) {
            cl->version = ngx_max(cl->version, pd->version + 1);
        }

        ngx_sio_zone_unlock(pd->gw->zone);
    }

    return NGX_OK;
}


static void
ngx_sio_presence_replica_malformed(ngx_sio_presence_redis_t *pd)
{
    ngx_sio_gateway_stat(pd->gw, MALFORMED, 1);

    if (pd->malformed
        && ngx_current_msec - pd->malformed < NGX_SIO_PRESENCE_MALFORMED)
    {
        return;
    }

    pd->malformed = ngx_current_msec;

    ngx_log_error(NGX_LOG_ERR, pd->gw->log, 0,
                  "socketio presence of gateway \"%V\": malformed message on "
                  "channel \"%V\"", &pd->gw->conf->name, &pd->channel);
}


static void
ngx_sio_presence_replica_refetch(ngx_sio_presence_redis_t *pd)
{
    ngx_sio_cluster_sh_t  *cl;

    cl = ngx_sio_presence_redis_lock(pd);

    if (cl) {
        cl->refetches++;
        ngx_sio_zone_unlock(pd->gw->zone);
    }

    ngx_sio_presence_replica_doubt(pd);
}


/* Users whom there was no room for are in the list, too, when there is. */

static void
ngx_sio_presence_replica_unlisted(ngx_sio_presence_redis_t *pd)
{
    ngx_sio_gateway_t  *gw;

    gw = pd->gw;

    if (gw->presence->unlisted && pd->listed
        && ngx_current_msec - pd->read >= NGX_SIO_PRESENCE_UNLISTED
        && ngx_sio_online_room(gw->zone))
    {
        gw->presence->unlisted = 0;
        ngx_sio_presence_replica_doubt(pd);
    }
}
