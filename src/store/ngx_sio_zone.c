
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_zone.h"
#include "ngx_sio_guard.h"
#include "ngx_sio_repair.h"

#include <sys/random.h>


#define NGX_SIO_LOCK_SPIN      64              /* pauses before it sleeps */
#define NGX_SIO_LOCK_ROUNDS    10              /* of sleep, see below */

#define NGX_SIO_MIN_SESSIONS   16
#define NGX_SIO_MAX_SESSIONS   (1 << 27)       /* references have 32 bits */
#define NGX_SIO_MIN_LOG        1024

/* What there is for each session, see also ngx_sio_zone_count(). */

#define NGX_SIO_SHARE                                                         \
    (sizeof(ngx_sio_session_sh_t) + 5 * sizeof(ngx_sio_name_sh_t)             \
     + 4 * sizeof(ngx_sio_tail_sh_t) + 2 * sizeof(ngx_sio_online_sh_t)        \
     + sizeof(ngx_sio_chunk_sh_t) + sizeof(ngx_sio_limit_sh_t)                \
     + sizeof(ngx_sio_rate_sh_t) + 2 * sizeof(ngx_sio_key_sh_t)               \
     + 9 * sizeof(uint32_t))


static void ngx_sio_zone_count(ngx_sio_zone_sh_t *sh, uint32_t n);
static size_t ngx_sio_zone_map(ngx_sio_zone_t *z, u_char *mem, size_t size,
    size_t log_size);
static ngx_int_t ngx_sio_zone_init(ngx_sio_zone_t *z, size_t size,
    size_t log_size, ngx_str_t *node);
static void *ngx_sio_zone_array(u_char *mem, size_t *off, size_t n,
    size_t size);
static int ngx_sio_zone_acquire(ngx_sio_zone_t *z, pthread_mutex_t *m);
static void ngx_sio_zone_log_recover(ngx_sio_zone_sh_t *sh);


#if (NGX_SIO_FAULTS)
void (*ngx_sio_fault_step)(const char *file, int line);
int (*ngx_sio_fault_refuse)(unsigned what);
#endif


ngx_int_t
ngx_sio_zone_format(ngx_sio_zone_t *z, void *mem, size_t size,
    size_t log_size, ngx_str_t *node)
{
    size_t    rest;
    uint32_t  n;

    size &= ~((size_t) SIO_RECORD_ALIGN - 1);
    log_size &= ~((size_t) SIO_RECORD_ALIGN - 1);

    if (log_size < NGX_SIO_MIN_LOG
        || size < log_size
        || size - log_size < sizeof(ngx_sio_zone_sh_t))
    {
        return NGX_ERROR;
    }

    rest = (size - log_size - sizeof(ngx_sio_zone_sh_t)) / NGX_SIO_SHARE;
    n = ngx_min(rest, NGX_SIO_MAX_SESSIONS);

    z->sh = mem;

    /* alignment takes its part, too */

    for ( ;; ) {
        if (n < NGX_SIO_MIN_SESSIONS) {
            return NGX_ERROR;
        }

        ngx_sio_zone_count(z->sh, n);

        if (ngx_sio_zone_map(z, mem, size, log_size) <= size) {
            break;
        }

        n -= n / 1024 + 1;
    }

    return ngx_sio_zone_init(z, size, log_size, node);
}


