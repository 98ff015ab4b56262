'use strict';

// The opening handshake of RFC 6455, section 4: what is refused, what is
// accepted, and how the answer looks, however the request is cut.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');

const { gateway } = require('./lib/gateway');
const { Fence } = require('./lib/fence');
const { dial, HttpConnection } = require('./lib/http');
const { WebSocketClient, text, frame, OPCODE } = require('./lib/ws');
const { until, within } = require('./lib/expect');

const PATH = '/socket.io/?EIO=4&transport=websocket';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const accept = (key) => (
  crypto.createHash('sha1').update(key + GUID).digest('base64'));

/** The lines of a good request; a difference replaces those of its names. */
const GOOD = [
  ['Host', 'localhost'], ['Upgrade', 'websocket'], ['Connection', 'Upgrade'],
  ['Sec-WebSocket-Key', KEY], ['Sec-WebSocket-Version', '13'],
];

/**
 * A request.  lines: { name: value }, a list for several lines, [] for none;
 * they stand in the place of the good one, or behind them.
 */
function request({ method = 'GET', path = PATH, version = 'HTTP/1.1',
                   lines = {}, body = '' } = {}) {
  const rest = { ...lines };
  const all = GOOD.flatMap(([name, value]) => {
    const key = Object.keys(rest).find(
      (other) => other.toLowerCase() === name.toLowerCase());
    if (key === undefined) {
      return [[name, value]];
    }
    const values = [].concat(rest[key]);
    delete rest[key];
    return values.map((one) => [key, one]);
  });
  for (const [name, values] of Object.entries(rest)) {
    all.push(...[].concat(values).map((one) => [name, one]));
  }
  return `${method} ${path} ${version}\r\n${
    all.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
}

const UPGRADE = 'Invalid Upgrade header';
const MISSING_KEY = 'Missing or invalid Sec-WebSocket-Key header';
const VERSION = 'Missing or invalid Sec-WebSocket-Version header';
const PROTOCOL = 'Invalid Sec-WebSocket-Protocol header';
const METHOD = 'Bad handshake method';
const BAD = 'Bad request';
const JSON_BAD = '{"code":3,"message":"Bad request"}';

const one = (name, value) => ({ lines: { [name]: value } });

// name, what differs from a good request, the body of the 400 (null: any)
const REFUSED = [
  ['POST', { method: 'POST', ...one('Content-Length', '0') }, METHOD],
  ['PUT', { method: 'PUT', ...one('Content-Length', '0') }, METHOD],
  ['HEAD', { method: 'HEAD' }, ''],
  ['OPTIONS', { method: 'OPTIONS' }, METHOD],
  ['DELETE', { method: 'DELETE' }, METHOD],
  ['HTTP/1.0', { version: 'HTTP/1.0' }, UPGRADE],
  ['no Host', one('Host', []), null],
  ['two Hosts', one('Host', ['a', 'b']), null],

  ['no Upgrade', one('Upgrade', []), JSON_BAD],
  ['an empty Upgrade', one('Upgrade', ''), UPGRADE],
  ['another protocol', one('Upgrade', 'h2c'), UPGRADE],
  ['a list of protocols', one('Upgrade', 'websocket, h2c'), UPGRADE],
  ['websocket with a version', one('Upgrade', 'websocket/13'), UPGRADE],
  ['part of the token', one('Upgrade', 'web'), UPGRADE],
  ['more than the token', one('Upgrade', 'websockets'), UPGRADE],
  ['two Upgrades', one('Upgrade', ['websocket', 'websocket']), UPGRADE],
  ['two Upgrades, the second of another protocol',
    one('Upgrade', ['websocket', 'h2c']), UPGRADE],

  ['no Connection', one('Connection', []), JSON_BAD],
  ['an empty Connection', one('Connection', ''), JSON_BAD],
  ['Connection: close', one('Connection', 'close'), JSON_BAD],
  ['Connection: keep-alive', one('Connection', 'keep-alive'), JSON_BAD],
  ['Connection: upgraded', one('Connection', 'upgraded'), JSON_BAD],
  ['Connection: x-upgrade', one('Connection', 'x-upgrade'), JSON_BAD],
  ['Connection: up grade', one('Connection', 'up grade'), JSON_BAD],
  ['Connection: no-upgrade, keep-alive',
    one('Connection', 'no-upgrade, keep-alive'), JSON_BAD],

  ['no key', one('Sec-WebSocket-Key', []), MISSING_KEY],
  ['an empty key', one('Sec-WebSocket-Key', ''), MISSING_KEY],
  ['a key of 15 bytes', one('Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAA'),
    MISSING_KEY],
  ['a key of 17 bytes', one('Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAAAAA='),
    MISSING_KEY],
  ['a key of 18 bytes', one('Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAAAAAA'),
    MISSING_KEY],
  ['a key without its padding',
    one('Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAAAA'), MISSING_KEY],
  ['a key with half of its padding',
    one('Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAAAA='), MISSING_KEY],
  ['a key with other padding',
    one('Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAAAA=A'), MISSING_KEY],
  ['a key with padding in front',
    one('Sec-WebSocket-Key', '==AAAAAAAAAAAAAAAAAAAAAA'), MISSING_KEY],
  ['a key with padding inside',
    one('Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAA=AAAA=='), MISSING_KEY],
  ['a key of other characters',
    one('Sec-WebSocket-Key', '!!!!!!!!!!!!!!!!!!!!!!=='), MISSING_KEY],
  ['a key in the alphabet of URLs',
    one('Sec-WebSocket-Key', '-_AAAAAAAAAAAAAAAAAAAA=='), MISSING_KEY],
  ['a key with a blank inside',
    one('Sec-WebSocket-Key', 'AAAAAAAAAAA AAAAAAAAAA=='), MISSING_KEY],
  ['a key with a comma', one('Sec-WebSocket-Key', `${KEY},${KEY}`),
    MISSING_KEY],
  ['two keys', one('Sec-WebSocket-Key', [KEY, KEY]), MISSING_KEY],
  ['two keys, the second bad', one('Sec-WebSocket-Key', [KEY, 'x']),
    MISSING_KEY],

  ['no version', one('Sec-WebSocket-Version', []), VERSION],
  ['an empty version', one('Sec-WebSocket-Version', ''), VERSION],
  ...['0', '1', '7', '9', '12', '14', '99', '130', '1', '3', 'x', '13.0',
      '0x0d', '13, 8', '13,13', '-13', '256', '4294967309'].map((value) => (
    [`version ${value}`, one('Sec-WebSocket-Version', value), VERSION])),
  ['two versions', one('Sec-WebSocket-Version', ['13', '13']), VERSION],
  ['two versions, the second unknown',
    one('Sec-WebSocket-Version', ['13', '99']), VERSION],

  ['an empty subprotocol', one('Sec-WebSocket-Protocol', ''), PROTOCOL],
  ['a list that begins with a comma', one('Sec-WebSocket-Protocol', ',a'),
    PROTOCOL],
  ['a list that ends with a comma', one('Sec-WebSocket-Protocol', 'a,'),
    PROTOCOL],
  ['a hole in the list', one('Sec-WebSocket-Protocol', 'a,,b'), PROTOCOL],
  ['a subprotocol of two words', one('Sec-WebSocket-Protocol', 'a b'),
    PROTOCOL],
  ['a subprotocol with a separator', one('Sec-WebSocket-Protocol', 'a, b/c'),
    PROTOCOL],
  ['a subprotocol in quotes', one('Sec-WebSocket-Protocol', '"a"'), PROTOCOL],
  ['a subprotocol that is not ASCII',
    one('Sec-WebSocket-Protocol', 'caf\u00e9'), PROTOCOL],
  ['a bad subprotocol in a second line',
    one('Sec-WebSocket-Protocol', ['a', '(b)']), PROTOCOL],

  ['a body', { ...one('Content-Length', '5'), body: 'hello' }, BAD],
  ['a body in chunks',
    { ...one('Transfer-Encoding', 'chunked'), body: '1\r\nx\r\n0\r\n\r\n' },
    BAD],
];

// name, what differs, headers of the 101 besides the usual three
const ACCEPTED = [
  ['a good request', {}],
  ['Upgrade: WebSocket', one('Upgrade', 'WebSocket')],
  ['Upgrade: WEBSOCKET', one('Upgrade', 'WEBSOCKET')],
  ['blanks around Upgrade', one('Upgrade', '  websocket  ')],
  ['Connection: upgrade', one('Connection', 'upgrade')],
  ['Connection: UPGRADE', one('Connection', 'UPGRADE')],
  ['Connection: keep-alive, Upgrade',
    one('Connection', 'keep-alive, Upgrade')],
  ['Connection: Upgrade, keep-alive',
    one('Connection', 'Upgrade, keep-alive')],
  ['Connection without blanks', one('Connection', 'keep-alive,Upgrade,x')],
  ['Connection with holes and tabs', one('Connection', ', \t,\tUpgrade\t, ')],
  ['Connection in two lines', one('Connection', ['keep-alive', 'Upgrade'])],
  ['Connection in two lines, Upgrade first',
    one('Connection', ['Upgrade', 'keep-alive'])],
  ['names in lower case', { lines: {
    host: 'a', upgrade: 'websocket', connection: 'upgrade',
    'sec-websocket-key': KEY, 'sec-websocket-version': '13',
  } }],
  ['names in capitals', { lines: {
    HOST: 'a', UPGRADE: 'websocket', CONNECTION: 'upgrade',
    'SEC-WEBSOCKET-KEY': KEY, 'SEC-WEBSOCKET-VERSION': '13',
  } }],
  ['blanks around the key', one('Sec-WebSocket-Key', `  ${KEY}  `)],
  ...['AAAAAAAAAAAAAAAAAAAAAA==', 'AQIDBAUGBwgJCgsMDQ4PEC==',
      '+/+/+/+/+/+/+/+/+/+/+w==', 'x3JJHMbDL1EzLkh9GBhXDw=='].map((key) => (
    [`the key ${key}`, one('Sec-WebSocket-Key', key),
     { 'sec-websocket-accept': accept(key) }])),
  ['version 8, which has the same frames', one('Sec-WebSocket-Version', '8')],
  ['an empty body', one('Content-Length', '0')],
  ['an Origin', one('Origin', 'https://elsewhere.example')],
  ['cookies and the rest of a browser', { lines: {
    'User-Agent': 'x'.repeat(300), Cookie: 'a=b; c=d', Pragma: 'no-cache',
    'Cache-Control': 'no-cache', 'Accept-Language': 'en',
    'Accept-Encoding': 'gzip, deflate, br', Origin: 'https://a.example',
    'Sec-Fetch-Mode': 'websocket',
  } }],
  ['a request of more than 4 kilobytes', one('Cookie', 'x'.repeat(4000))],

  ['a subprotocol', one('Sec-WebSocket-Protocol', 'chat'),
    { 'sec-websocket-protocol': 'chat' }],
  ['two subprotocols', one('Sec-WebSocket-Protocol', 'a, b'),
    { 'sec-websocket-protocol': 'a' }],
  ['subprotocols without blanks', one('Sec-WebSocket-Protocol', 'a,b,c'),
    { 'sec-websocket-protocol': 'a' }],
  ['subprotocols with many blanks',
    one('Sec-WebSocket-Protocol', ' \ta\t ,\t b '),
    { 'sec-websocket-protocol': 'a' }],
  ['subprotocols in two lines', one('Sec-WebSocket-Protocol', ['b', 'a']),
    { 'sec-websocket-protocol': 'b' }],
  ['a subprotocol of all characters that a token may have',
    one('Sec-WebSocket-Protocol', "!#$%&'*+-.^_`|~09azAZ"),
    { 'sec-websocket-protocol': "!#$%&'*+-.^_`|~09azAZ" }],

  ...['permessage-deflate', 'permessage-deflate; client_max_window_bits',
      'x-webkit-deflate-frame', 'foo; bar=1, baz', ';;;', ''].map((value) => (
    [`the extension "${value}"`, one('Sec-WebSocket-Extensions', value)])),
  ['extensions in two lines',
    one('Sec-WebSocket-Extensions', ['permessage-deflate', 'foo'])],
];

