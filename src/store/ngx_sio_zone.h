
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_ZONE_H_INCLUDED_
#define _NGX_SIO_ZONE_H_INCLUDED_


/*
 * The shared memory of one gateway: header, worker slots, arrays of
 * fixed-size records, hash tables, and the log.
 *
 * Everything that several processes write is in one of three regimes:
 *
 *   zone lock   records (session, room, user, tail, chunk), their tables and
 *               free lists, worker slots coming and going
 *   log lock    the tail and head of the log, the feed position, the lease
 *   atomics     cursors, doorbells, the owner word of a session
 *
 * Who needs both locks takes the zone lock first.  The "alive" mutex of a
 * worker is only tried, never waited for, so it may be tried under any lock.
 *
 * A process may be killed at any instruction.  The two locks are robust
 * mutexes: the next one to lock learns of the death and repairs first.  What
 * repair relies on is the state word of each record, which is written last;
 * free lists, hash chains and counts are caches that it builds anew.
 *
 * Records beyond the "top" of their array were never used and their memory
 * was never touched, so that a large zone costs only what is in use.
 *
 * Index 0 of every array means "none" and is never used.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <pthread.h>

#include <sio_hash.h>
#include <sio_record.h>


#define NGX_SIO_ZONE_MAGIC     0x314f4953      /* "SIO1" */
#define NGX_SIO_ZONE_LAYOUT    8               /* change with any struct here */

#define NGX_SIO_WORKERS        128             /* slots; two generations */
#define NGX_SIO_NODE_LEN       64
#define NGX_SIO_SID_LEN        20
#define NGX_SIO_NAMESPACES     64              /* that a zone has ever known */
#define NGX_SIO_NSP_LEN        126
#define NGX_SIO_STREAMS        16              /* of farewells, 0 is none */
#define NGX_SIO_FAREWELL_LEFT  255             /* no stream: the farewell to a
                                                  socket is in the list */
#define NGX_SIO_STREAM_LEN     232             /* of a key */
#define NGX_SIO_MAXLEN_LEN     20              /* of a limit, in decimals */

#define NGX_SIO_LOCK_TIMEOUT   1000            /* ms; only a stopped holder */

#define NGX_SIO_LINE           64              /* what CPUs share by */

#define ngx_sio_line_aligned   __attribute__((aligned(NGX_SIO_LINE)))


/* States of a record; the word is the last thing written. */

#define NGX_SIO_FREE           0
#define NGX_SIO_NEW            1               /* being filled or emptied */
#define NGX_SIO_LIVE           2


/* A room or user: a counted name.  64 bytes. */

typedef struct {
    uint8_t                   state;           /* zone lock, written last */
    uint8_t                   nsp;
    uint16_t                  len;             /* of the name */
    uint32_t                  refs;            /* zone lock; a cache */
    uint64_t                  hash;            /* of the name, without nsp */
    uint64_t                  workers[NGX_SIO_WORKERS / 64];
                                               /* atomics: which workers have
                                                  members; cleared by reaping */
    uint32_t                  next;            /* zone lock: chain, free list */
    uint32_t                  tail;            /* zone lock: the first tail of a
                                                  name over 24 bytes */
    u_char                    name[24];
} ngx_sio_name_sh_t;

_Static_assert(sizeof(ngx_sio_name_sh_t) == 64, "size of a name");
_Static_assert(NGX_SIO_NAMESPACES <= 256, "a namespace fits into a byte");


/* A piece of the rest of a name; 32 bytes. */

typedef struct {
    uint32_t                  next;            /* zone lock: next tail of the
                                                  same name, or of the free
                                                  list */
    uint8_t                   state;           /* zone lock, written last */
    uint8_t                   mark;            /* zone lock: repair's only */
    u_char                    text[26];
} ngx_sio_tail_sh_t;

_Static_assert(sizeof(ngx_sio_tail_sh_t) == 32, "size of a tail");


/*
 * Whether a user is online, beside the user's record and zero while that is
 * free; 16 bytes.  A user with a flag is referenced by it.  See online.h.
 */

