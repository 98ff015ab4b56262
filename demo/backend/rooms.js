// Who is in which room.  The set in Redis is what the gateway reads when a
// client connects; those who are connected already are moved by a command.
// The set is written first: then nobody misses the change, whenever they
// connect.

const setOf = (userId) => `demo:rooms:${userId}`;
const roomOf = (userId) => `user:${userId}`;

export function createRooms(redis, io) {
  return {
    async join(userIds, rooms) {
      if (userIds.length === 0 || rooms.length === 0) {
        return;
      }
      await Promise.all(userIds.map((id) => redis.sAdd(setOf(id), rooms)));
      io.in(userIds.map(roomOf)).socketsJoin(rooms);
    },

    async leave(userIds, rooms) {
      if (userIds.length === 0 || rooms.length === 0) {
        return;
      }
      await Promise.all(userIds.map((id) => redis.sRem(setOf(id), rooms)));
      io.in(userIds.map(roomOf)).socketsLeave(rooms);
    },

    /** Writes the whole set, for a Redis that may have lost it. */
    async restore(userId, rooms) {
      const change = redis.multi().del(setOf(userId));
      if (rooms.length > 0) {
        change.sAdd(setOf(userId), rooms);
      }
      await change.exec();
      if (rooms.length > 0) {
        io.in(roomOf(userId)).socketsJoin(rooms);
      }
    },
  };
}
