// The connection to Redis; the uplink waits on another one.  What it publishes
// reaches clients in order, and after the writes that came before.

import { createClient } from 'redis';

export function createRedis(url) {
  const redis = createClient({
    url,
    disableOfflineQueue: true,
    // a connection without a sign of life is dead
    pingInterval: 3000,
    socket: { socketTimeout: 10000, reconnectStrategy: () => 100 },
  });
  let lost = false;

  redis.on('error', (error) => {
    if (!lost) {
      console.log(`Redis is away: ${error.message}`);
    }
    lost = true;
  });
  redis.on('ready', () => { lost = false; });

  return redis;
}

/** What an emitter needs of it; a publish that fails is said, not thrown. */
export function publisher(redis) {
  return {
    publish(channel, message) {
      console.log(`publish on ${channel}, ${message.length} bytes`);
      redis.publish(channel, message)
        .catch((error) => console.log(`publish failed: ${error.message}`));
    },
  };
}
