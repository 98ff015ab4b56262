
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_RESP_H_INCLUDED_
#define _SIO_RESP_H_INCLUDED_


/*
 * Commands as Redis reads them:
 *
 *     *<arguments>\r\n, then for each $<bytes>\r\n<the bytes>\r\n
 *
 * Replies are read by hiredis, whose own formatter takes memory for each
 * command and prints each length by sprintf().
 */


#include "sio_buf.h"


/*
 * Appends a command of argc arguments, any bytes of any length; one of length
 * 0 may be NULL.  SIO_OK, or SIO_NOMEM: nothing is appended.
 */
sio_rc_t sio_resp_command(sio_buf_t *b, size_t argc, const char *const *argv,
    const size_t *argvlen);


#endif /* _SIO_RESP_H_INCLUDED_ */
