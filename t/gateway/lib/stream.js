'use strict';

// A numbered stream of events, and what a client saw of it.

const assert = require('node:assert/strict');

/** Publishes 1, 2, 3, ... to a room at a steady rate, from start to stop. */
class Stream {
  /** options: rate (a second), size (bytes of filler in each event). */
  constructor(gw, room, { rate = 1000, size = 0 } = {}) {
    this.target = gw.emitter.to(room);
    gw.closers.push(() => this.stop());
    this.rate = rate;
    this.filler = 'x'.repeat(size);
    this.sent = 0;
  }

  start() {
    const begin = performance.now() - this.sent / this.rate * 1000;

    this.timer = setInterval(() => {
      const due = (performance.now() - begin) / 1000 * this.rate;
      while (this.sent < due) {
        this.publish();
      }
    }, 5);
    return this;
  }

  /** One more, at once. */
  publish() {
    this.target.emit('n', ++this.sent, this.filler);
  }

  stop() {
    clearInterval(this.timer);
    return this.sent;
  }
}

/** The numbers that a client has got. */
function numbers(client) {
  return client.received('n').map(([n]) => n);
}

/** Asserts that a client has got first .. last, once each, in order. */
function assertNumbers(client, first, last) {
  const seen = numbers(client);
  const fault = seen.findIndex((n, i) => n !== first + i);
  const behind = seen.slice(Math.max(0, fault - 3), Math.max(0, fault));

  assert.equal(fault, -1, `${client}: ${seen[fault]} where ${
    first + fault} should be, behind ${behind}`);
  assert.equal(seen.length, last - first + 1,
               `${client} has ${seen.length} of ${last - first + 1}`);
}

module.exports = { Stream, numbers, assertNumbers };
