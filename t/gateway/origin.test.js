'use strict';

// Which pages may use the gateway: socketio_origin, and CORS.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');
const { HttpConnection, request } = require('./lib/http');
const { Http2 } = require('./lib/http2');
const { handshake } = require('./lib/ws');
const { until, within } = require('./lib/expect');

const PAGE = 'https://chat.example';
const FOREIGN = 'https://evil.example';
const NOBODY = 'AAAAAAAAAAAAAAAAAAAA';
const FORBIDDEN = '{"code":4,"message":"Forbidden"}';

const polling = (rest = '') => `/socket.io/?EIO=4&transport=polling${rest}`;
const websocket = (rest = '') => (
  `/socket.io/?EIO=4&transport=websocket${rest}`);
const from = (origin, headers) => ({ headers: { Origin: origin, ...headers } });

/** The headers of CORS in an answer, by the ends of their names. */
function cors({ headers }) {
  return Object.fromEntries(Object.entries(headers)
    .filter(([name]) => /^(access-control-|vary$)/.test(name))
    .map(([name, value]) => [name.replace('access-control-', ''), value]));
}

const LISTED = {
  'allow-origin': PAGE, 'allow-credentials': 'true', vary: 'Origin',
};

/** What a request can be answered with: [name, async (gw, options)]. */
const ANSWERS = [
  ['a handshake', 200, (gw, options) => (
    gw.exchange(request('GET', polling(), options)))],
  ['a poll', 200, async (gw, options) => {
    const session = await gw.polling();
    await session.send(`40${JSON.stringify(gw.auth())}`);
    return session.get(options);
  }],
  ['a poll that was held', 200, async (gw, options) => {
    const session = await gw.polling(options);
    await session.join(gw.auth());
    const { answer } = await session.hold();
    gw.emitter.emit('hello');
    return answer;
  }],
  ['the last poll of a session', 200, async (gw, options) => {
    const session = await gw.polling();
    await session.send('42["early"]');
    return session.get(options);
  }],
  ['a POST', 200, async (gw, options) => (
    (await gw.polling()).post('6', options))],
  ['an unknown transport', 400, (gw, options) => (
    gw.exchange(request('GET', '/socket.io/?EIO=4&transport=foo', options)))],
  ['an unknown session', 400, (gw, options) => (
    gw.exchange(request('GET', polling(`&sid=${NOBODY}`), options)))],
  ['a bad method', 400, (gw, options) => (
    gw.exchange(request('POST', polling(), { body: '', ...options })))],
  ['a bad request', 400, (gw, options) => (
    gw.exchange(request('GET', websocket(), options)))],
  ['an older protocol', 400, (gw, options) => (
    gw.exchange(request('GET', '/socket.io/?EIO=3&transport=polling',
                        options)))],
  ['a binary POST', 400, async (gw, { headers }) => (
    (await gw.polling()).post('x', { headers: {
      ...headers, 'Content-Type': 'application/octet-stream' } }))],
  ['a large POST', 413, async (gw, options) => (
    (await gw.polling()).post('6'.repeat(2000), options))],
  ['a method that no session has', 500, async (gw, options) => (
    (await gw.polling()).request('PUT', options))],
  ['a WebSocket', 101, async (gw, options) => (
    (await gw.socket(options)).head)],
  ['the upgrade of a session', 101, async (gw, options) => {
    const session = await gw.polling();
    return (await gw.socket({ path: session.path('websocket'), ...options }))
      .head;
  }],
  ['a refused WebSocket', 400, (gw, options) => (
    gw.exchange(handshake({ path: websocket(`&sid=${NOBODY}`), ...options })))],
  ['an older protocol by WebSocket', 400, (gw, options) => (
    gw.exchange(handshake({ path: '/socket.io/?EIO=3&transport=websocket',
                            ...options })))],
];

const eachAnswer = async (t, gw, options, expected) => {
  for (const [name, status, answer] of ANSWERS) {
    await t.test(name, async () => {
      const got = await answer(gw, options);
      assert.equal(got.status, status);
      assert.deepEqual(cors(got), expected);
    });
  }
};

const limits = { socketio_max_payload: '1k' };

test('without socketio_origin nobody is refused or told anything',
  async (t) => {
    const gw = await gateway(t, { location: limits });

    await eachAnswer(t, gw, from(FOREIGN), {});

    await t.test('OPTIONS', async () => {
      const preflight = from(FOREIGN, {
        'Access-Control-Request-Method': 'POST' });
      const refused = await gw.exchange(request('OPTIONS', polling(),
                                                preflight));
      assert.equal(refused.status, 400);
      assert.equal(refused.body,
                   '{"code":2,"message":"Bad handshake method"}');
      assert.deepEqual(cors(refused), {});

      const session = await gw.polling();
      const other = await session.request('OPTIONS', preflight);
      assert.equal(other.status, 500);
      assert.deepEqual(cors(other), {});
      assert.ok(await session.alive());
    });
  });

