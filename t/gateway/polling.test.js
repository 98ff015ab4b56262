'use strict';

// Long-polling, request by request, on one worker and on several.  Refusals and
// faults are in the table (table.test.js).

const { test } = require('node:test');
const assert = require('node:assert/strict');
const zlib = require('node:zlib');
const { setImmediate: turn } = require('node:timers/promises');

const {
  assertEmpty, assertError, assertOk, assertPayload,
} = require('./lib/answers');
const { gateway, eachWorkers } = require('./lib/gateway');
const { HttpConnection, request } = require('./lib/http');
const { RS } = require('./lib/polling');
const { sign, forge, inSeconds } = require('./lib/token');
const { Stream, assertNumbers } = require('./lib/stream');
const { until, within, SLOW } = require('./lib/expect');

const start = (t, workers, options) => gateway(t, {
  workers, listen: workers > 1 ? 'reuseport' : undefined, ...options,
});

/** True once the promise is settled, looked at after one turn. */
async function settled(promise) {
  let done = false;
  promise.then(() => { done = true; }, () => { done = true; });
  await turn();
  return done;
}

/** The session is unknown to GET and POST. */
async function assertGone(session) {
  assert.equal(await session.alive(), false);
  assertError(await session.get(), 1);
}

const connect = (gw, who) => `40${JSON.stringify(gw.auth(who))}`;

const query = (text) => `/socket.io/?${text}`;

