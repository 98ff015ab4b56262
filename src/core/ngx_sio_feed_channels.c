
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_feed_channels.h"

#include <sio_hash.h>


/* True for a channel, which is no pattern. */
#define ngx_sio_feed_channels_exact(channel)                                  \
    ((channel)->kind == NGX_SIO_FEED_HEARTBEAT                                \
     || (channel)->kind == NGX_SIO_FEED_COMMAND)


static u_char *ngx_sio_feed_channels_escape(u_char *p, ngx_str_t *text);
static u_char *ngx_sio_feed_channels_add(ngx_sio_feed_channels_t *ch,
    u_char *p, u_char *last, ngx_uint_t kind, ngx_uint_t nsp);
static ngx_uint_t ngx_sio_feed_channels_equal(redisReply *reply,
    ngx_str_t *name);
static ngx_int_t ngx_sio_feed_channels_number(ngx_str_t *payload,
    uint64_t epoch, uint64_t *number);


ngx_int_t
ngx_sio_feed_channels_init(ngx_sio_feed_channels_t *ch, ngx_sio_gateway_t *gw)
{
    u_char               *p, *q;
    size_t                size;
    ngx_str_t            *prefix;
    ngx_uint_t            i, n;
    ngx_sio_namespace_t  *nsp;

    prefix = &gw->conf->redis_prefix;
    nsp = gw->conf->namespaces.elts;
    n = gw->conf->namespaces.nelts;

    /*
     * Two patterns per namespace, in which any character may be escaped, and
     * two channels.
     */

    size = (n * 2 + 2) * sizeof(ngx_sio_feed_channel_t)
           + prefix->len + sizeof("-command")
           + prefix->len + sizeof("-sio#heartbeat#") + NGX_SIO_NODE_LEN;

    for (i = 0; i < n; i++) {
        size += (prefix->len + nsp[i].name.len) * 4
                + sizeof("##*-request##");
    }

    ch->n = 0;
    ch->channel = ngx_alloc(size, gw->log);
    if (ch->channel == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) &ch->channel[n * 2 + 2];

    for (i = 0; i < n; i++) {
        q = ngx_sio_feed_channels_escape(p, prefix);
        *q++ = '#';
        q = ngx_sio_feed_channels_escape(q, &nsp[i].name);
        *q++ = '#';
        *q++ = '*';

        p = ngx_sio_feed_channels_add(ch, p, q, NGX_SIO_FEED_BROADCAST,
                                      nsp[i].nsp);

        q = ngx_sio_feed_channels_escape(p, prefix);
        q = ngx_cpymem(q, "-request#", sizeof("-request#") - 1);
        q = ngx_sio_feed_channels_escape(q, &nsp[i].name);
        *q++ = '#';

        p = ngx_sio_feed_channels_add(ch, p, q, NGX_SIO_FEED_REQUEST,
                                      nsp[i].nsp);
    }

    q = ngx_cpymem(p, prefix->data, prefix->len);
    q = ngx_cpymem(q, "-command", sizeof("-command") - 1);

    p = ngx_sio_feed_channels_add(ch, p, q, NGX_SIO_FEED_COMMAND, 0);

    q = ngx_cpymem(p, prefix->data, prefix->len);
    q = ngx_cpymem(q, "-sio#heartbeat#", sizeof("-sio#heartbeat#") - 1);
    q = ngx_cpymem(q, gw->zone->sh->node, gw->zone->sh->node_len);

    (void) ngx_sio_feed_channels_add(ch, p, q, NGX_SIO_FEED_HEARTBEAT, 0);

    return NGX_OK;
}


static u_char *
ngx_sio_feed_channels_escape(u_char *p, ngx_str_t *text)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') {
            *p++ = '\\';
        }

        *p++ = c;
    }

    return p;
}


