'use strict';

// Numbered events to rooms, who is in which room meanwhile, and therefore
// what every client has to get.
//
// All goes through one connection to Redis, so it has an order: number n is
// for those who were in one of its rooms when it was published.  Room sets are
// changed before the change is published, so they tell those who come back
// without their sockets.

const assert = require('node:assert/strict');

const { until } = require('../../gateway/lib/expect');

const KEY = 'mew:rooms:';
const TICK = 5;
const BURST = 100;

class Ledger {
  constructor(gw) {
    this.gw = gw;
    this.sent = 0;
    this.filler = '';
    this.numbers = new Map();   // by room: what was published to it
    this.spans = new Map();     // by client, by room: [first, behind last]
  }

  /** A client that is to connect later is in these rooms by its token. */
  declare(name, rooms) {
    this.spans.set(name, new Map(rooms.map(
      (room) => [room, [[this.sent + 1, Infinity]]])));
  }

  /** The same by its room set. */
  async place(name, rooms) {
    this.declare(name, rooms);
    if (rooms.length > 0) {
      await this.gw.redis.commands.sAdd(KEY + name, rooms);
    }
  }

  /** True if it is in the room now. */
  has(name, room) {
    return this.spans.get(name).get(room)?.at(-1)[1] === Infinity;
  }

  join(name, room) {
    const rooms = this.spans.get(name);

    assert.ok(!this.has(name, room));
    if (!rooms.has(room)) {
      rooms.set(room, []);
    }
    rooms.get(room).push([this.sent + 1, Infinity]);
    this.#command((redis) => redis.sAdd(KEY + name, room));
    this.gw.emitter.in(`user:${name}`).socketsJoin(room);
  }

  leave(name, room) {
    assert.ok(this.has(name, room));
    this.spans.get(name).get(room).at(-1)[1] = this.sent + 1;
    this.#command((redis) => redis.sRem(KEY + name, room));
    this.gw.emitter.in(`user:${name}`).socketsLeave(room);
  }

  /** It leaves the room it is in, or enters the one that it is not in. */
  toggle(name, room) {
    if (this.has(name, room)) {
      this.leave(name, room);
    } else {
      this.join(name, room);
    }
  }

  /** Publishes the next number to these rooms, with the time of it. */
  publish(...rooms) {
    const n = ++this.sent;

    for (const room of rooms) {
      if (!this.numbers.has(room)) {
        this.numbers.set(room, []);
      }
      this.numbers.get(room).push(n);
    }
    this.gw.emitter.to(rooms).emit('n', n, performance.now(), this.filler);
  }

  /** Publishes at a steady rate, to the rooms that choose(n) gives. */
  start(rate, choose) {
    const begin = performance.now() - this.sent / rate * 1000;

    this.gw.closers.push(() => this.stop());
    this.timer = setInterval(() => {
      const due = (performance.now() - begin) / 1000 * rate;
      for (let i = 0; i < BURST && this.sent < due; i++) {
        this.publish(...[choose(this.sent + 1)].flat());
      }
    }, TICK);
  }

  stop() {
    clearInterval(this.timer);
    return this.sent;
  }

  /** Waits until so many more were published. */
  async more(count, ms = 60000) {
    const goal = this.sent + count;
    await until(() => this.sent >= goal, `${count} more events`, ms);
  }

  /** What a client has to get, in order. */
  expected(name) {
    const all = new Set();

    for (const [room, spans] of this.spans.get(name)) {
      const list = this.numbers.get(room) || [];
      for (const [first, behind] of spans) {
        for (let i = bound(list, first); list[i] < behind; i++) {
          all.add(list[i]);
        }
      }
    }
    return [...all].sort((a, b) => a - b);
  }

  /**
   * Waits until all of these have got the last of their numbers, then checks
   * what they got.  A client that began anew, without its socket, may have
   * missed what was published until then and nothing else.
   */
  async settle(members, ms = 60000) {
    const expected = members.map(({ name }) => this.expected(name));
    const late = () => members.filter((member, i) => (
      expected[i].length > 0 && member.seen.at(-1) !== expected[i].at(-1)));

    await until(() => late().length === 0,
                () => `all have the last number; not so: ${
                  late().slice(0, 5).map((member) => report(
                    member, expected[members.indexOf(member)])).join('; ')}`,
                ms);

    const faults = members.flatMap((member, i) => {
      try {
        check(member, expected[i]);
        return [];
      } catch (error) {
        return [error.message];
      }
    });
    assert.equal(faults.length, 0, `${faults.length} of ${
      members.length} clients: ${faults.slice(0, 3).join('; ')}`);
  }

  /**
   * After settle(), and before more is published: forgets the past, so that
   * what comes is judged by itself.
   */
  renew(members) {
    this.numbers.clear();
    for (const rooms of this.spans.values()) {
      for (const [room, spans] of rooms) {
        if (spans.at(-1)[1] === Infinity) {
          rooms.set(room, [[this.sent + 1, Infinity]]);
        } else {
          rooms.delete(room);
        }
      }
    }
    members.forEach((member) => member.renew(this.sent));
  }

  #command(call) {
    call(this.gw.redis.commands).catch(() => {});
  }
}

/** The place of the first number in the list that is not below n. */
function bound(list, n) {
  let low = 0;
  let high = list.length;

  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < n) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/**
 * member: seen (numbers), starts ([{ at: place in seen, sent: how many were
 * published by then }], one for each time that it began without a past).
 */
function check(member, expected) {
  const { name, seen, starts } = member;
  let at = 0;

  starts.forEach((run, i) => {
    const end = i + 1 < starts.length ? starts[i + 1].at : seen.length;
    const first = end > run.at ? bound(expected, seen[run.at])
      : i + 1 < starts.length ? at : expected.length;

    assert.ok(first >= at, `${name} has ${seen[run.at]} twice`);
    assert.ok(first === at || expected[first - 1] <= run.sent,
              `${name} began when ${run.sent} was published, but ${
                expected[first - 1]} is missing`);

    at = first;
    for (let k = run.at; k < end; k++, at++) {
      if (seen[k] !== expected[at]) {
        throw new Error(`${name}: ${seen[k]} where ${
          expected[at]} should be, behind ${
          seen.slice(Math.max(0, k - 3), k)}; ${member.history?.() ?? ''}`);
      }
    }
  });

  assert.equal(at, expected.length,
               `${name} has ${seen.length} of ${expected.length}`);
}

function report(member, expected) {
  return `${member.name} has ${member.seen.length} of ${
    expected.length}, up to ${member.seen.at(-1)} of ${expected.at(-1)}${
    member.history ? `, ${member.history()}` : ''}`;
}

module.exports = { Ledger };
