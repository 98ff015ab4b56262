
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_repair.h"
#include "ngx_sio_limit.h"
#include "ngx_sio_session.h"
#include "ngx_sio_table.h"


/*
 * Limits.  The keys that transports name are the truth; one that nobody names
 * is free.  A user's list comes out in another order, which is why nobody
 * relies on that.
 */


/* What the check has met. */

typedef struct {
    ngx_sio_zone_t     *z;
    uint32_t            top;
    uint32_t           *count;            /* of a key, as sessions say */
    uint32_t           *listed;           /*   and how often it is free */
    ngx_uint_t          errors;
    char               *text;
    size_t              size;
} ngx_sio_repair_limit_t;


static void ngx_sio_repair_limit_session(ngx_sio_zone_t *z, uint32_t i);
static uint32_t ngx_sio_repair_limit_key(ngx_sio_zone_t *z, uint32_t k);
static void ngx_sio_repair_limit_error(ngx_sio_repair_limit_t *ck,
    const char *text, uint32_t i);
static void ngx_sio_repair_limit_sessions(ngx_sio_repair_limit_t *ck);
static void ngx_sio_repair_limit_keys(ngx_sio_repair_limit_t *ck);
static uint32_t ngx_sio_repair_limit_list(ngx_sio_repair_limit_t *ck,
    uint32_t k);
static void ngx_sio_repair_limit_free(ngx_sio_repair_limit_t *ck);


/* Sessions are FREE or LIVE here, and lists of branches are right. */

void
ngx_sio_repair_limits(ngx_sio_zone_t *z)
{
    uint32_t            i, k, *bucket;
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;

    sh->top_key = ngx_min(sh->top_key, sh->nkeys);
    sh->free_key = 0;

    ngx_memzero(z->key_table, ngx_sio_table_size(sh->top_key));

    for (k = 1; k <= sh->top_key; k++) {
        z->keys[k].count = 0;
        z->keys[k].first = 0;
    }

    ngx_sio_step();

    for (i = 1; i <= sh->top_session; i++) {
        ngx_sio_repair_limit_session(z, i);
    }

    ngx_sio_step();

    for (k = sh->top_key; k; k--) {

        if (z->keys[k].count == 0) {
            z->keys[k].key = 0;
            z->keys[k].next = sh->free_key;
            sh->free_key = k;
            continue;
        }

        bucket = ngx_sio_limit_bucket(z, z->keys[k].key);
        z->keys[k].next = *bucket;
        *bucket = k;
    }

    ngx_sio_step();
}


/* An interrupted end of a socket may have left its transport with the user. */

static void
ngx_sio_repair_limit_session(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_limit_sh_t  *lm;

    lm = &z->limits[i];

    if (z->sessions[i].state != NGX_SIO_LIVE
        || z->sessions[i].eio_sid[0] == 0)
    {
        lm->address = 0;
        lm->user = 0;
        return;
    }

    lm->address = ngx_sio_repair_limit_key(z, lm->address);
    lm->user = ngx_sio_limit_has_socket(z, i)
               ? ngx_sio_repair_limit_key(z, lm->user) : 0;

    if (lm->address) {
        z->keys[lm->address].count++;
    }

    if (lm->user) {
        ngx_sio_limit_link(z, i);
    }
}


/* The key, if it is one. */

static uint32_t
ngx_sio_repair_limit_key(ngx_sio_zone_t *z, uint32_t k)
{
    return (k <= z->sh->top_key && z->keys[k].key) ? k : 0;
}


