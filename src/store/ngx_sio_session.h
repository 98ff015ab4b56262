
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_SESSION_H_INCLUDED_
#define _NGX_SIO_SESSION_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * Session records: one for each socket, with the rooms that it is in.
 *
 * A membership is named by a 32-bit reference that stays the same for its
 * life: below NGX_SIO_INLINE a place in the session, else chunk * 8 + place.
 *
 * In a view whose sessions were lost (ngx_sio_zone_lost()) open and connect and
 * join refuse, leave and disconnect and close do nothing and return NGX_OK.
 */


#define NGX_SIO_NO_MEMBER      0xffffffff


/* A room to join; hash is sio_hash(seed, name). */

typedef struct {
    uint64_t             hash;
    ngx_str_t            name;
    uint32_t             member;     /* out: the reference */
    uint32_t             room;       /* out: index of the room record */
} ngx_sio_room_t;


/*
 * Makes a session for a new transport, owned by slot.  eio_sid has
 * NGX_SIO_SID_LEN bytes.  Returns its index, or 0 if the zone is full or
 * locked; sh->refused is counted.
 */
uint32_t ngx_sio_session_open(ngx_sio_zone_t *z, ngx_uint_t slot,
    const u_char *eio_sid, ngx_uint_t transport);

/*
 * Makes it a socket of namespace nsp: sets its id and user (NULL or len 0:
 * none; a user is counted per namespace) and joins rooms, which must hold no
 * name twice, all from offset since on.  NGX_OK, or NGX_DECLINED if the zone is
 * full, a name impossible, or this is a socket already, NGX_BUSY if the zone is
 * locked: nothing has changed then.
 */
ngx_int_t ngx_sio_session_connect(ngx_sio_zone_t *z, uint32_t i,
    const u_char *sid, uint16_t nsp, ngx_str_t *user, ngx_sio_room_t *rooms,
    ngx_uint_t nrooms, uint64_t since);

/*
 * Joins one room.  NGX_OK; NGX_DONE if it is a member already (the outputs
 * are set); NGX_DECLINED (full); NGX_BUSY.
 */
ngx_int_t ngx_sio_session_join(ngx_sio_zone_t *z, uint32_t i,
    ngx_sio_room_t *room, uint64_t since);

/* Ends one membership.  NGX_OK or NGX_BUSY. */
ngx_int_t ngx_sio_session_leave(ngx_sio_zone_t *z, uint32_t i,
    uint32_t member);

/*
 * Takes away socket id, user and rooms: the transport goes on without a
 * socket.  NGX_OK or NGX_BUSY.
 */
ngx_int_t ngx_sio_session_disconnect(ngx_sio_zone_t *z, uint32_t i);

/*
 * Ends the session and frees its record.  NGX_OK or NGX_BUSY: then the record
 * stays until the worker leaves or is reaped.
 */
ngx_int_t ngx_sio_session_close(ngx_sio_zone_t *z, uint32_t i);

/* The same for callers who hold the zone lock. */
void ngx_sio_session_disconnect_locked(ngx_sio_zone_t *z, uint32_t i);
void ngx_sio_session_close_locked(ngx_sio_zone_t *z, uint32_t i);

/* Finds a session by its secret or public id: index or 0; zone lock. */
uint32_t ngx_sio_session_by_eio_locked(ngx_sio_zone_t *z,
    const u_char *eio_sid);
uint32_t ngx_sio_session_by_sid_locked(ngx_sio_zone_t *z, const u_char *sid);

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
 * names must still be a membership at the next call.
 */
ngx_sio_member_sh_t *ngx_sio_session_walk(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, uint32_t *ref);


#endif /* _NGX_SIO_SESSION_H_INCLUDED_ */
