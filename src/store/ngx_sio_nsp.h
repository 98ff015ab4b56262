
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_NSP_H_INCLUDED_
#define _NGX_SIO_NSP_H_INCLUDED_


#include "ngx_sio_zone.h"


/*
 * The namespaces of a zone.  Each has a number, 0 is "/", by which sessions,
 * rooms and records of the log name it.  A number belongs to its name for the
 * life of the zone, so a reload may change what is configured: sockets of a
 * namespace that is no more stay in it until they leave.
 */


/*
 * The number of a namespace, which is made if it is not there yet.  NGX_OK;
 * NGX_DECLINED: there have been NGX_SIO_NAMESPACES others, or the name is
 * longer than NGX_SIO_NSP_LEN; NGX_BUSY: the zone is locked.
 */
ngx_int_t ngx_sio_nsp_add(ngx_sio_zone_t *z, ngx_str_t *name, uint16_t *nsp);

/* The name of a number that the zone has given; no lock. */
void ngx_sio_nsp_name(ngx_sio_zone_t *z, uint16_t nsp, ngx_str_t *name);


#endif /* _NGX_SIO_NSP_H_INCLUDED_ */
