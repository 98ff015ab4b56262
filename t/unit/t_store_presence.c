
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * Who is online: counted, announced, reported; and whoever dies on the way is
 * succeeded by one who makes the log say what is true.
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


typedef void (*t_online_pt)(t_online_t *t);

typedef struct {
    const char             *name;
    t_online_pt             prepare;
    t_online_pt             run;
    ngx_uint_t              least;
} t_online_operation_t;


/* User n; each third name is a long one. */

static ngx_str_t
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


static void
t_online_setup(t_online_t *t)
{
    ngx_memzero(t, sizeof(t_online_t));

    t_store_zone(&t->z, T_ONLINE_SIZE, T_ONLINE_LOG);
    ngx_sio_online_configure(&t->z, 1);

    t->slot = ngx_sio_worker_enter(&t->z, 0, 0);
    t->fence = ngx_sio_online_lease(&t->z, t->slot, 0);
    assert_true(t->fence);
}


static void
t_online_done(t_online_t *t)
{
    t_store_check(&t->z, "done", 0);
    sio_buf_free(&t->records);
    t_store_unmap(&t->z);
}


static uint32_t
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


static uint32_t
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


static uint32_t
t_online_flags(t_online_t *t, ngx_uint_t user)
{
    return t->z.online[t_online_find(t, user)].flags;
}


/* Announces until there is nothing more to do; returns how many. */

static ngx_uint_t
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

static int
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


static void
t_online_says(t_online_t *t, ngx_uint_t user, int said, ngx_uint_t times)
{
    ngx_uint_t  n;

    assert_int_equal(t_online_said(t, user, &n), said);
    assert_int_equal(n, times);
}


static void
t_online_close(t_online_t *t, uint32_t i)
{
    t_store_must(t_store_close(&t->z, i) == NGX_OK);
}


/* A user comes with the first socket, and goes with the last. */

static void
t_online_count(void **state)
{
    uint32_t               a, b, u;
    t_online_t             t;
    ngx_sio_presence_sh_t  *pr;

    t_online_setup(&t);
    pr = &t.z.sh->presence;

    a = t_online_open(&t, 1, 1);
    u = t_online_find(&t, 1);
    assert_int_equal(t.z.online[u].sockets, 1);
    assert_int_equal(t.z.online[u].flags, NGX_SIO_ONLINE_LOCAL);
    assert_true(t.z.sessions[a].flags & NGX_SIO_PRESENT);
    assert_int_equal(pr->local, 1);

    b = t_online_open(&t, 1, 2);
    assert_int_equal(t.z.online[u].sockets, 2);
    assert_int_equal(t_online_settle(&t, T_ONLINE_FOREVER), 1);
    t_online_says(&t, 1, 1, 1);
    assert_int_equal(pr->announced, 1);
    t_store_check(&t.z, "two", 0);

    /* a tab more or less is nothing to speak of */

    t_online_close(&t, a);
    assert_int_equal(t.z.online[u].gone, 0);
    assert_int_equal(t_online_settle(&t, 0), 0);

    assert_int_equal(t_store_disconnect(&t.z, b), NGX_OK);
    assert_int_equal(t.z.online[u].sockets, 0);
    assert_true(t.z.online[u].gone);
    t_store_check(&t.z, "lingers", 0);
    assert_int_equal(t_online_settle(&t, T_ONLINE_FOREVER), 0);

    /* back in time */

    a = t_online_open(&t, 1, 3);
    assert_int_equal(t.z.online[u].gone, 0);
    assert_int_equal(pr->flaps, 1);
    assert_int_equal(t_online_settle(&t, 0), 0);

    t_online_close(&t, a);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 0, 2);
    assert_int_equal(t.z.online[u].flags, 0);
    assert_int_equal(pr->transitions, 2);

    t_online_close(&t, b);
    t_store_is_empty(&t.z);
    assert_int_equal(pr->held, 0);

    t_online_done(&t);
}


/* Who is gone before he was announced is not spoken of. */

static void
t_online_unheard(void **state)
{
    t_online_t  t;

    t_online_setup(&t);

    t_online_close(&t, t_online_open(&t, 1, 1));
    assert_int_equal(t_online_settle(&t, 0), 0);
    t_online_says(&t, 1, -1, 0);
    t_store_is_empty(&t.z);

    t_online_done(&t);
}


/* The parked are gone; whoever adopts their socket is back. */

