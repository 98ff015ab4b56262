
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_presence_call.h"


#define NGX_SIO_PRESENCE_FIXED     15          /* arguments of all calls */
#define NGX_SIO_PRESENCE_COMPLAIN  10000       /* ms between lines */
#define NGX_SIO_PRESENCE_STAMP     30          /* digits */


static ngx_int_t ngx_sio_presence_call_queue(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_call_t *call, ngx_uint_t whole);
static ngx_int_t ngx_sio_presence_call_common(ngx_sio_presence_redis_t *pd);
static void ngx_sio_presence_call_arg(const void *data, size_t len);
static ngx_int_t ngx_sio_presence_call_reply(void *data, redisReply *reply);
static ngx_uint_t ngx_sio_presence_call_unknown(redisReply *reply);
static ngx_int_t ngx_sio_presence_call_parse(redisReply *reply,
    ngx_sio_presence_answer_t *answer);
static void ngx_sio_presence_call_refused(ngx_sio_presence_redis_t *pd,
    redisReply *reply);


/* The command that is being made: the client copies it. */

static const char  *ngx_sio_presence_call_argv[NGX_SIO_PRESENCE_FIXED
                                               + NGX_SIO_PRESENCE_CHANGES];
static size_t       ngx_sio_presence_call_lens[NGX_SIO_PRESENCE_FIXED
                                               + NGX_SIO_PRESENCE_CHANGES];
static ngx_uint_t   ngx_sio_presence_call_argc;


void
ngx_sio_presence_call_begin(ngx_sio_presence_redis_t *pd)
{
    pd->text.len = 0;
    pd->nargs = 0;
}


ngx_int_t
ngx_sio_presence_call_add(ngx_sio_presence_redis_t *pd, u_char sign,
    const u_char *data, size_t len)
{
    ngx_sio_presence_arg_t  *arg;

    if (pd->nargs == NGX_SIO_PRESENCE_CHANGES) {
        return NGX_ERROR;
    }

    arg = &pd->arg[pd->nargs];
    arg->start = pd->text.len;

    if (sign && sio_buf_append(&pd->text, &sign, 1) != SIO_OK) {
        return NGX_ERROR;
    }

    if (sio_buf_append(&pd->text, data, len) != SIO_OK) {
        pd->text.len = arg->start;
        return NGX_ERROR;
    }

    arg->len = pd->text.len - arg->start;
    pd->nargs++;

    return NGX_OK;
}


ngx_int_t
ngx_sio_presence_call_send(ngx_sio_presence_redis_t *pd, ngx_uint_t script)
{
    ngx_int_t                 rc;
    ngx_sio_presence_call_t  *call;

    call = ngx_alloc(sizeof(ngx_sio_presence_call_t), pd->gw->log);
    if (call == NULL) {
        return NGX_ERROR;
    }

    call->owner = pd;
    call->script = script;

    rc = ngx_sio_presence_call_queue(pd, call, 0);

    if (rc != NGX_OK) {
        ngx_free(call);
        return rc;
    }

    pd->call = call;

    return NGX_OK;
}


/*
 * Each call has a stamp of its own: one that Redis executes late, because it
 * was stopped, is refused when a later one has come over another connection.
 */

static ngx_int_t
ngx_sio_presence_call_queue(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_call_t *call, ngx_uint_t whole)
{
    ngx_int_t         rc;
    ngx_uint_t        i;
    const ngx_str_t  *text;

    ngx_sio_presence_call_argc = 0;

    if (whole) {
        text = ngx_sio_presence_script(call->script);

        ngx_sio_presence_call_arg("EVAL", 4);
        ngx_sio_presence_call_arg(text->data, text->len);

    } else {
        ngx_sio_presence_call_arg("EVALSHA", 7);
        ngx_sio_presence_call_arg(ngx_sio_presence_script_sha(call->script),
                                  40);
    }

    ngx_sio_presence_call_arg("4", 1);

    for (i = 0; i < 4; i++) {
        ngx_sio_presence_call_arg(pd->key[i].data, pd->key[i].len);
    }

    if (ngx_sio_presence_call_common(pd) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < pd->nargs; i++) {
        ngx_sio_presence_call_arg(pd->text.data + pd->arg[i].start,
                                  pd->arg[i].len);
    }

    rc = ngx_sio_redis_command(pd->gw->redis, ngx_sio_presence_call_argc,
                               ngx_sio_presence_call_argv,
                               ngx_sio_presence_call_lens,
                               NGX_SIO_PRESENCE_RENEWAL,
                               ngx_sio_presence_call_reply, call);

    ngx_log_debug3(NGX_LOG_DEBUG_EVENT, pd->gw->log, 0,
                   "socketio presence call %ui, %ui arguments: %i",
                   call->script, pd->nargs, rc);

    return rc;
}


/* What all scripts are told. */

