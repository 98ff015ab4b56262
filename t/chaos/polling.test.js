'use strict';

// Clients that only poll, each request on a new connection, so that the worker
// is another one all the time.

const { test } = require('node:test');

const { start, counts, same, assertNoGap } = require('./lib/site');
const { Ledger } = require('./lib/ledger');
const { crowd, assertStayed } = require('./lib/member');
const { scale } = require('./lib/scale');
const { until } = require('../gateway/lib/expect');

const CLIENTS = scale(60, 200);
const EVENTS = scale(1500, 20000);
const RATE = scale(500, 800);
const ROOMS = 50;

test(`${CLIENTS} clients poll, ${EVENTS} events to ${ROOMS} rooms`,
  async (t) => {
    const gw = await start(t, { tls: true });
    const before = await counts(gw);
    const ledger = new Ledger(gw);
    const members = await crowd(ledger, {
      count: CLIENTS,
      kinds: ['polling'],
      rooms: (i) => [0, 7, 23].map((step) => `r${(i + step) % ROOMS}`),
    });

    await t.test('everybody gets the numbers of its rooms', async () => {
      ledger.start(RATE, (n) => `r${n % ROOMS}`);
      await until(() => ledger.sent >= EVENTS, 'all is published', 120000);
      ledger.stop();
      await ledger.settle(members);
      assertStayed(members);
      assertNoGap(gw);
    });

    await t.test('for several rooms at once, with changes of rooms',
      async () => {
        const goal = ledger.sent + EVENTS / 5;
        ledger.start(RATE, (n) => {
          ledger.toggle(members[n % CLIENTS].name, `r${n % ROOMS}`);
          return [`r${n % ROOMS}`, `r${(n + 7) % ROOMS}`, `s${n % 7}`];
        });
        await until(() => ledger.sent >= goal, 'all is published', 120000);
        ledger.stop();
        await ledger.settle(members);
        assertStayed(members);
        assertNoGap(gw);
      });

    await t.test('nothing is left of them', async () => {
      members.forEach((member) => member.close());
      await same(gw, before);
    });
  });
