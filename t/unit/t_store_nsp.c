
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/* Namespaces and their numbers. */


#include "t_store.h"

#include "ngx_sio_nsp.h"


static void
t_nsp_zone(ngx_sio_zone_t *z)
{
    t_store_zone(z, 1024 * 1024, 65536);
}


static ngx_int_t
t_nsp_add(ngx_sio_zone_t *z, const char *text, uint16_t *nsp)
{
    ngx_str_t  name;

    name.data = (u_char *) text;
    name.len = ngx_strlen(text);

    return ngx_sio_nsp_add(z, &name, nsp);
}


static void
t_nsp_is(ngx_sio_zone_t *z, const char *text, uint16_t number)
{
    uint16_t   nsp;
    ngx_str_t  name;

    nsp = 0xffff;

    assert_int_equal(t_nsp_add(z, text, &nsp), NGX_OK);
    assert_int_equal(nsp, number);

    ngx_sio_nsp_name(z, nsp, &name);

    assert_int_equal(name.len, ngx_strlen(text));
    assert_memory_equal(name.data, text, name.len);
}


/* A number is its name's for good, in every view and whatever is lost. */

static void
t_nsp_numbers(void **state)
{
    pid_t           pid;
    ngx_uint_t      n;
    ngx_sio_zone_t  z, view;

    t_nsp_zone(&z);

    t_nsp_is(&z, "/", 0);
    assert_int_equal(z.sh->nnsps, 1);

    for (n = 0; n < 3; n++) {
        t_nsp_is(&z, "/chat", 1);
        t_nsp_is(&z, "/cha", 2);
        t_nsp_is(&z, "/chat/1", 3);
        t_nsp_is(&z, "/Chat", 4);
        t_nsp_is(&z, "/", 0);
    }

    assert_int_equal(z.sh->nnsps, 5);

    assert_int_equal(ngx_sio_zone_attach(&view, z.sh, 1024 * 1024, 65536),
                     NGX_OK);
    t_nsp_is(&view, "/Chat", 4);
    t_nsp_is(&view, "/other", 5);
    t_nsp_is(&z, "/other", 5);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_must(t_store_open(&z, 1, 1) == 1);
        t_store_must(ngx_sio_zone_lock(&z) == NGX_OK);
        z.sessions[1].state = 77;
        _exit(0);
    }

    t_store_finished(pid);

    t_nsp_is(&z, "/next", 6);
    assert_true(ngx_sio_zone_lost(&z));
    t_nsp_is(&z, "/chat", 1);
    t_nsp_is(&z, "/other", 5);
    assert_int_equal(z.sh->nnsps, 7);

    t_store_unmap(&z);
}


/* There is an end to it, and those that are known stay known. */

static void
t_nsp_limit(void **state)
{
    char            name[16];
    uint16_t        nsp;
    ngx_uint_t      n;
    ngx_sio_zone_t  z;

    t_nsp_zone(&z);

    for (n = 1; n < NGX_SIO_NAMESPACES; n++) {
        (void) sprintf(name, "/%u", (unsigned) n);
        t_nsp_is(&z, name, n);
    }

    nsp = 99;
    assert_int_equal(t_nsp_add(&z, "/more", &nsp), NGX_DECLINED);
    assert_int_equal(nsp, 99);
    assert_int_equal(z.sh->nnsps, NGX_SIO_NAMESPACES);

    for (n = 1; n < NGX_SIO_NAMESPACES; n++) {
        (void) sprintf(name, "/%u", (unsigned) n);
        t_nsp_is(&z, name, n);
    }

    t_store_check(&z, "limit", 0);
    t_store_unmap(&z);
}


/* A name that does not fit is refused, not cut, and takes no number. */

static void
t_nsp_long(void **state)
{
    char            name[NGX_SIO_NSP_LEN + 2];
    uint16_t        nsp;
    ngx_sio_zone_t  z;

    t_nsp_zone(&z);

    ngx_memset(name, 'n', sizeof(name));
    name[0] = '/';
    name[NGX_SIO_NSP_LEN + 1] = '\0';

    assert_int_equal(t_nsp_add(&z, name, &nsp), NGX_DECLINED);
    assert_int_equal(z.sh->nnsps, 1);

    name[NGX_SIO_NSP_LEN] = '\0';
    t_nsp_is(&z, name, 1);
    t_nsp_is(&z, "/short", 2);
    t_nsp_is(&z, name, 1);

    t_store_unmap(&z);
}


/* Who dies on the way has made it, or not, and is in nobody's way. */

static ngx_uint_t
t_nsp_killed_at(ngx_uint_t step)
{
    pid_t           pid;
    uint16_t        nsp;
    ngx_uint_t      killed, made;
    ngx_sio_zone_t  z;

    t_nsp_zone(&z);
    t_nsp_is(&z, "/first", 1);

    pid = t_store_fork();

    if (pid == 0) {
        t_store_die_at(step);
        t_store_must(t_nsp_add(&z, "/one with a long name", &nsp) == NGX_OK);
        _exit(0);
    }

    killed = t_store_killed(pid);

    t_store_check(&z, "nsp", step);
    assert_int_equal(z.sh->repairs, killed);

    made = z.sh->nnsps - 2;
    assert_true(made <= 1);
    assert_true(killed || made);

    t_nsp_is(&z, "/short", 2 + made);
    t_nsp_is(&z, "/one with a long name", 3 - made);
    t_nsp_is(&z, "/first", 1);
    assert_int_equal(z.sh->nnsps, 4);

    t_store_unmap(&z);

    return killed;
}


static void
t_nsp_killed(void **state)
{
    ngx_uint_t  step;

    for (step = 1; t_nsp_killed_at(step); step++) { /* void */ }

    assert_true(step > 2);
}


/* Two that begin at once agree. */

static void
t_nsp_racing(void **state)
{
    char            text[16];
    pid_t           pid[2];
    uint16_t       *found;
    ngx_uint_t      n, i, name;
    ngx_sio_zone_t  z;

    t_nsp_zone(&z);
    found = t_store_map(4096);

    for (n = 0; n < 2; n++) {
        pid[n] = t_store_fork();

        if (pid[n] == 0) {
            for (i = 0; i < 50; i++) {
                name = n ? i : 49 - i;
                (void) sprintf(text, "/%u", (unsigned) name);
                t_store_must(t_nsp_add(&z, text, &found[50 * n + name])
                             == NGX_OK);
            }

            _exit(0);
        }
    }

    t_store_finished(pid[0]);
    t_store_finished(pid[1]);

    assert_int_equal(z.sh->nnsps, 51);
    assert_memory_equal(found, found + 50, 50 * sizeof(uint16_t));

    for (i = 0; i < 50; i++) {
        (void) sprintf(text, "/%u", (unsigned) i);
        t_nsp_is(&z, text, found[i]);
    }

    (void) munmap(found, 4096);
    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_nsp_numbers),
        cmocka_unit_test(t_nsp_limit),
        cmocka_unit_test(t_nsp_long),
        cmocka_unit_test(t_nsp_killed),
        cmocka_unit_test(t_nsp_racing)
    };

    return cmocka_run_group_tests_name("store: nsp", tests, NULL, NULL);
}
