'use strict';

// The command "refresh": room sets are read again, and what came from them is
// brought up to date, for sockets of every kind and wherever they are.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { until, parallel } = require('./lib/expect');

const start = (t, workers, { block, ...options } = {}) => gateway(t, {
  workers,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { namespace: '/ /admin', ...block },
  ...options,
});

const command = (gw, ...list) => gw.redis.commands.publish(
  'socket.io-command', JSON.stringify(list));

const refresh = (gw, ...users) => command(
  gw, { op: 'refresh', to: users.map((user) => `user:${user}`) });

const key = (user) => `mew:rooms:${user}`;

/** The rooms, of these, that events reach a client in. */
async function rooms(gw, client, names) {
  const id = `r${++gw.markers}`;
  const { nsp = '/' } = client;
  await command(gw, ...names.map((it) => (
    { nsp, to: it, event: 'room', args: [`${id} ${it}`] })),
                { nsp, to: client.room || client.id, event: 'rooms',
                  args: [id] });
  await client.eventWith('rooms', id);
  return client.received('room').map(([text]) => text.split(' '))
    .filter(([mark]) => mark === id).map(([, name]) => name);
}

/** Waits until a client is in these of the rooms a to f, and no other. */
const settled = (gw, client, expected) => until(async () => (
  (await rooms(gw, client, ['a', 'b', 'c', 'd', 'e', 'f'])).join('')
    === expected), () => `${client} is in ${expected}`);

const KINDS = {
  websocket: (gw, options) => gw.connect(options),
  polling: (gw, options) => gw.connect({ ...options,
                                         transports: ['polling'] }),
  'polling on any worker': (gw, options) => gw.pollingConnect(options),
};

eachWorkers([1, 3], 'what came from the set', async (t, workers) => {
  const gw = await start(t, workers);

  for (const [kind, open] of Object.entries(KINDS)) {
    await t.test(kind, async () => {
      const user = kind.replaceAll(' ', '_');
      const redis = gw.redis.commands;
      await redis.sAdd(key(user), ['a', 'b']);
      const client = await open(gw, { user, rooms: ['b', 'c'] });
      const twin = await open(gw, { user, rooms: [] });
      const other = await open(gw, { user: `${user}2`, rooms: ['a'] });

      await settled(gw, client, 'abc');
      await settled(gw, twin, 'ab');

      // Without a refresh nothing happens; those that are not meant stay.
      await redis.sRem(key(user), ['a', 'b']);
      await redis.sAdd(key(user), 'd');
      await redis.sAdd(key(`${user}2`), 'd');
      assert.deepEqual(await rooms(gw, client, ['a', 'd']), ['a']);

      // The claim's rooms stay, those of a join, too.
      await command(gw, { op: 'join', to: `user:${user}`, rooms: 'e' });
      await refresh(gw, user);
      await settled(gw, client, 'bcde');
      await settled(gw, twin, 'de');
      assert.deepEqual(await rooms(gw, other, ['a', 'd']), ['a']);

      // What is in the set already, and what is not any more.
      await redis.sAdd(key(user), ['a', 'b', 'e', 'f']);
      await refresh(gw, user, user);
      await settled(gw, client, 'abcdef');
      await redis.del(key(user));
      await refresh(gw, user);
      await settled(gw, client, 'bce');
      await settled(gw, twin, 'e');

      // All of them, but one.
      await redis.sAdd(key(user), 'f');
      await command(gw, { op: 'refresh', all: true, except: client.id });
      await settled(gw, twin, 'ef');
      await settled(gw, other, 'ad');
      await settled(gw, client, 'bce');

      [client, twin, other].forEach((it) => it.close());
    });
  }
});

// A polling client that gets something at every poll is brought up to date.
test('a client that is busy', async (t) => {
  const gw = await start(t, 3);
  const client = await gw.pollingConnect({ user: 'ann' });
  let over = false;
  const traffic = (async () => {
    for (let i = 0; !over; i++) {
      await command(gw, { to: client.id, event: 'noise', args: [i] });
    }
  })();

  await client.event('noise', 50);
  for (const room of ['a', 'b', 'c']) {
    await gw.redis.commands.del(key('ann'));
    await gw.redis.commands.sAdd(key('ann'), room);
    await refresh(gw, 'ann');
    await settled(gw, client, room);
  }
  over = true;
  await traffic;
  const noise = client.received('noise').map(([n]) => n);
  assert.deepEqual(noise, noise.map((_, i) => i));
});

