
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_gateway.h"

#include <ngx_sio_farewell.h>
#include <ngx_sio_online.h>


static ngx_int_t ngx_sio_gateway_format(ngx_sio_gateway_conf_t *conf,
    u_char *mem, size_t size, ngx_log_t *log);
static ngx_int_t ngx_sio_gateway_numbers(ngx_sio_gateway_conf_t *conf,
    ngx_log_t *log);
static ngx_int_t ngx_sio_gateway_namespaces(ngx_sio_gateway_conf_t *conf,
    ngx_log_t *log);
static ngx_int_t ngx_sio_gateway_farewells(ngx_sio_gateway_conf_t *conf,
    ngx_log_t *log);
static void ngx_sio_gateway_complain(ngx_sio_gateway_conf_t *conf,
    ngx_log_t *log, ngx_int_t rc, ngx_uint_t n, const char *what,
    ngx_str_t *name);


/*
 * Runs in the master, also on a reload, while the old workers go on: memory
 * that is in use is left as it is.
 */

ngx_int_t
ngx_sio_gateway_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t                   size;
    u_char                  *mem;
    ngx_slab_pool_t         *shpool;
    ngx_sio_gateway_conf_t  *conf, *old;

    conf = shm_zone->data;
    old = data;

    if (old) {
        conf->zone = old->zone;
        ngx_sio_online_configure(&conf->zone, conf->presence);

        return ngx_sio_gateway_numbers(conf, shm_zone->shm.log);
    }

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    /* one block for everything: nothing is allocated at run time */

    size = shpool->pfree * ngx_pagesize;

    if (shm_zone->shm.exists) {
        mem = shpool->data;

        if (ngx_sio_zone_attach(&conf->zone, mem, size, conf->log_size)
            == NGX_OK)
        {
            ngx_sio_online_configure(&conf->zone, conf->presence);

            return ngx_sio_gateway_numbers(conf, shm_zone->shm.log);
        }

        return NGX_ERROR;
    }

    mem = ngx_slab_alloc(shpool, size);

    if (mem == NULL) {
        return NGX_ERROR;
    }

    shpool->data = mem;

    return ngx_sio_gateway_format(conf, mem, size, shm_zone->shm.log);
}


static ngx_int_t
ngx_sio_gateway_format(ngx_sio_gateway_conf_t *conf, u_char *mem, size_t size,
    ngx_log_t *log)
{
    u_char      *p, name[NGX_SIO_NODE_LEN];
    ngx_str_t    node;
    ngx_uint_t   i;

    static const u_char  letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";

    node = conf->node;

    if (node.len == 0) {

        /* host name and 6 random characters */

        if (gethostname((char *) name, NGX_SIO_NODE_LEN - 7) == -1) {
            name[0] = '\0';
        }

        name[NGX_SIO_NODE_LEN - 7] = '\0';
        p = name + ngx_strlen(name);
        *p++ = '-';

        for (i = 0; i < 6; i++) {
            *p++ = letters[ngx_random() % (sizeof(letters) - 1)];
        }

        node.data = name;
        node.len = p - name;
    }

    if (ngx_sio_zone_format(&conf->zone, mem, size, conf->log_size, &node)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "socketio zone of gateway \"%V\" is too small "
                      "for its log", &conf->name);
        return NGX_ERROR;
    }

    ngx_sio_online_configure(&conf->zone, conf->presence);

    return ngx_sio_gateway_numbers(conf, log);
}


/* What has a number has the one that it had before a reload. */

static ngx_int_t
ngx_sio_gateway_numbers(ngx_sio_gateway_conf_t *conf, ngx_log_t *log)
{
    if (ngx_sio_gateway_namespaces(conf, log) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_sio_gateway_farewells(conf, log);
}


static ngx_int_t
ngx_sio_gateway_namespaces(ngx_sio_gateway_conf_t *conf, ngx_log_t *log)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    ngx_sio_namespace_t  *nsp;

    nsp = conf->namespaces.elts;

    for (i = 0; i < conf->namespaces.nelts; i++) {

        rc = ngx_sio_nsp_add(&conf->zone, &nsp[i].name, &nsp[i].nsp);

        if (rc != NGX_OK) {
            ngx_sio_gateway_complain(conf, log, rc, NGX_SIO_NAMESPACES,
                                     "namespaces", &nsp[i].name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_gateway_farewells(ngx_sio_gateway_conf_t *conf, ngx_log_t *log)
{
    ngx_int_t                 rc;
    ngx_uint_t                i;
    ngx_sio_forward_rule_t  **rule;

    rule = conf->farewells.elts;

    for (i = 0; i < conf->farewells.nelts; i++) {

        rc = ngx_sio_farewell_stream(&conf->zone, &rule[i]->stream,
                                     &rule[i]->maxlen, &rule[i]->number);

        if (rc != NGX_OK) {
            ngx_sio_gateway_complain(conf, log, rc, NGX_SIO_STREAMS - 1,
                                     "streams for \"$disconnect\"",
                                     &rule[i]->stream);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Why something gets no number: NGX_DECLINED, or the zone is locked. */

static void
ngx_sio_gateway_complain(ngx_sio_gateway_conf_t *conf, ngx_log_t *log,
    ngx_int_t rc, ngx_uint_t n, const char *what, ngx_str_t *name)
{
    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "socketio zone of gateway \"%V\" has known %ui %s, "
                      "\"%V\" is one too many: only a restart makes room",
                      &conf->name, n, what, name);
        return;
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "socketio zone of gateway \"%V\" is locked", &conf->name);
}
