'use strict';

// RFC 6455 framing, Engine.IO timers, TLS: how bytes and time are handled, as
// far as it is not in the table (table.test.js).

const crypto = require('node:crypto');
const { test } = require('node:test');
const assert = require('node:assert/strict');

const { RawClient } = require('./lib/client');
const { freePort } = require('./lib/processes');
const { gateway } = require('./lib/gateway');
const { frame, text, OPCODE } = require('./lib/ws');
const { until } = require('./lib/expect');
const { teller } = require('./lib/proxy');

const LIMIT = 1000000;

test('framing', async (t) => {
  const gw = await gateway(t);
  const connect = `40${JSON.stringify(gw.auth({ user: 'ann' }))}`;

  /** A WebSocket that has its open packet and has sent nothing. */
  const opened = async () => {
    const ws = await gw.socket();
    await ws.next();
    return ws;
  };
  const expectReply = async (ws) => {
    assert.match(await ws.next(), /^40\{"sid":/);
    assert.equal(await ws.next(), '42["ready"]');
  };

  await t.test('a message in two fragments', async () => {
    const ws = await opened();
    ws.write(text(connect.slice(0, 7), { fin: false }));
    ws.write(frame(OPCODE.continuation, connect.slice(7)));
    await expectReply(ws);
  });

  await t.test('a fragment for every byte, empty ones in between', async () => {
    const ws = await opened();
    const pieces = [...connect].flatMap((c) => ['', c]);
    ws.write(Buffer.concat([
      text('', { fin: false }),
      ...pieces.map((c) => frame(OPCODE.continuation, c, { fin: false })),
      frame(OPCODE.continuation, ''),
    ]));
    await expectReply(ws);
  });

  await t.test('byte by byte', async () => {
    const ws = await opened();
    await ws.dribble(text(connect));
    await expectReply(ws);
  });

  await t.test('byte by byte, fragments and control frames', async () => {
    const ws = await opened();
    await ws.dribble(Buffer.concat([
      text(connect.slice(0, 5), { fin: false }),
      frame(OPCODE.ping, 'between'),
      frame(OPCODE.continuation, connect.slice(5)),
    ]));
    await expectReply(ws);
    assert.deepEqual(ws.pongs, ['between']);
  });

  await t.test('split at every byte', async () => {
    const bytes = Buffer.concat([
      text('40{"x":1}', { fin: false }), frame(OPCODE.ping, 'p'),
      frame(OPCODE.continuation, ''), frame(OPCODE.ping, 'q'),
    ]);
    for (let at = 1; at < bytes.length; at++) {
      const ws = await opened();
      await ws.dribble(bytes.subarray(0, at));
      ws.write(bytes.subarray(at));
      assert.match(await ws.next(), /^44\{.*token_missing/);
      await until(() => ws.pongs.length === 2, 'both pongs');
      assert.deepEqual(ws.pongs, ['p', 'q']);
      ws.destroy();
    }
  });

  await t.test('a thousand pipelined frames', async () => {
    const ws = await opened();
    const frames = Array.from({ length: 1000 }, (_, i) => (
      i % 10 ? text(`42["noise",${i}]`) : frame(OPCODE.ping, String(i))));
    ws.write(Buffer.concat([text(connect), frame(OPCODE.ping, 'first')]));
    await expectReply(ws);
    ws.write(Buffer.concat(frames));
    await until(() => ws.pongs.length === 101, 'all pongs');
    assert.deepEqual(ws.pongs.slice(1),
                     Array.from({ length: 100 }, (_, i) => String(i * 10)));
  });

  await t.test('ping frames of every length get their pong', async () => {
    const ws = await opened();
    for (const length of [0, 1, 124, 125]) {
      ws.ping('x'.repeat(length));
    }
    await until(() => ws.pongs.length === 4, 'four pongs');
    assert.deepEqual(ws.pongs.map((p) => p.length), [0, 1, 124, 125]);
  });

  await t.test('an unasked pong frame does no harm', async () => {
    const ws = await gw.joined();
    ws.write(frame(OPCODE.pong, 'hello'));
    assert.deepEqual(await gw.drain(ws), []);
  });

  await t.test('a close frame is echoed with its code', async () => {
    for (const [code, echoed] of [[undefined, 1005], [1000, 1000],
                                  [1001, 1001], [3000, 3000], [4999, 4999]]) {
      const ws = await gw.joined();
      ws.echo = false;
      ws.close(code, code ? 'done' : '');
      assert.equal(await ws.closing(), echoed);
      await ws.ended;
    }
  });

  // The answer to a close frame arrives although the client goes on to send:
  // what comes behind the close frame is read, and thrown away.
  await t.test('a close frame in front of much data is answered', async () => {
    const ws = await gw.joined();
    const witness = await opened();
    ws.echo = false;
    ws.pause();
    ws.close(1000, 'bye');
    ws.write(frame(OPCODE.binary, Buffer.alloc(900000)));
    await witness.roundTrip();
    ws.resume();
    assert.equal(await ws.closing(), 1000);
    await ws.ended;
    assert.equal(ws.failure, undefined);
  });

  await t.test('nothing is read behind a close frame', async () => {
    const ws = await opened();
    ws.echo = false;
    ws.write(Buffer.concat([frame(OPCODE.close), text(connect)]));
    assert.equal(await ws.closing(), 1005);
    await ws.ended;
    assert.deepEqual(ws.messages, []);
  });

  const faults = [
    // what is sent, the code of the close frame
    ['RSV2', text('3', { rsv: 2 }), 1002],
    ['RSV3', text('3', { rsv: 1 }), 1002],
    ['opcode 3', frame(3, 'x'), 1002],
    ['opcode 11', frame(11, 'x'), 1002],
    ['a continuation of nothing', frame(OPCODE.continuation, 'x'), 1002],
    ['a message inside a message',
      Buffer.concat([text('3', { fin: false }), text('3')]), 1002],
    ['a fragmented ping', frame(OPCODE.ping, 'x', { fin: false }), 1002],
    ['a ping of 126 bytes', frame(OPCODE.ping, 'x'.repeat(126)), 1002],
    ['a close frame of one byte', frame(OPCODE.close, 'x'), 1002],
    ['close code 1005', frame(OPCODE.close, [3, 237]), 1002],
    ['close code 999', frame(OPCODE.close, [3, 231]), 1002],
    ['a close reason that is no UTF-8',
      frame(OPCODE.close, [3, 232, 0xff]), 1007],
    ['UTF-8 that ends too early', text([0x34, 0xc3]), 1007],
    ['a surrogate', text([0x34, 0xed, 0xa0, 0x80]), 1007],
    ['an overlong NUL', text([0x34, 0xc0, 0x80]), 1007],
    ['broken UTF-8 over two fragments',
      Buffer.concat([text([0x34, 0xe2, 0x82], { fin: false }),
                     frame(OPCODE.continuation, [0x34])]), 1007],
  ];

  for (const [name, bytes, code] of faults) {
    await t.test(`${name} closes with ${code}`, async () => {
      const ws = await gw.joined();
      ws.write(bytes);
      assert.equal(await ws.closing(), code);
    });
  }

  await t.test('a character over two fragments is fine', async () => {
    const ws = await gw.joined();
    const bytes = Buffer.from('42["noise","\u20ac \u{1f600}"]');
    for (let at = 11; at < bytes.length; at++) {
      ws.write(text(bytes.subarray(0, at), { fin: false }));
      ws.write(frame(OPCODE.continuation, bytes.subarray(at)));
    }
    assert.deepEqual(await gw.drain(ws), []);
  });
});

test('the largest message', async (t) => {
  const gw = await gateway(t);
  const event = (length) => `42["noise","${'x'.repeat(length - 14)}"]`;

  await t.test('exactly socketio_max_payload bytes in fragments', async () => {
    const ws = await gw.joined();
    const message = event(LIMIT);
    ws.write(text(message.slice(0, LIMIT - 1), { fin: false }));
    ws.write(frame(OPCODE.continuation, message.slice(LIMIT - 1)));
    assert.deepEqual(await gw.drain(ws), []);
  });

  await t.test('the header alone is enough to be refused', async () => {
    const ws = await gw.joined();
    const head = Buffer.alloc(14);
    head[0] = 0x81;
    head[1] = 0xff;
    head.writeBigUInt64BE(1n << 40n, 2);
    ws.write(head);
    assert.equal(await ws.closing(), 1009);
  });

  await t.test('a length with its highest bit set', async () => {
    const ws = await gw.joined();
    const head = Buffer.alloc(14, 0xff);
    head[0] = 0x81;
    ws.write(head);
    assert.ok([1002, 1009].includes(await ws.closing()));
  });
});

test('connections that just go away', async (t) => {
  const gw = await gateway(t);
  const witness = await gw.rawConnect({ user: 'witness' });

  const states = {
    'right after the open packet': () => gw.socket(),
    'with half a frame sent': async () => {
      const ws = await gw.socket();
      ws.write(text('40{"token":"x"}').subarray(0, 9));
      return ws;
    },
    'with half a message sent': async () => {
      const ws = await gw.socket();
      ws.write(text('40', { fin: false }));
      return ws;
    },
    'with CONNECT under way': async () => {
      const ws = await gw.socket();
      ws.text(`40${JSON.stringify(gw.auth({ user: 'gone' }))}`);
      return ws;
    },
    'when joined': () => gw.joined({ user: 'gone', rooms: ['r'] }),
    'after a close frame': async () => {
      const ws = await gw.joined({ user: 'gone', rooms: ['r'] });
      ws.close(1000);
      return ws;
    },
  };

  for (const [name, make] of Object.entries(states)) {
    for (const how of ['destroy', 'reset']) {
      await t.test(`${name}, ${how}`, async () => {
        const ws = await make();
        ws[how]();
        await ws.ended;
        gw.emitter.to('r').emit('to nobody', 'x'.repeat(1000));
        await gw.settle(witness);
      });
    }
  }
});

test('heartbeat', async (t) => {
  const INTERVAL = 300;
  const TIMEOUT = 200;
  const SLACK = 100;
  const gw = await gateway(t, {
    location: {
      socketio_ping_interval: `${INTERVAL}ms`,
      socketio_ping_timeout: `${TIMEOUT}ms`,
    },
  });
  await gw.live();

  const now = () => performance.now();
  const near = (actual, expected) => assert.ok(
    Math.abs(actual - expected) <= SLACK, `${actual} ms, not ${expected} ms`);

  await t.test('the next ping comes an interval after the pong', async () => {
    const ws = await gw.joined();
    for (let i = 0; i < 4; i++) {
      assert.equal(await ws.next(), '2');
      const start = now();
      ws.text('3');
      assert.equal(await ws.next(), '2');
      near(now() - start, INTERVAL);
      ws.text('3');
    }
  });

  await t.test('ping frames are no heartbeat', async () => {
    const ws = await gw.joined();
    const start = now();
    const pings = setInterval(() => ws.ping('alive'), 50);
    try {
      assert.equal(await ws.closing(), 1005);
    } finally {
      clearInterval(pings);
    }
    near(now() - start, INTERVAL + TIMEOUT);
  });

  await t.test('what the server sends is no heartbeat', async () => {
    const client = await gw.rawClient({ user: 'ann' });
    client.ws.onmessage = () => {};
    const start = now();
    const events = setInterval(() => gw.emitter.emit('noise'), 50);
    try {
      assert.equal(await client.ws.closing(), 1005);
    } finally {
      clearInterval(events);
    }
    near(now() - start, INTERVAL + TIMEOUT);
  });

  await t.test('an official client stays for many intervals', async () => {
    const client = await gw.connect({ user: 'ann' });
    let pings = 0;
    client.socket.io.on('ping', () => pings++);
    await until(() => pings >= 5, 'five pings');
    assert.deepEqual(client.disconnects, []);
  });

  await t.test('a hundred clients that came together', async () => {
    const sockets = await Promise.all(
      Array.from({ length: 100 }, () => gw.socket()));
    const start = now();
    const ends = await Promise.all(sockets.map(async (ws) => {
      await ws.closing();
      return now() - start;
    }));
    assert.ok(Math.max(...ends) <= INTERVAL + TIMEOUT + 2 * SLACK,
              `the last one after ${Math.max(...ends)} ms`);
  });
});

test('TLS', async (t) => {
  const gw = await gateway(t, { tls: true, listen: 'sndbuf=8k' });

  await t.test('an official client', async () => {
    const client = await gw.connect({ user: 'ann', rooms: ['r'] });
    const big = { text: 'x'.repeat(400000), list: [1, 2, 3] };
    gw.emitter.to('r').emit('big', big);
    gw.emitter.to('r').emit('small', 1);
    await client.event('small');
    assert.deepEqual(await client.event('big'), [big]);
  });

  await t.test('CONNECT glued to the handshake', async () => {
    const ws = await gw.socket({
      glue: text(`40${JSON.stringify(gw.auth({ user: 'bob' }))}`),
    });
    await ws.next();
    assert.match(await ws.next(), /^40\{"sid":/);
  });

  await t.test('byte by byte', async () => {
    const ws = await gw.socket();
    await ws.next();
    await ws.dribble(text(`40${JSON.stringify(gw.auth({ user: 'cid' }))}`));
    assert.match(await ws.next(), /^40\{"sid":/);
  });

  await t.test('a reader with pauses gets every byte in order', async () => {
    const ws = await gw.joined({ user: 'slow' });
    const messages = Array.from({ length: 100 },
      (_, i) => `${i}:${'abcdefgh'.repeat(i * 10)}`);

    ws.pause();
    for (const message of messages) {
      gw.emitter.to('user:slow').emit('n', message);
    }
    gw.emitter.to('user:slow').emit('marker', 'end');
    for (const message of messages) {
      ws.resume();
      assert.equal(await ws.next(), JSON.stringify(['n', message])
        .replace(/^/, '42'));
      ws.pause();
    }
  });
});

// What nginx knows of a connection outlives the request that it began with.
test('whichever way the addresses of a connection are known', async (t) => {
  // freePort() has its ports on another address, too, which "*" would meet.
  const wild = crypto.randomInt(10000, 12000);
  const told = await freePort();
  const gw = await gateway(t, {
    workers: 1,
    server: {
      listen: [`*:${wild}`, `127.0.0.1:${wild}`,
               `127.0.0.1:${told} proxy_protocol`],
    },
  });
  const lines = () => gw.nginx.log(
    /client closed: transport close while .*, client: 127\.0\.0\.1, /);
  const ports = {
    'several addresses on one port': wild,
    'a proxy that tells another one': await teller(t, told),
  };

  for (const [i, [name, port]] of Object.entries(ports).entries()) {
    await t.test(name, async () => {
      const auth = gw.auth({ user: 'ann' });
      const client = await RawClient.open({ port }, { name, auth });
      await client.ready();

      gw.emitter.to('user:ann').emit('e', name);
      await client.eventWith('e', name);
      client.close();
      await until(() => lines().length === i + 1, 'a line for its end');
    });
  }
});
