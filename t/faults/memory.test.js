'use strict';

// There is no memory, for one allocation: of the heap, of a pool, of a record
// in shared memory, of room in the log.  Whoever it was for is closed or
// refused, if it does not matter even less; nobody else notices, and nothing
// is left behind.

const { skip } = require('./lib/shim');

const { test } = require('node:test');

const { start } = require('./lib/site');
const { eachNth } = require('./lib/nth');
const scenarios = require('./lib/scenarios');

test('an allocation fails', { skip }, async (t) => {
  const site = await start(t);
  await site.gw.redis.commands.sAdd('mew:rooms:guest0', ['set', 'of', 'rooms']);

  for (const [name, scenario] of Object.entries(scenarios)) {
    await t.test(name, async (t) => {
      const { calls, rounds, ended } = await eachNth(site, scenario);
      t.diagnostic(`${rounds} of ${calls} allocations failed, ${
        ended} of them ended a client`);
    });
  }

  await t.test('all is as before', () => site.same());
});
