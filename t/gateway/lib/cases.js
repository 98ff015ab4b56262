'use strict';

// The cases of t/unit/ws_cases.json, which tells how they are written, and
// what a gateway is expected to answer to them.

const fs = require('node:fs');
const path = require('node:path');

const FILE = path.resolve(__dirname, '../../unit/ws_cases.json');
const KEY = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const KINDS = { cont: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
const WORD = /'([^']*)'(?:\*(\d+))?|#([0-9a-f]*)(?:\*(\d+))?|[^\s']+/g;
const NO_CODE = 1005;

/** The frames of one line: { first, payload, ... }. */
function parse(line) {
  return line.split('|').map((part) => {
    const frame = { masked: true, key: KEY, times: 1, cut: Infinity };
    const payload = [];
    let kind;

    for (const [word, text, n, hex, m] of part.trim().matchAll(WORD)) {
      if (text !== undefined || hex !== undefined) {
        const bytes = hex === undefined ? Buffer.from(text)
          : Buffer.from(hex, 'hex');
        const times = Number(n ?? m ?? 1);
        payload.push(Buffer.alloc(bytes.length * times, bytes));
      } else if (!kind) {
        kind = word;
      } else {
        option(frame, word);
      }
    }

    frame.raw = kind === 'raw';
    frame.opcode = KINDS[kind] ?? parseInt(kind.slice(2), 16);
    frame.payload = Buffer.concat(payload);
    if (!frame.raw && !(frame.opcode >= 0)) {
      throw new Error(`no frame is called ${kind}`);
    }
    return frame;
  });
}

function option(frame, word) {
  const [name, value] = word.split('=');

  switch (name) {
  case 'more': frame.more = true; break;
  case 'nomask': frame.masked = false; break;
  case 'rsv1': frame.rsv |= 0x40; break;
  case 'rsv2': frame.rsv |= 0x20; break;
  case 'rsv3': frame.rsv |= 0x10; break;
  case 'len16': frame.form = 2; break;
  case 'len64': frame.form = 8; break;
  case 'key': frame.key = Buffer.from(value, 'hex'); break;
  case 'says': frame.says = Number(value); break;
  case 'cut': frame.cut = Number(value); break;
  case 'times': frame.times = Number(value); break;
  default: throw new Error(`what is ${word}?`);
  }
}

/** The bytes of a frame: [header, the rest], cut as it says. */
function encode(frame) {
  if (frame.raw) {
    return [frame.payload, Buffer.alloc(0)];
  }

  const says = frame.says ?? frame.payload.length;
  const form = frame.form ?? (says > 65535 ? 8 : says > 125 ? 2 : 0);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(says));

  const head = Buffer.concat([
    Buffer.from([
      (frame.more ? 0 : 0x80) | frame.rsv | frame.opcode,
      (frame.masked ? 0x80 : 0) | { 0: says, 2: 126, 8: 127 }[form],
    ]),
    length.subarray(8 - form),
    frame.masked ? frame.key : Buffer.alloc(0),
  ]);
  const rest = Buffer.from(frame.payload);
  if (frame.masked) {
    for (let i = 0; i < rest.length; i++) {
      rest[i] ^= frame.key[i & 3];
    }
  }
  return [head.subarray(0, frame.cut),
          rest.subarray(0, Math.max(frame.cut - head.length, 0))];
}

const message = (opcode, payload = '') => (
  { opcode, payload: Buffer.from(payload) });

/** What a Socket.IO server answers to what the parser gives, and its end. */
function answers(events, end) {
  const frames = [];
  let attachments = 0;

  const closed = (code, payload) => (
    { frames: [...frames, message(KINDS.close, payload)], code });

  for (const { opcode, payload } of events) {
    const text = payload.toString();

    if (opcode === KINDS.close) {
      return closed(payload.length ? payload.readUInt16BE() : NO_CODE,
                    payload);
    } else if (opcode === KINDS.ping) {
      frames.push({ opcode: KINDS.pong, payload });
    } else if (opcode === KINDS.binary) {
      if (attachments-- === 0) {
        return closed(NO_CODE);
      }
    } else if (opcode === KINDS.text) {
      if (text.startsWith('451-')) {
        attachments = 1;
      } else if (text.startsWith('40/')) {
        frames.push(message(KINDS.text, `44/${text.slice(3)}`
                            + '{"message":"Invalid namespace"}'));
      } else if (text[0] !== '6') {
        return closed(NO_CODE);
      }
    }
  }

  if (end > 1) {
    return closed(end, Buffer.from([end >> 8, end & 255]));
  }
  return { frames, code: null };
}

const fill = (text, value) => text.replace(/\$([1-9])?/g, (_, n) => (
  n ? value[n - 1] : value));

function build(section, one, value) {
  const frames = (lines = []) => lines
    .flatMap((line) => parse(fill(line, value)))
    .flatMap((frame) => Array(frame.times).fill(frame));
  const pieces = frames(one.in).map(encode);
  const expected = answers(frames(one.out), one.end);
  const heads = [];
  let at = 0;

  for (const [head, rest] of pieces) {
    heads.push({ at, length: head.length });
    at += head.length + rest.length;
  }

  return {
    name: fill(one.name, value),
    section: section.section,
    bytes: Buffer.concat(pieces.flat()),
    heads,                          // where frames begin
    ...expected,                    // frames: the answers; code, of the last
    part: one.end === 'part',
    connected: JSON.stringify(one.in).includes('451-'),
  };
}

/** All cases, and the limit of a message that they are made for. */
function loadCases() {
  const table = JSON.parse(fs.readFileSync(FILE, 'utf8'));
  const cases = table.sections.flatMap((section) => (
    section.cases.flatMap((one) => (
      (one.for || ['']).map((value) => build(section, one, value))))));

  return { cases, limit: table.limit };
}

module.exports = { loadCases };
