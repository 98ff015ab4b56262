
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * usertime - how long a program is in user space from one send to the next.
 *
 *   gcc -O2 -shared -fPIC -o usertime.so usertime.c -ldl
 *   USERTIME=FILE LD_PRELOAD=./usertime.so PROGRAM
 *
 * Ticks of 10 ms tell user from system time by chance.  This library stands
 * around the system calls of an event loop and reads the counter of the CPU
 * before and behind each: what is in between is user time, but for what the
 * reading takes, which is the same for every program.  At its exit a process
 * that has sent something adds a line of JSON to FILE.
 *
 *   sends            how many there were
 *   between_ns       from the end of a send to the begin of the next one, if
 *                    there is no other call in between: mean without the
 *                    longest 1 %, in which there are interrupts
 *   p10_ns, p50_ns, p90_ns     the same: percentiles
 *   clock_ns         what reading the counter takes, which is in the above
 *   user_ns          all user time but for that, divided by sends
 *   preempted        how often the process lost the CPU between two calls; such
 *                    a time counts as much as the mean of the others between
 *                    the same two calls
 *
 * SKIP=N COUNT=M in the environment: all this of M sends behind the N-th.
 *
 * A process learns that it lost the CPU from the field of rseq(2) that the
 * kernel clears when it comes back.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define SUB         32              /* parts of a power of two */
#define BUCKETS     (64 * SUB)

/* What a call is; the time between two of them is accounted by both. */
enum { SEND, RECV, WAIT, OTHER, CALLS };

struct gap {
    uint64_t n, whole, sum;         /* counts of the whole ones */
};


static int file = -1;
static double ns_per_count;
static uint64_t first_count, first_ns;

static uint64_t last;               /* end of the last call; 0: none yet */
static int last_call;
static uint64_t sends, between, skip, upto = UINT64_MAX;
static struct gap gaps[CALLS][CALLS];
static uint32_t buckets[BUCKETS];

/* A critical section that nobody is in: the kernel forgets it. */
static const uint32_t signature[2] = { RSEQ_SIG, 0 };
static struct rseq_cs nowhere = { .post_commit_offset = 1 };


static uint64_t
mono(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}


static inline uint64_t
counter(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#else
    return mono();
#endif
}


static inline struct rseq *
rseq(void)
{
    return (struct rseq *) ((char *) __builtin_thread_pointer()
                            + __rseq_offset);
}


static void
forget(void)
{
    last = 0;
    sends = 0;
    between = 0;
    memset(gaps, 0, sizeof(gaps));
    memset(buckets, 0, sizeof(buckets));
}


/* Linear below SUB, then SUB parts of each power of two. */
static unsigned
bucket(uint64_t n)
{
    int shift;

    if (n < SUB) {
        return (unsigned) n;
    }

    shift = 63 - __builtin_clzll(n) - 5;
    return (unsigned) ((shift + 1) * SUB + (int) (n >> shift) - SUB);
}


static double
middle(unsigned b)
{
    unsigned shift = b / SUB;

    if (shift <= 1) {
        return b;
    }

    return ((double) (b % SUB) + SUB + .5) * (double) (1ull << (shift - 1));
}


/* Behind a call: accounts what was before it, which so is not measured. */
static void
end(uint64_t begun, int whole, int call)
{
    struct gap *gap = &gaps[last_call][call];
    uint64_t n = begun - last;

    if (sends >= upto && skip == 0) {
        return;
    }

    if (last) {
        gap->n++;

        if (whole) {
            gap->whole++;
            gap->sum += n;

            if (call == SEND && last_call == SEND) {
                buckets[bucket(n)]++;
                between++;
            }
        }
    }

    sends += call == SEND;

    if (skip && sends == skip) {
        forget();
        skip = 0;
    }

    last_call = call;
    rseq()->rseq_cs = (uintptr_t) &nowhere;
    last = counter();
}


