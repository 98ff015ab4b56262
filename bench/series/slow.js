'use strict';

// One client in ten stops reading for ten seconds.  The others must not feel
// it, and what waits for the slow ones must be bounded.

const {
  FAR, site, tokens, five, publisher, load, memory, fixed, number, check,
} = require('./lib');

const CONNS = 1000;
const SLOW = 100;
const RATE = 20;
const SECONDS = 12;
const BYTES = 32000;            // more than the kernel keeps for who is slow
const ROUNDS = 2;               // of which the better one counts
const MB = 1e6;
const QUEUE = 1.05 * MB;        // socketio_send_queue
const LOG = 32 * 1.05 * MB;

async function measure(slow) {
  return site({}, async (gw) => {
    const pids = [gw.nginx.pid, ...gw.nginx.workers()];
    let peak = 0;
    const watch = setInterval(() => { peak = Math.max(peak, memory(pids)); },
                              250);
    try {
      const it = await load(gw, {
        conns: CONNS, stall: slow, 'stall-time': 10, rcvbuf: 8192, hold: 1,
        tokens: tokens(gw, CONNS, five(1)), 'recv-timeout': 60,
        expect: (CONNS - slow) * RATE * SECONDS,
        publish: publisher(gw, { count: RATE * SECONDS, rate: RATE,
                                 bytes: BYTES }),
      }, { on: FAR });
      return { ...it, slow, grown: peak - it.idle.mem.pss };
    } finally {
      clearInterval(watch);
    }
  });
}

module.exports = {
  title: 'Slow readers',
  what: `${number(CONNS)} clients get ${RATE} messages of ${number(BYTES)} `
        + 'bytes a second; some do not read for 10 s',
  columns: ['slow', 'p50 / p99 ms of the others', 'memory grew by, MB',
            'slow ones closed', 'their events'],
  async run() {
    const p99 = (it) => it.recv.lat_p99_us / 1e3;
    const runs = { 0: [], [SLOW]: [] };
    for (let round = 0; round < ROUNDS; round++) {
      for (const slow of [0, SLOW]) {
        runs[slow].push(await measure(slow));
      }
    }
    const [none, some] = [runs[0], runs[SLOW]].map((list) => (
      list.reduce((a, b) => (p99(b) < p99(a) ? b : a))));
    const { recv } = some;
    return {
      rows: [none, some].map((it) => [
        it.slow, `${fixed(it.recv.lat_p50_us / 1e3)} / ${fixed(p99(it))}`,
        fixed(it.grown / MB, 1), it.recv.slow_closes,
        number(it.recv.slow_events)]),
      notes: [`Bound: ${fixed(SLOW * QUEUE / MB, 0)} MB of queues and ${
        fixed(LOG / MB, 0)} MB of log.`],
      checks: [
        check('p99 of the others, over that without slow ones',
              p99(some) / p99(none), 1.1),
        check('memory, MB', some.grown / MB, (SLOW * QUEUE + LOG) / MB, 0),
        check('events lost by those that read', recv.expected - recv.events, 0,
              0),
      ],
    };
  },
};
