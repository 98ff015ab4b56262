'use strict';

// Several nodes, each an nginx with a zone of its own, and one redis-server
// that they share.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { gateway } = require('../../gateway/lib/gateway');
const { Redis } = require('../../gateway/lib/redis');
const { View } = require('../../gateway/lib/presence');
const { alive, whileStopped } = require('../../gateway/lib/processes');
const { until, allOf } = require('../../gateway/lib/expect');
const { BASE } = require('./scripts');

const TRANSPORTS = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

class Cluster {
  constructor({ nodes = 2, workers = 2, linger = 1000, block } = {}) {
    this.size = nodes;
    this.workers = workers;
    this.linger = linger;
    this.block = block;
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-cluster-'));
    this.redis = new Redis(this.dir);
    this.nodes = [];
    this.ends = [];             // of the nodes
  }

  async start() {
    await this.redis.start();
    for (let i = 0; i < this.size; i++) {
      this.nodes.push(await this.#node());
    }
    for (const node of this.nodes) {
      await until(async () => (await status(node)).cluster.connected,
                  'the node is part of the cluster', 20000);
    }
  }

  /** A client with a view of who is online; it may not be ready yet. */
  watch(node, user, { transport = 'websocket', ...options } = {}) {
    const client = node.client({
      user, transports: TRANSPORTS[transport], ...options,
    });
    client.view = new View(client);
    return client;
  }

  /** The same with its list. */
  async listed(node, user, options) {
    const client = await this.watch(node, user, options).ready();
    await until(() => client.view.users, `${user} has a list`);
    return client;
  }

  /** Those who are online as Redis has it. */
  async online() {
    return (await this.redis.commands.sMembers(`${BASE}online`)).sort();
  }

  /** Waits until all of them show these users; Redis, too. */
  async shows(clients, users, ms) {
    for (const client of clients) {
      await client.view.shows(users, ms);
    }
    const wanted = [...users].sort().join();
    let now;
    await until(async () => {
      now = await this.online();
      return now.join() === wanted;
    }, () => `Redis has ${wanted}; it has ${now}`, ms);
  }

  /** The pid of the worker that acts for presence on a node. */
  async actor(node) {
    return until(async () => {
      const { presence, workers } = await whole(node);
      return workers.find((it) => it.slot === presence.actor)?.pid;
    }, 'there is an actor');
  }

  /** kill -9 of the master and all workers, at once. */
  async kill(node) {
    const { pid } = node.nginx;
    const pids = [pid, ...node.nginx.workers({ leaving: true })];

    process.kill(pid, 'SIGSTOP');
    for (const it of [...pids.slice(1), pid]) {
      process.kill(it, 'SIGKILL');
    }
    await until(() => !pids.some(alive), 'the node is dead');
  }

  /** Starts a node that was killed: another one, on the same port. */
  async revive(node) {
    await node.nginx.start(node.port);
  }

  /** Runs body while Redis is stopped. */
  async withoutRedis(body) {
    return whileStopped(this.redis.program.pid, body);
  }

  async #node() {
    return gateway({ after: (end) => this.ends.push(end) }, {
      workers: this.workers,
      redis: this.redis,
      listen: 'reuseport',
      block: {
        presence: 'on', presence_linger: `${this.linger}ms`, ...this.block,
      },
      locations: {
        // Who polls, and is gone without a word, is missed after these two; so
        // is a server by an official client whose upgrade was cut off when it
        // had paused its polling.
        '/socket.io/': {
          socketio_ping_interval: '3s', socketio_ping_timeout: '4s',
        },
        '= /status': { socketio: null, socketio_status: 'mew' },
      },
    });
  }

  /** Ends all of it, whatever may be wrong with one of the nodes. */
  end() {
    return allOf([
      ...this.ends,
      () => this.redis.stop('SIGKILL'),
      () => fs.rmSync(this.dir, { recursive: true, force: true }),
    ]);
  }
}

async function whole(node) {
  return (await fetch(`${node.url}/status`)).json();
}

/** What the status page of a node says about presence. */
async function status(node) {
  return (await whole(node)).presence;
}

/** Nobody was told anything that does not make sense. */
function assertSound(...clients) {
  for (const { view } of clients.flat()) {
    assert.deepEqual(view.faults, [], `${view}`);
  }
}

/** How often the clients were told that this user is offline. */
function offlines(user, ...clients) {
  return clients.flat().map(({ view }) => (
    view.updates.filter(([who, what]) => who === user && what === 'offline')
      .length));
}

/** Starts a cluster for a test. */
async function cluster(t, options) {
  const it = new Cluster(options);
  t.after(() => it.end());
  await it.start();
  return it;
}

module.exports = { cluster, status, assertSound, offlines, TRANSPORTS };
