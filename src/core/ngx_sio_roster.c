
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_roster.h"

#include <sio_json.h>


#define NGX_SIO_ROSTER_LEAST  64


typedef struct {
    uint64_t                  hash;
    u_char                   *text;            /* heap; quoted */
    uint32_t                  len;
    uint32_t                  next;            /* in its chain: index plus one;
                                                  0: the last */
} ngx_sio_roster_user_t;


struct ngx_sio_roster_s {
    ngx_log_t                *log;
    ngx_sio_roster_user_t    *users;           /* in no order */
    uint32_t                 *table;           /* by hash: index plus one */
    uint32_t                  n;
    uint32_t                  size;            /* of both, a power of two */
    size_t                    len;             /* of all texts */
    ngx_sio_shared_t         *text;            /* NULL: to be made */
    sio_buf_t                 quoted;
};


static uint32_t *ngx_sio_roster_find(ngx_sio_roster_t *roster, uint64_t hash,
    const sio_buf_t *quoted);
static ngx_int_t ngx_sio_roster_add(ngx_sio_roster_t *roster, uint64_t hash);
static ngx_int_t ngx_sio_roster_grow(ngx_sio_roster_t *roster);
static void ngx_sio_roster_remove(ngx_sio_roster_t *roster, uint32_t *link);
static void ngx_sio_roster_changed(ngx_sio_roster_t *roster);


#define ngx_sio_roster_bucket(roster, hash)                                   \
    (&(roster)->table[(hash) & ((roster)->size - 1)])


ngx_sio_roster_t *
ngx_sio_roster_create(ngx_log_t *log)
{
    ngx_sio_roster_t  *roster;

    roster = ngx_calloc(sizeof(ngx_sio_roster_t), log);
    if (roster == NULL) {
        return NULL;
    }

    roster->log = log;

    if (ngx_sio_roster_grow(roster) != NGX_OK) {
        ngx_sio_roster_free(roster);
        return NULL;
    }

    return roster;
}


void
ngx_sio_roster_free(ngx_sio_roster_t *roster)
{
    ngx_sio_roster_clear(roster);

    if (roster->users) {
        ngx_free(roster->users);
        ngx_free(roster->table);
    }

    sio_buf_free(&roster->quoted);
    ngx_free(roster);
}


void
ngx_sio_roster_clear(ngx_sio_roster_t *roster)
{
    uint32_t  i;

    for (i = 0; i < roster->n; i++) {
        ngx_free(roster->users[i].text);
    }

    if (roster->table) {
        ngx_memzero(roster->table, roster->size * sizeof(uint32_t));
    }

    roster->n = 0;
    roster->len = 0;

    ngx_sio_roster_changed(roster);
}


static void
ngx_sio_roster_changed(ngx_sio_roster_t *roster)
{
    if (roster->text) {
        ngx_sio_shared_release(roster->text);
        roster->text = NULL;
    }
}


