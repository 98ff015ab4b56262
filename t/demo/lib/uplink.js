'use strict';

// Consumers of the demo's backend on a Redis of the test's own.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { Program } = require('../../gateway/lib/processes');
const { Redis } = require('../../gateway/lib/redis');
const { until } = require('../../gateway/lib/expect');

const BACKEND = path.resolve(__dirname, '../../../demo/backend');
const STREAM = 'up';
const GROUP = 'chat';

class UplinkScene {
  children = [];

  async start() {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-uplink-'));
    this.redis = new Redis(this.dir);
    await this.redis.start();
    this.module = await import(path.join(BACKEND, 'uplink.js'));
    this.connections = await import(path.join(BACKEND, 'redis.js'));
  }

  async end() {
    this.children.forEach((it) => it.kill('SIGKILL'));
    await this.redis.stop();
    fs.rmSync(this.dir, { recursive: true, force: true });
  }

  get url() {
    return `redis://127.0.0.1:${this.redis.port}`;
  }

  /** What the gateway does with an event; returns the entry's id. */
  add(event, args = [], fields = {}) {
    return this.redis.commands.xAdd(STREAM, '*', {
      event, user: 'ann', sid: 'S', nsp: '/', args: JSON.stringify(args),
      ack: '', node: 'n', time: '1', ...fields,
    });
  }

  /**
   * A consumer in this process, stopped at the end of the test.  handle: as
   * that of the backend; seen: the entries that it was called with.
   */
  async consume(t, handle = () => {}, options = {}) {
    const redis = this.connections.createRedis(this.url);
    await redis.connect();

    const uplink = new this.module.Uplink({
      redis,
      stream: STREAM,
      group: GROUP,
      consumer: 'one',
      claimAfter: 100,
      block: 20,
      log: (line) => uplink.lines.push(line),
      handle: async (entry) => {
        uplink.seen.push(entry);
        await handle(entry);
      },
      ...options,
    });
    uplink.seen = [];
    uplink.lines = [];
    uplink.events = () => uplink.seen.map((it) => it.event);

    t.after(async () => {
      await uplink.stop();
      // node-redis keeps a connection that is being made when it is destroyed
      await until(() => redis.isReady, 'Redis is back');
      redis.destroy();
    });
    await uplink.start();
    return uplink;
  }

  /**
   * A consumer in a process of its own.  It pushes the events that it was
   * called with to the list `called`, and those it is done with to `done`.
   * then: what it does with an event named "bad": "hang" or "die".
   */
  child(consumer, then) {
    const child = new Program(process.execPath, [
      path.join(__dirname, 'consumer.mjs'), this.url, STREAM, GROUP, consumer,
      then,
    ]);
    this.children.push(child);
    return child;
  }

  list(name) {
    return this.redis.commands.lRange(name, 0, -1);
  }

  /** Entries that were delivered, and not acknowledged. */
  async pending() {
    const { pending } = await this.redis.commands.xPending(STREAM, GROUP)
      .catch(() => ({ pending: 0 }));
    return pending;
  }

  /** Waits until all that there is was delivered and acknowledged. */
  idle() {
    return until(async () => {
      const [group] = await this.redis.commands.xInfoGroups(STREAM)
        .catch(() => []);
      return group?.pending === 0 && group.lag === 0;
    }, 'nothing is left to do');
  }

  /** The dead letters, as objects. */
  async dead() {
    const list = await this.redis.commands.xRange(`${STREAM}:dead`, '-', '+');
    return list.map((it) => ({ ...it.message }));
  }

  empty() {
    return this.redis.commands.flushAll();
  }
}

module.exports = { UplinkScene, STREAM, GROUP };
