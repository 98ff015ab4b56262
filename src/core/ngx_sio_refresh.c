
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_refresh.h"
#include "ngx_sio_auth.h"
#include "ngx_sio_command.h"
#include "ngx_sio_dispatch.h"
#include "ngx_sio_room_list.h"
#include "ngx_sio_room_sets.h"

#include <ngx_sio_name.h>


/* The room sets of one user, as they are read, and who waits for them. */

typedef struct {
    ngx_str_node_t            sn;          /* by offset and keys; first */
    ngx_sio_gateway_t        *gateway;
    ngx_pool_t               *pool;        /* of all of this */
    ngx_queue_t               waiters;     /* ngx_sio_refresh_t */
    ngx_sio_room_sets_t      *sets;
    ngx_sio_room_list_t       list;        /* of what is in them */
    u_char                   *met;         /* for each room of the list: the
                                              client at hand is in it already */
} ngx_sio_refresh_job_t;


/* A client whose room sets are to be read; on the heap. */

struct ngx_sio_refresh_s {
    ngx_queue_t               link;        /* job->waiters, or refreshes->due */
    ngx_sio_client_t         *client;
    ngx_sio_refresh_job_t    *job;         /* reads them; NULL: nobody yet */
    sio_buf_t                 touched;     /* uint64_t: hashes of the rooms that
                                              commands have named since the
                                              REFRESH */
    ngx_uint_t                once_more;   /* there was another REFRESH */
    size_t                    before;      /*   with so many bytes of touched
                                                before it */
};


struct ngx_sio_refreshes_s {
    ngx_rbtree_t              jobs;
    ngx_rbtree_node_t         sentinel;
    ngx_queue_t               due;         /* ngx_sio_refresh_t that wait for
                                              Redis, or for memory */
};


static void ngx_sio_refresh_addressed(ngx_sio_gateway_t *gw,
    ngx_sio_client_t *sc, void *data);
static void ngx_sio_refresh_due(ngx_sio_client_t *sc, uint64_t at);
static void ngx_sio_refresh_start(ngx_sio_refresh_t *rf, uint64_t at);
static void ngx_sio_refresh_requeue(ngx_sio_refresh_t *rf);
static ngx_uint_t ngx_sio_refresh_is_alive(ngx_sio_refresh_t *rf);
static ngx_int_t ngx_sio_refresh_keys(ngx_sio_client_t *sc, uint64_t at,
    ngx_array_t *keys, ngx_str_t *id, ngx_pool_t *pool);
static ngx_sio_refresh_job_t *ngx_sio_refresh_job(ngx_sio_gateway_t *gw,
    ngx_pool_t *pool, ngx_array_t *keys, ngx_str_t *id);
static void ngx_sio_refresh_done(void *data, ngx_int_t rc);
static ngx_int_t ngx_sio_refresh_list(ngx_sio_refresh_job_t *job);
static ngx_int_t ngx_sio_refresh_client(ngx_sio_refresh_job_t *job,
    ngx_sio_refresh_t *rf);
static ngx_int_t ngx_sio_refresh_leave(ngx_sio_refresh_job_t *job,
    ngx_sio_refresh_t *rf);
static ngx_int_t ngx_sio_refresh_join(ngx_sio_refresh_job_t *job,
    ngx_sio_refresh_t *rf);
static ngx_uint_t ngx_sio_refresh_meet(ngx_sio_refresh_job_t *job,
    ngx_sio_name_sh_t *name);
static ngx_uint_t ngx_sio_refresh_touched(ngx_sio_refresh_t *rf,
    uint64_t hash);
static void ngx_sio_refresh_over(ngx_sio_refresh_t *rf);
static void ngx_sio_refresh_free(ngx_sio_refresh_t *rf);
static void ngx_sio_refresh_end(ngx_sio_refresh_job_t *job);


