'use strict';

// The life of nginx around its clients: quit, stop, reload, upgrade, and a
// zone that changes or fills.  Nothing hangs, and no alert is logged.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { start, counts, assertNoGap } = require('./lib/site');
const { Daemon } = require('./lib/daemon');
const { Ledger } = require('./lib/ledger');
const { Light } = require('./lib/light');
const { crowd, fresh } = require('./lib/member');
const { scale } = require('./lib/scale');
const { alive } = require('../gateway/lib/processes');
const { until, parallel, within, SLOW } = require('../gateway/lib/expect');

const CLIENTS = scale(40, 200);
const POLLS = scale(10, 50);

const list = (count, make) => parallel(
  Array.from({ length: count }, (_, i) => i), 20, make);

/** Sessions by polling that are connected, each with a GET that hangs. */
function hanging(gw) {
  return list(POLLS, async (i) => {
    const session = await gw.polled({ user: `poll${i}`, rooms: ['r'] });
    return { session, held: await session.hold() };
  });
}

/** Clients over WebSocket that do not come back, each with closedAt. */
function lights(gw, ledger) {
  return list(CLIENTS, (i) => {
    ledger.declare(`light${i}`, ['r']);
    return Light.connect(ledger, `light${i}`, gw.plain, { rooms: ['r'] });
  });
}

/** The packets that a poll was answered with. */
async function answered({ held }) {
  const { status, body } = await held.answer;
  assert.equal(status, 200, body);
  return body.split('\x1e');
}

for (const signal of ['SIGQUIT', 'SIGTERM']) {
  test(`${signal} with polls and WebSockets`, async (t) => {
    const gw = await start(t, { block: { drain: '1s', recovery: '30s' } });
    const ledger = new Ledger(gw);
    const clients = await lights(gw, ledger);
    const polls = await hanging(gw);
    const idle = await gw.polling();
    const opened = await gw.socket();
    const processes = [...gw.nginx.workers({ leaving: true }), gw.nginx.pid];
    const ends = polls.map((poll) => poll.held.answer.catch(() => null));

    assert.ok(idle.sid);
    await gw.nginx.stop(signal);
    assert.deepEqual(processes.filter(alive), []);
    await within(Promise.all([opened.ended, ...ends]), 'all are let go');
    await until(() => clients.every((client) => client.closedAt),
                'all are closed');
    if (signal === 'SIGQUIT') {
      for (const poll of polls) {
        assert.deepEqual(await answered(poll), ['6']);
      }
    }
    gw.nginx.assertQuiet();
  });
}

