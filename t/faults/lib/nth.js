'use strict';

// Runs a scenario again and again: the first call fails, then the second, and
// so on, until it is through before it gets so far; or some of them.

const crypto = require('node:crypto');

// "make test" runs the short form, "make asan" and "make faults-full" all.
const full = process.env.FAULTS === 'full';

/** A client may be closed or refused, and nothing else. */
function isClean(error) {
  return error.name === 'Error' && !/^not within/.test(error.message);
}

/** Runs fn; what comes of it is told with the place of the fault. */
async function telling(site, n, fn) {
  try {
    return await fn();
  } catch (error) {
    const log = site.gw.nginx.log(/./).slice(-12).join('\n');
    error.message += `\nfault ${n}, ${site.shim.where()}\n${log}`;
    throw error;
  }
}

/** How many calls a scenario makes, when none fails. */
async function count(site, scenario, plan) {
  site.shim.arm({ ...plan });
  await scenario(site);
  const { seen } = site.shim;
  site.shim.disarm();
  site.forget();
  return seen;
}

/**
 * options: those of Shim.arm(); rounds: how many calls fail in the short form,
 * one in each round, or else all that there are; ends: it may end a client;
 * gap: the feed may be down at the end of it, and it takes long.
 * What came of it: { calls, rounds, ended }.
 */
async function eachNth(site, scenario,
                       { rounds = 12, ends = true, gap = false, ...plan } = {}) {
  const { gw, shim } = site;
  const options = { spared: [gw.nginx.pid], ...plan };
  const calls = await count(site, scenario, options);
  const step = full ? 1 : Math.max(1, Math.floor(calls / rounds));
  const result = { calls, rounds: 0, ended: 0 };

  // Other calls of the workers come between, so that there may be more.
  const last = full ? 2 * calls : calls;

  for (let n = crypto.randomInt(step) + 1; n <= last; n += step) {
    let failure = null;

    await site.paired();
    shim.arm({ ...options, nth: n });
    await scenario(site).catch((error) => { failure = error; });
    const { given } = shim;
    shim.disarm();

    await telling(site, n, async () => {
      site.forget();
      if (failure && (given === 0 || !ends || !isClean(failure))) {
        throw failure;
      }
      if (gap) {
        await site.paired();
      }
      await site.undisturbed();
      if (given > 0 && !gap) {
        // After many losses a worker takes its time to go back to Redis.
        await site.paired();
        await scenario(site);
        site.forget();
      }
    });
    if (given === 0) {
      return result;
    }
    result.rounds++;
    result.ended += failure ? 1 : 0;
  }
  return result;
}

module.exports = { eachNth, telling, isClean, full };