ngx_sio_refreshes_t *
ngx_sio_refresh_create(ngx_sio_gateway_t *gw)
{
    ngx_sio_refreshes_t  *rs;

    rs = ngx_calloc(sizeof(ngx_sio_refreshes_t), gw->log);
    if (rs == NULL) {
        return NULL;
    }

    ngx_rbtree_init(&rs->jobs, &rs->sentinel, ngx_str_rbtree_insert_value);
    ngx_queue_init(&rs->due);

    return rs;
}


ngx_uint_t
ngx_sio_refresh_possible(ngx_sio_loc_conf_t *slcf)
{
    ngx_uint_t               i, k;
    ngx_sio_piece_t         *piece;
    ngx_sio_rooms_source_t  *source;

    source = slcf->rooms ? slcf->rooms->elts : NULL;

    for (i = 0; source && i < slcf->rooms->nelts; i++) {

        if (source[i].redis == NULL) {
            continue;
        }

        piece = source[i].redis->pieces.elts;

        for (k = 0; k < source[i].redis->pieces.nelts; k++) {
            if (piece[k].type == NGX_SIO_PIECE_CLAIM) {
                return 0;
            }
        }
    }

    return 1;
}


void
ngx_sio_refresh_run(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    ngx_sio_dispatch_addressed(gw, rec, ngx_sio_refresh_addressed,
                               (void *) rec);
}


