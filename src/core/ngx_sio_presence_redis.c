
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_presence_call.h"


#define NGX_SIO_PRESENCE_PATIENCE  5000        /* ms without Redis, until it
                                                  counts as away */
#define NGX_SIO_PRESENCE_PAUSE     500         /* ms after a failed call, and
                                                  between two lists */


static ngx_int_t ngx_sio_presence_redis_names(ngx_sio_presence_redis_t *pd);
static u_char *ngx_sio_presence_redis_key(ngx_str_t *key, u_char *p,
    ngx_sio_gateway_t *gw, const char *text, ngx_str_t *node);
static void ngx_sio_presence_redis_recall(ngx_sio_presence_redis_t *pd);
static ngx_uint_t ngx_sio_presence_redis_pausing(ngx_sio_presence_redis_t *pd);
static ngx_int_t ngx_sio_presence_redis_renew(ngx_sio_presence_redis_t *pd);
static void ngx_sio_presence_redis_epoch(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer);
static void ngx_sio_presence_redis_renewed(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer);
static void ngx_sio_presence_redis_note(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer);
static void ngx_sio_presence_redis_health(ngx_sio_presence_redis_t *pd);
static void ngx_sio_presence_redis_away(ngx_sio_presence_redis_t *pd,
    ngx_uint_t away);


ngx_sio_presence_redis_t *
ngx_sio_presence_redis_create(ngx_sio_gateway_t *gw)
{
    ngx_sio_presence_redis_t  *pd;

    if (ngx_sio_presence_script_init(gw->log) != NGX_OK) {
        return NULL;
    }

    pd = ngx_calloc(sizeof(ngx_sio_presence_redis_t), gw->log);
    if (pd == NULL) {
        return NULL;
    }

    pd->gw = gw;

    ngx_queue_init(&pd->kept);

    return pd;
}


void
ngx_sio_presence_redis_start(ngx_sio_presence_redis_t *pd, uint64_t fence)
{
    if (pd->fence) {
        ngx_sio_presence_redis_stop(pd);
    }

    ngx_log_error(NGX_LOG_INFO, pd->gw->log, 0,
                  "socketio presence of gateway \"%V\" is told to Redis by "
                  "this worker", &pd->gw->conf->name);

    pd->fence = fence;
    pd->calls = 0;
    pd->epoch = 0;
    pd->version = 0;
    pd->latest = 0;
    pd->renewed = 0;
    pd->read = 0;
    pd->more = 0;
    pd->pausing = 0;
    pd->holding = 0;
    pd->away = 0;
    pd->well = ngx_current_msec;

    ngx_sio_presence_report_doubt(pd);
    ngx_sio_presence_redis_recall(pd);
    ngx_sio_presence_redis_tick(pd);
}


void
ngx_sio_presence_redis_stop(ngx_sio_presence_redis_t *pd)
{
    if (pd->fence == 0) {
        return;
    }

    pd->fence = 0;

    ngx_sio_presence_call_drop(pd);
    ngx_sio_presence_replica_close(pd);
    ngx_sio_presence_report_doubt(pd);
    ngx_sio_presence_away(pd->gw, 0);

    sio_buf_free(&pd->text);
    sio_buf_free(&pd->strays);
}


void
ngx_sio_presence_redis_close(ngx_sio_presence_redis_t *pd)
{
    ngx_sio_presence_redis_stop(pd);

    if (pd->names) {
        ngx_free(pd->names);
    }

    ngx_free(pd);
}


void
ngx_sio_presence_redis_tick(ngx_sio_presence_redis_t *pd)
{
    if (pd->fence == 0 || ngx_sio_presence_redis_names(pd) != NGX_OK) {
        return;
    }

    ngx_sio_presence_replica_open(pd);
    ngx_sio_presence_replica_watch(pd);

    if (pd->holding && (ngx_msec_int_t) (ngx_current_msec - pd->hold) >= 0) {

        /* all nodes had time to say whom they have */

        pd->holding = 0;
        ngx_sio_presence_replica_doubt(pd);
    }

    ngx_sio_presence_redis_next(pd);
    ngx_sio_presence_redis_health(pd);
}


