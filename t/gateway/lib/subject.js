'use strict';

// What the rows of the table are run against: the gateway, or the reference
// server, which look the same from here.  All that a row opens is closed, and
// gone, before the next one begins; so what the server counts is the row's own.

const assert = require('node:assert/strict');

const { gateway } = require('./gateway');
const { Reference } = require('./reference');
const { HttpConnection, exchange, request } = require('./http');
const { Polling } = require('./polling');
const { WebSocketClient } = require('./ws');
const { until, within } = require('./expect');

const REFERENCE = Boolean(process.env.SIO_REFERENCE);
const SID = '[A-Za-z0-9_-]{20}';
const OPEN = new RegExp(`^0\\{"sid":"${SID}",`);

/** Everybody may connect, and gets nothing but the reply. */
const LOCATION = {
  socketio_auth: 'off', socketio_rooms: null, socketio_ready: null,
};

/** The gateway, with what the reference shows from inside. */
class Nginx {
  static async start(t, { directives, namespaces, workers }) {
    const self = new Nginx();
    const names = namespaces.length && ['/', ...namespaces].join(' ');

    self.gw = await gateway(t, {
      workers,
      listen: workers > 1 ? 'reuseport' : undefined,
      block: { namespace: names || null },
      location: { ...LOCATION, ...directives },
      server: { 'location = /status': { socketio_status: 'mew' } },
    });
    self.where = self.gw.where;

    const session = await self.gw.polling();
    await session.send('40');
    assert.match(await session.next(), /^40\{/);
    await session.send('1');
    return self;
  }

  of(namespace) {
    return this.gw.emitter.of(namespace);
  }

  async state() {
    const { body } = await this.gw.exchange(request('GET', '/status'));
    const { sessions, connections, closes } = JSON.parse(body);

    return { live: sessions.live, polls: connections.polling, closes };
  }

  shutDown() {
    process.kill(this.gw.nginx.pid, 'SIGQUIT');
  }

  /** Waits until the server says why it has closed its WebSocket. */
  async shutDownLogged() {
    const { nginx } = this.gw;
    await until(() => nginx.program.ended, 'nginx ends');
    assert.equal(
      nginx.log(/socketio client closed: server shutting down/).length, 1);
  }

  async end() {
    // The gateway ends with its test.
  }
}

class Subject {
  /** options: directives (of the location), namespaces, workers. */
  static async start(t, options) {
    const all = { directives: {}, namespaces: [], workers: 1, ...options };
    const self = new Subject();

    self.server = REFERENCE ? await Reference.start(all)
      : await Nginx.start(t, all);
    t.after(() => self.server.end());
    self.where = self.server.where;
    return self;
  }

  /** The first value for the gateway, the second one for the reference. */
  pick(own, reference) {
    return REFERENCE ? reference : own;
  }

  /** Before a row. */
  async begin() {
    this.websockets = [];
    this.sessions = [];
    await until(async () => (await this.server.state()).live === 0,
                'nothing is left of what was before');
    this.before = (await this.server.state()).closes;
  }

  /** After a row, in whatever state it has left things. */
  async end() {
    for (const ws of this.websockets) {
      ws.destroy();
    }
    for (const session of this.sessions) {
      // Over after this if it is not yet, and told so.
      await within(session.post('1'), 'an answer').catch(() => {});
      await within(session.get(), 'an answer').catch(() => {});
      session.close();
    }
  }

  exchange(bytes) {
    return exchange(this.where, bytes);
  }

  connection() {
    return HttpConnection.open(this.where);
  }

  /** A WebSocket: nothing sent, and nothing read. */
  async upgrade(options) {
    const ws = await WebSocketClient.open(this.where, options);
    this.websockets.push(ws);
    return ws;
  }

  /** A WebSocket that has its open packet. */
  async websocket(options) {
    const ws = await this.upgrade(options);
    assert.match(await ws.next(), OPEN);
    return ws;
  }

  /** A session by long-polling that is open. */
  async polling(options) {
    const session = await Polling.open(this.where, options);
    this.sessions.push(session);
    return session;
  }

  /** A GET that the server holds, with nothing to say: see Polling. */
  async hold(session) {
    const { polls } = await this.server.state();
    const held = await session.begin();
    await until(async () => (await this.server.state()).polls > polls,
                'the GET is held');
    return held;
  }

  /** What publishes, in a namespace. */
  of(namespace = '/') {
    return this.server.of(namespace);
  }

  /** The connections that have ended since the row began, by reason. */
  async ended() {
    const { closes } = await this.server.state();

    return Object.fromEntries(Object.entries(closes)
      .map(([reason, count]) => [reason, count - (this.before[reason] || 0)])
      .filter(([, count]) => count > 0));
  }

  /** Waits until the server has closed so many, for this reason alone. */
  async closed(reason, count = 1) {
    let ended;
    await until(async () => {
      ended = await this.ended();
      return Object.values(ended).some((n) => n >= count);
    }, `the server closes: ${reason}`);
    assert.deepEqual(ended, { [reason]: count });
  }

  /** The server has closed nobody. */
  async open() {
    assert.deepEqual(await this.ended(), {});
  }
}

module.exports = { Subject, SID };
