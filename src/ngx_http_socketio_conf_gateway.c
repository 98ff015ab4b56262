
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_http_socketio_conf.h"

#include <ngx_sio_gateway.h>


#define NGX_HTTP_SOCKETIO_MIN_ZONE  (1024 * 1024)
#define NGX_HTTP_SOCKETIO_MIN_LOG   (64 * 1024)
#define NGX_HTTP_SOCKETIO_DRAIN     30000
#define NGX_HTTP_SOCKETIO_LINGER    5000


/* A block while it is being parsed. */

typedef struct {
    ngx_sio_gateway_conf_t   *gateway;
    ngx_uint_t                seen;        /* a bit for each parameter */
    ngx_str_t                 log;         /* as written */
    ngx_sio_place_t           log_place;
} ngx_http_socketio_block_t;


typedef struct {
    ngx_str_t                 name;
    char                   *(*set)(ngx_conf_t *cf, ngx_http_socketio_block_t *b,
                                   ngx_str_t *value);
} ngx_http_socketio_param_t;


static ngx_sio_gateway_conf_t *ngx_http_socketio_gateway_find(
    ngx_sio_main_conf_t *smcf, ngx_str_t *name);
static char *ngx_http_socketio_gateway_param(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
static char *ngx_http_socketio_gateway_zone(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_log(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_redis(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_prefix(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_node(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_namespace(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_add_namespace(ngx_conf_t *cf,
    ngx_array_t *namespaces, ngx_str_t *name);
static char *ngx_http_socketio_gateway_recovery(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_time(ngx_conf_t *cf, ngx_str_t *value,
    ngx_msec_t *msec);
static char *ngx_http_socketio_gateway_drain(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_presence(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_linger(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value);
static char *ngx_http_socketio_gateway_finish(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b);
static char *ngx_http_socketio_gateway_shm(ngx_conf_t *cf,
    ngx_sio_gateway_conf_t *gateway);
static ngx_sio_gateway_conf_t *ngx_http_socketio_gateway_before(
    ngx_cycle_t *cycle, ngx_str_t *name);


static ngx_http_socketio_param_t  ngx_http_socketio_params[] = {
    { ngx_string("zone"), ngx_http_socketio_gateway_zone },
    { ngx_string("log"), ngx_http_socketio_gateway_log },
    { ngx_string("redis"), ngx_http_socketio_gateway_redis },
    { ngx_string("redis_prefix"), ngx_http_socketio_gateway_prefix },
    { ngx_string("node"), ngx_http_socketio_gateway_node },
    { ngx_string("namespace"), ngx_http_socketio_gateway_namespace },
    { ngx_string("presence"), ngx_http_socketio_gateway_presence },
    { ngx_string("presence_linger"), ngx_http_socketio_gateway_linger },
    { ngx_string("recovery"), ngx_http_socketio_gateway_recovery },
    { ngx_string("drain"), ngx_http_socketio_gateway_drain },
    { ngx_null_string, NULL }
};


ngx_sio_gateway_conf_t *
ngx_http_socketio_gateway(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_sio_main_conf_t      *smcf;
    ngx_sio_gateway_conf_t   *gateway, **gp;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_socketio_module);

    gateway = ngx_http_socketio_gateway_find(smcf, name);

    if (gateway) {
        return gateway;
    }

    gateway = ngx_pcalloc(cf->pool, sizeof(ngx_sio_gateway_conf_t));
    if (gateway == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     gateway->zone_size = 0;
     *     gateway->log_size = 0;
     *     gateway->redis = NULL;
     *     gateway->node = { 0, NULL };
     *     gateway->recovery = 0;
     *     gateway->presence = 0;
     */

    gateway->name = *name;
    gateway->drain = NGX_HTTP_SOCKETIO_DRAIN;
    gateway->presence_linger = NGX_HTTP_SOCKETIO_LINGER;
    ngx_str_set(&gateway->redis_prefix, "socket.io");
    ngx_http_socketio_place(cf, &gateway->place);

    if (ngx_array_init(&gateway->namespaces, cf->pool, 1,
                       sizeof(ngx_sio_namespace_t))
        != NGX_OK
        || ngx_array_init(&gateway->farewells, cf->pool, 1,
                          sizeof(ngx_sio_forward_rule_t *))
           != NGX_OK)
    {
        return NULL;
    }

    gp = ngx_array_push(&smcf->gateways);
    if (gp == NULL) {
        return NULL;
    }

    *gp = gateway;

    return gateway;
}


static ngx_sio_gateway_conf_t *
ngx_http_socketio_gateway_find(ngx_sio_main_conf_t *smcf, ngx_str_t *name)
{
    ngx_uint_t                i;
    ngx_sio_gateway_conf_t  **gp;

    gp = smcf->gateways.elts;

    for (i = 0; i < smcf->gateways.nelts; i++) {

        if (gp[i]->name.len == name->len
            && ngx_strncmp(gp[i]->name.data, name->data, name->len) == 0)
        {
            return gp[i];
        }
    }

    return NULL;
}


char *
ngx_http_socketio_gateway_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                       *rv;
    ngx_str_t                  *value;
    ngx_conf_t                  save;
    ngx_http_socketio_block_t   b;

    value = cf->args->elts;

    /* the name is shown as JSON */

    if (value[1].len == 0 || !ngx_http_socketio_utf8(&value[1])) {
        return ngx_http_socketio_invalid(cf, &value[1]);
    }

    ngx_memzero(&b, sizeof(ngx_http_socketio_block_t));

    b.gateway = ngx_http_socketio_gateway(cf, &value[1]);
    if (b.gateway == NULL) {
        return NGX_CONF_ERROR;
    }

    if (b.gateway->zone_size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate gateway \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    save = *cf;
    cf->handler = ngx_http_socketio_gateway_param;
    cf->handler_conf = (void *) &b;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_socketio_gateway_finish(cf, &b);
}


static char *
ngx_http_socketio_gateway_param(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    ngx_http_socketio_block_t  *b = conf;

    ngx_str_t                  *value;
    ngx_uint_t                  i;
    ngx_http_socketio_param_t  *param;

    value = cf->args->elts;

    param = ngx_http_socketio_params;

    for (i = 0; param[i].name.len; i++) {

        if (value[0].len == param[i].name.len
            && ngx_strcmp(value[0].data, param[i].name.data) == 0)
        {
            break;
        }
    }

    if (param[i].name.len == 0 && ngx_strcmp(value[0].data, "include") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown parameter \"%V\"",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts < 2
        || (cf->args->nelts > 2
            && param[i].set != ngx_http_socketio_gateway_namespace))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (param[i].name.len == 0) {
        return ngx_conf_include(cf, dummy, conf);
    }

    if (b->seen & ((ngx_uint_t) 1 << i)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive is duplicate", &value[0]);
        return NGX_CONF_ERROR;
    }

    b->seen |= (ngx_uint_t) 1 << i;

    return param[i].set(cf, b, &value[1]);
}


static char *
ngx_http_socketio_gateway_zone(ngx_conf_t *cf, ngx_http_socketio_block_t *b,
    ngx_str_t *value)
{
    ssize_t  size;

    size = ngx_parse_size(value);

    if (size == NGX_ERROR) {
        return ngx_http_socketio_invalid(cf, value);
    }

    if (size < NGX_HTTP_SOCKETIO_MIN_ZONE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small, the minimum is 1m",
                           value);
        return NGX_CONF_ERROR;
    }

    b->gateway->zone_size = size;

    return NGX_CONF_OK;
}


static char *
ngx_http_socketio_gateway_log(ngx_conf_t *cf, ngx_http_socketio_block_t *b,
    ngx_str_t *value)
{
    ssize_t  size;

    size = ngx_parse_size(value);

    if (size == NGX_ERROR) {
        return ngx_http_socketio_invalid(cf, value);
    }

    if (size < NGX_HTTP_SOCKETIO_MIN_LOG) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "log \"%V\" is too small, the minimum is 64k",
                           value);
        return NGX_CONF_ERROR;
    }

    b->gateway->log_size = size;
    b->log = *value;
    ngx_http_socketio_place(cf, &b->log_place);

    return NGX_CONF_OK;
}


static char *
ngx_http_socketio_gateway_redis(ngx_conf_t *cf, ngx_http_socketio_block_t *b,
    ngx_str_t *value)
{
    b->gateway->redis = ngx_http_socketio_redis(cf, value);

    return b->gateway->redis ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* Channels are matched by pattern: the prefix must mean itself in one. */

static char *
ngx_http_socketio_gateway_prefix(ngx_conf_t *cf, ngx_http_socketio_block_t *b,
    ngx_str_t *value)
{
    if (value->len == 0 || strpbrk((char *) value->data, "*?[]\\")) {
        return ngx_http_socketio_invalid(cf, value);
    }

    b->gateway->redis_prefix = *value;

    return NGX_CONF_OK;
}


static char *
ngx_http_socketio_gateway_node(ngx_conf_t *cf, ngx_http_socketio_block_t *b,
    ngx_str_t *value)
{
    u_char      ch;
    ngx_uint_t  i;

    if (value->len == 0 || value->len > NGX_SIO_NODE_LEN) {
        return ngx_http_socketio_invalid(cf, value);
    }

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9') && ch != '.' && ch != '_' && ch != '-')
        {
            return ngx_http_socketio_invalid(cf, value);
        }
    }

    if (ngx_strcmp(value->data, "auto") != 0) {
        b->gateway->node = *value;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_socketio_gateway_namespace(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value)
{
    char        *rv;
    ngx_uint_t   i;

    for (i = 1; i < cf->args->nelts; i++, value++) {

        rv = ngx_http_socketio_gateway_add_namespace(cf,
                                            &b->gateway->namespaces, value);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


/* A comma would end the name in a packet. */

static char *
ngx_http_socketio_gateway_add_namespace(ngx_conf_t *cf,
    ngx_array_t *namespaces, ngx_str_t *name)
{
    ngx_uint_t            i;
    ngx_sio_namespace_t  *nsp;

    if (name->len == 0 || name->data[0] != '/'
        || name->len > NGX_SIO_NSP_LEN
        || ngx_strlchr(name->data, name->data + name->len, ',')
        || !ngx_http_socketio_utf8(name))
    {
        return ngx_http_socketio_invalid(cf, name);
    }

    nsp = namespaces->elts;

    for (i = 0; i < namespaces->nelts; i++) {

        if (nsp[i].name.len == name->len
            && ngx_strncmp(nsp[i].name.data, name->data, name->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate namespace \"%V\"", name);
            return NGX_CONF_ERROR;
        }
    }

    if (i == NGX_SIO_NAMESPACES - 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "namespace \"%V\" is one too many, the maximum "
                           "is %d", name, NGX_SIO_NAMESPACES - 1);
        return NGX_CONF_ERROR;
    }

    nsp = ngx_array_push(namespaces);
    if (nsp == NULL) {
        return NGX_CONF_ERROR;
    }

    nsp->name = *name;
    nsp->nsp = 0;

    return NGX_CONF_OK;
}


static char *
ngx_http_socketio_gateway_recovery(ngx_conf_t *cf, ngx_http_socketio_block_t *b,
    ngx_str_t *value)
{
    if (ngx_strcmp(value->data, "off") == 0) {
        return NGX_CONF_OK;
    }

    return ngx_http_socketio_gateway_time(cf, value, &b->gateway->recovery);
}


static char *
ngx_http_socketio_gateway_time(ngx_conf_t *cf, ngx_str_t *value,
    ngx_msec_t *msec)
{
    ngx_int_t  ms;

    ms = ngx_http_socketio_time(value);

    if (ms == NGX_ERROR) {
        return ngx_http_socketio_invalid(cf, value);
    }

    *msec = ms;

    return NGX_CONF_OK;
}


static char *
ngx_http_socketio_gateway_drain(ngx_conf_t *cf, ngx_http_socketio_block_t *b,
    ngx_str_t *value)
{
    return ngx_http_socketio_gateway_time(cf, value, &b->gateway->drain);
}


static char *
ngx_http_socketio_gateway_presence(ngx_conf_t *cf,
    ngx_http_socketio_block_t *b, ngx_str_t *value)
{
    if (ngx_strcmp(value->data, "on") == 0) {
        b->gateway->presence = 1;

    } else if (ngx_strcmp(value->data, "off") != 0) {
        return ngx_http_socketio_invalid(cf, value);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_socketio_gateway_linger(ngx_conf_t *cf, ngx_http_socketio_block_t *b,
    ngx_str_t *value)
{
    return ngx_http_socketio_gateway_time(cf, value,
                                          &b->gateway->presence_linger);
}


static char *
ngx_http_socketio_gateway_finish(ngx_conf_t *cf, ngx_http_socketio_block_t *b)
{
    ngx_str_t                root = ngx_string("/");
    ngx_sio_gateway_conf_t  *gateway;

    gateway = b->gateway;

    if (gateway->namespaces.nelts == 0
        && ngx_http_socketio_gateway_add_namespace(cf, &gateway->namespaces,
                                                   &root)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (gateway->zone_size == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"zone\" in gateway \"%V\"", &gateway->name);
        return NGX_CONF_ERROR;
    }

    if (gateway->log_size == 0) {
        gateway->log_size = gateway->zone_size / 4;
    }

    if (gateway->log_size > gateway->zone_size / 2) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "log \"%V\" is larger than half of the zone "
                      "in gateway \"%V\" in %s:%ui",
                      &b->log, &gateway->name, b->log_place.file,
                      b->log_place.line);
        return NGX_CONF_ERROR;
    }

    return ngx_http_socketio_gateway_shm(cf, gateway);
}


/*
 * A zone outlives reloads as long as its name and its size are the same: all
 * else that its layout depends on has to be in the name.
 */

static char *
ngx_http_socketio_gateway_shm(ngx_conf_t *cf, ngx_sio_gateway_conf_t *gateway)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   name;

    len = sizeof("socketio:::") - 1 + gateway->name.len + NGX_SIZE_T_LEN
          + NGX_INT_T_LEN;

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    name.data = p;
    name.len = ngx_sprintf(p, "socketio:%V:%uz:%ui", &gateway->name,
                           gateway->log_size,
                           (ngx_uint_t) NGX_SIO_ZONE_LAYOUT)
               - p;

    gateway->shm_zone = ngx_shared_memory_add(cf, &name, gateway->zone_size,
                                              &ngx_http_socketio_module);
    if (gateway->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    gateway->shm_zone->init = ngx_sio_gateway_init_zone;
    gateway->shm_zone->data = gateway;

    return NGX_CONF_OK;
}


/*
 * A zone that outlived the reload is where it was, and one that did not is
 * still mapped: it goes later.
 */

void
ngx_http_socketio_gateway_replaced(ngx_cycle_t *cycle)
{
    ngx_uint_t                i;
    ngx_sio_main_conf_t      *smcf;
    ngx_sio_gateway_conf_t   *old, **gateway;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_socketio_module);

    gateway = smcf->gateways.elts;

    for (i = 0; i < smcf->gateways.nelts; i++) {

        old = ngx_http_socketio_gateway_before(cycle->old_cycle,
                                               &gateway[i]->name);

        if (old && old->shm_zone->shm.addr != gateway[i]->shm_zone->shm.addr) {
            ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                          "socketio zone of gateway \"%V\" was changed, "
                          "it starts empty", &gateway[i]->name);
        }
    }
}


static ngx_sio_gateway_conf_t *
ngx_http_socketio_gateway_before(ngx_cycle_t *cycle, ngx_str_t *name)
{
    ngx_uint_t            i;
    ngx_sio_main_conf_t  *smcf;

    if (ngx_is_init_cycle(cycle)) {
        return NULL;
    }

    /* there is no place for this module if it was not loaded then */

    for (i = 0; cycle->modules[i] != &ngx_http_socketio_module; i++) {
        if (cycle->modules[i] == NULL) {
            return NULL;
        }
    }

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_socketio_module);

    return smcf ? ngx_http_socketio_gateway_find(smcf, name) : NULL;
}
