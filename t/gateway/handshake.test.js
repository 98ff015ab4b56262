'use strict';

// The Engine.IO handshake: what an accepted one says, and what is no WebSocket
// handshake.  The table (table.test.js) has the other refusals.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { ERRORS, assertBadUpgrade } = require('./lib/answers');
const { gateway } = require('./lib/gateway');
const { handshake, text } = require('./lib/ws');

const plain = (path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

const query = (text) => `/socket.io/?${text}`;

test('refusals of Upgrade requests', async (t) => {
  const gw = await gateway(t);

  const rows = [
    // name, what differs from a good handshake, body
    ['no key', { headers: { 'Sec-WebSocket-Key': null } },
      'Missing or invalid Sec-WebSocket-Key header'],
    ['short key', { headers: { 'Sec-WebSocket-Key': 'c2hvcnQ=' } },
      'Missing or invalid Sec-WebSocket-Key header'],
    ['key that is no base64',
      { headers: { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' } },
      'Missing or invalid Sec-WebSocket-Key header'],
    ['no version', { headers: { 'Sec-WebSocket-Version': null } },
      'Missing or invalid Sec-WebSocket-Version header'],
    ['version 7', { headers: { 'Sec-WebSocket-Version': '7' } },
      'Missing or invalid Sec-WebSocket-Version header'],
    ['other protocol', { headers: { Upgrade: 'h2c' } },
      'Invalid Upgrade header'],
  ];

  for (const [name, difference, body] of rows) {
    await t.test(name, async () => {
      assertBadUpgrade(await gw.exchange(handshake(difference)), body,
                       body.includes('Version')
                       && { 'sec-websocket-version': '13, 8' });
    });
  }

  await t.test('a POST with Upgrade is a bad handshake method', async () => {
    assertBadUpgrade(await gw.exchange(handshake({
      method: 'POST', headers: { 'Content-Length': '0' },
    })), ERRORS[2]);
  });
});

test('a refused connection can be used again', async (t) => {
  const gw = await gateway(t, { redis: false });
  const twice = plain(query('EIO=4')) + plain(query('EIO=4'));
  assert.equal((await gw.exchange(twice)).ended, false);
});

test('accepted handshakes', async (t) => {
  const gw = await gateway(t, {
    location: {
      socketio_ping_interval: '12345ms',
      socketio_ping_timeout: '7s',
      socketio_max_payload: '65432',
    },
  });

  await t.test('the 101 and its headers', async () => {
    const ws = await gw.socket();
    assert.equal(ws.head.status, 101);
    assert.equal(ws.head.headers.upgrade.toLowerCase(), 'websocket');
    assert.equal(ws.head.headers.connection.toLowerCase(), 'upgrade');
    assert.equal(ws.head.headers['sec-websocket-protocol'], undefined);
    assert.equal(ws.head.headers['sec-websocket-extensions'], undefined);
    assert.equal(ws.head.headers['content-length'], undefined);
    assert.equal(ws.head.headers['transfer-encoding'], undefined);
  });

  await t.test('the accept key of RFC 6455, 1.3', async () => {
    const ws = await gw.socket({
      headers: { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' },
    });
    assert.equal(ws.head.headers['sec-websocket-accept'],
                 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  });

  await t.test('the open packet, byte for byte', async () => {
    const ws = await gw.socket();
    const open = await ws.next();
    const [, sid] = /"sid":"([A-Za-z0-9_-]{20})"/.exec(open);
    assert.equal(open, `0{"sid":"${sid}","upgrades":[],"pingInterval":12345,`
                 + '"pingTimeout":7000,"maxPayload":65432}');
  });

  await t.test('every sid is another one', async () => {
    const sids = new Set();
    for (let i = 0; i < 50; i++) {
      const ws = await gw.socket();
      sids.add(JSON.parse((await ws.next()).slice(1)).sid);
    }
    assert.equal(sids.size, 50);
  });

  await t.test('the Socket.IO sid is not the Engine.IO sid', async () => {
    const ws = await gw.socket();
    const { sid } = JSON.parse((await ws.next()).slice(1));
    ws.text(`40${JSON.stringify(gw.auth())}`);
    const reply = await ws.next();
    assert.match(reply, /^40\{"sid":"[A-Za-z0-9_-]{20}"\}$/);
    assert.ok(!reply.includes(sid));
  });

  await t.test('the first subprotocol is echoed', async () => {
    const ws = await gw.socket({
      headers: { 'Sec-WebSocket-Protocol': 'chat, superchat' },
    });
    assert.equal(ws.head.headers['sec-websocket-protocol'], 'chat');
  });

  await t.test('permessage-deflate is not taken up', async () => {
    const ws = await gw.socket({
      headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
    });
    assert.equal(ws.head.headers['sec-websocket-extensions'], undefined);
  });

  const variants = [
    ['Upgrade in capitals', { headers: { Upgrade: 'WebSocket' } }],
    ['Connection with keep-alive',
      { headers: { Connection: 'keep-alive, Upgrade' } }],
    ['an empty sid', { path: query('EIO=4&transport=websocket&sid=') }],
    ['escaped names', { path: query('%45IO=%34&transport=websocket') }],
    ['the last EIO counts', { path: query('EIO=3&EIO=4&transport=websocket') }],
    ['unknown arguments',
      { path: query('a=b&EIO=4&t=x&transport=websocket&b') }],
    ['an Origin', { headers: { Origin: 'http://elsewhere.example' } }],
    ['a path below the location',
      { path: '/socket.io/more?EIO=4&transport=websocket' }],
  ];

  for (const [name, options] of variants) {
    await t.test(`${name}: accepted`, async () => {
      const ws = await gw.socket(options);
      assert.match(await ws.next(), /^0\{"sid":/);
    });
  }

  await t.test('the prefix ends with its slash', async () => {
    for (const path of ['/socket.iox/', '/SOCKET.IO/', '/']) {
      const { status } = await gw.exchange(
        plain(`${path}?EIO=4&transport=websocket`));
      assert.equal(status, 404);
    }
  });
});

test('bytes behind the handshake', async (t) => {
  const gw = await gateway(t);
  const connect = `40${JSON.stringify(gw.auth({ user: 'ann' }))}`;

  const expectJoined = async (ws) => {
    assert.match(await ws.next(), /^0\{/);
    assert.match(await ws.next(), /^40\{"sid":/);
    assert.equal(await ws.next(), '42["ready"]');
  };

  await t.test('CONNECT in the same segment', async () => {
    await expectJoined(await gw.socket({ glue: text(connect) }));
  });

  await t.test('half of CONNECT in the same segment', async () => {
    const bytes = text(connect);
    const ws = await gw.socket({ glue: bytes.subarray(0, 9) });
    ws.write(bytes.subarray(9));
    await expectJoined(ws);
  });

  await t.test('a long CONNECT in the same segment', async () => {
    const auth = { ...gw.auth({ user: 'ann' }), filler: 'x'.repeat(100000) };
    await expectJoined(
      await gw.socket({ glue: text(`40${JSON.stringify(auth)}`) }));
  });

  await t.test('CONNECT, a ping frame and a fault in the same segment',
    async () => {
      const ws = await gw.socket({
        glue: Buffer.concat([text(connect), text('9')]),
      });
      assert.match(await ws.next(), /^0\{/);
      assert.equal(await ws.closing(), 1005);
    });

  await t.test('the handshake byte by byte', async () => {
    const ws = await gw.socket({ dribble: true, glue: text(connect) });
    await expectJoined(ws);
  });
});
