'use strict';

// Random sessions of both transports, right and wrong, while workers die, stop
// and are replaced.  What the log may hold is of the killed; when all are gone,
// everything is as it was before.
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
const { until } = require('../gateway/lib/expect');

const SECONDS = scale(10, 300);
const VISITORS = 50;
const WORKERS = 3;
const SEED = Number(process.env.SEED || crypto.randomInt(2 ** 32));

/** The state of workers that are new, as soon as nothing changes any more. */
async function rest(gw) {
  let last;

  await gw.live();
  await gw.feedPair();
  await gw.nginx.reload();
  await until(() => gw.nginx.workers({ leaving: true }).length === WORKERS,
              'the old workers are gone', 20000);
  // One for commands of each worker, two for the feed, and that of the test.
  await gw.feedPair();
  await until(async () => (
    (await gw.redis.connections()).length === WORKERS + 3),
              'all connections to Redis', 20000);
  return until(async () => {
    const before = last;
    last = { ...await counts(gw), descriptors: descriptors(gw).sort() };
    return isDeepStrictEqual(last, before) && last;
  }, 'nothing changes', 20000);
}

test(`${VISITORS} visitors for ${SECONDS} s, seed ${SEED}`, async (t) => {
  const gw = await start(t, {
    workers: WORKERS,
    block: { namespace: '/ /admin /chat', recovery: '2s', drain: '1s' },
    location: {
      socketio_ping_interval: '1s',
      socketio_ping_timeout: '1s',
      socketio_connect_timeout: '2s',
      socketio_max_payload: '20k',
      socketio_deflate: '200',
    },
  });
  const before = await rest(gw);
  const fuzz = new Fuzz(gw, {
    seconds: SECONDS,
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
  });

  await t.test('the gateway serves', () => gw.live());

  // Half a minute is what a session that broke the protocol waits for a poll
  // that fetches the news, if it is none of those that the fuzzer knows; then
  // its socket may still be parked.
  await t.test('all is as before', async () => {
    let now;
    await until(async () => {
      await fuzz.fetch();
      now = await status(gw);
      return now.sessions.live === before.sessions;
    }, () => `no session: ${JSON.stringify(now)}`, 60000);
    assert.deepEqual(await rest(gw), before);
  });
});
