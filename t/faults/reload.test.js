'use strict';

// A reload during which an allocation fails: in the master, which goes on with
// what it has, or in a worker that begins, without which the others go on.
// Nobody misses anything, and the next reload puts all in order.

const { skip, Shim } = require('./lib/shim');

const { test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');

const { start, status, counts, same, assertNoGap, WORKERS }
  = require('../chaos/lib/site');
const { Ledger } = require('../chaos/lib/ledger');
const { crowd } = require('../chaos/lib/member');
const { MEMORY } = require('./lib/site');
const { full } = require('./lib/nth');
const { until, SLOW } = require('../gateway/lib/expect');

const CLIENTS = 12;
const ROUNDS = full ? Infinity : 6;

/** What nginx itself says of a worker that cannot begin. */
const FATAL = /\[alert\].* exited with fatal code 2 and cannot be respawned/;

/** Begins a reload; returns when the call has failed. */
async function attempt(gw, shim) {
  process.kill(gw.nginx.pid, 'SIGHUP');
  await until(() => shim.given > 0, 'an allocation fails');
}

/** A reload that has to be all right. */
async function begin(gw) {
  await gw.nginx.reload();
  await until(async () => {
    const { workers } = await status(gw).catch(() => ({ workers: [] }));
    const pids = gw.nginx.workers();
    return pids.length === WORKERS
      && pids.every((pid) => workers.some((it) => it.pid === pid));
  }, 'all new workers have their slots', 20000);
}

/** Waits until all clients are connected. */
async function returned(members) {
  await until(() => members.every((it) => it.socket.connected),
              () => `all are back: ${members.filter(
                (it) => !it.socket.connected).map((it) => it.history())}`,
              20000);
}

for (const where of ['the master', 'a new worker']) {
  test(`a reload without memory in ${where}`, { skip }, async (t) => {
    let shim;
    const gw = await start(t, {
      block: { recovery: '5s', drain: '500ms' },
      location: {
        socketio_ping_interval: '3s', socketio_ping_timeout: `${4 * SLOW}s`,
      },
      setup: (it) => {
        shim = new Shim(it);
        it.closers.push(() => shim.close());
      },
    });
    gw.nginx.expect(MEMORY);
    gw.nginx.expect(FATAL);

    const before = await counts(gw);
    const ledger = new Ledger(gw);
    const members = await crowd(ledger, {
      count: CLIENTS, kinds: ['websocket', 'polling', 'upgrade'],
      rooms: (i) => [`r${i % 3}`],
    });
    const plan = () => (where === 'the master' ? { pid: gw.nginx.pid }
      : { spared: [gw.nginx.pid, ...gw.nginx.workers({ leaving: true })] });

    // How many there are until all have begun.  Those of the workers come mixed,
    // so that every so many-th of all is about every one of a worker.
    shim.arm(plan());
    await begin(gw);
    const calls = shim.seen;
    shim.disarm();
    await returned(members);
    assert.ok(calls > 0, 'there are allocations');
    const step = Math.max(where === 'the master' ? 1 : WORKERS,
                          Math.floor(calls / ROUNDS));
    const first = 1 + crypto.randomInt(step);

    for (let n = first, i = 0; n <= calls && i < ROUNDS; n += step, i++) {
      await t.test(`allocation ${n} of ${calls}`, async (t) => {
        await until(() => (
          gw.nginx.workers({ leaving: true }).length === WORKERS),
                    'those who leave are gone');
        // Who takes over the feed has nobody behind him at first, and leaves
        // when his time to drain is over: then a failure is a gap.
        await gw.feedPair();
        ledger.start(100, (number) => `r${number % 3}`);
        try {
          shim.arm({ ...plan(), nth: n });
          await attempt(gw, shim);
          await ledger.more(20);
          shim.disarm();
          await begin(gw);
          await returned(members);
          await ledger.more(10);
          ledger.stop();
          await ledger.settle(members);
          assertNoGap(gw);
        } catch (error) {
          error.message += `\n${shim.where()}\n${
            gw.nginx.log(/./).slice(-15).join('\n')}`;
          throw error;
        } finally {
          ledger.stop();
          ledger.renew(members);
        }
        t.diagnostic(shim.where().split('\n').slice(0, 6).join(' <'));
      });
    }

    await t.test('all is as before', async () => {
      members.forEach((member) => member.close());
      await same(gw, before, 30000);
    });
  });
}
