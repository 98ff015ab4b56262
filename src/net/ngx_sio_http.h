
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_HTTP_H_INCLUDED_
#define _NGX_SIO_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_sio_shared.h"

#include <sio_eio.h>


/*
 * Requests and responses of long-polling, over HTTP/1 and HTTP/2.
 *
 * Functions that respond return what the request is to be finalized with: by a
 * content handler as its result, by others with ngx_http_finalize_request().
 */


/* The value of the first request header of that name; NULL: there is none. */
ngx_str_t *ngx_sio_http_header(ngx_http_request_t *r, const char *name,
    size_t len);

/*
 * Adds a header to whatever the response will be; name and the bytes of value
 * are not copied.  NGX_OK, or NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_http_push(ngx_http_request_t *r, const char *name,
    size_t len, const ngx_str_t *value);


/* 200 with a payload, which is copied: text/plain, never cached. */
ngx_int_t ngx_sio_http_payload(ngx_http_request_t *r, const u_char *p,
    size_t len);

/* 200 "ok", the answer to a POST. */
ngx_int_t ngx_sio_http_ok(ngx_http_request_t *r);

/* An error as {"code":...,"message":...}: 400, or 403 for FORBIDDEN. */
ngx_int_t ngx_sio_http_error(ngx_http_request_t *r, sio_eio_error_e code);

/* 400 with a text, and the connection ends: a failed WebSocket handshake. */
ngx_int_t ngx_sio_http_bad_upgrade(ngx_http_request_t *r, ngx_str_t *text);

/* A status without a body. */
ngx_int_t ngx_sio_http_empty(ngx_http_request_t *r, ngx_uint_t status);


/*
 * Reads the body of a request into memory, whatever the configuration of nginx
 * says about bodies.  The handler is called once, with NGX_OK and the body,
 * which is valid until it returns; or with a status if there is no body to be
 * had: 413 if it is longer than limit bytes (the rest is discarded), 408 if it
 * did not come within client_body_timeout, 400 if the client broke off or sent
 * what is no body, 500 without memory.  It may be called before this function
 * returns.  It finalizes the request, always, with
 * ngx_http_finalize_request().
 *
 * To be called from a content handler, which returns its result.  "gone" is
 * called instead of the handler if the request ends before.
 */
typedef void (*ngx_sio_http_body_pt)(ngx_http_request_t *r, void *data,
    ngx_int_t rc, u_char *p, size_t len);

ngx_int_t ngx_sio_http_read_body(ngx_http_request_t *r, size_t limit,
    ngx_sio_http_body_pt handler, void (*gone)(void *data), void *data);


/*
 * Holds a request whose response comes later.  "gone" is called if the client
 * goes away, or the request ends otherwise, before ngx_sio_http_unhold().
 * NGX_OK: the content handler returns NGX_DONE; or NGX_ERROR (memory).
 */
ngx_int_t ngx_sio_http_hold(ngx_http_request_t *r, void (*gone)(void *data),
    void *data);

/*
 * Ends that, with gone forgotten; the caller responds, and finalizes with
 * ngx_sio_http_finish(), at once or later: until then r stays, even if its
 * client goes away.  Once for each hold, and not after gone was called.
 */
void ngx_sio_http_unhold(ngx_http_request_t *r);

/*
 * Finalizes a request from outside of its own event handlers, and runs what
 * nginx has posted for its connection meanwhile.  Destroys r: so never while
 * the content handler of r has not returned yet.
 */
void ngx_sio_http_finish(ngx_http_request_t *r, ngx_int_t rc);


/*
 * The same for a payload that has something shared in it, behind at bytes;
 * keeps a reference to that until it is sent.
 */
ngx_int_t ngx_sio_http_payload_with(ngx_http_request_t *r, const u_char *p,
    size_t len, size_t at, ngx_sio_shared_t *shared);


#endif /* _NGX_SIO_HTTP_H_INCLUDED_ */
