/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * The ring: writers with the log lock, readers without, flow control, fence.
 *
 * Who is the writer has a store buffer.  It is carried out in any order but
 * that of barriers, and of stores to the same place.  A reader loads in the
 * order that is written here; the defects below load in another one.
 *
 *     SIZE       how many cells the log has
 *     START      where it begins, and all cursors; SIZE or more
 *     RECORDS    how many records are appended in all; of 1 or 2 cells
 *     BATCH      how many records one append has at most: 1 or 2
 *     WRITERS    how many; one that dies is followed by another one
 *     KILLS      writers that may die, at any step
 *     READERS    how many
 *     DEATHS     readers that may die, at any step; a new one may take the slot
 *     ONLY       the property that counts; if it is not said, all of them do
 *
 *     BUG_WRITER_FENCE     ngx_sio_log_evict() does not fence behind the tail
 *     BUG_HEAD_RELEASE     the head is no release store
 *     BUG_READER_FENCE     a reader looks at the tail before it copies
 *     BUG_TAIL_LAST        the tail is moved behind the bytes
 *     BUG_STEP             ngx_sio_log_evict() stops a record too early
 *     BUG_ROOM             ngx_sio_log_room() does not count readers
 *     BUG_REJOIN_LOCK      ngx_sio_log_rejoin() does not take the log lock
 *     BUG_ADVANCE          ngx_sio_log_advance() does not look at the state
 *     BUG_LOCK             a writer does not wait for the other one
 *     BUG_PAD              readers do not pass over the padding
 *     BUG_SPLIT            the padding counts from where the batch begins
 *     BUG_DEAD             ngx_sio_log_room() counts the dead
 *     BUG_REJOIN           who joins begins at the cursor that was there
 */


/* Properties, as README.md tells them. */

#define WHOLE    1                      /* what is handed out is that record */
#define ORDER    2                      /* each one, once, in order */
#define FENCING  3                      /* only a fenced reader is left behind,
                                           and goes on for one turn at most */
#define RING     4                      /* the tail goes from record to record */
#define STUCK    5                      /* the dead are in nobody's way */

#ifndef ONLY
#define ONLY     0
#endif

#define must(property, condition)                                             \
    assert((ONLY && ONLY != property) || (condition))


#ifndef RECORDS
#define RECORDS  5
#endif

#ifndef KILLS
#define KILLS    0
#endif

#ifndef READERS
#define READERS  1
#endif

#ifndef WRITERS
#define WRITERS  1
#endif

#ifndef DEATHS
#define DEATHS   0
#endif

#ifndef BATCH
#define BATCH    1
#endif

#ifndef SIZE
#define SIZE     4                      /* log_size, in cells */
#endif

#ifndef START
#define START    SIZE
#endif

#define LIMIT    (SIZE * 3 / 4)         /* three quarters of it */
#define STEP     1                      /* log_size / NGX_SIO_LOG_STEP */
#define LAST     (START + RECORDS * 3 + 1)

#if BATCH > 1
#define STORES   8                      /* in the buffer, at most */
#else
#define STORES   6
#endif

#define FREE     0                      /* NGX_SIO_FREE */
#define LIVE     1                      /* NGX_SIO_WORKER_LIVE */
#define FENCED   2                      /* NGX_SIO_WORKER_FENCED */

#define PAD      4                      /* bit of a size */

#define header(offset, size)  ((offset) * 8 + (size))
#define offset_of(header)     ((header) / 8)
#define size_of(header)       ((header) % 8)
#define cells_of(header)      ((header) % 4)

#define TAIL     100                    /* places of a store besides cells */
#define HEAD     101


/* A process may die here. */

#if KILLS > 0
#define step()  if :: true :: atomic { kills > 0 -> kills-- }; goto dead fi
#else
#define step()  skip
#endif

#if DEATHS > 0
#define reader_step()                                                         \
    if :: true :: atomic { deaths > 0 -> deaths-- }; goto dead fi
#else
#define reader_step()  skip
#endif


/*
 * Memory.  A cell is a header, of which offset and size matter, or a piece of
 * a body, that looks like a header at its own offset.
 */

byte  cell[SIZE];
byte  head = START;
byte  tail = START;

byte  cursor[READERS] = START;
byte  state[READERS] = LIVE;
bit   alive[READERS] = 1;
byte  deaths = DEATHS;

byte  floor = START;                    /* only with the lock */
byte  locked;                           /* 1: held, 2: by who is dead */

