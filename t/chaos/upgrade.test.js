'use strict';

// Clients that change from polling to WebSocket while events come.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { start, assertNoGap } = require('./lib/site');
const { Ledger } = require('./lib/ledger');
const { crowd, assertStayed } = require('./lib/member');
const { scale } = require('./lib/scale');
const { until } = require('../gateway/lib/expect');

const CLIENTS = scale(60, 300);
const RATE = 2000;
const ROOMS = 50;

test(`${CLIENTS} clients upgrade, ${RATE} events a second`, async (t) => {
  const gw = await start(t, { tls: true });
  const ledger = new Ledger(gw);

  ledger.start(RATE, (n) => `r${n % ROOMS}`);
  const members = await crowd(ledger, {
    count: CLIENTS,
    kinds: ['upgrade'],
    rooms: (i) => [`r${i % ROOMS}`],
  });

  await t.test('all of them do', async () => {
    await until(() => members.every((member) => member.upgrades === 1),
                'all have upgraded', 30000);
  });

  await t.test('and get everything once, in order', async () => {
    await ledger.more(RATE);
    ledger.stop();
    await ledger.settle(members);
    assertStayed(members);
    assert.deepEqual(members.map((member) => member.upgrades),
                     members.map(() => 1));
    assertNoGap(gw);
  });
});
