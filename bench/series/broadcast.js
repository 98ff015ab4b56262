'use strict';

// While everybody gets something, a small room must not wait until everybody
// has it.  Its five members are read by a process of their own, which the CPU
// is given at once; who reads the broadcasts has what time is left.

const {
  FAR, site, tokens, five, room, publisher, load, until, fixed, number, check,
} = require('./lib');

const EVERYBODY = 15000;
const EVERY = 500;              // ms from one broadcast to the next
const COUNT = 16;
const RATE = 200;
const SECONDS = COUNT * EVERY / 1000;

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function members(gw) {
  return load(gw, {
    conns: 5, tokens: tokens(gw, 5, () => [room(0)]),
    event: 'MESSAGE_CREATE', expect: 5 * RATE * SECONDS, 'recv-timeout': 60,
    publish: publisher(gw, { count: RATE * SECONDS, rate: RATE })
      .replace('exec', 'exec env WARM=2000 chrt -o 0'),
  }, { on: FAR, before: ['chrt', '-r', '1'] });
}

async function broadcasts(gw) {
  for (let n = 0; n < COUNT; n++) {
    gw.emitter.emit('NEWS', {
      t: Number(process.hrtime.bigint()), n, content: 'x'.repeat(280),
    });
    await sleep(EVERY);
  }
}

async function measure(gw) {
  const crowd = load(gw, {
    conns: EVERYBODY, event: 'NEWS', expect: EVERYBODY * COUNT,
    tokens: tokens(gw, EVERYBODY, five(EVERYBODY)), 'recv-timeout': 150,
    settle: 0,
  }, { on: FAR, before: ['chrt', '-i', '0'] });
  const failed = crowd.then(() => null, (error) => error);
  await until(async () => (await gw.status()).sessions.live >= EVERYBODY,
              'everybody is connected', 60000);
  await sleep(2000);

  const alone = await members(gw);
  const [beside] = await Promise.all([members(gw), broadcasts(gw)]);
  const error = await failed;
  if (error) {
    throw error;
  }
  return { alone, beside, crowd: await crowd };
}

const latency = ({ recv }) => ['p50', 'p99', 'max'].map(
  (key) => fixed(recv[`lat_${key}_us`] / 1e3));

module.exports = {
  title: 'A broadcast to everybody',
  what: `a room of 5 gets ${RATE} messages a second, while ${
    number(EVERYBODY)} others get one each every ${EVERY} ms`,
  columns: ['', 'p50 ms', 'p99 ms', 'max ms'],
  async run() {
    const { alone, beside, crowd } = await site({}, measure);
    return {
      rows: [
        ['the small room, no broadcasts', ...latency(alone)],
        ['the small room, with broadcasts', ...latency(beside)],
        ['the broadcasts', ...latency(crowd)],
      ],
      checks: [check('p99 of the small room, ms', beside.recv.lat_p99_us / 1e3,
                     3)],
    };
  },
};
