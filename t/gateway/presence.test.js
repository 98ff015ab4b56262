'use strict';

// Who is online: the list that a new socket gets, and the updates behind it,
// on one node without Redis.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { gateway, eachWorkers } = require('./lib/gateway');
const { View } = require('./lib/presence');
const { until, parallel } = require('./lib/expect');

const TRANSPORTS = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

const LINGER = 500;

const start = (t, { workers = 1, block, locations, ...options } = {}) => (
  gateway(t, {
    workers,
    redis: false,
    listen: workers > 1 ? 'reuseport' : undefined,
    block: { presence: 'on', presence_linger: `${LINGER}ms`, ...block },
    locations: {
      '/socket.io/': {},
      '= /status': { socketio: null, socketio_status: 'mew' },
      ...locations,
    },
    ...options,
  }));

/** A client with a view; it may not be ready yet. */
function watch(gw, user, { transport = 'websocket', ...options } = {}) {
  const client = gw.client({
    user, transports: TRANSPORTS[transport],
    // Each request on a new connection, so that workers change.
    agent: false, ...options,
  });
  client.view = new View(client);
  return client;
}

/** The same with its list. */
async function listed(gw, user, options) {
  const client = await watch(gw, user, options).ready();
  await until(() => client.view.users, `${user} has a list`);
  return client;
}

function assertSound(clients, { doubled = 0 } = {}) {
  for (const { view } of [clients].flat()) {
    assert.deepEqual(view.faults, [], `${view}`);
    assert.ok(view.doubled <= doubled, `${view}: ${view.doubled} doubled`);
  }
}

async function status(gw) {
  const answer = await fetch(`${gw.url}/status`);
  return (await answer.json()).presence;
}

const quiet = () => delay(LINGER + 700);

for (const workers of [1, 3]) {
  for (const transport of Object.keys(TRANSPORTS)) {

    test(`coming and going: ${transport}, workers: ${workers}`, async (t) => {
      const gw = await start(t, { workers });
      const first = await listed(gw, 'first', { transport });
      assert.deepEqual(first.view.last, ['first']);

      const second = await listed(gw, 'second', { transport });
      await first.view.shows(['first', 'second']);
      await second.view.shows(['first', 'second']);

      const third = await listed(gw, 'third', { transport });
      const all = [first, second, third];
      for (const it of all) {
        await it.view.shows(['first', 'second', 'third']);
      }

      const before = performance.now();
      second.close();
      await first.view.shows(['first', 'third']);
      assert.ok(performance.now() - before >= LINGER - 50);
      await third.view.shows(['first', 'third']);

      await quiet();
      assertSound(all);
      assert.deepEqual(first.view.updates, [
        ['second', 'online'], ['third', 'online'], ['second', 'offline'],
      ]);
      assert.deepEqual(all.map((it) => it.view.lists), [1, 1, 1]);
      // Ready, the list, then updates.
      assert.deepEqual(first.order.slice(0, 3), [
        'ready', 'PRESENCE_INITIAL_STATE', 'PRESENCE_UPDATE']);
    });
  }
}

eachWorkers([1, 3], 'tabs are one user, each with a list', async (t,
                                                                  workers) => {
  const gw = await start(t, { workers });
  const witness = await listed(gw, 'witness');
  const tabs = [];

  for (let i = 0; i < 6; i++) {
    tabs.push(await listed(gw, 'tabby', {
      transport: Object.keys(TRANSPORTS)[i % 3],
    }));
  }
  await witness.view.shows(['witness', 'tabby']);
  for (const tab of tabs) {
    assert.equal(tab.view.lists, 1);
  }
  while (tabs.length > 1) {
    tabs.pop().close();
  }
  await quiet();
  assert.deepEqual(witness.view.updates, [['tabby', 'online']]);

  tabs.pop().close();
  await witness.view.shows(['witness']);
  assertSound(witness);
});

eachWorkers([1, 3], 'who is back in time was never gone', async (t,
                                                                 workers) => {
  const gw = await start(t, { workers, block: { presence_linger: '3s' } });
  const witness = await listed(gw, 'witness');
  const others = await parallel(Object.keys(TRANSPORTS), 3,
                                (transport) => listed(gw, transport,
                                                      { transport }));
  await witness.view.shows(['witness', ...Object.keys(TRANSPORTS)]);
  const updates = witness.view.updates.length;

  for (let i = 0; i < 3; i++) {
    for (const it of others) {
      await it.away();
      await it.back();
    }
  }
  for (const it of others) {
    await until(() => it.view.lists === 4 && it.view.users, 'lists');
    await it.view.shows(['witness', ...Object.keys(TRANSPORTS)]);
  }
  assert.equal(witness.view.updates.length, updates);
  assertSound([witness, ...others]);
  assert.ok((await status(gw)).flaps >= 9);
});

test('leaving the namespace is going', async (t) => {
  const gw = await start(t, { workers: 3, block: { namespace: '/ /chat' } });
  const witness = await listed(gw, 'witness');

  for (const transport of ['websocket', 'polling']) {
    const it = await listed(gw, transport, { transport });
    const chat = await it.of('/chat').ready();
    await witness.view.shows(['witness', transport]);

    // The transport stays for the other namespace.
    it.socket.disconnect();
    await witness.view.shows(['witness']);
    assert.ok(chat.socket.connected);

    it.socket.connect();
    await witness.view.shows(['witness', transport]);
    await it.view.shows(['witness', transport]);
    it.close();
    await witness.view.shows(['witness']);
  }
  assertSound(witness);
});

