
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_auth.h"

#include <sio_record.h>


static ngx_int_t ngx_sio_auth_room(json_t *value, ngx_array_t *rooms);
static ngx_int_t ngx_sio_auth_piece(ngx_sio_piece_t *piece,
    ngx_sio_identity_t *identity, u_char *buf, ngx_str_t *text);
static u_char *ngx_sio_auth_literal(ngx_sio_piece_t *piece, u_char *p,
    u_char *last);
static u_char *ngx_sio_auth_variable(ngx_conf_t *cf, ngx_sio_piece_t *piece,
    u_char *p, u_char *last, ngx_str_t *error);
static ngx_int_t ngx_sio_auth_variable_piece(ngx_conf_t *cf,
    ngx_sio_piece_t *piece, ngx_str_t *name);


ngx_int_t
ngx_sio_auth_text(json_t *value, u_char *buf, ngx_str_t *text)
{
    if (json_is_string(value)) {
        text->data = (u_char *) json_string_value(value);
        text->len = json_string_length(value);
        return NGX_OK;
    }

    if (json_is_integer(value)) {
        text->data = buf;
        text->len = ngx_sprintf(buf, "%L", (int64_t) json_integer_value(value))
                    - buf;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_sio_auth_rooms(ngx_sio_identity_t *identity, ngx_str_t *claim,
    ngx_array_t *rooms)
{
    size_t      i;
    json_t     *value, *element;
    ngx_int_t   rc;

    value = json_object_get(identity->claims, (char *) claim->data);

    if (value == NULL || json_is_null(value)) {
        return NGX_OK;
    }

    if (!json_is_array(value)) {
        return ngx_sio_auth_room(value, rooms);
    }

    json_array_foreach(value, i, element) {
        rc = ngx_sio_auth_room(element, rooms);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_auth_room(json_t *value, ngx_array_t *rooms)
{
    u_char      buf[NGX_INT64_LEN];
    ngx_str_t   name, *room;

    if (ngx_sio_auth_text(value, buf, &name) != NGX_OK
        || name.len == 0
        || name.len > SIO_ROOM_LEN)
    {
        return NGX_DECLINED;
    }

    room = ngx_array_push(rooms);
    if (room == NULL) {
        return NGX_ERROR;
    }

    room->len = name.len;
    room->data = ngx_pstrdup(rooms->pool, &name);

    if (room->data == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_auth_expand(ngx_sio_template_t *t, ngx_sio_identity_t *identity,
    ngx_str_t *text, ngx_pool_t *pool)
{
    u_char            buf[NGX_INT64_LEN], *p;
    size_t            len;
    ngx_str_t         s;
    ngx_uint_t        i;
    ngx_sio_piece_t  *piece;

    len = 0;
    piece = t->pieces.elts;

    for (i = 0; i < t->pieces.nelts; i++) {

        if (ngx_sio_auth_piece(&piece[i], identity, buf, &s) != NGX_OK) {
            return NGX_DECLINED;
        }

        len += s.len;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;
    text->len = len;

    for (i = 0; i < t->pieces.nelts; i++) {
        (void) ngx_sio_auth_piece(&piece[i], identity, buf, &s);

        /* what is empty may be nowhere */

        if (s.len) {
            p = ngx_cpymem(p, s.data, s.len);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_auth_piece(ngx_sio_piece_t *piece, ngx_sio_identity_t *identity,
    u_char *buf, ngx_str_t *text)
{
    switch (piece->type) {

    case NGX_SIO_PIECE_TEXT:
        *text = piece->text;
        return NGX_OK;

    case NGX_SIO_PIECE_USER:
        *text = identity->user;
        return NGX_OK;

    default: /* NGX_SIO_PIECE_CLAIM */
        return ngx_sio_auth_text(json_object_get(identity->claims,
                                                 (char *) piece->text.data),
                                 buf, text);
    }
}


ngx_sio_template_t *
ngx_sio_auth_template(ngx_conf_t *cf, ngx_str_t *source, ngx_str_t *error)
{
    u_char              *p, *last;
    ngx_sio_piece_t     *piece;
    ngx_sio_template_t  *t;

    ngx_str_null(error);

    t = ngx_palloc(cf->pool, sizeof(ngx_sio_template_t));
    if (t == NULL) {
        return NULL;
    }

    t->source = *source;

    if (ngx_array_init(&t->pieces, cf->pool, 2, sizeof(ngx_sio_piece_t))
        != NGX_OK)
    {
        return NULL;
    }

    p = source->data;
    last = source->data + source->len;

    while (p < last) {

        piece = ngx_array_push(&t->pieces);
        if (piece == NULL) {
            return NULL;
        }

        if (*p == '$') {
            p = ngx_sio_auth_variable(cf, piece, p, last, error);

        } else {
            p = ngx_sio_auth_literal(piece, p, last);
        }

        if (p == NULL) {
            return NULL;
        }
    }

    return t;
}


static u_char *
ngx_sio_auth_literal(ngx_sio_piece_t *piece, u_char *p, u_char *last)
{
    piece->type = NGX_SIO_PIECE_TEXT;
    piece->text.data = p;

    p = ngx_strlchr(p, last, '$');
    if (p == NULL) {
        p = last;
    }

    piece->text.len = p - piece->text.data;

    return p;
}


/* $name ends where it does everywhere in nginx, ${name} takes any character. */

static u_char *
ngx_sio_auth_variable(ngx_conf_t *cf, ngx_sio_piece_t *piece, u_char *p,
    u_char *last, ngx_str_t *error)
{
    u_char     *start;
    ngx_int_t   rc;
    ngx_str_t   name;

    start = p++;
    rc = NGX_DECLINED;

    if (p < last && *p == '{') {

        name.data = ++p;

        p = ngx_strlchr(p, last, '}');

        if (p == NULL) {
            p = last;

        } else {
            name.len = p++ - name.data;
            rc = ngx_sio_auth_variable_piece(cf, piece, &name);
        }

    } else {

        name.data = p;

        while (p < last
               && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
                   || (*p >= '0' && *p <= '9') || *p == '_'))
        {
            p++;
        }

        name.len = p - name.data;
        rc = ngx_sio_auth_variable_piece(cf, piece, &name);
    }

    if (rc == NGX_DECLINED) {
        error->data = start;
        error->len = p - start;
    }

    return (rc == NGX_OK) ? p : NULL;
}


static ngx_int_t
ngx_sio_auth_variable_piece(ngx_conf_t *cf, ngx_sio_piece_t *piece,
    ngx_str_t *name)
{
    size_t            len;
    static ngx_str_t  user = ngx_string("socketio_user");
    static ngx_str_t  claim = ngx_string("socketio_claim_");

    if (name->len == user.len
        && ngx_strncmp(name->data, user.data, user.len) == 0)
    {
        piece->type = NGX_SIO_PIECE_USER;
        ngx_str_null(&piece->text);
        return NGX_OK;
    }

    if (name->len <= claim.len
        || ngx_strncmp(name->data, claim.data, claim.len) != 0)
    {
        return NGX_DECLINED;
    }

    len = name->len - claim.len;

    piece->type = NGX_SIO_PIECE_CLAIM;
    piece->text.len = len;
    piece->text.data = ngx_pnalloc(cf->pool, len + 1);

    if (piece->text.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(piece->text.data, name->data + claim.len, len + 1);

    return NGX_OK;
}
