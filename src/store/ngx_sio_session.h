
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_SESSION_H_INCLUDED_
#define _NGX_SIO_SESSION_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * Session records: one for each socket, with the rooms that it is in.  The
 * record of a transport holds its socket in "/", sockets in further namespaces
 * have records of their own: its branches, see below.
 *
 * A session belongs to one worker, while it has a WebSocket or a pending poll,
 * or to nobody: between two polls, or parked, when its transport is lost and a
 * client may come back for its socket.  Functions that change a session take
 * the caller's ticket (the owner word, see zone.h) and return NGX_DECLINED if
 * the session is no longer the caller's.  Those that end in _locked want the
 * zone lock; the others take it, and return NGX_BUSY if it is not to be had:
 * then nothing has changed.  A few hold the session instead, and say so.
 *
 * Nothing is done to a session that is DEAD but to end it.
 *
 * A membership is named by a 32-bit reference that stays the same for its
 * life: chunk * NGX_SIO_REF + place, where chunk 0 is the session itself.
 *
 * In a view whose sessions were lost (ngx_sio_zone_lost()) nothing is found,
 * opened or changed: functions return 0 or NGX_DECLINED.
 */


#define NGX_SIO_NO_MEMBER      0xffffffff
#define NGX_SIO_ENDED          16              /* memberships that have ended,
                                                  kept for each session */


/* A room to join; hash is sio_hash(seed, name). */

typedef struct {
    uint64_t             hash;
    ngx_str_t            name;
    uint32_t             member;     /* out: the reference */
    uint32_t             room;       /* out: index of the room record */
    ngx_uint_t           set;        /* it comes from a room set */
} ngx_sio_room_t;


/* A transport for which a session is made. */

typedef struct {
    const u_char        *eio_sid;    /* NGX_SIO_SID_LEN bytes */
    ngx_uint_t           transport;  /* a sio_eio_transport_e */
    uint32_t             ping_interval;       /* ms */
    uint32_t             ping_timeout;        /* ms */
    uint32_t             connect_timeout;     /* ms; 0: none */
    uint64_t             address;    /* key, see limit.h; 0: none */
    uint32_t             most;       /* transports of that address; 0: any */
    ngx_uint_t           limited;    /* out: it would have been one more */
} ngx_sio_session_new_t;


/*
 * Makes a session.  slot: its owner, whose cursor it moves with; 0: nobody's,
 * then it starts at the head of the log and its deadline is one ping_interval
 * from now.  *owner is the ticket.  Returns its index; or 0 if its address has
 * enough of them, with new->limited; or 0 if the zone is full or locked, and
 * sh->refused is counted.
 */
uint32_t ngx_sio_session_open(ngx_sio_zone_t *z, ngx_uint_t slot,
    ngx_sio_session_new_t *new, uint64_t *owner);

/* A number for a session while it has a certain owner. */
#define ngx_sio_session_tag(i, ticket)                                        \
    ((uint64_t) (i) << 32 | ngx_sio_owner_gen(ticket))

/* True if the ticket still holds. */
#define ngx_sio_session_mine(z, i, ticket)                                    \
    (ngx_sio_load(&(z)->sessions[i].owner) == (ticket))


/*
 * Finds the session of a transport, or the one with a socket's id; 0 if there
 * is none.  By Engine.IO id only those are found that are not DEAD.
 */
uint32_t ngx_sio_session_by_eio_locked(ngx_sio_zone_t *z,
    const u_char *eio_sid);
uint32_t ngx_sio_session_by_sid_locked(ngx_sio_zone_t *z, const u_char *sid);

/*
 * Takes a session that is nobody's.  NGX_OK with the ticket; NGX_AGAIN if it
 * has an owner, whose word is in *owner; NGX_DECLINED if there is no such
 * session, or it is DEAD.  The positions stay as they are.
 */
ngx_int_t ngx_sio_session_claim_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t slot, uint64_t *owner);

