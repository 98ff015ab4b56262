
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_repair.h"
#include "ngx_sio_name.h"
#include "ngx_sio_session.h"
#include "ngx_sio_table.h"

#include <sio_eio.h>


/*
 * What is only a copy of something else.  Records are FREE or LIVE here, and
 * what they refer to is LIVE.
 */


static void ngx_sio_repair_cache_sessions(ngx_sio_zone_t *z);
static void ngx_sio_repair_cache_branches(ngx_sio_zone_t *z);
static void ngx_sio_repair_cache_names(ngx_sio_names_t *names);
static void ngx_sio_repair_cache_chunks(ngx_sio_zone_t *z);
static void ngx_sio_repair_cache_tails(ngx_sio_zone_t *z);


void
ngx_sio_repair_caches(ngx_sio_zone_t *z)
{
    ngx_sio_names_t  names;

    ngx_sio_repair_cache_sessions(z);
    ngx_sio_repair_cache_branches(z);

    names = ngx_sio_name_rooms(z);
    ngx_sio_repair_cache_names(&names);

    names = ngx_sio_name_users(z);
    ngx_sio_repair_cache_names(&names);

    ngx_sio_repair_cache_chunks(z);
    ngx_sio_repair_cache_tails(z);
    ngx_sio_repair_cache_farewells(z);
    ngx_sio_repair_limits(z);
}


/* The lists are built from the top, so that low records are used first. */

static void
ngx_sio_repair_cache_sessions(ngx_sio_zone_t *z)
{
    uint32_t               i, *bucket;
    ngx_sio_zone_sh_t     *sh;
    ngx_sio_session_sh_t  *ss;

    sh = z->sh;

    ngx_memzero(z->eio_table, ngx_sio_table_size(sh->top_session));
    ngx_memzero(z->sid_table, ngx_sio_table_size(sh->top_session));

    sh->free_session = 0;
    sh->live_sessions = 0;
    sh->live_polling = 0;
    sh->live_parked = 0;

    ngx_sio_step();

    for (i = sh->top_session; i; i--) {

        ss = &z->sessions[i];

        if (ss->state == NGX_SIO_FREE) {
            ss->next_eio = sh->free_session;
            sh->free_session = i;
            continue;
        }

        if (ss->eio_sid[0]) {
            bucket = ngx_sio_session_eio_bucket(z, ss->eio_sid);
            ss->next_eio = *bucket;
            *bucket = i;
            ss->kin = 0;
        }

        if (ss->sid[0]) {
            bucket = ngx_sio_session_sid_bucket(z, ss->sid);
            ss->next_sid = *bucket;
            *bucket = i;
        }

        sh->live_sessions++;
        sh->live_polling += (ss->transport == SIO_EIO_POLLING);
        sh->live_parked += ((ss->flags & NGX_SIO_PARKED) != 0);

        ngx_sio_step();
    }
}


/* The lists of branches, which have been emptied before. */

static void
ngx_sio_repair_cache_branches(ngx_sio_zone_t *z)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss, *ts;

    z->sh->live_branches = 0;

    for (i = z->sh->top_session; i; i--) {

        ss = &z->sessions[i];

        if (ss->state == NGX_SIO_FREE || ss->eio_sid[0] || ss->kin == 0) {
            continue;
        }

        ts = &z->sessions[ss->kin];

        if (!(ts->flags & NGX_SIO_BRANCHED)) {
            ts->flags |= NGX_SIO_BRANCHED;
        }

        ss->next_eio = ts->kin;
        ts->kin = i;

        z->sh->live_branches++;

        ngx_sio_step();
    }
}


static void
ngx_sio_repair_cache_names(ngx_sio_names_t *names)
{
    uint32_t            i, *bucket;
    ngx_sio_name_sh_t  *n;

    ngx_memzero(names->table, ngx_sio_table_size(*names->top));

    *names->free = 0;
    *names->live = 0;

    ngx_sio_step();

    for (i = *names->top; i; i--) {

        n = &names->records[i];

        if (n->state == NGX_SIO_FREE) {
            n->next = *names->free;
            *names->free = i;
            continue;
        }

        bucket = ngx_sio_name_bucket(names, n->hash, n->nsp);
        n->next = *bucket;
        *bucket = i;

        (*names->live)++;

        ngx_sio_step();
    }
}


static void
ngx_sio_repair_cache_chunks(ngx_sio_zone_t *z)
{
    uint32_t             i;
    ngx_sio_zone_sh_t   *sh;
    ngx_sio_chunk_sh_t  *c;

    sh = z->sh;

    sh->free_chunk = 0;
    sh->live_chunks = 0;

    for (i = sh->top_chunk; i; i--) {

        c = &z->chunks[i];

        if (c->mark == NGX_SIO_REPAIR_OWNED) {
            sh->live_chunks++;
            continue;
        }

        c->state = NGX_SIO_FREE;

        ngx_sio_step();

        c->next = sh->free_chunk;
        sh->free_chunk = i;
    }

    ngx_sio_step();
}


static void
ngx_sio_repair_cache_tails(ngx_sio_zone_t *z)
{
    uint32_t            i;
    ngx_sio_zone_sh_t  *sh;
    ngx_sio_tail_sh_t  *t;

    sh = z->sh;

    sh->free_tail = 0;
    sh->live_tails = 0;

    for (i = sh->top_tail; i; i--) {

        t = &z->tails[i];

        if (t->mark == NGX_SIO_REPAIR_OWNED) {
            sh->live_tails++;
            continue;
        }

        t->state = NGX_SIO_FREE;

        ngx_sio_step();

        t->next = sh->free_tail;
        sh->free_tail = i;
    }

    ngx_sio_step();
}