static void
t_online_parked(void **state)
{
    uint32_t    a, b, u;
    t_online_t  t;

    t_online_setup(&t);

    a = t_online_open(&t, 1, 1);
    u = t_online_find(&t, 1);
    (void) t_online_settle(&t, T_ONLINE_FOREVER);

    assert_int_equal(ngx_sio_session_park(&t.z, a, t_store_ticket(&t.z, a),
                                          T_ONLINE_LOG,
                                          ngx_sio_zone_now() + 10000),
                     NGX_OK);
    assert_int_equal(t.z.sessions[a].flags & NGX_SIO_PRESENT, 0);
    assert_true(t.z.online[u].gone);
    t_store_check(&t.z, "parked", 0);
    assert_int_equal(t_online_settle(&t, 0), 1);

    b = t_store_open(&t.z, t.slot, 2);

    assert_int_equal(ngx_sio_zone_lock(&t.z), NGX_OK);
    assert_int_equal(ngx_sio_session_adopt_locked(&t.z, b, a, T_ONLINE_LOG),
                     NGX_OK);
    ngx_sio_zone_unlock(&t.z);

    assert_int_equal(t.z.online[u].sockets, 1);
    assert_true(t.z.sessions[b].flags & NGX_SIO_PRESENT);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 1, 3);

    t_online_done(&t);
}


/* Only "/" counts, and only users. */

static void
t_online_spaces(void **state)
{
    uint32_t    a, b;
    uint16_t    nsp;
    ngx_str_t   name, admin = ngx_string("/admin");
    t_online_t  t;

    t_online_setup(&t);
    assert_int_equal(ngx_sio_nsp_add(&t.z, &admin, &nsp), NGX_OK);

    a = t_store_open(&t.z, t.slot, 1);
    b = t_store_branch(&t.z, a, nsp, t.slot, 0);
    name = t_online_name(1);

    assert_int_equal(t_store_connect(&t.z, b, 2, &name, NULL, 0, 1), NGX_OK);
    assert_int_equal(t_store_connect(&t.z, a, 1, NULL, NULL, 0, 1), NGX_OK);

    assert_int_equal(t_online_settle(&t, 0), 0);
    assert_int_equal(t.z.sh->presence.held, 0);

    t_online_done(&t);
}


/* The lease: one actor, whose calls count until there is another one. */

static void
t_online_lease(void **state)
{
    pid_t        pid;
    uint64_t     fence;
    ngx_uint_t   n;
    t_online_t   t;

    t_online_setup(&t);

    pid = t_store_fork();

    if (pid == 0) {
        n = ngx_sio_worker_enter(&t.z, 1, 0);
        t_store_must(n == 2);

        /* it is taken, until its holder is silent */
        t_store_must(ngx_sio_online_lease(&t.z, n, 0) == 0);
        t.z.sh->presence.deadline = ngx_sio_zone_now();
        t_store_must(ngx_sio_online_lease(&t.z, n, 0) == t.fence + 1);
        t_store_must(ngx_sio_online_lease(&t.z, n, t.fence + 1)
                     == t.fence + 1);
        _exit(0);
    }

    t_store_finished(pid);

    (void) t_online_open(&t, 1, 1);
    assert_int_equal(ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 0, 0,
                                           &t.records, &n),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_online_forget(&t.z, t.fence), NGX_DECLINED);
    t_online_says(&t, 1, -1, 0);

    /* its holder is dead */

    fence = ngx_sio_online_lease(&t.z, t.slot, t.fence);
    assert_int_equal(fence, t.fence + 2);

    t.fence = fence;
    assert_int_equal(t_online_settle(&t, 0), 1);

    /* a worker that leaves takes it along */

    ngx_sio_worker_leave(&t.z, t.slot, 0);
    assert_int_equal(t.z.sh->presence.slot, 0);

    t_online_done(&t);
}


/* So many at once, and all of them in the end. */

