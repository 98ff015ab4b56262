'use strict';

// Random sessions of both transports, right and wrong, while workers die, stop
// and are replaced.  What the log may hold is of the killed.  The last seconds
// are calm: when all are gone, the very workers that have served then hold no
// more than new ones did before, and after a reload everything is as it was.
//
// SEED=n begins as the run did that told n; who is first is up to the system.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { isDeepStrictEqual } = require('node:util');

const { start, status, counts, descriptors }
  = require('./lib/site');
const { scale } = require('./lib/scale');
const { Fuzz } = require('../fuzz/session');
const { Random } = require('../fuzz/random');
const { alive } = require('../gateway/lib/processes');
const { UNCHECKED } = require('../gateway/lib/nginx');
const { until } = require('../gateway/lib/expect');

const SECONDS = scale(10, 300);
const CALM = scale(4, 10);
const VISITORS = 50;
const WORKERS = 3;
const STEADY = 20;
const STREAM = 'uplink';
const SEED = Number(process.env.SEED || crypto.randomInt(2 ** 32));

/**
 * What has to be as before when all clients are gone.  Descriptors come first:
 * the connection that brings the numbers may be one for a moment longer.
 */
async function state(gw) {
  const open = descriptors(gw).sort();
  return { ...await counts(gw), descriptors: open };
}

/** Waits until all workers have their connections to Redis. */
async function connected(gw) {
  await gw.feedPair();
  // One for commands of each worker, two for the feed, and that of the test.
  await until(async () => (
    (await gw.redis.connections()).length === WORKERS + 3),
              'all connections to Redis', 20000);
}

/**
 * The state of workers that are new, as soon as nothing changes any more: one
 * may be about to close the connection that asked for the numbers.
 */
async function rest(gw) {
  let last;
  let before;
  let same = 0;

  await gw.live();
  await gw.feedPair();
  await gw.nginx.reload();
  await until(() => gw.nginx.workers({ leaving: true }).length === WORKERS,
              'the old workers are gone', 20000);
  await connected(gw);
  return until(async () => {
    before = last;
    last = await state(gw);
    same = isDeepStrictEqual(last, before) ? same + 1 : 0;
    return same === STEADY && last;
  }, () => `nothing changes: ${JSON.stringify([before, last])}`, 20000);
}

test(`${VISITORS} visitors for ${SECONDS} s, seed ${SEED}`, async (t) => {
  const gw = await start(t, {
    workers: WORKERS,
    block: { namespace: '/ /admin /chat', recovery: '2s', drain: '1s' },
    // nginx takes a connection that ends while a body is thrown away for one
    // that is kept alive, and holds it for so long.
    server: { keepalive_timeout: '3s' },
    location: {
      socketio_ping_interval: '1s',
      socketio_ping_timeout: '1s',
      socketio_connect_timeout: '2s',
      socketio_max_payload: '20k',
      socketio_send_queue: '256k',
      socketio_deflate: '200',
      socketio_forward: ['*', '$connect', '$disconnect'].map(
        (name) => `${name} stream=${STREAM} maxlen=1000`),
      socketio_limit: 'connections_per_user=10 events=5/s',
    },
  });
  gw.nginx.expect(UNCHECKED);
  const before = await rest(gw);
  const fuzz = new Fuzz(gw, {
    seconds: SECONDS,
    calm: CALM,
    visitors: VISITORS,
    random: new Random(SEED),
    whole: (condition) => until(() => {
      const now = gw.nginx.workers();
      return now.length === WORKERS && condition(now);
    }, 'all workers are there', 20000),
  });

  await t.test('come and go', async () => {
    t.diagnostic(`seed ${SEED}`);
    t.diagnostic(JSON.stringify(await fuzz.run()));
    assert.ok(alive(gw.nginx.pid));
    for (const pid of fuzz.workers) {
      assert.ok(fuzz.served.has(pid), `${pid} has served when it was calm`);
    }
  });

  await t.test('what is right has come through', async () => {
    const entries = await gw.redis.commands.xRange(STREAM, '-', '+');
    const some = (fits) => entries.some(({ message }) => fits(message));

    assert.ok(some(({ event }) => event === '$connect'));
    assert.ok(some(({ event }) => event === 'message'));
  });

  await t.test('the gateway serves', () => gw.live());

  // Half a minute is what a session that broke the protocol waits for a poll
  // that fetches the news, if it is none of those that the fuzzer knows; then
  // its socket may still be parked.
  await t.test('the workers that served hold nothing of it', async () => {
    let now;
    await until(async () => {
      await fuzz.fetch();
      now = await status(gw);
      return now.sessions.live === before.sessions;
    }, () => `no session: ${JSON.stringify(now)}`, 60000);
    await connected(gw);
    await until(async () => {
      now = await state(gw);
      return isDeepStrictEqual(now, before);
    }, 'all is as before', 40000).catch(() => {});
    assert.deepEqual(now, before);
    assert.deepEqual(gw.nginx.workers({ leaving: true }).sort(),
                     fuzz.workers.sort());
  });

  await t.test('all is as before', async () => {
    assert.deepEqual(await rest(gw), before);
  });
});
