
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_turn.h"


#define NGX_SIO_TURN_STAGE     262144     /* bytes staged in one turn */
#define NGX_SIO_TURN_KEEP      2097152    /* largest staging buffer kept */
#define NGX_SIO_TURN_RUNS      262144     /* runs noted in one turn */
#define NGX_SIO_TURN_GATHER    65536      /* bytes of a client that are copied
                                             for the sake of one send */
#define NGX_SIO_TURN_MESSAGES  256        /*   and messages */
#define NGX_SIO_TURN_SLICE     128        /* clients, and bytes, before the */
#define NGX_SIO_TURN_BYTES     1048576    /*   event loop goes on */

#define NGX_SIO_TURN_PROMPT    0x80000000


/* Messages [first .. first + n) of the turn go to one client. */

typedef struct {
    uint32_t                  first;
    uint32_t                  n;
    uint32_t                  next;       /* index of its next run, or 0 */
    uint32_t                  place;      /* of its first run: where it waits,
                                             an index of the prompt, with
                                             _PROMPT, or of the others */
} ngx_sio_turn_run_t;


static void *ngx_sio_turn_push(ngx_array_t *a, size_t size);
static ngx_int_t ngx_sio_turn_wait(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    uint32_t run, ngx_uint_t prompt);
static void ngx_sio_turn_unwait(ngx_sio_turn_t *t, uint32_t run);
static void ngx_sio_turn_send(ngx_sio_turn_t *t, ngx_sio_client_t *sc);
static void ngx_sio_turn_take(ngx_sio_turn_t *t, ngx_sio_client_t **list,
    ngx_uint_t i);
static ngx_int_t ngx_sio_turn_gather(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    ngx_sio_turn_run_t *run);
static void ngx_sio_turn_packed(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    ngx_sio_turn_run_t *run);
static void ngx_sio_turn_forget(ngx_array_t *waiting, ngx_uint_t i);


/* The runs of one client, joined. */

static u_char  ngx_sio_turn_gathered[NGX_SIO_TURN_GATHER];


ngx_sio_turn_t *
ngx_sio_turn_create(ngx_log_t *log)
{
    ngx_pool_t      *pool;
    ngx_sio_turn_t  *t;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, log);
    if (pool == NULL) {
        return NULL;
    }

    t = ngx_pcalloc(pool, sizeof(ngx_sio_turn_t));

    if (t == NULL
        || ngx_array_init(&t->messages, pool, 1024, sizeof(ngx_sio_message_t))
           != NGX_OK
        || ngx_sio_pack_init(&t->pack, pool) != NGX_OK
        || ngx_array_init(&t->runs, pool, 4096, sizeof(ngx_sio_turn_run_t))
           != NGX_OK
        || ngx_array_init(&t->prompt, pool, 1024, sizeof(ngx_sio_client_t *))
           != NGX_OK
        || ngx_array_init(&t->others, pool, 4096, sizeof(ngx_sio_client_t *))
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    t->runs.nelts = 1;

    return t;
}


ngx_uint_t
ngx_sio_turn_full(ngx_sio_turn_t *t)
{
    return t->stage.len >= NGX_SIO_TURN_STAGE
           || t->runs.nelts >= NGX_SIO_TURN_RUNS;
}


/* ngx_array_push(), without a call as long as there is room. */

static ngx_inline void *
ngx_sio_turn_push(ngx_array_t *a, size_t size)
{
    if (a->nelts == a->nalloc) {
        return ngx_array_push(a);
    }

    return (u_char *) a->elts + size * a->nelts++;
}


void
ngx_sio_turn_add(ngx_sio_turn_t *t, ngx_sio_client_t *sc, uint32_t first,
    uint32_t n, ngx_uint_t prompt)
{
    uint32_t             i;
    ngx_sio_turn_run_t  *run, *runs;

    if (n == 0) {
        return;
    }

    runs = t->runs.elts;

    if (sc->run_last) {

        if (prompt && !(runs[sc->run_first].place & NGX_SIO_TURN_PROMPT)) {
            ngx_sio_turn_unwait(t, sc->run_first);

            if (ngx_sio_turn_wait(t, sc, sc->run_first, 1) != NGX_OK) {
                goto failed;
            }
        }

        run = &runs[sc->run_last];

        if (run->first + run->n == first) {
            run->n += n;
            return;
        }
    }

    run = ngx_sio_turn_push(&t->runs, sizeof(ngx_sio_turn_run_t));
    if (run == NULL) {
        goto failed;
    }

    run->first = first;
    run->n = n;
    run->next = 0;

    i = t->runs.nelts - 1;

    if (sc->run_last) {
        runs = t->runs.elts;
        runs[sc->run_last].next = i;
        sc->run_last = i;
        return;
    }

    if (ngx_sio_turn_wait(t, sc, i, prompt) != NGX_OK) {
        goto failed;
    }

    sc->run_first = i;
    sc->run_last = i;

    return;

failed:

    sc->broken = 1;
    ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
}


