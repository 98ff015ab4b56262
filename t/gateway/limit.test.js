'use strict';

// Connections of an address and of a user: who counts, who is refused or
// closed, and that the counts are right whoever comes, goes or dies.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { freePort } = require('./lib/processes');
const { until, parallel } = require('./lib/expect');

const start = (t, workers, limit, { block, location, ...options } = {}) => (
  gateway(t, {
    workers,
    listen: workers > 1 ? 'reuseport' : undefined,
    server: { set_real_ip_from: '127.0.0.1', real_ip_header: 'X-Real-IP' },
    block: { namespace: '/ /admin', ...block },
    locations: {
      '/socket.io/': { socketio_limit: limit, ...location },
    },
    ...options,
  }));

const from = (address) => ({ headers: { 'X-Real-IP': address } });

/** A handshake that must be refused for its address. */
async function refused(opening) {
  const { head } = await opening.then(
    () => assert.fail('the handshake was not refused'), (error) => error);
  assert.equal(head?.status, 503);
  assert.match(head.headers['retry-after'], /^[1-9]\d*$/);
}

/** The same handshake, as soon as it is not. */
const accepted = (open) => until(() => open().catch((error) => {
  assert.equal(error.head?.status, 503);
}), 'a handshake that is not refused');

/** Waits until it is out, for good, and was told why. */
async function evicted(client) {
  assert.deepEqual(await client.event('error'),
                   [{ message: 'Too many connections' }]);
  assert.equal(await client.disconnect(), 'io server disconnect');
}

eachWorkers([1, 3], 'connections of an address', async (t, workers) => {
  const gw = await start(t, workers, 'connections_per_ip=3');
  const a = from('192.0.2.1');

  const first = await gw.rawConnect({ user: 'u', ...a });
  const second = await gw.rawConnect({ user: 'v', ...a });
  const third = await gw.pollingConnect({ user: 'w', ...a });

  await t.test('one too many', async () => {
    await refused(gw.polling(a));
    await refused(gw.socket(a));
    assert.equal((await gw.status()).limits.refused, 2);
    assert.equal((await gw.status()).refused, 0);
  });

  await t.test('of others', async () => {
    await gw.polling(from('192.0.2.2'));
    await gw.socket(from('2001:db8::1'));
    await gw.polling(from('2001:db8::2'));
  });

  await t.test('an upgrade is none more', async () => {
    await third.upgrade();
    await refused(gw.polling(a));
  });

  await t.test('one goes, another may come', async () => {
    first.close();
    const next = await accepted(() => gw.socket(a));
    await refused(gw.polling(a));
    next.destroy();
    await accepted(() => gw.polling(a));
    await refused(gw.socket(a));
  });

  await t.test('of IPv6', async () => {
    const b = from('2001:db8::b');
    const all = [await gw.polling(b), await gw.polling(b), await gw.socket(b)];
    await refused(gw.socket(b));
    all.at(-1).destroy();
    await accepted(() => gw.polling(b));
  });

  await t.test('an official client comes back', async () => {
    const c = from('192.0.2.3');
    const held = await Promise.all([1, 2, 3].map(() => gw.socket(c)));
    const client = gw.client({ user: 'c', extraHeaders: c.headers });
    await until(() => client.failures.length > 1, 'refusals');
    assert.equal(client.connects, 0);
    held[0].destroy();
    await client.connected();
  });

  await t.test('are nobody\'s when they are over', async () => {
    second.close();
    third.close();
    await accepted(() => gw.socket(a));
    await accepted(() => gw.socket(a));
    await refused(gw.socket(a));
  });
});

// An IPv4 address is the same on a socket of IPv6; and without realip it is
// that of the connection.
test('addresses of connections', async (t) => {
  const port = await freePort();
  const other = await freePort();
  const gw = await start(t, 1, 'connections_per_ip=2', {
    server: { listen: [`[::1]:${port}`,
                       `[::ffff:127.0.0.1]:${other} ipv6only=off`] },
  });
  const open = async (where) => (await fetch(
    `http://${where}/socket.io/?EIO=4&transport=polling`)).status;

  assert.equal(await open(`[::1]:${port}`), 200);
  assert.equal(await open(`127.0.0.1:${gw.port}`), 200);
  assert.equal(await open(`127.0.0.1:${other}`), 200);
  assert.equal(await open(`127.0.0.1:${other}`), 503);
  assert.equal(await open(`127.0.0.1:${gw.port}`), 503);
  assert.equal(await open(`[::1]:${port}`), 200);
  assert.equal(await open(`[::1]:${port}`), 503);
});

