
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_HTTP_SOCKETIO_CONF_H_INCLUDED_
#define _NGX_HTTP_SOCKETIO_CONF_H_INCLUDED_


#include <ngx_sio_conf.h>


/*
 * From the text of the configuration to the structures of ngx_sio_conf.h:
 *
 *   conf.c           table of directives, merging, final checks
 *   conf_location.c  what a location is: socketio, socketio_status
 *   conf_http.c      which requests are taken: transports, origins, tokens
 *   conf_set.c       values of a location's other directives
 *   conf_gateway.c   the socketio_gateway block
 *   conf_redis.c     the URL in it
 *   conf_key.c       socketio_jwt_key
 *   conf_forward.c   socketio_forward
 *   conf_limit.c     socketio_limit
 *
 * Every wrong value is logged with its file and line, and quoted, unless it
 * may be a secret.
 */


extern ngx_command_t  ngx_http_socketio_commands[];


void *ngx_http_socketio_create_main_conf(ngx_conf_t *cf);
char *ngx_http_socketio_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_socketio_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_socketio_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

/*
 * Checks what can only be known when everything is merged, and drops what is
 * without use when auth is off.
 */
ngx_int_t ngx_http_socketio_postconfiguration(ngx_conf_t *cf);

/* What the directives do; conf: ngx_sio_main_conf_t for the block. */
char *ngx_http_socketio_gateway_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The same; conf: ngx_sio_loc_conf_t, for msec and size any at cmd->offset. */
char *ngx_http_socketio(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_socketio_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_socketio_transports(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_socketio_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_socketio_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_socketio_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_socketio_user_claim(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_socketio_require(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_socketio_leeway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_socketio_user_room(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_socketio_rooms(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_socketio_forward(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_socketio_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_socketio_ready(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_socketio_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_socketio_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_socketio_deflate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Merges what a location is, and lifts nginx's limit of a body where clients
 * are answered; NGX_CONF_OK or _ERROR.
 */
char *ngx_http_socketio_merge_location(ngx_conf_t *cf,
    ngx_sio_loc_conf_t *prev, ngx_sio_loc_conf_t *conf);

/*
 * Says in the log which gateways begin with an empty zone because a reload has
 * changed it.  For the master, while the cycle before this one still exists.
 */
void ngx_http_socketio_gateway_replaced(ngx_cycle_t *cycle);

/*
 * Finds a gateway by its name, or adds one that is still to be described by
 * a block: its zone_size is zero.  NULL without memory.
 */
ngx_sio_gateway_conf_t *ngx_http_socketio_gateway(ngx_conf_t *cf,
    ngx_str_t *name);

/*
 * Decodes redis://[[user]:password@]host[:port][/db] or unix:/path[?db=N] and
 * resolves the host.  NULL on failure, which is logged with the URL, but
 * without what may be credentials.
 */
ngx_sio_redis_conf_t *ngx_http_socketio_redis(ngx_conf_t *cf, ngx_str_t *url);

/* Logs an invalid argument of the directive at hand; NGX_CONF_ERROR. */
char *ngx_http_socketio_invalid(ngx_conf_t *cf, ngx_str_t *value);

/* Milliseconds of a time; NGX_ERROR if it is none, 0, or many days. */
ngx_int_t ngx_http_socketio_time(ngx_str_t *value);

/* True if all of a text is UTF-8. */
ngx_uint_t ngx_http_socketio_utf8(ngx_str_t *text);

/* The line that is being parsed. */
void ngx_http_socketio_place(ngx_conf_t *cf, ngx_sio_place_t *place);


#endif /* _NGX_HTTP_SOCKETIO_CONF_H_INCLUDED_ */
