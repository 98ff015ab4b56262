
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_command.h"
#include "sio_command_value.h"
#include "sio_packet.h"
#include "sio_utf8.h"

#include <string.h>


#define sio_command_bit(member)  (1u << SIO_COMMAND_##member)

/* Who is meant. */
#define SIO_COMMAND_WHO                                                       \
    (sio_command_bit(OP) | sio_command_bit(NSP) | sio_command_bit(TO)         \
     | sio_command_bit(EXCEPT) | sio_command_bit(ALL))


typedef sio_rc_t (*sio_command_read_pt)(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in);


typedef struct {
    sio_str_t            name;
    uint8_t              type;          /* of the record */
    unsigned             members;       /* that it may have */
    sio_command_read_pt  read;
} sio_command_op_t;


static sio_rc_t sio_command_take(sio_command_t *c, sio_str_t *command);
static sio_rc_t sio_command_members(sio_command_t *c,
    const sio_str_t *command, sio_command_members_t *in);
static unsigned sio_command_member(const sio_str_t *key);
static sio_rc_t sio_command_op(sio_command_t *c,
    const sio_command_members_t *in, const sio_command_op_t **op);
static sio_rc_t sio_command_allowed(sio_command_t *c,
    const sio_command_members_t *in, const sio_command_op_t *op);
static sio_rc_t sio_command_emit(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in);
static sio_rc_t sio_command_packet(sio_command_t *c, sio_message_t *m,
    const sio_str_t *event, const sio_str_t *args);
static sio_rc_t sio_command_room(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in);
static sio_rc_t sio_command_disconnect(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in);
static sio_rc_t sio_command_ack(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in);
static sio_rc_t sio_command_addressed(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in);


/* The first one is the default. */

static const sio_command_op_t  sio_command_ops[] = {

    { sio_string("emit"), SIO_RECORD_EMIT,
      SIO_COMMAND_WHO | sio_command_bit(EVENT) | sio_command_bit(ARGS)
      | sio_command_bit(VOLATILE),
      sio_command_emit },

    { sio_string("join"), SIO_RECORD_JOIN,
      SIO_COMMAND_WHO | sio_command_bit(ROOMS), sio_command_room },

    { sio_string("leave"), SIO_RECORD_LEAVE,
      SIO_COMMAND_WHO | sio_command_bit(ROOMS), sio_command_room },

    { sio_string("disconnect"), SIO_RECORD_DISCONNECT,
      SIO_COMMAND_WHO | sio_command_bit(CLOSE), sio_command_disconnect },

    { sio_string("ack"), SIO_RECORD_EMIT,
      sio_command_bit(OP) | sio_command_bit(NSP) | sio_command_bit(SID)
      | sio_command_bit(ID) | sio_command_bit(ARGS),
      sio_command_ack },

    { sio_string("refresh"), SIO_RECORD_REFRESH, SIO_COMMAND_WHO,
      sio_command_addressed }
};

#define SIO_COMMAND_OPS                                                       \
    (sizeof(sio_command_ops) / sizeof(sio_command_op_t))


void
sio_command_free(sio_command_t *c)
{
    sio_buf_free(&c->text);
    sio_buf_free(&c->strings);
    sio_buf_free(&c->names_buf);

    memset(c, 0, sizeof(sio_command_t));
}


sio_rc_t
sio_command_open(sio_command_t *c, const unsigned char *p, size_t len,
    const char **error)
{
    sio_rc_t              rc;
    uint32_t              state;
    const unsigned char  *start;

    *error = c->error;

    c->n = 0;
    c->only.data = NULL;

    rc = sio_json_check_depth(p, len, SIO_COMMAND_DEPTH);

    if (rc == SIO_LIMIT) {
        return sio_command_fail(c, rc, "nested too deep");
    }

    if (rc != SIO_OK) {
        return sio_command_fail(c, rc, "not JSON");
    }

    state = SIO_UTF8_ACCEPT;

    if (sio_utf8_feed(&state, p, len) != SIO_OK || state != SIO_UTF8_ACCEPT) {
        return sio_command_fail(c, SIO_ERROR, "not UTF-8");
    }

    /* no string becomes longer, so that views of it can stay */

    c->strings.len = 0;

    if (sio_buf_reserve(&c->strings, len) != SIO_OK) {
        *error = NULL;
        return SIO_NOMEM;
    }

    start = sio_json_space(p, p + len);

    c->only.data = start;
    c->only.len = p + len - start;

    if (*start == '[') {
        sio_json_walk(&c->walk, &c->only);
        c->only.data = NULL;
    }

    return SIO_OK;
}


