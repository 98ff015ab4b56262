// Servers and their members.

import { HttpError } from './http.js';
import * as valid from './valid.js';

export function serverRoutes({ state, socketManager, rooms }) {

  const roomOf = (server) => `server:${server.id}`;

  function publish(event, server, payload = {}) {
    socketManager.broadcast(event, roomOf(server),
                            { serverId: server.id, ...payload });
  }

  // the rooms are those that the member has had until now
  async function remove(server, userId) {
    const left = state.roomsIn(server, userId);
    server.memberIds = server.memberIds.filter((id) => id !== userId);
    for (const channel of server.channels) {
      channel.userIds = channel.userIds.filter((id) => id !== userId);
    }
    await rooms.leave([userId], left);
  }

  return {
    'POST /api/servers': async ({ userId, body }) => {
      const server = {
        name: valid.text(body.name, 'The name', 32),
        id: state.newId(),
        ownerId: userId,
        memberIds: [userId],
        categories: [],
        channels: [],
      };
      server.channels.push({
        id: state.newId(),
        serverId: server.id,
        categoryId: null,
        name: 'general',
        private: false,
        userIds: [],
      });
      state.data.servers.push(server);
      await rooms.join([userId], state.roomsIn(server, userId));
      publish('SERVER_CREATE', server);
      return server;
    },

    'PATCH /api/servers/:id': ({ userId, params, body }) => {
      const server = state.ownedServer(userId, params.id);
      server.name = valid.text(body.name, 'The name', 32);
      publish('SERVER_UPDATE', server, { name: server.name });
      return server;
    },

    'DELETE /api/servers/:id': async ({ userId, params }) => {
      const server = state.ownedServer(userId, params.id);
      const { servers } = state.data;
      const all = [roomOf(server), ...server.channels.map(
        (channel) => `channel:${channel.id}`)];

      servers.splice(servers.indexOf(server), 1);
      state.dropChannels(server.channels);

      // the event first, while they are in the rooms
      publish('SERVER_DELETE', server);
      await rooms.leave(server.memberIds, all);
    },

    // the user joins
    'POST /api/servers/:id/members': async ({ userId, params }) => {
      const server = state.server(params.id);
      if (!server.memberIds.includes(userId)) {
        server.memberIds.push(userId);
        await rooms.join([userId], state.roomsIn(server, userId));
        publish('MEMBER_JOIN', server, { userId });
      }
    },

    // the user leaves, or the owner kicks somebody
    'DELETE /api/servers/:id/members/:userId': async ({ userId, params }) => {
      const server = state.serverOf(userId, params.id);
      const gone = params.userId;

      if (gone !== userId) {
        state.ownedServer(userId, server.id);
      }
      if (!server.memberIds.includes(gone)) {
        throw new HttpError(404, 'There is no such member.');
      }
      if (gone === server.ownerId) {
        throw new HttpError(409, 'The owner cannot leave the server.');
      }

      // the event first, while they are in the rooms
      if (gone !== userId) {
        socketManager.broadcastToUser(gone, 'SERVER_KICK',
                                      { serverId: server.id });
      }
      publish('MEMBER_LEAVE', server, { userId: gone });
      await remove(server, gone);
    },
  };
}
