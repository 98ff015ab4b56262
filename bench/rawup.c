
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * rawup - events of clients, as bench/uplink.js needs them.
 *
 *   gcc -O2 -Wall -Wextra -o rawup rawup.c -lhiredis
 *
 *   rawup send  --port P --conns N --rate R --seconds S --auth JSON
 *       sends ready-made events over N WebSockets in turn, R a second, one
 *       send() for each; prints how many, and what came back
 *   rawup serve --port P --redis R
 *       the limit: takes the same frames in a plain loop, and gives Redis the
 *       same entries with hiredis, all of one turn in one write
 *
 *   rawup ask   --port P --conns N --rate R --seconds S --auth JSON
 *       sends events that want an answer; prints milliseconds
 *   rawup ask   --redis R --stream K --channel C --rate R --seconds S
 *       the limit: the same without a gateway, XADD by hiredis, and reads what
 *       is published there
 *   rawup consume --redis R --stream K --channel C
 *       a backend that answers all, until it is killed
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#define MAX_CONNS   4096
#define MAX_FRAME   4096
#define MAX_EVENTS  512
#define TICK        500000                    /* ns */
#define SECOND      1000000000ull
#define GROUP       "bench"

static int port, redis_port, conns = 100, seconds = 10, payload = 100;
static double rate = 1000;
static const char *auth = "", *stream = "up", *channel = "";
static int fds[MAX_CONNS];

static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };


static void
die(const char *what)
{
    perror(what);
    exit(1);
}


static uint64_t
mono(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * SECOND + (uint64_t) ts.tv_nsec;
}


static void
nodelay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}


/* ------------------------------------------------------------ clients */

static size_t
frame(uint8_t *out, const char *text, size_t len)
{
    size_t n = 0;
    out[n++] = 0x81;
    if (len < 126) {
        out[n++] = (uint8_t) (0x80 | len);
    } else {
        out[n++] = 0x80 | 126;
        out[n++] = (uint8_t) (len >> 8);
        out[n++] = (uint8_t) len;
    }
    memcpy(out + n, mask, 4);
    n += 4;
    for (size_t i = 0; i < len; i++) {
        out[n + i] = (uint8_t) text[i] ^ mask[i & 3];
    }
    return n + len;
}


/* Reads until the text has come; what follows it is not needed. */

static void
expect(int fd, const char *text)
{
    char buf[16384];
    size_t n = 0;
    while (n < sizeof(buf) - 1) {
        ssize_t got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);
        if (got <= 0) {
            die(text);
        }
        n += (size_t) got;
        if (memmem(buf, n, text, strlen(text))) {
            return;
        }
    }
    die(text);
}


static void
put(int fd, const void *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t) len) {
        die("send");
    }
}


static void
join(int i)
{
    static const char upgrade[] =
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
        "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char text[MAX_FRAME - 16];
    uint8_t out[MAX_FRAME];
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t) port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof(to)) < 0) {
        die("connect");
    }
    nodelay(fd);
    put(fd, upgrade, sizeof(upgrade) - 1);
    expect(fd, "0{");
    int len = snprintf(text, sizeof(text), "40%s", auth);
    put(fd, out, frame(out, text, (size_t) len));
    expect(fd, "40{");
    fds[i] = fd;
}


static size_t
event(uint8_t *out, uint64_t id, int asks)
{
    char text[MAX_FRAME - 16], filler[MAX_FRAME / 2];
    char number[24] = "";

    memset(filler, 'x', (size_t) payload);
    filler[payload] = 0;
    if (asks) {
        snprintf(number, sizeof(number), "%llu", (unsigned long long) id);
    }
    int len = snprintf(text, sizeof(text),
                       "42%s[\"message/create\",{\"channelId\":"
                       "\"1234567890123\",\"content\":\"%s\"}]",
                       number, filler);
    return frame(out, text, (size_t) len);
}


static uint64_t answers, refused, *sent_at, *took, *behind;

static void
answered(const char *number, uint64_t total, uint64_t now)
{
    uint64_t id = strtoull(number, NULL, 10);
    if (id < total && sent_at[id]) {
        took[answers++] = now - sent_at[id];
        sent_at[id] = 0;
    }
}


/* Takes what has come: frames of a server, each in one piece mostly. */

static void
drain(int fd, uint64_t total)
{
    char buf[65536];
    ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
    uint64_t now = mono();

    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        die("recv");
    }
    buf[n] = 0;
    for (ssize_t k = 0; k + 4 < n; k++) {
        if (memcmp(buf + k, "\"error\"", 7 < n - k ? 7 : (size_t) (n - k))
            == 0)
        {
            refused++;
            k += 6;
        } else if (total && buf[k] == '4' && buf[k + 1] == '3') {
            answered(buf + k + 2, total, now);
        }
    }
}


