'use strict';

// What the backend publishes and who gets it: every downstream event of a
// chat product, every kind of payload, every way to address sockets.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { broadcast, encode, Float } = require('./lib/msgpack');
const { until } = require('./lib/expect');

// Who is where.  Server 1 has the channels c1 (for all) and c2 (private).
const PEOPLE = {
  ann: ['server:1', 'channel:c1', 'channel:c2'],
  bob: ['server:1', 'channel:c1'],
  cid: ['server:1', 'server:2', 'channel:c1', 'channel:c9'],
  dan: ['server:2', 'channel:c9'],
  eve: [],
};

// Event, the rooms it goes to, who is to get it.
const WALK = [
  ['MESSAGE_CREATE', ['channel:c1'], ['ann', 'bob', 'cid']],
  ['MESSAGE_CREATE', ['channel:c2'], ['ann']],
  ['MESSAGE_CREATE', ['channel:c9'], ['cid', 'dan']],
  ['MESSAGE_UPDATE', ['channel:c1'], ['ann', 'bob', 'cid']],
  ['MESSAGE_REACTION_ADD', ['channel:c1'], ['ann', 'bob', 'cid']],
  ['MESSAGE_REACTION_REMOVE', ['channel:c2'], ['ann']],
  ['MESSAGE_CREATE', ['user:ann', 'user:dan'], ['ann', 'dan']],
  ['MESSAGE_UPDATE', ['user:ann', 'user:dan'], ['ann', 'dan']],
  ['MESSAGE_REACTION_ADD', ['user:dan', 'user:ann'], ['ann', 'dan']],
  ['MESSAGE_REACTION_REMOVE', ['user:ann', 'user:dan'], ['ann', 'dan']],
  ['CHANNEL_UPDATE', ['server:1'], ['ann', 'bob', 'cid']],
  ['CHANNEL_DELETE', ['server:1'], ['ann', 'bob', 'cid']],
  ['CATEGORY_UPDATE', ['server:1'], ['ann', 'bob', 'cid']],
  ['CATEGORY_DELETE', ['server:2'], ['cid', 'dan']],
  ['SERVER_UPDATE', ['server:1'], ['ann', 'bob', 'cid']],
  ['SERVER_DELETE', ['server:2'], ['cid', 'dan']],
  ['MEMBER_JOIN', ['server:1'], ['ann', 'bob', 'cid']],
  ['MEMBER_LEAVE', ['server:1'], ['ann', 'bob', 'cid']],
  ['PERMISSIONS_UPDATE', ['server:1'], ['ann', 'bob', 'cid']],
  ['DM_CHANNEL_CREATE', ['user:eve'], ['eve']],
  ['SERVER_KICK', ['user:bob'], ['bob']],
];

/** One client per person, ann with two; some rooms by claim, some by set. */
async function chat(gw) {
  const clients = [];
  const join = async (user) => {
    const rooms = PEOPLE[user];
    const [claimed, stored] = [rooms.slice(0, 1), rooms.slice(1)];
    if (stored.length > 0) {
      await gw.redis.commands.sAdd(`mew:rooms:${user}`, stored);
    }
    clients.push(await gw.connect({ user, rooms: claimed }));
  };

  for (const user of Object.keys(PEOPLE)) {
    await join(user);
  }
  await join('ann');
  return clients;
}

eachWorkers([1, 3], 'every event of the chat product', async (t, workers) => {
  const gw = await gateway(t, { workers, listen: 'reuseport' });
  const clients = await chat(gw);
  const sent = [];

  for (const [i, [event, rooms, users]] of WALK.entries()) {
    const payload = {
      id: `7${i}00000000000000${i}`, n: i,
      author: { id: 'u1', name: 'Zo\u00eb' },
      content: 'Hello \u4e16\u754c \u{1f389} "quoted" \\ \n', tags: [], at: 1.5,
    };
    gw.emitter.to(rooms).emit(event, payload);
    sent.push({ event, payload, users });
  }
  await gw.settle(clients);

  for (const client of clients) {
    const mine = sent.filter(({ users }) => users.includes(client.name));
    assert.deepEqual(client.order,
                     ['ready', ...mine.map((m) => m.event), 'marker'],
                     `${client} got the right events in the right order`);
    for (const event of new Set(mine.map((m) => m.event))) {
      assert.deepEqual(
        client.received(event),
        mine.filter((m) => m.event === event).map((m) => [m.payload]),
        `${client} got the payloads of ${event} as they were sent`);
    }
  }
});

