
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_turn.h"


#define NGX_SIO_TURN_STAGE     262144     /* bytes staged in one turn */
#define NGX_SIO_TURN_KEEP      2097152    /* largest staging buffer kept */
#define NGX_SIO_TURN_RUNS      262144     /* runs noted in one turn */

#define NGX_SIO_TURN_PROMPT    0x80000000

#define NGX_SIO_TURN_AHEAD     8          /* members of a room */


static void *ngx_sio_turn_push(ngx_array_t *a, size_t size);
static ngx_int_t ngx_sio_turn_wait(ngx_sio_turn_t *t, ngx_sio_client_t *sc,
    uint32_t run, ngx_uint_t prompt);
static void ngx_sio_turn_unwait(ngx_sio_turn_t *t, uint32_t run);
static void ngx_sio_turn_forget(ngx_sio_turn_t *t, ngx_array_t *waiting,
    ngx_uint_t i);


ngx_sio_turn_t *
ngx_sio_turn_create(ngx_sio_gateway_t *gw)
{
    ngx_pool_t      *pool;
    ngx_sio_turn_t  *t;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, gw->log);
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
        || ngx_array_init(&t->prompt, pool, 1024, sizeof(uint32_t))
           != NGX_OK
        || ngx_array_init(&t->others, pool, 4096, sizeof(uint32_t))
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    t->outlets = gw->outlets;
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
    ngx_sio_outlet_t    *outlet;
    ngx_sio_turn_run_t  *run, *runs;

    if (n == 0) {
        return;
    }

    runs = t->runs.elts;
    outlet = ngx_sio_outlet(sc);

    if (outlet->run_last) {

        if (prompt && !(runs[outlet->run_first].place & NGX_SIO_TURN_PROMPT)) {
            ngx_sio_turn_unwait(t, outlet->run_first);

            if (ngx_sio_turn_wait(t, sc, outlet->run_first, 1) != NGX_OK) {
                goto failed;
            }
        }

        run = &runs[outlet->run_last];

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

    if (outlet->run_last) {
        runs = t->runs.elts;
        runs[outlet->run_last].next = i;
        outlet->run_last = i;
        return;
    }

    if (ngx_sio_turn_wait(t, sc, i, prompt) != NGX_OK) {
        goto failed;
    }

    outlet->run_first = i;
    outlet->run_last = i;

    return;

failed:

    sc->broken = 1;
    ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
}


/*
 * There is little to do for each member but to wait until its outlet has come
 * from memory: so it is asked for in advance.
 */

void
ngx_sio_turn_room(ngx_sio_turn_t *t, ngx_sio_rooms_room_t *room,
    uint32_t first, uint32_t n, ngx_uint_t prompt, ngx_uint_t drop)
{
    uint32_t                 i, place;
    ngx_array_t             *list;
    ngx_sio_outlet_t        *outlets, *outlet;
    ngx_sio_turn_run_t      *run;
    ngx_sio_rooms_member_t  *members;

    list = prompt ? &t->prompt : &t->others;
    place = prompt ? NGX_SIO_TURN_PROMPT : 0;
    members = ngx_sio_rooms_members(room);
    outlets = t->outlets->elts;

    for (i = room->nmembers; i > 0; i--) {

        if (i > NGX_SIO_TURN_AHEAD) {
            ngx_sio_outlet_fetch(&outlets[members[i - 1
                                              - NGX_SIO_TURN_AHEAD].outlet]);
        }

        outlet = &outlets[members[i - 1].outlet];

        if (!outlet->connected || (drop && outlet->behind)) {
            continue;
        }

        if (outlet->run_last || t->runs.nelts == t->runs.nalloc
            || list->nelts == list->nalloc)
        {
            ngx_sio_turn_add(t, outlet->client, first, n, prompt);

            if (i > room->nmembers) {
                /* who failed found the zone lost, and all were let go */
                i = room->nmembers + 1;
            }

            continue;
        }

        outlet->run_first = t->runs.nelts;
        outlet->run_last = t->runs.nelts;

        run = (ngx_sio_turn_run_t *) t->runs.elts + t->runs.nelts++;

        run->first = first;
        run->n = n;
        run->next = 0;
        run->place = (uint32_t) list->nelts | place;

        ((uint32_t *) list->elts)[list->nelts++] = members[i - 1].outlet;
    }
}


/* Puts a client, whose first run this is, into a list.  NGX_OK or NGX_ERROR. */

static ngx_inline ngx_int_t
ngx_sio_turn_wait(ngx_sio_turn_t *t, ngx_sio_client_t *sc, uint32_t run,
    ngx_uint_t prompt)
{
    uint32_t            *waiting;
    ngx_array_t         *list;
    ngx_sio_turn_run_t  *runs;

    list = prompt ? &t->prompt : &t->others;
    runs = t->runs.elts;

    waiting = ngx_sio_turn_push(list, sizeof(uint32_t));
    if (waiting == NULL) {
        return NGX_ERROR;
    }

    *waiting = sc->outlet;

    runs[run].place = (uint32_t) (list->nelts - 1)
                      | (prompt ? NGX_SIO_TURN_PROMPT : 0);

    return NGX_OK;
}


static ngx_inline void
ngx_sio_turn_unwait(ngx_sio_turn_t *t, uint32_t run)
{
    uint32_t             place, *waiting;
    ngx_array_t         *list;
    ngx_sio_turn_run_t  *runs;

    runs = t->runs.elts;
    place = runs[run].place;

    list = (place & NGX_SIO_TURN_PROMPT) ? &t->prompt : &t->others;

    waiting = list->elts;
    waiting[place & ~NGX_SIO_TURN_PROMPT] = 0;
}


void
ngx_sio_turn_drop(ngx_sio_client_t *sc)
{
    ngx_sio_outlet_t  *outlet;

    outlet = ngx_sio_outlet(sc);

    if (outlet->run_first == 0) {
        return;
    }

    ngx_sio_turn_unwait(sc->gateway->turn, outlet->run_first);

    outlet->run_first = 0;
    outlet->run_last = 0;
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
    uint32_t         run;
    ngx_sio_turn_t  *t;

    run = ngx_sio_outlet(sc)->run_first;

    if (run) {
        t = sc->gateway->turn;

        ngx_sio_turn_unwait(t, run);
        ngx_sio_turn_send(t, sc);
    }
}


void
ngx_sio_turn_end(ngx_sio_turn_t *t)
{
    ngx_sio_turn_forget(t, &t->prompt, 0);
    ngx_sio_turn_forget(t, &t->others, t->next);

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
ngx_sio_turn_forget(ngx_sio_turn_t *t, ngx_array_t *waiting, ngx_uint_t i)
{
    uint32_t          *list;
    ngx_sio_outlet_t  *outlets;

    list = waiting->elts;
    outlets = t->outlets->elts;

    for ( /* void */ ; i < waiting->nelts; i++) {
        if (list[i]) {
            outlets[list[i]].run_first = 0;
            outlets[list[i]].run_last = 0;
        }
    }

    waiting->nelts = 0;
}