static void
send_all(void)
{
    static uint8_t out[MAX_FRAME];
    uint64_t total = (uint64_t) (rate * seconds), sent = 0, late = 0;
    size_t len = event(out, 0, 0);

    for (int i = 0; i < conns; i++) {
        join(i);
    }

    struct timespec pause = { 0, TICK };
    uint64_t begin = mono(), end = 0, now;
    do {
        now = mono();
        uint64_t due = (uint64_t) ((double) (now - begin) / 1e9 * rate);
        if (due > total) {
            due = total;
        }
        if (due > sent + (uint64_t) (rate / 50)) {
            late++;
        }
        for (; sent < due; sent++) {
            put(fds[sent % (uint64_t) conns], out, len);
        }
        if (sent == total && end == 0) {
            end = mono();
        }
        drain(fds[(now / TICK) % (uint64_t) conns], 0);
        nanosleep(&pause, NULL);
    } while (end == 0 || now < end + 2 * SECOND);
    for (int i = 0; i < conns; i++) {
        drain(fds[i], 0);
    }

    printf("{\"sent\":%llu,\"seconds\":%.3f,\"late\":%llu,\"refused\":%llu}\n",
           (unsigned long long) sent, (double) (end - begin) / 1e9,
           (unsigned long long) late, (unsigned long long) refused);
}


/* -------------------------------------------------------------- Redis */

static redisContext *redis;                   /* commands; not blocking */

static redisContext *
redis_open(int blocking)
{
    redisContext *rc = redisConnect("127.0.0.1", redis_port);
    if (rc == NULL || rc->err) {
        die("redis");
    }
    nodelay(rc->fd);
    if (!blocking) {
        fcntl(rc->fd, F_SETFL, O_NONBLOCK);
        rc->flags &= ~REDIS_BLOCK;
    }
    return rc;
}


static void
redis_flush(void)
{
    int done = 0;
    while (!done) {
        if (redisBufferWrite(redis, &done) != REDIS_OK) {
            die("redis");
        }
    }
}


/* What has come, one after the other; NULL: no more. */

static redisReply *
redis_next(redisContext *rc)
{
    void *reply = NULL;
    if (redisGetReplyFromReader(rc, &reply) != REDIS_OK) {
        die("redis");
    }
    return reply;
}


static void
redis_read(redisContext *rc)
{
    if (redisBufferRead(rc) != REDIS_OK) {
        die("redis");
    }
}


/* Confirmations of entries. */

static void
redis_confirmed(void)
{
    redisReply *reply;
    redis_read(redis);
    while ((reply = redis_next(redis))) {
        if (reply->type == REDIS_REPLY_ERROR) {
            die(reply->str);
        }
        freeReplyObject(reply);
    }
}


static void
entry(const char *args, size_t len, const char *ack)
{
    const char *argv[] = {
        "XADD", stream, "MAXLEN", "~", "100000", "*", "event",
        "message/create", "user", "user-00000001", "sid",
        "mLvVBk2vKDnOTk3CAAAB", "nsp", "/", "args", args, "ack", ack,
        "node", "n1", "time", "1700000000000",
    };
    size_t n = sizeof(argv) / sizeof(argv[0]), size[sizeof(argv) / 8];
    for (size_t i = 0; i < n; i++) {
        size[i] = i == 15 ? len : strlen(argv[i]);
    }
    redisAppendCommandArgv(redis, (int) n, argv, size);
}


/* ----------------------------------------------------- there and back */

static int
by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}


static double
share(const uint64_t *list, uint64_t n, double of)
{
    uint64_t i = (uint64_t) ((double) n * of);
    return n ? (double) list[i < n ? i : n - 1] / 1e6 : 0;
}


static void
watch(int ep, int fd)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
        die("epoll_ctl");
    }
}


/* An answer on its way to gateways: commands, each with "ack":<number>. */

static void
overhear(redisContext *rc, uint64_t total)
{
    redisReply *reply;
    redis_read(rc);
    uint64_t now = mono();
    while ((reply = redis_next(rc))) {
        const char *p = reply->elements == 3 ? reply->element[2]->str : NULL;
        while (p && (p = strstr(p, "\"ack\":"))) {
            p += 6;
            answered(p, total, now);
        }
        freeReplyObject(reply);
    }
}


