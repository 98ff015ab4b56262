
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_AUTH_H_INCLUDED_
#define _NGX_SIO_AUTH_H_INCLUDED_


#include "ngx_sio_conf.h"

#include <jansson.h>
#include <jwt.h>


/*
 * Who a client is: verification of its JWT (RFC 7519) by libjwt, with each
 * key pinned to its algorithm, and the names that are made from its claims.
 */


typedef enum {
    NGX_SIO_AUTH_OK,
    NGX_SIO_AUTH_MISSING,
    NGX_SIO_AUTH_INVALID,
    NGX_SIO_AUTH_EXPIRED
} ngx_sio_auth_result_e;


/* Who was found; made by ngx_sio_auth_verify(), in the given pool. */

typedef struct {
    ngx_str_t        user;       /* the user claim, an integer in decimals */
    json_t          *claims;     /* object, one reference; NULL: auth off */
    time_t           expires;    /* exp, 0: none */
} ngx_sio_identity_t;


#define NGX_SIO_AUTH_TOKEN_LEN  16384    /* longest token that is looked at */


/*
 * The jwt_alg_t of a name such as HS256, in exactly this writing; JWT_ALG_NONE
 * if it is none that we accept.
 */
ngx_uint_t ngx_sio_auth_alg(const u_char *name, size_t len);

/*
 * Verifies a token, which a NUL follows.  An empty one is missing, NULL stands
 * for one that is no string, and therefore invalid.  Only keys whose algorithm
 * is the token's are tried: those with its kid, or, if no key has it, those
 * without kid.  OpenSSL's error queue is left empty.
 *
 * pool: for identity->user.  A result other than OK leaves nothing behind; if
 * it is so for lack of memory, errno is ENOMEM.
 * The token and the keys are never logged.
 */
ngx_sio_auth_result_e ngx_sio_auth_verify(ngx_sio_loc_conf_t *slcf,
    ngx_str_t *token, ngx_sio_identity_t *identity, ngx_pool_t *pool);

/* Drops the reference to the claims. */
void ngx_sio_auth_release(ngx_sio_identity_t *identity);

/* The CONNECT_ERROR payload {"message":..,"data":{"code":..}} of a refusal. */
const ngx_str_t *ngx_sio_auth_error(ngx_sio_auth_result_e result);

/*
 * The text of a string or an integer: *text points into value, or into buf,
 * which has room for NGX_INT64_LEN bytes.  NGX_OK; NGX_DECLINED for NULL and
 * all other values.
 */
ngx_int_t ngx_sio_auth_text(json_t *value, u_char *buf, ngx_str_t *text);

/*
 * Writes a template's text for an identity into pool.  A claim must be a
 * string or an integer.  NGX_OK; NGX_DECLINED if a claim is missing or of
 * another type; NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_auth_expand(ngx_sio_template_t *t,
    ngx_sio_identity_t *identity, ngx_str_t *text, ngx_pool_t *pool);

/*
 * Appends the rooms of a claim to rooms (array of ngx_str_t, memory from its
 * pool): an array of strings and integers, or a single one.  A missing claim
 * or null adds none.  NGX_OK; NGX_DECLINED if the claim has another type or a
 * name is empty or longer than SIO_ROOM_LEN; NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_auth_rooms(ngx_sio_identity_t *identity, ngx_str_t *claim,
    ngx_array_t *rooms);

/*
 * Cuts a template into pieces.  Only $socketio_user, $socketio_claim_<name>
 * and their ${} forms may stand in it.  Returns NULL on failure: *error is
 * the part that may not stand there, or empty without memory.
 */
ngx_sio_template_t *ngx_sio_auth_template(ngx_conf_t *cf, ngx_str_t *source,
    ngx_str_t *error);


#endif /* _NGX_SIO_AUTH_H_INCLUDED_ */
