'use strict';

// What clients send.  Nobody listens, so it comes to nothing, and the
// connection goes on.

const assert = require('node:assert/strict');

/** What socketio_max_payload is by default. */
const LIMIT = 1000000;

/** The text for an event "e" that makes a packet of just this length. */
const filler = (length) => 'x'.repeat(length - '42["e",""]'.length);

/** A client that stays connected for all subtests on what it sends. */
async function writer(cell) {
  cell.writer = cell.writer || await cell.connect({ user: 'writer' });
  return cell.writer;
}

/** Emits these events, [name, ...args], and asserts that it goes on. */
async function assertTaken(cell, ...events) {
  const client = await writer(cell);
  const { id } = client;

  for (const [name, ...args] of events) {
    client.emit(name, ...args);
  }
  await client.taken();
  await cell.assertWorks(client);
  assert.deepEqual(client.disconnects, []);
  assert.equal(client.id, id);
}

const table = {
  async 'it emits texts'(cell) {
    await assertTaken(cell, ['message'],
                      ['message', 'text', 1, null, { a: [] }],
                      ['error', { message: 'of an application' }],
                      ['\u{1f389}\u2028', 'a\u0000b', '\u001e', '\uffff']);
  },

  async 'it emits half a surrogate pair'(cell) {
    await assertTaken(cell, ['a\ud800', 'b\udc00', { '\ud83d': ['\udfff'] }]);
  },

  async 'it emits binary'(cell) {
    const bytes = (n) => Array.from({ length: n }, (_, i) => Buffer.alloc(i));

    await assertTaken(cell, ['one', Buffer.from('a')],
                      ['nested', { deep: [{ parts: bytes(3) }], n: 3 }],
                      ['ten', ...bytes(10)], ['text', 'between them'],
                      ['empty', Buffer.alloc(0)]);
  },

  async 'it emits half a megabyte'(cell) {
    await assertTaken(cell, ['large', 'x'.repeat(500000)]);
    await assertTaken(cell, ['large', Buffer.alloc(500000, 'z')]);
  },
};

/** What only clients in JavaScript can do. */
const javascript = {
  async 'it emits as much as is allowed'(cell) {
    await assertTaken(cell, ['e', filler(LIMIT)]);
  },

  async 'it emits typed arrays'(cell) {
    await assertTaken(cell, ['typed', new Uint8Array([1, 2, 3]),
                             new Uint8Array([1, 2, 3]).buffer,
                             new Float64Array([0.5])]);
  },

  async 'it asks for an acknowledgement, which does not come'(cell) {
    let called = false;

    await assertTaken(cell, ['ask', 1, () => { called = true; }]);
    assert.equal(called, false);
  },
};

module.exports = { table, javascript, LIMIT, filler };
