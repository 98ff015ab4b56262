
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ws_table.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define LINE  1024
#define NEAR  4                   /* bytes of payload that belong to a header */


/* One frame of a line. */

typedef struct {
    unsigned         first;       /* its first byte */
    unsigned         raw;
    unsigned         masked;
    unsigned char    key[4];
    unsigned         form;        /* bytes of the length: 0, 2, 8 */
    uint64_t         says;
    unsigned         has_says;
    size_t           cut;
    size_t           times;
    sio_buf_t        payload;
} frame_t;


static void
append(sio_buf_t *b, const void *data, size_t n)
{
    assert_int_equal(sio_buf_append(b, data, n), SIO_OK);
}


static void
append_byte(sio_buf_t *b, unsigned c)
{
    unsigned char  byte;

    byte = c;
    append(b, &byte, 1);
}


static size_t
number(const char *text)
{
    char    *end;
    size_t   n;

    n = strtoul(text, &end, 10);

    if (end == text || *end != '\0') {
        fail_msg("%s: not a number: \"%s\"", WS_TABLE_FILE, text);
    }

    return n;
}


static void
hex(sio_buf_t *b, const char *text, size_t n)
{
    size_t    i;
    unsigned  c;

    for (i = 0; i < n; i += 2) {

        if (n - i < 2 || sscanf(text + i, "%2x", &c) != 1) {
            fail_msg("%s: not hex: \"%s\"", WS_TABLE_FILE, text);
        }

        append_byte(b, c);
    }
}


/* 'text' or #hex, and perhaps *N: a part of the payload. */

static const char *
piece(frame_t *f, const char *p)
{
    char         *end;
    size_t        n;
    sio_buf_t     b;
    const char   *from;

    memset(&b, 0, sizeof(sio_buf_t));
    from = p + 1;

    if (*p == '\'') {
        p = strchr(from, '\'');

        if (p == NULL) {
            fail_msg("%s: no end: '%s", WS_TABLE_FILE, from);
        }

        append(&b, from, p - from);
        p++;

    } else {
        p = from + strcspn(from, " *");
        hex(&b, from, p - from);
    }

    n = 1;

    if (*p == '*') {
        n = strtoul(p + 1, &end, 10);
        p = end;
    }

    while (n--) {
        append(&f->payload, b.data, b.len);
    }

    sio_buf_free(&b);

    return p;
}


static void
kind(frame_t *f, const char *word)
{
    size_t  i;

    static const struct {
        const char  *name;
        unsigned     opcode;
    } kinds[] = {
        { "cont", 0 }, { "text", SIO_WS_TEXT }, { "binary", SIO_WS_BINARY },
        { "close", SIO_WS_CLOSE }, { "ping", SIO_WS_PING },
        { "pong", SIO_WS_PONG }
    };

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(word, kinds[i].name) == 0) {
            f->first = 0x80 | kinds[i].opcode;
            return;
        }
    }

    if (strncmp(word, "op", 2) == 0 && strlen(word) == 3) {
        f->first = 0x80 | strtoul(word + 2, NULL, 16);
        return;
    }

    if (strcmp(word, "raw") != 0) {
        fail_msg("%s: no frame is called \"%s\"", WS_TABLE_FILE, word);
    }

    f->raw = 1;
}


static void
option(frame_t *f, const char *word)
{
    sio_buf_t  key;

    if (strcmp(word, "more") == 0) {
        f->first &= 0x7f;

    } else if (strncmp(word, "rsv", 3) == 0) {
        f->first |= 0x80 >> number(word + 3);

    } else if (strcmp(word, "nomask") == 0) {
        f->masked = 0;

    } else if (strncmp(word, "key=", 4) == 0) {
        memset(&key, 0, sizeof(sio_buf_t));
        hex(&key, word + 4, strlen(word + 4));
        assert_int_equal(key.len, 4);
        memcpy(f->key, key.data, 4);
        sio_buf_free(&key);

    } else if (strcmp(word, "len16") == 0) {
        f->form = 2;

    } else if (strcmp(word, "len64") == 0) {
        f->form = 8;

    } else if (strncmp(word, "says=", 5) == 0) {
        f->says = number(word + 5);
        f->has_says = 1;

    } else if (strncmp(word, "cut=", 4) == 0) {
        f->cut = number(word + 4);

    } else if (strncmp(word, "times=", 6) == 0) {
        f->times = number(word + 6);

    } else {
        fail_msg("%s: what is \"%s\"?", WS_TABLE_FILE, word);
    }
}


/* Reads one frame; NULL behind the last one of the line. */

static const char *
parse_frame(frame_t *f, const char *p, const unsigned char *key)
{
    char      word[64];
    size_t    n;
    unsigned  words;

    memset(f, 0, sizeof(frame_t));

    f->masked = 1;
    f->times = 1;
    f->cut = SIZE_MAX;
    memcpy(f->key, key, 4);

    for (words = 0; *p && *p != '|'; p += strspn(p, " ")) {

        if (*p == '\'' || *p == '#') {
            p = piece(f, p);
            continue;
        }

        n = strcspn(p, " ");
        snprintf(word, sizeof(word), "%.*s", (int) n, p);
        p += n;

        if (words++ == 0) {
            kind(f, word);

        } else {
            option(f, word);
        }
    }

    if (words == 0) {
        fail_msg("%s: a line without a frame", WS_TABLE_FILE);
    }

    if (!f->has_says) {
        f->says = f->payload.len;
    }

    return *p ? p + 1 + strspn(p + 1, " ") : NULL;
}


