'use strict';

// Makes seeds for the fuzz targets from real traffic: official clients, the
// stock emitter and requests of the adapter, against the built module.  Each
// kind of bytes goes to the codecs that read it; the cases of ws_cases.json
// are added to the frames.
//
//     make deps build && node t/fuzz/record.js build/fuzz/corpus
//
// then "t/fuzz/run merge" takes over what reaches anything new.

const crypto = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const zlib = require('node:zlib');

const LIB = '../gateway/lib';
const { gateway } = require(`${LIB}/gateway`);
const { loadCases } = require(`${LIB}/cases`);
const { encode, Float } = require(`${LIB}/msgpack`);
const { until } = require(`${LIB}/expect`);

const LONGEST = 4096;
const RS = 0x1e;
const BINARY = 'b'.charCodeAt(0);
const MESSAGE = '4'.charCodeAt(0);
const TAIL = Buffer.from([0, 0, 255, 255]);

// Heads of fuzz_deflate.c: level, window and strategy, memory and takeover,
// flush, piece, damaged byte and how, limit, fragments, fault, opcode and mask.
const PLAIN = [6, 6, 7, 0, 255, 0, 0, 16, 0, 0, 0, 1];
const HEADS = [
  PLAIN, ...[1, 2, 3, 4, 5].map((fault) => PLAIN.with(9, 2).with(10, fault)),
  ...[1, 2, 3, 4, 5].map((flush) => PLAIN.with(3, flush).with(4, 5)),
  PLAIN.with(3, 64), PLAIN.with(3, 128), PLAIN.with(3, 192),
  PLAIN.with(0, 0), PLAIN.with(1, 28), PLAIN.with(1, 14).with(2, 0),
  PLAIN.with(2, 134),
  PLAIN.with(5, 128).with(6, 1), PLAIN.with(7, 0).with(8, 20),
];

const target = path.resolve(process.argv[2] || 'build/fuzz/corpus');

function seed(codec, bytes) {
  if (bytes.length > 0 && bytes.length <= LONGEST) {
    const name = crypto.createHash('sha1').update(bytes).digest('hex');
    fs.mkdirSync(path.join(target, codec), { recursive: true });
    fs.writeFileSync(path.join(target, codec, name), bytes);
  }
}

/** What is offered, compressed, or to be compressed. */
function compression(bytes, heads = [PLAIN]) {
  for (const head of heads) {
    seed('deflate', Buffer.concat([Buffer.from(head), bytes]));
  }
}

/** A packet of Engine.IO, as text. */
function packet(bytes) {
  seed('utf8', bytes);
  if (bytes[0] === BINARY) {
    seed('base64', bytes.subarray(1));
  } else if (bytes[0] === MESSAGE) {
    const text = bytes.toString('latin1');
    const json = /^4\d(?:\d+-)?(?:\/[^,]*,)?\d*(.+)/s.exec(text)?.[1];
    const offset = /"([\w-]{12})"[}\]]/.exec(text)?.[1];

    seed('packet', bytes.subarray(1));
    if (json) {
      seed('json', Buffer.from(json, 'latin1'));
    }
    if (offset) {
      seed('offset', Buffer.from(offset));
    }
  }
}

function payload(bytes) {
  seed('payload', bytes);
  for (let at = 0; at <= bytes.length;) {
    const end = bytes.indexOf(RS, at);
    packet(bytes.subarray(at, end < 0 ? bytes.length : end));
    at = end < 0 ? bytes.length + 1 : end + 1;
  }
}

/** Frames, one by one and together. */
function frames(bytes, codec) {
  seed(codec, bytes);

  for (let at = 0; at + 2 <= bytes.length;) {
    const start = at;
    const masked = bytes[at + 1] & 0x80;
    let length = bytes[at + 1] & 0x7f;
    at += 2;
    if (length === 126) {
      length = bytes.readUInt16BE(at);
      at += 2;
    } else if (length === 127) {
      length = Number(bytes.readBigUInt64BE(at));
      at += 8;
    }
    const key = bytes.subarray(at, at + 4);
    at += masked ? 4 : 0;
    let data = Buffer.from(bytes.subarray(at, at + length));
    if (masked) {
      data.forEach((byte, i) => { data[i] = byte ^ key[i & 3]; });
    }
    at += length;
    seed(codec, bytes.subarray(start, at));
    if (bytes[start] & 0x40) {
      compression(data, HEADS);
      data = zlib.inflateRawSync(Buffer.concat([data, TAIL]), {
        finishFlush: zlib.constants.Z_SYNC_FLUSH });
      compression(data, HEADS);
    }
    if ((bytes[start] & 15) === 1) {
      packet(data);
    }
  }
}

