
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * sioload - load generator for Socket.IO v4 (Engine.IO 4) servers and plain
 * WebSocket servers.  Single file, Linux only.
 *
 *   gcc -O2 -Wall -Wextra -o sioload sioload.c -lssl -lcrypto -lz -lpthread
 *
 * It opens N connections, holds them, then counts delivered events and their
 * latency, and samples CPU time and memory of the server's processes at every
 * phase boundary.  One JSON object goes to stdout.  See --help.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="        /* RFC 6455 sample nonce */
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* and its accept value  */

typedef uint64_t u64;
typedef int64_t i64;
typedef uint32_t u32;
typedef uint8_t u8;

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define ADD(x, n) __atomic_store_n(&(x), (x) + (n), __ATOMIC_RELAXED)
#define MAX_MSG (64u << 20)

/* ------------------------------------------------------------ options */

enum { MODE_SIO, MODE_RAW, MODE_POLLING };
enum { CLK_MONO, CLK_REAL };

static struct {
    const char *host;
    int ports[64], nports;
    const char *path;
    int mode;
    u32 conns, polling;
    u32 conc;
    double rate;
    int threads;
    int srcs;
    const char *nsp;
    const char *auth;
    const char *ready;
    const char *event;
    const char *header;
    int tls, deflate;
    u32 stall;
    double stall_time;
    int rcvbuf;
    double connect_timeout, settle, hold;
    double recv_timeout, quiet;
    u64 expect;
    int do_recv;
    const char *publish;
    const char *tfield;
    double tscale;
    int tclock;
    const char *seqfield;
    int fin_close;
    double max_time;
    int verbose;
} o = {
    .host = "127.0.0.1",
    .path = "/socket.io/",
    .mode = MODE_SIO,
    .conns = 100,
    .conc = 200,
    .threads = 1,
    .srcs = 0,
    .auth = "{\"token\":\"%s\"}",
    .connect_timeout = 60,
    .settle = 0.5,
    .stall_time = 10,
    .recv_timeout = 60,
    .quiet = 3,
    .tfield = "t",
    .tscale = 1,
    .tclock = CLK_MONO,
    .max_time = 600,
};

static char **tokens, **paths;
static u32 ntokens, npaths;
static char tneedle[64], sneedle[64];
static size_t tneedle_len, sneedle_len;

/* ---------------------------------------------------------- histogram */

#define HBUCKETS 3840
typedef struct {
    u64 b[HBUCKETS], n, max, sum;
} hist_t;

static inline int
hidx(u64 v)
{
    if (v < 128) {
        return (int) v;
    }
    int sh = 63 - __builtin_clzll(v) - 6;
    return (sh << 6) + (int) (v >> sh);
}


static inline u64
hval(int i)
{
    if (i < 128) {
        return (u64) i;
    }
    int sh = (i >> 6) - 1;
    return ((u64) (i - (sh << 6)) << sh) + ((1ull << sh) >> 1);
}


static inline void
hadd(hist_t *h, u64 v)
{
    h->b[hidx(v)]++;
    h->n++;
    h->sum += v;
    if (v > h->max) {
        h->max = v;
    }
}


static void
hmerge(hist_t *d, const hist_t *s)
{
    for (int i = 0; i < HBUCKETS; i++) {
        d->b[i] += s->b[i];
    }
    d->n += s->n;
    d->sum += s->sum;
    if (s->max > d->max) {
        d->max = s->max;
    }
}


static u64
hpct(const hist_t *h, double p)
{
    if (!h->n) {
        return 0;
    }
    u64 want = (u64) (p * (double) h->n + 0.5), acc = 0;
    if (want < 1) {
        want = 1;
    }
    for (int i = 0; i < HBUCKETS; i++) {
        acc += h->b[i];
        if (acc >= want) {
            u64 v = hval(i);
            return v > h->max ? h->max : v;
        }
    }
    return h->max;
}


/* -------------------------------------------------------- connections */

enum {
    ST_NEW,
    ST_CONNECTING,
    ST_TLS,   /* TLS handshake                                 */
    ST_HTTP,  /* waiting for the 101 answer                    */
    ST_OPEN,  /* waiting for the Engine.IO open packet         */
    ST_AUTH,  /* CONNECT sent, waiting for 40 or 44            */
    ST_READY, /* connected, waiting for the --ready event      */
    ST_UP,
    ST_DEAD
};

enum { PO_NONE, PO_GET, PO_POST }; /* polling: request in flight */

typedef struct {
    int fd;
    u8 state, polling, po, pong_due, auth_due, frag_op, frag_z, want_out;
    u8 slow, stalled;
    SSL *ssl;
    u32 idx;
    u64 t0;
    u64 seq;
    char *rest;
    u32 rest_len, rest_cap;
    char *frag;
    u32 frag_len, frag_cap;
    char *out;
    u32 out_len;
    char *sid;
} conn_t;

enum {
    E_SOCKET,
    E_CONNECT,
    E_TLS,
    E_HTTP,
    E_EARLY,
    E_PROTO,
    E_REFUSED,
    E_CLOSED,
    E_N
};
static const char *err_name[E_N] = {
    "socket",   "tcp_connect",   "tls",          "http_status",
    "closed_in_handshake", "protocol", "connect_error", "closed_when_up"};

typedef struct {
    pthread_t th;
    int ep, id;
    conn_t *c;
    u32 n, next, inflight;
    char *buf, *scratch, *zbuf;
    size_t cap, zcap;
    z_stream z;
    u64 rng, rate_t0;
    /* counters: written here, read by the main thread */
    u64 up, failed, events, other, attachments, pings, wspings, recvs, bytes;
    u64 closes, errs[E_N], neg, seq_gap, seq_back, first_ns, last_ns;
    u64 deflated, slow_events, slow_closes;
    hist_t lat, hs;
} worker_t;

static volatile int g_stop, g_recv;
static SSL_CTX *tls_ctx;
static worker_t *W;
static char last_error[256];
static int have_error;

static u64
now_clk(clockid_t c)
{
    struct timespec ts;
    clock_gettime(c, &ts);
    return (u64) ts.tv_sec * 1000000000ull + (u64) ts.tv_nsec;
}
static u64
mono(void)
{
    return now_clk(CLOCK_MONOTONIC);
}
static u64
evclock(void)
{
    return now_clk(o.tclock == CLK_MONO ? CLOCK_MONOTONIC : CLOCK_REALTIME);
}


static void
die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "sioload: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    exit(1);
}


static void *
xalloc(size_t n)
{
    void *p = calloc(1, n);
    if (!p) {
        die("out of memory");
    }
    return p;
}


static void
conn_free_bufs(conn_t *c)
{
    free(c->rest);
    free(c->frag);
    free(c->out);
    free(c->sid);
    c->rest = c->frag = c->out = c->sid = NULL;
    c->rest_len = c->rest_cap = c->frag_len = c->frag_cap = c->out_len = 0;
}


static void
conn_fail(worker_t *w, conn_t *c, int why, const char *text, size_t n)
{
    if (c->state == ST_DEAD) {
        return;
    }
    if (!have_error && text) {
        have_error = 1;
        if (n >= sizeof(last_error)) {
            n = sizeof(last_error) - 1;
        }
        memcpy(last_error, text, n);
    }
    ADD(w->errs[why], 1);
    if (c->state == ST_UP) {
        ADD(w->closes, 1);
        ADD(w->slow_closes, c->slow);
    } else {
        ADD(w->failed, 1);
        w->inflight--;
    }
    c->state = ST_DEAD;
    if (c->ssl) {
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    conn_free_bufs(c);
}


static void
conn_events(worker_t *w, conn_t *c, u32 ev)
{
    struct epoll_event e = {.data.ptr = c};
    e.events = c->stalled ? ev & ~(u32) EPOLLIN : ev;
    epoll_ctl(w->ep, EPOLL_CTL_MOD, c->fd, &e);
}


/* As recv() and send(), through TLS where there is. */
static ssize_t
tls_result(conn_t *c, int r)
{
    if (r > 0) {
        return r;
    }
    switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        errno = ECONNRESET;
        return -1;
    }
}


