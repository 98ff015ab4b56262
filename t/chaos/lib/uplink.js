'use strict';

// Clients that send numbered events, what became of each as far as its client
// knows, and whether that is true.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');

const { Client } = require('../../gateway/lib/client');

const TRANSPORTS = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

const NOTE = 'note:';           // events whose client wants no answer
const LARGE = 70000;

const sha = (bytes) => crypto.createHash('sha256').update(bytes)
  .digest('base64');

/** One user with one socket, which comes back whenever it is lost. */
class Sender extends Client {
  /**
   * book: { random, timeout (ms), events (a Map, by their id), ends (why
   * connections were lost) }.
   */
  constructor(book, name, kind, gw) {
    super(gw.url, {
      name,
      auth: gw.auth({ user: name }),
      transports: TRANSPORTS[kind],
      reconnectionDelay: 20,
      reconnectionDelayMax: 200,
    });
    this.book = book;
    this.gw = gw;
    this.kind = kind;
    this.sent = 0;
    this.sids = new Set();
    this.closed = new Map();    // connections, and when they ended
    this.open = null;
    this.socket.on('connect', () => {
      this.sids.add(this.socket.id);
      this.open = this.socket.io.engine.id;
    });
    this.socket.on('disconnect', (reason) => {
      this.closed.set(this.open, performance.now());
      book.ends.push(`${kind}: ${reason}`);
    });
    this.socket.onAnyOutgoing((event, id) => {
      const it = book.events.get(id);
      it.on = this.socket.io.engine.id;
      it.sent = performance.now();
    });
    gw.clients.push(this);
  }

  record(event, args) {
    if (event === 'error') {
      this.#refused(args[0]);
    } else if (event === 'ready') {
      super.record(event, args);
    }
  }

  /** Sends the next event; while it is away its client keeps it. */
  next() {
    const { book } = this;
    const n = ++this.sent;
    const id = `${this.name}-${n}`;
    const parts = this.#parts();
    const event = {
      id, n, by: this, on: null, from: performance.now(), outcome: null,
      bins: parts.map(sha), note: book.random() < 0.05,
    };

    book.events.set(id, event);
    if (event.note) {
      this.socket.emit(NOTE + id, id, n, ...parts);
      return;
    }
    this.socket.timeout(book.timeout).emit(
      'event', id, n, ...parts, (error, answer) => {
        assert.equal(event.outcome, null);
        event.to = performance.now();
        event.outcome = error ? reported(error)
          : answer === id ? 'stored' : answer?.error ?? 'another answer';
      });
  }

  /** True if its connection ended with an event on its way, or soon after. */
  lost({ on, sent, to = sent }, ms) {
    return this.closed.get(on) <= to + ms;
  }

  /** None mostly; else up to three, one of them empty or large now and then. */
  #parts() {
    const { random } = this.book;

    if (random() < 0.85) {
      return [];
    }
    return Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
      const size = random() < 0.02 ? LARGE : 600;
      return crypto.randomBytes(Math.floor(random() * size));
    });
  }

  #refused({ message, event }) {
    const it = event.startsWith(NOTE)
      && this.book.events.get(event.slice(NOTE.length));

    if (it) {
      it.to = performance.now();
      it.outcome = message === 'Rate limit exceeded' ? 'rate_limited'
        : message === 'Service temporarily unavailable' ? 'unavailable'
          : message;
    }
  }
}

function reported({ message }) {
  return { 'operation has timed out': 'timeout',
           'socket has been disconnected': 'disconnect' }[message] ?? message;
}

/** The time of something that disturbs, and how long it is felt. */
class Troubles {
  constructor() {
    this.list = [];
  }

  /** Runs body. */
  async during(what, where, body) {
    const it = { what, where, from: performance.now(), to: Infinity };

    this.list.push(it);
    try {
      return await body();
    } finally {
      it.to = performance.now();
    }
  }

  /** True if there was one of these, at most so long before or after. */
  near(from, to, late, kinds, where) {
    return this.list.some((it) => kinds.includes(it.what)
      && (!where || !it.where || it.where === where)
      && it.from <= to && it.to + late >= from);
  }

  /** What was there before a time, for people. */
  tell(time) {
    return this.list.filter((it) => it.from <= time).slice(-4).map((it) => (
      `${((time - it.to) / 1000).toFixed(2)} s behind ${it.what}`)).join(', ');
  }
}

/** How often there is each of some things. */
function tally(list) {
  const counts = {};

  for (const it of list) {
    counts[it] = (counts[it] || 0) + 1;
  }
  return counts;
}

/** Fails with how many faults there are, and some of them. */
function none(faults, what) {
  assert.equal(faults.length, 0,
               `${faults.length} ${what}: ${faults.slice(0, 20).join('; ')}`);
}

module.exports = { Sender, Troubles, tally, none };