eachWorkers([1, 3], 'a kick', async (t, workers) => {
  const gw = await gateway(t, { workers, listen: 'reuseport' });
  const clients = await chat(gw);
  const bob = clients.find((c) => c.name === 'bob');

  gw.emitter.to('user:bob').emit('SERVER_KICK', { serverId: '1' });
  gw.emitter.in('user:bob').socketsLeave(['server:1', 'channel:c1']);
  gw.emitter.to('server:1').emit('MEMBER_LEAVE', { userId: 'bob' });
  gw.emitter.to('channel:c1').emit('MESSAGE_CREATE', { content: 'gone' });
  await gw.settle(clients);

  assert.deepEqual(bob.order, ['ready', 'SERVER_KICK', 'marker']);
  for (const client of clients.filter((c) => ['ann', 'cid'].includes(c.name))) {
    assert.deepEqual(client.order,
                     ['ready', 'MEMBER_LEAVE', 'MESSAGE_CREATE', 'marker']);
  }
});

test('payloads', async (t) => {
  const gw = await gateway(t);
  const client = await gw.connect({ user: 'ann' });
  const raw = await gw.rawConnect({ user: 'bob' });
  const nested = (depth) => (depth ? { in: [nested(depth - 1)] } : 'bottom');

  const payloads = {
    'no argument': [],
    'many arguments': Array.from({ length: 50 }, (_, i) => i),
    strings: ['', 'a', 'x'.repeat(31), 'x'.repeat(32), 'x'.repeat(255),
              'x'.repeat(256), 'x'.repeat(65535), 'x'.repeat(65536)],
    unicode: ['\u00e9', '\u4e16\u754c', '\u{1f468}\u200d\u{1f469}',
              '\u2028\u2029', '\ufeff', '\uffff', '\u{10ffff}'],
    escapes: ['"', '\\', '/', '\b\f\n\r\t', '\u0000', '\u0001\u001f', '\u007f',
              '</script>'],
    integers: [0, 1, -1, 127, 128, -32, -33, 255, 256, -128, -129, 65535, 65536,
               2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1)],
    floats: [0.5, -0.5, 0.1, 1e-7, 5e-324, 123456789.125, 3.141592653589793,
             2 / 3],
    constants: [true, false, null],
    empty: [{}, [], '', [[]], { a: {} }, [{}]],
    'key order': [{ z: 1, a: 2, 10: 3, 9: 4, m: 5 }],
    'odd keys': [{ '': 1, '"': 2, 'a b': 3, '\u00fc': 4, __proto: 5 }],
    'look like binary': [{ _placeholder: true, num: 0 }],
    'nested deep': [nested(30)],
    'half a megabyte': [{ text: 'x'.repeat(500000), list: [1, 2, 3] }],
    'half a megabyte of escapes': ['"\n'.repeat(125000)],
    'many keys': [Object.fromEntries(
      Array.from({ length: 5000 }, (_, i) => [`key${i}`, i]))],
  };

  for (const [name, args] of Object.entries(payloads)) {
    await t.test(name, async () => {
      raw.packets.splice(0);
      gw.emitter.emit(name, ...args);
      assert.deepEqual(await client.event(name), args);
      await raw.event(name);
      assert.equal(raw.packets[0].slice(0, 2), '42');
      // As text, since key order is to be kept too.
      assert.equal(JSON.stringify(JSON.parse(raw.packets[0].slice(2))),
                   JSON.stringify([name, ...args]));
    });
  }

  await t.test('dates, undefined, not a number', async () => {
    const date = new Date('2023-11-14T22:13:20.123Z');
    gw.emitter.emit('odd', date, undefined, NaN, Infinity, { a: undefined });
    assert.deepEqual(await client.event('odd'),
                     [date.toISOString(), null, null, null, {}]);
  });

  await t.test('an event named by a number', async () => {
    gw.redis.commands.publish('socket.io#/#', broadcast(7, 'x'));
    await gw.settle(raw);
    assert.ok(raw.packets.includes('42[7,"x"]'), String(raw.packets));
  });

  const texts = [
    [9007199254740993n, '9007199254740993'],
    [18446744073709551615n, '18446744073709551615'],
    [9223372036854775807n, '9223372036854775807'],
    [-9223372036854775808n, '-9223372036854775808'],
    [-1n, '-1'],
    [0n, '0'],
  ];

  for (const [value, json] of texts) {
    await t.test(`${value}, digit by digit`, async () => {
      raw.packets.splice(0);
      gw.redis.commands.publish('socket.io#/#', broadcast('int', { value }));
      await gw.settle(raw);
      assert.equal(raw.packets[0], `42["int",{"value":${json}}]`);
    });
  }

  await t.test('floats that are whole or of single precision', async () => {
    // The emitter itself sends whole numbers as integers, even 1e21.
    const values = [3, -3, 1e15, 1e21, 1e300, Number.MAX_VALUE];
    gw.redis.commands.publish('socket.io#/#', broadcast(
      'float', new Float(0.5, true), ...values.map((v) => new Float(v))));
    assert.deepEqual(await client.event('float'), [0.5, ...values]);
  });
});

