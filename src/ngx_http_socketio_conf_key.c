
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#define OPENSSL_SUPPRESS_DEPRECATED    /* as nginx does */

#include "ngx_http_socketio_conf.h"

#include <ngx_sio_auth.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>


#define NGX_HTTP_SOCKETIO_KEY_SIZE  65536    /* largest key file */


static char *ngx_http_socketio_key_param(ngx_conf_t *cf,
    ngx_sio_auth_key_t *key, ngx_uint_t secret, ngx_str_t *param);
static ngx_int_t ngx_http_socketio_key_file(ngx_conf_t *cf,
    ngx_sio_auth_key_t *key, ngx_str_t *name);
static ngx_int_t ngx_http_socketio_key_read(ngx_conf_t *cf,
    ngx_sio_auth_key_t *key, ngx_file_t *file);
static char *ngx_http_socketio_key_check(ngx_conf_t *cf,
    ngx_sio_auth_key_t *key, u_char *name);
static const char *ngx_http_socketio_key_pem(ngx_sio_auth_key_t *key);
static int ngx_http_socketio_key_password(char *buf, int size, int rwflag,
    void *userdata);
static size_t ngx_http_socketio_key_hash(ngx_uint_t alg);
static int ngx_http_socketio_key_curve(ngx_uint_t alg);


/* socketio_jwt_key ALG secret | ALG file=path [kid=id] */

