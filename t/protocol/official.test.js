'use strict';

// Official clients and a backend behind the uplink: callbacks, bytes, and what
// comes after the transport was lost.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { server } = require('./lib/server');
const { FORMS } = require('./lib/answers');

const TRANSPORTS = {
  WebSocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

/** Connected, and heard of by the backend. */
async function connect(gw, options) {
  const client = gw.client(options);
  await client.connected();
  await client.event('auth');
  return client;
}

async function conversation(t, gw, transports) {
  const auth = { token: '123', device: { name: '\u00e4', n: [1, 2.5] } };
  const client = await connect(gw, { auth, transports });
  const custom = client.of('/custom', { token: 'abc' });

  await t.test('auth', async () => {
    assert.deepEqual(client.received('auth'), [[auth]]);
    assert.deepEqual(await custom.event('auth'), [{ token: 'abc' }]);
  });

  await t.test('callbacks', async () => {
    const rounds = Array.from({ length: 100 }, (_, i) => i);
    const answers = await Promise.all([client, custom].flatMap((it) => (
      rounds.map((i) => it.socket.timeout(8000)
        .emitWithAck('message-with-ack', { i })))));
    assert.deepEqual(answers, [...rounds, ...rounds].map((i) => ({ i })));
  });

  await t.test('bytes', async () => {
    const args = [Buffer.from([1, 2, 3]), { deep: [Buffer.alloc(0), 'x'] },
                  Buffer.alloc(50000, 7)];
    for (const it of [client, custom]) {
      it.socket.emit('message', ...args);
      assert.deepEqual(await it.event('message-back'), args);
      const answer = await new Promise((resolve) => {
        it.socket.emit('message-with-ack', ...args,
                       (...values) => resolve(values));
      });
      assert.deepEqual(answer, args);
    }
  });

  await t.test('one namespace is left', async () => {
    custom.socket.disconnect();
    assert.equal(await custom.disconnect(), 'io client disconnect');
    client.socket.emit('message', 'still here');
    await client.eventWith('message-back', 'still here');
    custom.socket.connect();
    assert.deepEqual(await custom.event('auth', 2), [{ token: 'abc' }]);
  });

  await t.test('its transport is lost', async () => {
    const { id } = client;
    client.socket.io.engine.close();
    client.socket.emit('message', 'kept until it is back');
    assert.deepEqual(await client.event('auth', 2), [auth]);
    await custom.event('auth', 3);
    await client.eventWith('message-back', 'kept until it is back');
    assert.notEqual(client.id, id);
  });

  await t.test('an unknown namespace', async () => {
    const random = client.of('/random');
    const error = await new Promise((resolve) => {
      random.socket.once('connect_error', resolve);
    });
    assert.equal(error.message, 'Invalid namespace');
    client.socket.emit('message', 'no harm done');
    await client.eventWith('message-back', 'no harm done');
  });
}

for (const form of FORMS) {
  for (const workers of [1, 3]) {
    test(`official clients, ${form}, workers: ${workers}`, async (t) => {
      const gw = await server(t, { form, workers });

      for (const [kind, transports] of Object.entries(TRANSPORTS)) {
        await t.test(kind, (inner) => conversation(inner, gw, transports));
      }
    });
  }
}
