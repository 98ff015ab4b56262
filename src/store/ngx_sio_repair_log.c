
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_repair.h"
#include "ngx_sio_log.h"
#include "ngx_sio_worker.h"

#include <sched.h>


/*
 * What the check has to say of the log, of those who read it, and of the roles
 * and slots of workers.  With both locks held none of it changes, but for
 * cursors and bells, and for fences.
 */


#define NGX_SIO_REPAIR_LOOKS  100


typedef struct {
    ngx_sio_zone_t           *z;
    ngx_uint_t                errors;
    char                     *text;
    size_t                    size;
} ngx_sio_repair_log_t;


static void ngx_sio_repair_log_error(ngx_sio_repair_log_t *ck,
    const char *text, uint64_t n);
static ngx_uint_t ngx_sio_repair_log_ends(ngx_sio_repair_log_t *ck);
static void ngx_sio_repair_log_records(ngx_sio_repair_log_t *ck);
static const char *ngx_sio_repair_log_record(ngx_sio_zone_t *z,
    sio_record_t *rec, uint64_t off, uint64_t time);
static sio_record_t *ngx_sio_repair_log_at(ngx_sio_zone_t *z, uint64_t off);
static void ngx_sio_repair_log_feed(ngx_sio_repair_log_t *ck);
static void ngx_sio_repair_log_slot(ngx_sio_repair_log_t *ck,
    ngx_uint_t slot);
static void ngx_sio_repair_log_reader(ngx_sio_repair_log_t *ck,
    ngx_uint_t slot);
static ngx_uint_t ngx_sio_repair_log_dead(ngx_sio_zone_t *z, ngx_uint_t slot);
static void ngx_sio_repair_log_roles(ngx_sio_repair_log_t *ck);
static void ngx_sio_repair_log_owners(ngx_sio_repair_log_t *ck);
static ngx_uint_t ngx_sio_repair_log_is_taken(ngx_sio_zone_t *z,
    ngx_uint_t slot);


ngx_uint_t
ngx_sio_repair_check_log(ngx_sio_zone_t *z, char *text, size_t size)
{
    ngx_uint_t            slot;
    ngx_sio_repair_log_t  ck;

    ck.z = z;
    ck.errors = 0;
    ck.text = text;
    ck.size = size;

    if (size) {
        text[0] = '\0';
    }

    if (z->sh->top_worker > NGX_SIO_WORKERS) {
        ngx_sio_repair_log_error(&ck, "top is behind the last worker",
                                 z->sh->top_worker);
        return ck.errors;
    }

    if (!ngx_sio_repair_log_ends(&ck)) {
        return ck.errors;
    }

    ngx_sio_repair_log_records(&ck);
    ngx_sio_repair_log_feed(&ck);

    for (slot = 1; slot <= NGX_SIO_WORKERS; slot++) {
        ngx_sio_repair_log_slot(&ck, slot);
    }

    ngx_sio_repair_log_roles(&ck);
    ngx_sio_repair_log_owners(&ck);

    return ck.errors;
}


static void
ngx_sio_repair_log_error(ngx_sio_repair_log_t *ck, const char *text,
    uint64_t n)
{
    if (ck->errors++ == 0) {
        (void) snprintf(ck->text, ck->size, "%s: %llu", text,
                        (unsigned long long) n);
    }
}


/* False if there is nothing in between that could be looked at. */

static ngx_uint_t
ngx_sio_repair_log_ends(ngx_sio_repair_log_t *ck)
{
    uint64_t            n;
    ngx_sio_zone_sh_t  *sh;

    sh = ck->z->sh;

    if (sh->head < sh->log_size || sh->head % SIO_RECORD_ALIGN) {
        ngx_sio_repair_log_error(ck, "head of the log is none", sh->head);
        return 0;
    }

    n = sh->head - sh->tail;

    if (sh->tail > sh->head || n > sh->log_size || n % SIO_RECORD_ALIGN) {
        ngx_sio_repair_log_error(ck, "tail of the log is none", sh->tail);
        return 0;
    }

    if (sh->floor > sh->head || sh->head - sh->floor > sh->log_size / 4 * 3) {
        ngx_sio_repair_log_error(ck, "floor of the log is wrong", sh->floor);
    }

    return 1;
}


