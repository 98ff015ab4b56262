'use strict';

// Events of 200 clients for a backend, on two nodes with four workers each,
// while workers are killed and replaced, Redis is killed and comes back with
// what it had confirmed, and the backend is killed and goes on.
//
// What its client was told is true of each event, none is passed over in
// silence, and each socket's are done in the order in which they were sent.
//
// SEED=n begins with the same random numbers again.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { start, replaced, counts, same, status } = require('./lib/site');
const { Sender, Troubles, tally, none } = require('./lib/uplink');
const { scale } = require('./lib/scale');
const { generator } = require('../cluster/lib/people');
const { Redis } = require('../gateway/lib/redis');
const { Program } = require('../gateway/lib/processes');
const { until, parallel, SLOW } = require('../gateway/lib/expect');

const CLIENTS = 200;
const EVENTS = scale(6000, 100000);
const RATE = scale(600, 700) / SLOW;
const TIMEOUT = scale(10000, 15000) * SLOW;
const LATE = 5000 * SLOW;       // ms for which a trouble is felt
const PING = 12000 * SLOW;      // ms until it is noticed that one is gone
const ANSWER = 6000 * SLOW;     // ms that an answer takes at most
const PAUSE = scale(300, 1500); // ms between two troubles, at most

const KINDS = ['websocket', 'polling', 'upgrade'];
const STREAM = 'mew:uplink';
const GROUP = 'chat';

// Some send too much at once now and then.
const HASTY = 40;
const HASTE = 60;
const TICK = 10;

const PLAN = scale(
  ['kill', 'consumer', 'reload', 'redis', 'consumer', 'kill'],
  Array(10).fill([
    'kill', 'consumer', 'kill', 'reload', 'kill', 'redis', 'kill', 'consumer',
    'kill', 'reload',
  ]).flat());

class Uplink {
  constructor(t, random) {
    this.t = t;
    this.random = random;
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-uplink-'));
    this.file = path.join(this.dir, 'done');
    this.redis = new Redis(this.dir, {
      // what is confirmed is on the disk
      args: ['--appendonly', 'yes', '--appendfsync', 'always'],
    });
    this.nodes = [];
    this.troubles = new Troubles();
    this.consumers = 0;
    this.book = { random, timeout: TIMEOUT, events: new Map(),
                  ends: [] };
  }

