'use strict';

// What src/proto says: t/differential/parse.c, built by make.

const path = require('node:path');
const { spawn } = require('node:child_process');

const ROOT = path.resolve(__dirname, '../../..');
const PROGRAM = path.resolve(ROOT, process.env.BUILD || 'build',
                             'unit/differential');

/** The answers to all inputs: 's' packets, 'p' payloads, 'b' broadcasts. */
async function ours(kind, inputs) {
  const child = spawn(PROGRAM, { stdio: ['pipe', 'pipe', 'inherit'] });
  const chunks = [];
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => (
      code === 0 ? resolve() : reject(new Error(
        `${PROGRAM} ended with ${code ?? signal}`))));
  });

  child.stdout.on('data', (chunk) => chunks.push(chunk));
  child.stdin.on('error', () => {});
  child.stdin.end(Buffer.concat(inputs.flatMap((input) => {
    const bytes = Buffer.from(input);
    const head = Buffer.alloc(5, kind);
    head.writeUInt32BE(bytes.length, 1);
    return [head, bytes];
  })));
  await ended;

  return Buffer.concat(chunks).toString().trimEnd().split('\n')
    .map((line) => JSON.parse(line));
}

module.exports = { ours };