/* From then on the node may have clients, who get a list. */

void
ngx_sio_presence_redis_settled(ngx_sio_presence_redis_t *pd, ngx_uint_t all)
{
    ngx_sio_zone_t        *z;
    ngx_sio_cluster_sh_t  *cl;

    z = pd->gw->zone;

    if (pd->fence == 0 || ngx_sio_load(&z->sh->cluster.ready) == z->epoch
        || !((pd->listed && all) || pd->away))
    {
        return;
    }

    cl = ngx_sio_presence_redis_lock(pd);

    if (cl) {
        ngx_sio_store(&cl->ready, z->epoch);
        ngx_sio_zone_unlock(z);
    }
}


/* A node whose zone was emptied is another node: nobody is on it. */

static ngx_int_t
ngx_sio_presence_redis_names(ngx_sio_presence_redis_t *pd)
{
    size_t              size;
    u_char             *p;
    ngx_str_t          *prefix;
    ngx_sio_zone_sh_t  *sh;
    ngx_sio_gateway_t  *gw;

    gw = pd->gw;
    sh = gw->zone->sh;

    if (pd->names && pd->zone_epoch == gw->zone->epoch) {
        return NGX_OK;
    }

    ngx_sio_presence_call_drop(pd);
    ngx_sio_presence_report_doubt(pd);

    if (pd->names) {
        ngx_free(pd->names);
    }

    prefix = &gw->conf->redis_prefix;

    size = (prefix->len + sizeof(":sio:presence:online")) * 5
           + (NGX_SIO_NODE_LEN + 1 + 16) * 2;

    pd->names = ngx_alloc(size, gw->log);
    if (pd->names == NULL) {
        return NGX_ERROR;
    }

    pd->zone_epoch = gw->zone->epoch;

    p = pd->names;

    pd->node.data = p;
    p = ngx_cpymem(p, sh->node, sh->node_len);
    p = ngx_sprintf(p, ".%016xL", pd->zone_epoch);
    pd->node.len = p - pd->node.data;

    p = ngx_sio_presence_redis_key(&pd->key[0], p, gw, "online", NULL);
    p = ngx_sio_presence_redis_key(&pd->key[1], p, gw, "nodes", NULL);
    p = ngx_sio_presence_redis_key(&pd->key[2], p, gw, "state", NULL);
    p = ngx_sio_presence_redis_key(&pd->key[3], p, gw, "node:", &pd->node);

    pd->channel.data = p;
    p = ngx_cpymem(p, prefix->data, prefix->len);
    p = ngx_cpymem(p, "-sio#presence", sizeof("-sio#presence") - 1);
    pd->channel.len = p - pd->channel.data;

    return NGX_OK;
}


static u_char *
ngx_sio_presence_redis_key(ngx_str_t *key, u_char *p, ngx_sio_gateway_t *gw,
    const char *text, ngx_str_t *node)
{
    ngx_str_t  *prefix;

    prefix = &gw->conf->redis_prefix;

    key->data = p;

    p = ngx_cpymem(p, prefix->data, prefix->len);
    p = ngx_cpymem(p, ":sio:presence:", sizeof(":sio:presence:") - 1);
    p = ngx_cpymem(p, text, ngx_strlen(text));

    if (node) {
        p = ngx_cpymem(p, node->data, node->len);
    }

    key->len = p - key->data;

    return p;
}


/* What the actor before this one knew. */

static void
ngx_sio_presence_redis_recall(ngx_sio_presence_redis_t *pd)
{
    ngx_uint_t             away;
    ngx_sio_cluster_sh_t  *cl;

    cl = ngx_sio_presence_redis_lock(pd);

    if (cl == NULL) {
        return;
    }

    pd->epoch = cl->epoch;
    pd->latest = cl->version;
    away = (cl->away != 0);

    ngx_sio_zone_unlock(pd->gw->zone);

    if (away) {
        pd->away = 1;
        ngx_sio_presence_away(pd->gw, 1);
    }
}


