
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_repair.h"
#include "ngx_sio_farewell.h"
#include "ngx_sio_name.h"
#include "ngx_sio_session.h"


/*
 * Order of the work: what was interrupted in a session is finished or undone,
 * references are counted from the sessions, names without any are freed, the
 * others claim their tails, chunks and tails without an owner are freed, and
 * then all caches are written.  Nothing here relies on anything that it has not
 * looked at, and each store leaves something that the next repair would make
 * the same of, because this process may be killed as well.
 *
 * Owners read their own sessions without a lock meanwhile, so what is right is
 * not written to.
 */


static ngx_int_t ngx_sio_repair_records(ngx_sio_zone_t *z);
static ngx_int_t ngx_sio_repair_reset(ngx_sio_zone_t *z);
static ngx_int_t ngx_sio_repair_refs(ngx_sio_names_t *names);
static ngx_int_t ngx_sio_repair_sessions(ngx_sio_zone_t *z);
static ngx_int_t ngx_sio_repair_settle(ngx_sio_zone_t *z);
static ngx_int_t ngx_sio_repair_session(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
static void ngx_sio_repair_parts(ngx_sio_session_sh_t *ss);
static void ngx_sio_repair_kin(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss);
static void ngx_sio_repair_end(ngx_sio_session_sh_t *ss);
static void ngx_sio_repair_parked(ngx_sio_session_sh_t *ss);
static void ngx_sio_repair_no_socket(ngx_sio_session_sh_t *ss);
static ngx_int_t ngx_sio_repair_user(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
static ngx_int_t ngx_sio_repair_chunks(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_uint_t *n);
static ngx_int_t ngx_sio_repair_members(ngx_sio_zone_t *z,
    ngx_sio_member_sh_t *m, ngx_uint_t places, ngx_uint_t *n);
static ngx_int_t ngx_sio_repair_names(ngx_sio_zone_t *z,
    ngx_sio_names_t *names);
static ngx_int_t ngx_sio_repair_name(ngx_sio_zone_t *z, ngx_sio_name_sh_t *n);
static ngx_sio_tail_sh_t *ngx_sio_repair_tail(ngx_sio_zone_t *z, uint32_t i);
static void ngx_sio_repair_empty(ngx_sio_zone_t *z);
static void ngx_sio_repair_empty_names(ngx_sio_names_t *names);
static void ngx_sio_repair_free_session(ngx_sio_session_sh_t *ss);


ngx_int_t
ngx_sio_repair(ngx_sio_zone_t *z)
{
    ngx_int_t  rc;

    rc = z->sh->emptying ? NGX_DECLINED : ngx_sio_repair_records(z);

    if (rc != NGX_OK) {
        ngx_sio_repair_empty(z);
    }

    ngx_sio_repair_caches(z);

    return rc;
}


static ngx_int_t
ngx_sio_repair_records(ngx_sio_zone_t *z)
{
    ngx_sio_names_t  rooms, users;

    rooms = ngx_sio_name_rooms(z);
    users = ngx_sio_name_users(z);

    if (ngx_sio_repair_reset(z) != NGX_OK
        || ngx_sio_repair_refs(&rooms) != NGX_OK
        || ngx_sio_repair_refs(&users) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_sio_repair_online_reset(z);

    if (ngx_sio_repair_sessions(z) != NGX_OK
        || ngx_sio_repair_farewells(z) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_sio_repair_online_refs(z);

    if (ngx_sio_repair_names(z, &rooms) != NGX_OK
        || ngx_sio_repair_names(z, &users) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_repair_reset(ngx_sio_zone_t *z)
{
    uint32_t            i;
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;

    if (sh->top_session > sh->nsessions || sh->top_chunk > sh->nchunks
        || sh->top_tail > sh->ntails)
    {
        return NGX_DECLINED;
    }

    for (i = 1; i <= sh->top_chunk; i++) {
        if (z->chunks[i].state > NGX_SIO_LIVE) {
            return NGX_DECLINED;
        }

        z->chunks[i].mark = 0;
    }

    for (i = 1; i <= sh->top_tail; i++) {
        if (z->tails[i].state > NGX_SIO_LIVE) {
            return NGX_DECLINED;
        }

        z->tails[i].mark = 0;
    }

    sh->live_members = 0;

    ngx_sio_step();

    return NGX_OK;
}


static ngx_int_t
ngx_sio_repair_refs(ngx_sio_names_t *names)
{
    uint32_t  i;

    if (*names->top > names->total) {
        return NGX_DECLINED;
    }

    for (i = 1; i <= *names->top; i++) {
        if (names->records[i].state > NGX_SIO_LIVE) {
            return NGX_DECLINED;
        }

        names->records[i].refs = 0;
    }

    ngx_sio_step();

    return NGX_OK;
}


static ngx_int_t
ngx_sio_repair_sessions(ngx_sio_zone_t *z)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    if (ngx_sio_repair_settle(z) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (i = 1; i <= z->sh->top_session; i++) {

        ss = &z->sessions[i];

        if (ss->state == NGX_SIO_LIVE) {
            ngx_sio_repair_kin(z, ss);
        }

        if (ss->state == NGX_SIO_LIVE
            && ngx_sio_repair_session(z, ss) != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* Which sessions there are, before any is asked for another. */

static ngx_int_t
ngx_sio_repair_settle(ngx_sio_zone_t *z)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    for (i = 1; i <= z->sh->top_session; i++) {

        ss = &z->sessions[i];

        switch (ss->state) {

        case NGX_SIO_FREE:
            break;

        case NGX_SIO_NEW:
            ngx_sio_repair_free_session(ss);
            break;

        case NGX_SIO_LIVE:
            ngx_sio_repair_parts(ss);
            break;

        default:
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/*
 * A branch whose transport is gone is for its owner to end; without one it is
 * nobody's, and would stay for ever.
 */

static void
ngx_sio_repair_kin(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    ngx_sio_session_sh_t  *ts;

    if (ss->eio_sid[0] || (ss->flags & NGX_SIO_PARKED)) {
        return;
    }

    if (ss->kin) {

        ts = &z->sessions[ss->kin];

        if (ss->kin <= z->sh->top_session && ss->nsp
            && ts->state == NGX_SIO_LIVE && ts->eio_sid[0])
        {
            return;
        }

        ss->kin = 0;

        ngx_sio_step();
    }

    if (ngx_sio_owner_slot(ngx_sio_load(&ss->owner)) == 0) {
        ngx_sio_repair_end(ss);
    }
}


/*
 * One whose end is told to the backend is left, parked, to whoever looks for
 * those whose time is over: there may be no chunk for a farewell yet.
 */

static void
ngx_sio_repair_end(ngx_sio_session_sh_t *ss)
{
    if (ss->sid[0] == 0 || !ngx_sio_farewell_is_due(ss)) {
        ngx_sio_repair_free_session(ss);
        return;
    }

    ss->deadline = 1;

    ngx_sio_step();

    ss->flags = (ss->flags & (NGX_SIO_FLOOR|NGX_SIO_PRESENT))
                | NGX_SIO_PARKED;

    ngx_sio_step();
}


static ngx_int_t
ngx_sio_repair_session(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    ngx_uint_t  n;

    n = 0;

    if (ngx_sio_repair_user(z, ss) != NGX_OK
        || ngx_sio_repair_members(z, ss->member, NGX_SIO_INLINE, &n)
           != NGX_OK
        || ngx_sio_repair_chunks(z, ss, &n) != NGX_OK
        || n > 0xffff)
    {
        return NGX_DECLINED;
    }

    if (ss->members != n) {
        ss->members = n;

        ngx_sio_step();
    }

    ngx_sio_repair_online_session(z, ss);

    return NGX_OK;
}


/*
 * A connect, disconnect, park or adopt that was interrupted: the first byte of
 * the id says whether there is a socket, and the flag whether a transport.
 */

static void
ngx_sio_repair_parts(ngx_sio_session_sh_t *ss)
{
    if (ss->flags & NGX_SIO_PARKED) {

        if (ss->sid[0] == 0) {
            ngx_sio_repair_free_session(ss);
            return;
        }

        ngx_sio_repair_parked(ss);
    }

    if (ss->sid[0] == 0) {
        ngx_sio_repair_no_socket(ss);
    }
}


static void
ngx_sio_repair_parked(ngx_sio_session_sh_t *ss)
{
    if (ss->transport || ss->eio_sid[0] || ss->kin) {
        ss->transport = 0;
        ss->eio_sid[0] = 0;
        ss->kin = 0;

        ngx_sio_step();
    }
}


static void
ngx_sio_repair_no_socket(ngx_sio_session_sh_t *ss)
{
    ngx_uint_t  i;

    if (ss->farewell) {
        ss->farewell = 0;

        ngx_sio_step();
    }

    if (ss->user) {
        ss->user = 0;

        ngx_sio_step();
    }

    if (ss->chunk) {
        ss->chunk = 0;

        ngx_sio_step();
    }

    for (i = 0; i < NGX_SIO_INLINE; i++) {
        if (ss->member[i].room) {
            ss->member[i].room = 0;

            ngx_sio_step();
        }
    }
}


static ngx_int_t
ngx_sio_repair_user(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    if (ss->user == 0) {
        return NGX_OK;
    }

    if (ss->user > z->sh->top_user) {
        return NGX_DECLINED;
    }

    if (z->users[ss->user].state != NGX_SIO_LIVE) {
        ss->user = 0;

        ngx_sio_step();

        return NGX_OK;
    }

    z->users[ss->user].refs++;

    return NGX_OK;
}


/*
 * A chunk without members is what an interrupted join or leave has left.  It
 * is marked when it goes, so that even a ring of such chunks comes to an end.
 */

static ngx_int_t
ngx_sio_repair_chunks(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_uint_t *n)
{
    uint32_t            *link;
    ngx_uint_t           before;
    ngx_sio_chunk_sh_t  *c;

    link = &ss->chunk;

    while (*link) {

        c = ngx_sio_repair_claim(z, *link);

        if (c == NULL) {
            return NGX_DECLINED;
        }

        before = *n;

        if (ngx_sio_repair_members(z, c->u.member, NGX_SIO_CHUNK, n)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }

        if (*n > before) {
            link = &c->next;
            continue;
        }

        c->mark = NGX_SIO_REPAIR_UNUSED;
        *link = c->next;

        ngx_sio_step();
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_repair_members(ngx_sio_zone_t *z, ngx_sio_member_sh_t *m,
    ngx_uint_t places, ngx_uint_t *n)
{
    uint32_t    room;
    ngx_uint_t  i;

    for (i = 0; i < places; i++) {

        if (m[i].room == 0) {
            continue;
        }

        room = ngx_sio_member_room(&m[i]);

        if (room == 0 || room > z->sh->top_room) {
            return NGX_DECLINED;
        }

        if (z->rooms[room].state != NGX_SIO_LIVE) {
            m[i].room = 0;

            ngx_sio_step();

            continue;
        }

        z->rooms[room].refs++;
        z->sh->live_members += !(m[i].room & NGX_SIO_LEFT);
        (*n)++;
    }

    return NGX_OK;
}


ngx_sio_chunk_sh_t *
ngx_sio_repair_claim(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_chunk_sh_t  *c;

    if (i == 0 || i > z->sh->top_chunk) {
        return NULL;
    }

    c = &z->chunks[i];

    if (c->state != NGX_SIO_LIVE || c->mark) {
        return NULL;
    }

    c->mark = NGX_SIO_REPAIR_OWNED;

    return c;
}


static ngx_int_t
ngx_sio_repair_names(ngx_sio_zone_t *z, ngx_sio_names_t *names)
{
    uint32_t            i;
    ngx_sio_name_sh_t  *n;

    for (i = 1; i <= *names->top; i++) {

        n = &names->records[i];

        if (n->state == NGX_SIO_LIVE && n->refs) {
            if (ngx_sio_repair_name(z, n) != NGX_OK) {
                return NGX_DECLINED;
            }

            continue;
        }

        if (n->state != NGX_SIO_FREE) {
            n->state = NGX_SIO_FREE;

            ngx_sio_step();
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_repair_name(ngx_sio_zone_t *z, ngx_sio_name_sh_t *n)
{
    size_t              at, size;
    u_char              name[SIO_ROOM_LEN];
    uint32_t            i;
    ngx_sio_tail_sh_t  *t;

    if (n->len == 0 || n->len > SIO_ROOM_LEN) {
        return NGX_DECLINED;
    }

    size = ngx_min(n->len, sizeof(n->name));
    ngx_memcpy(name, n->name, size);

    i = n->tail;

    for (at = size; at < n->len; at += size) {

        t = ngx_sio_repair_tail(z, i);

        if (t == NULL) {
            return NGX_DECLINED;
        }

        size = ngx_min(n->len - at, sizeof(t->text));
        ngx_memcpy(name + at, t->text, size);

        i = t->next;
    }

    if (i || n->hash != sio_hash(z->sh->seed, name, n->len)) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Marks a tail as somebody's.  NULL: it is none, or somebody else's. */

static ngx_sio_tail_sh_t *
ngx_sio_repair_tail(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_tail_sh_t  *t;

    if (i == 0 || i > z->sh->top_tail) {
        return NULL;
    }

    t = &z->tails[i];

    if (t->state != NGX_SIO_LIVE || t->mark) {
        return NULL;
    }

    t->mark = NGX_SIO_REPAIR_OWNED;

    return t;
}


/*
 * If this process dies on the way the next repair might find nothing wrong any
 * more, with some of the sessions left: therefore the note, and the epoch in
 * front of everything else.
 */

static void
ngx_sio_repair_empty(ngx_sio_zone_t *z)
{
    uint32_t            i;
    uint64_t            epoch;
    ngx_sio_names_t     names;
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;

    if (ngx_sio_zone_random(&epoch) != NGX_OK) {
        epoch = sh->epoch + 1;
    }

    sh->emptying = 1;

    ngx_sio_step();

    ngx_sio_store(&sh->epoch, epoch);

    ngx_sio_step();

    sh->top_session = ngx_min(sh->top_session, sh->nsessions);
    sh->top_chunk = ngx_min(sh->top_chunk, sh->nchunks);
    sh->top_tail = ngx_min(sh->top_tail, sh->ntails);
    sh->live_members = 0;

    for (i = 1; i <= sh->top_session; i++) {
        ngx_sio_repair_free_session(&z->sessions[i]);
    }

    names = ngx_sio_name_rooms(z);
    ngx_sio_repair_empty_names(&names);

    names = ngx_sio_name_users(z);
    ngx_sio_repair_empty_names(&names);
    ngx_sio_repair_online_empty(z);

    sh->farewells.first = 0;

    ngx_sio_step();

    for (i = 1; i <= sh->top_chunk; i++) {
        z->chunks[i].mark = 0;
    }

    for (i = 1; i <= sh->top_tail; i++) {
        z->tails[i].mark = 0;
    }

    ngx_sio_step();

    sh->emptying = 0;

    ngx_sio_step();
}


static void
ngx_sio_repair_empty_names(ngx_sio_names_t *names)
{
    uint32_t  i;

    *names->top = ngx_min(*names->top, names->total);

    for (i = 1; i <= *names->top; i++) {
        names->records[i].state = NGX_SIO_FREE;
    }

    ngx_sio_step();
}


static void
ngx_sio_repair_free_session(ngx_sio_session_sh_t *ss)
{
    uint64_t  owner;

    owner = ngx_sio_load(&ss->owner);

    ngx_sio_store(&ss->owner,
                  ngx_sio_owner(0, NGX_SIO_OWNER_NONE,
                                ngx_sio_owner_gen(owner) + 1));
    ngx_sio_step();

    ngx_sio_store(&ss->state, NGX_SIO_FREE);

    ngx_sio_step();
}
