'use strict';

// What the counts depend on besides the sources.

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

const MODULE = process.env.SIO_MODULE
  || path.resolve(__dirname, '../../../build/ngx_http_socketio_module.so');

/** What a program says on either stream. */
function said(command, ...args) {
  const run = spawnSync(command, args, { encoding: 'utf8' });
  if (run.error) {
    throw run.error;
  }
  return (run.stdout + run.stderr).trim();
}

/** The compilers and their options, as they stand in the debug information. */
function compiler() {
  const text = fs.readFileSync(MODULE, 'latin1');
  const found = text.match(/(GNU C\d+|[A-Za-z ]*clang version) \d[^\0]*/g);
  return found ? [...new Set(found)].sort().join('; ') : 'unknown';
}

/** The files behind the names of the libraries, which tell their versions. */
function libraries() {
  return [...said('ldd', MODULE).matchAll(/=> (\S+)/g)]
    .map(([, file]) => path.basename(fs.realpathSync(file))).sort();
}

/** valgrind is another machine where there is no AVX2. */
function machine() {
  const avx2 = /\bavx2\b/.test(fs.readFileSync('/proc/cpuinfo', 'latin1'));
  return process.arch + (avx2 ? ', AVX2' : '');
}

function madeWith() {
  return {
    machine: machine(),
    compiler: compiler(),
    nginx: /nginx\/(\S+)/.exec(said(process.env.SIO_NGINX || 'nginx', '-v'))[1],
    glibc: said('getconf', 'GNU_LIBC_VERSION').split(' ')[1],
    libraries: libraries(),
    valgrind: said('valgrind', '--version').replace('valgrind-', ''),
  };
}

module.exports = { madeWith };