typedef struct {
    uint32_t                  sockets;         /* zone lock; a cache: sessions
                                                  that are PRESENT */
    uint32_t                  flags;           /* zone lock */
    uint64_t                  gone;            /* zone lock: ms at which the
                                                  last of the sockets left; 0:
                                                  there are some, or the user is
                                                  not LOCAL */
} ngx_sio_online_sh_t;

_Static_assert(sizeof(ngx_sio_online_sh_t) == 16, "size of an online record");


#define NGX_SIO_ONLINE_LOCAL      0x01         /* has sockets on this node, or
                                                  had some a linger ago */
#define NGX_SIO_ONLINE_REPORTED   0x02         /* Redis was told so */
#define NGX_SIO_ONLINE_CLUSTER    0x04         /* is in the cluster's list */
#define NGX_SIO_ONLINE_ANNOUNCED  0x08         /* the log has said so */
#define NGX_SIO_ONLINE_ALL        0x0f


/*
 * One membership of a session; 16 bytes, room 0 is a hole.  It covers the
 * records from offset "since" on.  One that has ended is kept while a client
 * may ask for what it missed during it: it has NGX_SIO_LEFT in room, and "pos"
 * is then its length in units of SIO_RECORD_ALIGN.  It still refers to its
 * room.
 */

typedef struct {
    uint32_t                  room;            /* zone lock, written last */
    uint32_t                  pos;             /* held: place in the worker's
                                                  array of the room's members;
                                                  zone lock: the length */
    uint64_t                  since;           /* zone lock */
} ngx_sio_member_sh_t;

_Static_assert(sizeof(ngx_sio_member_sh_t) == 16, "size of a membership");


#define NGX_SIO_LEFT           0x80000000      /* bit of room: it has ended */
#define NGX_SIO_SET            1               /* bit of since, whose offset is
                                                  a multiple of the alignment:
                                                  it came from a room set */

#define NGX_SIO_INLINE         6               /* memberships in the session */
#define NGX_SIO_CHUNK          7               /* memberships in a chunk */
#define NGX_SIO_REF            8               /* references: chunk * 8 + place;
                                                  chunk 0 is the session */


/* What the backend has yet to hear of a socket that has ended. */

typedef struct {
    uint64_t                  time;            /* when: ms since 1970 */
    uint32_t                  user;            /* index or 0; counts as a
                                                  reference */
    uint16_t                  nsp;
    uint8_t                   slot;            /* of the worker that says so; 0:
                                                  any */
    uint8_t                   stream;          /* its number */
    uint8_t                   reason;          /* that of the session */
    u_char                    sid[NGX_SIO_SID_LEN];
} ngx_sio_farewell_sh_t;


/*
 * Memberships beyond the session's own, or a farewell.
 */

typedef struct {
    uint32_t                  state;           /* zone lock, written last */
    uint32_t                  next;            /* zone lock: next chunk of the
                                                  same session, or of the free
                                                  list, or farewell */
    uint32_t                  mark;            /* zone lock: repair's only */
    uint32_t                  prev;            /* zone lock: the farewell before
                                                  this one; a cache */
    union {
        ngx_sio_farewell_sh_t farewell;
        ngx_sio_member_sh_t   member[NGX_SIO_CHUNK];
    } u;
} ngx_sio_chunk_sh_t;

_Static_assert(sizeof(ngx_sio_chunk_sh_t) == 128, "size of a chunk");


/*
 * The owner word of a session: slot (from 1; 0 is nobody), state, generation.
 * Changed by compare-and-swap only; the generation grows with every change of
 * hands.  The word that a caller got when the session became its own is its
 * ticket: who finds another word in the record has lost the session, and may
 * not write to it any more.
 *
 * A look at the word and a store behind it are two things, and the owner may be
 * stopped in between.  So who stores either has the zone lock, without which
 * nobody takes a session, or holds the session: for the few instructions of the
 * stores its word is HELD, and the session is not taken.
 */

#define ngx_sio_owner(slot, state, gen)                                       \
    ((uint64_t) (slot) << 48 | (uint64_t) (state) << 32 | (uint32_t) (gen))
#define ngx_sio_owner_slot(word)   ((ngx_uint_t) ((word) >> 48))
#define ngx_sio_owner_state(word)  ((ngx_uint_t) ((word) >> 32 & 0xffff))
#define ngx_sio_owner_gen(word)    ((uint32_t) (word))