static void
t_online_batches(void **state)
{
    ngx_int_t   rc;
    ngx_uint_t  n, i;
    t_online_t  t;

    t_online_setup(&t);

    for (i = 0; i < T_ONLINE_NAMES; i++) {
        (void) t_online_open(&t, i, i);
    }

    rc = ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 0, 0, &t.records,
                               &n);
    assert_int_equal(rc, NGX_AGAIN);
    assert_true(n > 0 && n <= NGX_SIO_ONLINE_BATCH);

    n += t_online_settle(&t, 0);
    assert_int_equal(n, T_ONLINE_NAMES);
    assert_int_equal(t.z.sh->presence.announced, T_ONLINE_NAMES);
    assert_int_equal(t.z.sh->presence.last, ngx_sio_log_head(&t.z));

    /* without news nobody looks */

    assert_true(t.look.looked);
    t.z.online[1].flags = 0;
    assert_int_equal(t_online_settle(&t, 0), 0);
    t.z.online[1].flags = NGX_SIO_ONLINE_LOCAL|NGX_SIO_ONLINE_ANNOUNCED;

    t_online_done(&t);
}


/* A log without room, because a worker does not read: it is said later. */

static void
t_online_full(void **state)
{
    uint32_t    a;
    ngx_int_t   rc;
    ngx_uint_t  n, i, total;
    t_online_t  t;

    t_online_setup(&t);

    total = 0;
    rc = NGX_OK;

    for (i = 0; i < 5000 && rc == NGX_OK; i++) {

        a = t_online_open(&t, 299, 1);
        rc = ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 0, 0,
                                   &t.records, &n);
        total += n;

        if (rc == NGX_OK) {
            t_online_close(&t, a);
            rc = ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 0, 0,
                                       &t.records, &n);
            total += n;
        }
    }

    assert_int_equal(rc, NGX_AGAIN);
    assert_int_equal(n, 0);
    assert_true(total > 100);
    assert_int_equal(t.z.sh->presence.announced, total % 2);

    (void) ngx_sio_log_advance(&t.z, t.slot, ngx_sio_log_head(&t.z));
    assert_int_equal(t_online_settle(&t, 0), 1);
    assert_int_equal(t.z.sh->presence.announced, 1 - total % 2);

    t_online_done(&t);
}


typedef struct {
    ngx_sio_online_ref_t    ref[T_ONLINE_NAMES];
    ngx_uint_t              n;
} t_online_refs_t;


static void
t_online_each(void *data, const ngx_sio_online_ref_t *ref, ngx_str_t *user)
{
    t_online_refs_t *refs = data;

    refs->ref[refs->n++] = *ref;
}


/* What Redis is told, and told again when it has forgotten. */

static void
t_online_report(void **state)
{
    uint32_t                a, b;
    ngx_str_t               user;
    ngx_uint_t              unlisted;
    t_online_t              t;
    t_online_refs_t         refs;
    ngx_sio_online_look_t   look;

    t_online_setup(&t);
    t.cluster = 1;
    ngx_memzero(&look, sizeof(ngx_sio_online_look_t));
    refs.n = 0;

    a = t_online_open(&t, 1, 1);
    (void) t_online_open(&t, 2, 2);

    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 1),
                     NGX_AGAIN);
    refs.n = 0;
    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 9),
                     NGX_OK);
    assert_int_equal(refs.n, 2);
    assert_int_equal(refs.ref[0].online, 1);
    assert_int_equal(ngx_sio_online_reported(&t.z, t.fence, refs.ref, 2),
                     NGX_OK);
    assert_int_equal(t_online_flags(&t, 1),
                     NGX_SIO_ONLINE_LOCAL|NGX_SIO_ONLINE_REPORTED
                     |NGX_SIO_ONLINE_CLUSTER);

    refs.n = 0;
    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 9),
                     NGX_OK);
    assert_int_equal(refs.n, 0);
    assert_true(look.looked);

    /* who is reported is in the list; others come when the cluster says so */

    b = t_online_open(&t, 3, 3);
    assert_int_equal(t_online_settle(&t, 0), 2);
    t_online_says(&t, 1, 1, 1);
    assert_int_equal(t_online_flags(&t, 3), NGX_SIO_ONLINE_LOCAL);
    t_online_close(&t, b);
    assert_int_equal(t_online_settle(&t, 0), 0);
    assert_int_equal(t_online_find(&t, 3), 0);

    /* gone, when the linger is over */

    t_online_close(&t, a);
    assert_int_equal(t_online_settle(&t, 0), 0);
    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 9),
                     NGX_OK);
    assert_int_equal(refs.n, 1);
    assert_int_equal(refs.ref[0].online, 0);

    /* a record that is somebody else's by now stays as it is */

    refs.ref[0].hash++;
    assert_int_equal(ngx_sio_online_reported(&t.z, t.fence, refs.ref, 1),
                     NGX_OK);
    assert_int_equal(t_online_flags(&t, 1),
                     NGX_SIO_ONLINE_REPORTED|NGX_SIO_ONLINE_CLUSTER
                     |NGX_SIO_ONLINE_ANNOUNCED);
    refs.ref[0].hash--;
    assert_int_equal(ngx_sio_online_reported(&t.z, t.fence, refs.ref, 1),
                     NGX_OK);
    assert_int_equal(t_online_flags(&t, 1),
                     NGX_SIO_ONLINE_CLUSTER|NGX_SIO_ONLINE_ANNOUNCED);

    user = t_online_name(1);
    unlisted = 0;
    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, &user,
                                            (u_char *) "", 1, &unlisted, NULL),
                     NGX_OK);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 0, 2);
    assert_int_equal(t_online_find(&t, 1), 0);

    assert_int_equal(ngx_sio_online_forget(&t.z, t.fence), NGX_OK);
    assert_int_equal(t_online_flags(&t, 2),
                     NGX_SIO_ONLINE_LOCAL|NGX_SIO_ONLINE_CLUSTER
                     |NGX_SIO_ONLINE_ANNOUNCED);

    t_online_done(&t);
}


