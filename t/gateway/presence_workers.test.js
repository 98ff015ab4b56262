'use strict';

// Who is online, when workers die, leave or come: nobody goes offline who is
// back in time, and whoever is gone goes offline once.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { gateway, eachWorkers } = require('./lib/gateway');
const { View } = require('./lib/presence');
const { until, parallel } = require('./lib/expect');

const start = (t, { workers = 3, block, ...options } = {}) => gateway(t, {
  workers,
  redis: false,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { presence: 'on', presence_linger: '4s', drain: '1s', ...block },
  locations: {
    '/socket.io/': {
      socketio_ping_interval: '2s', socketio_ping_timeout: '2s',
    },
    '= /status': { socketio: null, socketio_status: 'mew' },
  },
  ...options,
});

async function listed(gw, user, options) {
  const client = gw.client({
    user, transports: ['websocket'], agent: false, ...options,
  });
  client.view = new View(client);
  await client.ready();
  await until(() => client.view.users, `${user} has a list`);
  return client;
}

const KINDS = [['websocket'], ['polling'], ['polling', 'websocket']];

const crowd = (gw, n) => parallel(
  Array.from({ length: n }, (_, i) => `user ${i}`), 6,
  (user, i) => listed(gw, user, { transports: KINDS[i % 3] }));

async function presence(gw) {
  const answer = await fetch(`${gw.url}/status`);
  return (await answer.json()).presence;
}

/** All are connected, have a list, and know of all. */
async function whole(clients) {
  const users = clients.map(String);
  for (const it of clients) {
    await it.view.shows(users, 20000);
  }
}

function offline(clients) {
  return clients.flatMap(({ view }) => view.updates)
    .filter(([, it]) => it === 'offline');
}

function assertFaultless(clients) {
  for (const { view } of clients) {
    assert.deepEqual(view.faults, [], `${view}`);
  }
}

eachWorkers([1, 3], 'reloads: nobody goes', async (t, workers) => {
  const gw = await start(t, { workers });
  const clients = await crowd(gw, 12);
  await whole(clients);
  const { transitions } = await presence(gw);

  for (let i = 0; i < 3; i++) {
    await gw.nginx.reload();
    await until(() => gw.nginx.workers({ leaving: true }).length === workers,
                'the old workers are gone', 15000);
    await whole(clients);
  }
  await delay(4500);
  await whole(clients);
  assert.deepEqual(offline(clients), []);
  assert.equal((await presence(gw)).transitions, transitions);
  assertFaultless(clients);
  assert.ok(clients.every(({ view }) => view.doubled === 0));
});

eachWorkers([1, 3], 'killed workers: nobody goes', async (t, workers) => {
  const gw = await start(t, { workers });
  const clients = await crowd(gw, 12);
  await whole(clients);

  for (let i = 0; i < 3; i++) {
    await until(() => gw.nginx.workers().length === workers, 'all workers');
    const killed = gw.nginx.workers()[i % workers];
    gw.nginx.killWorker(killed);
    await until(() => gw.nginx.workers().length === workers
                && !gw.nginx.workers().includes(killed), 'another worker');
    await whole(clients);
  }
  assert.deepEqual(offline(clients), []);
  assertFaultless(clients);
});

test('the actor is killed: who is gone goes, who is new comes', async (t) => {
  const gw = await start(t, { block: { presence_linger: '1s' } });
  const witness = await listed(gw, 'witness');

  for (let i = 0; i < 4; i++) {
    const leaver = await listed(gw, `leaver ${i}`);
    await until(() => witness.view.users?.has(`leaver ${i}`), 'it came', 15000);
    leaver.close();

    const answer = await (await fetch(`${gw.url}/status`)).json();
    const actor = answer.workers.find(
      (it) => it.slot === answer.presence.actor);
    assert.ok(actor, 'there is an actor');
    gw.nginx.killWorker(actor.pid);

    const comer = await listed(gw, `comer ${i}`);
    await until(() => witness.view.users?.has(`comer ${i}`)
                && !witness.view.users.has(`leaver ${i}`),
                () => `${witness.view.updates}`, 15000);
    comer.close();
  }
  assertFaultless([witness]);
});

