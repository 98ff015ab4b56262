'use strict';

// A room of 1,000 costs the same, and an idle connection too, however many
// others there are.  The loop beside it has as many connections, too, of which
// it sends to every so manieth: their sockets are as far apart in memory.
//
// What a send costs here differs by 15 % from one minute to the next.  So all
// sites are there at once, each with its connections, and take turns of a
// second.  All of them go before what else the machine does, which would take
// their caches.

const { execFile } = require('node:child_process');
const { promisify } = require('node:util');

const {
  site, tokens, five, publisher, load, together, turns, held, raw, cpu,
  medians, ratio, RATE, fixed, number, check,
} = require('./lib');

const SIZES = [1000, 9000, 18000];
const MEMBERS = 1000;
const SECONDS = 1;
const ROUNDS = 11;
const MESSAGES = RATE * SECONDS;

/**
 * Bytes of each of so many connections that do nothing.  They come a few at a
 * time: what handshakes take at once stays with the allocator.
 */
const idle = (conns) => site({}, async (gw) => (await load(gw, {
  conns, conc: 8, hold: 5, tokens: tokens(gw, conns, five(conns / MEMBERS)),
})).idle.pss_bytes_per_conn);

/** CPU us of a send of the loop, and of a delivery. */
async function round({ gw, done, conns }) {
  const send = await raw({
    conns, fanout: MEMBERS, spread: true, rate: RATE, messages: MESSAGES,
  }, { realtime: true });
  const workers = gw.nginx.workers();
  const before = cpu(workers);

  await promisify(execFile)(
    'sh', ['-c', publisher(gw, { count: MESSAGES, rate: RATE })]);
  await done();

  const delivery = (cpu(workers) - before) / (MESSAGES * MEMBERS);
  return { send, delivery, over: delivery / send };
}

const open = (conns, use) => site({ realtime: true }, (gw) => held(gw, {
  conns, expect: ROUNDS * MESSAGES * MEMBERS,
  tokens: tokens(gw, conns, five(conns / MEMBERS)),
}, { realtime: true }, ({ done }) => use({ gw, done, conns })));

/** What a delivery costs with so many connections, round by round. */
const deliveries = () => together(
  SIZES, open, (sites) => turns(sites, ROUNDS, round));

module.exports = {
  title: 'Connections',
  what: `S1 and S4 with a room of ${number(MEMBERS)} among so many `
        + 'connections, and a loop that has as many',
  columns: ['connections', 'CPU µs per delivery (S1)', 'raw send, µs',
            'over raw', 'bytes per idle connection (S4)', 'per further one'],
  async run() {
    const bytes = [];
    for (const conns of SIZES) {
      bytes.push(await idle(conns));
    }
    const rounds = await deliveries();
    const list = rounds.map((it, i) => (
      { ...medians(it), conns: SIZES[i], bytes: bytes[i] }));
    // the first ones pay for what a worker allocates once
    const further = list.slice(1).map((it, i) => (
      (it.bytes * it.conns - list[i].bytes * list[i].conns)
      / (it.conns - list[i].conns)));
    const growth = rounds.map((it) => ratio(it, rounds[0], 'over'));

    return {
      rows: list.map((it, i) => [
        number(it.conns), fixed(it.delivery), fixed(it.send), fixed(it.over),
        number(it.bytes), number(further[i - 1])]),
      rounds,
      checks: [
        check('S1 over raw, worst over first', Math.max(...growth), 1.05),
        check('S4, further connections, most over least',
              Math.max(...further) / Math.min(...further), 1.05),
      ],
    };
  },
};