static void
t_online_stray(void *data, const ngx_str_t *user)
{
    ngx_uint_t *strays = data;

    (*strays)++;
}


/* What Redis has of this node is what was reported, whatever was thought. */

static void
t_online_own(void **state)
{
    ngx_str_t              users[3];
    ngx_uint_t             strays;
    t_online_t             t;
    t_online_refs_t        refs;
    ngx_sio_online_look_t  look;

    t_online_setup(&t);
    t.cluster = 1;
    ngx_memzero(&look, sizeof(ngx_sio_online_look_t));

    (void) t_online_open(&t, 1, 1);
    (void) t_online_open(&t, 2, 2);
    t_online_close(&t, t_online_open(&t, 3, 3));
    assert_int_equal(t_online_settle(&t, T_ONLINE_FOREVER), 0);

    users[0] = t_online_name(2);
    users[1] = t_online_name(3);
    users[2] = t_online_name(4);
    strays = 0;

    assert_int_equal(ngx_sio_online_own(&t.z, t.fence + 1, users, 3,
                                        t_online_stray, &strays),
                     NGX_DECLINED);
    assert_int_equal(ngx_sio_online_own(&t.z, t.fence, users, 3,
                                        t_online_stray, &strays),
                     NGX_OK);
    assert_int_equal(strays, 1);
    assert_int_equal(t_online_flags(&t, 2),
                     NGX_SIO_ONLINE_LOCAL|NGX_SIO_ONLINE_REPORTED);

    /* 1 is to be told of, and 3, when the linger is over, is not there */

    assert_int_equal(t_online_settle(&t, 0), 0);
    assert_int_equal(t_online_flags(&t, 3), NGX_SIO_ONLINE_REPORTED);

    refs.n = 0;
    assert_int_equal(ngx_sio_online_unreported(&t.z, t.fence, &look,
                                               t_online_each, &refs, 9),
                     NGX_OK);
    assert_int_equal(refs.n, 2);
    assert_int_equal(refs.ref[0].online + refs.ref[1].online, 1);

    assert_int_equal(ngx_sio_online_reported(&t.z, t.fence, refs.ref, 2),
                     NGX_OK);
    assert_int_equal(t_online_find(&t, 3), 0);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 1, 1);

    t_online_done(&t);
}


/* Users of other nodes, as long as there is room. */

