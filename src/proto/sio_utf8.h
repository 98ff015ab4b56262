
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_UTF8_H_INCLUDED_
#define _SIO_UTF8_H_INCLUDED_


#include "sio_buf.h"


/*
 * Streaming UTF-8 validation (RFC 3629: no overlong forms, no surrogates,
 * nothing above U+10FFFF), fail fast: a byte that cannot continue any valid
 * sequence is refused when it is seen, as RFC 6455, 8.1 asks for.
 */


#define SIO_UTF8_ACCEPT  0        /* initial state; at a character boundary */


/*
 * Feeds n bytes; *state carries an unfinished character to the next call.
 * SIO_OK, or SIO_ERROR at the first impossible byte.  A text is valid if all
 * calls gave SIO_OK and *state ends as SIO_UTF8_ACCEPT.
 */
sio_rc_t sio_utf8_feed(uint32_t *state, const unsigned char *p, size_t n);

/*
 * Appends a text of n bytes to b with U+FFFD in place of every bad sequence,
 * as decoders of browsers and Node.js do (one for each longest part of a
 * valid sequence, or else for each byte).  SIO_OK or SIO_NOMEM.
 */
sio_rc_t sio_utf8_repair(sio_buf_t *b, const unsigned char *p, size_t n);


#endif /* _SIO_UTF8_H_INCLUDED_ */
