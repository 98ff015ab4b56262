'use strict';

// Which rooms a socket is in: from its id, its user, the token, the set in
// Redis, and the commands of the backend; also while it is still connecting.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { until } = require('./lib/expect');
const { sign } = require('./lib/token');

/** Publishes one event to each room; which of them the client got. */
async function roomsOf(gw, client, rooms) {
  const event = `probe ${++probes}`;
  for (const room of rooms) {
    gw.emitter.to(room).emit(event, room);
  }
  await gw.settle(client);
  return client.received(event).map(([room]) => room);
}
let probes = 0;

eachWorkers([1, 3], 'where rooms come from', async (t, workers) => {
  const gw = await gateway(t, { workers, listen: 'reuseport' });
  await gw.redis.commands.sAdd('mew:rooms:ann', ['stored', 'both', '12']);

  const ann = await gw.connect({ user: 'ann', rooms: ['claimed', 'both', 7] });
  const bob = await gw.connect({ user: 'bob' });
  const all = [ann.id, 'user:ann', 'claimed', '7', 'stored', '12', 'both'];

  assert.deepEqual(await roomsOf(gw, ann, all), all);
  assert.deepEqual(await roomsOf(gw, bob, all), []);
  assert.deepEqual(await roomsOf(gw, bob, [bob.id, 'user:bob']),
                   [bob.id, 'user:bob']);
});

test('room names', async (t) => {
  const gw = await gateway(t);
  const names = [
    'a', ' ', 'a b', 'a#b', '#', '##', 'a*b?[c]', 'user:$socketio_user', '/',
    'Z\u00fcrich', '\u4e16\u754c', '\u{1f389}', '"quoted"', 'x'.repeat(52),
    'x'.repeat(53), 'y'.repeat(300), 'z'.repeat(512), '0', '-1',
  ];

  await t.test('in the token', async () => {
    const client = await gw.connect({ user: 'ann', rooms: names });
    assert.deepEqual(await roomsOf(gw, client, names), names);
    assert.deepEqual(await roomsOf(gw, client, ['', 'b', 'A', 'a ', 'y']), []);
  });

  await t.test('in the set', async () => {
    await gw.redis.commands.sAdd('mew:rooms:bob', names);
    const client = await gw.connect({ user: 'bob' });
    assert.deepEqual(await roomsOf(gw, client, names), names);
  });

  await t.test('in commands', async () => {
    const client = await gw.connect({ user: 'cid' });
    gw.emitter.in('user:cid').socketsJoin(names);
    assert.deepEqual(await roomsOf(gw, client, names), names);
    gw.emitter.in('user:cid').socketsLeave(names.slice(1));
    assert.deepEqual(await roomsOf(gw, client, names), ['a']);
  });

  await t.test('a thousand of them', async () => {
    const many = Array.from({ length: 1000 }, (_, i) => `room ${i}`);
    await gw.redis.commands.sAdd('mew:rooms:dan', many);
    const client = await gw.connect({ user: 'dan' });
    assert.deepEqual(await roomsOf(gw, client, many), many);
  });

  await t.test('none at all', async () => {
    for (const claims of [{}, { rooms: [] }, { rooms: null }]) {
      const client = await gw.connect(
        { auth: { token: sign({ id: 'eve', ...claims }) } });
      assert.deepEqual(await roomsOf(gw, client, ['user:eve', 'a']),
                       ['user:eve']);
    }
  });
});

test('other directives for rooms', async (t) => {
  const gw = await gateway(t, {
    locations: {
      '/keys/': {
        socketio_rooms: ['redis=first:$socketio_claim_org:$socketio_user',
                         'redis=second:${socketio_user}', 'claim=a', 'claim=b'],
      },
      '/no-user-room/': { socketio_user_room: 'off' },
      '/default/': { socketio_user_room: null, socketio_rooms: null },
    },
  });
  await gw.redis.commands.sAdd('first:acme:ann', 'of the first key');
  await gw.redis.commands.sAdd('second:ann', 'of the second key');
  await gw.redis.commands.sAdd('mew:rooms:ann', 'of no key');
  const auth = gw.auth({
    user: 'ann', org: 'acme', a: ['of claim a'], b: 'of claim b',
    rooms: ['of claim rooms'],
  });
  const all = ['of the first key', 'of the second key', 'of no key',
               'of claim a', 'of claim b', 'of claim rooms', 'ann', 'user:ann'];

  const rows = [
    ['/keys/', ['of the first key', 'of the second key', 'of claim a',
                'of claim b', 'user:ann']],
    ['/no-user-room/', ['of no key', 'of claim rooms']],
    ['/default/', ['ann']],
  ];
  for (const [path, rooms] of rows) {
    await t.test(path, async () => {
      const client = await gw.connect({ auth, path });
      assert.deepEqual(await roomsOf(gw, client, all), rooms);
    });
  }
});