static void
ask_one(uint64_t id)
{
    static uint8_t out[MAX_FRAME];
    char args[MAX_FRAME], number[24];

    if (port) {
        size_t len = event(out, id, 1);
        sent_at[id] = mono();
        put(fds[id % (uint64_t) conns], out, len);
        return;
    }
    snprintf(number, sizeof(number), "%llu", (unsigned long long) id);
    int len = snprintf(args, sizeof(args),
                       "[{\"channelId\":\"1234567890123\","
                       "\"content\":\"%0*d\"}]", payload, 0);
    sent_at[id] = mono();
    entry(args, (size_t) len, number);
    redis_flush();
}


/*
 * Each event goes when it is due, whatever has become of those before; where
 * the CPU was not to be had in time, that is told apart as "behind".
 */

static void
ask(void)
{
    uint64_t total = (uint64_t) (rate * seconds), sent = 0, now;
    struct epoll_event list[MAX_EVENTS];
    redisContext *sub = NULL;
    int ep = epoll_create1(0);

    prctl(PR_SET_TIMERSLACK, 1);
    sent_at = calloc(total + 1, sizeof(uint64_t));
    took = calloc(total + 1, sizeof(uint64_t));
    behind = calloc(total + 1, sizeof(uint64_t));

    if (port) {
        for (int i = 0; i < conns; i++) {
            join(i);
            watch(ep, fds[i]);
        }
    } else {
        redis = redis_open(0);
        sub = redis_open(1);
        freeReplyObject(redisCommand(sub, "SUBSCRIBE %s", channel));
        watch(ep, redis->fd);
        watch(ep, sub->fd);
    }

    uint64_t begin = mono(), end = begin + (uint64_t) seconds * SECOND;
    for ( ;; ) {
        uint64_t due = end + 2 * SECOND;
        while ((now = mono()), sent < total) {
            due = begin + (uint64_t) ((double) sent / rate * 1e9);
            if (due > now) {
                break;
            }
            behind[sent] = now - due;
            ask_one(sent++);
            due = end + 2 * SECOND;
        }
        if (answers == total || now >= end + 2 * SECOND) {
            break;
        }
        struct timespec ts = {
            (time_t) ((due - now) / SECOND), (long) ((due - now) % SECOND)
        };
        int n = epoll_pwait2(ep, list, MAX_EVENTS, &ts, NULL);
        for (int i = 0; i < n; i++) {
            int fd = list[i].data.fd;
            if (port) {
                drain(fd, total);
            } else if (fd == sub->fd) {
                overhear(sub, total);
            } else {
                redis_confirmed();
            }
        }
    }

    qsort(took, answers, sizeof(uint64_t), by_size);
    qsort(behind, sent, sizeof(uint64_t), by_size);
    printf("{\"sent\":%llu,\"answers\":%llu,\"p50\":%.3f,\"p99\":%.3f,"
           "\"p999\":%.3f,\"max\":%.3f,\"behind\":%.3f}\n",
           (unsigned long long) sent, (unsigned long long) answers,
           share(took, answers, .5), share(took, answers, .99),
           share(took, answers, .999), share(took, answers, 1),
           share(behind, sent, .99));
}


/* The value of a field of an entry. */

static redisReply *
field(redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, name) == 0) {
            return fields->element[i + 1];
        }
    }
    die(name);
    return NULL;
}


/* Queues the answers to some entries, and that these are done. */

static void
reply_to(redisContext *rc, redisReply *entries)
{
    static char text[1 << 20];
    const char *argv[MAX_EVENTS + 3] = { "XACK", stream, GROUP };
    size_t len = 0, n = entries->elements;

    for (size_t i = 0; i < n; i++) {
        redisReply *fields = entries->element[i]->element[1];
        argv[i + 3] = entries->element[i]->element[0]->str;
        len += (size_t) snprintf(
            text + len, sizeof(text) - len,
            "%c{\"op\":\"ack\",\"sid\":\"%s\",\"ack\":%s,"
            "\"args\":[\"ok\"]}", i ? ',' : '[',
            field(fields, "sid")->str, field(fields, "ack")->str);
    }
    text[len++] = ']';
    redisAppendCommand(rc, "PUBLISH %s %b", channel, text, len);
    redisAppendCommandArgv(rc, (int) n + 3, argv, NULL);
}


static void
consume(void)
{
    redisContext *rc = redis_open(1);
    redisReply *reply = NULL;

    for ( ;; ) {
        int answers_too = reply && reply->type == REDIS_REPLY_ARRAY;
        if (answers_too) {
            reply_to(rc, reply->element[0]->element[1]);
        }
        freeReplyObject(reply);
        redisAppendCommand(rc, "XREADGROUP GROUP " GROUP " one COUNT 100 "
                           "BLOCK 1000 STREAMS %s >", stream);
        for (int i = answers_too ? 0 : 2; i < 3; i++) {
            if (redisGetReply(rc, (void **) &reply) != REDIS_OK
                || reply->type == REDIS_REPLY_ERROR)
            {
                die("redis");
            }
            if (i < 2) {
                freeReplyObject(reply);
            }
        }
    }
}


