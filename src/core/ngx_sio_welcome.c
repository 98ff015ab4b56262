
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_welcome.h"
#include "ngx_sio_wire.h"

#include <sio_packet.h>


static u_char *ngx_sio_welcome_head(ngx_sio_client_t *sc, u_char *p,
    ngx_uint_t type);


u_char *
ngx_sio_welcome_reply(ngx_sio_client_t *sc, u_char *p, const u_char *sid,
    const u_char *pid)
{
    p = ngx_sio_welcome_head(sc, p, SIO_CONNECT);
    p = ngx_sprintf(p, "{\"sid\":\"%*s\"", (size_t) NGX_SIO_SID_LEN, sid);

    if (pid) {
        p = ngx_sprintf(p, ",\"pid\":\"%*s\"", (size_t) NGX_SIO_SID_LEN,
                        pid);
    }

    *p++ = '}';

    return p;
}


/* "4<type>[<nsp>,]", NGX_SIO_NSP_LEN and three bytes at most. */

static u_char *
ngx_sio_welcome_head(ngx_sio_client_t *sc, u_char *p, ngx_uint_t type)
{
    ngx_str_t  name;

    *p++ = SIO_EIO_MESSAGE;
    *p++ = (u_char) ('0' + type);

    if (sc->nsp) {
        ngx_sio_nsp_name(sc->gateway->zone, sc->nsp, &name);

        p = ngx_cpymem(p, name.data, name.len);
        *p++ = ',';
    }

    return p;
}


/*
 * With recovery it is the first event that carries an offset, so that even a
 * client that gets no other can tell where it was.
 */

void
ngx_sio_welcome_ready(ngx_sio_client_t *sc, uint64_t at)
{
    u_char                *p, *buf, *text;
    size_t                 len;
    ngx_str_t             *ready;
    ngx_sio_message_t      msg;
    ngx_sio_gateway_t     *gw;
    ngx_sio_session_sh_t  *ss;

    gw = sc->gateway;
    ready = &sc->conf->ready_data;
    ss = ngx_sio_client_session(sc);

    if (ready->len == 0 || ss == NULL) {
        return;
    }

    len = sizeof("42,") - 1 + NGX_SIO_NSP_LEN + ready->len
          + NGX_SIO_WIRE_TAIL;

    buf = ngx_alloc(len * 2 + SIO_WS_HEADER, gw->log);
    if (buf == NULL) {
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    text = buf + len + SIO_WS_HEADER;

    p = ngx_sio_welcome_head(sc, text, SIO_EVENT);
    p = ngx_cpymem(p, ready->data, ready->len);
    msg.start = 0;

    if (ss->flags & NGX_SIO_RECOVERABLE) {
        p = ngx_sio_wire_offset(gw, p - 1, at);
        (void) ngx_sio_client_frame(buf, &msg, text, p - text);
        msg.next = at;

    } else {
        (void) ngx_sio_client_frame(buf, &msg, text, p - text);
    }

    ngx_sio_client_write(sc, buf, &msg, 1);

    ngx_free(buf);
}
