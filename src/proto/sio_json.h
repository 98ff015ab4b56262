
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _SIO_JSON_H_INCLUDED_
#define _SIO_JSON_H_INCLUDED_


#include "sio_buf.h"

#include <jansson.h>


/*
 * JSON text as JavaScript reads and writes it.
 *
 * Most JSON that passes through is never looked into: it must only be known
 * to be valid before others get it.  So there is a checker that builds
 * nothing, and it alone decides what is valid.  jansson makes a tree of what
 * has passed the checker; it is stricter than JavaScript in four points
 * (integers beyond 64 bits, numbers beyond a double, lone surrogates, NUL in
 * keys), which sio_json_load() hides.
 */


#define SIO_JSON_DEPTH    64      /* deepest nesting of arrays and objects */
#define SIO_JSON_DEEPEST  128     /*   and the most that may be asked for */


/*
 * Checks that a text is one JSON value (RFC 8259) and perhaps white space
 * around it.  That the text is UTF-8 is not checked.  SIO_OK, SIO_ERROR,
 * SIO_LIMIT (nested deeper than SIO_JSON_DEPTH).
 */
sio_rc_t sio_json_check(const unsigned char *p, size_t len);

/* The same with another depth, up to SIO_JSON_DEEPEST. */
sio_rc_t sio_json_check_depth(const unsigned char *p, size_t len,
    unsigned deepest);

/*
 * Finds the first element in the text of an array that sio_json_check()
 * accepts; *value is a view of it.  SIO_OK; SIO_AGAIN if it is empty, or the
 * text is.
 */
sio_rc_t sio_json_first(const sio_str_t *array, sio_str_t *value);

/*
 * Decodes a text by jansson, with flags of json_loadb().  Without memory for a
 * character of a string jansson goes on without it: that is found out here.
 * NULL with *rc, unless rc is NULL: SIO_ERROR (no JSON), SIO_NOMEM.
 */
json_t *sio_json_parse(const unsigned char *p, size_t len, size_t flags,
    sio_rc_t *rc);

/*
 * Decodes a text that sio_json_check() accepts into a new reference.  What
 * jansson cannot hold becomes the nearest that it can: a double, null for a
 * number that is none, U+FFFD.  SIO_OK, SIO_ERROR (no UTF-8), SIO_NOMEM.
 */
sio_rc_t sio_json_load(const unsigned char *p, size_t len, json_t **json);

/*
 * Appends a string, quotes included, escaped as JSON.stringify() does; bad
 * UTF-8 in it becomes U+FFFD.  SIO_OK or SIO_NOMEM.
 */
sio_rc_t sio_json_quote(sio_buf_t *b, const unsigned char *p, size_t len);

/*
 * Appends a number with as few digits as give the same double, null if it is
 * not finite.  Does not depend on the locale.  SIO_OK or SIO_NOMEM.
 */
sio_rc_t sio_json_double(sio_buf_t *b, double d);

/*
 * Appends a time since 1970 (ms: 0..999) as Date.toJSON() gives it, null if
 * it is beyond what Date can hold.  SIO_OK or SIO_NOMEM.
 */
sio_rc_t sio_json_time(sio_buf_t *b, int64_t sec, unsigned ms);

/* Skips white space. */
const unsigned char *sio_json_space(const unsigned char *p,
    const unsigned char *last);

/*
 * Skips the bytes that stand for themselves in a string: all but quotes,
 * backslashes and control characters.
 */
const unsigned char *sio_json_plain(const unsigned char *p,
    const unsigned char *last);


#endif /* _SIO_JSON_H_INCLUDED_ */
