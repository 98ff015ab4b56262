'use strict';

// What the zone's index costs as it grows from thousands to a million
// memberships: a CONNECT with many rooms, a join, a leave, and finding the five
// members of a small room.

const {
  NEAR, site, tokens, load, cpu, until, fixed, number, check,
} = require('./lib');

const CLIENTS = 2000;
const SMALL = CLIENTS / 5;
const POOL = 5000;              // rooms that many are in
const CHANGES = 20000;
const PUBLISHED = 5000;
const BATCH = 50;

const small = (i) => `small:${i % SMALL}`;

/** One room of five, the others out of the pool, all different. */
const rooms = (count) => (i) => [
  small(i),
  ...Array.from({ length: count - 1 }, (_, k) => (
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

/** Commands that let all users enter, or leave, ten rooms, all different. */
function changes(gw, op) {
  return (at, n) => gw.redis.commands.publish(
    'socket.io-command',
    JSON.stringify(Array.from({ length: n }, (_, k) => {
      const user = (at + k) % CLIENTS;
      const turn = Math.floor((at + k) / CLIENTS);
      return {
        op, to: `user:user-${user}`, rooms: `probe:${(user + turn * 97) % 1000}`,
      };
    })));
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
    }, `${CLIENTS} are connected`, 60000);
    // the load generator counts events once it has settled
    await new Promise((resolve) => { setTimeout(resolve, 1000); });

    const join = await cost(gw, fence, CHANGES, changes(gw, 'join'));
    const leave = await cost(gw, fence, CHANGES, changes(gw, 'leave'));
    const deliver = await cost(gw, fence, PUBLISHED, deliveries(gw));
    const error = await failed;
    if (error) {
      throw error;
    }
    return {
      count, memberships: state.memberships, used: free - state.zone.free,
      connect: (await over).connect.cpu_us_per_conn, join, leave, deliver,
    };
  });
}

module.exports = {
  title: 'Memberships',
  what: `${CLIENTS} clients in so many rooms each; joins and leaves are JSON `
        + 'commands, a delivery is one to a room of five',
  columns: ['rooms of a client', 'memberships', 'CPU µs per CONNECT',
            'per join', 'per leave', 'per publish to 5', 'zone bytes'],
  async run() {
    const list = [];
    for (const count of [1, 5, 50, 500]) {
      list.push(await measure(count));
    }
    const [few] = list;
    const many = list.at(-1);
    const each = (many.used - few.used) / (many.memberships - few.memberships);
    const growth = (key) => Math.max(...list.map((it) => it[key])) / few[key];

    return {
      rows: list.map((it) => [
        number(it.count), number(it.memberships), fixed(it.connect, 1),
        fixed(it.join), fixed(it.leave), fixed(it.deliver, 1),
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
