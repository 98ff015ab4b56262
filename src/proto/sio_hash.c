
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_hash.h"

#include <string.h>


/* Odd constants with about half of their bits set, drawn at random. */

#define SIO_HASH_K0  0xd1b54a32d192ed03ULL
#define SIO_HASH_K1  0x8cb92ba72f3d8dd7ULL
#define SIO_HASH_K2  0xe7037ed1a0b428dbULL


static inline uint64_t
sio_hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128  m;

    m = (unsigned __int128) a * b;

    return (uint64_t) m ^ (uint64_t) (m >> 64);
}


static inline uint64_t
sio_hash_read8(const unsigned char *p)
{
    uint64_t  v;

    memcpy(&v, p, 8);

    return v;
}


static inline uint64_t
sio_hash_read4(const unsigned char *p)
{
    uint32_t  v;

    memcpy(&v, p, 4);

    return v;
}


/*
 * A product loses everything when one factor is zero.  So both factors of
 * every round hold a key that is made of the seed: who does not know the seed
 * cannot build input that makes a factor zero.  The two keys are not related
 * in a simple way, so neither can the factors be made to change places.
 */

uint64_t
sio_hash(uint64_t seed, const void *data, size_t len)
{
    uint64_t              h, k, a, b;
    const unsigned char  *p;

    p = data;
    k = sio_hash_mix(seed ^ SIO_HASH_K0, SIO_HASH_K1);
    h = seed ^ (len * SIO_HASH_K2);

    for (a = len; a > 16; a -= 16) {
        h = sio_hash_mix(sio_hash_read8(p) ^ k, sio_hash_read8(p + 8) ^ h);
        p += 16;
    }

    /* a is 0 .. 16: the words may overlap, len tells such inputs apart */

    if (a >= 8) {
        b = sio_hash_read8(p + a - 8);
        a = sio_hash_read8(p);

    } else if (a >= 4) {
        b = sio_hash_read4(p + a - 4);
        a = sio_hash_read4(p);

    } else if (a > 0) {
        b = ((uint64_t) p[a >> 1] << 8) | p[a - 1];
        a = p[0];

    } else {
        b = 0;
    }

    h = sio_hash_mix(a ^ k, b ^ h);

    return sio_hash_mix(h ^ SIO_HASH_K2, k ^ SIO_HASH_K0);
}
