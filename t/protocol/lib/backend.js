'use strict';

// A backend that does what the protocol's test suite expects of a server: it
// tells each socket what that has sent to authenticate, sends a "message" back,
// and answers a "message-with-ack".  It has no connection to any client: it
// reads a stream of the gateway, and publishes.

const { answers } = require('./answers');

// Strings as buffers: only the name of a field tells which are binary.
const BYTES = { typeMapping: { 36: Buffer } };
const COUNT = 100;

/** What comes of an entry, by its event. */
const APPLICATION = {
  $connect: (entry, answer) => answer.emit(entry, 'auth'),
  message: (entry, answer) => answer.emit(entry, 'message-back'),
  'message-with-ack': (entry, answer) => (
    entry.ack === '' ? null : answer.ack(entry)),
};

class Backend {
  /**
   * redis: see redis.js of the gateway's tests.  options: form ("commands" or
   * "adapter", see answers.js), stream, from (the id of the last entry that is
   * not its business).
   */
  static async start(redis, {
    form = 'commands', stream = 'up', from = '0-0',
  } = {}) {
    const self = new Backend();

    self.answer = answers(form, redis);
    self.stream = stream;
    self.last = from;
    self.reader = await redis.client();
    self.running = self.#run();
    // Whoever closes it gets the failure.
    self.running.catch(() => {});
    return self;
  }

  /** Entries are answered in their order; batches follow each other. */
  async #run() {
    for (;;) {
      const batch = await this.#read();

      if (this.closed) {
        return;
      }
      await Promise.all(batch.map(([, fields]) => this.#handle(fields)));
      this.last = String(batch.at(-1)[0]);
    }
  }

  async #read() {
    try {
      const [[, batch]] = await this.reader.sendCommand(
        ['XREAD', 'COUNT', String(COUNT), 'BLOCK', '0', 'STREAMS', this.stream,
         this.last], BYTES);
      return batch;
    } catch (error) {
      if (this.closed) {
        return [];
      }
      throw error;
    }
  }

  #handle(fields) {
    const entry = { bin: [] };

    for (let i = 0; i < fields.length; i += 2) {
      const name = String(fields[i]);
      const [, num] = /^bin(\d+)$/.exec(name) || [];
      if (num === undefined) {
        entry[name] = String(fields[i + 1]);
      } else {
        entry.bin[num] = fields[i + 1];
      }
    }
    return Object.hasOwn(APPLICATION, entry.event)
      ? APPLICATION[entry.event](entry, this.answer) : null;
  }

  /** Ends it; fails if it has failed before. */
  async close() {
    this.closed = true;
    if (this.reader.isOpen) {
      this.reader.destroy();
    }
    await this.running;
  }
}

module.exports = { Backend };
