
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_CONF_H_INCLUDED_
#define _NGX_SIO_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_sio_known.h"

#include <ngx_sio_zone.h>
#include <ngx_sio_redis.h>


/*
 * What the configuration says, parsed: one gateway per socketio_gateway block,
 * one location configuration per location.  Both live in the cycle's pool.
 */


/*
 * Only the key under which nginx keeps the configurations below, so that
 * ngx_http_get_module_loc_conf(r, ngx_http_socketio_module) finds one.
 */
extern ngx_module_t  ngx_http_socketio_module;


/* Where a directive stands, for messages about it. */

typedef struct {
    u_char                   *file;            /* terminated */
    ngx_uint_t                line;
} ngx_sio_place_t;


/* A namespace that clients may connect to. */

typedef struct {
    ngx_str_t                 name;
    uint16_t                  nsp;             /* its number in the zone, known
                                                  when that is initialised */
} ngx_sio_namespace_t;


/* socketio_forward <event>|* stream=<key> [maxlen=n] */

typedef struct {
    ngx_str_t                 event;           /* "*": any */
    ngx_str_t                 stream;          /* key */
    ngx_str_t                 maxlen;          /* decimals; empty: unbounded */
    ngx_uint_t                number;          /* of the stream, if it is told
                                                  of sockets that end; known
                                                  with the zone */
    ngx_sio_place_t           place;
} ngx_sio_forward_rule_t;


/* A socketio_gateway block: what all workers share. */

typedef struct {
    ngx_str_t                 name;
    ngx_sio_place_t           place;           /* where it is first named */
    size_t                    zone_size;
    size_t                    log_size;
    ngx_sio_redis_conf_t     *redis;           /* NULL: standalone */
    ngx_str_t                 redis_prefix;    /* "socket.io" */
    ngx_str_t                 node;            /* empty: auto */
    ngx_msec_t                recovery;        /* how long a lost client may
                                                  come back; 0: off */
    ngx_flag_t                presence;        /* tell clients who is online */
    ngx_msec_t                presence_linger; /* how long after the last of a
                                                  user's sockets */
    ngx_msec_t                drain;           /* a leaving worker closes its
                                                  clients within this */
    ngx_array_t               namespaces;      /* ngx_sio_namespace_t */
    ngx_array_t               farewells;       /* ngx_sio_forward_rule_t *, of
                                                  its locations */

    ngx_shm_zone_t           *shm_zone;
    ngx_sio_zone_t            zone;            /* view, made by zone init and
                                                  inherited by workers */
} ngx_sio_gateway_conf_t;


/* socketio_jwt_key ALG secret | ALG file=path [kid=id] */

typedef struct {
    ngx_uint_t                alg;             /* a jwt_alg_t */
    ngx_str_t                 key;             /* bytes of the secret or PEM,
                                                  NUL behind them */
    ngx_str_t                 kid;             /* empty: none */
} ngx_sio_auth_key_t;


/*
 * Names of claims, here and below, have a NUL behind them.
 *
 * socketio_jwt_require name=value; same name twice: any of the values.  What
 * is compared is a string's text, an integer in decimals, true or false, and
 * of aud, which alone may be an array, each element.
 */

typedef struct {
    ngx_str_t                 name;
    ngx_str_t                 value;
} ngx_sio_auth_require_t;


/*
 * A text with $socketio_user and $socketio_claim_<name> in it, cut into
 * pieces: literal text, the user, or a claim.
 */

typedef enum {
    NGX_SIO_PIECE_TEXT,
    NGX_SIO_PIECE_USER,
    NGX_SIO_PIECE_CLAIM
} ngx_sio_piece_e;

typedef struct {
    ngx_uint_t                type;
    ngx_str_t                 text;            /* the literal; the claim's
                                                  name */
} ngx_sio_piece_t;

typedef struct {
    ngx_str_t                 source;          /* as configured */
    ngx_array_t               pieces;          /* ngx_sio_piece_t */
} ngx_sio_template_t;


/* socketio_rooms claim=<name> | redis=<key> */

typedef struct {
    ngx_str_t                 claim;           /* if not empty */
    ngx_sio_template_t       *redis;           /* else */
    ngx_sio_place_t           place;
} ngx_sio_rooms_source_t;


/* socketio_limit; 0: there is none */

typedef struct {
    ngx_uint_t                per_user;        /* connections, */
    ngx_uint_t                per_ip;
    ngx_uint_t                events;          /* per second, */
    ngx_uint_t                burst;           /*   and that many at once */
} ngx_sio_limit_conf_t;


/* socketio_auth_token: where a token may stand. */

#define NGX_SIO_TOKEN_PAYLOAD  0x01       /* of the CONNECT packet */
#define NGX_SIO_TOKEN_HEADER   0x02       /* Authorization: Bearer */
#define NGX_SIO_TOKEN_QUERY    0x04       /* ?token= */


/* If auth is off, user_room is NULL and rooms asks for no claim. */

typedef struct {
    ngx_sio_gateway_conf_t   *gateway;         /* NULL: not a gateway here */
    ngx_sio_place_t           place;           /* of "socketio" */
    ngx_str_t                 location;        /* its name */

    ngx_sio_gateway_conf_t   *status;          /* socketio_status; or NULL */

    ngx_uint_t                transports;      /* set of sio_eio_transport_e, as
                                                  bits 1 << transport */
    ngx_array_t              *origins;         /* ngx_str_t, as parsed by
                                                  ngx_sio_origin_parse(), "*"
                                                  alone; NULL: no check */
    ngx_flag_t                auth;
    ngx_uint_t                token_sources;   /* set of NGX_SIO_TOKEN_* */
    ngx_array_t              *keys;            /* ngx_sio_auth_key_t */
    ngx_sio_known_t          *known;           /* tokens that they have signed;
                                                  NULL: no keys */
    ngx_str_t                 user_claim;      /* "sub" */
    ngx_array_t              *require;         /* ngx_sio_auth_require_t */
    time_t                    leeway;          /* seconds */
    ngx_sio_template_t       *user_room;       /* NULL: off */
    ngx_array_t              *rooms;           /* ngx_sio_rooms_source_t */
    ngx_array_t              *forward;         /* ngx_sio_forward_rule_t; NULL:
                                                  no event is for the backend */
    ngx_sio_forward_rule_t   *greet;           /* of $connect; or NULL */
    ngx_sio_forward_rule_t   *farewell;        /* of $disconnect; or NULL */
    ngx_sio_limit_conf_t     *limit;           /* NULL: none */
    ngx_str_t                 ready;           /* event; empty: off */
    ngx_str_t                 ready_data;      /* ["<ready>"], made once */

    ngx_msec_t                ping_interval;
    ngx_msec_t                ping_timeout;
    ngx_msec_t                upgrade_timeout;
    ngx_msec_t                connect_timeout;
    size_t                    max_payload;
    size_t                    send_queue;
    size_t                    deflate;         /* texts of fewer bytes are not
                                                  compressed; 0: off */
} ngx_sio_loc_conf_t;


typedef struct {
    ngx_array_t               gateways;        /* ngx_sio_gateway_conf_t * */
    ngx_array_t               locations;       /* ngx_sio_loc_conf_t *, those
                                                  that have a gateway */
} ngx_sio_main_conf_t;


#endif /* _NGX_SIO_CONF_H_INCLUDED_ */
