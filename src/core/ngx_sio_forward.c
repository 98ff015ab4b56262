
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_forward.h"
#include "ngx_sio_entry.h"
#include "ngx_sio_post.h"

#include <ngx_sio_name.h>
#include <sio_event.h>
#include <sio_json.h>


#define NGX_SIO_FORWARD_LARGEST  67108864  /* bytes of one entry */


/* Whose event it is, as the session says. */

typedef struct {
    uint16_t              nsp;
    size_t                user_len;
    u_char                sid[NGX_SIO_SID_LEN];
    u_char                user[SIO_ROOM_LEN];
} ngx_sio_forward_who_t;


/* An entry that Redis has not confirmed; ack id and event are behind it. */

typedef struct {
    ngx_sio_gateway_t    *gateway;
    ngx_sio_client_t     *client;          /* a POST that waits for it; NULL */
    size_t                size;            /* of the command, about */
    ngx_str_t             ack;             /* empty: no answer is wanted */
    ngx_str_t             event;
    uint16_t              nsp;
    u_char                sid[NGX_SIO_SID_LEN];
} ngx_sio_forward_t;


static ngx_int_t ngx_sio_forward_who(ngx_sio_client_t *socket,
    ngx_sio_forward_who_t *who);
static ngx_int_t ngx_sio_forward_who_locked(ngx_sio_client_t *socket,
    ngx_sio_forward_who_t *who);
static void ngx_sio_forward_identify(ngx_sio_zone_t *z,
    ngx_sio_session_sh_t *ss, ngx_sio_forward_who_t *who);
static ngx_int_t ngx_sio_forward_entry(ngx_sio_client_t *socket,
    ngx_sio_forward_rule_t *rule, ngx_sio_forward_t *fw,
    ngx_sio_forward_who_t *who, const sio_packet_t *pk,
    const sio_str_t *attachment, const sio_str_t *args);
static ngx_int_t ngx_sio_forward_send(ngx_sio_forward_t *fw,
    ngx_sio_entry_t *en, ngx_sio_client_t *socket);
static ngx_sio_forward_t *ngx_sio_forward_create(ngx_sio_client_t *socket,
    ngx_sio_forward_who_t *who, const sio_packet_t *pk, const sio_buf_t *name);
static ngx_int_t ngx_sio_forward_confirmed(void *data, redisReply *reply);
static void ngx_sio_forward_refuse(ngx_sio_forward_t *fw,
    ngx_sio_refuse_e reason);
static sio_rc_t ngx_sio_forward_refusal(ngx_sio_forward_t *fw, sio_buf_t *b,
    ngx_sio_refuse_e reason);


static const struct {
    const char  *code;
    const char  *message;
} ngx_sio_forward_refusals[] = {
    { "unavailable", "Service temporarily unavailable" },
    { "too_large", "Event too large" },
    { "rate_limited", "Rate limit exceeded" }
};


/* The name and the arguments of the event at hand. */

static sio_buf_t  ngx_sio_forward_name;
static sio_buf_t  ngx_sio_forward_args;


ngx_uint_t
ngx_sio_forward_wanted(ngx_sio_loc_conf_t *slcf, const sio_buf_t *name,
    ngx_sio_forward_rule_t **rule)
{
    *rule = (name->len && name->data[0] == '$')
            ? NULL
            : ngx_sio_forward_rule(slcf->forward, name->data, name->len);

    return *rule != NULL;
}


ngx_sio_forward_rule_t *
ngx_sio_forward_rule(ngx_array_t *rules, const u_char *name, size_t len)
{
    ngx_uint_t               i;
    ngx_sio_forward_rule_t  *r, *any;

    if (rules == NULL) {
        return NULL;
    }

    r = rules->elts;
    any = NULL;

    for (i = 0; i < rules->nelts; i++) {

        if (r[i].event.len == len
            && ngx_memcmp(r[i].event.data, name, len) == 0)
        {
            return &r[i];
        }

        if (r[i].event.len == 1 && r[i].event.data[0] == '*') {
            any = &r[i];
        }
    }

    return any;
}