/* Puts a client, whose first run this is, into a list.  NGX_OK or NGX_ERROR. */

static ngx_inline ngx_int_t
ngx_sio_turn_wait(ngx_sio_turn_t *t, ngx_sio_client_t *sc, uint32_t run,
    ngx_uint_t prompt)
{
    ngx_array_t          *list;
    ngx_sio_client_t    **waiting;
    ngx_sio_turn_run_t   *runs;

    list = prompt ? &t->prompt : &t->others;
    runs = t->runs.elts;

    waiting = ngx_sio_turn_push(list, sizeof(ngx_sio_client_t *));
    if (waiting == NULL) {
        return NGX_ERROR;
    }

    *waiting = sc;

    runs[run].place = (uint32_t) (list->nelts - 1)
                      | (prompt ? NGX_SIO_TURN_PROMPT : 0);

    return NGX_OK;
}


static ngx_inline void
ngx_sio_turn_unwait(ngx_sio_turn_t *t, uint32_t run)
{
    uint32_t              place;
    ngx_array_t          *list;
    ngx_sio_client_t    **waiting;
    ngx_sio_turn_run_t   *runs;

    runs = t->runs.elts;
    place = runs[run].place;

    list = (place & NGX_SIO_TURN_PROMPT) ? &t->prompt : &t->others;

    waiting = list->elts;
    waiting[place & ~NGX_SIO_TURN_PROMPT] = NULL;
}


void
ngx_sio_turn_drop(ngx_sio_client_t *sc)
{
    if (sc->run_first == 0) {
        return;
    }

    ngx_sio_turn_unwait(sc->gateway->turn, sc->run_first);

    sc->run_first = 0;
    sc->run_last = 0;
}


void
ngx_sio_turn_flush_all(ngx_sio_client_t *sc)
{
    ngx_sio_client_t  *branch, *next;

    branch = sc->branches;

    ngx_sio_turn_flush(sc);

    for ( /* void */ ; branch; branch = next) {
        /* the last may have closed all of them */
        next = branch->branches;
        ngx_sio_turn_flush(branch);
    }
}


void
ngx_sio_turn_flush(ngx_sio_client_t *sc)
{
    ngx_sio_turn_t  *t;

    if (sc->run_first) {
        t = sc->gateway->turn;

        ngx_sio_turn_unwait(t, sc->run_first);
        ngx_sio_turn_send(t, sc);
    }
}


/*
 * One send for all that a client got in this turn, if its runs are small: they
 * are brought together, else each is sent as it lies.
 */

static void
ngx_sio_turn_send(ngx_sio_turn_t *t, ngx_sio_client_t *sc)
{
    ngx_sio_message_t   *msg;
    ngx_sio_turn_run_t  *run, *runs;

    runs = t->runs.elts;
    msg = t->messages.elts;
    run = &runs[sc->run_first];

    sc->run_first = 0;
    sc->run_last = 0;

    if (ngx_sio_pack_wanted(sc)) {
        ngx_sio_turn_packed(t, sc, run);
        return;
    }

    if (run->next && ngx_sio_turn_gather(t, sc, run) == NGX_OK) {
        return;
    }

    for ( ;; ) {
        ngx_sio_client_write(sc, t->stage.data, msg + run->first, run->n);

        if (run->next == 0) {
            return;
        }

        run = &runs[run->next];
    }
}


/* NGX_OK if the runs are sent; NGX_DECLINED if they are better sent singly. */

static ngx_int_t
ngx_sio_turn_gather(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    ngx_sio_turn_run_t *run)
{
    u_char              *p;
    uint32_t             i;
    ngx_uint_t           n;
    ngx_sio_message_t   *msg, gathered[NGX_SIO_TURN_MESSAGES];
    ngx_sio_turn_run_t  *runs;

    runs = t->runs.elts;
    msg = t->messages.elts;

    p = ngx_sio_turn_gathered;
    n = 0;

    for ( ;; ) {

        for (i = run->first; i < run->first + run->n; i++) {

            if (n == NGX_SIO_TURN_MESSAGES
                || msg[i].len > (size_t) (ngx_sio_turn_gathered
                                          + NGX_SIO_TURN_GATHER - p))
            {
                return NGX_DECLINED;
            }

            gathered[n] = msg[i];
            gathered[n++].start = (uint32_t) (p - ngx_sio_turn_gathered);

            p = ngx_cpymem(p, t->stage.data + msg[i].start, msg[i].len);
        }

        if (run->next == 0) {
            break;
        }

        run = &runs[run->next];
    }

    ngx_sio_client_write(sc, ngx_sio_turn_gathered, gathered, n);

    return NGX_OK;
}