/** Sends pieces; each one goes when nginx has read the one before. */
async function send(fence, socket, pieces) {
  for (const [i, piece] of pieces.entries()) {
    if (i > 0) {
      await fence.pass();
    }
    socket.write(piece);
  }
}

const whole = (bytes) => [bytes];
const dribbled = (bytes) => {
  const step = Math.ceil(bytes.length / 700);
  return Array.from({ length: Math.ceil(bytes.length / step) },
                    (_, i) => bytes.subarray(i * step, (i + 1) * step));
};
const split = (at) => (bytes) => [bytes.subarray(0, at), bytes.subarray(at)];
const halved = (bytes) => split(bytes.length >> 1)(bytes);

async function refused(gw, fence, bytes, cut, body) {
  const connection = await HttpConnection.open(gw.where);
  try {
    const pieces = cut(bytes);
    // the first piece tells the method only if it is long enough
    const answer = connection.send(bytes.subarray(0, 0));
    connection.waiting[0].method = bytes.toString('latin1').split(' ', 1)[0];
    await send(fence, connection.socket, pieces);
    const it = await within(answer, 'an answer');

    assert.equal(it.status, 400);
    assert.equal(it.headers['sec-websocket-accept'], undefined);
    if (body !== null) {
      assert.equal(it.body, body);
    }
    assert.equal(it.headers['sec-websocket-version'],
                 body === VERSION ? '13, 8' : undefined);
    if (![null, '', JSON_BAD].includes(body)) {
      assert.equal(it.headers['content-type'], 'text/html');
      assert.equal(it.headers.connection, 'close');
      await until(() => connection.ended, 'the connection ends');
    }
  } finally {
    connection.destroy();
  }
}

