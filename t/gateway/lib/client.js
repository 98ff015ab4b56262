'use strict';

// Clients that remember what they got: the official one, and bare ones that
// also show the packets themselves.

const { io: stock } = require('socket.io-client');

const { WebSocketClient } = require('./ws');
const { Polling, RS } = require('./polling');
const { until } = require('./expect');

/** What all kinds remember: the arguments of every event, by its name. */
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
                () => `${this} gets ${event} ${value}; ${this.state}`, ms);
  }

  /** What to say of it when it does not get what it should. */
  get state() {
    return `last: ${JSON.stringify(this.order.slice(-3))}`;
  }
}

/** What is known of an official client, in whatever language. */
class Official extends Inbox {
  constructor(name) {
    super();
    this.name = name;
    this.refusals = [];
    this.failures = [];
    this.disconnects = [];
    this.connects = 0;
    this.recovered = [];        // of each connect: was the socket recovered
    this.upgrades = 0;
  }

  toString() {
    return this.name;
  }

  get state() {
    return `${super.state}; connects: ${this.connects}; disconnects: ${
      this.disconnects}; failures: ${this.failures}; refusals: ${
      this.refusals}`;
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

  /** Waits until it is connected for the nth time. */
  async connected(nth = 1, ms) {
    await until(() => this.connects >= nth || this.refusals.length > 0,
                () => `${this} connects for the ${nth}. time; failures: ${
                  this.failures}`, ms);
    if (this.connects < nth) {
      throw new Error(`${this} was refused: ${this.refusals[0].message}`);
    }
    return this;
  }
}

/**
 * socket.io-client, over WebSocket unless options say else; io: that of
 * another version; manager and nsp: a socket in another namespace of a
 * connection that there is.
 */
class Client extends Official {
  constructor(url, {
    name = 'client', auth, io = stock, manager, nsp, ...options
  } = {}) {
    super(name);
    this.others = [];

    this.socket = manager ? manager.socket(nsp, { auth }) : io(url, {
      transports: ['websocket'],
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      auth,
      rejectUnauthorized: false,
      ...options,
    });
    this.socket.on('connect', () => {
      this.connects++;
      this.recovered.push(Boolean(this.socket.recovered));
    });
    this.socket.io.on('open', () => {
      this.socket.io.engine.on('upgrade', () => { this.upgrades++; });
    });
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
    this.socket.on('connect_error', (error) => {
      // Only a refusal by the server carries data.
      (error.data ? this.refusals : this.failures).push(error);
    });
    this.socket.onAny((event, ...args) => this.record(event, args));
  }

  /** Its socket in another namespace, on the same connection. */
  of(nsp, auth = this.socket.auth) {
    const other = new this.constructor(null, {
      name: `${this.name}${nsp}`, auth, nsp, manager: this.socket.io,
    });
    this.others.push(other);
    return other;
  }

  get id() {
    return this.socket.id;
  }

  /** The port of the WebSocket. */
  get localPort() {
    return this.socket.io.engine.transport.ws._socket.localPort;
  }

  /** Gives its transport up, and stays away until back(). */
  async away() {
    this.stay();
    this.socket.io.engine.close();
    await until(() => !this.socket.connected, `${this} is away`);
  }

  /** From now on it does not come back by itself. */
  stay() {
    this.socket.io.reconnection(false);
  }

  /** Comes back; true if its socket was recovered. */
  async back(ms) {
    const { connects } = this;
    this.socket.io.reconnection(true);
    this.socket.connect();
    await this.connected(connects + 1, ms);
    return this.recovered.at(-1);
  }

  close() {
    this.others.forEach((other) => other.close());
    this.socket.disconnect();
  }
}

/** Socket.IO by hand: what packets mean to a client without a library. */
class Bare extends Inbox {
  constructor(name) {
    super();
    this.name = name;
    this.packets = [];
    this.connects = 0;
  }

  toString() {
    return this.name;
  }

  /** Waits until it is in all of its rooms. */
  async ready() {
    await until(() => this.received('ready').length > 0 || this.closed,
                () => `${this} is ready; packets: ${this.packets}`);
    if (this.received('ready').length === 0) {
      throw new Error(`${this} was closed: ${this.closeCode}`);
    }
    return this;
  }

  /** Waits for the CONNECT reply. */
  async connected() {
    await until(() => this.connects > 0 || this.closed,
                () => `${this} is connected; packets: ${this.packets}`);
    if (this.connects === 0) {
      throw new Error(`${this} was closed: ${this.closeCode}`);
    }
    return this;
  }

  /** What makes a CONNECT packet of an auth payload; null: none is sent. */
  connect(auth) {
    if (auth !== null) {
      this.send(`40${auth ? JSON.stringify(auth) : ''}`);
    }
  }

