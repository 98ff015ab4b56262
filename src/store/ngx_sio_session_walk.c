
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_session.h"


/* Memberships by reference and in a row; none of this changes anything. */


ngx_sio_member_sh_t *
ngx_sio_session_member(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint32_t member)
{
    uint32_t  c, n;

    c = member / NGX_SIO_REF;
    n = member % NGX_SIO_REF;

    if (c == 0) {
        return (n < NGX_SIO_INLINE) ? &ss->member[n] : NULL;
    }

    if (c > z->sh->nchunks || n >= NGX_SIO_CHUNK) {
        return NULL;
    }

    return &z->chunks[c].u.member[n];
}


ngx_sio_member_sh_t *
ngx_sio_session_walk(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint32_t *ref)
{
    ngx_sio_member_sh_t  *m;

    do {
        m = ngx_sio_session_walk_all(z, ss, ref);

    } while (m && (m->room & NGX_SIO_LEFT));

    return m;
}


ngx_sio_member_sh_t *
ngx_sio_session_walk_all(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint32_t *ref)
{
    uint32_t              c, n;
    ngx_sio_member_sh_t  *m;

    c = *ref / NGX_SIO_REF;
    n = *ref % NGX_SIO_REF + 1;

    if (*ref == NGX_SIO_NO_MEMBER) {
        c = 0;
        n = 0;
    }

    if (c == 0) {
        for ( /* void */ ; n < NGX_SIO_INLINE; n++) {
            if (ss->member[n].room) {
                *ref = n;
                return &ss->member[n];
            }
        }

        c = ss->chunk;
        n = 0;
    }

    while (c && c <= z->sh->nchunks) {

        for ( /* void */ ; n < NGX_SIO_CHUNK; n++) {
            m = &z->chunks[c].u.member[n];

            if (m->room) {
                *ref = c * NGX_SIO_REF + n;
                return m;
            }
        }

        c = z->chunks[c].next;
        n = 0;
    }

    return NULL;
}


uint32_t
ngx_sio_session_room(ngx_sio_zone_t *z, const ngx_sio_member_sh_t *m)
{
    uint32_t  room;

    room = ngx_sio_load(&m->room);

    return (room <= z->sh->nrooms) ? room : 0;
}


ngx_uint_t
ngx_sio_member_covers(const ngx_sio_member_sh_t *m, uint64_t off)
{
    if (m->room == 0 || off < ngx_sio_member_since(m)) {
        return 0;
    }

    return !(m->room & NGX_SIO_LEFT) || off < ngx_sio_member_end(m);
}
