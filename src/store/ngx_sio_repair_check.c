
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_repair.h"
#include "ngx_sio_farewell.h"
#include "ngx_sio_name.h"
#include "ngx_sio_online.h"
#include "ngx_sio_session.h"

#include <sio_eio.h>


/*
 * The invariants once more, written down independently of repair and with
 * memory of its own.  For tests and for people with a suspicion: a worker calls
 * this only in a build with NGX_SIO_CHECK.
 */


/* What was met of an array: how often, and where. */

typedef struct {
    uint32_t                 *refs;       /* by sessions or names */
    uint32_t                 *chained;    /* in a table or in a chain */
    uint32_t                 *listed;     /* in the free list */
} ngx_sio_repair_met_t;


typedef struct {
    ngx_sio_zone_t           *z;
    ngx_sio_repair_met_t      sessions;
    ngx_sio_repair_met_t      rooms;
    ngx_sio_repair_met_t      users;
    ngx_sio_repair_met_t      chunks;
    ngx_sio_repair_met_t      tails;
    uint64_t                  members;    /* that have not ended */
    uint32_t                  polling;
    uint32_t                  parked;
    uint32_t                  branches;
    uint32_t                 *sockets;    /* by which users are online */
    uint32_t                  told;       /* sessions with a farewell */
    ngx_uint_t                errors;
    char                     *text;
    size_t                    size;
} ngx_sio_repair_check_t;


static ngx_uint_t ngx_sio_repair_check_all(ngx_sio_repair_check_t *ck);
static ngx_int_t ngx_sio_repair_check_init(ngx_sio_repair_met_t *met,
    uint32_t n);
static void ngx_sio_repair_check_done(ngx_sio_repair_met_t *met);
static void ngx_sio_repair_check_error(ngx_sio_repair_check_t *ck,
    const char *text, uint32_t i);
static void ngx_sio_repair_check_sessions(ngx_sio_repair_check_t *ck);
static void ngx_sio_repair_check_session(ngx_sio_repair_check_t *ck,
    uint32_t i);
static void ngx_sio_repair_check_rooms(ngx_sio_repair_check_t *ck,
    uint32_t i);
static ngx_uint_t ngx_sio_repair_check_members(ngx_sio_repair_check_t *ck,
    ngx_sio_member_sh_t *m, ngx_uint_t places, ngx_uint_t *ended);
static ngx_uint_t ngx_sio_repair_check_chunk(ngx_sio_repair_check_t *ck,
    uint32_t i);
static void ngx_sio_repair_check_ids(ngx_sio_repair_check_t *ck);
static void ngx_sio_repair_check_branches(ngx_sio_repair_check_t *ck,
    uint32_t transport);
static void ngx_sio_repair_check_online(ngx_sio_repair_check_t *ck);
static ngx_uint_t ngx_sio_repair_check_user(ngx_sio_repair_check_t *ck,
    uint32_t i);
static void ngx_sio_repair_check_farewells(ngx_sio_repair_check_t *ck);
static void ngx_sio_repair_check_names(ngx_sio_repair_check_t *ck,
    ngx_sio_names_t *names, ngx_sio_repair_met_t *met);
static void ngx_sio_repair_check_name(ngx_sio_repair_check_t *ck,
    ngx_sio_name_sh_t *n, uint32_t i);
static void ngx_sio_repair_check_chain(ngx_sio_repair_check_t *ck,
    ngx_sio_names_t *names, ngx_sio_repair_met_t *met);
static void ngx_sio_repair_check_chunks(ngx_sio_repair_check_t *ck);
static ngx_uint_t ngx_sio_repair_check_tail(ngx_sio_repair_check_t *ck,
    uint32_t i);
static void ngx_sio_repair_check_tails(ngx_sio_repair_check_t *ck);


ngx_uint_t
ngx_sio_repair_check(ngx_sio_zone_t *z, char *text, size_t size)
{
    ngx_uint_t              n;
    ngx_sio_repair_check_t  ck;

    ngx_memzero(&ck, sizeof(ngx_sio_repair_check_t));

    ck.z = z;
    ck.text = text;
    ck.size = size;

    if (size) {
        text[0] = '\0';
    }

    n = ngx_sio_repair_check_all(&ck);

    ngx_sio_repair_check_done(&ck.sessions);
    ngx_sio_repair_check_done(&ck.rooms);
    ngx_sio_repair_check_done(&ck.users);
    ngx_sio_repair_check_done(&ck.chunks);
    ngx_sio_repair_check_done(&ck.tails);
    free(ck.sockets);

    return n;
}