/*
 * The same for a client that takes compressed messages: these lie elsewhere, so
 * all but large ones are brought together.
 */

static void
ngx_sio_turn_packed(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    ngx_sio_turn_run_t *run)
{
    u_char              *p, *buf;
    uint32_t             i;
    ngx_uint_t           n;
    ngx_sio_message_t    msg, gathered[NGX_SIO_TURN_MESSAGES];
    ngx_sio_turn_run_t  *runs;

    runs = t->runs.elts;

    p = ngx_sio_turn_gathered;
    n = 0;

    i = run->first;

    for ( ;; ) {

        if (i == run->first + run->n) {

            if (run->next == 0) {
                break;
            }

            run = &runs[run->next];
            i = run->first;
        }

        buf = ngx_sio_pack_choose(&t->pack, sc, t->stage.data,
                                  t->messages.elts, i, &msg);

        if (n && (n == NGX_SIO_TURN_MESSAGES
                  || msg.len > (size_t) (ngx_sio_turn_gathered
                                         + NGX_SIO_TURN_GATHER - p)))
        {
            ngx_sio_client_write(sc, ngx_sio_turn_gathered, gathered, n);

            /* it may be behind now, so this one is looked at again */

            p = ngx_sio_turn_gathered;
            n = 0;
            continue;
        }

        i++;

        if (msg.len > NGX_SIO_TURN_GATHER) {
            ngx_sio_client_write(sc, buf, &msg, 1);
            continue;
        }

        gathered[n] = msg;
        gathered[n++].start = (uint32_t) (p - ngx_sio_turn_gathered);

        p = ngx_cpymem(p, buf + msg.start, msg.len);
    }

    if (n) {
        ngx_sio_client_write(sc, ngx_sio_turn_gathered, gathered, n);
    }
}


ngx_int_t
ngx_sio_turn_serve(ngx_sio_gateway_t *gw)
{
    uint64_t            limit;
    ngx_uint_t          i, end;
    ngx_sio_turn_t     *t;
    ngx_sio_client_t  **list;

    t = gw->turn;

    list = t->prompt.elts;

    for (i = 0; i < t->prompt.nelts; i++) {
        ngx_sio_turn_take(t, list, i);
    }

    t->prompt.nelts = 0;

    list = t->others.elts;
    end = ngx_min(t->next + NGX_SIO_TURN_SLICE, t->others.nelts);
    limit = gw->worker->stats[NGX_SIO_STAT_BYTES_OUT] + NGX_SIO_TURN_BYTES;

    while (t->next < end
           && gw->worker->stats[NGX_SIO_STAT_BYTES_OUT] < limit)
    {
        ngx_sio_turn_take(t, list, t->next++);
    }

    return (t->next < t->others.nelts) ? NGX_AGAIN : NGX_OK;
}


/* Serves the one at a place in a list, if he still waits. */

static ngx_inline void
ngx_sio_turn_take(ngx_sio_turn_t *t, ngx_sio_client_t **list, ngx_uint_t i)
{
    ngx_sio_client_t  *sc;

    sc = list[i];

    if (sc) {
        list[i] = NULL;
        ngx_sio_turn_send(t, sc);
    }
}


void
ngx_sio_turn_end(ngx_sio_turn_t *t)
{
    ngx_sio_turn_forget(&t->prompt, 0);
    ngx_sio_turn_forget(&t->others, t->next);

    t->next = 0;
    t->messages.nelts = 0;
    t->runs.nelts = 1;
    t->stage.len = 0;

    if (t->stage.size > NGX_SIO_TURN_KEEP) {
        sio_buf_free(&t->stage);
    }

    ngx_sio_pack_reset(&t->pack, NGX_SIO_TURN_KEEP);
}


static void
ngx_sio_turn_forget(ngx_array_t *waiting, ngx_uint_t i)
{
    ngx_sio_client_t  **list;

    list = waiting->elts;

    for ( /* void */ ; i < waiting->nelts; i++) {
        if (list[i]) {
            list[i]->run_first = 0;
            list[i]->run_last = 0;
        }
    }

    waiting->nelts = 0;
}
