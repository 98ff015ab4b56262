'use strict';

// Events of a socket over its rate: they are refused, their client is not
// read for a while, and closed when it goes on.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { request } = require('./lib/http');
const { RS } = require('./lib/polling');
const { text, frame, OPCODE } = require('./lib/ws');
const { until } = require('./lib/expect');

const BURST = 5;
const REFUSED = [{ error: 'rate_limited' }];

const start = (t, workers, { limit, ...options } = {}) => gateway(t, {
  workers,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { namespace: '/ /admin' },
  locations: {
    '/socket.io/': {
      socketio_forward: 'say stream=up',
      socketio_limit: limit || `events=1/s burst=${BURST}`,
    },
  },
  ...options,
});

/** The first arguments of what was forwarded: [time in ms, argument]. */
async function forwarded(gw, count) {
  return until(async () => {
    const list = await gw.redis.commands.xRange('up', '-', '+');
    return list.length >= count && list.map(({ id, message }) => [
      Number(id.split('-')[0]), JSON.parse(message.args)[0]]);
  }, `${count} entries`);
}

const say = (n, id = n) => `42${id}["say",${n}]`;
const range = (first, last) => Array.from({ length: last - first + 1 },
                                          (_, i) => first + i);
/** In one piece, so that all of it is there before the first is refused. */
const write = (ws, ...packets) => ws.write(
  Buffer.concat(packets.map((packet) => (
    typeof packet === 'string' ? text(packet) : packet))));
const ack = (packet) => {
  const [, id, json] = /^43(?:\/admin,)?(\d+)(.*)$/.exec(packet);
  return [Number(id), JSON.parse(json)];
};

eachWorkers([1, 3], 'over a WebSocket', async (t, workers) => {
  const gw = await start(t, workers);
  await gw.live();
  const ws = await gw.joined({ user: 'u' });
  const { events } = await gw.status();

  await t.test('a burst is taken, more is refused', async () => {
    write(ws, ...range(1, 7).map((n) => say(n)));
    assert.deepEqual(ack(await ws.next()), [6, REFUSED]);
    assert.deepEqual(ack(await ws.next()), [7, REFUSED]);
    assert.deepEqual((await forwarded(gw, BURST)).map(([, n]) => n),
                     range(1, BURST));
  });

  await t.test('what comes then waits for a token', async () => {
    ws.text(say(8));
    ws.ping('x');
    const list = await forwarded(gw, BURST + 1);
    assert.deepEqual(list.at(-1)[1], 8);
    assert.ok(list.at(-1)[0] - list[0][0] >= 900, `${list}`);
    await until(() => ws.pongs.length > 0, 'a pong');
    assert.equal(ws.messages.length, 0);
  });

  await t.test('without an ack id the client gets an error event', async () => {
    write(ws, '42["say",9]', '42["other",10]');
    assert.deepEqual(JSON.parse((await ws.next()).slice(2)), [
      'error', { message: 'Rate limit exceeded', event: 'say' }]);
    assert.deepEqual(JSON.parse((await ws.next()).slice(2)), [
      'error', { message: 'Rate limit exceeded', event: 'other' }]);
  });

  await t.test('with attachments, too', async () => {
    const binary = (id) => [
      `451-${id}["say",{"_placeholder":true,"num":0}]`,
      frame(OPCODE.binary, Buffer.from('x'))];
    write(ws, ...binary(11), say(12), ...binary(13));
    assert.deepEqual(ack(await ws.next()), [12, REFUSED]);
    assert.deepEqual(ack(await ws.next()), [13, REFUSED]);
    assert.deepEqual((await forwarded(gw, BURST + 2)).at(-1)[1],
                     { _placeholder: true, num: 0 });
  });

  await t.test('nothing of it is in the log', async () => {
    const now = await gw.status();
    assert.equal(now.events.in, events.in);
    assert.equal(now.limits.limited, 6);
    assert.equal(now.limits.closed, 0);
    assert.equal(now.forward.refused, 0);
  });

  await t.test('other sockets have tokens of their own', async () => {
    ws.text(`40/admin,${JSON.stringify(gw.auth({ user: 'u' }))}`);
    await ws.next();
    await ws.next();
    write(ws, ...range(21, 26).map((n) => `42/admin,${n}["say",${n}]`));
    assert.deepEqual(ack(await ws.next()), [26, REFUSED]);
    const other = await gw.joined({ user: 'u' });
    write(other, ...range(31, 36).map((n) => say(n)));
    assert.deepEqual(ack(await other.next()), [36, REFUSED]);
  });

  await t.test('who goes on is closed', async () => {
    const flood = await gw.joined({ user: 'f' });
    write(flood, ...range(1, 20 * BURST).map((n) => say(n)));
    assert.equal(await flood.closing(), 1008);
    assert.deepEqual(flood.messages.map(ack),
                     range(BURST + 1, 11 * BURST).map((n) => [n, REFUSED]));
    const now = await gw.status();
    assert.equal(now.limits.closed, 1);
    assert.equal(now.closes['rate limit exceeded'], 1);
    assert.equal(gw.nginx.log(/client closed: rate limit exceeded/).length, 1);
  });
});

