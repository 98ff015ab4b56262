
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_farewell.h"
#include "ngx_sio_name.h"
#include "ngx_sio_session.h"

#include <time.h>


static ngx_int_t ngx_sio_farewell_stream_locked(ngx_sio_zone_t *z,
    ngx_str_t *key, ngx_str_t *maxlen, ngx_uint_t *stream);
static uint32_t ngx_sio_farewell_make(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
static ngx_uint_t ngx_sio_farewell_poster(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
static void ngx_sio_farewell_link(ngx_sio_zone_t *z, uint32_t i);


ngx_int_t
ngx_sio_farewell_stream(ngx_sio_zone_t *z, ngx_str_t *key, ngx_str_t *maxlen,
    ngx_uint_t *stream)
{
    ngx_int_t  rc;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = ngx_sio_farewell_stream_locked(z, key, maxlen, stream);

    ngx_sio_zone_unlock(z);

    return rc;
}


static ngx_int_t
ngx_sio_farewell_stream_locked(ngx_sio_zone_t *z, ngx_str_t *key,
    ngx_str_t *maxlen, ngx_uint_t *stream)
{
    uint32_t                 i;
    ngx_sio_stream_sh_t     *st;
    ngx_sio_farewells_sh_t  *fs;

    fs = &z->sh->farewells;

    for (i = 1; i < fs->nstreams; i++) {

        st = &fs->streams[i];

        if (st->len == key->len && st->maxlen_len == maxlen->len
            && ngx_memcmp(st->key, key->data, key->len) == 0
            && ngx_memcmp(st->maxlen, maxlen->data, maxlen->len) == 0)
        {
            *stream = i;
            return NGX_OK;
        }
    }

    st = &fs->streams[i];

    if (i == NGX_SIO_STREAMS || key->len > sizeof(st->key)
        || maxlen->len > sizeof(st->maxlen))
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(st->key, key->data, key->len);
    ngx_memcpy(st->maxlen, maxlen->data, maxlen->len);
    st->len = (uint16_t) key->len;
    st->maxlen_len = (uint16_t) maxlen->len;

    ngx_sio_step();

    ngx_sio_store(&fs->nstreams, i + 1);

    ngx_sio_step();

    *stream = i;

    return NGX_OK;
}


/*
 * Who dies with the farewell in the list, and the session not told yet, has
 * ended something that is not his any more: repair tells the session.
 */

void
ngx_sio_farewell_leave_locked(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    uint32_t  i;

    if (!ngx_sio_farewell_is_due(ss) || ss->sid[0] == 0) {
        return;
    }

    i = ngx_sio_farewell_make(z, ss);

    if (i == 0) {
        (void) __atomic_fetch_add(&z->sh->farewells.lost, 1,
                                  __ATOMIC_RELAXED);
        ss->farewell = 0;

    } else {
        ngx_sio_farewell_link(z, i);

        ss->farewell = NGX_SIO_FAREWELL_LEFT;
    }

    ngx_sio_step();
}


/* Until it is in the list, repair frees it again. */

static uint32_t
ngx_sio_farewell_make(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    uint32_t                i;
    ngx_uint_t              poster;
    struct timespec         ts;
    ngx_sio_names_t         users;
    ngx_sio_farewell_sh_t  *fw;

    if (z->sh->farewells.waiting >= z->sh->nchunks / 2) {
        /* clients that want to join rooms need chunks, too */
        return 0;
    }

    i = ngx_sio_zone_chunk_locked(z);

    if (i == 0) {
        return 0;
    }

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    poster = ngx_sio_farewell_poster(z, ss);

    fw = ngx_sio_farewell(z, i);

    fw->time = (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
    fw->nsp = ss->nsp;
    fw->slot = (uint8_t) (poster ? poster : z->slot);
    fw->stream = ss->farewell;
    fw->reason = ss->reason;
    ngx_memcpy(fw->sid, ss->sid, NGX_SIO_SID_LEN);

    if (ss->user) {
        users = ngx_sio_name_users(z);
        ngx_sio_name_ref_locked(&users, ss->user);

        fw->user = ss->user;

        ngx_sio_step();
    }

    return i;
}


/* Who is at a POST of the socket's transport; 0: nobody. */

static ngx_uint_t
ngx_sio_farewell_poster(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    if (ss->eio_sid[0] == 0 && ss->kin) {
        ss = &z->sessions[ss->kin];
    }

    return ss->poster;
}


static void
ngx_sio_farewell_link(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_farewells_sh_t  *fs;

    fs = &z->sh->farewells;

    z->chunks[i].prev = fs->last;

    ngx_sio_step();

    if (fs->last) {
        z->chunks[fs->last].next = i;

    } else {
        ngx_sio_store(&fs->first, i);
    }

    ngx_sio_step();

    fs->last = i;

    ngx_sio_step();

    fs->waiting++;

    ngx_sio_step();
}


void
ngx_sio_farewell_done_locked(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t                 s, user;
    ngx_sio_names_t          users;
    ngx_sio_chunk_sh_t      *c;
    ngx_sio_farewells_sh_t  *fs;

    fs = &z->sh->farewells;
    c = &z->chunks[i];

    user = c->u.farewell.user;

    s = ngx_sio_session_by_sid_locked(z, c->u.farewell.sid);

    if (c->prev) {
        z->chunks[c->prev].next = c->next;

    } else {
        ngx_sio_store(&fs->first, c->next);
    }

    ngx_sio_step();

    if (c->next) {
        z->chunks[c->next].prev = c->prev;

    } else {
        fs->last = c->prev;
    }

    ngx_sio_step();

    fs->waiting--;

    ngx_sio_step();

    if (s && ngx_sio_farewell_is_left(&z->sessions[s])) {
        z->sessions[s].farewell = 0;

        ngx_sio_step();
    }

    if (user) {
        users = ngx_sio_name_users(z);
        ngx_sio_name_unref_locked(z, &users, user);
    }

    ngx_sio_zone_chunk_free_locked(z, i);
}
