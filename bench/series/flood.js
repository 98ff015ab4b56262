'use strict';

// Publishes the same message over and over, ready for the wire, so that it is
// not the publisher that is measured:  node flood.js PORT emitter|command COUNT

const net = require('node:net');
const { createRequire } = require('node:module');

const { room } = require('../peers/tokens');

const { Emitter } = createRequire(require.resolve('../peers/publish.js'))(
  '@socket.io/redis-emitter');

const CHUNK = 200;              // messages of one write
const AHEAD = 2000;             // that Redis has not confirmed
const [port, kind, count] = process.argv.slice(2);
const event = {
  id: '65a1f0c2b7e4d90000000001', channelId: room(0),
  author: { id: '65a0be11c9d2f3a4b5c6d7e8', username: 'marguerite' },
  content: 'Has anyone looked at the deploy from this morning? Looks fine here.',
  type: 0, attachments: [], createdAt: '2026-01-15T09:26:53.589Z',
};

/** Channel and message. */
function message() {
  if (kind === 'command') {
    return ['socket.io-command', JSON.stringify({
      to: room(0), event: 'MESSAGE_CREATE', args: [event],
    })];
  }
  let published;
  const emitter = new Emitter({ publish: (...it) => { published = it; } });
  emitter.to(room(0)).emit('MESSAGE_CREATE', event);
  return published;
}

const parts = ['PUBLISH', ...message()].map((it) => Buffer.from(it));
const one = Buffer.concat([
  Buffer.from(`*${parts.length}\r\n`),
  ...parts.flatMap((it) => [Buffer.from(`$${it.length}\r\n`), it,
                            Buffer.from('\r\n')]),
]);
const chunk = Buffer.concat(Array(CHUNK).fill(one));

const socket = net.connect(Number(port), '127.0.0.1');
let sent = 0;
let confirmed = 0;

function send() {
  while (sent < count && sent - confirmed < AHEAD) {
    const n = Math.min(CHUNK, count - sent);
    socket.write(n === CHUNK ? chunk : chunk.subarray(0, n * one.length));
    sent += n;
  }
}

socket.setNoDelay(true);
socket.on('connect', send);
socket.on('data', (data) => {
  for (const byte of data) {
    confirmed += byte === 0x3a ? 1 : 0;         // ":1"
  }
  if (confirmed >= count) {
    socket.end();
  } else {
    send();
  }
});
