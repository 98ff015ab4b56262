
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_auth.h"

#include <sio_json.h>
#include <sio_record.h>

#include <openssl/err.h>


#define NGX_SIO_AUTH_PART_LEN  ngx_base64_decoded_length(NGX_SIO_AUTH_TOKEN_LEN)


static ngx_int_t ngx_sio_auth_split(ngx_str_t *token, ngx_str_t *header,
    ngx_str_t *payload);
static json_t *ngx_sio_auth_decode(ngx_str_t *part);
static ngx_int_t ngx_sio_auth_check(ngx_array_t *keys, ngx_str_t *header,
    ngx_str_t *token);
static ngx_int_t ngx_sio_auth_keys(ngx_array_t *keys, json_t *header,
    ngx_str_t *token);
static ngx_uint_t ngx_sio_auth_named(ngx_array_t *keys, ngx_str_t *kid);
static ngx_uint_t ngx_sio_auth_same(ngx_str_t *one, ngx_str_t *two);
static ngx_int_t ngx_sio_auth_signature(ngx_sio_auth_key_t *key,
    ngx_str_t *token);
static ngx_sio_auth_result_e ngx_sio_auth_claims(ngx_sio_loc_conf_t *slcf,
    json_t *claims, ngx_sio_identity_t *identity, ngx_pool_t *pool);
static ngx_sio_auth_result_e ngx_sio_auth_times(json_t *claims, time_t leeway,
    ngx_sio_identity_t *identity);
static ngx_int_t ngx_sio_auth_required(ngx_array_t *require, json_t *claims);
static ngx_uint_t ngx_sio_auth_match(ngx_sio_auth_require_t *r,
    json_t *claims);
static ngx_uint_t ngx_sio_auth_equal(json_t *value, ngx_str_t *text);


static const struct {
    char         name[8];
    ngx_uint_t   alg;
} ngx_sio_auth_algs[] = {
    { "HS256", JWT_ALG_HS256 },
    { "HS384", JWT_ALG_HS384 },
    { "HS512", JWT_ALG_HS512 },
    { "RS256", JWT_ALG_RS256 },
    { "RS384", JWT_ALG_RS384 },
    { "RS512", JWT_ALG_RS512 },
    { "ES256", JWT_ALG_ES256 },
    { "ES384", JWT_ALG_ES384 },
    { "ES512", JWT_ALG_ES512 }
};


static const ngx_str_t  ngx_sio_auth_errors[] = {

    ngx_null_string,

    ngx_string("{\"message\":\"Authentication error: Token not provided\","
               "\"data\":{\"code\":\"token_missing\"}}"),

    ngx_string("{\"message\":\"Authentication error: Invalid token\","
               "\"data\":{\"code\":\"token_invalid\"}}"),

    ngx_string("{\"message\":\"Authentication error: Token expired\","
               "\"data\":{\"code\":\"token_expired\"}}")
};


ngx_uint_t
ngx_sio_auth_alg(const u_char *name, size_t len)
{
    ngx_uint_t  i;

    if (len != sizeof("HS256") - 1) {
        return JWT_ALG_NONE;
    }

    for (i = 0; i < sizeof(ngx_sio_auth_algs) / sizeof(ngx_sio_auth_algs[0]);
         i++)
    {
        if (ngx_memcmp(name, ngx_sio_auth_algs[i].name, len) == 0) {
            return ngx_sio_auth_algs[i].alg;
        }
    }

    return JWT_ALG_NONE;
}


const ngx_str_t *
ngx_sio_auth_error(ngx_sio_auth_result_e result)
{
    return &ngx_sio_auth_errors[result];
}


ngx_sio_auth_result_e
ngx_sio_auth_verify(ngx_sio_loc_conf_t *slcf, ngx_str_t *token,
    ngx_sio_identity_t *identity, ngx_pool_t *pool)
{
    u_char                  digest[NGX_SIO_KNOWN_DIGEST];
    json_t                 *object;
    ngx_str_t               header, payload;
    ngx_uint_t              known;
    ngx_sio_auth_result_e   result;

    ngx_memzero(identity, sizeof(ngx_sio_identity_t));

    if (!slcf->auth) {
        return NGX_SIO_AUTH_OK;
    }

    if (token && token->len == 0) {
        return NGX_SIO_AUTH_MISSING;
    }

    if (token == NULL || slcf->keys == NULL
        || ngx_sio_auth_split(token, &header, &payload) != NGX_OK)
    {
        return NGX_SIO_AUTH_INVALID;
    }

    known = ngx_sio_known_find(slcf->known, token, digest);

    if (!known
        && ngx_sio_auth_check(slcf->keys, &header, token) != NGX_OK)
    {
        return NGX_SIO_AUTH_INVALID;
    }

    object = ngx_sio_auth_decode(&payload);
    if (object == NULL) {
        return NGX_SIO_AUTH_INVALID;
    }

    result = ngx_sio_auth_claims(slcf, object, identity, pool);

    if (result != NGX_SIO_AUTH_OK) {
        json_decref(object);
        ngx_memzero(identity, sizeof(ngx_sio_identity_t));
        return result;
    }

    if (!known) {
        ngx_sio_known_add(slcf->known, token, digest);
    }

    identity->claims = object;

    return NGX_SIO_AUTH_OK;
}