eachWorkers([1, 3], 'addressing', async (t, workers) => {
  const gw = await gateway(t, { workers, listen: 'reuseport' });
  const ann = await gw.connect({ user: 'ann', rooms: ['a', 'ab', 'abc'] });
  const bob = await gw.connect({ user: 'bob', rooms: ['b', 'ab', 'abc'] });
  const cid = await gw.connect({ user: 'cid', rooms: ['c', 'abc'] });
  const everybody = [ann, bob, cid];
  const to = (...rooms) => gw.emitter.to(rooms);

  const rows = [
    // name, how it is addressed, who gets it
    ['everybody', gw.emitter, [ann, bob, cid]],
    ['one room', to('ab'), [ann, bob]],
    ['a room of one', to('c'), [cid]],
    ['a room of nobody', to('nobody'), []],
    ['one of two rooms', to('a', 'nobody'), [ann]],
    ['two rooms', to('a', 'c'), [ann, cid]],
    ['rooms that overlap: once', to('a', 'ab', 'abc'), [ann, bob, cid]],
    ['the same room twice: once', to('ab', 'ab'), [ann, bob]],
    ['chained rooms', gw.emitter.to('a').to('b'), [ann, bob]],
    ['an id', to(bob.id), [bob]],
    ['a user', to('user:cid'), [cid]],
    ['everybody but a room', gw.emitter.except('ab'), [cid]],
    ['everybody but an id', gw.emitter.except(ann.id), [bob, cid]],
    ['everybody but a user', gw.emitter.except('user:bob'), [ann, cid]],
    ['a room but another', to('abc').except('ab'), [cid]],
    ['a room but two others', to('abc').except(['a', 'c']), [bob]],
    ['a room but itself', to('abc').except('abc'), []],
    ['rooms but a user', to('a', 'b').except('user:ann'), [bob]],
    ['a room but a room of nobody', to('ab').except('nobody'), [ann, bob]],
  ];

  for (const [i, [name, address, users]] of rows.entries()) {
    await t.test(name, async () => {
      address.emit(`row ${i}`);
      await gw.settle(everybody);
      assert.deepEqual(
        everybody.map((client) => client.received(`row ${i}`).length),
        everybody.map((client) => (users.includes(client) ? 1 : 0)));
    });
  }
});

eachWorkers([1, 3], 'joins and leaves', async (t, workers) => {
  const gw = await gateway(t, { workers, listen: 'reuseport' });
  const ann = await gw.connect({ user: 'ann', rooms: ['r', 'kept'] });
  const ann2 = await gw.connect({ user: 'ann', rooms: ['r'] });
  const bob = await gw.connect({ user: 'bob', rooms: ['r'] });
  const everybody = [ann, ann2, bob];

  /** How many of the last probe each got. */
  const members = async (room) => {
    const event = `probe ${++probes}`;
    gw.emitter.to(room).emit(event);
    await gw.settle(everybody);
    return everybody.map((c) => c.received(event).length);
  };

  await t.test('by user', async () => {
    gw.emitter.in('user:ann').socketsJoin('new');
    assert.deepEqual(await members('new'), [1, 1, 0]);
    gw.emitter.in('user:ann').socketsLeave('new');
    assert.deepEqual(await members('new'), [0, 0, 0]);
  });

  await t.test('by id', async () => {
    gw.emitter.in(ann2.id).socketsJoin(['x', 'y']);
    assert.deepEqual(await members('x'), [0, 1, 0]);
    assert.deepEqual(await members('y'), [0, 1, 0]);
  });

  await t.test('by room, without others', async () => {
    gw.emitter.in('r').except('kept').socketsJoin('z');
    assert.deepEqual(await members('z'), [0, 1, 1]);
  });

  await t.test('everybody', async () => {
    gw.emitter.socketsJoin('w');
    assert.deepEqual(await members('w'), [1, 1, 1]);
    gw.emitter.socketsLeave('w');
    assert.deepEqual(await members('w'), [0, 0, 0]);
  });

  await t.test('twice is like once', async () => {
    gw.emitter.in('user:bob').socketsJoin(['v', 'v']);
    gw.emitter.in('user:bob').socketsJoin('v');
    assert.deepEqual(await members('v'), [0, 0, 1]);
    gw.emitter.in('user:bob').socketsLeave('v');
    assert.deepEqual(await members('v'), [0, 0, 0]);
    gw.emitter.in('user:bob').socketsLeave(['v', 'never joined']);
    assert.deepEqual(await members('r'), [1, 1, 1]);
  });

  await t.test('the own id is a room like others', async () => {
    gw.emitter.in('user:bob').socketsJoin(ann.id);
    assert.deepEqual(await members(ann.id), [1, 0, 1]);
  });

  await t.test('in order with events', async () => {
    for (let i = 0; i < 100; i++) {
      gw.emitter.in('user:bob').socketsJoin('flip');
      gw.emitter.to('flip').emit('in', i);
      gw.emitter.in('user:bob').socketsLeave('flip');
      gw.emitter.to('flip').emit('out', i);
    }
    await gw.settle(bob);
    assert.deepEqual(bob.received('in').map(([i]) => i),
                     Array.from({ length: 100 }, (_, i) => i));
    assert.deepEqual(bob.received('out'), []);
  });

  await t.test('a new connection has the rooms of the set', async () => {
    await gw.redis.commands.sAdd('mew:rooms:bob', 'stored');
    gw.emitter.in('user:bob').socketsJoin(['stored', 'only joined']);
    await gw.settle(bob);
    bob.socket.disconnect().connect();
    await bob.ready(2);
    assert.deepEqual(await members('stored'), [0, 0, 1]);
    assert.deepEqual(await members('only joined'), [0, 0, 0]);
  });
});

