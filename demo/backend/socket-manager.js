// All that the backend says to clients goes through these two calls; io is the
// stock Emitter of @socket.io/redis-emitter.

export function createSocketManager(io) {
  return {
    broadcast(event, roomId, payload) {
      io.to(roomId).emit(event, payload);
    },

    broadcastToUser(userId, event, payload) {
      io.to(`user:${userId}`).emit(event, payload);
    },
  };
}
