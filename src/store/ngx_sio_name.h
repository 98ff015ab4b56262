
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_NAME_H_INCLUDED_
#define _NGX_SIO_NAME_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * Rooms and users: names that live as long as somebody refers to them.  All
 * functions but the last three want the zone lock.
 */


/* The two tables of names. */

typedef struct {
    ngx_sio_name_sh_t   *records;
    uint32_t            *table;
    uint32_t             total;
    uint32_t            *top;
    uint32_t            *free;
    uint32_t            *live;
} ngx_sio_names_t;

ngx_sio_names_t ngx_sio_name_rooms(ngx_sio_zone_t *z);
ngx_sio_names_t ngx_sio_name_users(ngx_sio_zone_t *z);

/*
 * Finds a name or makes it, without a reference: it must get one under the
 * same lock.  hash is sio_hash(seed, name); the namespace counts for equality.
 * Returns its index, or 0 if there is no free record or tail, or if the name
 * is empty or longer than SIO_ROOM_LEN.
 */
uint32_t ngx_sio_name_get_locked(ngx_sio_zone_t *z, ngx_sio_names_t *names,
    uint64_t hash, uint16_t nsp, const u_char *data, size_t len);

/* Finds a name; 0 if there is none. */
uint32_t ngx_sio_name_find_locked(ngx_sio_zone_t *z, ngx_sio_names_t *names,
    uint64_t hash, uint16_t nsp, const u_char *data, size_t len);

/* The head of the chain that a name belongs to. */
uint32_t *ngx_sio_name_bucket(ngx_sio_names_t *names, uint64_t hash,
    uint16_t nsp);

/* Adds a reference. */
void ngx_sio_name_ref_locked(ngx_sio_names_t *names, uint32_t i);

/* Drops a reference; the last one frees the record. */
void ngx_sio_name_unref_locked(ngx_sio_zone_t *z, ngx_sio_names_t *names,
    uint32_t i);

/*
 * True if a referenced record has this name.  Needs no lock while the caller
 * holds a reference through one of its sessions: then nobody changes it.
 */
ngx_uint_t ngx_sio_name_equal(ngx_sio_zone_t *z, const ngx_sio_name_sh_t *n,
    uint16_t nsp, const u_char *data, size_t len);

/* Copies a referenced name, SIO_ROOM_LEN bytes at most; returns its length. */
size_t ngx_sio_name_text(ngx_sio_zone_t *z, const ngx_sio_name_sh_t *n,
    u_char *p);

/* Sets or clears the mark that a worker has members of a referenced room. */
void ngx_sio_name_worker(ngx_sio_name_sh_t *n, ngx_uint_t slot,
    ngx_uint_t on);


#endif /* _NGX_SIO_NAME_H_INCLUDED_ */