/*
 * Takes a session from an owner who is dead, fenced, or does not let go;
 * *owner is its word, and becomes the ticket.  If it moved with the cursor of
 * that owner, "applied" and "seen" become that cursor.  NGX_OK; NGX_AGAIN if
 * he holds it, and went on with that for some microseconds: he was interrupted,
 * and it will end, or he has died, and is reaped; NGX_DECLINED if the word is
 * no longer that, or the session is DEAD.
 */
ngx_int_t ngx_sio_session_take_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t slot, uint64_t *owner);

/*
 * Makes sure that nobody but the caller's worker has the session, which may
 * then be ended without a ticket.  NGX_OK, or what ..._take_locked() says.
 */
ngx_int_t ngx_sio_session_wrest_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t slot);

/*
 * Lets a session go: the caller has done for it what the log has up to
 * offset at.  That is what "seen" becomes, and "applied" if it moved with the
 * cursor; another "applied" stays, because it was set on behalf of the owner,
 * who does not know of it yet.  NGX_OK; NGX_DECLINED: it is the caller's no
 * more, or has been closed, because it was DEAD, or a branch that has lost its
 * transport; NGX_BUSY: it stays the caller's.
 */
ngx_int_t ngx_sio_session_release(ngx_sio_zone_t *z, uint32_t i,
    uint64_t owner, uint64_t at);

/*
 * What an owner stores while he holds the session, without the zone lock.  If
 * it is no longer his nothing is stored.
 *
 * handed: events were handed out; from is the offset of the first, 0 if it is
 * not in the log, last the offset behind them.  Now and then the base is
 * renewed, to "last" as it was and from.
 *
 * stay: what the log has from offset at on is not handed out with what the
 * cursor passes: "applied" becomes at, if it was at the cursor.
 *
 * told_done: the ready event that is due behind the record of "told" was sent,
 * if a position is up to there.
 *
 * place: "pos" of a membership.
 *
 * reason: why the caller is about to end it; what the first one said counts.
 */
void ngx_sio_session_handed(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t from, uint64_t last);
void ngx_sio_session_stay(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t at);
void ngx_sio_session_told_done(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t at);
void ngx_sio_session_place(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint32_t member, uint32_t pos);
void ngx_sio_session_reason(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    ngx_uint_t reason);

/*
 * All that the caller's cursor has passed is handed out, and the session moves
 * with it from now on: "applied" becomes NGX_SIO_AT_CURSOR.
 */
ngx_int_t ngx_sio_session_at_cursor(ngx_sio_zone_t *z, uint32_t i,
    uint64_t owner);

/*
 * The session goes back to an offset: that is what "seen" becomes, and with
 * commands "applied", too.
 */
ngx_int_t ngx_sio_session_go_back(ngx_sio_zone_t *z, uint32_t i,
    uint64_t owner, uint64_t off, ngx_uint_t commands);


/* What a client is told as its session is let go. */

typedef struct {
    uint64_t             from;       /* events: see ngx_sio_session_handed() */
    uint64_t             last;       /*   0: there are none */
    uint64_t             applied;    /* becomes that of the session, 0: as in
                                        ngx_sio_session_release() */
    ngx_uint_t           listed;     /* the list of who is online is in it */
} ngx_sio_session_answer_t;

/*
 * The same, for an answer with events in it, which may be sent only if this
 * returns NGX_OK.
 */
ngx_int_t ngx_sio_session_answer_locked(ngx_sio_zone_t *z, uint32_t i,
    uint64_t owner, uint64_t at, const ngx_sio_session_answer_t *answer);

/*
 * The transport is lost, the socket waits until the deadline: lets the session
 * go as above and takes away its Engine.IO id and what belongs to the
 * transport.  One without a socket stays as it is (NGX_DECLINED); one that is
 * DEAD is over.  The _locked one asks for no ticket: the session is nobody's,
 * the caller's, or was that of a dead one.
 */
