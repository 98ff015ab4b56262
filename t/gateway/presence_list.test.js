'use strict';

// A list that is long is not copied for each client: over all transports, with
// TLS and compression, to clients that are slow, and beside other messages.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { View } = require('./lib/presence');
const { until, parallel } = require('./lib/expect');

// What takes six bytes each in JSON: 60 users are 180 kilobytes.
const NAMES = Array.from({ length: 60 }, (_, i) => (
  `${i}-${'\u0001'.repeat(500)}`));

async function crowded(t, { block, location, ...options } = {}) {
  const gw = await gateway(t, {
    redis: false,
    block: { presence: 'on', presence_linger: '60s', ...block },
    location: { socketio_user_room: 'off', ...location },
    ...options,
  });
  // They have gone, and are online for another minute.
  await parallel(NAMES, 6, async (user) => {
    (await gw.rawConnect({ user })).close();
  });
  return gw;
}

/** All but the last client are in the list, one or the other is told of. */
function assertComplete(view) {
  assert.deepEqual(view.faults, []);
  for (const name of NAMES) {
    assert.ok(view.users.has(name), `${view} has ${name.slice(0, 4)}`);
  }
}

async function listed(gw, user, options) {
  const client = gw.client({ user, ...options });
  client.view = new View(client);
  await client.ready();
  await until(() => client.view.users, `${user} has a list`);
  return client;
}

for (const [what, options, io] of [
  ['plain', {}, {}],
  ['TLS', { tls: true }, {}],
  ['deflate', { location: { socketio_deflate: 1 } },
    { perMessageDeflate: true }],
  ['recovery', { block: { recovery: '1m' } }, {}],
  ['a short queue', { location: { socketio_send_queue: '1k' } }, {}],
]) {
  eachWorkers([1, 3], `all transports, ${what}`, async (t, workers) => {
    const gw = await crowded(t, {
      workers, listen: workers > 1 ? 'reuseport' : undefined, ...options,
    });
    for (const transports of [
      ['websocket'], ['polling'], ['polling', 'websocket'],
    ]) {
      const several = await parallel([1, 2, 3, 4], 4, (i) => (
        listed(gw, `${transports} ${i}`, { transports, agent: false, ...io })));
      for (const { view } of several) {
        await until(() => several.every(({ name }) => view.users.has(name)),
                    `${view} has all`);
        assertComplete(view);
        assert.equal(view.lists, 1);
        assert.equal(view.doubled, 0);
      }
    }
  });
}

test('updates and pings behind a list that is not read', async (t) => {
  const gw = await crowded(t);
  const slow = await Promise.all(Array.from({ length: 4 }, async (_, i) => {
    const client = await gw.rawClient({
      user: `slow ${i}`,
      onopen: (it) => it.ws.socket.pause(),
    });
    client.view = new View(client);
    return client;
  }));
  const others = await parallel([1, 2, 3], 3, (i) => listed(gw, `other ${i}`));
  await until(() => others.every(({ view }) => slow.every(
    ({ name }) => view.users.has(name))), 'all are told of');

  for (const it of slow) {
    it.ws.socket.resume();
  }
  for (const { view } of slow) {
    await until(() => view.users
                && others.every(({ name }) => view.users.has(name)),
                `${view} has all`);
    assertComplete(view);
    assert.equal(view.doubled, 0);
  }
});

test('clients that go while the list is on its way', async (t) => {
  const gw = await crowded(t);
  for (let i = 0; i < 20; i++) {
    const client = await gw.rawClient({
      user: 'hasty', onopen: (it) => it.ws.socket.pause(),
    });
    const polling = await gw.polling();
    await polling.send(`40${JSON.stringify(gw.auth({ user: 'hasty' }))}`);
    await polling.begin();
    polling.close();
    client.close();
  }
  const last = await listed(gw, 'last');
  assertComplete(last.view);
});

test('a full zone: those who are in are right, and it empties', async (t) => {
  const gw = await gateway(t, {
    redis: false,
    block: {
      zone: '1m', log: '512k', presence: 'on', presence_linger: '1s',
    },
    locations: {
      '/socket.io/': { socketio_user_room: 'off' },
      '= /status': { socketio: null, socketio_status: 'mew' },
    },
  });
  const status = async () => (await fetch(`${gw.url}/status`)).json();
  const witness = await listed(gw, 'witness');
  const before = await status();
  const name = (i) => `${i}-${'x'.repeat(505)}`;

  for (let round = 0; round < 2; round++) {
    const clients = [];
    for (;;) {
      const it = await gw.rawClient({ user: name(clients.length) });
      await until(() => it.received('ready').length > 0 || it.closed,
                  'in, or not');
      if (it.closed) {
        break;
      }
      clients.push(it);
    }
    assert.ok(clients.length > 20, `${clients.length} were in`);
    await witness.view.shows(['witness', ...clients.map((_, i) => name(i))]);

    clients.forEach((it) => it.close());
    await witness.view.shows(['witness']);
    assert.deepEqual((await status()).zone.users, before.zone.users);
    assert.deepEqual((await status()).zone.tails, before.zone.tails);
  }
  assert.deepEqual(witness.view.faults, []);
  assert.equal(witness.view.doubled, 0);
});
