
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_feed_command.h"
#include "ngx_sio_acks.h"


static sio_rc_t ngx_sio_feed_command_all(ngx_sio_gateway_t *gw,
    sio_command_t *c, sio_buf_t *b, ngx_uint_t *events, const char **error);


sio_rc_t
ngx_sio_feed_command_encode(ngx_sio_gateway_t *gw, sio_command_t *c,
    sio_buf_t *b, ngx_str_t *text, ngx_uint_t *events, const char **error)
{
    size_t    len;
    sio_rc_t  rc;

    len = b->len;
    *events = 0;

    rc = sio_command_open(c, text->data, text->len, error);

    if (rc == SIO_OK) {
        rc = ngx_sio_feed_command_all(gw, c, b, events, error);
    }

    if (rc != SIO_AGAIN) {
        b->len = len;
        return rc;
    }

    return b->len == len ? SIO_AGAIN : SIO_OK;
}


/* SIO_AGAIN if all are taken. */

static sio_rc_t
ngx_sio_feed_command_all(ngx_sio_gateway_t *gw, sio_command_t *c,
    sio_buf_t *b, ngx_uint_t *events, const char **error)
{
    size_t         max, len;
    sio_rc_t       rc;
    sio_message_t  m;

    max = ngx_sio_log_max_record(gw->zone);
    len = b->len;

    for ( ;; ) {
        rc = sio_command_next(c, &m, error);

        if (rc != SIO_OK) {
            return rc;
        }

        if (ngx_sio_gateway_nsp(gw, &c->nsp, &m.nsp) != NGX_OK
            || ((m.flags & SIO_RECORD_BARE) && m.type == SIO_RECORD_EMIT
                && ngx_sio_acks_relay(gw, &m) != NGX_OK))
        {
            continue;
        }

        rc = sio_record_encode(b, &m, gw->zone->sh->seed,
                               max - (b->len - len));

        if (rc != SIO_OK) {
            return rc;
        }

        if (m.type == SIO_RECORD_EMIT) {
            (*events)++;
        }
    }
}
