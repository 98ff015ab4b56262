'use strict';

// Events of clients become entries of a stream: what is in them, in what
// order, and what a client is told if they do not get there.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { until, parallel } = require('./lib/expect');

const TRANSPORTS = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

const start = (t, workers, { block, location, ...options } = {}) => gateway(t, {
  workers,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { namespace: '/ /admin', node: 'n1', ...block },
  locations: {
    '/socket.io/': {
      socketio_forward: ['message/create stream=up', 'bulk stream=bulk maxlen=0',
                         '7 stream=up', '"a b" stream=up'],
      ...location,
    },
  },
  ...options,
});

/** The entries of a stream, as objects, with buffers for binary fields. */
async function entries(gw, key = 'up') {
  const list = await gw.redis.commands.sendCommand(
    ['XRANGE', key, '-', '+'],
    { typeMapping: { 36: Buffer } });
  return list.map(([, fields]) => {
    const entry = {};
    for (let i = 0; i < fields.length; i += 2) {
      const name = String(fields[i]);
      entry[name] = name.startsWith('bin') ? Buffer.from(fields[i + 1])
        : String(fields[i + 1]);
    }
    return entry;
  });
}

const filled = (gw, count, key) => until(async () => {
  const list = await entries(gw, key);
  return list.length >= count && list;
}, `${count} entries`);

eachWorkers([1, 3], 'an entry', async (t, workers) => {
  const gw = await start(t, workers);

  for (const [kind, transports] of Object.entries(TRANSPORTS)) {
    await t.test(`over ${kind}`, async () => {
      await gw.redis.commands.del('up');
      const from = Date.now();
      const client = await gw.connect({ user: kind, transports });
      const admin = await client.of('/admin').ready();

      client.socket.emit('message/create', { channelId: 'c', content: 'ä"\0' },
                         [1, null, 12345678901234567890n.toString()]);
      client.socket.emit('unknown', 1);
      const [first] = await filled(gw, 1);
      const { time, ...rest } = first;
      assert.deepEqual(rest, {
        event: 'message/create',
        user: kind,
        sid: client.id,
        nsp: '/',
        args: '[{"channelId":"c","content":"ä\\"\\u0000"},'
              + '[1,null,"12345678901234567890"]]',
        ack: '',
        node: 'n1',
      });
      assert.ok(Number(time) >= from - 1000
                && Number(time) <= Date.now() + 1000, time);

      admin.socket.emit('a b', () => {});
      const [, second] = await filled(gw, 2);
      assert.equal(second.nsp, '/admin');
      assert.equal(second.sid, admin.id);
      assert.equal(second.args, '[]');
      assert.equal(second.ack, '0');
      assert.equal(second.event, 'a b');

      client.socket.emit('$connect', 1);
      client.socket.emit('message/create');
      assert.equal((await filled(gw, 3)).length, 3);
      client.close();
    });
  }

  await t.test('of an event whose name is a number', async () => {
    await gw.redis.commands.del('up');
    const client = await gw.rawConnect({ user: 'raw' });
    client.send('42[7,"x"]');
    const [entry] = await filled(gw, 1);
    assert.equal(entry.event, '7');
    assert.equal(entry.args, '["x"]');
    client.close();
  });

  await t.test('is counted', async () => {
    const { forward } = await gw.status();
    assert.ok(forward.accepted >= 10, JSON.stringify(forward));
    assert.equal(forward.refused, 0);
  });
});

