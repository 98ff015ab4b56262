
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_feed_batch.h"
#include "ngx_sio_acks.h"
#include "ngx_sio_feed_command.h"


#define NGX_SIO_FEED_STALL        500          /* ms until a reader is fenced */
#define NGX_SIO_FEED_STARVE       1000         /* ms until a message for which
                                                  there is no memory is lost */
#define NGX_SIO_FEED_STALL_REST   100          /* the rest of them for one that
                                                  did not move before */


/* What a message is, besides its records. */

typedef struct {
    ngx_uint_t                events;
    uint64_t                  ack;             /* clients answer by this id */
    sio_message_t             m;               /* zeros: commands */
} ngx_sio_feed_taken_t;


static sio_rc_t ngx_sio_feed_batch_encode(ngx_sio_feed_batch_t *b,
    ngx_sio_feed_push_t *push, ngx_sio_feed_taken_t *taken,
    const char **error);
static void ngx_sio_feed_batch_taken(ngx_sio_feed_batch_t *b,
    ngx_sio_feed_taken_t *taken);
static ngx_uint_t ngx_sio_feed_batch_waits(ngx_sio_feed_batch_t *b,
    sio_rc_t rc);
static ngx_int_t ngx_sio_feed_batch_append(ngx_sio_feed_batch_t *b,
    size_t len);
static void ngx_sio_feed_batch_complain(ngx_sio_feed_batch_t *b,
    ngx_sio_feed_push_t *push, sio_rc_t rc, const char *error);


void
ngx_sio_feed_batch_init(ngx_sio_feed_batch_t *b, ngx_sio_gateway_t *gw)
{
    ngx_memzero(b, sizeof(ngx_sio_feed_batch_t));

    b->gw = gw;
}


void
ngx_sio_feed_batch_free(ngx_sio_feed_batch_t *b)
{
    sio_adapter_free(&b->adapter);
    sio_command_free(&b->command);
    sio_buf_free(&b->buf);
}


void
ngx_sio_feed_batch_drop(ngx_sio_feed_batch_t *b)
{
    b->buf.len = 0;
    b->passed = 0;
    b->laggard = 0;
    b->starved = 0;
    b->owed = 0;
}


ngx_int_t
ngx_sio_feed_batch_message(ngx_sio_feed_batch_t *b, ngx_sio_feed_push_t *push)
{
    size_t                 len;
    sio_rc_t               rc;
    ngx_int_t              n;
    const char            *error;
    ngx_sio_feed_taken_t   taken;

    if (b->owed || b->buf.len >= b->gw->zone->sh->log_size / 16) {
        n = ngx_sio_feed_batch_flush(b);

        if (n != NGX_OK) {
            return n;
        }
    }

    len = b->buf.len;

    rc = ngx_sio_feed_batch_encode(b, push, &taken, &error);

    if (ngx_sio_feed_batch_waits(b, rc)) {
        return NGX_AGAIN;
    }

    if (rc != SIO_OK) {
        if (rc != SIO_AGAIN) {
            ngx_sio_feed_batch_complain(b, push, rc, error);
        }

        b->pos.since++;
        b->passed++;

        return NGX_OK;
    }

    if (len && b->buf.len > ngx_sio_log_max_record(b->gw->zone)) {

        /* too much for one append: those before this one go ahead */

        n = ngx_sio_feed_batch_append(b, len);

        if (n != NGX_OK) {
            b->buf.len = len;
            return n;
        }
    }

    ngx_sio_feed_batch_taken(b, &taken);

    b->pos.since++;

    return NGX_OK;
}


/* Not before it is taken: else it comes again, and would count twice. */

static void
ngx_sio_feed_batch_taken(ngx_sio_feed_batch_t *b, ngx_sio_feed_taken_t *taken)
{
    ngx_sio_gateway_stat(b->gw, EVENTS_IN, taken->events);

    if (taken->m.type != SIO_RECORD_EMIT) {
        return;
    }

    if (taken->ack) {
        ngx_sio_acks_ask(b->gw, taken->ack, taken->m.nsp, &b->adapter);

    } else if (taken->m.flags & SIO_RECORD_BARE) {
        /* for whatever rooms: others may have joined one of that name */
        (void) ngx_sio_acks_relay(b->gw, &taken->m);
    }
}


