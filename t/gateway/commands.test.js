'use strict';

// JSON commands on "<prefix>-command": what each does, whatever the client's
// transport; what is said of bad ones; their order among other messages.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { until, parallel } = require('./lib/expect');

const TRANSPORTS = { websocket: ['websocket'], polling: ['polling'] };
const CHANNEL = 'socket.io-command';

const start = (t, workers, { block, ...options } = {}) => gateway(t, {
  workers,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { namespace: '/ /admin', ...block },
  locations: {
    '/socket.io/': {},
  },
  ...options,
});

/** Publishes a command, an array of them, or a text that may be none. */
const command = (gw, what) => gw.redis.commands.publish(
  CHANNEL,
  typeof what === 'string' || Buffer.isBuffer(what) ? what
    : JSON.stringify(what));

/** The values of all events of that name so far. */
const values = (client, event = 'e') => (
  client.received(event).map(([value]) => value));

eachWorkers([1, 3], 'each op', async (t, workers) => {
  const gw = await start(t, workers);

  for (const [kind, transports] of Object.entries(TRANSPORTS)) {
    await t.test(`over ${kind}`, async (t) => {
      const [ann, bob, cid] = await parallel(
        ['ann', 'bob', 'cid'], 3, (user) => gw.connect({
          user: `${user}-${kind}`, rooms: [`all-${kind}`], transports,
        }));
      const everybody = [ann, bob, cid];
      const admin = await ann.of('/admin').ready();

      /** Does it, and gives what each of the three then has of "e". */
      const result = async (...commands) => {
        everybody.forEach((it) => it.byName.delete('e'));
        for (const it of commands) {
          await command(gw, it);
        }
        await gw.settle(everybody);
        return everybody.map((it) => values(it));
      };

      await t.test('emit', async () => {
        assert.deepEqual(await result(
          { event: 'e', args: [1] },
          { op: 'emit', to: [ann.id, `user:bob-${kind}`], event: 'e',
            args: [2] },
          { to: `all-${kind}`, except: cid.id, event: 'e', args: [3] },
          { to: [`all-${kind}`], except: [ann.id, bob.id], event: 'e',
            args: [4], volatile: false, nsp: '/' },
          { all: true, event: 'e', args: [5] },
          { nsp: '/admin', event: 'e', args: [6] },
          { nsp: '/none', event: 'e', args: [7] },
          { to: 'nobody', event: 'e', args: [8] },
          { to: [ann.id, `all-${kind}`, ann.id], event: 'e', args: [9] },
        ), [[1, 2, 3, 5, 9], [1, 2, 3, 5, 9], [1, 4, 5, 9]]);
        assert.deepEqual(await admin.event('e'), [6]);
      });

      await t.test('emit without arguments, and volatile', async () => {
        await command(gw, { to: ann.id, event: 'bare' });
        assert.deepEqual(await ann.event('bare'), []);
        await until(async () => {
          await command(gw, { to: ann.id, event: 'v', volatile: true });
          return ann.received('v').length > 0;
        }, 'a volatile event');
      });

      await t.test('join and leave', async () => {
        const in_ = { to: ['new', 'newer'], event: 'e' };
        assert.deepEqual(await result(
          { op: 'join', to: ann.id, rooms: ['new', 'newer'] },
          { op: 'join', to: [`all-${kind}`], except: [ann.id, cid.id],
            rooms: 'newer' },
          { ...in_, args: [1] },
          { op: 'leave', to: ann.id, rooms: 'new' },
          { to: 'new', event: 'e', args: [2] },
          { ...in_, args: [3] },
          { op: 'leave', all: true, rooms: ['new', 'newer', 'other'] },
          { ...in_, args: [4] },
          { op: 'join', all: true, rooms: ['new'], nsp: '/admin' },
          { ...in_, args: [5] },
          { op: 'join', all: true, except: [cid.id], rooms: ['new'] },
          { ...in_, args: [6] },
          { op: 'leave', all: true, rooms: ['new'] },
        ), [[1, 3, 6], [1, 3, 6], []]);
      });

      await t.test('several in an array', async () => {
        assert.deepEqual(await result([
          { op: 'join', to: cid.id, rooms: 'x' },
          { to: 'x', event: 'e', args: [1] },
          { op: 'leave', to: cid.id, rooms: 'x' },
          { to: 'x', event: 'e', args: [2] },
        ], []), [[], [], [1]]);
      });

      await t.test('ack', async () => {
        const before = (await gw.status()).acks;
        const answers = [];
        ann.socket.emit('ask', (...args) => answers.push(['a', ...args]));
        ann.socket.emit('ask', (...args) => answers.push(['b', ...args]));
        admin.socket.emit('ask', (...args) => answers.push(['c', ...args]));
        await command(gw, { op: 'ack', sid: ann.id, ack: 1, args: [1, {}] });
        await command(gw, { op: 'ack', sid: ann.id, ack: 1, args: ['more'] });
        await command(gw, { op: 'ack', nsp: '/admin', sid: admin.id, ack: 0 });
        await command(gw, { op: 'ack', sid: ann.id, ack: 0 });
        await until(() => answers.length === 3, 'answers');
        await gw.settle(everybody);
        assert.deepEqual(answers.sort(), [['a'], ['b', 1, {}], ['c']]);
        const after = (await gw.status()).acks;
        assert.equal(after.relayed - before.relayed, 4);
        assert.equal(after.unknown, before.unknown);
      });

      await t.test('ack for no socket', async () => {
        // A room of that name has nothing to do with it.
        const gone = 'AAAAAAAAAAAAAAAAAAAA';
        const before = (await gw.status()).acks;
        await command(gw, { op: 'join', all: true, rooms: gone });
        for (const sid of [gone, `all-${kind}`, admin.id]) {
          await command(gw, { op: 'ack', sid, ack: 0, args: [1] });
        }
        await gw.settle(everybody);
        const after = (await gw.status()).acks;
        assert.equal(after.unknown - before.unknown, 3);
        assert.equal(after.relayed, before.relayed);
      });

      await t.test('disconnect', async () => {
        everybody.forEach((it) => it.stay());
        await command(gw, { op: 'disconnect', to: [ann.id, bob.id],
                            except: [bob.id] });
        assert.equal(await ann.disconnect(), 'io server disconnect');
        await gw.settle(bob, cid);
        assert.deepEqual([bob, cid, admin].map((it) => it.disconnects.length),
                         [0, 0, 0]);
        await command(gw, { nsp: '/admin', event: 'still' });
        await admin.event('still');

        await command(gw, { op: 'disconnect', nsp: '/admin', to: admin.id,
                            close: true });
        assert.match(await admin.disconnect(), /io server disconnect/);

        await command(gw, { op: 'disconnect', to: `all-${kind}`,
                            close: true });
        for (const it of [bob, cid]) {
          assert.equal(await it.disconnect(), 'io server disconnect');
        }
      });
    });
  }
});

