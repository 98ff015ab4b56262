'use strict';

// Namespaces: the packets, byte for byte, and what an event in one of them is
// to the sockets in another.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');
const { until } = require('./lib/expect');

const start = (t, { block, ...options } = {}) => gateway(t, {
  block: { namespace: '/ /admin /chat', ...block }, ...options,
});

/** Both transports by hand: send(packet), next(), all that is closed by. */
const transports = {
  websocket: async (gw) => {
    const ws = await gw.socket();
    await ws.next();
    return {
      send: (packet) => ws.text(packet),
      next: () => ws.next(),
      closed: () => ws.closing(),
    };
  },
  polling: async (gw) => {
    const session = await gw.polling();
    return {
      send: (packet) => session.send(packet),
      next: () => session.next(),
      closed: async () => {
        assert.deepEqual(await session.rest(), ['1']);
        return 1005;
      },
    };
  },
};

const auth = (gw, who) => JSON.stringify(gw.auth(who));

/** Connects to a namespace; the id of the socket there. */
async function join(gw, client, nsp, who = { user: 'ann' }) {
  const name = nsp === '/' ? '' : `${nsp},`;
  await client.send(`40${name}${auth(gw, who)}`);
  const reply = await client.next();
  const [, sid] = new RegExp(`^40${name}\\{"sid":"([\\w-]{20})"\\}$`)
    .exec(reply);
  assert.equal(await client.next(), `42${name}["ready"]`);
  return sid;
}

