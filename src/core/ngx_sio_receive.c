
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_receive.h"
#include "ngx_sio_acks.h"
#include "ngx_sio_branch.h"
#include "ngx_sio_connect.h"
#include "ngx_sio_forward.h"
#include "ngx_sio_partial.h"
#include "ngx_sio_quota.h"

#include <sio_eio.h>
#include <sio_packet.h>


static void ngx_sio_receive_attachment(ngx_sio_client_t *sc, u_char *data,
    size_t len, ngx_uint_t base64);
static void ngx_sio_receive_complete(ngx_sio_client_t *sc);
static void ngx_sio_receive_packet(ngx_sio_client_t *sc, u_char *data,
    size_t len);
static ngx_uint_t ngx_sio_receive_wants_json(u_char *data, size_t len);
static void ngx_sio_receive_connect(ngx_sio_client_t *sc, sio_packet_t *pk);
static void ngx_sio_receive_refuse(ngx_sio_client_t *sc, sio_str_t *nsp);
static void ngx_sio_receive_socket(ngx_sio_client_t *sc, sio_packet_t *pk,
    json_t *json);
static ngx_sio_client_t *ngx_sio_receive_find(ngx_sio_client_t *sc,
    sio_str_t *nsp);


void
ngx_sio_receive_text(ngx_sio_client_t *sc, u_char *data, size_t len)
{
    if (len == 0) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_PARSE_ERROR);
        return;
    }

    switch (data[0]) {

    case SIO_EIO_PONG:
        sc->transport->pong(sc);
        return;

    case SIO_EIO_PING:
        /* in this revision only the server pings */
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_TRANSPORT_ERROR);
        return;

    case SIO_EIO_OPEN:
    case SIO_EIO_CLOSE:
    case SIO_EIO_UPGRADE:
    case SIO_EIO_NOOP:
        sc->transport->alive(sc);
        return;

    case SIO_EIO_MESSAGE:
        sc->transport->alive(sc);
        ngx_sio_receive_packet(sc, data + 1, len - 1);
        return;

    case 'b':
        /* base64, as on polling: the reference takes it here as well */
        sc->transport->alive(sc);
        ngx_sio_receive_attachment(sc, data + 1, len - 1, 1);
        return;

    default:
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_PARSE_ERROR);
        return;
    }
}


void
ngx_sio_receive_binary(ngx_sio_client_t *sc, u_char *data, size_t len)
{
    sc->transport->alive(sc);

    ngx_sio_receive_attachment(sc, data, len, 0);
}


static void
ngx_sio_receive_attachment(ngx_sio_client_t *sc, u_char *data, size_t len,
    ngx_uint_t base64)
{
    if (sc->attachments == 0) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return;
    }

    if (ngx_sio_partial_add(sc, data, len, base64) != NGX_OK) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    sc->attachments--;

    if (sc->attachments) {
        return;
    }

    if (sc->illegal) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return;
    }

    ngx_sio_receive_complete(sc);
}


/* The socket may have gone since the packet began: nobody is told then. */

static void
ngx_sio_receive_complete(ngx_sio_client_t *sc)
{
    sio_str_t           attachment[SIO_PACKET_ATTACHMENTS];
    sio_packet_t        pk;
    ngx_sio_client_t   *socket;
    ngx_sio_partial_t  *pt;

    pt = sc->partial;

    if (pt == NULL) {
        /* it was for nobody */
        return;
    }

    /* it was well-formed when it came */

    if (sio_packet_parse(&pk, pt->text.data, pt->text.len, NULL) == SIO_OK
        && pk.attachments == pt->n)
    {
        socket = ngx_sio_receive_find(sc, &pk.nsp);

        if (socket && socket->state == NGX_SIO_CLIENT_CONNECTED
            && ngx_sio_quota_event(socket, &pk))
        {
            ngx_sio_partial_views(pt, attachment);
            ngx_sio_forward_event(socket, &pk, attachment);
        }
    }

    ngx_sio_partial_free(sc);
}