static void
write_head(sio_buf_t *b, const frame_t *f)
{
    unsigned  i, mask, form;

    mask = f->masked ? 0x80 : 0;
    form = f->form;

    if (form == 0 && f->says > 125) {
        form = f->says > 65535 ? 8 : 2;
    }

    append_byte(b, f->first);
    append_byte(b, mask | (form == 0 ? f->says : form == 2 ? 126 : 127));

    for (i = form; i > 0; i--) {
        append_byte(b, f->says >> 8 * (i - 1) & 0xff);
    }

    if (f->masked) {
        append(b, f->key, 4);
    }
}


static void
write_frame(ws_case_t *c, const frame_t *f)
{
    size_t     i, n, head;
    sio_buf_t  b;

    memset(&b, 0, sizeof(sio_buf_t));

    if (!f->raw) {
        write_head(&b, f);
    }

    head = f->raw ? f->payload.len : b.len;

    for (i = 0; i < f->payload.len; i++) {
        append_byte(&b, f->payload.data[i]
                        ^ (f->masked && !f->raw ? f->key[i & 3] : 0));
    }

    n = f->cut < b.len ? f->cut : b.len;

    append(&c->wire, b.data, n);

    for (i = 0; i < n; i++) {
        append_byte(&c->marks, i < head + NEAR || i + NEAR >= n);
    }

    sio_buf_free(&b);
}


/* A string of the case; $ is the value, $1 the first element of a list. */

static void
text_of(char *line, json_t *text, json_t *value)
{
    size_t       n;
    json_t      *v;
    const char  *p;

    p = json_string_value(text);

    if (p == NULL) {
        fail_msg("%s: a string is missing", WS_TABLE_FILE);
    }

    for (n = 0; *p; p++) {

        if (*p != '$') {
            line[n++] = *p;

        } else {
            v = value;

            if (json_is_array(v)) {
                v = json_array_get(v, *++p - '1');
            }

            if (!json_is_string(v)) {
                fail_msg("%s: no value in \"%s\"", WS_TABLE_FILE, line);
            }

            n += snprintf(line + n, LINE - n, "%s", json_string_value(v));
        }

        if (n >= LINE - 1) {
            fail_msg("%s: a line is too long", WS_TABLE_FILE);
        }
    }

    line[n] = '\0';
}


static void
add_input(ws_case_t *c, const char *line, const unsigned char *key)
{
    frame_t  f;

    while (line) {
        line = parse_frame(&f, line, key);

        while (f.times--) {
            write_frame(c, &f);
        }

        sio_buf_free(&f.payload);
    }
}


static void
add_output(ws_case_t *c, const char *line, const unsigned char *key)
{
    frame_t         f;
    sio_ws_event_t  ev;

    while (line) {
        line = parse_frame(&f, line, key);

        memset(&ev, 0, sizeof(sio_ws_event_t));
        ev.opcode = f.first & 0x0f;
        ev.data.data = f.payload.data;
        ev.data.len = f.payload.len;

        if (ev.opcode == SIO_WS_CLOSE && ev.data.len) {
            ev.code = f.payload.data[0] << 8 | f.payload.data[1];
            ev.data.data += 2;
            ev.data.len -= 2;
        }

        while (f.times--) {
            ws_table_note(&c->want, &ev);
        }

        sio_buf_free(&f.payload);
    }
}


static void
read_case(ws_case_t *c, json_t *one, json_t *value, const unsigned char *key)
{
    char     line[LINE];
    size_t   i;
    json_t  *text, *end;

    json_array_foreach(json_object_get(one, "in"), i, text) {
        text_of(line, text, value);
        add_input(c, line, key);
    }

    json_array_foreach(json_object_get(one, "out"), i, text) {
        text_of(line, text, value);
        add_output(c, line, key);
    }

    append(&c->want, "", 1);

    end = json_object_get(one, "end");

    if (json_is_integer(end)) {
        c->end = json_integer_value(end);

    } else {
        c->end = end ? WS_TABLE_PART : WS_TABLE_IDLE;
    }

    if (c->wire.len == 0) {
        fail_msg("%s: nothing comes in", c->name);
    }
}


size_t
ws_table_each(const unsigned char key[4], size_t *limit,
    void (*run)(const ws_case_t *c, size_t limit, void *data), void *data)
{
    char          name[LINE];
    size_t        i, j, k, n, count;
    json_t       *root, *section, *one, *values;
    ws_case_t     c;
    json_error_t  error;

    root = json_load_file(WS_TABLE_FILE, 0, &error);

    if (root == NULL) {
        fail_msg("%s:%d: %s", WS_TABLE_FILE, error.line, error.text);
    }

    *limit = json_integer_value(json_object_get(root, "limit"));
    count = 0;

    json_array_foreach(json_object_get(root, "sections"), i, section) {
        json_array_foreach(json_object_get(section, "cases"), j, one) {

            values = json_object_get(one, "for");
            n = values ? json_array_size(values) : 1;

            for (k = 0; k < n; k++) {
                memset(&c, 0, sizeof(ws_case_t));
                c.name = name;

                text_of(name, json_object_get(one, "name"),
                        json_array_get(values, k));
                read_case(&c, one, json_array_get(values, k), key);
                run(&c, *limit, data);
                count++;

                sio_buf_free(&c.wire);
                sio_buf_free(&c.marks);
                sio_buf_free(&c.want);
            }
        }
    }

    json_decref(root);

    return count;
}


void
ws_table_note(sio_buf_t *out, const sio_ws_event_t *ev)
{
    char      text[64];
    size_t    i;
    uint64_t  hash;

    hash = 0xcbf29ce484222325;

    for (i = 0; i < ev->data.len; i++) {
        hash = (hash ^ ev->data.data[i]) * 0x100000001b3;
    }

    snprintf(text, sizeof(text), "%x/%u/%zu/%016llx ", ev->opcode, ev->code,
             ev->data.len, (unsigned long long) hash);

    append(out, text, strlen(text));
}
