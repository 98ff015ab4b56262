
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_OUTLET_H_INCLUDED_
#define _NGX_SIO_OUTLET_H_INCLUDED_


#include "ngx_sio_gateway.h"


/*
 * What a fan-out has to know of a client.
 *
 * To look at a thousand clients, in as many places of memory, takes longer than
 * all that is done with them.  So this stands in one array, where a client gets
 * a place when it becomes a socket; rooms know their members by its number.
 */


/* 32 bytes, so that none is in two lines of the cache. */

typedef struct {
    ngx_sio_client_t         *client;          /* NULL: free */
    uint64_t                  mark;            /* serial of the last segment
                                                  that has met this client */
    uint32_t                  run_first;       /* its runs in this turn, */
    uint32_t                  run_last;        /*   indexes, 0: none; of a free
                                                  one: the next free one */
    ngx_socket_t              fd;              /* of a plain WebSocket that has
                                                  nothing pending; else -1 */
    uint8_t                   connected;       /* it is a socket */
    uint8_t                   behind;          /* there is something pending */
} ngx_sio_outlet_t;

_Static_assert(sizeof(ngx_sio_outlet_t) == 32, "size of an outlet");


struct ngx_sio_outlets_s {
    ngx_sio_outlet_t         *elts;            /* moves as it grows; [0] is that
                                                  of clients without one, who
                                                  wait for nothing */
    uint32_t                  top;             /* those below were in use */
    uint32_t                  nalloc;
    uint32_t                  free;            /* number; 0: none */
};


/* The outlet of a client, until another client gets one. */
#define ngx_sio_outlet(sc)                                                    \
    (&(sc)->gateway->outlets->elts[(sc)->outlet])

/* Asks for a line of memory that will be needed soon. */
#define ngx_sio_outlet_fetch(p)  __builtin_prefetch(p)


/* NULL without memory. */
ngx_sio_outlets_t *ngx_sio_outlets_create(ngx_log_t *log);

/*
 * Gives a client an outlet, unless it has one: NGX_OK or NGX_ERROR (memory).
 * Takes it back; nothing may refer to it any more.
 */
ngx_int_t ngx_sio_outlet_give(ngx_sio_client_t *sc);
void ngx_sio_outlet_take(ngx_sio_client_t *sc);

/* To be called when something has changed that an outlet tells of a client. */
void ngx_sio_outlet_update(ngx_sio_client_t *sc);


#endif /* _NGX_SIO_OUTLET_H_INCLUDED_ */
