
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_acks.h"
#include "ngx_sio_client.h"
#include "ngx_sio_post.h"

#include <sio_json.h>

#include <openssl/rand.h>


#define NGX_SIO_ACKS_TIMEOUT   5000       /* ms, of a request that names none */
#define NGX_SIO_ACKS_LONGEST   600000     /* ms */
#define NGX_SIO_ACKS_PUBLISH   5000       /* ms that Redis has to reply */
#define NGX_SIO_ACKS_UID       6          /* length of a Node adapter's uid */


typedef struct {
    uint64_t               id;
    uint64_t               deadline;      /* ms */
    ngx_uint_t             answers;       /* are wanted */
    uint16_t               nsp;
    ngx_str_t              request;       /* its id; behind this */

    uint64_t              *sockets;       /* hashes of those that have answered,
                                             by hash; 0: none */
    ngx_uint_t             size;          /* a power of two */
    ngx_uint_t             used;
} ngx_sio_acks_asked_t;


struct ngx_sio_acks_s {
    ngx_sio_acks_asked_t  *asked[NGX_SIO_ASKED];
    ngx_uint_t             n;
};


static ngx_uint_t ngx_sio_acks_pending(ngx_sio_gateway_t *gw, uint64_t id);
static void ngx_sio_acks_forget(ngx_sio_acks_t *acks, ngx_uint_t i);
static uint64_t ngx_sio_acks_id(const sio_str_t *text);
static ngx_int_t ngx_sio_acks_first(ngx_sio_acks_asked_t *asked,
    uint64_t hash, ngx_log_t *log);
static ngx_int_t ngx_sio_acks_grow(ngx_sio_acks_asked_t *asked,
    ngx_log_t *log);
static void ngx_sio_acks_insert(ngx_sio_acks_asked_t *asked, uint64_t hash);
static void ngx_sio_acks_publish(ngx_sio_gateway_t *gw,
    ngx_sio_acks_asked_t *asked, const sio_record_t *rec);
static sio_rc_t ngx_sio_acks_text(ngx_sio_gateway_t *gw, sio_buf_t *b,
    ngx_sio_acks_asked_t *asked, const sio_record_t *rec);


ngx_sio_acks_t *
ngx_sio_acks_create(ngx_sio_gateway_t *gw)
{
    return ngx_calloc(sizeof(ngx_sio_acks_t), gw->log);
}


/*
 * A number that JavaScript takes: the low 21 bits count, the other 32 nobody
 * can know who has not got the event.
 */

ngx_int_t
ngx_sio_acks_draw(ngx_sio_gateway_t *gw, uint64_t *id)
{
    uint32_t  n, random;

    if (RAND_bytes((u_char *) &random, sizeof(random)) != 1) {
        return NGX_ERROR;
    }

    n = __atomic_fetch_add(&gw->zone->sh->asks, 1, __ATOMIC_RELAXED);

    *id = (uint64_t) random << 21 | (n & 0x1fffff);

    return NGX_OK;
}


void
ngx_sio_acks_ask(ngx_sio_gateway_t *gw, uint64_t id, uint16_t nsp,
    sio_adapter_t *request)
{
    uint64_t               timeout;
    ngx_uint_t             i;
    ngx_sio_acks_t        *acks;
    ngx_sio_asked_sh_t    *sh;
    ngx_sio_acks_asked_t  *asked;

    acks = gw->acks;
    i = id % NGX_SIO_ASKED;

    if (acks->asked[i]) {
        ngx_sio_acks_forget(acks, i);
    }

    asked = ngx_calloc(sizeof(ngx_sio_acks_asked_t) + request->request.len,
                       gw->log);
    if (asked == NULL) {
        return;
    }

    timeout = request->timeout ? request->timeout : NGX_SIO_ACKS_TIMEOUT;
    timeout = ngx_min(timeout, NGX_SIO_ACKS_LONGEST);

    asked->id = id;
    asked->nsp = nsp;
    asked->deadline = ngx_sio_zone_now() + timeout;

    /*
     * An adapter of Node counts the nodes that will answer, this one not among
     * them: another answer would be taken for that of one that is.
     */

    asked->answers = (request->uid.len != NGX_SIO_ACKS_UID);

    asked->request.len = request->request.len;
    asked->request.data = (u_char *) (asked + 1);
    ngx_memcpy(asked->request.data, request->request.data,
               request->request.len);

    acks->asked[i] = asked;
    acks->n++;

    sh = &gw->zone->sh->asked[i];

    ngx_sio_store(&sh->id, 0);
    ngx_sio_store(&sh->deadline, asked->deadline);
    ngx_sio_store(&sh->id, id);

    ngx_sio_gateway_stat(gw, ACKS_ASKED, 1);
}


/* True if answers to an id are wanted; in any worker. */

