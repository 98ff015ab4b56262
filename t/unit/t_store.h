
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _T_STORE_H_INCLUDED_
#define _T_STORE_H_INCLUDED_


/*
 * What the tests of the store share: zones in anonymous memory, processes,
 * records that prove their content.
 */


#include "ngx_sio_lease.h"
#include "ngx_sio_log.h"
#include "ngx_sio_name.h"
#include "ngx_sio_repair.h"
#include "ngx_sio_session.h"
#include "ngx_sio_stats.h"
#include "ngx_sio_worker.h"

#include <sio_eio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>


/* In a child of a test: cmocka's own assertions are for the parent only. */

#define t_store_must(condition)                                               \
    do {                                                                      \
        if (!(condition)) {                                                   \
            (void) fprintf(stderr, "%s:%d: must be: %s\n", __FILE__,          \
                           __LINE__, #condition);                             \
            _exit(1);                                                         \
        }                                                                     \
    } while (0)


static inline uint64_t
t_store_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;

    return *state;
}


static inline void *
t_store_map(size_t size)
{
    void  *mem;

    mem = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS,
               -1, 0);

    if (mem == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }

    return mem;
}


static inline void
t_store_zone(ngx_sio_zone_t *z, size_t size, size_t log_size)
{
    ngx_str_t  node;

    ngx_str_set(&node, "test");

    if (ngx_sio_zone_format(z, t_store_map(size), size, log_size, &node)
        != NGX_OK)
    {
        fail_msg("the zone was not formatted");
    }
}


static inline void
t_store_unmap(ngx_sio_zone_t *z)
{
    (void) munmap(z->sh, z->sh->size);
}


/* The child dies with its parent. */

static inline pid_t
t_store_fork(void)
{
    pid_t  pid;

    pid = fork();

    if (pid == -1) {
        perror("fork");
        exit(1);
    }

    if (pid == 0) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
    }

    return pid;
}


static inline int
t_store_wait(pid_t pid)
{
    int  status;

    while (waitpid(pid, &status, 0) == -1) {
        if (errno != EINTR) {
            perror("waitpid");
            exit(1);
        }
    }

    return status;
}


static inline void
t_store_finished(pid_t pid)
{
    int  status;

    status = t_store_wait(pid);

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("a child failed: status 0x%x", (unsigned) status);
    }
}


/* True if it was killed by its fault, false if it finished. */

static inline ngx_uint_t
t_store_killed(pid_t pid)
{
    int  status;

    status = t_store_wait(pid);

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        return 1;
    }

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("a child failed: status 0x%x", (unsigned) status);
    }

    return 0;
}


/* Kills the process at its step number t_store_fault, counted from 1. */

static ngx_uint_t  t_store_fault;


static inline void
t_store_fault_step(const char *file, int line)
{
    if (t_store_fault && --t_store_fault == 0) {
        (void) kill(getpid(), SIGKILL);

        for ( ;; ) {
            (void) pause();
        }
    }
}


static inline void
t_store_die_at(ngx_uint_t n)
{
    t_store_fault = n;
    ngx_sio_fault_step = t_store_fault_step;
}


static inline void
t_store_check(ngx_sio_zone_t *z, const char *what, ngx_uint_t n)
{
    char        text[128];
    ngx_uint_t  errors;

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        fail_msg("%s, step %u: the zone is locked", what, (unsigned) n);
    }

    errors = ngx_sio_repair_check(z, text, sizeof(text));

    if (errors == 0) {

        if (ngx_sio_zone_log_lock(z) != NGX_OK) {
            fail_msg("%s, step %u: the log is locked", what, (unsigned) n);
        }

        errors = ngx_sio_repair_check_log(z, text, sizeof(text));

        ngx_sio_zone_log_unlock(z);
    }

    ngx_sio_zone_unlock(z);

    if (errors) {
        fail_msg("%s, step %u: %u errors, first: %s", what, (unsigned) n,
                 (unsigned) errors, text);
    }
}


/* A room, its name made of a number; each third name is a long one. */

static inline void
t_store_room(ngx_sio_zone_t *z, ngx_sio_room_t *room, u_char *buf,
    uint64_t n)
{
    size_t  len, i;

    len = sprintf((char *) buf, "room:%llu:", (unsigned long long) n);

    if (n % 3 == 0) {
        i = len;
        len = 49 + n * 37 % (SIO_ROOM_LEN - 48);

        for ( /* void */ ; i < len; i++) {
            buf[i] = 'a' + (n + i) % 26;
        }
    }

    room->name.data = buf;
    room->name.len = len;
    room->hash = sio_hash(z->sh->seed, buf, len);
    room->member = 0;
    room->room = 0;
    room->set = 0;
}


/* Ids are text of a fixed length. */

