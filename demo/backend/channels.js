// Channels, categories, and who may read a private channel.

import { HttpError } from './http.js';
import * as valid from './valid.js';

export function channelRoutes({ state, socketManager, rooms }) {

  const roomOf = (channel) => `channel:${channel.id}`;

  // what a private channel is called is for those who may read it
  function publish(event, channel) {
    const room = channel.private ? roomOf(channel)
      : `server:${channel.serverId}`;
    socketManager.broadcast(event, room, channel);
  }

  function category(server, id) {
    if (id !== null && !server.categories.some((it) => it.id === id)) {
      throw new HttpError(400, 'There is no such category.');
    }
    return id;
  }

  return {
    'POST /api/servers/:id/channels': async ({ userId, params, body }) => {
      const server = state.ownedServer(userId, params.id);
      const channel = {
        serverId: server.id,
        categoryId: category(server, body.categoryId ?? null),
        name: valid.channelName(body.name),
        private: valid.flag(body.private ?? false, 'private'),
        userIds: valid.ids(body.userIds ?? [], 'userIds', server.memberIds),
        id: state.newId(),
      };
      if (channel.private && !channel.userIds.includes(userId)) {
        channel.userIds.push(userId);
      }
      server.channels.push(channel);
      await rooms.join(state.readers(channel), [roomOf(channel)]);
      publish('CHANNEL_CREATE', channel);
      return channel;
    },

    'PATCH /api/channels/:id': ({ userId, params, body }) => {
      const { server, channel } = state.ownedChannel(userId, params.id);
      const name = valid.channelName(body.name ?? channel.name);
      channel.categoryId = category(server,
                                    body.categoryId ?? channel.categoryId);
      channel.name = name;
      publish('CHANNEL_UPDATE', channel);
      return channel;
    },

    'DELETE /api/channels/:id': async ({ userId, params }) => {
      const { server, channel } = state.ownedChannel(userId, params.id);
      const readers = state.readers(channel);
      server.channels = server.channels.filter((it) => it !== channel);
      state.dropChannels([channel]);

      // the event first, while they are in the rooms
      socketManager.broadcast('CHANNEL_DELETE', `server:${server.id}`,
                              { serverId: server.id, channelId: channel.id });
      await rooms.leave(readers, [roomOf(channel)]);
    },

    'PUT /api/channels/:id/permissions': async ({ userId, params, body }) => {
      const { server, channel } = state.ownedChannel(userId, params.id);
      const isPrivate = valid.flag(body.private, 'private');
      const userIds = isPrivate
        ? valid.ids(body.userIds ?? [], 'userIds', server.memberIds) : [];
      const before = state.readers(channel);

      if (isPrivate && !userIds.includes(userId)) {
        userIds.push(userId);
      }
      Object.assign(channel, { private: isPrivate, userIds });

      const after = state.readers(channel);
      const without = (list, other) => list.filter((id) => !other.includes(id));
      await rooms.leave(without(before, after), [roomOf(channel)]);
      await rooms.join(without(after, before), [roomOf(channel)]);
      socketManager.broadcast('PERMISSIONS_UPDATE', `server:${server.id}`,
                              { serverId: server.id, channelId: channel.id });
      return channel;
    },

    'POST /api/servers/:id/categories': ({ userId, params, body }) => {
      const server = state.ownedServer(userId, params.id);
      const name = valid.text(body.name, 'The name', 32);
      const it = { id: state.newId(), name };
      server.categories.push(it);
      socketManager.broadcast('CATEGORY_CREATE', `server:${server.id}`,
                              { serverId: server.id, ...it });
      return it;
    },

    'PATCH /api/categories/:id': ({ userId, params, body }) => {
      const { server, category: it } = state.ownedCategory(userId, params.id);
      it.name = valid.text(body.name, 'The name', 32);
      socketManager.broadcast('CATEGORY_UPDATE', `server:${server.id}`,
                              { serverId: server.id, ...it });
      return it;
    },

    // its channels stay, outside of any category
    'DELETE /api/categories/:id': ({ userId, params }) => {
      const { server, category: it } = state.ownedCategory(userId, params.id);
      server.categories = server.categories.filter((c) => c !== it);
      for (const channel of server.channels) {
        if (channel.categoryId === it.id) {
          channel.categoryId = null;
        }
      }
      socketManager.broadcast('CATEGORY_DELETE', `server:${server.id}`,
                              { serverId: server.id, categoryId: it.id });
    },
  };
}
