/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


/*
 * One session, a client that polls, or comes back for its socket with a poll or
 * a WebSocket, and workers, of which each may serve any request.  All records
 * of the log are events for the session; offsets count from 0.
 *
 *     WORKERS    how many there are
 *     EVENTS     how many events
 *     POLLS      how many requests the client makes
 *     STREAMS    how many of them, at most, are for a WebSocket
 *     KILLS      workers that may die, at any step
 *     FENCES     workers that may be fenced
 *     REUSES     whether the session may be ended, at any step, and its record
 *                be that of another one from then on
 *     ONLY       the property that counts; if it is not said, all of them do
 *
 *     BUG_HOLD         an owner looks at its ticket, and then stores
 *     BUG_HELD         take does not mind that the owner is storing
 *     BUG_UNLOCKED     an owner goes to its cursor without the zone lock
 *     BUG_TICKET       an answer does not ask for the ticket
 *     BUG_WRITE_FIRST  the answer leaves before the session is let go
 *     BUG_STAY         the session moves on with the cursor although there
 *                      is something in the body
 *     BUG_CURSOR_LATE  take looks at the cursor of the owner behind "applied"
 *     BUG_APPLIED      take leaves "at the cursor" as it is
 *     BUG_REAP         sessions of the dead stay theirs
 *     BUG_OFFSET       who comes back is not asked what it has got
 *     BUG_REPLAY       who has read positions does not ask for the ticket
 *     BUG_ADOPT        a socket is moved without a look at the ticket
 *     BUG_REUSE        the owner word of another session begins at zero
 */


/* Properties: ngx_sio_session_*() and what is said of them in README.md */

#define LOST      1                     /* a record was skipped */
#define DOUBLED   2                     /* one came twice */
#define WRITERS   3                     /* somebody stores who must not */
#define FOREIGN   4                     /* something is of another session */
#define STUCK     5                     /* nobody can go on with it */

#ifndef ONLY
#define ONLY      0
#endif

#define must(property, condition)                                             \
    assert((ONLY && ONLY != property) || (condition))


#ifndef WORKERS
#define WORKERS   2
#endif

#ifndef EVENTS
#define EVENTS    2
#endif

#ifndef POLLS
#define POLLS     3
#endif

#ifndef STREAMS
#define STREAMS   1
#endif

#ifndef KILLS
#define KILLS     0
#endif

#ifndef FENCES
#define FENCES    0
#endif

#ifndef REUSES
#define REUSES    0
#endif

#define AT_CURSOR  99                   /* NGX_SIO_AT_CURSOR */
#define NONE       0
#define LIVE       1
#define FENCED     2

/* an owner word: slot, generation, and whether it is held */

#define HELD              128
#define word(slot, gen)   ((slot) + 4 * (gen))
#define ticket_of(word)   ((word) % HELD)
#define slot_of(word)     ((word) % 4)
#define gen_of(word)      (ticket_of(word) / 4)


/* ngx_sio_session_take_locked() does not take what its owner stores to */

#if defined(BUG_HELD)
#define storing(word)     false
#else
#define storing(word)     ((word) >= HELD)
#endif


/* A process may die here. */

#if KILLS > 0
#define step()  if :: true :: atomic { kills > 0 -> kills-- }; goto dead fi
#else
#define step()  skip
#endif


byte  head;                             /* of the log */

byte  lock;                             /* the zone lock: who has it, from 1 */

byte  owner;                            /* the session */
byte  applied;
byte  last;
byte  handled;                          /* ss->seen */
byte  connection;                       /* its transport; 0: parked */
bit   reused;                           /* the record is another session's */

byte  cursor[4];                        /* worker slots, from 1 */
byte  state[4];
bit   alive[4];

byte  ticket[4];                        /* of the object that serves a client */
bit   serves[4];

byte  request[4];                       /* connection of a client; 0: none */
byte  position[4];                      /* a client that comes back: what it
                                           has got, and 1; 0: it does not */
bit   stream[4];                        /*   and has a WebSocket */
byte  polling;                          /* the client: its connection */
byte  asked;                            /* the slot where it asks */
byte  got;
byte  kills = KILLS;
byte  fences = FENCES;
byte  polls = POLLS;
byte  streams = STREAMS;


/*
 * What must be so at each store to the session, be it with the zone lock or
 * while it is held: no other has it.  All objects are of the first session.
 */

inline writes()
{
    must(WRITERS, ticket_of(owner) == ticket[me]);
    must(FOREIGN, !reused)
}


/* With the zone lock: it is the own one, nobody's, or that of a dead one. */

inline writes_last()
{
    must(WRITERS, lock == me);
    must(WRITERS, owner == ticket[me] || !alive[slot_of(owner)])
}


