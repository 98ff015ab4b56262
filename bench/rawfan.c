
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * rawfan - what the kernel alone costs for a WebSocket fan-out.
 *
 *   gcc -O2 -Wall -Wextra -o rawfan rawfan.c
 *
 * A bare server accepts N connections from a drain process it forks, then for
 * every one of M messages gives a ready-made frame to each connection in a
 * plain loop.  No protocol work at all: the CPU time per delivered message is
 * the floor for any server on this machine that uses sockets the same way.
 * With --batch B it gives B frames with one writev, the gain of coalescing.
 * With --room N it looks after N more connections while it does so, as a server
 * has to that sends to many: how late are those?
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_BATCH 256
#define MAX_PROCS 64

static int conns = 1000, messages = 2000, payload = 350, batch = 1, copy;
static int port;
static int pin, epoll_each, fanout, lazy, latency, spread, room, slice = 128;
static int procs = 1;
static double rate, room_rate = 200;

static const char usage[] =
"usage: rawfan [options]\n"
"  --conns N       connections (1000)\n"
"  --messages M    messages in all (2000)\n"
"  --payload K     bytes of a message (350)\n"
"  --batch B       B messages with one writev per connection (1)\n"
"  --copy          the batch lies in one buffer: send, not writev\n"
"  --fanout F      a message goes to F connections only, a moving window\n"
"  --spread        the same F each time, spread evenly\n"
"  --rate R        messages a second (0: as fast as it goes)\n"
"  --procs P       P processes share the connections: the first one has the\n"
"                  messages, and wakes the others for each by an eventfd\n"
"  --epoll-each    one epoll_wait before each message, as event loops have\n"
"  --lazy US       the drain sleeps so long between its passes: neither\n"
"                  wake-ups nor lock contention are charged to the server\n"
"  --pin           server on CPU 0, drain on CPU 1\n"
"  --latency       a message holds the time at which its fan-out began: how\n"
"                  long until the drain has it; for batches of one\n"
"  --room N        N connections more, which a drain of their own reads, get\n"
"                  messages meanwhile; latency is theirs, from when they\n"
"                  are due\n"
"  --room-rate R   so many a second (200)\n"
"  --slice K       they are thought of after each K connections (128)\n"
"  --port P        (one that is free)";


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
    return (uint64_t) ts.tv_sec * 1000000000ull + (uint64_t) ts.tv_nsec;
}


static void
pin_to(int cpu)
{
    cpu_set_t s;
    CPU_ZERO(&s);
    CPU_SET(cpu, &s);
    sched_setaffinity(0, sizeof(s), &s);
}


/* What the drain process tells. */
typedef struct {
    uint32_t n;
    uint32_t us[];
} samples_t;

static samples_t *samples;
static uint32_t max_samples;


/* Takes the time out of a message that was read alone. */
static void
sample(const char *msg)
{
    uint64_t t;
    memcpy(&t, msg, sizeof(t));
    if (samples->n < max_samples) {
        samples->us[samples->n++] = (uint32_t) ((mono() - t) / 1000);
    }
}


static int
by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return (x > y) - (x < y);
}


static double
percentile(double p)
{
    uint32_t i;
    if (!samples || !samples->n) {
        return 0;
    }
    i = (uint32_t) (p * samples->n);
    return samples->us[i < samples->n ? i : samples->n - 1] / 1e3;
}


/* A drain process: n connections, reads until all bytes have come, leaves. */
static void
drain(int n_conns, uint64_t total, size_t hl, size_t fl, int timed)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t) port)};
    struct epoll_event ev[512];
    int ep = epoll_create1(0), *fds = calloc((size_t) n_conns, sizeof(int));
    static char buf[1 << 18];
    uint64_t got = 0;
    if (pin) {
        pin_to(1);
    }
    for (int i = 0; i < n_conns; i++) {
        struct sockaddr_in src = {.sin_family = AF_INET};
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (fds[i] < 0) {
            die("socket");
        }
        /*
         * connect(2) looks through one half of the ports first, and whoever
         * comes when that is used up pays for all of it.
         */
        src.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t) i / 10000u);
        setsockopt(fds[i], IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int) {1},
                   sizeof(int));
        if (bind(fds[i], (void *) &src, sizeof(src))) {
            die("bind");
        }
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(fds[i], (void *) &a, sizeof(a))) {
            die("connect");
        }
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fds[i]};
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
    }
    while (got < total) {
        if (lazy) {
            usleep((useconds_t) lazy);
        }
        int n = epoll_wait(ep, ev, 512, 60000);
        if (n <= 0) {
            break;
        }
    more:
        for (int i = 0; i < n; i++) {
            ssize_t r = recv(ev[i].data.fd, buf, sizeof(buf), MSG_DONTWAIT);
            if (r > 0) {
                got += (uint64_t) r;
                if (timed && (size_t) r == fl) {
                    sample(buf + hl);
                }
            } else if (r == 0) {
                epoll_ctl(ep, EPOLL_CTL_DEL, ev[i].data.fd, NULL);
            }
        }
        if (n == 512 && (n = epoll_wait(ep, ev, 512, 0)) > 0) {
            goto more;
        }
    }
    struct linger lg = {1, 0};
    for (int i = 0; i < n_conns; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
        close(fds[i]);
    }
    _exit(got == total ? 0 : 3);
}


