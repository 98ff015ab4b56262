'use strict';

// One nginx with the module, in a directory of its own.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

const { Program, children, title } = require('./processes');
const { until } = require('./expect');

const BINARY = process.env.SIO_NGINX || 'nginx';
const MODULE = process.env.SIO_MODULE
  || path.resolve(__dirname, '../../../build/ngx_http_socketio_module.so');

// How reports of sanitizers begin, or what is in one of their lines.
const REPORT = /Sanitizer|runtime error:/;

// The zone could not be looked at, as somebody stands still with its lock.
const UNCHECKED = /is not checked: it is locked/;

// What no error log may hold, unless the test said that it would; what
// sanitizers report gets there, too.
const TROUBLE = new RegExp([
  '\\[alert\\]', '\\[emerg\\]', 'exited on signal', UNCHECKED.source,
  REPORT.source,
].join('|'));

/** Fails if this is in what a run of nginx has printed, whatever its status. */
function assertNoReport(output) {
  if (REPORT.test(output)) {
    throw new Error(`a report of a sanitizer:\n${output}`);
  }
}

class Nginx {
  constructor(dir) {
    this.dir = dir;
    this.confFile = path.join(dir, 'nginx.conf');
    this.logFile = path.join(dir, 'error.log');
    this.expected = [];
    this.env = {};              // on top of that of the tests
    this.count = 1;
  }

  configure(text) {
    this.count = Number(/^worker_processes (\d+);/m.exec(text)?.[1] ?? 1);
    fs.writeFileSync(this.confFile, text);
  }

  /**
   * Runs "nginx -t": { ok, output }; fails if a sanitizer reports anything.
   * It ends without freeing what it has read, whoever that is of, so that
   * leaks are not looked for.
   */
  check() {
    const { ASAN_OPTIONS = '' } = process.env;
    const run = spawnSync(BINARY, ['-t', ...this.#arguments()], {
      encoding: 'utf8',
      env: {
        ...process.env, ASAN_OPTIONS: `${ASAN_OPTIONS}:detect_leaks=0`,
      },
    });
    if (run.error) {
      throw run.error;
    }
    const output = run.stderr + this.log();
    assertNoReport(output);
    return { ok: run.status === 0, output };
  }

  async start(port) {
    // Workers must not outlive a master, so a last signal it can pass on.
    this.program = new Program(BINARY, this.#arguments(),
                               {
                                 lastSignal: 'SIGTERM',
                                 env: { ...process.env, ...this.env },
                               });
    try {
      await this.program.listening({ port, host: '127.0.0.1' });
      // Until then a worker looks like the master, and a reload would miss it.
      await until(() => this.workers().length === this.count,
                  `${this.count} workers`);
    } catch (error) {
      error.message += `\n${this.log()}`;
      throw error;
    }
  }

  get pid() {
    return this.program.pid;
  }

  /** The pids of the workers; those that are leaving only if asked for. */
  workers({ leaving = false } = {}) {
    return children(this.pid).filter((pid) => {
      const role = title(pid);
      return role.includes('worker process')
        && (leaving || !role.includes('shutting down'));
    });
  }

  /** Sends a signal to a worker, whose death by this one is then expected. */
  killWorker(pid, signal = 'SIGKILL') {
    this.expect(new RegExp(`\\[alert\\].*worker process ${
      pid} exited on signal ${os.constants.signals[signal]}\\b`));
    process.kill(pid, signal);
  }

  /** SIGHUP; returns when new workers have replaced the old ones. */
  async reload() {
    const old = this.workers();
    process.kill(this.pid, 'SIGHUP');
    await until(() => {
      const now = this.workers();
      return now.length >= this.count && !now.some((pid) => old.includes(pid));
    }, () => `new workers after a reload:\n${this.log()}`);
    return old;
  }

  /** The error log so far, all of it or the lines that match. */
  log(pattern) {
    const text = fs.existsSync(this.logFile)
      ? fs.readFileSync(this.logFile, 'utf8') : '';
    return pattern ? text.split('\n').filter((line) => pattern.test(line))
      : text;
  }

  /** Declares that lines like this one may stand in the log. */
  expect(pattern) {
    this.expected.push(pattern);
  }

  async stop(signal = 'SIGTERM') {
    if (this.program && !this.program.ended) {
      await this.program.stop(signal, 30000);
    }
  }

  /** Fails with the lines that no run may leave in the log. */
  assertQuiet() {
    const output = this.program ? this.program.output : '';
    const lines = [...this.log().split('\n'), ...output.split('\n')]
      .filter((line) => TROUBLE.test(line))
      .filter((line) => !this.expected.some((allowed) => allowed.test(line)));

    if (lines.length > 0) {
      throw new Error(`trouble in nginx's error log:\n${
        [...new Set(lines)].slice(0, 20).join('\n')}`);
    }
  }

  #arguments() {
    return ['-p', this.dir, '-c', this.confFile, '-e', this.logFile];
  }
}

/** The line that loads the module, unless nginx was built with it. */
const LOAD_MODULE = MODULE === 'static' ? '' : `load_module ${MODULE};`;

module.exports = { Nginx, LOAD_MODULE, UNCHECKED, assertNoReport };