static inline void
t_store_sid(u_char *sid, char kind, uint64_t n)
{
    char  buf[32];

    (void) snprintf(buf, sizeof(buf), "%c%019llu", kind,
                    (unsigned long long) n);

    ngx_memcpy(sid, buf, NGX_SIO_SID_LEN);
}


/* The ticket of whoever has the session. */

static inline uint64_t
t_store_ticket(ngx_sio_zone_t *z, uint32_t i)
{
    return (i && i <= z->sh->nsessions) ? ngx_sio_load(&z->sessions[i].owner)
                                        : 0;
}


/* A WebSocket of a slot, or polling with slot 0. */

static inline uint32_t
t_store_open(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t n)
{
    u_char                 sid[NGX_SIO_SID_LEN];
    uint64_t               owner;
    ngx_sio_session_new_t  new;

    t_store_sid(sid, 'e', n);
    ngx_memzero(&new, sizeof(ngx_sio_session_new_t));

    new.eio_sid = sid;
    new.transport = slot ? SIO_EIO_WEBSOCKET : SIO_EIO_POLLING;
    new.ping_interval = 25000;
    new.ping_timeout = 20000;
    new.connect_timeout = 45000;

    return ngx_sio_session_open(z, slot, &new, &owner);
}


/* A socket in the namespace that the record is of. */

static inline ngx_int_t
t_store_connect_as(ngx_sio_zone_t *z, uint32_t i, uint64_t n,
    ngx_uint_t recoverable, ngx_str_t *user, ngx_sio_room_t *rooms,
    ngx_uint_t nrooms, uint64_t since)
{
    u_char                    sid[NGX_SIO_SID_LEN];
    ngx_sio_session_socket_t  socket;

    t_store_sid(sid, 's', n);

    socket.sid = sid;
    socket.nsp = (i && i <= z->sh->nsessions) ? z->sessions[i].nsp : 0;
    socket.recoverable = recoverable;
    socket.farewell = 0;
    socket.user = user;
    socket.rooms = rooms;
    socket.nrooms = nrooms;
    socket.since = since;
    socket.refresh = 0;

    return ngx_sio_session_connect(z, i, t_store_ticket(z, i), &socket);
}


static inline ngx_int_t
t_store_connect(ngx_sio_zone_t *z, uint32_t i, uint64_t n, ngx_str_t *user,
    ngx_sio_room_t *rooms, ngx_uint_t nrooms, uint64_t since)
{
    return t_store_connect_as(z, i, n, 1, user, rooms, nrooms, since);
}


/* A branch of a slot, or nobody's with slot 0. */

static inline uint32_t
t_store_branch(ngx_sio_zone_t *z, uint32_t transport, uint16_t nsp,
    ngx_uint_t slot, ngx_uint_t connecter)
{
    uint32_t  i;
    uint64_t  owner;

    t_store_must(ngx_sio_zone_lock(z) == NGX_OK);

    i = ngx_sio_session_branch_locked(z, transport, nsp, slot, connecter,
                                      &owner);

    t_store_must(i == 0 || owner == z->sessions[i].owner);

    ngx_sio_zone_unlock(z);

    return i;
}


static inline uint32_t
t_store_in(ngx_sio_zone_t *z, uint32_t transport, uint16_t nsp)
{
    uint32_t  i;

    t_store_must(ngx_sio_zone_lock(z) == NGX_OK);
    i = ngx_sio_session_in_locked(z, transport, nsp);
    ngx_sio_zone_unlock(z);

    return i;
}


static inline ngx_int_t
t_store_join(ngx_sio_zone_t *z, uint32_t i, ngx_sio_room_t *room,
    uint64_t since)
{
    return ngx_sio_session_join(z, i, t_store_ticket(z, i), room, since);
}


static inline ngx_int_t
t_store_leave(ngx_sio_zone_t *z, uint32_t i, uint32_t member, uint64_t until)
{
    return ngx_sio_session_leave(z, i, t_store_ticket(z, i), member, until);
}


static inline ngx_int_t
t_store_disconnect(ngx_sio_zone_t *z, uint32_t i)
{
    return ngx_sio_session_disconnect(z, i, t_store_ticket(z, i));
}


static inline ngx_int_t
t_store_close(ngx_sio_zone_t *z, uint32_t i)
{
    return ngx_sio_session_close(z, i, t_store_ticket(z, i));
}


static inline uint32_t
t_store_by_eio(ngx_sio_zone_t *z, uint64_t n)
{
    u_char    sid[NGX_SIO_SID_LEN];
    uint32_t  i;

    t_store_sid(sid, 'e', n);

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        fail_msg("the zone is locked");
    }

    i = ngx_sio_session_by_eio_locked(z, sid);
    ngx_sio_zone_unlock(z);

    return i;
}


