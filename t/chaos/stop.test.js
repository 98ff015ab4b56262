'use strict';

// A worker that stops for seconds, as a debugger or a slow disk may do it.
// The log fills meanwhile until the others leave that worker behind; when it
// goes on, its clients come back with their sockets.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { start, feedPair, assertNoGap } = require('./lib/site');
const { Ledger } = require('./lib/ledger');
const { crowd, fresh } = require('./lib/member');
const { scale } = require('./lib/scale');
const { until } = require('../gateway/lib/expect');

const CLIENTS = scale(40, 120);
const STOP = scale(3000, 10000);
const RATE = 200;
const ROOMS = 20;

// What fills the log: three quarters of it are more than the writers may go
// ahead of a worker, nine tenths are little enough to come back.
const LOG = 4 * 1024 * 1024;
const FLOOD = 1024;
const FLOODS = Math.floor(0.85 * LOG / (FLOOD + 128));

// How late an event may be: while the others wait for the one that stopped,
// and when they do not wait any more.  Half a second is what they wait.
const WAITING = 2000;
const LEFT = 1000;

/** Fills the log for a client that wants it, as fast as the log takes it. */
function flood(gw) {
  const filler = 'x'.repeat(FLOOD);
  for (let i = 0; i < FLOODS; i++) {
    gw.emitter.to('sink').emit('flood', filler);
  }
}

/** The worst delay of these since the last call. */
function worst(members) {
  const result = Math.max(...members.map((member) => member.worst));
  members.forEach((member) => { member.worst = 0; });
  return result;
}

/** The WebSockets among these by worker: pid -> members. */
function byWorker(gw, members) {
  const open = members.filter((member) => (
    member.socket.io.engine.transport.name === 'websocket'));
  const workers = gw.workersOf(open);
  const map = new Map();

  open.forEach((member, i) => {
    map.set(workers[i], [...map.get(workers[i]) || [], member]);
  });
  return map;
}

/** Which worker is stopped: one that reads the feed, or another one. */
async function choose(gw, members, reads) {
  const pair = await feedPair(gw);
  const [victim] = [...byWorker(gw, members)]
    .filter(([pid]) => pair.includes(pid) === reads)
    .sort((a, b) => b[1].length - a[1].length)[0];
  return victim;
}

async function stop(gw, ledger, members, victim, bound) {
  const theirs = byWorker(gw, members).get(victim);
  const others = members.filter((member) => (
    member.kind === 'websocket' && !theirs.includes(member)));
  const behind = gw.nginx.log(/left behind/).length;
  const returns = theirs.map((member) => member.returns);

  assert.ok(theirs.length > 0 && others.length > 0);
  await ledger.more(RATE / 2);
  worst(members);

  process.kill(victim, 'SIGSTOP');
  try {
    const begin = performance.now();

    flood(gw);
    await until(() => gw.nginx.log(/left behind/).length > behind,
                'the others go on without it', 10000);
    await ledger.more(RATE / 2);
    assert.ok(worst(others) < bound);

    await until(() => performance.now() - begin > STOP, 'it was long enough',
                STOP + 1000);
    await ledger.more(RATE / 2);
    assert.ok(worst(others) < LEFT);
  } finally {
    process.kill(victim, 'SIGCONT');
  }

  await until(() => theirs.every((member, i) => member.returns > returns[i]),
              'its clients come back', 15000);
  await ledger.more(RATE);
}

test(`a worker stops for ${STOP / 1000} s`, async (t) => {
  // One listening socket for all: no new connection waits for the stopped one.
  const gw = await start(t, {
    listen: 'backlog=4096',
    block: { zone: '16m', log: String(LOG), recovery: '60s' },
  });
  const ledger = new Ledger(gw);
  const sink = await gw.rawConnect({ user: 'sink', rooms: ['sink'] });
  const members = await crowd(ledger, {
    count: CLIENTS, kinds: ['websocket', 'websocket', 'polling'],
    rooms: (i) => [`r${i % ROOMS}`],
  });

  sink.keep = false;
  ledger.start(RATE, (n) => `r${n % ROOMS}`);

  await t.test('one that does not read the feed', async () => {
    await stop(gw, ledger, members, await choose(gw, members, false), WAITING);
  });

  // Its lease has to run out before the other one goes on.
  await t.test('one that reads the feed', async () => {
    await stop(gw, ledger, members, await choose(gw, members, true),
               WAITING + 4000);
  });

  await t.test('everybody got everything, with its socket', async () => {
    ledger.stop();
    await ledger.settle(members);
    assert.equal(fresh(members), 0, members.filter((it) => it.fresh > 0).map(
      (it) => `${it}: ${it.history()}`).join('; '));
    assertNoGap(gw);
  });
});
