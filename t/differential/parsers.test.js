'use strict';

// The codecs of src/proto against socket.io-parser and engine.io-parser: of
// 100000 packets and payloads, valid and damaged, the verdict and the values
// are the same, but for the differences that are listed here with their reason.
// The other way, what is written of 25000 broadcasts is what the reference
// writes, and its decoder reads.
//
// SEED=n makes other ones; COUNT=n as many.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { isDeepStrictEqual } = require('node:util');
const msgpack = require('notepack.io');
const { Decoder, Encoder, PacketType } = require('socket.io-parser');
const { decodePayload, encodePayload } = require('engine.io-parser');

const { Generator } = require('./lib/generate');
const { ours } = require('./lib/ours');

const SEED = Number(process.env.SEED || 1);
const COUNT = Number(process.env.COUNT || 100000);
const PACKETS = Math.ceil(COUNT * 3 / 4);
const DEPTH = 64;
const MSGPACK_DEPTH = 80;
const ATTACHMENTS = 10;
const SHOWN = 10;

const attachment = (n) => Buffer.from([n]);

/** What stands in front of the JSON, read as loosely as the reference does. */
function head(text) {
  const binary = '56'.includes(text[0]);
  const [, attachments = '', rest] = binary
    ? /^.([^-]*)-?(.*)$/s.exec(text) : [null, '', text.slice(1)];
  const nsp = rest[0] === '/' ? rest.split(',', 1)[0] : '';
  const behind = rest.slice(nsp.length).replace(/^,/, nsp ? '' : ',');
  const [id] = /^[\d\s]*/.exec(behind);
  return { binary, attachments, id, json: behind.slice(id.length) };
}

/** How deep the arrays and objects of valid JSON are nested. */
function depth(json) {
  let now = 0;
  let most = 0;

  for (const [one] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    now += '[{'.includes(one) ? 1 : 0;
    most = Math.max(most, now);
    now -= ']}'.includes(one) ? 1 : 0;
  }
  return most;
}

/** The numbers of placeholders, as they are written. */
function numbers(text) {
  return [...text.matchAll(/"num"\s*:\s*([^,}\s]+)/g)].map((m) => m[1]);
}

/** Has the parser refused what the reference takes? */
const refused = ({ got, want }) => packetOf(got) === null && want !== null;

// In which packets the parsers may differ, and why; see "Differences" in
// doc/protocol.md.  A rule that nothing meets is a fault, too.
const RULES = [
  {
    name: 'the type is a digit',
    why: 'an encoder writes digits; Number(" ") is 0',
    holds: (one) => refused(one) && /^\s/.test(one.text),
  },
  {
    name: 'the number of attachments is written in digits',
    why: 'an encoder writes digits; Number("1e0") is 1',
    holds: (one) => refused(one) && head(one.text).binary
      && !/^\d+$/.test(head(one.text).attachments),
  },
  {
    name: 'an id is written in digits',
    why: 'an encoder writes digits; white space is an id of 0 for the reference',
    holds: (one) => /\s/.test(head(one.text).id)
      && (refused(one) || isDeepStrictEqual(
        { ...packetOf(one.got), id: one.want.id }, one.want)),
  },
  {
    name: 'the number of a placeholder is written in digits',
    why: 'an encoder writes digits; there is no attachment 0.5',
    holds: (one) => refused(one) && head(one.text).binary
      && numbers(one.text).some((n) => !/^\d+$/.test(n)),
  },
  {
    name: `JSON is nested ${DEPTH} deep at most`,
    why: 'memory is bounded',
    holds: (one) => refused(one) && one.got.rc === -4
      && depth(head(one.text).json) > DEPTH,
  },
];

const PAYLOAD_RULES = [
  {
    name: 'what base64 does not have is skipped',
    why: 'no encoder writes it; Node.js looks at the low byte of what is '
      + 'beyond Latin-1, so that U+0141 counts as "A"',
    holds: ({ text, all, want }) => all.length === want.length
      && text.split('\x1e').every((packet, i) => /^b.*[^\0-\xff]/s.test(packet)
        || isDeepStrictEqual(all[i], want[i])),
  },
];

/** With all numbers as JavaScript writes them. */
const uniform = (part) => (typeof part !== 'string' ? part
  : part.replace(/-?\d+(\.\d+)?(e[-+]\d+)?/g, Number));

