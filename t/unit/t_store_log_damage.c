
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "t_store.h"


#define T_RUINED_LOG    4096
#define T_RUINED_READS  1              /* slots: one that keeps up, */
#define T_RUINED_LAGS   2              /*   one that has read nothing, */
#define T_RUINED_LEFT   3              /*   and one that is free again */


/* A field that gets another value, and what the check says to that. */

typedef struct {
    void                *field;
    size_t               size;
    uint64_t             value;
    const char          *text;
} t_ruined_t;

#define t_ruined(field, value, text)  { &(field), sizeof(field), value, text }


static sio_record_t *
t_ruined_record(ngx_sio_zone_t *z, uint64_t off)
{
    return (sio_record_t *) (z->log + off % z->log_size);
}


/* A record of the feed, or of somebody else without a lease. */

static void
t_ruined_append(ngx_sio_zone_t *z, size_t size, uint64_t lease)
{
    u_char             image[1024] __attribute__((aligned(64)));
    ngx_sio_feed_sh_t  feed;
    ngx_sio_append_t   a;

    ngx_memzero(&feed, sizeof(ngx_sio_feed_sh_t));
    ngx_memzero(&a, sizeof(ngx_sio_append_t));

    t_store_record(image, size, 1, 1);

    a.data = image;
    a.len = size;
    a.lease = lease;
    a.feed = lease ? &feed : NULL;

    assert_int_equal(ngx_sio_log_append(z, &a), NGX_OK);
    assert_int_equal(ngx_sio_log_advance(z, T_RUINED_READS,
                                         ngx_sio_log_head(z)),
                     NGX_OK);
}


/*
 * A log that has gone around, with a pad at its end; a holder of the lease who
 * keeps up and has the only session, and a standby half a log behind.  Returns
 * the offset of the pad.
 */

static uint64_t
t_ruined_setup(ngx_sio_zone_t *z)
{
    u_char          buf[SIO_ROOM_LEN];
    uint64_t        lease, end;
    ngx_sio_room_t  room;

    t_store_zone(z, 1024 * 1024, T_RUINED_LOG);

    assert_int_equal(ngx_sio_worker_enter(z, 1, 0), T_RUINED_READS);

    lease = ngx_sio_lease_take(z, T_RUINED_READS, 1000000);
    assert_int_equal(lease, 1);

    t_store_room(z, &room, buf, 1);
    assert_int_equal(t_store_open(z, T_RUINED_READS, 1), 1);
    assert_int_equal(t_store_connect(z, 1, 1, NULL, &room, 1, 1), NGX_OK);

    /* it stands so that 640 bytes do not fit in front of the end */

    while (ngx_sio_log_head(z) < 2 * T_RUINED_LOG - 1024) {
        t_ruined_append(z, 128, 0);
    }

    assert_int_equal(ngx_sio_worker_enter(z, 2, 0), T_RUINED_LAGS);
    assert_int_equal(ngx_sio_worker_enter(z, 3, 0), T_RUINED_LEFT);
    assert_int_equal(ngx_sio_lease_standby(z, T_RUINED_LAGS), NGX_OK);
    ngx_sio_worker_leave(z, T_RUINED_LEFT, 0);

    t_ruined_append(z, 640, lease);
    end = ngx_sio_log_head(z);
    t_ruined_append(z, 640, lease);
    t_ruined_append(z, 256, 0);

    assert_int_equal(t_ruined_record(z, end)->type, SIO_RECORD_PAD);
    assert_int_equal(t_ruined_record(z, end)->size, 384);

    return end;
}


static ngx_uint_t
t_ruined_check(ngx_sio_zone_t *z, char *text, size_t size)
{
    ngx_uint_t  n;

    assert_int_equal(ngx_sio_zone_lock(z), NGX_OK);
    assert_int_equal(ngx_sio_zone_log_lock(z), NGX_OK);

    n = ngx_sio_repair_check_log(z, text, size);

    ngx_sio_zone_log_unlock(z);
    ngx_sio_zone_unlock(z);

    return n;
}


