
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_JSON_WALK_H_INCLUDED_
#define _SIO_JSON_WALK_H_INCLUDED_


#include "sio_json.h"


/*
 * A walk through the elements of an array, or the members of an object, in the
 * text itself: what is passed on from there stays as it was written.
 *
 * The text is one that sio_json_check() accepts; other ones are read anyhow,
 * but not beyond their ends.
 */


#define SIO_JSON_NAME_LEN  16


typedef struct {
    const unsigned char  *pos;
    const unsigned char  *last;
} sio_json_walk_t;


/* Begins with the text of an array or object. */
void sio_json_walk(sio_json_walk_t *w, const sio_str_t *text);

/*
 * The next element or member: *key, quotes included, is empty in an array;
 * *value is without white space around it.  SIO_OK; SIO_AGAIN: there is none.
 */
sio_rc_t sio_json_step(sio_json_walk_t *w, sio_str_t *key, sio_str_t *value);

/*
 * The value of a member of an object, of the last one if several have that
 * name, which is shorter than SIO_JSON_NAME_LEN.  SIO_OK or SIO_AGAIN, then
 * *value is empty.
 */
sio_rc_t sio_json_member(const sio_str_t *object, const char *name,
    sio_str_t *value);

/*
 * Writes what a string, quotes included, stands for to p, where there is room
 * for the length of its text; returns the end.  A lone surrogate becomes
 * U+FFFD.
 */
unsigned char *sio_json_unquote(unsigned char *p, const sio_str_t *string);


#endif /* _SIO_JSON_WALK_H_INCLUDED_ */
