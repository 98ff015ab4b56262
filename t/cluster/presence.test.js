'use strict';

// Who is online in a cluster: nodes with zones of their own that share one
// redis-server.  What goes wrong is in presence_nodes.test.js and
// presence_redis.test.js, what happens at random in t/chaos/presence.test.js.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { until, parallel } = require('../gateway/lib/expect');
const {
  cluster, status, assertSound, offlines, TRANSPORTS,
} = require('./lib/cluster');
const { BASE, CHANNEL } = require('./lib/scripts');

const LINGER = 1000;

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
