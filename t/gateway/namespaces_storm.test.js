'use strict';

// Clients in several namespaces that do at random whatever a client can do,
// while numbers are published in each: no socket misses one or gets it twice,
// and when all have gone nothing is left of them.
//
// STORM_SEED and STORM_MS: another course of events, and for how long at
// least.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { gateway } = require('./lib/gateway');
const { Polling, RS } = require('./lib/polling');
const { WebSocketClient } = require('./lib/ws');
const { request } = require('./lib/http');
const { until, within } = require('./lib/expect');

const SPACES = ['/', '/admin', '/chat'];
const ACTORS = 12;
const SEED = Number(process.env.STORM_SEED || 1);
const MS = Number(process.env.STORM_MS || 2500);

/** mulberry32: numbers from 0 to n - 1. */
function dice(seed) {
  let a = seed >>> 0;
  return (n) => {
    a = a + 0x6d2b79f5 >>> 0;
    let t = Math.imul(a ^ a >>> 15, a | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 0) % n;
  };
}

/** Of an offset: as large as that is. */
const bytes = (offset) => Buffer.from(offset, 'base64url');

/** "42/admin,[...]": { type, nsp, json }. */
function parse(packet) {
  const [, type, nsp, json] = /^4(\d)(\/[^,]*)?,?(.*)$/s.exec(packet);
  return { type, nsp: nsp || '/', json };
}

class Actor {
  constructor(gw, i) {
    this.gw = gw;
    this.name = `actor ${i}`;
    this.auth = gw.auth({ user: `u${i}` });
    this.roll = dice(SEED * 1000 + i);
    this.sockets = new Map();   // by namespace: { sid, pid, last, offset }
    this.parked = new Map();
    this.sessions = [];
    this.faults = [];
    this.counts = { numbers: 0, recovered: 0, fresh: 0, sessions: 0 };
  }

  async run(storm) {
    while (!storm.over) {
      await this.open().catch(() => {});
      while (this.connected && !storm.over) {
        await this.act().catch(() => this.lost());
        await delay(this.roll(15));
      }
      this.lost();
    }
    // A session that broke the protocol waits for a poll that it can tell.
    for (const session of this.sessions) {
      await within(session.get(), 'the end', 1000).catch(() => {});
      session.close();
    }
  }

  async open() {
    const { where } = this.gw;
    this.counts.sessions++;
    if (this.roll(3) === 0) {
      this.session = null;
      this.listen(await WebSocketClient.open(where, {}));
    } else {
      this.session = await Polling.open(where, {});
      this.sessions.push(this.session);
      this.connected = true;
      this.polling = this.poll(this.session);
    }
    // Most come back for what they had.
    const packets = [...this.parked.keys()].filter(() => this.roll(4) > 0)
      .map((nsp) => this.connect(nsp));
    if (packets.length > 0) {
      await this.send(...packets);
    }
  }

  listen(ws) {
    this.ws = ws;
    this.connected = true;
    ws.onmessage = (message) => this.packet(message);
    for (const message of ws.messages.splice(0)) {
      this.packet(message);
    }
    ws.ended.then(() => { if (this.ws === ws) { this.lost(); } });
  }

  async poll(session) {
    while (this.session === session && !this.pause) {
      const answer = await session.get().catch(() => null);
      if (this.session !== session) {
        return;
      }
      if (answer?.status !== 200) {
        this.lost();
        return;
      }
      for (const packet of answer.body.split(RS)) {
        this.packet(packet);
      }
    }
  }

  packet(packet) {
    if (packet === '2') {
      this.send('3').catch(() => {});
    } else if (packet === '1') {
      this.lost();
    } else if (packet.startsWith('4')) {
      this.take(parse(packet));
    }
  }