// Payloads are passed on as they are written, whatever a parser makes of them.
test('values', async (t) => {
  const gw = await start(t, 1);
  const client = await gw.rawConnect({ user: 'ann' });
  const nested = `${'['.repeat(64)}${']'.repeat(64)}`;

  for (const args of [
    '1.0,1e3,-0.0,1E400', '9223372036854775807,-9223372036854775808',
    '18446744073709551615,123456789012345678901234567890',
    '"\\u0000\\u2028\\ud83d\\ude00\\"\\\\\\/"', '{"b":1,"a":{"\\u0000":2},"b":3}',
    '"\u00e9\u{1f600}"', '{"_placeholder":true,"num":0}', ' 1 ,\t[ ]', nested,
  ]) {
    await t.test(args.slice(0, 40), async () => {
      client.packets.length = 0;
      await command(gw, `{"to":"${client.id}","event":"é\\u0041","args":[${
        args}]}`);
      await gw.settle(client);
      assert.equal(client.packets[0], `42["é\\u0041",${args.trimStart()}]`);
    });
  }
});

test('commands that are none', async (t) => {
  const gw = await start(t, 1, { block: { log: '4m' } });
  const client = await gw.connect({ user: 'ann' });
  const bad = async (what) => {
    const before = await gw.status();
    await command(gw, what);
    await gw.settle(client);
    const after = await gw.status();
    assert.deepEqual([after.malformed - before.malformed,
                      after.too_large - before.too_large,
                      after.events.in - before.events.in], [1, 0, 1]);
  };
  const told = () => gw.nginx.log().split('\n').filter(
    (line) => line.includes(`on channel "${CHANNEL}"`));

  for (const [what, text] of [
    [{ event: 'e', to: 7 }, '"to" must be a string or an array of strings;'],
    [[{ event: 'e' }, { event: 'connect' }],
      'command 2: "event" is "connect", which is reserved;'],
    [{ event: 'e', extra: 1 }, '"extra" is unknown;'],
    [{ op: 'join', rooms: ['a'] }, '"to" is missing, or "all":true;'],
    ['{"event":"e","event":"f"}', '"event" stands twice;'],
  ]) {
    // At most one line a second: the next one may have to be waited for.
    await t.test(text, () => until(async () => {
      await bad(what);
      return told().some((line) => (
        line.includes(`malformed message of ${
          (typeof what === 'string' ? what : JSON.stringify(what)).length
        } bytes`) && line.includes(`: ${text}`)));
    }, 'a line in the log'));
  }

  await t.test('one line a second', async () => {
    const lines = told().length;
    const begin = performance.now();
    for (let i = 0; i < 200; i++) {
      await command(gw, { op: 'x' });
    }
    await gw.settle(client);
    const seconds = (performance.now() - begin) / 1000;
    assert.ok(told().length - lines <= 1 + Math.ceil(seconds));
  });

  for (const [what, text] of Object.entries({
    empty: '',
    garbage: Buffer.alloc(1 << 20, 0xff),
    'a megabyte of brackets': '['.repeat(1 << 20),
    'deep arguments': `{"event":"e","args":${'['.repeat(70)}${
      ']'.repeat(70)}}`,
    'bad UTF-8': Buffer.from('{"event":"e","args":["\xff"]}', 'latin1'),
    'half a surrogate in UTF-8': Buffer.from(
      '{"event":"e","args":["\xed\xa0\x80"]}', 'latin1'),
    'a huge ack id': `{"op":"ack","sid":"a","ack":${'9'.repeat(100000)}}`,
    'too many rooms': JSON.stringify({ event: 'e',
                                       to: Array(1025).fill('a') }),
    'a bad one behind a thousand': JSON.stringify(
      [...Array(1000).fill({ event: 'no' }), { event: '' }]),
    'a name that is long': JSON.stringify({ ['x'.repeat(1 << 20)]: 1 }),
  })) {
    await t.test(what, () => bad(text));
  }

  await t.test('nothing came of them', () => {
    assert.deepEqual(client.received('e'), []);
    assert.deepEqual(client.received('no'), []);
    assert.ok(client.socket.connected);
  });

  await t.test('more than a quarter of the log', async () => {
    const large = Array.from({ length: 20 }, (_, i) => (
      { event: 'large', args: [i, 'x'.repeat(60000)] }));
    const before = await gw.status();
    await command(gw, large);
    await command(gw, { event: 'large', args: ['x'.repeat(1 << 20)] });
    await command(gw, large.slice(0, 10));
    await gw.settle(client);
    const after = await gw.status();
    assert.equal(after.too_large - before.too_large, 2);
    assert.equal(after.malformed, before.malformed);
    assert.deepEqual(values(client, 'large'), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

eachWorkers([1, 3], 'ten thousand in an array', async (t, workers) => {
  const gw = await start(t, workers, { block: { zone: '64m' } });
  const clients = await parallel(
    ['a', 'b', 'c'], 3, (user) => gw.connect({ user }));
  const expected = Array.from({ length: 10000 }, (_, i) => i);

  await command(gw, expected.map((i) => ({ event: 'e', args: [i] })));
  await gw.settle(clients);
  for (const client of clients) {
    assert.deepEqual(values(client), expected);
  }
});

// What one publisher connection sends, commands and messages of the emitter,
// reaches each socket in that order, and finds the rooms as they then are.
eachWorkers([1, 3], 'order', async (t, workers) => {
  const gw = await start(t, workers);
  const clients = await parallel(
    Array.from({ length: 6 }, (_, i) => i), 6, (i) => gw.connect({
      user: `u${i}`, transports: Object.values(TRANSPORTS)[i % 2],
    }));
  const expected = [];

  for (let i = 0; i < 400; i++) {
    switch (i % 8) {
      case 0: command(gw, { op: 'join', all: true, rooms: 'x' }); break;
      case 2: gw.emitter.in('x').socketsLeave('x'); break;
      case 4: gw.emitter.socketsJoin('x'); break;
      case 6: command(gw, { op: 'leave', to: 'x', rooms: 'x' }); break;
      default: break;
    }
    if (i % 3 === 0) {
      gw.emitter.to('x').emit('e', i);
    } else if (i % 3 === 1) {
      command(gw, { to: 'x', event: 'e', args: [i] });
    } else {
      command(gw, [{ event: 'e', args: [i] }, { to: 'x', event: 'e',
                                                args: [-i] }]);
    }
    const inside = i % 4 < 2;
    if (i % 3 === 2) {
      expected.push(i);
    }
    if (inside) {
      expected.push(i % 3 === 2 ? -i : i);
    }
  }

  await gw.settle(clients);
  for (const client of clients) {
    assert.deepEqual(values(client), expected);
  }
});

// The worker that reads Redis is killed: another goes on with the next command.
test('the reader is killed', async (t) => {
  const gw = await start(t, 3);
  await gw.redis.subscribed(2);
  const clients = await parallel(
    Array.from({ length: 12 }, (_, i) => i), 6,
    (i) => gw.connect({ user: `u${i}` }));
  const [reader] = await gw.feedPair();
  const pids = gw.workersOf(clients);
  const left = clients.filter((it, i) => pids[i] !== reader);
  assert.ok(left.length > 0);

  for (let i = 0; i < 300; i++) {
    await command(gw, i % 2 ? { event: 'e', args: [i] }
      : [{ op: 'join', all: true, rooms: 'x' },
         { to: 'x', event: 'e', args: [i] },
         { op: 'leave', all: true, rooms: 'x' }]);
    if (i === 150) {
      gw.nginx.killWorker(reader);
    }
  }
  await gw.settle(left);
  for (const client of left) {
    assert.deepEqual(values(client), Array.from({ length: 300 }, (_, i) => i));
  }
});

// The patterns of other adapters leave the channel alone.
test('who hears commands', async (t) => {
  const gw = await start(t, 3);
  const client = await gw.connect({ user: 'ann' });
  await gw.redis.subscribed(2);
  const peer = await gw.redis.client();
  const heard = [];
  gw.closers.push(() => peer.destroy());

  // As redis-adapter 8 subscribes for "/".
  await peer.pSubscribe('socket.io#/#*', (text, channel) => (
    heard.push(channel)));
  await peer.subscribe(['socket.io-request#/#', 'socket.io-response#/#',
                        'socket.io-response#/#abcdef#'], () => {});

  await until(async () => (
    await command(gw, { event: 'e', args: [1] }) === 2), 'two hear it');
  await gw.settle(client);
  assert.ok(!heard.includes(CHANNEL) && heard.length > 0);

  // That of another gateway.
  await gw.redis.commands.publish('other-command',
                                  JSON.stringify({ event: 'other' }));
  await gw.settle(client);
  assert.deepEqual(client.received('other'), []);
});

test('another prefix', async (t) => {
  const gw = await start(t, 1, { block: { redis_prefix: 'mew' } });
  const client = await gw.connect({ user: 'ann' });

  await command(gw, { event: 'e', args: ['no'] });
  await gw.redis.commands.publish(
    'mew-command', JSON.stringify({ event: 'e', args: ['yes'] }));
  await client.event('e');
  assert.deepEqual(values(client), ['yes']);
});

// With recovery a command's event carries an offset, its ack does not; both
// are there for who comes back.
test('recovery', async (t) => {
  const gw = await start(t, 2, { block: { recovery: '20s' } });
  const client = await gw.connect({ user: 'ann' });
  const { id } = client;

  await command(gw, { to: id, event: 'e', args: [1] });
  await client.event('e');
  await client.away();
  await command(gw, [
    { op: 'join', to: id, rooms: 'x' },
    { to: 'x', event: 'e', args: [2] },
  ]);
  assert.equal(await client.back(), true);
  await client.event('e', 2);
  await command(gw, { to: 'x', event: 'e', args: [3] });
  await client.event('e', 3);
  assert.deepEqual(values(client), [1, 2, 3]);
  assert.equal(typeof client.received('e')[2][1], 'string');
});