#define NGX_SIO_OWNER_NONE     0               /* between two polls, parked */
#define NGX_SIO_OWNER_LIVE     1
#define NGX_SIO_OWNER_HELD     2               /* its owner is storing */

/* The ticket that belongs to a word, held or not. */
#define ngx_sio_owner_ticket(word)                                            \
    (ngx_sio_owner_state(word) == NGX_SIO_OWNER_HELD                          \
     ? ngx_sio_owner(ngx_sio_owner_slot(word), NGX_SIO_OWNER_LIVE, word)      \
     : (word))


/* "applied" of a session that moves with the cursor of its owner. */

#define NGX_SIO_AT_CURSOR      ((uint64_t) -1)


/* Flags of a session. */

#define NGX_SIO_RECOVERABLE    0x0001          /* its socket can be recovered */
#define NGX_SIO_PARKED         0x0002          /* the transport is lost, the
                                                  socket waits for another */
#define NGX_SIO_CLOSING        0x0004          /* the next poll is told so */
#define NGX_SIO_DEAD           0x0008          /* a transport that is over, its
                                                  owner has yet to notice:
                                                  sockets wait until "deadline",
                                                  0: they end */
#define NGX_SIO_CONNECTING     0x0010          /* not a socket yet, but soon */
#define NGX_SIO_UPGRADING      0x0020          /* a WebSocket probes */
#define NGX_SIO_PINGED         0x0040          /* a pong is due */
#define NGX_SIO_PING_DUE       0x0080          /*   and the ping unsent yet */
#define NGX_SIO_EXTENDED       0x0100          /*   and got its extra time */
#define NGX_SIO_ILLEGAL        0x0200          /* the packet with attachments
                                                  has a wrong placeholder */
#define NGX_SIO_LEAVING        0x0800          /* the client left the namespace,
                                                  its owner has yet to notice */
#define NGX_SIO_FLOOR          0x0400          /* rooms before base_from are
                                                  no longer known; base_last is
                                                  0 then */
#define NGX_SIO_BRANCHED       0x1000          /* a transport that has, or had,
                                                  branches */
#define NGX_SIO_PRESENT        0x2000          /* a socket by which its user is
                                                  online: it is in "/", and not
                                                  parked */
#define NGX_SIO_LISTING        0x4000          /* the list of those who are
                                                  online is due */
#define NGX_SIO_REFRESH        0x8000          /* its room sets are to be read
                                                  again, by whoever has it */


/*
 * A transport with its socket in "/", or a branch: a socket of a transport in
 * another namespace, which has no Engine.IO id and goes where its transport
 * goes.  Parked, they are sockets on their own.  256 bytes.
 *
 * "held:" fields are written by the owner while he holds the session, see
 * above, and by whoever has the zone lock and the ticket.  With the zone lock
 * alone, those of a session that is nobody's or a dead one's.
 *
 * Positions, all of them offsets of the log:
 *
 *   applied    the commands before it have been done to its rooms; doing some
 *              of them again changes nothing
 *   seen       the records for this session itself before it are handled
 *   born       where the socket came to be: no event before it was its own
 *   last       a client that got all that was handed out goes on here; no
 *              event before it is for this socket any more
 *   base_last  the same of an earlier moment: who stands there goes on at
 *   base_from    this offset; so a client that was quiet for longer than the
 *                log lasts can still say what it has got
 */

