'use strict';

// The Lua scripts of presence against a redis-server: every transition of the
// cluster is published once, in order, and nothing that is late, lost or dead
// makes one that is false.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const assert = require('node:assert/strict');

const { Redis } = require('../gateway/lib/redis');
const { until } = require('../gateway/lib/expect');
const { ScriptNode, BASE, CHANNEL } = require('./lib/scripts');

/** A redis-server with what is published on the channel in .messages. */
async function server(t, options) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-scripts-'));
  const redis = new Redis(dir, options);
  t.after(async () => {
    await redis.stop('SIGKILL');
    fs.rmSync(dir, { recursive: true, force: true });
  });
  await redis.start();
  await listen(redis);
  redis.node = (name, more) => new ScriptNode(redis.commands, name, more);
  return redis;
}

async function listen(redis) {
  const watcher = await redis.client();
  redis.messages = [];
  await watcher.subscribe(CHANNEL, (text) => {
    redis.messages.push(JSON.parse(text));
  });
}

/** What was published since the last call: [epoch, version, ...] each. */
async function published(redis) {
  const end = `end ${Math.random()}`;
  await redis.commands.publish(CHANNEL, JSON.stringify([end]));
  await until(() => redis.messages.at(-1)?.[0] === end, 'the messages');
  return redis.messages.splice(0).slice(0, -1);
}

/** The same, only the users. */
async function transitions(redis) {
  return (await published(redis)).flatMap(([, , ...users]) => users);
}

const online = async (redis) => (
  (await redis.commands.sMembers(`${BASE}online`)).sort());

/** Makes the lease of a node end so many ms ago. */
async function late(redis, node, ms, { up } = {}) {
  const now = Number((await redis.commands.sendCommand(['TIME']))[0]) * 1000;
  await redis.commands.zAdd(`${BASE}nodes`,
                            { value: node.name, score: now - ms });
  if (up !== undefined) {
    await redis.commands.hSet(`${BASE}state`, `up:${node.name}`,
                              String(now - up));
  }
}

/** Makes a node have been served for so many ms. */
async function served(redis, node, ms) {
  const now = Number((await redis.commands.sendCommand(['TIME']))[0]) * 1000;
  await redis.commands.hSet(`${BASE}state`, `up:${node.name}`,
                            String(now - ms));
}

test('first and last connections of a user', async (t) => {
  const redis = await server(t);
  const [a, b] = [redis.node('a.1'), redis.node('b.2')];

  await t.test('the first one is a transition, others are not', async () => {
    await a.change('+ann', '+bob');
    await b.change('+ann');
    assert.deepEqual(await published(redis), [[a.epoch, 1, '+ann', '+bob']]);
    assert.deepEqual(await online(redis), ['ann', 'bob']);
  });

  await t.test('the last one gone is a transition, others are not',
    async () => {
      await a.change('-ann', '-bob');
      assert.deepEqual(await published(redis), [[a.epoch, 2, '-bob']]);
      await b.change('-ann');
      assert.deepEqual(await published(redis), [[a.epoch, 3, '-ann']]);
      assert.deepEqual(await online(redis), []);
    });

  await t.test('said again it changes nothing', async () => {
    await a.change('+ann');
    const first = await a.change('+ann');
    assert.deepEqual([first.version, first.before, first.after, first.online],
                     [4, 1, 1, 1]);
    await a.change('-ann');
    const last = await a.change('-ann');
    assert.deepEqual([last.version, last.after], [5, 0]);
    assert.deepEqual(await transitions(redis), ['+ann', '-ann']);
  });

  await t.test('names are taken as they are', async () => {
    const names = ['', '+', '-', '"', '\\', ' ', 'a\nb', 'a\0b', '\u00fc',
                   '\u{1f389}', '42', '1e3', 'x'.repeat(512), '/'];
    await a.change(...names.map((name) => `+${name}`));
    assert.deepEqual(await transitions(redis),
                     names.map((name) => `+${name}`));
    assert.deepEqual((await a.read()).list, names.sort());
    await a.change(...names.map((name) => `-${name}`));
    assert.deepEqual(await transitions(redis),
                     names.map((name) => `-${name}`));
  });

  await t.test('list and own users of a node', async () => {
    await a.change('+ann', '+bob');
    await b.change('+bob', '+cid');
    const { list, mine, version } = await b.read();
    assert.deepEqual(list, ['ann', 'bob', 'cid']);
    assert.deepEqual(mine, ['bob', 'cid']);
    assert.equal(version, (await published(redis)).at(-1)[1]);
  });

  await t.test('types of the keys', async () => {
    const type = (key) => redis.commands.type(BASE + key);
    assert.deepEqual(
      await Promise.all(['online', 'nodes', 'state', 'node:a.1'].map(type)),
      ['set', 'zset', 'hash', 'set']);
    const nodes = await redis.commands.zRange(`${BASE}nodes`, 0, -1);
    assert.deepEqual(nodes.sort(), ['a.1', 'b.2']);
  });

  await t.test('no key stays for ever', async () => {
    for (const key of await redis.commands.keys('*')) {
      const left = await redis.commands.ttl(key);
      assert.ok(left > 60 && left <= 600, `${key}: ${left}`);
    }
  });
});

