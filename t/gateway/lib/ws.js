'use strict';

// A WebSocket client (RFC 6455) that can be told to send any bytes.

const crypto = require('node:crypto');
const zlib = require('node:zlib');

const { dial, parseHead } = require('./http');
const { until, within, DEADLINE } = require('./expect');

const OPCODE = {
  continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10,
};
const PATH = '/socket.io/?EIO=4&transport=websocket';
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The bytes of one frame; a client's frames are masked. */
function frame(opcode, payload = '', options = {}) {
  const { fin = true, masked = true, rsv = 0 } = options;
  const data = Buffer.from(payload);
  const first = (fin ? 0x80 : 0) | rsv << 4 | opcode;
  const bit = masked ? 0x80 : 0;
  let head;

  if (data.length < 126) {
    head = Buffer.from([first, bit | data.length]);
  } else if (data.length < 65536) {
    head = Buffer.from([first, bit | 126, data.length >> 8, data.length & 255]);
  } else {
    head = Buffer.alloc(10);
    head[0] = first;
    head[1] = bit | 127;
    head.writeBigUInt64BE(BigInt(data.length), 2);
  }

  if (!masked) {
    return Buffer.concat([head, data]);
  }

  const mask = crypto.randomBytes(4);
  for (let i = 0; i < data.length; i++) {
    data[i] ^= mask[i & 3];
  }
  return Buffer.concat([head, mask, data]);
}

const text = (payload, options) => frame(OPCODE.text, payload, options);

const FLUSH = zlib.constants.Z_SYNC_FLUSH;
const TAIL = Buffer.from([0, 0, 255, 255]);

/** The compressed form of a message (RFC 7692) without context. */
const deflate = (payload, options) => zlib.deflateRawSync(
  payload, { finishFlush: FLUSH, ...options }).subarray(0, -4);

/** A message in a compressed frame. */
const deflated = (payload) => text(deflate(payload), { rsv: 4 });

/**
 * The text of a handshake.  headers replace or add to the usual ones; null
 * leaves one out.
 */
