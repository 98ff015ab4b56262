
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#ifndef _FUZZ_OFFER_H_INCLUDED_
#define _FUZZ_OFFER_H_INCLUDED_


#include "fuzz.h"
#include "sio_deflate.h"


/*
 * Offers of permessage-deflate, read in another way than sio_deflate_offer()
 * does: first into symbols, then by a table.  A part of fuzz_deflate.c.
 */


/* A symbol is one of ",;=", a token, a quoted one, or what there is not. */

enum { SYM_TOKEN = 't', SYM_QUOTED = 'q', SYM_BAD = '!' };


/* Where an element of the list ends, if it may: at a comma or the end. */

typedef enum {
    IN_ELEMENT = 0,               /* nothing is there */
    IN_NEXT,                      /* ";" or "," has to follow */
    IN_PARAM,                     /* a name has to follow */
    IN_NAME,                      /* as IN_NEXT, or "=" */
    IN_VALUE,                     /* a token has to follow */
    IN_ERROR
} offer_state_e;


typedef struct {
    int           state;
    int           refused;
    unsigned      seen;
    char          name[32];       /* of the parameter; a long one is cut */
    char          value[32];
    sio_deflate_t element;
    sio_deflate_t deflate;
} offer_t;


/* One symbol; text is that of a token. */

static int
offer_symbol(const uint8_t **p, const uint8_t *last, char text[32])
{
    int       c;
    size_t    n;
    unsigned  quoted;

    static const char  token[] =
        "!#$%&'*+-.^_`|~0123456789"
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    c = *(*p)++;

    if (c == ',' || c == ';' || c == '=') {
        return c;
    }

    quoted = (c == '"');
    *p -= !quoted;

    for (n = 0; *p < last; n++) {

        c = *(*p)++;

        if (quoted && c == '"') {
            text[n < 31 ? n : 31] = '\0';
            return n ? SYM_QUOTED : SYM_BAD;
        }

        if (quoted && c == '\\' && *p < last) {
            c = *(*p)++;
        }

        if (c == 0 || strchr(token, c) == NULL) {
            *p -= !quoted;
            break;
        }

        if (n < 31) {
            text[n] = c;
        }
    }

    text[n < 31 ? n : 31] = '\0';

    return quoted || n == 0 ? SYM_BAD : SYM_TOKEN;
}


static unsigned
offer_bits(const char *value)
{
    unsigned  bits;
    char      text[8];

    for (bits = 15; bits >= 8; bits--) {
        snprintf(text, sizeof(text), "%u", bits);

        if (strcmp(text, value) == 0) {
            return bits;
        }
    }

    return 0;
}


/* A parameter is complete; a value that is not there is empty. */

static void
offer_param(offer_t *o)
{
    unsigned  i, bits;

    static const char  *names[] = {
        "client_max_window_bits", "server_max_window_bits",
        "client_no_context_takeover", "server_no_context_takeover"
    };

    for (i = 0; i < 4 && strcmp(o->name, names[i]) != 0; i++) {
        /* void */
    }

    bits = offer_bits(o->value);

    if (i == 4 || o->seen & 1 << i
        || (i == 0 && *o->value && !bits) || (i == 1 && !bits)
        || (i >= 2 && *o->value))
    {
        o->refused = 1;
        return;
    }

    o->seen |= 1 << i;

    if (i == 1) {
        o->element.window = bits;
        o->element.named = 1;
    }
}


static void
offer_step(offer_t *o, int symbol, const char *text)
{
    int  before;

    static const char           symbols[] = "t;=,q";
    static const unsigned char  next[][sizeof(symbols)] = {
        { IN_NEXT, IN_ERROR, IN_ERROR, IN_ELEMENT, IN_ERROR, IN_ERROR },
        { IN_ERROR, IN_PARAM, IN_ERROR, IN_ELEMENT, IN_ERROR, IN_ERROR },
        { IN_NAME, IN_ERROR, IN_ERROR, IN_ERROR, IN_ERROR, IN_ERROR },
        { IN_ERROR, IN_PARAM, IN_VALUE, IN_ELEMENT, IN_ERROR, IN_ERROR },
        { IN_NEXT, IN_ERROR, IN_ERROR, IN_ERROR, IN_NEXT, IN_ERROR },
        { IN_ERROR, IN_ERROR, IN_ERROR, IN_ERROR, IN_ERROR, IN_ERROR }
    };

    before = o->state;
    o->state = next[before][strchr(symbols, symbol)
                            ? strchr(symbols, symbol) - symbols : 5];

    if (before == IN_ELEMENT) {
        o->refused = strcmp(text, "permessage-deflate") != 0;
        o->seen = 0;
        o->element.window = SIO_DEFLATE_MAX_WINDOW;
        o->element.named = 0;
        return;
    }

    if (before == IN_PARAM) {
        strcpy(o->name, text);
        strcpy(o->value, "");
        return;
    }

    if (before == IN_VALUE) {
        strcpy(o->value, text);
    }

    if (before == IN_VALUE || (before == IN_NAME && symbol != '=')) {
        offer_param(o);
    }

    if (o->state == IN_ELEMENT && !o->refused && o->deflate.window == 0) {
        o->deflate = o->element;
    }
}


