'use strict';

// The status page counts what is there and what happened, and says the same
// through every worker.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const os = require('node:os');

const { gateway, eachWorkers } = require('./lib/gateway');
const { request, HttpConnection } = require('./lib/http');
const { sign } = require('./lib/token');
const { whileStopped } = require('./lib/processes');
const { until } = require('./lib/expect');

const PAGE = { 'location = /status': { socketio_status: 'mew' } };

/** A gateway with a status page. */
const withStatus = (t, { server, ...options } = {}) => (
  gateway(t, { ...options, server: { ...PAGE, ...server } }));

/** What the page says. */
async function page(gw, path = '/status') {
  const answer = await gw.exchange(request('GET', path));
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body);
}

/** Waits until the page is as it should be; returns it. */
async function pageWhen(gw, condition, what) {
  let last;

  await until(async () => {
    last = await page(gw);
    return condition(last);
  }, () => `${what}: ${JSON.stringify(last)}`);
  return last;
}

/** What is as it was when all clients have gone. */
const present = ({
  connections, sessions, users, rooms, memberships, zone,
}) => ({ connections, sessions, users, rooms, memberships, zone });

/** Waits until no session is left; the page then. */
const empty = (gw) => pageWhen(gw, (p) => p.sessions.live === 0, 'all gone');

/** By how much each of the counters has grown. */
const grown = (after, before) => Object.fromEntries(Object.keys(after)
  .filter((key) => after[key] !== before[key])
  .map((key) => [key, after[key] - before[key]]));

/** The types of all values, in the form of the page. */
const shape = (value) => {
  if (Array.isArray(value)) {
    return value.map(shape);
  }
  return value && typeof value === 'object'
    ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shape(v)]))
    : typeof value;
};

const RECORDS = { used: 'number', total: 'number' };
const BOTH = { websocket: 'number', polling: 'number' };
const IN_OUT = { in: 'number', out: 'number' };
const WORKER = {
  slot: 'number', pid: 'number', state: 'string', leaving: 'boolean',
  cursor: 'number', lag: 'number', connections: BOTH,
};
const SHAPE = {
  version: 'string', gateway: 'string', node: 'string', uptime: 'number',
  presence: 'object',
  connections: BOTH,
  sessions: { live: 'number', polling: 'number', parked: 'number',
              branches: 'number', capacity: 'number' },
  users: 'number', rooms: 'number', memberships: 'number',
  recovery: { window_ms: 'number', spans_ms: 'number' },
  zone: { size: 'number', sessions: RECORDS, users: RECORDS, rooms: RECORDS,
          chunks: RECORDS, tails: RECORDS, free: 'number' },
  refused: 'number', repairs: 'number',
  log: { size: 'number', max_record: 'number', tail: 'number', head: 'number',
         span_ms: 'number', laggard: { slot: 'number', lag: 'number' } },
  workers: [WORKER], fences: 'number',
  events: IN_OUT, bytes: IN_OUT,
  deflate: { records: 'number', ...IN_OUT }, packets: { in: 'number' },
  handshakes: 'number', upgrades: 'number',
  acks: { asked: 'number', answered: 'number', ignored: 'number',
          relayed: 'number', unknown: 'number' },
  forward: { accepted: 'number', refused: 'number', connects: 'number',
             disconnects: 'number', waiting: 'number', lost: 'number' },
  limits: { limited: 'number', closed: 'number', refused: 'number' },
  sockets: { connected: 'number', recovered: 'number', unrecovered: 'number' },
  auth: { token_missing: 'number', token_invalid: 'number',
          token_expired: 'number' },
  closes: Object.fromEntries([
    'transport close', 'transport error', 'ping timeout', 'parse error',
    'forced close', 'server namespace disconnect', 'server shutting down',
    'too slow', 'temporarily unavailable',
    'rate limit exceeded'].map((name) => [name, 'number'])),
  slow_closes: 'number',
  redis: { configured: 'boolean', connected: 'boolean', reconnects: 'number',
           gaps: 'number', feed: 'number', standby: 'object' },
  malformed: 'number', too_large: 'number',
};

