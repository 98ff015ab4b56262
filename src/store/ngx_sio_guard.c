
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_guard.h"


#if (NGX_SIO_CHECK)


#define NGX_SIO_GUARD_WORDS  (NGX_SIO_GUARD_SIZE / sizeof(uint64_t))
#define NGX_SIO_GUARD_WORD   0xfacade5afe5eba11ULL


typedef struct {
    const char  *before;            /* what ends in front of the guard */
    size_t       offset;            /* in the view: what begins behind it */
} ngx_sio_guard_t;


static uint64_t *ngx_sio_guard_words(ngx_sio_zone_t *z,
    const ngx_sio_guard_t *g);


static const ngx_sio_guard_t  ngx_sio_guards[] = {
    { "the head of the zone", offsetof(ngx_sio_zone_t, eio_table) },
    { "the table of eio_sid", offsetof(ngx_sio_zone_t, sid_table) },
    { "the table of sid", offsetof(ngx_sio_zone_t, room_table) },
    { "the table of rooms", offsetof(ngx_sio_zone_t, user_table) },
    { "the table of users", offsetof(ngx_sio_zone_t, sessions) },
    { "the sessions", offsetof(ngx_sio_zone_t, users) },
    { "the users", offsetof(ngx_sio_zone_t, online) },
    { "the presence of users", offsetof(ngx_sio_zone_t, rooms) },
    { "the rooms", offsetof(ngx_sio_zone_t, tails) },
    { "the tails", offsetof(ngx_sio_zone_t, chunks) },
    { "the chunks", offsetof(ngx_sio_zone_t, limits) },
    { "the limits", offsetof(ngx_sio_zone_t, keys) },
    { "the keys", offsetof(ngx_sio_zone_t, rates) },
    { "the rates", offsetof(ngx_sio_zone_t, key_table) },
    { "the table of keys", offsetof(ngx_sio_zone_t, log) },
};

#define NGX_SIO_GUARDS                                                        \
    (sizeof(ngx_sio_guards) / sizeof(ngx_sio_guard_t))


void
ngx_sio_guard_set(ngx_sio_zone_t *z)
{
    uint64_t    *word;
    ngx_uint_t   i, n;

    for (i = 0; i < NGX_SIO_GUARDS; i++) {

        word = ngx_sio_guard_words(z, &ngx_sio_guards[i]);

        for (n = 0; n < NGX_SIO_GUARD_WORDS; n++) {
            word[n] = NGX_SIO_GUARD_WORD;
        }
    }
}


ngx_uint_t
ngx_sio_guard_check(ngx_sio_zone_t *z, char *text, size_t size)
{
    uint64_t    *word;
    ngx_uint_t   i, n, bad;

    bad = 0;

    for (i = 0; i < NGX_SIO_GUARDS; i++) {

        word = ngx_sio_guard_words(z, &ngx_sio_guards[i]);

        for (n = 0; n < NGX_SIO_GUARD_WORDS; n++) {

            if (word[n] == NGX_SIO_GUARD_WORD) {
                continue;
            }

            if (bad++ == 0) {
                (void) snprintf(text, size, "written behind %s: word %u",
                                ngx_sio_guards[i].before, (unsigned) n);
            }
        }
    }

    return bad;
}


static uint64_t *
ngx_sio_guard_words(ngx_sio_zone_t *z, const ngx_sio_guard_t *g)
{
    u_char  *behind;

    behind = *(u_char **) ((u_char *) z + g->offset);

    return (uint64_t *) (behind - NGX_SIO_GUARD_SIZE);
}


#endif
