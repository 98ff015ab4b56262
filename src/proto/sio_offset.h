
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_OFFSET_H_INCLUDED_
#define _SIO_OFFSET_H_INCLUDED_


#include "sio_buf.h"


/*
 * The text of an offset in the log, which clients keep as the last argument of
 * an event and show when they come back: base64url of 3 bytes of a tag, which
 * tells logs apart, and 6 bytes of the offset in units of SIO_RECORD_ALIGN.
 */


#define SIO_OFFSET_LEN  12


/* Writes SIO_OFFSET_LEN characters to p; the low 24 bits of tag count. */
void sio_offset_encode(unsigned char *p, uint32_t tag, uint64_t offset);

/*
 * SIO_OK with the offset, or SIO_ERROR if this is no such text or has another
 * tag.  That there is a record at the offset is not said.
 */
sio_rc_t sio_offset_decode(const unsigned char *p, size_t len, uint32_t tag,
    uint64_t *offset);


#endif /* _SIO_OFFSET_H_INCLUDED_ */
