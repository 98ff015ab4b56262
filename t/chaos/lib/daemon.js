'use strict';

// nginx in the background, as USR2 needs it: a master whose parent is still
// there takes it for a mistake.

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

const { Nginx, assertNoReport } = require('../../gateway/lib/nginx');
const { alive } = require('../../gateway/lib/processes');
const { until } = require('../../gateway/lib/expect');

// The new master is started by the name that the old one was started by, and
// without a search for it.
const BINARY = find(process.env.SIO_NGINX || 'nginx');

function find(name) {
  return name.includes('/') ? path.resolve(name)
    : process.env.PATH.split(':').map((dir) => path.join(dir, name))
      .find((file) => fs.existsSync(file));
}

// What a master hands on to its successor.
const ENV = ['ASAN_OPTIONS', 'LSAN_OPTIONS', 'UBSAN_OPTIONS']
  .filter((name) => process.env[name]).map((name) => `env ${name};\n`);

class Daemon extends Nginx {
  constructor(dir) {
    super(dir);
    this.pidFile = path.join(dir, 'nginx.pid');
    this.masters = new Set();
    this.leave = () => this.#end('SIGTERM');
  }

  configure(text) {
    super.configure(
      text.replace('daemon off;', `daemon on;\n${ENV.join('')}`));
  }

  async start() {
    process.on('exit', this.leave);
    const { status, stderr } = spawnSync(
      BINARY, ['-p', this.dir, '-c', this.confFile, '-e', this.logFile],
      { encoding: 'utf8' });
    assertNoReport(stderr);
    if (status !== 0) {
      throw new Error(`nginx does not start: ${stderr}`);
    }
    await until(() => this.pid, 'a pid file');
    this.masters.add(this.pid);
  }

  /** The master that wrote the pid file last. */
  get pid() {
    return fs.existsSync(this.pidFile)
      ? Number(fs.readFileSync(this.pidFile, 'latin1')) : 0;
  }

  /** USR2; returns when there is another master. */
  async upgrade() {
    const { pid } = this;
    process.kill(pid, 'SIGUSR2');
    await until(() => this.pid && this.pid !== pid,
                () => `a new master:\n${this.log()}`);
    this.masters.add(this.pid);
  }

  async stop(signal = 'SIGTERM') {
    this.#end(signal);
    await until(() => ![...this.masters].some(alive), 'nginx ends', 30000);
    process.off('exit', this.leave);
  }

  #end(signal) {
    for (const pid of [...this.masters].filter(alive)) {
      process.kill(pid, signal);
    }
  }
}

module.exports = { Daemon };