static ssize_t
conn_recv(conn_t *c, char *p, size_t n)
{
    if (!c->ssl) {
        return recv(c->fd, p, n, 0);
    }
    return tls_result(c, SSL_read(c->ssl, p, (int) n));
}


static ssize_t
conn_send(conn_t *c, const char *p, size_t n)
{
    if (!c->ssl) {
        return send(c->fd, p, n, MSG_NOSIGNAL);
    }
    return tls_result(c, SSL_write(c->ssl, p, (int) n));
}


/* Sends, keeping what the socket did not take. */
static int
conn_write(worker_t *w, conn_t *c, const char *p, size_t n)
{
    if (!c->out_len) {
        while (n) {
            ssize_t r = conn_send(c, p, n);
            if (r > 0) {
                p += r;
                n -= (size_t) r;
                continue;
            }
            if (r < 0 && errno == EINTR) {
                continue;
            }
            if (r < 0 && errno == EAGAIN) {
                break;
            }
            return -1;
        }
        if (!n) {
            return 0;
        }
    }
    char *q = realloc(c->out, c->out_len + n);
    if (!q) {
        die("out of memory");
    }
    memcpy(q + c->out_len, p, n);
    c->out = q;
    c->out_len += (u32) n;
    if (!c->want_out) {
        c->want_out = 1;
        conn_events(w, c, EPOLLIN | EPOLLOUT);
    }
    return 0;
}


static int
conn_flush(worker_t *w, conn_t *c)
{
    while (c->out_len) {
        ssize_t r = conn_send(c, c->out, c->out_len);
        if (r < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno == EAGAIN) {
                return 0;
            }
            return -1;
        }
        c->out_len -= (u32) r;
        memmove(c->out, c->out + r, c->out_len);
    }
    free(c->out);
    c->out = NULL;
    if (c->want_out) {
        c->want_out = 0;
        conn_events(w, c, EPOLLIN);
    }
    return 0;
}


static u32
rnd(worker_t *w)
{
    w->rng ^= w->rng << 13;
    w->rng ^= w->rng >> 7;
    w->rng ^= w->rng << 17;
    return (u32) (w->rng >> 16);
}


/* Sends one masked frame. */
static int
ws_send(worker_t *w, conn_t *c, u8 op, const char *p, size_t n)
{
    char *d = w->scratch;
    size_t h = 2;
    if (n > 60000) {
        die("outgoing frame too large");
    }
    d[0] = (char) (0x80 | op);
    if (n < 126) {
        d[1] = (char) (0x80 | n);
    } else {
        d[1] = (char) (0x80 | 126);
        d[2] = (char) (n >> 8);
        d[3] = (char) n;
        h = 4;
    }
    u32 m = rnd(w);
    memcpy(d + h, &m, 4);
    for (size_t i = 0; i < n; i++) {
        d[h + 4 + i] = p[i] ^ d[h + (i & 3)];
    }
    return conn_write(w, c, d, h + 4 + n);
}


/* ----------------------------------------------- Socket.IO packet level */

static size_t
connect_packet(conn_t *c, char *d, size_t cap)
{
    int n = snprintf(d, cap, "40%s%s", o.nsp ? o.nsp : "", o.nsp ? "," : "");
    if (ntokens) {
        const char *tok = tokens[c->idx % ntokens], *f = o.auth;
        const char *pc = strstr(f, "%s");
        if (pc) {
            n += snprintf(d + n, cap - (size_t) n, "%.*s%s%s", (int) (pc - f),
                          f, tok, pc + 2);
        } else {
            n += snprintf(d + n, cap - (size_t) n, "%s", f);
        }
    }
    if (n < 0 || (size_t) n >= cap) {
        die("token too long");
    }
    return (size_t) n;
}


static void
conn_is_up(worker_t *w, conn_t *c)
{
    c->state = ST_UP;
    w->inflight--;
    hadd(&w->hs, mono() - c->t0);
    ADD(w->up, 1);
}


static u64
find_num(const char *p, size_t n, const char *needle, size_t nl, int *ok)
{
    const char *e = p + n, *q = memmem(p, n, needle, nl);
    *ok = 0;
    if (!q) {
        return 0;
    }
    q += nl;
    while (q < e && (*q == ' ' || *q == '"')) {
        q++;
    }
    u64 v = 0;
    while (q < e && *q >= '0' && *q <= '9') {
        v = v * 10 + (u64) (*q++ - '0');
        *ok = 1;
    }
    return v;
}


