
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_EVENT_H_INCLUDED_
#define _SIO_EVENT_H_INCLUDED_


#include "sio_buf.h"


/*
 * Takes the payload of an EVENT or BINARY_EVENT apart, which has passed
 * sio_packet_parse(): ["name",a,b].
 *
 * The name is appended to *name, decoded; one that is a number in decimals, an
 * integer with all its digits.  *args is a view of the payload: the arguments
 * with the commas between them, without brackets; empty if there are none.
 *
 * SIO_OK; SIO_ERROR if there is no name (an empty payload, or a number beyond
 * a double); SIO_NOMEM.
 */
sio_rc_t sio_event_read(const sio_str_t *payload, sio_buf_t *name,
    sio_str_t *args);


#endif /* _SIO_EVENT_H_INCLUDED_ */
