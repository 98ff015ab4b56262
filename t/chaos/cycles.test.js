'use strict';

// Clients that come and go, in all the ways in which that may happen.  When
// all are gone, everything is as it was before: the zone, and the descriptors
// of the workers.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { isDeepStrictEqual } = require('node:util');

const { start, counts, descriptors, WORKERS } = require('./lib/site');
const { scale } = require('./lib/scale');
const { text } = require('../gateway/lib/ws');
const { until, parallel, SLOW } = require('../gateway/lib/expect');

const CYCLES = scale(400, 10000);
const LANES = 40;

/** What each way does with a client that is in its rooms. */
const WAYS = {
  websocket: {
    'the connection breaks': (client) => client.close(),
    'it is reset': (client) => client.ws.reset(),
    'a close frame': async (client) => {
      client.ws.close(1000);
      await client.ws.closing();
    },
    'it leaves, then breaks': async (client) => {
      client.send('41');
      await client.ws.roundTrip();
      client.close();
    },
    'a fault': async (client) => {
      client.send('nonsense');
      await client.ws.closing();
    },
    'half a message': (client) => {
      client.ws.write(text('42["half').subarray(0, 8));
      client.close();
    },
  },
  polling: {
    'it closes': (client) => client.send('1'),
    'its poll breaks': (client) => client.close(),
    'it leaves, then closes': async (client) => {
      await client.send('41');
      await client.send('1');
    },
    'a fault': (client) => client.send('nonsense'),
    'it upgrades, then breaks': async (client) => {
      await client.upgrade();
      client.close();
    },
    'it upgrades, then closes': async (client) => {
      await client.upgrade();
      client.ws.close(1000);
      await client.ws.closing();
    },
  },
};

/** Those that never get so far. */
const EARLY = {
  'a WebSocket without CONNECT': async (gw) => {
    const client = await gw.rawClient({ auth: null });
    client.close();
  },
  'polling without CONNECT': async (gw) => {
    const session = await gw.polling();
    await session.send('1');
  },
  'polling that falls silent': (gw) => gw.polling(),
  'a CONNECT that is refused': async (gw) => {
    const client = await gw.rawClient({ auth: { token: 'none' } });
    await until(() => client.packets.length > 0, 'a refusal');
    client.close();
  },
  'gone before the reply': async (gw, i) => {
    const client = await gw.rawClient({ user: `early${i}`, rooms: ['early'] });
    client.close();
  },
};

function ways() {
  const connect = { websocket: 'rawConnect', polling: 'pollingConnect' };

  return [
    ...Object.entries(WAYS).flatMap(([transport, list]) => (
      Object.values(list).map((end) => async (gw, i) => {
        const client = await gw[connect[transport]]({
          user: `user${i}`, rooms: ['all', `r${i % 97}`, `own${i}`],
        });
        await end(client);
        client.close();
      }))),
    ...Object.values(EARLY),
  ];
}

/** Runs the cycles; what they leave in the lists of the test is dropped. */
async function run(gw, count) {
  const list = ways();
  const numbers = Array.from({ length: count }, (_, i) => i);

  await parallel(numbers, LANES, (i) => list[i % list.length](gw, i));
  for (const client of gw.clients.splice(0)) {
    client.close();
  }
  gw.closers.splice(0).forEach((close) => close());
}

async function state(gw) {
  const zone = await counts(gw);
  return { zone, descriptors: descriptors(gw) };
}

/** The state as soon as nothing is on its way any more. */
async function rest(gw) {
  let last;

  // One for commands of each worker, two for the feed, and that of the test.
  await gw.feedPair();
  await until(async () => (
    (await gw.redis.connections()).length === WORKERS + 3),
              'all connections to Redis', 15000);
  return until(async () => {
    const before = last;
    last = await state(gw);
    return isDeepStrictEqual(last, before) && last;
  }, 'nothing changes', 15000);
}

for (const recovery of ['off', '1s']) {
  test(`${CYCLES} times, recovery ${recovery}`, async (t) => {
    const gw = await start(t, {
      block: { recovery },
      location: {
        socketio_ping_interval: `${2 * SLOW}s`,
        socketio_ping_timeout: `${3 * SLOW}s`,
      },
    });
    const before = await rest(gw);

    await t.test('come and go', () => run(gw, CYCLES));

    await t.test('all is as before', async () => {
      let after;
      await until(async () => {
        after = await state(gw);
        return isDeepStrictEqual(after, before);
      }, 'it is', 20000).catch(() => {});
      assert.deepEqual(after, before);
    });
  });
}
