'use strict';

// Rows of the table about polls and POSTs.

const assert = require('node:assert/strict');

const {
  assertEmpty, assertError, assertOk, assertPayload,
} = require('./answers');
const { request } = require('./http');
const { RS } = require('./polling');
const { IdleLink, PendingLink, POLLING } = require('./links');
const {
  open, joined, ends, closes, faultBehindConnect, alive,
} = require('./rows');
const { until, within } = require('./expect');

/** A session that is connected to "/". */
async function session(s) {
  const link = await IdleLink.open(s, true);
  return link.session;
}

/** Its end: told to nobody any more. */
async function assertGone(polling) {
  assertError(await within(polling.get(), 'an answer'), 1);
}

/** A POST whose head has been handled, its body of two bytes not sent. */
async function begunPost(polling) {
  const connection = await polling.connection();
  const answer = connection.send(request('POST', polling.path(), {
    headers: { 'Content-Length': '2', Expect: '100-continue' },
  }));
  await until(() => connection.continues > 0, 'the POST is handled');
  return { connection, answer };
}

const overlaps = [{
  row: '16',
  name: 'a second GET while one is pending',
  run: async (s) => {
    const polling = await session(s);
    const { answer } = await s.hold(polling);
    assertEmpty(await polling.get(), 400);
    assertPayload(await answer, '1');
    await assertGone(polling);
    await s.closed('transport error');
  },
}, {
  row: '17',
  name: 'a second POST while the first one comes in',
  run: async (s) => {
    const polling = await session(s);
    const { connection, answer } = await begunPost(polling);
    assertEmpty(await polling.post('3'), 400);
    await assertGone(polling);
    connection.write('33');
    await assert.rejects(within(answer, 'the end of the first POST'),
                         /closed|ECONNRESET|EPIPE/);
    await s.closed('transport error');
  },
}, ...['destroy', 'resetAndDestroy'].map((how) => ({
  row: '18',
  name: `a GET that is broken off, ${how}()`,
  run: async (s) => {
    const polling = await session(s);
    const { connection, answer } = await s.hold(polling);
    connection.socket[how]();
    await assert.rejects(answer);
    await s.closed('transport error');
    await assertGone(polling);
  },
}))];

const bodies = [{
  row: '19',
  name: 'a POST of application/octet-stream',
  run: async (s) => {
    const polling = await session(s);
    assertEmpty(await polling.post('3', {
      headers: { 'Content-Type': 'application/octet-stream' },
    }), 400);
    await assertGone(polling);
    await s.closed('transport error');
  },
}, ...[1000001, 3000000].flatMap((size) => [undefined, 65536].map((chunks) => ({
  row: '20',
  name: `a POST of ${size} bytes${chunks ? ', in chunks' : ''}`,
  run: async (s) => {
    const link = await IdleLink.open(s, true);
    // It is not looked at: this would end the session.
    assertEmpty(await link.session.post('9'.repeat(size), { chunks }), 413);
    await link.alive();
  },
}))), ...POLLING.map((Link) => ({
  row: '21',
  name: `a POST of 1000000 bytes, ${Link.label}`,
  run: async (s) => {
    const link = await Link.open(s, true);
    await link.send(`6${'x'.repeat(999999)}`);
    await link.alive();
  },
}))];

const closedByClient = [{
  row: '24',
  name: '"1", GET pending',
  run: async (s) => {
    const link = await PendingLink.open(s, true);
    await link.send('1');
    assertPayload(await link.answer, '6');
    await link.gone();
    await s.closed('transport close');
  },
}, {
  row: '24',
  name: '"1"',
  run: async (s) => {
    const link = await IdleLink.open(s, true);
    await link.send('1');
    await link.gone();
    await s.closed('transport close');
  },
}];

/**
 * One who does not poll cannot be told at once.  The gateway says at once why
 * it closes; the reference only if the packet was fine as such.
 */
const deferred = (row, input, atOnce) => ({
  row,
  name: `${input} without a GET`,
  run: async (s) => {
    const polling = await session(s);
    const reason = s.pick('forced close', atOnce ? 'forced server close'
      : 'forced close');

    assertOk(await polling.post(input));
    if (s.pick(true, atOnce)) {
      await s.closed(reason);
    } else {
      await s.open();
    }

    // Until then POSTs are taken, and thrown away.
    assertOk(await polling.post('42["dropped"]'));
    assertOk(await polling.post('9'));
    assertPayload(await polling.get(), `6${RS}1`);
    await assertGone(polling);
    await s.closed(reason);
  },
});

const rows = [
  ...overlaps,
  ...bodies,

  ...open('22', ['', 'x', '9'], ends('parse error'), POLLING),
  ...joined('22', ['', 'x', '9'], ends('parse error'), POLLING),
  ...open('23', [['40', ''], ['40', 'zz']],
          faultBehindConnect('parse error'), POLLING),
  ...open('23', [['', ''], ['3', ''], ['3', '', '3']],
          ends('parse error'), POLLING),
  ...joined('23', [['3', '']], ends('parse error'), POLLING),

  ...closedByClient,

  ...open('25', ['2', '2probe'], ends('transport error'), POLLING),
  ...joined('25', ['2', '2probe'], ends('transport error'), POLLING),
  ...open('26', ['3', '5', '6', '0'], alive, POLLING),
  ...joined('26', ['3', '5', '6', '0', '3probe', '6x', '0{"sid":"x"}'],
            alive, POLLING),

  ...open('27', ['4'], closes, POLLING),
  ...joined('27', ['4'], closes, POLLING),
  ...open('28', ['bAQID'], closes, POLLING),
  ...joined('28', ['bAQID'], closes, POLLING),
  ...open('29', ['42["a"]', '421["a"]'], closes, POLLING),

  deferred('47a', '40', true),
  deferred('47a', '42/x,["a"]', true),
  deferred('47a', '44{"message":"x"}', true),
  deferred('47b', '4', false),
  deferred('47b', '42{}', false),
  deferred('47b', 'bAQID', false),
];

module.exports = { rows };
