import { randomBytes, randomUUIDv7 } from 'node:crypto';
import type { Clock, Random } from '../ports/system.ts';

export const systemClock: Clock = { now: () => Date.now() };

export const systemRandom: Random = {
  fraction: () => Math.random(),
  bytes: (count) => randomBytes(count),
  id: (prefix) => `${prefix}_${randomUUIDv7().replaceAll('-', '')}`,
};