test('form and first values', async (t) => {
  const gw = await withStatus(t, { block: { log: '1m', node: 'here' } });
  await gw.live();
  const now = await empty(gw);

  assert.deepEqual(shape(now), SHAPE);
  assert.match(now.version, /^\d+\.\d+\.\d+$/);
  assert.equal(now.gateway, 'mew');
  assert.equal(now.node, 'here');
  assert.ok(now.uptime < 60);
  assert.deepEqual(now.connections, { websocket: 0, polling: 0 });
  assert.equal(now.zone.size, 16 << 20);
  assert.equal(now.log.size, 1 << 20);
  assert.ok(now.log.max_record <= now.log.size / 4);
  assert.ok(now.log.head >= now.log.tail);
  assert.equal(now.zone.sessions.total, now.sessions.capacity);
  assert.deepEqual(now.recovery, { window_ms: 0, spans_ms: 0 });
  assert.equal(now.redis.feed, now.workers[0].slot);
  assert.equal(now.redis.standby, null);
  assert.equal(now.redis.connected, true);
});

test('methods and headers', async (t) => {
  const gw = await withStatus(t, {
    redis: false,
    server: {
      'location = /guarded': {
        socketio_status: 'mew', 'limit_except GET': { deny: '10.1.2.3' },
        'if ($arg_x)': { set: '$y 1' },
      },
    },
  });

  await t.test('GET', async () => {
    const { status, headers } = await gw.exchange(request('GET', '/status'));
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(headers['cache-control'], 'no-store');
  });

  await t.test('HEAD', async () => {
    const { status, headers, body } = await gw.exchange(
      request('HEAD', '/status'));
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(headers['cache-control'], 'no-store');
    assert.ok(Number(headers['content-length']) > 100);
    assert.equal(body, '');
  });

  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    await t.test(method, async () => {
      const answer = await gw.exchange(request(method, '/status', {
        body: '{}' }));
      assert.equal(answer.status, 405);
    });
  }

  await t.test('a body is thrown away', async () => {
    const connection = await HttpConnection.open(gw.where);
    try {
      for (const options of [{ body: 'x'.repeat(100000) },
                             { body: 'x'.repeat(100000), chunks: 999 }, {}]) {
        const answer = await connection.send(request('GET', '/status',
                                                     options));
        assert.equal(JSON.parse(answer.body).gateway, 'mew');
      }
    } finally {
      connection.destroy();
    }
  });

  for (const [method, path, status] of [
    ['GET', '/guarded', 200], ['GET', '/guarded?x=1', 200],
    ['HEAD', '/guarded', 200], ['POST', '/guarded', 405],
  ]) {
    await t.test(`${method} ${path}`, async () => {
      const answer = await gw.exchange(request(method, path));
      assert.equal(answer.status, status);
    });
  }
});

test('a gateway without Redis', async (t) => {
  const gw = await withStatus(t, { redis: false });
  const { redis } = await page(gw);
  assert.deepEqual(redis, { configured: false, connected: false, reconnects: 0,
                            gaps: 0, feed: null, standby: null });
});

test('each gateway has its own', async (t) => {
  const gw = await withStatus(t, {
    redis: false,
    http: { 'socketio_gateway other': { zone: '1m', recovery: '90s' } },
    server: { 'location = /other': { socketio_status: 'other' } },
  });
  await gw.connect({ user: 'ann' });

  const [mew, other] = [await page(gw), await page(gw, '/other')];
  assert.equal(mew.gateway, 'mew');
  assert.equal(mew.connections.websocket, 1);
  assert.equal(other.gateway, 'other');
  assert.equal(other.connections.websocket, 0);
  assert.equal(other.zone.size, 1 << 20);
  assert.deepEqual(other.recovery, { window_ms: 90000, spans_ms: 90000 });
});