/*
 * Who takes it stores positions before that, and the owner may be storing, too:
 * see ngx_sio_session_take_locked().  But there is one at most who takes.
 */

inline writes_for(slot)
{
    must(WRITERS, lock == me && slot_of(owner) == slot)
}


/* A worker that can be asked. */

#define idle(slot)   (alive[slot] && request[slot] == 0)


/* ngx_sio_zone_lock(): repair leaves positions and owner as they are */

inline zone_lock()
{
    atomic {
        lock == 0 -> lock = me
    }
}

#define zone_unlock  lock = 0


/*
 * What an owner stores while it holds the session: ngx_sio_session_stay(),
 * ngx_sio_session_handed()
 */

inline own_store(condition, where, what)
{
#ifdef BUG_HOLD
    passed = (owner == ticket[me]);
#else
    atomic {
        passed = (owner == ticket[me]);

        if
        :: passed -> owner = owner + HELD
        :: else
        fi
    };
#endif

    step();

    if
    :: atomic { passed && condition -> writes(); where = what }; step()
    :: else
    fi;

#ifndef BUG_HOLD
    if
    :: passed ->
       atomic {
           if
           :: owner == ticket[me] + HELD -> owner = ticket[me]
           :: else
           fi
       };
       step()
    :: else
    fi;
#endif

    passed = 0
}


/* ngx_sio_session_at_cursor() */

inline go_to_cursor()
{
#ifdef BUG_UNLOCKED
    own_store(true, applied, AT_CURSOR)
#else
    zone_lock();

    if
    :: owner == ticket[me] ->
       atomic { writes(); applied = AT_CURSOR };
       step()
    :: else
    fi;

    zone_unlock
#endif
}


/*
 * What leaves reaches the client if it still has that connection.  A WebSocket
 * that is lost may have had more than its session tells; the client comes back
 * with an offset, so that it is given no record twice, either.
 */

inline arrives(first, behind)
{
    must(FOREIGN, !strange);

    if
    :: polling == wanted && polling && asked == me ->
       must(LOST, first <= got + 1);
       must(DOUBLED, first > got);

       if
       :: behind > got -> got = behind
       :: else
       fi

    :: else
    fi
}


/* ngx_sio_session_pass_locked() */

inline pass(slot)
{
    atomic {
        passed = (owner == seen);

        if
        :: passed ->
           must(WRITERS, lock == me);

           seen = word(slot, gen_of(seen) + 1);
           owner = seen
        :: else
        fi
    };
    step()
}


/* ngx_sio_session_let_go() */

inline let_go(at)
{
    atomic { writes_last(); handled = at };

    step();

    if
    :: applied == AT_CURSOR -> atomic { writes_last(); applied = at }; step()
    :: else
    fi;

    seen = owner;
    pass(0)
}


/* ngx_sio_session_park_locked(), of an owner or of one that is dead */

inline park(at)
{
    connection = 0;
    step();
    let_go(at)
}