static void
ngx_sio_repair_log_records(ngx_sio_repair_log_t *ck)
{
    uint64_t       off, time;
    const char    *text;
    sio_record_t  *rec;

    time = 0;

    for (off = ck->z->sh->tail; off < ck->z->sh->head; off += rec->size) {

        rec = ngx_sio_repair_log_at(ck->z, off);
        text = ngx_sio_repair_log_record(ck->z, rec, off, time);

        if (text) {
            ngx_sio_repair_log_error(ck, text, off);
            return;
        }

        time = rec->time;
    }
}


/* What is wrong with a record behind one of this time, or NULL. */

static const char *
ngx_sio_repair_log_record(ngx_sio_zone_t *z, sio_record_t *rec, uint64_t off,
    uint64_t time)
{
    uint64_t  room;

    room = z->log_size - off % z->log_size;

    if (rec->offset != off) {
        return "record of the log is another one";
    }

    if (!sio_record_sane(rec, ngx_min(room, z->sh->head - off))) {
        return "record of the log is damaged";
    }

    if (rec->type == SIO_RECORD_PAD ? rec->size != room
                                    : rec->size > ngx_sio_log_max_record(z))
    {
        return "record of the log has a strange size";
    }

    if (rec->nsp >= z->sh->nnsps) {
        return "record of the log is of no namespace";
    }

    if (rec->lease > z->sh->lease.epoch) {
        return "record of the log is of no lease";
    }

    if (rec->time < time || rec->time > ngx_sio_zone_now()) {
        return "record of the log is of another time";
    }

    return NULL;
}


static sio_record_t *
ngx_sio_repair_log_at(ngx_sio_zone_t *z, uint64_t off)
{
    return (sio_record_t *) (z->log + off % z->log_size);
}


/* With the log lock each position is void or holds, see ngx_sio_log_feed(). */

static void
ngx_sio_repair_log_feed(ngx_sio_repair_log_t *ck)
{
    ngx_uint_t          i;
    ngx_sio_zone_sh_t  *sh;

    sh = ck->z->sh;

    for (i = 0; i < 2; i++) {
        if (sh->feed[i].from
            && (sh->feed[i].from <= sh->log_size
                || sh->feed[i].from > sh->head
                || sh->feed[i].from % SIO_RECORD_ALIGN))
        {
            ngx_sio_repair_log_error(ck, "position of the feed is none",
                                     sh->feed[i].from);
        }
    }

    if (sh->feed[0].from && sh->feed[0].from == sh->feed[1].from) {
        ngx_sio_repair_log_error(ck, "both positions of the feed count",
                                 sh->feed[0].from);
    }
}


static void
ngx_sio_repair_log_slot(ngx_sio_repair_log_t *ck, ngx_uint_t slot)
{
    uint32_t              state, armed;
    ngx_uint_t            i;
    ngx_sio_worker_sh_t  *w;

    w = &ck->z->sh->workers[slot - 1];
    state = ngx_sio_load(&w->state);
    armed = ngx_sio_load(&w->armed);

    if (state > NGX_SIO_WORKER_FENCED || armed > 1) {
        ngx_sio_repair_log_error(ck, "worker is in no state", slot);
        return;
    }

    if (slot > ck->z->sh->top_worker && (state || w->generation)) {
        ngx_sio_repair_log_error(ck, "worker is behind the top", slot);
    }

    if (state != NGX_SIO_FREE) {

        if (w->generation == 0 || w->pid <= 0) {
            ngx_sio_repair_log_error(ck, "worker has never entered", slot);
        }

        ngx_sio_repair_log_reader(ck, slot);
        return;
    }

    if (armed) {
        ngx_sio_repair_log_error(ck, "bell of nobody is armed", slot);
    }

    for (i = 0; i < NGX_SIO_STATS; i++) {
        if (w->stats[i]) {
            ngx_sio_repair_log_error(ck, "counters of nobody", slot);
            break;
        }
    }
}


/* A fenced or a dead one may be where the log is gone. */

