'use strict';

// Deaths of workers, or stops, at chosen steps: see src/core/ngx_sio_fault.h.  This has
// to be required before anything else, because it chooses the module that
// nginx loads.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const MODULE = process.env.SIO_FAULTS_MODULE || path.resolve(
  __dirname, '../../../build/faults/ngx_http_socketio_module.so');

const STATIC = process.env.SIO_MODULE === 'static';

/** Why there can be no faults, if so: nginx has another module built in. */
const skip = STATIC && MODULE !== 'static' && 'the module is built in';

if (!STATIC) {
  if (!fs.existsSync(MODULE)) {
    throw new Error(`${MODULE} is missing: run "make faults"`);
  }
  process.env.SIO_MODULE = MODULE;
}

const SIZE = 400;
const NEXT = 8;
const LINE = 16;
const FILE = 24;
const PLANS = 80;
const PLAN = 80;
const SIGNAL = 72;
const MOST = 4;

class Faults {
  /** Makes the file, which nginx finds by its environment. */
  constructor(dir) {
    const name = path.join(dir, 'faults');
    fs.writeFileSync(name, Buffer.alloc(SIZE));
    this.fd = fs.openSync(name, 'r+');
    this.disarm();
    process.env.SIO_FAULTS = name;
  }

  /** How many steps all workers have made. */
  get steps() {
    return Number(this.#read().readBigUInt64LE(0));
  }

  /** How many plans were carried out since arm(). */
  get deaths() {
    return Number(this.#read().readBigUInt64LE(NEXT));
  }

  /** Where the last one died. */
  get place() {
    const b = this.#read();
    const file = b.toString('latin1', FILE, b.indexOf(0, FILE));
    return `${path.basename(file)}:${b.readBigUInt64LE(LINE)}`;
  }

  /**
   * plans: [{ left, file, spare, signal }]: the worker dies that makes the
   * left-th step from now, or from the death before, in a file with this in its
   * name; the steps of up to two pids to be spared do not count.  With a signal
   * ("SIGSTOP") it gets that one instead.
   */
  arm(...plans) {
    const b = Buffer.alloc(PLAN * MOST);

    plans.forEach(({ left, file = '', spare = [], signal }, i) => {
      b.writeBigInt64LE(BigInt(left), i * PLAN);
      spare.forEach((pid, k) => {
        b.writeBigUInt64LE(BigInt(pid), i * PLAN + 8 + k * 8);
      });
      b.write(file, i * PLAN + 24, 'latin1');
      b.writeBigUInt64LE(BigInt(os.constants.signals[signal] || 0),
                         i * PLAN + SIGNAL);
    });
    this.disarm();
    fs.writeSync(this.fd, b, 0, b.length, PLANS);
    this.#next(0);
  }

  /** Nobody dies from now on. */
  disarm() {
    this.#next(MOST);
  }

  close() {
    fs.closeSync(this.fd);
  }

  #next(n) {
    const b = Buffer.alloc(8);
    b.writeBigUInt64LE(BigInt(n));
    fs.writeSync(this.fd, b, 0, b.length, NEXT);
  }

  #read() {
    const b = Buffer.alloc(SIZE);
    fs.readSync(this.fd, b, 0, SIZE, 0);
    return b;
  }
}

module.exports = { Faults, skip };
