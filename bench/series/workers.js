'use strict';

// Redis is read and decoded once for all workers: more of them must not make
// the same work dearer.  They all share one CPU with the load generator, so
// that what is compared is work, and not how cache lines travel.
//
// A message has to wake each worker, which no program can do for nothing: the
// raw loop does the same with as many processes, and with nothing else.

const {
  site, tokens, five, publisher, load, raw, RATE, fixed, check,
} = require('./lib');

async function measure(workers) {
  return site({ workers }, async (gw) => {
    const probe = await raw();
    const fan = await load(gw, {
      conns: 1000, tokens: tokens(gw, 1000, five(1)), expect: RATE * 8000,
      publish: publisher(gw, { count: RATE * 8, rate: RATE }),
    });
    const small = await load(gw, {
      conns: 5000, tokens: tokens(gw, 5000, five(1000)), expect: 50000,
      publish: publisher(gw, { rooms: 1000, count: 10000, rate: 2000 }),
    });
    const least = await raw({
      conns: 5000, fanout: 5, messages: 10000, rate: 2000, procs: workers,
    });
    const send = (probe + await raw()) / 2;
    return {
      workers, send, least: least * 5, delivery: fan.recv.cpu_us_per_event,
      publish: small.recv.cpu_us_per_event * 5,
    };
  });
}

module.exports = {
  title: 'Workers, all on one CPU',
  what: 'S1 and S3 with more workers; each ratio is that to one worker, both '
        + 'over the raw loop beside them. The last two: S3 of a raw loop in '
        + 'as many processes, woken by an eventfd for each message',
  columns: ['workers', 'CPU µs per delivery (S1)', 'ratio',
            'CPU µs per publish (S3)', 'ratio', 'raw send, µs',
            'raw processes, µs per publish', 'ratio'],
  async run() {
    const list = [];
    for (const workers of [1, 2, 4]) {
      list.push(await measure(workers));
    }
    const [one] = list;
    const ratio = (it, key) => it[key] / it.send / (one[key] / one.send);
    const worst = (key) => Math.max(...list.map((it) => ratio(it, key)));

    return {
      rows: list.map((it) => [
        it.workers, fixed(it.delivery), fixed(ratio(it, 'delivery')),
        fixed(it.publish), fixed(ratio(it, 'publish')), fixed(it.send),
        fixed(it.least), fixed(ratio(it, 'least'))]),
      checks: [
        check('S1 with more workers, over one', worst('delivery'), 1.15),
        check('S3 with more workers, over one', worst('publish'), 1.15,
              { least: worst('least') }),
      ],
    };
  },
};