// A client that is away is refreshed as it comes back.
test('parked', async (t) => {
  const gw = await start(t, 3, { block: { recovery: '20s' } });
  await gw.redis.commands.sAdd(key('ann'), ['a', 'b']);
  const client = await gw.connect({ user: 'ann' });
  client.room = 'user:ann';
  await settled(gw, client, 'ab');

  for (const [set, expected] of [[['b', 'c'], 'bc'], [['d'], 'd']]) {
    await client.away();
    await gw.redis.commands.del(key('ann'));
    await gw.redis.commands.sAdd(key('ann'), set);
    await refresh(gw, 'ann');
    assert.equal(await client.back(), true);
    await settled(gw, client, expected);
  }
});

// One that connects while the set changes ends up in what the set says.
test('while clients connect', async (t) => {
  const gw = await start(t, 3);
  await gw.live();
  const redis = gw.redis.commands;
  const clients = await parallel(
    Array.from({ length: 60 }, (_, i) => i), 20, async (i) => {
      const user = `u${i % 10}`;
      const client = gw.client({ user });
      await redis.sAdd(key(user), ['a', 'b', 'c'][i % 3]);
      await redis.sRem(key(user), ['a', 'b', 'c'][(i + 1) % 3]);
      await refresh(gw, user);
      await client.ready();
      client.user = user;
      return client;
    });

  for (const client of clients) {
    const set = await redis.sMembers(key(client.user));
    await settled(gw, client, set.sort().join(''));
  }
});

// Commands behind a refresh are not undone by it, whatever the set says.
test('commands behind it', async (t) => {
  const gw = await start(t, 2, { proxy: true });
  await gw.redis.commands.sAdd(key('ann'), ['a', 'b']);
  const clients = await parallel([0, 1, 2, 3], 4, () => (
    gw.connect({ user: 'ann' })));

  for (let i = 0; i < 20; i++) {
    await command(gw, { op: 'join', to: 'user:ann', rooms: ['f'] },
                  { op: 'refresh', to: 'user:ann' },
                  { op: 'leave', to: 'user:ann', rooms: ['a', 'f'] });
    // The refresh is over when its change is there.
    await gw.redis.commands.sAdd(key('ann'), 'c');
    await refresh(gw, 'ann');
    await command(gw, { op: 'leave', to: 'user:ann', rooms: 'a' });
    for (const client of clients) {
      await settled(gw, client, 'bc');
    }
    await gw.redis.commands.sRem(key('ann'), 'c');
    await gw.redis.commands.sRem(key('ann'), 'a');
    await refresh(gw, 'ann');
    for (const client of clients) {
      await settled(gw, client, 'b');
    }
    await gw.redis.commands.sAdd(key('ann'), 'a');
    await refresh(gw, 'ann');
    for (const client of clients) {
      await settled(gw, client, 'ab');
    }
  }
});

// The same for those that nobody has as the commands come.
test('commands behind it, away', async (t) => {
  const gw = await start(t, 3, { block: { recovery: '20s' } });
  await gw.redis.commands.sAdd(key('ann'), ['a', 'b']);
  const client = await gw.connect({ user: 'ann' });
  client.room = 'user:ann';

  await client.away();
  await gw.redis.commands.sAdd(key('ann'), ['c', 'd']);
  await command(gw, { op: 'leave', to: 'user:ann', rooms: ['a', 'c'] },
                { op: 'refresh', to: 'user:ann' },
                { op: 'leave', to: 'user:ann', rooms: ['b', 'd'] },
                { op: 'join', to: 'user:ann', rooms: 'e' });
  assert.equal(await client.back(), true);
  await settled(gw, client, 'ace');
  assert.deepEqual(await rooms(gw, client, ['b', 'd']), []);
});

// What a command says while the set is being read is not undone.
eachWorkers([1, 3], 'a slow Redis', async (t, workers) => {
  const gw = await start(t, workers, { proxy: true });
  await gw.redis.commands.sAdd(key('ann'), ['a', 'b', 'c']);
  const clients = await parallel(
    [['websocket'], ['polling']], 2, (transports) => (
      gw.connect({ user: 'ann', transports })));

  gw.proxy.hold('smembers');
  await gw.redis.commands.sAdd(key('ann'), 'd');
  await gw.redis.commands.sRem(key('ann'), ['b', 'c']);
  await refresh(gw, 'ann');
  await until(() => gw.proxy.seen > 0, 'the set is read');
  await command(gw, { op: 'join', to: 'user:ann', rooms: ['c', 'e'] },
                { op: 'leave', to: 'user:ann', rooms: ['a', 'd'] });
  await gw.settle(clients[0]);
  gw.proxy.release();
  for (const client of clients) {
    await settled(gw, client, 'ce');
  }

  // And what the set says in the end is true, however often it was asked for;
  // "c" still is a room from the set, which the join found there.
  gw.proxy.hold('smembers');
  await gw.redis.commands.sAdd(key('ann'), 'f');
  await refresh(gw, 'ann');
  await until(() => gw.proxy.seen > 0, 'the set is read');
  await command(gw, { op: 'leave', to: 'user:ann', rooms: 'f' });
  await gw.redis.commands.sRem(key('ann'), 'd');
  await refresh(gw, 'ann', 'ann');
  await refresh(gw, 'ann');
  await command(gw, { op: 'leave', to: 'user:ann', rooms: 'a' });
  await gw.settle(clients[0]);
  gw.proxy.release();
  for (const client of clients) {
    await settled(gw, client, 'ef');
  }
});

