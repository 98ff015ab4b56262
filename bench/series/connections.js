'use strict';

// A room of 1,000 costs the same, and an idle connection too, however many
// others there are.  The loop beside it has as many connections, too, of which
// it sends to every so manieth: their sockets are as far apart in memory.  All of
// them go before what else the machine does, which would take their caches.

const {
  site, tokens, five, publisher, load, raw, medians, RATE, fixed, number,
  check,
} = require('./lib');

const SIZES = [1000, 9000, 18000];
const MEMBERS = 1000;
const SECONDS = 4;
const ROUNDS = 3;               // the sizes take turns

async function measure(conns, round) {
  return site({ realtime: true }, async (gw) => {
    const send = await raw({
      conns, fanout: MEMBERS, spread: true, rate: RATE,
      messages: RATE * SECONDS,
    }, { realtime: true });
    const it = await load(gw, {
      conns, hold: round ? 0 : 5, expect: RATE * SECONDS * MEMBERS,
      tokens: tokens(gw, conns, five(conns / MEMBERS)),
      publish: publisher(gw, { count: RATE * SECONDS, rate: RATE,
                               realtime: true }),
    }, { realtime: true });
    const { cpu_us_per_event: delivery, cpu_user_us_per_event: user } = it.recv;
    return {
      send, delivery, user, over: delivery / send,
      bytes: it.idle?.pss_bytes_per_conn,
    };
  });
}

module.exports = {
  title: 'Connections',
  what: `S1 and S4 with a room of ${number(MEMBERS)} among so many `
        + 'connections, and a loop that has as many',
  columns: ['connections', 'CPU µs per delivery (S1)', 'of it in user space',
            'raw send, µs', 'over raw', 'bytes per idle connection (S4)',
            'per further one'],
  async run() {
    const rounds = SIZES.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, conns] of SIZES.entries()) {
        rounds[i].push(await measure(conns, round));
      }
    }
    const list = rounds.map((it, i) => (
      { ...medians(it), conns: SIZES[i], bytes: it[0].bytes }));
    // the first ones pay for what a worker allocates once
    const further = list.slice(1).map((it, i) => (
      (it.bytes * it.conns - list[i].bytes * list[i].conns)
      / (it.conns - list[i].conns)));
    const spread = (values) => Math.max(...values) / Math.min(...values);

    return {
      rows: list.map((it, i) => [
        number(it.conns), fixed(it.delivery), fixed(it.user), fixed(it.send),
        fixed(it.over), number(it.bytes), number(further[i - 1])]),
      rounds,
      checks: [
        check('S1 over raw, most over least',
              spread(list.map((it) => it.over)), 1.05),
        check('S4, further connections, most over least', spread(further),
              1.05),
      ],
    };
  },
};
