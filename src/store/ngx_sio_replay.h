
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_REPLAY_H_INCLUDED_
#define _NGX_SIO_REPLAY_H_INCLUDED_


#include "ngx_sio_session.h"

#include <sio_buf.h>


/*
 * What a session missed while nobody had it: from its record in the zone and
 * the log, up to a worker's cursor.
 *
 * Joins and leaves are done to the session's rooms, exactly as they would have
 * been done by an owner.  Doing them again does no harm, because each
 * membership says which offsets it covers; so a session may be replayed from
 * an offset that is older than its rooms, and after any crash.  One that is not
 * NGX_SIO_RECOVERABLE forgets what has ended: it is replayed once, and whoever
 * wants less than all of it gives a limit.
 *
 * Of the events only the offsets are collected: they are sent later, from the
 * log.  Volatile ones are for nobody who was away, and those that carry no
 * offset for nobody who is recovered: a client could not tell whether it has
 * them.  Who comes online and goes is for those that had a list of them, and
 * are not recovered: these get another list.
 *
 * All is done for the socket that the record shows when the call begins.
 * Commands count from "applied" or from the socket's "last" on, whichever is
 * later: an owner had done all of those before "last" when it handed out what
 * "last" stands behind, and what was before its birth was for another socket,
 * if for any.  This holds for DISCONNECT, too.  Who took that other socket away
 * has told the client, or was told by it; a second word would end the present
 * one.  Events count from "events" on, so the caller does not give an offset
 * before the birth: for whoever goes on, "last" is right; for one that is
 * recovered, what its client has shown.
 *
 * A session without socket gets only the records for the session itself, and
 * one that is parked gets none of these.
 */


typedef struct {
    uint32_t             session;
    uint64_t             owner;      /* the caller's ticket */
    uint64_t             applied;    /* commands count from here on */
    uint64_t             seen;       /* records for the session itself */
    uint64_t             events;     /* events */
    ngx_uint_t           recover;    /* a DISCONNECT or a gap ends it */
    size_t               limit;      /* bytes of parts that are wanted at once;
                                        0: all.  Out: what is left of it */

    uint64_t             left;       /* out: all before this has been done, the
                                        cursor unless there is more than the
                                        limit; the first ref always fits */
    uint64_t             met;        /* out: the same of records for the session
                                        itself: of a socket that has yet to be
                                        told what it is they come first */
    uint64_t             ready;      /* out: its ready event is due behind all
                                        that is older than this; 0: it is not */
    sio_buf_t            refs;       /* out, heap: uint64_t each; offsets of the
                                        EMIT and SESSION records, in order; of
                                        the latter those with parts, or with
                                        CONNECTED, which come first */
    sio_buf_t            touched;    /* out, heap: uint64_t each; hashes of the
                                        rooms that commands have named behind
                                        the last REFRESH that was met */
    ngx_uint_t           socket;     /* out: it was a socket, and told so, as
                                        the call began */
    ngx_uint_t           disconnect; /* out: a DISCONNECT was met, after which
                                        the socket has nothing more: 1, with its
                                        transport: 2, quietly: 3 */
    ngx_uint_t           close;      /* out: a SESSION record wants it closed */
    ngx_uint_t           reason;     /*   for this ngx_sio_close_e */
    ngx_uint_t           release;    /* out: a SESSION record wants it to be
                                        released */
} ngx_sio_replay_t;


/*
 * Goes through the log from the oldest of the three offsets to the cursor, or
 * to what is beyond the limit, as if the cursor were there. Those that matter
 * must have been checked by ngx_sio_replay_valid(): without a socket only
 * "seen" does, without an Engine.IO id it does not. refs and touched must be
 * valid buffers; they are emptied first. Nothing is written to the positions in
 * the session's record.
 *
 * NGX_OK. NGX_DECLINED: it cannot be done: the log has gone on; or with
 * recover, there was a gap or a DISCONNECT, or rooms of that time are no longer
 * known (NGX_SIO_FLOOR); or the ticket no longer holds. NGX_ERROR: no memory,
 * or the zone is full or locked; the rooms may lack something. The caller frees
 * both in any case.
 */
ngx_int_t ngx_sio_replay_run(ngx_sio_zone_t *z, uint64_t cursor,
    ngx_sio_replay_t *rp);

/*
 * True if a record begins at an offset, or the log ends there: to be asked
 * before an offset is used that somebody else has named.  Goes through the log
 * up to it, because what looks like a record may be the payload of another.
 */
ngx_uint_t ngx_sio_replay_valid(ngx_sio_zone_t *z, uint64_t off);


#endif /* _NGX_SIO_REPLAY_H_INCLUDED_ */
