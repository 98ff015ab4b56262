
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_room_list.h"


static ngx_int_t ngx_sio_room_list_table(ngx_sio_room_list_t *list,
    ngx_uint_t size);
static void ngx_sio_room_list_index(ngx_sio_room_list_t *list, ngx_uint_t i);


ngx_int_t
ngx_sio_room_list_init(ngx_sio_room_list_t *list, const ngx_array_t *names,
    ngx_uint_t known, uint64_t seed, ngx_pool_t *pool)
{
    uint64_t     hash;
    ngx_str_t   *name;
    ngx_uint_t   i, size;

    list->pool = pool;

    /* a few more are often joined meanwhile */

    if (ngx_array_init(&list->rooms, pool, names->nelts + 4,
                       sizeof(ngx_sio_room_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (size = 16; size < names->nelts * 2; size *= 2) {
        /* void */
    }

    if (ngx_sio_room_list_table(list, size) != NGX_OK) {
        return NGX_ERROR;
    }

    name = names->elts;

    for (i = 0; i < names->nelts; i++) {
        hash = sio_hash(seed, name[i].data, name[i].len);

        if (ngx_sio_room_list_add(list, hash, name[i].data, name[i].len,
                                  i >= known)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_sio_room_list_add(ngx_sio_room_list_t *list, uint64_t hash,
    const u_char *name, size_t len, ngx_uint_t set)
{
    ngx_sio_room_t  *room;

    if (ngx_sio_room_list_find(list, hash, name, len)) {
        return NGX_OK;
    }

    if (list->rooms.nelts * 2 >= list->size
        && ngx_sio_room_list_table(list, list->size * 2) != NGX_OK)
    {
        return NGX_ERROR;
    }

    room = ngx_array_push(&list->rooms);
    if (room == NULL) {
        return NGX_ERROR;
    }

    room->hash = hash;
    room->name.data = (u_char *) name;
    room->name.len = len;
    room->set = set;

    ngx_sio_room_list_index(list, list->rooms.nelts - 1);

    return NGX_OK;
}


/* A table of that size, with all that are in the list. */

static ngx_int_t
ngx_sio_room_list_table(ngx_sio_room_list_t *list, ngx_uint_t size)
{
    uint32_t    *table;
    ngx_uint_t   i;

    table = ngx_pcalloc(list->pool, size * sizeof(uint32_t));
    if (table == NULL) {
        return NGX_ERROR;
    }

    list->table = table;
    list->size = size;

    for (i = 0; i < list->rooms.nelts; i++) {
        ngx_sio_room_list_index(list, i);
    }

    return NGX_OK;
}


static void
ngx_sio_room_list_index(ngx_sio_room_list_t *list, ngx_uint_t i)
{
    ngx_uint_t       n;
    ngx_sio_room_t  *room;

    room = list->rooms.elts;

    n = room[i].hash & (list->size - 1);

    while (list->table[n]) {
        n = (n + 1) & (list->size - 1);
    }

    list->table[n] = (uint32_t) i + 1;
}


void
ngx_sio_room_list_remove(ngx_sio_room_list_t *list, uint64_t hash,
    const u_char *name, size_t len)
{
    ngx_sio_room_t  *room;

    room = ngx_sio_room_list_find(list, hash, name, len);

    if (room) {
        room->name.len = 0;
    }
}


ngx_sio_room_t *
ngx_sio_room_list_find(ngx_sio_room_list_t *list, uint64_t hash,
    const u_char *name, size_t len)
{
    ngx_uint_t       n;
    ngx_sio_room_t  *room;

    for (n = hash & (list->size - 1);
         list->table[n];
         n = (n + 1) & (list->size - 1))
    {
        room = (ngx_sio_room_t *) list->rooms.elts + list->table[n] - 1;

        if (room->hash == hash && room->name.len == len
            && ngx_memcmp(room->name.data, name, len) == 0)
        {
            return room;
        }
    }

    return NULL;
}


void
ngx_sio_room_list_pack(ngx_sio_room_list_t *list)
{
    ngx_uint_t       i, n;
    ngx_sio_room_t  *room;

    room = list->rooms.elts;
    n = 0;

    for (i = 0; i < list->rooms.nelts; i++) {
        if (room[i].name.len) {
            room[n++] = room[i];
        }
    }

    list->rooms.nelts = n;
}
