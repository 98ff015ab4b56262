'use strict';

// The way in which the protocol's test suite looks at a server: WebSocket
// frames as they come, short pings that nobody answers, "auth" right behind the
// reply to CONNECT.  serve.js is for that suite itself.
//
// What it asks of Engine.IO (handshakes, heartbeat, close, upgrade) needs no
// backend: the rows of t/gateway/table.test.js have it, in all its cases.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { setTimeout: delay } = require('node:timers/promises');

const { eachWorkers } = require('../gateway/lib/gateway');
const { text, frame, OPCODE } = require('../gateway/lib/ws');
const { parallel, SLOW } = require('../gateway/lib/expect');
const { server, SUITE } = require('./lib/server');
const { FORMS } = require('./lib/answers');
const { SID } = require('./lib/peers');

const LOCATION = {
  ...SUITE,
  // For a busy machine: a case takes less, and one that waits answers.
  socketio_ping_timeout: `${2000 * SLOW}ms`,
};

const TWO = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
const PARTS = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];

const reply = (nsp = '') => new RegExp(`^40${nsp}\\{"sid":"${SID}"\\}$`);

/** From the handshake on, or from "auth" on if it is connected. */
async function open(gw, connected = true) {
  const ws = await gw.socket();
  const handshake = JSON.parse((await ws.next()).slice(1));

  assert.deepEqual(Object.keys(handshake).sort(), [
    'maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades']);
  if (connected) {
    await exchange(ws, ['40'], [reply(), '42["auth",{}]']);
  }
  return ws;
}

/** The next message; pings are passed over. */
async function next(ws) {
  let message;

  do {
    message = await ws.next();
  } while (message === '2');
  return message;
}

/** Sends all of these, each in its frame, and gets those, or is closed. */
async function exchange(ws, packets, expected) {
  for (const packet of packets) {
    ws.write(typeof packet === 'string' ? text(packet)
      : frame(OPCODE.binary, packet));
  }
  for (const it of expected || []) {
    const message = await next(ws);
    (it instanceof RegExp ? assert.match : assert.deepEqual)(message, it);
  }
  if (!expected) {
    await ws.closing();
    assert.deepEqual(ws.messages.filter((message) => message !== '2'), []);
  }
}

// name, packets, what comes; nothing: the end
const CONNECT = [
  ['to "/"', ['40'], [reply(), '42["auth",{}]']],
  ['to "/" with a payload', ['40{"token":"123"}'],
   [reply(), '42["auth",{"token":"123"}]']],
  ['to "/custom"', ['40/custom,'],
   [reply('/custom,'), '42/custom,["auth",{}]']],
  ['to "/custom" with a payload', ['40/custom,{"token":"abc"}'],
   [reply('/custom,'), '42/custom,["auth",{"token":"abc"}]']],
  ['to another namespace', ['40/random'],
   ['44/random,{"message":"Invalid namespace"}']],
  ['with an invalid packet', ['4abc']],
];

const CONNECTED = [
  ['a text', ['42["message",1,"2",{"3":[true]}]'],
   ['42["message-back",1,"2",{"3":[true]}]']],
  ['attachments', [`452-["message",${TWO}]`, ...PARTS],
   [`452-["message-back",${TWO}]`, ...PARTS]],
  ['a text with an id', ['42456["message-with-ack",1,"2",{"3":[false]}]'],
   ['43456[1,"2",{"3":[false]}]']],
  ['attachments with an id', [`452-789["message-with-ack",${TWO}]`, ...PARTS],
   [`462-789[${TWO}]`, ...PARTS]],
  ['an unknown type', ['4abc']],
  ['an invalid payload', ['42{}']],
  ['an invalid id', ['42abc["message-with-ack",1,"2",{"3":[false]}]']],
];

for (const form of FORMS) {
  for (const workers of [1, 3]) {
    test(`as the suite does, ${form}, workers: ${workers}`, async (t) => {
      const gw = await server(t, { form, workers, location: LOCATION });

      for (const [name, packets, expected] of CONNECT) {
        await t.test(`CONNECT ${name}`, async () => {
          await exchange(await open(gw, false), packets, expected);
        });
      }

      for (const [name, packets, expected] of CONNECTED) {
        await t.test(name, async () => {
          await exchange(await open(gw), packets, expected);
        });
      }

      await t.test('no CONNECT', async () => {
        const ws = await open(gw, false);
        let pings = 0;
        ws.onmessage = (message) => {
          assert.equal(message, '2');
          pings++;
          ws.text('3');
        };
        assert.equal(await ws.closing(), 1005);
        // It was not the heartbeat.
        assert.ok(pings >= 2, `${pings} pings`);
        assert.ok(gw.nginx.log(/client closed: forced close/).length >= 1);
      });

      await t.test('"/" is left, and the transport stays', async () => {
        const ws = await open(gw);
        ws.text('41');
        for (let i = 0; i < 3; i++) {
          assert.equal(await ws.next(), '2');
          ws.text('3');
        }
      });

      await t.test('"/custom" is entered, and left', async () => {
        const ws = await open(gw);
        assert.equal(await ws.next(), '2');
        ws.text('3');
        await exchange(ws, ['40/custom'],
                       [reply('/custom,'), '42/custom,["auth",{}]']);
        await exchange(
          ws, ['41/custom', '42["message","message to main namespace"]'],
          ['42["message-back","message to main namespace"]']);
      });
    });
  }
}

// The suite comes back as the pong has just not come: it is over by then though
// nobody polls, at whatever moment of the workers' rounds it began.
eachWorkers([1, 3], 'silence by long-polling', async (t, workers) => {
  const gw = await server(t, {
    workers,
    location: { ...SUITE, socketio_ping_timeout: '400ms' },
    server: { 'location = /status': { socketio_status: 'mew' } },
  });

  await parallel(Array.from({ length: 24 }, (_, i) => i), 24, async (i) => {
    await delay(i * 13);
    const session = await gw.polling();
    const since = performance.now();

    await delay(705 - (performance.now() - since));
    const answer = await session.get();
    assert.equal(answer.status, 400, answer.body);
    assert.equal(answer.body, '{"code":1,"message":"Session ID unknown"}');
  });
  const { closes } = await (await fetch(`${gw.url}/status`)).json();
  assert.equal(closes['ping timeout'], 24);
});

// Nobody is too late who answers a ping that waits for him.
eachWorkers([1, 3], 'a late poll', async (t, workers) => {
  const gw = await server(t, {
    workers,
    location: {
      ...SUITE, socketio_ping_timeout: '2s', socketio_connect_timeout: '45s',
    },
  });

  await parallel(Array.from({ length: 24 }, (_, i) => i), 24, async (i) => {
    await delay(i * 13);
    const session = await gw.polling();
    for (let n = 0; n < 2; n++) {
      await delay(700);
      assert.deepEqual(await session.poll(), ['2']);
      await session.send('3');
    }
  });
});