static void
one_event(worker_t *w, conn_t *c, const char *p, size_t n, u64 now)
{
    int ok;
    if (c->slow && g_recv) {
        ADD(w->slow_events, 1);
        return;
    }
    ADD(w->events, 1);
    if (!g_recv) {
        return;
    }
    if (!w->first_ns) {
        __atomic_store_n(&w->first_ns, now, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&w->last_ns, now, __ATOMIC_RELAXED);
    u64 t = find_num(p, n, tneedle, tneedle_len, &ok);
    if (ok) {
        t = (u64) ((double) t * o.tscale);
        if (t > now) {
            ADD(w->neg, 1);
            t = now;
        }
        hadd(&w->lat, now - t);
    }
    if (sneedle_len) {
        u64 s = find_num(p, n, sneedle, sneedle_len, &ok);
        if (ok) {
            s++; /* 0 means none seen */
            if (c->seq && s <= c->seq) {
                ADD(w->seq_back, 1);
            } else if (c->seq && s != c->seq + 1) {
                ADD(w->seq_gap, 1);
            }
            c->seq = s;
        }
    }
}


/* Does the event in p ("[..]" somewhere after the prefix) carry this name? */
static int
event_named(const char *p, size_t n, const char *name)
{
    const char *q = memchr(p, '[', n);
    size_t l = strlen(name);
    if (!q) {
        return 0;
    }
    q++;
    size_t left = n - (size_t) (q - p);
    return left > l + 1 && q[0] == '"' && !memcmp(q + 1, name, l)
           && q[l + 1] == '"';
}


/* Handles one Engine.IO packet. Returns -1 when the connection is finished. */
static int
sio_packet(worker_t *w, conn_t *c, const char *p, size_t n, u64 now)
{
    char tmp[49152];
    if (!n) {
        return 0;
    }
    switch (p[0]) {
    case '0':
        if (c->state != ST_OPEN) {
            conn_fail(w, c, E_PROTO, p, n);
            return -1;
        }
        c->state = ST_AUTH;
        if (c->polling) {
            const char *s = memmem(p, n, "\"sid\":\"", 7), *e;
            if (!s || !(e = memchr(s + 7, '"', n - (size_t) (s + 7 - p)))) {
                conn_fail(w, c, E_PROTO, p, n);
                return -1;
            }
            c->sid = strndup(s + 7, (size_t) (e - s - 7));
            c->auth_due = 1;
            return 0;
        }
        n = connect_packet(c, tmp, sizeof(tmp));
        if (ws_send(w, c, 1, tmp, n) < 0) {
            conn_fail(w, c, E_EARLY, NULL, 0);
            return -1;
        }
        return 0;
    case '1':
        conn_fail(w, c, c->state == ST_UP ? E_CLOSED : E_EARLY, p, n);
        return -1;
    case '2':
        ADD(w->pings, 1);
        if (c->polling) {
            c->pong_due = 1;
            return 0;
        }
        if (ws_send(w, c, 1, "3", 1) < 0) {
            conn_fail(w, c, E_CLOSED, NULL, 0);
            return -1;
        }
        return 0;
    case '3':
    case '6':
        return 0;
    case 'b':
        ADD(w->attachments, 1);
        return 0;
    case '4':
        break;
    default:
        conn_fail(w, c, E_PROTO, p, n);
        return -1;
    }

    if (n < 2) {
        conn_fail(w, c, E_PROTO, p, n);
        return -1;
    }
    switch (p[1]) {
    case '0':
        if (c->state != ST_AUTH) {
            conn_fail(w, c, E_PROTO, p, n);
            return -1;
        }
        if (o.ready) {
            c->state = ST_READY;
        } else {
            conn_is_up(w, c);
        }
        return 0;
    case '1':
    case '4':
        conn_fail(w, c, c->state == ST_UP ? E_CLOSED : E_REFUSED, p, n);
        return -1;
    case '2':
    case '5':
        if (c->state == ST_READY && event_named(p, n, o.ready)) {
            conn_is_up(w, c);
            return 0;
        }
        if ((o.ready && event_named(p, n, o.ready))
            || (o.event && !event_named(p, n, o.event)))
        {
            ADD(w->other, 1);
            return 0;
        }
        one_event(w, c, p, n, now);
        return 0;
    case '3':
    case '6':
        ADD(w->other, 1);
        return 0;
    default:
        conn_fail(w, c, E_PROTO, p, n);
        return -1;
    }
}


static int
message(worker_t *w, conn_t *c, u8 op, const char *p, size_t n, u64 now)
{
    if (o.mode == MODE_RAW) {
        if (op == 1) {
            one_event(w, c, p, n, now);
        } else {
            ADD(w->attachments, 1);
        }
        return 0;
    }
    if (op == 2) {
        ADD(w->attachments, 1);
        return 0;
    }
    return sio_packet(w, c, p, n, now);
}


/* ------------------------------------------------------ WebSocket level */

/* Undoes permessage-deflate of a whole message, which has no context. */
static int
message_inflate(worker_t *w, conn_t *c, u8 op, const char *p, size_t n, u64 now)
{
    static u8 tail[4] = {0, 0, 255, 255};
    const u8 *in[2] = {(const u8 *) p, tail};
    size_t in_len[2] = {n, sizeof(tail)}, len = 0;
    if (!w->zcap) {
        w->zcap = 1 << 18;
        w->zbuf = xalloc(w->zcap);
        if (inflateInit2(&w->z, -15) != Z_OK) {
            die("inflateInit2");
        }
    } else {
        inflateReset(&w->z);
    }
    for (int i = 0; i < 2; i++) {
        w->z.next_in = (u8 *) (uintptr_t) in[i];
        w->z.avail_in = (uInt) in_len[i];
        do {
            if (len == w->zcap) {
                w->zcap *= 2;
                if (w->zcap > MAX_MSG
                    || !(w->zbuf = realloc(w->zbuf, w->zcap))) {
                    die("message too long");
                }
            }
            w->z.next_out = (u8 *) w->zbuf + len;
            w->z.avail_out = (uInt) (w->zcap - len);
            int r = inflate(&w->z, Z_SYNC_FLUSH);
            if (r != Z_OK && r != Z_BUF_ERROR && r != Z_STREAM_END) {
                conn_fail(w, c, E_PROTO, "cannot be inflated", 18);
                return -1;
            }
            len = w->zcap - w->z.avail_out;
        } while (!w->z.avail_out);
    }
    ADD(w->deflated, 1);
    return message(w, c, op, w->zbuf, len, now);
}


/* Returns bytes consumed, or -1 when the connection is finished. */
static ssize_t
ws_input(worker_t *w, conn_t *c, char *buf, size_t len, u64 now)
{
    size_t at = 0;
    while (len - at >= 2) {
        u8 *h = (u8 *) buf + at;
        u8 op = h[0] & 15, fin = h[0] >> 7, z = (h[0] & 0x40) != 0;
        u64 n = h[1] & 127;
        size_t hl = 2;
        if ((h[0] & (o.deflate ? 0x30 : 0x70)) || (h[1] & 0x80)) {
            conn_fail(w, c, E_PROTO, "reserved bit or masked server frame", 35);
            return -1;
        }
        if (n == 126) {
            if (len - at < 4) {
                break;
            }
            n = (u64) h[2] << 8 | h[3];
            hl = 4;
        } else if (n == 127) {
            if (len - at < 10) {
                break;
            }
            n = 0;
            for (int i = 2; i < 10; i++) {
                n = n << 8 | h[i];
            }
            hl = 10;
        }
        if (n > MAX_MSG) {
            conn_fail(w, c, E_PROTO, "frame too long", 14);
            return -1;
        }
        if (len - at < hl + n) {
            break;
        }
        char *p = buf + at + hl;
        at += hl + n;

        if (op >= 8) {
            if (!fin || n > 125) {
                conn_fail(w, c, E_PROTO, "bad control frame", 17);
                return -1;
            }
            if (op == 8) {
                ws_send(w, c, 8, p, n >= 2 ? 2 : 0);
                conn_fail(w, c, c->state == ST_UP ? E_CLOSED : E_EARLY,
                          n > 2 ? p + 2 : "close frame", n > 2 ? n - 2 : 11);
                return -1;
            }
            if (op == 9) {
                ADD(w->wspings, 1);
                if (ws_send(w, c, 10, p, n) < 0) {
                    conn_fail(w, c, E_CLOSED, NULL, 0);
                    return -1;
                }
            }
            continue;
        }
        if (op && fin && !c->frag_op) {
            if ((z ? message_inflate : message)(w, c, op, p, n, now) < 0) {
                return -1;
            }
            continue;
        }
        if ((op == 0) != (c->frag_op != 0)) {
            conn_fail(w, c, E_PROTO, "bad continuation", 16);
            return -1;
        }
        if (op) {
            c->frag_op = op;
            c->frag_z = z;
        }
        if (c->frag_len + n > c->frag_cap) {
            c->frag_cap = (u32) (c->frag_len + n + 1024);
            if (c->frag_cap > MAX_MSG
                || !(c->frag = realloc(c->frag, c->frag_cap))) {
                die("message too long");
            }
        }
        memcpy(c->frag + c->frag_len, p, n);
        c->frag_len += (u32) n;
        if (fin) {
            u8 fop = c->frag_op;
            u32 fl = c->frag_len;
            c->frag_op = 0;
            c->frag_len = 0;
            if ((c->frag_z ? message_inflate : message)(
                    w, c, fop, c->frag, fl, now)
                < 0)
            {
                return -1;
            }
        }
    }
    return (ssize_t) at;
}


static int
send_upgrade(worker_t *w, conn_t *c)
{
    const char *path = npaths ? paths[c->idx % npaths] : o.path;
    char *d = w->scratch;
    int n;
    const char *q = o.mode == MODE_RAW  ? ""
                    : strchr(path, '?') ? "&EIO=4&transport=websocket"
                                        : "?EIO=4&transport=websocket";
    n = snprintf(d, 1 << 16,
                 "GET %s%s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Key: " WS_KEY "\r\n"
                 "Sec-WebSocket-Version: 13\r\n%s%s%s\r\n",
                 path, q, o.host, o.ports[c->idx % (u32) o.nports],
                 o.deflate ? "Sec-WebSocket-Extensions: permessage-deflate; "
                             "client_max_window_bits\r\n"
                           : "",
                 o.header ? o.header : "", o.header ? "\r\n" : "");
    return conn_write(w, c, d, (size_t) n);
}


static ssize_t
http_upgrade_input(worker_t *w, conn_t *c, char *buf, size_t len)
{
    char *e = memmem(buf, len, "\r\n\r\n", 4);
    if (!e) {
        return len > 16384 ? (conn_fail(w, c, E_HTTP, buf, 200), -1) : 0;
    }
    size_t n = (size_t) (e - buf) + 4;
    if (n < 12 || memcmp(buf, "HTTP/1.1 101", 12)
        || !memmem(buf, n, WS_ACCEPT, 28)
        || (o.deflate && !memmem(buf, n, "permessage-deflate", 18)))
    {
        conn_fail(w, c, E_HTTP, buf, n);
        return -1;
    }
    c->state = ST_OPEN;
    if (o.mode == MODE_RAW) {
        conn_is_up(w, c);
    }
    return (ssize_t) n;
}


/* ---------------------------------------------------------- long polling */

static int
poll_request(worker_t *w, conn_t *c, const char *body, size_t bl)
{
    char *d = w->scratch;
    const char *path = npaths ? paths[c->idx % npaths] : o.path;
    int n = snprintf(
        d, 1 << 16,
        "%s %s?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: %s:%d\r\n%s%s",
        body ? "POST" : "GET", path, c->sid ? "&sid=" : "",
        c->sid ? c->sid : "", o.host, o.ports[c->idx % (u32) o.nports],
        o.header ? o.header : "", o.header ? "\r\n" : "");
    if (body) {
        n += snprintf(d + n, (1 << 16) - (size_t) n,
                      "Content-Type: text/plain;charset=UTF-8\r\n"
                      "Content-Length: %zu\r\n\r\n%.*s",
                      bl, (int) bl, body);
    } else {
        n += snprintf(d + n, 64, "\r\n");
    }
    c->po = body ? PO_POST : PO_GET;
    return conn_write(w, c, d, (size_t) n);
}


static int
poll_next(worker_t *w, conn_t *c)
{
    char tmp[49152];
    if (c->auth_due) {
        c->auth_due = 0;
        return poll_request(w, c, tmp, connect_packet(c, tmp, sizeof(tmp)));
    }
    if (c->pong_due) {
        c->pong_due = 0;
        return poll_request(w, c, "3", 1);
    }
    return poll_request(w, c, NULL, 0);
}


static int
header_value(const char *b, const char *e, const char *name, const char **v)
{
    size_t l = strlen(name);
    for (const char *p = b; p < e;) {
        const char *nl = memchr(p, '\n', (size_t) (e - p));
        if (!nl) {
            nl = e;
        }
        if ((size_t) (nl - p) > l && !strncasecmp(p, name, l) && p[l] == ':') {
            p += l + 1;
            while (p < nl && *p == ' ') {
                p++;
            }
            *v = p;
            return (int) (nl - p);
        }
        p = nl + 1;
    }
    return -1;
}


static ssize_t
poll_input(worker_t *w, conn_t *c, char *buf, size_t len, u64 now)
{
    char *e = memmem(buf, len, "\r\n\r\n", 4);
    const char *v;
    if (!e) {
        return 0;
    }
    char *body = e + 4, *end;
    size_t bl = 0, total;
    if (header_value(buf, e + 2, "Content-Length", &v) > 0) {
        bl = strtoul(v, NULL, 10);
        if ((size_t) (buf + len - body) < bl) {
            return 0;
        }
        total = (size_t) (body - buf) + bl;
    } else if (header_value(buf, e + 2, "Transfer-Encoding", &v) > 0) {
        char *p = body, *d = body; /* look for the whole body first */
        for (;;) {
            char *nl = memmem(p, (size_t) (buf + len - p), "\r\n", 2);
            if (!nl) {
                return 0;
            }
            size_t k = strtoul(p, NULL, 16);
            if ((size_t) (buf + len - (nl + 2)) < k + 2) {
                return 0;
            }
            p = nl + 2 + k + 2;
            if (!k) {
                break;
            }
        }
        total = (size_t) (p - buf);
        for (p = body;;) {
            size_t k = strtoul(p, NULL, 16);
            char *nl = memmem(p, (size_t) (buf + len - p), "\r\n", 2);
            if (!k) {
                break;
            }
            memmove(d, nl + 2, k);
            d += k;
            p = nl + 2 + k + 2;
        }
        bl = (size_t) (d - body);
    } else {
        total = (size_t) (body - buf);
    }
    if (memcmp(buf, "HTTP/1.1 200", 12)) {
        conn_fail(w, c, c->state == ST_UP ? E_CLOSED : E_HTTP, buf, total);
        return -1;
    }
    if (c->po == PO_GET) {
        for (end = body + bl; body < end;) {
            char *s = memchr(body, 0x1e, (size_t) (end - body));
            if (!s) {
                s = end;
            }
            if (sio_packet(w, c, body, (size_t) (s - body), now) < 0) {
                return -1;
            }
            body = s + 1;
        }
    }
    if (poll_next(w, c) < 0) {
        conn_fail(w, c, E_CLOSED, NULL, 0);
        return -1;
    }
    return (ssize_t) total;
}


/* --------------------------------------------------------- worker thread */

static void
conn_start(worker_t *w, conn_t *c)
{
    int one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET};
    c->t0 = mono();
    w->inflight++;
    c->state = ST_CONNECTING;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        conn_fail(w, c, E_SOCKET, strerror(errno), strlen(strerror(errno)));
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (c->slow && o.rcvbuf) {
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &o.rcvbuf, sizeof(o.rcvbuf));
    }
    if (o.srcs > 0) {
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
                   sizeof(one));
        a.sin_addr.s_addr = htonl(0x7f000002u + c->idx % (u32) o.srcs);
        if (bind(c->fd, (void *) &a, sizeof(a)) < 0) {
            conn_fail(w, c, E_SOCKET, "bind", 4);
            return;
        }
    }
    a.sin_port = htons((uint16_t) o.ports[c->idx % (u32) o.nports]);
    inet_pton(AF_INET, o.host, &a.sin_addr);
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = c};
    if (connect(c->fd, (void *) &a, sizeof(a)) < 0 && errno != EINPROGRESS) {
        conn_fail(w, c, E_CONNECT, strerror(errno), strlen(strerror(errno)));
        return;
    }
    if (epoll_ctl(w->ep, EPOLL_CTL_ADD, c->fd, &e) < 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}


