'use strict';

// HTTP, byte by byte: requests as text, answers as they came.

const net = require('node:net');
const tls = require('node:tls');

const { within } = require('./expect');

/** A connected socket: { port, tls }. */
function dial({ port, tls: secure }) {
  return new Promise((resolve, reject) => {
    const socket = secure
      ? tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
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

/** The body behind a head, or null while it is incomplete. */
function parseBody(head, bytes, ended, method) {
  const length = head.headers['content-length'];

  if (method === 'HEAD' || head.status === 204 || head.status === 304) {
    return '';
  }
  if (length !== undefined) {
    return bytes.length >= Number(length)
      ? bytes.toString('utf8', 0, Number(length)) : null;
  }
  if (head.headers['transfer-encoding'] === 'chunked') {
    return unchunk(bytes);
  }
  return ended ? bytes.toString('utf8') : null;
}

function unchunk(bytes) {
  let text = '';
  let at = 0;

  for (;;) {
    const eol = bytes.indexOf('\r\n', at);
    if (eol < 0) {
      return null;
    }
    const size = parseInt(bytes.toString('latin1', at, eol), 16);
    if (size === 0) {
      return text;
    }
    if (bytes.length < eol + 2 + size) {
      return null;
    }
    text += bytes.toString('utf8', eol + 2, eol + 2 + size);
    at = eol + 2 + size + 2;
  }
}

/**
 * Sends the text (or bytes) of a request and gives the answer: { status,
 * reason, headers, body, ended }, where ended tells if the server has closed
 * the connection by then.  For anything but a 101.
 */
async function exchange(where, request) {
  const socket = await dial(where);
  const method = request.toString('latin1').split(' ', 1)[0];
  let bytes = Buffer.alloc(0);
  let ended = false;

  const answer = new Promise((resolve, reject) => {
    const look = () => {
      const head = parseHead(bytes);
      const body = head
        && parseBody(head, bytes.subarray(head.length), ended, method);
      if (head && body !== null) {
        resolve({ ...head, body, ended });
      } else if (ended) {
        reject(new Error(`closed after: ${bytes.toString('latin1')}`));
      }
    };
    const attempt = () => {
      try {
        look();
      } catch (error) {
        reject(error);
      }
    };
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      attempt();
    });
    socket.on('close', () => { ended = true; attempt(); });
    socket.on('error', reject);
  });

  socket.write(request);
  try {
    return await within(answer, 'an HTTP answer');
  } finally {
    socket.destroy();
  }
}

module.exports = { dial, parseHead, exchange };