test('other namespaces neither count nor are told', async (t) => {
  const gw = await start(t, { workers: 3, block: { namespace: '/ /chat' } });
  const witness = await listed(gw, 'witness');
  const root = gw.client({ user: 'away', manager: null });
  root.socket.disconnect();

  // Its socket in "/" is gone; the one in the other namespace remains.
  const chat = await root.of('/chat').ready();
  const late = await listed(gw, 'late');
  await witness.view.shows(['witness', 'late'], 5000);
  await quiet();
  assert.deepEqual(chat.received('PRESENCE_INITIAL_STATE'), []);
  assert.deepEqual(chat.received('PRESENCE_UPDATE'), []);
  await late.view.shows(['witness', 'late']);
  assertSound([witness, late]);
});

test('without auth there is neither list nor update', async (t) => {
  const gw = await start(t, {
    locations: { '/open/': { socketio_auth: 'off' } },
  });
  const witness = await listed(gw, 'witness');
  const open = [];

  for (const transport of ['websocket', 'polling']) {
    open.push(await gw.client({
      user: transport, path: '/open/', transports: [transport],
    }).ready());
  }
  const other = await listed(gw, 'other');
  await witness.view.shows(['witness', 'other']);
  other.close();
  await witness.view.shows(['witness']);
  for (const it of open) {
    assert.deepEqual(it.order, ['ready']);
  }
  assertSound(witness);
});

test('off is the default', async (t) => {
  const gw = await start(t, { block: { presence: 'off' } });
  const clients = await parallel(['a', 'b'], 2, (user) => (
    gw.connect({ user })));
  await quiet();
  for (const it of clients) {
    assert.deepEqual(it.order, ['ready']);
  }
  assert.equal(await status(gw), null);
});

const NAMES = [
  'plain', '"quotes" and \\backslashes\\', '\n\t\r\u0001',
  'ünïcödé', '漢字かな', '🐱🐈', '\u2028\u2029', '</script>', '0', '-1',
  'x'.repeat(512), '"'.repeat(512), '\u0001'.repeat(512), 'é'.repeat(256),
];

eachWorkers([1, 3], 'names of all kinds', async (t, workers) => {
  const gw = await start(t, {
    workers,
    // A name of that length is no room with something in front of it.
    locations: { '/socket.io/': { socketio_user_room: 'off' } },
  });
  const witness = await listed(gw, 'witness');
  const kinds = Object.keys(TRANSPORTS);

  const clients = await parallel(NAMES, 4, (user, i) => (
    listed(gw, user, { transport: kinds[i % 3] })));
  for (const it of [witness, ...clients]) {
    await it.view.shows(['witness', ...NAMES]);
  }
  const late = await listed(gw, 'late');
  await late.view.shows(['witness', 'late', ...NAMES]);

  for (const it of clients) {
    it.close();
  }
  await witness.view.shows(['witness', 'late']);
  await late.view.shows(['witness', 'late']);
  assertSound([witness, late, ...clients]);
});

test('an integer is a user, as text', async (t) => {
  const gw = await start(t);
  const witness = await listed(gw, 'witness');
  const client = gw.client({ user: 1234567890123 });
  client.name = '1234567890123';
  client.view = new View(client);
  await client.ready();
  await client.view.shows(['witness', '1234567890123']);
  await witness.view.shows(['witness', '1234567890123']);
  assertSound([witness, client]);
});

/** Waits until the churn is over and compares each view with the truth. */
async function settled(clients, users, ms) {
  for (const it of clients) {
    await it.view.shows(users, ms);
  }
}

for (const [workers, recovery] of [[1, 'off'], [3, 'off'], [3, '1m']]) {

  test(`churn: workers: ${workers}, recovery ${recovery}`, async (t) => {
    const gw = await start(t, {
      workers, block: { presence_linger: '100ms', recovery, zone: '32m' },
    });
    const kinds = Object.keys(TRANSPORTS);
    const witnesses = await parallel(kinds, 3, (transport) => (
      listed(gw, `witness ${transport}`, { transport })));
    const ever = [...witnesses];
    const now = new Map();
    let random = 4711;
    const below = (n) => {
      random = (random * 1103515245 + 12345) % 2147483648;
      return Math.floor(random / 65536) % n;
    };

    const end = performance.now() + 8000;
    await Promise.all(Array.from({ length: 8 }, async (_, lane) => {
      while (performance.now() < end) {
        // Each lane has users of its own, some with several tabs.
        const user = `user ${lane + 8 * below(13)}`;
        const tabs = now.get(user) || [];
        now.set(user, tabs);

        if (tabs.length > 0 && below(3) > 0) {
          tabs.pop().close();
        } else {
          const it = await listed(gw, user, {
            transport: kinds[below(3)], reconnection: false,
          });
          tabs.push(it);
          ever.push(it);
        }
        await delay(below(60));
      }
    }));

    const users = [...now].filter(([, tabs]) => tabs.length > 0)
      .map(([user]) => user);
    const alive = [...witnesses, ...[...now.values()].flat()];
    await settled(alive, [...witnesses.map(String), ...users], 15000);

    assert.ok(ever.length > 100, `${ever.length} clients`);
    assertSound(ever);
    const seen = witnesses[0].view.updates;
    assert.ok(seen.some(([, it]) => it === 'offline'));
    t.diagnostic(`${ever.length} clients, ${seen.length} updates`);

    await gw.client({ user: 'last' }).ready();
    const { local, online } = await status(gw);
    assert.ok(local >= users.length && online >= users.length);
  });
}
