'use strict';

// Rows of the table about requests and their refusals.

const assert = require('node:assert/strict');

const {
  ERRORS, assertBadUpgrade, assertEmpty, assertError, assertOk, assertPayload,
} = require('./answers');
const { request } = require('./http');
const { handshake } = require('./ws');
const { SID } = require('./subject');

const query = (text) => `/socket.io/?${text}`;

const withBody = (method) => (['GET', 'HEAD'].includes(method) ? {}
  : { body: '' });

/** A request that is refused, whatever else there is. */
const refused = (row, code, method, args) => ({
  row,
  name: `${method} ?${args.slice(0, 60)}`,
  run: async (s) => {
    const answer = await s.exchange(request(method, query(args),
                                            withBody(method)));
    if (method === 'HEAD') {
      assert.equal(answer.status, 400);
      assert.equal(answer.headers['content-type'], 'application/json');
    } else {
      assertError(answer, code);
    }
    await s.open();
  },
});

/** The same by a session that goes on. */
const refusedBySession = (row, name, ask) => ({
  row,
  name,
  run: async (s) => {
    const session = await s.polling();
    await ask(session);
    await s.open();
    await session.send('40');
    assert.match(await session.next(), /^40\{"sid":/);
  },
});

/** A WebSocket that has taken a polling session over. */
async function upgraded(s) {
  const session = await s.polling();
  const ws = await s.upgrade({ path: session.path('websocket') });
  ws.text('2probe');
  assert.equal(await ws.next(), '3probe');
  ws.text('5');
  await ws.roundTrip();
  return { path: session.path(), ws };
}

/** A session that never was anything else. */
async function fromTheStart(s) {
  const ws = await s.upgrade();
  const { sid } = JSON.parse((await ws.next()).slice(1));
  return { path: query(`EIO=4&transport=polling&sid=${sid}`), ws };
}

/** An Upgrade that is refused, and how the reference does it, if it differs. */
const refusedUpgrade = (row, args, text, reference) => ({
  row,
  name: `Upgrade ?${args}`,
  run: async (s) => {
    if (s.pick(false, reference)) {
      await reference(await s.upgrade({ path: query(args) }));
    } else {
      assertBadUpgrade(await s.exchange(handshake({ path: query(args) })),
                       text);
    }
    await s.open();
  },
});

const row4 = [{
  row: '4',
  name: 'an empty sid, polling',
  run: async (s) => {
    const answer = await s.exchange(
      request('GET', query('EIO=4&transport=polling&sid=')));
    const { sid } = JSON.parse(answer.body.slice(1));

    assert.match(sid, new RegExp(`^${SID}$`));
    assertPayload(answer, `0{"sid":"${sid}","upgrades":["websocket"],`
                  + '"pingInterval":25000,"pingTimeout":20000,'
                  + '"maxPayload":1000000}');
    assertOk(await s.exchange(request(
      'POST', query(`EIO=4&transport=polling&sid=${sid}`), { body: '1' })));
    await s.closed('transport close');
  },
}, {
  row: '4',
  name: 'an empty sid, WebSocket',
  run: async (s) => {
    const ws = await s.upgrade({
      path: query('EIO=4&transport=websocket&sid='),
    });
    const packet = await ws.next();
    const { sid } = JSON.parse(packet.slice(1));

    assert.match(sid, new RegExp(`^${SID}$`));
    assert.equal(packet, `0{"sid":"${sid}","upgrades":[],`
                 + '"pingInterval":25000,"pingTimeout":20000,'
                 + '"maxPayload":1000000}');
  },
}];

/** Polls of a session that has a WebSocket are refused, and do no harm. */
const pollsBeside = (name, start) => ({
  row: '10',
  name,
  run: async (s) => {
    const { path, ws } = await start(s);
    assertError(await s.exchange(request('GET', path)), 3);
    assertError(await s.exchange(request('POST', path, { body: '3' })), 3);
    ws.text('40');
    assert.match(await ws.next(), /^40\{"sid":/);
    await s.open();
  },
});

/** 101 first, then the refusal as plain text where frames should be. */
async function textBehind101(ws) {
  await ws.ended;
  assert.match(ws.bytes.toString('latin1'), new RegExp(
    `^HTTP/1.1 400 Bad Request\r\n(.*\r\n)*\r\n${ERRORS[5]}$`));
}

async function closeBehind101(ws) {
  assert.equal(await ws.closing(), 1005);
  assert.deepEqual(ws.messages, []);
}

const rows = [
  refused('1', 5, 'GET', 'transport=polling'),
  refused('1', 5, 'GET', 'EIO=3&transport=polling'),
  refused('1', 5, 'GET', 'EIO=5&transport=polling'),
  refused('1', 5, 'GET', 'EIO=04&transport=polling'),
  refused('1', 5, 'GET', 'EIO=4&EIO=3&transport=polling'),

  refused('2', 0, 'GET', ''),
  refused('2', 0, 'GET', 'EIO=4'),
  refused('2', 0, 'GET', 'EIO=4&transport='),
  refused('2', 0, 'GET', 'EIO=4&transport=foo'),
  refused('2', 0, 'GET', 'EIO=4&transport=WEBSOCKET'),
  refused('2', 0, 'GET', 'EIO=4&transport=POLLING'),
  refused('2', 0, 'GET', 'EIO=4&transport=webtransport'),
  refused('2', 0, 'GET', 'EIO=4&transport=constructor'),
  refused('2', 0, 'GET', 'EIO=3&transport=foo'),
  refused('2', 0, 'GET', 'EIO=4&transport=websocket&transport=foo'),
  refused('2', 0, 'POST', 'EIO=4&transport=foo'),
  refusedUpgrade('2', 'EIO=4', ERRORS[0]),
  refusedUpgrade('2', 'EIO=4&transport=foo', ERRORS[0]),
  refusedBySession('2', 'transport=foo for a session', async (session) => {
    assertError(await session.get({ path: session.path('foo') }), 0);
  }),

  ...['polling', 'websocket'].flatMap((transport) => [
    ['GET', 'AAAAAAAAAAAAAAAAAAAA'], ['GET', '__proto__'],
    ['GET', 'x'.repeat(3000)], ['GET', 'x&EIO=3'],
    ['POST', 'AAAAAAAAAAAAAAAAAAAA'], ['PUT', 'x'],
  ].map(([method, sid]) => (
    refused('3', 1, method, `EIO=4&transport=${transport}&sid=${sid}`)))),

  ...row4,

  ...['POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE'].map((method) => (
    refused('5', 2, method, 'EIO=4&transport=polling'))),
  refused('5', 2, 'POST', 'EIO=4&transport=polling&sid='),
  refused('5', 2, 'POST', 'EIO=3&transport=polling'),

  refused('6', 3, 'GET', 'EIO=4&transport=websocket'),
  refused('6', 3, 'GET', 'EIO=4&transport=websocket&sid='),
  refused('6', 3, 'GET', 'EIO=3&transport=websocket'),
  refused('6', 3, 'GET', 'EIO=4&transport=foo&transport=websocket'),
  refused('6', 3, 'GET', 'EIO=4&%74ransport=web%73ocket'),

  ...['POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE'].map((method) => (
    refused('7', 2, method, 'EIO=4&transport=websocket'))),

  refusedBySession('8', 'transport=websocket without Upgrade',
    async (session) => {
      const path = session.path('websocket');
      assertError(await session.get({ path }), 3);
      assertError(await session.post('3', { path }), 3);
    }),

  refusedBySession('9', 'EIO=3 for a session with EIO=4', async (session) => {
    const path = session.path('polling', { eio: '3' });
    assertError(await session.get({ path }), 3);
    assertError(await session.post('3', { path }), 3);
  }),

  pollsBeside('polls behind the upgrade', upgraded),
  pollsBeside('polls of a session that never polled', fromTheStart),

  ...['PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'].map((method) => (
    refusedBySession('11', `${method} for a session`, async (session) => {
      assertEmpty(await session.request(method, withBody(method)), 500);
    }))),

  refusedUpgrade('13', 'EIO=4&transport=websocket&sid=nobody', ERRORS[1]),
  refusedUpgrade('13', 'EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA',
                 ERRORS[1]),

  // The reference learns of the revision too late for a good answer.
  ...['', 'EIO=3&', 'EIO=5&', 'EIO=04&', 'EIO=4&EIO=3&'].map((eio) => (
    refusedUpgrade('14', `${eio}transport=websocket`, ERRORS[5],
                   textBehind101))),

  // The same of a transport that cannot be upgraded to.
  refusedUpgrade('15', 'EIO=4&transport=polling', ERRORS[3], closeBehind101),
];

module.exports = { rows };
