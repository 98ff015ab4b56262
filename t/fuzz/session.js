'use strict';

// What a fuzzer does to a gateway: sessions of both transports, messages of a
// backend, deaths of workers.  Nobody expects an answer: what comes is read,
// and what is in it of use (ids, offsets) is kept for all.

const { setTimeout: delay } = require('node:timers/promises');

const { parallel, SLOW } = require('../gateway/lib/expect');
const { dial, exchange, request } = require('../gateway/lib/http');
const { encode } = require('../gateway/lib/msgpack');
const { frame, handshake, deflate } = require('../gateway/lib/ws');
const { damage } = require('./random');
const { packets, connect, room, value, NAMESPACES } = require('./packets');

const RS = '\x1e';
const KEPT = 64;
const LINGER = 40000 * SLOW;    // ms; that long a session may live untouched
const PATH = '/socket.io/?EIO=4';
const OFFERS = [
  'permessage-deflate', 'permessage-deflate; client_max_window_bits',
  'permessage-deflate; server_max_window_bits=9', 'mux, permessage-deflate',
  'permessage-deflate; server_max_window_bits=7', ';;;',
];

/** What is known of sessions and sockets that are or were there. */
class Known {
  constructor() {
    this.sessions = [];
    this.sockets = [];
    this.acks = [];
    this.opened = new Map();    // Engine.IO ids, and when they were learnt
    this.counts = new Map();
  }