sio_rc_t
sio_command_next(sio_command_t *c, sio_message_t *m, const char **error)
{
    sio_rc_t                 rc;
    sio_str_t                command;
    const sio_command_op_t  *op;
    sio_command_members_t    in;

    op = NULL;
    *error = c->error;

    c->text.len = 0;
    c->strings.len = 0;
    c->names_buf.len = 0;

    memset(m, 0, sizeof(sio_message_t));

    rc = sio_command_take(c, &command);

    if (rc == SIO_OK) {
        rc = sio_command_members(c, &command, &in);
    }

    if (rc == SIO_OK) {
        rc = sio_command_op(c, &in, &op);
    }

    if (rc == SIO_OK) {
        rc = sio_command_nsp(c, &in);
    }

    if (rc == SIO_OK) {
        m->type = op->type;
        rc = op->read(c, m, &in);
    }

    if (rc != SIO_ERROR && rc != SIO_LIMIT) {
        *error = NULL;
    }

    m->names = (sio_str_t *) c->names_buf.data;

    return rc;
}


static sio_rc_t
sio_command_take(sio_command_t *c, sio_str_t *command)
{
    sio_str_t  key;

    if (c->only.data == NULL) {

        if (sio_json_step(&c->walk, &key, command) != SIO_OK) {
            return SIO_AGAIN;
        }

    } else {

        if (c->n) {
            return SIO_AGAIN;
        }

        *command = c->only;
    }

    c->n++;

    if (*command->data != '{') {
        return sio_command_fail(c, SIO_ERROR, "not an object");
    }

    return SIO_OK;
}


static sio_rc_t
sio_command_members(sio_command_t *c, const sio_str_t *command,
    sio_command_members_t *in)
{
    unsigned         member;
    sio_str_t        key, value;
    sio_json_walk_t  w;

    memset(in, 0, sizeof(sio_command_members_t));

    sio_json_walk(&w, command);

    while (sio_json_step(&w, &key, &value) == SIO_OK) {

        key = sio_command_string(c, &key);
        member = sio_command_member(&key);

        if (member == SIO_COMMAND_MEMBERS) {
            return sio_command_blame(c, "", &key, " is unknown");
        }

        if (in->value[member].data) {
            return sio_command_blame(c, "", &key, " stands twice");
        }

        in->value[member] = value;
    }

    return SIO_OK;
}


static unsigned
sio_command_member(const sio_str_t *key)
{
    unsigned  i;

    for (i = 0; i < SIO_COMMAND_MEMBERS; i++) {
        if (sio_command_equal(key, &sio_command_member_names[i])) {
            break;
        }
    }

    return i;
}


static sio_rc_t
sio_command_op(sio_command_t *c, const sio_command_members_t *in,
    const sio_command_op_t **op)
{
    unsigned   i;
    sio_str_t  name;

    name = in->value[SIO_COMMAND_OP];

    if (name.data == NULL) {
        *op = &sio_command_ops[0];
        return sio_command_allowed(c, in, *op);
    }

    if (*name.data != '"') {
        return sio_command_fail(c, SIO_ERROR, "\"op\" must be a string");
    }

    name = sio_command_string(c, &name);

    for (i = 0; i < SIO_COMMAND_OPS; i++) {
        if (sio_command_equal(&name, &sio_command_ops[i].name)) {
            *op = &sio_command_ops[i];
            return sio_command_allowed(c, in, *op);
        }
    }

    return sio_command_blame(c, "\"op\" is ", &name, ", which is unknown");
}


static sio_rc_t
sio_command_allowed(sio_command_t *c, const sio_command_members_t *in,
    const sio_command_op_t *op)
{
    unsigned  i;

    for (i = 0; i < SIO_COMMAND_MEMBERS; i++) {
        if (in->value[i].data && (op->members & 1u << i) == 0) {
            return sio_command_fail(c, SIO_ERROR, "\"%s\" is unknown to "
                                    "\"%s\"", sio_command_member_names[i].data,
                                    op->name.data);
        }
    }

    return SIO_OK;
}


static sio_rc_t
sio_command_emit(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in)
{
    int       yes;
    sio_rc_t  rc;

    yes = 0;
    rc = sio_command_addressed(c, m, in);

    if (rc == SIO_OK) {
        rc = sio_command_event(c, &in->value[SIO_COMMAND_EVENT]);
    }

    if (rc == SIO_OK) {
        rc = sio_command_true(c, &yes, in, SIO_COMMAND_VOLATILE);
    }

    if (rc != SIO_OK) {
        return rc;
    }

    if (yes) {
        m->flags = SIO_RECORD_VOLATILE;
    }

    if (sio_packet_begin(&c->text, SIO_EVENT, c->nsp) != SIO_OK) {
        return SIO_NOMEM;
    }

    return sio_command_packet(c, m, &in->value[SIO_COMMAND_EVENT],
                              &in->value[SIO_COMMAND_ARGS]);
}


