'use strict';

// Clients that do not read: what they are owed, and when they are given up.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');
const { Stream, assertNumbers, numbers } = require('./lib/stream');
const { until } = require('./lib/expect');

// A small send buffer, so that what is not read stays with nginx.
const LISTEN = 'sndbuf=16k';

/** Publishes count events of a size, not faster than the witness reads. */
async function publish(stream, count, witness) {
  for (let i = 0; i < count; i++) {
    stream.publish();
    if (i % 50 === 49 || i === count - 1) {
      await until(() => numbers(witness).at(-1) === stream.sent,
                  'the witness reads');
    }
  }
}

test('who falls behind by more than the send queue is closed', async (t) => {
  const gw = await gateway(t, {
    listen: LISTEN, location: { socketio_send_queue: '100k' },
  });
  const slow = await gw.rawConnect({ user: 'slow', rooms: ['r'] });
  const fast = await gw.rawConnect({ user: 'fast', rooms: ['r'] });
  const stream = new Stream(gw, 'r', { size: 1000 });
  const lines = () => gw.nginx.log(/\[(warn|info)\].*(slow|send.queue)/i);

  slow.ws.pause();
  for (let i = 0; i < 40 && lines().length === 0; i++) {
    await publish(stream, 200, fast);
  }
  assert.equal(lines().length, 1, 'one line tells of it');

  slow.ws.resume();
  await slow.ws.ended;
  assertNumbers(slow, 1, numbers(slow).length);
  assertNumbers(fast, 1, stream.sent);

  await t.test('and may come back', async () => {
    const again = await gw.rawConnect({ user: 'slow', rooms: ['r'] });
    stream.publish();
    await gw.settle(again, fast);
    assertNumbers(again, stream.sent, stream.sent);
  });
});

async function resumesInTime(t, tls) {
  const gw = await gateway(t, {
    tls, listen: LISTEN, block: { zone: '8m', log: '1m' },
    location: { socketio_send_queue: '1m' },
  });
  const slow = await gw.rawConnect({ user: 'slow' });
  const fast = await gw.rawConnect({ user: 'fast', rooms: ['busy'] });
  const owed = Array.from({ length: 700 }, (_, i) => (
    `${i} ${'abc\u00e4\u4e16'.repeat(60 + i % 70)}`));
  const busy = new Stream(gw, 'busy', { size: 1000 });

  slow.ws.pause();
  for (const [i, text] of owed.entries()) {
    gw.emitter.to('user:slow').emit('owed', i, { text });
    if (i % 7 === 0) {
      await publish(busy, 10, fast);
    }
  }
  await publish(busy, 5000, fast);
  assertNumbers(fast, 1, busy.sent);

  slow.ws.resume();
  await gw.settle(slow, fast);
  assert.deepEqual(slow.packets.slice(2, -1), owed.map(
    (text, i) => `42${JSON.stringify(['owed', i, { text }])}`));
}

test('who resumes in time gets all, although the log wrapped',
     (t) => resumesInTime(t, false));
test('the same over TLS', (t) => resumesInTime(t, true));

test('traffic of other rooms never closes a reader that rests', async (t) => {
  const gw = await gateway(t, {
    listen: LISTEN, block: { zone: '4m', log: '256k' },
    location: { socketio_send_queue: '64k' },
  });
  const idle = await gw.rawConnect({ user: 'idle' });
  const owed = await gw.rawConnect({ user: 'owed' });
  const fast = await gw.rawConnect({ user: 'fast', rooms: ['busy'] });
  const busy = new Stream(gw, 'busy', { size: 1000 });

  idle.ws.pause();
  owed.ws.pause();
  // More than the system buffers hold, less than that and the queue.
  gw.emitter.to('user:owed').emit('first', 'x'.repeat(40000));
  for (let i = 0; i < 20; i++) {
    gw.emitter.to('user:owed').emit('more', i);
  }
  await publish(busy, 8000, fast);

  idle.ws.resume();
  owed.ws.resume();
  await gw.settle(idle, owed);
  assert.deepEqual(idle.order, ['ready', 'marker']);
  assert.deepEqual(owed.received('more').map(([i]) => i),
                   Array.from({ length: 20 }, (_, i) => i));
});

test('one message may be larger than the send queue', async (t) => {
  const gw = await gateway(t, {
    listen: LISTEN, location: { socketio_send_queue: '64k' },
  });
  const slow = await gw.rawConnect({ user: 'slow' });
  const fast = await gw.rawConnect({ user: 'fast' });
  const big = 'y'.repeat(900000);

  for (let round = 0; round < 3; round++) {
    slow.ws.pause();
    gw.emitter.emit('big', big, round);
    gw.emitter.emit('behind it', 'z'.repeat(30000), round);
    await gw.settle(fast);
    slow.ws.resume();
    await gw.settle(slow);
    assert.deepEqual(slow.received('big')[round], [big, round]);
    assert.equal(slow.received('behind it')[round][1], round);
  }
});

test('volatile events are not kept for who is behind', async (t) => {
  const gw = await gateway(t, { listen: LISTEN });
  const slow = await gw.rawConnect({ user: 'slow' });
  const fast = await gw.rawConnect({ user: 'fast' });

  slow.ws.pause();
  // Beyond what the buffers of the system take.
  gw.emitter.emit('big', 'y'.repeat(900000));
  await gw.settle(fast);
  gw.emitter.volatile.emit('volatile', 1);
  gw.emitter.emit('kept', 2);
  await gw.settle(fast);
  slow.ws.resume();
  await gw.settle(slow);

  const events = (client) => client.order.filter((name) => name !== 'marker');
  assert.deepEqual(events(fast), ['ready', 'big', 'volatile', 'kept']);
  assert.deepEqual(events(slow), ['ready', 'big', 'kept']);
});

test('a hundred readers that stop together', async (t) => {
  const gw = await gateway(t, {
    workers: 3, listen: `reuseport ${LISTEN}`, block: { log: '1m' },
    location: { socketio_send_queue: '50k' },
  });
  const fast = await gw.rawConnect({ user: 'fast', rooms: ['r'] });
  const slow = await Promise.all(Array.from({ length: 100 }, (_, i) => (
    gw.rawConnect({ user: `slow${i}`, rooms: ['r'] }))));
  const stream = new Stream(gw, 'r', { size: 1000 });

  slow.forEach((client) => client.ws.pause());
  await publish(stream, 2000, fast);
  assertNumbers(fast, 1, stream.sent);

  slow.forEach((client) => client.ws.resume());
  await Promise.all(slow.map((client) => client.ws.ended));
  for (const client of slow) {
    assertNumbers(client, 1, numbers(client).length);
  }
});