static sio_rc_t
offer_read(sio_deflate_t *d, const uint8_t *p, size_t len)
{
    int             symbol;
    char            text[32];
    offer_t         o;
    const uint8_t  *last;

    memset(&o, 0, sizeof(offer_t));
    o.deflate = *d;

    for (last = p + len; p < last && o.state != IN_ERROR; /* void */ ) {

        if (*p == ' ' || *p == '\t') {
            p++;
            continue;
        }

        text[0] = '\0';
        symbol = offer_symbol(&p, last, text);
        offer_step(&o, symbol, text);
    }

    if (o.state == IN_PARAM || o.state == IN_VALUE || o.state == IN_ERROR) {
        return SIO_ERROR;
    }

    if (o.state != IN_ELEMENT) {
        offer_step(&o, ',', "");
    }

    *d = o.deflate;

    return SIO_OK;
}


/* What is answered asks for the same. */

static void
offer_check_answer(const sio_deflate_t *d)
{
    size_t         len;
    sio_deflate_t  same;
    unsigned char  answer[SIO_DEFLATE_ANSWER];

    static const char  agreed[] = "permessage-deflate; "
        "server_no_context_takeover; client_no_context_takeover";

    memset(&same, 0, sizeof(sio_deflate_t));

    fuzz_check(d->window >= 8 && d->window <= 15);
    fuzz_check(d->named || d->window == SIO_DEFLATE_MAX_WINDOW);

    len = sio_deflate_answer(answer, d);

    fuzz_check(len <= sizeof(answer) && len >= sizeof(agreed) - 1);
    fuzz_check(memcmp(answer, agreed, sizeof(agreed) - 1) == 0);
    fuzz_check((len == sizeof(agreed) - 1) == !d->named);

    fuzz_check(offer_read(&same, answer, len) == SIO_OK);
    fuzz_check(same.window == d->window && same.named == d->named);
}


/* A list may come in two headers; what is broken in it then is in one. */

static void
offer_check_two(const uint8_t *p, size_t len, sio_rc_t whole,
    const sio_deflate_t *d)
{
    sio_rc_t        rc;
    sio_deflate_t   two;
    const uint8_t  *comma;

    comma = len ? memchr(p + len / 2, ',', len - len / 2) : NULL;

    if (comma == NULL) {
        return;
    }

    memset(&two, 0, sizeof(sio_deflate_t));

    rc = sio_deflate_offer(&two, p, comma - p);

    if (rc == SIO_OK) {
        rc = sio_deflate_offer(&two, comma + 1, p + len - comma - 1);
    }

    fuzz_check(rc == whole);
    fuzz_check(rc != SIO_OK
               || (two.window == d->window && two.named == d->named));
}


static inline void
offer_check(const uint8_t *p, size_t len)
{
    sio_rc_t        rc;
    sio_deflate_t   fast, slow;
    unsigned char  *copy;

    memset(&fast, 0, sizeof(sio_deflate_t));
    memset(&slow, 0, sizeof(sio_deflate_t));

    copy = fuzz_copy(p, len);
    rc = sio_deflate_offer(&fast, copy, len);
    free(copy);

    fuzz_check(rc == offer_read(&slow, p, len));
    offer_check_two(p, len, rc, &fast);

    if (rc != SIO_OK) {
        return;
    }

    fuzz_check(fast.window == slow.window && fast.named == slow.named);

    if (fast.window) {
        offer_check_answer(&fast);
    }
}


#endif /* _FUZZ_OFFER_H_INCLUDED_ */