static uint64_t calls, stalls;

static void
send_all(int fd, struct iovec *iov, int n)
{
    while (n) {
        ssize_t r;
        calls++;
        if (n == 1) {
            r = send(fd, iov->iov_base, iov->iov_len,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
            r = writev(fd, iov, n);
        }
        if (r < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno != EAGAIN) {
                die("send");
            }
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            stalls++;
            poll(&p, 1, 1000);
            continue;
        }
        while (n && (size_t) r >= iov->iov_len) {
            r -= (ssize_t) iov->iov_len;
            iov++;
            n--;
        }
        if (n && r) {
            iov->iov_base = (char *) iov->iov_base + r;
            iov->iov_len -= (size_t) r;
        }
    }
}


/* Messages that the first process has, and how it wakes the others. */
static volatile uint64_t *published;
static int bells[MAX_PROCS];


/* Another process of --procs: its share of each message. */
static void
serve_share(int self, const int *fds, char *frame, size_t fl)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET}, ev;
    int ep = epoll_create1(0);
    uint64_t m = 0;
    epoll_ctl(ep, EPOLL_CTL_ADD, bells[self], &e);
    while (m < (uint64_t) messages) {
        epoll_wait(ep, &ev, 1, -1);
        for (; m < *published; m++) {
            for (int i = 0; i < fanout; i++) {
                uint64_t at = (m * (uint64_t) fanout + (uint64_t) i)
                              % (uint64_t) conns;
                if (at % (uint64_t) procs == (uint64_t) self) {
                    struct iovec iov = {frame, fl};
                    send_all(fds[at], &iov, 1);
                }
            }
        }
    }
    _exit(0);
}


static void
wake_others(void)
{
    uint64_t one = 1;
    ++*published;
    __sync_synchronize();
    for (int i = 1; i < procs; i++) {
        if (write(bells[i], &one, sizeof(one)) < 0) {
            die("write");
        }
    }
}


static pid_t
start_drain(int n_conns, uint64_t total, size_t hl, size_t fl, int timed)
{
    pid_t pid = fork();
    if (pid < 0) {
        die("fork");
    }
    if (pid == 0) {
        if (room && !timed) {
            /* who reads for many has what time the few leave */
            struct sched_param sp = {0};
            sched_setscheduler(0, SCHED_OTHER, &sp);
        }
        drain(n_conns, total, hl, fl, timed);
    }
    return pid;
}


static void
accept_all(int ls, int ep, int *fds, int n)
{
    int one = 1;
    for (int i = 0; i < n; i++) {
        fds[i] = accept4(ls, NULL, NULL, SOCK_NONBLOCK);
        if (fds[i] < 0) {
            die("accept");
        }
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = fds[i]};
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
    }
}


/* The few, to whom a message may be due at any time. */
static struct {
    int *fds;
    char *frame;
    size_t hl, len;
    uint64_t t0, sent, messages;
} few;


static uint64_t
room_due(void)
{
    if (few.sent == few.messages) {
        return UINT64_MAX;
    }
    return few.t0 + (uint64_t) ((double) few.sent * 1e9 / room_rate);
}


static void
room_serve(void)
{
    for (uint64_t due; (due = room_due()) <= mono(); few.sent++) {
        memcpy(few.frame + few.hl, &due, sizeof(due));
        for (int i = 0; i < room; i++) {
            struct iovec iov = {few.frame, few.len};
            send_all(few.fds[i], &iov, 1);
        }
    }
}


static void
wait_until(uint64_t due)
{
    for (uint64_t now; (now = mono()) < due;) {
        uint64_t next = room_due() < due ? room_due() : due;
        if (next > now) {
            struct timespec ts = {(time_t) ((next - now) / 1000000000ull),
                                  (long) ((next - now) % 1000000000ull)};
            nanosleep(&ts, NULL);
        }
        room_serve();
    }
}