test('reload with polls and WebSockets', async (t) => {
  const DRAIN = scale(2000, 5000);
  const gw = await start(t, {
    block: { drain: `${DRAIN}ms`, recovery: '30s' },
  });
  const ledger = new Ledger(gw);
  const clients = await lights(gw, ledger);
  const polls = await hanging(gw);
  let old;
  let begin;

  await t.test('polls are answered, and go on with new workers', async () => {
    await gw.feedPair();
    begin = performance.now();
    old = await gw.nginx.reload();
    for (const poll of polls) {
      assert.deepEqual(await answered(poll), ['6']);
      poll.held = await poll.session.hold();
    }
    ledger.publish('r');
    for (const poll of polls) {
      const [packet] = await answered(poll);
      assert.match(packet, /^42\["n",1,/);
    }
  });

  await t.test('WebSockets are closed, spread over the drain', async () => {
    await until(() => clients.every((client) => client.closedAt),
                'all are closed', DRAIN + 5000);
    const times = clients.map((client) => client.closedAt - begin)
      .sort((a, b) => a - b);
    const quarters = [0, 0, 0, 0];
    for (const time of times) {
      quarters[Math.min(3, Math.floor((time - times[0]) / DRAIN * 4))]++;
    }
    assert.ok(times.at(-1) < DRAIN + 3000, `the last after ${times.at(-1)} ms`);
    assert.ok(times.at(-1) - times[0] > DRAIN / 2,
              `from ${times[0]} to ${times.at(-1)} ms`);
    assert.ok(quarters.every((count) => count < clients.length * 0.7),
              `by quarters of the drain: ${quarters}`);
  });

  await t.test('what was published meanwhile came before the close', () => {
    for (const client of clients) {
      assert.ok(client.seen.length <= 1);
    }
    assert.ok(clients.some((client) => client.seen.length === 1));
  });

  await t.test('the old workers go', async () => {
    await until(() => !old.some(alive), 'they are gone', 15000);
    assert.equal(gw.nginx.workers({ leaving: true }).length, 4);
    assertNoGap(gw);
  });
});

test('worker_shutdown_timeout', async (t) => {
  const gw = await start(t, {
    main: { worker_shutdown_timeout: '1s' }, block: { drain: '60s' },
  });
  const ledger = new Ledger(gw);
  const clients = await lights(gw, ledger);
  const polls = await hanging(gw);
  const old = await gw.nginx.reload();

  await until(() => !old.some(alive), 'the old workers are gone', 10000);
  await until(() => clients.every((client) => client.closedAt),
              'their clients are closed');
  for (const poll of polls) {
    assert.deepEqual(await answered(poll), ['6']);
    assert.ok(await poll.session.alive());
  }
});

test('another binary takes over', async (t) => {
  const gw = await start(t, {
    block: { drain: '1s', recovery: '30s' },
    setup: (it) => { it.nginx = new Daemon(it.dir); },
  });
  const ledger = new Ledger(gw);
  const members = await crowd(ledger, {
    count: CLIENTS, kinds: ['websocket', 'upgrade'], rooms: () => ['r'],
  });
  // While there are two masters, each with a zone of its own, those who poll
  // find the right one by chance.
  const pollers = await crowd(ledger, {
    count: POLLS, kinds: ['polling'], rooms: () => ['r'], prefix: 'poll',
  });
  const old = { master: gw.nginx.pid, workers: gw.nginx.workers() };

  await gw.feedPair();
  ledger.start(100, () => 'r');

  await t.test('old and new side by side', async () => {
    await gw.nginx.upgrade();
    assert.ok(alive(old.master));
    await until(() => gw.nginx.workers().length === 4, 'new workers');
    await gw.redis.subscribed(4, 15000);
    await ledger.more(100);
  });

  await t.test('the old one quits, its clients come to the new one',
    async () => {
      process.kill(old.master, 'SIGQUIT');
      await until(() => ![old.master, ...old.workers].some(alive),
                  'the old one is gone', 20000);
      await until(() => members.every((it) => it.socket.connected),
                  () => `all are back: ${members.filter((it) => (
                    !it.socket.connected)).map((it) => `${it}: ${
                    it.history()}`).slice(0, 5).join('\n')}`, 20000);
      await ledger.more(100);
      ledger.stop();
      await ledger.settle(members);
      assert.equal(fresh(members), members.length);
      await until(() => pollers.every((it) => it.seen.at(-1) === ledger.sent),
                  'those who poll have the last number, too', 20000);
      assertNoGap(gw);
    });
});

test('a reload with another size of the zone', async (t) => {
  const gw = await start(t, { block: { drain: '1s', recovery: '30s' } });
  const ledger = new Ledger(gw);
  const members = await crowd(ledger, {
    count: CLIENTS, kinds: ['websocket', 'polling', 'upgrade'],
    rooms: () => ['r'],
  });
  const before = await counts(gw);

  gw.options.block = { ...gw.options.block, zone: '32m' };
  gw.configure();
  const old = await gw.nginx.reload();

  await until(() => members.every((it) => it.starts.length === 2
              && it.received('ready').length === 2), 'all begin anew', 20000);
  await until(() => !old.some(alive), 'the old workers are gone', 15000);
  ledger.publish('r');
  await ledger.settle(members);

  const after = await counts(gw);
  assert.ok(after.free > before.free);
  assert.deepEqual({ ...after, free: 0 }, { ...before, free: 0 });
  const warnings = gw.nginx.log(/\[warn\].*zone/);
  assert.equal(warnings.length, 1, warnings.join('\n'));
});

test('a zone that is full', async (t) => {
  const gw = await start(t, {
    block: { zone: '1m', log: '256k', recovery: '1s' },
    location: {
      socketio_ping_interval: `${4 * SLOW}s`,
      socketio_ping_timeout: `${4 * SLOW}s`,
    },
  });
  await gw.redis.subscribed(2, 15000);
  await gw.live();
  let before;
  await until(async () => {
    before = await counts(gw);
    return before.sessions === 0;
  }, 'nobody is there');

  const ledger = new Ledger(gw);
  const warnings = () => gw.nginx.log(/\[warn\].*zone/);
  const status = (error) => error.head?.status || String(error);

  for (let round = 1; round <= scale(1, 4); round++) {
    await t.test(`newcomers get 503, ${round}`, async (t) => {
      const clients = [];
      let refusal;

      t.after(() => clients.forEach((it) => it.close()));

      while (!refusal) {
        const batch = await list(20, (i) => {
          const claims = { user: `u${clients.length + i}`, rooms: ['r'] };
          return (i % 2 ? gw.rawConnect(claims) : gw.pollingConnect(claims))
            .catch((error) => ({ error }));
        });
        clients.push(...batch.filter((it) => !it.error));
        refusal = batch.find((it) => it.error)?.error;
        assert.ok(clients.length < 5000, 'the zone never fills');
      }
      assert.equal(status(refusal), 503);
      assert.ok(clients.length >= 100, `it held ${clients.length} clients`);
      assert.equal(status(await gw.polling().catch((it) => it)), 503);
      assert.equal(status(await gw.socket().catch((it) => it)), 503);

      assert.deepEqual(clients.filter((it) => it.closed).map(
        (it) => `${it}: ${it.closeCode}, ${it.failure}`), []);
      gw.emitter.to('r').emit('still here');
      await Promise.all(clients.map((it) => it.event('still here')));
    });

    await t.test(`there is room again, ${round}`, async () => {
      await until(async () => (await counts(gw)).sessions === 0,
                  'all are gone', 20000);
      assert.deepEqual(await counts(gw), before);
      const [member] = await crowd(ledger, {
        count: 1, kinds: ['polling'], rooms: () => ['r'],
        prefix: `again${round}`,
      });
      member.close();
      await until(async () => (await counts(gw)).sessions === 0, 'it is gone');
    });
  }

  await t.test('one line tells of it', () => {
    assert.equal(warnings().length, 1, warnings().join('\n'));
  });
});
