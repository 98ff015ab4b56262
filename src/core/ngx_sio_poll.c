
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_poll.h"
#include "ngx_sio_arrive.h"
#include "ngx_sio_beat.h"
#include "ngx_sio_branch.h"
#include "ngx_sio_claim.h"
#include "ngx_sio_owned.h"
#include "ngx_sio_presence.h"
#include "ngx_sio_refresh.h"
#include "ngx_sio_share.h"
#include "ngx_sio_turn.h"

#include <ngx_sio_http.h>
#include <sio_payload.h>


#define NGX_SIO_POLL_RETRY  100       /* ms until a locked zone is tried
                                         again */


/* A socket of the client that polls, be it a branch or not. */

typedef struct {
    ngx_sio_branch_t      branch;     /* first */
    uint64_t              left;       /* 0, or where the next poll goes on */
    uint64_t              met;        /* the same for the session's own */
    uint64_t              from;       /* oldest record in the body, or 0 */
    uint64_t              last;       /* behind the last event in it, or 0 */
    uint64_t              applied;    /* what the session gets, or 0 */
    uint64_t              at;         /* the same, while it is being answered */
    ngx_uint_t            listed;     /* the list of who is online is in it */
} ngx_sio_poll_socket_t;


typedef struct {
    ngx_sio_poll_socket_t  socket;    /* first */
    ngx_http_request_t   *request;    /* NULL: the client went away */
    sio_buf_t             body;
    ngx_sio_shared_t     *shared;     /* in it, behind at bytes; or NULL */
    size_t                shared_at;
    ngx_event_t           timer;      /* heartbeat; when it is being answered:
                                         to try again */
    ngx_queue_t           answer;     /* gateway->answers */
    unsigned              answering:1;
} ngx_sio_poll_t;


#define ngx_sio_poll_of(sc)      ((ngx_sio_poll_t *) (sc))
#define ngx_sio_poll_socket(sc)  ((ngx_sio_poll_socket_t *) (sc))
#define ngx_sio_poll_client(p)   (&(p)->socket.branch.client)


/* What a GET finds. */

typedef struct {
    uint32_t              session;
    uint64_t              owner;
    ngx_uint_t            ping;       /* is due */
} ngx_sio_poll_found_t;


static ngx_int_t ngx_sio_poll_claim(ngx_http_request_t *r,
    ngx_sio_gateway_t *gw, const u_char *eio_sid, ngx_sio_poll_found_t *found);
static ngx_int_t ngx_sio_poll_claim_locked(ngx_http_request_t *r,
    ngx_sio_gateway_t *gw, const u_char *eio_sid, ngx_sio_poll_found_t *found);
static ngx_int_t ngx_sio_poll_is_over(ngx_http_request_t *r,
    ngx_sio_gateway_t *gw, uint32_t session);
static void ngx_sio_poll_overlap(ngx_sio_gateway_t *gw, const u_char *eio_sid);
static ngx_sio_poll_t *ngx_sio_poll_create(ngx_http_request_t *r,
    ngx_sio_gateway_t *gw, ngx_sio_loc_conf_t *slcf, const u_char *eio_sid,
    ngx_sio_poll_found_t *found);
static void ngx_sio_poll_timer(ngx_sio_poll_t *p);
static void ngx_sio_poll_timer_handler(ngx_event_t *ev);
static void ngx_sio_poll_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n);
static void ngx_sio_poll_share(ngx_sio_client_t *sc,
    const ngx_sio_share_t *share);
static void ngx_sio_poll_empty(ngx_sio_poll_t *p);
static void ngx_sio_poll_leave(ngx_sio_client_t *sc);
static void ngx_sio_poll_release(ngx_sio_client_t *sc);
static void ngx_sio_poll_arrived(ngx_sio_client_t *sc, uint64_t left,
    uint64_t met);
static ngx_int_t ngx_sio_poll_add(ngx_sio_poll_t *p, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n);
static void ngx_sio_poll_note(ngx_sio_client_t *sc, ngx_sio_message_t *msg,
    ngx_uint_t n);
static void ngx_sio_poll_branch_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n);
static void ngx_sio_poll_branch_arrived(ngx_sio_client_t *sc, uint64_t left,
    uint64_t met);
