'use strict';

// A room of thousands among rooms of five: whatever is cut into slices or sent
// later, every socket sees its events in their order, and those who leave see
// nothing of what is published afterwards.

const { test } = require('node:test');
const crypto = require('node:crypto');

const { start, assertNoGap } = require('./lib/site');
const { Ledger } = require('./lib/ledger');
const { Light } = require('./lib/light');
const { scale } = require('./lib/scale');
const { parallel } = require('../gateway/lib/expect');

const CLIENTS = scale(2000, 15000);
const STEPS = scale(1500, 6000);
const BIG_EVERY = scale(50, 150);

test(`one event for ${CLIENTS} among events for five`, async (t) => {
  const gw = await start(t, {
    connections: 16384,
    main: { worker_rlimit_nofile: '20000' },
    block: { zone: '64m', log: '8m' },
    location: { socketio_ping_interval: '60s', socketio_ping_timeout: '60s' },
    tls: true,
  });
  const ledger = new Ledger(gw);
  const small = Math.floor(CLIENTS / 5);
  const any = (prefix, n) => prefix + crypto.randomInt(n);

  const clients = await parallel(Array.from({ length: CLIENTS }, (_, i) => i),
                                 100, (i) => {
    const rooms = ['big', `small${i % small}`];
    ledger.declare(`u${i}`, rooms);
    return Light.connect(ledger, `u${i}`, i % 20 === 19 ? gw.secure : gw.plain,
                         { rooms });
  });

  await t.test('with joins and leaves in between', async () => {
    for (let i = 1; i <= STEPS; i++) {
      const name = any('u', CLIENTS);

      ledger.publish(any('small', small));
      ledger.toggle(name, i % 2 ? 'big' : any('small', small));
      if (i % BIG_EVERY === 0) {
        ledger.publish('big');
        // Those who have just left, or come, are served differently.
        ledger.toggle(name, 'big');
        ledger.publish(any('small', small), any('small', small));
        ledger.toggle(name, 'big');
      }
      if (i % (BIG_EVERY * 5) === 0) {
        ledger.publish('big', any('small', small));
        ledger.publish('big');
        await ledger.settle(clients);
      }
    }
    await ledger.settle(clients);
    assertNoGap(gw);
  });

  await t.test('everybody at once', async () => {
    for (let i = 0; i < 20; i++) {
      ledger.publish('big');
      ledger.publish(any('small', small));
    }
    await ledger.settle(clients);
    assertNoGap(gw);
  });
});
