
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_http_socketio_conf.h"

#include <ngx_sio_origin.h>

#include <sio_eio.h>


static char *ngx_http_socketio_choice(ngx_conf_t *cf,
    const ngx_conf_bitmask_t *names, ngx_uint_t *set);
static char *ngx_http_socketio_add_origin(ngx_conf_t *cf,
    ngx_array_t *origins, ngx_str_t *value);


static const ngx_conf_bitmask_t  ngx_http_socketio_transport_names[] = {
    { ngx_string("polling"), 1 << SIO_EIO_POLLING },
    { ngx_string("websocket"), 1 << SIO_EIO_WEBSOCKET },
    { ngx_null_string, 0 }
};


static const ngx_conf_bitmask_t  ngx_http_socketio_token_names[] = {
    { ngx_string("payload"), NGX_SIO_TOKEN_PAYLOAD },
    { ngx_string("header"), NGX_SIO_TOKEN_HEADER },
    { ngx_string("query"), NGX_SIO_TOKEN_QUERY },
    { ngx_null_string, 0 }
};


char *
ngx_http_socketio_transports(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    return ngx_http_socketio_choice(cf, ngx_http_socketio_transport_names,
                                    &slcf->transports);
}


char *
ngx_http_socketio_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    return ngx_http_socketio_choice(cf, ngx_http_socketio_token_names,
                                    &slcf->token_sources);
}


/* Each of the names may be given once. */

static char *
ngx_http_socketio_choice(ngx_conf_t *cf, const ngx_conf_bitmask_t *names,
    ngx_uint_t *set)
{
    ngx_str_t   *value;
    ngx_uint_t   i, n;

    if (*set) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (n = 0; names[n].name.len; n++) {
            if (names[n].name.len == value[i].len
                && ngx_strncmp(names[n].name.data, value[i].data,
                               value[i].len)
                   == 0)
            {
                break;
            }
        }

        if (names[n].name.len == 0) {
            return ngx_http_socketio_invalid(cf, &value[i]);
        }

        if (*set & names[n].mask) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate value \"%V\" in \"%V\" directive",
                               &value[i], &value[0]);
            return NGX_CONF_ERROR;
        }

        *set |= names[n].mask;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_socketio_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (slcf->origins == NGX_CONF_UNSET_PTR) {
        slcf->origins = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (slcf->origins == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        rv = ngx_http_socketio_add_origin(cf, slcf->origins, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_socketio_add_origin(ngx_conf_t *cf, ngx_array_t *origins,
    ngx_str_t *value)
{
    ngx_str_t   *origin, parsed;
    ngx_uint_t   i;

    parsed.len = value->len;
    parsed.data = ngx_pstrdup(cf->pool, value);

    if (parsed.data == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_sio_origin_parse(&parsed) != NGX_OK) {
        return ngx_http_socketio_invalid(cf, value);
    }

    origin = origins->elts;

    for (i = 0; i < origins->nelts; i++) {

        if (origin[i].len == parsed.len
            && ngx_strncmp(origin[i].data, parsed.data, parsed.len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate origin \"%V\"", value);
            return NGX_CONF_ERROR;
        }

        if (origin[i].data[0] == '*' || parsed.data[0] == '*') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "origin \"%V\" beside \"%V\": \"*\" "
                               "must stand alone", value, &origin[i]);
            return NGX_CONF_ERROR;
        }
    }

    origin = ngx_array_push(origins);
    if (origin == NULL) {
        return NGX_CONF_ERROR;
    }

    *origin = parsed;

    return NGX_CONF_OK;
}
