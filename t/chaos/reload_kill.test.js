'use strict';

// Reloads, then deaths of workers, under a stream of events, while clients
// enter and leave rooms.  Nobody misses anything, and everybody gets its
// socket back, also those who never got an event but "ready".
//
// One exception is allowed: a session whose worker was killed in the middle of
// a change of its rooms may begin anew, at most one for each kill.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');

const { start, replaced, moment, counts, same, assertNoGap }
  = require('./lib/site');
const { Ledger } = require('./lib/ledger');
const { crowd, fresh, returns } = require('./lib/member');
const { scale } = require('./lib/scale');
const { alive } = require('../gateway/lib/processes');
const { until } = require('../gateway/lib/expect');

const CLIENTS = scale(80, 450);
const QUIET = scale(15, 50);
const ROUNDS = scale(3, 20);
const PACE = scale(2000, 3000);
const RATE = 150;
const ROOMS = 50;

const KINDS = ['websocket', 'polling', 'upgrade'];

/** Calls round(i) so many times, one every PACE milliseconds at most. */
async function rounds(round) {
  const begin = performance.now();
  for (let i = 0; i < ROUNDS; i++) {
    await moment(begin + i * PACE);
    await round(i);
  }
}

test(`${CLIENTS + QUIET} clients, ${ROUNDS} reloads, ${ROUNDS} kills`,
  async (t) => {
    const gw = await start(t, {
      tls: true,
      block: { zone: '32m', log: '8m', recovery: '60s', drain: '2s' },
    });
    const before = await counts(gw);
    const ledger = new Ledger(gw);
    const members = await crowd(ledger, {
      count: CLIENTS, kinds: KINDS,
      rooms: (i) => [`r${i % ROOMS}`, `r${(i + 11) % ROOMS}`],
    });
    const quiet = await crowd(ledger, {
      count: QUIET, kinds: KINDS, rooms: () => [], prefix: 'quiet',
    });
    const all = [...members, ...quiet];
    const connected = () => until(
      () => all.every((member) => member.socket.connected),
      () => `all are back: ${all.filter((it) => !it.socket.connected).map(
        (it) => `${it}: ${it.history()}`).slice(0, 5)}`, 30000);

    // Every fifth changes its rooms now and then.
    ledger.start(RATE, (n) => {
      if (n % 20 === 0) {
        ledger.toggle(members[n / 4 % CLIENTS].name, `r${n % 7}`);
      }
      return `r${n % ROOMS}`;
    });

    await t.test('reloads', async () => {
      const old = [];
      await gw.feedPair();
      await rounds(async () => old.push(...await gw.nginx.reload()));
      await until(() => !old.some(alive), 'the old workers are gone', 30000);
      await connected();
      assert.ok(returns(all) > 0);
      assert.equal(fresh(all), 0, all.filter((it) => it.fresh > 0).map(
        (it) => `${it}: ${it.history()}`).join('; '));
      assertNoGap(gw);
    });

    await t.test('kills', async () => {
      await rounds(async (i) => {
        const pair = await gw.feedPair();
        const workers = gw.nginx.workers();
        // The feed is read by two of the workers, one of them with the lease.
        const choice = i % 3 === 0 ? pair : workers;
        const victim = choice[crypto.randomInt(choice.length)];
        gw.nginx.killWorker(victim);
        await replaced(gw, [victim]);
      });
      await connected();
    });

    await t.test('everybody got everything', async () => {
      await ledger.more(RATE);
      ledger.stop();
      await ledger.settle(all);
      assertNoGap(gw);
    });

    await t.test('everybody had its socket back', () => {
      t.diagnostic(`${returns(all)} returns, ${fresh(all)} without socket`);
      assert.equal(fresh(quiet), 0, quiet.filter((it) => it.fresh > 0).map(
        (it) => `${it}: ${it.history()}`).join('; '));
      assert.ok(fresh(members) <= ROUNDS, `${fresh(members)} began anew`);
      assert.deepEqual(quiet.flatMap((it) => it.seen), []);
    });

    await t.test('nothing is left of them', async () => {
      all.forEach((member) => member.close());
      await same(gw, before, 90000);
    });
  });