test('a call that comes late', async (t) => {
  const redis = await server(t);
  const [a, b] = [redis.node('a'), redis.node('b')];

  await a.change('+ann');
  await a.change('-ann');
  await transitions(redis);

  await t.test('is refused and changes nothing', async () => {
    const stamp = a.calls;
    for (const script of ['change', 'renew', 'read']) {
      await assert.rejects(a.call(script, ['+ann', '1'], stamp), /^.*STALE/);
      await assert.rejects(a.call(script, ['+ann', '1'], stamp - 1), /STALE/);
    }
    assert.deepEqual(await online(redis), []);
    assert.deepEqual(await published(redis), []);
  });

  await t.test('other nodes are not concerned', async () => {
    await b.call('change', ['+bob'], 1);
    assert.deepEqual(await transitions(redis), ['+bob']);
  });

  await t.test('10 is later than 9', async () => {
    await b.call('change', ['+cid'], 9);
    await b.call('change', ['-cid'], 10);
    await assert.rejects(b.call('change', ['+cid'], 9), /STALE/);
  });
});

test('a node that dies', async (t) => {
  const redis = await server(t);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => redis.node(name));

  await a.change('+ann', '+bob', '+cid');
  await b.change('+bob', '+dan');
  await c.change('+eve');
  await transitions(redis);
  for (const node of [b, c]) {
    await served(redis, node, 3600e3);
  }

  await t.test('nothing happens as long as it may come back', async () => {
    await late(redis, a, 3000);
    const { dead, removed } = await b.renew({ linger: 10000 });
    assert.deepEqual([dead, removed], [[], 0]);
    assert.deepEqual(await published(redis), []);
  });

  await t.test('nor if those who are left were not served either',
    async () => {
      await late(redis, a, 60000);
      await late(redis, b, 60000, { up: 3600e3 });
      const { dead } = await b.renew({ linger: 0 });
      assert.deepEqual(dead, []);
      assert.deepEqual(await published(redis), []);
      await served(redis, b, 9000);
      assert.deepEqual((await b.renew()).dead, []);
      await served(redis, b, 3600e3);
    });

  await t.test('its users go, unless they are elsewhere, in batches',
    async () => {
      const first = await b.renew({ limit: 2 });
      assert.deepEqual([first.more, first.removed, first.dead], [1, 2, []]);
      const second = await b.renew({ limit: 2 });
      assert.deepEqual([second.more, second.removed, second.dead],
                       [0, 1, ['a']]);
      assert.deepEqual((await transitions(redis)).sort(), ['-ann', '-cid']);
      assert.deepEqual(await online(redis), ['bob', 'dan', 'eve']);
      assert.equal(await redis.commands.exists(`${BASE}node:a`), 0);
      assert.deepEqual(await redis.commands.hmGet(`${BASE}state`,
                                                  ['fence:a', 'up:a']),
                       [null, null]);
    });

  await t.test('another one has nothing left to do', async () => {
    const { removed, dead } = await c.renew();
    assert.deepEqual([removed, dead], [0, []]);
    assert.deepEqual(await published(redis), []);
  });

  await t.test('it finds itself without users when it comes back',
    async () => {
      const { before, epoch } = await a.renew();
      assert.equal(before, 0);
      assert.equal(epoch, b.epoch);
      await a.change('+ann', '+bob');
      assert.deepEqual(await transitions(redis), ['+ann']);
    });

  await t.test('one that renews is spared, however late', async () => {
    await late(redis, a, 60000);
    await a.renew();
    const { dead } = await b.renew();
    assert.deepEqual(dead, []);
  });

  await t.test('half gone it comes back without false transitions',
    async () => {
      await a.change('+cid');
      await transitions(redis);
      await late(redis, a, 60000);
      await b.renew({ limit: 1 });
      const { epoch, mine } = await a.read();
      assert.equal(epoch, b.epoch, 'nothing is lost');
      assert.equal(mine.length, 2);
      const gone = ['ann', 'bob', 'cid'].find((it) => !mine.includes(it));
      await a.change('+ann', '+bob', '+cid');
      assert.deepEqual(await transitions(redis),
                       gone === 'bob' ? [] : [`-${gone}`, `+${gone}`]);
    });
});