  async start() {
    await this.redis.start();
    for (let i = 0; i < 2; i++) {
      this.nodes.push(await start(this.t, {
        redis: this.redis,
        block: { zone: '32m', recovery: '4s', drain: '1s', node: `n${i}` },
        location: {
          // so soon a server is missed by an official client whose upgrade
          // was cut off when it had paused its polling
          socketio_ping_interval: `${3 * SLOW}s`,
          socketio_ping_timeout: `${4 * SLOW}s`,
          socketio_forward: [`* stream=${STREAM} maxlen=0`],
          socketio_limit: 'events=20/s burst=40',
        },
      }));
    }
    this.t.after(() => this.#end());
    await this.redis.commands.xGroupCreate(STREAM, GROUP, '$',
                                           { MKSTREAM: true });
    this.consume();
  }

  async connect() {
    await Promise.all(this.nodes.map((node) => node.live()));
    this.before = await parallel(this.nodes, 2, rest);
    this.senders = await parallel(
      Array.from({ length: CLIENTS }, (_, i) => i), 20, async (i) => (
        new Sender(this.book, `u${i}`, KINDS[i % 3], this.nodes[i >> 1 & 1])
          .ready(1, 20000)));
  }

  /** Starts a backend, one at a time. */
  consume() {
    this.consumer = new Program(process.execPath, [
      path.join(__dirname, 'lib/uplink_consumer.js'),
      this.redis.port, STREAM, GROUP, `worker-${++this.consumers}`, this.file,
    ]);
  }

  /** Sends at a steady rate until there are so many; then it resolves. */
  send() {
    const begin = performance.now();
    const { events } = this.book;
    let turn = 0;

    return new Promise((resolve) => {
      this.timer = setInterval(() => {
        const due = Math.min(EVENTS, (performance.now() - begin) / 1000 * RATE);
        while (events.size < due) {
          const sender = this.senders[turn++ % CLIENTS];
          const hasty = turn % CLIENTS % HASTY === 0 && this.random() < 0.1;
          for (let i = hasty ? HASTE : 1; i > 0; i--) {
            sender.next();
          }
        }
        if (events.size >= EVENTS) {
          clearInterval(this.timer);
          resolve();
        }
      }, TICK);
    });
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  async trouble(what) {
    await delay(this.random() * PAUSE);
    await this[`_${what}`]();
  }

  async _kill() {
    const node = this.pick(this.nodes);
    const pair = await node.feedPair();
    const workers = node.nginx.workers();
    const victim = this.pick(this.random() < 0.3 ? pair : workers);

    await this.troubles.during('kill', node, async () => {
      node.nginx.killWorker(victim);
      await replaced(node, [victim]);
    });
  }

  async _reload() {
    const node = this.pick(this.nodes);

    await node.feedPair();
    await this.troubles.during('reload', node, () => node.nginx.reload());
  }

  async _redis() {
    await this.troubles.during('redis', null, async () => {
      await this.redis.stop('SIGKILL');
      await delay(this.random() * 1000);
      await this.redis.start();
      await until(async () => /loading:0/.test(
        await this.redis.commands.sendCommand(['INFO', 'persistence'])),
                  'Redis has loaded its data', 20000);
    });
  }

  async _consumer() {
    await this.troubles.during('consumer', null, async () => {
      await this.consumer.stop('SIGKILL');
      await delay(this.random() * 300);
      this.consume();
    });
  }

  /** Waits until each event has come to an end. */
  async settle() {
    const open = () => [...this.book.events.values()].filter(
      (it) => (it.note ? !it.on : !it.outcome));
    await until(() => open().length === 0,
                () => `all events are over; not so: ${
                  open().slice(0, 3).map((it) => it.id)}`, TIMEOUT + 20000);
    await this.#drained();
  }

  /** All that the backend has done, in order; what came again is counted. */
  done() {
    const lines = fs.readFileSync(this.file, 'utf8').split('\n')
      .filter(Boolean).map((line) => JSON.parse(line));

    this.again = lines.filter((it) => it.again).length;
    this.told = new Map();
    for (const { told = [], at } of lines) {
      for (const id of told) {
        this.told.set(id, [...this.told.get(id) ?? [],
                           at - performance.timeOrigin]);
      }
    }
    return lines.filter((it) => it.id);
  }

  /** All entries of the stream: events, and sockets that come and go. */
  async entries() {
    const all = [];

    for (let from = '-'; ;) {
      const page = await this.redis.commands.xRange(STREAM, from, '+',
                                                    { COUNT: 2000 });
      if (page.length === 0) {
        return all;
      }
      all.push(...page.map(({ message }) => ({ ...message })));
      from = `(${page.at(-1).id}`;
    }
  }

  /** When a node has told its log that it may have missed messages. */
  gaps(node) {
    return node.nginx.log(/may have lost messages/).map((line) => (
      new Date(line.slice(0, 19).replaceAll('/', '-').replace(' ', 'T'))
      - performance.timeOrigin));
  }

  /** True if that was soon after this time; the log tells seconds. */
  gap(node, time) {
    return this.gaps(node).some((it) => it > time - 1000 && it < time + LATE);
  }

  /** Waits until the backend has done all that is in the stream. */
  #drained() {
    return until(async () => {
      const [it] = await this.redis.commands.xInfoGroups(STREAM);
      return it.pending === 0 && it.lag === 0;
    }, () => `the backend has done all: ${this.consumer.output}`, 20000);
  }

  async #end() {
    clearInterval(this.timer);
    await this.consumer?.stop('SIGKILL');
    await this.redis.stop('SIGKILL');
    if (!process.env.SIO_KEEP) {
      fs.rmSync(this.dir, { recursive: true, force: true });
    }
  }
}

/** The counts of a node when the first client has left. */
async function rest(node) {
  let now;

  await until(async () => {
    now = await counts(node);
    return now.sessions + now.users + now.rooms === 0;
  }, 'nobody is there', 20000);
  return now;
}

function silence({ note, on, by, from, sent, to }) {
  const after = (time) => Math.round(time - from);

  return `was lost in silence${note ? ' (note)' : ''}, sent after ${
    after(sent)} ms, judged after ${after(to)}, its connection ended after ${
    after(by.closed.get(on))}`;
}

/** What a client was told of its event, held against what was done. */
function fault(it, done, up) {
  const stored = done.has(it.id);
  const lost = !it.on || it.by.lost(it, PING);
  const away = (from, to) => up.troubles.near(from, to, LATE, ['redis']);

  switch (it.outcome) {
  case 'stored':
    return stored ? '' : 'was answered and not done';
  case 'rate_limited':
    return stored ? 'was refused and done' : '';
  case 'unavailable':
    return away(it.to, it.to) ? '' : `was refused ${up.troubles.tell(it.to)}`;
  case 'disconnect':
    return lost ? '' : 'has its connection';
  case 'timeout': {
    // an answer may be lost with Redis, or in a gap of the feed that the log
    // tells of; an event may not
    if (!stored) {
      return lost ? '' : silence(it);
    }
    const told = (up.told.get(it.id) ?? []).filter((at) => at < it.to - ANSWER);
    if (lost || (told.length === 0 && away(it.from, it.to))) {
      return '';
    }
    return told.length > 0 && told.every((at) => (
      away(at, at + ANSWER) || up.gap(it.by.gw, at))) ? ''
      : `was not answered ${up.troubles.tell(told[0] ?? it.to)}`;
  }
  case null:
    return stored || lost ? '' : silence(it);
  default:
    return it.outcome;
  }
}

/** Events of a list that stand behind a later one of the same key. */
function late(list, key) {
  const last = new Map();

  return list.filter((it) => {
    const before = last.get(key(it));
    if (!before || before.n < it.n) {
      last.set(key(it), it);
      return false;
    }
    return true;
  });
}