byte  at[STORES];                       /* the store buffer: place, value, */
byte  value[STORES];                    /*   barriers in front of it */
byte  barrier[STORES];
byte  stores;
byte  barriers;

/* what should be: records as their heads were published */

byte  is_size[LAST];
byte  is_number[LAST];                  /* from 1; 0 is padding */

byte  left = RECORDS;
byte  number;
byte  kills = KILLS;


inline store(place, v)
{
    at[stores] = place;
    value[stores] = v;
    barrier[stores] = barriers;
    stores++
}


/* May be carried out: no barrier and no store to the same place before it. */

#define may_go(i)                                                             \
    (stores > i && barrier[i] == barrier[0]                                   \
     && (i < 1 || at[0] != at[i])                                             \
     && (i < 2 || at[1] != at[i])                                             \
     && (i < 3 || at[2] != at[i])                                             \
     && (i < 4 || at[3] != at[i])                                             \
     && (i < 5 || at[4] != at[i])                                             \
     && more_may_go(i))

#if BATCH > 1
#define more_may_go(i)                                                        \
    ((i < 6 || at[5] != at[i])                                                \
     && (i < 7 || at[6] != at[i]))
#else
#define more_may_go(i)  true
#endif

#define carry_out(i)                                                          \
    :: atomic { may_go(i) -> n = i; go() }

inline go()
{
    d_step {
        if
        :: at[n] == HEAD -> head = value[n]
        :: at[n] == TAIL -> tail = value[n]
        :: at[n] < SIZE -> cell[at[n]] = value[n]
        fi;

        stores--;

        do
        :: n < stores ->
           at[n] = at[n + 1];
           value[n] = value[n + 1];
           barrier[n] = barrier[n + 1];
           n++
        :: else -> break
        od;

        at[stores] = 0;
        value[stores] = 0;
        barrier[stores] = 0;

        if
        :: stores == 0 -> barriers = 0
        :: else
        fi;

        n = 0
    }
}


active proctype memory()
{
    byte  n;

end:
    do
    carry_out(0)
    carry_out(1)
    carry_out(2)
    carry_out(3)
    carry_out(4)
    carry_out(5)
#if BATCH > 1
    carry_out(6)
    carry_out(7)
#endif
    od
}


/* ngx_sio_zone_log_lock(): of a dead one all stores are seen. */

inline log_lock()
{
    atomic {
#ifdef BUG_LOCK
        skip;
#else
        (locked != 1 && stores == 0);
#endif
        locked = 1
    }
}


/* ngx_sio_zone_log_unlock(): nobody else has the lock before it is empty. */

inline log_unlock()
{
    atomic { stores == 0 -> locked = 0 }
}


/* A dead one does not, if it is in the way. */

#ifdef BUG_DEAD
#define counts(i)  true
#else
#define counts(i)  (next - cursor[i] <= LIMIT || alive[i])
#endif

#if READERS > 1
#define all_dead   (!alive[0] && !alive[1])
#else
#define all_dead   (!alive[0])
#endif


/* ngx_sio_log_room(): refused is its answer */

inline room()
{
    refused = false;

    if
    :: next - floor > LIMIT ->

       least = head;
       i = 0;

#ifndef BUG_ROOM
       do
       :: i < READERS ->
          atomic {
              if
              :: state[i] == LIVE && cursor[i] < least && counts(i) ->
                 least = cursor[i]
              :: else
              fi;
              i++
          }
       :: else -> break
       od;
#endif

       atomic {
           floor = least;
           refused = (next - least > LIMIT);
           must(STUCK, !refused || !deserted);
           i = 0;
           least = 0
       }

    :: else
    fi
}


/* ngx_sio_log_evict() */

inline evict()
{
    if
    :: next - tail > SIZE ->

       i = tail;

#ifdef BUG_STEP
       least = next - SIZE - 1;
#else
       least = next - SIZE + STEP;
#endif

       do
       :: i < least ->
          must(RING, offset_of(cell[i % SIZE]) == i);
          must(RING, cells_of(cell[i % SIZE]) > 0);
          must(RING, cells_of(cell[i % SIZE]) <= head - i);

          i = i + cells_of(cell[i % SIZE])
       :: else -> break
       od;

       /* ngx_sio_store(&sh->tail), and the release fence */

       store(TAIL, i);

#ifndef BUG_WRITER_FENCE
       barriers++;
#endif
       i = 0;
       least = 0;

       step()

    :: else
    fi
}


/*
 * ngx_sio_log_write() of one record of a batch.  An image knows no offset, and
 * all of the batch are copied before the first is stamped; so the stamps of
 * what is written at once are behind its images.
 */