ngx_uint_t
ngx_sio_repair_check_limits(ngx_sio_zone_t *z, char *text, size_t size)
{
    ngx_sio_repair_limit_t  ck;

    ngx_memzero(&ck, sizeof(ngx_sio_repair_limit_t));

    ck.z = z;
    ck.top = z->sh->top_key;
    ck.text = text;
    ck.size = size;

    if (ck.top > z->sh->nkeys) {
        ngx_sio_repair_limit_error(&ck, "top of keys is behind the end", 0);
        return ck.errors;
    }

    ck.count = calloc((size_t) ck.top + 1, sizeof(uint32_t));
    ck.listed = calloc((size_t) ck.top + 1, sizeof(uint32_t));

    if (ck.count && ck.listed) {
        ngx_sio_repair_limit_sessions(&ck);
        ngx_sio_repair_limit_keys(&ck);
        ngx_sio_repair_limit_free(&ck);

    } else {
        ngx_sio_repair_limit_error(&ck, "no memory for the check", 0);
    }

    free(ck.count);
    free(ck.listed);

    return ck.errors;
}


static void
ngx_sio_repair_limit_error(ngx_sio_repair_limit_t *ck, const char *text,
    uint32_t i)
{
    if (ck->errors++ == 0) {
        (void) snprintf(ck->text, ck->size, "%s: %u", text, (unsigned) i);
    }
}


static void
ngx_sio_repair_limit_sessions(ngx_sio_repair_limit_t *ck)
{
    uint32_t               i;
    ngx_sio_limit_sh_t    *lm;
    ngx_sio_session_sh_t  *ss;

    for (i = 1; i <= ck->z->sh->top_session; i++) {

        ss = &ck->z->sessions[i];
        lm = &ck->z->limits[i];

        if (ss->state != NGX_SIO_LIVE || ss->eio_sid[0] == 0) {
            if (lm->address || lm->user) {
                ngx_sio_repair_limit_error(ck, "no transport, but it counts",
                                           i);
            }

        } else if (lm->address > ck->top || lm->user > ck->top) {
            ngx_sio_repair_limit_error(ck, "session counts for no key", i);

        } else {
            ck->count[lm->address]++;
            ck->count[lm->user]++;
        }
    }
}


static void
ngx_sio_repair_limit_keys(ngx_sio_repair_limit_t *ck)
{
    uint32_t           k;
    ngx_sio_key_sh_t  *key;

    for (k = 1; k <= ck->top; k++) {

        key = &ck->z->keys[k];

        if (key->key == 0) {
            if (ck->count[k]) {
                ngx_sio_repair_limit_error(ck, "key of sessions is free", k);
            }

            continue;
        }

        if (key->count != ck->count[k] || key->count == 0) {
            ngx_sio_repair_limit_error(ck, "key miscounts its sessions", k);
        }

        if (ngx_sio_limit_find(ck->z, key->key) != k) {
            ngx_sio_repair_limit_error(ck, "key is not found", k);
        }

        if (key->first && ngx_sio_repair_limit_list(ck, k) != key->count) {
            ngx_sio_repair_limit_error(ck, "user misses transports", k);
        }
    }
}


/* Returns how many there are, at most one more than there should be. */

static uint32_t
ngx_sio_repair_limit_list(ngx_sio_repair_limit_t *ck, uint32_t k)
{
    uint32_t             i, n, newer;
    ngx_sio_limit_sh_t  *lm;

    newer = 0;
    n = 0;

    for (i = ck->z->keys[k].first; i && n <= ck->count[k]; i = lm->older) {

        if (i > ck->z->sh->top_session) {
            ngx_sio_repair_limit_error(ck, "transport of a user is none", i);
            break;
        }

        lm = &ck->z->limits[i];

        if (lm->user != k || lm->newer != newer) {
            ngx_sio_repair_limit_error(ck, "bad list of transports", i);
        }

        newer = i;
        n++;
    }

    return n;
}


static void
ngx_sio_repair_limit_free(ngx_sio_repair_limit_t *ck)
{
    uint32_t  k;

    for (k = ck->z->sh->free_key; k; k = ck->z->keys[k].next) {

        if (k > ck->top || ck->z->keys[k].key || ck->listed[k]++) {
            ngx_sio_repair_limit_error(ck, "bad list of free keys", k);
            break;
        }
    }

    for (k = 1; k <= ck->top; k++) {

        if (ck->z->keys[k].key == 0 && ck->listed[k] == 0) {
            ngx_sio_repair_limit_error(ck, "free key is not listed", k);
        }
    }
}