eachWorkers([1, 3], 'what comes, and goes', async (t, workers) => {
  const gw = await withStatus(t, { workers });
  await gw.live();
  const before = await empty(gw);
  const connect = (i, options) => gw.connect({
    user: `u${i}`, rooms: ['all', `own${i}`, `${'long'.repeat(20)}${i}`],
    ...options });

  for (let i = 0; i < 4; i++) {
    await connect(i);
  }
  // A second connection of the same user.
  await connect(0);
  for (let i = 4; i < 7; i++) {
    await connect(i, { transports: ['polling'] });
  }

  const now = await pageWhen(gw, (p) => (
    p.connections.websocket === 5 && p.connections.polling === 3),
  'five WebSockets and three polls');

  assert.deepEqual(now.sessions, {
    live: 8, polling: 3, parked: 0, branches: 0,
    capacity: before.sessions.capacity });
  assert.equal(now.users, 7);
  assert.ok(now.rooms >= 15, `${now.rooms} rooms`);
  assert.ok(now.memberships >= 24, `${now.memberships} memberships`);
  assert.deepEqual(now.zone.sessions, {
    used: 8, total: before.zone.sessions.total });
  assert.equal(now.zone.users.used, 7);
  assert.equal(now.zone.rooms.used, now.rooms);
  // Names of 81 bytes have three each.
  assert.ok(now.zone.tails.used >= 7 * 3);
  assert.ok(now.zone.free <= before.zone.free - 8 * 256 - 7 * 64
            - 15 * 64 - 7 * 3 * 32, `${now.zone.free} of ${before.zone.free}`);

  const sum = (kind) => now.workers.reduce(
    (n, worker) => n + worker.connections[kind], 0);
  assert.equal(now.workers.length, workers);
  assert.equal(sum('websocket'), 5);
  assert.equal(sum('polling'), 3);

  // A room that is joined and left.
  gw.emitter.in('all').socketsJoin('more');
  await pageWhen(gw, (p) => p.rooms === now.rooms + 1
                 && p.memberships === now.memberships + 8, 'joined');
  gw.emitter.in('all').socketsLeave('more');
  await pageWhen(gw, (p) => p.rooms === now.rooms
                 && p.memberships === now.memberships
                 && p.zone.free === now.zone.free, 'left');

  for (const client of gw.clients) {
    client.close();
  }
  const after = await empty(gw);
  assert.deepEqual(present(after), present(before));
});

eachWorkers([1, 3], 'events, packets and bytes', async (t, workers) => {
  const gw = await withStatus(t, { workers });
  const clients = await Promise.all(Array.from({ length: 5 }, (_, i) => (
    gw.connect({ user: `u${i}`, rooms: ['five'],
                 transports: [i === 0 ? 'polling' : 'websocket'] }))));
  const other = await gw.connect({ user: 'other' });
  const before = await page(gw);
  const text = 'x'.repeat(1000);

  gw.emitter.to('five').emit('hello', text);
  await Promise.all(clients.map((client) => client.event('hello')));
  gw.emitter.to('nobody').emit('hello', text);
  const after = await pageWhen(gw, (p) => p.events.in - before.events.in === 2,
                               'two events');

  assert.deepEqual(grown(after.events, before.events), { in: 2, out: 5 });
  const { out } = grown(after.bytes, before.bytes);
  assert.ok(out >= 5000 && out < 5500, `${out} bytes`);
  assert.equal(after.packets.in, before.packets.in);
  assert.ok(after.log.head > before.log.head);
  assert.ok(after.log.span_ms >= 0);

  other.socket.emit('upwards', text);
  const sent = await pageWhen(gw, (p) => p.packets.in === after.packets.in + 1,
                              'a packet of a client');
  const bytes = sent.bytes.in - after.bytes.in;
  assert.ok(bytes >= 1000 && bytes < 1100, `${bytes} bytes`);

  clients[0].socket.emit('upwards', text);
  await pageWhen(gw, (p) => p.packets.in === after.packets.in + 2
                 && p.bytes.in >= sent.bytes.in + 1000,
                 'a packet of a client that polls');
});

test('handshakes, upgrades, sockets', async (t) => {
  const gw = await withStatus(t, { redis: false });
  const before = await page(gw);
  const count = (p) => [p.handshakes, p.upgrades, p.sockets.connected];

  await gw.connect({ user: 'ann' });
  assert.deepEqual(count(await page(gw)), [1, 0, 1]);
  await gw.connect({ user: 'bob', transports: ['polling'] });
  assert.deepEqual(count(await page(gw)), [2, 0, 2]);
  await gw.socket();
  assert.deepEqual(count(await page(gw)), [3, 0, 2]);

  const carl = await gw.connect({ user: 'carl',
                                  transports: ['polling', 'websocket'] });
  await until(() => carl.upgrades === 1, 'an upgrade');
  const now = await pageWhen(gw, (p) => p.connections.websocket === 3
                             && p.connections.polling === 1, 'an upgrade');
  assert.deepEqual(count(now), [4, 1, 3]);
  assert.deepEqual(grown(now.sockets, before.sockets), { connected: 3 });
});

test('refusals by code', async (t) => {
  const gw = await withStatus(t, { redis: false });
  const past = Math.floor(Date.now() / 1000) - 60;

  for (const [token, code] of [
    [undefined, 'token_missing'], ['', 'token_missing'],
    ['rubbish', 'token_invalid'],
    [sign({ id: 'ann', exp: past }), 'token_expired'],
  ]) {
    await t.test(`${code} for ${token}`, async () => {
      const before = await page(gw);
      const client = gw.client({ auth: { token } });
      assert.equal((await client.refusal()).data.code, code);
      const after = await page(gw);
      assert.deepEqual(grown(after.auth, before.auth), { [code]: 1 });
      assert.equal(after.sockets.connected, before.sockets.connected);
    });
  }
});

