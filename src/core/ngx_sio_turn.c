
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_turn.h"
#include "ngx_sio_websocket.h"


#define NGX_SIO_TURN_STAGE     262144     /* bytes staged in one turn */
#define NGX_SIO_TURN_KEEP      2097152    /* largest staging buffer kept */
#define NGX_SIO_TURN_RUNS      262144     /* runs noted in one turn */
#define NGX_SIO_TURN_GATHER    65536      /* bytes of a client that are copied
                                             for the sake of one send */
#define NGX_SIO_TURN_MESSAGES  256        /*   and messages */
#define NGX_SIO_TURN_SLICE     64         /* clients, and bytes, before the */
#define NGX_SIO_TURN_BYTES     1048576    /*   event loop goes on */

#define NGX_SIO_TURN_PROMPT    0x80000000

#define NGX_SIO_TURN_AHEAD     8          /* members of a room */


/* Messages [first .. first + n) of the turn go to one client. */

typedef struct {
    uint32_t                  first;
    uint32_t                  n;
    uint32_t                  next;       /* index of its next run, or 0 */
    uint32_t                  place;      /* of its first run: where it waits,
                                             an index of the prompt, with
                                             _PROMPT, or of the others */
} ngx_sio_turn_run_t;


/* What a slice has sent and not counted yet. */

typedef struct {
    uint64_t                  events;
    uint64_t                  bytes;
} ngx_sio_turn_sum_t;


/* Asks for a line of memory that will be needed soon. */

#define ngx_sio_turn_fetch(p)  __builtin_prefetch(p)


static void *ngx_sio_turn_push(ngx_array_t *a, size_t size);
static ngx_int_t ngx_sio_turn_wait(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    uint32_t run, ngx_uint_t prompt);
static void ngx_sio_turn_unwait(ngx_sio_turn_t *t, uint32_t run);
static void ngx_sio_turn_send(ngx_sio_turn_t *t, ngx_sio_client_t *sc);
static void ngx_sio_turn_slice(ngx_sio_gateway_t *gw, ngx_array_t *waiting,
    ngx_uint_t *next, ngx_uint_t max, uint64_t bytes);
static void ngx_sio_turn_ahead(ngx_sio_client_t *soon, ngx_sio_client_t *later);
static ngx_int_t ngx_sio_turn_direct(ngx_sio_gateway_t *gw,
    ngx_sio_client_t *sc, ngx_sio_turn_sum_t *sum);
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


/*
 * There is little to do for each member but to wait until it has come from
 * memory: so it is asked for in advance.
 */

void
ngx_sio_turn_room(ngx_sio_turn_t *t, ngx_sio_rooms_room_t *room,
    uint32_t first, uint32_t n, ngx_uint_t prompt, ngx_uint_t drop)
{
    uint32_t                 i, place;
    ngx_array_t             *list;
    ngx_sio_client_t        *sc;
    ngx_sio_turn_run_t      *run;
    ngx_sio_rooms_member_t  *members;

    list = prompt ? &t->prompt : &t->others;
    place = prompt ? NGX_SIO_TURN_PROMPT : 0;
    members = ngx_sio_rooms_members(room);

    for (i = room->nmembers; i > 0; i--) {

        if (i > NGX_SIO_TURN_AHEAD) {
            sc = members[i - 1 - NGX_SIO_TURN_AHEAD].client;
            ngx_sio_turn_fetch(&sc->state);
        }

        sc = members[i - 1].client;

        if (sc->state != NGX_SIO_CLIENT_CONNECTED || (drop && sc->out)) {
            continue;
        }

        if (sc->run_last || t->runs.nelts == t->runs.nalloc
            || list->nelts == list->nalloc)
        {
            ngx_sio_turn_add(t, sc, first, n, prompt);

            if (i > room->nmembers) {
                /* who failed found the zone lost, and all were let go */
                i = room->nmembers + 1;
            }

            continue;
        }

        sc->run_first = t->runs.nelts;
        sc->run_last = t->runs.nelts;

        run = (ngx_sio_turn_run_t *) t->runs.elts + t->runs.nelts++;

        run->first = first;
        run->n = n;
        run->next = 0;
        run->place = (uint32_t) list->nelts | place;

        ((ngx_sio_client_t **) list->elts)[list->nelts++] = sc;
    }
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
    ngx_uint_t       next;
    ngx_sio_turn_t  *t;

    t = gw->turn;

    next = 0;
    ngx_sio_turn_slice(gw, &t->prompt, &next, t->prompt.nelts,
                       NGX_MAX_INT_T_VALUE);
    t->prompt.nelts = 0;

    ngx_sio_turn_slice(gw, &t->others, &t->next, NGX_SIO_TURN_SLICE,
                       NGX_SIO_TURN_BYTES);

    return (t->next < t->others.nelts) ? NGX_AGAIN : NGX_OK;
}