static void
t_online_cluster(void **state)
{
    u_char      met[T_ONLINE_SIZE / 8], off[2] = { 0, 0 };
    u_char     *names;
    ngx_str_t   users[2], *many;
    ngx_uint_t  unlisted, i, n;
    t_online_t  t;

    t_online_setup(&t);
    t.cluster = 1;
    unlisted = 0;

    (void) t_online_open(&t, 2, 2);
    users[0] = t_online_name(1);
    users[1] = t_online_name(2);

    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, users, NULL, 2,
                                            &unlisted, NULL),
                     NGX_OK);
    assert_int_equal(t_online_settle(&t, 0), 2);
    t_online_says(&t, 1, 1, 1);
    t_online_says(&t, 2, 1, 1);

    /* the whole list: the other one is not in it */

    ngx_memzero(met, sizeof(met));
    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, users + 1, NULL, 1,
                                            &unlisted, met),
                     NGX_OK);
    assert_int_equal(ngx_sio_online_others(&t.z, t.fence, met), NGX_OK);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 1, 0, 2);
    assert_int_equal(t_online_find(&t, 1), 0);

    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, users, off, 2,
                                            &unlisted, NULL),
                     NGX_OK);
    assert_int_equal(t_online_settle(&t, 0), 1);
    t_online_says(&t, 2, 0, 2);
    assert_int_equal(t_online_flags(&t, 2), NGX_SIO_ONLINE_LOCAL);
    assert_int_equal(unlisted, 0);

    /* a quarter is for this node */

    n = t.z.sh->nusers;
    many = calloc(n, sizeof(ngx_str_t));
    names = calloc(n, 16);
    assert_non_null(many);
    assert_non_null(names);

    for (i = 0; i < n; i++) {
        many[i].data = names + 16 * i;
        many[i].len = sprintf((char *) many[i].data, "far %u", (unsigned) i);
    }

    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, many, NULL, n,
                                            &unlisted, NULL),
                     NGX_OK);
    assert_true(unlisted >= n / 4 - 2 && unlisted < n / 4 + 2);
    assert_int_equal(t_online_settle(&t, 0), n - unlisted);

    free(many);
    free(names);

    t_online_done(&t);
}


/* A node that is not to speak of presence any more forgets all of it. */

static void
t_online_drop(void **state)
{
    uint32_t    a;
    t_online_t  t;

    t_online_setup(&t);

    a = t_online_open(&t, 1, 1);
    (void) t_online_settle(&t, 0);
    t_online_close(&t, t_online_open(&t, 3, 3));

    ngx_sio_online_configure(&t.z, 0);

    /* not as long as there is an actor */

    ngx_sio_online_drop(&t.z);
    assert_int_equal(t.z.sh->presence.held, 2);

    t.z.sh->presence.deadline = 0;
    ngx_sio_online_drop(&t.z);

    assert_int_equal(t.z.sh->presence.held, 0);
    assert_int_equal(t_online_find(&t, 3), 0);
    t_store_check(&t.z, "dropped", 0);

    /* a socket is counted in any case */

    t_online_close(&t, t_online_open(&t, 1, 4));
    assert_int_equal(t.z.online[t_online_find(&t, 1)].sockets, 1);
    assert_int_equal(t_online_flags(&t, 1), 0);

    /* and so it is there when presence is configured again */

    ngx_sio_online_configure(&t.z, 1);
    ngx_memzero(&t.look, sizeof(ngx_sio_online_look_t));
    assert_int_equal(t_online_settle(&t, 0), 1);

    t_online_close(&t, a);
    t_online_done(&t);
}


/* Redis is away: who comes and goes here is announced all the same. */

static void
t_online_away(void **state)
{
    uint32_t                a;
    ngx_str_t               far;
    ngx_uint_t              n, unlisted;
    t_online_t              t;
    t_online_refs_t         refs;
    ngx_sio_online_look_t   look;

    t_online_setup(&t);
    ngx_memzero(&look, sizeof(ngx_sio_online_look_t));
    refs.n = 0;
    unlisted = 0;
    t.cluster = 1;

    far = t_online_name(7);
    assert_int_equal(ngx_sio_online_cluster(&t.z, t.fence, &far, NULL, 1,
                                            &unlisted, NULL),
                     NGX_OK);

    a = t_online_open(&t, 1, 1);
    (void) ngx_sio_online_unreported(&t.z, t.fence, &look, t_online_each,
                                     &refs, 9);
    (void) ngx_sio_online_reported(&t.z, t.fence, refs.ref, refs.n);

    assert_int_equal(ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 1, 1,
                                           &t.records, &n),
                     NGX_OK);
    assert_int_equal(n, 2);
    t_online_says(&t, 1, 1, 1);
    t_online_says(&t, 7, 1, 1);

    t_online_close(&t, a);
    assert_int_equal(ngx_sio_online_settle(&t.z, t.fence, &t.look, 0, 1, 1,
                                           &t.records, &n),
                     NGX_OK);
    assert_int_equal(n, 1);
    t_online_says(&t, 1, 0, 2);
    t_online_says(&t, 7, 1, 1);

    t_online_done(&t);
}


static void
t_online_prepare_first(t_online_t *t)
{
    t->other = t_online_open(t, 6, 6);
    (void) t_online_settle(t, T_ONLINE_FOREVER);
}