test('a stopped actor is succeeded, and changes nothing later', async (t) => {
  const gw = await start(t, { block: { presence_linger: '500ms' } });
  const witness = await listed(gw, 'witness');
  const answer = await until(async () => {
    const now = await (await fetch(`${gw.url}/status`)).json();
    return now.presence.actor && now;
  }, 'an actor');
  const { pid } = answer.workers.find(
    (it) => it.slot === answer.presence.actor);

  process.kill(pid, 'SIGSTOP');
  try {
    await until(async () => {
      const now = await Promise.race([presence(gw), delay(500)]);
      return now && now.actor !== answer.presence.actor;
    }, 'another actor', 10000);
  } finally {
    process.kill(pid, 'SIGCONT');
  }

  for (let i = 0; i < 5; i++) {
    const it = await listed(gw, `user ${i}`);
    await until(() => witness.view.users?.has(`user ${i}`), 'it came', 15000);
    it.close();
    await until(() => !witness.view.users?.has(`user ${i}`), 'it went', 15000);
  }
  assertFaultless([witness]);
  assert.equal(witness.view.doubled, 0);
});

test('the parked are gone, the recovered back; nothing is replayed', async (t) => {
  const gw = await start(t, {
    block: { recovery: '1m', presence_linger: '500ms' },
  });
  const witness = await listed(gw, 'witness');

  for (const transports of KINDS) {
    const it = await listed(gw, `${transports}`, { transports });
    await witness.view.shows(['witness', `${transports}`]);

    await it.away();
    await witness.view.shows(['witness']);
    const other = await listed(gw, `while ${transports} is away`);
    await witness.view.shows(['witness', `${other}`]);
    other.close();
    await witness.view.shows(['witness']);

    const updates = it.view.updates.length;
    assert.equal(await it.back(), true, 'recovered');
    await until(() => it.view.lists === 2, 'a second list');
    await it.view.shows(['witness', `${transports}`]);
    // What it has missed is in the list.
    assert.equal(it.view.updates.length, updates);
    assert.deepEqual(it.order.slice(-2), ['ready', 'PRESENCE_INITIAL_STATE']);

    // Once more: it has the offset of its list.
    await witness.view.shows(['witness', `${transports}`]);
    await it.away();
    assert.equal(await it.back(), true, 'recovered by the offset of a list');
    await until(() => it.view.lists === 3, 'a third list');
    it.close();
    await witness.view.shows(['witness']);
  }
  assertFaultless([witness]);
});

test('with recovery all events carry an offset', async (t) => {
  const gw = await start(t, { block: { recovery: '1m' } });
  const raw = await gw.rawConnect({ user: 'raw' });
  const polled = await gw.pollingConnect({ user: 'polled' });

  await raw.event('PRESENCE_UPDATE');
  await polled.event('PRESENCE_INITIAL_STATE');
  for (const it of [raw, polled]) {
    const [, offset] = await it.event('PRESENCE_INITIAL_STATE');
    assert.match(offset, /^[\w-]{12}$/);
  }
  assert.match(raw.received('PRESENCE_UPDATE')[0][1], /^[\w-]{12}$/);
});

test('presence is switched by reloads', async (t) => {
  const gw = await start(t, {
    block: { presence: 'off', presence_linger: '500ms' },
  });
  const clients = await parallel(['a', 'b', 'c'], 3, (user, i) => {
    const it = gw.client({ user, transports: KINDS[i], agent: false });
    it.view = new View(it);
    return it.ready();
  });
  const config = (state) => {
    gw.options.block = { ...gw.options.block, presence: state };
    gw.configure();
    return gw.nginx.reload();
  };

  await config('on');
  const late = await listed(gw, 'late');
  await late.view.shows(['a', 'b', 'c', 'late'], 20000);

  await config('off');
  await until(async () => (await presence(gw)) === null, 'it is off');
  const last = await gw.connect({ user: 'last' });
  await until(() => late.connects === 2, 'late is back', 15000);
  await delay(700);
  assert.deepEqual(last.order, ['ready']);

  for (const it of [...clients, late, last]) {
    it.close();
  }
  // Nothing holds a user any more.
  await until(async () => {
    const answer = await (await fetch(`${gw.url}/status`)).json();
    return answer.users === 0;
  }, 'no users', 15000);
});