static void
ngx_sio_receive_packet(ngx_sio_client_t *sc, u_char *data, size_t len)
{
    json_t        *json;
    sio_rc_t       rc;
    sio_packet_t   pk;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, sc->log, 0,
                   "socketio packet of %uz bytes", len);

    /* the payload of most packets is checked, but not looked at */

    json = NULL;
    rc = sio_packet_parse(&pk, data, len,
                          ngx_sio_receive_wants_json(data, len) ? &json
                                                                : NULL);

    if (rc == SIO_NOMEM) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);

    } else if (rc != SIO_OK || sc->attachments) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);

    } else if (pk.type == SIO_CONNECT) {
        ngx_sio_receive_connect(sc, &pk);

    } else {
        ngx_sio_receive_socket(sc, &pk, json);

        if (sc->attachments && pk.type == SIO_BINARY_EVENT
            && (sc->conf->forward || sc->conf->limit)
            && ngx_sio_partial_begin(sc, data, len) != NGX_OK)
        {
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        }
    }

    json_decref(json);
}


static ngx_uint_t
ngx_sio_receive_wants_json(u_char *data, size_t len)
{
    if (len == 0) {
        return 0;
    }

    switch (data[0] - '0') {

    case SIO_BINARY_EVENT:
    case SIO_BINARY_ACK:
        return 1;

    default:
        return 0;
    }
}


static void
ngx_sio_receive_connect(ngx_sio_client_t *sc, sio_packet_t *pk)
{
    uint16_t           nsp;
    ngx_sio_client_t  *socket;

    if (ngx_sio_gateway_nsp(sc->gateway, &pk->nsp, &nsp) != NGX_OK) {
        ngx_sio_receive_refuse(sc, &pk->nsp);
        return;
    }

    if (sc->in_arriving) {
        /* another worker is about to answer an earlier one */
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    socket = ngx_sio_branch_find(sc, nsp);

    if (socket && (socket->state != NGX_SIO_CLIENT_OPEN
                   || ngx_sio_connect_is_pending(socket)))
    {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return;
    }

    ngx_sio_connect_start(sc, nsp, &pk->data);
}


static void
ngx_sio_receive_refuse(ngx_sio_client_t *sc, sio_str_t *nsp)
{
    static const char  error[] = "{\"message\":\"Invalid namespace\"}";

    if (ngx_sio_client_refuse(sc)) {
        ngx_sio_client_packet(sc, SIO_CONNECT_ERROR, nsp, (u_char *) error,
                              sizeof(error) - 1);
    }
}


/*
 * A packet for a socket.  An event that is not for the backend is ignored, as
 * one without a listener is by the reference.
 */

static void
ngx_sio_receive_socket(ngx_sio_client_t *sc, sio_packet_t *pk, json_t *json)
{
    ngx_sio_client_t  *socket;

    socket = ngx_sio_receive_find(sc, &pk->nsp);

    if (socket == NULL || socket->state != NGX_SIO_CLIENT_CONNECTED) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return;
    }

    switch (pk->type) {

    case SIO_DISCONNECT:

        if (sc->in_arriving) {
            /* it is in no index, from which it could be taken */
            ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
            return;
        }

        socket->transport->disconnect(socket);
        return;

    case SIO_CONNECT_ERROR:
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return;

    case SIO_BINARY_EVENT:
    case SIO_BINARY_ACK:
        sc->attachments = (uint8_t) pk->attachments;
        sc->illegal = (sio_packet_placeholders(json, pk->attachments)
                       != SIO_OK);
        return;

    case SIO_ACK:
        ngx_sio_acks_answer(socket, pk);
        return;

    case SIO_EVENT:
        if (ngx_sio_quota_event(socket, pk)) {
            ngx_sio_forward_event(socket, pk, NULL);
        }

        return;

    default:
        return;
    }
}


/* By name: a reload may have taken away the namespace that it is in. */

static ngx_sio_client_t *
ngx_sio_receive_find(ngx_sio_client_t *sc, sio_str_t *nsp)
{
    ngx_str_t          name;
    ngx_sio_client_t  *socket;

    for (socket = sc; socket; socket = socket->branches) {

        ngx_sio_nsp_name(sc->gateway->zone, socket->nsp, &name);

        if (name.len == nsp->len
            && ngx_memcmp(name.data, nsp->data, nsp->len) == 0)
        {
            break;
        }
    }

    return socket;
}
