'use strict';

// Where a token may stand: socketio_auth_token.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');

const { gateway } = require('./lib/gateway');
const { request } = require('./lib/http');
const { Http2 } = require('./lib/http2');
const { sign } = require('./lib/token');

const USER = { p: 'paula', h: 'hans', q: 'queenie' };
const token = (who) => sign({ id: USER[who] });
const bearer = (text) => ({ Authorization: `Bearer ${text}` });

/** The payload, headers and arguments that show these texts as tokens. */
function show({ p, h, q }) {
  return {
    payload: p === undefined ? {} : { token: p },
    headers: h === undefined ? {} : bearer(h),
    query: q === undefined ? '' : `&token=${q}`,
  };
}

/** What comes of a CONNECT: the name of the user, or the code of a refusal. */
const verdict = (packet, rest) => (
  packet.startsWith('44') ? JSON.parse(packet.slice(2)).data.code : rest());

async function byWebSocket(gw, location, { payload, headers, query }) {
  const ws = await gw.socket({
    path: `${location}?EIO=4&transport=websocket${query}`, headers });
  await ws.next();
  ws.text(`40${JSON.stringify(payload)}`);

  return verdict(await ws.next(), async () => {
    assert.equal(await ws.next(), '42["ready"]');
    for (const user of Object.values(USER)) {
      gw.emitter.to(`user:${user}`).emit('user', user);
    }
    const [message] = await gw.drain(ws);
    return JSON.parse(message.slice(2))[1];
  });
}

/** The same; only the POST of the CONNECT has what the options say. */
async function byPolling(gw, location, { payload, headers, query }) {
  const session = await gw.polling({ path: location });
  const answer = await session.post(`40${JSON.stringify(payload)}`, {
    path: session.path() + query, headers });
  assert.equal(answer.body, 'ok');

  return verdict(await session.next(), async () => {
    assert.equal(await session.next(), '42["ready"]');
    for (const user of Object.values(USER)) {
      gw.emitter.to(`user:${user}`).emit('user', user);
    }
    return JSON.parse((await session.next()).slice(2))[1];
  });
}

const TRANSPORTS = { websocket: byWebSocket, polling: byPolling };

test('the first source that has a token wins', async (t) => {
  const SOURCES = {
    default: null,
    p: 'payload',
    h: 'header',
    q: 'query',
    ph: 'header payload',
    pq: 'query payload',
    hq: 'query header',
    phq: 'query header payload',
  };
  const gw = await gateway(t, {
    locations: Object.fromEntries(Object.entries(SOURCES).map(
      ([name, values]) => [`/${name}/`, { socketio_auth_token: values }])),
  });

  for (const [name, values] of Object.entries(SOURCES)) {
    for (const given of ['', 'p', 'h', 'q', 'ph', 'pq', 'hq', 'phq']) {
      const allowed = name === 'default' ? 'ph' : name;
      const winner = [...'phq'].find((source) => (
        allowed.includes(source) && given.includes(source)));
      const expected = winner ? USER[winner] : 'token_missing';

      await t.test(`${values || 'by default'}, given "${given}": ${expected}`,
        async () => {
          const shown = show(Object.fromEntries([...given].map(
            (source) => [source, token(source)])));
          for (const connect of Object.values(TRANSPORTS)) {
            assert.equal(await connect(gw, `/${name}/`, shown), expected);
          }
        });
    }
  }
});

test('what counts as a token', async (t) => {
  const gw = await gateway(t, { locations: {
    '/all/': { socketio_auth_token: 'payload header query' },
    '/query/': { socketio_auth_token: 'query' },
  } });
  const q = token('q');
  const escaped = q.replace(/[^%]/g, (c) => (
    `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`));
  const expired = sign({ id: 'late', exp: 1 });

  const rows = [
    ['a bad one in the payload wins', { p: 'bad', h: token('h'), q },
      'token_invalid'],
    ['a payload that is no text wins', { p: 1, h: token('h') },
      'token_invalid'],
    ['an empty one in the payload does not', { p: '', h: token('h') },
      USER.h],
    ['null in the payload does not', { p: null, q }, USER.q],
    ['a bad one in the header wins', { h: 'bad', q }, 'token_invalid'],
    ['an expired one in the header wins', { h: expired, q }, 'token_expired'],
    ['an empty header does not', { h: '', q }, USER.q],
    ['a bad one in the query', { q: 'bad' }, 'token_invalid'],
    ['an expired one in the query', { q: expired }, 'token_expired'],
    ['an empty one in the query', { q: '' }, 'token_missing'],
    ['escapes in the query', { q: escaped }, USER.q],
    ['a few escapes in the query', { q: q.replaceAll('.', '%2e') }, USER.q],
    ['a space in the query', { q: `${q}+` }, 'token_invalid'],
    ['bytes that are no text in the query', { q: '%ff%fe' },
      'token_invalid'],
    ['NUL in the query', { q: `${q}%00` }, 'token_invalid'],
    ['half an escape in the query', { q: `${q}%2` }, 'token_invalid'],
    ['the last one in the query', { q: `bad&token=${q}` }, USER.q],
    ['the last one, though empty', { q: `${q}&token=` }, 'token_missing'],
    ['others beside it', { q: `${q}&t=1&b64=1` }, USER.q],
  ];

  for (const [name, given, expected] of rows) {
    for (const [transport, connect] of Object.entries(TRANSPORTS)) {
      await t.test(`${name}, ${transport}`, async () => {
        assert.equal(await connect(gw, '/all/', show(given)), expected);
      });
    }
  }

  for (const [transport, connect] of Object.entries(TRANSPORTS)) {
    await t.test(`other schemes are passed over, ${transport}`, async () => {
      assert.equal(await connect(gw, '/all/', {
        ...show({ q }), headers: { Authorization: 'Basic Ym9iOng=' } }),
                   USER.q);
    });

    await t.test(`an escaped name, ${transport}`, async () => {
      assert.equal(await connect(gw, '/query/', {
        ...show({}), query: `&%74oken=${q}` }), USER.q);
    });

    await t.test(`a name in capitals is another one, ${transport}`,
      async () => {
        assert.equal(await connect(gw, '/query/', {
          ...show({}), query: `&Token=${q}` }), 'token_missing');
      });
  }

  await t.test('the request without the CONNECT does not count', async () => {
    const session = await gw.polling({ path: '/query/', query: `&token=${q}` });
    await session.post('40{}', {
      path: session.path().replace(`&token=${q}`, '') });
    assert.match(await session.next(), /token_missing/);
  });
});

