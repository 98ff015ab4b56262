
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_http_socketio_conf.h"

#include <ngx_sio_bell.h>
#include <ngx_sio_fault.h>
#include <ngx_sio_gateway.h>


static ngx_int_t ngx_http_socketio_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_socketio_init_process(ngx_cycle_t *cycle);
static void ngx_http_socketio_exit_process(ngx_cycle_t *cycle);


static ngx_http_module_t  ngx_http_socketio_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_socketio_postconfiguration,   /* postconfiguration */

    ngx_http_socketio_create_main_conf,    /* create main configuration */
    ngx_http_socketio_init_main_conf,      /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_socketio_create_loc_conf,     /* create location configuration */
    ngx_http_socketio_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_socketio_module = {
    NGX_MODULE_V1,
    &ngx_http_socketio_module_ctx,         /* module context */
    ngx_http_socketio_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_socketio_init_module,         /* init module */
    ngx_http_socketio_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_socketio_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_socketio_init_module(ngx_cycle_t *cycle)
{
    ngx_sio_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_socketio_module);

    if (smcf == NULL || smcf->gateways.nelts == 0) {
        return NGX_OK;
    }

    ngx_http_socketio_gateway_replaced(cycle);

    return ngx_sio_bell_init(cycle);
}


static ngx_int_t
ngx_http_socketio_init_process(ngx_cycle_t *cycle)
{
    ngx_sio_main_conf_t  *smcf;

    /* the helpers that look after caches have no clients */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_socketio_module);

    if (smcf == NULL || smcf->gateways.nelts == 0) {
        return NGX_OK;
    }

#if (NGX_SIO_FAULTS)
    if (ngx_sio_fault_init_worker(cycle) != NGX_OK) {
        return NGX_ERROR;
    }
#endif

    return ngx_sio_gateway_init_worker(cycle, smcf);
}


static void
ngx_http_socketio_exit_process(ngx_cycle_t *cycle)
{
    ngx_sio_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_socketio_module);

    if (smcf == NULL || smcf->gateways.nelts == 0) {
        return;
    }

    ngx_sio_gateway_exit_worker(cycle);
}