test('every answer to a listed origin', async (t) => {
  const gw = await gateway(t, { location: {
    ...limits, socketio_origin: ['http://first.example', PAGE] } });
  await eachAnswer(t, gw, from(PAGE), LISTED);
});

test('every answer to a request without Origin', async (t) => {
  const gw = await gateway(t, { location: {
    ...limits, socketio_origin: PAGE } });
  await eachAnswer(t, gw, {}, { vary: 'Origin' });
  await t.test('an empty one is none', (t) => (
    eachAnswer(t, gw, from(''), { vary: 'Origin' })));
});

test('every answer where any origin will do', async (t) => {
  const gw = await gateway(t, { location: {
    ...limits, socketio_origin: '*' } });
  for (const options of [from(FOREIGN), from('null'), {}]) {
    await eachAnswer(t, gw, options, { 'allow-origin': '*' });
  }
});

test('a full zone, too, is told to the page', async (t) => {
  const gw = await gateway(t, {
    redis: false, block: { zone: '1m' }, location: { socketio_origin: PAGE },
  });
  const several = async () => {
    const connection = await HttpConnection.open(gw.where);
    t.after(() => connection.destroy());
    return within(Promise.all(Array.from({ length: 200 }, () => (
      connection.send(request('GET', polling(), from(PAGE)))))), 'answers');
  };

  const refused = await until(async () => (
    (await several()).find(({ status }) => status !== 200)), 'a full zone');
  assert.equal(refused.status, 503);
  assert.deepEqual(cors(refused), LISTED);
});

test('a foreign origin', async (t) => {
  const gw = await gateway(t, {
    location: { socketio_origin: PAGE },
    server: { 'location = /status': { socketio_status: 'mew' } },
  });
  const counted = async () => {
    const { body } = await gw.exchange(request('GET', '/status'));
    const { handshakes, upgrades } = JSON.parse(body);
    return { handshakes, upgrades };
  };

  const expectRefused = (answer) => {
    assert.equal(answer.status, 403);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(answer.body, FORBIDDEN);
    assert.deepEqual(cors(answer), { vary: 'Origin' });
  };

  await t.test('gets no session', async () => {
    const before = await counted();
    expectRefused(await gw.exchange(request('GET', polling(), from(FOREIGN))));
    expectRefused(await gw.exchange(handshake(from(FOREIGN))));
    assert.deepEqual(await counted(), before);
  });

  await t.test('gets nothing of a session', async () => {
    const session = await gw.polled({ user: 'ann' });
    const { answer } = await session.hold();
    expectRefused(await session.get(from(FOREIGN)));
    expectRefused(await session.post('1', from(FOREIGN)));
    expectRefused(await session.request('PUT', from(FOREIGN)));
    expectRefused(await gw.exchange(handshake({
      path: session.path('websocket'), ...from(FOREIGN) })));

    gw.emitter.emit('hello');
    assert.equal((await answer).body, '42["hello"]');

    const ws = await gw.socket({ path: session.path('websocket'),
                                 ...from(PAGE) });
    ws.text('2probe');
    assert.equal(await ws.next(), '3probe');
  });

  await t.test('is refused whatever else is wrong', async () => {
    for (const path of ['/socket.io/', '/socket.io/?EIO=3&transport=polling',
                        polling(`&sid=${NOBODY}`), websocket()]) {
      expectRefused(await gw.exchange(request('GET', path, from(FOREIGN))));
    }
    expectRefused(await gw.exchange(handshake({
      headers: { Origin: FOREIGN, 'Sec-WebSocket-Version': '7' } })));
  });

  await t.test('a polling connection stays, a WebSocket ends', async () => {
    const connection = await HttpConnection.open(gw.where);
    t.after(() => connection.destroy());
    const get = request('GET', polling(), from(FOREIGN));
    expectRefused(await connection.send(get));
    expectRefused(await connection.send(
      request('POST', polling(), { body: 'x'.repeat(100), ...from(FOREIGN) })));
    const last = await connection.send(Buffer.from(handshake(from(FOREIGN))));
    expectRefused(last);
    assert.equal(last.headers.connection, 'close');
    await until(() => connection.ended, 'the end of the connection');
  });

  await t.test('the log says so', () => {
    assert.ok(gw.nginx.log(/\[info\].*origin "https:\/\/evil\.example" is/)
      .length > 0);
  });

  for (const transport of ['polling', 'websocket']) {
    await t.test(`official clients by ${transport}`, async () => {
      const client = gw.client({ user: 'ann', transports: [transport],
                                 extraHeaders: { Origin: FOREIGN } });
      await until(() => client.failures.length > 1, 'it is refused twice');
      assert.equal(client.connects, 0);
      assert.match(client.failures[0].message,
                   transport === 'polling' ? /xhr poll/ : /websocket/);
      client.close();

      const page = await gw.connect({ user: 'ann', transports: [transport],
                                      extraHeaders: { Origin: PAGE } });
      gw.emitter.to('user:ann').emit('hello');
      await page.event('hello');
    });
  }
});

