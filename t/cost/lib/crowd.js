'use strict';

// Clients that only count what they get, without a moment's delay.

const { setTimeout: delay } = require('node:timers/promises');

const { within } = require('../../gateway/lib/expect');
const { whileStopped } = require('../../gateway/lib/processes');
const { text } = require('../../gateway/lib/ws');

const PATIENCE = 60000;

/** Counts, and wakes who waits for a number. */
class Counter {
  constructor() {
    this.count = 0;
  }

  add() {
    if (++this.count === this.goal) {
      this.wake();
    }
  }

  /** Waits for so many more than it has waited for already. */
  async more(n) {
    this.goal = (this.goal || 0) + n;
    if (this.count < this.goal) {
      await within(new Promise((resolve) => { this.wake = resolve; }),
                   () => `number ${this.goal}; ${this.count} came`, PATIENCE);
    }
  }
}

/** WebSockets that are connected. */
class Crowd {
  constructor(gw) {
    this.gw = gw;
    this.sockets = [];
    this.events = new Counter();
    this.pings = new Counter();
    this.pongs = new Counter();
  }

  /** Adds clients of these rooms, one after the other. */
  async join(count, { rooms, ...options }) {
    for (let i = 0; i < count; i++) {
      const user = `user-${1000 + this.sockets.length}`;
      const ws = await this.gw.joined({ user, rooms, ...options });

      ws.onmessage = (message) => this.#take(message);
      ws.onframe = (opcode) => { if (opcode === 10) { this.pongs.add(); } };
      this.sockets.push(ws);
    }
  }

  /** Waits until all have got n more events. */
  got(n = 1) {
    return this.events.more(n * this.sockets.length);
  }

  /** Returns when the worker has handled what it was sent before. */
  async settled() {
    this.sockets[0].ping('');
    await this.pongs.more(1);
  }

  /**
   * All get a ping and answer it, each at once, since the worker is stopped
   * until it is time to.  Instructions from one beat to the next.
   */
  async beat(interval) {
    const { nginx } = this.gw;

    await whileStopped(nginx.worker, () => delay(interval));
    await this.pings.more(this.sockets.length);

    const { count } = await whileStopped(nginx.worker, async () => {
      await Promise.all(this.sockets.map((ws) => new Promise((resolve) => {
        ws.socket.write(text('3'), resolve);
      })));
      return { count: nginx.mark() };
    });
    return count;
  }

  #take(message) {
    (message === '2' ? this.pings : this.events).add();
  }
}

module.exports = { Crowd, Counter };
