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

/**
 * Which worker is stopped: one that reads the feed, or another one.  It has
 * clients: more of them come until that is so.
 */
async function choose(gw, ledger, members, reads) {
  for (let tries = 0; ; tries++) {
    const pair = await feedPair(gw);
    const [found] = [...byWorker(gw, members)]
      .filter(([pid]) => pair.includes(pid) === reads)
      .sort((a, b) => b[1].length - a[1].length);
    if (found) {
      return found[0];
    }
    assert.ok(tries < 10, 'workers without clients');
    members.push(...await connect(ledger, 10, `more${members.length}-`));
  }
}

function connect(ledger, count, prefix) {
  return crowd(ledger, {
    count, prefix, kinds: ['websocket', 'websocket', 'polling'],
    rooms: (i) => [`r${i % ROOMS}`],
  });
}

/**
 * Stops a worker, and lets it go on; bound is how late an event for the others
 * may be until they have left it behind.
 */
async function stop(t, gw, ledger, members, victim, bound) {
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
    const waiting = worst(others);

    await until(() => performance.now() - begin > STOP, 'it was long enough',
                STOP + 1000);
    await ledger.more(RATE / 2);
    const left = worst(others);

    t.diagnostic(`late: ${Math.round(waiting)} ms, then ${
      Math.round(left)} ms`);
    assert.ok(waiting < bound, `${waiting} ms late`);
    assert.ok(left < LEFT, `${left} ms late`);
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
  const members = await connect(ledger, CLIENTS, 'u');

  sink.keep = false;
  ledger.start(RATE, (n) => `r${n % ROOMS}`);

  await t.test('one that does not read the feed', async (t) => {
    const victim = await choose(gw, ledger, members, false);
    await stop(t, gw, ledger, members, victim, WAITING);
  });

  // Its lease has to run out before the other one goes on.
  await t.test('one that reads the feed', async (t) => {
    const victim = await choose(gw, ledger, members, true);
    await stop(t, gw, ledger, members, victim, WAITING + 4000);
  });

  await t.test('everybody got everything, with its socket', async () => {
    ledger.stop();
    await ledger.settle(members);
    assert.equal(fresh(members), 0, members.filter((it) => it.fresh > 0).map(
      (it) => `${it}: ${it.history()}`).join('; '));
    assertNoGap(gw);
  });
});
