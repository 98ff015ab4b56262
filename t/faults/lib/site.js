'use strict';

// The gateway of a test with faults, and those who must not notice them:
// bystanders on each worker, who get every number once and in order.

const { Shim } = require('./shim');

const fs = require('node:fs');
const assert = require('node:assert/strict');
const { isDeepStrictEqual } = require('node:util');

const { gateway } = require('../../gateway/lib/gateway');
const { HttpConnection } = require('../../gateway/lib/http');
const { View } = require('../../gateway/lib/presence');
const { until, within } = require('../../gateway/lib/expect');

const CROWD = 'crowd';
const FEW = 4;
const UPLINK = 'uplink';
const STATUS = 'GET /status HTTP/1.1\r\nHost: localhost\r\n'
  + 'Connection: close\r\n\r\n';

// What nginx itself says when it gets no memory, or the system's library when it
// begins a worker, and what the module does where it was built to check itself.
const MEMORY = new RegExp('\\[emerg\\].* (malloc|posix_memalign|initgroups)\\(.*'
  + 'failed \\(12: |no memory for the check');

/** Waits for something that concerns a client; fails if it is closed. */
async function met(client, condition, what) {
  const gone = () => client.closed || client.failure;

  // Who is told that comes never again.
  const refused = () => client.packets.find((it) => /^44/.test(it));

  await until(() => condition() || gone() || refused(),
              () => `${client}: ${what}; packets: ${client.packets}`);
  assert.equal(refused(), undefined);
  if (!condition()) {
    throw new Error(`${client} was closed: ${
      client.failure?.message || client.closeCode}`);
  }
}

class Site {
  constructor(gw, shim) {
    this.gw = gw;
    this.shim = shim;
    this.bystanders = [];
    this.numbers = 0;
    this.serial = 0;
  }

  /** A number that no client of this site had before. */
  next() {
    return ++this.serial;
  }