static void
t_ruined_found(void **state)
{
    char                  text[128];
    uint64_t              was, value, end;
    ngx_uint_t            i, n;
    sio_record_t         *first, *rec, *pad;
    ngx_sio_zone_t        z;
    ngx_sio_zone_sh_t    *sh;
    ngx_sio_worker_sh_t  *reads, *lags, *left, *never;

    end = t_ruined_setup(&z);

    sh = z.sh;
    first = t_ruined_record(&z, sh->tail);
    rec = t_ruined_record(&z, end + 384);
    pad = t_ruined_record(&z, end);
    reads = &sh->workers[T_RUINED_READS - 1];
    lags = &sh->workers[T_RUINED_LAGS - 1];
    left = &sh->workers[T_RUINED_LEFT - 1];
    never = &sh->workers[T_RUINED_LEFT];

    const t_ruined_t  all[] = {
        t_ruined(sh->head, 64, "head of the log is none"),
        t_ruined(sh->head, sh->head + 1, "head of the log is none"),
        t_ruined(sh->head, sh->head + 64, "record of the log is another"),
        t_ruined(sh->head, sh->head - 64, "record of the log is damaged"),
        t_ruined(sh->tail, 64, "tail of the log is none"),
        t_ruined(sh->tail, sh->tail + 1, "tail of the log is none"),
        t_ruined(sh->tail, sh->head + 64, "tail of the log is none"),
        t_ruined(sh->tail, sh->tail + 64, "record of the log is another"),
        t_ruined(sh->floor, sh->head + 64, "floor of the log is wrong"),
        t_ruined(sh->floor, sh->head - 3073, "floor of the log is wrong"),

        t_ruined(first->offset, 0, "record of the log is another"),
        t_ruined(rec->offset, rec->offset - T_RUINED_LOG,
                 "record of the log is another"),
        t_ruined(rec->size, 0, "record of the log is damaged"),
        t_ruined(rec->size, 704, "record of the log is damaged"),
        t_ruined(rec->size, 0xffffffc0, "record of the log is damaged"),
        t_ruined(rec->type, 99, "record of the log is damaged"),
        t_ruined(rec->parts_len, 640, "record of the log is damaged"),
        t_ruined(rec->rooms, 1, "record of the log is damaged"),
        t_ruined(rec->nsp, 1, "record of the log is of no namespace"),
        t_ruined(rec->lease, 2, "record of the log is of no lease"),
        t_ruined(rec->time, 0, "record of the log is of another time"),
        t_ruined(rec->time, (uint64_t) -1,
                 "record of the log is of another time"),
        t_ruined(pad->offset, 0, "record of the log is another"),
        t_ruined(pad->size, 320, "record of the log has a strange size"),
        t_ruined(pad->size, 448, "record of the log is damaged"),
        t_ruined(pad->type, SIO_RECORD_EMIT, "record of the log is damaged"),

        t_ruined(sh->feed[0].from, sh->head + 64, "position of the feed"),
        t_ruined(sh->feed[1].from, 64, "position of the feed"),
        t_ruined(sh->feed[0].from, sh->head - 1, "position of the feed"),
        t_ruined(sh->feed[0].from, sh->feed[1].from, "both positions"),

        t_ruined(sh->top_worker, NGX_SIO_WORKERS + 1, "top is behind"),
        t_ruined(sh->top_worker, 1, "worker is behind the top"),
        t_ruined(reads->state, 3, "worker is in no state"),
        t_ruined(reads->armed, 2, "worker is in no state"),
        t_ruined(reads->generation, 0, "worker has never entered"),
        t_ruined(reads->pid, 0, "worker has never entered"),
        t_ruined(reads->cursor, sh->head + 64, "cursor of worker is nowhere"),
        t_ruined(reads->cursor, sh->head - 1, "cursor of worker is nowhere"),
        t_ruined(reads->cursor, sh->head - 64, "cursor of worker is within"),
        t_ruined(reads->cursor, sh->tail - 64, "worker was run over"),
        t_ruined(lags->cursor, sh->floor - 64, "worker was run over"),
        t_ruined(lags->state, NGX_SIO_FREE, "standby is nobody"),
        t_ruined(left->armed, 1, "bell of nobody is armed"),
        t_ruined(left->stats[7], 1, "counters of nobody"),
        t_ruined(never->stats[0], 1, "counters of nobody"),
        t_ruined(never->generation, 1, "worker is behind the top"),
        t_ruined(never->state, NGX_SIO_WORKER_FENCED,
                 "worker is behind the top"),

        t_ruined(sh->lease.slot, T_RUINED_LEFT, "holder of the lease"),
        t_ruined(sh->lease.slot, NGX_SIO_WORKERS + 1, "holder of the lease"),
        t_ruined(sh->lease.slot, T_RUINED_LAGS, "standby has the lease"),
        t_ruined(sh->lease.standby, T_RUINED_LEFT, "standby is nobody"),
        t_ruined(sh->lease.standby, 0xffffffff, "standby is nobody"),
        t_ruined(sh->lease.epoch, 0, "record of the log is of no lease"),
        t_ruined(sh->lease.live, 2, "lease is damaged"),
        t_ruined(sh->presence.slot, T_RUINED_LEFT, "actor of presence"),

        t_ruined(z.sessions[1].owner,
                 ngx_sio_owner(T_RUINED_LEFT, NGX_SIO_OWNER_LIVE, 1),
                 "worker of session has left"),
        t_ruined(z.sessions[1].owner,
                 ngx_sio_owner(0xffff, NGX_SIO_OWNER_LIVE, 1),
                 "worker of session has left"),
        t_ruined(z.sessions[1].poster, T_RUINED_LEFT,
                 "worker of session has left"),
        t_ruined(z.sessions[1].connecter, 0xff, "worker of session has left"),
        t_ruined(z.rooms[1].workers[0], 1 << (T_RUINED_LEFT - 1),
                 "worker of room has left"),
        t_ruined(z.rooms[1].workers[1], 1ULL << 63, "worker of room has left")
    };

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {

        assert_int_equal(t_ruined_check(&z, text, sizeof(text)), 0);

        was = 0;
        value = all[i].value;

        ngx_memcpy(&was, all[i].field, all[i].size);
        ngx_memcpy(all[i].field, &value, all[i].size);

        text[0] = '\0';
        n = t_ruined_check(&z, text, sizeof(text));

        ngx_memcpy(all[i].field, &was, all[i].size);

        if (n == 0
            || ngx_strncmp(text, all[i].text, ngx_strlen(all[i].text)) != 0)
        {
            fail_msg("damage %u: %u errors, first: %s", (unsigned) i,
                     (unsigned) n, text);
        }
    }

    t_store_unmap(&z);
}


