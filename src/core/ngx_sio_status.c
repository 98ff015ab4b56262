
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_status.h"
#include "ngx_sio_check.h"
#include "ngx_sio_client.h"

#include <ngx_http_socketio_version.h>
#include <ngx_sio_lease.h>
#include <ngx_sio_log.h>
#include <ngx_sio_stats.h>

#include <jansson.h>


#define NGX_SIO_STATUS_TRIES  8     /* to read a record before it is gone */


typedef struct {
    ngx_uint_t                slot;
    ngx_pid_t                 pid;
    ngx_uint_t                fenced;
    ngx_uint_t                leaving;
    uint64_t                  cursor;
    uint64_t                  connections[2];
} ngx_sio_status_worker_t;


/* What is read at once, so that the numbers fit together, and what it makes. */

typedef struct {
    ngx_sio_gateway_conf_t   *conf;
    ngx_sio_zone_sh_t        *sh;
    uint64_t                  now;

    uint64_t                  sessions;
    uint64_t                  polling;
    uint64_t                  parked;
    uint64_t                  branches;
    uint64_t                  users;
    uint64_t                  rooms;
    uint64_t                  chunks;
    uint64_t                  tails;
    uint64_t                  members;
    ngx_sio_presence_sh_t     presence;
    ngx_sio_cluster_sh_t      cluster;
    uint64_t                  repairs;
    uint64_t                  stats[NGX_SIO_STATS];

    uint64_t                  tail;
    uint64_t                  head;
    uint64_t                  span;            /* ms */
    ngx_uint_t                laggard;         /* slot; 0: none */

    uint64_t                  connections[2];  /* of all workers */
    ngx_uint_t                nworkers;
    ngx_sio_status_worker_t   workers[NGX_SIO_WORKERS];

    ngx_uint_t                failed;          /* no memory for something */
} ngx_sio_status_t;


static ngx_int_t ngx_sio_status_read(ngx_sio_status_t *st);
static void ngx_sio_status_read_workers(ngx_sio_status_t *st);
static void ngx_sio_status_read_log(ngx_sio_status_t *st);
static char *ngx_sio_status_text(ngx_sio_status_t *st);
static void ngx_sio_status_clients(ngx_sio_status_t *st, json_t *root);
static void ngx_sio_status_presence(ngx_sio_status_t *st, json_t *root);
static void ngx_sio_status_cluster(ngx_sio_status_t *st, json_t *presence);
static void ngx_sio_status_zone(ngx_sio_status_t *st, json_t *root);
static uint64_t ngx_sio_status_records(ngx_sio_status_t *st, json_t *zone,
    const char *name, size_t size, uint64_t used, uint64_t total);
static void ngx_sio_status_log(ngx_sio_status_t *st, json_t *root);
static void ngx_sio_status_workers(ngx_sio_status_t *st, json_t *root);
static void ngx_sio_status_traffic(ngx_sio_status_t *st, json_t *root);
static void ngx_sio_status_closes(ngx_sio_status_t *st, json_t *root);
static void ngx_sio_status_redis(ngx_sio_status_t *st, json_t *root);

static json_t *ngx_sio_status_section(ngx_sio_status_t *st, json_t *to,
    const char *key);
static void ngx_sio_status_slot(ngx_sio_status_t *st, json_t *to,
    const char *key, uint64_t slot);
static void ngx_sio_status_number(ngx_sio_status_t *st, json_t *to,
    const char *key, uint64_t n);
static void ngx_sio_status_set(ngx_sio_status_t *st, json_t *to,
    const char *key, json_t *value);
static ngx_int_t ngx_sio_status_send(ngx_http_request_t *r, ngx_str_t *text);


