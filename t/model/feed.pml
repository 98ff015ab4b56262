/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * The feed: two workers subscribe to one stream, of messages and of the
 * heartbeats that the holder of the lease publishes.  The holder appends, with
 * the position, and may lose the lease at any moment, because it was stopped;
 * the other stands by and takes over at the position.
 *
 *     MESSAGES, BEATS    how many there are
 *     TAKES              how often the lease changes hands
 *     LOCALS             records of other origin, which the feed is not told
 *     KILLS              holders that may die, at any step
 *     ONLY               the property that counts; if it is not said, all of
 *                        them do
 *
 *     BUG_EPOCH          an append does not look at the epoch
 *     BUG_RECOVER        ngx_sio_zone_log_recover() leaves a position as it is
 *     BUG_SAME_SLOT      it writes the slot that counts
 *     BUG_POSITION_LAST  the position is stored behind the head
 *     BUG_SINCE          messages behind the heartbeat are not counted
 *     BUG_TRIM           the standby keeps nothing before what it has met
 */


/* Properties, as README.md tells them. */

#define ORDER     1                     /* each message once, in order */
#define SINCE     2                     /* a position tells all that is behind
                                           its heartbeat */
#define KEPT      3                     /* a standby keeps what it may need */

#ifndef ONLY
#define ONLY      0
#endif

#define must(property, condition)                                             \
    assert((ONLY && ONLY != property) || (condition))


#ifndef MESSAGES
#define MESSAGES  3
#endif

#ifndef BEATS
#define BEATS     3
#endif

#ifndef TAKES
#define TAKES     2
#endif

#ifndef LOCALS
#define LOCALS    0
#endif

#ifndef KILLS
#define KILLS     0
#endif

#define LENGTH    (MESSAGES + BEATS)

#define IDLE      0
#define STANDBY   1
#define TAKING    2
#define RUNNING   3


/* A process may die here. */

#if KILLS > 0
#define step()                                                                \
    if :: true :: atomic { kills > 0 -> kills--; dead[me] = 1 }; goto died fi
#else
#define step()  skip
#endif


/* What Redis gives to all: 0 is a message, else the number of a heartbeat. */

byte  stream[LENGTH];
byte  length;
byte  messages;
byte  beats;

bit   locked;                           /* the log lock */
bit   broken;                           /* and its holder died */

byte  head = 1;
byte  from[2];                          /* the two slots of the position */
byte  heartbeat[2];
byte  since[2];

byte  epoch;                            /* the lease */
byte  holder;                           /* from 1; 0: nobody */
byte  standby;
bit   over;                             /* its time is */
bit   live;

bit   dead[2];

byte  appended;                         /* how many messages the log has */
byte  takes = TAKES;
byte  locals = LOCALS;
byte  kills = KILLS;


/* ngx_sio_zone_log_lock() with ngx_sio_zone_log_recover() */

inline log_lock()
{
    atomic {
        locked == 0 -> locked = 1;

#ifndef BUG_RECOVER
        if
        :: broken && from[0] > head -> from[0] = 0
        :: else
        fi;
        if
        :: broken && from[1] > head -> from[1] = 0
        :: else
        fi;
#endif
        broken = 0
    }
}

#define log_unlock  locked = 0


/* ngx_sio_lease_position() */

inline position()
{
    slot = (from[1] > from[0] -> 1 : 0);
    p_from = from[slot];
    p_heartbeat = heartbeat[slot];
    p_since = since[slot];
    slot = 0
}


/* ngx_sio_log_feed() */

inline write_position()
{
    slot = (from[0] > from[1] -> 1 : 0);

#ifdef BUG_SAME_SLOT
    slot = 1 - slot;
#endif

    heartbeat[slot] = b_heartbeat;

    step();

    since[slot] = b_since;

    step();

    from[slot] = head + n;

    step();

    slot = 0
}


