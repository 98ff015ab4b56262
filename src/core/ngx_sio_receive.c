
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_receive.h"
#include "ngx_sio_acks.h"
#include "ngx_sio_branch.h"
#include "ngx_sio_connect.h"

#include <sio_eio.h>
#include <sio_packet.h>


static void ngx_sio_receive_packet(ngx_sio_client_t *sc, u_char *data,
    size_t len);
static ngx_uint_t ngx_sio_receive_wants_json(u_char *data, size_t len);
static void ngx_sio_receive_connect(ngx_sio_client_t *sc, sio_packet_t *pk,
    json_t *auth);
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
        ngx_sio_receive_binary(sc, data + 1, len - 1);
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

    if (sc->attachments == 0) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
        return;
    }

    /* the event that it belongs to is for nobody: see _socket() */

    sc->attachments--;

    if (sc->attachments == 0 && sc->illegal) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_FORCED);
    }
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
        ngx_sio_receive_connect(sc, &pk, json);

    } else {
        ngx_sio_receive_socket(sc, &pk, json);
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

    case SIO_CONNECT:
    case SIO_BINARY_EVENT:
    case SIO_BINARY_ACK:
        return 1;

    default:
        return 0;
    }
}


static void
ngx_sio_receive_connect(ngx_sio_client_t *sc, sio_packet_t *pk, json_t *auth)
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

    ngx_sio_connect_start(sc, nsp, auth);
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
 * A packet for a socket.  Events are for listeners, of which a gateway has
 * none: they are ignored, as an event without a listener is by the reference.
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
