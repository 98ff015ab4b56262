
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_http_socketio_conf.h"

#include <ngx_sio_request.h>
#include <ngx_sio_status.h>


static char *ngx_http_socketio_names(ngx_conf_t *cf, ngx_sio_loc_conf_t *slcf,
    ngx_sio_gateway_conf_t **gateway);


char *
ngx_http_socketio(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    char                      *rv;
    ngx_http_core_loc_conf_t  *clcf;

    rv = ngx_http_socketio_names(cf, slcf, &slcf->gateway);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ngx_http_socketio_place(cf, &slcf->place);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    slcf->location = clcf->name;
    clcf->handler = ngx_sio_request_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_socketio_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    char                      *rv;
    ngx_http_core_loc_conf_t  *clcf;

    rv = ngx_http_socketio_names(cf, slcf, &slcf->status);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_sio_status_handler;

    return NGX_CONF_OK;
}


/* A location is one of both, for one gateway. */

static char *
ngx_http_socketio_names(ngx_conf_t *cf, ngx_sio_loc_conf_t *slcf,
    ngx_sio_gateway_conf_t **gateway)
{
    ngx_str_t  *value;

    if (*gateway) {
        return "is duplicate";
    }

    if (slcf->gateway) {
        return "is in the same location as \"socketio\"";
    }

    if (slcf->status) {
        return "is in the same location as \"socketio_status\"";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_http_socketio_invalid(cf, &value[1]);
    }

    *gateway = ngx_http_socketio_gateway(cf, &value[1]);

    return *gateway ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/*
 * Locations inside do not inherit what a location is, as with all handlers,
 * but "if" and "limit_except" are no locations to those who write them.
 */

char *
ngx_http_socketio_merge_location(ngx_conf_t *cf, ngx_sio_loc_conf_t *prev,
    ngx_sio_loc_conf_t *conf)
{
    ngx_sio_loc_conf_t        **slcfp;
    ngx_sio_main_conf_t        *smcf;
    ngx_http_handler_pt         handler;
    ngx_http_core_loc_conf_t   *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname) {
        conf->gateway = prev->gateway;
        conf->place = prev->place;
        conf->location = prev->location;
        conf->status = prev->status;
    }

    if (conf->gateway == NULL && conf->status == NULL) {
        return NGX_CONF_OK;
    }

    handler = conf->gateway ? ngx_sio_request_handler
                            : ngx_sio_status_handler;

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = handler;
    }

    if (conf->gateway == NULL) {
        return NGX_CONF_OK;
    }

    /*
     * The limit of a body is socketio_max_payload.  Locations inside have taken
     * theirs from here already: the core module is merged before this one.
     */

    if (clcf->handler == handler || clcf->handler == NULL) {
        clcf->client_max_body_size = 0;
    }

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_socketio_module);

    slcfp = ngx_array_push(&smcf->locations);
    if (slcfp == NULL) {
        return NGX_CONF_ERROR;
    }

    *slcfp = conf;

    return NGX_CONF_OK;
}
