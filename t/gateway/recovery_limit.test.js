'use strict';

// Sockets that have missed more than a poll takes at once.

const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { RS } = require('./lib/polling');

const NSPS = ['/', '/admin', '/chat'];
const QUEUE = 2000;
const SIZE = 300;
const COUNT = 30;

const name = (nsp) => (nsp === '/' ? '' : `${nsp},`);
const CONNECT = (gw, nsp, more) => (
  `40${name(nsp)}${JSON.stringify({ ...gw.auth({ user: 'ann' }), ...more })}`);

/** What kind of packet it is, and in which namespace; a number: that event. */
function parse(packet) {
  const [, type, nsp, json] = /^4(\d)(\/[^,]*)?,?(.*)$/s.exec(packet);
  const [event, n] = type === '2' ? JSON.parse(json) : [];
  return { nsp: nsp || '/',
           what: type === '0' ? 'reply' : event === 'e' ? n : event };
}

async function start(t, workers) {
  const gw = await gateway(t, {
    workers, listen: workers > 1 ? 'reuseport' : undefined,
    block: { namespace: NSPS.join(' '), recovery: '20s' },
    location: { socketio_send_queue: String(QUEUE) },
  });
  await gw.live();
  return gw;
}

/** Sockets of a client that has gone, by namespace, and what they miss. */
async function parked(gw, nsps) {
  const session = await gw.polling();
  const sockets = {};
  for (const nsp of nsps) {
    await session.send(CONNECT(gw, nsp));
    const reply = await session.next();
    sockets[nsp] = JSON.parse(reply.slice(2 + name(nsp).length));
    assert.equal(parse(await session.next()).what, 'ready');
  }
  await session.send('1');
  session.close();
  for (let i = 0; i < COUNT; i++) {
    for (const nsp of nsps) {
      gw.emitter.of(nsp).emit('e', i, 'x'.repeat(SIZE));
    }
  }
  await gw.settle(await gw.connect({ user: 'witness' }));
  return sockets;
}

const COMPLETE = ['reply', ...Array.from({ length: COUNT }, (_, i) => i)];

/** Asserts that each socket got its reply, all that it missed, its ready. */
function assertComplete(packets, nsps) {
  const seen = packets.map(parse).filter(({ what }) => what !== 'marker');
  for (const nsp of nsps) {
    assert.deepEqual(
      seen.filter((it) => it.nsp === nsp).map(({ what }) => what),
      [...COMPLETE, 'ready'], nsp);
  }
}

const is = (packets, what) => packets.filter(
  (packet) => parse(packet).what === what).length;

// The reply comes first, however much was missed: who is cut off in between
// would keep events that it got without one, and show them again.
for (const nsps of [['/'], ['/admin'], NSPS]) {
  for (const together of nsps.length > 1 ? [true, false] : [true]) {
    eachWorkers([1, 4], `polls, ${nsps.join(' ')}${
      together ? '' : ', one after the other'}`, async (t, workers) => {
      const gw = await start(t, workers);
      const sockets = await parked(gw, nsps);
      const session = await gw.polling();
      const packets = [];
      const poll = async () => {
        const answer = await session.get();
        assert.equal(answer.status, 200);
        // One message may be more, and one of each namespace besides.
        assert.ok(answer.body.length < QUEUE + 400 * (nsps.length + 1),
                  `${answer.body.length} bytes`);
        packets.push(...answer.body.split(RS).filter((it) => it !== '6'));
      };
      const connect = ([nsp, { pid }]) => CONNECT(gw, nsp, { pid });

      if (together) {
        await session.send(...Object.entries(sockets).map(connect));
      } else {
        for (const it of Object.entries(sockets)) {
          await session.send(connect(it));
          await poll();
        }
      }
      while (is(packets, 'ready') < nsps.length) {
        await poll();
      }
      assertComplete(packets, nsps);

      for (const nsp of nsps) {
        gw.emitter.of(nsp).emit('e', 'last');
        assert.deepEqual(parse(await session.next()), { nsp, what: 'last' });
      }
    });
  }
}

// Neither does an upgrade change the order when some of it is there already.
eachWorkers([1, 4], 'an upgrade in the middle', async (t, workers) => {
  const gw = await start(t, workers);
  const sockets = await parked(gw, NSPS);
  const session = await gw.polling();

  await session.send(...Object.entries(sockets).map(
    ([nsp, { pid }]) => CONNECT(gw, nsp, { pid })));
  const packets = (await session.poll()).filter((it) => it !== '6');
  assert.equal(is(packets, 'ready'), 0);

  const ws = await gw.socket({ path: session.path('websocket') });
  ws.text('2probe');
  assert.equal(await ws.next(), '3probe');
  ws.text('5');
  while (is(packets, 'ready') < NSPS.length) {
    packets.push(await ws.next());
  }
  assertComplete(packets, NSPS);
});

eachWorkers([1, 4], 'a WebSocket', async (t, workers) => {
  const gw = await start(t, workers);
  const sockets = await parked(gw, NSPS);
  const ws = await gw.socket();
  const packets = [];

  await ws.next();
  for (const [nsp, { pid }] of Object.entries(sockets)) {
    ws.text(CONNECT(gw, nsp, { pid }));
  }
  while (is(packets, 'ready') < NSPS.length) {
    packets.push(await ws.next());
  }
  assertComplete(packets, NSPS);
});

// Who is disconnected with its connection is so in all namespaces, however
// much it has yet to get there: none of its sockets is recovered.
for (const [kicked, behind] of [['/', '/admin'], ['/admin', '/']]) {
  eachWorkers([1, 4], `${kicked} is disconnected, ${behind} is behind`,
              async (t, workers) => {
    const gw = await start(t, workers);
    const nsps = [behind, kicked, '/chat'];
    const session = await gw.polling();
    const sockets = {};
    for (const nsp of nsps) {
      await session.send(CONNECT(gw, nsp));
      const reply = await session.next();
      sockets[nsp] = JSON.parse(reply.slice(2 + name(nsp).length));
      assert.equal(parse(await session.next()).what, 'ready');
    }
    for (let i = 0; i < COUNT; i++) {
      gw.emitter.of(behind).emit('e', i, 'x'.repeat(SIZE));
    }
    gw.emitter.of(kicked).in('user:ann').disconnectSockets(true);
    await gw.settle(await gw.connect({ user: 'witness' }));

    const packets = await session.rest();
    assert.equal(packets.pop(), '1');
    assert.deepEqual(packets.filter((it) => it.startsWith('41')).sort(),
                     nsps.map((nsp) => `41${name(nsp)}`).sort());
    const last = packets.indexOf(`41${name(behind)}`);
    assert.ok(packets.slice(last).every((it) => parse(it).nsp !== behind
                                        || it.startsWith('41')));

    const ws = await gw.socket();
    await ws.next();
    for (const nsp of nsps) {
      ws.text(CONNECT(gw, nsp, { pid: sockets[nsp].pid }));
      const { sid } = JSON.parse((await ws.next()).slice(2 + name(nsp).length));
      assert.notEqual(sid, sockets[nsp].sid, nsp);
      assert.equal(parse(await ws.next()).what, 'ready');
    }
  });
}
