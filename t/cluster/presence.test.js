'use strict';

// Who is online in a cluster: nodes with zones of their own that share one
// redis-server.  What happens at random is in t/chaos/presence.test.js.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { whileStopped } = require('../gateway/lib/processes');
const { until, parallel, within } = require('../gateway/lib/expect');
const { cluster, status, TRANSPORTS } = require('./lib/cluster');
const { BASE, CHANNEL } = require('./lib/scripts');

const LINGER = 1000;

/** Nobody was told anything that does not make sense. */
function assertSound(...clients) {
  for (const { view } of clients.flat()) {
    assert.deepEqual(view.faults, [], `${view}`);
  }
}

/** How often the clients were told that this user is offline. */
const offlines = (user, ...clients) => clients.flat().map(({ view }) => (
  view.updates.filter(([who, what]) => who === user && what === 'offline')
    .length));

for (const transport of Object.keys(TRANSPORTS)) {

  test(`users of other nodes: ${transport}`, async (t) => {
    const it = await cluster(t, { linger: LINGER });
    const [a, b] = it.nodes;
    const ann = await it.listed(a, 'ann', { transport });
    await it.shows([ann], ['ann']);
    await until(async () => (await status(b)).online === 1, 'b knows of ann');

    const bob = await it.listed(b, 'bob', { transport });
    assert.deepEqual(bob.view.last.sort(), ['ann', 'bob']);
    await it.shows([ann, bob], ['ann', 'bob']);

    await t.test('further tabs are no news', async () => {
      const tabs = [await it.listed(a, 'bob', { transport }),
                    await it.listed(b, 'ann', { transport })];
      for (const tab of tabs) {
        assert.deepEqual(tab.view.last.sort(), ['ann', 'bob']);
      }
      bob.close();
      await delay(LINGER + 1000);
      await it.shows([ann, ...tabs], ['ann', 'bob']);
      tabs[0].close();
      await it.shows([ann, tabs[1]], ['ann']);
      assert.deepEqual(ann.view.updates,
                       [['bob', 'online'], ['bob', 'offline']]);
      assertSound(ann, tabs);
    });

    await t.test('a user who moves to another node stays online', async () => {
      const cid = await it.listed(b, 'cid', { transport });
      await it.shows([ann, cid], ['ann', 'cid']);
      cid.close();
      const there = await it.listed(a, 'cid', { transport });
      await delay(LINGER + 1000);
      await it.shows([ann, there], ['ann', 'cid']);
      assert.deepEqual(offlines('cid', ann), [0]);
    });
  });
}

test('what Redis has of it', async (t) => {
  const it = await cluster(t, { linger: LINGER });
  const [a, b] = it.nodes;
  const names = ['ann', 'b"o\\b', '\u4e16\u754c', '42'];
  const clients = await parallel(names, 2, (user, i) => (
    it.listed(it.nodes[i % 2], user)));
  await it.shows(clients, names);

  const { commands } = it.redis;
  const key = (name) => BASE + name;
  assert.deepEqual(await commands.smIsMember(key('online'), ['42', 'nobody']),
                   [1, 0]);
  const nodes = await commands.zRange(key('nodes'), 0, -1);
  assert.equal(nodes.length, 2);
  const sets = await Promise.all(nodes.map((id) => (
    commands.sMembers(key(`node:${id}`)))));
  assert.deepEqual(sets.flat().sort(), [...names].sort());

  const messages = [];
  const watcher = await it.redis.client();
  await watcher.subscribe(CHANNEL, (text) => messages.push(JSON.parse(text)));
  const eve = await it.listed(b, 'eve');
  await until(() => messages.length > 0, 'a message');
  const { epoch, version } = await commands.hGetAll(key('state'));
  assert.deepEqual(messages, [[epoch, Number(version), '+eve']]);

  await it.shows(clients, [...names, 'eve']);
  const { online, local, cluster: all } = await status(a);
  assert.deepEqual([online, local], [5, 2]);
  assert.deepEqual([all.connected, all.version, all.leases_expired],
                   [true, Number(version), 0]);
  assertSound(clients, eve);
});

test('a node that is new has the list for its first client', async (t) => {
  const it = await cluster(t, { linger: LINGER });
  const [a, b] = it.nodes;
  const users = Array.from({ length: 300 }, (_, i) => `u${i}`);
  const clients = await parallel(users, 20, (user) => it.listed(a, user));
  await it.shows(clients.slice(0, 1), users);

  await it.kill(b);
  await it.revive(b);
  const first = await it.listed(b, 'first', { transport: 'polling' });
  assert.equal(first.view.last.length, 301);
});

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

