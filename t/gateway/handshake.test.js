'use strict';

// The Engine.IO handshake: what is refused and how, what an accepted one says.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');
const { handshake, text } = require('./lib/ws');

const MESSAGES = [
  'Transport unknown', 'Session ID unknown', 'Bad handshake method',
  'Bad request', 'Forbidden', 'Unsupported protocol version',
];

const plain = (path, method = 'GET') => {
  const body = ['GET', 'HEAD'].includes(method) ? '' : 'Content-Length: 0\r\n';
  return `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${body}\r\n`;
};

const query = (text) => `/socket.io/?${text}`;

test('refusals of plain requests', async (t) => {
  const gw = await gateway(t);

  const rows = [
    // method, query, code
    ['GET', '', 0],
    ['GET', 'EIO=4', 0],
    ['GET', 'EIO=4&transport=', 0],
    ['GET', 'EIO=4&transport=foo', 0],
    ['GET', 'EIO=4&transport=WEBSOCKET', 0],
    ['GET', 'EIO=4&transport=webtransport', 0],
    ['GET', 'EIO=4&transport=constructor', 0],
    ['GET', 'EIO=3&transport=foo', 0],
    ['POST', 'EIO=4&transport=foo', 0],
    ['GET', 'EIO=4&transport=websocket&transport=foo', 0],
    ['GET', 'EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA', 1],
    ['GET', 'EIO=4&transport=websocket&sid=__proto__', 1],
    ['GET', `EIO=4&transport=websocket&sid=${'x'.repeat(3000)}`, 1],
    ['POST', 'EIO=4&transport=websocket&sid=x', 1],
    ['POST', 'EIO=4&transport=websocket', 2],
    ['PUT', 'EIO=4&transport=websocket', 2],
    ['DELETE', 'EIO=4&transport=websocket', 2],
    ['OPTIONS', 'EIO=4&transport=websocket', 2],
    ['GET', 'EIO=4&transport=websocket', 3],
    ['GET', 'EIO=4&transport=websocket&sid=', 3],
    ['GET', 'EIO=3&transport=websocket', 3],
    ['GET', 'EIO=4&transport=foo&transport=websocket', 3],
    ['GET', 'EIO=4&%74ransport=web%73ocket', 3],
  ];

  for (const [method, args, code] of rows) {
    await t.test(`${method} ?${args.slice(0, 60)} gives ${code}`, async () => {
      const answer = await gw.exchange(plain(query(args), method));
      assert.equal(answer.status, 400);
      assert.equal(answer.headers['content-type'], 'application/json');
      assert.equal(answer.headers['cache-control'], undefined);
      assert.equal(answer.headers['access-control-allow-origin'], undefined);
      assert.equal(answer.body,
                   `{"code":${code},"message":"${MESSAGES[code]}"}`);
    });
  }

  await t.test('HEAD gets the headers only', async () => {
    const answer = await gw.exchange(
      plain(query('EIO=4&transport=websocket'), 'HEAD'));
    assert.equal(answer.status, 400);
    assert.equal(answer.body, '');
  });

  await t.test('a refused connection can be used again', async () => {
    const twice = plain(query('EIO=4')) + plain(query('EIO=4'));
    assert.equal((await gw.exchange(twice)).ended, false);
  });
});

test('refusals of Upgrade requests', async (t) => {
  const gw = await gateway(t);

  const rows = [
    // name, what differs from a good handshake, body
    ['no EIO', { path: query('transport=websocket') }, MESSAGES[5]],
    ['EIO=3', { path: query('EIO=3&transport=websocket') }, MESSAGES[5]],
    ['EIO=5', { path: query('EIO=5&transport=websocket') }, MESSAGES[5]],
    ['EIO=04', { path: query('EIO=04&transport=websocket') }, MESSAGES[5]],
    ['the last EIO counts', { path: query('EIO=4&EIO=3&transport=websocket') },
      MESSAGES[5]],
    ['no transport', { path: query('EIO=4') }, MESSAGES[0]],
    ['transport=foo', { path: query('EIO=4&transport=foo') }, MESSAGES[0]],
    ['unknown sid', { path: query('EIO=4&transport=websocket&sid=nobody') },
      MESSAGES[1]],
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
      const answer = await gw.exchange(handshake(difference));
      assert.equal(answer.status, 400);
      assert.equal(answer.reason, 'Bad Request');
      assert.equal(answer.headers['content-type'], 'text/html');
      assert.equal(answer.headers.connection, 'close');
      assert.equal(answer.headers['content-length'], String(body.length));
      assert.equal(answer.body, body);
      if (body.includes('Version')) {
        assert.match(answer.headers['sec-websocket-version'], /\b13\b/);
      }
    });
  }

  await t.test('a POST with Upgrade is a bad handshake method', async () => {
    const answer = await gw.exchange(handshake({
      method: 'POST', headers: { 'Content-Length': '0' },
    }));
    assert.equal(answer.status, 400);
    assert.ok(answer.body.includes(MESSAGES[2]), answer.body);
  });
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