static void ngx_sio_poll_stay(ngx_sio_client_t *sc);
static void ngx_sio_poll_post(ngx_sio_poll_t *p);
static ngx_uint_t ngx_sio_poll_is_held(ngx_sio_client_t *sc);
static void ngx_sio_poll_answer(ngx_sio_poll_t *p);
static void ngx_sio_poll_leave_index(ngx_sio_client_t *sc,
    ngx_uint_t arrived);
static ngx_int_t ngx_sio_poll_let_go(ngx_sio_poll_t *p);
static ngx_int_t ngx_sio_poll_let_go_locked(ngx_sio_poll_t *p);
static ngx_uint_t ngx_sio_poll_is_mine_locked(ngx_sio_client_t *sc);
static void ngx_sio_poll_let_go_socket(ngx_sio_client_t *sc,
    ngx_uint_t answered);
static void ngx_sio_poll_gone(void *data);
static void ngx_sio_poll_stop(ngx_sio_client_t *sc);
static void ngx_sio_poll_end(ngx_sio_client_t *sc);
static void ngx_sio_poll_respond(ngx_sio_poll_t *p);


/* A poll brings no packets, so nothing is done with those of the client. */

static const ngx_sio_transport_t  ngx_sio_poll_branch = {
    SIO_EIO_POLLING,
    ngx_sio_poll_branch_write,
    NULL,
    NULL,
    NULL,
    NULL,
    ngx_sio_branch_leave,
    ngx_sio_branch_release,
    NULL,
    ngx_sio_poll_branch_arrived,
    NULL,
    ngx_sio_branch_free,
    NULL,
    0,
    NULL,
    NULL,
    NULL
};


static const ngx_sio_transport_t  ngx_sio_poll_transport = {
    SIO_EIO_POLLING,
    ngx_sio_poll_write,
    NULL,
    NULL,
    NULL,
    NULL,
    ngx_sio_poll_leave,
    ngx_sio_poll_release,
    NULL,
    ngx_sio_poll_arrived,
    ngx_sio_poll_stop,
    ngx_sio_poll_end,
    &ngx_sio_poll_branch,
    sizeof(ngx_sio_poll_socket_t),
    ngx_sio_poll_share,
    NULL,
    NULL
};


ngx_int_t
ngx_sio_poll_start(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid)
{
    ngx_int_t              rc;
    ngx_sio_poll_t        *p;
    ngx_sio_poll_found_t   found;

    rc = ngx_sio_poll_claim(r, gw, eio_sid, &found);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    p = ngx_sio_poll_create(r, gw, slcf, eio_sid, &found);

    if (p == NULL) {
        (void) ngx_sio_session_release(gw->zone, found.session, found.owner,
                                       gw->zone->sessions[found.session].seen);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (found.ping) {
        ngx_sio_client_send(ngx_sio_poll_client(p), (u_char *) "2", 1);
    }

    if (gw->closing) {
        /* the answer tells the client to connect anew, to another worker */
        ngx_sio_poll_release(ngx_sio_poll_client(p));
    }

    ngx_sio_arrive(ngx_sio_poll_client(p));

    return NGX_DONE;
}


/* NGX_DECLINED: the session is ours; else the result of the request. */

static ngx_int_t
ngx_sio_poll_claim(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    const u_char *eio_sid, ngx_sio_poll_found_t *found)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_lock(gw->zone) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    rc = ngx_sio_poll_claim_locked(r, gw, eio_sid, found);

    ngx_sio_zone_unlock(gw->zone);

    switch (rc) {

    case NGX_OK:
        return NGX_DECLINED;

    case NGX_AGAIN:
        ngx_sio_poll_overlap(gw, eio_sid);
        return ngx_sio_http_empty(r, NGX_HTTP_BAD_REQUEST);

    case NGX_DONE:
        return ngx_sio_http_payload(r, (u_char *) "6\x1e" "1", 3);

    case NGX_ABORT:
        return ngx_sio_http_error(r, SIO_EIO_BAD_REQUEST);

    default: /* NGX_DECLINED */
        return ngx_sio_http_error(r, SIO_EIO_UNKNOWN_SID);
    }
}


