'use strict';

// A tenth of all calls for clients and for Redis, drawn at random, have to be
// tried again or do one byte; then, some of them end their connections.

const { skip, SHORT, Shim } = require('./lib/shim');

const { test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');

const { start, counts, same, assertNoGap } = require('../chaos/lib/site');
const { Ledger } = require('../chaos/lib/ledger');
const { crowd, returns } = require('../chaos/lib/member');
const { full } = require('./lib/nth');
const { SLOW } = require('../gateway/lib/expect');

const CLIENTS = full ? 60 : 24;
const EVENTS = full ? 3000 : 800;

// The clients are in one process, which inflates what they get.
const RATE = full ? 60 : 200;
const ROOMS = 6;

// 4000000000 of them, told by a failure.
const SEED = Number(process.env.SEED || crypto.randomInt(4e9));

/** Starts a gateway and its clients: { gw, shim, ledger, members, before }. */
async function begin(t) {
  let shim;
  const gw = await start(t, {
    workers: 4,
    block: { zone: '16m', log: '2m', recovery: '10s' },
    listen: 'reuseport sndbuf=16k',
    // A client whose handshake is not answered begins anew, and leaves a
    // session behind that ends when a ping is not answered.
    location: {
      socketio_deflate: '1k',
      socketio_ping_interval: '3s', socketio_ping_timeout: `${6 * SLOW}s`,
    },
    setup: (it) => {
      shim = new Shim(it);
      it.closers.push(() => shim.close());
    },
  });
  const before = await counts(gw);
  const ledger = new Ledger(gw);
  const members = await crowd(ledger, {
    count: CLIENTS, kinds: ['websocket', 'polling', 'upgrade'],
    rooms: (i) => [`r${i % ROOMS}`, `r${(i + 3) % ROOMS}`],
  });
  ledger.filler = 'x'.repeat(1500);
  return { gw, shim, ledger, members, before };
}

/** Publishes while calls fail; everybody has to get all of it, once. */
async function run(site, plan) {
  const { gw, shim, ledger, members } = site;

  shim.arm({ seed: SEED, spared: [gw.nginx.pid], ...plan });
  ledger.start(RATE, (n) => {
    if (n % 10 === 0) {
      ledger.toggle(members[n % CLIENTS].name, `s${n % 3}`);
    }
    return [`r${n % ROOMS}`, `s${n % 3}`];
  });
  await ledger.more(EVENTS);
  ledger.stop();
  shim.disarm();
  await ledger.settle(members);
}

test(`calls fail at random, SEED=${SEED}`, { skip }, async (t) => {
  const site = await begin(t);
  const { shim, members, ledger } = site;

  for (const chance of [50, 200]) {
    await t.test(`${chance / 10} % are to be tried again`, async (t) => {
      const was = returns(members);
      await run(site, {
        classes: ['recv', 'send'], chance, kinds: ['EAGAIN', 'EINTR', SHORT],
      });
      t.diagnostic(`${shim.given} of ${shim.seen} calls`);
      assert.ok(shim.given > 0);
      assert.equal(returns(members), was, 'nobody was disconnected');
      assertNoGap(site.gw);
      ledger.renew(members);
    });
  }

  await t.test('some end a connection of a client', async (t) => {
    await run(site, {
      classes: ['recv', 'send'], chance: 5, kinds: ['ECONNRESET'],
      port: site.gw.port,
    });
    t.diagnostic(`${shim.given} of ${shim.seen} calls, ${
      returns(members)} returns`);
    assert.ok(shim.given > 0);
    assertNoGap(site.gw);
  });

  await t.test('all is as before', async () => {
    members.forEach((member) => member.close());
    await same(site.gw, site.before, 40000);
  });
});