static void
ngx_sio_repair_log_reader(ngx_sio_repair_log_t *ck, ngx_uint_t slot)
{
    uint64_t              cursor;
    ngx_uint_t            live;
    ngx_sio_worker_sh_t  *w;

    w = &ck->z->sh->workers[slot - 1];
    live = (ngx_sio_load(&w->state) == NGX_SIO_WORKER_LIVE);
    cursor = ngx_sio_load(&w->cursor);

    if (cursor > ck->z->sh->head || cursor % SIO_RECORD_ALIGN) {
        ngx_sio_repair_log_error(ck, "cursor of worker is nowhere", slot);
        return;
    }

    if (cursor < ngx_max(ck->z->sh->tail, ck->z->sh->floor)) {

        if (live && !ngx_sio_repair_log_dead(ck->z, slot)) {
            ngx_sio_repair_log_error(ck, "worker was run over", slot);
        }

        return;
    }

    if (cursor < ck->z->sh->head
        && ngx_sio_repair_log_at(ck->z, cursor)->offset != cursor)
    {
        ngx_sio_repair_log_error(ck, "cursor of worker is within a record",
                                 slot);
    }
}


/* It passes for alive while others look, too. */

static ngx_uint_t
ngx_sio_repair_log_dead(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    ngx_uint_t  n;

    for (n = 0; n < NGX_SIO_REPAIR_LOOKS; n++) {

        if (!ngx_sio_worker_alive(z, slot)) {
            return 1;
        }

        (void) sched_yield();
    }

    return 0;
}


static void
ngx_sio_repair_log_roles(ngx_sio_repair_log_t *ck)
{
    ngx_sio_zone_t      *z;
    ngx_sio_lease_sh_t  *lease;

    z = ck->z;
    lease = &z->sh->lease;

    if (lease->slot && !ngx_sio_repair_log_is_taken(z, lease->slot)) {
        ngx_sio_repair_log_error(ck, "holder of the lease is nobody",
                                 lease->slot);
    }

    if (lease->standby && !ngx_sio_repair_log_is_taken(z, lease->standby)) {
        ngx_sio_repair_log_error(ck, "standby is nobody", lease->standby);
    }

    if (lease->slot && lease->slot == lease->standby) {
        ngx_sio_repair_log_error(ck, "standby has the lease", lease->slot);
    }

    if ((lease->slot && lease->epoch == 0) || lease->live > 1) {
        ngx_sio_repair_log_error(ck, "lease is damaged", lease->live);
    }

    if (z->sh->presence.slot
        && !ngx_sio_repair_log_is_taken(z, z->sh->presence.slot))
    {
        ngx_sio_repair_log_error(ck, "actor of presence is nobody",
                                 z->sh->presence.slot);
    }
}


/*
 * Sessions and rooms know no worker that has left.  Where none has entered yet
 * a test uses numbers without workers.
 */

static void
ngx_sio_repair_log_owners(ngx_sio_repair_log_t *ck)
{
    uint32_t               i;
    ngx_uint_t             slot;
    ngx_sio_zone_t        *z;
    ngx_sio_name_sh_t     *room;
    ngx_sio_session_sh_t  *ss;

    z = ck->z;

    if (z->sh->top_worker == 0) {
        return;
    }

    for (i = 1; i <= ngx_min(z->sh->top_session, z->sh->nsessions); i++) {

        ss = &z->sessions[i];

        if (ss->state != NGX_SIO_LIVE) {
            continue;
        }

        slot = ngx_sio_owner_slot(ngx_sio_load(&ss->owner));

        if ((slot && !ngx_sio_repair_log_is_taken(z, slot))
            || (ss->poster && !ngx_sio_repair_log_is_taken(z, ss->poster))
            || (ss->connecter
                && !ngx_sio_repair_log_is_taken(z, ss->connecter)))
        {
            ngx_sio_repair_log_error(ck, "worker of session has left", i);
        }
    }

    for (i = 1; i <= ngx_min(z->sh->top_room, z->sh->nrooms); i++) {

        room = &z->rooms[i];

        for (slot = 1; slot <= NGX_SIO_WORKERS; slot++) {

            if (room->state == NGX_SIO_LIVE
                && (ngx_sio_load(&room->workers[(slot - 1) / 64])
                    >> (slot - 1) % 64 & 1)
                && !ngx_sio_repair_log_is_taken(z, slot))
            {
                ngx_sio_repair_log_error(ck, "worker of room has left", i);
                break;
            }
        }
    }
}


static ngx_uint_t
ngx_sio_repair_log_is_taken(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    return slot <= z->sh->top_worker
           && ngx_sio_load(&z->sh->workers[slot - 1].state) != NGX_SIO_FREE;
}