/* True if a message that has no memory is to be tried again. */

static ngx_uint_t
ngx_sio_feed_batch_waits(ngx_sio_feed_batch_t *b, sio_rc_t rc)
{
    if (rc != SIO_NOMEM) {
        b->starved = 0;
        return 0;
    }

    if (b->starved == 0) {
        b->starved = ngx_current_msec;
    }

    if (ngx_current_msec - b->starved < NGX_SIO_FEED_STARVE) {
        return 1;
    }

    b->starved = 0;

    return 0;
}


static sio_rc_t
ngx_sio_feed_batch_encode(ngx_sio_feed_batch_t *b, ngx_sio_feed_push_t *push,
    ngx_sio_feed_taken_t *taken, const char **error)
{
    sio_rc_t        rc;
    sio_str_t       name;
    ngx_str_t       nsp;
    sio_message_t  *m;

    ngx_memzero(taken, sizeof(ngx_sio_feed_taken_t));

    *error = NULL;

    if (push->kind == NGX_SIO_FEED_COMMAND) {
        return ngx_sio_feed_command_encode(b->gw, &b->command, &b->buf,
                                           &push->payload, &taken->events,
                                           error);
    }

    m = &taken->m;

    ngx_sio_nsp_name(b->gw->zone, push->nsp, &nsp);

    name.data = nsp.data;
    name.len = nsp.len;

    if (push->kind == NGX_SIO_FEED_BROADCAST) {
        rc = sio_adapter_broadcast(&b->adapter, m, name, push->payload.data,
                                   push->payload.len, error);

    } else {

        /* only requests in msgpack ask clients */

        if (push->payload.len && push->payload.data[0] != '{'
            && ngx_sio_acks_draw(b->gw, &taken->ack) != NGX_OK)
        {
            return SIO_NOMEM;
        }

        rc = sio_adapter_request(&b->adapter, m, name, taken->ack,
                                 push->payload.data, push->payload.len, error);
    }

    if (rc != SIO_OK) {
        return rc;
    }

    m->nsp = push->nsp;

    rc = sio_record_encode(&b->buf, m, b->gw->zone->sh->seed,
                           ngx_sio_log_max_record(b->gw->zone));

    if (rc == SIO_OK && m->type == SIO_RECORD_EMIT) {
        taken->events = 1;
    }

    return rc;
}


void
ngx_sio_feed_batch_heartbeat(ngx_sio_feed_batch_t *b, uint64_t number,
    ngx_uint_t commit)
{
    b->pos.heartbeat = number;
    b->pos.since = 0;

    if ((b->passed || commit) && b->buf.len == 0) {
        ngx_sio_feed_batch_note(b, 0);
    }
}


void
ngx_sio_feed_batch_note(ngx_sio_feed_batch_t *b, ngx_uint_t flags)
{
    sio_rc_t       rc;
    sio_message_t  m;

    ngx_memzero(&m, sizeof(sio_message_t));

    if (b->owed) {
        flags |= b->noted;
        b->owed = 0;
    }

    m.type = SIO_RECORD_FEED;
    m.flags = (uint8_t) flags;

    rc = sio_record_encode(&b->buf, &m, b->gw->zone->sh->seed,
                           ngx_sio_log_max_record(b->gw->zone));

    if (rc == SIO_NOMEM) {
        b->noted = flags;
        b->owed = 1;

    } else if (rc != SIO_OK) {
        ngx_log_error(NGX_LOG_ALERT, b->gw->log, 0,
                      "socketio feed of gateway \"%V\" cannot note a change "
                      "of state", &b->gw->conf->name);
    }
}


ngx_int_t
ngx_sio_feed_batch_flush(ngx_sio_feed_batch_t *b)
{
    if (b->owed) {
        ngx_sio_feed_batch_note(b, 0);

        if (b->owed) {
            return NGX_AGAIN;
        }
    }

    if (b->buf.len == 0) {
        return NGX_OK;
    }

    return ngx_sio_feed_batch_append(b, b->buf.len);
}


/* Appends the first len bytes, behind which is b->pos. */