static u_char *
ngx_sio_feed_channels_add(ngx_sio_feed_channels_t *ch, u_char *p, u_char *last,
    ngx_uint_t kind, ngx_uint_t nsp)
{
    ngx_sio_feed_channel_t  *channel;

    channel = &ch->channel[ch->n++];

    channel->name.data = p;
    channel->name.len = last - p;
    channel->kind = kind;
    channel->nsp = nsp;

    return last;
}


void
ngx_sio_feed_channels_free(ngx_sio_feed_channels_t *ch)
{
    ngx_free(ch->channel);

    ch->channel = NULL;
    ch->n = 0;
}


const char *
ngx_sio_feed_channels_verb(ngx_sio_feed_channel_t *channel)
{
    /*
     * Requests come by pattern too: the adapters of Node count those who name
     * a request channel exactly, and wait for their answers.
     */

    return ngx_sio_feed_channels_exact(channel) ? "SUBSCRIBE" : "PSUBSCRIBE";
}


uint64_t
ngx_sio_feed_channels_hash(ngx_sio_feed_channels_t *ch, uint64_t run_id)
{
    uint64_t    hash;
    ngx_uint_t  i;

    hash = run_id;

    for (i = 0; i < ch->n; i++) {
        hash = sio_hash(hash, ch->channel[i].name.data,
                        ch->channel[i].name.len);
    }

    return hash;
}


void
ngx_sio_feed_channels_read(ngx_sio_feed_channels_t *ch, uint64_t epoch,
    redisReply *reply, ngx_sio_feed_push_t *push)
{
    size_t                    i;
    redisReply              **e;
    ngx_sio_feed_channel_t   *channel;

    ngx_memzero(push, sizeof(ngx_sio_feed_push_t));

    if (reply->type != REDIS_REPLY_ARRAY
        || (reply->elements != 3 && reply->elements != 4))
    {
        return;
    }

    e = reply->element;

    for (i = 0; i < reply->elements; i++) {
        if (e[i]->type != REDIS_REPLY_STRING) {
            return;
        }
    }

    /* a pmessage is told by its pattern: channels may match several */

    channel = ch->channel;

    for (i = 0; i < ch->n; i++, channel++) {

        if (ngx_sio_feed_channels_exact(channel) == (reply->elements == 3)
            && ngx_sio_feed_channels_equal(e[1], &channel->name))
        {
            break;
        }
    }

    if (i == ch->n) {
        return;
    }

    push->nsp = channel->nsp;
    push->channel.data = (u_char *) e[reply->elements - 2]->str;
    push->channel.len = e[reply->elements - 2]->len;
    push->payload.data = (u_char *) e[reply->elements - 1]->str;
    push->payload.len = e[reply->elements - 1]->len;

    if (channel->kind == NGX_SIO_FEED_HEARTBEAT
        && ngx_sio_feed_channels_number(&push->payload, epoch, &push->number)
           != NGX_OK)
    {
        return;
    }

    push->kind = channel->kind;
}


static ngx_uint_t
ngx_sio_feed_channels_equal(redisReply *reply, ngx_str_t *name)
{
    return (size_t) reply->len == name->len
           && ngx_memcmp(reply->str, name->data, name->len) == 0;
}


/* "<zone epoch in hex> <number>"; NGX_DECLINED if it is not of this epoch. */

static ngx_int_t
ngx_sio_feed_channels_number(ngx_str_t *payload, uint64_t epoch,
    uint64_t *number)
{
    u_char    *p, *last;
    size_t     len;
    u_char     text[NGX_INT64_LEN];
    uint64_t   n;

    len = ngx_sprintf(text, "%xL ", epoch) - text;

    if (payload->len <= len || payload->len > len + 20
        || ngx_memcmp(payload->data, text, len) != 0)
    {
        return NGX_DECLINED;
    }

    n = 0;
    last = payload->data + payload->len;

    for (p = payload->data + len; p < last; p++) {
        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        n = n * 10 + (*p - '0');
    }

    *number = n;

    return NGX_OK;
}
