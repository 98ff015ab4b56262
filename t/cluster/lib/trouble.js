'use strict';

// All that may happen to a cluster, at random: what users do, and what breaks.

const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');

const { whileStopped } = require('../../gateway/lib/processes');
const { People } = require('./people');
const { TRANSPORTS } = require('./cluster');

const USERS = 14;
const TABS = 36;

class Trouble {
  constructor(cluster, random) {
    this.cluster = cluster;
    this.people = new People(cluster, random);
    this.random = random;
    this.done = {};

    // Each with its share, and the time after which all has to be quiet.
    this.kinds = [
      ['a worker is killed', 3, 15000, () => this.#killWorker()],
      ['an actor is killed', 2, 15000, () => this.#killActor()],
      ['an actor is stopped', 2, 15000, () => this.#stopActor()],
      ['a reload', 2, 20000, () => this.#reload()],
      ['a node dies', 2, 45000, () => this.#killNode()],
      ['FLUSHALL', 2, 30000, () => this.#flush()],
      ['Redis restarts empty', 1, 30000, () => this.#restart('empty')],
      ['Redis restarts', 1, 30000, () => this.#restart('saved')],
      ['Redis restarts with older data', 1, 30000, () => this.#restart('old')],
      ['Redis is stopped', 1, 30000, () => this.#stopRedis()],
      ['nothing', 2, 10000, async () => {}],
    ];
  }

  pick(list) {
    return this.people.pick(list);
  }

  /** Some users with tabs; all connected. */
  async begin() {
    for (let i = 0; i < TABS / 2; i++) {
      this.#open();
    }
    await this.people.quiet('the beginning', 20000);
  }

  /** One trouble amid the doings of users; then a quiet period. */
  async round() {
    const total = this.kinds.reduce((sum, [, share]) => sum + share, 0);
    let left = this.random() * total;
    const [name, , ms, body] = this.kinds.find(([, share]) => {
      left -= share;
      return left < 0;
    });
    const { people } = this;
    let over = false;

    people.note(name);
    this.done[name] = (this.done[name] || 0) + 1;
    await this.act(2 + Math.floor(this.random() * 6));
    const acting = (async () => {
      while (!over) {
        await this.act(1);
        await delay(20 + this.random() * 200);
      }
    })();
    await body();
    over = true;
    await acting;
    await this.act(2 + Math.floor(this.random() * 4));
    await people.quiet(name, ms + this.cluster.linger);
  }

  /** So many things that users do. */
  async act(times) {
    const { tabs } = this.people;

    for (let i = 0; i < times; i++) {
      if (tabs.length > 0 && this.random() < tabs.length / TABS) {
        this.#close();
      } else {
        this.#open();
      }
      await delay(this.random() * 30);
    }
  }

  #open() {
    const { nodes } = this.cluster;
    this.people.open(`u${Math.floor(this.random() * USERS)}`,
                     Math.floor(this.random() * nodes.length),
                     this.pick(Object.keys(TRANSPORTS)));
  }

  #close() {
    this.people.close(this.pick(this.people.tabs));
  }

  #node() {
    return this.pick(this.cluster.nodes);
  }

  async #killWorker() {
    const node = this.#node();
    node.nginx.killWorker(this.pick(node.nginx.workers()));
    await delay(this.random() * 1500);
  }

  async #killActor() {
    const node = this.#node();
    const pid = await this.cluster.actor(node);
    node.nginx.killWorker(pid);
    await delay(this.random() * 1500);
  }

  async #stopActor() {
    const pid = await this.cluster.actor(this.#node());
    await whileStopped(pid, () => delay(1000 + this.random() * 4000));
  }

  async #reload() {
    await this.#node().nginx.reload();
  }

  async #killNode() {
    const node = this.#node();
    await this.cluster.kill(node);
    await delay(this.random() < 0.5 ? this.random() * 5000
      : 10000 + this.random() * 12000);
    await this.cluster.revive(node);
  }

  async #flush() {
    await this.cluster.redis.commands.flushAll();
    await delay(this.random() * 3000);
  }

  async #stopRedis() {
    await this.people.alone(() => (
      this.cluster.withoutRedis(() => delay(8000))));
  }

  /** What it has then: nothing, all that it had, or what it had before. */
  async #restart(data) {
    const { redis } = this.cluster;
    const file = path.join(redis.dir, 'dump.rdb');

    if (data === 'empty') {
      fs.rmSync(file, { force: true });
    } else {
      await redis.commands.sendCommand(['SAVE']);
    }
    if (data === 'old') {
      await this.act(4);
      await delay(this.random() * 3000);
    }
    await this.people.alone(async () => {
      await redis.stop('SIGKILL');
      await delay(this.random() * 4000);
      await redis.start();
    });
  }
}

module.exports = { Trouble };
