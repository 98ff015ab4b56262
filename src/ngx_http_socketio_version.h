
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_HTTP_SOCKETIO_VERSION_H_INCLUDED_
#define _NGX_HTTP_SOCKETIO_VERSION_H_INCLUDED_


#define NGX_HTTP_SOCKETIO_VERSION  "0.1.0"


#endif /* _NGX_HTTP_SOCKETIO_VERSION_H_INCLUDED_ */
