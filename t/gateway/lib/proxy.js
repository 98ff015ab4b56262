'use strict';

// A TCP proxy, in front of Redis or of nginx, that can hold answers back, stop
// altogether, and cut lines, for both ends or for one.

const net = require('node:net');

class Proxy {
  constructor(port) {
    this.target = port;
    this.lines = new Set();
    this.word = null;
    this.seen = 0;
    this.lie = null;
    this.frozen = false;
  }

  async start() {
    this.server = net.createServer((near) => this.#accept(near));
    await new Promise((resolve) => {
      this.server.listen(0, '127.0.0.1', resolve);
    });
    this.port = this.server.address().port;
  }

  /**
   * From now on a connection on which this word is sent to Redis (a command,
   * in any case) gets no more answers until release().
   */
  hold(word) {
    this.word = word.toLowerCase();
    this.seen = 0;
  }

  /** Such a command seems to be answered by these bytes, until release(). */
  answer(word, bytes) {
    this.hold(word);
    this.lie = bytes;
  }

  release() {
    this.word = null;
    this.lie = null;
    for (const line of this.lines) {
      line.held = false;
      for (const chunk of line.answers.splice(0)) {
        line.near.write(chunk);
      }
    }
  }

  /** From now on no byte passes, on new connections neither, until thaw(). */
  freeze() {
    this.frozen = true;
    for (const { near, far } of this.lines) {
      near.pause();
      far.pause();
    }
  }

  thaw() {
    this.frozen = false;
    for (const { near, far } of this.lines) {
      near.resume();
      far.resume();
    }
  }

  /** Resets all connections; new ones are taken as before. */
  cut() {
    for (const line of this.lines) {
      line.near.resetAndDestroy();
      line.far.destroy();
    }
  }

  /**
   * Resets the connections of the clients; those to the server stay open, and
   * silent, as after the loss of a network.
   */
  lose() {
    for (const line of [...this.lines].filter((it) => !it.lost)) {
      line.lost = true;
      line.near.resetAndDestroy();
      line.far.pause();
    }
  }

  close() {
    this.server.close();
    this.cut();
  }

  #accept(near) {
    const far = net.connect(this.target, '127.0.0.1');
    const line = { near, far, held: false, lost: false, answers: [] };
    this.lines.add(line);

    near.on('data', (chunk) => {
      if (this.word
          && chunk.toString('latin1').toLowerCase().includes(this.word)) {
        line.held = true;
        this.seen++;
      }
      far.write(chunk);
    });
    far.on('data', (chunk) => {
      if (line.held && this.lie) {
        line.held = false;
        near.write(this.lie);
      } else if (line.held) {
        line.answers.push(chunk);
      } else {
        near.write(chunk);
      }
    });

    for (const [end, other] of [[near, far], [far, near]]) {
      end.setNoDelay(true);
      end.on('error', () => {});
      end.on('close', () => {
        if (end === far || !line.lost) {
          other.destroy();
          this.lines.delete(line);
        }
      });
      if (this.frozen) {
        end.pause();
      }
    }
  }
}

/**
 * Passes connections on behind a line that tells of another address; gives
 * the port.
 */
async function teller(t, to) {
  const server = net.createServer((client) => {
    const nginx = net.connect(to, '127.0.0.1');
    nginx.write('PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n');
    client.pipe(nginx).pipe(client);
    nginx.on('error', () => client.destroy());
    client.on('error', () => {});
    client.on('close', () => nginx.destroy());
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => server.close());
  return server.address().port;
}

module.exports = { Proxy, teller };
