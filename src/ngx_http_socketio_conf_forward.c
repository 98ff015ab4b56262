
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_http_socketio_conf.h"

#include <sio_packet.h>


#define NGX_HTTP_SOCKETIO_MAXLEN  "100000"     /* default */


static ngx_int_t ngx_http_socketio_forward_event(ngx_conf_t *cf,
    ngx_sio_loc_conf_t *slcf, ngx_str_t *event);
static ngx_int_t ngx_http_socketio_forward_param(ngx_sio_forward_rule_t *rule,
    ngx_str_t *param);


/* <event>|* stream=<key> [maxlen=n] */

char *
ngx_http_socketio_forward(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_sio_forward_rule_t   rule, *r;

    if (slcf->forward == NGX_CONF_UNSET_PTR) {
        slcf->forward = ngx_array_create(cf->pool, 4,
                                         sizeof(ngx_sio_forward_rule_t));
        if (slcf->forward == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    if (ngx_http_socketio_forward_event(cf, slcf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&rule, sizeof(ngx_sio_forward_rule_t));
    rule.event = value[1];
    ngx_http_socketio_place(cf, &rule.place);

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_socketio_forward_param(&rule, &value[i]) != NGX_OK) {
            return ngx_http_socketio_invalid(cf, &value[i]);
        }
    }

    if (rule.stream.len == 0) {
        return "needs \"stream=<key>\"";
    }

    if (rule.maxlen.data == NULL) {
        ngx_str_set(&rule.maxlen, NGX_HTTP_SOCKETIO_MAXLEN);
    }

    r = ngx_array_push(slcf->forward);
    if (r == NULL) {
        return NGX_CONF_ERROR;
    }

    *r = rule;

    return NGX_CONF_OK;
}


/*
 * A name that begins with "$" is none of a client's event; two are those of
 * sockets that come and go.
 */

static ngx_int_t
ngx_http_socketio_forward_event(ngx_conf_t *cf, ngx_sio_loc_conf_t *slcf,
    ngx_str_t *event)
{
    ngx_uint_t               i;
    ngx_sio_forward_rule_t  *rule;

    if (event->len == 0
        || !ngx_http_socketio_utf8(event)
        || sio_packet_reserved(event->data, event->len)
        || (event->data[0] == '$'
            && ngx_strcmp(event->data, "$connect") != 0
            && ngx_strcmp(event->data, "$disconnect") != 0))
    {
        (void) ngx_http_socketio_invalid(cf, event);
        return NGX_ERROR;
    }

    rule = slcf->forward->elts;

    for (i = 0; i < slcf->forward->nelts; i++) {

        if (rule[i].event.len == event->len
            && ngx_memcmp(rule[i].event.data, event->data, event->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate \"socketio_forward %V\"", event);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_socketio_forward_param(ngx_sio_forward_rule_t *rule, ngx_str_t *param)
{
    ngx_int_t  n;

    if (param->len > 7 && ngx_strncmp(param->data, "stream=", 7) == 0
        && rule->stream.len == 0)
    {
        rule->stream.data = param->data + 7;
        rule->stream.len = param->len - 7;
        return NGX_OK;
    }

    if (param->len > 7 && ngx_strncmp(param->data, "maxlen=", 7) == 0
        && rule->maxlen.data == NULL)
    {
        n = ngx_atoi(param->data + 7, param->len - 7);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        rule->maxlen.data = param->data + 7;
        rule->maxlen.len = n ? param->len - 7 : 0;
        return NGX_OK;
    }

    return NGX_ERROR;
}