/* ------------------------------------------------------------- server */

static void
answer(int fd, const char *text)
{
    uint8_t out[256];
    size_t len = strlen(text);
    out[0] = 0x81;
    out[1] = (uint8_t) len;
    memcpy(out + 2, text, len);
    put(fd, out, len + 2);
}


static struct {
    uint8_t data[MAX_FRAME];
    size_t len;
} rest[MAX_CONNS + 64];                       /* by descriptor: half a frame */

static void
take(int fd)
{
    static char args[MAX_FRAME];
    static uint8_t buf[MAX_FRAME + 65536];
    ssize_t at = 0, left = (ssize_t) rest[fd].len;
    ssize_t n = recv(fd, buf + left, 65536, 0);

    if (n <= 0) {
        close(fd);
        return;
    }
    memcpy(buf, rest[fd].data, (size_t) left);
    n += left;
    if (buf[0] == 'G') {
        static const char head[] =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\n\r\n";
        put(fd, head, sizeof(head) - 1);
        answer(fd, "0{}");
        return;
    }
    while (at + 8 <= n) {
        size_t len = buf[at + 1] & 127, head = 2;
        if (len == 126) {
            len = (size_t) buf[at + 2] << 8 | buf[at + 3];
            head = 4;
        }
        if (at + (ssize_t) (head + 4 + len) > n) {
            break;
        }
        uint8_t *key = buf + at + head, *data = key + 4;
        for (size_t i = 0; i < len; i++) {
            data[i] ^= key[i & 3];
        }
        if (data[1] == '0') {
            answer(fd, "40{}");
        } else {
            uint8_t *comma = memchr(data, ',', len);
            size_t size = len - (size_t) (comma + 1 - data);
            args[0] = '[';
            memcpy(args + 1, comma + 1, size);
            entry(args, size + 1, "");
        }
        at += (ssize_t) (head + 4 + len);
    }
    rest[fd].len = (size_t) (n - at);
    memcpy(rest[fd].data, buf + at, rest[fd].len);
}


static void
serve(void)
{
    struct epoll_event list[MAX_EVENTS];
    struct sockaddr_in on = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t) port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int one = 1, ep = epoll_create1(0);
    int ls = socket(AF_INET, SOCK_STREAM, 0);

    redis = redis_open(0);
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(ls, (struct sockaddr *) &on, sizeof(on)) < 0
        || listen(ls, 4096) < 0)
    {
        die("listen");
    }
    watch(ep, ls);
    watch(ep, redis->fd);

    for (;;) {
        int n = epoll_wait(ep, list, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = list[i].data.fd;
            if (fd == ls) {
                fd = accept(ls, NULL, NULL);
                nodelay(fd);
                watch(ep, fd);
            } else if (fd == redis->fd) {
                redis_confirmed();
            } else {
                take(fd);
            }
        }
        redis_flush();
    }
}


int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } kinds[] = {
        { "send", send_all }, { "serve", serve }, { "ask", ask },
        { "consume", consume },
    };
    static const struct option options[] = {
        { "port", required_argument, NULL, 'p' },
        { "redis", required_argument, NULL, 'r' },
        { "conns", required_argument, NULL, 'c' },
        { "rate", required_argument, NULL, 'R' },
        { "seconds", required_argument, NULL, 's' },
        { "payload", required_argument, NULL, 'k' },
        { "auth", required_argument, NULL, 'a' },
        { "stream", required_argument, NULL, 'S' },
        { "channel", required_argument, NULL, 'C' },
        { NULL, 0, NULL, 0 }
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'p': port = atoi(optarg); break;
        case 'r': redis_port = atoi(optarg); break;
        case 'c': conns = atoi(optarg); break;
        case 'R': rate = atof(optarg); break;
        case 's': seconds = atoi(optarg); break;
        case 'k': payload = atoi(optarg); break;
        case 'a': auth = optarg; break;
        case 'S': stream = optarg; break;
        case 'C': channel = optarg; break;
        default: return 2;
        }
    }
    for (size_t i = 0; optind < argc && conns <= MAX_CONNS
                       && payload < MAX_FRAME / 2
                       && i < sizeof(kinds) / sizeof(kinds[0]); i++)
    {
        if (strcmp(argv[optind], kinds[i].name) == 0) {
            kinds[i].run();
            return 0;
        }
    }
    fputs("usage: rawup send|serve|ask|consume [options]\n", stderr);
    return 2;
}
