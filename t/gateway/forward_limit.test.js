'use strict';

// What "socketio_limit" closes is told to the backend like every other end:
// "$disconnect" once, behind the events that were taken, and with its reason;
// and who dies leaves right counts, and right ends.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { RS } = require('./lib/polling');
const { text } = require('./lib/ws');
const { until, parallel } = require('./lib/expect');

const BURST = 5;

const start = (t, workers, limit, block) => gateway(t, {
  workers,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { namespace: '/ /admin', ...block },
  locations: {
    '/socket.io/': { socketio_forward: '* stream=up', socketio_limit: limit },
  },
});

/** All entries of a user: [event, first argument]. */
const told = async (gw, user) => (await gw.redis.commands.xRange('up', '-', '+'))
  .filter(({ message }) => message.user === user)
  .map(({ message }) => [message.event, JSON.parse(message.args)[0]]);

const CAME = ['$connect', {}];
const say = (n) => `42${n}["say",${n}]`;
const range = (first, last) => Array.from({ length: last - first + 1 },
                                          (_, i) => first + i);

/** Waits until no end is to be told any more. */
const quiet = (gw) => until(async () => (
  (await gw.status()).forward.waiting === 0), 'all ends are told');

eachWorkers([1, 3], 'the oldest of a user', async (t, workers) => {
  const gw = await start(t, workers, 'connections_per_user=2');

  for (const transport of ['websocket', 'polling']) {
    await t.test(`over ${transport}`, async () => {
      const connect = () => gw.connect({ user: transport,
                                         transports: [transport] });
      const first = await connect();
      await first.of('/admin').ready();
      await connect();
      await connect();
      await first.disconnect();

      await until(async () => (await told(gw, transport)).length >= 6,
                  'four that came, two that went');
      await quiet(gw);
      // The third one may be of another worker than the first.
      const end = ['$disconnect', 'server namespace disconnect'];
      assert.deepEqual((await told(gw, transport)).sort(),
                       [CAME, CAME, CAME, CAME, end, end]);
    });
  }
});

eachWorkers([1, 3], 'who floods', async (t, workers) => {
  const gw = await start(t, workers, `events=1/s burst=${BURST}`);
  const flood = range(1, 20 * BURST).map(say);
  const expected = [
    CAME, ...range(1, BURST).map((n) => ['say', n]),
    ['$disconnect', 'rate limit exceeded'],
  ];

  const ends = async (user) => {
    await until(async () => (await told(gw, user)).length >= expected.length,
                'all is told');
    await quiet(gw);
    assert.deepEqual(await told(gw, user), expected);
  };

  await gw.live();

  await t.test('over a WebSocket', async () => {
    const ws = await gw.joined({ user: 'w' });
    ws.write(Buffer.concat(flood.map((packet) => text(packet))));
    assert.equal(await ws.closing(), 1008);
    await ends('w');
  });

  await t.test('over polling', async () => {
    const session = await gw.polled({ user: 'p' });
    await session.post(flood.join(RS)).catch(() => {});
    await ends('p');
  });
});

// A worker that dies may leave an end and a connection that counts.
eachWorkers([1, 3], 'workers are killed', async (t, workers) => {
  const gw = await start(t, workers, 'connections_per_ip=7 '
                                     + 'connections_per_user=6');
  const came = async (user) => (await told(gw, user))
    .filter(([event]) => event === '$connect').length;
  const left = async (user) => (await told(gw, user))
    .filter(([event]) => event === '$disconnect').length;

  for (const user of ['a', 'b', 'c']) {
    const clients = await parallel(range(1, 6), 6, () => until(
      () => gw.rawConnect({ user }).catch((error) => {
        assert.equal(error.head?.status, 503);
      }), 'a connection that is not refused'));
    assert.equal(await came(user), 6);

    for (const pid of gw.nginx.workers()) {
      gw.nginx.killWorker(pid);
    }
    await until(() => clients.every(({ closed }) => closed), 'all are closed');
    await until(async () => await left(user) >= 6, `six ends of ${user}`);
  }

  await until(async () => (await gw.status()).sessions.live === 0, 'the end');
  const { limits } = await gw.status();
  assert.deepEqual([limits.closed, limits.limited], [0, 0]);
});

// Redis is away as the oldest is closed: its end waits, and the place is free.
test('Redis is away', async (t) => {
  const gw = await start(t, 1, 'connections_per_user=2 connections_per_ip=9',
                         { recovery: '30s' });
  const first = await gw.connect({ user: 'u' });
  const second = await gw.connect({ user: 'u' });
  await gw.redis.stop();
  await until(async () => (await gw.status()).redis.connected === false,
              'Redis is away');
  first.stay();
  first.socket.io.engine.close();
  await until(async () => (await gw.status()).forward.waiting === 1, 'one waits');
  await gw.redis.start();
  const third = await gw.connect({ user: 'u' });
  await gw.settle(second, third);
  assert.deepEqual(second.disconnects, []);
  await quiet(gw);
  assert.equal((await gw.status()).forward.disconnects, 1);
  first.close();
});
