
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_dispatch.h"
#include "ngx_sio_acks.h"
#include "ngx_sio_arrive.h"
#include "ngx_sio_command.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_owned.h"
#include "ngx_sio_presence.h"
#include "ngx_sio_refresh.h"
#include "ngx_sio_rooms.h"
#include "ngx_sio_slow.h"
#include "ngx_sio_turn.h"
#include "ngx_sio_wire.h"


#define NGX_SIO_DISPATCH_OWN    256       /* exceptions of one segment */
#define NGX_SIO_DISPATCH_TURNS  16        /* turns before others are served */


/* Message n of the turn is about the user of a client, who is not told. */

typedef struct {
    uint32_t                  n;
    ngx_sio_client_t         *client;
} ngx_sio_dispatch_own_t;


/*
 * Who a segment is for.  A single room is kept as what it was found to be, so
 * that the next record for the same one needs no list of its own.
 */

typedef struct {
    ngx_sio_rooms_room_t     *room;
    ngx_sio_client_t         *client;     /* whose own id is the name */
    ngx_uint_t                simple;     /* room and client are all of it */
    ngx_uint_t                drop;       /* volatile */
    ngx_uint_t                prompt;     /* they are few */
} ngx_sio_dispatch_audience_t;


struct ngx_sio_dispatch_s {
    ngx_sio_gateway_t        *gateway;
    ngx_event_t               event;
    ngx_connection_t          ident;      /* event.data, for debug logs */

    ngx_array_t               own;        /* ngx_sio_dispatch_own_t: of the
                                             segment, in order */
    uint64_t                  mark;       /* serial of the segment */
    uint32_t                  segment;    /* its first message */
    ngx_sio_dispatch_audience_t  audience;
};


static void ngx_sio_dispatch_handler(ngx_event_t *ev);
static ngx_int_t ngx_sio_dispatch_read(ngx_sio_gateway_t *gw);
static void ngx_sio_dispatch_end(ngx_sio_gateway_t *gw);
static ngx_int_t ngx_sio_dispatch_passed(ngx_sio_gateway_t *gw);
static ngx_int_t ngx_sio_dispatch_record(ngx_sio_gateway_t *gw,
    uint64_t off, sio_record_t *rec);
static ngx_int_t ngx_sio_dispatch_unread(ngx_sio_gateway_t *gw,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_dispatch_emit(ngx_sio_gateway_t *gw,
    sio_record_t *rec);
static ngx_uint_t ngx_sio_dispatch_is_small(ngx_sio_gateway_t *gw,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_dispatch_presence(ngx_sio_gateway_t *gw,
    sio_record_t *rec);
static ngx_int_t ngx_sio_dispatch_stage(ngx_sio_gateway_t *gw,
    sio_record_t *rec);
static ngx_int_t ngx_sio_dispatch_session(ngx_sio_gateway_t *gw,
    sio_record_t *rec);
static void ngx_sio_dispatch_segment(ngx_sio_gateway_t *gw);
static void ngx_sio_dispatch_others(ngx_sio_gateway_t *gw);
static void ngx_sio_dispatch_room(ngx_sio_gateway_t *gw,
    ngx_sio_rooms_room_t *room, ngx_sio_client_t *sc,
    ngx_sio_dispatch_each_pt each, void *data);
static ngx_int_t ngx_sio_dispatch_meet(ngx_sio_dispatch_t *d,
    ngx_sio_outlet_t *outlet);
static void ngx_sio_dispatch_add(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    void *data);
static void ngx_sio_dispatch_overrun(ngx_sio_gateway_t *gw);


ngx_sio_dispatch_t *
ngx_sio_dispatch_create(ngx_sio_gateway_t *gw)
{
    ngx_pool_t          *pool;
    ngx_sio_dispatch_t  *d;

    d = ngx_calloc(sizeof(ngx_sio_dispatch_t), gw->log);
    if (d == NULL) {
        return NULL;
    }

    d->gateway = gw;

    d->ident.fd = (ngx_socket_t) -1;
    d->event.data = &d->ident;
    d->event.handler = ngx_sio_dispatch_handler;
    d->event.log = gw->log;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, gw->log);

    if (pool == NULL
        || ngx_array_init(&d->own, pool, NGX_SIO_DISPATCH_OWN,
                          sizeof(ngx_sio_dispatch_own_t))
           != NGX_OK)
    {
        return NULL;
    }

    return d;
}


void
ngx_sio_dispatch_post(ngx_sio_gateway_t *gw)
{
    ngx_post_event(&gw->dispatch->event, &ngx_posted_events);
}


static void
ngx_sio_dispatch_handler(ngx_event_t *ev)
{
    ngx_sio_dispatch_t  *d;

    d = ngx_queue_data(ev, ngx_sio_dispatch_t, event);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ev->log, 0,
                   "socketio dispatch from %uL", d->gateway->cursor);

    ngx_sio_dispatch_run(d->gateway);
}


