'use strict';

// Workers that die at any step of what they do to the shared memory: with its
// locks, in the middle of a claim, a change of rooms, a repair.  The others go
// on, and in the end everything is as it was.

const { Faults, skip } = require('./lib/faults');

const { test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');

const { start, replaced, counts, same, status, assertNoGap, WORKERS }
  = require('./lib/site');
const { Ledger } = require('./lib/ledger');
const { crowd, fresh, returns } = require('./lib/member');
const { scale } = require('./lib/scale');
const { until, within, SLOW } = require('../gateway/lib/expect');

const CLIENTS = scale(40, 120);
const ROUNDS = scale(6, 150);
const RECOVERY = scale(4, 10) * SLOW;
const RATE = 150;
const ROOMS = 20;
const LANES = 4;

/** Files whose steps count, and among how many of them one is drawn. */
const PLACES = [
  ['session', 400], ['', 2000], ['name', 300], ['log', 1000], ['session', 30],
  ['zone', 30], ['lease', 4],
];

/** Further deaths, of those who put in order what the first has left. */
const AGAIN = [
  [], [['repair', 20]], [], [['repair', 60], ['worker', 10]], [],
  [['worker', 20]], [], [['repair', 5], ['repair', 20]], [],
];

/** Every so many rounds the workers come and go, and die at that. */
const RELOAD = 4;
const LEAVING = ['worker', 12];

function draw([file, among]) {
  return { file, left: 1 + crypto.randomInt(among) };
}

function plans(round) {
  const first = PLACES[round % PLACES.length];

  // Few but those who read the feed have to do with the log and the lease.
  return round % RELOAD === RELOAD - 1 ? [draw(LEAVING)]
    : ['log', 'lease'].includes(first[0]) ? [draw(first)]
      : [first, ...AGAIN[round % AGAIN.length]].map(draw);
}

/**
 * Nobody has the feed without a gap if both of its readers die, so one of them
 * is spared if several are to die, and both while they hand it over.
 */
function spare(list, pair) {
  const spared = list[0].file === LEAVING[0] ? pair
    : list.length > 1 ? [pair[crypto.randomInt(2)]] : [];
  list.forEach((plan) => { plan.spare = spared; });
}

/** Clients that come and go all the time, so that there is something to do. */
class Churn {
  constructor(gw) {
    this.gw = gw;
    this.count = 0;
    this.lanes = Array.from({ length: LANES }, (_, i) => this.#lane(i));
  }

  async stop() {
    this.stopped = true;
    await Promise.all(this.lanes);
  }

  async #lane(lane) {
    while (!this.stopped) {
      const connect = this.count++ % 2 ? 'rawClient' : 'pollingClient';
      const client = await this.gw[connect]({
        user: `churn${this.count % 50}`,
        // More rooms than there is place for in the record of a session.
        rooms: ['a', 'b', 'c', 'd', 'e', 'f', `l${lane}`, `n${this.count}`],
      }).catch(() => null);
      if (!client) {
        continue;
      }
      await within(client.ready(), 'ready', 3000).catch(() => {});
      client.close();
      this.gw.clients.splice(this.gw.clients.indexOf(client), 1);
    }
  }
}

test(`${ROUNDS} times death at a random step`, { skip }, async (t) => {
  let faults;
  const gw = await start(t, {
    main: { env: 'SIO_FAULTS' },
    block: { zone: '16m', log: '4m', recovery: `${RECOVERY}s`, drain: '1s' },
    location: {
      socketio_ping_interval: `${SLOW}s`,
      socketio_ping_timeout: `${2 * SLOW}s`,
    },
    setup: (it) => { faults = new Faults(it.dir); },
  });
  const deaths = () => gw.nginx.log(/exited on signal 9/).length;
  t.after(() => faults.close());

  const before = await counts(gw);
  const ledger = new Ledger(gw);
  const members = await crowd(ledger, {
    count: CLIENTS, kinds: ['websocket', 'polling', 'upgrade'],
    rooms: (i) => [`r${i % ROOMS}`, `r${(i + 3) % ROOMS}`],
  });
  const connected = () => until(
    () => members.every((member) => member.socket.connected),
    () => `all are back: ${members.filter((it) => !it.socket.connected).map(
      (it) => `${it}: ${it.history()}`).slice(0, 5)}; last: ${faults.place}`,
    30000);
  const churn = new Churn(gw);

  gw.nginx.expect(/worker process \d+ exited on signal 9/);
  const stream = () => ledger.start(RATE, (n) => {
    ledger.toggle(members[n % CLIENTS].name, `s${n % 7}`);
    return [`r${n % ROOMS}`, `s${n % 7}`];
  });

  for (let round = 0; round < ROUNDS; round++) {
    const list = plans(round);
    const what = list.map(({ file, left }) => `${file || 'any'} ${left}`);

    await t.test(`${round + 1}: ${what.join(', then ')}`, async (t) => {
      stream();
      spare(list, await gw.feedPair());
      const workers = gw.nginx.workers();
      const sum = deaths();

      faults.arm(...list);
      if (list[0].file === LEAVING[0]) {
        await gw.nginx.reload();
      }
      await until(() => faults.deaths > 0, 'somebody dies', 20000);
      // Those who repair do it at once, if at all.
      await until(() => faults.deaths === list.length
                  || gw.nginx.workers().length === WORKERS, 'others follow');
      faults.disarm();
      await until(() => deaths() > sum, 'it is dead');

      const alive = workers.filter((pid) => gw.nginx.workers().includes(pid));
      await replaced(gw, workers.filter((pid) => !alive.includes(pid)));
      await until(async () => (await status(gw)).workers.length === WORKERS,
                  () => `the slots are in use again; ${faults.place}`, 10000);
      t.diagnostic(`died at ${faults.place}`);
      await connected();
      await ledger.more(RATE / 5);
      ledger.stop();
      try {
        // What was lost with the feed is missing everywhere.
        assertNoGap(gw);
        await ledger.settle(members);
        assertNoGap(gw);
      } finally {
        ledger.renew(members);
      }
    });
  }

  await t.test('everybody had its socket back', async () => {
    await churn.stop();
    t.diagnostic(`${deaths()} deaths, ${returns(members)} returns, ${
      fresh(members)} of them without socket`);
    assert.ok(fresh(members) <= deaths(), `${fresh(members)} began anew`);
  });

  await t.test('nothing is left of them', async () => {
    members.forEach((member) => member.close());
    await same(gw, before, 40000);
  });
});
