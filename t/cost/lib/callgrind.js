'use strict';

// nginx under callgrind, which counts the instructions of its worker.

const fs = require('node:fs');
const path = require('node:path');

const { Nginx } = require('../../gateway/lib/nginx');
const { HttpConnection, request } = require('../../gateway/lib/http');
const { Program, children } = require('../../gateway/lib/processes');
const { until, within } = require('../../gateway/lib/expect');

const BINARY = process.env.SIO_NGINX || 'nginx';

// A call of this function ends one count and begins the next: it is the handler
// of the page of numbers, which nobody else asks for.
const MARK = 'ngx_sio_status_handler';

// What runs by the clock: it would count as much as a run takes time.
const CLOCK = [
  'ngx_sio_gateway_sweep', 'ngx_sio_feed_tick', 'ngx_sio_feed_intake_heartbeat',
];

const ROUNDS = 8;
const PATIENCE = 60000;

class Callgrind extends Nginx {
  async start(port) {
    this.program = new Program('valgrind', [
      '--quiet', '--tool=callgrind',
      `--callgrind-out-file=${this.dir}/count.%p`,
      `--dump-before=${MARK}`,
      ...CLOCK.map((name) => `--toggle-collect=${name}`),
      '--collect-atstart=yes',  // behind what makes it "no"
      BINARY, '-p', this.dir, '-c', this.confFile, '-e', this.logFile,
    ], { lastSignal: 'SIGTERM' });
    this.marks = 0;

    try {
      await until(() => this.log(/start worker process \d/).length > 0
                  || this.program.ended, 'a worker', PATIENCE);
      await this.program.listening({ port, host: '127.0.0.1' });
      [this.worker] = children(this.pid);
      this.line = await HttpConnection.open({ port });
      this.page = '/numbers';
    } catch (error) {
      error.message += `\n${this.log()}${this.program.output}`;
      throw error;
    }
  }

  workers() {
    return [this.worker];
  }

  /** Instructions since the last mark. */
  async mark() {
    await within(this.line.send(request('GET', this.page)), 'a mark', PATIENCE);

    this.file = path.join(this.dir, `count.${this.worker}.${++this.marks}`);
    const text = fs.readFileSync(this.file, 'latin1');
    return Number(/^(?:totals|summary): (\d+)$/m.exec(text)[1]);
  }

  /**
   * Instructions that the worker takes for what body does.  It is done several
   * times, and the least is what counts: what comes in between only adds, and
   * a short body has often nothing in between.
   */
  async instructions(body, rounds = ROUNDS) {
    const empty = await this.empty();
    return await this.#least(body, rounds) - empty;
  }

  /** Those that a mark takes by itself. */
  async empty() {
    this.nothing ??= await this.#least(() => {}, ROUNDS);
    return this.nothing;
  }

  async #least(body, rounds) {
    let least = Infinity;

    await this.mark();
    for (let round = 0; round < rounds; round++) {
      await body();
      least = Math.min(least, await this.mark());
    }
    return least;
  }

  async stop(signal) {
    this.line?.destroy();
    await super.stop(signal);
  }
}

module.exports = { Callgrind };
