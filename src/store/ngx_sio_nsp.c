
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_nsp.h"


static ngx_int_t ngx_sio_nsp_add_locked(ngx_sio_zone_t *z, ngx_str_t *name,
    uint16_t *nsp);


ngx_int_t
ngx_sio_nsp_add(ngx_sio_zone_t *z, ngx_str_t *name, uint16_t *nsp)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = ngx_sio_nsp_add_locked(z, name, nsp);

    ngx_sio_zone_unlock(z);

    return rc;
}


static ngx_int_t
ngx_sio_nsp_add_locked(ngx_sio_zone_t *z, ngx_str_t *name, uint16_t *nsp)
{
    uint32_t           i;
    ngx_sio_nsp_sh_t  *sh;

    for (i = 0; i < z->sh->nnsps; i++) {

        sh = &z->sh->nsps[i];

        if (sh->len == name->len
            && ngx_memcmp(sh->name, name->data, name->len) == 0)
        {
            *nsp = (uint16_t) i;
            return NGX_OK;
        }
    }

    if (i == NGX_SIO_NAMESPACES || name->len > NGX_SIO_NSP_LEN) {
        return NGX_DECLINED;
    }

    sh = &z->sh->nsps[i];

    ngx_memcpy(sh->name, name->data, name->len);
    sh->len = (uint16_t) name->len;

    ngx_sio_step();

    ngx_sio_store(&z->sh->nnsps, i + 1);

    ngx_sio_step();

    *nsp = (uint16_t) i;

    return NGX_OK;
}


void
ngx_sio_nsp_name(ngx_sio_zone_t *z, uint16_t nsp, ngx_str_t *name)
{
    ngx_sio_nsp_sh_t  *sh;

    sh = &z->sh->nsps[nsp % NGX_SIO_NAMESPACES];

    name->data = sh->name;
    name->len = sh->len;
}
