
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_ADAPTER_DECODE_H_INCLUDED_
#define _SIO_ADAPTER_DECODE_H_INCLUDED_


#include "sio_adapter.h"
#include "sio_msgpack.h"


/*
 * What the parts of the decoder share, and nobody else:
 *
 *   adapter           broadcasts; maps, options, names of rooms
 *   adapter_packet    the packet in a broadcast, or in a request that asks
 *   adapter_request   requests
 *
 * All functions with error return the results of sio_adapter_broadcast().
 */


/* A value of a map that is looked for by name; value.pos: NULL if missing. */

typedef struct {
    sio_str_t            name;
    sio_mp_reader_t      value;
} sio_adapter_field_t;

#define sio_adapter_field(name)  { sio_string(name), { NULL, NULL } }


/* What stands in front of the data of a packet. */

typedef struct {
    sio_str_t            nsp;
    unsigned             type;          /* SIO_EVENT or SIO_ACK */
    int                  has_id;
    uint64_t             id;
} sio_adapter_head_t;


/* Begins a message: forgets what the last one has left behind. */
void sio_adapter_reset(sio_adapter_t *a, sio_message_t *m);

/* Sets *error; returns rc. */
sio_rc_t sio_adapter_fail(const char **error, sio_rc_t rc,
    const char *text);

/* Passes over one value. */
sio_rc_t sio_adapter_skip(sio_mp_reader_t *r, const char **error);

/*
 * Notes where the values of n fields of a map are.  SIO_AGAIN if there is no
 * map, but nil.
 */
sio_rc_t sio_adapter_fields(sio_mp_reader_t *r,
    sio_adapter_field_t *fields, unsigned n, const char **error);

/*
 * Reads {type, data, nsp, id}: the text and the parts of *m.  head says in
 * which namespace, and the ack id, if it is given to the packet here.
 */
sio_rc_t sio_adapter_packet(sio_adapter_t *a, sio_message_t *m,
    sio_adapter_head_t *head, sio_mp_reader_t *r, const char **error);

/* Reads {rooms, except, flags}; nil is as good as an empty map. */
sio_rc_t sio_adapter_opts(sio_adapter_t *a, sio_message_t *m,
    sio_mp_reader_t *r, const char **error);

/*
 * Notes a name; data NULL: the last len bytes of a->digits.  When all are
 * there the second one sets m->names.
 */
sio_rc_t sio_adapter_add_name(sio_adapter_t *a,
    const unsigned char *data, size_t len, const char **error);
void sio_adapter_names_done(sio_adapter_t *a, sio_message_t *m);


#endif /* _SIO_ADAPTER_DECODE_H_INCLUDED_ */
