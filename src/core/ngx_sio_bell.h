
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_BELL_H_INCLUDED_
#define _NGX_SIO_BELL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * Doorbells, by which workers wake each other: made once in the life of the
 * master, so that all workers of all generations inherit the same ones, each
 * known by its process slot.
 */


typedef void (*ngx_sio_bell_pt)(void);


/* Makes them, unless they are there.  NGX_OK, or NGX_ERROR, which is logged. */
ngx_int_t ngx_sio_bell_init(ngx_cycle_t *cycle);

/*
 * Puts this worker's bell into its event loop: rung() is called when it was
 * rung, leave() when the worker has to leave.  NGX_OK, also if its process slot
 * has no bell; NGX_ERROR.
 */
ngx_int_t ngx_sio_bell_listen(ngx_cycle_t *cycle, ngx_sio_bell_pt rung,
    ngx_sio_bell_pt leave);

/* Rings that of another worker, if it has one. */
void ngx_sio_bell_ring(ngx_int_t process_slot);

/* Takes this worker's out of its event loop. */
void ngx_sio_bell_release(void);


#endif /* _NGX_SIO_BELL_H_INCLUDED_ */
