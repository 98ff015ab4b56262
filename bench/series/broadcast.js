'use strict';

// While everybody gets something, a small room must not wait until everybody
// has it.  Worker on one CPU; on the other Redis, the publisher, and a process
// that reads what the five members get, all of which go before the one that
// reads the broadcasts: that has what time is left.

const { setTimeout: delay } = require('node:timers/promises');

const {
  FAR, site, tokens, five, room, publisher, load, rawLatency, awake, latency,
  medians, until, fixed, number, check,
} = require('./lib');

const EVERYBODY = 15000;
const EVERY = 500;              // ms from one broadcast to the next
const RATE = 200;               // messages of the room a second
const SECONDS = 4;              // of a round
const AHEAD = 2;                // seconds that a publisher may take to start
const COUNT = (SECONDS + AHEAD) * 1000 / EVERY;
const ROUNDS = 3;
const SLICE = 128;              // connections that a worker serves at once

async function members(gw) {
  return latency(await load(gw, {
    conns: 5, tokens: tokens(gw, 5, () => [room(0)]), 'recv-timeout': 60,
    event: 'MESSAGE_CREATE', expect: 5 * RATE * SECONDS,
    publish: publisher(gw, { count: RATE * SECONDS, rate: RATE,
                             realtime: true }),
  }, { on: FAR, realtime: true }));
}

async function broadcasts(gw) {
  for (let n = 0; n < COUNT; n++) {
    gw.emitter.emit('NEWS', {
      t: Number(process.hrtime.bigint()), n, content: 'x'.repeat(280),
    });
    await delay(EVERY);
  }
}

async function measure(gw) {
  const rounds = { alone: [], beside: [] };
  const crowd = load(gw, {
    conns: EVERYBODY, event: 'NEWS', expect: EVERYBODY * COUNT * ROUNDS,
    tokens: tokens(gw, EVERYBODY, five(EVERYBODY)), 'recv-timeout': 300,
    quiet: 60, settle: 0,
  }, { on: FAR });
  const failed = crowd.then(() => null, (error) => error);

  await until(async () => (await gw.status()).sessions.live >= EVERYBODY,
              'everybody is connected', 60000);
  for (let round = 0; round < ROUNDS; round++) {
    await delay(2000);
    rounds.alone.push(await members(gw));
    const [it] = await Promise.all([members(gw), broadcasts(gw)]);
    rounds.beside.push(it);
  }

  const error = await failed;
  if (error) {
    throw error;
  }
  return {
    alone: medians(rounds.alone), beside: medians(rounds.beside),
    crowd: latency(await crowd),
  };
}

/** A loop that only sends, and thinks of the room after each slice. */
async function loop(fanout) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push(await rawLatency({
      conns: EVERYBODY, fanout, messages: SECONDS * 1000 / EVERY,
      rate: 1000 / EVERY, room: 5, 'room-rate': RATE, slice: SLICE,
    }));
  }
  return medians(rounds);
}

const row = (what, it) => (
  [what, ...['p50', 'p99', 'max'].map((key) => fixed(it[key]))]);

module.exports = {
  title: 'A broadcast to everybody',
  what: `a room of 5 gets ${RATE} messages a second, while ${
    number(EVERYBODY)} others get one each every ${EVERY} ms; the loop sends `
    + `the same, and looks after the room once it has sent to ${SLICE} others`,
  columns: ['', 'p50 ms', 'p99 ms', 'max ms'],
  async run() {
    const { alone, beside, crowd } = await site({ realtime: true }, measure);
    const [idle, busy] = await awake(async () => (
      [await loop(1), await loop(EVERYBODY)]));
    return {
      rows: [
        row('the small room, no broadcasts', alone),
        row('the loop, no broadcasts', idle),
        row('the small room, with broadcasts', beside),
        row('the loop, with broadcasts', busy),
        row('the broadcasts', crowd),
      ],
      checks: [check('p99 of the small room, ms', beside.p99, 3)],
    };
  },
};