eachWorkers([1, 3], 'the handshake', async (t, workers) => {
  const gw = await start(t, workers);

  await t.test('byte for byte', async () => {
    const { opened, sid } = await gw.polling();
    assert.match(sid, /^[A-Za-z0-9_-]{20}$/);
    assertPayload(opened, `0{"sid":"${sid}","upgrades":["websocket"],`
                  + '"pingInterval":25000,"pingTimeout":20000,'
                  + '"maxPayload":1000000}');
  });

  const accepted = [
    'EIO=4&transport=polling&sid=',
    'EIO=4&transport=polling&t=abc123&b64=1',
    'EIO=3&EIO=4&transport=polling',
    'transport=websocket&transport=polling&EIO=4',
    '%45IO=%34&transport=poll%69ng',
  ];
  for (const args of accepted) {
    await t.test(`?${args}: accepted`, async () => {
      const answer = await gw.exchange(request('GET', query(args)));
      assert.equal(answer.status, 200);
      assert.match(answer.body, /^0\{"sid":/);
    });
  }

  await t.test('a path below the location', async () => {
    const answer = await gw.exchange(
      request('GET', '/socket.io/more/?EIO=4&transport=polling'));
    assert.match(answer.body, /^0\{"sid":/);
  });

  await t.test('every sid is another one', async () => {
    const sids = new Set();
    for (let i = 0; i < 50; i++) {
      sids.add((await gw.polling()).sid);
    }
    assert.equal(sids.size, 50);
  });

  await t.test('a body with the handshake does no harm', async () => {
    const answer = await gw.exchange(
      request('GET', query('EIO=4&transport=polling'), { body: 'hello' }));
    assert.equal(answer.status, 200);
  });
});

eachWorkers([1, 3], 'GET', async (t, workers) => {
  const gw = await start(t, workers);
  const witness = await gw.rawConnect({ user: 'witness', rooms: ['r'] });

  await t.test('is held until something comes', async () => {
    const session = await gw.polled({ rooms: ['r'] });
    const { answer } = await session.hold();
    gw.emitter.to('user:witness').emit('e', 'other');
    await witness.eventWith('e', 'other');
    assert.equal(await settled(answer), false);

    gw.emitter.to('r').emit('e', 'it');
    assertPayload(await answer, '42["e","it"]');
  });

  await t.test('gets what came while there was none, in order', async () => {
    const session = await gw.polled({ rooms: ['r'] });
    for (let i = 0; i < 300; i++) {
      gw.emitter.to('r').emit('n', i, 'x'.repeat(1000));
    }
    for (let i = 0; i < 300; i++) {
      assert.equal(await session.next(), `42["n",${i},"${'x'.repeat(1000)}"]`);
    }
  });

  await t.test('only what is for its rooms', async () => {
    const session = await gw.polled({ user: 'ann', rooms: ['r', 'ann only'] });
    gw.emitter.to('elsewhere').emit('e', 1);
    gw.emitter.except('ann only').emit('e', 2);
    gw.emitter.to('r').except('user:ann').emit('e', 3);
    gw.emitter.to(['r', 'ann only', 'user:ann']).emit('e', 4);
    gw.emitter.to('user:ann').emit('e', 5);
    gw.emitter.to(session.id).emit('e', 6);
    gw.emitter.emit('e', 7);
    for (const n of [4, 5, 6, 7]) {
      assert.equal(await session.next(), `42["e",${n}]`);
    }
  });

  await t.test('binary as base64', async () => {
    const session = await gw.polled({ rooms: ['r'] });
    const bytes = Buffer.from([0xfb, 0xff, 0xfe, 0x00]);
    gw.emitter.to('r').emit('b', { deep: [bytes] }, Buffer.from('hello'));
    gw.emitter.to('r').emit('e');
    assert.equal(await session.next(), '452-["b",{"deep":[{"_placeholder":true,'
                 + '"num":0}]},{"_placeholder":true,"num":1}]');
    assert.equal(await session.next(), 'b+//+AA==');
    assert.equal(await session.next(), 'baGVsbG8=');
    assert.equal(await session.next(), '42["e"]');
  });

  await t.test('text of any kind', async () => {
    const session = await gw.polled({ rooms: ['r'] });
    const { answer } = await session.hold();
    gw.emitter.to('r').emit('é', 'a\u0000b\u001ec"\\', '\u{1F600}');
    assertPayload(await answer,
                  '42["é","a\\u0000b\\u001ec\\"\\\\","\u{1F600}"]');
  });

  await t.test('joins and leaves between two of them', async () => {
    const session = await gw.polled({ user: 'joe' });
    const joe = gw.emitter.in('user:joe');
    const to = (room, n) => gw.emitter.to(room).emit('e', n);

    to('a', 'before');
    joe.socketsJoin(['a', 'b']);
    to('a', 1);
    to('b', 2);
    joe.socketsLeave('a');
    to('a', 'left');
    to('b', 3);
    joe.socketsJoin('a');
    joe.socketsLeave('b');
    to('b', 'left');
    to('a', 4);
    for (const n of [1, 2, 3, 4]) {
      assert.equal(await session.next(), `42["e",${n}]`);
    }

    const { answer } = await session.hold();
    to('b', 'left');
    joe.socketsJoin('b');
    to('b', 5);
    assert.equal((await answer).body, '42["e",5]');
    to('a', 6);
    assert.equal(await session.next(), '42["e",6]');
  });
});

test('packets that wait leave in one answer', async (t) => {
  const gw = await gateway(t);
  const witness = await gw.rawConnect({ user: 'witness' });
  const session = await gw.polled({ rooms: ['r'] });

  gw.emitter.to('r').emit('e', 1);
  gw.emitter.to('r').emit('b', Buffer.from([1, 2, 3]));
  gw.emitter.to('r').emit('e', 2);
  await gw.settle(witness);
  assertPayload(await session.get(), [
    '42["e",1]', '451-["b",{"_placeholder":true,"num":0}]', 'bAQID',
    '42["e",2]', '42["marker","m1"]',
  ].join(RS));
});

test('volatile events', async (t) => {
  const gw = await gateway(t);
  const witness = await gw.rawConnect({ user: 'witness', rooms: ['r'] });
  const session = await gw.polled({ rooms: ['r'] });

  await t.test('are dropped while no GET is pending', async () => {
    gw.emitter.to('r').volatile.emit('v', 1);
    gw.emitter.to('r').emit('e', 2);
    gw.emitter.to('r').volatile.emit('v', 3);
    await gw.settle(witness);
    assert.equal((await session.get()).body,
                 ['42["e",2]', '42["marker","m1"]'].join(RS));
    assert.ok(witness.received('v').length > 0);
  });

  await t.test('answer a GET that is', async () => {
    const { answer } = await session.hold();
    gw.emitter.to('r').volatile.emit('v', 4);
    assert.equal((await answer).body, '42["v",4]');
  });
});

eachWorkers([1, 3], 'POST', async (t, workers) => {
  const gw = await start(t, workers);

  await t.test('ok, byte for byte', async () => {
    assertOk(await (await gw.polling()).post('3'));
  });

  await t.test('several packets', async () => {
    const session = await gw.polling();
    assertOk(await session.post(['3', '6', connect(gw), '3'].join(RS)));
    assert.match(await session.next(), /^40\{"sid":"[\w-]{20}"\}$/);
    assert.equal(await session.next(), '42["ready"]');
    await session.send('42["a"]', '42["b",{"c":1}]', '421["ack me"]', '3');
    assert.equal(await session.alive(), true);
  });

  await t.test('in chunks', async () => {
    const session = await gw.polling();
    assertOk(await session.post(connect(gw), { chunks: 7 }));
    assert.match(await session.next(), /^40\{/);
  });

  await t.test('the body in pieces', async () => {
    const session = await gw.polling();
    const connection = await session.connection();
    const bytes = request('POST', session.path(), { body: connect(gw) });
    const answer = connection.send(bytes.subarray(0, 30));
    for (let at = 30; at < bytes.length; at += 20) {
      await turn();
      connection.write(bytes.subarray(at, at + 20));
    }
    assertOk(await within(answer, 'ok'));
    assert.match(await session.next(), /^40\{/);
  });

  for (const type of ['text/plain;charset=UTF-8', 'application/json',
                      'application/octet-stream; x=y',
                      'application/x-www-form-urlencoded']) {
    await t.test(`with Content-Type: ${type}`, async () => {
      const session = await gw.polling();
      assertOk(await session.post(connect(gw),
                                  { headers: { 'Content-Type': type } }));
      assert.match(await session.next(), /^40\{/);
    });
  }

  await t.test('binary events', async () => {
    const session = await gw.polled();
    const head = (n) => `45${n}-["e",${Array.from({ length: n }, (_, i) => (
      `{"_placeholder":true,"num":${i}}`))}]`;
    await session.send(head(1), 'bAQIDBA==');
    await session.send(head(2), 'bAQIDBA', 'b');
    await session.send(head(1));
    await session.send('b!A-_');
    await session.send(head(3), 'bAQID');
    await session.send('bAQID', 'bAQID');
    await session.send('42["after"]');
    assert.equal(await session.alive(), true);
  });

  await t.test('bytes that are no UTF-8 do no harm', async () => {
    const session = await gw.polled();
    assertOk(await session.post(Buffer.concat([
      Buffer.from('42["e","'), Buffer.from([0xff, 0xc0]), Buffer.from('"]')])));
    assert.equal(await session.alive(), true);
  });
});

eachWorkers([1, 3], 'CONNECT by POST', async (t, workers) => {
  const gw = await start(t, workers);

  await t.test('is answered on the GET', async () => {
    const session = await gw.polling();
    const { answer } = await session.hold();
    await session.send(connect(gw));
    session.packets.push(...(await answer).body.split(RS));
    assert.match(await session.next(), /^40\{"sid":"[\w-]{20}"\}$/);
    assert.equal(await session.next(), '42["ready"]');
  });

  await t.test('is answered on a later GET', async () => {
    const session = await gw.polling();
    await session.send(connect(gw));
    assert.match(await session.next(), /^40\{"sid":"[\w-]{20}"\}$/);
    assert.equal(await session.next(), '42["ready"]');
  });

  const auth = 'Authentication error: ';
  const header = { alg: 'none', typ: 'JWT' };
  const refusals = [
    ['no payload', '', 'missing', 'Token not provided'],
    ['no token', '{}', 'missing', 'Token not provided'],
    ['an empty token', '{"token":""}', 'missing', 'Token not provided'],
    ['a forged token', { token: forge(header, { id: 'x' }) }, 'invalid',
      'Invalid token'],
    ['another key', { token: sign({ id: 'x' }, { key: 'x'.repeat(32) }) },
      'invalid', 'Invalid token'],
    ['an old token', { token: sign({ id: 'x', exp: inSeconds(-60) }) },
      'expired', 'Token expired'],
  ];
  for (const [name, payload, code, message] of refusals) {
    await t.test(`${name}: CONNECT_ERROR`, async () => {
      const session = await gw.polling();
      await session.send(`40${typeof payload === 'string' ? payload
        : JSON.stringify(payload)}`);
      assert.equal(await session.next(),
                   `44{"message":"${auth}${message}",`
                   + `"data":{"code":"token_${code}"}}`);
      await session.join(gw.auth());
    });
  }

  await t.test('DISCONNECT, and CONNECT once more', async () => {
    const session = await gw.polled({ user: 'eve', rooms: ['r'] });
    const witness = await gw.rawConnect({ rooms: ['r'] });

    await session.send('41');
    const { answer } = await session.hold();
    gw.emitter.to('r').emit('e', 'away');
    gw.emitter.to(session.id).emit('e', 'away');
    await gw.settle(witness);
    assert.equal(await settled(answer), false);

    await session.send(connect(gw, { user: 'eve', rooms: ['s'] }));
    session.packets.push(...(await answer).body.split(RS));
    const reply = JSON.parse((await session.next()).slice(2));
    assert.notEqual(reply.sid, session.id);
    assert.equal(await session.next(), '42["ready"]');

    gw.emitter.to('r').emit('e', 'another room');
    gw.emitter.to('s').emit('e', 'back');
    assert.equal(await session.next(), '42["e","back"]');
  });
});

eachWorkers([1, 3], 'the payload limit', async (t, workers) => {
  const small = await start(t, workers, {
    location: { socketio_max_payload: '1000' },
  });
  const large = await start(t, workers, {
    server: { client_max_body_size: '1k', client_body_buffer_size: '2k' },
  });
  const body = (size) => `6${'x'.repeat(size - 1)}`;

  for (const [gw, limit] of [[small, 1000], [large, 1000000]]) {
    for (const chunks of [undefined, limit / 4]) {
      const how = chunks ? 'in chunks' : 'with Content-Length';
      await t.test(`${limit} bytes, ${how}`, async () => {
        const session = await gw.polling();
        assert.equal(session.handshake.maxPayload, limit);
        assertOk(await session.post(body(limit), { chunks }));
        assertEmpty(await session.post(body(limit + 1), { chunks }), 413);
        assertEmpty(await session.post(body(limit * 3), { chunks }), 413);
        await session.join(gw.auth());
      });
    }
  }
});

eachWorkers([1, 3], 'ends', async (t, workers) => {
  const gw = await start(t, workers);

  await t.test('"41" and "1", as the official client does', async () => {
    const session = await gw.polled();
    assertOk(await session.post(`41${RS}1`));
    await assertGone(session);
  });

  await t.test('an aborted POST', async () => {
    const session = await gw.polled();
    const connection = await session.connection();
    const answer = connection.send(request('POST', session.path(), {
      headers: { 'Content-Length': '100', Expect: '100-continue' },
    }));
    await until(() => connection.continues > 0, 'the POST is handled');
    connection.destroy();
    await assert.rejects(answer);
    // Until the end is noticed another POST is one too many.
    await until(async () => (await session.post('6')).status === 400,
                'it is gone');
    await assertGone(session);
  });

  await t.test('disconnectSockets() without one', async () => {
    const session = await gw.polled({ user: 'b', rooms: ['r'] });
    gw.emitter.to('r').emit('e', 1);
    gw.emitter.in('user:b').disconnectSockets();
    gw.emitter.to('r').emit('e', 2);
    assert.equal(await session.next(), '42["e",1]');
    assert.equal(await session.next(), '41');
    await session.join(gw.auth({ user: 'b', rooms: ['r'] }));
  });

  await t.test('disconnectSockets(true) without one', async () => {
    const session = await gw.polled({ user: 'd', rooms: ['r'] });
    gw.emitter.to('r').emit('e', 1);
    gw.emitter.in('user:d').disconnectSockets(true);
    gw.emitter.to('r').emit('e', 2);
    assert.deepEqual(await session.rest(), ['42["e",1]', '41', '1']);
  });
});

const SHORT = {
  socketio_ping_interval: `${300 * SLOW}ms`,
  socketio_ping_timeout: `${600 * SLOW}ms`,
};

eachWorkers([1, 3], 'heartbeats', async (t, workers) => {
  const gw = await start(t, workers, { location: SHORT });

  await t.test('all', { concurrency: true }, (t) => Promise.all([
    t.test('ping and pong, again and again', async () => {
      let begin = performance.now();
      const session = await gw.polled();
      for (let i = 0; i < 4; i++) {
        assertPayload(await session.get(), '2');
        assert.ok(performance.now() - begin > 270 * SLOW,
                  'the interval has passed');
        begin = performance.now();
        await session.send('3');
      }
    }),

    t.test('a ping while no GET is pending', async () => {
      const session = await gw.polled();
      const begin = performance.now();
      const { answer } = await session.hold();
      assert.equal((await answer).body, '2');
      await session.send('3');
      // Nobody polls when the next one is due.
      await until(() => performance.now() - begin > 700 * SLOW, 'time passes');
      assert.equal(await session.next(), '2');
      await session.send('3');
      assert.equal(await session.next(), '2');
    }),
  ]));
});

eachWorkers([1, 3], 'connections', async (t, workers) => {
  const gw = await start(t, workers);

  await t.test('one for everything', async () => {
    const connection = await HttpConnection.open(gw.where);
    const ask = (...args) => within(connection.send(request(...args)),
                                    'an answer');
    const open = await ask('GET', query('EIO=4&transport=polling'));
    const { sid } = JSON.parse(open.body.slice(1));
    const path = query(`EIO=4&transport=polling&sid=${sid}`);

    assertOk(await ask('POST', path, { body: connect(gw, { rooms: ['r'] }) }));
    assert.match((await ask('GET', path)).body, /^40\{/);
    for (let i = 0; i < 20; i++) {
      gw.emitter.to('r').emit('n', i);
      let { body } = await ask('GET', path);
      body = body === '42["ready"]' ? (await ask('GET', path)).body : body;
      assert.ok(body.endsWith(`42["n",${i}]`), body);
      assertOk(await ask('POST', path, { body: '42["e"]' }));
    }
    connection.destroy();
  });

  await t.test('a POST behind a GET that is held', async () => {
    const session = await gw.polled({ rooms: ['r'] });
    const { connection, answer } = await session.hold();
    const posted = connection.send(
      request('POST', session.path(), { body: '42["e"]' }));
    const again = connection.send(request('GET', session.path()));

    gw.emitter.to('r').emit('e', 1);
    assert.equal((await answer).body, '42["e",1]');
    assertOk(await within(posted, 'ok'));
    gw.emitter.to('r').emit('e', 2);
    assert.equal((await within(again, 'an answer')).body, '42["e",2]');
  });

  await t.test('Connection: close', async () => {
    const session = await gw.polling({ headers: { Connection: 'close' } });
    assert.equal(session.opened.headers.connection, 'close');
    await session.join(gw.auth());
  });

  await t.test('100 sessions on one connection', async () => {
    const connection = await HttpConnection.open(gw.where);
    const open = request('GET', query('EIO=4&transport=polling'));
    const answers = Array.from({ length: 100 }, () => connection.send(open));
    for (const answer of answers) {
      assert.match((await within(answer, 'a handshake')).body, /^0\{/);
    }
    connection.destroy();
  });
});

test('nginx compresses what is polled', async (t) => {
  const gw = await gateway(t, {
    http: { gzip: 'on', gzip_types: 'text/plain', gzip_min_length: '1' },
  });
  const session = await gw.polled({ rooms: ['r'] });
  const text = 'x'.repeat(10000);

  gw.emitter.to('r').emit('e', text);
  const answer = await session.get({ headers: { 'Accept-Encoding': 'gzip' } });
  assert.equal(answer.headers['content-encoding'], 'gzip');
  assert.equal(answer.headers['content-type'], 'text/plain; charset=UTF-8');
  assert.ok(answer.bytes.length < 1000, `${answer.bytes.length} bytes`);
  assert.equal(zlib.gunzipSync(answer.bytes).toString(), `42["e","${text}"]`);

  await t.test('also when it was held', async () => {
    const connection = await session.connection();
    const held = connection.send(request('GET', session.path(), {
      headers: { 'Accept-Encoding': 'gzip' },
    }));
    gw.emitter.to('r').emit('e', 'short');
    const { bytes } = await within(held, 'an answer');
    assert.equal(zlib.gunzipSync(bytes).toString(), '42["e","short"]');
  });
});

test('over TLS', async (t) => {
  const gw = await gateway(t, { tls: true });
  const session = await gw.polled({ rooms: ['r'] });

  const { answer } = await session.hold();
  gw.emitter.to('r').emit('e', 'x'.repeat(100000));
  assertPayload(await answer, `42["e","${'x'.repeat(100000)}"]`);
  assertOk(await session.post('42["e"]'));

  const held = await session.hold();
  held.connection.destroy();
  await until(async () => !await session.alive(), 'it is gone');
});

test('without Redis', async (t) => {
  const gw = await gateway(t, { redis: false });
  const session = await gw.polled();
  await session.send('42["e"]');
  assert.equal(await session.alive(), true);
});

test('socketio_transports', async (t) => {
  await t.test('polling', async (t) => {
    const gw = await gateway(t, {
      location: { socketio_transports: 'polling' },
    });
    const session = await gw.polled();
    assert.deepEqual(session.handshake.upgrades, []);
    await assert.rejects(gw.socket(), (error) => {
      assert.equal(error.head.status, 400);
      return true;
    });
    await assert.rejects(gw.socket({ path: session.path('websocket') }));
    assertError(await session.get({ path: session.path('websocket') }), 0);
    assert.equal(await session.alive(), true);
  });

  await t.test('websocket', async (t) => {
    const gw = await gateway(t, {
      location: { socketio_transports: 'websocket' },
    });
    assertError(await gw.exchange(
      request('GET', query('EIO=4&transport=polling'))), 0);
    await gw.joined();
  });
});

eachWorkers([1, 3], 'the official client', async (t, workers) => {
  // Its process may be busy with others.
  const gw = await start(t, workers, { location: {
    ...SHORT, socketio_ping_timeout: `${2 * SLOW}s`,
  } });
  const options = { rooms: ['r'], transports: ['polling'] };

  await t.test('sees a stream', async () => {
    const clients = await Promise.all(Array.from({ length: 5 }, (_, i) => (
      gw.connect({ user: `u${i}`, ...options }))));
    const stream = new Stream(gw, 'r', { rate: 500 }).start();
    await until(() => stream.sent > 600, 'a while');
    const last = stream.stop();
    await gw.settle(clients);
    for (const client of clients) {
      assertNumbers(client, 1, last);
      assert.deepEqual(client.disconnects, []);
      client.close();
    }
  });

  await t.test('gets and sends binary', async () => {
    const client = await gw.connect({ user: 'bin', ...options });
    const bytes = Buffer.from([0, 1, 2, 253, 254, 255]);
    client.socket.emit('e', bytes, { more: [bytes, 'é'] });
    gw.emitter.to('r').emit('b', bytes, { more: [bytes] });
    const [first, { more }] = await client.event('b');
    assert.deepEqual([first, ...more].map((it) => Buffer.from(it)),
                     [bytes, bytes]);
    assert.equal(client.connects, 1);
    client.close();
  });

  await t.test('is refused', async () => {
    const client = gw.client({ ...options, auth: { token: 'no' } });
    assert.deepEqual((await client.refusal()).data, { code: 'token_invalid' });
    client.close();
  });

  await t.test('is put out by the backend, and stays away', async () => {
    const client = await gw.connect({ user: 'out', ...options });
    gw.emitter.in('user:out').disconnectSockets(true);
    assert.equal(await client.disconnect(), 'io server disconnect');
    assert.equal(client.socket.active, false);
  });

  await t.test('comes back when its session is lost', async () => {
    const client = await gw.connect({ user: 'lost', ...options });
    const { id } = client.socket.io.engine;
    await gw.exchange(request('POST', query(
      `EIO=4&transport=polling&sid=${id}`), { body: '9' }));
    await client.ready(2);
    gw.emitter.to('user:lost').emit('back');
    await client.event('back');
  });
});