/*
 * NGX_OK; NGX_AGAIN: there is another poll; NGX_DONE: the session is over,
 * which this poll is told; NGX_ABORT: it does not poll; NGX_DECLINED: there is
 * none.
 */

static ngx_int_t
ngx_sio_poll_claim_locked(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    const u_char *eio_sid, ngx_sio_poll_found_t *found)
{
    uint32_t               i;
    ngx_int_t              rc;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = gw->zone;
    i = ngx_sio_zone_lost(z) ? 0 : ngx_sio_session_by_eio_locked(z, eio_sid);

    if (i == 0) {
        return NGX_DECLINED;
    }

    ss = &z->sessions[i];

    if (ss->transport != SIO_EIO_POLLING) {
        return NGX_ABORT;
    }

    rc = ngx_sio_session_claim_locked(z, i, gw->slot, &found->owner);

    if (rc == NGX_AGAIN && ngx_sio_claim_is_lost(z, found->owner)) {

        /* the last poll had no answer, and broke off with its worker */

        rc = ngx_sio_session_take_locked(z, i, gw->slot, &found->owner);

        if (rc == NGX_OK) {
            ngx_sio_beat_end_locked(gw, i, NGX_SIO_CLOSE_TRANSPORT_ERROR, 0);
        }

        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    found->session = i;

    rc = ngx_sio_poll_is_over(r, gw, i);

    if (rc == NGX_OK) {
        found->ping = ss->flags & NGX_SIO_PING_DUE;
        ss->flags &= ~NGX_SIO_PING_DUE;
    }

    return rc;
}


static ngx_int_t
ngx_sio_poll_is_over(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    uint32_t session)
{
    ngx_sio_session_sh_t  *ss;

    ss = &gw->zone->sessions[session];

    if (ss->flags & NGX_SIO_CLOSING) {
        ngx_sio_beat_end_locked(gw, session, NGX_SIO_CLOSE_FORCED, 0);
        return NGX_DONE;
    }

    switch (ngx_sio_beat_away_locked(ss, ngx_sio_zone_now())) {

    case NGX_SIO_BEAT_TIMEOUT:
        ngx_sio_beat_end_locked(gw, session, NGX_SIO_CLOSE_PING_TIMEOUT, 0);
        return NGX_DECLINED;

    case NGX_SIO_BEAT_UNCONNECTED:
        ngx_sio_beat_end_locked(gw, session, NGX_SIO_CLOSE_FORCED, 0);
        return NGX_DONE;

    default:
        return NGX_OK;
    }
}


/* A second GET while one is pending breaks the protocol: the session ends. */

static void
ngx_sio_poll_overlap(ngx_sio_gateway_t *gw, const u_char *eio_sid)
{
    (void) ngx_sio_gateway_tell(gw, eio_sid, SIO_RECORD_CLOSE,
                                NGX_SIO_CLOSE_TRANSPORT_ERROR, NULL, 0);
}


static ngx_sio_poll_t *
ngx_sio_poll_create(ngx_http_request_t *r, ngx_sio_gateway_t *gw,
    ngx_sio_loc_conf_t *slcf, const u_char *eio_sid,
    ngx_sio_poll_found_t *found)
{
    ngx_sio_poll_t    *p;
    ngx_sio_client_t  *sc;

    sc = ngx_sio_client_create(gw, slcf, &ngx_sio_poll_transport,
                               sizeof(ngx_sio_poll_t));
    if (sc == NULL) {
        return NULL;
    }

    p = ngx_sio_poll_of(sc);

    if (ngx_sio_http_hold(r, ngx_sio_poll_gone, p) != NGX_OK) {
        ngx_sio_client_forget(sc);
        return NULL;
    }

    p->request = r;
    p->timer.data = &gw->ident;
    p->timer.handler = ngx_sio_poll_timer_handler;
    p->timer.log = gw->log;

    sc->log = r->connection->log;
    sc->session = found->session;
    sc->owner = found->owner;
    ngx_memcpy(sc->eio_sid, eio_sid, NGX_SIO_SID_LEN);

    gw->worker->connections[1]++;

    return p;
}


/* Until the session's deadline, which another worker may move on. */

static void
ngx_sio_poll_timer(ngx_sio_poll_t *p)
{
    int32_t                left;
    uint64_t               now, timer;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_client_session(ngx_sio_poll_client(p));
    now = ngx_sio_zone_now();

    timer = (ss->deadline > now) ? ss->deadline - now : 0;

    if (ss->sid[0] == 0 && ss->connect_by) {
        left = (int32_t) (ss->connect_by - (uint32_t) now);
        timer = ngx_min(timer, (uint64_t) ngx_max(left, 0));
    }

    ngx_add_timer(&p->timer, (ngx_msec_t) ngx_max(timer, 1));
}


static void
ngx_sio_poll_timer_handler(ngx_event_t *ev)
{
    ngx_sio_poll_t        *p;
    ngx_sio_beat_e         beat;
    ngx_sio_zone_t        *z;
    ngx_sio_client_t      *sc;
    ngx_sio_session_sh_t  *ss;

    p = ngx_queue_data(ev, ngx_sio_poll_t, timer);
    sc = ngx_sio_poll_client(p);
    z = sc->gateway->zone;

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    if (p->answering) {
        ngx_sio_poll_answer(p);
        return;
    }

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        ngx_add_timer(ev, NGX_SIO_POLL_RETRY);
        return;
    }

    ss = ngx_sio_client_session(sc);
    beat = NGX_SIO_BEAT_NONE;

    if (ss && ngx_sio_session_mine(z, sc->session, sc->owner)) {
        beat = ngx_sio_beat_locked(ss, ngx_sio_zone_now());
        ss->flags &= ~NGX_SIO_PING_DUE;
    }

    ngx_sio_zone_unlock(z);

    switch (beat) {

    case NGX_SIO_BEAT_PING:
        ngx_sio_client_send(sc, (u_char *) "2", 1);
        return;

    case NGX_SIO_BEAT_TIMEOUT:
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_PING_TIMEOUT);
        return;

    case NGX_SIO_BEAT_UNCONNECTED:
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return;

    default:
        if (ss) {
            ngx_sio_poll_timer(p);
        }

        return;
    }
}


