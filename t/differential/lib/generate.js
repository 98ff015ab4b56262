'use strict';

// Packets and payloads, valid and damaged, and broadcasts; the same ones for
// the same seed.

const { Encoder, PacketType } = require('socket.io-parser');
const { encodePayload } = require('engine.io-parser');
const msgpack = require('notepack.io');

const NAMES = ['message', 'chat', '', 'connect', 'connect_error', 'disconnect',
               'disconnecting', 'newListener', 'removeListener', 'error',
               'connected', 'newListener ', '\u0000', '__proto__'];
const NAMESPACES = ['/', '/', '/', '/admin', '/a/b', '/a?b=c', '/1', '/\u00e4',
                    '/a-b', '/ '];
const TEXTS = ['', 'a', 'text', '0', '1', 'true', '\u00e4\u20ac', '\u{1f600}',
               '"\\/\b\f\n\r\t', '\u2028', '\u0000', '\u001e', '\u007f',
               '_placeholder', 'num', '4', 'b'];
const NUMBERS = [0, 1, -1, -0, 0.5, 1.5, 10, 255, 1e21, 1e-7, 2 ** 31, 2 ** 53,
                 -(2 ** 53), Number.MAX_VALUE, Number.MIN_VALUE];

/** What is put into packets to damage them. */
const PIECES = ['', ' ', '\n', '\t', '\u00a0', '\ufeff', '0', '1', '2', '3',
                '4', '5', '6', '7', '9', '10', '11', '-', '+', '.', 'e', 'e0',
                '0x1', ',', '/', '/a,', '/,', '[', ']', '{', '}', '"', ':',
                '\\', '\\u0000', '\\ud800', '\\ud83d\\ude00', '\\x', '\\/',
                'null', 'true', 'false', 'NaN', 'undefined', '1e999', '-0',
                '01', '1.', '.5', '1e400', '18446744073709551616', '[]', '{}',
                '["a"]', '"a":1,', '{"a":1}', '\u0000', '\u001e', '\u001f',
                '\u007f', '\u00e4', '\u{1f600}', '_placeholder', '"num":1',
                '{"_placeholder":true,"num":0}',
                '{"_placeholder":true,"num":1}',
                '{"_placeholder":true,"num":-1}',
                '{"_placeholder":true,"num":0.5}',
                '{"_placeholder":true,"num":1e0}',
                '{"_placeholder":true,"num":"0"}',
                '{"_placeholder":true}', '{"_placeholder":1,"num":0}',
                '51-', '50-', '=', '==', 'b', '+/', '-_', '[['.repeat(40)];

/** What may stand where a number stood. */
const NUMERALS = ['0', '1', '2', '10', '11', '007', '1e0', '+1', '-1', '-0',
                  '0.0', '1.0', '0.5', '0x1', ' 1', '1 ', '', '1e999',
                  '9007199254740993', '18446744073709551616'];

class Generator {
  constructor(seed) {
    this.state = seed >>> 0;
    this.encoder = new Encoder();
  }