typedef struct {
    uint32_t                  state;           /* zone lock, written last */
    uint32_t                  told;            /* zone lock: behind the record
                                                  that tells the client that it
                                                  is a socket, in units of
                                                  SIO_RECORD_ALIGN, low bits;
                                                  held: 0, it has been met, and
                                                  the ready event sent */
    uint64_t                  owner;           /* CAS, see above */
    uint64_t                  applied;         /* held, but with the zone lock
                                                  to become _AT_CURSOR */
    uint64_t                  seen;            /* zone lock */
    uint64_t                  last;            /* held */
    uint64_t                  base_last;       /* held */
    uint64_t                  base_from;       /* held */
    uint64_t                  deadline;        /* zone lock: ms; of a session
                                                  without a WebSocket: the next
                                                  ping, or what a missing pong
                                                  or client ends; 0: none */
    u_char                    eio_sid[NGX_SIO_SID_LEN];
                                               /* [0] is 0: it has none */
    u_char                    sid[NGX_SIO_SID_LEN];
                                               /* [0] is 0: no socket */
    uint32_t                  user;            /* zone lock: index or 0 */
    uint32_t                  next_eio;        /* zone lock: chains of both */
    uint32_t                  next_sid;        /*   tables; free list: _eio; of
                                                  a branch: the next branch of
                                                  its transport */
    uint32_t                  kin;             /* zone lock: of a branch: its
                                                  transport, written last; of a
                                                  transport: its first branch,
                                                  a cache */
    uint32_t                  chunk;           /* zone lock: first chunk */
    uint32_t                  ping_interval;   /* ms; fixed */
    uint32_t                  ping_timeout;    /* ms; fixed */
    uint32_t                  connect_by;      /* zone lock: low bits of the ms
                                                  until which a transport needs
                                                  a socket; 0: it had one, or
                                                  whenever it likes */
    uint8_t                   poster;          /* zone lock: slot of the worker
                                                  that handles a POST of it */
    uint8_t                   connecter;       /* zone lock: slot of the worker
                                                  that waits for rooms on its
                                                  behalf while CONNECTING */
    uint8_t                   farewell;        /* zone lock: the stream that its
                                                  end is told to, or _LEFT; 0:
                                                  nobody is told, or was told */
    uint8_t                   reason;          /* held: why it ends, what the
                                                  caller's numbers mean; 0: the
                                                  transport is lost */
    uint16_t                  members;         /* zone lock: memberships, also
                                                  those that have ended */
    uint16_t                  nsp;
    uint16_t                  flags;           /* zone lock */
    uint8_t                   transport;       /* zone lock: a
                                                  sio_eio_transport_e, or 0 if
                                                  parked */
    uint8_t                   attachments;     /* zone lock: binary messages to
                                                  come, of a polling session */
    uint32_t                  partial;         /* zone lock: the packet that
                                                  they belong to */
    uint64_t                  born;            /* zone lock, see above */
    ngx_sio_member_sh_t       member[NGX_SIO_INLINE];
} ngx_sio_session_sh_t;

_Static_assert(sizeof(ngx_sio_session_sh_t) == 256, "size of a session");
_Static_assert(NGX_SIO_WORKERS < 256, "a slot fits into a byte");


/* Beside a session: for whom it counts.  24 bytes; see limit.h. */

typedef struct {
    uint64_t                  since;           /* zone lock: order in which
                                                  transports came to their
                                                  users */
    uint32_t                  address;         /* zone lock: keys for which */
    uint32_t                  user;            /*   this transport counts; 0 */
    uint32_t                  newer;           /* zone lock: the list of a */
    uint32_t                  older;           /*   user's transports; caches */
} ngx_sio_limit_sh_t;

_Static_assert(sizeof(ngx_sio_limit_sh_t) == 24, "size of a limit");


/* Beside a session: what its client may do; untouched if that is anything. */

typedef struct {
    uint64_t                  events;          /* atomic: when all tokens for
                                                  events are back, microseconds
                                                  */
    uint64_t                  refused;         /* atomic: the same of refused
                                                  ones */
} ngx_sio_rate_sh_t;

_Static_assert(sizeof(ngx_sio_rate_sh_t) == 16, "size of a rate");


/* An address or a user, with its transports.  24 bytes. */

typedef struct {
    uint64_t                  key;             /* zone lock: a hash; 0: free */
    uint32_t                  count;           /* zone lock; a cache */
    uint32_t                  first;           /* zone lock: of a user's; a
                                                  cache */
    uint32_t                  next;            /* zone lock: chain, free list */
    uint32_t                  reserved;
} ngx_sio_key_sh_t;

_Static_assert(sizeof(ngx_sio_key_sh_t) == 24, "size of a key");


#define NGX_SIO_STATS          48              /* counters of a worker */

