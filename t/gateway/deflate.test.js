'use strict';

// permessage-deflate (RFC 7692): what is agreed to, what compressed messages
// may cost, and who gets them.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const zlib = require('node:zlib');

const { gateway, eachWorkers } = require('./lib/gateway');
const { Stream, assertNumbers, numbers } = require('./lib/stream');
const {
  frame, text, deflate, deflated, handshake, OPCODE,
} = require('./lib/ws');
const { until } = require('./lib/expect');
const { whileStopped } = require('./lib/processes');

const OFFER = 'permessage-deflate';
const AGREED = 'permessage-deflate; server_no_context_takeover; '
             + 'client_no_context_takeover';
const FIRST = { rsv: 4, fin: false };

// How many bombs go off at the same time, and what any number of them may take,
// in kB: AddressSanitizer keeps for a while what was freed.
const [MANY, MOST] = process.env.ASAN_OPTIONS ? [30, 100000] : [200, 8000];

const on = (t, { location, ...options } = {}) => gateway(t, {
  server: { 'location = /status': { socketio_status: 'mew' } },
  location: { socketio_deflate: '1k', ...location }, ...options,
});

/** The header of a handshake that offers this. */
const offering = (offer = OFFER) => ({
  headers: { 'Sec-WebSocket-Extensions': offer },
});