/** Requests of one connection, and what follows an Upgrade. */
function requests(bytes) {
  while (bytes.length > 0) {
    const end = bytes.indexOf('\r\n\r\n');
    const head = bytes.subarray(0, end < 0 ? 0 : end).toString('latin1');
    const query = /^\S+ [^? ]*\?(\S+)/.exec(head)?.[1];
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);

    if (end < 0) {
      return;
    }
    if (query) {
      seed('eio', Buffer.from(query));
    }
    bytes = bytes.subarray(end + 4);
    if (/^upgrade:/im.test(head)) {
      const offer = /^sec-websocket-extensions: *(.+)/im.exec(head)?.[1];
      if (offer) {
        compression(Buffer.from(offer));
      }
      frames(bytes, 'ws');
      return;
    }
    if (length) {
      payload(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
  }
}

function answers(bytes) {
  while (bytes.length > 0) {
    const end = bytes.indexOf('\r\n\r\n');
    const head = bytes.subarray(0, end < 0 ? 0 : end).toString('latin1');
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);

    if (end < 0) {
      return;
    }
    bytes = bytes.subarray(end + 4);
    if (/^HTTP\/1.1 101/.test(head)) {
      frames(bytes, 'payload');
      return;
    }
    payload(bytes.subarray(0, length));
    bytes = bytes.subarray(length);
  }
}

/** Listens in front of a port; what it hears is sorted when all is over. */
async function tap(port) {
  const heard = [];
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    const line = { there: [], back: [] };
    heard.push(line);
    near.on('data', (chunk) => { line.there.push(chunk); far.write(chunk); });
    far.on('data', (chunk) => { line.back.push(chunk); near.write(chunk); });
    for (const [end, other] of [[near, far], [far, near]]) {
      end.on('error', () => {});
      end.on('close', () => other.destroy());
    }
  });

  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.close();
      for (const { there, back } of heard) {
        requests(Buffer.concat(there));
        answers(Buffer.concat(back));
      }
    },
  };
}

const VALUES = [
  'text', '', 'a\u00e4\u20ac\u{1f600}"\\\n\u2028', 0, -1, 1.5, 1e300, 2 ** 53,
  true, null, [], {}, [[[1]]], { a: { b: [1, 'x'] } }, Buffer.from('bytes'),
  { deep: [Buffer.alloc(0), { more: Buffer.alloc(70, 1) }] },
];

/** What a client says, by one transport. */
async function speak(gw, url, options) {
  const root = await gw.connect({
    user: `user-${options.transports.join('-')}`, rooms: ['chess', 'go'], url,
    query: { plain: 'a b', coded: '&=%+\u00e4' }, ...options,
  });
  const admin = await root.of('/admin').ready();

  for (const client of [root, admin]) {
    client.socket.emit('values', ...VALUES);
    client.socket.emit('asks', 1, () => {});
    client.socket.emit('asks', Buffer.from([1, 2, 3]), () => {});
    client.socket.on('question', (...args) => args.pop()('answer', VALUES));
  }
  return root;
}

