'use strict';

// A worker that stops while it holds the lock of the log.  As long as it does,
// nobody can append, and nobody can read the feed in its place; then all go on
// as if nothing had been.  Whoever has to begin anew must not be the first who
// gets the lock.

const { Faults, skip } = require('./lib/faults');

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { start, assertNoGap } = require('./lib/site');
const { Ledger } = require('./lib/ledger');
const { crowd, assertStayed } = require('./lib/member');
const { scale } = require('./lib/scale');
const { UNCHECKED } = require('../gateway/lib/nginx');
const { until } = require('../gateway/lib/expect');

const CLIENTS = scale(20, 60);
const RATE = 200;
const ROOMS = 10;

// Longer than anybody is patient with one who reads the feed.
const STOP = 5000;

/** At which of the steps of an append. */
const STEPS = scale([1, 4], [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8]);

test(`a worker stops for ${STOP / 1000} s with the lock of the log`, { skip },
  async (t) => {
    let faults;
    const gw = await start(t, {
      main: { env: 'SIO_FAULTS' }, listen: 'backlog=4096',
      setup: (it) => { faults = new Faults(it.dir); },
    });
    t.after(() => faults.close());
    gw.nginx.expect(UNCHECKED);

    const ledger = new Ledger(gw);
    const members = await crowd(ledger, {
      count: CLIENTS, kinds: ['websocket'], rooms: (i) => [`r${i % ROOMS}`],
    });
    ledger.start(RATE, (n) => `r${n % ROOMS}`);

    for (const left of STEPS) {
      await t.test(`at step ${left}`, async (t) => {
        const [feed] = await gw.feedPair();

        faults.arm({ file: 'ngx_sio_log', left, signal: 'SIGSTOP' });
        try {
          await until(() => faults.deaths > 0, 'one stops');
          const end = performance.now() + STOP;
          await until(() => performance.now() > end, 'time passes', STOP + 1000);
        } finally {
          faults.disarm();
          process.kill(feed, 'SIGCONT');
        }

        t.diagnostic(`stopped at ${faults.place}`);
        await ledger.more(RATE);
        assertNoGap(gw);
      });
    }

    await t.test('everybody got everything', async () => {
      ledger.stop();
      await ledger.settle(members);
      assertStayed(members);
    });
  });
