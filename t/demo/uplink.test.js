'use strict';

// How the backend consumes the uplink: the consumer group, and nothing of what
// the events mean.

const { after, before, beforeEach, test } = require('node:test');
const assert = require('node:assert/strict');

const { UplinkScene, STREAM, GROUP } = require('./lib/uplink');
const { until, within } = require('../gateway/lib/expect');

const scene = new UplinkScene();

before(() => scene.start());
after(() => scene.end());
beforeEach(() => scene.empty());

/** A promise, and what settles it. */
function gate() {
  const it = {};
  it.opened = new Promise((resolve, reject) => {
    Object.assign(it, { open: resolve, fail: reject });
  });
  return it;
}

test('an entry comes as the client has sent it', async (t) => {
  // before there is a group
  const id = await scene.add('first', [{ a: 'ä"' }, null], {
    user: 'bob', sid: 'XY', nsp: '/admin', ack: '0',
  });
  const uplink = await scene.consume(t);

  await scene.add('binary', [
    { _placeholder: true, num: 1 }, [{ _placeholder: true, num: 0 }],
    { _placeholder: true, num: 7 },
  ], { bin0: Buffer.from([0, 255, 128]), bin1: Buffer.from('one') });
  await scene.idle();

  const { fields, deliveries, ...first } = uplink.seen[0];
  assert.deepEqual(first, {
    id, event: 'first', user: 'bob', sid: 'XY', nsp: '/admin', ack: '0',
    args: [{ a: 'ä"' }, null],
  });
  assert.deepEqual(uplink.seen[1].args, [
    Buffer.from('one'), [Buffer.from([0, 255, 128])],
    { _placeholder: true, num: 7 },
  ]);
  assert.equal(uplink.seen.length, 2);
  assert.deepEqual(uplink.lines, []);

  // what the stream keeps is the gateway's to say
  assert.equal(await scene.redis.commands.xLen(STREAM), 2);
});

test('entries come in order, many of them, one at a time', async (t) => {
  const names = Array.from({ length: 200 }, (_, i) => `e${i}`);
  let busy = 0;

  await Promise.all(names.map((name) => scene.add(name)));
  const uplink = await scene.consume(t, async () => {
    assert.equal(++busy, 1);
    await scene.redis.commands.ping();
    busy--;
  }, { batch: 16 });

  await scene.idle();
  assert.deepEqual(uplink.events(), names);
  assert.deepEqual(uplink.lines, []);
});

test('each entry is for one of several consumers', async (t) => {
  const names = Array.from({ length: 100 }, (_, i) => `e${i}`);
  const all = await Promise.all(['one', 'two'].map((consumer) => (
    scene.consume(t, () => {}, { consumer, batch: 4, claimAfter: 60000 }))));

  await Promise.all(names.map((name) => scene.add(name)));
  await scene.idle();
  assert.deepEqual(all.flatMap((it) => it.events()).sort(),
                   [...names].sort());
});

test('what a killed consumer had in hand is for another one', async (t) => {
  for (const event of ['before', 'bad', 'behind', 'last']) {
    await scene.add(event);
  }
  const first = scene.child('one', 'hang');
  await until(async () => (await scene.list('called')).length === 2,
              () => `two entries are handled: ${first.output}`);
  assert.equal(await scene.pending(), 3);
  await first.stop('SIGKILL');

  const second = await scene.consume(t, () => {}, { consumer: 'two' });
  await scene.idle();
  assert.deepEqual(await scene.list('done'), ['before']);
  assert.deepEqual(second.events(), ['bad', 'behind', 'last']);
  assert.deepEqual(await scene.dead(), []);
});

test('a consumer that is back takes up the old before the new', async (t) => {
  for (const event of ['before', 'bad', 'behind']) {
    await scene.add(event);
  }
  const first = scene.child('one', 'hang');
  await until(async () => await scene.pending() === 2, 'two are in hand');
  await first.stop('SIGKILL');
  await scene.add('new');

  // long before anything can be claimed
  const uplink = await scene.consume(t, () => {}, { claimAfter: 60000 });
  await scene.idle();
  assert.deepEqual(uplink.events(), ['bad', 'behind', 'new']);
});

