
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_entry.h"


static void ngx_sio_entry_arg(ngx_sio_entry_t *en, const void *data,
    size_t len);


void
ngx_sio_entry_begin(ngx_sio_entry_t *en, ngx_sio_gateway_t *gw,
    const ngx_str_t *stream, const ngx_str_t *maxlen,
    const ngx_sio_entry_text_t *text)
{
    size_t     len;
    ngx_str_t  nsp;

    en->n = 0;
    en->size = 0;

    ngx_sio_nsp_name(gw->zone, text->nsp, &nsp);

    len = ngx_sprintf(en->time, "%uL", text->time) - en->time;

    ngx_sio_entry_field(en, "XADD", stream->data, stream->len);

    if (maxlen->len) {
        ngx_sio_entry_field(en, "MAXLEN", "~", 1);
        ngx_sio_entry_arg(en, maxlen->data, maxlen->len);
    }

    ngx_sio_entry_arg(en, "*", 1);
    ngx_sio_entry_field(en, "event", text->event.data, text->event.len);
    ngx_sio_entry_field(en, "user", text->user.data, text->user.len);
    ngx_sio_entry_field(en, "sid", text->sid, NGX_SIO_SID_LEN);
    ngx_sio_entry_field(en, "nsp", nsp.data, nsp.len);
    ngx_sio_entry_field(en, "args", text->args.data, text->args.len);
    ngx_sio_entry_field(en, "ack", text->ack.data, text->ack.len);
    ngx_sio_entry_field(en, "node", gw->zone->sh->node,
                        gw->zone->sh->node_len);
    ngx_sio_entry_field(en, "time", en->time, len);
}


void
ngx_sio_entry_field(ngx_sio_entry_t *en, const char *name, const void *data,
    size_t len)
{
    ngx_sio_entry_arg(en, name, ngx_strlen(name));
    ngx_sio_entry_arg(en, data, len);
}


static void
ngx_sio_entry_arg(ngx_sio_entry_t *en, const void *data, size_t len)
{
    en->argv[en->n] = data;
    en->len[en->n] = len;
    en->n++;

    en->size += len;
}


ngx_int_t
ngx_sio_entry_send(ngx_sio_entry_t *en, ngx_sio_gateway_t *gw,
    ngx_sio_redis_reply_pt reply, void *data)
{
    return ngx_sio_redis_command_early(gw->redis, en->n, en->argv, en->len,
                                       NGX_SIO_ENTRY_TIMEOUT, reply, data);
}


/* What Redis says of one entry it says of all: once a second is enough. */

void
ngx_sio_entry_complain(ngx_sio_gateway_t *gw, redisReply *reply)
{
    ngx_str_t          what;
    static ngx_msec_t  complained;

    if (complained && ngx_current_msec - complained < 1000) {
        return;
    }

    complained = ngx_current_msec;

    if (reply->type == REDIS_REPLY_ERROR) {
        what.data = (u_char *) reply->str;
        what.len = reply->len;

    } else {
        ngx_str_set(&what, "no id in its reply");
    }

    ngx_log_error(NGX_LOG_ERR, gw->log, 0,
                  "socketio redis \"%V\" refused the entry of an event: %V",
                  &gw->conf->redis->name, &what);
}
