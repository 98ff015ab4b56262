'use strict';

// A backend that reads the stream of events as one of a consumer group, keeps
// in a file what it has done, and answers who wants an answer.  It may die at
// any time: what it had read, and not XACKed, is for the next one.
//
//     node uplink_consumer.js PORT STREAM GROUP NAME FILE
//
// An event has an id of its client's as first argument; it is done once.  The
// file has a line for each that was done, in their order, { id, ... }, one for
// each that was there again, { again: id }, and one for answers that Redis has
// taken, { told: [id, ...], at: ms }.

const crypto = require('node:crypto');
const fs = require('node:fs');
const { setTimeout: delay } = require('node:timers/promises');

const { Redis } = require('../../gateway/lib/redis');
const { within } = require('../../gateway/lib/expect');

const [port, stream, group, name, file] = process.argv.slice(2);

const COUNT = '100';
const BLOCK = '500';
const BYTES = { typeMapping: { 36: Buffer } };

const redis = new Redis('.');
const done = new Set();
const fd = fs.openSync(file, 'a+');

/** What was done before; half a line was not. */
function load() {
  const text = fs.readFileSync(file, 'latin1');
  const end = text.lastIndexOf('\n') + 1;

  fs.ftruncateSync(fd, end);
  for (const line of text.slice(0, end).split('\n').filter(Boolean)) {
    done.add(JSON.parse(line).id);
  }
}

function fields(list) {
  const entry = { bins: [] };

  for (let i = 0; i < list.length; i += 2) {
    const field = String(list[i]);
    if (field.startsWith('bin')) {
      entry.bins[Number(field.slice(3))] = list[i + 1];
    } else {
      entry[field] = String(list[i + 1]);
    }
  }
  return entry;
}

const sha = (bytes) => crypto.createHash('sha256').update(bytes)
  .digest('base64');

/** Does what is new, in order, then answers all, then takes them off. */
async function handle(client, list) {
  const lines = [];
  const answers = [];

  for (const entry of list.map(([, text]) => fields(text))) {
    if (!entry.event.startsWith('$')) {
      const [id, n] = JSON.parse(entry.args);
      lines.push(JSON.stringify(done.has(id) ? { again: id } : {
        id, n, user: entry.user, sid: entry.sid, event: entry.event,
        bins: entry.bins.map(sha),
      }));
      done.add(id);
      if (entry.ack) {
        answers.push({ op: 'ack', nsp: entry.nsp, sid: entry.sid,
                       ack: Number(entry.ack), args: [id] });
      }
    }
  }

  fs.writeFileSync(fd, lines.map((line) => `${line}\n`).join(''));
  if (answers.length > 0) {
    await within(client.publish('socket.io-command', JSON.stringify(answers)),
                 'PUBLISH');
    fs.writeFileSync(fd, `${JSON.stringify({
      told: answers.map(({ args }) => args[0]), at: Date.now(),
    })}\n`);
  }
  await within(client.sendCommand(
    ['XACK', stream, group, ...list.map(([id]) => String(id))]), 'XACK');
}

/** What others, or this one before, have read and not finished. */
async function claim(client) {
  let cursor = '0-0';

  do {
    const [next, list] = await within(client.sendCommand([
      'XAUTOCLAIM', stream, group, name, '0', cursor, 'COUNT', COUNT,
    ], BYTES), 'XAUTOCLAIM');
    if (list.length > 0) {
      await handle(client, list);
    }
    cursor = String(next);
  } while (cursor !== '0-0');
}

async function read(client) {
  for (;;) {
    const answer = await within(client.sendCommand([
      'XREADGROUP', 'GROUP', group, name, 'COUNT', COUNT, 'BLOCK', BLOCK,
      'STREAMS', stream, '>',
    ], BYTES), 'XREADGROUP');
    if (answer) {
      await handle(client, answer[0][1]);
    }
  }
}

async function run() {
  load();
  redis.port = Number(port);
  for (;;) {
    try {
      const client = await redis.client();
      await claim(client);
      await read(client);
    } catch (error) {
      console.error(error.message);
      redis.close();
      await delay(20);
    }
  }
}

run();