/*
 * Reads and sends in turn, until nothing is left or others have to be served;
 * to them belongs the feed, from which more may come.
 */

void
ngx_sio_dispatch_run(ngx_sio_gateway_t *gw)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    if (gw->slot == 0) {
        return;
    }

    if (ngx_sio_zone_lost(gw->zone)) {
        ngx_sio_gateway_emptied(gw);
    }

    rc = NGX_OK;

    for (n = 0; n < NGX_SIO_DISPATCH_TURNS; n++) {

        rc = ngx_sio_dispatch_read(gw);

        if (rc == NGX_DECLINED) {
            break;
        }

        ngx_sio_arrive_resume(gw);

        if (ngx_sio_turn_serve(gw) == NGX_AGAIN) {
            break;
        }

        if (ngx_sio_dispatch_passed(gw) != NGX_OK) {
            rc = NGX_DECLINED;
            break;
        }

        if (rc == NGX_BUSY) {
            /* the sweep tries again */
            return;
        }

        if (rc == NGX_AGAIN
            && !ngx_sio_log_arm(gw->zone, gw->slot, gw->cursor))
        {
            return;
        }
    }

    if (rc == NGX_DECLINED) {
        ngx_sio_dispatch_overrun(gw);
    }

    ngx_post_event(&gw->dispatch->event, &ngx_posted_next_events);
}


/*
 * Adds to the turn what the log has.  NGX_OK: there may be more; NGX_AGAIN: the
 * head is reached; NGX_BUSY: there is no memory for the next record;
 * NGX_DECLINED: the log has gone on without this worker.
 */

static ngx_int_t
ngx_sio_dispatch_read(ngx_sio_gateway_t *gw)
{
    uint64_t      off;
    ngx_int_t     rc;
    sio_record_t  rec;

    off = gw->cursor;
    rc = NGX_OK;

    while (!ngx_sio_turn_full(gw->turn)) {

        rc = ngx_sio_log_next(gw->zone, &off, &rec);

        if (rc != NGX_OK) {
            break;
        }

        rc = ngx_sio_dispatch_record(gw, off, &rec);

        if (rc != NGX_OK) {
            break;
        }

        off += rec.size;
        gw->cursor = off;
    }

    ngx_sio_dispatch_segment(gw);

    return rc;
}


static void
ngx_sio_dispatch_end(ngx_sio_gateway_t *gw)
{
    ngx_sio_turn_end(gw->turn);
    gw->dispatch->segment = 0;
}


/*
 * All that was read is sent.  NGX_OK, or NGX_DECLINED: the log has gone on
 * without this worker.
 */

static ngx_int_t
ngx_sio_dispatch_passed(ngx_sio_gateway_t *gw)
{
    ngx_sio_dispatch_end(gw);

    /*
     * Writers may go three quarters of the log beyond the cursor that they
     * see, and the tail runs ahead of them by less than a 32nd part: so what
     * stands in the other 7/32 before the cursor is safe when it is published.
     */

    ngx_sio_slow_rescue(gw, gw->cursor - gw->zone->sh->log_size / 32 * 7);

    return ngx_sio_log_advance(gw->zone, gw->slot, gw->cursor);
}


