'use strict';

// From long-polling to a WebSocket: nothing is lost, doubled or reordered,
// whichever workers the probe and the polls get to.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { request } = require('./lib/http');
const { RS } = require('./lib/polling');
const { text, frame, OPCODE } = require('./lib/ws');
const { Stream, numbers, assertNumbers } = require('./lib/stream');
const { until, within, SLOW } = require('./lib/expect');

const start = (t, workers, options) => gateway(t, {
  workers, listen: workers > 1 ? 'reuseport' : undefined, ...options,
});

const connect = (gw, who) => `40${JSON.stringify(gw.auth(who))}`;

/** A WebSocket for the session; nothing sent. */
const probing = (gw, session, options) => gw.socket({
  path: session.path('websocket'), ...options,
});

/** The same, with the probe answered. */
async function probed(gw, session) {
  const ws = await probing(gw, session);
  ws.text('2probe');
  assert.equal(await ws.next(), '3probe');
  return ws;
}

/** The same, upgraded. */
async function upgraded(gw, session) {
  const ws = await probed(gw, session);
  ws.text('5');
  return ws;
}

/** Polling works, as this user in room "r". */
async function assertPolling(gw, session, user) {
  gw.emitter.to(`user:${user}`).emit('e', 'polled');
  assert.equal(await session.next(), '42["e","polled"]');
  assert.equal(await session.alive(), true);
}

/** The WebSocket works; nothing but this event comes. */
async function assertSocket(gw, ws, user) {
  gw.emitter.to(`user:${user}`).emit('e', 'by frame');
  assert.equal(await ws.next(), '42["e","by frame"]');
}

async function assertUpgraded(session) {
  for (const answer of [await session.get(), await session.post('3')]) {
    assert.equal(answer.status, 400);
    assert.equal(answer.body, '{"code":3,"message":"Bad request"}');
  }
}