static ngx_uint_t
ngx_sio_acks_pending(ngx_sio_gateway_t *gw, uint64_t id)
{
    ngx_sio_asked_sh_t  *sh;

    sh = &gw->zone->sh->asked[id % NGX_SIO_ASKED];

    return id && ngx_sio_load(&sh->id) == id
           && ngx_sio_zone_now() < ngx_sio_load(&sh->deadline);
}


static void
ngx_sio_acks_forget(ngx_sio_acks_t *acks, ngx_uint_t i)
{
    if (acks->asked[i]->sockets) {
        ngx_free(acks->asked[i]->sockets);
    }

    ngx_free(acks->asked[i]);

    acks->asked[i] = NULL;
    acks->n--;
}


void
ngx_sio_acks_expire(ngx_sio_gateway_t *gw)
{
    uint64_t         now;
    ngx_uint_t       i;
    ngx_sio_acks_t  *acks;

    acks = gw->acks;

    if (acks->n == 0) {
        return;
    }

    now = ngx_sio_zone_now();

    for (i = 0; i < NGX_SIO_ASKED; i++) {
        if (acks->asked[i] && acks->asked[i]->deadline <= now) {
            ngx_sio_acks_forget(acks, i);
        }
    }
}


void
ngx_sio_acks_answer(ngx_sio_client_t *sc, const sio_packet_t *pk)
{
    u_char              sid[NGX_SIO_SID_LEN];
    uint64_t            id;
    sio_str_t           name, part;
    sio_message_t       m;
    ngx_sio_gateway_t  *gw;

    gw = sc->gateway;
    id = ngx_sio_acks_id(&pk->id);

    if (!ngx_sio_acks_pending(gw, id) || ngx_sio_post_sid(sc, sid) != NGX_OK) {
        ngx_sio_gateway_stat(gw, ACKS_IGNORED, 1);
        return;
    }

    ngx_memzero(&m, sizeof(sio_message_t));

    name.data = sid;
    name.len = NGX_SIO_SID_LEN;
    part = pk->data;

    m.type = SIO_RECORD_ACK;
    m.nsp = sc->nsp;
    m.arg = id;
    m.rooms = 1;
    m.names = &name;
    m.parts = 1;
    m.part = &part;

    if (ngx_sio_gateway_append(gw, &m, NULL) != NGX_OK) {
        /* who asks does without this answer, as if it had been late */
        ngx_sio_gateway_stat(gw, ACKS_IGNORED, 1);
    }
}


/* 0 for what is no id of ours. */

static uint64_t
ngx_sio_acks_id(const sio_str_t *text)
{
    size_t    i;
    uint64_t  id;

    if (text->len > 16) {
        return 0;
    }

    id = 0;

    for (i = 0; i < text->len; i++) {
        id = id * 10 + (text->data[i] - '0');
    }

    return id;
}


ngx_int_t
ngx_sio_acks_relay(ngx_sio_gateway_t *gw, const sio_message_t *m)
{
    uint32_t               i;
    ngx_sio_zone_t        *z;
    ngx_sio_session_sh_t  *ss;

    z = gw->zone;
    ss = NULL;

    if (m->rooms == 1 && m->names[0].len == NGX_SIO_SID_LEN) {

        if (ngx_sio_zone_lock(z) != NGX_OK) {
            /* the socket may be there */
            return NGX_OK;
        }

        i = ngx_sio_session_by_sid_locked(z, m->names[0].data);
        ss = ngx_sio_session_live_locked(z, i);

        if (ss && ss->nsp != m->nsp) {
            ss = NULL;
        }

        ngx_sio_zone_unlock(z);
    }

    if (ss == NULL) {
        ngx_sio_gateway_stat(gw, ACKS_UNKNOWN, 1);
        return NGX_DECLINED;
    }

    ngx_sio_gateway_stat(gw, ACKS_RELAYED, 1);

    return NGX_OK;
}


void
ngx_sio_acks_record(ngx_sio_gateway_t *gw, const sio_record_t *rec)
{
    ngx_sio_acks_asked_t  *asked;

    asked = gw->acks->asked[rec->arg % NGX_SIO_ASKED];

    if (asked == NULL || asked->id != rec->arg) {
        /* another worker has asked, or nobody */
        return;
    }

    if (asked->nsp != rec->nsp
        || ngx_sio_acks_first(asked, sio_record_hashes(rec)[0], gw->log)
           != NGX_OK)
    {
        ngx_sio_gateway_stat(gw, ACKS_IGNORED, 1);
        return;
    }

    ngx_sio_gateway_stat(gw, ACKS_ANSWERED, 1);

    if (asked->answers && gw->redis) {
        ngx_sio_acks_publish(gw, asked, rec);
    }
}


/* NGX_OK if the socket has not answered before. */

