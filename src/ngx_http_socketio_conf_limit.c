
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_http_socketio_conf.h"


#define NGX_HTTP_SOCKETIO_MOST  1000000     /* of anything */


typedef struct {
    ngx_str_t   name;                       /* with "=" */
    ngx_str_t   unit;                       /* behind the number */
    size_t      offset;                     /* in the configuration */
} ngx_http_socketio_limit_t;


static ngx_int_t ngx_http_socketio_limit_param(ngx_sio_limit_conf_t *limit,
    ngx_str_t *param);


static const ngx_http_socketio_limit_t  ngx_http_socketio_limits[] = {

    { ngx_string("connections_per_user="),
      ngx_null_string,
      offsetof(ngx_sio_limit_conf_t, per_user) },

    { ngx_string("connections_per_ip="),
      ngx_null_string,
      offsetof(ngx_sio_limit_conf_t, per_ip) },

    { ngx_string("events="),
      ngx_string("/s"),
      offsetof(ngx_sio_limit_conf_t, events) },

    { ngx_string("burst="),
      ngx_null_string,
      offsetof(ngx_sio_limit_conf_t, burst) },

    { ngx_null_string, ngx_null_string, 0 }
};


/*
 * off | [connections_per_user=n] [connections_per_ip=n] [events=n/s [burst=n]]
 */

char *
ngx_http_socketio_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_sio_limit_conf_t  *limit;

    if (slcf->limit != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        slcf->limit = NULL;
        return NGX_CONF_OK;
    }

    limit = ngx_pcalloc(cf->pool, sizeof(ngx_sio_limit_conf_t));
    if (limit == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_socketio_limit_param(limit, &value[i]) != NGX_OK) {
            return ngx_http_socketio_invalid(cf, &value[i]);
        }
    }

    if (limit->burst && limit->events == 0) {
        return "has \"burst\" without \"events\"";
    }

    if (limit->burst == 0) {
        limit->burst = limit->events;
    }

    slcf->limit = limit;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_socketio_limit_param(ngx_sio_limit_conf_t *limit, ngx_str_t *param)
{
    size_t                            len;
    u_char                           *p;
    ngx_int_t                         n;
    ngx_uint_t                       *field;
    const ngx_http_socketio_limit_t  *l;

    for (l = ngx_http_socketio_limits; l->name.len; l++) {

        if (param->len > l->name.len + l->unit.len
            && ngx_strncmp(param->data, l->name.data, l->name.len) == 0)
        {
            break;
        }
    }

    if (l->name.len == 0) {
        return NGX_ERROR;
    }

    p = param->data + l->name.len;
    len = param->len - l->name.len - l->unit.len;

    if (l->unit.len && ngx_memcmp(p + len, l->unit.data, l->unit.len) != 0) {
        return NGX_ERROR;
    }

    n = ngx_atoi(p, len);
    field = (ngx_uint_t *) ((u_char *) limit + l->offset);

    if (n <= 0 || n > NGX_HTTP_SOCKETIO_MOST || *field) {
        return NGX_ERROR;
    }

    *field = n;

    return NGX_OK;
}
