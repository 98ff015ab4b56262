
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_BASE64_H_INCLUDED_
#define _SIO_BASE64_H_INCLUDED_


#include <stddef.h>


/*
 * Base64 (RFC 4648): the standard alphabet with padding, as polling carries
 * binary messages, and the one for URLs, in which ids and offsets are written.
 */


/* The length of len bytes in standard base64. */
#define sio_base64_len(len)  (((len) + 2) / 3 * 4)


/* Writes sio_base64_len(len) characters to dst. */
void sio_base64_encode(unsigned char *dst, const unsigned char *src,
    size_t len);

/* Writes len bytes, a multiple of 3, in the alphabet for URLs. */
void sio_base64_encode_url(unsigned char *dst, const unsigned char *src,
    size_t len);

/*
 * Decodes as lax as Node.js does: both alphabets, other characters are
 * skipped, padding may be missing, and the first "=" ends it.  Writes at most
 * len / 4 * 3 + 2 bytes to dst, returns their number.
 */
size_t sio_base64_decode(unsigned char *dst, const unsigned char *src,
    size_t len);


#endif /* _SIO_BASE64_H_INCLUDED_ */