static void
ngx_sio_poll_write(ngx_sio_client_t *sc, u_char *buf, ngx_sio_message_t *msg,
    ngx_uint_t n)
{
    if (ngx_sio_poll_add(ngx_sio_poll_of(sc), buf, msg, n) == NGX_OK) {
        ngx_sio_poll_note(sc, msg, n);
    }
}


/*
 * What is written in one turn of the event loop leaves in one answer.  NGX_OK,
 * or NGX_ERROR: the client is closed.
 */

static ngx_int_t
ngx_sio_poll_add(ngx_sio_poll_t *p, u_char *buf, ngx_sio_message_t *msg,
    ngx_uint_t n)
{
    size_t  len;

    len = msg[n - 1].start + msg[n - 1].len - msg[0].start;

    if (sio_payload_frames(&p->body, buf + msg[0].start, len) != SIO_OK) {
        ngx_sio_client_close(ngx_sio_poll_client(p),
                             NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_ERROR;
    }

    ngx_sio_poll_post(p);

    return NGX_OK;
}


static void
ngx_sio_poll_branch_write(ngx_sio_client_t *sc, u_char *buf,
    ngx_sio_message_t *msg, ngx_uint_t n)
{
    ngx_sio_poll_t  *p;

    p = ngx_sio_poll_of(sc->carrier);

    if (ngx_sio_poll_add(p, buf, msg, n) == NGX_OK) {
        ngx_sio_poll_note(sc, msg, n);
    }
}


/* What of a socket is in the body. */

static void
ngx_sio_poll_note(ngx_sio_client_t *sc, ngx_sio_message_t *msg, ngx_uint_t n)
{
    uint64_t                from, last;
    ngx_uint_t              i;
    ngx_sio_poll_socket_t  *ps;

    ps = ngx_sio_poll_socket(sc);

    if (ngx_sio_client_events(msg, n, &from, &last)) {
        ps->last = last;
    }

    for (i = 0; i < n; i++) {
        if (msg[i].ref && (ps->from == 0 || msg[i].ref < ps->from)) {
            ps->from = msg[i].ref;
        }
    }

    ngx_sio_poll_stay(sc);
}


/*
 * What is in the body is not handed out until the answer leaves: whatever
 * happens before that, the session stands in front of it.
 */

static void
ngx_sio_poll_stay(ngx_sio_client_t *sc)
{
    uint64_t  from;

    from = ngx_sio_poll_socket(sc)->from;

    if (sc->session && from) {
        ngx_sio_session_stay(sc->gateway->zone, sc->session, sc->owner, from);
    }
}


/* There is one such message in an answer. */

static void
ngx_sio_poll_share(ngx_sio_client_t *sc, const ngx_sio_share_t *share)
{
    ngx_sio_poll_t     *p;
    ngx_sio_message_t   msg;

    p = ngx_sio_poll_of(sc);

    if (p->shared
        || sio_payload_text(&p->body, share->head.data, share->head.len)
           != SIO_OK)
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    p->shared = ngx_sio_shared_ref(share->shared);
    p->shared_at = p->body.len;

    if (sio_buf_append(&p->body, share->tail.data, share->tail.len) != SIO_OK)
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ngx_memzero(&msg, sizeof(ngx_sio_message_t));
    msg.next = share->next;

    ngx_sio_poll_note(sc, &msg, 1);
    ngx_sio_poll_post(p);
}


void
ngx_sio_poll_listed(ngx_sio_client_t *sc)
{
    ngx_sio_poll_socket(sc)->listed = 1;
}


static void
ngx_sio_poll_empty(ngx_sio_poll_t *p)
{
    if (p->shared) {
        ngx_sio_shared_release(p->shared);
        p->shared = NULL;
    }

    p->body.len = 0;
}


static void
ngx_sio_poll_post(ngx_sio_poll_t *p)
{
    ngx_sio_gateway_t  *gw;

    gw = ngx_sio_poll_client(p)->gateway;

    if (p->answer.next == NULL) {
        ngx_queue_insert_tail(&gw->answers, &p->answer);
        ngx_post_event(&gw->answer, &ngx_posted_events);
    }
}


static void
ngx_sio_poll_leave(ngx_sio_client_t *sc)
{
    sc->leaving = 1;
}


static void
ngx_sio_poll_release(ngx_sio_client_t *sc)
{
    ngx_sio_poll_t  *p;

    p = ngx_sio_poll_of(sc);

    if (p->body.len == 0
        && sio_payload_text(&p->body, (u_char *) "6", 1) != SIO_OK)
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ngx_sio_poll_post(p);
}


static void
ngx_sio_poll_arrived(ngx_sio_client_t *sc, uint64_t left, uint64_t met)
{
    ngx_sio_poll_t  *p;

    p = ngx_sio_poll_of(sc);

    ngx_sio_poll_branch_arrived(sc, left, met);

    if (p->body.len == 0 && !p->timer.timer_set) {
        ngx_sio_poll_timer(p);
    }
}


static void
ngx_sio_poll_branch_arrived(ngx_sio_client_t *sc, uint64_t left, uint64_t met)
{
    ngx_sio_poll_socket_t  *ps;

    ps = ngx_sio_poll_socket(sc);

    ps->left = left;
    ps->met = met;

    if (left == 0 && ps->from == 0) {
        ngx_sio_client_at_cursor(sc);
    }
}


void
ngx_sio_poll_handler(ngx_event_t *ev)
{
    ngx_queue_t        *q, held;
    ngx_sio_poll_t     *p;
    ngx_sio_gateway_t  *gw;

    gw = ngx_queue_data(ev, ngx_sio_gateway_t, answer);

    ngx_queue_init(&held);

    while (!ngx_queue_empty(&gw->answers)) {
        q = ngx_queue_head(&gw->answers);
        p = ngx_queue_data(q, ngx_sio_poll_t, answer);

        ngx_queue_remove(q);

        if (ngx_sio_poll_is_held(ngx_sio_poll_client(p))) {
            ngx_queue_insert_tail(&held, q);
            continue;
        }

        q->next = NULL;

        if (ngx_sio_poll_client(p)->state != NGX_SIO_CLIENT_CLOSED) {
            ngx_sio_poll_answer(p);
        }
    }

    if (!ngx_queue_empty(&held)) {
        ngx_queue_add(&gw->answers, &held);
    }
}


/*
 * Who is answered at every poll would never have its room sets read: the
 * session is this worker's only until the answer.
 */

static ngx_uint_t
ngx_sio_poll_is_held(ngx_sio_client_t *sc)
{
    ngx_sio_client_t  *branch;

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return 0;
    }

    for (branch = sc->branches; branch; branch = branch->branches) {
        if (ngx_sio_refresh_is_reading(branch)) {
            return 1;
        }
    }

    return ngx_sio_refresh_is_reading(sc);
}


