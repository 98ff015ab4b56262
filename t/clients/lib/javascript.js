'use strict';

// socket.io-client in several versions, with what the tests do to clients of
// any language.

const { Client } = require('../../gateway/lib/client');
const { until } = require('../../gateway/lib/expect');

class JavaScript extends Client {
  get transport() {
    return this.socket.io.engine.transport.name;
  }

  /** Whether it tries, or will try, to be connected. */
  get active() {
    return this.socket.active;
  }

  emit(event, ...args) {
    this.socket.emit(event, ...args);
  }

  /** Connects again, by the same manager, after a refusal or a kick. */
  again(auth = this.socket.auth) {
    this.refusals.splice(0);
    this.socket.auth = auth;
    this.socket.connect();
  }

  /** Leaves by itself. */
  leave() {
    this.socket.disconnect();
  }

  /** Sends an Engine.IO packet as it is. */
  raw(packet) {
    const { transport } = this.socket.io.engine;

    if (transport.name === 'websocket') {
      transport.ws.send(packet);
    } else {
      transport.doWrite(packet, () => {});
    }
  }

  /** Answers no more pings on the connection that it has. */
  mute() {
    const { transport } = this.socket.io.engine;
    const send = transport.send.bind(transport);

    transport.send = (packets) => {
      const rest = packets.filter(({ type }) => type !== 'pong');
      if (rest.length > 0) {
        send(rest);
      }
    };
  }

  /**
   * Waits until the server has dealt with all that was emitted, by a question
   * behind it.
   */
  async taken() {
    const { engine } = this.socket.io;
    let answer;

    engine.on('message', (data) => {
      answer = answer || /^4\/nobody,/.test(data);
    });
    engine.send('0/nobody,');
    await until(() => answer || this.disconnects.length > 0,
                `the server has read what ${this} has sent`);
  }
}

module.exports = { JavaScript };
