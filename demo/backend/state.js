// What the backend knows.  It is kept in memory as one plain object; a copy
// in Redis outlives a restart of the backend.

import { HttpError } from './http.js';

const KEY = 'demo:state';
const KEPT = 200;       // messages of a channel

export class State {
  /** data: { nextId, users, servers, dms, messages }, see seed.js. */
  constructor(data) {
    this.data = data;
  }

  static async load(redis) {
    const text = await redis.get(KEY);
    return text ? new State(JSON.parse(text)) : undefined;
  }

  save(redis) {
    return redis.set(KEY, JSON.stringify(this.data));
  }

  newId() {
    return String(this.data.nextId++);
  }

  userNamed(name) {
    return this.data.users.find((user) => user.name === name);
  }

  hasUser(id) {
    return this.data.users.some((user) => user.id === id);
  }

  server(id) {
    return found(this.data.servers.find((it) => it.id === id), 'server');
  }

  /** A server that the user is a member of; to all others there is none. */
  serverOf(userId, id) {
    const server = this.server(id);
    return found(server.memberIds.includes(userId) && server, 'server');
  }

  /** A server that the user may change. */
  ownedServer(userId, id) {
    return owned(userId, this.serverOf(userId, id));
  }

  /** A channel of a server or a direct one, if the user may read it. */
  channel(userId, id) {
    const dm = this.data.dms.find((it) => it.id === id);
    if (dm) {
      return found(dm.userIds.includes(userId) && dm, 'channel');
    }
    const channel = this.data.servers.flatMap((server) => server.channels)
      .find((it) => it.id === id);
    return found(channel && this.maySee(userId, channel) && channel,
                 'channel');
  }

  /** { server, channel } of a channel that the user may change. */
  ownedChannel(userId, id) {
    const channel = this.channel(userId, id);
    const server = channel.serverId
      && this.ownedServer(userId, channel.serverId);
    return { server: found(server, 'channel of a server'), channel };
  }

  /** { server, category } of a category that the user may change. */
  ownedCategory(userId, id) {
    const has = (server) => server.categories.some((it) => it.id === id);
    const server = found(this.data.servers.find(
      (it) => it.memberIds.includes(userId) && has(it)), 'category');
    owned(userId, server);
    return { server, category: server.categories.find((it) => it.id === id) };
  }

  maySee(userId, channel) {
    return this.readers(channel).includes(userId);
  }

  /** The ids of all who may read a channel. */
  readers(channel) {
    if (!channel.serverId) {
      return channel.userIds;
    }
    const { memberIds } = this.server(channel.serverId);
    return channel.private
      ? memberIds.filter((id) => channel.userIds.includes(id)) : memberIds;
  }

  /** The rooms of a server and of what the user may read there. */
  roomsIn(server, userId) {
    return [
      `server:${server.id}`,
      ...server.channels.filter((channel) => this.maySee(userId, channel))
        .map((channel) => `channel:${channel.id}`),
    ];
  }

  roomsOf(userId) {
    return this.data.servers.filter((it) => it.memberIds.includes(userId))
      .flatMap((server) => this.roomsIn(server, userId));
  }

  messages(channelId) {
    return this.data.messages[channelId] || [];
  }

  /** The message that the user's client has called so, if there is one. */
  messageFrom(channel, userId, clientId) {
    return this.messages(channel.id).find((it) => (
      it.authorId === userId && it.clientId === clientId));
  }

  addMessage(message) {
    const list = [...this.messages(message.channelId), message];
    this.data.messages[message.channelId] = list.slice(-KEPT);
  }

  /** { message, channel }, if the user may read it. */
  message(userId, id) {
    const message = found(Object.values(this.data.messages).flat()
      .find((it) => it.id === id), 'message');
    return { message, channel: this.channel(userId, message.channelId) };
  }

  dropChannels(channels) {
    for (const channel of channels) {
      delete this.data.messages[channel.id];
    }
  }

  /** All that a user may know, but for messages. */
  viewOf(userId) {
    const { users, servers, dms } = this.data;
    const isMember = (server) => server.memberIds.includes(userId);
    const withLast = (channel) => ({
      ...channel,
      lastMessageId: this.messages(channel.id).at(-1)?.id || '0',
    });

    return {
      userId,
      users: users.map(({ id, name }) => ({ id, name })),
      servers: servers.filter(isMember).map((server) => ({
        ...server,
        channels: server.channels.map(withLast)
          .filter((channel) => this.maySee(userId, channel)),
      })),
      others: servers.filter((server) => !isMember(server))
        .map(({ id, name }) => ({ id, name })),
      dms: dms.filter((dm) => dm.userIds.includes(userId)).map(withLast),
    };
  }
}

function found(value, what) {
  if (!value) {
    throw new HttpError(404, `There is no such ${what}.`);
  }
  return value;
}

function owned(userId, server) {
  if (server.ownerId !== userId) {
    throw new HttpError(403, 'Only the owner of the server may do this.');
  }
  return server;
}