#define NGX_SIO_WORKER_LIVE    1
#define NGX_SIO_WORKER_FENCED  2


/* A worker of this gateway; on cache lines of its own. */

typedef struct {
    pthread_mutex_t           alive;           /* robust, held for life: to get
                                                  it means the owner is dead */
    uint32_t                  state;           /* NGX_SIO_FREE, _LIVE, _FENCED;
                                                  zone and log lock to enter and
                                                  leave, CAS to fence, log lock
                                                  to unfence */
    uint32_t                  generation;      /* zone lock: grows with reuse */
    ngx_pid_t                 pid;             /* zone lock; for people only */
    ngx_int_t                 process_slot;    /* zone lock: its doorbell */
    uint64_t                  leaving;         /* owner: it is shutting down */
    uint64_t                  connections[2];  /* owner: WebSockets, polls */
    uint64_t                  stats[NGX_SIO_STATS];
                                               /* owner: see stats.h */

    uint64_t                  cursor           /* owner: all before this is */
                              ngx_sio_line_aligned;
                                               /*   delivered or owed by copy */
    uint32_t                  armed            /* atomic: ring me */
                              ngx_sio_line_aligned;
} ngx_sio_worker_sh_t;

_Static_assert(sizeof(ngx_sio_worker_sh_t) % NGX_SIO_LINE == 0
               && offsetof(ngx_sio_worker_sh_t, cursor) % NGX_SIO_LINE == 0
               && offsetof(ngx_sio_worker_sh_t, armed) % NGX_SIO_LINE == 0,
               "cursor and bell of a worker have a cache line each");


/* Where the feed stands: data and position become visible together. */

typedef struct {
    uint64_t                  from;            /* holds once the head is here */
    uint64_t                  run_id;          /* hash of Redis' run id */
    uint64_t                  heartbeat;       /* last heartbeat, 0: none yet */
    uint64_t                  since;           /* messages appended behind it */
    u_char                    stream_id[32];   /* last id of a stream feed */
} ngx_sio_feed_sh_t;

_Static_assert(sizeof(ngx_sio_feed_sh_t) == 64, "size of a feed position");
_Static_assert(sizeof(sio_record_t) == SIO_RECORD_ALIGN,
               "a record header fills the smallest piece of the log");


typedef struct {
    uint64_t                  epoch;           /* log lock: grows when taken */
    uint64_t                  deadline;        /* log lock: monotonic ms */
    uint32_t                  slot;            /* log lock: holder from 1, 0 */
    uint32_t                  standby;         /* log lock: from 1, or 0 */
    uint32_t                  live;            /* log lock: the feed delivers */
    uint32_t                  pad;
} ngx_sio_lease_sh_t;


/* Presence of the node: see online.h. */

typedef struct {
    uint64_t                  fence;           /* zone lock: grows when the
                                                  lease is taken */
    uint64_t                  deadline;        /* zone lock: ms */
    uint32_t                  slot;            /* zone lock: actor from 1, 0 */
    uint32_t                  on;              /* atomic: it is configured */
    uint64_t                  changes;         /* zone lock; readers acquire:
                                                  something may have to be told
                                                  of since the last value */
    uint64_t                  last;            /* zone lock: behind the last of
                                                  its records in the log */
    uint64_t                  transitions;     /* zone lock: how many there were
                                                  for status */
    uint64_t                  flaps;           /* zone lock: users who were back
                                                  before their time was over */
    uint64_t                  warned;          /* atomic: ms of the last line on
                                                  users that are not listed */
    uint32_t                  held;            /* zone lock: users with any, */
    uint32_t                  local;           /*   with LOCAL, */
    uint32_t                  announced;       /*   with ANNOUNCED; caches */
} ngx_sio_presence_sh_t;


/* What Redis says of the cluster; see core/ngx_sio_presence_redis.h. */

