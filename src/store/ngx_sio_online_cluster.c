
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_online.h"
#include "ngx_sio_name.h"


/* What Redis is told of this node, and says of the cluster. */


static ngx_int_t ngx_sio_online_lock(ngx_sio_zone_t *z, uint64_t fence);
static ngx_uint_t ngx_sio_online_is_reported(ngx_sio_zone_t *z, uint32_t user);
static uint32_t ngx_sio_online_user(ngx_sio_zone_t *z, const ngx_str_t *user,
    ngx_uint_t online);
static void ngx_sio_online_changed(ngx_sio_zone_t *z);


/* NGX_OK: the zone is locked. */

static ngx_int_t
ngx_sio_online_lock(ngx_sio_zone_t *z, uint64_t fence)
{
    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    if (!ngx_sio_online_acts(z, fence)) {
        ngx_sio_zone_unlock(z);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_online_unreported(ngx_sio_zone_t *z, uint64_t fence,
    ngx_sio_online_look_t *look, ngx_sio_online_report_pt each, void *data,
    ngx_uint_t max)
{
    u_char                name[SIO_ROOM_LEN];
    uint32_t              i;
    uint64_t              changes;
    ngx_int_t             rc;
    ngx_str_t             user;
    ngx_uint_t            n;
    ngx_sio_online_ref_t  ref;

    changes = ngx_sio_load(&z->sh->presence.changes);

    if (look->looked && look->changes == changes) {
        return NGX_OK;
    }

    rc = ngx_sio_online_lock(z, fence);

    if (rc != NGX_OK) {
        return rc;
    }

    n = 0;
    user.data = name;

    for (i = 1; i <= z->sh->top_user && n < max; i++) {

        if (ngx_sio_online_is_reported(z, i)) {
            continue;
        }

        user.len = ngx_sio_name_text(z, &z->users[i], name);

        ref.index = i;
        ref.online = (z->online[i].flags & NGX_SIO_ONLINE_LOCAL) != 0;
        ref.hash = z->users[i].hash;

        each(data, &ref, &user);
        n++;
    }

    /* those that were given are met again until they are reported */

    look->looked = (n == 0);
    look->changes = changes;

    rc = (i <= z->sh->top_user) ? NGX_AGAIN : NGX_OK;

    ngx_sio_zone_unlock(z);

    return rc;
}


static ngx_uint_t
ngx_sio_online_is_reported(ngx_sio_zone_t *z, uint32_t user)
{
    uint32_t  flags;

    flags = z->online[user].flags;

    return z->users[user].state != NGX_SIO_LIVE
           || !(flags & NGX_SIO_ONLINE_LOCAL)
              == !(flags & NGX_SIO_ONLINE_REPORTED);
}


ngx_int_t
ngx_sio_online_reported(ngx_sio_zone_t *z, uint64_t fence,
    const ngx_sio_online_ref_t *refs, ngx_uint_t n)
{
    uint32_t    u, flags;
    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = ngx_sio_online_lock(z, fence);

    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        u = refs[i].index;

        if (u == 0 || u > z->sh->top_user
            || z->users[u].state != NGX_SIO_LIVE
            || z->users[u].hash != refs[i].hash)
        {
            continue;
        }

        flags = z->online[u].flags & ~NGX_SIO_ONLINE_REPORTED;

        if (refs[i].online) {
            /* and nobody else takes such a user out of the list */
            flags |= NGX_SIO_ONLINE_REPORTED|NGX_SIO_ONLINE_CLUSTER;
        }

        ngx_sio_online_set_locked(z, u, flags);
    }

    ngx_sio_online_changed(z);

    ngx_sio_zone_unlock(z);

    return NGX_OK;
}


ngx_int_t
ngx_sio_online_forget(ngx_sio_zone_t *z, uint64_t fence)
{
    uint32_t   i;
    ngx_int_t  rc;

    rc = ngx_sio_online_lock(z, fence);

    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 1; i <= z->sh->top_user; i++) {
        ngx_sio_online_set_locked(z, i, z->online[i].flags
                                        & ~NGX_SIO_ONLINE_REPORTED);
    }

    ngx_sio_online_changed(z);

    ngx_sio_zone_unlock(z);

    return NGX_OK;
}


