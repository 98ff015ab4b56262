
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_session.h"
#include "ngx_sio_farewell.h"
#include "ngx_sio_limit.h"
#include "ngx_sio_log.h"
#include "ngx_sio_name.h"
#include "ngx_sio_online.h"
#include "ngx_sio_table.h"


/*
 * What makes a session a socket.  The first byte of the id is the state word
 * of all this: it is written last and cleared first, and repair takes rooms
 * and user from a session that has no id.
 */


static void ngx_sio_session_in_time(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
static ngx_int_t ngx_sio_session_fill(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_sio_session_socket_t *socket);
static ngx_int_t ngx_sio_session_user(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_str_t *user);
static void ngx_sio_session_clear(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
static void ngx_sio_session_link_sid(ngx_sio_zone_t *z, uint32_t i,
    const u_char *sid);
static void ngx_sio_session_unlink_sid(ngx_sio_zone_t *z, uint32_t i);
static void ngx_sio_session_move(ngx_sio_session_sh_t *to,
    ngx_sio_session_sh_t *from);


ngx_int_t
ngx_sio_session_connect(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    ngx_sio_session_socket_t *socket)
{
    ngx_int_t              rc;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;
    ss = ngx_sio_session_mine_locked(z, i, owner);

    if (ss) {
        rc = ngx_sio_session_connect_locked(z, i, socket);
    }

    if (rc == NGX_OK) {
        ss->flags &= ~NGX_SIO_CONNECTING;
        ss->connecter = 0;

        ngx_sio_step();
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


ngx_int_t
ngx_sio_session_connect_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_sio_session_socket_t *socket)
{
    uint32_t               flags;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss == NULL || ss->sid[0] || (ss->flags & NGX_SIO_DEAD)
        || (ss->eio_sid[0] == 0 && ss->nsp != socket->nsp))
    {
        return NGX_DECLINED;
    }

    ss->nsp = socket->nsp;

    if (ngx_sio_session_fill(z, ss, socket) != NGX_OK) {
        ngx_sio_session_clear(z, ss);
        (void) __atomic_fetch_add(&z->sh->refused, 1, __ATOMIC_RELAXED);
        return NGX_DECLINED;
    }

    ngx_sio_store(&ss->told, 0);
    ss->applied = socket->since;
    ss->born = socket->since;
    ss->last = socket->since;
    ss->base_last = socket->since;
    ss->base_from = socket->since;

    ss->farewell = (uint8_t) socket->farewell;
    ss->reason = 0;

    flags = ss->flags & ~(NGX_SIO_RECOVERABLE|NGX_SIO_FLOOR|NGX_SIO_LISTING
                          |NGX_SIO_REFRESH);

    ss->flags = flags | (socket->recoverable ? NGX_SIO_RECOVERABLE : 0)
                      | (socket->refresh ? NGX_SIO_REFRESH : 0);

    ngx_sio_step();

    ngx_sio_session_link_sid(z, i, socket->sid);
    ngx_sio_session_in_time(z, ss);
    ngx_sio_online_come_locked(z, ss);
    ngx_sio_limit_come_locked(z, ss);

    return NGX_OK;
}


uint64_t
ngx_sio_session_told(ngx_sio_session_sh_t *ss, uint64_t cursor)
{
    int32_t   ahead;
    uint32_t  told;

    told = __atomic_load_n(&ss->told, __ATOMIC_ACQUIRE);

    if (told == 0) {
        return 0;
    }

    cursor /= SIO_RECORD_ALIGN;
    ahead = (int32_t) (told - (uint32_t) cursor);

    if (ahead < 0 && cursor < (uint64_t) - (int64_t) ahead) {
        return 0;
    }

    return (cursor + ahead) * SIO_RECORD_ALIGN;
}


/*
 * The first socket in any namespace is enough, even if it does not stay.  Who
 * dies before this leaves a client that waits for its reply in vain: its time
 * goes on.
 */

static void
ngx_sio_session_in_time(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    if (ss->eio_sid[0]) {
        ss->connect_by = 0;

    } else if (ss->kin) {
        z->sessions[ss->kin].connect_by = 0;
    }

    ngx_sio_step();
}


static ngx_int_t
ngx_sio_session_fill(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_session_socket_t *socket)
{
    ngx_uint_t  n;

    if (socket->user && socket->user->len
        && ngx_sio_session_user(z, ss, socket->user) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    for (n = 0; n < socket->nrooms; n++) {
        if (ngx_sio_session_add_locked(z, ss, &socket->rooms[n],
                                       socket->since)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_session_user(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_str_t *user)
{
    uint32_t         u;
    uint64_t         hash;
    ngx_sio_names_t  users;

    users = ngx_sio_name_users(z);
    hash = sio_hash(z->sh->seed, user->data, user->len);

    u = ngx_sio_name_get_locked(z, &users, hash, ss->nsp, user->data,
                                user->len);
    if (u == 0) {
        return NGX_DECLINED;
    }

    ngx_sio_name_ref_locked(&users, u);

    ss->user = u;

    ngx_sio_step();

    return NGX_OK;
}


/* Drops rooms and user of a session that has no id, or no longer has one. */

static void
ngx_sio_session_clear(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    uint32_t         u;
    ngx_sio_names_t  users;

    if (ss->user) {
        ngx_sio_online_leave_locked(z, ss);

        users = ngx_sio_name_users(z);

        u = ss->user;
        ss->user = 0;

        ngx_sio_step();

        ngx_sio_name_unref_locked(z, &users, u);
    }

    ngx_sio_session_drop_locked(z, ss);
}


ngx_int_t
ngx_sio_session_disconnect(ngx_sio_zone_t *z, uint32_t i, uint64_t owner)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;

    if (ngx_sio_session_mine_locked(z, i, owner)) {
        ngx_sio_session_disconnect_locked(z, i);
        rc = NGX_OK;
    }

    ngx_sio_zone_unlock(z);

    return rc;
}


void
ngx_sio_session_disconnect_locked(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_session_live_locked(z, i);

    if (ss == NULL) {
        return;
    }

    if (ss->eio_sid[0] == 0) {
        /* there is no transport to go on, or it does so without this */
        ngx_sio_session_close_locked(z, i);
        return;
    }

    ngx_sio_session_empty_locked(z, i);

    ss->flags &= ~(NGX_SIO_RECOVERABLE|NGX_SIO_FLOOR|NGX_SIO_LEAVING
                   |NGX_SIO_LISTING);
    ss->reason = 0;

    ngx_sio_step();
}


void
ngx_sio_session_empty_locked(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    if (ss->sid[0]) {
        ngx_sio_farewell_leave_locked(z, ss);
        ngx_sio_session_unlink_sid(z, i);

        ss->sid[0] = 0;

        ngx_sio_step();

        ss->farewell = 0;

        ngx_sio_step();

        ngx_sio_limit_leave_locked(z, ss);
    }

    ngx_sio_session_clear(z, ss);
}


static void
ngx_sio_session_link_sid(ngx_sio_zone_t *z, uint32_t i, const u_char *sid)
{
    uint32_t              *bucket;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];

    ngx_memcpy(ss->sid + 1, sid + 1, NGX_SIO_SID_LEN - 1);

    ngx_sio_step();

    ss->sid[0] = sid[0];

    ngx_sio_step();

    bucket = ngx_sio_session_sid_bucket(z, ss->sid);
    ss->next_sid = *bucket;

    ngx_sio_step();

    *bucket = i;

    ngx_sio_step();
}


static void
ngx_sio_session_unlink_sid(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t              *link;
    ngx_sio_session_sh_t  *ss;

    ss = &z->sessions[i];
    link = ngx_sio_session_sid_bucket(z, ss->sid);

    while (*link && *link != i) {
        link = &z->sessions[*link].next_sid;
    }

    if (*link == i) {
        *link = ss->next_sid;
    }

    ngx_sio_step();
}


uint32_t *
ngx_sio_session_sid_bucket(ngx_sio_zone_t *z, const u_char *sid)
{
    uint64_t  hash;

    hash = sio_hash(z->sh->seed, sid, NGX_SIO_SID_LEN);

    return &z->sid_table[ngx_sio_table_bucket(hash, z->sh->top_session)];
}


uint32_t
ngx_sio_session_by_sid_locked(ngx_sio_zone_t *z, const u_char *sid)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_zone_lost(z)) {
        return 0;
    }

    for (i = *ngx_sio_session_sid_bucket(z, sid); i; i = ss->next_sid) {

        ss = &z->sessions[i];

        if (ngx_memcmp(ss->sid, sid, NGX_SIO_SID_LEN) == 0) {
            break;
        }
    }

    return i;
}


/*
 * The socket leaves the one session as that becomes NEW, and is in the other
 * when its id is there.  Who dies in between leaves one that repair frees, with
 * all that is still in it, and one without an id, from which repair takes what
 * has come already: the socket has ended, and nothing of it is used twice.  No
 * count changes, the references only move.
 */

ngx_int_t
ngx_sio_session_adopt_locked(ngx_sio_zone_t *z, uint32_t to, uint32_t from,
    uint64_t owner, uint64_t at)
{
    u_char                 sid[NGX_SIO_SID_LEN];
    ngx_sio_session_sh_t  *dst, *src;

    dst = ngx_sio_session_live_locked(z, to);
    src = ngx_sio_session_mine_locked(z, from, owner);

    if (dst == NULL || dst->sid[0] || (dst->flags & NGX_SIO_DEAD)
        || src == NULL || src->sid[0] == 0 || (src->flags & NGX_SIO_DEAD)
        || dst->nsp != src->nsp)
    {
        if (dst && dst->sid[0] == 0) {
            dst->farewell = 0;
        }

        return NGX_DECLINED;
    }

    ngx_sio_farewell_leave_locked(z, src);
    ngx_sio_session_floor_locked(z, src);
    ngx_sio_online_leave_locked(z, src);

    ngx_memcpy(sid, src->sid, NGX_SIO_SID_LEN);

    ngx_sio_session_unlink_sid(z, from);

    ngx_sio_store(&src->state, NGX_SIO_NEW);

    ngx_sio_step();

    ngx_sio_session_move(dst, src);
    ngx_sio_limit_move_locked(z, to, from);

    dst->applied = at;
    dst->last = ngx_min(dst->last, at);

    ngx_sio_step();

    ngx_sio_session_link_sid(z, to, sid);
    ngx_sio_session_in_time(z, dst);
    ngx_sio_online_come_locked(z, dst);
    ngx_sio_limit_come_locked(z, dst);
    ngx_sio_session_free_locked(z, from);

    return NGX_OK;
}


static void
ngx_sio_session_move(ngx_sio_session_sh_t *to, ngx_sio_session_sh_t *from)
{
    uint32_t  flags;

    flags = NGX_SIO_RECOVERABLE|NGX_SIO_FLOOR|NGX_SIO_REFRESH;

    to->flags &= ~(flags|NGX_SIO_LISTING);
    to->flags |= from->flags & flags;
    to->reason = 0;
    to->born = from->born;
    to->last = from->last;
    to->base_last = from->base_last;
    to->base_from = from->base_from;

    to->user = from->user;

    ngx_sio_step();

    to->members = from->members;
    to->chunk = from->chunk;

    ngx_sio_step();

    ngx_memcpy(to->member, from->member, sizeof(to->member));

    ngx_sio_step();
}


/*
 * The base is renewed before it falls out of the log, but for a socket whose
 * rooms are not known that far back: then base_from is its floor.  Nobody
 * stands at base_last while base_from is the new one already.
 */

void
ngx_sio_session_note(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint64_t from, uint64_t last)
{
    uint64_t  tail;

    tail = ngx_sio_log_tail(z);

    if (from
        && ss->base_from < tail + z->log_size / 8
        && (!(ss->flags & NGX_SIO_FLOOR)
            || ss->base_last
            || ss->base_from <= tail))
    {
        ss->base_last = 0;

        ngx_sio_step();

        ss->base_from = from;

        ngx_sio_step();

        ss->base_last = ss->last;

        ngx_sio_step();
    }

    ss->last = last;

    ngx_sio_step();
}


/*
 * A floor that the log has passed is none, and neither is one that has been
 * replaced by a base.
 */

void
ngx_sio_session_floor_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    if ((ss->flags & NGX_SIO_FLOOR)
        && (ss->base_last || ss->base_from <= ngx_sio_log_tail(z)))
    {
        ss->flags &= ~NGX_SIO_FLOOR;

        ngx_sio_step();
    }
}
