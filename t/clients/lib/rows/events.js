'use strict';

// What is published by the stock emitter, and who gets it.

const assert = require('node:assert/strict');

const { Stream, assertNumbers } = require('../../../gateway/lib/stream');

const ROOMS = { ann: ['one', 'two'], bob: ['one'], cid: ['two'] };

// Where to, except whom, who gets it.  "user:" is a room, "#" a socket.
const WALK = [
  [['one'], [], ['ann', 'bob']],
  [['two'], [], ['ann', 'cid']],
  [['three'], [], []],
  [['one', 'two'], [], ['ann', 'bob', 'cid']],
  [['user:bob'], [], ['bob']],
  [['user:ann', 'user:cid'], [], ['ann', 'cid']],
  [['one', 'user:ann', 'user:cid'], [], ['ann', 'bob', 'cid']],
  [['#cid'], [], ['cid']],
  [['#ann', 'one', 'two', 'user:ann'], [], ['ann', 'bob', 'cid']],
  [['one'], ['user:bob'], ['ann']],
  [['one'], ['#ann'], ['bob']],
  [['one', 'two'], ['two'], ['bob']],
  [['one', 'two'], ['user:ann', 'user:bob'], ['cid']],
  [[], [], ['ann', 'bob', 'cid']],
  [[], ['one'], ['cid']],
  [[], ['#ann', 'user:bob'], ['cid']],
];

/** The three of a cell, who stay connected for all subtests on events. */
async function people(cell) {
  cell.people = cell.people || await Promise.all(
    Object.entries(ROOMS).map(([user, rooms]) => cell.connect({
      user, rooms: rooms.map((room) => cell.own(room)),
    })));
  return cell.people;
}

const table = {
  async 'rooms, users, sockets, everybody'(cell) {
    const clients = await people(cell);
    const [ann, bob, cid] = clients;
    const ids = { ann: ann.id, bob: bob.id, cid: cid.id };
    const real = (names) => names.map((name) => (
      name.startsWith('#') ? ids[name.slice(1)] : cell.own(name)));
    const event = cell.own('walk');

    for (const [i, [to, except]] of WALK.entries()) {
      cell.gw.emitter.to(real(to)).except(real(except)).emit(event, i);
    }
    await cell.gw.settle(clients);

    for (const [i, user] of Object.keys(ROOMS).entries()) {
      assert.deepEqual(
        clients[i].received(event).map(([number]) => number),
        [...WALK.keys()].filter((number) => WALK[number][2].includes(user)),
        `${user} gets what is for it, once, in the order published`);
    }
  },

  async 'into a room and out of it'(cell) {
    const clients = await people(cell);
    const [ann, bob, cid] = clients;
    const { emitter } = cell.gw;
    const room = cell.own('later');
    const event = cell.own('later');

    emitter.to(room).emit(event, 0);
    emitter.in(cell.own('user:bob')).socketsJoin(room);
    emitter.in(cid.id).socketsJoin([room, cell.own('another')]);
    emitter.to(room).emit(event, 1);
    emitter.in(room).socketsLeave(room);
    emitter.to(room).emit(event, 2);
    await cell.gw.settle(clients);
    assert.deepEqual([ann, bob, cid].map((it) => it.received(event)),
                     [[], [[1]], [[1]]]);
  },

  async 'two hundred, texts and binary, in their order'(cell) {
    const [ann] = await people(cell);
    const event = cell.own('order');
    const sent = Array.from({ length: 200 }, (_, i) => (
      [i, ...(i % 3 ? [] : [Buffer.from([i])])]));

    for (const args of sent) {
      cell.gw.emitter.to(ann.id).emit(event, ...args);
    }
    await cell.gw.settle(ann);
    assert.deepEqual(ann.received(event), sent);
  },

  async 'nothing is missed while it connects, upgrades and goes on'(cell) {
    const user = cell.own('early');
    const stream = new Stream(cell.gw, `user:${user}`, { rate: 300 }).start();

    try {
      const client = await cell.connect({ user: 'early' });
      const { sent } = stream;
      await client.eventWith('n', sent + 50);
      stream.stop();
      await cell.gw.settle(client);
      assertNumbers(client, client.received('n')[0][0], stream.sent);
    } finally {
      stream.stop();
    }
  },
};

module.exports = { table };