void
ngx_sio_auth_release(ngx_sio_identity_t *identity)
{
    json_decref(identity->claims);
    identity->claims = NULL;
}


/*
 * Three parts, none of them empty, of nothing but base64url: libjwt is laxer,
 * it skips what it does not know and writes behind the end of an empty part.
 */

static ngx_int_t
ngx_sio_auth_split(ngx_str_t *token, ngx_str_t *header, ngx_str_t *payload)
{
    u_char      *p, *last, *part[3];
    ngx_uint_t   n;

    static uint32_t  base64url[] = {
        0x00000000, 0x03ff2000, 0x87fffffe, 0x07fffffe,
        0x00000000, 0x00000000, 0x00000000, 0x00000000
    };

    if (token->len > NGX_SIO_AUTH_TOKEN_LEN) {
        return NGX_ERROR;
    }

    n = 0;
    part[0] = token->data;
    last = token->data + token->len;

    for (p = token->data; p < last; p++) {

        if (base64url[*p >> 5] & (1U << (*p & 0x1f))) {
            continue;
        }

        if (*p != '.' || n == 2 || p == part[n]) {
            return NGX_ERROR;
        }

        part[++n] = p + 1;
    }

    if (n != 2 || part[2] == last) {
        return NGX_ERROR;
    }

    header->data = part[0];
    header->len = part[1] - part[0] - 1;

    payload->data = part[1];
    payload->len = part[2] - part[1] - 1;

    return NGX_OK;
}


/* A part of a token as a JSON object; NULL if it is none. */

static json_t *
ngx_sio_auth_decode(ngx_str_t *part)
{
    u_char      buf[NGX_SIO_AUTH_PART_LEN];
    json_t     *object;
    sio_rc_t    rc;
    ngx_str_t   text;

    text.data = buf;

    if (ngx_decode_base64url(&text, part) != NGX_OK) {
        return NULL;
    }

    object = sio_json_parse(text.data, text.len, JSON_REJECT_DUPLICATES, &rc);

    if (rc == SIO_NOMEM) {
        ngx_set_errno(NGX_ENOMEM);
        return NULL;
    }

    if (!json_is_object(object)) {
        json_decref(object);
        return NULL;
    }

    return object;
}