/*
 * Serves those in a list from the next one on: so many of them, or as many as
 * get so many bytes.
 */

static void
ngx_sio_turn_slice(ngx_sio_gateway_t *gw, ngx_array_t *waiting,
    ngx_uint_t *next, ngx_uint_t max, uint64_t bytes)
{
    uint64_t           *stats, limit;
    ngx_uint_t          i, end;
    ngx_sio_client_t   *sc, **list;
    ngx_sio_turn_sum_t  sum;

    list = waiting->elts;
    end = ngx_min(*next + max, waiting->nelts);
    stats = gw->worker->stats;
    limit = stats[NGX_SIO_STAT_BYTES_OUT] + bytes;

    sum.events = 0;
    sum.bytes = 0;

    for (i = *next;
         i < end && stats[NGX_SIO_STAT_BYTES_OUT] + sum.bytes < limit;
         i++)
    {
        if (i + 2 < waiting->nelts) {
            ngx_sio_turn_ahead(list[i + 1], list[i + 2]);
        }

        sc = list[i];

        if (sc) {
            list[i] = NULL;

            if (ngx_sio_turn_direct(gw, sc, &sum) != NGX_OK) {
                ngx_sio_turn_send(gw->turn, sc);
            }
        }
    }

    *next = i;

    ngx_sio_gateway_stat(gw, EVENTS_OUT, sum.events);
    ngx_sio_gateway_stat(gw, BYTES_OUT, sum.bytes);
}


/*
 * What a send touches of a client is little, but by then it is in no near
 * cache: so it is asked for while the sends before are going on.
 */

static ngx_inline void
ngx_sio_turn_ahead(ngx_sio_client_t *soon, ngx_sio_client_t *later)
{
    ngx_connection_t  *c;

    if (soon && soon->ws.connection) {
        c = soon->ws.connection;
        ngx_sio_turn_fetch(&c->write);
        ngx_sio_turn_fetch(&c->sent);
    }

    if (later) {
        ngx_sio_turn_fetch(later);
        ngx_sio_turn_fetch(&later->state);
    }
}


/*
 * What nearly all sends are: one run for a WebSocket that has nothing pending.
 * NGX_OK, or NGX_DECLINED: it is something else.
 */

static ngx_inline ngx_int_t
ngx_sio_turn_direct(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    ngx_sio_turn_sum_t *sum)
{
    u_char              *stage;
    size_t               size;
    ssize_t              rc;
    ngx_uint_t           n;
    ngx_sio_turn_t      *t;
    ngx_connection_t    *c;
    ngx_sio_message_t   *msg;
    ngx_sio_turn_run_t  *run;

    t = gw->turn;
    run = (ngx_sio_turn_run_t *) t->runs.elts + sc->run_first;

    if (run->next || !ngx_sio_websocket_is_plain(sc)) {
        return NGX_DECLINED;
    }

    msg = (ngx_sio_message_t *) t->messages.elts + run->first;
    n = run->n;
    size = msg[n - 1].start + msg[n - 1].len - msg[0].start;

    sc->run_first = 0;
    sc->run_last = 0;

    sum->events += n;
    sum->bytes += size;

    c = sc->ws.connection;
    stage = t->stage.data;

    rc = size ? c->send(c, stage + msg[0].start, size) : 0;

    if (rc != (ssize_t) size) {
        /* slow, or under TLS, which takes one record at a time */
        ngx_sio_websocket_write_on(sc, stage, msg, n, rc);
    }

    if (gw->conf->recovery) {
        ngx_sio_client_handed(sc, msg, n);
    }

    return NGX_OK;
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