char *
ngx_http_socketio_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sio_loc_conf_t  *slcf = conf;

    char                *rv;
    ngx_str_t           *value, path;
    ngx_uint_t           i, alg, secret;
    ngx_sio_auth_key_t  *key;

    value = cf->args->elts;

    alg = ngx_sio_auth_alg(value[1].data, value[1].len);

    if (alg == JWT_ALG_NONE) {

        /* longer than any algorithm: perhaps the secret */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid algorithm \"%s\"",
                           value[1].len > 6 ? (u_char *) "***"
                                            : value[1].data);
        return NGX_CONF_ERROR;
    }

    if (slcf->keys == NGX_CONF_UNSET_PTR) {
        slcf->keys = ngx_array_create(cf->pool, 2, sizeof(ngx_sio_auth_key_t));
        if (slcf->keys == NULL) {
            return NGX_CONF_ERROR;
        }

        slcf->known = ngx_sio_known_create(cf->pool);
        if (slcf->known == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    key = ngx_array_push(slcf->keys);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(key, sizeof(ngx_sio_auth_key_t));

    key->alg = alg;

    secret = ngx_strncmp(value[2].data, "file=", 5) != 0;

    if (secret) {
        key->key = value[2];

    } else {
        path.data = value[2].data + 5;
        path.len = value[2].len - 5;

        if (ngx_http_socketio_key_file(cf, key, &path) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 3; i < cf->args->nelts; i++) {

        rv = ngx_http_socketio_key_param(cf, key, secret, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return ngx_http_socketio_key_check(cf, key, secret ? (u_char *) "***"
                                                       : value[2].data);
}


static char *
ngx_http_socketio_key_param(ngx_conf_t *cf, ngx_sio_auth_key_t *key,
    ngx_uint_t secret, ngx_str_t *param)
{
    if (param->len > 4 && ngx_strncmp(param->data, "kid=", 4) == 0) {

        if (key->kid.len) {
            return "has a duplicate \"kid\"";
        }

        key->kid.data = param->data + 4;
        key->kid.len = param->len - 4;

        return NGX_CONF_OK;
    }

    /* what follows a secret may be the rest of it, with quotes forgotten */

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown parameter \"%s\"",
                       secret ? (u_char *) "***" : param->data);

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_socketio_key_file(ngx_conf_t *cf, ngx_sio_auth_key_t *key,
    ngx_str_t *name)
{
    ngx_int_t   rc;
    ngx_file_t  file;

    if (name->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"file=\"");
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    if (ngx_conf_full_name(cf->cycle, &file.name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    file.fd = ngx_open_file(file.name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &file.name);
        return NGX_ERROR;
    }

    rc = ngx_http_socketio_key_read(cf, key, &file);

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &file.name);
    }

    return rc;
}


/* The bytes of a file but for one newline at its end, which editors add. */

static ngx_int_t
ngx_http_socketio_key_read(ngx_conf_t *cf, ngx_sio_auth_key_t *key,
    ngx_file_t *file)
{
    off_t    size;
    u_char  *p;
    ssize_t  n;

    if (ngx_fd_info(file->fd, &file->info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    size = ngx_file_size(&file->info);

    if (!ngx_is_file(&file->info) || size > NGX_HTTP_SOCKETIO_KEY_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a file of at most 64k", &file->name);
        return NGX_ERROR;
    }

    p = ngx_pnalloc(cf->pool, size + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    n = ngx_read_file(file, p, size, 0);

    if (n != (ssize_t) size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           ngx_read_file_n " \"%V\" returned %z bytes "
                           "instead of %O", &file->name, n, size);
        return NGX_ERROR;
    }

    if (n && p[n - 1] == LF) {
        n--;

        if (n && p[n - 1] == CR) {
            n--;
        }
    }

    p[n] = '\0';

    key->key.data = p;
    key->key.len = n;

    return NGX_OK;
}


/* name: how to call the key in a message. */

static char *
ngx_http_socketio_key_check(ngx_conf_t *cf, ngx_sio_auth_key_t *key,
    u_char *name)
{
    size_t       hash;
    const char  *err;

    hash = ngx_http_socketio_key_hash(key->alg);

    if (hash && key->key.len && key->key.len < hash) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "key \"%s\" is shorter than the %uz bytes "
                           "of its hash", name, hash);
    }

    if (key->key.len == 0) {
        err = "empty";

    } else if (hash) {
        err = NULL;

    } else {
        err = ngx_http_socketio_key_pem(key);
        ERR_clear_error();
    }

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "key \"%s\" is %s",
                           name, err);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* NULL if a public key is one of its algorithm, else what is wrong with it. */

static const char *
ngx_http_socketio_key_pem(ngx_sio_auth_key_t *key)
{
    int        id, curve;
    BIO       *bio;
    EC_KEY    *ec;
    EVP_PKEY  *pkey;

    bio = BIO_new_mem_buf(key->key.data, (int) key->key.len);
    if (bio == NULL) {
        return "unreadable without memory";
    }

    pkey = PEM_read_bio_PUBKEY(bio, NULL, ngx_http_socketio_key_password,
                               NULL);
    BIO_free(bio);

    if (pkey == NULL) {
        return "not a public key in PEM";
    }

    id = EVP_PKEY_base_id(pkey);
    curve = NID_undef;

    if (id == EVP_PKEY_EC) {
        ec = EVP_PKEY_get1_EC_KEY(pkey);

        if (ec) {
            curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(ec));
            EC_KEY_free(ec);
        }
    }

    EVP_PKEY_free(pkey);

    if (ngx_http_socketio_key_curve(key->alg) == NID_undef) {
        return (id == EVP_PKEY_RSA) ? NULL : "not an RSA key";
    }

    if (id != EVP_PKEY_EC) {
        return "not an elliptic curve key";
    }

    return (curve == ngx_http_socketio_key_curve(key->alg))
           ? NULL : "on another elliptic curve";
}


/* Keeps OpenSSL from asking for one on the terminal. */

static int
ngx_http_socketio_key_password(char *buf, int size, int rwflag, void *userdata)
{
    return -1;
}


/* Bytes of an HMAC's hash, which its key should have as well; 0: no HMAC. */

static size_t
ngx_http_socketio_key_hash(ngx_uint_t alg)
{
    switch (alg) {

    case JWT_ALG_HS256:
        return 32;

    case JWT_ALG_HS384:
        return 48;

    case JWT_ALG_HS512:
        return 64;

    default:
        return 0;
    }
}


/* The curve that goes with an algorithm (RFC 7518, 3.4). */

static int
ngx_http_socketio_key_curve(ngx_uint_t alg)
{
    switch (alg) {

    case JWT_ALG_ES256:
        return NID_X9_62_prime256v1;

    case JWT_ALG_ES384:
        return NID_secp384r1;

    case JWT_ALG_ES512:
        return NID_secp521r1;

    default:
        return NID_undef;
    }
}
