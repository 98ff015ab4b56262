'use strict';

// Sockets in several namespaces of one connection, and answers to what a
// client emits.

const assert = require('node:assert/strict');

const { until } = require('../../../gateway/lib/expect');
const { encode } = require('../../../gateway/lib/msgpack');

const OPTIONS = { block: { namespace: '/ /admin /chat' } };

/** A client with a socket in each namespace. */
async function family(cell, user) {
  const root = await cell.connect({ user });
  const others = ['/admin', '/chat'].map((nsp) => root.of(nsp));

  await Promise.all(others.map((it) => it.ready()));
  return [root, ...others];
}

const table = {
  async 'events of each namespace'(cell) {
    const sockets = await family(cell, 'family');
    const event = cell.own('own');

    assert.equal(new Set(sockets.map((it) => it.id)).size, 3);
    for (const [i, nsp] of ['/', '/admin', '/chat'].entries()) {
      const space = cell.gw.emitter.of(nsp);
      space.to(sockets[i].id).emit(event, nsp, Buffer.from(nsp));
      // An id, or a user's room, is nothing in another namespace.
      space.to(sockets[(i + 1) % 3].id).emit(event, 'foreign');
    }
    for (const [i, nsp] of ['/', '/admin', '/chat'].entries()) {
      await sockets[i].event(event);
      cell.gw.emitter.of(nsp).to(sockets[i].id).emit(event, 'last');
      await sockets[i].eventWith(event, 'last');
      assert.deepEqual(sockets[i].received(event),
                       [[nsp, Buffer.from(nsp)], ['last']]);
    }
    sockets[0].close();
  },

  async 'one is left, and entered again'(cell) {
    const [root, admin] = await family(cell, 'leaver');
    const before = admin.id;

    admin.socket.disconnect();
    assert.equal(await admin.disconnect(), 'io client disconnect');
    await cell.assertWorks(root);
    admin.socket.connect();
    await admin.ready(2);
    assert.notEqual(admin.id, before);
    root.close();
  },

  async 'the backend disconnects one'(cell) {
    const [root, admin, chat] = await family(cell, 'kicked');

    cell.gw.emitter.of('/admin').in(admin.id).disconnectSockets();
    assert.equal(await admin.disconnect(), 'io server disconnect');
    await cell.assertWorks(root);
    assert.ok(chat.socket.connected && !admin.socket.active);
    root.close();
  },

  async 'the backend disconnects one with its transport'(cell) {
    const sockets = await family(cell, 'closed');

    cell.gw.emitter.of('/admin').in(sockets[1].id).disconnectSockets(true);
    for (const it of sockets) {
      assert.equal(await it.disconnect(), 'io server disconnect');
      assert.ok(!it.socket.active);
    }
  },

  async 'one is refused, the others go on'(cell) {
    const root = await cell.connect({ user: 'refused' });
    const admin = root.of('/admin', {});

    assert.deepEqual(await admin.refusal(), {
      message: 'Authentication error: Token not provided',
      data: { code: 'token_missing' },
    });
    await cell.assertWorks(root);
    admin.again(root.socket.auth);
    await admin.ready();
    root.close();
  },

  async 'there is no such namespace'(cell) {
    const root = await cell.connect({ user: 'lost' });
    const other = root.of('/none');

    await until(() => other.failures.length > 0, 'it is refused');
    assert.equal(other.failures[0].message, 'Invalid namespace');
    await cell.assertWorks(root);
    root.close();
  },

  async 'an event is answered'(cell) {
    const sockets = await family(cell, 'asks');

    for (const [i, nsp] of ['/', '/admin', '/chat'].entries()) {
      const { id, socket } = sockets[i];
      const answer = new Promise((resolve) => {
        socket.emit('ask', nsp, (...args) => resolve(args));
      });
      await cell.gw.redis.commands.publish(
        `socket.io#${nsp}#${id}#`,
        encode(['node01', { type: 3, id: 0, data: [nsp, { ok: true }], nsp },
                { rooms: [id] }]));
      assert.deepEqual(await answer, [nsp, { ok: true }]);
    }
    sockets[0].close();
  },
};

module.exports = { OPTIONS, table };
