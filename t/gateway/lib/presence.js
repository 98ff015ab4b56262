'use strict';

// What a client knows about who is online, and whether it was told in a way
// that makes sense.

const { until } = require('./expect');

class View {
  /** Watches a client of any kind from now on. */
  constructor(client) {
    const record = client.record.bind(client);

    this.client = client;
    this.lists = 0;             // all of them
    this.updates = [];          // [user, status] of all of them
    this.faults = [];
    this.doubled = 0;           // told once more what it knew
    this.users = null;          // a set; null: no list yet

    client.record = (event, args) => {
      record(event, args);
      this.take(event, args);
    };
  }

  toString() {
    return `the view of ${this.client}`;
  }

  take(event, args) {
    if (event === 'ready') {
      this.users = null;
    } else if (event === 'PRESENCE_INITIAL_STATE') {
      this.list(args[0]);
    } else if (event === 'PRESENCE_UPDATE') {
      this.update(args[0]);
    }
  }

  list(users) {
    if (this.users) {
      this.faults.push('a second list');
    }
    this.lists++;
    this.users = new Set(users);
    this.last = users;
    if (this.users.size !== users.length) {
      this.faults.push(`somebody twice in ${users}`);
    }
    if (!this.users.has(this.client.name)) {
      this.faults.push(`not in its own list: ${users}`);
    }
  }

  update({ userId, status, ...rest }) {
    this.updates.push([userId, status]);
    if (Object.keys(rest).length > 0
        || !['online', 'offline'].includes(status)) {
      this.faults.push(`a strange update ${JSON.stringify(rest)} ${status}`);
    } else if (!this.users) {
      this.faults.push(`${userId} ${status} before the list`);
    } else if (userId === this.client.name) {
      this.faults.push(`told that it is ${status} itself`);
    } else if (this.users.has(userId) === (status === 'online')) {
      this.doubled++;
    } else if (status === 'online') {
      this.users.add(userId);
    } else {
      this.users.delete(userId);
    }
  }

  /** Waits until these are the users that it knows to be online. */
  async shows(users, ms) {
    const wanted = [...users].sort().join();
    await until(() => this.users && [...this.users].sort().join() === wanted,
                () => `${this} is ${wanted}; it is ${
                  this.users && [...this.users].sort()}`, ms);
  }
}

module.exports = { View };
