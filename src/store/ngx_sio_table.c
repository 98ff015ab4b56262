
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_table.h"


void
ngx_sio_table_split_locked(ngx_sio_zone_t *z, const ngx_sio_table_t *t,
    uint32_t n)
{
    u_char    *record;
    uint32_t   i, old, moved, *link, *next;

    if (n < 2) {
        t->buckets[0] = 0;
        return;
    }

    /* the same without its highest bit */
    old = (n - 1) & ~(0x80000000 >> __builtin_clz(n - 1));

    link = &t->buckets[old];
    moved = 0;

    while (*link) {
        i = *link;

        record = (u_char *) t->records + i * t->size;
        next = (uint32_t *) (record + t->next);

        if (ngx_sio_table_bucket(t->hash(z, record), n) == old) {
            link = next;
            continue;
        }

        *link = *next;
        *next = moved;
        moved = i;
    }

    ngx_sio_step();

    t->buckets[n - 1] = moved;

    ngx_sio_step();
}
