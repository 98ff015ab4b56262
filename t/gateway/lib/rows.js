'use strict';

// What rows of the table are made of.  A row is a list of cases
// { row, name, run(s) }, with s of subject.js; it passes if all of them do.

const { LINKS } = require('./links');
const { SID } = require('./subject');

const show = (packet) => {
  if (typeof packet !== 'string') {
    return `<${packet.toString('hex')}>`;
  }
  return packet.length < 50 ? packet || '""' : `${packet.slice(0, 47)}...`;
};

/**
 * Cases for each input, that is a packet, or a list of them sent together, and
 * for each way to be connected.  outcome: async (link, s) =>.
 */
function packets(row, state, inputs, outcome, links = LINKS) {
  return inputs.flatMap((input) => links.map((Link) => ({
    row,
    name: `${[].concat(input).map(show).join(' ')} ${state}, ${Link.label}`,
    run: async (s) => {
      const link = await Link.open(s, state === 'when joined');
      await link.send(...[].concat(input));
      await outcome(link, s);
    },
  })));
}

const open = (row, ...rest) => packets(row, 'when open', ...rest);
const joined = (row, ...rest) => packets(row, 'when joined', ...rest);

/** Engine.IO is broken: all is over at once. */
const ends = (reason) => async (link, s) => {
  await link.closed(false);
  await s.closed(reason);
};

/** Socket.IO is broken: one who polls gets to know it from his next GET. */
const closes = async (link, s) => {
  await link.closed(true);
  await s.closed('forced close');
};

/**
 * The same for packets that are fine, but not now.  Without a GET the
 * reference has another name for it.
 */
const closesNow = async (link, s) => {
  const idle = link.constructor.label === 'polling';
  await link.closed(true);
  await s.closed(s.pick('forced close',
                        idle ? 'forced server close' : 'forced close'));
};

/** Accepted at once by the gateway, so that this is known before the fault. */
const REPLY = new RegExp(`^40\\{"sid":"${SID}"\\}$`);

const faultBehindConnect = (reason) => async (link, s) => {
  const deferred = reason === 'forced close';
  if (s.pick(true, false)) {
    await link.closedBehind(REPLY, deferred);
  } else {
    await link.closed(deferred);
  }
  await s.closed(reason);
};

/** These packets, and all is well. */
const gets = (...expected) => async (link) => {
  for (const packet of expected) {
    await link.gets(packet);
  }
  await link.alive();
};

const alive = (link) => link.alive();

module.exports = {
  REPLY, open, joined, ends, closes, closesNow, faultBehindConnect, gets, alive,
};
