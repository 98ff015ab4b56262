'use strict';

// The Lua scripts of presence, read from the source that ships them, and nodes
// that call them.

const fs = require('node:fs');
const path = require('node:path');

const SOURCE = path.resolve(
  __dirname, '../../../src/core/ngx_sio_presence_script.c');

const text = fs.readFileSync(SOURCE, 'utf8');

/** The text of one string constant of the source. */
function constant(name) {
  const head = `static const char  ngx_sio_presence_script_${name}[] =\n`;
  const begin = text.indexOf(head);
  const end = text.indexOf('";\n', begin);
  if (begin < 0 || end < 0) {
    throw new Error(`no script "${name}" in ${SOURCE}`);
  }
  const lines = text.slice(begin + head.length, end + 1).split('\n')
    .map((line) => line.trim()).filter((line) => line.startsWith('"'));
  return lines.map((line) => JSON.parse(line)).join('');
}

const BEGIN = constant('begin');
const SCRIPTS = Object.fromEntries(['change', 'renew', 'read'].map(
  (name) => [name, BEGIN + constant(name)]));

const BASE = 'socket.io:sio:presence:';
const CHANNEL = 'socket.io-sio#presence';
const LEASE = 10000;

let epochs = 0;

/** A node, as the scripts see it: what it knows, and its calls. */
class ScriptNode {
  /** redis: a client of the package redis; options: lease, ms. */
  constructor(redis, name, { lease = LEASE } = {}) {
    this.redis = redis;
    this.name = name;
    this.lease = lease;
    this.calls = 0;
    this.forget();
  }

  /** It knows of no epoch, as one that has just been started. */
  forget() {
    this.epoch = '';
    this.version = 0;
    this.count = -1;
  }

  /** One call with these arguments; what it answers, by names. */
  async call(script, args = [], stamp = ++this.calls) {
    const keys = ['online', 'nodes', 'state', `node:${this.name}`];
    const [epoch, version, before, after, online, hold, ...own]
      = await this.redis.eval(SCRIPTS[script], {
        keys: keys.map((key) => BASE + key),
        arguments: [
          this.name, String(stamp).padStart(10, '0'), String(this.lease),
          CHANNEL, `draft${++epochs}`, this.epoch, String(this.version),
          String(this.count), ...args,
        ],
      });

    this.epoch = epoch;
    this.version = version;
    this.count = after;
    return { epoch, version, before, after, online, hold, own };
  }

  change(...users) {
    return this.call('change', users);
  }

  async renew({ linger = 0, limit = 1000 } = {}) {
    const it = await this.call('renew', [String(linger), String(limit)]);
    const [more, removed, dead] = it.own;
    return { ...it, more, removed, dead };
  }

  /** Users of this node (mine), then all who are online (list). */
  async read() {
    const { own: [mine] } = await this.call('read', ['own']);
    const { own: [list], ...it } = await this.call('read', ['online']);
    return { ...it, list: list.sort(), mine: mine.sort() };
  }
}

module.exports = { ScriptNode, SCRIPTS, BASE, CHANNEL, LEASE };
