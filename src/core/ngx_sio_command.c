
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_command.h"
#include "ngx_sio_dispatch.h"
#include "ngx_sio_refresh.h"
#include "ngx_sio_rooms.h"
#include "ngx_sio_turn.h"


static void ngx_sio_command_collect(ngx_sio_gateway_t *gw,
    ngx_sio_client_t *sc, void *data);
static void ngx_sio_command_join(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    const sio_record_t *rec);
static void ngx_sio_command_leave(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    const sio_record_t *rec);


/* The clients of the command that runs: kept, because most are short. */

static sio_buf_t  ngx_sio_command_list;


void
ngx_sio_command_run(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    size_t              i, n;
    sio_buf_t          *list;
    ngx_sio_client_t  **sc;

    /* the members are collected first: the command changes their rooms */

    list = &ngx_sio_command_list;
    list->len = 0;

    ngx_sio_dispatch_addressed(gw, rec, ngx_sio_command_collect, list);

    sc = (ngx_sio_client_t **) list->data;
    n = list->len / sizeof(ngx_sio_client_t *);

    for (i = 0; i < n; i++) {

        if (!ngx_sio_session_mine(gw->zone, sc[i]->session, sc[i]->owner)) {
            /* it goes on elsewhere */
            ngx_sio_client_close(sc[i], NGX_SIO_CLOSE_TRANSPORT_CLOSE);
            continue;
        }

        if (sc[i]->refresh) {
            ngx_sio_refresh_touch(sc[i], rec);
        }

        switch (rec->type) {

        case SIO_RECORD_JOIN:
            ngx_sio_command_join(gw, sc[i], rec);
            break;

        case SIO_RECORD_LEAVE:
            ngx_sio_command_leave(gw, sc[i], rec);
            break;

        default: /* SIO_RECORD_DISCONNECT */

            /* after all that was published before */
            ngx_sio_turn_flush(sc[i]);

            if (rec->flags & SIO_RECORD_QUIET) {
                ngx_sio_client_disconnect(sc[i]);

            } else {
                ngx_sio_client_kick(sc[i], rec->flags & SIO_RECORD_CLOSE);
            }

            break;
        }
    }
}


static void
ngx_sio_command_collect(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    void *data)
{
    sio_buf_t *list = data;

    if (sio_buf_append(list, &sc, sizeof(ngx_sio_client_t *)) != SIO_OK) {
        /* its rooms would no longer be right */
        sc->broken = 1;
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
    }
}


static void
ngx_sio_command_join(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    const sio_record_t *rec)
{
    unsigned         i;
    sio_str_t        name;
    ngx_sio_room_t   room;

    for (i = rec->rooms + rec->except; i < sio_record_names(rec); i++) {

        name = sio_record_name(rec, i);

        room.hash = sio_record_hashes(rec)[i];
        room.name.data = (u_char *) name.data;
        room.name.len = name.len;
        room.set = 0;

        if (ngx_sio_command_enter(sc, &room, rec->offset + rec->size)
            != NGX_OK)
        {
            return;
        }
    }
}


ngx_int_t
ngx_sio_command_enter(ngx_sio_client_t *sc, ngx_sio_room_t *room,
    uint64_t since)
{
    ngx_int_t           rc;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    rc = ngx_sio_session_join(gw->zone, sc->session, sc->owner, room, since);

    if (rc == NGX_DONE) {
        return NGX_OK;
    }

    if (rc == NGX_DECLINED && !ngx_sio_zone_lost(gw->zone)) {
        ngx_sio_gateway_full(gw);
    }

    if (rc == NGX_OK
        && ngx_sio_rooms_join(gw->rooms, sc, room->hash, room->room,
                              room->member)
           != NGX_OK)
    {
        (void) ngx_sio_session_leave(gw->zone, sc->session, sc->owner,
                                     room->member, 0);
        rc = NGX_ERROR;
    }

    if (rc != NGX_OK) {
        /* better to come again than to miss a room */
        sc->broken = 1;
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_sio_command_leave(ngx_sio_gateway_t *gw, ngx_sio_client_t *sc,
    const sio_record_t *rec)
{
    uint32_t               ref;
    unsigned               i;
    sio_str_t              name;
    ngx_sio_member_sh_t   *m;
    ngx_sio_rooms_room_t  *room;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_client_session(sc);

    for (i = rec->rooms + rec->except; i < sio_record_names(rec); i++) {

        name = sio_record_name(rec, i);

        room = ngx_sio_rooms_find(gw->rooms, sio_record_hashes(rec)[i],
                                  rec->nsp, name.data, name.len);
        if (room == NULL) {
            continue;
        }

        ref = NGX_MAX_UINT32_VALUE;

        do {
            m = ngx_sio_session_walk(gw->zone, ss, &ref);
        } while (m && m->room != room->room);

        if (m == NULL) {
            continue;
        }

        if (ngx_sio_command_exit(sc, ref, rec->offset + rec->size) != NGX_OK) {
            return;
        }
    }
}


ngx_int_t
ngx_sio_command_exit(ngx_sio_client_t *sc, uint32_t member, uint64_t until)
{
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;

    ngx_sio_rooms_leave(gw->rooms, sc, member);

    if (ngx_sio_session_leave(gw->zone, sc->session, sc->owner, member, until)
        != NGX_OK)
    {
        sc->broken = 1;
        ngx_sio_client_close(sc, NGX_SIO_CLOSE_UNAVAILABLE);
        return NGX_ERROR;
    }

    return NGX_OK;
}
