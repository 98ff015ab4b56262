
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_command_value.h"
#include "sio_packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>


#define SIO_COMMAND_SHOWN   32    /* bytes of what a sender calls something */
#define SIO_COMMAND_ACK     9007199254740991ULL    /* the largest integer that
                                                      JavaScript counts to */


const sio_str_t  sio_command_member_names[SIO_COMMAND_MEMBERS] = {
    sio_string("op"),
    sio_string("nsp"),
    sio_string("to"),
    sio_string("except"),
    sio_string("all"),
    sio_string("event"),
    sio_string("args"),
    sio_string("volatile"),
    sio_string("rooms"),
    sio_string("close"),
    sio_string("sid"),
    sio_string("ack")
};


static const sio_str_t  sio_command_root = sio_string("/");


sio_rc_t
sio_command_fail(sio_command_t *c, sio_rc_t rc, const char *format, ...)
{
    int      n;
    va_list  args;

    n = 0;

    if (c->n && c->only.data == NULL) {
        n = snprintf(c->error, SIO_COMMAND_ERROR, "command %u: ", c->n);
    }

    va_start(args, format);
    (void) vsnprintf(c->error + n, SIO_COMMAND_ERROR - n, format, args);
    va_end(args);

    return rc;
}


sio_rc_t
sio_command_blame(sio_command_t *c, const char *before, const sio_str_t *text,
    const char *after)
{
    size_t         i;
    unsigned char  b, shown[SIO_COMMAND_SHOWN];

    /* fit for a log */

    for (i = 0; i < text->len && i < SIO_COMMAND_SHOWN; i++) {
        b = text->data[i];
        shown[i] = (b < ' ' || b > '~') ? '?' : b;
    }

    return sio_command_fail(c, SIO_ERROR, "%s\"%.*s\"%s", before, (int) i,
                            shown, after);
}


sio_rc_t
sio_command_nsp(sio_command_t *c, const sio_command_members_t *in)
{
    const sio_str_t  *value;

    value = &in->value[SIO_COMMAND_NSP];

    c->nsp = sio_command_root;

    if (value->data == NULL) {
        return SIO_OK;
    }

    if (*value->data == '"') {
        c->nsp = sio_command_string(c, value);
    }

    if (*value->data != '"' || c->nsp.len == 0 || *c->nsp.data != '/') {
        return sio_command_fail(c, SIO_ERROR, "\"nsp\" must be a string that "
                                "begins with \"/\"");
    }

    return SIO_OK;
}


sio_rc_t
sio_command_event(sio_command_t *c, const sio_str_t *event)
{
    sio_str_t  name;

    if (event->data == NULL) {
        return sio_command_fail(c, SIO_ERROR, "\"event\" is missing");
    }

    if (*event->data != '"' || event->len == 2) {
        return sio_command_fail(c, SIO_ERROR, "\"event\" must be a string that "
                                "is not empty");
    }

    name = sio_command_string(c, event);

    /* clients close their connection when they see such an event */

    if (sio_packet_reserved(name.data, name.len)) {
        return sio_command_blame(c, "\"event\" is ", &name,
                                 ", which is reserved");
    }

    return SIO_OK;
}


sio_rc_t
sio_command_ack_id(sio_command_t *c, const sio_str_t *value)
{
    size_t    i;
    uint64_t  id;

    id = 0;

    for (i = 0; i < value->len && id <= SIO_COMMAND_ACK; i++) {

        if (value->data[i] < '0' || value->data[i] > '9') {
            break;
        }

        id = id * 10 + (value->data[i] - '0');
    }

    if (value->len == 0 || i < value->len || id > SIO_COMMAND_ACK) {
        return sio_command_fail(c, SIO_ERROR, "\"ack\" must be an integer from "
                                "0 to 9007199254740991");
    }

    return SIO_OK;
}


/*
 * Only "except" may be empty: of the other lists somebody may have worked out
 * an empty one, and that means nobody, while in a record it means all.
 */

sio_rc_t
sio_command_names(sio_command_t *c, uint16_t *count,
    const sio_command_members_t *in, unsigned member)
{
    unsigned          n;
    sio_rc_t          rc;
    sio_str_t         key, name;
    sio_json_walk_t   w;
    const sio_str_t  *value;

    value = &in->value[member];

    if (value->data == NULL) {
        return SIO_OK;
    }

    if (*value->data == '"') {
        *count = 1;
        return sio_command_name(c, value, member);
    }

    if (*value->data != '[') {
        return sio_command_fail(c, SIO_ERROR, "\"%s\" must be a string or an "
                                "array of strings",
                                sio_command_member_names[member].data);
    }

    sio_json_walk(&w, value);

    for (n = 0; sio_json_step(&w, &key, &name) == SIO_OK; n++) {
        rc = sio_command_name(c, &name, member);

        if (rc != SIO_OK) {
            return rc;
        }
    }

    if (n == 0 && member != SIO_COMMAND_EXCEPT) {
        return sio_command_fail(c, SIO_ERROR, "\"%s\" is empty",
                                sio_command_member_names[member].data);
    }

    *count = n;

    return SIO_OK;
}


sio_rc_t
sio_command_name(sio_command_t *c, const sio_str_t *value, unsigned member)
{
    sio_str_t    name;
    const char  *list;

    list = (const char *) sio_command_member_names[member].data;

    if (*value->data != '"') {
        return sio_command_fail(c, SIO_ERROR, "\"%s\" must be a string or an "
                                "array of strings", list);
    }

    name = sio_command_string(c, value);

    if (name.len == 0 || name.len > SIO_ROOM_LEN) {
        return sio_command_fail(c, SIO_ERROR, "\"%s\" has a name that is empty "
                                "or longer than %d bytes", list, SIO_ROOM_LEN);
    }

    if (c->names_buf.len == SIO_RECORD_NAMES * sizeof(sio_str_t)) {
        return sio_command_fail(c, SIO_LIMIT, "\"%s\" goes beyond %d rooms",
                                list, SIO_RECORD_NAMES);
    }

    return sio_buf_append(&c->names_buf, &name, sizeof(sio_str_t));
}


sio_rc_t
sio_command_true(sio_command_t *c, int *yes, const sio_command_members_t *in,
    unsigned member)
{
    const sio_str_t  *value;

    value = &in->value[member];

    *yes = value->data && *value->data == 't';

    if (value->data && *value->data != 't' && *value->data != 'f') {
        return sio_command_fail(c, SIO_ERROR, "\"%s\" must be true or false",
                                sio_command_member_names[member].data);
    }

    return SIO_OK;
}


sio_str_t
sio_command_string(sio_command_t *c, const sio_str_t *value)
{
    sio_str_t       s;
    sio_buf_t      *b;
    unsigned char  *last;

    s.data = value->data + 1;
    s.len = value->len - 2;

    if (memchr(s.data, '\\', s.len) == NULL) {
        return s;
    }

    b = &c->strings;

    s.data = b->data + b->len;
    last = sio_json_unquote(b->data + b->len, value);
    s.len = last - s.data;

    b->len += s.len;

    return s;
}


int
sio_command_equal(const sio_str_t *a, const sio_str_t *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}
