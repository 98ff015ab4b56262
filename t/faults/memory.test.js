'use strict';

// There is no memory, for one allocation: of the heap, of a pool, of a record
// in shared memory, of room in the log.  Whoever it was for is closed or
// refused, if it does not matter even less; nobody else notices, and nothing
// is left behind.

const { skip } = require('./lib/shim');

const { test } = require('node:test');

const { start } = require('./lib/site');
const { eachNth } = require('./lib/nth');
const { lanes, wide } = require('./lib/lanes');
const scenarios = require('./lib/scenarios');

const LANES = 4;

async function begin(t) {
  const site = await start(t);
  await site.gw.redis.commands.sAdd('mew:rooms:guest0', ['set', 'of', 'rooms']);
  return site;
}

test('an allocation fails', { skip, ...wide(LANES) }, async (t) => {
  const step = (scenario) => async (site, t) => {
    const { calls, rounds, ended } = await eachNth(site, scenario);
    t.diagnostic(`${rounds} of ${calls} allocations failed, ${
      ended} of them ended a client`);
  };

  await lanes(t, LANES, () => begin(t), Object.fromEntries(
    Object.entries(scenarios).map(([name, it]) => [name, step(it)])));
});