/** What goes right behind a handshake that is to be accepted. */
const BEHIND = Buffer.concat([text('40/a,'), frame(OPCODE.ping, 'p')]);

async function accepted(gw, fence, bytes, cut, headers = {}) {
  const frames = [];
  const ws = new WebSocketClient(await dial(gw.where), {
    onframe: (opcode, payload) => frames.push([opcode, payload.toString()]),
  });
  try {
    await send(fence, ws.socket, cut(Buffer.concat([bytes, BEHIND])));
    await until(() => frames.length === 3 || ws.closed, 'three frames');

    assert.equal(ws.head.status, 101);
    assert.equal(ws.head.reason, 'Switching Protocols');
    const { date, server, ...others } = ws.head.headers;
    assert.deepEqual(others, {
      connection: 'upgrade', upgrade: 'websocket',
      'sec-websocket-accept': accept(KEY), ...headers,
    });
    assert.match(frames[0][1], /^0\{"sid":/);
    assert.deepEqual(frames.slice(1), [
      [OPCODE.text, '44/a,{"message":"Invalid namespace"}'],
      [OPCODE.pong, 'p'],
    ]);
  } finally {
    ws.destroy();
  }
}

for (const tls of [false, true]) {
  test(tls ? 'over TLS' : 'handshakes', { concurrency: 16 }, async (t) => {
    const gw = await gateway(t, { tls });
    const fence = await Fence.open(gw);
    let runs = 0;

    const subtest = (judge, [name, difference, expected]) => t.test(
      `${judge.name}: ${name}`, async () => {
        const bytes = Buffer.from(request(difference));
        // What nginx refuses itself is refused before all of it has come.
        const once = tls || expected === null;
        for (const cut of once ? [whole] : [whole, halved, dribbled]) {
          await judge(gw, fence, bytes, cut, expected);
          runs++;
        }
      });

    await Promise.all([
      ...REFUSED.map((row) => subtest(refused, row)),
      ...ACCEPTED.map((row) => subtest(accepted, row)),
    ]);
    t.diagnostic(`${REFUSED.length + ACCEPTED.length} cases, ${runs} runs`);
  });
}

test('where the handshake ends', async (t) => {
  const gw = await gateway(t);
  const fence = await Fence.open(gw);
  const good = Buffer.from(request());

  await t.test('cut at every byte, and of the frames behind it', async () => {
    const { length } = Buffer.concat([good, BEHIND]);
    for (let at = 1; at < length; at++) {
      await accepted(gw, fence, good, split(at));
    }
  });

  const polls = {
    'a refused request': ['GET /socket.io/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    'an opened poll': ['GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n'
                       + 'Host: a\r\n\r\n', 200],
    'a large request': [
      `GET /socket.io/ HTTP/1.1\r\nHost: a\r\nCookie: ${
        'x'.repeat(6000)}\r\n\r\n`, 400],
  };
  const both = /^HTTP\/1\.1 (\d+) .*HTTP\/1\.1 101 .*44\/a,.*\x8a\x01p$/s;

  for (const [name, [before, status]] of Object.entries(polls)) {
    await t.test(`on a connection that has had ${name}`, async () => {
      const head = Buffer.from(before);
      const bytes = Buffer.concat([head, good, BEHIND]);
      for (const cut of [whole, split(head.length), halved,
                         split(head.length + good.length)]) {
        const socket = await dial(gw.where);
        let got = '';
        socket.on('data', (chunk) => { got += chunk.toString('latin1'); });
        await send(fence, socket, cut(bytes));
        await until(() => both.test(got), () => `both answers, not ${got}`);
        assert.equal(Number(both.exec(got)[1]), status);
        socket.destroy();
      }
    });
  }

  // A WebSocket is opened by a GET only, whether it is the first transport of
  // its session or the second one.
  await t.test('another method for a session that polls', async () => {
    const session = await gw.polling();
    const path = `${PATH}&sid=${session.sid}`;
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD']) {
      const bytes = Buffer.from(request({ method, path }));
      await refused(gw, fence, bytes, whole, method === 'HEAD' ? '' : METHOD);
    }
    const ws = await gw.socket({ path });
    ws.text('2probe');
    assert.equal(await ws.next(), '3probe');
  });
});
