
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_presence_call.h"


/*
 * This node's users, as Redis has them.
 *
 * REPORTED is what Redis has, unless a call was lost, Redis has lost data, or
 * another actor was at work.  Then Redis is asked whom it has: that is REPORTED
 * from then on, and those whom this node does not even know are strays, of whom
 * Redis is told that they are gone.
 */


#define NGX_SIO_PRESENCE_TAKE  500             /* users with one lock */


static void ngx_sio_presence_report_each(void *data,
    const ngx_sio_presence_ref_t *ref, ngx_str_t *user);
static ngx_int_t ngx_sio_presence_report_strays(ngx_sio_presence_redis_t *pd);
static void ngx_sio_presence_report_stray(void *data, const ngx_str_t *user);


void
ngx_sio_presence_report_doubt(ngx_sio_presence_redis_t *pd)
{
    pd->synced = 0;
    pd->told_all = 0;
    pd->count = -1;
    pd->nrefs = 0;
    pd->told = 0;
    pd->strays.len = 0;
}


ngx_int_t
ngx_sio_presence_report_read(ngx_sio_presence_redis_t *pd)
{
    ngx_sio_presence_call_begin(pd);

    if (ngx_sio_presence_call_add(pd, 0, (u_char *) "own", 3) != NGX_OK) {
        return NGX_ERROR;
    }

    pd->reading = 0;

    return ngx_sio_presence_call_send(pd, NGX_SIO_PRESENCE_READ);
}


void
ngx_sio_presence_report_take(ngx_sio_presence_redis_t *pd, redisReply *users)
{
    size_t      i;
    ngx_str_t   user[NGX_SIO_PRESENCE_TAKE];
    ngx_uint_t  n;

    pd->short_of = 0;
    pd->strays.len = 0;

    if (ngx_sio_presence_forget(pd->gw, pd->fence) != NGX_OK) {
        return;
    }

    for (i = 0; i < users->elements; /* void */) {

        for (n = 0; n < NGX_SIO_PRESENCE_TAKE && i < users->elements; i++) {

            if (users->element[i]->type == REDIS_REPLY_STRING) {
                user[n].data = (u_char *) users->element[i]->str;
                user[n].len = users->element[i]->len;
                n++;
            }
        }

        if (ngx_sio_presence_own(pd->gw, pd->fence, user, n,
                                 ngx_sio_presence_report_stray, pd)
            != NGX_OK)
        {
            return;
        }
    }

    pd->synced = !pd->short_of;
}


static void
ngx_sio_presence_report_stray(void *data, const ngx_str_t *user)
{
    ngx_sio_presence_redis_t *pd = data;

    size_t  len;

    len = user->len;

    if (sio_buf_reserve(&pd->strays, sizeof(size_t) + len) != SIO_OK) {
        pd->short_of = 1;
        return;
    }

    (void) sio_buf_append(&pd->strays, &len, sizeof(size_t));
    (void) sio_buf_append(&pd->strays, user->data, len);
}


ngx_int_t
ngx_sio_presence_report_change(ngx_sio_presence_redis_t *pd)
{
    ngx_int_t  rc;

    ngx_sio_presence_call_begin(pd);

    pd->nrefs = 0;
    pd->short_of = 0;

    rc = ngx_sio_presence_report_strays(pd);

    if (rc == NGX_OK) {
        rc = ngx_sio_presence_unreported(pd->gw, pd->fence,
                                         ngx_sio_presence_report_each, pd,
                                         NGX_SIO_PRESENCE_CHANGES - pd->nargs);
    }

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return rc;
    }

    pd->told_all = (rc == NGX_OK && !pd->short_of);

    if (pd->nargs == 0) {
        return pd->told_all ? NGX_DONE : NGX_ERROR;
    }

    return ngx_sio_presence_call_send(pd, NGX_SIO_PRESENCE_CHANGE);
}


/* NGX_OK, and there is room for others; NGX_AGAIN. */

static ngx_int_t
ngx_sio_presence_report_strays(ngx_sio_presence_redis_t *pd)
{
    size_t   at, len;
    u_char  *p;

    for (at = 0; at < pd->strays.len; at += sizeof(size_t) + len) {

        if (pd->nargs == NGX_SIO_PRESENCE_CHANGES) {
            break;
        }

        p = pd->strays.data + at;
        ngx_memcpy(&len, p, sizeof(size_t));

        if (ngx_sio_presence_call_add(pd, '-', p + sizeof(size_t), len)
            != NGX_OK)
        {
            pd->short_of = 1;
            break;
        }
    }

    pd->told = at;

    return (pd->nargs == NGX_SIO_PRESENCE_CHANGES || pd->short_of) ? NGX_AGAIN
                                                                  : NGX_OK;
}


static void
ngx_sio_presence_report_each(void *data, const ngx_sio_presence_ref_t *ref,
    ngx_str_t *user)
{
    ngx_sio_presence_redis_t *pd = data;

    if (ngx_sio_presence_call_add(pd, ref->online ? '+' : '-', user->data,
                                  user->len)
        != NGX_OK)
    {
        pd->short_of = 1;
        return;
    }

    pd->ref[pd->nrefs++] = *ref;
}


/* Those that cannot be noted now are told again. */

void
ngx_sio_presence_report_changed(ngx_sio_presence_redis_t *pd)
{
    if (pd->nrefs) {
        (void) ngx_sio_presence_reported(pd->gw, pd->fence, pd->ref,
                                         pd->nrefs);
        pd->nrefs = 0;
    }

    pd->strays.len -= pd->told;

    if (pd->told && pd->strays.len) {
        ngx_memmove(pd->strays.data, pd->strays.data + pd->told,
                    pd->strays.len);
    }

    pd->told = 0;
}