function handshake({ path = PATH, method = 'GET', headers = {} } = {}) {
  const all = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': crypto.randomBytes(16).toString('base64'),
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/**
 * One connection.  Messages wait in a queue until next() takes them, or go to
 * onmessage if that is set.  What the server sends is checked against the
 * RFC; a fault ends the connection and fails whoever waits.
 */
class WebSocketClient {
  /**
   * where: { port, tls }.  options: path, headers (of the handshake), glue
   * (bytes sent together with the handshake), dribble (true: byte by byte),
   * echo (false: a close frame is not answered), onframe (called for each
   * frame with its opcode and payload).  If permessage-deflate is among the
   * headers, compressed counts the messages that came so.
   */
  static async open(where, options = {}) {
    const ws = new WebSocketClient(await dial(where), options);
    const request = handshake(options);

    const bytes = Buffer.concat([Buffer.from(request),
                                 options.glue || Buffer.alloc(0)]);
    if (options.dribble) {
      await ws.dribble(bytes);
    } else {
      ws.write(bytes);
    }
    await until(() => ws.head || ws.closed, 'an answer to the handshake');

    if (!ws.head || ws.head.status !== 101) {
      ws.destroy();
      const error = new Error(
        `refused: ${ws.head ? ws.head.status : ws.failure || 'closed'}`);
      error.head = ws.head;
      throw error;
    }

    const key = /sec-websocket-key: *(\S+)/i.exec(request)[1];
    const accept = crypto.createHash('sha1').update(key + GUID)
      .digest('base64');
    if (ws.head.headers['sec-websocket-accept'] !== accept) {
      throw new Error('wrong Sec-WebSocket-Accept');
    }
    return ws;
  }

  constructor(socket, { echo = true, onframe } = {}) {
    this.socket = socket;
    this.echo = echo;
    this.onframe = onframe;
    this.messages = [];
    this.pongs = [];
    this.compressed = 0;
    this.bytes = Buffer.alloc(0);
    this.localPort = socket.localPort;

    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => { this.failure = this.failure || error; });
    this.ended = new Promise((resolve) => {
      socket.once('close', () => { this.closed = true; resolve(); });
    });
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /** Writes byte after byte, each in a packet of its own. */
  async dribble(bytes) {
    for (let i = 0; i < bytes.length; i++) {
      await new Promise((resolve) => {
        this.socket.write(bytes.subarray(i, i + 1), resolve);
      });
    }
  }

  text(payload) {
    this.write(text(payload));
  }

  binary(payload) {
    this.write(frame(OPCODE.binary, payload));
  }

  ping(payload) {
    this.write(frame(OPCODE.ping, payload));
  }

  /** Waits until the server has seen what was sent so far, or has closed. */
  async roundTrip() {
    const count = this.pongs.length;
    this.ping('round trip');
    await until(() => this.pongs.length > count || this.closed, 'a pong');
  }

  /** Sends a close frame, empty without a code. */
  close(code, reason = '') {
    const body = code === undefined ? Buffer.alloc(0) : Buffer.concat([
      Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
    this.write(frame(OPCODE.close, body));
  }

  /** The next message: a string, or a Buffer if it is binary. */
  async next(ms = DEADLINE) {
    await until(() => this.messages.length > 0 || this.closed || this.failure,
                'a message', ms);
    if (this.messages.length === 0) {
      throw new Error(`closed while waiting for a message: ${
        this.failure || this.closeCode}`);
    }
    return this.messages.shift();
  }

  /**
   * Waits for the end.  Returns the code of the server's close frame: 1005 if
   * it carried none, 1006 if there was no close frame.
   */
  async closing(ms = DEADLINE) {
    await until(() => this.closed || this.closeCode, 'a close', ms);
    if (this.echo) {
      await within(this.ended, 'the end of the connection', ms);
    }
    if (this.failure && this.failure.name === 'ProtocolError') {
      throw this.failure;
    }
    return this.closeCode || 1006;
  }

  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }

  /** Ends the TCP connection without a close frame. */
  destroy() {
    this.socket.destroy();
  }

  /** The same with a RST. */
  reset() {
    this.socket.resetAndDestroy();
  }

  #receive(chunk) {
    this.bytes = this.bytes.length ? Buffer.concat([this.bytes, chunk]) : chunk;
    try {
      if (!this.head) {
        this.head = parseHead(this.bytes);
        if (!this.head) {
          return;
        }
        this.bytes = this.bytes.subarray(this.head.length);
      }
      if (this.head.status === 101) {
        while (this.#frame());
      }
    } catch (error) {
      this.failure = error;
      this.socket.destroy();
    }
  }

  /** Takes one frame off the received bytes; false if there is none. */
  #frame() {
    const b = this.bytes;
    if (b.length < 2) {
      return false;
    }

    let length = b[1] & 127;
    let at = 2;
    if (length === 126) {
      if (b.length < 4) {
        return false;
      }
      length = b.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (b.length < 10) {
        return false;
      }
      length = Number(b.readBigUInt64BE(2));
      at = 10;
    }
    if (b.length < at + length) {
      return false;
    }

    this.#check(b[0], b[1]);
    this.bytes = b.subarray(at + length);
    const payload = b.subarray(at, at + length);
    this.#handle(b[0] & 15, b[0] & 0x40 ? this.#inflate(payload) : payload);
    return true;
  }

  /** With no larger window than was agreed to: what is too far back fails. */
  #inflate(payload) {
    const bits = /server_max_window_bits=(\d+)/.exec(this.extensions);
    this.compressed++;
    return zlib.inflateRawSync(Buffer.concat([payload, TAIL]), {
      finishFlush: FLUSH, windowBits: bits ? Number(bits[1]) : 15,
    });
  }

  get extensions() {
    return this.head.headers['sec-websocket-extensions'];
  }

  #check(first, second) {
    const fault = (what) => Object.assign(new Error(`the server sent ${what}`),
                                          { name: 'ProtocolError' });
    if (this.closeCode) {
      throw fault('a frame behind its close frame');
    }
    const bits = this.extensions && [1, 2].includes(first & 15) ? 0xb0 : 0xf0;
    if ((first & bits) !== 0x80) {
      throw fault(`a frame that begins with 0x${first.toString(16)}`);
    }
    if (second & 0x80) {
      throw fault('a masked frame');
    }
    if (![1, 2, 8, 9, 10].includes(first & 15)) {
      throw fault(`opcode ${first & 15}`);
    }
  }

  #handle(opcode, payload) {
    this.onframe?.(opcode, payload);

    switch (opcode) {
    case OPCODE.text:
      this.#deliver(payload.toString('utf8'));
      break;

    case OPCODE.binary:
      this.#deliver(Buffer.from(payload));
      break;

    case OPCODE.pong:
      this.pongs.push(payload.toString('latin1'));
      break;

    case OPCODE.ping:
      this.write(frame(OPCODE.pong, payload));
      break;

    case OPCODE.close:
      this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      if (this.echo && !this.socket.destroyed) {
        this.write(frame(OPCODE.close, payload.subarray(0, 2)));
      }
      break;
    }
  }

  #deliver(message) {
    if (this.onmessage) {
      this.onmessage(message);
    } else {
      this.messages.push(message);
    }
  }
}

module.exports = {
  WebSocketClient, frame, text, deflate, deflated, handshake, OPCODE,
};