static ngx_int_t
ngx_sio_zone_init(ngx_sio_zone_t *z, size_t size, size_t log_size,
    ngx_str_t *node)
{
    ngx_uint_t          i;
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;

    sh->layout = NGX_SIO_ZONE_LAYOUT;
    sh->size = size;
    sh->created = ngx_sio_zone_now();
    sh->log_size = log_size;
    sh->node_len = ngx_min(node->len, NGX_SIO_NODE_LEN);
    ngx_memcpy(sh->node, node->data, sh->node_len);

    /* "/" is 0 in all zones */
    sh->nsps[0].len = 1;
    sh->nsps[0].name[0] = '/';
    sh->nnsps = 1;

    /* 0 is none */
    sh->farewells.nstreams = 1;

    sh->tail = log_size;
    sh->head = log_size;
    sh->floor = log_size;

    if (ngx_sio_zone_random(&sh->seed) != NGX_OK
        || ngx_sio_zone_random(&sh->epoch) != NGX_OK
        || ngx_sio_zone_mutex_init(&sh->lock) != NGX_OK
        || ngx_sio_zone_mutex_init(&sh->log_lock) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_SIO_WORKERS; i++) {
        if (ngx_sio_zone_mutex_init(&sh->workers[i].alive) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    z->epoch = sh->epoch;

#if (NGX_SIO_CHECK)
    ngx_sio_guard_set(z);
#endif

    ngx_sio_store(&sh->magic, NGX_SIO_ZONE_MAGIC);

    return NGX_OK;
}


ngx_int_t
ngx_sio_zone_attach(ngx_sio_zone_t *z, void *mem, size_t size,
    size_t log_size)
{
    ngx_sio_zone_sh_t  *sh;

    size &= ~((size_t) SIO_RECORD_ALIGN - 1);
    log_size &= ~((size_t) SIO_RECORD_ALIGN - 1);

    sh = mem;

    if (size < sizeof(ngx_sio_zone_sh_t)
        || ngx_sio_load(&sh->magic) != NGX_SIO_ZONE_MAGIC
        || sh->layout != NGX_SIO_ZONE_LAYOUT
        || sh->size != size
        || sh->log_size != log_size)
    {
        return NGX_DECLINED;
    }

    z->sh = sh;
    z->epoch = ngx_sio_load(&sh->epoch);

    if (ngx_sio_zone_map(z, mem, size, log_size) > size) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * A user with 5 rooms shares two of them with others, and has 3 to himself.  As
 * many users again may be on other nodes, or have just gone.  The names of him
 * and his rooms may all be a little too long for their records.
 */

static void
ngx_sio_zone_count(ngx_sio_zone_sh_t *sh, uint32_t n)
{
    sh->nsessions = n;
    sh->nusers = 2 * n;
    sh->nrooms = 3 * n;
    sh->ntails = 4 * n;
    sh->nchunks = n;
    sh->nkeys = 2 * n;
}


/* Sets the pointers of the view; returns what all of it takes. */

static size_t
ngx_sio_zone_map(ngx_sio_zone_t *z, u_char *mem, size_t size, size_t log_size)
{
    size_t              off;
    ngx_sio_zone_sh_t  *sh;

    sh = z->sh;
    off = sizeof(ngx_sio_zone_sh_t);

    z->eio_table = ngx_sio_zone_array(mem, &off, sh->nsessions, 4);
    z->sid_table = ngx_sio_zone_array(mem, &off, sh->nsessions, 4);
    z->room_table = ngx_sio_zone_array(mem, &off, sh->nrooms, 4);
    z->user_table = ngx_sio_zone_array(mem, &off, sh->nusers, 4);

    z->sessions = ngx_sio_zone_array(mem, &off, (size_t) sh->nsessions + 1,
                                     sizeof(ngx_sio_session_sh_t));
    z->users = ngx_sio_zone_array(mem, &off, (size_t) sh->nusers + 1,
                                  sizeof(ngx_sio_name_sh_t));
    z->online = ngx_sio_zone_array(mem, &off, (size_t) sh->nusers + 1,
                                   sizeof(ngx_sio_online_sh_t));
    z->rooms = ngx_sio_zone_array(mem, &off, (size_t) sh->nrooms + 1,
                                  sizeof(ngx_sio_name_sh_t));
    z->tails = ngx_sio_zone_array(mem, &off, (size_t) sh->ntails + 1,
                                  sizeof(ngx_sio_tail_sh_t));
    z->chunks = ngx_sio_zone_array(mem, &off, (size_t) sh->nchunks + 1,
                                   sizeof(ngx_sio_chunk_sh_t));
    z->limits = ngx_sio_zone_array(mem, &off, (size_t) sh->nsessions + 1,
                                   sizeof(ngx_sio_limit_sh_t));
    z->keys = ngx_sio_zone_array(mem, &off, (size_t) sh->nkeys + 1,
                                 sizeof(ngx_sio_key_sh_t));
    z->rates = ngx_sio_zone_array(mem, &off, (size_t) sh->nsessions + 1,
                                  sizeof(ngx_sio_rate_sh_t));
    z->key_table = ngx_sio_zone_array(mem, &off, sh->nkeys, 4);

    z->log = mem + size - NGX_SIO_GUARD_SIZE - log_size;
    z->log_size = log_size;
    z->lap = log_size;
    z->seen = 0;
    z->stuck = NULL;
    z->stuck_until = 0;
    z->slot = 0;

    /* behind the last array, and behind the log */

    return off + NGX_SIO_GUARD_SIZE + log_size + NGX_SIO_GUARD_SIZE;
}


static void *
ngx_sio_zone_array(u_char *mem, size_t *off, size_t n, size_t size)
{
    void  *p;

    *off += NGX_SIO_GUARD_SIZE;
    p = mem + *off;
    *off = ngx_align(*off + n * size, NGX_SIO_LINE);

    return p;
}


ngx_int_t
ngx_sio_zone_lock(ngx_sio_zone_t *z)
{
    int  rc;

    rc = ngx_sio_zone_acquire(z, &z->sh->lock);

    if (rc == 0) {
        return NGX_OK;
    }

    if (rc != EOWNERDEAD) {
        return NGX_BUSY;
    }

    /*
     * Only a finished repair makes the mutex consistent: if this process dies
     * in it, the next one starts again.
     */

    (void) ngx_sio_repair(z);

    z->sh->repairs++;

    (void) pthread_mutex_consistent(&z->sh->lock);

    return NGX_OK;
}


void
ngx_sio_zone_unlock(ngx_sio_zone_t *z)
{
    (void) pthread_mutex_unlock(&z->sh->lock);
}


ngx_int_t
ngx_sio_zone_log_lock(ngx_sio_zone_t *z)
{
    int  rc;

    rc = ngx_sio_zone_acquire(z, &z->sh->log_lock);

    if (rc == 0) {
        return NGX_OK;
    }

    if (rc != EOWNERDEAD) {
        return NGX_BUSY;
    }

    ngx_sio_zone_log_recover(z->sh);

    (void) pthread_mutex_consistent(&z->sh->log_lock);

    return NGX_OK;
}


void
ngx_sio_zone_log_unlock(ngx_sio_zone_t *z)
{
    (void) pthread_mutex_unlock(&z->sh->log_lock);
}


/*
 * A feed position that was written for a head that never came must not become
 * valid when somebody else's records carry the head past it.
 */

static void
ngx_sio_zone_log_recover(ngx_sio_zone_sh_t *sh)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        if (sh->feed[i].from > sh->head) {
            sh->feed[i].from = 0;
            ngx_sio_step();
        }
    }
}


/*
 * Sections under the locks are short, so a busy lock is worth a few pauses
 * before the system call.  The time limit is for a holder that was stopped;
 * who has met it once does not wait for it again and again.  It is waited for
 * in rounds: if all was stopped, the waiter, too, then only one of them is over
 * as it goes on, and the holder has the others to let go.
 */

static int
ngx_sio_zone_acquire(ngx_sio_zone_t *z, pthread_mutex_t *m)
{
    int              rc;
    ngx_uint_t       i, n;
    struct timespec  ts;

    for (n = 1; n <= NGX_SIO_LOCK_SPIN; n <<= 1) {

        rc = pthread_mutex_trylock(m);

        if (rc != EBUSY) {
            return rc;
        }

        for (i = 0; i < n; i++) {
            ngx_cpu_pause();
        }
    }

    if (z->stuck == m && ngx_sio_zone_now() < z->stuck_until) {
        return EBUSY;
    }

    n = 0;

    do {
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);

        ts.tv_nsec += NGX_SIO_LOCK_TIMEOUT / NGX_SIO_LOCK_ROUNDS * 1000000;

        if (ts.tv_nsec >= 1000000000) {
            ts.tv_sec++;
            ts.tv_nsec -= 1000000000;
        }

        rc = pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &ts);

    } while (rc == ETIMEDOUT && ++n < NGX_SIO_LOCK_ROUNDS);

    z->stuck = (rc == ETIMEDOUT) ? m : NULL;
    z->stuck_until = ngx_sio_zone_now() + NGX_SIO_LOCK_TIMEOUT;

    return rc;
}


