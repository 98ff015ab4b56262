'use strict';

// The ways in which a client may be connected when it sends something: what
// comes of it is the same, how it is told is not.

const assert = require('node:assert/strict');

const { assertError, assertOk, assertPayload } = require('./answers');
const { RS } = require('./polling');
const { frame, text, OPCODE } = require('./ws');
const { SID } = require('./subject');
const { within } = require('./expect');

/** A packet is text, or a Buffer if it is binary. */
class Link {
  /** s: see subject.js.  joined: connected to "/", else only open. */
  static async open(s, joined) {
    const link = new this(s);
    await link.start();
    if (joined) {
      await link.join();
    }
    await link.ready();
    return link;
  }

  constructor(s) {
    this.s = s;
  }

  /** What has to be in place just before something is sent. */
  async ready() {
    // Nothing.
  }

  /** Sends CONNECT, takes the reply. */
  async join(connect = '40', namespace = '') {
    await this.send(connect);
    const reply = await this.gets(
      new RegExp(`^40${namespace}\\{"sid":"${SID}"\\}$`));
    this.id = JSON.parse(reply.slice(reply.indexOf('{'))).sid;
  }

  /** Asserts that this is the next packet, text or an expression. */
  async gets(expected) {
    const packet = await this.next();
    (expected instanceof RegExp ? assert.match : assert.equal)(packet,
                                                               expected);
    return packet;
  }

  /**
   * Asserts that nothing came of it: the next packet is the answer to this.
   * Of no use while attachments are due.
   */
  async alive() {
    await this.settle();
    if (this.id) {
      await this.heard();
    } else {
      await this.join();
    }
    await this.s.open();
  }

  /** The next packet is an event for this socket. */
  async heard() {
    await this.ready();
    this.s.of().to(this.id).emit('e');
    await this.gets('42["e"]');
  }
}

class WebSocketLink extends Link {
  static label = 'WebSocket';

  async start() {
    this.ws = await this.s.websocket();
  }

  async send(...packets) {
    this.ws.write(Buffer.concat(packets.map((packet) => (
      typeof packet === 'string' ? text(packet)
        : frame(OPCODE.binary, packet)))));
  }

  next() {
    return this.ws.next();
  }

  settle() {
    return this.ws.roundTrip();
  }

  /** A close frame without a code, and nothing in front of it. */
  async closed() {
    assert.equal(await this.ws.closing(), 1005);
    assert.deepEqual(this.ws.messages, []);
  }

  /** The end behind a DISCONNECT. */
  dismissed() {
    return this.closed();
  }

  /** The end behind a packet that was sent when things were still fine. */
  async closedBehind(packet) {
    await this.gets(packet);
    await this.closed();
  }
}

class PollingLink extends Link {
  async start() {
    this.session = await this.s.polling();
  }

  /** One POST, which is always fine. */
  async send(...packets) {
    const body = packets.map((packet) => (
      typeof packet === 'string' ? packet : `b${packet.toString('base64')}`));
    assertOk(await within(this.session.post(body.join(RS)), 'ok'));
  }

  async settle() {
    // What was sent has been answered.
  }

  async gone() {
    assertError(await within(this.session.get(), 'an answer'), 1);
  }

  async toldLater() {
    assertPayload(await within(this.session.get(), 'an answer'), `6${RS}1`);
    await this.gone();
  }

  /** deferred: it is the next GET that is told. */
  async closed(deferred) {
    await (deferred ? this.toldLater() : this.gone());
  }

  dismissed() {
    return this.toldLater();
  }
}

class IdleLink extends PollingLink {
  static label = 'polling';

  next() {
    return this.session.next();
  }

  /** What waits to be sent goes with the session. */
  async closedBehind(packet, deferred) {
    await this.closed(deferred);
  }
}

class PendingLink extends PollingLink {
  static label = 'polling, GET pending';

  async ready() {
    this.answer = this.answer || (await this.s.hold(this.session)).answer;
  }

  async next() {
    const { answer } = this;
    if (answer && this.session.packets.length === 0) {
      this.answer = null;
      const { body } = await answer;
      this.session.packets.push(...body.split(RS));
    }
    return this.session.next();
  }

  async closed() {
    assertPayload(await this.answer, '1');
    await this.gone();
  }

  /** With "1", unless another worker has answered before it came to that. */
  async closedBehind(packet) {
    const { body } = await this.answer;
    const [first, ...rest] = [...body.split(RS), ...await this.session.rest()];
    assert.match(first, packet);
    assert.ok(['', '1'].includes(rest.join(RS)), rest);
  }
}

const POLLING = [IdleLink, PendingLink];
const LINKS = [WebSocketLink, ...POLLING];

module.exports = { LINKS, POLLING, WebSocketLink, IdleLink, PendingLink };
