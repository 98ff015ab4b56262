
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_gateway.h"

#include <sio_eio.h>

#include <openssl/rand.h>
#include <openssl/sha.h>


#define NGX_SIO_GATEWAY_RANDOM   12        /* random bytes of an id */
#define NGX_SIO_GATEWAY_DRAWN    16        /* ids for which they are drawn */


/* For the next ids: a draw costs the same for one and for all of them. */

static u_char      ngx_sio_gateway_random[NGX_SIO_GATEWAY_DRAWN]
                                         [NGX_SIO_GATEWAY_RANDOM];
static ngx_uint_t  ngx_sio_gateway_drawn;


ngx_int_t
ngx_sio_gateway_sid(ngx_sio_gateway_t *gw, u_char *sid)
{
    u_char    *random;
    uint32_t   counter;

    if (ngx_sio_gateway_drawn == 0) {

        if (RAND_bytes(ngx_sio_gateway_random[0],
                       sizeof(ngx_sio_gateway_random))
            != 1)
        {
            return NGX_ERROR;
        }

        ngx_sio_gateway_drawn = NGX_SIO_GATEWAY_DRAWN;
    }

    random = ngx_sio_gateway_random[--ngx_sio_gateway_drawn];

    counter = __atomic_fetch_add(&gw->zone->sh->sid_counter, 1,
                                 __ATOMIC_RELAXED);
    sio_eio_sid(sid, random, counter);

    ngx_explicit_memzero(random, NGX_SIO_GATEWAY_RANDOM);

    return NGX_OK;
}


ngx_int_t
ngx_sio_gateway_pid(ngx_sio_gateway_t *gw, u_char *pid, u_char *sid)
{
    if (ngx_sio_gateway_sid(gw, pid) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sio_gateway_sid_of(pid, sid);

    return NGX_OK;
}


/* Nobody finds the secret id from the public one. */

void
ngx_sio_gateway_sid_of(const u_char *pid, u_char *sid)
{
    u_char    digest[SHA256_DIGEST_LENGTH];
    uint32_t  rest;

    (void) SHA256(pid, NGX_SIO_SID_LEN, digest);

    rest = (uint32_t) digest[12] << 16 | digest[13] << 8 | digest[14];

    sio_eio_sid(sid, digest, rest);
}
