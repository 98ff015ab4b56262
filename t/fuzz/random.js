'use strict';

// Random numbers from a seed, and bytes that are damaged by them.

class Random {
  /** The same seed gives the same numbers (mulberry32). */
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** From 0 on, below 1. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number from 0 on, below n. */
  below(n) {
    return Math.floor(this.next() * n);
  }

  chance(p) {
    return this.next() < p;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  bytes(n) {
    return Buffer.from(Array.from({ length: n }, () => this.below(256)));
  }

  /** Another generator, for somebody who runs beside this one. */
  fork() {
    return new Random(this.below(4294967296));
  }
}

const DAMAGES = [
  function flip(random, bytes) {
    const at = random.below(bytes.length);
    bytes[at] ^= 1 << random.below(8);
    return bytes;
  },
  function overwrite(random, bytes) {
    bytes[random.below(bytes.length)] = random.pick([0, 1, 0x7f, 0x80, 0xff]);
    return bytes;
  },
  function truncate(random, bytes) {
    return bytes.subarray(0, random.below(bytes.length));
  },
  function insert(random, bytes) {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at),
                          random.bytes(1 + random.below(16)),
                          bytes.subarray(at)]);
  },
  function remove(random, bytes) {
    const at = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, at),
                          bytes.subarray(at + 1 + random.below(8))]);
  },
  function repeat(random, bytes) {
    const at = random.below(bytes.length);
    const end = at + 1 + random.below(bytes.length - at);
    return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
  },
];

/** A copy with one or more damages. */
function damage(random, bytes) {
  let result = Buffer.from(bytes);

  do {
    if (result.length === 0) {
      return random.bytes(1 + random.below(8));
    }
    result = random.pick(DAMAGES)(random, result);
  } while (random.chance(0.3));

  return result;
}

module.exports = { Random, damage };