test('Redis loses its data', async (t) => {
  const redis = await server(t);
  const [a, b] = [redis.node('a'), redis.node('b')];
  const populate = async () => {
    await a.change('+ann', '+bob');
    await b.change('+bob', '+cid');
    await published(redis);
    return a.epoch;
  };
  let old = await populate();

  await t.test('nobody settles in a cluster that is new', async () => {
    assert.equal((await a.renew()).hold, 0);
  });

  await t.test('all of them: another epoch, and time to settle', async () => {
    await redis.commands.flushAll();
    const first = await a.renew();
    assert.notEqual(first.epoch, old);
    assert.equal(first.before, 0);
    assert.equal(first.online, 0);
    assert.ok(first.hold > 9000 && first.hold <= 10000, first.hold);
    const second = await b.renew();
    assert.equal(second.epoch, first.epoch);
    assert.ok(second.hold > 9000);
  });

  await t.test('a node that is new learns that it settles', async () => {
    const c = redis.node('c');
    assert.ok((await c.renew()).hold > 9000);
  });

  await t.test('when all have said it the list is as before', async () => {
    await a.change('+ann', '+bob');
    await b.change('+bob', '+cid');
    assert.deepEqual(await online(redis), ['ann', 'bob', 'cid']);
    assert.deepEqual(await transitions(redis), ['+ann', '+bob', '+cid']);
  });

  const lost = [
    ['the list', 'online'], ['the nodes', 'nodes'], ['the state', 'state'],
    ['the users of a node', 'node:a'],
  ];
  for (const [what, key] of lost) {
    await t.test(`${what} alone is as bad`, async () => {
      old = await populate();
      await redis.commands.del(BASE + key);
      await a.renew();
      await b.renew();
      assert.notEqual(a.epoch, old);
      assert.equal(b.epoch, a.epoch);
      assert.deepEqual([a.count, b.count], [0, 0]);
      await populate();
      assert.deepEqual(await online(redis), ['ann', 'bob', 'cid']);
    });
  }

  await t.test('a node that does not know how many it has does not mind',
    async () => {
      old = await populate();
      a.count = -1;
      await redis.commands.sRem(`${BASE}node:a`, 'ann');
      const { epoch, mine } = await a.read();
      assert.equal(epoch, old);
      assert.deepEqual(mine, ['bob']);
      await a.change('+ann');
    });
});

test('Redis comes back with older data', async (t) => {
  const redis = await server(t, { args: ['--dbfilename', 'old.rdb'] });
  let [a, b] = [redis.node('a'), redis.node('b')];

  /** Restarts it with what was last saved. */
  const restart = async () => {
    await redis.stop('SIGKILL');
    await redis.start();
    await listen(redis);
    for (const node of [a, b]) {
      node.redis = redis.commands;
      node.count = -1;
    }
  };

  await a.change('+ann', '+bob');
  await b.change('+cid');
  await redis.commands.sendCommand(['SAVE']);
  const { epoch } = a;

  await t.test('nothing was lost: nothing happens', async () => {
    await restart();
    assert.equal((await a.renew()).epoch, epoch);
    assert.equal((await b.renew()).hold, 0);
    assert.deepEqual(await online(redis), ['ann', 'bob', 'cid']);
  });

  await t.test('transitions were lost: another epoch, the data stay',
    async () => {
      await a.change('-ann', '+dan');
      await b.change('+eve');
      await restart();
      const { list, mine, hold } = await b.read();
      assert.notEqual(b.epoch, epoch);
      assert.ok(hold > 9000);
      assert.deepEqual(list, ['ann', 'bob', 'cid']);
      assert.deepEqual(mine, ['cid']);
      assert.deepEqual((await a.read()).mine, ['ann', 'bob']);
      assert.equal(a.epoch, b.epoch);
      await a.change('-ann', '+dan');
      await b.change('+eve');
      assert.deepEqual(await online(redis), ['bob', 'cid', 'dan', 'eve']);
    });

  await t.test('an epoch that was over is back: another one', async () => {
    await late(redis, a, 1);
    await redis.commands.hIncrBy(`${BASE}state`, 'born', -60000);
    await redis.commands.sendCommand(['SAVE']);
    const before = a.epoch;
    await redis.commands.flushAll();
    await a.change('+bob', '+dan', '+ann');
    assert.notEqual(a.epoch, before);
    const last = a.epoch;
    await restart();
    const { hold } = await a.renew();
    assert.ok(![before, last].includes(a.epoch), a.epoch);
    assert.ok(hold > 9000);
    await b.renew();
    assert.equal(b.epoch, a.epoch);
  });
});

