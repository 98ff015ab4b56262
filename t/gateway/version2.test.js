'use strict';

// Clients of Socket.IO 2, which speak revision 3 of Engine.IO: they are told,
// and give up or try again as their options say.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const io = require('socket.io-client-2');
const { gateway } = require('./lib/gateway');
const { request } = require('./lib/http');
const { handshake } = require('./lib/ws');
const { until } = require('./lib/expect');

const TEXT = 'Unsupported protocol version';
const EVENTS = ['connect', 'connect_error', 'connect_timeout', 'disconnect',
                'error', 'reconnect_failed'];

/** A client of version 2 that begins to connect; what happens to it. */
function connect(t, url, options) {
  const seen = [];
  const socket = io(url, {
    forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 20, ...options,
  });
  t.after(() => socket.close());
  for (const event of EVENTS) {
    socket.on(event, (value) => seen.push({ event, value }));
  }
  return { socket, seen };
}

test('clients of Socket.IO 2', async (t) => {
  const gw = await gateway(t, { location: { socketio_origin: '*' } });

  for (const transports of [['polling'], ['websocket'],
                            ['polling', 'websocket'],
                            ['websocket', 'polling']]) {
    await t.test(`one attempt: ${transports}`, async (t) => {
      const { socket, seen } = connect(t, gw.url, { transports,
                                                    reconnection: false });
      await until(() => seen.length > 0, 'a word of it');

      const [{ event, value }] = seen;
      assert.equal(event, 'connect_error');
      assert.equal(value.type, 'TransportError');
      if (transports[0] === 'polling') {
        assert.equal(value.message, 'xhr poll error');
        assert.equal(value.description, 400);
      } else {
        assert.equal(value.message, 'websocket error');
        assert.match(value.description.message, /400/);
      }
      await until(() => socket.io.readyState === 'closed', 'the end of it');
      assert.equal(seen.length, 1);
    });

    await t.test(`three more attempts: ${transports}`, async (t) => {
      const { socket, seen } = connect(t, gw.url, { transports,
                                                    reconnectionAttempts: 3 });
      await until(() => seen.at(-1)?.event === 'reconnect_failed',
                  'it gives up');
      assert.deepEqual(seen.map((it) => it.event), [
        ...Array(4).fill('connect_error'), 'reconnect_failed']);
      assert.equal(socket.connected, false);
    });
  }

  await t.test('the log has the reason', () => {
    const lines = (what) => gw.nginx.log(new RegExp(
      `\\[info\\].*socketio ${what} refused: ${TEXT}`)).length;
    assert.ok(lines('request') > 0);
    assert.ok(lines('upgrade') > 0);
  });
});

test('what they are told', async (t) => {
  const gw = await gateway(t);

  for (const [name, args] of [
    ['as socket.io-client 2 asks', 'EIO=3&transport=polling&t=PWxyz&b64=1'],
    ['with JSONP', 'EIO=3&transport=polling&t=PWxyz&j=0'],
    ['without a revision', 'transport=polling'],
  ]) {
    await t.test(name, async () => {
      const answer = await gw.exchange(request('GET', `/socket.io/?${args}`));
      assert.equal(answer.status, 400);
      assert.equal(answer.headers['content-type'], 'application/json');
      assert.equal(answer.body, `{"code":5,"message":"${TEXT}"}`);
    });
  }

  await t.test('by WebSocket, before any 101', async () => {
    const answer = await gw.exchange(handshake({
      path: '/socket.io/?EIO=3&transport=websocket' }));
    assert.equal(answer.status, 400);
    assert.equal(answer.headers['content-type'], 'text/html');
    assert.equal(answer.headers.connection, 'close');
    assert.equal(answer.body, TEXT);
  });
});
