
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sio_hash.h"
#include "sio_record.h"

#include <stdlib.h>
#include <string.h>


#define SEED  0x5eedULL
#define MAX   (1 << 20)


static sio_str_t
str(const char *text)
{
    sio_str_t  s;

    s.len = strlen(text);
    s.data = (const unsigned char *) text;

    return s;
}


/* Reads a record back, following the layout of the header by hand. */

static void
check(const sio_buf_t *b, size_t at, const sio_message_t *m)
{
    size_t                i, n, size;
    sio_str_t             name;
    const uint16_t       *name_lens;
    const uint32_t       *part_lens;
    const unsigned char  *p, *image;
    const sio_record_t   *rec;

    image = b->data + at;
    rec = (const sio_record_t *) image;
    n = m->rooms + m->except + m->args;

    assert_int_equal(rec->offset, 0);
    assert_int_equal(rec->heartbeat, 0);
    assert_int_equal(rec->since, 0);
    assert_int_equal(rec->lease, 0);
    assert_int_equal(rec->time, 0);
    assert_true(rec->arg == m->arg);
    assert_int_equal(rec->type, m->type);
    assert_int_equal(rec->flags, m->flags);
    assert_int_equal(rec->nsp, m->nsp);
    assert_int_equal(rec->rooms, m->rooms);
    assert_int_equal(rec->except, m->except);
    assert_int_equal(rec->args, m->args);
    assert_int_equal(rec->parts, m->parts);
    assert_int_equal(rec->size, b->len - at);
    assert_int_equal(rec->size % SIO_RECORD_ALIGN, 0);

    name_lens = (const uint16_t *) (image + 64 + n * 8);
    part_lens = (const uint32_t *) (image + 64 + n * 8 + (n + (n & 1)) * 2);
    p = (const unsigned char *) (part_lens + m->parts);

    assert_ptr_equal(sio_record_name_lens(rec), name_lens);
    assert_ptr_equal(sio_record_part_lens(rec), part_lens);
    assert_int_equal(sio_record_tables_len(rec), p - image);

    if (n & 1) {
        assert_int_equal(name_lens[n], 0);
    }

    for (size = 0, i = 0; i < n; i++) {
        assert_int_equal(name_lens[i], m->names[i].len);
        assert_memory_equal(p, m->names[i].data, m->names[i].len);
        assert_true(sio_record_hashes(rec)[i]
                    == sio_hash(SEED, m->names[i].data, m->names[i].len));

        name = sio_record_name(rec, i);
        assert_ptr_equal(name.data, p);
        assert_int_equal(name.len, m->names[i].len);

        p += name.len;
        size += name.len;
    }

    assert_int_equal(rec->names_len, size);
    assert_int_equal(sio_record_parts_at(rec), p - image);

    for (size = 0, i = 0; i < m->parts; i++) {
        assert_int_equal(part_lens[i], m->part[i].len);

        if (part_lens[i]) {
            assert_memory_equal(p, m->part[i].data, m->part[i].len);
        }

        p += part_lens[i];
        size += part_lens[i];
    }

    assert_int_equal(rec->parts_len, size);
    assert_true(image + rec->size - p < SIO_RECORD_ALIGN);

    while (p < image + rec->size) {
        assert_int_equal(*p++, 0);
    }

    assert_true(sio_record_sane(rec, rec->size));
    assert_false(sio_record_sane(rec, rec->size - 1));
}


static void
test_header_size(void **state)
{
    assert_int_equal(sizeof(sio_record_t), 64);
    assert_int_equal(offsetof(sio_record_t, heartbeat), 32);
}


static void
test_emit(void **state)
{
    sio_buf_t      b;
    sio_str_t      names[3], parts[3];
    sio_message_t  m;

    memset(&b, 0, sizeof(sio_buf_t));
    memset(&m, 0, sizeof(sio_message_t));

    names[0] = str("room1");
    names[1] = str("another room");
    names[2] = str("bxSlDIguDLlZxhpzAAAA");
    parts[0] = str("452-[\"e\",{\"_placeholder\":true,\"num\":0}]");
    parts[1] = str("");
    parts[2] = str("binary");

    m.type = SIO_RECORD_EMIT;
    m.flags = SIO_RECORD_VOLATILE;
    m.nsp = 7;
    m.rooms = 2;
    m.except = 1;
    m.parts = 3;
    m.names = names;
    m.part = parts;

    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_OK);
    assert_int_equal(b.len, 192);
    check(&b, 0, &m);

    /* a second one goes behind the first */

    m.parts = 1;
    m.except = 0;

    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_OK);
    check(&b, 192, &m);

    sio_buf_free(&b);
}