static void
conn_readable(worker_t *w, conn_t *c)
{
    size_t have = c->rest_len;
    if (have) {
        if (have + 65536 > w->cap) {
            w->cap = have * 2 + 65536;
            if (!(w->buf = realloc(w->buf, w->cap))) {
                die("out of memory");
            }
        }
        memcpy(w->buf, c->rest, have);
    }
    ssize_t r = conn_recv(c, w->buf + have, w->cap - have);
    if (r < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (r <= 0) {
        conn_fail(w, c, c->state == ST_UP ? E_CLOSED : E_EARLY,
                  r ? strerror(errno) : "eof", r ? strlen(strerror(errno)) : 3);
        return;
    }
    u64 now = evclock();
    ADD(w->recvs, 1);
    ADD(w->bytes, (u64) r);
    size_t len = have + (size_t) r, at = 0;
    while (at < len) {
        ssize_t k;
        u8 was = c->state;
        if (c->polling) {
            k = poll_input(w, c, w->buf + at, len - at, now);
        } else if (was == ST_HTTP) {
            k = http_upgrade_input(w, c, w->buf + at, len - at);
        } else {
            k = ws_input(w, c, w->buf + at, len - at, now);
        }
        if (k < 0) {
            return;
        }
        at += (size_t) k;
        if (k == 0 || (was == c->state && !c->polling)) {
            break;
        }
    }
    len -= at;
    if (!len) {
        if (c->rest) {
            free(c->rest);
            c->rest = NULL;
            c->rest_cap = 0;
        }
    } else {
        if (len > c->rest_cap) {
            c->rest_cap = (u32) len + 512;
            if (!(c->rest = realloc(c->rest, c->rest_cap))) {
                die("out of memory");
            }
        }
        memcpy(c->rest, w->buf + at, len);
    }
    c->rest_len = (u32) len;
}


/* The connection stands: the first request. */
static void
conn_request(worker_t *w, conn_t *c)
{
    int r;
    conn_events(w, c, EPOLLIN);
    if (c->polling) {
        c->state = ST_OPEN;
        r = poll_request(w, c, NULL, 0);
    } else {
        c->state = ST_HTTP;
        r = send_upgrade(w, c);
    }
    if (r < 0) {
        conn_fail(w, c, E_EARLY, "write", 5);
    }
}


static void
conn_handshake(worker_t *w, conn_t *c)
{
    char text[256];
    int r = SSL_connect(c->ssl);
    if (r == 1) {
        conn_request(w, c);
        return;
    }
    switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        conn_events(w, c, EPOLLIN);
        return;
    case SSL_ERROR_WANT_WRITE:
        conn_events(w, c, EPOLLOUT);
        return;
    default:
        ERR_error_string_n(ERR_get_error(), text, sizeof(text));
        ERR_clear_error();
        conn_fail(w, c, E_TLS, text, strlen(text));
    }
}


static void
conn_connected(worker_t *w, conn_t *c)
{
    int err = 0;
    socklen_t l = sizeof(err);
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
    if (err) {
        conn_fail(w, c, E_CONNECT, strerror(err), strlen(strerror(err)));
        return;
    }
    if (!tls_ctx) {
        conn_request(w, c);
        return;
    }
    c->ssl = SSL_new(tls_ctx);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd)) {
        die("out of memory");
    }
    c->state = ST_TLS;
    conn_handshake(w, c);
}


