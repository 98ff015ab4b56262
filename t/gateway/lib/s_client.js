'use strict';

// The client of OpenSSL, for what Node.js cannot do: it updates keys.

const { spawn } = require('node:child_process');
const { Duplex } = require('node:stream');

const { WebSocketClient, handshake } = require('./ws');
const { until } = require('./expect');

/**
 * A WebSocket through s_client, with these options, which has its 101.
 * command(letter) has s_client do what the letter stands for; what was sent
 * before must have been answered.
 */
async function throughOpenssl(t, port, options = []) {
  const child = spawn('openssl', [
    's_client', '-connect', `127.0.0.1:${port}`, '-quiet', '-no_ign_eof',
    ...options,
  ]);
  t.after(() => child.kill());

  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => { said += text; });
  child.stdin.on('error', () => {});

  const ws = new WebSocketClient(
    Duplex.from({ readable: child.stdout, writable: child.stdin }));
  ws.write(handshake());
  await until(() => ws.head || ws.closed, () => `a 101; ${said}`);

  ws.command = async (letter, answer) => {
    ws.write(`${letter}\n`);
    await until(() => said.includes(answer), () => `"${answer}" in ${said}`);
    said = '';
  };
  return ws;
}

module.exports = { throughOpenssl };