inline image(where, size)
{
    store((where) % SIZE, header(0, size));

    if
    :: size == 2 -> store((where + 1) % SIZE, header(where + 1, 1))
    :: else
    fi
}


inline stamp(where, size)
{
    store((where) % SIZE, header(where, size))
}


/* What should be. */

inline expect(where, size)
{
    number++;
    is_size[where] = size;
    is_number[where] = number
}


/*
 * ngx_sio_log_append() of a batch: a record, and a second one if "more" is not
 * 0.  Its stores are nobody's business until they are carried out, so they may
 * be made at once.
 */

inline append()
{
    log_lock();

    atomic {
        off = head;
        pad = 0;
        deserted = all_dead;

        /* ngx_sio_log_split(): first is what fits in front of the end */

        first = 0;

        if
        :: SIZE - off % SIZE >= cells + more -> first = cells + more
        :: SIZE - off % SIZE < cells + more && SIZE - off % SIZE >= cells ->
           first = cells
        :: else
        fi;

        if
        :: first < cells + more -> pad = SIZE - off % SIZE - first
        :: else
        fi;

        next = off + pad + cells + more
    };

    room();

    if
    :: refused || left == 0 -> log_unlock(); goto again
    :: else
    fi;

    atomic {

#ifndef BUG_TAIL_LAST
        evict();
#endif

        if
        :: first ->

           image(off, cells);

           if
           :: first > cells -> image(off + cells, more)
           :: else
           fi;

           step();

           stamp(off, cells);

           if
           :: first > cells -> stamp(off + cells, more)
           :: else
           fi;

           step()

        :: else
        fi;

        if
        :: first < cells + more ->

           if
           :: pad ->

              /* ngx_sio_log_pad() */

#ifdef BUG_SPLIT
              store(off % SIZE, header(off, pad + PAD));
#else
              store((off + first) % SIZE, header(off + first, pad + PAD));
#endif
              step()

           :: else
           fi;

           off = off + first + pad;

           if
           :: first == 0 ->
              image(off, cells);

              if
              :: more -> image(off + cells, more)
              :: else
              fi;

              step();

              stamp(off, cells);

              if
              :: more -> stamp(off + cells, more)
              :: else
              fi

           :: else ->
              image(off, more);

              step();

              stamp(off, more)
           fi;

           step()

        :: else
        fi;

#ifdef BUG_TAIL_LAST
        evict();
#endif

        /* ngx_sio_store(&sh->head) */

#ifndef BUG_HEAD_RELEASE
        barriers++;
#endif

        store(HEAD, next);

        /* what should be; the head is still the old one */

        if
        :: pad -> is_size[head + first] = pad; is_number[head + first] = 0
        :: else
        fi;

        off = (first -> head : head + pad);

        expect(off, cells);

        off = (first == cells -> off + cells + pad : off + cells);

        if
        :: more -> expect(off, more)
        :: else
        fi;

        left = left - 1 - (more > 0);

        off = 0;
        pad = 0;
        next = 0;
        first = 0;
        more = 0;
        deserted = 0;

        step()
    };

    log_unlock()
}


active [WRITERS] proctype writer()
{
    byte  cells, more, first, off, pad, next, least, i;
    byte  laggard, lag;
    bool  refused, deserted;

again:

    if
    :: refused ->

       /*
        * ngx_sio_feed_batch_lag(): the time is not told, but the cursor is the
        * same at the next look
        */

       atomic {
           refused = false;
           off = 0;
           pad = 0;
           next = 0;
           first = 0;
           more = 0;
           deserted = 0;

           /* ngx_sio_log_laggard() */

           do
           :: i < READERS ->
              if
              :: (state[i] == LIVE && alive[i]
                  && (laggard == 0 || cursor[i] < lag)) ->
                 laggard = i + 1;
                 lag = cursor[i]
              :: else
              fi;
              i++
           :: else -> i = 0; break
           od
       };

       if
       :: laggard ->

          /* ngx_sio_log_fence() */

          if
          :: cursor[laggard - 1] == lag ->

             atomic {
                 if
                 :: state[laggard - 1] == LIVE -> state[laggard - 1] = FENCED
                 :: else
                 fi
             }

          :: true
          fi
       :: else
       fi;

       atomic { laggard = 0; lag = 0 }

    :: !refused && left > 0 ->

       atomic {
           more = 0;

           if
           :: cells = 1
           :: cells = 2
#if BATCH > 1
           :: left > 1 -> cells = 1; more = 1
           :: left > 1 -> cells = 1; more = 2
           :: left > 1 -> cells = 2; more = 1
#endif
           fi
       }

    :: !refused && left == 0 -> goto out
    fi;

    append();

    goto again;

#if KILLS > 0
dead:

    /* this is another one from here on */

    atomic {
        locked = 2;
        off = 0;
        pad = 0;
        next = 0;
        first = 0;
        more = 0;
        deserted = 0
    };

    goto again;
#endif

out:
    skip
}