eachWorkers([1, 3], 'connections of a user', async (t, workers) => {
  const gw = await start(t, workers, 'connections_per_user=2');

  for (const [kind, transports] of Object.entries({
    websocket: ['websocket'], polling: ['polling'],
    upgrade: ['polling', 'websocket'],
  })) {
    await t.test(`over ${kind}`, async () => {
      const connect = (user = kind) => gw.connect({ user, transports });
      const other = await connect(`${kind} other`);
      const all = [];

      for (let i = 0; i < 5; i++) {
        all.push(await connect());
        if (i >= 2) {
          await evicted(all[i - 2]);
        }
      }
      const [fourth, fifth] = all.slice(3);
      await gw.settle(other, fourth, fifth);
      for (const client of [other, fourth, fifth]) {
        assert.deepEqual(client.disconnects, []);
      }
      assert.equal(fourth.received('error').length, 0);
      for (const client of all.slice(0, 3)) {
        assert.equal(client.connects, 1);
      }
    });
  }

  await t.test('one with several namespaces is one', async () => {
    const first = await gw.connect({ user: 'n' });
    const admin = await first.of('/admin').ready();
    const second = await gw.connect({ user: 'n' });
    await second.of('/admin').ready();
    await gw.settle(first, second);
    assert.deepEqual(first.disconnects, []);

    const third = await gw.connect({ user: 'n' });
    await evicted(first);
    assert.equal(await admin.disconnect(), 'io server disconnect');
    await gw.settle(second, third);
  });

  await t.test('one without a socket in "/"', async () => {
    const admin = gw.client({ user: 'm', url: `${gw.url}/admin` });
    await admin.ready();
    const second = await gw.connect({ user: 'm' });
    await gw.connect({ user: 'm' });
    await evicted(admin);
    await gw.settle(second);
  });

  await t.test('one that does not poll at the moment', async () => {
    const session = await gw.polled({ user: 'p' });
    const second = await gw.connect({ user: 'p' });
    const third = await gw.connect({ user: 'p' });
    const packets = await session.rest();
    assert.deepEqual(packets.slice(0, 2), [
      '42["error",{"message":"Too many connections"}]', '41']);
    await gw.settle(second, third);
  });

  await t.test('in a storm the last ones stay', async () => {
    const all = Array.from({ length: 30 }, () => gw.client({ user: 's' }));
    const connected = () => all.filter(({ socket }) => socket.connected);

    await until(() => all.every(({ connects }) => connects > 0), 'connects');
    await until(() => connected().length <= 2, () => (
      `2 of ${connected().length} stay`));
    await gw.settle(connected());
    assert.equal(connected().length, 2);
  });

  await t.test('is counted', async () => {
    const { limits } = await gw.status();
    assert.equal(limits.closed, 3 * 3 + 1 + 1 + 1 + 28);
    assert.deepEqual([limits.limited, limits.refused], [0, 0]);
  });
});

// A socket that waits for its client has no connection; when it comes back it
// is the latest.
eachWorkers([1, 3], 'parked sockets', async (t, workers) => {
  const gw = await start(t, workers, 'connections_per_user=2', {
    block: { recovery: '20s' },
  });
  const first = await gw.connect({ user: 'u' });
  const second = await gw.connect({ user: 'u' });
  await gw.settle(first, second);

  await first.away();
  await until(async () => (await gw.status()).sessions.parked === 1, 'parked');
  const third = await gw.connect({ user: 'u' });
  await gw.settle(second, third);
  assert.deepEqual(second.disconnects, []);

  assert.equal(await first.back(), true);
  await until(() => second.disconnects.length === 1, 'the second is out');
  assert.equal(second.disconnects[0], 'io server disconnect');
  await gw.settle(first, third);
  assert.equal((await gw.status()).limits.closed, 1);
});

eachWorkers([1, 3], 'a worker is killed', async (t, workers) => {
  const gw = await start(t, workers, 'connections_per_ip=6 '
                                     + 'connections_per_user=6');
  const a = from('192.0.2.1');
  const fill = () => parallel(Array(6).keys(), 6, () => accepted(
    () => gw.rawConnect({ user: 'u', ...a })));

  const before = await fill();
  await refused(gw.socket(a));
  for (const pid of gw.nginx.workers()) {
    gw.nginx.killWorker(pid);
  }
  await until(() => before.every(({ closed }) => closed), 'all are closed');

  const after = await fill();
  await refused(gw.socket(a));
  await gw.settle(after);
  assert.equal((await gw.status()).limits.closed, 0);
});

test('a reload keeps the counts', async (t) => {
  const gw = await start(t, 2, 'off', { listen: 'reuseport' });
  const a = from('192.0.2.1');
  const reload = async (limit) => {
    gw.options.locations['/socket.io/'].socketio_limit = limit;
    gw.configure();
    await gw.nginx.reload();
  };

  await gw.polled({ user: 'u', ...a });
  const second = await gw.polled({ user: 'u', ...a });
  await gw.polled({ user: 'v', ...a });

  await reload('connections_per_ip=3 connections_per_user=2');
  await refused(gw.socket(a));

  await reload('connections_per_ip=4 connections_per_user=2');
  const third = await gw.joined({ user: 'u', ...from('192.0.2.2') });
  await gw.polling(a);
  await refused(gw.polling(a));
  assert.equal((await gw.status()).limits.closed, 1);
  assert.ok(await second.alive());
  await gw.drain(third);
});
