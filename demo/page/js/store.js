// What the page knows: fetched by REST after each connect, kept up to date by
// events.  Nothing here touches the document.

import { api } from './api.js';
import { Outbox } from './outbox.js';

export class Store {
  /**
   * changed(what): 'state' (servers, channels, members) or 'messages';
   * notify(text): something the user should know;
   * send(event, payload): to the backend, over the socket.
   */
  constructor({ changed, notify, send }) {
    this.changed = changed;
    this.notify = notify;
    this.outbox = new Outbox({
      send,
      changed: () => changed('messages'),
      failed: ({ channelId, error }) => {
        if (channelId !== this.channelId) {
          notify(`A message was not delivered. ${error}`);
        }
      },
    });
    this.fetching = 0;      // requests under way
    this.reset();
  }

  reset() {
    this.state = undefined;
    this.serverId = undefined;      // of the open server; none: DMs
    this.channelId = undefined;     // of the open channel
    this.messages = new Map();      // of the open channel
    this.seen = new Map();          // channel: last message the user has seen
    this.waiting = [];      // events that came while something was fetched
    this.outbox.clear();
  }

  // ---- what is there

  get me() { return this.user(this.state.userId); }

  get server() {
    return this.state?.servers.find((it) => it.id === this.serverId);
  }

  get channel() { return this.findChannel(this.channelId); }

  get isOwner() { return this.server?.ownerId === this.state?.userId; }

  user(id) {
    return this.state.users.find((it) => it.id === id) || { id, name: '?' };
  }

  /** The user that a direct channel is with. */
  partner(dm) {
    return this.user(dm.userIds.find((id) => id !== this.state.userId));
  }

  findChannel(id) {
    return this.state && this.#allChannels().find((it) => it.id === id);
  }

