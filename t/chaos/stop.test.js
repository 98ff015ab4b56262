'use strict';

// A worker that stops for seconds, as a debugger or a slow disk may do it.
// The log fills meanwhile until the others leave that worker behind; when it
// goes on, its clients come back with their sockets.
//
// Runs alone: it measures how late events are.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { monitorEventLoopDelay } = require('node:perf_hooks');

const { start, assertNoGap } = require('./lib/site');
const { Ledger } = require('./lib/ledger');
const { crowd, fresh, assertStayed } = require('./lib/member');
const { scale } = require('./lib/scale');
const { UNCHECKED } = require('../gateway/lib/nginx');
const { until, SLOW } = require('../gateway/lib/expect');

const CLIENTS = scale(40, 120);
const STOP = scale(3000, 10000);
const RATE = 200;
const ROOMS = 20;

// What fills the log: three quarters of it are more than the writers may go
// ahead of a worker, nine tenths are little enough to come back.
const LOG = 4 * 1024 * 1024;
const FLOOD = 16 * 1024;
const FLOODS = Math.floor(0.85 * LOG / (FLOOD + 128));

// How late an event may be, whoever stops: half a second is what the others
// wait for a reader of the feed, or for room in the log.  What this process
// stood still, when it published an event or got it, is not theirs.  Who waits
// for the one that is stopped is as late as that goes on.
const LATE = Math.min(1000 * SLOW, STOP - 500);

// Around the time for which a lease lasts.
const MOMENTS = scale(
  [600, 450, 700, 500, 800, 550],
  Array.from({ length: 30 }, (_, i) => 400 + 137 * i % 500));

/** How often one that stood by has gone on for one that read the feed. */
const takeovers = (gw) => gw.nginx.log(/goes on without loss/).length;

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
 * The worker in this role: 'feed', 'standby', or any other one (null).  It has
 * clients: more of them come until that is so.
 */
async function choose(gw, ledger, members, role) {
  for (let tries = 0; ; tries++) {
    const [feed, standby] = await gw.feedPair();
    const found = [...byWorker(gw, members).keys()].find((pid) => (
      role ? pid === (role === 'feed' ? feed : standby)
        : pid !== feed && pid !== standby));
    if (found) {
      return found;
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

/** Stops a worker until nobody waits for it any more, and for longer. */
async function stop(t, gw, ledger, members, victim) {
  const theirs = byWorker(gw, members).get(victim);
  const others = members.filter((member) => (
    member.kind === 'websocket' && !theirs.includes(member)));
  const behind = gw.nginx.log(/left behind/).length;
  const before = takeovers(gw);
  const returns = theirs.map((member) => member.returns);

  assert.ok(theirs.length > 0 && others.length > 0);
  await ledger.more(RATE / 2);
  worst(members);

  const loop = monitorEventLoopDelay({ resolution: 5 });
  loop.enable();
  process.kill(victim, 'SIGSTOP');
  try {
    const begin = performance.now();

    let taken = null;

    flood(gw);
    await until(() => {
      taken ??= takeovers(gw) > before ? performance.now() - begin : null;
      return gw.nginx.log(/left behind/).length > behind;
    }, 'the others go on without it', 10000);
    const fenced = performance.now() - begin;
    await ledger.more(RATE / 2);
    const waiting = worst(others);

    await until(() => performance.now() - begin > STOP, 'it was long enough',
                STOP + 1000);
    await ledger.more(RATE / 2);
    const left = worst(others);

    const still = 2 * loop.max / 1e6;

    if (taken !== null) {
      t.diagnostic(`another one goes on after ${Math.round(taken)} ms`);
    }
    t.diagnostic(`left behind after ${Math.round(fenced)} ms`);
    t.diagnostic(`late: ${Math.round(waiting)} ms, then ${
      Math.round(left)} ms; stood still: ${Math.round(still / 2)} ms`);
    assert.ok(waiting - still < LATE, `${waiting} ms late`);
    assert.ok(left - still < LATE, `${left} ms late`);
  } finally {
    process.kill(victim, 'SIGCONT');
    loop.disable();
  }

  await until(() => theirs.every((member, i) => member.returns > returns[i]),
              'its clients come back', 15000);
  await ledger.more(RATE);
}

/** Four workers, a crowd that gets numbers, and what the log is filled for. */
async function begin(t) {
  // One listening socket for all: no new connection waits for the stopped one.
  const gw = await start(t, {
    listen: 'backlog=4096',
    block: { zone: '16m', log: String(LOG), recovery: '60s' },
  });
  gw.nginx.expect(UNCHECKED);
  const ledger = new Ledger(gw);
  const sink = await gw.rawConnect({ user: 'sink', rooms: ['sink'] });
  const members = await connect(ledger, CLIENTS, 'u');

  sink.keep = false;
  ledger.start(RATE, (n) => `r${n % ROOMS}`);
  return { gw, ledger, members };
}

test(`a worker stops for ${STOP / 1000} s`, async (t) => {
  const { gw, ledger, members } = await begin(t);

  for (const [role, name] of [
    [null, 'one that has nothing to do with the feed'],
    ['standby', 'one that stands by'],
    ['feed', 'one that reads the feed'],
  ]) {
    await t.test(name, async (t) => {
      const before = takeovers(gw);
      const victim = await choose(gw, ledger, members, role);

      await stop(t, gw, ledger, members, victim);
      assert.equal(takeovers(gw) > before, role === 'feed',
                   'the standby goes on where the other one stopped');
    });
  }

  await t.test('everybody got everything, with its socket', async () => {
    ledger.stop();
    await ledger.settle(members);
    assert.equal(fresh(members), 0, members.filter((it) => it.fresh > 0).map(
      (it) => `${it}: ${it.history()}`).join('; '));
    assertNoGap(gw);
  });
});

// A reader of the feed that is slow for a moment loses its place at most: what
// it still has to say is refused, and another one has it already.
test('those who read the feed stop for a moment, again and again',
  async (t) => {
    const { gw, ledger, members } = await begin(t);
    const pause = async (victims, ms) => {
      const end = performance.now() + ms;
      victims.forEach((pid) => process.kill(pid, 'SIGSTOP'));
      await until(() => performance.now() > end, 'the moment is over', ms + 5000)
        .finally(() => victims.forEach((pid) => process.kill(pid, 'SIGCONT')));
    };
    const tell = (t, before) => t.diagnostic(
      `${takeovers(gw) - before} times another one went on`);

    await t.test('the reader, with one that stands by', async (t) => {
      const before = takeovers(gw);
      for (const ms of MOMENTS) {
        const [feed] = await gw.feedPair();
        await pause([feed], ms);
        await ledger.more(RATE / 10);
      }
      tell(t, before);
      assert.ok(takeovers(gw) > before);
    });

    await t.test('the reader, whether anybody stands by or not', async (t) => {
      const before = takeovers(gw);
      for (const ms of MOMENTS) {
        const [feed] = await gw.feedRoles();
        await pause([feed].filter(Boolean), ms);
        await ledger.more(RATE / 10);
      }
      tell(t, before);
    });

    await t.test('both', async (t) => {
      const before = takeovers(gw);
      for (const ms of MOMENTS) {
        const [feed, standby] = await gw.feedPair();
        await pause([feed, standby], ms);
        await ledger.more(RATE / 10);
      }
      tell(t, before);
    });

    await t.test('nobody has noticed', async () => {
      ledger.stop();
      await ledger.settle(members);
      assertStayed(members);
      assertNoGap(gw);
    });
  });