test('which origins are the same', async (t) => {
  const gw = await gateway(t, { location: {
    socketio_origin: [
      PAGE, 'http://Plain.Example:80 HTTPS://PORTS.example:8443',
      'capacitor://localhost http://[2001:DB8::1]:3000',
    ],
  } });

  const rows = [
    [PAGE, true],
    ['HTTPS://Chat.Example', true],
    ['https://chat.example:443', true],
    ['http://plain.example', true],
    ['http://plain.example:80', true],
    ['https://ports.example:8443', true],
    ['capacitor://localhost', true],
    ['http://[2001:db8::1]:3000', true],

    ['http://chat.example', false],
    ['https://chat.example:80', false],
    ['https://chat.example:8443', false],
    ['https://chat.example/', false],
    ['https://chat.example.', false],
    ['https://chat.exampl', false],
    ['https://chat.example.evil.example', false],
    ['https://www.chat.example', false],
    ['https://chat_example', false],
    ['chat.example', false],
    ['https://plain.example', false],
    ['http://plain.example:443', false],
    ['https://ports.example', false],
    ['https://ports.example:443', false],
    ['capacitor://localhost:80', false],
    ['http://[2001:db8::1]', false],
    [`${PAGE} http://plain.example`, false],
    [`${PAGE}, http://plain.example`, false],
    ['null', false],
    ['*', false],
    ['https://*', false],
    ['https://', false],
    ['https://:443', false],
    [':443', false],
    ['x', false],
    ['\xff'.repeat(20), false],
  ];

  for (const [origin, allowed] of rows) {
    await t.test(`${origin}: ${allowed ? 'taken' : 'refused'}`, async () => {
      const bytes = Buffer.from(
        `GET ${polling()} HTTP/1.1\r\nHost: localhost\r\n`
        + `Origin: ${origin}\r\n\r\n`, 'latin1');
      const answer = await gw.exchange(bytes);
      assert.equal(answer.status, allowed ? 200 : 403);
      assert.equal(answer.headers['access-control-allow-origin'],
                   allowed ? origin : undefined);
    });
  }
});

test('a preflight', async (t) => {
  const gw = await gateway(t, { locations: {
    '/socket.io/': { socketio_origin: PAGE },
    '/any/': { socketio_origin: '*' },
  } });
  const METHOD = 'Access-Control-Request-Method';
  const HEADERS = 'Access-Control-Request-Headers';
  const options = (path, headers, body) => (
    gw.exchange(request('OPTIONS', path, { headers, body })));

  const expectDone = (answer, expected) => {
    assert.equal(answer.status, 204);
    assert.equal(answer.reason, 'No Content');
    assert.equal(answer.headers['content-length'], '0');
    assert.equal(answer.headers['content-type'], undefined);
    assert.equal(answer.headers['transfer-encoding'], undefined);
    assert.deepEqual(cors(answer), {
      'allow-methods': 'GET,POST', 'max-age': '86400', ...expected });
  };
  const both = { vary: 'Origin, Access-Control-Request-Headers' };

  const paths = ['', '?EIO=4&transport=polling', '?EIO=3&transport=foo',
                 `?EIO=4&transport=polling&sid=${NOBODY}`];

  for (const rest of paths) {
    await t.test(`from a listed origin: ${rest}`, async () => {
      const path = `/socket.io/${rest}`;
      expectDone(await options(path, { Origin: PAGE, [METHOD]: 'POST' }),
                 { ...LISTED, ...both });
      expectDone(await options(path, {
        Origin: PAGE, [METHOD]: 'GET', [HEADERS]: 'authorization,x-a' }),
                 { ...LISTED, ...both, 'allow-headers': 'authorization,x-a' });
      expectDone(await options(path, {
        Origin: PAGE, [METHOD]: 'GET', [HEADERS]: '' }),
                 { ...LISTED, ...both });
    });

    await t.test(`from any origin: ${rest}`, async () => {
      expectDone(await options(`/any/${rest}`, {
        Origin: FOREIGN, [METHOD]: 'GET', [HEADERS]: 'x-a' }),
                 { 'allow-origin': '*', 'allow-headers': 'x-a',
                   vary: 'Access-Control-Request-Headers' });
    });

    await t.test(`from a foreign origin: ${rest}`, async () => {
      const answer = await options(`/socket.io/${rest}`, {
        Origin: FOREIGN, [METHOD]: 'GET', [HEADERS]: 'x-a' });
      assert.equal(answer.status, 403);
      assert.equal(answer.body, FORBIDDEN);
      assert.deepEqual(cors(answer), both);
    });
  }

  await t.test('of a session, which goes on', async () => {
    const session = await gw.polled({ user: 'ann' });
    expectDone(await options(session.path(), {
      Origin: PAGE, [METHOD]: 'POST' }), { ...LISTED, ...both });
    assert.ok(await session.alive());
  });

  await t.test('without Origin', async () => {
    expectDone(await options(polling(), { [METHOD]: 'POST' }), both);
  });

  await t.test('OPTIONS that is none', async () => {
    const answer = await options(polling(), { Origin: PAGE });
    assert.equal(answer.status, 400);
    assert.equal(answer.body, '{"code":2,"message":"Bad handshake method"}');
    assert.deepEqual(cors(answer), LISTED);
  });

  await t.test('the connection is used again', async () => {
    const connection = await HttpConnection.open(gw.where);
    t.after(() => connection.destroy());
    const headers = { Origin: PAGE, [METHOD]: 'POST' };
    for (const body of [undefined, 'x'.repeat(100), undefined]) {
      expectDone(await within(connection.send(
        request('OPTIONS', polling(), { headers, body })), 'an answer'),
                 { ...LISTED, ...both });
    }
    const { status } = await within(connection.send(
      request('GET', polling(), from(PAGE))), 'an answer');
    assert.equal(status, 200);
  });
});

