'use strict';

// HTTP, byte by byte: requests as text, answers as they came.

const net = require('node:net');
const tls = require('node:tls');

const { within } = require('./expect');

/** A connected socket: { port, tls }, where tls may be options of its own. */
function dial({ port, tls: secure }) {
  return new Promise((resolve, reject) => {
    const socket = secure
      ? tls.connect({
        port, host: '127.0.0.1', rejectUnauthorized: false, ...secure,
      })
      : net.connect({ port, host: '127.0.0.1' });
    socket.setNoDelay(true);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      socket.removeListener('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

/**
 * The head of an answer at the beginning of bytes, or null if it is not all
 * there: { status, reason, headers (lower-case names), length (of the head) }.
 */
function parseHead(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) {
    return null;
  }

  const [first, ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const [, status, reason] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(first) || [];
  if (!status) {
    throw new Error(`not an HTTP answer: ${first}`);
  }

  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(status), reason, headers, length: end + 4 };
}

/**
 * The body behind a head: { bytes, length (of what it takes) }, or null while
 * it is incomplete.
 */
function parseBody(head, bytes, ended, method) {
  const length = head.headers['content-length'];

  if (method === 'HEAD' || head.status === 204 || head.status === 304) {
    return { bytes: Buffer.alloc(0), length: 0 };
  }
  if (length !== undefined) {
    const size = Number(length);
    return bytes.length >= size
      ? { bytes: bytes.subarray(0, size), length: size } : null;
  }
  if (head.headers['transfer-encoding'] === 'chunked') {
    return unchunk(bytes);
  }
  return ended ? { bytes, length: bytes.length } : null;
}

function unchunk(bytes) {
  const parts = [];
  let at = 0;

  for (;;) {
    const eol = bytes.indexOf('\r\n', at);
    if (eol < 0) {
      return null;
    }
    const size = parseInt(bytes.toString('latin1', at, eol), 16);
    const end = eol + 2 + size + 2;
    if (bytes.length < end) {
      return null;
    }
    if (size === 0) {
      return { bytes: Buffer.concat(parts), length: end };
    }
    parts.push(bytes.subarray(eol + 2, eol + 2 + size));
    at = end;
  }
}

/**
 * The bytes of a request.  headers add to the usual ones; a body (text or
 * bytes) gets a Content-Length, or is sent in chunks of so many bytes.
 */
function request(method, path, { headers = {}, body, chunks } = {}) {
  const all = { Host: 'localhost', ...headers };
  const data = body === undefined ? null : Buffer.from(body);

  if (data) {
    all[chunks ? 'Transfer-Encoding' : 'Content-Length']
      = chunks ? 'chunked' : data.length;
  }
  const lines = Object.entries(all)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(
    `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);

  if (!data) {
    return head;
  }
  return Buffer.concat([head, ...(chunks ? chunked(data, chunks) : [data])]);
}

function chunked(data, size) {
  const parts = [];

  for (let at = 0; at < data.length; at += size) {
    const part = data.subarray(at, at + size);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part,
               Buffer.from('\r\n'));
  }
  return [...parts, Buffer.from('0\r\n\r\n')];
}

/**
 * A connection on which requests follow each other; the answers come in their
 * order: { status, reason, headers, body (text), bytes (the same), ended },
 * where ended tells if the server has closed the connection by then.  For
 * anything but a 101.
 */
class HttpConnection {
  static async open(where) {
    return new HttpConnection(await dial(where));
  }

  constructor(socket) {
    this.socket = socket;
    this.localPort = socket.localPort;
    this.bytes = Buffer.alloc(0);
    this.waiting = [];
    this.continues = 0;         // how many "100 Continue" came
    this.ended = false;

    socket.on('data', (chunk) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      this.#attempt();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => {
      this.ended = true;
      this.#attempt();
      this.#fail(new Error(`closed after: ${this.bytes.toString('latin1')}`));
    });
  }

  /** Sends the text (or bytes) of a request; gives the answer. */
  send(bytes) {
    const method = bytes.toString('latin1', 0, 20).split(' ', 1)[0];
    const answer = new Promise((resolve, reject) => {
      this.waiting.push({ method, resolve, reject });
    });

    // Whoever waits for it later still gets the failure.
    answer.catch(() => {});
    this.write(bytes);
    return answer;
  }

  /** More bytes of the last request. */
  write(bytes) {
    this.socket.write(bytes);
  }

  destroy() {
    this.socket.destroy();
  }

  #attempt() {
    try {
      while (this.waiting.length > 0 && this.#answer());
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Takes one answer off the received bytes; false if there is none. */
  #answer() {
    const head = parseHead(this.bytes);
    if (!head) {
      return false;
    }
    if (head.status === 100) {
      this.continues++;
      this.bytes = this.bytes.subarray(head.length);
      return true;
    }

    const { method, resolve } = this.waiting[0];
    const rest = this.bytes.subarray(head.length);
    const body = parseBody(head, rest, this.ended, method);
    if (!body) {
      return false;
    }

    this.waiting.shift();
    this.bytes = rest.subarray(body.length);
    resolve({
      ...head, body: body.bytes.toString('utf8'), bytes: body.bytes,
      ended: this.ended,
    });
    return true;
  }

  #fail(error) {
    for (const { reject } of this.waiting.splice(0)) {
      reject(error);
    }
  }
}

/** Sends one request on a connection of its own; gives the answer. */
async function exchange(where, bytes) {
  const connection = await HttpConnection.open(where);

  try {
    return await within(connection.send(bytes), 'an HTTP answer');
  } finally {
    connection.destroy();
  }
}

module.exports = { dial, parseHead, request, exchange, HttpConnection };
