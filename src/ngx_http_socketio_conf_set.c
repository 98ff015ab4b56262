
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_http_socketio_conf.h"

#include <ngx_sio_auth.h>

#include <sio_packet.h>
#include <sio_utf8.h>


/* the sum of two intervals is a 31-bit number of milliseconds in browsers */

#define NGX_HTTP_SOCKETIO_MAX_MSEC  0x3fffffff


static char *ngx_http_socketio_rooms_source(ngx_conf_t *cf,
    ngx_sio_rooms_source_t *source, ngx_str_t *param);
static char *ngx_http_socketio_ready_data(ngx_conf_t *cf,
    ngx_sio_loc_conf_t *slcf);
static ngx_sio_template_t *ngx_http_socketio_template(ngx_conf_t *cf,
    ngx_str_t *source);


char *
ngx_http_socketio_user_claim(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    ngx_str_t  *value;

    if (slcf->user_claim.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_http_socketio_invalid(cf, &value[1]);
    }

    slcf->user_claim = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_socketio_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    u_char                  *p, *last;
    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_sio_auth_require_t  *r;

    if (slcf->require == NGX_CONF_UNSET_PTR) {
        slcf->require = ngx_array_create(cf->pool, 4,
                                         sizeof(ngx_sio_auth_require_t));
        if (slcf->require == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        last = value[i].data + value[i].len;
        p = ngx_strlchr(value[i].data, last, '=');

        if (p == NULL || p == value[i].data || p + 1 == last) {
            return ngx_http_socketio_invalid(cf, &value[i]);
        }

        r = ngx_array_push(slcf->require);
        if (r == NULL) {
            return NGX_CONF_ERROR;
        }

        r->name.data = value[i].data;
        r->name.len = p - value[i].data;
        r->value.data = p + 1;
        r->value.len = last - p - 1;

        *p = '\0';
    }

    return NGX_CONF_OK;
}


/* The times in a token are seconds: a part of one counts as a whole. */

char *
ngx_http_socketio_leeway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    ngx_int_t   ms;
    ngx_str_t  *value;

    if (slcf->leeway != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ms = ngx_parse_time(&value[1], 0);

    if (ms == NGX_ERROR) {
        return ngx_http_socketio_invalid(cf, &value[1]);
    }

    slcf->leeway = ms / 1000 + (ms % 1000 != 0);

    return NGX_CONF_OK;
}


char *
ngx_http_socketio_user_room(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    ngx_str_t  *value;

    if (slcf->user_room != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        slcf->user_room = NULL;
        return NGX_CONF_OK;
    }

    if (value[1].len == 0 || !ngx_http_socketio_utf8(&value[1])) {
        return ngx_http_socketio_invalid(cf, &value[1]);
    }

    slcf->user_room = ngx_http_socketio_template(cf, &value[1]);

    return slcf->user_room ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_socketio_rooms(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    char                    *rv;
    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_sio_rooms_source_t  *source;

    if (slcf->rooms == NGX_CONF_UNSET_PTR) {
        slcf->rooms = ngx_array_create(cf->pool, 2,
                                       sizeof(ngx_sio_rooms_source_t));
        if (slcf->rooms == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        source = ngx_array_push(slcf->rooms);
        if (source == NULL) {
            return NGX_CONF_ERROR;
        }

        rv = ngx_http_socketio_rooms_source(cf, source, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_socketio_rooms_source(ngx_conf_t *cf, ngx_sio_rooms_source_t *source,
    ngx_str_t *param)
{
    ngx_str_t  key;

    ngx_memzero(source, sizeof(ngx_sio_rooms_source_t));
    ngx_http_socketio_place(cf, &source->place);

    if (param->len > 6 && ngx_strncmp(param->data, "claim=", 6) == 0) {
        source->claim.data = param->data + 6;
        source->claim.len = param->len - 6;
        return NGX_CONF_OK;
    }

    if (param->len > 6 && ngx_strncmp(param->data, "redis=", 6) == 0) {
        key.data = param->data + 6;
        key.len = param->len - 6;

        source->redis = ngx_http_socketio_template(cf, &key);

        return source->redis ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    return ngx_http_socketio_invalid(cf, param);
}


char *
ngx_http_socketio_ready(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    ngx_str_t  *value;

    if (slcf->ready.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        ngx_str_set(&slcf->ready, "");
        ngx_str_set(&slcf->ready_data, "");
        return NGX_CONF_OK;
    }

    if (value[1].len == 0
        || !ngx_http_socketio_utf8(&value[1])
        || sio_packet_reserved(value[1].data, value[1].len))
    {
        return ngx_http_socketio_invalid(cf, &value[1]);
    }

    slcf->ready = value[1];

    return ngx_http_socketio_ready_data(cf, slcf);
}


static char *
ngx_http_socketio_ready_data(ngx_conf_t *cf, ngx_sio_loc_conf_t *slcf)
{
    char       *rv;
    sio_buf_t   b;

    rv = NGX_CONF_ERROR;
    ngx_memzero(&b, sizeof(sio_buf_t));

    if (sio_buf_append(&b, "[", 1) != SIO_OK
        || sio_packet_quote(&b, slcf->ready.data, slcf->ready.len) != SIO_OK
        || sio_buf_append(&b, "]", 1) != SIO_OK)
    {
        goto done;
    }

    slcf->ready_data.len = b.len;
    slcf->ready_data.data = ngx_pnalloc(cf->pool, b.len);

    if (slcf->ready_data.data) {
        ngx_memcpy(slcf->ready_data.data, b.data, b.len);
        rv = NGX_CONF_OK;
    }

done:

    sio_buf_free(&b);

    return rv;
}


char *
ngx_http_socketio_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_int_t    ms;
    ngx_str_t   *value;
    ngx_msec_t  *msp;

    msp = (ngx_msec_t *) (p + cmd->offset);

    if (*msp != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ms = ngx_http_socketio_time(&value[1]);

    if (ms == NGX_ERROR) {
        return ngx_http_socketio_invalid(cf, &value[1]);
    }

    *msp = ms;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_socketio_time(ngx_str_t *value)
{
    ngx_int_t  ms;

    ms = ngx_parse_time(value, 0);

    if (ms == 0 || ms > NGX_HTTP_SOCKETIO_MAX_MSEC) {
        return NGX_ERROR;
    }

    return ms;
}


char *
ngx_http_socketio_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    size_t     *sp;
    ssize_t     size;
    ngx_str_t  *value;

    sp = (size_t *) (p + cmd->offset);

    if (*sp != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR || size == 0) {
        return ngx_http_socketio_invalid(cf, &value[1]);
    }

    *sp = size;

    return NGX_CONF_OK;
}


char *
ngx_http_socketio_deflate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") != 0) {
        return ngx_http_socketio_size(cf, cmd, conf);
    }

    if (slcf->deflate != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    slcf->deflate = 0;

    return NGX_CONF_OK;
}


static ngx_sio_template_t *
ngx_http_socketio_template(ngx_conf_t *cf, ngx_str_t *source)
{
    ngx_str_t            error;
    ngx_sio_template_t  *t;

    t = ngx_sio_auth_template(cf, source, &error);

    if (t == NULL && error.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown variable \"%V\" in \"%V\"",
                           &error, source);
    }

    return t;
}


ngx_uint_t
ngx_http_socketio_utf8(ngx_str_t *text)
{
    uint32_t  state;

    state = SIO_UTF8_ACCEPT;

    return sio_utf8_feed(&state, text->data, text->len) == SIO_OK
           && state == SIO_UTF8_ACCEPT;
}