static void
ngx_sio_poll_answer(ngx_sio_poll_t *p)
{
    ngx_sio_client_t  *sc;

    sc = ngx_sio_poll_client(p);

    /* all that is before the cursor, where the session will stand */
    ngx_sio_turn_flush_all(sc);

    if (sc->state == NGX_SIO_CLIENT_CLOSED) {
        return;
    }

    if (p->answer.next) {
        ngx_queue_remove(&p->answer);
        p->answer.next = NULL;
    }

    switch (ngx_sio_poll_let_go(p)) {

    case NGX_BUSY:

        p->answering = 1;
        ngx_add_timer(&p->timer, NGX_SIO_POLL_RETRY);
        return;

    case NGX_DECLINED:

        /* whoever took the session sends all of this again */

        ngx_sio_poll_empty(p);
        (void) sio_payload_text(&p->body, (u_char *) "6", 1);
        break;

    default:
        break;
    }

    if (p->timer.timer_set) {
        ngx_del_timer(&p->timer);
    }

    sc->gateway->worker->connections[1]--;

    ngx_sio_poll_respond(p);

    ngx_sio_poll_empty(p);
    sio_buf_free(&p->body);
    ngx_sio_client_forget(sc);
}


/*
 * The sessions are nobody's from here on, at this worker's cursor; unless they
 * were still on their way there, or have more to send than fits.  All of them
 * are let go, or none.
 */

