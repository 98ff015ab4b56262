'use strict';

// A room of 1,000 costs the same, and an idle connection too, however many
// others there are.

const {
  site, tokens, five, publisher, load, raw, RATE, fixed, number, check,
} = require('./lib');

const SECONDS = 5;
const ROUNDS = 2;               // of which the quieter one counts

async function measure(conns) {
  return site({}, async (gw) => {
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++) {
      const probe = await raw();
      const it = await load(gw, {
        conns, hold: round ? 0 : 5, expect: RATE * SECONDS * 1000,
        tokens: tokens(gw, conns, five(conns / 1000)),
        publish: publisher(gw, { count: RATE * SECONDS, rate: RATE }),
      });
      const send = (probe + await raw()) / 2;
      const delivery = it.recv.cpu_us_per_event;
      rounds.push({ it, send, delivery, over: delivery / send });
    }
    const best = rounds.reduce((a, b) => (b.over < a.over ? b : a));
    return { conns, ...best, bytes: rounds[0].it.idle.pss_bytes_per_conn };
  });
}

module.exports = {
  title: 'Connections',
  what: 'S1 and S4 with a room of 1,000 among so many connections',
  columns: ['connections', 'CPU µs per delivery (S1)', 'raw send, µs',
            'over raw', 'bytes per idle connection (S4)',
            'per further one'],
  async run() {
    const list = [];
    for (const conns of [1000, 6000, 12000, 18000]) {
      list.push(await measure(conns));
    }
    const over = list.map((it) => it.over);
    // the first ones pay for what a worker allocates once
    const further = list.slice(1).map((it, i) => (
      (it.bytes * it.conns - list[i].bytes * list[i].conns)
      / (it.conns - list[i].conns)));
    const spread = (values) => Math.max(...values) / Math.min(...values);

    return {
      rows: list.map((it, i) => [
        number(it.conns), fixed(it.delivery), fixed(it.send), fixed(over[i]),
        number(it.bytes), number(further[i - 1])]),
      checks: [
        check('S1 over raw, most over least', spread(over), 1.05),
        check('S4, further connections, most over least', spread(further),
              1.05),
      ],
    };
  },
};
