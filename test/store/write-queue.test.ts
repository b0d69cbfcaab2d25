import { expect, test } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import { createWriteQueue } from '../../src/store/sqlite/write-queue.ts';

const BUSY = new Error('busy');

/** Returns a write queue with a clock and a lock that the test controls. */
function createQueue() {
  let nowMs = 0;
  let isLocked = false;
  let plans: { atMs: number; run: () => void }[] = [];
  const ended: string[] = [];
  const queue = createWriteQueue({
    nowMs: () => nowMs,
    after: (delayMs, run) => plans.push({ atMs: nowMs + delayMs, run }),
    isBusy: (error) => error === BUSY,
  });
  return {
    queue,
    ended,
    lock(isNow: boolean) {
      isLocked = isNow;
    },
    push(name: string, expiresAtMs: number, fault?: Error) {
      queue.push({
        expiresAtMs,
        run: () => {
          if (isLocked) throw BUSY;
          if (fault !== undefined) throw fault;
          return name;
        },
        done: (result) => ended.push(`${nowMs} ${String(result)} done`),
        failed: (error) =>
          ended.push(`${nowMs} ${name} ${error instanceof StoreBusyError ? 'busy' : String(error)}`),
      });
    },
    passTo(atMs: number) {
      while (plans.some((plan) => plan.atMs <= atMs)) {
        const [next, ...rest] = plans.toSorted((a, b) => a.atMs - b.atMs);
        plans = rest;
        nowMs = next?.atMs ?? nowMs;
        next?.run();
      }
      nowMs = atMs;
    },
  };
}

test('a write runs at once when no lock is held', () => {
  const { push, ended } = createQueue();
  push('a', 3_000);
  expect(ended).toEqual(['0 a done']);
});

test('writes that wait for a lock run in order after its release', () => {
  const { push, lock, passTo, ended } = createQueue();
  lock(true);
  for (const name of ['a', 'b', 'c']) push(name, 3_000);
  passTo(2_000);
  expect(ended).toEqual([]);
  lock(false);
  passTo(2_020);
  expect(ended.map((line) => line.split(' ').slice(1).join(' '))).toEqual(['a done', 'b done', 'c done']);
});

test('each waiting write fails at its own deadline', () => {
  const { push, lock, passTo, ended } = createQueue();
  lock(true);
  push('long', 3_000);
  push('short', 500);
  passTo(600);
  expect(ended).toHaveLength(1);
  expect(ended[0]).toMatch(/^5\d\d short busy$/);
  push('later', 3_600);
  passTo(3_100);
  expect(ended[1]).toMatch(/^30\d\d long busy$/);
  lock(false);
  passTo(3_200);
  expect(ended[2]).toMatch(/^31\d\d later done$/);
  expect(ended).toHaveLength(3);
});

test('a write does not start after its deadline', () => {
  const { push, ended, passTo } = createQueue();
  passTo(1_000);
  push('old', 900);
  expect(ended).toEqual(['1000 old busy']);
});

test('a failed write does not delay the next write', () => {
  const { push, ended } = createQueue();
  push('a', 3_000, new Error('disk full'));
  push('b', 3_000);
  expect(ended).toEqual(['0 a Error: disk full', '0 b done']);
});

test('drained resolves when the last write has ended', async () => {
  const { queue, push, lock, passTo, ended } = createQueue();
  await queue.drained();
  lock(true);
  push('a', 500);
  let isDrained = false;
  const drained = queue.drained().then(() => {
    isDrained = true;
  });
  await Promise.resolve();
  expect(isDrained).toBe(false);
  passTo(600);
  await drained;
  expect(ended).toHaveLength(1);
});