test('closes by reason', async (t) => {
  const gw = await withStatus(t, {
    location: { socketio_ping_interval: '20s', socketio_send_queue: '64k' },
    server: {
      'location /quick/': {
        socketio: 'mew', socketio_auth: 'off', socketio_ping_interval: '200ms',
        socketio_ping_timeout: '200ms',
      },
    },
  });
  await gw.live();
  await empty(gw);

  const rows = {
    'transport close': async () => (await gw.socket()).destroy(),
    'parse error': async () => (await gw.joined()).text('9'),
    'forced close': async () => (await gw.joined()).text('4rubbish'),
    'ping timeout': () => gw.socket({
      path: '/quick/?EIO=4&transport=websocket' }),
    'server namespace disconnect': async () => {
      await gw.rawConnect({ user: 'kicked' });
      gw.emitter.in('user:kicked').disconnectSockets(true);
    },
    'too slow': async () => {
      const client = await gw.rawConnect({ user: 'slow', rooms: ['slow'] });
      client.ws.socket.pause();
      for (let i = 0; i < 200; i++) {
        gw.emitter.to('slow').emit('much', 'x'.repeat(100000));
      }
      // Behind all of them.
      await gw.redis.commands.ping();
    },
  };

  for (const [reason, provoke] of Object.entries(rows)) {
    await t.test(reason, async () => {
      const before = await page(gw);
      await provoke();
      const after = await pageWhen(
        gw, (p) => p.closes[reason] > before.closes[reason], reason);
      assert.deepEqual(grown(after.closes, before.closes), { [reason]: 1 });
      assert.equal(after.slow_closes - before.slow_closes,
                   reason === 'too slow' ? 1 : 0);
      await empty(gw);
    });
  }
});

// A session by long-polling counts once when it ends, by whatever request, and
// not again when its client gets to know.
eachWorkers([1, 3], 'closes of sessions that poll', async (t, workers) => {
  const gw = await withStatus(t, {
    workers, listen: workers > 1 ? 'reuseport' : undefined,
  });
  await gw.live();
  await empty(gw);

  const rows = [
    // reason, what is sent
    ['parse error', '9'], ['transport error', '2'], ['transport close', '1'],
    ['forced close', '4rubbish'],
  ];

  for (const [reason, packet] of rows) {
    for (const pending of [false, true]) {
      await t.test(`${reason}${pending ? ', GET pending' : ''}`, async () => {
        const before = await page(gw);
        const session = await gw.polling();
        if (pending) {
          await session.hold();
        }
        await session.send(packet);
        await pageWhen(gw, (p) => p.closes[reason] > before.closes[reason],
                       reason);
        await session.rest();
        const after = await empty(gw);
        assert.deepEqual(grown(after.closes, before.closes), { [reason]: 1 });
      });
    }
  }
});

test('messages that cannot be delivered', async (t) => {
  const gw = await withStatus(t, { block: { log: '64k' } });
  await gw.live();
  const before = await page(gw);

  await gw.redis.commands.publish('socket.io#/#', 'rubbish');
  await pageWhen(gw, (p) => p.malformed === before.malformed + 1,
                 'a malformed message');

  gw.emitter.emit('large', 'x'.repeat(100000));
  const after = await pageWhen(gw, (p) => p.too_large === before.too_large + 1,
                               'a message that is too large');
  assert.equal(after.events.in, before.events.in);
  assert.equal(after.malformed, before.malformed + 1);
});

// Small messages, and one that does not fit into the same append: while there
// is no room for those, it is tried again and again.
test('a message that waits for room in the log counts once', async (t) => {
  const gw = await withStatus(t, {
    workers: 2, listen: 'reuseport', block: { log: '64k' },
  });
  const [reader, standby] = await gw.feedPair();
  let client;
  do {
    client = await gw.connect({ user: 'somebody' });
  } while (gw.workersOf([client])[0] !== reader);
  const before = await page(gw);

  await whileStopped(standby, async () => {
    for (let i = 0; i < 20; i++) {
      for (let k = 0; k < 4; k++) {
        gw.emitter.emit('small', i);
      }
      gw.emitter.emit('large', 'x'.repeat(16000));
    }
    // longer than it takes to fence the worker that has stopped
    await until(() => client.received('large').length === 20, 'all have come');
  });

  const after = await pageWhen(gw, (p) => p.events.in > before.events.in,
                               'they are counted');
  assert.equal(after.events.in - before.events.in, 20 * 5);
});

