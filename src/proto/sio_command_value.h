
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_COMMAND_VALUE_H_INCLUDED_
#define _SIO_COMMAND_VALUE_H_INCLUDED_


#include "sio_command.h"


/*
 * The values of a command's members, for the decoder of commands alone.
 * Functions that read one return SIO_OK, or what sio_command_fail() was given,
 * or SIO_NOMEM.
 */


typedef enum {
    SIO_COMMAND_OP = 0,
    SIO_COMMAND_NSP,
    SIO_COMMAND_TO,
    SIO_COMMAND_EXCEPT,
    SIO_COMMAND_ALL,
    SIO_COMMAND_EVENT,
    SIO_COMMAND_ARGS,
    SIO_COMMAND_VOLATILE,
    SIO_COMMAND_ROOMS,
    SIO_COMMAND_CLOSE,
    SIO_COMMAND_SID,
    SIO_COMMAND_ID,
    SIO_COMMAND_MEMBERS
} sio_command_member_e;


/* The members of one command, as they are written; data is NULL without. */

typedef struct {
    sio_str_t            value[SIO_COMMAND_MEMBERS];
} sio_command_members_t;


extern const sio_str_t  sio_command_member_names[SIO_COMMAND_MEMBERS];


/* Says what is wrong, and with which command, in c->error; returns rc. */
sio_rc_t sio_command_fail(sio_command_t *c, sio_rc_t rc, const char *format,
    ...);

/*
 * The same for a text that anybody has chosen, which is quoted between the two
 * others.
 */
sio_rc_t sio_command_blame(sio_command_t *c, const char *before,
    const sio_str_t *text, const char *after);

/* "nsp", into c->nsp. */
sio_rc_t sio_command_nsp(sio_command_t *c, const sio_command_members_t *in);

/* The name of an event, and the id of an acknowledgement. */
sio_rc_t sio_command_event(sio_command_t *c, const sio_str_t *event);
sio_rc_t sio_command_ack_id(sio_command_t *c, const sio_str_t *value);

/*
 * Adds names to those of the command, one string or an array; *count is how
 * many, and stays as it is if there is no such member.
 */
sio_rc_t sio_command_names(sio_command_t *c, uint16_t *count,
    const sio_command_members_t *in, unsigned member);

/* Adds one name. */
sio_rc_t sio_command_name(sio_command_t *c, const sio_str_t *value,
    unsigned member);

/* A member that is true or false; false without it. */
sio_rc_t sio_command_true(sio_command_t *c, int *yes,
    const sio_command_members_t *in, unsigned member);

/*
 * What a string, quotes included, stands for: a view of the text itself, or of
 * c->strings.  To be called once for each string.
 */
sio_str_t sio_command_string(sio_command_t *c, const sio_str_t *value);

int sio_command_equal(const sio_str_t *a, const sio_str_t *b);


#endif /* _SIO_COMMAND_VALUE_H_INCLUDED_ */
