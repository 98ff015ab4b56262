'use strict';

// A backend of uplink.js that answers all, until it is killed:
//
//     node bench/backend.js --redis PORT --stream KEY --channel NAME

const { parseArgs } = require('node:util');
const { createRequire } = require('node:module');

// its modules are those of the tests
const { createClient } = createRequire(
  require.resolve('../t/gateway/lib/redis'))('redis');

const GROUP = 'bench';
const { redis, stream, channel } = parseArgs({
  options: Object.fromEntries(['redis', 'stream', 'channel'].map(
    (name) => [name, { type: 'string' }])),
}).values;

function answer([, fields]) {
  const value = (name) => fields[fields.indexOf(name) + 1];

  return {
    op: 'ack', sid: value('sid'), ack: Number(value('ack')), args: ['ok'],
  };
}

async function main() {
  const client = createClient({
    socket: { host: '127.0.0.1', port: Number(redis) },
  });

  await client.connect();
  for (;;) {
    const streams = await client.sendCommand([
      'XREADGROUP', 'GROUP', GROUP, 'one', 'COUNT', '100', 'BLOCK', '1000',
      'STREAMS', stream, '>']);
    const entries = streams?.[0][1] ?? [];

    if (entries.length > 0) {
      // all of it in one write, with the next XREADGROUP
      client.publish(channel, JSON.stringify(entries.map(answer)));
      client.xAck(stream, GROUP, entries.map(([id]) => id));
    }
  }
}

main();
