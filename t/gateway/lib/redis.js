'use strict';

// A redis-server of the test's own, the clients to it, the stock emitter.

const path = require('node:path');
const { createClient } = require('redis');
const { Emitter } = require('@socket.io/redis-emitter');

const { Program, freePort } = require('./processes');
const { until, within } = require('./expect');

class Redis {
  /** args: more options of redis-server; password: what clients here say. */
  constructor(dir, { args = [], password } = {}) {
    this.dir = dir;
    this.args = args;
    this.password = password;
    this.clients = [];
    this.socketPath = path.join(dir, 'redis.sock');
  }

  async start() {
    this.port = this.port || await freePort();
    this.program = new Program('redis-server', [
      '--port', String(this.port), '--bind', '127.0.0.1',
      '--unixsocket', this.socketPath, '--save', '', '--appendonly', 'no',
      '--dir', this.dir, ...this.args,
    ]);
    await this.program.listening({ port: this.port, host: '127.0.0.1' });
    this.commands = await this.client();
    this.emitter = new Emitter(this.commands);
  }

  /**
   * Ends the server and the clients made here; start() brings it back on the
   * same port, empty, with another commands and emitter.
   */
  async stop(signal = 'SIGTERM') {
    this.close();
    if (this.program && !this.program.ended) {
      await this.program.stop(signal);
    }
  }

  /** A new connected client. */
  async client() {
    const client = createClient({
      socket: { host: '127.0.0.1', port: this.port, reconnectStrategy: false },
      password: this.password,
    });
    client.on('error', () => {});
    this.clients.push(client);
    await within(client.connect(), 'a connection to Redis');
    return client;
  }

  /** Another emitter on the same connection, e.g. with { key: prefix }. */
  emitterWith(options) {
    return new Emitter(this.commands, options);
  }

  /** CLIENT LIST, one object a connection. */
  async connections() {
    const text = await within(this.commands.sendCommand(['CLIENT', 'LIST']),
                              'CLIENT LIST');
    return text.trim().split('\n').map((line) => Object.fromEntries(
      line.split(' ').map((field) => {
        const [name, ...value] = field.split('=');
        return [name, value.join('=')];
      })));
  }

  /** Those that read the feed: subscribed by patterns. */
  async subscribers() {
    return (await this.connections()).filter((c) => Number(c.psub) > 0);
  }

  /** Waits until so many connections read the feed. */
  async subscribed(count, ms) {
    return until(async () => {
      const list = await this.subscribers();
      return list.length >= count && list;
    }, `${count} connections read the feed`, ms);
  }

  close() {
    for (const client of this.clients.splice(0)) {
      if (client.isOpen) {
        client.destroy();
      }
    }
  }
}

module.exports = { Redis };