async function backend(gw, client) {
  const { emitter, redis } = gw;
  const request = (value) => redis.commands.publish(
    'socket.io-request#/#', typeof value === 'string' ? value : encode(value));

  for (const value of VALUES) {
    emitter.emit('value', value);
  }
  emitter.of('/admin').to('chess').emit('values', ...VALUES);
  emitter.to(['chess', 'go']).except('nobody').volatile.emit('chosen', 1);
  emitter.to(client.id).emit('you', { at: new Date(0), big: 2 ** 40 });
  emitter.in('chess').socketsJoin(['more', 'rooms']);
  emitter.in('more').except('go').socketsLeave('rooms');
  emitter.serverSideEmit('ping', 1, { a: 2 });

  const packet = { type: 2, data: ['question', 1, Buffer.from('b')], nsp: '/' };
  const opts = { rooms: [], except: [], flags: { timeout: 5000 } };
  await request({ uid: 'node01', requestId: 'abcdef', type: 7, packet, opts });
  await request({ uid: 'node01', requestId: 'abcdeg', type: 7,
                  packet: { type: 2, data: ['question', new Float(1), 2n ** 63n],
                            nsp: '/' },
                  opts: { rooms: ['chess', 7], except: null } });
  await request('{"uid":"OWdeI1","requestId":"iWh7HA","type":1}');
  await request(`{"uid":"node01","type":2,"sid":"${client.id}","room":"r"}`);
  await request('{"uid":"node01","type":3,"opts":{"rooms":["r",1,1.5],'
                + '"except":[]},"rooms":["r9"]}');
  await redis.commands.publish(`socket.io#/#${client.id}#`, encode(
    ['node01', { type: 3, id: 1, data: ['two', { n: 1 }], nsp: '/' },
     { rooms: [client.id] }]));

  await gw.settle(client);
  emitter.in('go').disconnectSockets(true);
  await until(() => client.disconnects.length > 0, 'the end');
}

async function traffic(t) {
  const gw = await gateway(t, {
    block: { namespace: '/ /admin', recovery: '60s' },
    location: { socketio_deflate: '1' },
  });
  const line = await tap(gw.port);
  const reader = await gw.redis.client();
  await reader.pSubscribe('socket.io*', (bytes) => {
    seed('adapter', bytes);
    seed(bytes[0] === '{'.charCodeAt(0) ? 'json' : 'msgpack', bytes);
  }, true);

  const threshold = 0;
  for (const options of [
    { transports: ['websocket'] }, { transports: ['polling'] },
    { transports: ['polling', 'websocket'] },
    { transports: ['websocket'], perMessageDeflate: { threshold } },
    { transports: ['polling', 'websocket'],
      perMessageDeflate: { threshold, clientMaxWindowBits: 9,
                           zlibDeflateOptions: { level: 9, memLevel: 1 } } },
    { transports: ['websocket'],
      perMessageDeflate: { threshold, serverMaxWindowBits: 9,
                           clientNoContextTakeover: true,
                           serverNoContextTakeover: true,
                           zlibDeflateOptions: {
                             strategy: zlib.constants.Z_FIXED } } },
  ]) {
    await backend(gw, await speak(gw, line.url, options));
  }

  line.close();
  reader.destroy();
}

// How fuzz_record.c makes a message of its input: type, flags, namespace, how
// many rooms, others that are left out, arguments and parts, an argument; then
// names and parts, with thirds and fifths of their lengths in front.
const RECORDS = [
  [1, 0, 0, 0, 0, 0, 1, 0, 2, '42["hello"'],
  [1, 1, 1, 1, 1, 0, 3, 0, 1, 'abc', 2, 'except', 2, '451-["e",{', 1, 'bytes',
   0],
  [2, 0, 0, 1, 0, 2, 0, 0, 1, 'abc', 1, 'def', 2, 'ghijkl'],
  [4, 2, 0, 2, 0, 0, 0, 0, 1, 'abc', 1, 'def'],
  [5, 4, 0, 0, 0, 0, 0, 0],
  [6, 128, 0, 2, 0, 0, 1, 3, 7, 'bxSlDIguDLlZxhpzAAAA_', 1, 'sid', 1, '40{}.'],
  [7, 0, 0, 1, 0, 0, 1, 9, 7, 'bxSlDIguDLlZxhpzAAAA_', 1, '[1,2]'],
  [8, 0, 0, 0, 0, 0, 0, 0],
].map((list) => Buffer.concat(list.map((it) => (
  typeof it === 'string' ? Buffer.from(it) : Buffer.from([it])))));

async function main() {
  const ends = [];

  RECORDS.forEach((bytes) => seed('record', bytes));

  for (const { bytes } of loadCases().cases) {
    seed('ws', bytes);
  }
  try {
    await traffic({ after: (end) => ends.push(end) });
  } finally {
    for (const end of ends) {
      await end();
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
