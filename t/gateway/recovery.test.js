'use strict';

// Connection state recovery: a client that lost its transport gets its socket
// back, with everything it missed, or a fresh one; never one with a hole.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');

const { gateway, eachWorkers } = require('./lib/gateway');
const { Stream, numbers, assertNumbers } = require('./lib/stream');
const { until } = require('./lib/expect');

const ID = /^[A-Za-z0-9_-]{20}$/;
const OFFSET = /^[A-Za-z0-9_-]{12}$/;

const start = (t, workers = 1, { block, ...options } = {}) => gateway(t, {
  workers,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { recovery: '10s', ...block },
  ...options,
});

/** The first argument of all events "e". */
const seen = (client) => client.received('e').map(([value]) => value);

/**
 * A raw client that shows what `before` would show.  `who`: its token's user
 * and rooms; `claims`: other values of pid and offset, undefined: none.
 */
async function returning(gw, before, who, claims = {}) {
  const { pid, offset } = before;
  const auth = { ...gw.auth(who), pid, offset, ...claims };
  return (await gw.rawClient({ ...who, auth })).connected();
}

/** Does that to its connections until the client, which may poll, sees it. */
async function without(client, harm) {
  await until(() => {
    harm();
    return client.disconnects.length > 0;
  }, `${client} is disconnected`);
}

/** A raw client that has got one event and is gone. */
async function gone(gw, who, value = 'before') {
  const client = await gw.rawConnect(who);
  gw.emitter.to(client.id).emit('e', value);
  await client.eventWith('e', value);
  client.close();
  return client;
}

function assertRecovered(client, before) {
  assert.deepEqual([client.id, client.pid], [before.id, before.pid]);
}

