/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * Doorbells: a record that is published while a reader goes to sleep, or
 * sleeps, gets it woken.  Each process has a store buffer: what it stored is
 * its own secret until the process "memory" carries it out, at any time later,
 * unless a fence waits for that.
 *
 *     WRITERS, RECORDS    how many, and how many records each appends
 *     KILLS               writers that may die, at any step
 *     ONLY                the property that counts; if it is not said, all do
 *
 *     BUG_RING_FENCE      ngx_sio_log_ring() does not fence
 *     BUG_ARM_FENCE       ngx_sio_log_arm() does not fence
 *     BUG_ARM_LOOK        it does not look at the head again
 *     BUG_RING_EARLY      the bell is rung before the head is published
 *     BUG_SWEEP           nobody looks at the head now and then
 */


/* Properties, as README.md tells them. */

#define WOKEN     1                     /* a record is read */
#define STUCK     2                     /* all that can be written is */

#ifndef ONLY
#define ONLY      0
#endif

#define must(property, condition)                                             \
    assert((ONLY && ONLY != property) || (condition))


#ifndef WRITERS
#define WRITERS  2
#endif

#ifndef RECORDS
#define RECORDS  2
#endif

#ifndef KILLS
#define KILLS    0
#endif


/* A process may die here. */

#if KILLS > 0
#define step()  if :: true :: atomic { kills > 0 -> kills-- }; goto dead fi
#else
#define step()  skip
#endif


byte  head;                     /* memory, as all others see it */
bit   armed;
bit   lock;                     /* the log lock */
bit   bell;                     /* the eventfd has an edge */

byte  stored[WRITERS];          /* a head in the buffer of a writer; 0: none */
bit   unlocked[WRITERS];        /* and behind it the word of the mutex */

chan  arming = [2] of { bit };  /* the buffer of the reader */

byte  cursor;
byte  kills = KILLS;


#define carry_out(i)                                                          \
    :: atomic { stored[i] -> head = stored[i]; stored[i] = 0 }                 \
    :: atomic { !stored[i] && unlocked[i] -> lock = 0; unlocked[i] = 0 }


/* Carries out one store; those of a dead process, too. */

active proctype memory()
{
end:
    do
    carry_out(0)
#if WRITERS > 1
    carry_out(1)
#endif
#if WRITERS > 2
    carry_out(2)
#endif
    :: arming ? armed
    od
}


/* ngx_sio_log_ring() */

inline ring_bells()
{
#ifndef BUG_RING_FENCE
    /* ngx_sio_fence() */
    (stored[me] == 0 && !unlocked[me]);
#endif

    /* the relaxed load */
    seen = armed;

    if
    :: seen ->
       step();

       /* the exchange, which empties the buffer as each such instruction */
       atomic {
           (stored[me] == 0 && !unlocked[me]) -> seen = armed; armed = 0
       };

       if
       :: seen ->
          step();

          /* ngx_sio_gateway_ring_slot() */
          bell = 1
       :: else
       fi
    :: else
    fi
}


active [WRITERS] proctype writer()
{
    byte  n, me;
    bit   seen, mine;

    me = _pid - 1;

    do
    :: n < RECORDS ->

#ifdef BUG_RING_EARLY
       ring_bells();
#endif

       /* ngx_sio_zone_log_lock() */
       atomic { lock == 0 -> lock = 1; mine = 1 };

       step();

       /* ngx_sio_log_append_locked(): publish the head */
       atomic { (stored[me] == 0) -> stored[me] = head + 1 };

       step();

       /* ngx_sio_zone_log_unlock() */
       atomic { unlocked[me] = 1; mine = 0 };

       step();

#ifndef BUG_RING_EARLY
       ring_bells();
#endif

       n++;
       seen = 0

    :: else -> break
    od;

    goto out;

#if KILLS > 0
dead:

    /* the mutex is robust: the next one gets it when all stores are seen */

    if
    :: mine -> unlocked[me] = 1
    :: else
    fi;
#endif

out:
    skip
}


/* ngx_sio_dispatch_run() */

active proctype reader()
{
    byte  h;

again:

    /* ngx_sio_dispatch_turn() up to the head */

    h = head;

    if
    :: h != cursor -> cursor = h; goto again
    :: else
    fi;

    /* ngx_sio_log_arm() */

    arming ! 1;

#ifndef BUG_ARM_FENCE
    /* ngx_sio_fence() */
    empty(arming);
#endif

#ifdef BUG_ARM_LOOK
    goto sleep;
#endif

    h = head;

    if
    :: h == cursor -> goto sleep
    :: else -> arming ! 0; goto again
    fi;

sleep:
end:

    if
    :: bell -> bell = 0; goto again

#if KILLS > 0 && !defined(BUG_SWEEP)
    /* ngx_sio_gateway_sweep() */
    :: head != cursor -> goto again
#endif
    fi
}


/* When nothing moves any more, nothing is unread. */

active proctype checker()
{
    timeout -> must(WOKEN, cursor == head);
               must(STUCK, lock == 0);
               must(STUCK, kills < KILLS || head == WRITERS * RECORDS)
}
