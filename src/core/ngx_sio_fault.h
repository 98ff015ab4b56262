
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_FAULT_H_INCLUDED_
#define _NGX_SIO_FAULT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Deaths at chosen moments, for tests, in a build with NGX_SIO_FAULTS only: a
 * worker kills itself at a step of the store, see ngx_sio_step() in zone.h, or
 * sends itself another signal.
 * Which one is said in a file that the environment variable SIO_FAULTS names;
 * it holds the structure below, all workers map it, and whoever makes a test
 * writes plans into it.  The plans are carried out one after the other, each
 * from the death of the one before.
 */

#if (NGX_SIO_FAULTS)


#define NGX_SIO_FAULT_PLANS  4
#define NGX_SIO_FAULT_SPARE  2
#define NGX_SIO_FAULT_WORD   48
#define NGX_SIO_FAULT_FILE   56


typedef struct {
    int64_t              left;       /* steps until death; 0: none */
    uint64_t             spare[NGX_SIO_FAULT_SPARE];
                                     /* pids whose steps do not count */
    u_char               file[NGX_SIO_FAULT_WORD];
                                     /* terminated: only steps count that are
                                        in a file with this in its name */
    uint64_t             signal;     /* 0: SIGKILL */
} ngx_sio_fault_plan_t;


typedef struct {
    uint64_t             steps;      /* made so far, by all workers */
    uint64_t             next;       /* the plan to be carried out */
    uint64_t             line;       /* of the last death, */
    u_char               file[NGX_SIO_FAULT_FILE];
                                     /*   and the end of its file's name */
    ngx_sio_fault_plan_t plan[NGX_SIO_FAULT_PLANS];
} ngx_sio_fault_t;

_Static_assert(sizeof(ngx_sio_fault_t) == 400, "size that the tests know");


/* To be called when a worker starts.  NGX_ERROR if the file is no good. */
ngx_int_t ngx_sio_fault_init_worker(ngx_cycle_t *cycle);


#endif


#endif /* _NGX_SIO_FAULT_H_INCLUDED_ */