static void
t_online_prepare_socket(t_online_t *t)
{
    t_online_prepare_first(t);
    t->session = t_online_open(t, 3, 3);
    (void) t_online_settle(t, T_ONLINE_FOREVER);
}


static void
t_online_prepare_gone(t_online_t *t)
{
    t_online_prepare_socket(t);
    t_online_close(t, t->session);
}


static void
t_online_prepare_parked(t_online_t *t)
{
    t_online_prepare_socket(t);

    t_store_must(ngx_sio_session_park(&t->z, t->session,
                                      t_store_ticket(&t->z, t->session),
                                      T_ONLINE_LOG,
                                      ngx_sio_zone_now() + T_ONLINE_FOREVER)
                 == NGX_OK);
}


static void
t_online_do_connect(t_online_t *t)
{
    (void) t_online_open(t, 3, 30);
}


static void
t_online_do_close(t_online_t *t)
{
    t_online_close(t, t->session);
}


static void
t_online_do_disconnect(t_online_t *t)
{
    t_store_must(t_store_disconnect(&t->z, t->session) == NGX_OK);
}


static void
t_online_do_park(t_online_t *t)
{
    t_store_must(ngx_sio_session_park(&t->z, t->session,
                                      t_store_ticket(&t->z, t->session),
                                      T_ONLINE_LOG,
                                      ngx_sio_zone_now() + T_ONLINE_FOREVER)
                 == NGX_OK);
}


static void
t_online_do_adopt(t_online_t *t)
{
    uint32_t  i;

    i = t_store_open(&t->z, t->slot, 31);

    t_store_must(ngx_sio_zone_lock(&t->z) == NGX_OK);
    t_store_must(ngx_sio_session_adopt_locked(&t->z, i, t->session,
                                              T_ONLINE_LOG)
                 == NGX_OK);
    ngx_sio_zone_unlock(&t->z);
}


static void
t_online_do_settle(t_online_t *t)
{
    (void) t_online_open(t, 4, 4);
    (void) t_online_open(t, 9, 9);
    (void) t_online_settle(t, 0);
}


static void
t_online_do_lease(t_online_t *t)
{
    t->z.sh->presence.deadline = 0;
    t->fence = ngx_sio_online_lease(&t->z, t->slot, 0);
    t_store_must(t->fence);
    t_store_must(ngx_sio_online_lease(&t->z, t->slot, t->fence) == t->fence);
}


static void
t_online_do_cluster(t_online_t *t)
{
    ngx_str_t               user;
    ngx_uint_t              unlisted;
    t_online_refs_t         refs;
    ngx_sio_online_look_t   look;

    refs.n = 0;
    unlisted = 0;
    ngx_memzero(&look, sizeof(ngx_sio_online_look_t));
    user = t_online_name(12);

    t_store_must(ngx_sio_online_cluster(&t->z, t->fence, &user, NULL, 1,
                                        &unlisted, NULL)
                 == NGX_OK);
    t_store_must(ngx_sio_online_unreported(&t->z, t->fence, &look,
                                           t_online_each, &refs, 9)
                 == NGX_OK);
    t_store_must(ngx_sio_online_reported(&t->z, t->fence, refs.ref, refs.n)
                 == NGX_OK);
    t_store_must(ngx_sio_online_forget(&t->z, t->fence) == NGX_OK);
}


static void
t_online_do_drop(t_online_t *t)
{
    t->z.sh->presence.deadline = 0;
    ngx_sio_online_drop(&t->z);
}


static const t_online_operation_t  t_online_operations[] = {
    { "connect", t_online_prepare_first, t_online_do_connect, 20 },
    { "come back", t_online_prepare_gone, t_online_do_connect, 15 },
    { "another tab", t_online_prepare_socket, t_online_do_connect, 15 },
    { "close", t_online_prepare_socket, t_online_do_close, 15 },
    { "disconnect", t_online_prepare_socket, t_online_do_disconnect, 8 },
    { "park", t_online_prepare_socket, t_online_do_park, 8 },
    { "adopt", t_online_prepare_parked, t_online_do_adopt, 25 },
    { "adopt a live one", t_online_prepare_socket, t_online_do_adopt, 25 },
    { "settle", t_online_prepare_gone, t_online_do_settle, 40 },
    { "lease", t_online_prepare_first, t_online_do_lease, 3 },
    { "cluster", t_online_prepare_socket, t_online_do_cluster, 20 },
    { "drop", t_online_prepare_gone, t_online_do_drop, 8 }
};