  #allChannels() {
    const { dms, servers } = this.state;
    return [...dms, ...servers.flatMap((server) => server.channels)];
  }

  isUnread(channel) {
    return Number(channel.lastMessageId || 0)
      > Number(this.seen.get(channel.id) || 0);
  }

  /** Those of the open channel, then those that are on their way. */
  sortedMessages() {
    return [
      ...[...this.messages.values()].sort((a, b) => a.id - b.id),
      ...this.outbox.waiting(this.channelId),
    ];
  }

  /** "sent", "delivered" or "failed", if this tab has sent the message. */
  deliveryOf(message) {
    return message.authorId === this.state.userId
      ? this.outbox.stateOf(message) : undefined;
  }

  write(content) {
    this.outbox.add(this.channelId, this.state.userId, content);
  }

  // ---- fetching

  /**
   * Fetches everything again.  To be called when the socket is connected: it
   * is in its rooms by then, so what is not in the answers comes as an event.
   */
  async refresh() {
    await this.#fetch(async () => {
      const first = !this.state;
      this.state = await api.get('/state');
      if (first) {
        this.#allChannels().forEach(
          (it) => this.seen.set(it.id, it.lastMessageId));
        this.#openDefault();
      }
      this.#leaveWhatIsGone();
      await this.#fetchMessages();
    });
    this.changed('state');
    this.changed('messages');
  }

  async openServer(serverId) {
    this.serverId = serverId;
    const channels = this.server ? this.server.channels : this.state.dms;
    await this.openChannel(this.#firstOf(channels)?.id);
  }

  async openChannel(channelId) {
    this.channelId = channelId;
    this.messages = new Map();
    this.changed('state');
    this.changed('messages');
    await this.#fetch(() => this.#fetchMessages());
    this.changed('state');
    this.changed('messages');
  }

  async #fetchMessages() {
    const { channelId } = this;
    const list = channelId
      ? await api.get(`/channels/${channelId}/messages`) : [];

    if (channelId === this.channelId) {
      const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
      const old = this.messages;
      this.messages = new Map(list.map((it) => [
        it.id, same(it, old.get(it.id)) ? old.get(it.id) : it,
      ]));
      this.#see(list.at(-1)?.id);
      list.forEach((it) => this.#isDelivered(it));
    }
  }

  // Events that come while something is fetched are applied afterwards: the
  // last one about a thing always tells its latest state.
  async #fetch(work) {
    this.fetching++;
    try {
      await work();
    } finally {
      this.fetching--;
      if (this.fetching === 0) {
        this.waiting.splice(0).forEach((it) => this.#apply(...it));
      }
    }
  }

  /** Channels by category: [{ category, channels }], those without first. */
  grouped(channels = this.server?.channels || []) {
    const categories = this.server?.categories || [];
    const isIn = (channel, category) => channel.categoryId === category.id;
    const rest = channels.filter((it) => !categories.some((c) => isIn(it, c)));

    return [
      { category: null, channels: rest },
      ...categories.map((category) => ({
        category, channels: channels.filter((it) => isIn(it, category)),
      })),
    ];
  }

  // the first one as the page shows them
  #firstOf(channels) {
    return this.grouped(channels).flatMap((group) => group.channels)[0];
  }

  #openDefault() {
    this.serverId = this.state.servers[0]?.id;
    this.#openFirst();
  }

  #openFirst() {
    this.channelId = this.#firstOf(this.server?.channels || this.state.dms)?.id;
    this.messages = new Map();
  }

  #leaveWhatIsGone() {
    if (this.serverId && !this.server) {
      this.#openDefault();
    } else if (!this.channel) {
      this.#openFirst();
    }
  }

  #see(messageId) {
    if (messageId) {
      this.seen.set(this.channelId, messageId);
    }
  }

  #isDelivered({ authorId, clientId }) {
    if (authorId === this.state.userId) {
      this.outbox.delivered(clientId);
    }
  }

  // ---- events

  event(name, payload) {
    if (this.fetching > 0 || !this.state) {
      this.waiting.push([name, payload]);
    } else {
      this.#apply(name, payload);
    }
  }

  #apply(name, payload) {
    const handler = this.#handlers[name];
    if (handler && this.state) {
      handler(payload, this.#find(payload.serverId));
    }
  }

  #find(serverId) {
    return this.state.servers.find((it) => it.id === serverId);
  }

  // something that an event does not tell in full, or that changes what is open
  #refetch() {
    this.refresh().catch((error) => this.notify(error.message));
  }

  #dropServer(server, why) {
    if (!server) {
      return;
    }
    this.state.servers = this.state.servers.filter((it) => it !== server);
    this.notify(why);
    if (this.serverId === server.id) {
      this.#leaveWhatIsGone();
    }
    this.changed('state');
    this.changed('messages');
    this.#refetch();
  }

  #upsertChannel(channel, server) {
    if (!server) {
      return;
    }
    const old = server.channels.find((it) => it.id === channel.id);
    if (old) {
      Object.assign(old, channel);
    } else {
      server.channels.push({ lastMessageId: '0', ...channel });
    }
    this.changed('state');
    if (!this.channelId && this.serverId === server.id) {
      this.openChannel(channel.id);
    }
  }

  #upsertCategory({ categoryId, id = categoryId, name }, server) {
    const old = server?.categories.find((it) => it.id === id);
    if (old) {
      old.name = name;
    } else {
      server?.categories.push({ id, name });
    }
    this.changed('state');
  }

  #reaction({ channelId, messageId, reactions }) {
    const message = channelId === this.channelId
      && this.messages.get(messageId);
    if (message) {
      this.messages.set(messageId, { ...message, reactions });
      this.changed('messages');
    }
  }

  #handlers = {
    MESSAGE_CREATE: (message) => {
      const channel = this.findChannel(message.channelId);
      if (!channel) {
        this.#refetch();
        return;
      }
      // it may come once more, when it is not the last one any longer
      const isNew = Number(message.id) > Number(channel.lastMessageId);
      if (isNew) {
        channel.lastMessageId = message.id;
      }
      if (channel.id === this.channelId) {
        this.messages.set(message.id, message);
        this.#see(channel.lastMessageId);
        this.changed('messages');
      } else {
        if (isNew && message.authorId === this.state.userId) {
          this.seen.set(channel.id, message.id);
        }
        this.changed('state');
      }
      this.#isDelivered(message);
    },

    MESSAGE_UPDATE: (message) => {
      if (this.messages.has(message.id)) {
        this.messages.set(message.id, message);
        this.changed('messages');
      }
    },

    MESSAGE_REACTION_ADD: (it) => this.#reaction(it),
    MESSAGE_REACTION_REMOVE: (it) => this.#reaction(it),

    DM_CHANNEL_CREATE: (dm) => {
      if (!this.findChannel(dm.id)) {
        this.state.dms.push({ lastMessageId: '0', ...dm });
        this.changed('state');
      }
    },

    CHANNEL_CREATE: (channel, server) => this.#upsertChannel(channel, server),
    CHANNEL_UPDATE: (channel, server) => this.#upsertChannel(channel, server),

    CHANNEL_DELETE: ({ channelId }, server) => {
      if (!server?.channels.some((it) => it.id === channelId)) {
        return;
      }
      server.channels = server.channels.filter((it) => it.id !== channelId);
      this.changed('state');
      if (channelId === this.channelId) {
        this.notify('This channel was deleted.');
        this.openServer(server.id);
      }
    },

    CATEGORY_CREATE: (it, server) => this.#upsertCategory(it, server),
    CATEGORY_UPDATE: (it, server) => this.#upsertCategory(it, server),

    CATEGORY_DELETE: ({ categoryId }, server) => {
      if (server) {
        server.categories = server.categories
          .filter((it) => it.id !== categoryId);
        this.changed('state');
      }
    },

    SERVER_CREATE: () => this.#refetch(),

    SERVER_UPDATE: ({ name }, server) => {
      if (server) {
        server.name = name;
        this.changed('state');
      }
    },

    SERVER_DELETE: (_, server) => this.#dropServer(
      server, `${server?.name} was deleted.`),

    SERVER_KICK: (_, server) => this.#dropServer(
      server, `You were removed from ${server?.name}.`),

    MEMBER_JOIN: ({ userId }, server) => {
      if (!server) {
        this.#refetch();        // the user has joined, perhaps in another tab
      } else if (!server.memberIds.includes(userId)) {
        server.memberIds.push(userId);
        this.changed('state');
      }
    },

    MEMBER_LEAVE: ({ userId }, server) => {
      if (userId === this.state.userId) {
        this.#dropServer(server, `You have left ${server?.name}.`);
      } else if (server) {
        server.memberIds = server.memberIds.filter((id) => id !== userId);
        this.changed('state');
      }
    },

    PERMISSIONS_UPDATE: () => this.#refetch(),
  };
}