static ngx_int_t
ngx_sio_acks_first(ngx_sio_acks_asked_t *asked, uint64_t hash, ngx_log_t *log)
{
    ngx_uint_t  n;

    hash = hash ? hash : 1;

    if (asked->used * 2 >= asked->size
        && ngx_sio_acks_grow(asked, log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (n = hash & (asked->size - 1);
         asked->sockets[n];
         n = (n + 1) & (asked->size - 1))
    {
        if (asked->sockets[n] == hash) {
            return NGX_DECLINED;
        }
    }

    ngx_sio_acks_insert(asked, hash);

    return NGX_OK;
}


static ngx_int_t
ngx_sio_acks_grow(ngx_sio_acks_asked_t *asked, ngx_log_t *log)
{
    uint64_t    *old;
    ngx_uint_t   i, size;

    old = asked->sockets;
    size = asked->size;

    asked->sockets = ngx_calloc(ngx_max(size * 2, 8) * sizeof(uint64_t), log);

    if (asked->sockets == NULL) {
        asked->sockets = old;
        return NGX_ERROR;
    }

    asked->size = ngx_max(size * 2, 8);
    asked->used = 0;

    for (i = 0; i < size; i++) {
        if (old[i]) {
            ngx_sio_acks_insert(asked, old[i]);
        }
    }

    if (old) {
        ngx_free(old);
    }

    return NGX_OK;
}


static void
ngx_sio_acks_insert(ngx_sio_acks_asked_t *asked, uint64_t hash)
{
    ngx_uint_t  n;

    for (n = hash & (asked->size - 1);
         asked->sockets[n];
         n = (n + 1) & (asked->size - 1))
    {
        /* void */
    }

    asked->sockets[n] = hash;
    asked->used++;
}


/* On "<prefix>-response#<nsp>#", which whoever asks reads. */

static void
ngx_sio_acks_publish(ngx_sio_gateway_t *gw, ngx_sio_acks_asked_t *asked,
    const sio_record_t *rec)
{
    u_char      *p;
    size_t       len[3];
    sio_buf_t    b;
    ngx_str_t    nsp, *prefix;
    const char  *argv[3];

    ngx_memzero(&b, sizeof(sio_buf_t));

    prefix = &gw->conf->redis_prefix;
    ngx_sio_nsp_name(gw->zone, asked->nsp, &nsp);

    len[0] = sizeof("PUBLISH") - 1;
    len[1] = prefix->len + sizeof("-response##") - 1 + nsp.len;

    if (sio_buf_reserve(&b, len[1]) == SIO_OK) {

        p = ngx_sprintf(b.data, "%V-response#%V#", prefix, &nsp);
        b.len = p - b.data;

        if (ngx_sio_acks_text(gw, &b, asked, rec) == SIO_OK) {
            argv[0] = "PUBLISH";
            argv[1] = (char *) b.data;
            argv[2] = argv[1] + len[1];
            len[2] = b.len - len[1];

            /* nobody does without Redis but who asks, and that one by Redis */

            (void) ngx_sio_redis_command(gw->redis, 3, argv, len,
                                         NGX_SIO_ACKS_PUBLISH, NULL, NULL);
        }
    }

    sio_buf_free(&b);
}


/*
 * {"type":9,"requestId":<id>,"packet":<first argument of the answer>}; without
 * an argument there is no "packet".  SIO_AGAIN if the log has gone on.
 */

static sio_rc_t
ngx_sio_acks_text(ngx_sio_gateway_t *gw, sio_buf_t *b,
    ngx_sio_acks_asked_t *asked, const sio_record_t *rec)
{
    size_t      at, len;
    sio_rc_t    rc;
    sio_str_t   array, value;

    static const char  head[] = "{\"type\":9,\"requestId\":";
    static const char  packet[] = ",\"packet\":";

    if (sio_buf_append(b, head, sizeof(head) - 1) != SIO_OK
        || sio_json_quote(b, asked->request.data, asked->request.len) != SIO_OK
        || sio_buf_append(b, packet, sizeof(packet) - 1) != SIO_OK
        || sio_buf_reserve(b, rec->parts_len + 1) != SIO_OK)
    {
        return SIO_NOMEM;
    }

    at = b->len;
    len = rec->parts_len;

    if (ngx_sio_log_copy(gw->zone, rec->offset, sio_record_parts_at(rec),
                         b->data + at, len)
        != NGX_OK)
    {
        return SIO_AGAIN;
    }

    array.data = b->data + at;
    array.len = len;

    rc = sio_json_first(&array, &value);

    if (rc == SIO_OK) {
        ngx_memmove(b->data + at, value.data, value.len);
        b->len = at + value.len;

    } else {
        b->len = at - (sizeof(packet) - 1);
    }

    b->data[b->len++] = '}';

    return SIO_OK;
}