ngx_int_t
ngx_sio_online_own(ngx_sio_zone_t *z, uint64_t fence, const ngx_str_t *users,
    ngx_uint_t n, ngx_sio_online_stray_pt stray, void *data)
{
    uint32_t    u;
    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = ngx_sio_online_lock(z, fence);

    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        u = ngx_sio_online_user(z, &users[i], 0);

        if (u == 0) {
            stray(data, &users[i]);
            continue;
        }

        ngx_sio_online_set_locked(z, u, z->online[u].flags
                                        | NGX_SIO_ONLINE_REPORTED);
    }

    ngx_sio_online_changed(z);

    ngx_sio_zone_unlock(z);

    return NGX_OK;
}


ngx_int_t
ngx_sio_online_cluster(ngx_sio_zone_t *z, uint64_t fence,
    const ngx_str_t *users, const u_char *online, ngx_uint_t n,
    ngx_uint_t *unlisted, u_char *met)
{
    uint32_t    u, flags;
    ngx_int_t   rc;
    ngx_uint_t  i, on;

    rc = ngx_sio_online_lock(z, fence);

    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        on = online ? online[i] : 1;
        u = ngx_sio_online_user(z, &users[i], on);

        if (u == 0) {
            *unlisted += on;
            continue;
        }

        flags = z->online[u].flags & ~NGX_SIO_ONLINE_CLUSTER;

        if (on) {
            flags |= NGX_SIO_ONLINE_CLUSTER;

            if (met) {
                met[u / 8] |= (u_char) (1 << u % 8);
            }
        }

        ngx_sio_online_set_locked(z, u, flags);
    }

    ngx_sio_online_changed(z);

    ngx_sio_zone_unlock(z);

    return NGX_OK;
}


/* A new name gets its reference from the flag that the caller sets. */

static uint32_t
ngx_sio_online_user(ngx_sio_zone_t *z, const ngx_str_t *user,
    ngx_uint_t online)
{
    uint32_t         u;
    uint64_t         hash;
    ngx_sio_names_t  users;

    users = ngx_sio_name_users(z);
    hash = sio_hash(z->sh->seed, user->data, user->len);

    u = ngx_sio_name_find_locked(z, &users, hash, 0, user->data, user->len);

    if (u || !online || !ngx_sio_online_room(z)) {
        return u;
    }

    return ngx_sio_name_get_locked(z, &users, hash, 0, user->data, user->len);
}


ngx_uint_t
ngx_sio_online_room(ngx_sio_zone_t *z)
{
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;

    return sh->nusers - sh->live_users > sh->nusers / 4
           && sh->ntails - sh->live_tails > sh->ntails / 4;
}


ngx_int_t
ngx_sio_online_others(ngx_sio_zone_t *z, uint64_t fence, const u_char *met)
{
    uint32_t   i, flags;
    ngx_int_t  rc;

    rc = ngx_sio_online_lock(z, fence);

    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 1; i <= z->sh->top_user; i++) {

        flags = z->online[i].flags;

        if ((flags & NGX_SIO_ONLINE_CLUSTER)
            && !(met[i / 8] & (1 << i % 8)))
        {
            ngx_sio_online_set_locked(z, i, flags & ~NGX_SIO_ONLINE_CLUSTER);
        }
    }

    ngx_sio_online_changed(z);

    ngx_sio_zone_unlock(z);

    return NGX_OK;
}


static void
ngx_sio_online_changed(ngx_sio_zone_t *z)
{
    ngx_sio_store(&z->sh->presence.changes, z->sh->presence.changes + 1);
}
