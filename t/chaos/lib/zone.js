'use strict';

// The shared memory of a gateway, as a worker has it mapped.

const fs = require('node:fs');

// "SIO1"; the header of src/store/ngx_sio_zone.h begins with it.
const MAGIC = 0x314f4953;

// nginx has its slab pool in front, with an entry for each page.
const SEARCH = 1 << 20;

/** Where fields of the header are, in bytes, and how long they are. */
const FIELDS = { epoch: [32, 8], top_tail: [148, 4] };

class Zone {
  /** The zone of the gateway that this worker serves. */
  constructor(pid) {
    this.fd = fs.openSync(`/proc/${pid}/mem`, 'r+');
    this.base = this.#find(pid);
  }

  get(field) {
    const [at, length] = FIELDS[field];
    const bytes = Buffer.alloc(length);
    fs.readSync(this.fd, bytes, 0, length, this.base + at);
    return bytes;
  }

  /** Writes all ones, which no count of records can be. */
  damage(field) {
    const [at, length] = FIELDS[field];
    fs.writeSync(this.fd, Buffer.alloc(length, 0xff), 0, length,
                 this.base + at);
  }

  close() {
    fs.closeSync(this.fd);
  }

  #find(pid) {
    const first = Buffer.alloc(SEARCH);
    const shared = fs.readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')
      .filter((line) => / rw-s /.test(line))
      .map((line) => parseInt(line, 16));

    for (const start of shared) {
      const length = fs.readSync(this.fd, first, 0, SEARCH, start);
      for (let at = 0; at < length; at += 8) {
        if (first.readUInt32LE(at) === MAGIC) {
          return start + at;
        }
      }
    }
    throw new Error(`worker ${pid} has no zone`);
  }
}

module.exports = { Zone };