uint32_t
ngx_sio_zone_chunk_locked(ngx_sio_zone_t *z)
{
    uint32_t             i;
    ngx_sio_zone_sh_t   *sh;
    ngx_sio_chunk_sh_t  *c;

    if (ngx_sio_refused(STORE)) {
        return 0;
    }

    sh = z->sh;
    i = sh->free_chunk;

    if (i) {
        sh->free_chunk = z->chunks[i].next;

    } else {
        if (sh->top_chunk == sh->nchunks) {
            return 0;
        }

        i = ++sh->top_chunk;
    }

    ngx_sio_step();

    c = &z->chunks[i];

    ngx_memzero(&c->u, sizeof(c->u));
    c->next = 0;

    ngx_sio_step();

    c->state = NGX_SIO_LIVE;

    ngx_sio_step();

    sh->live_chunks++;

    ngx_sio_step();

    return i;
}


void
ngx_sio_zone_chunk_free_locked(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_sio_zone_sh_t   *sh;
    ngx_sio_chunk_sh_t  *c;

    sh = z->sh;
    c = &z->chunks[i];

    c->state = NGX_SIO_FREE;

    ngx_sio_step();

    c->next = sh->free_chunk;

    ngx_sio_step();

    sh->free_chunk = i;

    ngx_sio_step();

    sh->live_chunks--;

    ngx_sio_step();
}


ngx_int_t
ngx_sio_zone_random(uint64_t *n)
{
    do {
        if (getrandom(n, sizeof(uint64_t), 0) != sizeof(uint64_t)) {
            return NGX_ERROR;
        }

    } while (*n == 0);

    return NGX_OK;
}


ngx_int_t
ngx_sio_zone_mutex_init(pthread_mutex_t *m)
{
    ngx_int_t            rc;
    pthread_mutexattr_t  attr;

    if (pthread_mutexattr_init(&attr) != 0) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0
        && pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0
        && pthread_mutex_init(m, &attr) == 0)
    {
        rc = NGX_OK;
    }

    (void) pthread_mutexattr_destroy(&attr);

    return rc;
}


uint64_t
ngx_sio_zone_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
