
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_slow.h"
#include "ngx_sio_dispatch.h"
#include "ngx_sio_outlet.h"
#include "ngx_sio_share.h"
#include "ngx_sio_wire.h"


#define NGX_SIO_SLOW_TLS_RECORD  16384


static ngx_int_t ngx_sio_slow_create(ngx_sio_client_t *sc);
static ngx_int_t ngx_sio_slow_room(ngx_sio_client_t *sc, size_t len);
static ngx_int_t ngx_sio_slow_rescue_one(ngx_sio_client_t *sc,
    uint64_t below);
static void ngx_sio_slow_sacrifice(ngx_sio_gateway_t *gw);


/*
 * The kernel took sent bytes of the messages and not all.  Under TLS the bytes
 * of a record that OpenSSL has begun must come again as they were, so they are
 * kept; all else is owed from the byte on that was not sent.
 */

void
ngx_sio_slow_begin(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n, size_t sent)
{
    size_t             from, end;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    c = sc->ws.connection;

    if (ngx_sio_slow_create(sc) != NGX_OK) {
        return;
    }

    from = msg[0].start + sent;
    end = msg[n - 1].start + msg[n - 1].len;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        end = ngx_min(end, from + NGX_SIO_SLOW_TLS_RECORD);

        if (ngx_sio_out_rest(sc->out, buf + from, end - from, c->log)
            != NGX_OK)
        {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }

        from = end;
    }

#endif

    for (i = 0; i < n; i++) {

        if (msg[i].start + msg[i].len <= from) {
            continue;
        }

        if (ngx_sio_slow_owe(sc, buf, &msg[i],
                               from - ngx_min(from, msg[i].start))
            != NGX_OK)
        {
            return;
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_CLOSE);
    }
}


/* NGX_OK, or NGX_DECLINED: the client is closed. */

static ngx_int_t
ngx_sio_slow_create(ngx_sio_client_t *sc)
{
    sc->out = ngx_sio_out_create(sc, sc->ws.connection->log);

    if (sc->out == NULL) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_DECLINED;
    }

    sc->ws.behind = 1;
    ngx_queue_insert_tail(&sc->gateway->slow, &sc->out->link);
    ngx_sio_outlet_update(sc);

    return NGX_OK;
}


/*
 * Owes a message, of which pos bytes are sent or kept.  NGX_OK; NGX_DECLINED if
 * the client is closed.
 */

ngx_int_t
ngx_sio_slow_owe(ngx_sio_client_t *sc, u_char *buf, ngx_sio_message_t *msg,
    size_t pos)
{
    uint64_t            ref;
    ngx_sio_out_t      *out;
    ngx_sio_gateway_t  *gw;

    out = sc->out;
    gw = sc->gateway;

    if (msg->drop && pos == 0) {
        return NGX_OK;
    }

    if (ngx_sio_slow_room(sc, msg->len) != NGX_OK) {
        return NGX_DECLINED;
    }

    ref = msg->packed ? 0 : msg->ref;

    if (ngx_sio_out_add(out, ref, buf + msg->start, msg->len, pos,
                        gw->log)
        != NGX_OK)
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_DECLINED;
    }

    if (ref) {
        gw->oldest = ngx_min(gw->oldest, ref);
    }

    return NGX_OK;
}


/* A single message may be larger than the queue. */

static ngx_int_t
ngx_sio_slow_room(ngx_sio_client_t *sc, size_t len)
{
    if (sc->out->backlog && sc->out->backlog + len > sc->conf->send_queue) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_SLOW);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_slow_share(ngx_sio_client_t *sc, const ngx_sio_share_t *share)
{
    u_char      head[SIO_WS_HEADER + NGX_SIO_SHARE_HEAD], *last;
    ngx_log_t  *log;

    if (sc->out == NULL && ngx_sio_slow_create(sc) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_sio_slow_room(sc, ngx_sio_share_len(share)) != NGX_OK) {
        return NGX_DECLINED;
    }

    log = sc->gateway->log;

    last = head + sio_ws_header(head, SIO_WS_TEXT, ngx_sio_share_len(share));
    last = ngx_cpymem(last, share->head.data, share->head.len);

    if (ngx_sio_out_add(sc->out, 0, head, last - head, 0, log) != NGX_OK
        || ngx_sio_out_share(sc->out, share->shared, log) != NGX_OK
        || ngx_sio_out_add(sc->out, 0, (u_char *) share->tail.data,
                           share->tail.len, 0, log)
           != NGX_OK)
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Frees what is owed; unless all was sent, the stream ends here. */

void
ngx_sio_slow_end(ngx_sio_client_t *sc)
{
    sc->gateway->rescued -= sc->out->rescued;

    ngx_queue_remove(&sc->out->link);
    ngx_sio_out_free(sc->out);

    sc->out = NULL;
    ngx_sio_outlet_update(sc);
}


void
ngx_sio_slow_rescue(ngx_sio_gateway_t *gw, uint64_t below)
{
    uint64_t           oldest;
    ngx_queue_t       *q, *next;
    ngx_sio_out_t     *out;
    ngx_sio_client_t  *sc;

    if (gw->oldest >= below) {
        return;
    }

    /* somewhat more, so that this is not done for every record */

    below += gw->zone->sh->log_size / 32;

    gw->oldest = (uint64_t) -1;

    for (q = ngx_queue_head(&gw->slow);
         q != ngx_queue_sentinel(&gw->slow);
         q = next)
    {
        next = ngx_queue_next(q);

        out = ngx_queue_data(q, ngx_sio_out_t, link);
        sc = out->data;

        if (ngx_sio_slow_rescue_one(sc, below) != NGX_OK) {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_SLOW);
            ngx_sio_slow_end(sc);
            continue;
        }

        oldest = ngx_sio_out_oldest(out);
        gw->oldest = ngx_min(gw->oldest, oldest);

        if (gw->rescued > gw->zone->sh->log_size) {

            /* the one that takes most of the budget, maybe the next */

            ngx_sio_slow_sacrifice(gw);
            next = ngx_queue_head(&gw->slow);
        }
    }
}


static ngx_int_t
ngx_sio_slow_rescue_one(ngx_sio_client_t *sc, uint64_t below)
{
    size_t              rescued;
    ngx_int_t           rc;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;
    rescued = sc->out->rescued;

    rc = ngx_sio_out_rescue(sc->out, below, ngx_sio_wire_fetch, gw->log);

    gw->rescued += sc->out->rescued - rescued;

    return rc;
}


static void
ngx_sio_slow_sacrifice(ngx_sio_gateway_t *gw)
{
    ngx_queue_t    *q;
    ngx_sio_out_t  *out, *most;

    most = NULL;

    for (q = ngx_queue_head(&gw->slow);
         q != ngx_queue_sentinel(&gw->slow);
         q = ngx_queue_next(q))
    {
        out = ngx_queue_data(q, ngx_sio_out_t, link);

        if (most == NULL || out->rescued > most->rescued) {
            most = out;
        }
    }

    if (most) {
        ngx_sio_client_close(most->data, NGX_SIO_CLOSE_SLOW);
        ngx_sio_slow_end(most->data);
    }
}
