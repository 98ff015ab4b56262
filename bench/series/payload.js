'use strict';

// Large messages: what is added must be the copy that each send makes.

const {
  site, tokens, five, publisher, load, raw, fixed, number,
} = require('./lib');

const CONNS = 200;

module.exports = {
  title: 'Size of a message',
  what: `a room of ${CONNS}, 50 messages a second, those of 100 kB 20`,
  columns: ['bytes', 'CPU µs per delivery', 'raw loop, µs', 'over raw',
            'p50 / p99 ms'],
  async run() {
    const rows = await site({}, async (gw) => {
      const list = tokens(gw, CONNS, five(1));
      const all = [];
      for (const bytes of [100, 1000, 10000, 100000]) {
        const rate = bytes < 100000 ? 50 : 20;
        const it = await load(gw, {
          conns: CONNS, tokens: list, expect: rate * 5 * CONNS,
          publish: publisher(gw, { count: rate * 5, rate, bytes }),
        });
        const send = await raw({
          conns: CONNS, payload: bytes, messages: rate * 3, rate,
        });
        const { recv } = it;
        all.push([
          number(recv.bytes / recv.events), fixed(recv.cpu_us_per_event),
          fixed(send), fixed(recv.cpu_us_per_event / send),
          `${fixed(recv.lat_p50_us / 1e3)} / ${fixed(recv.lat_p99_us / 1e3)}`]);
      }
      return all;
    });
    return { rows };
  },
};
