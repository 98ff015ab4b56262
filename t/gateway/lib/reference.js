'use strict';

// The reference server, socket.io on Node.js, set up like a gateway.  It proves
// that the rows of the table say what it does.
//
//     SIO_REFERENCE=dir    where socket.io is installed; 1: in bench/peers

const http = require('node:http');
const path = require('node:path');
const { createRequire } = require('node:module');

const { until } = require('./expect');

const OPTIONS = {
  socketio_ping_interval: 'pingInterval',
  socketio_ping_timeout: 'pingTimeout',
  socketio_connect_timeout: 'connectTimeout',
};

function load() {
  const dir = process.env.SIO_REFERENCE === '1'
    ? path.resolve(__dirname, '../../../bench/peers')
    : path.resolve(process.env.SIO_REFERENCE);

  return createRequire(path.join(dir, 'package.json'))('socket.io');
}

/** Why the connections have ended, by what the server says about each. */
class Reasons {
  constructor() {
    this.counts = {};
  }

  /** conn: of Engine.IO. */
  watch(conn) {
    conn.sockets = [];
    conn.once('close', (reason) => {
      // Those of the sockets are told behind this one.
      process.nextTick(() => this.end(conn, this.ofSockets(conn) || reason));
    });
  }

  ofSockets(conn) {
    const last = conn.sockets.at(-1);
    return last === 'client namespace disconnect' ? null : last;
  }

  /** A socket has ended; with its connection, unless that stays. */
  left(conn, reason) {
    conn.sockets.push(reason);
    if (!reason.endsWith('namespace disconnect')) {
      this.end(conn, reason);
    }
  }

  end(conn, reason) {
    if (!conn.ended) {
      conn.ended = true;
      this.counts[reason] = (this.counts[reason] || 0) + 1;
    }
  }
}

class Reference {
  /** directives: of the location.  namespaces: besides "/". */
  static async start({ directives, namespaces }) {
    const { Server } = load();
    const self = new Reference();
    const options = Object.entries(directives)
      .filter(([name]) => name in OPTIONS)
      .map(([name, value]) => [OPTIONS[name], parseInt(value, 10)]);

    self.server = http.createServer();
    self.io = new Server(self.server, Object.fromEntries(options));
    self.reasons = new Reasons();
    self.io.engine.on('connection', (conn) => self.reasons.watch(conn));
    for (const name of ['/', ...namespaces]) {
      self.io.of(name).on('connection', (socket) => {
        socket.on('disconnect',
                  (reason) => self.reasons.left(socket.conn, reason));
      });
    }
    await new Promise((resolve) => {
      self.server.listen(0, '127.0.0.1', resolve);
    });
    self.where = { port: self.server.address().port };
    return self;
  }

  /** What publishes: it does what the stock emitter does. */
  of(namespace) {
    return this.io.of(namespace);
  }

  async state() {
    const polls = Object.values(this.io.engine.clients)
      .map(({ transport }) => transport)
      .filter(({ name, writable }) => name === 'polling' && writable);

    return {
      live: this.io.engine.clientsCount, polls: polls.length,
      closes: { ...this.reasons.counts },
    };
  }

  shutDown() {
    this.io.close();
  }

  async shutDownLogged() {
    await until(() => this.reasons.counts['server shutting down'] === 2,
                'both are closed');
  }

  async end() {
    this.io.close();
    this.server.closeAllConnections();
  }
}

module.exports = { Reference };