const WRITE_RULES = [
  {
    name: 'reserved names are refused',
    why: 'a client takes them for a fault, and leaves',
    holds: ({ got, dead }) => got === -1 && dead,
  },
  {
    name: 'integers have all their digits, fractions those of printf()',
    why: 'it is the same number: msgpack has 64 bits, JavaScript 53',
    holds: ({ got, want, read }) => read && isDeepStrictEqual(
      got.map(uniform), want.map(uniform)),
  },
  {
    name: `${ATTACHMENTS} attachments at most`,
    why: 'no client takes more: its decoder refuses them',
    holds: ({ got, want }) => got === -4 && want.length > 1 + ATTACHMENTS,
  },
  {
    name: `msgpack is nested ${MSGPACK_DEPTH} deep at most`,
    why: 'memory is bounded; the map of the packet is one level of it',
    holds: ({ text, got }) => got === -4
      && depth(head(text).json) >= MSGPACK_DEPTH,
  },
];

/** { type, nsp, id, data } by the reference, null if it refuses. */
function reference(text) {
  const decoder = new Decoder();
  let packet = null;

  decoder.on('decoded', (decoded) => { packet = decoded; });
  try {
    decoder.add(text);
    for (let n = 0; decoder.reconstructor; n++) {
      decoder.add(attachment(n));
    }
  } catch {
    return null;
  }
  return packet;
}

/** The value with attachments in place of their placeholders. */
function filled(value) {
  if (Array.isArray(value)) {
    return value.map(filled);
  }
  if (value === null || typeof value !== 'object') {
    return value;
  }
  if (value._placeholder === true) {
    return attachment(value.num);
  }
  return Object.fromEntries(Object.entries(value).map(
    ([key, inner]) => [key, filled(inner)]));
}

/** The same by what src/proto said. */
function packetOf(got) {
  if (got.rc !== 0 || (got.attachments > 0 && got.placeholders < 0)) {
    return null;
  }

  const binary = got.type >= PacketType.BINARY_EVENT;
  const data = 'data' in got ? JSON.parse(got.data) : undefined;
  return {
    type: got.type - (binary ? 3 : 0),
    nsp: got.nsp,
    id: 'id' in got ? Number(got.id) : undefined,
    data: binary && data ? filled(data) : data,
  };
}

/**
 * A value as jansson can hold it: no -0, no infinity, no lone surrogates; NUL
 * may have become U+FFFD.
 */
function tame(value) {
  if (typeof value === 'number') {
    return Number.isFinite(value) ? value + 0 : null;
  }
  if (typeof value === 'string') {
    return Buffer.from(value).toString().replaceAll('\0', '\ufffd');
  }
  if (Array.isArray(value)) {
    return value.map(tame);
  }
  if (value === null || typeof value !== 'object') {
    return value;
  }
  return new Map(Object.entries(value).map(
    ([key, inner]) => [tame(key), tame(inner)]));
}

/** What a client makes of a text and its attachments. */
function received(parts) {
  const decoder = new Decoder();
  let packet = null;

  decoder.on('decoded', (decoded) => { packet = decoded; });
  try {
    parts.forEach((part) => decoder.add(part));
  } catch {
    return null;
  }
  return packet;
}

const plain = (packet) => packet && {
  type: packet.type, nsp: packet.nsp, id: packet.id, data: packet.data,
};

/** All that do not agree: each is excused by a rule, or fails the test. */
function judge(t, list, rules) {
  const excused = new Map(rules.map((rule) => [rule.name, 0]));
  const faults = [];

  for (const one of list) {
    const rule = rules.find((it) => it.holds(one));
    if (rule) {
      excused.set(rule.name, excused.get(rule.name) + 1);
    } else {
      faults.push(JSON.stringify(one));
    }
  }

  assert.equal(faults.length, 0, `${faults.length} differ, SEED=${SEED}:\n${
    faults.slice(0, SHOWN).join('\n')}`);
  for (const [name, n] of excused) {
    t.diagnostic(`${n} differ: ${name}`);
    assert.ok(n > 0 || COUNT < 100000, `nothing tells that ${name}`);
  }
}

