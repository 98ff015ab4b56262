import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify(scrypt);
const LENGTH = 32;

export async function hashPassword(password) {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, LENGTH);
  return `${salt.toString('base64')}:${hash.toString('base64')}`;
}

// what the password of a user who does not exist is compared with
const nobody = await hashPassword(randomBytes(16).toString('hex'));

/** Takes the same time whether the user exists or not. */
export async function verifyPassword(password, stored = nobody) {
  const [salt, hash] = stored.split(':').map((s) => Buffer.from(s, 'base64'));
  return timingSafeEqual(await derive(password, salt, LENGTH), hash);
}