static inline uint32_t
t_store_by_sid(ngx_sio_zone_t *z, uint64_t n)
{
    u_char    sid[NGX_SIO_SID_LEN];
    uint32_t  i;

    t_store_sid(sid, 's', n);

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        fail_msg("the zone is locked");
    }

    i = ngx_sio_session_by_sid_locked(z, sid);
    ngx_sio_zone_unlock(z);

    return i;
}


/*
 * True if somebody or something ends a session one day: its owner, or who reaps
 * him, a deadline, or the end of the transport that it is a branch of.
 */

static inline ngx_uint_t
t_store_ends(ngx_sio_zone_t *z, uint32_t i)
{
    ngx_uint_t             slot;
    ngx_sio_session_sh_t  *ss, *ts;

    ss = &z->sessions[i];
    slot = ngx_sio_owner_slot(ss->owner);

    if (slot) {
        return slot <= NGX_SIO_WORKERS
               && z->sh->workers[slot - 1].state != NGX_SIO_FREE;
    }

    if (ss->eio_sid[0] || (ss->flags & NGX_SIO_PARKED)) {
        return ss->deadline != 0;
    }

    ts = &z->sessions[ss->kin];

    return ss->kin && ts->state == NGX_SIO_LIVE && ts->eio_sid[0];
}


/* Everything has come back. */

static inline void
t_store_is_empty(ngx_sio_zone_t *z)
{
    assert_int_equal(z->sh->live_sessions, 0);
    assert_int_equal(z->sh->live_polling, 0);
    assert_int_equal(z->sh->live_parked, 0);
    assert_int_equal(z->sh->live_branches, 0);
    assert_int_equal(z->sh->live_members, 0);
    assert_int_equal(z->sh->live_rooms, 0);
    assert_int_equal(z->sh->live_users, 0);
    assert_int_equal(z->sh->live_chunks, 0);
    assert_int_equal(z->sh->live_tails, 0);

    t_store_check(z, "empty", 0);
}


/*
 * A record whose content follows from writer and number, so that a torn or
 * mixed copy is recognised.
 */

typedef struct {
    uint64_t             writer;
    uint64_t             n;
} t_store_text_t;


static inline uint64_t
t_store_word(t_store_text_t *text, size_t i)
{
    return (text->writer * 1000003 + text->n) * 0x9e3779b97f4a7c15 + i;
}


static inline void
t_store_record(u_char *image, size_t size, uint64_t writer, uint64_t n)
{
    size_t           i;
    uint64_t        *word;
    sio_record_t    *rec;
    t_store_text_t  *text;

    rec = (sio_record_t *) image;

    ngx_memzero(rec, sizeof(sio_record_t));

    rec->size = size;
    rec->type = SIO_RECORD_EMIT;
    rec->parts = 1;
    rec->parts_len = size - sio_record_tables_len(rec);

    text = (t_store_text_t *) (rec + 1);
    text->writer = writer;
    text->n = n;

    word = (uint64_t *) (text + 1);

    for (i = 0; i < (size - 64 - sizeof(t_store_text_t)) / 8; i++) {
        word[i] = t_store_word(text, i);
    }
}


/* True if what stands behind a header of this size is whole. */

static inline ngx_uint_t
t_store_whole(u_char *body, size_t size)
{
    size_t           i;
    uint64_t        *word;
    t_store_text_t  *text;

    text = (t_store_text_t *) body;
    word = (uint64_t *) (text + 1);

    for (i = 0; i < (size - 64 - sizeof(t_store_text_t)) / 8; i++) {
        if (word[i] != t_store_word(text, i)) {
            return 0;
        }
    }

    return 1;
}


/* Appends a record, with a worker that keeps up; returns its offset. */

static inline uint64_t
t_store_append(ngx_sio_zone_t *z, ngx_uint_t slot)
{
    u_char            image[256] __attribute__((aligned(64)));
    ngx_sio_append_t  a;

    t_store_record(image, sizeof(image), 0, 0);

    ngx_memzero(&a, sizeof(ngx_sio_append_t));
    a.data = image;
    a.len = sizeof(image);

    if (slot) {
        (void) ngx_sio_log_advance(z, slot, ngx_sio_log_head(z));
    }

    if (ngx_sio_log_append(z, &a) != NGX_OK) {
        fail_msg("the record was not appended");
    }

    return a.first;
}


/* Appends until an offset has left the log. */

static inline void
t_store_push(ngx_sio_zone_t *z, ngx_uint_t slot, uint64_t off)
{
    while (ngx_sio_log_tail(z) < off) {
        (void) t_store_append(z, slot);
    }
}


#endif /* _T_STORE_H_INCLUDED_ */
