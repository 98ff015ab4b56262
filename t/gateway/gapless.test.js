'use strict';

// A backend that never stops publishing while 500 clients connect and are put
// into rooms and out of them.  From its CONNECT reply on each client sees all
// numbers of its rooms, once, in order; in the end it is in exactly the rooms
// that its set and the commands say.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');
const { until, parallel } = require('./lib/expect');

const CLIENTS = 500;
const ROOMS = 100;
const AT_ONCE = 25;
const BATCH = 8;            // events between two ticks of the pace
const AHEAD = 10;           // ticks that may be under way
const CHANGES = 1500;       // joins and leaves in all, at least

const rooms = Array.from({ length: ROOMS }, (_, i) => `room ${i}`);

/** Numbers from a seed, so that a failure can be repeated. */
function random(seed) {
  let x = seed;
  return (n) => {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    return (x >>> 8) % n;
  };
}

/**
 * A user as the backend knows it.  For every room: since when (which number
 * of the room) it is a member or not, as a list of changes.
 */
class User {
  constructor(name, claimed, stored) {
    this.name = name;
    this.claimed = claimed;
    this.stored = stored;
    this.odd = stored.length % 2 === 0;
    this.changes = rooms.map((room) => [
      { from: 1, member: claimed.includes(room) || stored.includes(room) }]);
  }

  member(room) {
    return this.changes[room].at(-1).member;
  }

  toggle(room, from) {
    this.changes[room].push({ from, member: !this.member(room) });
  }

  /** The numbers above `after` that a member saw, up to `last`. */
  numbers(room, after, last) {
    const list = [];
    this.changes[room].forEach(({ from, member }, i, all) => {
      const end = i + 1 < all.length ? all[i + 1].from - 1 : last;
      for (let n = Math.max(from, after + 1); member && n <= end; n++) {
        list.push(n);
      }
    });
    return list;
  }
}

class Backend {
  constructor(gw, users) {
    this.gw = gw;
    this.users = users;
    this.next = random(2026);
    this.published = new Uint32Array(ROOMS);
    this.toggles = 0;
  }

  publish(room) {
    this.gw.emitter.to(rooms[room]).emit('n', room, ++this.published[room]);
  }

  /** The set first, then the command: all on one connection to Redis. */
  toggle(user, room) {
    const { commands, emitter } = this.gw.redis;
    const key = `mew:rooms:${user.name}`;

    if (user.member(room)) {
      commands.sRem(key, rooms[room]);
      emitter.in(`user:${user.name}`).socketsLeave(rooms[room]);
    } else {
      commands.sAdd(key, rooms[room]);
      emitter.in(`user:${user.name}`).socketsJoin(rooms[room]);
    }
    user.toggle(room, this.published[room] + 1);
    this.toggles++;
  }

  /** Puts a user into a room, or out of one: the sets stay as large. */
  change(user) {
    const choice = rooms.map((_, room) => room).filter((room) => (
      !user.claimed.includes(rooms[room])
      && user.member(room) === user.odd));
    user.odd = !user.odd;
    if (choice.length > 0) {
      this.toggle(user, choice[this.next(choice.length)]);
    }
  }

  /** Publishes without a pause, but not faster than `pace` can follow. */
  async run(pace) {
    let ticks = 0;

    while (!this.stopped) {
      for (let i = 0; i < BATCH; i++) {
        this.publish(this.next(ROOMS));
      }
      this.change(this.users[this.next(this.users.length)]);
      this.gw.emitter.to('user:pace').emit('tick');
      ticks++;
      await until(() => pace.received('tick').length > ticks - AHEAD,
                  'the pace client follows');
    }
  }
}

async function connect(gw, backend, user) {
  const seen = rooms.map(() => []);
  const client = await gw.rawClient({
    user: user.name, rooms: user.claimed, onopen: (it) => {
      it.keep = false;
      it.onconnect = () => { it.replyAt = backend.published.slice(); };
      it.onevent = (event, [room, n]) => {
        if (event === 'n') {
          assert.ok(it.replyAt, `${it} got an event before its reply`);
          seen[room].push(n);
        }
      };
    },
  });
  client.seen = seen;
  return client.ready();
}

test('nothing is missed from the CONNECT reply on', async (t) => {
  const gw = await gateway(t, {
    workers: 3, listen: 'reuseport', block: { zone: '32m' },
  });
  await gw.live();

  const pick = random(7);
  const users = Array.from({ length: CLIENTS }, (_, i) => {
    const some = (count) => [...new Set(
      Array.from({ length: count }, () => rooms[pick(ROOMS)]))];
    const claimed = some(1);
    return new User(`u${i}`, claimed,
                    some(2).filter((room) => !claimed.includes(room)));
  });
  await parallel(users.filter((u) => u.stored.length > 0), 50, (user) => (
    gw.redis.commands.sAdd(`mew:rooms:${user.name}`, user.stored)));

  const backend = new Backend(gw, users);
  const running = backend.run(await gw.rawConnect({ user: 'pace' }));
  const clients = await parallel(users, AT_ONCE,
                                 (user) => connect(gw, backend, user));
  const workers = new Set(gw.workersOf(clients));
  await Promise.race([running, until(() => backend.toggles >= CHANGES,
                                     'enough joins and leaves', 60000)]);
  backend.stopped = true;
  await running;

  for (const room of rooms) {
    gw.emitter.to(room).emit('final', room);
  }
  await gw.settle(clients);
  assert.equal(workers.size, gw.nginx.workers().length,
               'all workers have clients');

  clients.forEach((client, i) => {
    const user = users[i];

    rooms.forEach((name, room) => {
      const seen = client.seen[room];
      const replyAt = client.replyAt[room];
      const last = backend.published[room];

      assert.ok(seen.every((n, k) => k === 0 || n > seen[k - 1]),
                `${client} in ${name}: in order, once: ${seen}`);
      // What was published before the reply came may be there or not, but
      // where nobody changed anything without a gap.
      assert.deepEqual(seen.filter((n) => n > replyAt),
                       user.numbers(room, replyAt, last),
                       `${client} in ${name}, from its reply on`);
      if (user.changes[room].length === 1 && seen.length > 0) {
        assert.equal(seen.length, last - seen[0] + 1,
                     `${client} in ${name}: a gap in ${seen}`);
      }
    });

    assert.deepEqual(client.received('final').map(([room]) => room),
                     rooms.filter((_, room) => user.member(room)),
                     `the rooms of ${client}`);
  });
});