static void *
worker_main(void *arg)
{
    worker_t *w = arg;
    struct epoll_event ev[512];
    w->rate_t0 = mono();
    while (!g_stop) {
        int tmo = 100;
        while (w->next < w->n && w->inflight < o.conc) {
            if (o.rate > 0) {
                double due =
                    (double) (mono() - w->rate_t0) / 1e9 * o.rate / o.threads;
                if ((double) w->next >= due) {
                    tmo = 1;
                    break;
                }
            }
            conn_start(w, &w->c[w->next++]);
        }
        int n = epoll_wait(w->ep, ev, 512, tmo);
        for (int i = 0; i < n; i++) {
            conn_t *c = ev[i].data.ptr;
            if (c->state == ST_DEAD) {
                continue;
            }
            if (c->state == ST_CONNECTING) {
                conn_connected(w, c);
                continue;
            }
            if (c->state == ST_TLS) {
                conn_handshake(w, c);
                continue;
            }
            if (ev[i].events & EPOLLOUT) {
                if (conn_flush(w, c) < 0) {
                    conn_fail(w, c, E_CLOSED, NULL, 0);
                    continue;
                }
            }
            if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                conn_readable(w, c);
            }
        }
    }
    return NULL;
}


/* ------------------------------------------------- sampling of processes */

typedef struct {
    u64 t, utime, stime, cpu_ns, pss, rss, kernel_tcp_pages;
    int procs, threads;
    u64 aux_u, aux_s, sys_busy, sys_steal;
} sample_t;

static int roots[64], nroots, aroots[64], naroots, children = 1;
static long hz;

static int
read_small(const char *path, char *b, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = read(fd, b, cap - 1);
    close(fd);
    if (n < 0) {
        return -1;
    }
    b[n] = 0;
    return (int) n;
}


static int
pid_stat(int pid, int *ppid, u64 *ut, u64 *st, int *thr)
{
    char p[64], b[1024];
    snprintf(p, sizeof(p), "/proc/%d/stat", pid);
    if (read_small(p, b, sizeof(b)) < 0) {
        return -1;
    }
    char *q = strrchr(b, ')');
    if (!q) {
        return -1;
    }
    unsigned long long u, s;
    long th;
    if (sscanf(
            q + 2,
            "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d "
            "%*d %ld",
            ppid, &u, &s, &th)
        != 4)
    {
        return -1;
    }
    *ut = u;
    *st = s;
    *thr = (int) th;
    return 0;
}


static int
expand(const int *r, int nr, int *out, int cap)
{
    int n = 0;
    for (int i = 0; i < nr && n < cap; i++) {
        out[n++] = r[i];
    }
    if (!children || !nr) {
        return n;
    }
    static int pid[32768], ppid[32768];
    int np = 0, th;
    u64 a, b;
    DIR *d = opendir("/proc");
    struct dirent *e;
    while (d && (e = readdir(d)) && np < 32768) {
        if (!isdigit((u8) e->d_name[0])) {
            continue;
        }
        pid[np] = atoi(e->d_name);
        if (!pid_stat(pid[np], &ppid[np], &a, &b, &th)) {
            np++;
        }
    }
    if (d) {
        closedir(d);
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < np; k++) {
            if (ppid[k] == out[i]) {
                int dup = 0;
                for (int j = 0; j < n; j++) {
                    dup |= out[j] == pid[k];
                }
                if (!dup && n < cap) {
                    out[n++] = pid[k];
                }
            }
        }
    }
    return n;
}


static u64
task_ns(int pid)
{
    char p[512], b[128];
    u64 sum = 0;
    snprintf(p, sizeof(p), "/proc/%d/task", pid);
    DIR *d = opendir(p);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        if (!isdigit((u8) e->d_name[0])) {
            continue;
        }
        snprintf(p, sizeof(p), "/proc/%d/task/%s/schedstat", pid, e->d_name);
        if (read_small(p, b, sizeof(b)) > 0) {
            sum += strtoull(b, NULL, 10);
        }
    }
    if (d) {
        closedir(d);
    }
    return sum;
}


static u64
rollup(const char *b, const char *key)
{
    const char *q = strstr(b, key);
    return q ? strtoull(q + strlen(key), NULL, 10) * 1024 : 0;
}


static void
take_sample(sample_t *s, int mem)
{
    int pids[512], n, pp, th;
    u64 u, st;
    char p[64], b[4096];
    memset(s, 0, sizeof(*s));
    s->t = mono();
    n = expand(roots, nroots, pids, 512);
    for (int i = 0; i < n; i++) {
        if (pid_stat(pids[i], &pp, &u, &st, &th)) {
            continue;
        }
        s->procs++;
        s->threads += th;
        s->utime += u;
        s->stime += st;
        s->cpu_ns += task_ns(pids[i]);
        if (!mem) {
            continue;
        }
        snprintf(p, sizeof(p), "/proc/%d/smaps_rollup", pids[i]);
        if (read_small(p, b, sizeof(b)) > 0) {
            s->pss += rollup(b, "\nPss:");
            s->rss += rollup(b, "\nRss:");
        }
    }
    n = expand(aroots, naroots, pids, 512);
    for (int i = 0; i < n; i++) {
        if (!pid_stat(pids[i], &pp, &u, &st, &th)) {
            s->aux_u += u;
            s->aux_s += st;
        }
    }
    if (read_small("/proc/stat", b, sizeof(b)) > 0) {
        unsigned long long v[8] = {0};
        sscanf(b, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1,
               v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
        s->sys_busy = v[0] + v[1] + v[2] + v[5] + v[6];
        s->sys_steal = v[7];
    }
    if (read_small("/proc/net/sockstat", b, sizeof(b)) > 0) {
        char *q = strstr(b, "TCP: ");
        if (q && (q = strstr(q, " mem "))) {
            s->kernel_tcp_pages = strtoull(q + 5, NULL, 10);
        }
    }
}


static double
us(u64 ticks, double n)
{
    return n > 0 ? (double) ticks * 1e6 / (double) hz / n : 0;
}


static void
print_cpu(const sample_t *a, const sample_t *b, double per, const char *unit)
{
    printf("\"cpu_user_s\":%.2f,\"cpu_sys_s\":%.2f,\"cpu_total_s\":%.4f,",
           (double) (b->utime - a->utime) / (double) hz,
           (double) (b->stime - a->stime) / (double) hz,
           (double) (b->cpu_ns - a->cpu_ns) / 1e9);
    printf(
        "\"cpu_user_us_per_%s\":%.4f,\"cpu_sys_us_per_%s\":%.4f,"
        "\"cpu_us_per_%s\":%.4f,",
        unit, us(b->utime - a->utime, per), unit, us(b->stime - a->stime, per),
        unit, per > 0 ? (double) (b->cpu_ns - a->cpu_ns) / 1e3 / per : 0);
    if (naroots) {
        printf("\"aux_user_s\":%.2f,\"aux_sys_s\":%.2f,",
               (double) (b->aux_u - a->aux_u) / (double) hz,
               (double) (b->aux_s - a->aux_s) / (double) hz);
    }
    printf("\"machine_busy_s\":%.2f,\"steal_s\":%.2f,",
           (double) (b->sys_busy - a->sys_busy) / (double) hz,
           (double) (b->sys_steal - a->sys_steal) / (double) hz);
}


static void
print_mem(const char *name, const sample_t *s)
{
    printf(
        "\"%s\":{\"pss\":%llu,\"rss\":%llu,\"procs\":%d,\"threads\":%d,"
        "\"tcp_mem_pages\":%llu}",
        name, (unsigned long long) s->pss, (unsigned long long) s->rss,
        s->procs, s->threads, (unsigned long long) s->kernel_tcp_pages);
}


static void
json_str(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        u8 ch = (u8) *s;
        if (ch == '"' || ch == '\\') {
            putchar('\\');
            putchar(ch);
        } else if (ch < 32 || ch > 126) {
            printf("\\u%04x", ch);
        } else {
            putchar(ch);
        }
    }
    putchar('"');
}


