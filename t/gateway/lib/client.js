'use strict';

// Clients that remember what they got: the official one, and a bare one that
// also shows the packets themselves.

const { io } = require('socket.io-client');

const { WebSocketClient } = require('./ws');
const { until } = require('./expect');

/** What both kinds remember: the arguments of every event, by its name. */
class Inbox {
  constructor() {
    this.byName = new Map();
    this.order = [];
  }

  record(event, args) {
    if (!this.byName.has(event)) {
      this.byName.set(event, []);
    }
    this.byName.get(event).push(args);
    this.order.push(event);
  }

  /** The argument lists of all events of that name so far. */
  received(event) {
    return this.byName.get(event) || [];
  }

  /** Waits for the nth event of that name; returns its arguments. */
  async event(event, nth = 1, ms) {
    await until(() => this.received(event).length >= nth,
                () => `${this} gets ${event} ${nth} times; it got ${
                  this.received(event).length}`, ms);
    return this.received(event)[nth - 1];
  }

  /** Waits until an event of that name came with this first argument. */
  async eventWith(event, value, ms) {
    const list = () => this.received(event);
    await until(() => list().some(([first]) => first === value),
                () => `${this} gets ${event} ${value}`, ms);
  }
}

/** socket.io-client over WebSocket. */
class Client extends Inbox {
  constructor(url, { name = 'client', auth, ...options } = {}) {
    super();
    this.name = name;
    this.refusals = [];
    this.failures = [];
    this.disconnects = [];
    this.connects = 0;

    this.socket = io(url, {
      transports: ['websocket'],
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      auth,
      rejectUnauthorized: false,
      ...options,
    });
    this.socket.on('connect', () => { this.connects++; });
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
    this.socket.on('connect_error', (error) => {
      // Only a refusal by the server carries data.
      (error.data ? this.refusals : this.failures).push(error);
    });
    this.socket.onAny((event, ...args) => this.record(event, args));
  }

  toString() {
    return this.name;
  }

  get id() {
    return this.socket.id;
  }

  get localPort() {
    return this.socket.io.engine.transport.ws._socket.localPort;
  }

  /** Waits until it is in all of its rooms, for the nth time. */
  async ready(nth = 1, ms) {
    await until(() => this.received('ready').length >= nth
                || this.refusals.length > 0,
                () => `${this} is ready; failures: ${this.failures}`, ms);
    if (this.received('ready').length < nth) {
      throw new Error(`${this} was refused: ${this.refusals[0].message}`);
    }
    return this;
  }

  /** Waits for CONNECT_ERROR: { message, data }. */
  async refusal() {
    await until(() => this.refusals.length > 0, `${this} is refused`);
    const { message, data } = this.refusals[0];
    return { message, data };
  }

  /** Waits for the nth disconnect; returns its reason. */
  async disconnect(nth = 1, ms) {
    await until(() => this.disconnects.length >= nth,
                `${this} is disconnected`, ms);
    return this.disconnects[nth - 1];
  }

  close() {
    this.socket.disconnect();
  }
}

/** Socket.IO by hand over a raw WebSocket; answers pings, never reconnects. */
class RawClient extends Inbox {
  /**
   * options: name, auth (object of the CONNECT packet; null: none is sent),
   * onopen (called with the client before CONNECT), and those of ws.js.
   */
  static async open(where, options = {}) {
    const { name = 'raw client', auth, onopen, ...rest } = options;
    const client = new RawClient();
    client.name = name;
    client.ws = await WebSocketClient.open(where, rest);
    client.localPort = client.ws.localPort;
    client.packets = [];
    onopen?.(client);
    client.ws.onmessage = (message) => client.#message(message);
    for (const message of client.ws.messages.splice(0)) {
      client.#message(message);
    }
    if (auth !== null) {
      client.ws.text(`40${auth ? JSON.stringify(auth) : ''}`);
    }
    return client;
  }

  toString() {
    return this.name;
  }

  get closed() {
    return this.ws.closed || Boolean(this.ws.closeCode);
  }

  /** Waits until it is in all of its rooms. */
  async ready() {
    await until(() => this.received('ready').length > 0 || this.closed,
                () => `${this} is ready; packets: ${this.packets}`);
    if (this.received('ready').length === 0) {
      throw new Error(`${this} was closed with ${this.ws.closeCode}`);
    }
    return this;
  }

  close() {
    this.ws.destroy();
  }

  #message(message) {
    if (message === '2') {
      this.ws.text('3');
      return;
    }
    if (typeof message === 'string' && message.startsWith('0{')) {
      this.handshake = JSON.parse(message.slice(1));
      return;
    }

    if (this.keep !== false) {
      this.packets.push(message);
    }
    if (typeof message !== 'string') {
      return;
    }
    if (message.startsWith('40')) {
      this.id = JSON.parse(message.slice(2)).sid;
      this.onconnect?.();
    } else if (message.startsWith('42')) {
      const [event, ...args] = JSON.parse(message.slice(2));
      this.record(event, args);
      this.onevent?.(event, args);
    }
  }
}

module.exports = { Client, RawClient };