int
main(int argc, char **argv)
{
    static const struct option lo[] = {{"conns", 1, 0, 'n'},
                                       {"messages", 1, 0, 'm'},
                                       {"payload", 1, 0, 'k'},
                                       {"batch", 1, 0, 'b'},
                                       {"copy", 0, 0, 'c'},
                                       {"rate", 1, 0, 'r'},
                                       {"port", 1, 0, 'p'},
                                       {"pin", 0, 0, 'P'},
                                       {"fanout", 1, 0, 'f'},
                                       {"epoll-each", 0, 0, 'e'},
                                       {"procs", 1, 0, 'W'},
                                       {"lazy", 1, 0, 'l'},
                                       {"latency", 0, 0, 'L'},
                                       {"spread", 0, 0, 's'},
                                       {"room", 1, 0, 'R'},
                                       {"room-rate", 1, 0, 'T'},
                                       {"slice", 1, 0, 'K'},
                                       {"help", 0, 0, 'h'},
                                       {0, 0, 0, 0}};
    int o;
    while ((o = getopt_long(argc, argv, "n:m:k:b:cr:p:Pf:eW:l:LsR:T:K:h", lo,
                            NULL))
           != -1)
    {
        switch (o) {
        case 'n':
            conns = atoi(optarg);
            break;
        case 'm':
            messages = atoi(optarg);
            break;
        case 'k':
            payload = atoi(optarg);
            break;
        case 'b':
            batch = atoi(optarg);
            break;
        case 'c':
            copy = 1;
            break;
        case 'r':
            rate = atof(optarg);
            break;
        case 'p':
            port = atoi(optarg);
            break;
        case 'P':
            pin = 1;
            break;
        case 'f':
            fanout = atoi(optarg);
            break;
        case 'e':
            epoll_each = 1;
            break;
        case 'W':
            procs = atoi(optarg);
            break;
        case 'l':
            lazy = atoi(optarg);
            break;
        case 'L':
            latency = 1;
            break;
        case 's':
            spread = 1;
            break;
        case 'R':
            room = atoi(optarg);
            break;
        case 'T':
            room_rate = atof(optarg);
            break;
        case 'K':
            slice = atoi(optarg);
            break;
        default:
            puts(usage);
            return o == 'h' ? 0 : 1;
        }
    }
    if (conns < 1 || messages < 1 || payload < 1 || payload > 1 << 24
        || batch < 1 || batch > MAX_BATCH || messages % batch
        || procs < 1 || procs > MAX_PROCS
        || (procs > 1 && (batch > 1 || latency || spread || room))
        || ((latency || room) && (batch > 1 || payload < 8))
        || room < 0 || (room && (rate <= 0 || room_rate <= 0 || slice < 1)))
    {
        fprintf(stderr,
                "rawfan: bad figures (messages must be a multiple of batch)\n");
        return 1;
    }
    if (fanout < 1 || fanout > conns) {
        fanout = conns;
    }

    rlim_t files = (rlim_t) (conns + room) + 256;
    struct rlimit rl = {files, files}, cur;
    getrlimit(RLIMIT_NOFILE, &cur);
    if (cur.rlim_max > rl.rlim_max) {
        rl.rlim_max = cur.rlim_max;
    }
    if (cur.rlim_cur < rl.rlim_cur && setrlimit(RLIMIT_NOFILE, &rl)) {
        die("setrlimit");
    }

    /* one server text frame */
    size_t hl = payload < 126 ? 2 : payload < 65536 ? 4 : 10;
    size_t fl = hl + (size_t) payload;
    char *frames = malloc(fl * (size_t) batch);
    for (int i = 0; i < batch; i++) {
        char *f = frames + fl * (size_t) i;
        f[0] = (char) 0x81;
        if (hl == 2) {
            f[1] = (char) payload;
        } else if (hl == 4) {
            f[1] = 126;
            f[2] = (char) (payload >> 8);
            f[3] = (char) payload;
        } else {
            f[1] = 127;
            for (int k = 0; k < 8; k++) {
                f[2 + k] = (char) ((uint64_t) payload >> (56 - 8 * k));
            }
        }
        memset(f + hl, 'x', (size_t) payload);
    }

    int one = 1, ls = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t) port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    socklen_t al = sizeof(a);
    if (bind(ls, (void *) &a, sizeof(a)) || listen(ls, 4096)
        || getsockname(ls, (void *) &a, &al))
    {
        die("listen");
    }
    port = ntohs(a.sin_port);

    uint64_t deliveries = (uint64_t) messages * (uint64_t) fanout, few_all = 0;
    if (room) {
        few.messages = (uint64_t) (room_rate * messages / rate);
        few_all = few.messages * (uint64_t) room;
    }
    if (latency || room) {
        uint64_t n = room ? few_all : deliveries;
        max_samples = n < 1u << 24 ? (uint32_t) n : 1u << 24;
        samples = mmap(NULL, sizeof(samples_t) + max_samples * sizeof(uint32_t),
                       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                       0);
        if (samples == MAP_FAILED) {
            die("mmap");
        }
    }
    int *fds = calloc((size_t) (conns + room), sizeof(int)),
        ep = epoll_create1(0);
    if (room) {
        few.fds = fds + conns;
        few.frame = frames;
        few.hl = hl;
        few.len = fl;
        start_drain(room, few_all * fl, hl, fl, 1);
        accept_all(ls, ep, few.fds, room);
    }
    pid_t child = start_drain(conns, deliveries * fl, hl, fl, latency && !room);
    if (pin) {
        pin_to(0);
    }
    accept_all(ls, ep, fds, conns);
    pid_t others[MAX_PROCS];
    published = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (published == MAP_FAILED) {
        die("mmap");
    }
    for (int i = 1; i < procs; i++) {
        if ((bells[i] = eventfd(0, EFD_NONBLOCK)) < 0
            || (others[i] = fork()) < 0)
        {
            die("fork");
        }
        if (others[i] == 0) {
            serve_share(i, fds, frames, fl);
        }
    }
    usleep(300000);

    struct rusage r0, r1;
    struct iovec iov[MAX_BATCH];
    struct epoll_event ev[64];
    int at = 0;
    getrusage(RUSAGE_SELF, &r0);
    uint64_t t0 = mono();
    few.t0 = t0;
    for (int m = 0; m < messages; m += batch) {
        if (rate > 0) {
            wait_until(t0 + (uint64_t) ((double) m * 1e9 / rate));
        }
        if (epoll_each) {
            epoll_wait(ep, ev, 64, 0);
        }
        if (latency) {
            uint64_t t = mono();
            memcpy(frames + hl, &t, sizeof(t));
        }
        if (procs > 1) {
            wake_others();
        }
        for (int i = 0; i < fanout; i++) {
            int fd = fds[at], mine = at % procs == 0;
            if (spread) {
                fd = fds[(uint64_t) i * (uint64_t) conns / (uint64_t) fanout];
            } else if (++at == conns) {
                at = 0;
            }
            if (!mine) {
                continue;
            }
            if (room && i % slice == 0) {
                room_serve();
            }
            int n = copy ? 1 : batch;
            if (copy) {
                iov[0].iov_base = frames;
                iov[0].iov_len = fl * (size_t) batch;
            } else {
                for (int k = 0; k < batch; k++) {
                    iov[k].iov_base = frames + fl * (size_t) k;
                    iov[k].iov_len = fl;
                }
            }
            send_all(fd, iov, n);
        }
    }
    while (room_due() != UINT64_MAX) {
        wait_until(room_due());
        room_serve();
    }
    uint64_t t1 = mono();
    getrusage(RUSAGE_SELF, &r1);
    int st = 0;
    struct rusage rc;
