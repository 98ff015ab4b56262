'use strict';

// What the zone's index costs as it grows from thousands to a million
// memberships: a CONNECT with many rooms, a join, a leave, and finding the five
// members of a small room.

const {
  NEAR, site, tokens, together, turns, held, cpu, medians, ratio, fixed,
  number, check,
} = require('./lib');

const FEW = 400;                // clients with five rooms, whatever others have
const CLIENTS = FEW + 2000;
const SMALL = CLIENTS / 5;
const POOL = 5000;              // rooms that many are in
const CHANGES = 10;             // rooms that a client joins, and leaves
const ROUNDS = 5;
const PUBLISHED = 5000;
const BATCH = 50;

const small = (i) => `small:${i % SMALL}`;

/** One room of five, the others out of the pool, all different. */
const rooms = (count) => (i) => [
  small(i),
  ...Array.from({ length: (i < FEW ? 5 : count) - 1 }, (_, k) => (
    `pool:${(i * 131 + k * 7) % POOL}`)),
];

/** CPU us for each of n; sends by batches, and waits until all are done. */
async function cost({ gw, done }, n, send) {
  const workers = gw.nginx.workers();
  const before = cpu(workers);
  for (let i = 0; i < n; i += BATCH) {
    await send(i, Math.min(BATCH, n - i));
  }
  await done();
  return (cpu(workers) - before) / n;
}

/**
 * Commands that let FEW users, from the first one on, enter or leave CHANGES
 * rooms, all different.
 */
function changes(gw, op, first) {
  return (at, n) => gw.redis.commands.publish(
    'socket.io-command',
    JSON.stringify(Array.from({ length: n }, (_, k) => {
      const user = (at + k) % FEW;
      const turn = Math.floor((at + k) / FEW);
      return {
        op, to: `user:user-${first + user}`,
        rooms: `probe:${(user + turn * 97) % 1000}`,
      };
    })));
}

/** CPU us of a join and of a leave. */
async function inAndOut(it, first) {
  const n = FEW * CHANGES;
  return {
    join: await cost(it, n, changes(it.gw, 'join', first)),
    leave: await cost(it, n, changes(it.gw, 'leave', first)),
  };
}

const deliveries = (gw) => async (at, n) => {
  for (let k = 0; k < n; k++) {
    gw.emitter.to(small((at + k) * 7)).emit('MESSAGE_CREATE', {
      t: Number(process.hrtime.bigint()), n: at + k, content: 'x'.repeat(300),
    });
  }
  await gw.redis.commands.ping();
};

/** CPU us of all that is done with a site; once before, for the caches. */
async function round(it) {
  await inAndOut(it, 0);
  const few = await inAndOut(it, 0);
  await inAndOut(it, FEW);
  const these = await inAndOut(it, FEW);
  return {
    ...few, theirJoin: these.join, theirLeave: these.leave,
    deliver: await cost(it, PUBLISHED, deliveries(it.gw)),
  };
}

const open = (count, use) => site({ block: { zone: '512m' } }, async (gw) => {
  const free = (await gw.status()).zone.free;

  return held(gw, {
    conns: CLIENTS, tokens: tokens(gw, CLIENTS, rooms(count)),
    expect: ROUNDS * PUBLISHED * 5,
  }, { on: NEAR }, async ({ done, over }) => {
    const { memberships, zone } = await gw.status();

    return use({
      gw, done, over, count, memberships, used: free - zone.free,
    });
  });
});

const measure = (counts) => together(counts, open, async (sites) => {
  const rounds = await turns(sites, ROUNDS, round);

  return Promise.all(sites.map(async ({ over, ...it }, k) => ({
    ...it, rounds: rounds[k], ...medians(rounds[k]),
    connect: (await over).connect.cpu_us_per_conn,
  })));
});

module.exports = {
  title: 'Memberships',
  what: `${number(CLIENTS - FEW)} clients in so many rooms each, and ${FEW} in `
        + 'five; joins and leaves are JSON commands, in brackets those of a '
        + 'client that is in so many; a delivery is one to a room of five',
  columns: ['rooms of a client', 'memberships', 'CPU µs per CONNECT',
            'per join', 'per leave', 'per publish to 5', 'zone bytes'],
  async run() {
    const list = await measure([1, 5, 50, 500]);
    const [first] = list;
    const many = list.at(-1);
    const each = (many.used - first.used)
      / (many.memberships - first.memberships);
    // all together, less those that are in five rooms in any case
    const five = list.find((it) => it.count === 5).connect;
    const connect = (it) => (
      (it.connect * CLIENTS - five * FEW) / (CLIENTS - FEW));
    const growth = (key) => Math.max(
      ...list.map((it) => ratio(it.rounds, first.rounds, key)));

    return {
      rows: list.map((it) => [
        number(it.count), number(it.memberships), fixed(connect(it), 1),
        `${fixed(it.join)} (${fixed(it.theirJoin)})`,
        `${fixed(it.leave)} (${fixed(it.theirLeave)})`, fixed(it.deliver, 1),
        number(it.used)]),
      rounds: list.map((it) => it.rounds),
      notes: [`A membership takes ${fixed(each, 1)} bytes of the zone.`],
      checks: [
        check('join, worst over first', growth('join'), 1.15),
        check('leave, worst over first', growth('leave'), 1.15),
        check('delivery, worst over first', growth('deliver'), 1.15),
      ],
    };
  },
};