#define CALL(type, name, args, values, call)                                  \
    type name args                                                            \
    {                                                                         \
        static type (*real) args;                                             \
        uint64_t begun = counter();                                           \
        int whole = rseq()->rseq_cs != 0;                                     \
        type rc;                                                              \
                                                                              \
        if (real == NULL) {                                                   \
            real = (type (*) args) dlsym(RTLD_NEXT, #name);                   \
        }                                                                     \
                                                                              \
        rc = real values;                                                     \
        end(begun, whole, call);                                              \
        return rc;                                                            \
    }

CALL(ssize_t, send, (int fd, const void *p, size_t n, int flags),
     (fd, p, n, flags), SEND)
CALL(ssize_t, writev, (int fd, const struct iovec *iov, int n),
     (fd, iov, n), SEND)
CALL(ssize_t, recv, (int fd, void *p, size_t n, int flags),
     (fd, p, n, flags), RECV)
CALL(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), RECV)
CALL(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), OTHER)
CALL(int, epoll_wait, (int ep, struct epoll_event *ev, int n, int timeout),
     (ep, ev, n, timeout), WAIT)
CALL(int, epoll_ctl, (int ep, int op, int fd, struct epoll_event *ev),
     (ep, op, fd, ev), OTHER)
CALL(int, nanosleep, (const struct timespec *t, struct timespec *left),
     (t, left), OTHER)
CALL(int, usleep, (useconds_t us), (us), OTHER)


/* The value below which a share of all are, and the mean of these. */
static double
percentile(double share, double *mean)
{
    uint64_t n = 0, limit = (uint64_t) (share * (double) between);
    double sum = 0;
    unsigned b;

    for (b = 0; b < BUCKETS; b++) {

        if (n + buckets[b] > limit) {
            sum += (double) (limit - n) * middle(b);
            break;
        }

        n += buckets[b];
        sum += buckets[b] * middle(b);
    }

    *mean = limit ? sum / (double) limit * ns_per_count : 0;
    return middle(b) * ns_per_count;
}


/* User time of all sends: counts; *preempted: how many gaps are not whole. */
static double
user_time(uint64_t clock, uint64_t *preempted)
{
    double sum = 0;
    int a, b;

    *preempted = 0;

    for (a = 0; a < CALLS; a++) {
        for (b = 0; b < CALLS; b++) {
            const struct gap *gap = &gaps[a][b];

            *preempted += gap->n - gap->whole;

            if (gap->whole) {
                sum += ((double) gap->sum / (double) gap->whole
                        - (double) clock)
                       * (double) gap->n;
            }
        }
    }

    return sum;
}


__attribute__((constructor)) static void
begin(void)
{
    const char *name = getenv("USERTIME");
    uint64_t t0;

    if (name == NULL) {
        return;
    }

    /* before a process gives up the right to */
    file = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

    first_ns = mono();
    first_count = counter();

    do {
        t0 = mono();
    } while (t0 - first_ns < 10000000);

    ns_per_count = (double) (t0 - first_ns)
                   / (double) (counter() - first_count);

    nowhere.abort_ip = (uintptr_t) &signature[1];

    if (getenv("SKIP")) {
        skip = strtoull(getenv("SKIP"), NULL, 10);
    }

    if (getenv("COUNT")) {
        upto = strtoull(getenv("COUNT"), NULL, 10);
    }

    pthread_atfork(NULL, NULL, forget);
}


__attribute__((destructor)) static void
finish(void)
{
    char line[512], name[16];
    double mean, unused, user;
    uint64_t t, preempted, least = UINT64_MAX;
    int i, n;

    if (file == -1 || between == 0) {
        return;
    }

    for (i = 0; i < 1000; i++) {
        t = counter();
        t = counter() - t;
        least = t < least ? t : least;
    }

    user = user_time(least, &preempted);
    percentile(.99, &mean);

    /* nginx has another title, and the same name */
    if (prctl(PR_GET_NAME, name)) {
        name[0] = '\0';
    }

    n = snprintf(line, sizeof(line),
                 "{\"program\":\"%s\",\"pid\":%d,\"sends\":%llu,"
                 "\"between_ns\":%.1f,\"p10_ns\":%.1f,\"p50_ns\":%.1f,"
                 "\"p90_ns\":%.1f,\"clock_ns\":%.1f,\"user_ns\":%.1f,"
                 "\"preempted\":%llu}\n",
                 name, (int) getpid(),
                 (unsigned long long) sends, mean, percentile(.1, &unused),
                 percentile(.5, &unused), percentile(.9, &unused),
                 (double) least * ns_per_count,
                 user * ns_per_count / (double) sends,
                 (unsigned long long) preempted);

    if (write(file, line, (size_t) n) != n) {
        perror("usertime");
    }
}
