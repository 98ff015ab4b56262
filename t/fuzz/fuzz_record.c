
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "fuzz.h"
#include "sio_hash.h"
#include "sio_record.h"


/*
 * The input is the head of a record that may be damaged, and then a message to
 * make a record of: a head of 12 bytes, lengths, and whatever follows as the
 * bytes of its names and parts.
 */


#define NAMES  48
#define PARTS  (SIO_RECORD_PARTS + 1)


/* A head that passes says nothing that does not fit. */

static void
check_head(const uint8_t *p, size_t len)
{
    sio_record_t  rec;

    if (len < sizeof(sio_record_t)) {
        return;
    }

    memcpy(&rec, p, sizeof(sio_record_t));

    if (!sio_record_sane(&rec, len)) {
        return;
    }

    fuzz_check(rec.size >= sizeof(sio_record_t) && rec.size <= len
               && rec.size % SIO_RECORD_ALIGN == 0);
    fuzz_check(sio_record_names(&rec) <= SIO_RECORD_NAMES
               && rec.parts <= SIO_RECORD_PARTS
               && rec.type <= SIO_RECORD_REFRESH);
    fuzz_check(rec.names_len >= sio_record_names(&rec)
               && rec.names_len <= sio_record_names(&rec) * SIO_ROOM_LEN);
    fuzz_check(sio_record_parts_at(&rec) + rec.parts_len <= rec.size);
}


static size_t
take(const uint8_t **p, const uint8_t *last)
{
    return *p < last ? *(*p)++ : 0;
}


/* A view of what is left, of len bytes at most. */

static sio_str_t
view(const uint8_t **p, const uint8_t *last, size_t len)
{
    sio_str_t  s;

    s.data = *p;
    s.len = (len < (size_t) (last - *p)) ? len : (size_t) (last - *p);

    *p += s.len;

    return s;
}


static void
build(sio_message_t *m, const uint8_t *p, const uint8_t *last)
{
    unsigned  i;

    m->type = take(&p, last) % (SIO_RECORD_REFRESH + 2);
    m->flags = take(&p, last);
    m->nsp = take(&p, last);
    m->rooms = take(&p, last) % (NAMES / 3 + 1);
    m->except = take(&p, last) % (NAMES / 3 + 1);
    m->args = take(&p, last) % (NAMES / 3 + 1);
    m->parts = take(&p, last) % (PARTS + 1);
    m->arg = take(&p, last);

    for (i = 0; i < (unsigned) m->rooms + m->except + m->args; i++) {
        m->names[i] = view(&p, last, take(&p, last) * 3);
    }

    for (i = 0; i < m->parts; i++) {
        m->part[i] = view(&p, last, take(&p, last) * 5);
    }
}


static void
check_names(const sio_record_t *rec, const sio_message_t *m, uint64_t seed)
{
    unsigned              i;
    uint64_t              hash;
    sio_str_t             name;
    const uint64_t       *hashes;

    hashes = sio_record_hashes(rec);

    for (i = 0; i < sio_record_names(rec); i++) {
        name = sio_record_name(rec, i);
        hash = sio_hash(seed, name.data, name.len);

        fuzz_check(fuzz_equal(name.data, name.len, m->names[i].data,
                              m->names[i].len));
        fuzz_check(hashes[i] == hash);
    }
}


static void
check_parts(const sio_record_t *rec, const sio_message_t *m)
{
    unsigned              i;
    const uint32_t       *lens;
    const unsigned char  *p, *last;

    p = (const unsigned char *) rec + sio_record_parts_at(rec);
    last = (const unsigned char *) rec + rec->size;
    lens = sio_record_part_lens(rec);

    for (i = 0; i < rec->parts; i++) {
        fuzz_check(fuzz_equal(p, lens[i], m->part[i].data, m->part[i].len));
        p += lens[i];
    }

    fuzz_check(last - p < SIO_RECORD_ALIGN);

    while (p < last) {
        fuzz_check(*p++ == 0);
    }
}


static void
check_encode(const uint8_t *p, size_t len)
{
    sio_rc_t             rc;
    sio_buf_t            b;
    sio_str_t            names[NAMES], part[PARTS];
    sio_message_t        m;
    const sio_record_t  *rec;

    memset(&b, 0, sizeof(sio_buf_t));
    memset(&m, 0, sizeof(sio_message_t));

    m.names = names;
    m.part = part;

    build(&m, p, p + len);

    rc = sio_record_encode(&b, &m, len, SIZE_MAX);

    fuzz_check(rc == SIO_OK || (rc != SIO_NOMEM && b.len == 0));

    if (rc != SIO_OK) {
        return;
    }

    rec = (const sio_record_t *) b.data;

    fuzz_check(rec->size == b.len && sio_record_sane(rec, b.len)
               && !sio_record_sane(rec, b.len - 1));
    fuzz_check(rec->type == m.type && rec->flags == m.flags
               && rec->nsp == m.nsp && rec->arg == m.arg
               && rec->rooms == m.rooms && rec->except == m.except
               && rec->args == m.args && rec->parts == m.parts
               && rec->offset == 0);

    check_names(rec, &m, len);
    check_parts(rec, &m);

    /* it fits exactly, and nowhere that is smaller */

    len = b.len;

    fuzz_check(sio_record_encode(&b, &m, 0, len - 1) == SIO_LIMIT
               && b.len == len);
    fuzz_check(sio_record_encode(&b, &m, 0, len) == SIO_OK
               && b.len == 2 * len);

    sio_buf_free(&b);
}


int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    check_head(p, len);
    check_encode(p, len);

    return 0;
}
