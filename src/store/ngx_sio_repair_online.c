
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_repair.h"
#include "ngx_sio_online.h"


/*
 * Presence.  The truth about sockets are the sessions, about all else the
 * flags; the time of a user who went as somebody died begins anew.
 */


static uint32_t ngx_sio_repair_online_user(ngx_sio_zone_t *z, uint32_t i);
static void ngx_sio_repair_online_clear(ngx_sio_online_sh_t *o);


void
ngx_sio_repair_online_reset(ngx_sio_zone_t *z)
{
    uint32_t  i;

    for (i = 1; i <= z->sh->top_user; i++) {
        z->online[i].sockets = 0;
    }

    ngx_sio_step();
}


void
ngx_sio_repair_online_session(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss)
{
    uint16_t  flags;

    flags = ss->flags & ~NGX_SIO_PRESENT;

    if (ngx_sio_online_counts(ss)) {
        flags |= NGX_SIO_PRESENT;
        z->online[ss->user].sockets++;
    }

    if (flags != ss->flags) {
        ss->flags = flags;

        ngx_sio_step();
    }
}


void
ngx_sio_repair_online_refs(ngx_sio_zone_t *z)
{
    uint32_t                i, flags;
    ngx_sio_presence_sh_t  *pr;

    pr = &z->sh->presence;

    pr->held = 0;
    pr->local = 0;
    pr->announced = 0;

    ngx_sio_step();

    for (i = 1; i <= z->sh->top_user; i++) {

        flags = ngx_sio_repair_online_user(z, i);

        z->users[i].refs += (flags != 0);

        pr->held += (flags != 0);
        pr->local += ((flags & NGX_SIO_ONLINE_LOCAL) != 0);
        pr->announced += ((flags & NGX_SIO_ONLINE_ANNOUNCED) != 0);
    }

    ngx_sio_step();

    ngx_sio_store(&pr->changes, pr->changes + 1);
}


/* Returns the flags. */

static uint32_t
ngx_sio_repair_online_user(ngx_sio_zone_t *z, uint32_t i)
{
    uint32_t              flags;
    uint64_t              gone;
    ngx_sio_online_sh_t  *o;

    o = &z->online[i];

    if (z->users[i].state != NGX_SIO_LIVE) {
        ngx_sio_repair_online_clear(o);
        return 0;
    }

    flags = o->flags & NGX_SIO_ONLINE_ALL;

    if (o->sockets && z->sh->presence.on) {
        flags |= NGX_SIO_ONLINE_LOCAL;
    }

    gone = o->gone;

    if (o->sockets || !(flags & NGX_SIO_ONLINE_LOCAL)) {
        gone = 0;

    } else if (gone == 0) {
        gone = ngx_sio_zone_now();
    }

    if (o->gone != gone) {
        o->gone = gone;

        ngx_sio_step();
    }

    if (o->flags != flags) {
        o->flags = flags;

        ngx_sio_step();
    }

    return flags;
}


static void
ngx_sio_repair_online_clear(ngx_sio_online_sh_t *o)
{
    if (o->flags || o->sockets || o->gone) {
        o->flags = 0;
        o->sockets = 0;
        o->gone = 0;

        ngx_sio_step();
    }
}


void
ngx_sio_repair_online_empty(ngx_sio_zone_t *z)
{
    uint32_t                i;
    ngx_sio_presence_sh_t  *pr;

    pr = &z->sh->presence;

    for (i = 1; i <= z->sh->top_user; i++) {
        ngx_sio_repair_online_clear(&z->online[i]);
    }

    pr->held = 0;
    pr->local = 0;
    pr->announced = 0;

    ngx_sio_store(&pr->changes, pr->changes + 1);

    ngx_sio_step();
}
