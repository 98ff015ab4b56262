'use strict';

// Long-polling by hand: one Engine.IO session, request by request.

const assert = require('node:assert/strict');

const { HttpConnection, request } = require('./http');
const { within } = require('./expect');

const RS = '\x1e';

class Polling {
  /**
   * Does the handshake.  options: path (of the location), query (more
   * arguments), headers (of all requests).
   */
  static async open(where, options) {
    const session = new Polling(where, options);
    session.opened = await within(session.request('GET'), 'a handshake');
    if (session.opened.status !== 200) {
      throw Object.assign(new Error(`refused: ${session.opened.status}`),
                          { head: session.opened });
    }
    session.handshake = JSON.parse(session.opened.body.slice(1));
    session.sid = session.handshake.sid;
    return session;
  }

  constructor(where, { path = '/socket.io/', query = '', headers } = {}) {
    this.where = where;
    this.location = path;
    this.query = query;
    this.headers = headers;
    this.connections = new Set();
    this.packets = [];
  }

  /** Path and arguments of the session's requests. */
  path(transport = 'polling', { eio = '4' } = {}) {
    const sid = this.sid === undefined ? '' : `&sid=${this.sid}`;
    return `${this.location}?EIO=${eio}&transport=${transport}${sid}${
      this.query}`;
  }

  /** A new connection; it ends with the session at the latest. */
  async connection() {
    const connection = await HttpConnection.open(this.where);
    this.connections.add(connection);
    connection.socket.once('close', () => this.connections.delete(connection));
    return connection;
  }

  /** Any request, on a connection of its own; the answer. */
  async request(method, { path = this.path(), headers, ...options } = {}) {
    const connection = await this.connection();
    try {
      return await connection.send(request(method, path, {
        ...options, headers: { ...this.headers, ...headers },
      }));
    } finally {
      connection.destroy();
    }
  }

  get(options) {
    return this.request('GET', options);
  }

  post(body, options) {
    return this.request('POST', { body, ...options });
  }

  /**
   * A GET that the server has begun to handle when this returns: { answer (a
   * promise), connection }.  It follows a POST on the same connection, a new
   * one unless there is one for it.
   */
  async hold(line) {
    const connection = line || await this.connection();
    const posted = connection.send(Buffer.concat([
      request('POST', this.path(), { headers: this.headers, body: '6' }),
      request('GET', this.path(), { headers: this.headers }),
    ]));
    const held = this.#pending(connection, '');

    assert.equal((await within(posted, 'ok')).body, 'ok');
    return held;
  }

  /** A GET that has been sent, on a connection of its own: as of hold(). */
  async begin() {
    return this.#pending(await this.connection(), request(
      'GET', this.path(), { headers: this.headers }));
  }

  #pending(connection, bytes) {
    const answer = within(connection.send(bytes), 'the answer to a poll');

    // Whoever waits for it later still gets the failure.
    answer.catch(() => {});
    return { connection, answer };
  }

  /** POSTs packets, which must be taken. */
  async send(...packets) {
    const answer = await within(this.post(packets.join(RS)), 'ok');
    assert.equal(answer.status, 200, answer.body);
    assert.equal(answer.body, 'ok');
  }

  /** One GET, which must be answered; its packets. */
  async poll(ms) {
    const answer = await within(this.get(), 'the answer to a poll', ms);
    assert.equal(answer.status, 200, answer.body);
    return answer.body.split(RS);
  }

  /** The next packet, polled for if need be; a noop or two are passed over. */
  async next(ms) {
    for (let noops = 0; ; noops++) {
      while (this.packets.length === 0) {
        this.packets.push(...await this.poll(ms));
      }
      const packet = this.packets.shift();
      if (packet !== '6' || noops === 2) {
        return packet;
      }
    }
  }

  /**
   * Connects to "/"; takes the reply and the ready event.  The id of the
   * socket.
   */
  async join(auth) {
    await this.send(`40${JSON.stringify(auth)}`);
    const reply = await this.next();
    assert.match(reply, /^40\{/);
    assert.match(await this.next(), /^42\["ready"[,\]]/);
    return JSON.parse(reply.slice(2)).sid;
  }

  /** False if the server does not know the session any more. */
  async alive() {
    // A POST under way when the session ends may be left without an answer.
    const post = () => within(this.post('6'), 'an answer to a POST');
    const answer = await post().catch(post);

    if (answer.status === 200) {
      return true;
    }
    assert.equal(answer.status, 400);
    assert.equal(answer.body, '{"code":1,"message":"Session ID unknown"}');
    return false;
  }

  /** Polls until the session is unknown; all packets but noops. */
  async rest() {
    const packets = this.packets.splice(0);
    for (;;) {
      const answer = await within(this.get(), 'the end of the session');
      if (answer.status !== 200) {
        assert.equal(answer.body,
                     '{"code":1,"message":"Session ID unknown"}');
        return packets.filter((packet) => packet !== '6');
      }
      packets.push(...answer.body.split(RS));
    }
  }

  /** Breaks all requests off. */
  close() {
    for (const connection of this.connections) {
      connection.destroy();
    }
  }
}

module.exports = { Polling, RS };