static void
test_bare(void **state)
{
    sio_buf_t      b;
    sio_message_t  m;

    memset(&b, 0, sizeof(sio_buf_t));
    memset(&m, 0, sizeof(sio_message_t));

    m.type = SIO_RECORD_FEED;
    m.flags = SIO_RECORD_UP | SIO_RECORD_GAP;

    assert_int_equal(sio_record_encode(&b, &m, SEED, 64), SIO_OK);
    assert_int_equal(b.len, 64);
    check(&b, 0, &m);

    b.len = 0;
    assert_int_equal(sio_record_encode(&b, &m, SEED, 63), SIO_LIMIT);
    assert_int_equal(b.len, 0);

    sio_buf_free(&b);
}


/* Every mix of counts and sizes, with the last part longer by one each time. */

static void
test_layouts(void **state)
{
    size_t         len;
    unsigned       i, names_n, parts_n;
    sio_buf_t      b;
    sio_str_t      names[6], parts[SIO_RECORD_PARTS];
    sio_message_t  m;
    unsigned char  data[600];

    memset(data, 'x', sizeof(data));
    memset(&b, 0, sizeof(sio_buf_t));
    memset(&m, 0, sizeof(sio_message_t));

    m.type = SIO_RECORD_EMIT;
    m.names = names;
    m.part = parts;

    for (names_n = 0; names_n <= 6; names_n++) {

        for (i = 0; i < names_n; i++) {
            names[i].data = data;
            names[i].len = i == 5 ? SIO_ROOM_LEN : 1 + i * 3;
        }

        m.rooms = names_n / 3;
        m.except = (names_n + 1) / 3;
        m.args = (names_n + 2) / 3;

        for (parts_n = 0; parts_n <= SIO_RECORD_PARTS; parts_n++) {
            m.parts = parts_n;

            for (i = 0; i < parts_n; i++) {
                parts[i].data = data;
                parts[i].len = i;
            }

            for (len = 0; len < (parts_n ? 66 : 1); len++) {

                if (parts_n) {
                    parts[parts_n - 1].len = len;
                }

                b.len = 0;
                assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_OK);
                check(&b, 0, &m);
            }
        }
    }

    sio_buf_free(&b);
}


/* An Engine.IO id, a socket's id behind it if it has one, nothing else. */

static void
test_session(void **state)
{
    unsigned       i, rooms, except, args;
    sio_buf_t      b;
    sio_str_t      names[9], parts[SIO_RECORD_PARTS];
    sio_message_t  m;

    memset(&b, 0, sizeof(sio_buf_t));
    memset(&m, 0, sizeof(sio_message_t));

    for (i = 0; i < 9; i++) {
        names[i] = str("bxSlDIguDLlZxhpzAAAA");
    }

    for (i = 0; i < SIO_RECORD_PARTS; i++) {
        parts[i] = str("40{\"sid\":\"wM6ZkZjBYIfjZ1TOAAAB\"}");
    }

    m.type = SIO_RECORD_SESSION;
    m.flags = SIO_RECORD_CLOSE | SIO_RECORD_CONNECTED | SIO_RECORD_RELEASE;
    m.arg = UINT64_C(0x123456789abcdef0);
    m.names = names;
    m.part = parts;

    for (rooms = 1; rooms <= 2; rooms++) {
        m.rooms = rooms;

        for (i = 0; i <= SIO_RECORD_PARTS; i++) {
            m.parts = i;
            b.len = 0;

            assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_OK);
            check(&b, 0, &m);
        }
    }

    b.len = 0;
    m.parts = 1;

    for (i = 0; i < 64; i++) {
        rooms = i & 3;
        except = i >> 2 & 3;
        args = i >> 4;

        if (rooms > 0 && rooms < 3 && except == 0 && args == 0) {
            continue;
        }

        m.rooms = rooms;
        m.except = except;
        m.args = args;

        assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_ERROR);
    }

    m.rooms = 1;
    m.except = 0;
    m.args = 0;
    m.type = SIO_RECORD_ACK;
    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_OK);
    check(&b, 0, &m);
    b.len = 0;

    m.rooms = 2;
    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_ERROR);

    m.rooms = 1;
    m.type = SIO_RECORD_REFRESH + 1;
    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_ERROR);

    assert_int_equal(b.len, 0);
    sio_buf_free(&b);
}


