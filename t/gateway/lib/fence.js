'use strict';

// Waiting until nginx has read what other connections have sent.

const { WebSocketClient, OPCODE } = require('./ws');
const { within } = require('./expect');

/**
 * One worker serves sockets in the order in which they became readable: when a
 * ping frame that was sent last is answered, all before it has been read.
 */
class Fence {
  /** gw: a gateway with one worker. */
  static async open(gw) {
    const it = new Fence();
    it.waiting = new Map();
    it.count = 0;
    it.ws = await WebSocketClient.open(gw.where, {
      onframe: (opcode, payload) => it.#receive(opcode, payload.toString()),
    });
    it.ws.text(`40${JSON.stringify(gw.auth({ user: 'fence' }))}`);
    gw.closers.push(() => it.close());
    return it;
  }

  async pass() {
    const id = `fence ${++this.count}`;
    const passed = new Promise((resolve) => {
      this.waiting.set(id, resolve);
    });
    this.ws.ping(id);
    await within(passed, 'the fence');
    this.waiting.delete(id);
  }

  close() {
    this.ws.destroy();
  }

  #receive(opcode, text) {
    if (opcode === OPCODE.pong) {
      this.waiting.get(text)?.();
    } else if (text === '2') {
      this.ws.text('3');        // a heartbeat of the session
    }
  }
}

module.exports = { Fence };