eachWorkers([1, 3], 'binary arguments arrive intact', async (t, workers) => {
  const gw = await start(t, workers);
  const bytes = (n, from) => Buffer.from(
    Array.from({ length: n }, (_, i) => (from + i * 7) & 255));

  for (const [kind, transports] of Object.entries(TRANSPORTS)) {
    await t.test(`over ${kind}`, async () => {
      await gw.redis.commands.del('up');
      const client = await gw.connect({ user: kind, transports });
      const admin = await client.of('/admin').ready();
      const parts = [bytes(1, 1), bytes(70000, 2), Buffer.alloc(0),
                     bytes(300, 3)];
      client.socket.emit('message/create', parts[0], { a: [parts[1]] },
                         parts[2], 'x', parts[3]);
      admin.socket.emit('message/create', parts[3]);
      const list = await filled(gw, 2);
      const [first, second] = ['/', '/admin'].map(
        (nsp) => list.find((e) => e.nsp === nsp));
      const holder = (num) => `{"_placeholder":true,"num":${num}}`;
      assert.equal(first.args, `[${holder(0)},{"a":[${holder(1)}]},${
        holder(2)},"x",${holder(3)}]`);
      parts.forEach((part, i) => assert.ok(part.equals(first[`bin${i}`]),
                                           `bin${i}`));
      assert.equal(first.bin4, undefined);
      assert.ok(parts[3].equals(second.bin0));
      client.close();
    });
  }

  await t.test('as many as there may be', async () => {
    await gw.redis.commands.del('up');
    const client = await gw.connect({ user: 'ten' });
    const parts = Array.from({ length: 10 }, (_, i) => bytes(10 + i, i));
    client.socket.emit('message/create', ...parts);
    const [entry] = await filled(gw, 1);
    parts.forEach((part, i) => assert.ok(part.equals(entry[`bin${i}`]),
                                         `bin${i}`));
    client.close();
  });

  await t.test('though they come in several POSTs', async () => {
    await gw.redis.commands.del('up');
    const client = await gw.pollingConnect({ user: 'posts' });
    const parts = [bytes(5000, 9), bytes(3, 8), bytes(100, 7)];
    client.send('453-9["message/create",'
                + '{"_placeholder":true,"num":0},'
                + '{"_placeholder":true,"num":1},'
                + '{"_placeholder":true,"num":2}]');
    for (const part of parts) {
      await client.send(`b${part.toString('base64')}`);
    }
    const [entry] = await filled(gw, 1);
    assert.equal(entry.ack, '9');
    parts.forEach((part, i) => assert.ok(part.equals(entry[`bin${i}`]),
                                         `bin${i}`));
    // And what follows is a packet of its own.
    await client.send('42["message/create","next"]');
    assert.equal((await filled(gw, 2))[1].args, '["next"]');
    client.close();
  });
});