/* ------------------------------------------------------------------ main */

static char **
read_lines(const char *file, u32 *count)
{
    FILE *f = fopen(file, "r");
    char *line = NULL, **v = NULL;
    size_t cap = 0;
    u32 n = 0, vc = 0;
    ssize_t l;
    if (!f) {
        die("%s: %s", file, strerror(errno));
    }
    while ((l = getline(&line, &cap, f)) >= 0) {
        while (l && (line[l - 1] == '\n' || line[l - 1] == '\r')) {
            line[--l] = 0;
        }
        if (!l) {
            continue;
        }
        if (n == vc
            && !(v = realloc(v, (vc = vc ? vc * 2 : 1024) * sizeof(*v)))) {
            die("out of memory");
        }
        v[n++] = strdup(line);
    }
    fclose(f);
    free(line);
    if (!n) {
        die("%s: no lines", file);
    }
    *count = n;
    return v;
}


static int
read_list(const char *s, int *v, int cap)
{
    int n = 0;
    while (*s && n < cap) {
        char *e;
        long x = strtol(s, &e, 10);
        if (e == s) {
            break;
        }
        v[n++] = (int) x;
        s = *e ? e + 1 : e;
    }
    return n;
}


static int
read_pidfile(const char *f)
{
    char b[64];
    if (read_small(f, b, sizeof(b)) <= 0) {
        die("%s: cannot read a pid", f);
    }
    return atoi(b);
}


#define SUM(f)                                 \
    ({                                         \
        u64 s_ = 0;                            \
        for (int i_ = 0; i_ < o.threads; i_++) \
            s_ += LOAD(W[i_].f);               \
        s_;                                    \
    })

static void
nap(double s)
{
    struct timespec ts = {(time_t) s, (long) ((s - (double) (time_t) s) * 1e9)};
    nanosleep(&ts, NULL);
}


/*
 * Slow connections stop reading, or go on.  The flag is for conn_events(), by
 * which another thread may be about to set the events of the same connection.
 */
static void
stall(int on)
{
    for (int i = 0; i < o.threads; i++) {
        for (u32 k = 0; k < W[i].n; k++) {
            conn_t *c = &W[i].c[k];
            if (c->slow && c->state == ST_UP) {
                c->stalled = (u8) on;
                conn_events(&W[i], c, EPOLLIN);
            }
        }
    }
}


static const char help_text[] =
"usage: sioload --port P[,P..] --conns N [options]\n"
"\n"
"target\n"
"  --host A              IPv4 address                        (127.0.0.1)\n"
"  --port P[,P..]        ports, used round robin\n"
"  --mode sio|raw|polling  Socket.IO over WebSocket; plain WebSocket;\n"
"                        Socket.IO over HTTP long polling    (sio)\n"
"  --polling N           with sio: the first N connections poll\n"
"  --path P              request path                        (/socket.io/)\n"
"  --paths FILE          one path per line, used round robin\n"
"  --header 'K: V'       one extra request header\n"
"  --tls                 TLS; no certificate is checked\n"
"  --deflate             offers permessage-deflate, and must get it\n"
"  --nsp /name           Socket.IO namespace                 (main)\n"
"  --tokens FILE         one token per line, used round robin (bare `40`)\n"
"  --auth TEMPLATE       CONNECT payload, %s is the token\n"
"                        ({\"token\":\"%s\"})\n"
"  --ready NAME          a connection is up at this event, not at `40`\n"
"  --event NAME          count only events of this name\n"
"\n"
"load\n"
"  --conns N             connections                         (100)\n"
"  --conc C              handshakes in flight, per thread    (200)\n"
"  --rate R              at most R new connections a second  (no limit)\n"
"  --threads T           client threads                      (1)\n"
"  --srcs K              source addresses 127.0.0.2 and on (by need)\n"
"  --stall N             the last N connections stop reading when the receive\n"
"                        phase begins, and are counted apart from then on\n"
"  --stall-time S        they go on after this               (10)\n"
"  --rcvbuf B            their receive buffers               (the system's)\n"
"  --close rst|fin       how connections end                 (rst)\n"
"\n"
"phases: start, connect, [settle], hold, receive, end\n"
"  --connect-timeout S   (60)\n"
"  --settle S            pause after connecting              (0.5)\n"
"  --hold S              idle time, its CPU and memory are reported (0)\n"
"  --publish CMD         receive phase: sh -c runs this as its publisher\n"
"  --expect E            receive phase: ends when E events have come\n"
"  --recv-timeout S      (60)\n"
"  --quiet S             ends so long after the publisher has ended and\n"
"                        no event came                       (3)\n"
"  --tfield NAME         numeric field with the publishing time (t)\n"
"  --tunit ns|us|ms      (ns)       --tclock mono|real          (mono)\n"
"  --seqfield NAME       numeric field that must grow by one on each\n"
"                        connection\n"
"  --max-time S          gives up after this                 (600)\n"
"\n"
"sampling of the server\n"
"  --pids A[,B..]        server processes, with their descendants\n"
"  --pidfile F           the same from a file; may be repeated\n"
"  --aux-pids A[,B..]    other processes, CPU reported apart (redis ..)\n"
"  --no-children         leave the descendants out\n"
"\n"
"Exit status: 0 if all connections came up and --expect was met, else 2.\n";


