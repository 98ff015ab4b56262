'use strict';

// python-socketio as Debian has it, in processes of its own.

const path = require('node:path');

const { Official } = require('../../gateway/lib/client');
const { Program } = require('../../gateway/lib/processes');
const { until } = require('../../gateway/lib/expect');

// not the first python3 in PATH, which may be another one than Debian's
const PYTHON = '/usr/bin/python3';
const SCRIPT = path.join(__dirname, 'client.py');

/** Bytes for JSON. */
function replace(key, value) {
  return value?.type === 'Buffer'
    ? { $bytes: Buffer.from(value.data).toString('base64') } : value;
}

/** Bytes and integers that client.py had to wrap. */
function revive(key, value) {
  if (value?.$bytes !== undefined) {
    return Buffer.from(value.$bytes, 'base64');
  }
  return value?.$int !== undefined ? BigInt(value.$int) : value;
}

/** A process with clients of one kind, sync or asyncio. */
class Host {
  constructor(kind) {
    this.clients = new Map();
    this.count = 0;
    this.program = new Program(PYTHON, [SCRIPT, kind], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.program.child.stdin.on('error', () => {});
    this.program.exited.then(() => {
      for (const client of this.clients.values()) {
        client.failures.push(`client.py has ended: ${
          this.program.output.slice(-2000)}`);
      }
    });
    this.#listen();
  }

  #listen() {
    let rest = '';

    this.program.child.stdout.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const { who, ...what } = JSON.parse(line, revive);
        this.clients.get(who)?.happened(what);
      }
    });
  }

  /** The number of one more client. */
  add(client) {
    this.clients.set(++this.count, client);
    return this.count;
  }

  tell(who, command, values) {
    this.program.child.stdin.write(
      `${JSON.stringify({ who, do: command, ...values }, replace)}\n`);
  }

  close() {
    return this.program.stop('SIGKILL');
  }
}

class Python extends Official {
  constructor(url, { name = 'client', auth, host, transports }) {
    super(name);
    this.url = url;
    this.auth = auth;
    this.host = host;
    this.transports = transports;
    this.knows = 0;             // how often it has noticed that it is connected
    this.questions = 0;
    this.answers = 0;
    this.again();
  }

  happened({ what, ...it }) {
    switch (what) {
    case 'connect':
      this.id = it.id;
      this.transport = it.transport;
      this.connects++;
      this.recovered.push(false);
      break;

    case 'known':
      this.knows++;
      break;

    case 'refused':
      (it.error?.data ? this.refusals : this.failures).push(it.error);
      break;

    case 'failed':
      this.failures.push(it.error);
      break;

    case 'disconnect':
      // it is told no reason
      this.disconnects.push(undefined);
      break;

    case 'event':
      this.record(it.event, it.args);
      break;

    case 'taken':
      this.answers++;
      break;

    case 'left':
      this.left = true;
      break;
    }
  }

  #tell(command, values) {
    this.host.tell(this.who, command, values);
  }

  async ready(nth = 1, ms) {
    await super.ready(nth, ms);
    await until(() => this.knows >= nth, `${this} knows that it is connected`,
                ms);
    return this;
  }

  emit(event, ...args) {
    this.#tell('emit', { event, args });
  }

  /** Connects, as another client of the library. */
  again(auth = this.auth) {
    const { url, transports } = this;

    this.host.clients.delete(this.who);
    this.who = this.host.add(this);
    this.refusals.splice(0);
    this.#tell('connect', { url, auth, transports });
  }

  /** Resolves when the server knows. */
  leave() {
    this.left = false;
    this.#tell('leave');
    return until(() => this.left, `${this} has left`);
  }

  raw(packet) {
    this.#tell('raw', { packet });
  }

  mute() {
    this.#tell('mute');
  }

  async taken() {
    const mine = ++this.questions;

    this.#tell('taken');
    await until(() => this.answers >= mine || this.disconnects.length > 0,
                `the server has read what ${this} has sent`);
  }

  close() {
    this.#tell('leave');
  }
}

module.exports = { Host, Python };
