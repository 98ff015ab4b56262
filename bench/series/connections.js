'use strict';

// A room of 1,000 costs the same, and an idle connection too, however many
// others there are.  A few per cent are less than what the machine's neighbours
// do to its caches from one minute to the next: so the gateways of all sizes
// get their messages at the same time, slowly, and so do loops with as many
// connections, of which they send to every so manieth: their sockets are as far
// apart in memory.

const fs = require('node:fs');
const path = require('node:path');

const {
  site, tokens, five, publisher, load, raw, medians, until, fixed, number,
  check,
} = require('./lib');

const SIZES = [1000, 9000, 18000];
const MEMBERS = 1000;
const RATE = 6;                 // messages a second of each: all take one CPU
const SECONDS = 20;
const COUNT = RATE * SECONDS;
const ROUNDS = 3;

/** Runs body with a gateway for each of the sizes. */
const sites = (sizes, body, gws = []) => (sizes.length === 0 ? body(gws)
  : site({ realtime: true }, (gw) => (
    sites(sizes.slice(1), body, [...gws, gw]))));

/** One of the sizes; its publisher waits for the others. */
const measure = (gw, conns, go) => load(gw, {
  conns, hold: 5, expect: COUNT * MEMBERS, 'recv-timeout': 120,
  tokens: tokens(gw, conns, five(conns / MEMBERS)),
  publish: `touch ${go}.${conns}; until [ -e ${go} ]; do sleep 0.1; done; ${
    publisher(gw, { count: COUNT, rate: RATE, realtime: true })}`,
}, { realtime: true });

async function round(gws, n) {
  const go = path.join(gws[0].dir, `go.${n}`);
  const loads = Promise.all(SIZES.map((conns, i) => (
    measure(gws[i], conns, go))));
  const failed = loads.then(() => null, (error) => error);
  const ready = until(() => SIZES.every((it) => fs.existsSync(`${go}.${it}`)),
                      'all are connected', 60000).then(() => null);

  const early = await Promise.race([ready, failed]);
  if (early) {
    throw early;
  }
  fs.writeFileSync(go, '');

  const loops = await Promise.all(SIZES.map((conns) => raw({
    conns, fanout: MEMBERS, spread: true, rate: RATE, messages: COUNT,
  }, { realtime: true })));
  return (await loads).map(({ recv, idle }, i) => ({
    send: loops[i], delivery: recv.cpu_us_per_event,
    user: recv.cpu_user_us_per_event, over: recv.cpu_us_per_event / loops[i],
    bytes: idle.pss_bytes_per_conn,
  }));
}

module.exports = {
  title: 'Connections',
  what: `S1 and S4 with a room of ${number(MEMBERS)} among so many `
        + 'connections, and a loop that has as many, all at the same time',
  columns: ['connections', 'CPU µs per delivery (S1)', 'of it in user space',
            'raw send, µs', 'over raw', 'bytes per idle connection (S4)',
            'per further one'],
  async run() {
    const rounds = await sites(SIZES, async (gws) => {
      const list = [];
      for (let n = 0; n < ROUNDS; n++) {
        list.push(await round(gws, n));
      }
      return list;
    });
    const list = SIZES.map((conns, i) => ({
      ...medians(rounds.map((it) => it[i])), conns, bytes: rounds[0][i].bytes,
    }));
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
