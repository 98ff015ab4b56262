'use strict';

// What nearly every test needs: Redis, nginx with the module in front of it,
// clients; all of it ended, and the error log looked through, after the test.
//
// Environment: SIO_MODULE and SIO_NGINX name other binaries than the built
// module and the installed nginx (SIO_MODULE=static: nginx has it built in),
// SIO_LEVEL=debug is the level of the error logs, SIO_KEEP=1 leaves the
// directories (configuration, log) of the tests.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { test } = require('node:test');

const { Nginx, LOAD_MODULE } = require('./nginx');
const { Redis } = require('./redis');
const { Proxy } = require('./proxy');
const { Client, RawClient, PollingClient } = require('./client');
const { Polling } = require('./polling');
const { WebSocketClient } = require('./ws');
const { exchange } = require('./http');
const { until, allOf } = require('./expect');
const { freePort, SocketOwners } = require('./processes');
const { SECRET, sign } = require('./token');
const { render } = require('./conf');

/** The directives of the location that a test gets unless it says else. */
const LOCATION = {
  socketio: 'mew',
  socketio_jwt_key: `HS256 "${SECRET}"`,
  socketio_jwt_user: 'id',
  socketio_user_room: 'user:$socketio_user',
  socketio_rooms: ['claim=rooms', 'redis=mew:rooms:$socketio_user'],
  socketio_ready: 'ready',
};

/** Where the numbers of the gateway are, in every test. */
const NUMBERS = '/numbers';

class Gateway {
  constructor(options) {
    this.options = { ...options };
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-gateway-'));
    this.nginx = new Nginx(this.dir);
    this.clients = [];
    this.closers = [];
    this.markers = 0;
  }

  async start() {
    const { redis = {}, proxy, setup, tls } = this.options;

    if (redis instanceof Redis) {
      this.redis = redis;
    } else if (redis) {
      this.redis = new Redis(this.dir, redis);
      await this.redis.start();
    }
    if (proxy) {
      this.proxy = new Proxy(this.redis.port);
      await this.proxy.start();
      this.closers.push(() => this.proxy.close());
    }
    await setup?.(this);
    this.tls = tls && certificate(this.dir);
    this.port = await freePort();
    this.configure();
    await this.nginx.start(this.port);
  }

  /** Writes the configuration; for a reload after a change of options. */
  configure() {
    this.nginx.configure(render(this.settings()));
  }

  settings() {
    const {
      block, location, locations = { '/socket.io/': location },
      redis = {}, redisUrl, ...rest
    } = this.options;
    const standalone = { ...LOCATION, socketio_rooms: 'claim=rooms' };
    const defaults = redis ? LOCATION : standalone;
    let url = null;

    if (redis) {
      url = redisUrl ? redisUrl(this)
        : `redis://127.0.0.1:${(this.proxy || this.redis).port}/0`;
    }

    return {
      ...rest,
      dir: this.dir,
      loadModule: LOAD_MODULE,
      port: this.port,
      tls: this.tls,
      gateways: { mew: { zone: '16m', drain: '1s', redis: url, ...block } },
      locations: {
        ...Object.fromEntries(Object.entries(locations).map(
          ([name, values]) => [name, { ...defaults, ...values }])),
        [`= ${NUMBERS}`]: { socketio_status: 'mew' },
      },
    };
  }

  /** Where raw connections go. */
  get where() {
    return { port: this.port, tls: Boolean(this.tls) };
  }

  /** The stock emitter, on gw.redis.commands. */
  get emitter() {
    return this.redis.emitter;
  }

  get url() {
    return `http${this.tls ? 's' : ''}://127.0.0.1:${this.port}`;
  }

  /** The auth payload of a user with these rooms in the token. */
  auth({ user = 'nobody', rooms = [], ...claims } = {}) {
    return { token: sign({ id: user, rooms, ...claims }) };
  }

  /**
   * An official client that begins to connect: { user, rooms } make its
   * token, auth replaces it; url: in place of the gateway's own; Kind: another
   * class; the rest are options of socket.io-client.
   */
  client({ user, rooms, url = this.url, Kind = Client, ...options } = {}) {
    const auth = this.auth({ user, rooms });
    const client = new Kind(url, { name: user, auth, ...options });
    this.clients.push(client);
    return client;
  }

  /** The same, in its rooms already. */
  async connect(options) {
    return this.client(options).ready();
  }

  /** A raw client that has sent CONNECT; auth null: it has not. */
  async rawClient({ user, rooms, ...options } = {}) {
    const auth = this.auth({ user, rooms });
    const client = await RawClient.open(this.where,
                                        { name: user, auth, ...options });
    this.clients.push(client);
    return client;
  }

  async rawConnect(options) {
    return (await this.rawClient(options)).ready();
  }

  /** A client by long-polling that has sent CONNECT; auth null: it has not. */
  async pollingClient({ user, rooms, ...options } = {}) {
    const auth = this.auth({ user, rooms });
    const client = await PollingClient.open(
      this.where, { name: user, auth, ...options });
    this.clients.push(client);
    return client;
  }

  async pollingConnect(options) {
    return (await this.pollingClient(options)).ready();
  }

  /** A session by long-polling that only is open. */
  async polling(options) {
    const session = await Polling.open(this.where, options);
    this.closers.push(() => session.close());
    return session;
  }

