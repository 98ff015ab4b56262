'use strict';

// The behaviour of the reference server, row by row: what a client does, what
// it gets, why the server closes it.  doc/protocol.md has the rows, and says
// where the gateway differs on purpose.
//
// SIO_REFERENCE=1 runs the same against the reference: see lib/reference.js.

const assert = require('node:assert/strict');

const { eachWorkers } = require('./lib/gateway');
const { Subject } = require('./lib/subject');
const http = require('./lib/rows_http');
const polling = require('./lib/rows_polling');
const websocket = require('./lib/rows_websocket');
const socketio = require('./lib/rows_socketio');
const namespaces = require('./lib/rows_namespaces');
const timers = require('./lib/rows_timers');

const REFERENCE = Boolean(process.env.SIO_REFERENCE);

// 1 to 71, without those that are for the code of an application: 12 refuses a
// handshake, 41 a CONNECT.
const ROWS = [
  ...Array.from({ length: 71 }, (_, i) => String(i + 1)), '47a', '47b',
].filter((row) => row !== '12' && row !== '41');

const usual = [http, polling, websocket, socketio].flatMap((it) => it.rows);

const GROUPS = [
  { name: 'as usual', rows: usual },
  ...socketio.groups,
  ...timers.groups,
  { name: 'namespaces', namespaces: ['/admin'], rows: namespaces.rows },
];

/** Runs the cases of a group; those that pass come into a set. */
async function run(t, { rows, ...options }, workers, passed) {
  const subject = await Subject.start(t, { ...options, workers });

  for (const it of rows) {
    await t.test(`row ${it.row}: ${it.name}`, async () => {
      await subject.begin();
      try {
        await it.run(subject);
      } finally {
        await subject.end();
      }
      passed.add(it);
    });
  }
}

/** The cases of each row. */
function byRow(groups) {
  const rows = {};

  for (const it of groups.flatMap((group) => group.rows)) {
    (rows[it.row] ||= []).push(it);
  }
  return rows;
}

eachWorkers(REFERENCE ? [1] : [1, 3], 'the table', async (t, workers) => {
  const passed = new Set();

  for (const group of GROUPS) {
    await t.test(group.name, (inner) => run(inner, group, workers, passed));
  }

  const cases = byRow(GROUPS);
  const failed = ROWS.filter((row) => !cases[row]?.every((it) => (
    passed.has(it))));
  const outcome = `${ROWS.length - failed.length} of ${ROWS.length} rows`;

  await t.test(outcome, (last) => {
    last.diagnostic(outcome);
    assert.deepEqual(failed, []);
    assert.deepEqual(Object.keys(cases).sort(), [...ROWS].sort());
  });
});
