'use strict';

// Waiting for what must happen, never for time to pass.

const { setTimeout: delay } = require('node:timers/promises');

const DEADLINE = 30000;
const STEP = 10;

// How many times longer things may take: a build with sanitizers is slow.
const SLOW = Number(process.env.SIO_SLOW || 1);

/**
 * Waits until condition() gives something true (it may be async) and returns
 * that; fails with `what` (text, or a function that makes it) after ms.
 */
async function until(condition, what, ms = DEADLINE) {
  const end = performance.now() + ms * SLOW;

  for (;;) {
    let value = condition();
    if (value instanceof Promise) {
      value = await limited(value, Math.max(end - performance.now(), 1),
                            () => late(what, ms * SLOW));
    }
    if (value) {
      return value;
    }
    if (performance.now() > end) {
      throw late(what, ms * SLOW);
    }
    await delay(STEP);
  }
}

function late(what, ms) {
  return new Error(`not within ${Math.round(ms)} ms: ${
    typeof what === 'function' ? what() : what}`);
}

/** The promise's value, or a failure with `what` when ms have passed. */
function within(promise, what, ms = DEADLINE) {
  return limited(promise, ms * SLOW, () => late(what, ms * SLOW));
}

async function limited(promise, ms, failure) {
  const stop = new AbortController();
  const timeout = delay(ms, null, { signal: stop.signal }).then(
    () => { throw failure(); }, () => {});

  try {
    return await Promise.race([promise, timeout]);
  } finally {
    stop.abort();
  }
}

/** Runs fn for every item, at most `width` at a time; results in order. */
async function parallel(items, width, fn) {
  const list = [...items];
  const results = new Array(list.length);
  let next = 0;

  const lane = async () => {
    while (next < list.length) {
      const i = next++;
      results[i] = await fn(list[i], i);
    }
  };

  await Promise.all(Array.from({ length: width }, lane));
  return results;
}

/** Takes all steps, whatever becomes of one; then throws the first failure. */
async function allOf(steps) {
  const failures = [];

  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) {
    throw failures[0];
  }
}

module.exports = { until, within, parallel, allOf, DEADLINE, SLOW };