  take({ type, nsp, json }) {
    const socket = this.sockets.get(nsp);

    if (type === '0') {
      const { sid, pid } = JSON.parse(json);
      const before = this.parked.get(nsp);
      this.parked.delete(nsp);
      const recovered = before && before.pid === pid;
      this.counts[recovered ? 'recovered' : 'fresh']++;
      this.sockets.set(nsp, recovered ? before : { sid, pid });
    } else if (type === '1') {
      this.sockets.delete(nsp);
    } else if (type === '2' && socket) {
      this.event(nsp, socket, JSON.parse(json));
    }
  }

  event(nsp, socket, [event, ...args]) {
    const offset = args.at(-1);
    if (socket.offset
        && Buffer.compare(bytes(offset), bytes(socket.offset)) < 0) {
      this.faults.push(`${this.name} in ${nsp}: ${event} goes back`);
    }
    socket.offset = offset;
    if (event !== 'n') {
      return;
    }
    if (socket.last !== undefined && args[0] !== socket.last + 1) {
      this.faults.push(`${this.name} in ${nsp}: ${args[0]} behind ${
        socket.last}`);
    }
    socket.last = args[0];
    this.counts.numbers++;
  }

  connect(nsp) {
    const { pid, offset } = this.parked.get(nsp) || {};
    return `40${nsp === '/' ? '' : `${nsp},`}${
      JSON.stringify({ ...this.auth, pid, offset })}`;
  }

  disconnect(nsp) {
    this.sockets.delete(nsp);
    return `41${nsp === '/' ? '' : `${nsp},`}`;
  }

  async send(...packets) {
    if (this.ws) {
      packets.forEach((packet) => this.ws.text(packet));
      return;
    }
    // POSTs of a client follow each other.
    const { session } = this;
    this.posts = (this.posts || Promise.resolve()).catch(() => {}).then(
      () => within(session.post(packets.join(RS)), 'ok', 3000));
    if ((await this.posts).status !== 200) {
      throw new Error('refused');
    }
  }

  async act() {
    const nsp = SPACES[this.roll(3)];
    const here = this.sockets.has(nsp);

    switch (this.roll(24)) {
    case 0:
      this.lost();
      break;
    case 1:
      await this.fault(nsp);
      break;
    case 2:
    case 3:
      await this.upgrade();
      break;
    case 4:
      await this.send(...SPACES.filter((it) => !this.sockets.has(it))
        .map((it) => this.connect(it)));
      break;
    case 5:
      if (here) {
        await this.send(this.disconnect(nsp), this.connect(nsp));
      }
      break;
    case 6:
    case 7:
      if (here) {
        await this.send(this.disconnect(nsp));
      }
      break;
    case 8:
      if (here) {
        await this.send(`42${nsp === '/' ? '' : `${nsp},`}["e"]`);
      }
      break;
    default:
      if (!here && !this.asked?.has(nsp)) {
        await this.ask(nsp);
      }
    }
  }

  /** One CONNECT at a time: a second one would be a fault. */
  async ask(nsp) {
    this.asked = this.asked || new Set();
    this.asked.add(nsp);
    await this.send(this.connect(nsp));
    await until(() => this.sockets.has(nsp) || !this.connected, 'a reply',
                7000);
    this.asked.delete(nsp);
  }

  /** What ends the session. */
  async fault(nsp) {
    if (this.ws || this.roll(3) === 0) {
      await this.send(this.sockets.has(nsp) ? this.connect(nsp)
        : this.disconnect(nsp));
    } else if (this.roll(2) === 0) {
      // It may come between two polls, so from here on all answers are lost.
      const { session } = this;
      this.session = null;
      await session.get();
      session.close();
      this.lost();
    } else {
      const post = () => this.session.post(this.connect(nsp));
      await Promise.all([post(), post()]);
    }
  }

  /** As the official client: the last poll is answered before the "5". */
  async upgrade() {
    const { session } = this;
    if (this.ws || !session) {
      return;
    }
    const ws = await WebSocketClient.open(this.gw.where, {
      path: session.path('websocket'),
    });
    ws.text('2probe');
    await ws.next(3000);
    if (this.roll(6) === 0 || this.session !== session) {
      ws.destroy();
      return;
    }
    this.pause = true;
    await within(this.polling, 'the answer to a poll', 3000);
    this.pause = false;
    if (this.session === session) {
      this.session = null;
      ws.text('5');
      this.listen(ws);
    } else {
      ws.destroy();
    }
  }