static void
ngx_sio_refresh_addressed(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    void *data)
{
    const sio_record_t *rec = data;

    if (ngx_sio_session_refresh(gw->zone, sc->session, sc->owner, 1)
        != NGX_OK)
    {
        /* it goes on elsewhere, and comes by the record there */
        sc->broken = 1;
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    ngx_sio_refresh_due(sc, rec->offset + rec->size);
}


void
ngx_sio_refresh_entered(ngx_sio_client_t *sc)
{
    if (ngx_sio_client_session(sc)->flags & NGX_SIO_REFRESH) {
        ngx_sio_refresh_due(sc, sc->gateway->cursor);
    }
}


void
ngx_sio_refresh_again(ngx_sio_gateway_t *gw)
{
    ngx_queue_t         due, *q;
    ngx_sio_refresh_t  *rf;

    if (ngx_queue_empty(&gw->refreshes->due)
        || gw->redis == NULL || !ngx_sio_redis_ready(gw->redis))
    {
        return;
    }

    /* who cannot be helped now either is put back */

    ngx_queue_init(&due);
    ngx_queue_add(&due, &gw->refreshes->due);
    ngx_queue_init(&gw->refreshes->due);

    while (!ngx_queue_empty(&due)) {
        q = ngx_queue_head(&due);
        rf = ngx_queue_data(q, ngx_sio_refresh_t, link);

        ngx_sio_refresh_requeue(rf);
        ngx_sio_refresh_start(rf, gw->cursor);
    }
}


ngx_uint_t
ngx_sio_refresh_is_reading(ngx_sio_client_t *sc)
{
    return sc->refresh && sc->refresh->job;
}


/* The sets as of an offset, or later. */

static void
ngx_sio_refresh_due(ngx_sio_client_t *sc, uint64_t at)
{
    ngx_sio_refresh_t  *rf;

    rf = sc->refresh;

    if (rf && rf->job) {
        /* what is being read may be older */
        rf->once_more = 1;
        rf->before = rf->touched.len;
        return;
    }

    if (rf) {
        rf->touched.len = 0;

    } else {
        rf = ngx_calloc(sizeof(ngx_sio_refresh_t), sc->gateway->log);

        if (rf == NULL) {
            /* better to come again than to miss a room */
            sc->broken = 1;
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }

        rf->client = sc;
        sc->refresh = rf;

        ngx_queue_insert_tail(&sc->gateway->refreshes->due, &rf->link);
    }

    ngx_sio_refresh_start(rf, at);
}


/* Frees it if there is nothing to read, and leaves it if that cannot be now. */

static void
ngx_sio_refresh_start(ngx_sio_refresh_t *rf, uint64_t at)
{
    ngx_str_t               id;
    ngx_pool_t             *pool;
    ngx_array_t             keys;
    ngx_sio_client_t       *sc;
    ngx_sio_gateway_t      *gw;
    ngx_sio_refresh_job_t  *job;

    sc = rf->client;
    gw = sc->gateway;

    if (!ngx_sio_refresh_is_alive(rf)) {
        ngx_sio_refresh_free(rf);
        return;
    }

    pool = ngx_create_pool(1024, gw->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_sio_refresh_keys(sc, at, &keys, &id, pool) != NGX_OK) {
        ngx_destroy_pool(pool);
        return;
    }

    if (keys.nelts == 0 || gw->redis == NULL) {
        ngx_destroy_pool(pool);
        ngx_sio_refresh_over(rf);
        return;
    }

    job = ngx_sio_refresh_job(gw, pool, &keys, &id);
    if (job == NULL) {
        return;
    }

    rf->job = job;

    ngx_queue_remove(&rf->link);
    ngx_queue_insert_tail(&job->waiters, &rf->link);
}


/* Without a job again; what has been named since the last REFRESH counts. */

static void
ngx_sio_refresh_requeue(ngx_sio_refresh_t *rf)
{
    ngx_sio_gateway_t  *gw;

    gw = rf->client->gateway;

    if (rf->once_more) {
        rf->touched.len -= rf->before;

        if (rf->touched.len) {
            ngx_memmove(rf->touched.data, rf->touched.data + rf->before,
                        rf->touched.len);
        }

        rf->once_more = 0;
    }

    rf->job = NULL;

    ngx_queue_remove(&rf->link);
    ngx_queue_insert_tail(&gw->refreshes->due, &rf->link);
}


/* False for a client that is closing, or whose session has gone elsewhere. */

static ngx_uint_t
ngx_sio_refresh_is_alive(ngx_sio_refresh_t *rf)
{
    ngx_sio_client_t  *sc;

    sc = rf->client;

    return sc->state != NGX_SIO_CLIENT_CLOSED
           && ngx_sio_session_mine(sc->gateway->zone, sc->session, sc->owner);
}


/*
 * The keys for a session, and a text for them and an offset: a read that began
 * where the log was there has seen all that was published before.
 */

static ngx_int_t
ngx_sio_refresh_keys(ngx_sio_client_t *sc, uint64_t at, ngx_array_t *keys,
    ngx_str_t *id, ngx_pool_t *pool)
{
    u_char                   user[SIO_ROOM_LEN], *p;
    size_t                   len;
    ngx_str_t               *key;
    ngx_uint_t               i;
    ngx_sio_zone_t          *z;
    ngx_sio_identity_t       identity;
    ngx_sio_session_sh_t    *ss;
    ngx_sio_rooms_source_t  *source;

    z = sc->gateway->zone;
    ss = ngx_sio_client_session(sc);

    ngx_memzero(&identity, sizeof(ngx_sio_identity_t));

    identity.user.data = user;

    if (ss->user) {
        identity.user.len = ngx_sio_name_text(z, &z->users[ss->user],
                                              user);
    }

    if (ngx_array_init(keys, pool, 2, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!ngx_sio_refresh_possible(sc->conf)) {
        return NGX_OK;
    }

    len = sizeof(uint64_t);
    source = sc->conf->rooms ? sc->conf->rooms->elts : NULL;

    for (i = 0; source && i < sc->conf->rooms->nelts; i++) {

        if (source[i].redis == NULL) {
            continue;
        }

        key = ngx_array_push(keys);

        if (key == NULL
            || ngx_sio_auth_expand(source[i].redis, &identity, key, pool)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        len += key->len + 1;
    }

    id->data = ngx_pnalloc(pool, len);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(id->data, &at, sizeof(uint64_t));
    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {
        p = ngx_cpymem(p, key[i].data, key[i].len);
        *p++ = '\n';
    }

    id->len = p - id->data;

    return NGX_OK;
}


/* The job with this id, which is begun if need be; takes the pool. */

static ngx_sio_refresh_job_t *
ngx_sio_refresh_job(ngx_sio_gateway_t *gw, ngx_pool_t *pool,
    ngx_array_t *keys, ngx_str_t *id)
{
    uint32_t                hash;
    ngx_sio_refresh_job_t  *job;

    hash = ngx_crc32_short(id->data, id->len);

    job = (ngx_sio_refresh_job_t *)
              ngx_str_rbtree_lookup(&gw->refreshes->jobs, id, hash);

    if (job) {
        ngx_destroy_pool(pool);
        return job;
    }

    job = ngx_pcalloc(pool, sizeof(ngx_sio_refresh_job_t));

    if (job) {
        job->sn.node.key = hash;
        job->sn.str = *id;
        job->gateway = gw;
        job->pool = pool;
        ngx_queue_init(&job->waiters);

        job->sets = ngx_sio_room_sets_read(gw, keys, ngx_sio_refresh_done,
                                           job);
    }

    if (job == NULL || job->sets == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    ngx_rbtree_insert(&gw->refreshes->jobs, &job->sn.node);

    return job;
}


static void
ngx_sio_refresh_done(void *data, ngx_int_t rc)
{
    ngx_sio_refresh_job_t *job = data;

    ngx_queue_t        *q;
    ngx_sio_gateway_t  *gw;
    ngx_sio_refresh_t  *rf;

    gw = job->gateway;

    if (rc == NGX_OK) {
        rc = ngx_sio_refresh_list(job);
    }

    while (!ngx_queue_empty(&job->waiters)) {
        q = ngx_queue_head(&job->waiters);
        rf = ngx_queue_data(q, ngx_sio_refresh_t, link);

        if (rc == NGX_ERROR) {
            /* until Redis is back, or there is memory */
            ngx_sio_refresh_requeue(rf);
            continue;
        }

        /* without a set, or with too large ones, its rooms stay as they are */

        if (rc == NGX_OK && ngx_sio_refresh_client(job, rf) != NGX_OK) {
            ngx_sio_refresh_free(rf);
            continue;
        }

        if (rf->once_more) {
            ngx_sio_refresh_requeue(rf);
            ngx_sio_refresh_start(rf, gw->cursor);
            continue;
        }

        ngx_sio_refresh_over(rf);
    }

    ngx_sio_refresh_end(job);

    /* polls that were held */

    if (!ngx_queue_empty(&gw->answers)) {
        ngx_post_event(&gw->answer, &ngx_posted_events);
    }
}


static ngx_int_t
ngx_sio_refresh_list(ngx_sio_refresh_job_t *job)
{
    ngx_array_t  names;

    if (ngx_array_init(&names, job->pool, 16, sizeof(ngx_str_t)) != NGX_OK
        || ngx_sio_room_sets_names(job->sets, &names) != NGX_OK
        || ngx_sio_room_list_init(&job->list, &names, 0,
                                  job->gateway->zone->sh->seed, job->pool)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    job->met = ngx_palloc(job->pool, job->list.rooms.nelts + 1);

    return job->met ? NGX_OK : NGX_ERROR;
}


/*
 * As of the cursor, which is the one that others see: no turn is under way.
 * NGX_OK, or NGX_ERROR if the client is closed, or somebody else's.
 */

static ngx_int_t
ngx_sio_refresh_client(ngx_sio_refresh_job_t *job, ngx_sio_refresh_t *rf)
{
    if (!ngx_sio_refresh_is_alive(rf)) {
        return NGX_ERROR;
    }

    ngx_memzero(job->met, job->list.rooms.nelts);

    if (ngx_sio_refresh_leave(job, rf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_sio_refresh_join(job, rf);
}


static ngx_int_t
ngx_sio_refresh_leave(ngx_sio_refresh_job_t *job, ngx_sio_refresh_t *rf)
{
    uint32_t               ref, last, i;
    ngx_uint_t             met;
    ngx_sio_zone_t        *z;
    ngx_sio_client_t      *sc;
    ngx_sio_name_sh_t     *name;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    z = job->gateway->zone;
    sc = rf->client;
    ss = ngx_sio_client_session(sc);
    last = NGX_SIO_NO_MEMBER;

    for ( ;; ) {
        ref = last;
        m = ngx_sio_session_walk(z, ss, &ref);

        if (m == NULL) {
            return NGX_OK;
        }

        i = ngx_sio_session_room(z, m);

        if (i == 0) {
            sc->broken = 1;
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return NGX_ERROR;
        }

        name = &z->rooms[i];
        met = ngx_sio_refresh_meet(job, name);

        if (met || !(m->since & NGX_SIO_SET)
            || ngx_sio_refresh_touched(rf, name->hash))
        {
            last = ref;
            continue;
        }

        /* the next one is looked for from the last that has stayed */

        if (ngx_sio_command_exit(sc, ref, job->gateway->cursor) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_sio_refresh_join(ngx_sio_refresh_job_t *job, ngx_sio_refresh_t *rf)
{
    ngx_uint_t       i;
    ngx_sio_room_t  *room;

    room = job->list.rooms.elts;

    for (i = 0; i < job->list.rooms.nelts; i++) {

        if (job->met[i] || ngx_sio_refresh_touched(rf, room[i].hash)) {
            continue;
        }

        if (ngx_sio_command_enter(rf->client, &room[i], job->gateway->cursor)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* True if a room of the client is in the list: it is noted that he is in it. */

static ngx_uint_t
ngx_sio_refresh_meet(ngx_sio_refresh_job_t *job, ngx_sio_name_sh_t *name)
{
    u_char           text[SIO_ROOM_LEN];
    size_t           len;
    ngx_sio_room_t  *room, *first;

    len = ngx_sio_name_text(job->gateway->zone, name, text);

    room = ngx_sio_room_list_find(&job->list, name->hash, text, len);

    if (room == NULL) {
        return 0;
    }

    first = job->list.rooms.elts;
    job->met[room - first] = 1;

    return 1;
}


void
ngx_sio_refresh_missed(ngx_sio_client_t *sc, const sio_buf_t *touched)
{
    if (sc->refresh
        && sio_buf_append(&sc->refresh->touched, touched->data, touched->len)
           != SIO_OK)
    {
        sc->broken = 1;
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }
}


void
ngx_sio_refresh_touch(ngx_sio_client_t *sc, const sio_record_t *rec)
{
    unsigned  i;

    for (i = rec->rooms + rec->except; i < sio_record_names(rec); i++) {

        if (sio_buf_append(&sc->refresh->touched, &sio_record_hashes(rec)[i],
                           sizeof(uint64_t))
            != SIO_OK)
        {
            sc->broken = 1;
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }
    }
}


static ngx_uint_t
ngx_sio_refresh_touched(ngx_sio_refresh_t *rf, uint64_t hash)
{
    uint64_t    *touched;
    ngx_uint_t   i;

    touched = (uint64_t *) rf->touched.data;

    for (i = 0; i < rf->touched.len / sizeof(uint64_t); i++) {
        if (touched[i] == hash) {
            return 1;
        }
    }

    return 0;
}


void
ngx_sio_refresh_cancel(ngx_sio_client_t *sc)
{
    if (sc->refresh) {
        ngx_sio_refresh_free(sc->refresh);
    }
}


/* Nothing is due any more. */

static void
ngx_sio_refresh_over(ngx_sio_refresh_t *rf)
{
    ngx_sio_client_t  *sc;

    sc = rf->client;

    ngx_sio_refresh_free(rf);

    (void) ngx_sio_session_refresh(sc->gateway->zone, sc->session, sc->owner,
                                   0);
}


static void
ngx_sio_refresh_free(ngx_sio_refresh_t *rf)
{
    rf->client->refresh = NULL;

    ngx_queue_remove(&rf->link);
    sio_buf_free(&rf->touched);
    ngx_free(rf);
}


static void
ngx_sio_refresh_end(ngx_sio_refresh_job_t *job)
{
    ngx_rbtree_delete(&job->gateway->refreshes->jobs, &job->sn.node);

    ngx_sio_room_sets_free(job->sets);
    ngx_destroy_pool(job->pool);
}