ngx_int_t
ngx_sio_roster_set(ngx_sio_roster_t *roster, uint64_t hash,
    const sio_str_t *user, ngx_uint_t online)
{
    uint32_t  *link;

    roster->quoted.len = 0;

    if (sio_json_quote(&roster->quoted, user->data, user->len) != SIO_OK) {
        return NGX_ERROR;
    }

    link = ngx_sio_roster_find(roster, hash, &roster->quoted);

    if ((*link != 0) == (online != 0)) {
        return NGX_DONE;
    }

    if (!online) {
        ngx_sio_roster_remove(roster, link);

    } else if (ngx_sio_roster_add(roster, hash) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sio_roster_changed(roster);

    return NGX_OK;
}


/* The link to a user, or the one at the end of its chain. */

static uint32_t *
ngx_sio_roster_find(ngx_sio_roster_t *roster, uint64_t hash,
    const sio_buf_t *quoted)
{
    uint32_t               *link;
    ngx_sio_roster_user_t  *user;

    for (link = ngx_sio_roster_bucket(roster, hash); *link; link = &user->next)
    {
        user = &roster->users[*link - 1];

        if (user->hash == hash && user->len == quoted->len
            && ngx_memcmp(user->text, quoted->data, quoted->len) == 0)
        {
            break;
        }
    }

    return link;
}


/* Adds the user whose quoted name is at hand. */

static ngx_int_t
ngx_sio_roster_add(ngx_sio_roster_t *roster, uint64_t hash)
{
    u_char                 *text;
    uint32_t               *bucket;
    ngx_sio_roster_user_t  *user;

    if (roster->n == roster->size && ngx_sio_roster_grow(roster) != NGX_OK) {
        return NGX_ERROR;
    }

    text = ngx_alloc(roster->quoted.len, roster->log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text, roster->quoted.data, roster->quoted.len);

    bucket = ngx_sio_roster_bucket(roster, hash);
    user = &roster->users[roster->n++];

    user->hash = hash;
    user->text = text;
    user->len = (uint32_t) roster->quoted.len;
    user->next = *bucket;

    *bucket = roster->n;

    roster->len += user->len;

    return NGX_OK;
}


static ngx_int_t
ngx_sio_roster_grow(ngx_sio_roster_t *roster)
{
    uint32_t                i, size, *table, *bucket;
    ngx_sio_roster_user_t  *users;

    size = roster->size ? roster->size * 2 : NGX_SIO_ROSTER_LEAST;

    users = ngx_alloc(size * sizeof(ngx_sio_roster_user_t), roster->log);
    if (users == NULL) {
        return NGX_ERROR;
    }

    table = ngx_calloc(size * sizeof(uint32_t), roster->log);
    if (table == NULL) {
        ngx_free(users);
        return NGX_ERROR;
    }

    if (roster->users) {
        ngx_memcpy(users, roster->users,
                   roster->n * sizeof(ngx_sio_roster_user_t));

        ngx_free(roster->users);
        ngx_free(roster->table);
    }

    roster->users = users;
    roster->table = table;
    roster->size = size;

    for (i = 0; i < roster->n; i++) {
        bucket = ngx_sio_roster_bucket(roster, users[i].hash);
        users[i].next = *bucket;
        *bucket = i + 1;
    }

    return NGX_OK;
}


/* The last one takes the place of the one that goes. */

static void
ngx_sio_roster_remove(ngx_sio_roster_t *roster, uint32_t *link)
{
    uint32_t                i;
    ngx_sio_roster_user_t  *user, *last;

    i = *link;
    user = &roster->users[i - 1];
    last = &roster->users[roster->n - 1];

    *link = user->next;

    roster->len -= user->len;
    ngx_free(user->text);

    if (user != last) {
        link = ngx_sio_roster_bucket(roster, last->hash);

        while (*link != roster->n) {
            link = &roster->users[*link - 1].next;
        }

        *link = i;
        *user = *last;
    }

    roster->n--;
}


ngx_uint_t
ngx_sio_roster_has(ngx_sio_roster_t *roster, uint64_t hash)
{
    uint32_t  i;

    for (i = *ngx_sio_roster_bucket(roster, hash);
         i;
         i = roster->users[i - 1].next)
    {
        if (roster->users[i - 1].hash == hash) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_sio_roster_count(ngx_sio_roster_t *roster)
{
    return roster->n;
}


ngx_sio_shared_t *
ngx_sio_roster_text(ngx_sio_roster_t *roster)
{
    size_t                  commas;
    u_char                 *p;
    uint32_t                i;
    ngx_sio_roster_user_t  *user;

    if (roster->text) {
        return roster->text;
    }

    commas = roster->n ? roster->n - 1 : 0;

    roster->text = ngx_sio_shared_create(roster->len + commas, roster->log);
    if (roster->text == NULL) {
        return NULL;
    }

    p = roster->text->data;

    for (i = 0; i < roster->n; i++) {

        if (i) {
            *p++ = ',';
        }

        user = &roster->users[i];
        p = ngx_cpymem(p, user->text, user->len);
    }

    return roster->text;
}