  /** The transport is gone; its sockets may be asked for once more. */
  lost() {
    this.ws?.destroy();
    this.session?.close();
    this.ws = null;
    this.session = null;
    this.pause = false;
    this.connected = false;
    this.asked = null;
    for (const [nsp, socket] of this.sockets) {
      this.parked.set(nsp, socket);
    }
    this.sockets.clear();
  }
}

async function page(gw) {
  return JSON.parse((await gw.exchange(request('GET', '/status'))).body);
}

/** Sessions that are over wait half a minute for a poll. */
async function empty(gw) {
  let last;
  return until(async () => {
    last = await page(gw);
    return last.sessions.live === 0 && last;
  }, () => `nobody is left: ${JSON.stringify(last)}`, 40000);
}

/** Numbers in each namespace, and what a backend may do to sockets. */
class Backend {
  constructor(gw, actors) {
    this.spaces = SPACES.map((nsp) => gw.emitter.of(nsp));
    this.actors = actors;
    this.roll = dice(SEED);
    this.sent = 0;
    this.timer = setInterval(() => this.tick(), 5);
    gw.closers.push(() => this.stop());
  }

  tick() {
    this.sent++;
    for (const space of this.spaces) {
      space.emit('n', this.sent, 'x'.repeat(100));
    }
    if (this.roll(20) === 0) {
      const [i, actor] = [this.roll(3), this.actors[this.roll(ACTORS)]];
      const target = this.spaces[i].in(
        this.roll(2) ? actor.sockets.get(SPACES[i])?.sid || 'nobody'
          : `user:${actor.name.replace('actor ', 'u')}`);
      [() => target.socketsJoin('r'), () => target.socketsLeave('r'),
       () => target.disconnectSockets(), () => target.disconnectSockets(true),
      ][this.roll(4)]();
    }
  }

  stop() {
    clearInterval(this.timer);
  }
}

for (const [name, workers, kills] of [
  ['one worker', 1, 0], ['four workers', 4, 0], ['workers die', 4, 3],
]) {
  test(name, async (t) => {
    const gw = await gateway(t, {
      workers,
      listen: workers > 1 ? 'reuseport' : undefined,
      block: { namespace: SPACES.join(' '), recovery: '2s', log: '4m' },
      location: {
        socketio_send_queue: '2k', socketio_ping_interval: '1s',
        socketio_ping_timeout: '1s',
      },
      server: { 'location = /status': { socketio_status: 'mew' } },
    });
    await gw.live();
    const before = await empty(gw);
    const actors = Array.from({ length: ACTORS }, (_, i) => new Actor(gw, i));
    const backend = new Backend(gw, actors);
    const storm = { over: false };
    const running = Promise.all(actors.map((it) => it.run(storm)));
    const sum = (key) => actors.reduce((n, it) => n + it.counts[key], 0);

    for (let i = 0; i <= kills; i++) {
      await delay(MS / (kills + 1));
      if (i < kills && (await gw.feedRoles()).every(Boolean)) {
        gw.nginx.killWorker(gw.nginx.workers()[i % workers]);
      }
    }
    // A slow machine needs longer for what makes it a storm.
    await until(() => sum('recovered') > ACTORS && sum('numbers') > 1000,
                'much has happened', 60000).finally(() => {
      storm.over = true;
    });
    await running;
    backend.stop();

    t.diagnostic(['sessions', 'fresh', 'recovered', 'numbers'].map(
      (key) => `${key}: ${sum(key)}`).join(', '));
    assert.deepEqual(actors.flatMap((it) => it.faults), []);

    const after = await empty(gw);
    for (const key of ['users', 'rooms', 'memberships', 'zone']) {
      assert.deepEqual(after[key], before[key], key);
    }
  });
}