typedef struct {
    uint64_t                  epoch;           /* zone lock: of its data; 0: not
                                                  known yet */
    uint64_t                  version;         /* zone lock: the latest in it */
    uint64_t                  users;           /* zone lock: who are online */
    uint64_t                  transitions;     /* zone lock: these count users
                                                  that came or went, */
    uint64_t                  expired;         /*   nodes that this one found
                                                  dead, */
    uint64_t                  refetches;       /*   lists read for a hole */
    uint64_t                  away;            /* zone lock: since when (ms) it
                                                  counts as away; 0: it does
                                                  not */
    uint64_t                  applied;         /* atomic: ms at which the list
                                                  here was that of Redis last */
    uint64_t                  ready;           /* atomic: epoch of the zone in
                                                  which a list was announced */
} ngx_sio_cluster_sh_t;


/*
 * An event that asks for answers.  Its ack id is unique for the life of the
 * zone, and cannot be guessed; its low bits are the place here.
 */

#define NGX_SIO_ASKED          256

typedef struct {
    uint64_t                  id;              /* atomic: 0: none */
    uint64_t                  deadline;        /* atomic: ms; no answer counts
                                                  from then on */
} ngx_sio_asked_sh_t;


/* A namespace; its place in the zone is its number in records of all kinds. */

typedef struct {
    uint16_t                  len;
    u_char                    name[NGX_SIO_NSP_LEN];
} ngx_sio_nsp_sh_t;

_Static_assert(sizeof(ngx_sio_nsp_sh_t) == 128, "size of a namespace");


/* A stream for farewells; its place is its number. */

typedef struct {
    uint16_t                  len;             /* of the key */
    uint16_t                  maxlen_len;      /* 0: unbounded */
    u_char                    maxlen[NGX_SIO_MAXLEN_LEN];
    u_char                    key[NGX_SIO_STREAM_LEN];
} ngx_sio_stream_sh_t;

_Static_assert(sizeof(ngx_sio_stream_sh_t) == 256, "size of a stream");


/* Farewells, see farewell.h. */

typedef struct {
    uint32_t                  first;           /* zone lock; readers acquire:
                                                  index of a chunk or 0 */
    uint32_t                  last;            /* zone lock: caches */
    uint32_t                  waiting;
    uint32_t                  nstreams;        /* zone lock, written last; those
                                                  below it never change */
    uint64_t                  lost;            /* atomic: there was no room */
    uint64_t                  warned;          /* atomic: ms of the last line */
    ngx_sio_stream_sh_t       streams[NGX_SIO_STREAMS];
} ngx_sio_farewells_sh_t;


