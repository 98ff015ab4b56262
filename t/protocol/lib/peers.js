'use strict';

// Clients without a library: they send and take packets, one by one, whatever
// carries them.  A packet is text, or a Buffer if it is binary.

const assert = require('node:assert/strict');

const { text, frame, OPCODE } = require('../../gateway/lib/ws');

const SID = '[\\w-]{20}';

class Peer {
  /**
   * Connects to a namespace, "" or "/name,": { sid, auth }, which is the text
   * of what the backend says about it.
   */
  async join(nsp = '', payload = '') {
    await this.send(`40${nsp}${payload}`);
    const reply = await this.next();
    const name = nsp.replace(/,?$/, nsp && ',');
    const [, sid] = new RegExp(`^40${name}\\{"sid":"(${SID})"\\}$`)
      .exec(reply) || assert.fail(`${reply}, not a reply to CONNECT`);
    const auth = await this.next();
    const head = `42${name}["auth",`;
    assert.ok(auth.startsWith(head), auth);
    return { sid, auth: auth.slice(head.length, -1) };
  }

  /** Asserts that these are the next packets. */
  async gets(...packets) {
    for (const packet of packets) {
      assert.deepEqual(await this.next(), packet);
    }
  }
}

class WebSocketPeer extends Peer {
  static async open(gw) {
    const peer = new this();
    peer.ws = await gw.socket();
    assert.match(await peer.next(), /^0\{/);
    return peer;
  }

  async send(...packets) {
    this.ws.write(Buffer.concat(packets.map((packet) => (
      typeof packet === 'string' ? text(packet)
        : frame(OPCODE.binary, packet)))));
  }

  next() {
    return this.ws.next();
  }

  /** Waits for the end, with nothing in front of it. */
  async closed() {
    assert.equal(await this.ws.closing(), 1005);
    assert.deepEqual(this.ws.messages, []);
  }
}

/** It has come by long-polling, and has done nothing but change over since. */
class UpgradedPeer extends WebSocketPeer {
  static async open(gw) {
    const peer = new this();
    const session = await gw.polling();
    peer.ws = await gw.socket({ path: session.path('websocket') });
    await peer.send('2probe');
    await peer.gets('3probe');
    await peer.send('5');
    return peer;
  }
}

class PollingPeer extends Peer {
  static async open(gw) {
    const peer = new this();
    peer.session = await gw.polling();
    return peer;
  }

  /** One POST. */
  send(...packets) {
    return this.session.send(...packets.map((packet) => (
      typeof packet === 'string' ? packet : `b${packet.toString('base64')}`)));
  }

  async next() {
    const packet = await this.session.next();
    return packet.startsWith('b') ? Buffer.from(packet.slice(1), 'base64')
      : packet;
  }

  async closed() {
    assert.deepEqual(await this.session.rest(), ['1']);
  }
}

const PEERS = {
  WebSocket: WebSocketPeer,
  polling: PollingPeer,
  upgrade: UpgradedPeer,
};

module.exports = { PEERS, SID };
