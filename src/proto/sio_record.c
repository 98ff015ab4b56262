
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_record.h"
#include "sio_hash.h"

#include <string.h>


#define sio_record_align(n)                                                   \
    (((n) + (SIO_RECORD_ALIGN - 1)) & ~(size_t) (SIO_RECORD_ALIGN - 1))


_Static_assert(sizeof(sio_record_t) == 64, "layout of sio_record_t");


static int sio_record_counts(const sio_record_t *rec);
static int sio_record_kind(const sio_record_t *rec);
static sio_rc_t sio_record_measure(sio_record_t *rec, const sio_message_t *m,
    size_t max);
static void sio_record_write(unsigned char *p, const sio_record_t *rec,
    const sio_message_t *m, uint64_t seed);


sio_rc_t
sio_record_encode(sio_buf_t *b, const sio_message_t *m, uint64_t seed,
    size_t max)
{
    sio_rc_t      rc;
    sio_record_t  rec;

    memset(&rec, 0, sizeof(sio_record_t));

    rec.type = m->type;
    rec.flags = m->flags;
    rec.nsp = m->nsp;
    rec.rooms = m->rooms;
    rec.except = m->except;
    rec.args = m->args;
    rec.parts = m->parts;
    rec.arg = m->arg;

    if (!sio_record_counts(&rec)) {
        return SIO_LIMIT;
    }

    if (!sio_record_kind(&rec)) {
        return SIO_ERROR;
    }

    rc = sio_record_measure(&rec, m, max);

    if (rc != SIO_OK) {
        return rc;
    }

    if (sio_buf_reserve(b, rec.size) != SIO_OK) {
        return SIO_NOMEM;
    }

    sio_record_write(b->data + b->len, &rec, m, seed);
    b->len += rec.size;

    return SIO_OK;
}


static int
sio_record_counts(const sio_record_t *rec)
{
    return sio_record_names(rec) <= SIO_RECORD_NAMES
           && rec->parts <= SIO_RECORD_PARTS;
}


/* What is for one session names it, and at most its socket. */

static int
sio_record_kind(const sio_record_t *rec)
{
    switch (rec->type) {

    case SIO_RECORD_SESSION:
        return (rec->rooms == 1 || rec->rooms == 2)
               && rec->except == 0 && rec->args == 0;

    case SIO_RECORD_ACK:
    case SIO_RECORD_PARTIAL:
        return rec->rooms == 1 && rec->except == 0 && rec->args == 0;

    case SIO_RECORD_REFRESH:
        return rec->args == 0 && rec->parts == 0;

    default:
        return rec->type < SIO_RECORD_SESSION;
    }
}


/* Checks the lengths of names and parts and adds them up. */

static sio_rc_t
sio_record_measure(sio_record_t *rec, const sio_message_t *m, size_t max)
{
    size_t    size;
    unsigned  i;

    for (i = 0; i < sio_record_names(rec); i++) {

        if (m->names[i].len == 0 || m->names[i].len > SIO_ROOM_LEN) {
            return SIO_ERROR;
        }

        rec->names_len += m->names[i].len;
    }

    if (max > UINT32_MAX) {
        max = UINT32_MAX;
    }

    size = sio_record_parts_at(rec);

    for (i = 0; i < rec->parts; i++) {

        if (size > max || m->part[i].len > max - size) {
            return SIO_LIMIT;
        }

        size += m->part[i].len;
        rec->parts_len += m->part[i].len;
    }

    size = sio_record_align(size);

    if (size > max) {
        return SIO_LIMIT;
    }

    rec->size = size;

    return SIO_OK;
}


/* Nothing is known about the alignment of p. */

static void
sio_record_write(unsigned char *p, const sio_record_t *rec,
    const sio_message_t *m, uint64_t seed)
{
    unsigned        i, n;
    uint16_t        name_len;
    uint32_t        part_len;
    uint64_t        hash;
    unsigned char  *hashes, *lens, *bytes, *last;

    last = p + rec->size;
    n = sio_record_names(rec);
    hashes = p + sizeof(sio_record_t);
    lens = hashes + (size_t) n * 8;
    bytes = p + sio_record_tables_len(rec);

    memcpy(p, rec, sizeof(sio_record_t));

    for (i = 0; i < n; i++) {
        hash = sio_hash(seed, m->names[i].data, m->names[i].len);
        name_len = m->names[i].len;

        memcpy(hashes + (size_t) i * 8, &hash, 8);
        memcpy(lens, &name_len, 2);
        memcpy(bytes, m->names[i].data, name_len);

        lens += 2;
        bytes += name_len;
    }

    if (n & 1) {
        memset(lens, 0, 2);
        lens += 2;
    }

    for (i = 0; i < rec->parts; i++) {
        part_len = m->part[i].len;

        memcpy(lens, &part_len, 4);

        if (part_len) {
            memcpy(bytes, m->part[i].data, part_len);
        }

        lens += 4;
        bytes += part_len;
    }

    memset(bytes, 0, last - bytes);
}


sio_str_t
sio_record_name(const sio_record_t *rec, unsigned i)
{
    unsigned         n;
    sio_str_t        name;
    const uint16_t  *lens;

    lens = sio_record_name_lens(rec);

    name.data = (const unsigned char *) rec + sio_record_tables_len(rec);
    name.len = lens[i];

    for (n = 0; n < i; n++) {
        name.data += lens[n];
    }

    return name;
}


int
sio_record_sane(const sio_record_t *rec, size_t max)
{
    size_t    size;
    unsigned  n;

    if (rec->size == 0 || rec->size % SIO_RECORD_ALIGN || rec->size > max
        || !sio_record_counts(rec) || !sio_record_kind(rec))
    {
        return 0;
    }

    n = sio_record_names(rec);

    if (rec->names_len < n || rec->names_len > n * SIO_ROOM_LEN
        || (rec->parts == 0 && rec->parts_len > 0))
    {
        return 0;
    }

    size = sio_record_parts_at(rec) + (size_t) rec->parts_len;

    /* padding may be of any length, everything else is as long as it says */

    if (rec->type == SIO_RECORD_PAD) {
        return size <= rec->size;
    }

    return sio_record_align(size) == rec->size;
}
