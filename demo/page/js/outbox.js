// What this tab has written, and what came of it: "sent", "delivered", or
// "failed".  Each message has an id of its own: sent once more, it is the same
// message to the backend, whatever became of it before.

export class Outbox {
  /**
   * send(event, payload): promises that the backend has taken it;
   * changed(): something is to be shown; failed(message): it is not there yet.
   */
  constructor({ send, changed, failed }) {
    Object.assign(this, { send, changed, failed });
    this.items = new Map();
  }

  clear() {
    this.items.clear();
  }

  add(channelId, authorId, content) {
    const id = newId();

    this.#transmit({
      id, clientId: id, channelId, authorId, content,
      createdAt: Date.now(), editedAt: null, reactions: [],
    });
  }

  retry(id) {
    const item = this.items.get(id);
    if (item?.state === 'failed') {
      this.#transmit(item);
    }
  }

  discard(id) {
    this.items.delete(id);
    this.changed();
  }

  /** The backend says so, or the message itself has come. */
  delivered(id) {
    const item = this.items.get(id);
    if (item && item.state !== 'delivered') {
      this.#set(item, { state: 'delivered' });
    }
  }

  stateOf({ clientId }) {
    return this.items.get(clientId)?.state;
  }

  /** Those of a channel that are no messages yet. */
  waiting(channelId) {
    return [...this.items.values()].filter((it) => (
      it.channelId === channelId && it.state !== 'delivered'));
  }

  async #transmit(item) {
    const { id, clientId, channelId, content } = item;

    this.#set(item, { state: 'sent', error: undefined });
    try {
      await this.send('message/create', { clientId, channelId, content });
      this.delivered(id);
    } catch (error) {
      this.#fail(id, error);
    }
  }

  // the message itself may have come without an answer
  #fail(id, { message }) {
    const item = this.items.get(id);
    if (item?.state === 'sent') {
      this.failed(this.#set(item, { state: 'failed', error: message }));
    }
  }

  #set(item, values) {
    const changed = { ...item, ...values };
    this.items.set(item.id, changed);
    this.changed();
    return changed;
  }
}

function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)),
                    (byte) => byte.toString(16).padStart(2, '0')).join('');
}
