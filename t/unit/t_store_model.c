
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"


/* A model of the store: what each session should be. */

#define T_MODEL_SESSIONS  48
#define T_MODEL_ROOMS     60


typedef struct {
    uint32_t         index;                    /* 0: closed */
    ngx_uint_t       connected;
    ngx_uint_t       user;                     /* 0: none */
    uint64_t         id;
    uint64_t         since[T_MODEL_ROOMS];     /* 0: not a member */
    uint32_t         member[T_MODEL_ROOMS];
} t_model_t;


typedef struct {
    ngx_sio_zone_t   z;
    t_model_t        s[T_MODEL_SESSIONS];
    ngx_sio_room_t   rooms[T_MODEL_ROOMS];
    uint64_t         seed;
    uint64_t         id;
    ngx_uint_t       refused;
} t_model_all_t;


static u_char  names[T_MODEL_ROOMS][SIO_ROOM_LEN];


static void
t_model_open(t_model_all_t *all, t_model_t *s)
{
    ngx_memzero(s, sizeof(t_model_t));

    s->id = ++all->id;
    s->index = t_store_open(&all->z, 1, s->id);
    assert_true(s->index);
}


static void
t_model_connect(t_model_all_t *all, t_model_t *s)
{
    char            user[80];
    ngx_int_t       rc;
    ngx_str_t       name;
    ngx_uint_t      i, n, from, step;
    ngx_sio_room_t  rooms[T_MODEL_ROOMS];

    n = t_store_random(&all->seed) % 30;
    from = t_store_random(&all->seed) % T_MODEL_ROOMS;
    step = (t_store_random(&all->seed) & 1) ? 1 : 7;

    for (i = 0; i < n; i++) {
        rooms[i] = all->rooms[(from + i * step) % T_MODEL_ROOMS];
    }

    s->user = t_store_random(&all->seed) % 20;
    user[0] = '\0';

    if (s->user) {
        (void) sprintf(user, "%0*u", (int) s->user * 4, (unsigned) s->user);
    }

    name.data = (u_char *) user;
    name.len = ngx_strlen(user);

    rc = t_store_connect(&all->z, s->index, s->id, &name, rooms, n,
                         100 + s->id);

    if (rc != NGX_OK) {
        assert_int_equal(rc, NGX_DECLINED);
        all->refused++;
        s->user = 0;
        return;
    }

    s->connected = 1;

    for (i = 0; i < n; i++) {
        s->since[(from + i * step) % T_MODEL_ROOMS] = 100 + s->id;
        s->member[(from + i * step) % T_MODEL_ROOMS] = rooms[i].member;
    }
}


static void
t_model_join(t_model_all_t *all, t_model_t *s)
{
    ngx_int_t       rc;
    ngx_uint_t      k;
    ngx_sio_room_t  room;

    k = t_store_random(&all->seed) % T_MODEL_ROOMS;
    room = all->rooms[k];

    rc = t_store_join(&all->z, s->index, &room, ++all->id);

    if (s->since[k]) {
        assert_int_equal(rc, NGX_DONE);
        assert_int_equal(room.member, s->member[k]);
        return;
    }

    if (rc != NGX_OK) {
        assert_int_equal(rc, NGX_DECLINED);
        all->refused++;
        return;
    }

    s->since[k] = all->id;
    s->member[k] = room.member;
}


static void
t_model_leave(t_model_all_t *all, t_model_t *s)
{
    ngx_uint_t  k;

    k = t_store_random(&all->seed) % T_MODEL_ROOMS;

    if (s->since[k] == 0) {
        return;
    }

    assert_int_equal(t_store_leave(&all->z, s->index, s->member[k], 0),
                     NGX_OK);
    s->since[k] = 0;
}


static void
t_model_disconnect(t_model_all_t *all, t_model_t *s)
{
    assert_int_equal(t_store_disconnect(&all->z, s->index), NGX_OK);

    ngx_memzero(s->since, sizeof(s->since));
    s->connected = 0;
    s->user = 0;
}


static void
t_model_compare(t_model_all_t *all, t_model_t *s)
{
    uint32_t               ref;
    ngx_uint_t             k, n;
    ngx_sio_zone_t        *z;
    ngx_sio_member_sh_t   *m;
    ngx_sio_session_sh_t  *ss;

    z = &all->z;

    if (s->index == 0) {
        return;
    }

    ss = &z->sessions[s->index];

    assert_int_equal(t_store_by_eio(z, s->id), s->index);
    assert_int_equal(t_store_by_sid(z, s->id), s->connected ? s->index : 0);
    assert_int_equal(ss->user != 0, s->user != 0);

    n = 0;

    for (k = 0; k < T_MODEL_ROOMS; k++) {

        if (s->since[k] == 0) {
            continue;
        }

        n++;
        m = ngx_sio_session_member(z, ss, s->member[k]);
        assert_int_equal(m->since, s->since[k]);
        assert_true(ngx_sio_name_equal(z, &z->rooms[m->room], 0,
                                       all->rooms[k].name.data,
                                       all->rooms[k].name.len));
    }

    assert_int_equal(ss->members, n);

    ref = NGX_SIO_NO_MEMBER;

    while (ngx_sio_session_walk(z, ss, &ref)) {
        n--;
    }

    assert_int_equal(n, 0);
}


static void
t_model_step(t_model_all_t *all, t_model_t *s)
{
    ngx_uint_t  what;

    what = t_store_random(&all->seed) % 100;

    if (s->index == 0) {
        t_model_open(all, s);

    } else if (what < 2) {
        assert_int_equal(t_store_close(&all->z, s->index), NGX_OK);
        s->index = 0;

    } else if (what < 4) {
        t_model_disconnect(all, s);

    } else if (!s->connected) {
        t_model_disconnect(all, s);
        t_model_connect(all, s);

    } else if (what < 55) {
        t_model_join(all, s);

    } else {
        t_model_leave(all, s);
    }
}


/* 100,000 random operations, compared with a model all the way. */

static void
t_model_random(void **state)
{
    t_model_t      *s;
    ngx_uint_t      n, k;
    t_model_all_t  *all;

    all = calloc(1, sizeof(t_model_all_t));
    assert_non_null(all);

    t_store_zone(&all->z, sizeof(ngx_sio_zone_sh_t) + 16384 + 96 * 800, 16384);
    assert_true(all->z.sh->nsessions > T_MODEL_SESSIONS);
    assert_true(all->z.sh->nsessions < 100);

    all->seed = 20;

    for (k = 0; k < T_MODEL_ROOMS; k++) {
        t_store_room(&all->z, &all->rooms[k], names[k], k);
    }

    for (n = 0; n < 100000; n++) {

        s = &all->s[t_store_random(&all->seed) % T_MODEL_SESSIONS];

        t_model_step(all, s);
        t_model_compare(all, s);

        if (n % 100 == 0) {
            t_store_check(&all->z, "random", n);
        }

        if (n % 1000 == 0) {
            for (k = 0; k < T_MODEL_SESSIONS; k++) {
                t_model_compare(all, &all->s[k]);
            }
        }
    }

    /* both happened, or the zone has the wrong size for this test */

    assert_true(all->refused > 100);
    assert_true(all->refused < 30000);

    for (k = 0; k < T_MODEL_SESSIONS; k++) {
        assert_int_equal(t_store_close(&all->z, all->s[k].index),
                         all->s[k].index ? NGX_OK : NGX_DECLINED);
    }

    t_store_is_empty(&all->z);
    t_store_unmap(&all->z);
    free(all);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_model_random)
    };

    return cmocka_run_group_tests_name("store: model", tests, NULL, NULL);
}