// What Redis cannot answer now is asked again, for sockets of every namespace,
// and what was said behind the refresh still holds then.
test('Redis is away', async (t) => {
  const gw = await start(t, 2, { proxy: true });
  await gw.redis.commands.sAdd(key('ann'), 'a');
  const clients = await parallel(['/', '/admin'], 2, async (nsp) => {
    const client = await gw.connect({ user: 'ann', url: `${gw.url}${nsp}` });
    return Object.assign(client, { nsp });
  });

  // The reply never comes; the connection is lost; there is another one.
  for (const room of ['b', 'c']) {
    await gw.redis.commands.del(key('ann'));
    await gw.redis.commands.sAdd(key('ann'), [room, 'd']);
    gw.proxy.hold('smembers');
    await command(gw, ...['/', '/admin'].flatMap((nsp) => [
      { nsp, op: 'refresh', to: 'user:ann' },
      { nsp, op: 'leave', to: 'user:ann', rooms: 'd' },
    ]));
    await gw.settle(clients[0]);
    assert.deepEqual(await rooms(gw, clients[0], [room]), []);
    gw.proxy.cut();
    gw.proxy.release();
    await until(async () => (await gw.redis.subscribers()).length > 0,
                'the feed is back');
    await gw.live();
    for (const client of clients) {
      await settled(gw, client, room);
    }
  }

  // No set at all: rooms stay as they are, and it is said.
  await gw.redis.commands.set(key('ann'), 'text', { expiration: 'KEEPTTL' });
  await refresh(gw, 'ann');
  await until(() => /room set cannot be read/.test(gw.nginx.log()),
              'a line in the log');
  for (const client of clients) {
    await settled(gw, client, 'c');
  }
});

// A set that could not be read is one by the time of the next refresh.
test('a set again', async (t) => {
  const gw = await start(t, 2, { proxy: true });
  const client = await gw.connect({ user: 'ann' });

  gw.proxy.hold('smembers');
  await gw.redis.commands.set(key('ann'), 'text');
  await refresh(gw, 'ann');
  await until(() => gw.proxy.seen > 0, 'the key is read');
  await gw.redis.commands.del(key('ann'));
  await gw.redis.commands.sAdd(key('ann'), 'a');
  await refresh(gw, 'ann');
  await gw.settle(client);
  gw.proxy.release();
  await settled(gw, client, 'a');
});

// The same as "a slow Redis", for one that is connecting.
test('commands behind it, connecting', async (t) => {
  const gw = await start(t, 1, { proxy: true });
  await gw.live();
  await gw.redis.commands.sAdd(key('ann'), ['a', 'b', 'c']);

  gw.proxy.hold('smembers');
  const client = gw.client({ user: 'ann', transports: ['websocket'] });
  await until(() => gw.proxy.seen > 0, 'the set is read');
  const witness = gw.client({ user: 'bob' });
  await gw.redis.commands.sAdd(key('ann'), 'd');
  await command(gw, { op: 'leave', to: 'user:ann', rooms: 'c' },
                { op: 'refresh', to: 'user:ann' },
                { op: 'leave', to: 'user:ann', rooms: 'b' });
  await until(async () => gw.proxy.seen > 1, 'the next set is read');
  gw.proxy.release();
  await Promise.all([client.ready(), witness.ready()]);
  await settled(gw, client, 'acd');
});

// The owner dies in between: the next one does it.
test('a worker is killed', async (t) => {
  const gw = await start(t, 3, {
    block: { recovery: '20s' },
  });
  const clients = await parallel(
    Array.from({ length: 9 }, (_, i) => i), 9, (i) => (
      gw.connect({ user: `u${i}` })));
  clients.forEach((it, i) => { it.room = `user:u${i}`; });
  const pids = gw.workersOf(clients);

  for (let i = 0; i < 9; i++) {
    await gw.redis.commands.sAdd(key(`u${i}`), ['a', 'b', 'c'][i % 3]);
  }
  // Without a standby what Redis has just published may go with the worker.
  await gw.feedPair();
  await command(gw, { op: 'refresh', all: true });
  gw.nginx.killWorker(pids[0]);

  for (const [i, client] of clients.entries()) {
    await until(() => client.socket.connected, `${client} is back`);
    await settled(gw, client, ['a', 'b', 'c'][i % 3]);
  }
});
