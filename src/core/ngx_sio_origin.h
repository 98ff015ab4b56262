
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ORIGIN_H_INCLUDED_
#define _NGX_SIO_ORIGIN_H_INCLUDED_


#include "ngx_sio_conf.h"


/*
 * Which pages may use the gateway (socketio_origin), and the headers of CORS
 * by which browsers get to know it.
 */


/*
 * Brings an origin of the configuration, scheme://host[:port] or "*", into the
 * form in which browsers send it: lower case, without the default port of the
 * scheme.  Changes the bytes of value.  NGX_OK; NGX_ERROR: it is no origin.
 */
ngx_int_t ngx_sio_origin_parse(ngx_str_t *value);

/*
 * To be called before a request is looked at.  Adds what CORS asks for to the
 * response, whatever that will be.  NGX_DECLINED: the request may go on; else
 * it was answered, with 403 to a foreign origin or 204 to a preflight, and this
 * is the result of the content handler.
 */
ngx_int_t ngx_sio_origin_handler(ngx_http_request_t *r, ngx_array_t *origins);


#endif /* _NGX_SIO_ORIGIN_H_INCLUDED_ */
