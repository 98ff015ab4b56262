
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_origin.h"

#include <ngx_sio_http.h>
#include <ngx_sio_upgrade.h>


static u_char *ngx_sio_origin_scheme(u_char *p, u_char *last);
static u_char *ngx_sio_origin_host(u_char *p, u_char *last);
static ngx_uint_t ngx_sio_origin_is_port(u_char *p, u_char *last);
static size_t ngx_sio_origin_length(ngx_str_t *origin);
static ngx_uint_t ngx_sio_origin_any(ngx_array_t *origins);
static ngx_uint_t ngx_sio_origin_allowed(ngx_array_t *origins,
    ngx_str_t *origin);
static ngx_uint_t ngx_sio_origin_is_preflight(ngx_http_request_t *r);
static ngx_int_t ngx_sio_origin_headers(ngx_http_request_t *r,
    ngx_str_t *origin, ngx_uint_t any);
static ngx_int_t ngx_sio_origin_vary(ngx_http_request_t *r, ngx_uint_t any);
static ngx_int_t ngx_sio_origin_refuse(ngx_http_request_t *r,
    ngx_str_t *origin);
static ngx_int_t ngx_sio_origin_preflight(ngx_http_request_t *r);


static const ngx_str_t  ngx_sio_origin_star = ngx_string("*");
static const ngx_str_t  ngx_sio_origin_true = ngx_string("true");
static const ngx_str_t  ngx_sio_origin_methods = ngx_string("GET,POST");

/* seconds; browsers have limits of their own, of which this is the highest */
static const ngx_str_t  ngx_sio_origin_max_age = ngx_string("86400");

static const ngx_str_t  ngx_sio_origin_by_origin = ngx_string("Origin");
static const ngx_str_t  ngx_sio_origin_by_headers =
    ngx_string("Access-Control-Request-Headers");
static const ngx_str_t  ngx_sio_origin_by_both =
    ngx_string("Origin, Access-Control-Request-Headers");


ngx_int_t
ngx_sio_origin_parse(ngx_str_t *value)
{
    u_char  *p, *last;

    if (value->len == 1 && value->data[0] == '*') {
        return NGX_OK;
    }

    ngx_strlow(value->data, value->data, value->len);

    last = value->data + value->len;

    p = ngx_sio_origin_scheme(value->data, last);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sio_origin_host(p, last);

    if (p == NULL || (p != last && !ngx_sio_origin_is_port(p, last))) {
        return NGX_ERROR;
    }

    value->len = ngx_sio_origin_length(value);

    return NGX_OK;
}


/* Where the host begins; NULL: this does not begin with a scheme. */

static u_char *
ngx_sio_origin_scheme(u_char *p, u_char *last)
{
    u_char  *start;

    for (start = p; p < last && *p != ':'; p++) {

        if (*p >= 'a' && *p <= 'z') {
            continue;
        }

        if (p == start
            || ((*p < '0' || *p > '9')
                && *p != '+' && *p != '-' && *p != '.'))
        {
            return NULL;
        }
    }

    if (p == start || last - p < 3 || ngx_strncmp(p, "://", 3) != 0) {
        return NULL;
    }

    return p + 3;
}


/* Where the host ends; NULL: there is none. */

static u_char *
ngx_sio_origin_host(u_char *p, u_char *last)
{
    u_char      *start;
    ngx_uint_t   brackets;

    brackets = (p < last && *p == '[');

    if (brackets) {
        p++;
    }

    for (start = p; p < last; p++) {

        if ((*p >= '0' && *p <= '9') || *p == '.') {
            continue;
        }

        if (brackets) {
            if ((*p >= 'a' && *p <= 'f') || *p == ':') {
                continue;
            }

        } else if ((*p >= 'a' && *p <= 'z') || *p == '-' || *p == '_') {
            continue;
        }

        break;
    }

    if (p == start) {
        return NULL;
    }

    if (brackets) {
        return (p < last && *p == ']') ? p + 1 : NULL;
    }

    return p;
}


static ngx_uint_t
ngx_sio_origin_is_port(u_char *p, u_char *last)
{
    ngx_int_t  port;

    if (*p++ != ':' || p == last || *p == '0') {
        return 0;
    }

    port = ngx_atoi(p, last - p);

    return port > 0 && port <= 65535;
}


/* Without a port that goes without saying. */