eachWorkers([1, 3], 'events of a socket keep their order', async (t, workers) => {
  const gw = await start(t, workers);
  const kinds = Object.values(TRANSPORTS);
  const COUNT = 200;

  const clients = await parallel(
    Array.from({ length: 9 }, (_, i) => i), 9,
    (i) => gw.connect({ user: `u${i}`, transports: kinds[i % 3] }));
  for (let n = 0; n < COUNT; n++) {
    for (const client of clients) {
      client.socket.emit('bulk', n);
    }
    if (n % 20 === 19) {
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  }
  const list = await filled(gw, COUNT * clients.length, 'bulk');
  assert.equal(list.length, COUNT * clients.length);
  for (const client of clients) {
    const numbers = list.filter((e) => e.sid === client.id)
      .map((e) => JSON.parse(e.args)[0]);
    assert.deepEqual(numbers, Array.from({ length: COUNT }, (_, i) => i),
                     client.name);
  }
});

eachWorkers([1, 3], 'a POST is answered when its events are stored',
            async (t, workers) => {
  const gw = await start(t, workers);
  const client = await gw.pollingConnect({ user: 'posts' });

  for (let n = 0; n < 50; n++) {
    const body = [0, 1, 2].map((i) => `42["bulk",${n * 3 + i}]`).join('\x1e');
    await client.send(body);
    assert.equal(await gw.redis.commands.xLen('bulk'), n * 3 + 3);
  }
});

eachWorkers([1, 3], 'Redis is away', async (t, workers) => {
  const gw = await start(t, workers, { location: {
    socketio_forward: ['* stream=up'], socketio_rooms: 'claim=rooms',
  } });

  for (const [kind, transports] of Object.entries(TRANSPORTS)) {
    await t.test(`and ${kind} is told at once`, async () => {
      const connects = async () => (await gw.status()).forward.connects;
      const before = await connects();
      const client = await gw.connect({ user: kind, transports });
      const admin = await client.of('/admin').ready();

      // who cannot be told to the backend does not stay
      await until(async () => await connects() === before + 2,
                  'both sockets are told');
      await gw.redis.stop('SIGKILL');

      for (const one of [client, admin]) {
        const answer = await one.socket.timeout(5000)
          .emitWithAck('message/create', 1);
        assert.deepEqual(answer, { error: 'unavailable' });
        one.socket.emit('other', 2);
        const [error] = await one.event('error');
        assert.equal(error.event, 'other');
        assert.equal(typeof error.message, 'string');
      }
      assert.ok(client.socket.connected);

      await gw.redis.start();
      await until(async () => {
        const answer = await client.socket.timeout(300)
          .emitWithAck('again').catch(() => null);
        return answer === null;
      }, 'an event that is stored');
      client.close();
    });
  }

  await t.test('and it is counted', async () => {
    const { forward } = await gw.status();
    assert.ok(forward.refused >= 12, JSON.stringify(forward));
  });
});

eachWorkers([1, 3], 'Redis hangs', async (t, workers) => {
  const gw = await start(t, workers, { location: {
    socketio_forward: ['* stream=up'], socketio_rooms: 'claim=rooms',
  } });
  const client = await gw.connect({ user: 'hangs' });
  const poller = await gw.pollingConnect({ user: 'polls' });

  await t.test('and an event is refused after some seconds', async () => {
    gw.redis.program.kill('SIGSTOP');
    const from = Date.now();
    poller.send('427["x"]');
    assert.deepEqual(
      await client.socket.timeout(20000).emitWithAck('x', 1),
      { error: 'unavailable' });
    const passed = Date.now() - from;
    assert.ok(passed > 2500 && passed < 12000, `${passed} ms`);
    await until(() => poller.packets.includes(
      '437[{"error":"unavailable"}]'), 'the other refusal');
  });

  await t.test('and the queue has an end', async () => {
    gw.redis.program.kill('SIGCONT');
    await until(async () => {
      const answer = await client.socket.timeout(500)
        .emitWithAck('y').catch(() => null);
      return answer === null;
    }, 'an event that is stored');
    gw.redis.program.kill('SIGSTOP');

    // 64 events of 100 kB: the first ten are taken.
    const answers = [];
    const from = Date.now();
    for (let i = 0; i < 64; i++) {
      client.socket.emit('big', i, 'x'.repeat(100000), (answer) => {
        answers.push([i, Date.now() - from, answer.error]);
      });
    }
    await until(() => answers.length >= 50, 'refusals', 4000);
    assert.ok(answers.every(([i, , error]) => i >= 9
                            && error === 'unavailable'));
    gw.redis.program.kill('SIGCONT');
    await gw.settle(client);
    assert.ok(client.socket.connected);
  });
});

test('a key of another type', async (t) => {
  const gw = await start(t, 1);
  await gw.redis.commands.set('up', 'text');
  const client = await gw.connect({ user: 'u' });

  assert.deepEqual(await client.socket.timeout(5000)
    .emitWithAck('message/create', 1), { error: 'unavailable' });
  assert.match(gw.nginx.log(), /refused the entry of an event: WRONGTYPE/);
  assert.ok(!gw.nginx.log().includes('message/create'));
});

test('maxlen', async (t) => {
  const gw = await start(t, 1, { location: {
    socketio_forward: ['a stream=short maxlen=100', 'b stream=long maxlen=0'],
  } });
  const client = await gw.connect({ user: 'u' });
  for (let i = 0; i < 1000; i++) {
    client.socket.emit('a', i);
    client.socket.emit('b', i);
  }
  await filled(gw, 1000, 'long');
  const length = await gw.redis.commands.xLen('short');
  // "~" leaves what makes a node of the stream whole.
  assert.ok(length >= 100 && length < 300, length);
});

eachWorkers([3], 'a worker is killed', async (t, workers) => {
  const gw = await start(t, workers);
  const client = await gw.connect({ user: 'u' });
  let sent = 0;
  let stored = 0;
  const timer = setInterval(() => {
    const n = sent++;
    client.socket.volatile.emit('bulk', n);
  }, 1);
  t.after(() => clearInterval(timer));

  for (let round = 0; round < 3; round++) {
    await until(async () => await gw.redis.commands.xLen('bulk')
                > stored + 50, 'entries');
    stored = await gw.redis.commands.xLen('bulk');
    gw.nginx.killWorker(gw.workersOf([client])[0]);
    await client.connected(round + 2, 10000);
  }
  clearInterval(timer);

  // In order and once within each socket; some are lost with the worker.
  const bySid = new Map();
  for (const { sid, args } of await entries(gw, 'bulk')) {
    bySid.set(sid, [...(bySid.get(sid) || []), JSON.parse(args)[0]]);
  }
  for (const numbers of bySid.values()) {
    assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b));
  }
});
