'use strict';

// Child processes and what /proc tells of them.  None outlives the test run.

const crypto = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const { spawn } = require('node:child_process');

const { until, within } = require('./expect');

const running = new Set();

process.on('exit', () => {
  for (const it of running) {
    it.kill(it.lastSignal);
  }
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => process.exit(1));
}

/** A started program.  `lastSignal` ends it should this process die first. */
class Program {
  constructor(command, args, { lastSignal = 'SIGKILL', ...options } = {}) {
    this.name = command;
    this.lastSignal = lastSignal;
    this.output = '';
    this.ended = false;
    this.child = spawn(command, args,
                       { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.pid = this.child.pid;

    running.add(this);

    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => { this.output += text; });
    }

    this.exited = new Promise((resolve) => {
      const end = (result) => {
        this.ended = true;
        running.delete(this);
        resolve(result);
      };
      this.child.once('error', (error) => end({ error }));
      this.child.once('close', (code, signal) => end({ code, signal }));
    });
  }

  kill(signal) {
    if (!this.ended && this.pid) {
      this.child.kill(signal);
    }
  }

  /** Sends the signal and waits for the end; SIGKILL comes after ms. */
  async stop(signal = 'SIGTERM', ms = 10000) {
    this.kill(signal);
    try {
      return await within(this.exited, `${this.name} ends on ${signal}`, ms);
    } catch (error) {
      this.kill('SIGKILL');
      // children of its own may still hold them
      this.child.stdout.destroy();
      this.child.stderr.destroy();
      await this.exited;
      throw error;
    }
  }

  /** Waits until something accepts connections there, or the program ends. */
  async listening(where) {
    await until(async () => {
      if (this.ended) {
        throw new Error(`${this.name} ended at once: ${this.output}`);
      }
      return accepts(where);
    }, () => `${this.name} listens: ${this.output}`);
  }
}

function accepts(where) {
  return new Promise((resolve) => {
    const socket = net.connect(where);
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

/**
 * A TCP port of 127.0.0.1 that nobody listens on.  It is not one of those
 * that the system gives to outgoing connections: a client that keeps trying a
 * port of that kind while the server is down ends up connected to itself.
 *
 * Tests run beside each other.  So that no other one takes the port before
 * the server listens, or while it is down, the same port of 127.0.0.2 is held
 * until this process ends.
 */
async function freePort() {
  for (;;) {
    const port = crypto.randomInt(12000, 32000);
    const mine = await listen(port, '127.0.0.2');

    if (mine) {
      const free = await listen(port, '127.0.0.1');
      if (free) {
        await new Promise((resolve) => { free.close(resolve); });
        return port;
      }
      mine.close();
    }
  }
}

/** A server that does not keep the process alive; null: the port is taken. */
function listen(port, host) {
  return new Promise((resolve) => {
    const server = net.createServer().unref();
    server.once('error', () => resolve(null));
    server.listen(port, host, () => resolve(server));
  });
}

function children(pid) {
  return read(`/proc/${pid}/task/${pid}/children`).split(' ')
    .filter(Boolean).map(Number);
}

/** The command line; nginx writes its role there. */
function title(pid) {
  return read(`/proc/${pid}/cmdline`).replace(/\0+$/, '').replace(/\0/g, ' ');
}

/**
 * Runs body while a process is stopped.  It is not before the kernel says so:
 * until then it may be given a connection.
 */
async function whileStopped(pid, body) {
  process.kill(pid, 'SIGSTOP');
  try {
    await until(() => /\) T /.test(read(`/proc/${pid}/stat`)),
                `${pid} is stopped`);
    return await body();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** False for the dead, zombies included. */
function alive(pid) {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== '' && !/\) [ZX] /.test(stat);
}

/**
 * Which of some processes holds which TCP connection, and what has arrived
 * there, at this moment.
 */
class SocketOwners {
  constructor(pids) {
    this.pids = new Map();
    this.inodes = new Map();
    this.arrived = new Map();

    for (const pid of pids) {
      for (const fd of descriptors(pid)) {
        const link = readLink(`/proc/${pid}/fd/${fd}`);
        if (link.startsWith('socket:[')) {
          this.pids.set(link.slice(8, -1), pid);
        }
      }
    }

    for (const line of read('/proc/net/tcp').split('\n').slice(1)) {
      const [, local, remote, , queues, , , , , inode]
        = line.trim().split(/\s+/);
      if (inode) {
        const port = (address) => parseInt(address.split(':')[1], 16);
        this.inodes.set(`${port(local)} ${port(remote)}`, inode);
        this.arrived.set(inode, {
          from: port(remote), bytes: parseInt(queues.split(':')[1], 16),
        });
      }
    }
  }

  /** The pid, or undefined if none of the processes has it. */
  find(localPort, remotePort) {
    return this.pids.get(this.inodes.get(`${localPort} ${remotePort}`));
  }

  /** Bytes from a server that the processes have not read. */
  unread(remotePort) {
    return [...this.pids.keys()].map((inode) => this.arrived.get(inode))
      .filter((it) => it?.from === remotePort)
      .reduce((sum, it) => sum + it.bytes, 0);
  }
}

function readLink(file) {
  try {
    return fs.readlinkSync(file);
  } catch {
    return '';
  }
}

function descriptors(pid) {
  try {
    return fs.readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

function read(file) {
  try {
    return fs.readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

module.exports = {
  Program, freePort, children, title, alive, whileStopped, SocketOwners,
};
