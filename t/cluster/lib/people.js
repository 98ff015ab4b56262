'use strict';

// Users with tabs on several nodes, what becomes of them, and therefore who has
// to be online: the model that every view is compared with.
//
// A user may be told to be offline only if there was a time, of nearly the
// linger at least, in which none of the user's tabs was connected.  But while
// Redis is away a node tells its own clients of all who leave it, though they
// may be on another one.

const assert = require('node:assert/strict');

const { until } = require('../../gateway/lib/expect');

const LATE = 45000;             // ms after such a time, at most
const PART = 0.8;               // of the linger: clients and server may differ
const PING = 7000;              // ms until it is noticed that one is gone
const BACK = 15000;             // ms that Redis may be away after it is back

class User {
  constructor(name) {
    this.name = name;
    this.tabs = new Set();
    this.connected = 0;
    this.gaps = [{ from: -Infinity, to: Infinity }];
    this.left = new Map();      // by node: when a tab there was gone
  }

  came() {
    if (this.connected++ === 0) {
      this.gaps.at(-1).to = performance.now();
    }
  }

  went(node) {
    this.left.set(node, performance.now());
    if (--this.connected === 0) {
      this.gaps.push({ from: performance.now(), to: Infinity });
      this.gaps = this.gaps.slice(-50);
    }
  }

  /** Whether it may be told now that the user is offline. */
  mayBeOff(linger, now = performance.now()) {
    return this.gaps.some(({ from, to }) => (
      Math.min(to, now) - from >= linger * PART && to >= now - LATE));
  }
}

class People {
  /** random: numbers from 0 to 1. */
  constructor(cluster, random) {
    this.cluster = cluster;
    this.random = random;
    this.users = new Map();
    this.tabs = [];
    this.faults = [];
    this.history = [];
    this.told = { online: 0, offline: 0 };
    this.outage = { from: -Infinity, to: -Infinity };
  }

  /** Runs body while Redis is away. */
  async alone(body) {
    this.outage = { from: performance.now(), to: Infinity };
    await body();
    this.outage.to = performance.now() + BACK;
  }

  /** Whether clients of a node may be told now that a user is offline. */
  mayBeOff(user, node) {
    const { linger } = this.cluster;
    const { from, to } = this.outage;

    return user.mayBeOff(linger)
      || (performance.now() < to
          && user.left.get(node) > from - linger - PING);
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  note(what) {
    const time = new Date(performance.timeOrigin + performance.now());
    this.history.push(`${time.toISOString().slice(11, 23)} ${what}`);
  }

  user(name) {
    if (!this.users.has(name)) {
      this.users.set(name, new User(name));
    }
    return this.users.get(name);
  }

  /** A new tab of a user; it may not be connected yet. */
  open(name, node, transport) {
    const { cluster } = this;
    const user = this.user(name);
    const tab = cluster.watch(cluster.nodes[node], name, {
      transport, reconnectionDelay: 30, reconnectionDelayMax: 200,
      timeout: 5000,
    });

    tab.user = user;
    tab.node = node;
    tab.transport = transport;
    tab.here = false;
    user.tabs.add(tab);
    this.tabs.push(tab);
    this.note(`${name} opens a tab on node ${node}, ${transport}`);

    tab.view.onlist = (users) => this.#listed(tab, users);
    tab.view.onupdate = (who, status) => this.#told(tab, who, status);
    tab.socket.on('disconnect', (reason) => {
      this.note(`${name}, node ${node}: ${reason}`);
      this.#leave(tab);
    });
    return tab;
  }

  close(tab) {
    this.note(`${tab.user.name} closes a tab on node ${tab.node}`);
    this.#leave(tab);
    tab.user.tabs.delete(tab);
    this.tabs.splice(this.tabs.indexOf(tab), 1);
    tab.closing = true;
    tab.close();
  }

  /** Who has to be online when all is quiet. */
  online() {
    return [...this.users.values()].filter((user) => user.tabs.size > 0)
      .map((user) => user.name).sort();
  }

  /** Waits until all tabs are connected and show what they have to. */
  async quiet(what, ms) {
    const wanted = this.online();
    const shown = ({ view }) => view.users && [...view.users].sort().join();
    const wrong = () => this.tabs.filter((tab) => (
      !tab.here || shown(tab) !== wanted.join()));

    await until(() => wrong().length === 0 || this.faults.length > 0,
                () => this.#report(`${what}: all show ${wanted}; but ${
                  wrong().slice(0, 3).map((tab) => `${tab.user.name} on node ${
                    tab.node}, ${tab.transport}, ${
                    tab.here ? 'here' : 'away'}, ${shown(tab)}, told of ${
                    tab.view.updates.slice(-8).join(' ')}`).join('; ')}`), ms);
    this.check(what);

    let now;
    await until(async () => {
      now = await this.cluster.online();
      return now.join() === wanted.join();
    }, () => this.#report(`${what}: Redis has ${wanted}; but ${now}`), ms);
    this.note(`quiet: ${what}`);
  }

  check(what) {
    assert.deepEqual(this.faults, [], this.#report(what));
    for (const tab of this.tabs) {
      assert.deepEqual(tab.view.faults, [], this.#report(`${tab.view}`));
    }
  }

  #report(what) {
    return `${what}\n${this.faults.slice(0, 5).join('\n')}\n${
      this.history.slice(-60).join('\n')}`;
  }

  #listed(tab, users) {
    if (tab.closing) {
      return;
    }
    if (!tab.here) {
      tab.here = true;
      tab.user.came();
    }
    this.note(`${tab.user.name}, node ${tab.node}: list of ${users.length}`);

    for (const user of this.users.values()) {
      if (!users.includes(user.name)
          && !this.mayBeOff(user, tab.node)) {
        this.faults.push(`${user.name} is missing in a list for ${
          tab.user.name} on node ${tab.node}`);
        this.note(this.faults.at(-1));
      }
    }
  }

  #told(tab, who, status) {
    this.told[status]++;
    if (status === 'offline' && this.users.has(who)
        && !this.mayBeOff(this.user(who), tab.node)) {
      this.faults.push(`${tab.user.name} on node ${tab.node} is told that ${
        who} is offline`);
      this.note(this.faults.at(-1));
    }
  }

  #leave(tab) {
    if (tab.here) {
      tab.here = false;
      tab.user.went(tab.node);
    }
  }
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function generator(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let x = Math.imul(a ^ (a >>> 15), 1 | a);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

module.exports = { People, generator };
