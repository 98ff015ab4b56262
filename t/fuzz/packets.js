'use strict';

// Packets of Engine.IO and Socket.IO, right ones and wrong ones.

const { sign, forge, inSeconds } = require('../gateway/lib/token');
const { damage } = require('./random');

const NAMESPACES = ['/', '/admin', '/chat', '/none'];
const USERS = 12;
const ROOMS = 8;

const name = (nsp) => (nsp === '/' ? '' : `${nsp},`);
const room = (random) => `r${random.below(ROOMS)}`;

function token(random) {
  const claims = {
    id: `u${random.below(USERS)}`,
    rooms: Array.from({ length: random.below(7) }, () => room(random)),
  };

  switch (random.below(20)) {
  case 0:
    return sign({ ...claims, exp: inSeconds(-60) });
  case 1:
    return sign(claims, { key: 'another key, which nobody knows' });
  case 2:
    return forge({ alg: 'none' }, claims);
  case 3:
    return damage(random, Buffer.from(sign(claims))).toString('latin1');
  case 4:
    return random.pick(['', null, 1, {}, 'a.b.c', 'x'.repeat(3000)]);
  default:
    return sign(claims);
  }
}

/** CONNECT; for recovery it takes one of those sockets, or what is none. */
function connect(random, known, nsp = random.pick(NAMESPACES)) {
  const auth = { token: token(random) };

  if (random.chance(0.4)) {
    const one = random.pick(known.sockets) || {};
    auth.pid = random.chance(0.8) ? one.pid : 'nobody';
    auth.offset = random.chance(0.7) ? one.offset
      : random.pick(['', '0', 'x', '99999999', {}]);
  }
  return `40${name(nsp)}${JSON.stringify(auth)}`;
}

const value = (random) => random.pick([
  1, 'x', null, [], {}, 'ü'.repeat(random.below(200)), { a: [1, { b: 2 }] },
  '\u0000', 1e300, 'y'.repeat(random.below(3000)),
]);

/** One of a session's own namespaces; the wrong one ends it. */
const place = (random, nsps) => name(
  random.pick(random.chance(0.95) ? nsps : NAMESPACES));

function event(random, known, nsps) {
  const id = random.chance(0.4) ? random.below(1000000) : '';
  return `42${place(random, nsps)}${id}${
    JSON.stringify([random.pick(['message', 'n', '']), value(random)])}`;
}

/** An event or an answer with attachments, of which one may be missing. */
function binary(random, known, nsps) {
  const count = random.below(4);
  const places = Array.from(
    { length: random.chance(0.9) ? count : random.below(4) }, (_, num) => (
      { _placeholder: true, num: random.chance(0.9) ? num : 99 }));
  const [type, id] = random.chance(0.7)
    ? [5, random.pick(['', random.below(1000)])]
    : [6, random.pick(known.acks) ?? random.below(300)];
  const list = [
    `4${type}${count}-${place(random, nsps)}${id}${
      JSON.stringify([...(type === 5 ? ['message'] : []), ...places])}`,
    ...Array.from({ length: count }, () => random.bytes(random.below(200)))];

  if (random.chance(0.1)) {
    list.pop();
  }
  if (random.chance(0.1)) {
    list.splice(random.below(list.length + 1), 0, random.pick(
      ['3', event(random, known, nsps), random.bytes(9), '1']));
  }
  return list;
}

const KINDS = [
  [2, (random, known) => connect(random, known)],
  [12, event],
  [4, binary],
  [1, (random) => random.bytes(random.below(200))],
  [2, (random, known, nsps) => `43${place(random, nsps)}${
    random.chance(0.7) ? random.pick(known.acks) : random.below(300)}${
    JSON.stringify([value(random)])}`],
  [1, (random, known, nsps) => `41${place(random, nsps)}`],
  [1, (random) => `44${JSON.stringify({ message: `${value(random)}` })}`],
  [5, () => '3'],
  [1, () => '2'],
  [2, (random) => random.pick(['2probe', '3probe', '5', '6', '1', '0{}'])],
  [1, (random) => random.pick(['', '4', '42', '4999', '9', '40/', '42/,',
                               '42[', '450-[]', '42'.repeat(500),
                               `42[${'['.repeat(600)}`])],
  [2, (...all) => damage(all[0], Buffer.from(event(...all)))],
  [1, (random, known) => damage(random, Buffer.from(connect(random, known)))],
];

const TOTAL = KINDS.reduce((sum, [weight]) => sum + weight, 0);

/** A packet, or those that belong together, to these namespaces. */
function packets(random, known, nsps) {
  let left = random.below(TOTAL);
  for (const [weight, make] of KINDS) {
    left -= weight;
    if (left < 0) {
      return [make(random, known, nsps)].flat();
    }
  }
  return ['6'];
}

module.exports = { packets, connect, room, value, NAMESPACES };