  /** Takes a packet of the server: text, or the bytes of a binary one. */
  packet(message) {
    if (message === '2') {
      this.send('3');
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
      this.#attachment(message);
    } else if (message.startsWith('40')) {
      const { sid, pid } = JSON.parse(message.slice(2));
      this.id = sid;
      this.pid = pid;
      this.connects++;
      this.onconnect?.();
    } else if (message.startsWith('42')) {
      this.#event(JSON.parse(message.slice(message.indexOf('['))));
    } else if (message.startsWith('45')) {
      const [, count, json] = /^45(\d+)-(.*)$/.exec(message);
      this.partial = { count: Number(count), json, parts: [] };
    }
  }

  #attachment(bytes) {
    const { count, json, parts } = this.partial;

    if (parts.push(bytes) === count) {
      this.partial = null;
      this.#event(JSON.parse(json, (key, value) => (
        value && value._placeholder ? parts[value.num] : value)));
    }
  }

  #event([event, ...args]) {
    const last = args.at(-1);

    // The rule of the official client.
    this.offset = typeof last === 'string' ? last : this.offset;
    this.record(event, args);
    this.onevent?.(event, args);
  }
}

/** Over a raw WebSocket; answers pings, never reconnects. */
class RawClient extends Bare {
  /**
   * options: name, auth (object of the CONNECT packet; null: none is sent),
   * onopen (called with the client before CONNECT), and those of ws.js.
   */
  static async open(where, options = {}) {
    const { name = 'raw client', auth, onopen, ...rest } = options;
    const client = new RawClient(name);
    client.ws = await WebSocketClient.open(where, rest);
    client.localPort = client.ws.localPort;
    onopen?.(client);
    client.ws.onmessage = (message) => client.packet(message);
    for (const message of client.ws.messages.splice(0)) {
      client.packet(message);
    }
    client.connect(auth);
    return client;
  }

  get closed() {
    return this.ws.closed || Boolean(this.ws.closeCode);
  }

  get closeCode() {
    return this.ws.closeCode;
  }

  send(packet) {
    this.ws.text(packet);
  }

  close() {
    this.ws.destroy();
  }
}

/**
 * Over long-polling, each request on a new connection, so that several workers
 * have to do with it; answers pings, never reconnects.
 */
class PollingClient extends Bare {
  /**
   * options: name, auth, onopen as above, and those of polling.js.
   */
  static async open(where, options = {}) {
    const { name = 'polling client', auth, onopen, ...rest } = options;
    const client = new PollingClient(name);
    client.session = await Polling.open(where, rest);
    client.handshake = client.session.handshake;
    client.posts = Promise.resolve();
    client.polls = 0;
    onopen?.(client);
    client.running = client.#run();
    client.connect(auth);
    return client;
  }

  /** POSTs a packet; POSTs follow each other. */
  send(packet) {
    if (this.ws) {
      this.ws.text(packet);
      return this.posts;
    }
    this.posts = this.posts.then(() => this.session.send(packet))
      .catch((error) => { this.failure = this.failure || error; });
    return this.posts;
  }

  /**
   * Upgrades to a WebSocket, as the official client does: polls until the
   * probe was answered, and has the last poll answered before it changes over.
   */
  async upgrade() {
    const { session } = this;
    const ws = await WebSocketClient.open(session.where, {
      path: session.path('websocket'),
    });
    this.probe = ws;
    ws.text('2probe');
    const answer = await ws.next();
    if (answer !== '3probe') {
      throw new Error(`${this}: ${answer} instead of 3probe`);
    }

    this.paused = true;
    await this.running;
    await this.posts;
    if (this.closed) {
      throw new Error(`${this} was closed: ${this.closeCode}`);
    }
    ws.onmessage = (message) => this.packet(message);
    ws.ended.then(() => { this.closed = true; });
    this.ws = ws;
    this.localPort = ws.localPort;
    ws.text('5');
    return this;
  }

  close() {
    this.paused = true;
    this.session.close();
    this.probe?.destroy();
  }

  async #run() {
    while (!this.paused && !this.closed) {
      let answer;
      try {
        answer = await this.session.get();
      } catch (error) {
        this.closed = true;
        this.failure = this.failure || error;
        return;
      }
      this.polls++;
      if (answer.status !== 200) {
        this.closed = true;
        this.closeCode = answer.body || answer.status;
        return;
      }
      this.#payload(answer.body);
    }
  }

  #payload(body) {
    for (const packet of body.split(RS)) {
      if (packet === '1') {
        this.closed = true;
        this.closeCode = 1;
      } else if (packet.startsWith('b')) {
        this.packet(Buffer.from(packet.slice(1), 'base64'));
      } else if (packet !== '6') {
        this.packet(packet);
      }
    }
  }
}

module.exports = { Official, Client, RawClient, PollingClient };
