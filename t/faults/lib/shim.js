'use strict';

// Calls of nginx that fail at chosen moments: see t/faults/shim.c.  This has to
// be required before anything else, because it chooses the module that nginx
// loads, and what is loaded in front of nginx.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

const BUILT = path.resolve(__dirname, '../../../build/faults');
const MODULE = process.env.SIO_FAULTS_MODULE
  || path.join(BUILT, 'ngx_http_socketio_module.so');
const LIBRARY = process.env.SIO_SHIM_LIBRARY || path.join(BUILT, 'shim.so');

const STATIC = process.env.SIO_MODULE === 'static';

/** Why nothing can fail, if so: nginx has another module built in. */
const skip = STATIC && MODULE !== 'static' && 'the module is built in';

if (!skip) {
  for (const file of [LIBRARY, ...(STATIC ? [] : [MODULE])]) {
    if (!fs.existsSync(file)) {
      throw new Error(`${file} is missing: run "make faults"`);
    }
  }
  process.env.SIO_MODULE = MODULE;
  process.env.LD_PRELOAD = LIBRARY;
  process.env.ASAN_OPTIONS = `${
    process.env.ASAN_OPTIONS || ''}:verify_asan_link_order=0`;
}

const CLASSES = {
  heap: 0x1, pool: 0x2, store: 0x4, recv: 0x8, send: 0x10, connect: 0x20,
  socket: 0x40, accept: 0x80, epoll: 0x100,
};
const MEMORY = ['heap', 'pool', 'store'];

/** What a call can fail with: one of these, or a name of an errno. */
const SHORT = 'SHORT';

// The structure: places of its words.
const WORD = 8;
const CLASS = 1;
const PID = 2;
const SPARED = 3;
const SPARES = 12;
const PORT = 15;
const NTH = 16;
const TIMES = 17;
const CHANCE = 18;
const SEED = 19;
const KINDS = 20;
const KIND = 21;
const SEEN = 25;
const GIVEN = 26;
const GIVEN_PID = 27;
const GIVEN_CLASS = 28;
const FRAMES = 29;
const FRAME = 30;
const WORDS = 54;

class Shim {
  /** Makes the file, which the nginx of a gateway finds by its environment. */
  constructor({ dir, nginx }) {
    this.name = path.join(dir, 'shim');
    fs.writeFileSync(this.name, Buffer.alloc(WORDS * WORD));
    this.fd = fs.openSync(this.name, 'r+');
    nginx.env.SIO_SHIM = this.name;
  }

  /**
   * classes: what may fail, default: all that takes memory.  nth: the first
   * call that does, and times: how many from there on; or chance: so many of a
   * thousand, drawn by a seed.  kinds: what they fail with.  pid: only that
   * process, or spared: all but these.  port: only sockets that have it.
   */
  arm({
    classes = MEMORY, nth = 0, times = 1, chance = 0, seed = 1,
    kinds = ['ENOMEM'], pid = 0, spared = [], port = 0,
  }) {
    const words = new Array(FRAME).fill(0);

    if (spared.length > SPARES) {
      throw new Error(`${spared.length} pids are too many`);
    }
    words[CLASS] = classes.reduce((sum, name) => sum | CLASSES[name], 0);
    words[PID] = pid;
    spared.forEach((it, i) => { words[SPARED + i] = it; });
    Object.assign(words, {
      [PORT]: port, [NTH]: nth, [TIMES]: times, [CHANCE]: chance,
      [SEED]: seed, [KINDS]: kinds.length,
    });
    kinds.forEach((kind, i) => {
      words[KIND + i] = kind === SHORT ? 0 : os.constants.errno[kind];
    });

    this.disarm();
    this.#write(1, words.slice(1));
    this.#write(0, [1]);
  }

  disarm() {
    this.#write(0, [0]);
  }

  /** Calls that could have failed since arm(), and those that did. */
  get seen() {
    return this.#read()[SEEN];
  }

  get given() {
    return this.#read()[GIVEN];
  }

  /**
   * Where the last one failed: its functions, as far as the process still
   * lives and was built with their lines.
   */
  where() {
    const words = this.#read(true);
    const pid = Number(words[GIVEN_PID]);
    const kind = Object.keys(CLASSES).find(
      (name) => CLASSES[name] === Number(words[GIVEN_CLASS]));
    const frames = words.slice(FRAME, FRAME + Number(words[FRAMES]));

    return `${kind} of ${pid}:\n${
      places(pid, frames).map((it) => `    ${it}`).join('\n')}`;
  }

  close() {
    this.disarm();
    fs.closeSync(this.fd);
  }

  #write(at, words) {
    const b = Buffer.alloc(words.length * WORD);
    words.forEach((word, i) => b.writeBigUInt64LE(BigInt(word), i * WORD));
    fs.writeSync(this.fd, b, 0, b.length, at * WORD);
  }

  #read(big) {
    const b = Buffer.alloc(WORDS * WORD);
    fs.readSync(this.fd, b, 0, b.length, 0);
    return Array.from({ length: WORDS }, (_, i) => {
      const word = b.readBigUInt64LE(i * WORD);
      return big ? word : Number(word);
    });
  }
}

/** What is at these addresses of a process. */
function places(pid, addresses) {
  const found = addresses.map((address) => [address, mapping(pid, address)]);
  const names = new Map();

  for (const file of new Set(found.map(([, it]) => it?.file))) {
    const here = found.filter(([, it]) => it && it.file === file);
    symbols(file, here.map(([, it]) => it.at)).forEach((name, i) => {
      names.set(here[i][0], name);
    });
  }
  return addresses.map((it) => names.get(it) || `0x${it.toString(16)}`);
}

/** The file that an address lies in, and the place of the call before it. */
function mapping(pid, address) {
  for (const line of lines(`/proc/${pid}/maps`)) {
    const [, from, to, offset, file] = /^(\w+)-(\w+) \S+ (\w+) \S+ \S+ +(\/.*)$/
      .exec(line) || [];
    if (file && address >= BigInt(`0x${from}`)
        && address < BigInt(`0x${to}`)) {
      const at = address - BigInt(`0x${from}`) + BigInt(`0x${offset}`) - 1n;
      return { file, at: `0x${at.toString(16)}` };
    }
  }
  return null;
}

function symbols(file, list) {
  const { status, stdout } = spawnSync('addr2line', ['-f', '-e', file, ...list],
                                       { encoding: 'latin1' });
  const out = status === 0 ? stdout.split('\n') : [];

  return list.map((at, i) => (out[2 * i] && out[2 * i] !== '??'
    ? `${out[2 * i]} ${path.basename(out[2 * i + 1])}`
    : `${path.basename(file)}+${at}`));
}

function lines(file) {
  try {
    return fs.readFileSync(file, 'latin1').split('\n');
  } catch {
    return [];
  }
}

module.exports = { Shim, skip, SHORT, MEMORY };