/**
 * What is wrong with the entries of a socket.  They are "$connect", events,
 * "$disconnect", and the same again for each recovery.  What a worker that died
 * had sent last may come behind; what was not confirmed may come twice, and a
 * "$connect" not at all: then its client was closed.
 */
function wrong(list, up) {
  const near = (it) => {
    const time = it.time - performance.timeOrigin;
    return up.troubles.near(time, time, LATE, ['kill', 'redis']);
  };
  let online = false;
  let came = false;

  for (const it of list) {
    if (it.event === '$connect') {
      if (online && !near(it)) {
        return '$connect without $disconnect';
      }
      if (Boolean(it.recovered) !== came && !near(it)) {
        return `$connect ${it.recovered ? 'recovered ' : ''}at that time`;
      }
      online = true;
      came = true;
    } else if (!online && !near(it)) {
      return `${it.event} of one who is not there`;
    } else if (it.event === '$disconnect') {
      online = false;
    }
  }
  return online ? 'no $disconnect' : '';
}

test(`${EVENTS} events of ${CLIENTS} clients`, async (t) => {
  const seed = Number(process.env.SEED || Date.now() % 1e6);
  t.diagnostic(`SEED=${seed}`);
  const up = new Uplink(t, generator(seed));
  const { events } = up.book;
  let list;
  let done;

  await t.test('are sent, whatever happens', async () => {
    await up.start();
    await up.connect();
    const sent = up.send();
    for (const what of PLAN) {
      await up.trouble(what);
    }
    await sent;
    await up.settle();
    list = up.done();
    done = new Map(list.map((it) => [it.id, it]));
  });

  await t.test('and their clients know', () => {
    const all = [...events.values()];
    t.diagnostic(JSON.stringify(tally(all.map((it) => it.outcome ?? (
      done.has(it.id) ? 'note, done' : 'note, lost')))));
    t.diagnostic(JSON.stringify(tally(up.troubles.list.map((it) => it.what))));
    t.diagnostic(JSON.stringify(tally(up.book.ends)));
    t.diagnostic(`gaps: ${up.nodes.map((it) => up.gaps(it).length)}`);

    none(all.map((it) => [it, fault(it, done, up)])
      .filter(([, what]) => what)
      .map(([it, what]) => `${it.id} of ${it.by.kind} ${what}`), 'events');
    const stored = all.filter((it) => it.outcome === 'stored').length;
    assert.ok(stored > EVENTS * 0.4, `${stored} were answered`);
  });

  await t.test('are done once', async () => {
    const inStream = (await up.entries()).filter((it) => it.event[0] !== '$')
      .map((it) => JSON.parse(it.args)[0]);
    t.diagnostic(`${list.length} done, ${up.again} came again`);
    assert.equal(done.size, list.length);
    // nothing is ever sent twice
    assert.equal(new Set(inStream).size, inStream.length);
    assert.deepEqual(inStream.filter((id) => !done.has(id)), []);
    assert.equal(inStream.length, list.length);
  });

  await t.test('are what was sent', () => {
    const binary = list.filter((it) => it.bins.length > 0);
    assert.ok(binary.length > EVENTS / 20);
    none(list.filter((it) => {
      const event = events.get(it.id);
      return event.n !== it.n || event.by.name !== it.user
        || !event.by.sids.has(it.sid)
        || event.bins.join() !== it.bins.join();
    }).map((it) => it.id), 'are not');
  });

  await t.test('are done in order', () => {
    const sender = (it) => events.get(it.id).by;
    none(late(list, (it) => events.get(it.id).on).map((it) => it.id),
         'events of a connection are late');
    // what a worker has sent last may come behind when it died
    const across = late(list, (it) => it.user).map((it) => events.get(it.id));
    t.diagnostic(`${across.length} came behind one of the next connection`);
    none(across.filter((it) => !up.troubles.near(
      it.from, it.from, LATE, ['kill', 'redis'], sender(it).gw))
      .map((it) => `${it.id} of ${it.by.kind}`), 'events are late');
  });

  await t.test('and nothing is left', async () => {
    up.senders.forEach((it) => it.close());
    await Promise.all(up.nodes.map((node, i) => (
      same(node, up.before[i], 20000))));
    for (const node of up.nodes) {
      await until(async () => (await status(node)).forward.waiting === 0,
                  'all ends are told');
      assert.equal((await status(node)).forward.lost, 0);
    }
  });

  await t.test('and each socket came and went', async () => {
    const sockets = new Map();
    for (const entry of await up.entries()) {
      if (!sockets.has(entry.sid)) {
        sockets.set(entry.sid, []);
      }
      sockets.get(entry.sid).push(entry);
    }
    for (const it of ['$connect', '$disconnect']) {
      t.diagnostic(`${[...sockets.values()].flat().filter(
        ({ event }) => event === it).length} ${it}`);
    }
    none([...sockets].map(([sid, it]) => [sid, wrong(it, up)])
      .filter(([, what]) => what)
      .map(([sid, what]) => `${sid}: ${what}`), 'sockets');
  });
});
