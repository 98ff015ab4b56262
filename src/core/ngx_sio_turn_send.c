
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_turn.h"
#include "ngx_sio_fan.h"
#include "ngx_sio_websocket.h"


#define NGX_SIO_TURN_GATHER    65536      /* bytes of a client that are copied
                                             for the sake of one send */
#define NGX_SIO_TURN_MESSAGES  256        /*   and messages */
#define NGX_SIO_TURN_SLICE     128        /* clients, and bytes, before the */
#define NGX_SIO_TURN_BYTES     1048576    /*   event loop goes on */


/*
 * A batch: neighbours in a list that get the same run of messages and no other,
 * by WebSockets with nothing pending.  That is what nearly all sends are.
 */

typedef struct {
    ngx_sio_message_t        *msg;
    uint32_t                  first;      /* its index */
    uint32_t                  messages;   /* 0: the batch has nobody yet */
    size_t                    size;       /* of all of them */
    ngx_sio_fan_t             fan;
    uint32_t                  outlets[NGX_SIO_FAN_MAX];
} ngx_sio_turn_batch_t;


static ngx_int_t ngx_sio_turn_gather(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    ngx_sio_turn_run_t *run);
static void ngx_sio_turn_packed(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    ngx_sio_turn_run_t *run);
static void ngx_sio_turn_slice(ngx_sio_gateway_t *gw, ngx_array_t *waiting,
    ngx_uint_t *next, ngx_uint_t max, uint64_t bytes);
static ngx_uint_t ngx_sio_turn_collect(ngx_sio_turn_t *t,
    ngx_sio_turn_batch_t *batch, uint32_t *list, ngx_uint_t n, uint64_t bytes);
static ngx_int_t ngx_sio_turn_join(ngx_sio_turn_t *t,
    ngx_sio_turn_batch_t *batch, ngx_sio_outlet_t *outlet);
static void ngx_sio_turn_send_batch(ngx_sio_gateway_t *gw,
    ngx_sio_turn_batch_t *batch);
static void ngx_sio_turn_handed(ngx_sio_gateway_t *gw,
    ngx_sio_turn_batch_t *batch);


/* The runs of one client, joined. */

static u_char  ngx_sio_turn_gathered[NGX_SIO_TURN_GATHER];


void
ngx_sio_turn_send(ngx_sio_turn_t *t, ngx_sio_client_t *sc)
{
    ngx_sio_outlet_t    *outlet;
    ngx_sio_message_t   *msg;
    ngx_sio_turn_run_t  *run, *runs;

    runs = t->runs.elts;
    msg = t->messages.elts;
    outlet = ngx_sio_outlet(sc);
    run = &runs[outlet->run_first];

    outlet->run_first = 0;
    outlet->run_last = 0;

    if (ngx_sio_pack_wanted(sc)) {
        ngx_sio_turn_packed(t, sc, run);
        return;
    }

    if (run->next && ngx_sio_turn_gather(t, sc, run) == NGX_OK) {
        return;
    }

    for ( ;; ) {
        ngx_sio_client_write(sc, t->stage.data, msg + run->first, run->n);

        if (run->next == 0) {
            return;
        }

        run = &runs[run->next];
    }
}


/* NGX_OK if the runs are sent; NGX_DECLINED if they are better sent singly. */

static ngx_int_t
ngx_sio_turn_gather(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    ngx_sio_turn_run_t *run)
{
    u_char              *p;
    uint32_t             i;
    ngx_uint_t           n;
    ngx_sio_message_t   *msg, gathered[NGX_SIO_TURN_MESSAGES];
    ngx_sio_turn_run_t  *runs;

    runs = t->runs.elts;
    msg = t->messages.elts;

    p = ngx_sio_turn_gathered;
    n = 0;

    for ( ;; ) {

        for (i = run->first; i < run->first + run->n; i++) {

            if (n == NGX_SIO_TURN_MESSAGES
                || msg[i].len > (size_t) (ngx_sio_turn_gathered
                                          + NGX_SIO_TURN_GATHER - p))
            {
                return NGX_DECLINED;
            }

            gathered[n] = msg[i];
            gathered[n++].start = (uint32_t) (p - ngx_sio_turn_gathered);

            p = ngx_cpymem(p, t->stage.data + msg[i].start, msg[i].len);
        }

        if (run->next == 0) {
            break;
        }

        run = &runs[run->next];
    }

    ngx_sio_client_write(sc, ngx_sio_turn_gathered, gathered, n);

    return NGX_OK;
}