ngx_int_t ngx_sio_session_park(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint64_t at, uint64_t deadline);
void ngx_sio_session_park_locked(ngx_sio_zone_t *z, uint32_t i, uint64_t at,
    uint64_t deadline);

/*
 * The transport is over: its socket, and those of its branches that are
 * nobody's, are parked if they can be, the others end.  Deadline 0: all end.
 */
void ngx_sio_session_over_locked(ngx_sio_zone_t *z, uint32_t i, uint64_t at,
    uint64_t deadline);

/*
 * The same for the transport of a session, be it a branch or not, that somebody
 * has: it becomes DEAD, and he ends it within a second or so.
 */
void ngx_sio_session_dead_locked(ngx_sio_zone_t *z, uint32_t i,
    uint64_t deadline);

/*
 * The offset behind the record that tells the client of its socket, as seen
 * from a cursor near by; 0: that was met, up to the ready event which is due
 * there.
 */
uint64_t ngx_sio_session_told(ngx_sio_session_sh_t *ss, uint64_t cursor);

/* True if it is a socket that can be parked until the deadline, unless 0. */
ngx_uint_t ngx_sio_session_may_wait(ngx_sio_session_sh_t *ss,
    uint64_t deadline);

/*
 * Gives the socket of one session, which is closed, to another that has none:
 * id, user, rooms, and all positions but "seen"; "applied" becomes at, and so
 * does a "last" beyond that: what is handed out again begins there.  References
 * stay the same.  The one that gives leaves a farewell if none was left; the
 * "farewell" of the other is for the caller to set before.  owner is his ticket
 * of the one that gives; the other may be anybody's, who is told by a record.
 * NGX_OK, or NGX_DECLINED if the ticket no longer holds, one of them is not
 * what it should be, or they are of different namespaces.
 */
ngx_int_t ngx_sio_session_adopt_locked(ngx_sio_zone_t *z, uint32_t to,
    uint32_t from, uint64_t owner, uint64_t at);


/* What makes a session a socket. */

typedef struct {
    const u_char        *sid;
    uint16_t             nsp;
    ngx_uint_t           recoverable;
    ngx_uint_t           farewell;   /* number of a stream; 0: none */
    ngx_str_t           *user;       /* NULL or len 0: none */
    ngx_sio_room_t      *rooms;      /* no name twice */
    ngx_uint_t           nrooms;
    uint64_t             since;      /* they hold from this offset on */
    ngx_uint_t           refresh;    /* the room sets are to be read again */
} ngx_sio_session_socket_t;

/*
 * Makes the session a socket; a user is counted per namespace.  "applied",
 * "born", "last" and the base become since; CONNECTING ends, and the transport
 * has connected in time.  NGX_OK, or NGX_DECLINED if the zone is full
 * (sh->refused is counted), a name impossible, this is a socket already, or a
 * branch of another namespace: nothing has changed then.  The _locked one asks
 * for no ticket, and leaves CONNECTING and connecter to its caller, who may
 * have to tell the client first.
 */
ngx_int_t ngx_sio_session_connect(ngx_sio_zone_t *z, uint32_t i,
    uint64_t owner, ngx_sio_session_socket_t *socket);
ngx_int_t ngx_sio_session_connect_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_sio_session_socket_t *socket);

/*
 * Joins one room from an offset on.  NGX_OK; NGX_DONE if it is a member already
 * (the outputs are set); NGX_DECLINED (full, lost, or no socket).
 */
ngx_int_t ngx_sio_session_join(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    ngx_sio_room_t *room, uint64_t since);

/*
 * Ends one membership at an offset.  If the session is RECOVERABLE and until
 * is not 0, what it was is kept (NGX_SIO_LEFT, in its place) until the tail of
 * the log has passed.  NGX_SIO_ENDED are kept: then the oldest goes, and the
 * session gets NGX_SIO_FLOOR with base_from at its end.  NGX_OK, also if the
 * reference is no membership, or one that has ended; NGX_DECLINED.
 */