test('binary payloads', async (t) => {
  const gw = await gateway(t);
  const client = await gw.connect({ user: 'ann' });
  const raw = await gw.rawConnect({ user: 'bob' });

  await t.test('one buffer, on the wire', async () => {
    raw.packets.splice(0);
    gw.emitter.emit('b', Buffer.from([1, 2, 3, 4]));
    await gw.settle(raw);
    assert.deepEqual(raw.packets.slice(0, 2), [
      '451-["b",{"_placeholder":true,"num":0}]', Buffer.from([1, 2, 3, 4])]);
  });

  await t.test('several, nested, numbered in order', async () => {
    raw.packets.splice(0);
    const args = [Buffer.from('a'), { x: [Buffer.from('b'), 1], y: 'text' },
                  Buffer.alloc(0), { z: Buffer.from('c') }];
    gw.emitter.emit('several', ...args);
    assert.deepEqual(await client.event('several'), args);
    await gw.settle(raw);
    const place = (num) => ({ _placeholder: true, num });
    assert.ok(raw.packets[0].startsWith('454-'), raw.packets[0]);
    assert.deepEqual(JSON.parse(raw.packets[0].slice(4)), [
      'several', place(0), { x: [place(1), 1], y: 'text' }, place(2),
      { z: place(3) }]);
    assert.deepEqual(raw.packets.slice(1, 5).map(String), ['a', 'b', '', 'c']);
  });

  for (const size of [0, 125, 126, 65535, 65536, 300000]) {
    await t.test(`a buffer of ${size} bytes`, async () => {
      const bytes = Buffer.alloc(size, 'z');
      gw.emitter.emit(`b${size}`, bytes, size);
      assert.deepEqual(await client.event(`b${size}`), [bytes, size]);
    });
  }

  await t.test('between texts the order holds', async () => {
    const first = client.order.length;
    for (let i = 0; i < 200; i++) {
      gw.emitter.emit(`o${i}`, i % 2 ? Buffer.from([i]) : i);
    }
    await gw.settle(client);
    assert.deepEqual(client.order.slice(first).filter((e) => e !== 'marker'),
                     Array.from({ length: 200 }, (_, i) => `o${i}`));
  });
});

eachWorkers([1, 3], 'volatile events', async (t, workers) => {
  const gw = await gateway(t, { workers, listen: 'reuseport' });
  const clients = await chat(gw);

  for (let i = 0; i < 20; i++) {
    gw.emitter.volatile.to('server:1').emit('TYPING', i);
    await gw.settle(clients);
  }
  for (const client of clients) {
    const expected = ['ann', 'bob', 'cid'].includes(client.name)
      ? Array.from({ length: 20 }, (_, i) => [i]) : [];
    assert.deepEqual(client.received('TYPING'), expected);
  }
});

eachWorkers([1, 3], 'disconnectSockets', async (t, workers) => {
  const gw = await gateway(t, { workers, listen: 'reuseport' });
  const clients = await chat(gw);
  const [ann, bob, cid, dan, eve, ann2] = clients;

  await t.test('from the namespace: the client stays away', async () => {
    gw.emitter.in('user:ann').disconnectSockets();
    for (const client of [ann, ann2]) {
      assert.equal(await client.disconnect(), 'io server disconnect');
    }
    gw.emitter.to(['server:1', 'user:ann']).emit('later');
    await gw.settle(bob, cid, dan, eve);
    assert.deepEqual([bob, cid, dan, ann, ann2].map(
      (c) => c.received('later').length), [1, 1, 0, 0, 0]);
    assert.equal(ann.connects, 1);
  });

  await t.test('with its connection', async () => {
    gw.emitter.in('channel:c1').except('user:cid').disconnectSockets(true);
    assert.equal(await bob.disconnect(), 'io server disconnect');
    await until(() => !bob.socket.io.engine
                || bob.socket.io.engine.readyState === 'closed',
                'the connection is closed');
    await gw.settle(cid, dan, eve);
    assert.deepEqual(cid.disconnects, []);
  });

  await t.test('one socket by its id', async () => {
    gw.emitter.in(dan.id).disconnectSockets(true);
    assert.equal(await dan.disconnect(), 'io server disconnect');
    await gw.settle(cid, eve);
  });

  await t.test('who was disconnected may come back', async () => {
    dan.socket.connect();
    await dan.ready(2);
    gw.emitter.to('server:2').emit('welcome');
    await gw.settle(dan);
    assert.equal(dan.received('welcome').length, 1);
  });

  await t.test('everybody', async () => {
    gw.emitter.disconnectSockets(true);
    for (const client of [cid, eve]) {
      await client.disconnect();
    }
    assert.equal(await dan.disconnect(2), 'io server disconnect');
  });
});