test('Redis comes and goes', async (t) => {
  const gw = await withStatus(t, { workers: 2, proxy: true });
  await gw.live();
  const before = await pageWhen(gw, ({ redis }) => (
    redis.feed !== null && redis.standby !== null), 'a feed and a standby');
  const slots = before.workers.map((worker) => worker.slot);

  assert.ok(slots.includes(before.redis.feed));
  assert.ok(slots.includes(before.redis.standby));
  assert.notEqual(before.redis.feed, before.redis.standby);
  assert.equal(before.redis.gaps, 0);

  await gw.redis.stop();
  await pageWhen(gw, (p) => !p.redis.connected, 'Redis is away');
  await gw.redis.start();
  const after = await pageWhen(gw, (p) => (
    p.redis.connected && p.redis.reconnects > before.redis.reconnects),
  'Redis is back');
  assert.ok(after.redis.gaps > 0);
});

test('parked sockets, and what the log spans', async (t) => {
  const gw = await withStatus(t, {
    block: { log: '64k', recovery: '1h' } });
  await gw.live();
  const away = await gw.connect({ user: 'away', rooms: ['r'] });
  const gone = await gw.connect({ user: 'gone', rooms: ['r'] });

  const first = await pageWhen(gw, (p) => p.sessions.parked === 0,
                               'none parked');
  assert.deepEqual(first.recovery, { window_ms: 3600000, spans_ms: 3600000 });
  assert.deepEqual(first.sockets, { connected: 3, recovered: 0,
                                    unrecovered: 0 });

  await away.away();
  const parked = await pageWhen(gw, (p) => p.sessions.parked === 1,
                                'one parked');
  assert.equal(parked.sessions.live, first.sessions.live);
  assert.equal(parked.users, first.users);
  assert.equal(parked.memberships, first.memberships);
  assert.equal(parked.connections.websocket, 1);

  assert.equal(await away.back(), true);
  const back = await page(gw);
  assert.equal(back.sessions.parked, 0);
  assert.equal(back.sockets.recovered, 1);

  // More than the log holds.
  await gone.away();
  for (let i = 0; i < 100; i++) {
    gw.emitter.to('r').emit('much', i, 'x'.repeat(2000));
  }
  await away.eventWith('much', 99);
  const full = await pageWhen(gw, (p) => p.log.tail > first.log.tail,
                              'a log that goes round');
  assert.ok(full.log.head - full.log.tail <= full.log.size);
  assert.ok(full.recovery.spans_ms < 3600000);
  assert.equal(full.recovery.window_ms, 3600000);

  assert.equal(await gone.back(), false);
  const fresh = await page(gw);
  assert.equal(fresh.sockets.unrecovered, 1);
  assert.equal(fresh.sockets.recovered, 1);
});

eachWorkers([1, 3], 'sockets in several namespaces', async (t, workers) => {
  const gw = await withStatus(t, {
    workers, block: { namespace: '/ /admin /chat', recovery: '1h' } });
  await gw.live();
  await pageWhen(gw, (p) => p.sessions.live === 0, 'nobody is there');
  const count = ({ sessions: { live, polling, parked, branches } }) => (
    [live, polling, parked, branches]);
  const counts = async (...expected) => {
    let last;
    await until(async () => {
      last = count(await page(gw));
      return String(last) === String(expected);
    }, () => `${expected}, and not ${last}`);
  };
  const clients = [];

  await t.test('each takes a record of its own', async () => {
    for (const [i, transport] of ['websocket', 'polling'].entries()) {
      const root = await gw.connect({ user: `u${i}`,
                                      transports: [transport] });
      const others = [root.of('/admin'), root.of('/chat')];
      await Promise.all(others.map((it) => it.ready()));
      clients.push([root, ...others]);
    }
    await counts(6, 1, 0, 4);
    const now = await page(gw);
    assert.equal(now.zone.sessions.used, 6);
    assert.equal(now.users, 6);
    assert.equal(now.rooms, 6);
    assert.equal(now.connections.websocket, 1);
    assert.equal(now.sockets.connected, 7);
  });

  await t.test('the transport takes one, too', async () => {
    const alone = gw.client({ user: 'alone', url: `${gw.url}/admin` });
    await alone.ready();
    await counts(8, 1, 0, 5);
    alone.close();
    await counts(6, 1, 0, 4);
  });

  await t.test('one leaves', async () => {
    clients.forEach(([, admin]) => admin.socket.disconnect());
    await counts(4, 1, 0, 2);
    clients.forEach(([, admin]) => admin.socket.connect());
    // Before that it counts, but is no socket yet, which could be parked.
    await Promise.all(clients.map(([, admin]) => admin.ready(2)));
    await counts(6, 1, 0, 4);
  });

  await t.test('parked, they are sockets on their own', async () => {
    await clients[0][0].away();
    await counts(6, 1, 3, 2);
    clients[0][0].socket.io.reconnection(true);
    clients[0][0].socket.io.connect();
    await until(() => clients[0].every((it) => it.connects > 1), 'back');
    await counts(6, 1, 0, 4);
  });

  await t.test('nothing is left', async () => {
    clients.flat().forEach((client) => client.close());
    await counts(0, 0, 0, 0);
  });
});

