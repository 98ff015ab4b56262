
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_MSGPACK_H_INCLUDED_
#define _SIO_MSGPACK_H_INCLUDED_


#include "sio_buf.h"


/*
 * A msgpack token reader and a transcoder to JSON text.
 *
 * msgpack-c is not used for reading: its C unpacker builds a tree for every
 * message and refuses nesting deeper than 32 (a constant compiled into the
 * library), while the contract allows 64.  Every broadcast passes here once,
 * straight from Redis' bytes to the text that goes to the clients.
 */


#define SIO_MSGPACK_DEPTH  80     /* packet and options around 64 levels */


typedef enum {
    SIO_MP_NIL, SIO_MP_BOOL, SIO_MP_INT, SIO_MP_UINT, SIO_MP_FLOAT,
    SIO_MP_STR, SIO_MP_BIN, SIO_MP_EXT, SIO_MP_ARRAY, SIO_MP_MAP
} sio_mp_type_e;


typedef struct {
    const unsigned char  *pos;
    const unsigned char  *last;
} sio_mp_reader_t;


typedef struct {
    unsigned              type;      /* a sio_mp_type_e */
    int                   ext;       /* EXT: its type */
    union {
        int64_t           i;         /* INT: negative numbers only */
        uint64_t          u;         /* UINT; BOOL: 0 or 1 */
        double            f;
        sio_str_t         s;         /* STR, BIN, EXT: view into the input */
        uint32_t          n;         /* ARRAY: items, MAP: pairs to follow */
    } u;
} sio_mp_token_t;


/* Reads one token: SIO_OK, or SIO_ERROR (truncated, or byte 0xc1). */
sio_rc_t sio_mp_next(sio_mp_reader_t *r, sio_mp_token_t *t);

/* Skips one whole value: SIO_OK, SIO_ERROR, SIO_LIMIT (depth). */
sio_rc_t sio_mp_skip(sio_mp_reader_t *r);

/*
 * Appends one value as JSON text.  Map keys become strings; integers keep all
 * 64 bits; floats are printed with as few digits as give the same double, NaN
 * and infinities are null; ext -1 is an ISO 8601 time as Date.toJSON() gives
 * it, other ext values are null.  Strings are escaped as JSON.stringify()
 * does and must be UTF-8 (bad sequences become U+FFFD).
 *
 * bins: NULL writes binary as {"type":"Buffer","data":[..]}; otherwise each
 * bin is added to bins[*nbins] (views into the input, in order of appearance)
 * and a placeholder is written; more than max_bins is SIO_LIMIT.
 *
 * SIO_OK, SIO_ERROR, SIO_LIMIT, SIO_NOMEM; on failure b may have grown.
 */
sio_rc_t sio_mp_json(sio_mp_reader_t *r, sio_buf_t *b, sio_str_t *bins,
    unsigned *nbins, unsigned max_bins);


#endif /* _SIO_MSGPACK_H_INCLUDED_ */
