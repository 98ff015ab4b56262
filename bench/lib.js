'use strict';

// What the benchmarks share: programs, CPUs, and how latencies are measured.
//
// A latency is to be that of the server, not of what else the machine does.  So
// no CPU may be halted meanwhile, since to wake a halted virtual CPU takes up to
// milliseconds; and whoever is waited for, the server, Redis, and who reads what
// is measured, goes before all others, at SCHED_RR.  So does a publisher, but
// after those: what it does once a message has left it is nobody's latency.
// That takes root.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFile, execFileSync } = require('node:child_process');
const { promisify } = require('node:util');

const NEAR = 0;                 // CPU of the server
const FAR = os.cpus().length - 1;

const OUT = process.env.OUT || path.join(__dirname, 'out');
const PRIORITY = 2;             // of SCHED_RR
const REALTIME = ['chrt', '--rr', String(PRIORITY)];
const PUBLISHER = ['chrt', '--rr', String(PRIORITY - 1)];

let programs = null;

/** Path of a program that is written in C. */
function program(name) {
  if (!programs) {
    programs = execFileSync(path.join(__dirname, 'programs'),
                            [path.join(OUT, 'bin')], { encoding: 'utf8' });
  }
  return path.join(programs.trim(), name);
}

/** Keeps a process, all threads of it, on one CPU. */
function pin(pid, cpu) {
  execFileSync('taskset', ['-acp', String(cpu), String(pid)],
               { stdio: 'ignore' });
}

/** Before all others, its first thread only: what Node does beside it waits. */
function prefer(pid) {
  execFileSync('chrt', ['--rr', '-p', String(PRIORITY), String(pid)]);
}

/** Runs body while no CPU is halted: none may take time to wake up. */
async function awake(body) {
  const file = fs.openSync('/dev/cpu_dma_latency', 'r+');

  try {
    fs.writeSync(file, Buffer.alloc(4));        // microseconds
    return await body();
  } finally {
    fs.closeSync(file);
  }
}

/** Arguments of an object: { conns: 5, tls: true } is --conns 5 --tls. */
function options(values) {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined && value !== false)
    .flatMap(([name, value]) => (
      value === true ? [`--${name}`] : [`--${name}`, String(value)]));
}

/** Runs a command; what it prints is JSON. */
async function json(command) {
  const [first, ...rest] = command.map(String);
  const { stdout } = await promisify(execFile)(first, rest);
  return JSON.parse(stdout);
}

/** The middle one of numbers, or of objects by a key. */
function median(list, key = (it) => it) {
  return [...list].sort((a, b) => key(a) - key(b))[list.length >> 1];
}

/** Microseconds of CPU time that a process has taken. */
function spent(pid) {
  return fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]
    / 1e3;
}

module.exports = {
  NEAR, FAR, OUT, REALTIME, PUBLISHER, program, pin, prefer, awake, options,
  json, median, spent,
};
