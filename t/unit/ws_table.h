
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _WS_TABLE_H_INCLUDED_
#define _WS_TABLE_H_INCLUDED_


#include "sio_ws.h"


/*
 * The cases of ws_cases.json, which tells how they are written.  What is wrong
 * with the file fails the test.
 */


#define WS_TABLE_FILE  "t/unit/ws_cases.json"

#define WS_TABLE_IDLE  0          /* ends of a case, besides the codes */
#define WS_TABLE_PART  1


typedef struct {
    const char  *name;
    sio_buf_t    wire;            /* what comes in */
    sio_buf_t    marks;           /* a byte for each: 1 in and around headers */
    sio_buf_t    want;            /* what comes out, as ws_table_note() tells */
    unsigned     end;
} ws_case_t;


/*
 * Calls run for each case, whose frames have this key unless they name one.
 * Returns the number of cases; *limit is that of a message.
 */
size_t ws_table_each(const unsigned char key[4], size_t *limit,
    void (*run)(const ws_case_t *c, size_t limit, void *data), void *data);

/* Appends a short text to out that tells this event from all others. */
void ws_table_note(sio_buf_t *out, const sio_ws_event_t *ev);


#endif /* _WS_TABLE_H_INCLUDED_ */