static size_t
ngx_sio_origin_length(ngx_str_t *origin)
{
    size_t   len;
    u_char  *last;

    len = origin->len;
    last = origin->data + len;

    if (len > sizeof("https://:443") - 1
        && ngx_strncasecmp(origin->data, (u_char *) "https://", 8) == 0
        && ngx_strncmp(last - 4, ":443", 4) == 0)
    {
        return len - 4;
    }

    if (len > sizeof("http://:80") - 1
        && ngx_strncasecmp(origin->data, (u_char *) "http://", 7) == 0
        && ngx_strncmp(last - 3, ":80", 3) == 0)
    {
        return len - 3;
    }

    return len;
}


ngx_int_t
ngx_sio_origin_handler(ngx_http_request_t *r, ngx_array_t *origins)
{
    ngx_str_t   *origin;
    ngx_uint_t   any, allowed;

    if (origins == NULL) {
        return NGX_DECLINED;
    }

    origin = ngx_sio_http_header(r, "Origin", 6);

    if (origin && origin->len == 0) {
        origin = NULL;
    }

    any = ngx_sio_origin_any(origins);

    allowed = any || origin == NULL || ngx_sio_origin_allowed(origins, origin);

    if (ngx_sio_origin_headers(r, allowed ? origin : NULL, any) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!allowed) {
        return ngx_sio_origin_refuse(r, origin);
    }

    return ngx_sio_origin_is_preflight(r) ? ngx_sio_origin_preflight(r)
                                          : NGX_DECLINED;
}


static ngx_uint_t
ngx_sio_origin_any(ngx_array_t *origins)
{
    ngx_str_t  *allowed;

    allowed = origins->elts;

    return allowed[0].data[0] == '*';
}


static ngx_uint_t
ngx_sio_origin_allowed(ngx_array_t *origins, ngx_str_t *origin)
{
    size_t       len;
    ngx_str_t   *allowed;
    ngx_uint_t   i;

    len = ngx_sio_origin_length(origin);
    allowed = origins->elts;

    for (i = 0; i < origins->nelts; i++) {
        if (allowed[i].len == len
            && ngx_strncasecmp(allowed[i].data, origin->data, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_sio_origin_is_preflight(ngx_http_request_t *r)
{
    return r->method == NGX_HTTP_OPTIONS
           && ngx_sio_http_header(r, "Access-Control-Request-Method", 29);
}


/*
 * A page may send cookies along, for whatever stands in front of the gateway:
 * browsers do not let it read the answer unless that has credentials allowed.
 * They do not accept this together with "*".
 */

static ngx_int_t
ngx_sio_origin_headers(ngx_http_request_t *r, ngx_str_t *origin,
    ngx_uint_t any)
{
    if (any) {
        if (ngx_sio_http_push(r, "Access-Control-Allow-Origin", 27,
                              &ngx_sio_origin_star)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (origin) {
        if (ngx_sio_http_push(r, "Access-Control-Allow-Origin", 27, origin)
            != NGX_OK
            || ngx_sio_http_push(r, "Access-Control-Allow-Credentials", 32,
                                 &ngx_sio_origin_true)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_sio_origin_vary(r, any);
}


static ngx_int_t
ngx_sio_origin_vary(ngx_http_request_t *r, ngx_uint_t any)
{
    ngx_uint_t        preflight;
    const ngx_str_t  *vary;

    preflight = ngx_sio_origin_is_preflight(r);

    if (any && !preflight) {
        return NGX_OK;
    }

    if (any) {
        vary = &ngx_sio_origin_by_headers;

    } else {
        vary = preflight ? &ngx_sio_origin_by_both : &ngx_sio_origin_by_origin;
    }

    return ngx_sio_http_push(r, "Vary", 4, vary);
}


static ngx_int_t
ngx_sio_origin_refuse(ngx_http_request_t *r, ngx_str_t *origin)
{
    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "socketio origin \"%V\" is not allowed", origin);

    if (ngx_sio_upgrade_requested(r)) {
        r->keepalive = 0;
    }

    return ngx_sio_http_error(r, SIO_EIO_FORBIDDEN);
}


static ngx_int_t
ngx_sio_origin_preflight(ngx_http_request_t *r)
{
    ngx_str_t  *wanted;

    wanted = ngx_sio_http_header(r, "Access-Control-Request-Headers", 30);

    if (ngx_sio_http_push(r, "Access-Control-Allow-Methods", 28,
                          &ngx_sio_origin_methods)
        != NGX_OK
        || (wanted && wanted->len
            && ngx_sio_http_push(r, "Access-Control-Allow-Headers", 28, wanted)
               != NGX_OK)
        || ngx_sio_http_push(r, "Access-Control-Max-Age", 22,
                             &ngx_sio_origin_max_age)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_sio_http_empty(r, NGX_HTTP_NO_CONTENT);
}
