'use strict';

// What the zone's index costs as it grows from thousands to a million
// memberships: a CONNECT with many rooms, a join, a leave, and finding the five
// members of a small room.

const {
  NEAR, site, tokens, load, cpu, until, fixed, number, check,
} = require('./lib');

const FEW = 400;                // clients with five rooms, whatever others have
const CLIENTS = FEW + 2000;
const SMALL = CLIENTS / 5;
const POOL = 5000;              // rooms that many are in
const CHANGES = 10;             // rooms that a client joins, and leaves
const ROUNDS = 3;               // of that, for each of FEW clients
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
async function cost(gw, fence, n, send) {
  const workers = gw.nginx.workers();
  const before = cpu(workers);
  for (let i = 0; i < n; i += BATCH) {
    await send(i, Math.min(BATCH, n - i));
  }
  const id = `fence-${fence.next++}`;
  gw.emitter.to('user:fence').emit('fence', id);
  await fence.client.eventWith('fence', id, 60000);
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

/** CPU us of a join and of a leave, each of the round that was least disturbed. */
async function inAndOut(gw, fence, first) {
  const least = { join: Infinity, leave: Infinity };
  for (let round = 0; round < ROUNDS; round++) {
    for (const op of ['join', 'leave']) {
      least[op] = Math.min(least[op], await cost(
        gw, fence, FEW * CHANGES, changes(gw, op, first)));
    }
  }
  return least;
}

const deliveries = (gw) => async (at, n) => {
  for (let k = 0; k < n; k++) {
    gw.emitter.to(small((at + k) * 7)).emit('MESSAGE_CREATE', {
      t: Number(process.hrtime.bigint()), n: at + k, content: 'x'.repeat(300),
    });
  }
  await gw.redis.commands.ping();
};

async function measure(count) {
  const settings = { block: { zone: '512m' } };
  return site(settings, async (gw) => {
    const client = await gw.rawClient({ user: 'fence' });
    await client.connected();
    const fence = { client, next: 0 };
    const free = (await gw.status()).zone.free;

    const over = load(gw, {
      conns: CLIENTS, tokens: tokens(gw, CLIENTS, rooms(count)),
      expect: PUBLISHED * 5, 'recv-timeout': 120, settle: 0.5,
    }, { on: NEAR });
    const failed = over.then(() => null, (error) => error);
    const state = await until(async () => {
      const now = await gw.status();
      return now.sessions.live > CLIENTS && now;
    }, () => `${CLIENTS} are connected`, 60000);
    // the load generator counts events once it has settled
    await new Promise((resolve) => { setTimeout(resolve, 1000); });

    const few = await inAndOut(gw, fence, 0);
    const these = await inAndOut(gw, fence, FEW);
    const deliver = await cost(gw, fence, PUBLISHED, deliveries(gw));
    const error = await failed;
    if (error) {
      throw error;
    }
    return {
      count, memberships: state.memberships, used: free - state.zone.free,
      connect: (await over).connect.cpu_us_per_conn, few, these, deliver,
      join: few.join, leave: few.leave,
    };
  });
}

module.exports = {
  title: 'Memberships',
  what: `${number(CLIENTS - FEW)} clients in so many rooms each, and ${FEW} in `
        + 'five; joins and leaves are JSON commands, in brackets those of a '
        + 'client that is in so many; a delivery is one to a room of five',
  columns: ['rooms of a client', 'memberships', 'CPU µs per CONNECT',
            'per join', 'per leave', 'per publish to 5', 'zone bytes'],
  async run() {
    const list = [];
    for (const count of [1, 5, 50, 500]) {
      list.push(await measure(count));
    }
    const [first] = list;
    const many = list.at(-1);
    const each = (many.used - first.used)
      / (many.memberships - first.memberships);
    // all together, less those that are in five rooms in any case
    const five = list.find((it) => it.count === 5).connect;
    const connect = (it) => (
      (it.connect * CLIENTS - five * FEW) / (CLIENTS - FEW));
    const growth = (key) => Math.max(...list.map((it) => it[key])) / first[key];

    return {
      rows: list.map((it) => [
        number(it.count), number(it.memberships), fixed(connect(it), 1),
        `${fixed(it.join)} (${fixed(it.these.join)})`,
        `${fixed(it.leave)} (${fixed(it.these.leave)})`, fixed(it.deliver, 1),
        number(it.used)]),
      notes: [`A membership takes ${fixed(each, 1)} bytes of the zone.`],
      checks: [
        check('join, worst over first', growth('join'), 1.15),
        check('leave, worst over first', growth('leave'), 1.15),
        check('delivery, worst over first', growth('deliver'), 1.15),
      ],
    };
  },
};
