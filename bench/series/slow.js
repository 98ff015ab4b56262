'use strict';

// One client in ten stops reading for ten seconds.  The others must not feel
// it, and what waits for the slow ones must be bounded.
//
// The ten are read by a process of their own: what they have missed is read
// when they go on, and the others would have to wait for their own reader.
// Worker on one CPU; on the other Redis, the publisher and the reader of the
// others, all of which go before the process of the ten.

const fs = require('node:fs');

const {
  FAR, site, tokens, five, publisher, load, latency, turns, medians, ratio,
  fixed, number, check,
} = require('./lib');

const CONNS = 1000;
const SLOW = 100;
const RATE = 20;
const SECONDS = 12;
const BYTES = 32000;            // more than the kernel keeps for who is slow
// By itself the kernel keeps up to 4 MB of what a client does not read; to fill
// pages that the machine has yet to get from its host costs the others more.
const LISTEN = 'backlog=4096 sndbuf=256k';
const ROUNDS = 5;               // the cases take turns
const MB = 1e6;
const MIB = 1.05 * MB;
const LOG = 32 * MIB;
const CASES = [                 // MiB of socketio_send_queue
  { slow: 0, queue: 1 },
  { slow: SLOW, queue: 16 },    // more than they miss: they stay
  { slow: SLOW, queue: 1 },     // they are closed
];

/** Bytes that are resident: VmRSS now, or VmHWM at most. */
const resident = (pid, key) => 1024 * Number(
  new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(
    fs.readFileSync(`/proc/${pid}/status`, 'latin1'))[1]);

async function measure({ slow, queue }) {
  const location = { socketio_send_queue: `${queue}m` };
  return site({ listen: LISTEN, location, realtime: true }, async (gw) => {
    const [worker] = gw.nginx.workers();
    const list = tokens(gw, CONNS, five(1));
    const before = resident(worker, 'VmRSS');

    // the kernel keeps the most; to ask for it meanwhile stops a process
    fs.writeFileSync(`/proc/${worker}/clear_refs`, '5');
    const some = load(gw, {
      conns: SLOW, tokens: list, stall: slow, 'stall-time': 10, rcvbuf: 8192,
      hold: 3, 'recv-timeout': 60,
      publish: publisher(gw, { count: RATE * SECONDS, rate: RATE,
                               bytes: BYTES, realtime: true }),
    }, { on: FAR });
    const [it, those] = await Promise.all([load(gw, {
      conns: CONNS - SLOW, tokens: list, 'recv-timeout': 60,
      expect: (CONNS - SLOW) * RATE * SECONDS,
    }, { on: FAR, realtime: true }), some]);

    return {
      ...latency(it), grown: resident(worker, 'VmHWM') - before,
      lost: it.lost, closed: those.recv.slow_closes,
      events: those.recv.slow_events,
    };
  });
}

module.exports = {
  title: 'Slow readers',
  what: `${number(CONNS)} clients get ${RATE} messages of ${number(BYTES)} `
        + 'bytes a second; some do not read for 10 s, and are owed more than '
        + 'they may be, or not',
  columns: ['slow', 'send queue, MiB', 'p50 / p99 ms of the others',
            'memory grew by, MB', 'slow ones closed', 'their events'],
  async run() {
    const rounds = await turns(CASES, ROUNDS, measure);
    const [none, stay, closed] = rounds.map(medians);

    return {
      rows: [none, stay, closed].map((it, i) => [
        CASES[i].slow, CASES[i].queue, `${fixed(it.p50)} / ${fixed(it.p99)}`,
        fixed(it.grown / MB, 1), it.closed, number(it.events)]),
      rounds,
      notes: ['What waits is in the log but once: the bound of memory is that '
              + `of the log, ${fixed(LOG / MB, 0)} MB, and copies of as much.`],
      checks: [
        check('p99 of the others with slow ones that stay, over that without',
              ratio(rounds[1], rounds[0], 'p99'), 1.1),
        check('the same with slow ones that are closed',
              ratio(rounds[2], rounds[0], 'p99'), 1.1),
        check('memory, MB', Math.max(stay.grown, closed.grown) / MB,
              2 * LOG / MB, { digits: 0 }),
        check('events lost by those that read',
              Math.max(...rounds.flat().map((it) => it.lost)), 0),
      ],
    };
  },
};