typedef struct {
    uint32_t                  magic;
    uint32_t                  layout;
    uint64_t                  size;            /* of the formatted memory */
    uint64_t                  log_size;        /* power of two not required */
    uint64_t                  seed;            /* of all hashes */
    uint64_t                  epoch;           /* random; changes if all
                                                  sessions were lost */
    u_char                    node[NGX_SIO_NODE_LEN];
    uint32_t                  node_len;
    uint32_t                  sid_counter;     /* atomic */

    uint32_t                  nsessions;       /* records of each array, */
    uint32_t                  nrooms;          /*   without index 0 */
    uint32_t                  nusers;
    uint32_t                  nchunks;
    uint32_t                  ntails;

    uint32_t                  top_session;     /* zone lock: last record that */
    uint32_t                  top_room;        /*   was ever in use; those */
    uint32_t                  top_user;        /*   behind were never touched */
    uint32_t                  top_chunk;
    uint32_t                  top_tail;
    uint32_t                  top_worker;      /* zone lock; readers acquire */
    uint32_t                  free_session;    /* zone lock: free lists */
    uint32_t                  free_room;
    uint32_t                  free_user;
    uint32_t                  free_chunk;
    uint32_t                  free_tail;
    uint32_t                  live_sessions;   /* zone lock: counts, caches */
    uint32_t                  live_rooms;
    uint32_t                  live_users;
    uint32_t                  live_chunks;
    uint32_t                  live_tails;
    uint32_t                  live_polling;    /*   sessions that poll */
    uint32_t                  live_parked;
    uint32_t                  live_branches;
    uint64_t                  live_members;

    uint32_t                  nkeys;           /* see limit.h: keys, */
    uint32_t                  top_key;         /* zone lock: those ever used, */
    uint32_t                  free_key;        /*   the free list */
    uint64_t                  limit_serial;    /* zone lock: last "since" */

    uint32_t                  emptying;        /* zone lock: repair has given
                                                  all records up */

    ngx_sio_nsp_sh_t          nsps[NGX_SIO_NAMESPACES];
    uint32_t                  nnsps;           /* zone lock, written last; those
                                                  below it never change */

    ngx_sio_farewells_sh_t    farewells;

    ngx_sio_asked_sh_t        asked[NGX_SIO_ASKED];
    uint32_t                  asks;            /* atomic: how many there were */

    ngx_sio_presence_sh_t     presence;
    ngx_sio_cluster_sh_t      cluster;

    uint64_t                  created;         /* ms, when it was formatted */
    uint64_t                  swept;           /* atomic: ms of the last sweep
                                                  of sessions without owner */
    uint64_t                  stats[NGX_SIO_STATS];
                                               /* zone lock: the counters of
                                                  workers that are gone */

    uint64_t                  repairs;         /* zone lock: for status */
    uint64_t                  refused;         /* atomic: zone was full */
    uint64_t                  gaps;            /* atomic: feed gaps */
    uint64_t                  fences;          /* atomic: workers fenced */
    uint64_t                  warned;          /* atomic: ms of the last line
                                                  about a full zone */

    pthread_mutex_t           lock             /* the zone lock */
                              ngx_sio_line_aligned;

    pthread_mutex_t           log_lock         /* the log lock */
                              ngx_sio_line_aligned;
    uint64_t                  floor;           /* log lock: no cursor that
                                                  counts is below; a cache */
    ngx_sio_lease_sh_t        lease;
    ngx_sio_feed_sh_t         feed[2];         /* log lock, see log.h */

    uint64_t                  tail             /* log lock; readers acquire: */
                              ngx_sio_line_aligned;
                                               /*   what is below is gone */
    uint64_t                  head             /* log lock; readers acquire: */
                              ngx_sio_line_aligned;
                                               /*   what is here is not
                                                    written */

    ngx_sio_worker_sh_t       workers[NGX_SIO_WORKERS];   /* slot 1 is [0] */
} ngx_sio_zone_sh_t;

_Static_assert(offsetof(ngx_sio_zone_sh_t, tail) % NGX_SIO_LINE == 0
               && offsetof(ngx_sio_zone_sh_t, head) % NGX_SIO_LINE == 0
               && offsetof(ngx_sio_zone_sh_t, workers) % NGX_SIO_LINE == 0
               && offsetof(ngx_sio_zone_sh_t, head)
                  - offsetof(ngx_sio_zone_sh_t, tail) >= NGX_SIO_LINE,
               "head and tail have a cache line each");


/* A process's view of a zone: plain pointers, made again by attach. */

typedef struct {
    ngx_sio_zone_sh_t        *sh;
    ngx_sio_session_sh_t     *sessions;        /* [1 .. nsessions] */
    ngx_sio_name_sh_t        *rooms;
    ngx_sio_name_sh_t        *users;
    ngx_sio_online_sh_t      *online;          /* of the user with this index */
    ngx_sio_tail_sh_t        *tails;
    ngx_sio_chunk_sh_t       *chunks;
    ngx_sio_limit_sh_t       *limits;          /* of the session with this
                                                  index */
    ngx_sio_key_sh_t         *keys;
    ngx_sio_rate_sh_t        *rates;           /* of the session with this
                                                  index */
    uint32_t                 *key_table;       /* see table.h */
    uint32_t                 *eio_table;
    uint32_t                 *sid_table;
    uint32_t                 *room_table;
    uint32_t                 *user_table;
    u_char                   *log;             /* log_size bytes */
    uint64_t                  log_size;
    uint64_t                  lap;             /* log.c: last multiple of
                                                  log_size that was met */
    uint64_t                  seen;            /* log.c: a head that was met */
    pthread_mutex_t          *stuck;           /* a lock that was not to be had,
                                                  and is not waited for until */
    uint64_t                  stuck_until;     /*   this, ms */
    ngx_uint_t                slot;            /* the caller's, or 0: who leaves
                                                  a farewell */
    uint64_t                  epoch;           /* sh->epoch when attached, or
                                                  what the caller set; see
                                                  ngx_sio_zone_lost() */
} ngx_sio_zone_t;


