'use strict';

// Who is online in a cluster whose Redis loses its data, or is away.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { until, parallel } = require('../gateway/lib/expect');
const { cluster, status, assertSound, offlines } = require('./lib/cluster');
const { BASE } = require('./lib/scripts');

const LINGER = 1000;

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
