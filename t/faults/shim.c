
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>


/*
 * Calls that fail, for tests: to be loaded into nginx by LD_PRELOAD.  Which
 * ones is said in a file that the environment variable SIO_SHIM names; it holds
 * the structure below, all processes of nginx map it, and whoever makes a test
 * writes into it while they run.
 *
 * After a call on a socket that has failed with EAGAIN, or has done less than
 * it could, the kernel is asked for readiness anew: that is what would follow,
 * and nginx waits for it, edge-triggered.
 */


#define SIO_SHIM_HEAP      0x001    /* malloc() and the like */
#define SIO_SHIM_POOL      0x002    /* see ngx_sio_fault.c */
#define SIO_SHIM_STORE     0x004    /* see ngx_sio_refused() in zone.h */
#define SIO_SHIM_RECV      0x008    /* recv(), readv(), read() */
#define SIO_SHIM_SEND      0x010    /* send(), writev(), write() */
#define SIO_SHIM_CONNECT   0x020
#define SIO_SHIM_SOCKET    0x040
#define SIO_SHIM_ACCEPT    0x080
#define SIO_SHIM_EPOLL     0x100    /* epoll_ctl() that adds or changes */

#define SIO_SHIM_KINDS     4
#define SIO_SHIM_SPARED    12
#define SIO_SHIM_FRAMES    24
#define SIO_SHIM_FDS       65536
#define SIO_SHIM_EARLY     65536


typedef struct {
    uint64_t        armed;
    uint64_t        classes;
    uint64_t        pid;            /* 0: any process */
    uint64_t        spared[SIO_SHIM_SPARED];
                                    /* pids that are left alone */
    uint64_t        port;           /* 0: any; else only sockets that have this
                                       port at one of their ends */
    uint64_t        nth;            /* the first call that fails; 0: by chance */
    uint64_t        times;          /* how many fail from there on */
    uint64_t        chance;         /* so many of a thousand fail */
    uint64_t        seed;
    uint64_t        kinds;          /* how many there are, one is drawn */
    uint64_t        kind[SIO_SHIM_KINDS];
                                    /* errno, or 0: one byte only */

    uint64_t        seen;           /* calls that could have failed, */
    uint64_t        given;          /*   and those that did */
    uint64_t        given_pid;      /* the last one: where it was */
    uint64_t        given_class;
    uint64_t        frames;
    uint64_t        frame[SIO_SHIM_FRAMES];
} sio_shim_t;

_Static_assert(sizeof(sio_shim_t) == 432, "size that the tests know");


typedef struct {
    int                 epfd;
    struct epoll_event  event;
} sio_shim_watch_t;


int sio_shim_refuse(unsigned class);

static int sio_shim_fails(unsigned class);
static int sio_shim_fails_on(unsigned class, int fd);
static int sio_shim_is_meant(sio_shim_t *s, unsigned class);
static int sio_shim_is_due(sio_shim_t *s, uint64_t n);
static int sio_shim_kind(sio_shim_t *s, uint64_t n);
static uint64_t sio_shim_random(uint64_t seed);
static int sio_shim_port(int fd, uint64_t port);
static uint64_t sio_shim_port_of(struct sockaddr_storage *sa);
static int sio_shim_is_partial(int kind);
static void sio_shim_again(int fd);


static sio_shim_t        *sio_shim;
static int                sio_shim_busy;
static sio_shim_watch_t   sio_shim_watch[SIO_SHIM_FDS];

/* what is allocated before the real functions are known */

static char               sio_shim_early[SIO_SHIM_EARLY]
                              __attribute__((aligned(16)));
static size_t             sio_shim_early_used;


