
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_http_socketio_conf.h"


#define NGX_HTTP_SOCKETIO_REDIS_PORT  6379


static char *ngx_http_socketio_redis_tcp(ngx_conf_t *cf,
    ngx_sio_redis_conf_t *rc, u_char *p, u_char *last);
static char *ngx_http_socketio_redis_unix(ngx_conf_t *cf,
    ngx_sio_redis_conf_t *rc, u_char *p, u_char *last);
static char *ngx_http_socketio_redis_user(ngx_conf_t *cf,
    ngx_sio_redis_conf_t *rc, u_char *p, u_char *last);
static ngx_int_t ngx_http_socketio_redis_unescape(ngx_conf_t *cf,
    ngx_str_t *text, u_char *p, u_char *last);
static char *ngx_http_socketio_redis_db(ngx_sio_redis_conf_t *rc, u_char *p,
    u_char *last);
static char *ngx_http_socketio_redis_resolve(ngx_conf_t *cf,
    ngx_sio_redis_conf_t *rc, ngx_str_t *address);
static u_char *ngx_http_socketio_redis_last(u_char *p, u_char *last,
    u_char ch);
static ngx_int_t ngx_http_socketio_redis_mask(ngx_conf_t *cf, ngx_str_t *url,
    ngx_str_t *masked);
static ngx_uint_t ngx_http_socketio_redis_host(u_char *p, u_char *last);


ngx_sio_redis_conf_t *
ngx_http_socketio_redis(ngx_conf_t *cf, ngx_str_t *url)
{
    char                  *err;
    u_char                *p, *last;
    ngx_str_t              masked;
    ngx_sio_redis_conf_t  *rc;

    rc = ngx_pcalloc(cf->pool, sizeof(ngx_sio_redis_conf_t));
    if (rc == NULL) {
        return NULL;
    }

    p = url->data;
    last = url->data + url->len;

    if (ngx_strncmp(p, "redis://", 8) == 0) {
        err = ngx_http_socketio_redis_tcp(cf, rc, p + 8, last);

    } else if (ngx_strncmp(p, "unix:", 5) == 0) {
        err = ngx_http_socketio_redis_unix(cf, rc, p, last);

    } else {
        err = "neither \"redis://\" nor \"unix:\"";
    }

    if (err == NULL) {
        return rc;
    }

    if (ngx_http_socketio_redis_mask(cf, url, &masked) == NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in redis URL \"%V\"",
                           err, &masked);
    }

    return NULL;
}


/* [[user]:password@]host[:port][/db] */

static char *
ngx_http_socketio_redis_tcp(ngx_conf_t *cf, ngx_sio_redis_conf_t *rc,
    u_char *p, u_char *last)
{
    char       *err;
    u_char     *at, *slash;
    ngx_str_t   address;

    slash = ngx_strlchr(p, last, '/');

    if (slash) {
        err = ngx_http_socketio_redis_db(rc, slash + 1, last);
        if (err) {
            return err;
        }

        last = slash;
    }

    at = ngx_http_socketio_redis_last(p, last, '@');

    if (at) {
        err = ngx_http_socketio_redis_user(cf, rc, p, at);
        if (err) {
            return err;
        }

        p = at + 1;
    }

    if (p == last) {
        return "no host";
    }

    address.data = p;
    address.len = last - p;

    return ngx_http_socketio_redis_resolve(cf, rc, &address);
}


/* unix:/path[?db=N] */

static char *
ngx_http_socketio_redis_unix(ngx_conf_t *cf, ngx_sio_redis_conf_t *rc,
    u_char *p, u_char *last)
{
    char       *err;
    u_char     *args;
    ngx_str_t   address;

    args = ngx_strlchr(p, last, '?');

    if (args) {
        if (last - args <= 4 || ngx_strncmp(args, "?db=", 4) != 0) {
            return "invalid parameter";
        }

        err = ngx_http_socketio_redis_db(rc, args + 4, last);
        if (err) {
            return err;
        }

        last = args;
    }

    if (last - p <= 6 || p[5] != '/') {
        return "no absolute path";
    }

    address.data = p;
    address.len = last - p;

    return ngx_http_socketio_redis_resolve(cf, rc, &address);
}