/*
 * The same for a client that takes compressed messages: these lie elsewhere, so
 * all but large ones are brought together.
 */

static void
ngx_sio_turn_packed(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    ngx_sio_turn_run_t *run)
{
    u_char              *p, *buf;
    uint32_t             i;
    ngx_uint_t           n;
    ngx_sio_message_t    msg, gathered[NGX_SIO_TURN_MESSAGES];
    ngx_sio_turn_run_t  *runs;

    runs = t->runs.elts;

    p = ngx_sio_turn_gathered;
    n = 0;

    i = run->first;

    for ( ;; ) {

        if (i == run->first + run->n) {

            if (run->next == 0) {
                break;
            }

            run = &runs[run->next];
            i = run->first;
        }

        buf = ngx_sio_pack_choose(&t->pack, sc, t->stage.data,
                                  t->messages.elts, i, &msg);

        if (n && (n == NGX_SIO_TURN_MESSAGES
                  || msg.len > (size_t) (ngx_sio_turn_gathered
                                         + NGX_SIO_TURN_GATHER - p)))
        {
            ngx_sio_client_write(sc, ngx_sio_turn_gathered, gathered, n);

            /* it may be behind now, so this one is looked at again */

            p = ngx_sio_turn_gathered;
            n = 0;
            continue;
        }

        i++;

        if (msg.len > NGX_SIO_TURN_GATHER) {
            ngx_sio_client_write(sc, buf, &msg, 1);
            continue;
        }

        gathered[n] = msg;
        gathered[n++].start = (uint32_t) (p - ngx_sio_turn_gathered);

        p = ngx_cpymem(p, buf + msg.start, msg.len);
    }

    if (n) {
        ngx_sio_client_write(sc, ngx_sio_turn_gathered, gathered, n);
    }
}


ngx_int_t
ngx_sio_turn_serve(ngx_sio_gateway_t *gw)
{
    ngx_uint_t       next;
    ngx_sio_turn_t  *t;

    t = gw->turn;

    next = 0;
    ngx_sio_turn_slice(gw, &t->prompt, &next, t->prompt.nelts,
                       NGX_MAX_INT_T_VALUE);
    t->prompt.nelts = 0;

    ngx_sio_turn_slice(gw, &t->others, &t->next, NGX_SIO_TURN_SLICE,
                       NGX_SIO_TURN_BYTES);

    return (t->next < t->others.nelts) ? NGX_AGAIN : NGX_OK;
}


/*
 * Serves those in a list from the next one on: so many of them, or as many as
 * get so many bytes.
 */

static void
ngx_sio_turn_slice(ngx_sio_gateway_t *gw, ngx_array_t *waiting,
    ngx_uint_t *next, ngx_uint_t max, uint64_t bytes)
{
    uint32_t              *list, i;
    uint64_t              *out, limit;
    ngx_uint_t             n, end;
    ngx_sio_turn_batch_t   batch;

    end = ngx_min(*next + max, waiting->nelts);
    out = &gw->worker->stats[NGX_SIO_STAT_BYTES_OUT];
    limit = *out + bytes;

    while (*next < end && *out < limit) {

        list = (uint32_t *) waiting->elts + *next;

        n = ngx_sio_turn_collect(gw->turn, &batch, list,
                                 ngx_min(end - *next, NGX_SIO_FAN_MAX),
                                 limit - *out);

        if (n) {
            *next += n;
            ngx_sio_turn_send_batch(gw, &batch);
            continue;
        }

        i = *list;

        *list = 0;
        *next += 1;

        ngx_sio_turn_send(gw->turn, gw->outlets->elts[i].client);
    }
}