eachWorkers([1, 4], 'the probe', async (t, workers) => {
  const gw = await start(t, workers);
  const poll = (session) => within(session.get(), 'the answer to a poll');

  await t.test('is answered, without an open packet', async () => {
    const session = await gw.polled({ user: 'a' });
    await probed(gw, session);
    assert.equal(await session.alive(), true);
  });

  await t.test('has the pending GET answered', async () => {
    const session = await gw.polled({ user: 'b' });
    const { answer } = await session.hold();
    await probed(gw, session);
    assert.equal((await answer).body, '6');
  });

  await t.test('has later GETs answered', async () => {
    const session = await gw.polled({ user: 'c' });
    await probed(gw, session);
    assert.equal((await poll(session)).body, '6');
    assert.equal((await poll(session)).body, '6');
  });

  await t.test('before CONNECT', async () => {
    const session = await gw.polling();
    const ws = await upgraded(gw, session);
    ws.text(connect(gw, { user: 'd' }));
    assert.match(await ws.next(), /^40\{"sid":"[\w-]{20}"\}$/);
    assert.equal(await ws.next(), '42["ready"]');
    await assertSocket(gw, ws, 'd');
  });

  await t.test('behind CONNECT', async () => {
    const session = await gw.polling();
    await session.send(connect(gw, { user: 'e' }));
    const ws = await upgraded(gw, session);
    assert.match(await ws.next(), /^40\{/);
    assert.equal(await ws.next(), '42["ready"]');
    await assertSocket(gw, ws, 'e');
  });

  await t.test('may be left out', async () => {
    const session = await gw.polled({ user: 'f' });
    const ws = await probing(gw, session);
    ws.text('5');
    await assertSocket(gw, ws, 'f');
    await assertUpgraded(session);
  });

  await t.test('may be repeated', async () => {
    const session = await gw.polled({ user: 'g' });
    const ws = await probed(gw, session);
    ws.text('2probe');
    assert.equal(await ws.next(), '3probe');
    ws.text('5');
    await assertSocket(gw, ws, 'g');
  });

  await t.test('all in one segment with the handshake', async () => {
    const session = await gw.polled({ user: 'h' });
    const ws = await probing(gw, session, {
      glue: Buffer.concat([text('2probe'), text('5'), text('42["e"]')]),
    });
    assert.equal(await ws.next(), '3probe');
    await assertSocket(gw, ws, 'h');
  });

  await t.test('frames behind "5" in one segment', async () => {
    const session = await gw.polling();
    const ws = await probed(gw, session);
    ws.write(Buffer.concat([text('5'), text(connect(gw, { user: 'i' })),
                            text('3')]));
    assert.match(await ws.next(), /^40\{/);
    assert.equal(await ws.next(), '42["ready"]');
    ws.write(Buffer.concat([text('42["a"]'),
                            text('451-["b",{"_placeholder":true,"num":0}]'),
                            frame(OPCODE.binary, 'abc')]));
    await assertSocket(gw, ws, 'i');
  });

  await t.test('a fault behind "5" in one segment', async () => {
    const session = await gw.polled({ user: 'j' });
    const ws = await probed(gw, session);
    ws.write(Buffer.concat([text('5'), text('9')]));
    assert.equal(await ws.closing(), 1005);
    assert.equal(await session.alive(), false);
  });
});

eachWorkers([1, 4], 'probes that fail', async (t, workers) => {
  const gw = await start(t, workers, {
    location: { socketio_upgrade_timeout: '300ms' },
  });

  const others = [
    ['"2"', text('2')], ['"3"', text('3')], ['an event', text('42["e"]')],
    ['nothing', text('')], ['an unknown packet', text('9')],
    ['binary', frame(OPCODE.binary, 'abc')], ['a late CONNECT', text('40')],
  ];
  for (const [name, bytes] of others) {
    for (const probe of [true, false]) {
      const when = probe ? 'behind the probe' : 'instead of the probe';
      await t.test(`${name} ${when}`, async () => {
        const session = await gw.polled({ user: 'a' });
        const ws = probe ? await probed(gw, session)
          : await probing(gw, session);
        ws.write(bytes);
        assert.equal(await ws.closing(), 1005);
        await assertPolling(gw, session, 'a');
        await assertSocket(gw, await upgraded(gw, session), 'a');
      });
    }
  }

  for (const how of ['destroy', 'reset', 'close']) {
    await t.test(`the WebSocket ends, ${how}()`, async () => {
      const session = await gw.polled({ user: how });
      const ws = await probed(gw, session);
      ws[how]();
      await ws.ended;
      await assertPolling(gw, session, how);
      // The server may see the end of the first one later.
      await until(async () => {
        const again = await probing(gw, session);
        again.text('2probe');
        return again.next().then(() => true, () => false);
      }, 'another probe');
    });
  }

  for (const probe of [true, false]) {
    await t.test(`the timeout, ${probe ? 'with' : 'without'} a probe`,
      async () => {
        const session = await gw.polled({ user: 'slow' });
        const begin = performance.now();
        const ws = probe ? await probed(gw, session)
          : await probing(gw, session);
        assert.equal(await ws.closing(), 1005);
        assert.ok(performance.now() - begin > 250);
        await assertPolling(gw, session, 'slow');
        await assertSocket(gw, await upgraded(gw, session), 'slow');
      });
  }

  await t.test('it does not run on behind the upgrade', async () => {
    const session = await gw.polled({ user: 'quick' });
    const ws = await upgraded(gw, session);
    const begin = performance.now();
    await until(() => performance.now() - begin > 600, 'time passes');
    await assertSocket(gw, ws, 'quick');
  });

  await t.test('a second WebSocket while the first one probes', async () => {
    const session = await gw.polled({ user: 'twice' });
    const first = await probed(gw, session);
    const second = await probing(gw, session);
    assert.equal(await second.closing(), 1005);
    first.text('5');
    await assertSocket(gw, first, 'twice');
  });

  await t.test('a second WebSocket behind the upgrade', async () => {
    const session = await gw.polled({ user: 'late' });
    const first = await upgraded(gw, session);
    await assertSocket(gw, first, 'late');
    const second = await probing(gw, session, { glue: text('2probe') });
    assert.equal(await second.closing(), 1005);
    await assertSocket(gw, first, 'late');
  });

  await t.test('the session of a WebSocket from the start', async () => {
    const ws = await gw.socket();
    const { sid } = JSON.parse((await ws.next()).slice(1));
    const second = await gw.socket({
      path: `/socket.io/?EIO=4&transport=websocket&sid=${sid}`,
    });
    assert.equal(await second.closing(), 1005);
    ws.text(connect(gw));
    assert.match(await ws.next(), /^40/);
  });

  for (const packet of ['1', '9']) {
    await t.test(`the session ends meanwhile, "${packet}"`, async () => {
      const session = await gw.polled();
      const ws = await probed(gw, session);
      assert.equal((await session.post(packet)).body, 'ok');
      assert.equal(await ws.closing(), 1005);
      assert.equal(await session.alive(), false);
    });
  }
});

eachWorkers([1, 4], 'the upgrade', async (t, workers) => {
  const gw = await start(t, workers);

  await t.test('ends polling', async () => {
    const session = await gw.polled({ user: 'a' });
    const ws = await upgraded(gw, session);
    await assertSocket(gw, ws, 'a');
    await assertUpgraded(session);
    await assertSocket(gw, ws, 'a');
  });

  await t.test('the end of the WebSocket ends the session', async () => {
    const session = await gw.polled({ user: 'b' });
    const ws = await upgraded(gw, session);
    await assertSocket(gw, ws, 'b');
    ws.destroy();
    await until(async () => (await session.get()).body.includes('"code":1'),
                'the session is unknown');
  });

  await t.test('takes over what waits', async () => {
    const session = await gw.polled({ user: 'c', rooms: ['r'] });
    const to = gw.emitter.to('user:c');
    to.emit('e', 1);
    const ws = await probed(gw, session);
    to.emit('b', Buffer.from('abc'));
    gw.emitter.in('user:c').socketsJoin('s');
    gw.emitter.in('user:c').socketsLeave('r');
    gw.emitter.to('s').emit('e', 2);
    gw.emitter.to('r').emit('e', 'left');
    ws.text('5');
    to.emit('e', 3);
    assert.equal(await ws.next(), '42["e",1]');
    assert.equal(await ws.next(), '451-["b",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await ws.next(), Buffer.from('abc'));
    assert.equal(await ws.next(), '42["e",2]');
    assert.equal(await ws.next(), '42["e",3]');
  });

  await t.test('what comes behind the probe goes by either way', async () => {
    for (let i = 0; i < 20; i++) {
      const user = `either${i}`;
      const session = await gw.polled({ user });
      const { answer } = await session.hold();
      const ws = await probed(gw, session);
      for (const n of [1, 2, 3]) {
        gw.emitter.to(`user:${user}`).emit('e', n);
      }
      const polled = (await answer).body.split(RS).filter((it) => it !== '6');
      ws.text('5');
      while (polled.length < 3) {
        polled.push(await ws.next());
      }
      assert.deepEqual(polled, ['42["e",1]', '42["e",2]', '42["e",3]']);
      await assertSocket(gw, ws, user);
    }
  });

  await t.test('in the middle of a binary event', async () => {
    const session = await gw.polled({ user: 'd' });
    await session.send('452-["e",{"_placeholder":true,"num":0},'
                       + '{"_placeholder":true,"num":1}]', 'bAQID');
    const ws = await upgraded(gw, session);
    ws.binary('abc');
    ws.text('42["e"]');
    await assertSocket(gw, ws, 'd');
  });

  await t.test('DISCONNECT and CONNECT behind it', async () => {
    const session = await gw.polled({ user: 'e' });
    const ws = await upgraded(gw, session);
    ws.text('41');
    await ws.roundTrip();
    ws.text(connect(gw, { user: 'f' }));
    assert.match(await ws.next(), /^40\{/);
    assert.equal(await ws.next(), '42["ready"]');
    await assertSocket(gw, ws, 'f');
  });

  await t.test('disconnectSockets(true) behind it', async () => {
    const session = await gw.polled({ user: 'g' });
    const ws = await upgraded(gw, session);
    gw.emitter.in('user:g').disconnectSockets(true);
    assert.equal(await ws.next(), '41');
    assert.equal(await ws.closing(), 1005);
  });
});

eachWorkers([1, 4], 'heartbeats', async (t, workers) => {
  const gw = await start(t, workers, {
    location: {
      socketio_ping_interval: `${300 * SLOW}ms`,
      socketio_ping_timeout: `${500 * SLOW}ms`,
    },
  });

  await t.test('go on behind the upgrade', async () => {
    const session = await gw.polled();
    const ws = await upgraded(gw, session);
    for (let i = 0; i < 3; i++) {
      assert.equal(await ws.next(), '2');
      ws.text('3');
    }
  });

  await t.test('a pong that polling owes', async () => {
    const session = await gw.polled({ user: 'a' });
    assert.equal(await session.next(), '2');
    const ws = await upgraded(gw, session);
    ws.text('3');
    assert.equal(await ws.next(), '2');
    ws.text('3');
    await assertSocket(gw, ws, 'a');
  });

  await t.test('who does not answer is closed', async () => {
    const session = await gw.polled();
    const ws = await upgraded(gw, session);
    assert.equal(await ws.next(), '2');
    assert.equal(await ws.closing(), 1005);
  });
});

test('many upgrades under a stream', async (t) => {
  const gw = await start(t, 4);
  await gw.live();

  for (const [kind, filler] of [['text', 'x'], ['binary', Buffer.from('x')]]) {
    await t.test(kind, async () => {
      const clients = await Promise.all(Array.from({ length: 40 }, (_, i) => (
        gw.pollingConnect({ user: `u${i}`, rooms: [kind] }))));
      const stream = new Stream(gw, kind, { rate: 400 });
      stream.filler = filler;
      stream.start();

      const each = async (client, i) => {
        await until(() => numbers(client).length > 3 * i, 'some events', 20000);
        await client.upgrade();
        const upgradedAt = numbers(client).length;
        await until(() => numbers(client).length > upgradedAt + 100,
                    () => `${client}: events behind the upgrade`, 20000);
      };
      await Promise.all(clients.map(each));
      await Promise.all(clients.map((client) => client.send('42["e"]')));

      const last = stream.stop();
      await gw.settle(clients);
      assert.ok(new Set(gw.workersOf(clients)).size > 1);
      for (const client of clients) {
        assertNumbers(client, 1, last);
        assert.equal(client.failure, undefined);
        assert.ok(!client.closed);
        client.close();
      }
    });
  }
});

eachWorkers([1, 4], 'the official client', async (t, workers) => {
  const gw = await start(t, workers);
  const stream = new Stream(gw, 'r', { rate: 500 });
  await gw.live();
  const clients = Array.from({ length: 20 }, (_, i) => gw.client({
    user: `u${i}`, rooms: ['r'], transports: ['polling', 'websocket'],
  }));
  stream.start();

  await Promise.all(clients.map((client) => client.ready()));
  await until(() => clients.every((client) => client.upgrades === 1),
              'all upgrade');
  const goal = stream.sent + 300;
  await until(() => stream.sent > goal, 'some more');
  const last = stream.stop();
  await gw.settle(clients);

  for (const client of clients) {
    const [first] = numbers(client);
    assertNumbers(client, first, last);
    assert.deepEqual(client.disconnects, []);
    assert.equal(client.socket.io.engine.transport.name, 'websocket');
  }

  await t.test('polls end where they should', async () => {
    const { id } = clients[0].socket.io.engine;
    const answer = await gw.exchange(
      request('GET', `/socket.io/?EIO=4&transport=polling&sid=${id}`));
    assert.equal(answer.body, '{"code":3,"message":"Bad request"}');
  });
});
