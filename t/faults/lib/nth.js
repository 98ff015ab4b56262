'use strict';

// Runs a scenario again and again: the first call fails, then the second, and
// so on, until it is through before it gets so far; or some of them.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');

// "make faults-full" runs all; "make test" and "make asan" the short form.
const full = process.env.FAULTS === 'full';

// In the full form: how often the calls are counted, runs in a row that make
// fewer calls than that before it is over, how much has to be reached, and how
// much is enough.
const COUNTS = 3;
const MISSES = 5;
const NEARLY = 0.9;
const MOST = 1.5;

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

/** The fewest of some counts: other calls of the workers come between. */
async function fewest(site, scenario, plan) {
  const counts = [];

  for (let i = 0; i < (full ? COUNTS : 1); i++) {
    counts.push(await count(site, scenario, plan));
  }
  return Math.min(...counts);
}

/** Runs the scenario with its n-th call failing: { given, failure }. */
async function round(site, scenario, n, { ends, gap, ...options }) {
  const { shim } = site;
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
  return { given, failure };
}

/**
 * options: those of Shim.arm(); rounds: how many calls fail in the short form,
 * one in each round, or else all that there are; ends: it may end a client;
 * gap: the feed may be down at the end of it, and it takes long.
 * What came of it: { calls, rounds, ended }, where rounds are those in which a
 * call has failed: at least one, in the full form nearly all calls.
 */
async function eachNth(site, scenario,
                       { rounds = 12, ends = true, gap = false, ...plan } = {}) {
  const options = { spared: [site.gw.nginx.pid], ...plan };
  const calls = await fewest(site, scenario, options);
  const step = full ? 1 : Math.max(1, Math.floor(calls / rounds));
  const result = { calls, rounds: 0, ended: 0 };

  assert.ok(calls > 0, 'there are calls that can fail');

  const fail = async (n) => {
    const { given, failure } = await round(site, scenario, n,
                                           { ends, gap, ...options });
    result.rounds += given > 0 ? 1 : 0;
    result.ended += failure ? 1 : 0;
    return given > 0;
  };

  // There may be more calls than were counted, or fewer.
  const last = full ? Math.ceil(MOST * calls) : calls;
  let missed = 0;

  for (let n = crypto.randomInt(step) + 1;
       n <= last && missed < (full ? MISSES : Infinity); n += step) {
    missed = await fail(n) ? 0 : missed + 1;
  }
  if (result.rounds === 0) {
    await fail(1);
  }
  assert.ok(result.rounds >= (full ? Math.floor(NEARLY * calls) : 1)
            && result.rounds > 0,
            `${result.rounds} of ${calls} calls have failed`);
  return result;
}

module.exports = { eachNth, telling, isClean, full };