ngx_int_t ngx_sio_session_leave(ngx_sio_zone_t *z, uint32_t i, uint64_t owner,
    uint32_t member, uint64_t until);

/*
 * Notes that the room sets of a socket are to be read again, or that they have
 * been.  NGX_OK; NGX_DECLINED.
 */
ngx_int_t ngx_sio_session_refresh(ngx_sio_zone_t *z, uint32_t i,
    uint64_t owner, ngx_uint_t due);

/*
 * Takes away socket id, user and rooms: the transport goes on without a
 * socket.  A session without transport, which is PARKED or a branch, is closed.
 */
ngx_int_t ngx_sio_session_disconnect(ngx_sio_zone_t *z, uint32_t i,
    uint64_t owner);
void ngx_sio_session_disconnect_locked(ngx_sio_zone_t *z, uint32_t i);

/*
 * Ends the session and frees its record.  NGX_BUSY: then the record stays until
 * the worker leaves or is reaped.
 */
ngx_int_t ngx_sio_session_close(ngx_sio_zone_t *z, uint32_t i,
    uint64_t owner);
void ngx_sio_session_close_locked(ngx_sio_zone_t *z, uint32_t i);

/* Another transport, by an upgrade; the count of those that poll follows. */
void ngx_sio_session_transport_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t transport);

/*
 * The caller's worker handles a POST of the session: NGX_OK, or NGX_BUSY if
 * another one is at it, be it in the same worker; NGX_DECLINED if there is no
 * such session, or it is DEAD.  ..._done() ends that; it is no error if the
 * session is gone or somebody else's by then.
 */
ngx_int_t ngx_sio_session_post_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t slot);
void ngx_sio_session_post_done_locked(ngx_sio_zone_t *z, uint32_t i,
    ngx_uint_t slot);


/*
 * Makes a branch of a transport: a record for its socket in another namespace.
 * slot: its owner, that of the transport, whose cursor it moves with; 0:
 * nobody's, to be claimed by whoever has or gets the transport; then it starts
 * at the head.  connecter: the slot of the worker that waits for rooms on its
 * behalf, which makes it CONNECTING; or 0.  *owner is the ticket.  Returns its
 * index, or 0: the zone is full (sh->refused is counted), there is no such
 * transport, or it has such a branch already.
 */
uint32_t ngx_sio_session_branch_locked(ngx_sio_zone_t *z, uint32_t transport,
    uint16_t nsp, ngx_uint_t slot, ngx_uint_t connecter, uint64_t *owner);

/* The transport's session in a namespace, which is itself for 0; 0: none. */
uint32_t ngx_sio_session_in_locked(ngx_sio_zone_t *z, uint32_t transport,
    uint16_t nsp);

/* The first branch of a transport, and the one behind a branch; 0: none. */
uint32_t ngx_sio_session_first_locked(ngx_sio_zone_t *z, uint32_t transport);
uint32_t ngx_sio_session_next_locked(ngx_sio_zone_t *z, uint32_t branch);

/*
 * Takes a branch from its transport; what is no branch stays as it is.  It is
 * for its owner to end, who is the caller or will find out.
 */
void ngx_sio_session_prune_locked(ngx_sio_zone_t *z, uint32_t branch);

/*
 * Takes all branches from a transport.  Those that are nobody's are parked
 * until the deadline, or closed: all with deadline 0, and those that cannot be
 * recovered.  Others are for their owner to end.
 */
void ngx_sio_session_shed_locked(ngx_sio_zone_t *z, uint32_t transport,
    uint64_t deadline);


/*
 * Walks the sessions that are nobody's, and calls each() with the zone lock
 * held for those whose deadline has passed; it may close the session, or move
 * its deadline.  Returns how many.  Sessions are looked at without the lock
 * first, so that a walk that finds nothing disturbs nobody; what the lock is
 * not to be had for is left to the next walk.
 */
typedef void (*ngx_sio_session_each_pt)(ngx_sio_zone_t *z, uint32_t i,
    void *data);