eachWorkers([1, 3], 'over long-polling', async (t, workers) => {
  const gw = await start(t, workers);
  await gw.live();

  await t.test('the answer to a POST waits for a token', async () => {
    const session = await gw.polled({ user: 'u' });
    await session.send(...range(1, 3).map((n) => say(n)));
    await session.send(...range(4, 5).map((n) => say(n)));
    assert.deepEqual((await forwarded(gw, BURST)).map(([, n]) => n),
                     range(1, BURST));

    const from = performance.now();
    await session.send(...range(6, 8).map((n) => say(n)), '42["say",9]');
    assert.ok(performance.now() - from >= 900);
    assert.deepEqual(ack(await session.next()), [6, REFUSED]);
    assert.deepEqual(ack(await session.next()), [7, REFUSED]);
    assert.deepEqual(ack(await session.next()), [8, REFUSED]);
    assert.deepEqual(JSON.parse((await session.next()).slice(2)), [
      'error', { message: 'Rate limit exceeded', event: 'say' }]);

    await session.send(say(10));
    assert.equal((await forwarded(gw, BURST + 1)).at(-1)[1], 10);
  });

  await t.test('sockets in other namespaces have their own', async () => {
    const session = await gw.polled({ user: 'n' });
    await session.send(`40/admin,${JSON.stringify(gw.auth({ user: 'n' }))}`);
    assert.match(await session.next(), /^40\/admin,/);
    assert.match(await session.next(), /^42\/admin,\["ready"/);
    await session.send(...range(1, 6).map((n) => `42/admin,${n}["say",${n}]`),
                       ...range(1, 6).map((n) => say(n)));
    assert.equal(await session.next(), '43/admin,6[{"error":"rate_limited"}]');
    assert.equal(await session.next(), '436[{"error":"rate_limited"}]');
  });

  await t.test('the tokens go with an upgrade', async () => {
    const client = await gw.pollingConnect({ user: 'v' });
    await client.send(range(1, BURST).map((n) => say(n)).join(RS));
    await client.upgrade();
    client.send(say(6));
    await until(() => client.packets.some((packet) => (
      packet === '436[{"error":"rate_limited"}]')), 'a refusal');
  });

  await t.test('who goes on is closed', async () => {
    const session = await gw.polled({ user: 'f' });
    const post = session.post(range(1, 20 * BURST).map((n) => say(n)).join(RS));
    await post.catch(() => {});
    await until(async () => !await session.alive(), 'the end of the session');
    const { limits, closes } = await gw.status();
    assert.equal(limits.closed, 1);
    assert.equal(closes['rate limit exceeded'], 1);
  });
});

// A client that floods, and comes back each time that it is closed, is no
// trouble to others.
test('a flood', async (t) => {
  const gw = await start(t, 1, { limit: 'events=20/s burst=20' });
  const other = await gw.connect({ user: 'other' });
  const flood = gw.client({ user: 'flood' });
  const { head } = (await gw.status()).log;
  let running = true;

  flood.socket.on('connect', async () => {
    while (running && flood.socket.connected) {
      // More than the gateway reads, and less than this process can hold.
      if (flood.socket.io.engine.transport.ws.bufferedAmount < 1 << 18) {
        range(1, 50).forEach((n) => flood.socket.emit('say', n));
      }
      await new Promise(setImmediate);
    }
  });

  let slowest = 0;
  for (let i = 0; i < 50; i++) {
    const from = performance.now();
    await gw.settle(other);
    slowest = Math.max(slowest, performance.now() - from);
  }
  await until(() => flood.disconnects.length > 2, 'closes', 30000);
  running = false;

  assert.ok(slowest < 2000, `${slowest} ms`);
  assert.ok(flood.received('error').length > 0);
  assert.deepEqual(other.disconnects, []);
  const now = await gw.status();
  assert.ok(now.log.head - head < 1 << 20, `${now.log.head - head}`);
  assert.ok(now.limits.closed > 2);
  flood.close();
});

// The other limits of a client that is not read hold: it is pinged, and a
// connection that it gives up is noticed.
test('a client that waits for a token may go', async (t) => {
  const gw = await start(t, 1);
  const ws = await gw.joined({ user: 'u' });

  write(ws, ...range(1, 6).map((n) => say(n)));
  assert.deepEqual(ack(await ws.next()), [6, REFUSED]);
  ws.destroy();
  await until(async () => (await gw.status()).sessions.live === 0, 'the end');

  const session = await gw.polled({ user: 'v' });
  const connection = await session.connection();
  connection.send(request('POST', session.path(), {
    body: range(1, 6).map((n) => say(n)).join(RS) }));
  await until(async () => (await gw.status()).limits.limited === 2, 'refusal');
  connection.destroy();
  await until(async () => (await gw.status()).sessions.live === 0, 'the end');
});
