
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_known.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>


#define NGX_SIO_KNOWN_SETS    4096     /* a power of two; 256 kB */
#define NGX_SIO_KNOWN_WAYS    4


/* The first byte is never zero but in a free place. */

typedef u_char  ngx_sio_known_set_t[NGX_SIO_KNOWN_WAYS][NGX_SIO_KNOWN_DIGEST];


struct ngx_sio_known_s {
    ngx_sio_known_set_t      *sets;         /* NULL: there is no token */
    EVP_MD_CTX               *md;
    u_char                    secret[NGX_SIO_KNOWN_DIGEST];
};


static ngx_int_t ngx_sio_known_init(ngx_sio_known_t *kn);
static void ngx_sio_known_free(void *data);
static ngx_int_t ngx_sio_known_digest(ngx_sio_known_t *kn, ngx_str_t *token,
    u_char *digest);
static ngx_sio_known_set_t *ngx_sio_known_set(ngx_sio_known_t *kn,
    u_char *digest);


ngx_sio_known_t *
ngx_sio_known_create(ngx_pool_t *pool)
{
    ngx_sio_known_t     *kn;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_sio_known_t));
    if (cln == NULL) {
        return NULL;
    }

    kn = cln->data;
    ngx_memzero(kn, sizeof(ngx_sio_known_t));

    cln->handler = ngx_sio_known_free;

    return kn;
}


static void
ngx_sio_known_free(void *data)
{
    ngx_sio_known_t *kn = data;

    if (kn->sets) {
        ngx_free(kn->sets);
        kn->sets = NULL;
    }

    EVP_MD_CTX_free(kn->md);
    kn->md = NULL;
}


/* In the worker, not before: no two have the same secret. */

static ngx_int_t
ngx_sio_known_init(ngx_sio_known_t *kn)
{
    kn->md = EVP_MD_CTX_new();

    if (kn->md
        && EVP_DigestInit_ex(kn->md, EVP_sha256(), NULL) == 1
        && RAND_bytes(kn->secret, NGX_SIO_KNOWN_DIGEST) == 1)
    {
        kn->sets = ngx_calloc(NGX_SIO_KNOWN_SETS * sizeof(ngx_sio_known_set_t),
                              ngx_cycle->log);
    }

    if (kn->sets == NULL) {
        EVP_MD_CTX_free(kn->md);
        kn->md = NULL;

        ERR_clear_error();

        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_known_digest(ngx_sio_known_t *kn, ngx_str_t *token, u_char *digest)
{
    u_char  md[EVP_MAX_MD_SIZE];

    /* without a name it is the same digest again, and not looked up again */

    if (EVP_DigestInit_ex(kn->md, NULL, NULL) != 1
        || EVP_DigestUpdate(kn->md, kn->secret, NGX_SIO_KNOWN_DIGEST) != 1
        || EVP_DigestUpdate(kn->md, token->data, token->len) != 1
        || EVP_DigestFinal_ex(kn->md, md, NULL) != 1)
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    ngx_memcpy(digest, md, NGX_SIO_KNOWN_DIGEST);
    digest[0] |= 1;

    return NGX_OK;
}


static ngx_sio_known_set_t *
ngx_sio_known_set(ngx_sio_known_t *kn, u_char *digest)
{
    uint32_t  n;

    ngx_memcpy(&n, digest + 4, sizeof(uint32_t));

    return &kn->sets[n & (NGX_SIO_KNOWN_SETS - 1)];
}


ngx_uint_t
ngx_sio_known_find(ngx_sio_known_t *kn, ngx_str_t *token, u_char *digest)
{
    ngx_uint_t            i;
    ngx_sio_known_set_t  *set;

    digest[0] = 0;

    if (kn->sets == NULL
        || ngx_sio_known_digest(kn, token, digest) != NGX_OK)
    {
        return 0;
    }

    set = ngx_sio_known_set(kn, digest);

    for (i = 0; i < NGX_SIO_KNOWN_WAYS; i++) {
        if (ngx_memcmp((*set)[i], digest, NGX_SIO_KNOWN_DIGEST) == 0) {
            return 1;
        }
    }

    return 0;
}


void
ngx_sio_known_add(ngx_sio_known_t *kn, ngx_str_t *token, u_char *digest)
{
    ngx_uint_t            i;
    ngx_sio_known_set_t  *set;

    if (kn->sets == NULL && ngx_sio_known_init(kn) != NGX_OK) {
        return;
    }

    if (digest[0] == 0 && ngx_sio_known_digest(kn, token, digest) != NGX_OK) {
        return;
    }

    set = ngx_sio_known_set(kn, digest);

    for (i = 0; i < NGX_SIO_KNOWN_WAYS; i++) {
        if ((*set)[i][0] == 0) {
            break;
        }
    }

    /*
     * Any of them goes, not the oldest: of more than there are places for, who
     * come back one after the other, some are known then.
     */

    if (i == NGX_SIO_KNOWN_WAYS) {
        i = digest[8] & (NGX_SIO_KNOWN_WAYS - 1);
    }

    ngx_memcpy((*set)[i], digest, NGX_SIO_KNOWN_DIGEST);
}