/** The most memory that a process ever had, in kB. */
const peakOf = (pid) => Number(/VmHWM:\s+(\d+)/.exec(
  fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

async function counters(gw) {
  return (await (await fetch(`${gw.url}/status`)).json()).deflate;
}

test('what is agreed to', async (t) => {
  const gw = await on(t, {
    locations: {
      '/socket.io/': { socketio_deflate: '1k' },
      '/off/': { socketio_deflate: 'off' }, '/default/': {},
    },
  });
  const rows = [
    [OFFER, AGREED],
    ['permessage-deflate; client_max_window_bits', AGREED],
    ['permessage-deflate; client_max_window_bits=9', AGREED],
    ['permessage-deflate; server_no_context_takeover', AGREED],
    ['permessage-deflate; server_max_window_bits=9; client_max_window_bits',
      `${AGREED}; server_max_window_bits=9`],
    ['permessage-deflate; server_max_window_bits=8',
      `${AGREED}; server_max_window_bits=8`],
    ['permessage-deflate; server_max_window_bits="15"',
      `${AGREED}; server_max_window_bits=15`],
    ['permessage-deflate; mux, permessage-deflate', AGREED],
    ['mux, permessage-deflate; server_max_window_bits=10, permessage-deflate',
      `${AGREED}; server_max_window_bits=10`],
    ['permessage-deflate; server_max_window_bits', undefined],
    ['permessage-deflate; server_max_window_bits=16', undefined],
    ['permessage-deflate; client_max_window_bits=7', undefined],
    ['permessage-deflate; server_no_context_takeover=1', undefined],
    ['permessage-deflate; client_no_context_takeover; '
     + 'client_no_context_takeover', undefined],
    ['x-webkit-deflate-frame', undefined],
    ['', undefined],
  ];

  for (const [offer, answer] of rows) {
    await t.test(offer || 'none', async () => {
      const ws = await gw.socket(offering(offer));
      assert.equal(ws.extensions, answer);
      assert.match(await ws.next(), /^0\{"sid"/);
    });
  }

  await t.test('in two headers', async () => {
    const ws = await gw.socket({ headers: {
      'Sec-WebSocket-Extensions': 'permessage-deflate; mux',
      'sec-websocket-extensions': 'permessage-deflate',
    } });
    assert.equal(ws.extensions, AGREED);
  });

  for (const offer of [';;;', 'permessage-deflate;', 'a b',
                       'permessage-deflate; client_max_window_bits="10']) {
    await t.test(`${offer}: refused`, async () => {
      const { status, body } = await gw.exchange(handshake(offering(offer)));
      assert.equal(status, 400);
      assert.match(body, /Sec-WebSocket-Extensions/);
    });
  }

  for (const where of ['off', 'default']) {
    for (const offer of [OFFER, ';;;']) {
      await t.test(`${where}, ${offer}: not looked at`, async () => {
        const ws = await gw.socket({
          path: `/${where}/?EIO=4&transport=websocket`, ...offering(offer),
        });
        assert.equal(ws.extensions, undefined);
        ws.write(deflated('3'));
        assert.equal(await ws.closing(), 1002);
      });
    }
  }
});

test('compressed messages of a client', async (t) => {
  const gw = await on(t);
  const connect = `40${JSON.stringify(gw.auth({ user: 'ann' }))}`;
  const packed = deflate(connect);
  const opened = async (options) => {
    const ws = await gw.socket({ ...offering(), ...options });
    await ws.next();
    return ws;
  };
  const ways = {
    'in one frame': (ws) => ws.write(deflated(connect)),
    'byte after byte': (ws) => ws.dribble(deflated(connect)),
    'in fragments, with a ping between': (ws) => ws.write(Buffer.concat([
      frame(OPCODE.text, packed.subarray(0, 9), FIRST),
      frame(OPCODE.ping, 'x'),
      frame(OPCODE.continuation, '', { fin: false }),
      frame(OPCODE.continuation, packed.subarray(9))])),
    'not compressed at all': (ws) => ws.text(connect),
    'in a stored block': (ws) => ws.write(text(
      deflate(connect, { level: 0 }), { rsv: 4 })),
    'in a final block': (ws) => ws.write(text(Buffer.concat([
      zlib.deflateRawSync(connect), Buffer.alloc(1)]),
      { rsv: 4 })),
  };

  for (const [name, send] of Object.entries(ways)) {
    await t.test(name, async () => {
      const ws = await opened();
      await send(ws);
      assert.match(await ws.next(), /^40\{"sid":/);
      assert.match(await ws.next(), /^42\["ready"/);
      await ws.roundTrip();
    });
  }

  await t.test('together with the handshake', async () => {
    const ws = await opened({ glue: deflated(connect) });
    assert.match(await ws.next(), /^40\{"sid":/);
  });

  await t.test('on a WebSocket that takes a session over', async () => {
    const polling = await gw.polling();
    const ws = await gw.socket({
      path: `/socket.io/?EIO=4&transport=websocket&sid=${polling.sid}`,
      ...offering(),
    });
    assert.equal(ws.extensions, AGREED);
    ws.write(deflated('2probe'));
    assert.equal(await ws.next(), '3probe');
  });

  const broken = {
    'bytes that are no such blocks': [text(Buffer.from('ffff', 'hex'),
                                           { rsv: 4 }), 1007],
    'a message that is cut off': [text(packed.subarray(0, 20),
                                       { rsv: 4 }), 1007],
    'a reference to the message before': [Buffer.concat([
      deflated('3'), text(Buffer.from('f200110000', 'hex'), { rsv: 4 })]),
    1007],
    'text that is no UTF-8': [deflated(Buffer.from('42["\xff"]', 'latin1')),
                              1007],
    'a compressed ping': [frame(OPCODE.ping, '', { rsv: 4 }), 1002],
    'a compressed close': [frame(OPCODE.close, '', { rsv: 4 }), 1002],
    'a fragment that says it is compressed': [Buffer.concat([
      frame(OPCODE.text, packed.subarray(0, 9), FIRST),
      frame(OPCODE.continuation, packed.subarray(9), { rsv: 4 })]), 1002],
    'another bit': [text('3', { rsv: 2 }), 1002],
  };

  for (const [name, [bytes, code]] of Object.entries(broken)) {
    await t.test(`${name}: ${code}`, async () => {
      const ws = await opened();
      ws.write(bytes);
      assert.equal(await ws.closing(), code);
    });
  }

  await t.test('limits of packets hold for what it becomes', async () => {
    for (const [depth, code] of [[63, undefined], [64, 1005]]) {
      const ws = await opened();
      ws.write(deflated(connect));
      await ws.next();
      ws.write(deflated(`42["e",${'['.repeat(depth)}${']'.repeat(depth)}]`));
      await ws.roundTrip();
      assert.equal(ws.closeCode, code, `${depth}`);
    }
  });
});

// What a worker may take for a message is what socketio_max_payload says, not
// what the message would become.
test('a bomb costs the connection, and no memory', async (t) => {
  const gw = await on(t);
  const bomb = deflated(Buffer.alloc(500 << 20, 'x'));
  const peak = () => peakOf(gw.nginx.workers()[0]);
  const good = await gw.socket(offering());

  await good.next();
  good.write(deflated('3'));
  await good.roundTrip();

  const before = peak();
  assert.ok(bomb.length < 1000000, `${bomb.length}`);

  for (let i = 0; i < 10; i++) {
    const ws = await gw.socket(offering());
    await ws.next();
    ws.write(bomb);
    assert.equal(await ws.closing(), 1009);
  }
  assert.ok(peak() - before < MOST, `${peak() - before} kB`);
  await good.roundTrip();

  await t.test('at the limit', async () => {
    for (const [size, code] of [[1000000, 1005], [1000001, 1009]]) {
      const ws = await gw.socket(offering());
      await ws.next();
      ws.write(deflated(`6${'x'.repeat(size - 1)}`));
      if (code === 1005) {
        await ws.roundTrip();
        ws.close();
      }
      assert.equal(await ws.closing(), code);
    }
  });
});

// They are all in the kernel when the worker wakes up, so it meets them in one
// turn of its event loop.
test('bombs at the same time cost the memory of one', async (t) => {
  const gw = await on(t);
  const [worker] = gw.nginx.workers();
  const bomb = deflate(Buffer.alloc(2 << 20, 'x'));
  const clients = await Promise.all(Array.from({ length: MANY }, async () => {
    const ws = await gw.socket(offering());
    await ws.next();
    ws.write(text(bomb.subarray(0, -9), FIRST));
    await ws.roundTrip();
    return ws;
  }));
  const before = peakOf(worker);

  await whileStopped(worker, () => clients.forEach((ws) => ws.write(
    frame(OPCODE.continuation, bomb.subarray(-9)))));
  for (const ws of clients) {
    assert.equal(await ws.closing(), 1009);
  }
  assert.ok(peakOf(worker) - before < MOST, `${peakOf(worker) - before} kB`);
});

// One who asks last does not wait for all that the others have sent before.
test('small messages that become large keep nobody waiting', async (t) => {
  const gw = await on(t);
  const [worker] = gw.nginx.workers();
  const large = deflated(`6${'x'.repeat(999999)}`);
  const many = Buffer.concat([
    ...Array.from({ length: 16 }, () => large), frame(OPCODE.ping, 'end')]);
  const opened = async (options) => {
    const ws = await gw.socket(options);
    await ws.next();
    await ws.roundTrip();
    return ws;
  };
  const plain = await opened();
  const clients = await Promise.all(
    Array.from({ length: 32 }, () => opened(offering())));
  const answered = (ws) => until(() => ws.pongs.length === 2, 'a pong');

  assert.ok(many.length <= 16384, `${many.length}`);
  await whileStopped(worker, () => {
    clients.forEach((ws) => ws.write(many));
    plain.ping('from another');
  });

  const start = performance.now();
  await answered(plain);
  const waited = performance.now() - start;
  await Promise.all(clients.map(answered));
  const all = performance.now() - start;
  t.diagnostic(`${Math.round(waited)} of ${Math.round(all)} ms`);
  assert.ok(waited < all / 5, `${waited} of ${all} ms`);
});

test('what is compressed for a client', async (t) => {
  const gw = await on(t);
  const small = await gw.rawConnect({
    user: 'small', ...offering(`${OFFER}; server_max_window_bits=11`) });
  const ann = await gw.rawConnect({ user: 'ann', ...offering() });
  const bytes = Buffer.alloc(5000, 'b');
  // Of the message: 42["e","..."] is 8 more than the argument.
  const cases = [
    ['below the least size', ['a'.repeat(1013)], 0, 0],
    ['of the least size', ['a'.repeat(1014)], 1, 1],
    ['as large as a small window', ['a'.repeat(2038)], 1, 1],
    ['larger than a small window', ['a'.repeat(2039)], 1, 0],
    ['larger than any window', ['abc\u00e4\u4e16'.repeat(30000)], 1, 0],
    ['attachments, whatever their size', [bytes], 0, 0],
    ['the text with attachments', ['a'.repeat(1500), bytes], 1, 1],
  ];

  for (const [name, args, forAnn, forSmall] of cases) {
    await t.test(name, async () => {
      const counts = [ann.ws.compressed, small.ws.compressed];
      gw.emitter.emit('e', ...args);
      await gw.settle(ann, small);
      for (const client of [ann, small]) {
        assert.deepEqual(client.received('e').at(-1), args);
      }
      assert.deepEqual([ann.ws.compressed - counts[0],
                        small.ws.compressed - counts[1]], [forAnn, forSmall]);
    });
  }
});

test('small texts', async (t) => {
  const gw = await on(t, { location: { socketio_deflate: '1' } });
  const ann = await gw.rawConnect({ user: 'ann', ...offering() });
  const least = await gw.rawConnect({
    user: 'least', ...offering(`${OFFER}; server_max_window_bits=8`) });
  const cases = [
    ['what does not shrink', 'q8Zx', 0, 0],
    ['what shrinks', 'aaaaaaaaaaaaaaaa', 1, 1],
    ['as large as the least window', 'a'.repeat(246), 1, 1],
    ['larger than the least window', 'a'.repeat(247), 1, 0],
  ];

  for (const [name, arg, forAnn, forLeast] of cases) {
    await t.test(name, async () => {
      const counts = [ann.ws.compressed, least.ws.compressed];
      const { records } = await counters(gw);
      gw.emitter.emit('e', arg);
      await until(() => [ann, least].every(
        (client) => client.received('e').at(-1)?.[0] === arg), 'they have it');
      assert.deepEqual([ann.ws.compressed - counts[0],
                        least.ws.compressed - counts[1]], [forAnn, forLeast]);
      assert.equal((await counters(gw)).records - records, forAnn);
    });
  }
});

eachWorkers([1, 2], 'a message is compressed once', async (t, workers) => {
  const gw = await on(t, { workers });
  const pack = Array.from({ length: 24 }, (_, i) => i);
  const clients = await Promise.all(pack.map((i) => gw.rawConnect({
    user: `u${i}`, rooms: ['r'], ...offering() })));
  const plain = await gw.rawConnect({ user: 'plain', rooms: ['r'] });
  const busy = new Set(gw.workersOf(clients)).size;
  const stream = new Stream(gw, 'r', { size: 2000 });
  const before = await counters(gw);

  for (let i = 0; i < 50; i++) {
    stream.publish();
  }
  await gw.settle(clients, plain);

  const after = await counters(gw);
  assert.equal(after.records - before.records, 50 * busy);
  assert.ok(after.in - before.in > 2000 * 50 * busy);
  assert.ok(after.out - before.out < 100 * 50 * busy);
  for (const client of clients) {
    assertNumbers(client, 1, 50);
    assert.equal(client.ws.compressed, 50);
  }
  assertNumbers(plain, 1, 50);
  assert.equal(plain.ws.compressed, 0);

  await t.test('and not at all if nobody wants it', async () => {
    clients.forEach((client) => client.close());
    await until(async () => {
      const page = await (await fetch(`${gw.url}/status`)).json();
      return page.connections.websocket === 1;
    }, 'they are gone');
    stream.publish();
    await gw.settle(plain);
    assert.deepEqual(await counters(gw), after);
  });
});

async function mixed(t, options) {
  const gw = await on(t, {
    listen: 'sndbuf=16k', workers: 2, ...options,
    block: { zone: '32m', log: '8m', recovery: '1m' },
    location: { socketio_deflate: '200', socketio_send_queue: '8m' },
  });
  const rooms = ['r'];
  const official = (user, more) => gw.connect({ user, rooms, ...more });
  const clients = await Promise.all([
    gw.rawConnect({ user: 'raw', rooms, ...offering() }),
    gw.rawConnect({ user: 'plain', rooms }),
    gw.pollingConnect({ user: 'polling', rooms }),
    official('stock', { perMessageDeflate: { threshold: 0 } }),
    official('stock upgraded', {
      perMessageDeflate: { threshold: 0 },
      transports: ['polling', 'websocket'] }),
    official('stock plain', { perMessageDeflate: false }),
  ]);
  const slow = await Promise.all([1, 2, 3].map((i) => gw.rawConnect({
    user: `slow${i}`, rooms, ...offering() })));
  const [witness] = clients;
  // Different texts that shrink by half or so.
  const filler = (i) => Array.from({ length: 30 + i % 300 }, (_, k) => (
    (k * 2654435761 + i * 40503 >>> 0).toString(16))).join('');

  slow.forEach(({ ws }) => ws.pause());
  for (let i = 1; i <= 2000; i++) {
    gw.emitter.to('r').emit('n', i, filler(i));
    if (i % 100 === 0) {
      await until(() => numbers(witness).at(-1) === i, 'the witness reads');
      // Now and then one of them goes on, from wherever it is.
      const { ws } = slow[i / 100 % 2];
      ws.resume();
      if (i % 300 === 0) {
        ws.pause();
      }
    }
  }
  slow.forEach(({ ws }) => ws.resume());
  await gw.settle(clients, slow);

  for (const client of [...clients, ...slow]) {
    assertNumbers(client, 1, 2000);
    for (const [n, body] of client.received('n')) {
      assert.equal(body, filler(n), `${client}, ${n}`);
    }
  }
  assert.ok(witness.ws.compressed > 1000, `${witness.ws.compressed}`);
  assert.ok(slow[2].ws.compressed < 1500, `${slow[2].ws.compressed}`);
}

test('clients of all kinds get the same', (t) => mixed(t));
test('clients of all kinds get the same over TLS', (t) => mixed(t, {
  tls: true,
}));

test('the stock client compresses, and is sent compressed', async (t) => {
  const gw = await on(t);
  const before = await counters(gw);
  const client = await gw.connect({
    user: 'ann', perMessageDeflate: { threshold: 100 },
  });
  const { ws } = client.socket.io.engine.transport;
  assert.match(ws.extensions, /permessage-deflate/);

  client.socket.emit('e', 'x'.repeat(100000));
  client.socket.emit('e', Buffer.alloc(100000));
  gw.emitter.emit('e', 'y'.repeat(100000), 1);
  assert.equal((await client.event('e'))[0], 'y'.repeat(100000));

  assert.ok(ws._socket.bytesWritten < 5000, `${ws._socket.bytesWritten}`);
  assert.ok(ws._socket.bytesRead < 5000, `${ws._socket.bytesRead}`);
  assert.equal((await counters(gw)).records, before.records + 1);
});

// What a client has missed, and what is for it alone, is not compressed: it
// comes in the right place among what is.
test('a client that is recovered', async (t) => {
  const gw = await on(t, { block: { recovery: '1m' } });
  const client = await gw.connect({
    user: 'ann', rooms: ['r'], perMessageDeflate: { threshold: 0 } });
  const stream = new Stream(gw, 'r', { size: 3000 });

  for (let i = 0; i < 3; i++) {
    for (let n = 0; n < 10; n++) {
      stream.publish();
    }
    await gw.settle(client);
    await client.away();
    for (let n = 0; n < 10; n++) {
      stream.publish();
    }
    assert.equal(await client.back(), true);
  }
  await gw.settle(client);
  assertNumbers(client, 1, 60);
});

test('sockets in several namespaces', async (t) => {
  const gw = await on(t, { block: { namespace: '/ /chat' } });
  const client = await gw.connect({
    user: 'ann', perMessageDeflate: { threshold: 0 } });
  const chat = client.of('/chat');
  await chat.ready();
  const { ws } = client.socket.io.engine.transport;
  const read = ws._socket.bytesRead;

  for (let i = 0; i < 20; i++) {
    gw.emitter.of('/chat').emit('n', i, 'c'.repeat(5000));
    gw.emitter.emit('n', i, 'd'.repeat(5000));
  }
  await client.event('n', 20);
  await chat.event('n', 20);
  assert.deepEqual(numbers(chat), Array.from({ length: 20 }, (_, i) => i));
  assert.deepEqual(numbers(client), Array.from({ length: 20 }, (_, i) => i));
  assert.ok(ws._socket.bytesRead - read < 10000);
});