  /** Reads what a server has sent; the Engine.IO id, if it is there. */
  learn(text) {
    const sockets = /40[^{]{0,20}\{"sid":"([\w-]+)","pid":"([\w-]+)"/g;
    let own;

    for (const [, sid] of text.matchAll(/0\{"sid":"([\w-]+)","upg/g)) {
      this.#keep(this.sessions, sid);
      this.opened.set(sid, performance.now());
      own = sid;
    }
    for (const [, sid, pid] of text.matchAll(sockets)) {
      this.#keep(this.sockets, { sid, pid });
      this.count('socket');
    }
    for (const [, id] of text.matchAll(/4[25][^[]{0,20}?(\d+)\[/g)) {
      this.#keep(this.acks, id);
    }
    for (const [, offset] of text.matchAll(/,"([\w-]{6,40})"\]/g)) {
      const last = this.sockets.at(-1);
      if (last) {
        last.offset = offset;
      }
    }
    return own;
  }

  count(what) {
    this.counts.set(what, (this.counts.get(what) || 0) + 1);
  }

  #keep(list, one) {
    list.push(one);
    if (list.length > KEPT) {
      list.shift();
    }
  }
}

/** A connection that takes whatever is sent, and whatever becomes of it. */
class Link {
  static async open(fuzz) {
    const link = new Link(fuzz, await dial(fuzz.gw.where));
    fuzz.links.add(link);
    return link;
  }

  constructor(fuzz, socket) {
    this.socket = socket;
    this.closed = false;

    socket.on('data', (bytes) => {
      this.sid = fuzz.known.learn(bytes.toString('latin1')) || this.sid;
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      this.closed = true;
      fuzz.links.delete(this);
    });
  }

  write(bytes) {
    if (!this.closed) {
      this.socket.write(bytes);
    }
  }

  /** In two pieces with some time between them, or the first one only. */
  async dribble(random, bytes) {
    const cut = random.below(bytes.length + 1);

    this.write(bytes.subarray(0, cut));
    await this.answer(random.below(200));
    if (random.chance(0.3)) {
      this.end(random);
    } else {
      this.write(bytes.subarray(cut));
    }
  }

  /** Until something has come, or some time has passed. */
  async answer(ms) {
    if (this.closed) {
      return;
    }
    const stop = new AbortController();
    const end = () => stop.abort();

    this.socket.once('data', end);
    this.socket.once('close', end);
    await delay(ms, null, { signal: stop.signal }).catch(() => {});
    this.socket.off('data', end);
    this.socket.off('close', end);
  }

  /** Node would never close a socket that is reset as it shuts down. */
  end(random) {
    const { socket } = this;

    switch (random.below(3)) {
    case 0:
      socket.end();
      break;
    case 1:
      if (!socket.writableEnded) {
        socket.resetAndDestroy();
        break;
      }
      // falls through
    default:
      socket.destroy();
    }
  }
}

/** The bytes of a packet in compressed frames, now and then far too many. */
function packed(random, opcode, data) {
  const one = random.chance(0.05) ? Buffer.alloc(1 << 20, data) : data;
  const right = deflate(one, { level: random.below(10) });
  const bytes = random.chance(0.2) ? damage(random, right) : right;
  const at = random.chance(0.3) ? random.below(bytes.length + 1) : 0;

  return at === 0 ? frame(opcode, bytes, { rsv: 4 })
    : Buffer.concat([
      frame(opcode, bytes.subarray(0, at), { rsv: 4, fin: false }),
      random.chance(0.3) ? frame(9, 'ping', { rsv: random.pick([0, 0, 4]) })
        : Buffer.alloc(0),
      frame(0, bytes.subarray(at), { rsv: random.chance(0.9) ? 0 : 4 })]);
}

/** The bytes of a packet in one frame, which is right. */
function sound(random, data, deflates) {
  const opcode = typeof data === 'string' ? 1 : 2;

  return deflates && random.chance(0.5)
    ? frame(opcode, deflate(data), { rsv: 4 }) : frame(opcode, data);
}

/** The bytes of a packet in one frame or more, often not quite right. */
function frames(random, data, deflates) {
  const bytes = Buffer.from(data);
  const opcode = typeof data === 'string' ? 1 : 2;

  if (random.chance(deflates ? 0.5 : 0.02)) {
    return packed(random, opcode, bytes);
  }

  switch (random.below(14)) {
  case 0: {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([
      frame(opcode, bytes.subarray(0, at), { fin: false }),
      random.chance(0.3) ? frame(9, random.bytes(random.below(140)))
        : Buffer.alloc(0),
      frame(random.chance(0.8) ? 0 : opcode, bytes.subarray(at)),
    ]);
  }
  case 1:
    return damage(random, frame(opcode, bytes));
  case 2:
    return frame(random.below(16), bytes, {
      rsv: random.below(8), masked: random.chance(0.5),
      fin: random.chance(0.5),
    });
  case 3: {
    const head = Buffer.alloc(14);
    head[0] = 0x80 | opcode;
    head[1] = 0xff;
    head.writeUInt32BE(random.pick([0, 1, 0x7fffffff, 0xffffffff]), 2);
    head.writeUInt32BE(random.below(4294967296), 6);
    return Buffer.concat([head, bytes]);
  }
  case 4:
    return Buffer.concat([frame(9, random.bytes(random.below(126))),
                          frame(10, random.bytes(random.below(126)))]);
  default:
    return frame(opcode, bytes);
  }
}

/** The namespaces that a session is going to be in. */
function choose(random) {
  const some = NAMESPACES.filter((_, i) => random.chance(i ? 0.2 : 0.8));
  return some.length > 0 ? some : ['/chat'];
}

const greet = (random, known, nsps) => nsps.map(
  (nsp) => connect(random, known, nsp));

/**
 * A session by WebSocket, or the second half of one that polls: that has an id,
 * and namespaces; the link may have been used for requests before.
 */
async function websocket(fuzz, random, { sid, used, own } = {}) {
  const { known } = fuzz;
  const nsps = own || choose(random);
  const link = used && !used.closed ? used : await Link.open(fuzz);
  const deflates = random.chance(0.5);
  // Who breaks the rules of frames does not get far.
  const make = random.chance(0.5) ? sound : frames;
  const written = (list) => Buffer.concat(
    list.map((one) => make(random, one, deflates)));
  const head = Buffer.from(handshake({
    path: `${PATH}&transport=websocket${sid ? `&sid=${sid}` : ''}`,
    headers: {
      'Sec-WebSocket-Extensions': deflates ? random.pick(OFFERS) : null,
    },
  }));
  const probe = frame(1, random.chance(0.9) ? '2probe' : '5');
  const upgrade = frame(1, '5');

  if (random.chance(0.1)) {
    // Nobody has to wait for an answer before frames.
    link.write(Buffer.concat([head, ...(sid ? [probe, upgrade] : [])]));
  } else {
    link.write(random.chance(0.05) ? damage(random, head) : head);
    if (random.chance(0.9)) {
      await link.answer(1000);
    }
    if (sid) {
      link.write(probe);
      await link.answer(300);
      if (random.chance(0.15)) {
        known.count('aborted');
        link.end(random);
        return;
      }
      if (random.chance(0.8)) {
        link.write(upgrade);
      }
    }
  }

  if (!own) {
    link.write(written(greet(random, known, nsps)));
    await link.answer(random.below(100));
  }

  // Who does not read is closed when too much waits for him.
  if (random.chance(0.05)) {
    link.socket.pause();
  }

  for (const _ of fuzz.steps(random, 15)) {
    const bytes = written(packets(random, known, nsps));

    if (random.chance(0.1)) {
      await link.dribble(random, bytes);
    } else {
      link.write(bytes);
    }
    if (link.closed) {
      break;
    }
    await link.answer(random.below(60));
  }

  if (random.chance(0.3)) {
    link.write(frame(8, random.bytes(random.below(5))));
    await link.answer(100);
  }
  if (!random.chance(0.1)) {
    link.end(random);
  }
}

function payload(random, known, nsps) {
  const list = Array.from({ length: 1 + random.below(4) },
                          () => packets(random, known, nsps)).flat();
  const bytes = Buffer.from(list.map((one) => (
    typeof one === 'string' ? one : `b${one.toString('base64')}`)).join(RS));

  return random.chance(0.1) ? damage(random, bytes) : bytes;
}

/** A request of a session; now and then one that it should not make. */
function polling(random, known, sid, nsps = NAMESPACES) {
  const whose = random.chance(0.95) ? sid
    : random.pick(known.sessions) || 'none';
  const path = `${PATH}&transport=polling${whose ? `&sid=${whose}` : ''}`;
  let bytes;

  if (random.chance(0.45)) {
    bytes = request('GET', path);
  } else if (random.chance(0.95)) {
    bytes = request('POST', path, {
      body: payload(random, known, nsps),
      chunks: random.chance(0.2) ? 1 + random.below(100) : undefined,
      headers: random.chance(0.05) ? { Expect: '100-continue' } : {},
    });
  } else {
    bytes = request(random.pick(['OPTIONS', 'DELETE', 'HEAD', 'PUT']), path,
                    { headers: { Origin: 'http://localhost' } });
  }
  return random.chance(0.05) ? damage(random, bytes) : bytes;
}

/** A session by long-polling over some connections. */
async function poller(fuzz, random) {
  const first = await Link.open(fuzz);
  const links = [first];
  const nsps = choose(random);

  first.write(request('GET', `${PATH}&transport=polling`));
  await first.answer(1000);

  const { sid } = first;
  if (!sid) {
    first.end(random);
    return;
  }
  first.write(request('POST', `${PATH}&transport=polling&sid=${sid}`, {
    body: greet(random, fuzz.known, nsps).join(RS),
  }));

  for (const _ of fuzz.steps(random, 15)) {
    let link = random.pick(links);

    if (link.closed || random.chance(0.3)) {
      link = await Link.open(fuzz);
      links.push(link);
    }

    // Several at once are a pipeline.
    const bytes = Buffer.concat(Array.from(
      { length: random.chance(0.1) ? 4 : 1 },
      () => polling(random, fuzz.known, sid, nsps)));

    if (random.chance(0.1)) {
      await link.dribble(random, bytes);
    } else {
      link.write(bytes);
    }
    await link.answer(random.below(80));
    if (random.chance(0.1)) {
      link.end(random);
    }

    // Now and then on a connection that had requests, or twice at once.
    if (random.chance(0.1)) {
      await Promise.all(Array.from(
        { length: random.chance(0.2) ? 2 : 1 },
        () => websocket(fuzz, random, {
          sid, used: random.chance(0.3) && link, own: nsps,
        })));
    }
  }

  if (random.chance(0.5)) {
    links[0].write(request('POST', `${PATH}&transport=polling&sid=${sid}`,
                           { body: '1' }));
    await links[0].answer(100);
  }
  for (const link of links) {
    if (!link.closed) {
      link.end(random);
    }
  }
}

async function noise(fuzz, random) {
  const link = await Link.open(fuzz);

  link.write(random.chance(0.5) ? random.bytes(random.below(500))
    : damage(random, polling(random, fuzz.known, 'none')));
  await link.answer(random.below(100));
  link.end(random);
}

/** One of those who come and go until the end. */
async function visitor(fuzz, random) {
  while (fuzz.running) {
    const kind = random.pick([websocket, websocket, poller, poller, noise]);

    fuzz.known.count(kind.name);
    // While all workers are away, the connection may be refused or reset.
    await kind(fuzz, random).catch((error) => {
      if (!error.code) {
        throw error;
      }
    });
  }
}

/** An event that asks for answers, or the answer to one of a client. */
function relayed(random, nsp, target) {
  const packet = { data: ['ask', value(random)], nsp };

  if (random.chance(0.3)) {
    packet.type = 3;
    packet.id = random.below(1000);
    return ['#', target, ['node01', packet, { rooms: [target] }]];
  }
  packet.type = 2;
  return ['-request#', '', {
    uid: random.pick(['backend', 'abc123']), requestId: `q${random.below(99)}`,
    type: 7, packet,
    opts: {
      rooms: [target], except: [],
      flags: { timeout: random.pick([50, 1000, 5000]) },
    },
  }];
}

/** A backend, whose messages are damaged now and then. */
async function backend(fuzz, random) {
  const { redis, emitter } = fuzz.gw;
  const publish = (channel, message) => redis.commands.publish(
    channel, random.chance(0.2) ? damage(random, Buffer.from(message))
      : message);
  const stock = new emitter.constructor({ publish });

  while (fuzz.running) {
    const nsp = random.pick(NAMESPACES);
    const target = random.chance(0.8) ? room(random)
      : random.pick(fuzz.known.sockets)?.sid || 'nobody';
    const to = stock.of(nsp).to(target);

    switch (random.below(14)) {
    case 0:
      to.socketsJoin(room(random));
      break;
    case 1:
      to.socketsLeave([room(random), room(random)]);
      break;
    case 2:
      to.disconnectSockets(random.chance(0.3));
      break;
    case 3:
      to.emit('blob', random.bytes(random.below(400)), value(random));
      break;
    case 4:
      publish(`socket.io${random.pick(['#', '-request#'])}${nsp}#${
        random.pick(['', `${room(random)}#`])}`,
              random.bytes(random.below(60)));
      break;
    case 5:
      stock.of(nsp).except(room(random)).emit(
        'all', random.chance(0.3) ? 'z'.repeat(50000) : value(random));
      break;
    case 6:
    case 7: {
      const [kind, name, message] = relayed(random, nsp, target);
      publish(`socket.io${kind}${nsp}#${name && `${name}#`}`, encode(message));
      break;
    }
    default:
      to.emit('message', value(random));
    }
    fuzz.known.count('publish');
    await delay(random.below(20));
  }
}

/** Who kills, stops and reloads, one after the other, until it is calm. */
async function reaper(fuzz, random) {
  const { nginx } = fuzz.gw;

  while (fuzz.running && fuzz.left > 0) {
    const workers = nginx.workers();
    const pid = random.pick(workers);
    const what = random.pick(['kill', 'reload', 'stop', 'kill']);

    fuzz.known.count(what);
    if (what === 'kill') {
      nginx.killWorker(pid);
      await fuzz.whole((now) => !now.includes(pid));
    } else if (what === 'reload') {
      await nginx.reload();
    } else {
      process.kill(pid, 'SIGSTOP');
      await delay(200 + random.below(600));
      process.kill(pid, 'SIGCONT');
    }
    await fuzz.pause(1000 + random.below(2000));
  }
  await watch(fuzz);
}

/** Notes which workers are there when it is calm, and which of them serve. */
async function watch(fuzz) {
  const { gw, served } = fuzz;

  await fuzz.whole(() => true);
  fuzz.workers = gw.nginx.workers();

  while (fuzz.running) {
    const links = [...fuzz.links].map(({ socket }) => socket);
    gw.workersOf(links).forEach((pid) => served.add(pid));
    await delay(100);
  }
}

class Fuzz {
  /**
   * whole(test): waits until all workers are there and test(pids) holds; calm:
   * so many of the seconds are the last ones, in which nobody kills.  Then
   * workers has those that are there, and served those of them, and of leaving
   * ones, that had connections.
   */
  constructor(gw, { seconds, calm, visitors, random, whole }) {
    Object.assign(this, { gw, calm, visitors, random, whole });
    this.end = performance.now() + seconds * 1000;
    this.failed = false;
    this.workers = [];
    this.served = new Set();
    this.links = new Set();
    this.known = new Known();
  }

  get running() {
    return !this.failed && performance.now() < this.end;
  }

  /** So many steps at most, of which there may be none. */
  * steps(random, most) {
    for (let left = random.below(most + 1); left > 0 && this.running; left--) {
      yield left;
    }
  }

  /** Milliseconds until it is calm. */
  get left() {
    return Math.max(this.end - this.calm * 1000 - performance.now(), 0);
  }

  pause(ms) {
    return delay(Math.min(ms, this.left));
  }

  /**
   * Polls the sessions that may be left: one that broke the protocol waits half
   * a minute for whom it can tell so.
   */
  async fetch() {
    const { opened } = this.known;
    const since = performance.now() - LINGER;
    const list = [...opened].filter(([, when]) => when > since);

    await parallel(list, 25, async ([sid]) => {
      const path = `${PATH}&transport=polling&sid=${sid}`;
      const answer = await exchange(this.gw.where, request('GET', path))
        .catch(() => ({ body: '' }));
      if (answer.body.includes('Session ID unknown')) {
        opened.delete(sid);
      }
    });
  }

  /** Runs all until the time is over, then breaks off what is left. */
  async run() {
    const roles = [backend, reaper,
                   ...Array.from({ length: this.visitors }, () => visitor)];

    try {
      await Promise.all(roles.map(async (role) => {
        try {
          await role(this, this.random.fork());
        } finally {
          this.failed ||= this.running;
        }
      }));
    } finally {
      for (const link of this.links) {
        link.socket.destroy();
      }
    }
    return Object.fromEntries(this.known.counts);
  }
}

module.exports = { Fuzz };
