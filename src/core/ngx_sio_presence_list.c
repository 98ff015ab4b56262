
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_presence.h"
#include "ngx_sio_share.h"
#include "ngx_sio_poll.h"
#include "ngx_sio_wire.h"

#include <ngx_sio_name.h>
#include <sio_json.h>


/*
 * The list that a client gets when it has become a socket.  A short one is a
 * message like others, of a long one the client refers to what all have.
 */


#define NGX_SIO_PRESENCE_SHORT  16384          /* bytes that are copied */


static ngx_int_t ngx_sio_presence_end(ngx_sio_client_t *sc,
    ngx_sio_session_sh_t *ss);
static void ngx_sio_presence_short(ngx_sio_client_t *sc,
    ngx_sio_shared_t *text, uint64_t next);
static void ngx_sio_presence_long(ngx_sio_client_t *sc,
    ngx_sio_shared_t *text, uint64_t next);
static void ngx_sio_presence_listed(ngx_sio_client_t *sc,
    ngx_sio_session_sh_t *ss);


static const sio_str_t  ngx_sio_presence_head =
    sio_string("42[\"PRESENCE_INITIAL_STATE\",[");


void
ngx_sio_presence_welcome(ngx_sio_client_t *sc)
{
    uint64_t               next;
    ngx_sio_shared_t      *text;
    ngx_sio_gateway_t     *gw;
    ngx_sio_session_sh_t  *ss;

    gw = sc->gateway;
    ss = ngx_sio_client_session(sc);

    if (ss == NULL || sc->state == NGX_SIO_CLIENT_CLOSED
        || !ngx_sio_presence_wanted(gw, ss))
    {
        return;
    }

    if (!gw->presence->exact) {
        ngx_sio_presence_reset(gw);
    }

    text = gw->presence->exact ? ngx_sio_roster_text(gw->presence->roster)
                               : NULL;

    if (text == NULL || ngx_sio_presence_end(sc, ss) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    next = (ss->flags & NGX_SIO_RECOVERABLE) ? gw->cursor : 0;

    if (text->len < NGX_SIO_PRESENCE_SHORT) {
        ngx_sio_presence_short(sc, text, next);

    } else {
        ngx_sio_presence_long(sc, text, next);
    }

    ngx_sio_presence_listed(sc, ss);
    ngx_sio_presence_news(gw);
}


/* What is behind the users: perhaps the client's own, and the offset. */

static ngx_int_t
ngx_sio_presence_end(ngx_sio_client_t *sc, ngx_sio_session_sh_t *ss)
{
    size_t               len;
    u_char               name[SIO_ROOM_LEN];
    sio_buf_t           *b;
    ngx_sio_gateway_t   *gw;
    ngx_sio_name_sh_t   *user;
    ngx_sio_presence_t  *pr;

    gw = sc->gateway;
    pr = gw->presence;
    user = &gw->zone->users[ss->user];
    b = &pr->message;
    b->len = 0;

    if (!ngx_sio_roster_has(pr->roster, user->hash)) {

        len = ngx_sio_name_text(gw->zone, user, name);

        if ((ngx_sio_roster_count(pr->roster)
             && sio_buf_append(b, ",", 1) != SIO_OK)
            || sio_json_quote(b, name, len) != SIO_OK)
        {
            return NGX_ERROR;
        }
    }

    if (sio_buf_reserve(b, 2 + NGX_SIO_WIRE_TAIL) != SIO_OK) {
        return NGX_ERROR;
    }

    b->data[b->len++] = ']';

    if (ss->flags & NGX_SIO_RECOVERABLE) {
        (void) ngx_sio_wire_offset(gw, b->data + b->len, gw->cursor);
        b->len += NGX_SIO_WIRE_TAIL;

    } else {
        b->data[b->len++] = ']';
    }

    return NGX_OK;
}


static void
ngx_sio_presence_short(ngx_sio_client_t *sc, ngx_sio_shared_t *text,
    uint64_t next)
{
    size_t              len;
    u_char             *p, *last;
    sio_buf_t          *end;
    ngx_sio_message_t   msg;

    static u_char  frame[SIO_WS_HEADER + NGX_SIO_PRESENCE_SHORT + 64
                         + 6 * SIO_ROOM_LEN];

    end = &sc->gateway->presence->message;
    len = ngx_sio_presence_head.len + text->len + end->len;

    p = frame + SIO_WS_HEADER - sio_ws_header_len(len);

    last = p + sio_ws_header(p, SIO_WS_TEXT, len);
    last = ngx_cpymem(last, ngx_sio_presence_head.data,
                      ngx_sio_presence_head.len);
    last = ngx_cpymem(last, text->data, text->len);
    last = ngx_cpymem(last, end->data, end->len);

    msg.ref = 0;
    msg.next = next;
    msg.start = 0;
    msg.len = (uint32_t) (last - p);
    msg.drop = 0;
    msg.packed = 0;

    ngx_sio_client_write(sc, p, &msg, 1);
}


static void
ngx_sio_presence_long(ngx_sio_client_t *sc, ngx_sio_shared_t *text,
    uint64_t next)
{
    sio_buf_t        *end;
    ngx_sio_share_t   share;

    end = &sc->gateway->presence->message;

    share.head = ngx_sio_presence_head;
    share.shared = text;
    share.tail.data = end->data;
    share.tail.len = end->len;
    share.next = next;

    ngx_sio_client_share(sc, &share);
}


void
ngx_sio_presence_arrived(ngx_sio_client_t *sc)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_client_session(sc);

    if (ss && sc->in_everyone && (ss->flags & NGX_SIO_LISTING)) {
        ngx_sio_presence_welcome(sc);
    }
}


/*
 * A poll has not sent it yet: it is due until the answer leaves, and all is
 * done again if that does not.
 */

static void
ngx_sio_presence_listed(ngx_sio_client_t *sc, ngx_sio_session_sh_t *ss)
{
    ngx_sio_zone_t  *z;

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    if (sc->transport->kind == SIO_EIO_POLLING) {
        ngx_sio_poll_listed(sc);
        return;
    }

    z = sc->gateway->zone;

    if (!(ss->flags & NGX_SIO_LISTING) || ngx_sio_zone_lock(z) != NGX_OK) {
        return;
    }

    if (ngx_sio_session_mine_locked(z, sc->session, sc->owner)) {
        ss->flags &= ~NGX_SIO_LISTING;
    }

    ngx_sio_zone_unlock(z);
}
