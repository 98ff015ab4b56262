
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include "sio_buf.h"
#include "sio_utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/*
 * What the targets share.  A target is one file, fuzz_<codec>.c, with the one
 * function that libFuzzer calls; it finds the folders corpus/<codec> and
 * regression/<codec> and the file dict/<codec>.dict by its name.
 */


int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);


/* Something that holds for every input; if it does not, that is a crash. */
#define fuzz_check(condition)                                                 \
    ((condition) ? (void) 0 : fuzz_fail(#condition, __FILE__, __LINE__))


static inline void
fuzz_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, condition);
    abort();
}


/* A copy in memory of its very size; the caller frees it. */

static inline unsigned char *
fuzz_copy(const void *data, size_t len)
{
    unsigned char  *p;

    p = malloc(len ? len : 1);
    fuzz_check(p != NULL);

    if (len) {
        memcpy(p, data, len);
    }

    return p;
}


/* Does a view lie inside of len bytes at p?  Nothing lies inside of NULL. */

static inline int
fuzz_inside(const sio_str_t *s, const unsigned char *p, size_t len)
{
    return p && s->data >= p && s->data <= p + len
           && s->len <= (size_t) (p + len - s->data);
}


static inline int
fuzz_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}


static inline int
fuzz_utf8(const unsigned char *p, size_t len)
{
    uint32_t  state;

    state = SIO_UTF8_ACCEPT;

    return sio_utf8_feed(&state, p, len) == SIO_OK
           && state == SIO_UTF8_ACCEPT;
}


static inline void
fuzz_append(sio_buf_t *b, const void *data, size_t len)
{
    fuzz_check(sio_buf_append(b, data, len) == SIO_OK);
}


#endif /* _FUZZ_H_INCLUDED_ */