static ngx_int_t
ngx_sio_dispatch_record(ngx_sio_gateway_t *gw, uint64_t off, sio_record_t *rec)
{
    sio_record_t  *image;

    if (rec->type == SIO_RECORD_FEED) {

        if (rec->flags & (SIO_RECORD_DOWN|SIO_RECORD_GAP)) {
            ngx_sio_connect_forget(gw);
        }

        if (rec->flags & SIO_RECORD_UP) {
            /* those who connect now are not met by what was before */
            ngx_sio_dispatch_segment(gw);
            ngx_sio_connect_resume(gw);
        }

        return NGX_OK;
    }

    image = ngx_sio_wire_load(gw, off, rec);
    if (image == NULL) {
        return ngx_sio_dispatch_unread(gw, rec);
    }

    if (image->nsp >= NGX_SIO_NAMESPACES) {
        ngx_log_error(NGX_LOG_ALERT, gw->log, 0,
                      "socketio log has a record for namespace %d",
                      image->nsp);
        return NGX_OK;
    }

    switch (image->type) {

    case SIO_RECORD_EMIT:

        if (image->flags & SIO_RECORD_PRESENCE) {
            return ngx_sio_dispatch_presence(gw, image);
        }

        return ngx_sio_dispatch_emit(gw, image);

    case SIO_RECORD_JOIN:
    case SIO_RECORD_LEAVE:
    case SIO_RECORD_DISCONNECT:

        /* what was published before meets the rooms as they are now */
        ngx_sio_dispatch_segment(gw);

        ngx_sio_connect_command(gw, image);
        ngx_sio_command_run(gw, image);

        return NGX_OK;

    case SIO_RECORD_REFRESH:
        ngx_sio_dispatch_segment(gw);

        ngx_sio_connect_command(gw, image);
        ngx_sio_refresh_run(gw, image);

        return NGX_OK;

    case SIO_RECORD_SESSION:
        return ngx_sio_dispatch_session(gw, image);

    case SIO_RECORD_ACK:
        ngx_sio_acks_record(gw, image);
        return NGX_OK;

    default:
        return NGX_OK;
    }
}


/* Why a record could not be read: it is no more, or there is no memory. */

static ngx_int_t
ngx_sio_dispatch_unread(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    if (rec->offset < ngx_sio_log_tail(gw->zone)
        || !sio_record_sane(rec, ngx_sio_log_max_record(gw->zone)))
    {
        return NGX_DECLINED;
    }

    return NGX_BUSY;
}


static ngx_int_t
ngx_sio_dispatch_emit(ngx_sio_gateway_t *gw, sio_record_t *rec)
{
    ngx_int_t                     rc;
    uint64_t                      hash;
    sio_str_t                     name;
    ngx_sio_turn_t               *t;
    ngx_sio_dispatch_t           *d;
    ngx_sio_dispatch_audience_t   to;

    t = gw->turn;
    d = gw->dispatch;

    to.room = NULL;
    to.client = NULL;
    to.prompt = 0;
    to.simple = (rec->except == 0 && rec->rooms <= 1);
    to.drop = rec->flags & SIO_RECORD_VOLATILE;

    if (to.simple) {

        if (rec->rooms == 0) {
            to.room = &gw->rooms->everyone[rec->nsp];

            if (to.room->nmembers == 0) {
                return NGX_OK;
            }

        } else {
            name = sio_record_name(rec, 0);
            hash = sio_record_hashes(rec)[0];

            to.room = ngx_sio_rooms_find(gw->rooms, hash, rec->nsp, name.data,
                                         name.len);
            to.client = ngx_sio_rooms_sid(gw->rooms, hash, rec->nsp,
                                          name.data, name.len);

            if (to.room == NULL && to.client == NULL) {
                return NGX_OK;
            }
        }

        if (d->segment == t->messages.nelts
            || !d->audience.simple || d->audience.room != to.room
            || d->audience.client != to.client || d->audience.drop != to.drop)
        {
            ngx_sio_dispatch_segment(gw);
            d->audience = to;
        }

        return ngx_sio_dispatch_stage(gw, rec);
    }

    to.prompt = ngx_sio_dispatch_is_small(gw, rec);

    ngx_sio_dispatch_segment(gw);
    d->audience = to;

    rc = ngx_sio_dispatch_stage(gw, rec);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_sio_dispatch_addressed(gw, rec, ngx_sio_dispatch_add, NULL);
    d->segment = t->messages.nelts;

    return NGX_OK;
}


