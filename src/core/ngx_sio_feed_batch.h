
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#ifndef _NGX_SIO_FEED_BATCH_H_INCLUDED_
#define _NGX_SIO_FEED_BATCH_H_INCLUDED_


#include "ngx_sio_feed_channels.h"

#include <sio_adapter.h>
#include <sio_command.h>


/*
 * From messages to records in the log: decodes, gathers the records of a turn
 * and appends them at once, together with the position behind the last.
 *
 * A message that gives no record (malformed, too large, nobody's business)
 * moves the position as well.  It is committed with the next record, or by an
 * empty FEED record at the next heartbeat; a successor that meets such a
 * message again comes to the same nothing.  An idle feed appends nothing.
 */


typedef struct {
    ngx_sio_gateway_t        *gw;
    uint64_t                  lease;           /* epoch, of every append */
    ngx_sio_feed_sh_t         pos;             /* behind all that was taken */
    sio_buf_t                 buf;             /* records not yet appended */
    sio_adapter_t             adapter;
    sio_command_t             command;

    ngx_uint_t                passed;          /* taken without a record since
                                                  the last append */
    ngx_msec_t                complained;

    ngx_msec_t                starved;         /* since when there is no memory
                                                  for a message, or 0 */
    ngx_uint_t                noted;           /* flags of a note for which
                                                  there was none; if owed */
    ngx_uint_t                owed;

    ngx_uint_t                laggard;         /* who is waited for, */
    uint64_t                  cursor;          /*   where he stood, */
    ngx_msec_t                stalled;         /*   and since when */

    ngx_uint_t                suspect;         /* who has not moved lately, */
    uint64_t                  suspected;       /*   and where he stood, or 0 */
} ngx_sio_feed_batch_t;


void ngx_sio_feed_batch_init(ngx_sio_feed_batch_t *b, ngx_sio_gateway_t *gw);
void ngx_sio_feed_batch_free(ngx_sio_feed_batch_t *b);

/* Forgets what was not appended. */
void ngx_sio_feed_batch_drop(ngx_sio_feed_batch_t *b);

/*
 * Takes a message.
 *
 *   NGX_OK        taken
 *   NGX_AGAIN     not taken: no memory, or no room in the log, see batch_lag()
 *   NGX_BUSY      not taken: the log lock is not to be had
 *   NGX_DECLINED  not taken: the lease is lost
 */
ngx_int_t ngx_sio_feed_batch_message(ngx_sio_feed_batch_t *b,
    ngx_sio_feed_push_t *push);

/* Takes a heartbeat; commit: as a position, even if nothing came before it. */
void ngx_sio_feed_batch_heartbeat(ngx_sio_feed_batch_t *b, uint64_t number,
    ngx_uint_t commit);

/* Takes a FEED record with these flags. */
void ngx_sio_feed_batch_note(ngx_sio_feed_batch_t *b, ngx_uint_t flags);

/* Appends what was taken and rings; results as above. */
ngx_int_t ngx_sio_feed_batch_flush(ngx_sio_feed_batch_t *b);

/*
 * The worker in this slot (0: none) does not run at the moment: if there is
 * no room because of him, he has been waited for already.
 */
void ngx_sio_feed_batch_suspect(ngx_sio_feed_batch_t *b, ngx_uint_t slot);

/*
 * To be called while there is no room: fences the reader that is furthest
 * behind if it has not moved for a while.
 */
void ngx_sio_feed_batch_lag(ngx_sio_feed_batch_t *b);


#endif /* _NGX_SIO_FEED_BATCH_H_INCLUDED_ */