static ngx_int_t
ngx_sio_feed_batch_append(ngx_sio_feed_batch_t *b, size_t len)
{
    ngx_int_t         rc;
    ngx_sio_append_t  a;

    a.data = b->buf.data;
    a.len = len;
    a.lease = b->lease;
    a.feed = &b->pos;
    a.first = 0;

    rc = ngx_sio_log_append(b->gw->zone, &a);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, b->gw->log, 0,
                   "socketio feed append: %uz at %uL, rc:%i",
                   len, a.first, rc);

    if (rc == NGX_AGAIN || rc == NGX_BUSY || rc == NGX_DECLINED) {
        return rc;
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, b->gw->log, 0,
                      "socketio feed of gateway \"%V\" could not append "
                      "%uz bytes", &b->gw->conf->name, len);
    }

    b->passed = 0;
    b->laggard = 0;

    b->buf.len -= len;

    if (b->buf.len) {
        ngx_memmove(b->buf.data, b->buf.data + len, b->buf.len);
    }

    ngx_sio_gateway_ring(b->gw);

    return NGX_OK;
}


void
ngx_sio_feed_batch_suspect(ngx_sio_feed_batch_t *b, ngx_uint_t slot)
{
    b->suspect = slot;
    b->suspected = 0;

    if (slot) {
        b->suspected = ngx_sio_load(&b->gw->zone->sh->workers[slot - 1].cursor);
    }
}


void
ngx_sio_feed_batch_lag(ngx_sio_feed_batch_t *b)
{
    uint64_t    cursor;
    ngx_uint_t  slot;

    /* a bell may have been lost with its worker */

    ngx_sio_gateway_ring(b->gw);

    slot = ngx_sio_log_laggard(b->gw->zone, &cursor);

    if (slot == 0) {
        b->laggard = 0;
        return;
    }

    if (slot != b->laggard || cursor != b->cursor) {
        b->laggard = slot;
        b->cursor = cursor;
        b->stalled = ngx_current_msec;

        if (slot == b->suspect && cursor == b->suspected) {
            b->stalled -= NGX_SIO_FEED_STALL - NGX_SIO_FEED_STALL_REST;
        }

        return;
    }

    if (ngx_current_msec - b->stalled < NGX_SIO_FEED_STALL) {
        return;
    }

    if (ngx_sio_log_fence(b->gw->zone, slot, cursor) == NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, b->gw->log, 0,
                      "socketio worker in slot %ui of gateway \"%V\" has not "
                      "read the log for %M ms and is left behind",
                      slot, &b->gw->conf->name,
                      ngx_current_msec - b->stalled);
    }

    b->laggard = 0;
}


static void
ngx_sio_feed_batch_complain(ngx_sio_feed_batch_t *b, ngx_sio_feed_push_t *push,
    sio_rc_t rc, const char *error)
{
    size_t       i, len;
    u_char       channel[128];
    ngx_uint_t   refused;

    refused = (rc == SIO_NOMEM || (rc == SIO_LIMIT && error == NULL));

    if (refused) {
        ngx_sio_gateway_stat(b->gw, TOO_LARGE, 1);

    } else {
        ngx_sio_gateway_stat(b->gw, MALFORMED, 1);
    }

    if (b->complained && ngx_current_msec - b->complained < 1000) {
        return;
    }

    b->complained = ngx_current_msec;

    if (error == NULL) {
        error = (rc == SIO_NOMEM) ? "no memory"
                : (rc == SIO_LIMIT) ? "larger than the log allows, or too "
                                      "many rooms"
                : "room name empty or too long";
    }

    /* anybody may have chosen the name */

    len = ngx_min(push->channel.len, sizeof(channel));

    for (i = 0; i < len; i++) {
        channel[i] = push->channel.data[i];

        if (channel[i] < ' ' || channel[i] == 0x7f) {
            channel[i] = '?';
        }
    }

    ngx_log_error(NGX_LOG_ERR, b->gw->log, 0,
                  "socketio %s message of %uz bytes on channel \"%*s\": %s; "
                  "malformed so far: %uL, refused: %uL",
                  refused ? "refused a" : "malformed", push->payload.len,
                  len, channel, error,
                  b->gw->worker->stats[NGX_SIO_STAT_MALFORMED],
                  b->gw->worker->stats[NGX_SIO_STAT_TOO_LARGE]);
}