test('workers, and what outlives them', async (t) => {
  const gw = await withStatus(t, {
    workers: 3, listen: 'reuseport', block: { drain: '500ms' } });
  await gw.live();
  const pids = (p) => p.workers.map((worker) => worker.pid).sort();
  const now = () => gw.nginx.workers().sort();
  const settled = () => pageWhen(
    gw, (p) => String(pids(p)) === String(now()), 'the workers of now');
  const lasting = ({ node, zone, handshakes, sockets, auth }) => (
    { node, size: zone.size, handshakes, sockets, auth });

  for (let i = 0; i < 6; i++) {
    (await gw.connect({ user: `u${i}` })).close();
  }
  await gw.client({ auth: {} }).refusal();
  await empty(gw);
  const before = await settled();
  const slots = before.workers.map((worker) => worker.slot);

  assert.match(before.node, /-[0-9a-z]{6}$/);
  assert.equal(before.node.slice(0, -7), os.hostname().slice(0, 57));
  assert.equal(new Set(slots).size, 3);
  assert.equal(before.workers.length, 3);
  assert.equal(before.handshakes, before.sockets.connected + 1);
  for (const worker of before.workers) {
    assert.equal(worker.state, 'live');
    assert.equal(worker.leaving, false);
    assert.ok(worker.cursor >= before.log.tail);
    assert.ok(worker.cursor <= before.log.head);
  }

  await t.test('every worker says the same', async () => {
    for (let i = 0; i < 20; i++) {
      const again = await page(gw);
      assert.deepEqual(lasting(again), lasting(before));
      assert.deepEqual(present(again), present(before));
      assert.deepEqual(pids(again), pids(before));
    }
  });

  await t.test('a worker dies', async () => {
    gw.nginx.killWorker(gw.nginx.workers()[1]);
    const after = await until(async () => {
      const now = await settled();
      return now.workers.length === 3 && now;
    }, 'another worker');
    assert.notDeepEqual(pids(after), pids(before));
    assert.deepEqual(lasting(after), lasting(before));
    assert.deepEqual(present(after), present(before));
  });

  await t.test('a reload keeps the zone', async () => {
    const { uptime } = await page(gw);
    await gw.nginx.reload();
    const after = await settled();
    assert.deepEqual(lasting(after), lasting(before));
    assert.deepEqual(present(after), present(before));
    assert.ok(after.uptime >= uptime);
    assert.ok(after.log.head >= before.log.head);
  });

  await t.test('a larger zone is another one', async () => {
    gw.options.block.zone = '32m';
    gw.configure();
    await gw.nginx.reload();
    const after = await settled();
    assert.equal(after.zone.size, 32 << 20);
    assert.notEqual(after.node, before.node);
    assert.equal(after.handshakes, 0);
  });
});

test('a worker that leaves', async (t) => {
  const gw = await withStatus(t, { block: { drain: '20s' } });
  const client = await gw.connect({ user: 'ann' });
  const [old] = gw.nginx.workers();

  await gw.nginx.reload();
  const now = await pageWhen(gw, (p) => p.workers.length === 2, 'two workers');
  const leaving = now.workers.filter((worker) => worker.leaving);
  assert.deepEqual(leaving.map((worker) => worker.pid), [old]);
  assert.equal(leaving[0].connections.websocket, 1);
  assert.equal(now.connections.websocket, 1);

  client.close();
  const after = await pageWhen(gw, (p) => p.workers.length === 1, 'one worker');
  assert.equal(after.workers[0].leaving, false);
  assert.notEqual(after.workers[0].pid, old);
});
