// The backend of the demo.  It holds no connection to any client: it answers
// REST, takes events of clients from the uplink, publishes events on Redis, and
// keeps the room sets there.
//
//     PORT, PORT_FILE     where to listen (0: anywhere), where to tell
//     REDIS_URL           e.g. redis://127.0.0.1:6379
//     JWT_SECRET_FILE     the secret shared with nginx
//     CLAIM_AFTER         when the entries of a dead backend are taken over: ms

import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';

import { Emitter } from '@socket.io/redis-emitter';

import { createAnswers } from './answers.js';
import { channelRoutes } from './channels.js';
import { createEvents } from './events.js';
import { HttpError, createServer } from './http.js';
import { createMessages } from './messages.js';
import { verifyPassword } from './passwords.js';
import { createRedis, publisher } from './redis.js';
import { createRooms } from './rooms.js';
import { seed } from './seed.js';
import { serverRoutes } from './servers.js';
import { createSocketManager } from './socket-manager.js';
import { State } from './state.js';
import { createTokens } from './tokens.js';
import { Uplink } from './uplink.js';
import * as valid from './valid.js';

const {
  PORT, PORT_FILE, REDIS_URL, JWT_SECRET_FILE, CLAIM_AFTER = '5000',
} = process.env;

const redis = createRedis(REDIS_URL);
await redis.connect();

const state = await State.load(redis) || new State(await seed());
const tokens = createTokens(fs.readFileSync(JWT_SECRET_FILE, 'utf8').trim());
const io = new Emitter(publisher(redis));
const socketManager = createSocketManager(io);
const rooms = createRooms(redis, io);

// now, and whenever Redis is back, perhaps empty
async function restore() {
  await state.save(redis);
  for (const { id } of state.data.users) {
    await rooms.restore(id, state.roomsOf(id));
  }
}

await restore();
redis.on('ready', () => {
  restore().catch((error) => console.log(`Redis: ${error.message}`));
});

const save = () => state.save(redis);
const context = { state, socketManager, rooms, save };
const messages = createMessages(context);

const routes = {
  'GET /api/health': async () => {
    await redis.ping();
    return { ok: true };
  },

  'POST /api/login': async ({ body }) => {
    const name = valid.text(body.name, 'The name', 32);
    const password = valid.text(body.password, 'The password', 64);
    const user = state.userNamed(name);

    if (!await verifyPassword(password, user?.password)) {
      throw new HttpError(401, 'Name or password is wrong.');
    }
    return { token: tokens.sign(user.id) };
  },

  'GET /api/state': ({ userId }) => state.viewOf(userId),

  ...messages.routes,
  ...channelRoutes(context),
  ...serverRoutes(context),
};

const server = createServer({
  routes,
  open: ['GET /api/health', 'POST /api/login'],
  authenticate(token) {
    const userId = tokens.verify(token);
    return state.hasUser(userId) ? userId : undefined;
  },
  changed: save,
});

server.listen(Number(PORT), '127.0.0.1', () => {
  const { port } = server.address();
  fs.writeFileSync(PORT_FILE, String(port));
  console.log(`listening on 127.0.0.1:${port}`);
});

const answers = createAnswers(redis);

const uplink = new Uplink({
  redis,
  stream: 'demo:uplink',
  group: 'chat',
  consumer: os.hostname(),
  claimAfter: Number(CLAIM_AFTER),
  handle: createEvents(messages.events, answers),
  buried: (entry) => answers.refuse(
    entry, 'This does not work at the moment.'),
});

await uplink.start();

// what is under way is finished
async function stop() {
  const closed = once(server.close(), 'close');
  server.closeIdleConnections();
  await Promise.all([closed, uplink.stop()]);
  await redis.close();

  // node-redis keeps a connection that was being made when it was closed
  process.exit();
}

process.once('SIGTERM', stop);
process.once('SIGINT', stop);