test('Redis loses its data', async (t) => {
  const it = await cluster(t, { nodes: 3, linger: LINGER });
  const clients = await parallel([...'abcdefghi'], 3, (user, i) => (
    it.listed(it.nodes[i % 3], user)));
  const all = [...'abcdefghi'];
  await it.shows(clients, all);
  const quiet = () => clients.map(({ view }) => view.updates.filter(
    ([, what]) => what === 'offline').length);
  const nobody = clients.map(() => 0);

  await t.test('FLUSHALL: the nodes restore it', async () => {
    const old = await it.redis.commands.hGet(`${BASE}state`, 'epoch');
    await it.redis.commands.flushAll();
    await it.shows(clients, all, 10000);
    assert.notEqual(await it.redis.commands.hGet(`${BASE}state`, 'epoch'), old);
    assert.deepEqual(quiet(), nobody);
    assert.equal(it.nodes.flatMap((node) => (
      node.nginx.log(/Redis has lost data/))).length, 3);
  });

  await t.test('one who leaves meanwhile is offline in the end', async () => {
    await it.redis.commands.flushAll();
    const [gone] = clients.splice(0, 1);
    gone.close();
    nobody.pop();
    await it.shows(clients, all.slice(1), 25000);
    assert.deepEqual(clients.map(({ view }) => view.updates.filter(
      ([, what]) => what === 'offline')), clients.map(() => (
      [['a', 'offline']])));
  });

  await t.test('it restarts without them', async () => {
    await it.redis.stop('SIGKILL');
    await it.redis.start();
    await it.shows(clients, all.slice(1), 25000);
    await delay(12000);
    await it.shows(clients, all.slice(1), 25000);
    assert.deepEqual(quiet(), clients.map(() => 1));
    assertSound(clients);
  });
});

test('Redis is away', async (t) => {
  const it = await cluster(t, { linger: LINGER });
  const [a, b] = it.nodes;
  const ann = await it.listed(a, 'ann');
  const bob = await it.listed(b, 'bob');
  const gone = await it.listed(a, 'gone');
  await it.shows([ann, bob], ['ann', 'bob', 'gone']);

  await t.test('after a while a node tells its own clients', async () => {
    await it.withoutRedis(async () => {
      gone.close();
      await ann.view.shows(['ann', 'bob'], 12000);
      assert.ok((await status(a)).cluster.connected === false);
      assert.deepEqual(offlines('gone', bob), [0]);
    });
  });

  await t.test('and all of them the difference when it is back', async () => {
    await it.shows([ann, bob], ['ann', 'bob'], 20000);
    await until(async () => (await status(a)).cluster.connected, 'it is back',
                20000);
    await delay(3000);
    for (const client of [ann, bob]) {
      assert.deepEqual(client.view.updates.filter(([who]) => who === 'gone'),
                       [['gone', 'online'], ['gone', 'offline']]);
    }
    assert.deepEqual(offlines('bob', ann), [0]);
    assertSound(ann, bob);
  });

  await t.test('the log tells of it', () => {
    for (const pattern of [/goes on without Redis/, /cluster again/]) {
      assert.equal(a.nginx.log(pattern).length, 1, `${pattern}`);
    }
  });
});

test('messages that are lost, false or strange', async (t) => {
  const it = await cluster(t, { linger: LINGER });
  const [a, b] = it.nodes;
  const ann = await it.listed(a, 'ann');
  const bob = await it.listed(b, 'bob');
  await it.shows([ann, bob], ['ann', 'bob']);
  const { commands } = it.redis;
  const state = () => commands.hGetAll(`${BASE}state`);

  await t.test('what is no message hurts nobody', async () => {
    for (const text of ['', '[]', '{', 'null', '["x",1]', '["x",1,"+eve"]',
                        '[1,2,"+eve"]', '["0123456789abcdef","1","+eve"]',
                        '["0123456789abcdef",1,7]', '["0123456789abcdef",1,""]',
                        '['.repeat(5000)]) {
      await commands.publish(CHANNEL, text);
    }
    const cid = await it.listed(a, 'cid');
    await it.shows([ann, bob, cid], ['ann', 'bob', 'cid']);
    assert.deepEqual(offlines('ann', bob), [0]);
    assert.equal((await status(b)).cluster.connected, true);
    assert.ok(b.nginx.log(/malformed message/).length >= 1);
    cid.close();
    await it.shows([ann, bob], ['ann', 'bob']);
  });

  await t.test('one of another epoch, or too early: the list is read again',
    async () => {
      const { epoch, version } = await state();
      await commands.publish(CHANNEL, JSON.stringify(
        ['0123456789abcdef', 1, '-ann', '-bob']));
      await commands.publish(CHANNEL, JSON.stringify(
        [epoch, Number(version) + 7, '-ann', '-bob', '+eve']));
      await until(async () => (await status(a)).cluster.refetches > 0,
                  'a list is read');
      await delay(1000);
      await it.shows([ann, bob], ['ann', 'bob']);
      assert.deepEqual(offlines('ann', bob), [0]);
    });

  await t.test('one that is missing is found out', async () => {
    // a transition of which nobody publishes anything
    await commands.multi().sAdd(`${BASE}online`, 'secret')
      .hIncrBy(`${BASE}state`, 'version', 1).exec();
    await it.shows([ann, bob], ['ann', 'bob', 'secret'], 15000);
    await commands.sRem(`${BASE}online`, 'secret');
    const cid = await it.listed(a, 'cid');
    await until(() => ann.view.users.has('cid'), 'cid is online');
    cid.close();
  });
});