#define TV(x) ((double) (x).tv_sec * 1e6 + (double) (x).tv_usec)
    double ou = 0, os = 0;
    for (int i = 1; i < procs; i++) {
        wait4(others[i], NULL, 0, &rc);
        ou += TV(rc.ru_utime);
        os += TV(rc.ru_stime);
    }
    wait4(child, &st, 0, &rc);
    uint64_t t2 = mono();
    if (room) {
        int few_st = 0;
        wait(&few_st);
        st |= few_st;
    }
    if (samples) {
        qsort(samples->us, samples->n, sizeof(uint32_t), by_value);
    }
    double u = TV(r1.ru_utime) - TV(r0.ru_utime) + ou,
           s = TV(r1.ru_stime) - TV(r0.ru_stime) + os,
           d = (double) (deliveries + few_all);
    printf(
        "{\"conns\":%d,\"fanout\":%d,\"messages\":%d,\"frame_bytes\":%zu,"
        "\"batch\":%d,\"copy\":%d,\"rate\":%.0f,\"procs\":%d,"
        "\"pin\":%d,\"lazy\":%d,\"deliveries\":%llu,\"send_s\":%.4f,"
        "\"drained_s\":%.4f,\"user_us_per_delivery\":%.4f,"
        "\"sys_us_per_delivery\":%.4f,\"cpu_us_per_delivery\":%.4f,"
        "\"us_per_call\":%.4f,\"calls\":%llu,"
        "\"stalls\":%llu,\"lat_p50_ms\":%.3f,\"lat_p99_ms\":%.3f,"
        "\"lat_max_ms\":%.3f,"
        "\"drain_cpu_us_per_delivery\":%.4f,\"complete\":%s}\n",
        conns, fanout, messages, fl, batch, copy, rate, procs, pin, lazy,
        (unsigned long long) deliveries, (double) (t1 - t0) / 1e9,
        (double) (t2 - t0) / 1e9, u / d, s / d, (u + s) / d,
        (u + s) / (double) calls, (unsigned long long) calls,
        (unsigned long long) stalls, percentile(.5), percentile(.99),
        percentile(1),
        (TV(rc.ru_utime) + TV(rc.ru_stime)) / d,
        WIFEXITED(st) && !WEXITSTATUS(st) ? "true" : "false");
    return 0;
}