for (const [name, open] of Object.entries(transports)) {
  test(`the packets, ${name}`, async (t) => {
    const gw = await start(t);
    await gw.live();

    await t.test('"/" is not needed', async () => {
      const client = await open(gw);
      await join(gw, client, '/admin');
      gw.emitter.emit('no');
      gw.emitter.of('/chat').emit('no');
      gw.emitter.of('/admin').emit('yes', 1);
      assert.equal(await client.next(), '42/admin,["yes",1]');
    });

    await t.test('several on one connection', async () => {
      const client = await open(gw);
      const ids = [
        await join(gw, client, '/'),
        await join(gw, client, '/admin'),
        await join(gw, client, '/chat'),
      ];
      assert.equal(new Set(ids).size, 3);

      // A socket's id is a room of its own namespace only.
      gw.emitter.of('/admin').to(ids[0]).emit('no');
      gw.emitter.to(ids[1]).emit('no');
      for (const [i, nsp] of ['/', '/admin', '/chat'].entries()) {
        gw.emitter.of(nsp).to(ids[i]).emit('e', i);
        assert.equal(await client.next(),
                     `42${['', '/admin,', '/chat,'][i]}["e",${i}]`);
      }
    });

    await t.test('a room is one of its namespace', async () => {
      const client = await open(gw);
      await join(gw, client, '/', { user: 'bob', rooms: ['r'] });
      const id = await join(gw, client, '/admin', { user: 'bob' });
      gw.emitter.of('/admin').to('r').emit('no');
      gw.emitter.of('/admin').in(id).socketsJoin('r');
      gw.emitter.of('/admin').to('r').emit('e', 1);
      assert.equal(await client.next(), '42/admin,["e",1]');
      gw.emitter.of('/admin').in('r').socketsLeave('r');
      gw.emitter.of('/admin').to('r').emit('no');
      gw.emitter.to('r').emit('e', 2);
      assert.equal(await client.next(), '42["e",2]');
    });

    await t.test('binary', async () => {
      const client = await open(gw);
      await join(gw, client, '/chat');
      gw.emitter.of('/chat').emit('b', Buffer.from([1, 2, 3]));
      assert.equal(await client.next(),
                   '451-/chat,["b",{"_placeholder":true,"num":0}]');
      const bytes = await client.next();
      assert.deepEqual(typeof bytes === 'string'
        ? Buffer.from(bytes.slice(1), 'base64') : bytes,
                       Buffer.from([1, 2, 3]));
    });

    await t.test('one is left, and entered again', async () => {
      const client = await open(gw);
      await join(gw, client, '/');
      const before = await join(gw, client, '/admin');
      await client.send('41/admin,');
      gw.emitter.of('/admin').emit('no');
      gw.emitter.emit('e');
      assert.equal(await client.next(), '42["e"]');
      const after = await join(gw, client, '/admin');
      assert.notEqual(after, before);
      await client.send('41');
      gw.emitter.emit('no');
      gw.emitter.of('/admin').emit('e');
      assert.equal(await client.next(), '42/admin,["e"]');
    });

    await t.test('the backend disconnects one', async () => {
      const client = await open(gw);
      await join(gw, client, '/');
      const id = await join(gw, client, '/admin');
      gw.emitter.of('/admin').in(id).disconnectSockets();
      assert.equal(await client.next(), '41/admin,');
      gw.emitter.emit('e');
      assert.equal(await client.next(), '42["e"]');
      await join(gw, client, '/admin');
    });

    await t.test('the backend disconnects one with its transport', async () => {
      const client = await open(gw);
      await join(gw, client, '/', { user: 'kicked' });
      const id = await join(gw, client, '/admin', { user: 'kicked' });
      await join(gw, client, '/chat', { user: 'kicked' });
      gw.emitter.of('/admin').in(id).disconnectSockets(true);
      const packets = [
        await client.next(), await client.next(), await client.next(),
      ];
      assert.deepEqual(packets.sort(), ['41', '41/admin,', '41/chat,']);
      assert.equal(await client.closed(), 1005);
    });

    await t.test('no such namespace', async () => {
      const client = await open(gw);
      for (const nsp of ['/x', '/admin/', '/Admin', '/admin?a=1']) {
        await client.send(`40${nsp},${auth(gw)}`);
        assert.equal(await client.next(),
                     `44${nsp},{"message":"Invalid namespace"}`);
      }
      await join(gw, client, '/admin');
    });

    await t.test('a refusal names the namespace', async () => {
      const client = await open(gw);
      await client.send('40/admin,');
      assert.equal(
        await client.next(),
        '44/admin,{"message":"Authentication error: Token not provided",'
        + '"data":{"code":"token_missing"}}');
      await join(gw, client, '/admin');
    });

    for (const [what, packets] of [
      ['an event', ['42/admin,["e"]']],
      ['an event with an id', ['42/admin,1["e"]']],
      ['an acknowledgement', ['43/admin,1[]']],
      ['DISCONNECT', ['41/admin,']],
      ['a binary event', ['451-/admin,["e",{"_placeholder":true,"num":0}]']],
      ['an event for none that there is', ['42/none,["e"]']],
    ]) {
      await t.test(`${what} before CONNECT`, async () => {
        const client = await open(gw);
        await join(gw, client, '/');
        for (const packet of packets) {
          await client.send(packet);
        }
        assert.equal(await client.closed(), 1005);
      });
    }

    await t.test('a second CONNECT', async () => {
      const client = await open(gw);
      await join(gw, client, '/');
      await join(gw, client, '/admin');
      await client.send(`40/admin,${auth(gw)}`);
      assert.equal(await client.closed(), 1005);
    });

    await t.test('nothing is left', async () => {
      const client = await gw.rawConnect({ user: 'last' });
      await gw.settle(client);
    });
  });
}

test('a namespace other than "/" alone', async (t) => {
  const gw = await start(t, { block: { namespace: '/admin' } });
  const client = await transports.websocket(gw);

  client.send(`40${auth(gw)}`);
  assert.equal(await client.next(), '44{"message":"Invalid namespace"}');
  await join(gw, client, '/admin');
});

test('a CONNECT in any namespace is in time', async (t) => {
  const gw = await start(t, {
    location: { socketio_connect_timeout: '300ms' },
  });
  await gw.live();

  for (const open of Object.values(transports)) {
    const late = await open(gw);
    const client = await open(gw);
    await join(gw, client, '/admin');
    assert.equal(await late.closed(), 1005);
    await client.send('41/admin,');
    await join(gw, client, '/');
  }
});

test('the same transport does not connect twice at once', async (t) => {
  const gw = await start(t, { proxy: true });
  await gw.live();

  // The room set is not answered, so the first one is still pending.
  for (const open of Object.values(transports)) {
    gw.proxy.hold('smembers');
    const client = await open(gw);
    await client.send(`40/admin,${auth(gw)}`);
    await until(() => gw.proxy.seen > 0, 'the question for its rooms');
    await client.send(`40/admin,${auth(gw)}`);
    assert.equal(await client.closed(), 1005);
    gw.proxy.release();
  }
});