test('HTTP/2', async (t) => {
  const gw = await gateway(t, {
    tls: true, listen: 'http2', location: { socketio_origin: PAGE },
  });
  const h2 = await Http2.open(gw, t);
  const ask = (method, path, headers, body) => (
    h2.request(method, path, body, headers).answer);

  const open = await ask('GET', polling(), { origin: PAGE });
  assert.equal(open.status, 200);
  assert.deepEqual(cors(open), LISTED);

  const { sid } = JSON.parse(open.body.slice(1));
  const posted = await ask('POST', polling(`&sid=${sid}`), { origin: PAGE },
                           `40${JSON.stringify(gw.auth())}`);
  assert.equal(posted.body, 'ok');
  assert.deepEqual(cors(posted), LISTED);

  const unknown = await ask('GET', polling(`&sid=${NOBODY}`),
                            { origin: PAGE });
  assert.equal(unknown.status, 400);
  assert.deepEqual(cors(unknown), LISTED);

  const foreign = await ask('GET', polling(`&sid=${sid}`),
                            { origin: FOREIGN });
  assert.equal(foreign.status, 403);
  assert.equal(foreign.body, FORBIDDEN);
  assert.deepEqual(cors(foreign), { vary: 'Origin' });

  const preflight = await ask('OPTIONS', polling(`&sid=${NOBODY}`), {
    origin: PAGE,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization',
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.body, '');
  assert.deepEqual(cors(preflight), {
    ...LISTED, vary: 'Origin, Access-Control-Request-Headers',
    'allow-methods': 'GET,POST', 'allow-headers': 'authorization',
    'max-age': '86400',
  });
});

test('origins are inherited as a whole', async (t) => {
  const gw = await gateway(t, {
    http: { socketio_origin: 'https://http.example' },
    server: { socketio_origin: ['https://a.example', 'https://b.example'] },
    locations: {
      '/inherits/': {},
      '/own/': { socketio_origin: 'https://c.example' },
      '/any/': { socketio_origin: '*' },
      '/if/': { 'if ($arg_x)': { set: '$y 1' } },
    },
  });

  for (const [path, expected] of [
    ['/inherits/', 'ab'], ['/own/', 'c'], ['/any/', 'abch'], ['/if/', 'ab'],
    ['/if/?x=1&', 'ab'],
  ]) {
    await t.test(path, async () => {
      const allowed = [];
      for (const name of ['a', 'b', 'c', 'http']) {
        const { status } = await gw.exchange(request(
          'GET', `${path}${path.includes('?') ? '' : '?'}EIO=4&transport=${
            'polling'}`, from(`https://${name}.example`)));
        if (status === 200) {
          allowed.push(name[0]);
        }
      }
      assert.equal(allowed.join(''), expected);
    });
  }
});