static char *
ngx_http_socketio_redis_user(ngx_conf_t *cf, ngx_sio_redis_conf_t *rc,
    u_char *p, u_char *last)
{
    u_char  *colon;

    colon = ngx_strlchr(p, last, ':');

    if (colon == NULL || colon + 1 == last) {
        return "no password";
    }

    if (ngx_http_socketio_redis_unescape(cf, &rc->user, p, colon) != NGX_OK
        || ngx_http_socketio_redis_unescape(cf, &rc->password, colon + 1, last)
           != NGX_OK)
    {
        return "invalid user or password";
    }

    return NULL;
}


static ngx_int_t
ngx_http_socketio_redis_unescape(ngx_conf_t *cf, ngx_str_t *text, u_char *p,
    u_char *last)
{
    u_char     *dst;
    ngx_int_t   n;

    dst = ngx_pnalloc(cf->pool, last - p + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    text->data = dst;

    while (p < last) {

        if (*p != '%') {
            *dst++ = *p++;
            continue;
        }

        n = (last - p < 3) ? NGX_ERROR : ngx_hextoi(p + 1, 2);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        *dst++ = (u_char) n;
        p += 3;
    }

    *dst = '\0';
    text->len = dst - text->data;

    return NGX_OK;
}


static char *
ngx_http_socketio_redis_db(ngx_sio_redis_conf_t *rc, u_char *p, u_char *last)
{
    ngx_int_t  db;

    if (p == last) {
        return NULL;
    }

    db = ngx_atoi(p, last - p);

    if (db == NGX_ERROR || db > NGX_MAX_INT32_VALUE) {
        return "invalid database number";
    }

    rc->db = db;

    return NULL;
}


static char *
ngx_http_socketio_redis_resolve(ngx_conf_t *cf, ngx_sio_redis_conf_t *rc,
    ngx_str_t *address)
{
    u_char     *p;
    ngx_url_t   u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *address;
    u.default_port = NGX_HTTP_SOCKETIO_REDIS_PORT;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        return u.err ? u.err : "no address for the host";
    }

    if (u.naddrs == 0) {
        return "no address for the host";
    }

    rc->addr = u.addrs[0];

    if (!u.no_port) {
        rc->name = *address;
        return NULL;
    }

    p = ngx_pnalloc(cf->pool, address->len + sizeof(":65535") - 1);
    if (p == NULL) {
        return "no memory";
    }

    rc->name.data = p;
    rc->name.len = ngx_sprintf(p, "%V:%ui", address,
                               (ngx_uint_t) NGX_HTTP_SOCKETIO_REDIS_PORT)
                   - p;

    return NULL;
}


static u_char *
ngx_http_socketio_redis_last(u_char *p, u_char *last, u_char ch)
{
    while (last > p) {
        if (*--last == ch) {
            return last;
        }
    }

    return NULL;
}


/*
 * A URL without credentials: all up to the last "@" may be some, so may what
 * looks like them with the "@" forgotten, and what stands in an argument.
 */

static ngx_int_t
ngx_http_socketio_redis_mask(ngx_conf_t *cf, ngx_str_t *url,
    ngx_str_t *masked)
{
    size_t   scheme;
    u_char  *p, *start, *last, *at, *end;

    start = url->data;
    last = url->data + url->len;

    if (ngx_strncmp(start, "unix:", 5) == 0) {
        scheme = 5;

    } else {
        p = (u_char *) ngx_strstr(start, "://");
        scheme = p ? p + 3 - start : 0;
    }

    start += scheme;

    at = ngx_http_socketio_redis_last(start, last, '@');

    if (at == NULL && !ngx_http_socketio_redis_host(start, last)) {
        at = last;
    }

    if (at) {
        start = at;
    }

    end = ngx_strlchr(start, last, '?');

    if (end == NULL || ngx_strncmp(end, "?db=", 4) == 0) {
        end = last;
    }

    p = ngx_pnalloc(cf->pool, url->len + 2 * (sizeof("***") - 1) + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    masked->data = p;

    p = ngx_sprintf(p, "%*s%s%*s%s", scheme, url->data, at ? "***" : "",
                    (size_t) (end - start), start, end < last ? "?***" : "");

    masked->len = p - masked->data;

    return NGX_OK;
}


/* True unless what follows a colon is no port, so that it may be a password. */

static ngx_uint_t
ngx_http_socketio_redis_host(u_char *p, u_char *last)
{
    u_char  *colon, *port;

    colon = ngx_strlchr(p, last, ':');

    if (colon == NULL || *p == '[') {
        return 1;
    }

    for (port = colon + 1; port < last; port++) {
        if (*port < '0' || *port > '9') {
            break;
        }
    }

    return colon > p && port - colon <= 6
           && (port == last || *port == '/' || *port == '?');
}