static ngx_int_t
ngx_sio_presence_call_common(ngx_sio_presence_redis_t *pd)
{
    u_char    *p, *q;
    uint64_t   epoch;

    static u_char  text[NGX_SIO_PRESENCE_STAMP + NGX_SIO_PRESENCE_EPOCH * 2
                        + NGX_INT64_LEN * 3];

    if (ngx_sio_zone_random(&epoch) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sio_presence_call_arg(pd->node.data, pd->node.len);

    p = ngx_sprintf(text, "%020uL%010uL", pd->fence, ++pd->calls);
    ngx_sio_presence_call_arg(text, p - text);

    q = ngx_sprintf(p, "%d", NGX_SIO_PRESENCE_LEASE);
    ngx_sio_presence_call_arg(p, q - p);

    ngx_sio_presence_call_arg(pd->channel.data, pd->channel.len);

    p = ngx_sprintf(q, "%016xL", epoch);
    ngx_sio_presence_call_arg(q, p - q);

    q = pd->epoch ? ngx_sprintf(p, "%016xL", pd->epoch) : p;
    ngx_sio_presence_call_arg(p, q - p);

    p = ngx_sprintf(q, "%uL", pd->latest);
    ngx_sio_presence_call_arg(q, p - q);

    q = ngx_sprintf(p, "%L", pd->count);
    ngx_sio_presence_call_arg(p, q - p);

    return NGX_OK;
}


static void
ngx_sio_presence_call_arg(const void *data, size_t len)
{
    ngx_uint_t  n;

    n = ngx_sio_presence_call_argc++;

    ngx_sio_presence_call_argv[n] = data;
    ngx_sio_presence_call_lens[n] = len;
}


void
ngx_sio_presence_call_drop(ngx_sio_presence_redis_t *pd)
{
    if (pd->call) {
        pd->call->owner = NULL;
        pd->call = NULL;
    }
}


static ngx_int_t
ngx_sio_presence_call_reply(void *data, redisReply *reply)
{
    ngx_sio_presence_call_t *call = data;

    ngx_sio_presence_answer_t  *answer, a;
    ngx_sio_presence_redis_t   *pd;

    pd = call->owner;

    if (pd == NULL) {
        ngx_free(call);
        return NGX_OK;
    }

    if (reply && ngx_sio_presence_call_unknown(reply)
        && ngx_sio_presence_call_queue(pd, call, 1) == NGX_OK)
    {
        return NGX_OK;
    }

    pd->call = NULL;
    answer = NULL;

    if (reply) {
        a.script = call->script;

        if (ngx_sio_presence_call_parse(reply, &a) == NGX_OK) {
            answer = &a;

        } else {
            ngx_sio_presence_call_refused(pd, reply);
        }
    }

    ngx_free(call);

    ngx_sio_presence_redis_answer(pd, answer);

    return NGX_OK;
}


static ngx_uint_t
ngx_sio_presence_call_unknown(redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR
           && ngx_strncmp(reply->str, "NOSCRIPT", 8) == 0;
}


static ngx_int_t
ngx_sio_presence_call_parse(redisReply *reply,
    ngx_sio_presence_answer_t *answer)
{
    ngx_uint_t    i, n, extra;
    redisReply  **e;

    static ngx_uint_t  extras[NGX_SIO_PRESENCE_SCRIPTS] = { 0, 3, 1 };

    extra = extras[answer->script];

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 6 + extra) {
        return NGX_ERROR;
    }

    e = reply->element;

    if (e[0]->type != REDIS_REPLY_STRING) {
        return NGX_ERROR;
    }

    /* the last one is an array, if there are any */

    n = 6 + (extra ? extra - 1 : 0);

    for (i = 1; i < n; i++) {
        if (e[i]->type != REDIS_REPLY_INTEGER) {
            return NGX_ERROR;
        }
    }

    if (extra && e[n]->type != REDIS_REPLY_ARRAY) {
        return NGX_ERROR;
    }

    if (ngx_sio_presence_call_epoch(e[0]->str, e[0]->len, &answer->epoch)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    answer->version = e[1]->integer;
    answer->before = e[2]->integer;
    answer->after = e[3]->integer;
    answer->online = e[4]->integer;
    answer->hold = (ngx_msec_t) e[5]->integer;
    answer->own = &e[6];

    return NGX_OK;
}


ngx_int_t
ngx_sio_presence_call_epoch(const char *text, size_t len, uint64_t *epoch)
{
    size_t     i;
    ngx_int_t  digit;

    if (len != NGX_SIO_PRESENCE_EPOCH) {
        return NGX_ERROR;
    }

    *epoch = 0;

    for (i = 0; i < len; i++) {
        digit = ngx_hextoi((u_char *) &text[i], 1);

        if (digit == NGX_ERROR) {
            return NGX_ERROR;
        }

        *epoch = *epoch << 4 | (uint64_t) digit;
    }

    return NGX_OK;
}


static void
ngx_sio_presence_call_refused(ngx_sio_presence_redis_t *pd,
    redisReply *reply)
{
    ngx_str_t  text;

    if (pd->complained
        && ngx_current_msec - pd->complained < NGX_SIO_PRESENCE_COMPLAIN)
    {
        return;
    }

    pd->complained = ngx_current_msec;

    if (reply->type == REDIS_REPLY_ERROR) {
        text.data = (u_char *) reply->str;
        text.len = ngx_min(reply->len, 256);

    } else {
        ngx_str_set(&text, "its answer is not that of the script");
    }

    ngx_log_error(NGX_LOG_ERR, pd->gw->log, 0,
                  "socketio presence of gateway \"%V\": Redis refuses: %V",
                  &pd->gw->conf->name, &text);
}
