
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ROSTER_H_INCLUDED_
#define _NGX_SIO_ROSTER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <ngx_sio_shared.h>
#include <sio_buf.h>


/*
 * A worker's copy of the list of those who are online, and what it is for
 * clients: the elements of a JSON array, made once after a change when somebody
 * asks, and shared by all who ask until the next one.
 */


typedef struct ngx_sio_roster_s  ngx_sio_roster_t;


/* An empty one, or NULL without memory. */
ngx_sio_roster_t *ngx_sio_roster_create(ngx_log_t *log);
void ngx_sio_roster_free(ngx_sio_roster_t *roster);

void ngx_sio_roster_clear(ngx_sio_roster_t *roster);

/*
 * Says whether a user is in the list; hash is that of the name.  NGX_OK;
 * NGX_DONE: it was so already; NGX_ERROR: no memory, nothing has changed.
 */
ngx_int_t ngx_sio_roster_set(ngx_sio_roster_t *roster, uint64_t hash,
    const sio_str_t *user, ngx_uint_t online);

/* True if a user with this hash is in the list. */
ngx_uint_t ngx_sio_roster_has(ngx_sio_roster_t *roster, uint64_t hash);

/* How many there are. */
ngx_uint_t ngx_sio_roster_count(ngx_sio_roster_t *roster);

/*
 * The users, quoted, with commas in between; the caller refers to what it
 * keeps.  NULL without memory.
 */
ngx_sio_shared_t *ngx_sio_roster_text(ngx_sio_roster_t *roster);


#endif /* _NGX_SIO_ROSTER_H_INCLUDED_ */