ngx_sio_cluster_sh_t *
ngx_sio_presence_redis_lock(ngx_sio_presence_redis_t *pd)
{
    ngx_sio_zone_t  *z;

    z = pd->gw->zone;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NULL;
    }

    if (!ngx_sio_online_acts(z, pd->fence)) {
        ngx_sio_zone_unlock(z);
        return NULL;
    }

    return &z->sh->cluster;
}


/*
 * One call at a time.  The list is read when Redis knows all who are here, so
 * that none of them is missing in it.
 */

void
ngx_sio_presence_redis_next(ngx_sio_presence_redis_t *pd)
{
    ngx_sio_gateway_t  *gw;

    gw = pd->gw;

    if (pd->fence == 0 || pd->call || gw->redis == NULL
        || !ngx_sio_redis_ready(gw->redis)
        || ngx_sio_presence_redis_pausing(pd))
    {
        return;
    }

    if (pd->renewed == 0 || pd->more
        || ngx_current_msec - pd->renewed >= NGX_SIO_PRESENCE_RENEWAL)
    {
        (void) ngx_sio_presence_redis_renew(pd);
        return;
    }

    if (!pd->synced) {
        (void) ngx_sio_presence_report_read(pd);
        return;
    }

    if (pd->listed && pd->told_all
        && ngx_current_msec - pd->changed < NGX_SIO_PRESENCE_TICK)
    {
        return;
    }

    if ((pd->listed || !pd->told_all)
        && ngx_sio_presence_report_change(pd) != NGX_DONE)
    {
        pd->changed = ngx_current_msec;
        return;
    }

    if (pd->subscribed && !pd->listed
        && (pd->read == 0
            || ngx_current_msec - pd->read >= NGX_SIO_PRESENCE_PAUSE))
    {
        pd->read = ngx_current_msec;
        (void) ngx_sio_presence_replica_read(pd);
    }
}


static ngx_uint_t
ngx_sio_presence_redis_pausing(ngx_sio_presence_redis_t *pd)
{
    if (pd->pausing && (ngx_msec_int_t) (ngx_current_msec - pd->paused) >= 0) {
        pd->pausing = 0;
    }

    return pd->pausing;
}