static void
test_limits(void **state)
{
    size_t          size;
    unsigned        i;
    sio_buf_t       b;
    sio_str_t       names[SIO_RECORD_NAMES + 1], parts[SIO_RECORD_PARTS + 1];
    sio_message_t   m;
    unsigned char   data[SIO_ROOM_LEN + 1];

    memset(data, 'x', sizeof(data));
    memset(&b, 0, sizeof(sio_buf_t));
    memset(&m, 0, sizeof(sio_message_t));

    for (i = 0; i <= SIO_RECORD_NAMES; i++) {
        names[i].data = data;
        names[i].len = SIO_ROOM_LEN;
    }

    for (i = 0; i <= SIO_RECORD_PARTS; i++) {
        parts[i].data = data;
        parts[i].len = 10;
    }

    m.type = SIO_RECORD_EMIT;
    m.names = names;
    m.part = parts;
    m.parts = SIO_RECORD_PARTS;

    m.rooms = SIO_RECORD_NAMES;
    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_OK);
    check(&b, 0, &m);
    size = b.len;

    b.len = 0;
    assert_int_equal(sio_record_encode(&b, &m, SEED, size - 1), SIO_LIMIT);
    assert_int_equal(sio_record_encode(&b, &m, SEED, 100), SIO_LIMIT);
    assert_int_equal(sio_record_encode(&b, &m, SEED, 0), SIO_LIMIT);
    assert_int_equal(b.len, 0);

    m.except = 1;
    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_LIMIT);
    m.rooms--;
    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_OK);
    b.len = 0;

    m.rooms = 65535;
    m.except = 65535;
    m.args = 65535;
    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_LIMIT);

    m.rooms = 1;
    m.except = 0;
    m.args = 0;
    m.parts = SIO_RECORD_PARTS + 1;
    assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_LIMIT);

    /* lengths that would wrap around are refused before they are added */

    m.parts = 3;
    parts[0].len = SIZE_MAX;
    assert_int_equal(sio_record_encode(&b, &m, SEED, SIZE_MAX), SIO_LIMIT);
    parts[0].len = SIZE_MAX - 100;
    assert_int_equal(sio_record_encode(&b, &m, SEED, SIZE_MAX), SIO_LIMIT);
    parts[0].len = UINT32_MAX;
    assert_int_equal(sio_record_encode(&b, &m, SEED, SIZE_MAX), SIO_LIMIT);
    parts[0].len = UINT32_MAX - 120;
    parts[1].len = 60;
    parts[2].len = 120;
    assert_int_equal(sio_record_encode(&b, &m, SEED, SIZE_MAX), SIO_LIMIT);

    assert_int_equal(b.len, 0);
    sio_buf_free(&b);
}


static void
test_names(void **state)
{
    unsigned       i;
    sio_buf_t      b;
    sio_str_t      names[3];
    sio_message_t  m;
    unsigned char  data[SIO_ROOM_LEN + 1];

    memset(data, 'x', sizeof(data));
    memset(&b, 0, sizeof(sio_buf_t));
    memset(&m, 0, sizeof(sio_message_t));

    m.type = SIO_RECORD_JOIN;
    m.names = names;
    m.rooms = 1;
    m.except = 1;
    m.args = 1;

    for (i = 0; i < 3; i++) {
        names[0] = names[1] = names[2] = str("ok");

        names[i].len = 0;
        assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_ERROR);

        names[i].len = SIO_ROOM_LEN + 1;
        names[i].data = data;
        assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_ERROR);
        assert_int_equal(b.len, 0);

        names[i].len = SIO_ROOM_LEN;
        assert_int_equal(sio_record_encode(&b, &m, SEED, MAX), SIO_OK);
        check(&b, 0, &m);
        b.len = 0;
    }

    sio_buf_free(&b);
}


