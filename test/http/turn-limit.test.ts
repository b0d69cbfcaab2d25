import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { limitPerTurn } from '../../src/http/turn-limit.ts';

/** Calls `nextPlace` a number of times, and adds the number of each call to the list when the call may start. */
async function callTimes(count: number, nextPlace: () => Promise<void> | undefined, started: number[]) {
  const from = started.length;
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      await nextPlace();
      started.push(from + index);
    }),
  );
}

test('calls over the limit start in the next turns of the event loop, in their order', async () => {
  const nextPlace = limitPerTurn(3);
  const started: number[] = [];
  const called = callTimes(8, nextPlace, started);
  await new Promise((resolve) => process.nextTick(resolve));
  const counts = [started.length];
  while (started.length < 8) {
    await setImmediate();
    counts.push(started.length);
  }
  await called;
  expect(counts).toEqual([3, 6, 8]);
  expect(started).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

test('a call within the limit starts at once, also after a turn that reached the limit', async () => {
  const nextPlace = limitPerTurn(2);
  for (let turn = 0; turn < 3; turn += 1) {
    expect(nextPlace()).toBeUndefined();
    expect(nextPlace()).toBeUndefined();
    await setImmediate();
  }
});

test('a call that comes later than the waiting calls starts after them', async () => {
  const nextPlace = limitPerTurn(1);
  const started: string[] = [];
  const start = async (name: string) => {
    await nextPlace();
    started.push(name);
  };
  const first = ['a', 'b', 'c'].map(start);
  await setImmediate();
  const last = start('d');
  await Promise.all([...first, last]);
  expect(started).toEqual(['a', 'b', 'c', 'd']);
});