/* Who is fenced, or dead, may be run over. */

static void
t_ruined_over(void **state)
{
    int             fd[2];
    char            c, text[128];
    pid_t           pid;
    uint64_t        cursor;
    ngx_uint_t      slot;
    ngx_sio_zone_t  z;

    (void) t_ruined_setup(&z);

    cursor = z.sh->workers[T_RUINED_LAGS - 1].cursor;
    assert_int_equal(ngx_sio_log_fence(&z, T_RUINED_LAGS, cursor), NGX_OK);

    assert_int_equal(pipe(fd), 0);
    pid = t_store_fork();

    if (pid == 0) {
        slot = ngx_sio_worker_enter(&z, 4, 0);
        t_store_must(slot == T_RUINED_LEFT);
        t_store_must(write(fd[1], "x", 1) == 1);

        for ( ;; ) {
            (void) pause();
        }
    }

    assert_int_equal(read(fd[0], &c, 1), 1);

    (void) kill(pid, SIGKILL);
    (void) t_store_wait(pid);

    while (z.sh->tail <= z.sh->workers[T_RUINED_LEFT - 1].cursor) {
        t_ruined_append(&z, 256, 0);
        assert_int_equal(t_ruined_check(&z, text, sizeof(text)), 0);
    }

    assert_true(z.sh->tail > cursor);
    assert_int_equal(z.sh->workers[T_RUINED_LEFT - 1].state,
                     NGX_SIO_WORKER_LIVE);

    (void) close(fd[0]);
    (void) close(fd[1]);
    t_store_unmap(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(t_ruined_found),
        cmocka_unit_test(t_ruined_over)
    };

    return cmocka_run_group_tests_name("store: damage of the log", tests,
                                       NULL, NULL);
}
