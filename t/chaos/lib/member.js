'use strict';

// Official clients that take part in a ledger: they keep the numbers they get,
// come back quickly, and remember how.

const assert = require('node:assert/strict');

const { Client } = require('../../gateway/lib/client');
const { parallel } = require('../../gateway/lib/expect');
const { url } = require('./site');

const TRANSPORTS = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

class Member extends Client {
  constructor(ledger, name, kind, where) {
    const { gw } = ledger;

    super(url(where), {
      name,
      auth: gw.auth({ user: name }),
      transports: TRANSPORTS[kind],
      reconnectionDelay: 20,
      reconnectionDelayMax: 100,
    });

    this.kind = kind;
    this.seen = [];
    this.starts = [];
    this.begun = 0;             // starts that are forgotten, but the first
    this.worst = 0;             // milliseconds from publishing to here
    this.turns = [];            // what became of it, and behind which number
    this.socket.on('connect', () => {
      if (!this.socket.recovered) {
        this.starts.push({ at: this.seen.length, sent: ledger.sent });
      }
      this.#turn(this.socket.recovered ? 'recovered' : 'fresh');
    });
    this.socket.on('disconnect', (reason) => this.#turn(reason));
    gw.clients.push(this);
  }

  record(event, args) {
    if (event !== 'n') {
      super.record(event, args);
      return;
    }
    this.seen.push(args[0]);
    this.worst = Math.max(this.worst, performance.now() - args[1]);
  }

  /** How often it came back, and how often of these without its socket. */
  get returns() {
    return this.connects - 1;
  }

  get fresh() {
    return this.begun + this.starts.length - 1;
  }

  /** Forgets what it has got. */
  renew(sent) {
    this.begun = this.fresh;
    this.seen = [];
    this.starts = [{ at: 0, sent }];
  }

  history() {
    const time = (ms) => new Date(performance.timeOrigin + ms).toISOString();

    return `${this.kind}, ${this.socket.connected ? 'connected' : 'away'}, ${
      this.returns} returns, ${this.fresh} fresh; ${
      this.turns.slice(-16).map((it) => `${it.what} behind ${it.last} at ${
        time(it.when).slice(11, 23)}`).join(', ')}; failures: ${
      this.failures.slice(-2)}`;
  }

  #turn(what) {
    this.turns.push({ what, last: this.seen.at(-1), when: performance.now() });
  }
}

/**
 * Connects so many members, of these kinds by turns, each in the rooms that
 * rooms(i) gives; every fifth over TLS if there is a port for it.
 */
async function crowd(ledger, { count, kinds, rooms, prefix = 'u' }) {
  const { gw } = ledger;

  return parallel(Array.from({ length: count }, (_, i) => i), 25, async (i) => {
    const name = `${prefix}${i}`;
    await ledger.place(name, rooms(i));
    const member = new Member(ledger, name, kinds[i % kinds.length],
                              i % 5 === 4 ? gw.secure : gw.plain);
    return member.ready(1, 20000);
  });
}

/** Asserts that nobody had to come back. */
function assertStayed(members) {
  assert.deepEqual(members.filter((it) => it.returns > 0).map(
    (it) => `${it}: ${it.disconnects}`), []);
}

const fresh = (members) => members.reduce((sum, it) => sum + it.fresh, 0);
const returns = (members) => members.reduce((sum, it) => sum + it.returns, 0);

module.exports = { Member, crowd, assertStayed, fresh, returns };