/* A worker.  From its fence on it has one turn that it does not know of it. */

active [READERS] proctype reader()
{
    byte  me, off, seen, h_offset, h_size, body, t, last;
    bool  fenced, overrun;

    atomic {
        me = _pid - 1 - WRITERS;
        off = START
    };

turn:

    /* ngx_sio_dispatch_turn() */

    fenced = (state[me] == FENCED);

record:

    reader_step();

    /* ngx_sio_log_written() */

    if
    :: off < seen
    :: else -> seen = head
    fi;

    must(ORDER, off <= seen);

    if
    :: off == seen -> goto flush
    :: else
    fi;

    /* ngx_sio_log_next() */

#ifdef BUG_READER_FENCE
    t = tail;
#endif

    atomic {
        h_offset = offset_of(cell[off % SIZE]);
        h_size = size_of(cell[off % SIZE])
    };

#ifndef BUG_READER_FENCE
    /* ngx_sio_log_overrun() */
    t = tail;
#endif

    if
    :: off < t || h_offset != off || h_size == 0 -> overrun = true; goto flush
    :: else
    fi;

#ifndef BUG_PAD
    if
    :: h_size & PAD ->
       atomic {
           must(WHOLE, is_number[off] == 0 && is_size[off] == h_size - PAD);
           off = off + h_size - PAD;
           h_offset = 0; h_size = 0; t = 0
       };
       goto record
    :: else
    fi;
#endif

    /* ngx_sio_log_copy() */

    if
    :: h_size == 2 ->

#ifdef BUG_READER_FENCE
       t = tail;
#endif
       body = offset_of(cell[(off + 1) % SIZE]);

#ifndef BUG_READER_FENCE
       t = tail;
#endif
       if
       :: off < t -> overrun = true; goto flush
       :: else
       fi

    :: else
    fi;

    /* handed out: whole, once, in order */

    atomic {
        must(WHOLE, h_size == is_size[off]);
        must(WHOLE, h_size < 2 || body == off + 1);
        must(ORDER, is_number[off]);
        must(ORDER, last == 0 || is_number[off] == last + 1);

        last = is_number[off];
        off = off + h_size;
        h_offset = 0; h_size = 0; body = 0; t = 0
    };

    if
    :: goto record
    :: true
    fi;

flush:

    if
    :: overrun ->

       /* who counts is not left behind */
       atomic {
           must(FENCING, state[me] == FENCED);
           h_offset = 0; h_size = 0; body = 0; t = 0; overrun = false
       };
       goto rejoin
    :: else
    fi;

    /* ngx_sio_log_advance() */

#ifndef BUG_ADVANCE
    if
    :: state[me] != LIVE -> goto rejoin
    :: else
    fi;
#endif

    cursor[me] = off;

    must(FENCING, !fenced);

    reader_step();

end:
    if
    :: head != off || state[me] != LIVE -> goto turn
    :: left == 0 && head == off && state[me] == LIVE && stores == 0 -> goto out
    fi;

rejoin:

    /* ngx_sio_dispatch_overrun(), ngx_sio_log_rejoin() */

#ifndef BUG_REJOIN_LOCK
    log_lock();
#endif

#ifdef BUG_REJOIN
    off = cursor[me];
#else
    off = head;
#endif

    cursor[me] = off;

    state[me] = LIVE;

#ifndef BUG_REJOIN_LOCK
    log_unlock();
#endif

    atomic { last = 0; fenced = false };

    goto turn;

#if DEATHS > 0
dead:

    atomic {
        alive[me] = 0;
        h_offset = 0; h_size = 0; body = 0; t = 0; overrun = false
    };

    /* ngx_sio_worker_reap(), ngx_sio_worker_enter() by another one, if any */

    if
    :: state[me] = FREE; alive[me] = 1; seen = 0; goto rejoin
    :: goto gone
    fi;
#endif

out:

    /* all that was appended since it joined, up to the last one */
    must(ORDER, last == 0 || last == number);

gone:
    skip
}