static void
test_sane(void **state)
{
    sio_record_t  good, rec;

    memset(&good, 0, sizeof(sio_record_t));

    good.type = SIO_RECORD_EMIT;
    good.rooms = 1;
    good.except = 1;
    good.args = 1;
    good.parts = 2;
    good.names_len = 10;
    good.parts_len = 50;
    good.size = 192;        /* 64 + 24 + 8 + 8 + 10 + 50 = 164 */

    rec = good;
    assert_true(sio_record_sane(&rec, 192));
    assert_true(sio_record_sane(&rec, SIZE_MAX));
    assert_false(sio_record_sane(&rec, 191));

#define insane(field, value)                                                  \
    rec = good;                                                               \
    rec.field = value;                                                        \
    assert_false(sio_record_sane(&rec, MAX))

    insane(size, 0);
    insane(size, 64);
    insane(size, 128);
    insane(size, 256);
    insane(size, 193);
    insane(size, UINT32_MAX);
    insane(type, SIO_RECORD_SESSION);
    insane(type, SIO_RECORD_SESSION + 1);
    insane(type, 255);
    insane(rooms, 1023);
    insane(except, 65535);
    insane(args, 5);
    insane(parts, SIO_RECORD_PARTS + 1);
    insane(parts, 0);
    insane(parts, 65535);
    insane(names_len, 2);
    insane(names_len, 3 * SIO_ROOM_LEN + 1);
    insane(names_len, UINT32_MAX);
    insane(names_len, 39);
    insane(parts_len, 79);
    insane(parts_len, UINT32_MAX);

    rec = good;
    rec.names_len = 38;
    assert_true(sio_record_sane(&rec, MAX));

    /* what is for a session says so, and says no more */

    memset(&good, 0, sizeof(sio_record_t));

    good.type = SIO_RECORD_SESSION;
    good.rooms = 2;
    good.parts = 1;
    good.names_len = 40;
    good.parts_len = 30;
    good.size = 192;        /* 64 + 16 + 4 + 4 + 40 + 30 = 158 */

    rec = good;
    assert_true(sio_record_sane(&rec, MAX));
    rec.rooms = 1;
    assert_true(sio_record_sane(&rec, MAX));

    insane(rooms, 0);
    insane(rooms, 3);
    insane(except, 1);
    insane(args, 1);
    insane(parts, SIO_RECORD_PARTS + 1);

    /* a pad record may have any length */

    memset(&rec, 0, sizeof(sio_record_t));
    rec.type = SIO_RECORD_PAD;
    rec.size = 64;
    assert_true(sio_record_sane(&rec, MAX));
    rec.size = 64 * 100;
    assert_true(sio_record_sane(&rec, MAX));
    rec.size = 100;
    assert_false(sio_record_sane(&rec, MAX));
    rec.size = 0;
    assert_false(sio_record_sane(&rec, MAX));
}


/* What is called sane can be read to its end. */

static void
test_sane_random(void **state)
{
    unsigned       i, k;
    size_t         end;
    sio_record_t   rec;
    unsigned char  *p;

    srand(13);

    for (i = 0; i < 200000; i++) {
        memset(&rec, 0, sizeof(sio_record_t));
        rec.type = rand() % (SIO_RECORD_SESSION + 1);
        rec.size = 64 * (rand() % 8);
        rec.rooms = rand() % 3;
        rec.except = rand() % 3;
        rec.args = rand() % 3;
        rec.parts = rand() % 4;
        rec.names_len = rand() % 40;
        rec.parts_len = rand() % 100;

        if (rand() % 4 == 0) {
            p = (unsigned char *) &rec;
            k = rand() % sizeof(sio_record_t);
            p[k] ^= 1 << rand() % 8;
        }

        if (!sio_record_sane(&rec, MAX)) {
            continue;
        }

        end = sio_record_parts_at(&rec) + rec.parts_len;
        assert_true(end <= rec.size && rec.size <= MAX);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_header_size),
        cmocka_unit_test(test_emit),
        cmocka_unit_test(test_bare),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_sane),
        cmocka_unit_test(test_sane_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