test('what fails is tried again, then put aside; others go on', async (t) => {
  const buried = [];
  const uplink = await scene.consume(t, ({ event }) => {
    if (event === 'poison') {
      throw new Error('too bad');
    }
  }, {
    maxDeliveries: 3,
    buried: (entry, reason) => buried.push([entry.id, entry.ack, reason]),
  });

  const id = await scene.add('poison', ['x'], {
    ack: '5', bin0: Buffer.from([0, 255]),
  });
  await scene.add('good');
  await until(() => uplink.events().includes('good'), 'the next is handled');
  assert.deepEqual(buried, []);

  const broken = await scene.add('broken', [], { args: '[no JSON' });
  await until(() => buried.length === 2, 'both are put aside');
  await scene.idle();

  assert.deepEqual(buried[0], [id, '5', 'too bad']);
  assert.equal(buried[1][0], broken);
  assert.deepEqual(uplink.events(), ['poison', 'good', 'poison', 'poison']);

  const [letter, other] = await scene.dead();
  assert.equal(letter.entry, id);
  assert.equal(letter.event, 'poison');
  assert.equal(letter.args, '["x"]');
  assert.equal(letter.deliveries, '3');
  assert.equal(letter.reason, 'too bad');
  assert.match(other.reason, /JSON/);

  // binary arguments are kept as they are
  const raw = await scene.redis.commands.sendCommand(
    ['XRANGE', `${STREAM}:dead`, '-', '+'], { typeMapping: { 36: Buffer } });
  const fields = raw[0][1];
  const at = fields.findIndex((it) => String(it) === 'bin0');
  assert.deepEqual(fields[at + 1], Buffer.from([0, 255]));
});

test('what kills its consumer each time is put aside', async (t) => {
  for (const event of ['before', 'bad', 'behind']) {
    await scene.add(event);
  }
  for (const name of ['one', 'two']) {
    const child = scene.child(name, 'die');
    const { signal } = await within(child.exited, `${name} dies`, 20000);
    assert.equal(signal, 'SIGKILL', child.output);
  }

  // the next one was delivered with it, and is no worse for that
  const third = await scene.consume(t, () => {}, {
    consumer: 'three', maxDeliveries: 2,
  });
  await scene.idle();
  assert.deepEqual(await scene.list('called'), ['before', 'bad', 'bad']);
  assert.deepEqual(third.events(), ['behind']);

  const [letter, ...others] = await scene.dead();
  assert.equal(letter.event, 'bad');
  assert.equal(letter.deliveries, '3');
  assert.equal(letter.reason, 'never finished');
  assert.deepEqual(others, []);
});

test('a stop finishes what is in hand, and takes nothing more', async (t) => {
  const { opened, open } = gate();
  for (const event of ['a', 'b', 'c']) {
    await scene.add(event);
  }
  const uplink = await scene.consume(t, () => opened);

  await until(() => uplink.seen.length === 1, 'the first is handled');
  assert.equal(await scene.pending(), 3);
  await scene.add('too late');
  const stopped = uplink.stop();
  open();
  await stopped;

  assert.deepEqual(uplink.events(), ['a', 'b', 'c']);
  assert.equal(await scene.pending(), 0);
  const [group] = await scene.redis.commands.xInfoGroups(STREAM);
  assert.equal(group.lag, 1);
});

test('a stop does not wait for a Redis that is away', async (t) => {
  const { opened, fail } = gate();
  await scene.add('a');
  const uplink = await scene.consume(t, () => opened);

  await until(() => uplink.seen.length === 1, 'it is handled');
  await scene.redis.stop('SIGKILL');
  await until(() => !uplink.redis.isReady, 'the connection is lost');
  const stopped = uplink.stop();
  fail(new Error('Redis is away'));
  await stopped;
  await scene.redis.start();
});

test('a stream that was deleted is read from its beginning', async (t) => {
  const uplink = await scene.consume(t);
  await scene.add('a');
  await scene.idle();

  await scene.empty();
  await scene.add('b');
  await scene.idle();
  assert.deepEqual(uplink.events(), ['a', 'b']);
});

test('Redis is restarted: what is in hand comes first', async (t) => {
  const { opened, fail } = gate();
  let times = 0;

  await scene.add('a');
  await scene.add('b');
  const uplink = await scene.consume(
    t, ({ event }) => (event === 'a' && ++times === 1 ? opened : undefined));

  await until(() => uplink.seen.length === 1, 'the first is handled');
  await scene.redis.stop('SIGKILL');
  await until(() => !uplink.redis.isReady, 'the connection is lost');
  fail(new Error('what needs Redis fails'));
  await scene.redis.start();

  await scene.add('c');
  await until(() => uplink.events().includes('c'), 'new ones are handled');
  await scene.idle();
  assert.deepEqual(uplink.events().filter((it, i, all) => it !== all[i - 1]),
                   ['a', 'b', 'c']);
});

test('what was trimmed meanwhile is said, and no more', async (t) => {
  const { commands } = scene.redis;

  for (const [consumer, count] of [['one', 2], ['two', 1]]) {
    for (let i = 0; i < count; i++) {
      await scene.add('gone');
    }
    await commands.xGroupCreate(STREAM, GROUP, '0').catch(() => {});
    await commands.xReadGroup(GROUP, consumer, { key: STREAM, id: '>' });
  }
  assert.equal(await scene.pending(), 3);
  await commands.xTrim(STREAM, 'MAXLEN', 0);
  await scene.add('there');

  const uplink = await scene.consume(t);
  await until(async () => await scene.pending() === 0
              && uplink.seen.length === 1, 'all is done');
  assert.deepEqual(uplink.events(), ['there']);
  await until(() => uplink.lines.length === 2, 'it is said');
  assert.match(uplink.lines.join(), /2 entries were trimmed.*1 entries/s);
});
