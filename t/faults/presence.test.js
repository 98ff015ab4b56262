'use strict';

// An allocation fails while users come and go, on this node or on others.  Who
// is closed by it comes back; all others are told of every user, once, and in
// the end they know who is online.

const { skip } = require('./lib/shim');

const { test } = require('node:test');

const { start } = require('./lib/site');
const { eachNth } = require('./lib/nth');
const { lanes, wide } = require('./lib/lanes');
const { visits, others, subscription } = require('./lib/presence');

// Who is told of what by Redis waits most of the time.
const LANES = 3;

const begin = (t) => start(t, {
  block: { presence: 'on', presence_linger: '100ms' },
});

const step = (scenario, options) => async (site, t) => {
  const { calls, rounds, ended } = await eachNth(site, scenario, options);
  t.diagnostic(`${rounds} of ${calls} allocations failed, ${
    ended} of them ended a client`);
};

test('an allocation for presence fails', { skip, ...wide(LANES, LANES) },
     async (t) => {
  await lanes(t, LANES, () => begin(t), {
    'users come and go': step(visits),
    'users of other nodes': step(others, { rounds: 8 }),
    'the subscription is lost': step(subscription, { rounds: 4, gap: true }),
  }, LANES);
});