/* True if a user has a socket by the sessions themselves. */

static int
t_online_truth(t_online_t *t, ngx_uint_t user)
{
    uint32_t               i, u;
    ngx_sio_session_sh_t  *ss;

    u = t_online_find(t, user);

    for (i = 1; u && i <= t->z.sh->top_session; i++) {

        ss = &t->z.sessions[i];

        if (ss->state == NGX_SIO_LIVE && ss->user == u && ss->sid[0]
            && !(ss->flags & NGX_SIO_PARKED))
        {
            return 1;
        }
    }

    return 0;
}


/* The next actor: in the end the log says what is true, for every user. */

static void
t_online_succeed(t_online_t *t, const char *name, ngx_uint_t step)
{
    int         said;
    ngx_uint_t  user, times;

    t_store_check(&t->z, name, step);

    t->z.sh->presence.deadline = 0;
    t->fence = ngx_sio_online_lease(&t->z, t->slot, 0);
    assert_true(t->fence);

    ngx_memzero(&t->look, sizeof(ngx_sio_online_look_t));
    t->cluster = 0;
    (void) t_online_settle(t, 0);

    t_store_check(&t->z, name, step);

    for (user = 1; user <= 12; user++) {
        said = t_online_said(t, user, &times);

        if ((said == 1) != t_online_truth(t, user)) {
            fail_msg("%s, step %u: user %u is said to be %d", name,
                     (unsigned) step, (unsigned) user, said);
        }
    }
}


static ngx_uint_t
t_online_kill_at(const t_online_operation_t *op, ngx_uint_t step)
{
    pid_t       pid;
    t_online_t  t;
    ngx_uint_t  killed;

    t_online_setup(&t);
    op->prepare(&t);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);
        op->run(&t);
        t_store_die_at(0);
        _exit(0);
    }

    killed = t_store_killed(pid);

    /* he may have dropped what is announced: there is nobody to tell */

    if (op->run == t_online_do_drop) {
        t_store_check(&t.z, op->name, step);
        ngx_sio_online_drop(&t.z);
        assert_int_equal(t.z.sh->presence.held, 0);

    } else {
        t_online_succeed(&t, op->name, step);
    }

    t_online_done(&t);

    return killed;
}


static void
t_online_kill(void **state)
{
    ngx_uint_t                   i, step;
    const t_online_operation_t  *op;

    for (i = 0;
         i < sizeof(t_online_operations) / sizeof(t_online_operation_t);
         i++)
    {
        op = &t_online_operations[i];

        for (step = 1; t_online_kill_at(op, step); step++) { /* void */ }

        if (step <= op->least) {
            fail_msg("%s has %u steps only", op->name, (unsigned) step - 1);
        }
    }
}


static ngx_uint_t
t_online_kill_repair_at(const t_online_operation_t *op, ngx_uint_t first,
    ngx_uint_t step)
{
    pid_t       pid;
    t_online_t  t;
    ngx_uint_t  killed;

    t_online_setup(&t);
    op->prepare(&t);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(first);
        op->run(&t);
        _exit(0);
    }

    (void) t_store_killed(pid);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);
        t_store_must(ngx_sio_zone_lock(&t.z) == NGX_OK);
        ngx_sio_zone_unlock(&t.z);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_online_succeed(&t, "repair", step);
    t_online_done(&t);

    return killed;
}


/* Repair is killed, too. */

static void
t_online_kill_repair(void **state)
{
    ngx_uint_t  i, first, step;

    for (i = 0; i < 9; i++) {
        for (first = 3; first <= 27; first += 4) {
            for (step = 1;
                 t_online_kill_repair_at(&t_online_operations[i], first,
                                         step);
                 step++)
            { /* void */ }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_online_count),
        cmocka_unit_test(t_online_unheard),
        cmocka_unit_test(t_online_parked),
        cmocka_unit_test(t_online_spaces),
        cmocka_unit_test(t_online_lease),
        cmocka_unit_test(t_online_batches),
        cmocka_unit_test(t_online_full),
        cmocka_unit_test(t_online_report),
        cmocka_unit_test(t_online_own),
        cmocka_unit_test(t_online_cluster),
        cmocka_unit_test(t_online_drop),
        cmocka_unit_test(t_online_away),
        cmocka_unit_test(t_online_kill),
        cmocka_unit_test(t_online_kill_repair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
