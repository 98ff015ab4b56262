'use strict';

// What is different with recovery: for those who know it, and for those who do
// not.

const assert = require('node:assert/strict');

const { until } = require('../../../gateway/lib/expect');

const EVENTS = {
  none: [],
  some: [1, { a: [] }],
  text: ['text'],
  binary: [{ deep: Buffer.from('abc') }],
};

const table = {
  // An application that counts its arguments has to expect it.
  async 'all of them see the offset behind the arguments'(cell) {
    const client = await cell.connect({ user: 'seer' });

    for (const [name, args] of Object.entries(EVENTS)) {
      cell.gw.emitter.to(client.id).emit(name, ...args);
    }
    await cell.gw.settle(client);
    for (const [name, args] of Object.entries(EVENTS)) {
      assert.equal(client.received(name)[0].length, args.length + 1);
      assert.deepEqual(cell.sent(client, name), [args]);
    }
    assert.deepEqual(cell.sent(client, 'ready'), [[]]);
    assert.deepEqual(client.recovered, [false]);
  },
};

/** What only clients in JavaScript can do. */
const javascript = {
  async 'what was missed arrives in order, or a fresh socket'(cell) {
    const proxy = await cell.gw.front();
    const client = await cell.connect({
      user: 'traveller', rooms: [cell.own('road')], url: proxy.url,
    });
    const other = await cell.connect({ user: 'other' });
    const { id } = client;
    const road = cell.gw.emitter.to(cell.own('road'));
    const bytes = Array.from({ length: 4 }, (_, i) => Buffer.alloc(i, i));
    const missed = [[1], [2, 'text'], [3, ...bytes], [4, { a: null }],
                    [5, 'x'.repeat(100000)], [6]];

    road.emit('e', 0);
    await client.event('e');
    client.stay();
    await until(() => {
      proxy.cut();
      return client.disconnects.length > 0;
    }, `${client} is away`);

    for (const args of missed) {
      road.emit('e', ...args);
      cell.gw.emitter.to(cell.own('other')).emit('e', 'not for it');
    }
    await cell.gw.settle(other);

    assert.equal(await client.back(), Boolean(cell.recovers));
    await cell.settled(client);
    assert.equal(client.id === id, Boolean(cell.recovers));
    road.emit('e', 7);
    await cell.gw.settle(client);
    assert.deepEqual(cell.sent(client, 'e'),
                     [[0], ...(cell.recovers ? missed : []), [7]]);
  },
};

module.exports = { table, javascript };
