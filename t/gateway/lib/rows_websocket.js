'use strict';

// Rows of the table about WebSockets.

const assert = require('node:assert/strict');

const { WebSocketLink } = require('./links');
const { open, joined, ends, closes, alive } = require('./rows');
const { frame, text, OPCODE } = require('./ws');

const WS = [WebSocketLink];
const LIMIT = 1000000;

const event = (length) => `42["a","${'x'.repeat(length - 10)}"]`;

/** Bytes that are no WebSocket, by RFC 6455. */
const broken = (row, name, bytes, code) => ({
  row,
  name: `${name}: ${code}`,
  run: async (s) => {
    const { ws } = await WebSocketLink.open(s, true);
    ws.write(bytes);
    assert.equal(await ws.closing(), code);
    assert.deepEqual(ws.messages, []);
    await s.closed('transport error');
  },
});

/** The client ends its connection. */
const gone = (name, end) => ({
  row: '71',
  name,
  run: async (s) => {
    const { ws } = await WebSocketLink.open(s, true);
    await end(ws);
    await s.closed('transport close');
  },
});

const rows = [
  ...open('30', ['', '7', '8', 'x'], ends('parse error'), WS),
  ...joined('30', ['', '7', '8', 'x'], ends('parse error'), WS),
  ...open('31', [Buffer.alloc(0)], closes, WS),
  ...joined('31', [Buffer.alloc(0)], closes, WS),
  ...open('32', ['1', '0', '5', '6', '3'], alive, WS),
  ...joined('32', ['1', '0', '5', '6', '3'], alive, WS),
  ...open('33', ['2', '2probe'], ends('transport error'), WS),
  ...joined('33', ['2', '2probe'], ends('transport error'), WS),

  ...joined('34', [event(LIMIT)], alive, WS),
  broken('34', 'a message of 1000001 bytes, in fragments', Buffer.concat([
    text(event(LIMIT), { fin: false }), frame(OPCODE.continuation, 'x'),
  ]), 1009),
  broken('34', 'a message of 1000001 bytes', text(event(LIMIT + 1)), 1009),

  broken('35', 'text that is no UTF-8', text([0x34, 0x80]), 1007),
  broken('35', 'an unmasked frame', text('3', { masked: false }), 1002),
  broken('35', 'RSV1', text('3', { rsv: 4 }), 1002),

  gone('the TCP connection is lost', (ws) => ws.destroy()),
  gone('the TCP connection is reset', (ws) => ws.reset()),
  gone('a close frame, code 3000', async (ws) => {
    ws.echo = false;
    ws.write(frame(OPCODE.close, [0x0b, 0xb8]));
    assert.equal(await ws.closing(), 3000);
  }),
];

module.exports = { rows };