ngx_uint_t ngx_sio_session_expire(ngx_sio_zone_t *z, uint64_t now,
    ngx_sio_session_each_pt each, void *data);


/* The heads of the chains that the two ids belong to. */
uint32_t *ngx_sio_session_eio_bucket(ngx_sio_zone_t *z,
    const u_char *eio_sid);
uint32_t *ngx_sio_session_sid_bucket(ngx_sio_zone_t *z, const u_char *sid);

/*
 * The membership behind a reference; NULL if the reference is none.  The owner
 * may read it without lock.
 */
ngx_sio_member_sh_t *ngx_sio_session_member(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, uint32_t member);

/*
 * Walks the memberships of a session: *ref is NGX_SIO_NO_MEMBER before the
 * first call.  Returns NULL behind the last.  Owner or zone lock.  What *ref
 * names must still be a membership at the next call.  The second one also
 * gives those that have ended.
 */
ngx_sio_member_sh_t *ngx_sio_session_walk(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, uint32_t *ref);
ngx_sio_member_sh_t *ngx_sio_session_walk_all(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, uint32_t *ref);

/* The room of a membership, ended or not; its begin; the end if it has. */
#define ngx_sio_member_room(m)  ((m)->room & ~NGX_SIO_LEFT)
#define ngx_sio_member_since(m)  ((m)->since & ~(uint64_t) NGX_SIO_SET)
#define ngx_sio_member_end(m)                                                 \
    (ngx_sio_member_since(m) + (uint64_t) (m)->pos * SIO_RECORD_ALIGN)

/*
 * The room of a membership that has not ended, for the owner, who has no lock:
 * 0 if it is none any more.  A worker that was stopped may have lost the
 * session in the middle of a walk, and finds something else there then.
 */
uint32_t ngx_sio_session_room(ngx_sio_zone_t *z, const ngx_sio_member_sh_t *m);

/* True if it covers an offset. */
ngx_uint_t ngx_sio_member_covers(const ngx_sio_member_sh_t *m, uint64_t off);


/*
 * What the functions above are made of, for them and for whoever has the lock.
 */

/* The record, if it is a session; the same, if the ticket holds; or NULL. */
ngx_sio_session_sh_t *ngx_sio_session_live_locked(ngx_sio_zone_t *z,
    uint32_t i);
ngx_sio_session_sh_t *ngx_sio_session_mine_locked(ngx_sio_zone_t *z,
    uint32_t i, uint64_t owner);

/* Notes events as ngx_sio_session_handed() does: who may store, see zone.h. */
void ngx_sio_session_note(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    uint64_t from, uint64_t last);

/*
 * Gives a session whose word is *owner to a slot, or to nobody with 0; *owner
 * is the new ticket.  NGX_OK, or NGX_DECLINED and *owner is what was found.
 */
ngx_int_t ngx_sio_session_pass_locked(ngx_sio_session_sh_t *ss,
    uint64_t *owner, ngx_uint_t slot);

/* Takes away the Engine.IO id; socket id, user and rooms; all rooms. */
void ngx_sio_session_no_eio_locked(ngx_sio_zone_t *z, uint32_t i);
void ngx_sio_session_empty_locked(ngx_sio_zone_t *z, uint32_t i);
void ngx_sio_session_drop_locked(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);

/*
 * A record for a new session, which is NEW, and zero but for its owner word; 0
 * if there is none left.  The second frees one, without a look at socket and
 * rooms.
 */
uint32_t ngx_sio_session_alloc_locked(ngx_sio_zone_t *z);
void ngx_sio_session_free_locked(ngx_sio_zone_t *z, uint32_t i);

/* Adds a room that the session is not in.  NGX_OK or NGX_DECLINED. */
ngx_int_t ngx_sio_session_add_locked(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_sio_room_t *room, uint64_t since);

/* Clears NGX_SIO_FLOOR if it means nothing any more. */
void ngx_sio_session_floor_locked(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);


#endif /* _NGX_SIO_SESSION_H_INCLUDED_ */
