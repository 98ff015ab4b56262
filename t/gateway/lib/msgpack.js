'use strict';

// msgpack for what the stock emitter cannot say: 64-bit integers (as BigInt),
// floats that are whole numbers (as Float), values of broken shape.

class Float {
  constructor(value, single = false) {
    this.value = value;
    this.single = single;
  }
}

function encode(value) {
  switch (typeof value) {
  case 'bigint': {
    const bytes = Buffer.alloc(9);
    bytes[0] = value < 0n ? 0xd3 : 0xcf;
    bytes.writeBigUInt64BE(BigInt.asUintN(64, value), 1);
    return bytes;
  }
  case 'number':
    return encodeNumber(value);
  case 'string': {
    const text = Buffer.from(value);
    return Buffer.concat([uint32(0xdb, text.length), text]);
  }
  case 'boolean':
    return Buffer.from([value ? 0xc3 : 0xc2]);
  }

  if (value === null || value === undefined) {
    return Buffer.from([0xc0]);
  }
  if (value instanceof Float) {
    return encodeFloat(value);
  }
  if (Buffer.isBuffer(value)) {
    return Buffer.concat([uint32(0xc6, value.length), value]);
  }
  if (Array.isArray(value)) {
    return Buffer.concat([uint32(0xdd, value.length), ...value.map(encode)]);
  }

  const entries = Object.entries(value);
  return Buffer.concat([uint32(0xdf, entries.length),
                        ...entries.flat().map(encode)]);
}

function encodeNumber(value) {
  if (!Number.isInteger(value)) {
    return encodeFloat(new Float(value));
  }
  return value >= 0 && value < 128 ? Buffer.from([value])
    : encode(BigInt(value));
}

function encodeFloat({ value, single }) {
  const bytes = Buffer.alloc(single ? 5 : 9);
  bytes[0] = single ? 0xca : 0xcb;
  if (single) {
    bytes.writeFloatBE(value, 1);
  } else {
    bytes.writeDoubleBE(value, 1);
  }
  return bytes;
}

function uint32(type, length) {
  const bytes = Buffer.alloc(5);
  bytes[0] = type;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

/** A broadcast as the adapter's protocol has it, to everybody in "/". */
function broadcast(event, ...args) {
  return encode(['emitter', { type: 2, data: [event, ...args], nsp: '/' },
                 { rooms: [], flags: {}, except: [] }]);
}

module.exports = { encode, broadcast, Float };