static ngx_uint_t
ngx_sio_repair_check_all(ngx_sio_repair_check_t *ck)
{
    ngx_sio_names_t     rooms, users;
    ngx_sio_zone_sh_t  *sh;

    sh = ck->z->sh;

    if (sh->top_session > sh->nsessions
        || sh->top_room > sh->nrooms
        || sh->top_user > sh->nusers
        || sh->top_chunk > sh->nchunks
        || sh->top_tail > sh->ntails)
    {
        ngx_sio_repair_check_error(ck, "top is behind the end", 0);
        return ck->errors;
    }

    if (ngx_sio_repair_check_init(&ck->sessions, sh->top_session) != NGX_OK
        || ngx_sio_repair_check_init(&ck->rooms, sh->top_room) != NGX_OK
        || ngx_sio_repair_check_init(&ck->users, sh->top_user) != NGX_OK
        || ngx_sio_repair_check_init(&ck->chunks, sh->top_chunk) != NGX_OK
        || ngx_sio_repair_check_init(&ck->tails, sh->top_tail) != NGX_OK)
    {
        ngx_sio_repair_check_error(ck, "no memory for the check", 0);
        return ck->errors;
    }

    ck->sockets = calloc((size_t) sh->top_user + 1, sizeof(uint32_t));

    if (ck->sockets == NULL) {
        ngx_sio_repair_check_error(ck, "no memory for the check", 0);
        return ck->errors;
    }

    rooms = ngx_sio_name_rooms(ck->z);
    users = ngx_sio_name_users(ck->z);

    ngx_sio_repair_check_sessions(ck);
    ngx_sio_repair_check_ids(ck);
    ngx_sio_repair_check_online(ck);
    ngx_sio_repair_check_farewells(ck);
    ngx_sio_repair_check_names(ck, &rooms, &ck->rooms);
    ngx_sio_repair_check_names(ck, &users, &ck->users);
    ngx_sio_repair_check_chunks(ck);
    ngx_sio_repair_check_tails(ck);

    ck->errors += ngx_sio_repair_check_limits(ck->z,
                                              ck->errors ? NULL : ck->text,
                                              ck->errors ? 0 : ck->size);

    return ck->errors;
}