/*
 * Formats size bytes of zeroed memory, aligned to 64, and attaches to it.
 * log_size is rounded down to a multiple of 64.  The rest is divided among
 * the arrays for a typical user of 5 rooms.  node is cut to NGX_SIO_NODE_LEN.
 * NGX_OK, or NGX_ERROR if the memory is too small for the log and at least
 * 16 sessions.
 */
ngx_int_t ngx_sio_zone_format(ngx_sio_zone_t *z, void *mem, size_t size,
    size_t log_size, ngx_str_t *node);

/*
 * Makes the view of memory that was formatted before, changing nothing in it.
 * NGX_OK, or NGX_DECLINED if it has another layout, size or log size.
 */
ngx_int_t ngx_sio_zone_attach(ngx_sio_zone_t *z, void *mem, size_t size,
    size_t log_size);

/*
 * Takes the zone lock.  NGX_OK (after a repair if its last holder died), or
 * NGX_BUSY if a holder has not let go for NGX_SIO_LOCK_TIMEOUT: temporary
 * trouble, nothing is locked.
 */
ngx_int_t ngx_sio_zone_lock(ngx_sio_zone_t *z);
void ngx_sio_zone_unlock(ngx_sio_zone_t *z);

/* The same for the log lock, whose state needs no repair (see log.h). */
ngx_int_t ngx_sio_zone_log_lock(ngx_sio_zone_t *z);
void ngx_sio_zone_log_unlock(ngx_sio_zone_t *z);

/*
 * True if all sessions were lost since the view was made or the caller set
 * z->epoch = z->sh->epoch, which it does when it has closed all clients.  Until
 * then no session is opened through this view and calls on old ones, whose
 * records may be somebody else's by now, have no effect.
 */
#define ngx_sio_zone_lost(z)                                                  \
    ((z)->epoch != ngx_sio_load(&(z)->sh->epoch))

/* Chunks, with the zone lock held.  0 if none is left; the content of a new
 * one is zero and it is LIVE: nothing but its reachability makes it used. */
uint32_t ngx_sio_zone_chunk_locked(ngx_sio_zone_t *z);
void ngx_sio_zone_chunk_free_locked(ngx_sio_zone_t *z, uint32_t i);

/* Draws a number other than 0.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_sio_zone_random(uint64_t *n);

/* Initialises a robust, process-shared mutex. */
ngx_int_t ngx_sio_zone_mutex_init(pthread_mutex_t *m);

/* Monotonic milliseconds, the same in all processes of the machine. */
uint64_t ngx_sio_zone_now(void);


/*
 * Every store to shared memory whose order matters to repair is followed by a
 * step: the compiler moves no access across it.  (What the CPU moves does not
 * matter, a dead process has executed all of its stores or none.)  In a build
 * with NGX_SIO_FAULTS a test may kill the process there, and may have a record,
 * or room in the log, refused as if there was none left.
 */

#if (NGX_SIO_FAULTS)
extern void (*ngx_sio_fault_step)(const char *file, int line);
#define ngx_sio_step()                                                        \
    do {                                                                      \
        __atomic_signal_fence(__ATOMIC_SEQ_CST);                              \
        if (ngx_sio_fault_step) {                                             \
            ngx_sio_fault_step(__FILE__, __LINE__);                           \
        }                                                                     \
    } while (0)

#define NGX_SIO_REFUSE_POOL   0x2      /* what the faults of tests know */
#define NGX_SIO_REFUSE_STORE  0x4
extern int (*ngx_sio_fault_refuse)(unsigned what);
#define ngx_sio_refused(what)                                                 \
    (ngx_sio_fault_refuse && ngx_sio_fault_refuse(NGX_SIO_REFUSE_##what))
#else
#define ngx_sio_step()        __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define ngx_sio_refused(what)  0
#endif

/* Atomic accesses with the ordering that the protocols above ask for. */

#define ngx_sio_load(p)       __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define ngx_sio_store(p, v)   __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define ngx_sio_fence()       __atomic_thread_fence(__ATOMIC_SEQ_CST)


#endif /* _NGX_SIO_ZONE_H_INCLUDED_ */
