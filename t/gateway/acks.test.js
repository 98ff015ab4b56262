'use strict';

// Acknowledgements: of clients' events, by a message of the adapter; and of
// events that ask clients for an answer.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { encode } = require('./lib/msgpack');
const { until, parallel } = require('./lib/expect');

const TRANSPORTS = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

const start = (t, workers, { block, ...options } = {}) => gateway(t, {
  workers,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { namespace: '/ /admin', ...block },
  locations: {
    '/socket.io/': {},
    '= /status': { socketio: null, socketio_status: 'mew' },
  },
  ...options,
});

const acks = async (gw) => (
  (await (await fetch(`${gw.url}/status`)).json()).acks);

/** Relays an ACK, as the adapter of a node does for a socket elsewhere. */
function relay(gw, sid, id, data, nsp = '/') {
  return gw.redis.commands.publish(
    `socket.io#${nsp}#${sid}#`,
    encode(['node01', { type: 3, id, data, nsp }, { rooms: [sid] }]));
}

/** A request for answers; uid is nobody's who counts nodes. */
function ask(gw, requestId, data, {
  rooms = [], except = [], nsp = '/', timeout = 5000, uid = 'backend',
} = {}) {
  return gw.redis.commands.publish(`socket.io-request#${nsp}#`, encode({
    uid, requestId, type: 7,
    packet: { type: 2, data, nsp },
    opts: { rooms, except, flags: { timeout } },
  }));
}

/** The answers that come for a namespace: [message, ...]. */
async function answers(gw, nsp = '/') {
  const reader = await gw.redis.client();
  const list = [];
  gw.closers.push(() => reader.destroy());
  await reader.subscribe(`socket.io-response#${nsp}#`, (text) => {
    list.push(JSON.parse(text));
  });
  return list;
}

eachWorkers([1, 4], 'a client asks', async (t, workers) => {
  const gw = await start(t, workers);

  for (const [kind, transports] of Object.entries(TRANSPORTS)) {
    await t.test(`over ${kind}`, async () => {
      const root = await gw.connect({ user: kind, transports });
      const admin = await root.of('/admin').ready();

      for (const [client, nsp] of [[root, '/'], [admin, '/admin']]) {
        const results = [];
        for (const value of ['a', 'b']) {
          client.socket.emit('ask', value, (...args) => (
            results.push([value, ...args])));
        }
        // socket.io-client counts its ids from 0.
        await relay(gw, client.id, 1, ['two', { n: 1 }], nsp);
        await until(() => results.length === 1, 'an answer');
        await relay(gw, client.id, 1, ['once more'], nsp);
        await relay(gw, client.id, 99, ['unknown'], nsp);
        await relay(gw, client.id, 0, [], nsp);
        await until(() => results.length === 2, 'the other answer');
        assert.deepEqual(results, [['b', 'two', { n: 1 }], ['a']]);
      }
      await gw.settle(root);
      assert.ok(root.socket.connected && admin.socket.connected);
      root.close();
    });
  }

  await t.test('with an answer that is binary', async () => {
    const client = await gw.connect({ user: 'bin' });
    const answer = new Promise((resolve) => {
      client.socket.emit('ask', resolve);
    });
    await relay(gw, client.id, 0, [Buffer.from([1, 2])]);
    assert.deepEqual(await answer, Buffer.from([1, 2]));
  });
});

eachWorkers([1, 4], 'clients are asked', async (t, workers) => {
  const gw = await start(t, workers);
  const list = await answers(gw);
  const admins = await answers(gw, '/admin');

  const kinds = Object.values(TRANSPORTS);
  const clients = await parallel(
    Array.from({ length: 12 }, (_, i) => i), 6,
    (i) => gw.connect({ user: `u${i}`, transports: kinds[i % 3] }));
  const replies = new Map();

  clients.forEach((client, i) => {
    client.socket.on('ask', (value, callback) => {
      replies.set(client.name, callback);
      callback([i, value], 'second');
    });
  });

  /** All clients have seen what was asked. */
  const asked = async () => {
    await until(() => clients.every((it) => replies.has(it.name)),
                'all are asked');
  };

  await t.test('all of them', async () => {
    const before = await acks(gw);
    await ask(gw, 'r1', ['ask', 'x']);
    await asked();
    await until(() => list.length === 12, 'all have answered');
    assert.deepEqual(list.map((it) => it.packet[0]).sort((a, b) => a - b),
                     clients.map((_, i) => i));
    for (const { type, requestId, packet } of list) {
      assert.deepEqual([type, requestId, packet[1]], [9, 'r1', 'x']);
    }
    const now = await acks(gw);
    assert.equal(now.asked - before.asked, 1);
    assert.equal(now.answered - before.answered, 12);
    assert.equal(now.ignored, before.ignored);
  });

  await t.test('those in a room, and not in another', async () => {
    list.length = 0;
    await ask(gw, 'r2', ['ask', 'y'], {
      rooms: clients.slice(0, 6).map((it) => it.id),
      except: clients.slice(3, 6).map((it) => it.id),
    });
    await until(() => list.length === 3, 'three have answered');
    await gw.settle(clients);
    assert.deepEqual(list.map((it) => it.packet[0]).sort(), [0, 1, 2]);
  });

  await t.test('in a namespace', async () => {
    const admin = await clients[0].of('/admin').ready();
    admin.socket.on('ask', (callback) => callback('here'));
    await ask(gw, 'r3', ['ask'], { nsp: '/admin' });
    await until(() => admins.length === 1, 'an answer');
    assert.deepEqual(admins, [{ type: 9, requestId: 'r3', packet: 'here' }]);
  });

  await t.test('without an argument in the answer', async () => {
    list.length = 0;
    clients[0].socket.on('empty', (callback) => callback());
    await ask(gw, 'r4', ['empty']);
    await until(() => list.length === 1, 'an answer');
    assert.deepEqual(list, [{ type: 9, requestId: 'r4' }]);
  });

  await t.test('the request of a node that counts is not answered',
               async () => {
    list.length = 0;
    replies.clear();
    const before = await acks(gw);
    await ask(gw, 'r5', ['ask', 'z'], { uid: 'OWdeI1' });
    await asked();
    await until(async () => (
      (await acks(gw)).answered === before.answered + 12), 'all are counted');
    await gw.settle(clients);
    assert.deepEqual(list, []);
  });
});

