
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_guard.h"


#if (NGX_SIO_CHECK)


/* What byte i of a guard is: never 0, and not that of its neighbours. */
#define ngx_sio_guard_byte(i)  ((u_char) (0xa5 + 58 * (i)))


/* An array, by where its numbers are in the view and in the header. */

typedef struct {
    const char  *name;
    size_t       array;             /* in the view: where it begins */
    size_t       total;             /* in the header: how many there are, */
    size_t       more;              /*   and how many more in the array, */
    size_t       size;              /*   each of this size */
} ngx_sio_guard_t;


#define ngx_sio_guard_of(name, array, total, more)                            \
    { name, offsetof(ngx_sio_zone_t, array),                                  \
      offsetof(ngx_sio_zone_sh_t, total), more,                               \
      sizeof(*((ngx_sio_zone_t *) 0)->array) }


static u_char *ngx_sio_guard_begin(ngx_sio_zone_t *z, ngx_uint_t i,
    const char **name);
static size_t ngx_sio_guard_len(u_char *p);


/* Index 0 of a table is a bucket like others, that of records is none. */

static const ngx_sio_guard_t  ngx_sio_guards[] = {
    ngx_sio_guard_of("the table of eio_sid", eio_table, nsessions, 0),
    ngx_sio_guard_of("the table of sid", sid_table, nsessions, 0),
    ngx_sio_guard_of("the table of rooms", room_table, nrooms, 0),
    ngx_sio_guard_of("the table of users", user_table, nusers, 0),
    ngx_sio_guard_of("the sessions", sessions, nsessions, 1),
    ngx_sio_guard_of("the users", users, nusers, 1),
    ngx_sio_guard_of("the presence of users", online, nusers, 1),
    ngx_sio_guard_of("the rooms", rooms, nrooms, 1),
    ngx_sio_guard_of("the tails", tails, ntails, 1),
    ngx_sio_guard_of("the chunks", chunks, nchunks, 1),
    ngx_sio_guard_of("the limits", limits, nsessions, 1),
    ngx_sio_guard_of("the keys", keys, nkeys, 1),
    ngx_sio_guard_of("the rates", rates, nsessions, 1),
    ngx_sio_guard_of("the table of keys", key_table, nkeys, 0)
};

#define NGX_SIO_GUARDS                                                        \
    (sizeof(ngx_sio_guards) / sizeof(ngx_sio_guard_t))


void
ngx_sio_guard_set(ngx_sio_zone_t *z)
{
    u_char      *p;
    size_t       n, len;
    ngx_uint_t   i;
    const char  *name;

    for (i = 0; i < NGX_SIO_GUARDS + 2; i++) {

        p = ngx_sio_guard_begin(z, i, &name);
        len = ngx_sio_guard_len(p);

        for (n = 0; n < len; n++) {
            p[n] = ngx_sio_guard_byte(n);
        }
    }
}


ngx_uint_t
ngx_sio_guard_check(ngx_sio_zone_t *z, char *text, size_t size)
{
    u_char      *p;
    size_t       n, len;
    ngx_uint_t   i, bad;
    const char  *name;

    bad = 0;

    for (i = 0; i < NGX_SIO_GUARDS + 2; i++) {

        p = ngx_sio_guard_begin(z, i, &name);
        len = ngx_sio_guard_len(p);

        for (n = 0; n < len; n++) {

            if (p[n] == ngx_sio_guard_byte(n)) {
                continue;
            }

            if (bad++ == 0) {
                (void) snprintf(text, size, "written behind %s: byte %u",
                                name, (unsigned) n);
            }
        }
    }

    return bad;
}


/* Those of the arrays, then that of the header, and that of the log. */

static u_char *
ngx_sio_guard_begin(ngx_sio_zone_t *z, ngx_uint_t i, const char **name)
{
    u_char                 *array;
    uint32_t                total;
    const ngx_sio_guard_t  *g;

    if (i == NGX_SIO_GUARDS) {
        *name = "the head of the zone";
        return (u_char *) (z->sh + 1);
    }

    if (i > NGX_SIO_GUARDS) {
        *name = "the log";
        return z->log + z->log_size;
    }

    g = &ngx_sio_guards[i];
    *name = g->name;

    array = *(u_char **) ((u_char *) z + g->array);
    total = *(uint32_t *) ((u_char *) z->sh + g->total);

    return array + (total + g->more) * g->size;
}


/* An array ends anywhere, what follows the guard begins with a line. */

static size_t
ngx_sio_guard_len(u_char *p)
{
    return ngx_align_ptr(p, NGX_SIO_LINE) - p + NGX_SIO_GUARD_SIZE;
}


#endif