  /** One more bystander; it has to get what is published from now on. */
  async #bystander() {
    const client = await this.gw.rawConnect({
      user: `bystander${this.next()}`, rooms: [CROWD],
      path: '/crowd/?EIO=4&transport=websocket',
      onopen: (it) => { it.view = new View(it); },
    });
    client.keep = false;
    client.first = this.numbers + 1;
    this.bystanders.push(client);
    return client;
  }

  /** Enough of them that each worker has one. */
  async gather() {
    await until(async () => {
      await this.#bystander();
      return this.bystanders.length >= FEW && this.gw.nginx.workers().every(
        (pid) => this.#workers().includes(pid));
    }, 'bystanders on all workers');
  }

  /**
   * The pids of the workers of all bystanders.  A connection stays where it is,
   * and it takes long to ask, among thousands that wait for their end.
   */
  #workers() {
    const fresh = this.bystanders.filter((it) => !it.worker);

    if (fresh.length > 0) {
      this.gw.workersOf(fresh).forEach((it, i) => { fresh[i].worker = it; });
    }
    return this.bystanders.map((it) => it.worker);
  }

  /** Publishes the next number to them all. */
  publish(filler = '') {
    this.gw.emitter.to(CROWD).emit('n', ++this.numbers, filler);
  }

  /**
   * Waits until they have all numbers, each once and in order.  So many of them
   * may have been closed; new ones take their places.
   */
  async check(closed = 0) {
    const got = (client) => client.received('n').map(([n]) => n);
    const open = () => this.bystanders.filter((it) => !it.closed);
    const all = () => open().every(
      (it) => got(it).at(-1) === this.numbers || it.first > this.numbers);

    await until(all, () => `all have number ${this.numbers}: ${
      open().map((it) => got(it).at(-1))}`);
    const lost = this.bystanders.length - open().length;
    assert.ok(lost <= closed, `${lost} bystanders were closed`);

    this.bystanders = open();
    for (const it of this.bystanders) {
      assert.deepEqual(got(it), Array.from(
        { length: this.numbers - it.first + 1 }, (_, i) => it.first + i));
      it.byName.delete('n');
      it.order.length = 0;
      it.first = this.numbers + 1;
    }
    for (let i = 0; i < lost; i++) {
      await this.#bystander();
    }
  }

  /** One more number, and the check. */
  async undisturbed() {
    this.publish();
    await this.check();
  }

  /** Waits until all workers have their connections to Redis. */
  async connected() {
    const { redis, nginx } = this.gw;

    // One for commands of each worker, two for the feed, and that of the test.
    const count = nginx.workers().length + 3
      + (this.gw.options.block.presence ? 1 : 0);
    await until(async () => (await redis.connections()).length >= count,
                'all connections to Redis', 20000);
  }

  /**
   * The same, and two of them read the feed, so that nothing is lost when one
   * of these gets no memory for what it reads.
   */
  async paired() {
    await this.connected();
    await until(async () => {
      // The page may be the one that gets no memory.
      const { status, body } = await this.page().catch(() => ({}));
      const roles = status === 200 && JSON.parse(body).redis;
      return roles && roles.feed && roles.standby;
    }, 'a reader of the feed and a standby', 20000);
  }

  /**
   * The answer to a request for the page of numbers, once its connection is
   * closed, so that no worker has a descriptor for it any more.
   */
  async page() {
    const connection = await HttpConnection.open(this.gw.where);

    try {
      const answer = await within(connection.send(STATUS), 'an HTTP answer');
      await until(() => connection.ended, 'its connection is closed');
      return answer;
    } finally {
      connection.destroy();
    }
  }

  async status() {
    const answer = await this.page();
    assert.equal(answer.status, 200, answer.body);
    return JSON.parse(answer.body);
  }

  /** What has to be as before when all else is over. */
  async #state() {
    const { sessions, users, rooms, memberships, zone } = await this.status();
    const workers = this.gw.nginx.workers();
    const own = this.#workers();

    // A bystander may have come back to another worker.
    return {
      sessions: sessions.live, users, rooms, memberships, free: zone.free,
      descriptors: workers.map((pid) => (
        fs.readdirSync(`/proc/${pid}/fd`).length
          - own.filter((it) => it === pid).length)),
      workers,
    };
  }

  /** Waits until nothing changes any more, and notes that. */
  async rest() {
    let last;
    let other;
    let same = 0;

    this.before = await until(async () => {
      const now = await this.#state();
      if (isDeepStrictEqual(now, last)) {
        same++;
      } else {
        same = 0;
        other = last;
      }
      last = now;
      return same === 20 && now;
    }, () => `nothing changes: ${JSON.stringify([other, last])}`, 30000);
  }

  /** Waits until all is as it was then. */
  async same() {
    let now;

    await until(async () => {
      now = await this.#state();
      return isDeepStrictEqual(now, this.before);
    }, 'all is as before', 40000).catch(() => {});
    assert.deepEqual(now, this.before);
  }

  /** The clients of a scenario are over. */
  forget() {
    const { gw } = this;
    const staying = new Set(this.bystanders);

    for (const client of gw.clients) {
      if (!staying.has(client)) {
        client.close();
      }
    }
    gw.clients = this.bystanders.slice();
    gw.closers.splice(this.kept).forEach((close) => close());
  }
}

/** Options are those of gateway(). */
async function start(t, { block, location, ...options } = {}) {
  const usual = {
    socketio_ping_interval: '3s', socketio_ping_timeout: '3s',
    socketio_connect_timeout: '2s', socketio_upgrade_timeout: '2s',
    socketio_deflate: '1k', socketio_send_queue: '4m', ...location,
  };
  let shim;
  const gw = await gateway(t, {
    workers: 2,
    connections: 512,
    listen: 'reuseport sndbuf=16k',
    block: {
      zone: '8m', log: '1m', recovery: '2s', namespace: '/ /news', drain: '1s',
      ...block,
    },
    locations: {
      '/crowd/': {},
      '/socket.io/': usual,
      '/uplink/': {
        ...usual,
        socketio_forward: ['ask', '$connect', '$disconnect'].map(
          (name) => `${name} stream=${UPLINK}`),
        socketio_limit: 'connections_per_user=100 connections_per_ip=100 '
          + 'events=1000/s',
      },
      '= /status': { socketio: null, socketio_status: 'mew' },
    },
    setup: (it) => {
      shim = new Shim(it);
      it.closers.push(() => shim.close());
    },
    ...options,
  });
  const site = new Site(gw, shim);

  gw.nginx.expect(MEMORY);
  await gw.live();
  await site.gather();
  site.kept = gw.closers.length;
  await site.rest();
  return site;
}

module.exports = { start, met, MEMORY, UPLINK };
