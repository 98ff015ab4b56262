'use strict';

// A message is compressed once, however many receivers it has.

const {
  site, tokens, five, publisher, load, fixed, number, check,
} = require('./lib');

const RECEIVERS = [10, 100, 1000];
const COUNT = 150;
const RATE = 30;
const BYTES = 2000;

async function measure(deflate) {
  const settings = {
    location: { socketio_deflate: deflate ? '512' : 'off' },
  };
  return site(settings, async (gw) => {
    const list = [];
    for (const conns of RECEIVERS) {
      const before = (await gw.status()).deflate.records;
      const { recv } = await load(gw, {
        conns, deflate, tokens: tokens(gw, conns, five(1)),
        expect: conns * COUNT,
        publish: publisher(gw, { count: COUNT, rate: RATE, bytes: BYTES }),
      });
      list.push({
        cost: recv.cpu_us_per_event * conns, bytes: recv.bytes / recv.events,
        records: (await gw.status()).deflate.records - before,
      });
    }
    return list;
  });
}

module.exports = {
  title: 'Compression',
  what: `messages of ${BYTES} bytes, ${RATE} a second, to a room of so many`,
  columns: ['receivers', 'off: CPU µs per message', 'bytes per delivery',
            'on: CPU µs per message', 'bytes per delivery',
            'compressions per message'],
  async run() {
    const off = await measure(false);
    const on = await measure(true);
    const each = on.map((it) => it.records / COUNT);
    return {
      rows: RECEIVERS.map((conns, i) => [
        number(conns), fixed(off[i].cost, 0), number(off[i].bytes),
        fixed(on[i].cost, 0), number(on[i].bytes), fixed(each[i])]),
      checks: [check('compressions per message', Math.max(...each), 1)],
    };
  },
};