static ngx_int_t
ngx_sio_auth_check(ngx_array_t *keys, ngx_str_t *header, ngx_str_t *token)
{
    json_t     *object;
    ngx_int_t   rc;

    object = ngx_sio_auth_decode(header);
    if (object == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_sio_auth_keys(keys, object, token);

    json_decref(object);

    return rc;
}


/* Looks for a key of the token's algorithm and name that has signed it. */

static ngx_int_t
ngx_sio_auth_keys(ngx_array_t *keys, json_t *header, ngx_str_t *token)
{
    json_t              *value;
    ngx_str_t            kid;
    ngx_uint_t           i, alg;
    ngx_sio_auth_key_t  *key;

    value = json_object_get(header, "alg");
    if (!json_is_string(value)) {
        return NGX_DECLINED;
    }

    alg = ngx_sio_auth_alg((u_char *) json_string_value(value),
                           json_string_length(value));
    if (alg == JWT_ALG_NONE) {
        return NGX_DECLINED;
    }

    /* extensions that must be understood (RFC 7515, 4.1.11): none are */

    if (json_object_get(header, "crit")) {
        return NGX_DECLINED;
    }

    ngx_str_null(&kid);

    value = json_object_get(header, "kid");

    if (value) {
        if (!json_is_string(value)) {
            return NGX_DECLINED;
        }

        kid.data = (u_char *) json_string_value(value);
        kid.len = json_string_length(value);

        if (!ngx_sio_auth_named(keys, &kid)) {
            kid.len = 0;
        }
    }

    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {

        if (key[i].alg != alg || !ngx_sio_auth_same(&key[i].kid, &kid)) {
            continue;
        }

        if (ngx_sio_auth_signature(&key[i], token) == NGX_OK) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* True if a key, of whatever algorithm, has this kid. */

static ngx_uint_t
ngx_sio_auth_named(ngx_array_t *keys, ngx_str_t *kid)
{
    ngx_uint_t           i;
    ngx_sio_auth_key_t  *key;

    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {

        if (ngx_sio_auth_same(&key[i].kid, kid)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_sio_auth_same(ngx_str_t *one, ngx_str_t *two)
{
    return one->len == two->len
           && (one->len == 0
               || ngx_memcmp(one->data, two->data, one->len) == 0);
}


/*
 * The algorithm is compared again with what libjwt has read: it takes that of
 * the token, and would use a public key as the secret of an HMAC.
 */

static ngx_int_t
ngx_sio_auth_signature(ngx_sio_auth_key_t *key, ngx_str_t *token)
{
    jwt_t      *jwt;
    ngx_int_t   rc;

    if (jwt_decode(&jwt, (char *) token->data, key->key.data,
                   (int) key->key.len)
        == 0)
    {
        rc = (jwt_get_alg(jwt) == (jwt_alg_t) key->alg) ? NGX_OK
                                                         : NGX_DECLINED;
        jwt_free(jwt);

    } else {
        rc = NGX_DECLINED;
    }

    /* nginx would find what is left here and blame a TLS connection for it */

    ERR_clear_error();

    return rc;
}


static ngx_sio_auth_result_e
ngx_sio_auth_claims(ngx_sio_loc_conf_t *slcf, json_t *claims,
    ngx_sio_identity_t *identity, ngx_pool_t *pool)
{
    u_char                  buf[NGX_INT64_LEN];
    json_t                 *value;
    ngx_str_t               user;
    ngx_sio_auth_result_e   result;

    result = ngx_sio_auth_times(claims, slcf->leeway, identity);

    if (result != NGX_SIO_AUTH_OK) {
        return result;
    }

    if (slcf->require
        && ngx_sio_auth_required(slcf->require, claims) != NGX_OK)
    {
        return NGX_SIO_AUTH_INVALID;
    }

    value = json_object_get(claims, (char *) slcf->user_claim.data);

    if (ngx_sio_auth_text(value, buf, &user) != NGX_OK
        || user.len == 0
        || user.len > SIO_ROOM_LEN)
    {
        return NGX_SIO_AUTH_INVALID;
    }

    identity->user.len = user.len;
    identity->user.data = ngx_pstrdup(pool, &user);

    if (identity->user.data == NULL) {
        return NGX_SIO_AUTH_INVALID;
    }

    return NGX_SIO_AUTH_OK;
}


/* exp and nbf may be any numbers (RFC 7519, 2), hence the floating point. */

static ngx_sio_auth_result_e
ngx_sio_auth_times(json_t *claims, time_t leeway, ngx_sio_identity_t *identity)
{
    double   now, exp;
    json_t  *value;

    now = (double) ngx_time();

    value = json_object_get(claims, "nbf");

    if (value
        && (!json_is_number(value)
            || json_number_value(value) > now + (double) leeway))
    {
        return NGX_SIO_AUTH_INVALID;
    }

    value = json_object_get(claims, "exp");

    if (value == NULL) {
        return NGX_SIO_AUTH_OK;
    }

    if (!json_is_number(value)) {
        return NGX_SIO_AUTH_INVALID;
    }

    exp = json_number_value(value);

    if (now >= exp + (double) leeway) {
        return NGX_SIO_AUTH_EXPIRED;
    }

    if (exp >= (double) NGX_MAX_TIME_T_VALUE) {
        identity->expires = NGX_MAX_TIME_T_VALUE;
        return NGX_SIO_AUTH_OK;
    }

    identity->expires = (time_t) exp;

    if ((double) identity->expires < exp) {
        identity->expires++;
    }

    return NGX_SIO_AUTH_OK;
}


static ngx_int_t
ngx_sio_auth_required(ngx_array_t *require, json_t *claims)
{
    ngx_uint_t               i, j, found;
    ngx_sio_auth_require_t  *r;

    r = require->elts;

    for (i = 0; i < require->nelts; i++) {

        found = 0;

        for (j = 0; j < require->nelts && !found; j++) {
            found = ngx_sio_auth_same(&r[j].name, &r[i].name)
                    && ngx_sio_auth_match(&r[j], claims);
        }

        if (!found) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* aud is the one claim that may be an array (RFC 7519, 4.1.3). */

static ngx_uint_t
ngx_sio_auth_match(ngx_sio_auth_require_t *r, json_t *claims)
{
    size_t   i;
    json_t  *value, *element;

    value = json_object_get(claims, (char *) r->name.data);

    if (!json_is_array(value) || ngx_strcmp(r->name.data, "aud") != 0) {
        return ngx_sio_auth_equal(value, &r->value);
    }

    json_array_foreach(value, i, element) {
        if (ngx_sio_auth_equal(element, &r->value)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_sio_auth_equal(json_t *value, ngx_str_t *text)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  s;

    if (json_is_true(value)) {
        return ngx_strcmp(text->data, "true") == 0;
    }

    if (json_is_false(value)) {
        return ngx_strcmp(text->data, "false") == 0;
    }

    if (ngx_sio_auth_text(value, buf, &s) != NGX_OK) {
        return 0;
    }

    return ngx_sio_auth_same(&s, text);
}