active [WORKERS] proctype worker()
{
    byte  me, other;                    /* who has the session, or is dead */
    byte  mine;                         /* gw->cursor */
    byte  seen, from, to, wanted, at_cursor;
    byte  body, until;                  /* of an answer on its way */
    bit   passed, streaming;
    bit   strange;                      /* from is of another session */

    atomic {
        me = _pid + 1;
        state[me] = LIVE;
        alive[me] = 1
    };

loop:
end_loop:

    do
    :: request[me] && !serves[me] ->

       /* ngx_sio_poll, ngx_sio_recover: finds the session, and claims it */

       atomic {
           wanted = request[me];
           from = position[me];
           streaming = stream[me]
       };

       zone_lock();

       step();

       if
       :: reused || (connection != wanted && from == 0) ->

          /* unknown: there is another transport by now, or none */

          atomic {
              zone_unlock;
              request[me] = 0; wanted = 0; from = 0; streaming = 0
          };
          goto loop

       :: else
       fi;

       /* ngx_sio_session_claim_locked() */

       seen = owner;

       if
       :: slot_of(seen) == 0 -> skip

       :: slot_of(seen) == me ->

          /* an object here that has not been closed yet */

          atomic {
              zone_unlock;
              wanted = 0; from = 0; seen = 0; streaming = 0
          };
          goto loop

       :: slot_of(seen) != 0 && slot_of(seen) != me ->

          other = slot_of(seen);

          /*
           * ngx_sio_claim_is_lost(), or patience has come to its end:
           * ngx_sio_session_take_locked(); the owner may be storing
           */

#ifndef BUG_CURSOR_LATE
          at_cursor = cursor[other];
#endif
          if
          :: applied == AT_CURSOR ->
#ifdef BUG_CURSOR_LATE
             at_cursor = cursor[other];
#endif
             atomic { writes_for(other); handled = at_cursor };
             step();
#ifndef BUG_APPLIED
             atomic { writes_for(other); applied = at_cursor };
             step()
#endif
          :: else
          fi;

          /* ngx_sio_session_snatch(): as it is now, if it is not held */

          atomic {
              seen = owner;

              if
              :: storing(seen) ->

                 /* later again */

                 zone_unlock;
                 wanted = 0; from = 0; seen = 0; streaming = 0;
                 at_cursor = 0; other = 0;
                 goto loop

              :: else
              fi
          }
       fi;

       pass(me);

       if
       :: !passed ->
          atomic {
              zone_unlock;
              wanted = 0; from = 0; seen = 0; at_cursor = 0; other = 0;
              streaming = 0
          };
          goto loop
       :: else
       fi;

       atomic {
           ticket[me] = seen;
           serves[me] = 1;
           seen = 0; passed = 0; at_cursor = 0; other = 0
       };

       zone_unlock;

       /*
        * ngx_sio_arrive(), ngx_sio_recover_claim(): not before this worker is
        * there; then from where it stands, and where the client does
        */

       atomic {
           if
           :: applied == AT_CURSOR -> to = handled
           :: else -> to = applied
           fi;
           if
           :: last > to -> to = last
           :: else
           fi;
           if
           :: mine < to || (from && mine < from - 1) -> mine = head
           :: else
           fi;
           to = 0
       };

       /*
        * ngx_sio_arrive_socket(), ngx_sio_recover_from(): without the zone
        * lock, so it may be somebody else's by now
        */

       atomic {
           if
#ifndef BUG_OFFSET
           :: from && last != from - 1 -> to = from - 1
#endif
           :: else ->
              if
              :: applied == AT_CURSOR -> to = handled
              :: else -> to = applied
              fi;
              if
              :: last > to -> to = last
              :: else
              fi
           fi;
           strange = reused
       };

       /* ngx_sio_replay_run(): asks for the ticket when it has all */

#ifndef BUG_REPLAY
       if
       :: owner != ticket[me] -> goto forget
       :: else
       fi;
#endif

       if
       :: from ->

          /*
           * ngx_sio_session_adopt_locked(): the socket moves to its new
           * transport
           */

          zone_lock();

#ifndef BUG_ADOPT
          if
          :: owner != ticket[me] -> zone_unlock; goto forget
          :: else
          fi;
#endif
          atomic { writes(); connection = wanted };
          step();

          atomic { writes(); applied = to };
          step();

          atomic {
              writes();

              if
              :: last > to -> last = to
              :: else
              fi
          };
          step();

          zone_unlock

       :: else
       fi;

       atomic { from = to; to = mine };

       if
       :: to > from && streaming ->

          /* ngx_sio_recover_finish(), ngx_sio_websocket_arrived() */

          atomic { arrives(from + 1, to) };

          step();

          own_store(true, last, to);

          from = to;

          go_to_cursor()

       :: to > from && !streaming -> skip
       :: else -> go_to_cursor()
       fi

    :: serves[me] && to > from ->

       /* ngx_sio_poll_answer(), ngx_sio_poll_let_go() */

#ifdef BUG_WRITE_FIRST
       atomic { body = from + 1; until = to };
       goto write;
reply:
#endif
       zone_lock();

       step();

#ifndef BUG_TICKET
       if
       :: owner != ticket[me] ->

          /* taken: the other one sends what is in the body */

          atomic { zone_unlock; serves[me] = 0; request[me] = 0 };
          goto forget

       :: else
       fi;
#endif

       /* ngx_sio_session_answer_locked() */

       atomic { writes(); last = to };

       step();

       atomic { writes(); applied = to };

       step();

       let_go(to);

       zone_unlock;

       atomic { body = from + 1; until = to };

       step();

#ifdef BUG_WRITE_FIRST
       goto forget;
#endif

write:

       /* ngx_sio_poll_respond(): nobody reads it if the client has gone */

       atomic {
           arrives(body, until);

           if
           :: polling == wanted && asked == me -> asked = 0
           :: else
           fi;

           body = 0; until = 0
       };

#ifdef BUG_WRITE_FIRST
       step();
       goto reply;
#endif

forget:

       atomic {
           serves[me] = 0;
           ticket[me] = 0;
           request[me] = 0;
           seen = 0; passed = 0; from = 0; to = 0; wanted = 0;
           streaming = 0; strange = 0
       }

    :: serves[me] && to <= from && (polling != wanted || asked != me) ->

       /* the connection was lost: ngx_sio_session_park() */

       zone_lock();

       if
       :: owner == ticket[me] && connection == wanted -> park(mine)
       :: owner == ticket[me] && connection != wanted -> let_go(mine)
       :: else
       fi;

       zone_unlock;

       goto forget

    :: mine < head ->

       /* ngx_sio_dispatch_turn() */

       mine = head;

       step();

       if
       :: serves[me] && to <= from && streaming ->

          /* ngx_sio_client_write() */

          atomic { arrives(from + 1, mine) };

          step();

          own_store(true, last, mine);

          atomic { from = mine; to = mine }

       :: serves[me] && to <= from && !streaming ->

          /* the body begins: ngx_sio_poll_stay() */

#ifndef BUG_STAY
          own_store(applied == AT_CURSOR, applied, from);
#endif
          to = mine

       :: else
       fi;

       /* ngx_sio_log_advance() */

       if
       :: state[me] == LIVE -> cursor[me] = mine; step()

       :: state[me] == FENCED ->

          /* ngx_sio_dispatch_overrun(): closes its clients, rejoins */

          zone_lock();

          if
          :: serves[me] && owner == ticket[me] -> let_go(from)
          :: else
          fi;

          zone_unlock;

          atomic {
              if
              :: polling == wanted && asked == me && serves[me] -> polling = 0
              :: else
              fi;
              cursor[me] = mine;
              state[me] = LIVE
          };

          goto forget
       fi

#if REUSES > 0
    :: atomic {
           lock == 0 && !reused && !storing(owner) ->

           /*
            * ngx_sio_session_expire(), ngx_sio_session_wrest_locked(), and
            * ngx_sio_session_close_locked(), of whosever it is; then
            * ngx_sio_session_open(): the record is the next to be used.  Who
            * dies in between has left a record that repair frees.
            */

           reused = 1;
           seen = word(0, gen_of(owner) + 1);
#ifdef BUG_REUSE
           seen = 0;
#endif
           owner = word(me, gen_of(seen) + 1);
           applied = AT_CURSOR;
           handled = cursor[me];
           last = cursor[me];
           connection = 0;
           seen = 0
       }
#endif

#if KILLS > 0 && !defined(BUG_REAP)
    :: atomic {
           if
           :: !alive[1] && state[1] != NONE -> other = 1
           :: !alive[2] && state[2] != NONE -> other = 2
           :: !alive[3] && state[3] != NONE -> other = 3
           fi
       };

       /* ngx_sio_worker_reap() */

       zone_lock();

       if
       :: slot_of(owner) == other ->

          must(WRITERS, !alive[other]);

          if
          :: connection -> park(cursor[other])
          :: else -> let_go(cursor[other])
          fi
       :: else
       fi;

       state[other] = NONE;

       zone_unlock;

       atomic { seen = 0; passed = 0; other = 0 }
#endif
    od;

#if KILLS > 0
dead:

    atomic {
        alive[me] = 0;
        serves[me] = 0;
        request[me] = 0;

        if
        :: lock == me -> lock = 0
        :: else
        fi;

        if
        :: asked == me -> polling = 0; asked = 0
        :: else
        fi
    }
#endif
}