/*
 * ngx_sio_feed_batch_flush(), ngx_sio_log_append(): n records, of them the
 * messages from "first" on.
 */

inline append()
{
    log_lock();

#ifndef BUG_EPOCH
    if
    :: epoch != lease || holder == 0 ->
       atomic { log_unlock; n = 0; count = 0 };
       goto lost
    :: else
    fi;
#endif

    step();

#ifndef BUG_POSITION_LAST
    write_position();
#endif

    /* the head: what is appended comes next, and once */

    atomic {
        head = head + n;

        if
        :: begins -> appended = read; begins = 0
        :: else
        fi;

        must(ORDER, count == 0 || first == appended + 1);
        appended = appended + count
    };

    step();

#ifdef BUG_POSITION_LAST
    head = head - n;
    write_position();
    head = head + n;
#endif

    atomic { log_unlock; n = 0; count = 0 }
}


/*
 * ngx_sio_lease_free(), without the time of grace: somebody else than the
 * standby gets the lease only if nothing has ever been delivered.
 */

#define may_take                                                              \
    ((holder == 0 || over || dead[holder - 1])                                \
     && (state == STANDBY                                                     \
         || (state == IDLE && standby == 0 && from[0] == 0 && from[1] == 0)))


active [2] proctype worker()
{
    byte  me, state;
    byte  lease;                        /* feed->batch.lease */
    byte  met;                          /* of the stream */
    byte  read;                         /*   that were messages */
    byte  keeps;                        /* kept from here on */
    byte  kept;                         /*   with messages before it */
    bit   proven, begins;
    byte  skip_n;                       /* feed->skip */
    byte  b_heartbeat, b_since;         /* feed->batch.pos */
    byte  p_from, p_heartbeat, p_since;
    byte  first, count, n, slot, i, k;

    me = _pid;

turn:

end:
    do
    :: atomic {
           state != RUNNING && met < length ->

           /* ngx_sio_feed_stream: keeps from its first heartbeat on */

           if
           :: stream[met] && !proven -> proven = 1; keeps = met; kept = read
           :: else
           fi;
           read = read + (stream[met] == 0);
           met++
       }

    :: atomic {
           (state == IDLE && proven && live && holder != me + 1
            && (standby == 0 || standby == me + 1 || dead[standby - 1])
            && locked == 0 && !broken) ->

           /*
            * ngx_sio_feed_seek_standby(): ngx_sio_feed_stream_trim() and
            * ngx_sio_lease_standby()
            */

           position();

           if
           :: p_from && stream[keeps] <= p_heartbeat ->
              standby = me + 1;
              state = STANDBY
           :: else
           fi;
           p_from = 0; p_heartbeat = 0; p_since = 0
       }

    :: atomic {
           state == STANDBY && locked == 0 && !broken ->

           /* ngx_sio_standby_trim() */

           position();

           i = keeps;
           k = kept;

           do
           :: i < met ->
#ifdef BUG_TRIM
              if
              :: stream[i] -> keeps = i; kept = k
              :: else
              fi;
#else
              if
              :: stream[i] > p_heartbeat -> break
              :: stream[i] && stream[i] <= p_heartbeat -> keeps = i; kept = k
              :: else
              fi;
#endif
              k = k + (stream[i] == 0);
              i++
           :: else -> break
           od;
           i = 0; k = 0; p_from = 0; p_heartbeat = 0; p_since = 0
       }

    :: (takes > 0 && may_take) ->

       /* ngx_sio_lease_take(), with ngx_sio_lease_free() */

       log_lock();

       if
       :: (takes > 0 && may_take) ->

          atomic { epoch++; takes-- };
          step();

          atomic {
              if
              :: standby == me + 1 -> standby = 0
              :: else
              fi
          };
          step();

          holder = me + 1;
          step();

          over = 0;
          step();

          atomic { lease = epoch; state = TAKING }

       :: else
       fi;

       log_unlock

    :: state == TAKING ->

       /* ngx_sio_feed_intake_take() */

       log_lock();

       atomic { position(); log_unlock };

       atomic {
           if
           :: p_from == 0 ->

              /* ngx_sio_feed_intake_restart(): nothing has been delivered */

              if
              :: proven ->
                 b_heartbeat = stream[keeps];
                 b_since = 0;
                 i = keeps + 1;
                 k = kept;
                 begins = 1;
                 state = RUNNING
              :: else
              fi

           :: else ->

              /* ngx_sio_standby_seek(): of a standby it is never DECLINED */

              if
              :: proven -> must(KEPT, stream[keeps] <= p_heartbeat)
              :: else
              fi;

              i = keeps;
              k = kept;

              do
              :: i < met && stream[i] != p_heartbeat ->
                 must(KEPT, stream[i] <= p_heartbeat);
                 k = k + (stream[i] == 0);
                 i++
              :: else -> break
              od;

              if
              :: i < met && proven ->
                 i++;
                 b_heartbeat = p_heartbeat;
                 b_since = p_since;
                 skip_n = p_since;
                 state = RUNNING
              :: else -> i = 0; k = 0
              fi
           fi;

           if
           :: state == RUNNING ->

              /* what is kept comes first, then what arrives */

              met = i;
              read = k;
              keeps = 0; kept = 0; proven = 0
           :: else
           fi;

           i = 0; k = 0; p_from = 0; p_heartbeat = 0; p_since = 0
       };

       if
       :: state == RUNNING && !live ->

          /* ngx_sio_feed_intake_up(): a record, and the announcement */

          n = 1;
          append();

          atomic {
              if
              :: epoch == lease -> live = 1
              :: else
              fi
          }

       :: else
       fi

    :: state == RUNNING && met < length ->

       /* ngx_sio_feed_intake_drain() */

       atomic {
           do
           :: met < length ->
              if
              :: stream[met] ->

                 /* of all that was appended nothing is missing */
                 must(SINCE, skip_n == 0);

                 b_heartbeat = stream[met];
                 b_since = 0;

                 /* without a standby, or with a batch to go with it */
                 if
                 :: count == 0 && standby == 0 -> n = 1
                 :: else
                 fi

              :: stream[met] == 0 && skip_n > 0 ->
                 skip_n--;
                 read++

              :: stream[met] == 0 && skip_n == 0 ->
                 read++;
                 if
                 :: count == 0 -> first = read
                 :: else
                 fi;
                 count++;
#ifndef BUG_SINCE
                 b_since++;
#endif
                 n = n + 1
              fi;
              met++
           :: break
           :: else -> break
           od
       };

       if
       :: n -> append()
       :: else
       fi

    :: atomic {
           ((state == TAKING || state == RUNNING) && beats < BEATS
            && epoch == lease && length < LENGTH) ->

           /* ngx_sio_feed_publish() */

           beats++;
           stream[length] = beats;
           length++
       }

    od;

lost:

    /* ngx_sio_feed_lost_lease(), ngx_sio_feed_intake_stop() */

    atomic {
        state = IDLE;
        skip_n = 0;
        proven = 0;
        lease = 0;
        begins = 0;
        b_heartbeat = 0;
        b_since = 0;
        first = 0
    };

    goto turn;

#if KILLS > 0
died:

    /* ngx_sio_worker_end_roles() is what "dead" stands for */

    atomic {
        if
        :: locked -> broken = 1; locked = 0
        :: else
        fi
    };
#endif
    skip
}


/* Redis, time, and the workers' own records. */

active proctype others()
{
end:
    do
    :: atomic {
           messages < MESSAGES && length < LENGTH ->
           messages++;
           stream[length] = 0;
           length++
       }

    :: atomic { holder && !over && takes > 0 -> over = 1 }

    :: atomic {
           locals > 0 ->
           locals--
       };
       log_lock();
       atomic { head++; log_unlock }
    od
}


