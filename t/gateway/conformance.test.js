'use strict';

// RFC 6455 against a running nginx: every case of t/unit/ws_cases.json in one
// piece, byte by byte and cut in two; behind the handshake; over TLS.
//
// CONFORMANCE=full cuts all inputs but the longest at every byte.  Without it
// this is left to t/unit/t_ws_cases.c.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');
const { loadCases } = require('./lib/cases');
const { Fence } = require('./lib/fence');
const { text, OPCODE } = require('./lib/ws');
const { until, within, parallel } = require('./lib/expect');

const { cases, limit } = loadCases();

const FULL = process.env.CONFORMANCE === 'full';
const LANES = 32;
const SHORT = FULL ? 1500 : 16; // bytes of an input that is cut at every byte
const CUTS = FULL ? 200 : 10;   // at most so many cuts of a longer one
const LONG = 300;               // not every byte of such an input goes alone
const OPTIONS = {
  location: {
    socketio_max_payload: String(limit), socketio_ping_interval: '300s',
  },
};

const describe = ({ opcode, payload }) => {
  const bytes = Buffer.from(payload);
  return bytes.length < 100 ? `${opcode}:${bytes.toString('latin1')}`
    : `${opcode}:${bytes.length}:${bytes.toString('base64')}`;
};

let runs = 0;

/** Counts what body runs, and tells it. */
async function counting(t, body) {
  runs = 0;
  await body();
  t.diagnostic(`${cases.length} cases, ${runs} runs`);
}

/** One subtest for each section, whose cases run beside each other. */
async function eachSection(t, list, body) {
  for (const section of new Set(list.map((one) => one.section))) {
    await t.test(section, () => parallel(
      list.filter((one) => one.section === section), LANES, async (one) => {
        try {
          await body(one);
        } catch (error) {
          error.message = `${one.name}: ${error.message}`;
          throw error;
        }
      }));
  }
}

/**
 * Sends the pieces, each one when the one before it has been read, and checks
 * what comes back and how it ends.
 */
async function run(gw, fence, one, pieces, { glue } = {}) {
  const got = [];
  const options = {
    echo: false, glue,
    onframe: (opcode, payload) => got.push(describe({ opcode, payload })),
  };
  const ws = one.connected ? await gw.joined(options)
    : await gw.socket(options);
  const greeting = one.connected ? 3 : 1;
  const expected = one.frames.map(describe);

  if (!one.connected) {
    await ws.next();
  }
  for (const [i, piece] of pieces.entries()) {
    if (i > 0) {
      await fence.pass();
    }
    if (ws.closeCode) {
      break;
    }
    ws.write(piece);
  }

  if (one.code !== null) {
    await within(ws.ended, 'the end of the connection');
    assert.equal(ws.closeCode, one.code);
  } else if (one.part) {
    await until(() => got.length >= greeting + expected.length || ws.closed,
                'what comes before it');
    await fence.pass();
    await fence.pass();
    assert.equal(ws.closed, undefined, 'closed');
  } else {
    ws.ping('the end');
    expected.push(describe({ opcode: OPCODE.pong, payload: 'the end' }));
    await until(() => got.at(-1) === expected.at(-1) || ws.closed, 'the end');
  }

  assert.deepEqual(got.slice(greeting), expected);
  assert.equal(ws.failure, undefined);
  ws.destroy();
  runs++;
}

/** Where to cut an input: everywhere, or else at some bytes of headers. */
function cuts({ bytes, heads }, most) {
  const inside = (n) => n > 0 && n < bytes.length;
  const all = bytes.length <= SHORT
    ? Array.from(bytes.keys())
    : heads.flatMap(({ at, length }) => (
      Array.from({ length: length + 2 }, (_, i) => at + i)));
  const list = all.filter(inside);
  const every = bytes.length <= SHORT ? 1 : Math.ceil(list.length / most);

  return list.filter((_, i) => i % every === 0);
}

/** Byte by byte; of a long input its headers, and a kilobyte at a time. */
function bytewise(one) {
  const { bytes } = one;
  let ends = Array.from(bytes.keys());

  if (bytes.length > LONG) {
    const near = cuts(one, Infinity);
    ends = [...near.slice(0, 150), ...near.slice(-150),
            ...ends.filter((at) => at % 997 === 0)];
  }

  const list = [...new Set([0, ...ends, bytes.length])]
    .sort((a, b) => a - b);
  return list.slice(1).map((end, i) => bytes.subarray(list[i], end));
}

test('every case', { concurrency: LANES }, async (t) => {
  const gw = await gateway(t, OPTIONS);
  await gw.live();

  const subtest = (one) => t.test(`${one.section}: ${one.name}`, async () => {
    const { bytes } = one;
    const fence = await Fence.open(gw);

    await run(gw, fence, one, [bytes]);
    await run(gw, fence, one, bytewise(one));
    for (const at of cuts(one, CUTS)) {
      await run(gw, fence, one, [bytes.subarray(0, at), bytes.subarray(at)]);
    }
    if (one.code !== null) {
      // nothing that follows is read as a message
      await run(gw, fence, one, [Buffer.concat([bytes, text('40/behind,')])]);
    }
    fence.close();
  });

  await counting(t, () => Promise.all(cases.map(subtest)));
});

test('behind the handshake', async (t) => {
  const gw = await gateway(t, OPTIONS);
  const fence = await Fence.open(gw);
  const early = cases.filter((one) => !one.connected);

  await counting(t, () => eachSection(t, early, async (one) => {
    const { bytes } = one;
    const [first = 1, middle = 1] = cuts(one, 3);

    await run(gw, fence, one, [], { glue: bytes });
    for (const at of FULL ? cuts(one, CUTS) : new Set([first, middle])) {
      await run(gw, fence, one, [bytes.subarray(at)],
                { glue: bytes.subarray(0, at) });
    }
  }));
});

test('over TLS', async (t) => {
  const gw = await gateway(t, { ...OPTIONS, tls: true });
  const fence = await Fence.open(gw);
  await gw.live();

  await counting(t, () => eachSection(t, cases, (one) => (
    run(gw, fence, one, [one.bytes]))));
});
