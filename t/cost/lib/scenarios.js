'use strict';

// What is counted.  Everything is done one after the other, and the next thing
// begins when the last one is over: so the worker goes through its event loop
// as often in each run.

const { Polling } = require('../../gateway/lib/polling');
const { HttpConnection, request } = require('../../gateway/lib/http');
const { Crowd, Counter } = require('./crowd');

const FEW = 5;
const JOINS = 64;
const MANY = 3 * JOINS;         // made in three rounds of connect
const POLLS = 16;
const BURST = 24;               // what one read from Redis gives
const BEATING = 64;
const BEATS = 3;
const INTERVAL = 1000;

const STILL = {
  socketio_ping_interval: '600s',
  socketio_ping_timeout: '600s',
  socketio_rooms: 'claim=rooms',
};

const LOCATIONS = {
  '/socket.io/': {
    ...STILL, socketio_forward: 'message/create stream=up',
  },
};

// as those of bench, 350 bytes in a frame
const MESSAGE = {
  t: 1768469213589123,
  n: 100000,
  id: '65a1f0c2b7e4d90000100000',
  channelId: 'room-1000',
  author: {
    id: '65a0be11c9d2f3a4b5c6d7e8', username: 'marguerite', avatar: 'a_3f9d1c',
  },
  content: 'Has anyone looked at the deploy from this morning? '
           + 'Looks fine here.',
  type: 0,
  attachments: [],
  createdAt: '2026-01-15T09:26:53.589Z',
};

const rooms = (first) => [first, 'room-2000', 'room-3000', 'room-4000',
                          'room-5000'];

const publish = (gw, room) => gw.emitter.to(room).emit('MESSAGE_CREATE',
                                                       MESSAGE);

/** Instructions of one event for a crowd, published as `burst` at once. */
async function event(gw, room, crowd, { times, burst = 1 }) {
  const count = await gw.nginx.instructions(async () => {
    for (let i = 0; i < times; i++) {
      for (let k = 0; k < burst; k++) {
        publish(gw, room);
      }
      await crowd.got(burst);
    }
  });
  return count / times / burst;
}

async function prepare(gw) {
  const few = new Crowd(gw);
  await few.join(FEW, { rooms: rooms('few') });
  return { few, many: new Crowd(gw) };
}

/** From accept to the ready event, with a token and five rooms. */
async function connect(gw, { many }) {
  const count = await gw.nginx.instructions(
    () => many.join(JOINS, { rooms: rooms('many') }), MANY / JOINS);
  return count / JOINS;
}

/** The same with tokens that the worker has seen before. */
async function again(gw) {
  const count = await gw.nginx.instructions(
    () => new Crowd(gw).join(JOINS, { rooms: rooms('many') }), MANY / JOINS);
  return count / JOINS;
}

/** From Redis to a room of five: all that the worker does. */
async function published(gw, state) {
  state.published = await event(gw, 'few', state.few, { times: 20 });
  return state.published;
}

/** What each further member of a room adds. */
async function delivery(gw, { many, published: small }) {
  const large = await event(gw, 'many', many, { times: 10 });
  return (large - small) / (MANY - FEW);
}

/** The same if many events come at once. */
async function burst(gw, { few, many }) {
  const options = { times: 3, burst: BURST };
  const small = await event(gw, 'few', few, options);
  const large = await event(gw, 'many', many, options);
  return (large - small) / (MANY - FEW);
}

/** An event of a client that becomes an entry of a stream. */
async function uplink(gw, { few }) {
  const reader = await gw.redis.client();
  const packet = `42["message/create",${JSON.stringify(MESSAGE)}]`;
  const times = 15;
  let last = '0';

  const count = await gw.nginx.instructions(async () => {
    for (let i = 0; i < times; i++) {
      few.sockets[i % FEW].text(packet);
      const [{ messages }] = await reader.xRead({ key: 'up', id: last },
                                                { BLOCK: 30000 });
      last = messages.at(-1).id;
      await few.settled();
    }
  });
  return count / times;
}

/** An event for someone who polls: the answer, and the next poll. */
async function poll(gw, { few }) {
  const answers = new Counter();
  const lines = [];

  const next = ({ line, bytes }) => {
    line.send(bytes).then(() => answers.add(), () => {});
  };

  for (let i = 0; i < POLLS; i++) {
    const session = await Polling.open(gw.where);
    session.id = await session.join(gw.auth({
      user: `poll-${100 + i}`, rooms: rooms('polls'),
    }));
    lines.push({
      line: await HttpConnection.open(gw.where),
      bytes: request('GET', session.path()),
    });
  }
  lines.forEach(next);
  await few.settled();

  const times = 4;
  const count = await gw.nginx.instructions(async () => {
    for (let i = 0; i < times; i++) {
      publish(gw, 'polls');
      await answers.more(POLLS);
      lines.forEach(next);
      await few.settled();
    }
  });
  lines.forEach(({ line }) => line.destroy());
  return count / times / POLLS;
}

/**
 * A ping and the pong, of clients whose pings are due together; without Redis,
 * which has heartbeats of its own.
 */
async function heartbeat(gw, state, start) {
  const calm = await start({
    redis: false,
    locations: {
      '/socket.io/': { ...STILL, socketio_ping_interval: `${INTERVAL}ms` },
    },
  });
  const crowd = new Crowd(calm);

  const empty = await calm.nginx.empty();
  const counts = [];

  await crowd.join(BEATING, { rooms: rooms('beating') });
  await crowd.beat(INTERVAL);

  for (let round = 0; round < BEATS; round++) {
    counts.push(await crowd.beat(INTERVAL));
  }
  return (Math.min(...counts) - empty) / BEATING;
}

const ALL = [
  { name: 'connect', count: connect },
  { name: 'publish', count: published },
  { name: 'delivery', count: delivery },
  { name: 'delivery in a burst', count: burst },
  { name: 'uplink', count: uplink },
  { name: 'poll', count: poll },
  { name: 'connect again', count: again },
  { name: 'heartbeat', count: heartbeat },
];

module.exports = { LOCATIONS, ALL, prepare };