void
ngx_sio_forward_event(ngx_sio_client_t *socket, const sio_packet_t *pk,
    const sio_str_t *attachment)
{
    ngx_int_t                rc;
    sio_str_t                args;
    sio_buf_t               *name;
    ngx_sio_forward_t       *fw;
    ngx_sio_forward_who_t    who;
    ngx_sio_forward_rule_t  *rule;

    if (socket->conf->forward == NULL) {
        return;
    }

    name = &ngx_sio_forward_name;
    name->len = 0;

    switch (sio_event_read(&pk->data, name, &args)) {

    case SIO_OK:
        break;

    case SIO_NOMEM:
        ngx_sio_client_close(socket, NGX_SIO_CLOSE_UNAVAILABLE);
        return;

    default: /* no name: the reference ignores it, too */
        return;
    }

    if (!ngx_sio_forward_wanted(socket->conf, name, &rule)) {
        return;
    }

    if (ngx_sio_forward_who(socket, &who) != NGX_OK) {
        /* what can be told to nobody by name ends with the client */
        ngx_sio_client_close(socket, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    fw = ngx_sio_forward_create(socket, &who, pk, name);
    if (fw == NULL) {
        ngx_sio_client_close(socket, NGX_SIO_CLOSE_UNAVAILABLE);
        return;
    }

    rc = ngx_sio_forward_entry(socket, rule, fw, &who, pk, attachment, &args);

    if (rc != NGX_OK) {
        ngx_sio_forward_refuse(fw, (rc == NGX_ABORT)
                                   ? NGX_SIO_REFUSE_LARGE
                                   : NGX_SIO_REFUSE_UNAVAILABLE);
        ngx_free(fw);
    }
}


void
ngx_sio_forward_limited(ngx_sio_client_t *socket, const sio_packet_t *pk)
{
    sio_buf_t               b, *name;
    sio_str_t               args;
    ngx_sio_forward_t      *fw;
    ngx_sio_forward_who_t   who;

    name = &ngx_sio_forward_name;
    name->len = 0;

    if (sio_event_read(&pk->data, name, &args) != SIO_OK) {
        /* no name: it would have been ignored */
        return;
    }

    fw = (ngx_sio_forward_who(socket, &who) == NGX_OK)
         ? ngx_sio_forward_create(socket, &who, pk, name) : NULL;

    ngx_memzero(&b, sizeof(sio_buf_t));

    if (fw == NULL
        || ngx_sio_forward_refusal(fw, &b, NGX_SIO_REFUSE_LIMITED) != SIO_OK)
    {
        ngx_sio_client_close(socket, NGX_SIO_CLOSE_UNAVAILABLE);

    } else {
        ngx_sio_client_send(socket, b.data, b.len);
    }

    sio_buf_free(&b);
    ngx_free(fw);
}


/* NGX_OK; or NGX_ERROR: locked, or its session is gone. */

static ngx_int_t
ngx_sio_forward_who(ngx_sio_client_t *socket, ngx_sio_forward_who_t *who)
{
    ngx_int_t        rc;
    ngx_sio_zone_t  *z;

    z = socket->gateway->zone;

    if (socket->session) {

        if (ngx_sio_zone_lost(z)
            || !ngx_sio_session_mine(z, socket->session, socket->owner))
        {
            return NGX_ERROR;
        }

        /* nobody else changes these while the session is the caller's */

        ngx_sio_forward_identify(z, &z->sessions[socket->session], who);

        return NGX_OK;
    }

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_sio_forward_who_locked(socket, who);

    ngx_sio_zone_unlock(z);

    return rc;
}


static ngx_int_t
ngx_sio_forward_who_locked(ngx_sio_client_t *socket,
    ngx_sio_forward_who_t *who)
{
    uint32_t               i;
    ngx_sio_session_sh_t  *ss;

    ss = ngx_sio_post_session_locked(socket, &i);

    if (ss == NULL || ss->sid[0] == 0) {
        return NGX_ERROR;
    }

    ngx_sio_forward_identify(socket->gateway->zone, ss, who);

    return NGX_OK;
}


static void
ngx_sio_forward_identify(ngx_sio_zone_t *z, ngx_sio_session_sh_t *ss,
    ngx_sio_forward_who_t *who)
{
    who->nsp = ss->nsp;
    ngx_memcpy(who->sid, ss->sid, NGX_SIO_SID_LEN);

    who->user_len = ss->user
                    ? ngx_sio_name_text(z, &z->users[ss->user], who->user)
                    : 0;
}


static ngx_sio_forward_t *
ngx_sio_forward_create(ngx_sio_client_t *socket, ngx_sio_forward_who_t *who,
    const sio_packet_t *pk, const sio_buf_t *name)
{
    u_char             *p;
    ngx_sio_forward_t  *fw;

    fw = ngx_alloc(sizeof(ngx_sio_forward_t) + pk->id.len + name->len,
                   socket->log);
    if (fw == NULL) {
        return NULL;
    }

    fw->gateway = socket->gateway;
    fw->client = NULL;
    fw->size = 0;
    fw->nsp = who->nsp;
    ngx_memcpy(fw->sid, who->sid, NGX_SIO_SID_LEN);

    p = (u_char *) (fw + 1);

    fw->ack.data = p;
    fw->ack.len = pk->id.len;

    /* what is empty may be nowhere */

    if (pk->id.len) {
        p = ngx_cpymem(p, pk->id.data, pk->id.len);
    }

    fw->event.data = p;
    fw->event.len = name->len;

    if (name->len) {
        ngx_memcpy(p, name->data, name->len);
    }

    return fw;
}


/*
 * NGX_OK: fw belongs to the command; NGX_DECLINED: Redis is away, or has too
 * much to do; NGX_ABORT: too large ever to be taken; NGX_ERROR: no memory.
 */

static ngx_int_t
ngx_sio_forward_entry(ngx_sio_client_t *socket, ngx_sio_forward_rule_t *rule,
    ngx_sio_forward_t *fw, ngx_sio_forward_who_t *who, const sio_packet_t *pk,
    const sio_str_t *attachment, const sio_str_t *args)
{
    ngx_uint_t             i;
    sio_buf_t             *b;
    ngx_time_t            *tp;
    ngx_sio_entry_t        en;
    ngx_sio_entry_text_t   text;

    static const char  *const  bin[SIO_PACKET_ATTACHMENTS] = {
        "bin0", "bin1", "bin2", "bin3", "bin4",
        "bin5", "bin6", "bin7", "bin8", "bin9"
    };

    b = &ngx_sio_forward_args;
    b->len = 0;

    if (sio_buf_append(b, "[", 1) != SIO_OK
        || sio_buf_append(b, args->data, args->len) != SIO_OK
        || sio_buf_append(b, "]", 1) != SIO_OK)
    {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();

    text.event = fw->event;
    text.user.data = who->user;
    text.user.len = who->user_len;
    text.sid = who->sid;
    text.nsp = who->nsp;
    text.args.data = b->data;
    text.args.len = b->len;
    text.ack = fw->ack;
    text.time = (uint64_t) tp->sec * 1000 + tp->msec;

    ngx_sio_entry_begin(&en, socket->gateway, &rule->stream, &rule->maxlen,
                        &text);

    for (i = 0; i < pk->attachments; i++) {
        ngx_sio_entry_field(&en, bin[i], attachment[i].data,
                            attachment[i].len);
    }

    return ngx_sio_forward_send(fw, &en, socket);
}


static ngx_int_t
ngx_sio_forward_send(ngx_sio_forward_t *fw, ngx_sio_entry_t *en,
    ngx_sio_client_t *socket)
{
    ngx_int_t           rc;
    ngx_sio_client_t   *client;
    ngx_sio_gateway_t  *gw;

    gw = fw->gateway;

    if (en->size > NGX_SIO_FORWARD_LARGEST) {
        return NGX_ABORT;
    }

    /* one that is larger than the queue goes when that is empty */

    if (gw->forwarding && gw->forwarding + en->size > NGX_SIO_ENTRY_QUEUE) {
        return NGX_DECLINED;
    }

    rc = ngx_sio_entry_send(en, gw, ngx_sio_forward_confirmed, fw);
    if (rc != NGX_OK) {
        return rc;
    }

    fw->size = en->size;
    gw->forwarding += fw->size;

    client = socket->carrier ? socket->carrier : socket;

    if (client->transport->hold) {
        client->transport->hold(client);
        fw->client = client;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sio_forward_confirmed(void *data, redisReply *reply)
{
    ngx_sio_forward_t *fw = data;

    ngx_sio_client_t   *client;
    ngx_sio_gateway_t  *gw;

    gw = fw->gateway;
    client = fw->client;

    gw->forwarding -= fw->size;

    if (reply && reply->type == REDIS_REPLY_STRING) {
        ngx_sio_gateway_stat(gw, FORWARDED, 1);

    } else {

        if (reply) {
            ngx_sio_entry_complain(gw, reply);
        }

        ngx_sio_forward_refuse(fw, NGX_SIO_REFUSE_UNAVAILABLE);
    }

    ngx_free(fw);

    if (client) {
        client->transport->unhold(client);
    }

    return NGX_OK;
}


/*
 * By way of the log, because the socket may be anywhere by now; it comes after
 * what the socket is owed.  Who cannot be told even that way has lost its
 * connection, or loses it.
 */

static void
ngx_sio_forward_refuse(ngx_sio_forward_t *fw, ngx_sio_refuse_e reason)
{
    sio_buf_t           b;
    sio_str_t           name, part;
    sio_message_t       m;
    ngx_sio_gateway_t  *gw;

    gw = fw->gateway;

    ngx_sio_gateway_stat(gw, REFUSED, 1);

    ngx_memzero(&b, sizeof(sio_buf_t));
    ngx_memzero(&m, sizeof(sio_message_t));

    if (ngx_sio_forward_refusal(fw, &b, reason) == SIO_OK) {

        name.data = fw->sid;
        name.len = NGX_SIO_SID_LEN;
        part.data = b.data;
        part.len = b.len;

        m.type = SIO_RECORD_EMIT;
        m.flags = fw->ack.len ? SIO_RECORD_BARE : 0;
        m.nsp = fw->nsp;
        m.rooms = 1;
        m.names = &name;
        m.parts = 1;
        m.part = &part;

        if (ngx_sio_gateway_append(gw, &m, NULL) != NGX_OK) {
            ngx_log_error(NGX_LOG_WARN, gw->log, 0,
                          "socketio log of gateway \"%V\" has no room for "
                          "the refusal of an event", &gw->conf->name);
        }
    }

    sio_buf_free(&b);
}


/* 43<id>[{"error":"..."}], or 42["error",{"message":"...","event":"..."}] */

static sio_rc_t
ngx_sio_forward_refusal(ngx_sio_forward_t *fw, sio_buf_t *b,
    ngx_sio_refuse_e reason)
{
    ngx_str_t    name;
    sio_str_t    nsp;
    const char  *text;

    static const char  error[] = "[{\"error\":\"";
    static const char  event[] = "[\"error\",{\"message\":\"";
    static const char  about[] = "\",\"event\":";

    ngx_sio_nsp_name(fw->gateway->zone, fw->nsp, &name);
    nsp.data = name.data;
    nsp.len = name.len;

    if (fw->ack.len) {
        text = ngx_sio_forward_refusals[reason].code;

        if (sio_packet_begin(b, SIO_ACK, nsp) != SIO_OK
            || sio_buf_append(b, fw->ack.data, fw->ack.len) != SIO_OK
            || sio_buf_append(b, error, sizeof(error) - 1) != SIO_OK
            || sio_buf_append(b, text, ngx_strlen(text)) != SIO_OK)
        {
            return SIO_NOMEM;
        }

        return sio_buf_append(b, "\"}]", 3);
    }

    text = ngx_sio_forward_refusals[reason].message;

    if (sio_packet_begin(b, SIO_EVENT, nsp) != SIO_OK
        || sio_buf_append(b, event, sizeof(event) - 1) != SIO_OK
        || sio_buf_append(b, text, ngx_strlen(text)) != SIO_OK
        || sio_buf_append(b, about, sizeof(about) - 1) != SIO_OK
        || sio_packet_quote(b, fw->event.data, fw->event.len) != SIO_OK)
    {
        return SIO_NOMEM;
    }

    return sio_buf_append(b, "}]", 2);
}