/* True if a record addresses but a few here. */

static ngx_uint_t
ngx_sio_dispatch_is_small(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    unsigned               i;
    sio_str_t              name;
    ngx_uint_t             n;
    ngx_sio_rooms_room_t  *room;

    n = rec->rooms ? 0 : gw->rooms->everyone[rec->nsp].nmembers;

    for (i = 0; i < rec->rooms && n <= NGX_SIO_TURN_SMALL; i++) {
        name = sio_record_name(rec, i);
        room = ngx_sio_rooms_find(gw->rooms, sio_record_hashes(rec)[i],
                                  rec->nsp, name.data, name.len);
        n += room ? room->nmembers : 1;
    }

    return n <= NGX_SIO_TURN_SMALL;
}


/*
 * For all that are told who is online, in segments as long as may be, but for
 * the user himself.
 */

static ngx_int_t
ngx_sio_dispatch_presence(ngx_sio_gateway_t *gw, sio_record_t *rec)
{
    uint64_t                 hash;
    ngx_sio_client_t        *sc;
    ngx_sio_turn_t          *t;
    ngx_sio_dispatch_t      *d;
    ngx_sio_listeners_t     *ls;
    ngx_sio_dispatch_own_t  *own;

    if (gw->presence == NULL || rec->args != 1
        || ngx_sio_presence_record(gw, rec) != NGX_OK)
    {
        return NGX_OK;
    }

    t = gw->turn;
    d = gw->dispatch;
    ls = gw->presence->listeners;

    if (ls->room.nmembers == 0) {
        return NGX_OK;
    }

    if (d->segment == t->messages.nelts || d->audience.room != &ls->room
        || d->own.nelts >= NGX_SIO_DISPATCH_OWN)
    {
        ngx_sio_dispatch_segment(gw);

        d->audience.room = &ls->room;
        d->audience.client = NULL;
        d->audience.simple = 1;
        d->audience.drop = 0;
    }

    hash = sio_record_hashes(rec)[0];

    if (ngx_sio_dispatch_stage(gw, rec) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (sc = ngx_sio_listeners_first(ls, hash);
         sc;
         sc = ngx_sio_listeners_next(ls, sc))
    {
        own = ngx_array_push(&d->own);

        if (own == NULL) {
            sc->broken = 1;
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            continue;
        }

        own->n = t->messages.nelts - 1;
        own->client = sc;
    }

    return NGX_OK;
}


/* Frames the parts of a record behind what is staged, as one message. */

static ngx_int_t
ngx_sio_dispatch_stage(ngx_sio_gateway_t *gw, sio_record_t *rec)
{
    size_t              len;
    sio_buf_t          *stage;
    ngx_sio_turn_t     *t;
    ngx_sio_message_t  *msg;

    t = gw->turn;
    stage = &t->stage;

    len = ngx_sio_wire_len(gw, rec);

    if (sio_buf_reserve(stage, len) != SIO_OK
        || ngx_sio_wire_write(gw, rec, 0, stage->data + stage->len, len)
           != NGX_OK)
    {
        return ngx_sio_dispatch_unread(gw, rec);
    }

    msg = ngx_array_push(&t->messages);
    if (msg == NULL) {
        return NGX_BUSY;
    }

    ngx_sio_wire_message(gw, rec, msg, stage->len, len);

    stage->len += len;

    return NGX_OK;
}


/* A record for one session: for its owner, if that is this worker. */

static ngx_int_t
ngx_sio_dispatch_session(ngx_sio_gateway_t *gw, sio_record_t *rec)
{
    uint64_t           ref;
    ngx_int_t          rc;
    sio_str_t          name;
    ngx_sio_client_t  *sc;

    name = sio_record_name(rec, 0);

    sc = ngx_sio_owned_find(gw, sio_record_hashes(rec)[0], name.data,
                            name.len);

    if (sc == NULL && rec->rooms > 1
        && (rec->flags & (SIO_RECORD_RELEASE|SIO_RECORD_CLOSE)))
    {

        name = sio_record_name(rec, 1);

        sc = ngx_sio_rooms_sid(gw->rooms, sio_record_hashes(rec)[1],
                               rec->nsp, name.data, name.len);
    }

    if (sc == NULL || sc->state == NGX_SIO_CLIENT_CLOSED
        || ((rec->flags & SIO_RECORD_RELEASE)
            && rec->arg != ngx_sio_session_tag(sc->session, sc->owner)))
    {
        return NGX_OK;
    }

    /* after all that was published before */

    ngx_sio_dispatch_segment(gw);
    ngx_sio_turn_flush_all(sc);

    rc = NGX_OK;

    if (rec->flags & SIO_RECORD_CLOSE) {
        ngx_sio_client_close(sc, ngx_min(rec->arg,
                                         NGX_SIO_CLOSE_REASONS - 1));

    } else if (rec->flags & SIO_RECORD_RELEASE) {
        sc->transport->release(sc);

    } else if (rec->flags & SIO_RECORD_CONNECTED) {

        if (rec->nsp) {
            rc = ngx_sio_arrive_late(sc, rec->nsp, rec->offset);

        } else {
            ngx_sio_arrive_again(sc, rec->offset);
        }

    } else {
        ref = rec->offset;
        rc = ngx_sio_wire_missed(gw, sc, &ref, 1, 0);
    }

    if (rc != NGX_OK && ngx_sio_dispatch_unread(gw, rec) == NGX_BUSY) {

        /* it is for this one only, so nobody else has to wait */

        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_OK;
    }

    return rc;
}


/* Ends a segment: its messages are noted for each member of its audience. */

static void
ngx_sio_dispatch_segment(ngx_sio_gateway_t *gw)
{
    ngx_uint_t                    spared;
    ngx_sio_turn_t               *t;
    ngx_sio_dispatch_t           *d;
    ngx_sio_dispatch_audience_t  *to;

    t = gw->turn;
    d = gw->dispatch;
    to = &d->audience;

    if (d->segment == t->messages.nelts) {
        return;
    }

    d->mark++;
    spared = d->own.nelts;

    if (spared) {
        ngx_sio_dispatch_others(gw);
    }

    to->prompt = (to->room == NULL
                  || to->room->nmembers <= NGX_SIO_TURN_SMALL);

    if (to->room && to->client == NULL && !spared) {

        /* nobody is there twice */

        ngx_sio_turn_room(t, to->room, d->segment,
                          t->messages.nelts - d->segment, to->prompt, to->drop);

    } else {
        ngx_sio_dispatch_room(gw, to->room, to->client, ngx_sio_dispatch_add,
                              NULL);
    }

    d->segment = t->messages.nelts;
}


/* Those who are spared some messages get the others, and count as met. */

static void
ngx_sio_dispatch_others(ngx_sio_gateway_t *gw)
{
    uint32_t                 first;
    ngx_uint_t               i, k;
    ngx_sio_turn_t          *t;
    ngx_sio_client_t        *sc;
    ngx_sio_dispatch_t      *d;
    ngx_sio_dispatch_own_t  *own;

    t = gw->turn;
    d = gw->dispatch;
    own = d->own.elts;

    for (i = 0; i < d->own.nelts; i++) {

        sc = own[i].client;

        if (ngx_sio_dispatch_meet(d, ngx_sio_outlet(sc)) != NGX_OK) {
            continue;
        }

        first = d->segment;

        for (k = i; k < d->own.nelts; k++) {

            if (own[k].client == sc) {
                ngx_sio_turn_add(t, sc, first, own[k].n - first, 0);
                first = own[k].n + 1;
            }
        }

        ngx_sio_turn_add(t, sc, first, t->messages.nelts - first, 0);
    }

    d->own.nelts = 0;
}


/* Those in the excepted rooms are marked first, so that they count as met. */

void
ngx_sio_dispatch_addressed(ngx_sio_gateway_t *gw, const sio_record_t *rec,
    ngx_sio_dispatch_each_pt each, void *data)
{
    uint64_t               hash;
    unsigned               i;
    sio_str_t              name;
    ngx_sio_client_t      *sc;
    ngx_sio_rooms_room_t  *room;

    gw->dispatch->mark++;

    for (i = rec->rooms; i < (unsigned) rec->rooms + rec->except; i++) {
        name = sio_record_name(rec, i);
        hash = sio_record_hashes(rec)[i];

        room = ngx_sio_rooms_find(gw->rooms, hash, rec->nsp, name.data,
                                  name.len);
        sc = ngx_sio_rooms_sid(gw->rooms, hash, rec->nsp, name.data,
                               name.len);

        ngx_sio_dispatch_room(gw, room, sc, NULL, NULL);
    }

    if (rec->rooms == 0) {
        ngx_sio_dispatch_room(gw, &gw->rooms->everyone[rec->nsp], NULL, each,
                              data);
        return;
    }

    for (i = 0; i < rec->rooms; i++) {
        name = sio_record_name(rec, i);
        hash = sio_record_hashes(rec)[i];

        room = ngx_sio_rooms_find(gw->rooms, hash, rec->nsp, name.data,
                                  name.len);
        sc = ngx_sio_rooms_sid(gw->rooms, hash, rec->nsp, name.data,
                               name.len);

        ngx_sio_dispatch_room(gw, room, sc, each, data);
    }
}


/* Meets the members of a room, and one client, unless they are marked. */

static void
ngx_sio_dispatch_room(ngx_sio_gateway_t *gw, ngx_sio_rooms_room_t *room,
    ngx_sio_client_t *sc, ngx_sio_dispatch_each_pt each, void *data)
{
    uint32_t                 i;
    ngx_sio_outlet_t        *outlet;
    ngx_sio_rooms_member_t  *members;

    members = room ? ngx_sio_rooms_members(room) : NULL;

    for (i = room ? room->nmembers : 0; i > 0; i--) {

        if (i > room->nmembers) {
            /* who was met last found the zone lost, and all were let go */
            continue;
        }

        outlet = &gw->outlets->elts[members[i - 1].outlet];

        if (ngx_sio_dispatch_meet(gw->dispatch, outlet) == NGX_OK && each) {
            each(gw, outlet->client, data);
        }
    }

    if (sc && ngx_sio_dispatch_meet(gw->dispatch, ngx_sio_outlet(sc)) == NGX_OK
        && each)
    {
        each(gw, sc, data);
    }
}


/*
 * Marks a client as met.  NGX_OK, or NGX_DECLINED: it was met before, or is not
 * connected.
 */

static ngx_inline ngx_int_t
ngx_sio_dispatch_meet(ngx_sio_dispatch_t *d, ngx_sio_outlet_t *outlet)
{
    if (outlet->mark == d->mark) {
        return NGX_DECLINED;
    }

    outlet->mark = d->mark;

    return outlet->connected ? NGX_OK : NGX_DECLINED;
}


/* Notes the messages of the current segment for a client. */

static void
ngx_sio_dispatch_add(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc, void *data)
{
    ngx_sio_turn_t      *t;
    ngx_sio_dispatch_t  *d;

    t = gw->turn;
    d = gw->dispatch;

    if (d->audience.drop && sc->out) {
        return;
    }

    ngx_sio_turn_add(t, sc, d->segment, t->messages.nelts - d->segment,
                     d->audience.prompt);
}


/*
 * This worker was stopped for so long that the log went on without it.  What
 * it has missed cannot be told any more, so its clients have to come again.
 */

static void
ngx_sio_dispatch_overrun(ngx_sio_gateway_t *gw)
{
    uint64_t      cursor;
    ngx_queue_t  *q;

    while (ngx_sio_turn_serve(gw) == NGX_AGAIN) { /* void */ }

    ngx_sio_dispatch_end(gw);

    ngx_log_error(NGX_LOG_WARN, gw->log, 0,
                  "socketio worker was left behind by the log of gateway "
                  "\"%V\", closing its %ui clients",
                  &gw->conf->name, gw->nclients);

    while (!ngx_queue_empty(&gw->clients)) {
        q = ngx_queue_head(&gw->clients);
        ngx_sio_client_close(ngx_queue_data(q, ngx_sio_client_t, link),
                             NGX_SIO_CLOSE_UNAVAILABLE);
    }

    cursor = ngx_sio_log_rejoin(gw->zone, gw->slot);

    if (cursor == 0) {
        /* still fenced: tried again */
        return;
    }

    gw->cursor = cursor;

    ngx_sio_presence_reset(gw);
}