  /** A number below n (mulberry32). */
  below(n) {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  list(most, one) {
    return Array.from({ length: this.below(most + 1) }, one);
  }

  bytes() {
    return Buffer.from(this.list(20, () => this.below(256)));
  }

  text() {
    return this.list(3, () => this.pick(TEXTS)).join('');
  }

  /** Arrays in arrays, about as deep as they may be. */
  nested(least = 58) {
    let value = [];
    for (let n = least + this.below(10); n > 0; n--) {
      value = [value];
    }
    return value;
  }

  value(depth, binary) {
    if (this.below(500) === 0) {
      return this.nested();
    }

    const kind = this.below(depth > 0 ? 10 : 6);

    switch (kind) {
    case 0: return this.pick([null, true, false]);
    case 1: return this.pick(NUMBERS);
    case 2: return this.below(2 ** 32) / (1 + this.below(1000));
    case 3: return binary ? this.bytes() : this.below(1000);
    case 4: case 5: return this.text();
    case 6: case 7:
      return this.list(4, () => this.value(depth - 1, binary));
    default:
      return Object.fromEntries(this.list(
        4, () => [this.text(), this.value(depth - 1, binary)]));
    }
  }

  data(type, binary) {
    const args = this.list(4, () => this.value(3, binary));

    switch (type) {
    case PacketType.CONNECT:
      return this.below(2) ? { token: this.text(), more: args } : undefined;
    case PacketType.DISCONNECT:
      return undefined;
    case PacketType.CONNECT_ERROR:
      return this.below(2) ? this.text() : { message: this.text() };
    case PacketType.EVENT:
      return [this.below(10) ? this.pick(NAMES) : this.pick(NUMBERS), ...args];
    default:
      return args;
    }
  }

  /** A packet as an encoder writes it, without its attachments. */
  validPacket() {
    const type = this.pick([0, 1, 2, 2, 2, 2, 3, 3, 4]);
    const ids = type === PacketType.ACK || this.below(3) === 0;
    const [text] = this.encoder.encode({
      type,
      nsp: this.pick(NAMESPACES),
      id: ids ? this.pick([0, 1, 7, 12, 4294967296, 2 ** 53]) : undefined,
      data: this.data(type, this.below(2) === 0),
    });
    return text;
  }

  validPayload() {
    const packets = [{ type: 'message', data: 'first' }, ...this.list(5, () => (
      this.pick([
        () => ({ type: 'message', data: this.validPacket() }),
        () => ({ type: 'message', data: this.bytes() }),
        () => ({ type: this.pick(['ping', 'pong', 'noop', 'upgrade',
                                  'close']) }),
        () => ({ type: 'message', data: this.text() }),
      ])()))];
    let payload;

    encodePayload(packets.slice(this.below(2) && packets.length > 1 ? 1 : 0),
                  (text) => { payload = text; });
    return payload;
  }

  /** What msgpack has, and JSON has not. */
  foreign() {
    const one = this.pick([
      () => NaN, () => Infinity, () => undefined,
      () => new Date(this.below(2 ** 32) * 1000),
      () => new Date((this.below(2 ** 32) - 2 ** 31) * 2000 + this.below(2000)),
      () => this.below(2 ** 32) * this.below(2 ** 32),
      () => Buffer.alloc(this.below(300), 1),
      () => (this.below(50) ? this.value(3, true) : this.nested(72)),
      () => (this.below(50) ? this.value(3, true)
        : Array.from({ length: 9 + this.below(4) }, () => this.bytes())),
    ])();
    return this.pick([() => one, () => [[one], one], () => ({ a: one, one })])();
  }

  /** A packet for a namespace as the adapter publishes it. */
  broadcast() {
    const type = this.pick([PacketType.EVENT, PacketType.EVENT, PacketType.ACK]);
    const nsp = this.pick(NAMESPACES);
    const data = this.data(type, this.below(2) === 0);

    if (this.below(2)) {
      data.push(this.foreign());
    }
    if (data.length === 0) {
      data.push(null);
    }

    const packet = { type, data, nsp };
    if (type === PacketType.ACK) {
      packet.id = this.pick([0, 1, 12, 4294967296]);
    }
    const opts = { rooms: this.list(2, () => `r${this.text()}`), except: [],
                   flags: {} };
    return { nsp, bytes: msgpack.encode(['uid', packet, opts]) };
  }

  /** Another number, or one to three changes; never half of a character. */
  damage(text) {
    if (this.below(4) === 0) {
      const at = this.below(text.length + 1);
      return text.slice(0, at)
        + text.slice(at).replace(/\d+/, this.pick(NUMERALS));
    }

    const chars = [...text];

    for (let n = 1 + this.below(3); n > 0; n--) {
      // the head of a packet is where most is decided
      const at = this.below(this.below(2) ? chars.length + 1
        : Math.min(chars.length + 1, 8));

      switch (this.below(5)) {
      case 0: chars.splice(at, 1 + this.below(3)); break;
      case 1: chars.splice(at, 0, this.pick(PIECES)); break;
      case 2: chars.splice(at, 1, this.pick(PIECES)); break;
      case 3: chars.splice(at, 0, ...chars.slice(at, at + this.below(20)));
        break;
      default: chars.length = at;
      }
    }
    return chars.join('');
  }

  /** Never empty: a message without a packet is not for the parser. */
  packet() {
    const text = this.validPacket();
    return (this.below(5) < 3 && this.damage(text)) || text;
  }

  payload() {
    const text = this.validPayload();
    return this.below(5) < 3 ? this.damage(text) : text;
  }
}

module.exports = { Generator };
