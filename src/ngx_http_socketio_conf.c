
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_http_socketio_conf.h"

#include <ngx_sio_forward.h>
#include <sio_eio.h>


#define NGX_HTTP_SOCKETIO_ANY_CONF                                            \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)

#define NGX_HTTP_SOCKETIO_TRANSPORTS                                          \
    (1 << SIO_EIO_POLLING | 1 << SIO_EIO_WEBSOCKET)


static ngx_int_t ngx_http_socketio_sockets(ngx_conf_t *cf,
    ngx_sio_loc_conf_t *slcf);
static ngx_int_t ngx_http_socketio_check(ngx_conf_t *cf,
    ngx_sio_loc_conf_t *slcf);
static ngx_int_t ngx_http_socketio_auth_off(ngx_conf_t *cf,
    ngx_sio_loc_conf_t *slcf);
static ngx_uint_t ngx_http_socketio_wants_claim(
    ngx_sio_rooms_source_t *source);


ngx_command_t  ngx_http_socketio_commands[] = {

    { ngx_string("socketio_gateway"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_socketio_gateway_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_transports"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE12,
      ngx_http_socketio_transports,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_origin"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_1MORE,
      ngx_http_socketio_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_auth"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_sio_loc_conf_t, auth),
      NULL },

    { ngx_string("socketio_auth_token"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE123,
      ngx_http_socketio_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_jwt_key"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_2MORE,
      ngx_http_socketio_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_jwt_user"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_user_claim,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_jwt_require"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_1MORE,
      ngx_http_socketio_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_jwt_leeway"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_leeway,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_user_room"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_user_room,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_rooms"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_1MORE,
      ngx_http_socketio_rooms,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_ready"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_ready,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_forward"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE23,
      ngx_http_socketio_forward,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_limit"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1234,
      ngx_http_socketio_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("socketio_ping_interval"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_sio_loc_conf_t, ping_interval),
      NULL },

    { ngx_string("socketio_ping_timeout"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_sio_loc_conf_t, ping_timeout),
      NULL },

    { ngx_string("socketio_upgrade_timeout"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_sio_loc_conf_t, upgrade_timeout),
      NULL },

    { ngx_string("socketio_connect_timeout"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_sio_loc_conf_t, connect_timeout),
      NULL },

    { ngx_string("socketio_max_payload"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_sio_loc_conf_t, max_payload),
      NULL },

    { ngx_string("socketio_send_queue"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_sio_loc_conf_t, send_queue),
      NULL },

    { ngx_string("socketio_deflate"),
      NGX_HTTP_SOCKETIO_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_socketio_deflate,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_sio_loc_conf_t, deflate),
      NULL },

      ngx_null_command
};


static ngx_sio_piece_t     ngx_http_socketio_user_piece = {
    NGX_SIO_PIECE_USER, ngx_null_string
};

static ngx_sio_template_t  ngx_http_socketio_default_room = {
    ngx_string("$socketio_user"),
    { &ngx_http_socketio_user_piece, 1, sizeof(ngx_sio_piece_t), 1, NULL }
};


char *
ngx_http_socketio_invalid(ngx_conf_t *cf, ngx_str_t *value)
{
    ngx_str_t  *name;

    name = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive",
                       value, name);

    return NGX_CONF_ERROR;
}


void
ngx_http_socketio_place(ngx_conf_t *cf, ngx_sio_place_t *place)
{
    place->file = cf->conf_file->file.name.data;
    place->line = cf->conf_file->line;
}