test('prefixes and namespaces keep apart', async (t) => {
  const gw = await gateway(t, { block: { redis_prefix: 'app.1' } });
  const client = await gw.client({ user: 'ann' }).ready();
  const other = gw.redis.emitterWith({ key: 'app' });
  const mine = gw.redis.emitterWith({ key: 'app.1' });

  gw.emitter.emit('of the default prefix');
  other.emit('of another prefix');
  mine.of('/admin').emit('of another namespace');
  mine.serverSideEmit('for servers only');
  mine.to(client.id).emit('mine');
  mine.emit('marker', 'last');
  await client.eventWith('marker', 'last');
  assert.deepEqual(client.order, ['ready', 'mine', 'marker']);
});

test('broken messages hurt nobody', async (t) => {
  const gw = await gateway(t);
  const client = await gw.connect({ user: 'ann', rooms: ['r'] });
  const whole = broadcast('bad');
  const packet = { type: 2, data: ['bad'], nsp: '/' };
  const requests = 'socket.io-request#/#';

  const broken = [
    ['empty', 'socket.io#/#', ''],
    ['text', 'socket.io#/#', 'nonsense'],
    ['JSON', 'socket.io#/#', '{"a":1}'],
    ['nil', 'socket.io#/#', Buffer.from([0xc0])],
    ['a number', 'socket.io#/#', Buffer.from([5])],
    ['half a message', 'socket.io#/#', whole.subarray(0, whole.length / 2)],
    ['more behind it', 'socket.io#/#', Buffer.concat([whole, whole])],
    ['an empty array', 'socket.io#/#', encode([])],
    ['no packet', 'socket.io#/#', encode(['emitter'])],
    ['packet nil', 'socket.io#/#', encode(['emitter', null, {}])],
    ['no data', 'socket.io#/#', encode(['emitter', { type: 2, nsp: '/' }, {}])],
    ['data a map', 'socket.io#/#',
      encode(['emitter', { type: 2, data: {}, nsp: '/' }, {}])],
    ['data empty', 'socket.io#/#',
      encode(['emitter', { type: 2, data: [], nsp: '/' }, {}])],
    ['rooms a string', 'socket.io#/#r#',
      encode(['emitter', packet, { rooms: 'r' }])],
    ['rooms of numbers', 'socket.io#/#',
      encode(['emitter', packet, { rooms: [{}] }])],
    ['an array of four thousand million', 'socket.io#/#',
      Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['arrays in arrays', 'socket.io#/#', Buffer.alloc(100000, 0x91)],
    ['200 kB of noise', 'socket.io#/#', Buffer.alloc(200000, 0xa5)],
    ['a request of noise', requests, 'nonsense'],
    ['a request of nil', requests, Buffer.from([0xc0])],
    ['a request without type', requests, '{}'],
    ['a request of a type unknown', requests, '{"type":77}'],
    ['a join without opts', requests, '{"type":2}'],
    ['a join without rooms', requests,
      '{"type":2,"opts":{"rooms":["r"],"except":[]}}'],
    ['a join with numbers', requests,
      '{"type":2,"opts":{"rooms":[1],"except":[]},"rooms":[{}]}'],
    ['a disconnect without opts', requests, '{"type":4}'],
    ['a response', 'socket.io-response#/#', '{"requestId":"x"}'],
  ];

  for (const [name, channel, message] of broken) {
    await t.test(name, async () => {
      await gw.redis.commands.publish(channel, message);
      await gw.settle(client);
      assert.deepEqual(client.received('bad'), []);
    });
  }

  await t.test('and nobody was disconnected', async () => {
    assert.deepEqual(client.disconnects, []);
    gw.emitter.to('r').emit('good');
    await client.event('good');
  });
});

test('a packet over a quarter of the log is refused', async (t) => {
  const gw = await gateway(t, { block: { zone: '4m', log: '1m' } });
  const client = await gw.connect({ user: 'ann' });

  gw.emitter.emit('large', 'x'.repeat(200000));
  gw.emitter.emit('too large', 'x'.repeat(300000));
  gw.emitter.emit('after it');
  await gw.settle(client);
  assert.deepEqual(client.order, ['ready', 'large', 'after it', 'marker']);
  assert.equal(gw.nginx.log(/\[error\]/).length, 1);
});