test('packets of Socket.IO', async (t) => {
  const generator = new Generator(SEED);
  const texts = Array.from({ length: PACKETS }, () => generator.packet());
  const answers = await ours('s', texts);
  assert.equal(answers.length, texts.length);

  let accepted = 0;
  let taken = 0;
  let binary = 0;
  const differ = texts.map((text, i) => {
    const got = answers[i];
    const want = plain(reference(text));
    const same = isDeepStrictEqual(packetOf(got), want)
      && (!('value' in got)
          || isDeepStrictEqual(tame(got.value), tame(JSON.parse(got.data))));
    accepted += want !== null;
    taken += packetOf(got) !== null;
    binary += want !== null && got.attachments > 0;
    return same ? null : { text, got, want };
  }).filter(Boolean);

  judge(t, differ, RULES);
  t.diagnostic(`${texts.length} packets, ${accepted} of them valid, ${
    taken} taken, ${binary} with attachments`);
  assert.ok(taken > texts.length / 4, 'what is valid is taken');
  assert.ok(binary > texts.length / 50, 'some have attachments');
  assert.ok(accepted > texts.length / 4 && accepted < texts.length * 3 / 4,
            'valid and damaged ones are mixed');
});

test('payloads of Engine.IO', async (t) => {
  const types = ['open', 'close', 'ping', 'pong', 'message', 'upgrade', 'noop'];
  const generator = new Generator(SEED);
  const texts = Array.from({ length: COUNT - PACKETS },
                           () => generator.payload());
  const answers = await ours('p', texts);
  assert.equal(answers.length, texts.length);

  // What the reference calls an error ends a payload; that is told by the type,
  // which the parser leaves to its caller.
  const decoded = (packet) => {
    if (packet.hex !== undefined) {
      return { type: 'message', data: Buffer.from(packet.hex, 'hex') };
    }
    if (packet === '' || !types[packet[0]]) {
      return { type: 'error', data: 'parser error' };
    }
    return packet.length > 1
      ? { type: types[packet[0]], data: packet.slice(1) }
      : { type: types[packet[0]] };
  };

  let good = 0;
  const differ = texts.map((text, i) => {
    const all = answers[i].packets.map(decoded);
    const end = all.findIndex(({ type }) => type === 'error');
    const got = end < 0 ? all : all.slice(0, end + 1);
    const want = decodePayload(text, 'nodebuffer');
    let again = answers[i].again;

    if (end < 0) {
      good++;
      encodePayload(want, (encoded) => { again = encoded; });
    }
    return isDeepStrictEqual(got, want) && again === answers[i].again ? null
      : { text, all: got, want, again };
  }).filter(Boolean);

  judge(t, differ, PAYLOAD_RULES);
  t.diagnostic(`${texts.length} payloads, ${good} of them valid`);
  assert.ok(good > texts.length / 4 && good < texts.length * 9 / 10,
            'valid and damaged ones are mixed');
});

test('broadcasts from Redis', async (t) => {
  const generator = new Generator(SEED);
  const encoder = new Encoder();
  const list = Array.from({ length: COUNT - PACKETS },
                          () => generator.broadcast());
  const answers = await ours('b', list.map(({ nsp, bytes }) => Buffer.concat(
    [Buffer.from(`${nsp}\0`), bytes])));
  assert.equal(answers.length, list.length);

  let attached = 0;
  let written = 0;
  const differ = list.map(({ nsp, bytes }, i) => {
    const { rc, parts } = answers[i];
    const want = encoder.encode({ ...msgpack.decode(bytes)[1], nsp });
    const got = rc ? rc : parts.map((part) => (
      part.hex === undefined ? part.slice(1) : Buffer.from(part.hex, 'hex')));
    const decoded = plain(received(want));

    attached += want.length > 1 && decoded !== null;
    written += !rc;
    const read = !rc && isDeepStrictEqual(plain(received(got)), decoded);
    return read && isDeepStrictEqual(got, want) ? null
      : { text: want[0], got, want, read, dead: decoded === null };
  }).filter(Boolean);

  judge(t, differ, WRITE_RULES);
  t.diagnostic(`${list.length} broadcasts, ${written} of them written, ${
    attached} with attachments`);
  assert.ok(written > list.length / 4, 'what is valid is written');
  assert.ok(attached > list.length / 8, 'many have attachments');
});
