'use strict';

// Which clients there are, over which transports, and how a table of subtests
// is run with each of them.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { gateway } = require('../../gateway/lib/gateway');
const { until } = require('../../gateway/lib/expect');
const { JavaScript } = require('./javascript');
const { Host, Python } = require('./python');

const MODES = [
  { mode: 'websocket', transports: ['websocket'] },
  { mode: 'polling', transports: ['polling'] },
  { mode: 'upgrade', transports: ['polling', 'websocket'] },
];

const OFFSET = /^[\w-]{12}$/;

/** One client library over one way of transport, on one gateway. */
class Cell {
  constructor(gw, { mode, transports, library, Kind, prepare, ...rest }) {
    Object.assign(this, rest);
    this.gw = gw;
    this.recovery = Boolean(gw.options.block?.recovery);
    this.mode = mode;
    this.transport = transports.at(-1);
    this.suffix = `@${library.split(' ').at(-1)}/${mode}`;
    this.options = { Kind, transports, ...prepare(gw) };
  }

  /** A name, of a user, a room or an event, that no other cell uses. */
  own(word) {
    return word + this.suffix;
  }

  /** A client that begins to connect; options as of gateway.client(). */
  client({ user = 'somebody', ...options } = {}) {
    return this.gw.client({
      ...this.options, user: this.own(user), ...options,
    });
  }

  /** The same, in its rooms already, on the transport that it stays on. */
  async connect(options) {
    return this.settled(await this.client(options).ready());
  }

  /** Waits until a client is on the transport that it stays on. */
  async settled(client) {
    await until(() => client.transport === this.transport,
                `${client} gets to ${this.transport}`);
    return client;
  }

  /** Asserts that a client works, by events that only it is to get. */
  async assertWorks(client) {
    const event = this.own(`works${++this.gw.markers}`);

    this.gw.emitter.to(`user:${client.name}`).emit(event, 1);
    this.gw.emitter.to(client.id).emit(event, Buffer.from('2'));
    await this.gw.settle(client);
    assert.deepEqual(this.sent(client, event), [[1], [Buffer.from('2')]]);
  }

  /**
   * The arguments of all events of that name, as they were sent: with recovery
   * on, without the offset that stands behind them, which must be there.
   */
  sent(client, event) {
    const all = client.received(event);

    if (!this.recovery) {
      return all;
    }
    return all.map((args) => {
      assert.match(args.at(-1), OFFSET);
      return args.slice(0, -1);
    });
  }
}

/** All ways of one library. */
const ways = (library) => MODES.map((mode) => ({ ...library, ...mode }));

/**
 * Versions of socket.io-client.  tells: it says why it was disconnected, and
 * if it tries again; integer: what it makes of a large one; recovers: it knows
 * recovery.
 */
const JAVASCRIPT = [
  ['4.8', { recovers: true }], ['4.5', {}], ['4.0', {}], ['3.1', {}],
].map(([version, what]) => ({
  library: `socket.io-client ${version}`,
  Kind: JavaScript,
  prepare: () => ({ io: require(`client-${version}`).io }),
  tells: true,
  integer: Number,
  ...what,
}));

/** The two clients of python-socketio. */
const PYTHON = ['sync', 'asyncio'].map((kind) => ({
  library: `python-socketio ${kind}`,
  Kind: Python,
  prepare(gw) {
    const host = new Host(kind);
    gw.closers.push(() => host.close());
    return { host };
  },
  integer: BigInt,
}));

/**
 * Registers a test: on one gateway, with all ways of these libraries at once,
 * the subtests of a table, { name: async (cell) => }, in their order; those
 * with suits(cell) only if that is true.
 */
function matrix(name, libraries, options, table) {
  const cells = libraries.flatMap(ways);

  test(name, { concurrency: cells.length }, async (t) => {
    const gw = await gateway(t, options);

    await Promise.all(cells.map((it) => (
      t.test(`${it.library}, ${it.mode}`, async (tt) => {
        const cell = new Cell(gw, it);
        for (const [title, body] of Object.entries(table)) {
          if (body.suits?.(cell) !== false) {
            await tt.test(title, () => body(cell));
          }
        }
      }))));
  });
}

/**
 * Registers a test in which something happens to the clients of all these
 * libraries at the same time: on one gateway a client of each way is connected,
 * with `who` as the options of cell.connect(), harm(gw, places) is done, and
 * check(place) is a subtest for each of them.  A place: { cell, client }.
 */
function together(name, libraries, options, { who, harm, check }) {
  const cells = libraries.flatMap(ways);

  test(name, { concurrency: cells.length }, async (t) => {
    const gw = await gateway(t, options);
    const places = await Promise.all(cells.map(async (it) => {
      const cell = new Cell(gw, it);
      const client = await cell.connect(who);
      return { title: `${it.library}, ${it.mode}`, cell, client };
    }));

    await harm(gw, places);
    await Promise.all(places.map((place) => (
      t.test(place.title, () => check(place)))));
  });
}

module.exports = { JAVASCRIPT, PYTHON, matrix, together };
