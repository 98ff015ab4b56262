
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_RECORD_H_INCLUDED_
#define _SIO_RECORD_H_INCLUDED_


#include "sio_buf.h"


/*
 * What the log holds.  A record is one packet for clients, encoded for the
 * wire, or one command, with the rooms that it addresses.  Layout:
 *
 *   header                          64 bytes
 *   hashes of rooms, except, args   8 bytes each
 *   lengths of the same names       2 bytes each, padded to 4
 *   lengths of the parts            4 bytes each
 *   the names, then the parts       bytes, without separators
 *   padding                         up to a multiple of SIO_RECORD_ALIGN
 *
 * Everything is in the byte order of the machine: a log never leaves it.
 */


#define SIO_RECORD_ALIGN  64
#define SIO_RECORD_NAMES  1024     /* most names of one record, all lists */
#define SIO_RECORD_PARTS  11       /* the text and its attachments */
#define SIO_ROOM_LEN      512      /* longest room name, bytes */


typedef enum {
    SIO_RECORD_PAD = 0,         /* skips the rest of the ring */
    SIO_RECORD_EMIT,            /* parts: a packet for the members of rooms */
    SIO_RECORD_JOIN,            /* args: rooms that the addressed enter */
    SIO_RECORD_LEAVE,           /* args: rooms that the addressed leave */
    SIO_RECORD_DISCONNECT,      /* the addressed are sent DISCONNECT */
    SIO_RECORD_FEED,            /* the feed came, went, or moved: flags */
    SIO_RECORD_SESSION,         /* for the owner of the session whose Engine.IO
                                   id is the only room; parts: packets of
                                   Engine.IO, all of them text */
    SIO_RECORD_ACK,             /* the socket whose id is the only room has
                                   answered the event with ack id "arg"; parts:
                                   the JSON array of the answer */
    SIO_RECORD_PARTIAL,         /* for nobody: a packet, attachments of which
                                   are yet to come, kept for the session whose
                                   Engine.IO id is the only room */
    SIO_RECORD_REFRESH          /* the room sets of the addressed are read
                                   again */
} sio_record_type_e;


#define SIO_RECORD_VOLATILE  0x01    /* EMIT: drop it for a busy client */
#define SIO_RECORD_BARE      0x02    /* EMIT: it never carries an offset: it
                                        has an ack id, or is an ACK */
#define SIO_RECORD_PRESENCE  0x04    /* EMIT: the user who is the only arg is
                                        online if "arg" is 1, offline if 0 */
#define SIO_RECORD_CLOSE     0x02    /* DISCONNECT: close the transport too;
                                        SESSION: close it for reason "arg" */
#define SIO_RECORD_UP        0x04    /* FEED: the feed delivers from here on */
#define SIO_RECORD_DOWN      0x08    /* FEED: it does not, until the next UP */
#define SIO_RECORD_GAP       0x10    /* FEED: messages before this were lost */
#define SIO_RECORD_QUIET     0x20    /* DISCONNECT: the client knows, it left */
#define SIO_RECORD_CONNECTED 0x40    /* SESSION: it has become a socket */
#define SIO_RECORD_RELEASE   0x80    /* SESSION: let it go, whoever has it as
                                        "arg" says; the second room is the id of
                                        its socket, if there is one */


typedef struct {
    uint64_t     offset;        /* its own place in the log, set by append */
    uint32_t     size;          /* whole record, multiple of the alignment */
    uint8_t      type;          /* a sio_record_type_e */
    uint8_t      flags;
    uint16_t     nsp;           /* index of the namespace in the gateway */
    uint16_t     rooms;         /* names addressed; none: all sockets */
    uint16_t     except;        /* names whose members are left out */
    uint16_t     args;          /* names to join or to leave */
    uint16_t     parts;         /* EMIT: the text, then its attachments */
    uint32_t     names_len;     /* bytes of all names */
    uint32_t     parts_len;     /* bytes of all parts */
    uint64_t     heartbeat;     /* feed position behind this record */
    uint32_t     since;         /*   messages since that heartbeat */
    uint32_t     lease;         /*   epoch of the lease it was written under */
    uint64_t     time;          /* monotonic milliseconds of the append */
    uint64_t     arg;           /* ACK; SESSION with CLOSE, RELEASE;
                                   EMIT with PRESENCE */
} sio_record_t;


/* A packet or command before it is a record; all views are the caller's. */

typedef struct {
    uint8_t      type;
    uint8_t      flags;
    uint16_t     nsp;
    uint16_t     rooms;         /* names[0 .. rooms) */
    uint16_t     except;        /* names[rooms .. rooms + except) */
    uint16_t     args;          /* the rest of names */
    uint16_t     parts;
    uint64_t     arg;
    sio_str_t   *names;
    sio_str_t   *part;
} sio_message_t;


/* Accessors for a record image (header first) that is known to be whole. */

#define sio_record_hashes(rec)                                                \
    ((const uint64_t *) ((const unsigned char *) (rec)                        \
                         + sizeof(sio_record_t)))

#define sio_record_names(rec)                                                 \
    ((unsigned) (rec)->rooms + (rec)->except + (rec)->args)

/* Bytes in front of the names: header, hashes and both length tables. */
#define sio_record_tables_len(rec)                                            \
    (sizeof(sio_record_t) + (size_t) sio_record_names(rec) * 8                \
     + (((size_t) sio_record_names(rec) * 2 + 3) & ~(size_t) 3)               \
     + (size_t) (rec)->parts * 4)

/* Bytes in front of the first part. */
#define sio_record_parts_at(rec)                                              \
    (sio_record_tables_len(rec) + (rec)->names_len)

#define sio_record_name_lens(rec)                                             \
    ((const uint16_t *) (sio_record_hashes(rec) + sio_record_names(rec)))

#define sio_record_part_lens(rec)                                             \
    ((const uint32_t *) ((const unsigned char *) sio_record_name_lens(rec)    \
                         + (((size_t) sio_record_names(rec) * 2 + 3)          \
                            & ~(size_t) 3)))


/*
 * Appends the record of m to b, hashed with seed, its size padded, offset and
 * position zero.  SIO_OK; SIO_NOMEM; SIO_LIMIT if the record were larger than
 * max bytes or has too many names or parts; SIO_ERROR for a name that is
 * empty or longer than SIO_ROOM_LEN, for a type that there is not, for a
 * SESSION with other names than one or two rooms, and an ACK or PARTIAL with
 * other than one.  On failure b is as it was.
 */
sio_rc_t sio_record_encode(sio_buf_t *b, const sio_message_t *m,
    uint64_t seed, size_t max);

/*
 * Gives name i (of all lists, in order rooms, except, args) of a record whose
 * first sio_record_parts_at() bytes are at rec.  It adds up the lengths of the
 * names before, so it is cheap for the first few only.
 */
sio_str_t sio_record_name(const sio_record_t *rec, unsigned i);

/*
 * True if the numbers in a header fit together and into size: used by readers
 * as a guard, and by repair.
 */
int sio_record_sane(const sio_record_t *rec, size_t max);


#endif /* _SIO_RECORD_H_INCLUDED_ */
