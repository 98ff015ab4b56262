
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_TABLE_H_INCLUDED_
#define _NGX_SIO_TABLE_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * Hash tables of the zone.  A table has as many buckets as its array has
 * records that were ever in use, and so grows with them, one bucket at a time
 * (linear hashing): what was never needed is never touched, and costs nothing.
 *
 * What is behind the buckets may be anything, and is written before it is read.
 * All of it is a cache, under the zone lock.
 */


typedef struct {
    uint32_t                 *buckets;
    void                     *records;
    size_t                    size;            /* of a record, */
    size_t                    next;            /*   where its chain goes on, */
    uint64_t                (*hash)(ngx_sio_zone_t *z, const void *record);
} ngx_sio_table_t;


/* The bucket of a hash among n; 0 counts as 1. */

static ngx_inline uint32_t
ngx_sio_table_bucket(uint64_t hash, uint32_t n)
{
    uint32_t  i, mask;

    if (n < 2) {
        return 0;
    }

    mask = 0xffffffff >> __builtin_clz(n - 1);
    i = (uint32_t) hash & mask;

    return (i < n) ? i : i & (mask >> 1);
}


/* Bytes of the buckets for n records. */
#define ngx_sio_table_size(n)  (ngx_max((n), 1) * sizeof(uint32_t))

/*
 * Fills the last of n buckets, which is a new one, from the one that had its
 * records before.  To be called with each record that is used for the first
 * time, before it is in a chain.
 */
void ngx_sio_table_split_locked(ngx_sio_zone_t *z, const ngx_sio_table_t *t,
    uint32_t n);


#endif /* _NGX_SIO_TABLE_H_INCLUDED_ */