  /** The same, connected to "/" as this user, replies all read. */
  async polled({ user = 'nobody', rooms = [], ...options } = {}) {
    const session = await this.polling(options);
    session.id = await session.join(this.auth({ user, rooms }));
    return session;
  }

  /** A WebSocket that only is open: nothing sent, open packet not read. */
  async socket(options) {
    const ws = await WebSocketClient.open(this.where, options);
    this.closers.push(() => ws.destroy());
    return ws;
  }

  /** A WebSocket that is connected to "/" as this user, replies all read. */
  async joined({ user = 'nobody', rooms = [], ...options } = {}) {
    const ws = await this.socket(options);
    await ws.next();
    ws.text(`40${JSON.stringify(this.auth({ user, rooms }))}`);
    ws.sid = JSON.parse((await ws.next()).slice(2)).sid;
    await ws.next();
    return ws;
  }

  /** A proxy in front of nginx, which has the url of its own. */
  async front() {
    const proxy = new Proxy(this.port);
    await proxy.start();
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    this.closers.push(() => proxy.close());
    return proxy;
  }

  exchange(request) {
    return exchange(this.where, request);
  }

  /**
   * Publishes one more event to everybody and waits until all these clients
   * have it: whatever was published before has then arrived, or never will.
   */
  async settle(...clients) {
    const id = `m${++this.markers}`;
    this.emitter.emit('marker', id);
    await Promise.all(clients.flat().map(
      (c) => c.eventWith('marker', id, 20000)));
  }

  /** The same for a bare WebSocket: returns the messages before the marker. */
  async drain(ws) {
    const id = `m${++this.markers}`;
    const before = [];

    this.emitter.emit('marker', id);
    for (;;) {
      const message = await ws.next();
      if (message.startsWith(`42["marker","${id}"`)) {
        return before;
      }
      before.push(message);
    }
  }

  /** The pids of the workers that serve these clients, in their order. */
  workersOf(clients) {
    const owners = new SocketOwners(this.nginx.workers({ leaving: true }));
    return clients.map((c) => owners.find(this.port, c.localPort));
  }

  /** What the status page says. */
  async status() {
    const { status, body } = await exchange(this.where, [
      `GET ${NUMBERS} HTTP/1.1`, 'Host: localhost', 'Connection: close', '', '',
    ].join('\r\n'));
    assert.equal(status, 200, body);
    return JSON.parse(body);
  }

  /** The pids of the worker that reads the feed and its standby, if any. */
  async feedRoles() {
    const { redis, workers } = await this.status();
    return [redis.feed, redis.standby].map(
      (slot) => workers.find((it) => it.slot === slot)?.pid);
  }

  /**
   * Waits until a worker reads the feed and another is known to have kept what
   * that one has yet to append, so that it can go on where that one stops, and
   * neither is leaving: who inherits the feed has nobody behind him yet.  Their
   * pids.
   */
  feedPair() {
    return until(async () => {
      const pair = await this.feedRoles();
      const staying = this.nginx.workers();
      return pair.every((pid) => staying.includes(pid)) && pair;
    }, 'a worker that reads the feed, and one that stands by', 20000);
  }

  /** Waits until the gateway takes clients (the feed is live). */
  async live() {
    const client = await this.connect({ user: 'first' });
    client.close();
  }

  /** To be called when the test is over, in whatever state things are. */
  async end() {
    const mine = this.redis && this.redis !== this.options.redis;

    for (const it of this.clients) {
      it.close();
    }
    await allOf([
      ...this.closers,
      () => this.nginx.stop(),
      () => this.nginx.assertQuiet(),
      () => mine && this.redis.stop('SIGKILL'),
      () => this.#clear(),
    ]);
  }

  #clear() {
    if (process.env.SIO_KEEP) {
      console.error(`kept: ${this.dir}`);
    } else {
      fs.rmSync(this.dir, { recursive: true, force: true });
    }
  }
}

function certificate(dir) {
  const files = {
    cert: path.join(dir, 'cert.pem'), key: path.join(dir, 'key.pem'),
  };
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-subj', '/CN=localhost', '-days', '2',
    '-keyout', files.key, '-out', files.cert,
  ], { stdio: 'ignore' });
  return files;
}

/**
 * Starts a gateway for a test or a group of subtests.  Options:
 *
 *   workers      worker processes, default 1
 *   redis        options of redis.js; a Redis that runs, and goes on then; or
 *                false: standalone
 *   proxy        true: nginx reaches Redis through gw.proxy
 *   setup        async (gateway) =>, called before nginx starts
 *   redisUrl     (gateway) => URL, in place of the plain one
 *   block        directives of the gateway block, on top of zone, drain, redis
 *   location     directives of /socket.io/, on top of LOCATION
 *   locations    { path: directives }, in place of /socket.io/
 *   server http main   directives there
 *   listen tls level connections   see conf.js
 */
async function gateway(t, options = {}) {
  const gw = new Gateway(options);
  t.after(() => gw.end());
  await gw.start();
  return gw;
}

/** Registers a test for each number of worker processes. */
function eachWorkers(counts, name, body) {
  for (const workers of counts) {
    test(`${name}, workers: ${workers}`, (t) => body(t, workers));
  }
}

module.exports = { gateway, eachWorkers };
