
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_joining.h"


/* A command that somebody may have missed. */

typedef struct {
    ngx_queue_t        link;         /* gateway->commands */
    sio_record_t      *rec;          /* header, tables and names, behind this */
} ngx_sio_joining_command_t;


static ngx_int_t ngx_sio_joining_command(ngx_sio_joining_t *j,
    const sio_record_t *rec);
static ngx_uint_t ngx_sio_joining_addressed(ngx_sio_joining_t *j,
    const sio_record_t *rec);


ngx_int_t
ngx_sio_joining_rooms(ngx_sio_joining_t *j, const ngx_array_t *names,
    ngx_uint_t known, ngx_pool_t *pool)
{
    j->kicked = 0;
    j->refresh = 0;
    j->touched.len = 0;

    return ngx_sio_room_list_init(&j->list, names, known, j->seed, pool);
}


ngx_int_t
ngx_sio_joining_apply(ngx_sio_joining_t *j, ngx_sio_gateway_t *gw,
    uint64_t since)
{
    ngx_queue_t                *q;
    ngx_sio_joining_command_t  *cmd;

    for (q = ngx_queue_head(&gw->commands);
         q != ngx_queue_sentinel(&gw->commands);
         q = ngx_queue_next(q))
    {
        cmd = ngx_queue_data(q, ngx_sio_joining_command_t, link);

        if (cmd->rec->offset >= since
            && cmd->rec->nsp == j->nsp
            && ngx_sio_joining_addressed(j, cmd->rec)
            && ngx_sio_joining_command(j, cmd->rec) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_sio_room_list_pack(&j->list);

    return NGX_OK;
}


static ngx_int_t
ngx_sio_joining_command(ngx_sio_joining_t *j, const sio_record_t *rec)
{
    uint64_t   hash;
    unsigned   i;
    sio_str_t  name;

    if (rec->type == SIO_RECORD_REFRESH) {
        j->refresh = 1;
        j->touched.len = 0;
        return NGX_OK;
    }

    if (rec->type == SIO_RECORD_DISCONNECT) {
        j->kicked = (rec->flags & SIO_RECORD_CLOSE) ? 2 : 1;
        return NGX_OK;
    }

    for (i = rec->rooms + rec->except; i < sio_record_names(rec); i++) {
        name = sio_record_name(rec, i);
        hash = sio_record_hashes(rec)[i];

        if (j->refresh
            && sio_buf_append(&j->touched, &hash, sizeof(uint64_t)) != SIO_OK)
        {
            return NGX_ERROR;
        }

        if (rec->type == SIO_RECORD_LEAVE) {
            ngx_sio_room_list_remove(&j->list, hash, name.data, name.len);

        } else if (ngx_sio_room_list_add(&j->list, hash, name.data, name.len, 0)
                   != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_sio_joining_addressed(ngx_sio_joining_t *j, const sio_record_t *rec)
{
    uint64_t    hash;
    unsigned    i;
    sio_str_t   name;
    ngx_uint_t  addressed;

    addressed = (rec->rooms == 0);

    for (i = 0; i < (unsigned) rec->rooms + rec->except; i++) {
        name = sio_record_name(rec, i);
        hash = sio_record_hashes(rec)[i];

        if (ngx_sio_room_list_find(&j->list, hash, name.data, name.len)
            == NULL
            && (name.len != NGX_SIO_SID_LEN
                || ngx_memcmp(name.data, j->sid, NGX_SIO_SID_LEN) != 0))
        {
            continue;
        }

        if (i >= rec->rooms) {
            return 0;
        }

        addressed = 1;
    }

    return addressed;
}


ngx_int_t
ngx_sio_joining_keep(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    size_t                      len;
    ngx_sio_joining_command_t  *cmd;

    len = sio_record_parts_at(rec);

    cmd = ngx_alloc(sizeof(ngx_sio_joining_command_t) + len, gw->log);
    if (cmd == NULL) {
        return NGX_ERROR;
    }

    cmd->rec = (sio_record_t *) (cmd + 1);
    ngx_memcpy(cmd->rec, rec, len);

    ngx_queue_insert_tail(&gw->commands, &cmd->link);

    return NGX_OK;
}


void
ngx_sio_joining_trim(ngx_sio_gateway_t *gw, uint64_t below)
{
    ngx_queue_t                *q;
    ngx_sio_joining_command_t  *cmd;

    while (!ngx_queue_empty(&gw->commands)) {
        q = ngx_queue_head(&gw->commands);
        cmd = ngx_queue_data(q, ngx_sio_joining_command_t, link);

        if (cmd->rec->offset >= below) {
            return;
        }

        ngx_queue_remove(q);
        ngx_free(cmd);
    }
}