/** A new socket that works, and was told nothing from before. */
async function assertFresh(gw, client, before) {
  assert.notEqual(client.id, before.id);
  assert.notEqual(client.pid, before.pid);
  assert.match(client.packets[0], /^40\{/);
  await client.ready();
  gw.emitter.to(client.id).emit('e', 'fresh');
  await client.eventWith('e', 'fresh');
  assert.deepEqual(seen(client), ['fresh']);
  assert.equal(client.closed, false);
}

test('the packets', async (t) => {
  const gw = await start(t);

  const check = async (client) => {
    await client.ready();
    const [reply, ready] = client.packets;
    assert.equal(reply, `40{"sid":"${client.id}","pid":"${client.pid}"}`);
    assert.match(client.id, ID);
    assert.match(client.pid, ID);
    assert.notEqual(client.pid, client.id);
    assert.match(ready, /^42\["ready","[\w-]{12}"\]$/);
    client.packets.splice(0);

    const to = gw.emitter.to(client.id);
    to.emit('none');
    to.emit('some', 1, { a: [] });
    to.emit('text', 'last');
    to.emit('binary', Buffer.from('abc'));
    await client.event('binary');
    const offsets = ['none', 'some', 'text', 'binary'].map((name) => (
      client.received(name)[0].at(-1)));
    for (const offset of offsets) {
      assert.match(offset, OFFSET);
    }
    assert.equal(new Set(offsets).size, 4);
    assert.deepEqual(client.packets, [
      `42["none","${offsets[0]}"]`,
      `42["some",1,{"a":[]},"${offsets[1]}"]`,
      `42["text","last","${offsets[2]}"]`,
      `451-["binary",{"_placeholder":true,"num":0},"${offsets[3]}"]`,
      Buffer.from('abc'),
    ]);
  };

  await t.test('over WebSocket', async () => {
    await check(await gw.rawClient({ user: 'ann' }));
  });

  await t.test('over long-polling', async () => {
    await check(await gw.pollingClient({ user: 'bob' }));
  });

  await t.test('pids differ', async () => {
    const pids = new Set();
    for (let i = 0; i < 20; i++) {
      pids.add((await gw.rawConnect({ user: 'many' })).pid);
    }
    assert.equal(pids.size, 20);
  });

  await t.test('what was missed comes behind the reply', async () => {
    const who = { user: 'eve', rooms: ['r'] };
    const before = await gone(gw, who);
    const witness = await gw.rawConnect({ rooms: ['r'] });
    gw.emitter.to('r').emit('e', 1);
    gw.emitter.to('other').emit('e', 'not for it');
    gw.emitter.to('user:eve').emit('b', Buffer.from('abc'));
    gw.emitter.to(['r', 'user:eve']).except(before.id).emit('e', 'nor this');
    gw.emitter.to(['r', 'user:eve']).emit('e', 2);
    await gw.settle(witness);

    const client = await returning(gw, before, who);
    assertRecovered(client, before);
    const [reply, one, header, bytes, two, marker] = client.packets;
    assert.match(one, /^42\["e",1,"[\w-]{12}"\]$/);
    assert.match(header, /^451-\["b",\{"_placeholder":true,"num":0\},"/);
    assert.deepEqual(bytes, Buffer.from('abc'));
    assert.match(two, /^42\["e",2,"[\w-]{12}"\]$/);
    assert.match(marker, /^42\["marker"/);
    assert.equal(reply, `40{"sid":"${before.id}","pid":"${before.pid}"}`);
  });

  await t.test('an offset from before the last event', async () => {
    const who = { user: 'joe' };
    const before = await gw.rawConnect(who);
    const to = gw.emitter.to('user:joe');
    to.emit('e', 1);
    to.emit('e', 2);
    to.emit('e', 3);
    await before.eventWith('e', 3);
    before.close();
    to.emit('e', 4);

    const [, offset] = before.received('e')[0];
    const client = await returning(gw, before, who, { offset });
    assertRecovered(client, before);
    await client.eventWith('e', 4);
    assert.deepEqual(seen(client), [2, 3, 4]);
  });
});

test('volatile events carry an offset, and are not kept', async (t) => {
  const gw = await start(t);
  const who = { user: 'ann' };
  const before = await gw.rawConnect(who);

  gw.emitter.to('user:ann').volatile.emit('v', 'text');
  const [, offset] = await before.event('v');
  assert.match(offset, OFFSET);
  before.close();

  const witness = await gw.rawConnect({ user: 'witness' });
  gw.emitter.to('user:ann').emit('e', 1);
  gw.emitter.to('user:ann').volatile.emit('v', 'missed');
  gw.emitter.to('user:ann').emit('e', 2);
  await gw.settle(witness);

  const client = await returning(gw, before, who);
  assertRecovered(client, before);
  assert.deepEqual(client.order.slice(0, 3), ['e', 'e', 'marker']);
});

eachWorkers([1, 4], 'the official client', async (t, workers) => {
  const gw = await start(t, workers);
  const witness = await gw.connect({ user: 'witness' });

  const ways = [
    ['over WebSocket', {}],
    ['over long-polling', { transports: ['polling'] }],
    ['with an upgrade', { transports: ['polling', 'websocket'] }],
  ];
  for (const [name, options] of ways) {
    await t.test(`comes back ${name}`, async () => {
      const client = await gw.connect({ user: 'a', rooms: ['r'], ...options });
      const { id } = client;
      gw.emitter.to('r').emit('e', 0);
      await client.eventWith('e', 0);
      assert.deepEqual(client.recovered, [false]);

      await client.away();
      for (const room of ['r', 'user:a', id]) {
        gw.emitter.to(room).emit('e', room);
      }
      gw.emitter.to('s').emit('e', 'not for it');
      await gw.settle(witness);

      assert.equal(await client.back(), true);
      assert.equal(client.id, id);
      gw.emitter.to('r').to('user:a').to(id).emit('e', 1);
      await client.eventWith('e', 1);
      assert.deepEqual(seen(client), [0, 'r', 'user:a', id, 1]);
      client.close();
    });
  }

  await t.test('comes back by itself, five times', async () => {
    const client = await gw.connect({ user: 'b', rooms: ['r'] });
    const { id } = client;
    for (let i = 1; i <= 5; i++) {
      client.socket.io.engine.close();
      gw.emitter.to('r').emit('e', i);
      await client.connected(i + 1);
      await client.eventWith('e', i);
    }
    assert.deepEqual(client.recovered, [false, true, true, true, true, true]);
    assert.deepEqual(seen(client), [1, 2, 3, 4, 5]);
    assert.equal(client.id, id);
    client.close();
  });

  await t.test('finds its rooms as they are now', async () => {
    const client = await gw.connect({ user: 'c', rooms: ['c0', 'c1'] });
    const to = (room, value) => gw.emitter.to(room).emit('e', value);
    const c = gw.emitter.in('user:c');
    await client.away();

    to('c2', 'not yet');
    to('c1', 1);
    c.socketsJoin('c2');
    to('c2', 2);
    c.socketsLeave('c1');
    to('c1', 'no more');
    c.socketsLeave('c2');
    to('c2', 'no more');
    c.socketsJoin(['c2', 'c3']);
    to('c2', 3);
    c.socketsLeave('c2');
    to(['c0', 'c1', 'c2'], 4);
    await gw.settle(witness);

    assert.equal(await client.back(), true);
    to('c0', 5);
    to('c1', 'no more');
    to('c2', 'no more');
    to('c3', 6);
    await gw.settle(client);
    assert.deepEqual(seen(client), [1, 2, 3, 4, 5, 6]);

    // The second time nothing of that may count again.
    await client.away();
    to('c1', 'no more');
    to('c2', 'no more');
    to('c3', 7);
    assert.equal(await client.back(), true);
    await gw.settle(client);
    assert.deepEqual(seen(client), [1, 2, 3, 4, 5, 6, 7]);
    client.close();
  });

  await t.test('has seen nothing but the ready event', async () => {
    const client = await gw.connect({ user: 'd' });
    await client.away();
    gw.emitter.to('user:d').emit('e', 1);
    assert.equal(await client.back(), true);
    await client.eventWith('e', 1);
    client.close();
  });

  await t.test('is cut off', async () => {
    const front = await gw.front();
    for (const transports of [['websocket'], ['polling']]) {
      const client = await gw.connect({
        user: 'e', url: front.url, transports,
      });
      const { id } = client;
      client.stay();
      await without(client, () => front.cut());
      gw.emitter.to('user:e').emit('e', 1);
      assert.equal(await client.back(), true);
      await client.eventWith('e', 1);
      assert.equal(client.id, id);
      client.close();
    }
  });

  await t.test('is back before the server knows that it was away', async () => {
    const front = await gw.front();
    for (const transports of [['websocket'], ['polling']]) {
      const client = await gw.connect({
        user: 'f', rooms: ['f'], url: front.url, transports,
      });
      const { id } = client;
      gw.emitter.to('f').emit('e', 1);
      await client.eventWith('e', 1);

      client.stay();
      await without(client, () => front.lose());
      // These are written to a connection that nobody reads.
      gw.emitter.to('f').emit('e', 2);
      gw.emitter.to('f').emit('e', 3);
      await gw.settle(witness);

      assert.equal(await client.back(), true);
      assert.equal(client.id, id);
      gw.emitter.to('f').emit('e', 4);
      await client.eventWith('e', 4);
      assert.deepEqual(seen(client), [1, 2, 3, 4]);
      client.close();
    }
  });

  await t.test('comes back by another transport', async () => {
    const all = { websocket: ['websocket'], polling: ['polling'] };
    for (const [from, to] of [['websocket', 'polling'],
                              ['polling', 'websocket']]) {
      const client = await gw.connect({ user: 'g', transports: all[from] });
      await client.away();
      gw.emitter.to('user:g').emit('e', 1);
      client.socket.io.opts.transports = all[to];
      assert.equal(await client.back(), true);
      await client.eventWith('e', 1);
      gw.emitter.to('user:g').emit('e', 2);
      await client.eventWith('e', 2);
      assert.deepEqual(seen(client), [1, 2]);
      assert.equal(client.socket.io.engine.transport.name, to);
      client.close();
    }
  });
});

test('who has received nothing at all', async (t) => {
  const gw = await start(t, 1, { location: { socketio_ready: null } });
  const who = { user: 'ann' };
  const before = await (await gw.rawClient(who)).connected();
  assert.equal(before.offset, undefined);
  before.close();

  gw.emitter.to('user:ann').emit('e', 1);
  const client = await returning(gw, before, who);
  assertRecovered(client, before);
  await client.eventWith('e', 1);
});

test('through other workers, under a stream', async (t) => {
  const gw = await start(t, 4);
  const stream = new Stream(gw, 'r', { rate: 500 });
  const transports = [['websocket'], ['polling'], ['polling', 'websocket']];
  const clients = await Promise.all(Array.from({ length: 12 }, (_, i) => (
    gw.connect({ user: `u${i}`, rooms: ['r'], transports: transports[i % 3] })
  )));
  const ids = clients.map((client) => client.id);
  const used = clients.map(() => new Set());
  stream.start();

  const each = async (client, i) => {
    for (let round = 0; round < 5; round++) {
      const count = numbers(client).length;
      await until(() => numbers(client).length > count + 20 + 3 * i,
                  () => `${client} follows`);
      if (i % 3 === 0) {
        used[i].add(gw.workersOf([client])[0]);
      }
      await client.away();
      const missed = stream.sent + 10 * round;
      await until(() => stream.sent >= missed, 'some are missed');
      assert.equal(await client.back(), true, `${client}, round ${round}`);
    }
  };
  await Promise.all(clients.map(each));

  const last = stream.stop();
  await gw.settle(clients);
  for (const client of clients) {
    assertNumbers(client, 1, last);
  }
  assert.deepEqual(clients.map((client) => client.id), ids);
  assert.ok(used.some((workers) => workers.size > 1), 'workers change');
});

test('the log has gone on', async (t) => {
  const gw = await start(t, 1, {
    block: { zone: '2m', log: '128k' },
    location: { socketio_deflate: '200' },
  });
  const witness = await gw.rawConnect({ user: 'witness', rooms: ['busy'] });
  const busy = new Stream(gw, 'busy', { size: 1000 });
  witness.keep = false;

  const overrun = async () => {
    for (let i = 0; i < 400; i++) {
      busy.publish();
      if (i % 20 === 0) {
        await until(() => numbers(witness).length === busy.sent, 'it follows');
      }
    }
    await until(() => numbers(witness).length === busy.sent, 'it follows');
  };

  await t.test('since the client left: a fresh socket', async () => {
    const client = await gw.connect({ user: 'a', rooms: ['r'] });
    await client.away();
    gw.emitter.to('r').emit('e', 'lost');
    await overrun();
    assert.equal(await client.back(), false);
    await gw.settle(client);
    assert.deepEqual(seen(client), []);
    client.close();
  });

  await t.test('since it got its last event: no harm', async () => {
    const client = await gw.connect({ user: 'b', rooms: ['r'] });
    const { id } = client;
    gw.emitter.to('r').emit('e', 1);
    await client.eventWith('e', 1);
    await overrun();
    await client.away();
    gw.emitter.to('r').emit('e', 2);
    assert.equal(await client.back(), true);
    await client.eventWith('e', 2);
    assert.deepEqual(seen(client), [1, 2]);
    assert.equal(client.id, id);
    client.close();
  });

  await t.test('the same by long-polling', async () => {
    const client = await gw.connect({
      user: 'c', rooms: ['r'], transports: ['polling'],
    });
    await overrun();
    await client.away();
    gw.emitter.to('r').emit('e', 1);
    assert.equal(await client.back(), true);
    await client.eventWith('e', 1);
    client.close();
  });

  // What was written to a connection that is dead is missed, too.
  const offers = { 'in plain': {}, compressed: {
    headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
  } };
  for (const [how, options] of Object.entries(offers)) {
    await t.test(`between two events, ${how}: no harm`, async () => {
      const who = { user: `e ${how}`, rooms: ['r'] };
      const before = await gw.rawConnect({ ...who, ...options });
      const text = 'x'.repeat(300);
      gw.emitter.to('r').emit('e', 1, text);
      await before.eventWith('e', 1);
      const { offset } = before;
      await overrun();
      gw.emitter.to('r').emit('e', 2, text);
      await before.eventWith('e', 2);
      assert.equal(before.ws.compressed, options.headers ? 2 : 0);
      before.close();
      const client = await returning(gw, before, who, { offset });
      assertRecovered(client, before);
      await client.eventWith('e', 2);
      assert.deepEqual(seen(client), [2]);
    });
  }

  await t.test('since the offset that it names: a fresh socket', async () => {
    const who = { user: 'd', rooms: ['r'] };
    const before = await gw.rawConnect(who);
    const offsets = [];
    for (const n of [1, 2, 3]) {
      gw.emitter.to('r').emit('e', n);
      await before.eventWith('e', n);
      offsets.push(before.offset);
      await overrun();
    }
    before.close();
    const client = await returning(gw, before, who, { offset: offsets[0] });
    await assertFresh(gw, client, before);
  });
});

test('too late', async (t) => {
  const gw = await start(t, 1, { block: { recovery: '300ms' } });

  for (const transports of [['websocket'], ['polling']]) {
    await t.test(`over ${transports}`, async () => {
      const client = await gw.connect({ user: 'a', transports });
      const { id } = client;
      await client.away();
      const left = performance.now();
      gw.emitter.to('user:a').emit('e', 1);
      await until(() => performance.now() - left > 900, 'time passes');
      assert.equal(await client.back(), false);
      assert.notEqual(client.id, id);
      await gw.settle(client);
      assert.deepEqual(seen(client), []);
      client.close();
    });
  }

  await t.test('in time', async () => {
    const client = await gw.connect({ user: 'b' });
    await client.away();
    assert.equal(await client.back(), true);
  });
});

test('a gap of the feed', async (t) => {
  const gw = await start(t);
  const away = await gw.connect({ user: 'away' });
  await away.away();
  const raw = await gone(gw, { user: 'raw' });

  await gw.redis.stop('SIGKILL');
  await gw.redis.start();
  await gw.redis.subscribed(1, 15000);
  const witness = gw.client({ user: 'witness' });
  await witness.ready(1, 15000);
  await gw.settle(witness);

  await t.test('while it was away: a fresh socket', async () => {
    assert.equal(await away.back(), false);
    await gw.settle(away);
    const client = await returning(gw, raw, { user: 'raw' });
    await assertFresh(gw, client, raw);
  });

  await t.test('later ones can be recovered again', async () => {
    await away.away();
    gw.emitter.to('user:away').emit('e', 1);
    assert.equal(await away.back(), true);
    await away.eventWith('e', 1);
  });
});

test('who is put out while away', async (t) => {
  const gw = await start(t);
  const witness = await gw.connect({ user: 'witness' });

  for (const close of [false, true]) {
    for (const transports of [['websocket'], ['polling']]) {
      await t.test(`disconnectSockets(${close}), ${transports}`, async () => {
        const client = await gw.connect({
          user: 'a', rooms: ['r'], transports,
        });
        const { id } = client;
        await client.away();
        gw.emitter.to('r').emit('e', 1);
        gw.emitter.in('user:a').disconnectSockets(close);
        gw.emitter.to('r').emit('e', 2);
        await gw.settle(witness);
        assert.equal(await client.back(), false);
        assert.notEqual(client.id, id);
        gw.emitter.to(id).emit('e', 'not for it');
        await gw.settle(client);
        assert.deepEqual(seen(client), []);
        client.close();
      });
    }
  }
});

test('who has left cannot come back', async (t) => {
  const gw = await start(t);
  const who = { user: 'ann' };

  await t.test('DISCONNECT', async () => {
    const before = await gw.rawConnect(who);
    before.send('41');
    await before.ws.roundTrip();
    before.close();
    await assertFresh(gw, await returning(gw, before, who), before);
  });

  await t.test('DISCONNECT and CONNECT on one transport', async () => {
    const before = await gw.rawConnect(who);
    const { id, pid, offset } = before;
    before.send('41');
    await before.ws.roundTrip();
    before.connect({ ...gw.auth(who), pid, offset });
    await until(() => before.connects === 2, 'another reply');
    assert.notEqual(before.id, id);
    assert.notEqual(before.pid, pid);
  });

  await t.test('DISCONNECT by long-polling', async () => {
    const before = await gw.pollingConnect(who);
    await before.send('41');
    before.close();
    await assertFresh(gw, await returning(gw, before, who), before);
  });
});

// 3 bytes that name the log, 6 that count units of 64 bytes.
function moved(offset, units) {
  const bytes = Buffer.from(offset, 'base64url');
  bytes.writeUIntBE(bytes.readUIntBE(3, 6) + units, 3, 6);
  return bytes.toString('base64url');
}

test('what is not its own', async (t) => {
  const gw = await start(t, 2);
  const other = await start(t);
  const who = { user: 'ann', rooms: ['r'] };
  const random = (length) => crypto.randomBytes(length).toString('base64url')
    .slice(0, length);
  const flip = (text, i) => (
    text.slice(0, i) + (text[i] === 'A' ? 'B' : 'A') + text.slice(i + 1));

  await t.test('a token of another user', async () => {
    const before = await gone(gw, who);
    gw.emitter.to('user:ann').emit('e', 'secret');
    const client = await returning(gw, before, { user: 'bob' });
    await assertFresh(gw, client, before);
    gw.emitter.to('r').to('user:ann').to(before.id).emit('e', 'secret');
    await gw.settle(client);
    assert.deepEqual(seen(client), ['fresh']);
  });

  await t.test('a token that is refused', async () => {
    const { pid, offset } = await gone(gw, who);
    const client = await gw.rawClient({ auth: { token: 'x', pid, offset } });
    await until(() => client.packets.length > 0, 'an answer');
    assert.match(client.packets[0], /^44\{.*token_invalid/);
    assert.equal(client.packets.length, 1);
  });

  await t.test('the id that everybody knows is no pid', async () => {
    const before = await gone(gw, who);
    const client = await returning(gw, before, who, { pid: before.id });
    await assertFresh(gw, client, before);
  });

  const victim = await gone(gw, who);
  const foreign = await gone(other, who);
  const pids = [
    undefined, null, 1, true, {}, [], [victim.pid], '', 'x', '\u0000', 'é',
    random(20), random(19), random(21), 'x'.repeat(10000), foreign.pid,
    `${victim.pid}x`, victim.pid.slice(1), `${victim.pid}\u0000`,
    flip(victim.pid, 0), flip(victim.pid, 10), flip(victim.pid, 19),
  ];
  await t.test('pids', async () => {
    for (const pid of pids) {
      const client = await returning(gw, victim, who, { pid });
      await assertFresh(gw, client, victim);
      client.close();
    }
  });

  await t.test('have done no harm to the real one', async () => {
    assertRecovered(await returning(gw, victim, who), victim);
  });

  const offsets = [
    ['a number', () => 12],
    ['an object', () => ({})], ['an array', (it) => [it]],
    ['nothing', () => ''], ['short', (it) => it.slice(1)],
    ['long', (it) => `${it}A`], ['very long', () => 'A'.repeat(100000)],
    ['no base64', () => '!!!!!!!!!!!!'], ['NUL', (it) => `${it}\u0000`],
    ['zeroes', () => 'AAAAAAAAAAAA'], ['ones', () => '____________'],
    ['random', () => random(12)], ['another log', (it) => flip(it, 0)],
    ['of another gateway', () => foreign.offset],
    ['in the middle of a record', (it) => moved(it, -1)],
    ['near the begin of a record', (it) => moved(it, -100)],
    ['beyond the head', (it) => moved(it, 1000)],
    ['far beyond the head', (it) => moved(it, 2 ** 40)],
  ];
  for (const [name, make] of offsets) {
    await t.test(`an offset: ${name}`, async () => {
      const before = await gone(gw, who, 'x'.repeat(10000));
      const offset = make(before.offset);
      const client = await returning(gw, before, who, { offset });
      await assertFresh(gw, client, before);
      client.close();
    });
  }
});

test('who names no offset', async (t) => {
  const gw = await start(t);
  const who = { user: 'ann' };

  await t.test('gets all since its CONNECT, or a fresh socket', async () => {
    const before = await gone(gw, who, 1);
    gw.emitter.to('user:ann').emit('e', 2);
    const client = await returning(gw, before, who, { offset: undefined });
    if (client.id !== before.id) {
      await assertFresh(gw, client, before);
      return;
    }
    await client.eventWith('e', 2);
    assert.deepEqual(seen(client), [1, 2]);
  });
});

// What is handed out once more moves no position: a client that has got it, but
// not the ready event behind it, does not get it for a third time.
test('gone between what was missed and ready', async (t) => {
  const gw = await start(t);
  const who = { user: 'ann' };
  const witness = await gw.rawConnect({ user: 'witness' });
  const client = await gw.rawConnect(who);
  for (const value of [1, 2, 3, 4]) {
    gw.emitter.to(client.id).emit('e', value);
  }
  await client.eventWith('e', 4);
  client.close();
  const [first, , , last] = client.received('e').map((args) => args.at(-1));
  gw.emitter.to(witness.id).emit('e', 'for another');
  await witness.eventWith('e', 'for another');

  const again = await returning(gw, client, who, { offset: first });
  assertRecovered(again, client);
  await again.ready();
  assert.deepEqual(seen(again), [2, 3, 4]);
  assert.notEqual(again.offset, last);
  again.close();

  const third = await returning(gw, client, who, { offset: last });
  assertRecovered(third, client);
  await third.ready();
  gw.emitter.to(client.id).emit('e', 5);
  await third.eventWith('e', 5);
  assert.deepEqual(seen(third), [5]);
});

eachWorkers([1, 4], 'one pid, several clients', async (t, workers) => {
  const gw = await start(t, workers);
  const who = { user: 'ann', rooms: ['r'] };

  const holders = async (clients, id) => {
    const at = `e${Math.random()}`;
    const witness = await gw.rawConnect({ user: 'witness' });
    gw.emitter.to(id).emit('e', at);
    await gw.settle(witness, clients.filter((client) => !client.closed));
    return clients.filter((client) => seen(client).includes(at)).length;
  };

  await t.test('one after the other', async () => {
    const before = await gone(gw, who);
    const first = await returning(gw, before, who);
    assertRecovered(first, before);
    const second = await returning(gw, before, who);
    if (second.id === before.id) {
      await until(() => first.closed, 'the first one is closed');
    }
    assert.equal(await holders([first, second], before.id), 1);
  });

  await t.test('at the same time', async () => {
    for (let i = 0; i < 10; i++) {
      const before = await gone(gw, who);
      const clients = await Promise.all(Array.from({ length: 5 }, () => (
        returning(gw, before, who).catch(() => null))));
      const alive = clients.filter(Boolean);
      await until(() => alive.filter((client) => (
        client.id === before.id && !client.closed)).length === 1,
                  'one of them has it');
      assert.equal(await holders(alive, before.id), 1);
      alive.forEach((client) => client.close());
    }
  });

  await t.test('the old transport is closed', async () => {
    const before = await gw.rawConnect(who);
    assertRecovered(await returning(gw, before, who), before);
    await until(() => before.closed, 'it is closed');
  });

  await t.test('the old session by long-polling is closed', async () => {
    const before = await gw.polled(who);
    gw.emitter.to(before.id).emit('e', 1);
    assert.match(await before.next(), /^42\["e",1/);
    // Polled by hand: what a client would know has to be taken from it.
    const client = await gw.pollingConnect(who);
    client.close();
    assertRecovered(await returning(gw, client, who), client);
    await until(async () => !await client.session.alive(), 'it is gone');
    assert.equal(await before.alive(), true);
  });
});

test('recovery off', async (t) => {
  const gw = await gateway(t);
  const on = await start(t);
  const who = { user: 'ann' };
  const before = await gone(on, who);

  const client = await gw.rawConnect(who);
  assert.deepEqual(client.packets, [`40{"sid":"${client.id}"}`, '42["ready"]']);
  gw.emitter.to('user:ann').emit('e', 1);
  await client.eventWith('e', 1);
  assert.equal(client.packets[2], '42["e",1]');

  const second = await returning(gw, before, who);
  assert.deepEqual(second.packets.slice(0, 1), [`40{"sid":"${second.id}"}`]);

  const official = await gw.connect({ user: 'bob' });
  await official.away();
  assert.equal(await official.back(), false);
});