int
main(int argc, char **argv)
{
    enum {
        OPT_HOST = 256,
        OPT_PORT,
        OPT_MODE,
        OPT_POLL,
        OPT_PATH,
        OPT_PATHS,
        OPT_HEADER,
        OPT_TLS,
        OPT_DEFLATE,
        OPT_STALL,
        OPT_STALL_TIME,
        OPT_RCVBUF,
        OPT_NSP,
        OPT_TOKENS,
        OPT_AUTH,
        OPT_READY,
        OPT_EVENT,
        OPT_CONNS,
        OPT_CONC,
        OPT_RATE,
        OPT_THREADS,
        OPT_SRCS,
        OPT_CLOSE,
        OPT_CT,
        OPT_SETTLE,
        OPT_HOLD,
        OPT_PUBLISH,
        OPT_EXPECT,
        OPT_RT,
        OPT_QUIET,
        OPT_TFIELD,
        OPT_TUNIT,
        OPT_TCLOCK,
        OPT_SEQ,
        OPT_MAX,
        OPT_PIDS,
        OPT_PIDFILE,
        OPT_AUX,
        OPT_NOCH,
        OPT_HELP
    };
    static const struct option lo[] = {
        {"host", 1, 0, OPT_HOST},          {"port", 1, 0, OPT_PORT},
        {"mode", 1, 0, OPT_MODE},          {"polling", 1, 0, OPT_POLL},
        {"path", 1, 0, OPT_PATH},          {"paths", 1, 0, OPT_PATHS},
        {"header", 1, 0, OPT_HEADER},      {"nsp", 1, 0, OPT_NSP},
        {"tokens", 1, 0, OPT_TOKENS},      {"auth", 1, 0, OPT_AUTH},
        {"ready", 1, 0, OPT_READY},        {"event", 1, 0, OPT_EVENT},
        {"conns", 1, 0, OPT_CONNS},        {"conc", 1, 0, OPT_CONC},
        {"rate", 1, 0, OPT_RATE},          {"threads", 1, 0, OPT_THREADS},
        {"srcs", 1, 0, OPT_SRCS},          {"close", 1, 0, OPT_CLOSE},
        {"connect-timeout", 1, 0, OPT_CT}, {"settle", 1, 0, OPT_SETTLE},
        {"hold", 1, 0, OPT_HOLD},          {"publish", 1, 0, OPT_PUBLISH},
        {"expect", 1, 0, OPT_EXPECT},      {"recv-timeout", 1, 0, OPT_RT},
        {"quiet", 1, 0, OPT_QUIET},        {"tfield", 1, 0, OPT_TFIELD},
        {"tunit", 1, 0, OPT_TUNIT},        {"tclock", 1, 0, OPT_TCLOCK},
        {"seqfield", 1, 0, OPT_SEQ},       {"max-time", 1, 0, OPT_MAX},
        {"tls", 0, 0, OPT_TLS},            {"deflate", 0, 0, OPT_DEFLATE},
        {"stall", 1, 0, OPT_STALL},        {"stall-time", 1, 0, OPT_STALL_TIME},
        {"rcvbuf", 1, 0, OPT_RCVBUF},
        {"pids", 1, 0, OPT_PIDS},          {"pidfile", 1, 0, OPT_PIDFILE},
        {"aux-pids", 1, 0, OPT_AUX},       {"no-children", 0, 0, OPT_NOCH},
        {"help", 0, 0, OPT_HELP},          {0, 0, 0, 0}};
    int k;
    while ((k = getopt_long(argc, argv, "", lo, NULL)) != -1) {
        switch (k) {
        case OPT_HOST:
            o.host = optarg;
            break;
        case OPT_PORT:
            o.nports = read_list(optarg, o.ports, 64);
            break;
        case OPT_MODE:
            o.mode = !strcmp(optarg, "sio")       ? MODE_SIO
                     : !strcmp(optarg, "raw")     ? MODE_RAW
                     : !strcmp(optarg, "polling") ? MODE_POLLING
                                                  : -1;
            if (o.mode < 0) {
                die("unknown mode %s", optarg);
            }
            break;
        case OPT_POLL:
            o.polling = (u32) atol(optarg);
            break;
        case OPT_PATH:
            o.path = optarg;
            break;
        case OPT_PATHS:
            paths = read_lines(optarg, &npaths);
            break;
        case OPT_HEADER:
            o.header = optarg;
            break;
        case OPT_TLS:
            o.tls = 1;
            break;
        case OPT_DEFLATE:
            o.deflate = 1;
            break;
        case OPT_STALL:
            o.stall = (u32) atol(optarg);
            break;
        case OPT_STALL_TIME:
            o.stall_time = atof(optarg);
            break;
        case OPT_RCVBUF:
            o.rcvbuf = atoi(optarg);
            break;
        case OPT_NSP:
            o.nsp = optarg;
            break;
        case OPT_TOKENS:
            tokens = read_lines(optarg, &ntokens);
            break;
        case OPT_AUTH:
            o.auth = optarg;
            break;
        case OPT_READY:
            o.ready = optarg;
            break;
        case OPT_EVENT:
            o.event = optarg;
            break;
        case OPT_CONNS:
            o.conns = (u32) atol(optarg);
            break;
        case OPT_CONC:
            o.conc = (u32) atol(optarg);
            break;
        case OPT_RATE:
            o.rate = atof(optarg);
            break;
        case OPT_THREADS:
            o.threads = atoi(optarg);
            break;
        case OPT_SRCS:
            o.srcs = atoi(optarg);
            break;
        case OPT_CLOSE:
            o.fin_close = !strcmp(optarg, "fin");
            break;
        case OPT_CT:
            o.connect_timeout = atof(optarg);
            break;
        case OPT_SETTLE:
            o.settle = atof(optarg);
            break;
        case OPT_HOLD:
            o.hold = atof(optarg);
            break;
        case OPT_PUBLISH:
            o.publish = optarg;
            o.do_recv = 1;
            break;
        case OPT_EXPECT:
            o.expect = strtoull(optarg, NULL, 10);
            o.do_recv = 1;
            break;
        case OPT_RT:
            o.recv_timeout = atof(optarg);
            break;
        case OPT_QUIET:
            o.quiet = atof(optarg);
            break;
        case OPT_TFIELD:
            o.tfield = optarg;
            break;
        case OPT_TUNIT:
            o.tscale = !strcmp(optarg, "ms")   ? 1e6
                       : !strcmp(optarg, "us") ? 1e3
                                               : 1;
            break;
        case OPT_TCLOCK:
            o.tclock = !strcmp(optarg, "real") ? CLK_REAL : CLK_MONO;
            break;
        case OPT_SEQ:
            o.seqfield = optarg;
            break;
        case OPT_MAX:
            o.max_time = atof(optarg);
            break;
        case OPT_PIDS:
            nroots += read_list(optarg, roots + nroots, 64 - nroots);
            break;
        case OPT_PIDFILE:
            if (nroots < 64) {
                roots[nroots++] = read_pidfile(optarg);
            }
            break;
        case OPT_AUX:
            naroots += read_list(optarg, aroots + naroots, 64 - naroots);
            break;
        case OPT_NOCH:
            children = 0;
            break;
        case OPT_HELP:
            puts(help_text);
            return 0;
        default:
            puts(help_text);
            return 1;
        }
    }
    if (!o.nports || !o.conns || o.threads < 1 || o.stall > o.conns
        || optind != argc)
    {
        puts(help_text);
        return 1;
    }
    if (o.mode == MODE_POLLING) {
        o.polling = o.conns;
    }
    /* an address has 28,000 ports; past one half connect(2) searches long */
    if (!o.srcs && o.conns > 10000u * (u32) o.nports) {
        o.srcs = (int) (o.conns / (10000u * (u32) o.nports)) + 1;
    }
    if (o.tls) {
        tls_ctx = SSL_CTX_new(TLS_client_method());
        if (!tls_ctx) {
            die("SSL_CTX_new");
        }
        SSL_CTX_set_mode(tls_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE
                                      | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                      | SSL_MODE_RELEASE_BUFFERS);
    }
    hz = sysconf(_SC_CLK_TCK);
    tneedle_len =
        (size_t) snprintf(tneedle, sizeof(tneedle), "\"%s\":", o.tfield);
    if (o.seqfield) {
        sneedle_len =
            (size_t) snprintf(sneedle, sizeof(sneedle), "\"%s\":", o.seqfield);
    }
    signal(SIGPIPE, SIG_IGN);

    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rlim_t need = o.conns + 1024;
    if (rl.rlim_cur < need) {
        rl.rlim_cur = need;
        if (rl.rlim_max < need) {
            rl.rlim_max = need;
        }
        if (setrlimit(RLIMIT_NOFILE, &rl)) {
            die("cannot raise the open files limit to %lu",
                (unsigned long) need);
        }
    }

    conn_t *c = xalloc(o.conns * sizeof(*c));
    for (u32 i = 0; i < o.conns; i++) {
        c[i].idx = i;
        c[i].fd = -1;
        c[i].polling = i < o.polling;
        c[i].slow = i >= o.conns - o.stall;
    }
    W = xalloc((size_t) o.threads * sizeof(*W));

    u64 started = mono();
    double deadline = (double) started / 1e9 + o.max_time;
#define LATE() ((double) mono() / 1e9 > deadline)
    sample_t s_start, s_conn, s_idle0, s_idle, s_recv0, s_recv;
    take_sample(&s_start, 1);

    /* connect */
    u64 t0 = mono(), t_conn = 0;
    u32 at = 0;
    for (int i = 0; i < o.threads; i++) {
        worker_t *w = &W[i];
        w->id = i;
        w->n =
            o.conns / (u32) o.threads + ((u32) i < o.conns % (u32) o.threads);
        w->c = c + at;
        at += w->n;
        w->rng = 0x9e3779b97f4a7c15ull * (u64) (i + 1) ^ t0;
        w->cap = 1 << 18;
        w->buf = xalloc(w->cap);
        w->scratch = xalloc(1 << 16);
        w->ep = epoll_create1(EPOLL_CLOEXEC);
        if (pthread_create(&w->th, NULL, worker_main, w)) {
            die("pthread_create");
        }
    }
    while (SUM(up) + SUM(failed) < o.conns
           && (double) (mono() - t0) / 1e9 < o.connect_timeout && !LATE())
    {
        nap(0.002);
    }
    t_conn = mono();
    if (o.settle > 0) {
        nap(o.settle);
    }
    take_sample(&s_conn, 1);
    u64 up = SUM(up);

    /* hold */
    u64 ping0 = SUM(pings) + SUM(wspings);
    s_idle0 = s_conn;
    s_idle = s_conn;
    if (o.hold > 0 && up) {
        take_sample(&s_idle0, 0);
        nap(o.hold);
        take_sample(&s_idle, 1);
    }
    u64 pings = SUM(pings) + SUM(wspings) - ping0;

    /* receive */
    u64 ev0 = SUM(events), ev = ev0, rc0 = SUM(recvs), by0 = SUM(bytes),
        rp0 = SUM(pings) + SUM(wspings);
    const char *stopped = "none";
    int pub_status = 0;
    double r_secs = 0;
    if (o.do_recv && up) {
        pid_t pub = -1;
        int stalled = o.stall > 0;
        if (stalled) {
            stall(1);
        }
        g_recv = 1;
        take_sample(&s_recv0, 0);
        u64 r0 = mono(), last = r0, last_ev = ev0;
        if (o.publish) {
            fflush(stdout);
            pub = fork();
            if (pub == 0) {
                dup2(2, 1);
                execl("/bin/sh", "sh", "-c", o.publish, (char *) NULL);
                _exit(127);
            }
        }
        for (;;) {
            nap(0.002);
            ev = SUM(events);
            u64 t = mono();
            if (stalled && (double) (t - r0) / 1e9 > o.stall_time) {
                stalled = 0;
                stall(0);
            }
            if (pub > 0) {
                int st;
                if (waitpid(pub, &st, WNOHANG) == pub) {
                    pub = -1;
                    pub_status = WIFEXITED(st) ? WEXITSTATUS(st) : 128;
                    last = t;
                }
            }
            if (ev != last_ev) {
                last_ev = ev;
                last = t;
            }
            if (o.expect && ev - ev0 >= o.expect) {
                stopped = "expected";
                break;
            }
            if ((double) (t - r0) / 1e9 > o.recv_timeout) {
                stopped = "timeout";
                break;
            }
            if (LATE()) {
                stopped = "max-time";
                break;
            }
            if (pub < 0 && (o.publish || ev != ev0)
                && (double) (t - last) / 1e9 > o.quiet) {
                stopped = "quiet";
                break;
            }
        }
        r_secs = (double) (mono() - r0) / 1e9;
        nap(0.05);
        take_sample(&s_recv, 1);
        ev = SUM(events);
        if (pub > 0) {
            for (int i = 0; i < 300 && waitpid(pub, NULL, WNOHANG) == 0; i++) {
                nap(0.01);
            }
            if (waitpid(pub, NULL, WNOHANG) == 0) {
                kill(pub, SIGTERM);
                waitpid(pub, NULL, 0);
            }
        }
    }
    u64 up_end = up - SUM(closes);
    g_stop = 1;
    hist_t *lat = xalloc(sizeof(*lat)), *hs = xalloc(sizeof(*hs));
    u64 first = 0, lastev = 0;
    for (int i = 0; i < o.threads; i++) {
        pthread_join(W[i].th, NULL);
        hmerge(lat, &W[i].lat);
        hmerge(hs, &W[i].hs);
        if (W[i].first_ns && (!first || W[i].first_ns < first)) {
            first = W[i].first_ns;
        }
        if (W[i].last_ns > lastev) {
            lastev = W[i].last_ns;
        }
    }
    for (u32 i = 0; i < o.conns; i++) {
        struct linger lg = {1, 0};
        if (c[i].fd < 0) {
            continue;
        }
        if (!o.fin_close) {
            setsockopt(c[i].fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
        }
        close(c[i].fd);
    }

    /* report */
    static const char *mode_name[] = {"sio", "raw", "polling"};
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    double secs = (double) (t_conn - t0) / 1e9;
    printf("{\"mode\":\"%s\",\"conns\":%u,\"polling\":%u,", mode_name[o.mode],
           o.conns, o.polling);
    print_mem("mem_start", &s_start);
    printf(
        ",\"connect\":{\"up\":%llu,\"failed\":%llu,\"seconds\":%.4f,"
        "\"per_second\":%.1f,",
        (unsigned long long) up, (unsigned long long) SUM(failed), secs,
        (double) up / (secs > 0 ? secs : 1));
    print_cpu(&s_start, &s_conn, (double) up, "conn");
    printf("\"hs_p50_us\":%.1f,\"hs_p99_us\":%.1f,\"hs_max_us\":%.1f,",
           (double) hpct(hs, .5) / 1e3, (double) hpct(hs, .99) / 1e3,
           (double) hs->max / 1e3);
    print_mem("mem", &s_conn);
    printf("}");
    if (o.hold > 0 && up) {
        double h = (double) (s_idle.t - s_idle0.t) / 1e9;
        printf(",\"idle\":{\"seconds\":%.3f,\"pings\":%llu,", h,
               (unsigned long long) pings);
        print_cpu(&s_idle0, &s_idle, (double) pings, "ping");
        printf(
            "\"cpu_percent_per_10k\":%.4f,\"pss_bytes_per_conn\":%.1f,"
            "\"rss_bytes_per_conn\":%.1f,",
            (double) (s_idle.cpu_ns - s_idle0.cpu_ns) / 1e9 / h * 100 * 10000
                / (double) up,
            ((double) s_idle.pss - (double) s_start.pss) / (double) up,
            ((double) s_idle.rss - (double) s_start.rss) / (double) up);
        print_mem("mem", &s_idle);
        printf("}");
    }
    if (o.do_recv && up) {
        u64 n = ev - ev0;
        printf(
            ",\"recv\":{\"events\":%llu,\"expected\":%llu,\"stopped\":\"%s\","
            "\"publisher_status\":%d,"
            "\"seconds\":%.3f,\"first_to_last_s\":%.4f,\"events_per_s\":%.0f,",
            (unsigned long long) n, (unsigned long long) o.expect, stopped,
            pub_status, r_secs, (double) (lastev - first) / 1e9,
            lastev > first ? (double) n / ((double) (lastev - first) / 1e9)
                           : 0);
        print_cpu(&s_recv0, &s_recv, (double) n, "event");
        printf(
            "\"lat_p50_us\":%.1f,\"lat_p90_us\":%.1f,\"lat_p99_us\":%.1f,"
            "\"lat_max_us\":%.1f,\"lat_mean_us\":%.1f,"
            "\"lat_count\":%llu,\"lat_negative\":%llu,",
            (double) hpct(lat, .5) / 1e3, (double) hpct(lat, .9) / 1e3,
            (double) hpct(lat, .99) / 1e3, (double) lat->max / 1e3,
            lat->n ? (double) lat->sum / (double) lat->n / 1e3 : 0,
            (unsigned long long) lat->n, (unsigned long long) SUM(neg));
        printf(
            "\"seq_gaps\":%llu,\"seq_backward\":%llu,\"pings\":%llu,"
            "\"recv_calls\":%llu,\"bytes\":%llu,\"deflated\":%llu,"
            "\"slow_events\":%llu,\"slow_closes\":%llu,",
            (unsigned long long) SUM(seq_gap),
            (unsigned long long) SUM(seq_back),
            (unsigned long long) (SUM(pings) + SUM(wspings) - rp0),
            (unsigned long long) (SUM(recvs) - rc0),
            (unsigned long long) (SUM(bytes) - by0),
            (unsigned long long) SUM(deflated),
            (unsigned long long) SUM(slow_events),
            (unsigned long long) SUM(slow_closes));
        print_mem("mem", &s_recv);
        printf("}");
    }
    printf(
        ",\"up_at_end\":%llu,\"other_events\":%llu,\"binary\":%llu,"
        "\"errors\":{",
        (unsigned long long) up_end, (unsigned long long) SUM(other),
        (unsigned long long) SUM(attachments));
    for (int i = 0; i < E_N; i++) {
        printf("%s\"%s\":%llu", i ? "," : "", err_name[i],
               (unsigned long long) SUM(errs[i]));
    }
    printf("},\"first_error\":");
    json_str(last_error);
    printf(",\"self_user_s\":%.2f,\"self_sys_s\":%.2f,\"total_s\":%.2f}\n",
           (double) ru.ru_utime.tv_sec + (double) ru.ru_utime.tv_usec / 1e6,
           (double) ru.ru_stime.tv_sec + (double) ru.ru_stime.tv_usec / 1e6,
           (double) (mono() - started) / 1e9);
    return up == o.conns && (!o.expect || ev - ev0 >= o.expect) ? 0 : 2;
}
