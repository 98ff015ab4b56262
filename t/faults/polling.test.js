'use strict';

// What a client that polls is sent, or sends, is lost with its connection.  No
// session ends with that: the client may send its next request on another one.
// A client that does not know, or has given up, is missed at its next ping, and
// then nothing is left of it; also if it is too late for a CONNECT by then, as
// it is with the defaults, which a client that polls would be told.

const { skip, Shim } = require('./lib/shim');

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { start, counts, same } = require('../chaos/lib/site');
const { until, SLOW } = require('../gateway/lib/expect');

// nginx ends their connections: it is not to see that the client did, later.
const CLOSE = { headers: { Connection: 'close' } };

const open = (gw) => gw.polling(CLOSE);
const joined = (gw) => gw.polled(CLOSE);
const connect = (gw, it) => it.post(`40${JSON.stringify(gw.auth())}`);

// What the first call that fails, a send() of nginx unless said, takes away.
const LOST = [
  { what: 'the answer to a handshake', send: open },
  { what: 'the answer to a CONNECT', begin: open, send: connect },
  {
    what: 'the answer to a poll', begin: joined,
    send: (gw, it) => {
      gw.emitter.emit('e');
      return it.get();
    },
  },
  { what: 'a CONNECT', begin: open, of: 'recv', send: connect },
  { what: 'a poll', begin: joined, of: 'recv', send: (gw, it) => it.get() },
  {
    what: 'the end', begin: joined, of: 'recv', send: (gw, it) => it.post('1'),
  },
];

test('what a client that polls needs is lost', { skip }, async (t) => {
  let shim;
  const gw = await start(t, {
    workers: 2,
    location: {
      socketio_ping_interval: '2s', socketio_ping_timeout: `${2 * SLOW}s`,
      socketio_connect_timeout: `${2 + 2 * SLOW}s`,
      // Nothing is read from a connection after the answer to a POST.
      lingering_close: 'off',
    },
    setup: (it) => {
      shim = new Shim(it);
      it.closers.push(() => shim.close());
    },
  });
  await gw.live();
  const before = await until(async () => {
    const now = await counts(gw);
    return now.sessions === 0 && now;
  }, 'who was first has gone');
  let left = 0;

  for (const { what, begin, send, of = 'send' } of LOST) {
    await t.test(what, async () => {
      const session = await begin?.(gw);

      shim.arm({
        classes: [of], kinds: ['ECONNRESET'], nth: 1, spared: [gw.nginx.pid],
        port: gw.port,
      });
      await assert.rejects(send(gw, session), /closed after: $|ECONNRESET/);
      assert.equal(shim.given, 1);
      shim.disarm();
      assert.equal((await counts(gw)).sessions, before.sessions + ++left);
    });
  }

  await t.test('all is as before', () => same(gw, before));
});