static ngx_int_t
ngx_sio_poll_let_go(ngx_sio_poll_t *p)
{
    ngx_int_t          rc;
    ngx_sio_zone_t    *z;
    ngx_sio_client_t  *sc, *branch;

    sc = ngx_sio_poll_client(p);
    z = sc->gateway->zone;

    if (sc->session && !ngx_sio_zone_lost(z) && !p->answering) {

        for (branch = sc->branches; branch; branch = branch->branches) {
            ngx_sio_poll_leave_index(branch, branch->in_everyone);
            ngx_sio_arrive_cancel(branch);
        }

        ngx_sio_poll_leave_index(sc, !sc->in_arriving);
    }

    ngx_sio_arrive_cancel(sc);
    ngx_sio_owned_remove(sc);

    if (sc->session == 0 || ngx_sio_zone_lost(z)) {
        return NGX_DECLINED;
    }

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = ngx_sio_poll_let_go_locked(p);

    ngx_sio_zone_unlock(z);

    return rc;
}


/* Where a socket stands; if this is tried again it is the same answer. */

static void
ngx_sio_poll_leave_index(ngx_sio_client_t *sc, ngx_uint_t arrived)
{
    ngx_sio_session_sh_t   *ss;
    ngx_sio_poll_socket_t  *ps;

    ps = ngx_sio_poll_socket(sc);
    ss = ngx_sio_client_session(sc);

    ps->at = arrived ? sc->gateway->cursor : ss->seen;

    if (ps->left) {
        ps->at = ps->met;
    }

    if ((ps->left || sc->in_everyone) && ss->sid[0]) {
        ps->applied = ps->left ? ps->left : ps->at;
    }

    if (sc->in_everyone) {
        ngx_sio_client_exit(sc);
    }
}


/*
 * NGX_DECLINED: one of the sockets was taken by another worker, who sends what
 * is in the body once more; the others stay where they were.
 */