#define sio_shim_real(name)                                                   \
    static __typeof__(name)  *real;                                           \
                                                                              \
    if (real == NULL) {                                                       \
        real = (__typeof__(name) *) dlsym(RTLD_NEXT, #name);                  \
    }


__attribute__((constructor)) static void
sio_shim_init(void)
{
    int          fd;
    void        *p;
    void        *frame[1];
    const char  *name;

    name = getenv("SIO_SHIM");

    if (name == NULL || strcmp(program_invocation_short_name, "nginx") != 0) {
        return;
    }

    /* the first call loads a library */

    (void) backtrace(frame, 1);

    fd = open(name, O_RDWR);
    if (fd == -1) {
        abort();
    }

    p = mmap(NULL, sizeof(sio_shim_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd,
             0);

    (void) close(fd);

    if (p == MAP_FAILED) {
        abort();
    }

    sio_shim = p;
}


/* For what is no function of a library: true if it is to fail. */

int
sio_shim_refuse(unsigned class)
{
    if (sio_shim_fails(class) == -1) {
        return 0;
    }

    errno = ENOMEM;

    return 1;
}


/* -1, or the kind of the failure. */

static int
sio_shim_fails(unsigned class)
{
    int          kind;
    uint64_t     n;
    sio_shim_t  *s;

    s = sio_shim;

    if (s == NULL || sio_shim_busy || !sio_shim_is_meant(s, class)) {
        return -1;
    }

    n = __atomic_add_fetch(&s->seen, 1, __ATOMIC_SEQ_CST);

    if (!sio_shim_is_due(s, n)) {
        return -1;
    }

    kind = sio_shim_kind(s, n);

    s->given_pid = getpid();
    s->given_class = class;

    sio_shim_busy = 1;
    s->frames = backtrace((void **) s->frame, SIO_SHIM_FRAMES);
    sio_shim_busy = 0;

    (void) __atomic_add_fetch(&s->given, 1, __ATOMIC_SEQ_CST);

    return kind;
}


static int
sio_shim_fails_on(unsigned class, int fd)
{
    sio_shim_t  *s;

    s = sio_shim;

    if (s == NULL || !sio_shim_is_meant(s, class)
        || !sio_shim_port(fd, s->port))
    {
        return -1;
    }

    return sio_shim_fails(class);
}


static int
sio_shim_is_meant(sio_shim_t *s, unsigned class)
{
    unsigned  i;
    uint64_t  pid;

    if (!__atomic_load_n(&s->armed, __ATOMIC_ACQUIRE)
        || !(s->classes & class))
    {
        return 0;
    }

    pid = getpid();

    for (i = 0; i < SIO_SHIM_SPARED; i++) {
        if (s->spared[i] == pid) {
            return 0;
        }
    }

    return s->pid == 0 || s->pid == pid;
}


static int
sio_shim_is_due(sio_shim_t *s, uint64_t n)
{
    if (s->nth) {
        return n >= s->nth && n - s->nth < s->times;
    }

    return sio_shim_random(s->seed + n) % 1000 < s->chance;
}


static int
sio_shim_kind(sio_shim_t *s, uint64_t n)
{
    return s->kind[sio_shim_random(~s->seed - n) % s->kinds];
}


/* The finalizer of splitmix64. */

static uint64_t
sio_shim_random(uint64_t seed)
{
    seed *= 0x9e3779b97f4a7c15;
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
    seed = (seed ^ (seed >> 27)) * 0x94d049bb133111eb;

    return seed ^ (seed >> 31);
}


/* True if it is a TCP socket, with that port at one of its ends if not 0. */

static int
sio_shim_port(int fd, uint64_t port)
{
    int                      error;
    uint64_t                 local, peer;
    socklen_t                len;
    struct sockaddr_storage  sa;

    error = errno;

    len = sizeof(sa);
    local = (getsockname(fd, (struct sockaddr *) &sa, &len) == 0)
            ? sio_shim_port_of(&sa) : 0;

    len = sizeof(sa);
    peer = (getpeername(fd, (struct sockaddr *) &sa, &len) == 0)
           ? sio_shim_port_of(&sa) : 0;

    errno = error;

    return local && (port == 0 || port == local || port == peer);
}


static uint64_t
sio_shim_port_of(struct sockaddr_storage *sa)
{
    return sa->ss_family == AF_INET
           ? ntohs(((struct sockaddr_in *) sa)->sin_port) : 0;
}


/*
 * True if the socket is to be looked at again.  EINTR is never seen on those
 * that do not block; nginx calls again at once, but takes the socket for full
 * until it is told that it is not.
 */

static int
sio_shim_is_partial(int kind)
{
    return kind == 0 || kind == EAGAIN || kind == EINTR;
}


/* Asks the kernel for the readiness of a socket that is waited for. */

static void
sio_shim_again(int fd)
{
    int                error;
    sio_shim_watch_t  *w;

    sio_shim_real(epoll_ctl);

    if (fd >= SIO_SHIM_FDS) {
        return;
    }

    w = &sio_shim_watch[fd];

    if (w->epfd == 0 || w->event.events & EPOLLEXCLUSIVE) {
        return;
    }

    error = errno;
    (void) real(w->epfd, EPOLL_CTL_MOD, fd, &w->event);
    errno = error;
}


static void *
sio_shim_early_alloc(size_t size)
{
    char  *p;

    p = sio_shim_early + sio_shim_early_used;

    size = (size + 15) & ~(size_t) 15;

    if (size > SIO_SHIM_EARLY - sio_shim_early_used) {
        return NULL;
    }

    sio_shim_early_used += size;

    return p;
}


static int
sio_shim_is_early(void *p)
{
    return (char *) p >= sio_shim_early
           && (char *) p < sio_shim_early + SIO_SHIM_EARLY;
}


/*
 * Memory.  dlsym() may allocate and free itself, which is why a function that is
 * being looked for takes from the early block, and gives nothing back.  It is
 * declared not to call back, hence the volatile.
 */

#define sio_shim_real_alloc(name)                                             \
    static volatile int  looking;                                             \
    static __typeof__(name)  *real;                                           \
                                                                              \
    if (real == NULL && !looking) {                                           \
        looking = 1;                                                          \
        real = (__typeof__(name) *) dlsym(RTLD_NEXT, #name);                  \
        looking = 0;                                                          \
    }


void *
malloc(size_t size)
{
    sio_shim_real_alloc(malloc);

    if (real == NULL) {
        return sio_shim_early_alloc(size);
    }

    if (sio_shim_fails(SIO_SHIM_HEAP) != -1) {
        errno = ENOMEM;
        return NULL;
    }

    return real(size);
}


void *
calloc(size_t n, size_t size)
{
    sio_shim_real_alloc(calloc);

    if (real == NULL) {
        return sio_shim_early_alloc(n * size);
    }

    if (sio_shim_fails(SIO_SHIM_HEAP) != -1) {
        errno = ENOMEM;
        return NULL;
    }

    return real(n, size);
}


void *
realloc(void *p, size_t size)
{
    void  *new;

    sio_shim_real_alloc(realloc);

    if (real == NULL || sio_shim_is_early(p)) {
        new = malloc(size);

        if (new && p) {
            memcpy(new, p, size);
        }

        return new;
    }

    if (size && sio_shim_fails(SIO_SHIM_HEAP) != -1) {
        errno = ENOMEM;
        return NULL;
    }

    return real(p, size);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    sio_shim_real(posix_memalign);

    if (sio_shim_fails(SIO_SHIM_HEAP) != -1) {
        return ENOMEM;
    }

    return real(p, alignment, size);
}


void
free(void *p)
{
    sio_shim_real_alloc(free);

    if (real && p && !sio_shim_is_early(p)) {
        real(p);
    }
}


/*
 * Sockets.  OpenSSL reads and writes these as if they were files, while what is
 * no socket is left alone.  So is a look ahead, by which nginx finds out if a
 * connection begins with TLS: EINTR would end that one.
 */


ssize_t
recv(int fd, void *buf, size_t len, int flags)
{
    int      kind;
    ssize_t  n;

    sio_shim_real(recv);

    kind = (flags & MSG_PEEK) ? -1 : sio_shim_fails_on(SIO_SHIM_RECV, fd);

    if (kind > 0) {
        errno = kind;
        n = -1;

    } else {
        n = real(fd, buf, (kind == 0 && len) ? 1 : len, flags);
    }

    if (sio_shim_is_partial(kind)) {
        sio_shim_again(fd);
    }

    return n;
}


ssize_t
readv(int fd, const struct iovec *iov, int n)
{
    sio_shim_real(readv);

    if (n > 0 && sio_shim && sio_shim->classes & SIO_SHIM_RECV
        && sio_shim_port(fd, 0))
    {
        return recv(fd, iov[0].iov_base, iov[0].iov_len, 0);
    }

    return real(fd, iov, n);
}


ssize_t
read(int fd, void *buf, size_t len)
{
    int      kind;
    ssize_t  n;

    sio_shim_real(read);

    kind = sio_shim_fails_on(SIO_SHIM_RECV, fd);

    if (kind > 0) {
        errno = kind;
        n = -1;

    } else {
        n = real(fd, buf, (kind == 0 && len) ? 1 : len);
    }

    if (sio_shim_is_partial(kind)) {
        sio_shim_again(fd);
    }

    return n;
}


ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
    int      kind;
    ssize_t  n;

    sio_shim_real(send);

    kind = sio_shim_fails_on(SIO_SHIM_SEND, fd);

    if (kind > 0) {
        errno = kind;
        n = -1;

    } else {
        n = real(fd, buf, (kind == 0 && len) ? 1 : len, flags);
    }

    if (sio_shim_is_partial(kind)) {
        sio_shim_again(fd);
    }

    return n;
}


ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    int           kind;
    ssize_t       sent;
    struct iovec  one;

    sio_shim_real(writev);

    kind = sio_shim_fails_on(SIO_SHIM_SEND, fd);

    if (kind > 0) {
        errno = kind;
        sent = -1;

    } else if (kind == 0 && n && iov[0].iov_len) {
        one.iov_base = iov[0].iov_base;
        one.iov_len = 1;
        sent = real(fd, &one, 1);

    } else {
        sent = real(fd, iov, n);
    }

    if (sio_shim_is_partial(kind)) {
        sio_shim_again(fd);
    }

    return sent;
}


ssize_t
write(int fd, const void *buf, size_t len)
{
    int      kind;
    ssize_t  n;

    sio_shim_real(write);

    kind = sio_shim_fails_on(SIO_SHIM_SEND, fd);

    if (kind > 0) {
        errno = kind;
        n = -1;

    } else {
        n = real(fd, buf, (kind == 0 && len) ? 1 : len);
    }

    if (sio_shim_is_partial(kind)) {
        sio_shim_again(fd);
    }

    return n;
}


int
connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    int  kind;

    sio_shim_real(connect);

    kind = sio_shim_fails(SIO_SHIM_CONNECT);

    if (kind > 0) {
        errno = kind;
        return -1;
    }

    return real(fd, sa, len);
}


int
socket(int domain, int type, int protocol)
{
    int  kind;

    sio_shim_real(socket);

    kind = sio_shim_fails(SIO_SHIM_SOCKET);

    if (kind > 0) {
        errno = kind;
        return -1;
    }

    return real(domain, type, protocol);
}


int
accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
    int  kind;

    sio_shim_real(accept4);

    kind = sio_shim_fails(SIO_SHIM_ACCEPT);

    if (kind > 0) {
        errno = kind;
        return -1;
    }

    return real(fd, sa, len, flags);
}


int
epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    int  kind, rc;

    sio_shim_real(epoll_ctl);

    kind = (op == EPOLL_CTL_DEL) ? -1 : sio_shim_fails(SIO_SHIM_EPOLL);

    if (kind > 0) {
        errno = kind;
        return -1;
    }

    rc = real(epfd, op, fd, event);

    if (rc == 0 && fd >= 0 && fd < SIO_SHIM_FDS) {
        sio_shim_watch[fd].epfd = (op == EPOLL_CTL_DEL) ? 0 : epfd;

        if (op != EPOLL_CTL_DEL) {
            sio_shim_watch[fd].event = *event;
        }
    }

    return rc;
}