/* A poll, or a WebSocket. */

inline choose(which)
{
    if
    :: which = 0
    :: streams > 0 -> which = 1; streams--
    fi
}


/* Makes polls, and comes back with its offset when it has lost one. */

active proctype client()
{
    byte  number, to;

    atomic {
        number = 1;
        connection = 1;
        polling = 1
    };

end:
    do
    :: asked == 0 && polling && got < EVENTS && polls > 0 ->
       atomic {
           asked == 0 && polling && (idle(1) || idle(2) || idle(3)) ->
           if
           :: idle(1) -> to = 1
           :: idle(2) -> to = 2
           :: idle(3) -> to = 3
           fi;
           polls--;
           asked = to;
           request[to] = polling;
           position[to] = 0;
           choose(stream[to]);
           to = 0
       }

    :: atomic {
           /* its connection was cut, or it knows of no such session */

           ((polling == 0 || (asked && request[asked] == 0)
             || (asked && polls > 1)) && polls > 0
            && (idle(1) || idle(2) || idle(3))) ->

           if
           :: idle(1) -> to = 1
           :: idle(2) -> to = 2
           :: idle(3) -> to = 3
           fi;
           choose(stream[to]);
           polls--;
           number++;
           polling = number;
           asked = to;
           request[to] = number;
           position[to] = got + 1;
           to = 0
       }
    od
}


active proctype others()
{
end:
    do
    :: head < EVENTS -> head++
#if FENCES > 0
    :: atomic {
           fences > 0 && head > cursor[1] && state[1] == LIVE ->
           state[1] = FENCED;
           fences--
       }
#endif
    od
}


/* At the end nothing was missed, and nobody is in the way of the session. */

active proctype checker()
{
    timeout -> must(LOST, got == head || polls == 0 || reused);
               must(STUCK, lock == 0);
               must(STUCK, slot_of(owner) == 0 || alive[slot_of(owner)])
}