static ngx_int_t
ngx_sio_repair_check_init(ngx_sio_repair_met_t *met, uint32_t n)
{
    met->refs = calloc((size_t) n + 1, sizeof(uint32_t));
    met->chained = calloc((size_t) n + 1, sizeof(uint32_t));
    met->listed = calloc((size_t) n + 1, sizeof(uint32_t));

    if (met->refs == NULL || met->chained == NULL || met->listed == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_sio_repair_check_done(ngx_sio_repair_met_t *met)
{
    free(met->refs);
    free(met->chained);
    free(met->listed);
}


static void
ngx_sio_repair_check_error(ngx_sio_repair_check_t *ck, const char *text,
    uint32_t i)
{
    if (ck->errors++ == 0) {
        (void) snprintf(ck->text, ck->size, "%s: %u", text, (unsigned) i);
    }
}


static void
ngx_sio_repair_check_sessions(ngx_sio_repair_check_t *ck)
{
    uint32_t            i, state, live;
    ngx_sio_zone_sh_t  *sh;

    sh = ck->z->sh;
    live = 0;

    for (i = 1; i <= sh->top_session; i++) {

        state = ck->z->sessions[i].state;

        if (state == NGX_SIO_LIVE) {
            live++;
            ngx_sio_repair_check_session(ck, i);
            ngx_sio_repair_check_rooms(ck, i);

        } else if (state != NGX_SIO_FREE) {
            ngx_sio_repair_check_error(ck, "session in between", i);
        }
    }

    if (sh->live_sessions != live) {
        ngx_sio_repair_check_error(ck, "number of sessions is wrong", live);
    }

    if (sh->live_polling != ck->polling) {
        ngx_sio_repair_check_error(ck, "number of pollers is wrong",
                                   ck->polling);
    }

    if (sh->live_parked != ck->parked) {
        ngx_sio_repair_check_error(ck, "number of the parked is wrong",
                                   ck->parked);
    }

    if (sh->live_branches != ck->branches) {
        ngx_sio_repair_check_error(ck, "number of branches is wrong",
                                   ck->branches);
    }

    if (sh->live_members != ck->members) {
        ngx_sio_repair_check_error(ck, "number of memberships is wrong",
                                   ck->members);
    }
}


static void
ngx_sio_repair_check_session(ngx_sio_repair_check_t *ck, uint32_t i)
{
    ngx_uint_t             slot, state;
    ngx_sio_session_sh_t  *ss;

    ss = &ck->z->sessions[i];

    ck->polling += (ss->transport == SIO_EIO_POLLING);

    if (ss->sid[0] == 0
        && (ss->user || ss->members || ss->chunk || ss->farewell))
    {
        ngx_sio_repair_check_error(ck, "no socket, but something of one", i);
    }

    ck->told += ngx_sio_farewell_is_left(ss);

    if (ngx_sio_farewell_is_due(ss)
        && ss->farewell >= ck->z->sh->farewells.nstreams)
    {
        ngx_sio_repair_check_error(ck, "session has a strange farewell", i);
    }

    if (ss->flags & NGX_SIO_PARKED) {
        ck->parked++;

        if (ss->sid[0] == 0 || ss->eio_sid[0] || ss->transport || ss->kin) {
            ngx_sio_repair_check_error(ck, "parked, but not all of it", i);
        }
    }

    if (ss->eio_sid[0] == 0 && ss->kin) {
        ck->branches++;

    } else if (ss->eio_sid[0] == 0 && !(ss->flags & NGX_SIO_PARKED)
               && ngx_sio_owner_slot(ss->owner) == 0)
    {
        ngx_sio_repair_check_error(ck, "session is nobody's for ever", i);
    }

    slot = ngx_sio_owner_slot(ss->owner);
    state = ngx_sio_owner_state(ss->owner);

    /* others may store while this looks */

    if (state == NGX_SIO_OWNER_HELD && slot) {
        state = NGX_SIO_OWNER_LIVE;
    }

    if (slot > NGX_SIO_WORKERS
        || state != (slot ? NGX_SIO_OWNER_LIVE : NGX_SIO_OWNER_NONE)
        || (slot == 0 && ss->applied == NGX_SIO_AT_CURSOR))
    {
        ngx_sio_repair_check_error(ck, "session has a strange owner", i);
    }
}


static void
ngx_sio_repair_check_rooms(ngx_sio_repair_check_t *ck, uint32_t i)
{
    uint32_t               c;
    ngx_uint_t             n, more, ended;
    ngx_sio_session_sh_t  *ss;

    ss = &ck->z->sessions[i];

    ended = 0;

    if (ss->user > ck->z->sh->top_user) {
        ngx_sio_repair_check_error(ck, "user is none", i);

    } else {
        ck->users.refs[ss->user]++;

        if (!ngx_sio_online_counts(ss) != !(ss->flags & NGX_SIO_PRESENT)) {
            ngx_sio_repair_check_error(ck, "session is wrongly present", i);
        }

        ck->sockets[ss->user] += ((ss->flags & NGX_SIO_PRESENT) != 0);
    }

    n = ngx_sio_repair_check_members(ck, ss->member, NGX_SIO_INLINE, &ended);

    for (c = ss->chunk; c; c = ck->z->chunks[c].next) {

        if (!ngx_sio_repair_check_chunk(ck, c)) {
            break;
        }

        more = ngx_sio_repair_check_members(ck, ck->z->chunks[c].u.member,
                                            NGX_SIO_CHUNK, &ended);
        if (more == 0) {
            ngx_sio_repair_check_error(ck, "session has an empty chunk", i);
        }

        n += more;
    }

    if (ss->members != n) {
        ngx_sio_repair_check_error(ck, "session miscounts its rooms", i);
    }

    if (ended > NGX_SIO_ENDED) {
        ngx_sio_repair_check_error(ck, "session keeps too many rooms", i);
    }

    ck->members += n - ended;
}


static ngx_uint_t
ngx_sio_repair_check_members(ngx_sio_repair_check_t *ck,
    ngx_sio_member_sh_t *m, ngx_uint_t places, ngx_uint_t *ended)
{
    uint32_t    room;
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < places; i++) {

        if (m[i].room == 0) {
            continue;
        }

        n++;
        *ended += ((m[i].room & NGX_SIO_LEFT) != 0);

        room = ngx_sio_member_room(&m[i]);

        if (room == 0 || room > ck->z->sh->top_room) {
            ngx_sio_repair_check_error(ck, "room is none", room);
            continue;
        }

        ck->rooms.refs[room]++;
    }

    return n;
}


/* Notes that somebody has this chunk; false if the chain cannot go on. */

static ngx_uint_t
ngx_sio_repair_check_chunk(ngx_sio_repair_check_t *ck, uint32_t i)
{
    if (i > ck->z->sh->top_chunk) {
        ngx_sio_repair_check_error(ck, "chunk is none", i);
        return 0;
    }

    if (ck->chunks.chained[i]++) {
        ngx_sio_repair_check_error(ck, "chunk has two owners", i);
        return 0;
    }

    return 1;
}


static void
ngx_sio_repair_check_ids(ngx_sio_repair_check_t *ck)
{
    uint32_t               i, n, *bucket;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;
    ngx_sio_repair_met_t  *met;

    z = ck->z;
    met = &ck->sessions;

    /* "refs" counts the public ids */

    for (n = 0; n < z->sh->top_session; n++) {

        bucket = &z->eio_table[n];

        for (i = *bucket; i; i = z->sessions[i].next_eio) {

            if (i > z->sh->top_session || met->chained[i]++
                || z->sessions[i].eio_sid[0] == 0
                || ngx_sio_session_eio_bucket(z, z->sessions[i].eio_sid)
                   != bucket)
            {
                ngx_sio_repair_check_error(ck, "bad chain of eio_sid", i);
                break;
            }
        }

        bucket = &z->sid_table[n];

        for (i = *bucket; i; i = z->sessions[i].next_sid) {

            if (i > z->sh->top_session || met->refs[i]++
                || ngx_sio_session_sid_bucket(z, z->sessions[i].sid)
                   != bucket)
            {
                ngx_sio_repair_check_error(ck, "bad chain of sid", i);
                break;
            }
        }
    }

    for (i = z->sh->free_session; i; i = z->sessions[i].next_eio) {

        if (i > z->sh->top_session || met->listed[i]++) {
            ngx_sio_repair_check_error(ck, "bad list of free sessions", i);
            break;
        }
    }

    for (i = 1; i <= z->sh->top_session; i++) {
        if (z->sessions[i].state == NGX_SIO_LIVE && z->sessions[i].eio_sid[0])
        {
            ngx_sio_repair_check_branches(ck, i);
        }
    }

    for (i = 1; i <= z->sh->top_session; i++) {

        ss = &z->sessions[i];
        n = (ss->state == NGX_SIO_LIVE);

        if (met->chained[i] != (n && (ss->eio_sid[0] || ss->kin))
            || met->listed[i] == n
            || met->refs[i] != (n && ss->sid[0] != 0))
        {
            ngx_sio_repair_check_error(ck, "session is in a wrong list", i);
        }
    }
}


/* "chained" counts them in the lists of their transports. */

static void
ngx_sio_repair_check_branches(ngx_sio_repair_check_t *ck, uint32_t transport)
{
    uint32_t               i;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = ck->z;
    ss = &z->sessions[transport];

    if (ss->kin && !(ss->flags & NGX_SIO_BRANCHED)) {
        ngx_sio_repair_check_error(ck, "branches, but no note of them",
                                   transport);
    }

    for (i = z->sessions[transport].kin; i; i = z->sessions[i].next_eio) {

        ss = &z->sessions[i];

        if (i > z->sh->top_session || ck->sessions.chained[i]++
            || ss->state != NGX_SIO_LIVE || ss->eio_sid[0]
            || ss->kin != transport || ss->nsp == 0)
        {
            ngx_sio_repair_check_error(ck, "bad list of branches", transport);
            break;
        }
    }
}


static void
ngx_sio_repair_check_online(ngx_sio_repair_check_t *ck)
{
    uint32_t                i, flags, held, local, announced;
    ngx_sio_presence_sh_t  *pr;

    pr = &ck->z->sh->presence;

    held = 0;
    local = 0;
    announced = 0;

    for (i = 1; i <= ck->z->sh->top_user; i++) {

        flags = ck->z->online[i].flags;

        /* the flags are a reference */
        ck->users.refs[i] += (flags != 0);

        held += (flags != 0);
        local += ((flags & NGX_SIO_ONLINE_LOCAL) != 0);
        announced += ((flags & NGX_SIO_ONLINE_ANNOUNCED) != 0);

        if (!ngx_sio_repair_check_user(ck, i)) {
            ngx_sio_repair_check_error(ck, "presence of user is wrong", i);
        }
    }

    if (pr->held != held || pr->local != local || pr->announced != announced)
    {
        ngx_sio_repair_check_error(ck, "number of users online is wrong",
                                   local);
    }
}


static ngx_uint_t
ngx_sio_repair_check_user(ngx_sio_repair_check_t *ck, uint32_t i)
{
    ngx_uint_t            waits;
    ngx_sio_online_sh_t  *o;

    o = &ck->z->online[i];
    waits = ((o->flags & NGX_SIO_ONLINE_LOCAL) && o->sockets == 0);

    if (ck->z->users[i].state != NGX_SIO_LIVE
        && (o->flags || o->sockets || o->gone))
    {
        return 0;
    }

    return (o->flags & ~NGX_SIO_ONLINE_ALL) == 0
           && o->sockets == ck->sockets[i]
           && waits == (o->gone != 0);
}


/* Each session that says so has one. */

static void
ngx_sio_repair_check_farewells(ngx_sio_repair_check_t *ck)
{
    uint32_t                 i, s, n, prev, told;
    ngx_sio_zone_t          *z;
    ngx_sio_farewell_sh_t   *fw;
    ngx_sio_farewells_sh_t  *fs;

    z = ck->z;
    fs = &z->sh->farewells;
    n = 0;
    prev = 0;
    told = 0;

    for (i = fs->first; i; i = z->chunks[i].next) {

        if (!ngx_sio_repair_check_chunk(ck, i)) {
            return;
        }

        fw = &z->chunks[i].u.farewell;

        if (z->chunks[i].prev != prev || fw->stream == 0
            || fw->stream >= fs->nstreams || fw->nsp >= z->sh->nnsps
            || fw->user > z->sh->top_user)
        {
            ngx_sio_repair_check_error(ck, "farewell is damaged", i);
            return;
        }

        ck->users.refs[fw->user]++;

        for (s = *ngx_sio_session_sid_bucket(z, fw->sid);
             s && s <= z->sh->top_session;
             s = z->sessions[s].next_sid)
        {
            if (ngx_memcmp(z->sessions[s].sid, fw->sid, NGX_SIO_SID_LEN) == 0)
            {
                told += ngx_sio_farewell_is_left(&z->sessions[s]);
                break;
            }
        }

        n++;
        prev = i;
    }

    if (fs->last != prev || fs->waiting != n || ck->told != told) {
        ngx_sio_repair_check_error(ck, "list of farewells is wrong", n);
    }
}


static void
ngx_sio_repair_check_names(ngx_sio_repair_check_t *ck,
    ngx_sio_names_t *names, ngx_sio_repair_met_t *met)
{
    uint32_t            i, n, live;
    ngx_sio_name_sh_t  *name;

    ngx_sio_repair_check_chain(ck, names, met);

    live = 0;

    for (i = 1; i <= *names->top; i++) {

        name = &names->records[i];
        n = (name->state == NGX_SIO_LIVE);
        live += n;

        if (name->state != NGX_SIO_LIVE && name->state != NGX_SIO_FREE) {
            ngx_sio_repair_check_error(ck, "name in between", i);
        }

        if (met->chained[i] != n || met->listed[i] == n) {
            ngx_sio_repair_check_error(ck, "name is in a wrong list", i);
        }

        if (n == 0 && met->refs[i]) {
            ngx_sio_repair_check_error(ck, "name in use is free", i);
        }

        if (n && (met->refs[i] == 0 || met->refs[i] != name->refs)) {
            ngx_sio_repair_check_error(ck, "name has a wrong count", i);
        }

        if (n) {
            ngx_sio_repair_check_name(ck, name, i);
        }
    }

    if (*names->live != live) {
        ngx_sio_repair_check_error(ck, "number of names is wrong", live);
    }
}


static void
ngx_sio_repair_check_name(ngx_sio_repair_check_t *ck, ngx_sio_name_sh_t *n,
    uint32_t i)
{
    size_t    at;
    u_char    name[sizeof(n->name) + SIO_ROOM_LEN
                   + sizeof(((ngx_sio_tail_sh_t *) 0)->text)];
    uint32_t  t;

    if (n->len == 0 || n->len > SIO_ROOM_LEN) {
        ngx_sio_repair_check_error(ck, "name has a bad length", i);
        return;
    }

    ngx_memcpy(name, n->name, sizeof(n->name));
    at = sizeof(n->name);

    for (t = n->tail; t; t = ck->z->tails[t].next) {

        if (at >= n->len || !ngx_sio_repair_check_tail(ck, t)) {
            ngx_sio_repair_check_error(ck, "name has a bad tail", i);
            return;
        }

        ngx_memcpy(name + at, ck->z->tails[t].text,
                   sizeof(ck->z->tails[t].text));
        at += sizeof(ck->z->tails[t].text);
    }

    if (at < n->len
        || n->hash != sio_hash(ck->z->sh->seed, name, n->len))
    {
        ngx_sio_repair_check_error(ck, "name is damaged", i);
    }
}


static void
ngx_sio_repair_check_chain(ngx_sio_repair_check_t *ck,
    ngx_sio_names_t *names, ngx_sio_repair_met_t *met)
{
    uint32_t            i, n, *bucket;
    ngx_sio_name_sh_t  *name;

    for (n = 0; n < *names->top; n++) {

        bucket = &names->table[n];

        for (i = *bucket; i; i = name->next) {

            name = &names->records[i];

            if (i > *names->top || met->chained[i]++
                || ngx_sio_name_bucket(names, name->hash, name->nsp)
                   != bucket)
            {
                ngx_sio_repair_check_error(ck, "bad chain of names", i);
                break;
            }
        }
    }

    for (i = *names->free; i; i = names->records[i].next) {

        if (i > *names->top || met->listed[i]++) {
            ngx_sio_repair_check_error(ck, "bad list of free names", i);
            break;
        }
    }
}


static void
ngx_sio_repair_check_chunks(ngx_sio_repair_check_t *ck)
{
    uint32_t               i, n, live;
    ngx_sio_zone_t        *z;
    ngx_sio_repair_met_t  *met;

    z = ck->z;
    met = &ck->chunks;
    live = 0;

    for (i = z->sh->free_chunk; i; i = z->chunks[i].next) {

        if (i > z->sh->top_chunk || met->listed[i]++) {
            ngx_sio_repair_check_error(ck, "bad list of free chunks", i);
            break;
        }
    }

    for (i = 1; i <= z->sh->top_chunk; i++) {

        n = (z->chunks[i].state == NGX_SIO_LIVE);
        live += n;

        if (z->chunks[i].state != NGX_SIO_LIVE
            && z->chunks[i].state != NGX_SIO_FREE)
        {
            ngx_sio_repair_check_error(ck, "chunk in between", i);
        }

        if (met->chained[i] != n || met->listed[i] == n) {
            ngx_sio_repair_check_error(ck, "chunk is in a wrong list", i);
        }
    }

    if (z->sh->live_chunks != live) {
        ngx_sio_repair_check_error(ck, "number of chunks is wrong", live);
    }
}


/* False if it cannot be, or was met before: the chain cannot go on. */

static ngx_uint_t
ngx_sio_repair_check_tail(ngx_sio_repair_check_t *ck, uint32_t i)
{
    if (i > ck->z->sh->top_tail) {
        ngx_sio_repair_check_error(ck, "tail is none", i);
        return 0;
    }

    if (ck->tails.chained[i]++) {
        ngx_sio_repair_check_error(ck, "tail has two owners", i);
        return 0;
    }

    return 1;
}


static void
ngx_sio_repair_check_tails(ngx_sio_repair_check_t *ck)
{
    uint32_t               i, n, live;
    ngx_sio_zone_t        *z;
    ngx_sio_repair_met_t  *met;

    z = ck->z;
    met = &ck->tails;
    live = 0;

    for (i = z->sh->free_tail; i; i = z->tails[i].next) {

        if (i > z->sh->top_tail || met->listed[i]++) {
            ngx_sio_repair_check_error(ck, "bad list of free tails", i);
            break;
        }
    }

    for (i = 1; i <= z->sh->top_tail; i++) {

        n = (z->tails[i].state == NGX_SIO_LIVE);
        live += n;

        if (z->tails[i].state != NGX_SIO_LIVE
            && z->tails[i].state != NGX_SIO_FREE)
        {
            ngx_sio_repair_check_error(ck, "tail in between", i);
        }

        if (met->chained[i] != n || met->listed[i] == n) {
            ngx_sio_repair_check_error(ck, "tail is in a wrong list", i);
        }
    }

    if (z->sh->live_tails != live) {
        ngx_sio_repair_check_error(ck, "number of tails is wrong", live);
    }
}