ngx_int_t
ngx_sio_status_handler(ngx_http_request_t *r)
{
    char                *p;
    ngx_int_t            rc;
    ngx_str_t            text;
    ngx_sio_status_t    *st;
    ngx_sio_loc_conf_t  *slcf;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "socketio status");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_socketio_module);

    st = ngx_pcalloc(r->pool, sizeof(ngx_sio_status_t));
    if (st == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    st->conf = slcf->status;
    st->sh = slcf->status->zone.sh;

    ngx_sio_check(&st->conf->zone, r->connection->log);

    if (ngx_sio_status_read(st) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    p = ngx_sio_status_text(st);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.len = ngx_strlen(p);
    text.data = ngx_pnalloc(r->pool, text.len + 1);

    if (text.data) {
        ngx_memcpy(text.data, p, text.len);
        text.data[text.len++] = LF;
    }

    free(p);

    return text.data ? ngx_sio_status_send(r, &text)
                     : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * The lock is held for some microseconds: what a walk over sessions would have
 * to count is counted by those who change it.
 */

static ngx_int_t
ngx_sio_status_read(ngx_sio_status_t *st)
{
    ngx_sio_zone_t     *z;
    ngx_sio_zone_sh_t  *sh;

    z = &st->conf->zone;
    sh = st->sh;

    /* it takes the lock itself */
    ngx_sio_stats_sum(z, st->stats);

    if (ngx_sio_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    st->sessions = sh->live_sessions;
    st->polling = sh->live_polling;
    st->parked = sh->live_parked;
    st->branches = sh->live_branches;
    st->users = sh->live_users;
    st->rooms = sh->live_rooms;
    st->chunks = sh->live_chunks;
    st->tails = sh->live_tails;
    st->members = sh->live_members;
    st->presence = sh->presence;
    st->cluster = sh->cluster;
    st->repairs = sh->repairs;

    ngx_sio_status_read_workers(st);

    ngx_sio_zone_unlock(z);

    ngx_sio_status_read_log(st);

    return NGX_OK;
}


static void
ngx_sio_status_read_workers(ngx_sio_status_t *st)
{
    uint32_t                  state;
    ngx_uint_t                i;
    ngx_sio_worker_sh_t      *w;
    ngx_sio_status_worker_t  *worker;

    for (i = 0; i < st->sh->top_worker; i++) {

        w = &st->sh->workers[i];
        state = ngx_sio_load(&w->state);

        if (state == NGX_SIO_FREE) {
            continue;
        }

        worker = &st->workers[st->nworkers++];

        worker->slot = i + 1;
        worker->pid = w->pid;
        worker->fenced = (state == NGX_SIO_WORKER_FENCED);
        worker->leaving = (ngx_sio_load(&w->leaving) != 0);
        worker->cursor = ngx_sio_load(&w->cursor);
        worker->connections[0] = ngx_sio_load(&w->connections[0]);
        worker->connections[1] = ngx_sio_load(&w->connections[1]);

        st->connections[0] += worker->connections[0];
        st->connections[1] += worker->connections[1];
    }
}


/* After the cursors, which are never ahead of the head. */

static void
ngx_sio_status_read_log(ngx_sio_status_t *st)
{
    uint64_t                  off, least;
    ngx_int_t                 rc;
    ngx_uint_t                i;
    sio_record_t              rec;
    ngx_sio_zone_t           *z;
    ngx_sio_status_worker_t  *worker;

    z = &st->conf->zone;

    st->tail = ngx_sio_log_tail(z);
    st->head = ngx_sio_log_head(z);
    st->now = ngx_sio_zone_now();

    for (i = 0; i < NGX_SIO_STATUS_TRIES; i++) {

        off = ngx_sio_log_tail(z);
        rc = ngx_sio_log_next(z, &off, &rec);

        if (rc == NGX_OK) {
            st->span = ngx_max(st->now, rec.time) - rec.time;
        }

        if (rc != NGX_DECLINED) {
            break;
        }
    }

    least = st->head;

    for (i = 0; i < st->nworkers; i++) {
        worker = &st->workers[i];

        if (!worker->fenced && (st->laggard == 0 || worker->cursor < least)) {
            st->laggard = worker->slot;
            least = worker->cursor;
        }
    }
}


/* Returns a text for free(), or NULL without memory. */

static char *
ngx_sio_status_text(ngx_sio_status_t *st)
{
    char               *text;
    json_t             *root;
    ngx_sio_zone_sh_t  *sh;

    root = json_object();
    sh = st->sh;

    ngx_sio_status_set(st, root, "version",
                       json_string(NGX_HTTP_SOCKETIO_VERSION));
    ngx_sio_status_set(st, root, "gateway",
                       json_stringn((char *) st->conf->name.data,
                                    st->conf->name.len));
    ngx_sio_status_set(st, root, "node",
                       json_stringn((char *) sh->node, sh->node_len));
    ngx_sio_status_number(st, root, "uptime", (st->now - sh->created) / 1000);

    ngx_sio_status_clients(st, root);
    ngx_sio_status_presence(st, root);
    ngx_sio_status_zone(st, root);
    ngx_sio_status_log(st, root);
    ngx_sio_status_workers(st, root);
    ngx_sio_status_traffic(st, root);
    ngx_sio_status_closes(st, root);
    ngx_sio_status_redis(st, root);

    ngx_set_errno(0);

    text = st->failed ? NULL : json_dumps(root, JSON_INDENT(2));

    if (text && ngx_errno == NGX_ENOMEM) {

        /* jansson may have gone on without what it had no room for */

        free(text);
        text = NULL;
    }

    json_decref(root);

    return text;
}


static void
ngx_sio_status_clients(ngx_sio_status_t *st, json_t *root)
{
    json_t    *o;
    uint64_t   window;

    o = ngx_sio_status_section(st, root, "connections");

    ngx_sio_status_number(st, o, "websocket", st->connections[0]);
    ngx_sio_status_number(st, o, "polling", st->connections[1]);

    o = ngx_sio_status_section(st, root, "sessions");

    ngx_sio_status_number(st, o, "live", st->sessions);
    ngx_sio_status_number(st, o, "polling", st->polling);
    ngx_sio_status_number(st, o, "parked", st->parked);
    ngx_sio_status_number(st, o, "branches", st->branches);
    ngx_sio_status_number(st, o, "capacity", st->sh->nsessions);

    ngx_sio_status_number(st, root, "users", st->users);
    ngx_sio_status_number(st, root, "rooms", st->rooms);
    ngx_sio_status_number(st, root, "memberships", st->members);

    /* a log that never lost a record spans any time */

    window = st->conf->recovery;

    if (st->tail > st->sh->log_size) {
        window = ngx_min(window, st->span);
    }

    o = ngx_sio_status_section(st, root, "recovery");

    ngx_sio_status_number(st, o, "window_ms", st->conf->recovery);
    ngx_sio_status_number(st, o, "spans_ms", window);
}


static void
ngx_sio_status_presence(ngx_sio_status_t *st, json_t *root)
{
    json_t  *o;

    if (!st->conf->presence) {
        ngx_sio_status_set(st, root, "presence", json_null());
        return;
    }

    o = ngx_sio_status_section(st, root, "presence");

    ngx_sio_status_number(st, o, "local", st->presence.local);
    ngx_sio_status_number(st, o, "online", st->presence.announced);
    ngx_sio_status_number(st, o, "transitions", st->presence.transitions);
    ngx_sio_status_number(st, o, "flaps", st->presence.flaps);
    ngx_sio_status_slot(st, o, "actor", st->presence.slot);

    ngx_sio_status_cluster(st, o);
}


/* What Redis says of all nodes. */

static void
ngx_sio_status_cluster(ngx_sio_status_t *st, json_t *presence)
{
    json_t                *o;
    ngx_sio_cluster_sh_t  *cl;

    cl = &st->cluster;

    if (st->conf->redis == NULL) {
        ngx_sio_status_set(st, presence, "cluster", json_null());
        return;
    }

    o = ngx_sio_status_section(st, presence, "cluster");

    ngx_sio_status_set(st, o, "connected",
                       json_boolean(cl->applied && !cl->away));
    ngx_sio_status_number(st, o, "online", cl->users);
    ngx_sio_status_number(st, o, "version", cl->version);
    ngx_sio_status_set(st, o, "age_ms",
                       cl->applied ? json_integer(ngx_max(st->now, cl->applied)
                                                  - cl->applied)
                                   : json_null());
    ngx_sio_status_number(st, o, "transitions", cl->transitions);
    ngx_sio_status_number(st, o, "refetches", cl->refetches);
    ngx_sio_status_number(st, o, "leases_expired", cl->expired);
}


/* Free bytes are those of free records, so they come back exactly. */

static void
ngx_sio_status_zone(ngx_sio_status_t *st, json_t *root)
{
    json_t             *o;
    uint64_t            n;
    ngx_sio_zone_sh_t  *sh;

    sh = st->sh;

    o = ngx_sio_status_section(st, root, "zone");

    ngx_sio_status_number(st, o, "size", st->conf->zone_size);

    n = ngx_sio_status_records(st, o, "sessions", sizeof(ngx_sio_session_sh_t),
                               st->sessions, sh->nsessions);
    n += ngx_sio_status_records(st, o, "users", sizeof(ngx_sio_name_sh_t),
                                st->users, sh->nusers);
    n += ngx_sio_status_records(st, o, "rooms", sizeof(ngx_sio_name_sh_t),
                                st->rooms, sh->nrooms);
    n += ngx_sio_status_records(st, o, "chunks", sizeof(ngx_sio_chunk_sh_t),
                                st->chunks, sh->nchunks);
    n += ngx_sio_status_records(st, o, "tails", sizeof(ngx_sio_tail_sh_t),
                                st->tails, sh->ntails);

    ngx_sio_status_number(st, o, "free", n);

    ngx_sio_status_number(st, root, "refused", ngx_sio_load(&sh->refused));
    ngx_sio_status_number(st, root, "repairs", st->repairs);
}


/* Returns the bytes of those that are free. */

static uint64_t
ngx_sio_status_records(ngx_sio_status_t *st, json_t *zone, const char *name,
    size_t size, uint64_t used, uint64_t total)
{
    json_t  *o;

    o = ngx_sio_status_section(st, zone, name);

    ngx_sio_status_number(st, o, "used", used);
    ngx_sio_status_number(st, o, "total", total);

    return (total - used) * size;
}


static void
ngx_sio_status_log(ngx_sio_status_t *st, json_t *root)
{
    json_t                   *log, *o;
    ngx_uint_t                i;
    ngx_sio_status_worker_t  *worker;

    log = ngx_sio_status_section(st, root, "log");

    ngx_sio_status_number(st, log, "size", st->sh->log_size);
    ngx_sio_status_number(st, log, "max_record",
                          ngx_sio_log_max_record(&st->conf->zone));
    ngx_sio_status_number(st, log, "tail", st->tail);
    ngx_sio_status_number(st, log, "head", st->head);
    ngx_sio_status_number(st, log, "span_ms", st->span);

    for (i = 0; i < st->nworkers; i++) {
        worker = &st->workers[i];

        if (worker->slot == st->laggard) {
            o = ngx_sio_status_section(st, log, "laggard");

            ngx_sio_status_number(st, o, "slot", worker->slot);
            ngx_sio_status_number(st, o, "lag", st->head - worker->cursor);

            return;
        }
    }

    ngx_sio_status_set(st, log, "laggard", json_null());
}


static void
ngx_sio_status_workers(ngx_sio_status_t *st, json_t *root)
{
    json_t                   *list, *o, *n;
    ngx_uint_t                i;
    ngx_sio_status_worker_t  *worker;

    list = json_array();

    for (i = 0; i < st->nworkers; i++) {
        worker = &st->workers[i];

        o = json_object();

        ngx_sio_status_number(st, o, "slot", worker->slot);
        ngx_sio_status_number(st, o, "pid", worker->pid);
        ngx_sio_status_set(st, o, "state",
                           json_string(worker->fenced ? "fenced" : "live"));
        ngx_sio_status_set(st, o, "leaving", json_boolean(worker->leaving));
        ngx_sio_status_number(st, o, "cursor", worker->cursor);
        ngx_sio_status_number(st, o, "lag", st->head - worker->cursor);

        n = ngx_sio_status_section(st, o, "connections");

        ngx_sio_status_number(st, n, "websocket", worker->connections[0]);
        ngx_sio_status_number(st, n, "polling", worker->connections[1]);

        if (json_array_append_new(list, o) != 0) {
            st->failed = 1;
        }
    }

    ngx_sio_status_set(st, root, "workers", list);
    ngx_sio_status_number(st, root, "fences", ngx_sio_load(&st->sh->fences));
}


static void
ngx_sio_status_traffic(ngx_sio_status_t *st, json_t *root)
{
    json_t    *o;
    uint64_t  *stats;

    stats = st->stats;

    o = ngx_sio_status_section(st, root, "events");

    ngx_sio_status_number(st, o, "in", stats[NGX_SIO_STAT_EVENTS_IN]);
    ngx_sio_status_number(st, o, "out", stats[NGX_SIO_STAT_EVENTS_OUT]);

    o = ngx_sio_status_section(st, root, "bytes");

    ngx_sio_status_number(st, o, "in", stats[NGX_SIO_STAT_BYTES_IN]);
    ngx_sio_status_number(st, o, "out", stats[NGX_SIO_STAT_BYTES_OUT]);

    o = ngx_sio_status_section(st, root, "deflate");

    ngx_sio_status_number(st, o, "records",
                          stats[NGX_SIO_STAT_DEFLATE_RECORDS]);
    ngx_sio_status_number(st, o, "in", stats[NGX_SIO_STAT_DEFLATE_IN]);
    ngx_sio_status_number(st, o, "out", stats[NGX_SIO_STAT_DEFLATE_OUT]);

    o = ngx_sio_status_section(st, root, "packets");

    ngx_sio_status_number(st, o, "in", stats[NGX_SIO_STAT_PACKETS_IN]);

    ngx_sio_status_number(st, root, "handshakes",
                          stats[NGX_SIO_STAT_HANDSHAKES]);
    ngx_sio_status_number(st, root, "upgrades", stats[NGX_SIO_STAT_UPGRADES]);

    o = ngx_sio_status_section(st, root, "acks");

    ngx_sio_status_number(st, o, "asked", st->stats[NGX_SIO_STAT_ACKS_ASKED]);
    ngx_sio_status_number(st, o, "answered",
                          st->stats[NGX_SIO_STAT_ACKS_ANSWERED]);
    ngx_sio_status_number(st, o, "ignored",
                          st->stats[NGX_SIO_STAT_ACKS_IGNORED]);
    ngx_sio_status_number(st, o, "relayed",
                          st->stats[NGX_SIO_STAT_ACKS_RELAYED]);
    ngx_sio_status_number(st, o, "unknown",
                          st->stats[NGX_SIO_STAT_ACKS_UNKNOWN]);

    o = ngx_sio_status_section(st, root, "forward");

    ngx_sio_status_number(st, o, "accepted", stats[NGX_SIO_STAT_FORWARDED]);
    ngx_sio_status_number(st, o, "refused", stats[NGX_SIO_STAT_REFUSED]);
    ngx_sio_status_number(st, o, "connects", stats[NGX_SIO_STAT_GREETED]);
    ngx_sio_status_number(st, o, "disconnects", stats[NGX_SIO_STAT_LEFT]);
    ngx_sio_status_number(st, o, "waiting",
                          ngx_sio_load(&st->sh->farewells.waiting));
    ngx_sio_status_number(st, o, "lost",
                          ngx_sio_load(&st->sh->farewells.lost));

    o = ngx_sio_status_section(st, root, "limits");

    ngx_sio_status_number(st, o, "limited", stats[NGX_SIO_STAT_LIMITED]);
    ngx_sio_status_number(st, o, "closed", stats[NGX_SIO_STAT_LIMIT_CLOSED]);
    ngx_sio_status_number(st, o, "refused",
                          stats[NGX_SIO_STAT_LIMIT_REFUSED]);

    o = ngx_sio_status_section(st, root, "sockets");

    ngx_sio_status_number(st, o, "connected", stats[NGX_SIO_STAT_CONNECTED]);
    ngx_sio_status_number(st, o, "recovered", stats[NGX_SIO_STAT_RECOVERED]);
    ngx_sio_status_number(st, o, "unrecovered",
                          stats[NGX_SIO_STAT_UNRECOVERED]);

    o = ngx_sio_status_section(st, root, "auth");

    ngx_sio_status_number(st, o, "token_missing",
                          stats[NGX_SIO_STAT_AUTH_MISSING]);
    ngx_sio_status_number(st, o, "token_invalid",
                          stats[NGX_SIO_STAT_AUTH_INVALID]);
    ngx_sio_status_number(st, o, "token_expired",
                          stats[NGX_SIO_STAT_AUTH_EXPIRED]);
}


static void
ngx_sio_status_closes(ngx_sio_status_t *st, json_t *root)
{
    json_t      *o;
    uint64_t    *closes;
    ngx_uint_t   i;

    closes = &st->stats[NGX_SIO_STAT_CLOSE];

    o = ngx_sio_status_section(st, root, "closes");

    for (i = 0; i < NGX_SIO_CLOSE_REASONS; i++) {
        ngx_sio_status_number(st, o, ngx_sio_close_reasons[i], closes[i]);
    }

    ngx_sio_status_number(st, root, "slow_closes",
                          closes[NGX_SIO_CLOSE_SLOW]);
}


static void
ngx_sio_status_redis(ngx_sio_status_t *st, json_t *root)
{
    json_t              *o;
    ngx_uint_t           live;
    ngx_sio_lease_sh_t  *lease;

    lease = &st->sh->lease;
    live = st->conf->redis && ngx_sio_lease_is_live(&st->conf->zone);

    o = ngx_sio_status_section(st, root, "redis");

    ngx_sio_status_set(st, o, "configured",
                       json_boolean(st->conf->redis != NULL));
    ngx_sio_status_set(st, o, "connected", json_boolean(live));
    ngx_sio_status_number(st, o, "reconnects",
                          st->stats[NGX_SIO_STAT_REDIS_RECONNECTS]);
    ngx_sio_status_number(st, o, "gaps", ngx_sio_load(&st->sh->gaps));
    ngx_sio_status_slot(st, o, "feed", ngx_sio_load(&lease->slot));
    ngx_sio_status_slot(st, o, "standby", ngx_sio_load(&lease->standby));

    ngx_sio_status_number(st, root, "malformed",
                          st->stats[NGX_SIO_STAT_MALFORMED]);
    ngx_sio_status_number(st, root, "too_large",
                          st->stats[NGX_SIO_STAT_TOO_LARGE]);
}


/*
 * These take NULL for what there was no memory for, and then note it, so that
 * nobody else has to look.
 */

static json_t *
ngx_sio_status_section(ngx_sio_status_t *st, json_t *to, const char *key)
{
    ngx_sio_status_set(st, to, key, json_object());

    return json_object_get(to, key);
}


static void
ngx_sio_status_slot(ngx_sio_status_t *st, json_t *to, const char *key,
    uint64_t slot)
{
    ngx_sio_status_set(st, to, key, slot ? json_integer(slot) : json_null());
}


static void
ngx_sio_status_number(ngx_sio_status_t *st, json_t *to, const char *key,
    uint64_t n)
{
    ngx_sio_status_set(st, to, key, json_integer(n));
}


static void
ngx_sio_status_set(ngx_sio_status_t *st, json_t *to, const char *key,
    json_t *value)
{
    if (json_object_set_new(to, key, value) != 0) {
        st->failed = 1;
    }
}


static ngx_int_t
ngx_sio_status_send(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_str_t                  type;
    ngx_table_elt_t           *h;
    ngx_http_complex_value_t   cv;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    ngx_str_set(&h->key, "Cache-Control");
    ngx_str_set(&h->value, "no-store");

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = *text;

    ngx_str_set(&type, "application/json");

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}
