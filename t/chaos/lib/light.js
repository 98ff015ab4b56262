'use strict';

// A client over a WebSocket that costs little, so that one process can be
// 15,000 of them.  It takes part in a ledger.

const { dial } = require('../../gateway/lib/http');
const { handshake, text } = require('../../gateway/lib/ws');

const NUMBER = '42["n",';

class Light {
  /** Connects; resolves when it is in all of its rooms. */
  static async connect(ledger, name, where, claims = {}) {
    const light = new Light(ledger, name, await dial(where));

    light.auth = ledger.gw.auth({ user: name, ...claims });
    light.socket.write(handshake());
    await light.ready;
    return light;
  }

  constructor(ledger, name, socket) {
    this.ledger = ledger;
    this.name = name;
    this.socket = socket;
    this.seen = [];
    this.starts = [];
    this.bytes = null;
    this.open = false;

    ledger.gw.closers.push(() => socket.destroy());
    this.ready = new Promise((resolve, reject) => {
      this.resolve = resolve;
      socket.once('close', () => {
        this.closedAt = performance.now();
        reject(new Error(`${name} was closed`));
      });
    });
    this.ready.catch(() => {});
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#data(chunk));
  }

  history() {
    return this.closedAt ? 'closed' : 'open';
  }

  #data(chunk) {
    let b = this.bytes ? Buffer.concat([this.bytes, chunk]) : chunk;

    if (!this.open) {
      const end = b.indexOf('\r\n\r\n');
      if (end < 0) {
        this.bytes = b;
        return;
      }
      if (!b.toString('latin1', 0, 13).startsWith('HTTP/1.1 101')) {
        this.socket.destroy();
        return;
      }
      this.open = true;
      b = b.subarray(end + 4);
    }

    let at = 0;
    for (;;) {
      const next = this.#frame(b, at);
      if (next === at) {
        break;
      }
      at = next;
    }
    this.bytes = at < b.length ? Buffer.from(b.subarray(at)) : null;
  }

  /** Takes a frame of less than 64 kB; where the next one begins. */
  #frame(b, at) {
    if (b.length < at + 4 && b.length < at + 2 + (b[at + 1] & 127)) {
      return at;
    }
    const extended = b[at + 1] === 126;
    const begin = at + (extended ? 4 : 2);
    const end = begin + (extended ? b.readUInt16BE(at + 2) : b[at + 1]);

    if (b.length < end) {
      return at;
    }
    if ((b[at] & 15) === 8) {
      this.socket.end();
    } else {
      this.#message(b.latin1Slice(begin, end));
    }
    return end;
  }

  #message(message) {
    if (message.startsWith(NUMBER)) {
      this.seen.push(parseInt(message.slice(NUMBER.length), 10));
    } else if (message === '2') {
      this.socket.write(text('3'));
    } else if (message.startsWith('0{')) {
      this.socket.write(text(`40${JSON.stringify(this.auth)}`));
    } else if (message.startsWith('40')) {
      this.starts.push({ at: this.seen.length, sent: this.ledger.sent });
    } else if (message.startsWith('42["ready"')) {
      this.resolve();
    }
  }
}

module.exports = { Light };
