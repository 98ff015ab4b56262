
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_repair.h"
#include "ngx_sio_farewell.h"
#include "ngx_sio_session.h"


/*
 * Farewells.  The list is the truth, in one direction; the rest of it, and what
 * sessions say of it, is built anew.
 */


static void ngx_sio_repair_farewell_of(ngx_sio_zone_t *z, const u_char *sid);


ngx_int_t
ngx_sio_repair_farewells(ngx_sio_zone_t *z)
{
    uint32_t                i;
    ngx_sio_chunk_sh_t     *c;
    ngx_sio_farewell_sh_t  *fw;

    for (i = z->sh->farewells.first; i; i = c->next) {

        c = ngx_sio_repair_claim(z, i);

        if (c == NULL) {
            return NGX_DECLINED;
        }

        fw = &c->u.farewell;

        if (fw->stream == 0 || fw->stream >= z->sh->farewells.nstreams
            || fw->slot > NGX_SIO_WORKERS || fw->nsp >= z->sh->nnsps
            || fw->user > z->sh->top_user
            || (fw->user && z->users[fw->user].state != NGX_SIO_LIVE))
        {
            return NGX_DECLINED;
        }

        z->users[fw->user].refs += (fw->user != 0);
    }

    return NGX_OK;
}


void
ngx_sio_repair_cache_farewells(ngx_sio_zone_t *z)
{
    uint32_t                 i;
    ngx_sio_farewells_sh_t  *fs;

    fs = &z->sh->farewells;

    for (i = 1; i <= z->sh->top_session; i++) {
        if (ngx_sio_farewell_is_left(&z->sessions[i])) {
            z->sessions[i].farewell = 0;
        }
    }

    fs->last = 0;
    fs->waiting = 0;

    ngx_sio_step();

    for (i = fs->first; i; i = z->chunks[i].next) {

        z->chunks[i].prev = fs->last;
        fs->last = i;
        fs->waiting++;

        ngx_sio_step();

        ngx_sio_repair_farewell_of(z, z->chunks[i].u.farewell.sid);
    }
}


/* The session's word was taken already, by who died before he said so. */

static void
ngx_sio_repair_farewell_of(ngx_sio_zone_t *z, const u_char *sid)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    for (i = *ngx_sio_session_sid_bucket(z, sid); i; i = ss->next_sid) {

        ss = &z->sessions[i];

        if (ngx_memcmp(ss->sid, sid, NGX_SIO_SID_LEN) == 0) {

            ss->farewell = NGX_SIO_FAREWELL_LEFT;

            ngx_sio_step();

            return;
        }
    }
}
