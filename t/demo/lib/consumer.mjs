// A consumer in a process of its own: consumer.mjs url stream group name then

import { createRedis } from '../../../demo/backend/redis.js';
import { Uplink } from '../../../demo/backend/uplink.js';

const [url, stream, group, consumer, then] = process.argv.slice(2);
const redis = createRedis(url);

await redis.connect();

await new Uplink({
  redis,
  stream,
  group,
  consumer,
  claimAfter: 100,
  block: 20,
  maxDeliveries: 2,
  handle: async ({ event }) => {
    await redis.rPush('called', event);
    if (event === 'bad' && then === 'hang') {
      await new Promise(() => {});
    }
    if (event === 'bad' && then === 'die') {
      process.kill(process.pid, 'SIGKILL');
    }
    await redis.rPush('done', event);
  },
}).start();
