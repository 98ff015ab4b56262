'use strict';

// Who is online in a cluster when nodes and workers die, stop and reload.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { whileStopped } = require('../gateway/lib/processes');
const { until, parallel, within } = require('../gateway/lib/expect');
const {
  cluster, status, assertSound, offlines, TRANSPORTS,
} = require('./lib/cluster');

const LINGER = 1000;

test('a node that dies', async (t) => {
  const it = await cluster(t, { nodes: 3, linger: LINGER });
  const [a, b, c] = it.nodes;
  const ann = await it.listed(a, 'ann');
  const bob = await it.listed(b, 'bob');
  const both = [await it.listed(c, 'both'), await it.listed(a, 'both')];
  const moved = await it.listed(c, 'moved');
  const gone = await it.listed(c, 'gone');
  await it.shows([ann, bob], ['ann', 'bob', 'both', 'moved', 'gone']);

  await it.kill(c);
  const begin = performance.now();
  gone.stay();
  moved.stay();
  both[0].stay();
  const back = await it.listed(b, 'moved');

  await t.test('its users are offline once, those elsewhere are not',
    async () => {
      await it.shows([ann, bob, back], ['ann', 'bob', 'both', 'moved'], 26000);
      const took = performance.now() - begin;
      assert.ok(took > 7000, `its lease lasts, and that was ${took} ms`);
      await delay(4000);
      assert.deepEqual(offlines('gone', ann, bob, back), [1, 1, 1]);
      assert.deepEqual(offlines('both', ann, bob, back), [0, 0, 0]);
      assert.deepEqual(offlines('moved', ann, bob, back), [0, 0, 0]);
      t.diagnostic(`offline after ${Math.round(took)} ms`);
    });

  await t.test('one survivor did it', async () => {
    const counts = await Promise.all([a, b].map(async (node) => (
      (await status(node)).cluster.leases_expired)));
    assert.deepEqual(counts.sort(), [0, 1]);
    const lines = [a, b].flatMap((node) => node.nginx.log(/ is gone, and its/));
    assert.equal(lines.length, 1);
  });

  await t.test('back it is another node', async () => {
    await it.revive(c);
    const cid = await it.listed(c, 'gone');
    await it.shows([ann, bob, cid], ['ann', 'bob', 'both', 'gone', 'moved']);
    assertSound(ann, bob, cid, back);
  });
});

test('an actor that dies, or is stopped, with something to say', async (t) => {
  const it = await cluster(t, { linger: LINGER, workers: 3 });
  const [a, b] = it.nodes;
  const bob = await it.listed(b, 'bob');
  const keep = await it.listed(a, 'keep');
  const leaving = await parallel([...'abcdef'], 6, (user) => (
    it.listed(a, user)));
  await it.shows([bob, keep], [...'abcdef', 'bob', 'keep']);

  await t.test('it dies', async () => {
    leaving.splice(0, 3).forEach((client) => client.close());
    await delay(LINGER - 100);
    a.nginx.killWorker(await it.actor(a));
    await it.shows([bob], [...'def', 'bob', 'keep'], 15000);
  });

  await t.test('it is stopped, and comes back too late', async () => {
    const pid = await it.actor(a);
    const own = a.workersOf([keep, ...leaving]);
    await whileStopped(pid, async () => {
      leaving.filter((_, i) => own[i + 1] !== pid)
        .forEach((client) => client.close());
      await until(() => another(a, pid), 'another one acts', 15000);
    });
    leaving.forEach((client) => client.close());
    await it.shows([bob], ['bob', 'keep'], 20000);
    assert.deepEqual(offlines('bob', keep), [0]);
    assertSound(bob);
  });
});

/** True if another worker than this one acts: asks whoever can answer. */
async function another(node, pid) {
  const page = fetch(`${node.url}/status`, { headers: { connection: 'close' } })
    .then((answer) => answer.json());
  const { presence, workers } = await within(page, 'a page', 500)
    .catch(() => ({ workers: [] }));
  const actor = workers.find((one) => one.slot === presence.actor);
  return actor && actor.pid !== pid;
}

test('reloads', async (t) => {
  const it = await cluster(t, { linger: LINGER });
  const [a, b] = it.nodes;
  const watcher = await it.listed(b, 'watcher');
  const users = Array.from({ length: 20 }, (_, i) => `u${i}`);
  const clients = await parallel(users, 5, (user, i) => it.listed(a, user, {
    transport: Object.keys(TRANSPORTS)[i % 3],
  }));
  const all = [...users, 'watcher'];
  await it.shows([watcher, ...clients], all);

  for (let i = 0; i < 3; i++) {
    await a.nginx.reload();
  }
  await it.shows([watcher, ...clients], all, 20000);
  await delay(LINGER + 1000);
  await it.shows([watcher, ...clients], all);
  assert.deepEqual(watcher.view.updates.filter(([, what]) => (
    what === 'offline')), []);
});