test('while the set is being read', async (t) => {
  const gw = await gateway(t, { proxy: true });
  await gw.live();

  /** A client whose set was read, with the answer on its way for now. */
  const held = async (user) => {
    gw.proxy.hold('SMEMBERS');
    const client = await gw.rawClient({ user, rooms: ['claimed'] });
    await until(() => gw.proxy.seen > 0, 'SMEMBERS is sent');
    return client;
  };
  const witness = await gw.rawConnect({ user: 'witness' });

  await t.test('joins and leaves count in their order', async () => {
    const redis = gw.redis.commands;
    await redis.sAdd('mew:rooms:ann', ['kept', 'left', 'left and joined']);
    const client = await held('ann');
    const ann = gw.emitter.in('user:ann');

    await redis.sRem('mew:rooms:ann', ['left']);
    ann.socketsLeave('left');
    ann.socketsLeave('left and joined');
    ann.socketsJoin('left and joined');
    await redis.sAdd('mew:rooms:ann', ['joined']);
    ann.socketsJoin('joined');
    ann.socketsJoin('joined and left');
    ann.socketsLeave('joined and left');
    ann.socketsLeave('claimed');
    for (const room of ['kept', 'joined', 'user:ann']) {
      gw.emitter.to(room).emit('too early');
    }
    gw.emitter.emit('too early');
    await gw.settle(witness);
    gw.proxy.release();
    await client.ready();

    assert.deepEqual(await roomsOf(gw, client, [
      'kept', 'left', 'left and joined', 'joined', 'joined and left', 'claimed',
      'user:ann', client.id,
    ]), ['kept', 'left and joined', 'joined', 'user:ann', client.id]);
    assert.deepEqual(client.received('too early'), []);
    assert.match(client.packets[0], /^40/);
    assert.equal(client.packets[1], '42["ready"]');
  });

  await t.test('a disconnect is not forgotten', async () => {
    const client = await held('bob');
    gw.emitter.in('user:bob').disconnectSockets(true);
    await gw.settle(witness);
    gw.proxy.release();
    await until(() => client.closed, 'the client is closed');
  });

  await t.test('a client that goes away meanwhile', async () => {
    const client = await held('cid');
    client.close();
    await gw.settle(witness);
    gw.proxy.release();
    await gw.settle(witness);
  });

  await t.test('DISCONNECT meanwhile', async () => {
    const client = await held('dan');
    client.ws.text('41');
    await client.ws.roundTrip();
    gw.proxy.release();
    gw.emitter.to('user:dan').emit('no');
    await gw.settle(witness);
    assert.deepEqual(client.received('no'), []);
  });

  // What the gap has taken with it may have been a command.
  await t.test('after a gap of the feed it is read again', async () => {
    const redis = gw.redis.commands;
    await redis.sAdd('mew:rooms:hal', 'before');
    const client = await held('hal');

    await redis.sMove('mew:rooms:hal', 'mew:rooms:nobody', 'before');
    await redis.sAdd('mew:rooms:hal', 'after');
    await redis.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await until(() => /may have lost messages/.test(gw.nginx.log()), 'a gap');
    await gw.settle(witness);
    gw.proxy.release();
    await client.ready();
    assert.deepEqual(await roomsOf(gw, client, ['before', 'after']), ['after']);
  });

  await t.test('a Redis that pauses is waited for', async () => {
    await gw.redis.commands.sAdd('mew:rooms:gil', 'r');
    await gw.redis.commands.sendCommand(['CLIENT', 'PAUSE', '2000', 'ALL']);
    const client = await gw.rawConnect({ user: 'gil' });
    assert.deepEqual(await roomsOf(gw, client, ['r', 'claimed']), ['r']);
    await gw.settle(witness);
  });

  await t.test('a hanging Redis closes the transport in 5 s', async () => {
    const start = performance.now();
    const clients = [await held('eve'), await held('fay')];
    try {
      await until(() => clients.every((client) => client.closed),
                  'they are closed', 6000);
    } finally {
      gw.proxy.release();
    }
    const took = performance.now() - start;
    assert.ok(took > 4000, `they are given time, not ${took} ms`);
    for (const client of clients) {
      assert.deepEqual(client.packets, []);
    }
    await gw.settle(witness);
  });

  await t.test('and then it works again', async () => {
    await gw.redis.commands.sAdd('mew:rooms:eve', 'r');
    const client = await gw.connect({ user: 'eve' });
    assert.deepEqual(await roomsOf(gw, client, ['r', 'claimed']), ['r']);
  });
});