test('answers that are none', async (t) => {
  const gw = await start(t, 4, { block: {
    namespace: '/ /admin', recovery: '10s',
  } });
  const list = await answers(gw);
  const ID = /^42(\d+)\["ask"\]$/;

  for (const open of ['rawConnect', 'pollingConnect']) {
    await t.test(open, async (t) => {
      const client = await gw[open]({ user: open });
      const other = await gw[open]({ user: `${open} too` });

      /** The id of what this client is asked; it carries no offset. */
      const next = async (options) => {
        client.packets.length = 0;
        await ask(gw, open, ['ask'], { rooms: [client.id], ...options });
        await until(() => client.packets.some((it) => ID.test(it)), 'asked');
        return ID.exec(client.packets.find((it) => ID.test(it)))[1];
      };
      const ignored = async (count, send) => {
        const before = await acks(gw);
        await send();
        await until(async () => (
          (await acks(gw)).ignored === before.ignored + count), 'ignored');
        assert.equal((await acks(gw)).answered, before.answered);
      };

      await t.test('the same twice', async () => {
        list.length = 0;
        const id = await next();
        await client.send(`43${id}["first"]`);
        await until(() => list.length === 1, 'an answer');
        await ignored(1, () => client.send(`43${id}["second"]`));
        assert.deepEqual(list.map((it) => it.packet), ['first']);
      });

      await t.test('an id that nobody has given', async () => {
        for (const id of ['', '0', '1', '9007199254740991',
          '99999999999999999999999999']) {
          await ignored(1, () => client.send(`43${id}[1]`));
        }
      });

      await t.test('too late', async () => {
        const id = await next({ timeout: 50 });
        await until(async () => {
          const before = await acks(gw);
          await client.send(`43${id}[1]`);
          await gw.settle(client);
          return (await acks(gw)).ignored > before.ignored;
        }, 'it is too late');
      });

      await t.test('ids differ', async () => {
        const ids = new Set();
        for (let i = 0; i < 20; i++) {
          ids.add(await next());
        }
        assert.equal(ids.size, 20);
      });

      await t.test('no more of an answer than its bytes', async () => {
        list.length = 0;
        const id = await next();
        await client.send(`43${id}[{"a":[1,"]}"],"b":"\\u2028"} , 2]`);
        await until(() => list.length === 1, 'an answer');
        assert.deepEqual(list[0].packet, { a: [1, ']}'], b: '\u2028' });
      });

      await gw.settle(client, other);
      assert.ok(!client.closed && !other.closed);
    });
  }
});

test('requests that are none', async (t) => {
  const gw = await start(t, 1);
  const client = await gw.connect({ user: 'ann' });
  const malformed = async () => (
    (await (await fetch(`${gw.url}/status`)).json()).malformed);

  for (const [what, message] of [
    ['no map', encode([1])],
    ['cut off', encode({ type: 7, requestId: 'x' }).subarray(0, -1)],
    ['no id', encode({ type: 7, packet: { type: 2, data: ['e'] }, opts: {} })],
    ['no packet', encode({ type: 7, requestId: 'x', opts: {} })],
    ['no event', encode({
      type: 7, requestId: 'x', packet: { type: 2, data: [] }, opts: {},
    })],
  ]) {
    await t.test(what, async () => {
      const before = await malformed();
      await gw.redis.commands.publish('socket.io-request#/#', message);
      await gw.settle(client);
      assert.equal(await malformed(), before + 1);
    });
  }
});