static ngx_int_t
ngx_sio_presence_redis_renew(ngx_sio_presence_redis_t *pd)
{
    u_char  num[NGX_INT64_LEN], *p;

    ngx_sio_presence_call_begin(pd);

    p = ngx_sprintf(num, "%M", pd->gw->conf->presence_linger);

    if (ngx_sio_presence_call_add(pd, 0, num, p - num) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(num, "%d", NGX_SIO_PRESENCE_CHANGES);

    if (ngx_sio_presence_call_add(pd, 0, num, p - num) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_sio_presence_call_send(pd, NGX_SIO_PRESENCE_RENEW);
}


void
ngx_sio_presence_redis_answer(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer)
{
    ngx_uint_t  doubt;

    if (answer == NULL) {
        pd->pausing = 1;
        pd->paused = ngx_current_msec + NGX_SIO_PRESENCE_PAUSE;

        ngx_sio_presence_report_doubt(pd);
        return;
    }

    doubt = (answer->epoch != pd->epoch);

    if (doubt) {
        ngx_sio_presence_redis_epoch(pd, answer);

    } else if (pd->count >= 0 && answer->before != pd->count) {

        /* others took this node for dead */

        doubt = 1;
        ngx_sio_presence_report_doubt(pd);
    }

    pd->count = answer->after;
    pd->latest = ngx_max(pd->latest, answer->version);

    if (answer->hold) {
        pd->holding = 1;
        pd->hold = ngx_current_msec + answer->hold;
    }

    ngx_sio_presence_redis_note(pd, answer);

    switch (answer->script) {

    case NGX_SIO_PRESENCE_CHANGE:
        if (!doubt) {
            ngx_sio_presence_report_changed(pd);
        }

        break;

    case NGX_SIO_PRESENCE_RENEW:
        ngx_sio_presence_redis_renewed(pd, answer);
        break;

    default: /* NGX_SIO_PRESENCE_READ */
        if (pd->reading == 0) {
            ngx_sio_presence_report_take(pd, answer->own[0]);

        } else if (!doubt) {
            ngx_sio_presence_replica_take(pd, answer);
        }
    }

    ngx_sio_presence_redis_health(pd);
    ngx_sio_presence_redis_next(pd);
}


static void
ngx_sio_presence_redis_epoch(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer)
{
    if (pd->epoch) {
        ngx_log_error(NGX_LOG_WARN, pd->gw->log, 0,
                      "socketio presence of gateway \"%V\": Redis has lost "
                      "data, this node tells it again who is here",
                      &pd->gw->conf->name);
    }

    pd->epoch = answer->epoch;
    pd->version = 0;
    pd->latest = 0;

    ngx_sio_presence_report_doubt(pd);
    ngx_sio_presence_replica_doubt(pd);
}


static void
ngx_sio_presence_redis_renewed(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer)
{
    size_t                  i;
    redisReply             *dead;
    ngx_sio_cluster_sh_t  *cl;

    pd->renewed = ngx_current_msec;
    pd->more = (answer->own[0]->integer != 0);
    dead = answer->own[2];

    for (i = 0; i < dead->elements; i++) {

        if (dead->element[i]->type != REDIS_REPLY_STRING) {
            continue;
        }

        ngx_log_error(NGX_LOG_NOTICE, pd->gw->log, 0,
                      "socketio presence of gateway \"%V\": node \"%*s\" is "
                      "gone, and its users with it", &pd->gw->conf->name,
                      dead->element[i]->len, dead->element[i]->str);
    }

    if (dead->elements == 0) {
        return;
    }

    cl = ngx_sio_presence_redis_lock(pd);

    if (cl) {
        cl->expired += dead->elements;
        ngx_sio_zone_unlock(pd->gw->zone);
    }
}


/* The version first: an epoch with a later one than it has would be lost. */

static void
ngx_sio_presence_redis_note(ngx_sio_presence_redis_t *pd,
    ngx_sio_presence_answer_t *answer)
{
    ngx_sio_cluster_sh_t  *cl;

    cl = ngx_sio_presence_redis_lock(pd);

    if (cl == NULL) {
        return;
    }

    cl->version = pd->latest;

    ngx_sio_step();

    cl->epoch = pd->epoch;
    cl->users = answer->online;

    ngx_sio_zone_unlock(pd->gw->zone);
}


static void
ngx_sio_presence_redis_health(ngx_sio_presence_redis_t *pd)
{
    if (pd->subscribed && pd->listed && pd->synced && pd->call == NULL
        && !pd->pausing && pd->gw->redis && ngx_sio_redis_ready(pd->gw->redis))
    {
        pd->well = ngx_current_msec;

        ngx_sio_store(&pd->gw->zone->sh->cluster.applied,
                      ngx_sio_zone_now());

        ngx_sio_presence_redis_away(pd, 0);

    } else if (ngx_current_msec - pd->well >= NGX_SIO_PRESENCE_PATIENCE) {
        ngx_sio_presence_redis_away(pd, 1);
    }
}


static void
ngx_sio_presence_redis_away(ngx_sio_presence_redis_t *pd, ngx_uint_t away)
{
    ngx_sio_cluster_sh_t  *cl;

    if (pd->away == away) {
        return;
    }

    cl = ngx_sio_presence_redis_lock(pd);

    if (cl == NULL) {
        return;
    }

    cl->away = away ? ngx_sio_zone_now() : 0;

    ngx_sio_zone_unlock(pd->gw->zone);

    pd->away = away;

    ngx_sio_presence_away(pd->gw, away);

    /* from now on the list here is not that of Redis */

    if (away) {
        ngx_sio_presence_replica_doubt(pd);
    }

    if (away) {
        ngx_log_error(NGX_LOG_ERR, pd->gw->log, 0,
                      "socketio presence of gateway \"%V\" goes on without "
                      "Redis", &pd->gw->conf->name);
    } else {
        ngx_log_error(NGX_LOG_NOTICE, pd->gw->log, 0,
                      "socketio presence of gateway \"%V\" is that of the "
                      "cluster again", &pd->gw->conf->name);
    }
}