/*
 * Takes from a list of n as many as one batch may have, until one does not join
 * it, or they get so many bytes; returns how many it has passed.
 */

static ngx_uint_t
ngx_sio_turn_collect(ngx_sio_turn_t *t, ngx_sio_turn_batch_t *batch,
    uint32_t *list, ngx_uint_t n, uint64_t bytes)
{
    ngx_uint_t         i;
    ngx_sio_outlet_t  *outlet;

    batch->messages = 0;
    batch->size = 0;
    batch->fan.n = 0;

    for (i = 0; i < n && batch->fan.n * batch->size < bytes; i++) {

        if (list[i] == 0) {
            continue;
        }

        outlet = &t->outlets->elts[list[i]];

        if (ngx_sio_turn_join(t, batch, outlet) != NGX_OK) {
            break;
        }

        outlet->run_first = 0;
        outlet->run_last = 0;

        batch->outlets[batch->fan.n] = list[i];
        batch->fan.fd[batch->fan.n++] = outlet->fd;

        list[i] = 0;
    }

    return i;
}


/* NGX_OK, or NGX_DECLINED: a client cannot be in this batch. */

static ngx_inline ngx_int_t
ngx_sio_turn_join(ngx_sio_turn_t *t, ngx_sio_turn_batch_t *batch,
    ngx_sio_outlet_t *outlet)
{
    ngx_sio_message_t   *msg;
    ngx_sio_turn_run_t  *run;

    run = (ngx_sio_turn_run_t *) t->runs.elts + outlet->run_first;

    if (run->next || outlet->fd == (ngx_socket_t) -1) {
        return NGX_DECLINED;
    }

    if (batch->messages) {
        return (run->first == batch->first && run->n == batch->messages)
               ? NGX_OK : NGX_DECLINED;
    }

    msg = (ngx_sio_message_t *) t->messages.elts + run->first;

    batch->msg = msg;
    batch->first = run->first;
    batch->messages = run->n;
    batch->size = msg[run->n - 1].start + msg[run->n - 1].len - msg->start;

    return NGX_OK;
}


static void
ngx_sio_turn_send_batch(ngx_sio_gateway_t *gw, ngx_sio_turn_batch_t *batch)
{
    u_char            *stage;
    ssize_t            rc;
    uint64_t           failed;
    ngx_uint_t         i;
    ngx_sio_client_t  *sc;

    if (batch->fan.n == 0) {
        /* they were all gone */
        return;
    }

    stage = gw->turn->stage.data;

    ngx_sio_gateway_stat(gw, EVENTS_OUT, batch->fan.n * batch->messages);
    ngx_sio_gateway_stat(gw, BYTES_OUT, batch->fan.n * batch->size);

    failed = ngx_sio_fan_send(&batch->fan, stage + batch->msg->start,
                              batch->size);

    for (i = 0; failed; i++, failed >>= 1) {

        if (failed & 1) {
            sc = gw->outlets->elts[batch->outlets[i]].client;
            rc = ngx_sio_fan_result(&batch->fan, i, sc->ws.connection);

            ngx_sio_websocket_write_on(sc, stage, batch->msg, batch->messages,
                                       rc);
        }
    }

    if (gw->conf->recovery) {
        ngx_sio_turn_handed(gw, batch);
    }
}


static void
ngx_sio_turn_handed(ngx_sio_gateway_t *gw, ngx_sio_turn_batch_t *batch)
{
    uint64_t           from, last;
    ngx_uint_t         i;
    ngx_sio_outlet_t  *outlets;

    outlets = gw->outlets->elts;

    if (!ngx_sio_client_events(batch->msg, batch->messages, &from, &last)) {
        return;
    }

    for (i = 0; i < batch->fan.n; i++) {
        ngx_sio_outlet_fetch(&outlets[batch->outlets[i]].client->session);
    }

    for (i = 0; i < batch->fan.n; i++) {
        ngx_sio_client_handed(outlets[batch->outlets[i]].client, from, last);
    }
}
