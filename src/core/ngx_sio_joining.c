
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_joining.h"


/* A command that somebody may have missed. */

typedef struct {
    ngx_queue_t        link;         /* gateway->commands */
    sio_record_t      *rec;          /* header, tables and names, behind this */
} ngx_sio_joining_command_t;


static ngx_int_t ngx_sio_joining_command(ngx_sio_joining_t *j,
    const sio_record_t *rec);
static ngx_uint_t ngx_sio_joining_addressed(ngx_sio_joining_t *j,
    const sio_record_t *rec);
static ngx_int_t ngx_sio_joining_add(ngx_sio_joining_t *j, uint64_t hash,
    const u_char *name, size_t len);
static ngx_int_t ngx_sio_joining_grow(ngx_sio_joining_t *j);
static void ngx_sio_joining_index(ngx_sio_joining_t *j, ngx_uint_t i);
static void ngx_sio_joining_remove(ngx_sio_joining_t *j, uint64_t hash,
    const u_char *name, size_t len);
static void ngx_sio_joining_pack(ngx_sio_joining_t *j);
static ngx_sio_room_t *ngx_sio_joining_find(ngx_sio_joining_t *j,
    uint64_t hash, const u_char *name, size_t len);


ngx_int_t
ngx_sio_joining_rooms(ngx_sio_joining_t *j, ngx_array_t *names,
    ngx_uint_t known, ngx_pool_t *pool)
{
    uint64_t         hash;
    ngx_str_t       *name;
    ngx_uint_t       i, n;
    ngx_sio_room_t  *room;

    j->kicked = 0;
    j->refresh = 0;
    j->pool = pool;
    j->used = 0;

    for (j->size = 16; j->size < names->nelts * 2; j->size *= 2) {
        /* void */
    }

    j->table = ngx_pcalloc(pool, j->size * sizeof(uint32_t));

    if (j->table == NULL
        || ngx_array_init(&j->rooms, pool, names->nelts + 4,
                          sizeof(ngx_sio_room_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = names->elts;

    for (i = 0; i < names->nelts; i++) {
        hash = sio_hash(j->seed, name[i].data, name[i].len);
        n = j->rooms.nelts;

        if (ngx_sio_joining_add(j, hash, name[i].data, name[i].len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (i >= known && j->rooms.nelts > n) {
            room = j->rooms.elts;
            room[n].set = 1;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_joining_apply(ngx_sio_joining_t *j, ngx_sio_gateway_t *gw,
    uint64_t since)
{
    ngx_queue_t                *q;
    ngx_sio_joining_command_t  *cmd;

    for (q = ngx_queue_head(&gw->commands);
         q != ngx_queue_sentinel(&gw->commands);
         q = ngx_queue_next(q))
    {
        cmd = ngx_queue_data(q, ngx_sio_joining_command_t, link);

        if (cmd->rec->offset >= since
            && cmd->rec->nsp == j->nsp
            && ngx_sio_joining_addressed(j, cmd->rec)
            && ngx_sio_joining_command(j, cmd->rec) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_sio_joining_pack(j);

    return NGX_OK;
}


static ngx_int_t
ngx_sio_joining_command(ngx_sio_joining_t *j, const sio_record_t *rec)
{
    uint64_t   hash;
    unsigned   i;
    sio_str_t  name;

    if (rec->type == SIO_RECORD_REFRESH) {
        j->refresh = 1;
        return NGX_OK;
    }

    if (rec->type == SIO_RECORD_DISCONNECT) {
        j->kicked = (rec->flags & SIO_RECORD_CLOSE) ? 2 : 1;
        return NGX_OK;
    }

    for (i = rec->rooms + rec->except; i < sio_record_names(rec); i++) {
        name = sio_record_name(rec, i);
        hash = sio_record_hashes(rec)[i];

        if (rec->type == SIO_RECORD_LEAVE) {
            ngx_sio_joining_remove(j, hash, name.data, name.len);

        } else if (ngx_sio_joining_add(j, hash, name.data, name.len)
                   != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_sio_joining_addressed(ngx_sio_joining_t *j, const sio_record_t *rec)
{
    uint64_t    hash;
    unsigned    i;
    sio_str_t   name;
    ngx_uint_t  addressed;

    addressed = (rec->rooms == 0);

    for (i = 0; i < (unsigned) rec->rooms + rec->except; i++) {
        name = sio_record_name(rec, i);
        hash = sio_record_hashes(rec)[i];

        if (ngx_sio_joining_find(j, hash, name.data, name.len) == NULL
            && (name.len != NGX_SIO_SID_LEN
                || ngx_memcmp(name.data, j->sid, NGX_SIO_SID_LEN) != 0))
        {
            continue;
        }

        if (i >= rec->rooms) {
            return 0;
        }

        addressed = 1;
    }

    return addressed;
}


static ngx_int_t
ngx_sio_joining_add(ngx_sio_joining_t *j, uint64_t hash, const u_char *name,
    size_t len)
{
    ngx_sio_room_t  *room;

    if (ngx_sio_joining_find(j, hash, name, len)) {
        return NGX_OK;
    }

    if (j->used * 2 >= j->size && ngx_sio_joining_grow(j) != NGX_OK) {
        return NGX_ERROR;
    }

    room = ngx_array_push(&j->rooms);
    if (room == NULL) {
        return NGX_ERROR;
    }

    room->hash = hash;
    room->name.data = (u_char *) name;
    room->name.len = len;
    room->set = 0;

    ngx_sio_joining_index(j, j->rooms.nelts - 1);

    return NGX_OK;
}


static ngx_int_t
ngx_sio_joining_grow(ngx_sio_joining_t *j)
{
    uint32_t    *table;
    ngx_uint_t   i;

    table = ngx_pcalloc(j->pool, j->size * 2 * sizeof(uint32_t));
    if (table == NULL) {
        return NGX_ERROR;
    }

    j->table = table;
    j->size *= 2;
    j->used = 0;

    for (i = 0; i < j->rooms.nelts; i++) {
        ngx_sio_joining_index(j, i);
    }

    return NGX_OK;
}


static void
ngx_sio_joining_index(ngx_sio_joining_t *j, ngx_uint_t i)
{
    ngx_uint_t       n;
    ngx_sio_room_t  *room;

    room = j->rooms.elts;

    n = room[i].hash & (j->size - 1);

    while (j->table[n]) {
        n = (n + 1) & (j->size - 1);
    }

    j->table[n] = (uint32_t) i + 1;
    j->used++;
}


/* A room that was left keeps its place, without a name, until pack. */

static void
ngx_sio_joining_remove(ngx_sio_joining_t *j, uint64_t hash,
    const u_char *name, size_t len)
{
    ngx_sio_room_t  *room;

    room = ngx_sio_joining_find(j, hash, name, len);

    if (room) {
        room->name.len = 0;
    }
}


static void
ngx_sio_joining_pack(ngx_sio_joining_t *j)
{
    ngx_uint_t       i, n;
    ngx_sio_room_t  *room;

    room = j->rooms.elts;
    n = 0;

    for (i = 0; i < j->rooms.nelts; i++) {
        if (room[i].name.len) {
            room[n++] = room[i];
        }
    }

    j->rooms.nelts = n;
}


static ngx_sio_room_t *
ngx_sio_joining_find(ngx_sio_joining_t *j, uint64_t hash, const u_char *name,
    size_t len)
{
    ngx_uint_t       n;
    ngx_sio_room_t  *room;

    for (n = hash & (j->size - 1); j->table[n]; n = (n + 1) & (j->size - 1)) {

        room = (ngx_sio_room_t *) j->rooms.elts + j->table[n] - 1;

        if (room->hash == hash && room->name.len == len
            && ngx_memcmp(room->name.data, name, len) == 0)
        {
            return room;
        }
    }

    return NULL;
}


ngx_int_t
ngx_sio_joining_keep(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    size_t                      len;
    ngx_sio_joining_command_t  *cmd;

    len = sio_record_parts_at(rec);

    cmd = ngx_alloc(sizeof(ngx_sio_joining_command_t) + len, gw->log);
    if (cmd == NULL) {
        return NGX_ERROR;
    }

    cmd->rec = (sio_record_t *) (cmd + 1);
    ngx_memcpy(cmd->rec, rec, len);

    ngx_queue_insert_tail(&gw->commands, &cmd->link);

    return NGX_OK;
}


void
ngx_sio_joining_trim(ngx_sio_gateway_t *gw, uint64_t below)
{
    ngx_queue_t                *q;
    ngx_sio_joining_command_t  *cmd;

    while (!ngx_queue_empty(&gw->commands)) {
        q = ngx_queue_head(&gw->commands);
        cmd = ngx_queue_data(q, ngx_sio_joining_command_t, link);

        if (cmd->rec->offset >= below) {
            return;
        }

        ngx_queue_remove(q);
        ngx_free(cmd);
    }
}
