'use strict';

// Events for the backend at the edges of what Redis is there for: a worker that
// is new, and has yet to connect; a server that still loads its data.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { until } = require('./lib/expect');

const refusal = (id) => `43${id}[{"error":"unavailable"}]`;

const start = (t, options) => gateway(t, {
  location: { socketio_forward: ['x stream=up'] }, ...options,
});

const length = (gw) => gw.redis.commands.xLen('up');

// What speaks like Redis, but answers as it never does.
for (const [what, answer] of Object.entries({
  'a status': '+OK\r\n',
  'a long status': `+${'x'.repeat(3000)}\r\n`,
  'an integer': ':1\r\n',
  nil: '$-1\r\n',
  'an array': '*0\r\n',
})) {
  test(`an entry is answered by ${what}`, async (t) => {
    const gw = await start(t, { proxy: true });
    const client = await gw.connect({ user: 'u' });

    gw.proxy.answer('xadd', answer);
    assert.deepEqual(await client.socket.timeout(20000).emitWithAck('x', 1),
                     { error: 'unavailable' });
    gw.proxy.release();
    assert.match(gw.nginx.log(), /refused the entry of an event: no id/);
    client.socket.emit('x', 2);
    await until(async () => await length(gw) > 1, 'the next one is there');
  });
}

// A worker of a reload, or in place of one that died, serves clients before it
// is connected to Redis: that is no reason to refuse what they send.
test('a worker that has yet to connect', async (t) => {
  const gw = await start(t, { proxy: true });
  const session = await gw.polled({ user: 'u' });

  const fresh = async () => {
    gw.proxy.hold('info');
    await gw.nginx.reload();
    await until(() => gw.proxy.seen > 0, 'it tries');
  };

  await t.test('keeps what comes', async () => {
    await fresh();
    let answered = false;
    const posted = session.send('421["x",1]\x1e422["x",2]').then(() => {
      answered = true;
    });
    // A round trip, behind which the POST is there.
    await gw.status();
    assert.equal(await length(gw), 0);
    assert.ok(!answered);
    gw.proxy.release();
    await posted;
    assert.equal(await length(gw), 2);
  });

  await t.test('and refuses it if it cannot connect', async () => {
    await fresh();
    const posted = session.send('423["x",3]');
    await gw.status();
    gw.proxy.cut();
    await posted;
    assert.equal(await session.next(), refusal(3));
    assert.equal(await length(gw), 2);
    gw.proxy.release();
  });

  await t.test('and refuses the next at once', async () => {
    await gw.redis.stop('SIGKILL');
    await gw.nginx.reload();
    await until(() => gw.nginx.log(/away for commands: /).length > 2, 'a loss');
    await session.send('424["x",4]');
    assert.equal(await session.next(), refusal(4));
    await gw.redis.start();
    gw.proxy.release();
  });
});

// It answers some commands, and none that matters.
eachWorkers([1, 3], 'Redis loads its data', async (t, workers) => {
  const gw = await start(t, { workers, listen: 'reuseport' });
  const { redis } = gw;
  const client = await gw.connect({ user: 'u' });
  await redis.commands.sAdd('mew:rooms:v', 'r');
  for (let i = 0; i < 15; i++) {
    await redis.commands.mSet(Array.from(
      { length: 100 }, (_, k) => [`key${i}-${k}`, 'x'.repeat(50)]));
  }
  await redis.commands.sendCommand(['SAVE']);
  await redis.stop('SIGKILL');
  redis.args.push('--key-load-delay', '1000',
                  '--loading-process-events-interval-bytes', '1024');
  await redis.start();
  const loading = async () => /loading:1/.test(
    await redis.commands.sendCommand(['INFO', 'persistence']));
  await until(() => gw.nginx.log(/refused PING: LOADING/).length > 0,
              'the gateway finds it loading');
  const next = gw.client({ user: 'v' });

  await t.test('and an event is refused', async () => {
    assert.deepEqual(await client.socket.timeout(5000).emitWithAck('x', 1),
                     { error: 'unavailable' });
  });

  await t.test('and who comes waits, and is in its rooms', async () => {
    await next.ready(1, 15000);
    assert.ok(!await loading());
    assert.equal(next.failures.length, 0);
    gw.emitter.to('r').emit('hello', 1);
    await next.event('hello');
  });

  await t.test('and then all is well', async () => {
    await until(async () => {
      client.socket.emit('x', 2);
      return await length(gw) > 0;
    }, 'an entry', 15000);
    assert.deepEqual(gw.nginx.log(/refused the entry|cannot be read/), []);
  });
});