test('official clients', async (t) => {
  const gw = await gateway(t, {
    location: { socketio_auth_token: 'query header' } });

  for (const transports of [['websocket'], ['polling'],
                            ['polling', 'websocket']]) {
    await t.test(`by the query, ${transports}`, async () => {
      const client = await gw.connect({ auth: {}, transports,
                                        query: { token: token('q') } });
      gw.emitter.to(`user:${USER.q}`).emit('hello');
      await client.event('hello');
    });

    await t.test(`by a header, ${transports}`, async () => {
      const client = await gw.connect({ auth: {}, transports,
                                        query: { token: token('q') },
                                        extraHeaders: bearer(token('h')) });
      gw.emitter.to(`user:${USER.h}`).emit('hello');
      await client.event('hello');
    });

    await t.test(`a payload that nobody asks for, ${transports}`, async () => {
      const client = gw.client({ user: USER.p, transports });
      assert.equal((await client.refusal()).data.code, 'token_missing');
    });
  }
});

test('settings are inherited', async (t) => {
  const gw = await gateway(t, {
    http: { socketio_auth_token: 'payload' },
    server: { socketio_auth_token: 'query' },
    locations: { '/inherits/': {}, '/own/': { socketio_auth_token: 'header' } },
  });
  const all = show({ p: token('p'), h: token('h'), q: token('q') });
  assert.equal(await byWebSocket(gw, '/inherits/', all), USER.q);
  assert.equal(await byWebSocket(gw, '/own/', all), USER.h);
});

// What is hidden from the logs must not be the configuration itself.
test('a token that the configuration adds', async (t) => {
  const args = `?EIO=4&transport=websocket&token=${token('q')}`;
  const gw = await gateway(t, {
    location: { socketio_auth_token: 'query' },
    server: {
      error_page: `404 /socket.io/${args}`,
      rewrite: `^/old/ /socket.io/${args}?`,
    },
  });

  for (const where of ['/missing/', '/missing/', '/old/', '/old/']) {
    assert.equal(await byWebSocket(gw, where, show({})), USER.q);
  }
});

for (const sources of [null, 'payload header query']) {
  // The error log has the request line behind each line about a request.
  test(`no token in any log, ${sources || 'by default'}`, async (t) => {
    let log;
    const gw = await gateway(t, {
      tls: true,
      listen: 'http2',
      http: { log_format: 'all "$request|$request_uri|$args|$query_string|'
                          + '$arg_token|$arg_EIO"' },
      location: { socketio_auth_token: sources,
                  socketio_origin: 'https://chat.example' },
      setup: (it) => {
        log = path.join(it.dir, 'access.log');
        it.options.server = { access_log: `${log} all`,
                              rewrite: '^/old/ /socket.io/?old=1' };
      },
    });
    const SIGN = 'signature-never-to-be-shown';
    const good = token('q');
    const texts = [good, SIGN, `%${SIGN.charCodeAt(0).toString(16)}${
      SIGN.slice(1)}`, `x&token=${SIGN}`, `${SIGN}&token=`];
    const secrets = [good.split('.').pop(), SIGN.slice(1)];
    const h2 = await Http2.open(gw, t);
    let count = 0;

    for (const text of texts) {
      const query = `&token=${text}`;
      await byWebSocket(gw, '/socket.io/', { payload: {}, headers: {}, query });
      await byPolling(gw, '/socket.io/', { payload: {}, headers: {}, query });

      // refused, over HTTP/1 and HTTP/2
      for (const [where, origin] of [
        ['/socket.io/?EIO=4&transport=polling&sid=nobody',
          'https://chat.example'],
        ['/socket.io/?EIO=3&transport=websocket', 'https://chat.example'],
        ['/socket.io/?EIO=4&transport=polling', 'https://evil.example'],
        ['/old/?EIO=4&transport=polling&sid=nobody', 'https://chat.example'],
      ]) {
        const url = where + query;
        const { status } = await gw.exchange(request('GET', url, {
          headers: { Origin: origin } }));
        const answer = await h2.request('GET', url, undefined,
                                        { origin }).answer;
        assert.ok([400, 403].includes(status));
        assert.equal(answer.status, status);
        count++;
      }
    }
    await gw.nginx.stop();

    const access = fs.readFileSync(log, 'utf8').split('\n');
    const errors = gw.nginx.log(/./);

    for (const version of ['1.1', '2.0']) {
      const found = (lines, pattern) => lines.filter((line) => (
        pattern.test(line) && line.includes(` HTTP/${version}`))).length;
      assert.ok(found(access, /GET .*EIO=.*&token=\*/) >= count);
      assert.ok(found(errors, /refused.*GET .*EIO=.*&token=\*/) >= count);
    }
    assert.deepEqual([...access, ...errors].filter((line) => (
      secrets.some((secret) => line.includes(secret)))), []);
  });
}