void *
ngx_http_socketio_create_main_conf(ngx_conf_t *cf)
{
    ngx_sio_main_conf_t  *smcf;

    smcf = ngx_palloc(cf->pool, sizeof(ngx_sio_main_conf_t));
    if (smcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&smcf->gateways, cf->pool, 2,
                       sizeof(ngx_sio_gateway_conf_t *))
        != NGX_OK
        || ngx_array_init(&smcf->locations, cf->pool, 4,
                          sizeof(ngx_sio_loc_conf_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return smcf;
}


/* A gateway may be named before its block, so this is the time to miss it. */

char *
ngx_http_socketio_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_sio_main_conf_t  *smcf = conf;

    ngx_uint_t                i;
    ngx_sio_gateway_conf_t  **gateway;

    gateway = smcf->gateways.elts;

    for (i = 0; i < smcf->gateways.nelts; i++) {

        if (gateway[i]->zone_size == 0) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown gateway \"%V\" in %s:%ui",
                          &gateway[i]->name, gateway[i]->place.file,
                          gateway[i]->place.line);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


void *
ngx_http_socketio_create_loc_conf(ngx_conf_t *cf)
{
    ngx_sio_loc_conf_t  *slcf;

    slcf = ngx_pcalloc(cf->pool, sizeof(ngx_sio_loc_conf_t));
    if (slcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     slcf->gateway = NULL;
     *     slcf->place = { NULL, 0 };
     *     slcf->location = { 0, NULL };
     *     slcf->status = NULL;
     *     slcf->transports = 0;
     *     slcf->token_sources = 0;
     *     slcf->known = NULL;
     *     slcf->user_claim = { 0, NULL };
     *     slcf->ready = { 0, NULL };
     *     slcf->ready_data = { 0, NULL };
     */

    slcf->origins = NGX_CONF_UNSET_PTR;
    slcf->auth = NGX_CONF_UNSET;
    slcf->keys = NGX_CONF_UNSET_PTR;
    slcf->require = NGX_CONF_UNSET_PTR;
    slcf->leeway = NGX_CONF_UNSET;
    slcf->user_room = NGX_CONF_UNSET_PTR;
    slcf->rooms = NGX_CONF_UNSET_PTR;
    slcf->forward = NGX_CONF_UNSET_PTR;
    slcf->limit = NGX_CONF_UNSET_PTR;
    slcf->ping_interval = NGX_CONF_UNSET_MSEC;
    slcf->ping_timeout = NGX_CONF_UNSET_MSEC;
    slcf->upgrade_timeout = NGX_CONF_UNSET_MSEC;
    slcf->connect_timeout = NGX_CONF_UNSET_MSEC;
    slcf->max_payload = NGX_CONF_UNSET_SIZE;
    slcf->send_queue = NGX_CONF_UNSET_SIZE;
    slcf->deflate = NGX_CONF_UNSET_SIZE;

    return slcf;
}


char *
ngx_http_socketio_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_sio_loc_conf_t  *prev = parent;
    ngx_sio_loc_conf_t  *conf = child;

    ngx_conf_merge_bitmask_value(conf->transports, prev->transports,
                                 NGX_HTTP_SOCKETIO_TRANSPORTS);
    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);
    ngx_conf_merge_value(conf->auth, prev->auth, 1);
    ngx_conf_merge_bitmask_value(conf->token_sources, prev->token_sources,
                                 NGX_SIO_TOKEN_PAYLOAD|NGX_SIO_TOKEN_HEADER);

    if (conf->keys == NGX_CONF_UNSET_PTR) {
        conf->known = prev->known;
    }

    ngx_conf_merge_ptr_value(conf->keys, prev->keys, NULL);
    ngx_conf_merge_str_value(conf->user_claim, prev->user_claim, "sub");
    ngx_conf_merge_ptr_value(conf->require, prev->require, NULL);
    ngx_conf_merge_sec_value(conf->leeway, prev->leeway, 0);
    ngx_conf_merge_ptr_value(conf->user_room, prev->user_room,
                             &ngx_http_socketio_default_room);
    ngx_conf_merge_ptr_value(conf->rooms, prev->rooms, NULL);
    ngx_conf_merge_ptr_value(conf->forward, prev->forward, NULL);
    ngx_conf_merge_ptr_value(conf->limit, prev->limit, NULL);
    ngx_conf_merge_str_value(conf->ready, prev->ready, "");
    ngx_conf_merge_str_value(conf->ready_data, prev->ready_data, "");
    ngx_conf_merge_msec_value(conf->ping_interval, prev->ping_interval, 25000);
    ngx_conf_merge_msec_value(conf->ping_timeout, prev->ping_timeout, 20000);
    ngx_conf_merge_msec_value(conf->upgrade_timeout, prev->upgrade_timeout,
                              10000);
    ngx_conf_merge_msec_value(conf->connect_timeout, prev->connect_timeout,
                              45000);
    ngx_conf_merge_size_value(conf->max_payload, prev->max_payload, 1000000);
    ngx_conf_merge_size_value(conf->send_queue, prev->send_queue, 1024 * 1024);
    ngx_conf_merge_size_value(conf->deflate, prev->deflate, 0);

    return ngx_http_socketio_merge_location(cf, prev, conf);
}


ngx_int_t
ngx_http_socketio_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t             i;
    ngx_sio_loc_conf_t   **slcf;
    ngx_sio_main_conf_t   *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_socketio_module);

    slcf = smcf->locations.elts;

    for (i = 0; i < smcf->locations.nelts; i++) {

        if (ngx_http_socketio_check(cf, slcf[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        if (!slcf[i]->auth
            && ngx_http_socketio_auth_off(cf, slcf[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Who is told of sockets that come and go. */

static ngx_int_t
ngx_http_socketio_sockets(ngx_conf_t *cf, ngx_sio_loc_conf_t *slcf)
{
    ngx_sio_forward_rule_t  **rule;

    slcf->greet = ngx_sio_forward_rule(slcf->forward, (u_char *) "$connect",
                                       sizeof("$connect") - 1);
    slcf->farewell = ngx_sio_forward_rule(slcf->forward,
                                          (u_char *) "$disconnect",
                                          sizeof("$disconnect") - 1);

    if (slcf->farewell == NULL) {
        return NGX_OK;
    }

    if (slcf->farewell->stream.len > NGX_SIO_STREAM_LEN
        || slcf->farewell->maxlen.len > NGX_SIO_MAXLEN_LEN)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"socketio_forward %V\" for location \"%V\" has a "
                      "stream that is too long for \"$disconnect\" in "
                      "%s:%ui", &slcf->farewell->event, &slcf->location,
                      slcf->farewell->place.file, slcf->farewell->place.line);
        return NGX_ERROR;
    }

    rule = ngx_array_push(&slcf->gateway->farewells);
    if (rule == NULL) {
        return NGX_ERROR;
    }

    *rule = slcf->farewell;

    return NGX_OK;
}


static ngx_int_t
ngx_http_socketio_check(ngx_conf_t *cf, ngx_sio_loc_conf_t *slcf)
{
    ngx_uint_t               i;
    ngx_sio_forward_rule_t  *rule;
    ngx_sio_rooms_source_t  *source;

    if (slcf->auth && slcf->keys == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"socketio_jwt_key\" for location \"%V\" "
                      "with \"socketio_auth\" on in %s:%ui",
                      &slcf->location, slcf->place.file, slcf->place.line);
        return NGX_ERROR;
    }

    if (slcf->forward && slcf->gateway->redis == NULL) {
        rule = slcf->forward->elts;

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"socketio_forward %V\" for location \"%V\" needs "
                      "\"redis\" in gateway \"%V\" in %s:%ui",
                      &rule->event, &slcf->location, &slcf->gateway->name,
                      rule->place.file, rule->place.line);
        return NGX_ERROR;
    }

    if (ngx_http_socketio_sockets(cf, slcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (slcf->rooms == NULL || slcf->gateway->redis) {
        return NGX_OK;
    }

    source = slcf->rooms->elts;

    for (i = 0; i < slcf->rooms->nelts; i++) {

        if (source[i].redis) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"redis=%V\" for location \"%V\" needs \"redis\" "
                          "in gateway \"%V\" in %s:%ui",
                          &source[i].redis->source, &slcf->location,
                          &slcf->gateway->name, source[i].place.file,
                          source[i].place.line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Without a token there are no claims, and no user to have a room. */

static ngx_int_t
ngx_http_socketio_auth_off(ngx_conf_t *cf, ngx_sio_loc_conf_t *slcf)
{
    ngx_uint_t               i;
    ngx_array_t             *rooms;
    ngx_sio_rooms_source_t  *source, *s;

    slcf->user_room = NULL;

    if (slcf->rooms == NULL) {
        return NGX_OK;
    }

    rooms = ngx_array_create(cf->pool, 2, sizeof(ngx_sio_rooms_source_t));
    if (rooms == NULL) {
        return NGX_ERROR;
    }

    source = slcf->rooms->elts;

    for (i = 0; i < slcf->rooms->nelts; i++) {

        if (ngx_http_socketio_wants_claim(&source[i])) {
            continue;
        }

        s = ngx_array_push(rooms);
        if (s == NULL) {
            return NGX_ERROR;
        }

        *s = source[i];
    }

    slcf->rooms = rooms->nelts ? rooms : NULL;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_socketio_wants_claim(ngx_sio_rooms_source_t *source)
{
    ngx_uint_t        i;
    ngx_sio_piece_t  *piece;

    if (source->redis == NULL) {
        return 1;
    }

    piece = source->redis->pieces.elts;

    for (i = 0; i < source->redis->pieces.nelts; i++) {
        if (piece[i].type == NGX_SIO_PIECE_CLAIM) {
            return 1;
        }
    }

    return 0;
}
