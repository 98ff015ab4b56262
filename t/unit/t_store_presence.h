
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _T_STORE_PRESENCE_H_INCLUDED_
#define _T_STORE_PRESENCE_H_INCLUDED_


/*
 * A zone with an actor, users that come and go, and what the log says of them.
 */


#include "t_store.h"

#include "ngx_sio_nsp.h"
#include "ngx_sio_online.h"


#define T_ONLINE_SIZE     (sizeof(ngx_sio_zone_sh_t) + 768 * 1024)
#define T_ONLINE_LOG      (256 * 1024)
#define T_ONLINE_NAMES    300
#define T_ONLINE_FOREVER  1000000000           /* ms */


typedef struct {
    ngx_sio_zone_t          z;
    ngx_uint_t              slot;
    uint64_t                fence;
    ngx_sio_online_look_t   look;
    sio_buf_t               records;
    uint32_t                session;
    uint32_t                other;
    ngx_uint_t              cluster;
} t_online_t;


/* User n; each third name is a long one. */

static inline ngx_str_t
t_online_name(ngx_uint_t n)
{
    size_t         i;
    ngx_str_t      name;
    static u_char  buf[4][SIO_ROOM_LEN];

    name.data = buf[n % 4];
    name.len = sprintf((char *) name.data, "user \"%u\"", (unsigned) n);

    if (n % 3 == 0) {
        for (i = name.len; i < 60 + n; i++) {
            name.data[i] = 'a' + i % 26;
        }

        name.len = i;
    }

    return name;
}


static inline void
t_online_setup(t_online_t *t)
{
    ngx_memzero(t, sizeof(t_online_t));

    t_store_zone(&t->z, T_ONLINE_SIZE, T_ONLINE_LOG);
    ngx_sio_online_configure(&t->z, 1);

    t->slot = ngx_sio_worker_enter(&t->z, 0, 0);
    t->fence = ngx_sio_online_lease(&t->z, t->slot, 0);
    assert_true(t->fence);
}


static inline void
t_online_done(t_online_t *t)
{
    t_store_check(&t->z, "done", 0);
    sio_buf_free(&t->records);
    t_store_unmap(&t->z);
}


static inline uint32_t
t_online_open(t_online_t *t, ngx_uint_t user, ngx_uint_t n)
{
    uint32_t   i;
    ngx_str_t  name;

    name = t_online_name(user);
    i = t_store_open(&t->z, t->slot, n);

    t_store_must(i && t_store_connect(&t->z, i, n, &name, NULL, 0,
                                      T_ONLINE_LOG)
                      == NGX_OK);
    return i;
}


static inline uint32_t
t_online_find(t_online_t *t, ngx_uint_t user)
{
    ngx_str_t        name;
    ngx_sio_names_t  users;

    name = t_online_name(user);
    users = ngx_sio_name_users(&t->z);

    return ngx_sio_name_find_locked(&t->z, &users,
                                    sio_hash(t->z.sh->seed, name.data,
                                             name.len),
                                    0, name.data, name.len);
}


static inline uint32_t
t_online_flags(t_online_t *t, ngx_uint_t user)
{
    return t->z.online[t_online_find(t, user)].flags;
}


/* Announces until there is nothing more to do; returns how many. */

static inline ngx_uint_t
t_online_settle(t_online_t *t, ngx_msec_t linger)
{
    ngx_int_t   rc;
    ngx_uint_t  n, total;

    total = 0;

    do {
        /* the worker reads what it has written */
        (void) ngx_sio_log_advance(&t->z, t->slot, ngx_sio_log_head(&t->z));

        rc = ngx_sio_online_settle(&t->z, t->fence, &t->look, linger,
                                   t->cluster, 0, &t->records, &n);
        t_store_must(rc == NGX_OK || rc == NGX_AGAIN);
        t_store_must(n <= NGX_SIO_ONLINE_BATCH);

        total += n;

    } while (rc == NGX_AGAIN || n);

    return total;
}


/* What the log says about a user: 1, 0, or -1 if nothing; and how often. */

static inline int
t_online_said(t_online_t *t, ngx_uint_t user, ngx_uint_t *times)
{
    int            said;
    u_char         buf[4096];
    uint64_t       off;
    sio_str_t      arg;
    ngx_str_t      name;
    sio_record_t   rec;

    said = -1;
    *times = 0;
    name = t_online_name(user);

    for (off = t->z.log_size;
         ngx_sio_log_next(&t->z, &off, &rec) == NGX_OK;
         off += rec.size)
    {
        if (rec.type != SIO_RECORD_EMIT || !(rec.flags & SIO_RECORD_PRESENCE))
        {
            continue;
        }

        t_store_must(rec.size <= sizeof(buf)
                     && ngx_sio_log_copy(&t->z, off, 0, buf, rec.size)
                        == NGX_OK);

        arg = sio_record_name((sio_record_t *) buf, 0);

        if (arg.len == name.len
            && ngx_memcmp(arg.data, name.data, name.len) == 0)
        {
            said = (int) rec.arg;
            (*times)++;
        }
    }

    return said;
}


static inline void
t_online_says(t_online_t *t, ngx_uint_t user, int said, ngx_uint_t times)
{
    ngx_uint_t  n;

    assert_int_equal(t_online_said(t, user, &n), said);
    assert_int_equal(n, times);
}


static inline void
t_online_close(t_online_t *t, uint32_t i)
{
    t_store_must(t_store_close(&t->z, i) == NGX_OK);
}


typedef struct {
    ngx_sio_online_ref_t    ref[T_ONLINE_NAMES];
    ngx_uint_t              n;
} t_online_refs_t;


static inline void
t_online_each(void *data, const ngx_sio_online_ref_t *ref, ngx_str_t *user)
{
    t_online_refs_t *refs = data;

    refs->ref[refs->n++] = *ref;
}


#endif /* _T_STORE_PRESENCE_H_INCLUDED_ */
