'use strict';

// The series: how costs grow.  node run.js [all | NAME ...]
//
// Each is a file beside this one: { title, columns, run() }, where run gives
// { rows, checks, notes }.  Results are left in $OUT/series/NAME.json.

const fs = require('node:fs');
const path = require('node:path');

const { OUT } = require('./lib');

const ALL = ['workers', 'connections', 'memberships', 'payload', 'deflate',
             'tls', 'polling', 'broadcast', 'slow', 'messages'];

async function one(name) {
  const series = require(`./${name}`);
  const { title, columns, what } = series;
  const began = performance.now();
  let result;

  console.log(`series ${name}: ${title}`);
  try {
    result = await series.run();
    for (const row of result.rows) {
      console.log(`  ${columns.map((it, i) => `${it}: ${row[i]}`).join(', ')}`);
    }
    for (const it of result.checks || []) {
      console.log(`  ${it.met ? 'met' : 'MISSED'}: ${it.what}: ${
        it.value} (target ${it.limit})`);
    }
  } catch (error) {
    console.error(`  failed: ${error.stack}`);
    result = { error: error.message.split('\n')[0] };
  }

  const seconds = Math.round((performance.now() - began) / 1000);
  fs.mkdirSync(path.join(OUT, 'series'), { recursive: true });
  fs.writeFileSync(
    path.join(OUT, 'series', `${name}.json`),
    JSON.stringify({ name, title, what, columns, seconds, ...result }));
  return !result.error;
}

async function main(names) {
  const list = names.length === 0 || names[0] === 'all' ? ALL : names;
  const unknown = list.filter((name) => !ALL.includes(name));

  if (unknown.length > 0) {
    throw new Error(`no series ${unknown}; there are ${ALL.join(', ')}`);
  }
  for (const name of list) {
    if (!await one(name)) {
      process.exitCode = 1;
    }
  }
}

module.exports = { ALL };

if (require.main === module) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
