// Messages, reactions, and direct messages.  A message comes by the uplink, or
// by REST from who has no socket.

import { HttpError } from './http.js';
import * as valid from './valid.js';

/** save(): promises that the state is stored. */
export function createMessages({ state, socketManager, save }) {

  // a channel has a room; a direct message goes to the rooms of both users
  function publish(channel, event, payload) {
    if (channel.serverId) {
      socketManager.broadcast(event, `channel:${channel.id}`, payload);
      return;
    }
    for (const userId of channel.userIds) {
      socketManager.broadcastToUser(userId, event, payload);
    }
  }

  function reaction(message, event, channel, emoji, userId) {
    publish(channel, event, {
      channelId: channel.id,
      messageId: message.id,
      userId,
      emoji,
      reactions: message.reactions,
    });
  }

  function add(channel, userId, content, clientId) {
    const message = {
      channelId: channel.id,
      authorId: userId,
      content: valid.text(content, 'A message', 2000),
      clientId,
      id: state.newId(),
      createdAt: Date.now(),
      editedAt: null,
      reactions: [],
    };
    state.addMessage(message);
    return message;
  }

  // An entry may come twice, and a client that got no answer may send once
  // more: either is known by clientId.  The message is stored before others see
  // it.  Nobody knows what came of it the last time, so it is published again:
  // by its id a client knows that it has it.
  async function create({ userId, entryId }, payload) {
    const { channelId, content, clientId = entryId } = valid.object(payload);
    const channel = state.channel(userId, channelId);
    const message = state.messageFrom(channel, userId, valid.key(clientId))
      || add(channel, userId, content, clientId);

    await save();
    publish(channel, 'MESSAGE_CREATE', message);
    return { ok: true, id: message.id };
  }

  const events = { 'message/create': create };

  const routes = {
    'GET /api/channels/:id/messages': ({ userId, params }) => (
      state.messages(state.channel(userId, params.id).id)),

    'POST /api/channels/:id/messages': ({ userId, params, body }) => {
      const channel = state.channel(userId, params.id);
      const message = add(channel, userId, body.content);
      publish(channel, 'MESSAGE_CREATE', message);
      return message;
    },

    'PATCH /api/messages/:id': ({ userId, params, body }) => {
      const { message, channel } = state.message(userId, params.id);
      if (message.authorId !== userId) {
        throw new HttpError(403, 'Only the author may change a message.');
      }
      message.content = valid.text(body.content, 'A message', 2000);
      message.editedAt = Date.now();
      publish(channel, 'MESSAGE_UPDATE', message);
      return message;
    },

    'PUT /api/messages/:id/reactions/:emoji': ({ userId, params }) => {
      const { message, channel } = state.message(userId, params.id);
      const emoji = valid.emoji(params.emoji);
      let it = message.reactions.find((r) => r.emoji === emoji);
      if (!it) {
        if (message.reactions.length === 12) {
          throw new HttpError(409, 'There are enough reactions.');
        }
        it = { emoji, userIds: [] };
        message.reactions.push(it);
      }
      if (!it.userIds.includes(userId)) {
        it.userIds.push(userId);
        reaction(message, 'MESSAGE_REACTION_ADD', channel, emoji, userId);
      }
    },

    'DELETE /api/messages/:id/reactions/:emoji': ({ userId, params }) => {
      const { message, channel } = state.message(userId, params.id);
      const { emoji } = params;
      const it = message.reactions.find((r) => r.emoji === emoji);
      if (it?.userIds.includes(userId)) {
        it.userIds = it.userIds.filter((id) => id !== userId);
        message.reactions = message.reactions
          .filter((r) => r.userIds.length > 0);
        reaction(message, 'MESSAGE_REACTION_REMOVE', channel, emoji, userId);
      }
    },

    'POST /api/dms': ({ userId, body }) => {
      const { dms } = state.data;
      const other = body.userId;
      if (!state.hasUser(other) || other === userId) {
        throw new HttpError(400, 'There is no such user to write to.');
      }
      let dm = dms.find(({ userIds }) => (
        userIds.includes(userId) && userIds.includes(other)));
      if (!dm) {
        dm = { id: state.newId(), userIds: [userId, other] };
        dms.push(dm);
        for (const id of dm.userIds) {
          socketManager.broadcastToUser(id, 'DM_CHANNEL_CREATE', dm);
        }
      }
      return dm;
    },
  };

  return { events, routes };
}