/* Writes the array of a packet, in front of which the rest stands. */

static sio_rc_t
sio_command_packet(sio_command_t *c, sio_message_t *m,
    const sio_str_t *event, const sio_str_t *args)
{
    sio_str_t        key, first;
    sio_buf_t       *b;
    sio_json_walk_t  w;

    if (args->data && *args->data != '[') {
        return sio_command_fail(c, SIO_ERROR, "\"args\" must be an array");
    }

    b = &c->text;

    if (sio_buf_reserve(b, event->len + args->len + sizeof("[,]")) != SIO_OK) {
        return SIO_NOMEM;
    }

    b->data[b->len++] = '[';

    (void) sio_buf_append(b, event->data, event->len);

    if (args->data) {
        sio_json_walk(&w, args);

        if (sio_json_step(&w, &key, &first) == SIO_OK) {

            if (event->len) {
                b->data[b->len++] = ',';
            }

            /* up to the bracket at the end */

            (void) sio_buf_append(b, first.data,
                                  args->data + args->len - 1 - first.data);
        }
    }

    b->data[b->len++] = ']';

    c->part.data = b->data;
    c->part.len = b->len;

    m->part = &c->part;
    m->parts = 1;

    return SIO_OK;
}


static sio_rc_t
sio_command_room(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in)
{
    sio_rc_t  rc;

    rc = sio_command_addressed(c, m, in);

    if (rc != SIO_OK) {
        return rc;
    }

    if (in->value[SIO_COMMAND_ROOMS].data == NULL) {
        return sio_command_fail(c, SIO_ERROR, "\"rooms\" is missing");
    }

    return sio_command_names(c, &m->args, in, SIO_COMMAND_ROOMS);
}


static sio_rc_t
sio_command_disconnect(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in)
{
    int       yes;
    sio_rc_t  rc;

    yes = 0;
    rc = sio_command_addressed(c, m, in);

    if (rc == SIO_OK) {
        rc = sio_command_true(c, &yes, in, SIO_COMMAND_CLOSE);
    }

    if (rc == SIO_OK && yes) {
        m->flags = SIO_RECORD_CLOSE;
    }

    return rc;
}


static sio_rc_t
sio_command_ack(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in)
{
    sio_rc_t          rc;
    const sio_str_t  *sid, *id;

    static const sio_str_t  none = { 0, NULL };

    sid = &in->value[SIO_COMMAND_SID];
    id = &in->value[SIO_COMMAND_ID];

    if (sid->data == NULL || *sid->data != '"') {
        return sio_command_fail(c, SIO_ERROR, "\"sid\" must be a string");
    }

    rc = sio_command_name(c, sid, SIO_COMMAND_SID);

    if (rc == SIO_OK) {
        rc = sio_command_ack_id(c, id);
    }

    if (rc != SIO_OK) {
        return rc;
    }

    m->rooms = 1;
    m->flags = SIO_RECORD_BARE;

    if (sio_packet_begin(&c->text, SIO_ACK, c->nsp) != SIO_OK
        || sio_buf_append(&c->text, id->data, id->len) != SIO_OK)
    {
        return SIO_NOMEM;
    }

    return sio_command_packet(c, m, &none, &in->value[SIO_COMMAND_ARGS]);
}


/* Only an event may leave open whom it is for. */

static sio_rc_t
sio_command_addressed(sio_command_t *c, sio_message_t *m,
    const sio_command_members_t *in)
{
    int       all;
    sio_rc_t  rc;

    rc = sio_command_true(c, &all, in, SIO_COMMAND_ALL);

    if (rc != SIO_OK) {
        return rc;
    }

    if (in->value[SIO_COMMAND_TO].data == NULL) {

        if (!all && m->type != SIO_RECORD_EMIT) {
            return sio_command_fail(c, SIO_ERROR, "\"to\" is missing, or "
                                    "\"all\":true");
        }

    } else if (all) {
        return sio_command_fail(c, SIO_ERROR, "\"all\" stands beside \"to\"");
    }

    rc = sio_command_names(c, &m->rooms, in, SIO_COMMAND_TO);

    if (rc == SIO_OK) {
        rc = sio_command_names(c, &m->except, in, SIO_COMMAND_EXCEPT);
    }

    return rc;
}
