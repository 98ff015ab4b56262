'use strict';

// What events are made of: texts, numbers, bytes; small and large.

const assert = require('node:assert/strict');

const { broadcast } = require('../../../gateway/lib/msgpack');

const WORDS = {
  'letters of all kinds': 'Zo\u00eb \u4e16\u754c \u05e9\u05dc\u05d5\u05dd',
  'an emoji': '\u{1f389}',
  'joined emoji': '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
  'line separators': 'a\u2028b\u2029c',
  'a NUL': 'a\u0000b',
  'control characters': '\u0001\u001f\b\f\n\r\t\u007f',
  'the separator of polls': 'a\u001eb',
  'quotes and slashes': '"\\/</script>',
  'the last ones': '\ufeff\ufffe\uffff\u{10ffff}',
};

const BIG = [2n ** 53n + 2n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 64n - 1n,
             -(2n ** 63n)];

/** A client that stays connected for all subtests on payloads. */
async function reader(cell) {
  cell.reader = cell.reader || await cell.connect({ user: 'reader' });
  return cell.reader;
}

/** Sends these arguments to it, and asserts that they arrive as `expected`. */
async function assertArrives(cell, args, expected = args) {
  const client = await reader(cell);
  const event = cell.own(`payload${++cell.gw.markers}`);

  cell.gw.emitter.to(client.id).emit(event, ...args);
  assert.deepEqual(await client.event(event), expected);
  return client.received(event)[0];
}

const table = {
  async 'words as events, in keys and in values'(cell) {
    const client = await reader(cell);
    const to = cell.gw.emitter.to(client.id);

    for (const word of Object.values(WORDS)) {
      to.emit(`${word}!`, word, { [word]: [word] });
    }
    await cell.gw.settle(client);
    for (const [name, word] of Object.entries(WORDS)) {
      assert.deepEqual(client.received(`${word}!`),
                       [[word, { [word]: [word] }]], name);
    }
  },

  async 'words as rooms and users'(cell) {
    const client = await reader(cell);

    for (const [name, word] of Object.entries(WORDS)) {
      // a token with a NUL in it is no good
      const plain = word.replace('\0', '');
      const it = await cell.connect({
        user: plain, rooms: [cell.own(`room ${plain}`)],
      });
      cell.gw.emitter.to(cell.own(`room ${plain}`))
        .emit(cell.own('word'), 'in the room');
      cell.gw.emitter.in(it.id).socketsJoin(cell.own(`later ${word}`));
      cell.gw.emitter.to(cell.own(`later ${word}`))
        .emit(cell.own('word'), 'in the later one');
      cell.gw.emitter.to(`user:${cell.own(plain)}`)
        .emit(cell.own('word'), 'of the user');
      await cell.gw.settle(it, client);
      assert.deepEqual(it.received(cell.own('word')), [
        ['in the room'], ['in the later one'], ['of the user']], name);
      it.close();
    }
    assert.deepEqual(client.received(cell.own('word')), []);
  },

  // The emitter takes half a surrogate pair and what is behind it for a pair;
  // in a long text it puts U+FFFD in its place.
  async 'half a surrogate pair, as the emitter encodes it'(cell) {
    const long = 'x'.repeat(100);

    await assertArrives(cell, ['a\ud800b', `${long}\ud800y`],
                        ['a\u{10062}', `${long}\ufffdy`]);
  },

  async 'the order of keys'(cell) {
    const value = { z: 1, a: { y: 2, b: 3 }, 10: 4, 9: 5, m: [{ q: 6, p: 7 }] };
    const [arrived] = await assertArrives(cell, [value]);

    assert.equal(JSON.stringify(arrived), JSON.stringify(value));
  },

  async numbers(cell) {
    await assertArrives(cell, [
      0, 1, -1, 127, 128, -128, -129, 65535, 65536, 2 ** 31, -(2 ** 31),
      2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1), 0.5, -0.1, 1e-7, 5e-324,
      123456789.125, Math.PI, true, false, null,
    ]);
  },

  async 'integers of 64 bits, as far as the language has them'(cell) {
    const client = await reader(cell);
    const event = cell.own('big');

    cell.gw.redis.commands.publish('socket.io#/#', broadcast(event, ...BIG));
    assert.deepEqual(await client.event(event), BIG.map(cell.integer));
  },

  async 'empty ones, and many'(cell) {
    await assertArrives(cell, []);
    await assertArrives(cell, ['', [], {}, [[]], [{}], { a: {} }]);
    await assertArrives(cell, Array.from({ length: 100 }, (_, i) => i));
  },

  async 'what looks like a placeholder'(cell) {
    await assertArrives(cell, [{ _placeholder: true, num: 0 }]);
  },

  async bytes(cell) {
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

    for (const bytes of [all, Buffer.alloc(0), Buffer.from('text'),
                         Buffer.alloc(125), Buffer.alloc(126),
                         Buffer.alloc(65535, 1), Buffer.alloc(65536, 2)]) {
      await assertArrives(cell, [bytes]);
    }
  },

  async 'typed arrays'(cell) {
    const floats = new Float64Array([1.5, -2]);
    const part = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);

    await assertArrives(cell, [floats.buffer, part], [
      Buffer.from(floats.buffer), Buffer.from([2, 3])]);
  },

  async 'one to ten attachments, nested'(cell) {
    for (let count = 1; count <= 10; count++) {
      const parts = Array.from({ length: count }, (_, i) => (
        Buffer.alloc(i, i)));
      await assertArrives(cell, [
        'before', { deep: [{ parts }], n: count }, 'behind']);
    }
  },

  // Decoders of clients take no more than ten, and close on the eleventh.
  async 'eleven attachments are published to nobody'(cell) {
    const client = await reader(cell);
    const event = cell.own('eleven');

    cell.gw.emitter.to(client.id).emit(
      event, ...Array.from({ length: 11 }, () => Buffer.from('a')));
    await cell.gw.settle(client);
    assert.deepEqual(client.received(event), []);
    assert.deepEqual(client.disconnects, []);
  },

  async 'half a megabyte'(cell) {
    await assertArrives(cell, ['x'.repeat(500000)]);
    await assertArrives(cell, ['\u4e16'.repeat(166666)]);
    await assertArrives(cell, ['"\n'.repeat(125000)]);
    await assertArrives(cell, [
      Array.from({ length: 5000 }, (_, i) => ({ id: i, text: 'y'.repeat(80) }))
    ]);
    await assertArrives(cell, [Buffer.alloc(500000, 'z'), 'behind it']);
  },
};

module.exports = { table };