static ngx_int_t
ngx_sio_poll_let_go_locked(ngx_sio_poll_t *p)
{
    ngx_uint_t         mine;
    ngx_sio_client_t  *sc, *branch;

    sc = ngx_sio_poll_client(p);

    mine = ngx_sio_poll_is_mine_locked(sc);

    for (branch = sc->branches; branch; branch = branch->branches) {
        mine = mine && ngx_sio_poll_is_mine_locked(branch);
    }

    if (mine && sc->leaving) {
        ngx_sio_beat_end_locked(sc->gateway, sc->session,
                                NGX_SIO_CLOSE_SERVER, 1);
    }

    for (branch = sc->branches; branch; branch = branch->branches) {
        ngx_sio_poll_let_go_socket(branch, mine);
    }

    ngx_sio_poll_let_go_socket(sc, mine);

    return mine ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_sio_poll_is_mine_locked(ngx_sio_client_t *sc)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_mine_locked(sc->gateway->zone, sc->session,
                                     sc->owner);

    return ss && (ss->flags & NGX_SIO_DEAD) == 0;
}


static void
ngx_sio_poll_let_go_socket(ngx_sio_client_t *sc, ngx_uint_t answered)
{
    uint64_t                   at;
    ngx_sio_zone_t            *z;
    ngx_sio_poll_socket_t     *ps;
    ngx_sio_session_answer_t   answer;

    z = sc->gateway->zone;
    ps = ngx_sio_poll_socket(sc);

    if (answered) {
        answer.from = ps->from;
        answer.last = ps->last;
        answer.applied = ps->applied;
        answer.listed = ps->listed;
        at = ps->at;

        ngx_sio_session_told_done(z, sc->session, sc->owner,
                                  ps->left ? ps->left : ps->at);

    } else {
        ngx_memzero(&answer, sizeof(ngx_sio_session_answer_t));
        at = z->sessions[sc->session].seen;
    }

    (void) ngx_sio_session_answer_locked(z, sc->session, sc->owner, at,
                                         &answer);
}


static void
ngx_sio_poll_respond(ngx_sio_poll_t *p)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = p->request;

    if (r == NULL) {
        return;
    }

    p->request = NULL;

    ngx_sio_http_unhold(r);

    rc = p->shared
         ? ngx_sio_http_payload_with(r, p->body.data, p->body.len,
                                     p->shared_at, p->shared)
         : ngx_sio_http_payload(r, p->body.data, p->body.len);

    ngx_sio_http_finish(r, rc);
}


static void
ngx_sio_poll_gone(void *data)
{
    ngx_sio_poll_t *p = data;

    p->request = NULL;
    ngx_sio_poll_client(p)->log = ngx_sio_poll_client(p)->gateway->log;

    ngx_sio_client_close(ngx_sio_poll_client(p), NGX_SIO_CLOSE_TRANSPORT_ERROR);
}


static void
ngx_sio_poll_stop(ngx_sio_client_t *sc)
{
    ngx_sio_arrive_cancel(sc);
}


/*
 * A client that closed the session itself by a POST gets a noop, everybody else
 * is told that it is closed.  Events are left out if the client can come back
 * for them: socket.io-client keeps those that come together with the end of the
 * session, and would show them again, because it does not count them.
 */

static void
ngx_sio_poll_end(ngx_sio_client_t *sc)
{
    const char      *last;
    ngx_sio_poll_t  *p;

    p = ngx_sio_poll_of(sc);

    if (p->timer.timer_set) {
        ngx_del_timer(&p->timer);
    }

    if (p->answer.next) {
        ngx_queue_remove(&p->answer);
    }

    ngx_sio_owned_remove(sc);

    if (ngx_sio_client_part(sc) || sc->parked) {
        ngx_sio_poll_empty(p);
    }

    sc->gateway->worker->connections[1]--;

    last = (sc->reason == NGX_SIO_CLOSE_TRANSPORT_CLOSE) ? "6" : "1";
    (void) sio_payload_text(&p->body, (u_char *) last, 1);

    ngx_sio_poll_respond(p);

    ngx_sio_poll_empty(p);
    sio_buf_free(&p->body);
    ngx_free(p);
}
