
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_REPAIR_H_INCLUDED_
#define _NGX_SIO_REPAIR_H_INCLUDED_


#include "ngx_sio_zone.h"


#define NGX_SIO_REPAIR_OWNED    1      /* mark: chunk or tail has its owner */
#define NGX_SIO_REPAIR_UNUSED   2      /* it had, but there was nothing in it */


/*
 * Makes the records whole again after a process died inside the zone lock,
 * which the caller holds: records that are not LIVE become FREE, a session
 * without socket id has no rooms, one that is PARKED no transport; memberships
 * are the truth for rooms, sessions for users and chunks, names for tails; free
 * lists, chains,
 * reference counts and totals are built anew.  Takes about 50 ms for
 * 100,000 sessions with 5 rooms each.
 *
 * NGX_OK, or NGX_DECLINED if a record contradicts itself in a way that no
 * interrupted operation leaves behind: then all records are emptied and the
 * epoch changes, which makes every worker close all of its clients.
 */
ngx_int_t ngx_sio_repair(ngx_sio_zone_t *z);

/* Its second half: builds everything that only repeats the records. */
void ngx_sio_repair_caches(ngx_sio_zone_t *z);

/*
 * The part of presence.  First sockets are counted anew: ..._reset() before the
 * sessions, and ..._session() for each of them, which sets PRESENT as it has to
 * be.  Then ..._refs() brings the states in order and counts the references
 * that they are; ..._empty() is for a zone that is given up.
 */
void ngx_sio_repair_online_reset(ngx_sio_zone_t *z);
void ngx_sio_repair_online_session(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss);
void ngx_sio_repair_online_refs(ngx_sio_zone_t *z);
void ngx_sio_repair_online_empty(ngx_sio_zone_t *z);

/* Marks a chunk as somebody's.  NULL: it is none, or somebody else's. */
ngx_sio_chunk_sh_t *ngx_sio_repair_claim(ngx_sio_zone_t *z, uint32_t i);

/*
 * The part of farewells: claims their chunks, and counts their users.  NGX_OK,
 * or NGX_DECLINED as above.  The second one is called when sockets can be found
 * by their ids, and ends what was interrupted in a session.
 */
ngx_int_t ngx_sio_repair_farewells(ngx_sio_zone_t *z);
void ngx_sio_repair_cache_farewells(ngx_sio_zone_t *z);

/*
 * The part of limits, which are caches but for the keys that sessions name; and
 * what the check has to say of them: the number of violations, the first of
 * which is described in text.
 */
void ngx_sio_repair_limits(ngx_sio_zone_t *z);
ngx_uint_t ngx_sio_repair_check_limits(ngx_sio_zone_t *z, char *text,
    size_t size);

/*
 * Checks every invariant of the records, with the zone lock held, changing
 * nothing.  Returns the number of violations; the first is described in text
 * (size bytes).
 */
ngx_uint_t ngx_sio_repair_check(ngx_sio_zone_t *z, char *text, size_t size);

/*
 * The same for the log, the cursors of its readers, the roles and the slots of
 * workers, with both locks held.
 */
ngx_uint_t ngx_sio_repair_check_log(ngx_sio_zone_t *z, char *text,
    size_t size);


#endif /* _NGX_SIO_REPAIR_H_INCLUDED_ */