test('many users', async (t) => {
  const redis = await server(t);
  const nodes = Array.from({ length: 5 }, (_, i) => redis.node(`n${i}`));
  const users = Array.from({ length: 20000 }, (_, i) => `user${i}`);
  const slowest = { change: 0, read: 0 };
  const timed = async (name, body) => {
    const begin = performance.now();
    await body();
    slowest[name] = Math.max(slowest[name], performance.now() - begin);
  };

  for (let i = 0; i < users.length; i += 500) {
    const batch = users.slice(i, i + 500);
    await timed('change', () => nodes[i / 500 % 5].change(
      ...batch.map((it) => `+${it}`)));
  }
  await timed('read', async () => {
    assert.deepEqual((await nodes[0].read()).list, [...users].sort());
  });
  for (let i = 0; i < users.length; i += 500) {
    const batch = users.slice(i, i + 500);
    await timed('change', () => nodes[i / 500 % 5].change(
      ...batch.map((it) => `-${it}`)));
  }
  assert.deepEqual(await online(redis), []);
  t.diagnostic(`slowest change ${slowest.change.toFixed(1)} ms, `
    + `read ${slowest.read.toFixed(1)} ms`);
});

test('nodes at random, with all that may go wrong', async (t) => {
  const redis = await server(t);
  const seed = Number(process.env.SEED || Date.now() % 1e6);
  t.diagnostic(`SEED=${seed}`);
  const random = generator(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const users = Array.from({ length: 12 }, (_, i) => `u${i}`);
  const nodes = Array.from({ length: 4 }, (_, i) => ({
    node: redis.node(`n${i}`), users: new Set(), alive: true,
  }));
  const expected = new Set();
  const view = new Set();

  const settle = async () => {
    for (const [, , ...changes] of await published(redis)) {
      for (const change of changes) {
        const user = change.slice(1);
        const come = change[0] === '+';
        assert.equal(view.has(user), !come, `${change} is a transition`);
        come ? view.add(user) : view.delete(user);
      }
    }
    assert.deepEqual(await online(redis), [...view].sort());
  };

  for (let step = 0; step < 2000; step++) {
    const it = pick(nodes);
    const user = pick(users);

    if (it.alive && random() < 0.95) {
      const come = !it.users.has(user);
      await it.node.change(come ? `+${user}` : `-${user}`);
      come ? it.users.add(user) : it.users.delete(user);
    } else if (it.alive) {
      it.alive = false;
      await late(redis, it.node, 1e6);
    } else {
      const other = nodes.find((node) => node.alive);
      if (other && random() < 0.7) {
        await served(redis, other.node, 1e9);
        await other.node.renew({ limit: 3 });
      }
      const { mine } = await it.node.read();
      it.users = new Set(mine);
      it.alive = true;
    }

    if (step % 50 === 49) {
      expected.clear();
      nodes.forEach((node) => node.users.forEach((u) => expected.add(u)));
      for (const node of nodes.filter((one) => !one.alive)) {
        const { mine } = await node.node.read();
        node.users = new Set(mine);
        node.alive = true;
      }
      await settle();
      const now = new Set();
      nodes.forEach((node) => node.users.forEach((u) => now.add(u)));
      assert.deepEqual([...view].sort(), [...now].sort());
    }
  }
});

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function generator(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let x = Math.imul(a ^ (a >>> 15), 1 | a);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}
