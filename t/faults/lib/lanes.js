'use strict';

// Subtests on several gateways at once: what they do most is wait, for Redis to
// be asked again, for a ping, for a peer that takes over.

const { full } = require('./nth');

/**
 * Runs steps, { name: async (site, t) => }, each on a gateway of begin() that
 * is free, then what all of these end with.  The test t allows for so many
 * lanes by its concurrency.  The full form has one gateway, for one step after
 * the other, unless it is too slow for that: least is how many it has.
 */
async function lanes(t, count, begin, steps, least = 1) {
  const sites = await Promise.all(Array.from({ length: full ? least : count },
                                             begin));
  const free = [...sites];

  await Promise.all(Object.entries(steps).map(([name, step]) => (
    t.test(name, async (t) => {
      const site = free.pop();
      try {
        await step(site, t);
      } finally {
        free.push(site);
      }
    }))));

  await t.test('all is as before', () => (
    Promise.all(sites.map((site) => site.same()))));
}

/** The options of a test with so many lanes. */
const wide = (count, least = 1) => ({ concurrency: full ? least : count });

module.exports = { lanes, wide };
