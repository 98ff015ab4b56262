
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_HASH_H_INCLUDED_
#define _SIO_HASH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/*
 * A 64-bit hash of a name (room, user, session id) for tables in memory.
 *
 * The seed is drawn per zone, so that names cannot be chosen to collide.
 * Equal hashes never mean equal names: every table compares the bytes.
 */
uint64_t sio_hash(uint64_t seed, const void *data, size_t len);


#endif /* _SIO_HASH_H_INCLUDED_ */
